"""The space that a captioner's pictures share with captions, as an aligner.

It is trained with the captioner (:class:`limner.models.captioner.SharedSpace`), apart from the
shipped aligner, so that the two do not err on all the same pictures. A picture is encoded as for a
caption, as the mean of three views.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from limner.errors import UsageError
from limner.reading.aligner import encoded_in_tiles
from limner.reading.captions import OwnCaptioner
from limner.text.base import TextEncoder
from limner.vision.backbone import resized

_TILE = 8
"""Pictures that are encoded at once, each in three views."""


class CaptionSpace:
    """A captioner of limner, asked how well pictures and texts match.

    Args:
        captioner: with a shared space.
        encoder: of texts; None for the captioner's own. Another one with the same fingerprint gives
            the same vectors, and remembers what it has read.

    Attributes:
        spec: of the captioner.
        fingerprint: of the captioner.
        dim: E, numbers in a vector.

    Raises:
        UsageError: the captioner has no shared space.
    """

    def __init__(self, captioner: OwnCaptioner, encoder: TextEncoder | None = None) -> None:
        meaning = captioner.model.meaning
        if meaning is None:
            raise UsageError(
                f"the captioner {captioner.spec} has no space that pictures and texts share; "
                "choose one trained with 'common'"
            )
        self._captioner, self._meaning = captioner, meaning
        self._encoder = encoder or captioner.encoder
        self.spec, self.fingerprint = captioner.spec, captioner.fingerprint
        self.dim = captioner.model.config.common

    @torch.inference_mode()
    def encode_images(self, images: Tensor) -> Tensor:
        """``(B, 3, H, W)`` pictures in [-1, 1] to ``(B, E)`` float32 of unit length."""
        model, device = self._captioner.model, self._captioner.device
        small = resized(images.float(), model.config.size)
        return encoded_in_tiles(small, lambda tile: model.encode_averaged(tile.to(device)), _TILE)

    @torch.inference_mode()
    def encode_once(self, images: Tensor) -> Tensor:
        """As :meth:`encode_images`, but by one view: three times as fast, and less sure."""
        model, device = self._captioner.model, self._captioner.device
        small = resized(images.float(), model.config.size)
        return encoded_in_tiles(
            small, lambda tile: F.normalize(model.encode(tile.to(device)), dim=1), _TILE
        )

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """B texts to ``(B, E)`` float32 of unit length."""
        pooled = self._encoder.encode(list(texts)).pooled
        return self._meaning.encode_texts(pooled.to(self._captioner.device)).cpu()

    @torch.inference_mode()
    def logits(self, images: Tensor, texts: Tensor) -> Tensor:
        """Products ``(B, C)`` scaled by the temperature of the softmax loss."""
        return self._meaning.scale.exp().clamp(max=100).cpu() * images @ texts.T
