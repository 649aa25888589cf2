"""Editing: a quarter of drawings that no model has seen is drawn anew.

The drawings are of openmoji, which no model is trained on (``LIMNER_OPENMOJI_256`` names their
store at 256 px; it is made where none is named). In each a rectangle of a quarter of its area, at a
random place, is the hole. Beside what users get stand the model's guess, before patches of the
picture are put in its place, the mean colour, and scikit-image's biharmonic inpainting (``pip
install scikit-image``), at half the size, as it would take minutes at the whole.
"""

from __future__ import annotations

import math
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from evaluate import packed
from limner.arrays import Pixels
from limner.datasets.icons import IconOptions
from limner.errors import UsageError
from limner.generation.generator import load
from limner.generation.inpainting import MaskedPicture, box_mask
from limner.generation.sheets import grid
from limner.models.rows import SampleRequest
from limner.reading.aligner import load_aligner
from limner.vision.pixels import to_tensor, to_uint8

SIDE, COUNT, SHOWN, GOAL = 256, 48, 12, 3.0
SHEET = Path(__file__).with_name("sheets") / "edit.png"


def decibels(found: Pixels, true: Pixels, mask: NDArray[np.bool_]) -> float:
    """PSNR inside a mask."""
    error = found[mask].astype(float) - true[mask]
    return 10 * math.log10(255**2 / max(float((error**2).mean()), 0.1))


def biharmonic(masked: MaskedPicture) -> Pixels:
    """scikit-image's inpainting at half the size (Damelin and Hoang 2018)."""
    try:
        from skimage.restoration import inpaint_biharmonic
    except ImportError as error:
        raise UsageError(
            "the peer of this benchmark is not here: pip install scikit-image"
        ) from error
    small = Image.fromarray(masked.pixels).reduce(2)
    hole = masked.mask.reshape(SIDE // 2, 2, SIDE // 2, 2).any((1, 3))
    found = inpaint_biharmonic(np.asarray(small) / 255, hole, channel_axis=-1)
    image = Image.fromarray((found.clip(0, 1) * 255).round().astype(np.uint8))
    large = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    return np.where(masked.mask[..., None], large, masked.pixels)


def run() -> dict[str, Any]:
    """Measure the shipped model."""
    store = packed("LIMNER_OPENMOJI_256", "openmoji-256", IconOptions(SIDE, ("openmoji",)))
    generator, random = load(), np.random.default_rng(0)
    rows = np.sort(random.choice(len(store), COUNT, replace=False))
    true: list[Pixels] = [np.asarray(store.images[int(row)]) for row in rows]
    captions = [next(c.text for c in store.captions(int(row)) if c.lang == "en") for row in rows]
    ways: dict[str, list[Pixels]] = {"ours": [], "guess": [], "mean colour": [], "biharmonic": []}
    holes, seconds, kept = [], [], 0
    for pixels in true:
        left, top = (int(each) for each in random.integers(0, SIDE // 2 + 1, 2))
        mask = box_mask((SIDE, SIDE), (left, top, SIDE // 2, SIDE // 2))
        hidden = pixels.copy()
        hidden[mask] = pixels[~mask].mean(0).round()
        masked = MaskedPicture(hidden, mask, inserts=False)
        began = time.perf_counter()
        drawn = np.asarray(generator.inpaint(masked, seed=0)[0].image)
        seconds.append(time.perf_counter() - began)
        kept += int(np.array_equal(drawn[~mask], pixels[~mask]))
        known = masked.known(SIDE)
        request = SampleRequest(generator.encoder.encode(["a picture"]), [0], known=known)
        guess = to_uint8(generator.model.sample(request))[0].numpy()
        ways["ours"].append(drawn)
        ways["guess"].append(np.where(mask[..., None], guess, pixels))
        ways["mean colour"].append(hidden)
        ways["biharmonic"].append(biharmonic(masked))
        holes.append(mask)
    found = {
        name: statistics.mean(map(decibels, images, true, holes)) for name, images in ways.items()
    }
    plain = [np.asarray(p.image) for p in generator.generate(captions, seed=0)]
    scores = {
        name: consistency(images, captions)
        for name, images in (
            ("inpainted", ways["ours"]),
            ("biharmonic", ways["biharmonic"]),
            ("true (upper bound)", true),
            ("generated", plain),
        )
    }
    shown = [each for n in range(SHOWN) for each in (
        true[n], ways["mean colour"][n], ways["biharmonic"][n], ways["guess"][n], ways["ours"][n]
    )]  # fmt: skip
    grid([Image.fromarray(each).reduce(2) for each in shown], columns=10).save(SHEET)
    return {
        "figures": {
            **{f"PSNR in the hole: {name}": {"value": value, "unit": "dB", "better": "higher"}
               for name, value in found.items()},
            **{f"PSNR of {way} over {name}": {
                "value": found[way] - found[name], "unit": "dB",
                "goal": GOAL if way == "ours" else None, "better": "higher",
            } for way in ("ours", "guess") for name in ("mean colour", "biharmonic")},
            "known pixels that kept their bits": {"value": kept / COUNT, "goal": 1.0,
                                                  "better": "higher"},
            **{f"consistency with the caption: {name}": {
                "value": value, "better": "higher",
                "goal": scores["generated"] if name == "inpainted" else None,
            } for name, value in scores.items()},
            "a picture": {"value": statistics.median(seconds), "unit": "s", "better": "lower"},
        },
        "headline": "PSNR of ours over mean colour",
        "model_hash": generator.hash,
        "store": store.fingerprint,
    }  # fmt: skip


def consistency(images: list[Pixels], captions: list[str]) -> float:
    """Mean cosine of pictures and their captions by the shipped aligner."""
    aligner = load_aligner()
    pictures = aligner.encode_images(to_tensor(np.stack(images)))
    words = aligner.encode_texts(captions)
    return float(torch.as_tensor((pictures * words).sum(1)).mean())
