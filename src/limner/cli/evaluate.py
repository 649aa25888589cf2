"""``limner evaluate``: how well a model draws what it is asked for."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from limner.metrics.report import EvaluationReport


def register(app: typer.Typer) -> None:
    """Add this group's command."""
    app.command()(evaluate)


def evaluate(
    model: Annotated[
        Path | None, typer.Argument(help="Model file or run folder [default: the shipped model].")
    ] = None,
    *,
    data: Annotated[
        Path, typer.Option(help="Store of real icons, as made by 'limner data icons'.")
    ],
    languages: Annotated[str, typer.Option(help="Languages of the prompts.")] = "en,zh",
    seeds: Annotated[int, typer.Option(help="Pictures per prompt.")] = 1,
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
    """Measure how often a picture shows what was asked for.

    Draws 500 fixed prompts per language. A picture counts if it looks most like real icons of
    its concept. Prints this recall, its ceiling (real icons) and its floor (shuffled prompts),
    apart for concepts that the model's card claims and others.
    """
    from limner.cli.progress import progress
    from limner.data.store import Store
    from limner.metrics.evaluate import Options, picture_count
    from limner.metrics.evaluate import evaluate as measure
    from limner.metrics.evaluate import write_card as put_into_card
    from limner.studio.generator import find_model, load

    wanted = tuple(code.strip() for code in languages.split(",") if code.strip())
    path = find_model(model)
    command = f"limner evaluate {shlex.quote(path.name)} --data {shlex.quote(data.name)}"
    command += f" --languages {','.join(wanted)} --seeds {seeds}"
    options = Options(wanted, seeds, samples_dir, command)
    store = Store.open(data)
    generator = load(path, device=device, threads=threads)
    with progress(picture_count(options), "drawing", quiet, unit="pictures") as bar:
        report = measure(generator, store, options, bar.advance)
    if out is not None:
        report.write(out)
    if write_card:
        put_into_card(path, report)
    if as_json:
        print(json.dumps(report.model_dump(mode="json"), ensure_ascii=False, indent=1))
    else:
        _show(report)


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
