"""The command line: thin typed functions over the other packages.

Each command group is one module with ``register(app)``. Heavy imports (torch, PIL, numpy, pydantic)
stay inside the command functions, so that ``limner --help`` answers at once.
"""

from __future__ import annotations

import errno
import inspect
import json
import logging
import os
import shlex
import sys
from importlib import import_module
from typing import Annotated, Any, TextIO

import typer
from typer.core import TyperGroup

import limner
from limner.cli.other_names import hint_for
from limner.errors import LimnerError

GROUPS = (
    "generate", "batch", "sets", "edit", "restyle", "morph", "explain", "refine", "restore",
    "serve", "gallery", "feedback", "caption", "search", "data", "augment", "train", "tune",
    "evaluate", "compare", "text", "models", "calibrate", "bench",
)  # fmt: skip

_OUTPUT_FAILURES = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF, errno.EPIPE}


_REFUSALS = {
    errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EROFS,
}  # fmt: skip
"""Errors of the system about a path that a user named, wherever they are met."""


def print_json(value: Any, *, indent: int | None = 1) -> None:
    """Print JSON on stdout: as UTF-8 text, or with ASCII escapes where stdout is not UTF-8.

    Args:
        value: what :mod:`json` can write; file names may hold bytes that are not UTF-8.
        indent: spaces a level; None for one line.
    """
    from limner.files import json_text

    text = json_text(value, indent=indent)
    if (sys.stdout.encoding or "").lower().replace("-", "") != "utf8":
        text = json.dumps(json.loads(text), indent=indent)
    print(text, flush=True)


def say(kind: str, message: object) -> None:
    """Print ``limner: kind: message`` as one line on stderr, if stderr can be written."""
    line = " ".join(str(message).split())
    try:
        print(f"limner: {kind}: {line}", file=sys.stderr, flush=True)
    except OSError:
        _discard(sys.stderr)


def typable(path: object) -> str:
    """A path as it is typed in a command of a shell."""
    return shlex.quote(printable(path))


def printable(text: object) -> str:
    """A file name or caption on one line: line ends and other control characters are escaped."""
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in str(text)
    )


class _Group(TyperGroup):
    """Turns the expected failures of any command into one line on stderr and an exit code."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find a command; one that other programs have is answered with what it is called here."""
        if args and self.get_command(ctx, args[0]) is None and (hint := hint_for(args[0])):
            ctx.fail(f"No such command {printable(args[0])!r}. {hint}")
        return super().resolve_command(ctx, args)

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
        except OSError as error:
            _leave_failed_output(error)
            if "No usable temporary directory" in str(error):  # of Python's tempfile
                say("error", "no folder for temporary files can be written: make /tmp writable, or "
                    "name another folder in the environment variable TMPDIR")  # fmt: skip
                raise SystemExit(2) from error
            if error.errno not in _REFUSALS or error.filename is None:
                raise
            say("error", f"cannot use {error.filename}: {error.strerror}")
            raise SystemExit(2) from error


def _leave_failed_output(error: OSError) -> None:
    """Leave with an exit code if the error is that stdout cannot be written; else return.

    What failed to be written to a file of ours is a ``LimnerError`` by now, and what failed to be
    opened carries a file name.
    """
    if error.errno not in _OUTPUT_FAILURES or error.filename is not None:
        return
    _discard(sys.stdout)
    if isinstance(error, BrokenPipeError):  # the reader of our output has left
        raise SystemExit(141) from error
    say("error", f"cannot write the output: {error.strerror}")
    raise SystemExit(2) from error


def _discard(stream: TextIO) -> None:
    """Discard what waits to be written; the interpreter would try again when it ends."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, stream.fileno())
    os.close(nothing)


def _open_closed_streams() -> None:
    """Give every standard stream that was closed by the caller a place that holds nothing.

    Otherwise a picture or model that is opened could get the number of stdout, and be overwritten
    by what is printed.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8")
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"limner {limner.__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Generate pictures from text; train and evaluate text-to-image generators."""


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    say("warning", message)


class _OneLine(logging.Handler):
    """Prints what limner logs as one line each."""

    def emit(self, record: logging.LogRecord) -> None:
        say(record.levelname.lower(), record.getMessage())


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
    _keep_examples(app)
    return app


def _keep_examples(app: typer.Typer) -> None:
    """Let help print the examples of docstrings line by line, not as one paragraph."""
    for command in app.registered_commands:
        said = inspect.getdoc(command.callback) or ""
        command.help = command.help or said.replace("\n\nExamples:\n", "\n\n\b\nExamples:\n")
    for group in app.registered_groups:
        if group.typer_instance is not None:
            _keep_examples(group.typer_instance)


def main() -> None:
    """Entry point of the ``limner`` command.

    Exit codes: 0 done, 2 a mistake of the user's (one line on stderr says which), 130 interrupted.
    """
    import warnings

    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A prompt in any language must print, whatever the terminal's own encoding is.
            stream.reconfigure(errors="backslashreplace")
    warnings.showwarning = _show_warning
    logging.getLogger("limner").addHandler(_OneLine(logging.WARNING))
    try:
        build_app()(prog_name="limner")
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except OSError as error:
        _leave_failed_output(error)
        raise
