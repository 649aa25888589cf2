"""Inpainting by models of one network evaluation: a search among their latents.

The latents that a picture is decoded from are written in coordinates w that are independent, of
mean 0 and variance 1 before anything is known. Those of a picture of which some pixels x are known
are where

    |x - G(w)|^2 / (2 s^2) + |w|^2 / 2

is least, the first sum over the known pixels only (maximum a posteriori: Bora et al. 2017,
arXiv:1703.03208, eq. 2; Yeh et al. 2017, arXiv:1607.07539, section 3). Adam walks there
(Kingma and Ba 2015), a step each network evaluation, so that a row is a picture as in any drawing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

DEVIATION = 0.3
"""s, of the known pixels around what is decoded; pictures are in [-1, 1]."""
_RATE = 0.05
_BETAS = 0.9, 0.99
_STABLE = 1e-8


def start(code: Tensor, picture: Tensor) -> dict[str, Tensor]:
    """The state of B searches before their first step.

    Args:
        code: ``(B, ...)``, where they begin.
        picture: ``(B, 3, S, S)``, what is shown before anything is decoded.
    """
    return {
        "code": code,
        "best": code,
        "momentum": torch.zeros_like(code),
        "square": torch.zeros_like(code),
        "least": code.new_full((len(code),), torch.inf),
        "picture": picture,
    }


def step(
    state: Mapping[str, Tensor], done: Tensor, decode: Callable[[Tensor], Tensor]
) -> dict[str, Tensor]:
    """One step of B searches.

    Args:
        state: of :func:`start`, or of the step before; ``images (B, 3, S, S)`` float32 in [-1, 1]
            are what is known outside of the ``hole (B, 1, S, S)`` bool. No inference tensors.
        done: ``(B,)`` int64, steps made.
        decode: makes pictures of coordinates; differentiable, each row on its own.

    Returns:
        The new state; ``picture`` is the best so far, and ``best`` the code that it is of.
    """
    with torch.inference_mode(False), torch.enable_grad():
        code = state["code"].clone().requires_grad_()
        drawn = decode(code)
        lost = (drawn - state["images"]) * ~state["hole"]
        error = lost.square().flatten(1).sum(1)  # (B,)
        loss = error / (2 * DEVIATION**2) + code.square().flatten(1).sum(1) / 2
        (slope,) = torch.autograd.grad(loss.sum(), code)
    with torch.no_grad():
        shape = (-1, *(1,) * (slope.ndim - 1))
        mean = torch.lerp(slope, state["momentum"], _BETAS[0])
        square = torch.lerp(slope.square(), state["square"], _BETAS[1])
        first, second = (1 - beta ** (done.to(slope) + 1).view(shape) for beta in _BETAS)
        moved = _RATE * (mean / first) / ((square / second).sqrt() + _STABLE)
        better = (loss.detach() < state["least"]).view(-1, 1, 1, 1)
        return {
            "code": code.detach() - moved,
            "best": torch.where(better.view(shape), code.detach(), state["best"]),
            "momentum": mean,
            "square": square,
            "least": torch.minimum(loss.detach(), state["least"]),
            "picture": torch.where(better, drawn.detach(), state["picture"]),
        }


def towards(code: Tensor, noise: Tensor, shares: Tensor) -> Tensor:
    """Codes at shares ``(B,)`` of the way to others, of rows ``(B, ...)``.

    Directions and lengths change evenly, so that codes on the way are as long as those at its ends
    (Shoemake 1985).
    """
    first, second = code.flatten(1), noise.flatten(1)
    share = shares[:, None]
    lengths = first.norm(dim=1, keepdim=True), second.norm(dim=1, keepdim=True)
    ways = [each / length.clamp_min(_STABLE)
            for each, length in zip((first, second), lengths, strict=True)]  # fmt: skip
    angle = (ways[0] * ways[1]).sum(1, keepdim=True).clamp(-1, 1).arccos()
    sine = angle.sin()
    parts = [torch.where(sine < 1e-4, part, (part * angle).sin() / sine)
             for part in (1 - share, share)]  # fmt: skip
    way = (parts[0] * ways[0] + parts[1] * ways[1]) * torch.lerp(*lengths, share)
    found = torch.where(share == 0, first, torch.where(share == 1, second, way))
    return found.view_as(code)
