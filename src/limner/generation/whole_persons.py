"""Who does something or is somewhere is drawn from head to foot, where the model knows figures.

Sets of drawings know *boy*, *woman* or *grandmother* as heads, and *man standing* or *woman in
lotus position* as figures. In a scene a head gets the body of the figure of its gender that stands
so (:func:`limner.scenes.bodies.on_body`), a bust one in its own clothes
(:mod:`limner.scenes.clothed_bodies`); a head alone, and one that only wears a hat or feels
something, stays one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from limner.generation.drawn_from import Grounding
from limner.generation.planned_scene import PlannedScene
from limner.models.concepts import ConceptIndex
from limner.scenes.bodies import FROWNING, HEADS, STANDING, figures_of, head_and_pose
from limner.scenes.clothed_bodies import clothes_of
from limner.scenes.contacts import with_worn
from limner.scenes.sizes import facts_of, singular
from limner.text.base import TextEncoder
from limner.text.names import bare

_SITTING = "in lotus position"
_SEATED = frozenset({"seat", "riding", "in"})
"""Ways in which somebody upon something or in it sits."""
_STAYS = frozenset({"wearing", "sign", "left", "right", "above", "below", "made"})
"""Ways in which a head stays one, where no place is behind it."""
_DOING = re.compile(
    r"\w (?!(?:smil|cry|laugh|wink|frown|blush|sleep|wear|look)ing\b)[a-z]{2,}ing [a-z]"
)
"""What English says behind somebody that he does with something which is not drawn."""
_IN_HANDS = frozenset({"holding", "string", "umbrella", "eating", "before"})
"""Ways in which something is in a hand."""
_AT_SIDE = frozenset({"bag", "hat"})
"""Roles of what hangs from one hand."""
_WITH_HANDLES = frozenset({
    "sword", "rod", "pole", "flag", "hammer", "axe", "wand", "racket", "spear", "trident", "ladder",
    "bow", "arrow", "torch", "broom", "stick", "cane", "staff", "knife", "fork", "spoon",
    "scissors", "microphone", "key", "shovel", "rake", "brush", "paintbrush", "mop", "saw", "oar",
    "paddle", "shield", "bucket", "lantern", "leash", "whip", "banner", "sparkler", "wrench",
})  # fmt: skip
"""Names of what one hand holds by its handle."""
_SKY = frozenset({"celestial", "cloud"})
"""Roles of what is in the sky, under which somebody is."""
FACE = re.compile(r"\b(?:face|head|emoji|icon|logo|mask|portrait|sticker)s?\b", re.IGNORECASE)
"""Words of who asks for a face alone."""
_CLOTHES = frozenset({"garment", "trousers", "shoes", "bag"})
"""Roles of what is worn on a body."""


def as_heads(scene: PlannedScene, encoder: TextEncoder) -> tuple[PlannedScene, dict[int, str]]:
    """The scene with *girl* for *girl running*, and how those stand whose pose is said.

    Args:
        scene: whose parts are in the words of the prompt.
        encoder: of the model.
    """
    said = {i: found for i, part in enumerate(scene.parts)
            if (found := head_and_pose(bare(part))) is not None}  # fmt: skip
    if not said:
        return scene, {}
    scene = scene.renamed({i: head for i, (head, _) in said.items()}, encoder)
    sad = frozenset(i for i, (_, pose) in said.items() if pose == FROWNING)
    return replace(scene, sad=sad), {i: pose for i, (_, pose) in said.items() if i not in sad}


def with_bodies(
    scene: PlannedScene, found: Sequence[Grounding], poses: dict[int, str], *,
    concepts: ConceptIndex, encoder: TextEncoder, style: int | None,
) -> PlannedScene:  # fmt: skip
    """The scene with a figure for each head that gets a body.

    Args:
        scene: of known things.
        found: what each of them is drawn from.
        poses: of those whose pose is said, by their numbers.
        concepts: what the model knows.
        encoder: of the model.
        style: that is asked for, by its number; None for any.
    """
    figures: dict[int, str] = {}
    heads = [number for number, each in enumerate(found) if each.drawn in HEADS]
    busts = [number for number, each in enumerate(found) if _is_bust(each)]
    stances = {
        number: poses.get(number)
        or pose_of(scene, number)
        or (STANDING if is_doing(found[number].phrase) else None)
        for number in (*heads, *busts)
    }
    whole = any(stances.values())
    for number, pose in stances.items():
        if pose is None and whole and not is_in_vehicle(scene, number):
            stances[number] = STANDING  # beside others who are drawn from head to foot
    scene = replace(scene, clothed=tuple(
        (number, stances[number] == _SITTING) for number in busts if stances[number] is not None
    ))  # fmt: skip
    for number in heads:
        each, pose = found[number], stances[number]
        if pose is None:
            continue
        known = figure_of(each.drawn, pose, concepts, style)
        if known is not None:
            figures[number] = known
    if not figures:
        return scene
    return replace(
        scene,
        figures=tuple(figures.get(i) for i in range(len(scene.parts))),
        figure_features=encoder.encode(list(figures.values())),
    )


def figure_of(head: str, pose: str, concepts: ConceptIndex, style: int | None) -> str | None:
    """The name of the figure whose body somebody gets; None where the model knows none.

    Args:
        head: key of ``HEADS``.
        pose: of ``POSES``.
        concepts: what the model knows.
        style: that is asked for, by its number; None for any.
    """
    for one in filter(None, map(concepts.named, figures_of(head, pose))):
        if not one.instance and concepts.colours_of(one.concept) != 0:
            return None if style is not None and concepts.lacks(one.caption, style) else one.caption
    return None


def _is_bust(thing: Grounding) -> bool:
    """Whether somebody may be drawn as a bust, and is not asked for as one."""
    return clothes_of(thing.drawn) is not None and not FACE.search(thing.phrase)


def is_doing(phrase: str) -> bool:
    """Whether an English phrase says that somebody does something with what is not drawn."""
    return _DOING.search(phrase) is not None


def pose_of(scene: PlannedScene, number: int) -> str | None:
    """How somebody of whom nothing is said stands in a scene; None who stays a head."""
    links = [link for link in scene.links if number in (link.first, link.second)]
    dressed = any(facts_of(scene.names[link.second]).role in _CLOTHES for link in links)
    ways = [scene.way(link) for link in links]
    first = [scene.way(link) for link in scene.links if link.first == number]
    if is_in_vehicle(scene, number):
        return None
    upon = {facts_of(scene.names[link.second]).role for link in links if link.first == number}
    if not _SEATED.isdisjoint(first):
        return STANDING if "board" in upon else _SITTING
    if any(facts_of(scene.names[number]).role in _SKY for number in _others(scene, number)):
        return STANDING  # under the moon
    acts = dressed or not _STAYS.issuperset(ways) or _at_table(scene, number)
    if scene.setting is not None or acts:
        return STANDING
    return None


def _at_table(scene: PlannedScene, number: int) -> bool:
    """Whether somebody is at the side of what something is upon."""
    laid = {link.second for link in scene.links if scene.way(link) == "on"}
    return not laid.isdisjoint(_others(scene, number))


def _others(scene: PlannedScene, number: int) -> list[int]:
    """The numbers of what a thing is linked with."""
    return [link.first + link.second - number for link in scene.links
            if number in (link.first, link.second)]  # fmt: skip


def is_in_vehicle(scene: PlannedScene, number: int) -> bool:
    """Whether somebody is in a vehicle: a head at its window."""
    return any(
        link.first == number
        and scene.way(link) == "in"
        and facts_of(scene.names[link.second]).role == "vehicle"
        for link in scene.links
    )


def who_reaches(scene: PlannedScene) -> frozenset[int]:
    """Persons who hold one thing, in both hands and before the body, by their numbers.

    What is carried at the side (bags, sticks, tools with handles) is not held so, nor one thing of
    two.
    """
    things = [facts_of(name) for name in scene.names]
    ways = [(scene.way(link), link) for link in with_worn(things, scene.links)]
    found = set()
    for number, who in enumerate(things):
        bodied = bool(scene.figures) and scene.figures[number] is not None
        bodied |= number in dict(scene.clothed)
        if not (bodied or who.role == "person") or scene.plan.things[number].count > 1:
            continue
        held = [(way, link.second) for way, link in ways
                if link.first == number and way in _IN_HANDS]  # fmt: skip
        held += [("holding", link.first) for way, link in ways
                 if link.second == number and way == "held by"]  # fmt: skip
        if len(held) == 1 and _before_body(scene, *held[0]):
            found.add(number)
    return frozenset(found)


def who_eats(scene: PlannedScene) -> frozenset[int]:
    """Persons who eat or drink something, alone, by their numbers."""
    return frozenset(
        link.first
        for link in scene.links
        if scene.way(link) == "eating" and scene.plan.things[link.first].count == 1
    )


def _before_body(scene: PlannedScene, way: str, thing: int) -> bool:
    """Whether what somebody holds in a way is held in both hands."""
    name = scene.names[thing]
    last = name.split(" ")[-1]
    handle = (singular(last) or last) in _WITH_HANDLES
    return way == "holding" and facts_of(name).role not in _AT_SIDE and not handle
