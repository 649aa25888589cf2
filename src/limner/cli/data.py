"""``limner data``: pack captioned pictures into stores, make stores, and show them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from limner.cli import print_json
from limner.cli.options import JsonOption, QuietOption, WorkersOption

if TYPE_CHECKING:
    from limner.data.store import Store

_Out = Annotated[Path, typer.Option(help="The store to make, a folder.")]
_Size = Annotated[int, typer.Option(help="Side of the packed pictures in pixels, 1 to 4096.")]
_Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing store.")]
_Restart = Annotated[
    bool, typer.Option("--restart", help="Discard an unfinished pack instead of resuming it.")
]
_Limit = Annotated[int | None, typer.Option(min=1, help="Read at most so many entries.")]
_Tarballs = Annotated[
    Path | None,
    typer.Option("--from", help="Folder of npm tarballs [default: fetch them with npm]."),
]
_WITHOUT_CAPTION = ("no caption", "picture that the source does not list")
_NAMED = 5  # items left out that are named on stderr; the store names all


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    from limner.cli.data_check import check, clean

    group = typer.Typer(
        help="Make, show, check and clean stores of captioned pictures.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    for command in (
        sample, pack, icons, drawings, recolour, scenes, fashion, show, export, check, clean,
    ):  # fmt: skip
        group.command()(command)
    app.add_typer(group, name="data")


def _make(pack: Callable[..., Store], label: str, quiet: bool) -> Store:
    """Make a store and return it; print what was packed, and on stderr what was left out."""
    from contextlib import ExitStack
    from itertools import islice

    from limner.progress import progress

    with ExitStack() as stack:  # the bar is opened when the first picture is done
        meter = cache(lambda: stack.enter_context(progress(None, label, quiet, unit="pictures")))
        store = pack(on_progress=lambda done, total: meter().reach(done, total))
    typer.echo(
        f"{store.path}: {len(store):,} pictures of {store.size}x{store.size}, "
        f"fingerprint {store.fingerprint}"
    )
    skipped = sum(store.header.report.values())
    if skipped:
        for item, reason in islice(store.left_out(), _NAMED):
            typer.echo(f"left out: {item}: {reason}", err=True)
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in store.header.report.items())
        typer.echo(
            f"left out {skipped:,}: {reasons} (left-out.jsonl in the store names them)", err=True
        )
    return store


def _labels(value: str) -> tuple[str, ...]:
    """Read class names from a file, one a line, or from a comma-separated list."""
    from limner.data.tree import lines_of
    from limner.errors import UsageError

    if not value:
        return ()
    names = value.split(",")
    if len(names) == 1:
        try:
            names = lines_of(Path(value).read_text(encoding="utf-8-sig").rstrip())
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(
                f"--labels {value} is neither a file of UTF-8 text nor a list such as red,blue"
            ) from error
    names = [name.strip() for name in names]
    if not all(names):
        number = names.index("")
        raise UsageError(f"--labels {value[:60]}: the class {number} has an empty name")
    return tuple(names)


def pack(
    source: Annotated[
        Path, typer.Argument(help="A folder, or a CSV, TSV, JSON, JSONL, Parquet, IDX or tar file.")
    ],
    *,
    out: _Out,
    size: _Size = 256,
    fit: Annotated[
        Literal["crop", "pad"],
        typer.Option(help="Keep the centred square, or everything, padded with white."),
    ] = "crop",
    format: Annotated[
        str | None,
        typer.Option(
            help="folder, imagefolder, tsv, csv, jsonl, json, parquet, idx, webdataset "
            "[default: detected]."
        ),
    ] = None,
    text_column: Annotated[
        list[str] | None,
        typer.Option(
            help="Column with captions, or key.of.an.object; may be given again "
            "[default: by its name]."
        ),
    ] = None,
    image_column: Annotated[
        str, typer.Option(help="Column with pictures or paths [default: by its name].")
    ] = "",
    template: Annotated[
        str, typer.Option(help="Caption made of a class name, which is {}.")
    ] = "a photo of {}",
    labels: Annotated[
        str,
        typer.Option(help="Names of numbered classes, from 0: a file with one a line, or a,b,c."),
    ] = "",
    lang: Annotated[str, typer.Option(help="Language of the captions.")] = "en",
    encoding: Annotated[
        str,
        typer.Option(help="Encoding of texts, as cp1252 [default: UTF-8; UTF-16 by its mark]."),
    ] = "",
    name: Annotated[str, typer.Option(help="Name of the store [default: that of --out].")] = "",
    licence: Annotated[str, typer.Option(help="Licence of the pictures.")] = "unknown",
    style: Annotated[str, typer.Option(help="Style of the pictures, where they share one.")] = "",
    min_side: Annotated[int, typer.Option(min=1, help="Leave out smaller pictures.")] = 8,
    limit: _Limit = None,
    workers: WorkersOption = 2,
    overwrite: _Overwrite = False,
    restart: _Restart = False,
    quiet: QuietOption = False,
) -> None:
    """Pack captioned pictures of any layout into a store.

    If it is interrupted, the same command resumes it. Pictures that cannot be used are reported.
    """
    from limner.cli.data_check import tell_other_kinds
    from limner.data.pack import PackOptions
    from limner.data.pack import pack as write
    from limner.data.pictures import Cleaning
    from limner.data.readers import ReaderOptions

    options = PackOptions(
        cleaning=Cleaning(size=size, fit=fit, min_side=min_side),
        reader=ReaderOptions(
            template=template,
            text_columns=tuple(text_column or ()),
            image_column=image_column,
            labels=_labels(labels),
            lang=lang,
            encoding=encoding,
        ),
        format=format,
        name=name,
        licence=licence,
        style=style,
        limit=limit,
        workers=workers,
    )
    run = partial(write, source, out, options, overwrite=overwrite, restart=restart)
    store = _make(run, "packing", quiet)
    if format is None and not store.header.report.keys().isdisjoint(_WITHOUT_CAPTION):
        tell_other_kinds(source, encoding)


def _split(value: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip()) or default


def icons(
    *,
    out: _Out,
    size: _Size = 64,
    sets: Annotated[
        str,
        typer.Option(
            help="Icon sets, comma-separated: noto, fluent-emoji-flat, twemoji, fxemoji, emojione, "
            "openmoji [default: all but openmoji, which is CC-BY-SA]."
        ),
    ] = "",
    languages: Annotated[
        str, typer.Option(help="Of the captions [default: en,zh,es,fr,de,ja,ru,pt,it,ko,hi].")
    ] = "",
    groups: Annotated[
        str, typer.Option(help="Emoji groups to keep [default: all but flags and component].")
    ] = "",
    variants: Annotated[
        bool, typer.Option("--variants", help="Keep gendered and haired variants of people.")
    ] = False,
    keycaps: Annotated[bool, typer.Option("--keycaps", help="Keep the keycaps.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Keep at most so many concepts.")] = None,
    source: _Tarballs = None,
    overwrite: _Overwrite = False,
    restart: _Restart = False,
    quiet: QuietOption = False,
) -> None:
    """Fetch colour icon sets through npm, captioned in many languages."""
    from limner.datasets.emoji import LANGUAGES
    from limner.datasets.icons import DEFAULT_SETS, GROUPS, IconOptions, pack_icons

    options = IconOptions(
        size=size,
        sets=_split(sets, DEFAULT_SETS),
        languages=_split(languages, LANGUAGES),
        groups=_split(groups, GROUPS),
        variants=variants,
        keycaps=keycaps,
        limit=limit,
    )
    run = partial(pack_icons, out, options, folder=source, overwrite=overwrite, restart=restart)
    _make(run, "drawing icons", quiet)


def drawings(
    *,
    out: _Out,
    size: Annotated[int, typer.Option(help="Side in pixels, a multiple of 16.")] = 128,
    sources: Annotated[
        str, typer.Option(help="Names of sources, comma-separated [default: all].")
    ] = "",
    source: _Tarballs = None,
    clip_art: Annotated[
        Path | None,
        typer.Option(help="Folder of openclipart's SVG files [default: where Debian puts them]."),
    ] = None,
    overwrite: _Overwrite = False,
    restart: _Restart = False,
    quiet: QuietOption = False,
) -> None:
    """Fetch drawings of many kinds: emoji, icons, glyphs, clip art.

    Emoji include 3-D renders. The captions are in forty languages. Making the store takes some
    minutes; if it is interrupted, the same command resumes it.
    """
    from limner.datasets.drawings import CLIP_ART, SOURCES, pack_drawings

    run = partial(
        pack_drawings,
        out,
        size=size,
        sources=_split(sources, SOURCES),
        folder=source,
        clip_art_folder=clip_art or CLIP_ART,
        overwrite=overwrite,
        restart=restart,
    )
    _make(run, "drawing", quiet)


def recolour(
    store: Annotated[Path, typer.Argument(help="A store of icons.")],
    *,
    out: _Out,
    per_picture: Annotated[int, typer.Option(min=1, max=11, help="Colours for each picture.")] = 2,
    overwrite: _Overwrite = False,
    quiet: QuietOption = False,
) -> None:
    """Recolour things in colours they do not come in.

    The captions of the new store name the colours. Some combinations are held out of every such
    store.
    """
    from limner.data.store import Store
    from limner.datasets.recolour import recolour_store

    icons = Store.open(store)
    run = partial(recolour_store, icons, out, per_picture=per_picture, overwrite=overwrite)
    _make(run, "recolouring", quiet)


def scenes(
    icons: Annotated[Path, typer.Argument(help="A store of icons.")],
    *,
    out: _Out,
    count: Annotated[int, typer.Option(min=1, help="How many pictures.")] = 20_000,
    each: Annotated[
        int, typer.Option(min=1, help="Pictures of each scene, in other icons of its things.")
    ] = 1,
    size: Annotated[
        int | None, typer.Option(min=16, help="Side in pixels [default: that of the icons].")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Equal seeds give equal scenes.")] = 0,
    novel: Annotated[
        bool, typer.Option("--novel", help="Only held-out combinations, for evaluation.")
    ] = False,
    also: Annotated[
        str,
        typer.Option(
            help="Languages of more captions, whose grammar is approximate, to train a planner "
            "with: es,fr,de,it,pt,ru,ja,ko,hi."
        ),
    ] = "",
    overwrite: _Overwrite = False,
    quiet: QuietOption = False,
) -> None:
    """Compose scenes of icons: counted, coloured, beside each other.

    The captions describe them exactly, in English and Chinese. Some combinations are held out of
    every such store; --novel makes only those.
    """
    from limner.data.store import Store
    from limner.datasets.scenes import compose_store

    run = partial(
        compose_store,
        Store.open(icons),
        out,
        count=count,
        each=each,
        seed=seed,
        size=size,
        novel=novel,
        languages=_split(also),
        overwrite=overwrite,
    )
    _make(run, "composing", quiet)


def sample(
    *,
    out: Annotated[Path, typer.Option(help="The folder to make.")],
) -> None:
    """Draw a small folder of captioned pictures to try things on."""
    from limner.datasets.sample import make_sample

    count = make_sample(out)
    typer.echo(f"{out}: {count} captioned pictures, such as {out / 'red-heart-60.png'}")


def fashion(
    *,
    out: _Out,
    size: _Size = 32,
    source: Annotated[
        Path | None,
        typer.Option("--from", help="Folder of its IDX files [default: where Debian puts them]."),
    ] = None,
    split: Annotated[Literal["train", "test", "all"], typer.Option(help="Which part.")] = "train",
    limit: _Limit = None,
    workers: WorkersOption = 2,
    overwrite: _Overwrite = False,
    restart: _Restart = False,
    quiet: QuietOption = False,
) -> None:
    """Pack Fashion-MNIST with captions in English and Chinese."""
    from limner.data.pack import PackOptions
    from limner.data.pictures import Cleaning
    from limner.datasets.fashion import FOLDER, pack_fashion

    options = PackOptions(cleaning=Cleaning(size=size), limit=limit, workers=workers)
    run = partial(
        pack_fashion,
        out,
        options,
        folder=source or FOLDER,
        split=split,
        overwrite=overwrite,
        restart=restart,
    )
    _make(run, "packing", quiet)


def show(
    store: Annotated[Path, typer.Argument(help="The store to show.")],
    out: Annotated[
        Path | None, typer.Option(help="Write a contact sheet to this PNG as well.")
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=1, max=2000, help="Pictures on the sheet [default: 96].")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Choose pictures at random [default: evenly spread]."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print what a store holds, and draw a contact sheet of it."""
    import numpy as np
    from PIL import Image

    from limner.data.store import Store
    from limner.data.summary import summarise
    from limner.errors import UsageError
    from limner.generation.files import write_image
    from limner.generation.sheets import grid

    if out is None and (count is not None or seed is not None):
        raise UsageError("--count and --seed are options of a contact sheet; give its --out")
    opened = Store.open(store)
    summary = summarise(opened)
    if out is not None:
        number = min(count or 96, len(opened))
        if seed is None:
            chosen = np.linspace(0, len(opened) - 1, number).astype(int)
        else:
            chosen = np.random.default_rng(seed).choice(len(opened), number, replace=False)
        side = max(64, opened.size)
        own = (Image.fromarray(opened.images[row]) for row in chosen)
        pictures = [each.resize((side, side), Image.Resampling.NEAREST) for each in own]
        captions = [opened.captions(row)[0].text for row in chosen.tolist()]
        write_image(grid(pictures, 12, captions), out, {})
        summary["contact_sheet"] = str(out)
    if as_json:
        print_json(summary)
    else:
        _print_table(summary)


