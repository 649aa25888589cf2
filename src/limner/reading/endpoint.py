"""Captions from an OpenAI-compatible endpoint that takes pictures."""

from __future__ import annotations

import base64
import io
import os
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from limner.errors import DataError, EndpointError, MissingExtraError, UsageError
from limner.models.captioner import ScoredCaption

KEY = "OPENAI_API_KEY"
"""The environment variable that the key comes from; it is read nowhere else and written nowhere."""
_SECONDS = 60.0
_RETRIES = 3
_MOST = 2000
_NAMES = {
    "en": "English", "zh": "Chinese", "es": "Spanish", "fr": "French", "de": "German",
    "ja": "Japanese", "ru": "Russian", "pt": "Portuguese", "it": "Italian", "ko": "Korean",
    "hi": "Hindi", "ar": "Arabic",
}  # fmt: skip
_MARK = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+")


class EndpointCaptioner:
    """A model that reads pictures, behind ``/v1/chat/completions``, through the official client.

    Args:
        model: its name there.
        base_url: of the endpoint; None for the client's own choice (``OPENAI_BASE_URL``, else
            OpenAI).
        seconds: timeout of a request; it is tried again three times, after the time that the
            endpoint's ``retry-after`` names.

    Attributes:
        spec: ``openai:MODEL``.
        fingerprint: of the model's name and the endpoint; what stands behind them cannot be known.

    Raises:
        MissingExtraError: the client is not installed.
        UsageError: no key is in the environment where one is needed.
    """

    def __init__(
        self, model: str, *, base_url: str | None = None, seconds: float = _SECONDS
    ) -> None:
        try:
            import openai
        except ImportError as error:
            raise MissingExtraError("openai", "endpoint", "a captioner behind a URL") from error
        key = os.environ.get(KEY)
        if not key and base_url is None and not os.environ.get("OPENAI_BASE_URL"):
            raise UsageError(
                f"set {KEY} to the key of the endpoint, or name one of your own with --base-url"
            )
        self.model, self.spec, self._errors = model, f"openai:{model}", openai.OpenAIError
        self._client = openai.OpenAI(
            api_key=key or "none", base_url=base_url, timeout=seconds, max_retries=_RETRIES
        )

        self.fingerprint = f"{self.spec} {self._client.base_url}"

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
        try:
            answer = self._client.chat.completions.create(
                model=self.model,
                messages=[{"role": "user", "content": content}],
                max_completion_tokens=60 * count,
            )
        except self._errors as error:
            raise EndpointError(f"{self.spec} did not caption the picture: {error}") from error
        text = (answer.choices[0].message.content or "") if answer.choices else ""
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
