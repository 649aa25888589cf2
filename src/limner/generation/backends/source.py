"""Which hub model a spec means, and where its files are."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from limner.errors import MissingExtraError, ModelFileError, UsageError, first_line
from limner.hub import HUB, import_transformers
from limner.logs import only_errors
from limner.specs import parse_spec

PIPELINE_FILE, MODEL_FILE = "model_index.json", "config.json"
_FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]
_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
_MAX_JSON = 10_000_000


@dataclass(frozen=True)
class HubSource:
    """A model of the hub as a spec names it, ``hub:ID_OR_FOLDER?lora=FILE&low_memory=1&size=N``.

    Attributes:
        spec: the whole of it.
        place: an id, or a folder in the hub's layout.
        lora: weights that are added to its own.
        low_memory: whether it takes less memory and more time.
        size: side of its pictures in pixels; None for its own.
    """

    spec: str
    place: str
    lora: Path | None = None
    low_memory: bool = False
    size: int | None = None

    @classmethod
    def parse(cls, spec: str | Path) -> HubSource:
        """What a spec says.

        Raises:
            UsageError: it names nothing, has an unknown option, or an option has a wrong value.
        """
        found = parse_spec(str(spec), "model")
        found.only("lora", "low_memory", "size")
        place = found.place if found.kind == HUB.rstrip(":") else found.name
        if not place:
            raise UsageError(f"{spec} names no model: write {HUB}ID or {HUB}FOLDER")
        lora = Path(found.options["lora"]) if "lora" in found.options else None
        if lora is not None and (lora.suffix != ".safetensors" or not lora.is_file()):
            raise UsageError(f"there is no LoRA file {lora}; give a .safetensors file")
        size = found.integer("size", 0)
        if size and not 16 <= size <= 1024:
            raise UsageError(f"{spec}: size is 16 to 1024 pixels, not {size}")
        return cls(str(spec), place, lora, bool(found.integer("low_memory", 0)), size or None)

    @property
    def name(self) -> str:
        """The last part of the id or folder."""
        return (
            Path(self.place).resolve().name
            if Path(self.place).is_dir()
            else (self.place.rpartition("/")[2])
        )

    @cached_property
    def folder(self) -> Path:
        """The folder of its files; the files of an id are downloaded on first use.

        Raises:
            ModelFileError: there is no such model, or it cannot be downloaded.
            MissingExtraError: a package of the extra ``hub`` is missing.
        """
        path = Path(self.place)
        if path.is_dir():
            return path
        if not _ID.fullmatch(self.place):
            raise ModelFileError(f"there is no folder {path}")
        with hub_failures(self.place):
            return _downloaded(self.place)

    @property
    def is_pipeline(self) -> bool:
        """Whether it is a pipeline of diffusers; otherwise a model of transformers."""
        if (self.folder / PIPELINE_FILE).is_file():
            return True
        if (self.folder / MODEL_FILE).is_file():
            return False
        raise ModelFileError(
            f"{self.folder} is no model in the hub's layout: it has neither {PIPELINE_FILE} nor "
            f"{MODEL_FILE}"
        )

    def read_json(self, name: str) -> dict[str, Any]:
        """One of its configurations; empty where the file is missing.

        Raises:
            ModelFileError: it is damaged.
        """
        path = self.folder / name
        if not path.is_file():
            return {}
        try:
            if path.stat().st_size > _MAX_JSON:
                raise ValueError(f"more than {_MAX_JSON} bytes")
            found = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise ModelFileError(f"{path} cannot be read: {first_line(error)}") from error
        return found if isinstance(found, dict) else {}

    @property
    def weights(self) -> list[Path]:
        """Its files of weights, those of the LoRA included."""
        own = sorted(self.folder.rglob("*.safetensors"))
        return [*own, self.lora] if self.lora else own

    @property
    def bytes(self) -> int:
        """Size of its weights on disk."""
        return sum(path.stat().st_size for path in self.weights)

    @cached_property
    def hash(self) -> str:
        """16 hex digits of a SHA-256 over everything its pictures depend on.

        A file of the hub's cache is a link to one that is named by its own hash, and is not read.
        """
        found = hashlib.sha256(f"{self.size or ''}".encode())
        files = [*self.folder.rglob("*.json"), *self.folder.rglob("*.txt"), *self.weights]
        for path in sorted(files):
            inside = path.relative_to(self.folder) if path.is_relative_to(self.folder) else ""
            found.update(str(inside).encode())
            blob = path.resolve()
            if path.is_symlink() and blob.parent.name == "blobs":
                found.update(blob.name.encode())
            else:
                with path.open("rb") as file:
                    found.update(hashlib.file_digest(file, "sha256").digest())
        return found.hexdigest()[:16]


def import_diffusers() -> Any:
    """The package diffusers.

    Raises:
        MissingExtraError: it, or what it needs, is not installed.
    """
    import_transformers("a pipeline of the hub")  # sets its log's level, once, when imported
    try:
        with only_errors("transformers"), only_errors("diffusers"):
            import accelerate  # noqa: F401 - pipelines are loaded through it
            import diffusers
            import greenlet  # noqa: F401 - pipelines are advanced step by step with it
    except ImportError as error:
        name = (error.name or "diffusers").partition(".")[0]
        raise MissingExtraError(name, "hub", "a pipeline of the hub") from error
    return diffusers


@contextmanager
def hub_failures(place: str) -> Iterator[None]:
    """Turn what huggingface_hub raises for a missing or unreachable model into one sentence."""
    import_transformers("a model of the hub")
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise ModelFileError(
            f"{place} is gated: accept its licence on its page of the hub, then run "
            "'hf auth login' here"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise ModelFileError(
            f"there is no folder {place}, and no model of that id on the hub, or it is private: "
            "then run 'hf auth login'"
        ) from error
    except errors.EntryNotFoundError as error:
        if isinstance(error, errors.LocalEntryNotFoundError):
            raise _unreachable(place) from error
        raise ModelFileError(f"{place} lacks a file that is needed: {first_line(error)}") from error
    except errors.HFValidationError as error:
        raise ModelFileError(f"{place!r} is no id of the hub: {first_line(error)}") from error
    except OSError as error:  # and errors of the network
        raise _unreachable(place) from error


def _unreachable(place: str) -> ModelFileError:
    return ModelFileError(
        f"{place} is not on this machine and cannot be downloaded: the hub cannot be reached, or "
        f"HF_HUB_OFFLINE is set; run 'limner models pull {place}' while online, or name a folder"
    )


def _downloaded(place: str) -> Path:
    """The folder of a hub model in the cache, downloaded if needed."""
    from huggingface_hub import hf_hub_download, snapshot_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        hf_hub_download(place, PIPELINE_FILE)
    except LocalEntryNotFoundError:
        return Path(snapshot_download(place, allow_patterns=_FILES, local_files_only=True))
    except EntryNotFoundError:
        return Path(snapshot_download(place, allow_patterns=_FILES))
    pipeline = import_diffusers().DiffusionPipeline
    with only_errors("diffusers"):
        return Path(pipeline.download(place, use_safetensors=True, trust_remote_code=False))
