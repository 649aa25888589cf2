"""Drawing: a generator turns requests into pictures, and whoever draws calls it."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from limner.errors import CapabilityError, DataError, LimnerError, PromptError, UsageError
from limner.generation.balancing import KnownVariant, PersonVariants, balanced
from limner.generation.copies import TrainingDrawing
from limner.generation.drawn_from import Grounding
from limner.generation.edited_scenes import draw_edited
from limner.generation.inpainting import MaskedPicture, inpainted
from limner.generation.looks import LOOKS, find_look
from limner.generation.placed import Placed
from limner.generation.plan_edits import PlanEditor
from limner.generation.prompt_reader import PromptReader, PromptText, ReadPrompt
from limner.generation.prompts import check_wording, readable
from limner.generation.references import Reference, read_reference
from limner.generation.restyle import pixelated
from limner.generation.scenes import one_piece
from limner.generation.session import Drawing, DrawingSession
from limner.generation.source_pictures import SourcePicture, changed, moved
from limner.generation.styles import Kind, StyleProfile, measure
from limner.generation.styling import Styler
from limner.generation.variation import DEFAULT_VARIETY
from limner.hub import is_hub
from limner.image_encoders import load_image_encoder
from limner.loading import load_with_encoder, warn_changed
from limner.modelfile import read_concepts
from limner.modelinfo import ModelInfo
from limner.models.base import Capability, ImageModel, Model, OneShotModel
from limner.models.concepts import ConceptIndex
from limner.models.rows import SampleRequest
from limner.models.settings import MAX_SEED, Settings, check_seed, make_settings
from limner.scenes.cutout import resize, to_image, without_background
from limner.scenes.instructions import MOST_EDITS
from limner.scenes.person_variants import Variant
from limner.shipped import find_model
from limner.tensorfile import file_hash
from limner.text.base import TextEncoder, TextFeatures
from limner.threads import set_threads
from limner.vision.base import ImageEncoder, ImageFeatures
from limner.vision.images import png_bytes
from limner.vision.pixels import to_tensor
from limner.vision.resampling import resized

if TYPE_CHECKING:
    from limner.data.store import Store
    from limner.generation.backends.source import HubSource
    from limner.generation.explaining import Explanation
    from limner.generation.files import Record
    from limner.generation.sets import SetPicture
    from limner.vision.aligner import Aligner

_REQUESTS_AT_ONCE = 32
_PICTURES_AT_ONCE = 8
_OF_WHOLE_PICTURES = ("size", "transparent", "scenes")
DECODED_BYTES = 128 * 2**20
"""Of the decoded drawings that a model of training pictures remembers: some 170 of 256 pixels."""

Progress = Callable[[float], None]
"""Called after every network evaluation with the number of pictures drawn until then, to which an
unfinished one counts as far as it is."""

SeenReference = tuple[ImageFeatures | StyleProfile, str]
"""What is drawn after in a reference picture, and its SHA-256; see :meth:`Generator.look`."""


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
class Picture:
    """One drawn picture and all it takes to draw it again.

    Attributes:
        image: RGB, or RGBA where a transparent background was asked for.
        prompt: as it was given, a style at its end included.
        seed: of this very picture.
        model: hash of the model file.
        settings: what was asked besides; ``settings.style`` is the style the prompt or the
            caller named, None where the seed chose; so with a transparent background.
        index: which of the prompts, from 0.
        encoder: fingerprint of the text encoder.
        planner: hash of the planner that laid it out; empty where it was drawn in one piece.
        tile: pictures per network evaluation.
        threads: of the CPU; 0 where nobody knows. Another tile or number of threads may round
            some pixels otherwise.
        drawn_from: what each phrase was drawn from; empty where the model has no index of the
            concepts it knows, or was not to use it.
        sources: the training drawings that its parts were drawn from, where the model keeps them;
            they are not in its record.
        inpainted: SHA-256 of the picture that it was made from, with its mask if it has one; empty
            for none.
        edits: instructions that changed its plan, the first first.
    """

    image: Image.Image
    prompt: str
    seed: int
    model: str
    settings: Settings
    index: int = 0
    encoder: str = ""
    planner: str = ""
    tile: int = 1
    threads: int = 0
    drawn_from: tuple[Grounding, ...] = ()
    sources: tuple[TrainingDrawing, ...] = ()
    inpainted: str = ""
    edits: tuple[str, ...] = ()

    def save(self, path: str | Path) -> Path:
        """Write a PNG, WebP, JPEG or SVG by the name's ending, with its own record.

        See :mod:`limner.generation.files`.
        """
        from limner.generation.files import write_picture

        return write_picture(self, Path(path))

    def _repr_png_(self) -> bytes:
        """The picture as notebooks show it."""
        return png_bytes(self.image)

    def __repr__(self) -> str:
        width, height = self.image.size
        return f"<Picture of {self.prompt!r}, seed {self.seed}, {width} x {height}>"


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
    """

    prompt: str
    seed: int
    settings: Settings = field(default_factory=Settings)
    masked: MaskedPicture | None = None
    source: SourcePicture | None = None
    edits: tuple[str, ...] = ()


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


