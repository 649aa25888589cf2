from __future__ import annotations

from pathlib import Path

import pytest
import torch

from limner.generation.generator import Generator, load
from limner.models.image_model import generators
from tiny_models import save_tiny

FAMILIES = sorted(name for name in generators() if not name.startswith("tests"))


@pytest.fixture(scope="session", params=FAMILIES)
def model_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model file, of each family in turn."""
    return save_tiny(tmp_path_factory.mktemp(request.param) / "tiny.safetensors", request.param)


@pytest.fixture(scope="session")
def generator(model_path: Path, own_cache: None) -> Generator:
    return load(model_path)


@pytest.fixture(scope="module")
def shipped(own_cache: None) -> Generator:
    """The model that is shipped."""
    return load()


@pytest.fixture
def keep_threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
