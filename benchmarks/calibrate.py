"""What ``limner calibrate`` gains over the options that families draw with by themselves.

Small models of every family, trained for some minutes on composed scenes, those of ``explain.py``.
The pictures that choose and measure are other scenes, which neither training nor the development
of the rule has seen; figures are of the half that chose nothing. Where they show no gain, the
command writes no defaults: that is in the figures, too.

``LIMNER_EXPLAIN_OUT`` holds the models; ``LIMNER_CALIBRATE_SAMPLES`` pictures are in each half.
"""

from __future__ import annotations

import os
from pathlib import Path
from statistics import fmean
from typing import Any

from explain import SIZES, scenes, trained
from limner.errors import DataError
from limner.files import write_text
from limner.improve.calibration import Calibration, Calibrator
from limner.improve.calibration_page import calibration_page, contact_sheets
from limner.progress import Meter
from limner.reading.aligner import load_aligner

FAMILIES = ("flow", "gan", "vae", "ar")
SAMPLES = int(os.environ.get("LIMNER_CALIBRATE_SAMPLES", "128"))
SEED = 41
GOAL = 0.02
"""Of the Fréchet distance by the model's own options, which is all the rule takes for a gain."""
PAGES = os.environ.get("LIMNER_CALIBRATE_PAGES")
"""A folder for the pages, to be looked at; none where it is not given."""


def calibrated(family: str) -> Calibration:
    """The family's model, on scenes of its size."""
    generator, store = trained(family), scenes("calibrate", SEED, 2 * SAMPLES, SIZES[family])
    found = Calibrator(
        generator, store, samples=SAMPLES, aligner=load_aligner(None), meter=Meter()
    ).calibrate()
    if PAGES:
        table = store.caption_table()
        prompts = [table.texts[text] for text in table.heaviest()[:100].tolist()]
        sheets = contact_sheets(generator, found, prompts) if found.defaults else ()
        write_text(Path(PAGES, f"{family}.html"), calibration_page(found, sheets), DataError)
    return found


def run() -> dict[str, Any]:
    """Calibrate each family, and measure on the other half."""
    figures: dict[str, Any] = {}
    chosen: dict[str, Any] = {}
    gains = []
    for family in FAMILIES:
        found = calibrated(family)
        gains.append(found.gain)
        chosen[family] = {"chosen": found.defaults, "written": found.helps}
        for name, each in (("own", found.before), ("chosen", found.after)):
            low, high = each.interval or (None, None)
            figures |= {
                f"{family}, {name}: Fréchet distance": {
                    "value": each.frechet, "low": low, "high": high, "better": "lower",
                },
                f"{family}, {name}: recall": {"value": each.recall, "better": "higher"},
                f"{family}, {name}: precision": {"value": each.precision, "better": "higher"},
                f"{family}, {name}: win rate": {"value": each.win_rate, "better": "higher"},
                f"{family}, {name}: time a picture": {
                    "value": each.milliseconds, "unit": "ms", "better": "lower",
                },
            }  # fmt: skip
        figures[f"{family}: gain in Fréchet distance"] = {"value": found.gain, "better": "higher"}
        figures[f"{family}: defaults are written"] = {"value": float(found.helps)}
        figures[f"{family}: times faster"] = {
            "value": found.before.milliseconds / found.after.milliseconds, "better": "higher",
        }  # fmt: skip
    figures["mean gain in Fréchet distance"] = {
        "value": fmean(gains), "goal": GOAL, "better": "higher",
    }  # fmt: skip
    return {
        "figures": figures,
        "headline": "mean gain in Fréchet distance",
        "models": chosen,
        "samples": SAMPLES,
    }
