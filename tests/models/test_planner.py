"""The planner: what counts in its losses, what becomes of its scores, and that it learns."""

import dataclasses

import pytest
import torch

from limner.models.base import Batch, Parses, build
from limner.models.planner import PlannedThing, Planner, PlannerConfig, ScenePlan
from limner.scenes.labels import Kind
from limner.scenes.layout import RELATIONS
from limner.text.base import TextFeatures
from tiny_configs import tiny_config

DIM = 16


def tiny(**changed: object) -> Planner:
    torch.manual_seed(0)
    return build("planner", {**tiny_config(PlannerConfig, text_dim=DIM).model_dump(), **changed})


def toy(count: int, seed: int) -> tuple[TextFeatures, Parses]:
    """Texts of four pieces whose vectors say what they are: kind and tint one-hot, numbers."""
    g = torch.Generator().manual_seed(seed)
    kinds = torch.randint(0, 4, (count, 5), generator=g)
    kinds[:, 0], kinds[:, 1], kinds[:, 4] = Kind.OTHER, Kind.THING, Kind.OTHER
    thing = kinds == Kind.THING
    counts = torch.randint(1, 5, (count, 5), generator=g) * thing
    sizes = torch.randint(0, 3, (count, 5), generator=g) * thing
    tints = torch.randint(0, 3, (count, 5), generator=g) * thing
    relations = torch.randint(0, 5, (count,), generator=g) * (thing.sum(1) > 1)
    coloured = torch.rand(count, generator=g) < 0.5
    colour = torch.rand(count, 3, generator=g)
    tokens = torch.zeros(count, 5, DIM)
    tokens[..., :4] = torch.nn.functional.one_hot(kinds, 4).float()
    tokens[..., 4], tokens[..., 5] = counts / 4, sizes / 2
    tokens[:, 1:, 6:9] = torch.nn.functional.one_hot(tints[:, 1:], 3).float()
    tokens[:, 0, 6:11] = torch.nn.functional.one_hot(relations, 5).float()
    tokens[:, 0, 11] = coloured.float()
    tokens[:, 0, 12:15] = colour
    tokens += 0.02 * torch.randn(tokens.shape, generator=g)
    mask = torch.ones(count, 5, dtype=torch.bool)
    mask[:, 4] = False
    ground = torch.where(coloured[:, None], colour, -1.0)
    text = TextFeatures(tokens * mask[..., None], mask, tokens[:, 0])
    return text, Parses(kinds, counts, sizes, tints, relations, ground)


def batch_of(text: TextFeatures, parses: Parses) -> Batch:
    size = len(text)
    return Batch(
        images=torch.zeros(size, 3, 16, 16), text=text, styles=torch.full((size,), -1),
        generator=torch.Generator().manual_seed(0), parses=parses,
    )  # fmt: skip


def test_it_learns_a_language_in_which_vectors_say_what_they_are():
    model = tiny(width=32, heads=4, depth=1, text_rank=DIM, text_noise=0.0, max_tokens=5)
    text, parses = toy(2048, 0)
    model.prepare(text)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for step in range(250):
        rows = torch.randint(len(text), (128,), generator=torch.Generator().manual_seed(step))
        losses = model.losses(batch_of(text[rows], parses[rows]), "model")
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
    unseen = toy(200, 1)
    assert model.figures(batch_of(*unseen))["understood"] > 0.9
    plans = model.plan(unseen[0])
    wanted = unseen[1].background[:, 0].tolist()
    pairs = [
        (p.background, w) for p, w in zip(plans, wanted, strict=True) if p.background and w >= 0
    ]
    far = [abs(ground[0] - red) for ground, red in pairs]
    assert sum(far) / len(far) < 0.1
    told = {plan.relation for plan in plans}
    assert told == {None, *RELATIONS}


def test_a_caption_that_could_not_be_parsed_counts_nowhere():
    model = tiny(text_noise=0.0)
    text, parses = toy(6, 3)
    model.prepare(text)
    known = model.losses(batch_of(text[:5], parses[:5]), "model")
    parses.kinds[5] = -1
    parses.background[5] = -1
    for name, loss in model.losses(batch_of(text, parses), "model").items():
        torch.testing.assert_close(loss, known[name], msg=name)


def test_a_batch_without_parses_is_refused():
    model = tiny()
    text, parses = toy(2, 0)
    with pytest.raises(ValueError, match="scenes"):
        model.losses(dataclasses.replace(batch_of(text, parses), parses=None), "model")


def test_a_plan_does_not_depend_on_its_neighbours():
    model = tiny().eval()
    text, _ = toy(12, 5)
    model.prepare(text)
    alone = [model.plan(text[[i]])[0] for i in range(12)]
    assert model.plan(text) == alone
    assert model.plan(text.padded(9)) == alone


def test_one_thing_on_white_is_not_arranged():
    assert ScenePlan((PlannedThing(0),)).single
    assert ScenePlan(()).single
    assert ScenePlan((PlannedThing(2, size="big", tint="red"),)).single
    assert not ScenePlan((PlannedThing(0, 2),)).single
    assert not ScenePlan((PlannedThing(1),), background=(0.1, 0.5, 0.2)).single
    assert not ScenePlan((PlannedThing(1), PlannedThing(3))).single


def test_parses_are_cut_and_filled_with_nothing():
    _, parses = toy(3, 0)
    assert torch.equal(parses.padded(3).kinds, parses.kinds[:, :3])
    longer = parses.padded(8)
    assert longer.counts.shape == (3, 8)
    assert not longer.kinds[:, 5:].any()
    assert torch.equal(longer.background, parses.background)


def test_what_lies_beyond_the_end_of_a_text_is_not_looked_at():
    """A text of three pieces has the plan that a network without places for more gives it."""
    model = tiny(max_tokens=5).eval()
    text, _ = toy(3, 4)
    mask = torch.arange(5) < 3
    short = TextFeatures(text.tokens * mask[:, None], mask.expand(3, -1), text.pooled)
    model.prepare(text)
    small = build("planner", {**model.config.model_dump(), "max_tokens": 3}).eval()
    state = model.state_dict()
    small.load_state_dict(state | {"place": state["place"][:3]})
    long, brief = model(short), small(short)
    for name in ("kinds", "counts", "sizes"):
        one, other = getattr(long, name)[:, :3], getattr(brief, name)
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(long.relations, brief.relations, rtol=1e-4, atol=1e-5)
