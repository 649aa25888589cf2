"""Names that are known in other letters: a letter left out, the words in another order.

*A lab cat* is a lab coat to whom the rest of the name is known, and *umbrella with beach* is the
beach with an umbrella. Only names of several words are told so, of what has drawings in colours.
"""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property

from rapidfuzz.distance import OSA

from limner.models.concepts import ConceptIndex
from limner.text.lexicon import LATIN
from limner.text.names import bare, name_key

_LONGEST = 6
"""Words of a name."""
_SIDES = frozenset({"left", "right", "up", "down", "leftwards", "rightwards", "upwards",
                    "downwards"})  # fmt: skip
"""Words that say something else in another place."""
_LEAST = 3
"""Letters of a word of which one is left out, or of which one is wrong."""


class OtherWordings:
    """Finds the names of a model that texts in other letters mean.

    Args:
        index: names that the model knows.
    """

    def __init__(self, index: ConceptIndex) -> None:
        self._index = index

    def of(self, text: str) -> str | None:
        """The name that an English text means; None where it is one, or means none.

        Args:
            text: of several words; an article before them makes no difference.
        """
        words = [*name_key(bare(text)).split()]
        if not 2 <= len(words) <= _LONGEST or self._index.named(text) is not None:
            return None
        return self._in_other_order(words) or self._nearly(words)

    def _in_other_order(self, words: list[str]) -> str | None:
        found = self._sorted.get(_sorted(words), ())
        return found[0] if len(found) == 1 else None

    def _nearly(self, words: list[str]) -> str | None:
        """The one name of which a letter of a word is missing, or wrong in a word of no language.

        A word that means something alone is taken for another only beside two words of the name.
        """
        found = set[str]()
        for at, word in enumerate(words):
            if len(word) < _LEAST or word in LATIN["en"].stops:
                continue
            knows, drawn = self._index.speller.knows(word), self._index.draws(word)
            others = len(words) - 1
            for other, name in self._with_gaps.get((at, *words[:at], *words[at + 1 :]), ()):
                left_out = len(other) == len(word) + 1 and _without_one(other, word)
                wrong = not knows and not drawn and OSA.distance(word, other) == 1
                sure = others > 1 or not drawn
                if (left_out and sure) or wrong:
                    found.add(name)
        return found.pop() if len(found) == 1 else None

    @cached_property
    def _names(self) -> list[tuple[str, list[str]]]:
        """Captions of several words of coloured drawings, and their words."""
        index = self._index
        named = ((caption, name_key(caption).split()) for number, caption
                 in enumerate(index.captions) if index.colours_of(number) != 0)  # fmt: skip
        return [(caption, words) for caption, words in named if 2 <= len(words) <= _LONGEST]

    @cached_property
    def _sorted(self) -> dict[tuple[str, ...], list[str]]:
        found = defaultdict[tuple[str, ...], list[str]](list)
        for caption, words in self._names:
            if _SIDES.isdisjoint(words):
                found[_sorted(words)].append(caption)
        return found

    @cached_property
    def _with_gaps(self) -> dict[tuple[int | str, ...], list[tuple[str, str]]]:
        """Place of a word and the other words of a name -> the word and the name."""
        found = defaultdict[tuple[int | str, ...], list[tuple[str, str]]](list)
        for caption, words in self._names:
            for at, word in enumerate(words):
                found[(at, *words[:at], *words[at + 1 :])].append((word, caption))
        return found


def _sorted(words: list[str]) -> tuple[str, ...]:
    """The words of a name without their plurals, in one order."""
    return tuple(sorted(bare(word) for word in words))


def _without_one(whole: str, word: str) -> bool:
    """Whether a word is another without one of its letters."""
    return any(whole[:at] + whole[at + 1 :] == word for at in range(1, len(whole)))
