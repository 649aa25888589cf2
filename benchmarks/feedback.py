"""What one cycle of feedback changes: draw, vote, learn, draw again.

The user is simulated (``improve/simulated.py``), so that the taste is known: warm colours are
liked, clutter is not. The threshold is the median over the pictures voted on, so that about half
are liked before.

* **shipped**: the shipped model, ranked by a preference head that learned from 60 fixed prompts of
  concept recall; the figures are of 107 other ones. The factor of fidelity in the ranking was
  chosen on 200 prompts that are among neither. Recall is by the judge, among real icons.
* **flow**, **weak flow**, **ar**: small models of a few things in many colours, then tuned by
  ``--preferences`` with the recipe they were trained by, all else left as it is. They are trained
  for a number of steps, so that the figures do not depend on the machine; the weak one for few.
  Votes and figures are of the same prompts and other seeds. Recall is by a classifier that learned
  from the same store. How votes are learned from was chosen
  on flows of six other things, and for the ``ar`` on other seeds than the figures are of.

``LIMNER_ICONS`` names a packed store of icons. Runs are kept in ``LIMNER_FEEDBACK_OUT``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
import torch
from PIL import Image

from _recipes import train
from evaluate import icons
from limner.data.store import Caption, Store
from limner.data.writer import StoreWriter
from limner.datasets.scenes import Composer
from limner.evaluation.concept_prompts import ConceptPrompt, load_prompts
from limner.evaluation.parts.recall import icon_gallery
from limner.evaluation.runs import TrainingBudget
from limner.generation.generator import load
from limner.generation.picture import Picture
from limner.generation.sheets import grid
from limner.generation.votes import write_votes
from limner.improve.classifier import train_classifier
from limner.improve.feedback import train_preferences
from limner.improve.preferred import CANDIDATES, best_liked
from limner.improve.simulated import SimulatedUser
from limner.metrics.intervals import share_of
from limner.metrics.recall import Target, recall_of
from limner.scenes.scene import plan
from limner.training.loop import train as run_recipe
from limner.training.recipe import make_recipe
from limner.vision.images import on_white
from limner.vision.pixels import to_tensor

VOTED, CHOSEN_ON, EACH, SIDE = 60, 120, 4, 64
RISE_GOAL, FALL_GOAL = 15.0, -1.0
"""Points by which the share of liked pictures is to rise, and recall may fall."""
OUT = Path(os.environ.get("LIMNER_FEEDBACK_OUT", Path(__file__).parents[1] / "runs" / "feedback"))
THINGS = ("apple", "tree", "fish", "car", "cat", "carrot")
COLOURS = ("red", "blue", "green", "yellow", "purple", "orange")
PICTURES, PX, VOTES_EACH, SEEN = 1500, 32, 40, 40
TUNING_STEPS = 150
SHEETS = Path(__file__).with_name("sheets")


@dataclass(frozen=True)
class Shape:
    """A model that is tuned: its family, side in pixels, configuration, and steps before."""

    family: str
    px: int
    steps: int
    model: dict[str, Any]


FLOW = {"patch": 4, "dim": 96, "depth": 4, "heads": 4, "max_tokens": 6}
AR = {"patch": 4, "levels": 8, "patch_width": 16, "dim": 96, "depth": 4, "heads": 4,
      "max_tokens": 6}  # fmt: skip
MODELS = {
    "flow": Shape("flow", PX, 2000, FLOW),
    "weak flow": Shape("flow", PX, 300, FLOW),
    "ar": Shape("ar", 16, 800, AR),
}
"""What is tuned, by the names of their figures."""


def user_of(pictures: Sequence[Picture]) -> SimulatedUser:
    """One who likes half of some pictures."""
    plain = SimulatedUser()
    return SimulatedUser(median(plain.taste(each.image) for each in pictures))


def kept(pictures: Sequence[Picture], folder: Path) -> list[Path]:
    """The pictures as files in a new folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return [each.save(folder / f"{number:04d}.png") for number, each in enumerate(pictures)]


def liked(user: SimulatedUser, pictures: Sequence[Picture]) -> float:
    """Share of pictures that are liked."""
    return fmean(user.likes(each.image) for each in pictures)


def tensor(pictures: Sequence[Picture], side: int) -> torch.Tensor:
    """``(B, 3, S, S)`` in [-1, 1]."""
    images = [on_white(each.image).resize((side, side), Image.Resampling.BOX) for each in pictures]
    return to_tensor([np.asarray(image) for image in images])


