"""How far pictures of the shipped model move when prompts are misspelt or said otherwise.

Beside what is still recognised stands what share of all misspelt prompts has a word that is none of
English: *wing* without a letter is a *wig*, and nobody can tell.
The real icons are packed from npm on the first run and kept in limner's cache.
"""

from __future__ import annotations

from typing import Any

from _figures import part_figures, part_result
from evaluate import icons
from limner.evaluation.concept_prompts import load_prompts
from limner.evaluation.part import EvaluationOptions
from limner.evaluation.perturbations import KINDS
from limner.evaluation.suite import evaluate
from limner.generation.generator import Generator, load
from limner.reading.aligner import load_aligner

LANGUAGES = ("en", "zh", "es")
RECOGNISED_GOAL = 0.9
MISSPELLINGS = ("neighbouring key", "swapped letters", "dropped letter")


def run() -> dict[str, Any]:
    """Measure the shipped model."""
    options = EvaluationOptions(
        languages=LANGUAGES, aligner=load_aligner(), command="limner bench --run robustness"
    )
    generator = load()
    report = evaluate(generator, icons(), "robustness", options)
    part = report.part("robustness")
    goals = {
        figure.key: RECOGNISED_GOAL
        for figure in part.figures if figure.key.endswith("still recognised")
    }  # fmt: skip
    figures = part_figures(part, goals) | spell_no_other(generator)
    return part_result(report, part, figures) | part.protocol


def spell_no_other(generator: Generator) -> dict[str, Any]:
    """Of each kind of misspelling, the share of the prompts that then have an unknown word."""
    concepts = generator.concepts
    assert concepts is not None
    figures = {}
    for kind in MISSPELLINGS:
        texts = [(prompt.texts["en"], KINDS[kind](prompt.texts["en"], number))
                 for number, prompt in enumerate(load_prompts())]  # fmt: skip
        changed = [after for before, after in texts if after != before]
        told = [
            any(word.isalpha() and len(word) > 2 and not concepts.speller.knows(word.casefold())
                for word in text.split())
            for text in changed
        ]  # fmt: skip
        figures[f"{kind}: spells no other word"] = {
            "value": sum(told) / len(told), "unit": "", "goal": None, "better": "higher",
        }  # fmt: skip
    return figures
