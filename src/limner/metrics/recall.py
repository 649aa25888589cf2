"""Concept recall: is the nearest real icon of a drawn picture one of the concept asked for?

A picture drawn in icon set *s* is searched among real icons of the sets other than *s*, so that
a generator which merely memorised its training icon gains nothing (``docs/evaluation.md``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from limner.data.store import Store
from limner.errors import DataError
from limner.metrics.base import Stream
from limner.metrics.judge import load_judge
from limner.metrics.memorisation import pixels
from limner.metrics.retrieval import recall_at

SHARPNESS = 20.0
TOP = (1, 5)
SHUFFLES = 10


def plain_key(hexcode: str) -> str:
    """The key of a concept: its hexcode in capitals without variation selectors."""
    return "-".join(part for part in hexcode.strip().upper().split("-") if part != "FE0F")


def concept_scores(
    query: Tensor, gallery: Sequence[Tensor], label: Tensor, allowed: Tensor, concepts: int
) -> Tensor:
    """How similar each query is to each concept, ``(Q, K)`` float32, 0 without an allowed icon.

    The score is the mean of ``exp(20 cos)`` over the concept's allowed icons: a soft maximum, so
    that one close match counts for more than many distant ones. An icon and its mirror image are
    one icon; the better match counts, as sets let animals and vehicles face either way.

    Args:
        query: ``(Q, D)`` unit features.
        gallery: features ``(R, D)`` of R icons, once per view (plain, mirrored).
        label: ``(R,)`` int64 concept of each icon, below ``concepts``.
        allowed: ``(Q, R)`` bool, whether a query may be compared with an icon.
        concepts: K.
    """
    cosine = torch.stack([query @ view.T for view in gallery]).amax(0)
    weight = torch.where(allowed, torch.exp(SHARPNESS * cosine), torch.zeros(()))
    shape = (len(query), concepts)
    index = label[None].expand(len(query), -1)
    total = torch.zeros(shape).scatter_add_(1, index, weight)
    count = torch.zeros(shape).scatter_add_(1, index, allowed.float())
    return total / count.clamp_min(1)


@dataclass(frozen=True)
class Target:
    """What a drawn picture should show.

    Attributes:
        key: the concept asked for.
        style: icon set it was asked to be drawn in, empty where none was.
    """

    key: str
    style: str = ""


class Gallery:
    """Real icons of some concepts, one per concept and icon set, as judge features.

    Args:
        store: icons with ``concept`` and ``style`` metadata.
        keys: concepts to search among.

    Attributes:
        keys: the K concepts that some icon shows, in the order given.
        styles: icon sets in the store, sorted.

    Raises:
        DataError: the store lacks the metadata, or has no icon of the concepts.
    """

    def __init__(self, store: Store, keys: Iterable[str]) -> None:
        self.judge = load_judge()
        rows = _icon_rows(store, [plain_key(key) for key in keys])
        self.keys = tuple(dict.fromkeys(key for key, _ in rows))
        self.styles = tuple(sorted({style for _, style in rows}))
        self._concept = {key: i for i, key in enumerate(self.keys)}
        self._row = {pair: i for i, pair in enumerate(rows)}
        self._label = torch.tensor([self._concept[key] for key, _ in rows])
        self._style = torch.tensor([self.styles.index(style) for _, style in rows])
        images = pixels(store, np.array(list(rows.values())))
        self._features = self.judge.features(images)
        self._views = (self._features, self.judge.features(images.flip(3)))

    @property
    def count(self) -> int:
        """How many real icons there are."""
        return len(self._row)

    def has(self, key: str, style: str) -> bool:
        """Whether the icon set draws the concept."""
        return (plain_key(key), style) in self._row

    def can_score(self, target: Target) -> bool:
        """Whether the concept has an icon outside the target's icon set."""
        return any(self.has(target.key, style) for style in self.styles if style != target.style)

    def icon_features(self, targets: Sequence[Target]) -> Tensor:
        """Features ``(B, D)`` of the real icons of some concepts and sets.

        Raises:
            DataError: a set does not draw a concept.
        """
        pairs = [(plain_key(t.key), t.style) for t in targets]
        missing = next((pair for pair in pairs if pair not in self._row), None)
        if missing is not None:
            raise DataError(f"the store has no icon of {missing[0]} in the set {missing[1]!r}")
        return self._features[[self._row[pair] for pair in pairs]]

    def ranks(self, features: Tensor, targets: Sequence[Target]) -> Tensor:
        """Rank of the right concept among all, ``(B,)`` int64; 0 is the nearest.

        Raises:
            DataError: a concept has no icon outside the target's icon set.
        """
        lost = next((t for t in targets if not self.can_score(t)), None)
        if lost is not None:
            raise DataError(
                f"concept {lost.key} has no icon in the store outside the set {lost.style!r}; "
                f"evaluate against a store with more icon sets"
            )
        return self.places(self.scores(features, targets), targets)

    def scores(self, features: Tensor, targets: Sequence[Target]) -> Tensor:
        """Similarity of each picture to each concept, ``(B, K)``; the keys do not matter."""
        number = {style: i for i, style in enumerate(self.styles)}
        drawn_in = torch.tensor([number.get(t.style, -1) for t in targets])
        parts = []
        for query, styles in zip(
            torch.split(features, 256), torch.split(drawn_in, 256), strict=True
        ):
            allowed = styles[:, None] != self._style[None]
            parts.append(concept_scores(query, self._views, self._label, allowed, len(self.keys)))
        return torch.cat(parts)

    def places(self, scores: Tensor, targets: Sequence[Target]) -> Tensor:
        """Rank of each target's concept in its row of scores, ``(B,)`` int64."""
        own = torch.tensor([self._concept[plain_key(t.key)] for t in targets])
        return (scores > scores.gather(1, own[:, None])).sum(1)


