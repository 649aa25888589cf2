"""What a prompt asks a picture to show: things, how many, in which colour, and how they stand.

It is read from the words alone, by the planner that lays out scenes, for any model: a flow that
draws the whole picture at once is asked the same questions as a model that composes it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from limner.errors import LimnerError
from limner.generation.prompts import collected, readable
from limner.generation.scenes import PlannedScene, SceneArtist
from limner.models.planner import PlannedThing
from limner.scenes.colours import COLOURS
from limner.scenes.layout import RELATIONS, Relation
from limner.text.base import TextEncoder
from limner.text.request_words import what_is_asked

_ARTICLE = re.compile(r"^(?:an?|the) ", re.IGNORECASE)

_TOUCHING = frozenset({"on", "in", "wearing", "holding", "riding", "eating", "full", "doing"})


@dataclass(frozen=True)
class AskedThing:
    """One kind of thing that a prompt asks for.

    Attributes:
        phrase: that names it, in the prompt's language and without its colour.
        count: how many, 1 or more.
        colour: key of ``COLOURS``; None where none is asked for.
    """

    phrase: str
    count: int = 1
    colour: str | None = None


@dataclass(frozen=True)
class AskedRelation:
    """Where one thing is asked to be, seen from another; both by their numbers."""

    first: int
    relation: Relation
    second: int


@dataclass(frozen=True)
class Asked:
    """What a picture is asked to show.

    Attributes:
        prompt: the words.
        things: at least one.
        relations: between them.
        placed: whether a place is to be behind them.
        touching: whether some are to be on, in or at others, so that they do not stand apart.
    """

    prompt: str
    things: tuple[AskedThing, ...]
    relations: tuple[AskedRelation, ...] = ()
    placed: bool = False
    touching: bool = False

    @property
    def total(self) -> int:
        """Single things."""
        return sum(thing.count for thing in self.things)


class AskedReader:
    """Reads prompts.

    Args:
        encoder: the planner's own text encoder; with another every prompt asks for one thing.
    """

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder
        try:
            self._artist: SceneArtist | None = SceneArtist(encoder)
        except LimnerError:
            self._artist = None

    def read(self, prompt: str) -> Asked:
        """What a prompt asks for.

        Raises:
            PromptError: it is no text that can be read.
        """
        words = what_is_asked(readable(prompt)).subject
        if self._artist is None:
            return Asked(prompt, (AskedThing(words),))
        with collected():
            (scene,) = self._artist.understand([words], self._encoder.encode([words]))
        if scene is None or not scene.parts:
            return Asked(prompt, (_thing(words, PlannedThing(0)),), placed=scene is not None)
        things = tuple(map(_thing, scene.parts, scene.plan.things))
        touching = any(link.relation in _TOUCHING for link in scene.links)
        return Asked(prompt, things, tuple(_relations(scene)), scene.setting is not None, touching)


def _thing(phrase: str, planned: PlannedThing) -> AskedThing:
    """A thing of a plan; a colour that stands before an English name is asked for, too."""
    phrase = _plainly(phrase)
    first, _, rest = phrase.partition(" ")
    if planned.tint is None and rest and first.lower() in COLOURS:
        return AskedThing(rest, planned.count, first.lower())
    colour = planned.tint if planned.tint in COLOURS else None  # white is no hue to look for
    return AskedThing(phrase, planned.count, colour)


def _plainly(phrase: str) -> str:
    """A phrase without an English article."""
    return _ARTICLE.sub("", phrase) or phrase


def _relations(scene: PlannedScene) -> Sequence[AskedRelation]:
    """Those that say left, right, above or below."""
    if scene.plan.relation is not None and len(scene.parts) > 1:
        return [AskedRelation(0, scene.plan.relation, other)
                for other in range(1, len(scene.parts))]  # fmt: skip
    return [
        AskedRelation(link.first, relation, link.second)
        for link in scene.links
        for relation in RELATIONS
        if link.relation == relation
    ]
