"""Folders of pictures: names that nobody has taken, and a manifest of what was written."""

from __future__ import annotations

import itertools
import json
import os
import re
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.errors import DataError, UsageError
from limner.files import locked, make_folder, write_text
from limner.generation.files import write_picture
from limner.generation.formats import ENDINGS, PictureFormat

if TYPE_CHECKING:
    from limner.generation.picture import Picture
    from limner.generation.provenance import ContentSigner

MANIFEST = "manifest.jsonl"
_MAX_SLUG = 48


def slug(prompt: str) -> str:
    """A short file name out of a prompt in any language; letters and digits survive."""
    folded = unicodedata.normalize("NFKC", prompt).casefold()
    words = re.sub(r"[^\w]+", "-", folded, flags=re.UNICODE).strip("-_")
    while len(words.encode()) > _MAX_SLUG:
        words = words[:-1]
    return words.rstrip("-_") or "picture"


def write_new(write: Callable[[Path], Path], folder: Path, stem: str, ending: str = ".png") -> Path:
    """Write ``stem.png`` in a folder, or the first of ``stem-1.png``, … that is not taken.

    Several processes may do so at once: none replaces the file of another.

    Args:
        write: writes the path that it is given, and raises ``FileExistsError`` if it exists.
        folder: where to write.
        stem: the name without its ending.
        ending: of the format.
    """
    for count in itertools.count():
        path = folder / (f"{stem}-{count}{ending}" if count else f"{stem}{ending}")
        if not os.path.lexists(path):
            with suppress(FileExistsError):
                return write(path)
    raise AssertionError("the numbers have no end")


def entry_of(picture: Picture, path: Path, line: int | None = None) -> dict[str, Any]:
    """One JSON object of a manifest: path, line of the prompt file, prompt, seed, settings."""
    facts = {"prompt": picture.prompt, "seed": picture.seed, "model": picture.model}
    own = {"path": path.as_posix()} if line is None else {"path": path.as_posix(), "line": line}
    drawn_from = [each.model_dump() for each in picture.drawn_from]
    given = picture.settings.given | ({"drawn_from": drawn_from} if drawn_from else {})
    given |= {"edits": list(picture.edits)} if picture.edits else {}
    given |= {"rewritten": picture.rewritten.model_dump()} if picture.rewritten else {}
    return own | facts | given


@contextmanager
def picture_folder(
    folder: Path,
    kind: PictureFormat = PictureFormat.PNG,
    *,
    quality: int | None = None,
    signer: ContentSigner | None = None,
) -> Iterator[Callable[[Picture, int | None], Path]]:
    """Write ``0000.png``, ``0001.png``, … in order, and ``manifest.jsonl`` at the end.

    The block is given a function that writes the next picture; its second argument is where the
    prompt stood in a prompt file. After a failure the whole pictures stay, without a manifest. A
    folder that was made for no picture goes again. Other writers are kept out by a lock.

    Raises:
        UsageError: the folder already holds numbered pictures or a manifest, or is in use.
        DataError: the folder cannot be made or written to.
    """
    made, endings = not folder.exists(), "|".join(map(re.escape, ENDINGS))
    make_folder(folder, DataError)
    entries: list[str] = []

    def write(picture: Picture, line: int | None = None) -> Path:
        path = folder / f"{len(entries):04d}{kind.ending}"
        try:
            write_picture(picture, path, exclusive=True, quality=quality, signer=signer)
        except FileExistsError as error:
            raise DataError(f"{path} was written by another program; name a new folder") from error
        entry = entry_of(picture, path.relative_to(folder), line)
        entries.append(json.dumps(entry, ensure_ascii=False))
        return path

    try:
        with locked(folder / ".lock", UsageError, f"the folder {folder}"):
            for name in sorted(path.name for path in folder.glob("*")):
                if name == MANIFEST or re.fullmatch(rf"\d{{4,}}({endings})", name):
                    raise UsageError(
                        f"{folder} already holds {name}; name a new folder, or clear this one"
                    )
            yield write
            if entries:
                write_text(folder / MANIFEST, "\n".join([*entries, ""]), DataError)
    finally:
        if made and not entries:
            with suppress(OSError):
                folder.rmdir()
