"""The one-shot family against closed forms and against itself."""

import dataclasses
import math

import pytest
import torch
from pydantic import ValidationError
from torch.distributions import Normal, kl_divergence

from limner.models.base import Batch, SampleRequest, build
from limner.models.vae import VAEConfig, edge_loss, pyramid_loss


@pytest.fixture
def model():
    return build("vae", VAEConfig.tiny(text_dim=16, styles=("ink", "oil")))


def test_stages_follow_the_budget(model):
    config = model.config
    assert model.stage(0.0) == "autoencode"
    assert model.stage(config.autoencode) == "prior"
    assert model.stage(config.autoencode + config.prior) == "joint"
    assert model.stage(1.0) == "joint"
    only = build("vae", config.model_copy(update={"autoencode": 0.0, "prior": 0.0}))
    assert only.stage(0.0) == "joint"


def test_kl_equals_torch_distributions(model, make_batch):
    batch = make_batch(model)
    sigma = model.config.latent_noise
    mean = model.encoder(batch.images)
    exact = kl_divergence(Normal(mean, sigma), Normal(0.0, 1.0)).mean()
    constant = 0.5 * (sigma**2 - 1 - 2 * math.log(sigma))
    assert torch.allclose(model.losses(batch, "model")["kl"] + constant, exact, atol=1e-5)


