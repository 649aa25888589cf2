from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

import training_tiny as tiny
from limner.models.base import build
from limner.training.ema import Ema, ema_decay
from limner.training.recipe import EmaSection, ScheduleSection
from limner.training.schedule import BudgetSchedule, decay_factor, rate_factor


@pytest.mark.parametrize(
    ("schedule", "progress", "value"),
    [
        (ScheduleSection(kind="constant"), 0.9, 1.0),
        (ScheduleSection(kind="linear"), 0.25, 0.75),
        (ScheduleSection(kind="linear", final=0.2), 0.25, 0.8),
        (ScheduleSection(kind="cosine"), 1 / 3, 0.75),
        (ScheduleSection(kind="cosine", final=0.5), 0.5, 0.75),
        (ScheduleSection(kind="wsd", decay_fraction=0.4), 0.6, 1.0),
        (ScheduleSection(kind="wsd", decay_fraction=0.4), 0.8, 0.5),
        (ScheduleSection(kind="wsd", decay_fraction=0.4, final=0.1), 1.0, 0.1),
    ],
)
def test_closed_forms(schedule, progress, value):
    assert decay_factor(schedule, progress) == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("kind", ["cosine", "linear", "wsd"])
def test_every_decay_ends_at_its_final_value(kind):
    assert decay_factor(ScheduleSection(kind=kind, final=0.03), 0.0) == 1.0
    assert decay_factor(ScheduleSection(kind=kind, final=0.03), 1.0) == pytest.approx(0.03)


