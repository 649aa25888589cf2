"""Scenes are drawn: thing by thing, each cut out of its white background, and put together.

What is asked for in a colour that it does not come in is recoloured; what cannot be is drawn again
from words with the colour.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from limner.arrays import Floats, Pixels
from limner.generation.drawn_things import (
    DrawnThing,
    in_colour_or_dyed,
    plainly,
    tinted,
    tinted_or_plain,
    wholly,
    with_own_water,
    with_top,
)
from limner.generation.partial_drawing import PartialDrawing, Seeded
from limner.generation.placed import Placed
from limner.generation.planned_scene import PlannedScene
from limner.generation.prompts import quoted, warn
from limner.generation.whole_animals import made_whole
from limner.generation.whole_persons import who_eats, who_reaches
from limner.scenes.actors import Actor, Spot, extent, flies, looks_apart
from limner.scenes.arms import with_bent_arms
from limner.scenes.bodies import BODY_COLOURS, YOUNG, on_body
from limner.scenes.clothed_bodies import Arms, clothed, clothes_of
from limner.scenes.cutout import cut_out_drawn, paste_box, placement, to_image
from limner.scenes.framing import framed
from limner.scenes.frowns import frowning
from limner.scenes.landscape import has_water, lighting_of, paint, room_of, veil
from limner.scenes.layout import Relation, arrange
from limner.scenes.lettering import HEADING, write, write_heading
from limner.scenes.lighting import Lighting, afloat, cast, lit, outlined, shines, standing
from limner.scenes.outlines import without_shadow
from limner.scenes.places import Setting
from limner.scenes.scarves import as_worn, is_scarf
from limner.scenes.sentence import Link
from limner.scenes.shapes import without_handle_hole, without_strap
from limner.scenes.sizes import ALIVE, facts_of, wears_a_hat
from limner.scenes.staging import apart, stage
from limner.scenes.surroundings import has_own_sky, without_sky, without_water
from limner.text.base import TextEncoder, concatenate
from limner.threads import side_by_side

_STREAM, _BACKDROP_STREAM = 77, 79
_DANCING = "woman dancing"
_LOOSE = frozenset({"made", "with"})
"""Relations of things that stand apart on white: two that are together are recognised worse."""
_NARROW = {3: 0.62, 4: 0.45}
"""Number of things of one kind -> width over height up to which they stand in one row, not two."""
_PAIR, _PAIR_GAP, _PAIR_WIDE, _MUCH_LARGER = 2, 0.06, 0.92, 1.12
"""Number of things that stand on one level; the gap between them and their width together with it,
of the picture's side; factor from which on they are enlarged to that."""
_COLOURED = 0.08
"""Least mean difference of the channels of a thing of colours."""
_MARGIN = 0.06
"""Beside and below things under a heading, of the side."""


def draw_scene(
    scene: PlannedScene, encoder: TextEncoder, seed: int, side: int, *,
    transparent: bool = False, placed: Placed | None = None, seeds: Sequence[int] = (),
) -> PartialDrawing:  # fmt: skip
    """The picture of a scene; the same scene and seed give the same pixels.

    Args:
        scene: what to draw.
        encoder: of the model that draws the things.
        seed: decides how things are arranged where the words leave it open.
        side: of the picture, in pixels.
        transparent: leave the background out: an RGBA picture, but of a thing alone, which is
            left on white.
        placed: is told where the things are.
        seeds: by which the first things are drawn; the others have ``seed``.
    """
    placed = placed or Placed()
    if transparent and scene.plan.things:
        scene = replace(scene, setting=None, props=(), prop_features=None)
    asks = scene.plan.things or scene.props
    drawn, props = (yield from draw_things(scene, encoder, seed, seeds)) if asks else ([], [])
    placed.cuts, placed.pixels = _as_worn(scene, drawn), [one.pixels for one in drawn]
    placed.words = scene.parts
    placed.on_white = scene.setting is None and scene.plan.background is None
    if drawn and scene.alone:
        return Image.fromarray(drawn[0].pixels)
    rng, cuts = scene_randomness(seed), placed.cuts
    placed.spots = spots_of(scene, cuts, side, rng) if drawn else ()
    canvas = backdrop(
        scene, [one.cut for one in props], side, seed, placed.spots, transparent=transparent
    )
    show(canvas, placed.spots, cuts, scene.names, lighting_of(scene.setting))
    inscribe(canvas, placed.spots, cuts, scene)
    if scene.setting is not None:
        veil(canvas, scene.setting, rng)
    return to_image(canvas)


