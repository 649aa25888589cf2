"""captioner: a picture to words, in the language asked for.

A convolutional tower looks; a small causal transformer (:mod:`limner.models.decoder`) reads what it
saw as a prefix and says the caption letter by letter. The letters are bytes of UTF-8 (ByT5, Xue et
al. 2022), so that one vocabulary of 257 serves every language and no tokenizer has to be shipped.

Shape letters: B pictures, N cells of the picture's grid, T positions of the text, D width, V = 257.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from limner.errors import UsageError
from limner.models.base import Batch, Capability, Reader, register
from limner.models.decoder import Decoder, DecoderConfig
from limner.models.tower import PictureTower, TowerConfig

END = 256
"""What follows the last byte."""
VOCABULARY = 257


class CaptionerConfig(TowerConfig):
    """Shape of the eye and of the tongue."""

    languages: tuple[str, ...] = Field(
        (), description="codes of the languages it speaks; left out, those of the data"
    )
    widths: tuple[int, ...] = Field(
        (48, 96, 192, 256), min_length=1, max_length=6, description="channels of the grids"
    )
    dim: int = Field(192, ge=8, description="width of the decoder")
    depth: int = Field(4, ge=1, le=64)
    heads: int = Field(3, ge=1)
    longest: int = Field(64, ge=1, le=1024, description="bytes of a caption; longer ones are cut")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        self.decoder()
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
                "widths": (4, 8), "dim": 16, "depth": 2, "heads": 2, "longest": 12,
            }
        )  # fmt: skip


@dataclass(frozen=True)
class Said:
    """One caption of a picture.

    Attributes:
        text: the words.
        score: log-probability in nats over the number of letters, the end included; None where
            whoever said it does not tell.
    """

    text: str
    score: float | None = None


@register("captioner", CaptionerConfig)
class Captioner(Reader):
    """Looks and speaks; see the module."""

    config: CaptionerConfig
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.CAPTION})
    reads_text: ClassVar[bool] = False

    def __init__(self, config: CaptionerConfig) -> None:
        super().__init__()
        c = self.config = config
        self.tower = PictureTower(c.widths, c.blocks)
        self.cells = (c.size // self.tower.stride) ** 2
        self.show = nn.Linear(c.widths[-1], c.dim)
        self.place = nn.Parameter(torch.randn(self.cells, c.dim))
        self.language = nn.Embedding(len(c.languages) + 1, c.dim)  # the last row: any
        self.letters = nn.Embedding(VOCABULARY, c.dim)
        self.body = Decoder(c.decoder())
        self.head = nn.Linear(c.dim, VOCABULARY)

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
        """What the text follows: ``(B, N + 1, D)``, the cells and then the language."""
        seen = self.show(self.tower(images)) + self.place
        return torch.cat((seen, self.language(tongue)[:, None]), 1)

    def logits(self, prefix: Tensor, spelled: Tensor) -> Tensor:
        """Of each letter after those before it: ``(B, T, V)`` for ``(B, T)`` letters."""
        before = self.letters(spelled[:, :-1].clamp_min(0))  # (B, T-1, D)
        states = self.body(torch.cat((prefix, before), 1))
        return self.head(states[:, prefix.shape[1] - 1 :])  # type: ignore[no-any-return]

    def losses(self, batch: Batch, player: str) -> dict[str, Tensor]:
        """``nll``: of a letter, in nats."""
        spelled, tongue = self._said(batch)
        device = spelled.device
        anyone = torch.rand(len(tongue), generator=batch.generator, device=device) < 0.1
        tongue = torch.where(anyone, len(self.config.languages), tongue)
        logits = self.logits(self.prefix(batch.images, tongue), spelled)
        nll = F.cross_entropy(logits.flatten(0, 1).float(), spelled.flatten(), ignore_index=-1)
        return {"nll": nll}

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

        The score of a text is its log-probability over its length, so that short ones are not
        preferred (Wu et al. 2016, section 7, with alpha = 1).

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
            if beams.over(c.longest):
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
            words = text.decode().strip()
        except UnicodeDecodeError:
            return
        if words and score > -torch.inf:
            each = score / (len(text) + 1)
            self.ended[words.encode()] = max(each, self.ended.get(words.encode(), -torch.inf))

    def over(self, longest: int) -> bool:
        """Whether nothing that is still open can beat what has ended.

        The best that can still come is a beam that goes on for certain up to the longest text.
        """
        if len(self.ended) < self.width:
            return False
        worst = sorted(self.ended.values(), reverse=True)[self.width - 1]
        return float(self.scores.max()) / (longest + 1) < worst

    def best(self, count: int) -> list[Said]:
        """The best that have ended."""
        order = sorted(self.ended.items(), key=lambda item: -item[1])[:count]
        return [Said(text.decode(), score) for text, score in order]
