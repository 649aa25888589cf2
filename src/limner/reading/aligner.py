"""Pictures and words in one space, whoever trained it: scoring, classifying, finding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, cast
from urllib.parse import quote

import torch
from torch import Tensor
from torch.nn import functional as F

from limner.errors import DataError, UsageError
from limner.hub import hash_weights, import_transformers, reading
from limner.loading import load_capable
from limner.models.aligner import Aligner as AlignerModel
from limner.models.base import Capability
from limner.shipped import SHIPPED_ALIGNER, find_model, spec_of
from limner.specs import parse_spec
from limner.tensorfile import file_hash
from limner.vision.backbone import Preparation, resized
from limner.vision.hub import preparation_of

_TILE = 32


class Aligner(Protocol):
    """Maps pictures and texts to vectors whose products say how well they go together."""

    @property
    def spec(self) -> str:
        """The string that :func:`load_aligner` builds it from."""
        ...

    @property
    def fingerprint(self) -> str:
        """Changes whenever the same picture or text could get another vector."""
        ...

    @property
    def dim(self) -> int:
        """E, numbers in a vector."""
        ...

    def see(self, images: Tensor) -> Tensor:
        """``(B, 3, H, W)`` pictures in [-1, 1], of any size, to ``(B, E)`` of unit length."""
        ...

    def read(self, texts: Sequence[str]) -> Tensor:
        """Texts to ``(B, E)`` float32 of unit length."""
        ...

    def logits(self, seen: Tensor, said: Tensor) -> Tensor:
        """``(B, E)`` pictures and ``(C, E)`` texts to ``(B, C)``: the higher, the better."""
        ...


def load_aligner(spec: str | Path | None = None, *, device: str = "cpu") -> Aligner:
    """The aligner that a spec names.

    Args:
        spec: a model file or run folder of ours, or ``hf:PATH_OR_ID``, a CLIP- or SigLIP-type model
            of transformers (extra ``hub``); ``shipped`` or None for the one inside the package.
        device: where it runs.

    Raises:
        ModelFileError: our file is missing or damaged.
        UsageError: the model maps no pictures and texts to one space.
        DataError: the hub's model cannot be read.
        MissingExtraError: transformers is not installed.
    """
    if isinstance(spec, str) and spec.startswith("hf:"):
        asked = parse_spec(spec, "aligner")
        asked.only()
        return HubAligner(asked.place, device=device)
    return OwnAligner(find_model(spec, SHIPPED_ALIGNER), device=device)


def _tiles(images: Tensor) -> Iterator[tuple[Tensor, int]]:
    """Pictures in tiles of one shape, so that no vector depends on a neighbour's rounding."""
    for part in torch.split(images, _TILE):
        yield F.pad(part, (0, 0, 0, 0, 0, 0, 0, _TILE - len(part))), len(part)


def _text_tiles(texts: Sequence[str]) -> Iterator[tuple[list[str], int]]:
    """The same of texts, the last of them repeated."""
    for start in range(0, len(texts), _TILE):
        part = list(texts[start : start + _TILE])
        yield part + part[-1:] * (_TILE - len(part)), len(part)


class OwnAligner:
    """A model of the aligner family, with the text encoder it was trained with.

    Args:
        path: the model file.
        device: as for :func:`limner.loading.choose_device`.
    """

    def __init__(self, path: Path, *, device: str = "cpu") -> None:
        action = "maps pictures and texts to one space"
        found = load_capable(path, Capability.ALIGN, action, device=device)
        self.model, self.encoder = cast(AlignerModel, found.model), found.encoder
        self.path, self.device, self._hash = path, found.device, file_hash(path)

    @property
    def spec(self) -> str:
        """``shipped``, or the absolute path of the model file."""
        return spec_of(self.path, SHIPPED_ALIGNER)

    @property
    def fingerprint(self) -> str:
        """Of the file and its text encoder."""
        return f"{self._hash}-{self.encoder.fingerprint}"

    @property
    def dim(self) -> int:
        """E."""
        return self.model.config.embed_dim

    @torch.inference_mode()
    def see(self, images: Tensor) -> Tensor:
        """Vectors of B pictures."""
        size = self.model.config.size
        rows = [
            self.model.see(tile.to(self.device))[:count].cpu()
            for tile, count in _tiles(resized(images.float(), size))
        ]
        return torch.cat(rows) if rows else torch.zeros(0, self.dim)

    @torch.inference_mode()
    def read(self, texts: Sequence[str]) -> Tensor:
        """Vectors of B texts."""
        rows, longest = [], self.model.config.max_tokens
        for part, count in _text_tiles(texts):
            text = self.encoder.encode(part).padded(longest).to(self.device)
            rows.append(self.model.read(text)[:count].cpu())
        return torch.cat(rows) if rows else torch.zeros(0, self.dim)

    @torch.inference_mode()
    def logits(self, seen: Tensor, said: Tensor) -> Tensor:
        """Scaled products, and a bias where the loss had one."""
        return self.model.logits(seen.to(self.device), said.to(self.device)).cpu()


