"""The GAN family: closed forms, penalties against autograd, sizes, truncation, no collapse."""

import math
from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional as F

from limner.errors import DataError, UsageError
from limner.metrics.collapse import collapse
from limner.modelfile import load_model, save_model
from limner.modelinfo import ModelInfo
from limner.models.base import Batch
from limner.models.gan import GAN, GANConfig
from limner.models.gan_bodies import Conv, ConvBlock, ConvGeometry, Resample, conv2d, leaky
from limner.models.gan_losses import (
    coarse_distance,
    diversity_loss,
    gradient_penalty,
    mismatches,
    relativistic,
    update_spread,
)
from limner.models.rows import SampleRequest
from limner.models.settings import Settings
from limner.text.base import TextFeatures
from tiny_configs import tiny_config

GPT2 = {"layers": 2, "width": 16, "heads": 2, "patch": 4, "prefix": 2}


def small(**changed) -> GAN:
    return GAN(tiny_config(GANConfig, text_dim=16, **changed))


# -- losses -----------------------------------------------------------------------------------


def test_relativistic_loss_at_known_scores():
    zero = torch.zeros(3)
    assert relativistic(zero, zero).item() == pytest.approx(math.log(2))
    better, worse = torch.tensor([1.0, -2.0]), torch.tensor([0.0, 1.0])
    by_hand = (math.log1p(math.exp(-1)) + math.log1p(math.exp(3))) / 2
    assert relativistic(better, worse).item() == pytest.approx(by_hand)


def test_penalty_of_a_linear_critic_is_the_square_of_its_weights():
    w = torch.randn(3, 4, 4)
    x = torch.randn(5, 3, 4, 4, requires_grad=True)
    penalty = gradient_penalty(x, (x * w).sum((1, 2, 3)))
    assert torch.allclose(penalty, w.square().sum().expand(5))


def test_penalties_against_autograd_one_picture_at_a_time():
    """R1 and R2 and their gradients, from PyTorch's own convolutions and their own derivatives."""
    model = small(critic_widths=(8, 12), group=4).double()
    for parameter in model.critic.parameters():  # the last convolutions start at zero
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    x, direction = torch.randn(4, 3, 16, 16).double().requires_grad_(), torch.randn(4, 8).double()
    scores = (model.critic.features(x) * direction).sum(1)
    penalty = gradient_penalty(x, scores)
    penalty.sum().backward()
    mine = {n: p.grad.clone() for n, p in model.critic.named_parameters() if p.grad is not None}

    twin = small(critic_widths=(8, 12), group=4).double()
    twin.load_state_dict(model.state_dict())

    def plain(images):
        c = twin.critic
        h = F.conv2d(F.pixel_unshuffle(images, 2), c.inp.weight, padding=1)
        for layer in c.layers:
            if isinstance(layer, Resample):
                kernel = layer.kernel.double().expand(h.shape[1], 1, 4, 4)
                h = F.conv2d(h, kernel, stride=2, padding=1, groups=h.shape[1])
                h = F.conv2d(h, layer.project.weight)
                continue
            y = F.leaky_relu(F.conv2d(h, layer.widen.weight, layer.widen.bias), 0.2)
            groups = layer.mix.shape.groups
            y = F.conv2d(y, layer.mix.weight, layer.mix.bias, padding=1, groups=groups)
            h = h + F.conv2d(F.leaky_relu(y, 0.2), layer.narrow.weight)
        return c.head((h * c.basis).sum((2, 3)))

    total = torch.zeros((), dtype=torch.float64)
    for i in range(4):
        one = x.detach()[i : i + 1].requires_grad_()
        (slope,) = torch.autograd.grad((plain(one) * direction[i]).sum(), one, create_graph=True)
        assert torch.allclose(slope.square().sum(), penalty[i])
        total = total + slope.square().sum()
    total.backward()
    for name, parameter in twin.critic.named_parameters():
        if parameter.grad is not None and parameter.grad.any():
            assert torch.allclose(mine[name], parameter.grad), name
    assert len(mine) >= 8


