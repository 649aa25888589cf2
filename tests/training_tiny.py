"""A small real family with everything that could spoil an exact resume, and a store for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from limner.data.store import Caption, Store
from limner.data.writer import StoreWriter
from limner.models.base import Batch, ModelConfig, ParameterGroup, register
from limner.models.image_model import image_noise
from limner.models.one_shot import OneShotModel
from limner.models.rows import SampleRequest
from limner.models.settings import Capability

NAME = "tests-tiny"
COLOURS = {"red": (220, 30, 30), "green": (30, 200, 60), "blue": (40, 60, 230), "white": (250,) * 3}


class TinyConfig(ModelConfig):
    width: int = Field(8, ge=1)
    dropout: float = Field(0.1, ge=0, lt=1)
    noise: float = Field(0.1, ge=0)
    poison: float = Field(2.0, description="progress from which on the loss is not a number")


@register(NAME, TinyConfig)
class Tiny(OneShotModel):
    """Text → picture by two convolutions, and a critic that tells real from drawn."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.GENERATE})

    def __init__(self, config: TinyConfig) -> None:
        super().__init__()
        self.config = config
        w, side = config.width, config.size // 4
        self.register_buffer("centre", torch.zeros(config.text_dim))
        self.read = nn.Linear(config.text_dim, w * side * side)
        self.drop = nn.Dropout(config.dropout)
        self.norm = nn.BatchNorm2d(w, momentum=0.1 if config.dropout else 0.0)
        self.up = nn.ConvTranspose2d(w, w, 4, 4)
        self.paint = nn.Conv2d(w, 3, 3, padding=1)
        self.critic = nn.Sequential(nn.Conv2d(3, w, 4, 4), nn.SiLU(), nn.Flatten(),
                                    nn.Linear(w * side * side, 1))  # fmt: skip

    @property
    def optimizer_groups(self) -> dict[str, ParameterGroup]:
        critic = list(self.critic.parameters())
        mine = set(critic)
        return {
            "model": ParameterGroup([p for p in self.parameters() if p not in mine]),
            "critic": ParameterGroup(critic, lr_scale=0.5, betas=(0.0, 0.9)),
        }

    def prepare(self, text: Any) -> None:
        self.centre.copy_(text.pooled.mean(0))

    def forward(self, pooled: Tensor, noise: Tensor) -> Tensor:
        side = self.config.size // 4
        x = self.read(self.drop(pooled - self.centre + self.config.noise * noise))
        x = x.view(len(x), -1, side, side)
        x = self.norm(x) if self.config.dropout else x
        return torch.tanh(self.paint(nn.functional.silu(self.up(x))))

    def losses(self, batch: Batch, group: str) -> dict[str, Tensor]:
        noise = torch.randn(batch.text.pooled.shape, generator=batch.generator)
        drawn = self(batch.text.pooled, noise)
        if group == "critic":
            real, fake = self.critic(batch.images), self.critic(drawn.detach())
            return {"critic": nn.functional.softplus(fake - real).mean()}
        pixels = (drawn - batch.images).abs().mean()
        if batch.progress >= self.config.poison:
            pixels = pixels / 0.0
        return {"pixels": pixels, "fool": nn.functional.softplus(-self.critic(drawn)).mean()}

    def latents(self, request: SampleRequest) -> Tensor:
        noise = image_noise(request.seeds, request.text.pooled.shape[1:])
        return torch.stack((request.text.pooled, noise), 1)

    def decode(self, latents: Tensor) -> Tensor:
        return self(latents[:, 0], latents[:, 1])


def make_store(path: Path, count: int = 24, size: int = 16) -> Store:
    writer = StoreWriter(path, size, "colours", licences={"tests": "CC0-1.0"})
    random = np.random.default_rng(0)
    names = list(COLOURS)
    for i in range(count):
        name = names[i % len(names)]
        picture = np.empty((size, size, 3), np.uint8)
        picture[:] = COLOURS[name]
        picture[: 1 + int(random.integers(size // 2))] //= 2
        captions = [Caption(name), Caption(f"a {name} flag", "en", 2.0), Caption(f"{name}o", "xx")]
        writer.add(picture, captions, {"id": str(i), "style": "flat", "concept": name})
    return writer.finish()


if __name__ == "__main__":
    from limner.cli import main

    main()
