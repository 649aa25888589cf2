"""Every suite is parts of one report; whatever draws goes through the generator."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from colour_aligner import ByColour
from icon_store import make_store
from limner.cli import build_app
from limner.cli.evaluate import Suite
from limner.data.selection import Selection
from limner.data.store import Caption, Store
from limner.data.writer import StoreWriter
from limner.errors import DataError, UsageError
from limner.evaluation.drawing import draw_batches, store_requests
from limner.evaluation.page import report_page
from limner.evaluation.part import EvaluationOptions, Part, trained_selection
from limner.evaluation.parts import PARTS
from limner.evaluation.reference import DistributionScore, Reference
from limner.evaluation.report import Figure, PartResult, Report, read_report, write_card
from limner.evaluation.suite import evaluate, suite_parts
from limner.generation.card import markdown_card
from limner.generation.generator import load
from limner.generation.quality import current_quality
from limner.generation.requests import DrawRequest
from limner.metrics.features import load_features
from limner.metrics.memorisation import Memorisation
from limner.modelinfo import ModelInfo, read_info
from limner.shipped import shipped_models

SAMPLES = 40


class OneDirection(ByColour):
    """The aligner of colours, for captions that name none: each gets a direction of its own."""

    def encode_texts(self, texts):
        rows = [torch.randn(3, generator=torch.Generator().manual_seed(len(t))) for t in texts]
        return torch.nn.functional.normalize(torch.stack(rows), dim=1)


@pytest.fixture(scope="module")
def report(many: Store, few_model: Path) -> Report:
    options = EvaluationOptions(
        SAMPLES, languages=("en",), features="judge", aligner=OneDirection(), command="a test",
        perturbed=2, seeds=1,
    )  # fmt: skip
    return evaluate(load(few_model), many, options=options)


def test_every_part_that_applies_is_there_with_its_bounds(report: Report):
    missing = {"composition", "prompts", "captions"}
    measured = [part.name for part in PARTS if part.name not in missing]
    assert [each.name for each in report.parts] == measured
    assert set(report.skipped) == missing and report.failed == {}
    fid = report.part("distribution").figure("fid")
    assert 0 <= fid.upper_bound < fid.lower_bound and fid.value > fid.upper_bound
    memory = report.part("memorisation").figure("memorised")
    assert memory.interval[0] <= memory.value <= memory.interval[1]
    assert 0.01 <= memory.upper_bound < 0.1
    assert report.part("consistency").figure("win_rate").lower_bound == 0.5
    recall = report.part("recall").figure("en not claimed: top5")
    assert recall.interval[0] <= recall.value <= recall.interval[1] and recall.upper_bound == 1.0
    rebuilt = report.part("reconstruction")
    assert {"mse", "psnr", "ssim", "perceptual"} <= {each.key for each in rebuilt.figures}
    for part in report.parts:
        assert part.figure(part.headline) and all(each.count > 0 for each in part.figures)
        for figure in part.figures:
            if figure.interval is not None:
                assert figure.interval[0] <= figure.value + 1e-9 <= figure.interval[1] + 2e-9


def test_the_figures_are_those_of_the_metrics_alone(report: Report, many: Store, few_model: Path):
    reference = Reference(many, load_features("judge"), samples=SAMPLES)
    prompts = reference.prompts(SAMPLES)
    score = DistributionScore(reference, prompts)
    memory = Memorisation(many, reference.threshold)
    for images, requests in draw_batches(load(few_model), store_requests(prompts)):
        score.update(images, [each.prompt for each in requests])
        memory.update(images)
    alone, found = score.compute(), report.part("distribution")
    for key in ("fid", "kid", "precision", "recall", "density", "coverage", "diversity"):
        assert found.figure(key).value == pytest.approx(alone[key]), key
    share = report.part("memorisation").figure("memorised")
    assert share.value == pytest.approx(memory.compute()["memorised"])
    each = score.per_picture()
    assert each["precision"].mean().item() == pytest.approx(alone["precision"])
    assert each["density"].mean().item() == pytest.approx(alone["density"])


def test_only_what_a_model_was_trained_on_is_asked_for(many: Store, few_model: Path):
    info = load(few_model).info
    assert trained_selection(info, many) == Selection()
    data = {"filters": {"style": ["alpha"]}, "languages": ["en"]}
    knows = info.model_copy(update={"training": {"recipe": {"data": data}}})
    assert trained_selection(knows, many) == Selection({"style": ["alpha"]}, ["en"])
    data["filters"] = {"style": ["nobody's"]}
    assert trained_selection(knows, many) == Selection()  # another store


def test_a_model_of_several_stores_was_trained_on_each_of_them():
    data = {"fingerprint": "c" * 16, "stores": {"icons": "a" * 16, "colours": "b" * 16}}
    info = ModelInfo(family="vae", config={}, encoder="e", encoder_fingerprint="f", data=data)
    assert all(info.trained_on(letter * 16) for letter in "abc")
    assert not info.trained_on("d" * 16) and not info.trained_on("icons")
    made_again = info.model_copy(update={"licences": {"set one": "MIT", "set two": "MIT"}})
    assert made_again.trained_on("d" * 16, "icons", ["set one"])
    assert not made_again.trained_on("d" * 16, "photos", ["set one"])
    assert not made_again.trained_on("d" * 16, "icons", ["my own"])
    assert not made_again.trained_on("d" * 16, "icons", [])  # a folder that happens to be so called
    alone = info.model_copy(update={"data": {"fingerprint": "a" * 16}})
    assert alone.trained_on("a" * 16) and not alone.trained_on("b" * 16)


@pytest.mark.skipif(not shipped_models(), reason="no model is shipped in this tree")
def test_the_shipped_model_was_trained_on_its_own_stores():
    info = read_info(shipped_models()[0])
    assert info.data["stores"] and all(map(info.trained_on, info.data["stores"].values()))


@pytest.mark.skipif(not shipped_models(), reason="no model is shipped in this tree")
def test_what_is_measured_is_what_a_user_gets():
    """Scenes are put together, and a style at the end of a prompt is taken off and used."""
    generator = load()
    prompts = ["two red apples", "a cat, noto style", "a blue pear"]
    requests = [DrawRequest(text, 5 + i) for i, text in enumerate(prompts)]
    ((images, drawn),) = draw_batches(generator, requests)
    assert drawn == requests
    for request, image in zip(requests, images, strict=True):
        made = generator.generate(request.prompt, seed=request.seed)[0].image
        pixels = (image.add(1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
        assert np.array_equal(pixels, np.asarray(made))


def test_refused_captions_are_left_out_and_told(few_model: Path):
    generator, refused = load(few_model), []
    requests = [DrawRequest("thing", 3), DrawRequest("  ", 4), DrawRequest("other", 5)]
    batches = list(draw_batches(generator, requests, refused))
    assert [each for _, drawn in batches for each in drawn] == [requests[0], requests[2]]
    assert [error.index for error in refused] == [1]


def test_the_page_stands_alone_and_shows_pictures_beside_their_neighbours(report: Report):
    text = report_page(report)
    assert not re.search(r"""(src|href)=["'](?!data:)""", text), "it needs a file beside it"
    sheets = re.findall(r'base64,([^"]+)"', text)
    assert len(sheets) == 4  # drawn, real, the nearest of all, the first
    nearest = Image.open(io.BytesIO(base64.b64decode(sheets[2])))
    assert nearest.size == (8 * 34 - 2, 4 * 34 - 2)  # two rows of eight, each with a row below
    for part in report.parts:
        assert part.title in text and all(each.title in text for each in part.figures)


