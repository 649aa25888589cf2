from __future__ import annotations

import numpy as np
import pytest
import torch

from icon_store import STYLES, drawing, make_store
from limner.data.store import Caption, Store
from limner.data.writer import StoreWriter
from limner.errors import DataError
from limner.evaluation.concept_prompts import NOVEL_PROMPTS, load_prompts, novel_prompts
from limner.metrics.memorisation import Memorisation, threshold_between_styles
from limner.metrics.recall import (
    Gallery,
    RecallMetric,
    Target,
    concept_scores,
    plain_key,
    recall_of,
    shuffled,
)


def everything(store: Store) -> tuple[torch.Tensor, list[str], list[str]]:
    rows = [store.metadata(i) for i in range(len(store))]
    images = torch.from_numpy(store.batch(np.arange(len(store)))).permute(0, 3, 1, 2)
    return images.float() / 127.5 - 1, [r["concept"] for r in rows], [r["style"] for r in rows]


def icons_of(store: Store) -> Gallery:
    return Gallery(store, [prompt.key for prompt in load_prompts()])


def targets_of(keys: list[str], styles: list[str]) -> list[Target]:
    return [Target(plain_key(key), style) for key, style in zip(keys, styles, strict=True)]


def score(gallery: Gallery, images: torch.Tensor, keys: list[str], styles: list[str]):
    return recall_of(gallery.ranks(gallery.judge.features(images), targets_of(keys, styles)))


def upper_bound(gallery: Gallery, keys: list[str], styles: list[str]):
    targets = targets_of(keys, styles)
    return recall_of(gallery.ranks(gallery.icon_features(targets), targets))


@pytest.fixture(scope="module")
def gallery(many: Store) -> Gallery:
    return icons_of(many)


def test_real_icons_reach_the_upper_bound_exactly(many, gallery):
    images, keys, styles = everything(many)
    bound = upper_bound(gallery, keys, styles)
    assert score(gallery, images, keys, styles) == bound
    assert bound["top1"] > 0.9


def test_wrong_concepts_score_nothing(many, gallery):
    images, keys, styles = everything(many)
    wrong = keys[60:] + keys[:60]
    assert score(gallery, images, wrong, styles)["top1"] == 0


def test_the_lower_bound_is_chance(many, gallery):
    images, keys, styles = everything(many)
    targets = {f"{k} in {s}": Target(k.upper(), s) for k, s in zip(keys, styles, strict=True)}
    metric = RecallMetric(gallery, targets)
    for i in range(0, len(images), 50):
        metric.update(images[i : i + 50], list(targets)[i : i + 50])
    assert metric.compute() == {**score(gallery, images, keys, styles), "count": 120}
    assert recall_of(metric.per_picture()["rank"]) == score(gallery, images, keys, styles)
    # 5 of 40 concepts by chance, over ten shuffles of 120 pictures.
    assert metric.lower_bound()["top5"] == pytest.approx(5 / 40, abs=0.04)
    assert metric.lower_bound() == metric.lower_bound()


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
    gallery = Gallery(Store.open(store.path), keys)
    drawn = torch.from_numpy(drawing(99, 0)).permute(2, 0, 1)[None].float() / 127.5 - 1
    features = gallery.judge.features(drawn)
    assert gallery.ranks(features, [Target(keys[0], STYLES[1])]).item() == 0
    assert gallery.ranks(features, [Target(keys[0], STYLES[0])]).item() > 0


def test_mirrored_pictures_are_found(many, gallery):
    images, keys, styles = everything(many)
    assert score(gallery, images.flip(3), keys, styles) == upper_bound(gallery, keys, styles)


def test_scores_follow_their_formula():
    query = torch.tensor([[1.0, 0.0]])
    gallery = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [0.8, 0.6]])
    allowed = torch.tensor([[True, True, True, False]])
    scores = concept_scores(query, [gallery], torch.tensor([0, 0, 1, 1]), allowed, 3)
    expected = [(np.exp(20.0) + np.exp(12.0)) / 2, 1.0, 0.0]
    assert scores[0].tolist() == pytest.approx(expected, rel=1e-5)


def test_broken_pictures_and_foreign_concepts_are_refused(many, gallery):
    images, keys, _ = everything(many)
    metric = RecallMetric(gallery, {"x": Target(plain_key(keys[0]), "alpha")})
    broken = images[:1].clone()
    broken[0, 0, 0, 0] = torch.nan
    with pytest.raises(DataError, match="not finite"):
        metric.update(broken, ["x"])
    with pytest.raises(DataError, match="no picture"):
        metric.compute()
    features = gallery.judge.features(images[:1])
    with pytest.raises(DataError, match="no icon"):
        gallery.ranks(features, [Target("1F9FF", "alpha")])
    with pytest.raises(DataError, match="no icon of"):
        gallery.icon_features([Target(plain_key(keys[0]), "delta")])


def test_a_store_that_does_not_say_what_it_shows(tmp_path):
    store = make_store(tmp_path / "dumb", ["1F34E"], told=False)
    with pytest.raises(DataError, match="limner data icons"):
        icons_of(store)
    other = make_store(tmp_path / "other", ["1F9FF"])
    with pytest.raises(DataError, match="no icon of any"):
        icons_of(other)


def memorised(store: Store, others: tuple[Store, ...] = ()) -> Memorisation:
    return Memorisation(store, threshold_between_styles(store), others=others)


def test_training_pictures_are_told_from_new_ones_by_the_distance_between_icon_sets(many):
    images, _, _ = everything(many)
    copies, fresh = memorised(many), memorised(many)
    copies.update(images[::5] * 0.995)
    new = [torch.from_numpy(drawing(n, 0)).permute(2, 0, 1) for n in range(500, 524)]
    fresh.update(torch.stack(new).float() / 127.5 - 1)
    assert copies.compute()["memorised"] == 1
    assert fresh.compute()["memorised"] == 0
    assert fresh.compute()["threshold"] == copies.compute()["threshold"] > 0
    assert (copies.per_picture()["nearest"] < copies.threshold.distance).all()


def test_pictures_of_another_store_it_was_trained_on_are_found(many, tmp_path):
    images, _, _ = everything(many)
    elsewhere = make_store(tmp_path / "elsewhere", ["1F34E", "1F9FF"])
    alone, both = memorised(elsewhere), memorised(elsewhere, (many,))
    for metric in (alone, both):
        metric.update(images[::5])
    assert both.compute()["memorised"] == 1
    assert both.compute()["threshold"] == alone.compute()["threshold"]
    assert both.compute()["nearest"] < alone.compute()["nearest"]


def test_what_a_store_shows_under_another_name_is_not_new(many, tmp_path):
    with StoreWriter(tmp_path / "painted", 64, "painted") as writer:
        for label in ("cheese wedge", "jack-o-lantern", "owl"):
            facts = {"label": f"grey {label}", "colour": "grey", "style": "noto"}
            writer.add(drawing(1, 0), [Caption(f"grey {label}", "en")], facts)
        painted = writer.finish()
    assert set(novel_prompts([many])) == set(NOVEL_PROMPTS)
    missing = set(NOVEL_PROMPTS) - set(novel_prompts([many, painted]))
    assert missing == {"a grey cheese", "a grey pumpkin"}
