"""Addresses of pictures that whoever knows them may fetch, until they expire."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from contextlib import suppress
from pathlib import Path

from limner.errors import DataError
from limner.files import whole_file

_NAME = re.compile(r"([0-9a-f]{32})\.([0-9a-f]{1,12})\.([0-9a-f]{64})\.[a-z]{3,4}")


class SignedLinks:
    """Names that say which picture is meant and until when, and are signed (RFC 2104, SHA-256).

    They need no memory: another process of the same gallery, or the next one, knows them too.

    Args:
        path: of the key, which is made where it is missing.

    Raises:
        DataError: the key cannot be read or made.
    """

    def __init__(self, path: Path) -> None:
        with suppress(FileExistsError), whole_file(path, DataError, exclusive=True) as part:
            part.chmod(0o600)
            part.write_bytes(secrets.token_bytes(32))
        try:
            self._key = path.read_bytes()
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror or error}") from error
        if len(self._key) != 32:
            raise DataError(f"{path} is not the key of a gallery; remove it to get a new one")

    def name(self, picture: str, ending: str, seconds: float) -> str:
        """The name of a picture for so many seconds; ``ending`` is that of its file."""
        claim = f"{picture}.{int(time.time() + seconds):x}"
        return f"{claim}.{self._signature(claim)}{ending}"

    def picture(self, name: str) -> str | None:
        """The id of the picture that a name stands for; None if it has expired or is not ours."""
        match = _NAME.fullmatch(name)
        if match is None or int(match[2], 16) < time.time():
            return None
        genuine = hmac.compare_digest(match[3], self._signature(f"{match[1]}.{match[2]}"))
        return match[1] if genuine else None

    def _signature(self, claim: str) -> str:
        return hmac.new(self._key, claim.encode(), hashlib.sha256).hexdigest()
