"""Writing a store: appended to ``STORE.part``, renamed when complete, resumed after a crash."""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypedDict, TypeVar, Unpack

import numpy as np
from numpy.typing import NDArray

from limner.data.pictures import check_side
from limner.data.store import (
    ARRAYS,
    BLOBS,
    FORMAT,
    HEADER,
    IMAGES,
    LEFT_OUT,
    Caption,
    Header,
    Store,
    fingerprint,
)
from limner.errors import DataError, PromptError
from limner.files import locked, sync_to_disk
from limner.text.validate import canonical

_JOURNAL = "journal.jsonl"
_SETTINGS = "settings.json"
_LOCK = "lock"
_REPORT = "report.json"
_SYNC_SECONDS = 2.0
_FLUSH_EVERY = 64
_CHECKED_TAIL = 4096
_REPORTED = 1000
_UNFINISHED = (_JOURNAL, _SETTINGS, _LOCK)
_FILES = {
    *(*_UNFINISHED, _REPORT, LEFT_OUT, HEADER, IMAGES, *BLOBS),
    *(f"{name}.npy" for name in ARRAYS),
}
_LOG = logging.getLogger("limner")
_T = TypeVar("_T")
Progress = Callable[[int, "int | None"], None]
"""Called with the number of items that are done, and of all items where it is known."""


class Writing(TypedDict, total=False):
    """How a store is written: keywords of everything that makes one.

    Attributes:
        overwrite: replace an existing store at the end; it stays until then.
        restart: discard an unfinished pack instead of resuming it.
        on_progress: see :data:`Progress`.
    """

    overwrite: bool
    restart: bool
    on_progress: Progress | None


