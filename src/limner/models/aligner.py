"""aligner: pictures and texts in one space, where those that match are close.

Two towers: a convolutional one for pictures and a small one for the features of the text encoder.
Both end in vectors of unit length, whose product says how well a picture and a text match. They are
trained by the sigmoid loss of SigLIP (Zhai et al. 2023, arXiv:2303.15343) or the softmax loss of
CLIP (Radford et al. 2021, arXiv:2103.00020) over the pairs of a batch.

Shape letters: B pictures, S side, N cells of the picture's grid, W their width, E the common space.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from limner.models.base import Batch, Model, register
from limner.models.conditioning import PooledConditioning, PooledConfig
from limner.models.layers import unequal
from limner.models.settings import Capability
from limner.models.tower import PictureEncoder, PictureEncoderConfig
from limner.text.base import TextFeatures


class AlignerConfig(PictureEncoderConfig, PooledConfig):
    """Configuration of the two towers and their loss."""

    embed_dim: int = Field(192, ge=4, le=4096, description="E, width of the common space")
    hidden: int = Field(384, ge=4, description="width inside the text tower")
    max_tokens: int = Field(16, ge=1, le=256, description="text tokens that are read")
    loss: Literal["sigmoid", "softmax"] = Field("sigmoid", description="over the pairs of a batch")
    alike: float = Field(
        0.9, gt=-1, le=1, description="cosine of whitened captions from which they count as equal, "
        "so that neither is a negative of the other's picture",
    )  # fmt: skip


class ImageTower(nn.Module):
    """Picture to a vector of unit length."""

    def __init__(self, config: AlignerConfig) -> None:
        super().__init__()
        self.whole = PictureEncoder(config)
        self.mix = nn.Linear(self.whole.width, config.embed_dim)

    def forward(self, images: Tensor) -> Tensor:
        """``(B, 3, S, S)`` in [-1, 1] to ``(B, E)``."""
        return F.normalize(self.mix(self.whole(images)).float(), dim=1)


class TextTower(nn.Module):
    """Text features to a vector of unit length."""

    def __init__(self, config: AlignerConfig) -> None:
        super().__init__()
        self.reader = PooledConditioning(config)
        self.first = nn.Linear(self.reader.width, config.hidden)
        self.norm = nn.LayerNorm(config.hidden)
        self.last = nn.Linear(config.hidden, config.embed_dim)

    def forward(self, text: TextFeatures, generator: torch.Generator | None = None) -> Tensor:
        """B texts to ``(B, E)``; a generator adds the noise of training."""
        unknown = torch.full((len(text),), -1, device=text.pooled.device)
        hidden = self.first(self.reader(text, unknown, generator))
        return F.normalize(self.last(F.silu(self.norm(hidden))).float(), dim=1)


@register("aligner", AlignerConfig)
class AlignerModel(Model):
    """Two towers; see the module."""

    config: AlignerConfig
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.ALIGN})

    def __init__(self, config: AlignerConfig) -> None:
        super().__init__()
        self.config = config
        self.looking, self.reading = ImageTower(config), TextTower(config)
        sigmoid = config.loss == "sigmoid"
        self.scale = nn.Parameter(torch.tensor(math.log(10.0 if sigmoid else 1 / 0.07)))
        self.bias = nn.Parameter(torch.tensor(-10.0)) if sigmoid else None

    def prepare(self, text: TextFeatures) -> None:
        """Fit the whitenings to (a sample of) the training captions."""
        self.reading.reader.prepare(text)

    def encode_images(self, images: Tensor) -> Tensor:
        """``(B, 3, S, S)`` pictures in [-1, 1] to ``(B, E)`` of unit length."""
        return self.looking(images)  # type: ignore[no-any-return]

    def encode_texts(self, text: TextFeatures) -> Tensor:
        """B texts to ``(B, E)`` of unit length."""
        return self.reading(text)  # type: ignore[no-any-return]

    def logits(self, images: Tensor, texts: Tensor) -> Tensor:
        """How well ``(B, E)`` pictures and ``(C, E)`` texts match: ``(B, C)``, unbounded.

        With the sigmoid loss, its sigmoid is the probability that a pair matches.
        """
        found = self.scale.exp().clamp(max=100) * images @ texts.T
        return found if self.bias is None else found + self.bias

    def losses(self, batch: Batch, group: str) -> dict[str, Tensor]:
        """``align``: the loss over all pairs of the batch but equal captions or pictures."""
        images = self.looking(batch.images)
        texts = self.reading(batch.text, batch.generator)
        known = self._counted(batch)
        kind = sigmoid_loss if self.config.loss == "sigmoid" else softmax_loss
        return {"align": kind(self.logits(images, texts), known)}

    @torch.no_grad()
    def _counted(self, batch: Batch) -> Tensor:
        """``(B, B)`` bool: the pairs that count, without those whose text is right as well."""
        pooled = F.normalize(self.reading.reader.whitened_pooled(batch.text).float(), dim=1)
        apart = pooled @ pooled.T < self.config.alike
        keys: list[Sequence[object]] = [batch.captions]
        if batch.indices is not None:
            keys.append(batch.indices.tolist())
        for key in filter(len, keys):
            apart &= unequal(key, apart.device)
        return apart | torch.eye(len(apart), dtype=torch.bool, device=apart.device)

    @torch.no_grad()
    def figures(self, batch: Batch) -> dict[str, Tensor]:
        """``retrieval``: share of the batch's texts that find their own picture first."""
        found = self.logits(
            self.encode_images(batch.images), self.encode_texts(batch.text)
        )  # (B, B)
        rivals = found.masked_fill(~self._counted(batch), -math.inf)
        first = rivals.argmax(0) == torch.arange(len(found), device=found.device)
        return {"retrieval": first.float().mean()}


def sigmoid_loss(logits: Tensor, known: Tensor) -> Tensor:
    """-1/B sum_ij log sigmoid(z_ij l_ij), z = 1 for i = j and -1 elsewhere (SigLIP, eq. 1).

    Args:
        logits: ``(B, B)``, pictures by texts.
        known: ``(B, B)`` bool, the pairs that count; the diagonal always.
    """
    sign = 2 * torch.eye(len(logits), device=logits.device) - 1
    return -(F.logsigmoid(sign * logits) * known).sum() / len(logits)


def softmax_loss(logits: Tensor, known: Tensor) -> Tensor:
    """Mean of the cross-entropies over texts and over pictures (CLIP, figure 3).

    Args:
        logits: ``(B, B)``, pictures by texts.
        known: ``(B, B)`` bool, the pairs that count; the diagonal always.
    """
    counted = logits.masked_fill(~known, -math.inf)
    own = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(counted, own) + F.cross_entropy(counted.T, own)) / 2
