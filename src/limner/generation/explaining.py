"""Why a picture shows what it does: what each word of the prompt did, and what it resembles.

Each word has a map: how much it has to do with each pixel. Where it comes from depends on how the
picture was drawn (:class:`MapSource`). Each word is also left out, and the same seed drawn again:
what then changes, the word has caused.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from limner.data.store import Store
from limner.errors import UsageError
from limner.generation.copies import COPY_DISTANCE
from limner.generation.drawn_from import Grounding
from limner.generation.placed import Placed
from limner.generation.prompts import PromptWarning
from limner.metrics.memorisation import mosaic, nearest_pictures
from limner.models.base import Capability
from limner.text.segment import pieces
from limner.text.word_spans import WordSpan, word_spans, words_in
from limner.vision.aligner import Aligner
from limner.vision.pixels import to_images, to_tensor

if TYPE_CHECKING:
    from limner.generation.generator import DrawRequest, Generator, Job, Picture

MOST_WORDS = 32
"""Each is left out once, and the picture drawn again."""
NEAREST = 4
"""Captions of each phrase and training pictures that are named."""
_CANDIDATES = 24
"""Training pictures of a thing that are compared with it."""
_LEAST_CHANGE = 1e-9
_LEFT_BEHIND = re.compile(r"\s+(?=[,.;:!?])|(?<=\s)\s+")
Floats = NDArray[np.float32]


class MapSource(StrEnum):
    """Where the maps of words come from."""

    PLAN = "plan"
    """The visible pixels of the drawings that a word stands for."""
    ATTENTION = "attention"
    """Projected attention outputs of the network."""
    GRADIENT = "gradient"
    """Gradients of the pixels by the word's vectors."""
    LEAVING_OUT = "leaving out"
    """What changes in the picture without the word."""


@dataclass(frozen=True, eq=False)
class ExplainedWord:
    """A word of a prompt and what it did.

    Attributes:
        text: the word.
        start: where it begins in the prompt, in characters.
        end: where it ends.
        map: ``(H, W)`` float32 in [0, 1], of the picture's size: how much the word has to do with
            each pixel, the most 1; all 0 where it changes nothing.
        without: the picture of the prompt without the word, by the same seed and in the same style;
            None where nothing else is left, or what is left is refused.
        change: mean absolute difference of the channels of both pictures, in [0, 1]; None where
            there is no other.
        score_change: how much better the picture without the word matches the whole prompt, as a
            difference of cosines; None where it was not scored.
        drawn: what the thing of the word was drawn from; None where that is not known.
    """

    text: str
    start: int
    end: int
    map: Floats
    without: Picture | None = None
    change: float | None = None
    score_change: float | None = None
    drawn: Grounding | None = None

    @property
    def changes_nothing(self) -> bool:
        """Whether the picture without the word has the same pixels."""
        return self.change is not None and self.change <= _LEAST_CHANGE


class NearCaption(NamedTuple):
    """A caption that the model knows, near to a phrase of a prompt; one less its similarity."""

    phrase: str
    caption: str
    distance: float


@dataclass(frozen=True, eq=False)
class NearPicture:
    """A training picture near to a thing of a picture, or to all of it.

    Attributes:
        image: RGB.
        shows: the phrase whose thing it is near to; the prompt for the whole picture.
        style: the set or style that it is of; None where it has none.
        licence: of that; None where it is not known.
        distance: root mean square difference of the mean colours of 16 x 16 fields, in units of the
            range [-1, 1].
    """

    image: Image.Image
    shows: str
    style: str | None
    licence: str | None
    distance: float

    @property
    def copied(self) -> bool:
        """Whether what was drawn counts as a copy of it."""
        return self.distance < COPY_DISTANCE


