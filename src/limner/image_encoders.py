"""The image encoder that a spec names: of reference pictures, and of pictures that are measured."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import torch
from torch import Tensor

from limner.errors import CapabilityError, UsageError
from limner.modelfile import load_model
from limner.models.autoencoder import Autoencoder, of
from limner.specs import parse_spec
from limner.tensorfile import file_hash, read_metadata
from limner.vision.backbone import from_states, resized
from limner.vision.base import ImageEncoder, ImageFeatures
from limner.vision.convnet import METADATA_KEY, ConvFeatures, load_conv


def load_image_encoder(spec: str, *, device: str = "cpu") -> ImageEncoder:
    """The image encoder that a spec names.

    Args:
        spec: one of
            ``random:DIM[?tokens=16&seed=0]`` (pseudo-random numbers from the picture's hash);
            ``own:PATH`` (a model file with an autoencoder, or a feature network);
            ``hf:PATH_OR_ID[?layer=-1]`` (a transformers backbone: ResNet, ViT, DINOv2, CLIP …;
            extra ``hub``);
            ``timm:NAME[?file=PATH]`` (a timm backbone with its pretrained weights, or those of a
            safetensors file; extra ``timm``).
        device: where a network runs.

    Raises:
        UsageError: the spec is not one of these, or has an unknown option.
        MissingExtraError: the encoder needs a package that is not installed, or not working.
        DataError: the model behind the spec cannot be read.
        ModelFileError: the file behind the spec cannot be read.
    """
    asked = parse_spec(spec, "image encoder")
    if asked.kind == "random" and asked.place:
        asked.only("tokens", "seed")
        from limner.vision.chance import RandomImageEncoder

        if not asked.place.isdecimal():
            raise UsageError(f"image encoder {spec!r}: write the width, as in random:64")
        return RandomImageEncoder(
            int(asked.place), asked.integer("tokens", 16), asked.integer("seed", 0)
        )
    if asked.kind == "own" and asked.place:
        asked.only()
        return _load_own(asked.place, device)
    if asked.kind == "hf" and asked.place:
        asked.only("layer")
        from limner.vision.hub import HubImageEncoder

        return HubImageEncoder(asked.place, layer=asked.integer("layer", -1), device=device)
    if asked.kind == "timm" and asked.place:
        asked.only("file")
        from limner.vision.timm import TimmEncoder

        return TimmEncoder(asked.place, file=asked.options.get("file"), device=device)
    raise UsageError(
        f"there is no image encoder {spec!r}; use random:DIM, own:PATH, hf:PATH_OR_ID or timm:NAME"
    )


def _load_own(path: str, device: str) -> ImageEncoder:
    """The encoder in a file of limner: a feature network, or a model with an autoencoder."""
    spec = f"own:{quote(path)}"
    if METADATA_KEY in read_metadata(Path(path)):
        return ConvEncoder(load_conv(Path(path), spec))
    model, _ = load_model(Path(path), device)
    try:
        return LatentEncoder(of(model), spec, file_hash(Path(path)))
    except CapabilityError as error:
        raise UsageError(f"image encoder {spec!r}: {error}") from error


class LatentEncoder:
    """The latents of an autoencoder: a token per cell of its grid, their mean for the whole."""

    def __init__(self, network: Autoencoder, spec: str, fingerprint: str) -> None:
        self.network, self.spec, self.fingerprint = network.eval(), spec, fingerprint
        self.dim = network.config.latent_channels

    @torch.inference_mode()
    def encode(self, images: Tensor) -> ImageFeatures:
        """Features of ``(B, 3, H, W)`` pictures in [-1, 1], resized to the network's side."""
        device = next(self.network.parameters()).device
        pictures = resized(images.to(device), self.network.config.size)
        return from_states(self.network.encode(pictures))


class ConvEncoder:
    """The features of a small convolutional classifier: one vector per picture, one token."""

    def __init__(self, network: ConvFeatures) -> None:
        self.network, self.spec, self.fingerprint = network, network.spec, network.fingerprint
        self.dim = network.net.embed.out_features

    def encode(self, images: Tensor) -> ImageFeatures:
        """Features of ``(B, 3, H, W)`` pictures in [-1, 1]."""
        pooled = self.network.extract(images).features.float().clone()  # (B, D)
        return ImageFeatures(pooled[:, None], pooled)
