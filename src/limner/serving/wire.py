"""The request schemas of the Images API, and their conversion to draw requests.

The fields are those of all versions of the API (``response_format`` and ``style: vivid`` as well as
``output_format`` and ``background``), limner's own options, generated from
:class:`limner.models.settings.Settings`, and aliases used by other servers.
"""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, create_model

from limner.generation.inpainting import MaskedPicture
from limner.generation.records import Record
from limner.generation.requests import DrawRequest, edit_request, rewritten
from limner.generation.source_pictures import SourcePicture
from limner.improve.budgets import BUDGET, TARGET
from limner.improve.preferred import CANDIDATES
from limner.models.settings import MAX_SEED, OF_PICTURES, OPTIONS, Settings
from limner.serving.errors import ApiError
from limner.text.rewrite import Rewriter

MOST_CHARACTERS, MOST_PICTURES, LARGEST_SIDE, SMALLEST_SIDE = 32_000, 10, 1024, 16
MOST_JSON_BYTES = 1_000_000
"""Largest body without pictures, in bytes."""
_WITH_ADDRESS = "dall-e"
"""Requests for models of this name get URLs by default, as at OpenAI."""
MOST_DRAWN = 32
"""Most drawings per request to choose the best of."""
_FRAMES, _FRAME_MS = 9, 200
_SIZE = re.compile(r"([0-9]{1,4})x([0-9]{1,4})")
_LONGEST_NAME = 80
"""Characters of a field name quoted in an error; clients may send anything."""
_NO_PROMPT = "the prompt is empty; write at least one word of what to draw"
_OLD_STYLES = frozenset({"vivid", "natural"})
_ALIASES = {
    "steps": ("num_inference_steps",), "guidance": ("guidance_scale", "cfg_scale"),
    "negative": ("negative_prompt",),
}  # fmt: skip
_OF_THE_API = frozenset({"size", "transparent", "style"})
"""Drawing options for which the API has its own fields."""


class OutputFormat(StrEnum):
    """Formats of pictures in responses: those of files, and animations."""

    PNG = "png"
    WEBP = "webp"
    JPEG = "jpeg"
    SVG = "svg"
    GIF = "gif"


def _no_empty_text(value: object) -> object:
    """None for an empty string, which some clients send for unset fields."""
    return None if value == "" else value


_Optional = BeforeValidator(_no_empty_text)


