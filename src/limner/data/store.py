"""The packed store: memory-mapped pixels, any number of captions a picture, metadata, licences.

A store is a folder of plain files that are memory-mapped, so opening it takes milliseconds:

====================  ==========================================================================
``store.json``        header: format, count, size, name, fingerprint, licences, styles, languages
``images.u8``         ``(N, S, S, 3)`` uint8 pixels, row after row
``style_ids.npy``     ``(N,)`` int64, index into ``styles`` or -1
``caption_*.npy``     captions in compressed rows: ``offsets`` (N+1), ``text``, ``weight``, ``lang``
``texts.*``           the unique caption texts: a UTF-8 blob and its ``(T+1,)`` offsets
``metadata.*``        one JSON object a picture: a blob and its ``(N+1,)`` offsets
``left-out.jsonl``    what was not packed: ``{"item": …, "reason": …}`` a line
``report.json``       the same counted by reason, and how pictures were changed
====================  ==========================================================================

:class:`~limner.data.writer.StoreWriter` makes one; nothing in it is ever pickled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from limner.errors import DataError

FORMAT = 1
HEADER = "store.json"
IMAGES = "images.u8"
LEFT_OUT = "left-out.jsonl"
ARRAYS: dict[str, np.dtype[Any]] = {
    "style_ids": np.dtype(np.int64),
    "caption_offsets": np.dtype(np.int64),
    "caption_text": np.dtype(np.int64),
    "caption_weight": np.dtype(np.float32),
    "caption_lang": np.dtype(np.int64),
    "text_offsets": np.dtype(np.int64),
    "metadata_offsets": np.dtype(np.int64),
}
BLOBS = ("texts.utf8", "metadata.utf8")
_CHUNK = 1 << 24


@dataclass(frozen=True)
class Caption:
    """A caption of a picture.

    Attributes:
        text: the caption, UTF-8, any language.
        lang: BCP-47 language code, such as ``en`` or ``zh``.
        weight: relative chance (> 0) of being the caption of its picture in training.
    """

    text: str
    lang: str = "en"
    weight: float = 1.0


def heaviest(captions: Iterable[Caption]) -> dict[str, str]:
    """Language -> text of its heaviest caption, the first where several weigh the same."""
    falling = sorted(captions, key=lambda caption: caption.weight, reverse=True)
    return {caption.lang: caption.text for caption in falling[::-1]}


@dataclass(frozen=True)
class CaptionTable:
    """Every caption of a store as compressed rows, from which batches are drawn without loops.

    Attributes:
        texts: the T unique texts.
        offsets: ``(N+1,)`` int64; picture i owns rows ``offsets[i]:offsets[i+1]`` of the rest.
        text_index: ``(C,)`` int64 index into ``texts``.
        weight: ``(C,)`` float32, > 0.
        lang: ``(C,)`` int64 index into ``languages``.
        languages: language codes.
    """

    texts: list[str]
    offsets: NDArray[np.int64]
    text_index: NDArray[np.int64]
    weight: NDArray[np.float32]
    lang: NDArray[np.int64]
    languages: tuple[str, ...]

    @cached_property
    def _cumulative(self) -> NDArray[np.float64]:
        return np.concatenate([[0.0], np.cumsum(self.weight, dtype=np.float64)])

    def heaviest(self) -> NDArray[np.int64]:
        """The text of greatest weight of each picture, the first of equal ones, ``(N,)`` int64.

        Raises:
            DataError: one of the pictures has no caption.
        """
        self._check_captioned(np.arange(len(self)))
        rows = np.lexsort((-self.weight, np.repeat(np.arange(len(self)), np.diff(self.offsets))))
        return self.text_index[rows[self.offsets[:-1]]].astype(np.int64)

    def __len__(self) -> int:
        """How many pictures there are."""
        return len(self.offsets) - 1

    def _check_captioned(self, pictures: NDArray[np.int64]) -> None:
        without = self.offsets[pictures] == self.offsets[pictures + 1]
        if np.any(without):
            where = int(pictures[without][0])
            raise DataError(f"picture {where} of the store has no caption to train on")

    def choose(
        self, pictures: NDArray[np.int64], uniforms: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Draw one caption a picture with chances proportional to the weights.

        Args:
            pictures: ``(B,)`` picture indices.
            uniforms: ``(B,)`` random numbers in [0, 1).

        Returns:
            ``(B,)`` int64 indices into ``texts``, and ``(B,)`` into ``languages``.

        Raises:
            DataError: one of the pictures has no caption.
        """
        self._check_captioned(np.asarray(pictures))
        first, last = self.offsets[pictures], self.offsets[np.asarray(pictures) + 1]
        low, high = self._cumulative[first], self._cumulative[last]
        rows = np.searchsorted(self._cumulative, low + uniforms * (high - low), side="right") - 1
        rows = np.clip(rows, first, last - 1)
        return self.text_index[rows].astype(np.int64), self.lang[rows].astype(np.int64)


