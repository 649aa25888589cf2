from __future__ import annotations

import base64
import io
import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from colour_aligner import ByColour
from icon_store import make_store
from limner.cli import build_app
from limner.cli.evaluate import TAKES, Suite
from limner.data.selection import Selection
from limner.data.store import Store
from limner.errors import DataError
from limner.evaluation.comparison import draw, draw_some
from limner.evaluation.distribution import taught
from limner.evaluation.parts import PARTS
from limner.evaluation.suite import Asked, Figure, Finding, FullReport, Part, evaluate_all
from limner.evaluation.suite_page import suite_page
from limner.generation.generator import load
from limner.metrics.features import load_features
from limner.metrics.memorisation import Memorisation
from limner.metrics.reference import DistributionScore, Reference
from limner.modelfile import read_info

SAMPLES = 40


class OneWord(ByColour):
    """The aligner of colours, for captions that name none: each gets a direction of its own."""

    def read(self, texts):
        rows = [torch.randn(3, generator=torch.Generator().manual_seed(len(t))) for t in texts]
        return torch.nn.functional.normalize(torch.stack(rows), dim=1)


@pytest.fixture(scope="module")
def report(many: Store, few_model: Path) -> FullReport:
    asked = Asked(SAMPLES, languages=("en",), command="a test")
    return evaluate_all(
        load(few_model), many, load_features("judge"), asked, aligner=OneWord()
    )  # fmt: skip


def test_every_part_that_applies_is_there_with_its_ends(report: FullReport):
    assert [each.name for each in report.findings] == [part.name for part in PARTS]
    assert report.skipped == {} == report.failed and report.samples == SAMPLES
    fid = report.finding("distribution").figure("fid")
    assert 0 <= fid.real < fid.chance and fid.value > fid.real
    memory = report.finding("memorisation").figure("memorised")
    assert memory.low <= memory.value <= memory.high and 0.01 <= memory.real < 0.1
    assert report.finding("consistency").figure("wins").chance == 0.5
    recall = report.finding("recall").figure("en, not claimed: top5")
    assert recall.low <= recall.value <= recall.high and recall.real == 1.0
    rebuilt = report.finding("reconstruction")
    assert {"mse", "psnr", "ssim", "perceptual"} <= {each.key for each in rebuilt.figures}
    assert len({each.key for f in report.findings for each in f.figures}) > 15


def test_the_figures_are_those_of_the_metrics_alone(
    report: FullReport, many: Store, few_model: Path
):
    reference = Reference(many, load_features("judge"), samples=SAMPLES)
    prompts = reference.prompts(SAMPLES)
    score = DistributionScore(reference, prompts)
    memory = Memorisation(many, threshold=reference.threshold)
    for images, captions in draw(load(few_model), prompts):
        score.update(images, captions)
        memory.update(images, captions)
    alone, found = score.compute(), report.finding("distribution")
    for key in ("fid", "precision", "recall", "density", "coverage", "diversity"):
        assert found.figure(key).value == pytest.approx(alone[key]), key
    assert found.figure("kid").value == pytest.approx(1000 * alone["kid"])
    share = report.finding("memorisation").figure("memorised")
    assert share.value == pytest.approx(memory.compute()["memorised"])
    assert report.card()["distribution_fid"]["floor"] == found.figure("fid").real
    assert {"concept_recall", "memorised", "reconstruction", "consistency"} <= set(report.card())


def test_only_what_was_taught_is_asked(many: Store, few_model: Path):
    info = load(few_model).info
    assert taught(info, many) == Selection()
    data = {"filters": {"style": ["alpha"]}, "languages": ["en"]}
    knows = info.model_copy(update={"training": {"recipe": {"data": data}}})
    assert taught(knows, many) == Selection({"style": ["alpha"]}, ["en"])
    data["filters"] = {"style": ["nobody's"]}
    assert taught(knows, many) == Selection()  # another store than it learned from


def test_a_picture_is_drawn_again_with_the_same_bits(many: Store, few_model: Path):
    generator, prompts = load(few_model), [f"thing {i}" for i in range(7)]
    together = torch.cat([images for images, _ in draw(generator, prompts)])
    assert torch.equal(draw_some(generator, prompts, [5, 2]), together[[5, 2]])


