"""What a relation means for two kinds of things: *in a hat* is worn, *in a boat* is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from limner.scenes.relations import Contact
from limner.scenes.sentence import Link
from limner.scenes.sizes import ALIVE, WORN, Facts, Role

_TOPPING = 0.55
"""Greatest length of what is put on food, of the food's."""
ALOFT: frozenset[Role] = frozenset({"celestial", "cloud", "floating"})
FIXED: frozenset[Role] = frozenset({"house", "table", "overhead", "seat", "opening"})
"""Roles of things that stay where they stand."""
HANDY: frozenset[Role] = frozenset(
    {"food", "toy", "tool", "floating", "vessel", "plant", "umbrella", "bag", "hat"}
)
WINDOW = 1.5
"""Greatest length of a window in metres; a door is longer."""
_LIGHT: frozenset[Role] = frozenset({"food", "toy", "plant", "bag", "hat", "box"})
"""What is held at the side, however small who holds it is."""
_LAID: frozenset[Role] = frozenset({"food", "toy", "vessel", "plate", "plant", "thing", "box"})
"""What is upon a table that has it."""
_CARRIED: frozenset[Role] = frozenset(
    {"food", "toy", "tool", "vessel", "plant", "box", "table", "seat", "plate"}
)
"""What is carried where a word for wearing is said of it."""
_TO_STAND_AT = 1.4
"""Length in metres from which on who uses something with a top stands beside it."""
_IN_ARMS = 0.45
"""Length in metres up to which what is as a table is held: a cake, a pumpkin."""
_TABLE, _CUP, _LAMP = 0.6, 0.15, 1.1
"""Least length of a table in metres, a cake is shorter; greatest of a cup, a bowl is longer;
greatest of a lamp or a cage that stands on a table, of the table's."""
_SUPPORTS: frozenset[Role] = frozenset({"table", "seat", "plate", "plant"})


_OF_WHO: frozenset[Contact] = frozenset({"with", "holding", "doing", "eating", "riding"})
"""What is said of who wears something, though it stands behind that: *in a coat with a bag*."""


_BY_HAND: frozenset[Contact] = frozenset({"holding", "eating"})
"""What only somebody alive does, though it stands behind a thing: *on a chair reading a book*."""


def resolve(relation: Contact, first: Facts, second: Facts) -> str:  # noqa: PLR0911
    """What a relation means for two kinds: *in a hat* is worn, *in a boat* is not.

    Returns:
        The name of a way to join them, a key of :data:`limner.scenes.staging.WAYS`, or of what
        is put beside it.
    """
    worn = second.role in WORN and first.role not in WORN
    if worn and relation in ("wearing", "with", "in", "holding"):
        return "wearing" if relation != "holding" else "holding"
    if relation == "wearing":
        if second.role in _CARRIED | ALIVE:
            return _holding(first, second)  # einen Hut tragen, eine Zeitung tragen
        return "umbrella" if second.role == "umbrella" else "wearing"
    if first.role in WORN and second.role in ALIVE and relation in ("on", "around", "above"):
        return "worn by"
    if second.role == "sign" and relation in ("with", "beside", "doing", "holding", "above"):
        return "sign"
    if relation == "beside" and second.role in ("celestial", "cloud"):
        return "below"  # howling at the moon
    choose: Mapping[str, Callable[[Facts, Facts], str]] = {
        "with": _with, "doing": _with, "full": _full, "on": _on, "riding": _riding, "in": _in,
        "under": _under,
        "above": lambda a, b: "on" if b.role in _SUPPORTS and a.role not in ALOFT else "above",
        "holding": _holding, "front": lambda a, b: "over" if b.role == "celestial" else "front",
    }  # fmt: skip
    return choose[relation](first, second) if relation in choose else relation


def _with(first: Facts, second: Facts) -> str:  # noqa: PLR0911
    if second.role in ("celestial", "cloud"):
        return "below"
    if first.role == "vessel" and second.role in ("food", "toy", "plant"):
        return "full" if first.length > _CUP else "beside"  # tea with lemon
    if first.role in ("vessel", "box") and second.role == "swimmer":
        return "holds"
    if first.role in ("vessel", "box") and second.role in ("being", "bird"):
        return "carries" if second.length < first.length else "beside"
    small_table = second.role == "table" and second.length < _TABLE  # cheese
    laid = second.role in _LAID or small_table
    lamp = second.role == "overhead" and second.length <= _LAMP * first.length
    if first.role == "table" and (lamp or (laid and first.length > second.length)):
        return "topped" if first.length < _TABLE else "bears"  # a table with bread
    if first.role == "house" and second.role == "opening":
        return "fitted"
    if first.role == "overhead" and second.role == "food":
        return "hung" if second.length < first.length else "beside"  # a tree with apples
    dish = first.role == "plate" or second.length < _TOPPING * first.length
    if first.role in ("food", "plate") and second.role in ("food", "toy", "plant") and dish:
        return "topped"
    if first.role in ALIVE and second.role == "umbrella":
        return "umbrella"
    small = second.length < 0.75 * first.length or second.role in ("umbrella", "floating")
    if first.role in ALIVE and second.role in HANDY and small:
        return "holding"
    cake = second.role == "table" and second.length < _IN_ARMS
    guitar = second.role == "tool" and second.length < first.length
    if first.role == "person" and (cake or guitar):
        return "holding"
    return "beside"


