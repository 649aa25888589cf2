"""Concept recall: is the nearest real icon of a drawn picture one of the concept asked for?

A picture drawn in icon set *s* is searched among real icons of the sets other than *s*, so that
a generator which merely memorised its training icon does not win by identity. The ceiling is
the real icon of the same concept in set *s*, searched in exactly the same way; the floor is the
same pictures scored against shuffled prompts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from limner.data.store import Store
from limner.errors import DataError
from limner.metrics.judge import Judge, load_judge
from limner.metrics.prompts import load_prompts, plain_key
from limner.vision.pixels import to_tensor

SHARPNESS = 20.0
TOP = (1, 5)
FLOOR_SHUFFLES = 10


def concept_scores(
    query: Tensor, gallery: Sequence[Tensor], label: Tensor, allowed: Tensor, concepts: int
) -> Tensor:
    """How much each query looks like each concept, ``(Q, K)`` float32, 0 where it cannot tell.

    The score is the mean of ``exp(20 cos)`` over the concept's allowed icons: a soft maximum, so
    that one good match counts for more than many lukewarm ones. An icon and its mirror image
    are one icon; the better match counts, as sets let animals and vehicles face either way.

    Args:
        query: ``(Q, D)`` unit features.
        gallery: features ``(R, D)`` of R icons, once per guise (plain, mirrored).
        label: ``(R,)`` int64 concept of each icon, below ``concepts``.
        allowed: ``(Q, R)`` bool, whether a query may be compared with an icon.
        concepts: K.
    """
    cosine = torch.stack([query @ guise.T for guise in gallery]).amax(0)
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
    """Real icons of the evaluated concepts, one per concept and icon set, as judge features.

    Attributes:
        keys: the K concepts that some icon shows, in the order of the prompts.
        styles: icon sets in the store, sorted.
    """

    def __init__(
        self, store: Store | Path | str, judge: Judge | None = None, keys: Iterable[str] = ()
    ) -> None:
        store = store if isinstance(store, Store) else Store.open(Path(store))
        self.judge = judge or load_judge()
        rows = _icon_rows(store, [plain_key(k) for k in keys] or [p.key for p in load_prompts()])
        self.keys = tuple(dict.fromkeys(key for key, _ in rows))
        self.styles = tuple(sorted({style for _, style in rows}))
        self._concept = {key: i for i, key in enumerate(self.keys)}
        self._row = {pair: i for i, pair in enumerate(rows)}
        self._label = torch.tensor([self._concept[key] for key, _ in rows])
        self._style = torch.tensor([self.styles.index(style) for _, style in rows])
        pictures = store.batch(np.array(list(rows.values())))
        images = to_tensor(pictures)
        self._features = self.judge.features(images)
        self._guises = (self._features, self.judge.features(images.flip(3)))

    @property
    def count(self) -> int:
        """How many real icons there are."""
        return len(self._row)

    def has(self, key: str, style: str) -> bool:
        """Whether the icon set draws the concept."""
        return (plain_key(key), style) in self._row

    def can_score(self, target: Target) -> bool:
        """Whether the concept has an icon outside the target's icon set."""
        key = plain_key(target.key)
        others = [s for s in self.styles if s != target.style and (key, s) in self._row]
        return bool(others)

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
        """At which place the right concept comes among all, ``(B,)`` int64; 0 is the nearest.

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
        """How much each picture looks like each concept, ``(B, K)``; the keys do not matter."""
        number = {style: i for i, style in enumerate(self.styles)}
        drawn_in = torch.tensor([number.get(t.style, -1) for t in targets])
        parts = []
        for i in range(0, len(targets), 256):
            part = slice(i, i + 256)
            allowed = drawn_in[part, None] != self._style[None]
            parts.append(
                concept_scores(features[part], self._guises, self._label, allowed, len(self.keys))
            )
        return torch.cat(parts)

    def places(self, scores: Tensor, targets: Sequence[Target]) -> Tensor:
        """At which place each target's concept comes in its row of scores, ``(B,)`` int64."""
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
            f"(metadata 'concept' and 'style'); evaluate against one made by 'limner data icons'"
        )
    order = {key: i for i, key in enumerate(keys)}
    rows = sorted((p for p in found if p[0] in order), key=lambda p: (order[p[0]], p[1]))
    if not rows:
        raise DataError(f"the store {store.path} has no icon of any of the evaluated concepts")
    return {pair: found[pair] for pair in rows}


def recall_of(ranks: Tensor) -> dict[str, float]:
    """``top1`` and ``top5``: shares in [0, 1] of ranks below 1 and 5."""
    return {f"top{k}": (ranks < k).double().mean().item() for k in TOP}


