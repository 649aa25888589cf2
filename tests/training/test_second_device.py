"""A step's losses on a device beside the CPU: the CPU's, and without waiting for the device."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

import pytest
import torch

import second_device
from limner.models.base import families
from limner.training.data import BatchLoader
from limner.training.session import caption_sample, encode_captions, open_session
from tiny_configs import tiny_autoencoder, tiny_config

CHANGED = {"flip": True, "augment": {"shift_px": 2, "hue": 10, "outline": 0.5, "warp": 0.1,
           "brightness": 0.1}}  # fmt: skip
LATENTS = {"latents": tiny_autoencoder().model_dump(mode="json"), "patch": 2}
GAN = {"penalty_every": 4, "augment": "adaptive"}
RUNS = [("flow", 0.5, {}, CHANGED), ("flow", 0.5, LATENTS, {}), ("ar", 0.5, {}, {}),
        ("gan", 0.5, GAN, {}), ("vae", 0.0, {"crop": 8, "adversarial": 0.1}, {}),
        ("vae", 0.9, {}, {}), ("aligner", 0.5, {}, {}), ("captioner", 0.9, {}, {})]  # fmt: skip
"""Families, where in the budget, and what of the model's and of the data's options is changed."""


@pytest.fixture
def generators(monkeypatch):
    second_device.register()
    monkeypatch.setattr(torch, "Generator", second_device.Generator)


@pytest.mark.parametrize(("family", "progress", "model", "data"), RUNS)
def test_a_step_waits_for_nothing(family, progress, model, data, recipe, generators):
    tiny = tiny_config(families()[family].config_class, text_dim=8, styles=("flat",), **model)
    asked = recipe(
        family=family, model=tiny.model_dump(mode="json", exclude={"size", "text_dim", "styles"}),
        data={"store": recipe().data.store, **data},
    )  # fmt: skip
    session = open_session(asked)
    table = encode_captions(session)
    session.model.prepare(caption_sample(session, table))
    found, waited = [], {}
    for name in ("cpu", second_device.NAME):
        device = torch.device(name)
        moved = session.model.train().to(device)
        with ExitStack() as opened:
            loader = BatchLoader(session.pictures, table, asked.data, batch_size=6, seed=1,
                                 device=device, channels_last=False)  # fmt: skip
            opened.callback(loader.close)
            for _ in range(2):  # what is remembered of a picture is found the first time
                with second_device.waits() as waits:
                    batch = replace(loader.batch(3, ahead=False), progress=progress)
                    batch.generator.manual_seed(5)
                    losses = {f"{group}/{key}": value for group in moved.optimizer_groups
                              for key, value in moved.losses(batch, group).items()}  # fmt: skip
            found.append({key: value.detach().cpu() for key, value in losses.items()})
            waited[name] = list(waits)
    torch.testing.assert_close(found[1], found[0], rtol=1e-5, atol=1e-6)
    assert waited == {"cpu": [], second_device.NAME: []}


def test_waits_are_seen():
    second_device.register()
    there = torch.arange(3).to(second_device.NAME)
    asks = {
        "_local_scalar_dense": lambda: int(there.sum()),
        "_copy_from": there.cpu,
        "nonzero": there.nonzero,
        "index": lambda: there[torch.tensor([0, 2])],
    }
    for name, ask in asks.items():
        with second_device.waits() as found:
            ask()
        assert [each.partition(" ")[0] for each in found] == [name]
    with second_device.waits() as found:
        torch.ones(3).to(second_device.NAME)
    assert len(found) == 1
    with second_device.waits() as found:
        _ = torch.ones(3).to(second_device.NAME, non_blocking=True) + there
    assert not found
