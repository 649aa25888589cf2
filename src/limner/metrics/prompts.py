"""The 500 fixed single-concept prompts of concept recall."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from limner.errors import UsageError

PROMPTS_PATH = Path(__file__).with_name("prompts.json")


@dataclass(frozen=True)
class Prompt:
    """One concept and the words for it.

    Attributes:
        key: emoji hexcode in capitals without variation selectors, e.g. ``1F34E``.
        group: smileys, animals, food, travel, activities or objects.
        texts: language -> prompt.
    """

    key: str
    group: str
    texts: dict[str, str]


def plain_key(hexcode: str) -> str:
    """The key of a concept: its hexcode in capitals without variation selectors."""
    return "-".join(part for part in hexcode.strip().upper().split("-") if part != "FE0F")


@lru_cache(maxsize=1)
def load_prompts() -> tuple[Prompt, ...]:
    """The frozen list, ordered by key."""
    rows = json.loads(PROMPTS_PATH.read_text("utf-8"))["prompts"]
    return tuple(
        Prompt(
            key=row["key"],
            group=row["group"],
            texts={k: v for k, v in row.items() if k not in ("key", "group")},
        )
        for row in rows
    )


def prompts_hash() -> str:
    """The first 16 hex digits of the SHA-256 of the list."""
    return hashlib.sha256(PROMPTS_PATH.read_bytes()).hexdigest()[:16]


def languages() -> tuple[str, ...]:
    """Languages every prompt is written in."""
    return tuple(load_prompts()[0].texts)


def check_languages(wanted: list[str]) -> list[str]:
    """The languages asked for.

    Raises:
        UsageError: a language the prompts are not written in, or none at all.
    """
    unknown = [lang for lang in wanted if lang not in languages()]
    if unknown or not wanted:
        raise UsageError(
            f"there are no prompts in {', '.join(unknown) or 'no language'}; "
            f"choose from: {', '.join(languages())}"
        )
    return wanted
