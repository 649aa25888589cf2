from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

from icon_store import STYLES, make_store
from limner.cli import build_app
from limner.data.store import Store
from limner.errors import DataError, UsageError
from limner.evaluation.recall import Job, Options, assign_styles, draw, evaluate, write_card
from limner.generation.generator import load
from limner.metrics.copies import NOVEL_PROMPTS
from limner.metrics.prompts import load_prompts
from limner.metrics.recall import Gallery, Target
from limner.modelfile import read_info
from limner.shipped import shipped_models
from limner.tensorfile import file_hash


def run(*words: str | Path):
    return CliRunner().invoke(build_app(), ["evaluate", *map(str, words)])


@pytest.fixture(scope="module")
def report(few: Store, few_model: Path):
    return evaluate(load(few_model), few, Options(command="a test"))


def test_report_has_all_groups_and_adds_up(few, few_model, report):
    shape = [(g.language, g.claimed, g.prompts) for g in report.groups]
    assert shape == [("en", True, 4), ("en", False, 2), ("zh", True, 4), ("zh", False, 2)]
    assert report.skipped_concepts == 494
    assert (report.gallery_concepts, report.gallery_icons) == (6, 18)
    assert report.store_fingerprint == few.fingerprint
    assert report.trained_on_store
    assert report.model_hash == file_hash(few_model)
    assert report.copies["count"] == len(NOVEL_PROMPTS)
    for group in report.groups:
        assert 0 <= group.recall.top1.value <= group.recall.top5.value <= 1
        assert group.recall.top1.low <= group.recall.top1.value <= group.recall.top1.high
        assert group.ceiling.top1.value == 1


def test_it_is_deterministic(few, few_model, report):
    again = evaluate(load(few_model), few, Options(command="a test"))
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
    assert [g["pictures"] for g in printed["groups"]] == [8, 4]
    assert len(list(samples.glob("*.png"))) == 12
    rows = json.loads((samples / "en-claimed.json").read_text(encoding="utf-8"))
    assert {row["style"] for row in rows} <= set(STYLES)
    assert all(1 <= row["rank"] <= 6 for row in rows)
    with Image.open(samples / rows[0]["file"]) as picture:
        assert picture.size == (32, 32)
        assert picture.text["prompt"] == rows[0]["prompt"]
    top1 = sum(row["rank"] == 1 for row in rows) / len(rows)
    assert printed["groups"][0]["recall"]["top1"]["value"] == pytest.approx(top1)


def test_table_for_people(few, few_model):
    result = run(few_model, "--data", few.path, "--languages", "en", "--quiet")
    assert result.exit_code == 0, result.output
    assert "en, claimed" in result.stdout
    assert "of ceiling" in result.stdout


def test_card_is_written_and_the_weights_stay(few_model, report, tmp_path):
    path = Path(shutil.copy(few_model, tmp_path / "copy.safetensors"))
    before = load_file(path)
    write_card(path, report)
    after = load_file(path)
    assert all(before[k].equal(after[k]) and before[k].dtype == after[k].dtype for k in before)
    quality = read_info(path).quality
    figures = quality["concept_recall"]["en claimed"]
    assert figures["concepts"] == 4
    assert figures["top5"] == round(report.groups[0].recall.top5.value, 4)
    assert quality["command"] == "a test"
    assert read_info(path).concepts == read_info(few_model).concepts
    assert not list(tmp_path.glob("*.part"))


def test_styles_take_turns(many):
    gallery = Gallery(many)
    rows, skipped = assign_styles(load_prompts(), STYLES, gallery)
    assert len(rows) == 40
    assert skipped == 460
    assert all(target.style == real == STYLES[i % 3] for i, _, target, real in rows)
    rows, _ = assign_styles(load_prompts(), (), gallery)
    assert {(target.style, real) for _, _, target, real in rows} == {("", s) for s in STYLES}
    rows, _ = assign_styles(load_prompts(), ("crayon",), gallery)
    assert {target.style for _, _, target, _ in rows} == {"crayon"}


def test_mistakes_are_told_in_one_sentence(few, few_model, tmp_path):
    dumb = make_store(tmp_path / "dumb", ["1F34E"], told=False)
    with pytest.raises(DataError, match="limner data icons"):
        evaluate(load(few_model), dumb, Options())
    blocked = tmp_path / "file"
    blocked.write_text("x")
    for options, words in (
        ({"languages": ("xx",)}, "no prompts in xx"),
        ({"seeds": 0}, "from 1 to 100"),
        ({"samples": blocked}, "it is a file"),
    ):
        with pytest.raises(UsageError, match=words):
            Options(**options)
    result = run(few_model, "--data", tmp_path / "nowhere", "--quiet")
    assert result.exit_code == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert "no store" in result.stderr


@pytest.mark.skipif(not shipped_models(), reason="no model is shipped in this tree")
def test_a_model_that_composes_is_measured_by_what_it_composes():
    generator = load()
    jobs = [
        Job(text, Target("", "noto"), "", 5 + i, "en", True)
        for i, text in enumerate(["two red apples", "a blue pear", "a cat"])
    ]
    ((images, batch),) = draw(generator, jobs)
    assert list(batch) == jobs
    for job, image in zip(jobs, images, strict=True):
        made = generator.generate(job.text, seed=job.seed, style="noto")[0].image
        pixels = (image.add(1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
        assert np.array_equal(pixels, np.asarray(made))
