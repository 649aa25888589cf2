"""Every family on the icons at 64 px, at equal minutes: concept recall, FID and its kin, speed.

``limner bench --run families`` trains five recipes, one of each family and one of the flow in
latents, on the pictures and captions of ``recipes/icons-64.yaml``, two at a time on one thread
each. What draws in codes or latents spends a third of its minutes on the autoencoder it needs. Then
all are measured by the code of ``limner compare``, whose page with the pictures is in the folder of
the runs. What was stopped goes on. The environment changes it: ``LIMNER_FAMILIES_MINUTES``,
``LIMNER_FAMILIES_SAMPLES``, ``LIMNER_FAMILIES_ONLY`` (``vae,gan``), ``LIMNER_FAMILIES_OUT``
(folder); ``LIMNER_ICONS`` names a packed store.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _recipes import read, train
from evaluate import icons
from fashion import facts_of, scores_of
from limner.data.store import Store
from limner.evaluation.comparison import ComparisonOptions, ModelScores, compare
from limner.evaluation.runs import TrainingBudget

ROOT = Path(__file__).resolve().parent.parent
AT_ONCE = 2


@dataclass(frozen=True)
class Family:
    """What a family is trained by.

    Attributes:
        recipe: of ``recipes/``.
        bottleneck: of the autoencoder it draws in; empty for pixels.
    """

    recipe: str
    bottleneck: str = ""


FAMILIES = {
    "vae": Family("icons-64"),
    "flow": Family("flow-64"),
    "gan": Family("gan-icons-64"),
    "ar": Family("ar-icons-64", "fsq"),
    "latent-flow": Family("flow-latent-icons-64", "kl"),
}
AUTOENCODER = "autoencoder-icons-64"
SHARE = 1 / 3
"""Of a family's minutes, for its autoencoder."""


def setting(name: str, default: str) -> str:
    """A setting from the environment."""
    return os.environ.get(f"LIMNER_FAMILIES_{name}", default)


def train_family(name: str, store: Store, minutes: float, out: Path) -> Path:
    """Train one family, the autoencoder it needs before it; the run's folder."""
    family, share = FAMILIES[name], 0.0

    def spent(part: float) -> TrainingBudget:
        return TrainingBudget(minutes=minutes * part, threads=1)

    tree = read(family.recipe)
    tree["data"] = read(FAMILIES["vae"].recipe)["data"] | {"flip": tree["data"].get("flip", False)}
    if family.bottleneck:
        share = SHARE
        below = read(AUTOENCODER)
        below["model"]["bottleneck"] = family.bottleneck
        if family.bottleneck == "fsq":
            below["model"]["levels"] = [8, 5, 5, 5]
        tree["autoencoder"] = str(train(f"{name}-autoencoder", below, store, out, spent(share)))
    return train(name, tree, store, out, spent(1 - share)).parent


def figures_of(model: ModelScores) -> dict[str, Any]:
    """One family's figures."""
    return scores_of(model, model.name) | facts_of(model, model.name)


def run() -> dict[str, Any]:
    """Train, draw, measure."""
    store, minutes = icons(), float(setting("MINUTES", "20"))
    out = Path(setting("OUT", str(ROOT / "runs" / "families")))
    names = [name.strip() for name in setting("ONLY", ",".join(FAMILIES)).split(",")]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        runs = list(pool.map(lambda name: train_family(name, store, minutes, out), names))
    options = ComparisonOptions(
        data=store.path,
        out=out,
        budget=TrainingBudget(threads=1),
        samples=int(setting("SAMPLES", "2000")),
        command="limner bench --run families",
    )
    result = compare(runs, options)
    figures: dict[str, Any] = {
        "real: fid": {"value": result.upper_bound["fid"]},
        "noise: fid": {"value": result.lower_bound["fid"]},
    }
    for model in result.models:
        figures |= figures_of(model)
    return {
        "figures": figures,
        "headline": "vae: concept_top5",
        "minutes": minutes,
        "threads": 1,
        "protocol": result.protocol,
    }
