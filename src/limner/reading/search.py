"""Finding pictures by words or by a picture: an index of vectors beside a folder or a store.

An index is a folder: ``index.json`` names the two files that belong together, vectors and entries,
and is replaced last, so that a reader sees the old index or the whole new one. Below
:data:`EXACT_BELOW` pictures the search compares with every one; above, a graph of neighbours
(HNSW, Malkov and Yashunin 2016, by usearch) is asked, and what it finds is ranked exactly.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from limner.data.pictures import PictureError, whole
from limner.errors import DataError, MissingExtraError, UsageError
from limner.files import whole_file, write_json
from limner.reading.aligner import Aligner, load_aligner
from limner.reading.sources import SIDE, Entry, open_source
from limner.vision.pixels import to_tensor

FORMAT = 1
EXACT_BELOW = 100_000
"""Pictures from which on a graph of neighbours is built."""
_BATCH = 64
_CONNECTIVITY, _EXPANSION_ADD, _EXPANSION_SEARCH = 32, 128, 192
_AMONG = 4
"""Times as many as wanted are taken from the graph, to be ranked exactly."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Hit:
    """One picture that was found.

    Attributes:
        name: see :class:`Entry`.
        score: cosine with what was asked for, in [-1, 1].
        caption: see :class:`Entry`.
    """

    name: str
    score: float
    caption: str


class Head(BaseModel):
    """``index.json``: what was indexed, by which aligner, and which files belong to it."""

    model_config = ConfigDict(extra="forbid")

    format: int
    source: str
    kind: str
    aligner: str
    fingerprint: str
    dim: int = Field(ge=1, le=65_536)
    count: int = Field(ge=0)
    files: str = Field(pattern=r"^[0-9a-f]{8}$")
    skipped: dict[str, str] = {}


# -- the index --------------------------------------------------------------------------------


class Neighbours:
    """Which of N vectors lie nearest to another: exactly, or by a graph where there are many.

    Args:
        vectors: ``(N, E)`` float32 of unit length.
        graph: file of the graph; read where it is there, written where it is not. None for an
            exact search.
    """

    def __init__(self, vectors: Floats, graph: Path | None = None) -> None:
        self.vectors = vectors
        self._graph: Any = None if graph is None else _graph(vectors, graph)

    def nearest(self, wanted: Floats, count: int) -> tuple[NDArray[np.int64], Floats]:
        """The ``count`` nearest to ``(E,)``, best first: rows and cosines."""
        if self._graph is None:
            scores = self.vectors @ wanted
            rows = np.arange(len(scores))
        else:
            found = self._graph.search(wanted, min(len(self.vectors), _AMONG * count))
            rows = np.asarray(found.keys).astype(np.int64)
            scores = self.vectors[rows] @ wanted
        count = min(count, len(rows))
        best = np.argpartition(-scores, count - 1)[:count] if count else np.zeros(0, np.int64)
        best = best[np.argsort(-scores[best], kind="stable")]
        return rows[best], scores[best]


def _graph(vectors: Floats, path: Path) -> Any:
    try:
        from usearch.index import Index
    except ImportError as error:
        raise MissingExtraError(
            "usearch", "search", f"an index of {len(vectors):,} pictures"
        ) from error
    shape = {
        "ndim": vectors.shape[1], "metric": "ip", "dtype": "f16", "connectivity": _CONNECTIVITY,
        "expansion_add": _EXPANSION_ADD, "expansion_search": _EXPANSION_SEARCH,
    }  # fmt: skip
    graph = Index(**shape)
    if path.is_file():
        graph.view(str(path))
        if len(graph) == len(vectors):
            return graph
        graph = Index(**shape)
    graph.add(np.arange(len(vectors)), vectors)
    with whole_file(path, DataError) as part:
        graph.save(str(part))
    return graph


