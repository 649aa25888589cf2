"""The training pictures of a recipe, and their batches: functions of recipe and step alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limner.data.sampler import ShuffledIndices
from limner.data.store import CaptionTable, Store
from limner.errors import DataError, RecipeError
from limner.models.base import Batch, Parses
from limner.models.layers import pinned, sent
from limner.text.bulk import FeatureTable
from limner.training.augment import augment, needed
from limner.training.parses import ParseTable
from limner.training.recipe import MAX_SIZE, MIN_SIZE, DataSection, HoldoutSection
from limner.training.references import References
from limner.vision.base import ImageFeatures
from limner.vision.pixels import to_tensor

_STREAM = 1  # of random numbers, apart from the stream that orders the pictures
_REFERENCES = 3
_MANY_CONCEPTS = 100


@dataclass(frozen=True)
class Pictures:
    """The pictures of one or more stores that a recipe asks for.

    Attributes:
        stores: that hold them.
        owner: ``(N,)`` int64, index into ``stores``.
        rows: ``(N,)`` int64, index within that store.
        styles: names of the styles, over all stores.
        style_ids: ``(N,)`` int64 index into ``styles``, -1 where unknown.
        captions: of the N pictures, over all stores, in the languages asked for.
        size: side in pixels that the model is trained at.
        fingerprint: of the pictures and captions, 16 hex digits.
        references: features of the N pictures as references of each other, where a recipe asks.
        parses: what the captions' pieces are, where the family reads scenes.
    """

    stores: tuple[Store, ...]
    owner: NDArray[np.int64]
    rows: NDArray[np.int64]
    styles: tuple[str, ...]
    style_ids: NDArray[np.int64]
    captions: CaptionTable
    size: int
    fingerprint: str
    references: References | None = None
    parses: ParseTable | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def licences(self) -> dict[str, str]:
        """``source -> licence`` over all stores."""
        return {source: name for store in self.stores for source, name in store.licences.items()}

    def concepts(self) -> list[str | None]:
        """The concept key in each picture's metadata, where it has one."""
        found = (facts.get("concept") for facts in self.metadata())
        return [None if key is None else str(key) for key in found]

    def metadata(self) -> Iterator[dict[str, Any]]:
        """Every picture's metadata."""
        for owner, row in zip(self.owner.tolist(), self.rows.tolist(), strict=True):
            yield self.stores[owner].metadata(row)

    def batch(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Some of the pictures, ``(B, S, S, 3)`` uint8, S the size of the stores."""
        if len(self.stores) == 1:
            return self.stores[0].batch(self.rows[indices])
        side = self.stores[0].size
        out = np.empty((len(indices), side, side, 3), np.uint8)
        for number, store in enumerate(self.stores):
            mine = self.owner[indices] == number
            out[mine] = store.batch(self.rows[indices[mine]])
        return out

    def select(self, index: NDArray[np.int64]) -> Pictures:
        """Some of the pictures, with the same table of texts."""
        table = self.captions
        counts = np.diff(table.offsets)[index]
        ends = np.cumsum(counts)
        # Row j of a picture's captions: its first row in the whole table, plus j.
        members = np.arange(counts.sum()) + np.repeat(table.offsets[index] - ends + counts, counts)
        captions = replace(
            table,
            offsets=np.concatenate([[0], ends]).astype(np.int64),
            text_index=table.text_index[members],
            weight=table.weight[members],
            lang=table.lang[members],
        )
        return replace(
            self,
            owner=self.owner[index],
            rows=self.rows[index],
            style_ids=self.style_ids[index],
            captions=captions,
            references=None if self.references is None else self.references.select(index),
            parses=None if self.parses is None else self.parses.select(index),
        )


def open_pictures(section: DataSection, source: str) -> Pictures:
    """Open the stores of a recipe and keep what its filters let through.

    Raises:
        RecipeError: a store is missing or damaged, sizes do not fit, or nothing is left;
            the message names ``source`` and the key.
    """
    try:
        stores = tuple(Store.open(Path(path)) for path in section.stores)
    except DataError as error:
        raise RecipeError(f"{source}: data.store: {error}") from error
    sizes = sorted({store.size for store in stores})
    if len(sizes) > 1:
        raise RecipeError(f"{source}: data.store: the stores have different sizes, {sizes}")
    size = section.size or sizes[0]
    if sizes[0] % size:
        raise RecipeError(
            f"{source}: data.size: the pictures are {sizes[0]} pixels wide; "
            f"{size} does not divide that, so pack them again at {size}"
        )
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise RecipeError(
            f"{source}: data.store: the pictures are {size} pixels wide, models are of {MIN_SIZE} "
            f"to {MAX_SIZE}; set data.size to a size in this range that divides {size}, or pack "
            f"them again"
        )
    selection = section.selection
    kept = [selection.rows(store) for store in stores]
    if not sum(map(len, kept)):
        raise RecipeError(f"{source}: data: no picture with a caption passes the filters")
    styles = tuple(dict.fromkeys(name for store in stores for name in store.styles))
    ids = [_style_ids(store, styles)[rows] for store, rows in zip(stores, kept, strict=True)]
    return Pictures(
        stores=stores,
        owner=np.concatenate([np.full(len(rows), n, np.int64) for n, rows in enumerate(kept)]),
        rows=np.concatenate(kept),
        styles=styles,
        style_ids=np.concatenate(ids),
        captions=_merge(stores, kept, section),
        size=size,
        fingerprint=_fingerprint(stores, section),
    )


def _style_ids(store: Store, styles: tuple[str, ...]) -> NDArray[np.int64]:
    # One more entry at the end, so that -1 stays -1.
    numbers = np.array([*(styles.index(name) for name in store.styles), -1], np.int64)
    return numbers[np.asarray(store.style_ids)]


def _merge(
    stores: Sequence[Store], kept: Sequence[NDArray[np.int64]], section: DataSection
) -> CaptionTable:
    """One table of the kept pictures' captions, holding no text that none of them uses."""
    number: dict[str, int] = {}
    languages: dict[str, int] = {}
    text_index, weight, lang, offsets = [], [], [], [0]
    for store, rows in zip(stores, kept, strict=True):
        table = store.caption_table()
        mask = section.selection.caption_mask(table)
        for row in rows.tolist():
            first, last = table.offsets[row], table.offsets[row + 1]
            mine = np.arange(first, last)[mask[first:last]]
            if section.captions is not None:
                heaviest = np.argsort(-table.weight[mine], kind="stable")[: section.captions]
                mine = mine[np.sort(heaviest)]
            for i in mine.tolist():
                text_index.append(number.setdefault(table.texts[table.text_index[i]], len(number)))
                lang.append(languages.setdefault(table.languages[table.lang[i]], len(languages)))
                weight.append(table.weight[i])
            offsets.append(len(text_index))
    return CaptionTable(
        texts=list(number),
        offsets=np.array(offsets, np.int64),
        text_index=np.array(text_index, np.int64),
        weight=np.array(weight, np.float32),
        lang=np.array(lang, np.int64),
        languages=tuple(languages),
    )


def _fingerprint(stores: Sequence[Store], section: DataSection) -> str:
    chosen = [section.filters, section.languages, section.captions]
    facts = [[store.fingerprint for store in stores], *chosen]
    if len(stores) == 1 and not any(chosen):
        return stores[0].fingerprint
    return hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=8).hexdigest()


