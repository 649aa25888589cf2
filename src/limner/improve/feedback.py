"""A preference head: what users like, learned from their votes on drawn pictures.

The utility of a picture is linear in its features: the vector of an aligner, and the means and
deviations of its colours and edges. A choice between two pictures has the chance
sigmoid(u(better) - u(worse)) (Bradley and Terry 1952, eq. 1), a thumb up the chance
sigmoid(u + what is liked of its prompt). Each user has the shared weights and an offset of their
own: features are given once for all users and once for each (Daumé 2007, "Frustratingly easy domain
adaptation", section 3). A normal prior keeps all weights small where there are few votes; its
strength is the one that predicts best in a cross-validation over prompts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from limner.data.pictures import whole
from limner.errors import DataError, ModelFileError, UsageError
from limner.generation.votes import Vote, pictures_of, voted_pixels
from limner.metrics.intervals import Share, share_of
from limner.reading.aligner import load_aligner
from limner.tensorfile import read_metadata, write_tensors
from limner.vision.aligner import Aligner
from limner.vision.images import on_white
from limner.vision.pixels import to_tensor

FORMAT = 1
FIDELITY = 10.0
"""Of the cosine of a drawing and its prompt in its rank; chosen on prompts of no benchmark."""
STATISTICS = 9
"""Numbers of :func:`statistics_of`."""
_KEY = "limner.preferences"
_SIDE = 128
_STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
_FOLDS = 5
_OWN = 0.7
"""Deviation of a user's offset under the prior, over that of the shared weights."""
_LEAST_VOTES = 8
_BIAS = 2e-3
"""Strength of the prior on the bias: only so that there is one minimum."""
_MOST_STEPS, _FLAT = 50, 1e-9
_INK = 0.92
"""Darkest channel below which a pixel counts as drawn, not as white ground."""


def statistics_of(images: Tensor) -> Tensor:
    """Plain figures of ``(B, 3, H, W)`` pictures in [-1, 1]: ``(B, 9)`` float32.

    Mean and deviation of red, green and blue over what is not white, the share of that, and the
    mean and deviation of the absolute differences of neighbouring pixels' grey values.
    """
    x = (images + 1) / 2
    ink = (x.amin(1, keepdim=True) < _INK).float()  # (B, 1, H, W)
    count = ink.sum((2, 3)).clamp_min(1)  # (B, 1)
    mean = (x * ink).sum((2, 3)) / count  # (B, 3)
    spread = (((x - mean[..., None, None]) * ink).square().sum((2, 3)) / count).sqrt()
    grey = x.mean(1)
    edges = torch.cat(
        [(grey[:, 1:] - grey[:, :-1]).flatten(1), (grey[..., 1:] - grey[..., :-1]).flatten(1)], 1
    ).abs()
    rest = torch.stack([ink.mean((1, 2, 3)), edges.mean(1), edges.std(1)], 1)
    return torch.cat([mean, spread, rest], 1)


@dataclass(frozen=True)
class PreferenceReport:
    """What a preference head was learned from, and how well it predicts.

    Attributes:
        votes: how many.
        thumbs: of them thumbs.
        prompts: that were voted on.
        users: who voted.
        held_out: share of the votes on prompts that were held out that are predicted; a choice
            or thumb by chance is right half of the time. None where there are too few prompts.
        strength: of the prior.
    """

    votes: int
    thumbs: int
    prompts: int
    users: tuple[str, ...]
    held_out: Share | None
    strength: float

    @property
    def as_json(self) -> dict[str, Any]:
        """Plain values, as they are printed and kept in the file."""
        held = self.held_out
        return {
            "votes": self.votes, "thumbs": self.thumbs, "prompts": self.prompts,
            "users": list(self.users), "strength": self.strength,
            "held_out": None if held is None
            else {"accuracy": held.value, "low": held.low, "high": held.high, "votes": held.count},
        }  # fmt: skip


