"""Training without ``torch._dynamo``, the compiler's front end, where nothing is compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def never_compiled(*functions: Callable[..., Any]) -> None:
    """Let functions that torch keeps out of compiled programs be called without the compiler.

    Its import takes two seconds, and torch imports it when one of them is first called. Functions
    that torch has not wrapped so stay as they are.
    """
    for function in functions:
        plain = getattr(function, "__wrapped__", None)
        if plain is not None:
            setattr(plain, "__dynamo_disable", plain)
