from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from limner.cli import build_app
from limner.data.store import Caption, Store
from limner.data.writer import StoreWriter
from limner.errors import DataError
from limner.evaluation.part import EvaluationOptions, Subject
from limner.evaluation.report import read_report
from limner.evaluation.suite import evaluate
from limner.metrics.captions import bleu, caption_scores, cider, retrieval, words
from limner.modelfile import save_model
from limner.modelinfo import ModelInfo, read_info
from limner.models.base import build
from limner.models.captioner import ScoredCaption
from limner.tensorfile import file_hash
from limner.text import load_encoder

SAID = [
    "a red apple on a table", "two blue cats", "a green boat on the water", "a red house", "a boat",
]  # fmt: skip
REFERENCES = [
    ["a red apple on the table", "an apple", "a red red apple on a wooden table"],
    ["two blue cats", "a pair of blue cats left of a dog"],
    ["a boat on green water", "a green boat"],
    ["a small yellow house with a red roof", "a house"],
    ["a sailing boat on the water"],
]
CIDER = [3.95783151, 4.23135803, 3.49696579, 1.61075164, 0.79154626]
"""Of these captions by ``CiderScorer(n=4, sigma=6.0)`` of pycocoevalcap 1.2, the code that the
authors of CIDEr gave to COCO."""


def test_words_are_letters_where_no_spaces_are_written():
    assert words("A Red-Apple, please!") == ("a", "red", "apple", "please")
    assert words("一只 红苹果 and 2 cats") == ("一", "只", "红", "苹", "果", "and", "2", "cats")
    assert words("the cat's café") == ("the", "cat's", "café")
    assert words(" … ") == ()


@pytest.mark.parametrize("most", [1, 2, 4])
def test_bleu_is_torchmetrics(most: int):
    theirs = pytest.importorskip("torchmetrics.functional.text").bleu_score
    wanted = theirs(SAID, REFERENCES, n_gram=most).item()
    assert bleu(SAID, REFERENCES, most) == pytest.approx(wanted, rel=1e-6)
    assert 0 < wanted < 1
    short = [text.split(" ", 1)[1] for text in SAID]  # shorter than every reference: brevity counts
    wanted = theirs(short, REFERENCES, n_gram=most).item()
    assert bleu(short, REFERENCES, most) == pytest.approx(wanted, rel=1e-6)


def test_bleu_of_chinese_is_that_of_its_letters():
    theirs = pytest.importorskip("torchmetrics.functional.text").bleu_score
    said, real = ["一只红色的苹果"], [["一个红色的苹果", "红苹果"]]
    spaced = [" ".join(said[0])], [[" ".join(text) for text in real[0]]]
    assert bleu(said, real) == pytest.approx(theirs(*spaced).item(), rel=1e-6)


def test_bleu_ends():
    assert bleu(["a red apple here"], [["a red apple here"]]) == pytest.approx(1.0)
    assert bleu(["a red apple"], [["a red apple"]]) == 0.0  # there are no four words
    assert bleu(["x"], [["y"]]) == 0.0


def test_cider_is_that_of_its_authors():
    assert cider(SAID, REFERENCES) == pytest.approx(CIDER, rel=1e-6)


def test_cider_by_hand():
    # Words: idf(cat) = ln 2, idf(a) = 0 (both pictures have it), idf(dog) = ln 2.
    # 1-grams: said (a: 0, dog: ln 2), reference 1 (a: 0, cat: ln 2): cosine 0; picture 2: 1.
    # 2-grams: "a dog" alone on either side of picture 2: 1. No 3- or 4-grams: 0.
    said, real = ["a dog", "a dog"], [["a cat"], ["a dog"]]
    assert cider(said, real) == pytest.approx([0.0, 10 * (1 + 1) / 4])
    # "dog dog": the count of 2 is clipped to 1, lengths 2 and 2; |said| = 2 ln 2, |real| = ln 2.
    clipped = math.log(2) ** 2 / (2 * math.log(2) * math.log(2))
    assert cider(["a dog", "dog dog"], real)[1] == pytest.approx(10 * clipped / 4)
    # One word less than the reference: exp(-1 / 72), the 1-grams still being the same direction.
    assert cider(["a dog", "dog"], real)[1] == pytest.approx(10 * math.exp(-1 / 72) / 4)


def letters(texts) -> torch.Tensor:
    """How often each letter comes: a reader without a network."""
    return torch.tensor([[float(t.count(c)) for c in "abcdefghijklmnopqrstuvwxyz"] for t in texts])


def test_retrieval_finds_the_own_picture():
    real = [["apple", "red apple"], ["boat"], ["house", "home"]]
    assert retrieval(["apple", "boat", "home"], real, letters)["retrieval_top1"] == 1.0
    turned = retrieval(["boat", "house", "apple"], real, letters)
    assert turned["retrieval_top1"] == 0.0 and turned["retrieval_top5"] == 1.0
    # Two pictures of one thing, told apart by keys only where they are given.
    twice = [["boat"], ["boat"], ["house"]]
    assert retrieval(["boat", "boat", "house"], twice, letters)["retrieval_top1"] < 1
    keyed = retrieval(["boat", "boat", "house"], twice, letters, keys=["b", "b", "h"])
    assert keyed["retrieval_top1"] == 1.0


def test_all_scores_at_once():
    found = caption_scores(SAID, REFERENCES, letters)
    assert found["bleu4"] == bleu(SAID, REFERENCES)
    assert found["cider"] == pytest.approx(sum(CIDER) / 5, rel=1e-6)
    assert set(found) == {"bleu4", "cider", "retrieval_top1", "retrieval_top5", "count"}
    assert set(caption_scores(SAID, REFERENCES)) == {"bleu4", "cider", "count"}


