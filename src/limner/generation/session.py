"""Drawings made side by side: the caller advances a session until they are finished.

A :class:`Drawing` is a picture in the making. Its parts become rows of the model
(:mod:`limner.models.rows`), and every call of :meth:`DrawingSession.advance` makes one network
evaluation of rows that may belong to many pictures, be at different steps and have different
settings. A drawing can join between any two calls, be previewed, and be dropped at any time. It
has the same bits alone and beside others (:class:`limner.models.image_model.ImageModel`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from PIL import Image
from torch import Tensor

from limner.errors import ModelFileError
from limner.generation.copies import TrainingDrawing
from limner.generation.partial_drawing import Inpainted, Numbered, PartialDrawing, Seeded
from limner.models.image_model import ImageModel
from limner.models.rows import KnownPixels, Rows, SampleRequest
from limner.models.settings import Settings
from limner.text.base import TextFeatures, concatenate
from limner.threads import side_by_side
from limner.vision.base import ImageFeatures
from limner.vision.pixels import to_images

Part = tuple[Image.Image, TrainingDrawing | None]
"""The picture of a part of a drawing, and the training drawing it was drawn from, if known."""
Finish = Callable[[Tensor, TextFeatures, int, int], Part]
"""Makes a part of ``(3, S, S)`` pixels in [-1, 1], the features of the text that they were drawn
from, which of the drawing's parts it is, and its seed; called in several threads."""


@dataclass(eq=False)
class Drawing:
    """A picture that is being drawn.

    Attributes:
        steps: generator that asks for parts and composes the picture from them.
        seed: of all its parts but those that ask for their own.
        settings: of all its parts.
        finish: turns the pixels of a part into a picture.
        negative: one text that all parts are guided away from.
        reference: one picture that all parts are conditioned on.
        image: the picture, once it is finished.
        sources: training drawings that the parts drawn so far come from.
    """

    steps: PartialDrawing
    seed: int
    settings: Settings
    finish: Finish
    negative: TextFeatures | None = None
    reference: ImageFeatures | None = None
    image: Image.Image | None = None
    sources: list[TrainingDrawing] = field(default_factory=list, init=False)
    _wanted: TextFeatures | None = field(default=None, init=False)
    _known: KnownPixels | None = field(default=None, init=False)
    _first: int = field(default=0, init=False)
    _seeds: list[int] = field(default_factory=list, init=False)
    _parts: list[Image.Image | None] = field(default_factory=list, init=False)

    def _send(self, images: Sequence[Image.Image] | None) -> None:
        """Run until the next parts are needed or the picture is finished."""
        try:
            wanted = self.steps.send(images)  # type: ignore[arg-type]
            known = wanted.known if isinstance(wanted, Inpainted) else None
            self._first = wanted.first if isinstance(wanted, Numbered) else 0
            text = wanted if isinstance(wanted, TextFeatures) else wanted.text
            self._wanted, self._known, self._parts = text, known, [None] * len(text)
            own = wanted.seeds if isinstance(wanted, Seeded) else [None] * len(text)
            self._seeds = [self.seed if each is None else each for each in own]
        except StopIteration as stop:
            self.image, self._wanted = stop.value, None

    @property
    def _conditions(self) -> Hashable:
        """Which inputs are present; rows of one request must agree on them."""
        return self.negative is None, self.reference is None, self._known is None

    def _made(self, part: int, pixels: Tensor) -> Part:
        """What is made of a part as it was drawn, ``(3, S, S)`` in [-1, 1], on the CPU."""
        if self._known is not None:  # it belongs to what is around it as it is
            return to_images(pixels[None])[0], None
        assert self._wanted is not None
        return self.finish(pixels, self._wanted[[part]], self._first + part, self._seeds[part])


@dataclass(eq=False)
class _Tile:
    """Rows that are evaluated together, and the drawings they belong to."""

    rows: Rows
    owners: list[tuple[Drawing, int]]


