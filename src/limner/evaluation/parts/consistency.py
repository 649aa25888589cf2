"""Whether pictures agree with their prompts, judged by an aligner."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from limner.evaluation.part import EvaluationContext, InapplicableError, Part
from limner.evaluation.report import Figure, PartResult
from limner.metrics.consistency import Consistency
from limner.metrics.intervals import mean_interval
from limner.progress import Meter

_MOST = 1000
"""Pictures judged by the aligner, which may be large."""
_FIGURES = (
    # key, title, description, unit, lower bound
    ("win_rate", "win rate", "the own prompt fits the picture better than a shuffled one", "%",
     0.5),
    ("clip_score", "CLIPScore", "100 times the mean cosine of picture and prompt", "", None),
    ("margin", "margin", "cosine with the own prompt less the mean of the others", "", 0.0),
)  # fmt: skip


class ConsistencyPart(Part):
    """Agreement of prompts and pictures."""

    name = "consistency"
    title = "Agreement with the prompts"
    samples = _MOST
    options = ("samples", "holdout", "aligner")

    def __init__(self, evaluation: EvaluationContext) -> None:
        super().__init__(evaluation)
        aligner = evaluation.options.aligner
        if aligner is None:
            raise InapplicableError("there is no aligner to judge it; name one with --aligner")
        if len(set(evaluation.prompts[:_MOST])) < 2:
            raise InapplicableError(
                "the store has a single caption, so there is nothing to shuffle"
            )
        self._aligner, self._left = aligner, _MOST
        self._metric = Consistency(aligner)

    def update(self, images: Tensor, captions: Sequence[str]) -> None:
        """Let the aligner judge the first thousand."""
        if self._left > 0:
            self._metric.update(images[: self._left], captions[: self._left])
            self._left -= len(images)

    def finish(self, meter: Meter) -> PartResult:
        """Compare with the real pictures of the same captions."""
        real = Consistency(self._aligner)
        for images, captions in self.evaluation.real_pairs(_MOST):
            real.update(images, captions)
        found, bound, each = self._metric.compute(), real.compute(), self._metric.per_picture()
        each["clip_score"] = 100 * each["cosine"]
        intervals = {key: mean_interval(each[key]) for key in found if key in each}
        low, high = intervals["clip_score"]
        intervals["clip_score"] = max(0.0, low), max(0.0, high)  # as the score is
        count = int(found["count"])
        spec = self._aligner.spec
        called = spec if spec.startswith("hf:") else Path(spec).name
        return self.result(
            f"{count:,} of the pictures with their prompts. Upper bound: the store's pictures of "
            "the same captions. Lower bound: a model that ignores its prompts.",
            (
                Figure(key=key, title=title, description=sentence, value=found[key],
                       interval=intervals[key], lower_bound=chance,
                       upper_bound=bound[key], direction="higher", unit=unit, count=count)
                for key, title, sentence, unit, chance in _FIGURES
            ),
            "win_rate",
            judge=f"{called} {self._aligner.fingerprint}",
        )  # fmt: skip
