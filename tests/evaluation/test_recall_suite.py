from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

from icon_store import STYLES, make_store
from limner.cli import build_app
from limner.data.store import Store
from limner.errors import DataError, UsageError
from limner.evaluation.concept_prompts import NOVEL_PROMPTS, load_prompts
from limner.evaluation.part import EvaluationOptions
from limner.evaluation.parts.recall import assign_styles
from limner.evaluation.report import Report, write_card
from limner.evaluation.suite import evaluate
from limner.generation.generator import load
from limner.metrics.intervals import wilson
from limner.metrics.recall import Gallery
from limner.modelinfo import read_info
from limner.tensorfile import file_hash


def run(*words: str | Path):
    return CliRunner().invoke(build_app(), ["evaluate", *map(str, words)])


@pytest.fixture(scope="module")
def report(few: Store, few_model: Path) -> Report:
    return evaluate(load(few_model), few, "recall", EvaluationOptions(command="a test"))


def test_report_has_all_groups_and_adds_up(few, few_model, report):
    part = report.part("recall")
    groups = ["en claimed", "en not claimed", "zh claimed", "zh not claimed"]
    assert [part.figure(f"{name}: top1").count for name in groups] == [4, 2, 4, 2]
    assert part.protocol["skipped_concepts"] == 494
    assert (part.protocol["gallery_concepts"], part.protocol["gallery_icons"]) == (6, 18)
    assert report.store_fingerprint == few.fingerprint
    assert report.trained_on_store
    assert report.model_hash == file_hash(few_model)
    assert part.figure("memorised").count == len(NOVEL_PROMPTS)
    assert part.headline == "en claimed: top5 of upper bound"
    for name in groups:
        top1, top5 = part.figure(f"{name}: top1"), part.figure(f"{name}: top5")
        assert 0 <= top1.value <= top5.value <= 1
        assert top1.interval[0] <= top1.value <= top1.interval[1]
        assert top1.upper_bound == 1 and 0 <= top1.lower_bound <= 1


def test_it_is_deterministic(few, few_model, report):
    again = evaluate(load(few_model), few, "recall", EvaluationOptions(command="a test"))
    assert again.model_dump(exclude={"seconds"}) == report.model_dump(exclude={"seconds"})


def test_command_line(few, few_model, tmp_path):
    out, samples = tmp_path / "out" / "report.json", tmp_path / "samples"
    result = run(
        few_model, "--data", few.path, "--languages", "en", "--seeds", "2", "--json", "--quiet",
        "--out", out, "--samples-dir", samples,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    assert printed == json.loads(out.read_text(encoding="utf-8"))
    assert len(list(samples.glob("*.png"))) == 12
    rows = json.loads((samples / "en-claimed.json").read_text(encoding="utf-8"))
    assert len(rows) == 8 and {row["style"] for row in rows} <= set(STYLES)
    assert all(1 <= row["rank"] <= 6 for row in rows)
    with Image.open(samples / rows[0]["file"]) as picture:
        assert picture.size == (32, 32)
        assert picture.text["prompt"] == rows[0]["prompt"]
    top1 = sum(row["rank"] == 1 for row in rows) / len(rows)
    figure = printed["parts"][0]["figures"][0]
    assert figure["key"] == "en claimed: top1" and figure["value"] == pytest.approx(top1)
    # two seeds of four prompts, which are four trials: prompt i of seed s has seed 1000 s + i
    places = {prompt.key: number for number, prompt in enumerate(load_prompts())}
    seeds = {key: sorted(row["seed"] for row in rows if row["key"] == key)
             for key in {row["key"] for row in rows}}  # fmt: skip
    assert seeds == {key: [places[key], 1000 + places[key]] for key in seeds}
    assert figure["interval"] == pytest.approx(wilson(4 * top1, 4)) and figure["count"] == 4


def test_table_for_people(few, few_model):
    result = run(few_model, "--data", few.path, "--languages", "en", "--quiet")
    assert result.exit_code == 0, result.output
    assert "en claimed: top-5 of upper bound" in result.stdout
    assert "which it was not trained on" not in result.stdout


def test_card_is_written_and_the_weights_stay(few_model, report, tmp_path):
    path = Path(shutil.copy(few_model, tmp_path / "copy.safetensors"))
    before = load_file(path)
    write_card(path, report)
    after = load_file(path)
    assert all(before[k].equal(after[k]) and before[k].dtype == after[k].dtype for k in before)
    kept = read_info(path).quality["recall"]
    figures = {each["key"]: each for each in kept["figures"]}
    top5 = report.part("recall").figure("en claimed: top5")
    assert figures["en claimed: top5"]["count"] == 4
    assert figures["en claimed: top5"]["value"] == round(top5.value, 4)
    assert kept["command"] == "a test"
    assert read_info(path).concepts == read_info(few_model).concepts
    assert not list(tmp_path.glob("*.part"))


def test_styles_take_turns(many):
    gallery = Gallery(many, [prompt.key for prompt in load_prompts()])
    plan = assign_styles(load_prompts(), STYLES, gallery)
    assert len(plan) == 40
    assert all(target.style == real == STYLES[i % 3] for i, _, target, real in plan)
    rows = assign_styles(load_prompts(), (), gallery)
    assert {(target.style, real) for _, _, target, real in rows} == {("", s) for s in STYLES}
    rows = assign_styles(load_prompts(), ("crayon",), gallery)
    assert {target.style for _, _, target, _ in rows} == {"crayon"}


def test_mistakes_are_told_in_one_sentence(few, few_model, tmp_path):
    generator = load(few_model)
    dumb = make_store(tmp_path / "dumb", ["1F34E"], told=False)
    with pytest.raises(DataError, match="limner data icons"):
        evaluate(generator, dumb, "recall")
    blocked = tmp_path / "file"
    blocked.write_text("x")
    for options, words in (
        ({"languages": ("xx",)}, "no prompts in xx"),
        ({"seeds": 0}, "from 1 to 100"),
        ({"samples_dir": blocked}, "it is a file"),
    ):
        with pytest.raises(UsageError, match=words):
            evaluate(generator, few, "recall", EvaluationOptions(**options))
    result = run(few_model, "--data", tmp_path / "nowhere", "--quiet")
    assert result.exit_code == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert "no store" in result.stderr