def export(
    store: Annotated[Path, typer.Argument(help="The store to write.")],
    *,
    out: Annotated[Path, typer.Option(help="The folder to make.")],
    format: Annotated[
        Literal["folder", "jsonl"],
        typer.Option(help="Text files beside the pictures, or one metadata.jsonl."),
    ] = "folder",
    quiet: QuietOption = False,
) -> None:
    """Write a store as PNG files with their captions."""
    from limner.data.export import export as write
    from limner.data.store import Store
    from limner.progress import progress

    opened = Store.open(store)
    with progress(len(opened), "writing", quiet, "pictures") as bar:
        count = write(opened, out, format, on_progress=lambda: bar.advance(1))
    typer.echo(f"{out}: {count} pictures")


def _print_table(summary: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(summary["name"]), show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in summary.items():
        if key in ("name", "examples") or value in ({}, ""):
            continue
        if isinstance(value, dict):
            shown = "\n".join(f"{name}: {item}" for name, item in value.items())
        else:
            shown = f"{value:,}" if isinstance(value, int) else str(value)
        table.add_row(Text(key.replace("_", " ")), Text(shown))
    for example in summary["examples"]:
        captions = " · ".join(example["captions"])
        table.add_row(Text(f"picture {example['picture']:,}"), Text(captions))
    Console().print(table)
