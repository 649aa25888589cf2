"""Feature networks: what FID, KID, precision, recall, density and coverage are computed on.

For Fashion-MNIST a small network is shipped (``tools/train_features.py``), which also knows the
classes; for icons the judge; for other data any image encoder will do.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from limner.errors import LimnerError, UsageError
from limner.image_encoders import load_image_encoder
from limner.metrics.judge import load_judge
from limner.specs import Identified
from limner.tensorfile import read_metadata
from limner.vision.convnet import METADATA_KEY, Extracted, load_conv

if TYPE_CHECKING:
    from limner.data.store import Store
    from limner.vision.base import ImageEncoder

SHIPPED = {"fashion": Path(__file__).parent / "weights" / "fashion.safetensors"}
"""Feature networks inside the package, by the name that :func:`load_features` takes."""
_PEEK = 64


class FeatureNetwork(Identified, Protocol):
    """Turns pictures into features; a picture's features never depend on its neighbours."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes it tells apart, as the store's ``label`` has them; or none."""

    def extract(self, images: Tensor) -> Extracted:
        """Features of ``(B, 3, H, W)`` float32 pictures in [-1, 1], of any size."""


class EncoderFeatures:
    """The whole-picture vectors of any image encoder; it knows no classes."""

    classes: tuple[str, ...] = ()

    def __init__(self, encoder: ImageEncoder) -> None:
        self.encoder, self.spec, self.fingerprint = encoder, encoder.spec, encoder.fingerprint

    @torch.inference_mode()
    def extract(self, images: Tensor) -> Extracted:
        """Features of ``(B, 3, H, W)`` pictures in [-1, 1]."""
        return Extracted(self.encoder.encode(images).pooled.float().cpu())


class LastBatch:
    """A network that keeps the features of its last batch: several measures cost one forward pass.

    Args:
        network: extracts the features.
    """

    def __init__(self, network: FeatureNetwork) -> None:
        self.spec, self.fingerprint = network.spec, network.fingerprint
        self.classes, self._network = network.classes, network
        self._last: tuple[Tensor, Extracted] | None = None

    def extract(self, images: Tensor) -> Extracted:
        """Features of B pictures; those of the last tensor again where it is the same object."""
        if self._last is None or self._last[0] is not images:
            self._last = (images, self._network.extract(images))
        return self._last[1]


def load_features(spec: str, *, device: str = "cpu") -> FeatureNetwork:
    """The feature network a spec names.

    Args:
        spec: ``fashion`` (shipped, for Fashion-MNIST), ``judge`` (shipped, for icons on white),
            ``own:PATH`` (a file of ``tools/train_features.py``), or any spec of
            :func:`limner.image_encoders.load_image_encoder`, such as ``hf:facebook/dinov2-small``.
        device: where an image encoder runs; the networks of our own run on the CPU.

    Raises:
        UsageError: there is no such network.
        ModelFileError: its file is missing or damaged.
        MissingExtraError: it needs a package that is not installed.
    """
    if spec in SHIPPED:
        return load_conv(SHIPPED[spec], spec)
    if spec == "judge":
        return load_judge()
    kind, _, place = spec.partition(":")
    if kind == "own" and place and METADATA_KEY in read_metadata(Path(place)):
        return load_conv(Path(place), spec)
    try:
        return EncoderFeatures(load_image_encoder(spec, device=device))
    except UsageError as error:
        known = ", ".join([*SHIPPED, "judge", "own:PATH"])
        raise UsageError(
            f"there is no feature network {spec!r}; use {known}, or an image encoder ({error})"
        ) from error


def features_for(store: Store, asked: str = "auto") -> str:
    """The spec that was asked for; for ``auto``, of the shipped network that fits a store best.

    That is a network that knows all of the store's labels, or else the icon judge: it still ranks
    models of other pictures, but a network trained on such pictures (``hf:``, ``own:``) ranks
    them better.
    """
    if asked != "auto":
        return asked
    rows = [store.metadata(i) for i in range(0, len(store), max(1, len(store) // _PEEK))]
    labels = {str(row.get("label")) for row in rows}
    for name, path in SHIPPED.items():
        with suppress(LimnerError):
            if labels <= set(load_conv(path, name).classes):
                return name
    return "judge"
