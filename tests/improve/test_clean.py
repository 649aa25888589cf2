"""Data sets checked and cleaned: measures by closed forms, duplicates by all pairs, whole runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from torch.nn import functional as F
from typer.testing import CliRunner

from limner.cli import build_app
from limner.data.pack import PackOptions
from limner.data.pictures import Cleaning
from limner.data.store import Caption, Store
from limner.data.writer import StoreWriter
from limner.errors import DataError, UsageError
from limner.improve import caption_matches
from limner.improve.caption_checks import common_texts, is_classes, text_fault
from limner.improve.caption_doubts import careful_threshold, share_wrong, wrong_among
from limner.improve.caption_map import CaptionMap, map_of
from limner.improve.caption_matches import _mapped, better_captions
from limner.improve.check_page import check_page
from limner.improve.checked_source import FileSource, StoreSource, open_checked
from limner.improve.checks import CHECKS, read_thresholds
from limner.improve.class_chances import Kernel, class_chances, gradients
from limner.improve.clean import REMOVED, clean
from limner.improve.duplicates import _nearest_few, distances, near_pairs
from limner.improve.examination import CheckOptions, check
from limner.improve.picture_measures import measure
from limner.improve.swapped_captions import worse_than_swapped
from limner.models.captioner import ScoredCaption
from limner.reading.aligner import load_aligner

SIDE = 64


def scene(number: int, side: int = SIDE) -> np.ndarray:
    """Flat shapes on white, each with colours and places of its own."""
    rng = np.random.default_rng([7, number])
    canvas = np.full((side, side, 3), 255, np.uint8)
    for _ in range(6):
        top, left = rng.integers(0, side - 16, 2)
        height, width = rng.integers(8, side // 2, 2)
        canvas[top : top + height, left : left + width] = rng.integers(0, 200, 3)
    return canvas


def softened(picture: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(2)))


def enlarged(picture: np.ndarray) -> np.ndarray:
    image = Image.fromarray(picture)
    return np.asarray(image.resize((16, 16)).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def brighter(picture: np.ndarray) -> np.ndarray:
    return np.clip(picture * 0.9 + 20, 0, 255).astype(np.uint8)


# -- measures ---------------------------------------------------------------------------------


def test_light_and_contrast_by_closed_forms():
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2).repeat(4, 0).repeat(4, 1)
    grey = np.full((SIDE, SIDE, 3), 102, np.uint8)
    red = np.zeros((SIDE, SIDE, 3), np.uint8)
    red[..., 0] = 255
    scores = measure(np.stack([ramp, grey, red])).scores
    assert scores["dark"][0] == pytest.approx(253 / 255, abs=1 / 255)  # 99 % of 0 to 255
    assert scores["light"][0] == pytest.approx(2 / 255, abs=1 / 255)
    assert scores["dark"][1:].tolist() == pytest.approx([0.4, 1.0])  # saturated red is not dark
    assert scores["light"][1:].tolist() == pytest.approx([0.4, 0.0])
    assert scores["blank"][1:].tolist() == [0, 0]
    assert scores["blank"][0] > 0.9


def test_flat_drawings_are_sharp_and_their_softened_or_enlarged_copies_are_not():
    flat = [scene(number) for number in range(8)]
    limit = read_thresholds(())["blurred"]
    assert measure(np.stack(flat)).scores["blurred"].min() > 0.9 > limit
    assert measure(np.stack([softened(each) for each in flat])).scores["blurred"].max() < limit
    assert measure(np.stack([enlarged(each) for each in flat])).scores["blurred"].max() < limit


def test_a_picture_out_of_focus_with_grain_is_not_blurred_and_its_softened_copy_is():
    rng = np.random.default_rng(0)
    for number in range(4):
        soft = Image.fromarray(scene(number)).filter(ImageFilter.GaussianBlur(4))
        grain = np.clip(np.asarray(soft) + rng.normal(0, 3, (SIDE, SIDE, 1)), 0, 255)
        pictures = np.stack([grain.astype(np.uint8), softened(grain.astype(np.uint8))])
        sharp, blurred = measure(pictures).scores["blurred"]
        assert sharp > read_thresholds(())["blurred"] > blurred


def test_an_even_slope_and_a_dot_have_less_information_than_a_drawing():
    slope = np.linspace(0, 255, SIDE).astype(np.uint8)[:, None, None].repeat(SIDE, 1).repeat(3, 2)
    dot = np.full((SIDE, SIDE, 3), 255, np.uint8)
    dot[30:34, 30:34] = 0
    found = measure(np.stack([slope, dot, *(scene(n) for n in range(8))])).scores["low-information"]
    assert max(found[:2]) < read_thresholds(())["low-information"] < min(found[2:])


def test_a_flag_and_a_square_are_something_and_a_line_is_not():
    flag = np.full((SIDE, SIDE, 3), 255, np.uint8)
    flag[SIDE // 2 :] = (200, 30, 40)
    square = np.full((SIDE, SIDE, 3), 255, np.uint8)
    square[16:48, 16:48] = 0
    line = np.full((SIDE, SIDE, 3), 255, np.uint8)
    line[30:32, 10:54] = 0
    found = measure(np.stack([line, flag, square])).scores["low-information"]
    assert found[0] < read_thresholds(())["low-information"] < min(found[1:])


# -- duplicates -------------------------------------------------------------------------------


def test_near_duplicates_are_those_that_all_pairs_give():
    originals = [scene(number) for number in range(30)]
    pictures = np.stack([*originals, *map(brighter, originals[:10])])
    thumbs = measure(pictures).thumbs
    found = near_pairs(thumbs, 0.4)
    one, other = np.triu_indices(len(thumbs), 1)
    far = distances(thumbs[one], thumbs[other])
    wanted = {(a, b) for a, b, d in zip(one, other, far, strict=True) if d < 0.4 * found.usual}
    assert set(zip(found.first.tolist(), found.second.tolist(), strict=True)) == wanted
    assert {(n, 30 + n) for n in range(10)} <= wanted


def test_the_distance_leaves_small_shifts_and_scalings_out():
    image = Image.fromarray(scene(3, 256))
    still = np.asarray(image.resize((SIDE, SIDE)))
    moved = np.asarray(image.crop((3, 3, 253, 253)).resize((SIDE, SIDE)))
    other = scene(4)
    thumbs = measure(np.stack([still, moved, other])).thumbs
    near, far = distances(thumbs[[0, 0]], thumbs[[1, 2]])
    assert near < 0.15 < 0.5 < far
    assert distances(thumbs[:1], thumbs[:1])[0] == pytest.approx(0, abs=1e-5)


# -- captions ---------------------------------------------------------------------------------


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


# -- whole runs -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Sixty drawings with captions of their own, then one of each fault, then copies."""
    path = tmp_path_factory.mktemp("faulty") / "store"
    with StoreWriter(path, SIDE, "faulty", licences={"mine": "CC0-1.0"}) as writer:

        def add(key: str, pixels: np.ndarray, *texts: str, **facts: str) -> None:
            captions = [Caption(text) for text in texts or (f"shapes named {key}",)]
            writer.add(pixels, captions, {"id": key, **facts})

        for number in range(60):
            add(f"good-{number}", scene(number), split="test" if number >= 55 else "train")
        add("dark", (scene(100) * 0.1).astype(np.uint8))
        add("light", (230 + scene(101) * 0.1).astype(np.uint8))
        add("blank", np.full((SIDE, SIDE, 3), 90, np.uint8))
        add("blurred", enlarged(scene(102)))
        add("exact", scene(0), "the same once more")
        add("near", brighter(scene(1)), "nearly the same")
        add("leak", brighter(scene(57)))
        add("named", scene(103), "IMG_1.jpg")
        add("half-named", scene(104), "IMG_2.jpg", "boxes")
        return writer.finish()


