"""Diversity of pictures of one caption, and duplicates among the drawn pictures."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from limner.evaluation.part import EvaluationContext, Part
from limner.evaluation.report import Figure, PartResult, share_figure
from limner.metrics.diversity import Diversity
from limner.metrics.intervals import share_of
from limner.progress import Meter

_MOST = 2000
"""Pictures among which duplicates are searched for, each among all the others."""


class DiversityPart(Part):
    """Whether a model draws a caption in more than one way."""

    name = "diversity"
    title = "Diversity and duplicates"
    samples = _MOST
    options = ("samples", "holdout", "features")

    def __init__(self, evaluation: EvaluationContext) -> None:
        super().__init__(evaluation)
        self._metric = self._new()

    def _new(self) -> Diversity:
        real = (images for images, _ in self.evaluation.real_pairs(_MOST))
        return Diversity(self.evaluation.network, real)

    def update(self, images: Tensor, captions: Sequence[str]) -> None:
        """Extract features."""
        self._metric.update(images, captions)

    def finish(self, meter: Meter) -> PartResult:
        """Compare with the real pictures of the same captions."""
        real = self._new()
        for images, captions in self.evaluation.real_pairs(_MOST):
            real.update(images, captions)
        found, bound = self._metric.compute(), real.compute()
        count = int(found["count"])
        figures = [
            share_figure(
                "duplicates", "duplicates",
                share_of(found["duplicates"], min(count, int(bound["count"]))),
                "nearer to another drawn picture than 99 % of real pictures are to each other",
                "lower", upper_bound=bound["duplicates"],
            )
        ]  # fmt: skip
        if "within" in found:
            figures.append(Figure(
                key="within", title="within a caption", value=found["within"],
                description="distance of two pictures of one caption over that of any two",
                lower_bound=0.0, upper_bound=bound.get("within"), count=count,
            ))  # fmt: skip
        network = self.evaluation.network
        return self.result(
            "Pictures of one caption with different seeds, and duplicates among all. Upper bound: "
            "the store's pictures of the same captions.",
            figures,
            "duplicates",
            judge=f"{network.spec} {network.fingerprint}",
            protocol={"real": int(bound["count"])},
        )
