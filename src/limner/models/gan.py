"""gan: a text-conditional generative adversarial network that draws in one step.

The recipe is R3GAN's (Huang et al. 2024, arXiv:2501.05441): a relativistic loss, which has no
mode-dropping minimum, with zero-centred gradient penalties, with which it converges. For words the
discriminator also learns which caption a picture belongs to (Reed et al. 2016, "matching-aware").
What changes over a run is a function of the share of the budget that is spent. The two networks are
in :mod:`limner.models.gan_bodies`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Self, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from limner.models.base import Batch, ParameterGroup, register
from limner.models.conditioning import PooledConditioning, PooledConfig, choose_styles
from limner.models.diffaug import Changes, adapt, change, draw_changes, scheduled
from limner.models.gan_bodies import (
    ConvGenerator,
    Discriminator,
    GPT2Generator,
    default_widths,
    linear,
)
from limner.models.gan_losses import (
    diversity_loss,
    gradient_penalty,
    mismatches,
    relativistic,
    update_spread,
)
from limner.models.image_model import image_noise
from limner.models.layers import rms_norm
from limner.models.one_shot import OneShotModel
from limner.models.rows import SampleRequest
from limner.models.settings import Capability, FrozenConfig
from limner.text.base import TextFeatures

Width = Annotated[int, Field(ge=4, le=4096)]
_MEAN_STREAM = 4
_MEAN_SAMPLES = 64
"""Noise vectors over which the mean latent code of a text is taken."""
_PENALTY_SEED = 0x5A17


class GPT2Config(FrozenConfig):
    """The GPT-2 that draws, for ``body: gpt2``."""

    layers: int = Field(4, ge=1, le=48)
    width: int = Field(192, ge=8, le=1600, description="768 for the weights called gpt2")
    heads: int = Field(6, ge=1, le=25, description="12 for the weights called gpt2")
    patch: int = Field(4, ge=1, le=64, description="side of the square that one token draws")
    prefix: int = Field(4, ge=1, le=64, description="tokens that words and noise become")
    weights: str | None = Field(
        None, description="folder or hub id of a GPT-2 to start from; read once, before step 0"
    )


class GANConfig(PooledConfig):
    """Shape and schedules of the adversarial family."""

    body: Literal["conv", "gpt2"] = Field("conv", description="what the generator is made of")
    patch: int = Field(
        2, ge=1, le=8, description="pixels along a cell of the generator's finest grid"
    )
    critic_patch: int = Field(
        default_factory=lambda known: known["patch"], ge=1, le=8,
        description="of the discriminator's; left out, the generator's",
    )  # fmt: skip
    widths: tuple[Width, ...] = Field(
        default_factory=lambda known: default_widths(known["size"], known["patch"]),
        min_length=1, max_length=8,
        description="generator's channels from the coarsest grid to the finest; each doubles the "
        "side; left out, they follow from the size",
    )  # fmt: skip
    critic_widths: tuple[Width, ...] = Field(
        default_factory=lambda known: default_widths(known["size"], known["critic_patch"]),
        min_length=1, max_length=8,
        description="discriminator's, in the same order; left out, they follow from the size",
    )  # fmt: skip
    blocks: int = Field(1, ge=1, le=16, description="residual blocks on each grid")
    expansion: int = Field(2, ge=1, le=8, description="of the bottleneck inside a block")
    group: int = Field(16, ge=1, description="channels in a group of the 3x3 convolutions")
    noise_dim: int = Field(64, ge=1, le=1024)
    condition_dim: int = Field(
        64, ge=1, description="numbers the generator makes of the words; as many as of noise"
    )
    code_dim: int = Field(256, ge=4, description="width of the latent code (words and noise)")
    embed_dim: int = Field(256, ge=1, description="width of the projection in the discriminator")
    gpt2: GPT2Config = GPT2Config()
    gamma: tuple[float, float] = Field(
        default_factory=lambda known: _default_gamma(known["size"]),
        description="of the gradient penalties, when the budget begins and ends; left out, "
        "(size / 64)^2 but at least 1, and a tenth of that",
    )  # fmt: skip
    penalty_every: int = Field(
        1, ge=1, le=64, description="steps in the mean from one penalty to the next, which is that "
        "much stronger; the second derivatives of a penalty are expensive",
    )  # fmt: skip
    alike: float = Field(
        0.5, ge=-1, le=1, description="cosine of whitened captions that count as synonyms"
    )
    variety: bool = Field(
        True, description="train two pictures of the same words to differ as real ones do"
    )
    match: bool = Field(
        False, description="the generator also learns that its pictures go with no other caption, "
        "which makes them more typical and less varied",
    )  # fmt: skip
    augment: Literal["none", "scheduled", "adaptive"] = Field(
        "scheduled", description="how the chance of augmentation is set"
    )
    augment_chance: float = Field(
        0.3, ge=0, le=1, description="at the end of the budget (scheduled), or at most (adaptive)"
    )
    augment_target: float = Field(
        0.6, ge=-1, le=1, description="adaptive: sign of D(real) - D(drawn) that is aimed at"
    )
    augment_speed: float = Field(
        100_000.0, gt=0, description="adaptive: pictures in which the chance could go from 0 to 1"
    )
    betas: tuple[float, float] = Field((0.0, 0.99), description="of Adam, for both players")
    critic_lr: float = Field(1.0, gt=0, description="rate of the discriminator, as a factor")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        grids = [(self.widths, self.patch), (self.critic_widths, self.critic_patch)]
        for widths, patch in grids[self.body == "gpt2" :]:
            least = _coarse_cell(widths, patch)
            if self.size % least or self.size // least < 2:
                hint = list(default_widths(self.size, patch))
                raise ValueError(
                    f"size {self.size} is not two or more times {least}, which {len(widths)} grids "
                    f"at patch {patch} need; leave the widths out, or give {len(hint)} such "
                    f"as {hint}"
                )
        if self.body == "gpt2" and self.size % self.gpt2.patch:
            raise ValueError(f"gpt2.patch {self.gpt2.patch} does not divide size {self.size}")
        if self.body == "gpt2" and self.gpt2.width % self.gpt2.heads:
            raise ValueError(
                f"gpt2.width {self.gpt2.width} is not a multiple of gpt2.heads {self.gpt2.heads}"
            )
        if min(self.gamma) < 0:
            raise ValueError("'gamma' is two numbers of at least 0")
        return self

    @property
    def coarsest(self) -> int:
        """Cells along one side of the generator's coarsest grid."""
        return self.size // _coarse_cell(self.widths, self.patch)

    @property
    def critic_coarsest(self) -> int:
        """Cells along one side of the discriminator's coarsest grid."""
        return self.size // _coarse_cell(self.critic_widths, self.critic_patch)


