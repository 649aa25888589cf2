"""How large things are beside each other, and what they are good for: worn, sat on, filled.

Things are looked up in ``sizes.tsv`` by the last word of their English name, which a model's index
of concepts gives for a phrase of any language (:mod:`limner.models.concepts`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from limner.tables import read_table

Role = Literal[
    "thing", "person", "being", "bird", "swimmer", "ridden", "vehicle", "boat", "board", "hat",
    "glasses", "collar", "garment", "trousers", "shoes", "bag", "seat", "table", "plate",
    "vessel", "box", "house", "overhead", "umbrella", "plant", "food", "toy", "floating",
    "celestial", "cloud", "tool", "opening", "sign", "headset",
]  # fmt: skip
ALIVE: frozenset[Role] = frozenset({"person", "being", "ridden", "bird", "swimmer"})
"""Roles of persons and animals."""
WORN: frozenset[Role] = frozenset(
    {"hat", "headset", "glasses", "collar", "garment", "trousers", "shoes"}
)
"""Roles of clothes and of what else is worn."""


@dataclass(frozen=True)
class Facts:
    """What is known of a kind of thing.

    Attributes:
        role: what it is good for; ``thing`` where nothing is known.
        length: its longest side, metres.
    """

    role: Role = "thing"
    length: float = 0.6


UNKNOWN = Facts()
_NO_OTHER = frozenset({"face", "head", "fishing"})
"""Words behind that for a person that make no other thing of it."""
_HATTED = frozenset({
    "astronaut", "baker", "builder", "chef", "cook", "cowboy", "detective", "elf", "firefighter",
    "fireman", "guard", "king", "knight", "leprechaun", "mage", "magician", "miner", "officer",
    "policeman", "policewoman", "prince", "princess", "queen", "santa", "snowman", "soldier",
    "sorcerer", "witch", "wizard", "worker",
})  # fmt: skip
"""Persons that are drawn with a hat, a helmet or a crown."""
_IRREGULAR = frozenset({"children", "men", "women", "mice", "geese", "oxen"})
"""Plurals without an s."""
_KINDS = {
    "woman": "mother mum mom mama aunt lady nanny maid policewoman",
    "man": "father dad papa uncle gentleman guy", "girl": "sister daughter niece",
    "boy": "brother son nephew",
}  # fmt: skip


def facts_of(name: str) -> Facts:
    """What is known of a thing by its English name; :data:`UNKNOWN` where nothing is.

    The last word counts first, as in *cardboard box*, except before *of*, *with* and the like.
    """
    return next((_facts()[form] for form in _forms(name) if form in _facts()), UNKNOWN)


def sized_names() -> tuple[str, ...]:
    """The English names of things of which something is known, role by role."""
    return tuple(_facts())


def person_in(name: str) -> str | None:
    """The word for a person that an English name is of: *grandmother knitting*, *witch face*."""
    known = (form for form in _forms(name) if form in _facts() and form not in _NO_OTHER)
    first = next(known, None)
    return first if first is not None and _facts()[first].role == "person" else None


def kind_of_person(word: str) -> str:
    """What a person is drawn as where nothing nearer is known: a woman for an aunt, else a person.

    Args:
        word: for the person, such as :func:`person_in` gives it.
    """
    return next((kind for kind, words in _KINDS.items() if word in words.split()), "person")


def _forms(name: str) -> Iterator[str]:
    """The words of a name and their singulars, the last of its head first."""
    head = re.split(r"\b(?:of|with|in|on|for|without|at)\b", name.casefold())[0]
    head = re.split(r"['’]s\s+(?=\w)", head)[-1]  # my son's party is no son
    words = re.findall(r"[\w-]+", head) or re.findall(r"[\w-]+", name.casefold())
    yield " ".join(words[-2:])
    for word in reversed(words):
        yield from (word, word.removesuffix("s"), word.removesuffix("es"),
                    word.removesuffix("ies") + "y", word.replace("men", "man"))  # fmt: skip


def wears_a_hat(name: str) -> bool:
    """Whether a person or being is drawn with something on its head: *a wizard*, *the queen*."""
    return any(form in _HATTED for form in _forms(name))


def is_plural(name: str) -> bool:
    """Whether an English name is the plural of a known thing: *birds*, but not *glasses*."""
    head = name.casefold().split(" of ")[0]  # an arch of flowers is one
    last = (re.findall(r"[\w-]+", head) or [""])[-1]
    if last in _IRREGULAR:
        return True
    return last.endswith("s") and last not in _facts() and facts_of(last) != UNKNOWN


def singular(phrase: str) -> str | None:
    """An English phrase with the singular of its last word, where that is a known thing's plural.

    *big house* of *big houses*; None for a singular, and for what has no singular (*glasses*).
    """
    if not is_plural(phrase):
        return None
    rest, _, last = phrase.rpartition(" ")
    forms = (last.removesuffix("s"), last.removesuffix("es"), last.removesuffix("ies") + "y")
    one = next((form for form in forms if form in _facts()), None)
    return None if one is None else f"{rest} {one}".strip()


@cache
def _facts() -> Mapping[str, Facts]:
    found: dict[str, Facts] = {}
    for role, length, names in read_table("limner.scenes", "sizes.tsv")[1:]:
        for entry in names.split():
            name, _, own = entry.partition("=")
            name = name.replace("_", " ")
            found.setdefault(name, Facts(role, float(own or length)))  # type: ignore[arg-type]
    return found
