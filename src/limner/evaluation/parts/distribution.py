"""FID, KID, precision, recall, density, coverage: drawn pictures against the store's."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from limner.evaluation.part import EvaluationContext, Part
from limner.evaluation.reference import DistributionScore
from limner.evaluation.report import PartResult
from limner.evaluation.sheets import CaptionRows
from limner.progress import Meter


class DistributionPart(Part):
    """How the drawn pictures are distributed compared with the real ones."""

    name = "distribution"
    title = "Distribution of the drawn pictures"
    samples = 10_000
    options = ("samples", "holdout", "features")

    def __init__(self, evaluation: EvaluationContext) -> None:
        super().__init__(evaluation)
        self._score = DistributionScore(evaluation.reference, evaluation.prompts)
        self._rows = CaptionRows(evaluation.prompts)

    def update(self, images: Tensor, captions: Sequence[str]) -> None:
        """Extract features, and keep the first pictures of the most frequent captions."""
        self._score.update(images, captions)
        self._rows.add(images, captions)

    def finish(self, meter: Meter) -> PartResult:
        """Compare with the real pictures."""
        reference = self.evaluation.reference
        scores = self._score.scores(nearness=False)
        count, network = int(scores.values["count"]), reference.network
        real = CaptionRows(self.evaluation.prompts)
        real.add_real(reference)
        return self.result(
            f"{count:,} pictures of the store's captions against {reference.count:,} real ones. "
            "Upper bound: real pictures that the model was not trained on, or set aside from the "
            "store. Lower bound: uniform noise.",
            reference.figures(scores),
            "fid",
            judge=f"{network.spec} {network.fingerprint}",
            warnings=reference.warnings(count),
            classes=self._score.per_class(),
            protocol=reference.protocol(),
            sheets=(self._rows.sheet("drawn"), real.sheet("real")),
        )