def _default_gamma(size: int) -> tuple[float, float]:
    full = max(1.0, (size / 64) ** 2)
    return full, full / 10


def _coarse_cell(widths: Sequence[int], patch: int) -> int:
    """Pixels along a cell of the coarsest of these grids."""
    return patch << (len(widths) - 1)


# -- the family -------------------------------------------------------------------------------


class Mapping(nn.Module):
    """Condition, of the width that the reader gives, and noise to the latent code."""

    def __init__(self, config: GANConfig, condition: int) -> None:
        super().__init__()
        self.words = linear(condition, config.condition_dim)
        self.first = linear(config.condition_dim + config.noise_dim, config.code_dim, math.sqrt(2))
        self.last = linear(config.code_dim, config.code_dim, math.sqrt(2))

    def forward(self, condition: Tensor, noise: Tensor) -> Tensor:
        """``(B, width)`` and ``(B, noise_dim)`` to ``(B, code_dim)``."""
        said = torch.cat((rms_norm(self.words(condition)), noise), 1)
        return F.leaky_relu(self.last(F.leaky_relu(self.first(said), 0.2)), 0.2)

    def mean(self, condition: Tensor, noise: Tensor) -> Tensor:
        """The mean code of each condition over ``(K, noise_dim)`` noise: ``(B, code_dim)``."""
        count = len(noise)
        codes = self(condition.repeat_interleave(count, 0), noise.repeat(len(condition), 1))
        return codes.unflatten(0, (-1, count)).mean(1)  # type: ignore[no-any-return]


def _chance(batch: Batch) -> float:
    """A number in [0, 1) of the batch's seed, for which the CPU need not wait for the device."""
    seed = batch.generator.initial_seed() ^ _PENALTY_SEED
    return float(torch.rand((), generator=torch.Generator().manual_seed(seed)))


