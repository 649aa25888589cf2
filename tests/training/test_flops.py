"""The operations that a training step is said to take, against closed forms."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from limner.models.base import Batch, ModelConfig, ParameterGroup
from limner.text.base import TextFeatures
from limner.training.flops import count

D, K = 12, 5


class Lines(nn.Module):
    """One product from the start, another one from some share of the budget to another."""

    def __init__(self, begins: float, ends: float = 2.0) -> None:
        super().__init__()
        self.config = ModelConfig(text_dim=D)
        self.always, self.late = nn.Linear(D, K), nn.Linear(D, 3 * K)
        self.begins, self.ends, self.batches = begins, ends, []

    @property
    def optimizer_groups(self) -> dict[str, ParameterGroup]:
        return {"model": ParameterGroup(list(self.parameters()))}

    def losses(self, batch: Batch, group: str) -> dict[str, torch.Tensor]:
        self.batches.append(len(batch.images))
        losses = {"always": self.always(batch.text.pooled).square().mean()}
        if self.begins <= batch.progress < self.ends:
            losses["late"] = self.late(batch.text.pooled).square().mean()
        return losses


def batch(count: int, side: int) -> Batch:
    pooled = torch.ones(count, D)
    text = TextFeatures(pooled[:, None], torch.ones(count, 1, dtype=torch.bool), pooled)
    return Batch(
        images=torch.zeros(count, 3, side, side), text=text, styles=torch.zeros(count).long(),
        generator=torch.Generator(), captions=["x"] * count,
    )  # fmt: skip


@pytest.mark.parametrize(("side", "pictures"), [(16, 8), (64, 8), (128, 2), (256, 2)])
def test_a_product_and_its_gradient_are_four_operations_a_number(side, pictures):
    model = Lines(begins=2.0)
    costs = count(model, batch(16, side))
    assert costs.flops == ((0.0, 4 * D * K),)  # forward, and the gradient of the weights
    assert costs.losses == {"always"}
    assert costs.per_picture(0.0) == costs.per_picture(1.0) == 4 * D * K
    assert not model.batches, "a copy is counted"
    seen = []
    model.always.register_forward_hook(lambda _, given, __: seen.append(len(given[0])))
    count(model, batch(16, side))
    assert set(seen) == {pictures}


def test_stages_of_the_budget_are_counted_apart():
    costs = count(Lines(begins=0.6), batch(4, 16))
    assert costs.per_picture(0.0) == costs.per_picture(0.6) == 4 * D * K
    assert costs.per_picture(0.8) == costs.per_picture(1.0) == 16 * D * K
    assert costs.losses == {"always", "late"}
