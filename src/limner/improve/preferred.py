"""Drawing what a user likes: some candidates are drawn of each prompt, the best liked are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from limner.errors import UsageError
from limner.generation.generator import Generator
from limner.generation.picture import Picture
from limner.generation.references import Reference
from limner.generation.request_drawing import Progress
from limner.generation.requests import DrawRequest, RefusedPromptError
from limner.improve.choosing import chosen
from limner.improve.feedback import PreferenceHead

CANDIDATES = 8
"""Drawn for each picture that is kept, unless another number is asked for."""
MOST_CANDIDATES = 1024


def candidates_of(n: int, candidates: int | None) -> int:
    """How many pictures are drawn of each prompt, to keep ``n``.

    Raises:
        UsageError: fewer than are kept, or too many.
    """
    found = CANDIDATES * n if candidates is None else candidates
    if not n <= found <= MOST_CANDIDATES:
        raise UsageError(
            f"candidates = {found} is refused: give {n}, the pictures to be kept, to "
            f"{MOST_CANDIDATES}"
        )
    return found


def draw_preferred(
    generator: Generator,
    prompts: str | Iterable[str | DrawRequest],
    head: PreferenceHead,
    *,
    user: str | None = None,
    n: int = 1,
    candidates: int | None = None,
    seed: int | None = None,
    reference: Reference | None = None,
    on_refused: Callable[[RefusedPromptError], None] | None = None,
    on_progress: Progress | None = None,
    **options: Any,
) -> Iterator[Picture]:
    """The ``n`` pictures of each prompt that are liked best, the best first.

    They are ranked by :meth:`PreferenceHead.scores`.

    Candidates have the seeds from ``seed`` on, and each keeps its own in its record, so that a
    picture can be drawn again alone. The result depends on prompts, seed and options only.

    Args:
        generator: that draws.
        prompts: as for :meth:`Generator.stream`.
        head: ranks the candidates.
        user: whose taste; None for what all users share.
        n: pictures kept of a prompt.
        candidates: pictures drawn of a prompt; None for eight for each that is kept.
        seed: of each prompt's first candidate; None for a random one.
        reference: as for :meth:`Generator.stream`.
        on_refused: as for :meth:`Generator.stream`.
        on_progress: gets the number of candidates drawn.
        options: of drawing.

    Raises:
        UsageError: a number out of range, or the user has not voted.
    """
    count = candidates_of(n, candidates)
    stream = generator.stream(
        prompts, n=count, seed=seed, reference=reference, on_refused=on_refused,
        on_progress=on_progress, **options,
    )  # fmt: skip

    return best_liked(stream, head, n=n, user=user)


def best_liked(
    pictures: Iterable[Picture], head: PreferenceHead, *, n: int = 1, user: str | None = None
) -> Iterator[Picture]:
    """The ``n`` drawings of each prompt that rank first, the best first.

    Args:
        pictures: those of a prompt, by their index, one after the other.
        head: ranks them.
        n: kept of each prompt.
        user: whose taste; None for what all users share.

    Raises:
        UsageError: the user has not voted.
    """
    head.weights(user)
    return chosen(pictures, n, lambda prompt, images: head.scores(images, prompt, user))
