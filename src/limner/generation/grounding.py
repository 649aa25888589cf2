"""Grounding: a phrase that a model does not know is drawn from the nearest name that it knows.

A network that is asked for something between the things it was trained on draws their average, a
blur. So a phrase is looked up in the model's :class:`~limner.models.concepts.ConceptIndex`, and
where it is no known name, the nearest known name is drawn instead of it. What was done is part of
the picture's record.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import torch
from pydantic import BaseModel, ConfigDict, Field

from limner.generation.prompts import quoted, warn
from limner.generation.scenes import PlannedScene
from limner.models.concepts import ConceptIndex, KnownConcept
from limner.text.base import TextEncoder, TextFeatures, concatenate

KNOWN = 0.8
"""A phrase means a known concept from this similarity to a name of it on."""
FAMILIAR = 0.9
"""A phrase is drawn as it stands from this similarity to any text that the model learned from."""
UNSURE = 0.45
"""Below this similarity the nearest known name most often means something else."""
_AROUND = (
    re.compile(r"^(?:an?|the|some)\s+", re.IGNORECASE),
    re.compile(r"^(?:picture|drawing|icon|image)\s+of\s+(?:(?:an?|the|some)\s+)?", re.IGNORECASE),
    re.compile(
        r"^(?:图上有|画)?[一二两三四五六七八九十百\d]+"
        r"[只条个棵颗朵头匹架把顶部枚支本辆座张台件杯块根位名群双对]"
    ),
)
_PLURALS = ((re.compile(r"(?<=\w\w)ies$"), "y"), (re.compile(r"(?<=s|x|z|h)es$"), ""),
            (re.compile(r"(?<=\w\w)(?<![su])s$"), ""))  # fmt: skip


def bare(phrase: str) -> str:
    """A phrase without what stands around a name: articles, numbers with measure words, plurals.

    *a picture of an apple* is *apple*, *hammers* *hammer*, *一棵树* *树*.
    """
    name = phrase.strip()
    for words in _AROUND:
        name = words.sub("", name) or name
    for ending, single in _PLURALS:
        if ending.search(name):
            return ending.sub(single, name)
    return name


class Grounding(BaseModel):
    """What a phrase of a prompt is drawn from.

    Attributes:
        phrase: of the prompt.
        drawn: the known name that is drawn in its place; the phrase itself where it is known.
        similarity: of the phrase and that name, in [-1, 1].
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    phrase: str = Field(max_length=100_000)
    drawn: str = Field(max_length=100_000)
    similarity: float = Field(ge=-1, le=1)

    @property
    def replaced(self) -> bool:
        """Whether the picture is drawn from other words than the phrase."""
        return self.drawn != self.phrase

    def warn(self, known: int) -> None:
        """Say what is drawn in place of the phrase, if another name is.

        Args:
            known: how many things the model knows.
        """
        if self.replaced:
            how = "is like none of" if self.similarity < UNSURE else "is not among"
            warn(f"{quoted(self.phrase)} {how} the {known:,} things this model knows; "
                 f"drawn as {quoted(self.drawn)}")  # fmt: skip


def ground(
    index: ConceptIndex, encoder: TextEncoder, phrases: Sequence[str], features: TextFeatures
) -> tuple[TextFeatures, list[Grounding]]:
    """The features that B phrases are drawn from, and what each is drawn from.

    Args:
        index: of the model that draws.
        encoder: of that model.
        phrases: as they are in the prompts.
        features: of the phrases.
    """
    whole = _look_up(index, phrases, features)
    unknown = {i: bare(phrases[i]) for i, (_, known) in enumerate(whole) if not known}
    shorter = {i: name for i, name in unknown.items() if name != phrases[i]}
    if shorter:
        names = list(shorter.values())
        again = _look_up(index, names, encoder.encode(names))
        for i, (near, known) in zip(shorter, again, strict=True):
            if known or near.similarity > whole[i][0].similarity:
                whole[i] = near, known
    found = [
        Grounding(
            phrase=phrase,
            drawn=phrase if known else near.caption,
            similarity=min(1.0, max(-1.0, round(near.similarity, 4))),
        )
        for phrase, (near, known) in zip(phrases, whole, strict=True)
    ]
    others = [i for i, each in enumerate(found) if each.replaced]
    if not others:
        return features, found
    replaced = encoder.encode([found[i].drawn for i in others])
    both = concatenate([features, replaced])
    rows = torch.arange(len(features))
    rows[others] = torch.arange(len(features), len(both))
    return both[rows], found


def _look_up(
    index: ConceptIndex, names: Sequence[str], features: TextFeatures
) -> list[tuple[KnownConcept, bool]]:
    """The nearest concept to each name, and whether the name is known."""
    nearest, familiar = index.nearest(features.pooled), index.familiarity(features.pooled)
    return [
        (near, near.similarity >= KNOWN or closest >= FAMILIAR)
        for (near,), closest in zip(nearest, familiar, strict=True)
    ]


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