class StoreWriter:
    """Append pictures to a store that appears only when it is complete.

    Everything goes to ``PATH.part``: pixels to ``images.u8`` and, after them, one line per source
    item to a journal (a picture, or the reason why it was left out), both synced to disk every two
    seconds. A writer opened again after a crash cuts incomplete ends and resumes from there:
    ``consumed`` is the number of source items that are done, ``keys`` are their names, and
    :meth:`rest` gives the others.

    Args:
        path: the store to make.
        size: picture side S in pixels, 1 to 4096.
        name: of the store.
        licences: ``source -> licence`` of what is packed.
        settings: JSON-able; an unfinished pack is resumed only if it has the same.
        how: see :class:`Writing`.

    Raises:
        DataError: there is a store already, or an unfinished pack of something else; another
            process is writing it; or a file cannot be written.
    """

    def __init__(
        self,
        path: Path | str,
        size: int,
        name: str,
        *,
        licences: Mapping[str, str] | None = None,
        settings: Mapping[str, Any] | None = None,
        **how: Unpack[Writing],
    ) -> None:
        self.path = Path(path)
        self.size = size
        # The name of a folder may hold bytes that are not UTF-8, which a header cannot.
        self.name = os.fsencode(name).decode("utf-8", "replace")
        self.licences = dict(licences or {})
        self.overwrite = how.get("overwrite", False)
        self._on_progress = how.get("on_progress")
        self.part = self.path.with_name(self.path.name + ".part")
        self._replaced = self.path.with_name(f".{self.path.name}.old")
        check_side(size)
        self._check_path()
        self._identity = {"format": FORMAT, "size": size, "name": name, **dict(settings or {})}
        self._lock = ExitStack()
        self.keys: list[str] = []
        self.count = 0
        self.skipped: Counter[str] = Counter()
        self.handled: Counter[str] = Counter()
        try:
            self._open(how.get("restart", False))
        except OSError as error:
            self._lock.close()
            raise DataError(f"cannot write {self.part}: {error.strerror or error}") from error
        except DataError:
            self._lock.close()
            raise

    def _check_path(self) -> None:
        """Refuse to replace a store without being told to, and what is no store."""
        if self.path.exists() and not self.overwrite:
            raise DataError(f"{self.path} exists already; pass --overwrite to replace it")
        if self.path.exists() and not (self.path / HEADER).is_file():
            raise DataError(f"{self.path} is not a store, so it is not overwritten; name another")

    def _open(self, restart: bool) -> None:
        self.part.mkdir(parents=True, exist_ok=True)
        foreign = sorted({file.name for file in self.part.iterdir()} - _FILES)
        if foreign:
            raise DataError(
                f"{self.part}, where the store is written before it is complete, holds other "
                f"files ({foreign[0]}); move them or name another store"
            )
        self._lock.enter_context(locked(self.part / _LOCK, DataError, f"the store {self.path}"))
        if self._replaced.exists():  # a writer was killed while it put a store in place of this
            if self.path.exists():
                self._remove_replaced()
            else:
                self._replaced.rename(self.path)
                self._check_path()
        identity = self.part / _SETTINGS
        # Of what has no journal yet nothing is done, and the settings may be torn.
        if restart or not identity.exists() or not (self.part / _JOURNAL).exists():
            for name in _FILES - {_LOCK}:
                (self.part / name).unlink(missing_ok=True)
            identity.write_text(json.dumps(self._identity, sort_keys=True), encoding="utf-8")
            sync_to_disk(identity)
        elif identity.read_text(encoding="utf-8") != json.dumps(self._identity, sort_keys=True):
            raise DataError(
                f"{self.part} is an unfinished pack of another source or with other options; "
                "finish that one, or pass --restart to discard it"
            )
        self._images = (self.part / IMAGES).open("ab")
        self._journal = (self.part / _JOURNAL).open("ab")
        self._pixels: list[bytes] = []
        self._lines: list[bytes] = []
        self._recover()
        if self.consumed:
            _LOG.warning("resuming the unfinished pack: %d entries are done", self.consumed)
        self._synced = time.monotonic()

    @property
    def consumed(self) -> int:
        """How many items of the source are done: packed or left out."""
        return len(self.keys)

    def rest(self, items: Iterable[_T], key: Callable[[_T], str]) -> Iterator[_T]:
        """Yield the items of the source that are not done yet; ``key`` names an item.

        Raises:
            DataError: those that are done are not the first of them.
        """
        items = iter(items)
        for done in tuple(self.keys):
            item = next(items, None)
            if item is None or plain_key(key(item)) != done:
                raise DataError(
                    f"the source of the unfinished pack {self.part} has changed "
                    f"(at {done!r}); pass --restart to begin again"
                )
        yield from items

    def progress(self, done: int, total: int | None) -> None:
        """Report how much of the source is done."""
        if self._on_progress is not None:
            self._on_progress(done, total)

    def packed(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the pictures that are in the store so far, each ``(S, S, 3)`` uint8."""
        self.flush(sync=False)
        shape = (self.size, self.size, 3)
        with (self.part / IMAGES).open("rb") as file:
            while pixels := file.read(self.size * self.size * 3):
                yield np.frombuffer(pixels, np.uint8).reshape(shape)

    def _recover(self) -> None:
        """Resume after the last entry whose pixels are on disk; what follows it is cut."""
        record = self.size * self.size * 3
        room = (self.part / IMAGES).stat().st_size // record
        found = [
            (entry["key"], entry.get("crc"), entry.get("skip", ""), entry.get("notes", ()), stop)
            for entry, stop in _journal(self.part / _JOURNAL)
        ]
        unchecked = sum(crc is not None for _, crc, *_ in found) - _CHECKED_TAIL
        end = 0
        with (self.part / IMAGES).open("rb") as file:
            for key, crc, reason, notes, stop in found:
                if crc is None:
                    self.skipped[_category(reason)] += 1
                else:
                    file.seek(self.count * record)
                    if self.count == room or (
                        # After a power loss a file may have grown before its bytes were on disk.
                        self.count >= unchecked and zlib.crc32(file.read(record)) != crc
                    ):
                        break
                    self.count += 1
                    self.handled.update(notes)
                self.keys.append(key)
                end = stop
        self._images.truncate(self.count * record)
        self._journal.truncate(end)

    def add(
        self,
        image: NDArray[np.uint8],
        captions: Sequence[Caption],
        metadata: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        """Append one picture.

        Args:
            image: ``(S, S, 3)`` uint8, RGB.
            captions: at least one, each with a text that could be a prompt and a positive weight.
            metadata: JSON-able; ``style`` becomes the store's style of that picture.
            key: name of the source item, by default ``metadata["id"]``.
            notes: how it was changed, counted in the report.

        Raises:
            DataError: the picture or a caption has the wrong form, or the disk is full.
        """
        if image.shape != (self.size, self.size, 3) or image.dtype != np.uint8:
            raise DataError(
                f"a picture of shape {image.shape} and type {image.dtype} does not fit a store of "
                f"({self.size}, {self.size}, 3) uint8"
            )
        rows = _checked(captions)
        if not rows:
            raise DataError("a picture without captions cannot be packed")
        facts = (metadata or {}).items()
        metadata = {name: plain_key(v) if isinstance(v, str) else v for name, v in facts}
        pixels = image.tobytes()
        entry = {
            "key": key if key is not None else str(metadata.get("id", self.count)),
            "crc": zlib.crc32(pixels),
            "captions": rows,
            "metadata": metadata,
        }
        if notes:
            entry["notes"] = list(notes)
        self._append(entry, pixels)
        self.count += 1
        self.handled.update(notes)

    def skip(self, key: str, reason: str, **facts: Any) -> None:
        """Record that an item was left out; reports count the reason up to its first colon."""
        self._append({"key": key, "skip": reason, **facts})
        self.skipped[_category(reason)] += 1

    def join(self, row: int, captions: Sequence[Caption], key: str) -> None:
        """Record that an item looks the same as picture ``row``, which gets its captions too.

        The picture's metadata name the item in ``joined``; captions that it has are left out.
        """
        self.skip(key, "looks the same as another", row=row, captions=_checked(captions))

    def _append(self, entry: dict[str, Any], pixels: bytes = b"") -> None:
        try:
            entry["key"] = plain_key(entry["key"])
            text = json.dumps(entry, ensure_ascii=False, separators=(",", ":"))
            # Half a surrogate pair, which JSON can spell and UTF-8 cannot, becomes "?".
            line = text.encode("utf-8", "replace") + b"\n"
        except (TypeError, ValueError) as error:
            raise DataError(f"item {entry['key']!r} cannot be written as JSON: {error}") from error
        self.keys.append(entry["key"])
        self._pixels.append(pixels)
        self._lines.append(line)
        if len(self._lines) >= _FLUSH_EVERY:
            self.flush(sync=time.monotonic() - self._synced > _SYNC_SECONDS)

    def flush(self, *, sync: bool = True) -> None:
        """Write everything: the pixels before the journal, which states that they are there."""
        try:
            for file, pieces in ((self._images, self._pixels), (self._journal, self._lines)):
                file.write(b"".join(pieces))
                file.flush()
                if sync:
                    os.fsync(file.fileno())
                pieces.clear()
        except OSError as error:
            raise DataError(f"cannot write {self.part}: {error.strerror or error}") from error
        if sync:
            self._synced = time.monotonic()

    def finish(self) -> Store:
        """Index the captions, write the header, rename the folder to its name and open it.

        The journal goes last: until every file is on disk and renamed, the pack can be resumed.

        Raises:
            DataError: nothing was packed, or a file cannot be written.
        """
        self.flush()
        if not self.count:
            reasons = ", ".join(f"{n} x {reason}" for reason, n in self.skipped.most_common(5))
            why = f" ({reasons}; the first is {self.keys[0]})" if reasons else ""
            self.discard()
            raise DataError(f"no picture to pack into {self.path}{why}")
        try:
            self._index()
            self._close_files()
            for file in self.part.iterdir():
                sync_to_disk(file)
            sync_to_disk(self.part)
            self._publish()
            for name in _UNFINISHED:
                (self.path / name).unlink(missing_ok=True)
        except OSError as error:
            raise DataError(f"cannot finish {self.path}: {error.strerror or error}") from error
        finally:
            self._lock.close()
        return Store.open(self.path)

    def close(self) -> None:
        """Close the files. The unfinished pack stays on disk and can be resumed."""
        self._close_files()
        self._lock.close()

    def _close_files(self) -> None:
        if not self._images.closed:
            self.flush()
        self._images.close()
        self._journal.close()

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(self, *_: object) -> None:
        if self.keys or not self.part.exists():
            self.close()
        else:  # nothing was read, so there is nothing to resume
            self.discard()

    def discard(self) -> None:
        """Close the files and remove the unfinished pack."""
        self.close()
        shutil.rmtree(self.part, ignore_errors=True)

    def _publish(self) -> None:
        """Rename the finished folder; a store that it replaces is removed after that.

        Files beside those of the old store are kept.
        """
        if self.path.exists():
            if not self.overwrite:
                raise DataError(f"{self.path} has appeared meanwhile; the pack is at {self.part}")
            self.path.rename(self._replaced)
        self.part.rename(self.path)
        sync_to_disk(self.path.parent)
        self._remove_replaced()

    def _remove_replaced(self) -> None:
        """Remove the store that was replaced; files of others beside it move to the new one."""
        if self._replaced.exists():
            for file in list(self._replaced.iterdir()):
                if file.name not in _FILES:
                    file.rename(self.path / file.name)
            sync_to_disk(self.path)
            shutil.rmtree(self._replaced, ignore_errors=True)

    def _index(self) -> None:
        texts: dict[str, int] = {}
        languages: dict[str, int] = {}
        styles: list[str | None] = []
        rows: dict[str, list[Any]] = {name: [] for name in ARRAYS}
        rows["caption_offsets"].append(0)
        rows["metadata_offsets"].append(0)
        report: list[dict[str, str]] = []
        joined: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for entry, _ in _journal(self.part / _JOURNAL):
            if "row" in entry:
                joined[entry["row"]].append(entry)
        with (
            (self.part / "metadata.utf8").open("wb") as blob,
            (self.part / LEFT_OUT).open("wb") as left_out,
        ):
            for entry, _ in _journal(self.part / _JOURNAL):
                if "skip" in entry:
                    item = {"item": entry["key"], "reason": entry["skip"]}
                    left_out.write(_compact(item) + b"\n")
                    report += [item] if len(report) < _REPORTED else []
                    continue
                captions, metadata = entry["captions"], entry["metadata"]
                for other in joined.get(len(styles), ()):
                    known = [each[:2] for each in captions]
                    captions += [each for each in other["captions"] if each[:2] not in known]
                    metadata.setdefault("joined", []).append(other["key"])
                for text, lang, weight in captions:
                    rows["caption_text"].append(texts.setdefault(text, len(texts)))
                    rows["caption_lang"].append(languages.setdefault(lang, len(languages)))
                    rows["caption_weight"].append(weight)
                rows["caption_offsets"].append(len(rows["caption_text"]))
                written = blob.write(_compact(metadata))
                rows["metadata_offsets"].append(rows["metadata_offsets"][-1] + written)
                style = metadata.get("style")
                styles.append(style if isinstance(style, str) and style else None)
        names = tuple(sorted({style for style in styles if style is not None}))
        rows["style_ids"] = [-1 if style is None else names.index(style) for style in styles]
        encoded = [text.encode("utf-8") for text in texts]
        (self.part / "texts.utf8").write_bytes(b"".join(encoded))
        rows["text_offsets"] = [0, *np.cumsum([len(text) for text in encoded]).tolist()]
        for name, kind in ARRAYS.items():
            values: NDArray[Any] = np.asarray(rows[name], kind)
            np.save(self.part / f"{name}.npy", values, allow_pickle=False)
        self._write_header(names, tuple(languages), report)

    def _write_header(
        self, styles: tuple[str, ...], languages: tuple[str, ...], report: list[dict[str, str]]
    ) -> None:
        skipped = dict(self.skipped.most_common())
        header = Header(
            count=self.count, size=self.size, name=self.name, fingerprint=fingerprint(self.part),
            licences=self.licences, styles=styles, languages=languages, report=skipped,
        )  # fmt: skip
        summary = {
            "packed": self.count,
            "skipped": skipped,
            "handled": dict(self.handled.most_common()),
            "items": report,
        }
        text = json.dumps(summary, ensure_ascii=False, indent=1)
        (self.part / _REPORT).write_text(text, encoding="utf-8")
        (self.part / HEADER).write_text(header.model_dump_json(indent=1), encoding="utf-8")


def plain_key(key: str) -> str:
    """Escape what UTF-8 cannot express in a key, such as a file name in another encoding."""
    return key.encode("utf-8", "backslashreplace").decode("utf-8")


def _compact(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _checked(captions: Sequence[Caption]) -> list[tuple[str, str, float]]:
    """Captions as rows of the journal: text, language and weight.

    Raises:
        DataError: one could not be a prompt, or has no positive weight.
    """
    for caption in captions:
        try:
            canonical(caption.text, "caption")
        except PromptError as error:
            raise DataError(f"{str(caption.text)[:40]!r} cannot be packed: {error}") from error
        if not 0 < caption.weight < float("inf"):
            raise DataError(f"the weight of the caption {caption!r} is not positive")
    return [(caption.text, caption.lang, caption.weight) for caption in captions]


def _journal(path: Path) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield the entries of a journal, each with the offset of its end, up to a torn one."""
    end = 0
    with path.open("rb") as file:
        for line in file:
            end += len(line)
            try:
                entry = json.loads(line)
            except (ValueError, RecursionError):
                return
            whole = isinstance(entry, dict) and ("crc" in entry) != ("skip" in entry)
            if not whole or not line.endswith(b"\n"):
                return
            yield entry, end


def _category(reason: str) -> str:
    return reason.partition(": ")[0]
