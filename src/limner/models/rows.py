"""A drawing as a state of rows: what is asked for, how far it is, and how rows share work.

Every picture of a batch is a row with its own seed, settings, state and progress, so that rows that
began at different times can be joined, split and dropped between any two network evaluations.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from limner.models.settings import Settings
from limner.text.base import TextFeatures
from limner.vision.base import ImageFeatures

_V = TypeVar("_V")


@dataclass(frozen=True)
class KnownPixels:
    """B pictures that others are made of: by inpainting, or changed as far as a strength says.

    Attributes:
        images: ``(B, 3, S, S)`` float32 in [-1, 1]; those in the hole count for nothing, but where
            :attr:`~limner.models.settings.Settings.strength` is given.
        hole: ``(B, 1, S, S)`` bool, true where something is to be drawn; everywhere where the
            picture is to be changed as a whole.
    """

    images: Tensor
    hole: Tensor

    @classmethod
    def join(cls, parts: Sequence[KnownPixels]) -> KnownPixels:
        """Those of several, in order."""
        return cls(torch.cat([p.images for p in parts]), torch.cat([p.hole for p in parts]))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: Sequence[int]) -> KnownPixels:
        """Those of some of the pictures."""
        return KnownPixels(self.images[index], self.hole[index])

    def to(self, device: torch.device | str) -> KnownPixels:
        """The same on another device."""
        return KnownPixels(self.images.to(device), self.hole.to(device))

    @classmethod
    def whole(cls, images: Tensor) -> KnownPixels:
        """Pictures ``(B, 3, S, S)`` that are to be changed as a whole."""
        return cls(images, torch.ones_like(images[:, :1], dtype=torch.bool))

    @property
    def filled(self) -> Tensor:
        """The pictures with their mean known colour in the hole, ``(B, 3, S, S)``."""
        known = (~self.hole).to(self.images.dtype)
        total = known.sum((2, 3), keepdim=True).clamp_min(1)
        mean = (self.images * known).sum((2, 3), keepdim=True) / total
        return torch.where(self.hole, mean, self.images)

    def cells(self, grid: int, reach: int = 0) -> Tensor:
        """Which cells of a grid over the picture hold some of the hole, ``(B, 1, G, G)`` bool.

        Args:
            grid: G, a divisor of S.
            reach: cells around those that count as well.
        """
        found = nn.functional.adaptive_max_pool2d(self.hole.float(), grid)
        return nn.functional.max_pool2d(found, 2 * reach + 1, 1, reach) > 0


@dataclass(frozen=True)
class SampleRequest:
    """What B pictures are drawn from.

    Attributes:
        text: features of B prompts.
        seeds: B integers in [0, 2**63); picture i depends on row i of everything alone.
        settings: of each picture, or one for all; None for the model's defaults.
        negative: features of B negative prompts, or None where no picture has one.
        picture: features of B reference pictures, or None where no picture has one.
        known: B pictures that are inpainted, or changed where the settings have a strength: at 0
            they come back as the model reconstructs them, at 1 they are drawn as without them. None
            to draw new pictures.
    """

    text: TextFeatures
    seeds: Sequence[int]
    settings: Sequence[Settings] | Settings = field(default_factory=Settings)
    negative: TextFeatures | None = None
    picture: ImageFeatures | None = None
    known: KnownPixels | None = None

    def __post_init__(self) -> None:
        if len(self.seeds) != len(self.text):
            raise ValueError(f"{len(self.seeds)} seeds for {len(self.text)} prompts")
        if len(self.rows) != len(self.text):
            raise ValueError(f"{len(self.rows)} settings for {len(self.text)} prompts")

    def __len__(self) -> int:
        return len(self.seeds)

    def __getitem__(self, index: Sequence[int]) -> SampleRequest:
        """What some of the pictures are drawn from."""
        index = list(index)
        return SampleRequest(
            self.text[index],
            [self.seeds[i] for i in index],
            [self.rows[i] for i in index],
            None if self.negative is None else self.negative[index],
            None if self.picture is None else self.picture[index],
            None if self.known is None else self.known[index],
        )

    @property
    def rows(self) -> Sequence[Settings]:
        """The settings of each picture."""
        if isinstance(self.settings, Settings):
            return [self.settings] * len(self.text)
        return self.settings

    def values(self, option: str, default: _V) -> list[_V]:
        """An option's value for each picture, the default where none is given."""
        given = [getattr(settings, option) for settings in self.rows]
        return [default if value is None else value for value in given]

    @property
    def restyled(self) -> list[bool]:
        """Whether each picture is made by changing one."""
        return [self.known is not None and each.strength is not None for each in self.rows]

    @property
    def strengths(self) -> Tensor:
        """How far each is changed, ``(B, 1, 1, 1)`` float32: 1 where nothing else is said."""
        return torch.tensor(self.values("strength", 1.0)).view(-1, 1, 1, 1)

    @property
    def seen(self) -> Tensor:
        """What is seen of the pictures, ``(B, 3, S, S)``: the hole, too, where they are changed."""
        assert self.known is not None
        whole = torch.tensor(self.restyled, device=self.known.hole.device).view(-1, 1, 1, 1)
        return torch.where(whole, self.known.images, self.known.filled)

    def to(self, device: torch.device | str) -> SampleRequest:
        """The same with the features on another device."""
        return replace(
            self,
            text=self.text.to(device),
            negative=None if self.negative is None else self.negative.to(device),
            picture=None if self.picture is None else self.picture.to(device),
            known=None if self.known is None else self.known.to(device),
        )


