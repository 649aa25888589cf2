"""Reference pictures: what is drawn after in them, and how they are read."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from limner.data.pictures import PictureError, whole
from limner.errors import CapabilityError, DataError
from limner.generation.styles import StyleProfile, measure
from limner.image_encoders import load_image_encoder
from limner.loading import warn_changed
from limner.modelinfo import ModelInfo
from limner.models.image_model import ImageModel
from limner.vision.base import ImageEncoder, ImageFeatures
from limner.vision.images import PictureLike, image_or_file
from limner.vision.pixels import to_tensor

Reference = PictureLike
"""A reference picture."""


class SeenReference(NamedTuple):
    """What is drawn after in a reference picture.

    Attributes:
        seen: its features by the model's image encoder; its style, where a model of exemplars has
            no image encoder.
        digest: SHA-256 of its pixels as they are read, in hex.
    """

    seen: ImageFeatures | StyleProfile
    digest: str

    @property
    def style(self) -> StyleProfile | None:
        """That pictures are redrawn in; None where it is seen by an encoder."""
        return self.seen if isinstance(self.seen, StyleProfile) else None

    @property
    def features(self) -> ImageFeatures | None:
        """That pictures are drawn after; None where its style is measured."""
        return None if isinstance(self.seen, StyleProfile) else self.seen


class ReferenceReader:
    """Sees in reference pictures what one model draws after.

    Args:
        model: that draws.
        info: what its file says of it; the image encoder that it names is loaded when it is needed.
        name: of the model in messages.
        path: of its file; None for a model in memory or of the hub.
        device: where the image encoder computes.
    """

    def __init__(
        self, model: ImageModel, info: ModelInfo, *, name: str, path: Path | None, device: str
    ) -> None:
        self._model, self._info, self._name = model, info, name
        self._path, self._device = path, device
        self._encoder: ImageEncoder | None = None

    def look(self, reference: Reference) -> SeenReference:
        """What is drawn after in a picture.

        Raises:
            CapabilityError: the model was not trained with reference pictures.
            DataError: it is no picture that can be read, or nothing is drawn in it.

        Warns:
            EncoderChangedWarning: the image encoder gives other features than the model learned
                from.
        """
        spec, side = self._info.image_encoder, self._model.config.size
        if not spec and self._model.draws_training_pictures:
            pixels = read_reference(reference, side)
            profile = measure([pixels], closed=True)
            if profile is None:
                raise DataError("the reference picture is empty: nothing is drawn in it")
            return SeenReference(profile, _digest(pixels))
        if not spec:
            raise CapabilityError(
                f"{self._name} was not trained with reference pictures; leave the reference "
                "out, or train a model whose recipe has an 'image' section"
            )
        if self._encoder is None:
            self._encoder = self._opened(spec)
        pixels = read_reference(reference, side)
        return SeenReference(self._encoder.encode(to_tensor(pixels[None])), _digest(pixels))

    def _opened(self, spec: str) -> ImageEncoder:
        encoder = load_image_encoder(spec, device=self._device)
        now, then = encoder.fingerprint, self._info.image_encoder_fingerprint
        if now != then:
            warn_changed("image", spec, self._path or Path(self._name), then, now)
        return encoder


def _digest(pixels: NDArray[np.uint8]) -> str:
    return hashlib.sha256(pixels.tobytes()).hexdigest()


def read_reference(reference: Reference, side: int) -> NDArray[np.uint8]:
    """A reference picture as in training: padded to a square on white, ``(S, S, 3)`` uint8.

    Raises:
        UsageError: it is no picture.
        DataError: it cannot be read as a picture.
    """
    name = "the reference picture"
    source: Path | bytes
    given = image_or_file(reference)
    if isinstance(given, Image.Image):
        buffer = io.BytesIO()
        given.save(buffer, format="PNG")
        source = buffer.getvalue()
    else:
        source = given
    if isinstance(given, Path):
        name += f" {given}"
    try:
        return whole(source, side)
    except PictureError as error:
        raise DataError(f"{name} cannot be used: {error}") from error
