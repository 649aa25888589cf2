"""What a bad fit of a picture and a caption says, learned from captions swapped on purpose.

A caption that names a rare thing fits its own picture little better than any other; that says
nothing. One that fits other pictures well, but not this one, is of another picture, and so is one
of a picture that other captions fit well. How much each counts is found by a logistic regression
that tells pairs as they are in the data set from pairs whose caption was swapped. It needs no
labels, and learns how well the judges know this data set.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

NEAREST = 10
"""Others that fit best, whose mean says how well a picture or a caption is known."""
_PRIOR = np.array([2.18, -1.33, -0.43, 0.4, -0.5])
"""Weights that the regression starts from: the fit; how well others fit the picture, ten and the
best; how well the caption fits other pictures, ten and the best. Fitted to drawings that are not
measured, whose right and wrong captions were known."""
_TRUST = 100.0
"""Weight of the prior: half of the squared distance from it counts so much."""
_FOLDS, _ROUNDS, _STEPS, _SMALL = 5, 2, 30, 1e-6
_ASSUMED_WRONG = 0.05
"""Share of captions that may be wrong in what is learned from, and count less in the end."""
_FURTHEST = 4.0

PairFacts = NDArray[np.float32]
Reals = NDArray[np.floating[Any]]


def worse_than_swapped(
    own: PairFacts, swapped: PairFacts, pictures: NDArray[np.int64]
) -> NDArray[np.float32]:
    """The share of swapped pairs that look better than each pair of the data set.

    Args:
        own: ``(R, 5)`` of R pictures and their captions, in the order of the weights above.
        swapped: ``(P, 5)`` of pairs whose caption was swapped.
        pictures: ``(P,)`` which of the R each of these is of, some of them or all: those that are
            learned from. None is judged by a regression that it was learned from.

    Returns:
        ``(R,)`` from 0 to 1; 0 where nothing was swapped.
    """
    if not len(swapped):
        return np.zeros(len(own), np.float32)
    mean, spread = swapped.mean(0, dtype=np.float64), swapped.std(0, dtype=np.float64) + 1e-6
    right, wrong = (_products(((each - mean) / spread).clip(-_FURTHEST, _FURTHEST))
                    for each in (own, swapped))  # fmt: skip
    prior = np.zeros(right.shape[1])
    prior[: len(_PRIOR)], prior[-1] = _PRIOR * spread, 0.0
    fold = np.random.default_rng(0).permutation(len(own)) % _FOLDS
    known, learned = np.ones(len(own)), np.zeros(len(own), bool)
    learned[pictures] = True
    for _ in range(_ROUNDS):
        mine, theirs = np.zeros(len(own)), np.zeros(len(swapped))
        for turn in range(_FOLDS):
            judged = fold == turn
            one, other = learned & ~judged, fold[pictures] != turn
            rows = np.concatenate([right[one], wrong[other]])
            answers = np.concatenate([np.ones(one.sum()), np.zeros(other.sum())])
            weights = np.concatenate([
                known[one], np.full(other.sum(), one.sum() / max(other.sum(), 1)),
            ])  # fmt: skip
            fitted = _logistic(rows, answers, weights, prior)
            mine[judged], theirs[~other] = right[judged] @ fitted, wrong[~other] @ fitted
        # Of the pairs as they are at some place, the wrong ones are as dense as the swapped ones.
        known = (1 - _ASSUMED_WRONG * np.exp(-mine.clip(-20, 20))).clip(0, 1)
    better = len(theirs) - np.searchsorted(np.sort(theirs), mine, "right")
    return (better / len(theirs)).astype(np.float32)


def _products(rows: Reals) -> Reals:
    """``(N, D)`` to ``(N, D + D (D + 1) / 2 + 1)``: themselves, their products, and one."""
    pairs = [rows[:, each, None] * rows[:, each:] for each in range(rows.shape[1])]
    return np.concatenate([rows, *pairs, np.ones((len(rows), 1))], 1)


def _logistic(rows: Reals, answers: Reals, weights: Reals, prior: Reals) -> Reals:
    """Logistic regression with a normal prior about given weights, by Newton's method.

    Args:
        rows: ``(N, D)``, the last of which is one and has a wide prior.
        answers: ``(N,)`` 0 or 1.
        weights: ``(N,)`` how much each counts.
        prior: ``(D,)``.

    Returns:
        ``(D,)``.
    """
    trust = np.full(len(prior), _TRUST)
    trust[-1] = 1.0

    def loss(found: Reals) -> float:
        logits = rows @ found
        data = weights * (np.logaddexp(0, logits) - answers * logits)
        return float(data.sum() + (trust * np.square(found - prior)).sum() / 2)

    found, before = prior, loss(prior)
    for _ in range(_STEPS):
        chances = np.exp(-np.logaddexp(0, -(rows @ found)))
        slope = rows.T @ (weights * (chances - answers)) + trust * (found - prior)
        bend = (rows * (weights * chances * (1 - chances))[:, None]).T @ rows + np.diag(trust)
        step = np.linalg.solve(bend, slope)
        # Where the prior is sure of everything, a whole step goes far astray.
        while (after := loss(found - step)) > before and np.abs(step).max() > _SMALL:
            step = step / 2
        if before - after < _SMALL * abs(before):
            break
        found, before = found - step, after
    return found
