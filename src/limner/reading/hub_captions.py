"""Captions from transformers: image-to-text models, and chat models that read pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from limner.errors import DataError, UsageError, first_line
from limner.hub import import_transformers, reading
from limner.loading import choose_device
from limner.models.captioner import ScoredCaption
from limner.reading.endpoint import caption_prompt, captions_of
from limner.specs import hub_spec

_LONGEST = 60
"""Tokens of one caption."""
_BEAMS = 3


class HubCaptioner:
    """An image-to-text model of transformers, from a folder or a hub id.

    Two kinds: captioning models (BLIP, GIT, Pix2Struct, encoder with decoder), which have one
    language, and chat models (Qwen2-VL, SmolVLM, LLaVA, …), which are asked for one. Weights are
    read from safetensors only, no code of the hub is run, and torchvision is not needed.

    Args:
        path_or_id: a folder in the hub's format, or an id such as
            ``Salesforce/blip-image-captioning-base``.
        device: where it runs.

    Attributes:
        spec: ``hf:PATH_OR_ID``, a path made absolute.
        fingerprint: the spec; the weights are not hashed.

    Raises:
        MissingExtraError: transformers is not installed.
        DataError: the model cannot be read.
    """

    def __init__(self, path_or_id: str, *, device: str = "cpu") -> None:
        transformers = import_transformers("a captioner from the hub")
        self.spec = self.fingerprint = hub_spec(path_or_id)
        self.device = torch.device(choose_device(device))
        with reading("captioner", path_or_id):
            model = transformers.AutoModelForImageTextToText.from_pretrained(
                path_or_id, trust_remote_code=False, use_safetensors=True, dtype="auto"
            )
            self.processor: Any = _processor(transformers, path_or_id)
        self.chats = bool(getattr(self.processor, "chat_template", None))
        self.model: Any = model.eval().requires_grad_(False).to(self.device)

    @torch.inference_mode()
    def caption(
        self, pixels: NDArray[np.uint8], language: str | None = None, count: int = 1
    ) -> list[ScoredCaption]:
        """The most probable captions by beam search, with the scores of transformers.

        Those are log-probabilities in nats, over the number of tokens unless the model's generation
        configuration says otherwise.

        Args:
            pixels: ``(H, W, 3)`` uint8.
            language: its code; None for English, or the only language of a captioning model.
            count: how many different captions.

        Raises:
            UsageError: a language is asked of a captioning model, or no caption is asked for.
            DataError: the model gives no caption, or fails at the picture.
        """
        if count < 1:
            raise UsageError(f"{count} captions cannot be made; ask for one or more")
        try:
            inputs = self._inputs(Image.fromarray(pixels), language)
            beams = max(_BEAMS, count)
            out = self.model.generate(
                **inputs, max_new_tokens=_LONGEST, do_sample=False, num_beams=beams,
                num_return_sequences=beams, return_dict_in_generate=True, output_scores=True,
                temperature=None, top_p=None, top_k=None,
            )  # fmt: skip
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            reason = first_line(error)
            raise DataError(f"{self.spec} cannot caption the picture: {reason}") from error
        rows = out.sequences[:, self._prompt_length(inputs) :]
        texts = self.processor.batch_decode(rows, skip_special_tokens=True)
        scores = out.sequences_scores.tolist()
        found: dict[str, float] = {}
        for text, score in zip(texts, scores, strict=True):
            for line in captions_of(text, 1):
                found.setdefault(line, score)
        if not found:
            raise DataError(f"{self.spec} gives no caption")
        return [ScoredCaption(text, score) for text, score in list(found.items())[:count]]

    def _inputs(self, picture: Image.Image, language: str | None) -> dict[str, Any]:
        """The arguments of ``generate``: pixels, and for a chat model the tokens of the prompt."""
        if self.chats:
            content = [{"type": "image"}, {"type": "text", "text": caption_prompt(language, 1)}]
            prompt = self.processor.apply_chat_template(
                [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
            )
            found = self.processor(text=[prompt], images=[picture], return_tensors="pt")
        elif language is not None:
            raise UsageError(
                f"{self.spec} captions in the one language it was trained on; leave the language "
                f"out"
            )
        else:
            found = self.processor(images=picture, return_tensors="pt")
        return {
            key: value.to(self.device, self.model.dtype if value.is_floating_point() else None)
            for key, value in found.items()
        }

    def _prompt_length(self, inputs: dict[str, Any]) -> int:
        """Tokens of the prompt, which a decoder-only model repeats before its answer."""
        if "input_ids" not in inputs or self.model.config.is_encoder_decoder:
            return 0
        return int(inputs["input_ids"].shape[1])


class _ImageAndText:
    """An image processor and a tokenizer, for models without a processor."""

    chat_template = None

    def __init__(self, images: Any, tokenizer: Any) -> None:
        self.images, self.tokenizer = images, tokenizer

    def __call__(self, *, images: Image.Image, return_tensors: str) -> Any:
        """Prepare a picture."""
        return self.images(images=images, return_tensors=return_tensors)

    def batch_decode(self, rows: Any, *, skip_special_tokens: bool) -> list[str]:
        """Tokens to texts."""
        found: list[str] = self.tokenizer.batch_decode(
            rows, skip_special_tokens=skip_special_tokens
        )
        return found


def _processor(transformers: Any, path_or_id: str) -> Any:
    """The model's processor with Pillow, and without one of videos, which needs torchvision."""
    images = transformers.AutoImageProcessor.from_pretrained(
        path_or_id, trust_remote_code=False, backend="pil"
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(path_or_id, trust_remote_code=False)
    name = _processor_name(path_or_id, images, tokenizer)
    if name is None:
        return _ImageAndText(images, tokenizer)
    kind = getattr(transformers, name, None)
    if kind is None:
        raise ValueError(f"transformers has no processor {name!r}")
    settings, _ = kind.get_processor_dict(path_or_id)
    parts = {"image_processor": images, "tokenizer": tokenizer}
    wanted = [name for name in kind.get_attributes() if name not in parts]
    if unknown := set(wanted) - {"video_processor"}:
        raise ValueError(f"its processor needs {', '.join(sorted(unknown))}")
    if wanted:
        kind = _without_videos(kind)
        parts["video_processor"] = _NoVideos()
    return kind.from_args_and_dict([parts[name] for name in kind.get_attributes()], settings)


class _NoVideos(dict[str, Any]):
    """Replaces a processor's processor of videos: it has no settings, and is saved as empty."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("_"):
            raise AttributeError(name)


def _without_videos(kind: Any) -> Any:
    """The processor class, which accepts that it has no processor of videos."""

    def check(self: Any, name: str, part: Any) -> Any:
        if name == "video_processor":
            return type(part)
        return kind.check_argument_for_proper_class(self, name, part)

    return type(kind.__name__, (kind,), {"check_argument_for_proper_class": check})


def _processor_name(path_or_id: str, images: Any, tokenizer: Any) -> str | None:
    """The class of processor that the model's files name, or None."""
    from transformers.processing_utils import ProcessorMixin

    settings, _ = ProcessorMixin.get_processor_dict(path_or_id)
    for found in (
        settings.get("processor_class"),
        getattr(tokenizer, "init_kwargs", {}).get("processor_class"),
        getattr(images, "_processor_class", None),
    ):
        if found:
            return str(found)
    return None
