"""``limner explain``: what each word of a prompt contributes to its picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from limner.cli import print_json, printable
from limner.cli.options import DrawingCommand, JsonOption, LoadOptions, drawing_options, with_groups
from limner.errors import UsageError

if TYPE_CHECKING:
    from limner.generation.explaining import Explanation


def register(app: typer.Typer) -> None:
    """Add this group's command."""
    app.command(cls=DrawingCommand)(with_groups(explain))


def explain(
    context: typer.Context,
    prompt: Annotated[str, typer.Argument(help="Prompt to draw, in any language.")],
    *,
    seed: Annotated[int, typer.Option(help="Seed of the picture.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder for index.html, the PNG files and explanation.json, which are replaced "
            "if they exist [default: explained in the current folder].",
        ),
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(
            metavar="STORE", help="Where the nearest training pictures are looked for instead."
        ),
    ] = None,
    maps: Annotated[
        str | None,
        typer.Option(
            help="plan, information, attention, gradient or change; not every picture has each "
            "[default: the first of these that it has]."
        ),
    ] = None,
    as_json: JsonOption = False,
    use: LoadOptions,
) -> None:
    """Show what each word of a prompt contributes to its picture.

    Each word gets a heat map over the picture, and the picture is also drawn without the word. The
    nearest captions that the model knows and the nearest training pictures are shown beside them.
    All of it is on the page index.html.

    Examples:
        limner explain "a red apple on a blue plate" --out apple
        limner explain "una manzana roja" --seed 3 --json
        limner explain "a coat" --model runs/flow-fashion --store stores/fashion
    """
    folder = Path("explained") if out is None else out
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"cannot write into {folder}: it is not a folder")
    options = drawing_options(context)
    from limner.data.store import Store
    from limner.evaluation.explanation_page import explanation_page
    from limner.generation.explanation_files import explanation_as_json, write_explanation
    from limner.reading.aligner import load_aligner

    pictures = None if store is None else Store.open(store)
    generator = use.load()
    found = generator.explain(
        prompt,
        seed=seed,
        aligner=load_aligner(device=use.device),
        store=pictures,
        maps=maps,
        **options,
    )
    page, *_ = write_explanation(found, folder, explanation_page(found))
    if as_json:
        print_json({"page": page.as_posix()} | explanation_as_json(found))
        return
    print(printable(page))
    for line in _lines(found):
        print(printable(line))


def _lines(explanation: Explanation) -> list[str]:
    """A line for each word: what it was drawn from, and what changes without it."""
    found = []
    for word in explanation.words:
        drawn = "" if word.drawn is None else f", drawn from {word.drawn.drawn!r}"
        if word.without is None:
            found.append(f"{word.text}: the picture needs it{drawn}")
        elif word.changes_nothing:
            found.append(f"{word.text}: changes nothing")
        else:
            score = "" if word.score_change is None else f", score {word.score_change:+.2f}"
            change = 100 * (word.change or 0)
            found.append(f"{word.text}: without it {change:.1f} % other{score}{drawn}")
    return found
