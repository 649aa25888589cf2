"""Pictures on disk: PNG files that carry their own record."""

from __future__ import annotations

import itertools
import json
import os
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo, iTXt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

import limner
from limner.errors import DataError, UsageError
from limner.files import locked, make_folder, whole_file, write_text
from limner.generation.grounding import Grounding
from limner.models.settings import MAX_SEED, Settings
from limner.threads import MOST_THREADS

if TYPE_CHECKING:
    from limner.generation.generator import Picture

CHUNK = "limner"
READABLE_CHUNK = "parameters"
MANIFEST = "manifest.jsonl"
FORMAT = 1
_MAX_CHUNK = 500_000
_MAX_SLUG = 48


class Record(BaseModel):
    """What the ``limner`` text chunk of a picture holds; checked, since any file may have one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = Field(default=FORMAT, ge=1)
    limner: str = Field(max_length=64)
    prompt: str = Field(max_length=100_000)
    seed: int = Field(ge=0, le=MAX_SEED)
    model: str = Field(pattern=r"^[0-9a-f]{16}$")
    encoder: str = Field(max_length=256)
    settings: Settings = Settings()
    planner: str = Field(default="", pattern=r"^([0-9a-f]{16})?$")
    tile: int = Field(default=1, ge=1, le=1024)
    threads: int = Field(default=0, ge=0, le=MOST_THREADS)
    drawn_from: tuple[Grounding, ...] = Field(default=(), max_length=64)


def record_of(picture: Picture) -> Record:
    """All that is needed to draw a picture again."""
    facts = {name: getattr(picture, name, None) for name in Record.model_fields}
    return Record(**facts | {"format": FORMAT, "limner": limner.__version__})


def write_picture(picture: Picture, path: Path, *, exclusive: bool = False) -> Path:
    """Write a PNG with its record in two text chunks, and return ``path``.

    The ``limner`` chunk is JSON (:class:`Record`); the ``parameters`` chunk is what picture
    viewers show. For the rest see :func:`write_png`.
    """
    record = record_of(picture)
    facts = {"Seed": record.seed, "Size": f"{picture.image.width}x{picture.image.height}"}
    asked = ((k.replace("_", " "), v) for k, v in record.settings if k != "size")
    facts |= {k.capitalize(): v for k, v in asked if v is not None}
    facts |= {"Model hash": record.model, "Version": f"limner {record.limner}"}
    readable = f"{record.prompt}\n" + ", ".join(f"{k}: {v}" for k, v in facts.items())
    texts = {CHUNK: record.model_dump_json(), READABLE_CHUNK: readable}
    return write_png(picture.image, path, texts, exclusive=exclusive)


def write_png(
    image: Image.Image, path: Path, texts: dict[str, str], *, exclusive: bool = False
) -> Path:
    """Write a PNG with UTF-8 text chunks, whole or not at all, and return ``path``.

    Raises:
        UsageError: the name does not end in ``.png``.
        FileExistsError: ``exclusive``, and the file exists.
        DataError: the file cannot be written.
    """
    if path.suffix.lower() != ".png":
        raise UsageError(f"limner writes PNG pictures only: give {path.name!r} the ending .png")
    chunks = PngInfo()
    for key, value in texts.items():
        chunks.add_itxt(key, value)
    with whole_file(path, DataError, exclusive=exclusive) as part:
        image.save(part, format="PNG", pnginfo=chunks)
    return path


def write_new(write: Callable[[Path], Path], folder: Path, stem: str) -> Path:
    """Write ``stem.png`` in a folder, or the first of ``stem-1.png``, … that is not taken.

    Several processes may do so at once: none replaces the file of another.

    Args:
        write: writes the path that it is given, and raises ``FileExistsError`` if it exists.
        folder: where to write.
        stem: the name without its ending.
    """
    for count in itertools.count():
        path = folder / (f"{stem}-{count}.png" if count else f"{stem}.png")
        if not os.path.lexists(path):
            with suppress(FileExistsError):
                return write(path)
    raise AssertionError("the numbers have no end")


def read_record(path: Path) -> Record:
    """The record inside a picture that limner drew.

    Other programs may have saved the picture again: the record is also found behind the pixels,
    and in the text chunks that say nothing of their encoding (tEXt, zTXt).

    Raises:
        DataError: the file is missing, is no PNG, was not drawn by limner, or has a damaged or
            newer record.
    """
    try:
        with Image.open(path, formats=["PNG"]) as image:
            if CHUNK not in image.info:
                image.load()  # chunks behind the pixels are read with them
            text = image.info.get(CHUNK)
    except UnidentifiedImageError as error:
        raise DataError(f"{path} is not a PNG picture") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} is a damaged PNG picture: {error}") from error
    if isinstance(text, str) and not isinstance(text, iTXt):
        with suppress(UnicodeError):  # Pillow reads these chunks as Latin-1
            text = text.encode("latin-1").decode("utf-8")
    if not isinstance(text, str):
        raise DataError(
            f"{path} was not drawn by limner, or its text was stripped: it has no {CHUNK!r} chunk"
        )
    if len(text) > _MAX_CHUNK:
        raise DataError(
            f"{path} has a {CHUNK!r} chunk of {len(text)} characters, which is too long"
        )
    try:
        record = Record.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "JSON"
        raise DataError(
            f"{path} has a damaged or newer {CHUNK!r} chunk ({where}: {first['msg']}); "
            f"this is limner {limner.__version__}"
        ) from error
    if record.format > FORMAT:
        raise DataError(
            f"{path} has a record of format {record.format}, this limner reads up to {FORMAT}; "
            f"upgrade limner"
        )
    return record


def slug(prompt: str) -> str:
    """A short file name out of a prompt in any language; letters and digits survive."""
    folded = unicodedata.normalize("NFKC", prompt).casefold()
    words = re.sub(r"[^\w]+", "-", folded, flags=re.UNICODE).strip("-_")
    while len(words.encode()) > _MAX_SLUG:
        words = words[:-1]
    return words.rstrip("-_") or "picture"


def entry_of(picture: Picture, path: Path, line: int | None = None) -> dict[str, Any]:
    """One JSON object of a manifest: path, line of the prompt file, prompt, seed, settings."""
    facts = {"prompt": picture.prompt, "seed": picture.seed, "model": picture.model}
    own = {"path": path.as_posix()} if line is None else {"path": path.as_posix(), "line": line}
    drawn_from = [each.model_dump() for each in picture.drawn_from]
    given = picture.settings.given | ({"drawn_from": drawn_from} if drawn_from else {})
    return own | facts | given


@contextmanager
def picture_folder(folder: Path) -> Iterator[Callable[[Picture, int | None], Path]]:
    """Write ``0000.png``, ``0001.png``, … in order, and ``manifest.jsonl`` at the end.

    The block is given a function that writes the next picture; its second argument is where the
    prompt stood in a prompt file. After a failure the whole pictures stay, without a manifest. A
    folder that was made for no picture goes again. Other writers are kept out by a lock.

    Raises:
        UsageError: the folder already holds numbered pictures or a manifest, or is in use.
        DataError: the folder cannot be made or written to.
    """
    made = not folder.exists()
    make_folder(folder, DataError)
    entries: list[str] = []

    def write(picture: Picture, line: int | None = None) -> Path:
        path = folder / f"{len(entries):04d}.png"
        try:
            write_picture(picture, path, exclusive=True)
        except FileExistsError as error:
            raise DataError(f"{path} was written by another program; name a new folder") from error
        entry = entry_of(picture, path.relative_to(folder), line)
        entries.append(json.dumps(entry, ensure_ascii=False))
        return path

    try:
        with locked(folder / ".lock", UsageError, f"the folder {folder}"):
            for name in sorted(path.name for path in folder.glob("*")):
                if name == MANIFEST or re.fullmatch(r"\d{4,}\.png", name):
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


def sheet_text(pictures: Sequence[Picture]) -> dict[str, str]:
    """Text chunks of a contact sheet: which prompt and seed stand where."""
    lines = [f"{p.prompt} | Seed: {p.seed}" for p in pictures]
    facts = f"Model hash: {pictures[0].model}, Version: limner {limner.__version__}"
    return {READABLE_CHUNK: "\n".join([*lines, facts])}
