"""What an autoencoder loses: signal-to-noise ratio, structural similarity, use of its codes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from limner.models.autoencoder import of
from limner.models.base import ImageModel
from limner.models.similarity import code_use, psnr, ssim

_CHUNK = 64


class Reconstruction:
    """Scores a stream of pictures against what a model makes of them.

    Args:
        model: a VAE, or one that draws in an autoencoder's latents.

    Raises:
        CapabilityError: the model has no autoencoder.
    """

    def __init__(self, model: ImageModel) -> None:
        self._auto = of(model)
        self._psnr: list[Tensor] = []
        self._ssim: list[Tensor] = []
        self._codes: list[Tensor] = []

    @torch.inference_mode()
    def update(self, images: Tensor, captions: Sequence[str] = ()) -> None:
        """Take in ``(B, 3, S, S)`` float32 pictures in [-1, 1]; captions are not looked at."""
        for part in torch.split(images, _CHUNK):
            drawn = self._auto.decode(self._auto.encode(part)).clamp(-1, 1)
            self._psnr.append(psnr(drawn, part))
            self._ssim.append(ssim(drawn, part))
            if self._auto.config.bottleneck == "fsq":
                self._codes.append(self._auto.codes(part))

    def compute(self) -> dict[str, float]:
        """Means over the pictures seen: ``psnr`` in dB and ``ssim``.

        With an fsq bottleneck also ``codes``, their number, ``codes_used``, the share that
        occurred, and ``code_perplexity`` as a share of that number.
        """
        found = {
            "pictures": float(sum(map(len, self._psnr))),
            "psnr": torch.cat(self._psnr).mean().item(),
            "ssim": torch.cat(self._ssim).mean().item(),
        }
        if self._codes:
            size = self._auto.config.codebook_size
            used, even = code_use(torch.cat(self._codes), size)
            found |= {"codes": float(size), "codes_used": used, "code_perplexity": even}
        return found


def reconstruction_report(model: ImageModel, images: Tensor) -> dict[str, float]:
    """:class:`Reconstruction` of one stack of pictures ``(B, 3, S, S)`` in [-1, 1], B >= 1.

    Raises:
        CapabilityError: the model has no autoencoder.
    """
    metric = Reconstruction(model)
    metric.update(images)
    return metric.compute()
