"""A prior of exemplars draws what it has kept, chosen by text, style and seed."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from pydantic import ValidationError

from limner.errors import UsageError
from limner.modelfile import load_model, save_model
from limner.modelinfo import ModelInfo
from limner.models.base import Batch, build
from limner.models.exemplar_fitting import fitted_latents
from limner.models.exemplars import ExemplarPrior, ink_statistics, nearest_first
from limner.models.rows import SampleRequest
from limner.models.settings import Settings
from limner.models.vae import VAEConfig
from limner.text.base import TextFeatures
from tiny_configs import tiny_config

STYLES = ("ink", "oil")
CAPTIONS = ["cat", "cat", "cat", "dog", "dog", "sun"]
DRAWN_IN = [0, 0, 1, 0, 1, 1]


def features(captions: list[str]) -> TextFeatures:
    rows = [
        torch.randn(16, generator=torch.Generator().manual_seed(len(set(CAPTIONS)) + ord(c[0])))
        for c in captions
    ]
    vectors = torch.stack(rows)
    return TextFeatures(vectors[:, None], torch.ones(len(rows), 1, dtype=torch.bool), vectors)


@pytest.fixture
def config() -> VAEConfig:
    return tiny_config(
        VAEConfig, STYLES, text_dim=16, text_rank=16, prior_kind="exemplars", exemplars=6,
        exemplar_texts=3, exemplar_bytes=64, autoencode=0.0, prior=0.0, modes=4,
    )  # fmt: skip


@pytest.fixture
def pictures() -> torch.Tensor:
    return torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.fixture
def model(config, pictures, stir):
    model = stir(build("vae", config))
    batches = [
        Batch(
            images=pictures[part], text=features(CAPTIONS[part]),
            styles=torch.tensor(DRAWN_IN[part]), generator=torch.Generator(),
            captions=CAPTIONS[part], indices=torch.arange(6)[part],
        )
        for part in (slice(0, 4), slice(4, 6))
    ]  # fmt: skip
    model.remember(iter(batches))
    return model


def whole_batch(pictures: torch.Tensor) -> Batch:
    return Batch(
        images=pictures, text=features(CAPTIONS), styles=torch.tensor(DRAWN_IN),
        generator=torch.Generator(), captions=CAPTIONS, indices=torch.arange(6),
    )  # fmt: skip


def drawn(
    model, caption: str, style: str | None, seeds: list[int], temperature: float | None = 0.0
):
    settings = [Settings(style=style, temperature=temperature)] * len(seeds)
    return model.sample(SampleRequest(features([caption] * len(seeds)), seeds, settings))


def test_latents_are_those_of_the_pictures(model, pictures):
    kept = model.prior.latents(torch.arange(6))
    assert torch.allclose(kept, model.autoencoder.encode(pictures), atol=0.05)


def test_draws_the_picture_of_the_text_in_the_style(model):
    want = model.autoencoder.decode(model.prior.latents(torch.arange(6))).clamp(-1, 1).detach()
    for row, (caption, style) in enumerate(zip(CAPTIONS, DRAWN_IN, strict=True)):
        if row > 1:  # of the first two the seed chooses
            assert torch.allclose(
                drawn(model, caption, STYLES[style], [5])[0], want[row], atol=1e-5
            )
    sun = drawn(model, "sun", "ink", [5])[0]
    assert torch.allclose(sun, want[5], atol=1e-5), "the only sun is an oil"


def test_a_style_that_a_text_lacks_is_replaced_by_one_that_looks_like_it():
    white = torch.ones(3, 8, 8)
    line, square, red = white.clone(), white.clone(), white.clone()
    line[:, 2], square[:, 1:7, 1:7], red[1:, 1:7, 1:7] = -1.0, -1.0, -1.0
    found = ink_statistics(torch.stack([white, line, square, red]))
    half = 20 / 36  # of a square of six, twenty pixels are at the edge
    assert torch.allclose(
        found,
        torch.tensor([[0.0] * 4, [1 / 8, 0, 1, 1], [36 / 64, 0, 1, half], [36 / 64, 1, 0, half]]),
    )
    pale = torch.full((4,), -1.0)
    order = nearest_first(torch.stack([found[2], found[3], found[1], pale]))
    assert order[:3].tolist() == [[0, 2, 1, 3], [1, 0, 2, 3], [2, 0, 1, 3]]
    assert order[3, 0] == 3


def test_for_a_coloured_style_coloured_ones_come_before_black_ones(config):
    prior = ExemplarPrior(config.model_copy(update={"styles": ("flat", "black", "bright")}))
    # Ink, colour, black, edges: flat, one like it in black, one of colours that is far from it.
    prior.looks = torch.tensor([[0.4, 0.5, 0.0, 0.1], [0.4, 0.0, 0.6, 0.1], [0.9, 0.9, 0.0, 0.9]])
    assert prior._nearest_style(torch.tensor([1, 2]), 0) == 2
    assert prior._nearest_style(torch.tensor([0, 2]), 1) == 0, (
        "as near as they look for a black one"
    )


def test_the_seed_chooses_among_equals(model):
    def different(style: str | None, temperature: float) -> int:
        return len(
            drawn(model, "cat", style, list(range(40)), temperature).flatten(1).unique(dim=0)
        )

    whole = {p.numpy().round(4).tobytes() for p in drawn(model, "cat", "ink", [*range(40)], 0.001)}
    assert different("ink", 0.0) == 1, "at temperature 0 the first"
    assert len(whole) >= 2


def test_what_is_decoded_again_is_remembered_and_has_the_same_bits(model):
    plain = [drawn(model, "cat", "ink", [5]), drawn(model, "dog", "oil", [5])]
    decoded = []
    model.decoder.register_forward_hook(lambda *_: decoded.append(1))
    model.tile = 1
    model.remember_pictures(10_000)  # three pictures of 16 pixels
    for _ in range(2):
        assert torch.equal(drawn(model, "cat", "ink", [5]), plain[0])
        assert torch.equal(drawn(model, "dog", "oil", [5]), plain[1])
    assert len(decoded) == 2
    model.remember_pictures(4_000)  # one
    for caption, style in (("cat", "ink"), ("dog", "oil"), ("cat", "ink")):
        drawn(model, caption, style, [5])
    assert len(decoded) == 5


def test_seeds_draw_an_exemplar_as_it_is_kept_unless_a_temperature_is_asked_for(model):
    decoded = []
    model.decoder.register_forward_hook(lambda *_: decoded.append(1))
    model.tile = 1
    model.remember_pictures(10_000)
    exact = drawn(model, "sun", "oil", [5], 0.0)
    own = drawn(model, "sun", "oil", [6, 7], None)
    assert torch.equal(own, exact.expand_as(own)) and len(decoded) == 1
    assert not torch.equal(*drawn(model, "sun", "oil", [6, 7], 1.0))


def test_new_weights_are_read_with_their_own_texts(model, config):
    other = build("vae", config)
    assert drawn(model, "dog", "oil", [5]).shape == (1, 3, 16, 16)
    state = model.state_dict()
    order = torch.tensor([2, 0, 1])  # the texts have other numbers
    places = order.argsort()
    moved = state | {
        "prior.keys": state["prior.keys"][order],
        "prior.texts": places[state["prior.texts"].long()].int(),
    }
    other.load_state_dict(state)
    want = drawn(other.eval(), "dog", "oil", [5])
    other.load_state_dict(moved)
    assert torch.equal(drawn(other, "dog", "oil", [5]), want)


def test_unknown_texts_get_the_nearest(model):
    near = features(["dog"])
    near = TextFeatures(near.tokens, near.mask, near.pooled + 0.1)
    request = SampleRequest(near, [3], [Settings(style="oil", temperature=0.0)])
    assert torch.equal(model.sample(request), drawn(model, "dog", "oil", [3]))


def test_decoder_learns_from_what_is_kept(model, pictures):
    batch = Batch(
        images=pictures, text=features(CAPTIONS), styles=torch.tensor(DRAWN_IN),
        generator=torch.Generator(), captions=CAPTIONS, indices=torch.arange(6),
    )  # fmt: skip
    losses = model.losses(batch, "model")
    sum(losses.values()).backward()
    learned = {n for n, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert learned == {f"decoder.{n}" for n, _ in model.decoder.named_parameters()}
    with pytest.raises(UsageError, match="turn flips and augmentations off"):
        model.losses(dataclasses.replace(batch, indices=None), "model")


def test_a_style_without_pictures_is_no_hindrance(config, pictures, tmp_path):
    wide = build("vae", config.model_copy(update={"styles": (*STYLES, "chalk")}))
    batch = Batch(
        images=pictures, text=features(CAPTIONS), styles=torch.tensor(DRAWN_IN),
        generator=torch.Generator(), captions=CAPTIONS,
    )  # fmt: skip
    wide.remember(iter([batch]))
    info = ModelInfo(
        family="vae", config=wide.config.model_dump(mode="json"), encoder="e5-small",
        encoder_fingerprint="0" * 16,
    )  # fmt: skip
    save_model(tmp_path / "m.safetensors", wide, info)
    again, _ = load_model(tmp_path / "m.safetensors")
    assert torch.equal(drawn(again, "sun", "chalk", [2]), drawn(again, "sun", "oil", [2]))


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_a_file_draws_the_same(model, tmp_path, dtype):
    info = ModelInfo(
        family="vae", config=model.config.model_dump(mode="json"), encoder="e5-small",
        encoder_fingerprint="0" * 16,
    )  # fmt: skip
    save_model(tmp_path / "m.safetensors", model, info, dtype)
    again, _ = load_model(tmp_path / "m.safetensors")
    difference = (drawn(again, "dog", "ink", [1]) - drawn(model, "dog", "ink", [1])).abs().max()
    assert difference <= (0.0 if dtype == "float32" else 0.02)


def test_a_picture_is_likelier_by_its_own_text(model, pictures):
    own, other = (
        model.log_likelihood(pictures[5:], features([caption]), torch.tensor([1]))
        for caption in ("sun", "dog")
    )
    assert own > other + 50


def test_refuses_what_cannot_be(config, model):
    empty = build("vae", config.model_copy(update={"exemplars": 0, "exemplar_texts": 0}))
    with pytest.raises(UsageError, match="no exemplars yet"):
        drawn(empty, "cat", None, [0])
    one_more = Batch(
        images=torch.zeros(1, 3, 16, 16), text=features(["cat"]), styles=torch.tensor([0]),
        generator=torch.Generator(), captions=["cat"],
    )  # fmt: skip
    with pytest.raises(
        UsageError, match="is for 6 exemplars of at most 3 texts and was given 7 of 3"
    ):
        model.remember(iter([one_more]))
    with pytest.raises(ValidationError, match="latents of a trained encoder"):
        VAEConfig(**{**config.model_dump(), "autoencode": 0.5})


def test_fitted_exemplars_are_drawn_nearer_to_their_pictures(config, pictures, stir):
    weights = stir(build("vae", config)).state_dict()

    def errors(steps: int) -> torch.Tensor:
        model = build("vae", config.model_copy(update={"exemplar_steps": steps}))
        model.load_state_dict(weights)
        model.remember([whole_batch(pictures)])
        drawn = model.decode(model.prior.latents(torch.arange(6)))
        return (drawn - pictures).square().mean((1, 2, 3))

    before, after = errors(0), errors(20)
    assert bool((after < before).all())


def test_a_picture_is_fitted_alike_alone_and_among_others(config, pictures, stir):
    model = stir(build("vae", config))
    start = model.autoencoder.encode(pictures).detach()

    def fit(rows: slice) -> torch.Tensor:
        return fitted_latents(
            pictures[rows], start[rows], lambda x: x.round(), decode=model.decode, steps=3
        )

    together = fit(slice(0, 6))
    alone = torch.cat([fit(slice(row, row + 1)) for row in range(6)])
    assert torch.allclose(together, alone, atol=1e-5)
    assert not torch.allclose(together, start)


def test_rows_on_the_cpu_name_exemplars_on_another_device(config, pictures):
    prior = build("vae", config).prior.to("meta")
    assert isinstance(prior, ExemplarPrior)
    batch = whole_batch(pictures)
    assert batch.indices is not None and batch.indices.device.type == "cpu"
    found = prior.own(batch)
    assert found.device.type == "meta"
    assert found.shape == (6, 4, 4, 4)


def test_latents_are_fitted_with_a_falling_rate():
    """A step of Adam along a gradient that hardly changes is as long as its learning rate."""
    images, start = torch.full((1, 3, 4, 4), 0.9), torch.zeros(1, 3, 2, 2)

    def fit(steps: int) -> torch.Tensor:
        found = fitted_latents(
            images, start, rounded=lambda x: x, steps=steps,
            decode=lambda x: torch.nn.functional.interpolate(x, scale_factor=2.0),
        )  # fmt: skip
        return found.mean()

    assert fit(1).item() == pytest.approx(0.05, rel=1e-3)
    assert fit(2).item() == pytest.approx(0.05 + 0.02, rel=0.02)
    assert fit(3).item() == pytest.approx(0.05 + 0.035 + 0.02, rel=0.05)
