"""``limner edit``: inpainting, outpainting, and editing by instructions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from limner.cli.caption import caption_of
from limner.cli.options import (
    CountOption,
    DrawingCommand,
    JsonOption,
    LoadOptions,
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

_NUMBERS = 4


def register(app: typer.Typer) -> None:
    """Add this group's command."""
    app.command(cls=DrawingCommand)(with_groups(edit))


def edit(
    context: typer.Context,
    picture: Annotated[Path, typer.Argument(help="A picture file; it is not changed.")],
    *,
    mask: Annotated[
        Path | None,
        typer.Option(
            help="Mask of the same size; its transparent pixels, or else its white ones, are "
            "replaced."
        ),
    ] = None,
    box: Annotated[
        str | None,
        typer.Option(metavar="X,Y,W,H", help="Rectangle to replace, in pixels."),
    ] = None,
    outpaint: Annotated[
        str | None,
        typer.Option(metavar="L,T,R,B", help="Pixels to add at the left, top, right and bottom."),
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(
            help="What to draw there, or what the whole picture shows [default: the prompt in its "
            "record, or else a caption]."
        ),
    ] = None,
    instructions: Annotated[
        list[str] | None,
        typer.Option(
            "--say",
            metavar="TEXT",
            help="Change the plan of a picture that limner drew: 'make the cat blue', 'add a hat', "
            "'remove the dog', 'at night'. May be given several times.",
        ),
    ] = None,
    n: CountOption = 1,
    seed: SeedOption = None,
    files: OutputOptions,
    as_json: JsonOption = False,
    use: LoadOptions,
) -> None:
    """Inpaint or extend a picture, or edit it by instructions.

    All other pixels stay identical. The shipped model continues what is around the hole and, with
    --prompt, draws things into it; other models need a prompt for the whole picture. With --say the
    plan of a drawing is edited; whatever the instructions do not mention stays as it is.

    Examples:
        limner edit cat.png --box 20,20,80,60 --prompt "a red hat"
        limner edit photo.jpg --mask mask.png --out clean.png
        limner edit heart.png --outpaint 64,0,64,0
        limner edit cat.png --say "make the cat blue" --say "add a hat"
    """
    rectangle, margins = _numbers("--box", box), _numbers("--outpaint", outpaint)
    output = files.output_beside(picture, total=n)
    options = drawing_options(context)
    if instructions:
        others = options | {"mask": mask, "box": box, "outpaint": outpaint, "prompt": prompt,
                            "seed": seed, "tile": use.tile, "n": n if n != 1 else None}  # fmt: skip
        named = [f"--{name}" for name, value in others.items() if value is not None]
        if named:
            raise UsageError(
                "--say changes what the picture's own record says; leave "
                f"{', '.join(named)} out".replace("_", "-")
            )
        from limner.generation.replay import edit_file

        drawn = edit_file(picture, instructions, use.model, device=use.device, threads=use.threads)
        write_changed(output, [drawn], as_json)
        return
    if sum(each is not None for each in (mask, rectangle, margins)) != 1:
        raise UsageError(
            "give exactly one of --mask, --box and --outpaint, or with --say what to change in a "
            "drawing"
        )
    from limner.generation.inpainting import MaskedPicture

    masked = MaskedPicture.open(
        picture, mask=mask, box=rectangle, outpaint=margins, inserts=prompt is not None
    )

    generator = use.load()
    words = prompt or _shown(picture, matters=not generator.model.draws_training_pictures)
    with drawing_progress(use.model, n) as on_progress:
        pictures = generator.inpaint(
            masked, words, n=n, seed=seed, on_progress=on_progress, **options
        )
    write_changed(output, pictures, as_json)


def _numbers(name: str, text: str | None) -> list[int] | None:
    """Four numbers with commas between them; None for no text."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != _NUMBERS or not all(part.removeprefix("-").isdecimal() for part in parts):
        raise UsageError(f"{name} takes four whole numbers with commas between them, not {text!r}")
    return [int(part) for part in parts]


def _shown(picture: Path, *, matters: bool) -> str:
    """What a picture shows, by its own record, else by the captioner if it matters."""
    from limner.generation.prompts import ANY_PICTURE
    from limner.generation.records import read_record

    try:
        return read_record(picture).prompt
    except DataError:
        if not matters:
            return ANY_PICTURE
    from limner.generation.inpainting import read_pixels

    pixels = read_pixels(picture)[..., :3]
    return caption_of(picture, pixels, advice="; say what it shows with --prompt")
