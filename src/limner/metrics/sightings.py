"""Which things are seen anywhere in pictures, by the real drawings that their parts resemble.

A picture's parts (:mod:`limner.metrics.windows`) are compared with real drawings of many concepts
by the icon judge. A thing is seen where, for some part, few concepts are nearer than the nearest
one that shows the thing, and that one is near enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from limner.metrics.base import check_finite
from limner.metrics.judge import Judge
from limner.metrics.sharpness import edge_sharpness
from limner.metrics.windows import parts_of

_CHUNK = 256
NEARER = (0.021, 0.021, 0.007)
"""Share of the concepts of which fewer are nearer: to whole pictures, cut-out things, windows."""
SIMILARITIES = (0.55, 0.55, 0.65)
"""Least cosine for each of them. How both were chosen is in ``docs/evaluation.md``."""


@dataclass(frozen=True)
class DrawingGallery:
    """Features of N real drawings of K concepts.

    Attributes:
        views: ``(N, D)`` unit features of the drawings, and of their mirror images.
        label: ``(N,)`` int64, the concept of each, in [0, K).
        concepts: K.
    """

    views: Sequence[Tensor]
    label: Tensor
    concepts: int

    def similarity(self, features: Tensor) -> Tensor:
        """Greatest cosine of each part to a drawing of each concept, ``(V, K)``."""
        found = []
        for some in torch.split(features, _CHUNK):
            cosine = torch.stack([some @ view.T for view in self.views]).amax(0)
            nothing = torch.full((len(some), self.concepts), -1.0)
            index = self.label.expand(len(some), -1)
            found.append(nothing.scatter_reduce_(1, index, cosine, "amax"))
        return torch.cat(found)


@dataclass(frozen=True)
class Thing:
    """What is looked for.

    Attributes:
        shown_by: concepts whose drawings show it, at least one.
        like: concepts that may be nearer than those without making it wrong: an eagle's where a
            bird is looked for.
    """

    shown_by: Sequence[int]
    like: Sequence[int]


@dataclass(frozen=True)
class Sightings:
    """What is seen in B pictures.

    Attributes:
        seen: ``(B, U)`` bool, whether each of U things is.
        nearest: ``(B,)`` greatest cosine of a part of the picture to a real drawing.
        sharpness: ``(B,)`` of :func:`~limner.metrics.sharpness.edge_sharpness`.
    """

    seen: Tensor
    nearest: Tensor
    sharpness: Tensor


def joined(looks: Sequence[Sightings], things: int) -> Sightings:
    """The sightings of several batches; of no pictures where there are none."""
    if not looks:
        nothing = torch.zeros(0)
        return Sightings(torch.zeros(0, things, dtype=torch.bool), nothing, nothing)
    return Sightings(
        torch.cat([each.seen for each in looks]),
        torch.cat([each.nearest for each in looks]),
        torch.cat([each.sharpness for each in looks]),
    )


class ThingSearch:
    """Looks for things in pictures.

    Args:
        gallery: real drawings.
        judge: made the gallery's features.
        things: U things that are looked for.
    """

    def __init__(self, gallery: DrawingGallery, judge: Judge, things: Sequence[Thing]) -> None:
        self.gallery, self.judge, self.things = gallery, judge, things

    def look(self, images: Tensor) -> Sightings:
        """What is seen in ``(B, 3, H, W)`` pictures in [-1, 1].

        Raises:
            DataError: pictures hold numbers that are not finite.
        """
        check_finite(images)
        parts = parts_of(images)
        similarity = self.gallery.similarity(self.judge.features(parts.images))  # V K
        ordered = similarity.sort(1).values
        most = torch.tensor(NEARER).mul(self.gallery.concepts).ceil()[parts.kind]
        least = torch.tensor(SIMILARITIES)[parts.kind]
        seen = torch.zeros(len(images), len(self.things), dtype=torch.bool)
        for number, thing in enumerate(self.things):
            best = similarity[:, thing.shown_by].amax(1, keepdim=True)
            place = torch.searchsorted(ordered, best, right=True)[:, 0]
            nearer = self.gallery.concepts - place - (similarity[:, thing.like] > best).sum(1)
            there = (nearer < most) & (best[:, 0] >= least)
            seen[parts.owner[there], number] = True
        nearest = torch.full((len(images),), -1.0)
        nearest.scatter_reduce_(0, parts.owner, ordered[:, -1], "amax")
        return Sightings(seen, nearest, edge_sharpness(images))
