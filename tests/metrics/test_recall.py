from __future__ import annotations

import numpy as np
import pytest
import torch

from icon_store import STYLES, drawing, make_store
from limner.data.store import Caption, Store
from limner.data.writer import StoreWriter
from limner.errors import DataError
from limner.metrics.base import Metric
from limner.metrics.copies import NOVEL_PROMPTS, CopyRate, novel_prompts
from limner.metrics.prompts import load_prompts
from limner.metrics.recall import (
    ConceptRecall,
    Gallery,
    RecallMetric,
    Target,
    concept_scores,
    shuffled,
)


def everything(store: Store) -> tuple[torch.Tensor, list[str], list[str]]:
    rows = [store.metadata(i) for i in range(len(store))]
    images = torch.from_numpy(store.batch(np.arange(len(store)))).permute(0, 3, 1, 2)
    return images.float() / 127.5 - 1, [r["concept"] for r in rows], [r["style"] for r in rows]


@pytest.fixture(scope="module")
def recall(many: Store) -> ConceptRecall:
    return ConceptRecall(many)


def test_real_icons_reach_the_ceiling_exactly(many, recall):
    images, keys, styles = everything(many)
    ceiling = recall.ceiling(keys, styles)
    assert recall.score(images, keys, styles) == ceiling
    assert ceiling["top1"] > 0.9
    assert ceiling["count"] == 120


def test_wrong_concepts_score_nothing(many, recall):
    images, keys, styles = everything(many)
    wrong = keys[60:] + keys[:60]
    assert recall.score(images, wrong, styles)["top1"] == 0


def test_floor_is_chance(many, recall):
    images, keys, styles = everything(many)
    targets = {f"{k} in {s}": Target(k.upper(), s) for k, s in zip(keys, styles, strict=True)}
    metric = RecallMetric(recall.gallery, targets)
    for i in range(0, len(images), 50):
        metric.update(images[i : i + 50], list(targets)[i : i + 50])
    assert isinstance(metric, Metric)
    assert metric.compute() == recall.score(images, keys, styles)
    # 5 of 40 concepts by chance, over ten shuffles of 120 pictures.
    assert metric.floor()["top5"] == pytest.approx(5 / 40, abs=0.04)
    assert metric.floor() == metric.floor()


def test_shuffles_keep_no_key_and_no_seed_repeats():
    targets = [Target(str(i), "s") for i in range(50)]
    first, second = shuffled(targets, 0), shuffled(targets, 1)
    assert all(a.key != b.key for a, b in zip(targets, first, strict=True))
    assert sorted(t.key for t in first) == sorted(t.key for t in targets)
    assert first != second


def test_a_memorised_icon_does_not_win_by_identity(tmp_path):
    """A concept whose set draws it like nobody else cannot be found by its own icon."""
    keys = [prompt.key for prompt in load_prompts()[:10]]
    store = make_store(tmp_path / "icons", keys)
    pixels = np.memmap(tmp_path / "icons" / "images.u8", np.uint8, mode="r+").reshape(30, 64, 64, 3)
    pixels[0] = drawing(99, 0)
    del pixels
    recall = ConceptRecall(Store.open(store.path))
    drawn = torch.from_numpy(drawing(99, 0)).permute(2, 0, 1)[None].float() / 127.5 - 1
    assert recall.ranks(drawn, keys[:1], [STYLES[1]]).item() == 0
    assert recall.ranks(drawn, keys[:1], [STYLES[0]]).item() > 0


def test_mirrored_pictures_are_found(many, recall):
    images, keys, styles = everything(many)
    assert recall.score(images.flip(3), keys, styles) == recall.ceiling(keys, styles)


def test_scores_follow_their_formula():
    query = torch.tensor([[1.0, 0.0]])
    gallery = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [0.8, 0.6]])
    allowed = torch.tensor([[True, True, True, False]])
    scores = concept_scores(query, [gallery], torch.tensor([0, 0, 1, 1]), allowed, 3)
    expected = [(np.exp(20.0) + np.exp(12.0)) / 2, 1.0, 0.0]
    assert scores[0].tolist() == pytest.approx(expected, rel=1e-5)


def test_broken_pictures_and_foreign_concepts_are_refused(many, recall):
    images, keys, styles = everything(many)
    broken = images[:2].clone()
    broken[1, 0, 0, 0] = torch.nan
    with pytest.raises(DataError, match="not finite"):
        recall.score(broken, keys[:2], styles[:2])
    with pytest.raises(DataError, match="no icon"):
        recall.score(images[:1], ["1F9FF"], ["alpha"])
    with pytest.raises(DataError, match="no icon of"):
        recall.ceiling(keys[:1], ["delta"])
    with pytest.raises(DataError, match="2 concepts but 1"):
        recall.score(images[:2], keys[:2], styles[:1])


def test_a_store_that_does_not_say_what_it_shows(tmp_path):
    store = make_store(tmp_path / "dumb", ["1F34E"], told=False)
    with pytest.raises(DataError, match="limner data icons"):
        Gallery(store)
    other = make_store(tmp_path / "other", ["1F9FF"])
    with pytest.raises(DataError, match="no icon of any"):
        Gallery(other)


def test_copies_are_told_from_new_pictures(many):
    images, _, _ = everything(many)
    copies, fresh = CopyRate(many), CopyRate(many)
    assert isinstance(copies, Metric)
    copies.update(images[::5] * 0.995, ["x"] * 24)
    new = [torch.from_numpy(drawing(n, 0)).permute(2, 0, 1) for n in range(500, 524)]
    fresh.update(torch.stack(new).float() / 127.5 - 1, ["x"] * 24)
    assert copies.compute()["copy_rate"] == 1
    assert fresh.compute()["copy_rate"] == 0
    assert fresh.compute()["threshold"] == copies.compute()["threshold"] > 0


def test_copies_of_another_store_it_learned_from(many, tmp_path):
    images, _, _ = everything(many)
    elsewhere = make_store(tmp_path / "elsewhere", ["1F34E", "1F9FF"])
    alone, both = CopyRate(elsewhere), CopyRate(elsewhere, others=[many])
    for metric in (alone, both):
        metric.update(images[::5], ["x"] * 24)
    assert both.compute()["copy_rate"] == 1
    assert both.compute()["threshold"] == alone.compute()["threshold"]
    assert both.compute()["median"] < alone.compute()["median"]


def test_what_a_store_shows_under_another_name_is_not_new(many, tmp_path):
    with StoreWriter(tmp_path / "painted", 64, "painted") as writer:
        for label in ("cheese wedge", "jack-o-lantern", "owl"):
            facts = {"label": f"grey {label}", "colour": "grey", "style": "noto"}
            writer.add(drawing(1, 0), [Caption(f"grey {label}", "en")], facts)
        painted = writer.finish()
    assert set(novel_prompts([many])) == set(NOVEL_PROMPTS)
    missing = set(NOVEL_PROMPTS) - set(novel_prompts([many, painted]))
    assert missing == {"a grey cheese", "a grey pumpkin"}


def test_copy_rate_of_nothing(many, tmp_path):
    with pytest.raises(DataError, match="no picture"):
        CopyRate(many).compute()
