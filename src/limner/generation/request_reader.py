"""Reading requests: their prompts are read, their styles chosen, their drawings begun."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import NamedTuple

from limner.errors import CapabilityError, PromptError
from limner.generation.balancing import KnownVariant, PersonVariants, balanced
from limner.generation.drawn_from import Grounding
from limner.generation.edited_scenes import EditedScene, draw_edited
from limner.generation.inpainting import MaskedPicture, inpainted
from limner.generation.looks import LOOKS
from limner.generation.partial_drawing import PartialDrawing, one_piece
from limner.generation.placed import Placed
from limner.generation.plan_edits import PlanEditor
from limner.generation.prompt_reader import PromptReader, PromptText, ReadPrompt
from limner.generation.prompts import check_wording, readable, warn
from limner.generation.references import SeenReference
from limner.generation.requests import DrawRequest, RefusedPromptError
from limner.generation.scene_drawing import draw_scene
from limner.generation.session import Drawing
from limner.generation.source_pictures import changed, moved
from limner.generation.styling import Styler
from limner.generation.variation import DEFAULT_VARIETY
from limner.models.concepts import ConceptIndex
from limner.models.image_model import ImageModel
from limner.scenes.person_variants import Variant
from limner.text.base import TextEncoder, TextFeatures


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
        composed_of: words that each thing of a scene is drawn from; none where the picture is
            drawn in one piece.
        drawings: that it takes, of things and of what belongs to the place.
    """

    request: DrawRequest
    drawing: Drawing
    index: int
    planner: str
    drawn_from: tuple[Grounding, ...]
    placed: Placed | None = None
    composed_of: tuple[str, ...] = ()
    drawings: int = 1


