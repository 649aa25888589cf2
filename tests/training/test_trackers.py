from __future__ import annotations

import builtins

import pytest

from limner.errors import MissingExtraError
from limner.training.loop import train
from waiting import LONGEST, wait_until


def test_wandb_offline(recipe, tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB__SERVICE_WAIT", str(LONGEST))  # for that process to start
    out = tmp_path / "run"
    settings = {"steps": 3, "log_every": 1, "trackers": ["wandb"]}
    train(recipe(settings, prompts=["red"]), out, quiet=True)
    [file] = out.glob("wandb/offline-run-*/*.wandb")
    # wandb's own process writes the last of it after finish()
    wait_until(lambda: b"loss/pixels" in file.read_bytes())
    assert not (out / "tensorboard").exists()
    assert list(out.glob("wandb/offline-run-*/files/media/images/*.png"))
    assert wandb.run is None  # it was finished


def test_trackio_on_this_machine(recipe, tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    pytest.importorskip("trackio")
    settings = {"steps": 3, "log_every": 1, "trackers": ["trackio"], "tensorboard": True}
    train(recipe(settings, prompts=["red"]), tmp_path / "run", quiet=True)
    kept = b"".join(f.read_bytes() for f in (tmp_path / "trackio").glob("limner.db*"))
    assert b"loss/pixels" in kept
    assert list((tmp_path / "trackio").rglob("*.png"))
    assert list((tmp_path / "run" / "tensorboard").iterdir())


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_a_missing_package_is_a_sentence(name, recipe, tmp_path, monkeypatch):
    real = builtins.__import__

    def without(module, *rest, **options):
        if module == name:
            raise ImportError(module)
        return real(module, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setattr("limner.training.trackers.import_module", without)
    with pytest.raises(MissingExtraError, match=rf"pip install 'limner\[{name}\]'"):
        train(recipe({"trackers": [name], "steps": 1}), tmp_path / "run", quiet=True)


def test_tensorboard_false_is_short_for_a_list_without_it(recipe):
    assert recipe({"tensorboard": False}).train.trackers == []
    assert recipe({"tensorboard": False, "trackers": ["wandb"]}).train.trackers == ["wandb"]
    assert recipe({"tensorboard": True}).train.trackers == ["tensorboard"]