def shuffled(targets: Sequence[Target], seed: int) -> list[Target]:
    """The targets with their keys shuffled so that none keeps its concept where it can be helped.

    A seeded random order of the targets, each taking the key of the next one in it.
    """
    order = np.random.default_rng(seed).permutation(len(targets))
    keys = [""] * len(targets)
    for here, there in zip(order, np.roll(order, -1), strict=True):
        keys[here] = targets[there].key
    return [Target(key, t.style) for key, t in zip(keys, targets, strict=True)]


class ConceptRecall:
    """Recall of drawn pictures on plain arrays, with its ceiling and floor.

    Args:
        store: icon store with ``concept`` and ``style`` metadata, opened or a path.
        judge: None for the shipped one.
        keys: concepts to search among; none for the 500 of the fixed prompts.
    """

    def __init__(
        self, store: Store | Path | str, judge: Judge | None = None, keys: Iterable[str] = ()
    ) -> None:
        self.gallery = Gallery(store, judge, keys)

    def ranks(self, images: Tensor, keys: Sequence[str], styles: Sequence[str] = ()) -> Tensor:
        """Place of the right concept for each picture, ``(N,)`` int64; 0 is the nearest.

        Args:
            images: ``(N, 3, H, W)`` float in [-1, 1].
            keys: N concepts asked for.
            styles: N icon sets the pictures were drawn in; none, or empty strings, to search
                among all sets.

        Raises:
            DataError: pictures hold numbers that are not finite, or a concept has no icon.
        """
        features = checked_features(self.gallery.judge, torch.as_tensor(images))
        return self.gallery.ranks(features, _targets(keys, styles))

    def score(
        self, images: Tensor, keys: Sequence[str], styles: Sequence[str] = ()
    ) -> dict[str, float]:
        """``{"top1": …, "top5": …, "count": N}`` of drawn pictures; see :meth:`ranks`."""
        ranks = self.ranks(images, keys, styles)
        return {**recall_of(ranks), "count": float(len(ranks))}

    def ceiling(self, keys: Sequence[str], styles: Sequence[str]) -> dict[str, float]:
        """What the real icons of the same concepts in the same sets would reach."""
        targets = _targets(keys, styles)
        ranks = self.gallery.ranks(self.gallery.icon_features(targets), targets)
        return {**recall_of(ranks), "count": float(len(ranks))}


class RecallMetric:
    """Concept recall over a stream of pictures: the metric contract of limner.

    Args:
        gallery: real icons.
        targets: caption -> what a picture of it should show.
    """

    def __init__(self, gallery: Gallery, targets: Mapping[str, Target]) -> None:
        self.gallery, self.targets = gallery, targets
        self._features: list[Tensor] = []
        self._seen: list[Target] = []

    def update(self, images: Tensor, captions: Sequence[str]) -> None:
        """Take in B pictures ``(B, 3, H, W)`` in [-1, 1] and the prompts they were drawn from.

        Raises:
            DataError: pictures hold numbers that are not finite.
            KeyError: a caption has no target.
        """
        targets = [self.targets[caption] for caption in captions]
        self._features.append(checked_features(self.gallery.judge, images))
        self._seen += targets

    @property
    def seen(self) -> tuple[Target, ...]:
        """Targets of the pictures taken in, in their order."""
        return tuple(self._seen)

    def ranks(self) -> Tensor:
        """Place of the right concept for every picture taken in, ``(N,)`` int64."""
        if not self._seen:
            raise DataError("no picture was measured, so there is no recall")
        return self.gallery.ranks(torch.cat(self._features), self._seen)

    def floor(self, shuffles: int = FLOOR_SHUFFLES) -> dict[str, float]:
        """Recall of the same pictures against shuffled prompts, a mean over fixed seeds."""
        if not self._seen:
            raise DataError("no picture was measured, so there is no floor")
        scores = self.gallery.scores(torch.cat(self._features), self._seen)
        places = [
            self.gallery.places(scores, shuffled(self._seen, seed)) for seed in range(shuffles)
        ]
        return recall_of(torch.cat(places))

    def compute(self) -> dict[str, float]:
        """``top1`` and ``top5`` in [0, 1], and ``count``."""
        ranks = self.ranks()
        return {**recall_of(ranks), "count": float(len(ranks))}


def checked_features(judge: Judge, images: Tensor) -> Tensor:
    """Judge features of pictures that hold finite numbers only.

    Raises:
        DataError: they do not; a comparison with such a number would always be won.
    """
    if not bool(torch.isfinite(images).all()):
        raise DataError("a drawn picture holds numbers that are not finite; the model is broken")
    return judge.features(images)


def _targets(keys: Sequence[str], styles: Sequence[str]) -> list[Target]:
    named = styles or [""] * len(keys)
    if len(named) != len(keys):
        raise DataError(f"{len(keys)} concepts but {len(named)} icon sets")
    return [Target(plain_key(key), style) for key, style in zip(keys, named, strict=True)]
