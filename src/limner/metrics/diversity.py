"""Diversity within a caption, and duplicates among the drawn pictures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from limner.errors import DataError
from limner.metrics.base import Stream
from limner.metrics.collapse import MOSAIC, duplicate_rate, nearest_other
from limner.metrics.features import FeatureNetwork
from limner.metrics.memorisation import mosaic


def scatter_within(features: Tensor, own: Tensor) -> tuple[Tensor, int]:
    """How far features lie from the mean of their group.

    Args:
        features: ``(N, D)``.
        own: ``(N,)`` int64, the group of each, numbered from 0 without gaps.

    Returns:
        Squared distances ``(N,)`` float64, and the degrees of freedom: N less the number of groups.
    """
    x = features.double()
    count = torch.bincount(own).double()
    sums = torch.zeros(len(count), x.shape[1], dtype=torch.float64).index_add_(0, own, x)
    return (x - (sums / count[:, None])[own]).square().sum(1), len(x) - len(count)


def within_and_overall(features: Tensor, captions: Sequence[str]) -> tuple[float, float]:
    """Root mean squared distance of two pictures of one caption, and of any two.

    Args:
        features: ``(N, D)``.
        captions: N texts.

    Returns:
        Both at least 0; the first is NaN where no caption comes twice.
    """
    index = {text: i for i, text in enumerate(dict.fromkeys(captions))}
    scatter, free = scatter_within(features, torch.tensor([index[text] for text in captions]))
    x = features.double()
    # The expected squared distance of two samples is twice their variance.
    within = (2 * scatter.sum() / free).sqrt().item() if free else float("nan")
    overall = (2 * (x - x.mean(0)).square().sum() / max(len(x) - 1, 1)).sqrt().item()
    return within, overall


class Diversity(Stream):
    """Diversity and duplicates of a stream of pictures.

    Args:
        network: extracts features.
        real: real pictures ``(B, 3, H, W)`` in [-1, 1], batch by batch; the distances between
            them define what counts as a duplicate.

    Raises:
        DataError: fewer than two real pictures.
    """

    def __init__(self, network: FeatureNetwork, real: Iterable[Tensor]) -> None:
        mosaics = [mosaic(images, MOSAIC) for images in real]
        if sum(map(len, mosaics)) < 2:
            raise DataError(
                "duplicates are defined by the distances of real pictures; give at least two"
            )
        self.network, self._real = network, torch.cat(mosaics)
        self._features: list[Tensor] = []
        self._mosaics: list[Tensor] = []
        self._captions: list[str] = []

    def _take(self, images: Tensor, captions: Sequence[str]) -> None:
        self._features.append(self.network.extract(images).features)
        self._mosaics.append(mosaic(images, MOSAIC))
        self._captions += captions

    def per_picture(self) -> dict[str, Tensor]:
        """``nearest_other``, ``(N,)``: distance of each mosaic to the nearest other drawn one."""
        return {"nearest_other": nearest_other(torch.cat(self._mosaics))}

    def compute(self) -> dict[str, float]:
        """The figures over everything taken in.

        Returns:
            ``within``: how far apart two pictures of one caption are, over how far any two are;
            0 for a model that draws a caption in one way only, left out where no caption came
            twice. ``duplicates``: the share with a duplicate, another drawn picture that is nearer
            than 99 in 100 real ones are to each other, of as many pictures as there are real
            ones; 0.01 is what real pictures have. ``count``.

        Raises:
            DataError: fewer than two pictures.
        """
        if len(self._captions) < 2:
            raise DataError("fewer than two pictures cannot differ; measure more")
        within, overall = within_and_overall(torch.cat(self._features), self._captions)
        drawn = torch.cat(self._mosaics)[: len(self._real)]
        figures = {
            "duplicates": duplicate_rate(self._real[: len(drawn)], drawn),
            "count": float(len(self._captions)),
        }
        if math.isfinite(within):
            figures["within"] = within / max(overall, 1e-12)
        return figures
