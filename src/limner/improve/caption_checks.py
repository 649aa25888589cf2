"""Faults of captions: of their words alone, and of whether they match their pictures."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from limner.improve.classifier import train_classifier
from limner.vision.aligner import Aligner
from limner.vision.pixels import to_tensor

OTHERS = 256
"""Other captions that each picture's own is compared with."""
MOST_DOUBTFUL = 0.2
"""Share of pictures above which an aligner that doubts them does not know such pictures."""
_CLASSES, _EACH = 200, 20
_STEPS, _LEAST_STEPS, _SAMPLE, _ROUNDS = 500, 60, 20_000, 2
_TILE = 256
_SIGNS_A_WORD = 6
_LEAST_WORDS = 6
_EMPTY = frozenset((
    "", "image", "an image", "picture", "a picture", "photo", "a photo", "img", "untitled",
    "caption", "no caption",
    "no description", "description", "none", "null", "nil", "nan", "n/a", "na", "unknown", "todo",
    "tbd", "placeholder", "undefined", "default", "missing", "empty", "no title", "title", "alt",
    "alt text", "no alt text", "lorem ipsum", "图片", "无", "bild", "imagen", "sin título",
))  # fmt: skip
_FILE = re.compile(r"[^\n]*\.(png|jpe?g|webp|gif|bmp|tiff?|svg|heic|avif|jxl|ico)", re.IGNORECASE)
_CAMERA = re.compile(
    r"(img|dsc[nf]?|p?ict|image|photo|picture|pic|screen ?shot|scan|mvi|pxl|file|untitled)"
    r"[\W_]*\d[\d\W_]*",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"(https?://|www\.)\S+", re.IGNORECASE)

Scores = NDArray[np.float32]


class TextFault(NamedTuple):
    """What is wrong with the words of a caption: the check, and its score."""

    issue: str
    score: float | None = None


def text_fault(text: str, thresholds: dict[str, float]) -> TextFault | None:
    """What is wrong with the words of a caption, if anything is."""
    plain = " ".join(text.split())
    bare = plain.strip(" .,:;!?-_()[]\"'").lower()
    if bare in _EMPTY or any(each.fullmatch(plain) for each in (_FILE, _CAMERA, _ADDRESS)):
        return TextFault("placeholder")
    if plain.isascii() and not any(sign.isalpha() for sign in plain) and len(plain) > 2:
        return TextFault("placeholder")
    words = plain.lower().split()
    length = max(len(words), len(plain) / _SIGNS_A_WORD)
    if length > thresholds["long"]:
        return TextFault("long", length)
    if len(words) >= _LEAST_WORDS:
        distinct = len(set(words)) / len(words)
        if distinct < thresholds["repetitive"]:
            return TextFault("repetitive", distinct)
    return None


def common_texts(texts: NDArray[np.int64], share: float) -> dict[int, float]:
    """Captions of many pictures in a data set where others have few.

    Args:
        texts: ``(N,)`` number of the caption of each picture; -1 for none.
        share: of all pictures, above which a caption may be too common. It must also be twenty
            times as frequent as the median, which captions made of class names are not.

    Returns:
        Number of the caption -> its share.
    """
    known = texts[texts >= 0]
    if not len(known):
        return {}
    counts = np.bincount(known)
    usual = float(np.median(counts[known]))
    found = np.flatnonzero((counts > share * len(known)) & (counts > 20 * usual))
    return {int(each): float(counts[each] / len(known)) for each in found}


def is_classes(texts: NDArray[np.int64]) -> bool:
    """Whether the captions are those of 2 to 200 classes, most of twenty pictures or more."""
    counts = np.bincount(texts[texts >= 0])
    counts = counts[counts > 0]
    return 2 <= len(counts) <= _CLASSES and float(np.median(counts)) >= _EACH


def class_chances(
    thumbs: NDArray[np.uint8], texts: NDArray[np.int64], rows: NDArray[np.int64]
) -> Scores:
    """The chance that each picture is of its own class, by classifiers that have not seen it.

    The pictures are split in two halves; a small classifier learns from each half and judges the
    other, as in confident learning (Northcutt, Jiang and Chuang 2021).

    Args:
        thumbs: ``(N, 32, 32, 3)`` uint8; may be a memory map.
        texts: ``(N,)`` number of the class of each.
        rows: ``(R,)`` which pictures are judged, and learned from.

    Returns:
        ``(R,)`` float32.
    """
    _, labels = np.unique(texts[rows], return_inverse=True)
    classes, rng = int(labels.max()) + 1, np.random.default_rng(0)
    chances = np.zeros(len(rows), np.float32)
    for turn in range(_ROUNDS):
        half = rng.permutation(len(rows)) % 2
        for side in range(2):
            known, judged = (np.flatnonzero(half == which) for which in (side, 1 - side))
            known = rng.permutation(known)[:_SAMPLE]
            net = train_classifier(
                to_tensor(thumbs[rows[known]]), torch.from_numpy(labels[known]), classes,
                steps=min(_STEPS, max(_LEAST_STEPS, 2 * len(known))), seed=2 * turn + side,
            )  # fmt: skip
            for start in range(0, len(judged), _TILE):
                part = judged[start : start + _TILE]
                found = net.chances(to_tensor(thumbs[rows[part]])).numpy()
                chances[part] += found[np.arange(len(part)), labels[part]] / _ROUNDS
    return chances


def better_captions(
    vectors: Callable[[NDArray[np.int64]], torch.Tensor],
    texts: Sequence[str],
    own: NDArray[np.int64],
    aligner: Aligner,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Scores:
    """The share of other captions that fit each picture better than its own.

    Args:
        vectors: of some of the R pictures, by their numbers: ``(B, E)``.
        texts: the T different captions.
        own: ``(R,)`` which of them each picture has.
        aligner: made the vectors, and encodes the captions.
        on_progress: called with (pictures done, all).

    Returns:
        ``(R,)`` float32: 0 where the own caption fits best, about a half by chance.
    """
    found = np.zeros(len(own), np.float32)
    needed, place = np.unique(own, return_inverse=True)
    words = aligner.encode_texts([texts[each] for each in needed.tolist()])
    chosen = np.random.default_rng(0).permutation(len(needed))[:OTHERS]
    others = words[torch.from_numpy(chosen)]
    for start in range(0, len(own), _TILE):
        rows = np.arange(start, min(start + _TILE, len(own)))
        images = vectors(rows)
        mine = (images * words[torch.from_numpy(place[rows])]).sum(1, keepdim=True)
        better = (images @ others.T > mine + 1e-6).double().mean(1)
        found[rows] = better.numpy()
        on_progress(int(rows[-1]) + 1, len(own))
    return found
