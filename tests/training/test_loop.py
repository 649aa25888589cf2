from __future__ import annotations

import json
import resource
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import training_tiny as tiny
from limner.data.store import Caption
from limner.data.writer import StoreWriter
from limner.errors import ModelFileError, RecipeError, TrainingError
from limner.modelfile import load_model
from limner.models.base import build, families
from limner.models.rows import SampleRequest
from limner.scenes.scene import Item
from limner.scenes.things import THINGS
from limner.text import load_encoder
from limner.training import checkpoint
from limner.training.loop import train
from limner.training.recipe import Recipe
from limner.training.session import open_session
from preloaded import Forked
from runs import after_lines, command, killed_after
from tiny_configs import tiny_config
from waiting import wait_until

OFTEN = {"checkpoint_every_minutes": 1e-6}


def figures(out: Path) -> list[dict[str, Any]]:
    """The log but for what the clock wrote into it."""
    records = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [
        {k: v for k, v in record.items() if k != "clock"}
        for record in records
        if "event" not in record
    ]


def has_lines(out: Path, count: int) -> bool:
    log = out / "log.jsonl"
    return log.exists() and log.read_bytes().count(b"\n") > count


def same_run(one: Path, other: Path) -> bool:
    a, b = (load_file(out / "model.safetensors") for out in (one, other))
    equal = a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
    return equal and figures(one) == figures(other)


