from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from typer.testing import CliRunner

from icon_store import make_store
from limner.cli import build_app
from limner.data.selection import Selection
from limner.data.store import Store
from limner.errors import DataError, RecipeError, TrainingError, UsageError
from limner.evaluation.comparison import (
    Comparison,
    ComparisonOptions,
    ModelScores,
    command_of,
    compare,
    over_seeds,
    read_comparison,
    read_curves,
)
from limner.evaluation.comparison_page import comparison_page
from limner.evaluation.plots import Axis, Point, bars, lines, scatter
from limner.evaluation.report import number
from limner.evaluation.runs import (
    TrainingBudget,
    claim_folder,
    comparison_runs,
    run_key,
    shared_selection,
    training_facts,
)
from limner.evaluation.sheets import CaptionRows
from limner.modelfile import write_info
from limner.modelinfo import read_info
from waiting import wait_until

BUDGET = TrainingBudget(steps=3, threads=1, at_once=2)
# fmt: off
MODELS = {
    "vae": {"decoder": [16, 8], "encoder": [8, 16], "blocks": 1, "latent_channels": 4,
            "text_rank": 8, "prior_width": 32, "prior_depth": 1},
    "flow": {"patch": 8, "dim": 16, "depth": 1, "heads": 2, "steps": 2, "seam_channels": 4},
}
# fmt: on


def recipe(folder: Path, family: str, **data: object) -> Path:
    path = folder / f"{family}.yaml"
    tree = {
        "family": family,
        "model": MODELS[family],
        "data": {"store": "nowhere", "size": 32, **data},
        "train": {"batch_size": 8, "warmup_steps": 0, "log_every": 1, "trackers": []},
    }
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compare")


@pytest.fixture(scope="module")
def store(folder: Path) -> Store:
    return make_store(folder / "icons", [f"1F3{n:02X}" for n in range(12)])


@pytest.fixture(scope="module")
def options(folder: Path, store: Store) -> ComparisonOptions:
    return ComparisonOptions(
        store.path, folder / "report", BUDGET, samples=12, features="judge", speed_seconds=0.01
    )


@pytest.fixture(scope="module")
def result(folder: Path, options: ComparisonOptions) -> Comparison:
    return compare([recipe(folder, "vae"), recipe(folder, "flow")], options)


