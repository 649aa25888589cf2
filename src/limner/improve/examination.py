"""A data set examined: what is wrong with it.

:func:`check` reads a source once (twice where an aligner compares its captions), and keeps some
scores a picture; thumbnails, which near duplicates are searched in, lie in a temporary file.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from limner.data.readers.base import SPLITS
from limner.data.writer import plain_key
from limner.errors import DataError
from limner.improve.caption_checks import (
    LEAST_CAPTIONS,
    MOST_DOUBTFUL,
    common_texts,
    is_classes,
    text_fault,
)
from limner.improve.caption_doubts import careful_threshold, share_wrong, wrong_among
from limner.improve.caption_matches import better_captions
from limner.improve.checked_source import CheckedItem, CheckedSource
from limner.improve.checks import BY_NAME, CHECKS, Finding, is_fault, read_thresholds
from limner.improve.class_chances import class_chances
from limner.improve.duplicates import Pairs, kept_of, near_pairs
from limner.improve.picture_measures import THUMB, measure
from limner.vision.aligner import Aligner
from limner.vision.pixels import to_tensor

HELD = SPLITS - {"train", "training"}
"""What the key ``split`` of the metadata says of held-out pictures."""
_CLASS_KEYS = ("label", "class", "concept", "group", "style")
_MOST_CLASSES = 1000
_BATCH = 64

ASSUMED_WRONG = 0.05
"""Share of captions that are supposed to be wrong, where the precision of a list is estimated."""
_ESTIMATED = 200
"""Captions from which on it is estimated how many of those that are doubted are right."""
_LEAST_RIGHT = 0.5
"""Share of those doubted that must be wrong where the threshold is raised, or they stay."""
_OTHER_CAPTION = 0.5
"""Share of the threshold of near duplicates for pictures whose captions differ: the cards, hours
and flags of one hand look alike, and only the captions say that they are not copies."""
_DULL = ("blank", "low-information", "dark", "light")
_NO_CONTRAST = 0.006
"""Range of the mean colours of fields, of [0, 1], that noise has."""

Progress = Callable[[int, "int | None"], None]


@dataclass(frozen=True)
class CheckOptions:
    """How a data set is examined.

    Attributes:
        thresholds: by the name of the check; see :func:`limner.improve.checks.read_thresholds`.
        holdout: pictures that none may look like, besides those of the source whose metadata say
            ``split: test`` or the like.
        aligner: compares captions with pictures; None to leave that out.
        near: whether near duplicates are searched for.
    """

    thresholds: dict[str, float] = field(default_factory=lambda: read_thresholds(()))
    holdout: CheckedSource | None = None
    aligner: Aligner | None = None
    near: bool = True


@dataclass(frozen=True)
class Doubted:
    """What the captions that are only listed as doubtful are worth, estimated.

    Attributes:
        right: share of those listed that are wrong, if :data:`ASSUMED_WRONG` of all captions are.
        found: share of the wrong ones that are listed.
        most: share of all captions that are wrong, by a rough estimate.
    """

    right: float
    found: float
    most: float

    def __str__(self) -> str:
        """The estimate as a sentence, in percent."""
        return (
            f"if {ASSUMED_WRONG:.0%} of all captions are wrong, {self.right:.0%} of those listed "
            f"are, and {self.found:.0%} of the wrong ones are listed"
        )


@dataclass
class Diagnosis:
    """What was found out about a data set of N pictures.

    Attributes:
        source: what was examined.
        keys: ``(N,)`` names of the pictures.
        places: ``(N,)`` their numbers among the entries of the source, which may be no pictures.
        scores: name of a check -> ``(N,)`` float32, not a number where it was not measured.
        findings: every fault, in the order of the checks.
        thresholds: that were used.
        faulty_captions: picture -> texts that would not be kept.
        captions: language -> captions; and pictures with any under ``""``.
        held: how many pictures of the source are held out.
        classes: metadata key -> value -> pictures.
        skipped: check -> why it was not made.
        remarks: check -> what else is to be said of it.
        doubted: what the captions listed as doubtful are worth; None where that is not known.
        unused: files that are no pictures or belong to none, and why.
        notes: what was changed when pictures were read, and how often.
        usual: distance of a picture to its nearest, see
            :func:`limner.improve.duplicates.near_pairs`.
        seconds: that stages took.
    """

    source: CheckedSource
    keys: list[str] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    scores: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    thresholds: dict[str, float] = field(default_factory=dict)
    faulty_captions: dict[int, set[str]] = field(default_factory=dict)
    captions: Counter[str] = field(default_factory=Counter)
    held: int = 0
    classes: dict[str, dict[str, int]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)
    doubted: Doubted | None = None
    unused: dict[str, str] = field(default_factory=dict)
    notes: Counter[str] = field(default_factory=Counter)
    usual: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)

    def of(self, issue: str) -> list[Finding]:
        """The findings of one check."""
        return [finding for finding in self.findings if finding.issue == issue]

    def removals(self, keep: Iterable[str] = ()) -> dict[int, Finding]:
        """Which pictures would be removed, each for the first of its faults.

        Args:
            keep: names of checks whose pictures stay.
        """
        spared = {*keep, *(check.name for check in CHECKS if not check.removes)}
        found: dict[int, Finding] = {}
        for finding in self.findings:
            if finding.issue not in spared:
                found.setdefault(finding.item, finding)
        return found

    def table(self) -> list[dict[str, Any]]:
        """A row a check, JSON-able: its faults, its threshold and the spread of its scores."""
        counts = Counter(finding.issue for finding in self.findings)
        rows = []
        for check in CHECKS:
            scores = self.scores.get(check.name, np.zeros(0, np.float32))
            scores = scores[np.isfinite(scores)]
            spread = np.quantile(scores, (0.01, 0.5, 0.99)).tolist() if len(scores) else []
            rows.append({
                "check": check.name, "fault": check.about, "found": counts[check.name],
                "share": counts[check.name] / max(len(self.keys), 1),
                "measure": check.measure, "threshold": self.thresholds.get(check.name),
                "side": check.fault, "removes": check.removes,
                "scores at 1, 50 and 99 %": [float(f"{value:.4g}") for value in spread],
                "not checked": self.skipped.get(check.name, ""),
                "remark": self.remarks.get(check.name, ""),
            })  # fmt: skip
        return rows

    def summary(self) -> dict[str, Any]:
        """Everything but the pictures, JSON-able."""
        total = max(len(self.keys), 1)
        return {
            "kind": self.source.kind,
            "pictures": len(self.keys),
            "size": self.source.size,
            "held_out": self.held,
            "with_faults": len({finding.item for finding in self.findings if finding.item >= 0}),
            "to_remove": len(self.removals()),
            "checks": self.table(),
            "captions": {
                "pictures_with": self.captions[""],
                "coverage": self.captions[""] / total,
                "by_language": {k: n for k, n in self.captions.most_common() if k},
            },
            "doubtful_captions": None
            if self.doubted is None
            else {
                "assumed_wrong": ASSUMED_WRONG,
                "precision": self.doubted.right,
                "recall": self.doubted.found,
                "estimated_wrong": self.doubted.most,
            },
            "classes": self.classes,
            "changed_when_read": dict(self.notes.most_common()),
            "unused_files": len(self.unused),
            "seconds": {name: round(value, 2) for name, value in self.seconds.items()},
        }


def check(
    source: CheckedSource,
    options: CheckOptions | None = None,
    on_progress: Progress = lambda done, total: None,
) -> Diagnosis:
    """Examine a data set.

    Args:
        source: what is examined; nothing in it is changed.
        options: thresholds, and what else is compared with.
        on_progress: called with the number of pictures that are measured, and of all where known.

    Raises:
        DataError: there is no picture in it, or it cannot be read.
    """
    options = options or CheckOptions()
    with tempfile.TemporaryDirectory(prefix="limner-check-") as folder:
        return _Examination(source, options, Path(folder)).run(on_progress)


class _Examination:
    """One run of :func:`check`."""

    def __init__(self, source: CheckedSource, options: CheckOptions, folder: Path) -> None:
        self.source, self.options, self.folder = source, options, folder
        self.found = Diagnosis(source, thresholds=dict(options.thresholds))
        self.faults: dict[str, list[Finding]] = {check.name: [] for check in CHECKS}
        self.read = 0
        self.texts: dict[str, int] = {}
        self.own: list[int] = []
        self.held: list[bool] = []
        self.digests: list[bytes] = []
        self.classes: dict[str, Counter[str]] = {key: Counter() for key in _CLASS_KEYS}

    def run(self, on_progress: Progress) -> Diagnosis:
        found, started = self.found, time.monotonic()
        parts: dict[str, list[NDArray[np.float32]]] = {}
        with (self.folder / "thumbs.u8").open("wb") as file:
            for items in _batches(self.source, _BATCH):
                for name, scores in self._measured(items, file.write).items():
                    parts.setdefault(name, []).append(scores)
                on_progress(len(found.keys), self.source.count())
            count = len(found.keys)
            if self.options.holdout is not None:
                self._read_holdout(self.options.holdout, file.write)
        if not count:
            first = next(iter(found.unused.items()), None)
            reason = f" ({first[0]}: {first[1]})" if first else ""
            raise DataError(f"there is no picture to check{reason}; name a store or a data set")
        found.scores = {name: np.concatenate(each) for name, each in parts.items()}
        found.held = sum(self.held[:count])
        thumbs = np.memmap(self.folder / "thumbs.u8", np.uint8, "r").reshape(-1, THUMB, THUMB, 3)
        self._count_classes()
        started = self._timed("measuring", started)
        self._judge_pictures()
        self._judge_captions(thumbs)
        started = self._timed("captions", started)
        self._find_duplicates(thumbs, count)
        self._timed("duplicates", started)
        found.findings = [finding for check in CHECKS for finding in self.faults[check.name]]
        return found

    def _timed(self, stage: str, started: float) -> float:
        now = time.monotonic()
        self.found.seconds[stage] = now - started
        return now

    def _add(self, item: int, issue: str, score: float | None = None, detail: str = "",
             like: int | None = None) -> None:  # fmt: skip
        self.faults[issue].append(Finding(item, issue, score, detail, like))

    # -- reading ------------------------------------------------------------------------------

    def _measured(
        self, items: Sequence[CheckedItem], write: Callable[[bytes], Any]
    ) -> dict[str, NDArray[np.float32]]:
        """Note what a batch of items says, and measure its pictures."""
        pictures = []
        for item in items:
            if item.pixels is not None or self._is_picture(item):
                pictures.append(item)
                self.found.places.append(self.read)
            self.read += 1
        if not pictures:
            return {}
        size, first = self.source.size, len(self.found.keys)
        blank = np.zeros((size, size, 3), np.uint8)
        pixels = np.stack([blank if p.pixels is None else p.pixels for p in pictures])
        sides = [item.original or (0, 0) for item in pictures]
        measured = measure(pixels, [min(side) for side in sides])
        readable = np.array([p.pixels is not None for p in pictures])
        write(measured.thumbs.tobytes())
        for item in pictures:
            self._note(item)
        scores = {name: np.where(readable, each, np.nan).astype(np.float32)
                  for name, each in measured.scores.items()}  # fmt: skip
        small = [min(a, b) / size if a else np.nan for a, b in sides]
        shape = [max(a, b) / min(a, b) if a else np.nan for a, b in sides]
        scores["small"], scores["shape"] = (np.array(v, np.float32) for v in (small, shape))
        for number, item in enumerate(pictures):
            if item.pixels is None:
                self._add(first + number, "unreadable", detail=item.problem)
        return scores

    def _is_picture(self, item: CheckedItem) -> bool:
        """Whether something that has no pixels should have some; others are noted as unused."""
        if item.captions or item.metadata:
            return True
        unused = ("not named like", "caption file", "link to", "cannot be read", "not a regular",
                  "picture that the source")  # fmt: skip
        if item.problem.startswith(unused):
            self.found.unused[item.key] = item.problem
            return False
        return True

    def _note(self, item: CheckedItem) -> None:
        number, thresholds = len(self.found.keys), self.found.thresholds
        self.found.keys.append(plain_key(item.key))
        self.found.notes.update(item.notes)
        self.held.append(str(item.metadata.get("split", "")).lower() in HELD)
        data = b"" if item.pixels is None else item.pixels.tobytes()
        self.digests.append(blake2b(data, digest_size=16).digest() if data else b"")
        for key, counts in self.classes.items():
            value = item.metadata.get(key)
            if isinstance(value, str | int) and len(counts) <= _MOST_CLASSES:
                counts[str(value)] += 1
        best = max(item.captions, key=lambda c: (c.lang == "en", c.weight), default=None)
        self.own.append(-1 if best is None else self.texts.setdefault(best.text, len(self.texts)))
        if item.pixels is None:
            return
        if not item.captions:
            self._add(number, "no-caption", detail=item.problem)
            return
        self.found.captions.update({caption.lang for caption in item.captions} | {""})
        faults = [(caption, fault) for caption in item.captions
                  if (fault := text_fault(caption.text, thresholds)) is not None]  # fmt: skip
        if faults:
            self.found.faulty_captions[number] = {caption.text for caption, _ in faults}
        if len(faults) == len(item.captions):
            caption, fault = faults[0]
            self._add(number, fault.issue, fault.score, caption.text)

    def _read_holdout(self, holdout: CheckedSource, write: Callable[[bytes], Any]) -> None:
        """Thumbnails and digests of held-out pictures, after those of the source."""
        side = self.source.size
        for items in _batches((i for i in holdout if i.pixels is not None), _BATCH):
            pixels = np.stack([item.pixels for item in items if item.pixels is not None])
            write(measure(pixels).thumbs.tobytes())
            same = pixels.shape[1] == side
            for each in pixels:
                digest = blake2b(each.tobytes(), digest_size=16).digest() if same else b""
                self.digests.append(digest)
                self.held.append(True)

    def _count_classes(self) -> None:
        total = len(self.found.keys)
        for key, counts in self.classes.items():
            if 2 <= len(counts) <= min(_MOST_CLASSES, total // 2) and counts.total() > total / 2:
                self.found.classes[key] = dict(counts.most_common())
                ratio = max(counts.values()) / min(counts.values())
                if is_fault(BY_NAME["imbalance"], ratio, self.found.thresholds["imbalance"]):
                    (most, many), (least, few) = counts.most_common()[0], counts.most_common()[-1]
                    detail = f"{key}: {many:,} of {most}, {few:,} of {least}"
                    self._add(-1, "imbalance", ratio, detail)

    # -- judging ------------------------------------------------------------------------------

    def _judge_pictures(self) -> None:
        """Compare what was measured with the thresholds.

        Pictures without any contrast are not dark or light as well, those with little may be:
        under-exposure takes contrast away. Sharpness is judged where there is something to see.
        """
        dull = np.zeros(len(self.found.keys), bool)
        for name in ("small", "shape", *_DULL, "blurred"):
            scores, check = self.found.scores[name], BY_NAME[name]
            limit = self.found.thresholds[name]
            with np.errstate(invalid="ignore"):
                faulty = scores < limit if check.fault == "below" else scores > limit
            if name in ("dark", "light"):
                faulty &= ~(dull & (self.found.scores["blank"] < _NO_CONTRAST))
            elif name in _DULL or name == "blurred":
                faulty &= ~dull
            if name in _DULL:
                dull |= faulty
            for item in np.flatnonzero(faulty).tolist():
                self._add(item, name, float(scores[item]))
        self.dull = dull

    def _find_duplicates(self, thumbs: NDArray[np.uint8], count: int) -> None:
        """Exact and near duplicates among pictures for training, and those of held-out ones."""
        held, total = np.array(self.held, bool), len(self.held)
        faults = Counter(f.item for each in self.faults.values() for f in each)
        single, leaked = self._same_pixels(held, faults)
        empty = np.concatenate([self.dull, np.zeros(total - count, bool)])
        rows = np.flatnonzero(single & ~empty)
        limits = self.found.thresholds
        if not self.options.near:
            self.found.skipped["near-duplicate"] = "left out"
            rows = rows[:0]
        pairs = near_pairs(thumbs, max(limits["near-duplicate"], limits["leak"]), rows)
        self.found.usual = pairs.usual
        crossing = held[pairs.first] != held[pairs.second]
        limit = limits["near-duplicate"] * self._caption_share(pairs)
        near = ~crossing & ~held[pairs.first] & (pairs.distance < limit)
        for one, other, far in zip(*(each[crossing] for each in pairs[:3]), strict=True):
            item, kept = (int(other), int(one)) if held[one] else (int(one), int(other))
            if far < limits["leak"] and far < leaked.get(item, (0, np.inf))[1]:
                leaked[item] = (kept, float(far))
        for item, (other, far) in sorted(leaked.items()):
            self._add(item, "leak", far, self._name(other), other)
        if not held.any():
            self.found.skipped["leak"] = "no picture is held out"
        among = [row for row in rows.tolist() if not held[row]]
        # Of files the larger stays, which a copy rarely is.
        sides = np.nan_to_num(self.found.scores["small"])
        among.sort(key=lambda row: (faults[row], -sides[row], row))
        subset = Pairs(pairs.first[near], pairs.second[near], pairs.distance[near], pairs.usual)
        scores = np.full(count, np.nan, np.float32)
        for item, (other, far) in sorted(kept_of(among, subset).items()):
            scores[item] = far
            self._add(item, "near-duplicate", far, self._name(other), other)
        self.found.scores["near-duplicate"] = scores

    def _caption_share(self, pairs: Pairs) -> NDArray[np.float32]:
        """``(P,)`` share of the threshold of near duplicates: less where captions differ.

        A picture without a caption, or whose caption is doubted, may be a copy of any.
        """
        total, words = len(self.held), [" ".join(text.casefold().split()) for text in self.texts]
        numbers = {text: number for number, text in enumerate(dict.fromkeys(words))}
        said = np.full(total, -1, np.int64)
        said[: len(self.own)] = [-1 if each < 0 else numbers[words[each]] for each in self.own]
        for name in ("placeholder", "long", "repetitive", "common", "mismatch", "wrong-class"):
            said[[finding.item for finding in self.faults[name]]] = -1
        one, other = said[pairs.first], said[pairs.second]
        differ = (one >= 0) & (other >= 0) & (one != other)
        return np.where(differ, _OTHER_CAPTION, 1.0).astype(np.float32)

    def _same_pixels(
        self, held: NDArray[np.bool_], faults: Counter[int]
    ) -> tuple[NDArray[np.bool_], dict[int, tuple[int, float]]]:
        """Note exact duplicates.

        Returns:
            Which pictures are the only ones, or the ones kept, with their pixels; those for
            training that have the pixels of a held-out one, with that and the distance, 0.
        """
        same: dict[bytes, list[int]] = {}
        for item, digest in enumerate(self.digests):
            if digest:
                same.setdefault(digest, []).append(item)
        single = np.array([bool(digest) for digest in self.digests])
        leaked: dict[int, tuple[int, float]] = {}
        for items in same.values():
            apart = [item for item in items if held[item]]
            kept = apart[0] if apart else min(items, key=lambda item: (faults[item], item))
            for item in items:
                if item == kept or held[item]:
                    continue
                single[item] = False
                if apart:
                    leaked[item] = (kept, 0.0)
                else:
                    self._add(item, "exact-duplicate", 0.0, self._name(kept), kept)
        return single, leaked

    def _name(self, item: int) -> str:
        keys = self.found.keys
        return keys[item] if item < len(keys) else f"held-out picture {item - len(keys)}"

    def _judge_captions(self, thumbs: NDArray[np.uint8]) -> None:
        own = np.array(self.own, np.int64)
        bad = {f.item for name in ("placeholder", "repetitive", "long", "unreadable")
               for f in self.faults[name]}  # fmt: skip
        texts = list(self.texts)
        common = common_texts(own, self.found.thresholds["common"])
        for item in np.flatnonzero(np.isin(own, list(common))).tolist():
            if item not in bad:
                bad.add(item)
                self._add(item, "common", common[int(own[item])], texts[own[item]])
        clear = own >= 0
        clear[sorted(bad)] = False
        clear[: len(self.dull)] &= ~self.dull
        rows = np.flatnonzero(clear)
        if is_classes(own[rows]):
            # A class that is far too small to learn would be doubted as a whole.
            sizes = np.bincount(own[rows], minlength=len(texts))
            rows = rows[sizes[own[rows]] >= 5]
            known = self.options.aligner
            vectors = None if known is None else self._vectors(known, rows)
            chances = class_chances(thumbs, own, rows, vectors)
            self._doubt("wrong-class", rows, chances)
            self.found.skipped["mismatch"] = "the captions name classes: see wrong-class"
        else:
            self.found.skipped["wrong-class"] = "the captions do not name a few classes"
            different = len(np.unique(own[rows]))
            if self.options.aligner is None:
                self.found.skipped["mismatch"] = "left out: no aligner was asked for"
            elif different < LEAST_CAPTIONS:
                self.found.skipped["mismatch"] = (
                    f"{different} different captions are too few to compare pictures with"
                )
            else:
                vectors = self._vectors(self.options.aligner, rows)
                scores = better_captions(
                    lambda part: torch.from_numpy(vectors[part].astype(np.float32)),
                    lambda part: np.asarray(thumbs[rows[part]]),
                    texts, own[rows], self.options.aligner,
                )  # fmt: skip
                trusted = self._raise_threshold(scores)
                self._doubt("mismatch", rows, scores, trusted=trusted)

    def _raise_threshold(self, scores: NDArray[np.float32]) -> bool:
        """Doubt fewer captions where many right ones would be; whether most are wrong then."""
        least = self.found.thresholds["mismatch"]
        if len(scores) < _ESTIMATED:
            return True
        limit = careful_threshold(scores, least)
        if limit == least:
            return True
        right, found = wrong_among(scores, scores > limit, share_wrong(scores))
        if right < _LEAST_RIGHT:
            return False
        self.found.thresholds["mismatch"] = limit
        self.found.remarks["mismatch"] = (
            f"raised from {least:g}, above which are {(scores > least).mean():.0%} of the captions:"
            f" what judges them knows such pictures only in part; it finds about {found:.0%} of the"
            f" wrong captions, and at most {right:.0%} of those it finds are wrong"
        )
        return True

    def _doubt(
        self, issue: str, rows: NDArray[np.int64], scores: NDArray[np.float32], *,
        trusted: bool = True,
    ) -> None:  # fmt: skip
        """Note captions that do not match, unless what judges them does not know such pictures."""
        check, limit = BY_NAME[issue], self.found.thresholds[issue]
        self.found.scores[issue] = np.full(len(self.found.keys), np.nan, np.float32)
        self.found.scores[issue][rows] = scores
        doubted = scores < limit if check.fault == "below" else scores > limit
        texts = list(self.texts)
        if not trusted or doubted.mean() > MOST_DOUBTFUL:
            listed = self._list_worst(rows, -scores if check.fault == "below" else scores)
            self.found.skipped[issue] = (
                f"{doubted.mean():.0%} of the captions were doubted, so what judged them does not "
                "know such pictures; the worst are listed as doubtful"
            )
            if issue == "mismatch" and listed.any():
                right, found = wrong_among(scores, listed, ASSUMED_WRONG)
                self.found.doubted = Doubted(right, found, share_wrong(scores))
                self.found.remarks["doubtful"] = str(self.found.doubted)
            return
        for item, score in zip(rows[doubted].tolist(), scores[doubted].tolist(), strict=True):
            self._add(item, issue, score, texts[self.own[item]])

    def _list_worst(
        self, rows: NDArray[np.int64], badness: NDArray[np.float32]
    ) -> NDArray[np.bool_]:
        """Note the captions that are doubted most, which stay; which of the rows they are."""
        share = np.empty(len(rows), np.float32)
        share[np.argsort(-badness, kind="stable")] = np.arange(len(rows)) / len(rows)
        self.found.scores["doubtful"] = np.full(len(self.found.keys), np.nan, np.float32)
        self.found.scores["doubtful"][rows] = share
        texts = list(self.texts)
        listed = share < self.found.thresholds["doubtful"]
        for place in np.flatnonzero(listed).tolist():
            item = int(rows[place])
            self._add(item, "doubtful", float(share[place]), texts[self.own[item]])
        return listed

    def _vectors(self, aligner: Aligner, rows: NDArray[np.int64]) -> NDArray[np.float16]:
        """Vectors of some pictures, ``(R, E)``, in a file; the source is read again."""
        shape = (len(rows), aligner.dim)
        vectors = np.memmap(self.folder / "vectors.f16", np.float16, "w+", shape=shape)
        wanted, start = np.zeros(len(self.found.keys), bool), 0
        wanted[rows] = True
        known = iter(range(len(self.found.keys)))
        pictures = (item for item in self.source
                    if item.pixels is not None or self._is_picture(item))  # fmt: skip
        chosen = (item for item in pictures if wanted[next(known)])
        for items in _batches(chosen, _BATCH):
            pixels = [item.pixels for item in items if item.pixels is not None]
            found = aligner.encode_images(to_tensor(pixels)).numpy()
            vectors[start : start + len(found)] = found
            start += len(found)
        return vectors


def _batches(items: Iterable[CheckedItem], size: int) -> Iterator[tuple[CheckedItem, ...]]:
    """Items in tuples of so many, the last of fewer."""
    rest = iter(items)
    while part := tuple(islice(rest, size)):
        yield part
