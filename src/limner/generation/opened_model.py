"""A model as it was opened: its file, its text encoder, its styles, and the names that it knows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from PIL import Image

from limner.errors import CapabilityError, LimnerError, ModelFileError, UsageError
from limner.generation.balancing import KnownVariant
from limner.generation.looks import LOOKS, find_look
from limner.generation.request_reader import RequestReader
from limner.generation.styles import StyleProfile
from limner.modelfile import read_concepts
from limner.modelinfo import ModelInfo
from limner.models.base import Model
from limner.models.concepts import ConceptIndex
from limner.models.image_model import ImageModel
from limner.models.settings import CALIBRATED, Capability, Settings, make_settings
from limner.scenes.person_variants import Variant
from limner.tensorfile import file_hash
from limner.text.base import TextEncoder

if TYPE_CHECKING:
    from limner.generation.backends.source import HubSource


class OpenedModel:
    """A model, the encoder it was trained with, and the file they came from, if any.

    Args:
        model: the family's network, in eval mode.
        info: the metadata of the model file, or what it would hold.
        encoder: turns prompts into features.
        path: the model file; None for a model in memory or from the hub.
        device: where the model runs.
        tile: pictures per network evaluation; None for the model's own choice.
        hub: where a hub model comes from; None for other models.

    Attributes:
        source: what to give :func:`load` to open it again; None for a model in memory.
        hash: the first 16 hex digits of the file's SHA-256; empty for a model in memory.
        defaults: options used, and recorded, where a request leaves them open.

    Raises:
        ModelFileError: the model file has defaults that the model cannot take.
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
        self.defaults = self._read_defaults()
        if hub is not None:
            self.hash = hub.hash
        else:
            self.hash = "" if path is None else file_hash(path)

    @property
    def name(self) -> str:
        """The model's name in messages: that of its file, or of its family."""
        if self._hub is not None:
            return self._hub.name
        return f"this {self.model.family} model" if self.path is None else self.path.name

    def _read_defaults(self) -> Settings:
        found = self.info.defaults
        steps = {"steps": int(found["steps"])} if "steps" in found else {}
        try:
            if unknown := set(found) - set(CALIBRATED):
                raise UsageError(f"there is no default {min(unknown)!r}")
            settings = make_settings(**found | steps)
            self.model.check_settings(settings)
        except LimnerError as error:
            raise ModelFileError(f"{self.name} has damaged or newer defaults: {error}") from error
        return settings

    def __repr__(self) -> str:
        side = self.model.config.size
        return f"<Generator {self.name}: {self.model.family}, {side} x {side}, {self.device}>"

    @cached_property
    def concepts(self) -> ConceptIndex | None:
        """The names the model knows, read on first use; None if the model has no index."""
        return None if self.path is None else read_concepts(self.path)

    @cached_property
    def _requests(self) -> RequestReader:
        return RequestReader(
            self.model, self.encoder, self.concepts, name=self.name, scenes=self.info.scenes
        )

    def variants_of(self, name: str) -> Mapping[Variant, KnownVariant]:
        """The variants known of the person that ``name`` stands for; may be empty."""
        return self._requests.variants_of(name)

    @property
    def styles(self) -> tuple[str, ...]:
        """The style names that ``style=`` accepts."""
        return self.model.config.styles

    def style_profile(self, style: str) -> StyleProfile | None:
        """The profile used to redraw pictures in a style; None if that style has none.

        Args:
            style: a style of the model, or a style in words such as ``line drawing``.

        Raises:
            UsageError: there is no such style.
        """
        return self._requests.styler.profile(self._requests.styler.named(style))

    def style_examples(self, style: str, count: int) -> list[Image.Image]:
        """Up to ``count`` pictures in a style that the model keeps; empty if it keeps none.

        Raises:
            UsageError: there is no such style.
        """
        return self._requests.styler.examples(self._requests.styler.named(style), count)

    def common_names(self, most: int) -> list[str]:
        """The ``most`` names known in most styles, each with and without an article."""
        if self.concepts is None or self.concepts.styles is None:
            return []
        order = self.concepts.styles.sum(1).argsort(descending=True, stable=True)[:most]
        names = dict.fromkeys(self.concepts.captions[row] for row in order.tolist())
        return [f"{article}{name}" for name in names
                for article in ("", "an " if name[:1] in "aeiou" else "a ")]  # fmt: skip

    def check_settings(self, settings: Settings) -> None:
        """Refuse options that this model does not support.

        Raises:
            CapabilityError: the model cannot do what was asked.
            UsageError: the style is neither one of the model's nor a style in words.
        """
        if settings.style is not None and (self.styles or find_look(settings.style, ())):
            settings = settings.model_copy(
                update={"style": self._requests.styler.named(settings.style)}
            )
            if settings.style in LOOKS:
                settings = settings.model_copy(update={"style": None})
        if settings.balanced and (self.concepts is None or settings.grounding is False):
            raise CapabilityError(
                f"{self.name} has no index of names, so it knows no variants of persons to "
                "balance; leave balanced out"
            )
        self.model.check_settings(settings)