def test_warnings_come_first_and_words_are_escaped(report: Report):
    figure = Figure(
        key="x", title="<b>x</b>", description="it & that", value=0.5, unit="%", count=3
    )
    part = PartResult(
        name="x", title="x", description="x", figures=(figure,), headline="x", warnings=("a <b>",)
    )
    page = report_page(report.model_copy(
        update={"parts": (part,), "warnings": part.warnings, "skipped": {"y": "no <store>"}}
    ))  # fmt: skip
    assert page.index("a &lt;b&gt;") < page.index("&lt;b&gt;x&lt;/b&gt;")
    assert "no &lt;store&gt;" in page and "50.0%" in page and "<b>x" not in page


def test_a_part_that_fails_does_not_take_the_others_along(
    many: Store, few_model: Path, monkeypatch: pytest.MonkeyPatch
):
    class Broken(Part):
        name, title, samples = "broken", "broken", 1
        taken = 0

        def update(self, images, captions):
            Broken.taken += len(images)

        def finish(self, meter):
            raise DataError("nothing came of it")

    monkeypatch.setattr("limner.evaluation.suite.PARTS", (Broken, PARTS[1]))
    found = evaluate(load(few_model), many, options=EvaluationOptions(SAMPLES, features="judge"))
    assert found.failed == {"broken": "nothing came of it"} and Broken.taken == SAMPLES
    assert [each.name for each in found.parts] == ["memorisation"]
    with pytest.raises(DataError, match="nothing came"):
        evaluate(load(few_model), many, "broken", EvaluationOptions(SAMPLES, features="judge"))


