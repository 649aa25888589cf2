"""Latents are encoded several at a time, whatever else is new; each picture is encoded once."""

import torch

from limner.models import autoencoder
from limner.models.autoencoder import LatentMemory, frozen
from limner.models.base import Batch, build, families
from limner.text.base import TextFeatures
from tiny_configs import tiny_config


def batch(images: torch.Tensor, rows: list[int]) -> Batch:
    count = len(rows)
    text = TextFeatures(torch.zeros(count, 1, 4), torch.ones(count, 1, dtype=torch.bool),
                        torch.zeros(count, 4))  # fmt: skip
    return Batch(images[rows], text, torch.full((count,), -1), torch.Generator(),
                 indices=torch.tensor(rows))  # fmt: skip


def test_latents_do_not_depend_on_what_is_encoded_beside_them():
    tiny = build("vae", tiny_config(families()["vae"].config_class))
    torch.manual_seed(0)
    encoder = frozen(tiny.autoencoder.config)
    images = torch.rand(40, 3, encoder.config.size, encoder.config.size) * 2 - 1
    calls: list[int] = []

    def encode(pictures: torch.Tensor) -> torch.Tensor:
        calls.append(len(pictures))
        return encoder.encode(pictures)

    memory, other = LatentMemory(), LatentMemory()
    whole = memory.recall(batch(images, list(range(40))), encode)
    assert len(set(calls)) == 1
    assert len(calls) == -(-40 // calls[0]) < 40
    wanted = torch.cat([encoder.encode(image[None]) for image in images])
    torch.testing.assert_close(whole, wanted.detach().float(), rtol=0, atol=1e-4)
    for rows in ([7], [39, 0, 7, 12], list(range(39, -1, -1))):
        assert torch.equal(other.recall(batch(images, rows), encode), whole[rows])
    before = len(calls)
    other.recall(batch(images, [3, 5]), encode)
    assert len(calls) == before


def test_no_more_latents_are_kept_than_there_is_room_for(monkeypatch):
    monkeypatch.setattr(autoencoder, "_CACHE_LIMIT", 10)
    images, seen = torch.rand(20, 3, 4, 4), list[int]()

    def encode(pictures: torch.Tensor) -> torch.Tensor:
        seen.append(len(pictures))
        return pictures[:, :1] * 2

    memory = LatentMemory()
    for _ in range(2):
        for rows in ([0, 15, 3, 3], [19, 9, 15], [3, 9, 0]):
            wanted = images[rows][:, :1] * 2
            assert torch.equal(memory.recall(batch(images, rows), encode), wanted)
    assert len(memory) == 3
    assert len(seen) == 2 + 2  # of rows beyond, each time; the last batch is known
