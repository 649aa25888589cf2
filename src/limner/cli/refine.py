"""``limner refine``: draw, score, change, draw again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from limner.cli import print_json, say
from limner.cli.options import (
    DrawingCommand,
    HubLoadOptions,
    JsonOption,
    QuietOption,
    ReferenceOption,
    SeedOption,
    drawing_options,
    with_groups,
)
from limner.cli.output import OutputOptions
from limner.errors import DataError, UsageError
from limner.improve.budgets import BUDGET, MOST_BUDGET, TARGET, check_refined

if TYPE_CHECKING:
    from limner.improve.refinement import Refinement


def register(app: typer.Typer) -> None:
    """Add this group's command."""
    app.command(cls=DrawingCommand)(with_groups(refine))


def refine(
    context: typer.Context,
    prompt: Annotated[
        str | None,
        typer.Argument(help="In any language [default: what the reference picture shows]."),
    ] = None,
    *,
    budget: Annotated[
        int, typer.Option(help=f"Most pictures to draw, 1 to {MOST_BUDGET}.")
    ] = BUDGET,
    target: Annotated[float, typer.Option(help="Score at which to stop, up to 1.")] = TARGET,
    seed: SeedOption = None,
    reference: ReferenceOption = None,
    trace: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html",
            help="Write a page with every picture, its scores, what was changed and why.",
        ),
    ] = None,
    files: OutputOptions,
    as_json: JsonOption = False,
    use: HubLoadOptions,
    quiet: QuietOption = False,
) -> None:
    """Draw, score, change what is wrong, and draw again.

    Each thing of the prompt is searched for in the picture, and its number, colour and position are
    checked. If something is wrong, another picture is drawn with another seed, variety, plan,
    prompt or guidance; a flow may start from the best picture so far. The best picture is written;
    'limner replay' draws it again.

    Examples:
        limner refine "three red apples on a blue plate" --out apples.png
        limner refine "a fox and an owl" --budget 32 --trace trace.html
        limner refine --reference photo.png
    """
    options = drawing_options(context)
    output = files.output(1)
    if trace is not None and (trace.suffix.lower() not in (".html", ".htm") or trace.is_dir()):
        raise UsageError(f"the trace is a page: give {str(trace)!r} the ending .html")
    from limner.files import check_writable, whole_file
    from limner.improve.refine import Refiner
    from limner.improve.trace import refinement_as_json, trace_page
    from limner.progress import progress

    check_writable(trace, DataError)
    check_refined(budget, target)
    if prompt is None and reference is None:
        raise UsageError("there is nothing to refine: give a prompt, or a picture by --reference")
    refiner = Refiner(use.load())
    with progress(budget, "refining", quiet, "pictures") as bar:
        found = refiner.refine(
            prompt, budget=budget, target=target, seed=seed, reference=reference,
            on_progress=lambda done: bar.reach(done, budget), **options,
        )  # fmt: skip
    if found.caption and not as_json:
        _print_caption(found.caption)
    entries = output.told(iter([found.picture]), [None], as_json=as_json)
    if trace is not None:
        with whole_file(trace, DataError) as part:
            part.write_text(trace_page(found), encoding="utf-8")
        if not as_json:
            print(trace.as_posix())
    if as_json:
        print_json({**entries[0], "trace": trace and trace.as_posix()} | refinement_as_json(found))
    else:
        _print_outcome(found, target)


def _print_caption(caption: str) -> None:
    """Print the caption that a reference picture was given, which is what is drawn."""
    from limner.generation.prompts import quoted

    say("reference", f"it is read as {quoted(caption)}; give a prompt to draw another thing")


def _print_outcome(found: Refinement, target: float) -> None:
    """Print what the best picture still lacks, its score, and whether that reaches the target."""
    from limner.improve.trace import pictures_said

    best = found.best
    for check in best.score.failed:
        say("hint", f"{check.wanted}: {check.seen}")
    if best.apart:
        say("hint", "what is held stands beside who holds it, where it is seen better")
    if found.asked.touching and best.score.failed:
        say(
            "hint",
            "things in, on or at others are often there although the score does not see them",
        )
    reached = "reaches" if found.reached else "does not reach"
    say("refined", f"{pictures_said(found)}; the best scores {best.score.total:.2f} and "
                   f"{reached} {target:g} ({best.what})")  # fmt: skip