def test_the_page_stands_alone_and_shows_pictures_beside_their_neighbours(report: FullReport):
    text = suite_page(report)
    assert not re.search(r"""(src|href)=["'](?!data:)""", text), "it needs a file beside it"
    sheets = re.findall(r'base64,([^"]+)"', text)
    assert len(sheets) == 4  # drawn, real, the nearest of all, the first
    nearest = Image.open(io.BytesIO(base64.b64decode(sheets[2])))
    assert nearest.size == (8 * 34 - 2, 4 * 34 - 2)  # two rows of eight, each with a row below
    for finding in report.findings:
        assert finding.title in text and all(each.title in text for each in finding.figures)


def test_alarms_come_first_and_words_are_escaped(report: FullReport):
    figure = Figure(key="x", title="<b>x</b>", told="it & that", value=0.5, percent=True)
    finding = Finding(name="x", title="x", told="x", figures=(figure,), alarms=("look <here>",))
    page = suite_page(report.model_copy(
        update={"findings": (finding,), "alarms": finding.alarms, "skipped": {"y": "no <store>"}}
    ))  # fmt: skip
    assert page.index("look &lt;here&gt;") < page.index("&lt;b&gt;x&lt;/b&gt;")
    assert "no &lt;store&gt;" in page and "50.0%" in page and "<b>x" not in page


def test_a_part_that_fails_does_not_take_the_others_along(
    many: Store, few_model: Path, monkeypatch: pytest.MonkeyPatch
):
    class Broken(Part):
        name, title = "broken", "broken"
        seen = 0

        def update(self, images, captions):
            Broken.seen += len(images)

        def finish(self, meter):
            raise DataError("nothing came of it")

    monkeypatch.setattr("limner.evaluation.parts.PARTS", (Broken, PARTS[1]))
    asked = Asked(SAMPLES)
    found = evaluate_all(load(few_model), many, load_features("judge"), asked)
    assert found.failed == {"broken": "nothing came of it"} and Broken.seen == SAMPLES
    assert [each.name for each in found.findings] == ["memorisation"]


def test_command_line_writes_json_and_page_and_card(many: Store, few_model: Path, tmp_path: Path):
    model = Path(shutil.copy(few_model, tmp_path / "model.safetensors"))
    out, page = tmp_path / "out.json", tmp_path / "deep" / "report.html"
    store = make_store(tmp_path / "plain", [f"1F3{n:02X}" for n in range(10)], told=False)
    words = ["evaluate", model, "--data", store.path, "--suite", "full", "--samples", "20"]
    words += ["--html", page, "--json", out, "--write-card", "--quiet"]
    done = CliRunner().invoke(build_app(), [str(word) for word in words])
    assert done.exit_code == 0, done.output
    written = json.loads(out.read_text("utf-8"))
    assert "no aligner" in written["skipped"]["consistency"]
    assert "no icons of the judged concepts" in written["skipped"]["recall"]
    assert "/" not in written["command"] and str(tmp_path) not in page.read_text("utf-8")
    assert "How the drawn pictures lie" in done.stdout and "not measured: recall" in done.stdout
    assert read_info(model).quality["distribution"]["fid"] == next(
        each["value"] for each in written["findings"][0]["figures"] if each["key"] == "fid"
    )
    assert not list(tmp_path.rglob("*.part"))


def test_json_alone_is_printed_and_a_file_after_it_is_written(
    few: Store, few_model: Path, tmp_path: Path
):
    words = ["evaluate", str(few_model), "--data", str(few.path), "--languages", "en", "--quiet"]
    printed = CliRunner().invoke(build_app(), [*words, "--json"])
    into = CliRunner().invoke(build_app(), [*words, "--json", str(tmp_path / "r.json")])
    assert printed.exit_code == into.exit_code == 0, into.output
    a, b = json.loads(printed.stdout), json.loads((tmp_path / "r.json").read_text("utf-8"))
    assert {**a, "seconds": 0} == {**b, "seconds": 0} and "concept recall of" in into.stdout


@pytest.mark.parametrize("option", sorted(TAKES))
def test_options_of_other_suites_are_refused(option: str, few: Store, few_model: Path):
    value = {"--seeds": "2", "--samples": "20", "--languages": "en"}.get(option, "x")
    for suite in Suite:
        if suite in TAKES[option]:
            continue
        words = ["evaluate", str(few_model), "--data", str(few.path), "--suite", suite.value]
        wrong = CliRunner().invoke(build_app(), [*words, option, value])
        assert wrong.exit_code == 2 and f"{option}: only --suite" in wrong.stderr
