"""Which names a model knows: the index of concepts of the store that it was trained on."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from limner.data.selection import Selection
from limner.data.store import Store
from limner.models.concepts import ConceptIndex, fitted_whitening
from limner.text.base import TextEncoder
from limner.text.names import bare, name_key
from limner.text.request_words import subject

NAME_WEIGHT = 0.25
"""From this weight on a caption is a name of what it shows, in languages that give it vectors."""
SPELLED_WEIGHT = 0.1
"""The same for names in other languages, which are found by their spelling."""
KEYWORD_WEIGHT = 0.03
"""From this weight on a caption says so much of what is shown that it names nothing else."""
LANGUAGES = ("en", "zh", "es", "fr", "de", "it", "pt", "ru", "ja", "ko", "hi")
"""Names in these languages have vectors; the first is that of captions."""
RELATED = 0.35
"""From this cosine of a name and its concept's caption on, one means the other."""
TELLING = 0.9
"""A keyword is a name where its weight, the pictures and the cosine come to so much."""
MOST_INSTANCES = 2000
"""A concept that stands for more things than this stands for none: any *person*."""
_AT_ONCE = 64
_LOOKS, _WHITE, _COLOURLESS, _MOSTLY = 256, 240, 20, 5 / 6
"""Pictures of a style that are looked at, what is no ink, the least spread of its channels in a
picture with colours, and the share of those in a style of them."""
_ONE_HUE = 0.9
"""From this mean resultant length on (Mardia and Jupp 2000, section 2.2) the hues of a style's ink
are one: a set that is all blue. Sets of many colours have 0.2 to 0.6."""


@dataclass
class _Concept:
    """What the pictures of a concept say of it."""

    caption: str
    pictures: int = 0
    styles: set[str] = field(default_factory=set)
    names: dict[tuple[str, str], float] = field(default_factory=dict)
    instances: tuple[str, ...] = ()


class _Name(NamedTuple):
    """A name of a concept, in a language, and how much its pictures say it."""

    concept: int
    language: str
    text: str
    weight: float


def index_concepts(
    store: Store,
    encoder: TextEncoder,
    *,
    filters: dict[str, list[str]] | None = None,
    languages: Sequence[str] = LANGUAGES,
    styles: Sequence[str] | None = None,
    keys: Collection[str] | None = None,
) -> ConceptIndex:
    """The index of the concepts that the pictures of a store show.

    A concept is the ``concept`` in the pictures' metadata, and its caption their ``label``; where
    there are none, it is the heaviest caption. A name that several concepts have is that of the
    one whose caption it is, else of the one that it says more of in more pictures. Where no style
    is asked for, a thing is drawn in one of the coloured styles that it has pictures in.

    Args:
        store: that the model was trained on.
        encoder: of the model.
        filters: of the training, see :class:`limner.data.selection.Selection`.
        languages: whose names have vectors; names in others are found by their spelling.
        styles: of the model, in its order; those of the store for None.
        keys: the concepts that count; None for all.
    """
    gathered = _gather(
        store, encoder, filters=filters, languages=languages, styles=styles, keys=keys
    )
    order, in_colour = _order(store, styles), _coloured(store)
    coloured = torch.tensor([style in in_colour for style in order]) if order else None
    return ConceptIndex.fit(**gathered, coloured=coloured)


def extend_index(
    index: ConceptIndex,
    store: Store,
    encoder: TextEncoder,
    *,
    styles: Sequence[str],
    filters: dict[str, list[str]] | None = None,
) -> ConceptIndex:
    """The index with the concepts of a store that a model has learned as well.

    Args:
        index: of the model before.
        store: the pictures that were added.
        encoder: of the model.
        styles: of the model, in its order; those of the index come first. Pictures without a style
            are in the one named like the store.
        filters: of the training.
    """
    gathered = _gather(store, encoder, filters=filters, styles=styles)
    return index.extended(**gathered, coloured=torch.ones(len(styles), dtype=torch.bool))


def _order(store: Store, styles: Sequence[str] | None) -> tuple[str, ...]:
    """The styles of a model; those of the store where none are given."""
    return tuple(store.styles if styles is None else styles)


def _gather(
    store: Store,
    encoder: TextEncoder,
    *,
    filters: dict[str, list[str]] | None,
    styles: Sequence[str] | None,
    languages: Sequence[str] = LANGUAGES,
    keys: Collection[str] | None = None,
) -> dict[str, Any]:
    """The concepts of a store as :meth:`ConceptIndex.fit` takes them, without ``coloured``."""
    unstyled = store.name if styles is not None and store.name in styles else None
    found = _read(store, Selection(filters or {}), unstyled)
    kept = [each for key, each in found.items() if keys is None or key in keys]
    # Of things that are equally near, that of more pictures is meant.
    concepts = sorted(kept, key=lambda each: -each.pictures)
    captions = [each.caption for each in concepts]
    said = [name for number, each in enumerate(concepts) for name in _names(number, each)]
    spoken = [name for name in said if name.language in languages]
    rows = {text: row for row, text in enumerate(dict.fromkeys(
        [*captions, *(name.text for name in spoken)]
    ))}  # fmt: skip
    vectors = _encode(encoder, list(rows))
    pairs = [(rows[name.text], rows[captions[name.concept]]) for name in spoken]
    near = dict(zip(spoken, _cosines(vectors, pairs), strict=True))
    chosen = _choose(said, near, concepts, languages[0])
    names = dict.fromkeys(enumerate(captions))
    names |= dict.fromkeys((n.concept, n.text) for n in chosen if n.language in languages)
    known = {name_key(text) for _, text in names}
    spelled = _new([(n.text, n.concept) for n in chosen if n.language not in languages], known)
    known |= {name_key(text) for each in concepts for (_, text), weight in each.names.items()
              if weight >= KEYWORD_WEIGHT}  # fmt: skip
    instances = _new(
        [
            (text, number)
            for number, each in enumerate(concepts)
            if len(each.instances) <= MOST_INSTANCES
            for text in each.instances
        ],
        known,
    )
    order = _order(store, styles)
    return {
        "captions": captions,
        "names": [text for _, text in names],
        "concepts": [number for number, _ in names],
        "vectors": vectors[[rows[text] for _, text in names]],
        "spelled": spelled,
        "instances": instances,
        "styles": torch.tensor([[style in each.styles for style in order] for each in concepts])
        if order
        else None,
    }


