"""What restoring gains, on drawings and photographs that the restorer was not shown.

Each picture is degraded in one known way and restored by the task for it; beside it stand the
filters of Pillow, each the best of its settings on average, and Real-ESRGAN's compact network where
``LIMNER_ESRGAN`` names the folder of its weights (``_esrgan.py``). Drawings are those that the
restorer's recipe held out of the store ``LIMNER_DRAWINGS`` (``stores/drawings-256``); photographs
those of scikit-image, from ``LIMNER_PHOTOS`` or the installed package. Those that are coloured are
of openmoji (``LIMNER_OPENMOJI_256``), which no model is trained on: the model whose drawings lend
their colours has seen the others. ``LIMNER_RESTORER`` names another model. ``LIMNER_CASES`` names
cases with commas between them; the figures of the others stay as they are committed, where they are
of the same restorer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFilter

from _esrgan import load_esrgan
from evaluate import packed
from limner.arrays import Floats
from limner.data.degrade import Degradation, degrade
from limner.data.store import Store
from limner.datasets.icons import IconOptions
from limner.errors import DataError
from limner.generation.restoring import Restorer
from limner.modelinfo import ModelInfo, read_info
from limner.models.similarity import ssim
from limner.shipped import SHIPPED_RESTORER, find_model
from limner.training.data import hold_out, open_pictures
from limner.training.recipe import DataSection

GAIN_GOAL, PHOTO_GOAL, MEMORY_GOAL = 2.0, 0.0, 1.5
DRAWINGS, COLOURED = 100, 48
PHOTOS = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png")
PHOTO_SIDE = 384
CASES: dict[str, tuple[str, Degradation]] = {
    "noise 15": ("denoise", Degradation(noise=15 / 255)),
    "noise 25": ("denoise", Degradation(noise=25 / 255)),
    "blur 1.5": ("deblur", Degradation(blur=1.5)),
    "JPEG 20": ("deblock", Degradation(jpeg=80 / 95)),
    "enlarged 2x": ("upscale", Degradation(scale=2)),
    "enlarged 4x": ("upscale", Degradation(scale=4)),
    "grey": ("colorize", Degradation(grey=True)),
    "noise, blur and JPEG, by auto": ("auto", Degradation(noise=10 / 255, blur=1.0, jpeg=0.5)),
}
"""The tasks, and what is done to the pictures that they are to restore; those without colours are
not made grey."""
RESULTS = Path(__file__).parents[1] / "src/limner/evaluation/results/restore.json"
_VIVID = 25
"""The same of 255, of a drawing that is to be coloured."""
_COLOURED = 0.1
"""Largest difference of a pixel's channels, of 1, in a picture that has colours."""
FILTERS: dict[str, list[ImageFilter.Filter]] = {
    "median": [ImageFilter.MedianFilter(3), ImageFilter.MedianFilter(5)],
    "smoothing": [ImageFilter.SMOOTH(), ImageFilter.SMOOTH_MORE(), ImageFilter.GaussianBlur(1)],
    "sharpening": [
        ImageFilter.UnsharpMask(1, 80, 0), ImageFilter.UnsharpMask(2, 100, 0),
        ImageFilter.UnsharpMask(2, 200, 0), ImageFilter.SHARPEN(), ImageFilter.DETAIL(),
    ],
}  # fmt: skip
Method = Callable[[Image.Image, tuple[int, int]], Image.Image]


def run() -> dict[str, Any]:
    """Degrade, restore, compare."""
    path = find_model(os.environ.get("LIMNER_RESTORER"), SHIPPED_RESTORER)
    restorer, esrgan = Restorer(path), load_esrgan()
    asked = [each for each in os.environ.get("LIMNER_CASES", "").split(",") if each]
    figures = kept(restorer.hash, asked) if asked else {}
    for kind, pictures in (("drawings", drawings(read_info(path))), ("photographs", photos())):
        for name, (task, degradation) in CASES.items():
            if asked and name not in asked:
                continue
            given = emoji() if kind == "drawings" and degradation.grey else pictures
            found = compared(restorer, esrgan, given, task, degradation)
            figures |= shown(kind, name, found, given[0][1] is not None)
    if asked:
        return report(figures, restorer, esrgan)
    figures["12 megapixels: memory"] = {
        "value": memory(path), "unit": "GB", "goal": MEMORY_GOAL, "better": "lower",
    }  # fmt: skip
    began = time.perf_counter()
    restorer.restore(Image.new("RGB", (1024, 1024), "grey"), "denoise")
    seconds = time.perf_counter() - began
    figures["a megapixel"] = {"value": seconds, "unit": "s", "better": "lower"}
    return report(figures, restorer, esrgan)


