"""Explaining a picture: the effect of each word of the prompt, and the nearest training data.

Each word has a heat map over the pixels, whose kind depends on how the picture was drawn
(:class:`MapSource`). The prompt is also drawn without each word, with the same seed; the difference
is the effect of the word.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from limner.arrays import Floats
from limner.data.store import Store
from limner.errors import UsageError
from limner.generation.copies import COPY_DISTANCE
from limner.generation.drawn_from import Grounding
from limner.generation.glossed_prompts import WordsRead, still_read, words_read
from limner.generation.placed import Placed
from limner.generation.prompts import PromptWarning
from limner.metrics.memorisation import mosaic, nearest_pictures
from limner.models.settings import Capability
from limner.text.segment import pieces
from limner.text.word_spans import WordSpan, word_spans, words_in
from limner.vision.aligner import Aligner
from limner.vision.images import on_white
from limner.vision.pixels import to_images, to_tensor

if TYPE_CHECKING:
    from limner.generation.generator import Generator
    from limner.generation.picture import Picture
    from limner.generation.request_reader import Job
    from limner.generation.requests import DrawRequest

MOST_WORDS = 32
"""Most words of a prompt; each needs one more drawing."""
NEAREST = 4
"""Captions per phrase, and training pictures, that are reported."""
_CANDIDATES = 12
"""Training pictures of a thing to compare with."""
_ANYTHING = "a picture"
_LEAST_CHANGE = 1e-9
_BARE_ARTICLE = re.compile(
    r"(?:^|(?<=\sand\s))(?:an?|the)\s+and\s+(?=(?:an?|the|\d+|two|three)\s)|"
    r"\s+and\s+(?:an?|the)\s*$",
    re.IGNORECASE,
)
"""*A … and* after the noun between them was removed, as in *a (cat) and a dog*."""
_LEFT_BEHIND = re.compile(r"\s+(?=[,.;:!?])|(?<=\s)\s+")


class MapSource(StrEnum):
    """The kinds of heat maps."""

    PLAN = "plan"
    """The visible pixels of the things that a word refers to."""
    INFORMATION = "information"
    """How much better the network predicts each place with the word than without."""
    ATTENTION = "attention"
    """Projected attention outputs of the network."""
    GRADIENT = "gradient"
    """Gradients of the pixels with respect to the word's vectors."""
    CHANGE = "change"
    """Differences from the picture drawn without the word."""


@dataclass(frozen=True, eq=False)
class ExplainedWord:
    """A word of a prompt and its effect.

    Attributes:
        text: the word.
        start: index of its first character in the prompt.
        end: index after its last character.
        map: ``(H, W)`` float32 in [0, 1], at the picture's size, with maximum 1; all 0 if the word
            has no effect.
        without: the picture of the prompt without the word, with the same seed and style; None if
            no word is left, or the rest is refused.
        change: mean absolute difference of the two pictures over pixels and channels, in [0, 1];
            None without such a picture.
        score_change: cosine similarity of the whole prompt with the picture without the word, minus
            that with the picture; None if they were not scored.
        drawn: what the thing of the word was drawn from; None if unknown.
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
        """Whether the picture without the word is identical."""
        return self.change is not None and self.change <= _LEAST_CHANGE


class NearCaption(NamedTuple):
    """A caption that the model knows, near to a phrase of a prompt."""

    phrase: str
    caption: str
    distance: float


@dataclass(frozen=True, eq=False)
class NearPicture:
    """A training picture near to a thing of a picture, or to the whole picture.

    Attributes:
        image: RGB.
        shows: the phrase of the thing; the prompt for the whole picture.
        style: its icon set or style; None if it has none.
        licence: its licence; None if unknown.
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
        """Whether the drawing counts as a copy of it."""
        return self.distance < COPY_DISTANCE


