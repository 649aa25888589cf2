"""What clients of the Images API send, and what limner makes of it.

The fields are those of both eras of the API (``response_format`` and ``style: vivid`` beside
``output_format`` and ``background``), limner's own drawing options, made from
:class:`limner.models.settings.Settings`, and names that other servers taught people.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, create_model

from limner.generation.formats import PictureFormat
from limner.generation.generator import DrawRequest
from limner.models.settings import MAX_SEED, OPTIONS, Settings
from limner.serving.errors import ApiError

MOST_CHARACTERS, MOST_PICTURES, LARGEST_SIDE, SMALLEST_SIDE = 32_000, 10, 1024, 16
_SIZE = re.compile(r"([0-9]{1,4})x([0-9]{1,4})")
_OLD_STYLES = frozenset({"vivid", "natural"})
_ALIASES = {
    "steps": ("num_inference_steps",), "guidance": ("guidance_scale", "cfg_scale"),
    "negative": ("negative_prompt",),
}  # fmt: skip
_OF_THE_API = frozenset({"size", "transparent", "style"})
"""Drawing options that the API has fields of its own for."""


def _no_empty_text(value: object) -> object:
    """None for an empty text, which some clients send for what is not chosen."""
    return None if value == "" else value


_Optional = BeforeValidator(_no_empty_text)


class _ApiFields(BaseModel):
    """The fields that the Images API itself has."""

    model_config = ConfigDict(extra="forbid")

    prompt: str = Field(
        min_length=1, max_length=MOST_CHARACTERS,
        description="What to draw, in any language.",
    )  # fmt: skip
    model: str | None = Field(None, max_length=256, description="The id of one of /v1/models.")
    n: Annotated[int | None, _Optional] = Field(
        None, ge=1, le=MOST_PICTURES, description="How many pictures; 1 where it is not given."
    )
    size: Annotated[str | None, _Optional] = Field(
        None, max_length=16, description="'auto' or WIDTHxHEIGHT in pixels, each 16 to 4096; the "
        "shorter side 1024 at most.",
    )  # fmt: skip
    quality: Literal["auto", "low", "medium", "high", "xhigh", "max", "standard", "hd"] | None = (
        Field(None, description="Answered with; every picture is drawn as well as can be.")
    )
    background: Literal["auto", "opaque", "transparent"] | None = None
    output_format: PictureFormat | None = Field(None, description="png where it is not given.")
    output_compression: int | None = Field(
        None, ge=0, le=100, description="Quality of jpeg and webp; webp is lossless without it."
    )
    moderation: Literal["auto", "low"] | None = None
    stream: bool | None = None
    partial_images: int | None = Field(None, ge=0, le=3)
    response_format: Literal["url", "b64_json"] | None = None
    style: str | None = Field(
        None, max_length=200, description="One of the model's styles; 'vivid' and 'natural', which "
        "older clients send, leave the choice to the seed.",
    )  # fmt: skip
    user: str | None = Field(None, max_length=512)
    safety_identifier: str | None = Field(None, max_length=512)
    seed: Annotated[int | None, _Optional] = Field(
        None, ge=-1, le=MAX_SEED - MOST_PICTURES,
        validation_alias=AliasChoices("seed", "rng_seed"),
        description="Of the first picture; the others count on. -1 or none: a random one.",
    )  # fmt: skip


def _drawing_options() -> dict[str, Any]:
    """Limner's options as fields: those of :class:`Settings` that the API has none for."""
    found: dict[str, Any] = {}
    for name in OPTIONS:
        if name not in _OF_THE_API:
            field = Settings.model_fields[name]
            alias = AliasChoices(name, *_ALIASES.get(name, ()))
            limits = [each for each in field.metadata if not isinstance(each, str)]
            found[name] = (
                Annotated[field.annotation, *limits, _Optional],
                Field(None, description=field.description, validation_alias=alias),
            )
    return found


GenerationRequest: type[_ApiFields] = create_model(
    "GenerationRequest", __base__=_ApiFields, **_drawing_options()
)
"""The body of ``POST /v1/images/generations``."""


