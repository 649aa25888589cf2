"""Models that read pictures for the server (captioner, aligner, restorer), in one thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from PIL import Image

from limner.data.pictures import whole
from limner.errors import CapabilityError, DataError, LimnerError, UsageError
from limner.generation.restoring import Restored, Restorer
from limner.improve.feedback import load_preferences
from limner.improve.scoring import Scorer, load_scorer
from limner.models.captioner import ScoredCaption
from limner.reading.aligner import load_aligner
from limner.reading.captions import READ_SIDE, Captioner, load_captioner
from limner.reading.search import Hit, Match, PictureIndex, classify
from limner.serving.errors import ApiError, of_limner
from limner.vision.aligner import Aligner

_MOST_WAITING = 32
_SECONDS = 2.0
_MOST_PIXELS = 4_194_304
"""Limit on the size of a restored picture, before and after; it takes seconds and blocks others."""
_Found = TypeVar("_Found")


def read_file(file: BinaryIO) -> bytes:
    """Read an uploaded file."""
    file.seek(0)
    return file.read()


class Reader:
    """Reads pictures in a thread of its own; its models are loaded on first use.

    Args:
        index: index of pictures to search; None for none.
        preferences: file made by ``limner feedback train``; None for none.

    Raises:
        DataError: the index cannot be read.
        ModelFileError: the preferences cannot be read.
    """

    def __init__(self, index: Path | None, preferences: Path | None = None) -> None:
        self.index = None if index is None else PictureIndex(index)
        self.preferences = None if preferences is None else load_preferences(preferences)
        self._thread = ThreadPoolExecutor(1, "limner-reader")
        self._waiting = 0

    @cached_property
    def captioner(self) -> Captioner:
        """The shipped captioner."""
        return load_captioner()

    @cached_property
    def aligner(self) -> Aligner:
        """The shipped aligner."""
        return load_aligner()

    @cached_property
    def scorer(self) -> Scorer:
        """The scorer of pictures, with the shipped aligner and captioner."""
        return load_scorer(aligner=self.aligner)

    @cached_property
    def restorer(self) -> Restorer:
        """The shipped restorer."""
        return Restorer(most_pixels=_MOST_PIXELS)

    async def run(
        self, work: Callable[..., _Found], *given: Any, param: str | None = None
    ) -> _Found:
        """Do something in the reader's thread, when its turn comes.

        Args:
            work: is done.
            given: to it.
            param: the field that is wrong where no picture is.

        Raises:
            ApiError: too much is waiting, a picture cannot be read, or the work is refused.
        """
        if self._waiting >= _MOST_WAITING:
            raise ApiError(
                429, f"{self._waiting} pictures wait to be read, as many as this server takes; "
                "try again in a few seconds", code="queue_full", retry_after=_SECONDS,
            )  # fmt: skip
        self._waiting += 1
        try:
            run = copy_context().run
            return await asyncio.get_running_loop().run_in_executor(self._thread, run, work, *given)
        except DataError as error:
            why = f"the picture is refused: {error}"
            raise ApiError(400, why, param="image", code="invalid_image") from error
        except LimnerError as error:
            where = "image" if isinstance(error, CapabilityError) else param
            raise of_limner(error, where) from error
        finally:
            self._waiting -= 1

    def captions(
        self, file: BinaryIO, language: str | None = None, count: int = 1
    ) -> list[ScoredCaption]:
        """Caption a picture, see :meth:`limner.reading.captions.OwnCaptioner.caption`."""
        return self.captioner.caption(whole(read_file(file), READ_SIDE), language, count)

    def matches(self, file: BinaryIO, texts: Sequence[str]) -> list[Match]:
        """Match texts with a picture, see :func:`limner.reading.search.classify`."""
        return classify(self.aligner, read_file(file), texts)

    def restored(
        self, file: BinaryIO, task: str, scale: int | None, prompt: str | None
    ) -> Restored:
        """Restore a picture, see :meth:`Restorer.restore`."""
        return self.restorer.restore(read_file(file), task, scale=scale, prompt=prompt)

    def similar(self, index: PictureIndex, file: BinaryIO, count: int) -> list[Hit]:
        """Pictures of the index most similar to one."""
        return index.by_picture(read_file(file), count)

    def scores(self, text: str, images: Sequence[Image.Image]) -> list[float]:
        """Score pictures of a prompt, in [0, 1]; see :class:`~limner.improve.scoring.Scorer`."""
        return self.scorer.totals(text, images)

    def liked(self, text: str, images: Sequence[Image.Image], user: str) -> list[float]:
        """Score pictures by a user's preferences, or the shared ones if the user has no votes."""
        head = self.preferences
        if head is None:
            raise UsageError("this server has learned from no votes")
        return head.scores(images, text, user if user in head.own else None)

    def stop(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)