@dataclass
class PreferenceHead:
    """Ranks pictures by what users like.

    Attributes:
        aligner: gives the pictures' vectors.
        centre: ``(D,)`` float64, of the features.
        scale: ``(D,)`` float64, what features are divided by.
        shared: ``(D,)`` float64, weights of all users.
        own: each user's offset from them, ``(D,)``.
        facts: what the file says of the votes.
        statistics: whether the features hold :func:`statistics_of` as well.
    """

    aligner: Aligner
    centre: Tensor
    scale: Tensor
    shared: Tensor
    own: dict[str, Tensor]
    facts: dict[str, Any] = field(default_factory=dict)
    statistics: bool = True

    def weights(self, user: str | None) -> Tensor:
        """Of a user, ``(D,)``; those shared by all for None.

        Raises:
            UsageError: the user has not voted.
        """
        if user is None:
            return self.shared
        if user not in self.own:
            known = ", ".join(map(repr, self.own))
            raise UsageError(f"the preferences know no user {user!r}; they know: {known}")
        return self.shared + self.own[user]

    def features(self, images: Tensor) -> Tensor:
        """Features ``(B, D)`` float64 of pictures ``(B, 3, H, W)`` in [-1, 1]."""
        found = features_of(self.aligner, images, statistics=self.statistics)
        return (found - self.centre) / self.scale

    def utilities(self, images: Sequence[Image.Image], user: str | None = None) -> list[float]:
        """How much pictures are liked, on the scale of the log of odds; only differences count.

        Raises:
            UsageError: the user has not voted.
        """
        weights = self.weights(user)
        small = [whole(np.asarray(on_white(image)), _SIDE) for image in images]
        found: list[float] = (self.features(to_tensor(small)) @ weights).tolist()
        return found

    def scores(
        self, images: Sequence[Image.Image], prompt: str, user: str | None = None
    ) -> list[float]:
        """By which drawings of one prompt are ranked: :meth:`utilities`, and how well they show it.

        The latter is :data:`FIDELITY` times the aligner's cosine, so that what is liked does not
        take the place of what was asked for.

        Raises:
            UsageError: the user has not voted.
            PromptError: the aligner's text encoder refuses the prompt.
        """
        weights = self.weights(user)
        pixels = to_tensor([whole(np.asarray(on_white(image)), _SIDE) for image in images])
        seen, said = self.aligner.encode_images(pixels), self.aligner.encode_texts([prompt])
        fit = (seen @ said[0]).double()
        found: list[float] = (self.features(pixels) @ weights + FIDELITY * fit).tolist()
        return found

    def save(self, path: Path) -> Path:
        """Write a safetensors file.

        Raises:
            ModelFileError: it cannot be written.
        """
        facts = {
            "format": FORMAT, "aligner": self.aligner.spec,
            "aligner_fingerprint": self.aligner.fingerprint, "users": list(self.own),
            "statistics": self.statistics, **self.facts,
        }  # fmt: skip
        width = len(self.shared)
        own = torch.stack([*self.own.values()]) if self.own else torch.zeros(0, width)
        tensors = {"centre": self.centre, "scale": self.scale, "shared": self.shared, "own": own}
        write_tensors(
            path, {n: t.double().contiguous() for n, t in tensors.items()},
            {_KEY: json.dumps(facts)},
        )  # fmt: skip
        return path


def load_preferences(path: str | Path, *, aligner: Aligner | None = None) -> PreferenceHead:
    """Read a preference head.

    Args:
        path: of :meth:`PreferenceHead.save`.
        aligner: where the one that the file names is loaded already.

    Raises:
        ModelFileError: the file is missing, damaged, foreign or newer, or its aligner has changed.
    """
    path = Path(path)
    text = read_metadata(path).get(_KEY)
    if text is None:
        raise ModelFileError(
            f"{path} holds no preferences; make some with: limner feedback train VOTES --out FILE"
        )
    try:
        facts, tensors = json.loads(text), load_file(path)
        number, users = facts.pop("format"), facts.pop("users")
        spec, fingerprint = facts.pop("aligner"), facts.pop("aligner_fingerprint")
        statistics = facts.pop("statistics")
        centre, scale, shared = (tensors[name] for name in ("centre", "scale", "shared"))
        own = dict(zip(users, tensors["own"], strict=True))
        fits = centre.shape == scale.shape == shared.shape and len(shared.shape) == 1
    except (
        ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError, SafetensorError,
    ) as error:  # fmt: skip
        raise ModelFileError(f"{path} is damaged ({error}); train the preferences again") from error
    if number > FORMAT:
        raise ModelFileError(f"{path} is of format {number}; upgrade limner")
    aligner = aligner or load_aligner(spec)
    width = aligner.dim + STATISTICS * bool(statistics)
    if aligner.fingerprint != fingerprint or not fits or len(shared) != width:
        raise ModelFileError(
            f"{path} was trained with another version of the aligner {spec!r}; train the "
            "preferences again"
        )
    return PreferenceHead(aligner, centre, scale, shared, own, facts, bool(statistics))


