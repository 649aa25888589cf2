from __future__ import annotations

import pytest
import torch

import training_tiny as tiny
from limner.errors import RecipeError
from limner.modelfile import load_model
from limner.models.base import build, families
from limner.training import checkpoint
from limner.training.ema import Ema
from limner.training.growing import ProgressiveGrowing, carry_over
from limner.training.loop import train
from limner.training.optim import GroupOptimizer
from runs import killed_after, records, same
from tiny_configs import tiny_config

GROW = {"grow": [{"size": 8, "until": 0.5}], "steps": 20}
OFTEN = {"checkpoint_every_minutes": 1e-6}


def test_a_run_grows_and_says_so(recipe, tmp_path):
    out = tmp_path / "run"
    model, info = load_model(train(recipe(GROW), out, quiet=True))
    assert model.config.size == 16
    assert info.training["steps"] == 20
    [event] = records(out, "grow")
    assert (event["step"], event["size"]) == (10, 16)
    assert event["parameters"] == sum(p.numel() for p in model.parameters())
    assert checkpoint.load_checkpoint(out / checkpoint.NAME)[0].phase == 1


@pytest.mark.parametrize("lines", [(None, 2), ("grow", 1)])
def test_resume_is_exact_in_either_phase(lines, recipe, tmp_path, commands):
    settings = GROW | {"balance": "uncertainty", "log_every": 2}
    train(recipe(settings), tmp_path / "whole", quiet=True)
    killed = tmp_path / "killed"
    killed_after(commands, recipe(settings | OFTEN), killed, *lines)
    assert 0 < checkpoint.load_checkpoint(killed / checkpoint.NAME)[0].step < 20
    train(recipe(settings), killed, resume=True, quiet=True)
    assert same(killed, tmp_path / "whole")
    assert records(killed) == records(tmp_path / "whole")


def test_what_fits_is_carried_over(recipe):
    section = recipe(GROW | {"ema": 0.5}).train
    growth = ProgressiveGrowing(recipe(GROW), 16, 16)
    small = build("tests-tiny", {"size": 8, "text_dim": 4})
    old = {n: GroupOptimizer(n, g, section) for n, g in small.optimizer_groups.items()}
    ema = Ema(small, section.ema)
    for seed in range(3):
        for optimizer in old.values():
            for parameter in optimizer.parameters:
                parameter.grad = torch.full_like(parameter, 0.1 * (seed + 1))
            optimizer.step(1.0)
        ema.update(small, seed)
    before = {n: p.clone() for n, p in ema.model.named_parameters()}
    large = growth.grow(small, 1)
    new = {n: GroupOptimizer(n, g, section) for n, g in large.optimizer_groups.items()}
    carry_over(small, large, old, new)
    ema.model = growth.grow(ema.model, 1).eval().requires_grad_(False)
    theirs = dict(small.named_parameters())
    state = {n: s for o in new.values() for n, s in o.state().items()}
    olds = {n: s for o in old.values() for n, s in o.state().items()}
    for name, parameter in large.named_parameters():
        group = "critic" if name.startswith("critic") else "model"
        index = [id(p) for p in new[group].parameters].index(id(parameter))
        key = f"{group}.{index}.exp_avg"
        average = dict(ema.model.named_parameters())[name]
        if theirs[name].shape == parameter.shape:
            assert torch.equal(parameter, theirs[name]), name
            assert torch.equal(state[key], olds[key]), name
            assert torch.equal(average, before[name]), name
        else:
            assert key not in state
            assert torch.equal(average, parameter), name  # fresh weights are the same ones
    assert not any(p.requires_grad for p in ema.model.parameters())
    assert "read.weight" in {n for n, p in large.named_parameters() if p.shape != theirs[n].shape}


@pytest.mark.parametrize(
    "family",
    [n for n, k in families().items() if not (n.startswith("tests") or k.reads_scenes)],
)
def test_every_family_grows(family, recipe, tmp_path):
    store = tiny.make_store(tmp_path / "store", count=8, size=32).path
    kind = families()[family].config_class
    config = tiny_config(kind, text_dim=8, styles=("flat",)).model_dump(
        mode="json", exclude={"size"}
    )
    settings = {"grow": [{"size": 16, "until": 0.5}], "steps": 4, "accumulate": 1, "batch_size": 4}
    sections = {"family": family, "model": config, "data": {"store": str(store)}}
    path = train(recipe(settings, **sections), tmp_path / "run", quiet=True)
    assert load_model(path)[0].config.size == 32
    assert [event["size"] for event in records(path.parent, "grow")] == [32]


@pytest.mark.parametrize(
    ("grow", "message"),
    [
        ([{"size": 16, "until": 0.5}], r"train\.grow\.0\.size: 16 is not a smaller size that"),
        ([{"size": 9, "until": 0.5}], r"train\.grow\.0\.size: 9 is not"),
        ([{"size": 8, "until": 0.5}, {"size": 8, "until": 0.6}], "must rise from phase to phase"),
        ([{"size": 8, "until": 1.0}], "train.grow.0.until: it should be less than 1"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(grow, message, recipe, tmp_path):
    with pytest.raises(RecipeError, match=message):
        train(recipe({"grow": grow, "steps": 2}), tmp_path / "run", quiet=True)
