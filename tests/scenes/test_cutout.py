"""Cut-outs of drawings on white, against the same drawings rendered without a background."""

from __future__ import annotations

import io

import numpy as np
import pytest
import resvg_py
from PIL import Image, ImageFilter

from limner.scenes.colours import COLOURS, dyed_rest, recolour, to_hsv
from limner.scenes.cutout import (
    colours_of,
    cut_out_drawn,
    is_recoloured,
    is_rim_recoloured,
    resize,
    to_image,
    without_background,
)

SIDE = 96
DRAWINGS = {
    "disc": '<circle cx="48" cy="48" r="30" fill="#d22"/>',
    "outlined": '<path d="M20 70 L48 15 L76 70 Z" fill="#fd3" stroke="#225" stroke-width="3"/>',
    "pale": '<rect x="20.4" y="25.7" width="50" height="40" rx="9" fill="#9bd"/>',
    "two": '<g fill="#2a4"><circle cx="30" cy="40" r="14"/><circle cx="66" cy="50" r="17"/></g>',
    "rabbit": '<g fill="#fff" stroke="#555" stroke-width="1.5"><ellipse cx="40" cy="25" rx="6"'
    ' ry="17"/><ellipse cx="56" cy="25" rx="6" ry="17"/><circle cx="48" cy="58" r="24"/></g>',
}


def rendered(drawing: str, background: str | None, side: int = SIDE) -> Image.Image:
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIDE} {SIDE}">{drawing}</svg>'
    png = resvg_py.svg_to_bytes(svg_string=svg, width=side, height=side, background=background)
    return Image.open(io.BytesIO(bytes(png)))


def pixels(drawing: str) -> np.ndarray:
    return np.asarray(rendered(drawing, "white").convert("RGB"))


def over(image: Image.Image, colour: str) -> np.ndarray:
    ground = Image.new("RGBA", image.size, colour)
    return np.asarray(Image.alpha_composite(ground, image).convert("RGB"), float)


@pytest.mark.parametrize("name", DRAWINGS)
def test_on_any_colour_as_if_drawn_there(name):
    found = to_image(without_background(pixels(DRAWINGS[name])))
    true = rendered(DRAWINGS[name], None).convert("RGBA")
    for colour in ("black", "white", "red", "blue"):
        apart = np.abs(over(found, colour) - over(true, colour))
        assert apart.mean() < 1.1, colour
        assert (apart.max(-1) > 60).mean() < 0.008, colour  # of all pixels, a few of the edge


@pytest.mark.parametrize("name", DRAWINGS)
def test_soft_and_noisy_edges_leave_no_fringe(name):
    white = rendered(DRAWINGS[name], "white", 256).convert("RGB")
    noise = np.random.default_rng(1).normal(0, 3, (256, 256, 3))
    drawn = np.asarray(white.filter(ImageFilter.GaussianBlur(1.1)), float) + noise  # as decoders do
    found = to_image(without_background(drawn.clip(0, 255).round().astype(np.uint8)))
    true = rendered(DRAWINGS[name], None, 256).convert("RGBA")
    mixed = Image.fromarray(np.asarray(true)[..., 3]).point(lambda a: 255 * (0 < a < 255))
    edge = np.asarray(mixed.filter(ImageFilter.MaxFilter(5))) > 0
    for colour in ("black", "blue", "green"):
        error = np.square((over(found, colour) - over(true, colour)) / 255)[edge].mean()
        assert -10 * np.log10(error) > 24, colour


def test_no_white_edge_when_enlarged():
    thing = resize(without_background(pixels(DRAWINGS["disc"])), 4 * SIDE, 4 * SIDE)
    image = to_image(thing)
    ink = np.array([0xDD, 0x22, 0x22]) / 255
    seen = thing[..., 3] > 0.02
    assert np.abs(colours_of(thing)[seen] - ink).max() < 0.1
    assert np.abs(np.asarray(image, float)[seen][:, :3] / 255 - ink).max() < 0.1


