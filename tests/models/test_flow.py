"""The flow family against closed forms, and that it learns."""

import dataclasses
import math

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional as F

from limner.errors import UsageError
from limner.modelfile import load_model, save_model
from limner.modelinfo import ModelInfo
from limner.models.autoencoder import Autoencoder, AutoencoderConfig, of
from limner.models.base import Batch, FusionConfig, build
from limner.models.blocks import rotary_table, rotate, time_features
from limner.models.conditioning import TextWhitening, choose_styles
from limner.models.flow import (
    FlowConfig,
    FlowModel,
    add_noise,
    sample_times,
    velocity_from_x,
)
from limner.models.layers import rms_norm
from limner.models.rows import KnownPixels, SampleRequest
from limner.models.settings import Settings
from limner.text.base import TextFeatures
from tiny_configs import tiny_autoencoder, tiny_config

STYLES = ("ink", "oil")


def tiny(**changes):
    return FlowModel(tiny_config(FlowConfig, styles=STYLES).model_copy(update=changes))


def gaussian(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# --- configuration ---


@pytest.mark.parametrize(("preset", "millions"), [("3m", 3), ("8m", 8), ("25m", 25), ("100m", 100)])
def test_presets_have_about_the_parameters_they_name(preset, millions):
    model = FlowModel(FlowConfig(preset=preset))
    count = sum(p.numel() for p in model.parameters()) / 1e6
    assert count == pytest.approx(millions, rel=0.2)


def test_a_given_dimension_wins_over_the_preset_and_survives_saving():
    config = FlowConfig(preset="25m", depth=3)
    assert (config.dim, config.depth, config.heads) == (512, 3, 8)
    assert FlowConfig.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"size": 60, "patch": 16}, "patch 16 does not divide size 60"),
        ({"latents": {"size": 32}, "size": 64}, "not that of the autoencoder, 32"),
        ({"latents": {"size": 28}, "size": 28, "patch": 2}, "latent grid"),
        ({"dim": 100, "heads": 5, "depth": 1, "patch": 8, "size": 512}, "256"),
        ({"dim": 36, "heads": 2}, "rotary"),
        ({"preset": "9m"}, "preset"),
        ({"presett": "8m"}, "presett"),
        ({"caption_drop": 1.0}, "caption_drop"),
    ],
)
def test_impossible_configurations_are_refused(values, reason):
    with pytest.raises(ValidationError, match=reason):
        FlowConfig.model_validate(values)


@pytest.mark.parametrize(
    ("size", "patch"), [(16, 4), (28, 7), (32, 8), (60, 15), (64, 16), (128, 16), (256, 16)]
)
def test_the_patch_follows_from_the_size(size, patch):
    config = FlowConfig(size=size)
    assert config.patch == patch
    assert config.canvas // patch >= 4


def test_the_canvas_of_latents():
    config = FlowConfig(size=64, latents=AutoencoderConfig(size=64, latent_channels=5))
    assert (config.canvas, config.canvas_channels, config.patch) == (8, 5, 2)
    assert FlowConfig(size=28, latents={"size": 28}).patch == 1
    assert FlowConfig.model_validate_json(config.model_dump_json()) == config


# --- the maths ---


def test_velocity_of_the_true_picture_is_picture_minus_noise():
    x, noise = gaussian(4, 3, 8, 8), gaussian(4, 3, 8, 8, seed=1)
    t = torch.tensor([0.0, 0.3, 0.7, 0.9])
    z = add_noise(x, noise, t)
    torch.testing.assert_close(z[1], 0.3 * x[1] + 0.7 * noise[1])
    rest = (1 - t).view(-1, 1, 1, 1)
    torch.testing.assert_close(velocity_from_x(x, z, rest), x - noise, rtol=1e-4, atol=1e-4)


