"""Finding pictures by words or by a picture: an index of vectors of a folder or a store.

An index is a folder: ``index.json`` names the files that belong to it, vectors and pictures (and a
graph), and is replaced last, so that a reader sees the old index or the whole new one. Until then
its name is ``.index-next.json``, which tells the next run what a killed one has left. Below
:data:`EXACT_BELOW` pictures the search compares with every one; above, a graph of neighbours
(HNSW, Malkov and Yashunin 2016, by usearch) is searched, and what it finds is ranked exactly.
"""

from __future__ import annotations

import json
import warnings
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError

from limner.arrays import Floats
from limner.data.pictures import PictureError, whole
from limner.errors import DataError, MissingExtraError, UsageError
from limner.files import (
    json_text,
    locked,
    make_folder,
    remove_parts,
    whole_file,
    write_json,
    write_text,
)
from limner.reading.aligner import load_aligner
from limner.reading.sources import SIDE, IndexedPicture, open_pictures
from limner.vision.aligner import Aligner
from limner.vision.pixels import to_tensor

FORMAT = 1
_HEADER, _NEXT, _LOCK = "index.json", ".index-next.json", ".index.lock"
EXACT_BELOW = 100_000
"""Pictures from which on a graph of neighbours is built."""
WEAK_MATCH = 0.42
"""A best cosine of the shipped aligner below which probably no picture matches the words.

``docs/reading.md`` says how it was measured."""
_BATCH = 64
_CONNECTIVITY, _EXPANSION_ADD, _EXPANSION_SEARCH = 32, 128, 192
_CHECKSUM = ".crc32"
_CANDIDATES = 4
"""Times as many as wanted are taken from the graph, to be ranked exactly."""


def _file_name(value: object) -> str:
    # pydantic's own str refuses names that are not UTF-8, which Python reads with surrogates
    if not isinstance(value, str):
        raise ValueError("must be a string")
    return value


FileName = Annotated[str, PlainValidator(_file_name)]


class IndexHeader(BaseModel):
    """``index.json``: what was indexed, by which aligner, and which files belong to it.

    Attributes:
        format: of the index.
        source: absolute path of the folder or store.
        kind: which of the two it is.
        aligner: spec of the aligner that made the vectors.
        fingerprint: of that aligner.
        dim: numbers in a vector.
        count: pictures.
        files: part of the names of the files that belong to it.
        skipped: what was left out, by name, and why.
    """

    model_config = ConfigDict(extra="forbid")

    format: int
    source: FileName
    kind: Literal["folder", "store"]
    aligner: FileName
    fingerprint: str
    dim: int = Field(ge=1, le=65_536)
    count: int = Field(ge=0)
    files: str = Field(pattern=r"^[0-9a-f]{8}$")
    skipped: dict[FileName, FileName] = {}

    def paths(self, index: Path) -> tuple[Path, Path, Path, Path]:
        """The files of an index: pictures, vectors, and the graph with its checksum (or none)."""
        names = ("entries-{}.jsonl", "vectors-{}.npy", "graph-{}.usearch", "graph-{}.crc32")
        pictures, vectors, graph, checksum = (index / name.format(self.files) for name in names)
        return pictures, vectors, graph, checksum


@dataclass(frozen=True)
class Hit:
    """One picture that was found.

    Attributes:
        name: path below the folder, or row of the store.
        score: cosine of its vector and that of the query, in [-1, 1].
        caption: of the picture; empty where it has none.
    """

    name: str
    score: float
    caption: str


class Neighbours:
    """Which of N vectors are nearest to another: exactly, or by a graph where there are many.

    Args:
        vectors: ``(N, E)`` float32 of unit length.
        graph: file of the graph, with its checksum beside it; None for an exact search.
        build: make the graph where its file is missing or damaged; False to search exactly then.

    Raises:
        MissingExtraError: usearch is not installed.
        DataError: the graph cannot be written.
    """

    def __init__(self, vectors: Floats, graph: Path | None = None, *, build: bool = True) -> None:
        self.vectors = vectors
        self._graph: Any = None if graph is None else _open_graph(vectors, graph)
        if graph is not None and self._graph is None and build:
            self._graph = _build_graph(vectors, graph)

    @property
    def exact(self) -> bool:
        """Whether every vector is compared."""
        return self._graph is None

    def nearest(self, query: Floats, count: int) -> tuple[NDArray[np.int64], Floats]:
        """The ``count`` nearest to ``(E,)``, best first: rows and cosines."""
        if self._graph is None:
            scores = self.vectors @ query
            rows = np.arange(len(scores))
        else:
            found = self._graph.search(query, min(len(self.vectors), _CANDIDATES * count))
            rows = np.asarray(found.keys).astype(np.int64)
            scores = self.vectors[rows] @ query
        count = min(count, len(rows))
        best = np.argpartition(-scores, count - 1)[:count] if count else np.zeros(0, np.int64)
        best = best[np.argsort(-scores[best], kind="stable")]
        return rows[best], scores[best]


