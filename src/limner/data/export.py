"""Stores written as folders that other programs read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from PIL import Image

from limner.data.store import Store
from limner.data.tree import sidecar_path
from limner.errors import DataError
from limner.files import json_text, make_folder, whole_file, write_text
from limner.vision.images import png_bytes

Layout = Literal["folder", "jsonl"]
_LISTING = "metadata.jsonl"
_PICTURES_A_FOLDER = 1000


def export(
    store: Store,
    out: Path,
    layout: Layout = "folder",
    *,
    on_progress: Callable[[], None] | None = None,
) -> int:
    """Write the pictures of a store as PNGs with their captions; ``limner data pack`` reads both.

    Args:
        store: to be written.
        out: a folder, which is made; of a thousand pictures each in its subfolders.
        layout: ``folder`` for text files beside the pictures, a caption a line and a file for each
            language (``00042.png``, ``00042.txt``, ``00042.zh.txt``); ``jsonl`` for a listing,
            ``metadata.jsonl``, as the hub's ``datasets`` reads it, with captions, their languages
            and the store's metadata.
        on_progress: called after every picture.

    Returns:
        How many pictures were written.

    Raises:
        DataError: the folder is not empty or cannot be written, or the store is damaged.
    """
    if out.is_dir() and any(out.iterdir()):
        raise DataError(f"{out} is not empty; name a new folder for the pictures")
    make_folder(out, DataError)
    digits = len(str(max(len(store) - 1, 0)))
    lines = []
    for number in range(len(store)):
        path = out / f"{number // _PICTURES_A_FOLDER:03}" / f"{number:0{digits}}.png"
        with whole_file(path, DataError) as part:
            part.write_bytes(png_bytes(Image.fromarray(store.images[number])))
        captions = store.captions(number)
        if layout == "folder":
            by_language: dict[str, list[str]] = {}
            for caption in captions:
                by_language.setdefault(caption.lang, []).append(caption.text)
            for lang, texts in by_language.items():
                beside = sidecar_path(path, "" if lang == "en" else lang)
                write_text(beside, "\n".join(texts) + "\n", DataError)
        else:
            own = {key: value for key, value in store.metadata(number).items() if key != "text"}
            row = {
                "file_name": path.relative_to(out).as_posix(),
                "text": [caption.text for caption in captions],
                "lang": [caption.lang for caption in captions],
            }
            lines.append(json_text(own | row) + "\n")
        if on_progress is not None:
            on_progress()
    if layout == "jsonl":
        write_text(out / _LISTING, "".join(lines), DataError)
    return len(store)
