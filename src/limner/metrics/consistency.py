"""Whether pictures go with the words they were drawn from, by an aligner's judgement.

An aligner sees what it was taught to see: its figures compare models, and a model with real
pictures of the same words, only as far as they are measured by the same aligner, whose hash every
report names. One that was trained together with a model, or on its pictures, flatters it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from limner.errors import DataError

if TYPE_CHECKING:
    from limner.vision.aligner import Aligner

_ROWS = 512


class Consistency:
    """Agreement of words and pictures over a stream: the metric contract of limner.

    Args:
        aligner: maps both to vectors of unit length.
    """

    def __init__(self, aligner: Aligner) -> None:
        self.aligner = aligner
        self._seen: list[Tensor] = []
        self._said: list[str] = []
        self._vectors: dict[str, Tensor] = {}

    def update(self, images: Tensor, captions: Sequence[str]) -> None:
        """Take in ``(B, 3, H, W)`` pictures in [-1, 1] and the captions they were drawn from.

        Raises:
            DataError: pictures hold numbers that are not finite.
        """
        if not bool(torch.isfinite(images).all()):
            raise DataError("a drawn picture is not made of finite numbers; its model is broken")
        self._seen.append(self.aligner.encode_images(images))
        self._said += captions
        new = list(dict.fromkeys(text for text in captions if text not in self._vectors))
        if new:
            self._vectors.update(zip(new, self.aligner.encode_texts(new), strict=True))

    def compute(self) -> dict[str, float]:
        """How well each picture goes with its own words, and with those of the others.

        Returns:
            ``clip_score``, 100 times the mean cosine, at least 0 (Hessel et al., CLIPScore, EMNLP
            2021, scaled as torchmetrics does); ``wins``, how often the own prompt goes better
            with the picture than another picture's different prompt, ties counting half: the
            expectation over all shuffles, 0.5 for a model that does not listen; ``margin``, by
            how much the cosine of the own prompt exceeds the mean of the others; ``count``.

        Raises:
            DataError: no picture was taken in, or all had the same prompt.
        """
        if not self._said:
            raise DataError("no picture was measured, so there is no consistency")
        texts = list(self._vectors)
        if len(texts) < 2:
            raise DataError("consistency compares prompts; draw at least two different ones")
        row = {text: i for i, text in enumerate(texts)}
        own = torch.tensor([row[text] for text in self._said])
        asked = torch.bincount(own, minlength=len(texts)).double()  # how often each prompt comes
        said = torch.stack([self._vectors[text] for text in texts])
        mine, wins, others = [], [], []
        vectors = torch.cat(self._seen)
        for seen, index in zip(torch.split(vectors, _ROWS), torch.split(own, _ROWS), strict=True):
            cosine = (seen @ said.T).double()  # B T
            best = cosine.gather(1, index[:, None])
            weight = asked.expand(len(seen), -1).scatter(1, index[:, None], 0.0)
            weight = weight / weight.sum(1, keepdim=True)
            beaten = (best > cosine).double() + 0.5 * (best == cosine).double()
            mine.append(best[:, 0])
            wins.append((weight * beaten).sum(1))
            others.append((weight * cosine).sum(1))
        close = torch.cat(mine)
        return {
            "clip_score": max(0.0, 100 * close.mean().item()),
            "wins": torch.cat(wins).mean().item(),
            "margin": (close - torch.cat(others)).mean().item(),
            "count": float(len(close)),
        }
