"""Latents and codes against closed forms and against the encoder's own words."""

import copy
import itertools
import math

import pytest
import torch
from pydantic import ValidationError
from torch.distributions import Categorical, MixtureSameFamily, Normal, kl_divergence

from limner.errors import CapabilityError, UsageError
from limner.models.autoencoder import (
    FSQ,
    Autoencoder,
    AutoencoderConfig,
    ChannelNorm,
    default_decoder,
    frozen,
    of,
)
from limner.models.base import build
from limner.models.critic import PatchCritic, hinge
from limner.models.likelihood import (
    cell_log_mass,
    gaussian_kl,
    mixture_kl_bound,
    pixel_log_likelihood,
)
from limner.models.similarity import code_use, psnr, ssim, structure_loss
from limner.models.vae import VAEConfig
from tiny_configs import tiny_autoencoder, tiny_config

LEVELS = [(2,), (3,), (4, 3), (8, 5, 5, 5), (7, 2, 6)]
every_levels = pytest.mark.parametrize("levels", LEVELS)


def pictures(count=3, side=16, seed=0):
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_a_pooling_encoder_reads_the_averaged_picture():
    small = Autoencoder(tiny_autoencoder(size=16))
    shape = {"size": 32, "decoder": (8, 4, 4), "encoder_pool": 2}
    large = Autoencoder(small.config.model_copy(update=shape))
    large.encoder.load_state_dict(small.encoder.state_dict())
    images = pictures(side=32)
    pooled = images.unflatten(3, (16, 2)).unflatten(2, (16, 2)).mean((3, 5))
    assert torch.allclose(large.encode(images), small.encode(pooled), atol=1e-6)
    assert large.decode(large.encode(images)).shape == (3, 3, 32, 32)
    # What the decoder makes up to a level is the same: the finer one starts where it ended.
    levels = small.decoder[:5](small.encode(pooled))
    fine = {k: v for k, v in large.decoder.state_dict().items() if int(k.split(".")[0]) >= 5}
    large.decoder.load_state_dict({**small.decoder[:5].state_dict(), **fine})
    assert torch.allclose(large.decoder[:5](large.encode(images)), levels, atol=1e-6)


def test_the_norm_of_channels_has_the_gradients_of_its_formula():
    norm = ChannelNorm(5).double()
    with torch.no_grad():
        norm.gain.normal_()
    x = torch.randn(2, 5, 3, 4, dtype=torch.float64, requires_grad=True)
    formula = x / (x.square().mean(1, keepdim=True) + 1e-5).sqrt() * norm.gain
    torch.testing.assert_close(norm(x), formula)
    with torch.no_grad():
        assert torch.equal(norm(x), norm(x.clone().requires_grad_()))
    assert torch.autograd.gradcheck(lambda x, gain: norm(x), (x, norm.gain))
    assert torch.autograd.gradgradcheck(lambda x, gain: norm(x), (x, norm.gain))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = x.detach().bfloat16().requires_grad_()
        norm.float()(half).sum().backward()
    assert half.grad is not None and half.grad.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("changed", "words"),
    [({"encoder_pool": 3}, "'encoder_pool' is 3"), ({"encoder_pool": 4}, "halved only 0 times")],
)
def test_a_pooling_that_does_not_fit_is_refused(changed, words):
    with pytest.raises(ValidationError, match=words):
        AutoencoderConfig(**{**tiny_autoencoder().model_dump(), **changed})


# --- finite scalar quantisation ---


