"""Faults of captions that their words and their number show; see also ``caption_matches``."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MOST_DOUBTFUL = 0.2
"""Share of pictures above which an aligner that doubts them does not know such pictures."""
LEAST_CAPTIONS = 40
"""Different captions, from which on one other that fits a picture better says little."""
_CLASSES, _EACH = 200, 20
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