def _as_worn(scene: PlannedScene, drawn: Sequence[DrawnThing]) -> list[Floats]:
    """The cut-out things; hats that somebody wears have no straps, scarves are around the neck.

    One sees through handles.
    """
    facts = [facts_of(name) for name in scene.names]
    worn = {link.second for link in scene.links if facts[link.second].role == "hat"}
    open_ones = {
        number
        for link in scene.links
        for number in (link.first, link.second)
        if facts[number].role == "vessel" and _holds(scene, link, number)
    }
    scarves = {
        link.second
        for link in scene.links
        if is_scarf(scene.names[link.second]) and scene.way(link) == "wearing"
    }
    cuts = [without_strap(one.cut) if i in worn else one.cut for i, one in enumerate(drawn)]
    cuts = [as_worn(cut) if i in scarves else cut for i, cut in enumerate(cuts)]
    return [without_handle_hole(cut) if i in open_ones else cut for i, cut in enumerate(cuts)]


def _holds(scene: PlannedScene, link: Link, number: int) -> bool:
    """Whether one of the things of a link holds the other."""
    inside = (
        ("in", "inside") if number == link.second else ("full", "holds", "carries", "stands in")
    )
    return scene.way(link) in inside


def draw_things(
    scene: PlannedScene, encoder: TextEncoder, seed: int, seeds: Sequence[int] = ()
) -> Generator[Seeded, Sequence[Image.Image], tuple[list[DrawnThing], list[DrawnThing]]]:
    """Each thing as it is drawn, recoloured where the plan says so, and the setting's props.

    What cannot be recoloured is drawn again with its colour in the words, where the model
    learned from such, else dyed.

    Args:
        scene: what to draw.
        encoder: of the words with a colour.
        seed: of the picture.
        seeds: by which the first things are drawn; the others have that of the picture.
    """
    own = [*seeds, *[None] * len(scene.parts)][: len(scene.parts)]
    some = [scene.features] if scene.parts else []
    some += [] if scene.prop_features is None else [scene.prop_features]
    some += [] if scene.figure_features is None else [scene.figure_features]
    text = concatenate(some)
    others = [None] * (len(text) - len(own))
    images = [np.asarray(image) for image in (yield Seeded(text, [*own, *others]))]
    things = scene.plan.things
    persons = [i for i, figure in enumerate(scene.figures) if figure is not None]
    if persons:
        images, bodies = images[: -len(persons)], images[-len(persons) :]
    for i in scene.sad:
        sad = frowning(images[i])
        images[i] = images[i] if sad is None else sad
    if persons:
        _give_bodies(scene, images, dict(zip(persons, bodies, strict=True)))
    _clothe(scene, images)
    images = yield from made_whole(scene, images, seed)
    wanted = [thing.tint for thing in things] + [None] * (len(images) - len(things))
    cut = list(side_by_side(torch.get_num_threads()).map(tinted_or_plain, images, wanted))
    found, props = cut[: len(things)], cut[len(things) :]
    words, again_by = [], []
    for number, (said, part) in enumerate(zip(scene.coloured, scene.parts, strict=True)):
        tint = things[number].tint
        if found[number] is None and tint is not None and said == part:
            found[number] = tinted(images[number], tint, dye=True)
            if found[number] is None:
                warn(f"what is drawn of {quoted(part)} cannot be made {tint}")
                found[number] = plainly(images[number])
        if found[number] is None:
            words.append(said)
            again_by.append(own[number])
    again: Iterator[Pixels] = iter(())
    if words:
        again = map(np.asarray, (yield Seeded(encoder.encode(words), again_by)))
    hats, drawn = _hats(scene), list[DrawnThing]()
    for number, (one, thing) in enumerate(zip(found, things, strict=True)):
        shown = one or in_colour_or_dyed(next(again), images[number], thing.tint)
        name, top = (scene.names or scene.parts)[number], thing.top or hats.get(number)
        if top is not None:
            alive = facts_of(name).role in ALIVE
            shown = with_top(shown, top, hair=alive and thing.top is not None, face=alive)
        if thing.tint is not None and facts_of(name).role == "boat":
            shown = with_own_water(shown)
        around = scene.setting or (Setting() if scene.heading and has_own_sky(name) else None)
        drawn.append(shown if around is None else _within(shown, name, around))
    return drawn, [one for one in props if one is not None]


def _give_bodies(
    scene: PlannedScene,
    images: list[Pixels],
    bodies: Mapping[int, Pixels],
) -> None:
    """Make whole persons of heads, in place, with the arms of who holds or eats something bent."""
    reaching, eating = who_reaches(scene), who_eats(scene)
    for i, body in bodies.items():
        colour = BODY_COLOURS.get(scene.parts[i])
        whole = body if colour is None else wholly(body, colour)
        if i in reaching or i in eating:
            whole = with_bent_arms(whole, raised=i in eating)
        images[i] = on_body(images[i], whole, young=scene.parts[i] in YOUNG)


