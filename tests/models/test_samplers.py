"""The solvers against problems whose solution is known."""

import math
from itertools import pairwise

import pytest
import torch

from limner.errors import UsageError
from limner.models.flow import velocity_from_x
from limner.models.samplers import SOLVERS, euler, guided, heun, uniform_times


def swing(z, t):
    """dz/dt = z cos(t), solved by z(0) exp(sin t)."""
    return z * math.cos(t)


@pytest.mark.parametrize(("solver", "order"), [(euler, 1), (heun, 2)])
def test_order_of_convergence(solver, order):
    start = torch.tensor([1.0, -2.0], dtype=torch.float64)
    exact = start * math.exp(math.sin(1))
    errors = [
        (solver(swing, start, uniform_times(n)) - exact).abs().max().item() for n in (64, 128, 256)
    ]
    for coarse, fine in pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.1)


def test_uneven_times_follow_the_same_curve():
    start = torch.ones(1, dtype=torch.float64)
    times = [(i / 100) ** 2 for i in range(50)] + [0.25 + 0.75 * i / 100 for i in range(101)]
    assert heun(swing, start, times).item() == pytest.approx(math.exp(math.sin(1)), rel=1e-3)


@pytest.mark.parametrize("name", SOLVERS)
def test_constant_velocity_is_exact_and_the_start_untouched(name):
    start = torch.zeros(2, 3)
    end = SOLVERS[name](lambda z, t: torch.full_like(z, 3.0), start, uniform_times(4), None)
    torch.testing.assert_close(end, torch.full((2, 3), 3.0))
    assert not start.any()


@pytest.mark.parametrize(("name", "evaluations"), [("euler", 5), ("heun", 9)])
def test_callback_sees_each_step_and_the_end_is_never_evaluated(name, evaluations):
    seen, asked = [], []

    def velocity(z, t):
        asked.append(t)
        return z

    end = SOLVERS[name](velocity, torch.ones(1), uniform_times(5), lambda *args: seen.append(args))
    assert [(step, time) for step, time, _ in seen] == [(i, (i + 1) / 5) for i in range(5)]
    assert torch.equal(seen[-1][2], end)
    assert len({state.item() for _, _, state in seen}) == 5
    assert len(asked) == evaluations
    assert max(asked) < 1


@pytest.mark.parametrize("name", SOLVERS)
def test_exact_denoiser_of_a_gaussian_draws_that_gaussian(name):
    """With x ~ N(m, s^2), E[x | z] = m + t s^2 / (t^2 s^2 + (1-t)^2) (z - t m)."""
    mean = torch.tensor([0.5, -1.0, 0.0], dtype=torch.float64)
    var = torch.tensor([0.09, 0.5, 2.0], dtype=torch.float64)

    def velocity(z, t):
        gain = t * var / (t**2 * var + (1 - t) ** 2)
        return velocity_from_x(mean + gain * (z - t * mean), z, t)

    count = 20_000
    start = torch.randn(count, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    end = SOLVERS[name](velocity, start, uniform_times(200), None)
    error = var.sqrt() / math.sqrt(count)
    assert ((end.mean(0) - mean).abs() < 4 * error + 0.01).all()
    torch.testing.assert_close(end.var(0), var, rtol=0.05, atol=0.0)


def test_no_steps_are_refused():
    with pytest.raises(UsageError, match="at least 1 step"):
        uniform_times(0)


def make_guided(scale, interval=(0.0, 1.0)):
    calls = []

    def conditional(z, t):
        calls.append("one")
        return z + 10

    def both(z, t):
        calls.append("both")
        half = len(z) // 2
        assert torch.equal(z[:half], z[half:])
        return torch.cat((z[:half] + 10, z[half:] + 4))

    return guided(conditional, both, scale, interval), calls


@pytest.mark.parametrize("scale", [0.0, 0.5, 2.0, 7.0])
def test_guidance_extrapolates_from_the_unconditional(scale):
    velocity, calls = make_guided(scale)
    z = torch.tensor([[1.0], [2.0]])
    torch.testing.assert_close(velocity(z, 0.5), z + 4 + scale * 6)
    assert calls == ["both"]


def test_no_guidance_and_outside_the_interval_cost_one_evaluation():
    z = torch.ones(2, 1)
    velocity, calls = make_guided(1.0)
    torch.testing.assert_close(velocity(z, 0.5), z + 10)
    assert calls == ["one"]
    velocity, calls = make_guided(3.0, (0.2, 0.6))
    for t, expected in ((0.1, 11.0), (0.2, 23.0), (0.6, 23.0), (0.7, 11.0)):
        assert velocity(z, t)[0].item() == pytest.approx(expected)
    assert calls == ["one", "both", "both", "one"]
