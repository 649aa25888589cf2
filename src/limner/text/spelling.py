"""Misspelt English words put right: letters wrong, left out, doubled or swapped, spaces missing.

A word that no list knows is replaced by the known word from which it differs least, as people
mistype: a key beside the right one and two letters swapped count less than any other letter
(Damerau 1964; Brill and Moore, An Improved Error Model for Noisy Channel Spelling Correction, ACL
2000), and of words that differ as little the one counts that is said more often or that names
something that is drawn. Nothing is changed in words of other languages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from importlib.resources import files
from math import log

from rapidfuzz import process
from rapidfuzz.distance import OSA

from limner.text.lexicon import LATIN
from limner.text.names import bare, name_key
from limner.text.vocabulary import in_english, other_names

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_VOWELS = frozenset("aeiouy")
_SOUNDS = ("ck", "sz", "sc", "cz", "gj", "vw", "fv", "kq", "td", "mn", "bp", "ou")
"""Pairs of letters that are taken for each other by their sound."""
_LEAST, _SHORT = 3, 5
"""Letters of a word that is put right, and of one with one mistake at most."""
_MOST_BY_LENGTH = {_LEAST: 0.7, 4: 0.9, 5: 0.9, 6: 0.95, 7: 1.2, 8: 1.7}
_MOST = 1.8
"""How much a word may differ from the right one, by its length at most; of a longer one."""
_MOST_KNOWN = 0.7
"""The same of a word that is a name as it is, as one of another language."""
_FIRST = 0.25
"""What it counts more that the first letter differs: it rarely does."""
_MORE_JOINED = 0.25
"""By how much more a word may differ that makes a name with its neighbours."""
_ARTICLES = frozenset({"a", "an", "the"})
_RARE, _NAMED, _JOINED, _ALONE = 0.45, 0.3, 0.6, 0.3
"""How much the rarest word is behind the most frequent one, how much a word that is drawn is ahead,
one that makes a name with its neighbours, and one that is drawn and the only word of its text."""
_SEVERAL = 0.4
"""How much a plural is behind where one thing is said."""
_FREQUENT = 9000
_THINGS = 0.4
"""Of the letters of a sentence without spaces, how many at least are no words of grammar."""
_SENTENCE, _LONGEST_SENTENCE, _FEWEST_WORDS = 8, 40, 3
"""Letters of a sentence without spaces, at least and at most, and its words at least."""
"""Words of the list that others are mistaken for, or that are written without spaces."""
_CANDIDATES = 60
_LONGEST_NAME = 4
"""Words of a name."""
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_ENDINGS = (
    ("'s", ("",)), ("’s", ("",)), ("ies", ("y",)), ("es", ("", "e")), ("s", ("",)), ("ied", ("y",)),
    ("ed", ("", "e")), ("ing", ("", "e")), ("er", ("", "e")), ("est", ("", "e")), ("ier", ("y",)),
    ("iest", ("y",)), ("ily", ("y",)), ("ly", ("",)), ("ish", ("", "e")),
    ("like", ("",)), ("less", ("",)), ("ness", ("",)), ("ful", ("",)),
)  # fmt: skip
"""Endings of English, and what is there instead in the word itself."""
_PREFIXES = ("un", "re", "non", "over", "super", "mini", "micro", "anti", "semi", "multi", "half")
_NOT_JOINED_TABLE = """
red blue green yellow black white grey gray brown pink purple orange golden silver big small
little large tiny huge giant old young new hot cold one two three four five six seven eight nine
ten many some several
"""
_NOT_JOINED = frozenset(_NOT_JOINED_TABLE.split())
"""Words that say something of the next one: a *green house* is no greenhouse."""


class Speller:
    """Puts misspelt words of English texts right.

    Args:
        captions: names in English that a model draws things from.
        names: all names that it knows, in any language.
        drawn: whether words are a name of something that it draws.
        named: whether they are a name of anything that it knows.
    """

    def __init__(
        self,
        captions: Iterable[str],
        names: Sequence[str],
        drawn: Callable[[str], bool],
        named: Callable[[str], bool],
    ) -> None:
        self._names, self._drawn, self._named = names, drawn, named
        self._captions = frozenset(word for name in captions for word in name_key(name).split())

    def corrected(self, text: str) -> str:
        """The text with misspelt words put right; the same where there are none.

        A word is left as it is that is known, that is written with digits, or that has a capital
        among words without, as names have. Words of other languages are put right only where the
        text has English function words and they are not drawn as they are.

        Args:
            text: in English (:func:`limner.text.lexicon.languages_of`), as far as can be told.
        """
        matches = list(_WORD.finditer(text))
        words = [match[0] for match in matches]
        better = [self._right(words, at) for at in range(len(words))]
        pieces, end = [], 0
        for match, word in zip(matches, better, strict=True):
            pieces += [text[end : match.start()], word]
            end = match.end()
        return self._with_joined("".join([*pieces, text[end:]]))

    def knows(self, word: str) -> bool:
        """Whether a word of English, in lower case, is known, also with an ending."""
        return any(
            each in self._words or each in _ranks() or each in _rare()
            for each in (word, *_stems(word))
        )

    def _right(self, words: Sequence[str], at: int) -> str:
        """A word of a text, put right where it is misspelt."""
        word, key = words[at], words[at].casefold().replace("’", "'")
        letters = len(key) >= _LEAST and key.isascii() and key.isalpha()
        if not letters or key in _ranks() or _is_a_name(words, at):
            return word
        usual = any(each in self._words or each in _ranks() for each in (key, *_stems(key)))
        apart = None if usual or self._named(key) else self._apart(key)
        if usual or apart is not None or self.knows(key):
            return apart or word
        most = self._most(key, words)
        found = None if most is None else self._nearest(key, words, at, most)
        if found is None:
            return (self._sentence(key) if len(words) == 1 else None) or word
        if word.isupper() and len(word) > 1:
            return found.upper()
        return found.capitalize() if word[0].isupper() else found

    def _most(self, key: str, words: Sequence[str]) -> float | None:
        """How much a word may differ from the right one; None where it may be of no other."""
        most = next((most for length, most in _MOST_BY_LENGTH.items() if len(key) <= length),
                    _MOST)  # fmt: skip
        known = self._drawn(key) or self._named(key) or in_english(key) is not None
        if known or not self._foreign.isdisjoint((key, key.removesuffix("s"))):
            if not is_english(words):
                return None
            most = min(most, _MOST_KNOWN) if known else most
        return most

    def _nearest(self, key: str, words: Sequence[str], at: int, most: float) -> str | None:
        """The known word that a word is likeliest to be, if any differs little enough."""
        best, least = None, float("inf")
        for candidate in self._candidates(key):
            differs, joined = _difference(key, candidate), self._joined(candidate, words, at)
            alone = self._shows(candidate) and all(
                word.casefold() in _ARTICLES for word in (*words[:at], *words[at + 1 :])
            )  # what is drawn alone is a thing: *home* and not *hem* of *hme*
            behind = differs + self._behind(candidate) - _JOINED * joined - _ALONE * alone
            if at and words[at - 1].casefold() in ("a", "an") and bare(candidate) != candidate:
                behind += _SEVERAL  # a *womn* is no women
            if differs <= most + _MORE_JOINED * (joined or alone) and behind < least:
                best, least = candidate, behind
        return best

    def _candidates(self, key: str) -> Iterator[str]:
        edits = 1 if len(key) <= _SHORT else 2
        near = [
            word
            for length in range(len(key) - edits, len(key) + edits + 1)
            for word, _, _ in process.extract(
                key, self._by_length.get(length, ()), scorer=OSA.distance, score_cutoff=edits,
                limit=_CANDIDATES,
            )
        ]  # fmt: skip
        yield from near
        if key.endswith("s") and not key.endswith("ss"):  # flowrs
            yield from (f"{word}s" for word in self._candidates(key[:-1]) if word[-1] != "s")

    def _behind(self, word: str) -> float:
        """What a word counts beside its difference: it is rare, it is drawn."""
        single = word if word in self._words else word.removesuffix("s")
        return _RARE * self._words.get(single, 1.0) - _NAMED * self._shows(word)

    def _shows(self, word: str) -> bool:
        """Whether a word is a thing that is drawn."""
        single = word if word in self._words else word.removesuffix("s")
        return single in self._captions and self._drawn(single)

    def _joined(self, word: str, words: Sequence[str], at: int) -> bool:
        """Whether a word in the place of another makes a name with its neighbours."""
        return any(
            self._drawn(" ".join([*words[start:at], word, *words[at + 1 : end]]))
            for start in range(max(0, at - _LONGEST_NAME + 1), at + 1)
            for end in range(max(at + 1, start + 2), min(len(words), start + _LONGEST_NAME) + 1)
            if words[start].casefold() not in _ARTICLES
        )

    def _apart(self, key: str) -> str | None:
        """A word without spaces as several: *icecream*, *hotairballoon*, *blackcat*."""
        for one, ending in ((key, ""), (key.removesuffix("s"), "s")):
            name = self._squeezed.get(one)
            known = name is not None and all(map(self.knows, name.split()))
            if name is not None and known and self._drawn(name):
                return name + (ending if one != key else "")
        for cut in range(_LEAST, len(key) - _LEAST + 1):
            first, second = key[:cut], key[cut:]
            if self._is_frequent(first) and self._is_frequent(second):
                if (first in _NOT_JOINED and self._drawn(second)) or self._drawn(
                    f"{first} {second}"
                ):
                    return f"{first} {second}"
                further = self._apart(second) if len(key) > _SHORT + _LEAST else None
                if further is not None and self._drawn(f"{first} {further}"):
                    return f"{first} {further}"
        return None

    def _sentence(self, key: str) -> str | None:
        """A word as a sentence written without spaces: *catonaroof*; None for others.

        The cut of the most frequent words; it must have a word of grammar, and a thing that is
        drawn, and no letters left.
        """
        if not _SENTENCE <= len(key) <= _LONGEST_SENTENCE or in_english(key) is not None:
            return None
        least: list[tuple[float, tuple[str, ...]] | None] = [(0.0, ())]
        for end in range(1, len(key) + 1):
            ways = [(*before, key[start:end]) for start, before in enumerate(least)
                    if before is not None and self._is_part(key[start:end])]  # fmt: skip
            best = min(
                ((cost + self._cost(word), (*words, word)) for cost, words, word in ways),
                default=None,
            )
            least.append(best)
        found = least[-1]
        if found is None or len(found[1]) < _FEWEST_WORDS:
            return None
        things = [word for word in found[1] if word not in LATIN["en"].stops]
        letters = sum(map(len, things))
        grammar = len(things) < len(found[1])
        drawn = any(self._drawn(word) for word in things) and letters >= _THINGS * len(key)
        return " ".join(found[1]) if grammar and drawn else None

    def _is_part(self, word: str) -> bool:
        """Whether a word may be one of a sentence without spaces."""
        if word == "a" or (len(word) > 1 and word in LATIN["en"].stops):
            return True
        known = _ranks().get(word, _FREQUENT) < _FREQUENT or word in self._captions
        return len(word) >= _LEAST and known

    def _cost(self, word: str) -> float:
        """How rare a word is, so that few and frequent words cost least."""
        rank = 0 if word in LATIN["en"].stops else _ranks().get(word, _FREQUENT)
        return log(rank + 10)

    def _is_frequent(self, word: str) -> bool:
        rank = _ranks().get(word, _ranks().get(word.removesuffix("s"), _FREQUENT))
        return word in self._captions or rank < _FREQUENT

    def _with_joined(self, text: str) -> str:
        """The text with names in one word that are written in two: *a butter fly*."""

        def joined(match: re.Match[str]) -> str:
            first, second = match[1].casefold(), match[2].casefold()
            if first in _NOT_JOINED or {first, second} & LATIN["en"].stops:
                return match[0]
            whole = first + second
            is_one = whole.removesuffix("s") in self._captions or whole in self._captions
            if is_one and self._drawn(whole) and not self._drawn(match[0]):
                return whole
            return match[0]

        pair = re.compile(r"(?<!\w)([^\W\d_]{3,}) ([^\W\d_]{3,})(?!\w)")
        at = 0
        while (match := pair.search(text, at)) is not None:
            whole = joined(match)
            if whole != match[0]:
                text = text[: match.start()] + whole + text[match.end() :]
            at = match.end(1) if whole == match[0] else match.start() + len(whole)
        return text

    @cached_property
    def _words(self) -> Mapping[str, float]:
        """Words that others may be meant by, and how rare each is, in [0, 1]."""
        ranks = _ranks()
        most = len(ranks)
        found = {word: (rank / most) ** 0.5 for word, rank in ranks.items() if rank < _FREQUENT}
        for word in self._captions:
            if len(word) >= _LEAST and word.isascii() and word.isalpha():
                found.setdefault(word, (ranks.get(word, most) / most) ** 0.5)
        for word in (each for name in other_names() for each in name.split()):
            if len(word) >= _LEAST and word.isalpha():
                found.setdefault(word, (ranks.get(word, most) / most) ** 0.5)
        for word in (*_forms(), *LATIN["en"].stops):
            if len(word) >= _LEAST:
                found[word] = 0.1
        return found

    @cached_property
    def _by_length(self) -> Mapping[int, Sequence[str]]:
        found: dict[int, list[str]] = {}
        for word in self._words:
            found.setdefault(len(word), []).append(word)
        return found

    @cached_property
    def _foreign(self) -> frozenset[str]:
        """Words of names in any language."""
        return frozenset(word for name in self._names for word in name.split())

    @cached_property
    def _squeezed(self) -> Mapping[str, str]:
        """Names of several words in ASCII without their spaces."""
        several = (name for name in reversed(self._names) if " " in name and name.isascii())
        return {name.replace(" ", ""): name for name in several}


def _is_a_name(words: Sequence[str], at: int) -> bool:
    """Whether a word has a capital among words without, as names have."""
    small = [each for each in words if not each[0].isupper()]
    return words[at][0].isupper() and at > 0 and 2 * len(small) > len(words)


def is_english(words: Iterable[str]) -> bool:
    """Whether any of some words is a function word of English."""
    return not LATIN["en"].stops.isdisjoint(word.casefold() for word in words)


def is_in_lists(word: str) -> bool:
    """Whether a lower-case word is one of English other than a form of a verb or a pronoun."""
    return word in _ranks() or word in _rare() or word in _persons()


def _stems(word: str) -> Iterator[str]:
    """What a word may be a form of: *sitting* of *sit*, *unhappily* of *happy*."""
    forms = [word]
    for prefix in _PREFIXES:
        if word.startswith(prefix) and len(word) > len(prefix) + _LEAST:
            forms.append(word.removeprefix(prefix))
            yield forms[-1]
    for form in forms:
        for ending, instead in _ENDINGS:
            if form.endswith(ending) and len(form) >= len(ending) + 2:
                start = form.removesuffix(ending)
                yield from (start + letters for letters in instead)
                if start[-1] == start[-2] and ending not in ("s", "es"):
                    yield start[:-1]  # sitting, biggest


def _difference(typed: str, meant: str) -> float:
    """How much a word as it is typed differs from another: edits weighted by how people mistype.

    The optimal string alignment of the two, with the weights of :func:`_inserted`, :func:`_missing`
    and :func:`_replaced`; swapped neighbours count 0.7.
    """
    typed, meant = typed.replace("ph", "f"), meant.replace("ph", "f")
    before: list[float] = []
    row = [0.0]
    for at, letter in enumerate(meant):
        row.append(row[-1] + _missing(meant, at, letter))
    for i, letter in enumerate(typed):
        first = [row[0] + _inserted(typed, i)]
        for j, other in enumerate(meant):
            least = min(
                row[j] + _replaced(letter, other), row[j + 1] + _inserted(typed, i),
                first[j] + _missing(meant, j, other),
            )  # fmt: skip
            if i and j and letter == meant[j - 1] and typed[i - 1] == other and letter != other:
                least = min(least, before[j - 1] + 0.7)
            first.append(least)
        before, row = row, first
    first_too = typed[0] != meant[0] and typed[:2] != meant[1::-1]
    return row[-1] + _FIRST * first_too


def _inserted(typed: str, at: int) -> float:
    """A letter too many: little where it is doubled or a key beside its neighbour."""
    near = [typed[i] for i in (at - 1, at + 1) if 0 <= i < len(typed)]
    if typed[at] in near:
        return 0.5
    return 0.8 if any(other in _beside(typed[at]) for other in near) else 1.0


def _missing(meant: str, at: int, letter: str) -> float:
    """A letter left out: little where it is one of two."""
    if letter in (meant[at - 1 : at], meant[at + 1 : at + 2]):
        return 0.5
    return 0.8 if letter in _VOWELS else 0.9


def _replaced(typed: str, meant: str) -> float:
    if typed == meant:
        return 0.0
    if meant in _beside(typed):
        return 0.75
    if {typed, meant} == {"i", "y"}:
        return 0.5
    if typed in _VOWELS and meant in _VOWELS:
        return 0.8
    return 0.85 if typed + meant in _SOUNDS or meant + typed in _SOUNDS else 1.1


@cache
def _beside(letter: str) -> str:
    """The keys around a letter on an English keyboard."""
    for number, keys in enumerate(_ROWS):
        at = keys.find(letter)
        if at >= 0:
            near = keys[max(at - 1, 0) : at] + keys[at + 1 : at + 2]
            above = _ROWS[number - 1][at : at + 2] if number else ""
            below = _ROWS[number + 1][max(at - 1, 0) : at + 1] if number < 2 else ""
            return near + above + below
    return ""


@cache
def _ranks() -> Mapping[str, int]:
    """Words of English by how often they are used, the most frequent first."""
    return {word: rank for rank, word in enumerate(_lines()[0].split())}


@cache
def _rare() -> frozenset[str]:
    return frozenset(_lines()[1].split())


_SLIPS = {"teh": "the", "hte": "the", "adn": "and", "wiht": "with", "taht": "that"}
_FEWEST = 4
"""Words of a text in which letters of the shortest words are put in order."""


def without_slips(text: str) -> str:
    """A text of some words with the letters of *teh* and the like in order.

    No language is told by such words, so that they are put right before it is.
    """
    if len(text.split()) < _FEWEST or not text.isascii():
        return text
    return re.sub(r"\b(?:" + "|".join(_SLIPS) + r")\b", lambda match: _SLIPS[match[0]], text)


def means_person(word: str) -> bool:
    """Whether an English noun means a person before anything else: *colleague*, *rookie*."""
    return word.casefold() in _persons()


@cache
def _persons() -> frozenset[str]:
    return frozenset(_lines()[2].split())


@cache
def _lines() -> list[str]:
    return (files(__package__) / "english.txt").read_text("utf-8").splitlines()


def _forms() -> list[str]:
    """Words that are not in the lists: forms of verbs, pronouns, names of persons, brands."""
    return (files(__package__) / "english_forms.txt").read_text("utf-8").split()
