"""Reconstruction error of an autoencoder, and how much of its codebook it uses."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from limner.metrics.base import Stream
from limner.metrics.perceptual import Layers, mse, perceptual_distance
from limner.models.autoencoder import of
from limner.models.image_model import ImageModel
from limner.models.similarity import code_use, psnr, ssim

_CHUNK = 64


class Reconstruction(Stream):
    """Scores the reconstructions of a stream of pictures.

    Args:
        model: a VAE, or one that draws in an autoencoder's latents.
        layers: of a network, for a perceptual distance; None for none.

    Raises:
        CapabilityError: the model has no autoencoder.
    """

    def __init__(self, model: ImageModel, layers: Layers | None = None) -> None:
        self._auto, self._layers = of(model), layers
        self._scores: dict[str, list[Tensor]] = {"mse": [], "psnr": [], "ssim": []}
        if layers is not None:
            self._scores["perceptual"] = []
        self._codes: list[Tensor] = []

    @torch.inference_mode()
    def _take(self, images: Tensor, captions: Sequence[str]) -> None:
        device = next(self._auto.parameters()).device
        for part in torch.split(images.to(device), _CHUNK):
            drawn = self._auto.decode(self._auto.encode(part)).clamp(-1, 1)
            for name, score in (("mse", mse), ("psnr", psnr), ("ssim", ssim)):
                self._scores[name].append(score(drawn, part).cpu())
            if self._layers is not None:
                both = drawn.cpu(), part.cpu()
                self._scores["perceptual"].append(perceptual_distance(*both, self._layers))
            if self._auto.config.bottleneck == "fsq":
                self._codes.append(self._auto.codes(part).cpu())

    def per_picture(self) -> dict[str, Tensor]:
        """``mse``, ``psnr``, ``ssim`` and, with layers, ``perceptual``, ``(N,)`` each."""
        return {name: torch.cat(rows) for name, rows in self._scores.items()}

    def compute(self) -> dict[str, float]:
        """Means over the pictures taken in: ``mse``, ``psnr`` in dB, ``ssim``, ``perceptual``.

        The last only where layers were given. With an fsq bottleneck also ``codes``, their
        number, ``codes_used``, the share that occurred, and ``code_perplexity`` as a share of
        that number.
        """
        found = {"pictures": float(sum(map(len, self._scores["mse"])))}
        found |= {name: rows.mean().item() for name, rows in self.per_picture().items()}
        if self._codes:
            size = self._auto.config.codebook_size
            used, even = code_use(torch.cat(self._codes), size)
            found |= {"codes": float(size), "codes_used": used, "code_perplexity": even}
        return found
