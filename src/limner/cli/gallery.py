"""``limner gallery``: pictures that the server has drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from limner.cli import print_json, printable
from limner.cli.options import (
    GalleryOptions,
    JsonOption,
    KeepBytesOption,
    KeepDaysOption,
    with_groups,
)

if TYPE_CHECKING:
    from limner.serving.gallery_tables import GalleryPicture

_User = Annotated[
    str | None, typer.Option(help="Only pictures of this user [default: everybody's].")
]
_Liked = Annotated[bool, typer.Option("--liked", help="Only pictures with a thumb up.")]
_Count = Annotated[int, typer.Option("-n", "--count", min=1, max=100, help="Number of results.")]


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    group = typer.Typer(
        help="List, search, show, export and prune what the server has drawn.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command("list")(with_groups(list_pictures))
    for command in (search, show, export, prune):
        group.command()(with_groups(command))
    app.add_typer(group, name="gallery")


def list_pictures(
    *,
    place: GalleryOptions,
    user: _User = None,
    liked: _Liked = False,
    count: _Count = 20,
    as_json: JsonOption = False,
) -> None:
    """List the newest pictures."""
    found = place.open().find(user, liked=liked, limit=count)
    _print(found, as_json)


def search(
    text: Annotated[str | None, typer.Argument(help="Words, in any language.")] = None,
    *,
    image: Annotated[
        Path | None, typer.Option(help="A picture instead of words: what is most like it.")
    ] = None,
    place: GalleryOptions,
    user: _User = None,
    liked: _Liked = False,
    count: _Count = 20,
    as_json: JsonOption = False,
) -> None:
    """Find pictures by words, or by a picture.

    Words match anywhere in the prompt or in what was drawn for it, also inside other words. The
    first search by a picture indexes all files, as limner index does; later ones only new files.
    """
    from limner.errors import UsageError

    if (text is None) == (image is None):
        raise UsageError("say what to look for: either some words, or --image PICTURE")
    opened = place.open()
    if image is not None:
        found = opened.similar(image, user, liked=liked, limit=count)
    else:
        found = opened.find(user, query=text or "", liked=liked, limit=count)
    _print(found, as_json)


def show(
    name: Annotated[str, typer.Argument(metavar="ID", help="Of the picture.")],
    *,
    place: GalleryOptions,
) -> None:
    """Print what is known of a picture as JSON."""
    opened = place.open()
    row = opened.get(name)
    print_json({"file": str(opened.path(row))} | row.model_dump(exclude={"words"}))


def export(
    *,
    out: Annotated[Path, typer.Option(help="The store to make.")],
    place: GalleryOptions,
    user: _User = None,
    liked: _Liked = False,
    query: Annotated[str, typer.Option(help="Only pictures of these words.")] = "",
    size: Annotated[int, typer.Option(min=8, max=4096, help="Pixels a side.")] = 256,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a store at this place.")
    ] = False,
) -> None:
    """Pack pictures into a store to train on.

    Captions are the prompts.

    Examples:
        limner gallery export --liked --out stores/liked
    """
    from limner.serving.gallery_export import export as write

    opened = place.open()
    rows = opened.all(user, query=query, liked=liked)
    store = write(opened, rows, out, size=size, overwrite=overwrite)
    typer.echo(f"{store.path}: {len(store):,} pictures of {store.size}x{store.size}")


def prune(
    *,
    place: GalleryOptions,
    keep_days: KeepDaysOption = None,
    keep_bytes: KeepBytesOption = None,
) -> None:
    """Delete pictures that are too old, and the oldest of too many.

    Pictures with a thumb up never count as too old, and are deleted last.
    """
    from limner.errors import UsageError

    if keep_days is None and keep_bytes is None:
        raise UsageError("say what is to be kept: --keep-days, --keep-bytes, or both")
    opened = place.open()
    opened.sweep()
    typer.echo(f"{opened.prune(keep_days=keep_days, keep_bytes=keep_bytes):,} pictures forgotten")


def _print(rows: list[GalleryPicture], as_json: bool) -> None:
    if as_json:
        print_json([row.model_dump(exclude={"words"}) for row in rows])
        return
    for row in rows:
        thumb = {1: "+", -1: "-"}.get(row.thumb, " ")
        size = f"{row.width}x{row.height}"
        typer.echo(f"{row.id} {thumb} {size:>9} seed {row.seed}  {printable(row.prompt)}")
