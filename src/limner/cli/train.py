"""``limner train``, ``limner publish`` and ``limner average``."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from limner.cli.options import ErrorsOnlyOption

if TYPE_CHECKING:
    from limner.training.recipe import Recipe


def train(  # noqa: PLR0917 - typer reads the options from the signature
    recipe: Annotated[
        Path,
        typer.Argument(
            metavar="RECIPE",
            help="A YAML file, or the name of a recipe that comes with limner, such as quickstart; "
            "or hub:ID for a LoRA of a pipeline of the hub, on data.store=STORE.",
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[key=value]...", help="Keys to change, such as train.lr=3e-4."),
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
        bool, typer.Option("--resume", help="Continue from the folder's checkpoint.")
    ] = False,
    processes: Annotated[
        int, typer.Option("--processes", help="Processes that share every batch.")
    ] = 1,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the whole resolved recipe and exit.")
    ] = False,
    quiet: ErrorsOnlyOption = False,
    preferences: Annotated[
        Path | None,
        typer.Option(
            "--preferences", metavar="FILE", help="Votes to fine-tune the model of --from on."
        ),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option("--from", metavar="MODEL", help="Start from this model; the recipe's init."),
    ] = None,
) -> None:
    """Train a model from a recipe.

    The model is RUN/model.safetensors; of hub:ID it is the LoRA
    RUN/pytorch_lora_weights.safetensors, for limner generate --model hub:ID --lora FILE. Ctrl-C
    stops at any time: the state is saved, --resume continues exactly from there, and the exit code
    is 130.
    """
    from limner.errors import UsageError
    from limner.hub import is_hub
    from limner.logs import only_errors

    if is_hub(recipe):
        if preferences is not None or init is not None:
            raise UsageError("--preferences and --from are for models of limner, not of the hub")
        if processes != 1:
            raise UsageError("one process trains a LoRA of a pipeline: leave --processes out")
        _train_lora(
            str(recipe), overrides or [], out, minutes, steps, resume=resume, dry_run=dry_run,
            quiet=quiet,
        )  # fmt: skip
        return
    from limner.modelinfo import read_info
    from limner.training.additions import report_additions
    from limner.training.loop import train as run
    from limner.training.preferences import with_preferences
    from limner.training.recipe import load_recipe, with_budget

    loaded = with_preferences(load_recipe(recipe, overrides or ()), preferences, init)
    with only_errors("limner") if quiet else nullcontext():
        if dry_run:
            typer.echo(_resolved(with_budget(loaded, minutes, steps)), nl=False)
            return
        if out is None:
            raise UsageError("name the folder of the run: --out RUN")
        path = run(
            loaded, out, minutes=minutes, steps=steps, resume=resume, quiet=quiet,
            processes=processes,
        )  # fmt: skip
    if os.environ.get("RANK", "0") != "0":
        return
    if not quiet:
        typer.echo(path)
    if not read_info(path).training["finished"]:  # a signal stopped it
        raise typer.Exit(130)
    for line in () if quiet else report_additions(path, loaded):
        typer.echo(line, err=True)


def _train_lora(
    spec: str,
    overrides: list[str],
    out: Path | None,
    minutes: float | None,
    steps: int | None,
    *,
    resume: bool,
    dry_run: bool,
    quiet: bool,
) -> None:
    """Train a LoRA of a pipeline of the hub; the arguments are those of :func:`train`."""
    from limner.errors import UsageError
    from limner.logs import only_errors
    from limner.training.hub_recipe import lora_recipe
    from limner.training.overrides import write_value

    recipe = lora_recipe(spec, overrides, minutes, steps)
    if dry_run:
        typer.echo(write_value(recipe.model_dump(mode="json")), nl=False)
        return
    if out is None:
        raise UsageError("name the folder of the run: --out RUN")
    from limner.training.hub_lora import train_lora

    with only_errors("limner") if quiet else nullcontext():
        run = train_lora(recipe, out, resume=resume, quiet=quiet)
    if not quiet:
        typer.echo(run.path)
    if not run.finished:  # a signal stopped it
        raise typer.Exit(130)


def _resolved(recipe: Recipe) -> str:
    """The recipe in full as YAML, and the number of parameters as a comment."""
    from limner.training.overrides import write_value
    from limner.training.session import open_session

    session = open_session(recipe)
    text = write_value(session.recipe.model_dump(mode="json"))
    return (
        f"{text}# {session.parameter_count:,} parameters, {len(session.pictures):,} pictures, "
        f"{len(session.pictures.captions.texts):,} captions\n"
    )


def publish(  # noqa: PLR0917 - typer reads the options from the signature
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder or model file.")],
    data: Annotated[
        Path, typer.Option("--data", metavar="STORE", help="The store that it was trained on.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Ends in .safetensors.")],
    after: Annotated[
        list[Path] | None,
        typer.Option("--after", metavar="RUN", help="Earlier runs it started from, oldest first."),
    ] = None,
    limit: Annotated[
        list[str] | None, typer.Option("--limit", help="A sentence on what it cannot do.")
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Configuration, such as temperature=0.1."),
    ] = None,
    scenes: Annotated[
        bool,
        typer.Option("--scenes", help="It draws single things on white: compose prompts of many."),
    ] = False,
    dtype: Annotated[
        Literal["float32", "float16", "int8"],
        typer.Option("--dtype", help="How weights are stored; int8 concerns large matrices alone."),
    ] = "float16",
) -> None:
    """Export a trained model in half precision, with a full card.

    The card lists the concepts that the model knows and the data it was trained on.
    """
    from limner.data.store import Store
    from limner.modelfile import read_concepts
    from limner.shipped import find_model
    from limner.training.overrides import read_overrides
    from limner.training.publish import publish as write

    _check_new(out)
    changes = read_overrides(change or (), "--set")
    earlier = [find_model(path) for path in after or ()]
    card = write(
        find_model(run), Store.open(data), out, earlier=earlier, limits=limit or (),
        config=changes, scenes=scenes, dtype=dtype,
    )  # fmt: skip
    known, index = len(card.concepts["keys"]), read_concepts(out)
    if not known and index is not None:  # of pictures whose metadata name no concept
        known = len(index.captions)
    what = f", {known:,} concepts" if known else ""
    typer.echo(f"{out}: {out.stat().st_size / 1e6:.1f} MB{what}")


def _check_new(out: Path) -> None:
    from limner.errors import UsageError

    if out.suffix != ".safetensors":
        raise UsageError(f"{out} does not end in .safetensors; a model is one such file")
    if out.exists():
        raise UsageError(f"{out} exists already; name another file, or move that one away")


def average(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN...", help="Two or more.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Ends in .safetensors.")],
) -> None:
    """Average the weights of runs that started from the same model.

    The average is often better than each of the models, and equally fast.
    """
    from limner.shipped import find_model
    from limner.training.average import average as write

    _check_new(out)
    write([find_model(run) for run in runs], out)
    typer.echo(f"{out}: the mean of {len(runs)} models")


def register(app: typer.Typer) -> None:
    """Add ``limner train``, ``limner publish`` and ``limner average``."""
    app.command("train")(train)
    app.command("publish")(publish)
    app.command("average")(average)