def features_of(aligner: Aligner, images: Tensor, *, statistics: bool) -> Tensor:
    """What utilities are linear in, ``(B, D)`` float64, before it is normalised."""
    parts = [aligner.encode_images(images)]
    return torch.cat([*parts, statistics_of(images)] if statistics else parts, 1).double()


def train_preferences(
    votes: Sequence[Vote], *, aligner: Aligner | None = None, statistics: bool = True
) -> tuple[PreferenceHead, PreferenceReport]:
    """Learn from votes; the same votes give the same head.

    A fifth of the prompts, by a hash of them, is held out to measure the accuracy, then all votes
    are learned from.

    Args:
        votes: of one user or several.
        aligner: encodes pictures and prompts; None for the shipped one.
        statistics: whether plain figures of the pixels stand beside the aligner's vectors.

    Raises:
        DataError: there are fewer than eight votes, or they all say the same, or a picture cannot
            be read.
    """
    if len(votes) < _LEAST_VOTES:
        raise DataError(
            f"{len(votes)} votes are too few to learn from; give {_LEAST_VOTES} or more, on "
            "several prompts"
        )
    signs = {1 if vote.better else -1 for vote in votes if vote.thumb is not None}
    if len(signs) == 1 and not any(vote.thumb is None for vote in votes):
        raise DataError(f"all {len(votes)} votes are alike; vote on what is not liked, too")
    aligner = aligner or load_aligner()
    problem = _Problem.of(votes, aligner, statistics=statistics)
    groups = np.array([_fold(key) for key in problem.keys])
    strength = problem.best_strength(groups)
    held = groups == 0
    measured = None
    if 0 < held.sum() < len(held) and len(set(problem.keys)) >= _FOLDS:
        inner = problem.best_strength(groups, ~held)
        margins = problem.margins(problem.fit(~held, inner))[held]
        measured = share_of(float((margins > 0).mean()), len(margins))
    shared, own = problem.split(problem.fit(np.ones_like(held), strength))
    thumbs = sum(vote.thumb is not None for vote in votes)
    report = PreferenceReport(
        len(votes), thumbs, len(set(problem.keys)), problem.users, measured, strength
    )
    head = PreferenceHead(
        aligner, problem.centre, problem.scale, shared, own, report.as_json, statistics
    )
    del head.facts["users"]
    return head, report


def _fold(key: str) -> int:
    digest = hashlib.blake2b(key.encode(), digest_size=8, person=b"preferences").digest()
    return int.from_bytes(digest, "big") % _FOLDS


