from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

import training_tiny as tiny
from limner.cli import build_app
from limner.errors import RecipeError
from limner.modelfile import save_model
from limner.modelinfo import ModelInfo, read_info
from limner.models.base import families
from limner.shipped import shipped_models
from limner.training.loop import train
from limner.training.recipe import load_recipe
from limner.training.session import open_session
from limner.training.shipped import find_recipe, shipped_recipes

NAMES = tuple(sorted(p.stem for p in (Path(__file__).parents[2] / "recipes").glob("*.yaml")))


def test_every_recipe_that_comes_along_is_valid_and_fits_its_family():
    assert tuple(shipped_recipes()) == NAMES
    assert {"quickstart", "icons-64", "flow-64", "gan-icons-64", "ar-icons-64"} < set(NAMES)
    for name, path in shipped_recipes().items():
        recipe = load_recipe(path)
        side = re.search(r"-(\d+)$", name)  # as the store's
        config = {"text_dim": 384, **({"size": int(side[1])} if side else {}), **recipe.model}
        assert families()[recipe.family].config_class.model_validate(config), name
        assert recipe.train.minutes or recipe.train.steps


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", ["{}", "{}.yaml", "{}.yml", "recipes/{}.yaml"])
def test_names_work_in_any_folder(name, form, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = find_recipe(Path(form.format(name)))
    assert found == shipped_recipes()[name]
    assert found.is_file()


def test_a_file_of_ones_own_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for own in (Path("quickstart"), Path("recipes/icons-64.yaml")):
        own.parent.mkdir(exist_ok=True)
        own.write_text("family: vae\n")
        assert find_recipe(own) == own


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("quikstart", r"there is no recipe 'quikstart'.*did you mean 'quickstart'\?"),
        ("elsewhere/quickstart.yaml", r"'elsewhere/quickstart.yaml'.*did you mean 'quickstart'"),
        ("zzz.yaml", r"comes with limner \(.*flow-64, .*icons-64, quickstart.*\)$"),
        ("quickstart.txt", "there is no recipe 'quickstart.txt'"),
    ],
)
def test_other_names_are_refused(given, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match=message):
        find_recipe(Path(given))


def test_the_command_takes_a_name(store, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words_of = ["train", "vae-64", f"data.store={store}", f"text.encoder=vectors:{words}"]
    small = ["model.text_rank=8", "model.decoder=[8, 4]", "model.encoder=[4, 8]"]
    result = CliRunner().invoke(build_app(), [*words_of, *small, "--dry-run"])
    assert result.exit_code == 0, result.output
    assert yaml.safe_load(result.stdout)["data"]["store"] == str(store)
    assert yaml.safe_load(result.stdout)["train"]["minutes"] == 5
    missing = CliRunner().invoke(build_app(), ["train", "quickstart", "--dry-run"])
    assert missing.exit_code == 2
    assert "data.store: no store at stores/mine" in missing.stderr


def test_licences_come_along_with_the_weights(recipe, tmp_path):
    session = open_session(recipe())
    info = ModelInfo(
        family=session.recipe.family,
        config=session.recipe.model,
        encoder=session.encoder.spec,
        encoder_fingerprint=session.encoder.fingerprint,
        licences={"elsewhere": "MIT", "tests": "old"},
    )
    path = tmp_path / "start.safetensors"
    save_model(path, session.model, info)
    model = train(recipe(init=str(path)), tmp_path / "run", steps=1, quiet=True)
    assert read_info(model).licences == {"elsewhere": "MIT", "tests": "CC0-1.0"}
    assert session.licences == {"tests": "CC0-1.0"}


def test_starting_from_the_shipped_model(store, words, tmp_path):
    path = find_recipe(Path("quickstart"))
    if not shipped_models():
        with pytest.raises(RecipeError, match="init: this copy of limner ships no model"):
            open_session(load_recipe(path, [f"data.store={store}"]))
        return
    with pytest.raises(RecipeError, match="are 16 pixels wide, and shipped draws 256; pack them"):
        open_session(load_recipe(path, [f"data.store={store}"]))
    large = tiny.make_store(tmp_path / "large", count=4, size=256)
    session = open_session(load_recipe(path, [f"data.store={large.path}"]))
    assert session.fitted and session.adds and not session.remembered
    assert set(session.licences) > set(session.pictures.licences)
    with pytest.raises(RecipeError, match=r"trained with the text encoder .* init=null"):
        open_session(load_recipe(path, [f"data.store={store}", f"text.encoder=vectors:{words}"]))