@every_levels
def test_every_code_comes_back(levels):
    fsq = FSQ(levels)
    codes = torch.arange(fsq.count).view(-1, 1)
    values = fsq.values(codes, 1)
    assert values.shape == (math.prod(levels), len(levels), 1, 1)
    assert torch.equal(fsq.codes(values), codes)
    assert len(values.flatten(1).unique(dim=0)) == fsq.count
    assert values.min() >= -1
    assert values.max() <= 1
    for channel, count in enumerate(levels):
        steps = values[:, channel].flatten().unique()
        assert len(steps) == count
        if count > 1:
            assert torch.allclose(steps.diff(), torch.tensor(1 / (count // 2)))
    assert torch.equal(fsq.snap(values), values)


@every_levels
def test_rounding_reaches_every_level_and_only_those(levels):
    fsq = FSQ(levels)
    x = torch.linspace(-40, 40, 4001).view(-1, 1, 1, 1).expand(-1, len(levels), 1, 1)
    values = fsq(x)
    for channel, count in enumerate(levels):
        assert len(values[:, channel].flatten().round(decimals=5).unique()) == count
    assert torch.allclose(fsq.values(fsq.codes(values), 1), values, atol=1e-6)


def test_codes_count_row_by_row_with_the_first_channel_fastest():
    fsq = FSQ((4, 3))
    grid = torch.tensor([[5, 0, 11, 2]])
    values = fsq.values(grid, 2)
    assert values.shape == (1, 2, 2, 2)
    # 5 = 1 + 4 * 1: level 1 of 4 is (1 - 2) / 2, level 1 of 3 is (1 - 1) / 1
    assert values[0, :, 0, 0].tolist() == [-0.5, 0.0]
    assert values[0, :, 1, 0].tolist() == [0.5, 1.0]
    assert torch.equal(fsq.codes(values), grid)


def test_the_gradient_passes_the_rounding_as_if_it_were_not_there():
    fsq = FSQ((8, 5))
    x = torch.randn(4, 2, 3, 3, dtype=torch.float64).requires_grad_()
    fsq(x).sum().backward()
    shift = torch.atanh(fsq.offset / fsq.bound)
    slope = fsq.bound * (1 - torch.tanh(x.detach() + shift).square()) / fsq.reach
    torch.testing.assert_close(x.grad, slope, rtol=1e-5, atol=1e-6)
    y = torch.randn(4, 2, 3, 3).requires_grad_()
    fsq.snap(y).sum().backward()
    assert torch.equal(y.grad, torch.ones_like(y))


def test_foreign_codes_are_refused():
    auto = Autoencoder(tiny_autoencoder("fsq"))
    with pytest.raises(UsageError, match=r"0\.\.11"):
        auto.from_codes(torch.full((1, 16), 12))
    with pytest.raises(UsageError, match=r"0\.\.11"):
        auto.from_codes(torch.full((1, 16), -1))
    with pytest.raises(UsageError, match=r"4 x 4"):
        auto.from_codes(torch.zeros(1, 15, dtype=torch.int64))
    with pytest.raises(CapabilityError, match="no codes"):
        Autoencoder(tiny_autoencoder()).codes(pictures())


# --- the autoencoder ---


@pytest.mark.parametrize("bottleneck", ["kl", "fsq"])
def test_shapes_and_round_trip(bottleneck):
    config = tiny_autoencoder(bottleneck)
    auto = Autoencoder(config)
    images = pictures()
    latents = auto.encode(images)
    assert latents.shape == (3, config.latent_channels, config.grid, config.grid)
    assert auto.decode(latents).shape == images.shape
    assert torch.equal(auto.snap(latents), latents)
    if bottleneck == "fsq":
        codes = auto.codes(images)
        assert codes.shape == (3, config.grid**2)
        assert codes.dtype == torch.int64
        assert torch.equal(auto.from_codes(codes), latents)
        assert config.codebook_size == 12
    alone = torch.cat([auto.encode(images[[i]]) for i in range(3)])
    torch.testing.assert_close(alone, latents, atol=1e-5, rtol=1e-5)


def test_learned_deviation_begins_at_the_noise_and_learns():
    config = tiny_autoencoder().model_copy(update={"posterior": "learned"})
    auto = Autoencoder(config)
    posterior = auto.posterior(pictures())
    assert posterior.mean.shape == posterior.deviation.shape
    assert torch.allclose(posterior.deviation, torch.tensor(config.latent_noise))
    posterior.deviation.log().sum().backward()
    assert auto.encoder[-1].weight.grad[config.latent_channels :].any()


@pytest.mark.parametrize(
    ("size", "grid"), [(16, 8), (24, 6), (28, 7), (32, 8), (36, 9), (64, 8), (128, 8), (256, 8)]
)
def test_every_even_size_has_a_decoder(size, grid):
    config = AutoencoderConfig(size=size)
    assert config.grid == grid
    assert config.decoder == default_decoder(size)
    assert VAEConfig(size=size, text_dim=16).decoder == config.decoder


@pytest.mark.parametrize("encoder", [(4, 8), (4, 6, 8), (4, 4, 6, 8)])
def test_an_encoder_of_any_number_of_levels_fits_the_grid_and_bounds_its_means(encoder):
    config = AutoencoderConfig(
        size=32, decoder=(8, 6, 4), encoder=encoder, blocks=1, latent_channels=5, latent_bound=0.5
    )
    auto = Autoencoder(config)
    images = pictures(side=32)
    posterior = auto.posterior(images)
    assert posterior.mean.shape == (3, 5, 4, 4)
    raw = auto.encoder(images)
    torch.testing.assert_close(posterior.mean, 0.5 * torch.tanh(raw / 0.5))
    auto.encoder[-1].bias.data.fill_(100.0)
    assert auto.encode(images).max() <= 0.5
    posterior.mean.sum().backward()
    assert all(p.grad is not None for p in auto.encoder.parameters())
    alone = auto.encode(images[[1]])
    torch.testing.assert_close(alone, auto.encode(images)[[1]], atol=1e-5, rtol=1e-5)


def test_two_encoder_levels_keep_the_names_and_shapes_of_old_weights():
    shapes = {
        n: tuple(p.shape) for n, p in Autoencoder(AutoencoderConfig()).encoder.named_parameters()
    }
    assert shapes["1.weight"] == (96, 3 * 16, 3, 3)
    assert shapes["5.weight"] == (192, 4 * 96, 1, 1)
    assert shapes["8.weight"] == (16, 192, 1, 1)


def test_refuses_shapes_that_cannot_be():
    with pytest.raises(ValidationError, match="give 3 at most"):
        AutoencoderConfig(size=16, decoder=(8, 4), encoder=(4, 4, 4, 4))
    with pytest.raises(ValidationError, match="latent_bound"):
        AutoencoderConfig(bottleneck="fsq", latent_bound=1.0)
    with pytest.raises(ValidationError, match=r"not a multiple of 8.*\[96, 48\]"):
        AutoencoderConfig(size=28, decoder=(192, 96, 48))
    with pytest.raises(ValidationError, match="odd"):
        AutoencoderConfig(size=27)
    with pytest.raises(ValidationError, match="one channel for each of 4 levels"):
        AutoencoderConfig(bottleneck="fsq", latent_channels=16)
    with pytest.raises(ValidationError, match="cannot be learned"):
        AutoencoderConfig(bottleneck="fsq", posterior="learned")
    with pytest.raises(ValidationError, match=r"2\^31"):
        AutoencoderConfig(bottleneck="fsq", levels=(256,) * 4)


@pytest.mark.parametrize("bottleneck", ["kl", "fsq"])
def test_the_vae_lends_its_own_weights(bottleneck):
    values = {"levels": (4, 3)} if bottleneck == "fsq" else {"latent_channels": 4}
    base = tiny_config(VAEConfig).model_dump(exclude={"latent_channels", "levels"})
    vae = build("vae", {**base, "bottleneck": bottleneck, **values})
    auto = of(vae)
    assert {p.data_ptr() for p in auto.parameters()} <= {p.data_ptr() for p in vae.parameters()}
    images = pictures()
    again = auto.decode(auto.encode(images)).clamp(-1, 1)
    torch.testing.assert_close(vae.reconstruct(images), again)
    kept = frozen(auto.config)
    kept.load_state_dict(auto.state_dict())
    assert not any(p.requires_grad for p in kept.parameters())
    assert torch.equal(kept.encode(images), auto.encode(images))
    assert of(copy.deepcopy(vae)).config == auto.config
    with pytest.raises(CapabilityError, match="no autoencoder"):
        of(torch.nn.Linear(1, 1))


# --- likelihoods ---


def test_kl_of_gaussians_equals_torch_distributions():
    mean, other = torch.randn(50), torch.randn(50)
    deviation, spread = torch.rand(50) + 0.1, torch.rand(50) + 0.1
    exact = kl_divergence(Normal(mean, deviation), Normal(other, spread))
    torch.testing.assert_close(gaussian_kl(mean, deviation, other, spread), exact)
    standard = kl_divergence(Normal(mean, deviation), Normal(0.0, 1.0))
    torch.testing.assert_close(gaussian_kl(mean, deviation, 0.0, 1.0), standard)


def test_mixture_bound_is_above_monte_carlo_and_exact_for_one():
    torch.manual_seed(0)
    q = Normal(torch.tensor(0.3, dtype=torch.float64), torch.tensor(0.5, dtype=torch.float64))
    means = torch.tensor([-1.0, 0.5, 2.0], dtype=torch.float64)
    spreads = torch.tensor([0.4, 0.9, 0.3], dtype=torch.float64)
    logits = torch.tensor([0.0, 1.0, -1.0], dtype=torch.float64).log_softmax(0)
    mixture = MixtureSameFamily(Categorical(logits=logits), Normal(means, spreads))
    z = q.sample((200_000,))
    monte_carlo = (q.log_prob(z) - mixture.log_prob(z)).mean()
    parts = gaussian_kl(q.loc, q.scale, means, spreads)
    bound = mixture_kl_bound(parts, logits)
    assert monte_carlo < bound < (logits.exp() * parts).sum()
    assert mixture_kl_bound(parts[:1], torch.zeros(1)) == parts[0]


def test_pixel_masses_sum_to_one():
    """One number a picture, all of its 256 values: the masses are a distribution."""
    values = (torch.arange(256) / 127.5 - 1).view(256, 1)
    for centre in (-3.0, -1.0, -0.4, 0.1234, 0.999, 2.0):
        masses = pixel_log_likelihood(torch.full_like(values, centre), values).exp()
        assert masses.sum().item() == pytest.approx(1, abs=1e-9)
        assert masses.argmax() == (values - centre).abs().argmin()


def test_pixels_share_one_unknown_scale():
    """Two numbers of one picture are not independent: one tells the scale of the other."""
    pairs = torch.cartesian_prod(torch.arange(256), torch.arange(256)) / 127.5 - 1
    masses = pixel_log_likelihood(torch.zeros_like(pairs), pairs).exp()
    assert masses.sum().item() == pytest.approx(1, abs=1e-9)
    joint = masses.view(256, 256)
    assert not torch.allclose(joint, joint.sum(0)[:, None] * joint.sum(1)[None], rtol=0.1)


@every_levels
def test_masses_of_all_codes_sum_to_one(levels):
    fsq = FSQ(levels)
    values = fsq.values(torch.arange(fsq.count).view(-1, 1), 1)
    mean, deviation = torch.randn(1, len(levels), 1, 1), torch.rand(1, len(levels), 1, 1) + 0.05
    log_mass = cell_log_mass(values, mean, deviation, fsq.cells).flatten(1).sum(1)
    assert log_mass.exp().sum().item() == pytest.approx(1, abs=1e-6)
    far = cell_log_mass(values, torch.tensor(30.0), torch.tensor(0.1), fsq.cells)
    assert torch.isfinite(far).all()


def test_the_bound_touches_a_linear_gaussian_model_at_its_posterior():
    """With x = w z + noise, log p(x) is exact; any other posterior falls below it."""
    torch.manual_seed(0)
    w, noise = torch.randn(5, dtype=torch.float64), 0.7
    x = torch.randn(5, dtype=torch.float64)
    covariance = w[:, None] * w[None] + noise**2 * torch.eye(5)
    exact = torch.distributions.MultivariateNormal(torch.zeros(5).double(), covariance).log_prob(x)
    precision = 1 + w @ w / noise**2
    best_mean, best_deviation = (w @ x / noise**2) / precision, precision.rsqrt()

    def bound(mean, deviation):
        # E_q log N(x; w z, noise^2) in closed form, less the divergence from N(0, 1)
        expected = Normal(w * mean, noise).log_prob(x).sum()
        expected = expected - deviation**2 * (w @ w) / (2 * noise**2)
        return expected - gaussian_kl(mean, deviation, 0.0, 1.0)

    torch.testing.assert_close(bound(best_mean, best_deviation), exact)
    for shift, stretch in ((0.2, 1.0), (0.0, 2.0), (-0.5, 0.5), (1.0, 1.3)):
        assert bound(best_mean + shift, best_deviation * stretch) < exact


# --- likeness ---


def test_psnr_and_ssim_by_hand():
    real = pictures(2, 24)
    off = (real + 0.2).clamp(-5, 5)
    expected = torch.full((2,), 20 * math.log10(2 / 0.2))
    torch.testing.assert_close(psnr(off, real), expected, rtol=1e-4, atol=1e-3)
    assert torch.allclose(ssim(real, real), torch.ones(2), atol=1e-5)
    flat, other = torch.zeros(1, 3, 16, 16), torch.full((1, 3, 16, 16), 0.5)
    c1 = 0.02**2  # flat pictures have luminance alone, counted from black: 1 and 1.5
    expected = (2 * 1 * 1.5 + c1) / (1 + 1.5**2 + c1)
    assert ssim(flat, other).item() == pytest.approx(expected, rel=1e-3)
    assert structure_loss(real, real).item() == pytest.approx(0, abs=1e-5)
    assert structure_loss(real, -real) > structure_loss(real, off)
    small, other = pictures(1, 8), pictures(1, 8, seed=1)
    frames = [torch.nn.functional.pad(each, [5] * 4, value=-1) for each in (small, other)]
    assert structure_loss(small, other).item() == pytest.approx(1 - ssim(*frames).item())
    large, another = pictures(1, 24), pictures(1, 24, seed=1)  # 12 px and above fit the window
    halves = [torch.nn.functional.avg_pool2d(each, 2) for each in (large, another)]
    terms = [1 - ssim(large, another).item(), 1 - ssim(*halves).item()]
    assert structure_loss(large, another).item() == pytest.approx(sum(terms) / 2)


def test_ssim_equals_the_formula_window_by_window():
    real = pictures(1, 13, seed=4).double()
    drawn = 0.8 * real + 0.2 * pictures(1, 13, seed=5)
    bell = torch.exp(-(torch.arange(11, dtype=torch.float64) - 5).square() / (2 * 1.5**2))
    weights = bell[:, None] * bell[None]
    weights /= weights.sum()
    found = []
    for c, y, x in itertools.product(range(3), range(3), range(3)):
        a, b = (p[0, c, y : y + 11, x : x + 11] + 1 for p in (drawn, real))
        mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
        var_a = (weights * (a - mean_a) ** 2).sum()
        var_b = (weights * (b - mean_b) ** 2).sum()
        both = (weights * (a - mean_a) * (b - mean_b)).sum()
        light = (2 * mean_a * mean_b + 0.02**2) / (mean_a**2 + mean_b**2 + 0.02**2)
        found.append(light * (2 * both + 0.06**2) / (var_a + var_b + 0.06**2))
    assert ssim(drawn, real).item() == pytest.approx(torch.stack(found).mean().item(), abs=1e-6)


def test_code_use():
    assert code_use(torch.tensor([[0, 1], [2, 3]]), 4) == (1.0, pytest.approx(1.0))
    used, even = code_use(torch.tensor([0, 0, 0, 0]), 4)
    assert (used, even) == (0.25, pytest.approx(0.25))


def test_hinge_and_critic():
    assert hinge(torch.tensor([2.0]), torch.tensor([-2.0])).item() == 0
    assert hinge(torch.tensor([0.5]), torch.tensor([0.0])).item() == pytest.approx(1.5)
    critic, images = PatchCritic(4), pictures(4, 32)
    scores = critic(images)
    assert scores.shape == (4, 1, 4, 4)
    torch.testing.assert_close(critic(images[[2]]), scores[[2]], atol=1e-5, rtol=1e-4)
