"""Robustness: how much pictures change when a prompt is misspelt or rephrased.

Each prompt of concept recall is drawn as it is, and perturbed with the same seed in the same style.
How far the picture moves lies between drawing it again with another seed and drawing another
prompt.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import torch
from torch import Tensor

from limner.errors import DataError
from limner.evaluation.concept_prompts import check_languages, load_prompts, prompts_hash
from limner.evaluation.drawing import draw_batches
from limner.evaluation.part import EvaluationContext, InapplicableError, Part
from limner.evaluation.parts.recall import assign_styles, icon_gallery
from limner.evaluation.perturbations import KINDS
from limner.evaluation.report import Figure, PartResult, share_figure
from limner.generation.prompts import collected
from limner.generation.requests import DrawRequest, RefusedPromptError
from limner.metrics.intervals import mean_interval, share_of_hits
from limner.metrics.perceptual import perceptual_distance
from limner.metrics.recall import Target
from limner.models.settings import Settings
from limner.progress import Meter
from limner.vision.aligner import Aligner

_TOP = 5
_HEADLINE = "still recognised"
_BATCH = 64


@dataclass(frozen=True)
class _Drawn:
    """Pictures of the same prompts, perturbed in one way.

    Attributes:
        rows: numbers of the prompts.
        images: ``(B, 3, H, W)`` in [-1, 1].
        found: ``(B,)`` bool, whether the concept asked for is among the first five.
        score: ``(B,)`` cosine with the unperturbed English prompt by the aligner; None without.
    """

    rows: list[int]
    images: Tensor
    found: Tensor
    score: Tensor | None

    def at(self, rows: Sequence[int]) -> _Drawn:
        """The same for some of the prompts."""
        place = {row: i for i, row in enumerate(self.rows)}
        some = [place[row] for row in rows]
        score = None if self.score is None else self.score[some]
        return _Drawn(list(rows), self.images[some], self.found[some], score)


class RobustnessPart(Part):
    """Whether a slightly rewritten prompt still draws the same picture."""

    name = "robustness"
    title = "Robustness to how a prompt is written"
    options = ("languages", "aligner")

    def __init__(self, evaluation: EvaluationContext) -> None:
        super().__init__(evaluation)
        check_languages(evaluation.options.languages)
        try:
            self._gallery = icon_gallery(evaluation.store)
        except DataError as error:
            reason = str(error).replace(str(evaluation.store.path), evaluation.store.name)
            raise InapplicableError(reason) from None
        plan = assign_styles(load_prompts(), evaluation.generator.styles, self._gallery)
        order = np.random.default_rng(0).permutation(len(plan))[: evaluation.options.perturbed]
        self._plan = [plan[row] for row in sorted(order.tolist())]
        if len(self._plan) < 2:
            raise InapplicableError("the store shows fewer than two of the prompts' concepts")

    def finish(self, meter: Meter) -> PartResult:
        """Draw every prompt as it is, with another seed, and in each way."""
        texts = [prompt.texts["en"] for _, prompt, _, _ in self._plan]
        aligner = self.evaluation.options.aligner
        said = None if aligner is None else aligner.encode_texts(texts)
        plain = self._draw(dict(enumerate(texts)), said, meter)
        if len(plain.rows) < 2:
            raise DataError("the model refuses the prompts as they are; there is nothing to move")
        again = self._draw(dict(enumerate(texts)), said, meter, 1)
        figures: list[Figure] = []
        refused: dict[str, int] = {}
        for kind, changed in self._kinds(texts):
            drawn = self._draw(changed, said, meter)
            refused[kind] = len(changed) - len(drawn.rows)
            rows = [row for row in drawn.rows if row in plain.rows and row in again.rows]
            if len(rows) > 1:
                figures += self._figures(kind, plain.at(rows), drawn.at(rows), again.at(rows))
        if not figures:
            raise DataError("no prompt could be perturbed and drawn")
        judge = self._gallery.judge
        return self.result(
            f"{len(texts)} prompts of concept recall, each perturbed with the same seed in the "
            "same style. Upper bound: the same prompt with another seed. Lower bound: another "
            "prompt with the same seed.",
            figures,
            next((each.key for each in figures if each.key.endswith(_HEADLINE)), figures[0].key),
            judge=f"judge {judge.fingerprint}",
            protocol={
                "prompts": prompts_hash(), "perturbed": len(texts), "refused": refused,
                "aligner": "" if aligner is None else aligner.fingerprint,
            },
        )  # fmt: skip

    def _kinds(self, texts: Sequence[str]) -> Iterator[tuple[str, dict[int, str]]]:
        """Each kind of perturbation, with the prompts that it changes by number."""
        for kind, perturbed in KINDS.items():
            changed = {row: perturbed(text, row) for row, text in enumerate(texts)}
            yield kind, {row: text for row, text in changed.items() if text != texts[row]}
        for language in self.evaluation.options.languages:
            if language != "en":
                rows = enumerate(self._plan)
                yield f"in {language}", {row: each[1].texts[language] for row, each in rows}

    def _draw(
        self, texts: dict[int, str], said: Tensor | None, meter: Meter, seed: int = 0
    ) -> _Drawn:
        """One picture per prompt with the judges' scores; refused prompts are left out."""
        numbers = list(texts)
        requests = [
            DrawRequest(
                texts[row], 1000 * seed + self._plan[row][0],
                Settings(style=self._plan[row][2].style or None),
            )
            for row in numbers
        ]  # fmt: skip
        refused: list[RefusedPromptError] = []
        batches = []
        with collected():  # what is said of a misspelt prompt is measured here, not told
            for images, drawn in draw_batches(self.evaluation.generator, requests, refused):
                batches.append(images)
                meter.advance(len(drawn))
        missing = {each.index for each in refused}
        rows = [row for number, row in enumerate(numbers) if number not in missing]
        if not rows:
            return _Drawn([], torch.zeros(0, 3, 1, 1), torch.zeros(0, dtype=torch.bool), None)
        images = torch.cat(batches)
        return _Drawn(rows, images, self._found(images, rows), self._score(images, rows, said))

    def _found(self, images: Tensor, rows: Sequence[int]) -> Tensor:
        targets = [self._plan[row][2] for row in rows]
        return self._ranks(images, targets) < _TOP

    def _ranks(self, images: Tensor, targets: Sequence[Target]) -> Tensor:
        return self._gallery.ranks(self._gallery.judge.features(images), targets)

    def _score(self, images: Tensor, rows: Sequence[int], said: Tensor | None) -> Tensor | None:
        aligner: Aligner | None = self.evaluation.options.aligner
        if aligner is None or said is None:
            return None
        seen = torch.cat([aligner.encode_images(part) for part in torch.split(images, _BATCH)])
        return (seen * said[list(rows)]).sum(1).double()

    def _figures(self, kind: str, plain: _Drawn, drawn: _Drawn, again: _Drawn) -> Iterator[Figure]:
        """The figures of one kind of perturbation."""
        order = [*range(1, len(plain.rows)), 0]  # each beside the next prompt's picture
        other = _Drawn(plain.rows, plain.images[order], torch.zeros(0), None)
        moved = self._apart(plain, drawn)
        yield Figure(
            key=f"{kind}: distance", title=f"{kind}: distance",
            description="perceptual distance to the picture of the prompt as it is",
            value=moved.mean().item(), interval=mean_interval(moved), direction="lower",
            upper_bound=self._apart(plain, again).mean().item(),
            lower_bound=self._apart(plain, other).mean().item(), count=len(plain.rows),
        )  # fmt: skip
        same = (plain.images == drawn.images).flatten(1).all(1)
        yield share_figure(
            f"{kind}: same picture", f"{kind}: same picture", share_of_hits(same),
            "the picture is the same in every bit",
        )  # fmt: skip
        known = plain.found.nonzero()[:, 0]
        if len(known) > 1:
            shown = [self._plan[plain.rows[i]][2] for i in known.tolist()]
            turned = [
                Target(after.key, mine.style)
                for mine, after in zip(shown, [*shown[1:], shown[0]], strict=True)
            ]  # fmt: skip
            able = [i for i, each in enumerate(turned) if self._gallery.can_score(each)]
            chance = [
                float(rank < _TOP)
                for rank in self._ranks(plain.images[known[able]], [turned[i] for i in able])
            ] if able else []  # fmt: skip
            yield share_figure(
                f"{kind}: still recognised", f"{kind}: still recognised",
                share_of_hits(drawn.found[known]),
                "of the concepts recognised without the change, among the first five again",
                upper_bound=again.found[known].double().mean().item(),
                lower_bound=fmean(chance) if chance else None,
            )  # fmt: skip
        if plain.score is not None and drawn.score is not None and again.score is not None:
            change = drawn.score - plain.score
            yield Figure(
                key=f"{kind}: change of score", title=f"{kind}: change of score",
                description="of the cosine of picture and English prompt, by the aligner",
                value=change.mean().item(), interval=mean_interval(change), direction="higher",
                upper_bound=(again.score - plain.score).mean().item(), count=len(change),
            )  # fmt: skip

    def _apart(self, one: _Drawn, two: _Drawn) -> Tensor:
        """Perceptual distances of B pairs of pictures, ``(B,)``."""
        layers = self._gallery.judge.layers
        pairs = zip(*(torch.split(each.images, _BATCH) for each in (one, two)), strict=True)
        return torch.cat([perceptual_distance(a, b, layers) for a, b in pairs])
