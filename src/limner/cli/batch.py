"""``limner batch``: thousands of jobs from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from limner.cli.options import (
    DrawingCommand,
    JsonOption,
    LoadOptions,
    QuietOption,
    drawing_options,
    with_groups,
)
from limner.cli.output import FormatOption, tell_report
from limner.generation.formats import PictureFormat


def register(app: typer.Typer) -> None:
    """Add this group's command."""
    app.command(cls=DrawingCommand)(with_groups(batch))


def batch(
    context: typer.Context,
    jobs: Annotated[
        str,
        typer.Argument(
            metavar="JOBS",
            help="JSON lines, a .csv with a header, or one prompt a line; - is stdin.",
        ),
    ],
    *,
    out: Annotated[
        Path, typer.Option(help="Folder for the pictures, a manifest, and failed.jsonl.")
    ],
    seed: Annotated[
        int | None,
        typer.Option(help="Seed of each job's first picture [default: derived from the job]."),
    ] = None,
    kind: FormatOption = None,
    as_json: JsonOption = False,
    use: LoadOptions,
    quiet: QuietOption = False,
) -> None:
    """Draw a file of jobs, and resume it when interrupted.

    A job is a line such as {"prompt": "a cat", "n": 2, "seed": 7, "style": "noto"} or
    {"picture": "dog.png", "box": [10, 10, 80, 80], "prompt": "a hat"}; it may
    have any drawing option, a model, a reference, an id for its files, or restore with a task.
    Give the same command again to resume an interrupted run; finished pictures are not drawn
    again. Jobs that fail are in failed.jsonl, the others are drawn, and the exit code is then 2.
    """
    from limner.generation.lists import read_source, source_name

    text, options = read_source(jobs), drawing_options(context)
    from limner.generation.batch import Batch, read_jobs
    from limner.generation.restoring import Restorer
    from limner.progress import progress

    folder = Path() if jobs == "-" else Path(jobs).parent
    found = read_jobs(text, source_name(jobs), folder, seed=seed, **options)
    drawing = Batch(
        found, out, kind=kind or PictureFormat.PNG,
        load=use.load,
        restorer=lambda name: Restorer(name, device=use.device, threads=use.threads),
    )  # fmt: skip
    with progress(None, "drawing", quiet, unit="pictures") as bar:
        report = drawing.run(bar.reach)
    tell_report(report, out, source_name(jobs), of="jobs", shown=3, as_json=as_json)
