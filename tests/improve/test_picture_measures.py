"""Measures of pictures by closed forms, near duplicates by all pairs."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from improve.flat_pictures import SIDE, brighter, enlarged, scene, softened
from limner.improve.checks import read_thresholds
from limner.improve.class_chances import gradients
from limner.improve.duplicates import _nearest_few, distances, near_pairs
from limner.improve.picture_measures import measure


def test_light_and_contrast_by_closed_forms():
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2).repeat(4, 0).repeat(4, 1)
    grey = np.full((SIDE, SIDE, 3), 102, np.uint8)
    red = np.zeros((SIDE, SIDE, 3), np.uint8)
    red[..., 0] = 255
    scores = measure(np.stack([ramp, grey, red])).scores
    assert scores["dark"][0] == pytest.approx(253 / 255, abs=1 / 255)  # 99 % of 0 to 255
    assert scores["light"][0] == pytest.approx(2 / 255, abs=1 / 255)
    assert scores["dark"][1:].tolist() == pytest.approx([0.4, 1.0])  # saturated red is not dark
    assert scores["light"][1:].tolist() == pytest.approx([0.4, 0.0])
    assert scores["blank"][1:].tolist() == [0, 0]
    assert scores["blank"][0] > 0.9


def test_flat_drawings_are_sharp_and_their_softened_or_enlarged_copies_are_not():
    flat = [scene(number) for number in range(8)]
    limit = read_thresholds(())["blurred"]
    assert measure(np.stack(flat)).scores["blurred"].min() > 0.9 > limit
    assert measure(np.stack([softened(each) for each in flat])).scores["blurred"].max() < limit
    assert measure(np.stack([enlarged(each) for each in flat])).scores["blurred"].max() < limit


def test_a_picture_out_of_focus_with_grain_is_not_blurred_and_its_softened_copy_is():
    rng = np.random.default_rng(0)
    for number in range(4):
        soft = Image.fromarray(scene(number)).filter(ImageFilter.GaussianBlur(4))
        grain = np.clip(np.asarray(soft) + rng.normal(0, 3, (SIDE, SIDE, 1)), 0, 255)
        pictures = np.stack([grain.astype(np.uint8), softened(grain.astype(np.uint8))])
        sharp, blurred = measure(pictures).scores["blurred"]
        assert sharp > read_thresholds(())["blurred"] > blurred


def test_an_even_slope_and_a_dot_have_less_information_than_a_drawing():
    slope = np.linspace(0, 255, SIDE).astype(np.uint8)[:, None, None].repeat(SIDE, 1).repeat(3, 2)
    dot = np.full((SIDE, SIDE, 3), 255, np.uint8)
    dot[30:34, 30:34] = 0
    found = measure(np.stack([slope, dot, *(scene(n) for n in range(8))])).scores["low-information"]
    assert max(found[:2]) < read_thresholds(())["low-information"] < min(found[2:])


def test_a_flag_and_a_square_are_something_and_a_line_is_not():
    flag = np.full((SIDE, SIDE, 3), 255, np.uint8)
    flag[SIDE // 2 :] = (200, 30, 40)
    square = np.full((SIDE, SIDE, 3), 255, np.uint8)
    square[16:48, 16:48] = 0
    line = np.full((SIDE, SIDE, 3), 255, np.uint8)
    line[30:32, 10:54] = 0
    found = measure(np.stack([line, flag, square])).scores["low-information"]
    assert found[0] < read_thresholds(())["low-information"] < min(found[1:])


def test_near_duplicates_are_those_that_all_pairs_give():
    originals = [scene(number) for number in range(30)]
    pictures = np.stack([*originals, *map(brighter, originals[:10])])
    thumbs = measure(pictures).thumbs
    found = near_pairs(thumbs, 0.4)
    one, other = np.triu_indices(len(thumbs), 1)
    far = distances(thumbs[one], thumbs[other])
    wanted = {(a, b) for a, b, d in zip(one, other, far, strict=True) if d < 0.4 * found.usual}
    assert set(zip(found.first.tolist(), found.second.tolist(), strict=True)) == wanted
    assert {(n, 30 + n) for n in range(10)} <= wanted


def test_the_distance_leaves_small_shifts_and_scalings_out():
    image = Image.fromarray(scene(3, 256))
    still = np.asarray(image.resize((SIDE, SIDE)))
    moved = np.asarray(image.crop((3, 3, 253, 253)).resize((SIDE, SIDE)))
    other = scene(4)
    thumbs = measure(np.stack([still, moved, other])).thumbs
    near, far = distances(thumbs[[0, 0]], thumbs[[1, 2]])
    assert near < 0.15 < 0.5 < far
    assert distances(thumbs[:1], thumbs[:1])[0] == pytest.approx(0, abs=1e-5)


def test_what_small_shifts_change_is_no_difference():
    """Tangent distance (Simard, LeCun and Denker 1993): what is left is as least squares says."""
    y, x = np.mgrid[:32, :32]

    def blob(down: float, right: float) -> np.ndarray:
        far = (y - 15 - down) ** 2 + (x - 15 - right) ** 2 / 3
        grey = 255 - 200 * np.exp(-far / 40)
        return np.repeat(grey[..., None], 3, 2).round().astype(np.uint8)[None]

    still, near, other = blob(0, 0), blob(0.6, -0.6), scene(3, 32)[None]

    def plain(one: np.ndarray, two: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        flat = []
        for each in (one, two):
            grid = each[0].astype(np.float64)
            for axis in (0, 1, 0, 1):
                wide = np.pad(grid, [(1, 1) if a == axis else (0, 0) for a in range(3)], "edge")
                moved = [np.roll(wide, -step, axis) for step in (0, 1, 2)]
                mixed = (moved[0] + 2 * moved[1] + moved[2]) / 4
                grid = mixed.take(range(32), axis)
            even = grid - grid.mean((0, 1))
            flat.append(even / np.linalg.norm(even))
        return flat[1] - flat[0], (flat[0] + flat[1]) / 2

    for one, two in ((still, near), (still, other)):
        difference, middle = plain(one, two)
        down, right = np.gradient(middle, axis=(0, 1))
        place = np.linspace(-1, 1, 32)
        v, h = place[:, None, None], place[None, :, None]
        ways = [down, right, h * right + v * down, h * down - v * right]
        design = np.stack([each.ravel() for each in ways], 1)
        best = np.linalg.lstsq(design, difference.ravel(), rcond=None)[0]
        left = np.linalg.norm(difference.ravel() - design @ best)
        found = float(distances(one, two)[0])
        assert found == pytest.approx(left, rel=0.1, abs=0.03)
        assert found < np.linalg.norm(difference)
    assert distances(still, near)[0] < 0.3 * np.linalg.norm(plain(still, near)[0])


def test_pairs_are_kept_that_are_among_the_nearest_of_either_picture(monkeypatch):
    monkeypatch.setattr("limner.improve.duplicates._KEPT", 2)
    rng = np.random.default_rng(0)
    pairs = np.array([(a, b) for a in range(9) for b in range(a + 1, 9) if rng.random() < 0.7])
    apart = rng.permutation(len(pairs)).astype(np.float32)
    wanted = np.zeros(len(pairs), bool)
    for column in (0, 1):
        for row in range(9):
            mine = np.flatnonzero(pairs[:, column] == row)
            wanted[mine[np.argsort(apart[mine])][:2]] = True
    assert _nearest_few(pairs, apart).tolist() == wanted.tolist()
    assert not wanted.all()


def test_oriented_gradients_of_a_step_lie_in_one_orientation_and_row_of_cells():
    thumb = np.zeros((1, 32, 32, 3), np.uint8)
    thumb[:, 10:] = 255
    found = gradients(thumb).reshape(8, 8, 8)  # orientation, cell down, cell right
    # Rows 9 and 10 have the slope 1/2, and lie in the third row of cells, four columns to a cell.
    assert found[4, 2].tolist() == pytest.approx([2.0] * 8)
    assert found.sum() == pytest.approx(16.0)


def test_a_sharp_picture_that_was_enlarged_is_small_not_blurred():
    small = np.full((64, 64, 3), 255, np.uint8)
    small[13:47, 20:53] = (200, 30, 30)
    small[27:40, 7:33] = (20, 60, 200)
    sharp = Image.fromarray(small)
    soft = sharp.filter(ImageFilter.GaussianBlur(3))
    large = np.stack([np.asarray(i.resize((256, 256), Image.Resampling.LANCZOS))
                      for i in (sharp, soft)])  # fmt: skip
    limit = read_thresholds(())["blurred"]
    as_they_are = measure(large).scores["blurred"]
    as_they_were = measure(large, [64, 64]).scores["blurred"]
    assert as_they_are[0] < limit < as_they_were[0]
    assert as_they_were[1] < limit