def _clothe(scene: PlannedScene, images: list[Pixels]) -> None:
    """Make whole persons of busts, in place, with the arms of who holds something bent."""
    reaching = who_reaches(scene) | who_eats(scene) if scene.clothed else frozenset[int]()
    for i, sits in scene.clothed:
        clothes = clothes_of(scene.parts[i])
        if clothes is not None:
            arms: Arms = "bent" if i in reaching else "hanging"
            images[i] = clothed(images[i], clothes, sitting=sits, arms=arms)


def _within(drawn: DrawnThing, name: str, setting: Setting) -> DrawnThing:
    """A thing without a sky, water or shadow of its own, where its setting has them."""
    seen = None
    if has_own_sky(name):
        seen = without_sky(drawn.cut)
    elif facts_of(name).role == "boat" and has_water(setting):
        recoloured = drawn.uncoloured is not drawn.pixels
        seen = without_water(drawn.cut, cut_out_drawn(drawn.uncoloured) if recoloured else None)
    return drawn._replace(cut=without_shadow(drawn.cut if seen is None else seen))


def _hats(scene: PlannedScene) -> dict[int, str]:
    """Colours of the hats that things wear as they are drawn, by their numbers.

    A wizard with a purple hat wears his own, in purple.
    """
    found: dict[int, str] = {}
    for link in scene.links:
        colour = scene.plan.things[link.second].tint
        hat = facts_of(scene.names[link.second]).role == "hat"
        who = scene.names[link.first], scene.parts[link.first]
        worn = link.relation in ("wearing", "with", "in") and any(map(wears_a_hat, who))
        if colour is not None and hat and worn:
            found[link.first] = colour
    return found


def scene_randomness(seed: int) -> np.random.Generator:
    """What decides of the things of a scene what the words leave open."""
    return np.random.default_rng([seed % 2**32, seed >> 32, _STREAM])


def backdrop_randomness(seed: int) -> np.random.Generator:
    """The same of what is behind them."""
    return np.random.default_rng([seed % 2**32, seed >> 32, _BACKDROP_STREAM])


def backdrop(
    scene: PlannedScene, props: Sequence[Floats], side: int, seed: int, spots: Sequence[Spot], *,
    transparent: bool = False,
) -> Floats:  # fmt: skip
    """What is behind the things of a scene: ``(side, side, 3)``, or of 4 where it is transparent.

    Args:
        scene: the scene.
        props: of its setting, cut out.
        side: in pixels.
        seed: places hills and props.
        spots: where things will be.
        transparent: whether there is nothing where no place is painted.
    """
    if scene.setting is not None:
        pairs = list(zip(scene.props, props, strict=True))
        rng = backdrop_randomness(seed)
        return paint(side, scene.setting, pairs, rng, alone=not scene.parts, things=spots)
    if transparent:
        return np.zeros((side, side, 4), np.float32)
    return np.full((side, side, 3), scene.plan.background or 1.0, np.float32)


def show(
    canvas: Floats, spots: Sequence[Spot], cuts: Sequence[Floats], names: Sequence[str],
    lighting: Lighting,
) -> None:  # fmt: skip
    """Paint things, in place, in the light of their setting and with their shadows.

    Args:
        canvas: ``(S, S, 3)``, or of 4 where it is transparent.
        spots: where things are, in the order in which they are painted.
        cuts: each kind of thing, cut out.
        names: of the kinds of things in English.
        lighting: of the setting.
    """
    stands = [] if lighting.ground is None else standing(spots, lighting.ground)
    floats = {id(spot) for spot in stands if _floats(spot, names, lighting)}
    for spot in stands:
        if id(spot) not in floats:
            cast(canvas, cuts[spot.thing], spot.box)
    seen = [
        cut if shines(name) else lit(cut, lighting.light)
        for cut, name in zip(cuts, names, strict=True)
    ]
    for spot in spots:
        cut = seen[spot.thing]
        if lighting.shown and id(spot) not in floats:
            outlined(canvas, cut, spot.box)
        paste_box(canvas, afloat(cut) if id(spot) in floats else cut, spot.box)


def inscribe(
    canvas: Floats, spots: Sequence[Spot], cuts: Sequence[Floats], scene: PlannedScene
) -> None:
    """Write on the things of a scene, and above them, what is to be read, in place."""
    for number, words in scene.inscriptions:
        for spot in spots:
            if spot.thing == number:
                write(canvas, cuts[number], spot.box, words)
    if scene.heading:
        write_heading(canvas, scene.heading)


def _floats(spot: Spot, names: Sequence[str], lighting: Lighting) -> bool:
    """Whether a thing is in the water of its setting."""
    if lighting.water is None:
        return False
    top, bottom = lighting.water
    return top < spot.bottom <= bottom


