"""The drawing options, each defined here and nowhere else.

A field of :class:`Settings` defines an option: its name, type and bounds, its help text
(``description``) and, in its metadata, the :class:`Capability` a model needs to support it. The
command line, the Python keywords, the record inside a picture and the check of a request are all
made from these fields.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from limner.errors import UsageError


class Capability(StrEnum):
    """What a model family can support."""

    GENERATE = "generate"
    GUIDANCE = "guidance"
    STEPS = "steps"
    STYLE = "style"
    LIKELIHOOD = "likelihood"
    RECONSTRUCT = "reconstruct"
    REFERENCE = "reference"
    INPAINT = "inpaint"
    RESTYLE = "restyle"
    TEMPERATURE = "temperature"
    TOP_K = "top_k"
    TOP_P = "top_p"
    TRUNCATION = "truncation"
    ALIGN = "align"
    CAPTION = "caption"
    PLAN = "plan"
    RESTORE = "restore"
    EXPLAIN = "explain"


class FrozenConfig(BaseModel):
    """Validated, immutable values; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Settings(FrozenConfig):
    """All drawing options besides prompt and seed; None leaves the choice to the model."""

    steps: Annotated[int | None, Capability.STEPS] = Field(
        None, ge=1, le=1000, description="Sampling steps."
    )
    guidance: Annotated[float | None, Capability.GUIDANCE] = Field(
        None, ge=0, le=50, description="Classifier-free guidance scale; 1 is no guidance."
    )
    size: int | None = Field(
        None,
        ge=16,
        le=1024,
        description="Side of the picture in pixels; by default the model's own.",
    )
    transparent: bool | None = Field(
        None, description="Leave out the background; by default only if the prompt says so."
    )
    style: Annotated[str | None, Capability.STYLE] = Field(
        None, max_length=200, description="One of the model's styles; by default the seed chooses."
    )
    negative: Annotated[str | None, Capability.GUIDANCE] = Field(
        None, max_length=100_000, description="A text to guide away from."
    )
    temperature: Annotated[float | None, Capability.TEMPERATURE] = Field(
        None, ge=0, le=10, description="Factor on the model's sampling noise; 0 is none."
    )
    top_k: Annotated[int | None, Capability.TOP_K] = Field(
        None, ge=0, le=2**31, description="Sample from this many of the likeliest tokens; 0: all."
    )
    top_p: Annotated[float | None, Capability.TOP_P] = Field(
        None, gt=0, le=1, description="Sample from the likeliest tokens of this total probability."
    )
    truncation: Annotated[float | None, Capability.TRUNCATION] = Field(
        None, gt=0, le=1,
        description="Factor that scales the latent code towards its mean; less is less varied.",
    )  # fmt: skip
    variety: float | None = Field(
        None, ge=0, le=1,
        description="How much the seed changes the shape and colour of a thing; 0: not at all. "
        "By default 0.4 for a model that keeps its training drawings, 0 for others.",
    )  # fmt: skip
    scenes: bool | None = Field(
        None, description="Draw several things in one prompt one by one and compose them."
    )
    thing_seeds: str | None = Field(
        None, pattern=r"^\d{1,18}(,\d{1,18}){0,23}$",
        description="Seeds of the things of a composed scene in the order they are named, such as "
        "7,12; by default the picture's seed draws all of them.",
    )  # fmt: skip
    grounding: bool | None = Field(
        None, description="Draw words that the model does not know as the nearest name it knows.",
    )  # fmt: skip
    balanced: bool | None = Field(
        None, description="Draw persons evenly as women and men, as far as the model has drawings, "
        "where the prompt leaves it open.",
    )  # fmt: skip
    strength: Annotated[float | None, Capability.RESTYLE] = Field(
        None, ge=0, le=1,
        description="How much to change a given picture: 0 not at all, 1 into a new drawing.",
    )  # fmt: skip
    reference: Annotated[str | None, Capability.REFERENCE] = Field(
        None, pattern=r"^[0-9a-f]{64}$",
        description="SHA-256 of the reference picture's pixels, in hex.",
    )  # fmt: skip

    if not TYPE_CHECKING:  # which would no longer know the options

        def __init__(self, **options: Any) -> None:
            """Validated settings.

            Raises:
                UsageError: an option is unknown or out of range; the message names it.
            """
            try:
                super().__init__(**options)
            except ValidationError as error:
                raise UsageError(_refusal(error)) from error

    @property
    def given(self) -> dict[str, Any]:
        """The options that are set, by name."""
        return {name: value for name, value in self if value is not None}

    @property
    def seeds_of_things(self) -> tuple[int, ...]:
        """``thing_seeds`` as numbers; none where it is not set."""
        return tuple(map(int, self.thing_seeds.split(","))) if self.thing_seeds else ()

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        """Only options that are set: ``Settings(style='noto')``."""
        return [*self.given.items()]

    def filled(self, defaults: Settings) -> Settings:
        """These settings, with ``defaults`` for options that are not set."""
        return self.model_copy(update={**defaults.given, **self.given})


MAX_SEED = 2**63 - 1
OPTIONS: tuple[str, ...] = tuple(name for name in Settings.model_fields if name != "reference")
"""Names of the options a caller can set; a reference is passed as a picture instead."""
CALIBRATED = ("guidance", "temperature", "top_p", "truncation", "variety", "steps")
"""Options whose defaults a model file may hold: numbers that change quality and speed."""
OF_PICTURES = frozenset({"strength"})
"""Options that apply only when a picture is changed."""


def capability_of(option: str) -> Capability | None:
    """The capability that an option of :class:`Settings` needs; None if every model has it."""
    facts = Settings.model_fields[option].metadata
    return next((each for each in facts if isinstance(each, Capability)), None)


def make_settings(**options: Any) -> Settings:
    """Validated settings.

    Raises:
        UsageError: an option is unknown or out of range; the message names it.
    """
    for name in options:
        if name not in OPTIONS:
            raise UsageError(f"there is no option {name!r}; there are: {', '.join(OPTIONS)}")
    return Settings(**options)


def _refusal(error: ValidationError) -> str:
    """The message for a refused option."""
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"there is no option {name!r}; there are: {', '.join(OPTIONS)}"
    wanted = first["msg"]
    if name == "thing_seeds":
        wanted = "give whole numbers with commas between them, as in 7,12"
    return f"{name} = {first['input']!r} is refused: {wanted}"


def find_style(name: str, styles: Sequence[str]) -> int:
    """Index of a style by name, whatever its case.

    Raises:
        UsageError: the model has no style of that name; the message lists those it has.
    """
    if name in styles:  # as most
        return styles.index(name)
    folded = [style.casefold() for style in styles]
    if name.casefold() in folded:
        return folded.index(name.casefold())
    if not styles:
        raise UsageError(f"there is no style {name!r}: this model has no styles to choose from")
    raise UsageError(f"there is no style {name!r}; choose one of: {', '.join(styles)}")


def seed_or_random(seed: int | None) -> int:
    """The seed itself, unchecked; a random one in [0, 2**32) if it is None."""
    return secrets.randbelow(2**32) if seed is None else seed


def check_seed(seed: int) -> int:
    """The seed itself.

    Raises:
        UsageError: it is not an integer in [0, 2**63).
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
        raise UsageError(f"seed {seed!r} is refused: a seed is an integer from 0 to 2**63 - 1")
    return seed