def test_warmup_climbs_and_ends_with_a_tenth_of_the_budget():
    flat = ScheduleSection(kind="constant")
    assert [rate_factor(flat, 4, s, 0.0) for s in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert rate_factor(flat, 0, 0, 0.0) == 1.0
    assert rate_factor(flat, 1000, 3, 0.05) == 0.5
    assert rate_factor(flat, 1000, 3, 0.1) == 1.0


def test_a_budget_of_steps_is_a_pure_function():
    plan = BudgetSchedule(steps=8)
    assert [plan.progress(s) for s in range(10)] == [s / 8 for s in range(9)] + [1.0]
    plan.begin(0, 0.0)
    assert plan.measure(7, 1e9) is None
    assert not plan.done(7, 1e9)
    assert plan.done(8, 0.0)


def run(plan: BudgetSchedule, speed, until: float = math.inf) -> tuple[list[float], float]:
    """Train by a clock of our own; ``speed(elapsed)`` is steps a second."""
    step, elapsed, seen = 0, 0.0, []
    plan.begin(0, 0.0)
    while not plan.done(step, elapsed) and elapsed < until:
        seen.append(plan.progress(step))
        step, elapsed = step + 1, elapsed + 1 / speed(elapsed)
        plan.measure(step, elapsed)
    return seen, elapsed


@pytest.mark.parametrize(
    "speed",
    [
        lambda t: 10.0,
        lambda t: 10.0 if t < 150 else 4.0,  # another program takes half of the machine
        lambda t: 4.0 if t < 150 else 10.0,
        lambda t: 1.0 if t < 10 else 20.0,  # a slow start spoils the first measurement
        lambda t: 8.0 + 4 * math.sin(t),
        lambda t: 25.0 if t else 1 / 45,  # the first step is compiled
    ],
)
def test_a_budget_of_minutes_is_used_up_smoothly(speed):
    plan = BudgetSchedule(seconds=300.0)
    seen, elapsed = run(plan, speed)
    steps = [b - a for a, b in pairwise(seen)]
    assert min(steps) >= 0
    assert max(steps) < 0.02  # never a jump
    assert seen[-1] > 0.98  # the decay has finished, and the time is used
    assert 0.98 * 300 < elapsed < 1.01 * 300


def test_the_speed_is_measured_over_more_than_a_step():
    """Over 2 % of the budget at first, then 1 %: steps of uneven length give no plan each."""
    plan = BudgetSchedule(seconds=300.0)
    run(plan, lambda t: 8.0 + 4 * math.sin(40 * t))
    planned = [segment.seconds for segment in plan.segments[1:]]
    assert 6.0 <= planned[0] < 6.5
    assert len(planned) > 1 and min(b - a for a, b in pairwise(planned)) >= 2.999


def test_a_run_whose_steps_were_planned_too_few_goes_on():
    """As where the steps of several shapes are compiled, one after the other."""
    plan = BudgetSchedule(seconds=300.0)
    seen, elapsed = run(plan, lambda t: 0.2 if t < 45 else 50.0)
    assert len(seen) > 0.8 * (300 - 45) * 50
    assert seen[-1] > 0.98
    assert 0.9 * 300 <= elapsed < 1.01 * 300


def test_a_plan_restored_is_the_same_plan():
    plan = BudgetSchedule(seconds=300.0)
    run(plan, lambda t: 10.0, until=100.0)
    again = BudgetSchedule.restore(plan.state())
    assert [again.progress(s) for s in range(500, 5000, 7)] == [
        plan.progress(s) for s in range(500, 5000, 7)
    ]
    assert len(plan.segments) > 1


def test_the_clock_may_end_a_budget_of_steps():
    plan = BudgetSchedule(steps=1000, seconds=10.0)
    seen, _ = run(plan, lambda t: 10.0)
    assert 95 <= len(seen) <= 105
    assert seen[-1] > 0.95
    assert len(run(BudgetSchedule(steps=50, seconds=100.0), lambda t: 10.0)[0]) == 50


def test_more_budget_goes_on_from_the_share_already_spent():
    plan = BudgetSchedule(steps=100)
    plan.rebudget(200, None, 100, 50.0)
    assert plan.progress(100) == 0.5
    timed = BudgetSchedule(seconds=60.0)
    run(timed, lambda t: 10.0)
    timed.rebudget(None, 120.0, 600, 60.0)
    assert timed.progress(600) == 0.5
    assert not timed.done(600, 60.0)


def test_ema_decay_closed_forms():
    by_decay, by_half_life = EmaSection(decay=0.9, warmup=0), EmaSection(half_life=5, warmup=0)
    assert ema_decay(by_decay, 10**6) == pytest.approx(0.9)
    assert ema_decay(by_half_life, 0) ** 5 == pytest.approx(0.5)
    assert EmaSection().half_life == 500
    assert ema_decay(EmaSection(decay=0.0), 3) == 0.0
    early = EmaSection(half_life=100, warmup=0.1)
    assert ema_decay(early, 0) == 0.0
    assert ema_decay(early, 20) == pytest.approx(0.5**0.5)
    assert ema_decay(early, 10_000) == pytest.approx(0.5**0.01)


def test_ema_of_a_known_sequence():
    model = build(tiny.NAME, {"size": 16, "text_dim": 4})
    decay, values = 0.75, [1.0, 2.0, -3.0, 5.0]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(values[0])
    ema = Ema(model, EmaSection(decay=decay, warmup=0))
    for step, value in enumerate(values[1:]):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(value)
            model.centre.fill_(value)
        ema.update(model, step)
    wanted = decay**3 * 1 + (1 - decay) * (decay**2 * 2 + decay * -3 + 5)
    for parameter in ema.model.parameters():
        assert torch.allclose(parameter, torch.full_like(parameter, wanted))
        assert not parameter.requires_grad
    assert torch.equal(ema.model.centre, torch.full((4,), 5.0))
    assert not ema.model.training


def test_buffers_are_copied_where_they_were_written_to():
    model = build(tiny.NAME, {"size": 16, "text_dim": 4})
    ema = Ema(model, EmaSection(decay=0.5, warmup=0))
    ema.update(model, 0)
    before = ema.model.centre._version
    ema.update(model, 1)
    assert ema.model.centre._version == before
    model.centre.add_(1)
    model(torch.randn(8, 4), torch.randn(8, 4))  # batch normalisation, which torch does not count
    ema.update(model, 2)
    for (name, mine), theirs in zip(ema.model.named_buffers(), model.buffers(), strict=True):
        assert torch.equal(mine, theirs), name
    model.centre = torch.full((4,), 7.0)  # another tensor
    ema.update(model, 3)
    assert torch.equal(ema.model.centre, model.centre)