class _Planned(NamedTuple):
    """A prompt as it is to be drawn.

    Attributes:
        read: in its style, without a scene where that is edited.
        style: asked for, or chosen by the seed; None for any.
        props: names of what belongs to its setting, and of the drawings that persons have.
        edited: its scene with the request's edits; None where there are none.
    """

    read: ReadPrompt
    style: str | None
    props: Sequence[str]
    edited: EditedScene | None = None


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
        reference: SeenReference | None = None,
    ) -> Iterator[Job | RefusedPromptError]:
        """Read the prompts of a few requests and say how each is drawn.

        Args:
            group: requests with the number of their prompt.
            reference: that all are drawn after; None for nothing.
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
                yield self._job(index, request, ask, read, reference)

    def _job(
        self,
        index: int,
        request: DrawRequest,
        ask: PromptText,
        read: ReadPrompt,
        reference: SeenReference | None,
    ) -> Job:
        """How a request is drawn whose prompt was read; the rest as :meth:`read`."""
        look = None if reference is None else reference.style
        asked = request.settings.style
        planned = self._planned(request, ask, read)
        styled = self.styler.styled(
            request.settings, planned.read, planned.props, planned.style, look
        )
        request = replace(request, settings=styled.settings)
        steps, placed, planner = self._steps(request, planned)
        sampled = styled.sampled
        if request.masked is not None:
            steps = self._in_hole(request.masked, planned.read.features, steps)
        if request.source is not None and self.model.draws_training_pictures:
            strength, sampled = sampled.strength, sampled.model_copy(update={"strength": None})
            steps = moved(
                request.source, steps, 1.0 if strength is None else strength,
                self.side(request), look or self.styler.profile(asked),
            )  # fmt: skip
        elif request.source is not None:
            side, features = self.model.config.size, planned.read.features
            steps = changed(request.source, features, side, self.side(request), styled.look)
        negative = sampled.negative
        drawing = Drawing(
            steps, request.seed, sampled, partial(self.styler.part, styled),
            reference=None if reference is None else reference.features,
            negative=None if negative is None else self._encode_negative(negative),
        )  # fmt: skip
        job = Job(request, drawing, index, planner, styled.drawn_from, placed)
        scene = planned.read.scene
        if scene is None or scene.alone:
            return job
        return replace(job, composed_of=tuple(scene.parts), drawings=scene.drawings)

    def _planned(self, request: DrawRequest, ask: PromptText, read: ReadPrompt) -> _Planned:
        """What was read, in the style asked for or chosen for it, and with its edits made."""
        props = [] if read.scene is None else [prop.name for prop in read.scene.props]
        style = request.settings.style
        read = self._evenly(request, read)
        if style is None or style in LOOKS:
            style = self._chosen_style(request.seed, read, props)
        read = self._evenly(request, self._reader.in_style(ask, read, style))
        if not request.edits:
            figures = () if read.scene is None else read.scene.figures
            return _Planned(read, style, [*props, *filter(None, figures)])
        editor = self._editor(ask, style, bool(request.settings.transparent))
        plan = editor.edited(read, ask.text, request.edits)
        read = ReadPrompt(plan.features, None, plan.drawn_from)
        return _Planned(read, style, [each.prop.name for each in plan.scene.props], plan.scene)

    def _in_hole(
        self, masked: MaskedPicture, features: TextFeatures, steps: PartialDrawing
    ) -> PartialDrawing:
        """The picture with its hole filled, by what ``steps`` draws where that is put into it."""
        keeps = self.model.draws_training_pictures
        thing = steps if keeps and masked.inserts else None
        return inpainted(masked, features, self.model.config.size, patched=keeps, thing=thing)

    def _steps(
        self, request: DrawRequest, planned: _Planned
    ) -> tuple[PartialDrawing, Placed | None, str]:
        """How a whole picture is drawn, where its things will be, and the hash of its planner."""
        read, edited = planned.read, planned.edited
        planner, transparent = self._reader.planner, bool(request.settings.transparent)
        seeds = request.settings.seeds_of_things
        if planner is None or (edited is None and read.scene is None):
            _check_seeds(seeds, 1)
            return one_piece(read.features, *seeds[:1]), None, ""
        side = self.side(request)
        if edited is not None:
            _check_seeds(seeds, len(edited.base.parts))
            steps = draw_edited(
                edited, self.encoder, request.seed, side, transparent=transparent, seeds=seeds
            )
            return steps, None, planner.hash
        assert read.scene is not None
        _check_seeds(seeds, len(read.scene.parts))
        placed = Placed()
        steps = draw_scene(
            read.scene, self.encoder, request.seed, side,
            transparent=transparent or request.masked is not None, placed=placed,
            seeds=seeds,
        )  # fmt: skip
        return steps, placed, planner.hash

    def _chosen_style(self, seed: int, read: ReadPrompt, props: Sequence[str]) -> str | None:
        """A style that the things of a prompt are known in, by a seed; None for any."""
        scene = read.scene
        place = scene is not None and scene.setting is not None
        coloured = place or len(read.drawn_from) > 1
        figures = () if scene is None else filter(None, scene.figures)
        bodies = [Grounding(phrase=each, drawn=each, similarity=1) for each in figures]
        return self.styler.chosen(
            seed, [*read.drawn_from, *bodies], props,
            coloured=coloured or all(map(self.styler.has_colour, read.drawn_from)),
            hair=scene is not None and any(thing.top is not None for thing in scene.plan.things),
            whole=() if scene is None else [scene.parts[i] for i in sorted(scene.whole)],
        )  # fmt: skip

    def _evenly(self, request: DrawRequest, read: ReadPrompt) -> ReadPrompt:
        """What was read, with persons chosen by the seed where balanced drawing is asked for."""
        if not request.settings.balanced or self._variants is None:
            return read
        return balanced(read, request.seed, self._variants, self.encoder)

    def _editor(self, ask: PromptText, style: str | None, transparent: bool) -> PlanEditor:
        """What changes the plan of a prompt; refused where it has none."""
        if self._reader.planner is None or not ask.planned:
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


def _check_seeds(seeds: Sequence[int], things: int) -> None:
    """Say that there are more seeds than things."""
    if len(seeds) > things:
        many = "one thing" if things == 1 else f"{things} things"
        warn(f"the picture has {many}: the last of the {len(seeds)} thing_seeds are not used")
