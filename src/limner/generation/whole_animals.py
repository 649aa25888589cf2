"""Animals that are somewhere or do something are drawn whole, where sets of drawings show heads.

In a scene a fox has a body (:mod:`limner.scenes.animal_bodies`), or is drawn in a set that shows
it whole, or as the one of several drawings of it that does. A head alone, one that only wears
something on it, and one whose face is asked for stays one.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from limner.arrays import Pixels
from limner.generation.drawn_from import Grounding
from limner.generation.partial_drawing import Seeded
from limner.generation.planned_scene import PlannedScene
from limner.generation.whole_persons import is_doing, is_in_vehicle, pose_of
from limner.scenes.animal_bodies import asymmetry, body_of, is_head, with_body
from limner.scenes.contacts import ALIVE
from limner.scenes.cutout import cut_out_drawn
from limner.scenes.sizes import facts_of

_FACE = re.compile(r"\b(?:face|head|emoji|icon|logo|mask|portrait|sticker)s?\b", re.IGNORECASE)
_OTHERS = 4
"""Other drawings among which a whole animal is looked for, at most."""


def with_whole_animals(scene: PlannedScene, found: Sequence[Grounding]) -> PlannedScene:
    """The scene with the numbers of its animals that are drawn whole.

    Args:
        scene: of known things.
        found: what each of them is drawn from.
    """
    whole = frozenset(
        number
        for number, each in enumerate(found)
        if _is_animal(scene.names[number], each.drawn)
        and not _FACE.search(f"{each.phrase} {each.drawn}")
        and not is_in_vehicle(scene, number)
        and (_acts(scene, number) or is_doing(each.phrase))
    )
    return replace(scene, whole=whole) if whole else scene


def made_whole(
    scene: PlannedScene, images: Sequence[Pixels], seed: int
) -> Generator[Seeded, Sequence[Image.Image], list[Pixels]]:
    """The drawings of a scene's things, with a body where an animal is to be whole and is a head.

    Args:
        scene: what is drawn.
        images: ``(S, S, 3)`` of each thing.
        seed: by which others of an animal of which there are whole ones are drawn.
    """
    found = list(images)
    for number in sorted(scene.whole):
        body, cut = body_of(scene.parts[number]), cut_out_drawn(found[number])
        if body is None or not is_head(cut, body):
            continue
        if not body.also_whole:
            found[number] = with_body(cut, body, len(found[number]))
            continue
        most = asymmetry(cut)
        for other in range(_OTHERS):
            (image,) = yield Seeded(scene.features[[number]], [seed + 1 + other])
            cut = cut_out_drawn(np.asarray(image))
            if (share := asymmetry(cut)) > most:
                found[number], most = np.asarray(image), share
            if not is_head(cut, body):
                break
    return found


def _acts(scene: PlannedScene, number: int) -> bool:
    """Whether an animal is somewhere, or does something to others: is not beside them on white."""
    links = [link for link in scene.links if number in (link.first, link.second)]
    beside = all(link.relation == "with" and scene.way(link) == "beside" for link in links)
    apart = scene.setting is None and bool(links) and beside
    return not apart and pose_of(scene, number) is not None


def _is_animal(name: str, drawn: str) -> bool:
    role = facts_of(drawn).role
    return body_of(drawn) is not None or (
        role in ALIVE and role != "person" and facts_of(name).role == role
    )
