from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

import training_tiny as tiny
from limner.data.store import Caption, Store
from limner.data.writer import StoreWriter
from limner.errors import RecipeError
from limner.image_encoders import load_image_encoder
from limner.models.base import ModelConfig
from limner.text.bulk import FeatureTable
from limner.training.augment import DRAWS, augment
from limner.training.data import BatchLoader, open_pictures, rows_of
from limner.training.recipe import MAX_SIZE, MIN_SIZE, DataSection
from limner.training.references import References, encode_pictures
from limner.training.session import open_session


def make_loader(section: DataSection, **options) -> BatchLoader:
    pictures = open_pictures(section, "test.yaml")
    count = len(pictures.captions.texts)
    vectors = torch.randn(count + 1, 6, generator=torch.Generator().manual_seed(0))
    vectors[0] = 0
    own = torch.arange(1, count + 1, dtype=torch.int32)
    table = FeatureTable(vectors, torch.stack([own, own.flip(0) % 3], 1), own)
    settings = {"batch_size": 6, "seed": 3, "device": torch.device("cpu"), "channels_last": True}
    return BatchLoader(pictures, table, section, **{**settings, **options})


def test_a_batch_is_a_function_of_the_step_alone(store):
    section = DataSection(store=str(store), flip=True, augment={"shift_px": 2, "scale": 0.1})
    one, other = make_loader(section), make_loader(section)
    in_order = [one.batch(step) for step in range(9)]
    for step in (7, 2, 8):
        again, first = other.batch(step, ahead=step == 7), in_order[step]
        assert torch.equal(again.images, first.images)
        assert torch.equal(again.text.tokens, first.text.tokens)
        assert torch.equal(again.styles, first.styles)
        assert again.captions == first.captions
        assert again.indices is None
    assert not torch.equal(in_order[0].images, in_order[4].images)
    assert in_order[0].images.is_contiguous(memory_format=torch.channels_last)
    one.close(), other.close()


def test_captions_fit_their_pictures_and_their_weights(store):
    section, opened = DataSection(store=str(store)), Store.open(store)
    source, seen = make_loader(section, batch_size=24), Counter()
    for step in range(40):
        batch = source.batch(step)
        for i, caption, picture in zip(
            batch.indices.tolist(), batch.captions, batch.images, strict=True
        ):
            mine = {c.text: c.weight for c in opened.captions(i)}
            seen[mine[caption], caption.endswith("o")] += 1
            pixels = torch.from_numpy(opened.images[i].copy()).permute(2, 0, 1)
            assert torch.equal(((picture + 1) * 127.5).round().byte(), pixels)
    source.close()
    total = sum(seen.values())
    assert total == 960
    assert seen[2.0, False] / total == pytest.approx(0.5, abs=0.05)
    assert seen[1.0, True] / total == pytest.approx(0.25, abs=0.05)


def test_choosing_pictures_and_captions(store):
    section = DataSection(
        store=str(store), filters={"concept": ["red", "blue"]}, languages=["en"], captions=1
    )
    pictures = open_pictures(section, "r.yaml")
    assert sorted(pictures.captions.texts) == ["a blue flag", "a red flag"]
    assert {Store.open(store).metadata(i)["concept"] for i in pictures.rows} == {"red", "blue"}
    assert pictures.fingerprint != Store.open(store).fingerprint
    assert open_pictures(DataSection(store=str(store)), "").fingerprint == (
        Store.open(store).fingerprint
    )


def test_two_stores_become_one(store, tmp_path):
    writer = StoreWriter(tmp_path / "more", 16, "more", licences={"more": "MIT"})
    grey = np.full((16, 16, 3), 77, np.uint8)
    writer.add(grey, [Caption("grey")], {"id": "x", "style": "ink"})
    writer.add(grey, [Caption("red")], {"id": "y"})
    writer.finish()
    section = DataSection(store=[str(store), str(tmp_path / "more")])
    pictures = open_pictures(section, "r.yaml")
    assert len(pictures) == 26
    assert pictures.styles == ("flat", "ink")
    assert pictures.style_ids[-2:].tolist() == [1, -1]
    assert pictures.captions.texts.count("red") == 1
    assert pictures.licences == {"tests": "CC0-1.0", "more": "MIT"}
    both = pictures.batch(np.array([24, 0, 25]))
    assert (both[[0, 2]] == 77).all()
    assert np.array_equal(both[1], Store.open(store).images[0])
    tiny.make_store(tmp_path / "large", 4, 32)
    with pytest.raises(RecipeError, match=r"r.yaml: data.store: .*different sizes, \[16, 32\]"):
        open_pictures(DataSection(store=[str(store), str(tmp_path / "large")]), "r.yaml")


