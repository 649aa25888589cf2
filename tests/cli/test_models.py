"""``limner models``, with a cache of the hub in its real layout."""

import json
import sys

import pytest
from typer.testing import CliRunner

from limner.cli import build_app
from limner.errors import ModelFileError, UsageError
from limner.generation.backends.source import HubSource
from limner.shipped import shipped_models

COMMIT = "0123456789abcdef0123456789abcdef01234567"
BLOB = "ab" * 32


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache that holds one model, as huggingface_hub lays it out."""
    repo = tmp_path / "cache" / "models--someone--tiny"
    snapshot = repo / "snapshots" / COMMIT
    for folder in (snapshot, repo / "refs", repo / "blobs"):
        folder.mkdir(parents=True)
    (repo / "refs" / "main").write_text(COMMIT)
    (repo / "blobs" / BLOB).write_bytes(b"x" * 5_000_000)
    (snapshot / "model.safetensors").symlink_to(f"../../blobs/{BLOB}")
    (repo / "blobs" / "cd").write_text('{"model_type": "bert"}')
    (snapshot / "config.json").symlink_to("../../blobs/cd")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


def run(*words):
    return CliRunner().invoke(build_app(), ["models", *words], catch_exceptions=True)


def test_list_names_shipped_local_and_cached_models(cache, tmp_path):
    (tmp_path / "mine.safetensors").symlink_to(shipped_models()[0])
    (tmp_path / "other.safetensors").write_bytes(b"no model")
    found = json.loads(run("list", "--json").stdout)
    kinds = {each["spec"]: (each["kind"], each["bytes"]) for each in found}
    assert kinds["hub:someone/tiny"][0] == "hub"
    assert 5_000_000 <= kinds["hub:someone/tiny"][1] < 5_001_000
    assert kinds[shipped_models()[0].stem] == ("shipped", shipped_models()[0].stat().st_size)
    assert kinds["mine.safetensors"][0] == "local"
    assert "other.safetensors" not in kinds
    assert "5.0 MB  hub      hub:someone/tiny" in run("list").stdout


def test_rm_asks_and_removes(cache):
    refused = run("rm", "someone/tiny")
    assert isinstance(refused.exception.__cause__, UsageError)
    assert (cache / "models--someone--tiny").exists()
    assert run("rm", "hub:someone/tiny", "--yes").stdout.startswith("removed someone/tiny: 5.0 MB")
    assert not list((cache / "models--someone--tiny").rglob("*"))
    assert isinstance(run("rm", "someone/tiny", "-y").exception.__cause__, ModelFileError)


def test_a_cached_model_is_found_and_hashed_by_its_blobs(cache):
    source = HubSource.parse("hub:someone/tiny")
    assert source.folder.name == COMMIT
    assert not source.is_pipeline
    before = source.hash
    (cache / "models--someone--tiny" / "blobs" / BLOB).write_bytes(b"y")
    assert HubSource.parse("hub:someone/tiny").hash == before  # it is not read


def test_a_missing_model_is_one_sentence_offline(cache):
    failed = run("pull", "nobody/nothing")
    assert isinstance(failed.exception.__cause__, ModelFileError)
    assert "cannot be downloaded" in str(failed.exception.__cause__)


def test_list_needs_no_package_of_the_hub(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    done = run("list")
    assert done.exit_code == 0
    assert all(path.stem in done.stdout for path in shipped_models())
    assert "pip install 'limner[hub]'" in done.stderr
