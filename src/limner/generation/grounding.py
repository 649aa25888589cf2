"""Grounding: a phrase that a model does not know is drawn from the nearest name that it knows.

A network that is asked for something between the things it was trained on draws their average, a
blur. So a phrase is looked up in the model's :class:`~limner.models.concepts.ConceptIndex`, and
where it is no known name, the nearest known name is drawn instead of it. What was done is part of
the picture's record.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from limner.generation.prompts import quoted, warn
from limner.generation.scenes import PlannedScene
from limner.models.concepts import ConceptIndex, KnownConcept
from limner.scenes.sizes import kind_of_person, person_in
from limner.text.base import TextEncoder, TextFeatures, concatenate
from limner.text.names import bare, name_key
from limner.text.spaceless import SPACELESS
from limner.text.vocabulary import in_english

KNOWN = 0.8
"""A phrase means a known concept from this similarity to a name of it on."""
FAMILIAR = 0.9
"""A phrase is drawn as it stands from this similarity to any text that the model learned from."""
UNSURE = 0.55
"""Below this similarity the nearest known name most often means something else."""
LEAST = 0.6
"""What is less like any known name than this is left out of a scene of several things."""
NAMED_INSIDE = 0.1
"""By so much a name that stands in the phrase is preferred to others."""


_SIZES = re.compile(
    r"^(?:(?:big|large|huge|giant|small|tiny|tall|long|short|old|young|new|gro(?:ß|ss)e[mnrs]?"
    r"|kleine[mnrs]?|alte[mnrs]?|grande?s?|petite?s?|gran|vieux|vieille) )+(?=\S)",
    re.IGNORECASE,
)
"""Words before a name that make no other thing of it."""
_LIKE = KNOWN - 0.01
"""The greatest similarity of what is drawn as another of its kind."""
_PERSONS = 12
"""Concepts among which a person is looked for."""


class Grounding(BaseModel):
    """What a phrase of a prompt is drawn from.

    Attributes:
        phrase: of the prompt.
        drawn: what is drawn in its place: the caption of a known concept; the phrase itself where
            the model learned from it.
        similarity: of the phrase and that name, in [-1, 1].
        known: whether the phrase means what is drawn: it is another name of it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    phrase: str = Field(max_length=100_000)
    drawn: str = Field(max_length=100_000)
    similarity: float = Field(ge=-1, le=1)
    known: bool = False

    @property
    def replaced(self) -> bool:
        """Whether the picture is drawn from other words than the phrase."""
        return self.drawn != self.phrase

    def warn(self, known: int) -> None:
        """Say what is drawn in place of the phrase, if it is another thing.

        Args:
            known: how many things the model knows.
        """
        if self.replaced and not self.known:
            how = "is like none of" if self.similarity < UNSURE else "is not among"
            warn(f"{quoted(self.phrase)} {how} the {known:,} things this model knows; "
                 f"drawn as {quoted(self.drawn)}")  # fmt: skip


def ground(
    index: ConceptIndex,
    encoder: TextEncoder,
    phrases: Sequence[str],
    features: TextFeatures,
    languages: Sequence[str] = (),
) -> tuple[TextFeatures, list[Grounding]]:
    """The features that B phrases are drawn from, and what each is drawn from.

    A phrase that is a name, in any language, is drawn from the caption of its concept; a name in
    the text's own language goes before the same letters in English. Else the nearest name is looked
    for: of the phrase, of the phrase without what stands around a name, of names that stand in it,
    and of the phrase with its spelling put right. A person is never drawn as something else.

    Args:
        index: of the model that draws.
        encoder: of that model.
        phrases: as they are in the prompts.
        features: of the phrases.
        languages: that the phrases may be in (:func:`limner.text.lexicon.languages_of`).
    """
    found = [_ground(index, encoder, *each, languages)
             for each in zip(phrases, features.pooled, strict=True)]  # fmt: skip
    others = [i for i, each in enumerate(found) if each.replaced]
    if not others:
        return features, found
    replaced = encoder.encode([found[i].drawn for i in others])
    both = concatenate([features, replaced])
    rows = torch.arange(len(features))
    rows[others] = torch.arange(len(features), len(both))
    return both[rows], found


def _ground(
    index: ConceptIndex, encoder: TextEncoder, phrase: str, vector: Tensor, languages: Sequence[str]
) -> Grounding:
    """What one phrase with its sentence vector is drawn from."""
    meaning = in_english(phrase, languages) if languages else None
    near = (_named(index, meaning) if meaning else None) or _named(index, phrase)
    if near is None and (meaning := meaning or in_english(phrase)) is not None:
        near = _named(index, meaning) or index.nearest(encoder.encode([meaning]).pooled)[0][0]
    if near is None:
        (near,) = index.nearest(vector[None])[0]
        if index.keyword_similarity(vector[None])[0] >= max(FAMILIAR, near.similarity):
            return _drawn_from(phrase, replace(near, caption=phrase), known=True)
        if near.similarity < KNOWN:
            others = _otherwise(index, encoder, phrase, vector, languages)
            near = max([near, *others], key=lambda each: each.similarity)
    near = _person(index, encoder, meaning or phrase, near)
    return _drawn_from(phrase, near, known=near.similarity >= KNOWN and not near.instance)


