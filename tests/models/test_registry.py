"""What every family must do, whoever wrote it: the tests enumerate the registry."""

import dataclasses
import math

import pytest
import torch
from pydantic import ValidationError

from limner.errors import CapabilityError, LimnerError, UsageError
from limner.generation.generator import Generator
from limner.modelfile import load_model, save_model
from limner.modelinfo import ModelInfo
from limner.models.base import FAMILIES, Model, ModelConfig, build, families, register
from limner.models.image_model import ImageModel, generators
from limner.models.rows import SampleRequest
from limner.models.settings import Capability, Settings, capability_of
from limner.text import load_encoder
from limner.vision.base import ImageFeatures
from tiny_configs import tiny_config

FAMILY_NAMES = [n for n, kind in families().items() if kind.__module__.startswith("limner.")]
GENERATORS = sorted(set(FAMILY_NAMES) & generators().keys())
every_family = pytest.mark.parametrize("family", FAMILY_NAMES)
every_generator = pytest.mark.parametrize("family", GENERATORS)
every_reader = pytest.mark.parametrize("family", sorted(set(FAMILY_NAMES) - set(GENERATORS)))
DIM = 16
STYLES = ("ink", "oil")


def tiny(family: str) -> Model:
    return build(family, tiny_config(families()[family].config_class, text_dim=DIM, styles=STYLES))


@every_family
def test_config_round_trip(family):
    cls = families()[family]
    config = tiny_config(cls.config_class, text_dim=DIM, styles=STYLES)
    assert config.text_dim == DIM
    assert config.styles == STYLES
    assert cls.config_class.model_validate(config.model_dump()) == config
    assert cls.config_class.model_validate_json(config.model_dump_json()) == config
    assert build(family, config.model_dump(mode="json")).config == config
    with pytest.raises(ValidationError):
        config.size = 8
    with pytest.raises(ValidationError, match="no_such_key"):
        build(family, {**config.model_dump(), "no_such_key": 1})
    with pytest.raises(ValidationError):
        build(family, {**config.model_dump(), "size": "large"})


@every_family
def test_declares_itself(family):
    cls = families()[family]
    assert cls.family == family
    readers = {Capability.ALIGN, Capability.CAPTION, Capability.PLAN, Capability.RESTORE}
    assert (Capability.GENERATE in cls.capabilities) != bool(readers & cls.capabilities)
    model = tiny(family)
    owned = [id(p) for group in model.optimizer_groups.values() for p in group.parameters]
    assert len(owned) == len(set(owned)), "two players own one parameter"
    assert set(owned) == {id(p) for p in model.parameters() if p.requires_grad}


@every_family
def test_learns_without_nan_and_every_parameter_gets_a_gradient(family, make_batch, make_features):
    model = tiny(family)
    model.prepare(make_features(64, DIM, seed=9))
    players = model.optimizer_groups
    optimizers = {n: torch.optim.AdamW(p.parameters, lr=1e-3) for n, p in players.items()}
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    reached: set[str] = set()
    # each stage of a staged family three times: what starts at zero hides what is behind it
    for step, progress in enumerate((0.0,) * 3 + (0.5,) * 3 + (1.0,) * 3):
        batch = make_batch(model, seed=step, progress=progress)
        for player, group in players.items():
            model.zero_grad(set_to_none=True)
            losses = model.losses(batch, player)
            assert losses, player
            for name, loss in losses.items():
                assert loss.shape == (), name
                assert math.isfinite(loss.item()), name
            sum(losses.values()).backward()
            mine = {id(p) for p in group.parameters}
            for name, parameter in model.named_parameters():
                if id(parameter) in mine and parameter.grad is not None:
                    assert torch.isfinite(parameter.grad).all(), name
                    if parameter.grad.any():
                        reached.add(name)
            optimizers[player].step()
    trainable = {n for n, p in model.named_parameters() if p.requires_grad}
    assert trainable - reached == set(), "no gradient in any step"
    for name, parameter in model.named_parameters():
        assert torch.isfinite(parameter).all(), name
        assert torch.equal(parameter, before[name]) != parameter.requires_grad, name


@every_family
def test_losses_are_a_function_of_the_batch(family, make_batch):
    model = tiny(family)
    for player in model.optimizer_groups:
        first, again = (model.losses(make_batch(model, seed=4), player) for _ in range(2))
        other = model.losses(make_batch(model, seed=6), player)
        assert {n: v.item() for n, v in first.items()} == {n: v.item() for n, v in again.items()}
        assert first.keys() == other.keys()
        assert any(first[n].item() != other[n].item() for n in first)


