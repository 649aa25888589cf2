"""How the rounds of a refinement are drawn: which changes, side by side, and what they gained."""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

from PIL import Image

from limner.generation.generator import Generator
from limner.generation.prompts import PromptWarning
from limner.generation.references import Reference
from limner.generation.request_reader import Job
from limner.generation.requests import DrawRequest
from limner.generation.session import DrawingSession
from limner.improve.asked import Asked
from limner.improve.changes import Change, Move, first_promise
from limner.improve.composing import (
    Composition,
    best_seeds,
    can_be_cut_out,
    composes_anew,
    composition,
)
from limner.improve.refinement import Attempt, Refinement
from limner.improve.scoring import Scorer
from limner.improve.screening import Screening, screening

_CHANGES_READ = 64


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
class Round:
    """What is drawn side by side.

    Attributes:
        chosen: is begun.
        screening: of the seeds among it; None for finishing all.
        composition: of the one scene that all of it is begun for; None where there is none.
    """

    chosen: Sequence[Chosen] = ()
    screening: Screening | None = None
    composition: Composition | None = None


Take = Callable[[Round, Move | None, Iterator[Change]], Round | None]
"""How a move takes its part: the round so far with what the move adds of its changes; None where it
adds nothing to such a round."""


class Rounds:
    """The rounds of a refinement so far.

    Args:
        generator: draws.
        scorer: scores.
        asked: what the pictures are to show.
        first: what was asked for.
        reference: a picture that all are drawn after.

    Attributes:
        attempts: pictures that were finished.
        requests: of those.
        spent: what was drawn, in finished pictures' network evaluations.
    """

    def __init__(
        self,
        generator: Generator,
        scorer: Scorer,
        asked: Asked,
        first: DrawRequest,
        reference: Reference | None = None,
    ) -> None:
        self._generator, self._scorer, self._asked = generator, scorer, asked
        self._first = first
        self._seen = None if reference is None else generator.look(reference)
        self.attempts: list[Attempt] = []
        self.requests: list[DrawRequest] = []
        self.spent = 0.0
        self._tried: list[DrawRequest] = []
        self._screened: dict[int, Screening] = {}
        self._composes = True
        self._compositions: dict[int, Composition] = {}

    def new(
        self,
        waiting: Mapping[Move | None, Iterator[Change]],
        trials: Trials,
        count: int,
        composed: int = 0,
    ) -> Round:
        """The next changes that were not tried and can be drawn, the most promising moves first.

        Of seeds there are as many as are compared for so many that are finished. A scene of single
        things is drawn in a round of its own.

        Args:
            waiting: the changes of each move.
            trials: of the moves so far.
            count: pictures that are drawn.
            composed: pictures whose network evaluations a scene of single things may take.
        """
        takes: dict[Move | None, Take] = {Move.COMPOSED: partial(self._with_scene, most=composed)}
        found, left = Round(), dict(waiting)
        while left and len(found.chosen) < count and found.composition is None:
            move = max(left, key=lambda each: 0.0 if each is None else trials.promise(each))
            more = takes.get(move, self._with_picture)(found, move, left[move])
            if more is None:
                del left[move]
                continue
            trials.tried(move)
            found = more
        return self._with_seeds(found, waiting.get(Move.SEED, iter(())))

    def _with_picture(
        self, found: Round, move: Move | None, changes: Iterator[Change]
    ) -> Round | None:
        """A round with one more picture to draw; None where no change is left."""
        made = self._next(changes, must=not self.attempts and not found.chosen)
        return None if made is None else replace(found, chosen=[*found.chosen, (move, *made)])

    def _with_scene(
        self, found: Round, move: Move | None, changes: Iterator[Change], most: int
    ) -> Round | None:
        """Scenes that one is composed from, for so many pictures' network evaluations at most."""
        alone = self._composes and not found.chosen
        first = self._next(changes, must=False) if alone else None
        if first is None or not first[1].composed_of:
            return None
        model, settings = self._generator.model, self._first.settings
        wanted = composition(first[1].drawings, most, model, settings)
        if wanted is None:
            return None
        more = (self._next(changes, must=False) for _ in range(wanted.begun - 1))
        chosen = [(move, *each) for each in (first, *more) if each is not None]
        return Round(chosen, composition=wanted)

    def _with_seeds(self, found: Round, changes: Iterator[Change]) -> Round:
        """As many seeds as are compared for those that are finished."""
        seeds = sum(move is Move.SEED for move, _, _ in found.chosen)
        screened = screening(seeds, self._generator.model, self._first.settings)
        if screened is None:
            return found
        more = (self._next(changes, must=False) for _ in range(screened.begun - seeds))
        chosen = [(Move.SEED, *made) for made in more if made is not None]
        return replace(found, chosen=[*found.chosen, *chosen], screening=screened)

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
        some: Round,
        number: int,
        trials: Trials,
        on_progress: Callable[[float], None] | None,
    ) -> None:
        """Draw and score the pictures of a round."""
        with warnings.catch_warnings():
            if self.attempts:
                warnings.simplefilter("ignore", PromptWarning)
            finished = self._drawn(some, on_progress)
            if some.composition is not None:
                self._compositions[number] = some.composition
                finished = [each for each in finished if can_be_cut_out(each[2])]
                self._composes = bool(finished)
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

    def _drawn(self, some: Round, on_progress: Callable[[float], None] | None) -> list[Chosen]:
        """Those of a round that were finished; of its seeds the best by their previews."""
        if some.composition is not None and len(some.chosen) > 1:
            return self._drawn_of_best(some, some.composition, on_progress)
        session, left, screened = self._generator.session(), list(some.chosen), some.screening
        before, evaluations = self.spent, 0
        for _, _, job in left:
            session.add(job.drawing)
        while not session.idle:
            session.advance()
            evaluations += 1
            if screened is not None and evaluations == screened.after:
                left, dropped = self._compared(session, left, screened.finished)
                for _, _, job in dropped:
                    session.drop(job.drawing)
                before += len(dropped) * screened.after / screened.evaluations
            drawn = sum(self._cost(job) * session.share_drawn(job.drawing) for _, _, job in left)
            self.spent = max(self.spent, before + drawn)  # a scene may begin further parts
            if on_progress is not None:
                on_progress(self.spent)
        return left

    def _drawn_of_best(
        self,
        some: Round,
        wanted: Composition,
        on_progress: Callable[[float], None] | None,
    ) -> list[Chosen]:
        """One scene of the best drawings of its things; none where they cannot be cut out."""
        session, jobs = self._generator.session(), [job for _, _, job in some.chosen]
        for job in jobs:
            session.add(job.drawing)
        things = len(jobs[0].composed_of)
        before, done, drawn = self.spent, 0, list[list[Image.Image]]()
        while not session.idle and not drawn:
            session.advance()
            done += 1
            if wanted.evaluations > 1 and done == wanted.after:
                drawn = [session.preview(job.drawing)[:things] for job in jobs]
            self.spent = before + wanted.drawings * sum(
                session.share_drawn(job.drawing) for job in jobs
            )
            if on_progress is not None:
                on_progress(self.spent)
        if not drawn:  # there are no previews: all are finished
            drawn = [
                [Image.fromarray(one) for one in job.placed.pixels]
                for job in jobs if job.placed is not None
            ]  # fmt: skip
        seeds = best_seeds(self._scorer, jobs, drawn)
        if not seeds:
            return []
        _, change, _ = some.chosen[0]
        settings = change.request.settings.model_copy(update={"thing_seeds": seeds})
        change = replace(change, request=replace(change.request, settings=settings))
        made = self._next(iter([change]), must=False)
        if made is None:
            return []
        return self._drawn(Round([(Move.COMPOSED, *made)]), on_progress)

    def _cost(self, job: Job) -> float:
        """Of a picture, in pictures as asked: one of single things takes a drawing for each."""
        anew = job.request.settings.scenes and composes_anew(self._generator, self._first)
        return float(job.drawings) if anew else 1.0

    def _compared(
        self, session: DrawingSession, some: Sequence[Chosen], most: int
    ) -> tuple[list[Chosen], list[Chosen]]:
        """What goes on, with so many of the seeds at most, and the seeds with worse previews."""
        seeds = [number for number, (move, _, _) in enumerate(some) if move is Move.SEED]
        previews = [session.preview(some[number][2].drawing)[0] for number in seeds]
        scores = dict(zip(seeds, self._scorer.totals(self._first.prompt, previews), strict=True))
        worse = set(sorted(seeds, key=lambda number: -scores[number])[most:])
        kept = [each for number, each in enumerate(some) if number not in worse]
        return kept, [some[number] for number in sorted(worse)]

    def result(self, target: float, caption: str) -> Refinement:
        """The refinement made of all attempts so far."""
        return Refinement(
            self._asked,
            tuple(self.attempts),
            target,
            caption,
            dict(self._screened),
            dict(self._compositions),
        )
