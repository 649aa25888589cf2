from __future__ import annotations

import pytest
import torch

from limner.errors import DataError
from limner.metrics.frechet import (
    Gaussian,
    Moments,
    frechet_distance,
    frechet_replicates,
    gaussian_of,
    kernel_distance,
    kernel_sums,
)
from limner.metrics.intervals import bootstrap_weights


def points(n: int, d: int, seed: int, scale: float = 1.0, shift: float = 0.0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) * scale + shift


def test_frechet_of_two_gaussians_on_the_same_axes_is_the_closed_form():
    m1, m2 = torch.tensor([0.0, 1.0, 2.0]), torch.tensor([1.0, 1.0, 0.0])
    v1, v2 = torch.tensor([1.0, 4.0, 0.0]), torch.tensor([9.0, 1.0, 4.0])
    one = Gaussian(m1.double(), torch.diag(v1).double(), 10)
    other = Gaussian(m2.double(), torch.diag(v2).double(), 10)
    truth = (m1 - m2).square().sum() + (v1.sqrt() - v2.sqrt()).square().sum()
    assert frechet_distance(one, other) == pytest.approx(truth.item(), abs=1e-9)
    assert frechet_distance(other, one) == pytest.approx(truth.item(), abs=1e-9)


def test_frechet_does_not_see_a_common_turn_of_the_axes():
    a, b = points(400, 6, 0), points(300, 6, 1, 1.5, 0.3)
    turn = torch.linalg.qr(points(6, 6, 2).double()).Q
    plain = frechet_distance(gaussian_of(a), gaussian_of(b))
    turned = frechet_distance(gaussian_of(a.double() @ turn), gaussian_of(b.double() @ turn))
    assert turned == pytest.approx(plain, rel=1e-9)


def test_features_are_at_no_distance_from_themselves_even_where_it_is_flat():
    flat = points(8, 20, 0)  # fewer pictures than features: a singular covariance
    assert frechet_distance(gaussian_of(flat), gaussian_of(flat)) == pytest.approx(0, abs=1e-6)


def test_moments_of_a_stream_are_those_of_the_whole_far_from_zero_too():
    x = points(1000, 5, 3, 0.1, 1000.0).double()
    moments = Moments()
    for part in x.split([1, 2, 500, 497]):
        moments.update(part)
    found = moments.gaussian()
    torch.testing.assert_close(found.mean, x.mean(0), rtol=1e-12, atol=0)
    torch.testing.assert_close(found.covariance, torch.cov(x.T), rtol=1e-9, atol=1e-12)
    assert found.count == 1000


def test_the_spread_is_half_the_mean_squared_distance_of_pairs():
    x = points(50, 4, 4).double()
    pairs = torch.cdist(x, x).square().sum() / (50 * 49)
    assert gaussian_of(x).spread == pytest.approx(pairs.item() / 2)


def test_broken_or_missing_pictures_are_refused():
    with pytest.raises(DataError, match="not finite"):
        Moments().update(torch.tensor([[1.0, float("nan")]]))
    with pytest.raises(DataError, match="at least two"):
        gaussian_of(points(1, 3, 0))
    with pytest.raises(DataError, match="at least two"):
        kernel_distance(points(1, 3, 0), points(5, 3, 0))


def test_kernel_distance_is_the_sum_over_all_pairs_written_out():
    a, b = points(7, 3, 5).double(), points(5, 3, 6, 1.0, 0.5).double()

    def k(x: torch.Tensor, y: torch.Tensor) -> float:
        return ((x @ y).item() / 3 + 1) ** 3

    inner = sum(k(a[i], a[j]) for i in range(7) for j in range(7) if i != j) / 42
    outer = sum(k(b[i], b[j]) for i in range(5) for j in range(5) if i != j) / 20
    between = sum(k(x, y) for x in a for y in b) / 35
    assert kernel_distance(a, b) == pytest.approx(inner + outer - 2 * between, rel=1e-10)


def test_kernel_distance_is_unbiased_and_grows_with_the_shift():
    same = [kernel_distance(points(60, 4, s), points(60, 4, s + 500)) for s in range(100)]
    mean = sum(same) / len(same)
    spread = (sum((x - mean) ** 2 for x in same) / len(same)) ** 0.5
    assert abs(mean) < 3 * spread / len(same) ** 0.5
    assert min(same) < 0 < max(same)
    near = kernel_distance(points(200, 4, 0), points(200, 4, 1, 1.0, 0.2))
    assert kernel_distance(points(200, 4, 0), points(200, 4, 1, 1.0, 1.0)) > 5 * near > 0


class FirstPixels(torch.nn.Module):
    """Pictures that are features already, packed as torchmetrics wants them."""

    num_features = 12

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1)[:, :12].float()


def test_the_same_as_torchmetrics_on_the_same_features():
    fid_of = pytest.importorskip("torchmetrics.image.fid").FrechetInceptionDistance
    kid_of = pytest.importorskip("torchmetrics.image.kid").KernelInceptionDistance
    rng = torch.Generator().manual_seed(7)
    real = torch.randint(0, 256, (300, 3, 2, 2), dtype=torch.uint8, generator=rng)
    drawn = torch.randint(40, 200, (250, 3, 2, 2), dtype=torch.uint8, generator=rng)
    a, b = FirstPixels()(real), FirstPixels()(drawn)
    fid = fid_of(feature=FirstPixels())
    fid.set_dtype(torch.float64)
    fid.update(real, real=True)
    fid.update(drawn, real=False)
    ours = frechet_distance(gaussian_of(a), gaussian_of(b))
    assert ours == pytest.approx(fid.compute().item(), rel=1e-4)
    kid = kid_of(feature=FirstPixels(), subsets=1, subset_size=250)
    kid.update(real[:250], real=True)
    kid.update(drawn, real=False)
    mean, _ = kid.compute()
    assert kernel_distance(a[:250], b) == pytest.approx(mean.item(), rel=1e-4)


@pytest.mark.parametrize("count", [5, 60])  # fewer and more pictures than features
def test_replicates_are_the_distances_of_resampled_pictures(count: int):
    generator = torch.Generator().manual_seed(3)
    real = gaussian_of(torch.randn(200, 8, generator=generator) * 2 + 1)
    x = torch.randn(count, 8, generator=generator) + 0.5
    found = frechet_replicates(real, x, 6)
    for value, weight in zip(found, bootstrap_weights(count, 6), strict=True):
        rows = torch.repeat_interleave(torch.arange(count), weight.long())
        wanted = frechet_distance(real, gaussian_of(x[rows].double()))
        assert value == pytest.approx(wanted, rel=1e-6, abs=1e-6)


def test_the_kernel_distance_is_the_mean_of_its_influence():
    generator = torch.Generator().manual_seed(4)
    one = torch.randn(300, 6, generator=generator)
    other = torch.randn(250, 6, generator=generator) + 0.3
    sums = kernel_sums(one, other)
    assert sums.influence.mean().item() == pytest.approx(sums.distance)
    assert sums.distance == pytest.approx(kernel_distance(one, other))
    # Its spread is that of the distance: compare with fresh samples of the same distribution.
    fresh = torch.tensor([
        kernel_distance(torch.randn(300, 6, generator=generator), other) for _ in range(60)
    ])  # fmt: skip
    assert sums.influence.std().item() / 300**0.5 == pytest.approx(fresh.std().item(), rel=0.4)
