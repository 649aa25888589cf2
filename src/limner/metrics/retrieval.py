"""Retrieval of pictures by words and of words by pictures."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor


def ranks(scores: Tensor, queries: Sequence[Hashable], answers: Sequence[Hashable]) -> Tensor:
    """How many wrong answers come before the first right one, ``(Q,)`` int64.

    An answer is right where its key is that of the question; several may be. Answers that score
    the same as the right one are counted half before it, rounded up, so that a model which gives
    every answer the same score is no better than chance.

    Args:
        scores: ``(Q, P)``, questions by answers; the higher, the better.
        queries: keys of the Q questions.
        answers: keys of the P answers.

    Raises:
        ValueError: the numbers do not fit, or a question has no right answer.
    """
    if scores.shape != (len(queries), len(answers)):
        raise ValueError(f"scores {tuple(scores.shape)} for {len(queries)} by {len(answers)} keys")
    number = {key: i for i, key in enumerate(dict.fromkeys([*queries, *answers]))}
    mine = torch.tensor([number[key] for key in queries])
    theirs = torch.tensor([number[key] for key in answers])
    right = mine[:, None] == theirs  # (Q, P)
    if not bool(right.any(1).all()):
        missing = queries[int((~right.any(1)).nonzero()[0])]
        raise ValueError(f"nothing is a right answer to {missing!r}")
    best = scores.masked_fill(~right, -torch.inf).amax(1, keepdim=True)
    before = ((scores > best) & ~right).sum(1)
    level = ((scores == best) & ~right).sum(1)
    return before + (level + 1) // 2


def recall_at(found: Tensor, k: int) -> float:
    """Share of the questions with a right answer among the first ``k``.

    Args:
        found: of :func:`ranks`.
        k: at least 1.
    """
    return (found < k).double().mean().item()
