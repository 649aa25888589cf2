"""The collapse check: closed forms of what it measures, and a real run that reports it."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import limner
import training_tiny as tiny
from limner.data.store import Caption
from limner.data.writer import StoreWriter
from limner.errors import DataError
from limner.generation.generator import Generator
from limner.generation.sheets import grid
from limner.metrics.collapse import collapse, duplicate_rate, nearest_other
from limner.modelinfo import ModelInfo
from limner.models.base import build, families
from limner.text import load_encoder
from limner.text.bulk import encode_table
from limner.training import samples
from limner.training.data import BatchLoader, open_pictures
from limner.training.loop import train
from limner.training.recipe import DataSection
from tiny_configs import tiny_config


def flat(values, size=16):
    """One-coloured pictures, ``(N, 3, size, size)``."""
    return torch.as_tensor(values, dtype=torch.float32).view(-1, 1, 1, 1).expand(-1, 3, size, size)


def test_nearest_other_on_a_line():
    places = torch.tensor([[0.0], [1.0], [3.0], [3.5]])
    assert nearest_other(places).tolist() == [1.0, 1.0, 0.5, 0.5]


def test_duplicates_of_pictures_without_and_with_near_copies():
    real = torch.arange(100.0)[:, None]  # every nearest other is exactly 1 away
    assert duplicate_rate(real, real) == 0.0
    assert duplicate_rate(real, torch.arange(50.0)[:, None] * 1.5) == 0.0
    pairs = torch.arange(50.0).repeat_interleave(2)[:, None]
    assert duplicate_rate(real, pairs) == 1.0
    half = torch.cat((torch.arange(50.0), 1000 + torch.zeros(50)))[:, None]
    assert duplicate_rate(real, half) == 0.5


def test_equal_drawn_pictures_are_twins_even_where_real_ones_are_equal_too():
    real = torch.zeros(20, 4)
    far = torch.eye(4).repeat(5, 1)
    assert duplicate_rate(real, far) == 1.0
    assert duplicate_rate(real, torch.arange(20.0)[:, None].repeat(1, 4)) == 0.0


def test_the_same_pictures_are_covered_and_a_single_one_covers_its_neighbours():
    real = flat(torch.linspace(-1, 1, 60))
    assert collapse(real, real) == {"coverage": 1.0, "recall": 1.0, "duplicates": 0.0}
    found = collapse(real, flat([0.0]).expand(60, -1, -1, -1))
    assert found["duplicates"] == 1.0
    # on a line, a ball to the fifth nearest is two or three steps wide on either side
    assert 0 < found["coverage"] <= 7 / 60
    assert found["recall"] == 0.0  # balls of equal pictures have no width
    lost = collapse(real, flat(torch.linspace(-1, 0, 60)))  # half of the modes
    assert 0.45 < lost["coverage"] < 0.6
    assert 0.45 < lost["recall"] < 0.6


def test_collapse_refuses_what_it_cannot_measure():
    real = flat(torch.linspace(-1, 1, 20))
    with pytest.raises(DataError, match="not finite"):
        collapse(real, real * torch.nan)
    with pytest.raises(DataError, match="too few"):
        collapse(real, real[:3])


def test_the_warning_comes_once_it_matters():
    bad = {"coverage": 0.02, "recall": 0.0, "duplicates": 0.9}
    good = {"coverage": 0.8, "recall": 0.5, "duplicates": 0.02}
    assert samples.collapse_warning({}, 0.5) is None
    assert samples.collapse_warning(good, 0.5) is None
    assert samples.collapse_warning(bad, 0.1) is None
    said = samples.collapse_warning(bad, 0.5)
    assert said is not None
    assert "90%" in said
    assert "2%" in said
    assert "\n" not in said
    assert "duplicates" not in str(samples.collapse_warning({**bad, "duplicates": 0.1}, 0.5))


def make_store(path, count=64):
    writer = StoreWriter(path, 16, "greys", licences={"tests": "CC0-1.0"})
    random = np.random.default_rng(0)
    for i in range(count):
        name = list(tiny.COLOURS)[i % 4]
        picture = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        writer.add(picture, [Caption(name)], {"id": str(i), "style": "flat", "concept": name})
    return writer.finish().path


@pytest.fixture
def loader(tmp_path, words):
    pictures = open_pictures(DataSection(store=str(make_store(tmp_path / "store"))), "test")
    table = encode_table(load_encoder(f"vectors:{words}"), pictures.captions.texts, max_tokens=4)
    made = BatchLoader(
        pictures, table, DataSection(store="-"), batch_size=8, seed=0,
        device=torch.device("cpu"), channels_last=False,
    )  # fmt: skip
    yield made
    made.close()


def drawn_by(family, words):
    """A generator of an untrained model in memory."""
    config = tiny_config(families()[family].config_class, text_dim=8, styles=("flat",))
    encoder = load_encoder(f"vectors:{words}")
    info = ModelInfo(family=family, config=config.model_dump(mode="json"), encoder=encoder.spec,
                     encoder_fingerprint=encoder.fingerprint)  # fmt: skip
    return Generator(build(family, config).eval(), info, encoder)


@pytest.mark.parametrize("family", ["gan", "vae", "flow"])
def test_it_finds_the_same_every_time_for_any_family(family, loader, words):
    generator, check = drawn_by(family, words), samples.CollapseCheck()
    found = check.measure(generator, loader)
    assert found.keys() == {"coverage", "recall", "duplicates"}
    assert all(0 <= value <= 1 for value in found.values())
    assert check.measure(generator, loader) == found
    assert samples.CollapseCheck().measure(generator, loader) == found


def test_what_costs_too_much_or_is_too_little_is_not_measured(loader, words, monkeypatch):
    generator = drawn_by("gan", words)
    cost = samples.OPERATIONS / samples.affordable(generator, samples.DrawRequest("red", 0))
    monkeypatch.setattr(samples, "OPERATIONS", cost * (samples.LEAST - 1))
    assert samples.CollapseCheck().measure(generator, loader) == {}
    monkeypatch.undo()
    monkeypatch.setattr(samples, "LEAST", 65)
    assert samples.CollapseCheck().measure(generator, loader) == {}


def test_the_sheet_shows_what_a_user_gets_and_leaves_refused_prompts_out(recipe, tmp_path):
    made = recipe({"steps": 2, "ema": 0}, prompts=["red", "", "a blue flag"])
    path = train(made, tmp_path / "run", quiet=True)
    pictures = limner.load(path).generate(["red", "a blue flag"], n=2, seed=0)
    wanted = np.asarray(grid([picture.image for picture in pictures], 2).convert("RGB"))
    with Image.open(tmp_path / "run" / "samples" / "000002.png") as sheet:
        assert np.array_equal(np.asarray(sheet), wanted)
    train(recipe({"steps": 1}, prompts=[""]), tmp_path / "none", quiet=True)
    assert not (tmp_path / "none" / "samples").exists()


def test_a_run_logs_the_check_and_warns_of_repeated_pictures(recipe, tmp_path, caplog):
    # without noise this family draws one picture for each of the four captions
    store = make_store(tmp_path / "store")
    made = recipe(
        {"steps": 4, "accumulate": 1},
        data={"store": str(store)},
        model={"noise": 0.0, "dropout": 0.0},
    )
    train(made, tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    (line,) = [line for line in lines if line.get("event") == "watch"]
    assert line["step"] == 4
    assert line["watch"]["duplicates"] == 1.0
    assert line["watch"]["recall"] == 0.0
    assert "pictures that are too much alike" in caplog.text


@pytest.mark.parametrize(("autoencode", "watched"), [(1.0, False), (0.5, True)])
def test_a_model_that_learns_no_words_is_not_watched(recipe, tmp_path, autoencode, watched):
    store = make_store(tmp_path / "store")
    tiny_vae = tiny_config(families()["vae"].config_class, text_dim=8).model_dump(mode="json")
    model = {**tiny_vae, "autoencode": autoencode, "prior": 1 - autoencode}
    chosen = {
        key: value for key, value in model.items() if key not in {"size", "text_dim", "styles"}
    }
    made = recipe({"steps": 4}, family="vae", model=chosen, data={"store": str(store)})
    train(made, tmp_path / "run", quiet=True)
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert any("watch" in line for line in lines) == watched
    words = build("vae", model)
    assert [words.reads_words(share) for share in (0.0, 0.5)] == [False, watched]
