"""The gallery: all pictures that the server has drawn, with their prompts and settings.

Files are in a folder, their metadata in a database (``gallery_tables.py``). A file is written
before its row and deleted after it, and only pictures with a row are shown. Files without a row,
left by killed processes, are removed by :meth:`Gallery.sweep`.
"""

from __future__ import annotations

import os
import re
import secrets
import sys
import threading
import time
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import ColumnElement
from sqlmodel import Session, and_, col, delete, func, or_, select, update

from limner.errors import DataError, UsageError
from limner.files import make_folder, whole_file
from limner.generation.formats import PictureFormat
from limner.generation.records import record_of
from limner.generation.votes import PICTURE_ID
from limner.serving.gallery_links import SignedLinks
from limner.serving.gallery_tables import Database, GalleryChoice, GalleryPicture, GalleryUsage

if TYPE_CHECKING:
    from limner.generation.picture import Picture
    from limner.serving.wire import OutputFormat
    from limner.vision.aligner import Aligner

MOST_LISTED = 100
MOST_WORDS = 16
_ROWS, _FILES, _KEY, _INDEX = "gallery.sqlite", "files", "links.key", "index"
_OWN_FILE = re.compile(r"[0-9a-f]{32}\.(png|webp|jpeg|svg|gif)|\.[0-9a-f]{12}-[0-9a-f]{12}\.part")
_CURSOR = re.compile(r"([0-9]{1,15})-([0-9a-f]{32})")
_BATCH = 500
_GRACE_SECONDS = 600.0
"""Age in seconds below which a file without a row may still be in the process of being added."""
_DAY = 86_400
_T = TypeVar("_T")


def default_gallery() -> Path:
    """``gallery`` in ``$LIMNER_DATA``, or in the folder where this platform keeps users' data.

    Raises:
        UsageError: the user has no home folder.
    """
    override = os.environ.get("LIMNER_DATA")
    try:
        if override:
            return Path(override).expanduser() / "gallery"
        if sys.platform == "win32":
            base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        elif sys.platform == "darwin":
            base = Path.home() / "Library" / "Application Support"
        else:
            base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    except RuntimeError as error:
        raise UsageError(
            "there is no home folder for the gallery: give --gallery FOLDER, or set LIMNER_DATA"
        ) from error
    return base / "limner" / "gallery"


