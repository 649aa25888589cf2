"""Which parts of a picture are copies of training drawings.

A model that keeps its training drawings draws each thing from one of them, so it is known which;
how near the picture comes to it is measured as memorisation is
(:mod:`limner.metrics.memorisation`).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from limner.metrics.memorisation import mosaic
from limner.vision.pixels import to_tensor

COPY_DISTANCE = 0.058
"""Below it a drawing counts as a copy: one in a hundred drawings comes so near to one of another
set (:func:`limner.metrics.memorisation.threshold_between_styles` of the shipped model's store)."""


class TrainingDrawing(BaseModel):
    """A training drawing that a thing in a picture was drawn from.

    Attributes:
        drawn: the words that it was found by.
        set: the set of drawings it is of, as the model's style of that name; None if not known.
        licence: of the set, with its author; None if not known.
        distance: root mean square difference of the mean colours of 16 x 16 fields, in units of the
            range [-1, 1], between the drawing as the model keeps it and as it was varied, redrawn
            or recoloured; before it was placed in a scene.
        copied: whether that is less than :data:`COPY_DISTANCE`.
    """

    model_config = ConfigDict(frozen=True)

    drawn: str
    set: str | None
    licence: str | None = None
    distance: float
    copied: bool


def compared(
    name: str, style: str | None, kept: Tensor, shown: NDArray[np.uint8]
) -> TrainingDrawing:
    """A drawing as the model keeps it, ``(3, S, S)`` in [-1, 1], beside what is shown of it.

    Args:
        name: the words that it was found by.
        style: its set; None if not known.
        kept: as the model keeps it.
        shown: ``(S, S, 3)``, in the picture.
    """
    difference = mosaic(kept[None] - to_tensor(shown[None]))  # of a mean it is the mean of it
    distance = math.sqrt(float(difference.square().mean()))
    return TrainingDrawing(
        drawn=name, set=style, distance=round(distance, 4), copied=distance < COPY_DISTANCE
    )
