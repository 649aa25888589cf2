"""``limner data check`` and ``limner data clean``: what is wrong with a data set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from limner.cli import print_json, printable, say, typable
from limner.cli.options import JsonOption, QuietOption, WorkersOption

if TYPE_CHECKING:
    from limner.data.pack import PackOptions
    from limner.improve.checks import Finding
    from limner.improve.examination import CheckOptions, Diagnosis
    from limner.reading.captions import Captioner

_NAMED = 3
"""Pictures of each fault that the command names."""

_Source = Annotated[
    Path,
    typer.Argument(metavar="STORE|FOLDER", help="A store, or anything that 'data pack' reads."),
]
_Threshold = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE", help="Threshold of a check, such as dark=0.2; may be given again."
    ),
]
_Holdout = Annotated[
    Path | None,
    typer.Option(
        metavar="STORE|FOLDER", help="Held-out pictures, that none of the others may look like."
    ),
]
_Aligner = Annotated[
    str,
    typer.Option(
        metavar="MODEL",
        help="Model that compares captions with pictures: PATH, hf:ID, shipped, or none.",
    ),
]
_Page = Annotated[Path | None, typer.Option(metavar="HTML", help="Write a page with the pictures.")]
_Size = Annotated[int, typer.Option(help="Side in pixels that files are brought to.")]
_Fit = Annotated[
    Literal["crop", "pad"], typer.Option(help="Keep the centred square of files, or everything.")
]
_Format = Annotated[
    str | None, typer.Option(help="Of files, as for 'data pack' [default: detected].")
]
_Near = Annotated[bool, typer.Option(help="Search for near duplicates.")]
_Limit = Annotated[int | None, typer.Option(min=1, help="Read at most so many files.")]


def check(
    source: _Source,
    *,
    threshold: _Threshold = None,
    holdout: _Holdout = None,
    aligner: _Aligner = "shipped",
    near: _Near = True,
    page: _Page = None,
    size: _Size = 256,
    fit: _Fit = "crop",
    format: _Format = None,
    limit: _Limit = None,
    workers: WorkersOption = 2,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Find faults in the pictures and captions of a data set.

    Nothing is changed. 'limner data clean' writes a store without the faulty pictures.
    """
    _check_page(page)
    files = _files(size, fit, format, limit, workers)
    options = _options(threshold, holdout, aligner, near, files)
    found = _examined(source, files, options, quiet)
    _write_page(found, page, source)
    if as_json:
        print_json(found.summary() | {"source": source.as_posix()})
        return
    _print(found, source)
    _print_names(found)
    _print_next(found, source, page)
    if format is None and found.of("no-caption"):
        tell_other_kinds(source)