class PictureIndex:
    """An index that can be asked.

    Args:
        path: its folder.
        aligner: what reads questions; None for the one that it was made with.

    Raises:
        DataError: it is missing, damaged, or made with another aligner.
    """

    def __init__(self, path: Path, aligner: Aligner | None = None) -> None:
        self.path, self.head = path, read_head(path)
        vectors, entries = _read_files(path, self.head)
        self.entries = entries
        self.aligner = aligner or load_aligner(self.head.aligner)
        if self.aligner.fingerprint != self.head.fingerprint:
            raise DataError(
                f"{path} was made with another aligner than {self.aligner.spec}; make it again "
                f"with 'limner index'"
            )
        many = len(entries) >= EXACT_BELOW
        graph = path / f"graph-{self.head.files}.usearch" if many else None
        self._near = Neighbours(vectors, graph)

    def by_text(self, text: str, count: int = 12) -> list[Hit]:
        """The pictures that go best with some words."""
        return self._hits(self.aligner.read([text])[0].numpy(), count)

    def by_picture(self, picture: Path, count: int = 12) -> list[Hit]:
        """The pictures most like another.

        Raises:
            DataError: it cannot be read.
        """
        return self._hits(_look(self.aligner, picture).numpy(), count)

    def _hits(self, wanted: Floats, count: int) -> list[Hit]:
        if count < 1:
            raise UsageError(f"{count} pictures cannot be found; ask for one or more")
        rows, scores = self._near.nearest(wanted, count)
        found = zip(rows.tolist(), scores.tolist(), strict=True)
        return [
            Hit(self.entries[row].name, score, self.entries[row].caption) for row, score in found
        ]

    def pictures(self, hits: Sequence[Hit]) -> list[Image.Image]:
        """What was found, to be looked at; grey where a picture is no longer there."""
        source = open_source(Path(self.head.source))
        found = source.pixels([hit.name for hit in hits])
        blank = Image.new("RGB", (64, 64), (200, 200, 200))
        return [blank if isinstance(each, str) else Image.fromarray(each) for each in found]


class Match(NamedTuple):
    """How well a text goes with a picture.

    Attributes:
        text: as it was given.
        score: cosine, in [-1, 1].
        chance: that it is the right one, if one of all the texts is.
    """

    text: str
    score: float
    chance: float


def classify(aligner: Aligner, picture: Path, texts: Sequence[str]) -> list[Match]:
    """Which of some texts go with a picture, the best first (zero-shot classification).

    Args:
        aligner: who judges.
        picture: file.
        texts: at least one.

    Raises:
        DataError: the picture cannot be read.
        UsageError: no text is given.
    """
    if not texts:
        raise UsageError("name at least one text that the picture may go with")
    seen, said = _look(aligner, picture), aligner.read(texts)
    scores, chances = (said @ seen), aligner.logits(seen[None], said)[0].softmax(0)
    found = zip(texts, scores.tolist(), chances.tolist(), strict=True)
    return sorted((Match(*each) for each in found), key=lambda match: -match.score)


def _look(aligner: Aligner, picture: Path) -> torch.Tensor:
    """The vector of a picture file."""
    try:
        pixels = whole(picture, SIDE)
    except PictureError as error:
        raise DataError(f"{picture} cannot be looked at: {error}") from error
    return aligner.see(to_tensor([pixels]))[0]


