"""Records: what a picture's file says of how it was drawn, checked, since any file may have one."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.PngImagePlugin import iTXt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

import limner
from limner.errors import DataError, UsageError
from limner.generation.drawn_from import Grounding
from limner.generation.ico import largest_file
from limner.generation.set_members import SetMember
from limner.models.settings import MAX_SEED, Settings
from limner.scenes.instructions import LONGEST, MOST_EDITS
from limner.text.rewrite import Rewriting
from limner.threads import MOST_THREADS

if TYPE_CHECKING:
    from limner.generation.picture import Picture

CHUNK = "limner"
"""Text chunk of a PNG that holds the record."""
FORMAT = 1
MOST_CHARACTERS = 500_000
"""Of a record in a file."""
_SEVERAL = re.compile(
    r'\s*\{"format":\s*\d+,\s*"limner":\s*"[^"]*",\s*"(captions|milliseconds|task|walk)":'
)
"""How the record of a contact sheet, an animation, a restored picture or a walk begins."""


class Record(BaseModel):
    """What the record of a picture holds: all that is needed to draw it again.

    Attributes:
        format: of the record.
        limner: version that drew it.
        prompt: that was drawn.
        seed: of its noise.
        model: hash of the model file, 16 hex digits.
        encoder: fingerprint of the text encoder.
        settings: options of drawing, as they were given or chosen.
        planner: hash of the planner that laid it out; empty where it was drawn in one piece.
        tile: pictures per network evaluation.
        threads: of the CPU; 0 in records that do not say.
        drawn_from: what each phrase was drawn from.
        inpainted: SHA-256 of the picture that it was made from; empty where there is none.
        edits: instructions by which its plan was changed, in order.
        rewritten: the prompt as it was given, where it was rewritten.
        member: what a set decided for it, where it is of one.
        made_from: record of the picture that was drawn on, where there is one.
    """

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
    inpainted: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    edits: tuple[Annotated[str, Field(min_length=1, max_length=LONGEST)], ...] = Field(
        default=(), max_length=MOST_EDITS
    )
    rewritten: Rewriting | None = None
    member: SetMember | None = None
    made_from: Record | None = None


class SheetRecord(BaseModel):
    """What the record of a contact sheet holds: those of its pictures, in order."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = Field(default=FORMAT, ge=1)
    limner: str = Field(max_length=64)
    captions: bool = False
    pictures: tuple[Record, ...] = Field(min_length=1, max_length=10_000)


class AnimationRecord(BaseModel):
    """What the record of an animation holds: those of its frames, in order, and their time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = Field(default=FORMAT, ge=1)
    limner: str = Field(max_length=64)
    milliseconds: int = Field(ge=10, le=10_000)
    width: int = Field(ge=16, le=4096)
    height: int = Field(ge=16, le=4096)
    pictures: tuple[Record, ...] = Field(min_length=2, max_length=16)


class WalkRecord(BaseModel):
    """What the record of a walk holds: the records of the drawings that it goes between."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = Field(default=FORMAT, ge=1)
    limner: str = Field(max_length=64)
    walk: int = Field(ge=2, description="Frames.")
    milliseconds: int = Field(ge=1)
    pictures: tuple[Record, ...] = Field(min_length=2)


def record_of(picture: Picture) -> Record:
    """All that is needed to draw a picture again."""
    facts = {name: getattr(picture, name, None) for name in Record.model_fields}
    if picture.made_from is not None:
        facts["made_from"] = record_of(picture.made_from)
    return Record(**facts | {"format": FORMAT, "limner": limner.__version__})


def short_json(record: SheetRecord | AnimationRecord | WalkRecord) -> str:
    """The JSON of a record of several pictures, these without what is as always."""
    head = record.model_dump(mode="json", exclude={"pictures"})
    each = [one.model_dump(mode="json", exclude_defaults=True) for one in record.pictures]
    return json.dumps(head | {"pictures": each}, ensure_ascii=False, separators=(",", ":"))


def read_record(path: Path, file: BinaryIO | None = None) -> Record:
    """The record inside a picture that limner drew.

    Args:
        path: of the picture, or its name in messages.
        file: the picture itself, where it is in no file of that name.

    Raises:
        DataError: as :func:`read_any_record`, or it is of several pictures.
    """
    record = read_any_record(path, file)
    if isinstance(record, SheetRecord):
        raise DataError(f"{path} is a contact sheet of {len(record.pictures)} pictures, not one")
    if isinstance(record, AnimationRecord):
        raise DataError(f"{path} is an animation of {len(record.pictures)} pictures, not one")
    return record


def read_any_record(
    path: Path, file: BinaryIO | None = None
) -> Record | SheetRecord | AnimationRecord:
    """The record inside a picture, a contact sheet or an animation; see :func:`read_record`.

    Raises:
        DataError: the file is missing, is no picture, was not drawn by limner, or has a damaged or
            newer record.
    """
    text = _read_text(path, file)
    if text is None:
        raise DataError(
            f"{path} was not drawn by limner, or its record was stripped", code="not_drawn_here"
        )
    if len(text) > MOST_CHARACTERS:
        raise DataError(f"{path} has a record of {len(text)} characters, which is too long")
    several = _SEVERAL.match(text)
    kind: type[Record | SheetRecord | AnimationRecord] = Record
    if several is not None and several[1] == "task":
        raise DataError(
            f"{path} was restored from another picture, and not drawn by limner",
            code="not_drawn_here",
        )
    if several is not None and several[1] == "walk":
        raise DataError(f"{path} is a walk between drawings: draw it again with limner morph")
    if several is not None:
        kind = SheetRecord if several[1] == "captions" else AnimationRecord
    try:
        record = kind.model_validate_json(text)
    except (ValidationError, UsageError) as error:  # the latter of its settings
        why = str(error)
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            why = f"{'.'.join(str(part) for part in first['loc']) or 'JSON'}: {first['msg']}"
        raise DataError(
            f"{path} has a damaged or newer record ({why}); this is limner {limner.__version__}"
        ) from error
    if record.format > FORMAT:
        raise DataError(
            f"{path} has a record of format {record.format}, this limner reads up to {FORMAT}; "
            f"upgrade limner"
        )
    return record


def _read_text(path: Path, file: BinaryIO | None) -> str | None:
    """The text of the record in a picture; None where it has none.

    Other programs may have saved a PNG again: the record is also found behind the pixels, and in
    the text chunks that say nothing of their encoding (tEXt, zTXt).
    """
    try:
        with Image.open(file or path, formats=["PNG", "WEBP", "JPEG", "GIF", "ICO"]) as image:
            if image.format == "ICO" and file is None:
                return _read_text(path, BytesIO(largest_file(path.read_bytes())))
            if image.format == "GIF":
                comment = image.info.get("comment")
                return comment.decode("utf-8", "replace") if isinstance(comment, bytes) else None
            if image.format != "PNG":
                text = image.getexif().get(ExifTags.Base.ImageDescription)
                return text if isinstance(text, str) else None
            if CHUNK not in image.info:
                image.load()  # chunks behind the pixels are read with them
            text = image.info.get(CHUNK)
    except UnidentifiedImageError as error:
        from limner.generation.svg import read_metadata

        if file is not None:
            raise DataError(f"{path} is no PNG, WebP or JPEG") from error
        return read_metadata(path)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} is a damaged picture: {error}") from error
    if isinstance(text, str) and not isinstance(text, iTXt):
        with suppress(UnicodeError):  # Pillow reads these chunks as Latin-1
            text = text.encode("latin-1").decode("utf-8")
    return text if isinstance(text, str) else None