def test_training_times_are_logit_normal():
    t = sample_times(40_000, -0.8, 0.8, torch.Generator().manual_seed(0))
    assert ((t > 0) & (t < 1)).all()
    logit = torch.logit(t.double())
    assert logit.mean().item() == pytest.approx(-0.8, abs=0.02)
    assert logit.std().item() == pytest.approx(0.8, abs=0.02)
    below_half = 0.5 * (1 + math.erf(1 / math.sqrt(2)))  # P(normal < (0 + 0.8) / 0.8)
    assert (t < 0.5).float().mean().item() == pytest.approx(below_half, abs=0.01)


def test_loss_is_the_clipped_velocity_error(make_features):
    """A fresh model predicts 0, so at x = 1/2 the loss is the mean of 1/4 over (1 - t)^2."""
    model = tiny(time_mean=3.0)
    text = make_features(64)
    images, styles = torch.full((64, 3, 16, 16), 0.5), torch.full((64,), -1)
    loss = model.losses(Batch(images, text, styles, torch.Generator().manual_seed(2)), "model")[
        "velocity"
    ]
    t = sample_times(64, 3.0, 0.8, torch.Generator().manual_seed(2))
    assert (t > 0.95).any(), "the clip is to be exercised"
    expected = (0.25 / (1 - t).clamp_min(0.05) ** 2).mean()
    torch.testing.assert_close(loss, expected)


def test_rotary_scores_depend_on_relative_position_alone():
    side, head = 4, 16
    table = rotary_table(side, 3, head).unsqueeze(1)  # (19, 1, 8)
    q, k = (gaussian(1, 1, 1, head, seed=s).expand(1, 19, 1, head) for s in (0, 1))
    turned_q, turned_k = rotate(q, table)[0, :, 0], rotate(k, table)[0, :, 0]
    scores = turned_q @ turned_k.T  # (19, 19)
    at = lambda row, column: row * side + column  # noqa: E731
    one = scores[at(0, 0), at(1, 2)]
    torch.testing.assert_close(one, scores[at(2, 1), at(3, 3)])
    assert not torch.isclose(one, scores[at(0, 0), at(2, 1)])
    torch.testing.assert_close(turned_q.norm(dim=1), q[0, :, 0].norm(dim=1))
    torch.testing.assert_close(turned_q[16:], q[0, 16:, 0])


# --- shared layers ---


def test_rotary_angles_are_the_position_times_the_rates():
    """Su et al. 2021, eq. 15: rate base^(-i / n), over the n = E/4 pairs of each axis."""
    side, head, base = 3, 16, 100.0
    table = rotary_table(side, 2, head)  # (11, 8, 2)
    for row in range(side):
        for column in range(side):
            for pair in range(8):
                angle = (row if pair < 4 else column) * base ** (-(pair % 4) / 4)
                wanted = (math.cos(angle), math.sin(angle))
                assert table[row * side + column, pair].tolist() == pytest.approx(wanted, abs=1e-6)
    assert table[9:].tolist() == [[[1.0, 0.0]] * 8] * 2


def test_time_features_are_those_of_a_thousand_times_as_much():
    """DiT's ``timestep_embedding``: cos and sin of t base^(-i / 128), there of t in 0..1000."""
    found = time_features(torch.tensor([0.0, 0.3]))
    assert found[0].tolist() == [1.0] * 128 + [0.0] * 128
    angles = [300 * 10_000 ** (-i / 128) for i in range(128)]
    wanted = torch.tensor([*map(math.cos, angles), *map(math.sin, angles)])
    torch.testing.assert_close(found[1], wanted, atol=2e-4, rtol=0)