def actors_of(scene: PlannedScene, cuts: Sequence[Floats]) -> list[Actor]:
    """The kinds of things of a scene as they are drawn."""
    reaching = who_reaches(scene) if any(map(_is_coloured, cuts)) else frozenset[int]()
    return [
        Actor(
            cut,
            facts_of(name),
            thing.count,
            thing.size,
            hatted=wears_a_hat(name) or wears_a_hat(part),
            dressed=part == _DANCING,
            around=is_scarf(name),
            reaching=number in reaching,
            whole=number in scene.whole or number in dict(scene.clothed),
            aloft=number in scene.aloft,
        )
        for number, (cut, name, part, thing) in enumerate(
            zip(cuts, scene.names, scene.parts, scene.plan.things, strict=True)
        )
    ]


def _is_coloured(cut: Floats) -> bool:
    """Whether a thing is of colours; before a body in black ink nothing black is seen."""
    return float(np.ptp(cut[..., :3], -1)[cut[..., 3] > 0.5].mean()) > _COLOURED


def _level(spots: Sequence[Spot]) -> list[Spot]:
    """Things beside each other on one level, their common box in the middle.

    Where they are narrow and leave much of the picture empty, they are larger.
    """
    wide, high = sum(spot.width for spot in spots), max(spot.height for spot in spots)
    gaps = _PAIR_GAP * (len(spots) - 1)
    larger = min((_PAIR_WIDE - gaps) / wide, _PAIR_WIDE / high)
    if larger < _MUCH_LARGER and len(spots) == _PAIR:
        low = 0.5 + high / 2
        return [replace(spot, top=low - spot.height) for spot in spots]
    low, left = 0.5 + larger * high / 2, 0.5 - (larger * wide + gaps) / 2
    found: dict[int, Spot] = {}
    for number in sorted(range(len(spots)), key=lambda i: spots[i].left):
        spot = spots[number].moved(larger, 0, 0)
        found[number] = replace(spot, left=left, top=low - spot.height)
        left += spot.width + _PAIR_GAP
    return [found[number] for number in range(len(spots))]


def in_order(scene: PlannedScene, actors: Sequence[Actor]) -> tuple[bool, Relation | None]:
    """Whether the things of a scene are only put in order, and where the first of them is.

    Things on white of which nothing else is said, or which are with each other, stand apart. What
    does something to another stands with it as in a place.
    """
    simple, relation = apart(actors, scene.links)
    together = any(scene.figures) or any(link.relation not in _LOOSE for link in scene.links)
    under = relation in ("above", "below") and (any(scene.figures) or bool(scene.whole))
    ordered = (relation is not None and not under) or not together
    return scene.setting is None and simple and ordered, relation


def spots_of(
    scene: PlannedScene, cuts: Sequence[Floats], side: int, rng: np.random.Generator
) -> list[Spot]:
    """Where each thing of a scene is, in the order in which they are painted."""
    spots = _arranged(scene, cuts, side, rng)
    if not scene.heading or scene.setting is not None:
        return spots
    return _below_heading(spots)


def _below_heading(spots: Sequence[Spot]) -> list[Spot]:
    """Things as large as they can be below a heading, in the middle."""
    box = extent(spots)
    room = 1 - HEADING - _MARGIN
    scale = min((1 - 2 * _MARGIN) / box.width, room / box.height)
    x = 0.5 - scale * (box.left + box.width / 2)
    y = HEADING + room / 2 - scale * (box.top + box.height / 2)
    return [spot.moved(scale, x, y) for spot in spots]


def _arranged(
    scene: PlannedScene, cuts: Sequence[Floats], side: int, rng: np.random.Generator
) -> list[Spot]:
    things, actors = scene.plan.things, actors_of(scene, cuts)
    ordered, relation = in_order(scene, actors)
    if ordered:
        counts, sizes = [t.count for t in things], [t.size for t in things]
        relation = scene.plan.relation or relation
        lengths = [looks_apart(actor) for actor in actors]
        boxes = arrange(counts, sizes, relation, rng, lengths=lengths)
        kinds = [kind for kind, count in enumerate(counts) for _ in range(count)]
        found = []
        for kind, box in zip(kinds, boxes, strict=True):
            pixels = placement(cuts[kind], box.x * side, box.y * side, box.side * side, side)
            found.append(Spot(kind, *(length / side for length in pixels)))
        in_a_row = sum(counts) == _PAIR and relation not in ("above", "below")
        in_a_row |= len(counts) == 1 and actors[0].aspect < _NARROW.get(counts[0], 0.0)
        return _level(found) if in_a_row and not any(map(flies, actors)) else found
    room = None if scene.setting is None else room_of(scene.setting)
    sky = room is not None and room.ground is not None
    groups = stage(actors, scene.links, rng, loose=sky or room is None, sky=sky)
    return framed(groups, actors, room, rng)
