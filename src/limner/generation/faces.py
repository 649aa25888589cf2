"""Who wears something on the head only is drawn as a face, where the model knows one.

A hat or glasses sit where they belong on a face seen from the front; on an animal seen from the
side its head has to be guessed from the silhouette.
"""

from __future__ import annotations

from collections.abc import Sequence

from limner.generation.drawn_from import Grounding
from limner.generation.planned_scene import PlannedScene
from limner.models.concepts import ConceptIndex
from limner.scenes.sizes import facts_of, person_in
from limner.text.base import TextEncoder

_ON_THE_HEAD = ("hat", "headset", "glasses")


def with_faces(
    scene: PlannedScene, found: Sequence[Grounding], concepts: ConceptIndex, encoder: TextEncoder
) -> tuple[PlannedScene, list[Grounding]]:
    """The scene with *cow face* for a cow whose only relation is that it wears a hat.

    Args:
        scene: of known things.
        found: what each of them is drawn from.
        concepts: what the model knows.
        encoder: of the model.
    """
    faces: dict[int, str] = {}
    for number, part in enumerate(scene.parts):
        known = None if person_in(part) else concepts.named(f"{part} face")  # drawn as a face
        if known is not None and known.caption == f"{part} face" and _only_wears(scene, number):
            faces[number] = known.caption
    if not faces:
        return scene, list(found)
    return (
        scene.renamed(faces, encoder),
        [each.model_copy(update={"drawn": faces.get(i, each.drawn)})
         for i, each in enumerate(found)],
    )  # fmt: skip


def _only_wears(scene: PlannedScene, number: int) -> bool:
    """Whether all that is said of a thing beside others is that it wears things on its head."""
    links = [link for link in scene.links if number in (link.first, link.second)]
    return bool(links) and all(
        link.first == number
        and facts_of(scene.names[link.second]).role in _ON_THE_HEAD
        and scene.way(link) == "wearing"
        for link in links
    )
