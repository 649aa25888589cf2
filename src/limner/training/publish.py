"""From a finished run to a model file for others: in half precision, with a full card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, Literal

from pydantic import ValidationError

from limner.data.selection import Selection
from limner.data.store import Store, heaviest
from limner.errors import DataError, UsageError
from limner.modelfile import load_model, read_concepts, read_words, save_model
from limner.modelinfo import ModelInfo, read_info
from limner.models.base import Model, build
from limner.models.image_model import ImageModel
from limner.text import load_encoder
from limner.training.concept_index import index_concepts

CLAIM_AT = 3
"""A concept is claimed when the model was trained on at least this many pictures of it; by a model
that keeps its training pictures as exemplars, all are."""


def publish(
    model: Path,
    store: Store,
    out: Path,
    *,
    earlier: Sequence[Path] = (),
    limits: Sequence[str] = (),
    config: Mapping[str, Any] | None = None,
    scenes: bool = False,
    dtype: Literal["float16", "float32", "int8"] = "float16",
) -> ModelInfo:
    """Write a copy of a trained model whose card lists its concepts and its earlier runs.

    A model that draws gets an index of the names it knows
    (:func:`limner.training.concept_index.index_concepts`), by which prompts are grounded. One that
    has an index, as a run that adds pictures to a published model, keeps it, its concepts, and
    whether it composes: the store holds only what was added.

    Args:
        model: the file that ``limner train`` left.
        store: what it was trained on.
        out: ends in ``.safetensors``; replaced whole.
        earlier: models of the runs this one started from, oldest first; their training summaries
            become the card's history.
        limits: sentences for the card.
        config: keys of the family's configuration to change, such as a sampling temperature; none
            may change the weights' shapes.
        scenes: prompts of several things are to be composed
            (:class:`limner.modelinfo.ModelInfo`), also where those of the run are not.
        dtype: how weights are stored.

    Raises:
        DataError: the store is not the one the model was trained on.
        ModelFileError: a file cannot be read or written.
        UsageError: the family has no such key, or the weights do not fit the change.
    """
    network, info = load_model(model)
    if config:
        network = _changed(network, info, config)
    if not info.trained_on(store.fingerprint):
        raise DataError(
            f"{store.path} is not the store that {model} was trained on (its fingerprint "
            f"{store.fingerprint} is not in the model's card)"
        )
    training = published_training(info, [read_info(path) for path in earlier])
    filters = training.get("recipe", {}).get("data", {}).get("filters", {})
    keeps = isinstance(network, ImageModel) and network.draws_training_pictures
    index = read_concepts(model) if isinstance(network, ImageModel) else None
    concepts = info.concepts if index is not None else {}
    card = info.model_copy(
        update={
            "config": network.config.model_dump(mode="json"),
            "training": training,
            "concepts": concepts or claimed(store, filters, 1 if keeps else CLAIM_AT),
            "quality": {},
            "limits": list(limits),
            "scenes": scenes or (index is not None and info.scenes),
        }
    )
    if isinstance(network, ImageModel) and index is None:
        styles = getattr(network.config, "styles", None)
        encoder = load_encoder(info.encoder)
        index = index_concepts(store, encoder, filters=filters, styles=styles)
    save_model(out, network, card, dtype, read_words(model), concepts=index)
    return card


def published_training(
    info: ModelInfo, earlier: Sequence[ModelInfo] = (), before: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """The summary of a training with those of the runs before it, without folders of a machine.

    Args:
        info: of the last run's model.
        earlier: of the models of the runs that this one started from, oldest first.
        before: summaries of still earlier runs, from the card of a published model.
    """
    history = [*before, *(_summary(each) for each in earlier), _summary(info)]
    return {
        **_public(info.training),
        "history": history,
        "minutes_in_all": round(sum(run.get("minutes", 0) for run in history), 1),
        "pictures_in_all": sum(run.get("pictures", 0) for run in history),
    }


def _changed(network: Model, info: ModelInfo, config: Mapping[str, Any]) -> Model:
    try:
        changed = build(info.family, {**info.config, **config})
        changed.load_state_dict(network.state_dict())
    except (ValidationError, RuntimeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise UsageError(f"the model cannot be published with {dict(config)}: {reason}") from error
    return changed


def claimed(
    store: Store, filters: dict[str, list[str]], least: int = CLAIM_AT
) -> dict[str, list[str]]:
    """The concepts with at least so many pictures that pass the filters.

    Returns:
        ``keys`` (the concepts' stable keys) and, for each language in which every one of them
        has a caption, their names, in the order of ``keys``.
    """
    counts: Counter[str] = Counter()
    first: dict[str, int] = {}
    kept = Selection(filters)
    for picture in range(len(store)):
        facts = store.metadata(picture)
        key = facts.get("concept")
        if key is None or not kept.accepts(facts):
            continue
        counts[str(key)] += 1
        first.setdefault(str(key), picture)
    keys = sorted(key for key, count in counts.items() if count >= least)
    names = [heaviest(store.captions(first[key])) for key in keys]
    shared = sorted(set.intersection(*map(set, names))) if names else []
    return {"keys": keys} | {lang: [each[lang] for each in names] for lang in shared}


def _summary(info: ModelInfo) -> dict[str, Any]:
    keep = ("minutes", "steps", "pictures", "hardware", "gflops", "torch")
    recipe = info.training.get("recipe", {})
    stages = {key: recipe.get("model", {}).get(key) for key in ("autoencode", "prior")}
    train = {key: recipe.get("train", {}).get(key) for key in ("batch_size", "lr")}
    facts = {key: info.training[key] for key in keep if key in info.training}
    return facts | {key: value for key, value in (stages | train).items() if value is not None}


def _public(training: dict[str, Any]) -> dict[str, Any]:
    """The summary without the folders of the machine it was trained on."""
    recipe = dict(training.get("recipe", {}))
    for key in ("init", "autoencoder"):
        if recipe.get(key):
            recipe[key] = PurePath(recipe[key]).name
    data = dict(recipe.get("data", {}))
    stores = data.get("store", [])
    names = [PurePath(path).name for path in ([stores] if isinstance(stores, str) else stores)]
    data["store"] = names[0] if len(names) == 1 else names
    return {**training, "recipe": {**recipe, "data": data}}