def test_a_suite_is_the_part_of_its_name_and_full_is_all(many: Store, few_model: Path):
    assert [part.name for part in suite_parts("diversity")] == ["diversity"]
    assert suite_parts("full") == list(PARTS)
    assert set(get_args(Suite)) == {"full", *(part.name for part in PARTS)}
    with pytest.raises(UsageError, match="no suite 'fidelity'"):
        suite_parts("fidelity")
    with pytest.raises(DataError, match="writes no captions"):
        evaluate(load(few_model), many, "captions")


def test_command_line_writes_json_and_page_and_card(many: Store, few_model: Path, tmp_path: Path):
    model = Path(shutil.copy(few_model, tmp_path / "model.safetensors"))
    out, page = tmp_path / "out.json", tmp_path / "deep" / "report.html"
    store = make_store(tmp_path / "plain", [f"1F3{n:02X}" for n in range(10)], told=False)
    words = [
        "evaluate",
        model,
        "--data",
        store.path,
        "--suite",
        "full",
        "--samples",
        "20",
        "--seeds",
        "1",
    ]
    words += ["--html", page, "--json", out, "--write-card", "--quiet"]
    done = CliRunner().invoke(build_app(), [str(word) for word in words])
    assert done.exit_code == 0, done.output
    written = read_report(out)
    assert not written.trained_on_store and written.suite == "full"
    assert "limner data icons" in written.skipped["recall"]
    assert written.part("consistency").judge.startswith("shipped")  # the aligner inside the package
    assert "/" not in written.command and str(tmp_path) not in page.read_text("utf-8")
    assert "upper bound" in done.stdout and "not measured: recall" in done.stdout
    fid = written.part("distribution").figure("fid")
    info = read_info(model)
    kept = info.quality["distribution"]["figures"][0]
    assert kept["value"] == pytest.approx(fid.value, rel=0.01)
    card = markdown_card("tiny", info, {"parameters": 1, "hash": "", "bytes": 1})
    assert "| FID |" in card and "| win rate |" in card
    assert not list(tmp_path.rglob("*.part"))


def test_json_alone_is_printed_and_a_file_after_it_is_written(
    few: Store, few_model: Path, tmp_path: Path
):
    words = ["evaluate", str(few_model), "--data", str(few.path), "--languages", "en", "--quiet"]
    printed = CliRunner().invoke(build_app(), [*words, "--json"])
    into = CliRunner().invoke(build_app(), [*words, "--json", str(tmp_path / "r.json")])
    assert printed.exit_code == into.exit_code == 0, into.output
    a, b = json.loads(printed.stdout), json.loads((tmp_path / "r.json").read_text("utf-8"))
    assert {**a, "seconds": 0} == {**b, "seconds": 0} and "Concept recall" in into.stdout


OPTIONS = {
    "--languages": "en", "--seeds": "2", "--also": "x", "--samples-dir": "x", "--samples": "20",
    "--holdout": "x", "--features": "x", "--aligner": "x", "--scenes": "x",
}  # fmt: skip


