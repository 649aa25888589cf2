"""Signs in black ink take the colours of what they show, beside things that have colours."""

from __future__ import annotations

import numpy as np

from limner.generation.usual_colours import UsualColours, _table
from limner.scenes.colours import in_ink, in_two_tones


def black_share(picture) -> float:
    pixels = np.asarray(picture.image)
    ink = pixels.min(-1) < 200
    return float((pixels.max(-1) < 50)[ink].mean())


def test_black_ink_takes_the_colour_and_grey_a_part_of_it():
    pixels = np.full((8, 8, 3), 255, np.uint8)
    pixels[2:6, 2:6] = 0
    pixels[5, 2:6] = 204  # a fifth of ink
    found = in_ink(pixels, (0.2, 0.4, 0.6))
    assert found is not None
    assert found[3, 3].tolist() == [51, 102, 153]
    assert found[5, 3].tolist() == [214, 224, 235]
    assert (found[0] == 255).all()
    coloured = pixels.copy()
    coloured[3, 2:6] = (200, 30, 30)
    assert in_ink(coloured, (0.2, 0.4, 0.6)) is None
    assert in_ink(np.full_like(pixels, 255), (0.2, 0.4, 0.6)) is None


def framed(inner: tuple[int, int, int]) -> np.ndarray:
    """A black frame, 4 pixels wide, around a colour."""
    pixels = np.full((40, 40, 3), 255, np.uint8)
    pixels[8:32, 8:32] = 0
    pixels[12:28, 12:28] = inner
    return pixels


def test_a_drawing_of_lines_is_filled_with_the_colour_and_its_lines_are_darker():
    found = in_two_tones(framed((255, 255, 255)), (0.8, 0.4, 0.2))
    assert found is not None
    assert found[20, 20].tolist() == [204, 102, 51]
    assert found[9, 20].tolist() == [102, 51, 26]
    assert (found[:7] == 255).all()


def test_greys_are_lighter_shades_of_the_colour_where_that_is_asked_for():
    pixels = framed((122, 125, 128))
    assert in_ink(pixels, (0.2, 0.4, 0.6)) is None
    found = in_ink(pixels, (0.2, 0.4, 0.6), greys=True)
    assert found is not None
    assert found[9, 20].tolist() == [51, 102, 153]
    np.testing.assert_allclose(found[20, 20], [151, 177, 203], atol=2)
    assert in_ink(framed((40, 140, 255)), (0.2, 0.4, 0.6), greys=True) is None


def test_areas_of_one_colour_get_the_other_and_white_stays():
    pixels = framed((40, 140, 255))
    pixels[18:22, 12:28] = 255
    found = in_two_tones(pixels, (0.8, 0.4, 0.2))
    assert found is not None
    np.testing.assert_allclose(found[14, 20], [204, 102, 51], atol=2)
    assert found[20, 20].tolist() == [255, 255, 255]
    np.testing.assert_allclose(found[9, 20], [102, 51, 26], atol=2)


def test_other_colours_and_silhouettes_are_left_to_others():
    pixels = framed((40, 140, 255))
    pixels[20:28, 12:28] = (240, 40, 40)
    assert in_two_tones(pixels, (0.8, 0.4, 0.2)) is None
    assert in_two_tones(framed((0, 0, 0)), (0.8, 0.4, 0.2)) is None
    assert in_two_tones(np.full((8, 8, 3), 255, np.uint8), (0.8, 0.4, 0.2)) is None


def test_a_thing_that_is_not_listed_has_the_colour_of_the_nearest(shipped):
    usual, table = UsualColours(shipped.concepts), _table()
    assert usual.of("bench") == table["bench"] == (0x8A / 255, 0x5A / 255, 0x33 / 255)
    assert "coal wagon" not in table
    assert usual.of("coal wagon") == table["wagon"]
    assert usual.of("timezone") is None, "nothing is near"
    assert usual.of("no such concept") is None


def test_every_listed_name_is_of_a_known_thing(shipped):
    assert [name for name in _table() if shipped.concepts.named(name) is None] == []


def test_a_sign_has_a_colour_in_a_coloured_scene_and_none_among_signs(shipped):
    scene, flat, alone = shipped.generate(
        ["a frog on a bench", "an iceberg in the sea", "a bench"], seed=1
    )
    assert black_share(scene) < 0.1
    assert black_share(flat) < 0.02
    assert black_share(alone) < 0.1, "a picture has colours where none are refused"
    (beside,) = shipped.generate("a red ball on a wire coil", seed=1)
    assert black_share(beside) < 0.05, "grey where no colour of it is known"
    (sign,) = shipped.generate("a bench", seed=1, style="mdi")
    assert black_share(sign) > 0.9
    (sign,) = shipped.generate("a frog on a bench", seed=1, style="mdi")
    assert black_share(sign) > 0.9


def test_what_sets_know_as_signs_alone_is_painted_in_colours(shipped):
    usual = UsualColours(shipped.concepts)
    for name in ("lighthouse", "hot air balloon", "submarine", "iceberg", "garage", "armchair"):
        known = shipped.concepts.named(name)
        painting = usual.painting(known.caption, 32)
        assert painting is not None and painting.shape == (32, 32, 3), name
    assert usual.painting("castle", 32) is None  # of which there are coloured drawings


def test_a_painted_thing_is_painted_beside_others_and_drawn_as_a_sign_in_a_style_of_signs(shipped):
    for prompt in ("a lighthouse by the sea", "a lighthouse"):
        pixels = np.asarray(shipped.generate(prompt, seed=1)[0].image)
        red, green, blue = (pixels[..., i].astype(int) for i in range(3))
        assert ((red > green + 100) & (red > blue + 80)).mean() > 0.02, prompt  # bands and roof
        assert (pixels.min(-1) > 225).mean() > 0.02, prompt
    sign = shipped.generate("a lighthouse", seed=1, style="icon-park")[0]
    assert black_share(sign) > 0.7


def test_a_painted_thing_stands_for_itself_and_no_other_for_it(shipped):
    (picture,) = shipped.generate("a cat sleeping in an armchair", seed=1)
    assert [each.drawn for each in picture.drawn_from][-1] == "armchair"
    assert [each.drawn for each in shipped.generate("a piano")[0].drawn_from] == ["piano"]
