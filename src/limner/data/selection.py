"""A part of a store, by metadata and language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limner.data.store import CaptionTable, Store


@dataclass(frozen=True)
class Selection:
    """A part of a store; by default all of it.

    Attributes:
        filters: metadata key -> values kept, such as ``{"style": ["noto"]}``.
        languages: of the captions that are kept; empty for all.
    """

    filters: Mapping[str, Sequence[str]] = field(default_factory=dict)
    languages: Sequence[str] = ()

    def __bool__(self) -> bool:
        return bool(self.filters or self.languages)

    def accepts(self, facts: Mapping[str, Any]) -> bool:
        """Whether a picture's metadata holds, under every key of the filters, one of its values."""
        return all(str(facts.get(key)) in values for key, values in self.filters.items())

    def caption_mask(self, table: CaptionTable) -> NDArray[np.bool_]:
        """Which of the table's C captions are kept, ``(C,)``."""
        if not self.languages:
            return np.ones(len(table.lang), bool)
        known = [number for number, name in enumerate(table.languages) if name in self.languages]
        return np.isin(table.lang, known)

    def rows(self, store: Store) -> NDArray[np.int64]:
        """The pictures kept, with at least one caption kept: ``(N,)`` int64, ascending."""
        table = store.caption_table()
        known = np.concatenate([[0], np.cumsum(self.caption_mask(table))])
        rows = np.flatnonzero(np.diff(known[table.offsets]) > 0).astype(np.int64)
        if not self.filters:
            return rows
        kept = [row for row in rows.tolist() if self.accepts(store.metadata(row))]
        return np.array(kept, np.int64)
