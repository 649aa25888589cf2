"""How well the detector that judges composition sees: sets that it knows, and one that it does not.

Arrangements of 1 to 6 things are composed of drawings whose truth is known
(``tools/arrangements.py``, by which it was trained), with seeds of their own: of the sets of icons
that it learned from (``LIMNER_ICONS`` names their store, which is made where none is named), and of
openmoji (``LIMNER_OPENMOJI``), which neither it nor a model has seen. ``worn`` pictures are bent,
blurred, tinted and noised as a generator's. The lower bound is what it is right about in other
pictures than those it is asked about; true answers are 1 in everything.

``LIMNER_DETECTOR_BEFORE`` may name the file of an earlier detector, which is measured beside it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from evaluate import packed
from limner.datasets.icons import IconOptions
from limner.metrics.detector import Detector, load_detector

sys.path.append(str(Path(__file__).parents[1] / "tools"))

from arrangements import Library, Truth, batch, score, worn

COUNT, SEED = 2048, 20261127
KEPT = ("recall", "precision", "colours")


def others(truth: Truth) -> Truth:
    """What other pictures show: each is asked about the one before it."""
    return Truth(*(each.roll(1, 0) for each in (truth.kinds, truth.colours, truth.boxes)))


def run() -> dict[str, Any]:
    """Measure the shipped detector."""
    unseen = packed("LIMNER_OPENMOJI", "openmoji-64", IconOptions(sets=("openmoji",)))
    known = packed("LIMNER_ICONS", "icons-64", IconOptions())
    shipped = load_detector()
    judges: dict[str, Detector] = {"": shipped}
    if before := os.environ.get("LIMNER_DETECTOR_BEFORE"):
        judges[", the judge before"] = load_detector(Path(before))
    figures: dict[str, Any] = {}
    for name, library in (
        ("an unseen set", Library(unseen, unseen.styles)),
        ("known sets", Library(known)),
    ):
        images, truth = batch(library, np.random.default_rng([SEED, 4]), COUNT)
        tired = worn(images, torch.Generator().manual_seed(SEED))
        for judge, detector in judges.items():
            found = {
                "": score(detector.net, images, truth),
                ", worn": score(detector.net, tired, truth),
            }
            figures |= {
                f"{name}{way}: {key}{judge}": {"value": values[key], "unit": "share"}
                for way, values in found.items()
                for key in KEPT
            }
        chance = score(shipped.net, images, others(truth))
        figures |= {
            f"{name}: {key}, lower bound": {"value": chance[key], "unit": "share"}
            for key in KEPT[:2]
        }
    return {
        "headline": "an unseen set: recall",
        "figures": figures,
        "judge": f"scene detector {judges[''].fingerprint}",
        "pictures": COUNT,
    }
