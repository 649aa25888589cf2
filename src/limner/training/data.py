"""What the loop is fed with: every batch a pure function of the recipe and the step."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from limner.data.sampler import ShuffledIndices
from limner.data.store import CaptionTable, Store
from limner.errors import DataError, RecipeError
from limner.models.base import Batch, Parses
from limner.text.bulk import FeatureTable
from limner.training.augment import augment, needed
from limner.training.parses import ParseTable
from limner.training.recipe import DataSection
from limner.training.references import References
from limner.vision.pixels import to_tensor

_STREAM = 1  # apart from the stream that orders the pictures
_REFERENCES = 3


@dataclass(frozen=True)
class Pictures:
    """The pictures of one or more stores that a recipe asks for.

    Attributes:
        stores: where they lie.
        owner: ``(N,)`` int64, index into ``stores``.
        rows: ``(N,)`` int64, index within that store.
        styles: names of the styles, over all stores.
        style_ids: ``(N,)`` int64 index into ``styles``, -1 where unknown.
        captions: of the N pictures, over all stores, in the languages asked for.
        size: side in pixels that the model learns at.
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
        """Gather pictures: ``(B, S, S, 3)`` uint8, S the stores' own size."""
        if len(self.stores) == 1:
            return self.stores[0].batch(self.rows[indices])
        side = self.stores[0].size
        out = np.empty((len(indices), side, side, 3), np.uint8)
        for number, store in enumerate(self.stores):
            mine = self.owner[indices] == number
            out[mine] = store.batch(self.rows[indices[mine]])
        return out


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
    tongues: dict[str, int] = {}
    text_index, weight, lang, counts = [], [], [], []
    for store, rows in zip(stores, kept, strict=True):
        table = store.caption_table()
        spoken = section.selection.caption_mask(table)
        for row in rows.tolist():
            first, last = table.offsets[row], table.offsets[row + 1]
            mine = np.arange(first, last)[spoken[first:last]]
            if section.captions is not None:
                heaviest = np.argsort(-table.weight[mine], kind="stable")[: section.captions]
                mine = mine[np.sort(heaviest)]
            counts.append(len(mine))
            for i in mine.tolist():
                text_index.append(number.setdefault(table.texts[table.text_index[i]], len(number)))
                lang.append(tongues.setdefault(table.languages[table.lang[i]], len(tongues)))
                weight.append(table.weight[i])
    return CaptionTable(
        texts=list(number),
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        text_index=np.array(text_index, np.int64),
        weight=np.array(weight, np.float32),
        lang=np.array(lang, np.int64),
        languages=tuple(tongues),
    )


def _fingerprint(stores: Sequence[Store], section: DataSection) -> str:
    chosen = [section.filters, section.languages, section.captions]
    facts = [[store.fingerprint for store in stores], *chosen]
    if len(stores) == 1 and not any(chosen):
        return stores[0].fingerprint
    return hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=8).hexdigest()


@dataclass(frozen=True)
class Draw:
    """What was drawn for one step, before it becomes tensors."""

    index: NDArray[np.int64]
    pixels: NDArray[np.uint8]
    texts: NDArray[np.int64]
    languages: NDArray[np.int64]
    styles: NDArray[np.int64]
    chances: NDArray[np.float64]
    references: NDArray[np.int64] | None = None
    parses: Parses | None = None


class Feeder:
    """Draws the batch of any step, and prepares the next one while a step is computed.

    Args:
        pictures: where from.
        features: of ``pictures.captions.texts``, in that order.
        section: flips and augmentations.
        batch_size: B.
        seed: with the step, the only source of chance.
        device: where batches go.
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
        self.features = features.to(device)
        self.order = ShuffledIndices(len(pictures), batch_size, seed)
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self._pool = ThreadPoolExecutor(1, "feeder")
        self._next: tuple[int, Future[Draw]] | None = None

    def draw(self, step: int) -> Draw:
        """Choose the pictures, captions and augmentations of a step."""
        index = self.order.at(step)
        philox = np.random.Philox(key=[self.seed, step], counter=[0, 0, 0, _STREAM])
        numbers = 1 + needed(self.section.augment)
        chances = np.random.Generator(philox).random((len(index), numbers))
        texts, spoken = self.pictures.captions.choose(index, chances[:, 0])
        styles = self.pictures.style_ids[index]
        pixels = self.pictures.batch(index)
        references = self._references(index, step)
        table = self.pictures.parses
        parses = None if table is None else table.of(index, texts)
        return Draw(index, pixels, texts, spoken, styles, chances[:, 1:], references, parses)

    def _references(self, index: NDArray[np.int64], step: int) -> NDArray[np.int64] | None:
        found = self.pictures.references
        if found is None:
            return None
        philox = np.random.Philox(key=[self.seed, step], counter=[0, 0, 0, _REFERENCES])
        return found.choose(index, np.random.Generator(philox).random(len(index)))

    def batch(self, step: int, *, ahead: bool = True) -> Batch:
        """The batch of a step, on the device; its generator is the loop's to set.

        Args:
            step: which.
            ahead: begin to draw the next step's in another thread.
        """
        if self._next is not None and self._next[0] == step:
            draw = self._next[1].result()
        else:
            draw = self.draw(step)
        if ahead:
            self._next = (step + 1, self._pool.submit(self.draw, step + 1))
        images = to_tensor(torch.from_numpy(draw.pixels).to(self.device))
        factor = images.shape[-1] // self.pictures.size
        if factor > 1:
            images = torch.nn.functional.avg_pool2d(images, factor)
        images = augment(images, torch.from_numpy(draw.chances), self.section)
        table = self.pictures.captions
        changed = self.section.flip or self.section.augment.active
        seen, shown = self.pictures.references, draw.references
        return Batch(
            images=images.contiguous(memory_format=self.layout),
            text=self.features[torch.from_numpy(draw.texts).to(self.device)],
            styles=torch.from_numpy(draw.styles).to(self.device),
            generator=torch.Generator(self.device),
            captions=[table.texts[i] for i in draw.texts],
            languages=[table.languages[i] for i in draw.languages],
            indices=None if changed else torch.from_numpy(draw.index),
            picture=seen.features(shown, self.device) if seen and shown is not None else None,
            parses=None if draw.parses is None else draw.parses.to(self.device),
        )

    def close(self) -> None:
        """End the thread."""
        self._pool.shutdown(cancel_futures=True)


def rows_of(batch: Batch, rows: slice) -> Batch:
    """Some of a batch's pictures."""
    return replace(
        batch,
        images=batch.images[rows],
        text=batch.text[rows],
        styles=batch.styles[rows],
        captions=batch.captions[rows],
        languages=batch.languages[rows],
        indices=None if batch.indices is None else batch.indices[rows],
        picture=None if batch.picture is None else batch.picture[rows],
        parses=None if batch.parses is None else batch.parses[rows],
    )
