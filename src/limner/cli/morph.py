"""``limner morph``: a walk between drawings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from limner.cli import printable
from limner.cli.options import (
    DrawingCommand,
    LoadOptions,
    QuietOption,
    drawing_options,
    with_groups,
)
from limner.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add this group's command."""
    app.command(cls=DrawingCommand)(with_groups(morph))


def morph(
    context: typer.Context,
    prompts: Annotated[
        list[str], typer.Argument(help="Texts to walk between, in order; or one with --seeds.")
    ],
    *,
    frames: Annotated[int, typer.Option(help="Number of frames [2 to 1000].")] = 48,
    fps: Annotated[int, typer.Option(min=1, max=50, help="Frames per second.")] = 24,
    seed: Annotated[
        int | None, typer.Option(help="Seed of all drawings [default: random].")
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(metavar="1,2,3", help="Seeds to interpolate between, with one prompt."),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="A .gif, .webp or .mp4 name (MP4: pip install 'limner[video]').")
    ] = Path("walk.gif"),
    use: LoadOptions,
    quiet: QuietOption = False,
) -> None:
    """Draw an animated walk between prompts, or between seeds.

    Its pace is perceptually even. The animation loops; repeat the first prompt at the end to return
    to it smoothly.

    Examples:
        limner morph cat dog --frames 48 --out walk.gif
        limner morph "an apple" "a car" "an apple" --style noto --out walk.webp
        limner morph "a butterfly" --seeds 1,2,3 --out walk.mp4
    """
    many = None if seeds is None else _seeds(seeds)
    if many is not None and (len(prompts) > 1 or seed is not None):
        raise UsageError("--seeds are of one prompt, and take the place of --seed")
    options = drawing_options(context)
    from limner.generation.animations import check_walk_name, write_walk
    from limner.generation.requests import DrawRequest
    from limner.generation.walks import walk
    from limner.models.settings import make_settings, seed_or_random
    from limner.progress import progress

    check_walk_name(out)
    settings = make_settings(**options)
    if many is None:
        own = seed_or_random(seed)
        stops = [DrawRequest(prompt, own, settings) for prompt in prompts]
    else:
        stops = [DrawRequest(prompts[0], each, settings) for each in many]
    generator = use.load()
    with progress(None, "walking", quiet, unit="frames") as bar:
        found = walk(generator, stops, frames, on_progress=bar.reach)
    print(printable(write_walk(found, out, fps)))


def _seeds(text: str) -> list[int]:
    parts = text.replace(",", " ").split()
    if not parts or not all(part.isdecimal() for part in parts):
        raise UsageError(f"--seeds takes whole numbers with commas between them, not {text!r}")
    return [int(part) for part in parts]
