"""Connected parts and neighbourhoods of masks and maps of a picture, ``(H, W)`` each."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from limner.arrays import Mask

_Map = TypeVar("_Map", bound=np.generic)


def parts_of(mask: Mask) -> NDArray[np.int64]:
    """The connected part that each pixel of ``(H, W)`` belongs to, from 1; 0 outside the mask.

    Neighbours are those above, below, to the left and to the right. Runs along rows are joined
    where they touch: each takes the lowest number among its own and its neighbours' (label
    equivalence with pointer jumping, as in He et al. 2017, Pattern Recognition 70).
    """
    wide = mask.shape[1] + 1  # every row ends outside the mask
    flat = np.zeros(mask.shape[0] * wide + 1, np.int8)
    flat[1:].reshape(-1, wide)[:, :-1] = mask
    steps = np.diff(flat)
    starts, ends = np.flatnonzero(steps > 0), np.flatnonzero(steps < 0)
    low = np.searchsorted(ends, starts + wide, "right")  # runs of the next row that touch each
    counts = np.maximum(np.searchsorted(starts, ends + wide, "left") - low, 0)
    one = np.repeat(np.arange(len(starts)), counts)
    other = np.arange(counts.sum()) + np.repeat(low - (np.cumsum(counts) - counts), counts)
    label = np.arange(len(starts))
    while (label[one] != label[other]).any():
        lowest = np.minimum(label[one], label[other])
        for run in (one, other):
            np.minimum.at(label, label[run], lowest)
        while (label != label[label]).any():
            label = label[label]
    found = np.zeros(mask.shape, np.int64)
    found[mask] = np.repeat(label + 1, ends - starts)
    return found


def largest_part(mask: Mask) -> Mask:
    """The connected part of a mask that has the most pixels, the first of equal ones.

    Nothing of an empty mask.
    """
    parts = parts_of(mask)
    sizes = np.bincount(parts[mask])
    return mask & (parts == sizes.argmax()) if len(sizes) else mask.copy()


def touching_border(mask: Mask) -> Mask:
    """The parts of a mask that are connected to the border of the picture."""
    parts = parts_of(mask)
    outside = np.zeros(parts.max(initial=0) + 1, np.bool_)
    for edge in (parts[0], parts[-1], parts[:, 0], parts[:, -1]):
        outside[edge] = True
    outside[0] = False
    return outside[parts]


def grown(mask: Mask) -> Mask:
    """The mask and the pixels above, below, to the left and to the right of it."""
    found = mask.copy()
    found[1:] |= mask[:-1]
    found[:-1] |= mask[1:]
    found[:, 1:] |= mask[:, :-1]
    found[:, :-1] |= mask[:, 1:]
    return found


def largest(values: NDArray[_Map], reach: int) -> NDArray[_Map]:
    """Maximum within ``reach`` rows and columns of each pixel of ``(H, W)``."""
    for _ in range(2):  # rows, then columns
        found = values.copy()
        for shift in range(1, reach + 1):
            np.maximum(found[shift:], values[:-shift], out=found[shift:])
            np.maximum(found[:-shift], values[shift:], out=found[:-shift])
        values = found.T
    return values