def _full(first: Facts, second: Facts) -> str:
    if first.role != "overhead":
        return "full"
    return "laden" if second.role == "food" else _with(first, second)  # a tree full of apples


def _on(first: Facts, second: Facts) -> str:
    if second.role in ("ridden", "board") and first.role in (*ALIVE, "thing"):
        return "riding"
    if first.role == "being" and second.role == "person":
        return "held by"  # a cat on a lap
    if first.role in ALOFT and second.role not in ("board", "seat", "plate"):
        return "above"  # sobre, sopra, 위: they do not say whether it touches
    ways = {"plate": "plate", "seat": "seat", "boat": "in", "vessel": "in", "celestial": "over"}
    return ways.get(second.role, "on")


def _riding(_first: Facts, second: Facts) -> str:
    if second.role in ("vehicle", "boat"):
        return "in"
    return "seat" if second.role == "seat" else "riding"


def _in(first: Facts, second: Facts) -> str:
    if second.role == "seat":
        return "seat"
    if first.role == "plant" and second.role == "vessel":
        return "stands in"
    if second.role in ("overhead", "plant", "cloud", "house", "celestial"):
        return "inside"
    if second.role == "opening":
        return "inside" if second.length > WINDOW else "over"
    closed = second.role == "box" and second.length < 0.5 and first.length < second.length
    closed |= second.role == "box" and first.role == "swimmer"
    return "inside" if closed else "in"


def _under(first: Facts, second: Facts) -> str:
    if second.role == "umbrella" or (second.role == "plant" and second.length < first.length):
        return "umbrella"  # a mushroom or a leaf, which is as large as it must be
    roof = second.role in ("overhead", "table", "seat", "house")
    roof |= second.role == "plant"
    return "sheltered" if roof else "below"


def _holding(first: Facts, second: Facts) -> str:
    if second.role == "house" or (second.role in ALIVE and second.length > 0.8 * first.length):
        return "beside"  # who builds a snowman
    if second.role == "table" and second.length >= _TO_STAND_AT:
        return "beside"  # who plays the piano
    if second.role in ("umbrella", "floating"):
        return "umbrella" if second.role == "umbrella" else "string"
    large = second.role in ("seat", "board", "vehicle")
    large |= second.role == "table" and second.length >= _IN_ARMS
    large |= second.length > first.length and second.role not in _LIGHT  # a hamster's flag
    return "before" if large else "holding"


def with_worn(things: Sequence[Facts], links: Sequence[Link]) -> list[Link]:
    """The links, and who wears what is said in a list or of other clothes.

    *A woman in a raincoat with an umbrella* has it, and not the raincoat; *a man on a horse with a
    hat* wears it.

    *A man on a chair reading a book* holds it, and not the chair.

    *A girl with a red hat, blue shoes and a scarf* wears all of them; *a man in a suit with a tie*
    wears the tie, and not the suit.
    """
    wearer: int | None = None
    by_clothes = {
        link.second: link.first
        for link in links
        if things[link.second].role in WORN and things[link.first].role in ALIVE
    }
    upon = {
        link.second: link.first
        for link in links
        if things[link.first].role in ALIVE and things[link.second].role not in ALIVE
    }

    def who(link: Link) -> int:
        if link.relation in _BY_HAND and link.first in upon:
            return upon[link.first]
        return by_clothes.get(link.first, link.first) if link.relation in _OF_WHO else link.first

    found = [replace(link, first=who(link)) for link in links]
    riders = {
        link.second: link.first
        for link in found
        if things[link.second].role == "ridden" and things[link.first].role == "person"
    }
    found = [
        replace(link, first=riders[link.first])
        if link.first in riders and things[link.second].role in WORN
        else link
        for link in found
    ]
    for j, facts in enumerate(things):
        if facts.role not in WORN:
            continue
        own = [link for link in found if j in (link.first, link.second)]
        by = next((link.first for link in own if link.second == j), None)
        if by is not None and things[by].role not in WORN:
            wearer = by
        elif by is not None and wearer is not None:
            found = [replace(link, first=wearer) if link.second == j else link for link in found]
        elif not own and wearer is not None:
            found.append(Link(wearer, "wearing", j))
    return found
