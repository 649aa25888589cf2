"""Many pictures begun, few finished: of candidates that differ in their noise the best go on.

After some network evaluations the network's prediction of the finished picture is scored, and only
the best are drawn to the end (successive halving with one cut, Karnin et al. 2013, section 4; for
diffusion models the search over paths of Ma et al. 2025, section 3). Finished pictures keep the
bits that their seeds draw alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from limner.models.image_model import ImageModel
from limner.models.settings import Settings

_COMPARED_AFTER = 1 / 3
"""Of the network evaluations of a picture; chosen among evaluations 1, 2, 3, 4 and 6 of 11."""
_BEFORE = 0.8
"""Of all network evaluations those before the cut, at most."""


@dataclass(frozen=True)
class Screening:
    """How many pictures are begun, and how many of them are finished.

    Attributes:
        begun: pictures.
        finished: of those.
        after: network evaluations after which they are compared.
        evaluations: that a finished picture takes.
    """

    begun: int
    finished: int
    after: int
    evaluations: int

    @property
    def cost(self) -> float:
        """Of the network evaluations, in finished pictures."""
        dropped = self.begun - self.finished
        return self.finished + dropped * self.after / self.evaluations


def compared_after(evaluations: int) -> int:
    """After how many network evaluations pictures of so many are compared."""
    return math.ceil(evaluations * _COMPARED_AFTER)


def screens(model: ImageModel, settings: Settings) -> bool:
    """Whether a model's pictures are compared before they are finished."""
    return model.predicting_evaluations(settings) is not None


def screening(pictures: int, model: ImageModel, settings: Settings) -> Screening | None:
    """What so many pictures' network evaluations are spent on; None for finishing all.

    Args:
        pictures: whose evaluations there are.
        model: draws.
        settings: of all.
    """
    evaluations = model.predicting_evaluations(settings)
    if evaluations is None:
        return None
    after, total = compared_after(evaluations), pictures * evaluations
    begun = int(total * _BEFORE) // after
    finished = (total - begun * after) // (evaluations - after) if after < evaluations else 0
    if begun <= pictures or finished < 1:
        return None
    return Screening(begun, finished, after, evaluations)
