"""Glossaries: what words of languages whose sentences are not read mean in English.

Each is a table of ``languages/``, named after its language, of three columns: a kind, English, and
words of the language, divided by ``|``. A language is added by such a table. Kinds are

* ``noun`` (forms behind a ``;`` are plurals), ``adjective``, ``number``, ``article``, ``verb``;
  ``participle``, a verb before the noun that it is said of (*uyuyan kedi*, a sleeping cat);
* ``preposition``; ``postposition``, which follows its noun; ``prefix``, which is written into the
  next word and means a preposition or a join; ``join`` (and), ``who`` (a relative pronoun);
* ``phrase`` for times, weathers and requests, which need no noun, ``counter`` for what may stand
  between a number and its noun, and ``drop`` for what says nothing here;
* ``ending`` and ``adjective ending``: endings of inflected forms, ``old>new`` for what stands there
  in the glossary. The second column says what an ending of a noun means: ``plural``, or a
  preposition; ``at`` is *on* before what one sits or stands on, else *in*;
* ``stem``: letters at the end of a stem before an ending, and those of the glossary, ``old>new``;
* ``rule``: ``adjectives after`` nouns and ``numbers after`` them; ``verbs last`` or
  ``verbs first``; ``letters`` that tell the language.

A word that ends in ``*`` stands for all that begin so. The longest entry counts, an exact one
first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

from limner.text.tables import table

LANGUAGES = (
    "nl", "pl", "tr", "sv", "nb", "da", "uk", "cs", "id", "vi", "el", "hu", "ro", "fi", "fa", "he",
    "bn", "ur", "ms", "sw", "tl", "bg", "hr", "sk", "ca",
)  # fmt: skip
"""Codes of the languages that have a glossary; ``hr`` is Serbian, too, in both scripts."""
SCRIPTS: Mapping[str, str] = {
    "uk": "CYRILLIC", "bg": "CYRILLIC", "el": "GREEK", "he": "HEBREW", "fa": "ARABIC",
    "ur": "ARABIC", "bn": "BENGALI", "hr": "LATIN CYRILLIC",
}  # fmt: skip
"""Scripts of those that are not written in the Latin one alone, as Unicode calls their letters."""
_LONGEST = 4
"""Words of an entry."""
_LAYERS = 3
"""Endings that may follow each other."""
_SHORTEST = 2
"""Letters of a word without its endings."""
_MOST_MORE = 4
"""Letters behind those that a word begins with."""
_FORM = 0.95
"""How much a form of a word counts, of one that is in the glossary itself."""
_PLURAL = "plural"


class Word(NamedTuple):
    """A word of a text, or several that mean one thing.

    Attributes:
        kind: as in the tables; empty for what is not known.
        english: what it means; the word itself where that is not known.
        plural: whether it is the plural of a noun.
        case: the preposition that its ending means; empty for none.
    """

    kind: str
    english: str
    plural: bool = False
    case: str = ""


class ReadWord(NamedTuple):
    """A word as it was found in a text.

    Attributes:
        word: what it is.
        known: how many tokens the glossary knows it by.
        tokens: how many it was written in; none for what is written into the token before it.
    """

    word: Word
    known: float
    tokens: int


class _Ending(NamedTuple):
    old: str
    new: str
    meaning: str


@dataclass
class Glossary:
    """The words of one language.

    Attributes:
        code: of the language.
        rules: about the order of its words.
        letters: that tell it from languages in the same script.
    """

    code: str
    rules: frozenset[str] = frozenset()
    letters: frozenset[str] = frozenset()
    _entries: dict[tuple[str, ...], Word] = field(default_factory=dict)
    _begun: dict[tuple[str, ...], Word] = field(default_factory=dict)
    _endings: dict[str, list[_Ending]] = field(default_factory=dict)
    _stems: list[tuple[str, str]] = field(default_factory=list)
    _prefixes: list[tuple[str, Word]] = field(default_factory=list)

    def read(
        self, tokens: Sequence[str], meaning: Callable[[str], str | None]
    ) -> Iterator[ReadWord]:
        """Every word of a text in its order.

        Forms of a word that are not in the glossary themselves count a little less.

        Args:
            tokens: words in lower case.
            meaning: what a name means that is not in the glossary; None where it is none.
        """
        at = 0
        while at < len(tokens):
            found = self._longest(tokens, at)
            if found is not None:
                word, length = found
                exact = tuple(tokens[at : at + length]) in self._entries
                yield ReadWord(word, length if exact else length * _FORM, length)
                at += length
                continue
            parts = self._parts(tokens[at])
            if parts is not None:
                first, *more = parts
                yield ReadWord(first, _FORM, 1)
                yield from (ReadWord(part, 0, 0) for part in more)
            else:
                yield ReadWord(self._by_name(tokens[at], meaning), 0, 1)
            at += 1

    def _longest(self, tokens: Sequence[str], at: int) -> tuple[Word, int] | None:
        for length in range(min(_LONGEST, len(tokens) - at), 0, -1):
            key = tuple(tokens[at : at + length])
            word = self._entries.get(key) or self._beginning(key)
            if word is None and length == 1:
                word = self._inflected(key[0])
            if word is not None:
                return word, length
        return None

    def _beginning(self, key: tuple[str, ...]) -> Word | None:
        """The entry for all words that begin as the last one does."""
        *first, last = key
        least = max(_SHORTEST, len(last) - _MOST_MORE)
        starts = ((*first, last[:end]) for end in range(len(last), least - 1, -1))
        return next((self._begun[start] for start in starts if start in self._begun), None)

    def _inflected(self, token: str) -> Word | None:
        for form, meanings in self._forms(token, "ending"):
            word = self._entries.get((form,))
            if word is not None and word.kind == "noun":
                return _with(word, meanings)
        for form, _ in self._forms(token, "adjective ending"):
            word = self._entries.get((form,))
            if word is not None and word.kind in ("adjective", "number"):
                return word
        return None

    def _forms(
        self, token: str, kind: str, layers: int = _LAYERS
    ) -> Iterator[tuple[str, tuple[str, ...]]]:
        """What a word may be a form of, and what its endings mean, the fewest endings first."""
        once: list[tuple[str, tuple[str, ...]]] = []
        for ending in self._endings.get(kind, ()):
            if not token.endswith(ending.old) or len(token) < len(ending.old) + _SHORTEST:
                continue
            form = token.removesuffix(ending.old) + ending.new
            once.append((form, (ending.meaning,)))
            if not ending.new:
                once += [(form.removesuffix(old) + new, (ending.meaning,))
                         for old, new in self._stems if form.endswith(old)]  # fmt: skip
        yield from once
        if layers > 1:
            for form, meanings in once:
                for shorter, more in self._forms(form, kind, layers - 1):
                    yield shorter, meanings + more

    def _parts(self, token: str) -> list[Word] | None:
        """A word with others written into its beginning; None where it is no such word."""
        for prefix, word in self._prefixes:
            rest = token.removeprefix(prefix)
            if rest == token or len(rest) < _SHORTEST:
                continue
            known = self._longest([rest], 0)
            behind = [known[0]] if known is not None else self._parts(rest)
            if behind is not None:
                return [word, *behind]
        return None

    def _by_name(self, token: str, meaning: Callable[[str], str | None]) -> Word:
        name = meaning(token)
        if name is not None:
            return Word("noun", name)
        for form, meanings in self._forms(token, "ending"):
            if len(form) > _SHORTEST + 1 and (name := meaning(form)) is not None:
                return _with(Word("noun", name), meanings)
        return Word("", token)


def _with(word: Word, meanings: Sequence[str]) -> Word:
    """A noun with what its endings mean; the first, which is the last, says its case."""
    case = next((each for each in meanings if each not in ("", _PLURAL)), "")
    return word._replace(plural=word.plural or _PLURAL in meanings, case=case)


@cache
def glossary_of(code: str) -> Glossary:
    """The glossary of a language.

    Args:
        code: one of :data:`LANGUAGES`.
    """
    made = Glossary(code)
    for kind, english, cell in table(f"languages/{code}.tsv")[1:]:
        words = cell.casefold()
        if kind == "rule":
            if english == "letters":
                made.letters = frozenset(words)
            made.rules |= {english}
        elif kind == "stem":
            made._stems += [_pair(word) for word in words.split("|")]
        elif kind == "prefix":
            means = {"and": "join", "the": "article"}.get(english, "preposition")
            made._prefixes += [(word, Word(means, english)) for word in words.split("|")]
        elif kind in ("ending", "adjective ending"):
            endings = made._endings.setdefault(kind, [])
            endings += [_Ending(*_pair(word), english) for word in words.split("|")]
        else:
            singular, _, plural = words.partition(";")
            _enter(made, Word(kind, english), singular)
            _enter(made, Word(kind, english, plural=True), plural)
    for endings in made._endings.values():
        endings.sort(key=lambda ending: len(ending.old))
    return made


def _enter(glossary: Glossary, word: Word, forms: str) -> None:
    for form in filter(None, forms.split("|")):
        key = tuple(form.removesuffix("*").split())
        entries = glossary._begun if form.endswith("*") else glossary._entries
        entries.setdefault(key, word)


def _pair(word: str) -> tuple[str, str]:
    old, _, new = word.partition(">")
    return old, new
