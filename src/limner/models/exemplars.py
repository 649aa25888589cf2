"""A prior of exemplars: a text means one of the training pictures that it names.

Of forty thousand pictures most are the only one of a thing in a style. A network that predicts
latents from words gives their average with others, a blur; it would need more weights than the
pictures have bits. So the latents themselves are kept, in some hundred bytes each
(:mod:`limner.models.transform_code`), and the prior is a mixture of them: an exemplar VAE (Norouzi,
Fleet and Norouzi 2020, arXiv:2004.04795, eq. 3), here conditional on text and style. As in other
models that retrieve (Blattmann et al. 2022, arXiv:2204.11824), what they know can be added to
without forgetting.

Shape letters: N exemplars, T texts of theirs, R numbers of a whitened sentence vector, M components
of a mixture, B texts to draw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limner.errors import UsageError
from limner.memory import RecentlyUsed
from limner.models.base import Batch
from limner.models.conditioning import TextWhitening
from limner.models.layers import sent
from limner.models.transform_code import TransformCode
from limner.text.base import TextFeatures

if TYPE_CHECKING:
    from limner.models.vae import VAEConfig

_ENCODED_AT_ONCE = 16
_LOOKS = 4
_TEXTS_FOUND, _LATENTS_KEPT = 4096, 512
"""Sentence vectors of whose nearest text the exemplars are remembered, and latents drawn last."""
_WHITE = 0.9
_PLAIN, _LIKE_PLAIN = (0.45, 0.45, 0.0, 0.05), 0.12
"""The look of styles of flat colours, and how near to it they are."""
_COLOURED, _LINED, _BLACK = 0.15, 0.1, 0.5
"""Colourfulness of a coloured style; share of black of one with black lines, and of a black one."""
_UNKNOWN = -1.0
_SAME = 0.9999
"""From this cosine on two texts are the same."""

Fit: TypeAlias = Callable[[Tensor, Tensor, Callable[[Tensor], Tensor]], Tensor]
"""Pictures, the encoder's latents of them, and what is kept of latents, to better latents."""


@dataclass(frozen=True)
class ExemplarMixture:
    """p(latent | text, style) as M exemplars of equal chance.

    Attributes:
        rows: ``(B, M)`` int64 rows of exemplars; where there are fewer, the first again.
        logits: ``(B, M)`` of their chances; minus infinity where there are fewer.
        deviation: ``(1, 1, 1, 1)`` around each.
        latents: gives latents ``(B, C, G, G)`` of rows.
    """

    rows: Tensor
    logits: Tensor
    deviation: Tensor
    latents: Callable[[Tensor], Tensor]

    def component(self, which: Tensor) -> Tensor:
        """The latents of one component each, ``(B,)`` int64 to ``(B, C, G, G)``."""
        return self.latents(self.rows[torch.arange(len(which), device=which.device), which])

    @property
    def means(self) -> Tensor:
        """The latents of all, ``(B, M, C, G, G)``."""
        found = self.latents(self.rows.flatten())
        return found.view(*self.rows.shape, *found.shape[1:])


