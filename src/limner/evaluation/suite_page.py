"""A full evaluation as one HTML page that needs nothing beside it."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from limner.errors import DataError
from limner.evaluation.page import card, document, sheet_of
from limner.evaluation.plots import bars, number
from limner.files import write_text

if TYPE_CHECKING:
    from limner.evaluation.suite import Figure, Finding, FullReport


def write_suite_page(report: FullReport, path: Path) -> Path:
    """Write the page, whole or not at all.

    Raises:
        DataError: it cannot be written.
    """
    return write_text(path, suite_page(report), DataError)


def suite_page(report: FullReport) -> str:
    """The page as text."""
    parts = [_head(report), _alarms(report)]
    parts += [_finding(each) for each in report.findings]
    parts += [_left_out(report), _protocol(report)]
    return document(f"limner evaluate: {report.model}", parts)


def shown(value: float | None, figure: Figure) -> str:
    """A value of a figure as a person reads it; a dash where there is none."""
    if value is None:
        return "–"
    return f"{value:.1%}" if figure.percent else number(value)


def _head(report: FullReport) -> str:
    return (
        f"<h1>{escape(report.model)} on {escape(report.store)}</h1>"
        f'<p class="soft">{escape(report.date)} · {escape(report.machine)} · limner '
        f"{escape(report.limner)} · {escape(report.family)} · {report.samples:,} pictures · "
        f"{number(report.seconds)} s</p>"
    )


def _alarms(report: FullReport) -> str:
    if not report.alarms:
        return ""
    rows = "".join(f"<p><strong>{escape(alarm)}.</strong></p>" for alarm in report.alarms)
    return f'<div class="card failed">{rows}</div>'


def _finding(finding: Finding) -> str:
    rows = "".join(_row(figure) for figure in finding.figures)
    table = (
        '<div class="card scroll"><table><thead><tr><th>figure</th><th>model</th>'
        "<th>95 %</th><th>real</th><th>chance</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
    )
    sheets = "".join(sheet_of(each.title, each.png, each.rows) for each in finding.sheets)
    plots = _shares(finding)
    return (
        f'<h2>{escape(finding.title)}</h2><p class="soft">{escape(finding.told)}</p>{table}'
        + (f'<div style="margin-top:16px;max-width:560px">{plots}</div>' if plots else "")
        + (f'<div class="sheets" style="margin-top:16px">{sheets}</div>' if sheets else "")
    )


def _row(figure: Figure) -> str:
    between = ""
    if figure.low is not None and figure.high is not None:
        between = f"{shown(figure.low, figure)} to {shown(figure.high, figure)}"
    sign = {"high": " ↑", "low": " ↓"}.get(figure.better, "")
    cells = (between or "–", shown(figure.real, figure), shown(figure.chance, figure))
    return (
        f'<tr title="{escape(figure.told, quote=True)}"><td>{escape(figure.title)}{sign} '
        f"<small>{escape(figure.told)}</small></td><td><strong>{shown(figure.value, figure)}"
        f"</strong></td>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
    )


def _shares(finding: Finding) -> str:
    """Shares, and figures that are shares, as bars."""
    plots = []
    if finding.shares:
        rows = [(name, 100 * value, 0) for name, value in finding.shares.items()]
        plots.append(card("Class by class", bars(rows, "% that show what was asked for")))
    percents = [each for each in finding.figures if each.percent]
    if len(percents) > 2:
        rows = [(each.title, 100 * each.value, 0) for each in percents]
        plots.append(card("Shares", bars(rows, "%")))
    return "".join(plots)


def _left_out(report: FullReport) -> str:
    rows = [(name, why) for each in (report.failed, report.skipped) for name, why in each.items()]
    if not rows:
        return ""
    body = "".join(f"<dt>{escape(name)}</dt><dd>{escape(why)}</dd>" for name, why in rows)
    kind = "card failed" if report.failed else "card"
    return f'<h2>What was not measured</h2><div class="{kind}"><dl>{body}</dl></div>'


def _protocol(report: FullReport) -> str:
    rows = [("model", f"{report.model} {report.model_hash}")]
    rows += [("store", f"{report.store} {report.store_fingerprint}")]
    for finding in report.findings:
        known = {k: v for k, v in finding.protocol.items() if v is not None}
        rows.append((finding.name, ", ".join(f"{key} {value}" for key, value in known.items())))
    if report.command:
        rows.append(("measured by", report.command))
    body = "".join(f"<dt>{escape(t)}</dt><dd><code>{escape(v)}</code></dd>" for t, v in rows)
    return (
        "<h2>How it was measured</h2><p>Figures compare only inside one protocol. <em>Real</em> is "
        "what real pictures score where that can be measured, <em>chance</em> what noise or "
        f'shuffled prompts score.</p><div class="card"><dl>{body}</dl></div>'
    )
