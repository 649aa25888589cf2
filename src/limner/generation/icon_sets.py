"""What is known of the drawings of icon sets, which are styles of the shipped models.

``icon_sets.tsv`` has a line for each set of which something is to be said that is not measured from
its drawings.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from limner.tables import read_table


@dataclass(frozen=True)
class IconSetFacts:
    """What is known of the drawings of a set.

    Attributes:
        plain_hair: whether hair is not told from the face, so that it takes no other colour.
        signs: names whose drawings are signs, as on doors.
        heads: names of animals whose drawings are heads that get no body.
    """

    plain_hair: bool = False
    signs: frozenset[str] = frozenset()
    heads: frozenset[str] = frozenset()


_UNKNOWN = IconSetFacts()


def facts_of_set(name: str) -> IconSetFacts:
    """What is known of a set by its name; of others that they are as most."""
    return known_sets().get(name, _UNKNOWN)


@cache
def known_sets() -> dict[str, IconSetFacts]:
    """The sets of the table, by name."""
    _, *rows = read_table("limner.generation", "icon_sets.tsv")
    return {
        name: IconSetFacts(plain == "yes", _names(signs), _names(heads))
        for name, plain, signs, heads in rows
    }


def _names(listed: str) -> frozenset[str]:
    return frozenset(filter(None, listed.split(",")))
