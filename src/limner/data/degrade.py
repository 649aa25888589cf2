"""Synthetic degradations of pictures: seeded, pure functions of float arrays.

A picture is ``(C, H, W)`` float32 in [0, 1]. What happened to it is a :class:`Degradation`, and
:func:`degrade` does it, in the order in which it happens to prints, cameras and files: colours
fade, the lens blurs, the sensor has few pixels, dust and noise are added, JPEG is written.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, fields, replace

import numpy as np
from PIL import Image

from limner.arrays import Floats
from limner.errors import UsageError
from limner.vision.resampling import filtered

SCALES = (1, 2, 4)
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)[:, None, None]
_PAPER = np.array([0.93, 0.87, 0.76], np.float32)[:, None, None]
"""What wholly faded colours tend to, the tone of old paper."""
_PAPER_SHARE = 0.5
_FULL = {"blur": 3.0, "noise": 0.2, "jpeg": 1.0, "fade": 1.0, "scratches": 1.0}
"""The value of each field that :meth:`Degradation.levels` calls 1."""
_KERNELS = (Image.Resampling.BICUBIC, Image.Resampling.BOX, Image.Resampling.LANCZOS)


@dataclass(frozen=True)
class Degradation:
    """The degradations of a picture; the defaults mean none.

    Attributes:
        fade: share of the colours' saturation that is lost, in [0, 1]; contrast fades with it.
        blur: standard deviation of a Gaussian, pixels.
        scale: by which width and height were divided, one of 1, 2 and 4.
        scratches: scratches for each 64 x 64 pixels.
        noise: standard deviation of Gaussian noise in each channel; 1 is from black to white.
        jpeg: strength of JPEG compression in [0, 1]: quality 100 - 95 * jpeg; 0: none.
        grey: whether the colours were lost.
    """

    fade: float = 0.0
    blur: float = 0.0
    scale: int = 1
    scratches: float = 0.0
    noise: float = 0.0
    jpeg: float = 0.0
    grey: bool = False

    @property
    def levels(self) -> Floats:
        """Strengths ``(7,)`` in the order of :data:`FIELDS`, each about 0 to 1."""
        found = {name: getattr(self, name) / full for name, full in _FULL.items()}
        found |= {"scale": math.log2(self.scale) / 2, "grey": float(self.grey)}
        return np.array([found[name] for name in FIELDS], np.float32)

    @property
    def given(self) -> dict[str, float]:
        """The degradations that are present, by name."""
        return {
            each.name: getattr(self, each.name)
            for each in fields(self)
            if getattr(self, each.name) != each.default
        }

    def only(self, *names: str) -> Degradation:
        """Only the named degradations; the others are removed."""
        return Degradation(**{name: getattr(self, name) for name in names})


FIELDS = tuple(each.name for each in fields(Degradation))
"""The fields of a :class:`Degradation`, in the order of its levels."""


def from_levels(levels: Floats) -> Degradation:
    """The degradation for ``(7,)`` levels, clipped to their ranges: the inverse of ``levels``."""
    found = dict(zip(FIELDS, np.clip(levels, 0, 2).tolist(), strict=True))
    amounts = {name: found[name] * full for name, full in _FULL.items()}
    amounts |= {name: min(amounts[name], 1.0) for name in ("fade", "jpeg")}
    return Degradation(
        **amounts, scale=2 ** min(2, round(2 * found["scale"])), grey=found["grey"] >= 0.5
    )


def degrade(picture: Floats, degradation: Degradation, seed: int) -> Floats:
    """Degrade a picture; the same arguments give the same bits.

    Args:
        picture: ``(3, H, W)`` in [0, 1].
        degradation: what to do.
        seed: of scratches, noise and the filter by which the picture is made smaller.

    Returns:
        ``(3, H / scale, W / scale)`` in [0, 1], sides rounded up; of 256 values, as in a file,
        where anything was done.

    Raises:
        UsageError: the scale is not one of 1, 2 and 4.
    """
    if degradation == Degradation():
        return picture
    if degradation.scale not in SCALES:
        raise UsageError(f"a picture is made 2 or 4 times smaller, not {degradation.scale}")
    streams = [np.random.default_rng([seed, number]) for number in range(3)]
    found = faded(picture, degradation.fade) if degradation.fade else picture
    found = blurred(found, degradation.blur) if degradation.blur else found
    if degradation.scale > 1:
        height, width = (-(-side // degradation.scale) for side in found.shape[1:])
        kernel = _KERNELS[int(streams[0].integers(len(_KERNELS)))]
        found = filtered(found, (width, height), kernel)
    if degradation.grey:
        found = np.broadcast_to(luma(found), found.shape)
    if degradation.scratches:
        found = scratched(found, degradation.scratches, streams[1])
    if degradation.noise:
        found = found + degradation.noise * streams[2].standard_normal(found.shape, np.float32)
    found = rounded(found)
    return compressed(found, degradation.jpeg) if degradation.jpeg else found


def enlarged(picture: Floats, width: int, height: int) -> Floats:
    """A small picture ``(C, h, w)`` enlarged to the size of its restoration, bicubic."""
    return np.clip(filtered(picture, (width, height), Image.Resampling.BICUBIC), 0, 1)


def luma(picture: Floats) -> Floats:
    """The brightness of a picture, ``(1, H, W)`` (Rec. 601)."""
    return np.asarray((picture * _LUMA).sum(0, keepdims=True), np.float32)


def rounded(picture: Floats) -> Floats:
    """Values rounded to the 256 levels of a file, ``(C, H, W)`` in [0, 1]."""
    return np.asarray(np.rint(np.clip(picture, 0, 1) * 255) / 255, np.float32)


def faded(picture: Floats, amount: float) -> Floats:
    """Colours with less saturation and, by half as much, less contrast to the paper.

    With y the brightness of a colour v: v' = (1 - a/2) (y + (1 - a) (v - y)) + a/2 paper.

    Args:
        picture: ``(3, H, W)`` in [0, 1].
        amount: a, in [0, 1].
    """
    bright = luma(picture)
    pale = bright + np.float32(1 - amount) * (picture - bright)
    paper = np.float32(_PAPER_SHARE * amount)
    return (1 - paper) * pale + paper * _PAPER


def blurred(picture: Floats, sigma: float) -> Floats:
    """Convolution with a sampled Gaussian of unit sum, cut off at three standard deviations.

    At the edges the picture is mirrored.
    """
    radius = max(1, math.ceil(3 * sigma))
    at = np.arange(-radius, radius + 1)
    weights = np.exp(-(at**2) / (2 * sigma**2))
    weights = (weights / weights.sum()).astype(np.float32)
    for axis in (1, 2):
        pad = [(0, 0), (0, 0), (0, 0)]
        pad[axis] = (radius, radius)
        wide, side = np.pad(picture, pad, "symmetric"), picture.shape[axis]
        parts = (
            weight
            * (wide[:, shift : shift + side] if axis == 1 else wide[:, :, shift : shift + side])
            for shift, weight in enumerate(weights)
        )
        picture = np.add.reduce(list(parts))
    return picture


def scratched(picture: Floats, density: float, rng: np.random.Generator) -> Floats:
    """Thin, straight, nearly upright scratches, light or dark, and specks of dust.

    Args:
        picture: ``(C, H, W)``.
        density: scratches for each 64 x 64 pixels, as a mean.
        rng: where they are.
    """
    _, height, width = picture.shape
    out = picture.copy()
    for _ in range(int(rng.poisson(density * height * width / 4096))):
        tone, opacity = np.float32(rng.random() < 0.7), np.float32(rng.uniform(0.4, 1))
        if rng.random() < 0.3:  # dust
            radius = rng.uniform(0.7, 2.5)
            y, x = rng.uniform(0, height), rng.uniform(0, width)
            rows, columns = np.ogrid[:height, :width]
            far = np.hypot(rows - y, columns - x) - radius
            cover = np.clip(0.5 - far, 0, 1).astype(np.float32) * opacity
            out += cover * (tone - out)
            continue
        length = int(rng.uniform(0.3, 1.5) * 64)
        top, left = rng.uniform(-length / 2, height), rng.uniform(0, width)
        rows = np.arange(max(0, int(top)), min(height, int(top) + length))
        if not len(rows):
            continue
        thick, slope = rng.uniform(0.6, 1.6), rng.normal(0, 0.15)
        centre = left + slope * (rows - top)
        first = np.floor(centre - thick / 2).astype(int)
        for step in range(3):
            column = first + step
            share = np.clip(
                np.minimum(column + 1, centre + thick / 2) - np.maximum(column, centre - thick / 2),
                0, 1,
            )  # fmt: skip
            inside = (column >= 0) & (column < width)
            at = (slice(None), rows[inside], column[inside])
            out[at] += (share[inside] * opacity).astype(np.float32) * (tone - out[at])
    return out


def compressed(picture: Floats, strength: float) -> Floats:
    """The picture after JPEG of quality ``100 - 95 * strength``, with subsampled colours.

    Args:
        picture: ``(3, H, W)`` in [0, 1].
        strength: in [0, 1].
    """
    buffer = io.BytesIO()
    pixels = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))).save(
        buffer, "JPEG", quality=round(100 - 95 * min(strength, 1.0)), subsampling=2
    )
    with Image.open(buffer) as image:
        return np.asarray(image, np.float32).transpose(2, 0, 1) / np.float32(255)


def random_degradation(rng: np.random.Generator) -> Degradation:
    """A random degradation for training: none, one kind, or several at once."""
    chosen = Degradation(
        fade=rng.uniform(0.1, 0.9),
        blur=rng.uniform(0.4, 2.5),
        scale=int(rng.choice((2, 4))),
        scratches=rng.uniform(0.2, 1.0),
        noise=rng.uniform(0.01, 0.2) * rng.uniform(0.3, 1),
        jpeg=rng.uniform(0.1, 0.95),
        grey=True,
    )
    how = rng.random()
    if how < 0.05:
        return Degradation()
    if how < 0.65:
        chances = {
            "scale": 6,
            "noise": 3,
            "jpeg": 3,
            "blur": 3,
            "grey": 3,
            "fade": 1,
            "scratches": 1,
        }
        share = np.array([*chances.values()], float)
        return chosen.only(str(rng.choice([*chances], p=share / share.sum())))
    some = {"fade": 0.15, "blur": 0.4, "scale": 0.35, "scratches": 0.15, "noise": 0.5, "jpeg": 0.6}
    names = [name for name, chance in some.items() if rng.random() < chance]
    several = chosen.only(*names)
    # Pictures that suffered from several things are seldom lost to each of them.
    return replace(several, blur=several.blur * 0.6, noise=several.noise * 0.6)