@pytest.mark.parametrize("gap", [0, 1, 2])
def test_white_inside_an_outline_with_a_gap_stays(gap):
    image = np.full((64, 64, 3), 255, np.uint8)
    image[16:48, 16:48] = 60
    image[18:46, 18:46] = 255
    image[30 : 30 + gap, 46:48] = 255
    alpha = without_background(image)[..., 3]
    assert alpha[20:44, 20:44].min() == 1
    assert alpha[:14].max() == 0


def test_white_does_not_run_through_a_diagonal_line():
    image = np.full((40, 40, 3), 255, np.uint8)
    for i in range(14):  # a rhombus, one pixel wide, whose pixels touch at their corners only
        for y, x in ((6 + i, 20 + i), (6 + i, 20 - i), (34 - i, 20 + i), (34 - i, 20 - i)):
            image[y, x] = 0
    alpha = without_background(image)[..., 3]
    assert alpha[18:22, 14:26].min() == 1 and alpha[0].max() == 0


def test_narrow_ground_is_ground():
    image = np.full((48, 48, 3), 255, np.uint8)
    image[10:40, 8:20] = image[10:40, 22:40] = (30, 60, 200)  # two legs, two pixels apart
    assert without_background(image)[12:38, 20:22, 3].max() == 0


def test_specks_are_noise_and_a_full_picture_is_opaque():
    image = pixels(DRAWINGS["disc"]).copy()
    image[3, 3] = 0
    assert without_background(image)[3, 3, 3] == 0
    dots = np.full((64, 64, 3), 255, np.uint8)
    dots[2::4, 2::4] = 0  # none of which is larger than the others
    assert without_background(dots)[..., 3].sum() == 256
    full = np.full((16, 16, 3), 90, np.uint8)
    assert (without_background(full)[..., 3] == 1).all()
    assert cut_out_drawn(full).shape == (16, 16, 4)


@pytest.mark.parametrize(
    ("fill", "edge", "named"),
    [("#fff", "#d22", True), ("#fff", "#eee", False), ("#2a4", "#d22", False)],
)
def test_what_is_white_inside_has_the_colour_of_its_rim(fill, edge, named):
    circle = f'<circle cx="48" cy="48" r="30" fill="{fill}" stroke="{edge}" stroke-width="9"/>'
    drawn = pixels(circle)
    blue = recolour(drawn, COLOURS["blue"])
    before = cut_out_drawn(drawn)
    after = before if blue is None else cut_out_drawn(blue)
    assert is_rim_recoloured(before, after) == named
    assert not named or not is_recoloured(before, after)
    half = '<path d="M48 18 A30 30 0 0 1 48 78 Z" fill="#d22"/>'  # a mane beside a white face
    mane = pixels(f'<circle cx="48" cy="48" r="30" fill="#e4e4e4"/>{half}')
    turned = recolour(mane, COLOURS["blue"])
    assert turned is not None
    assert not is_rim_recoloured(cut_out_drawn(mane), cut_out_drawn(turned))


CUP = (
    '<path d="M16 38 H80 L70 84 H26 Z" fill="#f7f8fb"/>'
    '<rect x="14" y="30" width="68" height="10" fill="#a65"/>'
)


@pytest.mark.parametrize("side", [128, 256])
def test_a_white_cup_on_whiter_white_is_whole(side):
    """Its side differs from the background by 3 of 255, and has no outline."""
    drawn = rendered(CUP, "white", side).convert("RGB").filter(ImageFilter.GaussianBlur(side / 128))
    found = np.asarray(without_background(np.asarray(drawn))[..., 3])
    true = np.asarray(rendered(CUP, None, side).convert("RGBA"))[..., 3] / 255
    assert np.abs(found - true).mean() < 0.012


def test_a_background_that_is_itself_not_white_is_no_faint_ink():
    noise = np.random.default_rng(0).integers(245, 256, (128, 128, 1)).astype(np.uint8)
    drawn = np.minimum(np.asarray(rendered(DRAWINGS["disc"], "white", 128).convert("RGB")), noise)
    found = without_background(drawn)[..., 3]
    true = np.asarray(rendered(DRAWINGS["disc"], None, 128).convert("RGBA"))[..., 3] / 255
    assert np.abs(found - true).mean() < 0.012


