"""How a picture is asked for: the options every family may honour, and the style a prompt names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypedDict

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from limner.errors import UsageError

MAX_SEED = 2**63 - 1


class Options(TypedDict, total=False):
    """The keywords that drawing takes; :class:`Settings` says what they mean and may be."""

    steps: int | None
    guidance: float | None
    size: int | None
    style: str | None
    negative: str | None
    temperature: float | None
    top_k: int | None
    top_p: float | None
    truncation: float | None
    scenes: bool | None


class Settings(BaseModel):
    """What may be asked besides prompt and seed; None leaves the choice to the model.

    Attributes:
        steps: sampling steps.
        guidance: classifier-free guidance scale.
        size: picture side in pixels.
        style: a name in the model's ``config.styles``; None lets the seed choose.
        negative: a prompt to keep away from.
        temperature: of what chance decides, as a factor of the model's own.
        top_k: the likeliest tokens that may be drawn at each step, 0 for all.
        top_p: smallest mass of the likeliest tokens that may be drawn.
        truncation: factor that pulls the noise towards its mean: less variety, fewer accidents.
        scenes: whether a prompt of several things is planned, its things drawn one by one and put
            together.
        reference: SHA-256 of the reference picture's pixels, in hex; the picture itself is asked
            for again to draw the same.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int | None = Field(default=None, ge=1, le=1000)
    guidance: float | None = Field(default=None, ge=0, le=1000, allow_inf_nan=False)
    size: int | None = Field(default=None, ge=8, le=4096)
    style: str | None = Field(default=None, max_length=200)
    negative: str | None = Field(default=None, max_length=100_000)
    temperature: float | None = Field(default=None, ge=0, le=10)
    top_k: int | None = Field(default=None, ge=0, le=2**31)
    top_p: float | None = Field(default=None, gt=0, le=1)
    truncation: float | None = Field(default=None, gt=0, le=1)
    scenes: bool | None = None
    reference: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")


def make_settings(**options: Any) -> Settings:
    """Validated settings.

    Raises:
        UsageError: an option is out of its range, naming it.
    """
    try:
        return Settings(**options)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{name} = {first['input']!r} is refused: {first['msg']}") from error


def check_seed(seed: int) -> int:
    """The seed itself.

    Raises:
        UsageError: it is not an integer in [0, 2**63).
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
        raise UsageError(f"seed {seed!r} is refused: a seed is an integer from 0 to 2**63 - 1")
    return seed


def find_style(name: str, styles: Sequence[str]) -> int:
    """Index of a style by name, whatever its case.

    Raises:
        UsageError: the model has no style of that name; the message lists those it has.
    """
    folded = [style.casefold() for style in styles]
    if name.casefold() in folded:
        return folded.index(name.casefold())
    if not styles:
        raise UsageError(f"there is no style {name!r}: this model has no styles to choose from")
    raise UsageError(f"there is no style {name!r}; choose one of: {', '.join(styles)}")


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
