"""One answer to "which file is meant": a file, a run folder, a shipped model, or the default."""

from __future__ import annotations

from pathlib import Path

import pytest

from limner.errors import ModelFileError
from limner.shipped import (
    SHIPPED,
    SHIPPED_ALIGNER,
    SHIPPED_MODEL,
    find_model,
    shipped_folder,
    spec_of,
)


def test_a_file_and_a_run_folder_are_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = tmp_path / "icons-64"
    run.mkdir()
    with pytest.raises(ModelFileError, match=r"no model file .*icons-64/model\.safetensors"):
        find_model(run)
    file = run / "model.safetensors"
    file.touch()
    assert find_model(run) == find_model(str(file)) == file
    monkeypatch.chdir(tmp_path)
    assert find_model("icons-64") == Path("icons-64/model.safetensors"), "what is on disk is first"


@pytest.mark.parametrize("spec", ["none.safetensors", "../weights", "x" * 5000, "a\0b", ""])
def test_what_is_not_there_is_named(spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelFileError, match="there is no model file"):
        find_model(spec)


@pytest.mark.skipif(
    not (shipped_folder() / SHIPPED_ALIGNER).is_file(), reason="nothing is shipped in this tree"
)
def test_shipped_models_go_by_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert find_model() == find_model(SHIPPED) == shipped_folder() / SHIPPED_MODEL
    path = shipped_folder() / SHIPPED_ALIGNER
    for spec in (SHIPPED_ALIGNER, SHIPPED_ALIGNER.removesuffix(".safetensors"), "aligner-64"):
        assert find_model(spec) == path
    assert find_model(None, SHIPPED_ALIGNER) == path


def test_a_copy_without_the_file_says_so():
    with pytest.raises(ModelFileError, match=r"has no nothing\.safetensors; name a model file"):
        find_model(None, "nothing.safetensors")


def test_a_spec_means_the_same_file_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.safetensors").touch()
    assert spec_of(find_model("a.safetensors"), SHIPPED_MODEL) == str(tmp_path / "a.safetensors")
    assert spec_of(shipped_folder() / SHIPPED_MODEL, SHIPPED_MODEL) == SHIPPED
