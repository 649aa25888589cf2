"""What a started process runs: a module of its own, so that a new interpreter can import it."""

from __future__ import annotations

import os
from pathlib import Path


def fail(how: str) -> Path:
    """End the process with code 3, or raise an error of two lines."""
    if how == "exit":
        os._exit(3)
    raise ValueError("two\nlines")
