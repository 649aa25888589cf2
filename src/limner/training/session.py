"""From a recipe to everything that a run needs: pictures, text features, a model to train."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor

from limner.errors import LimnerError, RecipeError
from limner.image_encoders import load_image_encoder
from limner.modelfile import load_model, read_concepts, read_words
from limner.modelinfo import ModelInfo
from limner.models.autoencoder import AutoencoderConfig, of
from limner.models.base import Model, build, families
from limner.models.concepts import ConceptIndex
from limner.models.words import TunedEncoder, TunedModel, Tuning, hub_encoder, tune
from limner.shipped import find_model
from limner.text import load_encoder
from limner.text.base import TextEncoder, TextFeatures
from limner.text.bulk import FeatureTable, Progress, encode_table
from limner.text.cache import uncached
from limner.text.pieces import PieceEncoder
from limner.threads import set_threads
from limner.training.concept_index import extend_index
from limner.training.data import Pictures, open_pictures
from limner.training.disambiguation import disambiguate
from limner.training.explain import explain
from limner.training.parses import ParseTable
from limner.training.preferences import VotedPictures, open_preferences
from limner.training.recipe import Recipe
from limner.training.references import encode_pictures
from limner.vision.base import ImageEncoder

_SAMPLE = 4096


@dataclass
class Session:
    """A resolved recipe and the objects that it names.

    Attributes:
        recipe: with the model's configuration in full.
        pictures: the training pictures.
        encoder: encodes the captions.
        model: freshly initialised, or with the weights of ``recipe.init``.
        fitted: whether the model's buffers came with those weights, so that ``prepare`` need not
            be called.
        inherited: ``source -> licence`` of what the models of ``recipe.init`` and
            ``recipe.autoencoder`` were trained on.
        image_encoder: encodes reference pictures, where the recipe has them.
        base: what the file of the model that it starts from says, if it starts from one.
        concepts: the index of what the model will know, where it adds to one that has an index.
        voted: pictures that were voted on, where the recipe names votes.
    """

    recipe: Recipe
    pictures: Pictures
    encoder: TextEncoder
    model: Model
    fitted: bool = False
    inherited: dict[str, str] = field(default_factory=dict)
    image_encoder: ImageEncoder | None = None
    base: ModelInfo | None = None
    concepts: ConceptIndex | None = None
    voted: VotedPictures | None = None

    @property
    def remembered(self) -> bool:
        """Whether the model that it starts from was trained on these very pictures."""
        return self.base is not None and self.base.trained_on(self.pictures.fingerprint)

    @property
    def adds(self) -> bool:
        """Whether the pictures become exemplars beside those of the model that it starts from."""
        return self.base is not None and _keeps_exemplars(self.base.config)

    @property
    def licences(self) -> dict[str, str]:
        """``source -> licence`` of the pictures and of what earlier models were trained on."""
        return {**self.inherited, **self.pictures.licences}

    @property
    def parameter_count(self) -> int:
        """Number of trainable parameters."""
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)


def open_session(recipe: Recipe) -> Session:
    """Open the data and the encoder, and build the model.

    Raises:
        RecipeError: anything the recipe names is missing or does not fit, naming the key.
    """
    train = recipe.train
    if train.minutes is None and train.steps is None:
        raise recipe.error("train", "give a budget, 'minutes' or 'steps'")
    set_threads(train.threads)
    pictures = open_pictures(recipe.data, recipe.source)
    with recipe.explained("text.encoder"):
        encoder = load_encoder(recipe.text.encoder)
    start = _start(recipe, encoder)
    latents = _latents(recipe, pictures.size)
    image_encoder = _image_encoder(recipe, start[1] if start else None)
    info, given = start[1] if start else None, dict[str, Any]()
    if latents:
        shape = of(latents[0]).config.model_dump(mode="json")
        given |= {"latents": shape} if "latents" in _latent_keys(recipe.family) else shape
    if image_encoder:
        given["fusion"] = {**_fusion(recipe, info), "image_dim": image_encoder.dim}
    if _keeps_exemplars({**(info.config if info else {}), **recipe.model}):
        pictures = _with_all_styles(recipe, pictures, info)
        given |= _exemplars(pictures, info)
    recipe = _resolved(recipe, pictures, encoder, info, given)
    torch.manual_seed(train.seed)
    try:
        model = build(recipe.family, recipe.model)
    except (ValueError, LimnerError) as error:
        raise recipe.error("model", error) from error
    fitted = _continue_from(model, start[0], recipe) if start else False
    inherited: dict[str, str] = {}
    if start:
        inherited |= start[1].licences
    if latents:
        of(model).load_state_dict(of(latents[0]).state_dict())
        inherited |= latents[1].licences
    model = _with_tuned_encoder(model, recipe, encoder)
    voted = open_preferences(recipe, model, encoder)
    return Session(
        recipe, pictures, encoder, model, fitted, inherited, image_encoder, info, voted=voted
    )


def _latents(recipe: Recipe, size: int) -> tuple[Model, ModelInfo] | None:
    """The trained model whose autoencoder gives the latents that the family generates."""
    if recipe.autoencoder is None:
        return None
    able = [name for name in families() if _latent_keys(name)]
    if recipe.family not in able:
        raise recipe.error(
            "autoencoder",
            f"the {recipe.family} family does not draw in latents; leave the key out, or use one "
            f"of: {', '.join(able)}",
        )
    with recipe.explained("autoencoder"):
        for key in sorted(_latent_keys(recipe.family) - {"size"}):
            if recipe.model.get(key) is not None:
                raise RecipeError(f"it decides model.{key}; leave that key out")
        model, info = load_model(find_model(recipe.autoencoder))
        own = of(model).config
        if own.size != size:
            raise RecipeError(
                f"{recipe.autoencoder} is of {own.size} px pictures, the data's are of {size} px; "
                f"train one at that size"
            )
    return model, info


def _latent_keys(family: str) -> set[str]:
    """The keys of a family's configuration that describe the autoencoder it draws in."""
    keys, own = {*families()[family].config_class.model_fields}, {*AutoencoderConfig.model_fields}
    return {"latents"} if "latents" in keys else own if own <= keys else set()


