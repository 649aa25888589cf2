"""Scenes of which some things were changed: all others are drawn where and as they were.

The scene is drawn and arranged as before the first change. The changes follow one after the other,
so that what they leave alone keeps its place, its pose and its pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from PIL import Image

from limner.arrays import Floats, Pixels
from limner.generation.drawn_things import DrawnThing, plainly, tinted, wholly
from limner.generation.finishing import at_size
from limner.generation.partial_drawing import Numbered, PartialDrawing, Seeded
from limner.generation.planned_scene import PlannedScene
from limner.generation.prompts import quoted, warn
from limner.generation.scene_drawing import (
    actors_of,
    backdrop,
    backdrop_randomness,
    draw_things,
    in_order,
    inscribe,
    scene_randomness,
    show,
    spots_of,
)
from limner.generation.whole_animals import whole_animal
from limner.scenes.actors import Actor, Spot
from limner.scenes.bodies import YOUNG, on_body
from limner.scenes.clothed_bodies import clothed, clothes_of
from limner.scenes.colours import COLOURS
from limner.scenes.cutout import paste_box, to_image
from limner.scenes.landscape import Prop, lighting_of, paint, room_of, veil
from limner.scenes.lighting import Lighting
from limner.scenes.matte import matte_of
from limner.scenes.places import Setting
from limner.scenes.rearranging import Arrangement, Direction
from limner.scenes.sentence import Link
from limner.scenes.sizes import facts_of
from limner.text.base import TextEncoder, TextFeatures

_STREAM = 78


@dataclass(frozen=True)
class CastThing:
    """A thing that is or was in a scene.

    Attributes:
        row: number of its drawing among all of the scene's; other things may share it.
        name: in English.
        words: that stand for it in messages.
        drawn: what it is drawn from.
        tint: key of ``COLOURS``; None for its own colour.
        dyed: whether it was given its tint by a change.
        whole: whether all of it takes the tint, and not its main colour alone.
        size: ``big``, ``small`` or None.
        bodied: whether it is drawn from head to foot, as who is in a place is.
        figure: number of the drawing whose body it then gets; None for who needs none.
    """

    row: int
    name: str
    words: str
    drawn: str
    tint: str | None = None
    dyed: bool = False
    size: str | None = None
    whole: bool = False
    bodied: bool = False
    figure: int | None = None


@dataclass(frozen=True)
class CastProp:
    """Something that belongs to the setting: how it is placed, its drawing, and how it is shown."""

    prop: Prop
    row: int
    tint: str | None = None
    hidden: bool = False


@dataclass(frozen=True)
class Step:
    """A change of places.

    Attributes:
        change: what happens; ``behind`` is another setting.
        thing: number of the thing in the cast.
        other: that comes in its place.
        count: how many; 0 for as many as there were.
        factor: of its size.
        direction: in which it is moved.
        link: how it stands to another.
        setting: that is behind everything from now on.
    """

    change: Literal["remove", "recast", "count", "scale", "move", "relate", "add", "behind"]
    thing: int = -1
    other: int = -1
    count: int = 0
    factor: float = 1.0
    direction: Direction = "left"
    link: Link | None = None
    setting: Setting | None = None


@dataclass(frozen=True)
class EditedScene:
    """A scene and what was changed of it.

    Attributes:
        base: as it was before.
        cast: all things that are or were in it; those of ``base`` first.
        steps: changes of places, in their order.
        new: features of what is drawn besides the things and props of ``base``.
        setting: behind everything in the end.
        background: colour of a plain one; None for white.
        props: of the setting in the end.
    """

    base: PlannedScene
    cast: tuple[CastThing, ...]
    steps: tuple[Step, ...]
    new: TextFeatures | None
    setting: Setting | None
    background: tuple[float, float, float] | None
    props: tuple[CastProp, ...]


def draw_edited(
    scene: EditedScene, encoder: TextEncoder, seed: int, side: int, *,
    transparent: bool = False, seeds: Sequence[int] = (),
) -> PartialDrawing:  # fmt: skip
    """The picture of an edited scene; the same scene and seed give the same pixels.

    Args:
        scene: what to draw.
        encoder: of the model that draws the things.
        seed: of the scene before the first change.
        side: of the picture, in pixels.
        transparent: leave the background out: an RGBA picture.
        seeds: of the scene's first things before the first change; the others have ``seed``.
    """
    base = scene.base
    if transparent:
        base = replace(base, setting=None, props=(), prop_features=None)
    asks = scene.base.parts or scene.base.props
    drawn, props = (yield from draw_things(scene.base, encoder, seed, seeds)) if asks else ([], [])
    rows = [*drawn, *props]
    if scene.new is not None:
        first = len(scene.base.parts) + len(scene.base.props)
        images = [np.asarray(image) for image in (yield Numbered(scene.new, first))]
        images = yield from _with_bodies(scene, scene.new, images, seed)
        rows += map(plainly, images)
    cuts = [_shown(rows[each.row], each) for each in scene.cast]
    rng, old = scene_randomness(seed), [one.cut for one in drawn]
    spots = placed = _first_spots(base, drawn, side, rng)
    canvas = backdrop(base, [one.cut for one in props], side, seed, spots, transparent=transparent)
    before = (canvas.copy(), list(spots), old)
    actors = {
        number: Actor(cut, facts_of(each.name), size=each.size, whole=each.bodied)
        for number, (cut, each) in enumerate(zip(cuts, scene.cast, strict=True))
    }
    ordered, _ = in_order(base, actors_of(base, old))
    spots, behind = _changed(scene, Arrangement(
        spots, actors, base.links, sized=not ordered,
        room=None if base.setting is None else room_of(base.setting),
        rng=np.random.default_rng([seed % 2**32, seed >> 32, _STREAM]),
    ))  # fmt: skip
    shown = _is_as_it_was(scene, base)
    if not shown and not transparent:
        behind = behind if base.setting is None else placed
        canvas = _repainted(scene, base, rows, side, seed, spots=behind, alone=not spots)
    setting = None if transparent else scene.setting
    show(canvas, spots, cuts, [each.name for each in scene.cast], _lighting(base, setting))
    inscribe(canvas, spots, cuts, base)
    if setting is not None:
        veil(canvas, setting, rng)
    image = to_image(canvas)
    if base.alone and before[1][0] in [replace(spot, depth=0.0) for spot in spots]:
        alone = at_size(Image.fromarray(drawn[0].pixels), side, transparent=transparent)
        image = _where_changed(image, before, alone)
    return image


def _with_bodies(
    scene: EditedScene, new: TextFeatures, images: list[Pixels], seed: int
) -> Generator[Seeded, Sequence[Image.Image], list[Pixels]]:
    """What is drawn besides the scene's things, from head to foot where it is to be so.

    Args:
        scene: what is changed.
        new: features of what is drawn besides.
        images: ``(S, S, 3)`` of each.
        seed: of the scene.
    """
    first = len(scene.base.parts) + len(scene.base.props)
    for each in scene.cast:
        if not each.bodied:
            continue
        at, clothes = each.row - first, clothes_of(each.drawn)
        if each.figure is not None:
            young = each.drawn in YOUNG
            images[at] = on_body(images[at], images[each.figure - first], young=young)
        elif clothes is not None:
            images[at] = clothed(images[at], clothes)
        else:
            images[at] = yield from whole_animal(each.drawn, new[[at]], images[at], seed)
    return images


def _shown(one: DrawnThing, thing: CastThing) -> Floats:
    """A thing as it is cut out, in its tint."""
    if not thing.dyed or thing.tint is None:
        return one.cut
    if thing.whole and thing.tint in COLOURS:
        return matte_of(one.uncoloured).cut(wholly(one.uncoloured, thing.tint))
    found = tinted(one.uncoloured, thing.tint) or tinted(one.uncoloured, thing.tint, dye=True)
    if found is None:
        warn(f"what is drawn of {quoted(thing.words)} cannot be made {thing.tint}")
        return one.cut
    return found.cut


def _first_spots(
    base: PlannedScene, drawn: Sequence[DrawnThing], side: int, rng: np.random.Generator
) -> list[Spot]:
    """Where things are before the first change."""
    if base.alone:
        pixels = drawn[0].pixels
        rows, columns = matte_of(pixels).box
        own = len(pixels)
        wide, high = columns.stop - columns.start, rows.stop - rows.start
        return [Spot(0, *(each / own for each in (columns.start, rows.start, wide, high)))]
    return spots_of(base, [one.cut for one in drawn], side, rng) if drawn else []


def _changed(scene: EditedScene, there: Arrangement) -> tuple[list[Spot], list[Spot]]:
    """Where things are after the last change, and where they were when the setting was chosen.

    Args:
        scene: what is changed.
        there: where they are before.
    """
    behind = list(there.spots)
    for step in scene.steps:
        if step.change == "behind":
            behind = list(there.spots)
        if not _DO[step.change](there, step):
            what = quoted(scene.cast[step.thing].words)
            warn(f"there is no room to {_SAID[step.change]} {what} as asked")
    return there.spots, behind


def _remove(there: Arrangement, step: Step) -> bool:
    there.remove(step.thing)
    return True


def _recast(there: Arrangement, step: Step) -> bool:
    there.recast(step.thing, step.other, step.count or None)
    return True


def _count(there: Arrangement, step: Step) -> bool:
    there.count(step.thing, step.count)
    return True


def _add(there: Arrangement, step: Step) -> bool:
    there.add(step.thing, step.count, step.link)
    return True


def _behind(there: Arrangement, step: Step) -> bool:
    there.room = None if step.setting is None else room_of(step.setting)
    return True


_SAID = {"scale": "enlarge", "move": "move", "relate": "put"}
_DO: dict[str, Callable[[Arrangement, Step], bool]] = {
    "remove": _remove, "recast": _recast, "count": _count, "add": _add, "behind": _behind,
    "scale": lambda there, step: there.scale(step.thing, step.factor),
    "move": lambda there, step: there.move(step.thing, step.direction),
    "relate": lambda there, step: step.link is not None and there.relate(step.link),
}  # fmt: skip


def _is_as_it_was(scene: EditedScene, base: PlannedScene) -> bool:
    """Whether nothing was changed of what is behind the things."""
    kept = [(each.prop, each.tint, each.hidden) for each in scene.props]
    return (
        scene.setting == base.setting
        and scene.background == base.plan.background
        and kept == [(prop, None, False) for prop in base.props]
    )


def _lighting(base: PlannedScene, setting: Setting | None) -> Lighting:
    """How things are shown in the end: in daylight where an instruction changed the light.

    What an instruction at night leaves alone keeps its pixels.
    """
    lighting = lighting_of(setting)
    same = lighting.light == lighting_of(base.setting).light
    return lighting if same else replace(lighting, light=Lighting.light)


def _repainted(
    scene: EditedScene, base: PlannedScene, rows: Sequence[DrawnThing], side: int, seed: int, *,
    spots: Sequence[Spot], alone: bool,
) -> Floats:  # fmt: skip
    """Another background, of which what stays is where it was.

    What belongs to it stands where the things at ``spots`` hide least of it, and is left out where
    they would hide much of it everywhere.
    """
    if scene.setting is None:
        return np.full((side, side, 3), scene.background or 1.0, np.float32)
    pairs = []
    for each in scene.props:
        thing = CastThing(each.row, each.prop.name, each.prop.name, "", each.tint, bool(each.tint))
        cut = _shown(rows[each.row], thing)
        pairs.append((each.prop, np.zeros_like(cut) if each.hidden else cut))
    alone = not base.parts if scene.setting == base.setting else alone
    rng = backdrop_randomness(seed)
    return paint(side, scene.setting, pairs, rng, alone=alone, things=spots)


def _paste(canvas: Floats, spots: Sequence[Spot], cuts: Sequence[Floats]) -> None:
    for spot in spots:
        paste_box(canvas, cuts[spot.thing], spot.box)


def _where_changed(
    image: Image.Image, before: tuple[Floats, Sequence[Spot], Sequence[Floats]], was: Image.Image
) -> Image.Image:
    """A picture with the pixels that it had before wherever the same is pasted as before."""
    canvas, spots, cuts = before
    _paste(canvas, spots, cuts)
    same = (np.asarray(image) == np.asarray(to_image(canvas))).all(-1, keepdims=True)
    return Image.fromarray(np.where(same, np.asarray(was), np.asarray(image)))
