"""Traced pictures, rendered back by resvg."""

from __future__ import annotations

import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
import resvg_py
from PIL import Image

from limner.generation.svg import drawing_of, read_metadata, to_svg

DRAWING = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64"><circle cx="32" cy="36" r="20" '
    'fill="#e33"/><path d="M10 12 L54 12 L32 30 Z" fill="#26b"/><rect x="26" y="38" width="12" '
    'height="7" fill="#fff"/></svg>'
)


def rendered(svg: str, side: int, background: str | None = "white") -> Image.Image:
    png = resvg_py.svg_to_bytes(svg_string=svg, width=side, height=side, background=background)
    return Image.open(io.BytesIO(bytes(png))).convert("RGB" if background else "RGBA")


def test_looks_like_the_picture():
    picture = rendered(DRAWING, 256)
    svg = to_svg(picture)
    apart = np.abs(np.asarray(rendered(svg, 256), float) - np.asarray(picture))
    assert apart.mean() < 1.5 and (apart.max(-1) > 40).mean() < 0.015
    fills = re.findall(r'fill="(#\w+)"', svg)
    assert len(set(fills)) == 3 and 4 <= len(fills) <= 8  # ground, disc, triangle, hole
    assert fills[0].upper() == "#FFFFFF" and len(svg) < 6000
    # And at any size: the true drawing at another one.
    large = np.asarray(rendered(svg, 800), float)
    assert np.abs(large - np.asarray(rendered(DRAWING, 800))).mean() < 1.5


def test_transparent_ground_has_no_shape():
    svg = to_svg(rendered(DRAWING, 256, None))
    found = np.asarray(rendered(svg, 64, None))
    true = np.asarray(rendered(DRAWING, 64, None))
    assert (np.abs(found[..., 3].astype(int) - true[..., 3]) > 128).mean() < 0.01
    assert found[0, 0, 3] == 0 and (found[40, 32] == (255, 255, 255, 255)).all()


def test_noise_stays_small_and_has_no_shards():
    rng = np.random.default_rng(0)
    noisy = np.asarray(rendered(DRAWING, 256)) + rng.normal(0, 25, (256, 256, 3))
    svg = to_svg(Image.fromarray(noisy.clip(0, 255).astype(np.uint8)))
    assert len(svg) <= 40_000
    (empty,) = (to_svg(Image.new("RGBA", (64, 64))),)
    assert "<path" not in empty


@pytest.mark.parametrize("record", ['{"prompt": "a </metadata> & \\"b\\""}', "{}"])
def test_the_record_inside(tmp_path, record):
    picture = rendered(DRAWING, 64)
    svg = to_svg(picture, record)
    root = ElementTree.fromstring(svg)
    assert root.find("{http://www.w3.org/2000/svg}metadata").text == record
    (tmp_path / "a.svg").write_text(svg)
    assert read_metadata(tmp_path / "a.svg") == record
    assert drawing_of(svg) == drawing_of(to_svg(picture))