def _fusion(recipe: Recipe, info: ModelInfo | None) -> dict[str, Any]:
    fusion = recipe.model.get("fusion", info.config.get("fusion") if info else None)
    return dict(fusion) if isinstance(fusion, dict) else {}


def _image_encoder(recipe: Recipe, info: ModelInfo | None) -> ImageEncoder | None:
    """The encoder of reference pictures, which the model's fusion must take, and the reverse."""
    kind = _fusion(recipe, info).get("kind", "text")
    if recipe.image is None:
        if kind != "text":
            raise recipe.error(
                "model.fusion.kind",
                f"{kind!r} takes reference pictures; name their encoder under image.encoder, or "
                f"use kind 'text'",
            )
        return None
    if kind == "text":
        raise recipe.error(
            "image",
            "the model takes no reference pictures; set model.fusion.kind to concat, cross or "
            "joint, or leave 'image' out",
        )
    with recipe.explained("image.encoder"):
        encoder = load_image_encoder(recipe.image.encoder)
    if info and info.image_encoder_fingerprint not in {"", encoder.fingerprint}:
        raise recipe.error(
            "init",
            f"{recipe.init} was trained with the image encoder {info.image_encoder!r}, not with "
            f"{recipe.image.encoder!r}",
        )
    return encoder


def _with_tuned_encoder(model: Model, recipe: Recipe, encoder: TextEncoder) -> Model:
    """The model, together with its text encoder where the recipe tunes that."""
    section = recipe.text
    if section.tune == "frozen":
        return model
    with recipe.explained("text.tune"):
        if not model.reads_text:
            raise RecipeError(
                f"the {recipe.family} family does not use the text encoder's features, so it "
                f"cannot tune one; leave the key out"
            )
        text = TunedEncoder(hub_encoder(encoder), Tuning(kind=section.tune, rank=section.rank))
        if recipe.init and (learned := read_words(find_model(recipe.init))):
            text.take(learned, recipe.init)
    return tune(model, text, section.lr, section.max_tokens)


def _start(recipe: Recipe, encoder: TextEncoder) -> tuple[Model, ModelInfo] | None:
    if recipe.init is None:
        if recipe.init_parts:
            raise recipe.error("init_parts", "name the model file that they come from under 'init'")
        return None
    with recipe.explained("init"):
        model, info = load_model(find_model(recipe.init))
        problem = None
        if info.family != recipe.family:
            problem = f"is a {info.family} model, the recipe's family is {recipe.family}"
        elif info.tuning and recipe.text.tune == "frozen":
            problem = (
                f"has a text encoder tuned by {info.tuning.get('kind')}; give the same text.tune, "
                f"or start from nothing"
            )
        elif info.encoder_fingerprint != encoder.fingerprint and not info.tuning:
            problem = (
                f"was trained with the text encoder {info.encoder!r}, not with "
                f"{recipe.text.encoder!r}; start from nothing with init=null"
            )
        if problem:
            raise RecipeError(f"{recipe.init} {problem}")
    return model, info