@pytest.fixture
def forked(commands: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings are forks of a process that has imported everything; their memory is not theirs."""
    monkeypatch.setattr(sys, "executable", str(commands / "python"))


def of_vae(found: Comparison) -> ModelScores:
    return next(each for each in found.models if each.name == "vae")


def test_everything_is_measured_of_every_family(result: Comparison):
    assert [each.name for each in result.models] == ["vae", "flow"]
    for each in result.models:
        wanted = {"fid", "kid", "precision", "recall", "density", "coverage", "diversity"}
        assert wanted | {"nearest", "memorised", "count"} <= set(each.scores)
        assert each.scores["fid"] > 0 and each.scores["count"] == 12
        assert each.facts["steps"] == 3 and each.facts["pictures"] == 24
        assert each.facts["ms_1"] > 0 and each.facts["ms_64"] > 0
        assert each.facts["training_mb"] > 100 and each.facts["sampling_mb"] > 100
        assert 0 < each.facts["cpu_seconds"] < 600
        low, high = each.intervals["fid"]
        assert 0 <= low < each.scores["fid"] < high
        assert set(each.scores) - set(each.intervals) == {"count"}
        assert len(each.curves) == 3 and each.curves[0]["loss"]
        assert each.notes == ()
    assert result.upper_bound["fid"] < result.lower_bound["fid"]
    assert result.protocol["samples"] == 12 and result.protocol["features_hash"]
    assert result.machine.endswith("thread")
    assert any("12 drawn" in each and "FID" in each for each in result.warnings)


def test_the_report_reads_back_and_its_page_stands_alone(
    result: Comparison, options: ComparisonOptions
):
    assert read_comparison(options.out / "report.json") == result
    text = (options.out / "index.html").read_text(encoding="utf-8")
    assert text == comparison_page(result)
    assert text.count("<img ") == 3  # the real pictures and two models
    assert not re.search(r"""(src|href)=["'](?!data:)""", text), "it needs a file beside it"
    assert str(options.out) not in text, "it names a folder of this machine"
    assert "2 at a time" in text and "--at-once 2" in result.command


def test_what_is_done_is_not_done_again(
    folder: Path, result: Comparison, options: ComparisonOptions
):
    files = [folder / "report" / "runs" / name / "model.safetensors" for name in ("vae", "flow")]
    scores = sorted((folder / "report" / "scores").glob("*.json"))
    before = [path.stat().st_mtime_ns for path in [*files, *scores]]
    again = compare([folder / "vae.yaml", folder / "flow.yaml"], options)
    assert [path.stat().st_mtime_ns for path in [*files, *scores]] == before
    assert again.model_dump(exclude={"date"}) == result.model_dump(exclude={"date"})


def test_trained_models_compare_without_training(
    folder: Path, result: Comparison, options: ComparisonOptions
):
    run = shutil.copytree(folder / "report" / "runs" / "vae", folder / "trained-elsewhere" / "vae")
    model = run / "model.safetensors"
    info = read_info(model)
    training = info.training | {"hardware": "NVIDIA H200"}
    write_info(model, info.model_copy(update={"training": training}))
    loaded = compare(
        [model],
        replace(options, out=folder / "loaded", budget=TrainingBudget(threads=1), speed_seconds=0),
    )
    assert loaded.models[0].scores == of_vae(result).scores
    assert loaded.models[0].curves == of_vae(result).curves
    assert loaded.machine == f"{result.machine}; trained on NVIDIA H200"


@pytest.mark.usefixtures("forked")
def test_one_that_fails_is_named_and_the_others_are_reported(
    folder: Path, result: Comparison, options: ComparisonOptions
):
    bad = recipe(folder, "vae")
    tree = yaml.safe_load(bad.read_text("utf-8"))
    tree["weights"] = {"no_such_loss": 1.0}
    broken = folder / "broken.yaml"
    broken.write_text(yaml.safe_dump(tree), encoding="utf-8")
    with pytest.raises(TrainingError, match=r"1 of 2 .*broken.*no_such_loss"):
        compare([folder / "flow.yaml", broken], options)
    found = read_comparison(options.out / "report.json")
    assert [each.name for each in found.models] == ["flow"]
    assert "no_such_loss" in found.failures["broken"]
    assert "no_such_loss" in (options.out / "index.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("forked")
def test_models_are_asked_for_what_they_learned_from(
    folder: Path, store: Store, result: Comparison, options: ComparisonOptions
):
    apart = folder / "apart"
    apart.mkdir()
    kept = {"filters": {"style": ["alpha", "beta"]}, "languages": ["en"]}
    narrow = recipe(apart, "flow", **kept)
    found = compare([narrow], replace(options, out=apart, speed_seconds=0))
    assert {key: found.protocol[key] for key in kept} == kept
    assert found.protocol["real"] + found.protocol["upper_bound_samples"] == 24
    assert result.protocol["real"] + result.protocol["upper_bound_samples"] == 36
    assert found.upper_bound != result.upper_bound and "languages" not in result.protocol

    def shared(*paths: Path) -> Selection:
        return shared_selection(comparison_runs(paths, apart), store, BUDGET)

    trained = apart / "runs" / "flow"
    assert shared(narrow) == shared(trained) == Selection(**kept)
    assert shared(trained, options.out / "runs" / "vae") == Selection()


def test_a_run_is_reused_for_the_same_content_only(
    folder: Path, store: Store, result: Comparison, tmp_path: Path
):
    source = folder / "vae.yaml"
    (run,) = comparison_runs([source], tmp_path)
    first = run_key(run, store, BUDGET)
    assert training_facts(comparison_runs([source], folder / "report")[0])["key"] == first
    keys = {first}
    for budget in (
        replace(BUDGET, steps=4),
        replace(BUDGET, changes=("train.lr=0.01",)),
        replace(BUDGET, threads=2),
    ):
        keys.add(run_key(run, store, budget))
    other = make_store(tmp_path / "icons", [f"1F4{n:02X}" for n in range(11)])
    keys.add(run_key(run, other, BUDGET))
    (second,) = comparison_runs([source], tmp_path, replace(BUDGET, seeds=2))[1:]
    keys.add(run_key(second, store, replace(BUDGET, seeds=2)))
    assert len(keys) == 6
    # The same content under another name and elsewhere is the same content.
    moved = tmp_path / "other.yaml"
    moved.write_text(source.read_text("utf-8"), encoding="utf-8")
    assert run_key(comparison_runs([moved], tmp_path)[0], store, BUDGET) == first


def test_a_file_that_a_recipe_starts_from_counts_by_its_content(
    folder: Path, store: Store, result: Comparison, tmp_path: Path
):
    start = tmp_path / "start.safetensors"
    tree = yaml.safe_load((folder / "vae.yaml").read_text("utf-8")) | {"init": str(start)}
    path = tmp_path / "again.yaml"
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    (run,) = comparison_runs([path], tmp_path)
    keys = []
    for name in ("vae", "flow"):
        model = folder / "report" / "runs" / name / "model.safetensors"
        start.write_bytes(model.read_bytes())
        keys.append(run_key(run, store, BUDGET))
    assert keys[0] != keys[1]


def test_runs_of_other_content_are_moved_aside_and_come_back(tmp_path: Path, folder: Path):
    (run,) = comparison_runs([folder / "vae.yaml"], tmp_path)
    assert claim_folder(run, "one") is None and training_facts(run) == {"key": "one"}
    run.model.parent.mkdir(parents=True)
    run.model.write_bytes(b"first")
    assert claim_folder(run, "one") is None
    assert "kept as vae.one" in (claim_folder(run, "two") or "")
    assert not run.model.exists() and training_facts(run) == {"key": "two"}
    run.model.parent.mkdir()
    run.model.write_bytes(b"second")
    assert "still there" in (claim_folder(run, "one") or "")
    assert run.model.read_bytes() == b"first" and training_facts(run) == {"key": "one"}
    run.record.unlink()  # of a limner that kept no keys
    assert "kept as vae.unknown" in (claim_folder(run, "one") or "")


@pytest.mark.usefixtures("forked")
def test_a_changed_recipe_is_trained_and_measured_anew(
    result: Comparison, options: ComparisonOptions, tmp_path: Path
):
    out = tmp_path / "out"  # where the same recipe was trained already
    shutil.copytree(options.out, out)
    path = recipe(tmp_path, "vae")
    path.write_text(path.read_text("utf-8").replace("latent_channels: 4", "latent_channels: 6"))
    second = compare([path], replace(options, out=out, speed_seconds=0))
    config = read_info(out / "runs" / "vae" / "model.safetensors").config
    assert config["latent_channels"] == 6
    assert of_vae(second).facts["parameters"] != of_vae(result).facts["parameters"]
    assert of_vae(second).key != of_vae(result).key


def test_seeds_give_intervals_over_trainings(folder: Path, tmp_path: Path):
    runs = comparison_runs([folder / "vae.yaml"], tmp_path, replace(BUDGET, seeds=3))
    assert [(each.name, each.group, each.seed) for each in runs] == [
        ("vae", "vae", 0), ("vae-seed1", "vae", 1), ("vae-seed2", "vae", 2),
    ]  # fmt: skip
    with pytest.raises(UsageError, match="at least once"):
        comparison_runs([folder / "vae.yaml"], tmp_path, replace(BUDGET, seeds=0))
    model = over_seeds("vae", [scored("vae", 3.0, 0.1), scored("vae-seed1", 5.0, 0.1)])
    assert model.name == "vae" and [each["fid"] for each in model.seeds] == [3.0, 5.0]
    assert model.scores["fid"] == 4.0
    # Student's t with one degree of freedom: 12.706 standard errors, of sqrt(2) / sqrt(2).
    assert model.intervals["fid"] == pytest.approx((4.0 - 12.706, 4.0 + 12.706))


def scored(name: str, fid: float, reach: float) -> ModelScores:
    return ModelScores(
        name=name, family="vae", key=name, scores={"fid": fid, "count": 10.0},
        intervals={"fid": (fid - reach, fid + reach)},
    )  # fmt: skip


def test_the_headline_claims_what_the_intervals_allow(result: Comparison):
    def headline(*models: ModelScores) -> str:
        return result.model_copy(update={"models": list(models)}).headline()

    clear = headline(scored("a", 9.0, 1.0), scored("b", 3.0, 1.0))
    assert clear.startswith("b is closest to the real pictures, of one training run each: FID 3")
    near = headline(scored("a", 4.0, 1.0), scored("b", 3.0, 1.0), scored("c", 9.0, 1.0))
    assert "do not tell it apart from a (4 (3 to 5))" in near and "closest" not in near
    alone = headline(scored("a", 4.0, 1.0))
    assert alone.startswith("a: FID 4 (3 to 5)") and "closest" not in alone
    assert "over its training seeds" in headline(
        over_seeds("a", [scored("a", 1.0, 0.0), scored("a-seed1", 1.01, 0.0)]),
        scored("b", 9.0, 1.0),
    )


def test_ctrl_c_reaches_each_training_once_and_the_comparison_goes_on(
    folder: Path, store: Store, tmp_path: Path
):
    """As on a terminal: the signal goes to the whole foreground process group."""
    path, out = recipe(tmp_path, "vae"), tmp_path / "out"
    command = [sys.executable, "-m", "limner", "compare", str(path), "--data", str(store.path)]
    command += ["--out", str(out), "--steps", "1000000", "--samples", "12", "--quiet"]
    with (tmp_path / "said.txt").open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, start_new_session=True)
    run = comparison_runs([path], out)[0]

    def trains() -> bool:
        assert process.poll() is None, (tmp_path / "said.txt").read_text("utf-8")
        return run.log.is_file() and '"loss"' in run.log.read_text("utf-8", "replace")

    wait_until(trains)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait() == 130
    assert "Traceback" not in (tmp_path / "said.txt").read_text("utf-8")
    trained = (out / "runs" / "vae.txt").read_text("utf-8")
    assert "Traceback" not in trained, trained
    assert (run.model.parent / "checkpoint.safetensors").is_file()
    assert training_facts(run)["cpu_seconds"] > 0


def test_different_data_is_refused(folder: Path, store: Store, options: ComparisonOptions):
    other = folder / "other"
    other.mkdir()
    path = recipe(other, "flow", filters={"style": ["alpha"]})
    with pytest.raises(UsageError, match="different pictures"):
        compare([folder / "vae.yaml", path], options)
    with pytest.raises(UsageError, match="--minutes"):
        compare(
            [folder / "vae.yaml"],
            ComparisonOptions(store.path, other, TrainingBudget(), 12, "judge"),
        )


def test_bad_arguments_are_refused(folder: Path, tmp_path: Path):
    recipe(folder, "vae")
    with pytest.raises(UsageError, match="called 'vae'"):
        comparison_runs([folder / "vae.yaml", folder / "vae.yaml"], tmp_path)
    with pytest.raises(RecipeError, match="no recipe"):
        comparison_runs([tmp_path / "nowhere.yaml"], tmp_path)
    with pytest.raises(UsageError, match="at least one"):
        comparison_runs([], tmp_path)
    (tmp_path / "report.json").write_text("{}")
    with pytest.raises(DataError, match="older format"):
        read_comparison(tmp_path / "report.json")


def test_the_command_line_prints_the_report(
    folder: Path, result: Comparison, options: ComparisonOptions
):
    arguments = ["compare", str(folder / "vae.yaml"), str(folder / "flow.yaml")]
    arguments += ["--data", str(options.data), "--out", str(options.out), "--steps", "3"]
    arguments += ["--at-once", "2", "--samples", "12", "--features", "judge", "--quiet", "--json"]
    done = CliRunner().invoke(build_app(), arguments)
    assert done.exit_code == 0, done.output
    printed = Comparison.model_validate(json.loads(done.stdout))
    assert printed.model_dump(exclude={"date"}) == result.model_dump(exclude={"date"})
    assert result.command == command_of([Path("vae.yaml"), Path("flow.yaml")], options)
    assert "--steps 3 --threads 1" in result.command and "/" not in result.command


def test_a_sheet_keeps_the_first_pictures_of_each_caption():
    sheet = CaptionRows(["b", "a", "a"] * 20)
    for value in range(20):
        sheet.add(torch.full((3, 3, 4, 4), value / 20), ["b", "a", "a"])
    image = sheet.image()
    assert sheet.captions == ["a", "b"]
    grey = [round((v / 20 + 1) * 127.5) for v in range(20)]
    cells = [[image.getpixel((6 * column, 6 * row))[0] for column in range(8)] for row in (0, 1)]
    assert cells == [[grey[i // 2] for i in range(8)], grey[:8]]


def test_curves_are_thinned_but_keep_their_end(tmp_path: Path):
    rows = [{"event": "start"}]
    rows += [{"pictures": i, "loss": {"x": 1.0}, "clock": {"seconds": 6 * i}} for i in range(1000)]
    log = tmp_path / "log.jsonl"
    log.write_text("\n".join(map(json.dumps, rows)) + '\n{"cut sh', encoding="utf-8")
    found = read_curves(log)
    assert len(found) <= 260 and found[0]["pictures"] == 0 and found[-1]["pictures"] == 999
    assert found[-1]["minutes"] == pytest.approx(99.9)
    assert read_curves(tmp_path / "nothing") == []


def test_axes_put_values_where_they_belong():
    plain, log = Axis(0, 10, 0, 100), Axis(1, 100, 0, 100, log=True)
    assert plain.at(5) == 50 and plain.at(99) == 100
    assert log.at(10) == pytest.approx(50)
    assert plain.ticks() == [0, 2, 4, 6, 8, 10]
    assert log.ticks() == [1, 3, 10, 30, 100]


def test_plots_are_svg_that_escapes_names_and_survives_gaps():
    from xml.etree import ElementTree

    hostile = '<b>&"'
    for svg in (
        bars([(hostile, 3.0, 0), ("nothing", float("nan"), 1)], "FID", log=True,
             levels=[("real", 0.5)]),
        scatter([Point(hostile, 1.0, 2.0, 0), Point("b", 1.0, 2.0, 1)], "x", "y"),
        lines({hostile: ([0.0, 1.0], [1.0, float("nan")])}, "minutes", "loss"),
    ):  # fmt: skip
        root = ElementTree.fromstring(svg)
        assert root.tag == "svg" and "nan" not in svg.lower().replace("nothing", "")


def test_numbers_are_short():
    assert [number(v) for v in (0, 0.01234, 12345.6, 123.4, 2e-5, float("nan"))] == [
        "0", "0.0123", "12,346", "123", "2e-05", "–",
    ]  # fmt: skip
