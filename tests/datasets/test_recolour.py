"""Painting things over: the right pixels turn, the others stay, and some colours are kept back."""

import colorsys

import numpy as np
import pytest
import typer
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from limner.cli.data import register
from limner.data.store import Caption, Store
from limner.data.writer import StoreWriter
from limner.datasets.recolour import recolour_store
from limner.errors import DataError
from limner.scenes.colours import (
    COLOURS,
    NOVEL,
    NOVEL_COLOURS,
    NOVEL_THINGS,
    dyed,
    held_out,
    is_pale,
    recolour,
    to_hsv,
    to_rgb,
)


def drawn(ink, leaf="#20a020", side=64):
    """A disc with a leaf on it, drawn four times as large and shrunk, on white."""
    picture = Image.new("RGB", (4 * side, 4 * side), "white")
    pen = ImageDraw.Draw(picture)
    pen.ellipse((40, 60, 216, 236), fill=ink)
    if leaf:
        pen.rectangle((110, 20, 146, 70), fill=leaf)
    return np.asarray(picture.resize((side, side), Image.Resampling.BOX))


TOMATO = drawn("#e02818")


def test_hsv_agrees_with_the_standard_library():
    pixels = np.random.default_rng(0).random((200, 3))
    pixels[0], pixels[1], pixels[2] = 0, 1, (0.5, 0.5, 0.2)
    hue, saturation, value = to_hsv(pixels)
    known = np.array([colorsys.rgb_to_hsv(*p) for p in pixels])
    np.testing.assert_allclose(np.stack([hue / 360, saturation, value], 1), known, atol=1e-12)
    np.testing.assert_allclose(to_rgb(hue, saturation, value), pixels, atol=1e-12)


@pytest.mark.parametrize("name", COLOURS)
def test_the_thing_takes_the_colour_and_nothing_else_does(name):
    colour = COLOURS[name]
    painted = recolour(TOMATO, colour)
    red, green, blue = painted[40, 32] / 255
    hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
    if saturation * value > 0.05:  # eight bits hold no hue below that
        assert abs((hue * 360 - colour.hue + 180) % 360 - 180) < 12
    assert saturation == pytest.approx(colour.saturation, abs=0.05)
    assert value == pytest.approx(colour.value, abs=0.05)
    assert np.array_equal(painted[:4], TOMATO[:4])  # the white background
    assert np.abs(painted[6:14, 30:34].astype(int) - TOMATO[6:14, 30:34]).max() <= 1  # the leaf


def test_edges_stay_between_ink_and_background():
    painted = recolour(drawn("#e02818", leaf=None), COLOURS["blue"]).astype(int)
    row = painted[40]
    inside, outside = row[32], row[0]
    low, high = np.minimum(inside, outside) - 12, np.maximum(inside, outside) + 12
    assert ((row >= low) & (row <= high)).all(), "a fringe of another colour around the thing"


def test_a_grey_thing_is_tinted_and_a_patchwork_left_alone():
    elephant = recolour(drawn("#a8acb0", leaf=None), COLOURS["pink"])
    hue, saturation, _ = colorsys.rgb_to_hsv(*(elephant[40, 32] / 255))
    assert abs(hue * 360 - COLOURS["pink"].hue) < 3
    assert saturation > 0.3
    rainbow = np.full((64, 64, 3), 255, np.uint8)
    for i, hue in enumerate(np.linspace(0, 1, 6, endpoint=False)):
        rainbow[8:56, 8 * i + 8 : 8 * i + 16] = np.array(colorsys.hsv_to_rgb(hue, 0.9, 0.9)) * 255
    assert recolour(rainbow, COLOURS["red"]) is None
    assert recolour(np.full((64, 64, 3), 255, np.uint8), COLOURS["red"]) is None


def test_what_is_held_out():
    assert len(NOVEL) == len(NOVEL_THINGS) * len(NOVEL_COLOURS) >= 100
    assert all(held_out(*pair) for pair in NOVEL)
    others = [held_out(f"thing {i}", colour) for i in range(200) for colour in COLOURS]
    assert 0.07 < np.mean(others) < 0.13


