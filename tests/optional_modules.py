"""Optional packages of tests, imported when they are first used: collecting tests needs none."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import Any

import pytest


class _Module:
    """Stands for a module, which is imported when a name in it is asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self._name), name)


def needed(name: str) -> Any:
    """The module of that name; the tests of the file that asks are skipped where it is missing."""
    if find_spec(name.partition(".")[0]) is None:
        pytest.skip(f"{name} is not installed", allow_module_level=True)
    return _Module(name)
