"""Captions that say nothing, are common, or belong to other pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from limner.data.store import Caption
from limner.data.writer import StoreWriter
from limner.improve import caption_matches
from limner.improve.caption_checks import common_texts, is_classes, text_fault
from limner.improve.caption_doubts import careful_threshold, share_wrong, wrong_among
from limner.improve.caption_map import CaptionMap, map_of
from limner.improve.caption_matches import _mapped, better_captions
from limner.improve.check_page import check_page
from limner.improve.checked_source import StoreSource
from limner.improve.checks import read_thresholds
from limner.improve.class_chances import Kernel, class_chances
from limner.improve.examination import CheckOptions, check
from limner.improve.swapped_captions import worse_than_swapped
from limner.reading.aligner import load_aligner


@pytest.mark.parametrize(
    ("text", "issue"),
    [
        ("IMG_2041.jpg", "placeholder"), ("untitled", "placeholder"),
        ("No caption.", "placeholder"), (" ".join(map(str, range(120))) + " x", "long"),
        ("https://example.org/a.png", "placeholder"), ("DSC 0042", "placeholder"),
        ("20240101_1200", "placeholder"), ("red car red car red car red car", "repetitive"),
        ("word " * 5 + "a b c d " * 9, "repetitive"),
        ("a red car in front of a house", None), ("一只红色的汽车", None), ("7", None),
        ("picture frame", None), ("🍎", None),
    ],
)  # fmt: skip
def test_words_that_say_nothing(text, issue):
    fault = text_fault(text, read_thresholds(()))
    assert (fault.issue if fault else None) == issue


def test_a_caption_of_many_pictures_is_common_only_where_others_have_their_own():
    free = np.array([0] * 30 + list(range(1, 71)))
    assert common_texts(free, 0.01) == {0: pytest.approx(0.3)}
    classes = np.arange(200) % 4
    assert not common_texts(classes, 0.01)
    assert is_classes(classes)
    assert not is_classes(free)


def test_a_linear_map_of_the_data_set_finds_what_the_aligner_does_not_know():
    """Captions are a rotation of their pictures: no cosine shows that, a linear map does."""
    rng = np.random.default_rng(0)
    pictures = F.normalize(torch.from_numpy(rng.standard_normal((400, 16))).float(), dim=1)
    turned = pictures @ torch.linalg.qr(torch.from_numpy(rng.standard_normal((16, 16))).float()).Q
    own = np.arange(400)
    own[:20] = (own[:20] + 200) % 400

    class Turned:
        def encode_texts(self, texts):
            return turned[[int(text) for text in texts]]

    shares = better_captions(
        lambda part: pictures[torch.from_numpy(part)],
        lambda part: np.full((len(part), 32, 32, 3), 255, np.uint8),
        [str(n) for n in range(400)], own, Turned(),
    )  # fmt: skip
    assert (shares[20:] < 0.05).mean() > 0.98
    assert (shares[:20] > 0.05).mean() >= 0.8


@pytest.mark.parametrize("learned", [2000, 1200])
def test_a_bad_fit_says_much_only_of_what_is_known(learned):
    """Of half the captions the judges know nothing; of the others wrong ones fit badly."""
    rng = np.random.default_rng(0)
    known, wrong = rng.random(2000) < 0.5, np.arange(2000) < 100
    wrong &= known

    def facts(known, fits):
        """The fit, and how well others fit: better where the judges know the picture."""
        noise = rng.standard_normal((len(fits), 5))
        noise[:, 0] += 4 * (fits & known)
        noise[:, 1:] += np.where(known, 3, 0)[:, None]
        return noise.astype(np.float32)

    pictures = np.repeat(rng.permutation(2000)[:learned], 4)
    own = facts(known, ~wrong)
    scores = worse_than_swapped(
        own, facts(known[pictures], np.zeros(len(pictures), bool)), pictures
    )  # fmt: skip
    doubted = np.argsort(-scores)[: wrong.sum()]
    by_fit = np.argsort(own[:, 0])[: wrong.sum()]
    assert wrong[doubted].mean() > 0.6 > 0.2 > wrong[by_fit].mean()
    assert scores[wrong].mean() > 0.6
    assert scores[known & ~wrong].mean() < 0.05


def test_no_picture_is_mapped_by_a_regression_that_its_caption_was_in():
    """Another caption of a picture changes what others are mapped to, and not it."""
    generator = torch.Generator().manual_seed(0)
    seen = torch.randn(60, 5, generator=generator)
    words = torch.nn.functional.normalize(torch.randn(60, 8, generator=generator), dim=1)
    own = np.arange(60)

    def mapped(own: np.ndarray) -> torch.Tensor:
        landmarks: list[np.ndarray] = []

        def kernel(part: np.ndarray) -> torch.Tensor:
            if not landmarks:
                landmarks.append(part)
            return torch.exp(-torch.cdist(seen[part], seen[landmarks[0]]).square() / 5)

        return _mapped(kernel, words, own)(np.arange(60))

    before = mapped(own)
    turns, norm = (
        np.array([_fold(n) for n in range(60)]),
        torch.exp(-torch.cdist(seen, seen).square() / 5).double(),
    )
    answers = (words - words.mean(0)).double()
    for turn in range(turns.max() + 1):
        known = norm[turns != turn]  # each picture is a landmark
        ridge = caption_matches._RIDGE * norm + 60e-6 * torch.eye(60)
        weights = torch.linalg.solve(known.T @ known + ridge, known.T @ answers[turns != turn])
        wanted = torch.nn.functional.normalize(norm[turns == turn] @ weights, dim=1)
        torch.testing.assert_close(before[turns == turn].double(), wanted, rtol=0, atol=1e-3)
    for row in (0, 17, 42):
        changed = own.copy()
        rival = next(n for n in range(60) if n != row and _fold(n) == _fold(row))
        changed[[row, rival]] = changed[[rival, row]]  # so that the mean stays
        after = mapped(changed)
        torch.testing.assert_close(after[row], before[row], rtol=0, atol=1e-5)
        others = [n for n in range(60) if _fold(n) != _fold(row)]
        assert (after[others] - before[others]).abs().amax(1).min() > 1e-5


def _fold(row: int, count: int = 60) -> int:
    """Which part of the captions is left out where a picture is mapped."""
    return int((np.random.default_rng(0).permutation(count) % caption_matches._FOLDS)[row])


def test_right_and_swapped_pairs_weigh_the_same_however_many_are_swapped():
    """Swapped pairs that come three times say what they say once."""
    rng = np.random.default_rng(1)
    own = rng.standard_normal((600, 5)).astype(np.float32)
    own[60:, 0] += 2
    swapped = rng.standard_normal((600, 5)).astype(np.float32)
    pictures = np.arange(600)
    once = worse_than_swapped(own, swapped, pictures)
    thrice = worse_than_swapped(own, np.tile(swapped, (3, 1)), np.tile(pictures, 3))
    np.testing.assert_allclose(thrice, once, atol=0.01)
    assert once[:60].mean() > 0.3 > 0.2 > once[60:].mean()


def test_the_precision_of_a_list_of_doubtful_captions_is_estimated():
    """One in twenty is wrong, with a uniform share; right ones have small shares, some large."""
    rng = np.random.default_rng(0)
    wrong = np.arange(40_000) < 2000
    shares = np.where(wrong, rng.random(40_000), rng.beta(1, 8, 40_000)).astype(np.float32)
    listed = np.zeros(40_000, bool)
    listed[np.argsort(-shares)[:2000]] = True
    right, found = wrong_among(shares, listed, 0.05)
    assert right == pytest.approx(wrong[listed].mean(), abs=0.03)
    assert found == pytest.approx(listed[wrong].mean(), abs=0.03)
    assert 0.045 < share_wrong(shares) < 0.08
    assert wrong_among(shares, np.zeros(40_000, bool), 0.05) == (0, 0)


@pytest.mark.parametrize(("wide", "raised"), [(120, False), (8, True)])
def test_the_threshold_is_raised_where_many_right_captions_would_be_doubted(wide, raised):
    """One in twenty is wrong, with a uniform share; the shares of right ones are less or more."""
    rng = np.random.default_rng(0)
    wrong = np.arange(40_000) < 2000
    shares = np.where(wrong, rng.random(40_000), rng.beta(1, wide, 40_000)).astype(np.float32)
    limit = careful_threshold(shares, 0.05)
    assert (limit > 0.05) == raised
    assert (~wrong & (shares > limit)).mean() <= 0.02
    assert (shares[wrong] > limit).mean() > 0.4


def test_the_map_of_known_drawings_is_the_closed_form_and_is_kept_in_bytes(tmp_path):
    """Spanned by all of them it is a plain kernel ridge regression."""
    rng = torch.Generator().manual_seed(0)
    vectors = F.normalize(torch.randn(40, 6, generator=rng), dim=1)
    sentences = F.normalize(torch.randn(40, 5, generator=rng), dim=1)
    found = CaptionMap.fit(vectors, sentences)
    seen = F.normalize(vectors - vectors.mean(0), dim=1).double()
    apart = torch.cdist(seen, seen).square()
    kernel = torch.exp(-2 * apart / apart.median())
    said = found.captions(sentences).double()
    wanted = F.normalize(kernel @ torch.linalg.solve(kernel + torch.eye(40), said), dim=1)
    assert (found.pictures(vectors) * wanted).sum(1).min() > 0.999
    # Whitened captions have the same variance in every direction, but for the floor.
    variances = torch.linalg.eigvalsh(said.T @ said / 40)
    assert variances.max() < 2 * variances.min()
    found.write(tmp_path / "map.safetensors", "fingerprint")
    again = CaptionMap.read(tmp_path / "map.safetensors")
    assert (again.pictures(vectors) * found.pictures(vectors)).sum(1).min() > 0.999
    assert (again.captions(sentences) * found.captions(sentences)).sum(1).min() > 0.999


def test_the_map_of_limner_is_of_the_shipped_aligner_alone():
    shipped = load_aligner()
    assert map_of(shipped) is not None
    assert map_of(InPart(np.zeros((1, 3)))) is None


class InPart:
    """An aligner that knows pictures by their mean colours, and captions roughly."""

    spec, fingerprint, dim = "in part", "0", 3

    def __init__(self, colours):
        noise = np.random.default_rng(1).normal(0, 0.4, colours.shape)
        self.words = torch.from_numpy(colours + noise)

    def encode_images(self, images):
        return F.normalize(images.mean((2, 3)), dim=1)

    def encode_texts(self, texts):
        return F.normalize(self.words[[int(text.split()[-1]) for text in texts]].float(), dim=1)

    def logits(self, images, texts):
        return images @ texts.T


def test_a_raised_threshold_is_said_and_most_of_what_is_found_is_wrong(tmp_path):
    rng = np.random.default_rng(0)
    colours = rng.uniform(-0.9, 0.9, (400, 3))
    said = np.arange(400)
    said[:40] = (said[:40] + 200) % 400
    with StoreWriter(tmp_path / "store", 16, "store") as writer:
        for number, colour in enumerate(colours):
            pixels = (colour + 1) * 127.5 + rng.integers(-10, 10, (16, 16, 3))
            text = Caption(f"colour number {said[number]}")
            writer.add(pixels.clip(0, 255).astype(np.uint8), [text], {"id": str(number)})
        writer.finish()
    given = [f"{name}=0" for name in ("blurred", "blank", "low-information", "dark")]
    options = CheckOptions(read_thresholds(given), aligner=InPart(colours), near=False)
    found = check(StoreSource(tmp_path / "store"), options)
    assert found.thresholds["mismatch"] > 0.05
    assert "raised from 0.05" in found.remarks["mismatch"]
    assert found.remarks["mismatch"] in check_page(found, "page")
    doubted = [finding.item for finding in found.of("mismatch")]
    assert len(doubted) >= 10 and np.mean(np.array(doubted) < 40) > 0.5


def test_the_chance_of_a_class_is_relative_to_that_of_its_pictures():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    # The second class looks like anything, so that its own chances are low.
    grey = np.where(labels == 0, 60, rng.integers(40, 220, 60))
    thumbs = np.clip(grey[:, None, None, None] + rng.integers(0, 20, (60, 32, 32, 1)), 0, 255)
    found = class_chances(thumbs.astype(np.uint8).repeat(3, 3), labels, np.arange(60))
    for label in (0, 1):
        assert found[labels == label].mean() == pytest.approx(1, abs=1e-5)


def test_kernel_regression_is_the_closed_form():
    known = np.array([[0.0], [1.0], [3.0]], np.float32)
    judge = Kernel(known, np.array([0, 1, 1]), 2)
    scaled = (known - known.mean()) / known.std()
    apart = (scaled - scaled.T) ** 2
    near = np.exp(-apart / np.median(apart))
    answers = np.array([[1, 0], [0, 1], [0, 1]]) - [1 / 3, 2 / 3]
    logits = 5 * near @ np.linalg.solve(near + 0.1 * np.eye(3), answers)
    wanted = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert judge.chances(known) == pytest.approx(wanted, abs=1e-4)


class ByColour:
    """An aligner that knows the words red and blue, and sees which of them prevails."""

    spec, fingerprint, dim = "colour", "0", 2

    def encode_images(self, images):
        found = images[:, [0, 2]].mean((2, 3)) + 1
        return found / found.norm(dim=1, keepdim=True)

    def encode_texts(self, texts):
        rows = [[1.0, 0.0] if "red" in text else [0.0, 1.0] for text in texts]
        return torch.tensor(rows)

    def logits(self, images, texts):
        return images @ texts.T


def test_captions_of_other_pictures_are_found_and_an_aligner_that_knows_nothing_is_ignored(
    tmp_path,
):
    rng = np.random.default_rng(0)
    for name, wrong in (("some", 4), ("half", 40)):
        with StoreWriter(tmp_path / name, 16, name) as writer:
            for number in range(80):
                red = bool(number % 2)
                hue = np.array([180, 0, 0] if red else [0, 0, 180])
                pixels = rng.integers(0, 60, (16, 16, 3)) + hue
                word = "red" if red == (number >= wrong) else "blue"
                writer.add(pixels.astype(np.uint8), [Caption(f"{word} number {number}")])
            writer.finish()
    options = CheckOptions(read_thresholds(["blurred=0"]), aligner=ByColour(), near=False)
    found = check(StoreSource(tmp_path / "some"), options)
    assert {finding.item for finding in found.of("mismatch")} == set(range(4))
    found = check(StoreSource(tmp_path / "half"), options)
    assert not found.of("mismatch")
    assert "does not know" in found.skipped["mismatch"]
    assert len(found.of("doubtful")) == 2  # 2 % of 80, rounded up; listed, and kept
    assert found.doubted is not None and str(found.doubted) == found.remarks["doubtful"]
    assert not found.removals()


def test_few_captions_are_not_compared(tmp_path):
    rng = np.random.default_rng(0)
    with StoreWriter(tmp_path / "few", 16, "few") as writer:
        for number in range(12):
            pixels = rng.integers(0, 60, (16, 16, 3)) + np.array([180, 0, 0])
            writer.add(pixels.astype(np.uint8), [Caption(f"blue number {number}")])
        writer.finish()
    options = CheckOptions(aligner=ByColour(), near=False)
    found = check(StoreSource(tmp_path / "few"), options)
    assert not found.of("mismatch")
    assert "12 different captions" in found.skipped["mismatch"]
