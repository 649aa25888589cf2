"""Refinement: draw, score, change the request according to the score, and draw again.

Each round draws a few requests side by side and scores their pictures
(:mod:`limner.improve.scoring`), until the best reaches the target or the budget is spent. The next
request is one of several moves (:mod:`limner.improve.changes`): another seed, a change suggested by
the checks of the best picture, or a redrawing of the best. The move with the greatest mean gain so
far is chosen, with a prior counted as one trial. If the model's previews predict the score, more
seeds are begun than finished (:mod:`limner.improve.screening`). All changes are in the picture's
record, so that ``limner replay`` reproduces the result.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from limner.arguments import check_type
from limner.errors import UsageError
from limner.generation.generator import Generator, load
from limner.generation.picture import Picture
from limner.generation.prompts import split_style
from limner.generation.references import Reference
from limner.generation.requests import DrawRequest
from limner.improve.budgets import BUDGET, TARGET, check_refined
from limner.improve.changes import SEEDS_FIRST, first_changes, moves
from limner.improve.refinement import Refinement
from limner.improve.rounds import Rounds, Trials
from limner.improve.scoring import Scorer, load_scorer
from limner.improve.screening import screens
from limner.models.settings import check_seed, make_settings

if TYPE_CHECKING:
    from limner.reading.captions import Captioner

_GENERATOR = "what limner.load() returns"
_ROUND_SHARE = 4
"""A round draws a quarter of the budget, and at least two pictures."""


class Refiner:
    """Refines pictures of one model.

    Args:
        generator: the model.
        scorer: scores pictures; None for :func:`~limner.improve.scoring.load_scorer`.
        captioner: captions reference pictures; None for the shipped one, loaded on first use.
    """

    def __init__(
        self, generator: Generator, scorer: Scorer | None = None, captioner: Captioner | None = None
    ) -> None:
        check_type("generator", generator, Generator, _GENERATOR)
        self.generator = generator
        self.scorer = _scorer(generator, scorer)
        self._captioner = captioner

    def refine(
        self,
        prompt: str | None = None,
        *,
        budget: int = BUDGET,
        target: float = TARGET,
        seed: int | None = None,
        reference: Reference | None = None,
        on_progress: Callable[[float], None] | None = None,
        **options: Any,
    ) -> Refinement:
        """Draw a prompt until a picture shows it; see :func:`refine`."""
        check_refined(budget, target)
        caption = "" if reference is None else self._caption(reference, prompt)
        if prompt is None and not caption:
            raise UsageError("there is nothing to refine: give a prompt or a reference picture")
        first = DrawRequest(
            prompt or caption, secrets.randbelow(2**32) if seed is None else check_seed(seed),
            make_settings(**options),
        )  # fmt: skip
        self.generator.check_settings(first.settings)
        asked = self.scorer.asked(first.prompt)
        state = Rounds(self.generator, self.scorer, asked, first, reference)
        rounds = max(2, budget // _ROUND_SHARE)
        number, trials = 1, Trials(self.generator)
        begin = list(first_changes(self.generator, first, asked))
        screened = SEEDS_FIRST if screens(self.generator.model, first.settings) else 0
        some = state.new({None: iter(begin)}, trials, min(len(begin), budget))
        while some.chosen:
            state.draw(some, number, trials, on_progress)
            found, left = state.result(target, caption), int(budget - state.spent)
            if found.reached or left < 1:
                break
            best, drawn = found.best, round(state.spent)
            waiting = moves(
                self.generator, asked, first, state.requests[state.attempts.index(best)],
                picture=best.picture, score=best.score,
                style_given=_names_style(self.generator, first), drawn=drawn,
            )  # fmt: skip
            some = state.new(
                waiting, trials, min(max(rounds, screened - drawn), left),
                min(max(rounds, SEEDS_FIRST - drawn), left),
            )  # fmt: skip
            number += 1
        return state.result(target, caption)

    def _caption(self, reference: Reference, prompt: str | None) -> str:
        """The caption of the reference picture; empty if there is a prompt."""
        from limner.generation.references import read_reference
        from limner.reading.captions import READ_SIDE, load_captioner

        pixels = read_reference(reference, READ_SIDE)
        if prompt is not None:
            return ""
        if self._captioner is None:
            self._captioner = load_captioner(device=self.generator.device)
        return self._captioner.caption(pixels)[0].text


def _names_style(generator: Generator, request: DrawRequest) -> bool:
    """Whether the settings or the prompt name a style."""
    named = split_style(request.prompt, generator.styles)[1]
    return request.settings.style is not None or named is not None


def refine(
    prompt: str | None = None,
    *,
    generator: Generator | None = None,
    budget: int = BUDGET,
    target: float = TARGET,
    seed: int | None = None,
    reference: Reference | None = None,
    on_progress: Callable[[float], None] | None = None,
    **options: Any,
) -> Refinement:
    """Draw a prompt, score the pictures, change the request accordingly, and draw again.

    Args:
        prompt: in any language; None for the caption of the reference picture.
        generator: the model; None for the shipped one.
        budget: maximal number of pictures, 1 to 256.
        target: score at which to stop, above 0 and at most 1.
        seed: of the first picture; None for a random one.
        reference: reference of all pictures, see :meth:`Generator.generate`.
        on_progress: called after every network evaluation with the number of pictures drawn so far;
            an unfinished picture counts as a fraction.
        options: as for :meth:`Generator.generate`; options that are given are kept fixed.

    Raises:
        UsageError: there is no prompt, or an option is unknown or out of its range.
        PromptError: the prompt is refused.
        CapabilityError: the model cannot do what was asked.
        DataError: the reference cannot be read as a picture.
    """
    return Refiner(load() if generator is None else generator).refine(
        prompt, budget=budget, target=target, seed=seed, reference=reference,
        on_progress=on_progress, **options,
    )  # fmt: skip


def best_of(
    prompt: str,
    n: int = BUDGET,
    *,
    generator: Generator | None = None,
    scorer: Scorer | None = None,
    seed: int | None = None,
    **options: Any,
) -> list[tuple[Picture, float]]:
    """Draw ``n`` pictures and put the best first, see :meth:`Generator.best_of`."""
    generator = load() if generator is None else generator
    check_type("generator", generator, Generator, _GENERATOR)
    score = _scorer(generator, scorer).totals
    return generator.best_of(prompt, n, score=score, seed=seed, **options)


def _scorer(generator: Generator, scorer: Scorer | None) -> Scorer:
    """Check a given scorer; None gives the shipped one."""
    if scorer is None:
        return load_scorer(device=generator.device)
    check_type("scorer", scorer, Scorer, "what limner.improve.scoring.load_scorer() returns")
    return scorer
