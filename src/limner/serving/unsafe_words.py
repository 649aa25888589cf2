"""Words that prompts should not have, in many languages, each in a category that can be left out.

Words are found whole, so that *Scunthorpe* and *cockatoo* are nothing; only in scripts without
spaces are they found anywhere. ``unsafe_words.tsv`` holds them, and the names in which they mean
something else (*blue-footed boobies*).
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterator
from itertools import groupby, islice

from limner.serving.categories import Category
from limner.tables import read_table
from limner.text.lexicon import languages_of
from limner.text.names import name_key
from limner.text.spaceless import SPACELESS

_LONGEST = 5
"""Words of a phrase that is looked for."""
_LEAST_STEM = 3
_LEAST_DISGUISED, _LEAST_WITHOUT_ACCENTS = 4, 5
"""Letters of a word that is also found in disguise, and without its accents; shorter ones are too
often something else."""
_LEAST_SPACED, _LONGEST_SPACED = 3, 16
_SIGNS = {"0": "o", "3": "e", "4": "a", "5": "s", "7": "t", "8": "b", "@": "a", "$": "s", "€": "e",
          "+": "t"}  # fmt: skip
_SIGNS_FOR_LETTERS = [str.maketrans(_SIGNS | dict.fromkeys("1!|", letter)) for letter in "il"]
_LATIN_LOOKALIKES = str.maketrans("аеосрхуіјѕԁһкмтвαεορκντι", "aeocpxyijsdhkmtbaeopkvti")
_ACCENTS = re.compile("[\u0300-\u036f]")
_MOST_MASKED = 32
_STRETCHED = re.compile(r"(.)\1{2,}")
_MASKED = re.compile(r"\w[\w*]*\*[\w*]*\w")


class UnsafeWords:
    """Finds unsafe words in texts.

    Args:
        categories: those whose words are looked for.
    """

    def __init__(self, categories: Collection[Category]) -> None:
        self._whole: dict[str, Category] = {}
        self._stems: dict[str, Category] = {}
        self._minors: set[str] = set()
        self._ordinary: defaultdict[str, set[str]] = defaultdict(set)
        harmless: list[str] = []
        for kind, language, words in _read():
            if kind == "harmless":
                harmless += words
            elif kind == "ordinary":
                self._ordinary[language].update(words)
            elif kind == "minor":
                self._minors.update(words)
            elif (category := Category(kind)) in categories:
                for word in words:
                    table = self._stems if word.endswith("*") else self._whole
                    table[word.removesuffix("*")] = category
        self._counts_minors = Category.MINORS in categories
        self._heads = {stem[:_LEAST_STEM] for stem in self._stems}
        every = (*self._whole, *self._stems, *self._minors)
        self._openings = {each.split()[0] for each in every if " " in each}
        self._harmless = _alternatives(filter(SPACELESS.search, harmless))
        whole = (word for word in harmless if not SPACELESS.search(word))
        self._harmless_whole = re.compile(rf"(?<!\w)(?:{_alternatives(whole).pattern})(?!\w)")
        self._unspaced = _alternatives(filter(SPACELESS.search, self._whole))
        self._unspaced_minors = _alternatives(filter(SPACELESS.search, self._minors))

    def find(self, text: str) -> list[Category]:
        """The categories of the unsafe words of a text, each once, in a fixed order.

        Upper and lower case, compatible forms (NFKC) and what cannot be seen make no difference.
        Words are also found with signs or another script's letters for their own, with accents,
        stretched, with asterisks, and with their letters apart.
        """
        shown = "".join(sign for sign in text if unicodedata.category(sign) != "Cf")
        folded = unicodedata.normalize("NFKC", shown).casefold()
        plain = self._harmless_whole.sub(" . ", self._harmless.sub(" . ", name_key(folded)))
        ordinary = {word for language in languages_of(text) for word in self._ordinary[language]}
        words = [word for word in plain.split() if word not in ordinary]
        candidates = {*self._phrases(words), *_disguised(folded), *_put_together(words)}
        found = {self._category(each) for each in candidates}
        found |= {self._whole[each] for each in self._unspaced.findall(plain)}
        for masked in islice(_masked(folded), _MOST_MASKED):
            found |= {self._whole[each] for each in self._whole if _fits(masked, each, len(masked))}
            found |= {self._stems[each] for each in self._stems if _fits(masked, each, len(each))}
        if Category.SEXUAL in found and self._counts_minors and self._names_minors(plain):
            found.add(Category.MINORS)
        return [category for category in Category if category in found]

    def _category(self, phrase: str) -> Category | None:
        if phrase in self._whole:
            return self._whole[phrase]
        if phrase[:_LEAST_STEM] not in self._heads:
            return None
        beginnings = (phrase[:end] for end in range(_LEAST_STEM, len(phrase) + 1))
        return next((self._stems[each] for each in beginnings if each in self._stems), None)

    def _names_minors(self, plain: str) -> bool:
        if self._unspaced_minors.search(plain):
            return True
        return any(
            phrase in self._minors
            or any(f"{phrase[:end]}*" in self._minors for end in range(1, len(phrase) + 1))
            for phrase in set(self._phrases(plain.split()))
        )

    def _phrases(self, words: list[str]) -> Iterator[str]:
        """All words, and those phrases that begin as one that is looked for does."""
        yield from words
        for start, word in enumerate(words):
            if word in self._openings:
                most = min(start + _LONGEST, len(words))
                yield from (" ".join(words[start:end]) for end in range(start + 2, most + 1))


def _read() -> Iterator[tuple[str, str, list[str]]]:
    """Kind, language and words of each line of the list."""
    for kind, language, words in read_table("limner.serving", "unsafe_words.tsv"):
        yield kind, language, [_key(word) for word in words.split("|")]


def _key(word: str) -> str:
    """A word of the list as texts are compared with it; its asterisk stays."""
    return name_key(word) + "*" * word.endswith("*")


def _alternatives(words: Iterator[str]) -> re.Pattern[str]:
    """A pattern of any of some words, which nothing matches where there are none."""
    longest_first = sorted(words, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")


def _disguised(folded: str) -> Iterator[str]:
    """What words may be meant as that are not written in plain letters."""
    for chunk in set(folded.split()):
        if not chunk.isalpha() or not chunk.isascii() or _STRETCHED.search(chunk):
            yield from _undisguised(chunk)


def _masked(folded: str) -> Iterator[str]:
    """Words some of whose letters are asterisks, but not most."""
    for word in dict.fromkeys(_MASKED.findall(folded)):
        if 2 * word.count("*") <= len(word) >= _LEAST_DISGUISED:
            yield word


def _fits(masked: str, word: str, length: int) -> bool:
    """Whether the first letters of a word with asterisks are those of another of that length."""
    pairs = zip(masked[:length], word, strict=False)
    return len(word) == length <= len(masked) and all(a in ("*", b) for a, b in pairs)


def _put_together(words: list[str]) -> Iterator[str]:
    """Words whose letters stand apart."""
    for single, run in groupby(words, lambda word: len(word) == 1):
        letters = "".join(run) if single else ""
        for start in range(len(letters)):
            most = min(start + _LONGEST_SPACED, len(letters))
            yield from (letters[start:end] for end in range(start + _LEAST_SPACED, most + 1))


def _undisguised(chunk: str) -> Iterator[str]:
    """A text without spaces as the words that it may be meant as."""
    chunk = chunk.strip(".,;:!?\"'()[]{}")
    if any(sign.isascii() and sign.isalpha() for sign in chunk):
        chunk = chunk.translate(_LATIN_LOOKALIKES)
    if not any(map(str.isalpha, chunk)):
        return
    bare = _ACCENTS.sub("", unicodedata.normalize("NFD", chunk))
    for word, least in ((chunk, _LEAST_DISGUISED), (bare, _LEAST_WITHOUT_ACCENTS)):
        for table in _SIGNS_FOR_LETTERS:
            letters = "".join(filter(str.isalpha, word.translate(table)))
            if letters.isascii():
                yield from (short for kept in (r"\1", r"\1\1")
                            if len(short := _STRETCHED.sub(kept, letters)) >= least)  # fmt: skip
