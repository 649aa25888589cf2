"""Walks: interpolation between drawings at a perceptually even pace.

Equal shares of the way are no equal changes: where nothing corresponds much changes at once. So the
perceptual distances of a fine walk are measured, and its frames are taken where equal parts of
their sum end (a curve by its arc length; as the steps of Karras et al. 2019, section 4.1, would
be equal).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from limner.arrays import Pixels
from limner.errors import UsageError
from limner.generation.generator import Generator
from limner.generation.morphing import Morph, is_mirrored, turning
from limner.generation.picture import Picture
from limner.generation.requests import DrawRequest
from limner.metrics.judge import load_judge
from limner.metrics.perceptual import perceptual_distance
from limner.models.one_shot import OneShotModel
from limner.vision.images import on_white
from limner.vision.pixels import to_tensor, to_uint8

Way = Callable[[float], Pixels]
"""The picture at a share of the way, ``(S, S, 3)``."""
MOST_FRAMES = 1000
_ROUNDS = 2
_FINER = 2
"""Frames of the fine walk for each frame."""


@dataclass(frozen=True)
class Walk:
    """A walk between drawings.

    Attributes:
        ends: the drawings, in order.
        frames: RGB pictures; the drawings are among them, the first and the last at the ends.
        steps: perceptual distances of one frame to the next.
    """

    ends: tuple[Picture, ...]
    frames: tuple[Image.Image, ...]
    steps: tuple[float, ...]

    @property
    def unevenness(self) -> float:
        """Deviation of the steps over their mean; 0 is constant speed."""
        return float(np.std(self.steps)) / max(float(np.mean(self.steps)), 1e-9)


def walk(
    generator: Generator,
    stops: Sequence[DrawRequest],
    frames: int,
    *,
    even: bool = True,
    on_progress: Callable[[float, float | None], None] | None = None,
) -> Walk:
    """Walk from drawing to drawing.

    A GAN or VAE passes through the latents between them; drawings of other models are brought into
    each other's shape (:class:`limner.generation.morphing.Morph`).

    Args:
        generator: draws.
        stops: what is drawn, two or more. Where none has a style, all are in that of the first.
        frames: in all, one for each stop at least.
        even: whether frames are equally far from each other as they look; without, at equal shares
            of the way.
        on_progress: called with the pictures drawn, and how many there will be.

    Raises:
        UsageError: too few stops, or too few or many frames.
        PromptError: the text encoder refuses a prompt.
    """
    if len(stops) < 2:
        raise UsageError("a walk needs at least two drawings: give two prompts, or seeds")
    if not len(stops) <= frames <= MOST_FRAMES:
        raise UsageError(
            f"{frames} frames are refused: a walk of {len(stops)} drawings has {len(stops)} to "
            f"{MOST_FRAMES}"
        )
    first = next(generator.draw([stops[0]]))
    style = first.settings.style
    asked = [
        each if style is None or each.settings.style is not None
        else replace(each, settings=each.settings.model_copy(update={"style": style}))
        for each in stops
    ]  # fmt: skip
    ends = [first, *generator.draw(asked[1:])]
    finer = 1 + _FINER * -(-frames // (len(ends) - 1))
    drawn, total = 0, (len(ends) - 1) * finer + (1 + _ROUNDS * even) * frames

    def counted(way: Way) -> Way:
        def at(share: float) -> Pixels:
            nonlocal drawn
            drawn += 1
            if on_progress is not None:
                on_progress(drawn, max(drawn, total))
            return way(share)

        return at

    pairs = pairwise(zip(asked, ends, strict=True))
    ways = [counted(_way(generator, *two)) for two in pairs]
    counts = [0] * len(ways)
    fine = [_measured(way, np.linspace(0, 1, finer)) for way in ways]
    lengths = [sum(steps) for _, steps in fine]
    for _ in range(frames - 1):  # each segment gets a frame where its steps are longest
        longest = [length / count if count else np.inf
                   for length, count in zip(lengths, counts, strict=True)]  # fmt: skip
        counts[int(np.argmax(longest))] += 1
    found: list[Image.Image] = [_rgb(first)]
    for way, count, first_look, end in zip(ways, counts, fine, ends[1:], strict=True):
        shares, seen = np.linspace(0, 1, count + 1), first_look
        for _ in range(_ROUNDS if even else 0):
            shares = _evened(*seen, count)
            seen = _measured(way, shares)
        found += [Image.fromarray(way(float(share))) for share in shares[1:-1]]
        found.append(_rgb(end))
    return Walk(tuple(ends), tuple(found), _distances([np.asarray(each) for each in found]))


def _way(
    generator: Generator, start: tuple[DrawRequest, Picture], end: tuple[DrawRequest, Picture]
) -> Way:
    """The way between two drawings."""
    model, pictures = generator.model, [_rgb(start[1]), _rgb(end[1])]
    if not isinstance(model, OneShotModel) or model.draws_training_pictures:
        first, second = (np.asarray(each) for each in pictures)
        return turning(first, second) if is_mirrored(first, second) else Morph(first, second).at
    one, other = (generator.conditions(request) for request, _ in (start, end))
    side = pictures[0].width

    def between(share: float) -> Pixels:
        if share in (0, 1):
            return np.asarray(pictures[int(share)])
        drawn = Image.fromarray(to_uint8(model.interpolate(one, other, [share])[0])[0].numpy())
        return np.asarray(drawn.resize((side, side), Image.Resampling.LANCZOS))

    return between


def _rgb(picture: Picture) -> Image.Image:
    return on_white(picture.image)


def _measured(way: Way, shares: NDArray[np.float64]) -> tuple[NDArray[np.float64], list[float]]:
    """Shares of a way, and the distances between the pictures there."""
    return shares, list(_distances([way(float(share)) for share in shares]))


@torch.inference_mode()
def _distances(pictures: Sequence[Pixels]) -> tuple[float, ...]:
    images, layers = to_tensor(np.stack(pictures)), load_judge().layers
    return tuple(
        float(perceptual_distance(one[None], other[None], layers).sqrt())
        for one, other in pairwise(images)
    )


def _evened(shares: NDArray[np.float64], steps: Sequence[float], count: int) -> NDArray[np.float64]:
    """Shares at which ``count`` equal parts of a way's length end, both ends among them.

    Args:
        shares: at which it was measured.
        steps: the lengths between them.
        count: of parts.
    """
    length = np.concatenate([[0.0], np.cumsum(steps)])
    length += np.linspace(0, 1e-9 + 1e-6 * length[-1], len(length))  # rises strictly
    found = np.interp(np.linspace(0, length[-1], count + 1), length, shares)
    found[0], found[-1] = 0, 1
    return found
