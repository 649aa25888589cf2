"""Captions from transformers: image-to-text models, and language models with eyes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from limner.errors import DataError, UsageError
from limner.hub import import_transformers, reading
from limner.loading import choose_device
from limner.models.captioner import Said
from limner.reading.endpoint import asked_for, captions_of
from limner.specs import hub_spec

_LONGEST = 60
"""Tokens of one caption."""
_BEAMS = 3


class HubCaptioner:
    """A model of transformers that turns pictures into text, from a folder or a hub id.

    Two kinds: those that only caption (BLIP, GIT, Pix2Struct, encoder with decoder), and those that
    are asked in a chat (Qwen2-VL, SmolVLM, LLaVA, …), which are told the language. Weights are read
    from safetensors only, no code of the hub is run, and pictures are prepared without torchvision.

    Args:
        path_or_id: a folder in the hub's format, or an id such as
            ``Salesforce/blip-image-captioning-base``.
        device: where it runs.

    Raises:
        MissingExtraError: transformers is not installed.
        DataError: the model cannot be read.
    """

    def __init__(self, path_or_id: str, *, device: str = "cpu") -> None:
        transformers = import_transformers("a captioner from the hub")
        self.path_or_id, self.device = path_or_id, torch.device(choose_device(device))
        with reading("captioner", path_or_id):
            model = transformers.AutoModelForImageTextToText.from_pretrained(
                path_or_id, trust_remote_code=False, use_safetensors=True, dtype="auto"
            )
            self.processor: Any = _processor(transformers, path_or_id)
        self.chats = bool(getattr(self.processor, "chat_template", None))
        self.model: Any = model.eval().requires_grad_(False).to(self.device)

    @property
    def spec(self) -> str:
        """``hf:PATH_OR_ID``, a path made absolute."""
        return hub_spec(self.path_or_id)

    @property
    def fingerprint(self) -> str:
        """The spec; the weights are not hashed."""
        return self.spec

    @torch.inference_mode()
    def caption(
        self, pixels: NDArray[np.uint8], language: str | None = None, count: int = 1
    ) -> list[Said]:
        """The likeliest captions by beam search; scores are transformers' own.

        Those are log-probabilities in nats, over the number of tokens unless the model's generation
        configuration says otherwise.

        Args:
            pixels: ``(H, W, 3)`` uint8.
            language: its code, which only a model that is asked in a chat can be told.
            count: how many different ones.

        Raises:
            UsageError: the model cannot be told a language, or no caption is asked for.
            DataError: the model says nothing, or fails at the picture.
        """
        if count < 1:
            raise UsageError(f"{count} captions cannot be made; ask for one or more")
        try:
            given = self._inputs(Image.fromarray(pixels), language)
            beams = max(_BEAMS, count)
            out = self.model.generate(
                **given, max_new_tokens=_LONGEST, do_sample=False, num_beams=beams,
                num_return_sequences=beams, return_dict_in_generate=True, output_scores=True,
                temperature=None, top_p=None, top_k=None,
            )  # fmt: skip
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            first = str(error).splitlines()[0] if str(error) else repr(error)
            raise DataError(f"{self.spec} cannot caption the picture: {first}") from error
        rows = out.sequences[:, self._asked(given) :]
        texts = self.processor.batch_decode(rows, skip_special_tokens=True)
        scores = out.sequences_scores.tolist()
        found: dict[str, float] = {}
        for text, score in zip(texts, scores, strict=True):
            for line in captions_of(text, 1):
                found.setdefault(line, score)
        if not found:
            raise DataError(f"{self.spec} gives no caption")
        return [Said(text, score) for text, score in list(found.items())[:count]]

    def _inputs(self, picture: Image.Image, language: str | None) -> dict[str, Any]:
        """What ``generate`` is given."""
        if self.chats:
            content = [{"type": "image"}, {"type": "text", "text": asked_for(language, 1)}]
            asked = self.processor.apply_chat_template(
                [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
            )
            found = self.processor(text=[asked], images=[picture], return_tensors="pt")
        elif language is not None:
            raise UsageError(
                f"{self.spec} captions in the language it was trained on and cannot be told "
                f"another; leave the language out"
            )
        else:
            found = self.processor(images=picture, return_tensors="pt")
        return {
            key: value.to(self.device, self.model.dtype if value.is_floating_point() else None)
            for key, value in found.items()
        }

    def _asked(self, given: dict[str, Any]) -> int:
        """Tokens of the question, which a model without an encoder repeats before its answer."""
        if "input_ids" not in given or self.model.config.is_encoder_decoder:
            return 0
        return int(given["input_ids"].shape[1])


class _Pair:
    """An image processor and a tokenizer, for models that come without a processor."""

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
    """The model's processor, its pictures prepared by Pillow.

    Processors that also take videos want torchvision for those alone; where it is missing they are
    put together without that part.
    """
    images = transformers.AutoImageProcessor.from_pretrained(
        path_or_id, trust_remote_code=False, backend="pil"
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(path_or_id, trust_remote_code=False)
    name = _processor_name(path_or_id, images, tokenizer)
    if name is None:
        return _Pair(images, tokenizer)
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
    """What stands where a processor keeps its reader of videos.

    It has no setting of one, and written down it is empty.
    """

    def __getattr__(self, name: str) -> None:
        if name.startswith("_"):
            raise AttributeError(name)


def _without_videos(kind: Any) -> Any:
    """The processor class, content with no reader of videos."""

    def check(self: Any, name: str, part: Any) -> Any:
        if name == "video_processor":
            return type(part)
        return kind.check_argument_for_proper_class(self, name, part)

    return type(kind.__name__, (kind,), {"check_argument_for_proper_class": check})


def _processor_name(path_or_id: str, images: Any, tokenizer: Any) -> str | None:
    """The processor that the model's files name, or None."""
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
