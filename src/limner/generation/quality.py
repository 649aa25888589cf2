"""The measured figures in a model file, whichever version of limner put them there.

A model's ``quality`` maps the name of a part of an evaluation to its figures, each with value,
interval, lower and upper bound (:meth:`limner.evaluation.report.Report.card`). Files written
before that hold a layout of their own for every suite; they are translated here, never rewritten.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_RECALL_ORIGIN = ("judge", "prompts", "store", "seeds", "command")


def current_quality(quality: Mapping[str, Any]) -> dict[str, Any]:
    """The same figures in today's layout: part -> ``title``, ``figures`` and their origin."""
    found = {key: value for key, value in quality.items() if _is_part(value)}
    old = {key: value for key, value in quality.items() if key not in found}
    if "concept_recall" in old:
        origin = {key: old[key] for key in _RECALL_ORIGIN if key in old}
        found.setdefault("recall", {
            "title": "Concept recall", **origin, "figures": list(_old_recall(old)),
        })  # fmt: skip
    if "composition" in old:
        prefix = "composition_"
        origin = {k.removeprefix(prefix): v for k, v in old.items() if k.startswith(prefix)}
        found.setdefault("composition", {
            "title": "Composition", "baseline": "retrieval", **origin,
            "figures": list(_old_composition(old["composition"])),
        })  # fmt: skip
    for name, values in (
        ("distribution", old.get("distribution", {})),
        ("memorisation", {"memorised": old["memorised"]} if "memorised" in old else {}),
        ("diversity", {"duplicates": old["duplicates"]} if "duplicates" in old else {}),
        ("consistency", old.get("consistency", {})),
        ("reconstruction", old.get("reconstruction", {})),
        ("captions", old.get("captions", {})),
    ):
        if values:
            figures = [{"key": k, "title": k, "value": v} for k, v in _flat(values)]
            found.setdefault(name, {"title": name.capitalize(), "figures": figures})
    return found


def _is_part(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("figures"), list)


def _flat(values: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from ((f"{key}: {inner}", number) for inner, number in value.items())
        else:
            yield key, value


def _old_recall(old: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for group, table in old["concept_recall"].items():
        for top in ("top1", "top5"):
            yield {
                "key": f"{group}: {top}", "title": f"{group}: top-{top[-1]}",
                "value": table[top], "upper_bound": table[f"ceiling_{top}"],
                "direction": "higher", "unit": "%", "count": table["concepts"],
                **({"lower_bound": table["floor_top5"]} if top == "top5" else {}),
            }  # fmt: skip
        yield {
            "key": f"{group}: top5 of upper bound", "title": f"{group}: top-5 of upper bound",
            "value": table["top5_of_ceiling"], "direction": "higher", "unit": "%",
            "count": table["concepts"],
        }  # fmt: skip
    if "copy_rate" in old:
        yield {"key": "memorised", "title": "training pictures among new things",
               "value": old["copy_rate"], "direction": "lower", "unit": "%"}  # fmt: skip


def _old_composition(groups: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for group, sides in groups.items():
        for task, value in sides["drawn"].items():
            bounds = {
                "lower_bound": sides["floor"].get(task), "upper_bound": sides["ceiling"].get(task),
                "baseline": sides["retrieval"].get(task),
            }  # fmt: skip
            yield {
                "key": f"{group}: {task}", "title": f"{group}: {task}", "value": value,
                "interval": [sides["low"][task], sides["high"][task]],
                **{name: bound for name, bound in bounds.items() if bound is not None},
                "direction": "higher", "unit": "%",
                "count": sides["prompts"] // (1 if task == "overall" else len(sides["drawn"]) - 1),
            }  # fmt: skip
