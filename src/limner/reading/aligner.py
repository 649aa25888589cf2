"""Aligners: models that map pictures and texts to one space, of limner and of the hub."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from limner.errors import DataError, UsageError
from limner.hub import hash_weights, import_transformers, reading
from limner.loading import choose_device, load_capable
from limner.models.aligner import AlignerModel
from limner.models.settings import Capability
from limner.shipped import SHIPPED_ALIGNER, find_model, spec_of
from limner.specs import hub_spec, parse_spec
from limner.tensorfile import file_hash
from limner.text.base import TextFeatures
from limner.text.cache import CachedEncoder, uncached
from limner.text.pieces import PieceEncoder
from limner.text.validate import canonical_all
from limner.vision.aligner import Aligner
from limner.vision.backbone import Preparation, resized
from limner.vision.hub import load_with_preparation, preparation_of

_TILE, _TEXTS = 32, 256


def load_aligner(spec: str | Path | None = None, *, device: str = "cpu") -> Aligner:
    """The aligner that a spec names.

    Args:
        spec: a model file, a run folder or the name of a shipped model (see
            :func:`limner.shipped.find_model`); ``hf:PATH_OR_ID``, a CLIP- or SigLIP-type model of
            transformers (extra ``hub``); ``shipped`` or None for the shipped aligner.
        device: as for :func:`limner.loading.choose_device`.

    Raises:
        ModelFileError: the file is missing or damaged.
        UsageError: the model does not map pictures and texts to one space.
        DataError: the hub's model cannot be read.
        MissingExtraError: transformers is not installed.
    """
    if isinstance(spec, str) and spec.startswith("hf:"):
        parsed = parse_spec(spec, "aligner")
        parsed.only()
        return HubAligner(parsed.place, device=device)
    return OwnAligner(find_model(spec, SHIPPED_ALIGNER), device=device)


def caption_vectors(aligner: Aligner, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Vectors of captions, cheaper than :meth:`Aligner.encode_texts` where a text is cut in pieces.

    Of an aligner of limner whose text encoder embeds pieces, each caption is embedded once, as a
    whole; its phrases and words are not.

    Returns:
        ``(B, E)`` of the aligner, and ``(B, D)`` sentence vectors of its text encoder, both of unit
        length; D is 0 for other aligners.
    """
    if not isinstance(aligner, OwnAligner):
        found = aligner.encode_texts(texts)
        return found, found[:, :0]
    return aligner.encode_captions(texts)


def encoded_in_tiles(
    images: Tensor, encode: Callable[[Tensor], Tensor], size: int = _TILE
) -> Tensor:
    """Vectors of pictures, which are encoded in batches of one size, the last one padded.

    Batches of different sizes may be rounded differently, so vectors would depend on neighbours.
    """
    parts = torch.split(images, size)
    return torch.cat([
        encode(F.pad(part, (0, 0, 0, 0, 0, 0, 0, size - len(part))))[: len(part)].cpu()
        for part in parts
    ])  # fmt: skip


def _encoded_texts(texts: Sequence[str], encode: Callable[[list[str]], Tensor]) -> Tensor:
    """The same of texts; the last one is repeated."""
    rows = []
    for start in range(0, len(texts), _TILE):
        part = list(texts[start : start + _TILE])
        rows.append(encode(part + part[-1:] * (_TILE - len(part)))[: len(part)].cpu())
    return torch.cat(rows) if rows else encode(["a"])[:0].cpu()


