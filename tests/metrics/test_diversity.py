from __future__ import annotations

import pytest
import torch

from limner.errors import DataError
from limner.evaluation.reference import spread_within
from limner.metrics.collapse import nearest_other
from limner.metrics.diversity import Diversity, within_and_overall
from limner.metrics.features import LastBatch, load_features
from limner.vision.convnet import Extracted


def points(n: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 5, generator=torch.Generator().manual_seed(seed))


def pictures(n: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, 3, 32, 32, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_distances_within_and_overall_are_those_of_all_pairs():
    x, captions = points(12), ["a", "b", "c", "a", "a", "b"] * 2
    pairs = [(i, j) for i in range(12) for j in range(i)]
    square = {(i, j): (x[i] - x[j]).square().sum().item() for i, j in pairs}
    within, overall = within_and_overall(x, captions)
    assert overall == pytest.approx((sum(square.values()) / len(pairs)) ** 0.5, rel=1e-5)
    # Pooled as variances are: each caption's mean pair, weighted by its pictures less one.
    total, free = 0.0, 0
    for text in "abc":
        rows = [i for i in range(12) if captions[i] == text]
        own = [square[i, j] for i in rows for j in rows if j < i]
        total += sum(own) / len(own) * (len(rows) - 1)
        free += len(rows) - 1
    assert within == pytest.approx((total / free) ** 0.5, rel=1e-5)


def test_one_picture_a_caption_has_nothing_within():
    within, overall = within_and_overall(points(3), ["a", "b", "c"])
    assert within != within and overall > 0


def test_a_model_with_one_picture_a_caption_is_not_diverse():
    network, real = load_features("judge"), pictures(40).split(16)
    varied, stuck = Diversity(network, real), Diversity(network, real)
    captions = ["a", "b", "c", "d"] * 10
    varied.update(pictures(40, 1), captions)
    stuck.update(pictures(4, 1).repeat(10, 1, 1, 1), captions)
    assert varied.compute()["within"] == pytest.approx(1.0, abs=0.1)
    assert varied.compute()["duplicates"] < 0.2
    assert stuck.compute()["within"] == pytest.approx(0.0, abs=1e-3)
    assert stuck.compute()["duplicates"] == 1.0
    alone = Diversity(network, real)
    alone.update(pictures(4), ["a", "b", "c", "d"])
    assert "within" not in alone.compute()


def test_two_real_pictures_define_a_duplicate_and_one_does_not():
    network = load_features("judge")
    with pytest.raises(DataError, match="give at least two"):
        Diversity(network, [pictures(1)])
    two = Diversity(network, [pictures(2)])
    two.update(pictures(1).repeat(2, 1, 1, 1), ["a", "b"])
    assert two.compute()["duplicates"] == 1.0


def test_neighbours_are_found_beyond_the_first_thousand():
    x = torch.arange(2500.0)[:, None] ** 1.1
    nearest = nearest_other(x)
    wanted = torch.cat([x[1:2] - x[:1], torch.minimum(x[1:-1] - x[:-2], x[2:] - x[1:-1]),
                        x[-1:] - x[-2:-1]])[:, 0]  # fmt: skip
    torch.testing.assert_close(nearest, wanted.double(), rtol=1e-4, atol=1e-4)


def test_features_of_the_last_batch_are_kept_and_those_of_others_extracted():
    class Counting:
        spec, fingerprint, classes = "counting", "0", ()
        looks = 0

        def extract(self, images: torch.Tensor) -> Extracted:
            self.looks += 1
            return Extracted(images.mean((2, 3)))

    network = Counting()
    once, first, second = LastBatch(network), pictures(2), pictures(2, 1)
    a = once.extract(first).features
    assert torch.equal(once.extract(first).features, a) and network.looks == 1
    assert torch.equal(once.extract(second).features, second.mean((2, 3))) and network.looks == 2
    assert torch.equal(once.extract(first).features, a) and network.looks == 3
    assert (once.spec, once.fingerprint, once.classes) == ("counting", "0", ())


def test_too_little_is_refused():
    with pytest.raises(DataError, match="at least two"):
        Diversity(load_features("judge"), [pictures(1)])
    metric = Diversity(load_features("judge"), [pictures(8)])
    metric.update(pictures(1), ["a"])
    with pytest.raises(DataError, match="fewer than two"):
        metric.compute()


def test_the_spread_within_classes_is_the_pooled_deviation():
    """sqrt(sum of squared distances from the own class's mean / (N - classes)), as in ANOVA."""
    features = torch.tensor([[0.0, 0.0], [2.0, 0.0], [5.0, 1.0], [5.0, 4.0], [5.0, 7.0]])
    asked = torch.tensor([7, 7, 3, 3, 3])
    spread, squares = spread_within(features, asked)
    assert spread == pytest.approx(((1 + 1 + 9 + 0 + 9) / (5 - 2)) ** 0.5)
    assert squares.mean().item() == pytest.approx(spread**2)
    assert squares.tolist() == pytest.approx([each * 5 / 3 for each in (1, 1, 9, 0, 9)])
    assert spread_within(features, torch.arange(5))[0] == 0
