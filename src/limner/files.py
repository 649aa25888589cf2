"""Files that are written whole or not at all, and locks that end with their process."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from limner.errors import LimnerError

_PART = ".part"


class _TakenError(FileExistsError):
    """The name of a file to be created is taken."""


@contextmanager
def whole_file(
    path: Path, failure: type[LimnerError], *, sync: bool = False, exclusive: bool = False
) -> Iterator[Path]:
    """Write a file so that ``path`` is either the old file or the whole new one.

    The block writes the temporary file whose path it is given. That file is renamed to ``path``
    when the block succeeds, and removed when it fails. Its name is unique, so any number of
    threads and processes may write one path at once: the last to finish wins.

    Args:
        path: what to write; its folder is made where it is missing.
        failure: class of the error that is raised for an ``OSError``.
        sync: wait until the disk has stored the file and its name.
        exclusive: never replace a file: of several writers of one path exactly one succeeds.

    Raises:
        FileExistsError: ``exclusive``, and ``path`` exists.
        LimnerError: a ``failure``; the folder cannot be made, or the file cannot be written.
    """
    part = temporary_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield part
        if sync:
            sync_to_disk(part)
        if exclusive:
            _rename_exclusively(part, path)
        else:
            part.replace(path)
        if sync:
            sync_to_disk(path.parent)
    except BaseException as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        if isinstance(error, OSError) and not isinstance(error, _TakenError):
            reason = error.strerror or error
            raise failure(f"cannot write {path}: {reason}; nothing was changed") from error
        raise


def check_writable(path: Path | None, failure: type[LimnerError]) -> None:
    """Refuse a file that could not be written, before long work whose result it is to hold.

    Nothing is made. What only shows when it is written, such as a full disk, is not seen.

    Args:
        path: what is to be written later; None for nothing.
        failure: class of the error.

    Raises:
        LimnerError: a ``failure``; there is a folder of that name, its own folder cannot be made,
            or nothing may be written there.
    """
    if path is None:
        return
    if path.is_dir():
        raise failure(f"cannot write {path}: it is a folder; name a file")
    there = next((folder for folder in path.absolute().parents if folder.exists()), Path())
    if not there.is_dir():
        raise failure(f"cannot write {path}: {there} is not a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise failure(f"cannot write {path}: nothing may be written in {there}")


def temporary_name(path: Path) -> Path:
    """A new name beside ``path`` for what becomes it, which :func:`remove_parts` knows."""
    # A hash, because the name with anything added may exceed the 255 bytes that a name may have.
    digest = hashlib.blake2b(os.fsencode(path.name), digest_size=6).hexdigest()
    return path.with_name(f".{digest}-{secrets.token_hex(6)}{_PART}")


def _rename_exclusively(part: Path, path: Path) -> None:
    """Rename a file unless the new name is taken.

    Raises:
        FileExistsError: ``path`` exists.
    """
    try:
        try:
            os.link(part, path)
        except FileExistsError:
            raise
        except (OSError, NotImplementedError):  # a file system without hard links
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            part.replace(path)
        else:
            part.unlink()
    except FileExistsError as error:
        raise _TakenError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from error


def remove_parts(folder: Path) -> None:
    """Remove what killed writers have left in a folder under a :func:`temporary_name`.

    Only for the process that holds the folder's lock: the file of a writer at work would go too.
    """
    digits = "[0-9a-f]" * 12
    for part in folder.glob(f".{digits}-{digits}{_PART}"):
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
            continue
        with suppress(OSError):
            part.unlink()


def sync_to_disk(path: Path) -> None:
    """Wait until the disk has stored a file, or the names in a folder.

    Raises:
        OSError: the file cannot be opened, or the disk reports an error.
    """
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open folders, and stores names by itself
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def locked(path: Path, failure: type[LimnerError], what: str) -> Iterator[None]:
    """Hold a lock file, which the system releases when the process ends, however it ends.

    Args:
        path: the lock file; removed at the end.
        failure: class of the error that is raised.
        what: what is locked, for the message, such as ``the run folder runs/a``.

    Raises:
        LimnerError: a ``failure``; another process holds the lock (the message names its number
            and its machine), or the file cannot be made.
    """
    try:
        file = _lock(path)
    except OSError as error:
        raise failure(f"cannot lock {what}: {error.strerror or error}") from error
    if file is None:
        with suppress(OSError):
            owner = path.read_text(encoding="utf-8", errors="replace").strip()
            what = f"{what} is in use by {owner or 'another process'}"
        raise failure(f"{what}; wait until it has ended, or name another place")
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        file.close()


def _lock(path: Path) -> IO[str] | None:
    """The locked file; None where another process has locked it."""
    try:
        import fcntl
    except ImportError:  # Windows: two processes at once are not noticed
        return path.open("a", encoding="utf-8")
    while True:
        file = path.open("a", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(file, path):
                file.truncate(0)
                file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
                file.flush()
                return file
        except BlockingIOError:
            file.close()
            return None
        except BaseException:
            file.close()
            raise
        file.close()  # its last owner removed it between our opening and our locking


def _is_at(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def make_folder(path: Path, failure: type[LimnerError]) -> None:
    """Make a folder and those above it, where they are missing; a ``failure`` if it cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise failure(f"cannot write into {path}: it is not a folder; name another") from error
    except OSError as error:
        raise failure(f"cannot make the folder {path}: {error.strerror or error}") from error


def write_text(path: Path, text: str, failure: type[LimnerError]) -> Path:
    """Write a text as UTF-8, whole or not at all; a ``failure`` if it cannot be written."""
    with whole_file(path, failure) as part:
        part.write_text(text, encoding="utf-8")
    return path


def write_json(path: Path, value: Any, failure: type[LimnerError]) -> Path:
    """:func:`write_text` of :func:`json_text`; returns ``path``."""
    return write_text(path, json_text(value, indent=1) + "\n", failure)


def json_text(value: Any, *, indent: int | None = None) -> str:
    """JSON that can be encoded as UTF-8 whatever file names it holds.

    A lone surrogate, which stands for a byte of a file name that is not UTF-8, becomes its JSON
    escape, so that reading the JSON gives the name back.
    """
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