class Generator:
    """A model, the encoder it was trained with, and the file they came from, if any.

    Args:
        model: the family's network; it is drawn with as it is, so put it in eval mode.
        info: what the model file says of itself, or would say.
        encoder: turns prompts into features.
        path: the model file; None for a model in memory or of the hub.
        device: where the model draws.
        tile: pictures per network evaluation; None for the model's own choice.
        hub: where a model of the hub is from.

    Attributes:
        source: what :func:`load` opens it by; None for a model in memory.
        hash: the first 16 hex digits of the file's SHA-256; empty for a model in memory.
    """

    def __init__(
        self,
        model: Model,
        info: ModelInfo,
        encoder: TextEncoder,
        *,
        path: Path | None = None,
        device: str | torch.device = "cpu",
        tile: int | None = None,
        hub: HubSource | None = None,
    ) -> None:
        if not isinstance(model, ImageModel):
            raise model.cannot(Capability.GENERATE)
        model.tile = tile
        self.model, self.info, self.encoder = model, info, encoder
        self.path, self.device, self._hub = path, str(device), hub
        self.source: str | Path | None = path if hub is None else hub.spec
        self._image_encoder: ImageEncoder | None = None
        if hub is not None:
            self.hash = hub.hash
        else:
            self.hash = "" if path is None else file_hash(path)

    @property
    def name(self) -> str:
        """Of the model in messages: its file's, or that of its family."""
        if self._hub is not None:
            return self._hub.name
        return f"this {self.model.family} model" if self.path is None else self.path.name

    def __repr__(self) -> str:
        side = self.model.config.size
        return f"<Generator {self.name}: {self.model.family}, {side} x {side}, {self.device}>"

    @property
    def at_once(self) -> int:
        """Pictures that are drawn side by side: some tiles, and no fewer than there are threads."""
        least = max(_PICTURES_AT_ONCE, torch.get_num_threads())
        return -(-least // self.model.tile) * self.model.tile

    @cached_property
    def concepts(self) -> ConceptIndex | None:
        """The names that the model knows, read when first asked for; None where it has no index."""
        return None if self.path is None else read_concepts(self.path)

    @cached_property
    def _reader(self) -> PromptReader:
        return PromptReader(
            self.encoder, self.concepts, self.styles, self.name, scenes=self.info.scenes
        )

    @cached_property
    def _variants(self) -> PersonVariants | None:
        return None if self.concepts is None else PersonVariants(self.concepts)

    def variants_of(self, name: str) -> Mapping[Variant, KnownVariant]:
        """The variants that the model knows of the person that a name of it is of; may be none."""
        return {} if self._variants is None else self._variants.of(name)

    @cached_property
    def _styler(self) -> Styler:
        return Styler(self.model, self.concepts)

    @property
    def styles(self) -> tuple[str, ...]:
        """Names that ``style=`` takes."""
        return self.model.config.styles

    def style_profile(self, style: str) -> StyleProfile | None:
        """What drawings are redrawn by in a style; None where they cannot be.

        Args:
            style: one of the model's, or in words.

        Raises:
            UsageError: there is no such style.
        """
        return self._styler.profile(self._styler.named(style))

    def style_examples(self, style: str, count: int) -> list[Image.Image]:
        """At most so many pictures that the model keeps of a style; none where it keeps none.

        Raises:
            UsageError: there is no such style.
        """
        return self._styler.examples(self._styler.named(style), count)

    def draw_set(self, names: Sequence[str], **options: Any) -> Iterator[SetPicture]:
        """Draw names as one set: one style, one palette, one size, one width of lines.

        Args:
            names: one for each picture.
            options: the fields of :class:`~limner.generation.sets.SetOptions`: ``style``,
                ``palette``, ``outline``, ``avoid_duplicates``, ``seed``, ``drawing``.

        Raises:
            UsageError: no names, or an option that cannot be had.
        """
        from limner.generation.sets import SetOptions, draw_set

        return draw_set(self, names, SetOptions(**options))

    def common_names(self, most: int) -> list[str]:
        """The names of what is known in most styles, each as it stands and with an article."""
        if self.concepts is None or self.concepts.styles is None:
            return []
        order = self.concepts.styles.sum(1).argsort(descending=True, stable=True)[:most]
        names = dict.fromkeys(self.concepts.captions[row] for row in order.tolist())
        return [f"{article}{name}" for name in names
                for article in ("", "an " if name[:1] in "aeiou" else "a ")]  # fmt: skip

    def check_settings(self, settings: Settings) -> None:
        """Refuse options that this model does not take.

        Raises:
            CapabilityError: the model cannot do what was asked.
            UsageError: the style is neither one of the model's nor a style in words.
        """
        if settings.style is not None and (self.styles or find_look(settings.style, ())):
            settings = settings.model_copy(update={"style": self._styler.named(settings.style)})
            if settings.style in LOOKS:
                settings = settings.model_copy(update={"style": None})
        if settings.balanced and (self.concepts is None or settings.grounding is False):
            raise CapabilityError(
                f"{self.name} draws nothing by name, so that it has no variants to draw evenly; "
                "leave balanced out"
            )
        self.model.check_settings(settings)

    def generate(
        self,
        prompts: str | Sequence[str],
        *,
        n: int = 1,
        seed: int | None = None,
        reference: Reference | None = None,
        on_progress: Progress | None = None,
        **options: Any,
    ) -> list[Picture]:
        """Draw ``n`` pictures of every prompt; the first prompt's come first.

        Picture j of a prompt has seed ``seed + j``, so that ``n=4, seed=7`` gives the pictures
        of seeds 7 to 10 and each can be drawn again alone. A picture depends on its prompt, its
        seed and the options only: it has the same bits whatever is drawn beside it.

        Args:
            prompts: one text or several, in any language. A text that ends in ", NAME style" or
                "in NAME style", NAME being one of the model's styles, chooses that style; the
                words are taken off before they reach the text encoder.
            n: pictures per prompt.
            seed: of each prompt's first picture; None gives every prompt a random 32-bit seed.
            reference: a picture that all are drawn after: in its style, or as the model learned to
                from such pictures.
            on_progress: see :data:`Progress`.
            options: the fields of :class:`~limner.models.settings.Settings`; None, or left
                out, leaves the choice to the model. ``style`` comes before any that a prompt
                names.

        Raises:
            UsageError: a number out of range, an unknown option or style, no prompt.
            PromptError: a prompt the text encoder refuses.
            CapabilityError: the model cannot do what was asked.
            DataError: the reference is no picture that can be read.
        """
        return list(
            self.stream(
                prompts, n=n, seed=seed, reference=reference, on_progress=on_progress, **options
            )
        )

    def stream(
        self,
        prompts: str | Iterable[str | DrawRequest],
        *,
        n: int = 1,
        seed: int | None = None,
        reference: Reference | None = None,
        on_refused: Callable[[RefusedPromptError], None] | None = None,
        on_progress: Progress | None = None,
        **options: Any,
    ) -> Iterator[Picture]:
        """The pictures of :meth:`generate`, drawn a few at a time as they are asked for.

        No picture is kept, so that one stream of any length can feed files and metrics alike;
        ``prompts`` may itself be a lazy iterator. Options out of range are refused at once,
        prompts when their turn comes: the first that is refused raises, or is reported to
        ``on_refused`` and left out.

        A prompt may be a :class:`DrawRequest`: its seed is that of the prompt's first picture, and
        its settings come before the options.
        """
        settings = make_settings(**options)
        if n < 1:
            raise UsageError(f"n = {n} is refused: draw at least one picture per prompt")
        if seed is not None and check_seed(seed) + n - 1 > MAX_SEED:
            raise UsageError(
                f"seed {seed} is too large for {n} pictures: the last would pass 2**63"
            )
        self.check_settings(settings)
        texts = [prompts] if isinstance(prompts, str) else prompts

        def requests() -> Iterator[tuple[int, DrawRequest]]:
            index = -1
            for index, text in enumerate(texts):
                if isinstance(text, DrawRequest):
                    own = settings.model_copy(update=text.settings.given)
                    asked = replace(text, settings=own)
                else:
                    first = secrets.randbelow(2**32) if seed is None else seed
                    asked = DrawRequest(text, first, settings)
                for j in range(n):
                    yield index, replace(asked, seed=asked.seed + j)
            if index < 0:
                raise UsageError("there is no prompt to draw")

        return self._draw(requests(), reference, on_refused, on_progress)

    def edit(self, picture: Picture, *instructions: str) -> Picture:
        """A picture with its plan changed: *make the cat blue*, *add a hat*, *at night*.

        What the instructions do not name is drawn as it was, where it was. The new picture can be
        edited again.

        Args:
            picture: that this model drew from a prompt.
            instructions: to be followed one after the other, in any of the taught languages.

        Raises:
            UsageError: there is no instruction, or too many were given to this picture.
            PromptError: an instruction is not understood, or names nothing in the picture.
            CapabilityError: the picture was drawn without a plan.
        """
        request = edit_request(picture, instructions)
        return next(self.draw([request]))

    def inpaint(
        self,
        masked: MaskedPicture,
        prompt: str = "a picture",
        *,
        n: int = 1,
        seed: int | None = None,
        on_progress: Progress | None = None,
        **options: Any,
    ) -> list[Picture]:
        """Draw the hole of a picture anew, ``n`` times; all other pixels keep their bits.

        A flow has the known pixels imposed on its way, an autoregressive model their symbols, and
        a GAN or VAE searches for latents whose picture has them. A model that keeps its training
        drawings fills the hole from what is around it, and puts the prompt's things there.

        Args:
            masked: the picture and its hole; see also
                :func:`limner.generation.inpainting.box_mask` and ``outpainted``.
            prompt: what the picture shows, or what is put into the hole.
            n: pictures, of seeds ``seed`` to ``seed + n - 1``.
            seed: of the first; None for a random one.
            on_progress: see :data:`Progress`.
            options: as for :meth:`generate`, but of the size, which is that of the picture.

        Raises:
            CapabilityError: the family cannot inpaint, or not do what was asked.
            UsageError: an option is unknown, out of range, or has no meaning here.
            PromptError: the text encoder refuses the prompt.
        """
        settings = make_settings(**options)
        first = secrets.randbelow(2**32) if seed is None else seed
        request = DrawRequest(prompt, first, settings, masked)
        return list(self.stream([request], n=n, seed=seed, on_progress=on_progress))

    def restyle(
        self,
        picture: SourcePicture | str | Path | Image.Image,
        prompt: str | None = None,
        *,
        strength: float = 0.5,
        n: int = 1,
        seed: int | None = None,
        reference: Reference | None = None,
        on_progress: Progress | None = None,
        **options: Any,
    ) -> list[Picture]:
        """Change a picture, from a touch to a new drawing of the prompt.

        A flow noises the picture as far as the strength says and draws from there, a VAE moves its
        latents to those of the prompt, an autoregressive model keeps its first symbols, a GAN
        searches for the noise that makes it and moves on to the seed's. A model that keeps its
        training drawings moves shapes and colours to what it draws of the prompt, and redraws the
        picture in the style that is asked for. The result has the shape of the picture.

        Args:
            picture: a file, a picture, or one opened as :class:`SourcePicture`.
            prompt: what it is to show. Without, a model that keeps its training drawings changes
                the style alone; other models need it.
            strength: 0 gives the picture as the model reconstructs it, 1 a new drawing.
            n: pictures, of seeds ``seed`` to ``seed + n - 1``.
            seed: of the first; None for a random one.
            reference: a picture whose style it is to have, see :meth:`generate`.
            on_progress: see :data:`Progress`.
            options: as for :meth:`generate`; ``size`` is the longer side of the result.

        Raises:
            CapabilityError: the family cannot change pictures, or not do what was asked.
            UsageError: nothing is to be changed, or an option is unknown, out of range, or has no
                meaning here.
            PromptError: the text encoder refuses the prompt.
            DataError: a picture cannot be read, is animated or too large.
        """
        settings = make_settings(**options, strength=strength)
        if prompt is None:  # nothing is drawn, and so nothing is looked for
            settings = settings.model_copy(update={"grounding": False})
        if settings.transparent is not None:
            raise UsageError("a changed picture has the ground that it had: leave transparent out")
        if not isinstance(picture, SourcePicture):
            picture = SourcePicture.open(picture)
        picture = replace(picture, draws=picture.draws and prompt is not None)
        if prompt is None and settings.style is None and reference is None:
            raise UsageError("say what is to change: a prompt, a style or a reference picture")
        if prompt is None and not self.model.draws_training_pictures:
            raise UsageError(f"{self.name} draws from words: say what the picture is to show")
        first = secrets.randbelow(2**32) if seed is None else seed
        request = DrawRequest(prompt or "a picture", first, settings, source=picture)
        stream = self.stream(
            [request], n=n, seed=seed, reference=reference, on_progress=on_progress
        )
        return list(stream)

    def explain(
        self,
        prompt: str,
        *,
        seed: int | None = None,
        aligner: Aligner | None = None,
        store: Store | None = None,
        maps: str | None = None,
        **options: Any,
    ) -> Explanation:
        """Draw a prompt and say why the picture shows what it does.

        Each word has a map over the picture: of a scene the drawing that it stands for, of a flow
        or an autoregressive model how much better it predicts each place with the word, else the
        gradients of the pixels by the word's vectors. Each word is left out once, and the rest
        drawn by the same seed. Then there are the nearest captions that the model knows, and the
        nearest training pictures.

        Args:
            prompt: in any language, of at most
                :data:`~limner.generation.explaining.MOST_WORDS` words.
            seed: of the picture; None for a random one.
            aligner: scores how well pictures match the prompt; None for no scores.
            store: where training pictures are looked for instead of among those that the model
                keeps.
            maps: of what kind they are, see :class:`~limner.generation.explaining.MapSource`; None
                for the first that the picture has.
            options: as for :meth:`generate`.

        Raises:
            CapabilityError: the family cannot be explained, or not do what was asked.
            UsageError: the prompt has too many words, or an option is unknown or out of range.
            PromptError: the text encoder refuses the prompt.
        """
        from limner.generation.explaining import explain, source_of

        first = secrets.randbelow(2**32) if seed is None else seed
        request = DrawRequest(prompt, first, make_settings(**options))
        source = None if maps is None else source_of(maps)
        return explain(self, request, aligner=aligner, store=store, source=source)

    def draw(
        self,
        requests: Iterable[DrawRequest],
        *,
        reference: Reference | None = None,
        on_refused: Callable[[RefusedPromptError], None] | None = None,
    ) -> Iterator[Picture]:
        """Draw requests of any number, each with its own prompt, seed and settings.

        Pictures come in the order of the requests, a few at a time as they are asked for; none is
        kept. ``Picture.index`` is the request's number. A picture has the same bits whatever is
        drawn beside it.

        Args:
            requests: may be a lazy iterator; about 32 are read ahead.
            reference: a picture that all are drawn after, as for :meth:`generate`.
            on_refused: called with every prompt that the text encoder refuses, which is then left
                out; without it the first refused prompt raises.

        Raises:
            RefusedPromptError: a prompt is refused and there is no ``on_refused``.
            UsageError: a seed or style that cannot be.
            CapabilityError: the model cannot do what was asked.
            ModelFileError: the model draws numbers that are not finite.
            DataError: the reference is no picture that can be read.
        """
        return self._draw(enumerate(requests), reference, on_refused)

    def look(self, reference: Reference) -> SeenReference:
        """What is drawn after in a reference picture, and its SHA-256.

        That is its features by the model's image encoder; its style, where a model of exemplars has
        no image encoder.

        Raises:
            CapabilityError: the model was not trained with reference pictures.
            DataError: it is no picture that can be read, or nothing is drawn in it.
        """
        spec = self.info.image_encoder
        if not spec and self.model.draws_training_pictures:
            pixels = read_reference(reference, self.model.config.size)
            profile = measure([pixels], closed=True)
            if profile is None:
                raise DataError("the reference picture is empty: nothing is drawn in it")
            return profile, hashlib.sha256(pixels.tobytes()).hexdigest()
        if not spec:
            raise CapabilityError(
                f"{self.name} was not trained with reference pictures; leave the reference "
                "out, or train a model whose recipe has an 'image' section"
            )
        if self._image_encoder is None:
            self._image_encoder = load_image_encoder(spec, device=self.device)
            now, then = self._image_encoder.fingerprint, self.info.image_encoder_fingerprint
            if now != then:
                warn_changed("image", spec, self.path or Path(self.name), then, now)
        pixels = read_reference(reference, self.model.config.size)
        features = self._image_encoder.encode(to_tensor(pixels[None]))
        return features, hashlib.sha256(pixels.tobytes()).hexdigest()

    def _draw(
        self,
        numbered: Iterable[tuple[int, DrawRequest]],
        reference: Reference | None,
        on_refused: Callable[[RefusedPromptError], None] | None,
        on_progress: Progress | None = None,
    ) -> Iterator[Picture]:
        """Draw numbered requests; equal numbers are of one prompt."""
        style, image, digest = _kinds_of(None if reference is None else self.look(reference))

        def checked() -> Iterator[tuple[int, DrawRequest]]:
            for index, request in numbered:
                yield index, self._checked(request, digest)

        def pictures() -> Iterator[Picture]:
            requests, reported, drawn = checked(), -1, 0
            while group := list(islice(requests, _REQUESTS_AT_ONCE)):
                jobs = []
                for job in self._understand(group, style, image):
                    if isinstance(job, Job):
                        jobs.append(job)
                    elif on_refused is None:
                        raise job
                    elif job.index > reported:  # once for all seeds of a prompt
                        on_refused(job)
                        reported = job.index
                for start in range(0, len(jobs), self.at_once):
                    some = jobs[start : start + self.at_once]
                    yield from self._finish(some, drawn, on_progress)
                    drawn += len(some)

        return pictures()

    def conditions(self, request: DrawRequest) -> SampleRequest:
        """What the model draws a request from, in one piece; for the ways between drawings.

        Raises:
            LimnerError: it cannot be drawn.
        """
        settings = request.settings.model_copy(update={"scenes": False})
        (job,) = self.jobs([replace(request, settings=settings)])
        if not isinstance(job, Job):
            raise job
        text, drawing = next(job.drawing.steps), job.drawing
        assert isinstance(text, TextFeatures)
        return SampleRequest(text, [drawing.seed], drawing.settings, drawing.negative)

    def session(self) -> DrawingSession:
        """An empty session, for whoever advances drawings by themselves."""
        return DrawingSession(self.model, self.name)

    def jobs(
        self, requests: Sequence[DrawRequest], references: Sequence[SeenReference | None] = ()
    ) -> list[Job | LimnerError]:
        """Each request as it is to be drawn, or why it cannot be.

        Args:
            requests: a few; their prompts are read together.
            references: what each is drawn after, as :meth:`look` saw it; empty for nothing.
        """
        seen = list(references) or [None] * len(requests)
        groups: dict[str, list[int]] = {}
        for number, each in enumerate(seen):
            groups.setdefault("" if each is None else each[1], []).append(number)
        found: dict[int, Job | LimnerError] = {}
        for numbers in groups.values():
            made = self._jobs_after([requests[number] for number in numbers], seen[numbers[0]])
            found |= zip(numbers, made, strict=True)
        return [found[number] for number in range(len(requests))]

    def _jobs_after(
        self, requests: Sequence[DrawRequest], reference: SeenReference | None
    ) -> list[Job | LimnerError]:
        """The jobs of requests that are all drawn after one picture, or after none."""
        style, image, digest = _kinds_of(reference)
        try:
            group = [(0, self._checked(each, digest)) for each in requests]
            return list(self._understand(group, style, image))
        except LimnerError as error:  # of one of them
            if len(requests) == 1:
                return [error]
            return [self._jobs_after([each], reference)[0] for each in requests]

    def _checked(self, request: DrawRequest, reference: str | None) -> DrawRequest:
        """The request with the hash of its reference; what this model does not take is refused."""
        check_seed(request.seed)
        for name in _OF_WHOLE_PICTURES if request.masked is not None else ():
            if getattr(request.settings, name) is not None:
                raise UsageError(f"inpainting takes no {name}; leave it out")
        if request.settings.strength is not None and request.source is None:
            raise UsageError("a strength says how far a picture is changed, and there is none")
        settings = request.settings.model_copy(update={"reference": reference})
        self.check_settings(settings)
        return replace(request, settings=settings)

    def finished(self, job: Job) -> Picture:
        """The picture of a job whose drawing is finished."""
        assert job.drawing.image is not None, "advance the session until the drawing is finished"
        return Picture(
            image=self._finished(job.drawing.image, job.request),
            prompt=job.request.prompt,
            seed=job.request.seed,
            model=self.hash,
            settings=job.request.settings,
            index=job.index,
            encoder=self.encoder.fingerprint,
            planner=job.planner,
            tile=self.model.tile,
            threads=torch.get_num_threads(),
            drawn_from=job.drawn_from,
            edits=job.request.edits,
            inpainted=next(
                (each.digest for each in (job.request.masked, job.request.source) if each), ""
            ),
            sources=tuple(
                source.model_copy(
                    update={"licence": source.set and self.info.licence_of(source.set)}
                )
                for source in dict.fromkeys(job.drawing.sources)
            ),
        )

    def _understand(
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
                style = self._styler.named(style)
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
        """How a request is drawn whose prompt was read; the rest as :meth:`_understand`."""
        props = () if read.scene is None else [prop.name for prop in read.scene.props]
        asked = style = request.settings.style
        read = self._evenly(request, read)
        if style is None or style in LOOKS:
            style = self._styler.chosen(request.seed, read.drawn_from, props)
        read = self._reader.in_style(ask, read, style)
        read = self._evenly(request, read)
        edited = None
        if request.edits:
            transparent = bool(request.settings.transparent)
            edited = self._editor(ask, style, transparent).edited(read, ask.text, request.edits)
            read = ReadPrompt(edited.features, None, edited.drawn_from)
            props = [each.prop.name for each in edited.scene.props]
        styled = self._styler.styled(request.settings, read, props, style, look)
        request = replace(request, settings=styled.settings)
        steps, planner, artist = one_piece(read.features), "", self._reader.artist
        placed = None
        if edited is not None and artist is not None:
            steps, planner = draw_edited(
                artist, edited.scene, request.seed, self._side(request),
                transparent=bool(request.settings.transparent),
            ), artist.hash  # fmt: skip
        elif read.scene is not None and artist is not None:
            placed = Placed()
            steps, planner = artist.draw(
                read.scene, request.seed, self._side(request), placed=placed,
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
                self._side(request), look or self._styler.profile(asked),
            )  # fmt: skip
        elif request.source is not None:
            side = self.model.config.size
            steps = changed(request.source, read.features, side, self._side(request), styled.look)
        negative = sampled.negative
        drawing = Drawing(
            steps, request.seed, sampled,
            partial(self._styler.part, styled, request.seed), reference=image,
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

    def _side(self, request: DrawRequest) -> int:
        """Of the finished picture, in pixels."""
        return request.settings.size or self.model.config.size

    def _finished(self, image: Image.Image, request: DrawRequest) -> Image.Image:
        """A picture as it was asked for: of the right size, transparent or not."""
        if request.masked is not None or request.source is not None:
            return image
        side = self._side(request)
        if request.settings.transparent and image.mode == "RGB":
            image = to_image(resize(without_background(np.asarray(image)), side, side))
        else:
            image = resized(image, side)
        look = LOOKS.get(request.settings.style or "")
        if look is not None and look.profile is not None and look.profile.kind is Kind.PIXELS:
            return pixelated(image, look.profile.width)
        return image

    def _finish(
        self, jobs: Sequence[Job], before: int, on_progress: Progress | None
    ) -> Iterator[Picture]:
        """Draw jobs side by side, ``before`` being the pictures drawn before them."""
        session = self.session()
        for job in jobs:
            session.add(job.drawing)
        while not session.idle:
            session.advance()
            if on_progress is not None:
                parts = (1.0 if job.drawing.image else session.progress(job.drawing)
                         for job in jobs)  # fmt: skip
                on_progress(before + sum(parts))
        yield from map(self.finished, jobs)

    def _encode_negative(self, text: str) -> TextFeatures:
        try:
            return self.encoder.encode([readable(text)])
        except PromptError as error:
            raise PromptError(f"the negative prompt is refused: {error}") from error


def load(
    model: str | Path | None = None,
    *,
    device: str = "cpu",
    threads: int | None = None,
    tile: int | None = None,
) -> Generator:
    """Read a model and the text encoder it was trained with.

    Args:
        model: a model file, a run folder, or the name of a shipped model; None for the default
            one (see :func:`limner.shipped.find_model`); or ``hub:ID`` or ``hub:FOLDER`` for one of
            the hub (see :class:`limner.generation.backends.source.HubSource`).
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, … or ``"auto"``.
        threads: CPU threads of the whole process, 1 to 1024, never more than there are CPUs; None
            leaves torch's own choice.
        tile: pictures per network evaluation; None for the model's own choice.

    Raises:
        ModelFileError: the file is missing, foreign, damaged or too new.
        UsageError: the device or the number of threads cannot be had.
        MissingExtraError: the model, or its text encoder, needs a package that is not installed.

    Warns:
        EncoderChangedWarning: the encoder gives other features than the model learned from.
    """
    set_threads(threads)
    if model is not None and is_hub(model):
        return open_hub_generator(model, device=device, tile=tile)
    found = load_with_encoder(find_model(model), device=device, threads=threads)
    if isinstance(found.model, OneShotModel) and found.model.draws_training_pictures:
        found.model.remember_pictures(DECODED_BYTES)
    return Generator(
        found.model, found.info, found.encoder, path=found.path, device=found.device, tile=tile
    )


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
    return DrawRequest(picture.prompt, picture.seed, picture.settings, edits=edits)


def open_hub_generator(
    spec: str | Path, *, device: str | None = "cpu", tile: int | None = None
) -> Generator:
    """A model of the hub; with no device it has no weights, and only checks what is asked."""
    from limner.generation.backends.opening import open_hub

    found, source = open_hub(spec, device=device)
    return Generator(
        found.model, found.info, found.encoder, device=found.device, tile=tile, hub=source
    )


def _kinds_of(
    reference: SeenReference | None,
) -> tuple[StyleProfile | None, ImageFeatures | None, str | None]:
    """The style or the features that a reference is, and its hash; all None without one."""
    seen, digest = (None, None) if reference is None else reference
    if isinstance(seen, StyleProfile):
        return seen, None, digest
    return None, seen, digest
