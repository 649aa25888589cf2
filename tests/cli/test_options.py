"""Options of commands that are fields of dataclasses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer
from typer.testing import CliRunner

from limner.cli.options import with_groups


@dataclass(frozen=True)
class Bounds:
    low: Annotated[int, typer.Option(help="The least.")]
    most: Annotated[int | None, typer.Option("--high", help="The most.")] = None


def shown(
    name: Annotated[str, typer.Argument()],
    *,
    first: Annotated[bool, typer.Option("--first")] = False,
    bounds: Bounds,
    last: Annotated[str, typer.Option()] = "z",
) -> None:
    """Say what was given."""
    print(name, first, bounds, last)


def test_each_field_is_an_option_at_the_place_of_its_group():
    app = typer.Typer(add_completion=False)
    app.command()(with_groups(shown))
    run = CliRunner().invoke
    assert run(app, ["a", "--low", "2"]).stdout == f"a False {Bounds(2)} z\n"
    given = run(app, ["a", "--first", "--high", "5", "--low", "2", "--last", "y"])
    assert given.stdout == f"a True {Bounds(2, 5)} y\n"
    missing = run(app, ["a"])
    assert missing.exit_code == 2 and "--low" in missing.stderr
    text = run(app, ["--help"]).stdout
    places = [text.index(f"--{name}") for name in ("first", "low", "high", "last")]
    assert places == sorted(places) and "Say what was given." in text
