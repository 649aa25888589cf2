"""The models that are served: what is known of each without its weights, and how much they take."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import torch
from PIL import Image

from limner.data.pictures import whole
from limner.errors import CapabilityError, ModelFileError, UsageError
from limner.generation.backends.source import HubSource
from limner.generation.generator import DECODED_BYTES, Generator, open_hub_generator
from limner.hub import is_hub
from limner.modelinfo import ModelInfo, read_info
from limner.models.base import build
from limner.models.settings import Settings, make_settings
from limner.serving.errors import ApiError
from limner.serving.model_runner import ModelFile
from limner.serving.reader import read_file
from limner.shipped import RUN_MODEL, find_model
from limner.text.base import TextFeatures

_UPSTREAM, _OTHER_UPSTREAM = "gpt-image-", ("gpt-image", "dall-e")
"""What the names of upstream's models begin with."""
_BESIDE_BYTES = 120_000_000
"""What a model takes beside its weights: text encoder, planner, index of names.

By the resident memory of a process that loads the shipped model, draws and unloads it, in turn.
"""
_numbers = itertools.count()


class ModelVersion:
    """The weights that a file had at one time, described without reading them.

    Args:
        outline: a generator that checks what is asked of it; it may have no weights.
        given: whether it can draw.

    Attributes:
        number: of this version.
        replaced: by a newer one; it draws what it was asked for before.
        bytes: of its parameters and buffers as it draws with them, of the drawings that it
            remembers, and :data:`_BESIDE_BYTES`.
    """

    def __init__(self, outline: Generator, given: bool = False) -> None:
        self.number, self.outline, self.given = next(_numbers), outline, given
        self.replaced = False
        remembered = DECODED_BYTES if outline.model.draws_training_pictures else 0
        self.bytes = _BESIDE_BYTES + remembered + outline.model.drawing_bytes

    @classmethod
    def read(cls, path: str | Path) -> ModelVersion:
        """What a file, or a model of the hub, holds now.

        Raises:
            ModelFileError: the file is missing, foreign, damaged or too new.
            CapabilityError: it does not draw.
        """
        if is_hub(path):
            return cls(open_hub_generator(path, device=None))
        path = Path(path)
        info = read_info(path)
        try:
            with torch.device("meta"):
                model = build(info.family, info.config).eval()
        except ValueError as error:
            raise ModelFileError(f"{path} is damaged: {str(error).splitlines()[0]}") from error
        return cls(Generator(model, info, _NoEncoder(info), path=path))

    @property
    def file(self) -> ModelFile:
        """The number, source and hash by which another process loads it."""
        return ModelFile(self.number, self.outline.source, self.outline.hash)


class ServedModel:
    """A model by its name.

    Args:
        name: that requests choose it by.
        version: that draws what is asked for from now on.
    """

    def __init__(self, name: str, version: ModelVersion) -> None:
        self.name, self.version, self.created = name, version, int(time.time())

    @property
    def outline(self) -> Generator:
        """Checks what is asked of the model; it may have no weights."""
        return self.version.outline

    @property
    def side(self) -> int:
        """Of its pictures, in pixels."""
        return self.outline.model.config.size

    @property
    def described(self) -> dict[str, Any]:
        """What ``/v1/models`` says of it, but for its name."""
        model = self.outline.model
        return {
            "object": "model", "created": self.created, "owned_by": "limner",
            "family": model.family, "styles": list(self.outline.styles),
            "capabilities": sorted(model.capabilities), "licences": self.outline.info.licences,
            "attributions": self.outline.info.attributions,
            "hash": self.outline.hash, "bytes": self.version.bytes,
        }  # fmt: skip

    def read(self, file: BinaryIO) -> Image.Image:
        """A picture that a client sent, as it is drawn after."""
        return Image.fromarray(whole(read_file(file), self.side))

    def check_options(self, settings: Settings) -> None:
        """Refuse options that the model does not take, each by its name."""
        for name, value in settings.given.items():
            try:
                self.outline.check_settings(make_settings(**{name: value}))
            except CapabilityError as error:
                raise ApiError(400, str(error), param=name, code="unsupported_parameter") from error
            except UsageError as error:
                raise ApiError(400, str(error), param=name, code="invalid_value") from error


class Models:
    """All models of a server; the first is the default one.

    Args:
        served: at least one, of different names.
    """

    def __init__(self, served: Sequence[ServedModel]) -> None:
        self.served = {each.name: each for each in served}
        self.default = served[0]

    @classmethod
    def of(cls, generator: Generator) -> Models:
        """A single model that is in memory already."""
        source = generator.source
        name = generator.model.family if source is None else name_of(source)
        return cls([ServedModel(name, ModelVersion(generator, given=True))])

    @classmethod
    def read(cls, specs: Sequence[str | Path | None]) -> Models:
        """Several files, as for :func:`limner.load`.

        Raises:
            UsageError: two have one name.
            ModelFileError: a file is missing, foreign, damaged or too new.
            CapabilityError: a model does not draw.
        """
        paths: dict[str, str | Path] = {}
        for path in (spec if spec and is_hub(spec) else find_model(spec) for spec in specs):
            other = paths.setdefault(name_of(path), path)
            if other is not path:
                raise UsageError(
                    f"{other} and {path} would both be served as {name_of(path)!r}; "
                    "give one of the files another name"
                )
        return cls([ServedModel(name, ModelVersion.read(path)) for name, path in paths.items()])

    @property
    def given(self) -> dict[int, Generator]:
        """Those that are in memory, by the numbers of their versions."""
        versions = [each.version for each in self.served.values()]
        return {version.number: version.outline for version in versions if version.given}

    def find(self, name: str | None) -> ServedModel:
        """The model that a request names; none and upstream's names mean the default one.

        Raises:
            ApiError: there is none of that name.
        """
        if not name:
            return self.default
        found = self.served.get(name) or self.served.get(name.removeprefix(_UPSTREAM))
        if found is None and name.startswith(_OTHER_UPSTREAM):
            return self.default
        if found is None:
            raise ApiError(
                404, f"there is no model {name!r} here; GET /v1/models lists them",
                param="model", code="model_not_found",
            )  # fmt: skip
        return found

    @property
    def names(self) -> list[tuple[str, ServedModel]]:
        """Every name, and for each one that clients of upstream's models look for."""
        return [
            (f"{before}{name}", model)
            for name, model in self.served.items()
            for before in ("", _UPSTREAM)
        ]


def name_of(path: str | Path) -> str:
    """What a model is served as: its file's name, or that of the run or place it is of."""
    if is_hub(path):
        return HubSource.parse(path).name
    path = Path(path)
    return path.resolve().parent.name if path.name == RUN_MODEL else path.stem


class _NoEncoder:
    """Stands for the text encoder of a model that is only described.

    Args:
        info: of the model.
    """

    def __init__(self, info: ModelInfo) -> None:
        self.dim = int(info.config.get("text_dim", 0))
        self.spec, self.fingerprint = info.encoder, info.encoder_fingerprint

    def encode(self, texts: Sequence[str]) -> TextFeatures:
        raise NotImplementedError("a description draws nothing")
