"""Changing pictures: what stays of their structure at each strength, and the pace of walks.

The pictures are of openmoji, which no model is trained on (``LIMNER_OPENMOJI_256`` names their
store at 256 px; it is made where none is named). Each is varied by its caption, as ``limner vary``
does it, and redrawn in styles in words. Walks are between the names below, with frames at equal
shares of the way beside those at an even pace.
"""

from __future__ import annotations

import statistics
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from evaluate import packed
from limner.datasets.icons import IconOptions
from limner.generation.generator import load
from limner.generation.requests import DrawRequest
from limner.generation.sheets import grid
from limner.generation.source_pictures import SourcePicture
from limner.generation.walks import walk
from limner.metrics.structure import structure_agreement
from limner.models.settings import Settings
from limner.vision.pixels import to_tensor

SIDE, COUNT, SHOWN, FRAMES = 256, 24, 6, 24
STRENGTHS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
STYLES = ("line drawing", "silhouette", "pixel art", "sticker")
WALKS = (("cat", "dog"), ("apple", "car"), ("house", "tree"), ("fish", "airplane"))
SHEETS = Path(__file__).with_name("sheets")


def run() -> dict[str, Any]:
    """Measure the shipped model."""
    store = packed("LIMNER_OPENMOJI_256", "openmoji-256", IconOptions(SIDE, ("openmoji",)))
    generator = load()
    rows = np.sort(np.random.default_rng(0).choice(len(store), COUNT, replace=False))
    kept: dict[float, list[float]] = {each: [] for each in STRENGTHS}
    styled: list[float] = []
    seconds: list[float] = []
    shown: list[Image.Image] = []
    for number, row in enumerate(rows.tolist()):
        picture = Image.fromarray(np.asarray(store.images[row]))
        caption = next(c.text for c in store.captions(row) if c.lang == "en")
        source = SourcePicture.open(picture, keeps_style=True)
        own = to_tensor(source.pixels[None])

        def agreement(image: Image.Image, own: Any = own) -> float:
            return float(structure_agreement(own, to_tensor(np.asarray(image)[None])))

        for strength in STRENGTHS:
            began = time.perf_counter()
            (drawn,) = generator.restyle(
                source, caption, strength=strength, seed=1, reference=picture
            )
            seconds.append(time.perf_counter() - began)
            kept[strength].append(agreement(drawn.image))
            if number < SHOWN:
                shown.append(drawn.image.reduce(2))
        for style in STYLES:
            (drawn,) = generator.restyle(picture, style=style, strength=1.0, seed=1)
            styled.append(agreement(drawn.image))
            if number < SHOWN:
                shown.append(drawn.image.reduce(2))
    grid(shown, columns=len(STRENGTHS) + len(STYLES)).save(SHEETS / "restyle.png")
    means = {strength: statistics.mean(values) for strength, values in kept.items()}
    falls = [
        all(more >= less - 0.01 for more, less in pairwise(each))
        for each in zip(*kept.values(), strict=True)
    ]
    paces: dict[bool, list[float]] = {True: [], False: []}
    frames: list[Image.Image] = []
    for names in WALKS:
        stops = [DrawRequest(name, 1, Settings(style="noto")) for name in names]
        for even, found in paces.items():
            began = time.perf_counter()
            walked = walk(generator, stops, FRAMES, even=even)
            found.append(walked.unevenness)
            if even:
                frame = (time.perf_counter() - began) / FRAMES
                frames += [each.reduce(2) for each in walked.frames[:: FRAMES // 8]]
    grid(frames, columns=8).save(SHEETS / "walks.png")
    return {
        "figures": {
            **{f"structure kept at strength {strength:g}": {"value": mean, "better": "higher"}
               for strength, mean in means.items()},
            "largest rise of the mean from one strength to the next": {
                "value": max(b - a for a, b in pairwise(means.values())), "goal": 0.0,
                "better": "lower",
            },
            "pictures whose structure falls throughout": {
                "value": sum(falls) / COUNT, "better": "higher"
            },
            "structure kept by a style alone": {"value": statistics.mean(styled),
                                                "better": "higher"},
            "unevenness of a walk": {"value": statistics.mean(paces[True]), "goal": 0.2,
                                     "better": "lower"},
            "unevenness at equal shares": {"value": statistics.mean(paces[False]),
                                           "better": "lower"},
            "a changed picture": {"value": statistics.median(seconds), "unit": "s",
                                  "better": "lower"},
            "a frame of a walk": {"value": frame, "unit": "s", "better": "lower"},
        },
        "headline": "structure kept at strength 0.4",
        "model_hash": generator.hash,
        "store": store.fingerprint,
    }  # fmt: skip