@pytest.fixture
def icons(tmp_path):
    rows = {
        "banana": ("food-drink", "#f0d020", ["banana", "香蕉", "plátano"]),
        "boat": ("travel-places", "#b04010", ["boat", "船", "barco"]),
        "red heart": ("smileys-emotion", "#e02010", ["red heart", "红心", "corazón rojo"]),
        "flag": ("flags", "#e02010", ["flag", "旗", "bandera"]),
        "paper": ("objects", "#fefefe", ["paper", "纸", "papel"]),
    }
    with StoreWriter(tmp_path / "icons", 64, "icons", licences={"mine": "CC0-1.0"}) as writer:
        for label, (group, ink, names) in rows.items():
            captions = [
                Caption(n, lang, 1.0) for n, lang in zip(names, ("en", "zh", "es"), strict=True)
            ]
            facts = {"id": f"set:{label}", "concept": label[:3], "label": label, "group": group}
            writer.add(drawn(ink), [Caption("thing", "en", 0.1), *captions], facts)
        writer.finish()
    return Store.open(tmp_path / "icons")


def test_a_store_in_other_colours(icons, tmp_path):
    store = recolour_store(icons, tmp_path / "colours", per_picture=4)
    labels = [store.metadata(i)["label"] for i in range(len(store))]
    assert sorted({label.split()[-1] for label in labels}) == ["banana", "boat"]
    assert len(labels) == 8
    assert not {("banana", c) for c in NOVEL_COLOURS} & {tuple(x.split()[::-1]) for x in labels}
    assert store.licences == icons.licences
    for row in range(len(store)):
        facts = store.metadata(row)
        colour, thing = facts["label"].split()
        words = {c.text for c in store.captions(row)}
        article = "an" if colour == "orange" else "a"
        assert {f"{colour} {thing}", f"{article} {colour} {thing}"} < words
        chinese = {"banana": "香蕉", "boat": "船"}[thing]
        assert any(text.endswith(f"色的{chinese}") for text in words)
        assert facts["concept"] == f"{thing[:3]}/{colour}"
        hue, saturation, _ = colorsys.rgb_to_hsv(*(store.images[row][40, 32] / 255))
        if saturation > 0.3:
            assert abs((hue * 360 - COLOURS[colour].hue + 180) % 360 - 180) < 12
    with pytest.raises(DataError, match="exists already"):
        recolour_store(icons, tmp_path / "colours")
    with pytest.raises(DataError, match="must be 1 to 11, not 12"):
        recolour_store(icons, tmp_path / "none", per_picture=12)


def test_the_command(icons, tmp_path):
    out, app = tmp_path / "painted", typer.Typer()
    register(app)
    done = CliRunner().invoke(app, ["data", "recolour", str(icons.path), "--out", str(out), "-q"])
    assert done.exit_code == 0, done.output
    assert len(Store.open(out)) == 4
    assert "4 pictures of 64x64" in done.output


def test_a_glyph_takes_the_colour_for_its_ink():
    glyph = np.full((32, 32, 3), 255, np.uint8)
    glyph[8:24, 8:24] = 0
    glyph[8, 8:24] = 128  # an edge between black and white
    painted = recolour(glyph, COLOURS["purple"])
    assert painted is not None
    own = painted[16, 16].astype(float)
    hue, saturation, value = (x.item() for x in to_hsv(own[None] / 255))
    purple = COLOURS["purple"]
    assert (hue, saturation, value) == pytest.approx(
        (purple.hue, purple.saturation, purple.value), abs=1
    )
    assert (painted[0] == 255).all()
    assert painted[8, 16] == pytest.approx((255 + own) / 2, abs=2)
    cat = glyph.copy()
    cat[10:14, 10:14] = (250, 200, 0)
    assert recolour(cat, COLOURS["purple"]) is None, "a black cat with yellow eyes is no glyph"


def test_what_is_pale_takes_a_colour_and_keeps_its_spots():
    image = Image.new("RGB", (64, 64), "white")
    pen = ImageDraw.Draw(image)
    pen.ellipse((8, 8, 56, 56), fill=(240, 240, 244))
    pen.ellipse((20, 20, 30, 30), fill=(20, 20, 20))
    pen.ellipse((36, 40, 44, 46), fill=(200, 20, 40))
    pixels, inside = np.asarray(image), np.zeros((64, 64), bool)
    inside[16:48, 16:48] = True
    assert is_pale(pixels, inside) and not is_pale(drawn("#d02020"), inside)
    found = dyed(pixels, inside, COLOURS["brown"])
    hue, saturation, value = to_hsv(found[34:36, 20:22].reshape(-1, 3) / 255)
    brown = COLOURS["brown"]
    assert np.allclose(hue, brown.hue, atol=3) and np.allclose(value, brown.value, atol=0.02)
    assert np.allclose(saturation, brown.saturation, atol=0.02)
    assert np.array_equal(found[24:27, 24:27], pixels[24:27, 24:27])  # black
    assert np.array_equal(found[42:44, 39:41], pixels[42:44, 39:41])  # red
    assert np.array_equal(found[~inside], pixels[~inside])
