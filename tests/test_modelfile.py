from __future__ import annotations

import hashlib
import json
import os
import stat
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import crashes
from limner.errors import ModelFileError
from limner.files import remove_parts
from limner.modelfile import load_model, read_concepts, save_model, write_info
from limner.modelinfo import FORMAT, METADATA_KEY, ModelInfo, read_info
from limner.models.base import build
from limner.models.concepts import ConceptIndex
from limner.models.image_model import ImageModel
from limner.tensorfile import CONCEPTS_PREFIX, file_hash, read_metadata, write_tensors

CONFIG = {"size": 16, "text_dim": 8, "patch": 8, "dim": 16, "depth": 1, "heads": 2}


@pytest.fixture(scope="module")
def model() -> ImageModel:
    torch.manual_seed(0)
    return build("flow", CONFIG).eval()


def card(model: ImageModel, **facts: object) -> ModelInfo:
    config = model.config.model_dump(mode="json")
    return ModelInfo(
        family="flow", config=config, encoder="e5-small", encoder_fingerprint="0" * 16, **facts
    )


@pytest.fixture
def path(model: ImageModel, tmp_path: Path) -> Path:
    file = tmp_path / "model.safetensors"
    save_model(file, model, card(model))
    return file


def raw(header: bytes, body: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + body


def with_card(path: Path, text: str) -> Path:
    write_tensors(path, {"x": torch.zeros(2)}, {"limner": text})
    return path


def test_what_is_saved_comes_back(model, path):
    facts = {"licences": {"noto": "Apache-2.0"}, "concepts": {"zh": ["红心"]}}
    save_model(path, model, card(model, **facts))
    again, info = load_model(path)
    assert info == read_info(path) == card(model, **facts)
    assert info.format == FORMAT
    assert again.config == model.config
    assert not again.training
    for name, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name


def test_half_precision_is_the_nearest_half_and_single_once_loaded(model, path, tmp_path):
    save_model(tmp_path / "half.safetensors", model, card(model), dtype="float16")
    again, _ = load_model(tmp_path / "half.safetensors")
    floats = 0
    for name, value in model.state_dict().items():
        loaded = again.state_dict()[name]
        assert loaded.dtype == value.dtype
        if value.is_floating_point():
            floats += value.numel()
            assert torch.equal(loaded, value.half().float()), name
        else:
            assert torch.equal(loaded, value), name
    saved = path.stat().st_size - (tmp_path / "half.safetensors").stat().st_size
    assert saved == pytest.approx(2 * floats, rel=0.02)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_weights_that_are_no_finite_numbers_are_neither_read_nor_written(
    model, path, tmp_path, wrong
):
    tensors = load_file(path)
    name = next(name for name, value in tensors.items() if value.is_floating_point())
    tensors[name].view(-1)[-1] = wrong
    write_tensors(tmp_path / "bad.safetensors", tensors, read_metadata(path))
    with pytest.raises(ModelFileError, match=rf"cannot be used: {name} has values that are not"):
        load_model(tmp_path / "bad.safetensors")
    state = {**model.state_dict(), name: tensors[name]}
    other = build("flow", model.config.model_dump())
    other.load_state_dict(state)
    with pytest.raises(ModelFileError, match=rf"was not written: {name} has .* in float32"):
        save_model(tmp_path / "new.safetensors", other, card(other))
    grown = next(iter(dict(other.named_parameters())))
    with torch.no_grad():
        other.load_state_dict(model.state_dict())
        dict(other.named_parameters())[grown].view(-1)[-1] = 1e30
    with pytest.raises(ModelFileError, match=rf"was not written: {grown} has .* in float16"):
        save_model(tmp_path / "new.safetensors", other, card(other), dtype="float16")
    assert not (tmp_path / "new.safetensors").exists()


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_the_mode_is_that_of_any_new_file(model, tmp_path, umask):
    old = os.umask(umask)
    try:
        save_model(tmp_path / "new.safetensors", model, card(model))
    finally:
        os.umask(old)
    mode = stat.S_IMODE((tmp_path / "new.safetensors").stat().st_mode)
    assert mode == 0o666 & ~umask


def test_folders_are_made_and_only_the_file_is_left(model, tmp_path):
    path = tmp_path / "a" / "b" / "m.safetensors"
    save_model(path, model, card(model))
    save_model(path, model, card(model))
    assert [p.name for p in path.parent.iterdir()] == ["m.safetensors"]


def test_unwritable_places(model, path, tmp_path):
    with pytest.raises(ModelFileError, match=r"cannot write .*; nothing was changed"):
        save_model(path / "inside-a-file.safetensors", model, card(model))
    folder = tmp_path / "folder.safetensors"
    folder.mkdir()
    with pytest.raises(ModelFileError, match=r"cannot write .*; nothing was changed"):
        save_model(folder, model, card(model))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder.safetensors", path.name]


FULL_DISK = """
import resource, signal, sys, torch
from pathlib import Path
from safetensors.torch import load_file

from limner.errors import ModelFileError
from limner.tensorfile import write_tensors

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
try:
    write_tensors(Path(sys.argv[1]), {"x": torch.ones(100_000)}, {})
except ModelFileError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on file sizes")
def test_a_full_disk_keeps_the_old_file(path):
    before = path.read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"cannot write {path}: ")
    assert done.stdout.endswith("nothing was changed\n")
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_new_card_keeps_the_weights_and_what_else_the_file_says(model, path):
    tensors = load_file(path)
    write_tensors(path, tensors, {**read_metadata(path), "pt": "2", "other": "tool"})
    write_info(path, card(model, concepts={"zh": ["红心"]}))
    assert read_info(path).concepts == {"zh": ["红心"]}
    assert {k: v for k, v in read_metadata(path).items() if k != METADATA_KEY} == {
        "pt": "2", "other": "tool",
    }  # fmt: skip
    again = load_file(path)
    assert again.keys() == tensors.keys()
    assert all(torch.equal(again[name], value) for name, value in tensors.items())


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_whole_numbers_keep_their_bits_in_every_dtype(tmp_path, dtype):
    """Rows, styles and counters are no weights: 2^40 + 1 is no float16."""
    model, path = build("flow", CONFIG), tmp_path / "m.safetensors"
    model.register_buffer("rows", torch.tensor([2**40 + 1, -1]))
    save_model(path, model, card(model), dtype)
    rows = load_file(path)["rows"]
    assert rows.dtype == torch.int64 and rows.tolist() == [2**40 + 1, -1]


def test_names_in_the_model_file_come_before_those_beside_it(model, tmp_path):
    def index(name: str) -> ConceptIndex:
        vectors = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
        return ConceptIndex.fit(
            captions=[name, "b"], names=[name, "b"], concepts=[0, 1], vectors=vectors,
            keywords=vectors[:1], styles=torch.ones(2, 1, dtype=torch.bool),
        )  # fmt: skip

    path = tmp_path / "m.safetensors"
    save_model(path, model, card(model))
    assert read_concepts(path) is None
    tensors = index("beside").tensors()
    beside = {f"{CONCEPTS_PREFIX}{name}": each for name, each in tensors.items()}
    write_tensors(path.with_suffix(".concepts.safetensors"), beside, {})
    assert read_concepts(path).captions[0] == "beside"
    save_model(path, model, card(model), concepts=index("inside"))
    assert read_concepts(path).captions[0] == "inside"


def test_a_model_is_on_the_disk_before_it_has_its_name(path, monkeypatch):
    """And its name is before the writer says that it is done: the power may fail at any time."""
    before, synced = path.read_bytes(), []
    monkeypatch.setattr(
        "limner.files.sync_to_disk", lambda what: synced.append((what, path.read_bytes() == before))
    )
    write_tensors(path, {"a": torch.zeros(3)}, {})
    (part, old), (folder, still_old) = synced
    assert part.parent == path.parent and part != path and old
    assert folder == path.parent and not still_old


@pytest.mark.parametrize("stop", ["killed_at", "stopped_within"])
def test_a_writer_that_dies_leaves_the_old_file_or_the_new_one(path, stop):
    """And what else it leaves is known as such, so that the next run removes it."""
    pytest.importorskip("resource")
    before, new = path.read_bytes(), {"a": torch.arange(10_000.0)}
    write_tensors(path, new, {"b": "c"})
    after = path.read_bytes()
    for number in range(100) if stop == "killed_at" else (0, 1, 50, 20_000, 10**6):
        path.write_bytes(before)
        dead = getattr(crashes, stop)(number, lambda: write_tensors(path, new, {"b": "c"}))
        assert path.read_bytes() in (before, after)
        remove_parts(path.parent)
        assert [p.name for p in path.parent.iterdir()] == [path.name]
        if not dead:
            break
    assert path.read_bytes() == after and number > 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a safetensors file, or it is cut short"),
        (b"\x89PNG", "not a safetensors file, or it is cut short"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not a safetensors file, or it is cut short"),
        (struct.pack("<Q", 0), "not a safetensors file, or it is cut short"),
        (struct.pack("<Q", 2**63) + b"{}", "not a safetensors file, or it is cut short"),
        (struct.pack("<Q", 50) + b"{}", "not a safetensors file, or it is cut short"),
        (raw(b"{} and more"), "not a safetensors file"),
        (raw(b"\xff\xfe"), "not a safetensors file"),
        (raw(b"[]"), "not written by limner"),
        (raw(b"{}"), "not written by limner"),
        (raw(b'{"__metadata__": {"format": "pt"}}'), "not written by limner"),
        (raw(b'{"__metadata__": {"limner": "{"}}'), "damaged or newer metadata"),
        (raw(b'{"__metadata__": {"limner": "{}"}}'), "damaged or newer metadata"),
        (raw(b'{"__metadata__": 3}'), "not written by limner"),
        (raw(b"[" * 50_000), "not a safetensors file"),
    ],
)
def test_foreign_and_damaged_files(tmp_path, content, message):
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    for read in (read_info, load_model):
        with pytest.raises(ModelFileError, match=message) as caught:
            read(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_header_larger_than_any_is_not_read(tmp_path):
    path = tmp_path / "m.safetensors"
    with path.open("wb") as handle:
        handle.write(struct.pack("<Q", 200_000_000))
        handle.truncate(300_000_000)  # sparse: it takes no room
    with pytest.raises(ModelFileError, match="not a safetensors file"):
        read_metadata(path)


def test_cut_short_anywhere(path):
    whole = path.read_bytes()
    header = struct.unpack("<Q", whole[:8])[0] + 8
    for length in (4, 8, header - 1, header, header + 10, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelFileError):
            load_model(path)


def test_newer_files_are_refused(model, path):
    newer = card(model).model_dump() | {"format": FORMAT + 1}
    with pytest.raises(ModelFileError, match=f"format {FORMAT + 1}.*upgrade limner"):
        read_info(with_card(path, json.dumps(newer)))
    unknown = card(model).model_dump() | {"soul": 1}
    with pytest.raises(ModelFileError, match="damaged or newer metadata"):
        read_info(with_card(path, json.dumps(unknown)))


@pytest.mark.parametrize(
    "change",
    [
        {"family": "oracle"},
        {"config": {**CONFIG, "depth": 2}},
        {"config": {**CONFIG, "dim": 32}},
        {"config": {**CONFIG, "size": -1}},
        {"config": {**CONFIG, "unheard": 1}},
        {"config": {}},
    ],
)
def test_weights_and_configuration_must_fit(model, path, change):
    write_tensors(
        path,
        model.state_dict(),
        {"limner": card(model).model_copy(update=change).model_dump_json()},
    )
    with pytest.raises(ModelFileError, match=r"cannot be loaded as a \w+ model: ") as caught:
        load_model(path)
    assert "\n" not in str(caught.value)


def test_missing_files_and_folders(tmp_path):
    for read in (read_info, load_model, file_hash):
        with pytest.raises(ModelFileError, match=r"cannot read .*none: No such file"):
            read(tmp_path / "none")
        with pytest.raises(ModelFileError, match=r"cannot read .*: Is a directory"):
            read(tmp_path)


def test_the_hash_is_the_files(path):
    assert file_hash(path) == hashlib.sha256(path.read_bytes()).hexdigest()[:16]
