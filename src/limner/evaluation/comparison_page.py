"""A comparison as one HTML page that needs nothing beside it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from limner.evaluation.page import (
    document,
    failures,
    figure_of,
    framed,
    how_measured,
    section,
    table,
    warning_box,
)
from limner.evaluation.plots import Point, bars, lines, scatter
from limner.evaluation.reference import FIGURES, FigureType
from limner.evaluation.report import ContactSheet, number

if TYPE_CHECKING:
    from limner.evaluation.comparison import Comparison, ModelScores
    from limner.metrics.intervals import Interval

_LEAST_LOSSES = 1e-12
_MODEL = "<th><button>model</button></th>"

FACTS = (
    FigureType("parameters", "parameters", "numbers in the model file"),
    FigureType("pictures", "training pictures", "shown while training"),
    FigureType("minutes", "minutes", "of training, by the clock"),
    FigureType("cpu_seconds", "CPU s", "processor seconds of the training process"),
    FigureType("pictures_per_second", "trained/s", "pictures a second while training", "higher"),
    FigureType("ms_1", "ms at 1", "milliseconds for one picture", "lower"),
    FigureType("ms_64", "ms at 64", "milliseconds a picture when 64 are drawn at once", "lower"),
    FigureType("training_mb", "MB to train", "peak memory of the training process", "lower"),
    FigureType("sampling_mb", "MB to draw", "peak memory of a process that draws", "lower"),
)
_SENTENCES = (
    ("features", "feature network"),
    ("features_hash", "its hash"),
    ("store", "real pictures"),
    ("filters", "only where their metadata says"),
    ("languages", "and of their captions those in"),
    ("real", "how many of them"),
    ("store_fingerprint", "their fingerprint"),
    ("holdout", "held-out real pictures"),
    ("holdout_fingerprint", "their fingerprint"),
    ("samples", "pictures drawn of each model"),
    ("upper_bound_samples", "held-out real pictures measured"),
    ("lower_bound_samples", "pictures of noise measured"),
    ("nearest_samples", "pictures whose nearest is searched for"),
    ("k_precision_recall", "k of precision and recall"),
    ("k_density_coverage", "k of density and coverage"),
)


def comparison_page(result: Comparison) -> str:
    """A comparison as one page."""
    quality = "Click a column to sort. In brackets: 95 % intervals, " + (
        "over the training seeds."
        if any(each.seeds for each in result.models)
        else "over the choice of drawn pictures; they do not cover the chance of training "
        "(--seeds does)."
    )
    parts = [
        _head(result),
        warning_box(result.warnings),
        failures("What failed", result.failures, failed=True),
        _table(result, FIGURES, "Quality", quality),
        _quality_plots(result),
        _sheets(result),
        _table(result, FACTS, "Cost", "", bounds=False),
        _cost_plots(result),
        _classes(result),
        _curves(result),
        _protocol(result),
    ]
    return document(f"limner compare: {result.protocol.get('store')}", parts)


def _head(result: Comparison) -> str:
    budget, protocol = result.budget, result.protocol
    trained = (
        f"trained {number(budget['minutes'])} minutes"
        if budget.get("minutes") is not None
        else (f"trained {budget['steps']:,} steps" if budget.get("steps") else "as they are")
    )
    at_once, threads, seeds = (
        budget.get("at_once", 1), budget.get("threads"), budget.get("seeds", 1),
    )  # fmt: skip
    how = f"{at_once} at a time" if at_once > 1 else "one after the other"
    how += f", {threads} threads each" if threads else ""
    how += f", {seeds} seeds each" if seeds > 1 else ""
    return (
        f"<h1>{len(result.models)} models on {escape(str(protocol.get('store')))}</h1>"
        f'<p class="soft">{escape(result.date)} · {escape(result.machine)} · limner '
        f"{escape(result.limner)} · {escape(trained)}, {how}</p>"
        f'<p class="lead">{escape(result.headline())}.</p>'
    )


def _best(models: Sequence[ModelScores], column: FigureType) -> float | None:
    values = (each.value(column.key) for each in models)
    found = [value for value in values if value is not None and math.isfinite(value)]
    if not column.direction or len(found) < 2:
        return None
    return min(found) if column.direction == "lower" else max(found)


def _cell(
    value: float | None,
    column: FigureType,
    best: float | None = None,
    between: Interval | None = None,
) -> str:
    if value is None or not math.isfinite(value):
        return '<td data-value="">–</td>'
    mark = ' class="best"' if value == best else ""
    ends = " to ".join(number(end * column.scale) for end in between or ())
    more = f" <small>({ends})</small>" if ends else ""
    return f'<td{mark} data-value="{value!r}">{number(value * column.scale)}{more}</td>'


def _table(
    result: Comparison, columns: Sequence[FigureType], title: str, note: str, *, bounds: bool = True
) -> str:
    shown = [c for c in columns if any(e.value(c.key) is not None for e in result.models)]
    if not shown:
        return ""
    head = (
        f'<th title="{escape(c.description, quote=True)}"><button>{escape(c.title)}</button></th>'
        for c in shown
    )
    best = {c.key: _best(result.models, c) for c in shown}
    rows = [
        _row(e, i, (_cell(e.value(c.key), c, best[c.key], e.intervals.get(c.key)) for c in shown))
        for i, e in enumerate(result.models)
    ]
    ends = (("upper bound: real", result.upper_bound), ("lower bound: noise", result.lower_bound))
    for name, figures in ends if bounds else ():
        cells = "".join(_cell(figures.get(c.key), c) for c in shown)
        rows.append(f'<tr class="end"><td data-value="">{name}</td>{cells}</tr>')
    return section(title, note, table([_MODEL, *head], rows, ' class="sortable"'))


def _row(model: ModelScores, index: int, cells: Iterable[str]) -> str:
    notes = "; ".join(model.notes)
    tooltip = f' title="{escape(notes, quote=True)}"' if notes else ""
    star = " *" if notes else ""
    family = "" if model.family == model.name else f" <small>{escape(model.family)}</small>"
    return (
        f'<tr><td data-value="{escape(model.name, quote=True)}"{tooltip}>'
        f'<span class="dot" style="background:var(--c{index % 8})"></span>'
        f"{escape(model.name)}{star}{family}</td>{''.join(cells)}</tr>"
    )


def _points(result: Comparison, x: str, y: str) -> list[Point]:
    found = [(e.name, e.value(x), e.value(y), i) for i, e in enumerate(result.models)]
    return [
        Point(name, a, b, i)
        for name, a, b, i in found
        if a is not None and b is not None and math.isfinite(a + b)
    ]


def _levels(key: str, **bounds: Mapping[str, float]) -> list[tuple[str, float]]:
    """Bounds of a figure to mark in its plot, by their names."""
    found = [(name, figures.get(key, 0.0)) for name, figures in bounds.items()]
    return [(name, value) for name, value in found if value > 0]


def _columns(plots: Sequence[str], style: str = "") -> str:
    return f'<div class="columns"{style}>{"".join(plots)}</div>' if plots else ""


def _quality_plots(result: Comparison) -> str:
    def rows(key: str) -> list[tuple[str, float, int]]:
        return [(e.name, e.scores[key], i) for i, e in enumerate(result.models) if key in e.scores]

    fid, real = rows("fid"), result.upper_bound
    if not fid:
        return ""
    positive = all(value > 0 for _, value, _ in fid)
    name = f"FID (lower is better{', logarithmic' if positive else ''})"
    levels = _levels("fid", real=real, noise=result.lower_bound)
    plots = [framed("FID", bars(fid, name, log=positive, levels=levels))]
    for x, y, title in (
        ("precision", "recall", "Precision and recall"),
        ("density", "coverage", "Density and coverage"),
    ):
        plot = scatter(_points(result, x, y), x, y, levels=_levels(y, real=real))
        plots.append(framed(title, plot))
    if accuracy := rows("accuracy"):
        plot = bars(accuracy, "accuracy", levels=_levels("accuracy", real=real))
        plots.append(framed("Accuracy", plot))
    return f"<h2>Quality</h2>{_columns(plots)}"


def _cost_plots(result: Comparison) -> str:
    levels, plots = _levels("fid", real=result.upper_bound), []
    for x, name, title in (
        ("ms_64", "ms a picture, 64 at once", "Quality against speed"),
        ("pictures", "pictures shown while training", "Quality against training pictures"),
    ):
        points = [p for p in _points(result, x, "fid") if p.x > 0 and p.y > 0]
        if points:
            plot = scatter(points, name, "FID", x_log=True, y_log=True, levels=levels)
            plots.append(framed(title, plot))
    return _columns(plots, ' style="margin-top:16px"')


def _sheets(result: Comparison) -> str:
    rows = tuple(result.sheet_captions)
    shown = [("real pictures", "", result.real_sheet)]
    shown += [(e.name, f"var(--c{i % 8})", e.sheet) for i, e in enumerate(result.models)]
    figures = [
        figure_of(ContactSheet(title=name, png=png, rows=rows), colour)
        for name, colour, png in shown
        if png
    ]
    note = "The first pictures of each caption, not chosen; equal seeds in equal places."
    return section("Pictures", note, f'<div class="sheets">{"".join(figures)}</div>')


def _classes(result: Comparison) -> str:
    names = list(dict.fromkeys(name for e in result.models for name in e.per_class))
    if not names:
        return ""
    head = (f"<th><button>{escape(name)}</button></th>" for name in names)
    rows = (
        _row(model, i, (_share(model.per_class.get(name, math.nan)) for name in names))
        for i, model in enumerate(result.models)
    )
    note = "Share of the pictures asked to show a class that the network classifies as it."
    body = table([_MODEL, *head], rows, ' class="sortable heat"')
    return section("Class by class", note, body)


def _share(share: float) -> str:
    text, shade = (f"{share:.0%}", share) if math.isfinite(share) else ("–", 0)
    return f'<td data-value="{share!r}" style="--share:{shade:.3f}">{text}</td>'


def _curves(result: Comparison) -> str:
    cards = []
    for model in result.models:
        for kind, title in (("loss", "losses"), ("weight", "weights of the losses")):
            series = _series(model, kind)
            if kind == "weight" and all(len(set(ys)) < 2 for _, ys in series.values()):
                continue
            if series:
                cards.append(framed(f"{model.name}: {title}", lines(series, "minutes", kind)))
    return f"<h2>Training</h2>{_columns(cards)}" if cards else ""


def _series(model: ModelScores, kind: str) -> dict[str, tuple[list[float], list[float]]]:
    found: dict[str, tuple[list[float], list[float]]] = {}
    for row in model.curves:
        for name, value in row.get(kind, {}).items():
            if not isinstance(value, int | float) or abs(value) < _LEAST_LOSSES:
                continue
            xs, ys = found.setdefault(name, ([], []))
            xs.append(float(row["minutes"]))
            ys.append(float(value))
    return {name: both for name, both in found.items() if len(both[0]) > 1}


def _protocol(result: Comparison) -> str:
    rows = [
        (title, str(result.protocol[key]))
        for key, title in _SENTENCES
        if result.protocol.get(key) is not None
    ]
    rows += [("note", f"{e.name}: {note}") for e in result.models for note in e.notes]
    return how_measured(
        "inside one protocol: the same feature network, the same real pictures, the same number of "
        "drawn ones. The <em>upper bound</em> is what held-out real pictures score, the <em>lower "
        "bound</em> what uniform noise scores.", rows, result.command,
    )  # fmt: skip
