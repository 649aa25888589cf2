"""Whether the map of a thing's word covers that thing: the pointing game.

A map has a hit where its highest point lies in a box of the thing (Zhang et al. 2018, section 4.2).

* **scenes**: pictures of two things by the shipped model, in English and in Chinese; the boxes are
  those of the judge of composition, which sees pixels alone. Pictures in which it does not find the
  thing do not count.
* **flow** and **ar**: small models, trained for some minutes on composed scenes of a few things.
  The pictures are other scenes, and the boxes are the scene maker's. Each kind of map that the
  family has is measured, on scenes that were not looked at when the kinds were chosen.
* **gan** and **vae**, trained alike, explain pictures of their own only. Where *a car left of a
  cat* is, nobody knows; a hit is a map that is highest on the car's side of the picture.

``LIMNER_ICONS`` names a packed store of icons; one is made where none is named. Weights are kept in
``LIMNER_EXPLAIN_OUT``, and trained for ``LIMNER_EXPLAIN_MINUTES`` each where there are none.
"""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from _recipes import train
from evaluate import icons
from limner.arrays import Floats
from limner.data.store import Caption, Store
from limner.data.writer import StoreWriter
from limner.datasets.scenes import Composer
from limner.evaluation.runs import TrainingBudget
from limner.generation.explaining import (
    MapSource,
    explain,
    information_maps,
    without_word,
    word_maps,
)
from limner.generation.generator import Generator, load
from limner.generation.heat_maps import heat_map
from limner.generation.requests import DrawRequest
from limner.generation.sheets import grid
from limner.metrics.detector import SIZE as JUDGED
from limner.metrics.detector import load_detector
from limner.metrics.intervals import share_of
from limner.metrics.pointing import Box, mask_of_boxes, points_at, share_inside
from limner.models.rows import SampleRequest
from limner.scenes.layout import RELATIONS
from limner.scenes.scene import Item, Scene, Task, items_of, plan
from limner.scenes.things import THINGS
from limner.scenes.wording import chinese, english
from limner.text.word_spans import WordSpan, word_spans, words_in
from limner.vision.pixels import to_tensor

FEW = ("apple", "banana", "tree", "fish", "car", "cat", "carrot", "rose")
TASKS: tuple[Task, ...] = ("attribution", "position", "attribution", "two")
COLOURS = ("red", "blue", "green", "yellow", "purple", "black")
SCENES, TESTED, SEEN, PLANNED, DRAWN, STYLE = 4000, 300, 100, 60, 60, "noto"
SIZES = {"flow": 32, "ar": 16, "gan": 32, "vae": 32}
GOALS = {"scenes": 0.9, "flow": 0.7, "ar": 0.7}
MINUTES = float(os.environ.get("LIMNER_EXPLAIN_MINUTES", "5"))
OUT = Path(os.environ.get("LIMNER_EXPLAIN_OUT", Path(__file__).parents[1] / "runs" / "explain"))
SHEET = Path(__file__).with_name("sheets") / "explain.png"
RECIPES: dict[str, dict[str, Any]] = {
    "flow": {"patch": 4, "dim": 96, "depth": 4, "heads": 4, "max_tokens": 12},
    "ar": {"patch": 2, "levels": 8, "patch_width": 16, "dim": 96, "depth": 4, "heads": 4,
           "max_tokens": 10, "temperature": 0.8},
    "gan": {"widths": [96, 64, 32], "critic_widths": [96, 64, 32]},
    "vae": {"autoencode": 0.4, "prior": 0.25},
}  # fmt: skip


def scenes(name: str, seed: int, count: int, size: int) -> Store:
    """A store of composed scenes of two or more of the few things, on white."""
    path = OUT / f"{name}-{size}"
    if path.is_dir():
        return Store.open(path)
    store = icons()
    composer = Composer(store, size)
    things = {thing: [each for each in composer.recolourable[thing] if each in COLOURS]
              for thing in FEW}  # fmt: skip
    with StoreWriter(path, size, path.name, licences=store.licences, restart=True) as writer:
        number = 0
        while writer.count < count:
            scene = plan(seed, number, things, task=TASKS[number % len(TASKS)])
            scene, number = replace(scene, background=None), number + 1
            drawing = composer.draw(scene, STYLE)
            if drawing is not None:
                said = english(scene)
                said = said[number % len(said)]
                facts = {"id": f"{seed}/{number}", "boxes": drawing.boxes,
                         "items": [asdict(item) for item in scene.items]}  # fmt: skip
                writer.add(drawing.pixels, [Caption(said, "en", 1.0)], facts)
        return writer.finish()


