"""Perturbed prompts: misspelt, in other letter case, in another order, rephrased.

Every perturbation is a pure function of the text and a number, so that a measurement can be made
again. Misspellings are those of typing: a neighbour on the keyboard, two letters swapped, one left
out (Belinkov and Bisk, Synthetic and Natural Noise Both Break Neural Machine Translation, ICLR
2018, section 3).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from limner.text.names import bare

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_LEAST_LETTERS = 4
"""Of a word that is misspelt; shorter ones are articles and the like."""
_STREAM = 71
_WORDINGS = (
    "a picture of {}", "please draw {}", "I would like to see {}", "{}, as a small drawing",
    "could you make me an icon of {}?", "show {}",
)  # fmt: skip

Perturbation = Callable[[str, int], str]
"""A text and a number to another text; to the same where it does not apply."""


def neighbour(text: str, number: int) -> str:
    """Replace one letter by a neighbouring key of an English keyboard."""

    def changed(word: str, at: int, rng: np.random.Generator) -> str:
        near = _beside(word[at].lower())
        return word[:at] + near[int(rng.integers(len(near)))] + word[at + 1 :]

    return _in_a_word(text, number, changed)


def swap(text: str, number: int) -> str:
    """Swap two adjacent letters."""

    def changed(word: str, at: int, rng: np.random.Generator) -> str:
        return word[: at - 1] + word[at] + word[at - 1] + word[at + 1 :]

    return _in_a_word(text, number, changed)


def drop(text: str, number: int) -> str:
    """Leave out one letter."""

    def changed(word: str, at: int, rng: np.random.Generator) -> str:
        return word[:at] + word[at + 1 :]

    return _in_a_word(text, number, changed)


def upper(text: str, number: int) -> str:
    """All in capitals."""
    return text.upper()


def title(text: str, number: int) -> str:
    """Every word with a capital."""
    return text.title()


def reordered(text: str, number: int) -> str:
    """The words without the article in reverse order."""
    words = bare(text).split()
    return " ".join(reversed(words)) if len(words) > 1 else text


def paraphrased(text: str, number: int) -> str:
    """Wrap the prompt in a request, one of six in turn."""
    return _WORDINGS[number % len(_WORDINGS)].format(text)


KINDS: Mapping[str, Perturbation] = {
    "neighbouring key": neighbour, "swapped letters": swap, "dropped letter": drop,
    "capitals": upper, "title case": title, "word order": reordered, "paraphrase": paraphrased,
}  # fmt: skip
"""Of English prompts; other languages are prompts of their own."""


def _in_a_word(
    text: str, number: int, change: Callable[[str, int, np.random.Generator], str]
) -> str:
    """The text with one letter of one of its longer words changed, not the word's first one."""
    words = text.split(" ")
    rng = np.random.default_rng([number, _STREAM])
    able = [
        (place, at)
        for place, word in enumerate(words) if len(word) >= _LEAST_LETTERS
        for at in range(1, len(word))
        if word[at].isascii() and word[at].isalpha() and word[at] != word[at - 1]
    ]  # fmt: skip
    if not able:
        return text
    place, at = able[int(rng.integers(len(able)))]
    words[place] = change(words[place], at, rng)
    return " ".join(words)


def _beside(letter: str) -> str:
    """The keys left and right of a letter, and those above and below it."""
    row = next(number for number, keys in enumerate(_ROWS) if letter in keys)
    at = _ROWS[row].index(letter)
    near = [_ROWS[row][max(at - 1, 0) : at], _ROWS[row][at + 1 : at + 2]]
    near += [_ROWS[other][at : at + 1] for other in (row - 1, row + 1) if 0 <= other < len(_ROWS)]
    return "".join(near)
