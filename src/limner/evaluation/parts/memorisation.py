"""Whether pictures of the store's captions are reproductions of training pictures."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from limner.evaluation.drawing import draw_batches
from limner.evaluation.part import EvaluationContext, Part
from limner.evaluation.report import ContactSheet, Figure, PartResult, share_figure
from limner.evaluation.sheets import as_png, tiled
from limner.metrics.memorisation import SAMPLES, Memorisation, pixels, verdict
from limner.progress import Meter
from limner.vision.convnet import fit_to

_SHOWN = 16


class MemorisationPart(Part):
    """Distances of drawn pictures to the nearest training pictures."""

    name = "memorisation"
    title = "Memorisation of training pictures"
    samples = SAMPLES
    options = ("samples", "holdout", "also")

    def __init__(self, evaluation: EvaluationContext) -> None:
        super().__init__(evaluation)
        threshold, also = evaluation.reference.threshold, evaluation.options.also
        self._metric = Memorisation(evaluation.store, threshold, others=also)

    def update(self, images: Tensor, captions: Sequence[str]) -> None:
        """Keep mosaics of the first two thousand."""
        self._metric.update(images, captions)

    def finish(self, meter: Meter) -> PartResult:
        """Search for the nearest training pictures, and draw the nearest of all once more."""
        nearest, which = self._metric.neighbours()
        found = verdict(nearest.distance, self._metric.threshold)
        figures = (
            share_figure(
                "memorised", "memorised", found.memorised,
                "nearer to a training picture than 99 % of real pictures", "lower",
                upper_bound=found.expected,
            ),
            Figure(
                key="nearest", title="nearest", value=found.nearest, upper_bound=1.0,
                description="median distance to the nearest training picture over that of real "
                "pictures", count=found.memorised.count,
            ),
        )  # fmt: skip
        closest = nearest.distance.argsort()[:_SHOWN].tolist()
        first = list(range(min(_SHOWN, len(which))))
        sheets = [
            ContactSheet(
                title=f"{title}, each above its nearest training picture",
                png=self._pairs(chosen, nearest.row, which),
            )
            for title, chosen in (("the nearest of all", closest), ("the first", first))
        ]
        return self.result(
            f"{found.sentence()}. The prompts are captions of the store.",
            figures,
            "memorised",
            warnings=(found.sentence(),) if found.alarm else (),
            protocol={
                "threshold": found.threshold,
                "calibration_pictures": self._metric.threshold.count,
                "stores": [store.fingerprint for store in self._metric.stores],
            },
            sheets=tuple(sheets),
        )

    def _pairs(self, chosen: Sequence[int], rows: Tensor, which: Tensor) -> str:
        """Drawn pictures in rows of eight, below each row the nearest training pictures."""
        requests = [self.evaluation.drawn[i] for i in chosen]
        stream = draw_batches(self.evaluation.generator, requests)
        drawn = torch.cat([images for images, _ in stream])
        side = drawn.shape[-1]
        real = torch.cat([
            fit_to(pixels(self._metric.stores[int(which[i])], rows[i : i + 1].numpy()), side)
            for i in chosen
        ])  # fmt: skip
        pairs = zip(torch.split(drawn, 8), torch.split(real, 8), strict=True)
        blank = torch.ones(8, 3, side, side)
        lines = [torch.cat([line, blank])[:8] for pair in pairs for line in pair]
        return as_png(tiled(torch.cat(lines)))
