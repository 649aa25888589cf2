from __future__ import annotations

from pathlib import Path

import pytest
import torch

import training_tiny as tiny
from limner.errors import RecipeError
from limner.modelfile import load_model, save_model
from limner.modelinfo import ModelInfo
from limner.models.base import FusionConfig
from limner.training.overrides import read_value, write_value
from limner.training.recipe import changed_keys, load_recipe, make_recipe
from limner.training.session import open_session


@pytest.fixture
def file(tmp_path: Path, store: Path, words: Path) -> Path:
    path = tmp_path / "r.yaml"
    path.write_text(
        f"family: {tiny.NAME}\ndata: {{store: {store}}}\n"
        f"text: {{encoder: 'vectors:{words}'}}\ntrain: {{steps: 5, lr: 1e-3}}\n"
    )
    return path


def test_defaults_and_overrides(file):
    recipe = load_recipe(
        file,
        ["train.lr=3e-4", "train.ema.half_life=7", "prompts=[a cat, 一只猫]",
         "train.clip_norm=null", "data.augment.shift_px=3", "train.schedule.decay_fraction=0.2",
         "model.width=4"],
    )  # fmt: skip
    assert recipe.source == str(file)
    assert recipe.train.lr == 3e-4
    assert recipe.train.ema.half_life == 7
    assert recipe.prompts == ["a cat", "一只猫"]
    assert recipe.train.clip_norm is None
    assert recipe.data.augment.shift_px == 3
    assert recipe.train.schedule.kind == "cosine"
    assert recipe.train.schedule.decay_fraction == 0.2
    assert recipe.model == {"width": 4}
    assert load_recipe(file).train.lr == 1e-3


def test_what_is_written_reads_back_the_same():
    texts = ["26E9", "1e5", "1e+5", "1.5", "no", "null", "一只猫", "- a", "a: b", ""]
    tree = {"numbers": [1e-3, 1e22, 26e9, 3, -0.5], "texts": texts, "off": [True, False, None]}
    again = read_value(write_value(tree), "here")
    assert again == tree
    assert [type(x) for x in again["numbers"]] == [type(x) for x in tree["numbers"]]


def test_short_forms(file):
    recipe = load_recipe(file, ["train.schedule=wsd", "train.ema=0.9"])
    assert recipe.train.schedule.kind == "wsd"
    assert recipe.train.ema.decay == 0.9
    assert recipe.train.ema.half_life is None
    both = load_recipe(file, ["train.schedule=wsd", "train.schedule.final=0.1"])
    assert (both.train.schedule.kind, both.train.schedule.final) == ("wsd", 0.1)
    stop = load_recipe(file, ["train.stop=null", "train.stop.patience=3"]).train.stop
    assert stop is not None and stop.patience == 3
    for zero in ("0", "0.0", "{decay: 0}"):
        assert load_recipe(file, [f"train.ema={zero}"]).train.ema.decay == 0
    for wrong in ("1", "true", "-1"):
        with pytest.raises(RecipeError, match=r"train\.ema"):
            load_recipe(file, [f"train.ema={wrong}"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trian.lr=1", "unknown key 'trian'; did you mean 'train'?"),
        ("train.batchsize=8", "unknown key 'train.batchsize'; did you mean 'train.batch_size'?"),
        ("train.ema.halflife=8", "unknown key 'train.ema.halflife'; did you mean 'train.ema.half_"),
        ("data.augment.hueue=8", "unknown key 'data.augment.hueue'; did you mean 'data.augment.hu"),
        ("train.batch_size=many", "train.batch_size: it should be a valid integer.*not 'many'"),
        ("train.lr=-1", "train.lr: it should be greater than 0, not -1"),
        ("train.lr=.inf", "train.lr: it should be a finite number"),
        ("train.schedule=cosin", "train.schedule.kind: it should be 'cosine', 'linear'"),
        ("train.accumulate=3", "train: 'batch_size' .64. must be a multiple of 'accumulate' .3."),
        ("train.ema={decay: 0.9, half_life: 3}", "train.ema: give 'decay' or 'half_life', not"),
        ("data.store=3", "data.store: it should be a valid string"),
        ("data.store=[]", "data.store: name at least one store"),
        ("family=vea", "family: there is no family 'vea'; did you mean 'vae'?"),
        ("weights={pixels: lots}", "weights.pixels: it should be a valid number"),
        ("train.lr.x=1", "train.lr.x: 'lr' holds a value, not keys"),
        ("train.lr", "'train.lr' is not an override; write key=value"),
        ("train.lr=[1", "the override 'train.lr=.1' is not valid YAML"),
    ],
)
def test_bad_keys_and_values_are_named(file, override, message):
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe(file, [override])
    assert "\n" not in str(caught.value)
    assert ("r.yaml" in str(caught.value)) != message.startswith("the override")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("family: vae\nfamily: flow\n", "not valid YAML .line 2.: the key 'family' is given twice"),
        ("[1, 2]", "is not a recipe"),
        ("a: [", "is not valid YAML"),
        ("family: vae\n", "the key 'data' is missing"),
        ("", "is not a recipe"),
    ],
)
def test_bad_files(tmp_path, text, message):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=message):
        load_recipe(path)