class OwnAligner:
    """A model of the aligner family, with the text encoder it was trained with.

    Args:
        path: the model file.
        device: as for :func:`limner.loading.choose_device`.

    Attributes:
        spec: ``shipped``, or the absolute path of the model file.
        fingerprint: of the model file and its text encoder.
        dim: E, numbers in a vector.
    """

    def __init__(self, path: Path, *, device: str = "cpu") -> None:
        action = "maps pictures and texts to one space"
        found = load_capable(path, Capability.ALIGN, action, device=device)
        self.model, self.encoder = cast(AlignerModel, found.model), found.encoder
        self.device, self.dim = found.device, self.model.config.embed_dim
        self.spec = spec_of(path, SHIPPED_ALIGNER)
        self.fingerprint = f"{file_hash(path)}-{self.encoder.fingerprint}"

    @torch.inference_mode()
    def encode_images(self, images: Tensor) -> Tensor:
        """``(B, 3, H, W)`` pictures in [-1, 1] to ``(B, E)`` float32 of unit length."""
        small = resized(images.float(), self.model.config.size)
        return encoded_in_tiles(small, lambda tile: self.model.encode_images(tile.to(self.device)))

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """B texts to ``(B, E)`` float32 of unit length."""

        def encode(tile: list[str]) -> Tensor:
            text = self.encoder.encode(tile).padded(self.model.config.max_tokens)
            return self.model.encode_texts(text.to(self.device))

        return _encoded_texts(texts, encode)

    @torch.inference_mode()
    def encode_captions(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """B texts, each embedded once; see :func:`caption_vectors`."""
        whole = isinstance(uncached(self.encoder), PieceEncoder)
        found, sentences = [], []
        for start in range(0, len(texts), _TEXTS):
            part = canonical_all(texts[start : start + _TEXTS])
            if whole and isinstance(self.encoder, CachedEncoder):
                vectors = self.encoder.vectors(part)
                pooled = torch.from_numpy(np.stack([vectors[text][0] for text in part]))
                mask = torch.ones(len(part), 1, dtype=torch.bool)
                text = TextFeatures(pooled[:, None], mask, pooled)
            else:
                text = self.encoder.encode(part).padded(self.model.config.max_tokens)
            found.append(self.model.encode_texts(text.to(self.device)).cpu())
            sentences.append(F.normalize(text.pooled, dim=1).cpu())
        return torch.cat(found), torch.cat(sentences)

    @torch.inference_mode()
    def logits(self, images: Tensor, texts: Tensor) -> Tensor:
        """Scaled products ``(B, C)``, plus the bias of a sigmoid loss."""
        return self.model.logits(images.to(self.device), texts.to(self.device)).cpu()


class HubAligner:
    """A CLIP- or SigLIP-type model from a folder or a hub id.

    Pictures are scaled and normalised as the model's preprocessor configuration says, without
    torchvision. Weights are read from safetensors only, and no code of the hub is run.

    Args:
        path_or_id: a folder in the hub's format, or an id such as ``openai/clip-vit-base-patch32``.
        device: as for :func:`limner.loading.choose_device`.

    Attributes:
        spec: ``hf:PATH_OR_ID``, a path made absolute.
        fingerprint: of the weights.
        dim: E, numbers in a vector.

    Raises:
        MissingExtraError: transformers is not installed.
        DataError: the model cannot be read.
        UsageError: it is of another type, or the device cannot be used.
    """

    def __init__(self, path_or_id: str, *, device: str = "cpu") -> None:
        transformers = import_transformers("an aligner from the hub")
        self.spec, self.device = hub_spec(path_or_id), choose_device(device)
        model, facts = load_with_preparation(path_or_id, "aligner", "an aligner")
        with reading("aligner", path_or_id):
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
        self.fingerprint = hash_weights(model).hexdigest()[:16]
        self.dim = self.encode_texts(["a"]).shape[1]

    @torch.inference_mode()
    def encode_images(self, images: Tensor) -> Tensor:
        """``(B, 3, H, W)`` pictures in [-1, 1] to ``(B, E)`` float32 of unit length."""

        def encode(tile: Tensor) -> Tensor:
            pixels = self.prepare(tile.to(self.device))
            return _vectors(self.model.get_image_features(pixel_values=pixels))

        return encoded_in_tiles(images, encode)

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """B texts to ``(B, E)`` float32 of unit length.

        Each is padded to the model's longest, as in the training of SigLIP.
        """

        def encode(tile: list[str]) -> Tensor:
            tokens = self.tokenizer(
                tile, padding="max_length", truncation=True, max_length=self.longest,
                return_tensors="pt",
            )  # fmt: skip
            inputs = {key: value.to(self.device) for key, value in tokens.items()
                     if key in ("input_ids", "attention_mask")}  # fmt: skip
            return _vectors(self.model.get_text_features(**inputs))

        return _encoded_texts(texts, encode)

    @torch.inference_mode()
    def logits(self, images: Tensor, texts: Tensor) -> Tensor:
        """Scaled products ``(B, C)``, plus the bias of a model that has one."""
        found: Tensor = self.model.logit_scale.exp().cpu() * images @ texts.T
        bias = getattr(self.model, "logit_bias", None)
        return found if bias is None else found + bias.cpu()


def _vectors(output: Any) -> Tensor:
    """Vectors of unit length from a two-tower model, whose version gives a tensor or an output."""
    found = output if isinstance(output, Tensor) else output.pooler_output
    if not isinstance(found, Tensor):
        raise DataError("the model gives no vector for a whole picture or text")
    return F.normalize(found.float(), dim=1).cpu()
