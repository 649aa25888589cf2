"""A published model: smaller, the same pictures, and a card that tells its story."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from icon_store import save_tiny
from limner.cli import build_app
from limner.data.store import Caption
from limner.data.writer import StoreWriter
from limner.errors import DataError, UsageError
from limner.generation.card import markdown_card
from limner.modelfile import load_model, read_concepts, save_model
from limner.modelinfo import read_info
from limner.models.rows import SampleRequest
from limner.models.vae import VAEConfig
from limner.text import load_encoder
from limner.text.base import TextFeatures
from limner.training.concept_index import index_concepts
from limner.training.loop import train
from limner.training.publish import CLAIM_AT, claimed, publish
from tiny_configs import tiny_config

CONCEPTS = {"1F34E": ("red apple", "红苹果", CLAIM_AT), "1F438": ("frog", "青蛙", CLAIM_AT - 1)}


@pytest.fixture(scope="module")
def icons(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("icons") / "store"
    writer = StoreWriter(path, 16, "little", licences={"drawn here": "CC0-1.0"})
    for key, (en, zh, count) in CONCEPTS.items():
        for number in range(count):
            image = np.full((16, 16, 3), 40 * number, np.uint8)
            captions = [Caption(en, "en", 1.0), Caption("thing", "en", 0.1), Caption(zh, "zh", 1.0)]
            group = "food" if en == "red apple" else "animals"
            facts = {"concept": key, "style": f"s{number}", "source": "drawn here", "group": group}
            writer.add(image, captions, facts, key=f"{key}-{number}")
    return writer.finish().path


@pytest.fixture
def run(icons, recipe, tmp_path) -> Path:
    config = tiny_config(VAEConfig, text_dim=8).model_dump(exclude={"size", "text_dim", "styles"})
    made = recipe(
        {"steps": 4, "accumulate": 1, "batch_size": 4},
        family="vae", model=config, data={"store": str(icons)},
    )  # fmt: skip
    return train(made, tmp_path / "run", quiet=True)


def test_claims_what_was_seen_often_enough(icons):
    from limner.data.store import Store

    store = Store.open(icons)
    assert claimed(store, {}) == {"keys": ["1F34E"], "en": ["red apple"], "zh": ["红苹果"]}
    assert claimed(store, {"group": ["animals"]}) == {"keys": []}


def test_published_model_draws_the_same_and_hides_the_machine(run, icons, tmp_path):
    from limner.data.store import Store

    out = tmp_path / "small.safetensors"
    publish(run, Store.open(icons), out, earlier=[run], limits=["It is tiny."])
    assert out.stat().st_size < 0.75 * run.stat().st_size
    info = read_info(out)
    assert str(tmp_path) not in info.model_dump_json()
    assert str(icons.parent) not in info.model_dump_json()
    assert [part["steps"] for part in info.training["history"]] == [4, 4]
    assert info.training["pictures_in_all"] == 2 * info.training["pictures"] == 32

    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(2, 3, 8, generator=generator)
    text = TextFeatures(tokens, torch.ones(2, 3, dtype=torch.bool), tokens.mean(1))
    before = load_model(run)[0].sample(SampleRequest(text, [1, 2]))
    after = load_model(out)[0].sample(SampleRequest(text, [1, 2]))
    assert (before - after).abs().max() < 0.02, "half precision costs at most two grey levels"

    card = markdown_card("small", info, {"parameters": 1, "hash": "x", "bytes": 1})
    for fact in ("red apple", "CC0-1.0", "It is tiny.", "32 training pictures"):
        assert fact in card


def test_what_the_model_knew_before_pictures_were_added_is_still_known(run, icons, tmp_path):
    """The store of such a run holds the added pictures alone."""
    from limner.data.store import Store

    store, out = Store.open(icons), tmp_path / "more.safetensors"
    network, info = load_model(run)
    index = index_concepts(store, load_encoder("e5-small"), keys={"1F438"})
    knew = info.model_copy(update={"scenes": True, "concepts": {"keys": ["1F438"], "en": ["frog"]}})
    save_model(tmp_path / "run.safetensors", network, knew, concepts=index)
    publish(tmp_path / "run.safetensors", store, out)
    found = read_concepts(out)
    assert found is not None and list(found.captions) == ["frog"]
    assert read_info(out).scenes and read_info(out).concepts == knew.concepts
    publish(run, store, out)
    found = read_concepts(out)
    assert found is not None and set(found.captions) == {"frog", "red apple"}
    assert not read_info(out).scenes


def test_changes_how_it_samples_but_not_its_shape(run, icons, tmp_path):
    from limner.data.store import Store

    store, out = Store.open(icons), tmp_path / "cold.safetensors"
    publish(run, store, out, config={"temperature": 0.0})
    assert load_model(out)[0].config.temperature == 0.0
    for change in ({"prior_width": 999}, {"no_such_key": 1}, {"temperature": "hot"}):
        with pytest.raises(UsageError, match="cannot be published"):
            publish(run, store, tmp_path / "never.safetensors", config=change)
    assert not (tmp_path / "never.safetensors").exists()


def test_refuses_a_store_it_never_saw(run, store, tmp_path):
    from limner.data.store import Store

    with pytest.raises(DataError, match="is not the store"):
        publish(run, Store.open(store), tmp_path / "x.safetensors")
    assert not list(tmp_path.glob("*.safetensors"))


def test_the_command_counts_what_the_model_knows(icons, run, tmp_path):
    def said(model: Path, store: Path) -> str:
        out = tmp_path / f"{model.stem}-out.safetensors"
        words = ["publish", str(model), "--data", str(store), "--out", str(out)]
        done = CliRunner().invoke(build_app(), words)
        assert done.exit_code == 0, done.output
        return done.stdout

    assert said(run, icons).endswith(" MB, 1 concepts\n")
    with StoreWriter(tmp_path / "plain", 16, "plain") as writer:  # as folders of pictures are
        for number, caption in enumerate(("a red heart", "a blue circle")):
            writer.add(np.full((16, 16, 3), 40 * number, np.uint8), [Caption(caption)], {})
        store = writer.finish()
    here = tmp_path / "here.safetensors"
    save_tiny(here, [], store.fingerprint)
    assert said(here, store.path).endswith(" MB, 2 concepts\n")
