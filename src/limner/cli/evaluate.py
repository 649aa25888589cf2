"""``limner evaluate``: how well a model draws what it is asked for."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

if TYPE_CHECKING:
    from limner.compare.distribution import DistributionReport
    from limner.metrics.report import EvaluationReport


class Suite(StrEnum):
    """What is measured."""

    RECALL = "recall"
    DISTRIBUTION = "distribution"


class _How(NamedTuple):
    """What both suites take: where the report goes, and on what it is made."""

    out: Path | None
    write_card: bool
    as_json: bool
    device: str
    threads: int | None
    quiet: bool


def register(app: typer.Typer) -> None:
    """Add this group's command."""
    app.command()(evaluate)


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
        typer.Option(help="Concept recall among icons, or FID and its kin on any pictures."),
    ] = Suite.RECALL,
    languages: Annotated[
        str | None, typer.Option(help="Languages of the prompts (recall) [default: en,zh].")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Pictures per prompt (recall) [default: 1].")
    ] = None,
    also: Annotated[
        list[Path] | None,
        typer.Option(metavar="STORE", help="More of what it learned from: copies count (recall)."),
    ] = None,
    samples: Annotated[
        int | None, typer.Option(help="Pictures to draw (distribution) [default: 10000].")
    ] = None,
    holdout: Annotated[
        Path | None,
        typer.Option(metavar="STORE", help="Real pictures nobody learns from (distribution)."),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            help="Feature network (distribution): auto, fashion, judge, own:PATH, hf:ID "
            "[default: auto]."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the full report here (JSON).")] = None,
    samples_dir: Annotated[
        Path | None, typer.Option(help="Keep the drawn pictures here, with their ranks.")
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

    Or how real a crowd of them looks:

    --suite recall draws 500 fixed prompts per language. A picture counts if it looks most like
    real icons of its concept. Prints this recall, its ceiling (real icons) and its floor (shuffled
    prompts), apart for concepts that the model's card claims and others.

    --suite distribution draws the captions of the store and prints FID, KID, precision, recall,
    density and coverage beside those of unseen real pictures and of noise.
    """
    how = _How(out, write_card, as_json, device, threads, quiet)
    of_recall = {
        "--languages": languages, "--seeds": seeds, "--also": also, "--samples-dir": samples_dir,
    }  # fmt: skip
    of_distribution = {"--samples": samples, "--holdout": holdout, "--features": features}
    if suite is Suite.DISTRIBUTION:
        _refuse(of_recall, Suite.RECALL)
        _distribution(
            model, data, holdout,
            samples=10_000 if samples is None else samples, features=features or "auto", how=how,
        )  # fmt: skip
        return
    _refuse(of_distribution, Suite.DISTRIBUTION)
    codes = "en,zh" if languages is None else languages
    _recall(
        model, data, also or [],
        languages=tuple(code.strip() for code in codes.split(",") if code.strip()),
        seeds=1 if seeds is None else seeds, samples_dir=samples_dir, how=how,
    )  # fmt: skip


def _refuse(options: Mapping[str, object], suite: Suite) -> None:
    """Refuse options that were given and belong to the other suite."""
    from limner.errors import UsageError

    given = [name for name, value in options.items() if value not in (None, [])]
    if given:
        raise UsageError(f"{', '.join(given)}: only --suite {suite.value} takes that; leave it out")


def _recall(
    model: Path | None,
    data: Path,
    also: list[Path],
    *,
    languages: tuple[str, ...],
    seeds: int,
    samples_dir: Path | None,
    how: _How,
) -> None:
    """The suite ``recall``: measure, write, print."""
    from limner.cli.progress import progress
    from limner.data.store import Store
    from limner.metrics.evaluate import Options, picture_count
    from limner.metrics.evaluate import evaluate as measure
    from limner.metrics.evaluate import write_card as put_into_card
    from limner.studio.generator import find_model, load

    path = find_model(model)
    command = f"limner evaluate {shlex.quote(path.name)} --data {shlex.quote(data.name)}"
    command += f" --languages {','.join(languages)} --seeds {seeds}"
    command += "".join(f" --also {shlex.quote(path.name)}" for path in also)
    options = Options(languages, seeds, samples_dir, command)
    store, others = Store.open(data), [Store.open(path) for path in also]
    generator = load(path, device=how.device, threads=how.threads)
    with progress(picture_count(options), "drawing", how.quiet, unit="pictures") as bar:
        report = measure(generator, store, options, bar.advance, also=others)
    if how.out is not None:
        report.write(how.out)
    if how.write_card:
        put_into_card(path, report)
    if how.as_json:
        print(json.dumps(report.model_dump(mode="json"), ensure_ascii=False, indent=1))
    else:
        _show(report)


def _distribution(
    model: Path | None,
    data: Path,
    holdout: Path | None,
    *,
    samples: int,
    features: str,
    how: _How,
) -> None:
    """The suite ``distribution``: measure, write, print."""
    from limner.cli.progress import progress
    from limner.compare.distribution import evaluate_distribution
    from limner.data.store import Store
    from limner.errors import DataError
    from limner.files import write_json
    from limner.metrics.evaluate import write_card as put_into_card
    from limner.metrics.features import features_for, load_features
    from limner.metrics.reference import Reference
    from limner.studio.generator import find_model, load

    path, store = find_model(model), Store.open(data)
    unseen = None if holdout is None else Store.open(holdout)
    spec = features_for(store, features)
    command = f"limner evaluate {shlex.quote(path.name)} --data {shlex.quote(data.name)}"
    command += f" --suite distribution --samples {samples} --features {shlex.quote(spec)}"
    command += "" if holdout is None else f" --holdout {shlex.quote(holdout.name)}"
    generator = load(path, device=how.device, threads=how.threads)
    reference = Reference(store, load_features(spec, device=how.device), holdout=unseen,
                          samples=samples)  # fmt: skip
    with progress(samples, "drawing", how.quiet, unit="pictures") as bar:
        report = evaluate_distribution(generator, reference, command, bar)
    if how.out is not None:
        write_json(how.out, report.model_dump(mode="json"), DataError)
    if how.write_card:
        put_into_card(path, report)
    if how.as_json:
        print(report.model_dump_json(indent=1))
    else:
        _show_distribution(report)


def _show_distribution(report: DistributionReport) -> None:
    from rich.console import Console
    from rich.table import Table

    from limner.compare.page import SCORES
    from limner.compare.plots import number

    table = Table(title=f"{report.model} ({report.model_hash}) by {report.protocol['features']}")
    for name in ("", "drawn", "real, unseen", "noise"):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    for column in SCORES:
        if column.key in report.scores:
            sides = (report.scores, report.floor, report.noise)
            cells = [number(s.get(column.key, float("nan")) * column.scale) for s in sides]
            table.add_row(column.title, *cells)
    Console(width=100).print(table)


def _show(report: EvaluationReport) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"concept recall of {report.model} ({report.model_hash})")
    table.add_column("prompts", no_wrap=True)
    for name in ("count", "top-1", "top-5", "ceiling", "floor", "of ceiling"):
        table.add_column(name, justify="right", no_wrap=True)
    for group in report.groups:
        recall, ceiling, floor = group.recall, group.ceiling, group.floor
        table.add_row(
            f"{group.language}, {'claimed' if group.claimed else 'not claimed'}",
            str(group.prompts),
            *(
                f"{share.value:.1%} ({share.low:.0%} to {share.high:.0%})"
                for share in (recall.top1, recall.top5)
            ),
            f"{ceiling.top1.value:.1%} / {ceiling.top5.value:.1%}",
            f"{floor.top1.value:.1%} / {floor.top5.value:.1%}",
            f"{group.of_ceiling['top5']:.1%}",
        )
    console = Console(width=120)
    console.print(table)
    copies = report.copies
    console.print(
        f"copies: {copies['copy_rate']:.1%} of {copies['count']:.0f} pictures of new things; "
        f"searched among {report.searched}: {report.gallery_icons} icons of "
        f"{report.gallery_concepts} concepts; {report.seconds:.0f} s",
        markup=False,
        highlight=False,
    )
