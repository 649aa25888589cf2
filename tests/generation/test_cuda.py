"""Drawing on a GPU, where there is one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from limner.generation.generator import load
from tiny_models import save_tiny

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

PROMPTS = ["a cat", "a red heart", "cat", "a blue cat"]


def pixels(pictures):
    return [np.asarray(each.image.convert("RGB"), np.int16) for each in pictures]


@pytest.mark.parametrize("family", ["ar", "flow", "gan", "vae"])
def test_a_seed_has_the_same_bits_alone_and_in_any_batch(family, tmp_path):
    generator = load(save_tiny(tmp_path / "tiny.safetensors", family), device="cuda")
    assert generator.device == "cuda"
    together = pixels(generator.generate(PROMPTS, n=9, seed=3))
    for number, prompt in enumerate(PROMPTS):
        alone = pixels(generator.generate(prompt, n=1, seed=3))[0]
        assert np.array_equal(alone, together[9 * number]), prompt


@pytest.mark.parametrize("family", ["flow", "gan", "vae"])
def test_pictures_are_those_of_the_cpu_but_for_rounding(family, tmp_path):
    path = save_tiny(tmp_path / "tiny.safetensors", family)
    one, other = (pixels(load(path, device=d).generate(PROMPTS, seed=3)) for d in ("cpu", "cuda"))
    for a, b in zip(one, other, strict=True):
        assert np.abs(a - b).mean() < 1.0  # of 255


def test_auto_is_the_gpu(tmp_path):
    assert load(save_tiny(tmp_path / "tiny.safetensors"), device="auto").device == "cuda"


@pytest.mark.parametrize("prompt", ["a red heart", "a cat wearing a hat on the beach"])
def test_the_shipped_model_draws_the_same_on_both(prompt):
    one, other = (pixels(load(device=d).generate(prompt, seed=3))[0] for d in ("cpu", "cuda"))
    assert np.abs(one - other).mean() < 2.0  # of 255
