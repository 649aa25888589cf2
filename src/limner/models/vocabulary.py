"""The vocabularies of a language model of pictures: cells of one code, or patches of pixels.

A vocabulary embeds cells, and gives the logits of a cell's symbols from the state that the
transformer reached before it.

Shape letters: B pictures, T cells, N cells of a picture, M symbols a cell, V values of a symbol,
D width, W hidden numbers per symbol.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Choose = Callable[[int, Tensor], Tensor]
"""Takes a symbol's number and its logits ``(R, V)``, gives the codes drawn, ``(R,)`` int64."""


class CodeVocabulary(nn.Module):
    """Embeddings and logits of cells that are one symbol each: a language model's two tables."""

    def __init__(self, values: int, dim: int) -> None:
        super().__init__()
        self.table = nn.Embedding(values, dim)
        self.head = nn.Linear(dim, values, bias=False)
        nn.init.normal_(self.head.weight, std=0.5 * dim**-0.5)

    def embed(self, codes: Tensor) -> Tensor:
        """``(B, T, 1)`` int64 to ``(B, T, D)``."""
        return self.table(codes[..., 0])  # type: ignore[no-any-return]

    def context(self, states: Tensor, around: Tensor) -> Tensor:
        """States ``(B, T, D)`` as they are: they hold all there is to know."""
        return states

    def forward(self, context: Tensor, codes: Tensor) -> Tensor:
        """Logits ``(B, T, 1, V)`` of a context ``(B, T, D)``."""
        return self.head(context).unsqueeze(-2)  # type: ignore[no-any-return]

    def draw(self, context: Tensor, choose: Choose) -> Tensor:
        """Draw a cell, ``(R, 1)`` int64, from contexts ``(R, D)``."""
        return choose(0, self.head(context)).unsqueeze(-1)


class PatchVocabulary(nn.Module):
    """Embeddings and logits of cells that are patches of pixels.

    Within a patch the pixels are predicted one after the other by a masked network: its hidden
    numbers form M groups, group m depends on symbols before m, the transformer's state, and the
    pixels of the four patches to the left and above, which the state would have to carry otherwise
    (masks as in MADE: Germain et al. 2015, arXiv:1502.03509, eq. 10 to 12).
    """

    before: Tensor
    upto: Tensor
    said: Tensor
    neighbours = 4

    def __init__(self, symbols: int, values: int, dim: int, width: int) -> None:
        super().__init__()
        count, hidden = symbols, symbols * width
        self.count, self.values = count, values
        self.patch_in = nn.Linear(2 * count, dim)
        self.state_in = nn.Linear(dim, hidden)
        self.around_in = nn.Linear(2 * count * self.neighbours, hidden, bias=False)
        self.symbols_in = nn.Linear(2 * count, hidden, bias=False)
        self.mix = nn.Linear(hidden, hidden)
        self.out = nn.Linear(hidden, count * values)
        order = torch.arange(count)
        groups = order.repeat_interleave(width)  # (M*W,)
        self.register_buffer("before", groups[:, None] > order.repeat(2), persistent=False)
        self.register_buffer("upto", groups[:, None] >= groups, persistent=False)
        said = order.repeat_interleave(values)[:, None] >= groups  # (M*V, M*W)
        self.register_buffer("said", said, persistent=False)
        nn.init.normal_(self.out.weight, std=0.2 * hidden**-0.5)

    def features(self, codes: Tensor) -> Tensor:
        """``(..., M)`` int64 to ``(..., 2M)``: values in [-1, 1], then which are black."""
        scaled = codes * (2.0 / (self.values - 1)) - 1
        return torch.cat((scaled, (codes == 0).float()), -1)

    def embed(self, codes: Tensor) -> Tensor:
        """``(B, T, M)`` int64 to ``(B, T, D)``."""
        return self.patch_in(self.features(codes))  # type: ignore[no-any-return]

    def context(self, states: Tensor, around: Tensor) -> Tensor:
        """What is known of a patch before its first pixel: ``(B, T, M*W)``.

        Args:
            states: ``(B, T, D)`` of the transformer.
            around: ``(B, T, 4, M)`` int64 of the neighbours, -1 outside the picture.
        """
        seen = self.features(around).masked_fill((around < 0).repeat(1, 1, 1, 2), 0)
        out: Tensor = self.state_in(states) + self.around_in(seen.flatten(2))
        return out

    def forward(self, context: Tensor, codes: Tensor) -> Tensor:
        """Logits ``(B, T, M, V)`` of every symbol of the patches ``codes (B, T, M)``.

        A symbol's logits depend on the context and the symbols before it alone.
        """
        known = F.linear(self.features(codes), self.symbols_in.weight * self.before)
        h = F.silu(context + known)  # (B, T, M*W)
        h = h + F.silu(F.linear(h, self.mix.weight * self.upto, self.mix.bias))
        out = F.linear(h, self.out.weight * self.said, self.out.bias)
        return out.view(*codes.shape[:2], self.count, self.values)

    def draw(self, context: Tensor, choose: Choose) -> Tensor:
        """Draw a patch, ``(R, M)`` int64, pixel after pixel from contexts ``(R, M*W)``.

        The same numbers as :meth:`forward` gives, each computed once: a group needs only those
        before it, and what is not drawn yet is zero.
        """
        width, values, known = context.shape[1] // self.count, self.values, 0
        first, second = torch.empty_like(context), torch.empty_like(context)
        seen = context.new_zeros(len(context), 2 * self.count)
        codes = torch.zeros(len(context), self.count, dtype=torch.int64, device=context.device)
        for symbol in range(self.count):
            here, known = slice(known, known + width), known + width
            said = F.linear(seen, self.symbols_in.weight[here])
            first[:, here] = F.silu(context[:, here] + said)
            mixed = F.linear(first[:, :known], self.mix.weight[here, :known], self.mix.bias[here])
            second[:, here] = first[:, here] + F.silu(mixed)
            rows = slice(symbol * values, (symbol + 1) * values)
            logits = F.linear(second[:, :known], self.out.weight[rows, :known], self.out.bias[rows])
            codes[:, symbol] = choose(symbol, logits)
            seen[:, symbol :: self.count] = self.features(codes[:, symbol : symbol + 1])
        return codes


def neighbour_table(grid: int) -> Tensor:
    """Cells to the left, above left, above, above right: ``(N, 4)`` int64, N where there is none.

    All of them come before the cell itself.
    """
    row, column = torch.arange(grid * grid) // grid, torch.arange(grid * grid) % grid  # (N,)
    found = []
    for down, right in ((0, -1), (-1, -1), (-1, 0), (-1, 1)):
        y, x = row + down, column + right
        inside = (y >= 0) & (x >= 0) & (x < grid)
        found.append(torch.where(inside, y * grid + x, grid * grid))
    return torch.stack(found, 1)
