"""Which real drawings of a store show what an English noun names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from limner.data.store import Store

_ARTICLE = re.compile(r"^(?:an?|the)\s+")
_BETWEEN = re.compile(
    r"\s*[:,;]\s*|\s+(?:with|without|in|on|of|and|at|for|behind|under|showing|wearing|holding)\s+"
)
_LOOKS = frozenset(("face", "symbol", "button", "icon", "sign"))
"""Words behind a noun that leave it the thing shown: *cat face*."""


class NamedDrawings:
    """The pictures of a store by concept and by name.

    A concept's label says what its pictures show: *sun behind cloud* shows a sun and a cloud,
    *fish cake* a cake. Its other captions are keywords, which also name what it is like: *bird* of
    an eagle, *banana* of a monkey.

    Args:
        store: real drawings with English captions.

    Attributes:
        store: the same.
        count: K, number of concepts: the ``concept`` or ``label`` of the metadata, or the heaviest
            English caption where there are none.
        label: ``(N,)`` int64, the concept of each picture; those without a name have -1.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.label = np.full(len(store), -1, np.int64)
        numbers: dict[str, int] = {}
        self._titled: dict[str, set[int]] = {}
        self._shown: dict[str, set[int]] = {}
        self._keyword: dict[str, set[int]] = {}
        for row, texts in enumerate(_english(store)):
            facts = store.metadata(row)
            title = str(facts.get("label") or next(iter(texts), ""))
            name = str(facts.get("concept") or title)
            if not name:
                continue
            number = numbers.setdefault(name, len(numbers))
            self.label[row] = number
            self._titled.setdefault(_plain(title), set()).add(number)
            for noun in _nouns(_plain(title)):
                self._shown.setdefault(noun, set()).add(number)
            for text in (title, *texts):
                self._keyword.setdefault(_plain(text), set()).add(number)
        self.count = len(numbers)

    def showing(self, names: Sequence[str]) -> list[int]:
        """Concepts whose labels say that they show one of some nouns.

        Where no label does, those that have one as a keyword.
        """
        return _found(self._shown, names) or _found(self._keyword, names)

    def like(self, names: Sequence[str]) -> list[int]:
        """Concepts that show one of some nouns or have one as a keyword."""
        return sorted({*_found(self._shown, names), *_found(self._keyword, names)})

    def rows_of(self, names: Sequence[str]) -> NDArray[np.int64]:
        """Pictures of one of some nouns: of the labels that say just that, else of any that do."""
        concepts = _found(self._titled, names) or self.showing(names)
        return np.flatnonzero(np.isin(self.label, concepts))


def _english(store: Store) -> Iterator[list[str]]:
    """The English captions of each picture, the heaviest first."""
    table = store.caption_table()
    code = table.languages.index("en") if "en" in table.languages else -1
    for first, last in pairwise(table.offsets.tolist()):
        rows = first + np.flatnonzero(table.lang[first:last] == code)
        rows = rows[np.argsort(-table.weight[rows], kind="stable")]
        yield [table.texts[number] for number in table.text_index[rows].tolist()]


def _found(table: dict[str, set[int]], names: Sequence[str]) -> list[int]:
    forms = {form for name in names for form in _forms(_plain(name))}
    return sorted({number for form in forms for number in table.get(form, ())})


def _forms(noun: str) -> Iterator[str]:
    """A noun and its plural."""
    yield noun
    yield f"{noun}s"
    yield f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}es"


def _plain(text: str) -> str:
    return _ARTICLE.sub("", text.lower().replace("-", " ").strip(" .!"))


def _nouns(title: str) -> Iterator[str]:
    """What a label says is shown: the last words of each of its parts."""
    yield title
    for part in _BETWEEN.split(title):
        words = part.split()
        yield from (" ".join(words[start:]) for start in range(len(words)))
        if len(words) > 1 and words[-1] in _LOOKS:
            yield from (" ".join(words[start:-1]) for start in range(len(words) - 1))
