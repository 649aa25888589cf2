"""Captions from an OpenAI-compatible endpoint that takes pictures."""

from __future__ import annotations

import base64
import io
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from limner.endpoint import RETRIES, SECONDS, ChatEndpoint
from limner.errors import DataError
from limner.models.captioner import ScoredCaption

_MOST = 2000
_NAMES = {
    "en": "English", "zh": "Chinese", "es": "Spanish", "fr": "French", "de": "German",
    "ja": "Japanese", "ru": "Russian", "pt": "Portuguese", "it": "Italian", "ko": "Korean",
    "hi": "Hindi", "ar": "Arabic",
}  # fmt: skip
_MARK = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+")


class EndpointCaptioner:
    """A model that reads pictures, behind an endpoint.

    Args:
        model: its name there.
        base_url: of the endpoint, see :class:`limner.endpoint.ChatEndpoint`.
        seconds: timeout of a request.
        retries: times that a request is sent again.

    Attributes:
        spec: ``openai:MODEL``.
        fingerprint: of the model's name and the endpoint; what stands behind them cannot be known.

    Raises:
        MissingExtraError: the client is not installed.
        UsageError: no key is in the environment where one is needed.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        seconds: float = SECONDS,
        retries: int = RETRIES,
    ) -> None:
        self._endpoint = ChatEndpoint(
            model, "a captioner behind a URL", base_url=base_url, seconds=seconds, retries=retries
        )
        self.spec = self._endpoint.spec
        self.fingerprint = f"{self.spec} {self._endpoint.base_url}"

    def caption(
        self, pixels: NDArray[np.uint8], language: str | None = None, count: int = 1
    ) -> list[ScoredCaption]:
        """Captions of an ``(H, W, 3)`` uint8 picture; they have no score.

        Raises:
            EndpointError: the endpoint cannot be reached, or refuses.
            DataError: the answer holds no caption.
        """
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        url = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
        content: list[Any] = [
            {"type": "text", "text": caption_prompt(language, count)},
            {"type": "image_url", "image_url": {"url": url}},
        ]
        messages = [{"role": "user", "content": content}]
        text = self._endpoint.ask(messages, 60 * count, "caption the picture")
        found = captions_of(text, count)
        if not found:
            raise DataError(f"{self.spec} gives no caption")
        return [ScoredCaption(line) for line in found]


def caption_prompt(language: str | None, count: int) -> str:
    """The instruction to a chat model for captions.

    Args:
        language: code; None for English.
        count: captions.
    """
    name = _NAMES.get(language or "en", language)
    lines = "one line" if count == 1 else f"{count} lines, a different caption on each"
    return (
        f"Caption this picture in {name}, in a short phrase without a full stop, such as "
        f"'a red apple and a green pear'. Answer with {lines} and nothing else."
    )


def captions_of(text: str, count: int) -> list[str]:
    """The first ``count`` lines of an answer as captions, without list marks and quotes."""
    lines = [_MARK.sub("", line).strip().strip("\"'") for line in text[:_MOST].splitlines()]
    return list(dict.fromkeys(line for line in lines if line))[:count]
