"""Votes on drawn pictures: thumbs up or down, and pairwise choices.

A file of votes is JSON Lines, one :class:`Vote` a line. Pictures are named by their files; a name
that is not absolute is looked for beside the file of votes, so that a folder with both can move.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from limner.data.pictures import PictureError, whole
from limner.errors import DataError, UsageError
from limner.files import json_text, locked, write_text
from limner.generation.records import Record, read_record

FORMAT = 1
_MOST_BYTES = 1_000_000_000
PICTURE_ID = re.compile(r"[0-9a-f]{32}")
"""Identifiers of pictures in a gallery."""


class VotedPicture(BaseModel):
    """A picture that somebody voted on.

    Attributes:
        file: its name, absolute or as seen from the file of votes.
        record: what it was drawn from: prompt, seed, settings, model.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str = Field(min_length=1, max_length=4096)
    record: Record

    @property
    def path(self) -> Path:
        """Where it is, once :func:`read_votes` has found it."""
        return Path(self.file)


class Vote(BaseModel):
    """One vote: a thumb up has only ``better``, a thumb down only ``worse``, a choice both.

    Attributes:
        format: of the line.
        user: who voted; empty where there is one user.
        created: in milliseconds since 1970.
        better: the picture that is liked.
        worse: the picture that is not.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = Field(default=FORMAT, ge=1)
    user: str = Field(default="", max_length=256)
    created: int = Field(default_factory=lambda: time.time_ns() // 1_000_000, ge=0)
    better: VotedPicture | None = None
    worse: VotedPicture | None = None

    @model_validator(mode="after")
    def _some_picture(self) -> Self:
        if self.better is None and self.worse is None:
            raise ValueError("it names no picture: give 'better', 'worse' or both")
        if self.better is not None and self.better == self.worse:
            raise ValueError("a picture is not better than itself")
        return self

    @property
    def pictures(self) -> list[VotedPicture]:
        """The one or two pictures."""
        return [each for each in (self.better, self.worse) if each is not None]

    @property
    def thumb(self) -> VotedPicture | None:
        """The picture of a thumb; None of a choice."""
        return self.pictures[0] if len(self.pictures) == 1 else None


def voted(path: Path) -> VotedPicture:
    """A picture that limner drew, to be voted on.

    Raises:
        DataError: the file has no record of one picture.
    """
    return VotedPicture(file=str(path.absolute()), record=read_record(path))


def read_votes(path: Path) -> list[Vote]:
    """The votes of a file, the names of their pictures made absolute.

    Raises:
        DataError: the file cannot be read, has no vote, or a line is none; the message names it.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"{path} is too large for a file of votes: more than 1 GB")
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise DataError(f"cannot read the votes {path}: {reason}") from error
    found = [
        _read(line, f"line {number} of {path}", path.absolute().parent)
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]
    if not found:
        raise DataError(f"there is no vote in {path}; vote with: limner vote PICTURE --up")
    return found


def _read(line: str, where: str, folder: Path) -> Vote:
    try:
        vote = Vote.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        problem = first["msg"].removeprefix("Value error, ")
        raise DataError(f"{where} is no vote: {key + ': ' if key else ''}{problem}") from error
    if vote.format > FORMAT:
        raise DataError(
            f"{where} is of format {vote.format}, this limner reads up to {FORMAT}; upgrade limner"
        )
    return _renamed(vote, lambda name: str(folder / name))


def write_votes(path: Path, votes: Sequence[Vote]) -> Path:
    """Write votes; pictures below the file's folder are named as seen from there.

    Raises:
        DataError: the file cannot be written.
    """
    folder = path.absolute().parent

    def short(name: str) -> str:
        below = Path(os.path.abspath(name))  # noqa: PTH100 - links are to be kept
        return below.relative_to(folder).as_posix() if below.is_relative_to(folder) else name

    lines = (_renamed(vote, short).model_dump(mode="json", exclude_none=True) for vote in votes)
    return write_text(path, "".join(json_text(line) + "\n" for line in lines), DataError)


def add_votes(path: Path, new: Sequence[Vote]) -> int:
    """Append votes to a file, creating it if needed; returns its number of votes.

    A user's earlier thumb on the same picture is replaced. Two processes may add at once.

    Raises:
        DataError: the file is none of votes, or cannot be written.
    """
    with locked(path.with_name(f".{path.name}.lock"), DataError, f"the votes {path}"):
        votes = read_votes(path) if path.exists() and path.stat().st_size else []
        for vote in new:
            votes = [*(each for each in votes if not _replaced(each, vote)), vote]
        write_votes(path, votes)
    return len(votes)


def _replaced(old: Vote, new: Vote) -> bool:
    if old.user != new.user or old.thumb is None or new.thumb is None:
        return False
    return old.thumb.file == new.thumb.file


def _renamed(vote: Vote, change: Callable[[str], str]) -> Vote:
    changed = {
        side: each.model_copy(update={"file": change(each.file)})
        for side in ("better", "worse")
        if (each := getattr(vote, side)) is not None
    }
    return vote.model_copy(update=changed)


def of_user(votes: Sequence[Vote], user: str | None) -> list[Vote]:
    """The votes of one user; all for None.

    Raises:
        UsageError: the user has not voted.
    """
    found = [vote for vote in votes if user in (None, vote.user)]
    if not found:
        known = ", ".join(sorted({repr(vote.user) for vote in votes}))
        raise UsageError(f"there is no vote of the user {user!r}; there are votes of: {known}")
    return found


def pictures_of(votes: Sequence[Vote]) -> Iterator[tuple[int, VotedPicture]]:
    """Each picture that was voted on, once, with the number of a vote on it."""
    seen: set[str] = set()
    for number, vote in enumerate(votes):
        for each in vote.pictures:
            if each.file not in seen:
                seen.add(each.file)
                yield number, each


def voted_pixels(path: Path, size: int) -> NDArray[np.uint8]:
    """A picture that was voted on, all of it in a square: ``(size, size, 3)`` uint8.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return whole(path, size)
    except PictureError as error:
        raise DataError(
            f"the picture {path} that was voted on cannot be read: {error}; put it back, or take "
            "its votes out of the file"
        ) from error
