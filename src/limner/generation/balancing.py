"""Balanced drawing of persons: if a prompt leaves the gender open, the seed chooses a variant.

*A nurse* is drawn from the name nearest to it, which in most sets of drawings is that of a woman.
Where a model knows variants of a person by name (:mod:`limner.scenes.person_variants`), balanced
drawing chooses among them with equal chance, whatever share of the drawings each has.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from limner.generation.drawn_from import Grounding
from limner.generation.prompt_reader import ReadPrompt
from limner.models.concepts import ConceptIndex
from limner.scenes.person_variants import Variant, says_gender, variant_of
from limner.scenes.sizes import person_in
from limner.text.base import TextEncoder
from limner.text.lexicon import languages_of
from limner.text.names import bare, name_key
from limner.text.vocabulary import in_english

_STREAM = 3119
_WITHOUT_GENDER = frozenset({"zh", "ja", "ko"})
"""Languages whose words for professions say no gender, as those of English do."""

_PLACES = frozenset({"toilet", "sign", "symbol", "gender"})
"""Names with a *women* and a *men* before them that are of no person."""


@dataclass(frozen=True)
class KnownVariant:
    """A variant of a person that a model has drawings of.

    Attributes:
        caption: that it is drawn from.
        drawings: pairs of a name and a style in which there are drawings of it.
    """

    caption: str
    drawings: int


class PersonVariants:
    """The variants of persons among the names that a model knows.

    Args:
        concepts: the names.
    """

    def __init__(self, concepts: ConceptIndex) -> None:
        self._known: dict[str, dict[Variant, KnownVariant]] = {}
        found: dict[str, dict[Variant, list[tuple[int, str]]]] = {}
        for number, caption in enumerate(concepts.captions):
            plain, variant = variant_of(caption)
            many = 1 if concepts.styles is None else int(concepts.styles[number].sum())
            found.setdefault(plain, {}).setdefault(variant, []).append((many, caption))
        for plain, variants in found.items():
            if len(variants) > 1:
                self._known[plain] = {
                    variant: KnownVariant(max(names)[1], sum(many for many, _ in names))
                    for variant, names in variants.items()
                }

    def of(self, name: str) -> Mapping[Variant, KnownVariant]:
        """The variants of the person that a name stands for, including itself.

        Empty where the name is of no person, or no variant says a gender or skin tone.
        """
        plain, own = variant_of(name)
        variants = self._known.get(plain, {})
        person = person_in(name) or person_in(plain) or own.gender
        both = {"woman", "man"} <= {variant.gender for variant in variants} and " " not in plain
        return variants if person or (both and plain not in _PLACES) else {}

    def chosen(self, name: str, seed: int, part: int) -> str:
        """The caption of the variant a seed draws: uniform over genders, then skin tones."""
        variants = self.of(name)
        if not variants:
            return name
        who = zlib.crc32(variant_of(name)[0].encode())
        rng = np.random.default_rng([seed % 2**32, seed >> 32, part, who, _STREAM])
        genders = sorted({each.gender for each in variants})
        gender = genders[int(rng.integers(len(genders)))]
        tones = sorted(each for each in variants if each.gender == gender)
        return variants[tones[int(rng.integers(len(tones)))]].caption


def balanced(
    read: ReadPrompt, seed: int, variants: PersonVariants, encoder: TextEncoder
) -> ReadPrompt:
    """What was read, with a variant by the seed of each person of whom no gender is asked for.

    Args:
        read: of a prompt.
        seed: of the picture.
        variants: that the model knows.
        encoder: of the model.
    """
    names = {}
    for part, each in enumerate(read.drawn_from):
        if is_open(each.phrase):
            chosen = variants.chosen(each.drawn, seed, part)
            if chosen != each.drawn:
                names[part] = chosen
    if not names:
        return read
    found = _renamed(read.drawn_from, names)
    if read.scene is not None:
        return read._replace(scene=read.scene.renamed(names, encoder), drawn_from=found)
    return ReadPrompt(encoder.encode([each.drawn for each in found]), None, found)


def is_open(phrase: str) -> bool:
    """Whether a phrase leaves the gender of a person open.

    That is so of English words and of those of languages without gender. Of other languages'
    words nothing is known here, and they are drawn as they are understood.
    """
    if says_gender(phrase):
        return False
    meaning = in_english(bare(phrase))
    english = meaning is None or name_key(meaning) == name_key(bare(phrase))
    return english or bool(_WITHOUT_GENDER & {*languages_of(phrase)})


def _renamed(found: Sequence[Grounding], names: Mapping[int, str]) -> tuple[Grounding, ...]:
    return tuple(
        each.model_copy(update={"drawn": names.get(part, each.drawn)})
        for part, each in enumerate(found)
    )
