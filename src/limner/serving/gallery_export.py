"""Pictures of the gallery as a store that one can train on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Unpack

from limner.data.pack import PackOptions, pack_items
from limner.data.pictures import Cleaning
from limner.data.readers import SourceEntry
from limner.data.store import Caption, Store
from limner.data.writer import Writing
from limner.errors import DataError
from limner.serving.gallery import Gallery
from limner.serving.gallery_tables import GalleryPicture

_UNKNOWN_LANGUAGE = "und"  # BCP 47


def export(
    gallery: Gallery,
    rows: Iterable[GalleryPicture],
    out: Path,
    *,
    size: int = 256,
    **how: Unpack[Writing],
) -> Store:
    """Pack pictures, their prompts as captions.

    Args:
        gallery: holds the files.
        rows: the pictures.
        out: the store to make.
        size: of its pictures, in pixels; the middle square of pictures of another shape.
        how: see :func:`limner.data.pack.pack`.

    Raises:
        DataError: there is no picture, or the store cannot be written.
    """
    entries = [
        SourceEntry(
            row.id, gallery.path(row), (Caption(row.prompt, _UNKNOWN_LANGUAGE),), _facts(row)
        )
        for row in rows
    ]
    if not entries:
        raise DataError("there is no such picture in the gallery, so no store was made")
    identity = {"gallery": str(gallery.files), "pictures": [entry.key for entry in entries]}
    options = PackOptions(cleaning=Cleaning(size=size), workers=1)
    return pack_items(entries, out, options, identity, total=len(entries), **how)


def _facts(row: GalleryPicture) -> dict[str, str | int]:
    facts: dict[str, str | int] = {"id": row.id, "model": row.model, "seed": row.seed}
    style = row.record["settings"].get("style")
    return facts | ({"style": style} if style else {})
