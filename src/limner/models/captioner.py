"""captioner: a picture to a caption, in the language asked for.

The vectors of a convolutional tower are the prefix of a small causal transformer, which writes the
caption byte by byte in UTF-8 (ByT5, Xue et al. 2022). The prefix is the grid, cell by cell, or a
few vectors made of all of it, which may pass through a space that pictures share with the text
encoder's vectors of captions; there the decoder also learns from captions alone (as in CapDec,
Nukrai et al. 2022, and DeCap, Li et al. 2023).

Shape letters: B pictures, N vectors of a picture, T positions of the text, D width, V = 257,
E width of the common space.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from limner.errors import PromptError, UsageError
from limner.models.aligner import softmax_loss
from limner.models.base import Batch, Model, register
from limner.models.conditioning import TextWhitening, WhitenedConfig
from limner.models.decoder import Decoder, DecoderConfig
from limner.models.layers import normal_like, rms_norm, sent, unequal
from limner.models.settings import Capability
from limner.models.tower import PictureEncoder, PictureEncoderConfig, PictureTower
from limner.text.base import TextEncoder, TextFeatures
from limner.text.validate import canonical

END = 256
"""What follows the last byte."""
VOCABULARY = 257
_TILT = 10.0
"""Degrees by which a picture is turned for its second and third encoding."""
_RERANKED = 16
"""How many of the most probable captions are ranked again by their match with the picture."""
_PARTS = 4
"""Into how many parts a batch is split by the length of its texts."""


class CaptionerConfig(PictureEncoderConfig, WhitenedConfig):
    """Configuration of the picture encoder and the decoder."""

    languages: tuple[str, ...] = Field(
        (), description="codes of the languages it writes; left out, those of the data"
    )
    widths: tuple[int, ...] = Field(
        (48, 96, 192, 256), min_length=1, max_length=6, description="channels of the grids"
    )
    told: int = Field(
        0, ge=0, le=64, description="prefix vectors made of the whole picture; 0: the prefix is "
        "every cell of the grid, and 'looks', 'flat', 'inner' and 'drop' have no effect",
    )  # fmt: skip
    common: int = Field(
        0, ge=0, le=4096, description="E, width of a space that pictures share with captions, "
        "whose vectors are the decoder's prefix (needs 'told'); 0: none",
    )  # fmt: skip
    common_first: float = Field(
        0.0, ge=0, lt=1, description="share of the budget in which only its loss counts"
    )
    blur: float = Field(
        0.7, ge=0, description="length of the noise on vectors of that space in the "
        "decoder's training; theirs is 1",
    )  # fmt: skip
    dim: int = Field(192, ge=8, description="width of the decoder")
    depth: int = Field(4, ge=1, le=64)
    heads: int = Field(3, ge=1)
    longest: int = Field(64, ge=1, le=1024, description="bytes of a caption; longer ones are cut")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        self.decoder()
        if self.common and not self.told:
            raise ValueError("'common' needs 'told': a space for whole pictures")
        if self.common_first and not self.common:
            raise ValueError("'common_first' is a share of the budget for 'common', which is 0")
        return self

    def decoder(self) -> DecoderConfig:
        """The configuration of the decoder."""
        return DecoderConfig(dim=self.dim, depth=self.depth, heads=self.heads)


@dataclass(frozen=True)
class ScoredCaption:
    """One caption of a picture.

    Attributes:
        text: the words.
        score: the higher the better. See :meth:`CaptionerModel.caption`; of models of the hub it
            is the log-probability in nats, per token or as they are configured; None where a
            captioner gives none.
    """

    text: str
    score: float | None = None


class SharedSpace(nn.Module):
    """A space that pictures share with their captions, which trains the picture encoder better.

    The loss over bytes says little of a picture once a few of them are known; which of all captions
    of a batch is its own says much more. The loss is the softmax loss of the aligner family over
    the vectors of the text encoder, which is not trained.
    """

    def __init__(self, config: CaptionerConfig, width: int) -> None:
        super().__init__()
        self.blur = config.blur
        self.whiten = TextWhitening(config.text_dim, config.text_rank)
        self.said = nn.Linear(config.text_rank, config.common)
        self.seen = nn.Linear(width, config.common)
        self.scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def encode_images(self, vectors: Tensor) -> Tensor:
        """``(B, width)`` vectors of pictures to ``(B, E)`` of unit length."""
        return F.normalize(self.seen(vectors).float(), dim=1)

    def encode_texts(self, pooled: Tensor) -> Tensor:
        """``(B, text_dim)`` vectors of the text encoder to ``(B, E)`` of unit length."""
        return F.normalize(self.said(rms_norm(self.whiten(pooled))).float(), dim=1)

    def blurred(self, vectors: Tensor, generator: torch.Generator) -> Tensor:
        """``(B, E)`` unit vectors at an angle of about ``atan(blur)`` to those given."""
        noise = normal_like(vectors, generator) / math.sqrt(vectors.shape[1])
        return F.normalize(vectors + self.blur * noise, dim=1)

    def loss(self, vectors: Tensor, said: Tensor, captions: Sequence[str]) -> Tensor:
        """Softmax loss of ``(B, E)`` pictures and captions; equal captions are no negatives."""
        logits = self.scale.exp().clamp(max=100) * vectors @ said.T
        own = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
        return softmax_loss(logits, own | unequal(captions, logits.device))


@register("captioner", CaptionerConfig)
class CaptionerModel(Model):
    """Picture encoder and decoder; see the module."""

    config: CaptionerConfig
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.CAPTION})
    reads_text: ClassVar[bool] = False  # if the caption's vector moved, any place would do
    staged_losses: ClassVar[frozenset[str]] = frozenset({"nll", "retold"})

    def __init__(self, config: CaptionerConfig) -> None:
        super().__init__()
        c = self.config = config
        self.eye: PictureEncoder | PictureTower = PictureEncoder(c) if c.told else PictureTower(c)
        width = self.eye.width if isinstance(self.eye, PictureEncoder) else c.widths[-1]
        self.show = nn.Linear(c.common or width, (c.told or 1) * c.dim)
        self.place = nn.Parameter(torch.randn(c.told or c.cells, c.dim))
        self.language = nn.Embedding(len(c.languages) + 1, c.dim)  # the last row: any language
        self.letters = nn.Embedding(VOCABULARY, c.dim)
        self.body = Decoder(c.decoder())
        self.head = nn.Linear(c.dim, VOCABULARY)
        self.meaning = SharedSpace(c, width) if c.common else None

    def prepare(self, text: TextFeatures) -> None:
        """Fit the whitening of text vectors to (a sample of) the training captions."""
        if self.meaning is not None:
            self.meaning.whiten.fit(text.pooled)

    # -- bytes ------------------------------------------------------------------------------------

    def to_bytes(self, captions: Sequence[str]) -> Tensor:
        """``(B, T)`` int64: bytes, then :data:`END`, then -1; long captions are cut."""
        rows = [cut(text, self.config.longest) for text in captions]
        longest = max(map(len, rows), default=0) + 1
        out = torch.full((len(rows), longest), -1, dtype=torch.int64)
        for row, letters in zip(out, rows, strict=True):
            row[: len(letters)] = torch.tensor(list(letters), dtype=torch.int64)
            row[len(letters)] = END
        return out

    def language_ids(self, languages: Sequence[str | None]) -> Tensor:
        """``(B,)`` int64 rows of the language embedding; an unknown language is any language."""
        known = {name: i for i, name in enumerate(self.config.languages)}
        return torch.tensor([known.get(name or "", len(known)) for name in languages])

    # -- the network ------------------------------------------------------------------------------

    def encode(self, images: Tensor) -> Tensor:
        """``(B, 3, S, S)`` in [-1, 1] to ``(B, E)``, or without a shared space to the grid."""
        vectors = self.eye(images)
        return vectors if self.meaning is None else self.meaning.encode_images(vectors)

    def encode_averaged(self, images: Tensor) -> Tensor:
        """As :meth:`encode` of ``(B, 3, S, S)``; with a shared space the mean of three views."""
        if self.meaning is None:
            return self.encode(images)
        views = torch.stack([self.encode(turned(images, angle)) for angle in (0, -_TILT, _TILT)])
        return F.normalize(views.mean(0), dim=1)

    def prefix(self, vectors: Tensor, language: Tensor) -> Tensor:
        """The decoder's prefix: ``(B, N + 1, D)``, the picture and then the language."""
        scaled = vectors if self.meaning is None else rms_norm(vectors)
        picture = self.show(scaled).view(len(language), *self.place.shape) + self.place
        return torch.cat((picture, self.language(language)[:, None]), 1)

    def logits(self, prefix: Tensor, letters: Tensor) -> Tensor:
        """``(B, T, V)`` logits of each of ``(B, T)`` bytes given those before it."""
        before = self.letters(letters[:, :-1].clamp_min(0))  # (B, T-1, D)
        states = self.body(torch.cat((prefix, before), 1))
        return self.head(states[:, prefix.shape[1] - 1 :])  # type: ignore[no-any-return]

    def losses(self, batch: Batch, group: str) -> dict[str, Tensor]:
        """``nll``: of a byte, in nats; ``meaning``: see :class:`SharedSpace`.

        ``retold``: of a byte where the prefix is the caption's own vector instead of the picture's.
        """
        letters, language = self._targets(batch)
        device = batch.images.device
        language = sent(language, device)
        anyone = torch.rand(len(language), generator=batch.generator, device=language.device) < 0.1
        language = torch.where(anyone, len(self.config.languages), language)
        if self.meaning is None:
            return {"nll": self._nll(self.encode(batch.images), language, letters)}
        vectors, said = self.encode(batch.images), self.meaning.encode_texts(batch.text.pooled)
        found = {"meaning": self.meaning.loss(vectors, said, batch.captions)}
        if batch.progress >= self.config.common_first:
            for name, known in (("nll", vectors), ("retold", said)):
                noisy = self.meaning.blurred(known, batch.generator)
                found[name] = self._nll(noisy, language, letters)
        return found

    def _nll(self, vectors: Tensor, language: Tensor, letters: Tensor) -> Tensor:
        """Mean over the bytes; texts are grouped by length, so that short ones are padded less.

        ``letters (B, T)`` are on the CPU, where the lengths are asked for.
        """
        lengths, device = (letters >= 0).sum(1), vectors.device
        total = vectors.new_zeros(())
        for places in lengths.argsort().chunk(_PARTS):
            part = sent(letters[places, : int(lengths[places].max())], device)
            rows = sent(places, device)
            logits = self.logits(self.prefix(vectors[rows], language[rows]), part)
            nll = F.cross_entropy(
                logits.flatten(0, 1).float(), part.flatten(), ignore_index=-1, reduction="sum"
            )
            total = total + nll
        return total / int(lengths.sum())

    def _targets(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The bytes of a batch's captions, and the rows of their languages; on the CPU."""
        language = self.language_ids(batch.languages or [None] * len(batch.captions))
        return self.to_bytes(batch.captions), language

    @torch.inference_mode()
    def caption(
        self,
        image: Tensor,
        language: str | None = None,
        count: int = 1,
        encoder: TextEncoder | None = None,
    ) -> list[ScoredCaption]:
        """The best captions of one picture, best first, by beam search.

        Texts are ranked by their total log-probability. Divided by the length, as is common, it
        would favour long names, whose last bytes are certain whatever the picture shows. With an
        encoder the most probable are ranked again by log p(text | picture) + s cos(text, picture),
        a product of experts, where s is the learned scale of the softmax over the shared space.

        Args:
            image: ``(3, S, S)`` float32 in [-1, 1].
            language: its code; None lets the model choose.
            count: how many different captions.
            encoder: the text encoder of the training captions; unused by a model without a shared
                space.

        Raises:
            UsageError: the model does not write the language, or no caption is asked for.
        """
        c = self.config
        if language is not None and language not in c.languages:
            known = ", ".join(c.languages) or "none by name"
            raise UsageError(f"this captioner does not write {language!r}; it writes: {known}")
        if count < 1:
            raise UsageError(f"{count} captions cannot be made; ask for one or more")
        device, meaning = image.device, None if encoder is None else self.meaning
        wanted = count if meaning is None else max(count, _RERANKED)
        width = max(4, 2 * wanted)
        vectors = self.encode_averaged(image[None])
        prefix = self.prefix(vectors, self.language_ids([language]).to(device))
        shape = self.body.cache_shape(prefix.shape[1] + c.longest + 1)
        cache = self.body.open_cache(prefix.new_zeros(width, *shape))
        state = self.body(prefix.expand(width, -1, -1), cache)[:, -1]  # (W, D)
        beams = _Beams(width, device)
        for _ in range(c.longest + 1):
            letter, parent = beams.step(self.head(state).float().log_softmax(-1))
            if beams.over(wanted):
                break
            cache.store.copy_(cache.store.index_select(0, parent))
            state = self.body(self.letters(letter)[:, None], cache)[:, -1]
        found = beams.best(wanted)
        if meaning is None or encoder is None or not found:
            return found
        pooled = encoder.encode([each.text for each in found]).pooled.to(device)
        scale = meaning.scale.exp().clamp(max=100)
        agreement = (scale * meaning.encode_texts(pooled) @ vectors[0]).tolist()
        pairs = zip(found, agreement, strict=True)
        again = [ScoredCaption(each.text, (each.score or 0.0) + more) for each, more in pairs]
        return sorted(again, key=lambda each: -(each.score or 0.0))[:count]

    @torch.no_grad()
    def figures(self, batch: Batch) -> dict[str, Tensor]:
        """``right``: share of the bytes of some captions that are the most probable ones."""
        letters, language = (each.to(batch.images.device) for each in self._targets(batch))
        logits = self.logits(self.prefix(self.encode(batch.images), language), letters)
        right = (logits.argmax(-1) == letters) & (letters >= 0)
        return {"right": right.sum() / (letters >= 0).sum()}


def turned(images: Tensor, degrees: float) -> Tensor:
    """``(B, 3, S, S)`` pictures turned about their centres, padded by repeating the border."""
    if not degrees:
        return images
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    theta = images.new_tensor([[cosine, -sine, 0.0], [sine, cosine, 0.0]])
    where = F.affine_grid(theta.expand(len(images), -1, -1), list(images.shape), False)
    return F.grid_sample(images, where, padding_mode="border", align_corners=False)


def cut(text: str, longest: int) -> bytes:
    """The UTF-8 of a text, at most ``longest`` bytes, no character cut in two."""
    letters = " ".join(text.split()).encode()
    return letters[:longest].decode("utf-8", "ignore").encode()


class _Beams:
    """The most probable unfinished texts, and the finished ones.

    Args:
        width: W, how many unfinished texts are kept.
        device: of the scores.
    """

    def __init__(self, width: int, device: torch.device) -> None:
        self.width = width
        # all rows begin alike, so only one of them may be extended
        self.scores = torch.full((width,), -torch.inf, device=device)
        self.scores[0] = 0.0
        self.texts: list[bytes] = [b""] * width
        self.ended: dict[bytes, float] = {}

    def step(self, logs: Tensor) -> tuple[Tensor, Tensor]:
        """Extend every text by one byte.

        Args:
            logs: ``(W, V)`` log-probabilities of the next byte.

        Returns:
            ``(W,)`` the bytes, and ``(W,)`` the row that each extends.
        """
        total = self.scores[:, None] + logs  # (W, V)
        for row, score in enumerate(total[:, END].tolist()):
            self._end(self.texts[row], score)
        total[:, END] = -torch.inf
        self.scores, flat = total.flatten().topk(self.width)
        parent, letter = flat // VOCABULARY, flat % VOCABULARY
        pairs = zip(parent.tolist(), letter.tolist(), strict=True)
        self.texts = [self.texts[p] + bytes([x]) for p, x in pairs]
        return letter, parent

    def _end(self, text: bytes, score: float) -> None:
        """Keep a finished text if it is valid UTF-8 without invisible characters."""
        try:
            words = text.decode().strip().encode()
            canonical(words.decode())
        except (UnicodeDecodeError, PromptError):
            return
        if score > -torch.inf:
            self.ended[words] = max(score, self.ended.get(words, -torch.inf))

    def over(self, count: int) -> bool:
        """Whether no unfinished text can be among the ``count`` best: scores only fall."""
        if len(self.ended) < count:
            return False
        worst = sorted(self.ended.values(), reverse=True)[count - 1]
        return float(self.scores.max()) < worst

    def best(self, count: int) -> list[ScoredCaption]:
        """The best finished texts."""
        order = sorted(self.ended.items(), key=lambda item: -item[1])[:count]
        return [ScoredCaption(text.decode(), score) for text, score in order]
