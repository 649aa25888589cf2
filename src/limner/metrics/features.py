"""Feature networks: what FID, KID, precision, recall, density and coverage are computed on.

A figure means nothing without the network it was measured with, so every network here has a
fingerprint, and every report prints it. For Fashion-MNIST a small network of our own is shipped
(``weights/fashion.safetensors``, trained once by ``tools/train_features.py``); it also
knows the classes, so that it can tell whether a picture shows what was asked for. For other data
any image encoder will do.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from limner.errors import LimnerError, ModelFileError, UsageError
from limner.metrics.judge import SIZE, Judge, Stage, fit_to, load_judge, tiles
from limner.tensorfile import read_metadata

if TYPE_CHECKING:
    from limner.data.store import Store
    from limner.vision.base import ImageEncoder

SHIPPED = {"fashion": Path(__file__).parent / "weights" / "fashion.safetensors"}
"""Feature networks inside the package, by the name that :func:`load_features` takes."""
METADATA_KEY = "features"
_PEEK = 64


@dataclass(frozen=True)
class Extracted:
    """Features of B pictures, and their class probabilities where there are classes.

    Attributes:
        features: ``(B, D)`` float32.
        log_probs: ``(B, K)`` float32, log-probabilities of the K classes; None where the network
            knows no classes.
    """

    features: Tensor
    log_probs: Tensor | None = None


class FeatureNetwork(Protocol):
    """Turns pictures into features; a picture's features never depend on its neighbours."""

    @property
    def spec(self) -> str:
        """The string that :func:`load_features` builds this network from."""
        ...

    @property
    def fingerprint(self) -> str:
        """Changes whenever the same picture could give other features."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes it tells apart, as the store's ``label`` has them; or none."""
        ...

    def extract(self, images: Tensor) -> Extracted:
        """Features of ``(B, 3, H, W)`` float32 pictures in [-1, 1], of any size."""
        ...


class ConvNet(nn.Module):
    """A small convolutional classifier whose last hidden layer is the features.

    Args:
        widths: channels of the stem and of each stage; each of them halves the picture.
        dim: D, width of the features.
        classes: K.
        changes: outputs of the second head, which regresses the degradations applied to a
            training picture (blur, noise, tint). It keeps in the features what a classifier
            alone would discard and a quality measure needs.
    """

    def __init__(self, widths: Sequence[int], dim: int, classes: int, changes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, widths[0], 5, stride=2, padding=2, bias=False)
        self.norm = nn.BatchNorm2d(widths[0])
        self.stages = nn.Sequential(*(Stage(a, b) for a, b in pairwise(widths)))
        self.embed = nn.Linear(widths[-1] * 5, dim)
        self.classify = nn.Linear(dim, classes)
        self.changes = nn.Linear(dim, changes)

    def layers(self, images: Tensor) -> list[Tensor]:
        """Feature maps of the stem and every stage, ``(B, C, h, w)``, each half as large."""
        maps = [F.relu(self.norm(self.stem(images)))]  # B C S/2 S/2
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return maps

    def forward(self, images: Tensor) -> Tensor:
        """``(B, 3, S, S)`` in [-1, 1] -> ``(B, dim)``."""
        x = self.layers(images)[-1]  # B C' h w
        parts = (F.adaptive_avg_pool2d(x, 2), F.adaptive_max_pool2d(x, 1))
        pooled = torch.cat([part.flatten(1) for part in parts], 1)  # B 5C'
        return F.relu(self.embed(pooled))


@dataclass(frozen=True)
class ConvFeatures:
    """A :class:`ConvNet` from a file.

    Attributes:
        net: in eval mode.
        size: side of the pictures it learned from, pixels; others are resampled to it.
        classes: names.
        spec: what it was loaded by.
        fingerprint: first 16 hex digits of the SHA-256 of the file.
        about: what the file says of its training.
    """

    net: ConvNet
    size: int
    classes: tuple[str, ...]
    spec: str
    fingerprint: str
    about: dict[str, object]

    @torch.inference_mode()
    def extract(self, images: Tensor) -> Extracted:
        """Features ``(B, D)`` and log-probabilities ``(B, K)`` of B pictures."""
        if not len(images):
            empty = torch.zeros(0, self.net.embed.out_features)
            return Extracted(empty, torch.zeros(0, len(self.classes)))
        rows = []
        for tile, count in tiles(fit_to(images, self.size)):
            features = self.net(tile)
            rows.append((features[:count], self.net.classify(features).log_softmax(1)[:count]))
        features, log_probs = (torch.cat(part) for part in zip(*rows, strict=True))
        return Extracted(features, log_probs)

    @torch.inference_mode()
    def layers(self, images: Tensor) -> list[Tensor]:
        """Maps of every layer, for perceptual distances."""
        return self.net.layers(fit_to(images, self.size))


