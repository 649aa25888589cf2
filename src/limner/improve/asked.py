"""What a prompt asks a picture to show: things, how many, in which colour, and how they stand.

It is read from the words alone, by the planner that lays out scenes, for any model: a flow that
draws the whole picture at once is asked the same questions as a model that composes it. What the
planner reads as part of something else, *a chicken laying eggs*, is found by its words
(:mod:`limner.improve.nouns`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from limner.errors import LimnerError
from limner.generation.glossed_prompts import glossed
from limner.generation.grounding import LEAST, Grounder
from limner.generation.planned_scene import PlannedScene
from limner.generation.prompts import collected, readable
from limner.generation.scene_planning import ScenePlanner
from limner.improve.nouns import ReadThing, is_thing, nouns_beside
from limner.models.concepts import ConceptIndex
from limner.models.planner import PlannedThing
from limner.scenes.colours import COLOURS
from limner.scenes.contacts import resolve
from limner.scenes.layout import RELATIONS, Relation
from limner.scenes.sentence import Link
from limner.scenes.sizes import facts_of, is_plural
from limner.text.base import TextEncoder
from limner.text.lexicon import languages_of
from limner.text.request_words import what_is_asked

_SOME = 3
"""As many are looked for of *birds* as are drawn."""
_ARTICLE = re.compile(r"^(?:an?|the) ", re.IGNORECASE)

_APART = frozenset({"beside", "left", "right", "above", "below", "around"})
"""Ways in which two things stand apart; in all others the one may hide a part of the other."""
_LOOSE = frozenset({"beside", "holding", "before"})
"""What two things are to each other, of which as much is seen where they are side by side."""


@dataclass(frozen=True)
class AskedThing:
    """One kind of thing that a prompt asks for.

    Attributes:
        phrase: that names it, in the prompt's language and without its colour.
        count: how many, 1 or more.
        colour: key of ``COLOURS``; None where none is asked for.
        name: of the known thing that the phrase means, in English; empty where none is near.
    """

    phrase: str
    count: int = 1
    colour: str | None = None
    name: str = ""

    @property
    def said(self) -> str:
        """The words that pictures of it are compared with."""
        return self.name or self.phrase


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
        touching: whether some are to be on, in or before others, so that they do not stand apart.
        loose: whether a list of the things says much the same: at most some are held by others.
        beside: whether some are in the prompt's words alone, and not in the plan that is drawn.
    """

    prompt: str
    things: tuple[AskedThing, ...]
    relations: tuple[AskedRelation, ...] = ()
    placed: bool = False
    touching: bool = False
    loose: bool = True
    beside: bool = False

    @property
    def total(self) -> int:
        """Number of single things asked for."""
        return sum(thing.count for thing in self.things)

    def called(self, thing: AskedThing) -> str:
        """What a thing is called in English: by its own noun, else by what is drawn of it."""
        own = "en" in languages_of(self.prompt) and is_thing(thing.phrase)
        return thing.phrase if own else thing.said


class AskedReader:
    """Reads prompts.

    Args:
        encoder: the planner's own text encoder; with another every prompt asks for one thing.
        concepts: names of known things, by the same encoder; None for none.
    """

    def __init__(self, encoder: TextEncoder, concepts: ConceptIndex | None = None) -> None:
        self._encoder, self._concepts = encoder, concepts
        try:
            self._planner: ScenePlanner | None = ScenePlanner(encoder)
        except LimnerError:
            self._planner = None

    def read(self, prompt: str) -> Asked:
        """What a prompt asks for.

        Raises:
            PromptError: it is no text that can be read.
        """
        words = what_is_asked(glossed(readable(prompt), self._concepts)).subject
        if self._planner is None:
            return Asked(prompt, (AskedThing(words),))
        with collected():
            (scene,) = self._planner.understand([words], self._encoder.encode([words]))
        if scene is None or not scene.parts:
            things: tuple[AskedThing, ...] = (_thing(words, PlannedThing(0)),)
            asked = Asked(prompt, things, placed=scene is not None)
        else:
            things = tuple(map(_thing, scene.parts, scene.plan.things))
            ways, relations = [_way(scene, link) for link in scene.links], _relations(scene)
            said = {link.relation for link in scene.links}
            asked = Asked(
                prompt, things, tuple(relations), placed=scene.setting is not None,
                touching=not _APART.issuperset(ways) or "doing" in said,
                loose=not relations and scene.setting is None and _LOOSE.issuperset(ways),
            )  # fmt: skip
        return asked if self._concepts is None else self._known(asked, words, self._concepts)

    def _known(self, asked: Asked, words: str, concepts: ConceptIndex) -> Asked:
        """The same by the names of known things, and with those that the words alone say."""
        phrases, languages = [thing.phrase for thing in asked.things], languages_of(words)
        grounder = Grounder(concepts, self._encoder, languages)
        with collected():
            _, found = grounder.ground(phrases, self._encoder.encode(phrases))
        things = tuple(
            replace(thing, name=each.drawn if each.similarity >= LEAST else "")
            for thing, each in zip(asked.things, found, strict=True)
        )
        asked = replace(asked, things=things)
        if asked.relations or asked.placed or asked.touching or "en" not in languages:
            return asked
        kept, more = nouns_beside(
            words,
            [
                ReadThing(thing.phrase, thing.said, known=each.known)
                for thing, each in zip(things, found, strict=True)
            ],
            concepts,
        )
        if not more:
            return asked
        parted = (
            things[i] if phrase == things[i].phrase else AskedThing(phrase, name=phrase)
            for i, phrase in kept
        )
        new = (AskedThing(noun, _SOME if is_plural(noun) else 1, name=name) for noun, name in more)
        return replace(asked, things=(*parted, *new), beside=True)


def _way(scene: PlannedScene, link: Link) -> str:
    """What one thing is to another: *with sunglasses* they are worn."""
    first, second = (facts_of(scene.parts[i]) for i in (link.first, link.second))
    return resolve(link.relation, first, second)


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
