"""Parts that two families share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from limner.errors import UsageError
from limner.models.base import ModelConfig, image_noise
from limner.text.base import TextFeatures

_CHUNK = 65_536
_EPS = 1e-6
_STYLE_STREAM = 1
_COLOUR = 4 / 255
"""Difference of channels from which a picture is no longer grey."""


class WhitenedConfig(ModelConfig):
    """Configuration of a family that whitens its texts' vectors."""

    text_rank: int = Field(256, ge=1, description="whitened dimensions kept of each text vector")

    @model_validator(mode="before")
    @classmethod
    def _fill_rank(cls, values: object) -> object:
        """Keep as many as there are, where the rank is not given."""
        fields = cls.model_fields
        dim = values.get("text_dim", fields["text_dim"].default) if isinstance(values, dict) else 0
        if not isinstance(values, dict) or not isinstance(dim, int):
            return values
        return {"text_rank": max(1, min(fields["text_rank"].default, dim)), **values}

    @model_validator(mode="after")
    def _rank_fits(self) -> Self:
        if self.text_rank > self.text_dim:
            raise ValueError(f"'text_rank' is {self.text_rank}, more than text_dim {self.text_dim}")
        return self


class TextWhitening(nn.Module):
    """Centre and whiten text vectors by PCA, so that near neighbours come apart.

    Sentence vectors of a language model crowd together (cosines above 0.75 for unrelated
    texts). After :meth:`fit` the features are uncorrelated over the texts it was fitted to and
    their variances average to one. Until then the module is the identity. Use one instance for
    sentence vectors and another for token vectors.

    Args:
        dim: D, width of what comes in.
        out_dim: K, width of what goes out, the K strongest directions; D when None.

    Raises:
        UsageError: K is not in 1..D.
    """

    mean: Tensor
    matrix: Tensor

    def __init__(self, dim: int, out_dim: int | None = None) -> None:
        super().__init__()
        out = dim if out_dim is None else out_dim
        if not 1 <= out <= dim:
            raise UsageError(f"whitening {dim} numbers into {out} is impossible; ask for 1..{dim}")
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("matrix", torch.eye(dim, out))

    @torch.no_grad()
    def fit(self, vectors: Tensor, floor: float = 1e-2) -> None:
        """Learn the transform from ``(N, D)`` float vectors, N >= 1.

        With the covariance C = U diag(e) U^T, the matrix is U_K diag(max(e, floor * e_max))^-1/2,
        scaled so that the K variances average to one. Vectors that are all alike are centred
        only.

        Args:
            vectors: for tokens, only those that the mask keeps.
            floor: smallest eigenvalue taken at its word, as a share of the largest; directions
                below it are mostly noise and would otherwise be blown up.

        Raises:
            UsageError: the shape is wrong, or a number is not finite.
        """
        dim, out = self.matrix.shape
        if vectors.ndim != 2 or vectors.shape[1] != dim or not len(vectors):
            raise UsageError(
                f"whitening was given vectors of shape {tuple(vectors.shape)}; it takes (N, {dim})"
            )
        if not bool(torch.isfinite(vectors).all()):
            raise UsageError("some text vectors are not finite; fix the text encoder")
        mean = vectors.mean(0, dtype=torch.float64)  # (D,)
        covariance = torch.zeros(dim, dim, dtype=torch.float64, device=vectors.device)
        for chunk in torch.split(vectors, _CHUNK):
            centred = chunk.double() - mean  # (n, D)
            covariance.addmm_(centred.T, centred)
        values, basis = torch.linalg.eigh((covariance / len(vectors)).cpu())  # ascending
        values, basis = values.flip(0)[:out].clamp_min(0), basis.flip(1)[:, :out]
        self.mean.copy_(mean)
        if float(values[0]) < 1e-12:  # one caption for every picture: no direction to prefer
            self.matrix.copy_(torch.eye(dim, out))
            return
        kept = values.clamp_min(floor * float(values[0]))  # (K,)
        scale = (values / kept).mean().rsqrt()
        self.matrix.copy_(basis * (scale / kept.sqrt()))

    def forward(self, vectors: Tensor, mask: Tensor | None = None) -> Tensor:
        """Whiten ``(..., D)`` vectors into ``(..., K)`` float32.

        Args:
            vectors: any floating type.
            mask: ``(...)`` bool; where false the result is zero.
        """
        out = (vectors.float() - self.mean) @ self.matrix  # (..., K)
        return out if mask is None else out * mask.unsqueeze(-1)


def fit_whitenings(text: TextFeatures, pooled: TextWhitening, tokens: TextWhitening) -> None:
    """Fit both whitenings to the features of (a sample of) the training captions."""
    pooled.fit(text.pooled)
    tokens.fit(text.tokens[text.mask])


def whitened(text: TextFeatures, pooled: TextWhitening, tokens: TextWhitening) -> TextFeatures:
    """Text features ``(..., D)`` whitened to ``(..., K)``, each vector of mean square one.

    They are normalised because a text far from all the fitted ones must not shout. Tokens beyond
    a text's own length stay zero.
    """
    return TextFeatures(
        rms_norm(tokens(text.tokens, text.mask)), text.mask, rms_norm(pooled(text.pooled))
    )


def choose_styles(styles: Tensor | None, seeds: Sequence[int], count: int) -> Tensor:
    """The style of each picture, ``(B,)`` int64: where it is -1 or not given, the seed chooses.

    Args:
        styles: ``(B,)`` int64 in [-1, count), or None for -1 everywhere.
        seeds: B seeds; a choice depends on its own seed alone and is uniform over the styles.
        count: how many styles the model has; with none, every style stays -1 (unknown).
    """
    given = torch.full((len(seeds),), -1) if styles is None else styles.cpu()  # (B,)
    if count == 0:
        return given
    uniform = torch.special.ndtr(image_noise(seeds, (), stream=_STYLE_STREAM))  # (B,)
    chosen = (uniform * count).long().clamp_max(count - 1)
    return torch.where(given < 0, chosen, given)


class _RMSNorm(torch.autograd.Function):
    """y = x / sqrt(mean(x^2) + eps) over the last axis, with a short backward pass.

    With r = 1 / sqrt(mean(x^2) + eps): dL/dx = r * (g - y * mean(g * y)). PyTorch's own backward
    on the CPU is a chain of unfused kernels, two to five times slower at our shapes.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        norm: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)  # (..., 1)
        scale = norm.square_().div_(x.shape[-1]).add_(_EPS).rsqrt_()
        y = x * scale
        ctx.save_for_backward(y, scale)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        y, scale = ctx.saved_tensors
        along = (grad * y).mean(-1, keepdim=True)  # (..., 1)
        return torch.addcmul(grad, y, along, value=-1).mul_(scale)


def rms_norm(x: Tensor) -> Tensor:
    """Divide the last axis by its root mean square (Zhang and Sennrich 2019, eq. 4, no weight).

    Args:
        x: ``(..., D)`` float.
    """
    if x.device.type == "cpu" and not torch.compiler.is_compiling():
        return cast(Tensor, _RMSNorm.apply(x))  # type: ignore[no-untyped-call]
    return nn.functional.rms_norm(x, x.shape[-1:], eps=_EPS)


def grey(images: Tensor) -> Tensor:
    """The one channel, ``(B, 1, S, S)``, of ``(B, 3, S, S)`` pictures without colours.

    Raises:
        UsageError: they have colours.
    """
    if float((images.amax(1) - images.amin(1)).max()) > _COLOUR:
        raise UsageError(
            "these pictures have colours, and the model is of grey ones; set model.channels=3"
        )
    return images.mean(1, keepdim=True)