@dataclass(frozen=True, eq=False)
class Explanation:
    """What the words of a prompt did to its picture.

    Attributes:
        picture: that is explained.
        source: where the maps come from.
        words: of the prompt, in its order.
        score: cosine of picture and prompt; None where it was not scored.
        captions: the nearest captions that the model knows of each phrase, the nearest first; empty
            where it has no index of them.
        pictures: the nearest training pictures, the nearest of each thing first; empty where the
            model keeps none and no store was given.
    """

    picture: Picture
    source: MapSource
    words: tuple[ExplainedWord, ...]
    score: float | None = None
    captions: tuple[NearCaption, ...] = ()
    pictures: tuple[NearPicture, ...] = ()


def explain(
    generator: Generator,
    request: DrawRequest,
    *,
    aligner: Aligner | None = None,
    store: Store | None = None,
) -> Explanation:
    """Draw a request and explain its picture; see :meth:`Generator.explain`."""
    if request.edits or request.masked is not None or request.source is not None:
        raise UsageError("a picture that was changed is not explained; explain one of a prompt")
    if Capability.EXPLAIN not in generator.model.capabilities:
        raise generator.model.cannot(Capability.EXPLAIN)
    words = word_spans(request.prompt)
    if len(words) > MOST_WORDS:
        raise UsageError(
            f"the prompt has {len(words)} words, and at most {MOST_WORDS} are explained; shorten it"
        )
    (job,) = generator.jobs([request])
    if isinstance(job, Exception):
        raise job
    session = generator.session()
    session.add(job.drawing)
    while not session.idle:
        session.advance()
    picture = generator.finished(job)
    settings = picture.settings.model_copy(update={"reference": None})
    without = _without_each(generator, replace(request, settings=settings), words)
    changes = {number: changed_pixels(picture, each) for number, each in without.items()}
    source, maps, drawn = _maps(generator, job, picture, words, changes)
    nothing = np.zeros(on_white(picture.image).shape[:2], np.float32)
    score, scores = None, dict[int, float]()
    if aligner is not None:
        score, scores = _scored(aligner, picture, without)
    explained = tuple(
        ExplainedWord(
            *word, map=_shown(found if found is not None else nothing, changes.get(number)), without=without.get(number),
            change=float(changes[number].mean()) if number in changes else None,
            score_change=scores.get(number), drawn=drawn.get(number),
        )
        for number, (word, found) in enumerate(zip(words, maps, strict=True))
    )  # fmt: skip
    return Explanation(
        picture, source, explained, score, tuple(_captions(generator, picture)),
        tuple(_pictures(generator, job, picture, store)),
    )  # fmt: skip


def on_white(image: Image.Image) -> Floats:
    """A picture, ``(H, W, 3)`` in [0, 1]; what is transparent is white."""
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"), np.float32) / np.float32(255)


def changed_pixels(picture: Picture, other: Picture) -> Floats:
    """Mean absolute difference of the channels of two pictures at each pixel, ``(H, W)``."""
    difference: Floats = np.abs(on_white(picture.image) - on_white(other.image)).mean(-1)
    return difference


def without_word(prompt: str, word: WordSpan) -> str:
    """A prompt without one of its words; empty where no other is left."""
    rest = f"{prompt[: word.start]} {prompt[word.end :]}"
    if not (prompt[: word.start][-1:].isspace() or prompt[word.end :][:1].isspace()):
        rest = prompt[: word.start] + prompt[word.end :]  # scripts without spaces, joined words
    rest = _LEFT_BEHIND.sub("", rest).strip(" ,;、，")
    return rest if word_spans(rest) else ""


def _without_each(
    generator: Generator, request: DrawRequest, words: Sequence[WordSpan]
) -> dict[int, Picture]:
    """The picture without each word, by its number."""
    prompts = {number: without_word(request.prompt, word) for number, word in enumerate(words)}
    numbers = [number for number, prompt in prompts.items() if prompt]
    requests = [replace(request, prompt=prompts[number]) for number in numbers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PromptWarning)  # they are not what was asked for
        drawn = list(generator.draw(requests, on_refused=lambda _: None))
    return {numbers[each.index]: each for each in drawn}


