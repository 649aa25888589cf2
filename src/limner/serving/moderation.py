"""Moderation: prompts and pictures are flagged or refused, never changed.

Prompts are searched for unsafe words (``unsafe_words.py``); pictures are shown to a classifier,
that of ``unsafe_pictures.py`` or any other of the same protocol.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

from PIL import Image

from limner.serving.categories import Category, Mode, Stage
from limner.serving.errors import ApiError
from limner.serving.unsafe_words import UnsafeWords

ALL_BUT_PROFANITY = tuple(each for each in Category if each is not Category.PROFANITY)


class Flag(NamedTuple):
    """That something unsafe was found."""

    category: Category
    stage: Stage


class PictureClassifier(Protocol):
    """Says what is unsafe in a picture; called from several threads."""

    def find(self, image: Image.Image) -> Sequence[Category]:
        """The categories of what an RGB picture of any size shows; empty for a harmless one."""
        ...


class Moderator:
    """Flags or refuses prompts and pictures.

    Args:
        prompts: what is done about unsafe words.
        pictures: what is done about unsafe pictures, drawn ones and those that clients send.
        categories: that count.
        classifier: of pictures; needed where they are not let through.
    """

    def __init__(
        self,
        prompts: Mode = Mode.OFF,
        pictures: Mode = Mode.OFF,
        *,
        categories: Collection[Category] = ALL_BUT_PROFANITY,
        classifier: PictureClassifier | None = None,
    ) -> None:
        self.prompts, self.pictures = prompts, pictures
        self._categories, self._classifier = frozenset(categories), classifier
        self._words = None if prompts is Mode.OFF else UnsafeWords(categories)

    @property
    def on(self) -> bool:
        """Whether anything is looked at, so that answers say what was found."""
        return (self.prompts, self.pictures) != (Mode.OFF, Mode.OFF)

    def check_prompt(self, text: str) -> tuple[Flag, ...]:
        """What is unsafe in a prompt.

        Raises:
            ApiError: ``moderation_blocked``, where it is to be refused.
        """
        found = [] if self._words is None else self._words.find(text)
        return self._judged(self.prompts, found, Stage.INPUT, "the prompt", "prompt")

    def check_picture(self, image: Image.Image, stage: Stage) -> tuple[Flag, ...]:
        """What is unsafe in a picture that a client sent, or that was drawn.

        Raises:
            ApiError: ``moderation_blocked``, where it is to be refused.
        """
        if self.pictures is Mode.OFF or self._classifier is None:
            return ()
        found = [each for each in self._classifier.find(image) if each in self._categories]
        sent = stage is Stage.INPUT
        what = "the picture that was sent" if sent else "what was drawn"
        return self._judged(self.pictures, found, stage, what, "image" if sent else None)

    @staticmethod
    def _judged(
        mode: Mode, found: Sequence[Category], stage: Stage, what: str, param: str | None
    ) -> tuple[Flag, ...]:
        if found and mode is Mode.REFUSE:
            raise ApiError(
                400, f"{what} is refused by this server's moderation: {', '.join(found)}",
                param=param, code="moderation_blocked", kind="image_generation_user_error",
                more={"moderation_details": {
                    "categories": [*found], "moderation_stage": stage,
                }},
            )  # fmt: skip
        return tuple(Flag(category, stage) for category in found)


def flags_as_json(flags: Sequence[Flag]) -> list[dict[str, str]]:
    """Flags as answers and the gallery have them."""
    return [{"category": str(flag.category), "stage": str(flag.stage)} for flag in flags]
