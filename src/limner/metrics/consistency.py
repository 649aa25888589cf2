"""Agreement of pictures with the prompts they were drawn from, judged by an aligner.

Figures of two aligners never compare; one that was trained on a model's training pictures overrates
the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from limner.errors import DataError
from limner.metrics.base import Stream

if TYPE_CHECKING:
    from limner.vision.aligner import Aligner

_ROWS = 512


class Consistency(Stream):
    """Agreement of prompts and pictures over a stream.

    Args:
        aligner: maps both to vectors of unit length.
    """

    def __init__(self, aligner: Aligner) -> None:
        self.aligner = aligner
        self._images: list[Tensor] = []
        self._prompts: list[str] = []
        self._vectors: dict[str, Tensor] = {}

    def _take(self, images: Tensor, captions: Sequence[str]) -> None:
        self._images.append(self.aligner.encode_images(images))
        self._prompts += captions
        new = list(dict.fromkeys(text for text in captions if text not in self._vectors))
        if new:
            self._vectors.update(zip(new, self.aligner.encode_texts(new), strict=True))

    def per_picture(self) -> dict[str, Tensor]:
        """How well each picture fits its own prompt, and the prompts of the others.

        Returns:
            ``cosine`` of picture and prompt; ``win_rate``, how often the own prompt fits better
            than another picture's different prompt, ties counting half (the expectation over all
            shuffles: 0.5 for a model that ignores its prompts); ``margin``, by how much the cosine
            of the own prompt exceeds the mean of the others. ``(N,)`` float64 each.

        Raises:
            DataError: no picture was taken in, or all had the same prompt.
        """
        if not self._prompts:
            raise DataError("no picture was measured, so there is no consistency")
        texts = list(self._vectors)
        if len(texts) < 2:
            raise DataError("consistency compares prompts; draw at least two different ones")
        row = {text: i for i, text in enumerate(texts)}
        own = torch.tensor([row[text] for text in self._prompts])
        uses = torch.bincount(own, minlength=len(texts)).double()  # how often each prompt comes
        prompts = torch.stack([self._vectors[text] for text in texts])
        parts: dict[str, list[Tensor]] = {"cosine": [], "win_rate": [], "margin": []}
        vectors = torch.cat(self._images)
        for images, index in zip(torch.split(vectors, _ROWS), torch.split(own, _ROWS), strict=True):
            cosine = (images @ prompts.T).double()  # B T
            best = cosine.gather(1, index[:, None])
            weight = uses.expand(len(images), -1).scatter(1, index[:, None], 0.0)
            weight = weight / weight.sum(1, keepdim=True)
            beaten = (best > cosine).double() + 0.5 * (best == cosine).double()
            parts["cosine"].append(best[:, 0])
            parts["win_rate"].append((weight * beaten).sum(1))
            parts["margin"].append(best[:, 0] - (weight * cosine).sum(1))
        return {name: torch.cat(rows) for name, rows in parts.items()}

    def compute(self) -> dict[str, float]:
        """``clip_score``, ``win_rate``, ``margin`` and ``count``: means of :meth:`per_picture`.

        ``clip_score`` is 100 times the mean cosine, at least 0 (Hessel et al., CLIPScore, EMNLP
        2021, scaled as torchmetrics does).

        Raises:
            DataError: no picture was taken in, or all had the same prompt.
        """
        found = {name: each.mean().item() for name, each in self.per_picture().items()}
        score = max(0.0, 100 * found.pop("cosine"))
        return {"clip_score": score, **found, "count": float(len(self._prompts))}
