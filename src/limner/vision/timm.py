"""timm's backbones (VGG, ResNet and hundreds more) as image encoders, where torchvision works."""

from __future__ import annotations

import hashlib
from importlib import import_module
from typing import Any
from urllib.parse import quote

import torch
from torch import Tensor

from limner.errors import DataError, MissingExtraError
from limner.hub import hash_weights, reading
from limner.vision.backbone import Preparation, from_states, triple
from limner.vision.base import ImageFeatures

_VERSION = 1


class TimmEncoder:
    """The last feature map of a timm model.

    Args:
        name: of the model, such as ``vgg16.tv_in1k`` or ``resnet50.a1_in1k``.
        file: safetensors weights; None for the pretrained ones, which timm fetches from the hub.
        device: where the model runs.

    Raises:
        MissingExtraError: timm is not installed, or the torchvision it needs does not work here.
        DataError: there is no such model, or its weights cannot be had.
    """

    def __init__(self, name: str, *, file: str | None = None, device: str = "cpu") -> None:
        self.name, self.file = name, file
        self.device = torch.device(device)
        self.network = _load(name, file).to(self.device).eval().requires_grad_(False)
        facts = self.network.pretrained_cfg
        self.prepare = Preparation(
            int(facts["input_size"][-1]), triple(facts["mean"]), triple(facts["std"])
        )
        self._dim = self.encode(torch.zeros(1, 3, 8, 8)).pooled.shape[1]
        self._weights = hash_weights(self.network).hexdigest()

    @property
    def dim(self) -> int:
        """Channels of the last map."""
        return self._dim

    @property
    def spec(self) -> str:
        """``timm:NAME``, with the file where one was given."""
        return f"timm:{quote(self.name)}" + (f"?file={quote(self.file)}" if self.file else "")

    @property
    def fingerprint(self) -> str:
        """Of the weights and the preparation."""
        facts = f"{self._weights}/{self.prepare}/{_VERSION}"
        return hashlib.sha256(facts.encode()).hexdigest()[:16]

    @torch.inference_mode()
    def encode(self, images: Tensor) -> ImageFeatures:
        """Features of ``(B, 3, H, W)`` pictures in [-1, 1]."""
        if not len(images):
            one = self.encode(torch.zeros(1, 3, 8, 8))
            return one[:0]
        states = self.network.forward_features(self.prepare(images.to(self.device)))
        if states.ndim == 4 and str(getattr(self.network, "output_fmt", "NCHW")) == "NHWC":
            states = states.permute(0, 3, 1, 2)
        extra = int(getattr(self.network, "num_prefix_tokens", 0))
        return from_states(states, None if states.ndim == 4 else states.shape[1] - extra)


def _load(name: str, file: str | None) -> Any:
    try:
        timm: Any = import_module("timm")
    except (
        ImportError,
        RuntimeError,
    ) as error:  # a torchvision that does not fit raises the latter
        raise MissingExtraError("timm", "timm", "a timm image encoder") from error
    if not timm.is_model(name):
        close = ", ".join(timm.list_models(f"*{name.partition('.')[0]}*")[:5])
        raise DataError(
            f"timm has no model {name!r}; " + (f"it has: {close}" if close else "see timm's list")
        )
    with reading("timm model", name):
        given = {"pretrained": True} if file is None else {"checkpoint_path": file}
        return timm.create_model(name, num_classes=0, **given)
