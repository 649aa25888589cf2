"""planner: which things a text asks for, how many of each, where, and on what background.

A small transformer classifies the pieces of a text, each given as the text encoder's vector: does
it name a thing, and how many, how large, in which tint? From the whole text it predicts the
relation between two things and the colour of the background. A generator then draws every thing
for itself (:mod:`limner.generation.scene_drawing`), as from layouts by a language model (Lian et
al. 2023, arXiv:2305.13655). Rules complete it: :mod:`limner.generation.phrase_planning`.

Shape letters: B texts, L pieces, W width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from limner.models.base import Batch, FusionConfig, Model, Parses, register
from limner.models.conditioning import TextConditioning, WhitenedConfig
from limner.models.fusion import Fusion
from limner.models.layers import normal_like
from limner.models.settings import Capability
from limner.scenes.labels import SIZES, TINTS, Kind
from limner.scenes.layout import RELATIONS, Relation
from limner.text.base import TextFeatures


class PlannerConfig(WhitenedConfig):
    """Configuration of the transformer over pieces."""

    width: int = Field(128, ge=8, le=2048, description="W, numbers per piece")
    depth: int = Field(3, ge=1, le=32)
    heads: int = Field(4, ge=1, le=64)
    text_noise: float = Field(0.2, ge=0, description="noise on text vectors in training")
    max_tokens: int = Field(12, ge=2, le=64, description="L, pieces that are read")
    max_count: int = Field(9, ge=1, le=16, description="of one thing")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of {self.heads} heads")
        return self


@dataclass(frozen=True)
class PlannedThing:
    """A kind of thing that a text asks for.

    Attributes:
        piece: number of the piece of the text that names it.
        count: how many.
        size: ``big``, ``small`` or None.
        tint: colour to recolour it to, key of ``COLOURS``; None for its own.
        top: colour of what is uppermost of it (:mod:`limner.scenes.top_colours`); None for its own.
    """

    piece: int
    count: int = 1
    size: str | None = None
    tint: str | None = None
    top: str | None = None


@dataclass(frozen=True)
class ScenePlan:
    """What a text asks for.

    Attributes:
        things: in the order of the text.
        drop: pieces that are words which do not describe a thing: its number, its size.
        tint: pieces that are words for the tint of a thing.
        behind: pieces that only describe the background.
        relation: where the first thing is, relative to the second.
        background: its colour, red, green and blue in [0, 1]; None for white.
    """

    things: tuple[PlannedThing, ...]
    drop: tuple[int, ...] = ()
    tint: tuple[int, ...] = ()
    behind: tuple[int, ...] = ()
    relation: Relation | None = None
    background: tuple[float, float, float] | None = None

    @property
    def single(self) -> bool:
        """Whether there is one thing on white, or none, so that nothing has to be arranged."""
        return sum(thing.count for thing in self.things) <= 1 and self.background is None


class PlannerOutput(NamedTuple):
    """The network's outputs for B texts.

    Attributes:
        kinds: ``(B, L, 5)`` logits of :class:`limner.scenes.labels.Kind`.
        counts: ``(B, L, max_count)`` logits of 1, 2, … of it.
        sizes: ``(B, L, 3)`` logits of ``SIZES``.
        tints: ``(B, L, 12)`` logits of ``TINTS``.
        relations: ``(B, 5)`` logits: none, then ``RELATIONS``.
        coloured: ``(B,)`` logit of a background other than white.
        background: ``(B, 3)`` its colour in [0, 1].
    """

    kinds: Tensor
    counts: Tensor
    sizes: Tensor
    tints: Tensor
    relations: Tensor
    coloured: Tensor
    background: Tensor


@register("planner", PlannerConfig)
class Planner(TextConditioning, Model):
    """A transformer over the pieces of a text; see the module."""

    config: PlannerConfig
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.PLAN})
    reads_scenes: ClassVar[bool] = True
    whitenings: ClassVar[tuple[str, str]] = ("pooled", "tokens")

    def __init__(self, config: PlannerConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.add_whitening(config.text_dim, config.text_rank)
        self.fusion = Fusion(config.text_rank, FusionConfig())
        self.first = nn.Linear(config.text_rank, width)
        self.place = nn.Parameter(0.02 * torch.randn(config.max_tokens, width))
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, config.heads, 4 * width, dropout=0.0, activation="gelu",
                batch_first=True, norm_first=True,
            )
            for _ in range(config.depth)
        )  # fmt: skip
        self.norm = nn.LayerNorm(width)
        self.kind = nn.Linear(width, len(Kind))
        self.count = nn.Linear(width, config.max_count)
        self.size = nn.Linear(width, len(SIZES))
        self.paint = nn.Linear(width, len(TINTS))  # of tints; named so in files of weights
        self.whole = nn.Linear(width, 1 + len(RELATIONS) + 4)

    def forward(
        self, text: TextFeatures, generator: torch.Generator | None = None
    ) -> PlannerOutput:
        """The outputs for B texts; with a generator, noise is added as in training."""
        text = self.read_text(text.padded(self.config.max_tokens))
        tokens = text.tokens  # (B, L, R), the first of them the whole text
        if generator is not None and self.config.text_noise:
            tokens = tokens + self.config.text_noise * normal_like(tokens, generator)
        x = self.first(tokens) + self.place
        for block in self.blocks:
            x = block(x, src_key_padding_mask=~text.mask)
        x = self.norm(x)  # (B, L, W)
        relations, coloured, background = self.whole(x[:, 0]).split([1 + len(RELATIONS), 1, 3], 1)
        return PlannerOutput(
            self.kind(x), self.count(x), self.size(x), self.paint(x),
            relations, coloured[:, 0], background.sigmoid(),
        )  # fmt: skip

    def losses(self, batch: Batch, group: str) -> dict[str, Tensor]:
        """Cross-entropies, and the mean absolute error of the background's colour, in six parts.

        ``kind`` of every piece; ``count``, ``size`` and ``paint`` (tint) of every thing;
        ``relation`` of the texts with two things or more; ``ground`` (background). Texts whose
        parse is unknown are left out.

        Raises:
            ValueError: the batch has no parses.
        """
        if batch.parses is None:
            raise ValueError("the planner is trained on scenes, and this batch has no parses")
        found = self(batch.text, batch.generator)
        known = batch.parses.padded(self.config.max_tokens)
        valid = batch.text.padded(self.config.max_tokens).mask & (known.kinds[:, :1] >= 0)  # (B, L)
        thing = valid & (known.kinds == Kind.THING)
        several = thing.sum(1) > 1
        sure = valid[:, 0]
        counts = known.counts.clamp(1, self.config.max_count) - 1
        behind = sure & (known.background[:, 0] >= 0)  # (B,)
        there = F.binary_cross_entropy_with_logits(
            found.coloured, behind.float(), sure.float(), reduction="sum"
        ) / sure.sum().clamp_min(1)
        shade = ((found.background - known.background).abs().mean(1) * behind).sum()
        return {
            "kind": _entropy(found.kinds, known.kinds, valid),
            "count": _entropy(found.counts, counts, thing),
            "size": _entropy(found.sizes, known.sizes, thing),
            "paint": _entropy(found.tints, known.tints, thing),
            "relation": _entropy(found.relations, known.relations, several),
            "ground": there + shade / behind.sum().clamp_min(1),
        }

    @torch.no_grad()
    def figures(self, batch: Batch) -> dict[str, Tensor]:
        """``understood``: share of the batch's captions whose plan is right in everything."""
        if batch.parses is None:
            return {}
        pairs = [(plan, batch.parses[[i]]) for i, plan in enumerate(self.plan(batch.text))]
        right = [_same(plan, wanted) for plan, wanted in pairs if wanted.kinds[0, 0] >= 0]
        return {"understood": torch.tensor(right).float().mean()} if right else {}

    @torch.inference_mode()
    def plan(self, text: TextFeatures) -> list[ScenePlan]:
        """What each of B texts asks for; a text's plan does not depend on its neighbours."""
        return [self._plan(text[[i]]) for i in range(len(text))]

    def _plan(self, text: TextFeatures) -> ScenePlan:
        found = self(text)
        mask = text.padded(self.config.max_tokens).mask[0]
        whole, *rest = found.kinds[0].argmax(1).where(mask, Kind.OTHER).tolist()
        if whole == Kind.THING:  # the text as a whole names one thing
            rest = [Kind.OTHER if kind == Kind.THING else kind for kind in rest]
        else:
            whole = Kind.OTHER
        several = rest.count(Kind.THING) > 1
        logits = (found.counts, found.sizes, found.tints)
        counts, sizes, tints = (each[0].argmax(1) for each in logits)
        plan = _assemble(
            [whole, *rest], (counts + 1).tolist(), sizes.tolist(), tints.tolist(),
            int(found.relations[0].argmax()) if several else 0,
        )  # fmt: skip
        red, green, blue = found.background[0].tolist()
        coloured = float(found.coloured[0]) > 0
        return replace(plan, background=(red, green, blue) if coloured else None)


