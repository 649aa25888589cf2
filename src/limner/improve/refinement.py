"""The result of a refinement: its pictures, their scores, and which is the best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from limner.generation.picture import Picture
from limner.improve.asked import Asked
from limner.improve.composing import Composition
from limner.improve.scoring import PictureScore
from limner.improve.screening import Screening

_VARIED, _EDITED, _APART = 0.2, 0.04, 0.2
"""By how much a score must be higher to prefer a picture of variety 1, with one more instruction,
or with a thing beside the one that should hold it: drawbacks that the score does not see."""


@dataclass(frozen=True)
class Attempt:
    """One picture of a refinement.

    Attributes:
        picture: the picture, with its record.
        score: its score.
        round: the round in which it was drawn, from 1.
        what: the change that was made.
        why: the check of an earlier picture that led to it; empty for none.
        apart: whether a thing that should be held was drawn beside its holder.
    """

    picture: Picture
    score: PictureScore
    round: int
    what: str
    why: str
    apart: bool = False

    @property
    def value(self) -> float:
        """The criterion for the best: the total score, minus penalties for variety and edits."""
        less = _VARIED * (self.picture.settings.variety or 0.0)
        less += _EDITED * len(self.picture.edits) + _APART * self.apart
        return self.score.total - less


@dataclass(frozen=True)
class Refinement:
    """The result of a refinement.

    Attributes:
        asked: what the prompt asks the pictures to show.
        attempts: all finished pictures, in order.
        target: the score at which to stop.
        caption: the caption of the reference picture, if that was used as the prompt; else empty.
        screened: rounds that began more pictures than they finished.
        composed: rounds that composed a scene from the best drawing of each thing.
    """

    asked: Asked
    attempts: tuple[Attempt, ...]
    target: float
    caption: str = ""
    screened: Mapping[int, Screening] = field(default_factory=dict)
    composed: Mapping[int, Composition] = field(default_factory=dict)

    @property
    def best(self) -> Attempt:
        """The attempt with the greatest value; the first of equal ones."""
        return max(self.attempts, key=lambda attempt: attempt.value)

    @property
    def picture(self) -> Picture:
        """The picture of the best attempt."""
        return self.best.picture

    @property
    def reached(self) -> bool:
        """Whether the best reaches the target."""
        return self.best.score.total >= self.target

    @property
    def begun(self) -> int:
        """Number of pictures begun, including unfinished ones."""
        dropped = [each.begun - each.finished for each in self.screened.values()]
        dropped += [each.begun for each in self.composed.values() if each.begun > 1]
        return len(self.attempts) + sum(dropped)

    @property
    def rounds(self) -> list[list[Attempt]]:
        """The attempts of each round."""
        last = max(self.attempts[-1].round, *self.composed, 1)
        return [[a for a in self.attempts if a.round == number] for number in range(1, last + 1)]
