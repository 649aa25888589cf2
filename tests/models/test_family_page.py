"""The family of docs/family.md, brought by a package of its own, as a reader would bring it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
import yaml

from limner.errors import UsageError
from limner.generation.generator import load
from limner.models import base
from limner.training.loop import train
from limner.training.recipe import load_recipe
from readme_blocks import blocks
from training_tiny import make_store

PAGE = (Path(__file__).parents[2] / "docs" / "family.md").read_text(encoding="utf-8")


def installed(folder: Path, name: str, module: str) -> None:
    """What ``pip install`` leaves of a package with one entry point."""
    about = folder / f"{name}-0.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n")
    (about / "entry_points.txt").write_text(f"[limner.families]\n{name} = {module}\n")


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder of installed packages; what they register is gone afterwards."""
    folder, known, modules = tmp_path / "site", dict(base.FAMILIES), set(sys.modules)
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    base._import_installed.cache_clear()
    yield folder
    base.FAMILIES.clear()
    base.FAMILIES.update(known)
    for name in set(sys.modules) - modules:
        if name.endswith("_family"):
            del sys.modules[name]
    base._import_installed.cache_clear()


def test_the_family_of_the_page_is_trained_and_draws(packages: Path, tmp_path: Path) -> None:
    (source,) = (each.text for each in blocks(PAGE) if each.language == "python")
    (packages / "mlp_family.py").write_text(source, encoding="utf-8")
    installed(packages, "mlp", "mlp_family")
    importlib.invalidate_caches()
    (recipe,) = (each for each in PAGE.split("```yaml\n")[1:])
    values = yaml.safe_load(recipe.partition("```")[0])
    values["data"]["store"] = str(make_store(tmp_path / "store").path)
    (tmp_path / "mlp.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    recipe = load_recipe(tmp_path / "mlp.yaml", ["prompts=[]"])
    run = train(recipe, tmp_path / "run", steps=3, quiet=True)
    generator = load(run)
    together = generator.generate(["a red square", "a blue square"], seed=3)
    alone = generator.generate("a blue square", seed=3)[0]
    assert generator.model.family == "mlp"
    assert alone.image.tobytes() == together[1].image.tobytes()
    with pytest.raises(base.CapabilityError, match="mlp family does not take 'steps'"):
        generator.generate("a red square", steps=3)


def test_a_family_that_cannot_be_imported_is_named(packages: Path) -> None:
    (packages / "broken_family.py").write_text("import nothing_of_this_name\n")
    installed(packages, "broken", "broken_family")
    importlib.invalidate_caches()
    with pytest.raises(UsageError, match=r"'broken' of an .*nothing_of_this_name"):
        base.families()
