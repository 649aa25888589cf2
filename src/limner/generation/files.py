"""Pictures on disk: PNG, WebP, JPEG and SVG files that carry their own record."""

from __future__ import annotations

import itertools
import json
import os
import re
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.PngImagePlugin import iTXt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

import limner
from limner.errors import DataError, UsageError
from limner.files import locked, make_folder, whole_file, write_text
from limner.generation.drawn_from import Grounding
from limner.generation.formats import ENDINGS, PictureFormat, format_of
from limner.generation.set_members import SetMember
from limner.generation.sheets import grid
from limner.models.settings import MAX_SEED, Settings
from limner.scenes.instructions import LONGEST, MOST_EDITS
from limner.text.rewrite import Rewriting
from limner.threads import MOST_THREADS
from limner.vision.images import png_bytes

if TYPE_CHECKING:
    from limner.generation.picture import Picture
    from limner.generation.provenance import ContentSigner

CHUNK = "limner"
READABLE_CHUNK = "parameters"
MANIFEST = "manifest.jsonl"
FORMAT = 1
_MAX_CHUNK = 500_000
_SEVERAL = re.compile(
    r'\s*\{"format":\s*\d+,\s*"limner":\s*"[^"]*",\s*"(captions|milliseconds|task|walk)":'
)
"""How the record of a contact sheet, an animation, a restored picture or a walk begins."""
_MAX_EXIF = 65_000
_JPEG_QUALITY = 92
_MAX_SLUG = 48


_Pixels = Annotated[int, Field(ge=0, le=4096)]


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
    inpainted: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    edits: tuple[Annotated[str, Field(min_length=1, max_length=LONGEST)], ...] = Field(
        default=(), max_length=MOST_EDITS
    )
    rewritten: Rewriting | None = None
    member: SetMember | None = None
    made_from: Record | None = None
    hole: tuple[_Pixels, _Pixels, _Pixels, _Pixels] | None = None


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


def write_picture(
    picture: Picture,
    path: Path,
    *,
    exclusive: bool = False,
    quality: int | None = None,
    signer: ContentSigner | None = None,
) -> Path:
    """Write a picture with its record, in the format that the name's ending says.

    See :func:`picture_bytes`; for the rest :func:`write_image`.
    """
    return write_image(
        picture.image, path, _texts(picture), exclusive=exclusive, quality=quality, signer=signer
    )


def picture_bytes(
    picture: Picture,
    kind: PictureFormat,
    *,
    quality: int | None = None,
    signer: ContentSigner | None = None,
) -> bytes:
    """A picture as a file with its record.

    The record is JSON (:class:`Record`), in a ``limner`` text chunk of a PNG, in the
    ImageDescription of a WebP's or JPEG's EXIF data, in the ``metadata`` element of an SVG. Beside
    it stands what picture viewers show. Raises what :func:`write_image` does.
    """
    return _encoded(picture.image, kind, _texts(picture), quality, f"a {kind} file", signer=signer)


def _texts(picture: Picture) -> dict[str, str]:
    """What a file says of its picture: the record, and the same for picture viewers."""
    record = record_of(picture)
    facts = {"Seed": record.seed, "Size": f"{picture.image.width}x{picture.image.height}"}
    asked = ((k.replace("_", " "), v) for k, v in record.settings if k != "size")
    facts |= {k.capitalize(): v for k, v in asked if v is not None}
    facts |= {"Model hash": record.model, "Version": f"limner {record.limner}"}
    readable = f"{record.prompt}\n" + ", ".join(f"{k}: {v}" for k, v in facts.items())
    return {CHUNK: record.model_dump_json(), READABLE_CHUNK: readable}


def write_image(
    image: Image.Image,
    path: Path,
    texts: dict[str, str],
    *,
    exclusive: bool = False,
    quality: int | None = None,
    signer: ContentSigner | None = None,
) -> Path:
    """Write an image with texts, whole or not at all, and return ``path``.

    Args:
        image: RGB, or RGBA but for JPEG.
        path: its ending is the format's.
        texts: PNGs hold all of them; the others the record and what viewers show.
        exclusive: replace no file.
        quality: of JPEG, 1 to 100, 92 where it is not given; WebP is lossless without it.
        signer: signs the file; None to leave it unsigned.

    Raises:
        UsageError: the ending is of no format that limner writes, or a JPEG is to be transparent
            or cannot hold the texts, or an SVG is to be signed.
        FileExistsError: ``exclusive``, and the file exists.
        DataError: the file cannot be written.
    """
    kind = format_of(path)
    with whole_file(path, DataError, exclusive=exclusive) as part:
        part.write_bytes(_encoded(image, kind, texts, quality, repr(path.name), signer=signer))
    return path


