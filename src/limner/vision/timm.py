"""timm's backbones (VGG, ResNet and hundreds more) as image encoders, where torchvision works."""

from __future__ import annotations

from importlib import import_module
from typing import Any
from urllib.parse import quote

from torch import Tensor

from limner.errors import DataError, MissingExtraError
from limner.hub import reading
from limner.vision.backbone import Backbone, Preparation, from_states, triple
from limner.vision.base import ImageFeatures


class TimmEncoder(Backbone):
    """The last feature map of a timm model.

    Args:
        name: of the model, such as ``vgg16.tv_in1k`` or ``resnet50.a1_in1k``.
        file: safetensors weights; None for the pretrained ones, which timm fetches from the hub.
        device: where the model runs.

    Raises:
        MissingExtraError: timm is not installed, or the torchvision it needs does not work here.
        DataError: there is no such model, or its weights cannot be read.
    """

    def __init__(self, name: str, *, file: str | None = None, device: str = "cpu") -> None:
        network = _load(name, file)
        facts = network.pretrained_cfg
        side, mean, std = int(facts["input_size"][-1]), triple(facts["mean"]), triple(facts["std"])
        spec = f"timm:{quote(name)}" + (f"?file={quote(file)}" if file else "")
        super().__init__(network, spec, Preparation(side, mean, std), device)

    def _features(self, pixels: Tensor) -> ImageFeatures:
        states = self.network.forward_features(pixels)
        if states.ndim == 4 and str(getattr(self.network, "output_fmt", "NCHW")) == "NHWC":
            states = states.permute(0, 3, 1, 2)
        extra = int(getattr(self.network, "num_prefix_tokens", 0))
        return from_states(states, None if states.ndim == 4 else states.shape[1] - extra)


def _load(name: str, file: str | None) -> Any:
    try:
        timm: Any = import_module("timm")
    except (ImportError, RuntimeError) as error:  # the latter by a torchvision that does not fit
        raise MissingExtraError("timm", "timm", "a timm image encoder") from error
    if not timm.is_model(name):
        close = ", ".join(timm.list_models(f"*{name.partition('.')[0]}*")[:5])
        raise DataError(
            f"timm has no model {name!r}; " + (f"it has: {close}" if close else "see timm's list")
        )
    with reading("timm model", name):
        given = {"pretrained": True} if file is None else {"checkpoint_path": file}
        return timm.create_model(name, num_classes=0, **given)
