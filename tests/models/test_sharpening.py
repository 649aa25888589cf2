"""The shock filter, on pictures whose sharp version is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from limner.metrics.sharpness import edge_sharpness
from limner.models.sharpening import sharpened
from limner.models.vae import VAEConfig
from limner.vision.pixels import to_tensor

COLOURS = (200, 30, 40), (250, 220, 60), (20, 60, 160)


@pytest.fixture(scope="module")
def drawing() -> torch.Tensor:
    """Flat shapes with curved and slanted edges, ``(1, 3, 96, 96)`` in [-1, 1]."""
    large = Image.new("RGB", (768, 768), "white")
    draw = ImageDraw.Draw(large)
    draw.ellipse((80, 120, 560, 600), COLOURS[0])
    draw.polygon([(300, 60), (700, 500), (360, 700)], COLOURS[1])
    draw.line([(60, 700), (700, 90)], COLOURS[2], width=56)
    return to_tensor(np.asarray(large.resize((96, 96), Image.Resampling.BOX))[None])


def blurred(images: torch.Tensor, deviation: float = 1.3) -> torch.Tensor:
    return torch.from_numpy(gaussian_filter(images.numpy(), (0, 0, deviation, deviation)))


@pytest.mark.parametrize(("deviation", "steps"), [(0.8, 4), (1.3, 6), (2.0, 10)])
def test_blurred_edges_become_those_of_the_drawing(drawing, deviation, steps):
    soft = blurred(drawing, deviation)
    found = sharpened(soft, steps)
    before, after = ((each - drawing).abs().mean() for each in (soft, found))
    assert after < 0.6 * before
    soft, found, true = (float(edge_sharpness(each)) for each in (soft, found, drawing))
    assert soft < found - 0.08 and abs(found - true) < 0.07


def test_what_is_sharp_stays_where_it_is(drawing):
    assert (sharpened(drawing, 4) - drawing).abs().mean() < 0.016
    step = torch.full((1, 3, 20, 32), -1.0)
    step[..., 11:] = 0.5
    assert torch.allclose(sharpened(step, 4), step, atol=1e-6)


def test_flat_areas_and_even_gradients_stay(drawing):
    flat = drawing.new_full((1, 3, 16, 16), 0.3)
    assert torch.allclose(sharpened(flat, 8), flat, atol=1e-6)
    ramp = torch.linspace(-0.9, 0.9, 64).expand(1, 3, 48, 64)
    assert (sharpened(ramp, 4) - ramp)[..., 12:-12].abs().max() < 1e-6


def test_a_grid_on_an_edge_is_taken_away():
    """Of every second pixel, as a last upsampling leaves it."""
    grid = 0.06 * (1 - 2 * (torch.arange(48) % 2)).float()
    edge = torch.where(torch.arange(48) < 24, -0.7, 0.5).expand(1, 3, 48, 48)
    found = sharpened(edge + grid[:, None], 4)
    middle = found[..., 6:-6, 6:-6]
    assert (middle.amax(2) - middle.amin(2)).max() < 0.5 * 0.12
    assert (found - edge)[..., 6:-6, 6:-6].abs().mean() < 0.03


def test_it_turns_with_the_picture(drawing):
    soft = blurred(drawing)
    found = sharpened(soft, 4)
    for turned in (
        lambda x: x.flip(-1),
        lambda x: x.transpose(-1, -2),
        lambda x: x.rot90(1, (2, 3)),
    ):
        assert torch.allclose(sharpened(turned(soft), 4), turned(found), atol=1e-4)


def test_no_batch_and_no_thread_changes_a_bit(drawing):
    some = torch.cat([blurred(drawing, each) for each in (0.8, 1.3, 2.0)])[..., :93, :71]
    found, threads = sharpened(some, 4), torch.get_num_threads()
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            assert torch.equal(torch.cat([sharpened(each[None], 4) for each in some]), found)
    finally:
        torch.set_num_threads(threads)
    assert found.abs().max() <= 1 and sharpened(some, 0) is some


def test_exemplars_of_256_pixels_are_sharpened_unless_it_is_said():
    kept = {"prior_kind": "exemplars", "autoencode": 0, "prior": 0}
    assert VAEConfig(size=256, **kept).sharpening_steps > 0
    assert VAEConfig(size=64, **kept).sharpening_steps == VAEConfig(size=256).sharpening_steps == 0
    assert VAEConfig(size=256, sharpening=0, **kept).sharpening_steps == 0
    assert VAEConfig(size=64, sharpening=2).sharpening_steps == 2
