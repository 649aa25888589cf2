"""IDX, the format of MNIST and its family (http://yann.lecun.com/exdb/mnist)."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from limner.data.readers.base import SourceEntry, SourceReader, shards
from limner.data.tree import FileTree
from limner.errors import DataError

_ENDINGS = (
    "images-idx3-ubyte", "images-idx3-ubyte.gz", "images.idx3-ubyte", "images.idx3-ubyte.gz",
    "images-idx4-ubyte", "images-idx4-ubyte.gz",
)  # fmt: skip
_LIMIT = 4 << 30


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, gzipped or not.

    Returns:
        uint8 array of the shape its header tells.

    Raises:
        DataError: it is missing, damaged, or holds another type.
    """
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
        with cast("IO[bytes]", gzip.open(path) if zipped else path.open("rb")) as file:
            zero, kind, rank = struct.unpack(">HBB", file.read(4))
            if zero or kind != 8 or not 1 <= rank <= 4:
                raise DataError(f"{path} is not an IDX file of unsigned bytes")
            shape = struct.unpack(f">{rank}I", file.read(4 * rank))
            length = int(np.prod([int(n) for n in shape], dtype=object))
            if length > _LIMIT:
                raise DataError(f"{path} claims {length} bytes, more than limner reads at once")
            data = file.read(length + 1)
    except (OSError, EOFError, struct.error, zlib.error) as error:
        raise DataError(f"{path} is not a readable IDX file: {error}") from error
    if len(data) != length:
        raise DataError(f"{path} is damaged: its header claims {length} bytes of data")
    return np.frombuffer(data, np.uint8).reshape(shape)


class IdxReader(SourceReader):
    """``*-images-idx3-ubyte`` with ``*-labels-idx1-ubyte`` beside; one file or a folder."""

    name = "idx"

    @classmethod
    def detects(cls, tree: FileTree) -> bool:
        """An IDX file of images, or a folder with some."""
        return any(path.name.lower().endswith(_ENDINGS) for path in shards(tree, *_ENDINGS))

    def _labels(self, images: Path) -> NDArray[np.uint8]:
        stem = images.name.removesuffix(".gz").replace("images", "labels")
        stem = stem.replace("idx3", "idx1").replace("idx4", "idx1")
        for name in (stem, f"{stem}.gz"):
            if (images.parent / name).is_file():
                self.used.update((images.parent / stem, images.parent / f"{stem}.gz"))
                return read_idx(images.parent / name)
        raise DataError(f"{images} has no labels beside it ({stem} or {stem}.gz)")

    def entries(self) -> Iterator[SourceEntry]:
        """Yield the pictures of every file."""
        found = shards(self.tree, *_ENDINGS)
        if not found:
            raise DataError(f"{self.tree.path} holds no IDX file of images")
        read = set()
        for path in found:
            self.used.add(path)
            plain = path.name.removesuffix(".gz")
            if plain in read:
                continue  # the same file, once plain and once gzipped
            read.add(plain)
            images, labels = read_idx(path), self._labels(path)
            if labels.ndim != 1 or len(labels) != len(images):
                raise DataError(f"{path} holds {len(images)} pictures but {labels.shape} labels")
            split = plain.split("-")[0]
            for number, (image, label) in enumerate(zip(images, labels, strict=True)):
                key = f"{split}:{number}"
                metadata = {"id": key, "label": int(label), "split": split}
                yield SourceEntry(key, np.array(image), tuple(self.of_class(str(label))), metadata)
