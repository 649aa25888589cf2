"""``limner index``, ``search`` and ``classify``: pictures and words in one space."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from limner.cli import print_json, printable, say
from limner.cli.options import DeviceOption, JsonLinesOption, JsonOption, QuietOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from limner.reading.search import Hit, PictureIndex


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    for command in (index, search, classify):
        app.command()(command)


_Aligner = Annotated[
    str,
    typer.Option(
        help="The model that maps pictures and texts to one space: a model file, a run folder, "
        "hf:PATH_OR_ID (CLIP or SigLIP), or shipped."
    ),
]


def index(
    source: Annotated[Path, typer.Argument(help="A folder of pictures, or a packed store.")],
    *,
    out: Annotated[Path, typer.Option(help="The index to make or bring up to date, a folder.")],
    aligner: _Aligner = "shipped",
    device: DeviceOption = "cpu",
    quiet: QuietOption = False,
) -> None:
    """Index pictures for limner search.

    Running it again encodes only new and changed pictures. Unreadable files are reported.
    The shipped aligner knows icons and flat drawings of common things; for photographs name a CLIP
    or SigLIP model with --aligner hf:PATH_OR_ID.
    """
    from limner.progress import progress
    from limner.reading.aligner import load_aligner
    from limner.reading.search import build_index

    network = load_aligner(aligner, device=device)
    with progress(None, "encoding", quiet, unit="pictures") as bar:
        made = build_index(source, out, network, bar.reach)
    skipped = made.header.skipped
    typer.echo(f"{made.header.count:,} pictures in {out}")
    for name, reason in list(skipped.items())[:10]:
        typer.echo(f"left out: {printable(name)}: {reason}", err=True)
    if len(skipped) > 10:
        typer.echo(f"left out: {len(skipped) - 10:,} more, see {out / 'index.json'}", err=True)


def search(
    where: Annotated[Path, typer.Argument(metavar="INDEX", help="Made by limner index.")],
    text: Annotated[str | None, typer.Argument(help="Words, in any language.")] = None,
    *,
    image: Annotated[
        Path | None, typer.Option(help="Search by a picture instead of words.")
    ] = None,
    count: Annotated[
        int, typer.Option("-n", "--count", min=1, max=1000, help="Number of results.")
    ] = 12,
    out: Annotated[
        Path | None, typer.Option(help="Write a contact sheet of what was found to this PNG.")
    ] = None,
    as_json: JsonOption = False,
    aligner: Annotated[
        str | None,
        typer.Option(help="Where the aligner is now [default: where it was when indexing]."),
    ] = None,
    device: DeviceOption = "cpu",
) -> None:
    """Find indexed pictures by words, or by a picture.

    A warning says if the best score is below what true matches reach with the shipped aligner.
    """
    from dataclasses import asdict

    from limner.errors import UsageError
    from limner.reading.aligner import load_aligner
    from limner.reading.search import WEAK_MATCH, PictureIndex, read_header
    from limner.shipped import SHIPPED

    if (text is None) == (image is None):
        raise UsageError("say what to look for: either some words, or --image PICTURE")
    header = read_header(where)
    opened = PictureIndex(where, load_aligner(aligner or header.aligner, device=device))
    if image is not None:
        hits = opened.by_picture(image, count)
    else:
        hits = opened.by_text(text or "", count)
        if header.aligner == SHIPPED and hits and hits[0].score < WEAK_MATCH:
            say("warning", f"the best score, {hits[0].score:.3f}, is lower than matches usually "
                f"have ({WEAK_MATCH}): probably no picture shows this, or the aligner, which knows "
                f"icons and flat drawings, does not know it")  # fmt: skip
    if out is not None:
        _write_sheet(opened, hits, out)
    if as_json:
        print_json([asdict(hit) for hit in hits])
        return
    for hit in hits:
        typer.echo(f"{hit.score:6.3f}  {printable(hit.name)}  {printable(hit.caption)}".rstrip())


def classify(
    pictures: Annotated[list[Path], typer.Argument(help="Picture files.")],
    *,
    names: Annotated[
        list[str],
        typer.Option(
            "--as", metavar="TEXT", help="What a picture may show; give it for each possibility."
        ),
    ],
    aligner: _Aligner = "shipped",
    as_json: JsonLinesOption = False,
    device: DeviceOption = "cpu",
) -> None:
    """Classify pictures by the texts that match them best.

    Prints for each text its probability, assuming that one of them is right, and its cosine
    similarity to the picture. If a picture cannot be read, the others are classified, and the exit
    code is 2.
    """
    from limner.errors import DataError
    from limner.reading.aligner import load_aligner
    from limner.reading.search import classify as match

    network = load_aligner(aligner, device=device)
    failed = []
    for picture in pictures:
        try:
            found = match(network, picture, names)
        except DataError as error:
            failed.append(error)
            if len(pictures) > 1:
                say("warning", error)
            continue
        if as_json:
            rows = [each._asdict() for each in found]
            print_json({"picture": str(picture), "texts": rows}, indent=None)
            continue
        if len(pictures) > 1:
            typer.echo(f"{printable(picture)}:")
        for each in found:
            typer.echo(f"{each.chance:6.1%}  {each.score:6.3f}  {printable(each.text)}")
    if failed:
        count = f"{len(failed)} of {len(pictures)} pictures could not be classified"
        raise failed[0] if len(pictures) == 1 else DataError(count)


def _write_sheet(opened: PictureIndex, hits: Sequence[Hit], out: Path) -> None:
    from limner.generation.files import write_image
    from limner.generation.sheets import grid

    captions = [hit.caption or hit.name for hit in hits]
    write_image(grid(opened.pictures(hits), captions=captions), out, {})