def _empty_graph(vectors: Floats) -> Any:
    try:
        from usearch.index import Index
    except ImportError as error:
        raise MissingExtraError(
            "usearch", "search", f"an index of {len(vectors):,} pictures"
        ) from error
    return Index(
        ndim=vectors.shape[1], metric="ip", dtype="f16", connectivity=_CONNECTIVITY,
        expansion_add=_EXPANSION_ADD, expansion_search=_EXPANSION_SEARCH,
    )  # fmt: skip


def _open_graph(vectors: Floats, path: Path) -> Any | None:
    """The graph in a file, mapped into memory; None if it is missing, damaged or of other vectors.

    A damaged one may end the process while it is searched, so its checksum is compared before.
    """
    graph = _empty_graph(vectors)
    if not path.is_file():
        return None
    try:
        known = path.with_suffix(_CHECKSUM)
        if known.exists() and known.read_text("ascii") != _checksum(path):
            return None
        graph.view(str(path))
    except (OSError, ValueError, RuntimeError):  # of an older limner, and cut short
        return None
    return graph if (len(graph), graph.ndim) == vectors.shape else None


def _build_graph(vectors: Floats, path: Path) -> Any:
    graph = _empty_graph(vectors)
    graph.add(np.arange(len(vectors)), vectors)
    path.with_suffix(_CHECKSUM).unlink(missing_ok=True)
    with whole_file(path, DataError, sync=True) as part:
        graph.save(str(part))
    write_text(path.with_suffix(_CHECKSUM), _checksum(path), DataError)
    return graph


def _checksum(path: Path) -> str:
    checksum = 0
    with path.open("rb") as file:
        while part := file.read(1 << 24):
            checksum = zlib.crc32(part, checksum)
    return f"{checksum:08x}"


class PictureIndex:
    """An index that can be searched.

    Args:
        path: its folder.
        aligner: what encodes queries; None for the one that it was made with.

    Raises:
        DataError: it is missing, damaged, or made with another aligner.
        ModelFileError: the aligner that it was made with is not there any more.
    """

    def __init__(self, path: Path, aligner: Aligner | None = None) -> None:
        self.path = path
        self.header, vectors, self.entries = _read_index(path)
        self.aligner = aligner or load_aligner(self.header.aligner)
        if self.aligner.fingerprint != self.header.fingerprint:
            raise DataError(
                f"{path} was made with another aligner than {self.aligner.spec}; make it again "
                f"with 'limner index'"
            )
        graph = self.header.paths(path)[2] if len(vectors) >= EXACT_BELOW else None
        self._near = Neighbours(vectors, graph, build=False)
        if graph is not None and self._near.exact:
            warnings.warn(
                f"{graph} is missing or damaged, so every picture is compared, which is slower; "
                f"make the index again with 'limner index'",
                stacklevel=2,
            )

    def by_text(self, text: str, count: int = 12) -> list[Hit]:
        """The ``count`` pictures that match a text best, best first.

        Raises:
            UsageError: the text is empty, or no picture is asked for.
            PromptError: the text encoder refuses the text.
        """
        if not text.strip():
            raise UsageError("the text to search for is empty; write what the picture shows")
        return self._hits(self.aligner.encode_texts([text])[0].numpy(), count)

    def by_picture(self, picture: Path | bytes, count: int = 12) -> list[Hit]:
        """The ``count`` pictures most similar to another, a file or its bytes, best first.

        Raises:
            UsageError: no picture is asked for.
            DataError: the picture cannot be read.
        """
        return self._hits(_encode_file(self.aligner, picture).numpy(), count)

    def _hits(self, query: Floats, count: int) -> list[Hit]:
        if count < 1:
            raise UsageError(f"{count} pictures cannot be found; ask for one or more")
        rows, scores = self._near.nearest(_finite(query), count)
        found = zip(rows.tolist(), scores.tolist(), strict=True)
        return [
            Hit(self.entries[row].name, score, self.entries[row].caption) for row, score in found
        ]

    def pictures(self, hits: Sequence[Hit]) -> list[Image.Image]:
        """The pictures of hits; a grey one where a picture cannot be read any more.

        Raises:
            DataError: the folder or store that was indexed is not there any more.
        """
        source = open_pictures(Path(self.header.source))
        found = source.pixels([hit.name for hit in hits])
        blank = Image.new("RGB", (64, 64), (200, 200, 200))
        return [blank if isinstance(each, str) else Image.fromarray(each) for each in found]


