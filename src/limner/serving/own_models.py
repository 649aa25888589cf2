"""The reader's own copy of a served model, for what draws and looks in turn."""

from __future__ import annotations

from limner.generation.generator import Generator, load
from limner.serving.models import ServedModel


class ReaderModel:
    """A copy of the model that was asked for last, used in the reader's thread.

    The models that draw belong to the thread or process that draws. One in memory without a file
    has no copy, and is used as it is.

    Args:
        device: where it draws.
    """

    def __init__(self, device: str) -> None:
        self._device, self._hash = device, ""
        self._generator: Generator | None = None

    def of(self, model: ServedModel) -> Generator:
        """What draws; called in the reader's thread."""
        outline = model.outline
        if self._hash == outline.hash and self._generator is not None:
            return self._generator
        if outline.source is None:
            return outline
        self._generator = load(outline.source, device=self._device)
        self._hash = outline.hash
        return self._generator
