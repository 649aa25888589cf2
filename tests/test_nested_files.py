"""JSON and YAML that are nested deeper than Python's stack are damaged files, not tracebacks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from limner.data.store import HEADER, Store
from limner.errors import LimnerError
from limner.evaluation.report import read_report
from limner.improve.feedback import load_preferences
from limner.tensorfile import write_tensors
from limner.text.ablation import ClassEncoder
from limner.training.checkpoint import load_checkpoint
from limner.training.overrides import read_value

DEEP = "[" * 100_000 + "]" * 100_000


def read_store(folder: Path) -> Any:
    (folder / HEADER).write_text(DEEP, "utf-8")
    return Store.open(folder)


def read_json(read: Callable[[Path], Any]) -> Callable[[Path], Any]:
    def reads(folder: Path) -> Any:
        (folder / "deep.json").write_text(DEEP, "utf-8")
        return read(folder / "deep.json")

    return reads


def read_metadata_of(key: str, read: Callable[[Path], Any]) -> Callable[[Path], Any]:
    def reads(folder: Path) -> Any:
        write_tensors(folder / "deep.safetensors", {"x": torch.zeros(1)}, {key: DEEP})
        return read(folder / "deep.safetensors")

    return reads


@pytest.mark.parametrize(
    "read",
    [
        read_store, read_json(read_report), read_json(lambda path: ClassEncoder(path, 8)),
        read_metadata_of("limner.checkpoint", load_checkpoint),
        read_metadata_of("limner.preferences", load_preferences),
        lambda _: read_value("[" * 2_000, "the recipe"),
    ],
    ids=["store", "report", "concepts", "checkpoint", "preferences", "recipe"],
)  # fmt: skip
def test_nesting_is_refused_in_one_sentence(read: Callable[[Path], Any], tmp_path: Path):
    with pytest.raises(LimnerError, match=r"damaged|nested too deeply|recursion") as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)
