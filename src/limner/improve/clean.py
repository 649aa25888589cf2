"""A data set cleaned: a store without what is at fault in its source, which is never changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from limner.data.store import Caption, Store
from limner.data.writer import StoreWriter, Writing, plain_key
from limner.errors import DataError, PromptError
from limner.files import json_text, write_text
from limner.improve.checked_source import CheckedItem
from limner.improve.checks import Finding
from limner.improve.examination import Diagnosis
from limner.reading.captions import Captioner
from limner.text.validate import canonical

REMOVED = "removed.jsonl"
_JOINED = ("exact-duplicate", "near-duplicate")


@dataclass(frozen=True)
class Removal:
    """One picture that is not in the cleaned store.

    Attributes:
        item: its name in the source.
        issue: name of the check.
        score: that was measured; None where nothing is.
        threshold: of the check; None where it has none.
        detail: the reason, the picture that it looks like, or the caption.
    """

    item: str
    issue: str
    score: float | None
    threshold: float | None
    detail: str

    @property
    def reason(self) -> str:
        """As the store's report counts it, with what is known after a colon."""
        return f"{self.issue}: {self.detail}" if self.detail else self.issue


@dataclass
class CleanReport:
    """What came of a cleaning.

    Attributes:
        store: that was written.
        kept: pictures in it.
        removed: every picture that is not, in the order of the source.
        filled: pictures whose caption a captioner wrote.
        dropped: captions that were left out of pictures that stayed.
    """

    store: Store
    kept: int
    removed: list[Removal]
    filled: int = 0
    dropped: int = 0


def clean(
    found: Diagnosis,
    out: Path,
    *,
    keep: Iterable[str] = (),
    captioner: Captioner | None = None,
    **how: Unpack[Writing],
) -> CleanReport:
    """Write a store without what is at fault; the source is not changed.

    Duplicates are joined: the picture that stays gets the captions of those that are removed.
    ``removed.jsonl`` in the new store names every picture that is not in it, and why.

    Args:
        found: what :func:`check` found.
        out: the store to make.
        keep: names of checks whose pictures stay.
        captioner: captions the pictures that have no caption, or only faulty ones; None to remove
            them.
        how: see :class:`~limner.data.writer.Writing`.

    Raises:
        DataError: nothing is left, or the store cannot be written.
    """
    keep = tuple(keep)
    fillable = {"no-caption", "placeholder", "repetitive", "long"} if captioner else set()
    removals = found.removals((*keep, *fillable))
    faults = Counter(finding.item for finding in found.findings)
    rows: dict[int | None, int] = {item: row for row, item in
            enumerate(i for i in range(len(found.keys)) if i not in removals)}  # fmt: skip
    removed = [_removal(found, item, removals[item]) for item in sorted(removals)]
    by_item = dict(zip(sorted(removals), removed, strict=True))
    source, on_progress = found.source, how.get("on_progress")
    settings = {**source.identity, "thresholds": found.thresholds, "keep": sorted(keep),
                "captioner": captioner.fingerprint if captioner else ""}  # fmt: skip
    filled = dropped = 0
    with StoreWriter(
        out, source.size, source.name, licences=source.licences, settings=settings, **how
    ) as writer:
        for number, item in islice(_numbered(found), writer.consumed, None):
            if number in removals:
                finding = removals[number]
                row = rows.get(finding.like) if finding.issue in _JOINED else None
                if row is not None and faults[number] == 1 and item.captions:
                    writer.join(row, item.captions, item.key)
                else:
                    writer.skip(item.key, by_item[number].reason)
            else:
                captions = _kept_captions(found, number, item, keep)
                dropped += len(item.captions) - len(captions)
                if not captions and captioner is not None and item.pixels is not None:
                    captions = _written(captioner, item.pixels)
                    filled += 1
                if captions and item.pixels is not None:
                    facts = dict(item.metadata)
                    writer.add(item.pixels, captions, facts, key=item.key, notes=item.notes)
                else:
                    writer.skip(item.key, "no-caption: nothing to train on")
            if on_progress is not None:
                on_progress(number + 1, len(found.keys))
        store = writer.finish()
    lines = "".join(json_text(vars(each)) + "\n" for each in removed)
    write_text(out / REMOVED, lines, DataError)
    return CleanReport(store, len(store), removed, filled, dropped)


def _numbered(found: Diagnosis) -> Iterator[tuple[int, CheckedItem]]:
    """The pictures of the source with their numbers in the diagnosis.

    Raises:
        DataError: the source has changed.
    """
    number = 0
    for item in found.source:
        if item.pixels is None and item.key in found.unused:
            continue
        if number >= len(found.keys) or plain_key(item.key) != found.keys[number]:
            raise DataError(
                f"the source has changed while it was read, at {item.key}; check it again"
            )
        yield number, item
        number += 1


def _removal(found: Diagnosis, item: int, finding: Finding) -> Removal:
    limit = found.thresholds.get(finding.issue)
    return Removal(found.keys[item], finding.issue, finding.score, limit, finding.detail)


def _kept_captions(
    found: Diagnosis, number: int, item: CheckedItem, keep: Sequence[str]
) -> list[Caption]:
    """The captions of a picture without the faulty ones."""
    faulty = found.faulty_captions.get(number, set())
    kept = [caption for caption in item.captions if caption.text not in faulty]
    spared = {"placeholder", "repetitive", "long"} & set(keep)
    return kept or (list(item.captions) if spared else [])


def _written(captioner: Captioner, pixels: NDArray[np.uint8]) -> list[Caption]:
    """The best caption that a captioner writes, if it can be a prompt."""
    for each in captioner.caption(pixels):
        try:
            return [Caption(canonical(each.text, "caption"), "en")]
        except PromptError:
            continue
    return []
