"""``limner train``: a recipe becomes a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train(  # noqa: PLR0917 - typer reads the options from the signature
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE.yaml", help="What to learn, and how.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[key=value]...", help="Changed keys, such as train.lr=3e-4."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="RUN", help="Folder of the run.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option("--minutes", help="Budget of time; replaces the recipe's.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", help="Budget of steps; replaces the recipe's.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the folder's checkpoint.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the whole resolved recipe and leave.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
) -> None:
    """Train a generator from RECIPE.yaml; its model is RUN/model.safetensors.

    Stop it with Ctrl-C at any time: the state is saved, and --resume goes on exactly.
    """
    from limner.errors import UsageError
    from limner.training.loop import train as run
    from limner.training.loop import with_budget
    from limner.training.recipe import load_recipe

    loaded = load_recipe(recipe, overrides or ())
    if dry_run:
        typer.echo(_resolved(with_budget(loaded, minutes, steps)), nl=False)
        return
    if out is None:
        raise UsageError("name the folder of the run: --out RUN")
    path = run(loaded, out, minutes=minutes, steps=steps, resume=resume, quiet=quiet)
    if not quiet:
        typer.echo(path)


def _resolved(recipe: object) -> str:
    """The recipe in full as YAML, and the number of parameters as a comment."""
    import yaml

    from limner.training.recipe import Recipe
    from limner.training.session import open_session

    assert isinstance(recipe, Recipe)
    session = open_session(recipe)
    text = yaml.safe_dump(
        session.recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True
    )
    return (
        f"{text}# {session.parameter_count:,} parameters, {len(session.pictures):,} pictures, "
        f"{len(session.pictures.captions.texts):,} captions\n"
    )


def register(app: typer.Typer) -> None:
    """Add ``limner train``."""
    app.command("train")(train)
