"""Solvers of dz/dt = v(z, t): pure functions over a velocity, with no network in them.

Time runs from noise at 0 to the picture at 1. A velocity is any ``(z, t) -> v`` with ``v`` of the
shape of ``z``; guidance is a closure that makes one velocity of another (:func:`guided`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from limner.errors import UsageError

Velocity = Callable[[Tensor, float], Tensor]
StepCallback = Callable[[int, float, Tensor], None]
"""Called after every step with its number from 0, the time reached and the state there."""

Solver = Callable[[Velocity, Tensor, Sequence[float], StepCallback | None], Tensor]


def uniform_times(steps: int) -> list[float]:
    """The ``steps + 1`` equally spaced times from 0 to 1.

    Raises:
        UsageError: there is less than one step.
    """
    if steps < 1:
        raise UsageError(f"sampling takes at least 1 step, not {steps}")
    return [i / steps for i in range(steps + 1)]


def euler(
    velocity: Velocity, z: Tensor, times: Sequence[float], callback: StepCallback | None = None
) -> Tensor:
    """First order, one evaluation a step: z <- z + h v(z, t).

    Args:
        velocity: v of the shape of ``z``.
        z: ``(B, ...)`` state at ``times[0]``; left as it is.
        times: where to step, n + 1 of them for n steps.
        callback: called after every step.

    Returns:
        The state at ``times[-1]``, like ``z``.
    """
    for step, (now, then) in enumerate(pairwise(times)):
        z = z + (then - now) * velocity(z, now)
        if callback is not None:
            callback(step, then, z)
    return z


def heun(
    velocity: Velocity, z: Tensor, times: Sequence[float], callback: StepCallback | None = None
) -> Tensor:
    """Second order, two evaluations a step but one in the last, which is Euler's.

    With d = v(z, t) and d' = v(z + h d, t + h): z <- z + h (d + d') / 2 (Karras et al. 2022,
    "Elucidating the design space", algorithm 1). The velocity of an x-prediction is undefined at
    t = 1, where the trapezoid would need it; the Euler step there lands on the predicted x. Its
    error is one step's, O(h^2), so the whole keeps second order.

    Args, Returns: as in :func:`euler`.
    """
    last = len(times) - 2
    for step, (now, then) in enumerate(pairwise(times)):
        slope = velocity(z, now)
        guess = z + (then - now) * slope
        if step < last:
            slope = (slope + velocity(guess, then)) / 2
            guess = z + (then - now) * slope
        z = guess
        if callback is not None:
            callback(step, then, z)
    return z


SOLVERS: dict[str, Solver] = {"euler": euler, "heun": heun}


def guided(
    conditional: Velocity,
    both: Velocity,
    scale: float,
    interval: tuple[float, float] = (0.0, 1.0),
) -> Velocity:
    """Classifier-free guidance: u + scale (c - u) (Ho and Salimans 2022, eq. 6, w = scale - 1).

    Args:
        conditional: the velocity given the condition alone.
        both: takes 2B states, the same B twice, and gives the conditional velocities of the
            first half and the unconditional (or negative) ones of the second in one pass.
        scale: 1 is no guidance, 0 is unconditional.
        interval: times between which to guide (Kynkäänniemi et al. 2024); outside it the
            conditional velocity is used, at half the work.
    """
    low, high = interval

    def velocity(z: Tensor, t: float) -> Tensor:
        if scale == 1 or not low <= t <= high:
            return conditional(z, t)
        given, free = both(torch.cat((z, z)), t).chunk(2)
        return torch.lerp(free, given, scale)

    return velocity


def choose_codes(
    logits: Tensor,
    uniform: Tensor,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
) -> Tensor:
    """Draw one code of each row with the chance that is given for it.

    Temperature first, then the ``top_k`` likeliest, then of these the fewest whose mass reaches
    ``top_p`` (Holtzman et al. 2020, arXiv:1904.09751, eq. 2 and 3), then the inverse of the
    cumulative distribution, so that a row's code depends on its own logits and number alone.

    Args:
        logits: ``(B, V)`` float.
        uniform: ``(B,)`` float in [0, 1].
        temperature: 0 takes the likeliest.
        top_k: 0 for all.
        top_p: in (0, 1]; 1 for all.

    Returns:
        ``(B,)`` int64 in [0, V).
    """
    if temperature == 0:
        return logits.argmax(-1)
    chances = (logits.double() / temperature).softmax(-1)  # (B, V)
    if 0 < top_k < chances.shape[-1] or top_p < 1:
        chances = _likeliest(chances, top_k, top_p)
    mass = chances.cumsum(-1)  # (B, V)
    point = uniform.to(mass.dtype).unsqueeze(-1) * mass[:, -1:]  # (B, 1)
    found = torch.searchsorted(mass, point, right=True).squeeze(-1)
    # at the very end of the mass: the last code that can be drawn, not one of no chance
    last = chances.shape[-1] - 1 - (chances > 0).flip(-1).int().argmax(-1)
    return torch.minimum(found, last)


def _likeliest(chances: Tensor, top_k: int, top_p: float) -> Tensor:
    """``(B, V)`` chances with those of the codes that are not among the likeliest set to zero."""
    ordered, order = torch.sort(chances, stable=True, dim=-1, descending=True)
    if top_k:
        ordered[:, top_k:] = 0
    ordered = ordered / ordered.sum(-1, keepdim=True)
    before = ordered.cumsum(-1) - ordered  # mass of those likelier
    ordered = ordered.masked_fill(before >= top_p, 0)
    return torch.zeros_like(chances).scatter(-1, order, ordered)