def trained(family: str) -> Generator:
    """A family's model, trained where there is none."""
    name = f"{family}-scenes"
    model = OUT / "runs" / name / "model.safetensors"
    if not model.is_file():
        store = scenes("scenes", 1, SCENES, SIZES[family])
        tree = {
            "family": family, "model": {"size": SIZES[family], **RECIPES[family]},
            "data": {"store": str(store.path)}, "text": {"encoder": "e5-small", "max_tokens": 12},
            "train": {
                "batch_size": 32, "lr": 0.002, "betas": [0.9, 0.95], "warmup_steps": 50,
                "schedule": {"kind": "wsd", "decay_fraction": 0.4}, "ema": {"half_life": 100},
            },
        }  # fmt: skip
        model = train(name, tree, store, OUT, TrainingBudget(minutes=MINUTES, threads=1))
    return load(model, threads=1)


def word_of(thing: str, words: Sequence[WordSpan]) -> int | None:
    """The number of the word that names a thing; None where none does."""
    facts = THINGS[thing]
    for name in (facts.plural, facts.name, facts.zh):
        places = words_in(name, words)
        if places and len(places[0]) == len(word_spans(name)):
            return places[0][-1]
    return None


@dataclass
class Game:
    """The verdicts of one pointing game, with what chance would give."""

    hits: list[bool]
    inside: list[float]
    chance: list[float]

    @classmethod
    def begun(cls) -> Game:
        """Without verdicts."""
        return cls([], [], [])

    def play(self, values: Floats, boxes: Sequence[Box]) -> None:
        """One map and the boxes of its thing."""
        self.hits.append(points_at(values, boxes))
        self.inside.append(share_inside(values, boxes))
        self.chance.append(float(mask_of_boxes((128, 128), boxes).mean()))

    def figures(self, name: str, goal: float | None = None) -> dict[str, Any]:
        """Named after what played."""
        share = share_of(statistics.mean(self.hits), len(self.hits))
        return {
            f"{name}: hits": {"value": share.value, "low": share.low, "high": share.high,
                              "goal": goal, "better": "higher"},
            f"{name}: of the map inside": {"value": statistics.mean(self.inside),
                                           "better": "higher"},
            f"{name}: hits by chance": {"value": statistics.mean(self.chance), "better": "lower"},
            f"{name}: words": {"value": len(self.hits), "unit": "words"},
        }  # fmt: skip


def planned(generator: Generator, language: str, shown: list[Image.Image]) -> dict[str, Any]:
    """Scenes of two things by the shipped model, against the boxes of the judge."""
    judge, game, rng = load_detector(), Game.begun(), np.random.default_rng(7)
    for number in range(PLANNED):
        one, two = (str(each) for each in rng.choice([*THINGS], 2, replace=False))
        scene = Scene("position", (Item(one), Item(two)), RELATIONS[number % len(RELATIONS)],
                      pick=number)  # fmt: skip
        said = (english if language == "en" else chinese)(scene)[0]
        found = explain(generator, DrawRequest(said, number), maps_only=True)
        small = found.picture.image.convert("RGB").resize((JUDGED, JUDGED), Image.Resampling.BOX)
        (seen,) = judge.detect(to_tensor(np.asarray(small)[None]))
        for thing in (one, two):
            boxes = [[edge / JUDGED for edge in each.box] for each in seen if each.thing == thing]
            word = word_of(thing, [WordSpan(w.text, w.start, w.end) for w in found.words])
            if boxes and word is not None:
                game.play(found.words[word].map, boxes)
                if number < 6 and language == "en":
                    shown.append(heat_map(found.picture.image, found.words[word].map))
    figures = game.figures(f"scenes, {language}", GOALS["scenes"])
    figures[f"scenes, {language}: things that the judge finds"] = {
        "value": len(game.hits) / (2 * PLANNED), "better": "higher",
    }  # fmt: skip
    return figures


