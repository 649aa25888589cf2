"""Words in, pictures out: the one object a person draws with."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Unpack

import torch
from PIL import Image

from limner.errors import CapabilityError, PromptError, UsageError
from limner.generation.references import Reference, read_reference
from limner.generation.scenes import Scene, SceneArtist
from limner.generation.settings import (
    MAX_SEED,
    Options,
    Settings,
    check_seed,
    find_style,
    make_settings,
    split_style,
)
from limner.loading import load_with_encoder, warn_changed
from limner.modelfile import ModelInfo
from limner.models.base import ImageModel, SampleRequest
from limner.shipped import find_model
from limner.tensorfile import file_hash
from limner.text.base import TextEncoder, TextFeatures
from limner.vision import load_image_encoder
from limner.vision.base import ImageEncoder, ImageFeatures
from limner.vision.pixels import to_images, to_tensor

_PROMPTS_AT_ONCE = 32
_PICTURES_AT_ONCE = 8


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
        image: RGB.
        prompt: as it was given, a style at its end included.
        seed: of this very picture.
        model: hash of the model file.
        settings: what was asked besides; ``settings.style`` is the style the prompt or the
            caller named, None where the seed chose.
        index: which of the prompts, from 0.
        encoder: fingerprint of the text encoder.
        planner: hash of the planner that laid it out; empty where it was drawn in one piece.
    """

    image: Image.Image
    prompt: str
    seed: int
    model: str
    settings: Settings
    index: int = 0
    encoder: str = ""
    planner: str = ""

    def save(self, path: str | Path) -> Path:
        """Write a PNG that carries its own recipe (see :mod:`limner.generation.files`)."""
        from limner.generation.files import write_picture

        return write_picture(self, Path(path))


@dataclass(frozen=True)
class _Order:
    """One prompt, ready to be drawn."""

    index: int
    prompt: str
    words: str
    seed: int
    settings: Settings
    style: int
    scene: Scene | None = None


@dataclass(frozen=True)
class _Shared:
    """What all pictures of one call have in common."""

    settings: Settings
    negative: TextFeatures | None
    seen: ImageFeatures | None

    def request(self, count: int, device: str) -> dict[str, Any]:
        """The part of a request for so many pictures."""
        names = ("steps", "guidance", "size", "temperature", "top_k", "top_p", "truncation")
        rows = [0] * count
        return {
            **{name: getattr(self.settings, name) for name in names},
            "negative": None if self.negative is None else self.negative[rows].to(device),
            "picture": None if self.seen is None else self.seen[rows].to(device),
        }