class ExemplarPrior(nn.Module):
    """Chooses among the exemplars of the nearest text, in the style asked for.

    Where the text has none in that style, those in the style that looks most like it count
    (:func:`ink_statistics`).
    """

    keys: Tensor
    texts: Tensor
    styles: Tensor
    looks: Tensor
    used: Tensor
    first: Tensor

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        self.shape = (config.latent_channels, config.grid, config.grid)
        self.modes, self.noise = config.modes, config.latent_noise
        count = config.exemplars
        self.whitening = TextWhitening(config.text_dim, config.text_rank)
        self.code = TransformCode(
            count, config.latent_channels * config.grid**2, config.exemplar_bytes
        )
        self.register_buffer("keys", torch.zeros(config.exemplar_texts, config.text_rank))
        self.register_buffer("texts", torch.zeros(count, dtype=torch.int32))
        self.register_buffer("styles", torch.full((count,), -1, dtype=torch.int16))
        self.register_buffer("looks", torch.full((len(config.styles), _LOOKS), _UNKNOWN))
        # How many rows are used, and which is that of the first training picture.
        self.register_buffer("used", torch.zeros((), dtype=torch.int64))
        self.register_buffer("first", torch.zeros((), dtype=torch.int64))
        self._found = RecentlyUsed[bytes, Tensor](_TEXTS_FOUND)
        self._drawn = RecentlyUsed[tuple[int, torch.device], Tensor](_LATENTS_KEPT)
        self._before: int | None = None
        self.register_load_state_dict_post_hook(  # type: ignore[no-untyped-call]
            lambda module, _: module._forget()
        )

    def _forget(self) -> None:
        """Find anew what was found, since other exemplars are kept now."""
        self._found.clear()
        self._drawn.clear()
        self._before = None

    @property
    def kept_before(self) -> int:
        """Exemplars of the model that this one was made from, by which the first is known."""
        if self._before is None:
            self._before = int(self.first)
        return self._before

    @torch.no_grad()
    def remember(
        self,
        batches: Iterable[Batch],
        encode: Callable[[Tensor], Tensor],
        fit: Fit | None = None,
    ) -> None:
        """Keep every training picture, beside those that are kept already.

        Args:
            batches: all pictures, each once and in order, with the captions to keep them by; gone
                through a second time where there is ``fit``.
            encode: gives latents ``(B, C, G, G)`` of pictures.
            fit: gives better latents of pictures ``(B, 3, S, S)``, from those of the encoder and
                what is kept of latents.

        Raises:
            UsageError: the pictures or captions are more than configured.
        """
        old = int(self.used)
        numbers: dict[str, int] = {}
        keys = list(self.keys[: int(self.texts[:old].max()) + 1 if old else 0])
        known = torch.stack(keys) if keys else None
        texts, styles, latents, seen = [], [], [], []
        for batch in batches:
            for caption, vector in zip(batch.captions, batch.text.pooled, strict=True):
                if caption not in numbers:
                    numbers[caption] = self._number(self._query(vector), known, keys)
            texts += [numbers[caption] for caption in batch.captions]
            styles.append(batch.styles)
            seen.append(ink_statistics(batch.images))
            for images in torch.split(batch.images, _ENCODED_AT_ONCE):
                latents.append(encode(images).flatten(1).float())
        if old + len(texts) != len(self.texts) or len(keys) > len(self.keys):
            raise UsageError(
                f"the model is for {len(self.texts)} exemplars of at most {len(self.keys)} texts "
                f"and was given {old + len(texts)} of {len(keys)}; leave model.exemplars and "
                f"model.exemplar_texts out"
            )
        if not texts:
            return
        self._forget()
        self.keys[: len(keys)] = torch.stack(keys)
        self.texts[old:] = torch.tensor(texts)
        self.styles[old:] = torch.cat(styles)
        every = torch.cat(latents)
        if old:
            self.code.put(old, every)
        else:
            self.code.fit(every)
        if fit is not None:
            row = 0
            for batch in batches:
                mine = every[row : row + len(batch.images)].view(-1, *self.shape)
                fitted = fit(batch.images, mine, self._rounded)
                self.code.put(old + row, fitted.flatten(1))
                row += len(mine)
        self.first.fill_(old)
        self.used.fill_(old + len(texts))
        self._forget()
        self._look_at(torch.cat(styles), torch.cat(seen))

    def _rounded(self, latents: Tensor) -> Tensor:
        """What would be kept of latents ``(B, C, G, G)``."""
        return self.code.rounded(latents.flatten(1)).view_as(latents)

    def _number(self, key: Tensor, known: Tensor | None, keys: list[Tensor]) -> int:
        """The text that has a key already, or a new one."""
        if known is not None:
            cosine, number = (known @ key).max(0)
            if float(cosine) > _SAME:
                return int(number)
        keys.append(key)
        return len(keys) - 1

    def _look_at(self, styles: Tensor, seen: Tensor) -> None:
        """Keep the mean look of the pictures of each style that has none yet."""
        for style in set(styles.tolist()) - {-1}:
            if bool((self.looks[style] == _UNKNOWN).all()):
                self.looks[style] = seen[styles == style].mean(0)

    def padded_state(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """The state of a prior with fewer exemplars, texts or styles, as one of this shape.

        Args:
            state: of the other; its styles are the first of this one's.
        """
        mine = self.state_dict()
        whole = dict(state)
        for name in ("keys", "texts", "styles", "looks", "code.codes"):
            if name in state and len(state[name]) <= len(mine[name]):
                rest = mine[name][len(state[name]) :]
                whole[name] = torch.cat([state[name].to(rest.dtype), rest])
        return whole

    @property
    def colourful(self) -> Tensor:
        """The styles whose ink has more colour than black, ``(S,)`` bool."""
        return self.looks[:, 1] > self.looks[:, 2]

    def _query(self, vector: Tensor) -> Tensor:
        """A sentence vector ``(D,)`` whitened and of length one, ``(R,)``."""
        return F.normalize(self.whitening(vector), dim=0)

    def meant(self, vector: Tensor) -> Tensor:
        """Rows of the exemplars of the text nearest to a sentence vector ``(D,)``, (N,) int64."""
        key = vector.cpu().numpy().tobytes()
        found = self._found.get(key)
        if found is None:
            text = int((self.keys @ self._query(vector)).argmax())
            found = (self.texts == text).nonzero()[:, 0]
            self._found.put(key, found)
        return found

    def own(self, batch: Batch) -> Tensor:
        """What is kept of the pictures of a training batch, ``(B, C, G, G)``.

        Raises:
            UsageError: the pictures are not those of the training set as they are.
        """
        if batch.indices is None:
            raise UsageError(
                "exemplars are the training pictures as they are; turn flips and augmentations off"
            )
        return self.latents(sent(batch.indices, self.first.device) + self.first)

    def latents(self, rows: Tensor) -> Tensor:
        """Latents ``(B, C, G, G)`` of ``(B,)`` int64 rows of exemplars.

        Those drawn last are kept; each has the same bits whatever is beside it.
        """
        if not torch.is_inference_mode_enabled():
            found: Tensor = self.code(rows)
            return found.view(-1, *self.shape)
        kept = {}
        for row in rows.tolist():
            key = row, rows.device
            latent = self._drawn.get(key)
            if latent is None:
                latent = self.code(torch.tensor([row], device=rows.device)).view(self.shape)
                self._drawn.put(key, latent)
            kept[row] = latent
        return torch.stack([kept[row] for row in rows.tolist()])

    def forward(self, text: TextFeatures, styles: Tensor) -> ExemplarMixture:
        """The exemplars that texts may mean.

        Args:
            text: features of B texts.
            styles: ``(B,)`` int64, -1 where any will do.
        """
        if not int(self.used):
            raise UsageError("this model has no exemplars yet; train it")
        rows, logits = [], []
        for vector, style in zip(text.pooled, styles.tolist(), strict=True):
            found = self._candidates(self.meant(vector), style)
            missing = self.modes - len(found)
            rows.append(F.pad(found, (0, missing), value=int(found[0])))
            logits.append(F.pad(self.keys.new_zeros(len(found)), (0, missing), value=-torch.inf))
        deviation = self.keys.new_full((1, 1, 1, 1), self.noise)
        return ExemplarMixture(torch.stack(rows), torch.stack(logits), deviation, self.latents)

    def drawn_style(self, vector: Tensor, style: int) -> int:
        """The style that a text of a sentence vector ``(D,)`` is drawn in, asked for in a style."""
        return self._nearest_style(self.styles[self.meant(vector)], style)

    def rows_of(self, style: int, count: int) -> Tensor:
        """Rows of at most so many exemplars of a style, spread over all of it, ``(N,)`` int64."""
        rows = (self.styles[: int(self.used)] == style).nonzero()[:, 0]
        spread = torch.linspace(0, len(rows) - 1, min(count, len(rows)) + 2)[1:-1]
        return rows[spread.long()] if len(rows) else rows

    def _nearest_style(self, have: Tensor, style: int) -> int:
        """Of the styles that there are the one asked for, or that looks most like it; -1: any."""
        if style < 0 or bool((have == style).any()):
            return style
        order = self._order(style).tolist()
        return next((each for each in order if bool((have == each).any())), -1)

    def _order(self, style: int) -> Tensor:
        """Styles by how much they look like one.

        Black lines around colours can be drawn around those of others, so for a style that has such
        the large ones without come first. Coloured ones come before black ones for one of colours.
        """
        _, colour, black, _ = self.looks[style].tolist()
        if colour < _COLOURED or not _LINED <= black < _BLACK:
            order = nearest_first(self.looks)[style]
            if not bool(self.colourful[style]):
                return order
            return order[(~self.colourful[order]).int().argsort(stable=True)]
        gaps = (self.looks - self.looks.new_tensor(_PLAIN)).abs().amax(1)  # (S,)
        sizes = (self.styles[:, None] == torch.arange(len(gaps), device=gaps.device)).sum(0)
        return torch.where(gaps < _LIKE_PLAIN, -sizes.float(), gaps).argsort(stable=True)

    def _candidates(self, mine: Tensor, style: int) -> Tensor:
        """At most M of a text's rows ``(N,)``, in a style or the nearest to it."""
        have = self.styles[mine]
        style = self._nearest_style(have, style)
        return mine[have == style][: self.modes] if style >= 0 else mine[: self.modes]


def ink_statistics(images: Tensor) -> Tensor:
    """What tells styles apart, ``(B, 4)``, of pictures ``(B, 3, S, S)`` in [-1, 1] on white.

    How much of a picture is ink, how colourful the ink is, how much of it is nearly black, and how
    much of it is at an edge, as thin lines are; each in [0, 1].
    """
    light = (images + 1) / 2
    ink = (light.amin(1) < _WHITE).float()  # (B, S, S)
    amount = ink.sum((1, 2)).clamp_min(1)
    spread = light.amax(1) - light.amin(1)
    dark = (light.amax(1) < 1 - _WHITE).float()
    inside = -F.max_pool2d(-ink[:, None], 3, 1, 1)[:, 0]
    shares = [(each * ink).sum((1, 2)) / amount for each in (spread, dark, ink - inside)]
    return torch.stack([ink.mean((1, 2)), *shares], 1)


def nearest_first(found: Tensor) -> Tensor:
    """Of each of S looks ``(S, 4)`` all of them by distance, itself first, ``(S, S)`` int64.

    Unknown ones, which are all -1, come last.
    """
    distances = torch.cdist(found, found)  # (S, S)
    distances[:, (found == _UNKNOWN).all(1)] = torch.inf
    return distances.fill_diagonal_(-1.0).argsort(dim=1, stable=True)
