"""Base of all hub models: their rows are advanced by calls into another library."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable
from dataclasses import replace
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from limner.errors import CapabilityError
from limner.generation.backends.calls import PausedCall
from limner.generation.backends.source import HubSource
from limner.models.base import Batch, ModelConfig
from limner.models.image_model import ImageModel
from limner.models.rows import Rows, SampleRequest
from limner.models.settings import Capability, Settings


class HubModel(ImageModel):
    """A hub model: a tile of rows is one call into the library that implements it.

    It is not a family: it has no configuration to train from. It can be created without its
    weights, to check requests.

    Args:
        source: which model.
        side: of its pictures, in pixels.
        capabilities: what it can be asked to do.
    """

    family = "hub"
    config_class = ModelConfig

    def __init__(self, source: HubSource, side: int, capabilities: set[Capability]) -> None:
        super().__init__()
        self.source = source
        self.config = ModelConfig(size=source.size or side, text_dim=1)
        self.__dict__["capabilities"] = frozenset(capabilities)
        self.place = nn.Parameter(torch.empty(0), requires_grad=False)

    @abstractmethod
    def load(self, device: str) -> None:
        """Read the weights."""

    @abstractmethod
    def call(self, request: SampleRequest) -> tuple[PausedCall, int]:
        """A call that draws pictures with equal settings, and its number of steps."""

    def shown(self, call: PausedCall) -> Tensor | None:
        """A preview of unfinished pictures, ``(B, 3, H, W)``; None if there is none."""
        return None

    @property
    def nbytes(self) -> int:
        """Size of the weights on disk, loaded or not."""
        return self.source.bytes

    def side_of(self, settings: Settings) -> int:
        """Side of the drawn pictures in pixels; a changed picture is resized afterwards."""
        if settings.strength is not None:
            return self.config.size
        return settings.size or self.config.size

    def losses(self, batch: Batch, group: str) -> dict[str, Tensor]:
        """Refused: hub models are not trained by the training loop."""
        self._refuse("be trained")

    def cannot(self, capability: Capability) -> CapabilityError:
        """The error for a missing capability, naming the model."""
        return CapabilityError(f"{self.source.name} cannot do '{capability}'; use another model")

    def _check_option(self, option: str) -> None:
        if option == "strength" and Capability.RESTYLE not in self.capabilities:
            raise CapabilityError(
                f"{self.source.name} cannot change pictures: it has no image-to-image pipeline "
                "that takes a strength; use another model"
            )
        if option not in self.takes:
            raise CapabilityError(
                f"{self.source.name} does not take '{option}'; leave it out (it takes: "
                f"{', '.join(sorted(self.takes))})"
            )

    @property
    @abstractmethod
    def takes(self) -> frozenset[str]:
        """Names of the options of :class:`Settings` that it supports."""

    def _refuse(self, what: str) -> NoReturn:
        raise CapabilityError(f"{self.source.name} is a model of the hub and cannot {what}")

    def text_shapes(self, request: SampleRequest) -> list[Hashable]:
        """The settings of each row: rows of one call share them."""
        return list(request.rows)

    def start_rows(self, request: SampleRequest) -> Rows:
        """Rows of a call that has not started yet."""
        call, steps = self.call(request)
        held = tuple((call, row) for row in range(len(request)))
        return replace(Rows.begun(request, [steps] * len(request), {}), held=held)

    def shapes(self, rows: Rows) -> list[Hashable]:
        """The call that each row belongs to."""
        return [call for call, _ in rows.held]

    def evaluate(self, rows: Rows) -> Rows:
        """The rows after one more step of their call; the last step makes the pictures."""
        call: PausedCall = rows.held[0][0]
        done = rows.done + 1
        ended = call.advance()
        while not ended and bool((done >= rows.total).all()):
            ended = call.advance()
        return replace(rows, done=rows.total.clone() if ended else done)

    def show(self, rows: Rows) -> Tensor:
        """The pictures, or a preview of them; grey before the first step."""
        found: list[Tensor] = []
        for call, row in rows.held:
            images = call.images
            if images is None and call.known is not None:
                images = self.shown(call)
            side = self.side_of(rows.settings[0])
            found.append(torch.zeros(3, side, side) if images is None else images[row].cpu())
        return torch.stack(found)


def unit_range(images: Any) -> Tensor:
    """Pictures ``(B, 3, H, W)`` in [0, 1] as float32 in [-1, 1]."""
    found: Tensor = images.float() * 2 - 1
    return found