class Generator:
    """A model, the encoder it was trained with, and the file they came from.

    Attributes:
        model: the family's network, in eval mode.
        info: what the model file says of itself.
        encoder: turns prompts into features.
        path: the model file.
        hash: the first 16 hex digits of its SHA-256.
        device: where the model draws.
    """

    def __init__(
        self,
        model: ImageModel,
        info: ModelInfo,
        encoder: TextEncoder,
        path: Path,
        device: str = "cpu",
    ) -> None:
        self.model, self.info, self.encoder = model, info, encoder
        self.path, self.device = path, device
        self._sight: ImageEncoder | None = None
        self._artist: SceneArtist | None = None
        self.hash = file_hash(path)

    @property
    def styles(self) -> tuple[str, ...]:
        """Names that ``style=`` takes."""
        return self.model.config.styles

    def generate(
        self,
        prompts: str | Sequence[str],
        *,
        n: int = 1,
        seed: int | None = None,
        reference: Reference | None = None,
        **options: Unpack[Options],
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
            reference: a picture that all are drawn after, for a model that learned with such.
            options: ``steps``, ``guidance``, ``size``, ``style``, ``negative``, ``temperature``,
                ``top_k``, ``top_p``, ``truncation``, ``scenes``, each described in
                :class:`~limner.generation.settings.Settings`; None, or left out, leaves the
                choice to the model. ``style`` comes before any that a prompt names.

        Raises:
            UsageError: a number out of range, an unknown option or style, no prompt.
            PromptError: a prompt the text encoder refuses.
            CapabilityError: the model cannot do what was asked.
            DataError: the reference is no picture that can be read.
        """
        return list(self.stream(prompts, n=n, seed=seed, reference=reference, **options))

    def stream(
        self,
        prompts: str | Iterable[str],
        *,
        n: int = 1,
        seed: int | None = None,
        reference: Reference | None = None,
        **options: Unpack[Options],
    ) -> Iterator[Picture]:
        """The pictures of :meth:`generate`, drawn a few at a time as they are asked for.

        No picture is kept, so that one stream of any length can feed files and metrics alike;
        ``prompts`` may itself be a lazy iterator. Options out of range are refused at once,
        prompts when their turn comes.
        """
        settings = make_settings(**options)
        if n < 1:
            raise UsageError(f"n = {n} is refused: draw at least one picture per prompt")
        if seed is not None and check_seed(seed) + n - 1 > MAX_SEED:
            raise UsageError(
                f"seed {seed} is too large for {n} pictures: the last would pass 2**63"
            )
        if settings.style is not None:
            find_style(settings.style, self.styles)
        seen = None
        if reference is not None:
            seen, digest = self.look(reference)
            settings = settings.model_copy(update={"reference": digest})
        texts = [prompts] if isinstance(prompts, str) else prompts
        return self._draw_all(iter(texts), n, seed, settings, seen)

    def look(self, reference: Reference) -> tuple[ImageFeatures, str]:
        """What the model's image encoder sees in a reference picture, and its SHA-256.

        Raises:
            CapabilityError: the model was not trained with reference pictures.
            DataError: it is no picture that can be read.
        """
        spec = self.info.image_encoder
        if not spec:
            raise CapabilityError(
                f"{self.path.name} was not trained with reference pictures; leave the reference "
                "out, or train a model whose recipe has an 'image' section"
            )
        if self._sight is None:
            self._sight = load_image_encoder(spec, device=self.device)
            if self._sight.fingerprint != self.info.image_encoder_fingerprint:
                warn_changed("image", spec, self.path, self.info.image_encoder_fingerprint,
                             self._sight.fingerprint)  # fmt: skip
        pixels = read_reference(reference, self.model.config.size)
        return self._sight.encode(to_tensor(pixels[None])), hashlib.sha256(
            pixels.tobytes()
        ).hexdigest()

    def _draw_all(
        self,
        texts: Iterator[str],
        n: int,
        seed: int | None,
        settings: Settings,
        seen: ImageFeatures | None,
    ) -> Iterator[Picture]:
        negative = None if settings.negative is None else self._encode_negative(settings.negative)
        shared = _Shared(settings, negative, seen)
        at_once = -(-_PICTURES_AT_ONCE // self.model.tile) * self.model.tile
        index = 0
        while group := list(islice(texts, _PROMPTS_AT_ONCE)):
            orders = [
                self._order(index + i, text, seed, n, settings) for i, text in enumerate(group)
            ]
            features = self._encode([order.words for order in orders], index)
            orders = self._planned(orders, features, settings)
            jobs = [(i, j) for i in range(len(group)) for j in range(n)]
            for start in range(0, len(jobs), at_once):
                yield from self._draw(orders, features, shared, jobs[start : start + at_once])
            index += len(group)
        if index == 0:
            raise UsageError("there is no prompt to draw")

    def _order(
        self, index: int, prompt: str, seed: int | None, n: int, settings: Settings
    ) -> _Order:
        if not isinstance(prompt, str):
            raise RefusedPromptError(index, f"a {type(prompt).__name__} is not text")
        words, named = split_style(prompt, self.styles)
        name = settings.style if settings.style is not None else named
        style = -1 if name is None else find_style(name, self.styles)
        if name is not None:
            settings = settings.model_copy(update={"style": self.styles[style]})
        first = secrets.randbelow(2**32) if seed is None else seed
        return _Order(index, prompt, words, first, settings, style)

    def _planned(
        self, orders: list[_Order], features: TextFeatures, settings: Settings
    ) -> list[_Order]:
        """The orders, with a scene where the prompt asks for one and scenes are wanted."""
        if not (self.info.scenes if settings.scenes is None else settings.scenes):
            return orders
        if self._artist is None:
            self._artist = SceneArtist(self.encoder)
        scenes = self._artist.understand([order.words for order in orders], features)
        return [replace(o, scene=scene) for o, scene in zip(orders, scenes, strict=True)]

    def _draw_scene(self, order: _Order, seed: int, shared: _Shared) -> Picture:
        """A picture of several things, each drawn with the picture's own seed and style."""
        assert self._artist is not None and order.scene is not None

        def sample(text: TextFeatures) -> list[Image.Image]:
            count = len(text)
            return self._sample([order] * count, text, shared, range(count), [seed] * count)

        image = self._artist.draw(order.scene, seed, sample)
        return self._picture(order, seed, image, self._artist.hash)

    def _picture(self, order: _Order, seed: int, image: Image.Image, planner: str = "") -> Picture:
        return Picture(
            image=image,
            prompt=order.prompt,
            seed=seed,
            model=self.hash,
            settings=order.settings,
            index=order.index,
            encoder=self.encoder.fingerprint,
            planner=planner,
        )

    def _draw(
        self,
        orders: Sequence[_Order],
        features: TextFeatures,
        shared: _Shared,
        jobs: Sequence[tuple[int, int]],
    ) -> Iterator[Picture]:
        rows = [i for i, _ in jobs if orders[i].scene is None]
        seeds = [orders[i].seed + j for i, j in jobs if orders[i].scene is None]
        whole = iter(self._sample(orders, features, shared, rows, seeds)) if rows else iter(())
        for i, j in jobs:
            order, seed = orders[i], orders[i].seed + j
            if order.scene is None:
                yield self._picture(order, seed, next(whole))
            else:
                yield self._draw_scene(order, seed, shared)

    def _sample(
        self,
        orders: Sequence[_Order],
        features: TextFeatures,
        shared: _Shared,
        rows: Sequence[int],
        seeds: Sequence[int],
    ) -> list[Image.Image]:
        """Pictures of whole prompts, one for each of the rows."""
        styles = torch.tensor([orders[i].style for i in rows])
        request = SampleRequest(
            text=features[list(rows)].to(self.device),
            seeds=seeds,
            styles=styles.to(self.device) if bool((styles >= 0).any()) else None,
            **shared.request(len(rows), self.device),
        )
        return to_images(self.model.sample(request))

    def _encode(self, texts: list[str], first: int) -> TextFeatures:
        """Features of a few prompts; where one is refused, the error says which."""
        try:
            return self.encoder.encode(texts)
        except PromptError as error:
            if len(texts) == 1:
                raise RefusedPromptError(first, error, alone=first == 0) from error
            for i, text in enumerate(texts):
                try:
                    self.encoder.encode([text])
                except PromptError as single:
                    raise RefusedPromptError(first + i, single) from single
            raise

    def _encode_negative(self, text: str) -> TextFeatures:
        try:
            return self.encoder.encode([text])
        except PromptError as error:
            raise PromptError(f"the negative prompt is refused: {error}") from error


def load(
    model: str | Path | None = None, *, device: str = "cpu", threads: int | None = None
) -> Generator:
    """Read a model and the text encoder it was trained with.

    Args:
        model: a model file, a run folder, or the name of a shipped model; None for the default
            one (see :func:`limner.shipped.find_model`).
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, … or ``"auto"``.
        threads: CPU threads of the whole process; None leaves torch's own choice.

    Raises:
        ModelFileError: the file is missing, foreign, damaged or too new.
        UsageError: the device or the number of threads cannot be had.
        MissingExtraError: the model's text encoder needs a package that is not installed.

    Warns:
        EncoderChangedWarning: the encoder gives other features than the model learned from.
    """
    if threads is not None:
        if threads < 1:
            raise UsageError(f"threads = {threads} is refused: at least one thread must work")
        torch.set_num_threads(threads)
    found = load_with_encoder(find_model(model), device=device, threads=threads)
    return Generator(found.model, found.info, found.encoder, found.path, found.device)
