"""Pictures as SVG: traced by vtracer from few flat colours, with the record inside."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape

import numpy as np
import vtracer
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from limner.errors import DataError
from limner.vision.resampling import resample

_SIDE = 512
"""At which pictures are traced."""
_MOST_BYTES = 18_500
"""Of the shapes; with a record of usual length the file stays below 20 kB."""
_FAR_TOO_MANY = 8
"""Times as many bytes as allowed from which on only the fewest colours are tried: noise."""
_APART = (28, 40, 56, 80, 112, 160)
"""Colours nearer to each other than this, of 255, are one; the first that keeps the file small."""
_MOST_COLOURS = 32
_FLAT = 16
"""Largest difference between neighbours inside an area of one colour, of 255."""
_MODE = 7
"""Width of the window whose most frequent colour a pixel takes, so that edges have no others."""
_TRACING: dict[str, Any] = {
    "colormode": "color", "hierarchical": "stacked", "mode": "spline", "filter_speckle": 10,
    "color_precision": 8, "layer_difference": 0, "corner_threshold": 60, "length_threshold": 5.0,
    "splice_threshold": 45, "path_precision": 0,
}  # fmt: skip
_WHITE = 247
_METADATA = "limner"
"""The ``id`` of the ``metadata`` element that holds the record."""
_MAX_FILE = 8 << 20


def to_svg(image: Image.Image, record: str | None = None) -> str:
    """An SVG of an RGB or RGBA picture, of at most about 20 kB.

    Few colours, no shapes of single pixels; the ground is one shape, or none where the picture is
    transparent.

    Args:
        image: to trace.
        record: ASCII text for the ``metadata`` element.
    """
    said = ""
    if record is not None:
        said = f'<metadata id="{_METADATA}">{escape(record)}</metadata>\n'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{image.width}" height="{image.height}" '
        f'viewBox="0 0 {_SIDE} {_SIDE}">\n{said}'
    )
    values = np.asarray(image, np.float32) / np.float32(255)
    pixels = (resample(values, _SIDE, _SIDE) * 255).round().astype(np.uint8)
    colours, counts = _flat_colours(pixels)
    paths, left = "", list(_APART)
    while left:
        paths = _traced(pixels, _joined(colours, counts, left.pop(0)))
        if len(paths) <= _MOST_BYTES:
            break
        if len(paths) > _FAR_TOO_MANY * _MOST_BYTES:
            del left[:-1]
    return f"{head}{paths}</svg>\n"


def _flat_colours(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The colours of a picture's opaque flat areas, ``(N, 3)``, and how often each is there."""
    values = pixels.astype(np.int16)
    steps = np.zeros(values.shape[:2], np.int16)
    for axis in (0, 1):
        step = np.abs(np.diff(values, axis=axis)).max(-1)
        for part in ((0, 1), (1, 0)):
            widths = [part if axis == each else (0, 0) for each in (0, 1)]
            steps = np.maximum(steps, np.pad(step, widths))
    solid = pixels[..., 3] > 127 if pixels.shape[2] == 4 else np.ones(steps.shape, bool)
    flat = solid & (steps < _FLAT)
    chosen = pixels[flat if flat.any() else solid][:, :3]
    if not len(chosen):
        return np.zeros((1, 3), np.uint8), np.ones(1, np.int64)
    found = Image.fromarray(chosen[None]).quantize(
        _MOST_COLOURS, method=Image.Quantize.MEDIANCUT, kmeans=2
    )
    palette = np.asarray(found.getpalette("RGB"), np.uint8).reshape(-1, 3)
    counts = np.bincount(np.asarray(found).ravel(), minlength=len(palette))[: len(palette)]
    return palette[counts > 0], counts[counts > 0]


def _joined(
    colours: NDArray[np.uint8], counts: NDArray[np.int64], apart: float
) -> NDArray[np.uint8]:
    """Colours of which the nearest were joined until all are ``apart``; what is nearly white is."""
    means, weights = colours.astype(np.float64), counts.astype(np.float64)
    while len(means) > 1:
        distance = np.linalg.norm(means[:, None] - means[None], axis=-1)
        distance[np.diag_indices(len(means))] = np.inf
        one, other = sorted(divmod(int(distance.argmin()), len(means)))
        if distance[one, other] >= apart:
            break
        means[one] = np.average(means[[one, other]], 0, weights[[one, other]])
        weights[one] += weights[other]
        means, weights = np.delete(means, other, 0), np.delete(weights, other)
    means[means.min(-1) >= _WHITE] = 255
    return means.round().astype(np.uint8)


def _traced(pixels: NDArray[np.uint8], colours: NDArray[np.uint8]) -> str:
    """The ``path`` elements of a picture in some colours only."""
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.resize(colours, (256, 3)).ravel().tolist())
    indices = Image.fromarray(pixels[..., :3]).quantize(palette=palette, dither=Image.Dither.NONE)
    clear = len(colours)  # the index of what is transparent
    numbers = np.asarray(indices) % clear
    if pixels.shape[2] == 4:
        numbers = np.where(pixels[..., 3] > 127, numbers, clear)
    smooth = Image.fromarray(numbers.astype(np.uint8)).filter(ImageFilter.ModeFilter(_MODE))
    table = np.concatenate([np.pad(colours, ((0, 0), (0, 1)), constant_values=255),
                            np.zeros((1, 4), np.uint8)])  # fmt: skip
    buffer = io.BytesIO()
    Image.fromarray(table[np.asarray(smooth)]).save(buffer, "PNG", compress_level=1)
    svg = vtracer.convert_raw_image_to_svg(buffer.getvalue(), img_format="png", **_TRACING)
    paths = "\n".join(re.findall(r"<path [^>]*/>", svg)) + "\n"
    return paths.replace(' transform="translate(0,0)"', "").replace(' Z "', 'Z"')


def drawing_of(svg: str) -> str:
    """An SVG without its record."""
    return re.sub(r"<metadata .*?</metadata>\n", "", svg, count=1, flags=re.DOTALL)


def read_svg(path: Path) -> str:
    """The text of an SVG file.

    Raises:
        DataError: it cannot be read, is no SVG, or too large.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_FILE + 1)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    if not raw.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<":
        raise DataError(f"{path} is not a PNG, WebP, JPEG or SVG picture")
    if len(raw) > _MAX_FILE:
        raise DataError(f"{path} is an SVG of more than {_MAX_FILE >> 20} MB, which is too large")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is a damaged SVG picture: it is not UTF-8") from error


def read_metadata(path: Path) -> str | None:
    """The text of the ``metadata`` element that limner wrote into an SVG; None without one.

    Document types are refused, and with them all entities of one's own.

    Raises:
        DataError: the file cannot be read, is no SVG, or damaged.
    """
    text = read_svg(path)
    found: list[str] = []
    inside = False

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal inside
        inside = name.rpartition(":")[2] == "metadata" and attributes.get("id") == _METADATA

    def end(_name: str) -> None:
        nonlocal inside
        inside = False

    def data(part: str) -> None:
        if inside:
            found.append(part)

    def refuse(*_: object) -> None:
        raise DataError(f"{path} declares a document type, which limner does not read")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = data, refuse
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        raise DataError(f"{path} is a damaged SVG picture: {error}") from error
    return "".join(found) if found else None
