"""The contract between text encoders and everything that is conditioned on text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Protocol, Self, runtime_checkable

import torch
from torch import Tensor

from limner.specs import Identified


class TensorRows:
    """A dataclass of tensors that have a row for each of B things."""

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))  # type: ignore[arg-type]

    def __getitem__(self, index: Tensor | slice | list[int]) -> Self:
        """Those of some of the things."""
        return self.each(lambda rows: rows[index])

    def to(self, device: torch.device | str) -> Self:
        """The same on another device."""
        return self.each(lambda rows: rows.to(device))

    def each(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The same with every tensor changed."""
        tensors = {k: change(v) for k, v in vars(self).items() if isinstance(v, Tensor)}
        return replace(self, **tensors)  # type: ignore[type-var]


@dataclass(frozen=True)
class TextFeatures(TensorRows):
    """Features of B texts, as a text encoder gives them.

    Attributes:
        tokens: ``(B, L, D)`` float32, one vector per word, phrase or subword; rows beyond a
            text's own length are zero.
        mask: ``(B, L)`` bool, true where ``tokens`` holds a vector; every row has at least one.
        pooled: ``(B, D)`` float32, one vector per whole text.
        pieces: for each of the B texts the pieces that its tokens are vectors of, where the
            encoder embeds piece by piece (:mod:`limner.text.pieces`); else empty.
    """

    tokens: Tensor
    mask: Tensor
    pooled: Tensor
    pieces: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        b, length, dim = self.tokens.shape
        if (
            self.mask.shape != (b, length)
            or self.pooled.shape != (b, dim)
            or len(self.pieces) not in {0, b}
        ):
            raise ValueError(
                f"text features disagree: tokens {tuple(self.tokens.shape)}, "
                f"mask {tuple(self.mask.shape)}, pooled {tuple(self.pooled.shape)}"
            )

    def __getitem__(self, index: Tensor | slice | list[int]) -> TextFeatures:
        """The features of some of the texts, with the token axis left as it is."""
        tokens, mask, pooled = self.tokens[index], self.mask[index], self.pooled[index]
        if not self.pieces:
            return TextFeatures(tokens, mask, pooled)
        rows = torch.arange(len(self))[index if isinstance(index, slice | list) else index.cpu()]
        return TextFeatures(tokens, mask, pooled, tuple(self.pieces[row] for row in rows.tolist()))

    def padded(self, length: int) -> TextFeatures:
        """The same features with the token axis cut or zero-padded to ``length``."""
        tokens, mask = self.tokens[:, :length], self.mask[:, :length]
        extra = length - tokens.shape[1]
        if extra > 0:
            tokens = torch.nn.functional.pad(tokens, (0, 0, 0, extra))
            mask = torch.nn.functional.pad(mask, (0, extra))
        return TextFeatures(tokens, mask, self.pooled, tuple(row[:length] for row in self.pieces))


def concatenate(parts: Sequence[TextFeatures]) -> TextFeatures:
    """Stack features of several texts into one, padded to the longest token axis."""
    length = max(part.tokens.shape[1] for part in parts)
    padded = [part.padded(length) for part in parts]
    cut = all(len(p.pieces) == len(p) for p in padded)
    return TextFeatures(
        torch.cat([p.tokens for p in padded]),
        torch.cat([p.mask for p in padded]),
        torch.cat([p.pooled for p in padded]),
        tuple(row for p in padded for row in p.pieces) if cut else (),
    )


@runtime_checkable
class TextEncoder(Identified, Protocol):
    """Turns texts into features; a text's features never depend on its neighbours."""

    @property
    def dim(self) -> int:
        """D, the width of every vector."""

    def encode(self, texts: Sequence[str]) -> TextFeatures:
        """Features of B texts.

        Raises:
            PromptError: a text is empty, too long or not text at all.
        """
