"""Pictures on disk: PNG files that carry their own record."""

from __future__ import annotations

import itertools
import json
import os
import re
import unicodedata
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo, iTXt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

import limner
from limner.errors import DataError, LimnerError, UsageError
from limner.files import whole_file
from limner.generation.settings import MAX_SEED, Settings

if TYPE_CHECKING:
    from limner.generation.generator import Picture

CHUNK = "limner"
READABLE_CHUNK = "parameters"
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


def record_of(picture: Picture) -> Record:
    """All that is needed to draw a picture again."""
    return Record(
        limner=limner.__version__,
        prompt=picture.prompt,
        seed=picture.seed,
        model=picture.model,
        encoder=picture.encoder,
        settings=picture.settings,
        planner=picture.planner,
        tile=picture.tile,
    )


def write_picture(picture: Picture, path: Path, *, exclusive: bool = False) -> Path:
    """Write a PNG with its record in two text chunks, and return ``path``.

    The ``limner`` chunk is JSON (:class:`Record`); the ``parameters`` chunk is what picture
    viewers show. Both are UTF-8 (iTXt). The file appears whole or not at all.

    Args:
        picture: what to write.
        path: its name, which ends in ``.png``.
        exclusive: never replace a file.

    Raises:
        UsageError: the name does not end in ``.png``.
        FileExistsError: ``exclusive``, and the file exists.
        DataError: the file cannot be written.
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


@dataclass(frozen=True)
class Written:
    """A picture on disk."""

    path: Path
    picture: Picture

    def entry(self, base: Path | None = None, line: int | None = None) -> dict[str, Any]:
        """One JSON object of a manifest: path (relative to ``base``), prompt, seed, settings."""
        path = self.path if base is None else self.path.relative_to(base)
        entry: dict[str, Any] = {"path": path.as_posix()}
        if line is not None:
            entry["line"] = line
        record = record_of(self.picture)
        entry |= {"prompt": record.prompt, "seed": record.seed, "model": record.model}
        return entry | {k: v for k, v in record.settings if v is not None}


class FolderWriter:
    """Writes ``0000.png``, ``0001.png``, … in order, and ``manifest.jsonl`` at the end.

    Use as a context manager. The manifest is written beside its final name while pictures come
    and renamed once all have come; after a failure it is removed and the whole pictures stay. A
    folder that was made for no picture goes again.
    Its temporary file also keeps a second writer out of the folder.
    """

    MANIFEST = "manifest.jsonl"

    def __init__(self, folder: Path) -> None:
        """Prepare a folder.

        Raises:
            UsageError: the folder already holds numbered pictures or a manifest.
            DataError: the folder cannot be made or written to.
        """
        self.folder = folder
        self._count = 0
        self._part = folder / f"{self.MANIFEST}.part"
        self._made = not folder.exists()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            taken = {p.name for p in folder.iterdir()}
        except OSError as error:
            raise DataError(f"cannot write into {folder}: {error.strerror or error}") from error
        clash = sorted(n for n in taken if n == self.MANIFEST or re.fullmatch(r"\d{4,}\.png", n))
        if clash:
            raise UsageError(
                f"{folder} already holds {clash[0]}; name a new folder, or clear this one"
            )
        self._manifest: IO[str] | None = None

    def __enter__(self) -> FolderWriter:
        try:
            self._manifest = self._part.open("x", encoding="utf-8", errors="replace")
        except FileExistsError as error:
            raise UsageError(
                f"another limner writes into {self.folder}, or was killed while it did; name a new "
                f"folder, or remove {self._part.name} from this one"
            ) from error
        except OSError as error:
            raise DataError(f"cannot write {self._part}: {error.strerror or error}") from error
        return self

    def write(self, picture: Picture, line: int | None = None) -> Written:
        """Write the next picture; ``line`` is where its prompt stood in the prompt file."""
        if self._manifest is None:
            raise LimnerError("a FolderWriter writes only inside its with block")
        path = self.folder / f"{self._count:04d}.png"
        try:
            written = Written(write_picture(picture, path, exclusive=True), picture)
        except FileExistsError as error:
            raise DataError(f"{path} was written by another program; name a new folder") from error
        self._count += 1
        try:
            entry = written.entry(self.folder, line)
            self._manifest.write(json.dumps(entry, ensure_ascii=False) + "\n")
        except OSError as error:
            raise DataError(f"cannot write {self._part}: {error.strerror or error}") from error
        return written

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._manifest is None:
            return
        try:
            self._manifest.close()
            if kind is None and self._count:
                self._part.replace(self.folder / self.MANIFEST)
        except OSError as error:
            if kind is None:
                raise DataError(f"cannot write {self._part}: {error.strerror or error}") from error
        finally:
            with suppress(OSError):
                self._part.unlink(missing_ok=True)
                if self._made and not self._count:
                    self.folder.rmdir()


def sheet_text(pictures: Sequence[Picture]) -> dict[str, str]:
    """Text chunks of a contact sheet: which prompt and seed stand where."""
    lines = [f"{p.prompt} | Seed: {p.seed}" for p in pictures]
    facts = f"Model hash: {pictures[0].model}, Version: limner {limner.__version__}"
    return {READABLE_CHUNK: "\n".join([*lines, facts])}
