"""Where drawn pictures go: files, folders and sheets; shared by the commands that draw."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import typer

from limner.cli import print_json, say
from limner.errors import UsageError
from limner.files import check_writable
from limner.generation.formats import PictureFormat, format_of

if TYPE_CHECKING:
    from limner.generation.batch import BatchReport
    from limner.generation.picture import Picture
    from limner.generation.provenance import ContentSigner

FormatOption = Annotated[
    PictureFormat | None,
    typer.Option("--format", help="Format of the files [default: by the ending of --out, or png]."),
]
QualityOption = Annotated[
    int | None,
    typer.Option(min=1, max=100, help="Of JPEG [default: 92]; of WebP [default: lossless]."),
]


class _Writing(TypedDict):
    quality: int | None
    signer: ContentSigner | None


@dataclass(frozen=True)
class Output:
    """Where the pictures go: one named file, a folder, names of their own, or a sheet.

    Names of their own are made of the prompt and the seed; without words, of the name of the
    picture that is changed (``changes``).
    """

    target: Path | None
    is_folder: bool
    grid: bool
    captions: bool
    total: int
    kind: PictureFormat
    quality: int | None
    signer: ContentSigner | None = None
    changes: Path | None = None

    @property
    def _how(self) -> _Writing:
        """How files are written."""
        return {"quality": self.quality, "signer": self.signer}

    def write(self, stream: Iterator[Picture], lines: list[int | None]) -> Iterator[dict[str, Any]]:
        """Write all that comes, yielding one JSON-ready entry per file."""
        if self.grid:
            stream = self._checked(stream)
        if self.is_folder:
            yield from self._write_folder(stream, lines)
        elif self.grid:
            if pictures := list(stream):
                yield self._write_sheet(pictures, self.target)
        else:
            yield from self._write_files(stream)

    def told(
        self, stream: Iterator[Picture], lines: list[int | None], *, as_json: bool
    ) -> list[dict[str, Any]]:
        """Write all that comes, and print the name of each file unless JSON is asked for."""
        entries: list[dict[str, Any]] = []
        for entry in self.write(stream, lines):
            entries.append(entry)
            if not as_json:
                print(entry["path"], flush=True)
        return entries

    def _checked(self, stream: Iterator[Picture]) -> Iterator[Picture]:
        """The pictures; an error before the second one if a sheet cannot hold so many."""
        from limner.generation.sheets import check_sheet

        for number, picture in enumerate(stream):
            if number == 0:
                check_sheet(self.total, picture.image.size)
            yield picture

    def _write_files(self, stream: Iterator[Picture]) -> Iterator[dict[str, Any]]:
        from limner.generation.files import write_picture
        from limner.generation.picture_folder import entry_of, slug, write_new
        from limner.generation.prompts import ANY_PICTURE

        for picture in stream:
            if self.target is not None:
                path = write_picture(picture, self.target, **self._how)
            else:
                write = partial(write_picture, picture, exclusive=True, **self._how)
                named = slug(picture.prompt)
                if self.changes is not None and picture.prompt == ANY_PICTURE:
                    named = self.changes.stem
                stem = f"{named}-{picture.seed}"
                path = write_new(write, Path(), stem, self.kind.ending)
            yield entry_of(picture, path)

    def _write_folder(
        self, stream: Iterator[Picture], lines: list[int | None]
    ) -> Iterator[dict[str, Any]]:
        from limner.generation.picture_folder import entry_of, picture_folder

        assert self.target is not None
        kept: list[Picture] = []
        with picture_folder(self.target, self.kind, **self._how) as write:
            for picture in stream:
                line = lines[picture.index]
                yield entry_of(picture, write(picture, line), line)
                if self.grid:
                    kept.append(picture)
        if kept:
            yield self._write_sheet(kept, self.target / f"grid{self.kind.ending}")

    def _write_sheet(self, pictures: list[Picture], path: Path | None) -> dict[str, Any]:
        from limner.generation.files import write_sheet
        from limner.generation.picture_folder import slug, write_new

        first = pictures[0]
        write = partial(write_sheet, pictures, captions=self.captions, **self._how)
        if path is None:
            stem = f"{slug(first.prompt)}-{first.seed}-grid"
            path = write_new(partial(write, exclusive=True), Path(), stem, self.kind.ending)
        else:
            write(path)
        seeds = [{"prompt": p.prompt, "seed": p.seed} for p in pictures]
        return {"path": path.as_posix(), "pictures": seeds}


def names_file(out: str | None) -> bool:
    """Whether ``--out`` names one file, not a folder."""
    return out is not None and not (
        out.endswith(("/", "\\")) or Path(out).is_dir() or not Path(out).suffix
    )


@dataclass(frozen=True)
class OutputOptions:
    """Which files a command writes its pictures to."""

    out: Annotated[
        str | None,
        typer.Option(
            help="A .png, .webp, .jpg, .svg or .ico name, or a folder for 0000.png, 0001.png, … "
            "and a manifest."
        ),
    ] = None
    kind: FormatOption = None
    quality: QualityOption = None

    @property
    def names_file(self) -> bool:
        """Whether ``--out`` names one file, not a folder."""
        return self.out is not None and not (
            self.out.endswith(("/", "\\")) or Path(self.out).is_dir() or not Path(self.out).suffix
        )

    def output(self, total: int, *, grid: bool = False, captions: bool = False) -> Output:
        """Where pictures go.

        Args:
            total: number of pictures.
            grid: whether all are on one contact sheet.
            captions: whether their prompts are printed on it.

        Raises:
            UsageError: the options do not fit together, or the files cannot be written.
        """
        if self.out == "-":
            raise UsageError(
                "pictures are not written to standard output: give --out a file or folder"
            )
        path = None if self.out is None else Path(self.out)
        is_folder = path is not None and not self.names_file
        kind = self.kind
        if path is not None and not is_folder:
            meant = format_of(path)
            if kind not in (None, meant):
                raise UsageError(f"{path.name!r} is a {meant} by its ending: leave --format out")
            kind = meant
        kind = kind or PictureFormat.PNG
        if self.quality is not None and kind not in (PictureFormat.JPEG, PictureFormat.WEBP):
            raise UsageError(f"{kind} has no quality: leave --quality out")
        if captions and not grid:
            raise UsageError("captions stand on a contact sheet: add --grid")
        if grid and kind in (PictureFormat.SVG, PictureFormat.ICO):
            raise UsageError(
                f"a contact sheet cannot be an {kind}: choose --format png, webp or jpeg"
            )
        if path is not None and not is_folder:
            if total > 1 and not grid:
                raise UsageError(
                    f"{total} pictures do not fit in {path.name}: name a folder, "
                    f"as in --out {path.stem}/, or add --grid"
                )
            check_writable(path, UsageError)
        elif path is not None and path.exists() and not path.is_dir():
            raise UsageError(f"cannot write into {path}: it is not a folder")
        return Output(path, is_folder, grid, captions, total, kind, self.quality)

    def output_beside(self, picture: Path, total: int) -> Output:
        """:meth:`output` of a command that changes a picture, whose own file is never replaced.

        Raises:
            UsageError: also if ``--out`` names the picture itself.
        """
        output = self.output(total)
        target = output.target
        if target and target.exists() and picture.exists() and target.samefile(picture):
            raise UsageError(f"{picture} is not replaced: give --out another name")
        return replace(output, changes=picture)


@contextmanager
def drawing_progress(
    model: str | Path | None, total: int, *, quiet: bool = False
) -> Iterator[Callable[[float], None]]:
    """Show how far pictures are drawn: of a single one where a model of the hub draws it.

    Args:
        model: its spec.
        total: pictures.
        quiet: show nothing.

    Yields:
        What is called with the pictures drawn, an unfinished one as far as it is.
    """
    from limner.hub import is_hub
    from limner.progress import progress

    alone = total == 1
    share, unit = (100, "%") if alone else (1, "pictures")
    with progress(total * share, "drawing", quiet or (alone and not is_hub(model)), unit) as bar:
        yield lambda done: bar.reach(done * share, total * share)


def write_changed(output: Output, pictures: Sequence[Picture], as_json: bool) -> None:
    """Write what a command made of one picture, and say where it is."""
    entries = output.told(iter(pictures), [None] * len(pictures), as_json=as_json)
    if as_json:
        print_json(entries)


def tell_report(
    report: BatchReport, out: Path, source: str, *, of: str, shown: int, as_json: bool, **more: Any
) -> None:
    """What was drawn into a folder, and what failed.

    Args:
        report: of the folder.
        out: the folder.
        source: of what was to be drawn, for messages.
        of: what its lines are called.
        shown: failures that are told; all are in the folder.
        as_json: print one JSON object.
        more: further keys of that.

    Raises:
        typer.Exit: with code 2 where something failed.
    """
    from limner.generation.batch import FAILURES

    if as_json:
        print_json({"out": out.as_posix(), "pictures": report.total, "kept": report.kept,
                    "drawn": report.drawn, "failed": report.failed} | more)  # fmt: skip
    else:
        print(f"{out}: {report.drawn:,} drawn, {report.kept:,} were there, of {report.total:,}")
    for each in report.failed[:shown]:
        say("error", f"line {each['line']} of {source}: {each['error']}")
    if len(report.failed) > shown:
        say("error", f"{len(report.failed):,} {of} failed; all are in {out / FAILURES}")
    if report.failed:
        raise typer.Exit(2)