@pytest.mark.parametrize("option", OPTIONS)
def test_options_of_other_suites_are_refused(option: str, few: Store, few_model: Path):
    for suite in get_args(Suite):
        wanted = {name for part in suite_parts(suite) for name in part.options}
        if option.removeprefix("--").replace("-", "_") in wanted:
            continue
        words = ["evaluate", str(few_model), "--data", str(few.path), "--suite", suite]
        wrong = CliRunner().invoke(build_app(), [*words, option, OPTIONS[option]])
        assert wrong.exit_code == 2 and f"{option}: only --suite" in wrong.stderr


def test_reports_of_an_older_format_are_refused_with_what_to_do(report: Report, tmp_path: Path):
    path = report.write(tmp_path / "new.json")
    assert read_report(path).model_dump() == report.model_dump()
    old = tmp_path / "old.json"
    old.write_text(json.dumps({"format": 1, "groups": []}))
    with pytest.raises(DataError, match=r"older format \(1, this limner reads 2\); measure again"):
        read_report(old)
    old.write_text("[]")
    with pytest.raises(DataError):
        read_report(old)


OLD_QUALITY = {
    "concept_recall": {"en claimed": {
        "concepts": 500, "top1": 0.718, "top5": 0.87, "ceiling_top1": 0.764, "ceiling_top5": 0.88,
        "floor_top5": 0.0088, "top1_of_ceiling": 0.9398, "top5_of_ceiling": 0.9886,
    }},
    "copy_rate": 0.0095, "judge": "5b78", "prompts": "98dc", "store": "e8f0", "seeds": [0],
    "command": "limner evaluate m",
    "composition": {"en held out": {
        "prompts": 80, "drawn": {"single": 0.75, "overall": 0.8}, "ceiling": {"single": 0.925},
        "floor": {"single": 0.005}, "retrieval": {"single": 0.025},
        "low": {"single": 0.6, "overall": 0.77}, "high": {"single": 0.86, "overall": 0.87},
    }},
    "composition_judge": "dddd", "memorised": 0.02,
}  # fmt: skip


def test_figures_of_older_model_files_are_shown_and_replaced_part_by_part(
    report: Report, few_model: Path, tmp_path: Path
):
    found = current_quality(OLD_QUALITY)
    assert set(found) == {"recall", "composition", "memorisation"}
    top5 = found["recall"]["figures"][1]
    assert (top5["value"], top5["upper_bound"], top5["lower_bound"]) == (0.87, 0.88, 0.0088)
    single = found["composition"]["figures"][0]
    assert single["interval"] == [0.6, 0.86] and single["baseline"] == 0.025
    assert found["recall"]["judge"] == "5b78" and found["composition"]["judge"] == "dddd"
    assert current_quality(found) == found
    info = read_info(few_model).model_copy(update={"quality": OLD_QUALITY})
    card = markdown_card("old", info, {"parameters": 1, "hash": "", "bytes": 1})
    assert "98.9 %" in card and "en held out: single" in card and "retrieval" in card
    path = Path(shutil.copy(few_model, tmp_path / "own.safetensors"))
    written = write_card(path, report)
    assert "recall" in written.quality and "copy_rate" not in written.quality


def test_a_caption_is_of_the_class_of_most_of_its_pictures_that_have_one(tmp_path):
    labels = {"a shoe": ["shoe", "bag", "shoe", "?", "?", "?"], "a bag": ["bag"], "a hat": ["?"]}
    with StoreWriter(tmp_path / "s", 8, "clothes") as writer:
        for caption, shown in labels.items():
            for number, label in enumerate(shown):
                image = np.full((8, 8, 3), number, np.uint8)
                facts = {"id": f"{caption}-{number}", "label": label}
                writer.add(image, [Caption(caption)], facts)
        store = writer.finish()
    known = SimpleNamespace(network=SimpleNamespace(classes=("bag", "shoe")), store=store)
    found = Reference.classes_of(known, ["a shoe", "a bag", "a hat", "a coat"])
    assert found == {"a shoe": 1, "a bag": 0, "a hat": -1, "a coat": -1}
    known.network.classes = ()
    assert Reference.classes_of(known, ["a bag"]) == {"a bag": -1}
