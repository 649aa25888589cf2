"""Scenes: prompts of several things are planned, drawn thing by thing, and composed.

A model that draws one thing well need not learn every combination of things. The planner
(:mod:`limner.models.planner`) finds the things in the prompt's own pieces. Each piece is drawn as
a prompt of its own, recoloured where it is asked for in a colour that it does not come in, cut out
of its white background and placed.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from limner.errors import UsageError
from limner.generation.prompts import quoted, warn
from limner.modelfile import load_model
from limner.models.planner import PlannedThing, Planner, ScenePlan
from limner.scenes.backgrounds import background_rgb
from limner.scenes.colours import COLOURS, recolour
from limner.scenes.cutout import Floats, cut_out_drawn, is_recoloured, place, to_image
from limner.scenes.layout import arrange
from limner.scenes.plain import background_alone
from limner.scenes.quantities import is_label, quantities
from limner.shipped import SHIPPED_PLANNER, find_model
from limner.tensorfile import file_hash
from limner.text.base import TextEncoder, TextFeatures
from limner.text.segment import pieces_of
from limner.text.spaceless import SPACELESS
from limner.text.validate import canonical_all

_STREAM = 77
Pixels = NDArray[np.uint8]
PartialDrawing = Generator[TextFeatures, Sequence[Image.Image], Image.Image]
"""A picture in the making: yields the features of the texts that it wants drawn, all with its own
seed and settings, is sent their pictures, and returns the finished one. So the parts of many
pictures are drawn together, and nobody who draws them knows what they are parts of."""


def one_piece(text: TextFeatures) -> PartialDrawing:
    """A picture that is drawn from one text as it stands."""
    images = yield text
    return images[0]


@dataclass(frozen=True)
class PlannedScene:
    """A prompt that is drawn in parts, or from other words than its own.

    Attributes:
        plan: what the prompt asks for.
        parts: the words that each thing is drawn from, without those for its tint.
        features: of those words.
        coloured: the same with the words for the tint, for things that cannot be recoloured.
    """

    plan: ScenePlan
    parts: tuple[str, ...]
    features: TextFeatures
    coloured: tuple[str, ...]


class SceneArtist:
    """Plans prompts, and draws those that ask for more than one thing on white.

    Args:
        encoder: the text encoder of the model that draws, which must read in pieces.
        path: a planner's file; None for the shipped one.

    Attributes:
        hash: of the planner's file.

    Raises:
        UsageError: the encoder does not read in pieces, or is not the planner's own.
        ModelFileError: the planner cannot be read.
    """

    def __init__(self, encoder: TextEncoder, path: Path | None = None) -> None:
        file = find_model(path, SHIPPED_PLANNER)
        model, info = load_model(file)
        if not isinstance(model, Planner):
            raise UsageError(f"{file} is of the {info.family} family and plans no scenes")
        if encoder.fingerprint != info.encoder_fingerprint:
            raise UsageError(
                f"scenes are planned in the pieces of the text encoder {info.encoder!r}, and this "
                f"model reads with {encoder.spec!r}; leave --scenes out"
            )
        self.planner, self.encoder, self.hash = model.eval(), encoder, file_hash(file)

    def understand(self, words: Sequence[str], text: TextFeatures) -> list[PlannedScene | None]:
        """The scene that each prompt asks for; None where the prompt is drawn as it stands.

        That is where it asks for one thing on white and has no word too many. ``text`` holds the
        features of the prompts.
        """
        plans = self.planner.plan(text)
        rows = zip(plans, canonical_all(words), text.pieces, strict=True)
        return [self._scene(*row) for row in rows]

    def _scene(self, plan: ScenePlan, text: str, cut: tuple[str, ...]) -> PlannedScene | None:
        alone, colour = background_alone(text)
        if alone:
            rgb = None if colour is None else background_rgb(colour)
            return PlannedScene(ScenePlan((), background=rgb), (), self.encoder.encode(()), ())
        kinds = [piece.kind for piece in pieces_of(text, cut)]
        # Words for how things stand to each other cannot be things.
        things = tuple(thing for thing in plan.things if kinds[thing.piece] != "relation")
        plan = replace(plan, things=things)
        drop, tint = ([cut[number] for number in some] for some in (plan.drop, plan.tint))
        most = self.planner.config.max_count
        counted = [_counted(thing, cut[thing.piece], drop, most) for thing in plan.things]
        plan = replace(plan, things=tuple(thing for thing, _ in counted))
        coloured = tuple(without(cut[thing.piece], words) for thing, words in counted)
        parts = tuple(
            without(said, tint) if thing.tint else said
            for said, thing in zip(coloured, plan.things, strict=True)
        )
        if plan.single and not _otherwise(plan, kinds, parts, cut):
            return None
        return PlannedScene(plan, parts, self.encoder.encode(parts), coloured)

    def draw(
        self, scene: PlannedScene, seed: int, side: int, *, transparent: bool = False
    ) -> PartialDrawing:
        """The picture of a scene; the same scene and seed give the same pixels.

        Args:
            scene: what to draw.
            seed: decides how things are arranged where the words leave it open.
            side: of the picture, in pixels.
            transparent: leave the background out: an RGBA picture, but of a thing alone, which is
                left on white.
        """
        drawn = (yield from self._things(scene)) if scene.plan.things else []
        if drawn and scene.plan.single:
            return Image.fromarray(drawn[0].pixels)
        canvas = np.full((side, side, 3), scene.plan.background or 1.0, np.float32)
        if transparent:
            canvas = np.zeros((side, side, 4), np.float32)
        if things := scene.plan.things:
            rng = np.random.default_rng([seed % 2**32, seed >> 32, _STREAM])
            counts, sizes = [t.count for t in things], [t.size for t in things]
            boxes = arrange(counts, sizes, scene.plan.relation, rng)
            singles = [one.cut for one, count in zip(drawn, counts, strict=True)
                       for _ in range(count)]  # fmt: skip
            for cut, box in zip(singles, boxes, strict=True):
                place(canvas, cut, box.x * side, box.y * side, box.side * side)
        return to_image(canvas)

    def _things(
        self, scene: PlannedScene
    ) -> Generator[TextFeatures, Sequence[Image.Image], list[_Drawn]]:
        """Each thing as it is drawn, and recoloured where the plan says so.

        What cannot be recoloured is drawn again with its colour in the words.
        """
        images = map(np.asarray, (yield scene.features))
        found = [
            _tinted(pixels, thing.tint) if thing.tint else _plain(pixels)
            for pixels, thing in zip(images, scene.plan.things, strict=True)
        ]
        words = [said for said, one in zip(scene.coloured, found, strict=True) if one is None]
        again = map(np.asarray, (yield self.encoder.encode(words))) if words else iter(())
        return [_plain(next(again)) if one is None else one for one in found]


class _Drawn(NamedTuple):
    """A drawn thing: the picture of it on white, and the thing cut out of it."""

    pixels: Pixels
    cut: Floats


def _plain(pixels: Pixels) -> _Drawn:
    return _Drawn(pixels, cut_out_drawn(pixels))


def _counted(
    thing: PlannedThing, phrase: str, drop: Sequence[str], most: int
) -> tuple[PlannedThing, Sequence[str]]:
    """A thing with its number put right, and the words that are not to be drawn.

    The planner takes every number for a count, and knows none beyond nine.
    """
    numbers = quantities(phrase)
    counts = [each for each in numbers if each.counts or (each.counts is None and thing.count > 1)]
    if numbers and not counts:  # "3d render of a donut": its words are drawn, and once
        named = {each.words for each in numbers}
        kept = [word for word in drop if word.lower() not in named and not is_label(word)]
        return replace(thing, count=1), kept
    if max((each.value for each in counts), default=0) <= most:
        return thing, drop
    warn(f"{quoted(phrase)}: {most} are drawn, the most of one kind that a picture can hold")
    return replace(thing, count=most), [*drop, *(each.words for each in counts)]


def _otherwise(
    plan: ScenePlan, kinds: Sequence[str], parts: Sequence[str], cut: Sequence[str]
) -> bool:
    """Whether a thing alone on white is drawn otherwise than from the whole prompt.

    What else the prompt says of it (*with tears of joy*) must not get lost, and what it says of
    the background must not be drawn.
    """
    for thing, said in zip(plan.things, parts, strict=True):
        others = {n for n, kind in enumerate(kinds) if kind == "phrase" and n != thing.piece}
        alone = said != cut[0] if thing.piece == 0 else bool(others) and others <= {*plan.behind}
        if thing.tint is not None or alone:
            return True
    return False


def _tinted(pixels: Pixels, colour: str) -> _Drawn | None:
    """A thing recoloured; None where it has no dominant colour, or hardly changes."""
    ink = recolour(pixels, COLOURS[colour])
    if ink is None:
        return None
    cut = cut_out_drawn(pixels, ink)
    return _Drawn(ink, cut) if is_recoloured(cut_out_drawn(pixels), cut) else None


def without(phrase: str, words: Sequence[str]) -> str:
    """A phrase without some of its words, and without what they leave behind (的, の, de, spaces).

    The phrase as it was, where nothing would be left.
    """
    rest = phrase
    for word in words:
        whole = re.escape(word) + "[的の]?"
        if not SPACELESS.search(word):
            whole = rf"(?<!\w){re.escape(word)}(?!\w)"
        rest = re.sub(whole, "", rest, count=1)
    rest = re.sub(r"\s+", " ", rest).strip(" ,，、的の")
    if rest != phrase:
        rest = rest.removesuffix(" de")  # gato de color azul
    return rest or phrase
