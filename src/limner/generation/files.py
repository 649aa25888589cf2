"""Pictures as files of PNG, WebP, JPEG, SVG and ICO that carry their own record."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import ExifTags, Image

import limner
from limner.errors import DataError, UsageError
from limner.files import whole_file
from limner.generation.formats import PictureFormat, format_of
from limner.generation.records import CHUNK, MOST_CHARACTERS, SheetRecord, record_of, short_json
from limner.generation.sheets import grid
from limner.vision.images import png_bytes

if TYPE_CHECKING:
    from limner.generation.picture import Picture
    from limner.generation.provenance import ContentSigner

READABLE_CHUNK = "parameters"
"""Text chunk of a PNG that picture viewers show."""
_MAX_EXIF = 65_000
_JPEG_QUALITY = 92


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
    ImageDescription of a WebP's or JPEG's EXIF data, in the ``metadata`` element of an SVG, in the
    largest PNG of an ICO. Beside it stands what picture viewers show. Raises what
    :func:`write_image` does.
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
            or cannot hold the texts, or an SVG or ICO is to be signed, or the image is too large
            for an ICO.
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
    if kind is PictureFormat.ICO:
        from limner.generation.ico import to_ico

        return to_ico(image, texts)
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
            f"the record of {name} has {len(found):,} bytes, and EXIF data holds at most "
            f"{_MAX_EXIF:,}: write it as PNG or SVG"
        )
    return found


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
    most = MOST_CHARACTERS if format_of(path) is PictureFormat.PNG else _MAX_EXIF // 4
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