def test_what_does_not_fit_is_refused():
    with pytest.raises(DataError, match="5 captions cannot be scored by 4"):
        bleu(SAID, REFERENCES[:4])
    with pytest.raises(DataError, match="caption 2 has no reference"):
        cider(["a", "b"], [["a"], []])
    with pytest.raises(DataError, match="0 captions"):
        caption_scores([], [])


THINGS = (
    "apple",
    "boat",
    "cat",
    "dog",
    "egg",
    "fish",
    "goat",
    "hat",
    "iron",
    "jar",
    "kite",
    "leaf",
)


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Twelve things, each a grey of its own, with two captions in English and one in Chinese."""
    with StoreWriter(tmp_path_factory.mktemp("named") / "things", 32, "things") as writer:
        for i, name in enumerate(THINGS):
            pixels = np.full((32, 32, 3), 20 * i, np.uint8)
            spoken = [Caption(f"a small {name} on the table", "en", 1.0),
                      Caption(f"one little {name} on the table", "en", 2.0),
                      Caption(f"第{i}个", "zh")]  # fmt: skip
            writer.add(pixels, spoken, {"id": name})
        return writer.finish()


@pytest.fixture(scope="module")
def captioner_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    config = {"size": 32, "text_dim": 384, "languages": ("en", "zh"), "widths": (4, 8), "dim": 16,
              "depth": 1, "heads": 2, "longest": 8}  # fmt: skip
    model = build("captioner", config)
    path = tmp_path_factory.mktemp("captioner") / "captioner.safetensors"
    known = load_encoder("e5-small", cache=False).fingerprint
    info = ModelInfo(
        family="captioner",
        config=model.config.model_dump(mode="json"),
        encoder="e5-small",
        encoder_fingerprint=known,
    )
    save_model(path, model, info, "float16")
    return path


class Knows:
    """Tells the grey, and so the thing."""

    spec = "knows"

    def caption(self, pixels: np.ndarray, language: str | None = None, count: int = 1) -> Sequence:
        assert language == "en"
        return [ScoredCaption(f"one little {THINGS[int(pixels[0, 0, 0]) // 20]} on the table")]


def test_a_captioner_that_knows_all_scores_full_and_its_shuffled_captions_nothing(
    named: Store, captioner_path: Path
):
    subject = Subject(
        captioner_path, file_hash(captioner_path), read_info(captioner_path), captioner=Knows()
    )
    report = evaluate(subject, named, "captions", EvaluationOptions(languages=("en",)))
    figures = {each.key: each for each in report.part("captions").figures}
    assert all(each.count == 12 for each in figures.values())
    assert figures["en: bleu4"].value == pytest.approx(1.0)
    top1, cider_d = figures["en: retrieval_top1"], figures["en: cider"]
    assert top1.value == 1.0 == top1.upper_bound and top1.lower_bound == 0.0
    assert cider_d.lower_bound < cider_d.value
    assert cider_d.interval == pytest.approx((cider_d.value, cider_d.value))  # all are alike
    assert 0 < figures["en: bleu4"].upper_bound < 1
    assert set(report.card()) == {"captions"}


def test_the_command_scores_a_captioner_in_its_languages(
    named: Store, captioner_path: Path, tmp_path: Path
):
    path = tmp_path / "model.safetensors"
    path.write_bytes(captioner_path.read_bytes())
    words = ["evaluate", str(path), "--data", str(named.path), "--suite", "captions"]
    words += ["--samples", "11", "--quiet", "--write-card", "--json", str(tmp_path / "out.json")]
    done = CliRunner().invoke(build_app(), words)
    assert done.exit_code == 0, done.output
    found = read_report(tmp_path / "out.json")
    figures = {each.key: each for each in found.part("captions").figures}
    assert figures["en: cider"].count == figures["zh: cider"].count == 11
    assert figures["zh: bleu4"].upper_bound is None and "/" not in found.command
    assert len(read_info(path).quality["captions"]["figures"]) == 8
    assert "BLEU-4" in done.stdout and "upper bound" in done.stdout
    for wrong, sentence in (
        (["--languages", "fr"], "in fr"), (["--seeds", "2"], "only --suite full or recall"),
    ):  # fmt: skip
        bad = CliRunner().invoke(build_app(), [*words, *wrong])
        assert bad.exit_code == 2 and sentence in bad.stderr
    shipped = [word for word in words if word not in (str(path), "--write-card")]
    done = CliRunner().invoke(build_app(), shipped)
    assert done.exit_code == 0, done.output
    assert read_report(tmp_path / "out.json").model == "limner-captioner-64.safetensors"


def test_languages_that_cannot_be_scored_are_left_out_and_told(
    captioner_path: Path, tmp_path: Path
):
    """A store of one's own is mostly in one language."""
    with StoreWriter(tmp_path / "english", 32, "english") as writer:
        for i, name in enumerate(THINGS):
            writer.add(np.full((32, 32, 3), 20 * i, np.uint8), [Caption(f"a {name}")], {"id": name})
        store = writer.finish()
    info = read_info(captioner_path)
    subject = Subject(captioner_path, file_hash(captioner_path), info, captioner=Knows())
    report = evaluate(subject, store, "captions")
    assert {each.key[:2] for each in report.part("captions").figures} == {"en"}
    assert report.warnings == (
        "nothing can be scored in zh: the captioner writes en, zh, "
        "and the store has captions in en",
    )
    with pytest.raises(DataError, match="name a language of both with --languages"):
        evaluate(subject, store, "captions", EvaluationOptions(languages=("zh",)))
