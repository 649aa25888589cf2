"""Which family draws better at equal minutes: the same pictures, captions and clock for each.

The families train their own recipes on the icons store side by side, one thread each, so that both
see the same machine at the same time; then concept recall in English is measured of each.
``LIMNER_FAMILY_MINUTES`` sets the minutes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from evaluate import icons
from limner.data.store import Store
from limner.metrics.evaluate import Options, evaluate
from limner.studio.generator import load

RECIPES = {"vae": "icons-64.yaml", "flow": "flow-64.yaml"}
FOLDER = Path(__file__).resolve().parent.parent / "recipes"


def start(family: str, store: Path, minutes: float, out: Path) -> subprocess.Popen[bytes]:
    """Begin a training run in a process of its own."""
    recipe = yaml.safe_load((FOLDER / RECIPES["vae"]).read_text(encoding="utf-8"))
    data = recipe["data"] | {"store": str(store)}
    command = [
        sys.executable, "-m", "limner", "train", str(FOLDER / RECIPES[family]),
        f"data={json.dumps(data)}", "train.threads=1",
        "--minutes", str(minutes), "--out", str(out), "--quiet",
    ]  # fmt: skip
    return subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})


def run() -> dict[str, Any]:
    """Train the families side by side for equal minutes, then measure each."""
    minutes = float(os.environ.get("LIMNER_FAMILY_MINUTES", "30"))
    store = icons()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        runs = {name: start(name, store.path, minutes, Path(folder) / name) for name in RECIPES}
        for family, process in runs.items():
            if process.wait():
                raise RuntimeError(f"training the {family} family failed")
        for family in runs:
            figures |= measure(family, Path(folder) / family, store)
    return {"figures": figures, "minutes": minutes, "threads": 1, "store": store.fingerprint}


def measure(family: str, model: Path, store: Store) -> dict[str, Any]:
    """Concept recall of one family and what it learned from."""
    generator = load(model)
    report = evaluate(generator, store, Options(("en",), command="limner bench --run families"))
    group = report.group("en", False)
    assert group is not None
    training = generator.info.training
    return {
        f"{family}: top-5 of ceiling": {"value": group.of_ceiling["top5"], "better": "higher"},
        f"{family}: top-1 of ceiling": {"value": group.of_ceiling["top1"], "better": "higher"},
        f"{family}: parameters": {"value": training["parameters"] / 1e6, "unit": "M"},
        f"{family}: pictures seen": {"value": training["pictures"], "unit": ""},
        f"{family}: evaluation": {"value": report.seconds, "unit": "s", "better": "lower"},
    }