def _icon_rows(store: Store, keys: Sequence[str]) -> dict[tuple[str, str], int]:
    """(key, icon set) -> first picture of it, ordered by key as given and then by set."""
    found: dict[tuple[str, str], int] = {}
    for i in range(len(store)):
        row = store.metadata(i)
        if row.get("concept") and row.get("style"):
            found.setdefault((plain_key(str(row["concept"])), str(row["style"])), i)
    if not found:
        raise DataError(
            f"the store {store.path} does not say which concept and icon set its pictures show "
            "(metadata 'concept' and 'style'): evaluate against one made by 'limner data icons', "
            "or measure what applies to pictures of your own, as with --suite full"
        )
    order = {key: i for i, key in enumerate(keys)}
    rows = sorted((p for p in found if p[0] in order), key=lambda p: (order[p[0]], p[1]))
    if not rows:
        raise DataError(f"the store {store.path} has no icon of any of the evaluated concepts")
    return {pair: found[pair] for pair in rows}


def recall_of(ranks: Tensor) -> dict[str, float]:
    """``top1`` and ``top5``: shares in [0, 1] of ranks ``(N,)`` below 1 and 5."""
    return {f"top{k}": recall_at(ranks, k) for k in TOP}


def shuffled(targets: Sequence[Target], seed: int) -> list[Target]:
    """The targets with their keys shuffled so that none keeps its concept where it can be helped.

    A seeded random order of the targets, each taking the key of the next one in it.
    """
    order = np.random.default_rng(seed).permutation(len(targets))
    keys = [""] * len(targets)
    for here, there in zip(order, np.roll(order, -1), strict=True):
        keys[here] = targets[there].key
    return [Target(key, t.style) for key, t in zip(keys, targets, strict=True)]


class RecallMetric(Stream):
    """Concept recall over a stream of pictures.

    Args:
        gallery: real icons.
        targets: caption -> what a picture of it should show.
    """

    def __init__(self, gallery: Gallery, targets: Mapping[str, Target]) -> None:
        self.gallery, self.targets = gallery, targets
        self._features: list[Tensor] = []
        self._taken: list[Target] = []

    def _take(self, images: Tensor, captions: Sequence[str]) -> None:
        self._taken += [self.targets[caption] for caption in captions]
        self._features.append(self.gallery.judge.features(images))

    def ranks(self) -> Tensor:
        """Rank of the right concept for every picture taken in, ``(N,)`` int64; 0 is first."""
        if not self._taken:
            raise DataError("no picture was measured, so there is no recall")
        return self.gallery.ranks(torch.cat(self._features), self._taken)

    def per_picture(self) -> dict[str, Tensor]:
        """``rank``: :meth:`ranks`."""
        return {"rank": self.ranks()}

    def lower_bound(self) -> dict[str, float]:
        """Recall of the same pictures against shuffled prompts, a mean over fixed seeds."""
        scores = self.gallery.scores(torch.cat(self._features), self._taken)
        places = (self.gallery.places(scores, shuffled(self._taken, i)) for i in range(SHUFFLES))
        return recall_of(torch.cat(list(places)))

    def compute(self) -> dict[str, float]:
        """``top1`` and ``top5`` in [0, 1], and ``count``."""
        ranks = self.ranks()
        return {**recall_of(ranks), "count": float(len(ranks))}
