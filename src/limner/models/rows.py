"""The state of sampling: requests, rows, and tiles of rows.

Every picture of a batch is a row with its own seed, settings, state and progress, so that rows that
began at different times can be concatenated, indexed and dropped between any two network
evaluations.
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
    """B source pictures of inpainting or image-to-image.

    Attributes:
        images: ``(B, 3, S, S)`` float32 in [-1, 1]; pixels in the hole are ignored unless
            :attr:`~limner.models.settings.Settings.strength` is given.
        hole: ``(B, 1, S, S)`` bool, true where pixels are generated; true everywhere for
            image-to-image.
    """

    images: Tensor
    hole: Tensor

    @classmethod
    def join(cls, parts: Sequence[KnownPixels]) -> KnownPixels:
        """Concatenate."""
        return cls(torch.cat([p.images for p in parts]), torch.cat([p.hole for p in parts]))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: Sequence[int]) -> KnownPixels:
        """Select some of the pictures."""
        return KnownPixels(self.images[index], self.hole[index])

    def to(self, device: torch.device | str) -> KnownPixels:
        """Move to a device."""
        return KnownPixels(self.images.to(device), self.hole.to(device))

    @classmethod
    def whole(cls, images: Tensor) -> KnownPixels:
        """Source pictures ``(B, 3, S, S)`` of image-to-image."""
        return cls(images, torch.ones_like(images[:, :1], dtype=torch.bool))

    @property
    def filled(self) -> Tensor:
        """The pictures with their mean known colour in the hole, ``(B, 3, S, S)``."""
        known = (~self.hole).to(self.images.dtype)
        total = known.sum((2, 3), keepdim=True).clamp_min(1)
        mean = (self.images * known).sum((2, 3), keepdim=True) / total
        return torch.where(self.hole, mean, self.images)

    def cells(self, grid: int, reach: int = 0) -> Tensor:
        """Which cells of a grid over the picture overlap the hole, ``(B, 1, G, G)`` bool.

        Args:
            grid: G, a divisor of S.
            reach: number of cells by which the result is dilated.
        """
        found = nn.functional.adaptive_max_pool2d(self.hole.float(), grid)
        return nn.functional.max_pool2d(found, 2 * reach + 1, 1, reach) > 0


@dataclass(frozen=True)
class SampleRequest:
    """The inputs of B pictures.

    Attributes:
        text: features of B prompts.
        seeds: B integers in [0, 2**63); picture i depends only on row i of each input.
        settings: one per picture, or one for all; None for the model's defaults.
        negative: features of B negative prompts; None if no picture has one.
        picture: features of B reference pictures; None if no picture has one.
        known: B source pictures. They are inpainted, or changed if the settings have a strength:
            0 gives the model's reconstruction, 1 a picture that does not depend on the source. None
            for text-to-image.
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
        """Select the inputs of some of the pictures."""
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
        """The value of an option for each picture, by default the model's."""
        given = [getattr(settings, option) for settings in self.rows]
        return [default if value is None else value for value in given]

    @property
    def restyled(self) -> list[bool]:
        """Whether each picture is made by image-to-image."""
        return [self.known is not None and each.strength is not None for each in self.rows]

    @property
    def strengths(self) -> Tensor:
        """Strength of each picture, ``(B, 1, 1, 1)`` float32; 1 by default."""
        return torch.tensor(self.values("strength", 1.0)).view(-1, 1, 1, 1)

    @property
    def seen(self) -> Tensor:
        """The sources, with their mean colour in the hole of inpainted ones, ``(B, 3, S, S)``."""
        assert self.known is not None
        whole = torch.tensor(self.restyled, device=self.known.hole.device).view(-1, 1, 1, 1)
        return torch.where(whole, self.known.images, self.known.filled)

    def to(self, device: torch.device | str) -> SampleRequest:
        """Move the features to a device."""
        return replace(
            self,
            text=self.text.to(device),
            negative=None if self.negative is None else self.negative.to(device),
            picture=None if self.picture is None else self.picture.to(device),
            known=None if self.known is None else self.known.to(device),
        )


@dataclass(frozen=True)
class Rows:
    """The state of sampling of B pictures, each with its own seed, settings and progress.

    Rows are immutable; all methods return new ones. A family may reuse the memory of rows that
    it advances, so continue with those that :meth:`limner.models.image_model.ImageModel.advance`
    returns.

    Attributes:
        seeds: B integers.
        settings: B settings.
        done: ``(B,)`` int64 on the CPU, number of network evaluations so far.
        total: ``(B,)`` int64 on the CPU, number of network evaluations of a finished picture.
        state: the family's tensors, each with B rows.
        held: one object per row, for families with state other than tensors; else empty.
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
        """Rows before the first of ``total`` network evaluations."""
        counts = torch.tensor(list(total), dtype=torch.int64)
        return cls(tuple(request.seeds), tuple(request.rows), counts * 0, counts, state)

    @classmethod
    def join(cls, parts: Sequence[Rows]) -> Rows:
        """Concatenate rows of one model."""
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
        """Select rows, in any order; slices, and all rows in order, share memory."""
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
        """Which rows are finished, ``(B,)`` bool."""
        return self.done >= self.total

    def stepped(self, **state: Tensor) -> Rows:
        """The rows after one more network evaluation, with some tensors of the state replaced."""
        return replace(self, done=self.done + 1, state={**self.state, **state})


def tiles(
    keys: Sequence[Hashable], size: int, most: int = 1
) -> Iterator[tuple[list[int], list[int]]]:
    """Group rows with equal keys into tiles of exactly ``size`` rows.

    Args:
        keys: one per row; determines the shapes of its tensors.
        size: rows of a tile.
        most: maximal number of tiles per group; groups have a power of two of them, so that there
            are few different shapes.

    Yields:
        The indices of a group's rows, padded with the last one; and the same without padding.
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
