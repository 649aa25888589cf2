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

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limner.errors import UsageError
from limner.models.base import Batch
from limner.models.conditioning import TextWhitening
from limner.models.transform_code import TransformCode
from limner.text.base import TextFeatures

if TYPE_CHECKING:
    from limner.models.vae import VAEConfig

_ENCODED_AT_ONCE = 16


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

    Where the text has none in that style, all of its exemplars count.
    """

    keys: Tensor
    texts: Tensor
    styles: Tensor

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

    def remember(self, batches: Iterator[Batch], encode: Callable[[Tensor], Tensor]) -> None:
        """Keep every training picture.

        Args:
            batches: all pictures, each once and in order, with the captions to keep them by.
            encode: gives latents ``(B, C, G, G)`` of pictures.

        Raises:
            UsageError: the pictures or captions are not as many as configured.
        """
        numbers: dict[str, int] = {}
        keys, texts, styles, latents = [], [], [], []
        with torch.no_grad():
            for batch in batches:
                for caption, vector in zip(batch.captions, batch.text.pooled, strict=True):
                    if caption not in numbers:
                        numbers[caption] = len(numbers)
                        keys.append(self._query(vector))
                texts += [numbers[caption] for caption in batch.captions]
                styles.append(batch.styles)
                for images in torch.split(batch.images, _ENCODED_AT_ONCE):
                    latents.append(encode(images).flatten(1).float().cpu())
            if len(texts) != len(self.texts) or len(keys) != len(self.keys):
                raise UsageError(
                    f"the model is for {len(self.texts)} exemplars of {len(self.keys)} texts and "
                    f"was given {len(texts)} of {len(keys)}; leave model.exemplars and "
                    f"model.exemplar_texts out"
                )
            self.keys.copy_(torch.stack(keys))
            self.texts.copy_(torch.tensor(texts))
            self.styles.copy_(torch.cat(styles))
            self.code.fit(torch.cat(latents).to(self.keys.device))

    def _query(self, vector: Tensor) -> Tensor:
        """A sentence vector ``(D,)`` whitened and of length one, ``(R,)``."""
        return F.normalize(self.whitening(vector), dim=0)

    def own(self, batch: Batch) -> Tensor:
        """What is kept of the pictures of a training batch, ``(B, C, G, G)``.

        Raises:
            UsageError: the pictures are not those of the training set as they are.
        """
        if batch.indices is None:
            raise UsageError(
                "exemplars are the training pictures as they are; turn flips and augmentations off"
            )
        return self.latents(batch.indices)

    def latents(self, rows: Tensor) -> Tensor:
        """Latents ``(B, C, G, G)`` of ``(B,)`` int64 rows of exemplars."""
        return self.code(rows).view(-1, *self.shape)

    def forward(self, text: TextFeatures, styles: Tensor) -> ExemplarMixture:
        """The exemplars that texts may mean.

        Args:
            text: features of B texts.
            styles: ``(B,)`` int64, -1 where any will do.
        """
        if not len(self.texts):
            raise UsageError("this model has no exemplars yet; train it")
        rows, logits = [], []
        for vector, style in zip(text.pooled, styles.tolist(), strict=True):
            found = self._candidates(int((self.keys @ self._query(vector)).argmax()), style)
            missing = self.modes - len(found)
            rows.append(F.pad(found, (0, missing), value=int(found[0])))
            logits.append(F.pad(self.keys.new_zeros(len(found)), (0, missing), value=-torch.inf))
        deviation = self.keys.new_full((1, 1, 1, 1), self.noise)
        return ExemplarMixture(torch.stack(rows), torch.stack(logits), deviation, self.latents)

    def _candidates(self, text: int, style: int) -> Tensor:
        """Rows of at most M exemplars of a text, in a style if there are such."""
        mine = (self.texts == text).nonzero()[:, 0]
        styled = mine[self.styles[mine] == style]
        return (styled if len(styled) else mine)[: self.modes]
