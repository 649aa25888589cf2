from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from limner.data.store import Caption, Store
from limner.data.writer import StoreWriter
from limner.errors import DataError
from limner.metrics.memorisation import (
    Memorisation,
    Threshold,
    calibrate,
    mosaic,
    mosaics_of,
    nearest_pictures,
    pixels,
    threshold_between_styles,
    verdict,
)


def threshold_of(store: Store) -> Threshold:
    """Of the store's own pictures, leaving each out in turn."""
    rows = np.arange(len(store))
    return calibrate(store, mosaics_of(store, rows), rows)


def noise(path: Path, count: int, seed: int, twins: int = 0) -> Store:
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)
    rows[count - twins :] = rows[:twins]
    with StoreWriter(path, 16, path.name, licences={"made-up": "CC0-1.0"}) as writer:
        for i, row in enumerate(rows):
            writer.add(row, [Caption("noise")], {"id": i})
        return writer.finish()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return noise(tmp_path_factory.mktemp("memory") / "train", 300, 2)


def drawn(store: Store, seed: int, copied: int, count: int = 200) -> torch.Tensor:
    """New noise, of which the first few are training pictures with a little dirt on them."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, 16, 16), generator=generator) / 127.5 - 1
    images[:copied] = pixels(store, np.arange(copied)) * 0.97
    return images


def test_between_styles_neither_pairs_of_one_set_nor_a_picture_and_itself_count(tmp_path: Path):
    rng, styles = np.random.default_rng(5), ["alpha", "beta", None]
    with StoreWriter(tmp_path / "sets", 16, "sets", licences={"made-up": "CC0-1.0"}) as writer:
        for i in range(60):
            style = styles[i % 3]
            picture = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            facts = {"id": i} | ({} if style is None else {"style": style})
            writer.add(picture, [Caption("noise")], facts)
        sets = writer.finish()
    rows = mosaics_of(sets, np.arange(60)).double()
    apart = torch.cdist(rows, rows).fill_diagonal_(torch.inf) / 768**0.5
    for first in (0, 1):  # pictures of no set are compared with each other
        apart[first::3, first::3] = torch.inf
    nearest, found = apart.amin(1), threshold_between_styles(sets)
    assert found.count == 60
    assert found.distance == pytest.approx(torch.quantile(nearest, 0.01).item(), rel=1e-4)
    assert found.usual == pytest.approx(nearest.median().item(), rel=1e-4)


def test_the_threshold_is_the_quantile_of_leave_one_out_distances(store: Store):
    rows = mosaics_of(store, np.arange(300)).double()
    apart = torch.cdist(rows, rows).fill_diagonal_(torch.inf).amin(1) / 768**0.5
    found = threshold_of(store)
    assert found.count == 300 and found.expected == pytest.approx(0.01)
    assert found.distance == pytest.approx(torch.quantile(apart, 0.01).item(), rel=1e-4)
    assert found.usual == pytest.approx(apart.median().item(), rel=1e-3)


def test_new_pictures_raise_no_alarm_and_copies_do(store: Store):
    calm, loud = (Memorisation(store, threshold_of(store)) for _ in range(2))
    for part in drawn(store, 1, 0).split(70):
        calm.update(part, ["x"] * len(part))
    found = calm.compute()
    assert found["alarm"] == 0 and found["memorised"] <= 0.04
    assert found["nearest"] == pytest.approx(1.0, abs=0.03)
    assert "no sign of memorisation" in calm.verdict().sentence()
    loud.update(drawn(store, 1, 30))
    assert loud.compute()["memorised"] == pytest.approx(0.15, abs=0.02)
    sentence = loud.verdict().sentence()
    assert loud.verdict().alarm and sentence.startswith("15.")
    assert sentence.endswith("reproduces training pictures")
    assert "200 pictures" in sentence and "1.0% of real pictures" in sentence


def test_the_nearest_picture_is_named_in_whichever_store_it_is(store: Store, tmp_path: Path):
    more = noise(tmp_path / "more", 40, 9)
    metric = Memorisation(store, threshold_of(store), others=[more])
    metric.update(pixels(store, np.array([17, 250])))
    metric.update(pixels(more, np.array([5])))
    nearest, which = metric.neighbours()
    assert nearest.row.tolist() == [17, 250, 5] and which.tolist() == [0, 0, 1]
    assert nearest.distance.max() < metric.threshold.distance


def test_a_store_is_searched_in_pieces_as_in_one(store: Store, monkeypatch: pytest.MonkeyPatch):
    queries = mosaic(drawn(store, 1, 30, 40))
    whole = nearest_pictures(queries, store)
    monkeypatch.setattr("limner.metrics.memorisation._CHUNK", 70)
    pieces = nearest_pictures(queries, store)
    assert torch.equal(pieces.row, whole.row) and whole.row.max() > 140
    torch.testing.assert_close(pieces.distance, whole.distance, rtol=1e-5, atol=0)
    apart = torch.cdist(queries.double(), mosaics_of(store, np.arange(300)).double()) / 768**0.5
    torch.testing.assert_close(whole.distance.double(), apart.amin(1), rtol=1e-4, atol=2e-5)


def test_a_store_of_twins_expects_twins(tmp_path: Path):
    store = noise(tmp_path / "twins", 200, 3, twins=50)
    found = threshold_of(store)
    assert found.expected == pytest.approx(0.5)  # both halves of every pair
    metric = Memorisation(store, found)
    metric.update(drawn(store, 4, 60))
    assert not metric.verdict().alarm  # fewer than the store has of its own


def test_held_out_pictures_calibrate_without_leaving_any_out(store: Store, tmp_path: Path):
    holdout = noise(tmp_path / "held-out", 120, 8)
    rows = np.arange(120)
    found = calibrate(store, mosaics_of(holdout, rows))
    apart = torch.cdist(
        mosaic(pixels(holdout, rows)).double(), mosaics_of(store, np.arange(300)).double()
    )
    nearest = apart.amin(1) / 768**0.5
    assert found.distance == pytest.approx(torch.quantile(nearest, 0.01).item(), rel=1e-4)
    assert found.count == 120


ANY = Threshold(distance=0.1, usual=0.2, expected=0.01, count=1000)


def test_the_alarm_knows_how_sure_it_is():
    line = Threshold(distance=0.1, usual=0.2, expected=0.01, count=1000)
    near, far = torch.tensor([0.05]), torch.tensor([0.3])
    assert not verdict(torch.cat([near, far.expand(19)]), line).alarm  # one of twenty may be chance
    assert verdict(torch.cat([near.expand(50), far.expand(950)]), line).alarm
    assert verdict(far.expand(10), line).nearest == pytest.approx(1.5)


def test_what_cannot_be_measured_is_refused(store: Store, tmp_path: Path):
    with pytest.raises(DataError, match="no picture"):
        Memorisation(store, ANY).compute()
    with pytest.raises(DataError, match="single picture"):
        Memorisation(noise(tmp_path / "one", 1, 0), ANY)
    with pytest.raises(DataError, match="finite"):
        Memorisation(store, ANY).update(torch.full((1, 3, 16, 16), float("nan")))
