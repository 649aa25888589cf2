from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from limner.data.selection import Selection
from limner.data.store import Caption, Store
from limner.data.writer import StoreWriter
from limner.errors import DataError
from limner.evaluation.real_features import gaussian_of_rows
from limner.metrics.features import load_features
from limner.metrics.frechet import FrechetScore, Gaussian, frechet_distance, gaussian_of
from limner.metrics.memorisation import pixels
from limner.vision.convnet import Extracted

TORCH_FIDELITY = 5.6182320181423755
"""``fid_statistics_to_metric`` of ``fid_features_to_statistics`` of :func:`waves` by torch-fidelity
0.4.0 (numpy, double precision), in an environment of its own: it needs torchvision."""


def real_gaussian(store: Store, network, selection: Selection | None = None) -> Gaussian:
    rows = (selection or Selection()).rows(store)
    return gaussian_of_rows(store, rows, network)


def waves(rows: int, columns: int, step: float) -> np.ndarray:
    i, j = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    return np.sin(step * (i + 1) * (j + 1)) + 0.5 * np.cos(0.37 * i + j * j)


def test_the_same_as_torch_fidelity_on_the_same_features():
    one = torch.from_numpy(waves(500, 24, 0.7))
    other = torch.from_numpy(1.2 * waves(400, 24, 1.3) + 0.1)
    found = frechet_distance(gaussian_of(one), gaussian_of(other))
    assert found == pytest.approx(TORCH_FIDELITY, abs=1e-8)


def test_wide_features_are_summed_block_by_block():
    x = torch.randn(900, 600, generator=torch.Generator().manual_seed(0)).double()
    torch.testing.assert_close(gaussian_of(x).covariance, torch.cov(x.T), rtol=1e-10, atol=1e-12)


def test_the_root_squared_is_the_covariance():
    gaussian = gaussian_of(torch.randn(50, 9, generator=torch.Generator().manual_seed(1)))
    torch.testing.assert_close(
        gaussian.root @ gaussian.root, gaussian.covariance, rtol=1e-9, atol=1e-12
    )
    assert gaussian.with_root(gaussian.root).root is gaussian.root


class Network(torch.nn.Module):
    """The shipped feature network as torchmetrics wants one."""

    num_features = 128

    def __init__(self) -> None:
        super().__init__()
        self.features = load_features("fashion")

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.features.extract(images).features


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("fid")
    with StoreWriter(folder / "real", 28, "real", licences={"made-up": "CC0-1.0"}) as writer:
        for i in range(300):
            blocks = rng.integers(0, 256, (7, 7, 1), dtype=np.uint8)
            facts = {"id": i, "half": str(i % 2)}
            writer.add(blocks.repeat(4, 0).repeat(4, 1).repeat(3, 2), [Caption("x")], facts)
        return writer.finish()


def test_a_stream_against_a_store_is_torchmetrics(store: Store):
    theirs = pytest.importorskip("torchmetrics.image.fid").FrechetInceptionDistance
    network = load_features("fashion")
    real = pixels(store, np.arange(300))
    drawn = torch.rand(200, 3, 28, 28, generator=torch.Generator().manual_seed(2)) * 2 - 1
    metric = theirs(feature=Network())
    metric.set_dtype(torch.float64)
    metric.update(real, real=True)
    ours = FrechetScore(real_gaussian(store, network), network)
    for part in drawn.split(64):
        ours.update(part)
        metric.update(part, real=False)
    found = ours.compute()
    assert found["fid"] == pytest.approx(metric.compute().item(), abs=1e-4)
    assert found["count"] == 200 and found["fid"] > 1


def test_the_real_side_is_remembered(store: Store):
    known = real_gaussian(store, load_features("fashion"))

    class Blind:
        spec, fingerprint, classes = "fashion", load_features("fashion").fingerprint, ()

        def extract(self, images: torch.Tensor) -> Extracted:
            raise AssertionError("looked again")

    again = real_gaussian(store, Blind())
    assert torch.equal(again.covariance, known.covariance) and again.count == 300
    assert "root" in again.__dict__  # and that is remembered too
    half = Selection({"half": ["1"]})
    with pytest.raises(AssertionError, match="looked again"):
        real_gaussian(store, Blind(), half)
    assert real_gaussian(store, load_features("fashion"), half).count == 150


def test_what_is_remembered_is_made_again_where_it_is_damaged(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path))
    network = load_features("fashion")
    known = real_gaussian(store, network)
    for path in tmp_path.rglob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:100])
    assert torch.equal(real_gaussian(store, network).covariance, known.covariance)


def test_broken_pictures_are_refused(store: Store):
    network = load_features("fashion")
    score = FrechetScore(real_gaussian(store, network), network)
    with pytest.raises(DataError, match="finite"):
        score.update(torch.full((2, 3, 28, 28), float("inf")))
    with pytest.raises(DataError, match="at least two"):
        score.compute()
