"""Holes of symmetric pictures, against the pictures before they had holes."""

from __future__ import annotations

import io

import numpy as np
import pytest
import resvg_py
import torch
from PIL import Image

from limner.vision.pixels import to_tensor
from limner.vision.symmetry import mirrored

SIDE = 96
FACE = (
    '<circle cx="48" cy="48" r="34" fill="#fc3" stroke="#222" stroke-width="3"/>'
    '<circle cx="36" cy="40" r="5" fill="#222"/><circle cx="60" cy="40" r="5" fill="#222"/>'
    '<rect x="34" y="60" width="28" height="6" rx="3" fill="#a22"/>'
)
TWO = '<circle cx="24" cy="48" r="16" fill="#c22"/><circle cx="72" cy="48" r="16" fill="#c22"/>'
CAR = (
    '<path d="M8 60 L30 36 L58 36 L64 52 L88 56 L88 72 L8 72 Z" fill="#26c"/>'
    '<circle cx="26" cy="72" r="8" fill="#222"/><rect x="40" y="40" width="14" height="10" '
    'fill="#bdf"/><circle cx="80" cy="60" r="3" fill="#fd3"/>'
)


def drawn(shapes: str, turned: int = 0) -> torch.Tensor:
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIDE} {SIDE}">'
        f'<g transform="rotate({turned} 48 48)">{shapes}</g></svg>'
    )
    png = resvg_py.svg_to_bytes(svg_string=svg, width=SIDE, height=SIDE, background="white")
    return to_tensor(np.asarray(Image.open(io.BytesIO(bytes(png))).convert("RGB"))[None])[0]


def hidden(picture: torch.Tensor, rows: slice, columns: slice) -> tuple[torch.Tensor, torch.Tensor]:
    hole = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    hole[rows, columns] = True
    return torch.where(hole, torch.zeros(()), picture), hole


@pytest.mark.parametrize(("turned", "least"), [(0, 0.5), (90, 0.3)])
def test_what_is_opposite_fills_the_hole(turned, least):
    """About a vertical axis, and the outline about a horizontal one; the rest is left."""
    face = drawn(FACE, turned)
    found, left = mirrored(*hidden(face, slice(10, 56), slice(6, 54)))
    hole = hidden(face, slice(10, 56), slice(6, 54))[1]
    new = hole & ~left
    assert new.sum() > least * hole.sum() and left.any()
    assert (found - face).abs()[:, new].mean() < 0.02
    assert torch.equal(found[:, ~hole], face[:, ~hole])


def test_an_axis_beside_the_middle_is_found():
    face = torch.roll(drawn(FACE), 9, -1)
    found, left = mirrored(*hidden(face, slice(20, 60), slice(70, 96)))
    assert not left.any() and (found - face).abs().mean() < 0.01


WHEEL = (
    '<circle cx="48" cy="48" r="36" fill="#fff" stroke="#222" stroke-width="5"/>'
    '<g fill="#26c"><path d="M48 48 L52 14 L72 20 Z"/><path d="M48 48 L82 52 L76 72 Z"/>'
    '<path d="M48 48 L44 82 L24 76 Z"/><path d="M48 48 L14 44 L20 24 Z"/></g>'
)
ARROW = '<path d="M14 24 L14 14 L24 14 L30 20 L76 66 L82 72 L82 82 L72 82 L66 76 L20 30 Z" '
SLASH = ARROW + 'fill="#282"/><circle cx="70" cy="26" r="9" fill="#c22"/>'


@pytest.mark.parametrize(
    ("shapes", "rows", "columns"),
    [
        (WHEEL, slice(44, 90), slice(50, 90)),  # turned by a quarter, of no axis
        (SLASH, slice(30, 58), slice(4, 48)),  # about a diagonal
    ],
)
def test_what_is_turned_or_about_a_diagonal_is_found(shapes, rows, columns):
    picture = drawn(shapes)
    found, left = mirrored(*hidden(picture, rows, columns))
    new = hidden(picture, rows, columns)[1] & ~left
    assert new.sum() > 0.5 * hidden(picture, rows, columns)[1].sum()
    assert float((found - picture).abs()[:, new].mean()) < 0.03


def test_a_picture_that_is_not_symmetric_stays():
    picture, hole = hidden(drawn(CAR), slice(30, 70), slice(56, 92))
    found, left = mirrored(picture, hole)
    assert torch.equal(found, picture) and torch.equal(left, hole)


def test_a_thing_that_was_taken_away_whole_does_not_come_back():
    both = drawn('<rect x="10" y="76" width="76" height="8" fill="#684"/>' + TWO)
    found, left = mirrored(*hidden(both, slice(28, 70), slice(52, 92)))
    hole = hidden(both, slice(28, 70), slice(52, 92))[1]
    assert left[48, 72] and left.sum() < 0.7 * hole.sum()
    assert (found[:, hole & ~left] > 0.9).all(), "the background around it is filled"


def test_nothing_but_background_and_a_hole_at_every_edge():
    white = torch.ones(3, SIDE, SIDE)
    for picture, hole in (
        hidden(white, slice(20, 60), slice(20, 60)),
        (white, torch.ones(SIDE, SIDE, dtype=torch.bool)),
    ):
        found, _ = mirrored(picture, hole)
        assert torch.isfinite(found).all()


RING = (
    '<rect x="10" y="10" width="76" height="76" rx="20" fill="#26c" stroke="#222" '
    'stroke-width="5"/>'
)


def test_one_symmetry_goes_on_where_another_ends():
    """Each of two holes crosses the axis by which only the other one can be filled."""
    picture, hole = drawn(RING), torch.zeros(SIDE, SIDE, dtype=torch.bool)
    hole[2:30, 34:62] = True  # on the vertical axis
    hole[34:62, 2:30] = True  # on the horizontal one
    found, left = mirrored(torch.where(hole, torch.zeros(()), picture), hole)
    assert not left.any()
    assert (found - picture).abs().mean() < 0.01
