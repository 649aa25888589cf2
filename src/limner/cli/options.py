"""Options that several commands share, and those that are made from ``Settings``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer
from typer.core import TyperCommand

from limner.errors import DataError, MissingExtraError, UsageError

if TYPE_CHECKING:
    from limner.generation.generator import Generator
    from limner.generation.provenance import ContentSigner
    from limner.serving.gallery import Gallery

ModelOption = Annotated[
    Path | None,
    typer.Option(
        help="Model file, run folder, name of a shipped model, or hub:ID or hub:FOLDER for one of "
        "the hub [default: the shipped model]."
    ),
]
DeviceOption = Annotated[
    str, typer.Option(help="cpu, cuda, cuda:1, …; auto is the GPU where there is one.")
]
ThreadsOption = Annotated[
    int | None, typer.Option(help="CPU threads [default: as fits this machine].")
]
TileOption = Annotated[
    int | None, typer.Option(help="Pictures per network evaluation [default: the model's own].")
]
ReferenceOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Reference picture: its style is used, or what the model was trained to take from it.",
    ),
]
RewriteOption = Annotated[
    str | None,
    typer.Option(
        "--rewrite",
        metavar="REWRITER",
        help="Rewrite prompts first, which is shown and recorded: rules; "
        "openai:MODEL, a model behind an OpenAI-compatible endpoint, its key in OPENAI_API_KEY; "
        "hf:PATH_OR_ID, a language model of transformers or a .gguf file.",
    ),
]
BaseUrlOption = Annotated[
    str | None, typer.Option(help="Base URL of the endpoint of openai:MODEL [default: OpenAI's].")
]
PreferOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="File made by limner feedback train: draw candidates, keep those it scores best.",
    ),
]
CandidatesOption = Annotated[
    int | None,
    typer.Option(min=1, max=1024, help="Pictures drawn per prompt [default: 8 for each kept]."),
]
UserOption = Annotated[
    str | None,
    typer.Option(
        help="User whose preferences --prefer applies [default: those shared by all users]."
    ),
]
KeepDaysOption = Annotated[
    float | None,
    typer.Option(min=0, help="Days after which pictures without a thumb up are deleted."),
]
KeepBytesOption = Annotated[
    int | None,
    typer.Option(
        min=0, help="Most bytes of all pictures in the gallery; the oldest are deleted first."
    ),
]
CountOption = Annotated[int, typer.Option("--n", "-n", help="Pictures: seeds SEED, SEED+1, …")]
SeedOption = Annotated[
    int | None, typer.Option(help="Seed of the first picture [default: random].")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
WorkersOption = Annotated[int, typer.Option(min=1, help="Processes that decode.")]
JsonLinesOption = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]
ErrorsOnlyOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]


@dataclass(frozen=True)
class LoadOptions:
    """Which model draws, and with what of this machine."""

    model: ModelOption = None
    device: DeviceOption = "cpu"
    threads: ThreadsOption = None
    tile: TileOption = None

    def load(self, other: str | Path | None = None) -> Generator:
        """The model, or another one that is named."""
        from limner.generation.generator import load

        return load(other or self.model, device=self.device, threads=self.threads, tile=self.tile)


@dataclass(frozen=True)
class HubLoadOptions(LoadOptions):
    """The same, of models of the hub as well."""

    lora: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="LoRA weights (.safetensors) added to a model of the hub."
        ),
    ] = None
    low_memory: Annotated[
        bool,
        typer.Option("--low-memory", help="Use less memory and more time for a model of the hub."),
    ] = False

    @property
    def spec(self) -> str | Path | None:
        """What is loaded: the model that is named, with ``--lora`` and ``--low-memory`` in it.

        Raises:
            UsageError: these are given, and the model is not of the hub.
        """
        given = {
            "lora": self.lora and str(self.lora.absolute()),
            "low_memory": "1" if self.low_memory else None,
        }
        asked = {name: value for name, value in given.items() if value is not None}
        if not asked:
            return self.model
        from urllib.parse import urlencode

        from limner.hub import is_hub

        if not is_hub(self.model):
            raise UsageError("--lora and --low-memory are for models of the hub: --model hub:ID")
        return f"{self.model}{'&' if '?' in str(self.model) else '?'}{urlencode(asked)}"

    def load(self, other: str | Path | None = None) -> Generator:
        """The model, or another one that is named."""
        return super().load(other or self.spec)


@dataclass(frozen=True)
class GalleryOptions:
    """Which gallery is meant."""

    gallery: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder of the gallery [default: gallery in $LIMNER_DATA or in the user's data].",
        ),
    ] = None
    database: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="postgresql://USER:PASSWORD@HOST/NAME for the gallery's rows [default: SQLite in "
            "its folder].",
        ),
    ] = None

    @property
    def given(self) -> bool:
        """Whether a gallery is named."""
        return self.gallery is not None or self.database is not None

    def open(self) -> Gallery:
        """The gallery.

        Raises:
            DataError: there is none.
            MissingExtraError: what the server needs is not installed.
        """
        try:
            from limner.serving.gallery import Gallery, default_gallery
        except ImportError as error:
            if (error.name or "").startswith("limner"):
                raise
            raise MissingExtraError(error.name or "sqlmodel", "serve", "the gallery") from error
        folder = self.gallery or default_gallery()
        if not folder.is_dir():
            raise DataError(f"there is no gallery in {folder}; limner serve makes one")
        return Gallery(folder, self.database)


@dataclass(frozen=True)
class SigningOptions:
    """What files are signed with."""

    c2pa: Annotated[
        Path | None,
        typer.Option(
            "--c2pa",
            metavar="CERT.pem",
            help="Sign files with a C2PA manifest, with this certificate chain.",
        ),
    ] = None
    c2pa_key: Annotated[
        Path | None,
        typer.Option("--c2pa-key", metavar="KEY.pem", help="The private key of that certificate."),
    ] = None

    def signer(self) -> ContentSigner | None:
        """What signs files; None where they are to stay unsigned.

        Raises:
            UsageError: one of the two is missing.
            DataError: one of them cannot be read.
        """
        if self.c2pa is None and self.c2pa_key is None:
            return None
        if self.c2pa is None or self.c2pa_key is None:
            raise UsageError("signing takes two files: --c2pa CERT.pem and --c2pa-key KEY.pem")
        from limner.generation.provenance import ContentSigner

        return ContentSigner(self.c2pa, self.c2pa_key)


_KEY = "limner.drawing"
_NO_BOUND = 10**6
"""Bounds from here on only keep nonsense out, and are not worth reading."""


def with_groups(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose options are in part the fields of dataclasses that it takes.

    Each field of such a dataclass becomes an option at the place of the parameter, and the command
    is given the dataclass.

    Args:
        command: its keyword-only parameters whose type is a dataclass are groups of options; the
            fields of these are annotated as options are.
    """
    kinds = get_type_hints(command, include_extras=True)
    groups = {
        name: kind for name, kind in kinds.items() if isinstance(kind, type) and is_dataclass(kind)
    }
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name not in groups:
            parameters.append(parameter.replace(annotation=kinds[name]))
            continue
        of_fields = get_type_hints(groups[name], include_extras=True)
        for field in fields(groups[name]):
            default = inspect.Parameter.empty if field.default is MISSING else field.default
            kind, how = of_fields[field.name], inspect.Parameter.KEYWORD_ONLY
            parameters.append(inspect.Parameter(field.name, how, default=default, annotation=kind))

    @wraps(command)
    def grouped(**given: Any) -> None:
        for name, kind in groups.items():
            given[name] = kind(**{field.name: given.pop(field.name) for field in fields(kind)})
        command(**given)

    del grouped.__wrapped__  # its signature would be read
    return _with_parameters(grouped, parameters)