@dataclass(frozen=True)
class JudgeFeatures:
    """The icon judge as a feature network; it knows no classes."""

    judge: Judge
    spec: str = "judge"
    classes: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """Of the judge's file."""
        return self.judge.fingerprint

    def extract(self, images: Tensor) -> Extracted:
        """Features of B pictures, of unit length."""
        return Extracted(self.judge.features(images))

    @torch.inference_mode()
    def layers(self, images: Tensor) -> list[Tensor]:
        """Maps of every layer of the judge's network, for perceptual distances."""
        return self.judge.net.layers(fit_to(images, SIZE))


@dataclass(frozen=True)
class EncoderFeatures:
    """The whole-picture vectors of any image encoder; it knows no classes."""

    encoder: ImageEncoder
    classes: tuple[str, ...] = ()

    @property
    def spec(self) -> str:
        """Of the encoder."""
        return self.encoder.spec

    @property
    def fingerprint(self) -> str:
        """Of the encoder."""
        return self.encoder.fingerprint

    @torch.inference_mode()
    def extract(self, images: Tensor) -> Extracted:
        """Features of B pictures."""
        return Extracted(self.encoder.encode(images).pooled.float().cpu())


class LastBatch:
    """A network that keeps the features of its last batch: several measures cost one forward pass.

    Args:
        network: extracts the features.
    """

    def __init__(self, network: FeatureNetwork) -> None:
        self._network = network
        self._last: tuple[Tensor, Extracted] | None = None

    @property
    def spec(self) -> str:
        """Of the network."""
        return self._network.spec

    @property
    def fingerprint(self) -> str:
        """Of the network."""
        return self._network.fingerprint

    @property
    def classes(self) -> tuple[str, ...]:
        """Of the network."""
        return self._network.classes

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
            :func:`limner.vision.load_image_encoder`, such as ``hf:facebook/dinov2-small``.
        device: where an image encoder runs; the networks of our own run on the CPU.

    Raises:
        UsageError: there is no such network.
        ModelFileError: its file is missing or damaged.
        MissingExtraError: it needs a package that is not installed.
    """
    if spec in SHIPPED:
        return load_conv(SHIPPED[spec], spec)
    if spec == "judge":
        return JudgeFeatures(load_judge())
    kind, _, place = spec.partition(":")
    if kind == "own" and place and METADATA_KEY in read_metadata(Path(place)):
        return load_conv(Path(place), spec)
    from limner.vision import load_image_encoder

    try:
        return EncoderFeatures(load_image_encoder(spec, device=device))
    except UsageError as error:
        known = ", ".join([*SHIPPED, "judge", "own:PATH"])
        raise UsageError(
            f"there is no feature network {spec!r}; use {known}, or an image encoder ({error})"
        ) from error


def load_conv(path: Path, spec: str) -> ConvFeatures:
    """A feature network of our own from its file.

    Raises:
        ModelFileError: the file is missing, damaged or no feature network.
    """
    metadata = read_metadata(path)
    try:
        about = json.loads(metadata[METADATA_KEY])
        classes = tuple(str(name) for name in about["classes"])
        widths = [int(width) for width in about["widths"]]
        net = ConvNet(widths, int(about["dim"]), len(classes), int(about["changes"]))
        net.load_state_dict({k: v.float() for k, v in load_file(path).items()})
        size = int(about["size"])
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelFileError(
            f"{path} is no feature network that this limner can use: {str(error).splitlines()[0]}"
        ) from error
    fingerprint = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return ConvFeatures(net.eval(), size, classes, spec, fingerprint, about)


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
        try:
            known = set(load_conv(path, name).classes)
        except LimnerError:
            continue
        if labels <= known:
            return name
    return "judge"