def test_noise_has_the_configured_deviation(make_features, monkeypatch):
    """What the network sees of a black picture at t is (1 - t) times it, in losses and drawing."""
    model, seen = tiny(noise_scale=2.5), []

    def network(z, t, condition):
        seen.append(z / (1 - t).view(-1, 1, 1, 1))
        return torch.zeros_like(z)

    monkeypatch.setattr(model.network, "forward", network)
    count = 64
    batch = Batch(
        torch.zeros(count, 3, 16, 16), make_features(count), torch.full((count,), -1),
        torch.Generator().manual_seed(2),
    )  # fmt: skip
    model.losses(batch, "model")
    model._errors(batch)
    model.sample(SampleRequest(make_features(8), range(8), Settings(steps=1)))
    for noise in (seen[0], seen[1], torch.cat(seen[2:])):
        assert noise.std().item() == pytest.approx(2.5, rel=0.05)


def test_noise_of_steps_that_are_taken_again_is_new_each_time(make_features, monkeypatch):
    model, streams = tiny(), []

    def noise(seeds, shape, device=None, stream=0):
        streams.append(stream)
        return torch.zeros(len(seeds), *shape)

    request = SampleRequest(
        make_features(1), [3], Settings(steps=5),
        known=KnownPixels(torch.zeros(1, 3, 16, 16), torch.arange(256).view(1, 1, 16, 16) < 9),
    )  # fmt: skip
    rows = model.begin(request)
    monkeypatch.setattr("limner.models.flow.image_noise", noise)
    while not bool(rows.finished.all()):
        rows = model.advance(rows)
    assert len(streams) == 3 == len(set(streams)), streams


