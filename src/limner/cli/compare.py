"""``limner compare``: families on equal footing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from limner.evaluation.comparison import Comparison


def register(app: typer.Typer) -> None:
    """Add this group's command."""
    app.command()(compare)


def compare(
    rivals: Annotated[
        list[Path],
        typer.Argument(
            metavar="RECIPE|MODEL...",
            help="Recipes to train (files, or names of those that come with limner), and models "
            "to take as they are.",
        ),
    ],
    *,
    data: Annotated[
        Path, typer.Option(metavar="STORE", help="What they learn from and are measured against.")
    ],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Runs, scores and the report.")],
    minutes: Annotated[float | None, typer.Option(help="Training time of each recipe.")] = None,
    steps: Annotated[int | None, typer.Option(help="Steps of each, instead of minutes.")] = None,
    samples: Annotated[int, typer.Option(help="Pictures drawn of each model.")] = 10_000,
    holdout: Annotated[
        Path | None,
        typer.Option(metavar="STORE", help="Real pictures that nobody learns from, for the floor."),
    ] = None,
    features: Annotated[
        str, typer.Option(help="Feature network: auto, fashion, judge, own:PATH, hf:ID.")
    ] = "auto",
    threads: Annotated[
        int | None, typer.Option(help="CPU threads of every run and every drawing.")
    ] = None,
    at_once: Annotated[
        int,
        typer.Option(min=1, help="Recipes that train at the same time; one thread each above 1."),
    ] = 1,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a key of every recipe."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")] = False,
) -> None:
    """Train recipes for equal minutes and measure them alike.

    Writes FOLDER/index.html, one page with plots and pictures, and FOLDER/report.json. Run the
    same command again to go on where it was stopped: nothing finished is done twice.
    """
    from limner.evaluation.comparison import Options
    from limner.evaluation.comparison import compare as measure
    from limner.evaluation.contest import Budget
    from limner.progress import progress

    if at_once > 1 and threads is None:
        threads = 1
    budget = Budget(minutes, steps, threads, at_once, tuple(change or ()))
    options = Options(data, out, budget, samples, features, holdout)
    with progress(None, "comparing", quiet, unit="seconds and pictures") as bar:
        result = measure(rivals, options, bar)
    if as_json:
        print(result.model_dump_json(indent=1))
        return
    _show(result)
    print(out / "index.html")


def _show(result: Comparison) -> None:
    from rich.console import Console
    from rich.table import Table

    from limner.evaluation.page import FACTS, SCORES
    from limner.evaluation.plots import number

    rows = [(e.name, {**e.facts, **e.scores}) for e in result.entries]
    rows += [("real, unseen", result.floor), ("noise", result.noise)]
    wanted = {"parameters", "ms_1", "ms_64"}
    columns = [*SCORES, *(c for c in FACTS if c.key in wanted)]
    shown = [c for c in columns if any(c.key in figures for _, figures in rows[:-2])]
    table = Table(title=f"{result.protocol['samples']} pictures of each model")
    table.add_column("model", no_wrap=True)
    for column in shown:
        table.add_column(column.title, justify="right")
    for name, figures in rows:
        cells = [number(figures[c.key] * c.scale) if c.key in figures else "" for c in shown]
        table.add_row(name, *cells)
    Console(width=160 if not sys.stdout.isatty() else None).print(table)
