"""The restorer's network: what it sees, what it is told, what it is before training."""

from __future__ import annotations

import pytest
import torch

from limner.data.degrade import FIELDS
from limner.models.base import build
from limner.models.restorer import ESTIMATED, RestorerConfig
from tiny_configs import tiny_config


def tiny(**changed):
    return build("restorer", tiny_config(RestorerConfig, **changed)).eval()


def told(model, seed=0):
    levels = torch.rand(2, len(FIELDS), generator=torch.Generator().manual_seed(seed))
    return model.condition(levels)


def test_untrained_it_leaves_pictures_as_they_are():
    model, images = tiny(), torch.rand(2, 3, 24, 32) * 2 - 1
    assert torch.equal(model(images, told(model)), images)


@pytest.mark.parametrize("blocks", [(1,), (1, 1), (2, 1, 2)])
def test_it_sees_as_far_as_it_says(blocks, stir):
    model = stir(tiny(blocks=blocks))
    side = 4 * model.reach
    side -= side % model.stride
    images = torch.rand(1, 3, side, side, requires_grad=True)
    middle = side // 2 // model.stride * model.stride
    model(images, told(model)[:1])[0, :, middle, middle].sum().backward()
    seen = images.grad[0].abs().sum(0).nonzero()
    far = (seen - middle).abs().max()
    assert far <= model.reach
    assert far > model.reach - 3 * model.stride, "tiles overlap by more than is needed"


def test_what_it_is_told_matters(stir, make_features):
    model, images = stir(tiny()), torch.rand(2, 3, 16, 16)
    assert not torch.equal(model(images, told(model, 1)), model(images, told(model, 2)))
    levels, text = torch.zeros(2, len(FIELDS)), make_features(2)
    silent = model.condition(levels, text, torch.tensor([True, False]))
    assert torch.equal(silent[1], model.condition(levels)[1])
    assert not torch.equal(silent[0], model.condition(levels)[0])


def test_the_estimator_says_what_it_cannot_see(stir):
    model = stir(tiny())
    levels, errors = model.estimate(torch.rand(3, 3, 16, 20))
    blind = [name not in ESTIMATED for name in FIELDS]
    assert levels.shape == errors.shape == (3, len(FIELDS))
    assert errors[:, blind].isinf().all() and (levels[:, blind] == 0).all()
    assert errors[:, [not each for each in blind]].isfinite().all()
