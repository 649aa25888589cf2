"""A comparison as one HTML page that needs nothing beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from limner.errors import DataError
from limner.evaluation.plots import Point, bars, lines, number, scatter
from limner.files import write_text

if TYPE_CHECKING:
    from limner.evaluation.comparison import Comparison, Entry

_LEAST_LOSSES = 1e-12


@dataclass(frozen=True)
class Column:
    """One figure of the table.

    Attributes:
        key: in the scores or the facts.
        title: in the head of the table.
        told: the tooltip, one sentence.
        better: ``high``, ``low`` or nothing where neither is.
        scale: factor for display.
    """

    key: str
    title: str
    told: str
    better: str = ""
    scale: float = 1.0


SCORES = (
    Column("fid", "FID", "Fréchet distance of the features; lower is better", "low"),
    Column("kid", "KID × 1000", "unbiased kernel distance; lower is better", "low", 1000),
    Column("precision", "precision", "share of drawn pictures that lie among real ones", "high"),
    Column("recall", "recall", "share of real pictures that lie among drawn ones", "high"),
    Column("density", "density", "how densely real ones surround drawn ones; real is 1", "high"),
    Column("coverage", "coverage", "share of real pictures with a drawn one near by", "high"),
    Column("inception", "IS", "Inception Score by the classes that the network knows", "high"),
    Column("accuracy", "accuracy", "share that shows the class that was asked for", "high"),
    Column("concept_top5", "concept top-5", "concept recall as a share of its ceiling", "high"),
    Column("diversity", "diversity", "spread within a class over that of real pictures"),
    Column("nearest", "nearest", "distance to the nearest training picture over real ones'"),
    Column("copies", "copies", "share nearer to a training picture than 99 % of real ones", "low"),
)
FACTS = (
    Column("parameters", "parameters", "numbers in the model file"),
    Column("pictures", "pictures seen", "while training"),
    Column("minutes", "minutes", "of training"),
    Column("pictures_per_second", "trained/s", "pictures a second while training", "high"),
    Column("ms_1", "ms at 1", "milliseconds for one picture", "low"),
    Column("ms_64", "ms at 64", "milliseconds a picture when 64 are drawn at once", "low"),
    Column("training_mb", "MB to train", "peak memory of the training process", "low"),
    Column("sampling_mb", "MB to draw", "peak memory of a process that draws", "low"),
)
_SENTENCES = (
    ("features", "feature network"),
    ("features_hash", "its hash"),
    ("store", "real pictures"),
    ("filters", "only where their metadata says"),
    ("languages", "and of their captions those in"),
    ("real", "how many of them"),
    ("store_fingerprint", "their fingerprint"),
    ("holdout", "unseen real pictures"),
    ("holdout_fingerprint", "their fingerprint"),
    ("samples", "pictures drawn of each model"),
    ("floor_samples", "unseen real pictures measured"),
    ("noise_samples", "pictures of noise measured"),
    ("nearest_samples", "pictures whose nearest is looked up"),
    ("k_precision_recall", "k of precision and recall"),
    ("k_density_coverage", "k of density and coverage"),
)


def write_page(result: Comparison, path: Path) -> Path:
    """Write the page, whole or not at all.

    Raises:
        DataError: it cannot be written.
    """
    return write_text(path, page(result), DataError)


def page(result: Comparison) -> str:
    """The page as text."""
    parts = [
        _head(result),
        _failures(result),
        _table(result, SCORES, "How good they are", "Click a column to sort."),
        _quality_plots(result),
        _sheets(result),
        _table(result, FACTS, "What they cost", "", ends=False),
        _cost_plots(result),
        _classes(result),
        _curves(result),
        _protocol(result),
    ]
    return document(f"limner compare: {result.protocol.get('store')}", parts)


def document(title: str, parts: Sequence[str]) -> str:
    """A page of its own: these parts of HTML between our style and our script."""
    here = resources.files("limner.evaluation")
    css = here.joinpath("page.css").read_text("utf-8")
    script = here.joinpath("page.js").read_text("utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title>"
        f"<style>{css}</style></head><body><main>{''.join(parts)}</main>"
        f"<script>{script}</script></body></html>\n"
    )


def _head(result: Comparison) -> str:
    budget, protocol = result.budget, result.protocol
    trained = (
        f"{number(budget['minutes'])} minutes"
        if budget.get("minutes") is not None
        else (f"{budget['steps']:,} steps" if budget.get("steps") else "as they are")
    )
    at_once = budget.get("at_once", 1)
    how = f"{at_once} at a time" if at_once > 1 else "one after the other"
    lead = ""
    ranked = sorted(result.entries, key=lambda each: _get(each, "fid"))
    if ranked:
        best, floor = ranked[0], result.floor.get("fid", 0.0)
        lead = f"<strong>{escape(best.name)}</strong> comes nearest to the real pictures: FID "
        lead += f"{number(best.scores['fid'])}"
        if floor > 0:
            lead += f", {number(best.scores['fid'] / floor)} times what unseen real pictures score"
        lead += "."
    threads = budget.get("threads")
    return (
        f"<h1>{len(result.entries)} models on {escape(str(protocol.get('store')))}</h1>"
        f'<p class="soft">{escape(result.date)} · {escape(result.machine)} · limner '
        f"{escape(result.limner)} · trained {escape(trained)}"
        f"{f', {threads} threads each' if threads else ''}, {how}</p>"
        f'<p class="lead">{lead}</p>'
    )


def _failures(result: Comparison) -> str:
    if not result.failures:
        return ""
    rows = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(reason)}</dd>"
        for name, reason in result.failures.items()
    )
    return f'<h2>What failed</h2><div class="card failed"><dl>{rows}</dl></div>'


def _get(entry: Entry, key: str) -> float:
    return entry.scores.get(key, entry.facts.get(key, math.nan))


def _best(entries: Sequence[Entry], column: Column) -> float | None:
    found = [v for v in (_get(each, column.key) for each in entries) if math.isfinite(v)]
    if not column.better or len(found) < 2:
        return None
    return min(found) if column.better == "low" else max(found)


def _cell(value: float, column: Column, best: float | None = None, more: str = "") -> str:
    if not math.isfinite(value):
        return '<td data-value="">–</td>'
    mark = ' class="best"' if best is not None and value == best else ""
    return f'<td{mark} data-value="{value!r}">{number(value * column.scale)}{more}</td>'


def _table(
    result: Comparison, columns: Sequence[Column], title: str, told: str, *, ends: bool = True
) -> str:
    shown = [c for c in columns if any(math.isfinite(_get(e, c.key)) for e in result.entries)]
    if not shown:
        return ""
    head = "".join(
        f'<th title="{escape(c.told, quote=True)}"><button>{escape(c.title)}</button></th>'
        for c in shown
    )
    best = {c.key: _best(result.entries, c) for c in shown}
    floor = result.floor.get("fid", 0.0)
    rows = []
    for i, entry in enumerate(result.entries):
        cells = []
        for c in shown:
            value = _get(entry, c.key)
            more = ""
            if c.key == "fid" and floor > 0 and math.isfinite(value):
                more = f" <small>{number(value / floor)} ×</small>"
            cells.append(_cell(value, c, best[c.key], more))
        rows.append(f"<tr>{_name_cell(entry, i)}{''.join(cells)}</tr>")
    if ends:
        for name, figures in (("real, unseen", result.floor), ("noise", result.noise)):
            cells = [_cell(figures.get(c.key, math.nan), c) for c in shown]
            rows.append(f'<tr class="end"><td data-value="">{name}</td>{"".join(cells)}</tr>')
    return (
        f'<h2>{escape(title)}</h2><p class="soft">{escape(told)}</p>'
        f'<div class="card scroll"><table class="sortable"><thead><tr>'
        f"<th><button>model</button></th>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _name_cell(entry: Entry, index: int) -> str:
    notes = "; ".join(entry.notes)
    told = f' title="{escape(notes, quote=True)}"' if notes else ""
    star = " *" if notes else ""
    family = "" if entry.family == entry.name else f" <small>{escape(entry.family)}</small>"
    return (
        f'<td data-value="{escape(entry.name, quote=True)}"{told}>'
        f'<span class="dot" style="background:var(--c{index % 8})"></span>'
        f"{escape(entry.name)}{star}{family}</td>"
    )


def card(title: str, plot: str, told: str = "") -> str:
    """A plot in a frame, with a title and perhaps a sentence."""
    note = f'<p class="soft">{escape(told)}</p>' if told else ""
    return f'<div class="card"><h3>{escape(title)}</h3>{note}{plot}</div>'


def _points(result: Comparison, x: str, y: str) -> list[Point]:
    found = [Point(e.name, _get(e, x), _get(e, y), i) for i, e in enumerate(result.entries)]
    return [p for p in found if math.isfinite(p.x) and math.isfinite(p.y)]


def _quality_plots(result: Comparison) -> str:
    fid = [(e.name, e.scores["fid"], i) for i, e in enumerate(result.entries) if "fid" in e.scores]
    if not fid:
        return ""
    floor, noise = result.floor.get("fid", 0.0), result.noise.get("fid", 0.0)
    levels = [(n, v) for n, v in (("real", floor), ("noise", noise)) if v > 0]
    positive = all(value > 0 for _, value, _ in fid)
    plots = [
        card(
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
        ("precision", "recall", "Faithful and varied"),
        ("density", "coverage", "The same, counted otherwise"),
    ):
        real = (("real", result.floor[y]),) if y in result.floor else ()
        plots.append(
            card(title, scatter(_points(result, x, y), x, y, level=real[0] if real else None))
        )
    accuracy = [
        (e.name, e.scores["accuracy"], i)
        for i, e in enumerate(result.entries)
        if "accuracy" in e.scores
    ]
    if accuracy:
        real = (("real", result.floor["accuracy"]),) if "accuracy" in result.floor else ()
        plots.append(card("What was asked for", bars(accuracy, "accuracy", levels=real)))
    return f'<h2>Quality</h2><div class="columns">{"".join(plots)}</div>'


def _cost_plots(result: Comparison) -> str:
    level = ("real", result.floor["fid"]) if result.floor.get("fid", 0.0) > 0 else None
    plots = []
    for x, name, title in (
        ("ms_64", "ms a picture, 64 at once", "Quality against speed"),
        ("pictures", "pictures seen while training", "Quality against pictures seen"),
    ):
        points = [p for p in _points(result, x, "fid") if p.x > 0 and p.y > 0]
        if points:
            plot = scatter(points, name, "FID", x_log=True, y_log=True, level=level)
            plots.append(card(title, plot))
    return f'<div class="columns" style="margin-top:16px">{"".join(plots)}</div>' if plots else ""


def _sheets(result: Comparison) -> str:
    shown = [("real pictures", "", result.real_sheet)]
    shown += [(e.name, f"var(--c{i % 8})", e.sheet) for i, e in enumerate(result.entries)]
    figures = [sheet_of(n, png, result.sheet_captions, c) for n, c, png in shown if png]
    return (
        '<h2>What they draw</h2><p class="soft">The first pictures of each caption, not chosen; '
        f'equal seeds in equal places.</p><div class="sheets">{"".join(figures)}</div>'
    )


def sheet_of(name: str, png: str, rows: Sequence[str] = (), colour: str = "") -> str:
    """A sheet of pictures (PNG as base64) with its name above and words beside its rows."""
    words = "".join(f"<span>{escape(text)}</span>" for text in rows)
    dot = f'<span class="dot" style="background:{colour}"></span>' if colour else ""
    return (
        f'<figure class="card"><figcaption><strong>{dot}{escape(name)}</strong></figcaption>'
        f'<div class="sheet"><div class="rows">{words}</div>'
        f'<img alt="Pictures of {escape(name, quote=True)}" '
        f'src="data:image/png;base64,{png}"></div></figure>'
    )


def _classes(result: Comparison) -> str:
    names = list(dict.fromkeys(name for e in result.entries for name in e.per_class))
    if not names:
        return ""
    head = "".join(f"<th><button>{escape(name)}</button></th>" for name in names)
    rows = []
    for i, entry in enumerate(result.entries):
        cells = []
        for name in names:
            share = entry.per_class.get(name, math.nan)
            text = f"{share:.0%}" if math.isfinite(share) else "–"
            style = f"--share:{share if math.isfinite(share) else 0:.3f}"
            cells.append(f'<td data-value="{share!r}" style="{style}">{text}</td>')
        rows.append(f"<tr>{_name_cell(entry, i)}{''.join(cells)}</tr>")
    return (
        '<h2>Class by class</h2><p class="soft">Share of the pictures asked to show a class that '
        'the classifier takes for it.</p><div class="card scroll"><table class="sortable heat">'
        f"<thead><tr><th><button>model</button></th>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _curves(result: Comparison) -> str:
    cards = []
    for entry in result.entries:
        for kind, title in (("loss", "losses"), ("weight", "weights of the losses")):
            series = _series(entry, kind)
            if kind == "weight" and all(len(set(ys)) < 2 for _, ys in series.values()):
                continue
            if series:
                plot = lines(series, "minutes", kind)
                cards.append(card(f"{entry.name}: {title}", plot))
    if not cards:
        return ""
    return f'<h2>Training</h2><div class="columns">{"".join(cards)}</div>'


def _series(entry: Entry, kind: str) -> dict[str, tuple[list[float], list[float]]]:
    found: dict[str, tuple[list[float], list[float]]] = {}
    for row in entry.curves:
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
    notes = [f"{e.name}: {note}" for e in result.entries for note in e.notes]
    rows += [("note", note) for note in notes]
    body = "".join(f"<dt>{escape(t)}</dt><dd><code>{escape(v)}</code></dd>" for t, v in rows)
    return (
        "<h2>How it was measured</h2><p>Figures compare only inside one protocol: the same "
        "feature network, the same real pictures, the same number of drawn ones. "
        "<em>Real, unseen</em> is what real pictures that nobody trained on score; nothing drawn "
        "can honestly do better. <em>Noise</em> is what uniform noise scores.</p>"
        f'<div class="card"><dl>{body}</dl></div>'
    )
