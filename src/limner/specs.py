"""Specs, which name encoders: ``kind:place?option=value&option=value``; and fingerprints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qsl, quote, unquote

from limner.errors import UsageError


class Identified(Protocol):
    """What every encoder and feature network says of itself."""

    @property
    def spec(self) -> str:
        """The string that the same thing is built from again, from any working directory."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever the same input could give another result."""


def fingerprint(*facts: object) -> str:
    """The first 16 hex digits of the SHA-256 of facts, joined by slashes."""
    import hashlib  # takes long, and the command line's help needs none

    return hashlib.sha256("/".join(map(str, facts)).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Spec:
    """A parsed spec.

    Attributes:
        text: the whole spec.
        what: kind of thing that it names, for messages, such as ``text encoder``.
        name: the part before the ``?``, as written.
        kind: the part of the name before its first ``:``.
        place: the part after it, unquoted; empty where there is none.
        options: by name.
    """

    text: str
    what: str
    name: str
    kind: str
    place: str
    options: dict[str, str]

    def only(self, *known: str) -> None:
        """Refuse every option but these by a ``UsageError``."""
        unknown = sorted(set(self.options) - set(known))
        if unknown:
            raise UsageError(
                f"{self.what} {self.text!r} has no option {unknown[0]!r}; "
                f"it knows: {', '.join(known) or 'none'}"
            )

    def integer(self, key: str, default: int) -> int:
        """An option that must be a whole number, or a ``UsageError``."""
        value = self.options.get(key, str(default))
        try:
            return int(value)
        except ValueError:
            raise UsageError(
                f"{self.what} {self.text!r}: {key} must be a whole number, not {value!r}"
            ) from None


def parse_spec(text: str, what: str) -> Spec:
    """Parse a spec of a ``what``, the kind of thing that it names.

    Raises:
        UsageError: what follows the ``?`` cannot be read.
    """
    name, _, query = text.partition("?")
    try:
        options = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    except ValueError:
        raise UsageError(
            f"{what} {text!r}: what follows '?' must read key=value&key=value"
        ) from None
    kind, _, place = name.partition(":")
    return Spec(text, what, name, kind, unquote(place), options)


def hub_spec(path_or_id: str) -> str:
    """``hf:PATH_OR_ID`` for a folder or a hub id; the path is absolute, valid from any folder."""
    path = Path(path_or_id)
    return f"hf:{quote(str(path.absolute()) if path.is_dir() else path_or_id)}"
