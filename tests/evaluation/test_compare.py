from __future__ import annotations

import json
import re
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
    Options,
    Sheet,
    command_of,
    compare,
    read_curves,
    read_report,
)
from limner.evaluation.contest import Budget, contestants, finished, shared_selection
from limner.evaluation.page import page
from limner.evaluation.plots import Axis, Point, bars, lines, number, scatter

BUDGET = Budget(steps=3, threads=1, at_once=2)
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
def options(folder: Path, store: Store) -> Options:
    return Options(
        store.path, folder / "report", BUDGET, samples=12, features="judge", speed_seconds=0.01
    )


@pytest.fixture(scope="module")
def result(folder: Path, options: Options) -> Comparison:
    return compare([recipe(folder, "vae"), recipe(folder, "flow")], options)


def test_everything_is_measured_of_every_family(result: Comparison):
    assert [each.name for each in result.entries] == ["vae", "flow"]
    for each in result.entries:
        wanted = {"fid", "kid", "precision", "recall", "density", "coverage", "diversity"}
        assert wanted | {"nearest", "copies", "count"} <= set(each.scores)
        assert each.scores["fid"] > 0 and each.scores["count"] == 12
        assert each.facts["steps"] == 3 and each.facts["pictures"] == 24
        assert each.facts["ms_1"] > 0 and each.facts["ms_64"] > 0
        assert each.facts["training_mb"] > 100 and each.facts["sampling_mb"] > 100
        assert len(each.curves) == 3 and each.curves[0]["loss"]
        assert each.notes == []
    assert result.floor["fid"] < result.noise["fid"]
    assert result.protocol["samples"] == 12 and result.protocol["features_hash"]
    assert result.machine.endswith("thread")


def test_the_report_reads_back_and_its_page_stands_alone(result: Comparison, options: Options):
    assert read_report(options.out / "report.json") == result
    text = (options.out / "index.html").read_text(encoding="utf-8")
    assert text == page(result)
    assert text.count("<img ") == 3  # the real pictures and two models
    assert not re.search(r"""(src|href)=["'](?!data:)""", text), "it needs a file beside it"
    assert str(options.out) not in text, "it names a folder of this machine"
    assert "2 at a time" in text and "--at-once 2" in result.command


def test_what_is_done_is_not_done_again(folder: Path, result: Comparison, options: Options):
    files = [folder / "report" / "runs" / name / "model.safetensors" for name in ("vae", "flow")]
    scores = sorted((folder / "report" / "scores").glob("*.json"))
    before = [path.stat().st_mtime_ns for path in [*files, *scores]]
    again = compare([folder / "vae.yaml", folder / "flow.yaml"], options)
    assert [path.stat().st_mtime_ns for path in [*files, *scores]] == before
    assert again.model_dump(exclude={"date"}) == result.model_dump(exclude={"date"})


def test_trained_models_compare_without_training(
    folder: Path, result: Comparison, options: Options
):
    model = folder / "report" / "runs" / "vae" / "model.safetensors"
    loaded = compare(
        [model],
        replace(options, out=folder / "loaded", budget=Budget(threads=1), speed_seconds=0),
    )
    assert loaded.entries[0].scores == result.entry("vae").scores
    assert loaded.entries[0].curves == result.entry("vae").curves


def test_one_that_fails_is_named_and_the_others_are_reported(
    folder: Path, result: Comparison, options: Options
):
    bad = recipe(folder, "vae")
    tree = yaml.safe_load(bad.read_text("utf-8"))
    tree["weights"] = {"no_such_loss": 1.0}
    broken = folder / "broken.yaml"
    broken.write_text(yaml.safe_dump(tree), encoding="utf-8")
    with pytest.raises(TrainingError, match=r"1 of 2 .*broken.*no_such_loss"):
        compare([folder / "flow.yaml", broken], options)
    found = read_report(options.out / "report.json")
    assert [each.name for each in found.entries] == ["flow"]
    assert "no_such_loss" in found.failures["broken"]
    assert "no_such_loss" in (options.out / "index.html").read_text(encoding="utf-8")


def test_models_are_asked_for_what_they_learned_from(
    folder: Path, store: Store, result: Comparison, options: Options
):
    apart = folder / "apart"
    apart.mkdir()
    kept = {"filters": {"style": ["alpha", "beta"]}, "languages": ["en"]}
    narrow = recipe(apart, "flow", **kept)
    found = compare([narrow], replace(options, out=apart, speed_seconds=0))
    assert {key: found.protocol[key] for key in kept} == kept
    assert found.protocol["real"] + found.protocol["floor_samples"] == 24
    assert result.protocol["real"] + result.protocol["floor_samples"] == 36
    assert found.floor != result.floor and "languages" not in result.protocol

    def shared(*paths: Path) -> Selection:
        return shared_selection(contestants(paths, apart), store, BUDGET)

    trained = apart / "runs" / "flow"
    assert shared(narrow) == shared(trained) == Selection(**kept)
    assert shared(trained, options.out / "runs" / "vae") == Selection()


def test_longer_runs_than_asked_for_are_refused(folder: Path, result: Comparison):
    rival = contestants([folder / "flow.yaml"], folder / "report")[0]
    assert finished(rival, BUDGET)
    assert not finished(rival, Budget(steps=4))
    with pytest.raises(UsageError, match="trained for 3 steps, more than the 2"):
        finished(rival, Budget(steps=2))


def test_different_data_is_refused(folder: Path, store: Store, options: Options):
    other = folder / "other"
    other.mkdir()
    path = recipe(other, "flow", filters={"style": ["alpha"]})
    with pytest.raises(UsageError, match="different pictures"):
        compare([folder / "vae.yaml", path], options)
    with pytest.raises(UsageError, match="--minutes"):
        compare([folder / "vae.yaml"], Options(store.path, other, Budget(), 12, "judge"))


def test_bad_arguments_are_refused(folder: Path, tmp_path: Path):
    recipe(folder, "vae")
    with pytest.raises(UsageError, match="called 'vae'"):
        contestants([folder / "vae.yaml", folder / "vae.yaml"], tmp_path)
    with pytest.raises(RecipeError, match="no recipe"):
        contestants([tmp_path / "nowhere.yaml"], tmp_path)
    with pytest.raises(UsageError, match="at least one"):
        contestants([], tmp_path)
    (tmp_path / "report.json").write_text("{}")
    with pytest.raises(DataError, match="no report"):
        read_report(tmp_path / "report.json")


def test_the_command_line_prints_the_report(folder: Path, result: Comparison, options: Options):
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
    sheet = Sheet(["b", "a", "a"] * 20)
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
    assert log.ticks() == [1, 2, 5, 10, 20, 50, 100][: len(log.ticks())] or set(log.ticks()) <= {
        1, 3, 10, 30, 100,
    }  # fmt: skip
    assert all(log.low <= tick <= log.high for tick in log.ticks())


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
