"""The pointing game: whether the highest point of a map lies on what it is said to show.

Zhang et al. 2018, "Top-down neural attention by excitation backprop", section 4.2; beside it the
share of a map's mass that lies there (Wang et al. 2020, "Score-CAM", section 4.3).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from limner.errors import UsageError

Box = Sequence[float]
"""Left, top, right and bottom, in shares of the picture's side."""
_SMOOTHED = 1 / 16
"""Share of the side over which a map is averaged first, so that single pixels do not decide."""


def highest_point(values: NDArray[np.float32]) -> tuple[float, float]:
    """Where a map is highest, as shares of its width and height from its left and top.

    Args:
        values: ``(H, W)``, at least 0.

    Raises:
        UsageError: it is 0 everywhere, and points at nothing.
    """
    if not float(values.max()) > 0:
        raise UsageError("the map is 0 everywhere: it points at nothing")
    reach = round(_SMOOTHED * len(values) / 2)
    smooth = _mean_along(_mean_along(values.astype(np.float64), reach).T, reach).T
    top = np.argwhere(smooth >= smooth.max() * (1 - 1e-6))
    row, column = top[((top - top.mean(0)) ** 2).sum(1).argmin()]  # the middle of a plateau
    return (column + 0.5) / values.shape[1], (row + 0.5) / values.shape[0]


def _mean_along(values: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """The means over so many columns to each side, where those beyond the edge are 0."""
    kernel = np.ones(2 * reach + 1) / (2 * reach + 1)
    return np.apply_along_axis(np.convolve, 1, values, kernel, "same")


def points_at(values: NDArray[np.float32], boxes: Sequence[Box]) -> bool:
    """Whether the highest point of ``(H, W)`` lies in one of the boxes; of zeros it never does."""
    if not float(values.max()) > 0:
        return False
    x, y = highest_point(values)
    return any(left <= x <= right and top <= y <= bottom for left, top, right, bottom in boxes)


def share_inside(values: NDArray[np.float32], boxes: Sequence[Box]) -> float:
    """The share in [0, 1] of a map's mass whose pixels have their middle in one of the boxes.

    Args:
        values: ``(H, W)``, not negative.
        boxes: left, top, right and bottom as shares of the sides.
    """
    total = float(values.sum())
    inside = mask_of_boxes(values.shape, boxes)
    return float(values[inside].sum()) / total if total > 0 else 0.0


def mask_of_boxes(shape: tuple[int, ...], boxes: Sequence[Box]) -> NDArray[np.bool_]:
    """Which pixels of a map ``(H, W)`` have their middle in one of the boxes."""
    y = ((np.arange(shape[0]) + 0.5) / shape[0])[:, None]
    x = (np.arange(shape[1]) + 0.5) / shape[1]
    found = np.zeros(shape, np.bool_)
    for left, top, right, bottom in boxes:
        found |= (left <= x) & (x <= right) & (top <= y) & (y <= bottom)
    return found