def _named(index: ConceptIndex, phrase: str) -> KnownConcept | None:
    """The concept that is called so; *tree* for *big tree*, although that is a kind of wood."""
    named = [index.named(text) for text in (phrase, _SIZES.sub("", bare(phrase)))]
    found = [each for each in named if each is not None]
    return min(found, key=lambda each: each.instance, default=None)


def _person(
    index: ConceptIndex, encoder: TextEncoder, phrase: str, near: KnownConcept
) -> KnownConcept:
    """The nearest concept to a phrase: for a person, the nearest known person."""
    who = person_in(phrase)
    if who is None or (near.similarity == 1 and name_key(bare(phrase)) != who):
        return near  # a king cobra is no king
    if person_in(near.caption) and (near.similarity >= KNOWN or who in near.caption):
        return near
    kind = kind_of_person(who)
    some = index.nearest(encoder.encode([who]).pooled, _PERSONS)[0]
    likely = [index.named(who), None if kind == "person" else index.named(kind),
              *(each for each in some if each.similarity >= LEAST),
              index.named("person")]  # fmt: skip
    found = next((each for each in likely if each and person_in(each.caption)), near)
    if found in (near, likely[0]):
        return found
    return replace(found, similarity=max(LEAST, min(found.similarity, near.similarity, _LIKE)))


def _otherwise(
    index: ConceptIndex,
    encoder: TextEncoder,
    phrase: str,
    vector: Tensor,
    languages: Sequence[str],
) -> Iterator[KnownConcept]:
    """Concepts that are near to the phrase in other words."""
    if (plain := bare(phrase)) != phrase:
        yield index.nearest(encoder.encode([plain]).pooled)[0][0]
    named = [(span, index.named((in_english(span, languages) if languages else None) or span))
             for span in _spans(phrase)]  # fmt: skip
    inside = [(span, each) for span, each in named if each is not None and not each.instance]
    if inside:
        vectors = encoder.encode([span for span, _ in inside]).pooled
        for (_, each), near in zip(inside, index.similarity(vector, vectors), strict=True):
            yield replace(each, similarity=near + NAMED_INSIDE)
    respelled = index.respelled(phrase)
    if respelled is not None:
        yield index.named(respelled) or index.nearest(encoder.encode([respelled]).pooled)[0][0]


def _spans(phrase: str) -> Iterator[str]:
    """Parts that may be names: up to four words, or six signs of a script without spaces."""
    spaceless = SPACELESS.search(phrase) is not None
    units, joint, most = (list(phrase), "", 6) if spaceless else (phrase.split(), " ", 4)
    for length in range(min(most, len(units) - 1), 0, -1):
        for start in range(len(units) - length + 1):
            span = joint.join(units[start : start + length])
            if spaceless or len(span) > 2:
                yield span


def _drawn_from(phrase: str, near: KnownConcept, known: bool) -> Grounding:
    similarity = min(1.0, max(-1.0, round(near.similarity, 4)))
    return Grounding(phrase=phrase, drawn=near.caption, similarity=similarity, known=known)


def _in_colour(index: ConceptIndex, tint: str | None, each: Grounding, said: str) -> str:
    """The words for a thing with its colour, or without where the model learned no such words."""
    words = " ".join(filter(None, (tint, each.drawn))) if each.replaced else said
    learned = tint is None or len(index.keywords) > 0 or index.named(words) is not None
    return words if learned else each.drawn


def ground_scene(
    index: ConceptIndex, encoder: TextEncoder, scene: PlannedScene, languages: Sequence[str] = ()
) -> tuple[PlannedScene, list[Grounding]]:
    """The same scene of known things; see :func:`ground`.

    Its setting shows only the props that are known, and of several things those that are like any
    known thing.

    Warns:
        PromptWarning: a thing is left out.
    """
    if scene.prop_features is not None:
        near = [each for (each,) in index.nearest(scene.prop_features.pooled)]
        rows = [i for i, each in enumerate(near) if each.similarity >= KNOWN]
        props = tuple(scene.props[i] for i in rows)
        scene = replace(
            scene, props=props, prop_features=scene.prop_features[rows] if rows else None
        )
    if not scene.parts:
        return scene, []
    features, found = ground(index, encoder, scene.parts, scene.features, languages)
    coloured = tuple(
        _in_colour(index, thing.tint, each, said)
        for thing, each, said in zip(scene.plan.things, found, scene.coloured, strict=True)
    )
    parts = tuple(each.drawn for each in found)
    names = tuple(name or part for name, part in zip(scene.names, parts, strict=True))
    scene = replace(scene, parts=parts, features=features, coloured=coloured, names=names)
    kept = [i for i, each in enumerate(found) if each.similarity >= LEAST]
    kept = kept or [max(range(len(found)), key=lambda i: found[i].similarity)]
    if len(kept) == len(found):
        return scene, found
    for i in {*range(len(found))} - {*kept}:
        warn(f"{quoted(found[i].phrase)} is like none of the {len(index):,} things this model "
             "knows; it is left out")  # fmt: skip
    return scene.of(kept), [found[i] for i in kept]
