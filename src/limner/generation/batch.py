"""Batches: a file of jobs, drawn into a folder; a killed run can be resumed.

Every line of the file is a job: a prompt, a picture to inpaint, or a picture to restore, with a
model and drawing options of its own. All jobs of a model share its batches. A picture's file is
written atomically, then its line of the manifest; a resumed run continues after the last complete
line.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError

from limner.errors import DataError, LimnerError, UsageError
from limner.files import json_text, locked, make_folder, remove_parts, write_text
from limner.generation.files import write_picture
from limner.generation.formats import PictureFormat
from limner.generation.generator import Generator
from limner.generation.inpainting import MOST_PIXELS, MaskedPicture
from limner.generation.lists import read_rows
from limner.generation.picture_folder import MANIFEST, entry_of
from limner.generation.prompts import ANY_PICTURE
from limner.generation.references import SeenReference
from limner.generation.request_reader import Job
from limner.generation.requests import DrawRequest
from limner.generation.restoring import Restorer, Task
from limner.generation.source_pictures import SourcePicture
from limner.models.settings import MAX_SEED, OPTIONS, FrozenConfig, Settings, make_settings

FAILURES = "failed.jsonl"
"""The failed jobs of the last run, each with its line and the reason."""
_MOST_OF_ONE = 10_000
_READ_AT_ONCE = 32


def _numbers(value: object) -> object:
    """The cell of a table, such as ``"10,10,80,80"``, as numbers."""
    return value.split(",") if isinstance(value, str) else value


_Four = Annotated[tuple[int, int, int, int] | None, BeforeValidator(_numbers)]


class JobFields(FrozenConfig):
    """The fields of a job besides drawing options; paths are relative to the file of jobs."""

    prompt: str | None = Field(None, max_length=100_000, description="What is to be drawn.")
    n: int = Field(1, ge=1, le=_MOST_OF_ONE, description="Pictures: seeds SEED, SEED+1, …")
    seed: int | None = Field(None, ge=0, le=MAX_SEED - _MOST_OF_ONE, description="Of the first.")
    id: str | None = Field(
        None, pattern=r"^\w[\w.-]{0,99}$", description="Name of the file; not given: the line."
    )
    model: str | None = Field(None, description="As for --model.")
    reference: str | None = Field(None, description="A picture to draw after.")
    picture: str | None = Field(None, description="A picture to edit or restore.")
    mask: str | None = Field(None, description="What of it is drawn anew, as for limner edit.")
    box: _Four = Field(None, description="The same as left, top, width and height.")
    outpaint: _Four = Field(None, description="Pixels to add at left, top, right and bottom.")
    restore: Task | None = Field(None, description="Task of limner restore.")
    scale: int | None = Field(None, description="2 or 4: how much it is enlarged.")

    @property
    def has_hole(self) -> bool:
        """Whether the job is to inpaint a picture."""
        return any(each is not None for each in (self.mask, self.box, self.outpaint))


@dataclass(frozen=True)
class BatchJob:
    """A line of a file of jobs.

    Attributes:
        line: its line number, from 1.
        fields: its fields.
        settings: its drawing options, which override those of the command.
        folder: the folder that its paths are relative to.
        common: part of the key that is common to the batch; empty for none.
    """

    line: int
    fields: JobFields
    settings: Settings
    folder: Path
    common: str = ""

    @cached_property
    def key(self) -> str:
        """Hash of everything that the job asks for, 16 hex digits."""
        asked = {**self.fields.model_dump(exclude_none=True), "settings": self.settings.given}
        if self.common:
            asked["common"] = self.common
        return hashlib.sha256(json_text(asked).encode()).hexdigest()[:16]

    @property
    def first_seed(self) -> int:
        """The seed of its first picture; by default derived from the job."""
        own = self.fields.seed
        return int.from_bytes(hashlib.sha256(f"{self.line} {self.key}".encode()).digest()[:4],
                              "big") if own is None else own  # fmt: skip

    def path(self, name: str) -> Path:
        """Resolve a path of the job."""
        return self.folder / name

    def name(self, number: int) -> str:
        """The file name of a picture, without the ending."""
        stem = self.fields.id or f"{self.line:06d}"
        return stem if self.fields.n == 1 else f"{stem}-{number}"

    def request(self, number: int) -> DrawRequest:
        """The request for one of its pictures.

        Raises:
            LimnerError: the picture to edit cannot be read, or its hole is invalid.
        """
        asked, masked, source = self.fields, None, None
        if asked.picture is not None and not asked.has_hole:
            source = SourcePicture.open(self.path(asked.picture), draws=asked.prompt is not None)
        elif asked.picture is not None:
            masked = MaskedPicture.open(
                self.path(asked.picture),
                mask=None if asked.mask is None else self.path(asked.mask),
                box=asked.box, outpaint=asked.outpaint, inserts=asked.prompt is not None,
            )  # fmt: skip
        return DrawRequest(
            asked.prompt or ANY_PICTURE, self.first_seed + number, self.settings, masked, source
        )


def read_jobs(
    text: str, name: str, folder: Path, *, seed: int | None = None, **options: Any
) -> list[BatchJob]:
    """Parse a file of jobs: JSON lines, a table with a header, or one plain prompt per line.

    Args:
        text: content of the file.
        name: name of the file, for messages; its ending determines the format.
        folder: the folder that paths are relative to.
        seed: seed of each job's first picture, by default; None to derive it from the job.
        options: default drawing options of all jobs.

    Raises:
        UsageError: there is no job, or a line is invalid; the message has its number.
    """
    common, found = make_settings(**options), list[BatchJob]()
    names: dict[str, int] = {}
    for line, row in read_rows(text, name):
        try:
            job = _job(line, row, common, folder, seed)
        except LimnerError as error:
            raise UsageError(f"line {line} of {name}: {error}") from error
        for number in range(job.fields.n):
            stem = job.name(number).casefold()
            if names.setdefault(stem, line) != line:
                raise UsageError(f"line {line} of {name} has the file name of line {names[stem]}: "
                                 f"{job.name(number)}")  # fmt: skip
        found.append(job)
    if not found:
        raise UsageError(f"there is no job in {name}: put one on each line")
    return found


def _job(
    line: int, row: Mapping[str, Any], common: Settings, folder: Path, seed: int | None
) -> BatchJob:
    given = {key: value for key, value in row.items() if value is not None}
    own = {key: given.pop(key) for key in OPTIONS if key in given}
    known = ", ".join((*JobFields.model_fields, *OPTIONS))
    for key in given:
        if key not in JobFields.model_fields:
            raise UsageError(f"there is no {key!r} in a job; there are: {known}")
    try:
        asked = JobFields(**({"seed": seed} | given))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UsageError(f"{where} = {first['input']!r} is refused: {first['msg']}") from error
    if asked.restore is None:
        if asked.scale is not None:
            raise UsageError("scale is for restoring: add restore, such as upscale")
        changes = own.get("strength") is not None
        if asked.picture is not None and asked.has_hole == changes:
            raise UsageError("say what to do with the picture: draw a part of it (mask, box or "
                             "outpaint), change it (strength), or restore it")  # fmt: skip
        if changes and not (asked.prompt or asked.reference or own.get("style")):
            raise UsageError(
                "say what to change the picture into: give a prompt, style or reference"
            )
        if asked.picture is None and asked.has_hole:
            raise UsageError("a mask, box or outpaint needs a picture")
        if asked.picture is None and not asked.prompt:
            raise UsageError("there is no prompt")
    elif asked.picture is None:
        raise UsageError("restoring needs a picture")
    elif asked.has_hole or asked.n > 1 or asked.reference or own:
        raise UsageError("restoring takes a picture, a scale and a prompt, and draws once")
    return BatchJob(line, asked, common.model_copy(update=make_settings(**own).given), folder)


@dataclass
class BatchReport:
    """The outcome of a run.

    Attributes:
        total: number of pictures of all jobs.
        kept: those that existed before.
        drawn: those that this run added.
        failed: failed jobs: line and reason, as in :data:`FAILURES`.
    """

    total: int
    kept: int = 0
    drawn: int = 0
    failed: list[dict[str, Any]] = field(default_factory=list)


class Batch:
    """A file of jobs with its output folder.

    Args:
        jobs: the jobs, from :func:`read_jobs`.
        out: the folder; created if missing, resumed if a run has begun in it.
        kind: format of the files.
        load: loads a model by the name in a job, None for the default model; called once per model.
        restorer: the same for restorers.
    """

    def __init__(
        self,
        jobs: Sequence[BatchJob],
        out: Path,
        *,
        load: Callable[[str | None], Generator],
        restorer: Callable[[str | None], Restorer],
        kind: PictureFormat = PictureFormat.PNG,
    ) -> None:
        self._jobs, self._out, self._kind = jobs, out, kind
        self._load, self._restorer = load, restorer
        self._manifest: IO[str] | None = None
        self._models: dict[int, str] = {}
        self.report = BatchReport(sum(job.fields.n for job in jobs))

    def run(self, on_progress: Callable[[float, float | None], None] | None = None) -> BatchReport:
        """Draw all missing pictures.

        Args:
            on_progress: called with the number of finished pictures and the total.

        Raises:
            UsageError: the folder has other content or results of other jobs, or is in use.
            DataError: the folder cannot be written to.
            ModelFileError: a model cannot be loaded.
        """
        report = self.report
        tell = on_progress or (lambda _done, _total: None)
        with self._opened() as done:
            left = [
                (job, number)
                for job in self._jobs
                for number in range(job.fields.n)
                if (job.line, number) not in done
            ]
            report.kept = report.total - len(left)
            tell(report.kept, report.total)
            groups: dict[tuple[bool, str | None], list[tuple[BatchJob, int]]] = {}
            for job, number in left:
                kind = (job.fields.restore is not None, job.fields.model)
                groups.setdefault(kind, []).append((job, number))
            for (restores, model), tasks in groups.items():
                for _ in self._restore(model, tasks) if restores else self._draw(model, tasks):
                    report.drawn += 1
                    tell(report.kept + report.drawn, report.total)
        return report

    @contextmanager
    def _opened(self) -> Iterator[set[tuple[int, int]]]:
        """Lock the folder and list the pictures that are done, as (line, number)."""
        make_folder(self._out, DataError)
        manifest = self._out / MANIFEST
        with locked(self._out / ".lock", UsageError, f"the folder {self._out}"):
            remove_parts(self._out)
            done = self._read(manifest)
            try:
                with manifest.open("a", encoding="utf-8", newline="\n") as self._manifest:
                    yield done
                    self._manifest.flush()
                    os.fsync(self._manifest.fileno())
            except OSError as error:
                raise DataError(
                    f"cannot write {manifest}: {error.strerror or error}; give the same command "
                    "again to go on"
                ) from error
            finally:
                self._write_failures()

    def _read(self, manifest: Path) -> set[tuple[int, int]]:
        """Read a manifest; an incomplete last line, of a killed run, is removed."""
        try:
            data = manifest.read_bytes()
        except FileNotFoundError:
            names = {job.name(number) + self._kind.ending for job in self._jobs
                     for number in range(job.fields.n)}  # fmt: skip
            taken = sorted(path.name for path in self._out.iterdir() if path.name in names)
            if taken:
                raise UsageError(f"{self._out} already holds {taken[0]}, and no manifest says that "
                                 "it is of these jobs; name a new folder") from None  # fmt: skip
            return set()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            os.truncate(manifest, len(whole))
        jobs, done = {job.line: job for job in self._jobs}, set[tuple[int, int]]()
        for row, text in enumerate(whole.decode("utf-8", "replace").splitlines(), start=1):
            try:
                entry = json.loads(text)
                line, key, number = entry["line"], entry["job"], entry["number"]
                model, path = entry["model"], entry["path"]
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                raise UsageError(f"line {row} of {manifest} is not of a batch; name a new "
                                 "folder") from error  # fmt: skip
            job = jobs.get(line)
            if job is None or job.key != key:
                raise UsageError(
                    f"{self._out} was begun with another job on line {line}; name a new folder"
                )
            if path != job.name(number) + self._kind.ending:
                raise UsageError(f"{self._out} was begun with another format or other names "
                                 f"({path}); name a new folder")  # fmt: skip
            if (self._out / path).is_file():  # a deleted picture is drawn again
                self._models[line] = model
                done.add((line, number))
        return done

    def _keep(self, job: BatchJob, number: int, model: str, entry: dict[str, Any]) -> None:
        assert self._manifest is not None
        own = {"path": job.name(number) + self._kind.ending, "line": job.line, "number": number,
               "job": job.key, "model": model}  # fmt: skip
        self._manifest.write(json_text(own | entry) + "\n")
        self._manifest.flush()

    def _fail(self, job: BatchJob, error: object) -> None:
        if all(each["line"] != job.line for each in self.report.failed):
            self.report.failed.append({"line": job.line, "error": str(error)})

    def _write_failures(self) -> None:
        path = self._out / FAILURES
        if self.report.failed:
            self.report.failed.sort(key=lambda each: int(each["line"]))
            write_text(path, "".join(json_text(e) + "\n" for e in self.report.failed), DataError)
        else:
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def _check_model(self, tasks: Sequence[tuple[BatchJob, int]], model: str) -> None:
        for job, _ in tasks:
            if self._models.get(job.line, model) != model:
                raise UsageError(f"{self._out} was begun with another model (line {job.line}); "
                                 "name a new folder")  # fmt: skip

    def _draw(self, model: str | None, tasks: Sequence[tuple[BatchJob, int]]) -> Iterator[None]:
        """Draw the pictures of one model, in batches of its fastest size."""
        generator = self._load(model)
        self._check_model(tasks, generator.hash)
        session, waiting = generator.session(), self._understood(generator, tasks)
        active: dict[int, tuple[BatchJob, int, Job]] = {}
        exhausted = False
        while not exhausted or active:
            while not exhausted and len(active) < generator.at_once:
                following = next(waiting, None)
                if following is None:
                    exhausted = True
                else:
                    session.add(following[2].drawing)
                    active[id(following[2].drawing)] = following
            for drawing in session.advance() if active else ():
                job, number, made = active.pop(id(drawing))
                picture = generator.finished(made)
                path = self._out / (job.name(number) + self._kind.ending)
                try:
                    write_picture(picture, path)
                except UsageError as error:  # such as a transparent JPEG
                    self._fail(job, error)
                    continue
                facts = entry_of(picture, path)
                self._keep(job, number, generator.hash, facts | {"path": path.name})
                yield

    def _understood(
        self, generator: Generator, tasks: Sequence[tuple[BatchJob, int]]
    ) -> Iterator[tuple[BatchJob, int, Job]]:
        """The drawings of tasks, read a few at a time; refused tasks are recorded as failures."""
        references: dict[Path, SeenReference | LimnerError] = {}
        left = deque(tasks)
        while left:
            asked: list[tuple[BatchJob, int, DrawRequest, SeenReference | None]] = []
            pixels = 0
            while left and len(asked) < _READ_AT_ONCE and pixels < MOST_PIXELS:
                job, number = left.popleft()
                try:
                    request = job.request(number)
                    seen = self._seen(generator, job, references)
                except LimnerError as error:
                    self._fail(job, error)
                    continue
                pixels += 0 if request.masked is None else request.masked.mask.size
                asked.append((job, number, request, seen))
            found = generator.jobs([each[2] for each in asked], [each[3] for each in asked])
            for (job, number, *_), made in zip(asked, found, strict=True):
                if isinstance(made, LimnerError):
                    self._fail(job, made)
                else:
                    yield job, number, made

    @staticmethod
    def _seen(
        generator: Generator, job: BatchJob, known: dict[Path, SeenReference | LimnerError]
    ) -> SeenReference | None:
        """The encoded reference of a job; each picture is encoded once."""
        if job.fields.reference is None:
            return None
        path = job.path(job.fields.reference)
        if path not in known:
            try:
                known[path] = generator.look(path)
            except LimnerError as error:
                known[path] = error
        seen = known[path]
        if isinstance(seen, LimnerError):
            raise seen
        return seen

    def _restore(self, model: str | None, tasks: Sequence[tuple[BatchJob, int]]) -> Iterator[None]:
        restorer = self._restorer(model)
        self._check_model(tasks, restorer.hash)
        for job, number in tasks:
            asked = job.fields
            assert asked.picture is not None and asked.restore is not None
            path = self._out / (job.name(number) + self._kind.ending)
            try:
                found = restorer.restore(
                    job.path(asked.picture), asked.restore, scale=asked.scale, prompt=asked.prompt
                )
                found.save(path)
            except LimnerError as error:
                self._fail(job, error)
                continue
            self._keep(job, number, restorer.hash, {"source": asked.picture,
                                                    "removed": found.removed.given})  # fmt: skip
            yield