def test_every_planted_fault_is_found_and_nothing_else(faulty: Store):
    found = check(StoreSource(faulty.path))
    issues = {found.keys[f.item]: f.issue for f in found.findings}
    assert issues == {
        "dark": "dark", "light": "light", "blank": "blank", "blurred": "blurred",
        "exact": "exact-duplicate", "near": "near-duplicate", "leak": "leak",
        "named": "placeholder",
    }  # fmt: skip
    assert found.held == 5
    assert {row["check"] for row in found.table()} == {each.name for each in CHECKS}


def test_clean_writes_what_is_left_names_the_rest_and_leaves_the_source(faulty: Store, tmp_path):
    before = {file.name: file.read_bytes() for file in faulty.path.iterdir()}
    report = clean(check(StoreSource(faulty.path)), tmp_path / "cleaned")
    assert {file.name: file.read_bytes() for file in faulty.path.iterdir()} == before
    assert report.kept == 61
    assert report.dropped == 1
    keys = report.store.column("id")
    assert keys == [*(f"good-{n}" for n in range(60)), "half-named"]
    assert [c.text for c in report.store.captions(60)] == ["boxes"]
    assert [c.text for c in report.store.captions(0)] == [
        "shapes named good-0",
        "the same once more",
    ]
    assert report.store.metadata(1)["joined"] == ["near"]
    lines = (tmp_path / "cleaned" / REMOVED).read_text("utf-8").splitlines()
    removed = {line["item"]: line for line in map(json.loads, lines)}
    assert list(removed) == [
        "dark", "light", "blank", "blurred", "exact", "near", "leak", "named",
    ]  # fmt: skip
    assert removed["dark"]["score"] < removed["dark"]["threshold"] == 0.25
    assert removed["near"]["detail"] == "good-1"
    assert check(StoreSource(tmp_path / "cleaned")).removals() == {}