class _ApiFields(BaseModel):
    """The fields of the Images API itself, except the prompt."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    model: str | None = Field(None, max_length=256, description="The id of one of /v1/models.")
    n: Annotated[int | None, _Optional] = Field(
        None, ge=1, le=MOST_PICTURES, description="How many pictures; 1 where it is not given."
    )
    size: Annotated[str | None, _Optional] = Field(
        None, max_length=16, description="'auto' or WIDTHxHEIGHT in pixels, each 16 to 4096; the "
        "shorter side 1024 at most.",
    )  # fmt: skip
    quality: Annotated[
        Literal["auto", "low", "medium", "high", "xhigh", "max", "standard", "hd"] | None, _Optional
    ] = Field(None, description="Answered with; every picture is drawn as well as can be.")
    background: Annotated[Literal["auto", "opaque", "transparent"] | None, _Optional] = None
    output_format: Annotated[OutputFormat | None, _Optional] = Field(
        None, description="png where it is not given."
    )
    output_compression: Annotated[int | None, _Optional] = Field(
        None, ge=0, le=100, description="Quality of jpeg and webp; webp is lossless without it."
    )
    frame_count: Annotated[int | None, _Optional] = Field(
        None, ge=2, le=16, description="Pictures in a gif; 9 where it is not given."
    )
    frame_duration_ms: Annotated[int | None, _Optional] = Field(
        None, ge=10, le=10_000, description="Of each, rounded to 10; 200 where it is not given."
    )
    complexity: Annotated[Literal["low", "medium", "high"] | None, _Optional] = Field(
        None, description="Changes nothing here."
    )
    svg: dict[str, Any] | None = Field(None, max_length=8, description="Changes nothing here.")
    moderation: Annotated[Literal["auto", "low"] | None, _Optional] = None
    stream: Annotated[bool | None, _Optional] = None
    partial_images: Annotated[int | None, _Optional] = Field(None, ge=0, le=3)
    response_format: str | None = Field(
        None,
        max_length=32,
        description="'url' for an address; anything else for b64_json; "
        "not given: that, and for a model called dall-e an address as well.",
    )
    style: str | None = Field(
        None, max_length=200, description="One of the model's styles; 'vivid' and 'natural', which "
        "older clients send, leave the choice to the seed.",
    )  # fmt: skip
    user: str | None = Field(None, max_length=512)
    safety_identifier: str | None = Field(None, max_length=512)
    seed: Annotated[int | None, _Optional] = Field(
        None, ge=-1, le=MAX_SEED - MOST_DRAWN,
        validation_alias=AliasChoices("seed", "rng_seed"),
        description="Of the first picture; the others count on. -1 or none: a random one.",
    )  # fmt: skip
    best_of: Annotated[int | None, _Optional] = Field(
        None, ge=1, le=MOST_DRAWN, description="Draw so many, and answer with the n that show the "
        "words best, best first, each with its score.",
    )  # fmt: skip
    prefer: Annotated[bool | None, _Optional] = Field(
        None, description="Choose those that this user likes best, by the votes that the server "
        "has learned from; of eight for each picture where best_of does not say.",
    )  # fmt: skip


class _Prompted(_ApiFields):
    prompt: str = Field(
        min_length=1, max_length=MOST_CHARACTERS,
        description="What to draw, in any language.",
    )  # fmt: skip


class _Generated(_Prompted):
    rewrite: Annotated[bool | None, _Optional] = Field(
        None, description="Whether the prompt is rewritten before it is drawn, by the server's "
        "rewriter; revised_prompt is what is drawn.",
    )  # fmt: skip


class _Edited(_Prompted):
    say: Annotated[bool | None, _Optional] = Field(
        None, description="Whether the prompt is an instruction that changes the plan of the one "
        "image, which limner drew: 'make the cat blue'.",
    )  # fmt: skip
    input_fidelity: Annotated[Literal["high", "low"] | None, _Optional] = Field(
        None, description="Changes nothing here."
    )


def _drawing_options(left_out: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Limner's options as fields: those of :class:`Settings` without a field in the API."""
    found: dict[str, Any] = {}
    for name in OPTIONS:
        if name not in _OF_THE_API | left_out:
            field = Settings.model_fields[name]
            alias = AliasChoices(name, *_ALIASES.get(name, ()))
            limits = [each for each in field.metadata if not isinstance(each, str)]
            found[name] = (
                Annotated[field.annotation, *limits, _Optional],
                Field(None, description=field.description, validation_alias=alias),
            )
    return found


GenerationRequest: type[_Prompted] = create_model(
    "GenerationRequest", __base__=_Generated, **_drawing_options(OF_PICTURES)
)
"""The body of ``POST /v1/images/generations``."""
EditRequest: type[_Prompted] = create_model("EditRequest", __base__=_Edited, **_drawing_options())
"""The fields of ``POST /v1/images/edits`` beside its pictures."""
VariationRequest: type[_ApiFields] = create_model(
    "VariationRequest", __base__=_ApiFields, **_drawing_options()
)
"""The fields of ``POST /v1/images/variations`` beside its picture."""


