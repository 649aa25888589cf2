"""Animals that are somewhere or do something are drawn whole, where sets of drawings show heads.

In a scene a fox has a body (:mod:`limner.scenes.animal_bodies`), or is drawn in a set that shows
it whole, or as the one of several drawings of it that does. A head alone, one that only wears
something on it, and one whose face is asked for stays one.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from limner.arrays import Pixels
from limner.generation.drawn_from import Grounding
from limner.generation.partial_drawing import Seeded
from limner.generation.planned_scene import PlannedScene
from limner.generation.whole_persons import FACE, is_doing, is_in_vehicle, pose_of
from limner.scenes.animal_bodies import asymmetry, body_of, is_head, with_body
from limner.scenes.cutout import cut_out_drawn
from limner.scenes.sizes import ALIVE, facts_of
from limner.text.base import TextFeatures

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
        and not FACE.search(f"{each.phrase} {each.drawn}")
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
        found[number] = yield from whole_animal(
            scene.parts[number], scene.features[[number]], found[number], seed
        )
    return found


def whole_animal(
    name: str, features: TextFeatures, image: Pixels, seed: int
) -> Generator[Seeded, Sequence[Image.Image], Pixels]:
    """The drawing of an animal, with a body where it is a head.

    Args:
        name: that it is drawn from.
        features: of that name.
        image: ``(S, S, 3)``, as it is drawn.
        seed: by which others of it are drawn where there are whole ones.
    """
    body, cut = body_of(name), cut_out_drawn(image)
    if body is None or not is_head(cut, body):
        return image
    if not body.also_whole:
        return with_body(cut, body, len(image))
    most = asymmetry(cut)
    for other in range(_OTHERS):
        (again,) = yield Seeded(features, [seed + 1 + other])
        cut = cut_out_drawn(np.asarray(again))
        if (share := asymmetry(cut)) > most:
            image, most = np.asarray(again), share
        if not is_head(cut, body):
            break
    return image


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
