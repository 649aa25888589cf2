"""Requests: pictures to draw, each with its prompt, seed and settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from limner.arguments import check_type
from limner.errors import PromptError, UsageError
from limner.generation.inpainting import MaskedPicture
from limner.generation.picture import Picture
from limner.generation.prompts import quoted, styled_ending, warn
from limner.generation.source_pictures import SourcePicture
from limner.models.settings import Settings, check_seed, seed_or_random
from limner.scenes.instructions import MOST_EDITS
from limner.text.rewrite import Rewriter, Rewriting

if TYPE_CHECKING:
    from limner.generation.records import Record

_PICTURES = {"masked": MaskedPicture, "source": SourcePicture}
_OF_WHOLE_PICTURES = ("size", "transparent", "scenes", "thing_seeds")


class RefusedPromptError(PromptError):
    """The text encoder refuses one of the prompts.

    Attributes:
        index: number of the prompt, from 0.
        reason: why, in the encoder's words.
    """

    def __init__(self, index: int, reason: object, alone: bool = False) -> None:
        super().__init__(str(reason) if alone else f"prompt {index + 1}: {reason}")
        self.index, self.reason = index, reason


@dataclass(frozen=True)
class DrawRequest:
    """One picture to draw.

    Attributes:
        prompt: text in any language; ", NAME style" or "in NAME style" at its end chooses a style.
        seed: integer in [0, 2**63).
        settings: all other options; ``settings.style`` overrides a style in the prompt.
        masked: a picture whose hole is to be filled; None to draw a whole picture.
        source: a picture to change, by ``settings.strength``; None for none.
        edits: instructions that change the plan of the picture, in order.
        rewritten: the original prompt, if it was rewritten; see :func:`rewritten`.
    """

    prompt: str
    seed: int
    settings: Settings = field(default_factory=Settings)
    masked: MaskedPicture | None = None
    source: SourcePicture | None = None
    edits: tuple[str, ...] = ()
    rewritten: Rewriting | None = None

    def check(self) -> None:
        """Refuse a seed out of range, and options that do not apply to this request.

        Raises:
            UsageError: the seed or an option is refused.
        """
        check_seed(self.seed)
        check_type("settings", self.settings, Settings, "limner.Settings(…)")
        for name, kind in _PICTURES.items():
            if getattr(self, name) is not None:
                check_type(name, getattr(self, name), kind, f"limner's {kind.__name__}.open(FILE)")
        if not isinstance(self.edits, tuple) or not all(isinstance(e, str) for e in self.edits):
            raise UsageError(f"edits = {self.edits!r} is refused: give a tuple of instructions")
        for name in _OF_WHOLE_PICTURES if self.masked is not None else ():
            if getattr(self.settings, name) is not None:
                raise UsageError(f"inpainting takes no {name}; leave it out")
        if self.settings.strength is not None and self.source is None:
            raise UsageError(
                "strength says how much a picture is changed, and none is given; leave it out"
            )


def numbered_requests(
    prompts: Iterable[str | DrawRequest],
    settings: Settings,
    *,
    n: int,
    seed: int | None,
    rewriter: Rewriter | None = None,
) -> Iterator[tuple[int, DrawRequest]]:
    """The requests for ``n`` pictures of every prompt, each with the number of its prompt.

    Args:
        prompts: may be a lazy iterator; see :meth:`~limner.generation.generator.Generator.stream`.
        settings: shared by all; the settings of a prompt that is a request override them.
        n: pictures per prompt, with consecutive seeds.
        seed: of each prompt's first picture, unless the prompt is a request; None for a random one.
        rewriter: rewrites every prompt; None for none.

    Raises:
        UsageError: there is no prompt.
        LimnerError: for the reasons listed at :func:`rewritten`.
    """
    index = -1
    for index, prompt in enumerate(prompts):
        if isinstance(prompt, DrawRequest):
            own = settings.model_copy(update=prompt.settings.given)
            asked = replace(prompt, settings=own)
        else:
            asked = DrawRequest(prompt, seed_or_random(seed), settings)
        if rewriter is not None:
            with suppress(PromptError):  # it is refused when it is read, with its number
                asked = rewritten(asked, rewriter)
        for j in range(n):
            yield index, replace(asked, seed=asked.seed + j)
    if index < 0:
        raise UsageError("there is no prompt to draw")


def edit_request(picture: Picture | Record, instructions: Sequence[str]) -> DrawRequest:
    """The request for a picture with its plan changed, from the picture or its record.

    Raises:
        UsageError: as for :meth:`~limner.generation.generator.Generator.edit`.
    """
    if not hasattr(picture, "inpainted"):
        raise UsageError(
            f"a {type(picture).__name__} has no plan: give a picture that generate returned, or "
            "limner.generation.records.read_record(Path(FILE))"
        )
    if picture.inpainted or picture.settings.reference:
        raise UsageError(
            "the picture was made from another one or after a reference, so its plan does not "
            "describe all of it; edit it with a mask or a box",
            code="no_plan",
        )
    edits = (*picture.edits, *instructions)
    if not instructions or len(edits) > MOST_EDITS:
        raise UsageError(
            f"give 1 to {MOST_EDITS} instructions in all, not {len(edits)}",
            code="too_many_instructions",
        )
    return DrawRequest(
        picture.prompt, picture.seed, picture.settings, edits=edits, rewritten=picture.rewritten
    )


def rewritten(request: DrawRequest, rewriter: Rewriter) -> DrawRequest:
    """Rewrite the prompt of a request; returns the same request if nothing changes.

    A style at the end of the prompt is kept. A prompt that is not a string is left alone, and
    refused later.

    Raises:
        EndpointError: the rewriter's endpoint cannot be reached, or refuses.
        DataError: the rewriter's language model fails.
        PromptError: the prompt has invalid characters.

    Warns:
        PromptWarning: the rewriter's answer is unusable; the prompt is drawn as it is.
    """
    if not isinstance(request.prompt, str) or not request.prompt.strip():
        return request
    text, style = styled_ending(request.prompt)
    found = rewriter.rewrite(text)
    if found.problem:
        warn(f"{quoted(text)} is drawn as it is: {found.problem}")
    if found.prompt == text:
        return request
    made = Rewriting(given=request.prompt, by=rewriter.spec)
    return replace(request, prompt=found.prompt + style, rewritten=made)
