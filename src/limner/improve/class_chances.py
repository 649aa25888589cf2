"""The chance that each picture of a data set is of its own class, by what has not seen it.

Three judges learn from nine tenths of the pictures and judge the last tenth, in turn, as in
confident learning (Northcutt, Jiang and Chuang 2021): kernel ridge regressions on pixels and on
oriented gradients, which need few pictures, and a logistic regression on the vectors of an aligner,
or on gradients and the mean colours of fields where there is none. Their log-probabilities are
averaged. A class that is easily taken for others has low chances of its own pictures too; so each
chance is divided by the mean one of the pictures that are said to be of that class, which is the
threshold of confident learning (equation 2 there).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from limner.arrays import Floats

_FOLDS, _KNOWN = 10, 3000
"""Parts that are judged in turn, and pictures that are learned from for each, at most."""
_RIDGE, _SHARPNESS = 0.1, 5.0
"""Of the kernel regression, and of the softmax of what it predicts."""
_DECAY, _STEPS = 0.1, 60
"""Of the logistic regression: weight of half the squared weights, and steps of L-BFGS."""
_ORIENTATIONS, _CELL, _FIELDS = 8, 4, 8
_LEAST = 1e-4
"""Chance below which one judge says nothing more."""
_TILE = 2048


def gradients(thumbs: NDArray[np.uint8]) -> Floats:
    """Histograms of oriented gradients of ``(N, 32, 32, 3)`` thumbnails: ``(N, 512)``, from 0.

    The lengths of the brightness gradients in eight orientations over cells of 4 x 4 pixels (Dalal
    and Triggs 2005, section 6, without normalisation of blocks); their square roots, so that one
    strong edge does not outweigh the rest.
    """
    grey = thumbs.mean(3, dtype=np.float32) / 255
    down, right = np.gradient(grey, axis=(1, 2))
    length = np.hypot(down, right)
    place = (np.arctan2(down, right) % np.pi) / np.pi * _ORIENTATIONS
    before = np.floor(place).astype(np.int64)
    share, count, cells = place - before, len(thumbs), thumbs.shape[1] // _CELL
    found = []
    for each in range(_ORIENTATIONS):
        part = (before % _ORIENTATIONS == each) * (1 - share)
        part += ((before + 1) % _ORIENTATIONS == each) * share
        fields = (length * part).reshape(count, cells, _CELL, cells, _CELL)
        found.append(fields.sum((2, 4)).reshape(count, -1))
    histograms: Floats = np.sqrt(np.concatenate(found, 1)).astype(np.float32)
    return histograms


def colour_fields(thumbs: NDArray[np.uint8]) -> Floats:
    """The mean colours of 8 x 8 fields of ``(N, S, S, 3)`` thumbnails: ``(N, 192)``, 0 to 255."""
    fields = thumbs.reshape(len(thumbs), _FIELDS, -1, _FIELDS, thumbs.shape[2] // _FIELDS, 3)
    found: Floats = fields.mean((2, 4), dtype=np.float32).reshape(len(thumbs), -1)
    return found


def class_chances(
    thumbs: NDArray[np.uint8],
    texts: NDArray[np.int64],
    rows: NDArray[np.int64],
    vectors: NDArray[np.floating[Any]] | None = None,
) -> Floats:
    """The chance that each picture is of its own class, over the mean of those of its class.

    Args:
        thumbs: ``(N, 32, 32, 3)`` uint8; may be a memory map.
        texts: ``(N,)`` number of the class of each.
        rows: ``(R,)`` which pictures are judged, and learned from.
        vectors: ``(R, E)`` those of an aligner; None where there is none.

    Returns:
        ``(R,)`` float32, from 0; about 1 for a usual picture of its class.
    """
    _, labels = np.unique(texts[rows], return_inverse=True)
    classes, count = int(labels.max()) + 1, len(rows)
    rng = np.random.default_rng(0)
    fold = rng.permutation(count) % _FOLDS
    found = np.zeros(count, np.float32)

    starts = range(0, count, _TILE)
    tiles = (thumbs[rows[start : start + _TILE]] for start in starts)
    grey = all(bool((tile == tile[..., :1]).all()) for tile in tiles)

    def views(part: NDArray[np.int64]) -> list[Floats]:
        """What the three judges see of some pictures."""
        some = np.asarray(thumbs[rows[part]])
        edges = gradients(some)
        pixels = (some[..., :1] if grey else some).reshape(len(some), -1).astype(np.float32)
        if vectors is not None:
            return [pixels, edges, vectors[part].astype(np.float32)]
        return [pixels, edges, np.concatenate([colour_fields(some), edges], 1)]

    for turn in range(_FOLDS):
        known = rng.permutation(np.flatnonzero(fold != turn))[:_KNOWN]
        judged, answers = np.flatnonzero(fold == turn), labels[known]
        first, second, third = views(known)
        judges: list[Kernel | Logistic] = [
            Kernel(first, answers, classes), Kernel(second, answers, classes),
            Logistic(third, answers, classes),
        ]  # fmt: skip
        for start in range(0, len(judged), _TILE):
            part = judged[start : start + _TILE]
            logs = [np.log(judge.chances(view) + _LEAST)
                    for judge, view in zip(judges, views(part), strict=True)]  # fmt: skip
            chances = _softmax(np.mean(logs, axis=0))
            found[part] = chances[np.arange(len(part)), labels[part]]
    means = np.bincount(labels, found) / np.bincount(labels)
    usual: Floats = np.maximum(means, _LEAST).astype(np.float32)
    return found / usual[labels]


class _Scaled:
    """Numbers less their means and over their deviations in what was learned from."""

    def __init__(self, known: Floats) -> None:
        self.mean, self.deviation = known.mean(0), known.std(0) + 1e-6

    def scaled(self, view: Floats) -> Floats:
        """``(N, D)`` with means of 0, divided by the root of D."""
        found: Floats = (view - self.mean) / (self.deviation * np.sqrt(np.float32(view.shape[1])))
        return found


class Kernel(_Scaled):
    """Ridge regression with a Gaussian kernel on indicators of the classes.

    The kernel's width is the median distance of what was learned from.

    Args:
        known: ``(N, D)`` descriptions.
        labels: ``(N,)`` below ``classes``.
        classes: K.
    """

    def __init__(self, known: Floats, labels: NDArray[np.int64], classes: int) -> None:
        super().__init__(known)
        self.known = self.scaled(known)
        apart = _squared(self.known, self.known)
        self.width = max(float(np.median(apart)), 1e-6)
        answers = np.eye(classes, dtype=np.float32)[labels]
        ridge = _RIDGE * np.eye(len(known), dtype=np.float32)
        self.weights = np.linalg.solve(np.exp(-apart / self.width) + ridge,
                                       answers - answers.mean(0))  # fmt: skip

    def chances(self, view: Floats) -> Floats:
        """``(N, K)`` of N pictures."""
        near = np.exp(-_squared(self.scaled(view), self.known) / self.width)
        return _softmax(_SHARPNESS * (near @ self.weights))


class Logistic(_Scaled):
    """Multinomial logistic regression with a normal prior, by L-BFGS.

    Args:
        known: ``(N, D)`` descriptions.
        labels: ``(N,)`` below ``classes``.
        classes: K.
    """

    def __init__(self, known: Floats, labels: NDArray[np.int64], classes: int) -> None:
        super().__init__(known)
        view = torch.from_numpy(self.scaled(known) * np.sqrt(np.float32(known.shape[1])))
        answers = torch.from_numpy(labels)
        weights = torch.zeros(known.shape[1], classes, requires_grad=True)
        bias = torch.zeros(classes, requires_grad=True)
        optimizer = torch.optim.LBFGS(
            [weights, bias], max_iter=_STEPS, line_search_fn="strong_wolfe"
        )

        def loss() -> torch.Tensor:
            optimizer.zero_grad()
            found = F.cross_entropy(view @ weights + bias, answers)
            found = found + _DECAY / 2 * weights.square().sum()
            found.backward()  # type: ignore[no-untyped-call]
            return found

        optimizer.step(loss)  # type: ignore[no-untyped-call]
        self.weights, self.bias = weights.detach().numpy(), bias.detach().numpy()

    def chances(self, view: Floats) -> Floats:
        """``(N, K)`` of N pictures."""
        scaled = self.scaled(view) * np.sqrt(np.float32(view.shape[1]))
        return _softmax(scaled @ self.weights + self.bias)


def _squared(one: Floats, other: Floats) -> Floats:
    """Squared distances ``(N, M)`` of rows."""
    found = np.square(one).sum(1)[:, None] + np.square(other).sum(1)[None] - 2 * one @ other.T
    return np.maximum(found, 0).astype(np.float32)  # type: ignore[no-any-return]


def _softmax(logits: Floats) -> Floats:
    """Softmax of each row, float32."""
    high = np.exp(logits - logits.max(1, keepdims=True))
    found: Floats = (high / high.sum(1, keepdims=True)).astype(np.float32)
    return found
