"""The one-shot family against closed forms and against itself."""

import dataclasses
import math

import pytest
import torch
from pydantic import ValidationError
from torch.distributions import Normal, kl_divergence

from limner.errors import UsageError
from limner.modelfile import load_model, save_model
from limner.modelinfo import ModelInfo
from limner.models.autoencoder import (
    AutoencoderConfig,
    Posterior,
    edge_loss,
    layers_of,
    pyramid_loss,
)
from limner.models.base import Batch, build
from limner.models.likelihood import gaussian_kl, pixel_log_likelihood
from limner.models.rows import SampleRequest
from limner.models.settings import Capability, Settings
from limner.models.vae import VAEConfig, slerp
from tiny_configs import tiny_config


@pytest.fixture
def model():
    return build("vae", tiny_config(VAEConfig, text_dim=16, styles=("ink", "oil")))


def test_stages_follow_the_budget(model):
    config = model.config
    assert model.stage(0.0) == "autoencode"
    assert model.stage(config.autoencode) == "prior"
    assert model.stage(config.autoencode + config.prior) == "joint"
    assert model.stage(1.0) == "joint"
    only = build("vae", config.model_copy(update={"autoencode": 0.0, "prior": 0.0}))
    assert only.stage(0.0) == "joint"


def test_frozen_levels_and_the_encoder_stay_while_finer_ones_learn(model, make_batch):
    grown = build("vae", model.config.model_copy(update={"frozen_levels": 1}))
    grown.load_state_dict(model.state_dict())
    batch = make_batch(model)

    def seeded():
        return dataclasses.replace(batch, generator=torch.Generator().manual_seed(3))

    losses, same = grown.losses(seeded(), "model"), model.losses(seeded(), "model")
    assert torch.equal(losses["pixels"], same["pixels"])
    sum(losses.values()).backward()
    learned = {name for name, p in grown.named_parameters() if p.grad is not None}
    first = layers_of(model.config, 1)
    assert isinstance(grown.decoder[first], torch.nn.Conv2d)
    assert learned == {f"decoder.{name}" for name, _ in grown.decoder.named_parameters()
                       if int(name.partition(".")[0]) >= first}  # fmt: skip
    with pytest.raises(ValidationError, match="'frozen_levels' is 2"):
        VAEConfig(**{**model.config.model_dump(), "frozen_levels": 2})


def test_crops_are_squares_of_the_pictures_and_what_is_learned_from(model, make_batch):
    side = model.config.size
    crop = model.config.stride * 2
    cropping = build("vae", model.config.model_copy(update={"crop": crop}))
    cropping.load_state_dict(model.state_dict())
    batch = make_batch(model)

    def seeded():
        return dataclasses.replace(batch, generator=torch.Generator().manual_seed(3))

    generator = torch.Generator().manual_seed(3)
    corners = torch.randint(side - crop + 1, (len(batch.images), 2), generator=generator)
    assert len(set(map(tuple, corners.tolist()))) > 1
    squares = torch.stack([
        image[:, y : y + crop, x : x + crop]
        for image, (y, x) in zip(batch.images, corners.tolist(), strict=True)
    ])  # fmt: skip
    # the noise on the latents comes after the corners from the same generator
    wanted = model.losses(dataclasses.replace(batch, images=squares, generator=generator), "model")
    found = cropping.losses(seeded(), "model")
    assert found.keys() == wanted.keys()
    for name, loss in wanted.items():
        assert torch.equal(found[name], loss), name
    later = dataclasses.replace(seeded(), progress=0.5)  # the prior sees whole pictures
    assert torch.equal(
        cropping.losses(later, "model")["prior"],
        model.losses(dataclasses.replace(seeded(), progress=0.5), "model")["prior"],
    )
    for wrong in (crop + 1, side + model.config.stride):
        with pytest.raises(ValidationError, match="'crop' is"):
            VAEConfig(**{**model.config.model_dump(), "crop": wrong})