def _resolved(
    recipe: Recipe,
    pictures: Pictures,
    encoder: TextEncoder,
    info: ModelInfo | None,
    given: dict[str, Any],
) -> Recipe:
    config: dict[str, Any] = {**(info.config if info else {}), **recipe.model}
    for key, value, reason in (
        ("size", pictures.size, "the data's size"),
        ("text_dim", encoder.dim, "the text encoder's width"),
    ):
        if key in recipe.model and recipe.model[key] != value:
            problem = f"{recipe.model[key]!r} is not {reason}, {value}; leave the key out"
            raise recipe.error(f"model.{key}", problem)
        config[key] = value
    config["styles"] = recipe.model.get("styles", pictures.styles)
    kind = families()[recipe.family].config_class
    if "languages" in kind.model_fields:
        config.setdefault("languages", pictures.captions.languages)
    config |= given
    try:
        full = kind.model_validate(config).model_dump(mode="json")
    except ValidationError as error:
        reason = explain(error, kind, "model.")
        if error.errors()[0]["loc"] == ("size",) and "size" not in recipe.model:
            reason = (
                f"data.store: the {recipe.family} family has no model for the pictures' size "
                f"({reason}); set data.size to a size that fits and divides {pictures.size}, or "
                f"pack them again"
            )
        raise RecipeError(f"{recipe.source}: {reason}") from error
    return recipe.model_copy(update={"model": full})


def _with_all_styles(recipe: Recipe, pictures: Pictures, info: ModelInfo | None) -> Pictures:
    """The pictures by styles that begin with those of the model they are added to.

    Pictures without a style get the name of their store for one, by which they can be asked for.
    """
    data = recipe.data
    if info and _keeps_exemplars(info.config) and info.config["size"] != pictures.size:
        side = info.config["size"]
        raise recipe.error(
            "data.store",
            f"the pictures are {pictures.size} pixels wide, and {recipe.init} draws {side}; pack "
            f"them again with --size {side}",
        )
    if data.holdout.share or data.flip or data.augment.active:
        raise recipe.error(
            "model.prior_kind",
            "exemplars are the training pictures as they are; set data.holdout.share=0, "
            "data.flip=false and leave data.augment out",
        )
    own = np.array([*pictures.styles, *(store.name for store in pictures.stores)])
    ids = np.where(
        pictures.style_ids < 0, len(pictures.styles) + pictures.owner, pictures.style_ids
    )
    named = own[ids]
    before = info.config.get("styles", ()) if info else ()
    styles = tuple(dict.fromkeys([*before, *pictures.styles, *sorted({*named.tolist()})]))
    places = {name: place for place, name in enumerate(styles)}
    return replace(
        pictures, styles=styles, style_ids=np.array([places[name] for name in named], np.int64)
    )


def _keeps_exemplars(config: dict[str, Any]) -> bool:
    return config.get("prior_kind") == "exemplars"


def _exemplars(pictures: Pictures, info: ModelInfo | None) -> dict[str, Any]:
    """How many exemplars and texts the model keeps, with those of the model before."""
    old = info.config if info else {}
    exemplars, texts = old.get("exemplars", 0), old.get("exemplar_texts", 0)
    if info is None or not info.trained_on(pictures.fingerprint):
        exemplars += len(pictures)
        texts += len(set(pictures.captions.heaviest().tolist()))
    return {"exemplars": exemplars, "exemplar_texts": texts}


def index_of_additions(session: Session) -> ConceptIndex | None:
    """The index of the model that a session adds pictures to, with those pictures' names."""
    recipe, pictures = session.recipe, session.pictures
    if not session.adds or recipe.init is None:
        return None
    index = read_concepts(find_model(recipe.init))
    if index is None or session.remembered:
        return index
    for store in pictures.stores:
        index = extend_index(
            index, store, session.encoder, styles=pictures.styles, filters=recipe.data.filters
        )
    return index


