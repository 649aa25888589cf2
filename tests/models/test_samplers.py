"""The solvers against problems whose solution is known."""

import math
from itertools import pairwise

import pytest
import torch

import second_device
from limner.models.flow import velocity_from_x
from limner.models.samplers import (
    SOLVERS,
    SolverState,
    choose_codes,
    euler,
    guided,
    heun,
    late,
    noised,
    solver_step,
)


def solve(name, velocity, start, steps, callback=None):
    """The whole solution, an evaluation after another."""
    state = SolverState(start, start, torch.zeros_like(start))
    for evaluation in SOLVERS[name](steps):
        state = solver_step(state, velocity(state.z, evaluation.time), [evaluation] * len(start))
        if callback:
            callback(evaluation, state)
    return state.z


def swing(z, t):
    """dz/dt = z cos(t), solved by z(0) exp(sin t)."""
    return z * math.cos(t)


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("heun", 2)])
def test_order_of_convergence(solver, order):
    start = torch.tensor([1.0, -2.0], dtype=torch.float64)
    exact = start * math.exp(math.sin(1))
    errors = [(solve(solver, swing, start, n) - exact).abs().max().item() for n in (64, 128, 256)]
    for coarse, fine in pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.1)


def test_rows_of_different_solvers_and_times_share_a_step():
    start = torch.tensor([[1.0], [-2.0], [3.0]], dtype=torch.float64)
    plans = [euler(3), heun(2), heun(7)]
    alone = torch.cat([solve(n, swing, z[None], s)
                       for n, z, s in (("euler", start[0], 3), ("heun", start[1], 2),
                                       ("heun", start[2], 7))])  # fmt: skip
    state, done = SolverState(start, start, torch.zeros_like(start)), {}
    for number in range(len(plans[-1])):
        now = [plan[min(number, len(plan) - 1)] for plan in plans]
        velocity = torch.stack([swing(z, e.time) for z, e in zip(state.z, now, strict=True)])
        state = solver_step(state, velocity, now)
        done |= {row: state.z[row] for row, plan in enumerate(plans) if len(plan) == number + 1}
    assert torch.equal(torch.stack([done[row] for row in range(3)]), alone)


@pytest.mark.parametrize("name", SOLVERS)
def test_constant_velocity_is_exact_and_the_start_untouched(name):
    start = torch.zeros(2, 3)
    end = solve(name, lambda z, t: torch.full_like(z, 3.0), start, 4)
    torch.testing.assert_close(end, torch.full((2, 3), 3.0))
    assert not start.any()


@pytest.mark.parametrize(("name", "evaluations"), [("euler", 5), ("heun", 9)])
def test_the_end_is_reached_and_never_evaluated(name, evaluations):
    plan = SOLVERS[name](5)
    assert len(plan) == evaluations
    assert max(each.time for each in plan) < 1
    assert sum(each.width for each in plan if not each.corrects) == pytest.approx(1)
    states = []
    solve(name, lambda z, t: z, torch.ones(1), 5, lambda _, state: states.append(state.z.item()))
    assert len(set(states)) == evaluations


@pytest.mark.parametrize("name", SOLVERS)
def test_the_last_share_of_the_way_is_solved_as_the_whole_is(name):
    """dz/dt = cos t from 0.4 on: z(1) - z(0.4) = sin 1 - sin 0.4."""
    whole, part = SOLVERS[name](200), late(SOLVERS[name](200), 0.6)
    assert len(part) == len(whole) and part[0].time == pytest.approx(0.4)
    assert sum(each.width for each in part if not each.corrects) == pytest.approx(0.6)
    assert [each.corrects for each in part] == [each.corrects for each in whole]
    state = SolverState(*torch.zeros(3, 1, dtype=torch.float64))
    for each in part:
        state = solver_step(state, torch.full_like(state.z, math.cos(each.time)), [each])
    assert state.z.item() == pytest.approx(math.sin(1) - math.sin(0.4), abs=2e-3)


@pytest.mark.parametrize("name", SOLVERS)
def test_exact_denoiser_of_a_gaussian_draws_that_gaussian(name):
    """With x ~ N(m, s^2), E[x | z] = m + t s^2 / (t^2 s^2 + (1-t)^2) (z - t m)."""
    mean = torch.tensor([0.5, -1.0, 0.0], dtype=torch.float64)
    var = torch.tensor([0.09, 0.5, 2.0], dtype=torch.float64)

    def velocity(z, t):
        gain = t * var / (t**2 * var + (1 - t) ** 2)
        return velocity_from_x(mean + gain * (z - t * mean), z, torch.tensor(1 - t))

    count = 20_000
    start = torch.randn(count, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    end = solve(name, velocity, start, 200)
    error = var.sqrt() / math.sqrt(count)
    assert ((end.mean(0) - mean).abs() < 4 * error + 0.01).all()
    torch.testing.assert_close(end.var(0), var, rtol=0.05, atol=0.0)


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0, 2.0, 7.0])
def test_guidance_extrapolates_from_the_unconditional(scale):
    z = torch.tensor([[1.0], [2.0]])
    torch.testing.assert_close(guided(z + 10, z + 4, [scale, 1.0])[0], z[0] + 4 + scale * 6)
    torch.testing.assert_close(guided(z + 10, z + 4, [scale, 1.0])[1], z[1] + 10)


def test_going_back_in_time_leaves_the_signal_and_the_noise_of_that_time():
    """z_t = t x + (1 - t) n of independent unit noise, at 0.75 and then at 0.5."""
    n, m = torch.randn(2, 200_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = torch.full_like(n, 3.0)
    found = noised(0.75 * x + 0.25 * n, m, 0.75, 0.5)
    assert found.mean().item() == pytest.approx(0.5 * 3, abs=5e-3)
    assert found.std().item() == pytest.approx(0.5, abs=5e-3)


def test_guidance_is_one_operation_for_all_rows_of_another_device():
    second_device.register()
    given, free = torch.randn(2, 5, 3, 7, 7).unbind()
    scales = [0.0, 1.0, 1.5, 3.0, 7.5]
    with second_device.waits() as waits:
        found = guided(given.to(second_device.NAME), free.to(second_device.NAME), scales)
    assert len(waits) == 2  # the two copies above
    torch.testing.assert_close(found.cpu(), guided(given, free, scales), rtol=1e-6, atol=1e-6)


def test_the_very_end_of_the_mass_is_a_code_that_can_be_drawn():
    logits, end = torch.tensor([[3.0, 2.0, 1.0, 0.0]]), torch.ones(1, dtype=torch.float64)
    assert choose_codes(logits, end, top_k=2).tolist() == [1]
    assert choose_codes(logits.flip(-1), end, top_k=2).tolist() == [3]
    assert choose_codes(logits, end).tolist() == [3]


def test_a_code_that_begins_where_top_p_ends_is_left_out():
    end = torch.full((1,), 0.999, dtype=torch.float64)
    assert choose_codes(torch.zeros(1, 2), end, top_p=0.5).tolist() == [0]
    assert choose_codes(torch.zeros(1, 4), end, top_p=0.5).tolist() == [1]