def test_missing_and_foreign_file(tmp_path):
    with pytest.raises(RecipeError, match=r"there is no recipe '.*no.yaml'"):
        load_recipe(tmp_path / "no.yaml")
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match="not UTF-8"):
        load_recipe(tmp_path / "b.yaml")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.store=/nowhere/at/all"], "data.store: no store at /nowhere/at/all"),
        (["train.steps=null"], "train: give a budget, 'minutes' or 'steps'"),
        (["data.size=9"], "data.size: the pictures are 16 pixels wide; 9 does not divide"),
        (["data.filters={style: [ink]}"], "data: no picture with a caption passes the filters"),
        (["data.languages=[fr]"], "data: no picture with a caption passes the filters"),
        (["model.widht=3"], "unknown key 'model.widht'; did you mean 'model.width'?"),
        (["model.width=wide"], "model.width: it should be a valid integer"),
        (["model.size=32"], "model.size: 32 is not the data's size, 16; leave the key out"),
        (["text.encoder=gpt9"], "text.encoder: there is no text encoder 'gpt9'"),
        (["init=/nowhere.safetensors"], "init: there is no model file /nowhere.safetensors"),
        (["init_parts=[up]"], "init_parts: name the model file that they come from under 'init'"),
    ],
)
def test_what_a_recipe_names_must_be_there(file, overrides, message):
    with pytest.raises(RecipeError, match=message) as caught:
        open_session(load_recipe(file, overrides))
    assert str(caught.value).startswith(str(file))


def test_resolving_fills_in_the_model(file):
    session = open_session(load_recipe(file))
    assert session.recipe.model == {
        "fusion": FusionConfig().model_dump(), "size": 16, "text_dim": 8, "styles": ["flat"],
        "width": 8, "dropout": 0.1, "noise": 0.1, "poison": 2.0,
    }  # fmt: skip
    # What was resolved resolves to itself, so that a dry run's output is a recipe.
    again = make_recipe(session.recipe.model_dump(mode="json"))
    assert open_session(again).recipe.model_dump() == session.recipe.model_dump()


@pytest.fixture
def other(file: Path, tmp_path: Path) -> Path:
    """A model of the same recipe and another seed."""
    session = open_session(load_recipe(file, ["train.seed=1"]))
    info = ModelInfo(
        family=tiny.NAME,
        config=session.recipe.model,
        encoder=session.encoder.spec,
        encoder_fingerprint=session.encoder.fingerprint,
    )
    path = tmp_path / "other.safetensors"
    save_model(path, session.model, info)
    return path


@pytest.mark.parametrize("parts", [["up", "paint"], ["critic"], ["centre"], ["norm.weight"]])
def test_only_the_named_parts_are_taken(file, other, parts):
    fresh = open_session(load_recipe(file)).model.state_dict()
    theirs = load_model(other)[0].state_dict()
    session = open_session(load_recipe(file, [f"init={other}", f"init_parts={parts}"]))
    taken = {n for n in theirs if any(n == part or n.startswith(f"{part}.") for part in parts)}
    assert taken
    for name, value in session.model.state_dict().items():
        assert torch.equal(value, (theirs if name in taken else fresh)[name]), name
    # The buffers did not all come along, so they are to be fitted.
    assert not session.fitted


def test_no_parts_mean_all(file, other):
    session = open_session(load_recipe(file, [f"init={other}"]))
    theirs = load_model(other)[0].state_dict()
    for name, value in session.model.state_dict().items():
        assert torch.equal(value, theirs[name]), name
    assert session.fitted


@pytest.mark.parametrize("part", ["uq", "pain", ""])
def test_a_part_that_is_not_there_is_named(file, other, part):
    with pytest.raises(RecipeError, match=f"init_parts: '{part}' names no weight .* there is: cen"):
        open_session(load_recipe(file, [f"init={other}", f"init_parts=[up, '{part}']"]))


def test_changed_keys():
    old = {"a": {"b": 1, "c": 2}, "weights": {"x": 1.0}, "d": 3}
    new = {"a": {"b": 1, "c": 5}, "weights": {}, "d": 3, "e": 4}
    assert changed_keys(old, new) == ["a.c", "e", "weights"]