@dataclass(frozen=True)
class Rows:
    """A drawing in progress: B pictures, each with its own seed, settings, state and progress.

    Rows are values: what changes them gives new ones. A family may reuse the memory of rows that
    it advances, so continue with the rows that :meth:`limner.models.image_model.ImageModel.advance`
    returns.

    Attributes:
        seeds: B integers.
        settings: B settings.
        done: ``(B,)`` int64 on the CPU, network evaluations made.
        total: ``(B,)`` int64 on the CPU, network evaluations until the picture is finished.
        state: the family's tensors, each with B rows.
        held: of each row what is no tensor, where a family has such; empty for none.
    """

    seeds: tuple[int, ...]
    settings: tuple[Settings, ...]
    done: Tensor
    total: Tensor
    state: Mapping[str, Tensor]
    held: tuple[Any, ...] = ()

    @classmethod
    def begun(
        cls, request: SampleRequest, total: Sequence[int], state: Mapping[str, Tensor]
    ) -> Rows:
        """Rows before the first of the ``total`` network evaluations that each picture needs."""
        counts = torch.tensor(list(total), dtype=torch.int64)
        return cls(tuple(request.seeds), tuple(request.rows), counts * 0, counts, state)

    @classmethod
    def join(cls, parts: Sequence[Rows]) -> Rows:
        """The rows of several drawings of one model, in order."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            tuple(seed for part in parts for seed in part.seeds),
            tuple(settings for part in parts for settings in part.settings),
            torch.cat([part.done for part in parts]),
            torch.cat([part.total for part in parts]),
            {name: torch.cat([part.state[name] for part in parts]) for name in parts[0].state},
            tuple(each for part in parts for each in part.held),
        )

    def __len__(self) -> int:
        return len(self.seeds)

    def __getitem__(self, index: Sequence[int] | Tensor | slice) -> Rows:
        """Some of the rows, in a new order if need be; a slice, or all of them, share memory."""
        if isinstance(index, slice):
            kept: Sequence[int] = range(len(self))[index]
        else:
            kept = [int(i) for i in index]
            if kept == [*range(len(self))]:
                return self
            index = torch.tensor(kept, dtype=torch.int64)
        return Rows(
            tuple(self.seeds[i] for i in kept),
            tuple(self.settings[i] for i in kept),
            self.done[index],
            self.total[index],
            {name: value[index] for name, value in self.state.items()},
            tuple(self.held[i] for i in kept) if self.held else (),
        )

    @property
    def finished(self) -> Tensor:
        """Which pictures need no further network evaluation, ``(B,)`` bool."""
        return self.done >= self.total

    def stepped(self, **state: Tensor) -> Rows:
        """The rows after one more network evaluation, with some of their state new."""
        return replace(self, done=self.done + 1, state={**self.state, **state})


def tiles(
    keys: Sequence[Hashable], size: int, most: int = 1
) -> Iterator[tuple[list[int], list[int]]]:
    """Groups of exactly ``size`` rows with equal keys, so that rounding depends on no neighbour.

    Args:
        keys: one a row; what the shape of a row's tensors depends on.
        size: of a tile.
        most: tiles at once; a power of two of them comes, so that there are few shapes.

    Yields:
        The rows of a tile, or of several, the last repeated to fill them, and without that
        repetition.
    """
    groups: dict[Hashable, list[int]] = {}
    for row, key in enumerate(keys):
        groups.setdefault(key, []).append(row)
    for rows in groups.values():
        start = 0
        while start < len(rows):
            left = min(most, -(-(len(rows) - start) // size))
            count = size << (left.bit_length() - 1)
            own = rows[start : start + count]
            yield own + own[-1:] * (count - len(own)), own
            start += count
