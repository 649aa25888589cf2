from __future__ import annotations

import math

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from limner.errors import RecipeError
from limner.training import checkpoint
from limner.training.loop import train
from limner.training.loss_weighting import KINDS, GradNorm, LearnedFactor, Uncertainty
from limner.training.processes import ProcessGroup
from limner.training.recipe import LossWeightingSection
from runs import killed_after, records, same

OFTEN = {"checkpoint_every_minutes": 1e-6}


def test_a_learned_factor_takes_the_steps_of_torchs_adam():
    gradients = torch.randn(50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weight = torch.nn.Parameter(torch.tensor(2.0, dtype=torch.float64))
    adam, factor = torch.optim.Adam([weight], lr=0.05), LearnedFactor(2.0)
    for gradient in gradients:
        weight.grad = gradient.clone()
        adam.step()
        factor.step(gradient.item(), 0.05)
        assert factor.value == pytest.approx(weight.item(), rel=1e-9)
    factor.step(math.nan, 0.05)
    assert factor.value == pytest.approx(weight.item(), rel=1e-9) and factor.steps == 50


def test_uncertainty_rests_where_every_loss_weighs_one():
    balance = Uncertainty(LossWeightingSection(kind="uncertainty", lr=0.01), {"b": 2.0})
    losses = {"a": 4.0, "b": 0.25, "off": 9.0}
    balance.base = {"b": 2.0, "off": 0.0}
    for _ in range(3000):
        balance.learn(losses, ProcessGroup())
    # d/ds (exp(-s) b L + s) = 0 where the factor exp(-s) b is 1 / L.
    assert balance.factor("a") == pytest.approx(1 / 4.0, rel=1e-3)
    assert balance.factor("b") == pytest.approx(1 / 0.25, rel=1e-3)
    assert balance.factor("off") == 0


def test_uncertainty_stays_within_its_limit_and_ignores_what_is_no_number():
    balance = Uncertainty(LossWeightingSection(kind="uncertainty", lr=0.5, limit=10), {})
    for _ in range(200):
        balance.learn({"negative": -3.0, "nan": math.nan}, ProcessGroup())
    assert balance.factor("negative") == pytest.approx(10)
    assert balance.factor("nan") == 1


def quadratics(kind: str, **settings: float) -> tuple[GradNorm, nn.Parameter, dict[str, float]]:
    """Two quadratics of the same weights, one a hundred times steeper than the other."""
    x = nn.Parameter(torch.tensor([[1.0, -2.0]]))
    balance = KINDS[kind](LossWeightingSection(kind=kind, **settings), {}, "model", {"x": x})
    for step in range(2500):
        losses = {"flat": 0.5 * x.square().sum(), "steep": 50 * x.square().sum()}
        x.grad = None
        balance.weighted(losses, step).backward()
        balance.learn({k: float(v.detach()) for k, v in losses.items()}, ProcessGroup())
    length = float(x.detach().norm())
    norms = {"flat": length, "steep": 100 * length}
    return balance, x, norms


def test_gradnorm_equalises_the_gradients_of_two_quadratics():
    balance, x, norms = quadratics("gradnorm", lr=0.001, alpha=0.0)
    weighted = {name: balance.factor(name) * norm for name, norm in norms.items()}
    assert weighted["flat"] == pytest.approx(weighted["steep"], rel=0.1)
    # Factors sum to their number: w = (200, 2) / 101.
    assert balance.factor("flat") + balance.factor("steep") == pytest.approx(2)
    assert balance.factor("flat") == pytest.approx(200 / 101, rel=1e-2)
    # The gradients of the sum are those of autograd.
    expected = (balance.factor("flat") + 100 * balance.factor("steep")) * x
    assert x.grad is not None
    assert torch.allclose(x.grad, expected.detach(), rtol=0.05)


def test_gradnorm_of_micro_batches_is_that_of_the_whole_batch():
    """The gradient of a mean is the mean of those of its shares."""
    data, found = torch.tensor([[1.0, 2.0], [3.0, -1.0], [0.5, 0.5], [-2.0, 1.0]]), []
    for parts in (1, 4):
        x = nn.Parameter(torch.tensor([[1.0, -2.0]]))
        section = LossWeightingSection(kind="gradnorm", lr=0.01)
        balance = GradNorm(section, {}, "model", {"x": x})
        for step in range(5):
            whole = {"a": 0.0, "b": 0.0}
            for rows in data.chunk(parts):
                made = rows @ x.T
                losses = {"a": made.square().mean(), "b": (made - 1).abs().mean()}
                balance.weighted(losses, step, 1 / parts)
                whole = {k: whole[k] + v.item() / parts for k, v in losses.items()}
            gradients = balance._gradients
            assert set(gradients) == {"a", "b"}
            found.append([gradient.clone() for gradient in gradients.values()])
            balance.learn(whole, ProcessGroup())
        found.append([torch.tensor([balance.factor("a"), balance.factor("b")]).double()])
    for one, other in zip(found[:6], found[6:], strict=True):
        for a, b in zip(one, other, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_gradnorm_changes_factors_every_so_many_steps():
    x = nn.Parameter(torch.tensor([1.0]))
    section = LossWeightingSection(kind="gradnorm", lr=0.01, every=3)
    balance, changed = GradNorm(section, {}, "model", {"x": x}), []
    for step in range(7):
        before = balance.factor("a")
        losses = {"a": x.square().sum(), "b": 9 * x.square().sum()}
        balance.weighted(losses, step)
        balance.learn({k: float(v.detach()) for k, v in losses.items()}, ProcessGroup())
        changed.append(balance.factor("a") != before)
    assert changed == [True, False, False, True, False, False, True]


def test_gradnorm_favours_the_loss_that_lags_behind():
    balance = GradNorm(LossWeightingSection(kind="gradnorm", lr=0.002, alpha=1.0), {})
    balance.step_factors({"a": 1.0, "b": 1.0}, {"a": 8.0, "b": 8.0})
    for _ in range(3000):
        balance.step_factors({"a": 1.0, "b": 1.0}, {"a": 6.0, "b": 2.0})
    # r = L / L(0) relative to the mean is (1.5, 0.5); equal raw norms: w follows r.
    assert balance.factor("a") == pytest.approx(1.5, abs=0.02)
    assert balance.factor("b") == pytest.approx(0.5, abs=0.02)


def test_gradnorm_compares_at_the_last_weight_that_all_losses_reach():
    trunk, one, two = nn.Linear(3, 3), nn.Linear(3, 1), nn.Linear(3, 1)
    parameters = {f"{part}.{n}": p for part, m in (("trunk", trunk), ("one", one), ("two", two))
                  for n, p in m.named_parameters()}  # fmt: skip
    hidden = trunk(torch.ones(2, 3))
    losses = {"a": one(hidden).sum(), "b": two(hidden).square().sum()}
    balance = GradNorm(LossWeightingSection(kind="gradnorm"), {}, "model", parameters)
    balance.weighted(losses, 0)
    assert balance.state()["shared"] == {"a b": ["trunk.weight"]}
    named = GradNorm(LossWeightingSection(kind="gradnorm", shared=["two"]), {}, "model", parameters)
    named.weighted(losses, 0)
    assert named.state()["shared"] == {"a b": ["two.weight", "two.bias"]}
    wrong = GradNorm(
        LossWeightingSection(kind="gradnorm", shared=["trank"]), {}, "model", parameters
    )
    with pytest.raises(RecipeError, match=r"shared: trank names no weight .* trunk, one, two"):
        wrong.weighted(losses, 0)
    apart = {"a": one(torch.ones(1, 3)).sum(), "b": two(torch.ones(1, 3)).sum()}
    with pytest.raises(RecipeError, match="reach no weight in common"):
        GradNorm(LossWeightingSection(kind="gradnorm"), {}, "model", parameters).weighted(apart, 0)


def test_fixed_weights_are_logged(recipe, tmp_path):
    train(recipe({"steps": 3}, weights={"fool": 0.5}), tmp_path / "run", quiet=True)
    assert records(tmp_path / "run")[0]["weight"] == {"pixels": 1.0, "fool": 0.5, "critic": 1.0}


def test_learnt_weights_are_logged_and_resumed_exactly(recipe, tmp_path, commands):
    train_section = {"balance": {"kind": "gradnorm", "lr": 0.05}, "steps": 24}
    weights = {"fool": 0.5}
    train(recipe(train_section, weights=weights), tmp_path / "whole", quiet=True)
    logged = [record["weight"] for record in records(tmp_path / "whole")]
    assert logged[-1]["pixels"] != pytest.approx(1.0, abs=0.01)
    assert all(isinstance(v, float) for v in logged[-1].values())
    killed = tmp_path / "killed"
    killed_after(commands, recipe(train_section | OFTEN, weights=weights), killed, None, 3)
    assert 0 < checkpoint.load_checkpoint(killed / checkpoint.NAME)[0].step < 24
    train(recipe(train_section, weights=weights), killed, resume=True, quiet=True)
    assert same(killed, tmp_path / "whole")
    assert records(killed) == records(tmp_path / "whole")


def test_weights_change_what_is_learnt(recipe, tmp_path):
    for kind in ("fixed", "uncertainty"):
        train(recipe({"balance": kind, "steps": 8}), tmp_path / kind, quiet=True)
    one, two = (load_file(tmp_path / kind / "model.safetensors")["paint.weight"]
                for kind in ("fixed", "uncertainty"))  # fmt: skip
    assert not torch.equal(one, two)
