"""limner turns words into pictures with language models.

``limner.load()`` gives a :class:`~limner.generation.generator.Generator`; everything heavy is
imported only when it is first asked for, so that ``import limner`` and ``limner --help``
stay instant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["LimnerError", "__version__", "load"]

if TYPE_CHECKING:
    from limner.errors import LimnerError
    from limner.generation.generator import load

_LAZY = {
    "load": ("limner.generation.generator", "load"),
    "LimnerError": ("limner.errors", "LimnerError"),
}


def __getattr__(name: str) -> Any:
    """Import the public names on first use (PEP 562)."""
    if name in _LAZY:
        from importlib import import_module

        module, attribute = _LAZY[name]
        return getattr(import_module(module), attribute)
    raise AttributeError(f"module 'limner' has no attribute {name!r}")