@pytest.mark.parametrize(
    "shape", [ConvGeometry(1, 1, 2), ConvGeometry(2, 1, 4), ConvGeometry(1, 0, 1)]
)
def test_convolution_has_the_right_gradients_of_both_orders(shape):
    kernel = {0: 1, 1: 3}[shape.pad] + (shape.stride - 1)
    x = torch.randn(2, 4, 6, 6).double().requires_grad_()
    w = torch.randn(4, 4 // shape.groups, kernel, kernel).double().requires_grad_()
    b = torch.randn(4).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda *v: conv2d(*v, shape), (x, w, b))
    # of second order only what a penalty needs: the input's gradient, by all
    (mine,) = torch.autograd.grad(conv2d(x, w, b, shape).sin().sum(), x, create_graph=True)
    plain = F.conv2d(x, w, b, shape.stride, shape.pad, groups=shape.groups).sin().sum()
    (theirs,) = torch.autograd.grad(plain, x, create_graph=True)
    assert torch.allclose(mine, theirs)
    first = torch.autograd.grad(mine.square().sum(), (x, w, b))
    second = torch.autograd.grad(theirs.square().sum(), (x, w, b))
    assert all(torch.allclose(a, c) for a, c in zip(first, second, strict=True))


def test_leaky_has_the_right_gradients_of_both_orders():
    x = (torch.randn(20).double() + 0.3).requires_grad_()
    assert torch.equal(leaky(x), F.leaky_relu(x, 0.2))
    assert torch.autograd.gradcheck(leaky, (x,))
    assert torch.autograd.gradgradcheck(leaky, (x,))


def test_generator_wants_the_reverse_of_what_the_discriminator_wants(make_batch):
    model = small(augment="none", text_noise=0.0)
    for parameter in model.critic.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    batch = make_batch(model)
    critic = model.losses(batch, "discriminator")
    model.eval()
    with torch.no_grad():
        batch.generator.manual_seed(1)
        condition = model.reader(batch.text, batch.styles, batch.generator)
        drawn = model._drawn(condition, batch)
        direction = model._direction(batch)
        real = (model.critic.features(batch.images) * direction).sum(1)
        fake = (model.critic.features(drawn) * direction).sum(1)
    assert critic["critic"].item() == pytest.approx(F.softplus(fake - real).mean().item(), rel=1e-4)
    batch.generator.manual_seed(1)
    fool = model.losses(batch, "generator")["fool"].item()
    assert fool == pytest.approx(F.softplus(real - fake).mean().item(), rel=1e-4)


def test_penalty_loss_follows_the_schedule(make_batch):
    model = small(gamma=(4.0, 1.0), augment="none")
    start, end = (
        model.losses(make_batch(model, progress=p), "discriminator")["penalty"] for p in (0.0, 1.0)
    )
    assert start.item() == pytest.approx(4 * end.item(), rel=1e-5)
    assert start.item() > 0


def test_penalty_loss_is_half_of_gamma_times_both_penalties(make_batch, monkeypatch):
    """R3GAN, algorithm 1: gamma / 2 (R1 + R2), each a mean over its pictures."""
    model = small(gamma=(4.0, 4.0), augment="none")
    weights = torch.randn(3, 16, 16)
    monkeypatch.setattr(
        model.critic, "features", lambda x: (x * weights).sum((1, 2, 3))[:, None].expand(-1, 8)
    )
    monkeypatch.setattr(model, "_direction", lambda batch: torch.full((8, 8), 1 / 8))
    found = model.losses(make_batch(model), "discriminator")["penalty"].item()
    each = weights.square().sum().item()  # |grad D|^2 of a linear critic
    assert found == pytest.approx(4 / 2 * (each + each), rel=1e-4)


def test_mismatch_wants_the_own_caption_above_another(make_batch, monkeypatch):
    """Mean of softplus(-(D(x, c) - D(x, c'))) over the rows that have another caption."""
    model = small()
    batch = make_batch(model, count=4)
    features, direction = torch.randn(4, 8), torch.randn(4, 8)
    others, known = torch.tensor([1, 2, 3, 0]), torch.tensor([True, True, False, True])
    monkeypatch.setattr("limner.models.gan.mismatches", lambda *_: (others, known))
    own = (features * direction).sum(1)
    swapped = (features * direction[others]).sum(1)
    wanted = F.softplus(-(own - swapped))[known].mean()
    torch.testing.assert_close(model._mismatch(batch, features, direction), wanted)