def _maps(
    generator: Generator,
    job: Job,
    picture: Picture,
    words: Sequence[WordSpan],
    changes: Mapping[int, Floats],
) -> tuple[MapSource, list[Floats | None], dict[int, Grounding]]:
    """Where the maps come from, that of each word, and what each was drawn from."""
    placed, request = job.placed, job.request
    if placed is None and generator.model.draws_training_pictures:
        pixels = [np.asarray(picture.image.convert("RGB"))]
        placed = Placed(pixels=pixels)
    if placed is not None:
        phrases = [each.phrase for each in job.drawn_from] or placed.words or [request.prompt]
        owners = things_of(request.prompt, words, phrases[: len(placed.pixels)])
        masks = placed.masks(picture.image.width)
        behind = None if placed.on_white else 1 - np.sum(masks, 0)
        maps = [
            np.max([masks[thing] for thing in owned], 0) if owned
            else changes.get(number) if behind is None else behind
            for number, owned in enumerate(owners)
        ]  # fmt: skip
        drawn = {
            number: job.drawn_from[owned[0]]
            for number, owned in enumerate(owners)
            if len(owned) == 1 and owned[0] < len(job.drawn_from)
        }
        return MapSource.PLAN, maps, drawn
    conditions = generator.conditions(request)
    drawn = {
        number: each
        for each in job.drawn_from
        for number in (words_in(each.phrase, words) or [[]])[0]
    }
    if not conditions.text.pieces:
        return MapSource.LEAVING_OUT, [changes.get(n) for n in range(len(words))], drawn
    side = generator.model.config.size
    shown = picture.image.convert("RGB")
    if shown.width != side:
        shown = shown.resize((side, side), Image.Resampling.BOX)
    tokens = generator.model.token_maps(conditions, to_tensor(np.asarray(shown)[None]))[0]
    maps_of = word_maps(tokens.float().cpu(), conditions.text.pieces[0], words)
    sized = [_resized(each.numpy(), picture.image.width) for each in maps_of]
    attends = generator.model.attends
    return MapSource.ATTENTION if attends else MapSource.GRADIENT, [*sized], drawn


def word_maps(
    tokens: torch.Tensor, parts: Sequence[str], words: Sequence[WordSpan]
) -> list[torch.Tensor]:
    """The maps of words from those of the pieces that stand in a prompt, ``(h, w)`` each.

    A word has the sum of the maps of all pieces that it is in, but of the whole prompt's; each map
    is divided by the number of its words.

    Args:
        tokens: maps of the pieces, ``(L, h, w)``.
        parts: the pieces, the whole prompt first.
        words: of the prompt.
    """
    maps = [torch.zeros(tokens.shape[1:]) for _ in words]
    for number, part in enumerate(parts):
        if number == 0 and len(parts) > 1:
            continue
        for place in words_in(part, words):
            for word in place:
                maps[word] += tokens[number] / len(place)
    return maps


def things_of(
    prompt: str, words: Sequence[WordSpan], phrases: Sequence[str]
) -> list[tuple[int, ...]]:
    """Which things each word of a prompt stands for, by their numbers.

    A thing's own words are found in the prompt; other words of the same phrase, such as colours,
    go with it, and those between two things, such as relations, with both.

    Args:
        prompt: as it was given.
        words: its words.
        phrases: what each thing is called in the prompt.
    """
    owners: list[set[int]] = [set() for _ in words]
    used: dict[str, int] = {}
    for thing, phrase in enumerate(phrases):
        content = [each.text for each in pieces(phrase) if each.kind == "word"] or [phrase]
        for each in content:
            places = words_in(each, words)
            turn = used.get(each, 0)
            used[each] = turn + 1
            for word in places[min(turn, len(places) - 1)] if places else ():
                owners[word].add(thing)
    for piece in pieces(prompt)[1:]:
        for place in words_in(piece.text, words) if piece.kind == "phrase" else ():
            mine = set().union(*(owners[word] for word in place))
            for word in place:
                owners[word] = owners[word] or mine
    owned = [number for number, each in enumerate(owners) if each]
    for before, behind in zip(owned, owned[1:], strict=False):
        for word in range(before + 1, behind):
            owners[word] = owners[before] | owners[behind]
    return [tuple(sorted(each)) for each in owners]


