"""``limner bench``: the measured figures that ship with limner, and measuring them again."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from limner.cli import print_json
from limner.cli.options import JsonOption
from limner.errors import DataError, UsageError

GROUPS: Mapping[str, tuple[str, ...]] = {
    "improve": ("refine", "refine_flow", "doctor", "feedback", "rewrite", "calibrate"),
}
"""Names that stand for several benchmarks."""


def register(app: typer.Typer) -> None:
    """Add this group's command."""
    app.command()(bench)


def bench(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Whole tables of these benchmarks [default: one line of each]. 'improve' stands "
            f"for {', '.join(GROUPS['improve'])}."
        ),
    ] = None,
    run: Annotated[
        bool, typer.Option("--run", help="Measure again; needs a checkout of limner.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Print measured figures beside their goals, or measure again.

    Without names, prints one line per benchmark: its most important figure with its goal, and what
    misses a goal. The results were measured on the machine they name; --run measures on this one
    and writes the results into the checkout.
    """
    folder = _results_folder()
    names = [each for name in names or () for each in GROUPS.get(name, (name,))]
    names = list(dict.fromkeys(names))
    if run:
        for name in names or _runnable(_benchmarks_folder()):
            _measure(name, folder)
    results = list(_read(folder, names))
    if as_json:
        print_json(results)
        return
    if names:
        for result in results:
            print("\n".join(_table(result)))
    else:
        print("\n".join(_summary(results)))


def _results_folder() -> Path:
    return Path(__file__).parents[1] / "evaluation" / "results"


def _benchmarks_folder() -> Path:
    for root in (Path.cwd(), *Path.cwd().parents, Path(__file__).parents[3]):
        if (root / "benchmarks").is_dir() and (root / "src" / "limner").is_dir():
            return root / "benchmarks"
    raise UsageError("--run works in a checkout of limner, and this is not one; go to its folder")


def _runnable(folder: Path) -> list[str]:
    """Names of the modules that measure something: other scripts may live beside them."""
    sources = {p.stem: p.read_text(encoding="utf-8") for p in folder.glob("*.py")}
    return sorted(name for name, source in sources.items() if "\ndef run() -> " in source)


def _measure(name: str, results: Path) -> None:
    from datetime import UTC, datetime
    from importlib import import_module

    folder = _benchmarks_folder()
    known = _runnable(folder)
    if name not in known:
        raise UsageError(f"there is no benchmark {name!r}; choose one of: {', '.join(known)}")
    print(f"running {name} ...", file=sys.stderr, flush=True)
    sys.path.insert(0, str(folder))
    raw = dict(import_module(name).run())
    figures, headline = raw.pop("figures", raw), raw.pop("headline", None)
    result = {
        "name": name,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "command": f"limner bench --run {name}",
        "headline": _headline(headline, figures),
        "figures": {k: _figure(v) for k, v in figures.items()},
    }
    if figures is not raw:
        result["notes"] = raw
    from limner.files import write_json

    write_json(results / f"{name}.json", result, DataError)


def machine() -> dict[str, Any]:
    """What the figures were measured on, without naming the machine itself."""
    import os

    import torch

    from limner.training.machine import cpu_name

    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _figure(value: Any) -> dict[str, Any]:
    """A figure with its goal; a bare number has none."""
    figure = value if isinstance(value, dict) else {"value": value}
    return {"value": None, "unit": "", "goal": None, "better": "lower", **figure}


def _read(folder: Path, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    known = sorted(p.stem for p in folder.glob("*.json"))
    for name in names:
        if name not in known:
            raise UsageError(f"there is no result of {name!r}; there are: {', '.join(known)}")
    for name in names or known:
        path = folder / f"{name}.json"
        try:
            result = json.loads(path.read_text(encoding="utf-8"))
            result["figures"] = {k: _figure(v) for k, v in result["figures"].items()}
            result["headline"] = _headline(result.get("headline"), result["figures"])
        except (OSError, ValueError, LookupError, AttributeError, TypeError) as error:
            raise DataError(f"{path} is not a benchmark result: {error}") from error
        yield result


def verdict(figure: dict[str, Any]) -> str:
    """``"pass"`` or ``"FAIL"`` against the goal; empty where there is no goal."""
    value, goal = figure["value"], figure["goal"]
    if goal is None or not isinstance(value, int | float):
        return ""
    reached = value <= goal if figure["better"] == "lower" else value >= goal
    return "pass" if reached else "FAIL"


def _headline(named: str | None, figures: dict[str, Any]) -> str:
    """The figure that stands for a benchmark: the one named, or the first with a goal, or first."""
    if named is not None and named in figures:
        return named
    with_goal = (
        key for key, value in figures.items() if isinstance(value, dict) and value.get("goal")
    )
    return next(with_goal, next(iter(figures)))


def _summary(results: Sequence[dict[str, Any]]) -> Iterator[str]:
    """One line a benchmark, and below it other figures that fall short of a goal."""
    rows, lacking = [], []
    for result in results:
        figure = result["figures"][result["headline"]]
        short = [k for k, v in result["figures"].items() if verdict(v) == "FAIL"]
        judged = verdict(figure) or ("FAIL" if short else "")
        rows.append((result["name"], result["headline"], _value(figure), _goal(figure), judged))
        lacking.append([key for key in short if key != result["headline"]])
    for line, short, result in zip(_aligned(rows), lacking, results, strict=True):
        yield line
        figures = result["figures"]
        if short:
            more = f" (and {len(short) - 1} more)" if len(short) > 1 else ""
            first = figures[short[0]]
            yield f"    falls short: {short[0]}: {_value(first)}, goal {_goal(first)}{more}"
    yield "Whole tables: limner bench NAME. Measure again: limner bench --run NAME."


def _table(result: dict[str, Any]) -> Iterator[str]:
    on = result.get("machine", {})
    where = f"{on.get('cpu', '?')}, {on.get('cores', '?')} cores" if isinstance(on, dict) else on
    if isinstance(on, dict) and on.get("gpu"):
        where += f", {on['gpu']}"
    yield f"{result.get('name', '?')}  ({result.get('date', '?')}; {where})"
    rows = [(k, _shown(v), _goal(v), verdict(v)) for k, v in result["figures"].items()]
    yield from (f"  {line}" for line in _aligned(rows))
    if "command" in result:
        yield f"  measured by: {result['command']}"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines whose columns are as wide as their widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()


def _goal(figure: dict[str, Any]) -> str:
    """Such as ``>= 0.6``; empty where there is no goal."""
    sign = "<=" if figure["better"] == "lower" else ">="
    return "" if figure["goal"] is None else f"{sign} {_number(figure['goal'])}"


def _value(figure: dict[str, Any]) -> str:
    return f"{_number(figure['value'])} {figure['unit']}".rstrip()


def _shown(figure: dict[str, Any]) -> str:
    """A value with its unit, and its interval or range over several measurements."""
    value = _value(figure)
    if figure.get("low") is None or figure.get("high") is None:
        return value
    return f"{value} ({_number(figure['low'])} to {_number(figure['high'])})"


def _number(value: Any) -> str:
    if isinstance(value, float) and abs(value) < 1000:
        return f"{value:.4g}"
    return f"{value:,.0f}" if isinstance(value, int | float) else str(value)
