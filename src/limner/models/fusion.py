"""One condition from words and, where there is one, a reference picture.

Every family passes its whitened text features through a :class:`Fusion`:

* ``text``: the words alone; no parameters, nothing changes.
* ``concat``: the two pooled vectors side by side, projected to one; the tokens pass through.
* ``cross``: the words attend to the picture (Perceiver, Jaegle et al. 2021, section 3.1).
* ``joint``: words and picture in one transformer (MM-DiT, Esser et al. 2024, section 4, with shared
  weights); the picture's rows come back as further tokens.

All are initialised close to the words alone and have a learned null picture, for prompts without
a reference and for a share of the training pictures.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limner.models.base import FusionConfig
from limner.models.layers import rms_norm
from limner.text.base import TextFeatures
from limner.vision.base import ImageFeatures

_START = 0.02
"""Initial standard deviation of what a picture adds to the words."""


class Fusion(nn.Module):
    """Text features in, text features of the same width out, with the picture in them.

    The shapes that come out depend on the configuration and on the text's alone. No row depends
    on its neighbours, and what lies in padding changes nothing.

    Args:
        width: W, of the text vectors, which are whitened and of unit root mean square.
        config: how; see the module.
    """

    def __init__(self, width: int, config: FusionConfig) -> None:
        super().__init__()
        self.config = config
        if config.kind == "text":
            return
        rows = 1 if config.kind == "concat" else 1 + config.max_tokens  # the first is the pooled
        self.picture_in = nn.Linear(config.image_dim, width)
        self.null = nn.Parameter(torch.empty(rows, width))
        nn.init.normal_(self.null)
        if config.kind == "concat":
            self.project = nn.Linear(2 * width, width)
            with torch.no_grad():
                nn.init.normal_(self.project.weight, std=_START)
                nn.init.zeros_(self.project.bias)
                self.project.weight[:, :width].copy_(torch.eye(width))
            return
        self.position = nn.Parameter(_START * torch.randn(rows, width))
        cross = config.kind == "cross"
        self.blocks = nn.ModuleList(
            FusionBlock(width, config.heads, cross) for _ in range(config.depth)
        )
        if not cross:
            self.kind = nn.Parameter(_START * torch.randn(2, width))  # of words, of pictures

    @property
    def extra_tokens(self) -> int:
        """Tokens that come back behind the text's own: the picture's, for kind ``joint``."""
        return 1 + self.config.max_tokens if self.config.kind == "joint" else 0

    def forward(
        self,
        text: TextFeatures,
        picture: ImageFeatures | None = None,
        generator: torch.Generator | None = None,
    ) -> TextFeatures:
        """Fuse B texts with B pictures.

        Args:
            text: tokens ``(B, L, W)`` and pooled ``(B, W)``.
            picture: of width ``config.image_dim`` with any number of tokens, of which
                ``config.max_tokens`` are made; None for the null picture everywhere.
            generator: given while learning: decides which pictures are left out, each with
                chance ``config.drop``.

        Returns:
            Tokens ``(B, L + extra_tokens, W)``, their mask, and pooled ``(B, W)``, all of unit
            root mean square. For kind ``text``: ``text`` itself.
        """
        if self.config.kind == "text":
            return text
        seen, known = self._rows(len(text), picture, generator)  # (B, R, W), (B, R)
        if self.config.kind == "concat":
            both = torch.cat((text.pooled, seen[:, 0]), 1)  # (B, 2W)
            return TextFeatures(text.tokens, text.mask, rms_norm(self.project(both)))
        words = torch.cat((text.pooled[:, None], text.tokens), 1)  # (B, 1+L, W)
        mask = F.pad(text.mask, (1, 0), value=True)  # (B, 1+L)
        if self.config.kind == "cross":
            for block in self.blocks:
                words = block(words, seen, known)
        else:
            count = words.shape[1]
            words = torch.cat((words + self.kind[0], seen + self.kind[1]), 1)  # (B, 1+L+R, W)
            # rows of a picture with fewer tokens than ``max_tokens`` stay padding
            mask = torch.cat((mask, known), 1)
            for block in self.blocks:
                words = block(words, words, mask)
            words = torch.cat((words[:, :count] - self.kind[0], words[:, count:]), 1)
        out = rms_norm(words) * mask.unsqueeze(-1)
        return TextFeatures(out[:, 1:], mask[:, 1:], out[:, 0])

    def _rows(
        self, count: int, picture: ImageFeatures | None, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """The picture's rows, pooled first, ``(B, R, W)``, and which of them there are."""
        null = self.null.expand(count, -1, -1)  # (B, R, W)
        every = torch.ones(null.shape[:2], dtype=torch.bool, device=null.device)
        if picture is None:
            return null, every
        if self.config.kind == "concat":
            rows, known = picture.pooled[:, None], every
        else:
            tokens = picture.at_most(self.config.max_tokens).tokens  # (B, l, D)
            missing = self.config.max_tokens - tokens.shape[1]
            rows = torch.cat((picture.pooled[:, None], tokens), 1)
            rows = F.pad(rows, (0, 0, 0, missing))  # (B, R, D)
            known = every.clone()
            known[:, rows.shape[1] - missing :] = False
        rows = rms_norm(self.picture_in(rms_norm(rows.float())))  # (B, R, W)
        if self.config.kind != "concat":
            rows = rows + self.position
        if generator is not None and self.config.drop:
            chance = torch.rand(count, generator=generator, device=generator.device)
            drop = (chance < self.config.drop).to(null.device)  # (B,)
            rows = torch.where(drop[:, None, None], null, rows)
            known = known | drop[:, None]
        return rows, known


class FusionBlock(nn.Module):
    """x + attention(x, seen), then x + mlp(x), both on normalised rows.

    Args:
        width: W.
        heads: of the attention; W need not be a multiple.
        cross: keys and values are another sequence, which is normalised by itself.
    """

    def __init__(self, width: int, heads: int, cross: bool) -> None:
        super().__init__()
        inner = heads * -(-width // heads)
        self.heads, self.cross = heads, cross
        self.query, self.key, self.value = (nn.Linear(width, inner) for _ in range(3))
        self.out = nn.Linear(inner, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        for last in (self.out, self.down):
            nn.init.normal_(last.weight, std=_START)
            nn.init.zeros_(last.bias)

    def forward(self, x: Tensor, seen: Tensor, mask: Tensor) -> Tensor:
        """``x (B, T, W)`` attends to ``seen (B, R, W)`` where ``mask (B, R)`` is true."""
        asking = rms_norm(x)
        shown = rms_norm(seen) if self.cross else asking
        split = (self.heads, -1)
        q, k, v = (
            layer(rows).unflatten(-1, split).transpose(1, 2)  # (B, H, T or R, E)
            for layer, rows in ((self.query, asking), (self.key, shown), (self.value, shown))
        )
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None])
        x = x + self.out(mixed.transpose(1, 2).flatten(2))  # (B, T, W)
        out: Tensor = x + self.down(F.gelu(self.up(rms_norm(x))))
        return out