class Gallery:
    """A searchable collection of pictures; any number of processes may use it.

    Args:
        folder: the folder of the files and, by default, of the database; created if missing.
        database: URL of the database, see :class:`limner.serving.gallery_tables.Database`; None for
            SQLite in the folder.

    Raises:
        DataError: the folder or database cannot be used, or they do not belong together.

    Attributes:
        files: the folder of the files.
        links: temporary addresses of pictures.
    """

    def __init__(self, folder: Path, database: str | None = None) -> None:
        folder = folder.absolute()
        self.files = folder / _FILES
        if not folder.exists():
            make_folder(folder, DataError)
            with suppress(OSError):
                folder.chmod(0o700)
        self._rows = Database(database or f"sqlite:///{folder / _ROWS}")
        if not self.files.is_dir():
            with self._rows.reading() as session:
                known = session.exec(select(GalleryPicture.id).limit(1)).first()
            # Checked again: another process may have created the folder and written rows since.
            if known is not None and not self.files.is_dir():
                raise DataError(
                    f"{self.files} is missing, and the gallery's database {self._rows.name} has "
                    "rows of its pictures: name the folder that holds them"
                )
            make_folder(self.files, DataError)
        self.links = SignedLinks(folder / _KEY)
        self._index, self._indexing = folder / _INDEX, threading.Lock()

    def close(self) -> None:
        """Close the connections to the database."""
        self._rows.close()

    def add(
        self,
        picture: Picture,
        data: bytes,
        kind: OutputFormat,
        owner: str,
        *,
        size: tuple[int, int],
        scores: Mapping[str, float] | None = None,
        flags: Sequence[Mapping[str, str]] = (),
    ) -> GalleryPicture:
        """Add a picture: first its file, then its row.

        Args:
            picture: the picture.
            data: content of its file.
            kind: format of the file.
            owner: the user it was drawn for, and the only one it is shown to.
            size: width and height of the file, in pixels.
            scores: scores by the names of the scorers.
            flags: moderation flags, with category and stage.

        Raises:
            DataError: the file or row cannot be written.
        """
        drawn = [each.drawn for each in picture.drawn_from if each.replaced]
        row = GalleryPicture(
            id=secrets.token_hex(16), created=time.time_ns() // 1_000_000, owner=owner,
            prompt=picture.prompt, words=folded("\n".join([picture.prompt, *drawn])),
            seed=picture.seed, model=picture.model, format=str(kind), bytes=len(data),
            width=size[0], height=size[1],
            record=record_of(picture).model_dump(mode="json", exclude_none=True),
            scores=None if scores is None else dict(scores), flags=[dict(each) for each in flags],
            sources=[each.model_dump() for each in picture.sources],
        )  # fmt: skip
        path = self.path(row)
        with whole_file(path, DataError) as part:
            part.write_bytes(data)
        try:
            with self._rows.writing() as session:
                session.add(row)
        except DataError:
            path.unlink(missing_ok=True)
            raise
        return row

    def path(self, row: GalleryPicture) -> Path:
        """Path of a picture's file."""
        return self.files / row.id[:2] / f"{row.id}.{row.format}"

    def read(self, row: GalleryPicture) -> bytes:
        """Read the file of a picture.

        Raises:
            DataError: it was deleted, or is damaged.
        """
        with suppress(OSError):
            data = self.path(row).read_bytes()
            if len(data) == row.bytes:
                return data
        raise DataError(f"the file of the picture {row.id} is not in the gallery any more")

    def get(self, name: str, owner: str | None = None) -> GalleryPicture:
        """A picture by its id.

        Args:
            name: the id, possibly untrusted.
            owner: the required owner; None for any.

        Raises:
            UsageError: there is none, or it has another owner; the message does not tell which.
        """
        if PICTURE_ID.fullmatch(name):
            with self._rows.reading() as session:
                row = session.get(GalleryPicture, name)
            if row is not None and owner in (None, row.owner):
                return row
        raise UsageError("there is no such picture in the gallery")

    def find(
        self,
        owner: str | None = None,
        *,
        query: str = "",
        liked: bool = False,
        cursor: str | None = None,
        limit: int = 20,
    ) -> list[GalleryPicture]:
        """Find pictures, the newest first.

        Args:
            owner: only pictures of this user; None for all.
            query: words, each of which must occur in the prompt or in what was drawn for it. The
                search ignores case and matches within words, so that Chinese needs no spaces.
            liked: only pictures with a thumb up.
            cursor: continue after this picture, see :func:`cursor_of`.
            limit: 1 to 100.

        Raises:
            UsageError: the cursor is invalid, the limit too large, or there are too many words.
        """
        if not 1 <= limit <= MOST_LISTED:
            raise UsageError(f"{limit} pictures cannot be listed at once; ask for 1 to 100")
        wanted = select(GalleryPicture).where(*_conditions(owner, query, liked))
        if cursor is not None:
            wanted = wanted.where(_behind(cursor))
        order = col(GalleryPicture.created).desc(), col(GalleryPicture.id).desc()
        with self._rows.reading() as session:
            return list(session.exec(wanted.order_by(*order).limit(limit)))

    def all(
        self, owner: str | None = None, *, query: str = "", liked: bool = False
    ) -> Iterator[GalleryPicture]:
        """As :meth:`find` without a limit; yields page by page."""
        cursor = None
        while page := self.find(owner, query=query, liked=liked, cursor=cursor, limit=MOST_LISTED):
            yield from page
            cursor = cursor_of(page[-1])

    def similar(
        self,
        picture: Path | bytes,
        owner: str | None = None,
        *,
        liked: bool = False,
        limit: int = 20,
        aligner: Aligner | None = None,
    ) -> list[GalleryPicture]:
        """The pictures most similar to one, best first, by the shipped aligner's embeddings.

        The files are indexed as by ``limner index``; new ones are encoded first. SVG files are
        ignored.

        Args:
            picture: a file, or its bytes.
            owner: only pictures of this user; None for all.
            liked: only pictures with a thumb up.
            limit: number of results.
            aligner: the shipped aligner, if it is already loaded.

        Raises:
            DataError: the picture cannot be read, or no file of the gallery can.
        """
        rows = {
            row.id: row for row in self.all(owner, liked=liked) if row.format != PictureFormat.SVG
        }
        if not rows:
            return []
        # imported here, as torch takes seconds
        from limner.reading.aligner import load_aligner
        from limner.reading.search import build_index

        with self._indexing:
            index = build_index(self.files, self._index, aligner or load_aligner())
        names = [Path(hit.name).stem for hit in index.by_picture(picture, len(index.entries))]
        return [rows[name] for name in names if name in rows][:limit]

    def judge(self, row: GalleryPicture, thumb: int) -> GalleryPicture:
        """Set the thumb of a picture: 1 up, -1 down, 0 none."""
        with self._rows.writing() as session:
            session.exec(
                update(GalleryPicture).where(col(GalleryPicture.id) == row.id).values(thumb=thumb)
            )
        return self.get(row.id)

    def choose(self, better: GalleryPicture, worse: GalleryPicture) -> None:
        """Store that a user prefers one picture to another.

        Raises:
            UsageError: they are the same picture.
        """
        if better.id == worse.id:
            raise UsageError("a picture is not better than itself; name two pictures")
        with self._rows.writing() as session:
            now = time.time_ns() // 1_000_000
            session.add(GalleryChoice(created=now, better=better.id, worse=worse.id))

    def choices(self) -> list[tuple[str, str]]:
        """Pairs of ids, the better picture first, in the order in which they were judged."""
        with self._rows.reading() as session:
            found = session.exec(select(GalleryChoice).order_by(col(GalleryChoice.number)))
            return [(each.better, each.worse) for each in found]

    def spend(self, owner: str, what: str, period: int, amount: int, most: int) -> int:
        """Charge a user's quota, see :data:`limner.serving.quotas.Spend`."""
        with self._rows.writing(alone=True) as session:
            row = session.get(GalleryUsage, (owner, what))
            spent = row.count if row is not None and row.period == period else 0
            if spent + amount <= most:
                now = GalleryUsage(owner=owner, what=what, period=period, count=spent + amount)
                session.merge(now)
            return spent

    def remove(self, rows: Sequence[GalleryPicture]) -> None:
        """Delete pictures; missing ones are ignored."""
        with self._rows.writing() as session:
            _delete(session, rows)
        self._remove_files(rows)

    def prune(self, *, keep_days: float | None = None, keep_bytes: int | None = None) -> int:
        """Delete expired pictures, and the oldest ones beyond a total size.

        Pictures with a thumb up never expire, and are the last ones to go for their size.

        Args:
            keep_days: age in days at which they expire; None for never.
            keep_bytes: largest total size of all files; None for no limit.

        Returns:
            The number of deleted pictures.
        """
        since = 0 if keep_days is None else int(1000 * (time.time() - keep_days * _DAY))
        liked = col(GalleryPicture.thumb) == 1
        order = liked, col(GalleryPicture.created), col(GalleryPicture.id)
        gone: list[GalleryPicture] = []
        with self._rows.writing(alone=True) as session:
            total = session.exec(select(func.sum(GalleryPicture.bytes))).one() or 0
            oldest_first = select(GalleryPicture).order_by(*order)
            for row in session.exec(oldest_first.execution_options(yield_per=_BATCH)):
                stays = row.created >= since or row.thumb == 1
                if stays and (keep_bytes is None or total <= keep_bytes):
                    break
                total -= row.bytes
                gone.append(row)
            _delete(session, gone)
        self._remove_files(gone)
        return len(gone)

    def sweep(self, grace_seconds: float = _GRACE_SECONDS) -> tuple[int, int]:
        """Remove files without a row, and rows without a complete file.

        Args:
            grace_seconds: younger files are kept, as they may be in the process of being added.

        Returns:
            The numbers of files and of rows removed.
        """
        before = time.time() - grace_seconds
        stale = 0
        for batch in _batched(_own_files(self.files, before)):
            with self._rows.reading() as session:
                known = set(session.exec(select(GalleryPicture.id).where(
                    col(GalleryPicture.id).in_([path.stem for path in batch])
                )))  # fmt: skip
            for path in batch:
                if path.stem not in known:
                    stale += 1
                    path.unlink(missing_ok=True)
        broken = [row for row in self.all() if not self._is_whole(row)]
        self.remove(broken)
        return stale, len(broken)

    def _is_whole(self, row: GalleryPicture) -> bool:
        try:
            return self.path(row).stat().st_size == row.bytes
        except FileNotFoundError:
            return False

    def _remove_files(self, rows: Sequence[GalleryPicture]) -> None:
        for row in rows:
            with suppress(OSError):
                self.path(row).unlink(missing_ok=True)


