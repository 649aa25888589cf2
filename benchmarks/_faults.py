"""Faults that are planted into captioned pictures, to find out whether they are found."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageFilter

from limner.arrays import Pixels

Rng = np.random.Generator
PLACEHOLDERS = (
    "image", "IMG_{}.jpg", "untitled", "n/a", "DSC{}", "https://example.org/{}.png", "photo {}",
    "{}", "no caption", "null", "picture{}.png", "caption",
)  # fmt: skip


def dark(picture: Pixels, rng: Rng) -> Pixels:
    """Under-exposed: a twentieth to a sixth of the light."""
    return (picture * rng.uniform(0.05, 0.17)).astype(np.uint8)


def light(picture: Pixels, rng: Rng) -> Pixels:
    """Over-exposed: a twentieth to a seventh of the contrast, near white."""
    return (255 - (255 - picture.astype(float)) * rng.uniform(0.05, 0.14)).astype(np.uint8)


def blank(picture: Pixels, rng: Rng) -> Pixels:
    """One colour, with a little noise in every second picture."""
    colour = rng.integers(0, 256, 3)
    noise = rng.normal(0, 2, picture.shape) * (rng.random() < 0.5)
    return np.clip(colour + noise, 0, 255).astype(np.uint8)


def blurred(picture: Pixels, rng: Rng) -> Pixels:
    """Out of focus, or enlarged from a third or a quarter of its side."""
    image, side = Image.fromarray(picture), len(picture)
    if rng.random() < 0.5:
        radius = max(1.3, side / 64) * rng.uniform(1, 2)
        return np.asarray(image.filter(ImageFilter.GaussianBlur(radius)))
    small = side // int(rng.integers(3, 5))
    kernel = (Image.Resampling.BICUBIC, Image.Resampling.BILINEAR, Image.Resampling.LANCZOS)
    shrunk = image.resize((small, small), Image.Resampling.LANCZOS)
    return np.asarray(shrunk.resize((side, side), kernel[rng.integers(3)]))


def empty(picture: Pixels, rng: Rng) -> Pixels:
    """Next to nothing: a dot, a line or an even slope on a plain colour."""
    side, found = len(picture), np.full_like(picture, 255)
    at, colour = rng.integers(side // 8, 7 * side // 8, 2), rng.integers(0, 160, 3)
    kind, width = rng.integers(3), max(2, side // 16)
    if kind == 0:
        found[at[0] : at[0] + width, at[1] : at[1] + width] = colour
    elif kind == 1:
        found[at[0] : at[0] + width // 2, side // 6 : -side // 6] = colour
    else:
        slope = np.linspace(0, 1, side)[:, None]
        ends = rng.integers(0, 256, (2, 3))
        row = ends[0] * (1 - slope) + ends[1] * slope
        found[:] = (row[None] if rng.random() < 0.5 else row[:, None]).astype(np.uint8)
    return found


def copied(picture: Pixels, rng: Rng) -> Pixels:
    """A near duplicate: saved as JPEG, another size, a little brighter, cropped or shifted."""
    image, side, kind = Image.fromarray(picture), len(picture), rng.integers(5)
    if kind == 0:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=int(rng.integers(50, 85)))
        return np.asarray(Image.open(file).convert("RGB"))
    if kind == 1:
        other = round(side * rng.uniform(0.8, 1.5))
        resized = image.resize((other, other), Image.Resampling.LANCZOS)
        return np.asarray(resized.resize((side, side), Image.Resampling.BICUBIC))
    if kind == 2:
        changed = picture.astype(float) * rng.uniform(0.85, 1.15) + rng.uniform(-10, 10)
        return np.clip(changed, 0, 255).astype(np.uint8)
    if kind == 3:
        cut = side * rng.uniform(0.01, 0.02)
        box = (cut, cut, side - cut, side - cut)
        return np.asarray(image.resize((side, side), Image.Resampling.BICUBIC, box=box))
    by = rng.uniform(-1, 1, 2) * side / 64
    moved = image.transform(
        image.size, Image.Transform.AFFINE, (1, 0, by[0], 0, 1, by[1]),
        Image.Resampling.BICUBIC, fillcolor=tuple(picture[0, 0].tolist()),
    )  # fmt: skip
    return np.asarray(moved)


PICTURE_FAULTS: dict[str, Callable[[Pixels, Rng], Pixels]] = {
    "dark": dark, "light": light, "blank": blank, "blurred": blurred, "low-information": empty,
}  # fmt: skip


def placeholder(rng: Rng) -> str:
    """A caption that says nothing."""
    return str(rng.choice(PLACEHOLDERS)).format(rng.integers(100, 9999))


def repetitive(caption: str, rng: Rng) -> str:
    """A caption whose words come again and again."""
    return " ".join([" ".join(caption.split()[:3])] * int(rng.integers(6, 12)))


def lengthy(captions: Sequence[str], rng: Rng) -> str:
    """A caption made of many."""
    found = ""
    while len(found.split()) < 130:
        found += f" {captions[int(rng.integers(len(captions)))]} and"
    return found.strip()
