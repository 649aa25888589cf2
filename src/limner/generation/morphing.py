"""Pictures on the way from one picture to another: shapes move, colours pass over.

Two drawings of different things have no common latents that would look like anything halfway: a
mean of their latents, or of their pixels, shows both through each other. So a smooth map of the
plane is found that brings the one on the other, half of the way from each side, by gradient descent
on the squared difference of both at coarser and finer scales (Horn and Schunck 1981, with the
symmetric form of Avants et al. 2008). On the way things move along it, their outline is where the
mean of the distances from both outlines is zero (Cohen-Or, Solomovici and Levin 1998), and what is
inside passes over in colour. Points are in [-1, 1], ``x`` before ``y``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from limner.arrays import Pixels
from limner.metrics.structure import structure_agreement
from limner.scenes.cutout import without_background
from limner.vision.images import on_white
from limner.vision.pixels import to_tensor
from limner.vision.resampling import fitted, resized

_SIDE, _GRID = 48, 10
"""Of the pictures that are brought on each other, and of the map between them."""
_SCALES, _STEPS, _RATE = (5.0, 2.5, 1.2), 20, 0.03
"""Deviations of the blurs in pixels, steps with each, and Adam's rate."""
_MASK, _SMOOTH = 3.0, 2.0
"""Weights of the outlines beside the colours, and of the map's smoothness."""
_STEEPEST, _FOLD = 0.6, 20.0
"""Change of the map from which it is held back, so that it never folds, and how strongly."""
_ROUNDS = 8
_FIELD = 128
"""Side at which distances from the outline are taken."""
_ALIKE, _CLEARLY = 0.7, 0.1
"""Structure kept by a mirror image, at least, and how much more than by the picture as it is."""
_FAR = 16.0
"""Of a picture without an outline, and the most that counts, in pixels of that side."""


class Morph:
    """The way from one picture to another.

    Args:
        first: ``(H, W, 3)`` uint8.
        second: of the same size.
    """

    def __init__(self, first: Pixels, second: Pixels) -> None:
        self._ends = first, second
        with torch.inference_mode(False):
            self._shapes = _Shape(first), _Shape(second)

    @cached_property
    def _map(self) -> Callable[[Tensor], Tensor]:
        return _registered(self._shapes[0].features, self._shapes[1].features)

    @torch.inference_mode(False)
    def at(self, share: float) -> Pixels:
        """The picture ``(H, W, 3)`` uint8 at a share of the way; at 0 and 1 the very pictures."""
        if share in (0, 1):
            return self._ends[int(share)]
        height, width = self._ends[0].shape[:2]
        coarse = where = _points(_FIELD, _FIELD)
        for _ in range(_ROUNDS):  # where a point would be halfway
            coarse = where - (1 - 2 * share) * self._map(coarse)
        halfway = _enlarged(coarse - where, height, width) + _points(height, width)
        moved = self._map(halfway)
        (first, second), (one, other) = self._shapes, (halfway + moved, halfway - moved)
        distance = torch.lerp(
            _sampled(first.distance, one), _sampled(second.distance, other), share
        )
        colour = torch.lerp(
            _sampled(first.colours, one), _sampled(second.colours, other),
            share * share * (3 - 2 * share),
        )  # fmt: skip
        inside = (distance * (max(height, width) / _FIELD) + 0.5).clamp(0, 1)
        canvas = (inside * colour + 1 - inside)[0].permute(1, 2, 0).clamp(0, 1)
        return np.asarray((canvas * 255).round().byte().numpy())


def is_mirrored(first: Pixels, second: Pixels) -> bool:
    """Whether ``(H, W, 3)`` uint8 looks like another in a mirror, and less like it as it is."""
    one, other = (to_tensor(np.ascontiguousarray(each)[None]) for each in (first, second))
    as_it_is, in_mirror = (float(structure_agreement(one, each)) for each in (other, other.flip(3)))
    return in_mirror > max(_ALIKE, as_it_is + _CLEARLY)


