"""Chat models behind an OpenAI-compatible endpoint, asked through the official client."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from limner.errors import EndpointError, MissingExtraError, UsageError

KEY = "OPENAI_API_KEY"
"""The environment variable that the key comes from; it is read nowhere else and written nowhere."""
OPENAI = "openai:"
"""Begins the spec of a model behind an endpoint."""
SECONDS, RETRIES = 60.0, 3


class ChatEndpoint:
    """A model behind ``/v1/chat/completions``.

    Args:
        model: its name there.
        purpose: what it is needed for, for the message.
        base_url: of the endpoint; None for the client's own choice (``OPENAI_BASE_URL``, else
            OpenAI).
        seconds: timeout of a request.
        retries: times that a request is sent again, after the time that the endpoint's
            ``retry-after`` names.

    Attributes:
        spec: ``openai:MODEL``.
        base_url: of the endpoint.

    Raises:
        MissingExtraError: the client is not installed.
        UsageError: no key is in the environment where one is needed.
    """

    def __init__(
        self,
        model: str,
        purpose: str,
        *,
        base_url: str | None = None,
        seconds: float = SECONDS,
        retries: int = RETRIES,
    ) -> None:
        try:
            import openai
        except ImportError as error:
            raise MissingExtraError("openai", "endpoint", purpose) from error
        key = os.environ.get(KEY)
        if not key and base_url is None and not os.environ.get("OPENAI_BASE_URL"):
            raise UsageError(
                f"set {KEY} to the key of the endpoint, or name one of your own with --base-url"
            )
        self.model, self.spec, self._errors = model, f"{OPENAI}{model}", openai.OpenAIError
        self._client = openai.OpenAI(
            api_key=key or "none", base_url=base_url, timeout=seconds, max_retries=retries
        )
        self.base_url = str(self._client.base_url)

    def ask(self, messages: Sequence[Any], most_tokens: int, doing: str) -> str:
        """The text of the model's answer; empty where it gives none.

        Args:
            messages: as the API has them: ``role`` and ``content``.
            most_tokens: of the answer.
            doing: what is not done if the request fails, for the message: ``caption the picture``.

        Raises:
            EndpointError: the endpoint cannot be reached, or refuses.
        """
        try:
            answer = self._client.chat.completions.create(
                model=self.model, messages=list(messages), max_completion_tokens=most_tokens
            )
        except self._errors as error:
            raise EndpointError(f"{self.spec} did not {doing}: {error}") from error
        return (answer.choices[0].message.content or "") if answer.choices else ""