def test_spread_is_smallest_at_the_true_deviation(model, make_batch):
    """d/ds of (e + n^2) / (2 s^2) + ln s vanishes at s^2 = e + n^2."""
    batch = make_batch(model, progress=0.5)
    torch.nn.init.zeros_(model.prior.spread.weight)
    optimizer = torch.optim.Adam([model.prior.spread.bias], lr=0.05)
    for _ in range(300):
        fixed = dataclasses.replace(batch, generator=torch.Generator().manual_seed(3))
        loss = model.losses(fixed, "model")["spread"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    text = model.reader(batch.text, batch.styles, torch.Generator().manual_seed(3))
    errors = (model.prior(text).means - model.encoder(batch.images)[:, None]).square()
    nearest = errors.mean((2, 3, 4)).argmin(1)
    chosen = errors[torch.arange(8), nearest]  # (B, C, G, G)
    wanted = (chosen.mean((0, 2, 3)) + model.config.latent_noise**2).sqrt()
    reached = model.config.latent_noise + torch.nn.functional.softplus(model.prior.spread.bias)
    assert torch.allclose(reached, wanted, rtol=0.02)


def test_pyramid_and_edges_by_hand():
    drawn, real = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    drawn[..., 0, 0] = 1.0
    # fine: 1/16; halved: a cell of 1/4 among 4; halved again: 1/16
    assert pyramid_loss(drawn, real, levels=3).item() == pytest.approx(3 / 16)
    # two of the twelve differences along each axis: one each
    assert edge_loss(drawn, real).item() == pytest.approx(1 / 12 + 1 / 12)
    assert pyramid_loss(real, real).item() == 0


def test_remembered_latents_equal_fresh_ones(model, make_batch):
    batch = make_batch(model, progress=0.5)
    fresh = model.encoder(batch.images)
    indexed = dataclasses.replace(batch, indices=torch.arange(8))
    first, second = model._latents(indexed), model._latents(indexed)
    assert torch.equal(first, second)
    assert torch.allclose(first, fresh, atol=1e-5)
    shuffled = dataclasses.replace(
        indexed, images=batch.images.flip(0), indices=torch.arange(8).flip(0)
    )
    assert torch.equal(model._latents(shuffled), first.flip(0))
    model.losses(dataclasses.replace(indexed, progress=0.0), "model")
    assert not model._known, "an encoder that learns must not be remembered"


def test_only_the_stage_learns(model, make_batch):
    def touched(progress):
        model.zero_grad(set_to_none=True)
        sum(model.losses(make_batch(model, progress=progress), "model").values()).backward()
        return {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None}

    assert touched(0.0) == {"encoder", "decoder"}
    assert touched(0.5) == {"reader", "prior"}
    assert touched(1.0) == {"decoder", "reader", "prior"}


def test_temperature_zero_draws_the_mean_whatever_the_seed(model, make_features, stir):
    still = {"temperature": 0.0, "mode_temperature": 0.0}
    cold = stir(build("vae", model.config.model_copy(update=still)))
    text = make_features(2, 16, length=4)
    styles = torch.zeros(2, dtype=torch.int64)
    one = cold.sample(SampleRequest(text, [1, 2], styles))
    other = cold.sample(SampleRequest(text, [3, 4], styles))
    assert torch.equal(one, other)
    assert not torch.equal(one[0], one[1])
    warm = stir(build("vae", model.config.model_copy(update={"temperature": 1.0})))
    assert not torch.equal(
        warm.sample(SampleRequest(text, [1, 2], styles)),
        warm.sample(SampleRequest(text, [3, 4], styles)),
    )


def test_learns_to_draw_four_pictures_from_their_texts(make_features):
    torch.manual_seed(0)
    config = VAEConfig.tiny(text_dim=16).model_copy(
        update={"autoencode": 0.4, "prior": 0.2, "text_noise": 0.05, "prior_width": 64,
                "text_rank": 8, "decoder": (32, 16), "encoder": (16, 32), "latent_channels": 8,
                "mode_temperature": 0.0}
    )  # fmt: skip
    model = build("vae", config)
    text = make_features(4, 16, length=4)
    model.prepare(make_features(64, 16, seed=9))
    images = torch.ones(4, 3, 16, 16)
    for i, colour in enumerate(((1, -1, -1), (-1, 1, -1), (-1, -1, 1), (-1, -1, -1))):
        images[i, :, 4:12, 4:12] = torch.tensor(colour).float()[:, None, None]
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    total = 450
    for step in range(total):
        batch = Batch(
            images, text, torch.full((4,), -1), torch.Generator().manual_seed(step),
            progress=step / total, indices=torch.arange(4),
        )  # fmt: skip
        optimizer.zero_grad(set_to_none=True)
        losses = model.losses(batch, "model")
        sum(v * (0.002 if n == "kl" else 1) for n, v in losses.items()).backward()
        optimizer.step()
    model.eval()
    drawn = model.sample(SampleRequest(text, [0, 1, 2, 3]))
    distance = (drawn[:, None] - images[None]).abs().mean((2, 3, 4))  # (4 drawn, 4 real)
    assert distance.argmin(1).tolist() == [0, 1, 2, 3]
    assert distance.diagonal().max() < 0.15
    assert (model.reconstruct(images) - images).abs().mean() < 0.15


def test_refuses_shapes_that_cannot_be():
    with pytest.raises(ValidationError, match="not a multiple of 8"):
        VAEConfig(size=60)
    with pytest.raises(ValidationError, match="at most 1"):
        VAEConfig(autoencode=0.7, prior=0.7)
    with pytest.raises(ValidationError, match="more than text_dim"):
        VAEConfig(text_dim=16)


def test_modes_part_what_one_text_leaves_open(make_features):
    """One text, two pictures: each component learns one, and the seed chooses."""
    torch.manual_seed(0)
    config = VAEConfig.tiny(text_dim=16).model_copy(
        update={"autoencode": 0.4, "prior": 0.3, "text_noise": 0.0, "mode_temperature": 1.0,
                "temperature": 0.0, "prior_width": 32}
    )  # fmt: skip
    model = build("vae", config)
    text = make_features(1, 16, length=4)[[0, 0]]
    images = torch.stack([torch.full((3, 16, 16), -0.9), torch.full((3, 16, 16), 0.9)])
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    for step in range(600):
        generator = torch.Generator().manual_seed(step)
        batch = Batch(
            images, text, torch.full((2,), -1), generator, step / 600, indices=torch.arange(2)
        )
        optimizer.zero_grad(set_to_none=True)
        sum(model.losses(batch, "model").values()).backward()
        optimizer.step()
    drawn = model.eval().sample(SampleRequest(text[[0] * 40], list(range(40)))).mean((1, 2, 3))
    dark, light = (drawn < -0.7).sum().item(), (drawn > 0.7).sum().item()
    assert dark + light == 40
    assert min(dark, light) > 8
