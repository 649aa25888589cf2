"""From a recipe to everything a run needs: pictures, text features, a model to train."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError

from limner.errors import LimnerError, RecipeError
from limner.modelfile import ModelInfo, load_model
from limner.models.base import ImageModel, build, families
from limner.text import load_encoder
from limner.text.base import TextEncoder, TextFeatures
from limner.text.bulk import FeatureTable, Progress, encode_table
from limner.training.affinity import disambiguate
from limner.training.data import Pictures, open_pictures
from limner.training.recipe import Recipe, explain

SHIPPED = "shipped"
"""What ``init`` says for the model inside the package."""
_SAMPLE = 4096


@dataclass
class Session:
    """A resolved recipe and what it stands for.

    Attributes:
        recipe: with the model's configuration in full.
        pictures: what is learnt from.
        encoder: who reads the captions.
        model: freshly initialised, or with the weights of ``recipe.init``.
        fitted: whether the model's buffers came with those weights, so that it needs no
            ``prepare``.
        inherited: ``source -> licence`` of what the model of ``recipe.init`` was trained on.
    """

    recipe: Recipe
    pictures: Pictures
    encoder: TextEncoder
    model: ImageModel
    fitted: bool = False
    inherited: dict[str, str] = field(default_factory=dict)

    @property
    def licences(self) -> dict[str, str]:
        """``source -> licence`` of the pictures and of what ``recipe.init`` was trained on."""
        return {**self.inherited, **self.pictures.licences}

    @property
    def parameter_count(self) -> int:
        """Numbers that training changes."""
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)


def open_session(recipe: Recipe) -> Session:
    """Open the data and the encoder, and build the model.

    Raises:
        RecipeError: anything the recipe names is missing or does not fit, naming the key.
    """
    train = recipe.train
    if train.minutes is None and train.steps is None:
        raise RecipeError(f"{recipe.source}: train: give a budget, 'minutes' or 'steps'")
    if train.threads is not None:
        torch.set_num_threads(train.threads)
    pictures = open_pictures(recipe.data, recipe.source)
    try:
        encoder = load_encoder(recipe.text.encoder)
    except LimnerError as error:
        raise RecipeError(f"{recipe.source}: text.encoder: {error}") from error
    start = _start(recipe, encoder)
    recipe = _resolved(recipe, pictures, encoder, start[1] if start else None)
    torch.manual_seed(train.seed)
    try:
        model = build(recipe.family, recipe.model)
    except (ValueError, LimnerError) as error:
        raise RecipeError(f"{recipe.source}: model: {error}") from error
    if not start:
        return Session(recipe, pictures, encoder, model)
    fitted = _continue_from(model, start[0], recipe)
    return Session(recipe, pictures, encoder, model, fitted, start[1].licences)


def _init_file(init: str) -> Path:
    if init != SHIPPED:
        return Path(init)
    from limner.studio.generator import shipped_models

    found = shipped_models()
    if not found:
        raise RecipeError(
            "this copy of limner ships no model; name a model file, or start from nothing with "
            "init=null"
        )
    return found[0]


def _start(recipe: Recipe, encoder: TextEncoder) -> tuple[ImageModel, ModelInfo] | None:
    if recipe.init is None:
        if recipe.init_parts:
            raise RecipeError(
                f"{recipe.source}: init_parts: name the model file that they come from under 'init'"
            )
        return None
    try:
        model, info = load_model(_init_file(recipe.init))
    except LimnerError as error:
        raise RecipeError(f"{recipe.source}: init: {error}") from error
    if info.family != recipe.family:
        raise RecipeError(
            f"{recipe.source}: init: {recipe.init} is a {info.family} model, "
            f"the recipe's family is {recipe.family}"
        )
    if info.encoder_fingerprint != encoder.fingerprint:
        raise RecipeError(
            f"{recipe.source}: init: {recipe.init} was trained with the text encoder "
            f"{info.encoder!r}, not with {recipe.text.encoder!r}; start from nothing with init=null"
        )
    return model, info


def _resolved(
    recipe: Recipe, pictures: Pictures, encoder: TextEncoder, info: ModelInfo | None
) -> Recipe:
    config = {**(info.config if info else {}), **recipe.model}
    for key, value, reason in (
        ("size", pictures.size, "the data's size"),
        ("text_dim", encoder.dim, "the text encoder's width"),
    ):
        if key in recipe.model and recipe.model[key] != value:
            raise RecipeError(
                f"{recipe.source}: model.{key}: {recipe.model[key]!r} is not {reason}, {value}; "
                f"leave the key out"
            )
        config[key] = value
    config["styles"] = recipe.model.get("styles", pictures.styles)
    kind = families()[recipe.family].config_class
    try:
        full = kind.model_validate(config).model_dump(mode="json")
    except ValidationError as error:
        raise RecipeError(f"{recipe.source}: {explain(error, kind, 'model.')}") from error
    resolved = recipe.model_copy(update={"model": full})
    resolved._source = recipe.source
    return resolved


def _continue_from(model: ImageModel, other: ImageModel, recipe: Recipe) -> bool:
    """Take every weight that fits; whether all buffers were among them."""
    mine, theirs = model.state_dict(), other.state_dict()
    fits = {n: v for n, v in theirs.items() if n in mine and mine[n].shape == v.shape}
    if not fits:
        raise RecipeError(f"{recipe.source}: init: no weight of {recipe.init} fits the model")
    if recipe.init_parts:
        members = {part: _members(part, fits) for part in recipe.init_parts}
        for part in (part for part, found in members.items() if not found):
            known = ", ".join(dict.fromkeys(name.partition(".")[0] for name in fits))
            raise RecipeError(
                f"{recipe.source}: init_parts: {part!r} names no weight of {recipe.init} that fits "
                f"the model; there is: {known}"
            )
        fits = {name: fits[name] for found in members.values() for name in found}
    model.load_state_dict(fits, strict=False)
    return all(name in fits for name, _ in model.named_buffers() if name in mine)


def _members(part: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name == part or name.startswith(f"{part}.")]


def encode_captions(session: Session, on_progress: Progress | None = None) -> FeatureTable:
    """Encode every caption once, through the encoder's cache.

    Args:
        session: whose captions.
        on_progress: called with (done, total) after every piece of the work.
    """
    return encode_table(
        session.encoder,
        session.pictures.captions.texts,
        max_tokens=session.recipe.text.max_tokens,
        on_progress=on_progress,
    )


def share_out_words(session: Session, table: FeatureTable) -> None:
    """Reweigh the captions that several concepts share, where the recipe asks for it.

    Raises:
        RecipeError: the pictures have no concepts to decide between.
    """
    recipe, pictures = session.recipe, session.pictures
    if not recipe.data.disambiguate:
        return
    concepts = pictures.concepts()
    if not any(concepts):
        raise RecipeError(
            f"{recipe.source}: data.disambiguate: no picture has a 'concept' in its metadata; "
            f"leave the key out"
        )
    pooled = table.vectors[table.pooled.long()]
    captions = disambiguate(pictures.captions, concepts, pooled, recipe.data.disambiguate)
    session.pictures = replace(pictures, captions=captions)


def caption_sample(session: Session, table: FeatureTable) -> TextFeatures:
    """Features of up to 4096 of the captions, chosen by the recipe's seed."""
    philox = np.random.Philox(key=[session.recipe.train.seed, 0], counter=[0, 0, 0, 2])
    count = min(_SAMPLE, len(table))
    chosen = np.random.Generator(philox).permutation(len(table))[:count]
    return table[torch.from_numpy(np.sort(chosen))]


def describe(session: Session) -> dict[str, Any]:
    """What the model file says of the data."""
    pictures = session.pictures
    return {
        "name": ", ".join(store.name for store in pictures.stores),
        "fingerprint": pictures.fingerprint,
        "stores": {store.name: store.fingerprint for store in pictures.stores},
        "pictures": len(pictures),
        "captions": len(pictures.captions.text_index),
        "texts": len(pictures.captions.texts),
        "languages": list(pictures.captions.languages),
        "size": pictures.size,
    }