class Header(BaseModel):
    """``store.json``: what a store holds, in short."""

    model_config = ConfigDict(extra="forbid")

    format: int = FORMAT
    count: int = Field(ge=1)
    size: int = Field(ge=1)
    name: str
    fingerprint: str = Field(pattern="^[0-9a-f]{16}$")
    licences: dict[str, str] = Field(default_factory=dict)
    styles: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    report: dict[str, int] = Field(default_factory=dict)


def read_header(path: Path) -> Header:
    """Read ``store.json`` of the store at ``path``.

    Raises:
        DataError: there is no store, its header is damaged or a newer limner wrote it.
    """
    file = path / HEADER
    if not file.is_file():
        part = path.with_name(path.name + ".part")
        hint = (
            "; an unfinished pack lies beside it: run the same command again to finish it"
            if part.is_dir()
            else "; make one with 'limner data pack'"
        )
        raise DataError(f"no store at {path} (no {HEADER} in it){hint}")
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(raw, dict) and isinstance(raw.get("format"), int) and raw["format"] > FORMAT:
            raise DataError(
                f"the store {path} has format {raw['format']}, newer than the {FORMAT} this limner "
                "reads; upgrade limner or pack it again"
            )
        return Header.model_validate(raw)
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"the header {file} is damaged; pack the store again") from error


def fingerprint(folder: Path) -> str:
    """Hash the pixels and captions of a store folder.

    Returns:
        16 hexadecimal digits of BLAKE2b over ``images.u8``, the texts and the caption arrays.
    """
    digest = hashlib.blake2b(digest_size=8)
    names = [IMAGES, "texts.utf8", *(f"{name}.npy" for name in ARRAYS if name != "style_ids")]
    for name in names:
        if name.startswith("metadata"):
            continue
        with (folder / name).open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()


