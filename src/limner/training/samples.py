"""What a run draws of itself: a sheet of fixed prompts, and a check for mode collapse.

Both draw with the averaged weights through :class:`limner.generation.generator.Generator`, so that
they show what a user of the model file would get.

The check compares training pictures with drawings of their captions and styles, as many as a fixed
number of operations allows: a bound in operations rather than in seconds keeps the log a function
of the recipe. Samplers of many steps are too expensive for it, and do not tend to collapse.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from limner.generation.files import write_image
from limner.generation.generator import Generator
from limner.generation.requests import DrawRequest, RefusedPromptError
from limner.generation.sheets import grid
from limner.metrics.collapse import collapse
from limner.models.settings import Capability, Settings
from limner.training.data import BatchLoader
from limner.training.run_log import RunLog
from limner.vision.images import on_white
from limner.vision.pixels import to_tensor

_LOGGER = logging.getLogger(__name__)
_EACH = 2
MOST = 128
"""Most pictures drawn in one check."""
LEAST = 48
"""Fewest pictures: with fewer, coverage is too uncertain."""
OPERATIONS = 100e9
"""Floating-point operations of one check: some seconds of one core."""
COVERAGE = 0.1
"""Coverage below which the check warns; as many good pictures reach 0.8 and more."""
DUPLICATES = 0.5
"""Share of duplicates above which the check warns; of real pictures it is about 0.01."""
_FROM = 0.25
"""Share of the budget before which the check does not warn: every family begins with noise."""


class RunSamples:
    """Draws with the averaged weights of a run, as often as it is asked to.

    Args:
        out: the run folder; sheets go to ``samples/`` in it.
        prompts: of the sheet.
        loader: of the run, for the check for mode collapse.
        log: gets what the check finds, and the sheet.
    """

    def __init__(self, out: Path, prompts: Sequence[str], loader: BatchLoader, log: RunLog) -> None:
        self._folder, self._prompts = out / "samples", prompts
        self._loader, self._log, self._check = loader, log, CollapseCheck()

    def draw(self, generator: Generator, step: int, progress: float, *, reads_words: bool) -> None:
        """Write the sheet of a step, after the check.

        Args:
            generator: draws with the averaged weights.
            step: names the sheet.
            progress: share of the budget spent, in [0, 1].
            reads_words: whether the model draws what captions say yet; else it is not checked.
        """
        if reads_words:
            collapse = self._check.measure(generator, self._loader)
            if collapse:
                self._log.write("watch", track=True, watch=collapse)
            problem = collapse_warning(collapse, progress)
            if problem:
                _LOGGER.warning(problem)
        sheet = draw_sheet(generator, self._prompts)
        if sheet is not None:
            write_image(sheet, self._folder / f"{step:06d}.png", {})
            self._log.picture("samples", np.asarray(sheet))


def draw_sheet(
    generator: Generator, prompts: Sequence[str], settings: Settings | None = None
) -> Image.Image | None:
    """Draw every prompt with the seeds 0 and 1, on one sheet; None where none can be drawn."""
    asked = settings or Settings()
    requests = [DrawRequest(prompt, seed, asked) for prompt in prompts for seed in range(_EACH)]
    images = [
        on_white(picture.image) for picture in generator.draw(requests, on_refused=_leave_out)
    ]
    if not images:
        return None
    columns = _EACH * max(1, round((len(images) / _EACH**2) ** 0.5))
    return grid(images, columns)


def _leave_out(error: RefusedPromptError) -> None:
    """Draw the other prompts only."""


_Drawable: TypeAlias = tuple[Tensor, list[DrawRequest]]
"""Training pictures ``(N, 3, S, S)`` and the requests to draw their captions."""


class CollapseCheck:
    """Measures how varied the drawings of a model are, always with the same requests."""

    def __init__(self) -> None:
        self._size = 0
        self._reference: _Drawable | None = None

    def measure(self, generator: Generator, loader: BatchLoader) -> dict[str, float]:
        """``coverage``, ``recall`` and ``duplicates`` (:func:`limner.metrics.collapse.collapse`).

        Args:
            generator: draws; the size of its model may change from one check to the next.
            loader: of the run; its first batches give the pictures and captions.

        Returns:
            Nothing where drawing costs too much, or there are too few pictures.
        """
        size = generator.model.config.size
        if size != self._size:
            self._size, self._reference = size, _gather(generator, loader)
        if self._reference is None:
            return {}
        images, requests = self._reference
        drawn = generator.draw(requests, on_refused=_leave_out)
        pixels = [np.asarray(on_white(picture.image)) for picture in drawn]
        if len(pixels) < LEAST:
            return {}
        return collapse(images, to_tensor(np.stack(pixels)))


def _gather(generator: Generator, loader: BatchLoader) -> _Drawable | None:
    """As many training pictures and captions as can be drawn."""
    if len(loader.pictures) < LEAST or generator.model.draws_training_pictures:
        return None
    styles = generator.styles if Capability.STYLE in generator.model.capabilities else ()
    _, [first] = _requests(loader, 1, styles)
    count = min(MOST, affordable(generator, first), len(loader.pictures))
    return _requests(loader, count, styles) if count >= LEAST else None


def _requests(loader: BatchLoader, count: int, styles: Sequence[str]) -> _Drawable:
    """The first ``count`` pictures of the loader, and requests of their captions and styles."""
    images: list[Tensor] = []
    requests: list[DrawRequest] = []
    while len(requests) < count:
        batch = loader.batch(len(images), ahead=False)
        images.append(batch.images.cpu())
        for caption, style in zip(batch.captions, batch.styles.tolist(), strict=True):
            name = styles[style] if styles and style >= 0 else None
            requests.append(DrawRequest(caption, len(requests), Settings(style=name)))
    return torch.cat(images)[:count], requests[:count]


def affordable(generator: Generator, request: DrawRequest) -> int:
    """Pictures that can be drawn with :data:`OPERATIONS`, by counting those of a first one."""
    list(generator.draw([request], on_refused=_leave_out))  # its caption is encoded and cached
    with FlopCounterMode(display=False) as counter:
        list(generator.draw([request], on_refused=_leave_out))
    # A tile costs the same whether it is filled or not.
    return int(OPERATIONS / max(1, counter.get_total_flops())) * generator.model.tile


def collapse_warning(figures: dict[str, float], progress: float) -> str | None:
    """One sentence where :meth:`CollapseCheck.measure` found a collapse, else None."""
    if not figures or progress < _FROM:
        return None
    problems = []
    if figures["duplicates"] > DUPLICATES:
        problems.append(f"{figures['duplicates']:.0%} of the drawn pictures are duplicates")
    if figures["coverage"] < COVERAGE:
        problems.append(f"only {figures['coverage']:.0%} of the real pictures are covered")
    if not problems:
        return None
    return (
        f"the model draws pictures that are too much alike: {' and '.join(problems)}; look at the "
        f"samples, and try a lower train.lr or a longer run"
    )
