"""Plans of scenes: several things in one picture, with captions that describe it exactly.

One to nine things, in ten colours, counted, left of or above each other, large and small, on a
white or coloured background. A plan (:class:`Scene`) is a pure function of seed and number; its
picture is made of icons (:mod:`limner.datasets.scenes`). Some combinations are held out of training
scenes, so that a model can be tested on them (:func:`novelties`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations
from typing import Any, Literal, get_args

import numpy as np

from limner.errors import DataError
from limner.scenes.backgrounds import BACKGROUNDS, PLAIN, SHADES, WHITES
from limner.scenes.colours import COLOURS, chosen
from limner.scenes.colours import held_out as held_out_colour
from limner.scenes.layout import RELATIONS, Box, Relation, scatter
from limner.scenes.things import OF_LABEL, THINGS

Task = Literal["single", "two", "counting", "colour", "position", "attribution"]
TASKS: tuple[Task, ...] = get_args(Task)
"""The tasks of GenEval (Ghosh et al. 2023)."""
SCENE_COLOURS = PLAIN
"""Ten colours, of things and of backgrounds."""
COUNTS = tuple(range(2, 10))
Things = Mapping[str, Sequence[str]]
"""Name of a thing -> the colours that it can be drawn in, none where it is never coloured."""

_SHARES: Mapping[Task, float] = {
    "single": 0.1, "two": 0.2, "counting": 0.2,
    "colour": 0.15, "position": 0.2, "attribution": 0.15,
}  # fmt: skip
_BACKGROUNDS = 0.35
_WHITE = 0.2
_SHADES = 0.5
_SIZED = 0.15
_THREE = 0.25
_COUNTED = 0.3
_COUNTED_PAIRS = (
    (2, 1), (1, 2), (2, 2), (3, 1), (1, 3), (2, 3), (3, 2), (3, 3), (4, 1), (1, 4), (4, 2), (2, 5),
)  # fmt: skip
_FEW = 0.6
"""Share of counted things that are four or fewer."""
_COLOURED_COUNT = 0.3
_OWN = 0.15
"""Share of coloured things whose icons have the colour already (:func:`is_own`)."""
_PLANS = 1000


@dataclass(frozen=True)
class Item:
    """One kind of thing in a scene.

    Attributes:
        thing: key of :data:`~limner.scenes.things.THINGS`.
        colour: key of ``COLOURS``; None for any of its own.
        count: 1..9 of it.
        size: ``big`` or ``small``; None if the caption names no size.
    """

    thing: str
    colour: str | None = None
    count: int = 1
    size: Literal["big", "small"] | None = None


@dataclass(frozen=True)
class Scene:
    """The plan of a picture.

    Attributes:
        task: what its caption tests.
        items: one to nine things in all.
        relation: where the first item is, seen from the second.
        background: what is behind, key of :data:`~limner.scenes.backgrounds.BACKGROUNDS`; None for
            white that no caption mentions.
        boxes: of every single thing, item by item.
        pick: random number that chooses among fitting icons and wordings.
    """

    task: Task
    items: tuple[Item, ...]
    relation: Relation | None = None
    background: str | None = None
    boxes: tuple[Box, ...] = ()
    pick: int = 0

    @property
    def singles(self) -> Iterator[tuple[Item, Box]]:
        """Every single thing with its box."""
        kinds = (item for item in self.items for _ in range(item.count))
        return zip(kinds, self.boxes, strict=True)


def items_of(facts: Mapping[str, Any]) -> list[Item]:
    """The items in a packed scene's metadata; none for a picture that is no scene."""
    return [Item(**item) for item in facts.get("items", ())]


def novelties(items: Sequence[Item]) -> list[str]:
    """The combinations among these items that are held out of training.

    A tenth of all pairs, of all numbers of a thing, and of all new colours of a thing
    (:func:`~limner.scenes.colours.held_out`), chosen by their names.

    Returns:
        Names such as ``cat+dog``, ``3 apple`` and ``purple banana``.
    """
    found = [
        f"{item.colour} {item.thing}"
        for item in items
        if item.colour and not is_own(item.thing, item.colour)
        and held_out_colour(item.thing, item.colour)
    ]  # fmt: skip
    found += [
        f"{item.count} {item.thing}"
        for item in items
        if item.count > 1 and chosen(f"{item.count} {item.thing}")
    ]
    pairs = combinations(sorted({item.thing for item in items}), 2)
    return found + [f"{a}+{b}" for a, b in pairs if chosen(f"{a}+{b}")]


def own_colour(label: str) -> str | None:
    """The colour in an icon's label, such as ``red apple``; None if there is none."""
    first = label.split(" ", maxsplit=1)[0]
    return first if first in COLOURS and label in OF_LABEL else None


@cache
def is_own(thing: str, colour: str) -> bool:
    """Whether icons of the thing have that colour in their label."""
    return any(own_colour(label) == colour for label in THINGS[thing].labels)


