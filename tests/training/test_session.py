"""What a recipe brings into a model besides its data: latents, reference pictures, tuned words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from limner.data.store import Store
from limner.errors import CapabilityError, DataError, RecipeError, UsageError
from limner.generation.generator import load
from limner.generation.records import read_record
from limner.generation.replay import redraw, same_pixels
from limner.modelfile import load_model, read_words, save_model
from limner.modelinfo import ModelInfo, read_info
from limner.models.autoencoder import AutoencoderConfig, of
from limner.models.base import build, families
from limner.training.loop import train
from limner.training.publish import publish
from limner.training.session import open_session
from tiny_configs import tiny_config
from tiny_language_model import save_language_model

QUICK = {"steps": 4, "accumulate": 1, "warmup_steps": 0}
SIGHT = {"encoder": "random:6?tokens=4", "reference": "concept"}


def small(family, **changes):
    kind = families()[family].config_class
    config = tiny_config(kind, text_dim=8).model_dump(mode="json", exclude_unset=True)
    return {
        **{k: v for k, v in config.items() if k not in {"text_dim", "styles", "size"}},
        **changes,
    }


@pytest.fixture(scope="module")
def autoencoder(tmp_path_factory):
    """Model files with an autoencoder: ``autoencoder("fsq")``."""

    def make(bottleneck="kl", size=16):
        torch.manual_seed(3)
        shape = {"bottleneck": bottleneck, "size": size}
        shape |= {"levels": (4, 3), "latent_channels": 2} if bottleneck == "fsq" else {}
        config = {**small("vae"), "text_dim": 8, **shape}
        if bottleneck == "fsq":
            config.pop("latent_noise", None)
        model = build("vae", config)
        path = tmp_path_factory.mktemp("vae") / "vae.safetensors"
        info = ModelInfo(
            family="vae", config=model.config.model_dump(mode="json"), encoder="e5-small",
            encoder_fingerprint="0" * 16, licences={"elsewhere": "MIT"},
        )  # fmt: skip
        save_model(path, model, info)
        return path, model

    return make


@pytest.mark.parametrize(("family", "bottleneck"), [("flow", "kl"), ("ar", "fsq")])
def test_an_autoencoder_is_copied_into_the_model(family, bottleneck, recipe, autoencoder, tmp_path):
    path, vae = autoencoder(bottleneck)
    model = {"patch": 1} if family == "flow" else {}
    given = recipe(QUICK, family=family, model=small(family, **model), autoencoder=str(path))
    trained, info = load_model(train(given, tmp_path / "run", quiet=True))
    mine, theirs = of(trained).state_dict(), of(vae).state_dict()
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[k], theirs[k]) for k in mine)
    assert trained.config.latents == of(vae).config
    assert info.licences["elsewhere"] == "MIT"
    assert not any(p.requires_grad for p in of(open_session(given).model).parameters())


def test_a_vae_takes_encoder_and_decoder_of_another(recipe, autoencoder):
    path, vae = autoencoder("kl")
    shape = {*AutoencoderConfig.model_fields}
    model = {k: v for k, v in small("vae").items() if k not in shape}
    session = open_session(recipe(QUICK, autoencoder=str(path), family="vae", model=model))
    found = session.model
    assert of(found).config == of(vae).config
    mine, theirs = of(found).state_dict(), of(vae).state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
    assert session.licences["elsewhere"] == "MIT"


def test_an_autoencoder_that_does_not_fit_is_refused(recipe, autoencoder, tmp_path):
    path, _ = autoencoder("kl")

    def refuses(words, **sections):
        with pytest.raises(RecipeError, match=words) as caught:
            open_session(recipe(QUICK, **{"autoencoder": str(path), **sections}))
        assert "\n" not in str(caught.value)

    refuses("gan family does not draw in latents.*flow, vae", family="gan", model=small("gan"))
    refuses("decides model.blocks", family="vae", model=small("vae"))
    refuses("autoencoder: .*missing", family="flow", autoencoder=str(tmp_path / "missing"))
    refuses("'kl'", family="ar", model=small("ar"))
    refuses("leave that key out", family="flow", model={"latents": {"size": 16}})
    refuses("of 32 px", family="flow", autoencoder=str(autoencoder("kl", 32)[0]))
    flow = open_session(recipe(QUICK, family="flow", model=small("flow"))).model
    info = read_info(path).model_copy(
        update={"family": "flow", "config": flow.config.model_dump(mode="json")}
    )
    save_model(tmp_path / "flow.safetensors", flow, info)
    refuses("no autoencoder", family="flow", autoencoder=str(tmp_path / "flow.safetensors"))


# -- reference pictures -----------------------------------------------------------------------


@pytest.fixture
def sighted(recipe):
    def make(family="flow", train=None, **image):
        model = small(family, fusion={"kind": "cross", "max_tokens": 4, "depth": 1, "heads": 2})
        section = {**QUICK, **(train or {})}
        return recipe(section, family=family, model=model, image={**SIGHT, **image})

    return make


def test_a_model_learns_with_references_and_draws_after_them(sighted, tmp_path):
    path = train(sighted(), tmp_path / "run", quiet=True)
    info = read_info(path)
    assert info.image_encoder == "random:6?tokens=4"
    assert info.config["fusion"]["image_dim"] == 6
    again = train(sighted(), tmp_path / "again", quiet=True)
    one, two = load_file(path), load_file(again)
    assert all(torch.equal(one[k], two[k]) for k in one)
    generator = load(path)
    with torch.no_grad():  # four steps teach nothing: move every weight, so that all is seen
        for parameter in generator.model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    generator.model.eval()
    colours = [Image.new("RGB", (20, 12), c) for c in ("red", "blue")]
    bare, red, blue = (
        generator.generate("red", seed=1, **({"reference": r} if r else {}))[0].image
        for r in (None, *colours)
    )
    assert len({p.tobytes() for p in (bare, red, blue)}) == 3
    both = generator.generate(["red", "green"], seed=1, n=2, reference=colours[0])
    assert both[0].image.tobytes() == red.tobytes()


def test_replay_asks_for_the_reference(sighted, tmp_path):
    path = train(sighted(), tmp_path / "run", quiet=True)
    red, blue = tmp_path / "red.png", tmp_path / "blue.png"
    Image.new("RGB", (16, 16), "red").save(red)
    Image.new("RGB", (16, 16), "blue").save(blue)
    drawn = load(path).generate("red", seed=3, reference=red)[0].save(tmp_path / "a.png")
    assert len(read_record(drawn).settings.reference) == 64
    assert same_pixels(drawn, redraw(drawn, path, reference=red).image)
    with pytest.raises(DataError, match=r"reference picture; name that with --reference"):
        redraw(drawn, path)
    with pytest.raises(DataError, match="is not the reference picture"):
        redraw(drawn, path, reference=blue)
    plain = load(path).generate("red", seed=3)[0].save(tmp_path / "b.png")
    with pytest.raises(UsageError, match="without a reference"):
        redraw(plain, path, reference=red)
    (tmp_path / "x.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"x\.png cannot be used"):
        load(path).generate("red", reference=tmp_path / "x.png")


def test_a_model_without_references_refuses_one(recipe, tmp_path):
    path = train(recipe(QUICK, family="flow", model=small("flow")), tmp_path / "run", quiet=True)
    with pytest.raises(CapabilityError, match="not trained with reference pictures"):
        load(path).generate("red", reference=Image.new("RGB", (9, 9)))


def test_recipes_that_contradict_themselves_are_refused(recipe, sighted):
    fusion = {"kind": "cross", "max_tokens": 4}
    for words, sections in (
        ("takes reference pictures; name their encoder", {"model": {"fusion": fusion}}),
        ("takes no reference pictures", {"image": SIGHT}),
        ("image.encoder: there is no", {"model": {"fusion": fusion}, "image": {"encoder": "no"}}),
        ("text.tune: .*cannot be tuned", {"text": {"encoder": "e5-small", "tune": "lora"}}),
    ):
        with pytest.raises(RecipeError, match=words):
            open_session(recipe(QUICK, family="flow", **sections))


def test_references_survive_a_resume_and_another_encoder_does_not(sighted, tmp_path):
    steady = {"schedule": "constant"}
    whole = train(sighted(train=steady), tmp_path / "whole", quiet=True)
    train(sighted(train=steady), tmp_path / "cut", steps=2, quiet=True)
    cut = train(sighted(train=steady), tmp_path / "cut", steps=4, resume=True, quiet=True)
    one, two = load_file(whole), load_file(cut)
    assert all(torch.equal(one[k], two[k]) for k in one)
    with pytest.raises(RecipeError, match=r"image\.encoder"):
        other = sighted(train=steady, encoder="random:6?tokens=4&seed=1")
        train(other, tmp_path / "cut", steps=9, resume=True, quiet=True)


# -- tuned words ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def language_model(tmp_path_factory):
    pytest.importorskip("transformers")
    return save_language_model(tmp_path_factory.mktemp("bert"), "bert")


@pytest.fixture
def tuned(recipe, language_model):
    def make(train=None, *, tune="full", lr=1e-3, **sections):
        text = {"encoder": f"hf:{language_model}", "max_tokens": 6, "tune": tune, "lr": lr,
                "rank": 2}  # fmt: skip
        section = {**QUICK, "ema": {"half_life": 0.01, "warmup": 0}, **(train or {})}
        model = {"dropout": 0, "noise": 0}
        return recipe(section, **{"model": model, "text": text, **sections})

    return make


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_a_tuned_model_is_one_file_that_loads_exactly(tuned, tmp_path, kind):
    path = train(tuned({"steps": 6}, tune=kind), tmp_path / "run", quiet=True)
    info, words = read_info(path), read_words(path)
    assert info.tuning == {"kind": kind, "rank": 2}
    assert words
    model, _ = load_model(path)
    assert not any(name.startswith("text_encoder") for name in model.state_dict())
    generator = load(path)  # a warning that the encoder has changed would be an error here
    assert generator.encoder.fingerprint == info.encoder_fingerprint
    plain = open_session(tuned(tune="frozen")).encoder
    assert plain.fingerprint != info.encoder_fingerprint
    assert not torch.equal(plain.encode(["red"]).pooled, generator.encoder.encode(["red"]).pooled)
    save_model(tmp_path / "half.safetensors", model, info, "float16", words)
    small_one = load(tmp_path / "half.safetensors")
    assert small_one.encoder.fingerprint == info.encoder_fingerprint
    store = Store.open(Path(tuned().data.store))
    publish(path, store, tmp_path / "given.safetensors", dtype="float32")
    given = load(tmp_path / "given.safetensors")
    assert torch.equal(
        given.encoder.encode(["red"]).pooled, generator.encoder.encode(["red"]).pooled
    )
    before = generator.generate("red", seed=1)[0].image
    assert np.abs(
        np.asarray(before, int) - np.asarray(small_one.generate("red", seed=1)[0].image, int)
    ).max() <= 2  # fmt: skip


def test_a_family_without_text_features_cannot_tune_the_encoder(tuned):
    tiny = tiny_config(families()["captioner"].config_class).model_dump(mode="json")
    small = {key: value for key, value in tiny.items() if key not in ("size", "text_dim", "styles")}
    with pytest.raises(RecipeError, match=r"text\.tune: the captioner family does not use"):
        open_session(tuned(family="captioner", model=small))


def test_two_learning_rates_are_honoured(tuned, tmp_path):
    """Adam's first step is as long as its rate, whatever the gradient."""
    section = {"steps": 1, "lr": 0.01, "weight_decay": 0, "schedule": "constant"}
    given = tuned(section, lr=0.002)
    fresh = {n: t.clone() for n, t in open_session(given).model.state_dict().items()}
    learned = load_file(train(given, tmp_path / "run", quiet=True))
    steps = {True: [], False: []}
    for name, before in fresh.items():
        if before.is_floating_point() and name not in {"centre", "norm.running_mean"}:
            moved = (learned[name] - before).abs()
            steps[name.startswith("text_encoder.")].append(moved.max().item())
    assert max(steps[True]) == pytest.approx(0.002, rel=0.05)
    assert max(s for s in steps[False] if s < 0.05) == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_a_tuned_run_resumes_exactly(tuned, tmp_path, kind):
    plan = {"schedule": "constant"}
    whole = train(tuned({"steps": 6, **plan}, tune=kind), tmp_path / "w", quiet=True)
    train(tuned({"steps": 3, **plan}, tune=kind), tmp_path / "cut", quiet=True)
    cut = train(tuned({"steps": 6, **plan}, tune=kind), tmp_path / "cut", resume=True, quiet=True)
    one, two = load_file(whole), load_file(cut)
    assert one.keys() == two.keys()
    assert all(torch.equal(one[k], two[k]) for k in one)


def test_a_run_can_start_from_a_tuned_one(tuned, tmp_path):
    path = train(tuned(), tmp_path / "run", quiet=True)
    session = open_session(tuned(init=str(path)))
    mine, theirs = session.model.text.learned, read_words(path)
    assert all(torch.equal(mine[n], theirs[n]) for n in theirs)
    with pytest.raises(RecipeError, match=r"tuned by full; give the same text\.tune"):
        open_session(tuned(tune="frozen", init=str(path)))
    with pytest.raises(RecipeError, match=r"text\.tune: .*does not fit"):
        open_session(tuned(tune="lora", init=str(path)))
