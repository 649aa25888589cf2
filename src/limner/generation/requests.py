"""Requests: their prompts are read, their styles chosen, their drawings begun."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

from limner.errors import CapabilityError, PromptError, UsageError
from limner.generation.balancing import KnownVariant, PersonVariants, balanced
from limner.generation.drawn_from import Grounding
from limner.generation.edited_scenes import draw_edited
from limner.generation.inpainting import MaskedPicture, inpainted
from limner.generation.looks import LOOKS
from limner.generation.picture import Picture
from limner.generation.placed import Placed
from limner.generation.plan_edits import PlanEditor
from limner.generation.prompt_reader import PromptReader, PromptText, ReadPrompt
from limner.generation.prompts import check_wording, quoted, readable, styled_ending, warn
from limner.generation.scenes import one_piece
from limner.generation.session import Drawing
from limner.generation.source_pictures import SourcePicture, changed, moved
from limner.generation.styles import StyleProfile
from limner.generation.styling import Styler
from limner.generation.variation import DEFAULT_VARIETY
from limner.models.concepts import ConceptIndex
from limner.models.image_model import ImageModel
from limner.models.settings import Settings
from limner.scenes.instructions import MOST_EDITS
from limner.scenes.person_variants import Variant
from limner.text.base import TextEncoder, TextFeatures
from limner.text.rewrite import Rewriter, Rewriting
from limner.vision.base import ImageFeatures

if TYPE_CHECKING:
    from limner.generation.files import Record


class RefusedPromptError(PromptError):
    """A prompt among several that the text encoder refuses.

    Attributes:
        index: which one, from 0.
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
        settings: everything else that may be asked; its style comes before one in the prompt.
        masked: a picture whose hole is drawn; None to draw a whole one.
        source: a picture that is changed, as far as ``settings.strength`` says; None for none.
        edits: instructions that change the plan of the picture, the first first.
        rewritten: what the prompt was made of, where it was rewritten; see :func:`rewritten`.
    """

    prompt: str
    seed: int
    settings: Settings = field(default_factory=Settings)
    masked: MaskedPicture | None = None
    source: SourcePicture | None = None
    edits: tuple[str, ...] = ()
    rewritten: Rewriting | None = None


@dataclass(frozen=True)
class Job:
    """A request that was understood, and the drawing that answers it.

    Attributes:
        request: with the style that the seed chose.
        drawing: to be advanced in a :class:`~limner.generation.session.DrawingSession`.
        index: which of the prompts, from 0.
        planner: hash of the planner that laid it out; empty where it is drawn in one piece.
        drawn_from: what each phrase is drawn from.
        placed: where the things of its scene are, once it is drawn; None where it is no scene, or
            an edited one.
    """

    request: DrawRequest
    drawing: Drawing
    index: int
    planner: str
    drawn_from: tuple[Grounding, ...]
    placed: Placed | None = None


class RequestReader:
    """Reads what requests ask for, and begins their drawings.

    Args:
        model: that draws.
        encoder: of its prompts.
        concepts: the names that it knows; None where it has no index.
        name: of the model in messages.
        scenes: whether it composes scenes unless it is told not to.
    """

    def __init__(
        self,
        model: ImageModel,
        encoder: TextEncoder,
        concepts: ConceptIndex | None,
        *,
        name: str,
        scenes: bool,
    ) -> None:
        self.model, self.encoder, self.name = model, encoder, name
        self.styles = model.config.styles
        self.styler = Styler(model, concepts)
        self._concepts = concepts
        self._reader = PromptReader(encoder, concepts, self.styles, name, scenes=scenes)

    @cached_property
    def _variants(self) -> PersonVariants | None:
        return None if self._concepts is None else PersonVariants(self._concepts)

    def variants_of(self, name: str) -> Mapping[Variant, KnownVariant]:
        """The variants that the model knows of the person that a name of it is of; may be none."""
        return {} if self._variants is None else self._variants.of(name)

    def read(
        self,
        group: Sequence[tuple[int, DrawRequest]],
        look: StyleProfile | None = None,
        image: ImageFeatures | None = None,
    ) -> Iterator[Job | RefusedPromptError]:
        """Read the prompts of a few requests and say how each is drawn.

        Args:
            group: requests with the number of their prompt.
            look: that all are redrawn in.
            image: features of the picture that all are drawn after.
        """
        asked: list[PromptText | str] = []
        requests = []
        for _, request in group:
            given: object = request.prompt
            if not isinstance(given, str):
                asked.append(f"a {type(given).__name__} is not text")
                requests.append(request)
                continue
            settings = request.settings
            from_pixels = request.masked is not None or request.source is not None
            if from_pixels and not self.model.draws_training_pictures:
                settings = settings.model_copy(update={"scenes": False})
            try:
                wanted, named, transparent = self._reader.asked(readable(given), settings)
            except PromptError as error:
                asked.append(str(error))
                requests.append(request)
                continue
            check_wording(wanted.text, self.styles)
            style = named if settings.style is None else settings.style
            if style is not None:
                style = self.styler.named(style)
                settings = settings.model_copy(update={"style": style})
            if settings.transparent is None and transparent:
                settings = settings.model_copy(update={"transparent": True})
            if settings.variety is None and self.model.draws_training_pictures:
                settings = settings.model_copy(update={"variety": DEFAULT_VARIETY})
            asked.append(wanted._replace(style=None if style in LOOKS else style))
            requests.append(replace(request, settings=settings))
        texts = list(dict.fromkeys(each for each in asked if isinstance(each, PromptText)))
        found = dict(zip(texts, self._reader.read(texts), strict=True)) if texts else {}
        alone = group[0][0] == group[-1][0] == 0
        for (index, _), request, ask in zip(group, requests, asked, strict=True):
            read = PromptError(ask) if isinstance(ask, str) else found[ask]
            if isinstance(ask, str) or isinstance(read, PromptError):
                yield RefusedPromptError(index, read, alone)
            else:
                yield self._job(index, request, ask, read, look=look, image=image)

    def _job(
        self,
        index: int,
        request: DrawRequest,
        ask: PromptText,
        read: ReadPrompt,
        *,
        look: StyleProfile | None,
        image: ImageFeatures | None,
    ) -> Job:
        """How a request is drawn whose prompt was read; the rest as :meth:`read`."""
        props = () if read.scene is None else [prop.name for prop in read.scene.props]
        asked = style = request.settings.style
        read = self._evenly(request, read)
        if style is None or style in LOOKS:
            place = read.scene is not None and read.scene.setting is not None
            coloured = place or len(read.drawn_from) > 1
            things = () if read.scene is None else read.scene.plan.things
            style = self.styler.chosen(
                request.seed, read.drawn_from, props, coloured=coloured,
                hair=any(thing.top is not None for thing in things),
            )  # fmt: skip
        read = self._reader.in_style(ask, read, style)
        read = self._evenly(request, read)
        edited = None
        if request.edits:
            transparent = bool(request.settings.transparent)
            edited = self._editor(ask, style, transparent).edited(read, ask.text, request.edits)
            read = ReadPrompt(edited.features, None, edited.drawn_from)
            props = [each.prop.name for each in edited.scene.props]
        styled = self.styler.styled(request.settings, read, props, style, look)
        request = replace(request, settings=styled.settings)
        steps, planner, artist = one_piece(read.features), "", self._reader.artist
        placed = None
        if edited is not None and artist is not None:
            steps, planner = draw_edited(
                artist, edited.scene, request.seed, self.side(request),
                transparent=bool(request.settings.transparent),
            ), artist.hash  # fmt: skip
        elif read.scene is not None and artist is not None:
            placed = Placed()
            steps, planner = artist.draw(
                read.scene, request.seed, self.side(request), placed=placed,
                transparent=bool(request.settings.transparent) or request.masked is not None,
            ), artist.hash  # fmt: skip
        if request.masked is not None:
            keeps = self.model.draws_training_pictures
            steps = inpainted(
                request.masked, read.features, self.model.config.size, patched=keeps,
                thing=steps if keeps and request.masked.inserts else None,
            )  # fmt: skip
        sampled = styled.sampled
        if request.source is not None and self.model.draws_training_pictures:
            strength, sampled = sampled.strength, sampled.model_copy(update={"strength": None})
            steps = moved(
                request.source, steps, 1.0 if strength is None else strength,
                self.side(request), look or self.styler.profile(asked),
            )  # fmt: skip
        elif request.source is not None:
            side = self.model.config.size
            steps = changed(request.source, read.features, side, self.side(request), styled.look)
        negative = sampled.negative
        drawing = Drawing(
            steps, request.seed, sampled,
            partial(self.styler.part, styled, request.seed), reference=image,
            negative=None if negative is None else self._encode_negative(negative),
        )  # fmt: skip
        return Job(request, drawing, index, planner, styled.drawn_from, placed)

    def _evenly(self, request: DrawRequest, read: ReadPrompt) -> ReadPrompt:
        """What was read, with persons chosen by the seed where balanced drawing is asked for."""
        if not request.settings.balanced or self._variants is None:
            return read
        return balanced(read, request.seed, self._variants, self.encoder)

    def _editor(self, ask: PromptText, style: str | None, transparent: bool) -> PlanEditor:
        """What changes the plan of a prompt; refused where it has none."""
        if self._reader.artist is None or not ask.planned:
            raise CapabilityError(
                f"{self.name} drew the picture in one piece, without a plan that an instruction "
                "could change; edit it with a mask or a box"
            )
        return PlanEditor(self._reader, style if style in self.styles else None, transparent)

    def side(self, request: DrawRequest) -> int:
        """Of the finished picture, in pixels."""
        return request.settings.size or self.model.config.size

    def _encode_negative(self, text: str) -> TextFeatures:
        try:
            return self.encoder.encode([readable(text)])
        except PromptError as error:
            raise PromptError(f"the negative prompt is refused: {error}") from error


def edit_request(picture: Picture | Record, instructions: Sequence[str]) -> DrawRequest:
    """What draws a picture with its plan changed, from the picture or its record.

    Raises:
        UsageError: as for :meth:`Generator.edit`.
    """
    if picture.inpainted or picture.settings.reference:
        raise UsageError(
            "the picture was made from or after another one, and its plan says not all of it; "
            "edit it with a mask or a box"
        )
    edits = (*picture.edits, *instructions)
    if not instructions or len(edits) > MOST_EDITS:
        raise UsageError(f"give 1 to {MOST_EDITS} instructions in all, not {len(edits)}")
    return DrawRequest(
        picture.prompt, picture.seed, picture.settings, edits=edits, rewritten=picture.rewritten
    )


def rewritten(request: DrawRequest, rewriter: Rewriter) -> DrawRequest:
    """A request whose prompt is rewritten; itself where that changes nothing.

    A style at the end of the prompt stays, and so does a prompt that is no text, which is refused
    when it is read.

    Raises:
        EndpointError: the rewriter's endpoint cannot be reached, or refuses.
        DataError: the rewriter's language model fails.
        PromptError: the prompt has characters that no prompt may have.

    Warns:
        PromptWarning: the rewriter has made nothing usable, so that the prompt is drawn as it is.
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
