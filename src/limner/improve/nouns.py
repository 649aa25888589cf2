"""Things that an English prompt names, and that the reading of it does not show.

The planner reads *a chicken laying eggs* as one thing, of which the nearest known one is drawn, a
chicken, and *lobster dinner* as a plate. A noun that names a known thing and is in neither the
words nor the name of anything drawn is left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from limner.models.concepts import ConceptIndex, KnownConcept
from limner.scenes.sizes import kind_of_person, person_in, sized_names
from limner.text.names import bare

_MOST_WORDS = 3
"""Of a name: *hot air balloon*."""
_WORD = re.compile(r"[\w'-]+")
_NOT_FIRST = frozenset(
    {"a", "an", "the", "some", "my", "your", "his", "her", "its", "our", "their", "me", "you"}
)
"""Words that no name begins with."""


class ReadThing(NamedTuple):
    """A thing of the reading of a prompt.

    Attributes:
        phrase: of the prompt.
        name: that it is drawn from, in English.
        known: whether the phrase means just that.
    """

    phrase: str
    name: str
    known: bool


def nouns_beside(
    words: str, things: Sequence[ReadThing], concepts: ConceptIndex
) -> tuple[list[tuple[int, str]], list[tuple[str, str]]]:
    """The things of a reading that stay, and those that the words name beside them.

    Of a phrase with such a noun in it stays its thing's own name, where that is said (*a chicken*),
    or the word for a person; else nothing, as nothing that was said would be seen of it.

    Args:
        words: what is asked for, in English.
        things: that are read.
        concepts: the names of known things.

    Returns:
        The numbers of the things that stay, each with its phrase, and each noun beside them with
        its thing's name.
    """
    said = [word for each in things for word in _words(each.name)]
    said += [word for each in things if each.known for word in _words(each.phrase)]
    shown = {form for word in said for form in (word, bare(word))}
    named = (concepts.named(each.name) for each in things)
    drawn = {each.concept for each in named if each is not None}
    more = [
        (noun, known.caption)
        for noun, known in _nouns(_words(words), concepts)
        if known.concept not in drawn and shown.isdisjoint({*noun.split(), bare(noun)})
    ]
    if not more:
        return [(number, each.phrase) for number, each in enumerate(things)], []
    left = {word for noun, _ in more for word in noun.split()}
    kept = [(number, _kept(each, left, concepts)) for number, each in enumerate(things)]
    return [(number, phrase) for number, phrase in kept if phrase], more


def _kept(thing: ReadThing, left: set[str], concepts: ConceptIndex) -> str:
    """The phrase of a thing beside nouns that its own has; empty where it does not stay."""
    words = _words(thing.phrase)
    if left.isdisjoint(words):
        return thing.phrase
    if any(is_thing(word) and word in words for word in _words(thing.name)):
        return thing.name
    person = person_in(thing.phrase)
    if person is None:
        return ""
    return person if concepts.named(person) is not None else kind_of_person(person)


def _nouns(words: Sequence[str], concepts: ConceptIndex) -> list[tuple[str, KnownConcept]]:
    """The names of known things among some words, the longest first where they overlap."""
    found, start = [], 0
    while start < len(words):
        for count in range(_MOST_WORDS, 0, -1):
            noun = " ".join(words[start : start + count])
            known = concepts.named(noun) if is_thing(noun) else None
            if known is not None and _shows(known, noun, concepts):
                found.append((noun, known))
                start += count
                break
        else:
            start += 1
    return found


def _shows(known: KnownConcept, noun: str, concepts: ConceptIndex) -> bool:
    """Whether a concept is drawn in colours, and called by a noun: a fox's face is no *face*."""
    last = noun.rpartition(" ")[2]
    called = not {last, bare(last)}.isdisjoint(_words(known.caption))
    return called and not known.instance and concepts.colours_of(known.concept) != 0


def is_thing(noun: str) -> bool:
    """Whether a noun names a thing that one can see, as far as is known."""
    words = noun.split()
    first, last = words[0], words[-1]
    return first not in _NOT_FIRST and not _THINGS.isdisjoint({last, bare(last)})


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


_THINGS = frozenset(sized_names())
