from __future__ import annotations

import pytest
import torch
from runs import records, same
from safetensors.torch import load_file

from limner.errors import RecipeError
from limner.training.loop import train
from limner.training.machine import compiled


def test_bfloat16_on_a_cpu_learns_and_is_resumed_exactly(recipe, tmp_path):
    settings = {"precision": "bf16", "steps": 12}
    train(recipe(settings), tmp_path / "whole", quiet=True)
    train(recipe(settings), tmp_path / "parts", steps=5, quiet=True)
    train(recipe({"steps": 12}), tmp_path / "fp32", quiet=True)
    one, other = (load_file(tmp_path / n / "model.safetensors") for n in ("whole", "fp32"))
    assert all(bool(value.isfinite().all()) for value in one.values())
    assert not torch.equal(one["paint.weight"], other["paint.weight"])
    assert torch.allclose(one["paint.weight"], other["paint.weight"], atol=0.02)
    assert all(value.dtype == torch.float32 for value in one.values() if value.ndim)
    again = tmp_path / "again"
    train(recipe(settings), again, quiet=True)
    assert same(again, tmp_path / "whole")


def test_compiled_parts_learn_the_same(recipe, tmp_path):
    settings = {"steps": 3, "log_every": 1}
    train(recipe(settings, model={"dropout": 0}), tmp_path / "plain", quiet=True)
    train(recipe({**settings, "compile": True}, model={"dropout": 0}), tmp_path / "compiled",
          quiet=True)  # fmt: skip
    plain, fast = (records(tmp_path / n)[-1]["loss"] for n in ("plain", "compiled"))
    assert fast == pytest.approx(plain, rel=1e-4)
    names = (load_file(tmp_path / n / "model.safetensors").keys() for n in ("plain", "compiled"))
    assert next(names) == next(names)


def _broken(graph: object, inputs: object) -> None:
    raise OSError("no compiler here\nand more")


class _Wave(torch.nn.Module):
    """A layer of our own: torch.compile leaves torch's own layers as they are."""

    def forward(self, x):
        return x.sin() + 1


def test_what_cannot_be_compiled_is_one_sentence():
    layer = _Wave()
    layer.compile(backend=_broken)
    message = r"^train\.compile: torch\.compile gave up \(.*no compiler here\); leave the key out$"
    with pytest.raises(RecipeError, match=message), compiled(True):
        layer(torch.ones(1, 2))
    with pytest.raises(RuntimeError, match="mine"), compiled(True):
        raise RuntimeError("mine")
