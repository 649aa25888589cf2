"""Plots as inline SVG text, in the colours of the page they stand on: no library, no script."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from limner.evaluation.report import number

_WIDTH, _HEIGHT = 520, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 18, 14, 44
_LETTER = 6.4  # width of a 12-px letter, about


@dataclass(frozen=True)
class Axis:
    """Values from ``low`` to ``high`` to pixels from ``start`` to ``end``.

    Where it is logarithmic, both values are positive.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    @classmethod
    def around(
        cls, values: Sequence[float], start: float, end: float, *, log: bool = False
    ) -> Axis:
        """An axis that holds all values with some air, from zero where they come near it."""
        found = [v for v in values if math.isfinite(v) and (v > 0 or not log)]
        low, high = (min(found), max(found)) if found else (1.0, 10.0)
        if log:
            if high / low < 1.5:
                low, high = low / 1.5, high * 1.5
            air = (high / low) ** 0.08
            return cls(low / air, high * air, start, end, log=True)
        low = 0.0 if 0 <= low < 0.5 * high else low
        span = (high - low) or abs(high) or 1.0
        return cls(low if low == 0.0 else low - 0.06 * span, high + 0.06 * span, start, end)

    def at(self, value: float) -> float:
        """The pixel of a value; values beyond the axis are drawn at its end."""
        value = min(max(value, self.low), self.high)
        if self.log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round values to mark."""
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            for steps in ((1, 2, 5), (1, 3), (1,)):
                marks = [s * 10.0**p for p in powers for s in steps]
                marks = [m for m in marks if self.low <= m <= self.high]
                if len(marks) <= 6:
                    break
            return marks
        rough = (self.high - self.low) / 5
        power = 10.0 ** math.floor(math.log10(rough))
        step = next((s * power for s in (1, 2, 5) if s * power >= rough), 10 * power)
        first = math.ceil(self.low / step)
        return [i * step for i in range(first, math.floor(self.high / step) + 1)]


def _frame(parts: Sequence[str], title: str, height: int = _HEIGHT) -> str:
    return (
        f'<svg class="plot" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="{escape(title, quote=True)}">{"".join(parts)}</svg>'
    )


def _text(x: float, y: float, text: str, anchor: str = "start", kind: str = "label") -> str:
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _axes(x: Axis, y: Axis, x_name: str, y_name: str) -> list[str]:
    parts = []
    for tick in y.ticks():
        parts.append(_line(x.start, y.at(tick), x.end, y.at(tick), "gridline"))
        parts.append(_text(x.start - 7, y.at(tick) + 4, number(tick), "end", "tick"))
    for tick in x.ticks():
        parts.append(_line(x.at(tick), y.start, x.at(tick), y.start + 4, "axis"))
        parts.append(_text(x.at(tick), y.start + 17, number(tick), "middle", "tick"))
    parts.append(_line(x.start, y.start, x.end, y.start, "axis"))
    parts.append(_text((x.start + x.end) / 2, y.start + 36, x_name, "middle", "name"))
    parts.append(
        f'<text class="name" text-anchor="middle" '
        f'transform="translate(13 {(y.start + y.end) / 2:.1f}) rotate(-90)">{escape(y_name)}</text>'
    )
    return parts


@dataclass(frozen=True)
class Point:
    """One mark of a scatter plot: a name beside it, values, and a number of the palette."""

    name: str
    x: float
    y: float
    colour: int


def scatter(
    points: Sequence[Point],
    x_name: str,
    y_name: str,
    *,
    x_log: bool = False,
    y_log: bool = False,
    levels: Sequence[tuple[str, float]] = (),
) -> str:
    """Marks with their names beside them, and levels to reach: (name, value of y)."""
    x = Axis.around([p.x for p in points], _LEFT, _WIDTH - _RIGHT, log=x_log)
    ys = [*(p.y for p in points), *(value for _, value in levels)]
    y = Axis.around(ys, _HEIGHT - _BOTTOM, _TOP, log=y_log)
    parts = _axes(x, y, x_name, y_name)
    for name, value in levels:
        parts.append(_line(x.start, y.at(value), x.end, y.at(value), "level"))
        parts.append(_text(x.end, y.at(value) - 5, name, "end", "tick"))
    taken: list[tuple[float, float, float]] = []
    for p in sorted(points, key=lambda p: (y.at(p.y), x.at(p.x))):
        px, py = x.at(p.x), y.at(p.y)
        width = _LETTER * len(p.name)
        left = px + 10 + width > _WIDTH - 4
        first = px - 10 - width if left else px + 10
        line = py + 4
        while any(abs(line - h) < 14 and first < b and a < first + width for a, b, h in taken):
            line += 14
        taken.append((first, first + width, line))
        label = f"{p.name}: {x_name} {number(p.x)}, {y_name} {number(p.y)}"
        parts.append(
            f'<circle class="c{p.colour % 8} mark" cx="{px:.1f}" cy="{py:.1f}" r="5.5">'
            f"<title>{escape(label)}</title></circle>"
        )
        parts.append(_text(px - 10 if left else px + 10, line, p.name, "end" if left else "start"))
    return _frame(parts, f"{y_name} against {x_name}")


def bars(
    rows: Sequence[tuple[str, float, int]],
    name: str,
    *,
    log: bool = False,
    levels: Sequence[tuple[str, float]] = (),
) -> str:
    """Horizontal bars from zero with their values, and levels marked across them.

    A logarithm has no zero to begin at, so that a bar's length would mean nothing: there the
    values are dots.

    Args:
        rows: (name, value, number of the palette).
        name: of the value.
        log: logarithmic.
        levels: (name, value) to mark.
    """
    left = max(_LEFT, 14 + _LETTER * max((len(row[0]) for row in rows), default=0))
    height = 30 * len(rows) + _BOTTOM + 26
    values = [value for _, value, _ in rows] + [value for _, value in levels]
    x = Axis.around(values if log else [0.0, *values], left, _WIDTH - 70, log=log)
    bottom = height - _BOTTOM
    parts = [_line(x.at(t), 20, x.at(t), bottom, "gridline") for t in x.ticks()]
    parts += [_text(x.at(t), bottom + 17, number(t), "middle", "tick") for t in x.ticks()]
    for i, (label, value, colour) in enumerate(rows):
        top = 26 + 30 * i
        end = x.at(value) if math.isfinite(value) else x.start
        parts.append(_text(left - 8, top + 14, label, "end"))
        if log:
            parts.append(_line(x.start, top + 10, end, top + 10, "gridline"))
            mark = f'<circle class="c{colour % 8}" cx="{end:.1f}" cy="{top + 10}" r="6"/>'
        else:
            mark = (
                f'<rect class="c{colour % 8} bar" x="{x.start:.1f}" y="{top}" rx="2" '
                f'width="{max(1.0, end - x.start):.1f}" height="20"/>'
            )
        parts.append(mark)
        parts.append(_text(end + 10, top + 14, number(value), kind="value"))
    for label, value in levels:
        parts.append(_line(x.at(value), 18, x.at(value), bottom, "level"))
        parts.append(_text(x.at(value), 12, f"{label} {number(value)}", "middle", "tick"))
    parts.append(_text((x.start + x.end) / 2, bottom + 36, name, "middle", "name"))
    return _frame(parts, name, height=height)


def lines(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]], x_name: str, y_name: str
) -> str:
    """Curves, name -> (x, y), with a legend above them; logarithmic where every y is positive."""
    ys = [v for _, values in series.values() for v in values if math.isfinite(v)]
    log = bool(ys) and min(ys) > 0
    x = Axis.around([v for xs, _ in series.values() for v in xs], _LEFT, _WIDTH - _RIGHT)
    spans, top = _legend(list(series))
    y = Axis.around(ys, _HEIGHT - _BOTTOM, top, log=log)
    parts = _axes(x, y, x_name, y_name) + spans
    for i, (name, (xs, values)) in enumerate(series.items()):
        pairs = [(a, b) for a, b in zip(xs, values, strict=True) if math.isfinite(b)]
        drawn = " ".join(f"{x.at(a):.1f},{y.at(b):.1f}" for a, b in pairs)
        parts.append(
            f'<polyline class="c{i % 8} curve" points="{drawn}"><title>{escape(name)}</title>'
            f"</polyline>"
        )
    return _frame(parts, f"{y_name} over {x_name}")


def _legend(names: Sequence[str]) -> tuple[list[str], float]:
    """Coloured names in rows at the top, and the pixel below them."""
    parts, x, y = [], float(_LEFT), 14.0
    for i, name in enumerate(names):
        width = 24 + _LETTER * len(name)
        if x + width > _WIDTH - _RIGHT and x > _LEFT:
            x, y = float(_LEFT), y + 16
        parts.append(
            f'<rect class="c{i % 8} bar" x="{x:.1f}" y="{y - 8:.1f}" width="12" height="4" rx="2"/>'
        )
        parts.append(_text(x + 16, y - 2, name, kind="tick"))
        x += width
    return parts, y + 10
