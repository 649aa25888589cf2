"""Which texts are valid prompts, and their canonical spelling."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from limner.errors import PromptError

MAX_CHARACTERS = 32_000

_WHITESPACE_CONTROLS = frozenset("\t\n\v\f\r\x85")
_INVISIBLE = re.compile(
    "[\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)
_SPACES = re.compile(r"\s+")
_JOINERS = frozenset("\u200c\u200d\ufe0e\ufe0f")


def canonical(text: object, what: str = "prompt") -> str:
    """One spelling of a legal prompt: NFC, single spaces, no invisible direction marks.

    Any script, direction, mixture of both, and emoji alone are legal. Texts longer than an
    encoder can read are legal too; what each encoder does with them is said where it is defined.

    Args:
        text: the prompt.
        what: its name in messages, for example a caption.

    Returns:
        At least one visible character, no control characters.

    Raises:
        PromptError: not a ``str``; nothing visible in it; longer than ``MAX_CHARACTERS``; a lone
            surrogate (text that is not valid Unicode); a control character.
    """
    if not isinstance(text, str):
        raise PromptError(f"a {what} must be text, not {type(text).__name__}; pass a string")
    if len(text) > MAX_CHARACTERS:
        raise PromptError(
            f"the {what} is {len(text):,} characters long; shorten it to at most {MAX_CHARACTERS:,}"
        )
    if not text.isprintable():
        _refuse_controls(text, what)
    text = _INVISIBLE.sub("", unicodedata.normalize("NFC", text))
    text = _SPACES.sub(" ", text).strip()
    if not any(_visible(char) for char in text):
        raise PromptError(f"the {what} is empty; write at least one word of what to draw")
    return text


def canonical_all(texts: Sequence[str]) -> list[str]:
    """The canonical spelling of every text of a batch.

    Raises:
        PromptError: a single string was passed, or one of the texts is refused; its number,
            counted from 1, is named when there are several.
    """
    if isinstance(texts, str | bytes):
        raise PromptError("a list of prompts was expected, not a single string; wrap it in a list")
    legal = []
    for number, text in enumerate(texts, 1):
        try:
            legal.append(canonical(text))
        except PromptError as error:
            if len(texts) == 1:
                raise
            raise PromptError(f"prompt {number} of {len(texts)}: {error}") from None
    return legal


def _refuse_controls(text: str, what: str) -> None:
    for position, char in enumerate(text, 1):
        category = unicodedata.category(char)
        if category == "Cs":
            raise PromptError(
                f"the {what} is not valid Unicode: character {position} is a lone surrogate "
                f"(U+{ord(char):04X}); save or send it as UTF-8"
            )
        if category == "Cc" and char not in _WHITESPACE_CONTROLS:
            raise PromptError(
                f"the {what} holds a control character (U+{ord(char):04X}) at character "
                f"{position}; remove it"
            )


def _visible(char: str) -> bool:
    return char not in _JOINERS and unicodedata.category(char) not in {"Zs", "Zl", "Zp", "Cf"}