def test_rms_norm_and_its_gradient():
    x = gaussian(3, 4, 8)
    torch.testing.assert_close(rms_norm(x), F.rms_norm(x, (8,), eps=1e-6))
    torch.testing.assert_close(rms_norm(torch.zeros(2, 8)), torch.zeros(2, 8))
    double = gaussian(2, 3, 5, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(rms_norm, double)


def crowded(count=4000, dim=12):
    mix = gaussian(dim, dim, seed=1) * torch.logspace(0, -1, dim)
    return gaussian(count, dim) @ mix + 5


def test_whitening_makes_the_covariance_the_identity():
    x = crowded()
    whitening = TextWhitening(12)
    assert torch.equal(whitening(x), x), "identity before the fit"
    whitening.fit(x, floor=0.0)
    out = whitening(x).double()
    torch.testing.assert_close(
        torch.cov(out.T, correction=0), torch.eye(12, dtype=torch.float64), rtol=0, atol=2e-3
    )
    assert out.mean(0).abs().max() < 1e-3


def test_whitening_is_in_float32_also_under_autocast():
    whitening, x = TextWhitening(12), 1 + gaussian(50, 12)
    whitening.fit(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (x @ x.T).dtype == torch.bfloat16
        found = whitening(x)
    assert torch.equal(found, whitening(x))


def test_whitening_floor_and_fewer_dimensions():
    x = crowded()
    whitening = TextWhitening(12, 7)
    whitening.fit(x, floor=0.3)
    out = whitening(x).double()
    covariance = torch.cov(out.T, correction=0)
    variances = covariance.diagonal()
    assert out.shape == (4000, 7)
    assert variances.mean().item() == pytest.approx(1, abs=1e-3)
    assert (covariance - variances.diag()).abs().max() < 1e-3
    values = torch.linalg.eigvalsh(torch.cov(x.double().T, correction=0)).flip(0)[:7]
    expected = values / values.clamp_min(0.3 * values[0])
    torch.testing.assert_close(variances / variances[0], expected, rtol=1e-3, atol=1e-3)


def test_whitening_keeps_masked_tokens_zero_and_bears_a_single_caption():
    x = crowded(6)
    whitening = TextWhitening(12)
    whitening.fit(x)
    mask = torch.tensor([[True, True, False], [True, False, False]])
    out = whitening(x.view(2, 3, 12), mask)
    assert not out[~mask].any()
    assert torch.equal(out[mask], whitening(x.view(2, 3, 12))[mask])
    whitening.fit(x[:1].expand(3, 12))
    assert whitening(x[:1]).abs().max() < 1e-6
    assert torch.isfinite(whitening(x)).all()


@pytest.mark.parametrize(
    "bad", [torch.zeros(0, 12), torch.zeros(3, 11), torch.full((3, 12), torch.nan)]
)
def test_whitening_refuses_what_it_cannot_fit(bad):
    with pytest.raises(UsageError):
        TextWhitening(12).fit(bad)
    with pytest.raises(UsageError, match=r"1\.\.12"):
        TextWhitening(12, 13)


def test_the_seed_chooses_among_the_styles_evenly():
    seeds = list(range(3000))
    names = ("ink", "oil", "pen")

    def choose(seeds, given=None, names=names):
        asked = [Settings(style=each) for each in given or [None] * len(seeds)]
        text = TextFeatures(torch.ones(len(seeds), 1, 4), torch.ones(len(seeds), 1) > 0,
                            torch.ones(len(seeds), 4))  # fmt: skip
        return choose_styles(SampleRequest(text, seeds, asked), names)

    chosen = choose(seeds)
    counts = torch.bincount(chosen, minlength=3)
    assert counts.shape == (3,)
    assert (counts - 1000).abs().max() < 4 * math.sqrt(3000 * 2 / 9)
    assert torch.equal(choose(seeds[5:8]), chosen[5:8])
    assert choose([7, 8, 9], ["pen", None, "ink"]).tolist() == [2, chosen[8].item(), 0]
    assert choose([7, 8, 9], names=()).tolist() == [-1, -1, -1]


# --- the network ---


def test_a_fresh_model_predicts_grey_whatever_the_text(make_features):
    model = tiny()
    z, t = gaussian(2, 3, 16, 16), torch.tensor([0.2, 0.8])
    for seed in (1, 2):
        condition = model.embed(make_features(2, seed=seed), torch.tensor([0, -1]))
        assert not model.network(z, t, condition).any()


def test_what_a_prediction_depends_on(make_features, stir):
    model = stir(tiny())
    z, t, styles = gaussian(2, 3, 16, 16), torch.tensor([0.2, 0.8]), torch.tensor([0, 1])
    text = make_features(2)
    predict = lambda text, styles, drop=None: model.network(  # noqa: E731
        z, t, model.embed(text, styles, drop)
    )
    base = predict(text, styles)
    noisy = dataclasses.replace(text, tokens=torch.where(text.mask[..., None], text.tokens, 99.0))
    torch.testing.assert_close(predict(noisy, styles), base, msg="masked tokens leak")
    torch.testing.assert_close(predict(text.padded(6), styles), base, msg="padding leaks")
    swapped = dataclasses.replace(text, tokens=text.tokens.flip(0), mask=text.mask.flip(0))
    assert (predict(swapped, styles) - base).abs().min(0).values.max() > 1e-3, "tokens are ignored"
    assert not torch.allclose(predict(dataclasses.replace(text, pooled=-text.pooled), styles), base)
    assert not torch.allclose(predict(text, styles.flip(0)), base)
    drop = torch.tensor([True, False])
    dropped, other = (predict(make_features(2, seed=s), styles, drop) for s in (1, 2))
    torch.testing.assert_close(dropped[0], other[0], msg="the null condition knows the caption")
    assert not torch.allclose(dropped[1], other[1])


def test_order_of_words_matters(make_features, stir):
    model = stir(tiny())
    text = make_features(1)
    text = dataclasses.replace(text, tokens=gaussian(1, 5, 16), mask=torch.ones(1, 5).bool())
    turned = dataclasses.replace(text, tokens=text.tokens.flip(1))
    z, t, styles = gaussian(1, 3, 16, 16), torch.tensor([0.5]), torch.tensor([0])
    one, two = (model.network(z, t, model.embed(x, styles)) for x in (text, turned))
    assert not torch.allclose(one, two, atol=1e-4)


# --- drawing ---


def test_options_of_a_request_do_something(make_features, stir):
    model = stir(tiny())
    text, other = make_features(1), make_features(1, seed=8)

    def draw(negative=None, **options):
        settings = Settings(**{"style": STYLES[0], **options})
        return model.sample(SampleRequest(text, [3], settings, negative))

    drawn = {
        "base": draw(),
        "steps": draw(steps=5),
        "guidance": draw(guidance=1.5),
        "none": draw(guidance=1.0),
        "negative": draw(other),
        "style": draw(style=STYLES[1]),
    }
    assert len({picture.numpy().tobytes() for picture in drawn.values()}) == len(drawn)
    base = SampleRequest(text, [3], Settings(style=STYLES[0]))
    assert any(torch.equal(draw(style=None), draw(style=name)) for name in STYLES)
    unguided = tiny(guidance_interval=(2, 3))
    unguided.load_state_dict(model.state_dict())
    assert torch.equal(unguided.sample(base), drawn["none"])


def test_a_flow_of_grey_pictures_works_on_one_channel(make_features, make_batch, stir):
    model = stir(tiny(channels=1))
    drawn = model.sample(SampleRequest(make_features(2), [3, 4]))
    assert drawn.shape == (2, 3, 16, 16) and drawn.std(1).max() == 0 and drawn.std() > 0
    batch = make_batch(model)
    with pytest.raises(UsageError, match="in colour"):
        model.losses(batch, "model")
    grey = batch.images.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    loss = model.losses(dataclasses.replace(batch, images=grey), "model")["velocity"]
    assert loss.isfinite() and model.network.embed.in_features == 8 * 8


def test_learns_four_pictures_by_their_words(make_features):
    model = tiny(caption_drop=0.1, steps=8, guidance=1.0)
    text = make_features(4)
    model.prepare(text)
    colours = torch.tensor([[1, -1, -1], [-1, 1, -1], [-1, -1, 1], [1, 1, 0.0]])
    images = (colours.view(4, 3, 1, 1) * torch.linspace(0.3, 1, 16)).expand(4, 3, 16, 16)
    rows = torch.arange(16) % 4
    unknown = torch.full((16,), -1)
    batch = Batch(images[rows], text[rows], unknown, torch.Generator().manual_seed(0))

    def score():
        fixed = dataclasses.replace(batch, generator=torch.Generator().manual_seed(99))
        with torch.no_grad():
            return sum(model.losses(fixed, "model")["velocity"].item() for _ in range(8)) / 8

    before = score()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(150):
        optimizer.zero_grad()
        model.losses(batch, "model")["velocity"].backward()
        optimizer.step()
    assert score() < before / 4
    request = SampleRequest(text, [1, 2, 3, 4])
    drawn = model.eval().sample(request)
    distance = (drawn[:, None] - images[None]).square().mean((2, 3, 4))  # (4, 4)
    assert distance.argmin(1).tolist() == [0, 1, 2, 3]
    assert distance.diagonal().max() < 0.05
    euler = tiny(sampler="euler", steps=64, guidance=1.0)
    euler.load_state_dict(model.state_dict())
    assert (euler.sample(request) - drawn).abs().mean() < 0.1


# --- in latents ---


def latent_flow(bottleneck="kl", **changes):
    latents = tiny_autoencoder(bottleneck)
    config = tiny_config(FlowConfig, styles=STYLES).model_dump(exclude={"patch"})
    return build("flow", {**config, "latents": latents.model_dump(), **changes})


@pytest.mark.parametrize("bottleneck", ["kl", "fsq"])
def test_a_latent_flow_learns_travels_and_draws_as_one_file(
    bottleneck, make_batch, make_features, tmp_path
):
    model = latent_flow(bottleneck)
    frozen = {n: p.clone() for n, p in model.autoencoder.state_dict().items()}
    model.prepare(make_features(64))
    optimizer = torch.optim.AdamW(model.optimizer_groups["model"].parameters, lr=1e-2)
    batch = dataclasses.replace(make_batch(model), indices=torch.arange(8))
    model.prepare_pictures(batch.images)
    found = []
    for step in range(30):
        fixed = dataclasses.replace(batch, generator=torch.Generator().manual_seed(step % 3))
        loss = model.losses(fixed, "model")["velocity"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    assert sum(found[-3:]) < 0.7 * sum(found[:3])
    for name, weight in model.autoencoder.state_dict().items():
        assert torch.equal(weight, frozen[name]), "the autoencoder is to rest"
    model.eval()
    request = SampleRequest(make_features(2), [1, 2])
    drawn = model.sample(request)
    assert drawn.shape == (2, 3, 16, 16)
    info = ModelInfo(
        family="flow", config=model.config.model_dump(mode="json"), encoder="e5-small",
        encoder_fingerprint="0" * 16,
    )  # fmt: skip
    save_model(tmp_path / "m.safetensors", model, info)
    assert torch.equal(load_model(tmp_path / "m.safetensors")[0].sample(request), drawn)
    alone = SampleRequest(request.text[[1]], [2])
    assert torch.equal(model.sample(alone)[0], drawn[1])


def test_the_canvas_has_unit_deviation_and_comes_back(make_batch):
    model = latent_flow()
    batch = make_batch(model, count=64)
    model.prepare_pictures(batch.images)
    canvas = model._canvas(batch)
    torch.testing.assert_close(canvas.mean((0, 2, 3)), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(canvas.std((0, 2, 3)), torch.ones(4), atol=1e-3, rtol=0)
    auto = of(model)
    again = auto.decode(auto.encode(batch.images))
    torch.testing.assert_close(model._picture(canvas), again, atol=1e-4, rtol=1e-4)


def test_weights_of_a_trained_autoencoder_fit():
    trained, model = Autoencoder(tiny_autoencoder()), latent_flow()
    model.autoencoder.load_state_dict(trained.state_dict())
    images = gaussian(2, 3, 16, 16).clamp(-1, 1)
    assert torch.equal(of(model).encode(images), trained.encode(images))
    own = [id(p) for p in model.optimizer_groups["model"].parameters]
    assert not {id(p) for p in model.autoencoder.parameters()} & set(own)


def test_a_picture_beside_the_words_changes_what_is_drawn(make_features, stir):
    from limner.vision.base import ImageFeatures

    for kind in ("concat", "cross", "joint"):
        fusion = FusionConfig(kind=kind, image_dim=6, max_tokens=3, depth=1, heads=2)
        model = stir(tiny(fusion=fusion))
        base = SampleRequest(make_features(2), [1, 2])
        seen = ImageFeatures(gaussian(2, 3, 6), gaussian(2, 6, seed=1))
        with_picture = model.sample(dataclasses.replace(base, picture=seen))
        assert not torch.equal(with_picture, model.sample(base)), kind
        alone = SampleRequest(base.text[[1]], [2], picture=seen[[1]])
        assert torch.equal(model.sample(alone)[0], with_picture[1]), kind


def test_rotations_compile_without_complex_numbers():
    """What torch.compile is given has no complex numbers, which it cannot fuse."""
    table = rotary_table(2, 3, 8).unsqueeze(1)
    x = torch.randn(2, 7, 3, 8)
    seen: list[torch.dtype] = []

    def backend(graph, inputs):
        for node in graph.graph.nodes:
            value = node.meta.get("example_value")
            seen.extend([value.dtype] if isinstance(value, torch.Tensor) else [])
        return graph.forward

    found = torch.compile(rotate, backend=backend)(x, table)
    assert seen and not any(dtype.is_complex for dtype in seen)
    torch.testing.assert_close(found, rotate(x, table), rtol=0, atol=1e-6)
    cos, sin = table.double().unbind(-1)
    one, other = x[..., ::2], x[..., 1::2]
    turned = torch.stack((one * cos - other * sin, other * cos + one * sin), -1).flatten(-2)
    torch.testing.assert_close(found.double(), turned, rtol=0, atol=1e-6)
