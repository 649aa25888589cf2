"""WebDataset tars: files that share a name up to the first dot are one sample."""

from __future__ import annotations

import lzma
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from limner.data.pictures import is_picture
from limner.data.readers.base import (
    SourceEntry,
    SourceReader,
    facts_of,
    parse_json,
    shards,
    split_of,
    value_at,
)
from limner.data.store import Caption
from limner.data.tree import FileTree, lines_of, not_text
from limner.errors import DataError

_ENDINGS = (".tar", ".tar.gz", ".tgz")
_TEXT = ("txt", "caption", "text")
_KEYS = ("text", "caption", "captions", "prompt")
_LIMIT = 256 * 1024 * 1024
"""Bytes of all files of a sample."""
_MOST_HEADER = 1024 * 1024
_HEADERS = frozenset(
    (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME,
     tarfile.GNUTYPE_LONGLINK)
)  # fmt: skip


class BoundedTarInfo(tarfile.TarInfo):
    """A member of a tar whose extended headers, which tarfile reads into memory, are bounded."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Parse a header block.

        Raises:
            tarfile.TarError: it announces an extended header of more than 1 MiB.
        """
        found = super().frombuf(buf, encoding, errors)
        if found.type in _HEADERS and found.size > _MOST_HEADER:
            raise tarfile.TarError(f"an extended header of {found.size} bytes")
        return found


class TarReader(SourceReader):
    """One tar or a folder of shards, read front to back; nothing is unpacked to disk.

    ``--text-column`` names a part of the samples, such as ``txt``, or a key of their ``.json``;
    only those are captions then. ``--image-column`` names the part that is the picture.
    """

    name = "webdataset"
    understands = frozenset(("--template", "--labels", "--text-column", "--image-column"))

    @classmethod
    def detects(cls, tree: FileTree) -> bool:
        """A tar, or a folder with some."""
        return any(path.name.lower().endswith(_ENDINGS) for path in shards(tree, *_ENDINGS))

    def entries(self) -> Iterator[SourceEntry]:
        """Yield the samples of every shard."""
        for shard in shards(self.tree, *_ENDINGS):
            self.used.add(shard)
            name = self.tree.name(shard)
            facts = {"split": split_of(self.tree, shard)}
            try:
                with tarfile.open(shard, "r|*", tarinfo=BoundedTarInfo) as tar:
                    yield from self._samples(name, {k: v for k, v in facts.items() if v}, tar)
            except (OSError, EOFError, tarfile.TarError, zlib.error, lzma.LZMAError):
                yield SourceEntry(f"{name}:end", problem="tar ends in the middle or is damaged")

    def _samples(
        self, shard: str, facts: dict[str, str], tar: tarfile.TarFile
    ) -> Iterator[SourceEntry]:
        name, parts, copies = "", dict[str, bytes](), 0
        for member in tar:
            base = Path(member.name).name
            if member.isdir() or base.startswith("."):
                continue
            if not member.isreg() or member.size > _LIMIT:
                reason = "file too large" if member.isreg() else "not a regular file"
                yield SourceEntry(f"{shard}:{member.name}", problem=f"{reason} in a tar")
                continue
            folder = member.name.rpartition("/")[0]
            stem, _, ending = base.partition(".")
            key, ending = f"{folder}/{stem}" if folder else stem, ending.lower()
            if parts and (key != name or ending in parts):
                yield self._sample(shard, f"{name}#{copies + 1}" if copies else name, parts, facts)
                copies = copies + 1 if key == name else 0  # the same name again: another sample
                parts = {}
            name = key
            if member.size + sum(map(len, parts.values())) > _LIMIT:
                yield SourceEntry(f"{shard}:{member.name}", problem="file too large in a tar")
                continue
            file = tar.extractfile(member)
            parts[ending] = b"" if file is None else file.read()
        if parts:
            yield self._sample(shard, f"{name}#{copies + 1}" if copies else name, parts, facts)

    def _sample(
        self, shard: str, name: str, parts: dict[str, bytes], facts: dict[str, str]
    ) -> SourceEntry:
        key = f"{shard}:{name}"
        image = self._picture(parts)
        if image is None:
            return SourceEntry(key, problem="no picture in the sample")
        try:
            facts_in = parse_json(parts.get("json", b"{}"))
            captions = self._captions(parts, facts_in if isinstance(facts_in, dict) else {})
        except DataError:
            raise
        except ValueError:  # a UnicodeDecodeError is one too
            return SourceEntry(key, problem=not_text("caption", self.tree.encoding) + " or JSON")
        if not captions:
            return SourceEntry(key, problem="no caption")
        kept = facts_of(facts_in) if isinstance(facts_in, dict) else {}
        return SourceEntry(key, image, tuple(dict.fromkeys(captions)), {"id": key, **facts, **kept})

    def _picture(self, parts: dict[str, bytes]) -> bytes | None:
        wanted = self.options.image_column.lower()
        if wanted:
            if wanted in parts:
                self.applied.add("--image-column")
            return parts.get(wanted)
        found = [ending for ending in parts if is_picture(f"x.{ending}")]
        return parts[min(found, key=lambda ending: ending.count("."))] if found else None

    def _captions(self, parts: dict[str, bytes], row: dict[str, Any]) -> list[Caption]:
        captions: list[Caption] = []
        for column in self.options.text_columns:
            value = value_at({"json": row, **row}, column)
            if value is None and column.lower() in parts:
                value = lines_of(self.decoded(parts[column.lower()]))
            if value is not None:
                self.applied.add(f"--text-column {column}")
                captions += self.captions_of(value)
        if self.options.text_columns:
            return captions
        for ending in _TEXT:
            for line in lines_of(self.decoded(parts.get(ending, b""))):
                captions += self.captions_of(line)
        for column in _KEYS:
            captions += self.captions_of(row.get(column))
        label = self.decoded(parts.get("cls", b"")).strip()
        if not captions and label and not label.startswith("-"):
            captions = self.of_class(label)
        return captions
