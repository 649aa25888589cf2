"""What a prompt says beside what is drawn: a style at its end."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from limner.text.validate import MAX_CHARACTERS, canonical

_STYLE = re.compile(
    r"(?:,\s*|\bin\s+)(?:(?:an?|the)\s+)?(?:style\s+of\s+([^,]+?)|([^,]+?)\s+style)\s*\.?\s*$",
    re.IGNORECASE,
)
_STYLE_WORD = re.compile(r"style\s*\.?\s*$", re.IGNORECASE)
_MOST_READ = 1000
"""Bytes of a prompt in UTF-8 that are read: about 160 words of English, or 330 of Chinese signs."""
_LONGEST_STYLE = 4
"""Words that the name of a style may have: a longer ending says something else."""


def split_style(prompt: str, styles: Sequence[str]) -> tuple[str, str | None]:
    """Take a style off the end of a prompt.

    ``"a cat, noto style"`` and ``"a cat in noto style"`` give ``("a cat", "noto")`` where the
    model has a style of exactly that name (in any case); every other prompt comes back as it is.
    """
    if _STYLE_WORD.search(prompt) is None:  # as of most, and each style takes a pattern
        return prompt, None
    for style in styles:
        ending = rf"\s*(?:,|\bin(?:\s+the)?\s)\s*{re.escape(style)}\s+style\s*\.?\s*$"
        found = re.search(ending, prompt, re.IGNORECASE)
        if found and prompt[: found.start()].strip(" ,"):
            return prompt[: found.start()].rstrip(" ,"), style
    return prompt, None


def styled_ending(prompt: str) -> tuple[str, str]:
    """A prompt without a style at its end, whoever knows it, and that ending."""
    found = _STYLE.search(prompt)
    if found is None or not prompt[: found.start()].strip(" ,"):
        return prompt, ""
    text = prompt[: found.start()].rstrip(" ,")
    return text, prompt[len(text) :]


ANY_PICTURE = "a picture"
"""Prompt of a picture that is changed without saying what it shows."""


class PromptWarning(UserWarning):
    """Something in a prompt is not drawn as it was written."""


_collecting: ContextVar[list[str] | None] = ContextVar("collecting", default=None)


def warn(message: str) -> None:
    """Warn about the wording of a prompt; one prompt says the same only once."""
    messages = _collecting.get()
    if messages is None:
        warnings.warn(message, PromptWarning, stacklevel=2)
    else:
        messages.append(message)


@contextmanager
def collected() -> Iterator[list[str]]:
    """Collect what :func:`warn` is told meanwhile, to say it later."""
    messages: list[str] = []
    token = _collecting.set(messages)
    try:
        yield messages
    finally:
        _collecting.reset(token)


def readable(prompt: str) -> str:
    """What is read of a prompt: of a very long one its first words.

    Reading takes time for each word, and a server reads prompts of anybody.

    Raises:
        PromptError: it has more than ``MAX_CHARACTERS``, which no record holds.

    Warns:
        PromptWarning: it is longer than what is read.
    """
    if len(prompt) > MAX_CHARACTERS:
        canonical(prompt)  # refuses it
    data = prompt.strip().encode(errors="surrogatepass")
    if len(data) <= _MOST_READ:
        return prompt
    start = data[:_MOST_READ].decode(errors="ignore")
    whole, _, broken = start.rpartition(" ")
    read = whole or broken
    warn(f"of a prompt of {len(prompt):,} characters the first {len(read):,} are read")
    return read


def check_wording(prompt: str, styles: Sequence[str]) -> None:
    """Warn where a prompt, its style taken off, asks for what this model does not draw.

    Warns:
        PromptWarning: a style is not one of ``styles``.
    """
    found = _STYLE.search(prompt)
    name = found and (found[1] or found[2])
    if name and len(name.split()) <= _LONGEST_STYLE:
        known = f"its styles are: {', '.join(styles)}" if styles else "it has no styles"
        warn(f"the model does not know the style {quoted(name)} and reads it as words; {known}")


def quoted(text: str, longest: int = 60) -> str:
    """A prompt in quotes for a message of one line, cut where it is long."""
    line = " ".join(text.split())
    return f'"{line}"' if len(line) <= longest else f'"{line[: longest - 1]}…"'