def hold_out(pictures: Pictures, section: HoldoutSection, source: str) -> tuple[Pictures, Pictures]:
    """Split pictures into those to train on and those to validate on.

    A hash of each concept (or of each picture's place in its store) decides, so the split is the
    same in every run on the same data.

    Returns:
        Training pictures and held-out pictures, both with the same table of texts, so that text
        features of the whole serve both.

    Raises:
        RecipeError: there are no concepts to split by, or nothing would be left to train on.
    """
    keys = _holdout_keys(pictures, section, source)
    unique = sorted(dict.fromkeys(keys), key=_hash)
    share = max(1, round(section.share * len(unique)))
    chosen = set(unique[:share])
    if share >= len(unique):
        raise RecipeError(
            f"{source}: data.holdout: a share of {section.share:g} of {len(unique)} "
            f"{section.by} keys would leave nothing to train on"
        )
    held = np.array([key in chosen for key in keys])
    return pictures.select(np.flatnonzero(~held)), pictures.select(np.flatnonzero(held))


def _holdout_keys(pictures: Pictures, section: HoldoutSection, source: str) -> list[str]:
    places = zip(pictures.owner.tolist(), pictures.rows.tolist(), strict=True)
    single = [f"picture {owner} {row}" for owner, row in places]
    if section.by == "picture":
        return single
    concepts = pictures.concepts()
    found = {concept for concept in concepts if concept is not None}
    if section.by == "auto" and len(found) < _MANY_CONCEPTS:
        return single
    if not found:
        raise RecipeError(
            f"{source}: data.holdout.by: no picture has a 'concept' in its metadata; say picture"
        )
    return [
        key if concept is None else f"concept {concept}"
        for key, concept in zip(single, concepts, strict=True)
    ]


def _hash(key: str) -> bytes:
    return hashlib.blake2b(key.encode(), digest_size=8, person=b"holdout").digest()


@dataclass(frozen=True)
class _Rows:
    """What a batch is made from: rows chosen at random, and their pixels; on the CPU.

    What goes to a GPU is in memory that it reads by itself.
    """

    index: Tensor
    pixels: Tensor
    texts: Tensor
    styles: Tensor
    languages: NDArray[np.int64]
    chances: Tensor
    references: ImageFeatures | None
    parses: Parses | None


