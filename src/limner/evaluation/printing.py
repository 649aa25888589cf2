"""Reports on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from limner.evaluation.comparison_page import FACTS
from limner.evaluation.reference import FIGURES
from limner.evaluation.report import Report, number, table_rows

if TYPE_CHECKING:
    from limner.evaluation.comparison import Comparison

WIDTH = 110


def print_report(report: Report) -> None:
    """One table a part, then warnings and what was not measured."""
    console = Console(width=WIDTH)
    trained = "" if report.trained_on_store else ", which it was not trained on"
    title = f"{report.model} ({report.model_hash}) on {report.store} ({report.store_fingerprint})"
    _print_lines(console, [title + trained])
    for part in report.parts:
        title = part.title if not part.judge else f"{part.title}, judged by {part.judge}"
        names, rows = table_rows(part)
        console.print(
            _table(title, names, rows, title_justify="left", title_style="bold", width=WIDTH)
        )
    _print_lines(console, (f"warning: {warning}" for warning in report.warnings))
    _print_lines(console, (f"not measured: {name}: {why}" for name, why in report.skipped.items()))
    _print_lines(console, (f"failed: {name}: {why}" for name, why in report.failed.items()))


def print_comparison(result: Comparison) -> None:
    """A column a model and a row a figure or fact, then the headline and warnings."""
    console = Console(width=None if sys.stdout.isatty() else 160)
    bounds = {"real": result.upper_bound, "noise": result.lower_bound}
    rows = []
    for column in (*FIGURES, *FACTS):
        key = column.key
        if any(key in each.scores or each.facts.get(key) for each in result.models):
            found = [(each.value(key), each.intervals.get(key, ())) for each in result.models]
            found += [(bound.get(key), ()) for bound in bounds.values()]
            rows.append([column.title, *(_shown(*each, column.scale) for each in found)])
    names = ["", *(each.name for each in result.models), *bounds]
    title = f"{result.protocol['samples']:,} pictures of each model"
    console.print(_table(title, names, rows))
    _print_lines(console, [result.headline(), *(f"warning: {each}" for each in result.warnings)])


def _shown(value: float | None, interval: Sequence[float], scale: float) -> str:
    between = " to ".join(number(end * scale) for end in interval)
    shown = "" if value is None else number(value * scale)
    return f"{shown} ({between})" if between else shown


def _table(title: str, names: Sequence[str], rows: Iterable[Sequence[str]], **style: Any) -> Table:
    table = Table(title=title, **style)
    for i, name in enumerate(names):
        table.add_column(name, justify="right" if i else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def _print_lines(console: Console, lines: Iterable[str]) -> None:
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
