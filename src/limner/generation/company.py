"""What several do together, and who several are by one name, as things of a scene.

*A wedding on the beach* is a bride and a groom there, and *a bear and a rabbit having tea* are
at the sides of a table with two cups.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from limner.models.planner import PlannedThing
from limner.scenes.relations import Contact
from limner.scenes.sentence import Link
from limner.scenes.sizes import facts_of
from limner.text.names import bare

_MEMBERS = {
    "wedding": ("bride", "groom"), "family": ("man", "woman", "child"), "couple": ("man", "woman"),
    "newlyweds": ("bride", "groom"), "parents": ("man", "woman"),
    "people holding hands": ("man", "woman"), "friends": ("man", "woman"),
}  # fmt: skip
"""English name of several -> those who are drawn of them in a place."""
_TABLE = "table"
_MOST = 3
"""Cups or plates on a table, at most."""
_CAKE = 0.6
"""Length in metres of what has a top and is no table."""
_IN_HAND = frozenset({"ice cream", "apple", "carrot", "candy", "lollipop", "banana", "popsicle"})
"""What everybody has of his own in the hand, and is on no table."""


class Company(NamedTuple):
    """Things of a scene with the words that each is drawn from, and how they stand.

    Attributes:
        things: as they are planned.
        parts: the words of each without those for its colour.
        coloured: the same with them.
        english: its English name.
        links: between the things.
        phrases: numbers of the things of each phrase of the sentence.
    """

    things: tuple[PlannedThing, ...]
    parts: tuple[str, ...]
    coloured: tuple[str, ...]
    english: tuple[str, ...]
    links: tuple[Link, ...]
    phrases: tuple[tuple[int, ...], ...]

    @property
    def eats(self) -> bool:
        """Whether anybody eats or drinks."""
        return any(each.relation == "eating" for each in self.links)

    def with_members(self) -> Company:
        """The same with all members of who is several by one name; the first has the links."""
        found: list[tuple[PlannedThing, str, str, str]] = []
        numbers: list[int] = []
        for row in zip(self.things, self.parts, self.coloured, self.english, strict=True):
            name = row[3].replace("-", " ").casefold()
            members = _MEMBERS.get(name) or _MEMBERS.get(bare(name), ())
            numbers.append(len(found))
            if row[0].count in (1, len(members)) and members:
                one = replace(row[0], count=1)
                found += [(one, name, name, name) for name in members]
            else:
                found.append(row)
        links = tuple(
            Link(numbers[each.first], each.relation, numbers[each.second]) for each in self.links
        )
        if not found:
            return self
        things, parts, coloured, english = zip(*found, strict=True)
        ends = (*numbers[1:], len(found))
        phrases = tuple(
            tuple(new for old in some for new in range(numbers[old], ends[old]))
            for some in self.phrases
        )
        return Company(things, parts, coloured, english, links, phrases)

    def at_table(self) -> Company:
        """The same with a table where several eat or drink one thing, which is upon it."""
        for each in self.links:
            who = next((some for some in self.phrases if each.first in some), ())
            several = sum(self.things[i].count for i in who)
            meal = bare(self.english[each.second]).casefold()
            if each.relation != "eating" or several < 2 or not _is_meal(meal):
                continue
            table = len(self.things)
            dish = self.things[each.second]
            things = list(self.things)
            things[each.second] = replace(dish, count=min(_MOST, max(dish.count, several)))
            sides: tuple[Contact, Contact] = ("left", "right")
            around = tuple(Link(i, sides[place % 2], table) for place, i in enumerate(who))
            links = tuple(one for one in self.links if one.second != each.second)
            return Company(
                (*things, PlannedThing(dish.piece)), (*self.parts, _TABLE),
                (*self.coloured, _TABLE), (*self.english, _TABLE),
                (*links, Link(each.second, "on", table), *around), self.phrases,
            )  # fmt: skip
        return self


def _is_meal(name: str) -> bool:
    """Whether something to eat or drink is had at a table."""
    facts = facts_of(name)
    cake = facts.role == "table" and facts.length < _CAKE
    return name not in _IN_HAND and (cake or facts.role in ("food", "vessel", "plate"))
