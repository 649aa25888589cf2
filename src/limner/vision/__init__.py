"""Pictures in: encoders of reference pictures, and of pictures that are measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from limner.errors import UsageError
from limner.specs import parse_spec

if TYPE_CHECKING:
    from limner.vision.base import ImageEncoder

__all__ = ["load_image_encoder"]


def load_image_encoder(spec: str, *, device: str = "cpu") -> ImageEncoder:
    """The image encoder a spec names.

    Args:
        spec: one of
            ``random:DIM[?tokens=16&seed=0]`` (random numbers that belong to the picture);
            ``own:PATH`` (a model file of ours that encodes pictures, or a feature network);
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
        from limner.vision.chance import RandomEncoder

        if not asked.place.isdecimal():
            raise UsageError(f"image encoder {spec!r}: write the width, as in random:64")
        return RandomEncoder(
            int(asked.place), asked.integer("tokens", 16), asked.integer("seed", 0)
        )
    if asked.kind == "own" and asked.place:
        asked.only()
        from limner.vision.own import load_own

        return load_own(asked.place, device)
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