class Match(NamedTuple):
    """How well a text matches a picture.

    Attributes:
        text: as it was given.
        score: cosine, in [-1, 1].
        chance: probability that it is the right one, if one of all the texts is.
    """

    text: str
    score: float
    chance: float


def classify(aligner: Aligner, picture: Path | bytes, texts: Sequence[str]) -> list[Match]:
    """Which of some texts match a picture, the best first (zero-shot classification).

    Args:
        aligner: encodes the picture and the texts.
        picture: file, or its bytes.
        texts: at least one.

    Raises:
        DataError: the picture cannot be read.
        UsageError: no text is given, or one of them is empty.
    """
    if not texts or not all(text.strip() for text in texts):
        raise UsageError("name at least one text that may describe the picture, and no empty one")
    image, words = _encode_file(aligner, picture), aligner.encode_texts(texts)
    scores = _finite((words @ image).numpy())
    chances = aligner.logits(image[None], words)[0].softmax(0)
    found = zip(texts, scores.tolist(), chances.tolist(), strict=True)
    return sorted((Match(*each) for each in found), key=lambda match: -match.score)


def _encode_file(aligner: Aligner, picture: Path | bytes) -> torch.Tensor:
    """The ``(E,)`` vector of a picture file."""
    try:
        pixels = whole(picture, SIDE)
    except PictureError as error:
        name = picture if isinstance(picture, Path) else "the file"
        raise DataError(f"{name} cannot be read as a picture: {error}") from error
    return aligner.encode_images(to_tensor([pixels]))[0]


def _finite(vectors: Floats) -> Floats:
    if not np.isfinite(vectors).all():
        raise DataError("the aligner gives vectors that are not finite numbers; it is damaged")
    return vectors


