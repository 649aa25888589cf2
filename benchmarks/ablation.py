"""Does text read by a language model teach a generator faster?

The same small generator learns the same icons from the same captions, read in four ways: by the
language model (``e5-small``), by Word2Vec trained on the store's captions, as a class embedding
(one orthogonal vector per concept) and as random vectors (one per caption). Every way gets
vectors of 384 numbers. For each number of pictures seen there is a whole run with its own
schedule. Measured are concept recall of the captions that were learned, and of *synonyms*: English
words for the same concepts that no picture carried while training; and the kernel distance of the
judge's features to the real icons.

The environment changes it: ``LIMNER_ABLATION_PICTURES`` (``20000,40000,80000``),
``LIMNER_ABLATION_CONCEPTS``, ``LIMNER_ABLATION_SEEDS``, ``LIMNER_ABLATION_THREADS``,
``LIMNER_ABLATION_OUT``; ``LIMNER_ICONS`` names a packed store. What is done is not done again.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import torch

from _recipes import read, train
from evaluate import icons
from limner.data.store import Store
from limner.errors import DataError
from limner.evaluation.concept_prompts import load_prompts
from limner.evaluation.drawing import draw_batches
from limner.evaluation.parts.recall import ConceptRequest
from limner.evaluation.runs import TrainingBudget
from limner.files import write_json
from limner.generation.generator import load
from limner.metrics.frechet import kernel_distance
from limner.metrics.recall import Gallery, RecallMetric, Target, plain_key, recall_of
from limner.tensorfile import file_hash
from limner.text.vectors import train_word2vec

ROOT = Path(__file__).resolve().parent.parent
DIM, BATCH = 384, 64
WAYS = ("language model", "word2vec", "class", "random")


def setting(name: str, default: str) -> str:
    """A setting from the environment."""
    return os.environ.get(f"LIMNER_ABLATION_{name}", default)


class Words:
    """What is learned and what is asked: concepts, their learned names and their synonyms.

    Args:
        store: icons with ``concept`` and ``style``.
        count: how many of the fixed prompts' concepts.

    Attributes:
        keys: concept -> as the store's metadata spells it.
        names: learned caption -> concept, the heaviest English caption of its pictures.
        synonyms: concept -> one English caption that is no learned name and no other
            concept's caption.
        captions: every English caption of the store, for Word2Vec.
    """

    def __init__(self, store: Store, count: int) -> None:
        wanted = [prompt.key for prompt in load_prompts()][:: max(1, 500 // count)][:count]
        self.keys: dict[str, str] = {}
        self.names: dict[str, str] = {}
        self.captions: list[str] = []
        owners: dict[str, set[str]] = {}
        weights: dict[str, dict[str, float]] = {}
        for i in range(len(store)):
            concept = str(store.metadata(i).get("concept"))
            spoken = [c for c in store.captions(i) if c.lang == "en"]
            self.captions += [c.text for c in spoken]
            key = plain_key(concept)
            for caption in spoken:
                owners.setdefault(caption.text, set()).add(key)
            if key not in wanted or not spoken:
                continue
            self.keys[key] = concept
            # The first of the heaviest, as the recipe's data.captions keeps it.
            self.names[max(spoken, key=lambda c: c.weight).text] = key
            for caption in spoken:
                weights.setdefault(key, {})[caption.text] = caption.weight
        self.synonyms = {}
        for key, found in sorted(weights.items()):
            free = [t for t in found if t not in self.names and owners[t] == {key}]
            if free:
                self.synonyms[key] = max(free, key=lambda text: (found[text], text))


def specs(words: Words, out: Path) -> dict[str, str]:
    """The text encoder of each way; their files are written on the first call."""
    vectors, classes = out / "word2vec.bin", out / "classes.json"
    if not vectors.is_file():
        train_word2vec(words.captions, vectors, DIM)
    write_json(classes, words.names, DataError)
    return {
        "language model": "e5-small",
        "word2vec": f"vectors:{vectors}",
        "class": f"class:{classes}?dim={DIM}",
        "random": f"random:{DIM}",
    }


def recipe(encoder: str, words: Words, steps: int, seed: int) -> dict[str, Any]:
    """The recipe of one run."""
    tree = read("ablation-icons")
    tree["data"]["filters"] = {"concept": sorted(words.keys.values())}
    tree["text"]["encoder"] = encoder
    tree["train"] |= {"steps": steps, "seed": seed, "batch_size": BATCH}
    return tree


def asked(texts: dict[str, str], gallery: Gallery, styles: tuple[str, ...]) -> list[ConceptRequest]:
    """One picture of each text, its icon set in turn among those that draw the concept."""
    jobs = []
    for number, (text, key) in enumerate(sorted(texts.items())):
        fit = [s for s in styles if gallery.has(key, s) and gallery.can_score(Target(key, s))]
        if fit:
            style = fit[number % len(fit)]
            jobs.append(ConceptRequest(text, Target(key, style), style, number))
    return jobs


def measure(model: Path, texts: dict[str, str], gallery: Gallery) -> dict[str, float]:
    """Recall of one model for some texts as shares of the upper bound, and the kernel distance."""
    generator = load(model)
    jobs = asked(texts, gallery, generator.styles)
    metric = RecallMetric(gallery, {job.text: job.target for job in jobs})
    features = []
    for images, drawn in draw_batches(generator, [job.request() for job in jobs]):
        metric.update(images, [each.prompt for each in drawn])
        features.append(gallery.judge.features(images))
    targets = [job.target for job in jobs]
    real = gallery.icon_features(targets)
    bound, found = recall_of(gallery.ranks(real, targets)), recall_of(metric.ranks())
    shares = {f"{k} of upper bound": v / bound[k] if bound[k] else 0.0 for k, v in found.items()}
    return {
        **shares,
        "lower bound top5": metric.lower_bound()["top5"],
        "kernel distance": kernel_distance(torch.cat(features), real),
        "prompts": float(len(jobs)),
    }


def run() -> dict[str, Any]:
    """Train every way at every budget, and ask for names and synonyms."""
    out = Path(setting("OUT", str(ROOT / "runs" / "ablation")))
    store, threads = icons(), int(setting("THREADS", "2"))
    words = Words(store, int(setting("CONCEPTS", "250")))
    encoders = specs(words, out)
    gallery = Gallery(store, words.keys)
    synonyms = {text: key for key, text in words.synonyms.items()}
    figures: dict[str, Any] = {}
    for pictures in map(int, setting("PICTURES", "20000,40000,80000").split(",")):
        steps = max(1, pictures // BATCH)
        for way in WAYS:
            rows = []
            for seed in range(int(setting("SEEDS", "3"))):
                name = f"{way.replace(' ', '-')}-{pictures}-{seed}"
                tree = recipe(encoders[way], words, steps, seed)
                model = train(name, tree, store, out, TrainingBudget(steps=steps, threads=threads))
                rows.append(_scored(out / f"{name}.json", model, words, synonyms, gallery))
            for key in rows[0]:
                values = [row[key] for row in rows]
                figures[f"{way}, {pictures} pictures: {key}"] = {
                    "value": sum(values) / len(values), "low": min(values), "high": max(values),
                    "better": "lower" if "distance" in key else "higher",
                }  # fmt: skip
    return {
        "figures": figures,
        "headline": next(
            key
            for key in reversed(figures)
            if key.startswith("language model") and "synonyms, top5" in key
        ),
        "seeds": int(setting("SEEDS", "3")),
        "concepts": len(words.keys),
        "synonyms": dict(sorted(words.synonyms.items())),
        "store": store.fingerprint,
        "judge": gallery.judge.fingerprint,
    }


def _scored(
    path: Path, model: Path, words: Words, synonyms: dict[str, str], gallery: Gallery
) -> dict[str, float]:
    """Figures of one model; from the file where they are of the same model and questions."""
    asked_for = [file_hash(model), words.names, synonyms, gallery.judge.fingerprint, gallery.count]
    key = hashlib.sha256(json.dumps(asked_for).encode()).hexdigest()[:16]
    if path.is_file():
        known = json.loads(path.read_text(encoding="utf-8"))
        if known.get("key") == key:
            return dict(known["figures"])
    found = {f"names, {k}": v for k, v in measure(model, words.names, gallery).items()}
    found |= {f"synonyms, {k}": v for k, v in measure(model, synonyms, gallery).items()}
    write_json(path, {"key": key, "figures": found}, DataError)
    return found