def test_pictures_that_look_alike_but_are_said_to_differ_must_be_nearer(tmp_path):
    """A patch is added: 0.3 of the usual distance, between the two thresholds."""
    with StoreWriter(tmp_path / "alike", SIDE, "alike", licences={"mine": "CC0-1.0"}) as writer:
        for number in range(60):
            writer.add(scene(number), [Caption(f"card {number}")], {"id": f"card-{number}"})
        for number, text in ((4, "Card  4"), (5, "card five"), (6, "IMG_6.jpg")):
            patched = scene(number)
            patched[28:36, 28:36] = (250, 220, 0)
            writer.add(patched, [Caption(text)], {"id": f"patched-{number}"})
        brighter_one = brighter(scene(7))
        writer.add(brighter_one, [Caption("card seven")], {"id": "brighter-7"})
        writer.finish()
    found = check(StoreSource(tmp_path / "alike"), CheckOptions(read_thresholds(["blurred=0"])))
    removed = {found.keys[item] for item, _ in found.removals().items()}
    alike = {found.keys[each.item] for each in found.of("near-duplicate")}
    assert alike == {"patched-4", "patched-6", "brighter-7"}
    assert removed == alike


def test_pictures_with_a_fault_stay_where_that_is_asked(faulty: Store, tmp_path):
    found = check(StoreSource(faulty.path), CheckOptions(read_thresholds(["dark=0.05"])))
    assert not found.of("dark")
    report = clean(found, tmp_path / "kept", keep=["blurred", "exact-duplicate"])
    assert {"dark", "blurred", "exact"} <= set(report.store.column("id"))


def test_the_page_shows_the_faults(faulty: Store):
    page = check_page(check(StoreSource(faulty.path)), "a <title>")
    assert page.count("data:image/png;base64,") >= 8
    assert "a &lt;title&gt;" in page
    assert all(check.name in page for check in CHECKS)


