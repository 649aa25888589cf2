"""The prompts of concept recall: 500 fixed single concepts, and things no training icon shows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from limner.data.store import Store
from limner.errors import UsageError
from limner.scenes.colours import NOVEL

PROMPTS_PATH = Path(__file__).with_name("concept_prompts.json")


@dataclass(frozen=True)
class ConceptPrompt:
    """One concept and the words for it.

    Attributes:
        key: emoji hexcode in capitals without variation selectors, e.g. ``1F34E``.
        group: smileys, animals, food, travel, activities or objects.
        texts: language -> prompt.
    """

    key: str
    group: str
    texts: dict[str, str]


@lru_cache(maxsize=1)
def load_prompts() -> tuple[ConceptPrompt, ...]:
    """The frozen list, ordered by key."""
    rows = json.loads(PROMPTS_PATH.read_text("utf-8"))["prompts"]
    return tuple(ConceptPrompt(row.pop("key"), row.pop("group"), row) for row in rows)


def prompts_hash() -> str:
    """The first 16 hex digits of the SHA-256 of the list."""
    return hashlib.sha256(PROMPTS_PATH.read_bytes()).hexdigest()[:16]


def check_languages(
    wanted: Sequence[str], known: Iterable[str] | None = None, what: str = "prompts"
) -> None:
    """Refuse languages that prompts, those of concept recall by default, are not written in.

    Raises:
        UsageError: a language is not among them, or none was asked for.
    """
    known = list(known or load_prompts()[0].texts)
    unknown = [lang for lang in wanted if lang not in known]
    if unknown or not wanted:
        raise UsageError(
            f"there are no {what} in {', '.join(unknown) or 'no language'}; "
            f"choose from: {', '.join(known)}"
        )


NOVEL_PROMPTS = tuple(f"a {colour} {thing}" for thing, colour in sorted(NOVEL))
"""Everyday things in colours that no icon of the sets we know has."""
_OTHER_NAMES = {"jack-o-lantern": "pumpkin"}
"""Names of things in the labels of icons that differ from those in :data:`NOVEL_PROMPTS`."""


def novel_prompts(stores: Sequence[Store]) -> list[str]:
    """The prompts of :data:`NOVEL_PROMPTS` for things that no store shows.

    A store of recoloured icons leaves *grey cheese* out, but may hold a *grey cheese wedge*.
    """
    shown: set[tuple[str, str]] = set()
    for store in stores:
        for row in range(len(store)):
            facts = store.metadata(row)
            colour = str(facts.get("colour", ""))
            words = str(facts.get("label", "")).removeprefix(colour).split() if colour else []
            shown.update((_OTHER_NAMES.get(word, word), colour) for word in words)
    return [f"a {colour} {thing}" for thing, colour in sorted(NOVEL - shown)]