@every_family
def test_save_and_load_are_exact(family, tmp_path, make_features, stir):
    model = tiny(family)
    model.prepare(make_features(64, DIM, seed=9))
    stir(model)
    info = ModelInfo(
        family=family,
        config=model.config.model_dump(mode="json"),
        encoder="e5-small",
        encoder_fingerprint="0" * 16,
    )
    save_model(tmp_path / "m.safetensors", model, info)
    loaded, read = load_model(tmp_path / "m.safetensors")
    assert read == info
    assert loaded.config == model.config
    saved, got = model.state_dict(), loaded.state_dict()
    assert saved.keys() == got.keys()
    assert all(torch.equal(saved[k], got[k]) and saved[k].dtype == got[k].dtype for k in saved)
    request = SampleRequest(make_features(2, DIM), [1, 2])
    if Capability.GENERATE in model.capabilities:
        assert torch.equal(model.sample(request), loaded.sample(request))


@every_generator
def test_a_picture_is_the_same_alone_and_in_a_batch_of_64(family, make_features, stir):
    model = tiny(family)
    model.prepare(make_features(64, DIM, seed=9))
    stir(model)
    text = make_features(64, DIM)
    seeds = list(range(100, 164))
    settings = [Settings(style=(None, *STYLES)[i % 3]) for i in range(64)]
    whole = model.sample(SampleRequest(text, seeds, settings))
    size = model.config.size
    assert whole.shape == (64, 3, size, size)
    assert whole.dtype == torch.float32
    assert whole.abs().max() <= 1
    assert len({picture.numpy().tobytes() for picture in whole}) == 64
    for i in (0, 1, 17, 63):
        own = int(text.mask[i].sum())  # alone, the token axis is as short as the text
        alone = SampleRequest(text[[i]].padded(own), [seeds[i]], settings[i])
        assert torch.equal(model.sample(alone)[0], whole[i]), i
    order = torch.randperm(64, generator=torch.Generator().manual_seed(1)).tolist()
    assert torch.equal(model.sample(SampleRequest(text, seeds, settings)[order]), whole[order])


@every_generator
def test_seed_and_text_matter(family, make_features, stir):
    model = stir(tiny(family))
    text = make_features(2, DIM)
    styled = Settings(style="ink")
    one = model.sample(SampleRequest(text, [1, 1], styled))
    two = model.sample(SampleRequest(text, [2, 2], styled))
    assert not torch.equal(one[0], one[1])
    assert not torch.equal(one[0], two[0])


@every_generator
def test_refuses_what_it_cannot_do(family, make_features):
    model = tiny(family)
    text = make_features(1, DIM)
    one = {"steps": 2, "guidance": 2.0, "negative": "b", "style": "ink", "temperature": 0.5,
           "top_k": 2, "top_p": 0.5, "truncation": 0.5}  # fmt: skip
    for option, value in one.items():
        request = SampleRequest(text, [0], Settings(**{option: value}))
        if capability_of(option) in model.capabilities:
            assert model.sample(request).shape == (1, 3, model.config.size, model.config.size)
            continue
        with pytest.raises(CapabilityError, match=f"{family} family does not take '{option}'") as e:
            model.sample(request)
        able = [n for n, f in generators().items() if capability_of(option) in f.capabilities]
        assert str(e.value).endswith(f"use a model of: {', '.join(able)}")
    plain = model.sample(SampleRequest(text, [0]))
    # A model draws its own size; whoever asks it brings the picture to another.
    assert torch.equal(model.sample(SampleRequest(text, [0], Settings(size=64))), plain)


@every_reader
def test_what_reads_pictures_refuses_to_draw(family, make_features):
    assert not isinstance(tiny(family), ImageModel)
    with pytest.raises(CapabilityError, match=f"{family} family cannot do 'generate'.*ar, flow"):
        Generator(
            tiny(family),
            ModelInfo(family=family, config={}, encoder="e5-small", encoder_fingerprint=""),
            load_encoder("e5-small"),
        )


@every_generator
def test_refuses_bad_requests_in_one_sentence(family, make_features):
    model = tiny(family)
    bad = [
        SampleRequest(make_features(1, DIM + 1), [0]),
        SampleRequest(make_features(1, DIM)[[]], []),
    ]
    bad.append(SampleRequest(make_features(1, DIM), [0], Settings(style="cubist")))
    for request in bad:
        with pytest.raises(LimnerError) as caught:
            model.sample(request)
        assert "\n" not in str(caught.value)


# -- every family on every fusion -------------------------------------------------------------

every_fusion = pytest.mark.parametrize("kind", ["concat", "cross", "joint"])
SEEN = 6


