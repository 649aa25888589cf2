"""Clothes of which the model knows nothing but somebody who wears them: *man in tuxedo* for a suit.

Pasted on whoever wears it, such a drawing is a second, small person on his chest. So a person in it
is drawn as the one of the drawing, and an animal gets a coat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from limner.generation.drawn_from import Grounding
from limner.generation.planned_scene import PlannedScene, kept_links
from limner.models.concepts import ConceptIndex
from limner.scenes.bodies import HEADS
from limner.scenes.sizes import facts_of, person_in
from limner.text.base import TextEncoder

_COAT = "coat"


def with_formal_dress(
    scene: PlannedScene, found: Sequence[Grounding], concepts: ConceptIndex, encoder: TextEncoder
) -> tuple[PlannedScene, list[Grounding]]:
    """The scene with *man in tuxedo* for a man and a suit that is drawn as one.

    Args:
        scene: of known things.
        found: what each of them is drawn from.
        concepts: what the model knows.
        encoder: of the model.

    Returns:
        The scene without such clothes that a person wears, and what its things are drawn from.
    """
    facts = [facts_of(name) for name in scene.names]
    worn = {
        link.second: link.first
        for link in scene.links
        if facts[link.second].role == "garment"
        and person_in(found[link.second].drawn) is not None
        and scene.way(link) == "wearing"
    }
    if not worn:
        return scene, list(found)
    names: dict[int, str] = {}
    dressed: dict[int, int] = {}
    for clothes, who in worn.items():
        if facts[who].role == "person":
            names[who] = _dressed(found[who].drawn, found[clothes].drawn, concepts)
            dressed[clothes] = who
        elif concepts.named(_COAT) is not None:
            names[clothes] = _COAT
    if not names:
        return scene, list(found)
    kept = [i for i in range(len(found)) if i not in dressed]
    links = [replace(link, first=dressed.get(link.first, link.first)) for link in scene.links]
    scene = replace(scene.renamed(names, encoder), links=tuple(links))
    own = kept_links(links, kept)
    return (
        replace(scene.of(kept), links=own),
        [found[i].model_copy(update={"drawn": names.get(i, found[i].drawn)}) for i in kept],
    )


def _dressed(who: str, drawn: str, concepts: ConceptIndex) -> str:
    """Somebody in clothes, of his or her own kind where the model knows that."""
    _, _, clothes = drawn.partition(" in ")
    own = concepts.named(f"{HEADS.get(who, who)} in {clothes}")
    return drawn if own is None or not clothes or own.instance else own.caption
