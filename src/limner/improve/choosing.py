"""Choosing the best of several pictures of a prompt, by one scorer everywhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from limner.generation.picture import Picture
from limner.improve.scoring import Scorer


def chosen(pictures: Iterable[Picture], count: int, scorer: Scorer) -> Iterator[Picture]:
    """The best pictures of each prompt, the best first.

    Args:
        pictures: those of a prompt, by their index, one after the other.
        count: kept of each prompt.
        scorer: scores them.
    """
    for _, group in groupby(pictures, key=lambda picture: picture.index):
        drawn = list(group)
        scores = scorer.totals(drawn[0].prompt, [picture.image for picture in drawn])
        order = sorted(range(len(drawn)), key=lambda number: -scores[number])
        yield from (drawn[number] for number in order[:count])
