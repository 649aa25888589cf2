"""The model inside the package, where this copy of limner has one."""

from __future__ import annotations

import numpy as np
import pytest

import limner
from limner.generation.generator import Generator
from limner.generation.replay import redraw, same_pixels
from limner.modelfile import read_info
from limner.shipped import find_model, shipped_models

pytestmark = pytest.mark.skipif(not shipped_models(), reason="no model is shipped in this tree")


@pytest.fixture(scope="module")
def shipped(own_cache: None) -> Generator:
    return limner.load()


def test_it_fits_in_the_package(shipped):
    weights = find_model(None).parent.glob("*.safetensors")
    assert sum(path.stat().st_size for path in weights) <= 60_000_000
    info = read_info(shipped.path)
    assert info.licences and info.training and info.concepts
    assert shipped.encoder.fingerprint == info.encoder_fingerprint


def test_a_red_heart_is_red(shipped):
    for prompt in ("a red heart", "corazón rojo"):
        pixels = np.asarray(shipped.generate(prompt, seed=1)[0].image, dtype=float)
        quarter = len(pixels) // 4
        middle = pixels[quarter:-quarter, quarter:-quarter]
        red, green, blue = middle.reshape(-1, 3).mean(axis=0)
        assert red > 1.5 * green and red > 1.5 * blue


def test_replay_finds_it_by_its_hash(shipped, tmp_path):
    path = shipped.generate("夕阳", seed=11)[0].save(tmp_path / "a.png")
    assert same_pixels(path, redraw(path).image)
