"""Restoring pictures: denoising, deblurring, removing JPEG artefacts, upscaling and colouring.

A picture of any size is processed in tiles that overlap by the network's receptive field, so that
there are no seams, and memory does not grow with the picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

import limner
from limner.data.degrade import SCALES, Degradation, enlarged, from_levels, luma
from limner.data.pictures import PictureError, read_still
from limner.errors import DataError, UsageError
from limner.generation.colouring import Coloured, Colourist
from limner.generation.files import READABLE_CHUNK, write_image
from limner.generation.records import CHUNK, FORMAT
from limner.loading import load_capable
from limner.models.restorer import ESTIMATED, RestorerModel
from limner.models.settings import Capability
from limner.shipped import SHIPPED, SHIPPED_RESTORER, find_model, spec_of
from limner.tensorfile import file_hash
from limner.text.base import TextFeatures
from limner.threads import set_threads
from limner.vision.defocus import edge_blur
from limner.vision.images import PictureLike, image_or_file
from limner.vision.jpeg import jpeg_trace

Task = Literal["auto", "denoise", "deblur", "deblock", "upscale", "colorize"]
Scale = Literal[1, 2, 4]
_REMOVES: dict[Task, tuple[str, ...]] = {
    "auto": ESTIMATED, "denoise": ("noise",), "deblur": ("blur",), "deblock": ("jpeg",),
    "upscale": (), "colorize": ("grey",),
}  # fmt: skip
_LEAST = Degradation(fade=0.15, blur=0.4, scratches=0.15, noise=0.012, jpeg=0.1)
"""Estimated degradations below this are taken as none by ``auto``."""
_DOUBTFUL = 0.35
"""Estimates of JPEG below this are ignored if no quantisation steps are found."""
_CLEAN = Degradation(noise=0.0137, jpeg=0.2)
"""With more noise or JPEG than this, blur cannot be estimated from edges."""
MOST_PIXELS = 64_000_000
"""Default limit on pixels, before and after."""
_TILE = 768
_PROBE, _PROBES = 64, 6
"""Side of the crops for the estimator, and most of them along a side."""
_PLACE, _PLACES = 256, 4
"""The same for the estimate of blur from edges."""
_EDGE = 4
"""Margin in pixels around an enlarged part, so that the filter does not reach its border."""

Progress = Callable[[int, int], None]
"""Called with the numbers of finished tiles and of all tiles."""


class RestorationRecord(BaseModel):
    """The content of the ``limner`` text chunk of a restored picture."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = Field(default=FORMAT, ge=1)
    limner: str = Field(max_length=64)
    task: Task
    scale: Scale
    prompt: str | None = Field(default=None, max_length=100_000)
    removed: dict[str, float]
    coloured_as: str | None = Field(default=None, max_length=100_000)
    model: str = Field(pattern=r"^[0-9a-f]{16}$")


@dataclass(frozen=True)
class Restored:
    """A restored picture.

    Attributes:
        image: RGB, or RGBA if the picture was transparent.
        task: the requested task.
        removed: the estimated or given degradation that was removed.
        prompt: the caption that was given; None for none.
        model: the model file's hash.
        coloured_as: caption of the drawing whose colours were transferred; None if none were.
    """

    image: Image.Image
    task: Task
    removed: Degradation
    prompt: str | None
    model: str
    coloured_as: str | None = None

    @property
    def summary(self) -> str:
        """A sentence on what was removed."""
        r = self.removed
        said = {
            "noise": f"noise of {255 * r.noise:.1f} of 255", "blur": f"blur of {r.blur:.1f} pixels",
            "jpeg": f"JPEG of about quality {100 - 95 * r.jpeg:.0f}",
            "fade": f"colours faded by {100 * r.fade:.0f} %", "scratches": "scratches",
            "scale": f"enlarged {r.scale} times",
            "grey": "coloured" if self.coloured_as is None else f"coloured as {self.coloured_as!r}",
        }  # fmt: skip
        if self.task == "colorize" and not r.grey:
            said["scale"] = f"{said['scale']}, left grey" if r.scale > 1 else ""
            return said["scale"] or "left grey: it is like no drawing that is known"
        return ", ".join(text for name, text in said.items() if name in r.given) or "nothing found"

    def save(
        self, path: str | Path, *, quality: int | None = None, exclusive: bool = False
    ) -> Path:
        """Write the picture with its record; see :func:`limner.generation.files.write_image`."""
        return write_image(self.image, Path(path), self.texts, quality=quality, exclusive=exclusive)

    @property
    def texts(self) -> dict[str, str]:
        """Text chunks of the file: the record, and a readable form of it for picture viewers."""
        record = RestorationRecord(
            limner=limner.__version__, task=self.task, scale=cast(Scale, self.removed.scale),
            prompt=self.prompt, removed=self.removed.given, coloured_as=self.coloured_as,
            model=self.model,
        )  # fmt: skip
        readable = f"restored ({self.task}): {self.summary}, Model hash: {self.model}"
        return {CHUNK: record.model_dump_json(), READABLE_CHUNK: readable}


