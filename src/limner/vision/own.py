"""Image encoders of our own making: what ``limner train`` or our benchmarks left in a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import torch
from torch import Tensor

from limner.errors import CapabilityError, UsageError
from limner.vision.backbone import resized
from limner.vision.base import ImageFeatures

if TYPE_CHECKING:
    from limner.metrics.features import ConvFeatures
    from limner.models.autoencoder import Autoencoder
    from limner.vision.base import ImageEncoder


def load_own(path: str, device: str = "cpu") -> ImageEncoder:
    """The encoder in a file of ours: a feature network, or a model with an autoencoder.

    Raises:
        ModelFileError: the file is missing, foreign or damaged.
        UsageError: it is a model that does not encode pictures.
    """
    from limner.metrics.features import METADATA_KEY, load_conv
    from limner.modelfile import load_model
    from limner.models.autoencoder import of
    from limner.tensorfile import file_hash, read_metadata

    spec = f"own:{quote(path)}"
    if METADATA_KEY in read_metadata(Path(path)):
        return ConvEncoder(load_conv(Path(path), spec))
    model, _ = load_model(Path(path), device)
    try:
        return LatentEncoder(of(model), spec, file_hash(Path(path)))
    except CapabilityError as error:
        raise UsageError(f"image encoder {spec!r}: {error}") from error


class LatentEncoder:
    """The latents of an autoencoder: a token per cell of its grid, their mean for the whole.

    Args:
        network: of a trained model.
        spec: it was loaded by.
        fingerprint: of the file.
    """

    def __init__(self, network: Autoencoder, spec: str, fingerprint: str) -> None:
        self.network, self._spec, self._fingerprint = network.eval(), spec, fingerprint

    @property
    def dim(self) -> int:
        """Numbers in a latent cell."""
        return self.network.config.latent_channels

    @property
    def spec(self) -> str:
        """``own:PATH``."""
        return self._spec

    @property
    def fingerprint(self) -> str:
        """Of the file."""
        return self._fingerprint

    @torch.inference_mode()
    def encode(self, images: Tensor) -> ImageFeatures:
        """Features of ``(B, 3, H, W)`` pictures in [-1, 1], scaled to the network's own side."""
        device = next(self.network.parameters()).device
        latents = self.network.encode(resized(images.to(device), self.network.config.size))
        tokens = latents.flatten(2).transpose(1, 2).float().cpu()  # (B, G*G, C)
        return ImageFeatures(tokens, tokens.mean(1))


class ConvEncoder:
    """The features of a small convolutional classifier: one vector per picture, one token."""

    def __init__(self, network: ConvFeatures) -> None:
        self.network = network

    @property
    def dim(self) -> int:
        """Width of its last hidden layer."""
        return self.network.net.embed.out_features

    @property
    def spec(self) -> str:
        """``own:PATH``."""
        return self.network.spec

    @property
    def fingerprint(self) -> str:
        """Of the file."""
        return self.network.fingerprint

    def encode(self, images: Tensor) -> ImageFeatures:
        """Features of ``(B, 3, H, W)`` pictures in [-1, 1]."""
        pooled = self.network.extract(images).features.float().clone()  # (B, D)
        return ImageFeatures(pooled[:, None], pooled)