def sighted(family: str, kind: str) -> Model:
    config = tiny_config(families()[family].config_class, text_dim=DIM, styles=STYLES)
    fusion = {"kind": kind, "image_dim": SEEN, "max_tokens": 4, "depth": 1, "heads": 2, "drop": 0.4}
    torch.manual_seed(0)
    return build(family, {**config.model_dump(), "fusion": fusion})


def pictures(count: int, seed: int = 0) -> ImageFeatures:
    g = torch.Generator().manual_seed(seed)
    return ImageFeatures(
        torch.randn(count, 4, SEEN, generator=g), torch.randn(count, SEEN, generator=g)
    )


@every_generator
@every_fusion
def test_every_fusion_learns_and_every_parameter_gets_a_gradient(
    family, kind, make_batch, make_features
):
    model = sighted(family, kind)
    model.prepare(make_features(64, DIM, seed=9))
    players = model.optimizer_groups
    optimizers = {n: torch.optim.AdamW(g.every, lr=1e-3) for n, g in players.items()}
    reached: set[str] = set()
    for step, progress in enumerate((0.0,) * 3 + (0.5,) * 3 + (1.0,) * 3):
        batch = make_batch(model, seed=step, progress=progress)
        batch = dataclasses.replace(batch, picture=pictures(len(batch.text), seed=step))
        for player in players:
            model.zero_grad(set_to_none=True)
            losses = model.losses(batch, player)
            assert all(math.isfinite(loss.item()) for loss in losses.values()), player
            sum(losses.values()).backward()
            own = {id(p) for p in players[player].every}
            reached |= {
                n for n, p in model.named_parameters()
                if id(p) in own and p.grad is not None and p.grad.any()
            }  # fmt: skip
            optimizers[player].step()
    fused = {n for n, p in model.named_parameters() if p.requires_grad and "fusion" in n}
    assert fused
    assert fused - reached == set(), "no gradient in any step"
    assert all(torch.isfinite(p).all() for p in model.parameters())


@every_generator
@every_fusion
def test_every_fusion_draws_after_the_picture_alone_as_in_a_batch(
    family, kind, tmp_path, make_features, stir
):
    model = sighted(family, kind)
    model.prepare(make_features(64, DIM, seed=9))
    stir(model)
    assert Capability.REFERENCE in model.capabilities
    text, seen, seeds = make_features(9, DIM), pictures(9), list(range(9))
    whole = model.sample(SampleRequest(text, seeds, picture=seen))
    for i in (0, 7):
        own = text[[i]].padded(int(text.mask[i].sum()))
        alone = model.sample(SampleRequest(own, [seeds[i]], picture=seen[[i]]))
        assert torch.equal(alone[0], whole[i]), i
    same = text[[3] * 8]  # one text under eight seeds: a family that draws few values may repeat
    red, again, blue = (
        model.sample(SampleRequest(same, seeds[:8], picture=seen[[row] * 8])) for row in (0, 0, 1)
    )
    without = model.sample(SampleRequest(same, seeds[:8]))
    assert torch.equal(red, again)
    assert not torch.equal(red, blue)
    assert not torch.equal(red, without)
    info = ModelInfo(
        family=family, config=model.config.model_dump(mode="json"), encoder="e5-small",
        encoder_fingerprint="0" * 16, image_encoder=f"random:{SEEN}",
    )  # fmt: skip
    save_model(tmp_path / "m.safetensors", model, info)
    loaded, read = load_model(tmp_path / "m.safetensors")
    assert read == info
    assert torch.equal(loaded.sample(SampleRequest(text, seeds, picture=seen)), whole)
    with pytest.raises(UsageError, match="picture features of 6 numbers"):
        wide = ImageFeatures(torch.zeros(1, 4, SEEN + 1), torch.zeros(1, SEEN + 1))
        model.sample(SampleRequest(text[[0]], [0], picture=wide))


def test_there_are_families():
    assert {"flow", "vae"} <= set(families())
    assert list(families()) == sorted(families())


def test_unknown_family_names_the_known_ones():
    with pytest.raises(UsageError, match=r"no family 'diffusoin'.*flow"):
        build("diffusoin", {})


def test_registry_refuses_duplicates_and_wrong_types():
    flow = families()["flow"]
    known = dict(FAMILIES)
    with pytest.raises(ValueError, match="already registered"):
        register("flow", flow.config_class)(flow)
    with pytest.raises(TypeError, match="not a Model"):
        register("new", ModelConfig)(torch.nn.Linear)
    with pytest.raises(TypeError, match="not a ModelConfig"):
        register("new", dict)(flow)
    assert known == FAMILIES
    assert flow.family == "flow"
