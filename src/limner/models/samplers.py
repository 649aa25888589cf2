"""Solvers of dz/dt = v(z, t) as lists of evaluations, guidance, and the choice of codes.

Time runs from noise at 0 to the picture at 1. A solver is the list of its network evaluations, each
an :class:`SolverStage`; :func:`solver_step` carries one out. There is no loop and no network in
them, so rows at different times and of different solvers can share one network evaluation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from limner.models.layers import sent


class SolverStage(NamedTuple):
    """One network evaluation of a solver.

    Attributes:
        time: at which the velocity is evaluated.
        width: h, of the step that it belongs to.
        corrects: whether it is a step's second, which is averaged with the first.
        noised_from: the later time that the solution is at, where it gets noise first and so goes
            back to ``time``; None where it is there.
    """

    time: float
    width: float
    corrects: bool = False
    noised_from: float | None = None


Solver = tuple[SolverStage, ...]
"""All network evaluations of a solver, in order."""


def _spans(steps: int) -> Iterator[tuple[float, float]]:
    """Beginning and end of each of ``steps`` equal steps from 0 to 1."""
    return pairwise(i / steps for i in range(steps + 1))


@cache
def euler(steps: int) -> Solver:
    """First order, one evaluation a step: z <- z + h v(z, t)."""
    return tuple(SolverStage(now, then - now) for now, then in _spans(steps))


@cache
def heun(steps: int) -> Solver:
    """Second order, two evaluations a step but one in the last, which is Euler's.

    With d = v(z, t) and d' = v(z + h d, t + h): z <- z + h (d + d') / 2 (Karras et al. 2022,
    "Elucidating the design space", algorithm 1). The velocity of an x-prediction is undefined at
    t = 1, where the trapezoid would need it; the Euler step there lands on the predicted x. Its
    error is one step's, O(h^2), so the whole keeps second order.
    """
    found: list[SolverStage] = []
    for now, then in _spans(steps):
        width = then - now
        found += [SolverStage(now, width), SolverStage(then, width, corrects=True)]
    return tuple(found[:-1])


SOLVERS: dict[str, Callable[[int], Solver]] = {"euler": euler, "heun": heun}


@cache
def resampled(stages: Solver, times: int) -> Solver:
    """A solver whose steps are each taken again after going back by new noise.

    So what is drawn in a hole comes to fit what is known around it (RePaint: Lugmayr et al. 2022,
    arXiv:2201.09865, section 4.2, with a jump of one step). The first step, which would begin anew,
    and the last, which lands on the picture, are taken once.

    Args:
        stages: of the solver.
        times: that each step is taken again.
    """
    starts = [place for place, stage in enumerate(stages) if not stage.corrects]
    found: list[SolverStage] = []
    for start, end in zip(starts, [*starts[1:], len(stages)], strict=True):
        step = stages[start:end]
        again = (step[0]._replace(noised_from=step[0].time + step[0].width), *step[1:])
        found += [*step, *(again * times if 0 < start < starts[-1] else ())]
    return tuple(found)


@cache
def late(stages: Solver, share: float) -> Solver:
    """A solver of the last share of the way alone, from time ``1 - share`` to 1.

    From a picture as noisy as it is there, it leads to another like it (SDEdit: Meng et al. 2022,
    arXiv:2108.01073).
    """
    return tuple(
        stage._replace(time=1 - share + share * stage.time, width=share * stage.width)
        for stage in stages
    )


def noised(z: Tensor, noise: Tensor, now: float, time: float) -> Tensor:
    """A solution at time ``now`` as one at an earlier time, by more noise; all of one shape.

    z_t = t x + (1 - t) n at ``now`` becomes (t' / t) z_t + s n', where s makes the deviation of all
    noise 1 - t'.
    """
    kept = time / now
    spread = (1 - time) ** 2 - (kept * (1 - now)) ** 2
    return kept * z + math.sqrt(spread) * noise


class SolverState(NamedTuple):
    """Where B solutions are between two evaluations.

    Attributes:
        z: ``(B, ...)``, where the velocity is evaluated next.
        base: ``(B, ...)``, where the step began.
        slope: ``(B, ...)``, the step's first velocity.
    """

    z: Tensor
    base: Tensor
    slope: Tensor


def solver_step(
    state: SolverState, velocity: Tensor, evaluations: list[SolverStage]
) -> SolverState:
    """Carry out one evaluation of each of B rows, whose velocity at ``state.z`` is given."""
    shape = (-1, *(1,) * (velocity.ndim - 1))
    width = velocity.new_tensor([e.width for e in evaluations]).view(shape)
    corrects = torch.tensor([e.corrects for e in evaluations], device=velocity.device).view(shape)
    slope = torch.where(corrects, (state.slope + velocity) / 2, velocity)
    base = torch.where(corrects, state.base, state.z)
    return SolverState(base + width * slope, base, slope)


def guided(given: Tensor, free: Tensor, scales: list[float]) -> Tensor:
    """Classifier-free guidance: u + scale (c - u) (Ho and Salimans 2022, eq. 6, w = scale - 1).

    Args:
        given: ``(B, ...)`` predictions c with the condition.
        free: ``(B, ...)`` predictions u without it, or with a negative one.
        scales: one a row; 1 is no guidance, 0 is unconditional.
    """
    if given.device.type != "cpu":  # whose kernels compute each number by itself
        scale = sent(torch.tensor(scales, dtype=given.dtype), given.device)
        return torch.lerp(free, given, scale.view(-1, *(1,) * (given.ndim - 1)))
    # row by row, as vectorised kernels may round the last numbers of a tensor differently
    rows = zip(given, free, scales, strict=True)
    return torch.stack([torch.lerp(u, c, scale) for c, u, scale in rows])


def choose_codes(
    logits: Tensor,
    uniform: Tensor,
    temperature: Tensor | float = 1.0,
    top_k: Tensor | int = 0,
    top_p: Tensor | float = 1.0,
) -> Tensor:
    """Draw one code of each row with the probability that is given for it.

    Temperature first, then the ``top_k`` likeliest, then of these the fewest whose mass reaches
    ``top_p`` (Holtzman et al. 2020, arXiv:1904.09751, eq. 2 and 3), then the inverse of the
    cumulative distribution, so that a row's code depends on its own logits and number alone.

    Args:
        logits: ``(B, V)`` float.
        uniform: ``(B,)`` float in [0, 1].
        temperature: one for all, or ``(B,)``; 0 takes the likeliest.
        top_k: one for all, or ``(B,)``; 0 for all codes.
        top_p: one for all, or ``(B,)``, in (0, 1]; 1 for all codes.

    Returns:
        ``(B,)`` int64 in [0, V).
    """
    count, codes = logits.shape
    heat, most, share = (
        torch.as_tensor(each, device=logits.device).expand(count)
        for each in (temperature, top_k, top_p)
    )
    cold = heat == 0
    chances = (logits.double() / torch.where(cold, 1, heat).double()[:, None]).softmax(-1)  # (B, V)
    most = torch.where((most == 0) | (most > codes), codes, most)
    some = (most < codes) | (share < 1)
    if bool(some.any()):
        kept = _likeliest(chances, most[:, None], share[:, None].double())
        chances = torch.where(some[:, None], kept, chances)
    mass = chances.cumsum(-1)  # (B, V)
    point = uniform.to(mass.dtype).unsqueeze(-1) * mass[:, -1:]  # (B, 1)
    found = torch.searchsorted(mass, point, right=True).squeeze(-1)
    # at the very end of the mass: the last code that can be drawn, not one of no chance
    last = codes - 1 - (chances > 0).flip(-1).int().argmax(-1)
    return torch.where(cold, logits.argmax(-1), torch.minimum(found, last))


def _likeliest(chances: Tensor, top_k: Tensor, top_p: Tensor) -> Tensor:
    """``(B, V)`` chances with all but the likeliest set to zero; ``top_k``, ``top_p (B, 1)``."""
    ordered, order = torch.sort(chances, stable=True, dim=-1, descending=True)
    place = torch.arange(chances.shape[-1], device=chances.device)
    ordered = ordered.masked_fill(place >= top_k, 0)
    ordered = ordered / ordered.sum(-1, keepdim=True)
    before = ordered.cumsum(-1) - ordered  # mass of those likelier
    ordered = ordered.masked_fill(before >= top_p, 0)
    return torch.zeros_like(chances).scatter(-1, order, ordered)
