"""Ways between pictures: where things are halfway, an even pace, and the files of walks."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image, ImageDraw

from limner.errors import DataError, UsageError
from limner.generation.animations import write_walk
from limner.generation.generator import load
from limner.generation.morphing import Morph, _distances, is_mirrored, turning
from limner.generation.records import read_any_record
from limner.generation.requests import DrawRequest
from limner.generation.walks import walk
from limner.models.settings import Settings

SIDE = 96


def disc(x: float, y: float, radius: float, colour: str = "red") -> np.ndarray:
    image = Image.new("RGB", (SIDE, SIDE), "white")
    ImageDraw.Draw(image).ellipse((x - radius, y - radius, x + radius, y + radius), colour)
    return np.asarray(image)


def ink(pixels: np.ndarray) -> np.ndarray:
    return pixels.min(-1) < 128


def test_distances_are_those_of_every_pair():
    mask = np.random.default_rng(0).random((24, 24)) < 0.05
    points, all_of = np.argwhere(mask), np.argwhere(np.ones_like(mask))
    apart = np.linalg.norm(all_of[:, None] - points, axis=-1)
    distance, nearest = _distances(mask)
    assert np.allclose(distance.ravel(), apart.min(1), atol=1e-4)
    rows, columns = np.divmod(nearest.ravel(), 24)
    there = np.linalg.norm(all_of - np.stack([rows, columns], 1), axis=1)
    assert mask[rows, columns].all() and np.allclose(there, apart.min(1), atol=1e-4)


def test_a_disc_that_moves_and_grows_is_halfway_where_it_should_be():
    first, second = disc(28, 60, 12), disc(64, 40, 24, "blue")
    way = Morph(first, second)
    assert np.array_equal(way.at(0), first) and np.array_equal(way.at(1), second)
    for share in (0.25, 0.5, 0.75):
        seen = ink(way.at(share))
        middle = np.argwhere(seen).mean(0)
        assert np.abs(middle - [60 - 20 * share, 28 + 36 * share]).max() < 2.5
        radius = np.sqrt(seen.sum() / np.pi)
        assert abs(radius - (12 + 12 * share)) < 2.5
    halfway = way.at(0.5)[50, 46].astype(int)
    assert abs(halfway[0] - 128) < 30 and abs(halfway[2] - 128) < 30, "colours pass over"
    near = way.at(0.004).astype(int)
    assert np.abs(near - first).mean() < 3, "no leap from the end"


def test_a_mirror_image_is_known_and_turns_round():
    first = np.minimum(disc(40, 50, 24), disc(66, 34, 12, "black"))
    second = np.ascontiguousarray(first[:, ::-1])
    assert is_mirrored(first, second) and not is_mirrored(first, first)
    assert not is_mirrored(disc(48, 48, 20), disc(48, 48, 30)), "as good as it is"
    way = turning(first, second)
    assert np.array_equal(way(0), first) and np.array_equal(way(1), second)
    wide = [np.ptp(np.argwhere(ink(way(share)))[:, 1]) for share in (0.02, 0.25, 0.4)]
    assert wide == sorted(wide, reverse=True) and wide[-1] < 0.4 * wide[0]
    assert np.abs(way(0.75).astype(int) - way(0.25)[:, ::-1]).mean() < 3


def test_pictures_without_white_ground_and_of_any_shape_pass_over():
    random = np.random.default_rng(1)
    first, second = (random.integers(0, 256, (1, 1, 3), np.uint8) * np.ones((40, 70, 1), np.uint8)
                     for _ in range(2))  # fmt: skip
    mean = Morph(first, second).at(0.5).astype(int)
    assert np.abs(mean - (first.astype(int) + second) / 2).max() <= 1


@pytest.fixture(scope="module")
def shipped():
    generator = load()
    stops = [DrawRequest(name, 1, Settings(style="noto", size=96)) for name in ("apple", "car")]
    return generator, stops, walk(generator, stops, 8), walk(generator, stops, 8, even=False)


def test_the_pace_is_even_and_the_ends_are_the_drawings(shipped):
    generator, stops, even, plain = shipped
    for found in (even, plain):
        drawn = [each.image for each in generator.draw(stops)]
        assert len(found.frames) == 8 and len(found.steps) == 7
        for end, frame in zip(drawn, (found.frames[0], found.frames[-1]), strict=True):
            assert np.array_equal(np.asarray(end), np.asarray(frame))
    assert even.unevenness < 0.5 * plain.unevenness
    assert even.unevenness < 0.2


def test_files_of_walks_hold_the_frames_and_their_record(shipped, tmp_path):
    found = shipped[2]
    for ending in (".gif", ".webp"):
        path = write_walk(found, tmp_path / f"walk{ending}", 10)
        with Image.open(path) as image:
            assert image.n_frames == 8 and image.info["loop"] == 0
            image.seek(7)
            last = np.asarray(image.convert("RGB")).astype(int)
            assert image.info["duration"] == 100
        assert np.abs(last - np.asarray(found.frames[-1])).mean() < 4
        with pytest.raises(DataError, match="is a walk between drawings"):
            read_any_record(path)
    av = pytest.importorskip("av")
    path = write_walk(found, tmp_path / "walk.mp4", 10)
    with av.open(str(path)) as container:
        frames = [each.to_ndarray(format="rgb24") for each in container.decode(video=0)]
        assert json.loads(container.metadata["comment"])["walk"] == 8
        assert container.streams.video[0].average_rate == 10
    assert len(frames) == 8
    assert np.abs(frames[0].astype(int) - np.asarray(found.frames[0])).mean() < 6
    with pytest.raises(UsageError, match=r"written as \.gif, \.webp or \.mp4"):
        write_walk(found, tmp_path / "walk.png", 10)


def test_a_vae_passes_through_its_latents_and_stops_are_frames(tiny_model):
    generator = load(tiny_model)
    stops = [DrawRequest("a cat", seed) for seed in (1, 2, 3)]
    found = walk(generator, stops, 7)
    drawn = [np.asarray(each.image) for each in generator.draw(stops)]
    frames = [np.asarray(each) for each in found.frames]
    places = [next(i for i, f in enumerate(frames) if np.array_equal(f, d)) for d in drawn]
    assert places[0] == 0 and places[-1] == 6 and 0 < places[1] < 6
    assert all(not np.array_equal(*two) for two in pairwise(frames))
    for wrong, said in (
        (stops[:1], "needs at least two drawings"),
        (stops * 3, "8 frames are refused"),
    ):
        with pytest.raises(UsageError, match=said):
            walk(generator, wrong, 8)