def _encoded(
    image: Image.Image,
    kind: PictureFormat,
    texts: dict[str, str],
    quality: int | None,
    name: str,
    *,
    signer: ContentSigner | None = None,
) -> bytes:
    """An image with texts as a file; ``name`` is for messages."""
    if signer is not None:
        data = _encoded(image, kind, texts, quality, name)
        return signer.sign(data, kind, json.loads(texts.get(CHUNK, "{}")).get("prompt"))
    if kind is PictureFormat.SVG:
        from limner.generation.svg import to_svg

        return to_svg(image, _ascii(texts.get(CHUNK))).encode()
    if kind is PictureFormat.JPEG and image.mode == "RGBA":
        raise UsageError(f"JPEG has no transparency: write {name} as PNG, WebP or SVG")
    if kind is PictureFormat.PNG:
        return png_bytes(image, texts)
    options: dict[str, Any]
    if kind is PictureFormat.JPEG:
        options = {"quality": quality or _JPEG_QUALITY, "subsampling": 0, "optimize": True}
    elif quality is None:
        options = {"lossless": True, "exact": True}
    else:
        options = {"quality": quality}
    if texts:
        options["exif"] = _exif(texts, name)
    buffer = BytesIO()
    image.save(buffer, format=kind.upper(), **options)
    return buffer.getvalue()


def _ascii(record: str | None) -> str | None:
    """The same JSON in ASCII, which any program keeps as it is."""
    return None if record is None else json.dumps(json.loads(record))


def _exif(texts: dict[str, str], name: str) -> bytes:
    """EXIF data with the record and what viewers show."""
    exif = Image.Exif()
    if record := _ascii(texts.get(CHUNK)):
        exif[ExifTags.Base.ImageDescription] = record
    exif[ExifTags.Base.Software] = f"limner {limner.__version__}"
    if readable := texts.get(READABLE_CHUNK):
        comment = b"UNICODE\0" + readable.encode("utf-16-be")
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = comment
    found = exif.tobytes()
    if len(found) > _MAX_EXIF:
        raise UsageError(
            f"what is to be kept of {name} is {len(found):,} bytes, and EXIF data holds "
            f"{_MAX_EXIF:,}: write it as PNG or SVG"
        )
    return found


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
        raise DataError(f"{path} was not drawn by limner, or its record was stripped")
    if len(text) > _MAX_CHUNK:
        raise DataError(f"{path} has a record of {len(text)} characters, which is too long")
    several = _SEVERAL.match(text)
    kind: type[Record | SheetRecord | AnimationRecord] = Record
    if several is not None and several[1] == "task":
        raise DataError(f"{path} was restored from another picture, and not drawn by limner")
    if several is not None and several[1] == "walk":
        raise DataError(f"{path} is a walk between drawings: draw it again with limner morph")
    if several is not None:
        kind = SheetRecord if several[1] == "captions" else AnimationRecord
    try:
        record = kind.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "JSON"
        raise DataError(
            f"{path} has a damaged or newer record ({where}: {first['msg']}); "
            f"this is limner {limner.__version__}"
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
        with Image.open(file or path, formats=["PNG", "WEBP", "JPEG", "GIF"]) as image:
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


def write_sheet(
    pictures: Sequence[Picture],
    path: Path,
    *,
    captions: bool = False,
    exclusive: bool = False,
    quality: int | None = None,
    signer: ContentSigner | None = None,
) -> Path:
    """Write a contact sheet that carries the records of its pictures; see :func:`write_image`.

    A sheet of more than its format can hold the records of carries none.

    Args:
        pictures: in order.
        path: its ending is the format's.
        captions: put each prompt below its picture.
        exclusive: replace no file.
        quality: of JPEG and WebP.
        signer: signs the file; None to leave it unsigned.

    Warns:
        UserWarning: the records do not fit.
    """
    sheet = grid([p.image for p in pictures], captions=captioned(pictures) if captions else None)
    record = SheetRecord(
        limner=limner.__version__, captions=captions, pictures=tuple(map(record_of, pictures))
    )
    lines = [f"{p.prompt} | Seed: {p.seed}" for p in pictures]
    facts = f"Model hash: {pictures[0].model}, Version: limner {limner.__version__}"
    texts = {CHUNK: short_json(record), READABLE_CHUNK: "\n".join([*lines, facts])}
    most = _MAX_CHUNK if format_of(path) is PictureFormat.PNG else _MAX_EXIF // 4
    if len(texts[CHUNK]) > most:
        warnings.warn(
            f"{path.name!r} is too large a sheet to hold the records of its pictures, and cannot "
            "be drawn again from them",
            stacklevel=2,
        )
        texts = {}
    return write_image(sheet, path, texts, exclusive=exclusive, quality=quality, signer=signer)


def captioned(pictures: Sequence[Picture]) -> list[str]:
    """What stands below each picture on a contact sheet."""
    return [each.prompt if each.member is None else each.member.name for each in pictures]


def short_json(record: SheetRecord | AnimationRecord | WalkRecord) -> str:
    """The JSON of a record of several pictures, these without what is as always."""
    head = record.model_dump(mode="json", exclude={"pictures"})
    each = [one.model_dump(mode="json", exclude_defaults=True) for one in record.pictures]
    return json.dumps(head | {"pictures": each}, ensure_ascii=False, separators=(",", ":"))