def build_index(
    source: Path,
    out: Path,
    aligner: Aligner,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> PictureIndex:
    """Make an index, or bring one up to date: only new and changed pictures are encoded.

    Args:
        source: a folder of pictures, or a store.
        out: the index, a folder. Of the files in it only those of its own index are replaced.
        aligner: what encodes the pictures.
        on_progress: called with (pictures encoded, all that have to be).

    Raises:
        DataError: nothing can be read, the index cannot be written, or ``out`` holds an
            ``index.json`` that is no index.
        MissingExtraError: there are many pictures, and usearch is not installed.
    """
    previous = _header_of(out)
    pictures = open_pictures(source)
    listed = pictures.pictures()
    skipped = dict(pictures.problems)
    if not listed:
        raise DataError(f"there is no picture in {source}")
    known = _known_vectors(out, previous, aligner)
    new = [each for each in listed if (each.name, each.stamp) not in known]
    for start in range(0, len(new), _BATCH):
        part = new[start : start + _BATCH]
        pixels = pictures.pixels([each.name for each in part])
        good = [(e, p) for e, p in zip(part, pixels, strict=True) if not isinstance(p, str)]
        skipped |= {e.name: p for e, p in zip(part, pixels, strict=True) if isinstance(p, str)}
        if good:
            vectors = _finite(aligner.encode_images(to_tensor([p for _, p in good])).numpy())
            known |= {(e.name, e.stamp): v for (e, _), v in zip(good, vectors, strict=True)}
        on_progress(start + len(part), len(new))
    kept = [each for each in listed if (each.name, each.stamp) in known]
    if not kept:
        name, reason = next(iter(skipped.items()))
        raise DataError(f"no picture in {source} can be read, {name} first: {reason}")
    stacked = np.stack([known[each.name, each.stamp] for each in kept]).astype(np.float32)
    lines = "".join(json_text(asdict(each)) + "\n" for each in kept).encode()
    header = IndexHeader(
        format=FORMAT, source=str(source.absolute()), kind=pictures.kind, aligner=aligner.spec,
        fingerprint=aligner.fingerprint, dim=stacked.shape[1], count=len(kept),
        files=f"{zlib.crc32(lines, zlib.crc32(stacked.data)):08x}", skipped=skipped,
    )  # fmt: skip
    _write_index(out, header, lines, stacked)
    if previous is not None and previous.files != header.files:
        for stale in previous.paths(out):
            stale.unlink(missing_ok=True)
    return PictureIndex(out, aligner)


def _header_of(out: Path) -> IndexHeader | None:
    """The header of the index that is to be replaced; None where there is no file of that name."""
    try:
        return read_header(out)
    except DataError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise DataError(f"{error}; it is not replaced, so name another folder") from error


def _known_vectors(
    out: Path, previous: IndexHeader | None, aligner: Aligner
) -> dict[tuple[str, str], Floats]:
    """The vectors of the previous index, by name and stamp, if the same aligner made them."""
    if previous is None or previous.fingerprint != aligner.fingerprint:
        return {}
    try:
        vectors, pictures = _read_files(out, previous)
    except DataError:  # damaged: encoded anew
        return {}
    return {(e.name, e.stamp): v for e, v in zip(pictures, vectors, strict=True)}


def _write_index(out: Path, header: IndexHeader, lines: bytes, vectors: Floats) -> None:
    """The files first, then the header that names them."""
    pictures, array, graph, _ = header.paths(out)
    make_folder(out, DataError)
    with locked(out / _LOCK, DataError, f"the index {out}"):
        _clear(out)
        try:
            write_json(out / _NEXT, header.model_dump(), DataError)
            with whole_file(pictures, DataError) as part:
                part.write_bytes(lines)
            with whole_file(array, DataError) as part, part.open("wb") as file:
                np.save(file, vectors, allow_pickle=False)
            if len(vectors) >= EXACT_BELOW:
                Neighbours(vectors, graph)
            (out / _NEXT).replace(out / _HEADER)
        except OSError as error:
            raise DataError(f"cannot write {out / _HEADER}: {error.strerror or error}") from error
        finally:
            _clear(out)


def _clear(out: Path) -> None:
    """Remove what belongs to a header that has not become the index's."""
    remove_parts(out)
    with suppress(DataError):
        coming, now = read_header(out, _NEXT), None
        with suppress(DataError):
            now = read_header(out)
        for path in coming.paths(out) if now is None or now.files != coming.files else ():
            path.unlink(missing_ok=True)
        (out / _NEXT).unlink()


def read_header(path: Path, name: str = _HEADER) -> IndexHeader:
    """What the index in a folder says of itself.

    Raises:
        DataError: the file of that name is missing or damaged.
    """
    file = path / name
    try:
        header = IndexHeader.model_validate(json.loads(file.read_bytes()))
    except FileNotFoundError as error:
        raise DataError(f"there is no index in {path}; make one with 'limner index'") from error
    except NotADirectoryError as error:
        raise DataError(f"{path} is a file, and an index is a folder") from error
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        first = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise DataError(f"{file} is not the header of an index: {first}") from error
    if header.format != FORMAT:
        raise DataError(f"{file} is of format {header.format}, this limner reads {FORMAT}")
    return header


def _read_index(path: Path) -> tuple[IndexHeader, Floats, list[IndexedPicture]]:
    """An index, read again where another process replaces it meanwhile."""
    header = read_header(path)
    while True:
        try:
            return header, *_read_files(path, header)
        except DataError:
            now = read_header(path)
            if now.files == header.files:
                raise
            header = now


def _read_files(path: Path, header: IndexHeader) -> tuple[Floats, list[IndexedPicture]]:
    pictures, array, *_ = header.paths(path)
    try:
        vectors = np.load(array, mmap_mode="r", allow_pickle=False)
        lines = pictures.read_text(encoding="utf-8").split("\n")
        entries = [IndexedPicture(**json.loads(line)) for line in lines if line]
    except (OSError, ValueError, TypeError, EOFError, RecursionError) as error:
        raise DataError(f"the index {path} is damaged ({error}); make it again") from error
    if vectors.shape != (header.count, header.dim) or vectors.dtype != np.float32:
        raise DataError(f"the index {path} is damaged: its vectors do not fit; make it again")
    texts = all(isinstance(value, str) for each in entries for value in asdict(each).values())
    if len(entries) != header.count or not texts:
        raise DataError(f"the index {path} is damaged: its pictures do not fit; make it again")
    return vectors, entries
