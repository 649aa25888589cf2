"""Grounding: a phrase that a model does not know is drawn from the nearest name that it knows.

A network that is asked for something between the things it was trained on draws their average, a
blur. So a phrase is looked up in the model's :class:`~limner.models.concepts.ConceptIndex`, and
where it is no known name, the nearest known name is drawn instead of it. What was done is part of
the picture's record.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from limner.generation.prompts import quoted, warn
from limner.generation.scenes import PlannedScene
from limner.models.concepts import ConceptIndex, KnownConcept
from limner.text.base import TextEncoder, TextFeatures, concatenate
from limner.text.names import bare, subject
from limner.text.spaceless import SPACELESS

KNOWN = 0.8
"""A phrase means a known concept from this similarity to a name of it on."""
FAMILIAR = 0.9
"""A phrase is drawn as it stands from this similarity to any text that the model learned from."""
UNSURE = 0.55
"""Below this similarity the nearest known name most often means something else."""
NAMED_INSIDE = 0.1
"""By so much a name that stands in the phrase is preferred to others."""


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
    index: ConceptIndex, encoder: TextEncoder, phrases: Sequence[str], features: TextFeatures
) -> tuple[TextFeatures, list[Grounding]]:
    """The features that B phrases are drawn from, and what each is drawn from.

    A phrase that is a name, in any language, is drawn from the caption of its concept. Else the
    nearest name is looked for: of the phrase, of the phrase without what stands around a name, of
    names that stand in it, and of the phrase with its spelling put right.

    Args:
        index: of the model that draws.
        encoder: of that model.
        phrases: as they are in the prompts.
        features: of the phrases.
    """
    found = [_ground(index, encoder, *each) for each in zip(phrases, features.pooled, strict=True)]
    others = [i for i, each in enumerate(found) if each.replaced]
    if not others:
        return features, found
    replaced = encoder.encode([found[i].drawn for i in others])
    both = concatenate([features, replaced])
    rows = torch.arange(len(features))
    rows[others] = torch.arange(len(features), len(both))
    return both[rows], found


def _ground(index: ConceptIndex, encoder: TextEncoder, phrase: str, vector: Tensor) -> Grounding:
    """What one phrase with its sentence vector is drawn from."""
    asked = subject(phrase)
    if (named := index.named(phrase) or index.named(asked)) is not None:
        return _drawn_from(phrase, named, known=not named.instance)
    (near,) = index.nearest(vector[None])[0]
    if index.keyword_similarity(vector[None])[0] >= max(FAMILIAR, near.similarity):
        return _drawn_from(phrase, replace(near, caption=phrase), known=True)
    if near.similarity < KNOWN:
        near = max([near, *_otherwise(index, encoder, phrase, asked, vector)], key=_likely)
    return _drawn_from(phrase, near, known=near.similarity >= KNOWN and not near.instance)


def _likely(concept: KnownConcept) -> float:
    return concept.similarity


def _otherwise(
    index: ConceptIndex, encoder: TextEncoder, phrase: str, asked: str, vector: Tensor
) -> Iterator[KnownConcept]:
    """Concepts that are near to the phrase, or to what it asks for, in other words."""
    others = list(dict.fromkeys(text for text in (bare(phrase), asked, bare(asked))
                                if text != phrase))  # fmt: skip
    if others:
        yield from (near for (near,) in index.nearest(encoder.encode(others).pooled))
    named = (index.named(span) for span in _spans(phrase))
    inside = [each for each in named if each is not None and not each.instance]
    if inside:
        vectors = encoder.encode([each.name for each in inside]).pooled
        for each, near in zip(inside, index.similarity(vector, vectors), strict=True):
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


def ground_scene(
    index: ConceptIndex, encoder: TextEncoder, scene: PlannedScene
) -> tuple[PlannedScene, list[Grounding]]:
    """The same scene of known things; see :func:`ground`.

    Its setting shows only the props that are known.
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
    features, found = ground(index, encoder, scene.parts, scene.features)
    coloured = tuple(
        " ".join(filter(None, (thing.tint, each.drawn))) if each.replaced else said
        for thing, each, said in zip(scene.plan.things, found, scene.coloured, strict=True)
    )
    parts = tuple(each.drawn for each in found)
    names = tuple(
        name or near.caption
        for name, (near,) in zip(scene.names, index.nearest(features.pooled), strict=True)
    )
    return replace(scene, parts=parts, features=features, coloured=coloured, names=names), found
