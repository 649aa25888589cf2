"""Styles measured on shapes of known colours and widths, and drawings redrawn in them."""

import warnings

import numpy as np
import pytest
from PIL import Image, ImageDraw

import limner
from limner.errors import UsageError
from limner.generation.looks import LOOKS, find_look, split_look
from limner.generation.prompts import PromptWarning
from limner.generation.replay import redraw as replayed
from limner.generation.replay import same_pixels
from limner.generation.restyle import pixelated, redraw
from limner.generation.styles import (
    Kind,
    StyleProfile,
    clusters,
    from_oklab,
    grown,
    measure,
    shrunk,
    stroke,
    to_oklab,
)
from limner.shipped import shipped_models

SIDE = 256
RED, GREEN, BLACK = (220, 40, 40), (40, 160, 60), (0, 0, 0)


def picture(draw):
    image = Image.new("RGB", (SIDE, SIDE), "white")
    draw(ImageDraw.Draw(image))
    return np.asarray(image)


def outlined(fill, width=10, outline=BLACK):
    return picture(lambda d: d.ellipse((40, 40, 215, 215), fill, outline, width))


def profile(kind, palette=((0, 0, 0),), ink=(0, 0, 0), width=0.0, **more):
    colours = (np.array(each, np.float32) / np.float32(255) for each in (palette, ink))
    return StyleProfile(kind, *colours, width, **more)


def test_oklab_has_its_authors_values_and_an_inverse():
    some = np.array([[1, 1, 1], [1, 0, 0], [0, 0, 1]], np.float32)
    true = [[1, 0, 0], [0.62796, 0.22486, 0.12585], [0.45201, -0.03246, -0.31153]]
    assert np.allclose(to_oklab(some), true, atol=1e-3)
    rng = np.random.default_rng(0).random((500, 3), np.float32)
    assert np.allclose(from_oklab(to_oklab(rng)), rng, atol=1e-3)


def test_a_point_grows_to_a_disc_and_shrinks_back():
    point = np.zeros((41, 41), bool)
    point[20, 20] = True
    y, x = np.mgrid[-20:21, -20:21]
    for radius in (1, 2.5, 7, 12.9):
        assert np.array_equal(grown(point, radius), x**2 + y**2 <= radius**2)
    assert np.array_equal(shrunk(grown(point, 9), 9), point)


@pytest.mark.parametrize("width", [6, 10, 14])
def test_the_width_of_strokes_is_measured(width):
    ring = outlined("white", width)[..., 0] < 128
    found, solid = stroke([ring])
    assert found * SIDE == pytest.approx(width, abs=1.5) and solid == 0


def test_clusters_are_the_colours_that_there_are():
    colours = to_oklab(np.array([RED, GREEN, BLACK], np.float32) / 255)
    many = colours.repeat([50, 30, 20], 0)
    found = clusters(many, np.ones(100, np.float32), 9)
    assert np.allclose(found, colours, atol=1e-3), "the most frequent first"


def test_lines_glyphs_contours_and_fills_are_told_apart():
    lines = measure([outlined("white"), outlined("white")])
    assert lines.kind is Kind.LINES and lines.width * SIDE == pytest.approx(10, abs=2)
    assert measure([outlined(BLACK)]).kind is Kind.GLYPH
    contour = measure([outlined(RED), outlined(GREEN)])
    assert contour.kind is Kind.FILLS and contour.width * SIDE == pytest.approx(10, abs=2)
    assert np.allclose(contour.ink, 0, atol=0.05)
    have = {tuple(each) for each in (contour.palette * 255).round(-1).astype(int).tolist()}
    assert have == {(220, 40, 40), (40, 160, 60)}
    fills = measure([outlined(RED, outline=RED), outlined(GREEN, outline=GREEN)])
    assert fills.kind is Kind.FILLS and fills.width == 0


def test_shaded_and_empty_styles_cannot_be_redrawn_in():
    ramp = np.full((SIDE, SIDE, 3), 255, np.uint8)
    ramp[30:226, 30:226] = np.linspace([250, 40, 40], [40, 40, 250], 196)[:, None]
    assert measure([ramp]) is None
    assert measure([ramp], closed=True) is not None
    assert measure([np.full((SIDE, SIDE, 3), 255, np.uint8)]) is None


