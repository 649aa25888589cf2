"""Recipes as trees of plain values: YAML, and ``key=value`` overrides."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import yaml

from limner.errors import RecipeError

_SHORT_FORMS = {
    "train.schedule": "kind",
    "train.ema": "decay",
    "train.balance": "kind",
    "data.holdout": "share",
}
"""The key that a single value sets where a section is expected."""


class _Loader(yaml.SafeLoader):
    """YAML in which ``1e-3`` is a number and a repeated key is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Quotes a text that the loader would take for something else, such as ``26E9``."""


for _side in (_Loader, _Dumper):
    _side.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"^[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
        list("-+0123456789."),
    )


def read_value(text: str, where: str) -> Any:
    """Read YAML.

    Raises:
        RecipeError: the text is not valid YAML; the message names ``where``.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except RecursionError as error:
        raise RecipeError(f"{where} is nested too deeply") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" (line {mark.line + 1})" if mark is not None else ""
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise RecipeError(f"{where} is not valid YAML{line}: {problem}") from error


def write_value(value: Any) -> str:
    """The YAML that :func:`read_value` reads as this tree of plain values."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text


def read_overrides(overrides: Sequence[str], source: str) -> dict[str, Any]:
    """``key=value`` texts as one tree, read as ``limner train`` reads its own.

    Raises:
        RecipeError: a text is not ``key=value``, or its value is not valid YAML.
    """
    tree: dict[str, Any] = {}
    for override in overrides:
        apply_override(tree, override, source)
    return tree


def apply_override(tree: dict[str, Any], override: str, source: str) -> None:
    """Change one key of a tree, in place.

    Raises:
        RecipeError: the text is not ``key=value``, or a part of the key holds a value.
    """
    key, equals, text = override.partition("=")
    if not equals or not all(key.strip().split(".")):
        raise RecipeError(f"{source}: {override!r} is not an override; write key=value")
    set_key(tree, key.strip(), read_value(text, f"the override {override!r}"), source)


def set_key(tree: dict[str, Any], key: str, value: Any, source: str) -> None:
    """Set one dotted key of a tree, in place.

    Raises:
        RecipeError: a part of the key holds a value.
    """
    parts = key.split(".")
    node = tree
    for depth, part in enumerate(parts[:-1]):
        child = node.get(part)
        if not isinstance(child, dict):
            short = _SHORT_FORMS.get(".".join(parts[: depth + 1]))
            if child is not None and short is None:
                raise RecipeError(f"{source}: {key}: {part!r} holds a value, not keys")
            child = node[part] = {} if child is None else {short: child}
        node = child
    node[parts[-1]] = value