def test_a_rare_penalty_is_as_much_stronger(make_batch):
    always, rare = small(augment="none"), small(augment="none", penalty_every=4)
    rare.load_state_dict(always.state_dict())
    found = []
    for seed in range(200):
        batches = [make_batch(model) for model in (always, rare)]
        for batch in batches:
            batch.generator.manual_seed(seed)
        full, lazy = (
            m.losses(b, "discriminator") for m, b in zip((always, rare), batches, strict=True)
        )
        assert lazy["critic"].item() == full["critic"].item()
        if "penalty" in lazy:
            found.append(lazy["penalty"].item() / full["penalty"].item())
    assert found == pytest.approx([4.0] * len(found))
    assert 30 <= len(found) <= 70  # of 200 at one in four: five deviations


def test_the_discriminator_may_see_in_other_patches(make_batch):
    model = small(patch=1, critic_patch=2, size=16, widths=(8, 8, 8), critic_widths=(8, 8))
    assert model.config.coarsest == model.config.critic_coarsest == 4
    assert model.critic.inp.weight.shape[1] == 12 and model.generator.detail.weight.shape[0] == 3
    assert all(v.isfinite() for v in model.losses(make_batch(model), "discriminator").values())
    filled = GANConfig.model_validate({"size": 28, "patch": 1, "text_dim": 8})
    assert filled.critic_patch == 1 and filled.critic_widths == filled.widths
    with pytest.raises(ValidationError, match="at patch 3 need"):
        GANConfig.model_validate({"size": 28, "critic_patch": 3, "critic_widths": [8, 8]})


# -- variety ----------------------------------------------------------------------------------


def test_spread_is_the_distance_of_real_pictures_that_say_the_same():
    images = torch.tensor([0.0, 0.4, -1.0, 1.0]).view(4, 1, 1, 1).expand(4, 3, 8, 8).clone()
    pooled = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [-1.0, 1.0]])  # the first two
    style = torch.zeros(4, dtype=torch.int64)
    spread = torch.zeros(2)
    update_spread(spread, images, pooled, torch.arange(4))  # no two of one style
    assert spread.tolist() == [0, 0]
    update_spread(spread, images, pooled, style)
    assert spread.tolist() == pytest.approx([0.4, 0.0])  # one colour has no shape
    update_spread(spread, images, pooled[[0, 2, 3, 1]], style)  # now the first and the last: 1.0
    assert spread.tolist() == pytest.approx([0.4 + 0.02 * 0.6, 0.0])


def test_apart_sees_shapes_apart_from_brightness_and_no_fine_noise():
    left = torch.zeros(1, 3, 8, 8)
    left[..., :4] = 1
    lighter, turned = 0.5 * left + 0.3, left.flip(-1)
    assert coarse_distance(left, left).tolist() == [[0, 0]]
    assert coarse_distance(left, lighter)[0].tolist() == pytest.approx([0.25, 0.0], abs=1e-3)
    assert coarse_distance(left, turned)[0].tolist() == pytest.approx([1.0, 2.0], abs=1e-3)
    noise = torch.ones(8, 8)
    noise[:, ::2] = -1
    assert coarse_distance(left, left + noise).abs().max() < 1e-6


def test_sameness_is_the_share_of_the_real_distance_that_is_missing():
    one = torch.zeros(2, 3, 8, 8)
    one[..., :4] = 0.4
    other = one + 0.1
    assert diversity_loss(one, one, torch.tensor([0.4, 1.0])).item() == 1
    assert diversity_loss(one, other, torch.tensor([0.4, 0.0])).item() == pytest.approx(0.75 / 2)
    assert diversity_loss(one, other, torch.tensor([0.05, 0.0])).item() == 0
    assert diversity_loss(one, one.flip(-1), torch.tensor([0.4, 2.0])).item() < 0.01
    assert diversity_loss(one, one, torch.zeros(2)).item() == 0


