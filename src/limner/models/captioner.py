"""captioner: a picture to words, in the language asked for.

A convolutional tower looks; a small causal transformer (:mod:`limner.models.decoder`) reads what it
saw as a prefix and says the caption letter by letter. The letters are bytes of UTF-8 (ByT5, Xue et
al. 2022), so that one vocabulary of 257 serves every language and no tokenizer has to be shipped.

What it saw is the grid, cell by cell, or a few vectors made of all of it. Those may pass through a
space that pictures share with the meanings of their captions. There the decoder also learns to say
captions from nothing but their own blurred meanings (as in CapDec, Nukrai et al. 2022, and DeCap,
Li et al. 2023): how a thing is called has not to be learned from drawings of it.

Shape letters: B pictures, N vectors of what was seen, T positions of the text, D width, V = 257,
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
from limner.models.aligner import differ, softmax_loss
from limner.models.autoencoder import normal_like
from limner.models.base import Batch, Capability, Model, register
from limner.models.conditioning import TextWhitening, WhitenedConfig
from limner.models.decoder import Decoder, DecoderConfig
from limner.models.layers import rms_norm
from limner.models.tower import PictureTower, Whole, WholeConfig
from limner.text.base import TextEncoder, TextFeatures
from limner.text.validate import canonical

END = 256
"""What follows the last byte."""
VOCABULARY = 257
_TILT = 10.0
"""Degrees by which a picture is turned for a second and third look."""
_READ_AGAIN = 16
"""How many of the likeliest captions are compared with the picture again."""
_PARTS = 4
"""Into how many parts a batch is cut by the length of its texts."""


class CaptionerConfig(WholeConfig, WhitenedConfig):
    """Shape of the eye and of the tongue."""

    languages: tuple[str, ...] = Field(
        (), description="codes of the languages it speaks; left out, those of the data"
    )
    widths: tuple[int, ...] = Field(
        (48, 96, 192, 256), min_length=1, max_length=6, description="channels of the grids"
    )
    told: int = Field(
        0, ge=0, le=64, description="vectors that tell the decoder of the whole picture; 0: it is "
        "shown every cell of the grid, and 'looks', 'flat', 'inner' and 'drop' mean nothing",
    )  # fmt: skip
    common: int = Field(
        0, ge=0, le=4096, description="E, width of a space in which the whole picture lies by the "
        "meaning of its caption, and of which the decoder is told (needs 'told'); 0: none",
    )  # fmt: skip
    common_first: float = Field(
        0.0, ge=0, lt=1, description="share of the budget in which nothing else is learned"
    )
    blur: float = Field(
        0.7, ge=0, description="length of the noise on vectors of that space while the decoder "
        "learns from them; theirs is 1",
    )  # fmt: skip
    dim: int = Field(192, ge=8, description="width of the decoder")
    depth: int = Field(4, ge=1, le=64)
    heads: int = Field(3, ge=1)
    longest: int = Field(64, ge=1, le=1024, description="bytes of a caption; longer ones are cut")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        self.decoder()
        if self.common and not self.told:
            raise ValueError("'common' needs 'told': only a whole picture has a meaning")
        if self.common_first and not self.common:
            raise ValueError("'common_first' is a share of the budget for 'common', which is 0")
        return self

    def decoder(self) -> DecoderConfig:
        """The shape of the decoder."""
        return DecoderConfig(dim=self.dim, depth=self.depth, heads=self.heads)

    @classmethod
    def tiny(cls, text_dim: int = 16, styles: tuple[str, ...] = ()) -> Self:
        """The smallest configuration that exercises every part, for tests."""
        return cls.model_validate(
            {
                "size": 16, "text_dim": text_dim, "styles": styles, "languages": ("en", "zh"),
                "widths": (4, 8), "looks": 1, "flat": 2, "inner": 16, "told": 2, "dim": 16,
                "depth": 2, "heads": 2, "longest": 12, "common": 8, "text_rank": min(8, text_dim),
            }
        )  # fmt: skip


@dataclass(frozen=True)
class Said:
    """One caption of a picture.

    Attributes:
        text: the words.
        score: the higher the better; of ours see :meth:`Captioner.caption`, of the hub's the
            log-probability in nats, divided as it was set to do; None where nobody tells.
    """

    text: str
    score: float | None = None


class Meaning(nn.Module):
    """A space where pictures meet their captions, so that the eye learns more than letters tell.

    Letters say little of a picture once a few of them are known; which of all captions of a batch
    is its own says much more. The loss is the softmax loss of the aligner family, over the text
    encoder's vectors, which nothing here changes.
    """

    def __init__(self, config: CaptionerConfig, seen: int) -> None:
        super().__init__()
        self.blur = config.blur
        self.whiten = TextWhitening(config.text_dim, config.text_rank)
        self.said = nn.Linear(config.text_rank, config.common)
        self.seen = nn.Linear(seen, config.common)
        self.scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def see(self, seen: Tensor) -> Tensor:
        """``(B, width)`` of what was seen to ``(B, E)`` of unit length."""
        return F.normalize(self.seen(seen).float(), dim=1)

    def read(self, pooled: Tensor) -> Tensor:
        """``(B, text_dim)`` vectors of the text encoder to ``(B, E)`` of unit length."""
        return F.normalize(self.said(rms_norm(self.whiten(pooled))).float(), dim=1)

    def blurred(self, vectors: Tensor, generator: torch.Generator) -> Tensor:
        """Unit vectors that lie about ``atan(blur)`` from those given, ``(B, E)``."""
        noise = normal_like(vectors, generator) / math.sqrt(vectors.shape[1])
        return F.normalize(vectors + self.blur * noise, dim=1)

    def loss(self, seen: Tensor, said: Tensor, captions: Sequence[str]) -> Tensor:
        """Of ``(B, E)`` pictures and their captions; equal captions are not told apart."""
        logits = self.scale.exp().clamp(max=100) * seen @ said.T
        own = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
        return softmax_loss(logits, own | differ(captions, logits.device))


@register("captioner", CaptionerConfig)
class Captioner(Model):
    """Looks and speaks; see the module."""

    config: CaptionerConfig
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.CAPTION})
    reads_text: ClassVar[bool] = False  # a meaning that moved could meet the picture anywhere
    staged_losses: ClassVar[frozenset[str]] = frozenset({"nll", "retold"})

    def __init__(self, config: CaptionerConfig) -> None:
        super().__init__()
        c = self.config = config
        self.eye: Whole | PictureTower = Whole(c) if c.told else PictureTower(c)
        seen = self.eye.width if isinstance(self.eye, Whole) else c.widths[-1]
        self.show = nn.Linear(c.common or seen, (c.told or 1) * c.dim)
        self.place = nn.Parameter(torch.randn(c.told or c.cells, c.dim))
        self.language = nn.Embedding(len(c.languages) + 1, c.dim)  # the last row: any
        self.letters = nn.Embedding(VOCABULARY, c.dim)
        self.body = Decoder(c.decoder())
        self.head = nn.Linear(c.dim, VOCABULARY)
        self.meaning = Meaning(c, seen) if c.common else None

    def prepare(self, text: TextFeatures) -> None:
        """Fit the whitening of meanings to (a sample of) the training captions."""
        if self.meaning is not None:
            self.meaning.whiten.fit(text.pooled)

    # -- letters ----------------------------------------------------------------------------------

    def spell(self, captions: Sequence[str]) -> Tensor:
        """``(B, T)`` int64: bytes, then :data:`END`, then -1; too long ones are cut."""
        rows = [cut(text, self.config.longest) for text in captions]
        longest = max(map(len, rows), default=0) + 1
        out = torch.full((len(rows), longest), -1, dtype=torch.int64)
        for row, spelled in zip(out, rows, strict=True):
            row[: len(spelled)] = torch.tensor(list(spelled), dtype=torch.int64)
            row[len(spelled)] = END
        return out

    def tongue(self, languages: Sequence[str | None]) -> Tensor:
        """``(B,)`` int64 rows of the languages; one that is not spoken is any language."""
        known = {name: i for i, name in enumerate(self.config.languages)}
        return torch.tensor([known.get(name or "", len(known)) for name in languages])

    # -- the network ------------------------------------------------------------------------------

    def see(self, images: Tensor) -> Tensor:
        """``(B, 3, S, S)`` in [-1, 1] to what the decoder is told: ``(B, E)`` or the eye's."""
        seen = self.eye(images)
        return seen if self.meaning is None else self.meaning.see(seen)

    def look(self, images: Tensor) -> Tensor:
        """What :meth:`see` gives, of a longer look where there is a space of meanings.

        There it is the mean of the picture as it is and turned a little to either side, which
        lies nearer to what the picture means.
        """
        if self.meaning is None:
            return self.see(images)
        views = torch.stack([self.see(turned(images, angle)) for angle in (0, -_TILT, _TILT)])
        return F.normalize(views.mean(0), dim=1)

    def prefix(self, seen: Tensor, tongue: Tensor) -> Tensor:
        """What the text follows: ``(B, N + 1, D)``, what was seen and then the language."""
        told = seen if self.meaning is None else rms_norm(seen)
        told = self.show(told).view(len(tongue), *self.place.shape) + self.place
        return torch.cat((told, self.language(tongue)[:, None]), 1)

    def logits(self, prefix: Tensor, spelled: Tensor) -> Tensor:
        """Of each letter after those before it: ``(B, T, V)`` for ``(B, T)`` letters."""
        before = self.letters(spelled[:, :-1].clamp_min(0))  # (B, T-1, D)
        states = self.body(torch.cat((prefix, before), 1))
        return self.head(states[:, prefix.shape[1] - 1 :])  # type: ignore[no-any-return]

    def losses(self, batch: Batch, group: str) -> dict[str, Tensor]:
        """``nll``: of a letter, in nats; ``meaning``: see :class:`Meaning`.

        ``retold``: of a letter where the decoder is told the caption's own meaning.
        """
        spelled, tongue = self._said(batch)
        anyone = torch.rand(len(tongue), generator=batch.generator, device=tongue.device) < 0.1
        tongue = torch.where(anyone, len(self.config.languages), tongue)
        if self.meaning is None:
            return {"nll": self._nll(self.see(batch.images), tongue, spelled)}
        seen, said = self.see(batch.images), self.meaning.read(batch.text.pooled)
        found = {"meaning": self.meaning.loss(seen, said, batch.captions)}
        if batch.progress >= self.config.common_first:
            for name, known in (("nll", seen), ("retold", said)):
                told = self.meaning.blurred(known, batch.generator)
                found[name] = self._nll(told, tongue, spelled)
        return found

    def _nll(self, seen: Tensor, tongue: Tensor, spelled: Tensor) -> Tensor:
        """Mean over the letters; short texts are not made to wait for the longest."""
        lengths = (spelled >= 0).sum(1)
        total = seen.new_zeros(())
        for rows in lengths.argsort().chunk(_PARTS):
            part = spelled[rows, : int(lengths[rows].max())]
            logits = self.logits(self.prefix(seen[rows], tongue[rows]), part)
            nll = F.cross_entropy(
                logits.flatten(0, 1).float(), part.flatten(), ignore_index=-1, reduction="sum"
            )
            total = total + nll
        return total / lengths.sum()

    def _said(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The letters of a batch's captions, and the languages they are in."""
        device = batch.images.device
        tongue = self.tongue(batch.languages or [None] * len(batch.captions))
        return self.spell(batch.captions).to(device), tongue.to(device)

    @torch.inference_mode()
    def likelihood(
        self, images: Tensor, captions: Sequence[str], language: str | None = None
    ) -> Tensor:
        """Log-probability in nats of a caption of each picture, ``(B,)`` float32.

        Args:
            images: ``(B, 3, S, S)`` in [-1, 1].
            captions: B texts.
            language: of all; None for any.
        """
        spelled = self.spell(captions).to(images.device)
        tongue = self.tongue([language] * len(images)).to(images.device)
        logits = self.logits(self.prefix(self.look(images), tongue), spelled).float()
        nll = F.cross_entropy(logits.transpose(1, 2), spelled, ignore_index=-1, reduction="none")
        return -nll.sum(1)

    @torch.inference_mode()
    def caption(
        self,
        image: Tensor,
        language: str | None = None,
        count: int = 1,
        encoder: TextEncoder | None = None,
    ) -> list[Said]:
        """The best captions of one picture, best first, by beam search.

        Texts are ranked by their whole log-probability. Divided by the length, as is common, it
        would favour long names: once begun they are certain, letter after letter, whatever the
        picture shows. With an encoder the likeliest are read again, and what they mean is compared
        with what was seen: log p(text | picture) + s cos(text, picture), the product of the two
        experts, where s is the scale that the softmax over the space of meanings has learned.

        Args:
            image: ``(3, S, S)`` float32 in [-1, 1].
            language: its code; None lets the model choose.
            count: how many different ones.
            encoder: reads captions as those it learned from were read; a model without a space of
                meanings has no use for it.

        Raises:
            UsageError: the model does not speak the language, or no caption is asked for.
        """
        c = self.config
        if language is not None and language not in c.languages:
            known = ", ".join(c.languages) or "none by name"
            raise UsageError(f"this captioner does not speak {language!r}; it speaks: {known}")
        if count < 1:
            raise UsageError(f"{count} captions cannot be made; ask for one or more")
        device, meaning = image.device, None if encoder is None else self.meaning
        wanted = count if meaning is None else max(count, _READ_AGAIN)
        width = max(4, 2 * wanted)
        seen = self.look(image[None])
        prefix = self.prefix(seen, self.tongue([language]).to(device))
        shape = self.body.cache_shape(prefix.shape[1] + c.longest + 1)
        cache = self.body.open_cache(prefix.new_zeros(width, *shape))
        state = self.body(prefix.expand(width, -1, -1), cache)[:, -1]  # (W, D)
        beams = _Beams(width, device)
        for _ in range(c.longest + 1):
            letter, parent = beams.step(self.head(state).float().log_softmax(-1))
            if beams.over(wanted):
                break
            reorder(cache.store, parent)
            state = self.body(self.letters(letter)[:, None], cache)[:, -1]
        said = beams.best(wanted)
        if meaning is None or encoder is None or not said:
            return said
        pooled = encoder.encode([each.text for each in said]).pooled.to(device)
        agreement = (meaning.scale.exp().clamp(max=100) * meaning.read(pooled) @ seen[0]).tolist()
        pairs = zip(said, agreement, strict=True)
        again = [Said(each.text, (each.score or 0.0) + more) for each, more in pairs]
        return sorted(again, key=lambda each: -(each.score or 0.0))[:count]

    @torch.no_grad()
    def figures(self, batch: Batch) -> dict[str, Tensor]:
        """``right``: share of the letters of some captions that are the likeliest ones."""
        spelled, tongue = self._said(batch)
        logits = self.logits(self.prefix(self.see(batch.images), tongue), spelled)
        right = (logits.argmax(-1) == spelled) & (spelled >= 0)
        return {"right": right.sum() / (spelled >= 0).sum()}


def turned(images: Tensor, degrees: float) -> Tensor:
    """``(B, 3, S, S)`` pictures turned about their middles; what comes in repeats the border."""
    if not degrees:
        return images
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    theta = images.new_tensor([[cosine, -sine, 0.0], [sine, cosine, 0.0]])
    where = F.affine_grid(theta.expand(len(images), -1, -1), list(images.shape), False)
    return F.grid_sample(images, where, padding_mode="border", align_corners=False)


def cut(text: str, longest: int) -> bytes:
    """The UTF-8 of a text, at most ``longest`` bytes, no letter cut in two."""
    spelled = " ".join(text.split()).encode()
    return spelled[:longest].decode("utf-8", "ignore").encode()


def reorder(store: Tensor, parent: Tensor) -> None:
    """Let row i of a cache go on from row ``parent[i]``, in place."""
    store.copy_(store.index_select(0, parent))


class _Beams:
    """The likeliest beginnings of a text, and the texts that have ended.

    Args:
        width: W, how many beginnings are followed.
        device: of the scores.
    """

    def __init__(self, width: int, device: torch.device) -> None:
        self.width = width
        # all beams begin alike, so only one of them may have children
        self.scores = torch.full((width,), -torch.inf, device=device)
        self.scores[0] = 0.0
        self.texts: list[bytes] = [b""] * width
        self.ended: dict[bytes, float] = {}

    def step(self, logs: Tensor) -> tuple[Tensor, Tensor]:
        """Go on by one letter.

        Args:
            logs: ``(W, V)`` log-probabilities of the next letter.

        Returns:
            ``(W,)`` the letters, and ``(W,)`` which beam each follows.
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
        """Keep a text that has ended, if it can be read: no half letters, none that hide."""
        try:
            words = text.decode().strip().encode()
            canonical(words.decode())
        except (UnicodeDecodeError, PromptError):
            return
        if score > -torch.inf:
            self.ended[words] = max(score, self.ended.get(words, -torch.inf))

    def over(self, count: int) -> bool:
        """Whether nothing that is still open can be among the ``count`` best: texts only fall."""
        if len(self.ended) < count:
            return False
        worst = sorted(self.ended.values(), reverse=True)[count - 1]
        return float(self.scores.max()) < worst

    def best(self, count: int) -> list[Said]:
        """The best that have ended."""
        order = sorted(self.ended.items(), key=lambda item: -item[1])[:count]
        return [Said(text.decode(), score) for text, score in order]
