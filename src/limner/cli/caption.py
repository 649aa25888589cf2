"""``limner caption``: captions of pictures."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from limner.cli import printable, say
from limner.cli.options import BaseUrlOption, DeviceOption, JsonLinesOption, QuietOption

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from limner.reading.captions import Captioner, CaptionFile, FoundPictures


def register(app: typer.Typer) -> None:
    """Add this group's command."""
    app.command()(caption)


def caption(
    paths: Annotated[list[Path], typer.Argument(help="Pictures, and folders of pictures.")],
    *,
    captioner: Annotated[
        str,
        typer.Option(
            "--captioner",
            "--model",
            help="A model file or run folder; hf:PATH_OR_ID, an image-to-text model of "
            "transformers; openai:MODEL, a model behind an OpenAI-compatible endpoint, its key in "
            "OPENAI_API_KEY; or 'shipped'.",
        ),
    ] = "shipped",
    base_url: BaseUrlOption = None,
    lang: Annotated[
        str | None,
        typer.Option(
            help="Language, such as en or zh [default: en if the captioner has it, else any]."
        ),
    ] = None,
    n: Annotated[int, typer.Option("-n", "--n", min=1, max=50, help="Captions a picture.")] = 1,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Add a line a picture to this JSONL file; a picture that has one for the same "
            "file, captioner, language and count is skipped."
        ),
    ] = None,
    sidecars: Annotated[
        bool,
        typer.Option("--sidecars", help="Write a .txt beside each picture without one."),
    ] = False,
    as_json: JsonLinesOption = False,
    device: DeviceOption = "cpu",
    quiet: QuietOption = False,
) -> None:
    """Caption pictures in the language asked for.

    With --out or --sidecars, an interrupted folder is resumed: pictures that have the captions are
    skipped. Pictures that cannot be read are reported and skipped; if one was named on the command
    line, or none could be captioned, the exit code is 2.
    """
    from contextlib import nullcontext

    from limner.errors import DataError, UsageError
    from limner.progress import progress
    from limner.reading.captions import (
        CaptionFile,
        caption_picture,
        find_pictures,
        load_captioner,
        write_sidecar,
    )

    if lang is not None and not re.fullmatch(r"[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*", lang):
        raise UsageError(f"{lang!r} is no language code; write one such as en, zh or pt-BR")
    found = find_pictures(paths, lang, sidecars=sidecars)
    captions = None if out is None else CaptionFile(out)
    network = load_captioner(captioner, device=device, base_url=base_url)
    jobs = list(_jobs(found, network, captions, lang=lang, n=n, sidecars=sidecars))
    for path, reason in found.problems.items():
        _left_out(path, reason)
    hidden = quiet or len(jobs) < 2
    several = len(paths) > 1 or len(found.pictures) > 1
    failed = []
    with captions or nullcontext(), progress(len(jobs), "captioning", hidden, "pictures") as bar:
        for job in jobs:
            made = caption_picture(network, job.picture, lang, n)
            problem = made.problem
            if captions is not None and job.line:
                captions.add(made)
            if job.sidecar and not problem:
                problem = write_sidecar(made)
            if problem:
                failed.append(job.picture)
                _left_out(job.picture, problem)
            elif as_json:
                typer.echo(made.to_json())
            elif captions is None and not sidecars:
                for each in made.captions:
                    line = f"{printable(job.picture)}\t{each.text}" if several else each.text
                    typer.echo(line)
            bar.advance()
    if failed and (len(failed) == len(found.pictures) or found.named & set(failed)):
        raise DataError(f"{len(failed)} of {len(jobs)} pictures could not be captioned")


class _Job(NamedTuple):
    """A picture to caption, and whether that gives a line of the file, and a sidecar."""

    picture: Path
    line: bool
    sidecar: bool


def _jobs(
    found: FoundPictures,
    network: Captioner,
    captions: CaptionFile | None,
    *,
    lang: str | None,
    n: int,
    sidecars: bool,
) -> Iterator[_Job]:
    """The pictures that lack what they are to get; where that is nothing, all of them."""
    from limner.reading.captions import request_of

    for picture in found.pictures:
        listed = captions and (picture, request_of(network, picture, lang, n)) in captions
        line, text = captions is not None and not listed, picture not in found.captioned
        if line or (sidecars and text) or (captions is None and not sidecars):
            yield _Job(picture, line, sidecars and text)


def _left_out(path: Path, reason: str) -> None:
    typer.echo(f"left out: {printable(path)}: {reason}", err=True)


def caption_of(picture: Path, pixels: NDArray[np.uint8], advice: str = "") -> str:
    """What a picture shows by the captioner, which is said on stderr.

    Args:
        picture: its file, for the message.
        pixels: ``(H, W, 3)`` uint8.
        advice: what is said besides.
    """
    from limner.reading.captions import load_captioner

    found = load_captioner().caption(pixels)[0].text
    say("note", f"{picture} is taken for {found!r}{advice}")
    return found
