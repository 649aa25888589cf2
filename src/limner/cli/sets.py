"""``limner set``: a list of names as a consistent set of drawings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from limner.cli import say
from limner.cli.options import (
    DrawingCommand,
    JsonOption,
    LoadOptions,
    QuietOption,
    drawing_options,
    with_groups,
)
from limner.cli.output import FormatOption, tell_report
from limner.errors import UsageError
from limner.generation.formats import PictureFormat


def register(app: typer.Typer) -> None:
    """Add this group's command."""
    app.command("set", cls=DrawingCommand)(with_groups(draw_set))


def draw_set(
    context: typer.Context,
    names: Annotated[
        str, typer.Argument(metavar="NAMES", help="A file with one name a line; - is stdin.")
    ],
    *,
    out: Annotated[Path, typer.Option(help="Folder for the pictures, a manifest and a sheet.")],
    palette: Annotated[
        str | None,
        typer.Option(
            metavar="COLOURS",
            help="Colours of all drawings, such as '#264653,#e9c46a' [default: the style's own].",
        ),
    ] = None,
    outline: Annotated[
        float | None,
        typer.Option(
            help="Width of the outline as a share of the side, up to 0.2 [default: the style's own]"
        ),
    ] = None,
    avoid_duplicates: Annotated[
        bool,
        typer.Option(
            "--avoid-duplicates", help="Draw a name differently if it looks like an earlier one."
        ),
    ] = False,
    by_name: Annotated[
        bool, typer.Option("--by-name", help="Name the files after the names, not by line number.")
    ] = False,
    svg: Annotated[bool, typer.Option("--svg", help="Also write each picture as an SVG.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all pictures.")] = 0,
    kind: FormatOption = None,
    as_json: JsonOption = False,
    use: LoadOptions,
    quiet: QuietOption = False,
) -> None:
    """Draw a list of names in one style, palette and size.

    A name that the model has no drawing of in the --style is redrawn in it from another style. All
    get one size and one palette, and one line width if the style has lines. Give the same command
    again to resume an interrupted run. With --avoid-duplicates a name whose drawing looks like an
    earlier one is drawn from another style, with another seed or as the nearest known name, and
    that is reported. Names that cannot be drawn are in failed.jsonl, and the exit code is then 2.
    """
    options = drawing_options(context)
    style = options.pop("style")
    if not style:
        raise UsageError("a set has one style: name it with --style")
    from limner.generation.evening import read_palette
    from limner.generation.lists import read_source, source_name

    colours = None if palette is None else read_palette(palette)
    text = read_source(names)
    from limner.generation.set_folder import SetFolder, read_names
    from limner.generation.sets import SetOptions
    from limner.progress import progress

    asked = SetOptions(
        style, colours, outline, avoid_duplicates, seed,
        {name: value for name, value in options.items() if value is not None},
    )  # fmt: skip
    folder = Path() if names == "-" else Path(names).parent
    jobs = read_names(text, source_name(names), asked, folder, by_name=by_name)
    generator = use.load()
    generator.check_settings(jobs[0].settings)
    drawing = SetFolder(
        jobs, out, asked, load=lambda _: generator, kind=kind or PictureFormat.PNG
    )  # fmt: skip
    with progress(None, "drawing", quiet, unit="pictures") as bar:
        report = drawing.run(bar.reach)
    if svg:
        with progress(report.drawn + report.kept, "tracing", quiet, unit="pictures") as bar:
            for number, _ in enumerate(drawing.write_shapes(), 1):
                bar.reach(number, bar.total)
    sheet = drawing.write_sheet()
    for message in dict.fromkeys(drawing.messages):
        say("note", message)
    for name, note in drawing.notes:
        say("note", f"{name!r} {note}")
    tell_report(
        report, out, source_name(names), of="names", shown=1, as_json=as_json,
        notes=dict(drawing.notes), messages=drawing.messages,
        sheet=None if sheet is None else sheet.as_posix(),
    )  # fmt: skip