def rise(name: str, before: float, after: float, count: int, what: str) -> dict[str, Any]:
    """Two shares in percent, and the points between them."""
    better = "higher"
    low, high = share_of(after, count).interval
    return {
        f"{name}: {what} before": {"value": 100 * before, "unit": "%", "better": better},
        f"{name}: {what} after": {
            "value": 100 * after, "low": 100 * low, "high": 100 * high, "unit": "%",
            "better": better,
        },
    }  # fmt: skip


def shipped() -> dict[str, Any]:
    """The shipped model and a preference head."""
    generator, gallery = load(), icon_gallery(icons())
    prompts = [each for each in load_prompts() if gallery.can_score(Target(each.key))]
    some = prompts[:: len(prompts) // (VOTED + CHOSEN_ON)][: VOTED + CHOSEN_ON]
    voted, tested = some[::3], [each for each in prompts if each not in some][1::3]
    first = list(generator.stream([e.texts["en"] for e in voted], n=EACH, seed=0, size=SIDE))
    user = user_of(first)
    votes = user.votes(first, kept(first, OUT / "shipped"))
    write_votes(OUT / "shipped" / "votes.jsonl", votes)
    texts = [each.texts["en"] for each in tested]
    count = CANDIDATES * len(texts)
    drawn = list(generator.stream(texts, n=CANDIDATES, seed=1000, size=SIDE))
    found: dict[str, Any] = {}
    for name, statistics in (("aligner alone", False), ("shipped", True)):
        head, report = train_preferences(votes, statistics=statistics)
        best = [
            next(best_liked(drawn[start : start + CANDIDATES], head))
            for start in range(0, count, CANDIDATES)
        ]
        found |= rise(name, liked(user, drawn), liked(user, best), len(best), "liked")
        points = 100 * (liked(user, best) - liked(user, drawn))
        found[f"{name}: liked, rise"] = {
            "value": points, "unit": "points", "goal": RISE_GOAL if statistics else None,
            "better": "higher",
        }  # fmt: skip
        assert report.held_out is not None
        low, high = report.held_out.interval
        found[f"{name}: held-out votes predicted"] = {
            "value": 100 * report.held_out.value, "low": 100 * low, "high": 100 * high,
            "unit": "%", "better": "higher",
        }  # fmt: skip
    best_possible = fmean(
        any(user.likes(e.image) for e in drawn[start : start + CANDIDATES])
        for start in range(0, count, CANDIDATES)
    )
    found["shipped: liked, of the best candidate"] = {
        "value": 100 * best_possible, "unit": "%", "better": "higher",
    }  # fmt: skip
    for top, places in (("top1", 1), ("top5", 5)):
        before = recall(drawn, [e for e in tested for _ in range(CANDIDATES)], gallery, top)
        after = recall(best, tested, gallery, top)
        found |= rise("shipped", before, after, len(best), f"recall {top}")
        found[f"shipped: recall {top}, change"] = {
            "value": 100 * (after - before), "unit": "points", "better": "higher",
            "goal": FALL_GOAL if places == 5 else None,
        }  # fmt: skip
    rows = [*drawn[::CANDIDATES][:16], *best[:16]]
    grid([np.asarray(each.image) for each in rows], columns=16).quantize(256).save(
        SHEETS / "feedback-shipped.png"
    )
    return found


def recall(
    pictures: Sequence[Picture], prompts: Sequence[ConceptPrompt], gallery: Any, top: str
) -> float:
    """Share of pictures whose concept is found among real icons of all sets."""
    features = gallery.judge.features(tensor(pictures, SIDE))
    return recall_of(gallery.ranks(features, [Target(each.key) for each in prompts]))[top]


def few_things() -> Store:
    """A store of single things in many colours; half of the captions do not say which."""
    path = OUT / f"things-{PX}"
    if path.is_dir():
        return Store.open(path)
    store = icons()
    composer = Composer(store, PX)
    things = {thing: [each for each in composer.recolourable[thing] if each in COLOURS]
              for thing in THINGS}  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    with StoreWriter(path, PX, "things", licences=store.licences, restart=True) as writer:
        number = 0
        while writer.count < PICTURES:
            scene = replace(plan(17, number, things, task="colour"), background=None)
            drawn, number = composer.draw(scene, "noto"), number + 1
            if drawn is not None:
                item = scene.items[0]
                said = article(item.thing if number % 2 else f"{item.colour} {item.thing}")
                facts = {"id": str(number), "concept": item.thing}
                writer.add(drawn.pixels, [Caption(said, "en", 1.0)], facts)
        return writer.finish()


def article(name: str) -> str:
    """A name with its article."""
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def tuned(name: str, voted_from: int = 0, tested_from: int = 5000) -> dict[str, Any]:
    """A small model, tuned by votes as ``limner train --preferences`` does it unasked.

    Args:
        name: of :data:`MODELS`.
        voted_from: the first seed of the pictures that are voted on.
        tested_from: the first seed of those that are measured.
    """
    store, shape = few_things(), MODELS[name]
    recipe = base_recipe(store, shape)
    base = train(name, recipe, store, OUT, TrainingBudget(steps=shape.steps))
    generator, texts = load(base), [article(thing) for thing in THINGS]
    first = list(generator.stream(texts, n=VOTES_EACH, seed=voted_from))
    user, folder = user_of(first), OUT / f"{name}-votes"
    votes = write_votes(folder / "votes.jsonl", user.votes(first, kept(first, folder)))
    changed = make_recipe({
        **recipe, "init": str(base), "preferences": str(votes),
        "data": {**recipe["data"], "holdout": {"share": 0.1, "by": "picture"}},
        "train": {**recipe["train"], "steps": TUNING_STEPS,
                  "stop": {"metric": "match", "patience": None, "every": 0.5, "pictures": 48}},
    })  # fmt: skip
    shutil.rmtree(OUT / f"{name}-tuned", ignore_errors=True)
    after = load(run_recipe(changed, OUT / f"{name}-tuned", quiet=True))
    before = list(generator.stream(texts, n=SEEN, seed=tested_from))
    now = list(after.stream(texts, n=SEEN, seed=tested_from))
    found = rise(name, liked(user, before), liked(user, now), len(now), "liked")
    found[f"{name}: liked, rise"] = {
        "value": 100 * (liked(user, now) - liked(user, before)), "unit": "points",
        "goal": RISE_GOAL, "better": "higher",
    }  # fmt: skip
    known = classifier(store)
    shares = [seen(known, pictures) for pictures in (before, now)]
    found |= rise(name, *shares, len(now), "recall")
    found[f"{name}: recall, change"] = {
        "value": 100 * (shares[1] - shares[0]), "unit": "points", "goal": FALL_GOAL,
        "better": "higher",
    }  # fmt: skip
    rows = [pictures[SEEN * thing + n] for thing in range(len(THINGS)) for pictures in (before, now)
            for n in range(16)]  # fmt: skip
    small = [np.asarray(each.image.resize((64, 64))) for each in rows]
    path = SHEETS / f"feedback-{name.replace(' ', '-')}.png"
    grid(small, columns=16).quantize(256).save(path)
    return found


def base_recipe(store: Store, shape: Shape) -> dict[str, Any]:
    """Of a model before it learns from votes."""
    smaller = {} if shape.px == store.size else {"size": shape.px}
    return {
        "family": shape.family, "model": {"size": shape.px, **shape.model},
        "data": {"store": str(store.path), **smaller}, "text": {"max_tokens": 6},
        "train": {"batch_size": 32, "lr": 0.002, "warmup_steps": 50, "schedule": "wsd",
                  "ema": {"half_life": 100}},
    }  # fmt: skip


def classifier(store: Store) -> Any:
    """What tells the things of the store apart, whatever their colour."""
    images = to_tensor(store.batch(np.arange(len(store))))
    labels = torch.tensor([
        THINGS.index(store.metadata(row)["concept"]) for row in range(len(store))
    ])  # fmt: skip
    return train_classifier(images, labels, len(THINGS), steps=300)


def seen(known: Any, pictures: Sequence[Picture]) -> float:
    """Share of pictures that the classifier takes for what was asked for."""
    guess = known.chances(tensor(pictures, PX)).argmax(1)
    asked = torch.tensor([each.index for each in pictures])
    return float((guess == asked).float().mean())


def run() -> dict[str, Any]:
    """Measure both cycles."""
    SHEETS.mkdir(exist_ok=True)
    few_things()
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        jobs = [pool.submit(tuned, name) for name in MODELS]  # the longest first
        found = shipped()
        for job in jobs:
            found |= job.result()
    return {"headline": "shipped: liked, rise", "figures": found}
