"""Traces of JPEG: the quality that Pillow's libjpeg was told, from pixels alone."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from limner.data.textures import dead_leaves
from limner.vision.jpeg import jpeg_trace


def texture(seed: int = 5, side: int = 128) -> np.ndarray:
    pixels = dead_leaves(side, np.random.default_rng(seed)).transpose(1, 2, 0)
    return (10 + 235 * pixels.clip(0, 1)).round().astype(np.uint8)


def compressed(pixels: np.ndarray, **options) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", **options)
    return np.asarray(Image.open(file).convert("RGB"))


@pytest.mark.parametrize("quality", [10, 20, 35, 50, 75])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_the_quality_is_seen(quality, subsampling):
    pixels = texture()
    trace = jpeg_trace(compressed(pixels, quality=quality, subsampling=subsampling))
    assert trace.known and abs(trace.quality - quality) <= 1
    twice = compressed(compressed(pixels, quality=30), quality=quality)
    assert abs((jpeg_trace(twice).quality or 0) - quality) <= 1, "the last one counts"


def test_pictures_that_were_not_compressed_and_those_changed_since():
    pixels = texture()
    assert jpeg_trace(pixels) == (None, True)
    moved = compressed(pixels, quality=30)[3:, 5:]
    assert jpeg_trace(moved) == (None, True)
    noise = np.random.default_rng(0).normal(0, 8, pixels.shape)
    assert jpeg_trace((compressed(pixels, quality=30) + noise).clip(0, 255).astype(np.uint8)) == (
        None, True
    )  # fmt: skip


@pytest.mark.parametrize("shape", [(8, 8), (4, 200), (64, 64)])
def test_what_shows_too_little_is_not_known(shape):
    assert jpeg_trace(np.full((*shape, 3), 90, np.uint8)) == (None, False)
