"""``limner caption``: say what pictures show."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add this group's command."""
    app.command()(caption)


def caption(
    paths: Annotated[list[Path], typer.Argument(help="Pictures, and folders of pictures.")],
    *,
    captioner: Annotated[
        str,
        typer.Option(
            "--captioner",
            "--model",
            help="A model file or run folder; hf:PATH_OR_ID, a model of transformers that turns "
            "pictures into text; openai:MODEL, a model behind an OpenAI-compatible endpoint, "
            "its key in OPENAI_API_KEY; or 'shipped', the one inside the package.",
        ),
    ] = "shipped",
    base_url: Annotated[
        str | None, typer.Option(help="Of the endpoint of openai:MODEL [default: OpenAI's].")
    ] = None,
    lang: Annotated[
        str | None,
        typer.Option(help="Language, such as en or zh [default: en if spoken, else any]."),
    ] = None,
    n: Annotated[int, typer.Option("-n", "--n", min=1, max=50, help="Captions a picture.")] = 1,
    out: Annotated[
        Path | None,
        typer.Option(help="Add to this JSONL file; pictures that are in it are not done again."),
    ] = None,
    sidecars: Annotated[
        bool,
        typer.Option("--sidecars", help="Write a .txt beside each picture that has none yet."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, …")] = "cpu",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Say what pictures show, in the language asked for.

    With --out or --sidecars a folder that was begun is gone on with. What cannot be read is named
    and left out.
    """
    from contextlib import nullcontext

    from limner.progress import progress
    from limner.reading.captions import (
        already,
        caption_all,
        load_captioner,
        pictures_of,
        sidecar,
        write_sidecar,
    )

    pictures = pictures_of(paths)
    if out is not None:
        done = already(out)
        pictures = [path for path in pictures if str(path) not in done]
    if sidecars:
        pictures = [path for path in pictures if not sidecar(path, lang).exists()]
    network = load_captioner(captioner, device=device, base_url=base_url)
    kept = nullcontext() if out is None else out.open("a", encoding="utf-8")
    hidden = quiet or len(pictures) < 2
    named = len(paths) > 1 or len(pictures) > 1
    with kept as file, progress(len(pictures), "captioning", hidden, unit="pictures") as bar:
        for found in caption_all(network, pictures, lang, n):
            if file is not None:
                file.write(found.line() + "\n")
                file.flush()
            if sidecars and found.captions:
                write_sidecar(found, lang)
            if found.problem:
                typer.echo(f"left out: {found.picture}: {found.problem}", err=True)
            elif as_json:
                typer.echo(found.line())
            elif out is None and not sidecars:
                for said in found.captions:
                    typer.echo(f"{found.picture}\t{said.text}" if named else said.text)
            bar.advance()