@dataclass(frozen=True, eq=False)
class Explanation:
    """The effects of the words of a prompt on its picture.

    Attributes:
        picture: the explained picture.
        source: the kind of the heat maps.
        words: the words of the prompt, in order.
        score: cosine similarity of picture and prompt; None if it was not scored.
        captions: for each phrase the nearest captions that the model knows, nearest first; empty
            if the model has no index of captions.
        pictures: the nearest training pictures, nearest of each thing first; empty if the model
            keeps none and no store was given.
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
    source: MapSource | None = None,
    maps_only: bool = False,
    on_progress: Callable[[float], None] | None = None,
) -> Explanation:
    """Draw a request and explain its picture; see :meth:`Generator.explain`.

    Args:
        generator: the model.
        request: its prompt, seed and settings; no edits, source or reference.
        aligner: scores pictures; None for no scores.
        store: training pictures to search; None for those that the model keeps.
        source: the kind of heat maps; None for the best available.
        maps_only: compute only the heat maps.
        on_progress: called after every network evaluation and before the analysis of the pictures,
            with the number of pictures drawn so far.
    """
    if request.edits or request.masked is not None or request.source is not None:
        raise UsageError("only a picture drawn from a prompt can be explained, not a changed one")
    if Capability.EXPLAIN not in generator.model.capabilities:
        raise generator.model.cannot(Capability.EXPLAIN)
    (job,) = generator.jobs([request])
    if isinstance(job, Exception):
        raise job
    check_words(request.prompt)
    read = words_read(request.prompt, generator.concepts)
    session = generator.session()
    session.add(job.drawing)
    tell = on_progress or (lambda drawn: None)
    while not session.idle:
        session.advance()
        tell(1.0 if session.idle else session.progress(job.drawing))
    picture = generator.finished(job)
    settings = picture.settings.model_copy(update={"reference": None})
    again = replace(request, settings=settings)
    without = {} if maps_only else _without_each(generator, again, read, tell)
    case = _Case(generator, job, picture, read, without)
    kind, maps = _maps(case, source)
    tell(1 + len(without))
    score, scores = (None, dict[int, float]()) if aligner is None else _scored(aligner, case)
    drawn, nothing = case.drawn_from, np.zeros(picture.image.size[::-1], np.float32)
    explained = []
    for number, (word, values) in enumerate(zip(read.words, maps, strict=True)):
        change = case.changes.get(number)
        explained.append(
            ExplainedWord(
                word.text, word.start, word.end,
                _shown(nothing if values is None else values, change), without.get(number),
                None if change is None else float(change.mean()), scores.get(number),
                drawn.get(number),
            )
        )  # fmt: skip
    if maps_only:
        return Explanation(picture, kind, tuple(explained), score)
    return Explanation(
        picture, kind, tuple(explained), score, tuple(_captions(generator, picture)),
        tuple(_pictures(case, store)),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Case:
    """A picture to explain, with its words and the pictures without each."""

    generator: Generator
    job: Job
    picture: Picture
    read: WordsRead
    without: Mapping[int, Picture]

    @property
    def words(self) -> Sequence[WordSpan]:
        """Of the prompt."""
        return self.read.words

    @cached_property
    def changes(self) -> dict[int, Floats]:
        """Pixel differences without each word, by its index."""
        return {n: changed_pixels(self.picture, each) for n, each in self.without.items()}

    @cached_property
    def placed(self) -> Placed | None:
        """The segmentation of the picture into things, if known."""
        if self.job.placed is None and self.generator.model.draws_training_pictures:
            return Placed(pixels=[_pixels(self.picture.image)])
        return self.job.placed

    @cached_property
    def owners(self) -> list[tuple[int, ...]]:
        """The things that each word refers to."""
        phrases: Sequence[str] = [each.phrase for each in self.job.drawn_from]
        if self.placed is not None:
            phrases = phrases or self.placed.words or [self.read.text]
            phrases = phrases[: len(self.placed.pixels)]
        return things_of(self.read.text, self.words, phrases)

    @property
    def drawn_from(self) -> dict[int, Grounding]:
        """For words that refer to one thing, what that was drawn from."""
        known = self.job.drawn_from
        return {number: known[things[0]] for number, things in enumerate(self.owners)
                if len(things) == 1 and things[0] < len(known)}  # fmt: skip

    @property
    def kinds(self) -> list[MapSource]:
        """The available kinds of maps, the best first according to ``benchmarks/explain.py``."""
        if self.placed is not None:
            return [MapSource.PLAN, MapSource.CHANGE]
        informs = self.generator.model.informs
        found = [MapSource.INFORMATION] if informs else []
        if self.generator.encoder.encode([self.picture.prompt]).pieces:
            found.append(MapSource.ATTENTION if informs else MapSource.GRADIENT)
        return [*found, MapSource.CHANGE]


def source_of(name: str) -> MapSource:
    """A kind of maps by its name.

    Raises:
        UsageError: there is none of that name.
    """
    try:
        return MapSource(name)
    except ValueError:
        known = ", ".join(MapSource)
        raise UsageError(
            f"there are no maps of the kind {name!r}; choose one of: {known}"
        ) from None


def check_words(prompt: str) -> int:
    """Count the words of a prompt.

    Raises:
        UsageError: there are too many to explain.
    """
    count = len(word_spans(prompt))
    if count > MOST_WORDS:
        raise UsageError(
            f"the prompt has {count} words, and at most {MOST_WORDS} are explained; shorten it"
        )
    return count


def changed_pixels(picture: Picture, other: Picture) -> Floats:
    """Mean absolute difference of the channels of two pictures at each pixel, ``(H, W)``."""
    one, two = (_pixels(each.image).astype(np.float32) / 255 for each in (picture, other))
    difference: Floats = np.abs(one - two).mean(-1)
    return difference


def without_word(prompt: str, word: WordSpan) -> str:
    """A prompt without one of its words; empty if no other is left."""
    rest = f"{prompt[: word.start]} {prompt[word.end :]}"
    if not (prompt[: word.start][-1:].isspace() or prompt[word.end :][:1].isspace()):
        rest = prompt[: word.start] + prompt[word.end :]  # scripts without spaces, joined words
    rest = _LEFT_BEHIND.sub("", _BARE_ARTICLE.sub("", rest)).strip(" ,;、，")
    return rest if word_spans(rest) else ""


def _without_each(
    generator: Generator,
    request: DrawRequest,
    read: WordsRead,
    tell: Callable[[float], None],
) -> dict[int, Picture]:
    """The picture without each word, by its number; ``tell`` as :func:`explain` does."""
    left = (without_word(request.prompt, word) for word in read.words)
    prompts = {number: still_read(rest, read.language, generator.concepts)
               for number, rest in enumerate(left)}  # fmt: skip
    numbers = [number for number, prompt in prompts.items() if prompt]
    requests = [replace(request, prompt=prompts[number]) for number in numbers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PromptWarning)  # about prompts that the user did not give
        drawn = list(
            generator.stream(
                requests, on_refused=lambda _: None, on_progress=lambda drawn: tell(1 + drawn)
            )
        ) if requests else []  # fmt: skip
    return {numbers[each.index]: each for each in drawn}


def _maps(case: _Case, wanted: MapSource | None) -> tuple[MapSource, list[Floats | None]]:
    """The kind of the maps, and the map of each word; None for a word without one."""
    kinds, changes, numbers = case.kinds, case.changes, range(len(case.words))
    kind = kinds[0] if wanted is None else wanted
    if kind not in kinds:
        raise UsageError(
            f"this picture has no maps of the kind {kind}; choose one of: {', '.join(kinds)}"
        )
    side = case.picture.image.width
    if kind is MapSource.CHANGE:
        return kind, [changes.get(number) for number in numbers]
    if kind is MapSource.PLAN and case.placed is not None:
        masks = case.placed.masks(side)
        behind = None if case.placed.on_white else 1 - np.sum(masks, 0)
        return kind, [
            np.max([masks[thing] for thing in things], 0) if things
            else changes.get(number) if behind is None else behind
            for number, things in enumerate(case.owners)
        ]  # fmt: skip
    return kind, [_resized(each, side) for each in _of_network(case, kind)]


def _of_network(case: _Case, kind: MapSource) -> list[Floats]:
    """Heat maps from the network, at the network's size, not negative."""
    model, side = case.generator.model, case.generator.model.config.size
    conditions, words = case.generator.conditions(case.job.request), case.words
    shown = case.picture.image
    if shown.width != side:
        shown = shown.resize((side, side), Image.Resampling.BOX)
    images = to_tensor(_pixels(shown)[None])
    if kind is not MapSource.INFORMATION:
        tokens = model.token_maps(conditions, images)[0].float().cpu()
        found = word_maps(tokens, conditions.text.pieces[0], words)
        return [each.numpy() for each in found]
    prompts = [without_word(case.picture.prompt, word) for word in words]
    left = {number: prompt for number, prompt in enumerate(prompts) if prompt}
    if len(words) == 1:  # the alternative is the empty prompt
        left = {0: _ANYTHING}
    maps: list[Floats] = [np.zeros((side, side), np.float32) for _ in words]
    if not left:
        return maps
    others = case.generator.encoder.encode([*left.values()])
    information = information_maps(model.word_information(conditions, others, images))
    for number, values in zip(left, information, strict=True):
        maps[number] = values
    return maps


