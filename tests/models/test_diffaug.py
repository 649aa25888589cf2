"""Differentiable augmentation: ranges, identities, gradients, and the rule that adapts it."""

import math

import pytest
import torch

from limner.models.diffaug import Changes, adapt, change, draw_changes, scheduled


def neutral(count: int, **other: torch.Tensor) -> Changes:
    zeros, ones = torch.zeros(count), torch.ones(count)
    parts = {
        "shift": torch.zeros(count, 2, dtype=torch.int64),
        "hole": torch.zeros(count, 2, dtype=torch.int64),
        "cut": torch.zeros(count, dtype=torch.bool),
        "brightness": zeros,
        "saturation": ones,
        "contrast": ones,
    }
    return Changes(**(parts | other))


def pictures(count: int = 4, size: int = 16) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(3)) * 2 - 1


def test_identity_at_chance_0_to_the_bit():
    x = pictures()
    assert torch.equal(change(x, draw_changes(4, 16, 0.0, torch.Generator().manual_seed(1))), x)
    assert torch.equal(change(x, neutral(4)), x)


def test_equal_pictures_are_changed_equally_whether_real_or_drawn():
    x = pictures(64)
    changes = draw_changes(64, 16, 0.7, torch.Generator().manual_seed(1))
    real, drawn = change(torch.cat((x, x)), changes.twice()).chunk(2)
    assert torch.equal(real, drawn)
    assert torch.allclose(real, change(x, changes))
    assert not torch.equal(real, x)


@pytest.mark.parametrize("chance", [0.0, 0.25, 1.0])
def test_chance_and_ranges(chance):
    g = torch.Generator().manual_seed(2)
    c = draw_changes(4000, 32, chance, g)
    assert c.cut.float().mean().item() == pytest.approx(chance, abs=0.03)
    assert (c.brightness != 0).float().mean().item() == pytest.approx(chance, abs=0.03)
    assert (c.contrast != 1).float().mean().item() == pytest.approx(chance, abs=0.03)
    assert c.shift.abs().max() <= 4
    assert c.brightness.abs().max() <= 0.5
    assert 0 <= c.saturation.min() <= c.saturation.max() <= 2
    assert 0.5 <= c.contrast.min() <= c.contrast.max() <= 1.5
    assert 0 <= c.hole.min() <= c.hole.max() <= 31
    if chance == 1:
        assert set(c.shift[:, 0].tolist()) == set(range(-4, 5))


def test_a_shift_moves_and_repeats_the_border():
    x = pictures(1, 8)
    y = change(x, neutral(1, shift=torch.tensor([[2, -1]])))
    assert torch.equal(y[0, :, 2:, :7], x[0, :, :6, 1:])
    assert torch.equal(y[0, :, 0], y[0, :, 2])
    assert torch.equal(y[0, :, :, 7], y[0, :, :, 6])


def test_a_hole_of_half_the_side_is_grey():
    x = torch.ones(1, 3, 16, 16)
    y = change(x, neutral(1, cut=torch.ones(1, dtype=torch.bool), hole=torch.tensor([[8, 8]])))
    assert (y == 0).sum() == 3 * 8 * 8
    assert (y[0, :, 4:12, 4:12] == 0).all()


def test_colours_in_closed_form():
    x = pictures(1)
    y = change(x, neutral(1, brightness=torch.tensor([0.25])))
    assert torch.allclose(y, x + 0.25)
    grey = change(x, neutral(1, saturation=torch.zeros(1)))
    assert torch.allclose(grey, x.mean(1, keepdim=True).expand_as(x), atol=1e-6)
    flat = change(x, neutral(1, contrast=torch.zeros(1)))
    assert torch.allclose(flat, x.mean().expand_as(x), atol=1e-6)


def test_gradients_of_first_and_second_order():
    x = pictures(2, 6).double().requires_grad_()
    changes = draw_changes(2, 6, 1.0, torch.Generator().manual_seed(5))
    changes = Changes(*(v.double() if v.is_floating_point() else v for v in vars(changes).values()))
    assert torch.autograd.gradcheck(lambda v: change(v, changes), (x,))
    assert torch.autograd.gradgradcheck(lambda v: change(v, changes).square(), (x,))


def test_schedule_ends_where_it_should():
    assert scheduled(2.0, 0.2, 0.0) == pytest.approx(2.0)
    assert scheduled(2.0, 0.2, 0.5) == pytest.approx(1.1)
    assert scheduled(2.0, 0.2, 1.0) == pytest.approx(0.2)
    assert scheduled(0.0, 0.3, 1 / 3) == pytest.approx(0.3 * 0.5 * (1 - math.cos(math.pi / 3)))


def test_the_chance_follows_overfitting_and_stays_in_bounds():
    chance = torch.zeros(())
    sure, unsure = torch.ones(10), torch.tensor([1.0, -1.0]).repeat(5)
    adapt(chance, unsure, target=0.6, speed=100, limit=0.15)
    assert chance.item() == 0
    adapt(chance, sure, target=0.6, speed=100, limit=0.15)
    assert chance.item() == pytest.approx(0.1)
    adapt(chance, sure, target=0.6, speed=100, limit=0.15)
    assert chance.item() == pytest.approx(0.15)
    adapt(chance, unsure, target=0.6, speed=100, limit=0.15)
    assert chance.item() == pytest.approx(0.05)
