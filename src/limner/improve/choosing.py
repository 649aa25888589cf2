"""Choosing the best of several pictures of a prompt, by the scores that one gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby

from PIL import Image

from limner.generation.picture import Picture, best_first

Scores = Callable[[str, Sequence[Image.Image]], Sequence[float]]
"""The scores of pictures of a prompt, the higher the better."""


def chosen(pictures: Iterable[Picture], count: int, scores: Scores) -> Iterator[Picture]:
    """The best pictures of each prompt, the best first.

    Args:
        pictures: those of a prompt, by their index, one after the other.
        count: kept of each prompt.
        scores: of the pictures of a prompt.
    """
    for _, group in groupby(pictures, key=lambda picture: picture.index):
        drawn = list(group)
        found = scores(drawn[0].prompt, [picture.image for picture in drawn])
        yield from (drawn[number] for number in best_first(found)[:count])
