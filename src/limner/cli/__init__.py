"""The command line: thin typed functions over the rooms, imported only when they are run.

Each command group is one module with ``register(app)``; its heavy imports (torch, PIL, numpy)
stay inside the command functions, so that ``limner --help`` answers at once.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import limner
from limner.errors import LimnerError

GROUPS = (
    "generate", "caption", "search", "data", "train", "tune", "evaluate", "compare", "text",
    "bench",
)  # fmt: skip


def say(kind: str, message: object) -> None:
    """Print ``limner: kind: message`` as exactly one line on stderr."""
    line = " ".join(str(message).split())
    print(f"limner: {kind}: {line}", file=sys.stderr, flush=True)


class _Group(TyperGroup):
    """Turns what may go wrong inside any command into one line and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except LimnerError as error:
            say("error", error)
            raise SystemExit(2) from error
        except KeyboardInterrupt as error:
            raise SystemExit(130) from error
        except BrokenPipeError as error:
            # Whoever read our output has left; the interpreter must not complain on its way out.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(141) from error


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"limner {limner.__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Print the version and leave."
        ),
    ] = False,
) -> None:
    """Words in, pictures out: draw, train, measure and explain text-to-image generators."""


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    say("warning", message)


def build_app() -> typer.Typer:
    """The whole command line, with every group registered."""
    # Plain help: rich's costs another 50 ms on every --help.
    app = typer.Typer(
        name="limner",
        cls=_Group,
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback()(_root)
    for group in GROUPS:
        import_module(f"limner.cli.{group}").register(app)
    return app


def main() -> None:
    """Entry point of the ``limner`` command.

    Exit codes: 0 done, 2 a mistake of the user's (one line on stderr says which), 130 interrupted.
    """
    import warnings

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A prompt in any language must print, whatever the terminal's own encoding is.
            stream.reconfigure(errors="backslashreplace")
    warnings.showwarning = _show_warning
    try:
        build_app()(prog_name="limner")
    except KeyboardInterrupt:
        raise SystemExit(130) from None