def build_index(
    source: Path,
    out: Path,
    aligner: Aligner,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> PictureIndex:
    """Make an index, or bring one up to date: only new and changed pictures are looked at.

    Args:
        source: a folder of pictures, or a store.
        out: the index, a folder.
        aligner: what looks at the pictures.
        on_progress: called with (pictures looked at, all that have to be).

    Raises:
        DataError: nothing can be read, or the index cannot be written.
    """
    found = open_source(source)
    entries = found.entries()
    if not entries:
        raise DataError(f"there is no picture in {source}")
    known = _known(out, aligner)
    fresh = [entry for entry in entries if (entry.name, entry.stamp) not in known]
    skipped: dict[str, str] = {}
    for start in range(0, len(fresh), _BATCH):
        part = fresh[start : start + _BATCH]
        pixels = found.pixels([entry.name for entry in part])
        good = [(e, p) for e, p in zip(part, pixels, strict=True) if not isinstance(p, str)]
        skipped |= {e.name: p for e, p in zip(part, pixels, strict=True) if isinstance(p, str)}
        if good:
            seen = aligner.see(to_tensor([p for _, p in good])).numpy()
            known |= {(e.name, e.stamp): v for (e, _), v in zip(good, seen, strict=True)}
        on_progress(start + len(part), len(fresh))
    kept = [entry for entry in entries if (entry.name, entry.stamp) in known]
    if not kept:
        name, reason = next(iter(skipped.items()))
        raise DataError(f"no picture in {source} can be read, {name} first: {reason}")
    vectors = np.stack([known[entry.name, entry.stamp] for entry in kept]).astype(np.float32)
    lines = "".join(json.dumps(asdict(entry), ensure_ascii=False) + "\n" for entry in kept)
    tag = zlib.crc32(lines.encode(), zlib.crc32(vectors.tobytes()))
    head = Head(
        format=FORMAT, source=str(source.absolute()), kind=found.kind, aligner=aligner.spec,
        fingerprint=aligner.fingerprint, dim=vectors.shape[1], count=len(kept),
        files=f"{tag:08x}", skipped=skipped,
    )  # fmt: skip
    _write(out, head, lines, vectors)
    return PictureIndex(out, aligner)


def _known(out: Path, aligner: Aligner) -> dict[tuple[str, str], Floats]:
    """The vectors of an index that is there, if the same aligner made them."""
    try:
        head = read_head(out)
        if head.fingerprint != aligner.fingerprint:
            return {}
        vectors, entries = _read_files(out, head)
    except DataError:
        return {}
    return {(e.name, e.stamp): v for e, v in zip(entries, vectors, strict=True)}


def _write(out: Path, head: Head, lines: str, vectors: Floats) -> None:
    """The files first, then the head that names them, then away with the old ones."""
    with whole_file(out / f"entries-{head.files}.jsonl", DataError) as part:
        part.write_text(lines, encoding="utf-8")
    with whole_file(out / f"vectors-{head.files}.npy", DataError) as part, part.open("wb") as file:
        np.save(file, vectors, allow_pickle=False)
    write_json(out / "index.json", head.model_dump(), DataError)
    for stale in _files_of(out):
        if head.files not in stale.name:
            stale.unlink(missing_ok=True)


def _files_of(path: Path) -> Iterator[Path]:
    for pattern in ("entries-*.jsonl", "vectors-*.npy", "graph-*.usearch"):
        yield from path.glob(pattern)


def read_head(path: Path) -> Head:
    """What an index says of itself.

    Raises:
        DataError: it is missing or damaged.
    """
    file = path / "index.json"
    try:
        head = Head.model_validate_json(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"there is no index in {path}; make one with 'limner index'") from error
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        first = str(error).splitlines()[0]
        raise DataError(f"{file} is no index that can be read: {first}") from error
    if head.format != FORMAT:
        raise DataError(f"{file} is of format {head.format}, this limner reads {FORMAT}")
    return head


def _read_files(path: Path, head: Head) -> tuple[Floats, list[Entry]]:
    try:
        vectors = np.load(path / f"vectors-{head.files}.npy", mmap_mode="r", allow_pickle=False)
        text = (path / f"entries-{head.files}.jsonl").read_text(encoding="utf-8")
        entries = [Entry(**json.loads(line)) for line in text.splitlines()]
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"the index {path} is damaged ({error}); make it again") from error
    if vectors.shape != (head.count, head.dim) or vectors.dtype != np.float32:
        raise DataError(f"the index {path} is damaged: its vectors do not fit; make it again")
    if len(entries) != head.count:
        raise DataError(f"the index {path} is damaged: its entries do not fit; make it again")
    return vectors, entries
