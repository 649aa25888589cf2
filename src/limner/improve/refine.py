"""The closed loop: draw, score, change what the score says, draw again.

Each round draws a few requests side by side and scores their pictures
(:mod:`limner.improve.scoring`), until the best reaches the target or the budget is spent. What is
drawn next is one of several moves (:mod:`limner.improve.changes`): another seed, what the checks of
the best so far suggest, or the best redrawn. Each move is tried as often as it pays: the next is
the one whose mean gain over the best before it is greatest, its first guess counted as one trial.
Of seeds more are begun than finished, where the model's previews say which are worth it
(:mod:`limner.improve.screening`). All that is changed stands in the picture's record, so that
``limner replay`` draws the result again.
"""

from __future__ import annotations

import secrets
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from PIL import Image

from limner.errors import UsageError
from limner.generation.generator import Generator, load
from limner.generation.picture import Picture
from limner.generation.prompts import PromptWarning, split_style
from limner.generation.references import Reference
from limner.generation.request_reader import Job
from limner.generation.requests import DrawRequest
from limner.generation.session import DrawingSession
from limner.improve.asked import Asked
from limner.improve.changes import (
    SEEDS_FIRST,
    Change,
    Move,
    first_changes,
    first_promise,
    moves,
)
from limner.improve.scoring import PictureScore, Scorer, load_scorer
from limner.improve.screening import Screening, screening, screens
from limner.models.settings import check_seed, make_settings

if TYPE_CHECKING:
    from limner.reading.captions import Captioner

BUDGET, MOST_BUDGET, TARGET = 8, 256, 0.95
_VARIED, _EDITED, _APART = 0.1, 0.02, 0.1
"""By how much a score must be higher to prefer a picture of variety 1, one more instruction, and
what is to be held beside who holds it: a drawing is recognised best as it was learned, and the
score does not see all of that."""
_ROUND_SHARE = 4
"""A round draws a quarter of the budget, two pictures at least."""
_CHANGES_READ = 64


@dataclass(frozen=True)
class Attempt:
    """One picture of a refinement.

    Attributes:
        picture: with all that draws it again.
        score: of it.
        round: in which it was drawn, from 1.
        what: was changed.
        why: the check of an earlier picture that asked for it; empty for none.
        apart: whether what is to be held was drawn beside who holds it.
    """

    picture: Picture
    score: PictureScore
    round: int
    what: str
    why: str
    apart: bool = False

    @property
    def value(self) -> float:
        """By which the best is chosen: the rank, less for what was varied or edited."""
        less = _VARIED * (self.picture.settings.variety or 0.0)
        less += _EDITED * len(self.picture.edits) + _APART * self.apart
        return self.score.rank - less


@dataclass(frozen=True)
class Refinement:
    """What a refinement drew.

    Attributes:
        asked: what the pictures were asked to show.
        attempts: all that were finished, in the order in which they were drawn.
        target: score from which on it would stop.
        caption: of the reference picture, where that is the prompt; else empty.
        screened: of the rounds that began more pictures than they finished.
    """

    asked: Asked
    attempts: tuple[Attempt, ...]
    target: float
    caption: str = ""
    screened: Mapping[int, Screening] = field(default_factory=dict)

    @property
    def best(self) -> Attempt:
        """The attempt of the greatest value, of equal ones the first."""
        return max(self.attempts, key=lambda attempt: attempt.value)

    @property
    def picture(self) -> Picture:
        """Of the best attempt."""
        return self.best.picture

    @property
    def reached(self) -> bool:
        """Whether the best reaches the target."""
        return self.best.score.total >= self.target

    @property
    def begun(self) -> int:
        """Pictures that were begun; those of :attr:`attempts` are finished."""
        dropped = (each.begun - each.finished for each in self.screened.values())
        return len(self.attempts) + sum(dropped)

    @property
    def rounds(self) -> list[list[Attempt]]:
        """The attempts of each round."""
        last = self.attempts[-1].round
        return [[a for a in self.attempts if a.round == number] for number in range(1, last + 1)]