class _Explained(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    model: str | None = Field(None, max_length=256, description="The id of one of /v1/models.")
    prompt: str = Field(
        min_length=1, max_length=MOST_CHARACTERS,
        description="What to draw, in any language; of 32 words at most.",
    )  # fmt: skip
    seed: Annotated[int | None, _Optional] = Field(
        None, ge=-1, le=MAX_SEED, description="Of the picture. -1 or none: a random one."
    )
    size: Annotated[str | None, _Optional] = Field(
        None, max_length=16, description="'auto' or the side of the picture, WIDTHxWIDTH."
    )
    style: Annotated[str | None, _Optional] = Field(
        None, max_length=200, description="One of the model's styles."
    )
    maps: Annotated[
        Literal["plan", "information", "attention", "gradient", "change"] | None, _Optional
    ] = Field(None, description="Of what kind; the best that the picture has if none is given.")
    page: Annotated[bool | None, _Optional] = Field(
        None, description="Whether the answer has a page of HTML, too."
    )
    user: str | None = Field(None, max_length=512)


ExplanationRequest: type[_Explained] = create_model(
    "ExplanationRequest", __base__=_Explained, **_drawing_options(OF_PICTURES)
)
"""The body of ``POST /v1/explanations``."""


class _Refined(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    model: str | None = Field(None, max_length=256, description="The id of one of /v1/models.")
    prompt: str = Field(
        min_length=1, max_length=MOST_CHARACTERS, description="What to draw, in any language."
    )
    seed: Annotated[int | None, _Optional] = Field(
        None, ge=-1, le=MAX_SEED, description="Of the first picture. -1 or none: a random one."
    )
    size: Annotated[str | None, _Optional] = Field(
        None, max_length=16, description="'auto' or the side of the picture, WIDTHxWIDTH."
    )
    style: Annotated[str | None, _Optional] = Field(
        None, max_length=200, description="One of the model's styles."
    )
    budget: Annotated[int | None, _Optional] = Field(
        None,
        ge=1,
        le=MOST_DRAWN,
        description=f"Pictures drawn at most; {BUDGET} where it is not given.",
    )
    target: Annotated[float | None, _Optional] = Field(
        None,
        gt=0,
        le=1,
        description=f"Score that is good enough; {TARGET} where it is not given.",
    )
    page: Annotated[bool | None, _Optional] = Field(
        None, description="Whether the answer has the trace as a page of HTML, too."
    )
    user: str | None = Field(None, max_length=512)


RefinementRequest: type[_Refined] = create_model(
    "RefinementRequest", __base__=_Refined, **_drawing_options(OF_PICTURES)
)
"""The body of ``POST /v1/refinements``."""


def understand_drawn(body: BaseModel, own_side: int, what: str) -> DrawRequest:
    """The request for the one picture to explain or refine.

    Args:
        body: an :data:`ExplanationRequest` or a :data:`RefinementRequest`.
        own_side: side of the model's pictures, in pixels.
        what: name of the task, for messages.

    Raises:
        ApiError: the size is not square.
    """
    given = body.model_dump()
    width, height = _size(given["size"], own_side)
    if width != height:
        raise ApiError(400, f"a picture of {width} x {height} is not {what}; ask for a square",
                       param="size", code="invalid_value")  # fmt: skip
    options = {name: given[name] for name in OPTIONS if name in given and name not in _OF_THE_API}
    seed = given["seed"]
    return DrawRequest(
        given["prompt"], secrets.randbelow(2**32) if seed in (None, -1) else seed,
        Settings(**options, size=width, style=given["style"]),
    )  # fmt: skip


class Asked(BaseModel):
    """A parsed request, and how to respond to it.

    Attributes:
        requests: the pictures to draw: the frames of each picture, or ``best_of`` candidates.
        count: number of pictures in the response.
        frames: frames per picture; 1 except for animations.
        milliseconds: duration of a frame.
        width: width of the pictures, in pixels.
        height: their height.
        format: format of the files.
        quality: quality of lossy files.
        answered_quality: the ``quality`` field of the response.
        as_url: whether pictures are returned as URLs.
        as_file: whether the response is the file itself.
        stream: whether the response is a stream of events.
        partial_images: number of previews per picture in the stream.
        safety_identifier: echoed in the response.
        rewrite: whether to rewrite the prompt.
        prefer: whether the best are chosen by the user's preferences instead of the score.
    """

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    requests: tuple[DrawRequest, ...]
    count: int
    frames: int
    milliseconds: int
    width: int
    height: int
    format: OutputFormat
    quality: int | None
    answered_quality: str
    as_url: bool
    as_file: bool
    stream: bool
    partial_images: int
    safety_identifier: str | None
    rewrite: bool = False
    prefer: bool = False

    def inpainting(self, masked: MaskedPicture) -> Asked:
        """The same request as inpainting of a picture; the response has the picture's size.

        There are no previews, because the model only has a window of the picture.
        """
        height, width = masked.mask.shape
        requests = tuple(
            replace(
                each, masked=masked,
                settings=each.settings.model_copy(update={"size": None, "transparent": None}),
            )
            for each in self.requests
        )  # fmt: skip
        own = {"requests": requests, "width": width, "height": height, "partial_images": 0}
        return self.model_copy(update=own)

    def changing(self, source: SourcePicture) -> Asked:
        """The same request as image-to-image, with the source's aspect ratio and no previews."""
        requests = tuple(
            replace(
                each, source=source, settings=each.settings.model_copy(update={"transparent": None})
            )
            for each in self.requests
        )  # fmt: skip
        width, height = source.size(requests[0].settings.size or min(self.width, self.height))
        own = {"requests": requests, "width": width, "height": height, "partial_images": 0}
        return self.model_copy(update=own)

    def rewritten(self, rewriter: Rewriter) -> Asked:
        """The same with its prompt rewritten; see :func:`limner.generation.requests.rewritten`."""
        made = rewritten(self.requests[0], rewriter)
        own = (replace(each, prompt=made.prompt, rewritten=made.rewritten)
               for each in self.requests)  # fmt: skip
        return self.model_copy(update={"requests": tuple(own)})

    def saying(self, record: Record, own_side: int) -> Asked:
        """The request that edits the plan of a picture, with the prompt as the instruction.

        Raises:
            UsageError: the picture has no plan.
        """
        request = edit_request(record, [self.requests[0].prompt])
        side = record.settings.size or own_side
        own = {"requests": (request,), "width": side, "height": side, "partial_images": 0}
        return self.model_copy(update=own)

    @property
    def transparent(self) -> bool:
        """Whether the background is transparent."""
        return bool(self.requests[0].settings.transparent)

    @property
    def chosen(self) -> bool:
        """Whether the pictures of the response are chosen among candidates."""
        return len(self.requests) > self.count * self.frames


def understand(body: BaseModel, own_side: int, prompt: str | None = None) -> Asked:
    """Parse a request body.

    Args:
        body: a :data:`GenerationRequest`, :data:`EditRequest` or :data:`VariationRequest`.
        own_side: side of the model's pictures, in pixels.
        prompt: the prompt, if the body has none.

    Raises:
        ApiError: fields contradict each other.
    """
    given = body.model_dump()
    width, height = _size(given["size"], own_side)
    kind = given["output_format"] or OutputFormat.PNG
    count = given["n"] or 1
    prefer = bool(given["prefer"])
    best_of = given["best_of"] or (min(CANDIDATES * count, MOST_DRAWN) if prefer else count)
    _check_together(given, kind, count, best_of)
    style = given["style"] or None
    options = {name: given[name] for name in OPTIONS if name in given and name not in _OF_THE_API}
    settings = Settings(
        **options,
        size=min(width, height),
        transparent=None
        if given["background"] in (None, "auto")
        else given["background"] == "transparent",
        style=None if style in _OLD_STYLES else style,
    )
    seed = given["seed"]
    first = secrets.randbelow(2**32) if seed in (None, -1) else seed
    frames = (given["frame_count"] or _FRAMES) if kind is OutputFormat.GIF else 1
    text = given.get("prompt") or prompt or ""
    requests = [DrawRequest(text, first + number, settings) for number in range(best_of)]
    if frames > 1:
        requests = [frame for each in requests for frame in _frames(each, frames)]
    compression, quality = given["output_compression"], given["quality"]
    form, older = given["response_format"], (given.get("model") or "").startswith(_WITH_ADDRESS)
    return Asked(
        requests=tuple(requests), count=count, frames=frames,
        milliseconds=round(given["frame_duration_ms"] or _FRAME_MS, -1),
        width=width, height=height, format=kind,
        quality=None if compression is None else max(1, compression),
        answered_quality="high" if quality in (None, "auto") else quality,
        as_url=form == "url" or (form is None and older), as_file=form != "url",
        stream=bool(given["stream"]),
        partial_images=given["partial_images"] or 0,
        safety_identifier=given["safety_identifier"], rewrite=bool(given.get("rewrite")),
        prefer=prefer,
    )  # fmt: skip


def check_alone(body: BaseModel) -> None:
    """Refuse fields of an edit that are determined by the picture's record."""
    own = {*OPTIONS, "n", "seed", "best_of", "prefer", "background", "style", "size"}
    given = body.model_dump()
    name = next((name for name in sorted(own) if given.get(name) is not None), None)
    if name is not None or given["output_format"] is OutputFormat.GIF:
        name = name or "output_format"
        raise ApiError(
            400, f"with say the picture's own record decides; leave {name} out",
            param=name, code="invalid_value",
        )  # fmt: skip


def _check_together(given: Mapping[str, Any], kind: OutputFormat, count: int, best_of: int) -> None:
    """Refuse fields that contradict each other."""
    gif = kind is OutputFormat.GIF
    refusals = [
        ("background", given["background"] == "transparent"
         and kind in (OutputFormat.JPEG, OutputFormat.GIF),
         f"a transparent background needs output_format png, webp or svg, not {kind}"),
        ("output_compression", given["output_compression"] is not None
         and kind not in (OutputFormat.JPEG, OutputFormat.WEBP),
         f"output_compression is for jpeg and webp, not for {kind}; leave it out"),
        *((name, given[name] is not None and not gif, f"{name} is for output_format gif")
          for name in ("frame_count", "frame_duration_ms")),
        ("stream", gif and given["stream"], "an animation is not streamed; leave stream out"),
        ("best_of", best_of < count, f"best_of {best_of} is less than n, which is {count}"),
        *((name, given[name] and best_of > count and (given["stream"] or gif),
           f"the best are known when all are drawn: {name} goes with neither stream nor gif")
          for name in ("best_of", "prefer")),
    ]  # fmt: skip
    for param, wrong, why in refusals:
        if wrong:
            raise ApiError(400, why, param=param, code="invalid_value")


def _frames(request: DrawRequest, count: int) -> list[DrawRequest]:
    """The frames of an animation of a picture.

    Variety rises to the requested value, by default 1, and falls again, so that shape and colour
    change. It is never 0, because a drawing may be mirrored at any other value; and no two
    frames are equal, because viewers of animations would merge them.
    """
    most = 1.0 if request.settings.variety is None else request.settings.variety
    turns = (2 * math.pi * (number + 0.25) / count for number in range(count))
    return [
        replace(request, settings=request.settings.model_copy(update={
            "variety": round(most * max(0.02, (1 - math.cos(turn)) / 2), 4)
        })) for turn in turns
    ]  # fmt: skip


def _size(said: str | None, own_side: int) -> tuple[int, int]:
    """Parse a size into width and height."""
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
    """The first error of a body."""
    first = errors[0]
    # FastAPI puts the part of the request first; models validated elsewhere do not have it.
    loc = first["loc"]
    told = loc[:1] == ("body",) or (len(loc) > 1 and loc[0] in ("query", "path"))
    where = ".".join(map(str, loc[1:] if told else loc))[:_LONGEST_NAME]
    if first["type"] == "extra_forbidden":
        return ApiError(
            400, f"there is no field {where!r}; /openapi.json lists them",
            param=where, code="unknown_parameter",
        )  # fmt: skip
    if first["type"] == "json_invalid":
        return ApiError(400, "the body is not valid JSON", code="invalid_json")
    missing = first["type"] == "missing"
    if not where and (missing or first["type"] in ("model_attributes_type", "dict_type")):
        return ApiError(
            400, "the body is no JSON object; send one with the header content-type: "
            "application/json", code="missing_required_parameter" if missing else "invalid_value",
        )  # fmt: skip
    return ApiError(
        400, _said(where or "the body", first), param=where or None,
        code="missing_required_parameter" if missing else "invalid_value",
    )  # fmt: skip


def _said(name: str, error: Mapping[str, Any]) -> str:
    """The message for an error of pydantic."""
    kind, facts, given = error["type"], error.get("ctx") or {}, error.get("input")
    if kind == "missing":
        return f"{name} is missing"
    if kind == "string_too_short" and facts.get("min_length") == 1:
        return f"{name} is empty" if name != "prompt" else _NO_PROMPT
    if kind == "string_too_long":
        length, most = len(given or ""), facts["max_length"]
        return f"{name} has {length:,} characters; {most:,} are the most"
    said = str(error["msg"]).partition(", unable to parse")[0]
    if not said.startswith("Input should"):
        return f"{name}: {said}"
    shown = f", not {given!r}"[:_LONGEST_NAME] if isinstance(given, str | int | float) else ""
    return f"{name} {said.removeprefix('Input ')}{shown}"
