"""``limner tune``: search a recipe's keys for what learns best."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


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
    trials: Annotated[int | None, typer.Option("--trials", help="Most trials.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder of the search.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the search in the folder.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
) -> None:
    """Search a recipe's keys by many short runs.

    They are compared on held-out pictures.

    The best recipe is DIR/best.yaml, which limner train takes; DIR/trials.json lists all.
    """
    from limner.errors import UsageError
    from limner.training.recipe import load_recipe
    from limner.training.shipped import find_recipe
    from limner.training.spaces import read_spaces
    from limner.training.tune import table
    from limner.training.tune import tune as search

    if out is None:
        raise UsageError("name the folder of the search: --out DIR")

    def note(text: str) -> None:
        if not quiet:
            typer.echo(text, err=True)

    outcome = search(
        load_recipe(find_recipe(recipe), overrides or ()), read_spaces(space or ()), out,
        minutes=minutes, trials=trials, resume=resume, note=note,
    )  # fmt: skip
    if not quiet:
        typer.echo("\n".join(table(outcome)))
        typer.echo(outcome.recipe or "no trial has ended well, so there is no best recipe")


def register(app: typer.Typer) -> None:
    """Add ``limner tune``."""
    app.command("tune")(tune)
