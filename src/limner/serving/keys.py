"""API keys: their users and limits."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from limner.errors import DataError

_LINE = re.compile(r"(\S{1,64})\s+([0-9a-fA-F]{64})((?:\s+\S+)*)")
_LIMIT = re.compile(r"(rate=([1-9][0-9]{0,8})/min)|(pictures=([1-9][0-9]{0,8})/day)")


@dataclass(frozen=True)
class Key:
    """The key of a user, as a hash, and its limits.

    Attributes:
        digest: SHA-256 of the key, in lower-case hex.
        rate: most requests per minute; None for no limit.
        pictures: most drawings per day; None for no limit.
    """

    digest: str
    rate: int | None = None
    pictures: int | None = None


def read_keys(path: Path) -> dict[str, Key]:
    """Read a file of users and their keys.

    Each line is a name without spaces, the 64 hex digits, and optionally ``rate=N/min`` and
    ``pictures=N/day``; empty lines and those that begin with ``#`` are skipped.

    Raises:
        DataError: the file cannot be read, a line is invalid, or a name occurs twice.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        raise DataError(f"the keys in {path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"the keys in {path} cannot be read: they are not UTF-8") from error
    found: dict[str, Key] = {}
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        match = _LINE.fullmatch(text)
        if match is None or match[1] in found:
            why = "is no name and SHA-256" if match is None else f"names {match[1]!r} again"
            raise DataError(
                f"{path}, line {number}, {why}: give each user one line, NAME and the 64 hex "
                "digits of: printf %s KEY | sha256sum"
            )
        limits = [_LIMIT.fullmatch(each) for each in match[3].split()]
        known = {"rate" if each[1] else "pictures": int(each[2] or each[4])
                 for each in limits if each}  # fmt: skip
        if len(known) < len(limits):
            raise DataError(
                f"{path}, line {number}, has limits that cannot be read: after the SHA-256 give "
                "rate=N/min, pictures=N/day, both, or nothing"
            )
        found[match[1]] = Key(match[2].lower(), **known)
    if not found:
        raise DataError(f"{path} has no keys: give each user one line, NAME and SHA-256")
    return found


def user_with(keys: Mapping[str, Key], header: str, given: str = "") -> str | None:
    """The user whose key a request has; None if it has no valid key.

    Args:
        keys: keys by user.
        header: its ``Authorization`` header: a bearer token, or basic authentication with the key
            as the password.
        given: the key, if it is sent otherwise.
    """
    digest = hashlib.sha256(_key_of(header) or given.encode(errors="surrogatepass")).hexdigest()
    for name, key in keys.items():
        if hmac.compare_digest(digest, key.digest):
            return name
    return None


def _key_of(header: str) -> bytes:
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip().encode()
    if scheme.lower() == "basic":
        with suppress(binascii.Error, ValueError):
            return base64.b64decode(value.strip(), validate=True).partition(b":")[2]
    return b""
