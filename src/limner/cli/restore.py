"""``limner restore``: noise, blur, JPEG and more taken out of pictures."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from limner.cli import print_json, printable
from limner.cli.options import DeviceOption, JsonOption, QuietOption, ThreadsOption
from limner.errors import DataError, UsageError
from limner.generation.formats import PictureFormat, format_of


def register(app: typer.Typer) -> None:
    """Add this group's command."""
    app.command()(restore)


def restore(
    pictures: Annotated[list[Path], typer.Argument(help="Picture files; they stay as they are.")],
    *,
    task: Annotated[
        str,
        typer.Option(
            help="denoise, deblur, deblock (JPEG), upscale or colorize; auto removes what it sees, "
            "and says what that was, but colours nothing."
        ),
    ] = "auto",
    scale: Annotated[
        int | None, typer.Option(help="2 or 4 to enlarge, too [default: 2 with --task upscale].")
    ] = None,
    prompt: Annotated[
        str | None, typer.Option(metavar="CAPTION", help="What the pictures show.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="A .png, .webp or .jpg name that is not taken, or a folder "
            "[default: NAME-restored.png in the current folder]."
        ),
    ] = None,
    quality: Annotated[
        int | None,
        typer.Option(min=1, max=100, help="Of JPEG [default: 92]; of WebP [default: lossless]."),
    ] = None,
    as_json: JsonOption = False,
    model: Annotated[
        Path | None,
        typer.Option(help="Model file or run folder [default: the shipped restorer]."),
    ] = None,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
    quiet: QuietOption = False,
) -> None:
    """Remove noise, blur and JPEG artefacts from pictures.

    Also enlarges pictures and colours grey ones.

    Prints each file that it writes and what it removed. No file is ever overwritten.
    """
    is_folder = out is not None and (out.is_dir() or not out.suffix)
    if out is not None and not is_folder:
        if format_of(out) is PictureFormat.SVG:
            raise UsageError(
                f"a restored picture is no drawing of shapes: write {out.name!r} as .png"
            )
        if len(pictures) > 1:
            raise UsageError(f"{len(pictures)} pictures do not fit in {out.name}: name a folder")
        if out.exists():
            raise UsageError(f"{out} is there already, and is not replaced; choose another name")
    if quality is not None and (is_folder or out is None or out.suffix.lower() == ".png"):
        raise UsageError("PNG has no quality: leave --quality out, or name a .jpg or .webp file")
    from limner.generation.picture_folder import write_new
    from limner.generation.restoring import Restorer
    from limner.progress import progress

    restorer, entries = Restorer(model, device=device, threads=threads), []
    for picture in pictures:
        with progress(None, "restoring", quiet, unit="tiles") as bar:
            found = restorer.restore(
                picture, task, scale=scale, prompt=prompt, on_progress=bar.reach
            )
        write = partial(found.save, exclusive=True, quality=quality)
        if out is not None and not is_folder:
            try:
                path = write(out)
            except FileExistsError as error:
                raise DataError(f"{out} was written by another program meanwhile") from error
        elif out is not None:
            path = write_new(write, out, picture.stem)
        else:
            path = write_new(write, Path(), f"{picture.stem}-restored")
        entry = {"path": path.as_posix(), "source": str(picture), "removed": found.removed.given}
        entries.append(entry)
        if not as_json:
            print(f"{printable(path)}\t{found.summary}", flush=True)
    if as_json:
        print_json(entries)
