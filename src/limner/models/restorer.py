"""restorer: what noise, blur, JPEG, few pixels, lost colours and scratches took from a picture.

One fully convolutional network for every degradation, told what happened to the picture: by an
estimator, or by whoever knows it. It is a U-Net (Ronneberger et al. 2015) over pixels that were
rearranged to half the resolution, as in FFDNet (Zhang et al. 2018), which is also where telling a
network the noise comes from; beside the pixels it sees medians of them. It adds a residual, which
is zero before training. A caption may be told as well.

Shape letters: B pictures, S their side, L levels of a degradation, E width of the condition.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from limner.arrays import Floats
from limner.data.degrade import FIELDS, Degradation, degrade, enlarged, random_degradation
from limner.data.textures import dead_leaves
from limner.models.base import Batch, Model, register
from limner.models.conditioning import PooledConditioning, PooledConfig
from limner.models.layers import normal_like
from limner.models.settings import Capability
from limner.text.base import TextFeatures

ESTIMATED = ("fade", "blur", "scratches", "noise", "jpeg")
"""The fields of a degradation that can be seen in a picture."""
_SEEN = [FIELDS.index(name) for name in ESTIMATED]
_LEAST_ERROR = 1e-4
"""Mean squared error, of values in [0, 1], below which getting better counts less: 40 dB."""
_MEDIANS = (1, 2)
"""Distances of the pixels among which medians are taken, one after the other."""
_MEASURES = 8
"""Numbers of :func:`_measures`."""
_LEAK = 0.1
"""Slope below zero, so that no channel can fall silent for good."""
_ESTIMATE_ERROR = 0.1
"""Relative error of what the network is told in training, as an estimate has one."""
_SPREAD = (-4.0, 1.0)
"""Bounds of the logarithm of the estimator's own error."""


class RestorerConfig(PooledConfig):
    """Configuration of the network and of what it learns from."""

    width: int = Field(16, ge=4, le=512, description="channels at half the resolution; doubled at "
                       "each level below")  # fmt: skip
    blocks: tuple[int, ...] = Field(
        (1, 1, 2), min_length=1, max_length=5,
        description="residual blocks on the way down at each level; on the way up as many",
    )  # fmt: skip
    condition: int = Field(64, ge=4, description="E, width of what the network is told")
    estimator: int = Field(16, ge=4, description="channels of the estimator's first layer")
    crop: int = Field(64, ge=8, description="side of what is learned from, pixels")
    textures: float = Field(0.2, ge=0, le=1, description="share of crops of synthetic textures")
    caption_drop: float = Field(0.5, ge=0, le=1, description="chance of learning without caption")
    partly: float = Field(
        0.15, ge=0, le=1, description="chance of being told of one degradation of several, which "
        "alone is to be removed",
    )  # fmt: skip


