"""Places for things that touch, hide, wear, hold and ride each other.

Each link of the sentence joins two groups of things (:mod:`limner.scenes.groups`): one is scaled
and moved to where the relation wants it, by the silhouettes of the two (where is the head, where
can something sit). The groups that remain are put beside each other
(:mod:`limner.scenes.framing`). Far things are painted first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from limner.scenes.actors import Actor, Group
from limner.scenes.contacts import resolve, with_worn
from limner.scenes.details import fill, fit_in_wall, hang, mark, top
from limner.scenes.groups import Groups
from limner.scenes.holding import cover, eat, hold, hold_by_string, hold_in_front
from limner.scenes.layout import RELATIONS, Relation
from limner.scenes.neighbours import (
    put_around,
    put_behind,
    put_below,
    put_beside,
    put_in_front,
    shelter,
)
from limner.scenes.resting import put_in, put_inside, put_on, put_over, ride, serve, sit
from limner.scenes.sentence import Link
from limner.scenes.wearing import wear

_TURNED = {"worn by": "wearing", "holds": "over", "carries": "in", "stands in": "full",
           "bears": "on", "held by": "holding"}  # fmt: skip
"""Ways that are others, of the second to the first."""
_SHARED = frozenset({"below", "on", "seat", "plate", "in", "inside", "over", "riding", "sheltered",
                     "umbrella", "front"})  # fmt: skip
"""Ways in which several things are in one place."""
WAYS: Mapping[str, Callable[[Groups, int, int], None]] = {
    "wearing": wear, "holding": hold, "eating": eat, "string": hold_by_string,
    "before": hold_in_front, "riding": ride, "on": put_on, "seat": sit, "plate": serve,
    "in": put_in, "inside": put_inside, "over": put_over, "full": fill,
    "hung": hang, "laden": partial(hang, least=6), "topped": top, "sign": mark,
    "fitted": fit_in_wall, "sheltered": shelter, "umbrella": cover,
    "behind": put_behind, "front": put_in_front, "around": put_around, "beside": put_beside,
    "left": lambda groups, i, j: groups.place_beside(i, j, -1, 0),
    "right": lambda groups, i, j: groups.place_beside(i, j, 1, 0),
    "above": lambda groups, i, j: groups.place_beside(i, j, 0, -1),
    "below": put_below,
}  # fmt: skip
"""How two groups are joined, by what :func:`limner.scenes.contacts.resolve` says."""


def stage(
    actors: Sequence[Actor], links: Sequence[Link], rng: np.random.Generator, *,
    loose: bool = False, sky: bool = False,
) -> list[Group]:  # fmt: skip
    """Join things as their links say.

    Args:
        actors: the kinds of things.
        links: between them, by number.
        rng: decides what the words leave open.
        loose: whether things that are only beside each other stay apart, for
            :func:`limner.scenes.framing.framed` to put them.
        sky: whether there is one, where the sun and clouds are.

    Returns:
        The groups, each in its own units, standing on y = 0, in the order of the words.
    """
    groups = Groups(actors, rng)
    links = sorted(
        with_worn([actor.facts for actor in actors], links),
        key=lambda link: actors[link.second].facts.role == "shoes",
    )
    ways = [_turned(actors, link) for link in links]
    for number, (way, i, j) in enumerate(ways):
        if groups.together(i, j) or not (groups.spots_of(i) and groups.spots_of(j)):
            continue  # they are together already, or one is hidden in another
        if _parted(way, actors[i], actors[j], loose=loose, sky=sky):
            continue
        if way in _SHARED:
            further = ways[number + 1 :]
            groups.line_up(i, [one for other, one, base in further if (other, base) == (way, j)])
        WAYS.get(way, put_beside)(groups, i, j)
    return groups.all()


def _turned(actors: Sequence[Actor], link: Link) -> tuple[str, int, int]:
    """The way in which a link joins two things, and which of them is joined to which."""
    way = resolve(link.relation, actors[link.first].facts, actors[link.second].facts)
    if way in _TURNED:
        return _TURNED[way], link.second, link.first
    return way, link.first, link.second


def _parted(way: str, first: Actor, second: Actor, *, loose: bool, sky: bool) -> bool:
    """Whether two things stay apart: beside each other, or one in the sky."""
    if loose and (way not in WAYS or way == "beside"):
        return True
    high = ("celestial", "cloud") if sky else ()
    above, below = way == "above", way == "below"
    return (above and first.facts.role in high) or (below and second.facts.role in high)


def apart(actors: Sequence[Actor], links: Sequence[Link]) -> tuple[bool, Relation | None]:
    """Whether no two things touch or go together, and where the first is, if links say only that.

    Such things are put in order by :func:`limner.scenes.layout.arrange`.
    """
    ways = [
        resolve(link.relation, actors[link.first].facts, actors[link.second].facts)
        for link in links
    ]
    said = [(link, way) for link, way in zip(links, ways, strict=True)
            if way not in ("beside", "made", "at")]  # fmt: skip
    if not said:
        return True, None
    if len(said) == 1 and len(actors) == 2 and said[0][0].first == 0:
        for relation in RELATIONS:
            if said[0][1] == relation:
                return True, relation
    return False, None