def test_wrong_classes_are_found(tmp_path):
    rng = np.random.default_rng(0)
    with StoreWriter(tmp_path / "store", 16, "classes") as writer:
        for number in range(96):
            red = number % 2 == 0
            noise = rng.integers(0, 60, (16, 16, 3))
            pixels = (noise + np.array([180, 20, 20] if red else [20, 20, 180])).astype(np.uint8)
            wrong = number < 4
            text = "a red thing" if red != wrong else "a blue thing"
            writer.add(pixels, [Caption(text)], {"id": str(number)})
        store = writer.finish()
    options = CheckOptions(read_thresholds(["wrong-class=0.4", "blurred=0"]), near=False)
    found = check(StoreSource(store.path), options)
    assert {finding.item for finding in found.of("wrong-class")} == set(range(4))


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


def test_what_small_shifts_change_is_no_difference():
    """Tangent distance (Simard, LeCun and Denker 1993): what is left is as least squares says."""
    y, x = np.mgrid[:32, :32]

    def blob(down: float, right: float) -> np.ndarray:
        far = (y - 15 - down) ** 2 + (x - 15 - right) ** 2 / 3
        grey = 255 - 200 * np.exp(-far / 40)
        return np.repeat(grey[..., None], 3, 2).round().astype(np.uint8)[None]

    still, near, other = blob(0, 0), blob(0.6, -0.6), scene(3, 32)[None]

    def plain(one: np.ndarray, two: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        flat = []
        for each in (one, two):
            grid = each[0].astype(np.float64)
            for axis in (0, 1, 0, 1):
                wide = np.pad(grid, [(1, 1) if a == axis else (0, 0) for a in range(3)], "edge")
                moved = [np.roll(wide, -step, axis) for step in (0, 1, 2)]
                mixed = (moved[0] + 2 * moved[1] + moved[2]) / 4
                grid = mixed.take(range(32), axis)
            even = grid - grid.mean((0, 1))
            flat.append(even / np.linalg.norm(even))
        return flat[1] - flat[0], (flat[0] + flat[1]) / 2

    for one, two in ((still, near), (still, other)):
        difference, middle = plain(one, two)
        down, right = np.gradient(middle, axis=(0, 1))
        place = np.linspace(-1, 1, 32)
        v, h = place[:, None, None], place[None, :, None]
        ways = [down, right, h * right + v * down, h * down - v * right]
        design = np.stack([each.ravel() for each in ways], 1)
        best = np.linalg.lstsq(design, difference.ravel(), rcond=None)[0]
        left = np.linalg.norm(difference.ravel() - design @ best)
        found = float(distances(one, two)[0])
        assert found == pytest.approx(left, rel=0.1, abs=0.03)
        assert found < np.linalg.norm(difference)
    assert distances(still, near)[0] < 0.3 * np.linalg.norm(plain(still, near)[0])


def test_pairs_are_kept_that_are_among_the_nearest_of_either_picture(monkeypatch):
    monkeypatch.setattr("limner.improve.duplicates._KEPT", 2)
    rng = np.random.default_rng(0)
    pairs = np.array([(a, b) for a in range(9) for b in range(a + 1, 9) if rng.random() < 0.7])
    apart = rng.permutation(len(pairs)).astype(np.float32)
    wanted = np.zeros(len(pairs), bool)
    for column in (0, 1):
        for row in range(9):
            mine = np.flatnonzero(pairs[:, column] == row)
            wanted[mine[np.argsort(apart[mine])][:2]] = True
    assert _nearest_few(pairs, apart).tolist() == wanted.tolist()
    assert not wanted.all()


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


def test_oriented_gradients_of_a_step_lie_in_one_orientation_and_row_of_cells():
    thumb = np.zeros((1, 32, 32, 3), np.uint8)
    thumb[:, 10:] = 255
    found = gradients(thumb).reshape(8, 8, 8)  # orientation, cell down, cell right
    # Rows 9 and 10 have the slope 1/2, and lie in the third row of cells, four columns to a cell.
    assert found[4, 2].tolist() == pytest.approx([2.0] * 8)
    assert found.sum() == pytest.approx(16.0)


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


@pytest.fixture
def files(tmp_path) -> Path:
    """Unusual pictures that are right, and files that are not."""
    folder = tmp_path / "files"
    folder.mkdir()

    def save(name: str, image: Image.Image, caption: str | None = None, **how: object) -> None:
        image.save(folder / name, **how)
        if caption != "":
            text = caption or f"shapes number {len(list(folder.iterdir()))}"
            (folder / name).with_suffix(".txt").write_text(text, "utf-8")

    exif = Image.Exif()
    exif[0x0112] = 6
    pictures = [Image.fromarray(scene(number, 128)) for number in range(12)]
    save("plain.png", pictures[0])
    save("turned.jpg", pictures[1], exif=exif, quality=95)
    save("cmyk.jpg", pictures[2].convert("CMYK"), quality=95)
    deep = np.asarray(pictures[3].convert("L")).astype(np.uint16) * 257
    save("deep.tiff", Image.fromarray(deep))
    save("clear.png", pictures[4].convert("RGBA"))
    save("moving.gif", pictures[5], save_all=True, append_images=[pictures[6]], duration=100)
    save("tiny.png", pictures[7].resize((20, 20)))
    save("banner.png", pictures[8].resize((600, 90)))
    save("silent.png", pictures[9], caption="")
    save("cut.png", pictures[10])
    data = (folder / "cut.png").read_bytes()
    (folder / "cut.png").write_bytes(data[: len(data) // 2])
    save("bomb.png", pictures[11])
    (folder / "bomb.png").write_bytes(data[:16] + (60_000).to_bytes(4, "big") * 2 + data[24:])
    (folder / "notes.md").write_text("not a picture")
    return folder


def file_source(folder: Path) -> FileSource:
    return FileSource(folder, PackOptions(cleaning=Cleaning(size=64, min_side=1), workers=1))


def test_files_of_every_kind_are_reported_and_none_stops_the_check(files: Path, tmp_path):
    found = check(file_source(files))
    issues = {(found.keys[f.item], f.issue) for f in found.findings}
    wanted = {
        ("tiny.png", "small"), ("banner.png", "shape"), ("silent.png", "no-caption"),
        ("cut.png", "unreadable"), ("bomb.png", "unreadable"),
    }  # fmt: skip
    assert wanted <= issues
    right = {"plain.png", "turned.jpg", "cmyk.jpg", "deep.tiff", "clear.png", "moving.gif"}
    assert not {name for name, _ in issues} & right
    assert list(found.unused) == ["notes.md"]
    assert {"turned by EXIF", "CMYK to RGB", "animated: first frame"} <= set(found.notes)
    report = clean(found, tmp_path / "store")
    assert right <= set(report.store.column("id"))
    page = check_page(found, "files")
    assert "data:image/png" in page
    assert "notes.md" in page


def test_of_two_files_the_larger_stays(tmp_path):
    large = Image.fromarray(scene(3, 256))
    large.save(tmp_path / "b.png")
    large.resize((100, 100), Image.Resampling.LANCZOS).save(tmp_path / "a.png")
    for number in range(4, 8):
        Image.fromarray(scene(number, 128)).save(tmp_path / f"other-{number}.png")
    found = check(file_source(tmp_path))
    assert [found.keys[finding.item] for finding in found.of("near-duplicate")] == ["a.png"]


def test_under_exposure_that_leaves_hardly_any_contrast_is_dark_too(tmp_path):
    rng = np.random.default_rng(0)
    faint = np.full((SIDE, SIDE, 3), 20, np.uint8)
    faint[20:50, 20:50] += 3
    even = np.clip(rng.normal(20, 0.7, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
    with StoreWriter(tmp_path / "store", SIDE, "dim") as writer:
        for name, pixels in (("faint", faint), ("even", even), ("good", scene(1))):
            writer.add(pixels, [Caption(f"named {name}")], {"id": name})
        store = writer.finish()
    found = check(StoreSource(store.path))
    issues = {(found.keys[finding.item], finding.issue) for finding in found.findings}
    assert issues == {("faint", "blank"), ("faint", "dark"), ("even", "blank")}


def test_missing_captions_are_written_on_request(files: Path, tmp_path):
    class Says:
        spec, fingerprint = "says", "0"

        def caption(self, pixels, language=None, count=1):
            return [ScoredCaption("boxes of many colours")]

    report = clean(check(file_source(files)), tmp_path / "store", captioner=Says())
    row = report.store.column("id").index("silent.png")
    assert [c.text for c in report.store.captions(row)] == ["boxes of many colours"]
    assert report.filled == 1


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


def test_a_folder_without_any_caption_can_be_checked(tmp_path):
    for number in range(3):
        Image.fromarray(scene(number)).save(tmp_path / f"{number}.png")
    found = check(file_source(tmp_path))
    assert len(found.of("no-caption")) == 3
    assert found.captions[""] == 0
    with pytest.raises(DataError, match="no picture to pack"):
        clean(found, tmp_path / "store")


def test_held_out_pictures_of_another_store(faulty: Store, tmp_path):
    with StoreWriter(tmp_path / "held", SIDE, "held") as writer:
        writer.add(brighter(scene(5)), [Caption("held out")])
        writer.finish()
    found = check(StoreSource(faulty.path), CheckOptions(holdout=open_checked(tmp_path / "held")))
    assert {found.keys[f.item] for f in found.of("leak")} == {"leak", "good-5"}


@pytest.mark.parametrize("given", ["darkness=1", "dark", "dark=x", "dark=7", "unreadable=1"])
def test_thresholds_that_make_no_sense_are_refused(given):
    with pytest.raises(UsageError):
        read_thresholds([given])


def test_the_commands(faulty: Store, tmp_path):
    def run(*words: object) -> int:
        return CliRunner().invoke(build_app(), ["data", *map(str, words)]).exit_code

    def told(*words: object) -> str:
        return str(CliRunner().invoke(build_app(), ["data", *map(str, words)]).output)

    page = tmp_path / "report.html"
    how = ("--aligner", "none", "--quiet")
    found = json.loads(told("check", faulty.path, *how, "--json", "--page", page))
    assert found["to_remove"] == 8
    words = told("check", faulty.path, *how)
    assert "near-duplicate: near (like good-1)" in words
    assert "--page report.html" in words
    assert page.is_file()
    out = tmp_path / "out"
    assert "61 pictures; 8 left out" in told("clean", faulty.path, "--out", out, *how)
    assert run("clean", faulty.path, "--out", out, *how) == 2
    assert run("check", faulty.path, *how, "--threshold", "dark=9") == 2
    assert run("check", tmp_path / "nothing", *how) == 2
    assert run("clean", faulty.path, "--out", tmp_path / "b", *how, "--keep", "darkness") == 2
    assert not (tmp_path / "b").exists()


def test_a_sharp_picture_that_was_enlarged_is_small_not_blurred():
    small = np.full((64, 64, 3), 255, np.uint8)
    small[13:47, 20:53] = (200, 30, 30)
    small[27:40, 7:33] = (20, 60, 200)
    sharp = Image.fromarray(small)
    soft = sharp.filter(ImageFilter.GaussianBlur(3))
    large = np.stack([np.asarray(i.resize((256, 256), Image.Resampling.LANCZOS))
                      for i in (sharp, soft)])  # fmt: skip
    limit = read_thresholds(())["blurred"]
    as_they_are = measure(large).scores["blurred"]
    as_they_were = measure(large, [64, 64]).scores["blurred"]
    assert as_they_are[0] < limit < as_they_were[0]
    assert as_they_were[1] < limit
