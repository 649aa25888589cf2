"""The mean of models: its weights are the means, and what does not go together is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from limner.cli import build_app
from limner.errors import UsageError
from limner.modelfile import load_model, save_model
from limner.modelinfo import ModelInfo, read_info
from limner.models.base import build
from limner.models.captioner import CaptionerConfig
from limner.models.vae import VAEConfig
from limner.training.average import average
from tiny_configs import tiny_config


def saved(path: Path, seed: int, family: str = "captioner", **card: str) -> Path:
    kind = {"captioner": CaptionerConfig, "vae": VAEConfig}[family]
    config = tiny_config(kind).model_dump()
    torch.manual_seed(seed)
    model = build(family, config)
    info = ModelInfo(
        family=family, config=config, encoder="nothing",
        encoder_fingerprint=card.get("reads", "0" * 16), training={"minutes": seed},
        quality={"asked": {}}, limits=["It is tiny."],
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    save_model(path, model, info)
    return path


def test_weights_are_means_and_the_card_says_of_what(tmp_path):
    paths = [saved(tmp_path / name / "model.safetensors", seed) for seed, name in enumerate("abc")]
    told = average(paths, tmp_path / "mean.safetensors")
    mean, info = load_model(tmp_path / "mean.safetensors")
    assert info == told
    assert info.training == {"minutes": 2, "averaged": ["a", "b", "c"]}
    assert (info.quality, info.limits) == ({}, ["It is tiny."])  # what was measured was another
    states = [load_model(path)[0].state_dict() for path in paths]
    for name, value in mean.state_dict().items():
        wanted = torch.stack([state[name].double() for state in states]).mean(0)
        torch.testing.assert_close(value, wanted.to(value.dtype), rtol=0, atol=1e-7)


def test_the_mean_of_a_model_with_itself_is_itself_to_the_bit(tmp_path):
    path = saved(tmp_path / "one.safetensors", 5)
    done = CliRunner().invoke(
        build_app(), ["average", str(path), str(path), "--out", str(tmp_path / "mean.safetensors")]
    )
    assert done.exit_code == 0, done.output
    assert done.output.strip().endswith("the mean of 2 models")
    before, after = (load_model(tmp_path / f"{name}.safetensors")[0] for name in ("one", "mean"))
    for name, value in before.state_dict().items():
        assert torch.equal(after.state_dict()[name], value)
    assert read_info(tmp_path / "mean.safetensors").training["averaged"] == ["one.safetensors"] * 2


@pytest.mark.parametrize(
    ("other", "reason"),
    [({"family": "vae"}, "of another family \\(captioner, vae\\)"),
     ({"reads": "1" * 16}, "of another text encoder")],
)  # fmt: skip
def test_what_does_not_go_together_is_refused(other, reason, tmp_path):
    one, two = saved(tmp_path / "a.safetensors", 0), saved(tmp_path / "b.safetensors", 1, **other)
    with pytest.raises(UsageError, match=reason):
        average([one, two], tmp_path / "mean.safetensors")
    assert not (tmp_path / "mean.safetensors").exists()


def test_a_model_that_is_there_is_not_replaced(tmp_path):
    one = saved(tmp_path / "a.safetensors", 0)
    before = one.read_bytes()
    words = ["average", str(one), str(one), "--out", str(one)]
    result = CliRunner().invoke(build_app(), words)
    assert result.exit_code == 2
    assert "exists already" in result.output
    assert one.read_bytes() == before


def test_one_model_has_no_mean(tmp_path):
    with pytest.raises(UsageError, match="two models or more"):
        average([saved(tmp_path / "a.safetensors", 0)], tmp_path / "mean.safetensors")


def test_other_shapes_are_refused(tmp_path):
    one = saved(tmp_path / "a.safetensors", 0)
    info = read_info(one)
    wide = {**info.config, "inner": 24}
    save_model(tmp_path / "b.safetensors", build("captioner", wide),
               info.model_copy(update={"config": wide}))  # fmt: skip
    with pytest.raises(UsageError, match=r"other shapes: .* does not fit"):
        average([one, tmp_path / "b.safetensors"], tmp_path / "mean.safetensors")
