"""``limner evaluate``: how well a model draws what it is asked for."""

from __future__ import annotations

from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand


class Suite(StrEnum):
    """What is measured."""

    RECALL = "recall"
    DISTRIBUTION = "distribution"
    FULL = "full"
    CAPTIONS = "captions"
    COMPOSITION = "composition"


_R, _D, _F, _C = Suite.RECALL, Suite.DISTRIBUTION, Suite.FULL, Suite.CAPTIONS
_S = Suite.COMPOSITION
TAKES: dict[str, tuple[Suite, ...]] = {
    "--languages": (_R, _F, _C, _S), "--seeds": (_R, _F), "--also": (_R, _F),
    "--samples-dir": (_R,), "--samples": (_D, _F, _C), "--holdout": (_D, _F),
    "--features": (_D, _F), "--aligner": (_F,), "--html": (_F,), "--scenes": (_S,),
}  # fmt: skip
"""Options that not every suite takes."""


class _JsonInto(TyperCommand):
    """``--json FILE.json`` writes the report there, as ``--out FILE.json`` does."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        found = list(args)
        for i, (flag, name) in enumerate(pairwise(args)):
            if flag == "--json" and name.endswith(".json"):
                found[i] = "--out"
        return super().parse_args(ctx, found)


def register(app: typer.Typer) -> None:
    """Add this group's command."""
    app.command(cls=_JsonInto)(evaluate)


def evaluate(
    model: Annotated[
        Path | None, typer.Argument(help="Model file or run folder [default: the shipped model].")
    ] = None,
    *,
    data: Annotated[
        Path, typer.Option(help="Store of real pictures, such as 'limner data icons' makes.")
    ],
    suite: Annotated[
        Suite,
        typer.Option(
            help="Concept recall among icons, FID and its kin, all that applies; captions; or "
            "composition."
        ),
    ] = Suite.RECALL,
    languages: Annotated[
        str | None,
        typer.Option(help="Languages of prompts or captions (not distribution) [default: en,zh]."),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Pictures per prompt (recall, full) [default: 1].")
    ] = None,
    also: Annotated[
        list[Path] | None,
        typer.Option(metavar="STORE", help="More that it learned from: copies count (not FID)."),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(
            help="Pictures (not recall) [default: 10000; full: 2000, captions: 1000 a language]."
        ),
    ] = None,
    holdout: Annotated[
        Path | None,
        typer.Option(
            metavar="STORE", help="Real pictures nobody learns from (distribution, full)."
        ),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            help="Feature network (distribution, full): auto, fashion, judge, own:PATH, hf:ID "
            "[default: auto]."
        ),
    ] = None,
    aligner: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="Judges whether words and pictures agree (full): PATH or hf:ID."
        ),
    ] = None,
    scenes: Annotated[
        Path | None,
        typer.Option(metavar="STORE", help="Training scenes to search among (composition)."),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write one page with figures and pictures here (full).")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the report here (JSON); so does --json FILE.json.")
    ] = None,
    samples_dir: Annotated[
        Path | None, typer.Option(help="Keep the drawn pictures here, with their ranks (recall).")
    ] = None,
    write_card: Annotated[
        bool, typer.Option("--write-card", help="Put the figures into the model file.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    device: Annotated[str, typer.Option(help="Where to draw.")] = "cpu",
    threads: Annotated[int | None, typer.Option(help="CPU threads.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")] = False,
) -> None:
    """Measure how often pictures show what was asked for.

    Or how real a crowd of them looks, or everything:

    --suite recall draws 500 fixed prompts per language. A picture counts if it looks most like
    real icons of its concept. Prints this recall, its ceiling (real icons) and its floor (shuffled
    prompts), apart for concepts that the model's card claims and others.

    --suite distribution draws the captions of the store and prints FID, KID, precision, recall,
    density and coverage beside those of unseen real pictures and of noise.

    --suite full measures all that applies to the model and the store: the distribution, memorised
    pictures, diversity, agreement with the words (--aligner), concept recall, reconstruction.

    --suite captions is for a captioner: it says what pictures of the store show, and is scored by
    what people said of them (BLEU, CIDEr-D, retrieval).

    --suite composition draws 480 fixed prompts of scenes per language, half of them combinations
    that no training store holds, and counts how often things, numbers, colours and places are
    right. Wants the store of icons (--data) and one of training scenes (--scenes).
    """
    from limner.cli import suites

    _refuse(suite, {
        "--languages": languages, "--seeds": seeds, "--also": also, "--samples-dir": samples_dir,
        "--samples": samples, "--holdout": holdout, "--features": features,
        "--aligner": aligner, "--html": html, "--scenes": scenes,
    })  # fmt: skip
    how = suites.How(model, data, out, write_card, as_json, device, threads, quiet)
    codes = [code.strip() for code in (languages or "en,zh").split(",")]
    what = suites.What(
        languages=tuple(code for code in codes if code),
        seeds=1 if seeds is None else seeds,
        also=tuple(also or ()),
        samples=samples,
        holdout=holdout,
        features=features or "auto",
    )
    if suite is Suite.RECALL:
        suites.recall(what, how, samples_dir)
    elif suite is Suite.DISTRIBUTION:
        suites.distribution(what, how)
    elif suite is Suite.CAPTIONS:
        suites.captions(what, how)
    elif suite is Suite.COMPOSITION:
        suites.composition(what, how, scenes)
    else:
        suites.full(what, how, aligner, html)


def _refuse(suite: Suite, given: dict[str, Any]) -> None:
    """Refuse options that were given and belong to other suites."""
    from limner.errors import UsageError

    wrong = [
        name
        for name, value in given.items()
        if value not in (None, []) and suite not in TAKES[name]
    ]
    if wrong:
        takers = " or ".join(each.value for each in TAKES[wrong[0]])
        raise UsageError(f"{', '.join(wrong)}: only --suite {takers} takes that; leave it out")
