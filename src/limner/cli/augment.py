"""``limner augment``: a data set made larger by a generator that is trained on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from limner.cli import print_json
from limner.cli.options import JsonOption, QuietOption


def register(app: typer.Typer) -> None:
    """Add this group's command."""
    app.command()(augment)


def augment(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="Pictures with classes.")],
    *,
    per_class: Annotated[int, typer.Option(help="Pictures to add to each class.")] = 500,
    out: Annotated[Path, typer.Option(metavar="STORE2", help="The store to make.")],
    model: Annotated[
        Path | None,
        typer.Option(help="Model file or run folder [default: one is trained on the store]."),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(
            help="Recipe it is trained from [default: vae-fashion up to 32 px, else vae-64]."
        ),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Minutes of its training [default: 3].")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Steps of its training.")] = None,
    change: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change the recipe.")
    ] = None,
    holdout: Annotated[
        Path | None,
        typer.Option(metavar="STORE", help="Held-out pictures; near copies of them are refused."),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(help="Metadata key of the classes [default: label, class or concept]."),
    ] = None,
    aligner: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="What recognises classes: PATH, hf:ID or shipped [default: a classifier trained "
            "on the store].",
        ),
    ] = None,
    confidence: Annotated[
        float, typer.Option(help="Least chance of its class that a picture has.")
    ] = 0.5,
    tries: Annotated[int, typer.Option(help="Pictures drawn for each one at most.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first picture.")] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a store of that name.")
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Enlarge a data set with pictures drawn by a generator.

    The generator is given, or trained on the data set. A drawn picture is kept if a classifier
    recognises its class and it is no near copy of a training picture, a held-out picture or another
    drawn one. The new store marks each picture as real or generated, and its report counts why
    others were refused.
    """
    from limner.data.store import Store
    from limner.improve.augmentation import AugmentOptions, augment_store
    from limner.progress import progress
    from limner.reading.aligner import load_aligner

    budget = 3.0 if minutes is None and steps is None else minutes
    options = AugmentOptions(
        per_class=per_class, model=model, recipe=recipe, minutes=budget, steps=steps,
        changes=change or (), holdout=None if holdout is None else Store.open(holdout),
        label=label, aligner=None if aligner is None else load_aligner(aligner),
        confidence=confidence, tries=tries, seed=seed,
    )  # fmt: skip
    with progress(None, "kept", quiet, unit="pictures") as bar:
        report = augment_store(
            Store.open(store), out, options, meter=bar, overwrite=overwrite
        )  # fmt: skip
    if as_json:
        print_json({
            "out": out.as_posix(), "real": report.real, "kept": dict(report.kept),
            "drawn": dict(report.drawn), "refused": dict(report.refused),
            "threshold": report.threshold,
        })  # fmt: skip
        return
    print(f"{out}: {report.real:,} real and {report.kept.total():,} generated pictures, of "
          f"{report.drawn.total():,} drawn")  # fmt: skip
    for reason, many in report.refused.most_common():
        print(f"  {many:,} refused: {reason}")
    short = [name for name in report.drawn if report.kept[name] < per_class]
    if short:
        print(f"  fewer than {per_class:,} of: {', '.join(sorted(short))}")
