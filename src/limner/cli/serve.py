"""``limner serve``: the image server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from limner.cli.options import (
    BaseUrlOption,
    DeviceOption,
    GalleryOptions,
    KeepBytesOption,
    KeepDaysOption,
    RewriteOption,
    SigningOptions,
    ThreadsOption,
    with_groups,
)
from limner.serving.categories import Category, Mode

if TYPE_CHECKING:
    from limner.serving.settings import GalleryPlace, Listening, Moderation


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(with_groups(serve))


@dataclass(frozen=True)
class ListeningOptions:
    """Where the server listens, and to whom."""

    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for a free one.")] = 8000
    keys: Annotated[
        Path | None,
        typer.Option(
            help="File of API keys: on each line a user's name, the SHA-256 of the key in hex, and "
            "optionally rate=N/min and pictures=N/day."
        ),
    ] = None
    cors: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="Origin of pages that may use it; repeatable."),
    ] = None
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Listen beyond this machine without keys.")
    ] = False
    root_path: Annotated[
        str,
        typer.Option(
            metavar="PATH", help="Path prefix under which a reverse proxy serves it, as in /limner."
        ),
    ] = ""

    def settings(self) -> Listening:
        """The same as the server takes it."""
        from limner.serving.settings import Listening

        return Listening(
            self.host, self.port, self.keys, self.cors or (), self.insecure, self.root_path
        )


@dataclass(frozen=True)
class KeepingOptions(GalleryOptions):
    """Where what is drawn is kept, and how much of it."""

    no_gallery: Annotated[
        bool, typer.Option("--no-gallery", help="Do not keep pictures in a gallery.")
    ] = False
    keep_days: KeepDaysOption = None
    keep_bytes: KeepBytesOption = 10_000_000_000

    def place(self) -> GalleryPlace:
        """Where that is, as the server takes it."""
        from limner.serving.settings import GalleryPlace

        return GalleryPlace(self.gallery, self.database, self.no_gallery)


@dataclass(frozen=True)
class ModerationOptions:
    """What is looked for, and what is done about it."""

    moderation: Annotated[Mode, typer.Option(help="How to handle unsafe words in prompts.")] = (
        Mode.OFF
    )
    moderate_pictures: Annotated[
        Mode, typer.Option(help="How to handle unsafe pictures, uploaded or drawn.")
    ] = Mode.OFF
    moderated: Annotated[
        list[Category] | None,
        typer.Option(help="Category to moderate; may be given again [default: all but profanity]."),
    ] = None

    def settings(self) -> Moderation:
        """The same as the server takes it."""
        from limner.serving.settings import Moderation

        return Moderation(self.moderation, self.moderate_pictures, self.moderated)


@dataclass(frozen=True)
class LogOptions:
    """What is said of each request."""

    log_format: Annotated[
        Literal["text", "json"],
        typer.Option(help="Format of the log on stderr, one line per request."),
    ] = "text"
    log_prompts: Annotated[
        bool, typer.Option("--log-prompts", help="Include prompts in the log.")
    ] = False


def serve(
    *,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Model file, run folder, name of a shipped model, or hub:ID or hub:FOLDER; repeat "
            "it for several, of which the first is the default."
        ),
    ] = None,
    memory: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Gigabytes that loaded models may take; the least recently used one is "
            "unloaded [default: no limit].",
        ),
    ] = None,
    listening: ListeningOptions,
    most_waiting: Annotated[
        int,
        typer.Option(
            min=1, help="Longest queue, in pictures; further requests are refused with 429."
        ),
    ] = 256,
    most_seconds: Annotated[
        float, typer.Option(min=1, help="Time limit of a request in seconds.")
    ] = 300.0,
    index: Annotated[
        Path | None,
        typer.Option(help="Index of pictures to search, made by 'limner index'."),
    ] = None,
    preferences: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File made by 'limner feedback train', for requests with prefer.",
        ),
    ] = None,
    keeping: KeepingOptions,
    log: LogOptions,
    ray: Annotated[
        bool, typer.Option("--ray", help="Let Ray Serve run --workers replicas, on a cluster.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=256,
            help="Processes that draw, each with its own models. Not given: one of a thread for "
            "each core, as far as there is memory; 1 on a GPU or with a model of the hub.",
        ),
    ] = None,
    moderation: ModerationOptions,
    rewrite: RewriteOption = None,
    base_url: BaseUrlOption = None,
    signing: SigningOptions,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
) -> None:
    """Serve the Images API, and a web page that draws as you type.

    The page is at http://HOST:PORT. Applications that draw through the Images API draw with limner
    when their base address is http://HOST:PORT/v1; what it takes is described at /openapi.json.

    Examples:
        limner serve
        limner serve --model mine.safetensors --port 8080
        limner serve --rewrite openai:gpt-5-mini
        limner serve --model shipped --model mine.safetensors --memory 1
    """
    from limner.serving.logs import LogFormat
    from limner.serving.run import run_server
    from limner.serving.settings import ServerSettings
    from limner.text.rewrite import RULES

    settings = ServerSettings(
        most_waiting=most_waiting, most_seconds=most_seconds, keep_days=keeping.keep_days,
        keep_bytes=keeping.keep_bytes, log_format=LogFormat(log.log_format),
        log_prompts=log.log_prompts, index=index, preferences=preferences,
        memory=None if memory is None else memory * 1e9, workers=workers, device=device,
        threads=threads, rewriter=rewrite or RULES, base_url=base_url,
    )  # fmt: skip
    run_server(
        model or [None],
        listening.settings(),
        settings,
        gallery=keeping.place(),
        moderation=moderation.settings(),
        signer=signing.signer(),
        on_ray=ray,
    )