class Store:
    """A packed store, opened read-only and memory-mapped; safe to share among processes."""

    def __init__(self, path: Path, header: Header, arrays: dict[str, NDArray[Any]]) -> None:
        self.path = path
        self.header = header
        self._arrays = arrays
        self.size = header.size
        self.name = header.name
        self.fingerprint = header.fingerprint
        self.licences = dict(header.licences)
        self.styles = header.styles
        self.images: NDArray[np.uint8] = arrays[IMAGES]
        self.style_ids: NDArray[np.int64] = arrays["style_ids"]

    @classmethod
    def open(cls, path: Path | str) -> Store:
        """Open the store at ``path``; only headers are read, so it takes milliseconds.

        Raises:
            DataError: it is missing, damaged or was written by a newer limner.
        """
        path = Path(path)
        header = read_header(path)
        arrays: dict[str, NDArray[Any]] = {}
        try:
            for name, kind in ARRAYS.items():
                array = np.load(path / f"{name}.npy", mmap_mode="r", allow_pickle=False)
                if array.dtype != kind or array.ndim != 1:
                    raise DataError(f"{name}.npy holds {array.dtype} where {kind} is wanted")
                arrays[name] = np.asarray(array)
            for name in (IMAGES, *BLOBS):
                empty = (path / name).stat().st_size == 0
                arrays[name] = (
                    np.zeros(0, np.uint8) if empty else np.memmap(path / name, np.uint8, mode="r")
                )
            _check(header, arrays)
        except (OSError, ValueError, EOFError, IndexError, DataError) as error:
            raise DataError(f"the store {path} is damaged ({error}); pack it again") from error
        shape = (header.count, header.size, header.size, 3)
        arrays[IMAGES] = arrays[IMAGES].reshape(shape)
        return cls(path, header, arrays)

    def __len__(self) -> int:
        return self.header.count

    def _text(self, index: int) -> str:
        start, stop = self._arrays["text_offsets"][index : index + 2]
        return self._arrays["texts.utf8"][start:stop].tobytes().decode("utf-8")

    @contextmanager
    def _intact(self, what: str) -> Iterator[None]:
        """Turn the errors of reading damaged bytes into one sentence."""
        try:
            yield
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise DataError(
                f"the store {self.path} is damaged: {what} cannot be read; pack it again"
            ) from error

    def _index(self, i: int) -> int:
        if not -len(self) <= i < len(self):
            raise DataError(
                f"there is no picture {i} in the store {self.path}, which holds {len(self)}"
            )
        return i % len(self)

    def captions(self, i: int) -> tuple[Caption, ...]:
        """Return every caption of picture ``i``, in the order they were packed."""
        i = self._index(i)
        start, stop = self._arrays["caption_offsets"][i : i + 2]
        rows = (self._arrays[f"caption_{name}"][start:stop] for name in ("text", "lang", "weight"))
        with self._intact(f"the captions of picture {i}"):
            return tuple(
                Caption(self._text(int(text)), self.header.languages[lang], float(weight))
                for text, lang, weight in zip(*rows, strict=True)
            )

    def metadata(self, i: int) -> dict[str, Any]:
        """Return the metadata of picture ``i``: ``id``, ``style``, ``concept`` and so on."""
        i = self._index(i)
        start, stop = self._arrays["metadata_offsets"][i : i + 2]
        with self._intact(f"the metadata of picture {i}"):
            value = json.loads(self._arrays["metadata.utf8"][start:stop].tobytes())
            return dict(value)

    def column(self, key: str) -> list[Any]:
        """Return ``metadata(i).get(key)`` of every picture."""
        return [self.metadata(i).get(key) for i in range(len(self))]

    def caption_table(self) -> CaptionTable:
        """Return all captions as arrays; see :class:`CaptionTable`."""
        offsets = self._arrays["text_offsets"]
        blob = self._arrays["texts.utf8"].tobytes()
        with self._intact("the captions"):
            texts = [blob[a:b].decode("utf-8") for a, b in pairwise(offsets.tolist())]
        names = ("offsets", "text", "weight", "lang")
        rows, index, weight, lang = (np.array(self._arrays[f"caption_{name}"]) for name in names)
        return CaptionTable(texts, rows, index, weight, lang, self.header.languages)

    def batch(self, indices: NDArray[np.int64] | Iterable[int]) -> NDArray[np.uint8]:
        """Gather pictures by their B indices: ``(B, S, S, 3)`` uint8, a copy."""
        rows = np.asarray(indices if isinstance(indices, np.ndarray) else list(indices), np.int64)
        return np.take(self.images, rows, axis=0)

    def left_out(self) -> Iterator[tuple[str, str]]:
        """Yield the source items that were not packed, and why."""
        path = self.path / LEFT_OUT
        if path.is_file():  # stores of older versions have none
            with path.open(encoding="utf-8") as file:
                for line in file:
                    with self._intact("the list of what was left out"):
                        entry = json.loads(line)
                        item, reason = entry["item"], entry["reason"]
                    yield item, reason


def _check(header: Header, arrays: dict[str, NDArray[Any]]) -> None:
    """Refuse arrays whose lengths do not fit together."""
    captions = len(arrays["caption_text"])
    wanted = {
        IMAGES: header.count * header.size * header.size * 3,
        "style_ids": header.count,
        "caption_offsets": header.count + 1,
        "metadata_offsets": header.count + 1,
        "caption_weight": captions,
        "caption_lang": captions,
        "texts.utf8": int(arrays["text_offsets"][-1]),
        "metadata.utf8": int(arrays["metadata_offsets"][-1]),
    }
    for name, length in wanted.items():
        if len(arrays[name]) != length:
            raise DataError(f"{name} has {len(arrays[name])} entries where {length} are wanted")
    if int(arrays["caption_offsets"][-1]) != captions:
        raise DataError("the caption rows do not add up")
