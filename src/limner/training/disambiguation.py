"""Captions that several concepts share: the text encoder decides which concept they mean.

What it is for: docs/training.md, ``data.disambiguate``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limner.data.store import CaptionTable

_LARGEST_FACTOR = 4.0


def disambiguate(
    captions: CaptionTable, concepts: Sequence[str | None], pooled: Tensor, temperature: float
) -> CaptionTable:
    """Reweight the captions that several concepts share; the others keep their weights.

    A picture's heaviest caption in each language is a name of its concept. For a text t shared by
    concepts c_1..c_n, with s_i the largest cosine of t with a name of c_i, its weight at c_i is
    multiplied by softmax(s / temperature)_i * min(n, 4), but grows no larger than the heaviest
    caption of its picture.

    Args:
        captions: of N pictures.
        concepts: N stable keys; pictures without one keep their weights.
        pooled: ``(T, D)`` features of ``captions.texts``.
        temperature: > 0, in cosines; 0.01 suits multilingual-e5-small, whose cosines
            differ little.
    """
    vectors = torch.nn.functional.normalize(pooled.float(), dim=1)  # (T, D)
    owners, names = _owners_and_names(captions, concepts)
    factor: dict[tuple[str, int], float] = {}
    for text, keys in owners.items():
        if len(keys) < 2:
            continue
        ordered = sorted(keys)
        cosines = [float((vectors[names[key]] @ vectors[text]).max()) for key in ordered]
        chances = torch.softmax(torch.tensor(cosines) / temperature, 0) * min(
            len(ordered), _LARGEST_FACTOR
        )
        factor.update(((key, text), float(p)) for key, p in zip(ordered, chances, strict=True))
    return replace(captions, weight=_reweighed(captions, concepts, factor))


def _owners_and_names(
    captions: CaptionTable, concepts: Sequence[str | None]
) -> tuple[dict[int, set[str]], dict[str, list[int]]]:
    owners: dict[int, set[str]] = defaultdict(set)
    names: dict[str, list[int]] = defaultdict(list)
    for picture, key in enumerate(concepts):
        if key is None:
            continue
        rows = slice(int(captions.offsets[picture]), int(captions.offsets[picture + 1]))
        texts, weights = captions.text_index[rows], captions.weight[rows]
        for text in texts.tolist():
            owners[text].add(key)
        for language in np.unique(captions.lang[rows]):
            mask = captions.lang[rows] == language
            name = int(texts[mask][weights[mask].argmax()])
            if name not in names[key]:
                names[key].append(name)
    return owners, names


def _reweighed(
    captions: CaptionTable, concepts: Sequence[str | None], factor: dict[tuple[str, int], float]
) -> NDArray[np.float32]:
    weight = captions.weight.copy()
    for picture, key in enumerate(concepts):
        if key is None:
            continue
        rows = range(int(captions.offsets[picture]), int(captions.offsets[picture + 1]))
        heaviest = captions.weight[rows.start : rows.stop].max(initial=0)
        for row in rows:
            grown = weight[row] * factor.get((key, int(captions.text_index[row])), 1.0)
            weight[row] = min(grown, heaviest)
    # A weight of exactly zero would make a picture with one caption impossible to train on.
    return np.maximum(weight, np.float32(1e-6))