# -- plans ------------------------------------------------------------------------------------


def plan(
    seed: int,
    number: int,
    things: Things,
    *,
    novel: bool = False,
    task: Task | None = None,
) -> Scene:
    """Scene ``number`` of a seed.

    Args:
        seed: of all scenes.
        number: of this one.
        things: that may appear.
        novel: make scenes with a held-out combination instead of scenes without one.
        task: of the scene; None for a fixed mixture.

    Raises:
        DataError: no such scene can be made of these things.
    """
    rng = np.random.default_rng([seed, number, 31])
    for _ in range(_PLANS):
        kind: Task = task or rng.choice(TASKS, p=[_SHARES[name] for name in TASKS])
        items, relation = _items(rng, kind, things)
        colours = [item.colour for item in items if item.colour]
        if bool(novelties(items)) == novel and len(colours) == len(set(colours)):
            break
    else:
        kept = "held-out" if novel else "trainable"
        raise DataError(
            f"no {kept} scene of the task {task!r} can be made of these {len(things)} things"
        )
    background = _background(rng, {item.colour for item in items if item.colour})
    boxes = scatter([i.count for i in items], [i.size for i in items], relation, rng)
    return Scene(kind, items, relation, background, boxes, int(rng.integers(2**31)))


def _items(
    rng: np.random.Generator, task: Task, things: Things
) -> tuple[tuple[Item, ...], Relation | None]:
    """The items of a scene of a task, and their relation."""
    if task == "single":
        return (_plain(rng, things),), None
    if task == "counting":
        coloured = rng.random() < _COLOURED_COUNT and any(things.values())
        one = _coloured(rng, things) if coloured else _plain(rng, things)
        return (replace(one, count=_count(rng)),), None
    if task == "colour":
        return (_coloured(rng, things),), None
    if task == "attribution":
        one = _coloured(rng, things)
        return (one, _coloured(rng, _without(things, one), one.colour)), None
    names = [str(name) for name in rng.choice([*things], 3, replace=False)]
    if task == "position":
        return (Item(names[0]), Item(names[1])), rng.choice(RELATIONS)
    sized = rng.random() < _SIZED
    return _sized(rng, things) if sized else _together(rng, names), None


def _plain(rng: np.random.Generator, things: Things) -> Item:
    return Item(str(rng.choice([*things])))


def _without(things: Things, item: Item) -> Things:
    return {name: colours for name, colours in things.items() if name != item.thing}


def _coloured(rng: np.random.Generator, things: Things, but: str | None = None) -> Item:
    """A random thing in a colour, sometimes one that its icons have already.

    The colour is ``but`` only if the thing can be drawn in no other.
    """
    among = [name for name in things if things[name]]
    if not among:
        raise DataError(
            f"none of {len(things)} things can be drawn in a colour; use a store of more icons"
        )
    own = [Item(name, colour) for name in among for colour in things[name]
           if colour != but and is_own(name, colour)]  # fmt: skip
    if own and rng.random() < _OWN:
        return own[int(rng.integers(len(own)))]
    thing = str(rng.choice(among))
    others = [name for name in things[thing] if name != but]
    return Item(thing, str(rng.choice(others or [*things[thing]])))


def _sized(rng: np.random.Generator, things: Things) -> tuple[Item, ...]:
    """A big and a small thing, or some small ones; each of them coloured or not."""

    def item(among: Things) -> Item:
        plain = _plain(rng, among)
        coloured = rng.random() < _COLOURED_COUNT and any(among.values())
        return _coloured(rng, among) if coloured else plain

    big = replace(item(things), size="big")
    small = replace(item(_without(things, big)), size="small")
    return big, replace(small, count=int(rng.choice((1, 1, 2, 3))))


def _count(rng: np.random.Generator) -> int:
    few = bool(rng.random() < _FEW)
    return int(rng.choice([count for count in COUNTS if (count <= 4) == few]))


def _together(rng: np.random.Generator, names: Sequence[str]) -> tuple[Item, ...]:
    """Two of three things, counted or one of each; or all three."""
    if rng.random() < _COUNTED:
        one, other = _COUNTED_PAIRS[int(rng.integers(len(_COUNTED_PAIRS)))]
        return Item(names[0], count=one), Item(names[1], count=other)
    return tuple(map(Item, names[: 3 if rng.random() < _THREE else 2]))


def _background(rng: np.random.Generator, used: Set[str]) -> str | None:
    """A random background: None, white, one of ten colours, or a shade."""
    if rng.random() >= _BACKGROUNDS:
        return None
    if rng.random() < _WHITE:
        return str(rng.choice(WHITES))
    among = SHADES if rng.random() < _SHADES else SCENE_COLOURS
    return str(rng.choice([name for name in among if BACKGROUNDS[name].of not in used]))
