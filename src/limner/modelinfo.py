"""What a model file says of its model: JSON in its metadata, read without touching its weights."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

import limner
from limner.errors import ModelFileError
from limner.tensorfile import read_metadata

FORMAT = 1
METADATA_KEY = "limner"


class ModelInfo(BaseModel):
    """The description of a model in its file.

    Attributes:
        format: version of this layout.
        limner: version of limner that wrote the file.
        family: name in the registry of families.
        config: the family's validated configuration.
        encoder: spec of the text encoder that the model was trained with.
        encoder_fingerprint: of that encoder at training time.
        tuning: how the text encoder was tuned along with the model
            (:class:`limner.models.words.Tuning`); its tensors are in the file. Empty where it was
            not tuned.
        image_encoder: spec of the encoder of reference pictures; empty where there is none.
        image_encoder_fingerprint: that encoder's fingerprint at training time.
        data: store fingerprint, counts and name.
        licences: of the data the weights were trained on, ``source -> licence``.
        training: recipe, hardware, minutes, steps, pictures trained on.
        quality: measured figures, with the command that measured them.
        concepts: concepts that the model was trained on: ``keys``, and ``language -> names`` in the
            order of the keys.
        limits: what the model cannot do, one sentence each.
        defaults: options of drawing that are taken where none is asked for, by name; measured by
            ``limner calibrate``.
        scenes: whether prompts of several things are by default composed of single drawings; for
            models that draw one thing on white.
    """

    model_config = ConfigDict(extra="forbid")

    format: int = FORMAT
    limner: str = limner.__version__
    family: str
    config: dict[str, Any]
    encoder: str
    encoder_fingerprint: str
    tuning: dict[str, Any] = Field(default_factory=dict)
    image_encoder: str = ""
    image_encoder_fingerprint: str = ""
    data: dict[str, Any] = Field(default_factory=dict)
    licences: dict[str, str] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)
    quality: dict[str, Any] = Field(default_factory=dict)
    concepts: dict[str, list[str]] = Field(default_factory=dict)
    limits: list[str] = Field(default_factory=list)
    defaults: dict[str, float] = Field(default_factory=dict)
    scenes: bool = False

    def trained_on(self, fingerprint: str, name: str = "", sources: Collection[str] = ()) -> bool:
        """Whether a store is among the data that the model was trained on.

        That is a store of the same fingerprint as one that the data name, or as what was made of
        them all. Where a name is given, it is also a store of the same name and made from sources
        that the model's licences name: the same command with other versions of its sources.

        Args:
            fingerprint: of the store.
            name: of the store; empty to compare fingerprints only.
            sources: of the store, the keys of its licences.
        """
        stores = self.data.get("stores") or {}
        if fingerprint in {self.data.get("fingerprint"), *stores.values()}:
            return True
        return name in stores and bool(sources) and set(sources) <= set(self.licences)

    def licence_of(self, style: str) -> str | None:
        """Licence and author of the set that a style is named after; None if not known.

        Styles are named as their sets, whose parts may have a word more: *mdi-outline* of *mdi*.
        """
        sources = {source.rpartition("/")[2]: source for source in self.licences}
        named = [name for name in sources if f"{style}-".startswith(f"{name}-")]
        return self.licences[sources[max(named, key=len)]] if named else None

    @property
    def attributions(self) -> list[str]:
        """A line for each source of the training data: what, by whom, under which licence."""
        found = []
        for source, said in self.licences.items():
            match = re.fullmatch(r"(.+?) \((.+)\)", said)
            found.append(f"{source} by {match[2]}, {match[1]}" if match else f"{source}, {said}")
        return found


def read_info(path: Path) -> ModelInfo:
    """The description of a model in its file.

    Raises:
        ModelFileError: the file is missing, foreign, damaged or written by a newer limner.
    """
    text = read_metadata(path).get(METADATA_KEY)
    if text is None:
        raise ModelFileError(
            f"{path} was not written by limner (its metadata has no {METADATA_KEY!r} entry)"
        )
    try:
        info = ModelInfo.model_validate_json(text)
    except ValidationError as error:
        raise ModelFileError(
            f"{path} has damaged or newer metadata ({error.errors()[0]['msg']}); "
            f"this is limner {limner.__version__}"
        ) from error
    if info.format > FORMAT:
        raise ModelFileError(
            f"{path} is of format {info.format}, this limner reads up to {FORMAT}; upgrade limner"
        )
    return info