class HubAligner:
    """A CLIP- or SigLIP-type model from a folder or a hub id.

    Its pictures are scaled and normalised by the numbers of its own preprocessor configuration,
    without torchvision; its weights are read from safetensors only, and no code of the hub is run.

    Args:
        path_or_id: a folder in the hub's format, or an id such as ``openai/clip-vit-base-patch32``.
        device: where it runs.
    """

    def __init__(self, path_or_id: str, *, device: str = "cpu") -> None:
        transformers = import_transformers("an aligner from the hub")
        self.path_or_id, self.device = path_or_id, torch.device(device)
        with reading("aligner", path_or_id):
            from transformers.image_processing_base import ImageProcessingMixin

            model = transformers.AutoModel.from_pretrained(
                path_or_id, trust_remote_code=False, use_safetensors=True, dtype=torch.float32
            )
            facts, _ = ImageProcessingMixin.get_image_processor_dict(path_or_id)
            self.tokenizer: Any = transformers.AutoTokenizer.from_pretrained(
                path_or_id, trust_remote_code=False
            )
        if not (hasattr(model, "get_image_features") and hasattr(model, "get_text_features")):
            raise UsageError(
                f"{path_or_id} ({model.config.model_type}) does not map pictures and texts to one "
                f"space; choose a CLIP- or SigLIP-type model"
            )
        self.model: Any = model.eval().requires_grad_(False).to(self.device)
        self.prepare: Preparation = preparation_of(facts, model.config.vision_config, path_or_id)
        self.longest = int(model.config.text_config.max_position_embeddings)
        self._hash = hash_weights(model).hexdigest()[:16]
        self._dim = self.read(["a"]).shape[1]

    @property
    def spec(self) -> str:
        """``hf:PATH_OR_ID``."""
        return f"hf:{quote(self.path_or_id)}"

    @property
    def fingerprint(self) -> str:
        """Of the weights."""
        return self._hash

    @property
    def dim(self) -> int:
        """E."""
        return self._dim

    @torch.inference_mode()
    def see(self, images: Tensor) -> Tensor:
        """Vectors of B pictures."""
        rows = []
        for tile, count in _tiles(images):
            pixels = self.prepare(tile.to(self.device))
            rows.append(_vectors(self.model.get_image_features(pixel_values=pixels))[:count])
        return torch.cat(rows) if rows else torch.zeros(0, self.dim)

    @torch.inference_mode()
    def read(self, texts: Sequence[str]) -> Tensor:
        """Vectors of B texts, each padded to the model's longest, as SigLIP learned them."""
        rows = []
        for part, count in _text_tiles(texts):
            tokens = self.tokenizer(
                part, padding="max_length", truncation=True, max_length=self.longest,
                return_tensors="pt",
            )  # fmt: skip
            asked = {key: value.to(self.device) for key, value in tokens.items()
                     if key in ("input_ids", "attention_mask")}  # fmt: skip
            rows.append(_vectors(self.model.get_text_features(**asked))[:count])
        return torch.cat(rows) if rows else torch.zeros(0, self.dim)

    @torch.inference_mode()
    def logits(self, seen: Tensor, said: Tensor) -> Tensor:
        """Scaled products, and a bias where the model has one."""
        found: Tensor = self.model.logit_scale.exp().cpu() * seen @ said.T
        bias = getattr(self.model, "logit_bias", None)
        return found if bias is None else found + bias.cpu()


def _vectors(output: Any) -> Tensor:
    """Features of a two-tower model, of unit length; its versions give a tensor or an output."""
    found = output if isinstance(output, Tensor) else output.pooler_output
    if not isinstance(found, Tensor):
        raise DataError("the model gives no vector for a whole picture or text")
    return F.normalize(found.float(), dim=1).cpu()
