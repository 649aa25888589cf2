"""Words of a clause, as a glossary knows them one by one, in the order of English.

They are put together to nouns with what is said of them; verbs are put behind who does what they
say, and places behind what is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from limner.text.glossaries import Glossary, Word

_SURFACES = frozenset({
    "table", "chair", "sofa", "bed", "bench", "roof", "carpet", "rug", "shelf", "floor", "wall",
    "grass", "stage", "bridge", "beach", "street", "road", "rock", "stone", "branch", "mountain",
    "hill", "island", "moon", "bicycle", "horse", "boat", "ship", "plate", "fence", "swing",
    "skateboard", "motorcycle", "throne", "farm", "leaf", "broom", "field", "snow", "sea",
    "elephant", "camel", "head",
})  # fmt: skip
"""Places and things that one is on."""
_NO_ARTICLE = frozenset({
    "space", "water", "snow", "rain", "milk", "coffee", "tea", "honey", "bread", "ice cream",
    "grass", "soup", "cheese", "music", "Santa Claus", "people",
})  # fmt: skip
"""Nouns that are said without an article."""
_BEFORE_NOUNS = frozenset({"adjective", "article", "number", "counter", "drop"})
"""Kinds of words that stand before a noun and belong to it."""
_WITH_OTHERS = frozenset({"of", "to", "from"})
"""Prepositions that other languages put behind another one: left *from* a house."""
_POSTURES = frozenset({"sitting", "standing", "lying"})
"""Verbs that say less than another one beside them: *zit te lezen*, sits and reads."""
_IRREGULAR = {
    "man": "men", "woman": "women", "child": "children", "mouse": "mice", "goose": "geese",
    "wolf": "wolves", "leaf": "leaves", "knife": "knives", "person": "people", "snowman": "snowmen",
    "fish": "fish", "sheep": "sheep", "deer": "deer", "elf": "elves", "policeman": "policemen",
}  # fmt: skip
_VOWELS = frozenset("aeiou")


@dataclass
class _Chunk:
    """A noun with what is said of it (``noun``), a verb, a join or other words.

    Attributes:
        kind: ``noun``, ``placed`` for a noun with a preposition, or the kind of a word.
        english: of other words than nouns; the preposition of a noun that has one.
    """

    kind: str
    english: str = ""
    number: str = ""
    article: bool = False
    adjectives: list[str] = field(default_factory=list)
    noun: str = ""
    plural: bool = False
    case: str = ""
    joined: list[_Chunk] = field(default_factory=list)

    @property
    def text(self) -> str:
        if self.kind not in ("noun", "placed"):
            return self.english
        plural = self.plural or self.number not in ("", "one")
        noun = plural_of(self.noun) if plural and self.noun else self.noun
        said = " ".join(filter(None, [self.number, *self.adjectives, noun]))
        if not (self.number or plural or _is_plural(self.noun) or noun in {"", *_NO_ARTICLE}):
            said = f"{'an' if said[:1].casefold() in _VOWELS else 'a'} {said}"
        words = [said, *(each for more in self.joined for each in ("and", more.text))]
        return " ".join(filter(None, [self.english, *words]))


def ordered(words: Sequence[Word], glossary: Glossary) -> str:
    """The words of a clause in the order of English, with its articles and plurals.

    Args:
        words: as the glossary of their language has them.
        glossary: which says how its words stand.
    """
    chunks = _together(list(_chunks(words, glossary)))
    chunks = _participles(chunks)
    if "verbs first" in glossary.rules:
        chunks = _verb_behind(_with_objects(chunks))
    chunks = _verbs(chunks, last="verbs last" in glossary.rules)
    chunks = _places_behind(chunks)
    said, before = [], ""
    for chunk in chunks:
        if chunk.kind == "noun" and before == "noun":
            said.append("of")
        if chunk.kind != "who":
            said.append(chunk.text)
        before = "noun" if chunk.kind in ("noun", "placed") else chunk.kind
    return " ".join(filter(None, said))


def _chunks(words: Sequence[Word], glossary: Glossary) -> Iterator[_Chunk]:
    """Nouns with what belongs to them, and the words between, in their order."""
    after = "adjectives after" in glossary.rules
    counted = "numbers after" in glossary.rules
    open_: _Chunk | None = None
    placed = ""
    for at, word in enumerate(words):
        kind = word.kind
        if kind == "drop" or (kind == "counter" and not _is_person(words, at, open_)):
            continue
        if kind in ("", "counter"):
            kind = _guessed(words, at, open_, after=after)
        ends = kind not in ("article", "number", "adjective", "noun", "postposition")
        is_own = counted and kind == "number" and open_ is not None and not open_.number
        begins = open_ is not None and not is_own and _begins(kind, words, at, open_, after=after)
        if open_ is not None and (ends or begins):
            yield _closed(open_)
            open_ = None
        if ends:
            if kind == "preposition":
                placed = placed if placed and word.english in _WITH_OTHERS else word.english
            else:
                placed = ""
                yield _Chunk(kind, word.english)
            continue
        if kind == "postposition":
            if open_ is not None:
                open_.kind, open_.english, open_.case = "placed", word.english, ""
                yield open_
                open_ = None
            continue
        if open_ is None:
            open_ = _Chunk("placed" if placed else "noun", placed)
            placed = ""
        _add(open_, kind, word)
    if open_ is not None:
        yield _closed(open_)


def _is_person(words: Sequence[Word], at: int, open_: _Chunk | None) -> bool:
    """Whether what may stand between a number and its noun is a noun itself: *dua orang*."""
    english = words[at].english
    if open_ is None or open_.noun or not (open_.number or open_.article):
        return bool(english)
    behind = words[at + 1].kind if at + 1 < len(words) else "drop"
    return bool(english) and behind not in ("noun", "")


def _guessed(words: Sequence[Word], at: int, open_: _Chunk | None, *, after: bool) -> str:
    """What kind of word one is that is not known: it says something of a noun, or is one."""
    behind = words[at + 1].kind if at + 1 < len(words) else ""
    if after:
        return "adjective" if open_ is not None and open_.noun else "noun"
    return "adjective" if behind == "noun" else "noun"


def _begins(kind: str, words: Sequence[Word], at: int, open_: _Chunk, *, after: bool) -> bool:
    """Whether a word begins a new noun's words, while others are open."""
    if not open_.noun:
        return False
    if kind in ("article", "number"):
        return kind == "number" or not after
    if kind == "adjective" and not after:
        rest = (word.kind for word in words[at + 1 :])
        return next((each for each in rest if each not in _BEFORE_NOUNS), "") == "noun"
    return kind == "noun"


