"""Training: recipes, the loop, validation, checkpoints, processes, hyper-parameter search.

The public API: :func:`train` with a :class:`Recipe` from :func:`load_recipe` or
:func:`make_recipe`. Names are imported when they are first used, because the loop needs torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from limner.training.loop import train
    from limner.training.processes import RunObserver
    from limner.training.recipe import Recipe, load_recipe, make_recipe

__all__ = ["Recipe", "RunObserver", "load_recipe", "make_recipe", "train"]

_MODULES = {
    "Recipe": "recipe",
    "RunObserver": "processes",
    "load_recipe": "recipe",
    "make_recipe": "recipe",
    "train": "loop",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    return value