def _read(store: Store, selection: Selection, unstyled: str | None) -> dict[str, _Concept]:
    """The concepts that pictures show; those without a style may have a name for one."""
    found: dict[str, _Concept] = {}
    for picture in range(len(store)):
        facts, captions = store.metadata(picture), store.captions(picture)
        if not captions or not selection.accepts(facts):
            continue
        heaviest = max(captions, key=lambda caption: caption.weight).text
        caption = str(facts.get("label") or heaviest)
        key = str(facts.get("concept") or caption)
        listed = facts.get("instances", ())
        concept = found.setdefault(key, _Concept(caption, instances=tuple(map(str, listed))))
        concept.pictures += 1
        if (style := int(store.style_ids[picture])) >= 0:
            concept.styles.add(store.styles[style])
        elif unstyled is not None:
            concept.styles.add(unstyled)
        for each in captions:
            name = each.lang, each.text
            concept.names[name] = max(each.weight, concept.names.get(name, 0.0))
    return found


def _coloured(store: Store) -> set[str]:
    """The styles of which five pictures in six have colours, and not one alone, by 256 of each.

    Others are drawn where they are asked for, or where nothing else is known.
    """
    found = set()
    for style in range(len(store.styles)):
        rows = np.flatnonzero(store.style_ids == style)
        rows = rows[:: max(1, math.ceil(len(rows) / _LOOKS))]
        if len(rows):
            pixels = store.batch(rows).astype(np.int16)  # (B, S, S, 3)
            ink = pixels.min(3) < _WHITE
            spread = (pixels.max(3) - pixels.min(3)) * ink
            coloured = spread.sum((1, 2)) > _COLOURLESS * ink.sum((1, 2))
            if coloured.mean() >= _MOSTLY and _hue_concentration(pixels, ink) < _ONE_HUE:
                found.add(store.styles[style])
    return found


def _hue_concentration(pixels: NDArray[np.int16], ink: NDArray[np.bool_]) -> float:
    """Mean resultant length of the hues of all ink, weighted by chroma, in [0, 1].

    Args:
        pixels: ``(B, S, S, 3)`` in [0, 255].
        ink: ``(B, S, S)``.
    """
    red, green, blue = pixels[ink].astype(np.float64).T
    hues = red - (green + blue) / 2 + 1j * (green - blue) * (math.sqrt(3) / 2)
    return float(abs(hues.sum()) / max(np.abs(hues).sum(), 1e-9))


def _names(number: int, concept: _Concept) -> Iterator[_Name]:
    """The names of a concept, without phrases around other names of it."""
    keys = {name_key(text) for _, text in concept.names}
    for (language, text), weight in concept.names.items():
        least = NAME_WEIGHT if language in LANGUAGES else SPELLED_WEIGHT
        short = name_key(bare(subject(text)))
        if weight >= least and (short == name_key(text) or short not in keys):
            yield _Name(number, language, text, weight)


def _choose(
    said: Sequence[_Name], near: dict[_Name, float], concepts: Sequence[_Concept], own: str
) -> list[_Name]:
    """One concept for each name, without what is a mere keyword: *knight* of a fleur-de-lis.

    Args:
        said: all names.
        near: of names with vectors, the cosine with their concept's caption.
        concepts: that are named.
        own: the language of captions; names in others are translations.
    """
    best: dict[str, tuple[float, _Name]] = {}
    for name in said:
        cosine = near.get(name, RELATED)
        pictures = 1 + math.log2(concepts[name.concept].pictures)
        score = name.weight * pictures * (0.3 + max(0.0, cosine))
        key = name_key(name.text)
        if key == name_key(concepts[name.concept].caption):
            score = math.inf
        elif name.language == own and cosine < RELATED and score < TELLING:
            continue
        if key and (key not in best or score > best[key][0]):
            best[key] = score, name
    return [name for _, name in best.values()]


def _new(names: Sequence[tuple[str, int]], known: set[str]) -> list[tuple[str, int]]:
    """Those whose keys are not known yet, each once; they are known from then on."""
    found = []
    for text, number in names:
        if (key := name_key(text)) and key not in known:
            known.add(key)
            found.append((key, number))
    return found


def _cosines(vectors: Tensor, pairs: Sequence[tuple[int, int]]) -> list[float]:
    """Cosines between pairs of rows, whitened."""
    units = F.normalize(fitted_whitening(vectors, 128)(vectors), dim=1)
    first, second = torch.tensor(pairs).reshape(-1, 2).unbind(1)
    found: list[float] = (units[first] * units[second]).sum(1).tolist()
    return found


def _encode(encoder: TextEncoder, texts: Sequence[str]) -> Tensor:
    """Sentence vectors, ``(N, D)``."""
    starts = range(0, len(texts), _AT_ONCE)
    return torch.cat([encoder.encode(texts[at : at + _AT_ONCE]).pooled for at in starts])
