"""Text conditioning: what of a prompt, a style and a reference picture reaches a network.

The vectors of the text encoder are whitened and joined with a reference picture where there is one
(:mod:`limner.models.fusion`), and a style has an embedding of its own, the last row of which stands
for an unknown one. What the network gets is the family's: one vector (:class:`PooledConditioning`),
a prefix, or tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from limner.errors import UsageError
from limner.models.base import Batch, ModelConfig
from limner.models.fusion import Fusion
from limner.models.image_model import image_noise
from limner.models.layers import normal_like, principal_axes, rms_norm
from limner.models.rows import SampleRequest
from limner.models.settings import find_style
from limner.text.base import TextFeatures
from limner.vision.base import ImageFeatures

_STYLE_STREAM = 1
_STYLE_WIDTH = 64


class WhitenedConfig(ModelConfig):
    """Configuration of a family that whitens its texts' vectors."""

    text_rank: int = Field(
        default_factory=lambda known: min(256, known["text_dim"]), ge=1,
        description="whitened dimensions kept of each text vector; left out, up to 256",
    )  # fmt: skip

    @model_validator(mode="after")
    def _rank_fits(self) -> Self:
        if self.text_rank > self.text_dim:
            raise ValueError(f"'text_rank' is {self.text_rank}, more than text_dim {self.text_dim}")
        return self


class PooledConfig(WhitenedConfig):
    """Configuration of a family with a :class:`PooledConditioning`."""

    text_noise: float = Field(0.1, ge=0, description="noise on text vectors while learning")
    queries: int = Field(4, ge=0, le=64, description="attention reads of the tokens")
    max_tokens: int = Field(12, ge=1, le=256, description="text tokens that are read")