# -- mismatched captions ----------------------------------------------------------------------


def test_mismatches_exclude_duplicates_synonyms_and_themselves():
    vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.99, 0.05], [0.0, 1.0], [-1.0, 0.0]])
    captions = ["cat", "dog", "kitty", "hound", "cat"]  # the last has the first one's words
    for seed in range(20):
        rows, known = mismatches(vectors, captions, torch.Generator().manual_seed(seed), 0.5)
        assert known.all()
        for i, j in enumerate(rows.tolist()):
            assert i != j
            assert captions[i] != captions[j]
            assert F.cosine_similarity(vectors[i], vectors[j], dim=0) < 0.5
    found = {
        tuple(mismatches(vectors, captions, torch.Generator().manual_seed(s), 0.5)[0].tolist())
        for s in range(20)
    }
    assert len(found) > 1, "always the same mismatch"


def test_a_batch_of_one_meaning_has_no_mismatch(make_batch):
    rows, known = mismatches(torch.ones(4, 3), [], torch.Generator(), 0.5)
    assert not known.any()
    assert rows.tolist() != []
    model = small()
    batch = make_batch(model)
    text = batch.text[[0] * len(batch.text)]
    losses = model.losses(replace(batch, text=text), "discriminator")
    assert losses["mismatch"].item() == 0
    assert torch.isfinite(sum(losses.values()))
    alone = mismatches(torch.ones(1, 3), ["cat"], torch.Generator(), 0.5)
    assert not alone[1].any()


# -- networks ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [28, 32, 64, 128, 256])
def test_every_size_builds_and_learns_a_step(size, make_features):
    full = GANConfig(size=size, text_dim=16)
    shape = tiny_config(
        GANConfig,
        text_dim=16,
        size=size,
        widths=[8] * len(full.widths),
        critic_widths=[8] * len(full.widths),
    )
    model = GAN(shape)
    batch = Batch(
        images=torch.rand(2, 3, size, size) * 2 - 1,
        text=make_features(2),
        styles=torch.full((2,), -1),
        generator=torch.Generator().manual_seed(0),
        progress=0.9,
    )
    for player in model.optimizer_groups:
        sum(model.losses(batch, player).values()).backward()
    picture = model.eval().sample(SampleRequest(make_features(1), [0]))
    assert picture.shape == (1, 3, size, size)


def test_a_fresh_block_changes_nothing_and_resampling_keeps_a_constant():
    x = torch.randn(1, 8, 6, 6)
    assert torch.equal(ConvBlock(8, 2, 16, 4)(x), x)
    for up in (True, False):
        layer = Resample(8, 8, up=up)
        layer.project.weight.data.copy_(torch.eye(8)[:, :, None, None])
        y = layer(torch.ones(1, 8, 8, 8))
        assert y.shape[-1] == (16 if up else 4)
        assert torch.allclose(y[..., 1:-1, 1:-1], torch.ones(()))


def test_a_code_scales_and_shifts_what_a_block_has_widened():
    """x + N(act(M(act(y (1 + scale) + shift)))), y the widened x: adaptive normalisation's form."""
    block, x, code = ConvBlock(8, 2, 16, 4, code=5), torch.randn(3, 8, 6, 6), torch.randn(3, 5)
    torch.nn.init.normal_(block.narrow.weight)
    scale, shift = block.modulation(code)[:, :, None, None].chunk(2, 1)
    inner = block.mix(leaky(block.widen(x) * (1 + scale) + shift))
    torch.testing.assert_close(block(x, code), x + block.narrow(leaky(inner)))
    assert not torch.allclose(block(x, code), block(x, 2 * code), atol=1e-3)


def test_the_projection_of_a_condition_is_over_the_root_of_its_width(make_batch):
    model, batch = small(), make_batch(small())
    condition = model.critic_reader(batch.text, batch.styles)
    found = model.critic.project(condition)
    wanted = F.linear(condition, model.critic.embed.weight, model.critic.embed.bias)
    torch.testing.assert_close(found, wanted / model.config.embed_dim**0.5)


