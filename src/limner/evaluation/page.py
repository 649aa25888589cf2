"""Reports as HTML pages that need nothing beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import resources
from typing import Any

from limner.evaluation.plots import bars
from limner.evaluation.report import ContactSheet, PartResult, Report, number, table_rows


def document(title: str, parts: Iterable[str]) -> str:
    """A self-contained HTML page: the given parts between limner's style and script."""
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


def section(title: str, note: str, *bodies: str) -> str:
    """A heading, a sentence below it, and bodies of HTML."""
    return f'<h2>{escape(title)}</h2><p class="soft">{escape(note)}</p>{"".join(bodies)}'


def table(head: Iterable[str], rows: Iterable[str], kind: str = "") -> str:
    """A table in a frame; cells, rows and the attributes ``kind`` are HTML."""
    return (
        f'<div class="card scroll"><table{kind}><thead><tr>{"".join(head)}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def how_measured(sentence: str, rows: Iterable[tuple[str, Any]], command: str) -> str:
    """The last section of a page: a sentence of HTML, and what the figures depend on."""
    rows = [*rows, ("measured by", command)] if command else rows
    return (
        f"<h2>How it was measured</h2><p>Figures compare only {sentence}</p>"
        f'<div class="card"><dl>{definitions(rows)}</dl></div>'
    )


def framed(title: str, plot: str) -> str:
    """A plot in a frame, with a title."""
    return f'<div class="card"><h3>{escape(title)}</h3>{plot}</div>'


def figure_of(sheet: ContactSheet, colour: str = "") -> str:
    """A contact sheet with its title above and captions beside its rows."""
    words = "".join(f"<span>{escape(text)}</span>" for text in sheet.rows)
    dot = f'<span class="dot" style="background:{colour}"></span>' if colour else ""
    return (
        f'<figure class="card"><figcaption><strong>{dot}{escape(sheet.title)}</strong></figcaption>'
        f'<div class="sheet"><div class="rows">{words}</div>'
        f'<img alt="Pictures of {escape(sheet.title, quote=True)}" '
        f'src="data:image/png;base64,{sheet.png}"></div></figure>'
    )


def definitions(rows: Iterable[tuple[str, Any]], *, code: bool = True) -> str:
    """Terms and their definitions, as items of a ``<dl>``."""
    cell = "<code>{}</code>" if code else "{}"
    return "".join(
        f"<dt>{escape(name)}</dt><dd>{cell.format(escape(str(value)))}</dd>" for name, value in rows
    )


def warning_box(warnings: Sequence[str]) -> str:
    """Warnings in a frame; empty for none."""
    rows = "".join(f"<p><strong>{escape(each)}.</strong></p>" for each in warnings)
    return f'<div class="card failed">{rows}</div>' if rows else ""


def failures(title: str, found: Mapping[str, str], *, failed: bool) -> str:
    """A list of what was not measured, and why; empty if everything was."""
    if not found:
        return ""
    kind = "card failed" if failed else "card"
    rows = definitions(found.items(), code=False)
    return f'<h2>{escape(title)}</h2><div class="{kind}"><dl>{rows}</dl></div>'


def report_page(report: Report) -> str:
    """An evaluation as one page."""
    left_out = {**report.failed, **report.skipped}
    return document(
        f"limner evaluate: {report.model}",
        [
            _head(report),
            warning_box(report.warnings),
            *map(_part, report.parts),
            failures("What was not measured", left_out, failed=bool(report.failed)),
            _protocol(report),
        ],
    )


def _head(report: Report) -> str:
    return (
        f"<h1>{escape(report.model)} on {escape(report.store)}</h1>"
        f'<p class="soft">{escape(report.date)} · {escape(report.machine)} · limner '
        f"{escape(report.limner)} · {escape(report.family)} · {number(report.seconds)} s</p>"
    )


def _part(part: PartResult) -> str:
    names, rows = table_rows(part)
    head = (f"<th>{escape(name or 'figure')}</th>" for name in names)
    body = (_row(cells, each.description) for cells, each in zip(rows, part.figures, strict=True))
    plots, sheets = _plots(part), "".join(map(figure_of, part.sheets))
    return section(
        part.title,
        part.description,
        table(head, body),
        f'<div style="margin-top:16px;max-width:560px">{plots}</div>' if plots else "",
        f'<div class="sheets" style="margin-top:16px">{sheets}</div>' if sheets else "",
    )


def _row(cells: Sequence[str], description: str) -> str:
    title, value, *others = (escape(cell) or "–" for cell in cells)
    return (
        f'<tr title="{escape(description, quote=True)}"><td>{title} '
        f"<small>{escape(description)}</small></td><td><strong>{value}</strong></td>"
        f"{''.join(f'<td>{cell}</td>' for cell in others)}</tr>"
    )


def _plots(part: PartResult) -> str:
    """Shares as bars."""
    plots = []
    if part.classes:
        rows = [(name, 100 * value, 0) for name, value in part.classes.items()]
        plots.append(framed("Class by class", bars(rows, "% that show what was asked for")))
    shares = [(each.title, 100 * each.value, 0) for each in part.figures if each.unit == "%"]
    if len(shares) > 2:
        plots.append(framed("Shares", bars(shares, "%")))
    return "".join(plots)


def _protocol(report: Report) -> str:
    rows = [("model", f"{report.model} {report.model_hash}")]
    rows += [("store", f"{report.store} {report.store_fingerprint}")]
    for part in report.parts:
        known = {"judge": part.judge, **part.protocol}
        shown = (f"{key} {value}" for key, value in known.items() if value not in (None, ""))
        rows.append((part.name, ", ".join(shown)))
    return how_measured(
        "if they were measured alike. The <em>upper bound</em> is what real pictures score, the "
        "<em>lower bound</em> what noise or shuffled prompts score.", rows, report.command,
    )  # fmt: skip
