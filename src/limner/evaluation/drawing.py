"""Pictures to measure: drawn as users get them, in batches of 8-bit tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from limner.generation.requests import DrawRequest, RefusedPromptError
from limner.vision.images import on_white
from limner.vision.pixels import to_tensor

if TYPE_CHECKING:
    from limner.generation.generator import Generator

BATCH = 64


def draw_batches(
    generator: Generator,
    requests: Sequence[DrawRequest],
    refused: list[RefusedPromptError] | None = None,
) -> Iterator[tuple[Tensor, list[DrawRequest]]]:
    """A lazy stream of drawn pictures with their requests.

    Args:
        generator: draws, scenes and styles included.
        requests: any number.
        refused: prompts that the model refuses are added here and left out; None to raise.

    Yields:
        ``(B, 3, H, W)`` float32 in [-1, 1], rounded to 8 bits as saved, and B requests.

    Raises:
        RefusedPromptError: a prompt is refused and there is no list for it.
    """
    on_refused = None if refused is None else refused.append
    pictures = generator.draw(requests, on_refused=on_refused)
    while batch := list(islice(pictures, BATCH)):
        images = to_tensor([np.asarray(on_white(picture.image)) for picture in batch])
        yield images, [requests[picture.index] for picture in batch]


def store_requests(prompts: Sequence[str]) -> list[DrawRequest]:
    """Picture i is drawn from prompt i with seed i."""
    return [DrawRequest(prompt, seed) for seed, prompt in enumerate(prompts)]
