"""Sizes and formats: what is enlarged against the true drawing, what is traced against the raster.

True icons of 128 px are halved and quartered by averaging, enlarged again and compared with what
they were; and traced as SVG, rendered back and compared. ``LIMNER_ICONS_128`` names their store; it
is made where none is named.
"""

from __future__ import annotations

import io
import statistics
import time
from typing import Any

import numpy as np
import resvg_py
from numpy.typing import NDArray
from PIL import Image

from evaluate import packed
from limner.datasets.icons import IconOptions
from limner.generation.svg import to_svg
from limner.vision.resampling import resized

SIDE, COUNT, TRACED = 128, 400, 60
BYTES_GOAL, GAIN_GOAL, MS_GOAL = 20_000, 3.0, 60


def decibels(found: Image.Image, true: Image.Image) -> float:
    """PSNR of two pictures."""
    error = np.asarray(found, np.float64) - np.asarray(true)
    return float(10 * np.log10(255**2 / max((error**2).mean(), 0.1)))


def steepness(image: Image.Image) -> float:
    """Sum of squared differences between neighbours."""
    values = np.asarray(image, np.float64)
    return float(sum((np.diff(values, axis=axis) ** 2).sum() for axis in (0, 1)))


def rendered(svg: str, side: int) -> Image.Image:
    """An SVG on white."""
    png = resvg_py.svg_to_bytes(svg_string=svg, width=side, height=side, background="white")
    return Image.open(io.BytesIO(bytes(png))).convert("RGB")


def enlarging(icons: list[Image.Image], times: int) -> dict[str, Any]:
    """Figures of icons that were made small and are enlarged."""
    small = [icon.reduce(times) for icon in icons]
    ours = [resized(one, SIDE) for one in small]
    plain = [one.resize((SIDE, SIDE), Image.Resampling.LANCZOS) for one in small]
    found, lanczos = (
        statistics.mean(map(decibels, each, icons)) for each in (ours, plain)
    )  # fmt: skip
    edges = statistics.median(
        steepness(one) / steepness(icon) for one, icon in zip(ours, icons, strict=True)
    )
    name = f"{SIDE // times} to {SIDE} px"
    return {
        f"{name}: PSNR": {"value": found, "unit": "dB", "better": "higher"},
        f"{name}: PSNR over Lanczos": {
            "value": found - lanczos, "unit": "dB", "goal": GAIN_GOAL, "better": "higher",
        },
        f"{name}: steepness of edges over the drawing's": {"value": edges, "unit": ""},
    }  # fmt: skip


def milliseconds(images: list[Image.Image], side: int) -> float:
    """Median CPU time of enlarging one picture."""
    times = []
    for image in images:
        started = time.process_time()
        resized(image, side)
        times.append((time.process_time() - started) * 1e3)
    return statistics.median(times)


def run() -> dict[str, Any]:
    """Measure on icons of the shipped model's styles."""
    store = packed("LIMNER_ICONS_128", "icons-128", IconOptions(size=SIDE))
    rows = np.random.default_rng(0).choice(len(store), COUNT, replace=False)
    pixels: list[NDArray[np.uint8]] = [np.asarray(store.images[int(row)]) for row in rows]
    icons = [Image.fromarray(each) for each in pixels]
    svgs = [to_svg(icon) for icon in icons[:TRACED]]
    sizes = [len(svg.encode()) for svg in svgs]
    near = [decibels(rendered(s, SIDE), i) for s, i in zip(svgs, icons[:TRACED], strict=True)]
    return {
        "figures": {
            **enlarging(icons, 2),
            **enlarging(icons, 4),
            **{
                f"to {side} px: CPU time a picture": {
                    "value": milliseconds(icons[:20], side), "unit": "ms",
                    "goal": MS_GOAL if side == 256 else None, "better": "lower",
                }
                for side in (256, 512, 1024)
            },
            "SVG: largest": {
                "value": max(sizes), "unit": "bytes", "goal": BYTES_GOAL, "better": "lower",
            },
            "SVG: median": {"value": statistics.median(sizes), "unit": "bytes", "better": "lower"},
            "SVG: PSNR against the icon": {
                "value": statistics.median(near), "unit": "dB", "better": "higher",
            },
        },
        "headline": "64 to 128 px: PSNR over Lanczos",
        "store": store.fingerprint,
    }  # fmt: skip
