"""``limner compare``: families trained under one budget and measured alike."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from limner.cli.options import JsonOption, QuietOption


def register(app: typer.Typer) -> None:
    """Add this group's command."""
    app.command()(compare)


def compare(
    models: Annotated[
        list[Path],
        typer.Argument(
            metavar="RECIPE|MODEL...",
            help="Recipes to train (files, or names of those that come with limner), and trained "
            "models.",
        ),
    ],
    *,
    data: Annotated[
        Path,
        typer.Option(metavar="STORE", help="Store to train on and to compare with."),
    ],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Runs, scores and the report.")],
    minutes: Annotated[float | None, typer.Option(help="Training time of each run.")] = None,
    steps: Annotated[int | None, typer.Option(help="Steps of each, instead of minutes.")] = None,
    seeds: Annotated[
        int,
        typer.Option(
            min=1,
            help="Runs of each recipe with different training seeds; intervals then cover "
            "the chance of training.",
        ),
    ] = 1,
    samples: Annotated[int, typer.Option(help="Pictures drawn of each model.")] = 10_000,
    holdout: Annotated[
        Path | None,
        typer.Option(metavar="STORE", help="Held-out real pictures, for the upper bound."),
    ] = None,
    features: Annotated[
        str, typer.Option(help="Feature network: auto, fashion, judge, own:PATH, hf:ID.")
    ] = "auto",
    threads: Annotated[
        int | None, typer.Option(help="CPU threads of every training run and of sampling.")
    ] = None,
    at_once: Annotated[
        int,
        typer.Option(min=1, help="Recipes that train at the same time; one thread each above 1."),
    ] = 1,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a key of every recipe."),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train recipes for equal time and compare them.

    Writes FOLDER/index.html, one page with plots and pictures, and FOLDER/report.json. Run the
    same command again to go on where it was stopped: nothing finished is done twice. Runs of
    another recipe, other data or another budget are kept aside, never reused.
    """
    from limner.evaluation.comparison import ComparisonOptions
    from limner.evaluation.comparison import compare as measure
    from limner.evaluation.printing import print_comparison
    from limner.evaluation.runs import TrainingBudget
    from limner.progress import progress

    if at_once > 1 and threads is None:
        threads = 1
    budget = TrainingBudget(minutes, steps, threads, at_once, tuple(change or ()), seeds)
    options = ComparisonOptions(data, out, budget, samples, features, holdout)
    with progress(None, "comparing", quiet, unit="seconds and pictures") as bar:
        result = measure(models, options, bar)
    if as_json:
        print(result.model_dump_json(indent=1))
        return
    print_comparison(result)
    print(out / "index.html")