def test_kl_equals_torch_distributions(model, make_batch):
    batch = make_batch(model)
    sigma = model.config.latent_noise
    mean = model.encoder(batch.images)
    exact = kl_divergence(Normal(mean, sigma), Normal(0.0, 1.0)).mean()
    assert torch.allclose(model.losses(batch, "model")["kl"], exact, atol=1e-5)


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


def test_prior_loss_is_the_nearest_components_with_a_share_of_the_others(model, make_batch):
    """-log N(latent; component, latent_noise^2) less its constant: d^2 / (2 latent_noise^2)."""
    batch = make_batch(model, progress=0.5)
    loss = model.losses(batch, "model")["prior"].item()
    batch.generator.manual_seed(1)
    means = model.mixture(batch.text, batch.styles, batch.generator).means  # (B, M, C, G, G)
    apart = (means - model.encoder(batch.images)[:, None]).square().mean((2, 3, 4))  # (B, M)
    share, sigma = model.config.mode_share, model.config.latent_noise
    wanted = ((1 - share) * apart.amin(1).mean() + share * apart.mean()) / (2 * sigma**2)
    assert 0 < share < 1 < apart.shape[1]
    assert loss == pytest.approx(wanted.item(), rel=1e-4)


@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0, 2.0])
def test_components_are_chosen_as_often_as_their_chances_say(model, temperature):
    """Gumbel-max: component m is chosen with the chance softmax(logits / temperature)."""
    count, logits = 4000, torch.tensor([1.0, 0.0, 0.5, 0.0])  # of two the sign would be no matter
    found = model._choose_modes(
        logits.expand(count, 4), range(count), torch.full((count,), temperature)
    )
    shares = torch.bincount(found, minlength=4) / count
    wanted = (logits / temperature).softmax(0) if temperature else torch.eye(4)[0]
    torch.testing.assert_close(
        shares, wanted, rtol=0, atol=4 * 0.5 / math.sqrt(count) if temperature else 0
    )
    few = model._choose_modes(logits.expand(3, 4), [2, 0, 1], torch.full((3,), temperature))
    assert few.tolist() == found[[2, 0, 1]].tolist(), "a seed's choice is its own"


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
    first, second = model._latents(indexed).mean, model._latents(indexed).mean
    assert torch.equal(first, second)
    assert torch.allclose(first, fresh, atol=1e-5)
    shuffled = dataclasses.replace(
        indexed, images=batch.images.flip(0), indices=torch.arange(8).flip(0)
    )
    assert torch.equal(model._latents(shuffled).mean, first.flip(0))
    model.losses(dataclasses.replace(indexed, progress=0.0), "model")
    assert not model._memory, "an encoder that learns must not be remembered"


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
    styles = Settings(style="ink")
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
    config = tiny_config(VAEConfig, text_dim=16).model_copy(
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
        VAEConfig(size=60, decoder=(192, 96, 48))
    with pytest.raises(ValidationError, match="at most 1"):
        VAEConfig(autoencode=0.7, prior=0.7)
    with pytest.raises(ValidationError, match="more than text_dim"):
        VAEConfig(text_dim=16, text_rank=17)
    assert VAEConfig(text_dim=16).text_rank == 16
    assert VAEConfig(text_dim=384).text_rank == 256
    with pytest.raises(ValidationError, match="16 pixels"):
        VAEConfig(size=8, adversarial=1.0)


def drawn_from_one_text_of_two_pictures(text, seed):
    """How many of 40 pictures are dark and light, when one text was trained with one of each."""
    torch.manual_seed(seed)
    config = tiny_config(VAEConfig, text_dim=16).model_copy(
        update={"autoencode": 0.4, "prior": 0.3, "text_noise": 0.0, "mode_temperature": 1.0,
                "temperature": 0.0, "prior_width": 32}
    )  # fmt: skip
    model = build("vae", config)
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
    return (drawn < -0.7).sum().item(), (drawn > 0.7).sum().item()


def test_modes_part_what_one_text_leaves_open(make_features):
    """One text, two pictures: each component learns one, and the seed chooses.

    Of some initial weights one component takes both pictures, or draws their mean; which, rounding
    decides, so three are tried.
    """
    text = make_features(1, 16, length=4)[[0, 0]]
    found = (drawn_from_one_text_of_two_pictures(text, seed) for seed in range(3))
    assert any(dark + light == 40 and min(dark, light) > 8 for dark, light in found)


# --- what the issue added ---

OLD_NAMES = ("encoder", "decoder", "reader", "prior")


def grown(**changes):
    left_out = {"latent_channels"} if "levels" in changes else set()
    return build("vae", tiny_config(VAEConfig, text_dim=16).model_dump(exclude=left_out) | changes)


FSQ = {"bottleneck": "fsq", "levels": (4, 3)}


def test_an_old_model_file_keeps_its_names_and_configuration(tmp_path, make_features, stir):
    """A file as written before there were other bottlenecks: the fields of then, no more."""
    model = stir(grown())
    old_fields = {
        "size", "text_dim", "styles", "decoder", "encoder", "blocks", "latent_channels",
        "latent_noise", "text_rank", "text_noise", "queries", "max_tokens", "prior_width",
        "prior_depth", "autoencode", "prior", "modes", "mode_rank", "mode_share", "temperature",
        "mode_temperature",
    }  # fmt: skip
    info = ModelInfo(
        family="vae",
        config={k: v for k, v in model.config.model_dump(mode="json").items() if k in old_fields},
        encoder="e5-small",
        encoder_fingerprint="0" * 16,
    )
    save_model(tmp_path / "old.safetensors", model, info)
    loaded, _ = load_model(tmp_path / "old.safetensors")
    assert {name.split(".")[0] for name in loaded.state_dict()} == set(OLD_NAMES)
    request = SampleRequest(make_features(2), [1, 2])
    assert torch.equal(loaded.sample(request), model.sample(request))
    assert loaded.config == model.config


@pytest.mark.parametrize(
    "changes",
    [FSQ, {"posterior": "learned"}, {"adversarial": 0.1, "critic_width": 4}, {"structure": True}],
    ids=["fsq", "learned", "adversarial", "structure"],
)
def test_every_variant_learns_draws_and_travels(changes, make_batch, make_features, tmp_path):
    model = grown(**changes)
    model.prepare(make_features(64, seed=9))
    reached = set()
    for step, progress in enumerate((0.0, 0.0, 0.5, 0.5, 1.0, 1.0)):
        for player, group in model.optimizer_groups.items():
            model.zero_grad(set_to_none=True)
            losses = model.losses(make_batch(model, seed=step, progress=progress), player)
            assert losses
            sum(losses.values()).backward()
            owned = {id(p) for p in group.parameters}
            for name, p in model.named_parameters():
                if id(p) in owned and p.grad is not None and p.grad.any():
                    reached.add(name)
                    p.data -= 0.05 * p.grad
    # within the hinge's margins what real pushes up, drawn pushes down: a bias stands still
    assert reached | {"critic.out.bias"} >= {name for name, _ in model.named_parameters()}
    model.eval()
    request = SampleRequest(make_features(3), [1, 2, 3])
    drawn = model.sample(request)
    assert torch.isfinite(drawn).all()
    info = ModelInfo(
        family="vae", config=model.config.model_dump(mode="json"), encoder="e5-small",
        encoder_fingerprint="0" * 16,
    )  # fmt: skip
    save_model(tmp_path / "m.safetensors", model, info)
    assert torch.equal(load_model(tmp_path / "m.safetensors")[0].sample(request), drawn)
    figures = model.figures(make_batch(model))
    assert all(math.isfinite(v.item()) for v in figures.values())
    assert ("codes_used" in figures) == (model.config.bottleneck == "fsq")


def test_what_fsq_draws_are_codes(make_features, stir):
    model = stir(grown(**FSQ))
    latents, spread, noise = model._imagine(SampleRequest(make_features(4), [1, 2, 3, 4]))
    auto = model.autoencoder
    snapped = auto.snap(latents + spread * noise)
    assert torch.equal(auto.from_codes(auto.quantiser.codes(snapped)), snapped)


def test_adversarial_makes_a_second_player_and_only_then():
    assert list(grown().optimizer_groups) == ["model"]
    model = grown(adversarial=0.1)
    assert list(model.optimizer_groups) == ["model", "critic"]
    critic = {id(p) for p in model.critic.parameters()}
    assert {id(p) for p in model.optimizer_groups["critic"].parameters} == critic
    assert not critic & {id(p) for p in model.optimizer_groups["model"].parameters}


def test_beta_schedules():
    def betas(**changes):
        config = tiny_config(VAEConfig).model_copy(
            update={"autoencode": 0.4, "beta": 2.0, **changes}
        )
        return [config.beta_at(p) for p in (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.9)]

    assert betas() == [2.0] * 7
    linear = betas(beta_schedule="linear", beta_rise=0.5)
    assert linear == pytest.approx([0, 0.5, 1.0, 2, 2, 2, 2])
    cyclical = betas(beta_schedule="cyclical", beta_rise=0.5, beta_cycles=2)
    assert cyclical == pytest.approx([0, 1.0, 2.0, 0, 2.0, 2, 2])


def test_free_bits_stop_paying_for_less(make_batch):
    """A channel that costs less than is free has no gradient; one that costs more has all."""
    model = grown(free_bits=1e6)
    batch = make_batch(model)
    losses = model.losses(batch, "model")
    assert losses["kl"].item() == pytest.approx(1e6 * 4 / (4 * 4 * 4))
    assert torch.autograd.grad(losses["kl"], model.encoder[-1].weight)[0].abs().max() == 0
    paid, free = grown(free_bits=1e-6), grown()
    paid.load_state_dict(free.state_dict())
    one, other = (
        m.losses(dataclasses.replace(batch, generator=torch.Generator().manual_seed(1)), "model")
        for m in (paid, free)
    )
    torch.testing.assert_close(one["kl"], other["kl"])


def test_interpolation_ends_where_sampling_does(make_features, stir):
    model = stir(grown())
    first = SampleRequest(make_features(2, seed=1), [1, 2])
    second = SampleRequest(make_features(2, seed=2), [3, 4])
    way = model.interpolate(first, second, [0.0, 0.5, 1.0])
    assert way.shape == (2, 3, 3, 16, 16)
    assert torch.equal(way[:, 0], model.sample(first))
    assert torch.equal(way[:, 2], model.sample(second))
    assert not torch.equal(way[:, 1], way[:, 0])
    alone = model.interpolate(first[[1]], second[[1]], [0.5])
    assert torch.equal(alone[0, 0], way[1, 1])
    straight = model.interpolate(first, second, [0.5], noise="linear")
    assert not torch.equal(straight[:, 0], way[:, 1])
    with pytest.raises(UsageError, match="equally many"):
        model.interpolate(first, second[[0]], [0.5])
    with pytest.raises(UsageError, match=r"0\.\.1"):
        model.interpolate(first, second, [1.5])


def test_slerp_keeps_the_length_and_the_speed():
    a, b = torch.tensor([[1.0, 0, 0]]), torch.tensor([[0.0, 1, 0]])
    for share in (0.1, 0.25, 0.5, 0.9):
        angle = share * math.pi / 2
        wanted = torch.tensor([[math.cos(angle), math.sin(angle), 0]])
        torch.testing.assert_close(slerp(a, b, share), wanted, atol=1e-6, rtol=1e-5)
    assert torch.equal(slerp(a, b, 0.0), a)
    assert torch.equal(slerp(a, b, 1.0), b)
    torch.testing.assert_close(slerp(a, a, 0.3), a)


def test_a_request_temperature_scales_the_models_own(make_features, stir):
    model = stir(grown(mode_temperature=0.0, temperature=0.5))
    assert Capability.TEMPERATURE in model.capabilities
    request = SampleRequest(make_features(1), [1])
    same = dataclasses.replace(request, settings=Settings(temperature=1.0))
    assert torch.equal(model.sample(request), model.sample(same))
    still = Settings(temperature=0.0)
    cold = [model.sample(SampleRequest(request.text, [s], still)) for s in (1, 2)]
    assert torch.equal(*cold)
    assert not torch.equal(cold[0], model.sample(request))


def test_the_bound_is_below_the_likelihood(make_features, make_batch, stir):
    """Importance sampling with many latents comes near log p(x | t) from below (Burda et al.)."""
    model = stir(grown(bound_samples=64))
    text, styles = make_features(4), torch.full((4,), -1)
    images = make_batch(model, count=4).images
    bound = model.log_likelihood(images, text, styles).double()
    assert bound.shape == (4,)
    assert torch.equal(model.log_likelihood(images[[2]], text[[2]])[0].double(), bound[2])
    count, g = 64, torch.Generator().manual_seed(3)
    for i in range(4):
        posterior = model.autoencoder.posterior(images[[i]])
        mixture = model.prior(model.reader(text[[i]], styles[[i]]))
        shape = (count, *posterior.mean.shape[1:])
        z = posterior.mean + posterior.deviation * torch.randn(shape, generator=g)
        logs = torch.distributions.Normal(mixture.means[0], mixture.deviation).log_prob(z[:, None])
        prior = torch.logsumexp(logs.flatten(2).sum(2) + mixture.logits.log_softmax(1), 1)
        own = Normal(posterior.mean, posterior.deviation).log_prob(z).flatten(1).sum(1)
        drawn = model.decoder(z)
        evidence = pixel_log_likelihood(drawn, images[[i]].expand_as(drawn)) + prior - own
        exact = torch.logsumexp(evidence, 0) - math.log(count)
        assert bound[i] < exact + 1.0
        # the plain average is the bound itself with the divergence by Monte Carlo: no less tight
        assert bound[i] < evidence.mean() + 3 * evidence.std() / math.sqrt(count)


def test_fsq_likelihood_is_a_bound_over_codes(make_features, make_batch, stir):
    """Summing the joint over the text's codes cannot give less than the encoder's own code."""
    model = stir(grown(**FSQ))
    images, text = make_batch(model, count=2).images, make_features(2)
    bound = model.log_likelihood(images, text)
    auto = model.autoencoder
    drawn = auto.decode(auto.encode(images))
    assert (bound.double() < pixel_log_likelihood(drawn, images)).all()
    assert torch.isfinite(bound).all()


def test_learned_posterior_is_what_the_kl_sees(make_batch):
    model = grown(posterior="learned")
    batch = make_batch(model)
    posterior = model.autoencoder.posterior(batch.images)
    wanted = gaussian_kl(posterior.mean, posterior.deviation, 0.0, 1.0).mean()
    torch.testing.assert_close(model.losses(batch, "model")["kl"], wanted)


def test_the_autoencoder_configuration_is_the_models_own():
    model = grown()
    fields = AutoencoderConfig.model_fields
    assert model.autoencoder.config.model_dump() == model.config.model_dump(include=set(fields))


def test_the_decoder_learns_from_samples_of_the_posterior(model, make_batch):
    batch = make_batch(model)
    shape = (64, 8, 8, 8)
    mean, deviation = torch.full(shape, 2.0), torch.full((1, 1, 1, 1), 0.3)
    drawn = model._blurred(Posterior(mean, deviation), batch)
    assert drawn.mean().item() == pytest.approx(2, abs=0.01)
    assert drawn.std().item() == pytest.approx(0.3, rel=0.02)
    assert abs(((drawn - 2) / 0.3).pow(3).mean().item()) < 0.05  # symmetric, as a Gaussian is
