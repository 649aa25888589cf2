from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_models import save_tiny

from limner.models.base import generators
from limner.studio.generator import Generator, load

FAMILIES = sorted(name for name in generators() if not name.startswith("tests"))


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory):
    """What tests encode never reaches the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIMNER_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", params=FAMILIES)
def model_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model file, of each family in turn."""
    return save_tiny(tmp_path_factory.mktemp(request.param) / "tiny.safetensors", request.param)


@pytest.fixture(scope="session")
def generator(model_path: Path, own_cache: None) -> Generator:
    return load(model_path)


@pytest.fixture
def keep_threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
