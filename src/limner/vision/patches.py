"""Filling a hole with patches of what is around it, from a first guess.

Each patch that touches the hole is compared with all patches that do not, and the pixels of the
hole become what the most similar ones say: an expectation-maximisation from coarse to fine (Wexler,
Shechtman and Irani 2007, "Space-time completion of video", section 3). So a blurred guess becomes
as crisp as its surroundings (as in Yang et al. 2017, arXiv:1611.09969).

Shape letters: S side, P pixels of a patch, T patches that touch the hole, K known ones.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_REACH = 3
"""Pixels around the middle of a patch."""
_COARSEST = 64
_STEPS = {0: 6, 1: 3}
"""Steps at the coarsest size and at the next; larger ones take two, near the matches found."""
_FADE = 1.1
"""By so much less a patch counts for each pixel between its middle and what is known."""
_AT_ONCE = 2048


def filled(guess: Tensor, hole: Tensor) -> Tensor:
    """A picture whose hole looks like the rest of it.

    It begins at the coarsest size from the guess, and from what is known beside the hole carried on
    into it; what is then most like the rest is refined.

    Args:
        guess: ``(3, S, S)`` float32, S at least 16; right outside of the hole.
        hole: ``(S, S)`` bool.

    Returns:
        ``(3, S, S)``; outside of the hole as it was. The guess itself where no patch is known.
    """
    sides = [guess.shape[-1]]
    while sides[-1] // 2 >= _COARSEST:
        sides.append(sides[-1] // 2)
    begun: list[Tensor] = []
    matches: Tensor | None = None
    for level, side in enumerate(reversed(sides)):
        known = F.interpolate(guess[None], (side, side), mode="area")[0]
        gap = F.adaptive_max_pool2d(hole[None].float(), side)[0] > 0
        if level:
            large = F.interpolate(begun[0][None], (side, side), mode="bilinear")[0]
            begun = [torch.where(gap, large, known)]
        else:
            begun = [known, _carried_on(known, gap)]
        reached = F.max_pool2d(gap[None].float(), 2 * _REACH + 1, 1, _REACH)[0] > 0
        sources, targets = _middles(~reached), _middles(reached)
        if not len(sources):
            return guess
        near = None if matches is None else _finer(matches, targets, sources, side)
        weights, found = _weights(gap, targets), []
        for start in begun:
            image = start
            for _ in range(_STEPS.get(level, 2)):
                if near is None or level in _STEPS:
                    match, errors = _nearest(image, targets, sources)
                else:
                    match, errors = _nearest_of(image, targets, near)
                image = torch.where(gap, _voted(image, targets, match, errors, weights), known)
            found.append((float(errors.mean()), image, match))
        _, image, match = min(found, key=lambda each: each[0])
        begun, matches = [image], _placed(targets, match, side)
    return begun[0]


def _carried_on(image: Tensor, gap: Tensor) -> Tensor:
    """A picture whose gap is filled from its edge inwards, pixel by pixel, with what is beside."""
    known, found = (~gap).float()[None], torch.where(gap, 0.0, image)
    beside = torch.tensor([[0.0, 1, 0], [1, 0, 1], [0, 1, 0]])
    while bool((known == 0).any()):
        count = F.conv2d(known, beside.view(1, 1, 3, 3), padding=1)
        if not bool(((known == 0) & (count > 0)).any()):
            break
        total = F.conv2d(found[:, None], beside.view(1, 1, 3, 3), padding=1)[:, 0]
        new = (known == 0) & (count > 0)
        found = torch.where(new, total / count.clamp_min(1), found)
        known = torch.where(new, 1.0, known)
    return found


def _middles(where: Tensor) -> Tensor:
    """Row and column of the patches' middles that lie wholly inside, ``(N, 2)``."""
    inside = torch.zeros_like(where)
    inside[_REACH:-_REACH, _REACH:-_REACH] = True
    return (where & inside).nonzero()


def _patches(image: Tensor, middles: Tensor) -> Tensor:
    """The patches around some middles, ``(N, 3 P)``."""
    side = image.shape[-1] - 2 * _REACH
    every = F.unfold(image[None], 2 * _REACH + 1)[0]  # (3 P, side * side)
    return every[:, (middles[:, 0] - _REACH) * side + middles[:, 1] - _REACH].T


