"""The served models: their metadata, checks of requests without weights, and memory use."""

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
"""Prefixes of the names of OpenAI's models."""
_BESIDE_BYTES = 120_000_000
"""Memory of a model beside its weights: text encoder, planner, index of names.

Measured as resident memory of a process that repeatedly loads, uses and unloads the shipped model.
"""
_numbers = itertools.count()


class ModelVersion:
    """A version of a model file, described without loading its weights.

    Args:
        outline: a generator to check requests with; it may have no weights.
        given: whether the outline has weights, so that it is used as the model itself.

    Attributes:
        number: id of this version.
        replaced: whether there is a newer version; it only finishes earlier requests.
        bytes: memory of parameters and buffers in use, of cached drawings, and
            :data:`_BESIDE_BYTES`.
    """

    def __init__(self, outline: Generator, given: bool = False) -> None:
        self.number, self.outline, self.given = next(_numbers), outline, given
        self.replaced = False
        remembered = DECODED_BYTES if outline.model.draws_training_pictures else 0
        self.bytes = _BESIDE_BYTES + remembered + outline.model.drawing_bytes

    @classmethod
    def read(cls, path: str | Path) -> ModelVersion:
        """Read the current version of a file or hub model.

        Raises:
            ModelFileError: the file is missing, not a limner model, damaged or too new.
            CapabilityError: it does not generate images.
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
        """Number, source and hash, for a model runner to load it."""
        return ModelFile(self.number, self.outline.source, self.outline.hash)


class ServedModel:
    """A served model.

    Args:
        name: its name in requests.
        version: the version used for new requests.
    """

    def __init__(self, name: str, version: ModelVersion) -> None:
        self.name, self.version, self.created = name, version, int(time.time())

    @property
    def outline(self) -> Generator:
        """A generator to check requests with; it may have no weights."""
        return self.version.outline

    @property
    def side(self) -> int:
        """Side of its pictures, in pixels."""
        return self.outline.model.config.size

    @property
    def described(self) -> dict[str, Any]:
        """Its entry in ``/v1/models``, without the name."""
        model = self.outline.model
        return {
            "object": "model", "created": self.created, "owned_by": "limner",
            "family": model.family, "styles": list(self.outline.styles),
            "capabilities": sorted(model.capabilities), "licences": self.outline.info.licences,
            "attributions": self.outline.info.attributions,
            "hash": self.outline.hash, "bytes": self.version.bytes,
        }  # fmt: skip

    def read(self, file: BinaryIO) -> Image.Image:
        """Decode an uploaded picture at the size of a reference."""
        return Image.fromarray(whole(read_file(file), self.side))

    def check_options(self, settings: Settings) -> None:
        """Refuse options that the model does not support, by name."""
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
        served: at least one model, by unique names.
    """

    def __init__(self, served: Sequence[ServedModel]) -> None:
        self.served = {each.name: each for each in served}
        self.default = served[0]

    @classmethod
    def of(cls, generator: Generator) -> Models:
        """A single model in memory."""
        source = generator.source
        name = generator.model.family if source is None else name_of(source)
        return cls([ServedModel(name, ModelVersion(generator, given=True))])

    @classmethod
    def read(cls, specs: Sequence[str | Path | None]) -> Models:
        """Read several models, given as for :func:`limner.load`.

        Raises:
            UsageError: two models have the same name.
            ModelFileError: a file is missing, not a limner model, damaged or too new.
            CapabilityError: a model does not generate images.
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
        """Models in memory, by the numbers of their versions."""
        versions = [each.version for each in self.served.values()]
        return {version.number: version.outline for version in versions if version.given}

    def find(self, name: str | None) -> ServedModel:
        """The model of a request; no name, and names of OpenAI's models, give the default one.

        Raises:
            ApiError: there is no model of that name.
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
        """All names, including aliases for clients that expect OpenAI's names."""
        return [
            (f"{before}{name}", model)
            for name, model in self.served.items()
            for before in ("", _UPSTREAM)
        ]


def name_of(path: str | Path) -> str:
    """The name of a model: that of its file, run folder or hub repository."""
    if is_hub(path):
        return HubSource.parse(path).name
    path = Path(path)
    return path.resolve().parent.name if path.name == RUN_MODEL else path.stem


class _NoEncoder:
    """Placeholder for the text encoder of a model without weights.

    Args:
        info: metadata of the model.
    """

    def __init__(self, info: ModelInfo) -> None:
        self.dim = int(info.config.get("text_dim", 0))
        self.spec, self.fingerprint = info.encoder, info.encoder_fingerprint

    def encode(self, texts: Sequence[str]) -> TextFeatures:
        raise NotImplementedError("a description draws nothing")