def test_blocks_keep_the_scale_of_what_goes_in():
    conv = Conv(64, 256, 1)
    y = conv(torch.randn(4, 64, 8, 8))
    assert y.std().item() == pytest.approx(1.0, rel=0.1)


def test_wrong_shapes_are_explained():
    with pytest.raises(ValidationError, match="leave the widths out"):
        GANConfig(size=28, widths=(8, 8, 8, 8))
    with pytest.raises(ValidationError, match=r"not a multiple of gpt2\.heads"):
        GANConfig(size=28, body="gpt2", gpt2={**GPT2, "heads": 3})
    with pytest.raises(ValidationError, match="does not divide"):
        GANConfig(size=28, body="gpt2", gpt2={**GPT2, "patch": 5})
    with pytest.raises(ValidationError, match="text_rank"):
        GANConfig(text_dim=4, text_rank=8)


def test_growing_keeps_every_weight(make_features):
    model = small(widths=(8, 8), critic_widths=(8, 8))
    bigger = model.grown(32)
    assert bigger.config.size == 32
    mine, theirs = model.state_dict(), bigger.state_dict()
    assert all(torch.equal(v, theirs[n]) for n, v in mine.items() if "basis" not in n)
    assert bigger.generator.basis.shape[-1] == 2 * model.generator.basis.shape[-1]
    # a picture twice as large has about the same features
    model.critic.basis.data.fill_(0.25)
    bigger = model.grown(32)
    x = torch.ones(1, 3, 16, 16)
    one = model.critic.features(x)
    other = bigger.critic.features(x.repeat(1, 1, 2, 2))
    assert F.cosine_similarity(one, other) > 0.9
    assert other.norm().item() == pytest.approx(one.norm().item(), rel=0.4)


# -- drawing ----------------------------------------------------------------------------------


def test_truncation_pulls_towards_the_mean_of_the_text(make_features, stir):
    model = stir(small())
    text = make_features(1)[[0] * 32]
    seeds = list(range(32))

    def draw(truncation):
        return model.sample(SampleRequest(text, seeds, Settings(truncation=truncation)))

    whole = draw(None)
    assert torch.equal(draw(1.0), whole)
    spread = [draw(t).var(0).mean().item() for t in (1.0, 0.5, 0.01)]
    assert spread[0] > spread[1] > spread[2]
    assert spread[2] < 0.01 * spread[0]


# -- augmentation -----------------------------------------------------------------------------


def test_adaptive_augmentation_keeps_its_state_in_the_file(make_batch, tmp_path):
    model = small(augment="adaptive", augment_target=-1.0, augment_speed=80.0, augment_chance=1.0)
    assert model.chance.item() == 0
    model.losses(make_batch(model, count=8), "discriminator")
    assert model.chance.item() == pytest.approx(0.1)
    model.losses(make_batch(model, count=8), "generator")
    assert model.chance.item() == pytest.approx(0.1)
    info = ModelInfo(
        family="gan", config=model.config.model_dump(mode="json"),
        encoder="e5-small", encoder_fingerprint="0" * 16,
    )  # fmt: skip
    save_model(tmp_path / "m.safetensors", model, info)
    assert load_model(tmp_path / "m.safetensors")[0].chance.item() == pytest.approx(0.1)


# -- a GPT-2 that draws -----------------------------------------------------------------------