@dataclass(frozen=True)
class _Problem:
    """The votes as rows whose product with the weights is to be positive.

    Attributes:
        rows: ``(V, (1 + U) D + P + 1)`` float64: shared features, each user's, the prompt's, one.
        keys: prompt of each vote, by which votes are held out.
        users: U of them, where there are several.
        centre: ``(D,)``.
        scale: ``(D,)``.
    """

    rows: Tensor
    keys: list[str]
    users: tuple[str, ...]
    centre: Tensor
    scale: Tensor

    @classmethod
    def of(cls, votes: Sequence[Vote], aligner: Aligner, *, statistics: bool) -> _Problem:
        known = [each for _, each in pictures_of(votes)]
        place = {each.file: number for number, each in enumerate(known)}
        images = to_tensor([voted_pixels(each.path, _SIDE) for each in known])
        features = features_of(aligner, images, statistics=statistics)
        centre, scale = features.mean(0), features.std(0).clamp_min(1e-6)
        sizes = [aligner.dim, features.shape[1] - aligner.dim]  # each group counts as much
        scale = scale * torch.cat([torch.full((n,), float(n)).sqrt() for n in sizes]).double()
        features = (features - centre) / scale
        texts = list(dict.fromkeys(each.record.prompt for each in known))
        prompts = dict(zip(texts, aligner.encode_texts(texts).double(), strict=True))
        users = tuple(sorted({vote.user for vote in votes}))
        width = features.shape[1]
        rows = torch.zeros(len(votes), (1 + len(users)) * width + aligner.dim + 1).double()
        for row, vote in zip(rows, votes, strict=True):
            for each, sign in ((vote.better, 1.0), (vote.worse, -1.0)):
                if each is None:
                    continue
                own = width * (1 + users.index(vote.user))
                row[:width] += sign * features[place[each.file]]
                row[own : own + width] += sign * _OWN * features[place[each.file]]
                row[-1 - aligner.dim : -1] += sign * prompts[each.record.prompt]
                row[-1] += sign
        keys = [vote.pictures[0].record.prompt for vote in votes]
        return cls(rows, keys, users, centre, scale)

    def fit(self, chosen: NDArray[np.bool_], strength: float) -> Tensor:
        """The weights of largest posterior chance, given some of the votes.

        They minimise the sum of softplus(-w x) plus strength / 2 |w|^2, the bias nearly free of
        the latter, by Newton's method. The minimum lies in the span of the votes' rows, so that few
        votes are a small problem however many features there are.
        """
        rows = self.rows[torch.from_numpy(chosen)]
        features, basis = rows[:, :-1], None
        if len(rows) < features.shape[1]:
            basis, upper = torch.linalg.qr(features.T)
            features = upper.T
        design = torch.cat([features, rows[:, -1:]], 1)
        prior = torch.full((design.shape[1],), strength).double()
        prior[-1] = _BIAS
        weights = torch.zeros(len(prior)).double()

        def cost(at: Tensor) -> Tensor:
            return F.softplus(-design @ at).sum() + (prior * at.square()).sum() / 2

        for _ in range(_MOST_STEPS):
            doubt = torch.sigmoid(-design @ weights)  # (V,)
            slope = prior * weights - design.T @ doubt
            if slope.abs().max() < _FLAT:
                break
            curve = (design.T * (doubt * (1 - doubt))) @ design + torch.diag(prior)
            step = torch.linalg.solve(curve, slope)
            while cost(weights - step) > cost(weights) and step.abs().max() > _FLAT:
                step = step / 2
            weights = weights - step
        found = weights[:-1] if basis is None else basis @ weights[:-1]
        return torch.cat([found, weights[-1:]])

    def margins(self, weights: Tensor) -> NDArray[np.float64]:
        """Log of the odds of each vote, ``(V,)``."""
        found: NDArray[np.float64] = (self.rows @ weights).numpy()
        return found

    def best_strength(
        self, groups: NDArray[np.int64], chosen: NDArray[np.bool_] | None = None
    ) -> float:
        """The strength of the prior that predicts votes on other prompts best.

        Args:
            groups: ``(V,)``, in which votes are left out together.
            chosen: ``(V,)``, the votes to look at; None for all.
        """
        chosen = np.ones(len(groups), bool) if chosen is None else chosen
        found = sorted(set(groups[chosen].tolist()))
        if len(found) < 2:
            return 1.0
        costs = []
        for strength in _STRENGTHS:
            cost = 0.0
            for group in found:
                left = chosen & (groups == group)
                margins = self.margins(self.fit(chosen & ~left, strength))[left]
                cost += float(np.logaddexp(0, -margins).sum())
            costs.append(cost)
        return _STRENGTHS[int(np.argmin(costs))]

    def split(self, weights: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The shared weights and each user's offset, in the units of normalised features."""
        width = len(self.centre)
        own = weights[width : width * (1 + len(self.users))].view(-1, width)
        return weights[:width], {
            user: _OWN * each for user, each in zip(self.users, own, strict=True)
        }
