"""In which languages the planner understands what is asked for.

``limner bench --run planning`` reads 21 sentences in each of fourteen languages, written by hand
and apart from the phrases the planner learned from (``planning.json``). Three of the languages it
was never taught. A sentence is understood if its plan is right in everything: how many of each
thing in the order of the words, their paint and sizes, their relation, the place, time and weather,
and the background to within a fifth of its range; *alone* asks that white be left out of what a
single thing is drawn from. Where a language has one word for *on* and *above*, either is right.

``LIMNER_PLANNER`` names the planner's file (the shipped one where it does not).
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from limner.generation.planned_scene import PlannedScene
from limner.generation.scene_planning import ScenePlanner
from limner.metrics.intervals import wilson
from limner.scenes.backgrounds import background_rgb
from limner.scenes.layout import INVERSE
from limner.scenes.places import Setting
from limner.text import DEFAULT_ENCODER, load_encoder
from limner.training.concept_index import LANGUAGES as TAUGHT

SENTENCES = Path(__file__).with_suffix(".json")
GOAL = 0.8
_NEAR = 0.2
_LATER = "<"
"""Before a sentence that names the second thing first."""


def understood(scene: PlannedScene | None, text: str, wanted: Mapping[str, Any]) -> bool:
    """Whether a scene is the one that is wanted."""
    if scene is None:
        return False
    plan, things = scene.plan, scene.plan.things
    if wanted.get("alone"):
        return len(things) == 1 and plan.background is None and scene.parts[0] != text
    relation = wanted.get("relation")
    said = [link.relation for link in scene.links]
    if relation == "above" and said == ["on"]:
        said = ["above"]
    turn = -1 if wanted["later"] and not said else 1  # who does something comes first in a link
    found = {
        "counts": [thing.count for thing in things][::turn],
        "paints": [thing.tint for thing in things][::turn],
        "sizes": [thing.size for thing in things][::turn],
        "relation": said[0] if said else plan.relation,
        "setting": scene.setting,
    }
    none = [None] * len(wanted["counts"])
    right = {
        "counts": wanted["counts"],
        "paints": wanted.get("paints", none),
        "sizes": wanted.get("sizes", none),
        "relation": INVERSE[relation] if wanted["later"] and not said else relation,
        "setting": Setting(**wanted["setting"]) if "setting" in wanted else None,
    }
    return found == right and _same_ground(plan.background, wanted.get("ground"))


def _same_ground(found: tuple[float, float, float] | None, wanted: str | None) -> bool:
    if found is None or wanted is None:
        return found is None and wanted is None
    far = [abs(a - b) for a, b in zip(found, background_rgb(wanted), strict=True)]
    return sum(far) / 3 < _NEAR


def run() -> dict[str, Any]:
    """Plan every sentence, count those that are understood."""
    file = os.environ.get("LIMNER_PLANNER")
    planner = ScenePlanner(load_encoder(DEFAULT_ENCODER), Path(file) if file else None)
    right: dict[str, list[bool]] = defaultdict(list)
    missed = []
    for row in json.loads(SENTENCES.read_text("utf-8")):
        texts = {lang: text.removeprefix(_LATER) for lang, text in row["texts"].items()}
        features = planner.encoder.encode(list(texts.values()))
        scenes = planner.understand(list(texts.values()), features)
        for (lang, text), scene in zip(texts.items(), scenes, strict=True):
            later = row["texts"][lang] != text
            right[lang].append(understood(scene, text, {**row, "later": later}))
            if not right[lang][-1]:
                missed.append(text)
    figures: dict[str, Any] = {}
    for name, langs in (("languages taught", TAUGHT), ("others", set(right) - set(TAUGHT))):
        some = [each for lang in sorted(langs) for each in right[lang]]
        low, high = wilson(sum(some), len(some))
        figures[f"{name}: understood"] = {
            "value": sum(some) / len(some), "better": "higher", "low": low, "high": high,
            "goal": GOAL if langs is TAUGHT else None,
        }  # fmt: skip
    for lang, each in right.items():
        figures[lang] = {"value": sum(each) / len(each), "better": "higher"}
    return {"figures": figures, "planner": planner.hash, "not understood": missed}
