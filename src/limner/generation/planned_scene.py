"""Scenes as they are planned: what a prompt asks for, thing by thing, before any of it is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from limner.models.planner import PlannedThing, ScenePlan
from limner.scenes.contacts import resolve
from limner.scenes.landscape import Prop
from limner.scenes.places import Setting
from limner.scenes.sentence import Link
from limner.scenes.sizes import WORN, facts_of
from limner.scenes.surroundings import has_own_sky
from limner.scenes.top_colours import TopColour
from limner.text.base import TextEncoder, TextFeatures, concatenate
from limner.text.inscriptions import Inscription

_NIGHT = (0.12, 0.14, 0.32)
"""Colour of the background of a card with fireworks."""


@dataclass(frozen=True)
class PlannedScene:
    """A prompt that is drawn in parts, or from other words than its own.

    Attributes:
        plan: what the prompt asks for.
        parts: the words that each thing is drawn from, without those for its tint.
        features: of those words.
        coloured: the same with the words for the tint, for things that cannot be recoloured.
        links: how the things stand to each other, by their numbers; beside the plan's relation.
        setting: the place, time and weather behind them.
        names: of the things in English; empty where they are not known.
        props: what else the setting shows.
        prop_features: of the names of the props.
        figures: of things that are heads of persons, whose bodies they get, and None for others;
            empty where there are none.
        figure_features: of the names of those figures.
        clothed: numbers of persons who are drawn as busts and get a body, and whether each sits.
        whole: numbers of animals that are drawn whole, and not as heads.
        sad: numbers of things whose heads frown, which are drawn smiling.
        aloft: numbers of things that fly over the setting, whatever they are.
        inscriptions: what is written on things, by their numbers.
        heading: what is written above the things; empty for nothing.
    """

    plan: ScenePlan
    parts: tuple[str, ...]
    features: TextFeatures
    coloured: tuple[str, ...]
    links: tuple[Link, ...] = ()
    setting: Setting | None = None
    names: tuple[str, ...] = ()
    props: tuple[Prop, ...] = ()
    prop_features: TextFeatures | None = None
    figures: tuple[str | None, ...] = ()
    figure_features: TextFeatures | None = None
    clothed: tuple[tuple[int, bool], ...] = ()
    whole: frozenset[int] = frozenset()
    sad: frozenset[int] = frozenset()
    aloft: frozenset[int] = frozenset()
    inscriptions: tuple[tuple[int, str], ...] = ()
    heading: str = ""

    @property
    def alone(self) -> bool:
        """Whether the picture is one thing as it is drawn, and nothing is arranged."""
        whole = self.plan.single and not self.inscriptions and not self.heading
        return whole and self.setting is None and bool(self.parts)

    def way(self, link: Link) -> str:
        """What a link means for its two things (:func:`limner.scenes.contacts.resolve`)."""
        first, second = (facts_of(self.names[number]) for number in (link.first, link.second))
        return resolve(link.relation, first, second)

    @property
    def drawings(self) -> int:
        """Single drawings that it is put together of."""
        figures = sum(figure is not None for figure in self.figures)
        return len(self.parts) + len(self.props) + figures

    def of(self, kept: Sequence[int]) -> PlannedScene:
        """The same scene of some of its things only, by their numbers."""
        things = tuple(self.plan.things[i] for i in kept)
        relation = self.plan.relation if len(things) > 1 else None
        return replace(
            self, plan=replace(self.plan, things=things, relation=relation),
            parts=tuple(self.parts[i] for i in kept), features=self.features[list(kept)],
            coloured=tuple(self.coloured[i] for i in kept), links=kept_links(self.links, kept),
            names=tuple(self.names[i] for i in kept),
            clothed=tuple((kept.index(i), sits) for i, sits in self.clothed if i in kept),
            whole=frozenset(new for new, old in enumerate(kept) if old in self.whole),
            sad=frozenset(new for new, old in enumerate(kept) if old in self.sad),
            aloft=frozenset(new for new, old in enumerate(kept) if old in self.aloft),
            inscriptions=tuple((kept.index(i), said) for i, said in self.inscriptions if i in kept),
        )  # fmt: skip

    def topped(self, said: TopColour) -> PlannedScene:
        """The same scene with the top of the thing of which it is said in another colour."""
        at = [
            -2 if facts_of(part).role in WORN else said.before.rfind(part) for part in self.coloured
        ]
        whose = at.index(max(at))
        things = list(self.plan.things)
        things[whose] = replace(things[whose], top=said.colour)
        return replace(self, plan=replace(self.plan, things=tuple(things)))

    def inscribed(self, said: Inscription) -> PlannedScene:
        """The same scene with words on the last thing that is named before them."""
        at = [said.before.rfind(part) for part in self.coloured]
        return replace(self, inscriptions=((at.index(max(at)), said.words),))

    def lit_by_fireworks(self) -> PlannedScene:
        """The same scene, dark where fireworks on white have words above them."""
        plain = self.setting is None and self.plan.background is None
        if not (self.heading and plain and any(map(has_own_sky, self.parts))):
            return self
        return replace(self, plan=replace(self.plan, background=_NIGHT))

    def renamed(self, names: Mapping[int, str], encoder: TextEncoder) -> PlannedScene:
        """The same scene with some of its things, by their numbers, drawn from other names."""
        rows = torch.arange(len(self.parts))
        rows[list(names)] = torch.arange(len(names)) + len(self.parts)
        both = concatenate([self.features, encoder.encode(list(names.values()))])
        return replace(
            self, features=both[rows],
            parts=tuple(names.get(i, part) for i, part in enumerate(self.parts)),
            coloured=tuple(names.get(i, said) for i, said in enumerate(self.coloured)),
        )  # fmt: skip


def one_thing(words: str, name: str, features: TextFeatures) -> PlannedScene:
    """The scene of a picture that is drawn in one piece."""
    plan = ScenePlan((PlannedThing(0),))
    return PlannedScene(plan, (words,), features, (words,), names=(name,))


def kept_links(links: Sequence[Link], kept: Sequence[int]) -> tuple[Link, ...]:
    """The links between things of which only some are kept, by their new numbers."""
    new = {old: number for number, old in enumerate(kept)}
    return tuple(Link(new[link.first], link.relation, new[link.second])
                 for link in links if link.first in new and link.second in new)  # fmt: skip