def _add(chunk: _Chunk, kind: str, word: Word) -> None:
    if kind == "article":
        chunk.article = True
        chunk.plural = chunk.plural or word.english == "plural"
    elif kind == "number":
        chunk.number = word.english
    elif kind == "adjective":
        chunk.adjectives.append(word.english)
    else:
        chunk.noun, chunk.plural = word.english, chunk.plural or word.plural
        chunk.case = word.case


def _closed(chunk: _Chunk) -> _Chunk:
    """A chunk whose words are all there; its noun's case is its preposition."""
    if chunk.kind == "noun" and chunk.case:
        chunk.kind, chunk.english = "placed", chunk.case
    if chunk.english == "at" and chunk.noun:
        chunk.english = "on" if chunk.noun in _SURFACES else "in"
    return chunk


def _together(chunks: list[_Chunk]) -> list[_Chunk]:
    """Chunks in which nouns that a join connects are one: *a cat and a dog*."""
    found: list[_Chunk] = []
    for chunk in chunks:
        first = found[-2] if len(found) > 1 and found[-1].kind == "join" else None
        if first is None or first.kind not in ("noun", "placed"):
            found.append(chunk)
        elif chunk.kind == "noun" or (chunk.kind, chunk.english) == (first.kind, first.english):
            found.pop()
            chunk.english = ""
            first.joined.append(chunk)
        else:
            found.append(chunk)
    return found


def _participles(chunks: list[_Chunk]) -> list[_Chunk]:
    """Chunks with verbs that stand before their noun behind it, with all that belongs to them."""
    found: list[_Chunk] = []
    for chunk in chunks:
        worn = []  # file binen altın taçlı bir kraliçe
        if chunk.kind == "noun" and [each.kind for each in found[-2:]] == ["participle", "placed"]:
            worn = [found.pop()]
        if chunk.kind == "noun" and found and found[-1].kind == "participle":
            verb = found.pop()
            own: list[_Chunk] = []
            while found and found[-1].kind in ("noun", "placed", "phrase"):
                own.append(found.pop())
            verb.kind = "verb"
            found += [chunk, *worn, verb, *own]
        else:
            found += [*worn, chunk]
    return found


