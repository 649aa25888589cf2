"""``limner tune``: search the values of a recipe's keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from limner.cli.options import ErrorsOnlyOption


def tune(  # noqa: PLR0917 - typer reads the options from the signature
    recipe: Annotated[
        Path, typer.Argument(metavar="RECIPE", help="As for limner train; a trial's budget.")
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[key=value]...", help="Changed keys, such as train.steps=500."),
    ] = None,
    space: Annotated[
        list[str] | None,
        typer.Option(
            "--space",
            metavar="KEY=SPACE",
            help="What to search: train.lr=log:1e-4..1e-2, train.warmup_steps=0..200, or "
            "train.optimizer=[adamw, muon]. May be repeated.",
        ),
    ] = None,
    minutes: Annotated[
        float, typer.Option("--minutes", help="Of the whole search, over all resumes.")
    ] = 60.0,
    trials: Annotated[
        int | None, typer.Option("--trials", help="Maximal number of trials.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder of the search.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the search in the folder.")
    ] = False,
    quiet: ErrorsOnlyOption = False,
) -> None:
    """Search hyper-parameters of a recipe by many short runs.

    The runs are compared on held-out pictures.

    The best recipe is DIR/best.yaml, for limner train; DIR/trials.json lists all trials.
    """
    from limner.errors import TrainingError, UsageError
    from limner.training.recipe import load_recipe
    from limner.training.tune import SUMMARY, read_spaces, table
    from limner.training.tune import tune as search

    if out is None:
        raise UsageError("name the folder of the search: --out DIR")

    def note(text: str) -> None:
        if not quiet:
            typer.echo(text, err=True)

    outcome = search(
        load_recipe(recipe, overrides or ()), read_spaces(space or ()), out,
        minutes=minutes, trials=trials, resume=resume, note=note,
    )  # fmt: skip
    if not quiet:
        typer.echo("\n".join(table(outcome)))
    if outcome.recipe is None:
        failures = [row["failure"] for row in outcome.trials if "failure" in row]
        why = f" (the first one failed: {failures[0]})" if failures else ""
        raise TrainingError(
            f"no trial was completed, so there is no best recipe{why}; see {out / SUMMARY}"
        )
    if not quiet:
        typer.echo(outcome.recipe)


def register(app: typer.Typer) -> None:
    """Add ``limner tune``."""
    app.command("tune")(tune)
