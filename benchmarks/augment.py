"""Does a data set made larger by ``limner augment`` train a better classifier?

With 20, 50 and 200 real Fashion-MNIST pictures a class, the same classifier is trained for as many
steps on real pictures alone, on real ones with classical augmentation (mirrored, shifted, turned,
zoomed), and on real and generated ones, half of each batch; measured on the 10,000 real test
pictures, the mean of five seeds with Student's interval. Each seed has pictures of its own, and a
generator that saw these alone. ``LIMNER_AUGMENT_COUNTS``, ``LIMNER_AUGMENT_SEEDS``,
``LIMNER_AUGMENT_STEPS`` (of the generator) and ``LIMNER_AUGMENT_OUT`` change it; what was measured
is kept in that folder, and the same command goes on.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fashion import clothes
from limner.data.store import Store
from limner.data.writer import StoreWriter
from limner.errors import DataError
from limner.files import write_json
from limner.improve.augmentation import GENERATED, AugmentOptions, augment_store
from limner.improve.classifier import train_classifier
from limner.metrics.intervals import t_interval
from limner.training.augment import augment, needed
from limner.training.recipe import AugmentSection, DataSection
from limner.vision.pixels import to_tensor

COUNTS = os.environ.get("LIMNER_AUGMENT_COUNTS", "20,50,200")
SEEDS = int(os.environ.get("LIMNER_AUGMENT_SEEDS", "5"))
STEPS = int(os.environ.get("LIMNER_AUGMENT_STEPS", "300"))
OUT = Path(os.environ.get("LIMNER_AUGMENT_OUT", "runs/augment"))
CLASSIFIER_STEPS = 400
MOST_ADDED = 100
RECIPE = ("train.batch_size=32", "model.temperature=1.0", "train.threads=1")
CLASSICAL = DataSection(
    store="none", flip=True, augment=AugmentSection(shift_px=1, scale=0.05, turn=4)
)  # fmt: skip
WAYS = ("real", "real and classical", "real and generated")


def classical(images: Tensor, rng: torch.Generator) -> Tensor:
    """Mirrored, shifted, turned and zoomed."""
    chances = torch.rand(len(images), needed(CLASSICAL.augment), generator=rng, dtype=torch.float64)
    return augment(images, chances, CLASSICAL)


def subset(train: Store, count: int, seed: int, out: Path) -> Store:
    """So many pictures of each class, others for each seed."""
    if out.is_dir():
        return Store.open(out)
    labels, rng = np.array(train.column("label")), np.random.default_rng([seed, count])
    rows = [rng.choice(np.flatnonzero(labels == each), count, replace=False)
            for each in sorted(set(labels))]  # fmt: skip
    with StoreWriter(out, train.size, out.name, licences=train.licences, restart=True) as writer:
        for row in np.concatenate(rows).tolist():
            writer.add(train.images[row], train.captions(row), train.metadata(row))
        return writer.finish()


def tensors(store: Store, names: list[str]) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures, classes, and which are generated."""
    labels = torch.tensor([names.index(each) for each in store.column("label")])
    made = torch.tensor([each == GENERATED for each in store.column("provenance")])
    return to_tensor(np.array(store.images)), labels, made


def measured(train: Store, test: tuple[Tensor, Tensor], names: list[str], count: int,
             seed: int) -> dict[str, float]:  # fmt: skip
    """Accuracy of each way with one choice of real pictures."""
    done = OUT / f"{count}-{seed}.json"
    if done.is_file():
        return dict(json.loads(done.read_text("utf-8")))
    real = subset(train, count, seed, OUT / f"real-{count}-{seed}")
    larger = OUT / f"larger-{count}-{seed}"
    options = AugmentOptions(
        per_class=min(count, MOST_ADDED), steps=STEPS, minutes=3.0,
        changes=[*RECIPE, f"train.seed={seed}"],
        seed=10_000 * seed, confidence=0.4, tries=4,
    )  # fmt: skip
    shutil.rmtree(larger, ignore_errors=True)
    report = augment_store(real, larger, options)
    images, labels, made = tensors(Store.open(larger), names)
    half = torch.where(made, 1 / max(int(made.sum()), 1), 1 / int((~made).sum()))
    found = {
        "kept": report.kept.total() / max(report.drawn.total(), 1),
        "added over real": report.kept.total() / report.real,
    }
    for reason, many in report.refused.items():
        found[reason] = many / report.drawn.total()
    for way in WAYS:
        mixed = way == "real and generated"
        some = torch.ones_like(made) if mixed else ~made
        net = train_classifier(
            images[some], labels[some], len(names), steps=CLASSIFIER_STEPS, seed=seed,
            change=classical if way == "real and classical" else None,
            weights=half if mixed else None,
        )  # fmt: skip
        right = net.chances(test[0]).argmax(1) == test[1]
        found[way] = right.double().mean().item()
    shutil.rmtree(larger.with_name(f"{larger.name}.run"), ignore_errors=True)
    write_json(done, found, DataError)
    return found


def run() -> dict[str, Any]:
    """Train and measure all, or go on with it."""
    OUT.mkdir(parents=True, exist_ok=True)
    train, held = clothes("train"), clothes("test")
    names = sorted(set(train.column("label")))
    images, labels, _ = tensors(held, names)
    figures: dict[str, Any] = {}
    counts = [int(each) for each in COUNTS.split(",")]
    every: dict[int, list[dict[str, float]]] = {count: [] for count in counts}
    for seed in range(SEEDS):
        for count in counts:
            every[count].append(measured(train, (images, labels), names, count, seed))
    for count, each in every.items():
        for way in WAYS:
            values = [one[way] for one in each]
            low, high = t_interval(values) if len(values) > 1 else (values[0], values[0])
            figures[f"{count} a class: accuracy, {way}"] = {
                "value": fmean(values), "low": low, "high": high, "better": "higher",
            }  # fmt: skip
        gains = [one["real and generated"] - one["real"] for one in each]
        low, high = t_interval(gains) if len(gains) > 1 else (gains[0], gains[0])
        figures[f"{count} a class: gain of generated over real alone"] = {
            "value": fmean(gains), "low": low, "high": high, "better": "higher", "goal": 0.0,
        }  # fmt: skip
        for key in sorted({key for one in each for key in one} - {*WAYS}):
            values = [one.get(key, 0.0) for one in each]
            figures[f"{count} a class: share {key}"] = {"value": fmean(values)}
    first = COUNTS.split(",")[0]
    return {
        "headline": f"{first} a class: gain of generated over real alone",
        "figures": figures,
        "seeds": SEEDS,
        "generator_steps": STEPS,
        "classifier_steps": CLASSIFIER_STEPS,
    }