def kept(restorer: str, cases: list[str]) -> dict[str, Any]:
    """The committed figures of the same restorer but for those of some cases."""
    unknown = [each for each in cases if each not in CASES]
    if unknown:
        raise DataError(f"there is no case {unknown[0]!r}; choose of: {', '.join(CASES)}")
    before = json.loads(RESULTS.read_text("utf-8"))
    if before["notes"]["restorer"] != restorer:
        raise DataError("the committed figures are of another restorer: leave LIMNER_CASES out")
    heads = tuple(f"{kind}, {name}:" for kind in ("drawings", "photographs") for name in cases)
    return {n: each for n, each in before["figures"].items() if not n.startswith(heads)}


def report(figures: dict[str, Any], restorer: Restorer, esrgan: Any) -> dict[str, Any]:
    """Figures and what they are of."""
    return {
        "figures": figures,
        "headline": "drawings, JPEG 20: gain over the best filter",
        "restorer": restorer.hash,
        "Real-ESRGAN": "realesr-animevideov3" if esrgan else "not measured",
    }


def emoji() -> Pictures:
    """Drawings that no model is trained on and that have colours, evenly spread over the set."""
    store = packed("LIMNER_OPENMOJI_256", "openmoji-256", IconOptions(256, ("openmoji",)))
    coloured = [row for row in range(len(store)) if np.ptp(store.images[row], 2).max() >= _VIVID]
    rows = np.linspace(0, len(coloured) - 1, 100).astype(int)[:: 100 // COLOURED][:COLOURED]
    return [
        (Image.fromarray(store.images[coloured[at]]), str(store.metadata(coloured[at])["label"]))
        for at in rows
    ]


Pictures = list[tuple[Image.Image, str | None]]


def drawings(info: ModelInfo) -> Pictures:
    """Held-out drawings with their captions, evenly spread over the store."""
    store = Store.open(Path(os.environ.get("LIMNER_DRAWINGS", "stores/drawings-256")))
    if not info.trained_on(store.fingerprint):
        raise DataError(f"the restorer did not learn from {store.path}; set LIMNER_DRAWINGS")
    section = DataSection.model_validate(
        {**info.training["recipe"]["data"], "store": str(store.path)}
    )
    _, held = hold_out(open_pictures(section, "the restorer"), section.holdout, "the restorer")
    rows = held.rows[np.linspace(0, len(held) - 1, DRAWINGS).astype(int)].tolist()
    return [(Image.fromarray(store.images[row]), str(store.metadata(row)["label"])) for row in rows]


def photos() -> Pictures:
    """The middles of photographs."""
    skimage = find_spec("skimage")
    folder = os.environ.get("LIMNER_PHOTOS")
    if folder is None and skimage is not None and skimage.origin:
        folder = str(Path(skimage.origin).parent / "data")
    if folder is None:
        raise DataError("there are no photographs: pip install scikit-image, or set LIMNER_PHOTOS")
    found: Pictures = []
    for name in PHOTOS:
        image = Image.open(Path(folder) / name).convert("RGB")
        side = min(*image.size, PHOTO_SIDE) // 8 * 8
        left, top = (image.width - side) // 2, (image.height - side) // 2
        found.append((image.crop((left, top, left + side, top + side)), None))
    return found


def compared(
    restorer: Restorer, esrgan: Any, pictures: Pictures, task: str, degradation: Degradation
) -> dict[str, list[tuple[float, float]]]:
    """PSNR and SSIM of every picture by every method."""
    scale, found = degradation.scale, defaultdict[str, list[tuple[float, float]]](list)
    for number, (image, caption) in enumerate(pictures):
        real = np.asarray(image, np.float32).transpose(2, 0, 1) / 255
        if degradation.grey and np.ptp(real, 0).max() < _COLOURED:
            continue
        given = _image(degrade(real, degradation, number))
        options = {"scale": scale} if scale > 1 else {}
        found["restored"].append(scores(restorer.restore(given, task, **options).image, real))
        if caption is not None:
            told = restorer.restore(given, task, prompt=caption, **options).image
            found["restored, told the caption"].append(scores(told, real))
        for name, method in methods(scale).items():
            found[name].append(scores(method(given, image.size), real))
        if scale in esrgan:
            with torch.inference_mode():
                small = torch.from_numpy(np.asarray(given, np.float32).transpose(2, 0, 1) / 255)
                large = esrgan[scale](small[None])[0].numpy()
            found["Real-ESRGAN compact"].append(scores(_image(large), real))
    return found


def methods(scale: int) -> dict[str, Method]:
    """What Pillow can do."""
    if scale > 1:
        kinds = ("NEAREST", "BILINEAR", "BICUBIC", "LANCZOS")
        return {
            kind.lower(): lambda image, size, kind=kind: image.resize(size, Image.Resampling[kind])
            for kind in kinds
        } | {"bicubic and unsharp mask": lambda image, size: image.resize(
            size, Image.Resampling.BICUBIC).filter(ImageFilter.UnsharpMask(scale / 2, 60, 0))
        }  # fmt: skip
    return {"as it is": lambda image, _: image} | {
        f"{name} {number}": lambda image, _, each=each: image.filter(each)
        for name, several in FILTERS.items()
        for number, each in enumerate(several)
    }


def scores(image: Image.Image, real: Floats) -> tuple[float, float]:
    """PSNR in decibels and SSIM."""
    drawn = np.asarray(image.convert("RGB"), np.float32).transpose(2, 0, 1) / 255
    mse = float(np.square(drawn - real).mean())
    pair = [torch.from_numpy(each)[None] * 2 - 1 for each in (drawn, real)]
    return 10 * np.log10(1 / max(mse, 1e-10)), float(ssim(*pair))


def shown(
    kind: str, name: str, found: dict[str, list[tuple[float, float]]], drawn: bool
) -> dict[str, Any]:
    """Figures of one case."""
    means = {method: np.mean(values, 0) for method, values in found.items()}
    rivals = {m: v for m, v in means.items() if not m.startswith("restored")}
    best = max((m for m in rivals if "ESRGAN" not in m), key=lambda m: rivals[m][0])
    head, first = f"{kind}, {name}", [psnr for psnr, _ in found["restored"]]
    gains = np.array(first) - [psnr for psnr, _ in found[best]]
    spread = 1.96 * gains.std(ddof=1) / len(gains) ** 0.5
    figures: dict[str, Any] = {
        f"{head}: gain over the best filter": {
            "value": float(gains.mean()), "unit": "dB", "better": "higher",
            "low": float(gains.mean() - spread), "high": float(gains.mean() + spread),
            "goal": GAIN_GOAL if drawn else PHOTO_GOAL,
        }
    }  # fmt: skip
    for method, (psnr, alike) in means.items():
        label = f"{method} (the best filter)" if method == best else method
        if method.startswith("restored") or method == best or "ESRGAN" in method or method in (
            "bicubic", "as it is"
        ):  # fmt: skip
            figures[f"{head}: {label}"] = {"value": float(psnr), "unit": "dB", "better": "higher"}
            figures[f"{head}: {label}, SSIM"] = {"value": float(alike), "better": "higher"}
    return figures


def memory(path: Path) -> float:
    """Peak memory in GB of a process that restores 4000 x 3000 pixels."""
    program = (
        "import numpy as np, sys; from limner.generation.restoring import Restorer; "
        "from limner.evaluation.speed import peak_mb; "
        "pixels = np.random.default_rng(0).integers(0, 256, (3000, 4000, 3), np.uint8); "
        "Restorer(sys.argv[1]).restore(pixels, 'denoise'); "
        "print(peak_mb())"
    )
    found = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    return float(found.stdout.split()[-1]) / 1000


def _image(picture: Floats) -> Image.Image:
    pixels = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