def information_maps(information: torch.Tensor) -> list[Floats]:
    """Maps of where each word is more informative than the others, not negative.

    The mean over the other words is subtracted, since every word helps a little wherever a picture
    is hard to predict.

    Args:
        information: of W words, ``(W, h, w)``, see
            :meth:`limner.models.image_model.ImageModel.word_information`.
    """
    found = information.float()
    if len(found) > 1:  # times (W - 1) / W it is less the mean of the others
        found = found - found.mean(0)
    return [each.numpy() for each in found.clamp_min(0)]


def _pixels(image: Image.Image) -> NDArray[np.uint8]:
    """A picture on white, ``(H, W, 3)``."""
    return np.asarray(on_white(image))


def word_maps(
    tokens: torch.Tensor, parts: Sequence[str], words: Sequence[WordSpan]
) -> list[torch.Tensor]:
    """Heat maps of words ``(h, w)`` from the maps of the pieces of a prompt.

    The map of a word is the sum over all pieces that contain it, except the whole prompt, each
    divided by the number of its words.

    Args:
        tokens: maps of the pieces, ``(L, h, w)``.
        parts: the pieces, the whole prompt first.
        words: the words of the prompt.
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
    """The things that each word of a prompt refers to, by their indices.

    A thing's own words are found in the prompt; other words of the same phrase, such as colours,
    go with it, and those between two things, such as relations, with both.

    Args:
        prompt: as it is read.
        words: of the given prompt.
        phrases: what each thing is called in the prompt as it is read.
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
    cut = pieces(prompt)
    for piece in [each for each in cut if each.kind == "phrase"] or cut[:1]:
        for place in words_in(piece.text, words):
            mine = set().union(*(owners[word] for word in place))
            for word in place:
                owners[word] = owners[word] or mine
    owned = [number for number, each in enumerate(owners) if each]
    for before, behind in pairwise(owned):
        for word in range(before + 1, behind):
            owners[word] = owners[before] | owners[behind]
    return [tuple(sorted(each)) for each in owners]