def _resized(values: Floats, side: int) -> Floats:
    """A map at the size of the picture, bilinear."""
    image = Image.fromarray(values.astype(np.float32))
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))


def _shown(values: Floats, change: Floats | None) -> Floats:
    """A map in [0, 1], whose greatest value is 1; all 0 for a word that changes nothing."""
    most = float(values.max())
    nothing = most <= 0 or (change is not None and float(change.mean()) <= _LEAST_CHANGE)
    return np.zeros_like(values) if nothing else (values / most).clip(0, 1).astype(np.float32)


def _scored(
    aligner: Aligner, picture: Picture, without: Mapping[int, Picture]
) -> tuple[float, dict[int, float]]:
    """The cosine of picture and prompt, and how it changes without each word."""
    text = aligner.encode_texts([picture.prompt])[0]
    images = [picture, *without.values()]
    pixels = [(on_white(each.image) * 255).round().astype(np.uint8) for each in images]
    found = (aligner.encode_images(to_tensor(np.stack(pixels))) @ text).tolist()
    changes = {number: each - found[0] for number, each in zip(without, found[1:], strict=True)}
    return float(found[0]), changes


def _captions(generator: Generator, picture: Picture) -> list[NearCaption]:
    """The captions that the model knows nearest to what its things are called."""
    index = generator.concepts
    if index is None:
        return []
    phrases = list(dict.fromkeys(each.phrase for each in picture.drawn_from)) or [picture.prompt]
    vectors = generator.encoder.encode(phrases).pooled
    return [
        NearCaption(phrase, each.caption, round(max(0.0, 1 - each.similarity), 4))
        for phrase, found in zip(phrases, index.nearest(vectors, NEAREST), strict=True)
        for each in found
    ]


def _pictures(
    generator: Generator, job: Job, picture: Picture, store: Store | None
) -> list[NearPicture]:
    """The training pictures nearest to each thing, or those of a store nearest to the picture."""
    if store is not None:
        return _of_store(generator, picture, store)
    if not generator.model.draws_training_pictures:
        return []
    things = [np.asarray(picture.image.convert("RGB"))]
    if job.placed is not None and job.placed.pixels:
        things = list(job.placed.pixels)
    found: list[NearPicture] = []
    for thing, each in zip(things, job.drawn_from, strict=False):
        text = generator.encoder.encode([each.drawn])
        kept, styles = generator.model.exemplars_of(text, _CANDIDATES)
        if not len(kept):
            continue
        far = (mosaic(kept) - mosaic(to_tensor(thing[None]))).square().mean(1).sqrt()
        for row in far.argsort(stable=True)[:NEAREST].tolist():
            style = generator.styles[styles[row]] if styles[row] >= 0 else None
            found.append(
                NearPicture(
                    to_images(kept[[row]].clamp(-1, 1))[0], each.phrase, style,
                    style and generator.info.licence_of(style), round(float(far[row]), 4),
                )
            )  # fmt: skip
    return found


def _of_store(generator: Generator, picture: Picture, store: Store) -> list[NearPicture]:
    """The pictures of a store that are nearest to one."""
    pixels = (on_white(picture.image) * 255).round().astype(np.uint8)
    query, seen, found = mosaic(to_tensor(pixels[None])), list[int](), list[NearPicture]()
    for _ in range(min(NEAREST, len(store))):
        near = nearest_pictures(
            query, store, lambda rows: torch.from_numpy(np.isin(rows, seen))[None]
        )
        row = int(near.row[0])
        seen.append(row)
        style = store.metadata(row).get("style")
        found.append(
            NearPicture(
                Image.fromarray(np.asarray(store.images[row])), picture.prompt, style,
                style and generator.info.licence_of(style), round(float(near.distance[0]), 4),
            )
        )  # fmt: skip
    return found
