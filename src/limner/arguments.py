"""Arguments of Python functions, refused by name where they are of another type."""

from __future__ import annotations

import math
import operator

from limner.errors import UsageError


def whole(name: str, value: object) -> int:
    """A whole number, also one of numpy.

    Args:
        name: of the argument.
        value: what was given.

    Raises:
        UsageError: it is something else, such as a text or a truth value.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError as error:
        raise UsageError(f"{name} = {value!r} is refused: give a whole number") from error


def check_type(name: str, value: object, kind: type | tuple[type, ...], wanted: str) -> None:
    """Refuse an argument of another type.

    Args:
        name: of the argument.
        value: what was given.
        kind: what it may be.
        wanted: the same in words, and how to get one.

    Raises:
        UsageError: it is of none of these types.
    """
    if not isinstance(value, kind):
        raise UsageError(f"{name} is a {type(value).__name__}: give {wanted}")


def number(name: str, value: object) -> float:
    """A number, also one of numpy.

    Args:
        name: of the argument.
        value: what was given.

    Raises:
        UsageError: it is something else, such as a text or a truth value, or not finite.
    """
    try:
        if isinstance(value, bool | str | bytes):
            raise TypeError
        found = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError) as error:
        raise UsageError(f"{name} = {value!r} is refused: give a number") from error
    if not math.isfinite(found):
        raise UsageError(f"{name} = {value!r} is refused: give a finite number")
    return found


def check_able(name: str, value: object, method: str, wanted: str) -> None:
    """Refuse an argument without a method, or, for ``__call__``, one that is no function.

    Args:
        name: of the argument.
        value: what was given.
        method: that it needs.
        wanted: what to give instead, in words.

    Raises:
        UsageError: it has no such method.
    """
    if not callable(getattr(value, method, None)):
        raise UsageError(f"{name} is a {type(value).__name__}: give {wanted}")
