"""What is on the ground of a place: tufts of grass, grains of sand, the line of a road, a counter.

A few strokes, paler than any thing, by which a meadow is told from a green floor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from limner.arrays import Floats

_DARKER = 0.86
"""Colour of tufts, of the ground's."""
_TUFTS, _GRAINS, _FLAKES = 13, 26, 20
"""How many there are."""
_LINE, _LINE_COLOUR = (0.05, 0.3, 0.14), (0.93, 0.91, 0.82)
"""First place, distance and length of the dashes of a road's line, of the side; their colour."""
_SKIRTING = 0.022
"""Height of a skirting board, of the side."""
COUNTER, _WORKTOP, _DOORS = 0.2, 0.022, 5
"""Height of a kitchen's counter and of its worktop, of the side; how many doors it has."""
_WOOD, _FRONT, _GAP, _KNOB = (
    (0.72, 0.55, 0.4),
    (0.95, 0.94, 0.9),
    (0.82, 0.81, 0.77),
    (0.6, 0.6, 0.6),
)


class Stroke(NamedTuple):
    """A straight stroke with round ends, or a dot; in shares of the picture's side."""

    x: float
    y: float
    radius: float
    right: float = 0.0
    down: float = 0.0


def draw(canvas: Floats, stroke: Stroke, colour: Floats, strength: float = 0.95) -> None:
    """Draw a stroke, in place."""
    side = len(canvas)
    radius = max(0.5, stroke.radius * side)
    ends = np.array([(stroke.x, stroke.y), (stroke.x + stroke.right, stroke.y + stroke.down)])
    low = np.maximum((ends.min(0) * side - radius - 1).astype(int), 0)
    high = np.maximum((ends.max(0) * side + radius + 2).astype(int), 0)
    part = canvas[low[1] : high[1], low[0] : high[0]]
    rows, columns = np.mgrid[low[1] : low[1] + part.shape[0], low[0] : low[0] + part.shape[1]]
    points = np.stack([columns + 0.5, rows + 0.5], -1) / side - ends[0]
    along = ends[1] - ends[0]
    share = np.clip(points @ along / max(float(along @ along), 1e-9), 0, 1)[..., None]
    far = np.linalg.norm(points - share * along, axis=-1) * side - radius
    cover = (strength * np.clip(0.5 - far, 0, 1))[..., None].astype(np.float32)
    part += cover * (colour - part)


def _tufts(canvas: Floats, horizon: float, rng: np.random.Generator) -> None:
    """Two or three blades of grass here and there, larger in front."""
    for x, y in _spread(_TUFTS, horizon, rng):
        near = 0.4 + 0.6 * (y - horizon) / (1 - horizon)
        colour = _ground_at(canvas, x, y) * np.float32(_DARKER)
        for lean in (-0.45, 0.0, 0.45):
            high = -0.03 * near * (1 - 0.3 * abs(lean))
            draw(canvas, Stroke(x, y, 0.004 * near, 0.024 * near * lean, high), colour, 0.8)


def _grains(canvas: Floats, horizon: float, rng: np.random.Generator) -> None:
    """Grains of sand, or small stones."""
    for x, y in _spread(_GRAINS, horizon, rng):
        radius = 0.003 + 0.003 * (y - horizon) / (1 - horizon)
        draw(canvas, Stroke(x, y, radius), _ground_at(canvas, x, y) * np.float32(0.9), 0.8)


def _drifts(canvas: Floats, horizon: float, rng: np.random.Generator) -> None:
    """Short bluish strokes in the snow."""
    for x, y in _spread(_FLAKES, horizon, rng):
        near = 0.4 + 0.6 * (y - horizon) / (1 - horizon)
        colour = _ground_at(canvas, x, y) * np.array((0.93, 0.95, 0.98), np.float32)
        draw(canvas, Stroke(x, y, 0.004 * near, right=0.05 * near), colour, 0.8)


def _road(canvas: Floats, horizon: float, _rng: np.random.Generator) -> None:
    """The dashed line of a road."""
    first, step, length = _LINE
    y = horizon + 0.86 * (1 - horizon)
    colour = np.array(_LINE_COLOUR, np.float32) * np.float32(_brightness(canvas, horizon))
    for x in np.arange(first, 1, step).tolist():
        draw(canvas, Stroke(x, y, 0.007, right=length), colour, 0.9)


def _skirting(canvas: Floats, horizon: float, _rng: np.random.Generator) -> None:
    """A board along the foot of the wall."""
    side = len(canvas)
    rows = slice(round((horizon - _SKIRTING) * side), round(horizon * side))
    canvas[rows] += np.float32(0.6) * (1 - canvas[rows])


def _counter(canvas: Floats, horizon: float, _rng: np.random.Generator) -> None:
    """A kitchen's cupboards below a worktop, along the wall."""
    side = len(canvas)
    top, edge, foot = (round(y * side) for y in (horizon - COUNTER, horizon - COUNTER + _WORKTOP,
                                                 horizon))  # fmt: skip
    canvas[top:edge] = _WOOD
    canvas[edge:foot] = _FRONT
    gap, knob = np.array(_GAP, np.float32), np.array(_KNOB, np.float32)
    upper, high = horizon - COUNTER + 2 * _WORKTOP, COUNTER - 3 * _WORKTOP
    for door in range(_DOORS):
        x = door / _DOORS
        draw(canvas, Stroke(x, upper, 0.003, down=high), gap)
        aside = 0.85 if door % 2 == 0 else 0.15
        draw(canvas, Stroke(x + aside / _DOORS, upper + 0.35 * high, 0.007), knob)


MARKINGS: Mapping[str, Callable[[Floats, float, np.random.Generator], None]] = {
    "tufts": _tufts, "grains": _grains, "drifts": _drifts, "road": _road,
    "skirting": _skirting, "counter": _counter,
}  # fmt: skip
"""Kinds of markings: they are drawn in place on a canvas whose ground begins at a height."""


def _spread(count: int, horizon: float, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Places on the ground, one in each of as many columns."""
    rows = rng.permutation(count)
    return [
        (
            (column + float(rng.uniform(0.2, 0.8))) / count,
            horizon + (1 - horizon) * (0.22 + 0.75 * (row + float(rng.uniform())) / count),
        )
        for column, row in enumerate(rows.tolist())
    ]


def _ground_at(canvas: Floats, x: float, y: float) -> Floats:
    """The colour ``(3,)`` at a place in shares of the side."""
    side = len(canvas)
    colour: Floats = canvas[min(int(y * side), side - 1), min(int(x * side), side - 1)].copy()
    return colour


def _brightness(canvas: Floats, horizon: float) -> float:
    """How light the ground is, from night to day."""
    return float(np.clip(canvas[round((horizon + 1) / 2 * (len(canvas) - 1))].mean() / 0.6, 0.4, 1))
