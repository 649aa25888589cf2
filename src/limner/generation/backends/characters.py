"""The text encoder of models that read prompts themselves: features are the characters."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from limner.errors import PromptError
from limner.text.base import TextFeatures


class CharacterEncoder:
    """Uses the code points of a text as its features, so that a model receives the text itself."""

    dim = 1
    spec = fingerprint = "characters"

    def encode(self, texts: Sequence[str]) -> TextFeatures:
        """Code points as ``(B, L, 1)`` float32.

        Raises:
            PromptError: a text is empty.
        """
        if not all(text.strip() for text in texts):
            raise PromptError("the prompt is empty")
        length = max(map(len, texts), default=1)
        tokens = torch.zeros(len(texts), length, 1)
        mask = torch.zeros(len(texts), length, dtype=torch.bool)
        for row, text in enumerate(texts):
            tokens[row, : len(text), 0] = torch.tensor([float(ord(sign)) for sign in text])
            mask[row, : len(text)] = True
        return TextFeatures(tokens, mask, torch.zeros(len(texts), 1))


def texts_of(features: TextFeatures) -> list[str]:
    """The inverse of :class:`CharacterEncoder`: the texts of its features."""
    return [
        "".join(chr(int(code)) for code in tokens[mask, 0].tolist())
        for tokens, mask in zip(features.tokens, features.mask, strict=True)
    ]
