"""captioner: a picture to words, in the language asked for.

A convolutional tower looks; a small causal transformer (:mod:`limner.models.decoder`) reads what it
saw as a prefix and says the caption letter by letter. The letters are bytes of UTF-8 (ByT5, Xue et
al. 2022), so that one vocabulary of 257 serves every language and no tokenizer has to be shipped.

What it saw is the grid, cell by cell, or a few vectors made of all of it.

Shape letters: B pictures, N vectors of what was seen, T positions of the text, D width, V = 257.
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

from limner.errors import UsageError
from limner.models.aligner import softmax_loss
from limner.models.base import Batch, Capability, Reader, register
from limner.models.decoder import Decoder, DecoderConfig
from limner.models.layers import TextWhitening, rms_norm
from limner.models.tower import PictureTower, Whole, WholeConfig
from limner.text.base import TextFeatures

END = 256
"""What follows the last byte."""
VOCABULARY = 257


class CaptionerConfig(WholeConfig):
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
        0, ge=0, le=4096, description="width of a space in which the whole picture is drawn to the "
        "meaning of its caption while it learns (needs 'told'); 0: none",
    )  # fmt: skip
    common_first: float = Field(
        0.0, ge=0, lt=1, description="share of the budget in which nothing else is learned"
    )
    text_rank: int = Field(256, ge=1, description="whitened dimensions kept of that meaning")
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
        score: log-probability in nats (a captioner from the hub divides it as it was set to do);
            None where whoever said it does not tell.
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
        self.whiten = TextWhitening(config.text_dim, min(config.text_rank, config.text_dim))
        self.said = nn.Linear(self.whiten.matrix.shape[1], config.common)
        self.seen = nn.Linear(seen, config.common)
        self.scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, seen: Tensor, batch: Batch) -> Tensor:
        """The loss of ``(B, width)`` pictures and their captions."""
        said = F.normalize(self.said(rms_norm(self.whiten(batch.text.pooled))).float(), dim=1)
        logits = (
            self.scale.exp().clamp(max=100) * F.normalize(self.seen(seen).float(), dim=1) @ said.T
        )
        number = {text: i for i, text in enumerate(dict.fromkeys(batch.captions))}
        ids = torch.tensor([number[text] for text in batch.captions], device=logits.device)
        own = torch.eye(len(ids), dtype=torch.bool, device=logits.device)
        return softmax_loss(logits, own | (ids[:, None] != ids))


@register("captioner", CaptionerConfig)
class Captioner(Reader):
    """Looks and speaks; see the module."""

    config: CaptionerConfig
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.CAPTION})
    reads_text: ClassVar[bool] = False  # a meaning that moved could meet the picture anywhere
    staged_losses: ClassVar[frozenset[str]] = frozenset({"nll"})

    def __init__(self, config: CaptionerConfig) -> None:
        super().__init__()
        c = self.config = config
        self.eye: Whole | PictureTower = Whole(c) if c.told else PictureTower(c)
        seen = self.eye.width if isinstance(self.eye, Whole) else c.widths[-1]
        self.show = nn.Linear(seen, (c.told or 1) * c.dim)
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

    def prefix(self, images: Tensor, tongue: Tensor) -> Tensor:
        """What the text follows: ``(B, N + 1, D)``, what was seen and then the language."""
        return self._prefix(self.eye(images), tongue)

    def _prefix(self, seen: Tensor, tongue: Tensor) -> Tensor:
        seen = self.show(seen).view(len(tongue), *self.place.shape) + self.place
        return torch.cat((seen, self.language(tongue)[:, None]), 1)

    def logits(self, prefix: Tensor, spelled: Tensor) -> Tensor:
        """Of each letter after those before it: ``(B, T, V)`` for ``(B, T)`` letters."""
        before = self.letters(spelled[:, :-1].clamp_min(0))  # (B, T-1, D)
        states = self.body(torch.cat((prefix, before), 1))
        return self.head(states[:, prefix.shape[1] - 1 :])  # type: ignore[no-any-return]

    def losses(self, batch: Batch, player: str) -> dict[str, Tensor]:
        """``nll``: of a letter, in nats; ``meaning``: see :class:`Meaning`."""
        seen, found = self.eye(batch.images), dict[str, Tensor]()
        if self.meaning is not None:
            found["meaning"] = self.meaning(seen, batch)
        if batch.progress < self.config.common_first:
            return found
        spelled, tongue = self._said(batch)
        device = spelled.device
        anyone = torch.rand(len(tongue), generator=batch.generator, device=device) < 0.1
        tongue = torch.where(anyone, len(self.config.languages), tongue)
        logits = self.logits(self._prefix(seen, tongue), spelled)
        nll = F.cross_entropy(logits.flatten(0, 1).float(), spelled.flatten(), ignore_index=-1)
        return {**found, "nll": nll}

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
        logits = self.logits(self.prefix(images, tongue), spelled).float()
        nll = F.cross_entropy(logits.transpose(1, 2), spelled, ignore_index=-1, reduction="none")
        return -nll.sum(1)

    @torch.inference_mode()
    def caption(self, image: Tensor, language: str | None = None, count: int = 1) -> list[Said]:
        """The likeliest captions of one picture, best first, by beam search.

        Texts are ranked by their whole log-probability. Divided by the length, as is common, it
        would favour long names: once begun they are certain, letter after letter, whatever the
        picture shows.

        Args:
            image: ``(3, S, S)`` float32 in [-1, 1].
            language: its code; None lets the model choose.
            count: how many different ones.

        Raises:
            UsageError: the model does not speak the language, or no caption is asked for.
        """
        c = self.config
        if language is not None and language not in c.languages:
            known = ", ".join(c.languages) or "none by name"
            raise UsageError(f"this captioner does not speak {language!r}; it speaks: {known}")
        if count < 1:
            raise UsageError(f"{count} captions cannot be made; ask for one or more")
        device, width = image.device, max(4, 2 * count)
        prefix = self.prefix(image[None], self.tongue([language]).to(device))
        cache = self.body.make_cache(width, prefix.shape[1] + c.longest + 1)
        state = self.body(prefix.expand(width, -1, -1), cache)[:, -1]  # (W, D)
        beams = _Beams(width, device)
        for _ in range(c.longest + 1):
            letter, parent = beams.step(self.head(state).float().log_softmax(-1))
            if beams.over(count):
                break
            reorder(cache.store, parent)
            state = self.body(self.letters(letter)[:, None], cache)[:, -1]
        return beams.best(count)

    @torch.no_grad()
    def figures(self, batch: Batch) -> dict[str, Tensor]:
        """``right``: share of the letters of some captions that are the likeliest ones."""
        spelled, tongue = self._said(batch)
        logits = self.logits(self.prefix(batch.images, tongue), spelled)
        right = (logits.argmax(-1) == spelled) & (spelled >= 0)
        return {"right": right.sum() / (spelled >= 0).sum()}


def cut(text: str, longest: int) -> bytes:
    """The UTF-8 of a text, at most ``longest`` bytes, no letter cut in two."""
    spelled = " ".join(text.split()).encode()
    return spelled[:longest].decode("utf-8", "ignore").encode()


def reorder(store: Tensor, parent: Tensor) -> None:
    """Let row i of a cache (axis 2) go on from row ``parent[i]``, in place."""
    store.copy_(store.index_select(2, parent))


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
        try:
            words = text.decode().strip().encode()
        except UnicodeDecodeError:
            return
        if words and score > -torch.inf:
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