@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("box", [(20, 120, 230, 136), (100, 100, 110, 110), (128, 128, 128, 128)])
def test_a_thing_that_is_no_wider_than_contours_has_its_colour(box, closed):
    found = measure([picture(lambda d: d.rectangle(box, RED))], closed=closed)
    assert found.kind is Kind.FILLS
    if box[0] < box[2]:
        assert np.allclose(found.palette * 255, [RED], atol=60)
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    assert measure([noise], closed=True) is not None, "nothing in it is flat"


def test_a_filled_shape_becomes_its_outline():
    drawn = redraw(outlined(RED, outline=RED), profile(Kind.LINES, width=0.05))
    ink, shape = drawn[..., 0] < 128, outlined(BLACK)[..., 0] < 128
    ring = shape & ~shrunk(shape, 0.05 * SIDE)
    assert (ink & ring).sum() / (ink | ring).sum() > 0.9
    assert (drawn[120:136, 120:136] == 255).all(), "hollow"


def test_a_glyph_shows_inner_areas_by_white_lines():
    two = picture(
        lambda d: (d.rectangle((40, 40, 127, 215), RED), d.rectangle((128, 40, 215, 215), GREEN))
    )
    drawn = redraw(two, profile(Kind.GLYPH))
    assert (drawn[100, 60:110] == 0).all() and (drawn[100, 145:200] == 0).all()
    assert (drawn[100, 126:130] > 200).any(), "a white line between"


def test_areas_take_colours_of_the_palette_and_the_contour():
    style = profile(Kind.FILLS, [(200, 60, 60), (60, 180, 60), (60, 60, 200)], width=0.03)
    drawn = redraw(outlined(RED, outline=RED), style)
    assert np.allclose(drawn[128, 128], (200, 60, 60), atol=1)
    assert (drawn[128, 42:45] < 40).all() and (drawn[5, 5] == 255).all()
    again = redraw(outlined(RED, outline=RED), style)
    assert np.array_equal(drawn, again)


def test_a_palette_of_one_hue_keeps_the_order_of_lightness():
    two = picture(
        lambda d: (
            d.rectangle((40, 40, 127, 215), (90, 20, 20)),
            d.rectangle((128, 40, 215, 215), (250, 220, 120)),
        )
    )
    drawn = redraw(two, profile(Kind.FILLS, [(40, 90, 200), (150, 200, 250)]))
    assert np.allclose(drawn[100, 80], (40, 90, 200), atol=1)
    assert np.allclose(drawn[100, 180], (150, 200, 250), atol=1)


def test_lines_get_the_width_of_the_style():
    drawn = redraw(outlined("white", 8), profile(Kind.LINES, width=16 / SIDE))
    assert stroke([drawn[..., 0] < 128])[0] * SIDE == pytest.approx(16, abs=2.5)


def test_a_sticker_has_a_border_beyond_the_thing():
    drawn = redraw(outlined(RED, outline=RED), LOOKS["sticker"].profile)
    grey = np.abs(drawn.astype(int) - 200).max(-1) < 60
    assert grey[128].any() and (drawn[128, 128] == RED).all()


def test_pixel_art_is_squares_of_few_colours():
    image = Image.fromarray(outlined(RED))
    drawn = np.asarray(pixelated(image, 1 / 32))
    blocks = drawn.reshape(32, 8, 32, 8, 3)
    assert (blocks == blocks[:, :1, :, :1]).all()
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) <= 20
    clear = pixelated(image.convert("RGBA"), 1 / 32)
    assert clear.mode == "RGBA"


def test_a_whole_picture_or_none_is_left_as_it_is():
    for pixels in (np.full((64, 64, 3), 90, np.uint8), np.full((64, 64, 3), 255, np.uint8)):
        assert redraw(pixels, profile(Kind.LINES, width=0.05)) is pixels