def given(family: str, shown: list[Image.Image]) -> dict[str, Any]:
    """Composed scenes that a model has not seen, against the boxes of their maker."""
    generator, store = trained(family), scenes("test", 2, TESTED, SIZES[family])
    games = {kind: Game.begun() for kind in (MapSource.INFORMATION, MapSource.ATTENTION)}
    for row in range(SEEN, len(store)):
        pixels, text = np.asarray(store.images[row]), store.captions(row)[0].text
        words, facts = word_spans(text), store.metadata(row)
        maps = dict(zip(games, maps_of(generator, pixels, text, row), strict=True))
        boxes = iter(facts["boxes"])
        for item in items_of(facts):
            mine = [[edge / store.size for edge in next(boxes)] for _ in range(item.count)]
            word = word_of(item.thing, words)
            for kind, game in games.items() if word is not None else ():
                values = maps[kind][word]
                game.play(values, mine)
                if row < SEEN + 3 and kind is MapSource.INFORMATION:
                    large = Image.fromarray(pixels).resize((128, 128), Image.Resampling.NEAREST)
                    shown.append(heat_map(large, values / max(float(values.max()), 1e-9)))
    found: dict[str, Any] = {}
    for kind, game in games.items():
        goal = GOALS[family] if kind is MapSource.INFORMATION else None
        found |= game.figures(f"{family}, {kind}", goal)
    return found | spent(family)


def maps_of(
    generator: Generator, pixels: NDArray[np.uint8], text: str, seed: int
) -> Iterator[list[Floats]]:
    """The maps of all words over a picture: by information, then by attention; 128 px each."""
    features, words, images = generator.encoder.encode([text]), word_spans(text), pixels[None]
    request = SampleRequest(features, [seed])
    others = generator.encoder.encode([without_word(text, word) for word in words])
    found = generator.model.word_information(request, others, to_tensor(images))
    yield [large(each) for each in information_maps(found)]
    tokens = generator.model.token_maps(request, to_tensor(images))[0]
    yield [large(each.numpy()) for each in word_maps(tokens, features.pieces[0], words)]


def large(values: Floats) -> Floats:
    """A map at 128 px."""
    image = Image.fromarray(values).resize((128, 128), Image.Resampling.BILINEAR)
    return np.asarray(image)


def drawn(family: str) -> dict[str, Any]:
    """Pictures that a model draws of two things, one beside or above the other."""
    generator, rng = trained(family), np.random.default_rng(9)
    games = {kind: Game.begun() for kind in (MapSource.GRADIENT, MapSource.CHANGE)}
    halves = {"left of": (0, 0, 0.5, 1), "right of": (0.5, 0, 1, 1), "above": (0, 0, 1, 0.5),
              "below": (0, 0.5, 1, 1)}  # fmt: skip
    inverse = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
    for number in range(DRAWN):
        one, two = (str(each) for each in rng.choice(FEW, 2, replace=False))
        how = [*halves][number % len(halves)]
        said = f"{THINGS[one].article} {one} {how} {THINGS[two].article} {two}"
        for kind, game in games.items():
            found = explain(generator, DrawRequest(said, number), source=kind,
                            maps_only=kind is MapSource.GRADIENT)  # fmt: skip
            words = [WordSpan(w.text, w.start, w.end) for w in found.words]
            for thing, where in ((one, how), (two, inverse[how])):
                word = word_of(thing, words)
                if word is not None:
                    game.play(found.words[word].map, [halves[where]])
    figures: dict[str, Any] = {}
    for kind, game in games.items():
        figures |= game.figures(f"{family}, {kind}, by side")
    return figures | spent(family)


def spent(family: str) -> dict[str, Any]:
    """How long a model was trained, in seconds of one core."""
    record = OUT / "runs" / f"{family}-scenes.json"
    seconds = json.loads(record.read_text(encoding="utf-8"))["cpu_seconds"]
    return {f"{family}: training": {"value": seconds, "unit": "s of one core", "better": "lower"}}


def run() -> dict[str, Any]:
    """Measure the shipped model, and small ones of each family."""
    shipped, shown, small = load(), list[Image.Image](), list[Image.Image]()
    figures = planned(shipped, "en", shown) | planned(shipped, "zh", shown)
    for family in ("flow", "ar"):
        figures |= given(family, small)
    for family in ("gan", "vae"):
        figures |= drawn(family)
    grid([each.resize((128, 128)) for each in (*shown[:12], *small[:12])], columns=6).save(SHEET)
    return {
        "figures": figures, "headline": "scenes, en: hits", "model_hash": shipped.hash,
        "judge": f"scene detector {load_detector().fingerprint}", "store": icons().fingerprint,
    }  # fmt: skip