def turning(first: Pixels, second: Pixels) -> Callable[[float], Pixels]:
    """The way to a picture that is mirrored: the thing turns round like a leaf of paper.

    Args:
        first: ``(H, W, 3)`` uint8, on white.
        second: the same.
    """
    way, width = Morph(first, second[:, ::-1]), first.shape[1]

    def at(share: float) -> Pixels:
        if share in (0, 1):
            return (first, second)[int(share)]
        flat, seen = way.at(share), math.cos(math.pi * share)
        narrow = max(2, round(width * abs(seen)))
        image = Image.fromarray(flat if seen > 0 else np.ascontiguousarray(flat[:, ::-1]))
        canvas = Image.new("RGB", image.size, "white")
        thin = image.resize((narrow, image.height), Image.Resampling.LANCZOS)
        canvas.paste(thin, ((width - narrow) // 2, 0))
        return np.asarray(canvas)

    return at


class _Shape:
    """A picture as its outline and its colours."""

    def __init__(self, pixels: Pixels) -> None:
        cut = without_background(pixels)
        self._alpha = torch.from_numpy(np.ascontiguousarray(cut[..., 3]))[None, None]
        self._pixels = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float() / 255

    @cached_property
    def features(self) -> Tensor:
        """Colours and outline at a small size, ``(1, 4, S, S)``."""
        whole = torch.cat([self._pixels, _MASK * self._alpha], 1)
        return F.interpolate(whole, (_SIDE, _SIDE), mode="area")

    @cached_property
    def _nearest(self) -> tuple[Tensor, Tensor]:
        small = F.interpolate(self._alpha, (_FIELD, _FIELD), mode="area")[0, 0]
        inside = (small > 0.5).numpy()
        if inside.all() or not inside.any():
            return torch.full((1, 1, _FIELD, _FIELD), _FAR), torch.zeros(0)
        out, _ = _distances(inside)
        within, _ = _distances(~inside)
        signed = np.where(inside, within - 0.5, 0.5 - out)
        edge = np.abs(signed) < 1
        signed = np.where(edge, small.numpy() - 0.5, signed).clip(-_FAR, _FAR)
        _, rows = _distances(signed > 1.5 if (signed > 1.5).any() else inside)
        return (torch.from_numpy(signed.astype(np.float32))[None, None],
                torch.from_numpy(rows))  # fmt: skip

    @property
    def distance(self) -> Tensor:
        """From the outline, positive inside, ``(1, 1, F, F)`` in pixels of the side F."""
        return self._nearest[0]

    @cached_property
    def colours(self) -> Tensor:
        """``(1, 3, H, W)`` in [0, 1]; beyond the outline those of the nearest point within."""
        rows = self._nearest[1]
        if not len(rows):
            return self._pixels
        small = F.interpolate(self._pixels, (_FIELD, _FIELD), mode="area")
        beyond = small.flatten(2)[..., rows.flatten()].view_as(small)
        beyond = F.interpolate(beyond, self._pixels.shape[2:], mode="bilinear")
        return torch.lerp(beyond, self._pixels, (self._alpha > 0.99).float())


@torch.enable_grad()
def _registered(first: Tensor, second: Tensor) -> Callable[[Tensor], Tensor]:
    """The map that brings two pictures ``(1, 4, S, S)`` on each other.

    Returns:
        Gives of points halfway ``(1, h, w, 2)`` how far each is from where it is in the first; it
        is as far on the other side from where it is in the second.
    """
    (start, wide), (end, narrow) = _spread(first[:, 3]), _spread(second[:, 3])
    middle, width = (start + end) / 2, (wide + narrow) / 2

    def straight(points: Tensor) -> Tensor:
        """Of middles and widths alone."""
        return ((start - end) + (points - middle) / width * (wide - narrow)) / 2

    points = _points(_SIDE, _SIDE)
    base = straight(points)
    warp = torch.zeros(1, 2, _GRID, _GRID, requires_grad=True)
    adam = torch.optim.Adam([warp], _RATE)
    for scale in _SCALES:
        one, other = _blurred(first, scale), _blurred(second, scale)
        for _ in range(_STEPS):
            moved = base + _enlarged(warp.permute(0, 2, 3, 1), _SIDE, _SIDE)
            apart = _sampled(one, points + moved) - _sampled(other, points - moved)
            slopes = [moved.diff(dim=axis) * (_SIDE / 2) for axis in (1, 2)]
            smooth = sum(warp.diff(dim=axis).square().mean() for axis in (2, 3))
            folds = sum((each.abs() - _STEEPEST).clamp_min(0).square().mean() for each in slopes)
            loss = apart.square().mean() + _SMOOTH * smooth + _FOLD * folds
            adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
    found = warp.detach()
    return lambda points: straight(points) + _sampled(found, points).permute(0, 2, 3, 1)


def _spread(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of the points of a mask ``(1, S, S)``, ``(2,)`` each."""
    points, weight = _points(*mask.shape[1:])[0], mask[0, ..., None] + 1e-6
    weight = weight / weight.sum()
    mean = (points * weight).sum((0, 1))
    return mean, ((points - mean).square() * weight).sum((0, 1)).sqrt().clamp_min(0.02)


def _points(height: int, width: int) -> Tensor:
    """The points of the pixels of a picture, ``(1, H, W, 2)``."""
    rows, columns = ((torch.arange(n) + 0.5) * (2 / n) - 1 for n in (height, width))
    return torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1)[None]


def _sampled(maps: Tensor, points: Tensor) -> Tensor:
    """The values of maps ``(1, C, h, w)`` at points, ``(1, C, H, W)``."""
    return F.grid_sample(maps, points, padding_mode="border", align_corners=False)


def _enlarged(points: Tensor, height: int, width: int) -> Tensor:
    """A map of points ``(1, h, w, 2)`` at another size."""
    bands = points.permute(0, 3, 1, 2)
    return F.interpolate(bands, (height, width), mode="bicubic").permute(0, 2, 3, 1)


def _blurred(maps: Tensor, deviation: float) -> Tensor:
    """Maps ``(1, C, H, W)`` under a Gaussian of a deviation in pixels."""
    reach = int(3 * deviation)
    kernel = torch.exp(-torch.arange(-reach, reach + 1).float().square() / (2 * deviation**2))
    bands = maps.transpose(0, 1)
    for shape in ((1, 1, 1, -1), (1, 1, -1, 1)):
        line = (kernel / kernel.sum()).view(shape)
        margin = (reach, reach, 0, 0) if shape[3] == -1 else (0, 0, reach, reach)
        bands = F.conv2d(F.pad(bands, margin, mode="replicate"), line)
    return bands.transpose(0, 1)


def _distances(mask: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """From each point to the nearest of a mask ``(S, S)``, and which that is by its number.

    Exact, along columns and then along rows (Felzenszwalb and Huttenlocher 2012, section 3).
    """
    side = len(mask)
    place, far = np.arange(side), 4 * side
    above = np.maximum.accumulate(np.where(mask, place[:, None], -far), 0)
    below = np.minimum.accumulate(np.where(mask, place[:, None], 2 * far)[::-1], 0)[::-1]
    near = np.where(place[:, None] - above <= below - place[:, None], above, below)
    down = (near - place[:, None]).astype(np.float32) ** 2
    across = (place[:, None] - place).astype(np.float32) ** 2
    cost = down[:, None] + across  # (S, S, S)
    best = cost.argmin(2)
    distance = np.sqrt(np.take_along_axis(cost, best[..., None], 2)[..., 0])
    return distance, np.take_along_axis(near, best, 1) * side + best


def on_canvas(drawing: Image.Image, width: int, height: int) -> Pixels:
    """A square drawing as large as fits on a canvas of another shape: ``(H, W, 3)`` uint8."""
    return np.asarray(fitted(resized(on_white(drawing), min(width, height)), width, height))
