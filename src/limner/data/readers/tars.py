"""WebDataset tars: files that share a name up to the first dot are one sample."""

from __future__ import annotations

import json
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from limner.data.pictures import is_picture
from limner.data.readers.base import (
    METADATA_COLUMNS,
    Item,
    Reader,
    files_of,
    register,
)
from limner.data.store import Caption
from limner.errors import DataError

_TEXT = ("txt", "caption", "text")
_LIMIT = 256 * 1024 * 1024


@register(
    "webdataset", "WebDataset tars: pictures with .txt, .json or .cls of the same name", rank=2
)
class TarReader(Reader):
    """One tar or a folder of shards, read front to back; nothing is unpacked to disk."""

    @classmethod
    def detects(cls, source: Path) -> bool:
        """A tar, or a folder with some."""
        return source.exists() and bool(files_of(source, ".tar", ".tar.gz", ".tgz"))

    def __iter__(self) -> Iterator[Item]:
        for shard in files_of(self.source, ".tar", ".tar.gz", ".tgz"):
            try:
                with tarfile.open(shard, "r|*") as tar:
                    yield from self._samples(shard, tar)
            except (OSError, EOFError, tarfile.TarError, zlib.error):
                yield Item(f"{shard.name}:end", problem="tar ends in the middle or is damaged")

    def _samples(self, shard: Path, tar: tarfile.TarFile) -> Iterator[Item]:
        name, parts = "", dict[str, bytes]()
        for member in tar:
            if not member.isfile() or Path(member.name).name.startswith("."):
                continue
            folder, _, base = member.name.rpartition("/")
            stem, _, ending = base.partition(".")
            key = f"{folder}/{stem}" if folder else stem
            if key != name and parts:
                yield self._sample(shard, name, parts)
                parts = {}
            name = key
            if member.size <= _LIMIT and (file := tar.extractfile(member)) is not None:
                parts[ending.lower()] = file.read()
        if parts:
            yield self._sample(shard, name, parts)

    def _sample(self, shard: Path, name: str, parts: dict[str, bytes]) -> Item:
        key = f"{shard.name}:{name}"
        image = next((data for end, data in parts.items() if is_picture(f"x.{end}")), None)
        if image is None:
            return Item(key, problem="no picture in the sample")
        try:
            facts = json.loads(parts.get("json", b"{}"))
            captions = self._captions(parts, facts)
        except DataError:
            raise
        except ValueError:  # a UnicodeDecodeError is one too
            return Item(key, problem="caption is not UTF-8 text or JSON")
        if not captions:
            return Item(key, problem="no caption")
        kept = {
            field: facts[field]
            for field in METADATA_COLUMNS
            if isinstance(facts, dict) and isinstance(facts.get(field), str | int | float)
        }
        return Item(key, image, captions, {"id": key, **kept})

    def _captions(self, parts: dict[str, bytes], facts: Any) -> tuple[Caption, ...]:
        options = self.options
        captions: list[Caption] = []
        for ending in _TEXT:
            captions += options.texts(parts.get(ending, b"").decode("utf-8-sig").splitlines())
        if isinstance(facts, dict):
            for column in options.text_columns or ("text", "caption", "captions", "prompt"):
                value = facts.get(column)
                captions += options.texts(value if isinstance(value, list) else [value])
        if not captions and (label := parts.get("cls", b"").decode().strip()):
            captions += options.of_class(label)
        return tuple(dict.fromkeys(captions))
