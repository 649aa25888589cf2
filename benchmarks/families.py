"""Which family draws better at equal minutes: the same pictures, captions and clock for each.

Every family trains its own recipe on the icons store for the same minutes on one thread, one after
another, and is measured by concept recall in English. ``LIMNER_FAMILY_MINUTES`` sets the minutes.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from evaluate import icons
from limner.metrics.evaluate import Options, evaluate
from limner.studio.generator import load
from limner.training.loop import train
from limner.training.recipe import load_recipe

RECIPES = {"vae": "icons-64.yaml", "flow": "flow-64.yaml"}
GROUPS = "[smileys-emotion, animals-nature, food-drink, travel-places, activities, objects]"
FOLDER = Path(__file__).resolve().parent.parent / "recipes"


def run() -> dict[str, Any]:
    """Train each family for equal minutes, then measure; some minutes more than their sum."""
    minutes = float(os.environ.get("LIMNER_FAMILY_MINUTES", "12"))
    store = icons()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for family, name in RECIPES.items():
            same = [
                f"data.store={store.path}", f"data.filters={{group: {GROUPS}}}", "data.captions=32",
                "data.disambiguate=0.01", "train.threads=1",
            ]  # fmt: skip
            recipe = load_recipe(FOLDER / name, same)
            model = train(recipe, Path(folder) / family, minutes=minutes, quiet=True)
            generator = load(model, threads=1)
            report = evaluate(
                generator, store, Options(("en",), command="limner bench --run families")
            )
            group = report.group("en", False)
            assert group is not None
            training = generator.info.training
            figures |= {
                f"{family}: top-5 of ceiling": {
                    "value": group.of_ceiling["top5"],
                    "better": "higher",
                },
                f"{family}: top-1 of ceiling": {
                    "value": group.of_ceiling["top1"],
                    "better": "higher",
                },
                f"{family}: parameters": {"value": training["parameters"] / 1e6, "unit": "M"},
                f"{family}: pictures seen": {"value": training["pictures"], "unit": ""},
                f"{family}: evaluation": {"value": report.seconds, "unit": "s", "better": "lower"},
            }
    return {"figures": figures, "minutes": minutes, "threads": 1, "store": store.fingerprint}
