"""The transform code against rate-distortion theory and published quantiser tables."""

from __future__ import annotations

import math

import pytest
import torch

from limner.models.transform_code import TransformCode, _allocate, _lloyd


def correlated(count: int, dim: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Gaussian vectors whose principal variances fall, and those variances."""
    g = torch.Generator().manual_seed(0)
    variances = 4.0 * 0.7 ** torch.arange(dim)
    turn = torch.linalg.qr(torch.randn(dim, dim, generator=g)).Q
    return torch.randn(count, dim, generator=g) * variances.sqrt() @ turn.T + 3, variances


@pytest.fixture(scope="module")
def coded() -> tuple[TransformCode, torch.Tensor, torch.Tensor]:
    vectors, variances = correlated(4000, 16)
    code = TransformCode(4000, 16, 4)
    code.fit(vectors)
    return code, vectors, variances


def test_levels_are_those_of_max():
    values = torch.special.ndtri((torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000)
    assert _lloyd(values, 2).tolist() == pytest.approx([-0.7979, 0.7979], abs=2e-3)
    assert _lloyd(values, 4).tolist() == pytest.approx([-1.510, -0.4528, 0.4528, 1.510], abs=3e-3)


def test_bits_follow_the_variances():
    assert _allocate([1.0] * 4, 8).tolist() == [2] * 4
    assert _allocate([16.0, 4.0, 1.0, 1e-9], 6).tolist() == [3, 2, 1, 0]
    assert _allocate([1.0], 100).tolist() == [8], "no number takes more than a byte"


def test_error_is_near_what_the_bits_allow(coded):
    code, vectors, variances = coded
    error = (code(torch.arange(4000)) - vectors).square().sum(1).mean()
    assert int(code.bits.sum()) == 32
    assert code.codes.shape == (4000, 4)
    # Shannon: with R bits in all over k axes, k (prod v)^(1/k) 2^(-2R/k) at least.
    used = variances[code.bits > 0]
    floor = len(used) * math.exp(used.log().mean()) * 2 ** (-2 * 32 / len(used))
    floor += variances[code.bits == 0].sum()
    assert 0.8 * floor < error < 2.2 * floor
    half = TransformCode(4000, 16, 2)
    half.fit(vectors)
    assert (half(torch.arange(4000)) - vectors).square().sum(1).mean() > 2 * error


def test_a_row_does_not_depend_on_the_others(coded):
    code, _, _ = coded
    some = code(torch.tensor([7, 3999, 0, 7]))
    assert torch.equal(some[0], some[3])
    for place, row in enumerate((7, 3999, 0)):
        assert torch.equal(code(torch.tensor([row]))[0], some[place])


def test_few_vectors_and_too_much_room():
    vectors, _ = correlated(3, 4)
    code = TransformCode(3, 4, 50)
    code.fit(vectors)
    assert torch.allclose(code(torch.arange(3)), vectors, atol=1e-2)
    g = torch.Generator().manual_seed(1)
    wide = torch.randn(6, 64, generator=g)  # five axes are used
    code = TransformCode(6, 64, 64)
    code.fit(wide)
    assert torch.allclose(code(torch.arange(6)), wide, atol=1e-3)
    assert (code.bits > 0).sum() == 5
    same = TransformCode(2, 4, 5)
    same.fit(torch.ones(2, 4))
    assert torch.allclose(same(torch.arange(2)), torch.ones(2, 4), atol=1e-4)


def test_more_vectors_are_stored_as_the_others_are(coded):
    code, vectors, _ = coded
    longer = TransformCode(4002, 16, 4)
    longer.load_state_dict(
        {n: v for n, v in code.state_dict().items() if n != "codes"}, strict=False
    )
    longer.codes[:4000] = code.codes
    longer.put(4000, vectors[[5, 9]])
    assert torch.equal(longer(torch.tensor([4000, 4001])), code(torch.tensor([5, 9])))


def test_rounded_vectors_are_those_that_come_back(coded):
    code, vectors, _ = coded
    rows = torch.arange(0, 4000, 37)
    assert torch.allclose(code.rounded(vectors[rows]), code(rows), atol=1e-5)
