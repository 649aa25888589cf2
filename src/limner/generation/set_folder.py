"""Sets in folders: a list of names drawn as one set, each once however often the run is killed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from limner.errors import DataError, LimnerError, UsageError
from limner.generation.batch import Batch, BatchJob, JobFields
from limner.generation.files import write_image, write_picture, write_sheet
from limner.generation.formats import PictureFormat
from limner.generation.generator import Generator
from limner.generation.lists import read_rows
from limner.generation.picture import Picture
from limner.generation.picture_folder import MANIFEST, entry_of, slug
from limner.generation.records import read_record
from limner.generation.restoring import Restorer
from limner.generation.sets import SetArtist, SetOptions
from limner.generation.sheets import grid
from limner.models.settings import make_settings
from limner.vision.images import on_white

SHEET = "sheet"
"""Name of the contact sheet, without the ending."""


def read_names(
    text: str, name: str, options: SetOptions, folder: Path, *, by_name: bool = False
) -> list[BatchJob]:
    """The names of a list, one a line, as jobs of one set.

    Args:
        text: of the list.
        name: of its file, for messages.
        options: of the set.
        folder: where the list is.
        by_name: whether files are called as what they show, not by the lines.

    Raises:
        UsageError: there is no name, one stands twice, or an option is refused.
    """
    settings = make_settings(**{**options.drawing, "style": options.style})
    found: dict[str, BatchJob] = {}
    taken = {SHEET}
    for line, row in read_rows(text, name):
        asked = str(row.get("prompt") or "").strip()
        extra = sorted(set(row) - {"prompt"})
        if extra:
            raise UsageError(f"line {line} of {name}: a list of names has names alone, one a line, "
                             f"and no {extra[0]!r}")  # fmt: skip
        if asked.casefold() in found:
            raise UsageError(f"line {line} of {name}: {asked!r} stands there twice, first on line "
                             f"{found[asked.casefold()].line}; leave one out")  # fmt: skip
        stem = slug(asked) if by_name else None
        if stem in taken:
            stem = f"{stem}-{line}"
        taken |= {stem} if stem else set()
        fields = JobFields(prompt=asked, seed=options.seed, id=stem)
        found[asked.casefold()] = BatchJob(line, fields, settings, folder, options.key)
    if not found:
        raise UsageError(f"there is no name in {name}: put one on each line")
    return list(found.values())


class SetFolder(Batch):
    """A folder that a set is drawn into: pictures, a manifest and a contact sheet.

    Args:
        jobs: of :func:`read_names`.
        out: the folder; one that a run has begun is gone on with.
        options: of the set.
        load: loads the model.
        kind: format of the files.

    Attributes:
        notes: what was drawn otherwise: name and sentence.
        messages: what the model said of the names, such as that one is drawn from another.
    """

    def __init__(
        self,
        jobs: Sequence[BatchJob],
        out: Path,
        options: SetOptions,
        *,
        load: Callable[[str | None], Generator],
        kind: PictureFormat = PictureFormat.PNG,
    ) -> None:
        if kind not in (PictureFormat.PNG, PictureFormat.WEBP):
            raise UsageError(
                f"a set is kept without loss: choose --format png or webp, not {kind}"
                + (", and add --svg for shapes" if kind is PictureFormat.SVG else "")
            )
        super().__init__(jobs, out, load=load, restorer=Restorer, kind=kind)
        self._options = options
        self.notes: list[tuple[str, str]] = []
        self.messages: list[str] = []

    def _draw(self, model: str | None, tasks: Sequence[tuple[BatchJob, int]]) -> Iterator[None]:
        """Draw the pictures one after the other, as each is compared with those before it."""
        generator = self._load(model)
        self._check_model(tasks, generator.hash)
        artist = SetArtist(generator, self._options)
        left = {job.line for job, _ in tasks}
        entries = self._entries()
        for job in self._jobs:
            name, path = str(job.fields.prompt), self._out / (job.name(0) + self._kind.ending)
            if job.line not in left:
                entry = entries[job.line]
                drawn_from = [each["drawn"] for each in entry.get("drawn_from", [])]
                image = on_white(_read_picture(path))
                artist.remember(name, image, drawn_from, entry.get("after"))
                continue
            try:
                drawn = artist.draw(name)
            except LimnerError as error:
                self._fail(job, error)
                continue
            self.messages += drawn.messages
            write_picture(drawn.finished, path)
            facts = entry_of(drawn.picture, path) | {"path": path.name, "name": name}
            if drawn.after is not None:
                facts["after"] = drawn.after
            if drawn.note:
                facts["note"] = drawn.note
                self.notes.append((name, drawn.note))
            self._keep(job, 0, generator.hash, facts)
            yield

    def _entries(self) -> dict[int, dict[str, Any]]:
        """What the manifest says of each line that is drawn."""
        lines = (self._out / MANIFEST).read_text("utf-8").splitlines()
        return {entry["line"]: entry for entry in map(json.loads, lines)}

    def _found(self) -> list[tuple[Path, str]]:
        """The pictures that are there, with their names."""
        return [
            (path, str(job.fields.prompt))
            for job in self._jobs
            if (path := self._out / (job.name(0) + self._kind.ending)).is_file()
        ]

    def write_shapes(self) -> Iterator[Path]:
        """Write an SVG beside each picture that is there, with its record; those there stay."""
        for path, _ in self._found():
            target = path.with_suffix(PictureFormat.SVG.ending)
            if not target.exists():
                write_picture(Picture.of(read_record(path), _read_picture(path)), target)
            yield target

    def write_sheet(self) -> Path | None:
        """A contact sheet of all pictures that are there, with their names; None for none."""
        found = self._found()
        if not found:
            return None
        pictures = [_read_picture(path) for path, _ in found]
        target = self._out / (SHEET + self._kind.ending)
        try:
            whole = [
                Picture.of(read_record(path), image)
                for (path, _), image in zip(found, pictures, strict=True)
            ]
        except DataError:  # an older limner has begun the set, whose files have no records
            names = [name for _, name in found]
            return write_image(grid(pictures, captions=names), target, {"prompt": ", ".join(names)})
        return write_sheet(whole, target, captions=True)


def _read_picture(path: Path) -> Image.Image:
    """A picture of the folder.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with Image.open(path, formats=["PNG", "WEBP"]) as image:
            return image.copy()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(
            f"{path} cannot be read ({error}); remove it and draw the set into this folder again"
        ) from error
