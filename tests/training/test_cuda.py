"""Training on a GPU, where there is one."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from limner.modelfile import load_model
from limner.models.base import families
from limner.training.loop import train
from tiny_configs import tiny_config

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

FAMILIES = [n for n, k in families().items() if not (n.startswith("tests") or k.reads_scenes)]


def configured(family: str) -> dict[str, object]:
    kind = families()[family].config_class
    config = tiny_config(kind, text_dim=8, styles=("flat",))
    return config.model_dump(mode="json", exclude={"size"})  # type: ignore[no-any-return]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_learns_on_a_gpu(family, precision, recipe, tmp_path):
    wanted = {"steps": 6, "device": "cuda", "precision": precision}
    path = train(
        recipe(wanted, family=family, model=configured(family)), tmp_path / "run", quiet=True
    )
    model, info = load_model(path)  # on the CPU
    assert info.training["steps"] == 6
    assert all(
        bool(v.isfinite().all()) for v in model.state_dict().values() if v.is_floating_point()
    )


class StopsAfter:
    """Asks the run to stop after some steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def should_stop(self) -> bool:
        self.left -= 1
        return self.left <= 0

    def validated(self, progress: float, figures: dict[str, float]) -> None:
        pass

    def interrupted(self) -> None:
        pass


def test_a_run_on_a_gpu_resumes_exactly(recipe, tmp_path):
    """As far as CUDA's sums are in the same order, which those of the tiny flow are."""
    asked = recipe({"device": "cuda", "precision": "fp32", "steps": 12}, family="flow",
                   model=configured("flow"))  # fmt: skip
    whole, out = train(asked, tmp_path / "whole", quiet=True), tmp_path / "parts"
    train(asked, out, quiet=True, observer=StopsAfter(6))
    assert load_model(out / "model.safetensors")[1].training["steps"] == 6
    parts = train(asked, out, resume=True, quiet=True)
    one, other = load_file(whole), load_file(parts)
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.allclose(value.float(), other[name].float(), atol=1e-5), name


def test_a_compiled_run_learns_the_same(recipe, tmp_path):
    found = []
    for compiled in (False, True):
        wanted = {"steps": 4, "device": "cuda", "precision": "fp32", "compile": compiled}
        path = train(recipe(wanted, family="flow", model=configured("flow")),
                     tmp_path / str(compiled), quiet=True)  # fmt: skip
        found.append(load_file(path))
    for name, value in found[0].items():
        assert torch.allclose(value.float(), found[1][name].float(), atol=1e-3), name