def _with_parameters(
    function: Callable[..., None], parameters: list[inspect.Parameter]
) -> Callable[..., None]:
    """A function that typer reads other parameters from than those it is written with."""
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {each.name: each.annotation for each in parameters}
    return function


class DrawingCommand(TyperCommand):
    """A command with an option for every drawing option of ``Settings``; none is declared twice.

    They are made when the command is run or its help is shown, because importing the settings
    would make every other ``--help`` slower.
    """

    changes_pictures = False

    def get_params(self, ctx: Any) -> list[Any]:
        """The command's own parameters, the drawing options, and ``--help``."""
        *own, help_option = super().get_params(ctx)
        return [*own, *_drawing_options(self.changes_pictures), help_option]

    def invoke(self, ctx: Any) -> Any:
        """Run the command; :func:`drawing_options` gives it what was asked."""
        options = _drawing_options(self.changes_pictures)
        ctx.meta[_KEY] = {option.name: ctx.params.pop(option.name) for option in options}
        return super().invoke(ctx)


class ChangingCommand(DrawingCommand):
    """A command that changes a picture, with the options that have a meaning only there, too."""

    changes_pictures = True


def drawing_options(context: typer.Context) -> dict[str, Any]:
    """The drawing options that a :class:`DrawingCommand` was given; None for the others."""
    return dict(context.meta[_KEY])


@cache
def _drawing_options(changes_pictures: bool) -> list[Any]:
    """The options as typer makes them of a function that has each of them as a parameter."""
    from limner.models.settings import OF_PICTURES, OPTIONS, Settings

    def drawing(**_: Any) -> None:
        """Carries the signature that typer reads; never called."""

    parameters = []
    for name in OPTIONS:
        if name in OF_PICTURES and not changes_pictures:
            continue
        field = Settings.model_fields[name]
        text = " ".join(filter(None, [field.description, _range(field.metadata)]))
        kind = Annotated[field.annotation, typer.Option(help=text)]  # type: ignore[name-defined]
        parameters.append(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        )
    app = typer.Typer(add_completion=False)
    app.command()(_with_parameters(drawing, parameters))
    return list(typer.main.get_command(app).params)


def _range(metadata: list[Any]) -> str:
    """The bounds of a number in words, from pydantic's metadata."""
    bounds = {
        sign: getattr(each, sign)
        for each in metadata
        for sign in ("ge", "gt", "le")
        if hasattr(each, sign)
    }
    if not bounds or bounds.get("le", _NO_BOUND) >= _NO_BOUND:
        return ""
    low = f"above {bounds['gt']}" if "gt" in bounds else str(bounds["ge"])
    return f"[{low} to {bounds['le']}]"
