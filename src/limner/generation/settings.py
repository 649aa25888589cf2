"""How a picture is asked for: settings, seeds, and the style that a prompt names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from limner.errors import UsageError
from limner.models.settings import (
    OPTIONS,
    Capability,
    Settings,
    capability_of,
    find_style,
    make_settings,
)

__all__ = [
    "MAX_SEED", "OPTIONS", "Capability", "Settings", "capability_of", "check_seed", "find_style",
    "make_settings", "split_style",
]  # fmt: skip

MAX_SEED = 2**63 - 1


def check_seed(seed: int) -> int:
    """The seed itself.

    Raises:
        UsageError: it is not an integer in [0, 2**63).
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
        raise UsageError(f"seed {seed!r} is refused: a seed is an integer from 0 to 2**63 - 1")
    return seed


def split_style(prompt: str, styles: Sequence[str]) -> tuple[str, str | None]:
    """Take a style off the end of a prompt.

    ``"a cat, noto style"`` and ``"a cat in noto style"`` give ``("a cat", "noto")`` where the
    model has a style of exactly that name (in any case); every other prompt comes back as it is.
    """
    for style in styles:
        ending = rf"\s*(?:,|\bin(?:\s+the)?\s)\s*{re.escape(style)}\s+style\s*\.?\s*$"
        found = re.search(ending, prompt, re.IGNORECASE)
        if found and prompt[: found.start()].strip(" ,"):
            return prompt[: found.start()].rstrip(" ,"), style
    return prompt, None