class Asked(BaseModel):
    """A request as it is drawn and answered.

    Attributes:
        requests: one a picture.
        width: of the pictures, in pixels.
        height: the same.
        format: of the files.
        quality: of lossy files.
        answered_quality: what the answer says.
        as_url: whether pictures are fetched by an address of their own.
        stream: whether the answer is a stream of events.
        partial_images: how many previews each picture has in it.
        safety_identifier: echoed.
    """

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    requests: tuple[DrawRequest, ...]
    width: int
    height: int
    format: PictureFormat
    quality: int | None
    answered_quality: str
    as_url: bool
    stream: bool
    partial_images: int
    safety_identifier: str | None

    @property
    def transparent(self) -> bool:
        """Whether the background is left out."""
        return bool(self.requests[0].settings.transparent)


def understand(body: BaseModel, own_side: int) -> Asked:
    """What a body asks for.

    Args:
        body: a :data:`GenerationRequest`.
        own_side: of the model's pictures, in pixels.

    Raises:
        ApiError: fields that do not fit together.
    """
    given = body.model_dump()
    width, height = _size(given["size"], own_side)
    kind = given["output_format"] or PictureFormat.PNG
    transparent = given["background"] == "transparent"
    if transparent and kind is PictureFormat.JPEG:
        raise ApiError(
            400, "a transparent background needs output_format png, webp or svg, not jpeg",
            param="background", code="invalid_value",
        )  # fmt: skip
    compression = given["output_compression"]
    if compression is not None and kind not in (PictureFormat.JPEG, PictureFormat.WEBP):
        raise ApiError(
            400, f"output_compression is for jpeg and webp, not for {kind}; leave it out",
            param="output_compression", code="invalid_value",
        )  # fmt: skip
    style = given["style"] or None
    options = {name: given[name] for name in OPTIONS if name in given and name not in _OF_THE_API}
    settings = Settings(
        **options,
        size=min(width, height),
        transparent=None if given["background"] in (None, "auto") else transparent,
        style=None if style in _OLD_STYLES else style,
    )
    seed = given["seed"]
    first = secrets.randbelow(2**32) if seed in (None, -1) else seed
    count = given["n"] or 1
    quality = given["quality"]
    return Asked(
        requests=tuple(
            DrawRequest(given["prompt"], first + number, settings) for number in range(count)
        ),
        width=width, height=height, format=kind,
        quality=None if compression is None else max(1, compression),
        answered_quality="high" if quality in (None, "auto") else quality,
        as_url=given["response_format"] == "url", stream=bool(given["stream"]),
        partial_images=given["partial_images"] or 0,
        safety_identifier=given["safety_identifier"],
    )  # fmt: skip


def _size(said: str | None, own_side: int) -> tuple[int, int]:
    """Width and height that a size says."""
    if said in (None, "auto"):
        return own_side, own_side
    match = _SIZE.fullmatch(said)
    sides = (0, 0) if match is None else (int(match[1]), int(match[2]))
    if not (SMALLEST_SIDE <= min(sides) <= LARGEST_SIDE and max(sides) <= 4 * min(sides)):
        raise ApiError(
            400, f"size {said!r} is refused: give 'auto' or WIDTHxHEIGHT, the shorter side "
            f"{SMALLEST_SIDE} to {LARGEST_SIDE} pixels, the longer at most four times that",
            param="size", code="invalid_value",
        )  # fmt: skip
    return sides


def validation_error(errors: Sequence[Any]) -> ApiError:
    """The first thing that is wrong with a body."""
    first = errors[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body")
    if first["type"] == "extra_forbidden":
        return ApiError(
            400, f"there is no field {where!r}; /openapi.json lists them",
            param=where, code="unknown_parameter",
        )  # fmt: skip
    if first["type"] == "json_invalid":
        return ApiError(400, "the body is not valid JSON", code="invalid_json")
    said = f"{where}: {first['msg']}" if where else f"the body: {first['msg']}"
    missing = first["type"] == "missing"
    return ApiError(
        400, said, param=where or None,
        code="missing_required_parameter" if missing else "invalid_value",
    )  # fmt: skip
