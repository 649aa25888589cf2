"""A run with a prior of exemplars keeps every picture of its store."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch

from limner.data.store import Caption, Store
from limner.data.writer import StoreWriter
from limner.errors import RecipeError
from limner.modelfile import load_model, save_model
from limner.modelinfo import ModelInfo
from limner.models.base import build
from limner.models.vae import VAEConfig
from limner.training.additions import report_additions
from limner.training.loop import train
from limner.training.session import open_session
from limner.vision.pixels import to_tensor
from tiny_configs import tiny_config
from tiny_models import save_tiny

MODEL = {"prior_kind": "exemplars", "autoencode": 0.0, "prior": 0.0, "exemplar_bytes": 64,
         "text_rank": 4, "modes": 8}  # fmt: skip


@pytest.fixture
def given(recipe, tree, tmp_path):
    """``given(steps)``: a recipe that takes encoder and decoder of a file."""
    torch.manual_seed(3)
    config = tiny_config(VAEConfig, text_dim=8)
    model = build("vae", config)
    info = ModelInfo(
        family="vae", config=config.model_dump(mode="json"), encoder="e5-small",
        encoder_fingerprint="0" * 16,
    )  # fmt: skip
    save_model(tmp_path / "vae.safetensors", model, info)

    def make(steps: int = 6, **data: object):
        return recipe(
            {"steps": steps, "accumulate": 1, "warmup_steps": 0}, family="vae", model=MODEL,
            autoencoder=str(tmp_path / "vae.safetensors"),
            data={"store": tree["data"]["store"], "captions": 1, **data},
        )  # fmt: skip

    return make


def test_every_picture_is_kept_under_its_heaviest_caption(given, store, tmp_path):
    recipe = given()
    model, _ = load_model(train(recipe, tmp_path / "run", quiet=True))
    pictures = Store.open(store)
    images = to_tensor(torch.from_numpy(pictures.batch(range(len(pictures)))))
    kept = model.prior.latents(torch.arange(len(pictures)))
    assert torch.allclose(kept, model.autoencoder.encode(images), atol=0.05)
    table = open_session(recipe).pictures.captions
    texts = [table.texts[i] for i in table.heaviest()]
    assert len(model.prior.keys) == len(set(texts))
    same = model.prior.texts[:, None] == model.prior.texts
    assert same.tolist() == [[a == b for a in texts] for b in texts]
    assert model.prior.styles.tolist() == pictures.style_ids.tolist()


def test_exemplars_stay_when_a_run_goes_on_and_when_another_starts_from_it(given, tmp_path):
    out = tmp_path / "run"
    kept = load_model(train(given(3), out, quiet=True))[0].state_dict()
    longer = load_model(train(given(3), out, steps=6, resume=True, quiet=True))[0].state_dict()
    later = given(2).model_copy(update={"init": str(out / "model.safetensors")})
    session = open_session(later)
    assert session.fitted
    for others in (longer, session.model.state_dict()):
        assert all(torch.equal(others[n], kept[n]) for n in kept if n.startswith("prior."))
    assert any(not torch.equal(longer[n], kept[n]) for n in kept if n.startswith("decoder."))


def test_pictures_are_added_to_those_of_the_model_before(given, recipe, tmp_path):
    before = train(given(3), tmp_path / "before", quiet=True)
    old, info = load_model(before)
    with StoreWriter(tmp_path / "mine", 16, "mine", licences={"me": "CC0-1.0"}) as writer:
        for number, caption in enumerate(("a red flag", "a flag", "a red flag")):
            image = np.full((16, 16, 3), 40 * number, np.uint8)
            writer.add(image, [Caption(caption)], {"id": str(number)})
        mine = writer.finish()
    more = recipe(
        {"steps": 3, "accumulate": 1, "batch_size": 3}, family="vae", model={},
        init=str(before), data={"store": str(mine.path)},
    )  # fmt: skip
    out = tmp_path / "after"
    path = train(more, out, quiet=True)
    new, after = load_model(path)
    count = len(old.prior.texts)
    assert new.config.styles == (*old.config.styles, "mine")
    assert after.licences == {**info.licences, "me": "CC0-1.0"}
    assert torch.equal(
        new.prior.latents(torch.arange(count)), old.prior.latents(torch.arange(count))
    )
    assert new.prior.styles[count:].tolist() == [len(old.config.styles)] * 3
    assert new.prior.texts[count] == new.prior.texts[count + 2] != new.prior.texts[count + 1]
    assert new.prior.texts[count] in old.prior.texts, "of a caption that was known"
    assert torch.equal(new.prior.whitening.matrix, old.prior.whitening.matrix)
    pictures = to_tensor(torch.from_numpy(mine.batch(range(3))))
    kept = new.prior.latents(count + torch.arange(3))
    coarse = (kept - new.autoencoder.encode(pictures)).square().mean().sqrt()
    assert coarse < 0.5 * new.autoencoder.encode(pictures).std()
    losses = [json.loads(line).get("loss", {}) for line in (out / "log.jsonl").open()]
    assert any("rehearsal" in each for each in losses)
    spoiled = _with_decoder(path, tmp_path / "same.safetensors", old.decoder.state_dict())
    learned, kept_line = report_additions(spoiled, more)
    assert re.match(r"learned: [0-3] of 3 added pictures", learned)
    assert kept_line.endswith("none has changed"), kept_line
    none = {name: torch.zeros_like(value) for name, value in old.decoder.state_dict().items()}
    assert "differ by" in report_additions(_with_decoder(path, spoiled, none), more)[1]
    assert report_additions(before, given(3)) == [], "nothing was added"
    reader = save_tiny(tmp_path / "reader.safetensors", "aligner")
    again = more.model_copy(update={"init": str(reader)})
    assert report_additions(reader, again) == [], "what only reads has learned no drawings"
    longer = load_model(train(more, out, steps=5, resume=True, quiet=True))[0]
    assert torch.equal(longer.prior.code.codes, new.prior.code.codes)


def _with_decoder(path, out, weights):
    """The same model file with another decoder."""
    model, info = load_model(path)
    model.decoder.load_state_dict(weights)
    save_model(out, model, info)
    return out


def test_pictures_must_be_as_they_are(given):
    for data in ({"flip": True}, {"augment": {"hue": 5}}, {"holdout": {"share": 0.5}}):
        with pytest.raises(RecipeError, match=r"model\.prior_kind: exemplars are the training"):
            open_session(given(**data))