def _continue_from(model: Model, other: Model, recipe: Recipe) -> bool:
    """Copy every weight that fits; whether all buffers were among them."""
    mine, theirs = model.state_dict(), model.state_from(other)
    fits = {n: v for n, v in theirs.items() if n in mine and mine[n].shape == v.shape}
    if not fits:
        raise recipe.error("init", f"no weight of {recipe.init} fits the model")
    chosen = dict[str, Tensor]()
    for part in recipe.init_parts:
        found = {n: v for n, v in fits.items() if f"{n}.".startswith(f"{part}.")}
        if not found:
            known = ", ".join(dict.fromkeys(name.partition(".")[0] for name in fits))
            raise recipe.error(
                "init_parts",
                f"{part!r} names no weight of {recipe.init} that fits the model; there is: {known}",
            )
        chosen |= found
    fits = chosen or fits
    model.load_state_dict(fits, strict=False)
    return all(name in fits for name, _ in model.named_buffers() if name in mine)


def encode_captions(session: Session, on_progress: Progress | None = None) -> FeatureTable:
    """Features of every caption, each encoded once, through the encoder's cache.

    Where the text encoder is tuned and encodes the captions anew in every step, the table holds no
    features, unless the recipe needs them beforehand. ``on_progress`` gets (done, total).
    """
    texts = session.pictures.captions.texts
    if isinstance(session.model, TunedModel) and not session.recipe.data.disambiguate:
        places = torch.ones(len(texts), 1, dtype=torch.int32)
        return FeatureTable(torch.zeros(2, session.encoder.dim), places, places[:, 0])
    most = session.recipe.text.max_tokens
    return encode_table(session.encoder, texts, max_tokens=most, on_progress=on_progress)


def disambiguate_captions(session: Session, table: FeatureTable) -> None:
    """Reweight the captions that several concepts share, where the recipe asks for it.

    Raises:
        RecipeError: the pictures have no concepts.
    """
    recipe, pictures = session.recipe, session.pictures
    if not recipe.data.disambiguate:
        return
    concepts = pictures.concepts()
    if not any(concepts):
        problem = "no picture has a 'concept' in its metadata; leave the key out"
        raise recipe.error("data.disambiguate", problem)
    pooled = table.vectors[table.pooled.long()]
    captions = disambiguate(pictures.captions, concepts, pooled, recipe.data.disambiguate)
    session.pictures = replace(pictures, captions=captions)


def parse_scenes(session: Session) -> None:
    """Label the pieces of the captions, where the family is trained on such labels.

    Raises:
        RecipeError: no picture is a scene, or the text encoder does not cut texts into pieces.
    """
    recipe, pictures = session.recipe, session.pictures
    if not session.model.reads_scenes:
        return
    encoder = uncached(session.encoder)
    if not isinstance(encoder, PieceEncoder):
        raise recipe.error(
            "text.encoder",
            f"the {recipe.family} family is trained on labels of the pieces of a caption, and "
            f"{recipe.text.encoder!r} has no pieces; leave the key out",
        )
    facts = list(pictures.metadata())
    if not any("items" in each for each in facts):
        problem = "no picture is a scene; make some with 'limner data scenes'"
        raise recipe.error("data.store", problem)
    table = ParseTable(facts, pictures.captions.texts, encoder.pieces, recipe.text.max_tokens)
    session.pictures = replace(pictures, parses=table)


def caption_sample(session: Session, table: FeatureTable) -> TextFeatures:
    """Features of up to 4096 of the captions, chosen by the recipe's seed."""
    philox = np.random.Philox(key=[session.recipe.train.seed, 0], counter=[0, 0, 0, 2])
    count = min(_SAMPLE, len(table))
    chosen = np.sort(np.random.Generator(philox).permutation(len(table))[:count])
    if isinstance(session.model, TunedModel):
        texts = [session.pictures.captions.texts[i] for i in chosen.tolist()]
        most = session.recipe.text.max_tokens
        return encode_table(session.encoder, texts, max_tokens=most)[:]
    return table[torch.from_numpy(chosen)]


def encode_references(session: Session, on_progress: Progress | None = None) -> None:
    """Encode every picture once as a reference of others, where the recipe asks for it.

    Raises:
        RecipeError: references go by concept and no picture has one.
    """
    recipe, pictures, encoder = session.recipe, session.pictures, session.image_encoder
    if recipe.image is None or encoder is None:
        return
    if recipe.image.reference == "concept" and not any(pictures.concepts()):
        problem = "no picture has a 'concept' in its metadata; say self or random"
        raise recipe.error("image.reference", problem)
    most = session.model.config.fusion.max_tokens
    found = encode_pictures(pictures, encoder, recipe.image.reference, most, on_progress)
    session.pictures = replace(pictures, references=found)


def describe(session: Session) -> dict[str, Any]:
    """The entries of a model file's ``data``."""
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
