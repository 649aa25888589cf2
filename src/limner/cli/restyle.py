"""``limner restyle`` and ``limner vary``: pictures are changed, from a touch to a new drawing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from limner.cli.caption import caption_of
from limner.cli.options import (
    ChangingCommand,
    CountOption,
    JsonOption,
    LoadOptions,
    ReferenceOption,
    SeedOption,
    drawing_options,
    with_groups,
)
from limner.cli.output import (
    OutputOptions,
    drawing_progress,
    write_changed,
)
from limner.errors import DataError, UsageError

if TYPE_CHECKING:
    from limner.generation.records import Record
    from limner.generation.source_pictures import SourcePicture

_Picture = Annotated[Path, typer.Argument(help="A picture file; it is not changed.")]
_TOUCH, _HALF, _VARIATIONS = 0.3, 0.5, 4


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(cls=ChangingCommand)(with_groups(vary))
    app.command(cls=ChangingCommand)(with_groups(restyle))


def vary(
    context: typer.Context,
    picture: _Picture,
    *,
    n: Annotated[
        int | None,
        typer.Option(
            "--n",
            "-n",
            min=1,
            help="Pictures: seeds SEED, SEED+1, … [default: 4, and 1 where --out names a file].",
        ),
    ] = None,
    seed: SeedOption = None,
    files: OutputOptions,
    as_json: JsonOption = False,
    use: LoadOptions,
) -> None:
    """Draw variations of a picture.

    The prompt and style of a picture that limner drew come from its record; other pictures are
    captioned, and keep their style. --strength sets how far the variations go [default: 0.3].

    Examples:
        limner vary cat.png -n 4 --out cats/
        limner vary photo.jpg --strength 0.7
    """
    n = n or (1 if files.names_file else _VARIATIONS)
    output = files.output_beside(picture, total=n)
    options = drawing_options(context)
    if options["strength"] is None:
        options["strength"] = _TOUCH
    source, record = _opened(picture, draws=True, keeps_style=True)

    generator = use.load()
    reference = None
    if record is not None:
        words = record.prompt
        if record.settings.style in generator.styles and options["style"] is None:
            options["style"] = record.settings.style
    else:
        words = caption_of(picture, source.pixels)
        if generator.model.draws_training_pictures and options["style"] is None:
            reference = picture
    with drawing_progress(use.model, n) as on_progress:
        drawn = generator.restyle(
            source, words, n=n, seed=seed, reference=reference, on_progress=on_progress, **options
        )
    write_changed(output, drawn, as_json)


def restyle(
    context: typer.Context,
    picture: _Picture,
    *,
    prompt: Annotated[
        str | None,
        typer.Option(
            help="What the result shows [default: the prompt in the picture's record or a caption; "
            "the shipped model then changes only the style]."
        ),
    ] = None,
    reference: ReferenceOption = None,
    n: CountOption = 1,
    seed: SeedOption = None,
    files: OutputOptions,
    as_json: JsonOption = False,
    use: LoadOptions,
) -> None:
    """Change a picture by words, by a style or by another picture.

    --strength goes from 0, the picture as the model reconstructs it, to 1, a new drawing [default:
    0.5].

    Examples:
        limner restyle photo.jpg --style "line drawing" --strength 1
        limner restyle apple.png --prompt "a car" --strength 0.5
        limner restyle cat.png --reference palette.png
    """
    output = files.output_beside(picture, total=n)
    options = drawing_options(context)
    if options["strength"] is None:
        options["strength"] = _HALF
    if prompt is None and options["style"] is None and reference is None:
        raise UsageError("say what to change: give --prompt, --style or --reference")
    source, record = _opened(picture, draws=prompt is not None)

    generator = use.load()
    if prompt is None and not generator.model.draws_training_pictures:
        prompt = caption_of(picture, source.pixels) if record is None else record.prompt
    with drawing_progress(use.model, n) as on_progress:
        drawn = generator.restyle(
            source, prompt, n=n, seed=seed, reference=reference, on_progress=on_progress, **options
        )
    write_changed(output, drawn, as_json)


def _opened(
    picture: Path, *, draws: bool, keeps_style: bool = False
) -> tuple[SourcePicture, Record | None]:
    """A picture and its record, if it has one."""
    from limner.generation.records import read_record
    from limner.generation.source_pictures import SourcePicture

    source = SourcePicture.open(picture, draws=draws, keeps_style=keeps_style)
    try:
        return source, read_record(picture)
    except DataError:
        return source, None