def test_gpt2_body_learns_and_draws_the_same_alone_and_in_a_batch(make_batch, make_features, stir):
    model = small(body="gpt2", gpt2=GPT2)
    batch = make_batch(model)
    for player in model.optimizer_groups:
        sum(model.losses(batch, player).values()).backward()
    model.zero_grad()
    stir(model)
    sum(model.losses(batch, "generator").values()).backward()
    still = [n for n, p in model.generator.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []
    text = make_features(3)
    whole = model.sample(SampleRequest(text, [1, 2, 3]))
    assert torch.equal(model.sample(SampleRequest(text[[1]], [2]))[0], whole[1])


def test_gpt2_body_starts_from_a_gpt2(make_features, tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(
        vocab_size=11,
        n_positions=64,
        n_embd=16,
        n_layer=3,
        n_head=2,
        bos_token_id=0,
        eos_token_id=0,
    )
    donor = transformers.GPT2Model(config)
    donor.save_pretrained(tmp_path / "gpt2")
    model = small(body="gpt2", gpt2={**GPT2, "weights": str(tmp_path / "gpt2")})
    model.prepare(make_features(20))
    mine, theirs = model.generator.transformer.state_dict(), donor.state_dict()
    assert torch.equal(mine["h.1.attn.c_attn.weight"], theirs["h.1.attn.c_attn.weight"])
    assert torch.equal(mine["wpe.weight"], theirs["wpe.weight"][: len(mine["wpe.weight"])])
    # upstream's forward from the same vectors: positions, blocks and last norm are its own
    vectors = torch.randn(1, 5, 16)
    donor.h = donor.h[:2]
    out = model.generator.transformer(inputs_embeds=vectors).last_hidden_state
    donor.config.n_layer = 2
    assert torch.allclose(out, donor.eval()(inputs_embeds=vectors).last_hidden_state, atol=1e-5)

    wide = small(body="gpt2", gpt2={**GPT2, "width": 32, "weights": str(tmp_path / "gpt2")})
    with pytest.raises(UsageError, match=r"does not fit.*here: 16, 2, at most 3"):
        wide.prepare(make_features(20))
    nowhere = small(body="gpt2", gpt2={**GPT2, "weights": str(tmp_path / "none")})
    with pytest.raises(DataError, match="cannot be loaded"):
        nowhere.prepare(make_features(20))


# -- no collapse ------------------------------------------------------------------------------


def two_greys(seed: int, count: int) -> torch.Tensor:
    """One-coloured pictures, half of them about -0.6 and half about 0.6."""
    g = torch.Generator().manual_seed(seed)
    sign = torch.randint(0, 2, (count, 1, 1, 1), generator=g) * 2.0 - 1
    grey = 0.6 * sign + 0.15 * torch.randn(count, 1, 1, 1, generator=g)
    return grey.expand(-1, 3, 16, 16).contiguous()


def test_both_modes_of_a_caption_are_kept():
    """One caption, pictures dark or light: after 100 steps both are drawn."""
    torch.manual_seed(0)
    model = small(
        noise_dim=8,
        code_dim=32,
        widths=(16, 16),
        critic_widths=(16, 16),
        augment="none",
        gamma=(1.0, 0.1),
    )
    text = TextFeatures(
        torch.ones(16, 1, 16), torch.ones(16, 1, dtype=torch.bool), torch.ones(16, 16)
    )
    players = model.optimizer_groups
    optimizers = {
        n: torch.optim.AdamW(p.parameters, lr=3e-3, betas=(0.0, 0.99)) for n, p in players.items()
    }
    for step in range(100):
        generator = torch.Generator().manual_seed(step)
        batch = Batch(two_greys(step, 16), text, torch.full((16,), -1), generator, step / 100)
        for name, player in players.items():
            for other in players.values():
                for parameter in other.parameters:
                    parameter.grad = None
                    parameter.requires_grad_(other is player)
            sum(model.losses(batch, name).values()).backward()
            optimizers[name].step()
    drawn = model.eval().sample(SampleRequest(text[[0] * 64], list(range(64))))
    greys = drawn.mean((1, 2, 3), keepdim=True).expand(-1, 3, 16, 16)
    real = two_greys(1000, 128)
    bright, dark = (real[s * real.mean((1, 2, 3)) > 0] for s in (1, -1))
    for mode, other in ((bright, -1), (dark, 1)):
        kept = collapse(mode, greys)
        assert kept["coverage"] > 0.3
        assert kept["duplicates"] < 0.5
        lost = collapse(mode, greys[other * greys.mean((1, 2, 3)) > 0])
        assert lost["coverage"] < 0.1  # the measure sees what the model did not do


def test_match_is_learnt_only_where_it_is_asked_for(make_batch):
    assert "match" not in small().losses(make_batch(small()), "generator")
    model = small(match=True)
    losses = model.losses(make_batch(model), "generator")
    assert losses.keys() == {"fool", "variety", "match"}
    assert losses["match"].item() > 0
