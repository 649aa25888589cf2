"""Drawing a picture again from the record inside its file."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from limner.errors import DataError, ModelFileError, UsageError
from limner.files import whole_file
from limner.generation.animations import gif_bytes, same_frames
from limner.generation.files import captioned, write_picture, write_sheet
from limner.generation.formats import format_of
from limner.generation.generator import Generator, load
from limner.generation.picture import Picture
from limner.generation.records import (
    AnimationRecord,
    Record,
    SheetRecord,
    read_any_record,
    read_record,
)
from limner.generation.references import Reference
from limner.generation.requests import DrawRequest
from limner.generation.sheets import grid
from limner.generation.source_pictures import SourcePicture
from limner.hub import is_hub
from limner.models.settings import make_settings
from limner.shipped import find_model, shipped_models
from limner.tensorfile import file_hash
from limner.vision.resampling import fitted

_LOSS = 4
"""Mean difference of lossy pictures that are the same, of 255."""


@dataclass(frozen=True)
class Redrawn:
    """A picture, a contact sheet or an animation that was drawn again.

    Attributes:
        pictures: one, those of the sheet, or the frames.
        record: that of the file.
    """

    pictures: tuple[Picture, ...]
    record: Record | SheetRecord | AnimationRecord

    def same_as(self, path: Path) -> bool:
        """Whether the file shows the same."""
        if isinstance(self.record, Record):
            return same_pixels(path, self.pictures[0].image)
        if isinstance(self.record, AnimationRecord):
            with suppress(OSError, ValueError):
                return same_frames(path.read_bytes(), self._gif(self.record))
            return False
        captions = captioned(self.pictures) if self.record.captions else None
        return same_pixels(path, grid([one.image for one in self.pictures], captions=captions))

    def write(self, path: Path, *, quality: int | None = None) -> Path:
        """Write it with its record."""
        if isinstance(self.record, Record):
            return write_picture(self.pictures[0], path, quality=quality)
        if isinstance(self.record, AnimationRecord):
            with whole_file(path, DataError) as part:
                part.write_bytes(self._gif(self.record))
            return path
        return write_sheet(self.pictures, path, captions=self.record.captions, quality=quality)

    def _gif(self, record: AnimationRecord) -> bytes:
        size = record.width, record.height
        frames = [replace(each, image=fitted(each.image, *size)) for each in self.pictures]
        return gif_bytes(frames, record.milliseconds)


def check_output(path: Path, out: Path) -> None:
    """Refuse a name that says another format than what is drawn again can be written in.

    Raises:
        UsageError: an animation is to be no GIF, or another picture is to be one.
        DataError: the file has no usable record.
    """
    animated = isinstance(read_any_record(path), AnimationRecord)
    if not animated:
        format_of(out)
    elif out.suffix.lower() != ".gif":
        raise UsageError(f"{path} is an animation: give {out.name!r} the ending .gif")


def redraw_file(
    path: Path,
    model: str | Path | None = None,
    *,
    device: str = "cpu",
    threads: int | None = None,
    reference: Reference | None = None,
) -> Redrawn:
    """Draw a picture, a contact sheet or an animation again from its record; see :func:`redraw`."""
    found = read_any_record(path)
    records = (found,) if isinstance(found, Record) else found.pictures
    pictures: list[Picture] = []
    opened: Generator | None = None
    for record, before in zip(records, (None, *records), strict=False):
        same = ("model", "tile", "threads")
        if opened is None or any(getattr(record, each) != getattr(before, each) for each in same):
            opened = _open(record, path, model, device, threads)
        pictures.append(_again(opened, record, path, reference))
    return Redrawn(tuple(pictures), found)


def redraw(
    path: Path,
    model: str | Path | None = None,
    *,
    device: str = "cpu",
    threads: int | None = None,
    reference: Reference | None = None,
) -> Picture:
    """Draw a picture again from the record inside it.

    Args:
        path: a picture that limner drew.
        model: the model file; None to look for it among the shipped ones.
        device: as for :func:`limner.load`.
        threads: CPU threads; None for as many as drew it, where the record and this machine have
            them.
        reference: the picture it was drawn after, where it was.

    Raises:
        DataError: the picture carries no usable record, or was drawn after a reference picture
            that is not given or is another.
        ModelFileError: the model that drew it is not at hand.
        UsageError: a reference is given and it was drawn without.

    Warns:
        UserWarning: the tile or the number of threads is another, so some pixels may be.
    """
    record = read_record(path)
    generator = _open(record, path, model, device, threads)
    return _again(generator, record, path, reference)


def edit_file(
    path: Path,
    instructions: Sequence[str],
    model: str | Path | None = None,
    *,
    device: str = "cpu",
    threads: int | None = None,
) -> Picture:
    """Change the plan of a picture in a file; see :meth:`Generator.edit`.

    Raises:
        DataError: as for :func:`redraw`, or the picture is not what its record says.
        PromptError: an instruction is not understood, or names nothing in the picture.
    """
    record = read_record(path)
    generator = _open(record, path, model, device, threads)
    before = _again(generator, record, path, None)
    if not same_pixels(path, before.image):
        raise DataError(
            f"{path} was changed after limner drew it, and its record does not say how; "
            "edit it with a mask or a box"
        )
    return _as_member(generator, generator.edit(before, *instructions), record)


def _open(
    record: Record, path: Path, model: str | Path | None, device: str, threads: int | None
) -> Generator:
    """The model that drew a picture, with the picture's tile and threads."""
    file = model if is_hub(model) else _model_of(record, path, model)
    found = load(file, device=device, threads=threads or record.threads or None, tile=record.tile)
    if found.hash != record.model:  # of the hub, as others are compared before they are loaded
        raise _other_model(record, path, model, found.hash)
    return found


