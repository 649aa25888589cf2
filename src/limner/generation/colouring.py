"""Colours of grey drawings, from what the shipped model knows of the thing that they show.

The model keeps its training drawings. Those of the thing, in all styles, lend their colours to the
picture (:mod:`limner.vision.colouring`). What it shows is said by a caption; else it is what the
captioner reads, whose drawings count by how like it they are, and where none is like it, it stays
grey.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np

from limner.arrays import Pixels
from limner.data.pictures import whole
from limner.errors import PromptError
from limner.generation.generator import load
from limner.generation.prompt_reader import PromptReader
from limner.generation.prompts import collected
from limner.loading import LoadedModel, load_capable
from limner.models.captioner import CaptionerModel
from limner.models.settings import Capability, Settings
from limner.scenes.colours import COLOURS, recolour
from limner.shipped import SHIPPED_CAPTIONER, find_model
from limner.vision.colouring import (
    Colours,
    averaged,
    carried_colours,
    flat_share,
    with_colours,
)
from limner.vision.pixels import to_tensor, to_uint8

_MOST = 40
"""Drawings of a thing that lend their colours."""
_READ, _READ_SIDE = 6, 512
"""Captions that the captioner gives of a picture, and the side at which it is read."""
_LANGUAGE = "en"
_LIKE = 0.3
"""Least likeness to a drawing of what the captioner read; chosen on drawings of a set that no model
is trained on, others than those that are measured."""
_CHOOSY, _LATER = 0.08, 0.04
"""A reading counts e times less where its likeness is so much less, and as if it were by so much
less for each that was said before it; chosen as that."""
_DRAWN = 0.75
"""Least share of flat parts in a drawing: photographs have less."""


@dataclass(frozen=True)
class Coloured:
    """A picture in colours.

    Attributes:
        pixels: ``(H, W, 3)`` uint8.
        shown: what it was taken to show.
        likeness: of it and the most similar drawing of that, a correlation in [-1, 1].
    """

    pixels: Pixels
    shown: str
    likeness: float


class Colourist:
    """Colours grey drawings.

    Args:
        device: where the models are run.
    """

    def __init__(self, device: str = "cpu") -> None:
        self._device = device
        self._generator = load(device=device)
        self._prompts = PromptReader(
            self._generator.encoder, self._generator.concepts, self._generator.styles,
            self._generator.name, scenes=True,
        )  # fmt: skip

    def coloured(self, brightness: Pixels, prompt: str | None = None) -> Coloured | None:
        """A grey drawing in colours.

        Args:
            brightness: ``(H, W)`` uint8; it stays within rounding.
            prompt: what it shows; None to let the captioner read it.

        Returns:
            None where it is no drawing, or not like anything that is known.

        Raises:
            PromptError: the prompt is refused.
        """
        if flat_share(brightness) < _DRAWN:
            return None
        shown, colours = (
            self._read(brightness) if prompt is None
            else (prompt, carried_colours(brightness, self._drawings(prompt)))
        )  # fmt: skip
        if colours is None:
            return None
        return Coloured(with_colours(brightness, colours.offsets), shown, colours.likeness)

    @cached_property
    def _captioner(self) -> LoadedModel:
        return load_capable(
            find_model(None, SHIPPED_CAPTIONER), Capability.CAPTION, "captions pictures",
            device=self._device,
        )  # fmt: skip

    def _read(self, brightness: Pixels) -> tuple[str, Colours | None]:
        """What the captioner most likely read, by its drawings too, and the colours of all it read.

        What is said first, and whose drawings are most like the picture, counts most. So where two
        readings disagree, colours are paler.
        """
        found = dict[float, tuple[float, str, Colours]]()
        for place, text in enumerate(self._captions(brightness)):
            with collected():  # nobody asked for what the captioner wrote
                each = carried_colours(brightness, self._drawings(text))
            if each is not None and each.likeness > 0:  # the same drawings count once
                found.setdefault(each.likeness, (each.likeness - _LATER * place, text, each))
        if not found or max(found) < _LIKE:
            return "", None
        best, shown, _ = max(found.values(), key=lambda one: one[0])
        weights = [float(np.exp((score - best) / _CHOOSY)) for score, _, _ in found.values()]
        return shown, averaged([each for _, _, each in found.values()], weights)

    def _captions(self, brightness: Pixels) -> list[str]:
        """What the captioner reads in a picture, best first."""
        found = self._captioner
        model = cast(CaptionerModel, found.model)
        square = whole(np.repeat(brightness[..., None], 3, 2), _READ_SIDE)
        image = to_tensor(whole(square, model.config.size)[None])[0].to(found.device)
        texts = model.caption(image, _LANGUAGE, _READ, found.encoder)
        return [each.text for each in texts]

    def _drawings(self, prompt: str) -> list[Pixels]:
        """Drawings of what a prompt names, in the colours that it says."""
        asked, _, _ = self._prompts.asked(prompt, Settings())
        (read,) = self._prompts.read([asked])
        if isinstance(read, PromptError):
            raise read
        features = read.features
        tints: list[str | None] = [None]
        if read.scene is not None and read.scene.parts:
            features = read.scene.features
            tints = [each.tint for each in read.scene.plan.things]
        found = list[Pixels]()
        for number, tint in enumerate(tints):
            kept, _ = self._generator.model.exemplars_of(features[[number]], _MOST)
            for drawing in to_uint8(kept).numpy():
                dyed = recolour(drawing, COLOURS[tint]) if tint and tint in COLOURS else None
                found.append(drawing if dyed is None else dyed)
        return found
