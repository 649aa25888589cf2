from __future__ import annotations

import pytest
import torch

from limner.errors import DataError
from limner.metrics.manifold import NEAREST, NEAREST_DENSE, distances, manifold, manifold_scores


def points(n: int, d: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) + shift


def test_distances_tell_near_neighbours_far_from_zero():
    x = points(5, 3, 0).double() * 1e-3 + 100
    torch.testing.assert_close(
        distances(x, x[:2]),
        (x[:, None] - x[None, :2]).square().sum(2).sqrt(),
        rtol=1e-4,
        atol=1e-6,
    )


def test_radii_on_a_line_are_known():
    line = torch.arange(10.0)[:, None]
    radii = manifold(line).radii
    assert radii[NEAREST][0] == 3 and radii[NEAREST_DENSE][0] == 5  # the end of the line
    assert radii[NEAREST][5] == 2 and radii[NEAREST_DENSE][5] == 3  # its middle


def test_a_collapsed_model_is_precise_and_covers_nothing():
    real = points(400, 4, 0)
    drawn = real[:1] + 1e-3 * points(400, 4, 1)
    found = manifold_scores(manifold(real), manifold(drawn)).means()
    assert found["precision"] == 1.0
    assert found["recall"] < 0.02
    assert found["coverage"] < 0.05


def test_distant_pictures_shares_nothing():
    found = manifold_scores(manifold(points(100, 4, 0)), manifold(points(100, 4, 1, 100.0))).means()
    assert found == {"precision": 0.0, "recall": 0.0, "density": 0.0, "coverage": 0.0}


def test_two_samples_of_one_distribution_cover_each_other_as_the_theory_says():
    found = manifold_scores(manifold(points(3000, 2, 0)), manifold(points(3000, 2, 1))).means()
    assert found["density"] == pytest.approx(1.0, abs=0.03)  # Naeem et al., lemma 1
    assert found["coverage"] == pytest.approx(1 - 0.5**NEAREST_DENSE, abs=0.02)  # lemma 2


def test_too_few_pictures_are_refused():
    with pytest.raises(DataError, match="at least 6"):
        manifold(points(5, 2, 0))


def test_the_same_as_the_prdc_package():
    prdc = pytest.importorskip("prdc")
    real, drawn = points(700, 8, 2), points(600, 8, 3, 0.4)
    ours = manifold_scores(manifold(real), manifold(drawn)).means()
    for k, names in ((NEAREST, ("precision", "recall")), (NEAREST_DENSE, ("density", "coverage"))):
        theirs = prdc.compute_prdc(real.double().numpy(), drawn.double().numpy(), nearest_k=k)
        for name in names:
            assert ours[name] == pytest.approx(float(theirs[name]), abs=1e-9), name