def test_pictures_are_halved_by_averaging(tmp_path):
    tiny.make_store(tmp_path / "large", 8, 32)
    source = make_loader(DataSection(store=str(tmp_path / "large"), size=16))
    batch = source.batch(0)
    source.close()
    pixels = Store.open(tmp_path / "large").images[batch.indices.tolist()].astype(np.float64)
    mean = pixels.reshape(6, 16, 2, 16, 2, 3).mean((2, 4)).transpose(0, 3, 1, 2) / 127.5 - 1
    assert np.abs(batch.images.numpy() - mean).max() < 1e-6


def chances(count: int, **columns: float) -> torch.Tensor:
    """All in the middle (nothing happens) but some columns."""
    names = ["flip", "x", "y", "zoom", "hue", "saturation", "light"]
    table = torch.full((count, DRAWS), 0.5, dtype=torch.float64)
    for name, value in columns.items():
        table[:, names.index(name)] = value
    return table


def test_augmentations_by_known_answers():
    pictures = torch.rand(2, 3, 16, 16) * 2 - 1
    plain = DataSection(store="x")
    assert augment(pictures, chances(2), plain) is pictures
    flip = DataSection(store="x", flip=True)
    assert torch.equal(augment(pictures, chances(2, flip=0.1), flip), pictures.flip(-1))
    assert torch.equal(augment(pictures, chances(2, flip=0.9), flip), pictures)
    shift = DataSection(store="x", augment={"shift_px": 3})
    moved = augment(pictures, chances(2, x=0.999999), shift)
    assert torch.allclose(moved[..., :13], pictures[..., 3:], atol=1e-5)
    assert torch.allclose(moved[..., 13:], pictures[..., -1:].expand(2, 3, 16, 3), atol=1e-5)
    light = DataSection(store="x", augment={"brightness": 0.5})
    dark = augment(pictures, chances(2, light=0.0), light)
    assert torch.allclose(dark, (pictures + 1) * 0.5 - 1, atol=1e-6)


def test_colours_keep_grey_and_luma():
    luma = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    # Soft colours, so that nothing is clipped.
    pictures = torch.rand(4, 3, 8, 8) * 0.3
    section = DataSection(store="x", augment={"hue": 90, "saturation": 0.5})
    turned = augment(pictures, chances(4, hue=0.999999, saturation=0.0), section)
    assert not torch.allclose(turned, pictures, atol=1e-2)
    assert torch.allclose((turned * luma).sum(1), (pictures * luma).sum(1), atol=1e-3)
    grey = torch.rand(1, 1, 8, 8).expand(1, 3, 8, 8) * 0.9
    assert torch.allclose(augment(grey, chances(1, hue=0.9), section), grey, atol=1e-3)
    none = DataSection(store="x", augment={"saturation": 1.0})
    drained = augment(pictures, chances(4, saturation=0.0), none)
    assert torch.allclose(drained[:, 0], drained[:, 1], atol=1e-3)


# -- reference pictures -----------------------------------------------------------------------


def references(kind: str, concepts: list[int], styles: list[int]) -> References:
    count = len(concepts)
    tokens = torch.arange(count).half().reshape(count, 1, 1)
    return References(tokens, tokens[:, 0], kind, np.array(concepts), np.array(styles))


def test_a_reference_is_of_the_concept_and_in_another_style_where_there_is_one():
    concepts = [0, 0, 0, 0, 1, 1, 1, 2, -8]
    styles = [0, 0, 1, 2, 5, 5, 5, 0, 0]
    found = references("concept", concepts, styles)
    index = np.repeat(np.arange(9), 400)
    chances = np.random.default_rng(0).random(len(index))
    chosen = found.choose(index, chances)
    seen = {i: Counter(chosen[index == i].tolist()) for i in range(9)}
    expected = {0: {2, 3}, 1: {2, 3}, 2: {0, 1, 3}, 3: {0, 1, 2}, 4: {5, 6}, 5: {4, 6}, 6: {4, 5},
                7: {7}, 8: {8}}  # fmt: skip
    assert {i: set(c) for i, c in seen.items()} == expected
    for counts in seen.values():  # every candidate is as likely
        assert max(counts.values()) < 1.4 * min(counts.values())
    edge = found.choose(np.arange(9), np.full(9, 1 - 1e-16))
    assert all(edge[i] in expected[i] for i in range(9))


