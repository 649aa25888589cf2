"""flow: a text-conditioned flow-matching transformer over pixels or latents.

The recipe is that of JiT ("Back to Basics: Let Denoising Generative Models Denoise", Li and He
2025) with text tokens in context: the network predicts the clean picture, the loss is on the
velocity that follows from it, and large patches make a picture a short sequence. With ``latents``
it works in the latent space of a frozen autoencoder (Rombach et al. 2022, section 3).

Shape letters: B pictures, C channels and S side of the canvas (the picture's, or those of
the latents), P patch side, N = (S/P)^2 canvas tokens, L tokens of the condition, T = N + L, D the
network's width, H heads, E = D/H, K dimensions kept of a text vector.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from limner.models.autoencoder import AutoencoderConfig, LatentMemory, frozen
from limner.models.base import Batch, Model, register
from limner.models.blocks import (
    TIME_WIDTH,
    JointAttention,
    ModulatedBlock,
    modulate,
    rotary_table,
    time_features,
)
from limner.models.conditioning import GuidedConfig, TextConditioning, choose_styles
from limner.models.fusion import Fusion
from limner.models.image_model import ImageModel, image_noise
from limner.models.layers import grey, normal_like
from limner.models.packing import pack_linear, packed_bytes
from limner.models.preference_loss import preference_losses
from limner.models.rows import Rows, SampleRequest
from limner.models.samplers import (
    SOLVERS,
    Solver,
    SolverStage,
    SolverState,
    guided,
    late,
    noised,
    resampled,
    solver_step,
)
from limner.models.settings import Capability, Settings
from limner.models.token_maps import recorded
from limner.text.base import TextFeatures, concatenate
from limner.vision.base import ImageFeatures

_REACH, _LEAST_APART = 0.08, 1e-3
"""``reach`` of preference losses, and the least squared distance of pictures to divide by."""
_RESAMPLINGS = 1
"""How often each step is resampled in inpainting."""
_RESAMPLING_STREAM = 1000
_MAP_TIMES, _MAP_NOISES = (0.2, 0.35, 0.5, 0.65), (0, 1001)
"""Times and noise streams over which :meth:`FlowModel.token_maps` sums."""
_INFORMATION_TIMES, _INFORMATION_NOISES = (0.3, 0.4, 0.5), (0, 1001, 1002, 1003)
"""Times and noise streams over which :meth:`FlowModel.word_information` averages; chosen by the
pointing game on composed scenes. From 0.6 on the network no longer needs the words."""
_LENGTHS = 2
"""Numbers of text tokens are rounded up to multiples of this, so that more rows share a tile."""
_MOST_TOGETHER = 8
"""Most tiles per evaluation on the CPU; more are not faster."""
_PRESETS: dict[str, dict[str, int]] = {
    "3m": {"dim": 192, "depth": 5, "heads": 3},
    "8m": {"dim": 320, "depth": 6, "heads": 5},
    "25m": {"dim": 512, "depth": 7, "heads": 8},
    "100m": {"dim": 768, "depth": 13, "heads": 12},
}


def _preset(name: str) -> Callable[[dict[str, Any]], int]:
    """Default of a dimension: that of the preset, by default 8m."""
    return lambda known: _PRESETS[known["preset"] or "8m"][name]


def _default_patch(size: int, latents: AutoencoderConfig | None) -> int:
    canvas, most = (size, 16) if latents is None else (latents.grid, 2)
    return next(p for p in range(min(most, max(1, canvas // 4)), 0, -1) if canvas % p == 0)


class FlowConfig(GuidedConfig):
    """Configuration of the flow family; ``preset`` fills the dimensions that are not given."""

    size: int = Field(64, ge=16, le=256, description="picture side in pixels")
    preset: Literal["3m", "8m", "25m", "100m"] | None = Field(
        None, description="parameters, roughly: sets dim, depth and heads"
    )
    latents: AutoencoderConfig | None = Field(
        None, description="configuration of the autoencoder whose latents are used; null for pixels"
    )
    patch: int = Field(
        default_factory=lambda known: _default_patch(known["size"], known["latents"]), ge=1, le=64,
        description="patch side in pixels or latent cells; by default the largest up to 16 (2 "
        "for latents) that divides the canvas into four or more",
    )  # fmt: skip
    channels: Literal[1, 3] = Field(3, description="of the pictures; 1 for grey ones, in pixels")
    dim: int = Field(default_factory=_preset("dim"), ge=8, description="width of the transformer")
    depth: int = Field(default_factory=_preset("depth"), ge=1, description="blocks")
    heads: int = Field(default_factory=_preset("heads"), ge=1, description="attention heads")
    seam_channels: int = Field(
        16, ge=1, description="width of the two convolutions that soften patch borders"
    )
    text_width: int = Field(384, ge=1, description="dimensions kept of each text vector")
    max_tokens: int = Field(
        16,
        ge=1,
        le=256,
        description="text tokens in context; the rest is only in the sentence vector",
    )
    noise_scale: float = Field(1.0, gt=0, description="standard deviation at t = 0")
    time_mean: float = Field(-0.8, description="of logit t in training")
    time_std: float = Field(0.8, gt=0, description="of logit t in training")
    time_clip: float = Field(0.05, gt=0, le=1, description="smallest 1 - t the loss divides by")
    sampler: Literal["euler", "heun"] = "heun"
    steps: int = Field(12, ge=1, le=1000, description="sampling steps")
    guidance_interval: tuple[float, float] = Field(
        (0.0, 1.0), description="times between which to guide"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.latents is not None and self.latents.size != self.size:
            raise ValueError(
                f"size {self.size} is not that of the autoencoder, {self.latents.size}; train an "
                "autoencoder on these pictures"
            )
        if self.canvas % self.patch:
            what = "size" if self.latents is None else "the latent grid's side"
            raise ValueError(f"patch {self.patch} does not divide {what} {self.canvas}")
        if self.dim % (4 * self.heads):
            raise ValueError(
                f"dim {self.dim} is not 4 * heads ({self.heads}) times a whole number, "
                "which rotary positions on two axes need"
            )
        return self

    @property
    def canvas(self) -> int:
        """Side of the input of the network, in pixels or latent cells."""
        return self.size if self.latents is None else self.latents.grid

    @property
    def canvas_channels(self) -> int:
        """Channels of the input of the network."""
        return self.channels if self.latents is None else self.latents.latent_channels


@dataclass(frozen=True)
class Condition:
    """The embedded condition.

    Attributes:
        tokens: ``(B, L, D)``.
        mask: ``(B, L)`` bool, true for tokens, false for padding.
        vector: ``(B, D)``, from the sentence vector and the style.
    """

    tokens: Tensor
    mask: Tensor
    vector: Tensor


class FlowNetwork(nn.Module):
    """x-hat(z, t, condition): predicts the clean picture from a noisy one."""

    rotation: Tensor

    def __init__(self, config: FlowConfig, words: int) -> None:
        super().__init__()
        c, d = config, config.dim
        self.patch, self.side = c.patch, c.canvas // c.patch
        pixels = c.canvas_channels * c.patch**2
        self.embed = nn.Linear(pixels, d)
        self.time = nn.Sequential(nn.Linear(TIME_WIDTH, d), nn.SiLU(), nn.Linear(d, d))
        self.modulation = nn.Linear(d, 6 * d)
        self.blocks = nn.ModuleList(ModulatedBlock(d, c.heads) for _ in range(c.depth))
        self.last_modulation = nn.Linear(d, 2 * d)
        self.unembed = nn.Linear(d, pixels)
        self.seam_in = nn.Conv2d(c.canvas_channels, c.seam_channels, 3, padding=1)
        self.seam_out = nn.Conv2d(c.seam_channels, c.canvas_channels, 3, padding=1)
        table = rotary_table(self.side, words, d // c.heads)
        self.register_buffer("rotation", table.unsqueeze(1), persistent=False)  # (N+L, 1, E/2, 2)

    def forward(self, z: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """Predict the clean ``(B, C, S, S)`` from noisy ``z`` at times ``t (B,)``; all float32."""
        picture = self.side**2
        signal = F.silu(self.time(time_features(t)) + condition.vector)  # (B, D)
        modulation = self.modulation(signal).float().unflatten(1, (6, -1))  # (B, 6, D)
        patches = F.pixel_unshuffle(z, self.patch).flatten(2).transpose(1, 2)  # (B, N, CPP)
        x = torch.cat((self.embed(patches), condition.tokens), 1).float()  # (B, T, D)
        rotation = self.rotation[: x.shape[1]]  # (T, 1, E/2, 2)
        mask = F.pad(condition.mask, (picture, 0), value=True)[:, None, None]  # (B, 1, 1, T)
        for block in self.blocks:
            x = block(x, modulation, rotation, mask)
        last = self.last_modulation(signal).float().unflatten(1, (2, 1, -1))  # (B, 2, 1, D)
        x = modulate(x[:, :picture], last[:, 0], last[:, 1])  # (B, N, D)
        grid = self.unembed(x).transpose(1, 2).unflatten(2, (self.side, self.side))
        image = F.pixel_shuffle(grid, self.patch)  # (B, C, S, S)
        out: Tensor = image + self.seam_out(F.silu(self.seam_in(image)))
        return out.float()


def add_noise(x: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """The straight path z_t = t x + (1 - t) noise (Liu et al. 2022, eq. 1), for ``t (B,)``."""
    return torch.lerp(noise, x, t.view(-1, 1, 1, 1))


def velocity_from_x(x: Tensor, z: Tensor, rest: Tensor) -> Tensor:
    """The velocity at z of the straight path to x, v = (x - z) / (1 - t) (JiT, eq. 5).

    ``rest (B, 1, 1, 1)`` is 1 - t.
    """
    return (x - z) / rest


def sample_times(count: int, mean: float, std: float, generator: torch.Generator) -> Tensor:
    """Logit-normal training times, ``(count,)`` in (0, 1) (Esser et al. 2024, eq. 19)."""
    normal = torch.randn(count, generator=generator, device=generator.device)
    return torch.sigmoid(mean + std * normal)


@register("flow", FlowConfig)
class FlowModel(TextConditioning, ImageModel):
    """Rectified flow in pixels or latents, conditioned on text, style and reference."""

    config: FlowConfig
    latent_mean: Tensor
    latent_scale: Tensor
    capabilities: ClassVar[frozenset[Capability]] = frozenset({
        Capability.GENERATE, Capability.GUIDANCE, Capability.STEPS, Capability.STYLE,
        Capability.REFERENCE, Capability.INPAINT, Capability.RESTYLE, Capability.EXPLAIN,
    })  # fmt: skip

    def __init__(self, config: FlowConfig) -> None:
        super().__init__()
        self.config = config
        c, d = config, config.dim
        width = min(c.text_width, c.text_dim)
        self.add_whitening(c.text_dim, width)
        self.pooled_in, self.token_in = nn.Linear(width, d), nn.Linear(width, d)
        self.fusion = Fusion(width, c.fusion)
        words = c.max_tokens + self.fusion.extra_tokens
        self.token_position = nn.Parameter(torch.empty(words, d))
        self.style = nn.Embedding(len(c.styles) + 1, d)  # the last row is "unknown"
        self.null_token = nn.Parameter(torch.empty(d))
        self.null_pooled = nn.Parameter(torch.empty(d))
        self.network = FlowNetwork(c, words)
        self._initialise()
        if c.latents is not None:
            self.autoencoder = frozen(c.latents)
            self.register_buffer("latent_mean", torch.zeros(c.canvas_channels, 1, 1))
            self.register_buffer("latent_scale", torch.ones(c.canvas_channels, 1, 1))
        self._memory = LatentMemory()

    def _initialise(self) -> None:
        """Xavier, but zero for modulations and outputs, so that every block starts as identity."""
        own = [self.pooled_in, self.token_in, *self.network.modules()]
        for module in own:
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        for table in (self.token_position, self.null_token, self.null_pooled, self.style.weight):
            nn.init.normal_(table, std=0.02)
        net = self.network
        for layer in (net.modulation, net.last_modulation, net.unembed, net.seam_out):
            nn.init.zeros_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    @torch.no_grad()
    def prepare_pictures(self, images: Tensor) -> None:
        """Fit mean and deviation of each latent channel on pictures ``(B, 3, H, W)``."""
        if self.config.latents is not None:
            latents = self.autoencoder.encode(images).float()  # (B, C, S, S)
            self.latent_mean.copy_(latents.mean((0, 2, 3))[:, None, None])
            self.latent_scale.copy_(latents.std((0, 2, 3)).clamp_min(1e-3)[:, None, None])

    def embed(
        self,
        text: TextFeatures,
        styles: Tensor,
        drop: Tensor | None = None,
        picture: ImageFeatures | None = None,
        generator: torch.Generator | None = None,
    ) -> Condition:
        """Embed B captions, styles and reference pictures.

        Args:
            text: features with any number L of tokens up to ``max_tokens``.
            styles: ``(B,)`` int64, -1 where unknown.
            drop: ``(B,)`` bool, rows that get the null condition instead of their caption.
            picture: features of B reference pictures, or None.
            generator: given in training, for :class:`~limner.models.fusion.Fusion`.
        """
        c = self.config
        count = text.tokens.shape[1]
        text = self.read_text(text, picture, generator)  # (B, L, K)
        pooled = self.pooled_in(text.pooled)  # (B, D)
        place = torch.cat((self.token_position[:count], self.token_position[c.max_tokens :]))
        tokens = self.token_in(text.tokens) + place  # (B, L, D)
        mask = text.mask
        if drop is not None:
            first = torch.arange(mask.shape[1], device=mask.device) == 0  # (L,)
            pooled = torch.where(drop[:, None], self.null_pooled, pooled)
            tokens = torch.where(drop[:, None, None], self.null_token, tokens)
            mask = torch.where(drop[:, None], first, mask)
        return Condition(tokens, mask, pooled + self.embed_styles(styles))

    def _length(self, *texts: TextFeatures, step: int = 4) -> int:
        """Number of tokens to use: up to the last one of any text, rounded up, clamped."""
        return self._stepped(1 + max(int(text.mask.any(0).nonzero().max()) for text in texts), step)

    def _stepped(self, length: int, step: int = 4) -> int:
        """Round a number of tokens up to a multiple of :data:`_LENGTHS`, within the maximum."""
        return min(step * -(-length // step), self.config.max_tokens)

    def _text(self, batch: Batch) -> TextFeatures:
        """A batch's text without the tokens that are padding in every row."""
        if batch.lengths is None:
            return batch.text.padded(self._length(batch.text))
        return batch.text.padded(self._stepped(int(batch.lengths.max())))

    def losses(self, batch: Batch, group: str) -> dict[str, Tensor]:
        """The velocity loss mean |v-hat - v|^2 with v-hat from x-hat (JiT, eq. 7).

        Both velocities divide by the same clipped 1 - t, so the loss is |x-hat - x|^2 over its
        square.
        """
        c, x, g = self.config, self._canvas(batch), batch.generator
        t = sample_times(len(x), c.time_mean, c.time_std, g)  # (B,)
        noise = c.noise_scale * normal_like(x, g)  # (B, C, S, S)
        drop, styles = c.drop(batch)
        condition = self.embed(self._text(batch), styles, drop, batch.picture, g)
        guess = self.network(add_noise(x, noise, t), t, condition)
        weight = (1 - t).clamp_min(c.time_clip).square().reciprocal()  # (B,)
        return {"velocity": ((guess - x).square().mean((1, 2, 3)) * weight).mean()}

    def preference_losses(
        self, better: Batch, worse: Batch, reference: Model, group: str
    ) -> dict[str, Tensor]:
        """See :mod:`limner.models.preference_loss`; both pictures of a pair have the same noise.

        Keeping the noise of each picture's own seed instead (PNAPO, arXiv:2605.09433) trains
        only the paths of the preferred pictures: the noise of a rejected one then still leads to
        the same picture as before. Errors are divided by the squared distance of the two pictures,
        so that a pair has most weight where they are similar.
        """
        assert isinstance(reference, FlowModel)
        apart = (self._canvas(better) - self._canvas(worse)).square().mean((1, 2, 3))
        return preference_losses(
            self, reference, better, worse, errors=FlowModel._errors,
            scale=apart.clamp_min(_LEAST_APART), reach=_REACH,
        )  # fmt: skip

    def _errors(self, batch: Batch) -> Tensor:
        """Squared error of the clean picture at a random time, ``(B,)``.

        Times are uniform, since the times of training are rarely so early that colours and
        positions are undetermined.
        """
        c, x, g = self.config, self._canvas(batch), batch.generator
        t = torch.rand(len(x), generator=g, device=g.device)  # (B,)
        noise = c.noise_scale * normal_like(x, g)
        condition = self.embed(self._text(batch), batch.styles, picture=batch.picture)
        guess: Tensor = self.network(add_noise(x, noise, t), t, condition)
        return (guess - x).square().mean((1, 2, 3))

    def _canvas(self, batch: Batch) -> Tensor:
        """Pictures as inputs of the network, ``(B, C, S, S)``: pixels, or standardised latents."""
        if self.config.latents is None:
            return grey(batch.images) if self.config.channels == 1 else batch.images
        latents = self._memory.recall(batch, self.autoencoder.encode)
        return (latents - self.latent_mean) / self.latent_scale

    def _picture(self, canvas: Tensor) -> Tensor:
        """The inverse of :meth:`_canvas`: ``(B, C, S, S)`` to pictures."""
        if self.config.latents is None:
            return canvas.expand(-1, 3, -1, -1)
        latents = canvas * self.latent_scale + self.latent_mean
        return self.autoencoder.decode(self.autoencoder.snap(latents))

    # -- drawing --------------------------------------------------------------------------------

    @property
    def positions(self) -> int:
        """Tokens per picture: canvas tokens, and about a dozen of the text."""
        return (self.config.canvas // self.config.patch) ** 2 + 12

    @property
    def most_together(self) -> int:
        """Several on a CPU, where tiles are small and reading the weights takes time."""
        return _MOST_TOGETHER if self._some_weight.device.type == "cpu" else 1

    def lay_out_weights(self) -> None:
        """On a CPU, add a packed copy of the weights, see :mod:`limner.models.packing`."""
        super().lay_out_weights()
        pack_linear(self.network)

    @property
    def drawing_bytes(self) -> int:
        """Bytes of the weights and of the packed copy of the network's."""
        return self.nbytes + packed_bytes(self.network)

    def text_shapes(self, request: SampleRequest) -> list[Hashable]:
        """For each picture the numbers of tokens used of its text and of its negative text."""
        texts = [request.text] if request.negative is None else [request.text, request.negative]
        return [
            self._length(*(text[[row]] for text in texts), step=_LENGTHS)
            for row in range(len(request))
        ]

    def start_rows(self, request: SampleRequest) -> Rows:
        """Sample the noise, and embed the conditions: with the text, and without or negative."""
        c, device = self.config, self.null_token.device
        request = request.to(device)
        styles = choose_styles(request, c.styles)
        text, negative = request.text, request.negative
        length = self._length(text, negative or text)
        used = self._length(text, negative or text, step=_LENGTHS)
        text = text.padded(length)
        given = self.embed(text, styles, picture=request.picture)
        if given.tokens.shape[1] != length:  # there are others behind those of the text
            used = given.tokens.shape[1]
        unknown = torch.full_like(styles, -1)
        if negative is None:
            free = self.embed(text, unknown, drop=unknown < 0)
        else:
            free = self.embed(negative.padded(length), unknown)
        noise = image_noise(request.seeds, (c.canvas_channels, c.canvas, c.canvas), device)
        z = c.noise_scale * noise  # (B, C, S, S)
        known, hole = self._known(request, z)
        # Image-to-image starts at the noise level of its strength; at 0 the source is returned.
        strength = request.strengths.to(device)
        z = torch.where((strength < 1) & (strength > 0), torch.lerp(known, z, strength), z)
        hole = hole & (strength > 0)
        room = len(self.token_position) - given.tokens.shape[1]  # so that any rows can be joined
        both = (given, free)
        return Rows.begun(
            request,
            [len(each) for each in self._schedules(request.rows, hole)],
            {
                "z": z,
                "base": z,
                "slope": torch.zeros_like(z),
                "x": torch.zeros_like(z),
                "known": known,
                "hole": hole,
                "tokens": F.pad(torch.stack([e.tokens for e in both], 1), (0, 0, 0, room)),
                "mask": F.pad(torch.stack([e.mask for e in both], 1), (0, room)),
                "vector": torch.stack([e.vector for e in both], 1),
                "length": torch.full_like(styles, used),
            },
        )

    def _known(self, request: SampleRequest, like: Tensor) -> tuple[Tensor, Tensor]:
        """The known canvas ``(B, C, S, S)``, and the mask of its hole ``(B, 1, S, S)``."""
        c, known = self.config, request.known
        if known is None:
            return torch.zeros_like(like), torch.ones_like(like[:, :1], dtype=torch.bool)
        if c.latents is None:
            images = known.images.mean(1, keepdim=True) if c.channels == 1 else known.images
            return images, known.hole
        latents = self.autoencoder.encode(request.seen).float()
        return (latents - self.latent_mean) / self.latent_scale, known.cells(c.canvas, reach=1)

    def _schedules(self, settings: Sequence[Settings], hole: Tensor) -> list[Solver]:
        """The sequence of network evaluations of each picture, which is longer for inpainting."""
        inpainted = (~hole).flatten(1).any(1).tolist()
        found = []
        for each, inpaints in zip(settings, inpainted, strict=True):
            steps = self.config.steps if each.steps is None else each.steps
            stages = SOLVERS[self.config.sampler](steps)
            if each.strength == 0:
                stages = SOLVERS["euler"](1)
            elif each.strength is not None:
                used = max(1, round(steps * each.strength))
                stages = late(SOLVERS[self.config.sampler](used), each.strength)
            found.append(resampled(stages, _RESAMPLINGS) if inpaints else stages)
        return found

    def predicting_evaluations(self, settings: Settings) -> int | None:
        """Those of the solver: each predicts a clean picture."""
        whole = torch.ones(1, 1, 1, 1, dtype=torch.bool)
        return len(self._schedules([settings], whole)[0])

    def shapes(self, rows: Rows) -> list[Hashable]:
        """For each row the number of tokens of its condition, and whether it is guided now."""
        lengths = rows.state["length"].tolist()
        now = zip(self._evaluations(rows), self._scales(rows), lengths, strict=True)
        return [(length, self._is_guided(scale, e.time)) for e, scale, length in now]

    def _is_guided(self, scale: float, time: float) -> bool:
        low, high = self.config.guidance_interval
        return scale != 1 and low <= time <= high

    def _scales(self, rows: Rows) -> list[float]:
        default = self.config.guidance
        return [default if s.guidance is None else s.guidance for s in rows.settings]

    def _evaluations(self, rows: Rows) -> list[SolverStage]:
        """The next evaluation of each row; the last one for finished rows."""
        schedules = self._schedules(rows.settings, rows.state["hole"])
        return [
            schedule[min(done, len(schedule) - 1)]
            for schedule, done in zip(schedules, rows.done.tolist(), strict=True)
        ]

    def _noised(self, rows: Rows, evaluations: list[SolverStage]) -> Tensor:
        """The points at which to evaluate the velocity, ``(B, C, S, S)``."""
        z, scale = rows.state["z"], self.config.noise_scale
        if all(each.noised_from is None for each in evaluations):
            return z
        noise = torch.cat([
            image_noise([seed], tuple(z.shape[1:]), z.device, _RESAMPLING_STREAM + done)
            for seed, done in zip(rows.seeds, rows.done.tolist(), strict=True)
        ])  # fmt: skip
        found = [
            canvas if e.noised_from is None else noised(canvas, scale * n, e.noised_from, e.time)
            for canvas, n, e in zip(z, noise, evaluations, strict=True)
        ]
        return torch.stack(found)

    def evaluate(self, rows: Rows) -> Rows:
        """One evaluation of dz/dt = v(z, t); rows may differ in time, step and guidance.

        Guided rows are evaluated with and without their condition in one pass of twice the rows.
        """
        state, evaluations, scales = rows.state, self._evaluations(rows), self._scales(rows)
        z, count, length = self._noised(rows, evaluations), len(rows), int(state["length"][0])
        guides = self._is_guided(scales[0], evaluations[0].time)
        # the conditional rows first, then the unconditional ones
        parts = [0, 1] if guides else [0]
        tokens, mask, vector = (
            torch.cat([state[name][:, part] for part in parts])
            for name in ("tokens", "mask", "vector")
        )
        condition = Condition(tokens[:, :length], mask[:, :length], vector)
        times = z.new_tensor([e.time for e in evaluations]).repeat(len(parts))  # (B or 2B,)
        rest = z.new_tensor([1 - e.time for e in evaluations]).view(-1, 1, 1, 1)
        seen = torch.cat([z] * len(parts))
        clean = self.network(seen, times, condition)
        velocity = velocity_from_x(clean, seen, rest.repeat(len(parts), 1, 1, 1))
        if guides:
            velocity = guided(velocity[:count], velocity[count:], scales)
        # Known pixels stay on their straight path.
        known = velocity_from_x(state["known"], z, rest)
        velocity = torch.where(state["hole"], velocity, known)
        moved = solver_step(SolverState(z, state["base"], state["slope"]), velocity, evaluations)
        return rows.stepped(x=z + rest * velocity, **moved._asdict())

    @torch.inference_mode()
    def token_maps(self, request: SampleRequest, images: Tensor) -> Tensor:
        """Projected attention outputs, summed over blocks and times; cells are the patches.

        The network's inputs are points on the straight paths from the noise of the seeds to the
        pictures, as in sampling.
        """
        c, device = self.config, self.null_token.device
        request, images = request.to(device), images.to(device)
        count = request.text.tokens.shape[1]
        length = min(self._length(request.text), count)
        text = request.text.padded(length)
        given = self.embed(text, choose_styles(request, c.styles), picture=request.picture)
        noise = image_noise(request.seeds, (c.canvas_channels, c.canvas, c.canvas), device)
        cells, found = self.network.side**2, list[Tensor]()
        layers = [each for each in self.network.modules() if isinstance(each, JointAttention)]

        def of(layer: JointAttention, x: Tensor, rotation: Tensor, mask: Tensor) -> Tensor:
            return layer.contributions(x, rotation, mask, cells)

        x = self._of_pictures(images)
        with recorded(layers, found, of):
            for time in _MAP_TIMES:
                t = x.new_full((len(x),), time)
                self.network(add_noise(x, c.noise_scale * noise, t), t, given)
        maps = torch.stack(found).sum(0)[..., :length].transpose(1, 2)  # (B, L, N)
        maps = F.pad(maps * text.mask.unsqueeze(-1), (0, 0, 0, count - length))
        return maps.view(len(maps), count, self.network.side, -1)

    @torch.inference_mode()
    def word_information(
        self, request: SampleRequest, others: TextFeatures, images: Tensor
    ) -> Tensor:
        """How much the text reduces the error of the clean picture, |x - x-hat|^2.

        Summed over several times and antithetic pairs of noises, and averaged over about a patch,
        the resolution of the network. It is the
        integrand of the pointwise information of text and picture (Kong et al. 2024, "Interpretable
        diffusion via information decomposition", eq. 9).
        """
        c, device = self.config, self.null_token.device
        text = concatenate([request.text, others]).to(device)
        rows, picture = [0] * len(text), request.picture
        text = text.padded(self._length(text))
        styles = choose_styles(request.to(device), c.styles)[rows]
        given = self.embed(
            text, styles, picture=None if picture is None else picture.to(device)[rows]
        )
        x, found = self._of_pictures(images.to(device)), torch.zeros(())
        for stream, sign in product(_INFORMATION_NOISES, (1, -1)):
            shape = (c.canvas_channels, c.canvas, c.canvas)
            noise = sign * c.noise_scale * image_noise(request.seeds, shape, device, stream)
            for time in _INFORMATION_TIMES:
                t = x.new_full((len(text),), time)
                z = add_noise(x, noise, t[:1]).expand(len(text), -1, -1, -1)
                error = (self.network(z, t, given) - x).square().mean(1)  # (1 + W, S, S)
                found = found + (error[1:] - error[:1]).cpu()
        side = c.patch | 1
        return F.avg_pool2d(found, side, 1, side // 2, count_include_pad=False)

    def _of_pictures(self, images: Tensor) -> Tensor:
        """The canvas of pictures ``(B, 3, H, W)``, converted to grey for a grey model."""
        if self.config.latents is None:
            return images.mean(1, keepdim=True) if self.config.channels == 1 else images
        return (self.autoencoder.encode(images).float() - self.latent_mean) / self.latent_scale

    def show(self, rows: Rows) -> Tensor:
        """The clean pictures predicted by the last velocities; the samples once finished."""
        return self._picture(rows.state["x"])