class Refiner:
    """Refines pictures of one model.

    Args:
        generator: draws.
        scorer: scores; None for :func:`~limner.improve.scoring.load_scorer`.
        captioner: reads reference pictures; None for the shipped one, loaded when it is needed.
    """

    def __init__(
        self, generator: Generator, scorer: Scorer | None = None, captioner: Captioner | None = None
    ) -> None:
        self.generator = generator
        self.scorer = scorer or load_scorer(device=generator.device)
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
        """Draw a prompt until a picture shows it, see :func:`refine`."""
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
        state = _State(self, asked, first, reference)
        rounds = max(2, budget // _ROUND_SHARE)
        number, trials = 1, Trials(self.generator)
        begin = list(first_changes(self.generator, first, asked))
        many = SEEDS_FIRST if screens(self.generator.model, first.settings) else rounds
        few = len(begin) if many > rounds else max(rounds, len(begin))
        some = state.new({None: iter(begin)}, trials, min(few, budget))
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
            some = state.new(waiting, trials, min(max(rounds, many - drawn), left))
            number += 1
        return state.result(target, caption)

    def _caption(self, reference: Reference, prompt: str | None) -> str:
        """What a reference picture shows, in words; empty where there is a prompt."""
        from limner.generation.references import read_reference
        from limner.reading.captions import READ_SIDE, load_captioner

        pixels = read_reference(reference, READ_SIDE)
        if prompt is not None:
            return ""
        if self._captioner is None:
            self._captioner = load_captioner(device=self.generator.device)
        return self._captioner.caption(pixels)[0].text


class Trials:
    """How often each move was tried, and what it gained.

    Args:
        generator: draws.
    """

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._count: Counter[Move] = Counter()
        self._gained: defaultdict[Move, float] = defaultdict(float)

    def promise(self, move: Move) -> float:
        """The mean gain of a move, its first guess counted as one trial."""
        before = first_promise(self._generator, move)
        return (before + self._gained[move]) / (1 + self._count[move])

    def tried(self, move: Move | None) -> None:
        """A picture is drawn by a move."""
        if move is not None:
            self._count[move] += 1

    def gained(self, move: Move | None, gain: float) -> None:
        """By how much a picture is better than the best before; nothing if it is not."""
        if move is not None:
            self._gained[move] += max(0.0, gain)


Chosen = tuple[Move | None, Change, Job]


@dataclass(frozen=True)
class _Round:
    """What is drawn side by side.

    Attributes:
        chosen: is begun.
        screening: of the seeds among it; None for finishing all.
    """

    chosen: list[Chosen]
    screening: Screening | None


class _State:
    """The attempts of a refinement so far.

    Attributes:
        attempts: pictures that were finished.
        requests: of those.
        spent: what was drawn, in finished pictures' network evaluations.
    """

    def __init__(
        self, refiner: Refiner, asked: Asked, first: DrawRequest, reference: Reference | None
    ) -> None:
        self._generator, self._scorer, self._asked = refiner.generator, refiner.scorer, asked
        self._first = first
        self._seen = None if reference is None else refiner.generator.look(reference)
        self.attempts: list[Attempt] = []
        self.requests: list[DrawRequest] = []
        self.spent = 0.0
        self._tried: list[DrawRequest] = []
        self._screened: dict[int, Screening] = {}

    def new(
        self, waiting: Mapping[Move | None, Iterator[Change]], trials: Trials, count: int
    ) -> _Round:
        """The next changes that were not tried and can be drawn, the most promising moves first.

        Of seeds there are as many as are compared for so many that are finished.
        """
        found: list[Chosen] = []
        left = dict(waiting)
        while left and len(found) < count:
            move = max(left, key=lambda each: 0.0 if each is None else trials.promise(each))
            made = self._next(left[move], must=not self.attempts and not found)
            if made is None:
                del left[move]
                continue
            trials.tried(move)
            found.append((move, *made))
        seeds = sum(move is Move.SEED for move, _, _ in found)
        screened = screening(seeds, self._generator.model, self._first.settings)
        if screened is not None:
            more = (self._next(left[Move.SEED], must=False) for _ in range(screened.begun - seeds))
            found += [(Move.SEED, *made) for made in more if made is not None]
        return _Round(found, screened)

    def _next(self, some: Iterator[Change], *, must: bool) -> tuple[Change, Job] | None:
        """The next of some changes that is new and can be drawn; one that must be is refused."""
        for change in islice(some, _CHANGES_READ):
            if change.request in self._tried:
                continue
            self._tried.append(change.request)
            with warnings.catch_warnings():
                if not must:  # said once, of the prompt as it was given
                    warnings.simplefilter("ignore", PromptWarning)
                (job,) = self._generator.jobs([change.request], [self._seen])
            if isinstance(job, Job):
                return change, job
            if must:
                raise job
        return None

    def draw(
        self,
        some: _Round,
        number: int,
        trials: Trials,
        on_progress: Callable[[float], None] | None,
    ) -> None:
        """Draw and score the pictures of a round."""
        with warnings.catch_warnings():
            if self.attempts:
                warnings.simplefilter("ignore", PromptWarning)
            finished = self._drawn(some, on_progress)
            drawn = [
                replace(self._generator.finished(job), made_from=change.made_from)
                for _, change, job in finished
            ]
        if some.screening is not None:
            self._screened[number] = some.screening
        images: list[Image.Image] = [picture.image for picture in drawn]
        scores = self._scorer.score(self._first.prompt, images)
        before = max((each.value for each in self.attempts), default=0.0)
        for (move, change, _), picture, score in zip(finished, drawn, scores, strict=True):
            apart = self._asked.touching and change.request.prompt != self._first.prompt
            attempt = Attempt(picture, score, number, change.what, change.why, apart)
            trials.gained(move, attempt.value - before)
            self.attempts.append(attempt)
            self.requests.append(change.request)

    def _drawn(self, some: _Round, on_progress: Callable[[float], None] | None) -> list[Chosen]:
        """Those of a round that were finished; of its seeds the best by their previews."""
        session, left, screened = self._generator.session(), list(some.chosen), some.screening
        before, evaluations = self.spent, 0
        for _, _, job in left:
            session.add(job.drawing)
        while not session.idle:
            session.advance()
            evaluations += 1
            if screened is not None and evaluations == screened.after:
                kept = self._kept(session, left, screened.finished)
                for each in left:
                    if each not in kept:
                        session.drop(each[2].drawing)
                before += (len(left) - len(kept)) * screened.after / screened.evaluations
                left = kept
            self.spent = before + sum(
                1.0 if job.drawing.image is not None else session.progress(job.drawing)
                for _, _, job in left
            )
            if on_progress is not None:
                on_progress(self.spent)
        return left

    def _kept(self, session: DrawingSession, some: Sequence[Chosen], most: int) -> list[Chosen]:
        """All but the seeds with the worst previews; so many of the seeds at most."""
        seeds = [each for each in some if each[0] is Move.SEED]
        previews = [session.preview(job.drawing)[0] for _, _, job in seeds]
        ranks = self._scorer.ranks(self._first.prompt, previews)
        order = sorted(range(len(seeds)), key=lambda number: -ranks[number])
        dropped = [seeds[number] for number in order[most:]]
        return [each for each in some if each not in dropped]

    def result(self, target: float, caption: str) -> Refinement:
        """All so far."""
        return Refinement(
            self._asked, tuple(self.attempts), target, caption, MappingProxyType(self._screened)
        )


def check_refined(budget: int, target: float) -> None:
    """Refuse what cannot be refined by.

    Raises:
        UsageError: the budget or the target is out of its range.
    """
    if not 1 <= budget <= MOST_BUDGET:
        raise UsageError(f"a budget of {budget} is refused: give 1 to {MOST_BUDGET} pictures")
    if not 0 < target <= 1:
        raise UsageError(f"a target of {target} is refused: scores are above 0 and at most 1")


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
    """Draw a prompt, score the pictures, change what the score says, and draw again.

    Args:
        prompt: in any language; None for the caption of the reference picture.
        generator: draws; None for the shipped model.
        budget: pictures that are drawn at most, 1 to 256.
        target: score from which on a picture is good enough, above 0 and at most 1.
        seed: of the first picture; None for a random one.
        reference: a picture that all are drawn after, see :meth:`Generator.generate`.
        on_progress: called after every network evaluation with the number of pictures drawn, the
            share of it of those that are not finished.
        options: as for :meth:`Generator.generate`; what is given is not changed.

    Raises:
        UsageError: there is no prompt, or an option is unknown or out of its range.
        PromptError: the prompt is refused.
        CapabilityError: the model cannot do what was asked.
        DataError: the reference is no picture that can be read.
    """
    return Refiner(generator or load()).refine(
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
    generator = generator or load()
    scorer = scorer or load_scorer(device=generator.device)
    return generator.best_of(prompt, n, score=scorer.ranks, seed=seed, **options)