def test_other_references_and_those_of_a_part():
    own = references("self", [0, 0, 1], [0, 1, 0])
    assert own.choose(np.array([2, 0]), np.array([0.9, 0.1])).tolist() == [2, 0]
    some = references("random", [0] * 5, [0] * 5)
    index = np.repeat(np.arange(5), 300)
    chosen = some.choose(index, np.random.default_rng(1).random(len(index)))
    assert (chosen != index).all()
    assert set(chosen[index == 2].tolist()) == {0, 1, 3, 4}
    part = references("concept", [0, 1, 0, 1], [0, 0, 0, 1]).select(np.array([0, 2, 3]))
    assert part.choose(np.arange(3), np.full(3, 0.5)).tolist() == [1, 0, 2]
    assert part.features(np.array([2])).pooled.tolist() == [[3.0]]


def test_the_loader_shows_references_by_seed_and_step(store):
    section = DataSection(store=str(store))
    encoder = load_image_encoder("random:6?tokens=9")
    pictures = open_pictures(section, "test.yaml")
    seen: list[tuple[int, int]] = []
    found = encode_pictures(pictures, encoder, "concept", 4, lambda *done: seen.append(done))
    assert seen[-1] == (24, 24)
    assert found.tokens.shape == (24, 4, 6)
    whole = encoder.encode(torch.from_numpy(pictures.batch(np.array([5]))).permute(0, 3, 1, 2)
                           .float() / 127.5 - 1)  # fmt: skip
    assert torch.allclose(found.features(np.array([5])).pooled, whole.pooled, atol=2e-3)
    plain, one = make_loader(section), make_loader(section)
    one.pictures = replace(pictures, references=found)
    names = pictures.concepts()
    for step in (0, 3):
        batch, bare = one.batch(step, ahead=False), plain.batch(step, ahead=False)
        assert torch.equal(batch.images, bare.images)  # nothing else is drawn otherwise
        assert batch.captions == bare.captions
        assert torch.equal(batch.picture.pooled, one.batch(step, ahead=False).picture.pooled)
        for row, i in enumerate(batch.indices.tolist()):
            j = next(
                k
                for k in range(24)
                if torch.equal(found.pooled[k].float(), batch.picture.pooled[row])
            )
            assert names[j] == names[i]
            assert j != i
        half = rows_of(batch, slice(2, 4))
        assert torch.equal(half.picture.pooled, batch.picture.pooled[2:4])
    one.close(), plain.close()


@pytest.mark.parametrize(
    ("packed", "asked", "reason"),
    [(2048, None, r"2048 pixels wide, models are of 8 to 1024; set data\.size"),
     (4, None, "4 pixels wide, models are of 8 to 1024"),
     (2048, 1024, None)],
)  # fmt: skip
def test_sizes_that_can_be_packed_but_not_trained_are_explained(tmp_path, packed, asked, reason):
    side = ModelConfig.model_json_schema()["properties"]["size"]
    assert (side["minimum"], side["maximum"]) == (MIN_SIZE, MAX_SIZE)
    store = tiny.make_store(tmp_path / "store", count=1, size=packed)
    section = DataSection(store=str(store.path), size=asked)
    if reason is None:
        assert open_pictures(section, "r").size == asked
    else:
        with pytest.raises(RecipeError, match=reason):
            open_pictures(section, "r")


def test_a_size_that_the_family_has_not_is_said_of_the_data(recipe, tmp_path):
    store = tiny.make_store(tmp_path / "store", count=1, size=512)
    for model, reason in (({}, r"data\.store: the flow family has no model for the pictures' size"),
                          ({"size": 512}, r"model\.size: it should be less than")):  # fmt: skip
        asked = recipe(family="flow", model=model, data={"store": str(store.path)})
        with pytest.raises(RecipeError, match=reason):
            open_session(asked)
