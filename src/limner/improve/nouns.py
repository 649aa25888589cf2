"""Things that an English prompt names, and that the reading of it does not show.

The planner reads *a chicken laying eggs* as one thing, of which the nearest known one is drawn, a
chicken, and *lobster dinner* as a plate. A noun that names a known thing and is in neither the
words nor the name of anything drawn is left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from limner.models.concepts import ConceptIndex, KnownConcept
from limner.scenes.sizes import sized_names
from limner.text.names import bare

_MOST_WORDS = 3
"""Of a name: *hot air balloon*."""
_WORD = re.compile(r"[\w'-]+")
_NOT_FIRST = frozenset(
    {"a", "an", "the", "some", "my", "your", "his", "her", "its", "our", "their", "me", "you"}
)
"""Words that no name begins with."""


def nouns_beside(
    words: str, things: Sequence[tuple[str, str]], concepts: ConceptIndex
) -> tuple[list[int], list[tuple[str, str]]]:
    """The things of a reading that stay, and those that the words name beside them.

    A thing does not stay where its phrase has such a noun in it and none of the words of its name:
    nothing that was said would be seen of it.

    Args:
        words: what is asked for, in English.
        things: the phrase of each thing that is read, and the English name that it is drawn from.
        concepts: the names of known things.

    Returns:
        The numbers of the things that stay, and each noun beside them with its thing's name.
    """
    shown = {form for _, name in things for word in _words(name) for form in (word, bare(word))}
    named = (concepts.named(name) for _, name in things)
    drawn = {each.concept for each in named if each is not None}
    more = [
        (noun, known.caption)
        for noun, known in _nouns(_words(words), concepts)
        if known.concept not in drawn and shown.isdisjoint({*noun.split(), bare(noun)})
    ]
    if not more:
        return [*range(len(things))], []
    left = {word for noun, _ in more for word in noun.split()}
    kept = [
        number
        for number, (phrase, name) in enumerate(things)
        if left.isdisjoint(_words(phrase))
        or any(_is_thing(word) and word in _words(phrase) for word in _words(name))
    ]
    return kept, more


def _nouns(words: Sequence[str], concepts: ConceptIndex) -> list[tuple[str, KnownConcept]]:
    """The names of known things among some words, the longest first where they overlap."""
    found, start = [], 0
    while start < len(words):
        for count in range(_MOST_WORDS, 0, -1):
            noun = " ".join(words[start : start + count])
            known = concepts.named(noun) if _is_thing(noun) else None
            if known is not None and not known.instance and concepts.colours_of(known.concept):
                found.append((noun, known))
                start += count
                break
        else:
            start += 1
    return found


def _is_thing(noun: str) -> bool:
    """Whether a noun names a thing that one can see, as far as is known."""
    words = noun.split()
    first, last = words[0], words[-1]
    return first not in _NOT_FIRST and not _THINGS.isdisjoint({last, bare(last)})


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


_THINGS = frozenset(sized_names())
