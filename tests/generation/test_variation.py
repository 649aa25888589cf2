"""What a seed changes of a drawing, and what it must not."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from torch import Tensor

from limner.generation.picture import Picture
from limner.generation.replay import redraw, same_pixels
from limner.generation.variation import varied
from limner.scenes.colours import COLOURS, in_named_colour, to_hsv
from limner.vision.pixels import to_images

SEEDS = range(24)


def drawing(colour: tuple[float, float, float] = (0.9, -0.8, -0.8)) -> Tensor:
    """A disc on the left with a tail to the right, grey in its middle, on white."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 96), torch.linspace(-1, 1, 96), indexing="ij")
    image = torch.ones(3, 96, 96)
    disc = (x + 0.3) ** 2 + y**2 < 0.25
    tail = (x > 0) & (x < 0.8) & (y.abs() < 0.08)
    for channel, value in enumerate(colour):
        image[channel][disc | tail] = value
    image[:, (x + 0.3) ** 2 + y**2 < 0.02] = -0.2
    return image


def ink(image: Tensor) -> Tensor:
    return image.amin(0) < 0.8


def heavier_on_the_left(image: Tensor) -> bool:
    found = ink(image)
    columns = found.nonzero()[:, 1]
    left, right = columns.min(), columns.max()
    middle = int(left + right) // 2
    return bool(found[:, :middle].sum() > found[:, middle:].sum())


def hue(image: Tensor) -> float:
    pixels = np.asarray(to_images(image[None])[0], np.float64) / 255
    degrees, saturation, _ = to_hsv(pixels)
    return float(np.median(degrees[saturation > 0.4]))


def apart(one: float, other: float) -> float:
    return abs((one - other + 180) % 360 - 180)


def differences(pictures: list[Picture]) -> list[float]:
    """Mean differences of all pairs, of 255."""
    pixels = [np.asarray(picture.image, np.float64) for picture in pictures]
    return [float(np.abs(a - b).mean()) for a, b in combinations(pixels, 2)]


def test_no_variety_leaves_every_bit():
    image = drawing()
    assert torch.equal(varied(image, "cat", 5, 0, 0.0), image)


def test_seed_and_part_decide_every_bit():
    image = drawing()
    for other in ((6, 0), (5, 1)):
        assert torch.equal(varied(image, "cat", 5, 0, 0.5), varied(image, "cat", 5, 0, 0.5))
        assert not torch.equal(varied(image, "cat", 5, 0, 0.5), varied(image, "cat", *other, 0.5))


@pytest.mark.parametrize(("name", "sides"), [("cat", {True, False}), ("left arrow", {True}),
                                             ("letter", {True}), ("qwzx", {True})])  # fmt: skip
def test_only_things_that_a_mirror_leaves_right_are_mirrored(name, sides):
    found = {heavier_on_the_left(varied(drawing(), name, seed, 0, 0.4)) for seed in SEEDS}
    assert found == sides


@pytest.mark.parametrize("variety", [0.4, 1.0])
def test_a_drawing_stays_whole_within_its_picture(variety):
    before = int(ink(drawing()).sum())
    for seed in SEEDS:
        found = ink(varied(drawing(), "cat", seed, 0, variety))
        assert not found[[0, -1]].any()
        assert not found[:, [0, -1]].any()
        assert 0.6 * before < int(found.sum()) < 1.6 * before


def test_a_drawing_that_fills_its_picture_keeps_its_shape():
    full = torch.full((3, 64, 64), -0.5)
    full[:, 20:30, 20:50] = 0.3
    assert torch.equal(varied(full, "qwzx", 3, 0, 1.0), full)


@pytest.mark.parametrize(("name", "least", "most"), [
    ("car", 30, 85), ("banana", 3, 7), ("red apple", 0, 1.5), ("golden crown", 0, 1.5),
    ("crown", 3, 7),
])  # fmt: skip
def test_hues_change_as_far_as_the_words_allow(name, least, most):
    own = hue(drawing())
    turned = [apart(hue(varied(drawing(), name, seed, 0, 0.4)), own) for seed in SEEDS]
    assert least <= max(turned) <= most


def test_the_water_of_a_boat_stays_blue():
    water, red = drawing((-0.9, -0.2, 0.8)), drawing()
    turned = [apart(hue(varied(water, "sailboat", seed, 0, 0.4)), hue(water)) for seed in SEEDS]
    assert max(turned) < 7
    assert max(apart(hue(varied(red, "sailboat", s, 0, 0.4)), hue(red)) for s in SEEDS) > 30
    assert max(apart(hue(varied(water, "car", s, 0, 0.4)), hue(water)) for s in SEEDS) > 30


def test_what_is_grey_stays_grey():
    grey = drawing((-0.6, -0.6, -0.6))
    for seed in SEEDS:
        found = varied(grey, "car", seed, 0, 1.0)
        assert float((found.amax(0) - found.amin(0)).max()) < 1e-6


def test_eight_seeds_of_one_style_are_eight_pictures(shipped):
    one, eight = (
        shipped.generate("a rocket", n=8, seed=0, style="twemoji", variety=variety)
        for variety in (0, None)
    )
    assert max(differences(one)) < 2
    assert min(differences(eight)) > 4
    alone = shipped.generate("a rocket", seed=5, style="twemoji")[0]
    assert alone.image.tobytes() == eight[5].image.tobytes()
    assert alone.settings.variety == 0.4


def test_a_varied_scene_is_replayed(shipped, tmp_path):
    path = shipped.generate("a cat and a dog", seed=3, variety=0.8)[0].save(tmp_path / "a.png")
    assert same_pixels(path, redraw(path).image)
    other = shipped.generate("a cat and a dog", seed=3, variety=0)[0]
    assert not same_pixels(path, other.image)


def test_a_picture_from_before_there_was_variety_is_replayed(shipped, tmp_path):
    picture = shipped.generate("a rocket", seed=3, style="twemoji", variety=0)[0]
    old = picture.settings.model_copy(update={"variety": None})
    path = replace(picture, settings=old).save(tmp_path / "old.png")
    assert same_pixels(path, redraw(path).image)


def test_a_named_colour_is_taken_where_a_drawing_lacks_it():
    blue = np.asarray(to_images(drawing((-0.8, -0.2, 0.9))[None])[0])
    found = in_named_colour(blue, "a red apple")
    degrees, saturation, _ = to_hsv(found.astype(np.float64) / 255)
    assert apart(float(np.median(degrees[saturation > 0.4])), COLOURS["red"].hue) < 15
    for name in ("blue apple", "apple", "red"):
        assert in_named_colour(blue, name) is blue


@pytest.mark.parametrize(
    ("rgb", "name", "is_so"),
    [
        ((0.85, 0.35, 0.5), "red heart", False),  # 342 degrees: nearer to pink
        ((0.87, 0.18, 0.27), "red heart", True),  # 352 degrees, as hearts are
        ((0.95, 0.4, 0.6), "pink heart", True),
        ((1.0, 0.78, 0.24), "yellow star", True),
        ((1.0, 0.6, 0.1), "yellow star", False),  # 33 degrees: orange
        ((0.47, 0.7, 0.33), "green apple", True),
        ((0.45, 0.28, 0.15), "brown bear", True),
        ((0.33, 0.67, 0.93), "blue bird", True),
    ],
)
def test_a_colour_ends_where_the_next_one_begins(rgb, name, is_so):
    shown = np.asarray(to_images(drawing(tuple(2 * each - 1 for each in rgb))[None])[0])
    assert (in_named_colour(shown, name) is shown) == is_so
