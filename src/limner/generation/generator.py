"""The Python API of drawing: :class:`Generator`, and how a model is opened for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex

from PIL import Image

from limner.arguments import check_able, check_type, whole
from limner.errors import (
    PromptError,
    UsageError,
)
from limner.generation.inpainting import MaskedPicture
from limner.generation.picture import Picture, best_first
from limner.generation.prompts import ANY_PICTURE
from limner.generation.references import Reference
from limner.generation.request_drawing import Progress, RequestDrawer
from limner.generation.requests import (
    DrawRequest,
    RefusedPromptError,
    edit_request,
    numbered_requests,
)
from limner.generation.source_pictures import SourcePicture
from limner.hub import is_hub
from limner.loading import load_with_encoder
from limner.models.image_model import ImageModel
from limner.models.one_shot import OneShotModel
from limner.models.settings import (
    MAX_SEED,
    check_seed,
    make_settings,
    seed_or_random,
)
from limner.shipped import find_model
from limner.text.rewrite import Rewriter, load_rewriter
from limner.threads import set_threads
from limner.vision.images import PictureLike

if TYPE_CHECKING:
    from limner.data.store import Store
    from limner.generation.explaining import Explanation
    from limner.generation.sets import SetPicture
    from limner.vision.aligner import Aligner

DECODED_BYTES = 128 * 2**20
"""Memory for decoded drawings of a model that keeps its training pictures: about 170 at 256 px."""


class Generator(RequestDrawer):
    """Draws with a model: pictures of prompts, pictures that are changed, and why they are so.

    Its arguments are those of :class:`~limner.generation.opened_model.OpenedModel`.
    """

    def draw_set(self, names: Sequence[str], **options: Any) -> Iterator[SetPicture]:
        """Draw names as one set, with the same style, palette, size and line width.

        Args:
            names: one per picture.
            options: the fields of :class:`~limner.generation.sets.SetOptions`: ``style``,
                ``palette``, ``outline``, ``avoid_duplicates``, ``seed``, ``drawing``.

        Raises:
            UsageError: there are no names, or an option is refused.
        """
        from limner.generation.sets import SetOptions, draw_set

        known = [field.name for field in fields(SetOptions)]
        for name in options:
            if name not in known:
                raise UsageError(f"a set has no option {name!r}; there are: {', '.join(known)}")
        return draw_set(self, names, SetOptions(**options))

    def generate(
        self,
        prompts: str | DrawRequest | Sequence[str | DrawRequest],
        *,
        n: int = 1,
        seed: int | None = None,
        reference: Reference | None = None,
        rewrite: Rewriter | str | None = None,
        on_progress: Progress | None = None,
        **options: Any,
    ) -> list[Picture]:
        """Draw ``n`` pictures of every prompt, in the order of the prompts.

        Picture j of a prompt has seed ``seed + j``: ``n=4, seed=7`` draws seeds 7 to 10, and each
        can be drawn again alone. A picture depends only on its prompt, seed and options; it has
        the same bits whatever else is in the batch.

        Args:
            prompts: one text or several, in any language. If a text ends in ", NAME style" or
                "in NAME style", where NAME is a style of the model, that style is used and the
                words are removed before the text is encoded.
            n: pictures per prompt.
            seed: of each prompt's first picture; None draws a random 32-bit seed per prompt.
            reference: a picture to condition on: its style is used, or whatever the model was
                trained to take from reference pictures.
            rewrite: a rewriter of prompts, or the spec of one (see
                :func:`limner.text.rewrite.load_rewriter`); ``Picture.rewritten`` then holds the
                prompt as it was given.
            on_progress: see :data:`Progress`.
            options: fields of :class:`~limner.models.settings.Settings`; None, or leaving one out,
                leaves the choice to the model. ``style`` overrides a style named in a prompt.

        Raises:
            UsageError: a number out of range, an unknown option or style, no prompt.
            PromptError: the text encoder refuses a prompt.
            CapabilityError: the model cannot do what was asked.
            DataError: the reference cannot be read as a picture, or the rewriter fails.
            EndpointError: the rewriter's endpoint cannot be reached, or refuses.
        """
        return list(
            self.stream(
                prompts, n=n, seed=seed, reference=reference, rewrite=rewrite,
                on_progress=on_progress, **options,
            )
        )  # fmt: skip

    def best_of(
        self,
        prompt: str,
        n: int,
        *,
        score: Callable[[str, Sequence[Image.Image]], Sequence[float]],
        seed: int | None = None,
        reference: Reference | None = None,
        on_progress: Progress | None = None,
        **options: Any,
    ) -> list[tuple[Picture, float]]:
        """Draw ``n`` pictures of a prompt and sort them by score, the best first.

        Args:
            prompt: as for :meth:`generate`.
            n: number of pictures, with seeds ``seed`` to ``seed + n - 1``.
            score: takes the prompt and the pictures, returns one score per picture, higher is
                better; for example :meth:`limner.improve.scoring.Scorer.totals`, which the server
                uses.
            seed: of the first picture; None for a random one.
            reference: as for :meth:`generate`.
            on_progress: see :data:`Progress`.
            options: as for :meth:`generate`.

        Returns:
            Pairs of a picture and its score.

        Raises:
            LimnerError: for the reasons listed at :meth:`generate`.
        """
        check_type("prompt", prompt, str, "one prompt, as text")
        check_able("score", score, "__call__", "a function of a prompt and its pictures")
        drawn = self.generate(
            prompt, n=n, seed=seed, reference=reference, on_progress=on_progress, **options
        )
        scores = score(prompt, [picture.image for picture in drawn])
        return [(drawn[number], scores[number]) for number in best_first(scores)]

    def stream(
        self,
        prompts: str | DrawRequest | Iterable[str | DrawRequest],
        *,
        n: int = 1,
        seed: int | None = None,
        reference: Reference | None = None,
        rewrite: Rewriter | str | None = None,
        on_refused: Callable[[RefusedPromptError], None] | None = None,
        on_progress: Progress | None = None,
        **options: Any,
    ) -> Iterator[Picture]:
        """The pictures of :meth:`generate`, drawn lazily, a few at a time.

        No picture is kept, so a stream may be of any length, and ``prompts`` may be a lazy
        iterator. Invalid options are refused at once; a prompt is refused when its turn comes,
        which raises, or calls ``on_refused`` and skips the prompt.

        A prompt may be a :class:`DrawRequest`: its seed is that of the prompt's first picture, and
        its settings override the options.
        """
        settings = make_settings(**options)
        n = whole("n", n)
        if isinstance(seed, SupportsIndex) and not isinstance(seed, bool):  # also one of numpy
            seed = seed.__index__()
        if n < 1:
            raise UsageError(f"n = {n} is refused: draw at least one picture per prompt")
        if seed is not None and check_seed(seed) + n - 1 > MAX_SEED:
            raise UsageError(
                f"seed {seed} is too large for {n} pictures: the last would pass 2**63"
            )
        self.check_settings(settings)
        texts = [prompts] if isinstance(prompts, str | DrawRequest) else prompts
        given: object = texts
        if isinstance(given, bytes) or not isinstance(given, Iterable):
            raise PromptError(
                f"a {type(given).__name__} is not text; give a prompt, or a list of prompts"
            )
        rewriter = load_rewriter(rewrite) if isinstance(rewrite, str) else rewrite
        if rewriter is not None:
            check_able("rewrite", rewriter, "rewrite", "'rules' or what load_rewriter returns")

        requests = numbered_requests(texts, settings, n=n, seed=seed, rewriter=rewriter)
        return self._draw(requests, reference, on_refused, on_progress)

    def edit(self, picture: Picture, *instructions: str) -> Picture:
        """Change the plan of a picture: *make the cat blue*, *add a hat*, *at night*.

        Whatever the instructions do not mention stays as and where it was. The result can be
        edited again.

        Args:
            picture: one that this model drew from a prompt.
            instructions: followed one after the other, in any supported language.

        Raises:
            UsageError: there is no instruction, or the picture has had too many.
            PromptError: an instruction is not understood, or names nothing in the picture.
            CapabilityError: the picture was drawn without a plan.
        """
        request = edit_request(picture, instructions)
        return next(self.draw([request]))

    def inpaint(
        self,
        masked: MaskedPicture,
        prompt: str = ANY_PICTURE,
        *,
        n: int = 1,
        seed: int | None = None,
        on_progress: Progress | None = None,
        **options: Any,
    ) -> list[Picture]:
        """Fill the hole of a picture, ``n`` times; all other pixels keep their bits.

        A flow replaces the known pixels at every step, an autoregressive model is given their
        tokens, and a GAN or VAE searches for latents that reproduce them. A model that keeps its
        training drawings fills the hole from its surroundings and draws the prompt's things in it.

        Args:
            masked: the picture and its hole; see also
                :func:`limner.generation.inpainting.box_mask` and ``outpainted``.
            prompt: what the whole picture shows; for a model that keeps its training drawings,
                what to put into the hole.
            n: number of results, with seeds ``seed`` to ``seed + n - 1``.
            seed: of the first result; None for a random one.
            on_progress: see :data:`Progress`.
            options: as for :meth:`generate`, except ``size``: the picture keeps its own.

        Raises:
            CapabilityError: the family cannot inpaint, or cannot do what was asked.
            UsageError: an option is unknown, out of range, or has no meaning here.
            PromptError: the text encoder refuses the prompt.
        """
        check_type(
            "masked", masked, MaskedPicture,
            "limner.MaskedPicture.open(picture, box=(left, top, width, height))",
        )  # fmt: skip
        settings = make_settings(**options)
        first = seed_or_random(seed)
        request = DrawRequest(prompt, first, settings, masked)
        return list(self.stream([request], n=n, seed=seed, on_progress=on_progress))

    def restyle(
        self,
        picture: SourcePicture | PictureLike,
        prompt: str | None = None,
        *,
        strength: float = 0.5,
        n: int = 1,
        seed: int | None = None,
        reference: Reference | None = None,
        on_progress: Progress | None = None,
        **options: Any,
    ) -> list[Picture]:
        """Change a picture (image to image), from slightly to an entirely new drawing.

        A flow adds noise according to the strength and denoises from there, a VAE moves the
        picture's latents towards those of the prompt, an autoregressive model keeps the first
        tokens, and a GAN inverts the picture to noise and moves that towards the seed's. A model
        that keeps its training drawings moves shapes and colours towards what it draws for the
        prompt, and redraws the picture in the style asked for. The result keeps the picture's
        aspect ratio.

        Args:
            picture: given in any way (see :data:`limner.vision.images.PictureLike`), or an opened
                :class:`SourcePicture`.
            prompt: what the result shows. Without one, a model that keeps its training drawings
                changes only the style; other models need a prompt.
            strength: 0 gives the picture as the model reconstructs it, 1 a new drawing.
            n: number of results, with seeds ``seed`` to ``seed + n - 1``.
            seed: of the first result; None for a random one.
            reference: a picture whose style to use, see :meth:`generate`.
            on_progress: see :data:`Progress`.
            options: as for :meth:`generate`; ``size`` is the longer side of the result.

        Raises:
            CapabilityError: the family cannot change pictures, or cannot do what was asked.
            UsageError: there is nothing to change, or an option is unknown, out of range, or has
                no meaning here.
            PromptError: the text encoder refuses the prompt.
            DataError: a picture cannot be read, is animated or too large.
        """
        settings = make_settings(**options, strength=strength)
        if prompt is None:  # nothing is drawn, and so nothing is looked for
            settings = settings.model_copy(update={"grounding": False})
        if settings.transparent is not None:
            raise UsageError("a changed picture keeps its background; leave transparent out")
        if not isinstance(picture, SourcePicture):
            picture = SourcePicture.open(picture)
        picture = replace(picture, draws=picture.draws and prompt is not None)
        if prompt is None and settings.style is None and reference is None:
            raise UsageError("say what to change: give a prompt, a style or a reference picture")
        if prompt is None and not self.model.draws_training_pictures:
            raise UsageError(f"{self.name} needs a prompt: say what the picture should show")
        first = seed_or_random(seed)
        request = DrawRequest(prompt or ANY_PICTURE, first, settings, source=picture)
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
        """Draw a prompt and explain why the picture shows what it does.

        Every word gets a heat map over the picture: for a scene, where its thing was drawn; for a
        flow or autoregressive model, how much the word improves the prediction of each place;
        otherwise the gradient of the pixels with respect to the word's vectors. The prompt is also
        drawn without each word, with the same seed. The nearest captions the model knows and the
        nearest training pictures are looked up.

        Args:
            prompt: in any language, at most
                :data:`~limner.generation.explaining.MOST_WORDS` words.
            seed: of the picture; None for a random one.
            aligner: scores how well pictures match the prompt; None for no scores.
            store: search training pictures here instead of among those the model keeps.
            maps: the kind of heat map, see :class:`~limner.generation.explaining.MapSource`; None
                for the first kind available for the picture.
            options: as for :meth:`generate`.

        Raises:
            CapabilityError: the family cannot be explained, or cannot do what was asked.
            UsageError: the prompt has too many words, or an option is unknown or out of range.
            PromptError: the text encoder refuses the prompt.
        """
        from limner.generation.explaining import explain, source_of

        first = seed_or_random(seed)
        request = DrawRequest(prompt, first, make_settings(**options))
        source = None if maps is None else source_of(maps)
        if aligner is not None:
            wanted = "what limner.reading.aligner.load_aligner() returns"
            check_able("aligner", aligner, "encode_texts", wanted)
        if store is not None:
            check_able("store", store, "batch", "what limner.data.store.Store.open(FOLDER) returns")
        return explain(self, request, aligner=aligner, store=store, source=source)


def load(
    model: str | Path | None = None,
    *,
    device: str = "cpu",
    threads: int | None = None,
    tile: int | None = None,
) -> Generator:
    """Load a model and the text encoder it was trained with.

    Args:
        model: a model file, a run folder, or the name of a shipped model; None for the default
            model (see :func:`limner.shipped.find_model`); ``hub:ID`` or ``hub:FOLDER`` for a hub
            model (see :class:`limner.generation.backends.source.HubSource`).
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, … or ``"auto"``.
        threads: CPU threads of the whole process, 1 to 1024, capped at the number of CPUs; None
            keeps torch's setting.
        tile: pictures per network evaluation; None for the model's own choice.

    Raises:
        ModelFileError: the file is missing, not a limner model, damaged or too new.
        UsageError: the device or the number of threads is not available.
        MissingExtraError: the model, or its text encoder, needs a package that is not installed.

    Warns:
        EncoderChangedWarning: the encoder no longer gives the features the model was trained on.
    """
    if model is not None:
        check_type("model", model, (str, Path), "a model file, a run folder or a name")
    set_threads(threads)
    if model is not None and is_hub(model):
        return open_hub_generator(model, device=device, tile=tile)
    found = load_with_encoder(find_model(model), device=device, threads=threads)
    if isinstance(found.model, ImageModel):
        found.model.lay_out_weights()
    if isinstance(found.model, OneShotModel) and found.model.draws_training_pictures:
        found.model.remember_pictures(DECODED_BYTES)
    return Generator(
        found.model, found.info, found.encoder, path=found.path, device=found.device, tile=tile
    )


def open_hub_generator(
    spec: str | Path, *, device: str | None = "cpu", tile: int | None = None
) -> Generator:
    """Open a hub model; with ``device=None`` no weights are loaded, and it only checks requests."""
    from limner.generation.backends.opening import open_hub

    found, source = open_hub(spec, device=device)
    return Generator(
        found.model, found.info, found.encoder, device=found.device, tile=tile, hub=source
    )
