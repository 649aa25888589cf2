"""A comparison as one HTML page that needs nothing beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from limner.errors import DataError
from limner.evaluation.page import (
    definitions,
    document,
    failures,
    figure_of,
    framed,
    warning_box,
)
from limner.evaluation.plots import Point, bars, lines, scatter
from limner.evaluation.reference import FIGURES, FigureType
from limner.evaluation.report import ContactSheet, number
from limner.files import write_text

if TYPE_CHECKING:
    from limner.evaluation.comparison import Comparison, ModelScores

_LEAST_LOSSES = 1e-12


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


def write_comparison_page(result: Comparison, path: Path) -> Path:
    """Write :func:`comparison_page`, whole or not at all.

    Raises:
        DataError: it cannot be written.
    """
    return write_text(path, comparison_page(result), DataError)


def comparison_page(result: Comparison) -> str:
    """The page as text."""
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


def _get(model: ModelScores, key: str) -> float:
    return model.scores.get(key, model.facts.get(key, math.nan))


def _best(models: Sequence[ModelScores], column: FigureType) -> float | None:
    found = [v for v in (_get(each, column.key) for each in models) if math.isfinite(v)]
    if not column.direction or len(found) < 2:
        return None
    return min(found) if column.direction == "lower" else max(found)


def _cell(value: float, column: FigureType, best: float | None = None, more: str = "") -> str:
    if not math.isfinite(value):
        return '<td data-value="">–</td>'
    mark = ' class="best"' if best is not None and value == best else ""
    return f'<td{mark} data-value="{value!r}">{number(value * column.scale)}{more}</td>'


def _table(
    result: Comparison, columns: Sequence[FigureType], title: str, note: str, *, bounds: bool = True
) -> str:
    shown = [c for c in columns if any(math.isfinite(_get(e, c.key)) for e in result.models)]
    if not shown:
        return ""
    head = "".join(
        f'<th title="{escape(c.description, quote=True)}"><button>{escape(c.title)}</button></th>'
        for c in shown
    )
    best = {c.key: _best(result.models, c) for c in shown}
    rows = []
    for i, model in enumerate(result.models):
        cells = []
        for c in shown:
            value = _get(model, c.key)
            more, between = "", model.intervals.get(c.key)
            if between is not None:
                ends = " to ".join(number(end * c.scale) for end in between)
                more = f" <small>({ends})</small>"
            cells.append(_cell(value, c, best[c.key], more))
        rows.append(f"<tr>{_name_cell(model, i)}{''.join(cells)}</tr>")
    if bounds:
        for name, figures in (
            ("upper bound: real", result.upper_bound),
            ("lower bound: noise", result.lower_bound),
        ):
            cells = [_cell(figures.get(c.key, math.nan), c) for c in shown]
            rows.append(f'<tr class="end"><td data-value="">{name}</td>{"".join(cells)}</tr>')
    return (
        f'<h2>{escape(title)}</h2><p class="soft">{escape(note)}</p>'
        f'<div class="card scroll"><table class="sortable"><thead><tr>'
        f"<th><button>model</button></th>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _name_cell(model: ModelScores, index: int) -> str:
    notes = "; ".join(model.notes)
    tooltip = f' title="{escape(notes, quote=True)}"' if notes else ""
    star = " *" if notes else ""
    family = "" if model.family == model.name else f" <small>{escape(model.family)}</small>"
    return (
        f'<td data-value="{escape(model.name, quote=True)}"{tooltip}>'
        f'<span class="dot" style="background:var(--c{index % 8})"></span>'
        f"{escape(model.name)}{star}{family}</td>"
    )


def _points(result: Comparison, x: str, y: str) -> list[Point]:
    found = [Point(e.name, _get(e, x), _get(e, y), i) for i, e in enumerate(result.models)]
    return [p for p in found if math.isfinite(p.x) and math.isfinite(p.y)]


def _quality_plots(result: Comparison) -> str:
    fid = [(e.name, e.scores["fid"], i) for i, e in enumerate(result.models) if "fid" in e.scores]
    if not fid:
        return ""
    bounds = ("real", result.upper_bound), ("noise", result.lower_bound)
    levels = [(name, found["fid"]) for name, found in bounds if found.get("fid", 0.0) > 0]
    positive = all(value > 0 for _, value, _ in fid)
    plots = [
        framed(
            "FID",
            bars(
                fid,
                "FID (lower is better" + (", logarithmic)" if positive else ")"),
                log=positive,
                levels=levels,
            ),
        )
    ]
    for x, y, title in (
        ("precision", "recall", "Precision and recall"),
        ("density", "coverage", "Density and coverage"),
    ):
        real = (("real", result.upper_bound[y]),) if y in result.upper_bound else ()
        plots.append(
            framed(title, scatter(_points(result, x, y), x, y, level=real[0] if real else None))
        )
    accuracy = [
        (e.name, e.scores["accuracy"], i)
        for i, e in enumerate(result.models)
        if "accuracy" in e.scores
    ]
    if accuracy:
        real = (
            (("real", result.upper_bound["accuracy"]),) if "accuracy" in result.upper_bound else ()
        )
        plots.append(framed("Accuracy", bars(accuracy, "accuracy", levels=real)))
    return f'<h2>Quality</h2><div class="columns">{"".join(plots)}</div>'


def _cost_plots(result: Comparison) -> str:
    level = ("real", result.upper_bound["fid"]) if result.upper_bound.get("fid", 0.0) > 0 else None
    plots = []
    for x, name, title in (
        ("ms_64", "ms a picture, 64 at once", "Quality against speed"),
        ("pictures", "pictures shown while training", "Quality against training pictures"),
    ):
        points = [p for p in _points(result, x, "fid") if p.x > 0 and p.y > 0]
        if points:
            plot = scatter(points, name, "FID", x_log=True, y_log=True, level=level)
            plots.append(framed(title, plot))
    return f'<div class="columns" style="margin-top:16px">{"".join(plots)}</div>' if plots else ""


def _sheets(result: Comparison) -> str:
    rows = tuple(result.sheet_captions)
    shown = [("real pictures", "", result.real_sheet)]
    shown += [(e.name, f"var(--c{i % 8})", e.sheet) for i, e in enumerate(result.models)]
    figures = [
        figure_of(ContactSheet(title=name, png=png, rows=rows), colour)
        for name, colour, png in shown
        if png
    ]
    return (
        '<h2>Pictures</h2><p class="soft">The first pictures of each caption, not chosen; '
        f'equal seeds in equal places.</p><div class="sheets">{"".join(figures)}</div>'
    )


def _classes(result: Comparison) -> str:
    names = list(dict.fromkeys(name for e in result.models for name in e.per_class))
    if not names:
        return ""
    head = "".join(f"<th><button>{escape(name)}</button></th>" for name in names)
    rows = []
    for i, model in enumerate(result.models):
        cells = []
        for name in names:
            share = model.per_class.get(name, math.nan)
            text = f"{share:.0%}" if math.isfinite(share) else "–"
            style = f"--share:{share if math.isfinite(share) else 0:.3f}"
            cells.append(f'<td data-value="{share!r}" style="{style}">{text}</td>')
        rows.append(f"<tr>{_name_cell(model, i)}{''.join(cells)}</tr>")
    return (
        '<h2>Class by class</h2><p class="soft">Share of the pictures asked to show a class that '
        'the network classifies as it.</p><div class="card scroll"><table class="sortable heat">'
        f"<thead><tr><th><button>model</button></th>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _curves(result: Comparison) -> str:
    cards = []
    for model in result.models:
        for kind, title in (("loss", "losses"), ("weight", "weights of the losses")):
            series = _series(model, kind)
            if kind == "weight" and all(len(set(ys)) < 2 for _, ys in series.values()):
                continue
            if series:
                plot = lines(series, "minutes", kind)
                cards.append(framed(f"{model.name}: {title}", plot))
    if not cards:
        return ""
    return f'<h2>Training</h2><div class="columns">{"".join(cards)}</div>'


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
    if result.command:
        rows.append(("measured by", result.command))
    rows += [("note", f"{e.name}: {note}") for e in result.models for note in e.notes]
    return (
        "<h2>How it was measured</h2><p>Figures compare only inside one protocol: the same "
        "feature network, the same real pictures, the same number of drawn ones. The <em>upper "
        "bound</em> is what held-out real pictures score, the <em>lower "
        f'bound</em> what uniform noise scores.</p><div class="card"><dl>{definitions(rows)}</dl>'
        "</div>"
    )
