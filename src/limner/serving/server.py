"""What the routes share: the model with its batcher, who may draw, finished pictures."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from PIL import Image
from starlette.requests import HTTPConnection

from limner.data.pictures import whole
from limner.errors import CapabilityError, UsageError
from limner.generation.generator import Generator, SeenReference
from limner.models.settings import Settings, make_settings
from limner.serving.batcher import Batcher
from limner.serving.errors import ApiError
from limner.serving.pictures import PictureLinks
from limner.serving.reader import Reader, read_file

_OTHER_NAMES = ("gpt-image", "dall-e")
"""What the names of upstream's models begin with; they mean the default model."""


@dataclass(frozen=True)
class ServerSettings:
    """How a server is run.

    Attributes:
        keys: SHA-256 of the API keys, in hex, by the name of their user; none: everybody may draw.
        most_waiting: pictures that may wait; more are refused.
        most_seconds: a request may take.
        link_seconds: for which a picture is kept under its address.
        index: of pictures that can be searched, see :class:`limner.reading.search.PictureIndex`.
    """

    keys: Mapping[str, str] = field(default_factory=dict)
    most_waiting: int = 256
    most_seconds: float = 300.0
    link_seconds: float = 3600.0
    index: Path | None = None


class Server:
    """What the routes share: the model with its batcher, what reads pictures, and finished ones.

    Args:
        generator: draws.
        settings: how the server is run.
    """

    def __init__(self, generator: Generator, settings: ServerSettings) -> None:
        self.generator, self.settings = generator, settings
        self.model = generator.path.stem if generator.path is not None else generator.model.family
        self.created = int(time.time())
        self.links = PictureLinks(settings.link_seconds)
        self.reader = Reader(settings.index)
        self.batcher = Batcher(
            generator, most_waiting=settings.most_waiting, most_seconds=settings.most_seconds
        )

    @property
    def side(self) -> int:
        """Of the model's pictures, in pixels."""
        return self.generator.model.config.size

    def see(self, file: BinaryIO) -> SeenReference:
        """What is drawn after in a picture that a client sent, by :meth:`Generator.look`."""
        return self.generator.look(Image.fromarray(whole(read_file(file), self.side)))

    def user_of(self, request: HTTPConnection, key: str = "") -> str:
        """Whose request it is: the name of its key, else the address it comes from.

        Args:
            request: its ``authorization`` holds the key.
            key: where a browser cannot send that header.

        Raises:
            ApiError: keys are asked for and it has none of them.
        """
        if not self.settings.keys:
            return request.client.host if request.client else ""
        given = _key_of(request.headers.get("authorization", "")) or key.encode()
        digest = hashlib.sha256(given).hexdigest()
        for name, known in self.settings.keys.items():
            if hmac.compare_digest(digest, known):
                return name
        raise ApiError(
            401, "give a key of this server: Authorization: Bearer KEY", code="invalid_api_key"
        )

    def check_model(self, name: str | None) -> None:
        """Refuse the name of a model that is not here; upstream's names mean the default one."""
        if name and name != self.model and not name.startswith(_OTHER_NAMES):
            raise ApiError(
                404, f"there is no model {name!r} here; GET /v1/models lists them",
                param="model", code="model_not_found",
            )  # fmt: skip

    def check_options(self, settings: Settings) -> None:
        """Refuse options that the model does not take, each by its name."""
        for name, value in settings.given.items():
            try:
                self.generator.check_settings(make_settings(**{name: value}))
            except CapabilityError as error:
                raise ApiError(400, str(error), param=name, code="unsupported_parameter") from error
            except UsageError as error:
                raise ApiError(400, str(error), param=name, code="invalid_value") from error


def _key_of(header: str) -> bytes:
    """The key in a header: a bearer token, or the password of those who can only send that."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip().encode()
    if scheme.lower() == "basic":
        with suppress(binascii.Error, ValueError):
            return base64.b64decode(value.strip(), validate=True).partition(b":")[2]
    return b""