def clean(
    source: _Source,
    *,
    out: Annotated[Path, typer.Option(metavar="STORE2", help="The store to make.")],
    threshold: _Threshold = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(metavar="CHECK", help="Keep pictures with this fault; may be given again."),
    ] = None,
    fill_captions: Annotated[
        bool,
        typer.Option(
            "--fill-captions", help="Caption pictures that have no usable caption, by a captioner."
        ),
    ] = False,
    captioner: Annotated[
        str, typer.Option(metavar="MODEL", help="Captioner to use: PATH, hf:ID or shipped.")
    ] = "shipped",
    holdout: _Holdout = None,
    aligner: _Aligner = "shipped",
    near: _Near = True,
    page: _Page = None,
    size: _Size = 256,
    fit: _Fit = "crop",
    format: _Format = None,
    limit: _Limit = None,
    workers: WorkersOption = 2,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a store of that name.")
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Discard an unfinished store and begin again.")
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write a store without the faults of a data set.

    The source is not changed. Duplicates are joined: the picture that stays gets the captions of
    the others. removed.jsonl in the new store names every picture that was left out, and why.
    """
    from limner.errors import DataError
    from limner.improve.checks import find_check
    from limner.improve.clean import REMOVED
    from limner.improve.clean import clean as write

    spared = [find_check(name).name for name in keep or ()]
    if out.exists() and not overwrite:
        raise DataError(f"{out} exists already; pass --overwrite to replace it")
    _check_page(page)
    files = _files(size, fit, format, limit, workers)
    options = _options(threshold, holdout, aligner, near, files)
    writer = _captioner(captioner) if fill_captions else None
    found = _examined(source, files, options, quiet)
    _write_page(found, page, source)
    with _bar("writing", quiet) as reach:
        report = write(
            found, out, keep=spared, captioner=writer, overwrite=overwrite, restart=restart,
            on_progress=reach,
        )  # fmt: skip
    counts: dict[str, int] = {}
    for each in report.removed:
        counts[each.issue] = counts.get(each.issue, 0) + 1
    if as_json:
        print_json({
            "out": out.as_posix(), "kept": report.kept, "removed": counts,
            "captions_written": report.filled, "captions_dropped": report.dropped,
            "list": (out / REMOVED).as_posix(), "check": found.summary(),
        })  # fmt: skip
        return
    print(f"{printable(out)}: {report.kept:,} pictures; {len(report.removed):,} left out")
    for name, many in sorted(counts.items(), key=lambda each: -each[1]):
        print(f"  {many:>7,} {name}")
    if report.filled:
        some = "caption was" if report.filled == 1 else "captions were"
        print(f"  {report.filled:,} {some} written by {captioner}")
    if report.dropped:
        some = "caption was" if report.dropped == 1 else "captions were"
        print(f"  {report.dropped:,} faulty {some} dropped from pictures that stayed")
    print(f"{printable(out / REMOVED)} names each, and why")
    if format is None and counts.get("no-caption"):
        tell_other_kinds(source)


def tell_other_kinds(source: Path, encoding: str = "") -> None:
    """Say in which other forms a folder holds captions, as some of its pictures have none."""
    from limner.data.readers import other_kinds
    from limner.data.store import HEADER

    if (source / HEADER).exists():
        return
    if others := other_kinds(source, encoding):
        *some, last = others
        kinds = f"{', '.join(some)} and {last}" if some else last
        say(
            "note",
            f"{source} holds captions for --format {kinds}, too: pack each of them into a store of "
            "its own, and train on all (data.store=[A, B])",
        )


def _captioner(spec: str) -> Captioner:
    from limner.reading.captions import load_captioner

    return load_captioner(spec)


def _files(size: int, fit: Literal["crop", "pad"], format: str | None, limit: int | None,
           workers: int) -> PackOptions:  # fmt: skip
    """How files are read, where the source is no store."""
    from limner.data.pack import PackOptions
    from limner.data.pictures import Cleaning

    cleaning = Cleaning(size=size, fit=fit, min_side=1)
    return PackOptions(cleaning=cleaning, format=format, limit=limit, workers=workers)


def _options(threshold: list[str] | None, holdout: Path | None, aligner: str, near: bool,
             files: PackOptions) -> CheckOptions:  # fmt: skip
    from limner.improve.checked_source import open_checked
    from limner.improve.checks import read_thresholds
    from limner.improve.examination import CheckOptions
    from limner.reading.aligner import load_aligner

    return CheckOptions(
        thresholds=read_thresholds(threshold or ()),
        holdout=None if holdout is None else open_checked(holdout, files),
        aligner=None if aligner == "none" else load_aligner(aligner),
        near=near,
    )


def _examined(source: Path, files: PackOptions, options: CheckOptions, quiet: bool) -> Diagnosis:
    from limner.improve.checked_source import open_checked
    from limner.improve.examination import check as examine

    with _bar("checking", quiet) as reach:
        return examine(open_checked(source, files), options, reach)


@contextmanager
def _bar(label: str, quiet: bool) -> Iterator[Any]:
    from limner.progress import progress

    with progress(None, label, quiet, unit="pictures") as bar:
        yield bar.reach


def _check_page(page: Path | None) -> None:
    from limner.errors import DataError
    from limner.files import check_writable

    check_writable(page, DataError)


def _write_page(found: Diagnosis, page: Path | None, source: Path) -> None:
    if page is None:
        return
    from limner.errors import DataError
    from limner.files import write_text
    from limner.improve.check_page import check_page

    write_text(page, check_page(found, f"limner data check {typable(source)}"), DataError)


def _print(found: Diagnosis, source: Path) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    removed = len(found.removals())
    print(f"{printable(source)}: {len(found.keys):,} pictures, {removed:,} that clean leaves out")
    rows = found.table()
    shown = [row for row in rows if row["found"] or row["remark"]]
    if shown:
        table = Table()
        for name in ("check", "found", "share", "threshold", "what it means"):
            table.add_column(name, justify="right" if name in ("found", "share") else "left")
        for row in shown:
            limit = "" if row["threshold"] is None else f"{row['side']} {row['threshold']:g}"
            note = row["fault"] + (f" ({row['remark']})" if row["remark"] else "")
            table.add_row(
                Text(row["check"]), f"{row['found']:,}", f"{row['share']:.1%}", limit, Text(note)
            )
        Console().print(table)
    nothing = [row["check"] for row in rows if row not in shown and not row["not checked"]]
    print(f"nothing found: {', '.join(nothing)}")
    for row in rows:
        if row["not checked"]:
            print(f"{row['check']} was not checked: {row['not checked']}")
    covered = found.captions[""] / max(len(found.keys), 1)
    print(f"{covered:.1%} of the pictures have a caption; examined in "
          f"{sum(found.seconds.values()):.1f} s")  # fmt: skip


def _print_names(found: Diagnosis) -> None:
    """The first pictures of each fault, and the files that are no pictures."""
    from limner.improve.checks import CHECKS

    for check in CHECKS:
        findings = found.of(check.name)
        if not findings:
            continue
        some = [_named(found, finding) for finding in findings[:_NAMED]]
        more = f", and {len(findings) - _NAMED:,} more" if len(findings) > _NAMED else ""
        print(f"{check.name}: {', '.join(some)}{more}")
    if found.unused:
        some = [f"{printable(key)} ({why})" for key, why in list(found.unused.items())[:_NAMED]]
        more = f", and {len(found.unused) - _NAMED:,} more" if len(found.unused) > _NAMED else ""
        print(f"left aside, no pictures: {', '.join(some)}{more}")


def _named(found: Diagnosis, finding: Finding) -> str:
    """A picture, and the one that it looks like, or why it cannot be read."""
    if finding.item < 0:
        return printable(finding.detail)
    name = printable(found.keys[finding.item])
    if finding.issue == "unreadable":
        return f"{name} ({printable(finding.detail)})"
    return f"{name} (like {printable(finding.detail)})" if finding.like is not None else name


def _print_next(found: Diagnosis, source: Path, page: Path | None) -> None:
    """What can be done about it."""
    bare = len(found.of("no-caption"))
    if bare:
        verb = "has" if bare == 1 else "have"
        print(f"{bare:,} {verb} no caption: 'limner data clean' leaves such pictures out, and with "
              "--fill-captions writes captions for them")  # fmt: skip
    removed = len(found.removals())
    if removed:
        print(f"limner data clean {typable(source)} --out STORE2 writes a store without the "
              f"{removed:,}; --keep CHECK keeps those of a check")  # fmt: skip
    if page is not None:
        print(f"{printable(page)} shows the pictures")
    elif any(finding.item >= 0 for finding in found.findings):
        print(f"to see the pictures: limner data check {typable(source)} --page report.html")
