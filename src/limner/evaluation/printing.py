"""A report on the terminal."""

from __future__ import annotations

from limner.evaluation.report import Report, table_rows

WIDTH = 110


def print_report(report: Report) -> None:
    """One table a part, then warnings and what was not measured."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=WIDTH)
    console.print(
        f"{report.model} ({report.model_hash}) on {report.store} ({report.store_fingerprint})"
        + ("" if report.trained_on_store else ", which it was not trained on"),
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip
    for part in report.parts:
        names, rows = table_rows(part)
        title = part.title if not part.judge else f"{part.title}, judged by {part.judge}"
        table = Table(title=title, title_justify="left", title_style="bold", width=WIDTH)
        for i, name in enumerate(names):
            table.add_column(name, justify="right" if i else "left", no_wrap=True)
        for row in rows:
            table.add_row(*row)
        console.print(table)
    lines = [f"warning: {warning}" for warning in report.warnings]
    lines += [f"not measured: {name}: {why}" for name, why in report.skipped.items()]
    lines += [f"failed: {name}: {why}" for name, why in report.failed.items()]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
