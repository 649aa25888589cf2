from __future__ import annotations

import warnings

import pytest
import torch

from limner.errors import DataError
from limner.metrics.inception import inception_score


class Passing(torch.nn.Module):
    """Logits packed as pictures."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1)


def test_sure_and_even_classes_score_their_number_and_doubt_scores_one():
    sure = torch.full((60, 6), -1e9)
    sure[torch.arange(60), torch.arange(60) % 6] = 0.0
    assert inception_score(sure.log_softmax(1), splits=1)[0] == pytest.approx(6.0)
    assert inception_score(torch.zeros(60, 6).log_softmax(1), 5) == pytest.approx((1.0, 0.0))
    same = sure[:1].expand(60, -1).log_softmax(1)
    assert inception_score(same, 5) == pytest.approx((1.0, 0.0))


def test_two_kinds_of_pictures_by_hand():
    rows = torch.tensor([[0.9, 0.1], [0.3, 0.7]]).log()
    middle = torch.tensor([0.6, 0.4])
    gain = (rows.exp() * (rows - middle.log())).sum(1).mean().exp()
    assert inception_score(rows, splits=1)[0] == pytest.approx(gain.item(), rel=1e-6)


def test_the_same_as_torchmetrics():
    theirs = pytest.importorskip("torchmetrics.image.inception").InceptionScore
    logits = 3 * torch.randn(203, 7, generator=torch.Generator().manual_seed(5))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metric = theirs(feature=Passing(), splits=10)
    metric.update(logits[:, :, None, None])
    torch.manual_seed(0)  # of the order in which both deal the pictures out
    wanted = [each.item() for each in metric.compute()]
    assert inception_score(logits.log_softmax(1), 10, seed=0) == pytest.approx(wanted, rel=1e-5)


def test_fewer_pictures_than_parts_are_refused():
    with pytest.raises(DataError, match="0 pictures"):
        inception_score(torch.zeros(0, 3))