class Restorer:
    """Restores pictures.

    Args:
        model: a model file, a run folder or the name of a shipped model; None for the shipped
            restorer.
        device: as for :func:`limner.load`.
        threads: CPU threads of the whole process; None leaves torch's own choice.
        most_pixels: limit on a picture's pixels, before and after.

    Raises:
        ModelFileError: the file is missing or damaged.
        UsageError: the model does not restore pictures, or the device is not available.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        device: str = "cpu",
        threads: int | None = None,
        most_pixels: int = MOST_PIXELS,
    ) -> None:
        set_threads(threads)
        found = load_capable(
            find_model(model, SHIPPED_RESTORER), Capability.RESTORE, "restores pictures",
            device=device,
        )  # fmt: skip
        self.model, self.encoder = cast(RestorerModel, found.model), found.encoder
        self.device, self.hash = found.device, file_hash(found.path)
        self.most_pixels = most_pixels
        # A restorer of the user's own colours pictures by itself.
        self._carries = spec_of(found.path, SHIPPED_RESTORER) == SHIPPED

    def restore(
        self,
        picture: PictureLike,
        task: str = "auto",
        *,
        scale: int | None = None,
        prompt: str | None = None,
        on_progress: Progress | None = None,
    ) -> Restored:
        """Restore a picture.

        Args:
            picture: given in any way (see :data:`limner.vision.images.PictureLike`). It is not
                changed.
            task: ``denoise``, ``deblur``, ``deblock`` (JPEG), ``upscale`` or ``colorize``; ``auto``
                removes the degradations it detects, but does not colour. The shipped restorer takes
                colours from drawings that the shipped model knows
                (:mod:`limner.generation.colouring`).
            scale: 2 or 4 to enlarge as well; None for 2 if the task is ``upscale``, else for 1.
            prompt: what the picture shows.
            on_progress: called with (done, total) of the picture's tiles.

        Raises:
            UsageError: the task or the scale is unknown, or the picture would be too large.
            DataError: the picture cannot be read, is too large or animated.
            PromptError: the prompt is refused.
        """
        if not isinstance(task, str) or task not in _REMOVES:
            raise UsageError(f"there is no task {task!r}; choose one of: {', '.join(_REMOVES)}")
        asked: Task = task
        if scale is None:
            scale = 2 if asked == "upscale" else 1
        if scale not in SCALES or (asked == "upscale" and scale == 1):
            raise UsageError(f"the scale is 2 or 4, not {scale!r}")
        colours, alpha = _read(picture, self.most_pixels)
        width, height = (scale * side for side in colours.size)
        if width * height > self.most_pixels:
            raise UsageError(
                f"the picture would have {width} x {height} pixels, and at most "
                f"{self.most_pixels:,} are drawn; give a smaller picture or scale"
            )
        pixels = np.asarray(colours)
        told, grey = self._told(pixels, asked, scale), _is_grey(pixels)
        if asked == "colorize":
            colours = colours.convert("L").convert("RGB")
            pixels, grey = np.asarray(colours), True
            told = replace(told, grey=not self._carries)
        if told == Degradation():
            image = colours
        else:
            text = None if prompt is None else self.encoder.encode([prompt])
            image = Image.fromarray(self._restored(pixels, told, text, on_progress))
            if grey and not told.grey:
                image = image.convert("L").convert("RGB")
        coloured: Coloured | None = None
        if asked == "colorize" and self._carries:
            coloured = self._colourist.coloured(np.asarray(image.convert("L")), prompt)
            if coloured is not None:
                image, told = Image.fromarray(coloured.pixels), replace(told, grey=True)
        if alpha is not None:
            image.putalpha(alpha.resize(image.size, Image.Resampling.BICUBIC))
        shown = None if coloured is None else coloured.shown
        return Restored(image, asked, told, prompt, self.hash, shown)

    @cached_property
    def _colourist(self) -> Colourist:
        return Colourist(self.device)

    def _told(self, pixels: NDArray[np.uint8], task: Task, scale: int) -> Degradation:
        """The degradation to remove from ``(H, W, 3)`` pixels, the condition of the network."""
        names = _REMOVES[task]
        found = self.estimate(pixels) if set(names) & set(ESTIMATED) else Degradation()
        if task == "auto":
            names = tuple(n for n in names if getattr(found, n) >= getattr(_LEAST, n))
        if "blur" in names and found.noise <= _CLEAN.noise and found.jpeg <= _CLEAN.jpeg:
            found = replace(found, blur=_blur(pixels, found.blur))
        fixed = {"scale": scale, "grey": task == "colorize"}
        return Degradation(**{**asdict(found.only(*(n for n in names if n != "grey"))), **fixed})

    @torch.inference_mode()
    def estimate(self, pixels: NDArray[np.uint8]) -> Degradation:
        """Estimate the degradation of a picture of ``(H, W, 3)`` pixels.

        The estimates of several crops are averaged, weighted by their certainty. The JPEG
        quality is exact if quantisation steps are found (:mod:`limner.vision.jpeg`).
        """
        parts = [_tensor(_padded(pixels[box], 4)) for box in _probes(*pixels.shape[:2])]
        levels, errors = self.model.estimate(torch.cat(parts).to(self.device))
        weights = errors**-2  # zero for an infinite error
        mean = (levels * weights).sum(0) / weights.sum(0).clamp_min(1e-12)
        found, trace = from_levels(mean.cpu().numpy()), jpeg_trace(pixels)
        if trace.quality is not None:
            return replace(found, jpeg=(100 - trace.quality) / 95)
        # A picture that was compressed and then edited has no quantisation steps left.
        return replace(found, jpeg=0.0) if trace.known and found.jpeg < _DOUBTFUL else found

    @torch.inference_mode()
    def _restored(
        self, pixels: NDArray[np.uint8], told: Degradation, text: TextFeatures | None,
        on_progress: Progress | None = None, tile: int = _TILE,
    ) -> NDArray[np.uint8]:  # fmt: skip
        """The restored ``(H * scale, W * scale, 3)`` pixels, computed tile by tile."""
        scale, model = told.scale, self.model
        height, width = (scale * side for side in pixels.shape[:2])
        out = np.empty((height, width, 3), np.uint8)
        if text is not None:
            text = text.padded(model.config.max_tokens).to(self.device)
        levels = torch.from_numpy(told.levels)[None].to(self.device)
        condition = model.condition(levels, text)
        tile -= tile % model.stride
        boxes = [(y, x) for y in range(0, height, tile) for x in range(0, width, tile)]
        for done, (y, x) in enumerate(boxes):
            rows, columns = (
                slice(max(0, at - model.reach), min(full, at + tile + model.reach))
                for at, full in ((y, height), (x, width))
            )
            part = _padded(_enlarged_part(pixels, scale, rows, columns), model.stride)
            found = model(_tensor(part).to(self.device), condition)
            top, left = y - rows.start, x - columns.start
            bottom, right = top + min(tile, height - y), left + min(tile, width - x)
            core = found[0, :, top:bottom, left:right].permute(1, 2, 0)
            out[y : y + tile, x : x + tile] = (
                ((core + 1) * 127.5).round_().clamp_(0, 255).byte().cpu().numpy()
            )
            if on_progress is not None:
                on_progress(done + 1, len(boxes))
        return out


@cache
def _shipped() -> Restorer:
    return Restorer()


def restore(
    picture: PictureLike,
    task: str = "auto",
    *,
    scale: int | None = None,
    prompt: str | None = None,
) -> Restored:
    """Restore a picture with the shipped restorer; see :meth:`Restorer.restore`."""
    return _shipped().restore(picture, task, scale=scale, prompt=prompt)


def _read(given: PictureLike, most_pixels: int) -> tuple[Image.Image, Image.Image | None]:
    """The RGB picture and its alpha channel, from any kind of input."""
    picture = image_or_file(given)
    if isinstance(picture, Image.Image):
        if picture.width * picture.height > most_pixels:
            raise DataError(f"the picture cannot be restored: more than {most_pixels:,} pixels")
        clear = picture.has_transparency_data
        layer = picture.convert("RGBA" if clear else "RGB")
        return layer.convert("RGB"), layer.getchannel("A") if clear else None
    name = str(picture) if isinstance(picture, Path) else "the picture"
    try:
        return read_still(picture, most_pixels)
    except PictureError as error:
        raise DataError(f"{name} cannot be restored: {error}") from error


def _is_grey(pixels: NDArray[np.uint8]) -> bool:
    """Whether a picture ``(H, W, 3)`` is grey."""
    return all(np.array_equal(pixels[..., 0], pixels[..., other]) for other in (1, 2))


def _blur(pixels: NDArray[np.uint8], otherwise: float) -> float:
    """Estimate blur from the edges of a picture ``(H, W, 3)``; the given value if that fails.

    For large pictures, crops spread over it are used.
    """
    height, width = pixels.shape[:2]
    whole = max(height, width) <= _PLACE * _PLACES
    boxes = [(slice(None), slice(None))] if whole else _probes(height, width, _PLACE, _PLACES)
    parts = (np.asarray(pixels[box].transpose(2, 0, 1) / 255, np.float32) for box in boxes)
    found = edge_blur(luma(part)[0] for part in parts)
    return otherwise if found is None else found


def _probes(
    height: int, width: int, probe: int = _PROBE, most: int = _PROBES
) -> Iterator[tuple[slice, slice]]:
    """Crops of a picture, evenly spread over it."""
    sides = []
    for length in (height, width):
        count = min(most, max(1, length // probe))
        last = max(0, length - probe) // 8  # aligned with the blocks of JPEG
        starts = (np.linspace(0, last, count).round().astype(int) * 8).tolist()
        sides.append([slice(start, start + probe) for start in starts])
    return ((rows, columns) for rows in sides[0] for columns in sides[1])


def _padded(pixels: NDArray[Any], multiple: int) -> NDArray[Any]:
    """``(H, W, 3)`` pixels whose edges are repeated until both sides are multiples."""
    more = [-side % multiple for side in pixels.shape[:2]]
    return np.pad(pixels, ((0, more[0]), (0, more[1]), (0, 0)), "edge") if any(more) else pixels


def _tensor(pixels: NDArray[Any]) -> torch.Tensor:
    """``(1, 3, H, W)`` in [-1, 1] of pixels of 0 to 255, laid out channels last."""
    found = torch.from_numpy(np.ascontiguousarray(pixels, np.float32))
    return found.permute(2, 0, 1)[None].div_(127.5).sub_(1)


def _enlarged_part(
    pixels: NDArray[np.uint8], scale: int, rows: slice, columns: slice
) -> NDArray[Any]:
    """Rows and columns of an enlarged picture without the rest: ``(h, w, 3)`` of 0 to 255."""
    if scale == 1:
        return pixels[rows, columns]
    inner, boxes = [], []
    for wanted, full in zip((rows, columns), pixels.shape, strict=False):
        first = max(0, wanted.start // scale - _EDGE)
        last = min(full, -(-wanted.stop // scale) + _EDGE)
        boxes.append(slice(first, last))
        inner.append(slice(wanted.start - first * scale, wanted.stop - first * scale))
    small = (pixels[boxes[0], boxes[1]].astype(np.float32) / 255).transpose(2, 0, 1)
    large = enlarged(np.ascontiguousarray(small), small.shape[2] * scale, small.shape[1] * scale)
    return large[:, inner[0], inner[1]].transpose(1, 2, 0) * 255