def _assemble(
    kinds: Sequence[int], counts: Sequence[int], sizes: Sequence[int], tints: Sequence[int],
    relation: int,
) -> ScenePlan:  # fmt: skip
    """The plan that the classes of a text's pieces make up, on white."""

    def of(kind: Kind) -> tuple[int, ...]:
        return tuple(i for i, each in enumerate(kinds) if each == kind)

    things = tuple(
        PlannedThing(i, counts[i], SIZES[sizes[i]], TINTS[tints[i]]) for i in of(Kind.THING)
    )
    where = RELATIONS[relation - 1] if relation else None
    return ScenePlan(things, of(Kind.DROP), of(Kind.TINT), of(Kind.BACKGROUND), where)


def _entropy(logits: Tensor, wanted: Tensor, counted: Tensor) -> Tensor:
    """Mean cross-entropy where it counts, zero where nothing does."""
    each = F.cross_entropy(logits.flatten(0, -2), wanted.clamp_min(0).flatten(), reduction="none")
    return (each * counted.flatten()).sum() / counted.sum().clamp_min(1)


def _same(plan: ScenePlan, parse: Parses) -> bool:
    """Whether a plan is the parse: things, words, relation, and whether white is behind."""
    kinds, counts, sizes, tints = (
        each[0].tolist() for each in (parse.kinds, parse.counts, parse.sizes, parse.tints)
    )
    wanted = _assemble(kinds, counts, sizes, tints, int(parse.relations[0]))
    coloured = bool(parse.background[0, 0] >= 0)
    return replace(plan, background=None) == wanted and (plan.background is not None) == coloured
