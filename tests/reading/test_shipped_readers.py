"""The readers inside the package: they see what a drawing shows, and say it."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path

import pytest
from typer.testing import CliRunner

import limner
from limner.cli import build_app
from limner.modelinfo import read_info
from limner.reading.aligner import load_aligner
from limner.reading.search import classify
from limner.shipped import SHIPPED, SHIPPED_ALIGNER, SHIPPED_CAPTIONER, shipped_models

FOLDER = Path(str(resources.files("limner.weights")))
WORDS = {
    "en": ["a cat", "a car", "a house", "a banana", "a red heart"],
    "zh": ["猫", "汽车", "房子", "香蕉", "红心"],
}
FORBIDDEN = re.compile("openmoji|BY-SA", re.IGNORECASE)

pytestmark = pytest.mark.skipif(
    not shipped_models() or not (FOLDER / SHIPPED_ALIGNER).is_file(),
    reason="not all models are shipped in this tree",
)


@pytest.fixture(scope="module")
def drawings(own_cache: None, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("drawings")
    drawn = limner.load().generate(WORDS["en"], seed=3)
    return [each.save(folder / f"{each.index}.png") for each in drawn]


def run(*arguments: object, code: int = 0) -> str:
    done = CliRunner().invoke(build_app(), list(map(str, arguments)))
    assert done.exit_code == code, done.output
    return done.stdout if code == 0 else done.output


def warnings_of(*arguments: object) -> str:
    done = CliRunner().invoke(build_app(), list(map(str, arguments)))
    assert done.exit_code == 0
    return done.stderr


def test_it_is_small_and_says_what_it_learned_from():
    path = FOLDER / SHIPPED_ALIGNER
    info = read_info(path)
    assert path.stat().st_size <= 5e6
    assert len(info.licences) >= 5 and not FORBIDDEN.search(str(info.licences))
    assert info.limits and info.training["minutes"] > 0


@pytest.mark.parametrize("language", list(WORDS))
def test_words_in_two_languages_find_the_drawing(drawings: list[Path], language: str):
    aligner = load_aligner()
    texts = WORDS[language]
    for picture, wanted in zip(drawings, texts, strict=True):
        assert classify(aligner, picture, texts)[0].text == wanted


def test_an_index_by_the_shipped_aligner_is_searched_without_naming_it(
    drawings: list[Path], tmp_path: Path
):
    run("index", drawings[0].parent, "--out", tmp_path / "index", "--quiet")
    head = json.loads((tmp_path / "index" / "index.json").read_text())
    assert head["aligner"] == SHIPPED
    found = json.loads(run("search", tmp_path / "index", "un plátano", "--json"))
    assert found[0]["name"] == "3.png"
    weak = warnings_of("search", tmp_path / "index", "tax return 2023")
    assert "warning: the best score" in weak and "probably no picture shows this" in weak
    assert not warnings_of("search", tmp_path / "index", "a banana")
    said = run("classify", drawings[4], "--as", "a heart", "--as", "a fish")
    assert said.splitlines()[0].endswith("a heart")


@pytest.mark.skipif(
    not (FOLDER / SHIPPED_CAPTIONER).is_file(), reason="no captioner is shipped in this tree"
)
class TestCaptioner:
    """It names what was drawn, in three languages, and is small."""

    def test_it_is_small_and_says_what_it_learned_from(self):
        path = FOLDER / SHIPPED_CAPTIONER
        info = read_info(path)
        assert path.stat().st_size <= 15e6
        assert len(info.licences) >= 5 and not FORBIDDEN.search(str(info.licences))
        assert info.limits and info.training["minutes"] > 0

    @pytest.mark.parametrize(
        ("language", "names", "least"),
        [("en", ["cat", "car|automobile", "house", "banana", "heart"], 12),
         ("zh", ["猫", "车", "房", "香蕉", "心"], 12),
         ("es", ["gato", "coche|auto", "casa", "plátano|banana", "corazón"], 11)],
    )  # fmt: skip
    def test_it_names_what_was_drawn(
        self, tmp_path: Path, language: str, names: list[str], least: int
    ):
        drawn = limner.load().generate(WORDS["en"], n=3, seed=3, variety=0)
        paths = [picture.save(tmp_path / f"{i:02}.png") for i, picture in enumerate(drawn)]
        printed = run("caption", *paths, "--lang", language, "-n", 3, "--json", "--quiet")
        said = [json.loads(line)["captions"] for line in printed.splitlines()]
        right = [
            any(re.search(names[number // 3], caption["text"].lower()) for caption in each)
            for number, each in enumerate(said)
        ]
        assert len(right) == 15 and sum(right) >= least, said

    def test_a_language_it_does_not_speak_is_refused(self, drawings: list[Path]):
        told = run("caption", drawings[0], "--lang", "fr", code=2)
        assert "does not write 'fr'; it writes: en, zh, es" in " ".join(told.split())