class DrawingSession:
    """Drawings of one model that share its network evaluations.

    Args:
        model: draws; in eval mode.
        name: of the model, for messages.

    Attributes:
        evaluated: number of rows in each network evaluation of the last advance.
    """

    def __init__(self, model: ImageModel, name: str) -> None:
        self.model, self.name = model, name
        self.evaluated: list[int] = []
        self._waiting: list[Drawing] = []
        self._tiles: deque[_Tile] = deque()

    def __len__(self) -> int:
        """Rows that are being drawn."""
        return sum(len(tile.owners) for tile in self._tiles)

    @property
    def _together(self) -> int:
        """Rows that share a network evaluation, at most."""
        return self.model.tile * self.model.most_together

    @property
    def idle(self) -> bool:
        """Whether there is nothing to draw."""
        return not self._waiting and not self._tiles

    def add(self, drawing: Drawing) -> None:
        """Add a drawing; it joins at the next network evaluation."""
        drawing._send(None)
        self._waiting.append(drawing)

    def drop(self, drawing: Drawing) -> None:
        """Remove an unfinished drawing; does nothing if it is not being drawn."""
        self._waiting = [each for each in self._waiting if each is not drawing]
        for tile in list(self._tiles):
            kept = [row for row, (owner, _) in enumerate(tile.owners) if owner is not drawing]
            if not kept:
                self._tiles.remove(tile)
            elif len(kept) < len(tile.owners):
                tile.rows, tile.owners = tile.rows[kept], [tile.owners[row] for row in kept]

    def advance(self, most: int | None = None) -> list[Drawing]:
        """One network evaluation of at least one tile of rows.

        Args:
            most: rows at most, beyond the first tile; None for all. Tiles take turns.

        Returns:
            The drawings that are finished now.

        Raises:
            ModelFileError: the model's output is not finite.
        """
        self.evaluated = []
        finished = self._begin()
        self._join()
        turn: list[_Tile] = []
        while self._tiles and (most is None or not turn or sum(self.evaluated) < most):
            turn.append(self._tiles.popleft())
            self.evaluated.append(len(turn[-1].owners))
        threads = torch.get_num_threads()
        enough = 1 < threads <= len(turn)
        if enough and all(self.model.draws_alike(tile.rows, threads) for tile in turn):
            ended = list(side_by_side(threads).map(self._advanced, turn))
        else:
            ended = list(map(self._advanced, turn))
        for tile, parts in zip(turn, ended, strict=True):
            finished += self._take_finished(tile, parts)
        self._tiles += [tile for tile in turn if tile.owners]
        return finished

    def progress(self, drawing: Drawing) -> float:
        """The share of network evaluations done for the current parts, in [0, 1]."""
        done = total = 0
        for tile in self._tiles:
            for row, (owner, _) in enumerate(tile.owners):
                if owner is drawing:
                    done += int(tile.rows.done[row])
                    total += int(tile.rows.total[row])
        return done / total if total else 0.0

    def share_drawn(self, drawing: Drawing) -> float:
        """The same as :meth:`progress`, but 1 for a drawing that is finished."""
        return 1.0 if drawing.image is not None else self.progress(drawing)

    def preview(self, drawing: Drawing) -> list[Image.Image]:
        """The network's current prediction of a drawing's parts."""
        found: dict[int, Image.Image] = {}
        for tile in self._tiles:
            mine = [row for row, (owner, _) in enumerate(tile.owners) if owner is drawing]
            if mine:
                images = to_images(self.model.preview(tile.rows[mine]))
                found |= zip((tile.owners[row][1] for row in mine), images, strict=True)
        return [found[part] for part in sorted(found)]

    def _begin(self) -> list[Drawing]:
        """Create rows for waiting drawings; returns those that need none, which are finished."""
        finished = [each for each in self._waiting if each._wanted is None]
        groups: dict[Hashable, list[Drawing]] = {}
        for drawing in self._waiting:
            if drawing._wanted is not None:
                groups.setdefault(drawing._conditions, []).append(drawing)
        self._waiting = []
        size = self._together
        for drawings in groups.values():
            owners = [
                (drawing, part) for drawing in drawings for part in range(len(drawing._parts))
            ]
            rows = self.model.begin(_request(drawings, owners))
            for start in range(0, len(owners), size):
                some = slice(start, start + size)
                self._tiles.append(_Tile(rows[some], owners[some]))
        return finished

    def _join(self) -> None:
        """Fill tiles that have room with rows of others whose tensors have the same shapes."""
        size = self._together
        room = [tile for tile in self._tiles if len(tile.owners) < size]
        mixed = [tile for tile in self._tiles if len(set(self.model.shapes(tile.rows))) > 1]
        loose = list({id(tile): tile for tile in (*room, *mixed)}.values())
        if len(loose) < 2 and not mixed:
            return
        groups: dict[Hashable, list[tuple[_Tile, int]]] = {}
        for tile in loose:
            for row, key in enumerate(self.model.shapes(tile.rows)):
                groups.setdefault(key, []).append((tile, row))
        if len(groups) == len(loose) and not mixed:
            return
        self._tiles = deque(tile for tile in self._tiles if tile not in loose)
        for members in groups.values():
            for start in range(0, len(members), size):
                some = members[start : start + size]
                rows = Rows.join([tile.rows[[row]] for tile, row in some])
                self._tiles.append(_Tile(rows, [tile.owners[row] for tile, row in some]))

    def _advanced(self, tile: _Tile) -> dict[int, Part]:
        """Advance a tile once; the parts of its finished rows."""
        tile.rows = self.model.advance(tile.rows)
        ended = tile.rows.finished.nonzero()[:, 0].tolist()
        if not ended:
            return {}
        pixels = self.model.preview(tile.rows[ended]).cpu()  # for all that is made of them
        if not bool(torch.isfinite(pixels.sum())):
            raise ModelFileError(
                f"{self.name} gives numbers that are not finite, so its weights are damaged; "
                "use another copy of the file, or an earlier checkpoint"
            )
        found = {}
        for row, image in zip(ended, pixels, strict=True):
            drawing, part = tile.owners[row]
            found[row] = drawing._made(part, image)
        return found

    def _take_finished(self, tile: _Tile, parts: Mapping[int, Part]) -> list[Drawing]:
        """Take finished rows out of a tile and give their parts to their drawings."""
        drawings = []
        for row, (image, source) in parts.items():
            drawing, part = tile.owners[row]
            drawing._parts[part] = image
            drawing.sources += [] if source is None else [source]
            drawings.append(drawing)
        left = [row for row in range(len(tile.owners)) if row not in parts]
        if left and parts:
            tile.rows = tile.rows[left]
        tile.owners = [tile.owners[row] for row in left]
        finished = []
        for drawing in dict.fromkeys(drawings):
            images = [image for image in drawing._parts if image is not None]
            if len(images) == len(drawing._parts):
                drawing._send(images)
                if drawing.image is None:
                    self._waiting.append(drawing)
                else:
                    finished.append(drawing)
        return finished


def _request(drawings: Sequence[Drawing], owners: Sequence[tuple[Drawing, int]]) -> SampleRequest:
    """What the parts of some drawings of equal conditions are drawn from."""
    wanted = [drawing._wanted for drawing in drawings if drawing._wanted is not None]
    negative = [d.negative for d, _ in owners if d.negative is not None]
    reference = [d.reference for d, _ in owners if d.reference is not None]
    known = [d._known[[part]] for d, part in owners if d._known is not None]
    return SampleRequest(
        concatenate(wanted),
        [drawing._seeds[part] for drawing, part in owners],
        [drawing.settings for drawing, _ in owners],
        concatenate(negative) if negative else None,
        _joined(reference) if reference else None,
        KnownPixels.join(known) if known else None,
    )


def _joined(features: Sequence[ImageFeatures]) -> ImageFeatures:
    """Features of several pictures by one encoder."""
    return ImageFeatures(
        torch.cat([each.tokens for each in features]), torch.cat([each.pooled for each in features])
    )
