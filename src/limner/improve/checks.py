"""The checks of a data set: what each looks at, its threshold, and whether it removes a picture.

Everything that the command, the page and the documentation say of a check is in :data:`CHECKS`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from limner.errors import UsageError


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        name: as it is written on the command line.
        about: the fault, as a sentence of the table.
        measure: what its score is; empty where there is nothing to measure.
        fault: on which side of the threshold the fault is.
        threshold: default; None where there is nothing to measure.
        least: smallest threshold that makes sense.
        most: largest one.
        removes: whether ``limner data clean`` removes a picture for it, unless told to keep it.
        of: what has the fault.
    """

    name: str
    about: str
    measure: str = ""
    fault: Literal["below", "above", ""] = ""
    threshold: float | None = None
    least: float = 0.0
    most: float = 1.0
    removes: bool = True
    of: Literal["file", "picture", "pair", "caption", "data set"] = "picture"


CHECKS: tuple[Check, ...] = (
    Check("unreadable", "the file cannot be decoded, or has too many pixels", of="file"),
    Check(
        "small", "the picture was enlarged to the side of the store",
        "its shorter side over the side of the store", "below", 0.5, most=16, of="file",
    ),
    Check(
        "shape", "the picture is much longer than wide, or wider than long",
        "its longer side over its shorter", "above", 3.0, least=1, most=1e6, of="file",
    ),
    Check(
        "blank", "every part of the picture has the same colour",
        "range of the mean colours of 8 x 8 fields", "below", 0.02,
    ),
    Check(
        "low-information", "the picture shows next to nothing",
        "bytes of a 32 x 32 thumbnail of 16 levels, compressed; 64 more where there is a shape",
        "below", 90, most=4096,
    ),
    Check(
        "dark", "the brightest parts are dark",
        "99th percentile of the brightest channel", "below", 0.25,
    ),
    Check(
        "light", "the darkest parts are light",
        "1st percentile of the darkest channel", "above", 0.8,
    ),
    Check(
        "blurred", "no edge and no grain is sharp: softened, or a small picture enlarged",
        "share of an edge's contrast between two pixels, or 1.4 x detail within three of that in "
        "five", "below", 0.5, most=2,
    ),
    Check("exact-duplicate", "the pixels are those of another picture", of="pair"),
    Check(
        "near-duplicate", "the picture looks like another",
        "distance of the two over the usual one to the nearest; half the threshold counts where "
        "their captions differ", "below", 0.4, of="pair",
    ),
    Check(
        "leak", "the picture looks like a held-out one, or has its pixels",
        "distance of the two over the usual one to the nearest", "below", 0.4, of="pair",
    ),
    Check("no-caption", "there is no caption that could be a prompt", of="caption"),
    Check("placeholder", "the caption is a file name, an address or a word for none", of="caption"),
    Check(
        "repetitive", "the caption repeats the same words",
        "distinct words over words, of six or more", "below", 0.5, of="caption",
    ),
    Check(
        "long", "the caption is longer than an encoder reads",
        "words, or characters over six", "above", 100, least=1, most=1e6, of="caption",
    ),
    Check(
        "common", "many pictures have this caption, where most have one of their own",
        "share of the pictures", "above", 0.01, of="caption",
    ),
    Check(
        "mismatch", "the caption describes another picture",
        "share of captions swapped on purpose that fit better", "above", 0.05, of="caption",
    ),
    Check(
        "wrong-class", "the caption names another class than the picture shows",
        "its chance by a classifier that has not seen it, over the mean of the class",
        "below", 0.14, of="caption",
    ),
    Check(
        "doubtful", "listed to be looked at, where 'mismatch' or 'wrong-class' cannot tell",
        "share of the captions that are doubted more", "below", 0.02, removes=False, of="caption",
    ),
    Check(
        "imbalance", "some classes have far more pictures than others",
        "pictures of the largest class over those of the smallest", "above", 10.0, least=1,
        most=1e9, removes=False, of="data set",
    ),
)  # fmt: skip
"""Every check, in the order in which the reason of a removal is chosen."""

BY_NAME: Mapping[str, Check] = {check.name: check for check in CHECKS}


def find_check(name: str) -> Check:
    """The check of a name.

    Raises:
        UsageError: there is none.
    """
    if name not in BY_NAME:
        raise UsageError(f"there is no check {name!r}; there are: {', '.join(BY_NAME)}")
    return BY_NAME[name]


def read_thresholds(given: Iterable[str]) -> dict[str, float]:
    """Every threshold by the name of its check: those given as ``NAME=VALUE``, else defaults.

    Raises:
        UsageError: there is no such check, it has no threshold, or the value is out of bounds.
    """
    found = {c.name: c.threshold for c in CHECKS if c.threshold is not None}
    for text in given:
        name, equals, value = text.partition("=")
        check = find_check(name.strip())
        if check.threshold is None:
            raise UsageError(f"the check {check.name!r} has no threshold")
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if not equals or not check.least <= number <= check.most:
            raise UsageError(
                f"--threshold {text!r}: write {check.name}=NUMBER, from {check.least:g} "
                f"to {check.most:g}"
            )
        found[check.name] = number
    return found


def is_fault(check: Check, score: float, threshold: float) -> bool:
    """Whether a score is on the side of the threshold where the fault is; not a number never is."""
    return score < threshold if check.fault == "below" else score > threshold


@dataclass(frozen=True)
class Finding:
    """One fault of one picture.

    Attributes:
        item: number of the picture, from 0, in the order of the source.
        issue: name of the check.
        score: that was measured; None where there is nothing to measure.
        detail: what else is known: the reason, the other picture, the caption.
        like: number of the other picture, of duplicates and leaks; None otherwise.
    """

    item: int
    issue: str
    score: float | None = None
    detail: str = ""
    like: int | None = None
