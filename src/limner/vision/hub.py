"""Any transformers vision backbone as an image encoder: ResNet, ViT, DINOv2, CLIP, SigLIP."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import torch
from torch import Tensor

from limner.errors import DataError, UsageError
from limner.hub import import_transformers, pretrained, reading
from limner.vision.backbone import Backbone, Preparation, from_states, probe, triple
from limner.vision.base import ImageFeatures

_MAX_SIDE = 1024


class HubImageEncoder(Backbone):
    """States of a transformers vision model from a folder or a hub id.

    Of a model with two towers (CLIP, SigLIP) the vision tower is used. Pictures are scaled and
    normalised here, by the numbers in the model's own preprocessor configuration, so that
    torchvision is not needed. ``tokens`` are one vector per patch or cell of the last feature map;
    ``pooled`` is the class token where the model has one, else their mean. Weights are read from
    safetensors only, and no code from the hub is ever run.

    Args:
        path_or_id: a folder in the hub's format, or a hub id such as ``facebook/dinov2-small``.
        layer: index into the hidden states; -1 is the model's output.
        device: where the model runs.

    Raises:
        MissingExtraError: transformers is not installed.
        DataError: the model cannot be read, or does not state its size and normalisation.
        UsageError: there is no such layer.
    """

    def __init__(self, path_or_id: str, *, layer: int = -1, device: str = "cpu") -> None:
        self.layer = layer
        model, facts = load_with_preparation(path_or_id, "vision model", "an image encoder")
        network = getattr(model, "vision_model", model)
        prepare = preparation_of(facts, network.config, path_or_id)
        spec = f"hf:{quote(path_or_id)}" + ("" if layer == -1 else f"?layer={layer}")
        super().__init__(network, spec, prepare, device, layer)
        with reading("vision model", path_or_id):
            states = self._states(prepare(probe().to(self.device)), every=True)
        if not -len(states) <= layer < len(states):
            raise UsageError(
                f"{path_or_id} has no layer {layer}; "
                f"choose from {-len(states)} to {len(states) - 1}"
            )

    def _features(self, pixels: Tensor) -> ImageFeatures:
        last = self.layer == -1
        states = self._states(pixels, every=not last)
        chosen = states[0] if last else states[self.layer]
        patch = getattr(self.network.config, "patch_size", None)
        if chosen.ndim == 4 or not isinstance(patch, int):
            return from_states(chosen)
        return from_states(chosen, (self.prepare.side // patch) ** 2)

    @torch.inference_mode()
    def _states(self, pixels: Tensor, *, every: bool) -> tuple[Tensor, ...]:
        output = self.network(pixel_values=pixels, output_hidden_states=every)
        return tuple(output.hidden_states) if every else (output.last_hidden_state,)


def load_with_preparation(path_or_id: str, what: str, purpose: str) -> tuple[Any, dict[str, Any]]:
    """A model that sees pictures, and its preprocessor's configuration.

    Raises:
        MissingExtraError: transformers is not installed, which ``purpose`` needs.
        DataError: the model, a ``what``, cannot be read.
    """
    transformers = import_transformers(f"{purpose} from the hub")
    with reading(what, path_or_id):
        from transformers.image_processing_base import ImageProcessingMixin

        network = pretrained(transformers.AutoModel, path_or_id)
        facts, _ = ImageProcessingMixin.get_image_processor_dict(path_or_id)
    return network, facts


def preparation_of(facts: dict[str, Any], config: Any, path_or_id: str) -> Preparation:
    """Size and normalisation from a preprocessor configuration; its centre crop is left out.

    Args:
        facts: the preprocessor's configuration.
        config: of the vision model, whose ``image_size`` stands in for a missing size.
        path_or_id: for messages.

    Raises:
        DataError: they are not there.
    """
    try:
        wanted = facts.get("crop_size") if facts.get("do_center_crop") else None
        side = _side(wanted or facts.get("size") or config.image_size)
        mean, std = triple(facts["image_mean"]), triple(facts["image_std"])
        if not 8 <= side <= _MAX_SIDE or min(std) <= 0:
            raise ValueError(f"size {side}")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"the vision model {path_or_id!r} does not state its size and normalisation ({error}); "
            "it needs a preprocessor_config.json with size, image_mean and image_std"
        ) from error
    return Preparation(side, mean, std)


def _side(size: Any) -> int:
    if isinstance(size, dict):
        size = next(size[key] for key in ("height", "shortest_edge", "longest_edge") if key in size)
    return int(size)
