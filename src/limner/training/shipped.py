"""The recipes that come with limner, so that a machine without a checkout has them too."""

from __future__ import annotations

import difflib
from pathlib import Path

import limner
from limner.errors import RecipeError

_SUFFIXES = (".yaml", ".yml")


def shipped_recipes() -> dict[str, Path]:
    """Name -> file of every recipe that comes with limner.

    The wheel carries the folder inside the package; in a checkout it lies at the top.
    """
    package = Path(limner.__file__).parent
    for folder in (package / "recipes", package.parents[1] / "recipes"):
        found = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
        if found:
            return found
    return {}


def find_recipe(given: Path) -> Path:
    """The recipe file that a path or a name means.

    A file of that path comes first. Otherwise ``quickstart`` and ``recipes/quickstart.yaml``,
    from any folder, mean the recipe of that name that comes with limner.

    Raises:
        RecipeError: there is neither; the message says which names there are.
    """
    if given.exists():
        return given
    known = shipped_recipes()
    bare = len(given.parts) == 1 or given.parent == Path("recipes")
    name = given.stem if given.suffix.lower() in _SUFFIXES else given.name
    if bare and name in known:
        return known[name]
    close = difflib.get_close_matches(name, known, n=1)
    advice = f"; did you mean {close[0]!r}?" if close else ""
    raise RecipeError(
        f"there is no recipe {str(given)!r}: name a YAML file, or one that comes with limner "
        f"({', '.join(known)}){advice}"
    )