@pytest.mark.parametrize(
    ("prompt", "rest", "look"),
    [("a cat in pixel art style", "a cat", "pixel art"),
     ("pixel art of a cat", "a cat", "pixel art"), ("a cat, pixel art", "a cat", "pixel art"),
     ("line drawing of a dog", "a dog", "line drawing"), ("像素风格的猫", "猫", "pixel art"),
     ("un gato, arte de píxeles", "un gato", "pixel art"), ("一只像素风格的猫", "猫", "pixel art"),
     ("a 3d render of a donut", "a donut", "3d"), ("a sticker of a pizza", "a pizza", "sticker"),
     ("a sticker on a car", "a sticker on a car", None), ("silhouette", "silhouette", None),
     ("a cat with a flat tyre", "a cat with a flat tyre", None)],
)  # fmt: skip
def test_styles_in_words_are_taken_off(prompt, rest, look):
    assert split_look(prompt) == (rest, look)


def test_a_style_that_nothing_is_known_of_is_said():
    with pytest.warns(PromptWarning, match=r'"watercolor" is not known'):
        assert split_look("watercolor of a house") == ("a house", None)


def test_words_mean_a_style_of_the_model_before_a_look():
    assert find_look("line art", ("noto", "tabler")) == "tabler"
    assert find_look("Line drawing", ("noto",)) == "line drawing"
    assert find_look("NOTO", ("noto",)) == "noto"
    assert find_look("3d", ("noto",)) is None


@pytest.fixture(scope="module")
def shipped(own_cache):
    if not shipped_models():
        pytest.skip("no model is shipped in this tree")
    return limner.load()


def test_a_thing_that_a_style_lacks_is_redrawn_and_said(shipped, tmp_path):
    asked = ["a guitar", "a cat", "a dragon and a banana"]
    with pytest.warns(PromptWarning, match='"guitar" is not known in the style tabler; redrawn'):
        together = shipped.generate(asked, seed=3, style="tabler")
    assert together[0].drawn_from[0].redrawn_from in shipped.styles
    assert together[1].drawn_from[0].redrawn_from is None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for prompt, before in zip(asked, together, strict=True):
            alone = shipped.generate(prompt, seed=3, style="tabler")[0]
            assert alone.image.tobytes() == before.image.tobytes()
        path = together[0].save(tmp_path / "guitar.png")
        assert same_pixels(path, replayed(path).image)
    pixels = np.asarray(together[0].image).astype(int)
    assert np.ptp(pixels, axis=2).max() < 20, "black on white, as all of the style"


def test_contours_are_drawn_around_flat_colours(shipped):
    with pytest.warns(PromptWarning, match="redrawn from"):
        drawn = shipped.generate("a lemon", seed=1, style="streamline-ultimate-color")[0]
    source = shipped.styles.index(drawn.drawn_from[0].redrawn_from)
    _, colour, black, _ = shipped.model.prior.looks[source].tolist()
    assert colour > 0.3 and black < 0.05
    assert measure([np.asarray(drawn.image)], closed=True).width > 0


def test_styles_in_words_reference_pictures_and_their_records(shipped, tmp_path):
    pixel = shipped.generate("a cat in pixel art style", seed=3)[0]
    assert pixel.settings.style == "pixel art"
    plain = shipped.generate("a cat", seed=3)[0]
    assert pixel.image.tobytes() == pixelated(plain.image, 1 / 40).tobytes()
    clear = shipped.generate("a cat", seed=3, style="8-bit", transparent=True, size=320)[0]
    assert clear.image.mode == "RGBA" and clear.image.size == (320, 320)
    reference = tmp_path / "lines.png"
    Image.fromarray(outlined("white", 14, (200, 30, 30))).save(reference)
    after = shipped.generate("a cat", seed=3, reference=reference)[0]
    path = after.save(tmp_path / "cat.png")
    assert same_pixels(path, replayed(path, reference=reference).image)
    ink = np.asarray(after.image)[(np.asarray(after.image).min(-1) < 90)]
    assert np.abs(np.median(ink, 0) - (200, 30, 30)).max() < 25, "in the lines' colour"
    with pytest.raises(UsageError, match="choose one of"):
        shipped.generate("a cat", style="watercolour")