def _resized(values: Floats, side: int) -> Floats:
    """A map at the size of the picture, bilinear."""
    image = Image.fromarray(values.astype(np.float32))
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))


def _shown(values: Floats, change: Floats | None) -> Floats:
    """Scale a map to a maximum of 1; all 0 for a word without an effect."""
    most = float(values.max())
    nothing = most <= 0 or (change is not None and float(change.mean()) <= _LEAST_CHANGE)
    return np.zeros_like(values) if nothing else (values / most).clip(0, 1).astype(np.float32)


def _scored(aligner: Aligner, case: _Case) -> tuple[float, dict[int, float]]:
    """The cosine similarity of picture and prompt, and its change without each word."""
    text = aligner.encode_texts([case.picture.prompt])[0]
    images = [case.picture, *case.without.values()]
    pixels = np.stack([_pixels(each.image) for each in images])
    score, *others = (aligner.encode_images(to_tensor(pixels)) @ text).tolist()
    pairs = zip(case.without, others, strict=True)
    return float(score), {number: each - score for number, each in pairs}


def _captions(generator: Generator, picture: Picture) -> list[NearCaption]:
    """The known captions nearest to the phrases of the things."""
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


def _pictures(case: _Case, store: Store | None) -> list[NearPicture]:
    """The training pictures nearest to each thing, or those of a store nearest to the picture."""
    generator, placed = case.generator, case.placed
    if store is not None:
        return _of_store(generator, case.picture, store)
    if placed is None or not generator.model.draws_training_pictures:
        return []
    found: list[NearPicture] = []
    for thing, each in zip(placed.pixels, case.job.drawn_from, strict=False):
        text = generator.encoder.encode([each.drawn])
        kept, styles = generator.model.exemplars_of(text, _CANDIDATES)
        far = (mosaic(kept) - mosaic(to_tensor(thing[None]))).square().mean(1).sqrt()
        for row in far.argsort(stable=True)[:NEAREST].tolist():
            style = generator.styles[styles[row]] if styles[row] >= 0 else None
            found.append(
                NearPicture(
                    to_images(kept[[row]])[0], each.phrase, style,
                    style and generator.info.licence_of(style), round(float(far[row]), 4),
                )
            )  # fmt: skip
    return found


def _of_store(generator: Generator, picture: Picture, store: Store) -> list[NearPicture]:
    """The pictures of a store nearest to a picture."""
    query = mosaic(to_tensor(_pixels(picture.image)[None]))
    seen, found = list[int](), list[NearPicture]()
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
