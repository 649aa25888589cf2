"""Filling a hole of a flat drawing with the colours that the drawing has.

A guess of what is hidden is a blur, as many things might be there. Where all of a picture but its
edges has a few colours, what is hidden has them, too: the guess is taken for a noisy picture of
those, and each pixel becomes their mean given the guess (as in mean-shift filtering: Comaniciu and
Meer 2002, DOI 10.1109/34.1000236, with the colours of the picture for the modes).

Shape letters: S side of the picture, N known pixels, K colours.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_LEVELS = 8
"""Of a channel, while colours are counted."""
_COLOURS, _SHARE = 8, 0.004
"""Colours at most, and least share of the known pixels that one has."""
_SAME = 0.25
"""Difference of a channel, in [-1, 1], of colours that count as one."""
_FLAT, _LIKE = 0.85, 0.12
"""Least share of the known pixels that have one of the colours, and how nearly, of a channel."""
_SMOOTH = 1 / 28
"""Share of the side over which the guess is averaged first, so that no scraps are left."""
_NOISE = 0.2
"""Deviation of a guess from what is hidden, of a channel."""
_COMMON = 0.5
"""Power of a colour's share with which it is likely; less than one, as paper is not drawn."""
_COARSEST, _STEPS = 16, 60


def coloured_in(guess: Tensor, hole: Tensor) -> Tensor | None:
    """A flat drawing whose hole has the drawing's own colours.

    What is guessed is averaged with what is around the hole, smoothly continued.

    Args:
        guess: ``(3, S, S)`` float32 in [-1, 1]; right outside of the hole.
        hole: ``(S, S)`` bool, not everywhere.

    Returns:
        ``(3, S, S)``; None where the picture has other than a few flat colours.
    """
    found = main_colours(guess[:, ~hole])
    if found is None:
        return None
    colours, shares = found
    mean = torch.where(hole, (guess + continued(guess, hole)) / 2, guess)
    reach = max(1, round(_SMOOTH * guess.shape[-1] / 2))
    mean = F.avg_pool2d(mean[None], 2 * reach + 1, 1, reach, count_include_pad=False)[0]
    apart = torch.cdist(mean[:, hole].T, colours)  # (holes, K)
    scores = -apart.square() / (2 * _NOISE**2) + _COMMON * shares.log()
    filled = guess.clone()
    filled[:, hole] = (scores.softmax(1) @ colours).T
    return filled


def main_colours(pixels: Tensor) -> tuple[Tensor, Tensor] | None:
    """The colours of a flat drawing and their shares.

    Args:
        pixels: ``(3, N)`` float32 in [-1, 1].

    Returns:
        ``(K, 3)`` and ``(K,)``; None where too many pixels have other colours.
    """
    steps = ((pixels.clamp(-1, 1) + 1) / 2 * (_LEVELS - 1e-3)).long()
    bins = (steps[0] * _LEVELS + steps[1]) * _LEVELS + steps[2]
    counts = bins.bincount(minlength=_LEVELS**3)
    colours, sizes = list[Tensor](), list[int]()
    for each in counts.argsort(descending=True, stable=True).tolist():
        count = int(counts[each])
        if count < max(1, _SHARE * len(bins)):
            break
        colour = pixels[:, bins == each].median(1).values
        near = [k for k, known in enumerate(colours) if (known - colour).abs().max() < _SAME]
        if near:
            sizes[near[0]] += count
        elif len(colours) < _COLOURS:
            colours.append(colour)
            sizes.append(count)
    found = torch.stack(colours)
    apart = (pixels.T[:, None] - found).abs().amax(2).amin(1)  # (N,)
    if float((apart < _LIKE).float().mean()) < _FLAT:
        return None
    return found, torch.tensor(sizes) / len(bins)


def continued(image: Tensor, hole: Tensor) -> Tensor:
    """A picture whose hole is as smooth as its edge allows: the solution of Laplace's equation.

    Found by relaxation from coarse to fine (Jacobi's method).

    Args:
        image: ``(3, S, S)``; what is in the hole counts for nothing.
        hole: ``(S, S)`` bool, not everywhere.
    """
    sides = [image.shape[-1]]
    while sides[-1] % 2 == 0 and sides[-1] // 2 >= _COARSEST:
        sides.append(sides[-1] // 2)
    known = (~hole).to(image)[None, None]
    found = (image[:, ~hole].mean(1)[None, :, None, None]).expand(1, 3, sides[-1], sides[-1])
    for side in reversed(sides):
        weight = F.adaptive_avg_pool2d(known, side)
        seen = F.adaptive_avg_pool2d(image[None] * known, side) / weight.clamp_min(1e-6)
        if found.shape[-1] != side:
            found = F.interpolate(found, (side, side), mode="bilinear")
        gap = weight == 0
        found = torch.where(gap, found, seen)
        for _ in range(_STEPS):
            wide = F.pad(found, (1, 1, 1, 1), mode="replicate")
            beside = (
                wide[..., 1:-1, :-2] + wide[..., 1:-1, 2:] + wide[..., :-2, 1:-1]
                + wide[..., 2:, 1:-1]
            )  # fmt: skip
            found = torch.where(gap, beside / 4, found)
    return found[0]
