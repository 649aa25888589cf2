"""Data sets made larger: what is refused, what is written, and a classifier that learns."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from limner.data.store import Caption, Store
from limner.data.writer import StoreWriter
from limner.errors import DataError, UsageError
from limner.improve.augmentation import AugmentOptions, LabelledStore, _Checks, augment_store
from limner.improve.classifier import train_classifier
from limner.modelinfo import read_info
from limner.vision.pixels import to_tensor
from tiny_models import save_tiny

SIDE, EACH = 16, 12


def picture(kind: str, number: int) -> np.ndarray:
    """A red or blue picture with a texture of its own."""
    rng = np.random.default_rng([kind == "red", number])
    coarse = rng.integers(0, 120, (4, 4, 1)).repeat(4, 0).repeat(4, 1)
    colour = np.array([220, 40, 40] if kind == "red" else [40, 40, 220])
    return np.clip(coarse * 0.6 + colour - 30, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    path = tmp_path_factory.mktemp("classes") / "store"
    with StoreWriter(path, SIDE, "classes", licences={"mine": "CC0-1.0"}) as writer:
        for kind in ("red", "blue"):
            for number in range(EACH):
                split = "test" if number < 2 else "train"
                about = {"id": f"{kind}-{number}", "label": kind, "split": split, "maker": "me"}
                writer.add(picture(kind, number), [Caption(f"a {kind} thing")], about)
        return writer.finish()


class ByHue:
    """Says red of what is more red than blue."""

    spec, fingerprint, dim = "hue", "0", 2

    def encode_images(self, images: torch.Tensor) -> torch.Tensor:
        return torch.stack([images[:, 0].mean((1, 2)), images[:, 2].mean((1, 2))], 1)

    def encode_texts(self, texts) -> torch.Tensor:
        return torch.tensor([[1.0, 0.0] if "red" in text else [0.0, 1.0] for text in texts])

    def logits(self, images: torch.Tensor, texts: torch.Tensor) -> torch.Tensor:
        return 20 * images @ texts.T


def test_classes_are_read_and_held_out_pictures_kept_apart(store: Store):
    data = LabelledStore.of(store)
    assert data.names == ("blue", "red") and len(data.rows) == 2 * (EACH - 2)
    assert {store.metadata(int(row))["split"] for row in data.held} == {"test"}
    assert data.prompt(1) == "a red thing"
    assert all(store.metadata(int(row))["label"] == data.names[label]
               for row, label in zip(data.rows, data.labels, strict=True))  # fmt: skip
    with pytest.raises(DataError, match="1 classes by its maker"):
        LabelledStore.of(store, "maker")
    with pytest.raises(DataError, match="no 'kind' in its metadata"):
        LabelledStore.of(store, "kind")
    with pytest.raises(DataError, match="--label"):
        LabelledStore.of(store, "id")


def test_copies_and_what_is_not_recognised_are_refused(store: Store):
    data = LabelledStore.of(store)
    checks = _Checks(data, AugmentOptions(aligner=ByHue()))
    trained = next(row for row in data.rows if store.metadata(int(row))["label"] == "red")
    new, other = (np.full((SIDE, SIDE, 3), (150, 0, 0), np.uint8) for _ in range(2))
    new[: SIDE // 2], other[SIDE // 2 :] = (255, 90, 90), (255, 90, 90)
    drawn = [new, new, other, np.array(store.images[trained]), picture("blue", 902)]
    assert list(checks.reasons(to_tensor(np.stack(drawn)), 1)) == [
        None, "near copy of another drawn picture", None, "near copy of a training picture",
        "not recognised as its class",
    ]  # fmt: skip
    held_red = next(row for row in data.held if store.metadata(int(row))["label"] == "red")
    again = list(checks.reasons(to_tensor(np.array(store.images[held_red])[None]), 1))
    assert again == ["near copy of a held-out picture"]


def test_what_is_recognised_for_less_than_is_asked_is_refused(store: Store):
    """The aligner gives softmax(20 x), of x the red less the blue on [-1, 1]."""
    data, drawn = LabelledStore.of(store), picture("red", 903).astype(np.float64)
    drawn[..., 0] = drawn[..., 2] + 8
    image = to_tensor(drawn.clip(0, 255).astype(np.uint8)[None])
    chance = torch.sigmoid(20 * (image[0, 0] - image[0, 2]).mean()).item()
    assert 0.6 < chance < 0.9
    for least, wanted in ((chance - 0.01, None), (chance + 0.01, "not recognised as its class")):
        checks = _Checks(data, AugmentOptions(aligner=ByHue(), confidence=least))
        assert list(checks.reasons(image, 1)) == [wanted]


def test_a_classifier_tells_classes_apart_and_is_repeatable(store: Store):
    data = LabelledStore.of(store)
    images = to_tensor(np.array(store.images[data.rows]))
    labels = torch.from_numpy(data.labels)
    nets = [train_classifier(images, labels, 2, steps=25, seed=3) for _ in range(2)]
    held = to_tensor(np.array(store.images[data.held]))
    chances = [net.chances(held) for net in nets]
    assert torch.equal(*chances) and torch.allclose(chances[0].sum(1), torch.ones(len(held)))
    wanted = [data.names.index(store.metadata(int(row))["label"]) for row in data.held]
    assert chances[0].argmax(1).tolist() == wanted
    grey = images.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    assert train_classifier(grey, labels, 2, steps=1).grey and not nets[0].grey


def test_the_new_store_says_what_is_real_and_why_others_were_refused(store: Store, tmp_path: Path):
    model = save_tiny(tmp_path / "tiny.safetensors", "vae")
    options = AugmentOptions(per_class=3, tries=4, model=model, aligner=ByHue(), confidence=0.0)
    report = augment_store(store, tmp_path / "larger", options)
    larger = Store.open(tmp_path / "larger")
    made = Counter(larger.column("provenance"))
    assert made == {"real": 2 * (EACH - 2), "generated": report.kept.total()}
    assert report.real == made["real"] and 0 < report.kept.total() <= 6
    assert report.drawn.total() >= report.kept.total() + report.refused.total()
    first = larger.metadata(report.real)
    assert first["provenance"] == "generated" and first["maker"] == "me" and first["prompt"]
    assert first["label"] in ("red", "blue") and first["model"]
    assert larger.captions(report.real)[0].text == f"a {first['label']} thing"
    assert np.array_equal(larger.images[0], store.images[int(LabelledStore.of(store).rows[0])])
    tried = [key for key, _ in larger.left_out()] + larger.column("id")[report.real :]
    seeds = Counter(int(key.rpartition("/")[2]) for key in tried if key.startswith("generated/"))
    assert seeds.total() == report.drawn.total() and max(seeds.values()) == 1, "none is used twice"
    left = Counter(reason for _, reason in larger.left_out())
    assert left.pop("held out") == 4 and left == report.refused
    assert "generated" in larger.licences and larger.licences["mine"] == "CC0-1.0"
    with pytest.raises(DataError, match="is there already"):
        augment_store(store, tmp_path / "larger", options)
    for wrong in ({"per_class": 0}, {"confidence": 1.0}, {"tries": 0}):
        with pytest.raises(UsageError):
            augment_store(store, tmp_path / "no", AugmentOptions(model=model, **wrong))
    assert not (tmp_path / "no").exists()


def test_a_generator_is_trained_on_what_is_not_held_out(store: Store, tmp_path: Path):
    small = ["model.decoder=[8, 8]", "model.encoder=[8, 8]", "model.prior_width=16",
             "model.prior_depth=1", "model.text_rank=8", "train.batch_size=4", "model.modes=2",
             "model.mode_rank=2", "train.warmup_steps=1"]  # fmt: skip
    options = AugmentOptions(
        per_class=1, tries=8, steps=2, minutes=None, changes=small, confidence=0.0,
        aligner=ByHue(),
    )  # fmt: skip
    try:
        augment_store(store, tmp_path / "larger", options)
    except DataError as error:  # two steps teach little
        assert "train the model longer" in str(error)
        assert not (tmp_path / "larger").exists()
    recipe = read_info(tmp_path / "larger.run" / "model.safetensors").training["recipe"]
    assert recipe["data"]["filters"] == {"split": ["train"]}
