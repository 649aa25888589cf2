"""The model card: the metadata of a model file as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from limner.generation.quality import current_quality
from limner.modelinfo import ModelInfo


def markdown_card(name: str, info: ModelInfo, file: Mapping[str, Any]) -> str:
    """A model card in Markdown; ``file`` has its ``parameters``, ``hash`` and ``bytes``."""
    parts = [_head(name, info, file), _concepts(info), _quality(info)]
    parts += [_training(info), _data(info), _limits(info)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _head(name: str, info: ModelInfo, file: Mapping[str, Any]) -> str:
    side = info.config.get("size", "?")
    rows = {
        "family": info.family,
        "pictures": f"{side} × {side}",
        "parameters": f"{file['parameters'] / 1e6:.2f} M",
        "file": f"{file['bytes'] / 1e6:.1f} MB, SHA-256 {file['hash']}…",
        "styles": ", ".join(info.config.get("styles", ())) or "none",
        "text encoder": f"{info.encoder} ({info.encoder_fingerprint})",
        "text encoder tuned": ", ".join(f"{key} {value}" for key, value in info.tuning.items()),
        "image encoder": info.image_encoder
        and f"{info.image_encoder} ({info.image_encoder_fingerprint})",
        "written by": f"limner {info.limner}",
    }
    return f"# {name}\n\n" + _table(("", ""), [row for row in rows.items() if row[1]])


def _concepts(info: ModelInfo) -> str:
    keys = info.concepts.get("keys", [])
    if not keys:
        return ""
    languages = [lang for lang in info.concepts if lang != "keys"]
    named = info.concepts.get("en", keys)
    step = math.ceil(len(named) / _NAMES_SHOWN)
    names = ", ".join(named[::step])
    some = f"; every {step}th of them" if step > 1 else ""
    return (
        f"## What it knows\n\n{len(keys):,} concepts, named in {', '.join(languages)}"
        f"{some}:\n\n{names}."
    )


_NAMES_SHOWN = 1100
_COLUMNS = {
    "interval": "95 %", "lower_bound": "lower bound", "upper_bound": "upper bound",
    "baseline": "baseline", "count": "count",
}  # fmt: skip


def _quality(info: ModelInfo) -> str:
    """One table for each part of the evaluation stored in the file."""
    parts = current_quality(info.quality)
    if not parts:
        return ""
    tables = "\n\n".join(_part(part) for part in parts.values())
    return (
        "## Measured\n\nUpper bound: what real pictures score. Lower bound: what noise or shuffled "
        f"prompts score.\n\n{tables}"
    )


def _part(part: Mapping[str, Any]) -> str:
    figures = part["figures"]
    columns = [key for key in _COLUMNS if any(key in figure for figure in figures)]
    heads = [(key == "baseline" and part.get("baseline")) or _COLUMNS[key] for key in columns]
    rows = [
        (figure["title"], *(_cell(figure, key) for key in ("value", *columns)))
        for figure in figures
    ]
    facts = [
        f"* {key}: `{value}`" for key, value in part.items()
        if key not in ("title", "baseline", "figures") and value
    ]  # fmt: skip
    return f"### {part['title']}\n\n" + "\n\n".join(
        [_table(("figure", "value", *heads), rows), "\n".join(facts)]
    )


def _cell(figure: Mapping[str, Any], key: str) -> str:
    value = figure.get(key)
    if value is None:
        return ""
    if key == "count":
        return f"{value:,}"
    if key == "interval":
        return " to ".join(_number(figure, end) for end in value)
    return _number(figure, value)


def _number(figure: Mapping[str, Any], value: float) -> str:
    if figure.get("unit") == "%":
        return f"{100 * value:.1f} %"
    return f"{value * figure.get('scale', 1.0):.4g}"


def _training(info: ModelInfo) -> str:
    history = info.training.get("history", [])
    if not history:
        return ""
    columns = list(dict.fromkeys(key for run in history for key in run))
    rows = [[run.get(column, "") for column in columns] for run in history]
    total = (
        f"{info.training['minutes_in_all']} minutes and {info.training['pictures_in_all']:,} "
        "training pictures in all, run after run:"
    )
    heads = [column.replace("_", " ") for column in columns]
    return f"## Training\n\n{total}\n\n" + _table(heads, rows)


def _data(info: ModelInfo) -> str:
    def facts() -> Iterator[str]:
        for key, value in info.data.items():
            yield f"* {key}: {', '.join(value) if isinstance(value, list) else value}"

    licences = _table(("source", "licence"), info.licences.items())
    return "## Data and licences\n\n" + "\n".join(facts()) + "\n\n" + licences


def _limits(info: ModelInfo) -> str:
    return "## Limits\n\n" + "\n".join(f"* {line}" for line in info.limits) if info.limits else ""