def _again(
    generator: Generator,
    record: Record,
    path: Path,
    reference: Reference | None,
) -> Picture:
    """The picture of a record."""
    _check_sources(generator, record, path, reference)
    made_from = None
    if record.made_from is not None:
        made_from = _again(generator, record.made_from, path, None)
    (drawn,) = generator.draw([_request(record, made_from)], reference=reference)
    _check_same(drawn, record, path)
    given = {
        name: getattr(record.settings, name)
        for name in ("scenes", "grounding", "transparent", "variety")
    }
    asked = drawn.settings.model_copy(update=given)
    return _as_member(generator, replace(drawn, settings=asked, made_from=made_from), record)


def _check_sources(
    generator: Generator, record: Record, path: Path, reference: Reference | None
) -> None:
    """Refuse a picture of which not all is at hand that it was made from or drawn after."""
    if record.inpainted and record.made_from is None:
        raise DataError(
            f"{path} was made from another picture, which it does not hold: edit that one again"
        )
    wanted = record.settings.reference
    if wanted is not None and reference is None:
        raise DataError(
            f"{path} was drawn after a reference picture; name that with --reference FILE"
        )
    if wanted is None and reference is not None:
        raise UsageError(f"{path} was drawn without a reference picture; leave --reference out")
    if reference is not None and generator.look(reference).digest != wanted:
        name = reference if isinstance(reference, str | Path) else "the picture that was given"
        raise DataError(f"{name} is not the reference picture that {path} was drawn after")


def _request(record: Record, made_from: Picture | None) -> DrawRequest:
    """What draws the picture of a record, which was made from another one or from none."""
    options = record.settings.model_dump(exclude={"reference"})
    options["transparent"] = bool(options["transparent"])  # older records leave out what is not
    options["variety"] = options["variety"] or 0.0
    if not record.planner:  # it was drawn in one piece, whatever today's planner would say
        options["scenes"] = False
    if not record.drawn_from:
        options["grounding"] = False
    source = None
    if made_from is not None:
        source, options["transparent"] = SourcePicture.open(made_from.image), None
    return DrawRequest(
        record.prompt, record.seed, make_settings(**options), edits=record.edits,
        rewritten=record.rewritten, source=source,
    )  # fmt: skip


def _check_same(drawn: Picture, record: Record, path: Path) -> None:
    """Refuse a picture that was planned or read otherwise than its record says.

    Warns:
        UserWarning: the tile or the number of threads is another.
    """
    if drawn.planner != record.planner:
        raise ModelFileError(
            f"{path} was laid out by planner {record.planner}, and this limner has another; "
            "install the limner that drew it"
        )
    then, now = (record.tile, record.threads or drawn.threads), (drawn.tile, drawn.threads)
    if then != now:
        said = ("with tile {} and threads {}".format(*each) for each in (then, now))
        warnings.warn(
            f"{path} was drawn {' and is drawn again '.join(said)}: single pixels may differ",
            stacklevel=3,
        )
    if [each.drawn for each in drawn.drawn_from] != [each.drawn for each in record.drawn_from]:
        raise ModelFileError(
            f"{path} was drawn from other known names than this model's index gives now; "
            "use the files of the model that drew it"
        )


def _as_member(generator: Generator, picture: Picture, record: Record) -> Picture:
    """A picture made like the others of the set that a record says it is of, if it is of one."""
    if record.member is None:
        return picture
    image = record.member.even(picture.image, record.settings.style, generator)
    return replace(picture, image=image, member=record.member)


def _model_of(record: Record, picture: Path, model: str | Path | None) -> Path:
    candidates = shipped_models() if model is None else [find_model(model)]
    for candidate in candidates:
        if file_hash(candidate) == record.model:
            return candidate
    raise _other_model(record, picture, model, file_hash(candidates[0]) if candidates else "")


def _other_model(
    record: Record, picture: Path, model: str | Path | None, found: str
) -> ModelFileError:
    why = "which is not shipped with this limner; name its file with --model PATH"
    if model is not None:
        why = f"but {model} is model {found}"
    return ModelFileError(f"{picture} was drawn by model {record.model}, {why}")


def same_pixels(path: Path, image: Image.Image) -> bool:
    """Whether the picture at ``path`` shows this image.

    It is written as the file was, and then compared: pixels of PNG, WebP, JPEG and ICO, the
    shapes of SVG. What lossy compression changes counts as nothing.
    """
    try:
        if path.suffix.lower() == ".svg":
            from limner.generation.svg import drawing_of, read_svg, to_svg

            return drawing_of(read_svg(path)) == drawing_of(to_svg(image))
        with Image.open(path, formats=["PNG", "WEBP", "JPEG", "ICO"]) as other:
            if other.size != image.size:
                return False
            lossless = other.format in ("PNG", "ICO") or b"VP8L" in path.read_bytes()
            if isinstance(other, JpegImageFile):
                again = BytesIO()
                image.save(again, "JPEG", qtables=other.quantization, subsampling=0)
                image = Image.open(again)
            seen, meant = (np.asarray(each.convert(image.mode), int) for each in (other, image))
        return bool(np.abs(seen - meant).mean() <= (0 if lossless else _LOSS))
    except (OSError, ValueError, SyntaxError, DataError):
        return False