class GuidedConfig(ModelConfig):
    """Configuration of a family that is guided by what it draws without caption and style."""

    caption_drop: float = Field(
        0.1, ge=0, lt=1, description="chance of learning without caption and style"
    )
    style_drop: float = Field(0.1, ge=0, lt=1, description="chance of learning without the style")
    guidance: float = Field(3.0, ge=0, le=50, description="classifier-free guidance")

    def drop(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Which rows learn without their caption, ``(B,)`` bool, and the styles of all rows."""
        g, count = batch.generator, len(batch.styles)
        chance = torch.rand(2, count, generator=g, device=batch.styles.device)  # (2, B)
        drop = chance[0] < self.caption_drop
        return drop, torch.where(drop | (chance[1] < self.style_drop), -1, batch.styles)


class TextWhitening(nn.Module):
    """Centre and whiten text vectors by PCA, so that near neighbours are separated.

    Sentence vectors of a language model lie close together (cosines above 0.75 for unrelated
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
        scaled so that the K variances average to one. Vectors that are all equal are centred
        only.

        Args:
            vectors: for tokens, only those that the mask keeps.
            floor: smallest eigenvalue that is used as it is, as a share of the largest; directions
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
        mean, values, basis = principal_axes(vectors)
        values, basis = values[:out], basis[:, :out]
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
        # in half precision, which autocast would take, the weakest directions are mostly rounding
        with torch.autocast(vectors.device.type, enabled=False):
            out = (vectors.float() - self.mean) @ self.matrix  # (..., K)
        return out if mask is None else out * mask.unsqueeze(-1)


def choose_styles(request: SampleRequest, names: Sequence[str]) -> Tensor:
    """The style of each picture, ``(B,)`` int64 index into a model's ``names``.

    Where none is asked for the seed chooses: a choice depends on its own seed alone and is uniform
    over the styles. With no names every style is -1, unknown.

    Raises:
        UsageError: the model has no such style.
    """
    asked = [settings.style for settings in request.rows]
    given = torch.tensor([-1 if style is None else find_style(style, names) for style in asked])
    if names:
        given = torch.where(given < 0, choose_by_seed(request.seeds, len(names)), given)
    return given.to(request.text.pooled.device)


def choose_by_seed(seeds: Sequence[int], count: int) -> Tensor:
    """One of ``count`` styles for each of B seeds, ``(B,)`` int64."""
    uniform = torch.special.ndtr(image_noise(seeds, (), stream=_STYLE_STREAM))  # (B,)
    chosen: Tensor = (uniform * count).long().clamp_max(count - 1)
    return chosen


class TextConditioning(nn.Module):
    """The part of text conditioning that all families share; a base class or a mixin.

    A subclass calls :meth:`add_whitening` and sets ``fusion``, and ``style`` where it has styles.
    The names of the two whitenings are those in the model files of the family.
    """

    whitenings: ClassVar[tuple[str, str]] = ("pooled_whitening", "token_whitening")
    fusion: Fusion
    style: nn.Embedding

    def add_whitening(self, dim: int, width: int) -> None:
        """Add the whitenings of sentence and token vectors, from ``dim`` to ``width`` numbers."""
        for name in self.whitenings:
            self.add_module(name, TextWhitening(dim, width))

    def _whitenings(self) -> tuple[TextWhitening, TextWhitening]:
        pooled, tokens = (self.get_submodule(name) for name in self.whitenings)
        assert isinstance(pooled, TextWhitening) and isinstance(tokens, TextWhitening)
        return pooled, tokens

    def prepare(self, text: TextFeatures) -> None:
        """Fit both whitenings to the features of (a sample of) the training captions."""
        pooled, tokens = self._whitenings()
        pooled.fit(text.pooled)
        tokens.fit(text.tokens[text.mask])

    def read_text(
        self,
        text: TextFeatures,
        picture: ImageFeatures | None = None,
        generator: torch.Generator | None = None,
    ) -> TextFeatures:
        """Whitened text features, joined with the reference picture where there is one.

        Whitened vectors are normalised, so that a text unlike all the fitted ones gets no larger
        vector. Tokens beyond a text's own length stay zero.

        Args:
            text: features of B texts.
            picture: features of B reference pictures, or None.
            generator: given in training, for :class:`~limner.models.fusion.Fusion`.
        """
        pooled, tokens = self._whitenings()
        whitened = TextFeatures(
            rms_norm(tokens(text.tokens, text.mask)), text.mask, rms_norm(pooled(text.pooled))
        )
        return self.fusion(whitened, picture, generator)  # type: ignore[no-any-return]

    def embed_styles(self, styles: Tensor) -> Tensor:
        """Embeddings of ``(B,)`` int64 styles, -1 where unknown."""
        unknown = len(self.style.weight) - 1
        return self.style(torch.where(styles < 0, unknown, styles))  # type: ignore[no-any-return]


class PooledConditioning(TextConditioning):
    """Text features and a style as one vector: pooled, attention reads of the tokens, style.

    Attributes:
        width: numbers of the vector.
    """

    whitenings: ClassVar[tuple[str, str]] = ("pooled", "tokens")

    def __init__(self, config: PooledConfig) -> None:
        super().__init__()
        rank, queries = config.text_rank, config.queries
        self.add_whitening(config.text_dim, rank)
        self.style = nn.Embedding(len(config.styles) + 1, _STYLE_WIDTH)
        self.queries = nn.Parameter(torch.randn(queries, rank) / math.sqrt(rank))
        self.key = nn.Linear(rank, rank, bias=False)
        self.width = rank * (1 + queries) + _STYLE_WIDTH
        self.noise, self.max_tokens = config.text_noise, config.max_tokens
        self.fusion = Fusion(rank, config.fusion)

    def whitened_pooled(self, text: TextFeatures) -> Tensor:
        """The whitened sentence vectors alone, ``(B, R)``."""
        return self._whitenings()[0](text.pooled)  # type: ignore[no-any-return]

    def forward(
        self,
        text: TextFeatures,
        styles: Tensor,
        generator: torch.Generator | None = None,
        picture: ImageFeatures | None = None,
    ) -> Tensor:
        """``(B, width)``; with a generator, noise is added to the text vectors as in training.

        The reads are softmax(q K^T / sqrt(R)) V over a text's own tokens (Vaswani et al. 2017,
        eq. 1) with learned queries and the whitened tokens themselves as values.
        """
        text = self.read_text(text.padded(self.max_tokens), picture, generator)
        pooled, tokens = text.pooled, text.tokens  # (B, R), (B, L, R)
        if generator is not None and self.noise:
            pooled = pooled + self.noise * normal_like(pooled, generator)
            tokens = tokens + self.noise * normal_like(tokens, generator)
        parts = [pooled]
        if len(self.queries):
            scores = self.key(tokens) @ self.queries.T / math.sqrt(tokens.shape[-1])  # (B, L, Q)
            scores = scores.masked_fill(~text.mask.unsqueeze(-1), -math.inf)
            reads = scores.softmax(1).transpose(1, 2) @ tokens  # (B, Q, R)
            parts.append(reads.flatten(1))
        return torch.cat([*parts, self.embed_styles(styles)], 1)
