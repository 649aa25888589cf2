"""``limner vote`` and ``limner feedback``: what users like, kept and learned from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from limner.cli import print_json
from limner.cli.options import GalleryOptions, JsonOption, with_groups
from limner.errors import DataError, UsageError

if TYPE_CHECKING:
    from limner.generation.votes import Vote

_VotesOption = Annotated[
    Path,
    typer.Option("--votes", metavar="FILE", help="Votes on files, JSON Lines."),
]
_User = Annotated[str | None, typer.Option(help="Who voted [default: everybody].")]
_VOTES = Path("votes.jsonl")


def register(app: typer.Typer) -> None:
    """Add ``limner vote`` and ``limner feedback``."""
    app.command()(with_groups(vote))
    group = typer.Typer(
        help="Export votes on pictures, and learn from them.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    for command in (export, train):
        group.command()(with_groups(command))
    app.add_typer(group, name="feedback")


def vote(
    pictures: Annotated[
        list[str],
        typer.Argument(
            metavar="PICTURE...",
            help="Files that limner drew, or ids of pictures of the gallery.",
        ),
    ],
    *,
    up: Annotated[bool, typer.Option("--up", help="Vote the pictures up.")] = False,
    down: Annotated[bool, typer.Option("--down", help="Vote the pictures down.")] = False,
    over: Annotated[
        str | None, typer.Option(metavar="PICTURE", help="Prefer the picture to this one.")
    ] = None,
    user: Annotated[str, typer.Option(help="Who votes on files.")] = "",
    votes: _VotesOption = _VOTES,
    gallery: GalleryOptions,
) -> None:
    """Vote pictures up or down, or one over another.

    Votes on files are appended to a file of votes, votes on gallery pictures go into the gallery. A
    second thumb on a picture replaces the first.

    Examples:
        limner vote cat-7.png cat-9.png --up
        limner vote cat-7.png --over cat-8.png
    """
    if (up + down + (over is not None)) != 1:
        raise UsageError("say one thing: --up, --down, or --over PICTURE")
    named = [*pictures, *([] if over is None else [over])]
    from limner.generation.votes import PICTURE_ID

    ids = [bool(PICTURE_ID.fullmatch(name)) and not Path(name).exists() for name in named]
    if any(ids) and not all(ids):
        raise UsageError(
            "vote on files or on pictures of the gallery, not on both at once; these are ids: "
            + ", ".join(name for name, is_id in zip(named, ids, strict=True) if is_id)
        )
    if all(ids):
        opened = gallery.open()
        rows = [opened.get(name) for name in named]
        for row in rows[: len(pictures)]:
            if over is None:
                opened.judge(row, 1 if up else -1)
            else:
                opened.choose(row, rows[-1])
        typer.echo("kept in the gallery")
        return
    from limner.generation.votes import Vote, add_votes, voted

    files = [voted(Path(name)) for name in named]
    other = files[-1] if over is not None else None
    if other is not None and other.file in {each.file for each in files[:-1]}:
        raise UsageError("a picture is not better than itself; name two pictures")
    count = add_votes(
        votes,
        [
            Vote(user=user, worse=each) if down else Vote(user=user, better=each, worse=other)
            for each in files[: len(pictures)]
        ],
    )
    typer.echo(f"{votes}: {count:,} {'vote' if count == 1 else 'votes'}")


def export(
    *,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The file to write, JSON Lines.")],
    votes: Annotated[
        list[Path] | None,
        typer.Option("--votes", metavar="FILE", help="Votes on files; may be given again."),
    ] = None,
    user: _User = None,
    gallery: GalleryOptions,
) -> None:
    """Write votes on files or on gallery pictures to one file.

    Without --votes, the gallery's votes are written; with --votes and --gallery, both.

    Examples:
        limner feedback export --out preferences.jsonl
    """
    from limner.generation.votes import read_votes, write_votes

    found: list[Vote] = []
    left_out = 0
    for path in votes or ():
        found += [each for each in read_votes(path) if user in (None, each.user)]
    if not votes or gallery.given:
        opened = gallery.open()
        from limner.serving.gallery_votes import votes_of

        own, left_out = votes_of(opened, user)
        found += own
    if not found:
        whose = "" if user is None else f" of the user {user!r}"
        raise DataError(f"there is no vote{whose} to write: vote on the page, or with limner vote")
    write_votes(out, found)
    gone = f"; {left_out:,} left out, on files without pixels" if left_out else ""
    typer.echo(f"{out}: {len(found):,} {'vote' if len(found) == 1 else 'votes'}{gone}")


def train(
    votes: Annotated[Path, typer.Argument(metavar="VOTES", help="A file of votes, JSON Lines.")],
    *,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Ends in .safetensors.")],
    user: _User = None,
    aligner: Annotated[
        str | None,
        typer.Option(help="Model file, or hf:ID [default: the shipped aligner]."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Learn what users like, for limner generate --prefer FILE.

    The accuracy is measured on votes on held-out prompts; chance is one half.
    """
    if out.suffix != ".safetensors":
        raise UsageError(f"{out} does not end in .safetensors; preferences are one such file")
    from limner.generation.votes import of_user, read_votes

    chosen = of_user(read_votes(votes), user)
    from limner.improve.feedback import train_preferences
    from limner.reading.aligner import load_aligner

    head, report = train_preferences(chosen, aligner=load_aligner(aligner))
    head.save(out)
    if as_json:
        print_json({"path": str(out)} | report.as_json)
        return
    typer.echo(f"{out}: {report.votes:,} votes of {len(report.users)} users")
    held = report.held_out
    if held is None:
        typer.echo("the accuracy is not known: vote on five prompts or more")
    else:
        typer.echo(
            f"of {held.count} held-out votes {held.value:.0%} are predicted "
            f"({held.low:.0%} to {held.high:.0%}; by chance 50%)"
        )
