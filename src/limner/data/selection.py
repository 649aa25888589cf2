"""Which pictures and captions of a store count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limner.data.store import CaptionTable, Store


@dataclass(frozen=True)
class Selection:
    """A part of a store; everything where nothing is said.

    Attributes:
        filters: metadata key -> values kept, such as ``{"style": ["noto"]}``.
        languages: of the captions that count; empty for all.
    """

    filters: Mapping[str, Sequence[str]] = field(default_factory=dict)
    languages: Sequence[str] = ()

    def __bool__(self) -> bool:
        return bool(self.filters or self.languages)

    def takes(self, facts: Mapping[str, Any]) -> bool:
        """Whether a picture's metadata holds, under every key of the filters, one of its values."""
        return all(str(facts.get(key)) in values for key, values in self.filters.items())

    def spoken(self, table: CaptionTable) -> NDArray[np.bool_]:
        """Which of the table's C captions count, ``(C,)``."""
        if not self.languages:
            return np.ones(len(table.lang), bool)
        known = [number for number, name in enumerate(table.languages) if name in self.languages]
        return np.isin(table.lang, known)

    def rows(self, store: Store) -> NDArray[np.int64]:
        """The pictures that are taken and have a caption that counts, ``(N,)`` int64, ascending."""
        table = store.caption_table()
        known = np.concatenate([[0], np.cumsum(self.spoken(table))])
        rows = np.flatnonzero(np.diff(known[table.offsets]) > 0).astype(np.int64)
        if not self.filters:
            return rows
        kept = [row for row in rows.tolist() if self.takes(store.metadata(row))]
        return np.array(kept, np.int64)
