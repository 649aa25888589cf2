"""Enlarging, against drawings whose every size is known."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from limner.vision.resampling import resample, resized

INK, RING = np.array([0.9, 0.2, 0.1], np.float32), np.array([0.1, 0.1, 0.3], np.float32)
LANCZOS = Image.Resampling.LANCZOS


def drawing(side: int) -> np.ndarray:
    """A red disc with a dark outline and a hole on white, each pixel the mean of 8 x 8 points."""
    at = (np.arange(side * 8) + 0.5) / (side * 8) - 0.5
    radius = np.hypot(at[:, None] - 0.03, at)
    filled = np.where((radius < 0.38)[..., None], INK, np.float32(1))
    filled[(radius > 0.33) & (radius < 0.38)] = RING
    filled[radius < 0.12] = 1
    return filled.reshape(side, 8, side, 8, 3).mean((1, 3)).astype(np.float32)


def decibels(found: np.ndarray, true: np.ndarray) -> float:
    return float(-10 * np.log10(((found - true) ** 2).mean()))


def steepness(image: np.ndarray) -> float:
    return float((np.diff(image, axis=0) ** 2).sum() + (np.diff(image, axis=1) ** 2).sum())


@pytest.mark.parametrize("times", [2, 3, 4])
def test_nearer_to_the_true_drawing_than_lanczos(times):
    small, true = drawing(64), drawing(64 * times)
    found = resample(small, 64 * times, 64 * times)
    image = Image.fromarray((small * 255).round().astype(np.uint8))
    lanczos = image.resize((64 * times,) * 2, Image.Resampling.LANCZOS)
    assert decibels(found, true) > decibels(np.asarray(lanczos) / 255, true) + 4
    assert 0.85 < steepness(found) / steepness(true) < 1.15
    assert found.min() >= small.min() - 1e-6 and found.max() <= 1  # nothing rings


def test_edges_are_left_as_they_are_where_it_is_asked_for():
    small = drawing(64)
    found = resample(small, 128, 128, steepen=False)
    bands = [np.asarray(Image.fromarray(small[..., band]).resize((128, 128), LANCZOS))
             for band in range(small.shape[2])]  # fmt: skip
    assert np.abs(found - np.stack(bands, -1).clip(0, 1)).max() < 1e-6
    assert steepness(found) < 0.8 * steepness(resample(small, 128, 128))


def test_means_stay():
    small = drawing(64)
    large = resample(small, 256, 256)
    assert np.abs(large.reshape(64, 4, 64, 4, 3).mean((1, 3)) - small).mean() < 0.01


def test_flat_and_gentle_areas_stay_as_they_are():
    flat = np.full((20, 30, 4), 0.3, np.float32)
    assert np.abs(resample(flat, 61, 47) - np.float32(0.3)).max() < 1e-6
    ramp = np.broadcast_to(np.linspace(0, 1, 64, dtype=np.float32)[None, :, None], (64, 64, 3))
    steps = np.diff(resample(ramp, 256, 256)[100, 16:-16, 0])
    assert steps.max() < 1.6 / 256 and steps.min() > 0.5 / 256


def test_smaller_is_lanczos_and_shapes_are_kept():
    small = resample(drawing(64), 40, 24)
    assert small.shape == (24, 40, 3)
    image = Image.fromarray((drawing(64) * 255).round().astype(np.uint8))
    apart = np.asarray(resized(image, 32), int) - image.resize((32, 32), Image.Resampling.LANCZOS)
    assert np.abs(apart).mean() < 0.5
    assert resized(image, 64) is image