def _nearest(image: Tensor, targets: Tensor, sources: Tensor) -> tuple[Tensor, Tensor]:
    """The most similar known patch of each, ``(T, 2)``, and its squared distance ``(T,)``."""
    known = _patches(image, sources)  # (K, 3 P)
    lengths = known.square().sum(1)
    best, errors = [], []
    for some in torch.split(_patches(image, targets), _AT_ONCE):
        distances = lengths - 2 * some @ known.T  # (t, K), less a constant a row
        least, place = distances.min(1)
        best.append(place)
        errors.append(least + some.square().sum(1))
    return sources[torch.cat(best)], torch.cat(errors).clamp_min(0)


def _nearest_of(image: Tensor, targets: Tensor, near: Tensor) -> tuple[Tensor, Tensor]:
    """The same among a few candidates of each, ``(T, C, 2)``."""
    side = image.shape[-1] - 2 * _REACH
    every = F.unfold(image[None], 2 * _REACH + 1)[0].T.contiguous()  # (side * side, 3 P)
    rows = (near[..., 0] - _REACH) * side + near[..., 1] - _REACH  # (T, C)
    mine = every[(targets[:, 0] - _REACH) * side + targets[:, 1] - _REACH]
    errors = torch.stack([(every[rows[:, c]] - mine).square().sum(1) for c in range(rows.shape[1])])
    least, place = errors.min(0)
    return near[torch.arange(len(near)), place], least


def _weights(gap: Tensor, targets: Tensor) -> Tensor:
    """How much each patch counts, by its distance from what is known, ``(T,)``."""
    distance, left = torch.zeros(gap.shape), gap.float()
    while bool(left.any()):
        distance += left
        left = 1 - F.max_pool2d(1 - left[None], 3, 1, 1)[0]
    return _FADE ** -distance[targets[:, 0], targets[:, 1]]


def _voted(
    image: Tensor, targets: Tensor, match: Tensor, errors: Tensor, weights: Tensor
) -> Tensor:
    """What the matches say of each pixel, ``(3, S, S)``, as their weighted mean."""
    scale = torch.quantile(errors[:: max(1, len(errors) // 4096)], 0.75).clamp_min(1e-6)
    weight = weights * torch.exp(-errors / (2 * scale)) + 1e-8  # (T,)
    side = image.shape[-1]
    total, mass = torch.zeros(3, side * side), torch.zeros(side * side)
    flat = image.flatten(1)
    for down in range(-_REACH, _REACH + 1):
        for right in range(-_REACH, _REACH + 1):
            there = (targets[:, 0] + down) * side + targets[:, 1] + right
            source = (match[:, 0] + down) * side + match[:, 1] + right
            total.index_add_(1, there, flat[:, source] * weight)
            mass.index_add_(0, there, weight)
    voted = torch.where(mass > 0, total / mass.clamp_min(1e-12), flat)
    return voted.view_as(image)


def _placed(targets: Tensor, match: Tensor, side: int) -> Tensor:
    """Matches by the place of their patch, ``(S, S, 2)``; -1 where there is none."""
    found = torch.full((side, side, 2), -1, dtype=torch.int64)
    found[targets[:, 0], targets[:, 1]] = match
    return found


def _finer(matches: Tensor, targets: Tensor, sources: Tensor, side: int) -> Tensor:
    """Candidates at twice the size: the matches around each patch, carried on, ``(T, C, 2)``."""
    allowed = torch.zeros(side, side, dtype=torch.bool)
    allowed[sources[:, 0], sources[:, 1]] = True
    half, found = matches.shape[0], []
    first = sources[0].expand(len(targets), 2)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            # patches' middles keep away from the border, where targets may be nearer to it
            place = (targets // 2 + torch.tensor([down, right])).clamp(_REACH, half - 1 - _REACH)
            match = matches[place[:, 0], place[:, 1]]
            there = targets + 2 * (match - place)
            fits = (match[:, 0] >= 0) & (there >= 0).all(1) & (there < side).all(1)
            there = there.clamp(0, side - 1)
            fits &= allowed[there[:, 0], there[:, 1]]
            found.append(torch.where(fits[:, None], there, first))
    return torch.stack(found, 1)
