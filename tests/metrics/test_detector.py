"""The scene detector: frozen, honest about what it sees, and true to pictures it never saw."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from limner.errors import DataError, ModelFileError
from limner.generation.generator import load
from limner.metrics.detector import (
    CELL,
    DETECTOR_PATH,
    GRID,
    METADATA_KEY,
    SIZE,
    Maps,
    load_detector,
    overlap,
    read,
)
from limner.scenes.scene import SCENE_COLOURS
from limner.scenes.things import THINGS
from limner.tensorfile import read_metadata, write_tensors
from limner.vision.pixels import to_tensor

NAMES = tuple(THINGS)
ASKED = ("cat", "dog", "apple", "banana", "house", "tree", "car", "star", "heart", "rocket",
         "book", "crown", "umbrella", "tulip", "guitar", "ghost")  # fmt: skip


@pytest.fixture(scope="module")
def drawn(own_cache: None) -> torch.Tensor:
    """Things one by one, as the shipped model draws them: 66 pictures, which is two tiles."""
    pictures = load().generate([f"a {name}" for name in ASKED], n=4, seed=3, size=SIZE)
    pictures += load().generate(["a blue car"], n=2, seed=5, size=SIZE)
    return to_tensor([np.asarray(picture.image) for picture in pictures])


def test_it_is_frozen_small_and_free():
    """Another detector makes every published figure incomparable: change it knowingly."""
    detector, about = load_detector(), json.loads(read_metadata(DETECTOR_PATH)[METADATA_KEY])
    assert detector.fingerprint == "7a9a015d4cd3c564"
    assert DETECTOR_PATH.stat().st_size < 4_000_000
    assert sum(p.numel() for p in detector.net.parameters()) < 2_000_000
    assert not any("openmoji" in k or "-SA" in v.upper() for k, v in detector.licences.items())
    assert about["things"] == list(NAMES) and about["colours"] == list(SCENE_COLOURS)


def test_it_sees_what_is_there_and_little_else(drawn):
    seen = load_detector().detect(drawn[:64])
    right = [any(each.thing == ASKED[i // 4] for each in found) for i, found in enumerate(seen)]
    other = [any(each.thing == ASKED[(i // 4 + 5) % 16] for each in found)
             for i, found in enumerate(seen)]  # fmt: skip
    assert np.mean(right) > 0.7
    assert np.mean(other) < 0.05
    assert np.mean([len(found) for found in seen]) < 1.3


def test_boxes_hold_the_ink(drawn):
    """On white, the ink's own extent is the truth."""
    overlaps = []
    for image, found in zip(drawn[:64], load_detector().detect(drawn[:64]), strict=True):
        rows, columns = torch.nonzero(image.amin(0) < 0.6, as_tuple=True)
        if not len(rows):  # a pale ghost
            continue
        ink = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        overlaps += [overlap(each.box, [float(side) for side in ink]) for each in found[:1]]
    assert np.median(overlaps) > 0.75


def test_a_picture_is_seen_alike_alone_and_among_others(drawn):
    detector = load_detector()
    together = detector.detect(drawn)
    assert len(together) == len(drawn) == 66 and any(together)
    for i in (0, 31, 63, 64, 65):
        assert detector.detect(drawn[i : i + 1])[0] == together[i]
    assert detector.detect(drawn[:0]) == []


def test_nothing_is_seen_in_nothing():
    empty = torch.ones(3, 3, SIZE, SIZE) * torch.tensor([1.0, 0.0, -0.8]).view(3, 1, 1, 1)
    assert load_detector().detect(empty) == [[], [], []]


def test_numbers_that_are_not_finite_are_refused():
    broken = torch.zeros(1, 3, SIZE, SIZE)
    broken[0, 0, 5, 5] = math.nan
    with pytest.raises(DataError, match="not finite"):
        load_detector().detect(broken)


# -- reading maps ------------------------------------------------------------------------------


def maps_of(*things: tuple[int, int, str, str, tuple[float, float, float, float]]) -> Maps:
    """What a sure network would say: row, column, thing, colour, (dx, dy, width, height)."""
    maps = Maps(
        torch.full((1, GRID, GRID), -9.0),
        torch.zeros(1, len(NAMES) + 1, GRID, GRID),
        torch.zeros(1, 4, GRID, GRID),
        torch.zeros(1, len(SCENE_COLOURS), GRID, GRID),
    )
    for row, column, thing, colour, (dx, dy, wide, high) in things:
        maps.there[0, row, column] = 4.0
        number = NAMES.index(thing) if thing in NAMES else len(NAMES)
        maps.things[0, number, row, column] = 20.0
        maps.colours[0, SCENE_COLOURS.index(colour), row, column] = 5.0
        sizes = (dx, dy, math.log(wide), math.log(high))
        maps.boxes[0, :, row, column] = torch.tensor(sizes)
    return maps


def test_a_cell_says_where_its_thing_is():
    (found,) = read(maps_of((3, 10, "cat", "blue", (0.25, -0.5, 0.5, 0.25))))
    assert [(each.thing, each.colour) for each in found] == [("cat", "blue")]
    x, y = (10.5 + 0.25) * CELL, (3.5 - 0.5) * CELL
    assert found[0].box == pytest.approx((x - 16, y - 8, x + 16, y + 8), rel=1e-5)


def test_one_thing_in_two_cells_is_one_and_two_apart_are_two():
    near = [(4, 4, "cat", "blue", (0.0, 0.0, 0.5, 0.5)), (4, 6, "cat", "red", (-1.0, 0, 0.5, 0.5))]
    apart = [(4, 4, "cat", "blue", (0.0, 0.0, 0.2, 0.2)), (4, 9, "cat", "red", (0, 0, 0.2, 0.2))]
    assert len(read(maps_of(*near))[0]) == 1
    assert {each.colour for each in read(maps_of(*apart))[0]} == {"blue", "red"}


def test_what_is_unsure_or_none_of_the_things_is_not_seen():
    assert read(maps_of((5, 5, "something else", "red", (0.0, 0.0, 0.5, 0.5)))) == [[]]
    unsure = maps_of((5, 5, "cat", "red", (0.0, 0.0, 0.5, 0.5)))
    unsure.things[0, NAMES.index("dog"), 5, 5] = 20.0  # as likely as the cat
    unsure.things[0, NAMES.index("fox"), 5, 5] = 20.0
    assert read(unsure) == [[]]


def test_overlap_is_intersection_over_union():
    assert overlap((0, 0, 2, 2), (0, 0, 2, 2)) == 1.0
    assert overlap((0, 0, 2, 2), (1, 1, 3, 3)) == pytest.approx(1 / 7)
    assert overlap((0, 0, 1, 1), (2, 0, 3, 1)) == 0.0


# -- files -------------------------------------------------------------------------------------


def test_files_that_are_no_detector_are_refused(tmp_path):
    good = json.loads(read_metadata(DETECTOR_PATH)[METADATA_KEY])
    weights = {"stem.weight": torch.zeros(1)}
    for about, said in (
        ({**good, "things": ["cat"]}, "other things"),
        (good, "no detector"),
        ({}, "no detector"),
    ):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.safetensors"
        write_tensors(path, weights, {METADATA_KEY: json.dumps(about)})
        with pytest.raises(ModelFileError, match=said):
            load_detector(path)
    with pytest.raises(ModelFileError):
        load_detector(tmp_path / "nothing.safetensors")