def folded(text: str) -> str:
    """Normalise a text for search: one spelling of each character, lower case."""
    return unicodedata.normalize("NFKC", text).casefold()


def cursor_of(row: GalleryPicture) -> str:
    """The position of a picture in the order of :meth:`Gallery.find`."""
    return f"{row.created}-{row.id}"


def _conditions(owner: str | None, query: str, liked: bool) -> list[ColumnElement[bool]]:
    terms = folded(query).split()
    if len(terms) > MOST_WORDS:
        raise UsageError(f"{len(terms)} words are too many to search for; give {MOST_WORDS}")
    found = [col(GalleryPicture.words).contains(term, autoescape=True) for term in terms]
    if owner is not None:
        found.append(col(GalleryPicture.owner) == owner)
    if liked:
        found.append(col(GalleryPicture.thumb) == 1)
    return found


def _behind(cursor: str) -> ColumnElement[bool]:
    """The condition that a picture comes after another in the order."""
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise UsageError("the cursor is none of this gallery's; leave it out to begin anew")
    created, name = int(match[1]), match[2]
    same = and_(col(GalleryPicture.created) == created, col(GalleryPicture.id) < name)
    return or_(col(GalleryPicture.created) < created, same)


def _delete(session: Session, rows: Sequence[GalleryPicture]) -> None:
    for batch in _batched(rows):
        names = [row.id for row in batch]
        session.exec(delete(GalleryPicture).where(col(GalleryPicture.id).in_(names)))


def _own_files(folder: Path, before: float) -> Iterator[Path]:
    """Files with names in the gallery's format, written before a time."""
    for path in folder.glob("[0-9a-f][0-9a-f]/*"):
        with suppress(FileNotFoundError):
            if _OWN_FILE.fullmatch(path.name) and path.stat().st_mtime <= before:
                yield path


def _batched(items: Iterable[_T]) -> Iterator[list[_T]]:
    rest = iter(items)
    while batch := list(islice(rest, _BATCH)):
        yield batch
