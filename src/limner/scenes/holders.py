"""What stands for a thing that holds others, where its usual drawing cannot hold them.

A boat is drawn with sails, where nobody sits; a bridge by itself is drawn with a night sky.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from limner.scenes.relations import Contact
from limner.scenes.sentence import Link
from limner.scenes.sizes import ALIVE, Role, facts_of


@dataclass(frozen=True)
class Holder:
    """A thing that is drawn from another name where it holds something.

    Attributes:
        names: English names of the thing, without articles.
        drawn: name that it is drawn from instead.
        relations: of what it holds to it.
        held: kinds of things that it holds.
    """

    names: frozenset[str]
    drawn: str
    relations: frozenset[Contact]
    held: frozenset[Role]


HOLDERS = (
    Holder(  # the one flower pot that is known is a sign in black ink
        names=frozenset({"pot", "flower pot", "plant pot", "potted plant"}), drawn="bucket",
        relations=frozenset({"in"}), held=frozenset({"plant"}),
    ),
    Holder(
        names=frozenset(
            {"boat", "small boat", "little boat", "tiny boat", "wooden boat", "old boat"}
        ),
        drawn="canoe", relations=frozenset({"in", "on", "riding"}), held=ALIVE,
    ),
)  # fmt: skip
"""Of a thing that several rows name, the first that fits counts."""
IN_SCENES = {"bridge": "stone bridge", "swing": "basketswing"}
"""English name of a thing that has a sky or a frame of its own by itself, and what is drawn where
something is around it."""


def drawn_as_holders(
    names: Sequence[str], links: Sequence[Link], *, setting: bool
) -> dict[int, str]:
    """The things of a scene that are drawn from other names, by their numbers.

    Args:
        names: English names of the things, without articles, in lower case.
        links: between the things.
        setting: whether the scene has a setting.
    """
    found: dict[int, str] = {}
    if setting or len(names) > 1:
        found |= {i: IN_SCENES[name] for i, name in enumerate(names) if name in IN_SCENES}
    for link in links:
        role, name = facts_of(names[link.first]).role, names[link.second]
        for holder in HOLDERS:
            if name in holder.names and link.relation in holder.relations and role in holder.held:
                found[link.second] = holder.drawn
                break
    return found