@pytest.fixture
def whole(recipe, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupted; trained once, copied for every test."""
    first = tmp_path_factory.getbasetemp() / "whole"
    if not first.exists():
        train(recipe(), first, quiet=True)
    return Path(shutil.copytree(first, tmp_path / "whole"))


def test_resume_after_kill_9_is_exact(recipe, whole, tmp_path, commands):
    out = tmp_path / "killed"
    killed_after(commands, recipe(OFTEN), out, None, 4)
    assert 0 < checkpoint.load_checkpoint(out / checkpoint.NAME)[0].step < 40
    train(recipe(), out, resume=True, quiet=True)
    assert len(figures(out)) == 14
    assert same_run(out, whole)


def test_resume_after_sigterm_is_exact(recipe, whole, tmp_path, capsys):
    out = tmp_path / "stopped"
    before = signal.getsignal(signal.SIGTERM)
    with after_lines(3, lambda: signal.raise_signal(signal.SIGTERM)):
        path = train(recipe(), out)
    assert signal.getsignal(signal.SIGTERM) is before
    assert "--resume" in capsys.readouterr().err
    step = checkpoint.load_checkpoint(out / checkpoint.NAME)[0].step
    assert 0 < step < 40
    _, info = load_model(path)
    assert info.training["steps"] == step
    assert not info.training["finished"]
    train(recipe(), out, resume=True, quiet=True)
    assert same_run(out, whole)


def test_the_rates_of_a_run_are_the_recipes_times_its_factor(recipe, tmp_path, monkeypatch):
    """Where votes are learned from they are smaller: AdamW's first step is one rate each way."""
    steady = {"steps": 1, "warmup_steps": 0, "schedule": "constant", "log_every": 1, "lr": 1e-3}
    start = train(recipe({"steps": 1}), tmp_path / "start", quiet=True)
    moved = []
    for factor in (1.0, 0.25):
        monkeypatch.setattr(Recipe, "rate", property(lambda _, factor=factor: factor))
        out = tmp_path / str(factor)
        section = steady | {"ema": {"decay": 0.0}, "weight_decay": 0.0}
        train(recipe(section, init=str(start)), out, quiet=True)
        assert figures(out)[-1]["lr"] == pytest.approx(1e-3 * factor)
        before, after = (load_file(path)["paint.weight"]
                         for path in (start, out / "model.safetensors"))  # fmt: skip
        moved.append((after - before).abs().max().item())
    assert moved == pytest.approx([1e-3, 0.25e-3], rel=0.01)


def test_a_finished_run_can_be_given_more(recipe, whole):
    train(recipe(), whole, steps=50, resume=True, quiet=True)
    assert figures(whole)[-1]["step"] == 50
    assert figures(whole)[-1]["progress"] == pytest.approx(0.98)
    assert load_model(whole / "model.safetensors")[1].training["pictures"] == 400


def test_minutes_are_kept(recipe, tmp_path):
    path = train(
        recipe({"schedule": "linear", "warmup_steps": 0, "log_every": 1}),
        tmp_path / "run",
        minutes=0.03,
        quiet=True,
    )
    last, training = figures(path.parent)[-1], load_model(path)[1].training
    assert training["finished"]
    log = [json.loads(line) for line in (path.parent / "log.jsonl").read_text().splitlines()]
    *before, end = [line["clock"]["seconds"] for line in log if "total" in line]
    # to a millisecond, as the log has it
    assert max(before) < 1.8005, "it ends with the first step that passes the budget, at the latest"
    assert end >= 0.9 * 1.8, "or with the last of the steps that were planned for it"
    assert training["minutes"] == pytest.approx(end / 60, abs=1e-3)
    assert last["progress"] > 0
    assert last["lr"] == pytest.approx(1e-3 * (1 - last["progress"]))
    assert '"plan"' in (path.parent / "log.jsonl").read_text()


def test_it_learns_and_tells_everything(recipe, words, tmp_path):
    out = tmp_path / "run"
    weights = {"fool": 0.0, "pixels": 1.0}
    settings = {"lr": 5e-2, "steps": 60, "ema": {"decay": 0.5}, "tensorboard": True}
    settings["accumulate"] = 1
    path = train(
        recipe(settings, weights=weights, prompts=["red", "a blue flag"], model={"dropout": 0}),
        out,
        quiet=True,
    )
    losses = [record["loss"]["pixels"] for record in figures(out)]
    assert losses[-1] < 0.65 * losses[0]
    model, info = load_model(path)
    assert info.family == tiny.NAME
    assert info.licences == {"tests": "CC0-1.0"}
    assert info.data["pictures"] == 24
    assert info.encoder == f"vectors:{words}"
    assert info.encoder_fingerprint == load_encoder(info.encoder).fingerprint
    training = info.training
    assert (training["steps"], training["pictures"]) == (60, 480)
    assert training["recipe"]["weights"] == weights
    assert training["gflops"] > 0
    assert "thread" in training["hardware"]
    request = SampleRequest(load_encoder(info.encoder).encode(["red", "green"]), [0, 1])
    red, green = model.sample(request).mean((2, 3))
    assert red[0] > red[1] + 0.3
    assert green[1] > green[0] + 0.3
    with Image.open(out / "samples" / "000060.png") as sheet:
        assert sheet.size == (4 + 20 * 2, 4 + 20 * 2)
    first = json.loads((out / "log.jsonl").read_text().splitlines()[0])
    assert first["event"] == "start"
    assert first["parameters"] == sum(p.numel() for p in model.parameters())
    assert scalars(out / "tensorboard")["loss/pixels"] == pytest.approx(losses)
    assert not list(out.rglob("*.part"))


def scalars(folder: Path) -> dict[str, list[float]]:
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    found: dict[str, list[float]] = {}
    for file in folder.iterdir():
        for event in EventFileLoader(str(file)).Load():
            for value in event.summary.value:
                found.setdefault(value.tag, []).extend(value.tensor.float_val)
    return found


@pytest.mark.parametrize(
    "family",
    [n for n, k in families().items() if not (n.startswith("tests") or k.reads_scenes)],
)
def test_the_loop_trains_every_family(family, recipe, tmp_path):
    kind = families()[family].config_class
    config = tiny_config(kind, text_dim=8, styles=("flat",)).model_dump(
        mode="json", exclude={"size"}
    )
    path = train(recipe({"steps": 3}, family=family, model=config), tmp_path / "run", quiet=True)
    model, info = load_model(path)
    assert info.training["steps"] == 3
    fresh = open_session(recipe({"steps": 3}, family=family, model=config)).model.state_dict()
    assert any(not torch.equal(v, fresh[k]) for k, v in model.state_dict().items())


def test_accumulation_equals_the_big_batch(recipe, tmp_path):
    weights = []
    data = {**recipe().data.model_dump(), "augment": {}}
    for parts in (1, 4):
        path = train(
            recipe({"accumulate": parts, "steps": 5}, model={"dropout": 0, "noise": 0}, data=data),
            tmp_path / str(parts),
            quiet=True,
        )
        weights.append(load_file(path))
    for name in weights[0]:
        assert torch.allclose(weights[0][name], weights[1][name], atol=2e-5), name
    one, four = (figures(tmp_path / parts)[0]["loss"] for parts in ("1", "4"))
    assert one == pytest.approx(four, rel=1e-5)


def test_a_loss_that_is_no_number_stops_the_run(recipe, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(TrainingError, match=r"no longer a number at step 2\d; .*last good state"):
        train(recipe(OFTEN, model={"poison": 0.5}), out, quiet=True)
    state, tensors = checkpoint.load_checkpoint(out / checkpoint.NAME)
    assert state.step == 20
    assert all(bool(t.isfinite().all()) for t in tensors.values() if t.is_floating_point())
    assert load_model(out / "model.safetensors")[1].training["steps"] == 20


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """As if the disk were full once a file has ``size`` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("victim", ["checkpoint", "log"])
def test_a_full_disk_leaves_nothing_half_written(recipe, whole, victim):
    log = whole / "log.jsonl"
    size = (whole / checkpoint.NAME).stat().st_size // 2
    if victim == "log":
        size = log.stat().st_size + 100
    before = {p.name: p.read_bytes() for p in whole.iterdir() if p.suffix == ".safetensors"}
    with largest_file(size), pytest.raises(
        (TrainingError, ModelFileError), match=rf"cannot write .*{victim}\.\w+:"
    ):  # fmt: skip
        train(recipe(), whole, steps=50, resume=True, quiet=True)
    assert {n: (whole / n).read_bytes() for n in before} == before
    assert not list(whole.rglob("*.part"))
    assert all(json.loads(line) for line in log.read_bytes().splitlines())
    train(recipe(), whole, steps=50, resume=True, quiet=True)
    assert figures(whole)[-1]["step"] == 50


def test_another_recipe_is_not_resumed(recipe, whole, store, tmp_path):
    for changed, key in (
        (recipe({"lr": 0.5}), "train.lr"),
        (recipe({"ema": {"decay": 0.9}}), "train.ema.decay"),
        (recipe(model={"width": 4}), "model.width"),
        (recipe(weights={"pixels": 2.0}), "weights"),
    ):
        with pytest.raises(RecipeError, match=f"test.yaml: {key} is not what the run"):
            train(changed, whole, resume=True, quiet=True)
    other = {**recipe().data.model_dump(), "store": str(tmp_path / "other")}
    tiny.make_store(tmp_path / "other", count=20)
    with pytest.raises(RecipeError, match=r"data\.store is no longer what the run"):
        train(recipe(data=other), whole, resume=True, quiet=True)


def test_folders_are_not_overwritten_by_mistake(recipe, whole, tmp_path):
    with pytest.raises(TrainingError, match="already holds a run; pass --resume"):
        train(recipe(), whole, quiet=True)
    (tmp_path / "empty").mkdir()
    for name in ("nothing", "empty"):
        with pytest.raises(TrainingError, match=r"there is no run in .* to resume: it has no"):
            train(recipe(), tmp_path / name, resume=True, quiet=True)
    assert not list((tmp_path / "empty").iterdir())
    (tmp_path / "file").write_text("x")
    with pytest.raises(TrainingError, match="cannot make the folder"):
        train(recipe(), tmp_path / "file" / "run", quiet=True)
    damaged = whole / checkpoint.NAME
    damaged.write_bytes(damaged.read_bytes()[:-100])
    with pytest.raises(ModelFileError, match="is damaged"):
        train(recipe(), whole, resume=True, quiet=True)


@pytest.mark.parametrize("name", ["model.safetensors", "best.safetensors"])
def test_a_trained_model_is_not_replaced(recipe, whole, name):
    (whole / checkpoint.NAME).unlink()
    (whole / "model.safetensors").rename(whole / name)
    before = (whole / name).read_bytes()
    for resume in (False, True):
        with pytest.raises(TrainingError, match=rf"{name} is a trained model|no run in .* to res"):
            train(recipe(), whole, resume=resume, quiet=True)
    assert (whole / name).read_bytes() == before


def test_one_process_at_a_time_uses_a_run_folder(recipe, tmp_path, commands):
    out = tmp_path / "run"
    running = Forked(command(commands, recipe({"steps": 10**6}), out))
    try:
        wait_until(lambda: has_lines(out, 2) or running.poll() is not None)
        said = rf"the run folder .* is in use by process {running.pid} on"
        with pytest.raises(TrainingError, match=said):
            train(recipe(), out, quiet=True)
    finally:
        running.kill()
        running.wait()
    (out / ".0123456789ab-0123456789ab.part").write_bytes(b"of the killed run")
    train(recipe(), out, quiet=True)  # the lock died with its process; no checkpoint was written
    assert sorted(path.name for path in out.iterdir()) == [
        "checkpoint.safetensors", "log.jsonl", "model.safetensors"
    ]  # fmt: skip


def test_weights_of_unknown_losses_are_refused(recipe, tmp_path):
    with pytest.raises(RecipeError, match=r"weights\.pixel: .*it has: critic, fool, pixels"):
        train(recipe(weights={"pixel": 2.0}), tmp_path / "run", quiet=True)


def test_a_run_can_start_from_another_model(recipe, whole, tmp_path):
    start = str(whole / "model.safetensors")
    session = open_session(recipe(init=start))
    assert session.fitted
    trained = load_file(start)
    assert all(torch.equal(v, trained[k]) for k, v in session.model.state_dict().items())
    train(recipe({"steps": 2, "lr": 1e-9}, init=start), tmp_path / "tuned", quiet=True)
    tuned = load_file(tmp_path / "tuned" / "model.safetensors")
    assert torch.allclose(tuned["read.weight"], trained["read.weight"], atol=1e-6)
    with pytest.raises(RecipeError, match=rf"init: {start} is a {tiny.NAME} model"):
        open_session(recipe(init=start, family="flow"))
    with pytest.raises(RecipeError, match=r"init: .* was trained with the text encoder"):
        open_session(recipe(init=start, text={"encoder": "e5-small"}))


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_optimiser_state_goes_through_a_checkpoint(optimizer, recipe):
    from limner.training.optim import GroupOptimizer

    def steps(model: torch.nn.Module, optimiser: GroupOptimizer, count: int) -> None:
        for seed in range(count):
            g = torch.Generator().manual_seed(seed)
            for parameter in optimiser.parameters:
                parameter.grad = torch.randn(parameter.shape, generator=g)
            optimiser.step(1.0)

    section = recipe({"optimizer": optimizer}).train
    one, two = (build(tiny.NAME, {"size": 16, "text_dim": 4}) for _ in range(2))
    first = GroupOptimizer("model", one.optimizer_groups["model"], section)
    steps(one, first, 3)
    two.load_state_dict(one.state_dict())
    second = GroupOptimizer("model", two.optimizer_groups["model"], section)
    second.restore(first.state())
    steps(one, first, 2), steps(two, second, 2)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert len(first.state()) >= len(first.parameters)


def test_a_family_of_scenes_is_trained_on_scenes_and_on_nothing_else(recipe, tmp_path):
    config = tiny_config(families()["planner"].config_class, text_dim=384)
    model = config.model_dump(mode="json", exclude={"size", "text_dim", "styles"})
    asked = recipe({"steps": 3}, family="planner", model=model)
    asked = asked.model_copy(update={"text": asked.text.model_copy(update={"encoder": "e5-small"})})
    with pytest.raises(RecipeError, match="no picture is a scene"):
        train(asked, tmp_path / "none", quiet=True)
    with StoreWriter(tmp_path / "scenes", 16, "scenes", licences={"made": "CC0-1.0"}) as writer:
        for number, thing in enumerate(("cat", "dog", "fish", "tree")):
            scene = {"id": str(number), "items": [asdict(Item(thing, count=2))]}
            pixels = np.full((16, 16, 3), 40 * number, np.uint8)
            writer.add(pixels, [Caption(f"two {THINGS[thing].plural}", "en")], scene)
        store = writer.finish()
    data = asked.data.model_copy(update={"store": str(store.path)})
    path = train(asked.model_copy(update={"data": data}), tmp_path / "run", quiet=True)
    assert load_model(path)[1].training["steps"] == 3