class BatchLoader:
    """Makes the batch of any step, and reads the next one in a thread meanwhile.

    Args:
        pictures: the training set.
        features: of ``pictures.captions.texts``, in that order.
        section: flips and augmentations.
        batch_size: B.
        seed: with the step, the only source of randomness.
        device: of the batches.
        channels_last: memory layout of the pictures.
    """

    def __init__(
        self,
        pictures: Pictures,
        features: FeatureTable,
        section: DataSection,
        *,
        batch_size: int,
        seed: int,
        device: torch.device,
        channels_last: bool,
    ) -> None:
        self.pictures, self.section, self.device, self.seed = pictures, section, device, seed
        self.features, self.lengths = features.to(device), features.lengths
        self.order = ShuffledIndices(len(pictures), batch_size, seed)
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self._pool = ThreadPoolExecutor(1, "loader")
        self._next: tuple[int, Future[_Rows]] | None = None

    def _read(self, step: int) -> _Rows:
        """Choose the pictures, captions and augmentations of a step, and read the pixels."""
        index, pictures = self.order.at(step), self.pictures
        numbers = 1 + needed(self.section.augment)
        chances = self._uniform(step, _STREAM, (len(index), numbers))
        texts, languages = pictures.captions.choose(index, chances[:, 0])
        references, parses = None, None
        if pictures.references is not None:
            chance = self._uniform(step, _REFERENCES, (len(index),))
            references = pictures.references.features(pictures.references.choose(index, chance))
        if pictures.parses is not None:
            parses = pictures.parses.of(index, texts)
        return self._rows(
            index, texts, languages, chances[:, 1:], references=references, parses=parses
        )

    def _rows(
        self,
        index: NDArray[np.int64],
        texts: NDArray[np.int64],
        languages: NDArray[np.int64],
        chances: NDArray[np.float64],
        *,
        references: ImageFeatures | None = None,
        parses: Parses | None = None,
    ) -> _Rows:
        """The rows of a batch, with pixels and styles of its pictures."""
        pictures = self.pictures

        def held(values: NDArray[Any]) -> Tensor:
            return pinned(torch.from_numpy(values), self.device)

        return _Rows(
            index=torch.from_numpy(index), pixels=held(pictures.batch(index)), texts=held(texts),
            styles=held(pictures.style_ids[index]), languages=languages,
            chances=torch.from_numpy(chances), references=references, parses=parses,
        )  # fmt: skip

    def _uniform(self, step: int, stream: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Numbers in [0, 1) of a step."""
        philox = np.random.Philox(key=[self.seed, step], counter=[0, 0, 0, stream])
        return np.random.Generator(philox).random(shape)

    def batch(self, step: int, *, ahead: bool = True) -> Batch:
        """The batch of a step, on the device; the caller seeds its generator.

        Args:
            step: which.
            ahead: begin to read the next step's batch in another thread.
        """
        if self._next is not None and self._next[0] == step:
            rows = self._next[1].result()
        else:
            rows = self._read(step)
        if ahead:
            self._next = (step + 1, self._pool.submit(self._read, step + 1))
        return self._on_device(rows)

    def _on_device(self, rows: _Rows, *, as_it_is: bool = False) -> Batch:
        device = self.device
        images = to_tensor(rows.pixels.to(device, non_blocking=True))
        factor = images.shape[-1] // self.pictures.size
        if factor > 1:
            images = torch.nn.functional.avg_pool2d(images, factor)
        if not as_it_is:
            images = augment(images, rows.chances, self.section)
        table = self.pictures.captions
        changed = not as_it_is and (self.section.flip or self.section.augment.active)
        picture, parses = rows.references, rows.parses
        return Batch(
            images=images.contiguous(memory_format=self.layout),
            text=self.features[rows.texts.to(device, non_blocking=True)],
            styles=rows.styles.to(device, non_blocking=True),
            generator=torch.Generator(device),
            captions=[table.texts[i] for i in rows.texts.tolist()],
            languages=[table.languages[i] for i in rows.languages],
            indices=None if changed else rows.index,
            picture=None if picture is None else picture.each(lambda x: sent(x, device)),
            parses=None if parses is None else parses.each(lambda x: sent(x, device)),
            lengths=self.lengths[rows.texts],
        )

    def every(self, size: int = 64) -> Iterator[Batch]:
        """All pictures, each once and in order, as they are, with the heaviest caption of each."""
        captions = self.pictures.captions
        heaviest = captions.heaviest()
        for first in range(0, len(self.pictures), size):
            index = np.arange(first, min(first + size, len(self.pictures)))
            languages = np.zeros(len(index), np.int64)
            rows = self._rows(index, heaviest[index], languages, np.zeros((len(index), 0)))
            yield self._on_device(rows, as_it_is=True)

    def close(self) -> None:
        """Stop the thread."""
        self._pool.shutdown(cancel_futures=True)


def rows_of(batch: Batch, rows: slice) -> Batch:
    """Some rows of a batch; its generator and progress stay."""
    whole = {each.name: getattr(batch, each.name) for each in fields(batch)}
    parts = {
        name: value[rows]
        for name, value in whole.items()
        if name not in {"generator", "progress"} and value is not None
    }
    return replace(batch, **parts)
