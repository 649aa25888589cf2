"""What draws on a device beside the CPU draws what the CPU draws."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import second_device
from limner.generation.explaining import explain
from limner.generation.generator import Generator, load
from limner.generation.inpainting import MaskedPicture
from limner.generation.requests import DrawRequest
from limner.improve.refine import Refiner
from tiny_models import save_tiny


def setup_module():
    second_device.register()


def pixels(picture):
    return np.asarray(getattr(picture, "image", picture).convert("RGB"), np.int16)


def assert_same(draw, there: Generator, here: Generator):
    found, wanted = draw(there), draw(here)
    assert len(found) == len(wanted) > 0
    for one, other in zip(found, wanted, strict=True):
        assert np.abs(pixels(one) - pixels(other)).mean() < 0.01  # of 255


def hole_in(image: Image.Image) -> MaskedPicture:
    mask = np.zeros(image.size[::-1], bool)
    mask[: mask.shape[0] // 2, : mask.shape[1] // 2] = True
    return MaskedPicture(np.asarray(image.convert("RGB")), mask)


@pytest.mark.parametrize("family", ["ar", "flow", "gan", "vae"])
def test_every_family(family, tmp_path):
    path = save_tiny(tmp_path / "tiny.safetensors", family)
    there, here = load(path, device=second_device.NAME), load(path)
    assert next(there.model.parameters()).device.type == second_device.NAME
    there.model.tile = min(there.model.tile, 4)  # a GPU's is larger than the CPU has time for
    assert_same(lambda g: g.generate("a cat", n=2, seed=1), there, here)
    if family == "flow":
        plain = hole_in(Image.new("RGB", (here.model.config.size,) * 2, "red"))
        assert_same(lambda g: g.inpaint(plain, "a cat", seed=1), there, here)
        assert_same(lambda g: [explain(g, DrawRequest("a red cat", 1)).picture], there, here)


def test_no_picture_is_looked_up_where_asking_costs_more_than_drawing(tmp_path):
    there = load(save_tiny(tmp_path / "tiny.safetensors", "gan"), device=second_device.NAME)
    there.model.tile = 1
    there.model.remember_pictures(2**20)
    with second_device.waits() as found:
        there.generate("a cat", seed=1)
    assert found and not [each for each in found if "one_shot.py" in each]


@pytest.fixture(scope="module")
def both() -> tuple[Generator, Generator]:
    second_device.register()
    return load(device=second_device.NAME), load()


@pytest.mark.parametrize(
    "draw",
    [
        lambda g: g.generate("a cat wearing a hat on the beach", seed=3),
        lambda g: g.generate("a rocket", seed=1, style="twemoji", variety=0.7),
        lambda g: [Refiner(g).refine("two red apples and a pear", budget=2, seed=1).picture],
        lambda g: g.restyle(g.generate("a cat", seed=2)[0].image, "line drawing", seed=1),
    ],
)
def test_the_shipped_model(draw, both):
    assert_same(draw, *both)


def test_tensors_of_two_devices_do_not_meet():
    import torch

    here, there = torch.ones(3), torch.ones(3).to(second_device.NAME)
    with pytest.raises(RuntimeError, match="same device"):
        _ = here + there
    with pytest.raises(TypeError, match="numpy"):
        there.numpy()
    assert torch.equal((there + 1).cpu(), here + 1)
