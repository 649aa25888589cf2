"""The model card: what a model file says of itself, as Markdown for people to read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from limner.modelfile import ModelInfo


def markdown_card(name: str, info: ModelInfo, file: Mapping[str, Any]) -> str:
    """A card of nothing but what the file holds.

    Args:
        name: of the model.
        info: the file's metadata.
        file: ``parameters``, ``hash`` and ``bytes``.
    """
    parts = [_head(name, info, file), _concepts(info), _quality(info), _composition(info)]
    parts += [_training(info), _data(info), _limits(info)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _head(name: str, info: ModelInfo, file: Mapping[str, Any]) -> str:
    side = info.config.get("size", "?")
    rows = [
        ("family", info.family),
        ("pictures", f"{side} × {side}"),
        ("parameters", f"{file['parameters'] / 1e6:.2f} M"),
        ("file", f"{file['bytes'] / 1e6:.1f} MB, SHA-256 {file['hash']}…"),
        ("styles", ", ".join(info.config.get("styles", ())) or "none"),
        ("text encoder", f"{info.encoder} ({info.encoder_fingerprint})"),
        *([("text encoder tuned", _options(info.tuning))] if info.tuning else []),
        *(
            [("image encoder", f"{info.image_encoder} ({info.image_encoder_fingerprint})")]
            if info.image_encoder
            else []
        ),
        ("written by", f"limner {info.limner}"),
    ]
    return f"# {name}\n\n" + _table(("", ""), rows)


def _options(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in facts.items())


def _concepts(info: ModelInfo) -> str:
    keys = info.concepts.get("keys", [])
    if not keys:
        return ""
    languages = [lang for lang in info.concepts if lang != "keys"]
    names = ", ".join(info.concepts.get("en", keys))
    return (
        f"## What it knows\n\n{len(keys)} concepts, named in {len(languages)} languages "
        f"({', '.join(languages)}):\n\n{names}."
    )


def _quality(info: ModelInfo) -> str:
    table = info.quality.get("concept_recall", {})
    if not table:
        return ""
    columns = ("top1", "top5", "ceiling_top1", "ceiling_top5", "floor_top5", "top5_of_ceiling")
    rows = [
        (group, figures["concepts"], *(f"{100 * figures[c]:.1f} %" for c in columns))
        for group, figures in table.items()
    ]
    heads = [column.replace("_", " ") for column in columns]
    other = {
        k: v
        for k, v in info.quality.items()
        if not isinstance(v, dict) and not k.startswith("composition")
    }
    return (
        "## Measured\n\nConcept recall: is the nearest real icon, in another set than the one "
        "drawn, of the concept asked for?\n\n"
        + _table(("prompts", "count", *heads), rows)
        + "\n\n"
        + "\n".join(f"* {key.replace('_', ' ')}: `{value}`" for key, value in other.items())
    )


def _composition(info: ModelInfo) -> str:
    """GenEval's tasks in small; held-out combinations stand in rows of their own."""
    rows = [
        (
            group, task,
            f"{100 * share:.1f} % ({100 * sides['low'][task]:.0f} to "
            f"{100 * sides['high'][task]:.0f} %)",
            *(f"{100 * sides[side][task]:.1f} %" if task in sides[side] else ""
              for side in ("ceiling", "floor", "retrieval")),
        )
        for group, sides in info.quality.get("composition", {}).items()
        for task, share in sides["drawn"].items()
    ]  # fmt: skip
    if not rows:
        return ""
    facts = (f"* {key}: `{info.quality[f'composition_{key}']}`"
             for key in ("judge", "prompts", "command"))  # fmt: skip
    return (
        "## Composition\n\nDoes the picture show the things, numbers, colours and places that were "
        "asked for? Not comparable with GenEval's own figures. Ceiling: true pictures; floor: "
        "other prompts; retrieval: the nearest training scene.\n\n"
        + _table(("prompts", "task", "right (95 %)", "ceiling", "floor", "retrieval"), rows)
        + "\n\n" + "\n".join(facts)
    )  # fmt: skip


def _training(info: ModelInfo) -> str:
    history = info.training.get("history", [])
    if not history:
        return ""
    columns = list(dict.fromkeys(key for run in history for key in run))
    rows = [[run.get(column, "") for column in columns] for run in history]
    total = (
        f"{info.training['minutes_in_all']} minutes and {info.training['pictures_in_all']:,} "
        "pictures seen in all, run after run:"
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
