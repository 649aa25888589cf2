"""What a run of a LoRA sees of itself: its loss on held-out pictures, and a sheet of samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from limner.generation.backends.characters import CharacterEncoder
from limner.generation.backends.opening import hub_info
from limner.generation.generator import Generator
from limner.models.settings import Settings
from limner.training.data import Pictures
from limner.training.machine import autocast
from limner.training.pipeline_losses import PipelineLoss
from limner.training.samples import draw_sheet

_SEED = 1_000_003
"""Of noise and times: the same in every run, whatever the run's own seed."""
_TERMS = 64
"""Least number of noises and times that the loss is a mean over."""
_PROMPTS = 4


class HeldOutLoss:
    """The loss on pictures that are not learned from, always with the same noise and times.

    Args:
        losses: of the pipeline.
        pictures: held out; each is measured with its heaviest caption.
        latents: of these, ``(N, ...)`` on the CPU.
        batch_size: pictures at once.
        device: where the pipeline is.
    """

    def __init__(
        self,
        losses: PipelineLoss,
        pictures: Pictures,
        latents: Tensor,
        batch_size: int,
        device: torch.device,
    ) -> None:
        self._losses, self._latents, self._device = losses, latents, device
        table = pictures.captions
        self._captions = [table.texts[number] for number in table.heaviest().tolist()]
        self._batch_size = batch_size
        self._rounds = -(-_TERMS // len(latents))

    def measure(self) -> dict[str, float]:
        """``loss``: its mean over all pictures, each with as many noises as there are rounds."""
        total, number = 0.0, 0
        with evaluating(self._losses), torch.no_grad(), autocast("auto", self._device):
            for _ in range(self._rounds):
                for start in range(0, len(self._latents), self._batch_size):
                    latents = self._latents[start : start + self._batch_size]
                    captions = self._captions[start : start + self._batch_size]
                    generator = torch.Generator().manual_seed(_SEED + number)
                    wide = latents.to(self._device).float()
                    total += float(self._losses.loss(wide, captions, generator)) * len(latents)
                    number += 1
        return {"loss": total / (self._rounds * len(self._latents))}


def draw_samples(
    losses: PipelineLoss, prompts: Sequence[str], steps: int | None, device: torch.device
) -> Image.Image | None:
    """What the pipeline draws with the adapter as it is, see :func:`draw_sheet`.

    Args:
        losses: of the pipeline.
        prompts: are drawn.
        steps: of a picture; None for the pipeline's own number.
        device: where the pipeline is.
    """
    encoder, model = CharacterEncoder(), losses.model
    generator = Generator(model, hub_info(model, encoder), encoder, device=device)
    with evaluating(losses):
        return draw_sheet(generator, prompts, Settings(steps=steps))


def default_prompts(pictures: Pictures) -> list[str]:
    """Captions of some pictures, far apart in their store."""
    table = pictures.captions
    texts = [table.texts[number] for number in table.heaviest().tolist()]
    places = np.linspace(0, len(texts) - 1, min(_PROMPTS, len(texts))).round().astype(int)
    return list(dict.fromkeys(texts[place] for place in places.tolist()))


@contextmanager
def evaluating(losses: PipelineLoss) -> Iterator[None]:
    """The denoiser in eval mode, for as long as the context lasts."""
    losses.denoiser.eval()
    try:
        yield
    finally:
        losses.denoiser.train()