def _verb_behind(chunks: list[_Chunk]) -> list[_Chunk]:
    """Chunks of a clause that a verb begins, with who does what it says before it.

    That is its second noun, *kumakain ng isda ang oso*, where the first is marked as its object.
    """
    if not chunks or chunks[0].kind != "verb":
        return chunks
    subject = next((each for each in chunks if each.kind == "noun"), None)
    if subject is None:
        return chunks
    return [subject, *(each for each in chunks if each is not subject)]


def _with_objects(chunks: list[_Chunk]) -> list[_Chunk]:
    """Chunks in which what is *of* a verb is its object."""
    for before, chunk in pairwise(chunks):
        if before.kind == "verb" and (chunk.kind, chunk.english) == ("placed", "of"):
            chunk.english = ""
    return chunks


def _verbs(chunks: list[_Chunk], *, last: bool) -> list[_Chunk]:
    """Chunks with each verb behind the noun whose it is."""
    chunks = _without_postures(chunks)
    found: list[_Chunk] = []
    for number, chunk in enumerate(chunks):
        if chunk.kind != "verb":
            found.append(chunk)
            continue
        starts = [at for at, each in enumerate(found) if each.kind in ("who", "join", "verb")]
        start = starts[-1] + 1 if starts else 0
        after_who = bool(starts) and found[starts[-1]].kind == "who"
        own = found[start:]
        if last and not after_who:
            start += _places_before(own)
            own = found[start:]
        if after_who:
            at = start
        elif last and _has_moved(own, chunks[number + 1 :]):
            at = start + 1
            while at < len(found) - 1 and (found[at].kind, found[at].english) == ("placed", "with"):
                at += 1  # a queen with a crown, on an elephant
        else:
            at = len(found)
        behind = found[at:]
        found[at:] = [chunk, *(each for each in behind if each.kind == "noun"),
                      *(each for each in behind if each.kind != "noun")]  # fmt: skip
    return found


def _places_before(chunks: list[_Chunk]) -> int:
    """How many places stand before the noun that a clause is about; none where there is no noun."""
    kinds = [each.kind for each in chunks]
    before = kinds.index("noun") if "noun" in kinds else 0
    return before if {*kinds[:before]} <= {"placed", "phrase"} else 0


def _has_moved(before: list[_Chunk], behind: list[_Chunk]) -> bool:
    """Whether a verb stands behind what belongs to it, and not between that and its noun."""
    if not before or before[0].kind != "noun":
        return False
    is_last = not behind or behind[0].kind in ("join", "who", "phrase")
    return is_last or any(each.kind == "noun" for each in before[1:])


def _without_postures(chunks: list[_Chunk]) -> list[_Chunk]:
    """Chunks in which one verb takes the place of *sits* or *stands* before it."""
    verbs = [at for at, each in enumerate(chunks) if each.kind == "verb"]
    for first, second in pairwise(verbs):
        between = {each.kind for each in chunks[first:second]}
        if chunks[first].english in _POSTURES and not between & {"join", "who"}:
            found = list(chunks)
            found[first] = found.pop(second)
            return found
    return chunks


def _places_behind(chunks: list[_Chunk]) -> list[_Chunk]:
    """Chunks in which what stands before the first noun is behind it: *on the table sits a cat*."""
    first = next((at for at, each in enumerate(chunks) if each.kind == "noun"), None)
    if not first or any(each.kind not in ("placed", "phrase", "verb") for each in chunks[:first]):
        return chunks
    if not any(each.kind in ("placed", "phrase") for each in chunks[:first]):
        return chunks
    before, rest = chunks[:first], chunks[first:]
    end = 1
    while end < len(rest) and rest[end].kind not in ("join", "noun", "who"):
        end += 1
    if any(each.kind == "verb" for each in rest[:end]):
        end = len(rest)
    verbs = [each for each in before if each.kind == "verb"]
    places = [each for each in before if each.kind != "verb"]
    own = [each for each in places if (each.kind, each.english) == ("placed", "with")]
    places = [each for each in reversed(places) if each not in own]
    return [rest[0], *own, *rest[1:end], *verbs, *places, *rest[end:]]


def _is_plural(noun: str) -> bool:
    return noun.endswith("s") and not noun.endswith(("ss", "us", "is"))


def plural_of(noun: str) -> str:
    """The plural of an English noun."""
    first, _, last = noun.rpartition(" ")
    space = " " if first else ""
    if last in _IRREGULAR:
        return f"{first}{space}{_IRREGULAR[last]}"
    if _is_plural(last):
        return noun
    if last.endswith(("s", "x", "ch", "sh")):
        return f"{noun}es"
    if last.endswith("y") and last[-2:-1] not in _VOWELS:
        return f"{noun[:-1]}ies"
    return f"{noun}s"