def test_large_areas_of_other_colours_take_another_tone_of_the_named_one():
    """The grey body of an airplane turns pink, too; its white window and black wheel stay."""
    plane = (
        '<rect x="10" y="40" width="76" height="18" fill="#ccc"/><rect x="30" y="10" width="30"'
        ' height="30" fill="#2a6"/><rect x="30" y="58" width="30" height="26" fill="#2a6"/>'
        '<circle cx="76" cy="49" r="5" fill="#fff"/><circle cx="20" cy="49" r="5" fill="#111"/>'
    )
    before = pixels(plane)
    wings = recolour(before, COLOURS["pink"])
    assert wings is not None
    found = dyed_rest(before, wings, before.min(-1) < 255, COLOURS["pink"])
    hue, saturation, _ = to_hsv(found / 255)
    body, wing = (44, 50), (20, 40)
    for place in (body, wing):
        assert abs(hue[place] - COLOURS["pink"].hue) < 10 and saturation[place] > 0.2
    assert found[body].mean() > found[wing].mean() + 10  # the lighter part stays the lighter one
    assert found[49, 76].min() > 250 and found[49, 20].max() < 30
    leaf = pixels(
        '<circle cx="48" cy="50" r="30" fill="#d22"/><circle cx="48" cy="22" r="9" fill="#2a4"/>'
    )
    blue = recolour(leaf, COLOURS["blue"])
    assert blue is not None
    assert np.array_equal(dyed_rest(leaf, blue, leaf.min(-1) < 255, COLOURS["blue"]), blue)


def test_walls_that_changed_in_spots_are_dyed_without_holes():
    rng = np.random.default_rng(0)
    before = np.full((64, 64, 3), 255, np.uint8)
    before[8:56, 8:56] = np.clip(rng.normal((236, 222, 208), 5, (48, 48, 3)), 0, 255)  # cream
    before[8:24, 8:56] = (200, 70, 50)  # the roof
    inside = before.min(-1) < 255
    after = recolour(before, COLOURS["green"])
    found = dyed_rest(before, after, inside, COLOURS["green"])
    wall = found[26:54, 10:54].astype(float)
    green = wall[..., 1] - (wall[..., 0] + wall[..., 2]) / 2
    assert green.min() > 10
    assert green.std() < 12


def test_between_the_legs_of_a_dark_thing_is_background_and_its_eyes_stay():
    spider = (
        '<circle cx="48" cy="44" r="26" fill="#222"/><g fill="none" stroke="#222" stroke-width="4">'
        '<path d="M30 60 L24 82 H38 L36 66"/><path d="M66 60 L72 82 H58 L60 66"/></g>'
        '<circle cx="40" cy="42" r="2.5" fill="#fff"/><circle cx="56" cy="42" r="2.5" fill="#fff"/>'
    )
    drawn = rendered(spider, "white", 192).convert("RGB").filter(ImageFilter.GaussianBlur(1))
    alpha = without_background(np.asarray(drawn))[..., 3]
    assert alpha[149:154, 60:66].max() == 0 and alpha[149:154, 126:132].max() == 0
    assert alpha[80:88, 72:120].min() == 1, "the eyes are its own"


def test_what_is_nearly_white_has_an_even_edge_in_noise():
    drawing = '<circle cx="48" cy="48" r="30" fill="#eceaf2"/>'
    plain = np.asarray(
        rendered(drawing, "white", 256).filter(ImageFilter.GaussianBlur(1.3)).convert("RGB")
    )
    noise = Image.fromarray(np.random.default_rng(0).integers(88, 168, (64, 64), dtype=np.uint8))
    noisy = plain + 0.09 * (np.asarray(noise.resize((256, 256)), float)[..., None] - 128)
    found = to_image(without_background(noisy.clip(0, 255).astype(np.uint8)))
    alpha = np.asarray(found)[..., 3] > 127
    y, x = np.mgrid[0:256, 0:256] + 0.5
    far = np.hypot(x - 128, y - 128) - 80
    assert np.abs(far[alpha != (far < 0)]).max(initial=0) < 3.4, "no spikes"
    colours = np.asarray(found)[..., :3][alpha]
    assert (colours.min(-1) > 250).mean() < 0.004, "no white rim"
