"""Things as a model drew them, cut out, and in the colours that are asked for."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from limner.arrays import Floats, Pixels
from limner.generation.prompts import warn
from limner.scenes.colours import (
    COLOURS,
    ENOUGH,
    WHITE,
    dyed,
    dyed_black,
    dyed_rest,
    is_pale,
    recolour,
    shows_colour,
    whitened,
)
from limner.scenes.cutout import cut_out_drawn, is_recoloured, is_rim_recoloured
from limner.scenes.matte import Matte, matte_of
from limner.scenes.shapes import face_of
from limner.scenes.surroundings import water_in
from limner.scenes.top_colours import top_recoloured


class DrawnThing(NamedTuple):
    """A drawn thing: its picture on white, the thing cut out of it, and it in its own colour."""

    pixels: Pixels
    cut: Floats
    uncoloured: Pixels


def plainly(pixels: Pixels) -> DrawnThing:
    """A thing as it is drawn."""
    return DrawnThing(pixels, cut_out_drawn(pixels), pixels)


def in_colour_or_dyed(again: Pixels, plain: Pixels, colour: str | None) -> DrawnThing:
    """What was drawn from words with a colour, or the thing itself dyed where that has not got it.

    Args:
        again: drawn from the words with the colour.
        plain: drawn from those without.
        colour: key of ``COLOURS`` or ``WHITE``; None for none.
    """
    if colour is None or colour == WHITE or shows_colour(again, COLOURS[colour]):
        return plainly(again)
    return tinted(plain, colour, dye=True) or plainly(again)


def with_top(drawn: DrawnThing, colour: str, *, hair: bool, face: bool) -> DrawnThing:
    """A thing with its top in a colour; as it is where it has none that can be told.

    Args:
        drawn: the thing.
        colour: key of ``COLOURS`` or ``WHITE``.
        hair: whether its top may be in several parts, as hair is.
        face: whether it has a face, which keeps its colours.

    Warns:
        PromptWarning: it is as it was.
    """
    matte = matte_of(drawn.pixels)
    inside, spared = matte.inside(drawn.pixels.shape), np.zeros(drawn.pixels.shape[:2], np.bool_)
    if face:
        rows, columns = face_of(drawn.cut)
        spared[matte.box][rows, columns] = True
    ink = top_recoloured(
        drawn.pixels, inside, colour, parted=hair, spared=spared, plain=drawn.uncoloured
    )
    if ink is None:
        warn(f"the top of what is drawn cannot be told from the rest and made {colour}")
        return drawn
    return drawn._replace(pixels=ink, cut=matte.cut(ink))


def wholly(pixels: Pixels, colour: str) -> Pixels:
    """A drawing all of whose light parts are in one colour, in their shades.

    Args:
        pixels: of a thing on white.
        colour: key of ``COLOURS``.
    """
    return dyed(pixels, matte_of(pixels).inside(pixels.shape), COLOURS[colour], whole=True)


def with_own_water(drawn: DrawnThing) -> DrawnThing:
    """A recoloured boat with the water that it is drawn in as it was."""
    matte = matte_of(drawn.uncoloured)
    water = water_in(matte.cut(drawn.uncoloured))
    if water is None:
        return drawn
    pixels = drawn.pixels.copy()
    pixels[matte.box][water] = drawn.uncoloured[matte.box][water]
    return drawn._replace(pixels=pixels, cut=matte.cut(pixels))


def tinted_or_plain(pixels: Pixels, tint: str | None) -> DrawnThing | None:
    """A thing recoloured as :func:`tinted` does, or as it is drawn where there is no tint."""
    return plainly(pixels) if tint is None else tinted(pixels, tint)


def tinted(pixels: Pixels, colour: str, *, dye: bool = False) -> DrawnThing | None:
    """A thing recoloured; None where it has no dominant colour, or hardly changes.

    Args:
        pixels: as it is drawn.
        colour: key of ``COLOURS``, or ``WHITE``.
        dye: whether it gets the colour even where no colour dominates; what has it already is as it
            was.
    """
    matte = matte_of(pixels)
    inside, before = matte.inside(pixels.shape), matte.cut(pixels)
    if colour == WHITE:
        return _white(pixels, matte) if dye else None
    black = dyed_black(pixels, inside, COLOURS[colour]) if COLOURS[colour].has_hue else None
    if black is not None:
        return DrawnThing(black, matte.cut(black), pixels)
    pale = is_pale(pixels, inside)
    if not dye and (ink := recolour(pixels, COLOURS[colour])) is not None:
        cut = matte.cut(ink)
        if is_rim_recoloured(before, cut) or (not pale and is_recoloured(before, cut)):
            whole = dyed_rest(pixels, ink, inside, COLOURS[colour])
            return DrawnThing(whole, cut if whole is ink else matte.cut(whole), pixels)
    if not (dye or pale):
        return None
    has_hue = COLOURS[colour].has_hue
    if not pale and has_hue and shows_colour(pixels, COLOURS[colour], ENOUGH):
        return DrawnThing(pixels, before, pixels)  # a green tractor with orange wheels
    ink = dyed(pixels, inside, COLOURS[colour])
    cut = matte.cut(ink)
    as_asked = is_recoloured(before, cut) or (dye and shows_colour(ink, COLOURS[colour]))
    return DrawnThing(ink, cut, pixels) if as_asked else None


def _white(pixels: Pixels, matte: Matte) -> DrawnThing | None:
    """A thing in white, or as it is where it is; None where it is drawn in black alone."""
    inside = matte.inside(pixels.shape)
    ink = pixels if is_pale(pixels, inside) else whitened(pixels, inside)
    return None if ink is None else DrawnThing(ink, matte.cut(ink), pixels)