class _Block(nn.Module):
    """Two convolutions around a residual, told the condition in between."""

    def __init__(self, width: int, condition: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.told = nn.Linear(condition, 3 * width)
        self.last = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift, gate = self.told(condition)[:, :, None, None].chunk(3, 1)
        inner = F.leaky_relu(torch.addcmul(shift, self.first(x), 1 + scale), _LEAK)
        return torch.addcmul(x, gate, self.last(inner))


class _Level(nn.Module):
    """Blocks, and between them on the way down and up the level below."""

    def __init__(self, widths: Sequence[int], blocks: Sequence[int], condition: int) -> None:
        super().__init__()
        width, below = widths[0], len(widths) > 1
        self.before = nn.ModuleList(_Block(width, condition) for _ in range(blocks[0]))
        self.after = nn.ModuleList(_Block(width, condition) for _ in range(blocks[0] * below))
        self.below = _Level(widths[1:], blocks[1:], condition) if below else None
        if below:
            self.down = nn.Conv2d(4 * width, widths[1], 1)
            self.up = nn.Conv2d(widths[1], 4 * width, 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        for block in self.before:
            x = block(x, condition)
        if self.below is not None:
            small = self.below(self.down(F.pixel_unshuffle(x, 2)), condition)
            x = x + F.pixel_shuffle(self.up(small), 2)
        for block in self.after:
            x = block(x, condition)
        return x


class Estimator(nn.Module):
    """How much of each of :data:`ESTIMATED` is in a picture, and how far off that may be."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(12 * (1 + len(_MEDIANS)), width, 3, padding=1), nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1), nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, padding=1, stride=2), nn.ReLU(),
            nn.Conv2d(2 * width, 2 * width, 3, padding=1), nn.ReLU(),
        )  # fmt: skip
        self.read = nn.Sequential(
            nn.Linear(6 * width + _MEASURES, 4 * width), nn.ReLU(),
            nn.Linear(4 * width, 4 * width), nn.ReLU(),
            nn.Linear(4 * width, 2 * len(ESTIMATED)),
        )  # fmt: skip

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures ``(B, 3, S, S)`` in [-1, 1] to levels and log errors, both ``(B, 5)``."""
        views = _with_medians(images)
        grid = self.layers(views)
        parts = [grid.mean((2, 3)), grid.amax((2, 3)), grid.square().mean((2, 3)).add(1e-6).sqrt()]
        levels, spread = self.read(torch.cat([*parts, _measures(views)], 1)).float().chunk(2, 1)
        return levels, spread.clamp(*_SPREAD)


@register("restorer", RestorerConfig)
class RestorerModel(Model):
    """The network and its estimator; see the module."""

    config: RestorerConfig
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.RESTORE})

    def __init__(self, config: RestorerConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.width * 2**level for level in range(len(config.blocks))]
        self.estimator = Estimator(config.estimator)
        self.reader = PooledConditioning(config)
        self.caption = nn.Linear(self.reader.width, config.condition)
        self.told = nn.Linear(2 * len(FIELDS), config.condition)
        self.mix = nn.Linear(config.condition, config.condition)
        self.gate = nn.Linear(config.condition, config.width)
        self.taken = nn.Linear(config.condition, len(_MEDIANS))
        self.stem = nn.Conv2d(12 * (1 + len(_MEDIANS)), config.width, 3, padding=1)
        self.body = _Level(widths, config.blocks, config.condition)
        self.head = nn.Conv2d(config.width, 12, 3, padding=1)
        for part in (self.stem, self.told, self.mix, *self.body.modules()):
            if isinstance(part, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(part.weight, nonlinearity="linear")
                assert part.bias is not None
                nn.init.zeros_(part.bias)  # what is told alone makes tasks differ
        for parameter in (*self.head.parameters(), *self.taken.parameters()):
            nn.init.zeros_(parameter)  # the picture as it is

    @property
    def stride(self) -> int:
        """What the sides of a picture must be multiples of, pixels."""
        return int(2 ** len(self.config.blocks))

    @property
    def reach(self) -> int:
        """Pixels around one beyond which nothing changes it; a multiple of :attr:`stride`."""
        reach, cell = 4 + sum(_MEDIANS), 2  # stem and head, and medians
        for level, blocks in enumerate(self.config.blocks):
            last = level == len(self.config.blocks) - 1
            reach += cell * 2 * blocks * (1 if last else 2) + cell
            cell *= 2
        return -(-reach // self.stride) * self.stride

    def prepare(self, text: TextFeatures) -> None:
        """Fit the whitenings to (a sample of) the training captions."""
        self.reader.prepare(text)

    def condition(
        self, levels: Tensor, text: TextFeatures | None = None, told: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:  # fmt: skip
        """What the network is told, ``(B, E)``.

        Args:
            levels: ``(B, 7)`` of the degradations to remove.
            text: features of B captions, or None.
            told: ``(B,)`` bool, which of them count; None for all.
            generator: adds the noise of training to the captions.
        """
        found = self.told(torch.cat([levels, (levels > 0).to(levels)], 1))
        if text is not None:
            unknown = torch.full((len(text),), -1, device=levels.device)
            words = self.caption(self.reader(text, unknown, generator))
            found = found + (words if told is None else words * told[:, None])
        return F.relu(self.mix(F.relu(found)))

    def forward(self, images: Tensor, condition: Tensor) -> Tensor:
        """The restored pictures.

        Args:
            images: ``(B, 3, H, W)`` in [-1, 1], sides multiples of :attr:`stride`; where pixels
                were lost, enlarged to the wanted size.
            condition: ``(B, E)``.
        """
        views = _with_medians(images)
        grid = self.body(self.stem(F.pixel_unshuffle(views, 2)), condition)
        learned = F.pixel_shuffle(self.head(grid * self.gate(condition)[..., None, None]), 2)
        taken = self.taken(condition)[..., None, None]  # (B, medians, 1, 1)
        for number, part in enumerate(views.chunk(1 + len(_MEDIANS), 1)[1:]):
            learned = torch.addcmul(learned, taken[:, number : number + 1], part)
        return images + learned

    def estimate(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Levels of the degradations seen in ``(B, 3, S, S)`` pictures, and their errors.

        Both are ``(B, 7)``; the error of a field that cannot be seen is infinite.
        """
        levels, spread = self.estimator(images)
        every = levels.new_zeros(len(images), len(FIELDS))
        errors = torch.full_like(every, torch.inf)
        every[:, _SEEN], errors[:, _SEEN] = levels, spread.exp()
        return every, errors

    def losses(self, batch: Batch, group: str) -> dict[str, Tensor]:
        """``restore``: mean over pictures of the root of the mean squared error, of 1.

        ``estimate``: negative log-likelihood of the levels, normally distributed with deviations
        that are estimated too: d^2 / (2 exp(2 s)) + s (Kendall and Gal 2017, arXiv:1703.04977,
        eq. 5, with s the log of the deviation).
        """
        g, config, device = batch.generator, self.config, batch.images.device
        rng = np.random.default_rng(int(torch.randint(2**62, (), generator=g, device=device)))
        side = min(config.crop, batch.images.shape[-1])
        crops = [
            _crop(image, side, config.textures, rng)
            for image in batch.images.detach().cpu().numpy()
        ]
        drawn = np.array([picture is not None for picture in crops])
        clean = [dead_leaves(side, rng) if each is None else each for each in crops]
        rows = [_example(picture, config.partly, rng) for picture in clean]
        given, wanted = (
            torch.from_numpy(np.stack(pictures)).to(device).mul_(2).sub_(1)
            for pictures in ([row.given for row in rows], [row.wanted for row in rows])
        )
        there, known = (
            torch.from_numpy(np.stack([each.levels for each in several])).to(device)
            for several in ([row.there for row in rows], [row.told for row in rows])
        )
        own_size = there[:, FIELDS.index("scale")] == 0
        levels, spread = self.estimator(given)
        off = (levels - there[:, _SEEN]).square() * torch.exp(-2 * spread) / 2 + spread
        count = own_size.sum().clamp_min(1)
        known[:, _SEEN] *= 1 + _ESTIMATE_ERROR * normal_like(known[:, _SEEN], g)
        chance = torch.rand(len(known), generator=g, device=device)
        captioned = (chance >= config.caption_drop) & torch.from_numpy(drawn).to(device)
        found = self(given, self.condition(known, batch.text, captioned, g))
        mse = (found - wanted).float().square().mean((1, 2, 3)) / 4
        return {
            "restore": (mse + _LEAST_ERROR).sqrt().mean(),
            "estimate": (off.mean(1) * own_size).sum() / count,
        }


def _with_medians(images: Tensor) -> Tensor:
    """Medians of pictures, and what each left out: ``(B, 3 C, H, W)``, of sum the pictures."""
    rest, parts = images, []
    for distance in _MEDIANS:
        smooth = medians(rest, distance)
        parts.append(rest - smooth)
        rest = smooth
    return torch.cat([rest, *parts], 1)


def _measures(views: Tensor) -> Tensor:
    """Known signs of noise, JPEG and blur, ``(B, 8)``, as logarithms of differences in brightness.

    Median and mean of what each median left out, which are noise where a picture is flat (Donoho
    and Johnstone 1994); mean steps across and within the blocks of JPEG, whose ratio is its
    blockiness; the mean and the largest steps, whose ratio is sharpness.
    """
    shape = (len(views), -1, 3, *views.shape[2:])
    parts = views.detach().reshape(shape).mean(2)  # (B, medians + 1, H, W)
    left, bright = parts[:, 1:].abs().flatten(2), parts.sum(1)
    across, within, largest, bends = (bright.new_zeros(len(bright), 1) for _ in range(4))
    for axis in (1, 2):
        steps = bright.diff(dim=axis).abs()
        largest = torch.maximum(largest, steps.flatten(1).amax(1, keepdim=True))
        bends = bends + bright.diff(n=2, dim=axis).abs().mean((1, 2))[:, None] / 2
        along = steps.mean(3 - axis)  # (B, steps)
        border = torch.arange(along.shape[1], device=along.device) % 8 == 7
        across = across + (along * border).sum(1, keepdim=True) / (2 * border.sum().clamp_min(1))
        within = within + (along * ~border).sum(1, keepdim=True) / (2 * (~border).sum())
    found = [left.median(2).values, left.mean(2), across, within, largest, bends]
    return torch.log(torch.cat(found, 1) + 1e-3)


def medians(images: Tensor, distance: int) -> Tensor:
    """Medians along columns of medians along rows, of a pixel and those at a distance of it.

    A robust mean that keeps edges (the separable median, Narendra 1981), which a small network
    would need many steps to learn. ``(B, C, H, W)``, edges repeated.
    """
    for axis in (2, 3):
        pad = (0, 0, distance, distance) if axis == 2 else (distance, distance, 0, 0)
        wide, length = F.pad(images, pad, "replicate"), images.shape[axis]
        a, b, c = (wide.narrow(axis, start * distance, length) for start in range(3))
        images = torch.maximum(torch.minimum(a, b), torch.minimum(torch.maximum(a, b), c))
    return images


def _crop(image: Floats, side: int, textures: float, rng: np.random.Generator) -> Floats | None:
    """A part of a picture in [-1, 1] that shows something, in [0, 1]; None for a texture.

    It is mirrored half of the time, and sometimes taken from the picture at half its size.
    """
    if rng.random() < textures:
        return None
    if image.shape[-1] >= 2 * side and rng.random() < 0.3:
        image = image.reshape(3, image.shape[1] // 2, 2, -1, 2).mean((2, 4))
    best, most = image[:, :side, :side], -1.0
    for _ in range(int(rng.integers(1, 4))):
        top, left = (int(rng.integers(0, length - side + 1)) for length in image.shape[1:])
        part = image[:, top : top + side, left : left + side]
        if (variance := float(part.var())) > most:
            best, most = part, variance
    found = best[:, :, ::-1] if rng.random() < 0.5 else best
    return np.asarray(((found + 1) / 2).clip(0, 1), np.float32)


class _Example(NamedTuple):
    """A degraded picture, what to make of it, what happened to it and what of that is told."""

    given: Floats
    wanted: Floats
    there: Degradation
    told: Degradation


def _example(picture: Floats, partly: float, rng: np.random.Generator) -> _Example:
    """What to learn from a picture; ``partly`` as in :class:`RestorerConfig`."""
    there, seed = random_degradation(rng), int(rng.integers(2**62))
    given, known, wanted = degrade(picture, there, seed), there, picture
    several = [name for name in there.given if name in ESTIMATED]
    if len(several) > 1 and there.scale == 1 and rng.random() < partly:
        known = there.only(str(rng.choice(several)))
        left = [name for name in there.given if name not in known.given]
        wanted = degrade(picture, there.only(*left), seed)
    if there.scale > 1:
        given = enlarged(given, picture.shape[2], picture.shape[1])
    return _Example(given, wanted, there, known)