@register("gan", GANConfig)
class GAN(OneShotModel):
    """R3GAN with words: a generator of one step against a matching-aware discriminator."""

    config: GANConfig
    capabilities: ClassVar[frozenset[Capability]] = frozenset({
        Capability.GENERATE, Capability.STYLE, Capability.TRUNCATION, Capability.REFERENCE,
        Capability.INPAINT, Capability.RESTYLE, Capability.EXPLAIN,
    })  # fmt: skip
    text_group: ClassVar[str | None] = "generator"
    staged_losses = frozenset({"penalty"})  # not on every step, where penalty_every says so
    chance: Tensor
    spread: Tensor

    def __init__(self, config: GANConfig) -> None:
        super().__init__()
        self.config = config
        self.reader = PooledConditioning(config)
        self.mapping = Mapping(config, self.reader.width)
        self.generator = GPT2Generator(config) if config.body == "gpt2" else ConvGenerator(config)
        self.critic_reader = PooledConditioning(config)
        self.critic = Discriminator(config, self.critic_reader.width)
        self.register_buffer("chance", torch.zeros(()))  # of augmentation, where it adapts
        self.register_buffer("spread", torch.zeros(2))  # of real pictures of the same words

    @property
    def optimizer_groups(self) -> dict[str, ParameterGroup]:
        """The discriminator, which is stepped first, and the generator."""
        betas, mine = self.config.betas, [self.critic_reader, self.critic]
        critic = [p for part in mine for p in part.parameters()]
        theirs = set(critic)
        rest = [p for p in self.parameters() if p not in theirs]
        return {
            "discriminator": ParameterGroup(critic, self.config.critic_lr, betas),
            "generator": ParameterGroup(rest, betas=betas),
        }

    def prepare(self, text: TextFeatures) -> None:
        """Fit the whitenings to (a sample of) the training captions; read a GPT-2's weights.

        Raises:
            UsageError: ``gpt2.weights`` cannot be read or does not fit.
        """
        for reader in (self.reader, self.critic_reader):
            reader.prepare(text)
        if isinstance(self.generator, GPT2Generator) and self.config.gpt2.weights:
            self.generator.start_from(self.config.gpt2.weights)

    def grown(self, size: int) -> GAN:
        """This model for another size: the same grids, of more or fewer cells.

        The learned bases are resized, so that nothing but a GPT-2's queries starts fresh.
        """
        other = cast(GAN, super().grown(size))
        pairs = [(self.critic, other.critic), (self.generator, other.generator)]
        with torch.no_grad():
            for mine, theirs in pairs:
                if isinstance(mine, GPT2Generator) or isinstance(theirs, GPT2Generator):
                    continue
                side = theirs.basis.shape[-1]
                bigger = F.interpolate(mine.basis, (side, side), mode="bilinear")
                if isinstance(mine, Discriminator):  # which sums over the cells
                    bigger = bigger * (mine.basis.shape[-1] / side) ** 2
                theirs.basis.copy_(bigger)
        return other

    def gamma(self, progress: float) -> float:
        """Factor of the gradient penalties when ``progress`` of the budget is spent."""
        return scheduled(*self.config.gamma, progress)

    def augment_chance(self, progress: float) -> Tensor | float:
        """Chance of each change when ``progress`` of the budget is spent."""
        if self.config.augment == "adaptive":
            return self.chance
        full = self.config.augment_chance if self.config.augment == "scheduled" else 0.0
        return scheduled(0.0, full, progress)

    def losses(self, batch: Batch, group: str) -> dict[str, Tensor]:
        """The losses of either player.

        Of the discriminator:

        * ``critic``: real pictures above drawn ones of the same caption;
        * ``penalty``: gamma / 2 (R1 + R2) (R3GAN, algorithm 1), in float32; on every step, or by
          chance on one of ``penalty_every`` and that much stronger, which has the same mean and
          costs less (the "lazy" penalty of StyleGAN2, Karras et al. 2020, appendix B);
        * ``mismatch``: real pictures with their caption above the same with another's.

        Of the generator:

        * ``fool``: drawn pictures above real ones of the same caption;
        * ``variety``: two drawings of the same words are as far apart as real pictures of them;
        * ``match``, where the configuration asks: drawn pictures with their caption above the same
          with another's.
        """
        if group == "generator":
            return self._generator_losses(batch)
        with torch.autocast(batch.images.device.type, enabled=False):
            return self._critic_losses(batch)

    def _critic_losses(self, batch: Batch) -> dict[str, Tensor]:
        count = len(batch.images)
        with torch.no_grad():
            condition = self.reader(batch.text, batch.styles, batch.generator, batch.picture)
            drawn = self._drawn(condition, batch).float()
        both = torch.cat((batch.images, drawn))  # (2B, 3, S, S)
        every = self.config.penalty_every
        punished = every == 1 or _chance(batch) < 1 / every
        both.requires_grad_(punished)
        direction = self._direction(batch)  # (B, E)
        features = self.critic.features(self._changed(both, batch))  # (2B, E)
        scores = (features * direction.repeat(2, 1)).sum(1)  # (2B,)
        real, fake = scores.chunk(2)
        losses = {
            "critic": relativistic(real, fake),
            "mismatch": self._mismatch(batch, features[:count], direction),
        }
        if punished:
            weight = self.gamma(batch.progress) / 2 * every
            losses["penalty"] = weight * gradient_penalty(both, scores).sum() / count
        if self.training:
            self._learn(batch, real - fake)
        return losses

    def _learn(self, batch: Batch, margin: Tensor) -> None:
        """Update the running figures in the buffers."""
        c = self.config
        if c.variety:
            pooled = self.critic_reader.whitened_pooled(batch.text)
            update_spread(self.spread, batch.images, pooled, batch.styles)
        if c.augment == "adaptive":
            adapt(self.chance, margin, c.augment_target, c.augment_speed, c.augment_chance)

    def _generator_losses(self, batch: Batch) -> dict[str, Tensor]:
        condition = self.reader(batch.text, batch.styles, batch.generator, batch.picture)
        drawn = self._drawn(condition, batch)
        both = self._changed(torch.cat((batch.images, drawn.float())), batch)
        real, fake = both.chunk(2)
        direction = self._direction(batch)
        with torch.no_grad():
            goal = (self.critic.features(real) * direction).sum(1)
        features = self.critic.features(fake)  # (B, E)
        losses = {"fool": relativistic((features * direction).sum(1), goal)}
        if self.config.variety:
            half = (len(drawn) + 1) // 2  # pairs enough for a mean
            again = self._drawn(condition[:half], batch)
            losses["variety"] = diversity_loss(drawn[:half].float(), again.float(), self.spread)
        if self.config.match:
            losses["match"] = self._mismatch(batch, features, direction)
        return losses

    def _drawn(self, condition: Tensor, batch: Batch) -> Tensor:
        """A picture of each condition, from fresh noise: ``(B, 3, S, S)``."""
        g, shape = batch.generator, (len(condition), self.config.noise_dim)
        noise = torch.randn(shape, generator=g, device=condition.device)
        drawn: Tensor = self.generator(self.mapping(condition, noise))
        return drawn

    def _direction(self, batch: Batch) -> Tensor:
        """What the features of each picture are projected on, ``(B, E)``."""
        g = batch.generator
        condition = self.critic_reader(batch.text, batch.styles, g, batch.picture)
        return self.critic.project(condition)

    def _changed(self, both: Tensor, batch: Batch) -> Tensor:
        """Real and drawn pictures, ``(2B, 3, S, S)``, each pair changed in the same way."""
        chance = self.augment_chance(batch.progress)
        if isinstance(chance, float) and chance == 0:
            return both
        changes: Changes = draw_changes(
            len(both) // 2, both.shape[-1], chance, batch.generator
        ).twice()
        return change(both, changes)

    def _mismatch(self, batch: Batch, features: Tensor, direction: Tensor) -> Tensor:
        """Mean of softplus(-(D(x, c) - D(x, c'))) over pictures that have another caption c'."""
        with torch.no_grad():
            pooled = self.critic_reader.whitened_pooled(batch.text)  # (B, R)
        other, known = mismatches(pooled, batch.captions, batch.generator, self.config.alike)
        margin = (features * (direction - direction[other])).sum(1)  # (B,)
        return (F.softplus(-margin) * known).sum() / known.sum().clamp_min(1)

    def latents(self, request: SampleRequest) -> Tensor:
        """Latent codes ``(B, code_dim)``; truncation pulls a code towards its mean.

        w' = w_mean + truncation (w - w_mean) (StyleGAN, Karras et al. 2019, appendix B), where the
        mean is over noise for the same words and style.
        """
        device = self.mapping.words.weight.device
        request = request.to(device)
        styles = choose_styles(request, self.config.styles)
        condition = self.reader(request.text, styles, picture=request.picture)
        shape = (self.config.noise_dim,)
        code = self.mapping(condition, image_noise(request.seeds, shape, device))
        truncation = request.values("truncation", 1.0)
        if min(truncation) == 1:
            return code  # type: ignore[no-any-return]
        noise = image_noise(range(_MEAN_SAMPLES), shape, device, _MEAN_STREAM)
        mean = self.mapping.mean(condition, noise)
        rows = zip(mean, code, truncation, strict=True)
        return torch.stack([torch.lerp(m, w, t) if t < 1 else w for m, w, t in rows])

    def search_start(self, request: SampleRequest) -> dict[str, Tensor]:
        """The seeds' noise, and the condition that is mapped with it."""
        device = self.mapping.words.weight.device
        request = request.to(device)
        styles = choose_styles(request, self.config.styles)
        noise = image_noise(request.seeds, (self.config.noise_dim,), device)
        condition = self.reader(request.text, styles, picture=request.picture)
        return {"code": noise, "condition": condition}

    def searched_latents(self, code: Tensor, state: dict[str, Tensor]) -> Tensor:
        """Latent codes of noise ``(B, noise_dim)``."""
        return self.mapping(state["condition"], code)  # type: ignore[no-any-return]

    def decode(self, latents: Tensor) -> Tensor:
        """Pictures ``(B, 3, S, S)``, unbounded, of latent codes ``(B, D)``: one pass."""
        return self.generator(latents)  # type: ignore[no-any-return]
