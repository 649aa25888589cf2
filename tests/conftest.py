"""What all tests share: a cache of their own, the icon stores and the tiny models."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import limner  # noqa: F401 - before torch: it decides how threads wait
import tiny_models
from icon_store import make_store, save_tiny
from limner.data.store import Store
from limner.evaluation.concept_prompts import load_prompts
from preloaded import preloaded

gc.disable()  # until all is collected: what is made then stays, and is much to go through
settings.register_profile(  # the same examples in every run, which may take long where much runs
    "any speed", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any speed")


def pytest_xdist_auto_num_workers() -> int:
    """Two processes more than there are cores, as many tests wait for a process or a server."""
    return min(4, len(os.sched_getaffinity(0)) + 2 if hasattr(os, "sched_getaffinity") else 2)


_LONG = ("test_readme.py", "test_docs_api.py", "test_processes.py", "serving", "training")
"""Files, and folders of files, that take longest."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files go first, so that no worker waits for another's at the end."""

    def order(item: pytest.Item) -> int:
        names = (item.path.name, item.path.parent.name)
        found = (_LONG.index(name) for name in names if name in _LONG)
        return next(found, len(_LONG))

    items.sort(key=order)


def pytest_collection_finish() -> None:
    """What was imported and collected is never gone through again."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory):
    """What tests do never reaches the user's own folders, a proxy or a terminal."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIMNER_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("LIMNER_DATA", str(tmp_path_factory.mktemp("data")))
        for name in ("NO_PROXY", "no_proxy"):  # servers of tests are on this machine
            patch.setenv(name, "127.0.0.1,localhost")
        patch.setenv("COLUMNS", "80")  # as without a terminal
        patch.delenv("FORCE_COLOR", raising=False)
        yield


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with ``limner`` and ``python`` that have imported everything (preloaded.py)."""
    with preloaded(tmp_path_factory.mktemp("commands")) as found:
        yield found


@pytest.fixture(scope="session")
def many(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """40 concepts of the fixed prompts in three sets."""
    keys = [prompt.key for prompt in load_prompts()[::11]][:40]
    return make_store(tmp_path_factory.mktemp("many") / "icons", keys)


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Six concepts of the fixed prompts in three sets, and one that no prompt is about."""
    keys = [prompt.key for prompt in load_prompts()[::80]][:6]
    return make_store(tmp_path_factory.mktemp("few") / "icons", [*keys, "1F9FF"])


@pytest.fixture(scope="session")
def few_model(few: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random model whose card claims four concepts of the small store."""
    claimed = list(dict.fromkeys(few.metadata(i)["concept"] for i in range(len(few))))[:4]
    folder = tmp_path_factory.mktemp("model")
    return save_tiny(folder / "tiny.safetensors", claimed, few.fingerprint)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random model of the vae family."""
    return tiny_models.save_tiny(tmp_path_factory.mktemp("model") / "tiny.safetensors", "vae")
