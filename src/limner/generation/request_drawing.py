"""Requests to pictures: what a session of drawings is begun from, and what comes out of it.

Everything that draws goes through it: :class:`limner.generation.generator.Generator`, and by jobs
that they advance themselves the server and refinements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import islice

import torch
from PIL import Image

from limner.arguments import check_able, check_type
from limner.errors import LimnerError
from limner.generation.finishing import as_asked
from limner.generation.opened_model import OpenedModel
from limner.generation.partial_drawing import Seeded
from limner.generation.picture import Picture
from limner.generation.references import Reference, ReferenceReader, SeenReference
from limner.generation.request_reader import Job
from limner.generation.requests import DrawRequest, RefusedPromptError
from limner.generation.session import DrawingSession
from limner.models.rows import SampleRequest

_REQUESTS_AT_ONCE = 32
_PICTURES_AT_ONCE = 8

Progress = Callable[[float], None]
"""Called after every network evaluation with the number of pictures drawn so far; an unfinished
picture counts as a fraction."""


class RequestDrawer(OpenedModel):
    """Draws requests, side by side or in a session of the caller's."""

    @cached_property
    def _references(self) -> ReferenceReader:
        return ReferenceReader(
            self.model, self.info, name=self.name, path=self.path, device=self.device
        )

    @property
    def at_once(self) -> int:
        """Number of pictures drawn side by side: whole tiles, at least one picture per thread."""
        least = max(_PICTURES_AT_ONCE, torch.get_num_threads())
        return -(-least // self.model.tile) * self.model.tile

    def draw(
        self,
        requests: Iterable[DrawRequest],
        *,
        reference: Reference | None = None,
        on_refused: Callable[[RefusedPromptError], None] | None = None,
    ) -> Iterator[Picture]:
        """Draw any number of requests, each with its own prompt, seed and settings.

        Pictures are drawn lazily, a few at a time, in the order of the requests; none is kept.
        ``Picture.index`` is the request's number. A picture has the same bits whatever else is in
        the batch.

        Args:
            requests: may be a lazy iterator; about 32 are read ahead.
            reference: a picture to condition all of them on, as for :meth:`generate`.
            on_refused: called with every prompt that the text encoder refuses, which is then
                skipped; without it the first refused prompt raises.

        Raises:
            RefusedPromptError: a prompt is refused and there is no ``on_refused``.
            UsageError: a seed or style is invalid.
            CapabilityError: the model cannot do what was asked.
            ModelFileError: the model's output is not finite.
            DataError: the reference cannot be read as a picture.
        """
        check_type("requests", requests, Iterable, "a list of limner.DrawRequest(prompt, seed)")
        return self._draw(enumerate(requests), reference, on_refused)

    def look(self, reference: Reference) -> SeenReference:
        """Encode a reference picture for :meth:`jobs`; see :class:`ReferenceReader`.

        Raises:
            CapabilityError: the model was not trained with reference pictures.
            DataError: it cannot be read as a picture, or it is blank.
        """
        return self._references.look(reference)

    def _draw(
        self,
        numbered: Iterable[tuple[int, DrawRequest]],
        reference: Reference | None,
        on_refused: Callable[[RefusedPromptError], None] | None,
        on_progress: Progress | None = None,
    ) -> Iterator[Picture]:
        """Draw numbered requests; those of one prompt share a number."""
        if on_progress is not None:
            check_able("on_progress", on_progress, "__call__", "a function of the pictures drawn")
        seen = None if reference is None else self.look(reference)

        def checked() -> Iterator[tuple[int, DrawRequest]]:
            for index, request in numbered:
                yield index, self._checked(request, seen)

        def pictures() -> Iterator[Picture]:
            requests, reported, drawn = checked(), -1, 0
            while group := list(islice(requests, _REQUESTS_AT_ONCE)):
                jobs = []
                for job in self._requests.read(group, seen):
                    if isinstance(job, Job):
                        jobs.append(job)
                    elif on_refused is None:
                        raise job
                    elif job.index > reported:  # once for all seeds of a prompt
                        on_refused(job)
                        reported = job.index
                for start in range(0, len(jobs), self.at_once):
                    some = jobs[start : start + self.at_once]
                    yield from self._finish(some, drawn, on_progress)
                    drawn += len(some)

        return pictures()

    def conditions(self, request: DrawRequest) -> SampleRequest:
        """The model's input for a request drawn in one piece; interpolation starts from it.

        Raises:
            LimnerError: the request cannot be drawn.
        """
        settings = request.settings.model_copy(update={"scenes": False})
        (job,) = self.jobs([replace(request, settings=settings)])
        if not isinstance(job, Job):
            raise job
        wanted, drawing = next(job.drawing.steps), job.drawing
        assert isinstance(wanted, Seeded)  # it is in one piece
        seeds = [drawing.seed if each is None else each for each in wanted.seeds]
        return SampleRequest(wanted.text, seeds, drawing.settings, drawing.negative)

    def session(self) -> DrawingSession:
        """An empty session, for callers that advance drawings themselves."""
        return DrawingSession(self.model, self.name)

    def jobs(
        self, requests: Sequence[DrawRequest], references: Sequence[SeenReference | None] = ()
    ) -> list[Job | LimnerError]:
        """Each request as a job, or the error why it cannot be drawn.

        Args:
            requests: their prompts are encoded in one batch.
            references: the encoded reference of each request (:meth:`look`); empty for none.
        """
        seen = list(references) or [None] * len(requests)
        groups: dict[str, list[int]] = {}
        for number, each in enumerate(seen):
            groups.setdefault("" if each is None else each.digest, []).append(number)
        found: dict[int, Job | LimnerError] = {}
        for numbers in groups.values():
            made = self._jobs_after([requests[number] for number in numbers], seen[numbers[0]])
            found |= zip(numbers, made, strict=True)
        return [found[number] for number in range(len(requests))]

    def _jobs_after(
        self, requests: Sequence[DrawRequest], reference: SeenReference | None
    ) -> list[Job | LimnerError]:
        """The jobs of requests that share one reference, or have none."""
        try:
            group = [(0, self._checked(each, reference)) for each in requests]
            return list(self._requests.read(group, reference))
        except LimnerError as error:  # of one of them
            if len(requests) == 1:
                return [error]
            return [self._jobs_after([each], reference)[0] for each in requests]

    def _checked(self, request: DrawRequest, reference: SeenReference | None) -> DrawRequest:
        """The request with defaults and the reference's hash, refused if the model cannot do it."""
        check_type(
            "a request", request, DrawRequest,
            'limner.DrawRequest("a cat", seed=1), or give prompts to generate or stream',
        )  # fmt: skip
        request.check()
        settings = request.settings.filled(self.defaults)
        digest = None if reference is None else reference.digest
        settings = settings.model_copy(update={"reference": digest})
        self.check_settings(settings)
        return replace(request, settings=settings)

    def finished(self, job: Job) -> Picture:
        """The picture of a job whose drawing is finished."""
        assert job.drawing.image is not None, "advance the session until the drawing is finished"
        return Picture(
            image=self._finished(job.drawing.image, job.request),
            prompt=job.request.prompt,
            seed=job.request.seed,
            model=self.hash,
            settings=job.request.settings,
            index=job.index,
            encoder=self.encoder.fingerprint,
            planner=job.planner,
            tile=self.model.tile,
            threads=torch.get_num_threads(),
            drawn_from=job.drawn_from,
            edits=job.request.edits,
            rewritten=job.request.rewritten,
            inpainted=next(
                (each.digest for each in (job.request.masked, job.request.source) if each), ""
            ),
            sources=tuple(
                source.model_copy(
                    update={"licence": source.set and self.info.licence_of(source.set)}
                )
                for source in dict.fromkeys(job.drawing.sources)
            ),
        )

    def _finished(self, image: Image.Image, request: DrawRequest) -> Image.Image:
        """The picture in the size and format asked for; edited pictures keep their own."""
        if request.masked is not None or request.source is not None:
            return image
        return as_asked(image, request.settings, self._requests.side(request))

    def _finish(
        self, jobs: Sequence[Job], before: int, on_progress: Progress | None
    ) -> Iterator[Picture]:
        """Draw jobs side by side; ``before`` is the number of pictures drawn earlier."""
        session = self.session()
        for job in jobs:
            session.add(job.drawing)
        while not session.idle:
            session.advance()
            if on_progress is not None:
                on_progress(before + sum(session.share_drawn(job.drawing) for job in jobs))
        yield from map(self.finished, jobs)
