"""What a refinement drew: its pictures, their scores, and which is the best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from limner.generation.picture import Picture
from limner.improve.asked import Asked
from limner.improve.composing import Composition
from limner.improve.scoring import PictureScore
from limner.improve.screening import Screening

_VARIED, _EDITED, _APART = 0.2, 0.04, 0.2
"""By how much a score must be higher to prefer a picture of variety 1, one more instruction, and
what is to be held beside who holds it: a drawing is recognised best as it was learned, and the
score does not see all of that."""


@dataclass(frozen=True)
class Attempt:
    """One picture of a refinement.

    Attributes:
        picture: with all that draws it again.
        score: of it.
        round: in which it was drawn, from 1.
        what: was changed.
        why: the check of an earlier picture that asked for it; empty for none.
        apart: whether what is to be held was drawn beside who holds it.
    """

    picture: Picture
    score: PictureScore
    round: int
    what: str
    why: str
    apart: bool = False

    @property
    def value(self) -> float:
        """By which the best is chosen: the total, less for what was varied or edited."""
        less = _VARIED * (self.picture.settings.variety or 0.0)
        less += _EDITED * len(self.picture.edits) + _APART * self.apart
        return self.score.total - less


@dataclass(frozen=True)
class Refinement:
    """What a refinement drew.

    Attributes:
        asked: what the pictures were asked to show.
        attempts: all that were finished, in the order in which they were drawn.
        target: score from which on it would stop.
        caption: of the reference picture, where that is the prompt; else empty.
        screened: of the rounds that began more pictures than they finished.
        composed: of the rounds that drew one scene of the best drawings of its things.
    """

    asked: Asked
    attempts: tuple[Attempt, ...]
    target: float
    caption: str = ""
    screened: Mapping[int, Screening] = field(default_factory=dict)
    composed: Mapping[int, Composition] = field(default_factory=dict)

    @property
    def best(self) -> Attempt:
        """The attempt of the greatest value, of equal ones the first."""
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
        """Pictures that were begun; those of :attr:`attempts` are finished."""
        dropped = [each.begun - each.finished for each in self.screened.values()]
        dropped += [each.begun for each in self.composed.values() if each.begun > 1]
        return len(self.attempts) + sum(dropped)

    @property
    def rounds(self) -> list[list[Attempt]]:
        """The attempts of each round."""
        last = max(self.attempts[-1].round, *self.composed, 1)
        return [[a for a in self.attempts if a.round == number] for number in range(1, last + 1)]
