"""A language model that learns along with a family: on real, tiny networks in the hub's format."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import inspect

import pytest
import torch

from limner.errors import ModelFileError, UsageError
from limner.models.base import Batch, build, families
from limner.models.image_model import ImageModel
from limner.models.words import TunedEncoder, TunedModel, Tuning, hub_encoder, open_tuned, tune
from limner.text import load_encoder
from limner.text.base import TextEncoder
from tiny_configs import tiny_config
from tiny_language_model import save_language_model

transformers = pytest.importorskip("transformers")

TEXTS = ["red", "green", "a blue flag", "two words"]
KINDS = ["bert", "gpt2"]
every_tuning = pytest.mark.parametrize("kind", ["lora", "full"])


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    return {kind: save_language_model(tmp_path_factory.mktemp(kind), kind) for kind in KINDS}


@pytest.fixture
def base(places):
    return hub_encoder(load_encoder(f"hf:{places['bert']}"))


def stir(encoder):
    with torch.no_grad():
        for parameter in encoder.learned.values():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return encoder


@pytest.mark.parametrize("network", KINDS)
@every_tuning
def test_it_begins_as_the_encoder_it_was(places, network, kind):
    plain = load_encoder(f"hf:{places[network]}", cache=False)
    tuned = TunedEncoder(plain, Tuning(kind=kind, rank=2))
    assert isinstance(tuned, TextEncoder)
    assert torch.equal(tuned.encode(TEXTS).tokens, plain.encode(TEXTS).tokens)
    assert tuned.spec == plain.spec
    assert tuned.dim == plain.dim
    before = tuned.fingerprint
    stir(tuned)
    assert len({tuned.fingerprint, before, plain.fingerprint}) == 3
    assert not torch.allclose(tuned.encode(TEXTS).tokens, plain.encode(TEXTS).tokens, atol=1e-2)
    again = load_encoder(plain.spec, cache=False)  # a cache may hold bits of another batch
    assert torch.equal(plain.encode(TEXTS).tokens, again.encode(TEXTS).tokens)


@every_tuning
def test_all_that_learns_is_reached_and_nothing_else(base, kind):
    tuned = TunedEncoder(base, Tuning(kind=kind, rank=2))
    features = tuned.read(TEXTS)
    weight = torch.randn(features.tokens.shape)
    (features.tokens * weight).sum().backward()
    with_gradient = {n for n, p in tuned.network.named_parameters() if p.grad is not None}
    assert with_gradient == set(tuned.learned)
    if kind == "full":  # BERT's pooler has no part in the states
        assert not any("pooler" in name for name in tuned.learned)
        assert "embeddings.word_embeddings.weight" in tuned.learned
    else:
        assert all("lora" in name for name in tuned.learned)


@every_tuning
def test_what_was_learned_can_be_given_to_another(base, kind, tmp_path):
    tuning = Tuning(kind=kind, rank=2)
    tuned = stir(TunedEncoder(base, tuning))
    state = {n: p.detach().clone() for n, p in tuned.learned.items()}
    twin = open_tuned(base, tuning.model_dump(), state, "here.safetensors")
    assert torch.equal(twin.encode(TEXTS).tokens, tuned.encode(TEXTS).tokens)
    assert twin.fingerprint == tuned.fingerprint
    assert not any(p.requires_grad for p in twin.parameters())
    state.popitem()
    with pytest.raises(ModelFileError, match=r"here\.safetensors does not fit"):
        open_tuned(base, tuning.model_dump(), state, "here.safetensors")


def test_a_copy_is_on_its_own(base):
    tuned = TunedEncoder(base, Tuning(kind="lora", rank=2))
    twin = copy.deepcopy(tuned)
    stir(twin)
    assert torch.equal(tuned.encode(TEXTS).tokens, base.encode(TEXTS).tokens)
    assert not torch.equal(twin.encode(TEXTS).tokens, base.encode(TEXTS).tokens)


def test_only_transformers_can_be_tuned():
    with pytest.raises(UsageError, match="cannot be tuned"):
        hub_encoder(load_encoder("e5-small"))


def wrapped(base, family="flow", kind="full"):
    torch.manual_seed(0)
    cls = families()[family].config_class
    model = build(family, tiny_config(cls, text_dim=16, styles=()))
    return tune(model, TunedEncoder(base, Tuning(kind=kind, rank=2)), 1e-4, 5)


def a_batch(model, seed=0):
    g = torch.Generator().manual_seed(seed)
    side, count = model.config.size, len(TEXTS)
    from limner.text.base import TextFeatures

    nothing = torch.zeros(count, 1, 16)
    return Batch(
        images=torch.rand(count, 3, side, side, generator=g) * 2 - 1,
        text=TextFeatures(nothing, torch.ones(count, 1, dtype=torch.bool), nothing[:, 0]),
        styles=torch.full((count,), -1),
        generator=torch.Generator().manual_seed(seed),
        progress=1.0,
        captions=TEXTS,
    )


@pytest.mark.parametrize(
    "family",
    [  # what learns from scenes reads pieces, which a tuned encoder has not
        name
        for name, kind in families().items()
        if kind.reads_text and not kind.reads_scenes and not name.startswith("tests")
    ],
)
def test_one_player_reaches_the_words_and_owns_them(base, family):
    model = wrapped(base, family)
    players = model.optimizer_groups
    assert type(model).capabilities == type(model.model).capabilities
    own = {id(p) for p in model.text.learned.values()}
    owners = [n for n, g in players.items() if own & {id(p) for p in g.every}]
    assert owners == [model.reached]
    assert "discriminator" not in model.reached
    assert "critic" not in model.reached
    for parameter in model.model.parameters():  # what starts at zero hides what is behind it
        with torch.no_grad():
            parameter.add_(0.05 * torch.randn_like(parameter))
    for name in players:
        model.zero_grad(set_to_none=True)
        sum(model.losses(a_batch(model), name).values()).backward()
        reached = [p for p in model.text.learned.values() if p.grad is not None and p.grad.any()]
        assert bool(reached) == (name == model.reached), name


def test_it_says_what_the_family_says(base):
    model = wrapped(base)
    plain = model.understand(a_batch(model))
    direct = model.text.encode(TEXTS)
    assert torch.equal(plain.text.tokens, direct.padded(5).tokens)
    losses = model.losses(a_batch(model), "model")
    same = model.model.losses(
        dataclasses.replace(plain, generator=a_batch(model).generator), "model"
    )
    assert {n: v.item() for n, v in losses.items()} == {n: v.item() for n, v in same.items()}
    grown = wrapped(base, "vae").grown(32)
    assert grown.config.size == 32
    assert "text_encoder.embeddings.word_embeddings.weight" in grown.state_dict()


@pytest.mark.parametrize("family", sorted(n for n in families() if not n.startswith("tests")))
def test_everything_a_family_offers_is_the_familys_own(base, family):
    """Whatever is added to a family later is delegated too: nothing is listed by hand."""
    model = wrapped(base, family)
    inner, replaced = model.model, {*vars(TunedModel)}
    offered = {n for n in dir(type(inner)) if not n.startswith("_")} - {*dir(torch.nn.Module)}
    assert {"reads_words", "prepare", "losses", "capabilities"} <= offered
    assert ("sample" in offered) == isinstance(model, ImageModel)
    for name in sorted(offered - replaced):
        own = inspect.getattr_static(type(inner), name)
        if inspect.isfunction(own):
            bound = getattr(model, name)
            assert bound.__self__ is inner, name
            assert bound == getattr(inner, name), name
        else:
            assert repr(getattr(model, name)) == repr(getattr(inner, name)), name


def test_the_fingerprint_is_hashed_once_for_each_change(base, monkeypatch):
    tuned = TunedEncoder(base, Tuning(kind="lora", rank=2))
    hashed = []
    real = hashlib.sha256
    monkeypatch.setattr(hashlib, "sha256", lambda *a: hashed.append(1) or real(*a))
    first = tuned.fingerprint
    count = len(hashed)
    assert [tuned.fingerprint for _ in range(5)] == [first] * 5 and len(hashed) == count
    kept = {n: p.detach().clone() for n, p in tuned.learned.items()}
    optimizer = torch.optim.Adam(tuned.learned.values(), lr=1e-2)
    tuned.read(TEXTS).tokens.square().sum().backward()
    optimizer.step()
    second = tuned.fingerprint
    assert second != first
    assert copy.deepcopy(tuned).fingerprint == second
    tuned.take(kept, "here")
    assert tuned.fingerprint == first


@every_tuning
def test_the_state_is_the_familys_with_the_words_beside_it(base, kind):
    model, other = wrapped(base, kind=kind), wrapped(base, kind=kind)
    stir(model.text)
    state = {n: t.clone() for n, t in model.state_dict().items()}
    family = {n for n in state if not n.startswith("text_encoder.")}
    assert family == set(model.model.state_dict())
    assert len(state) - len(family) == len(model.text.learned)
    other.load_state_dict(state)
    assert all(torch.equal(state[n], t) for n, t in other.state_dict().items())


def test_words_that_say_nothing_learn_to_say_something(base):
    """A frozen encoder that gives every text the same features is of no use; a tuned one is."""
    with torch.no_grad():
        for name, parameter in base.network.named_parameters():
            if "word_embeddings" in name:
                parameter.copy_(parameter[:1].expand_as(parameter))
    tuned = TunedEncoder(base, Tuning(kind="full"))
    target = torch.tensor([[1.0], [-1.0]])
    head = torch.nn.Linear(16, 1)
    frozen = base.encode(["x", "y"]).pooled
    assert torch.equal(frozen[0], frozen[1])  # so that the loss cannot go below one
    optimizer = torch.optim.Adam([*tuned.learned.values(), *head.parameters()], lr=1e-2)
    for _ in range(60):
        loss = (head(tuned.read(["x", "y"]).pooled) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1
