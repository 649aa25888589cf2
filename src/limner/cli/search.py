"""``limner index``, ``search`` and ``classify``: pictures and words in one space."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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
        help="What maps pictures and words to one space: a model file, a run folder, "
        "hf:PATH_OR_ID, or shipped."
    ),
]
_Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, …")]


def index(
    source: Annotated[Path, typer.Argument(help="A folder of pictures, or a packed store.")],
    *,
    out: Annotated[Path, typer.Option(help="The index to make or bring up to date, a folder.")],
    aligner: _Aligner = "shipped",
    device: _Device = "cpu",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Look at pictures once, so that they can be found.

    Run again, it looks at new and changed pictures only. What cannot be read is left out and named.
    """
    from limner.progress import progress
    from limner.reading.aligner import load_aligner
    from limner.reading.search import build_index

    network = load_aligner(aligner, device=device)
    with progress(100.0, "looking", quiet, unit="%") as bar:
        made = build_index(
            source,
            out,
            network,
            lambda done, total: bar.advance(100 * done / total - bar.done),
        )
    skipped = made.head.skipped
    typer.echo(f"{made.head.count:,} pictures in {out}")
    for name, reason in list(skipped.items())[:10]:
        typer.echo(f"left out: {name}: {reason}", err=True)
    if len(skipped) > 10:
        typer.echo(f"left out: {len(skipped) - 10:,} more, see {out / 'index.json'}", err=True)


def search(
    where: Annotated[Path, typer.Argument(metavar="INDEX", help="Made by limner index.")],
    text: Annotated[str | None, typer.Argument(help="Words, in any language.")] = None,
    *,
    image: Annotated[
        Path | None, typer.Option(help="A picture instead of words: what is most like it.")
    ] = None,
    count: Annotated[int, typer.Option("-n", "--count", min=1, max=1000, help="How many.")] = 12,
    out: Annotated[
        Path | None, typer.Option(help="Write a contact sheet of what was found to this PNG.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    device: _Device = "cpu",
) -> None:
    """Find indexed pictures by words, or by a picture."""
    import json
    from dataclasses import asdict

    from limner.errors import UsageError
    from limner.reading.aligner import load_aligner
    from limner.reading.search import PictureIndex, read_head

    opened = PictureIndex(where, load_aligner(read_head(where).aligner, device=device))
    if text is not None and image is None:
        hits = opened.by_text(text, count)
    elif image is not None and text is None:
        hits = opened.by_picture(image, count)
    else:
        raise UsageError("say what to look for: either some words, or --image PICTURE")
    if out is not None:
        _sheet(opened, hits, out)
    if as_json:
        typer.echo(json.dumps([asdict(hit) for hit in hits], ensure_ascii=False, indent=1))
        return
    for hit in hits:
        typer.echo(f"{hit.score:6.3f}  {hit.name}  {hit.caption}".rstrip())


def classify(
    pictures: Annotated[list[Path], typer.Argument(help="Picture files.")],
    *,
    names: Annotated[
        list[str],
        typer.Option("--as", metavar="TEXT", help="What it may be; given for each possibility."),
    ],
    aligner: _Aligner = "shipped",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
    device: _Device = "cpu",
) -> None:
    """Say which of some texts go with pictures, and how well.

    Of each text the cosine with the picture is printed, and its chance if one of them is right.
    """
    import json

    from limner.reading.aligner import load_aligner
    from limner.reading.search import classify as ask

    network = load_aligner(aligner, device=device)
    for picture in pictures:
        found = ask(network, picture, names)
        if as_json:
            rows = [each._asdict() for each in found]
            typer.echo(json.dumps({"picture": str(picture), "texts": rows}, ensure_ascii=False))
            continue
        if len(pictures) > 1:
            typer.echo(f"{picture}:")
        for each in found:
            typer.echo(f"{each.chance:6.1%}  {each.score:6.3f}  {each.text}")


def _sheet(opened: PictureIndex, hits: Sequence[Hit], out: Path) -> None:
    from limner.errors import DataError
    from limner.files import whole_file
    from limner.generation.sheets import grid

    captions = [hit.caption or hit.name for hit in hits]
    with whole_file(out, DataError) as part:
        grid(opened.pictures(hits), captions=captions).save(part, format="PNG")
