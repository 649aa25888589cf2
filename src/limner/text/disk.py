"""The cache on disk: one SQLite file, shared by processes, bounded, replaced when damaged."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import stat
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from limner.errors import UsageError

_LOG = logging.getLogger(__name__)
_FILE = "text-v1.sqlite"
_CHUNK = 500
_STALE_SECONDS = 3600
_FULL_TO = 0.8
_TIMEOUT_SECONDS = 5.0
_T = TypeVar("_T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS vectors (
    key BLOB PRIMARY KEY, used INTEGER NOT NULL, crc INTEGER NOT NULL, data BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS vectors_used ON vectors (used);
"""


def default_cache_dir() -> Path:
    """``$LIMNER_CACHE``, or the folder where this platform keeps caches.

    For a user without a home folder, as in many containers, it is a folder of that user's own in
    the system's folder of temporary files.

    Raises:
        UsageError: ``LIMNER_CACHE`` begins with ``~``, and there is no such home folder.
    """
    override = os.environ.get("LIMNER_CACHE")
    try:
        if override:
            return Path(override).expanduser()
        if sys.platform == "win32":
            base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        elif sys.platform == "darwin":
            base = Path.home() / "Library" / "Caches"
        else:
            base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError as error:
        if override:
            raise UsageError(
                f"LIMNER_CACHE = {override} is in the home folder of nobody; set it to a folder "
                "that can be written"
            ) from error
        return _folder_without_home()
    return base / "limner"


def _folder_without_home() -> Path:
    if sys.platform == "win32":
        return Path(tempfile.gettempdir()) / "limner"
    user = os.getuid()
    folder = Path(tempfile.gettempdir()) / f"limner-{user}"
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        if status.st_uid == user and stat.S_ISDIR(status.st_mode):
            return folder
    return Path(tempfile.mkdtemp(prefix="limner-"))  # somebody else has made a folder of that name


class DiskCache:
    """Byte strings by key in ``directory/text-v1.sqlite`` (WAL mode).

    Several processes and threads may use the same file. A damaged file is replaced by an empty
    one; where the disk cannot be used at all (read-only, full), one warning is logged and the
    cache stays empty from then on. Errors of the disk never become exceptions.

    Args:
        directory: made on first use.
        max_bytes: bound of the file; the least recently used entries (to within an hour) go first.
    """

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self.path = directory / _FILE
        self._max_bytes = max_bytes
        self._connection: sqlite3.Connection | None = None
        self._owner = 0
        self._broken = False
        self._lock = threading.RLock()

    def get_many(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """The entries that are in the file and undamaged."""
        return self._use(lambda connection: self._read(connection, keys), {}) if keys else {}

    def put_many(self, entries: Mapping[bytes, bytes]) -> None:
        """Keep entries, in one transaction, and hold the file to its bound."""
        if entries:
            self._use(lambda connection: self._write(connection, entries), None)

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            if self._connection is not None and self._owner == os.getpid():
                self._connection.close()
            self._connection = None

    def _use(self, work: Callable[[sqlite3.Connection], _T], otherwise: _T) -> _T:
        """Do ``work``; replace the file once if it is damaged; give up on the disk if it fails."""
        with self._lock:
            for attempt in range(2):
                if self._broken:
                    return otherwise
                try:
                    return work(self._open())
                except sqlite3.OperationalError as error:
                    if "locked" in str(error) or "busy" in str(error):
                        return otherwise
                    self._give_up(error)
                except sqlite3.DatabaseError as error:
                    self._replace()
                    if attempt:
                        self._give_up(error)
                except OSError as error:
                    self._give_up(error)
            return otherwise

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and self._owner == os.getpid():
            return self._connection
        # A connection inherited through fork belongs to the parent: leave it, open another.
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            self.path, timeout=_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.executescript(_SCHEMA)
        except BaseException:
            connection.close()
            raise
        self._connection, self._owner = connection, os.getpid()
        return connection

    def _read(self, connection: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        stale, now = [], int(time.time())
        for start in range(0, len(keys), _CHUNK):
            chunk = list(keys[start : start + _CHUNK])
            marks = ",".join("?" * len(chunk))
            query = f"SELECT key, used, crc, data FROM vectors WHERE key IN ({marks})"
            for key, used, crc, data in connection.execute(query, chunk):
                if zlib.crc32(data) == crc:
                    found[key] = data
                    if now - used > _STALE_SECONDS:
                        stale.append((now, key))
        # What was found is worth more than its new date: a failure to write it is no failure.
        with contextlib.suppress(sqlite3.OperationalError), connection:
            if stale:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany("UPDATE vectors SET used = ? WHERE key = ?", stale)
        return found

    def _write(self, connection: sqlite3.Connection, entries: Mapping[bytes, bytes]) -> None:
        now = int(time.time())
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?)",
                [(key, now, zlib.crc32(data), data) for key, data in entries.items()],
            )
            self._shrink(connection)

    def _shrink(self, connection: sqlite3.Connection) -> None:
        """Drop the least recently used until what is in use fits; freed pages are used again."""
        size = _bytes_in_use(connection)
        while size > self._max_bytes:
            count = connection.execute("SELECT COUNT(*) FROM vectors").fetchone()[0]
            if count == 0:
                return
            surplus = int(count * (1 - _FULL_TO * self._max_bytes / size)) + 1
            connection.execute(
                "DELETE FROM vectors WHERE rowid IN "
                "(SELECT rowid FROM vectors ORDER BY used, rowid LIMIT ?)",
                (surplus,),
            )
            size = _bytes_in_use(connection)

    def _replace(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    def _give_up(self, error: Exception) -> None:
        self._broken = True
        with contextlib.suppress(sqlite3.Error):
            self.close()
        _LOG.warning(
            "the text cache %s cannot be used (%s); texts are cached in memory only; "
            "set LIMNER_CACHE to a folder that can be written",
            self.path,
            error,
        )


def _bytes_in_use(connection: sqlite3.Connection) -> int:
    def pragma(name: str) -> int:
        return int(connection.execute(f"PRAGMA {name}").fetchone()[0])

    return (pragma("page_count") - pragma("freelist_count")) * pragma("page_size")
