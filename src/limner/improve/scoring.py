"""The score of a picture against its prompt: checks of each thing asked, likeness, quality.

Each thing is looked for by two networks that map pictures and texts to one space, the aligner and
the captioner's own (:mod:`limner.reading.caption_space`), under the English name of the known thing
that its phrase means.

The judges of an evaluation (:mod:`limner.metrics.detector`, :mod:`limner.metrics.judge`) are not
used, so that they can say whether a picture with a higher score is better.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from limner.arrays import Doubles, Pixels
from limner.improve.asked import Asked, AskedReader, AskedThing
from limner.improve.parts import SIDE, PicturePart, picture_parts
from limner.modelfile import read_concepts
from limner.models.concepts import ConceptIndex
from limner.reading.aligner import load_aligner
from limner.reading.caption_space import CaptionSpace
from limner.reading.captions import OwnCaptioner
from limner.scenes.colours import COLOURS, colour_share
from limner.scenes.sizes import sized_names
from limner.shipped import SHIPPED_CAPTIONER, find_model
from limner.text.base import TextEncoder
from limner.text.validate import canonical
from limner.vision.aligner import Aligner
from limner.vision.images import on_white
from limner.vision.pixels import to_tensor

Kind = Literal["thing", "count", "colour", "relation"]
FOUND, WELL_FOUND = 0.5, 0.8
"""A thing is found from this score on, few names being nearer to some part of the picture, and hard
to take for another one from that on."""
_RIVALS = 320
"""Names that a part of a picture may be nearer to than to what is asked for."""
_SYNONYM = 0.8
"""From this cosine of their texts on two names are of one thing."""
_ALIKE = 0.6
"""Cosine of a part and what it is to show, by the aligner, that counts as the best."""
_TIMES = 1.33
"""By which the captioner's cosines, which are lower, are multiplied before they are averaged."""
_ENOUGH_COLOUR = 0.5
"""Share of a thing's ink that has its colour, in a thing of that colour."""
_APART = 0.08
"""Least distance of centres along an axis, of the picture's side, for a relation to hold."""
_INK = (0.03, 0.9)
"""Least and most share of a picture that is drawn on."""
_WEIGHTS = (0.6, 0.3, 0.1)
"""Of the checks, of likeness and of quality."""
_CHECKS: Mapping[Kind, float] = {"thing": 0.5, "count": 0.15, "colour": 0.2, "relation": 0.15}
"""Weights of the kinds of checks; ``tools/weigh_scores.py`` compares such weights on pictures of
made scenes and the same with one fault."""


@dataclass(frozen=True)
class Check:
    """One thing that a prompt says, looked for in a picture.

    Attributes:
        kind: what is looked for.
        thing: number of the thing asked for.
        wanted: in words.
        seen: in words.
        score: in [0, 1].
    """

    kind: Kind
    thing: int
    wanted: str
    seen: str
    score: float


@dataclass(frozen=True)
class PictureScore:
    """How well a picture shows its prompt.

    Attributes:
        total: in [0, 1]; checks, likeness and quality weighed.
        cosine: of picture and prompt by the aligner, in [-1, 1]; not part of the total.
        likeness: mean cosine of each thing's parts with its name by the two networks, in [-1, 1],
            on the aligner's scale.
        quality: in [0, 1]: something is drawn, whole and within the picture.
        checks: of each thing that is asked for.
    """

    total: float
    cosine: float
    likeness: float
    quality: float
    checks: tuple[Check, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that are not passed, the worst first."""
        return tuple(sorted((c for c in self.checks if c.score < FOUND), key=lambda c: c.score))


@runtime_checkable
class _WithEncoder(Protocol):
    @property
    def encoder(self) -> TextEncoder: ...


class Scorer:
    """Scores pictures by an aligner, their parts and their colours.

    Args:
        aligner: maps pictures and texts to one space. Its text encoder reads the prompts, where it
            is the planner's; else every prompt is one thing.
        second: another network that does, whose verdict on each part is averaged with it; None for
            the aligner alone.
        concepts: names of known things, by the aligner's text encoder, under which things are
            looked for; None for their own phrases.
    """

    def __init__(
        self,
        aligner: Aligner,
        second: Aligner | None = None,
        concepts: ConceptIndex | None = None,
    ) -> None:
        self.aligner = aligner
        self._eyes = [_Eye(aligner, 1.0)]
        if second is not None:
            self._eyes.append(_Eye(second, _TIMES))
        self._concepts = concepts
        self._asked: dict[str, Asked] = {}

    @cached_property
    def _reader(self) -> AskedReader | None:
        if not isinstance(self.aligner, _WithEncoder):
            return None
        return AskedReader(self.aligner.encoder, self._concepts)

    def asked(self, prompt: str) -> Asked:
        """What a prompt asks for; remembered.

        Raises:
            PromptError: it is no text that can be read.
        """
        canonical(prompt)
        if prompt not in self._asked:
            reader = self._reader
            self._asked[prompt] = (
                Asked(prompt, (AskedThing(prompt),)) if reader is None else reader.read(prompt)
            )
        return self._asked[prompt]

    def score(self, prompt: str, images: Sequence[Image.Image]) -> list[PictureScore]:
        """The scores of pictures of one prompt; none depends on the others.

        Raises:
            PromptError: the prompt is no text that can be read.
        """
        if not images:
            return []
        asked = self.asked(prompt)
        names = [thing.said for thing in asked.things]
        own = [asked.called(thing) for thing in asked.things]
        parts = [
            picture_parts(image, apart=not asked.touching, things=asked.total) for image in images
        ]
        wholes = [np.asarray(_small(image)) for image in images]
        every = [each.pixels for one in parts for each in one]
        pixels, count = to_tensor(np.stack([*wholes, *every])), len(images)
        first, *others = self._eyes
        one_by_one = all(part.cut for one in parts for part in one)
        looked = first.look(pixels, [prompt, *names, *own])
        seen = [_Seen(looked.cosines[count:, 1:], looked.closeness[count:, 1:])]
        seen += [eye.look(pixels[count:], [*names, *own], quickly=not one_by_one) for eye in others]
        ranks = _of_either(np.mean([each.closeness for each in seen], axis=0))
        likes = _of_either(np.mean(
            [eye.times * each.cosines for eye, each in zip(self._eyes, seen, strict=True)], axis=0
        ))  # fmt: skip
        cosines = looked.cosines[:count, 0].tolist()
        found, start = [], 0
        for one, cosine, whole in zip(parts, cosines, wholes, strict=True):
            mine = slice(start, start + len(one))
            start += len(one)
            found.append(_scored(asked, one, ranks[mine], likes[mine], cosine=cosine, whole=whole))
        return found

    def totals(self, prompt: str, images: Sequence[Image.Image]) -> list[float]:
        """The totals of :meth:`score`."""
        return [each.total for each in self.score(prompt, images)]


def load_scorer(*, aligner: Aligner | None = None, device: str = "cpu") -> Scorer:
    """The scorer of the shipped aligner, captioner and names.

    Args:
        aligner: the shipped one, where it is loaded.
        device: as for :func:`limner.loading.choose_device`.

    Raises:
        ModelFileError: one of them cannot be read.
    """
    captioner = OwnCaptioner(find_model(None, SHIPPED_CAPTIONER), device=device)
    aligner = aligner or load_aligner(device=device)
    read = aligner.encoder if isinstance(aligner, _WithEncoder) else captioner.encoder
    shared = read if read.fingerprint == captioner.encoder.fingerprint else None
    return Scorer(aligner, CaptionSpace(captioner, shared), read_concepts(find_model()))


class _Seen(NamedTuple):
    """What a network says of P pictures and T texts.

    Attributes:
        cosines: ``(P, T)`` in [-1, 1].
        closeness: ``(P, T)`` of :func:`_closeness`.
    """

    cosines: Doubles
    closeness: Doubles


class _Eye:
    """A network that maps pictures and texts to one space, and what it knows of names.

    Args:
        aligner: the network.
        times: by which its cosines are multiplied to be on the aligner's scale.
    """

    def __init__(self, aligner: Aligner, times: float) -> None:
        self._aligner, self.times = aligner, times
        self._texts: dict[str, Tensor] = {}

    @cached_property
    def _rivals(self) -> Tensor:
        """``(K, E)`` vectors of names of things."""
        names = sized_names()
        step = max(1, len(names) // _RIVALS)
        return self._aligner.encode_texts(names[::step])

    def look(self, pictures: Tensor, texts: Sequence[str], *, quickly: bool = False) -> _Seen:
        """Compare ``(P, 3, S, S)`` pictures in [-1, 1] with texts, which are remembered."""
        new = [text for text in dict.fromkeys(texts) if text not in self._texts]
        if new:
            self._texts |= zip(new, self._aligner.encode_texts(new), strict=True)
        said = torch.stack([self._texts[text] for text in texts])
        network = self._aligner
        if quickly and isinstance(network, CaptionSpace):
            vectors = network.encode_once(pictures)
        else:
            vectors = network.encode_images(pictures)
        cosines = (vectors @ said.T).double().numpy()
        return _Seen(cosines, _closeness(vectors, said, self._rivals))


def _small(image: Image.Image) -> Image.Image:
    return on_white(image).resize((SIDE, SIDE), Image.Resampling.BOX)


def _closeness(parts: Tensor, things: Tensor, rivals: Tensor) -> Doubles:
    """How near each part is to each thing, ``(P, T)`` in [0, 1].

    It is 1 where no rival is nearer, and falls with the logarithm of the number of those that are.
    Names of the same thing are no rivals. How much nearer a thing is says little of whether others
    see it, so that is not asked.

    Args:
        parts: ``(P, E)`` vectors of pictures.
        things: ``(T, E)`` vectors of texts.
        rivals: ``(K, E)``.
    """
    own = (parts @ things.T)[..., None]  # (P, T, 1)
    same = things @ rivals.T > _SYNONYM  # (T, K)
    others = (parts @ rivals.T)[:, None].masked_fill(same, -1)  # (P, T, K)
    nearer = (others > own).sum(-1)
    return (1 - torch.log1p(nearer.float()) / math.log1p(len(rivals))).double().numpy()


def _of_either(values: Doubles) -> Doubles:
    """The greater of the values of each of T things by two names: ``(P, 2 T)`` to ``(P, T)``."""
    return np.maximum(*np.split(values, 2, axis=1))


def _scored(
    asked: Asked,
    parts: Sequence[PicturePart],
    near: Doubles,
    like: Doubles,
    *,
    cosine: float,
    whole: Pixels,
) -> PictureScore:
    plain = bool(parts) and parts[0].cut
    mine = _assigned(asked, parts, near) if plain else None
    checks: list[Check] = []
    likeness: list[float] = []
    for number, thing in enumerate(asked.things):
        # without parts of its own a thing is looked for once, and may be in any of them
        wanted = 1 if mine is None else thing.count
        some = [int(near[:, number].argmax())] if mine is None and len(near) else []
        some = some if mine is None else mine[number][:wanted]
        score = float(near[some, number].sum()) / wanted
        likeness.append(float(like[some, number].sum()) / wanted)
        checks.append(Check("thing", number, thing.phrase, _how_found(score), score))
        if mine is None:
            continue
        seen = len(mine[number])
        if thing.count > 1 or len(asked.things) == 1:
            score = max(0.0, 1 - abs(seen - thing.count) / thing.count)
            checks.append(
                Check("count", number, f"{thing.count} x {thing.phrase}", f"{seen} counted", score)
            )
        if thing.colour is not None:
            shares = [
                colour_share(parts[part].pixels, COLOURS[thing.colour]) for part in mine[number]
            ]
            share = fmean(shares) if shares else 0.0
            checks.append(
                Check("colour", number, f"{thing.colour} {thing.phrase}",
                      f"{share:.0%} of it is {thing.colour}", min(1.0, share / _ENOUGH_COLOUR))
            )  # fmt: skip
    if mine is not None:
        checks += [_related(asked, parts, mine, at) for at in range(len(asked.relations))]
    quality, alike = _quality(parts, whole), fmean(likeness)
    terms = (_checked(checks), min(max(alike / _ALIKE, 0.0), 1.0), quality)
    total = sum(weight * term for weight, term in zip(_WEIGHTS, terms, strict=True))
    return PictureScore(total, cosine, alike, quality, tuple(checks))


def _how_found(score: float) -> str:
    if score < FOUND:
        return "not found"
    return "found" if score >= WELL_FOUND else "found, but looks like other things, too"


def _checked(checks: Sequence[Check]) -> float:
    """The checks of a picture in one number in [0, 1]; what is not asked for counts as passed.

    Of things the mean and the worst count alike, of the other kinds the mean.
    """
    total = 0.0
    for kind, weight in _CHECKS.items():
        some = [check.score for check in checks if check.kind == kind] or [1.0]
        total += weight * (fmean(some) if kind != "thing" else (fmean(some) + min(some)) / 2)
    return total


def _assigned(asked: Asked, parts: Sequence[PicturePart], near: Doubles) -> list[list[int]]:
    """The parts that show each thing, the likeliest first; every part shows one.

    Each thing first gets as many as are asked for, the likeliest pairs first.
    """
    worth = near.copy()
    for number, thing in enumerate(asked.things):
        if thing.colour is not None:
            colour = COLOURS[thing.colour]
            worth[:, number] += [0.5 * colour_share(part.pixels, colour) for part in parts]
    mine: list[list[int]] = [[] for _ in asked.things]
    left = set(range(len(parts)))
    order = np.dstack(np.unravel_index(np.argsort(-worth, axis=None, kind="stable"), worth.shape))
    for part, number in order[0].tolist():
        if part in left and len(mine[number]) < asked.things[number].count:
            mine[number].append(part)
            left.discard(part)
    for part in sorted(left):
        mine[int(worth[part].argmax())].append(part)
    return mine


def _related(
    asked: Asked, parts: Sequence[PicturePart], mine: Sequence[Sequence[int]], at: int
) -> Check:
    """Whether two things stand as asked, by the means of their centres."""
    asks = asked.relations[at]
    one, other = asked.things[asks.first].phrase, asked.things[asks.second].phrase
    wanted = (
        f"{one} {asks.relation} of {other}"
        if asks.relation in ("left", "right")
        else (f"{one} {asks.relation} {other}")
    )
    if not (mine[asks.first] and mine[asks.second]):
        return Check("relation", asks.first, wanted, "one of them is missing", 0.0)
    a, b = (
        np.mean([parts[part].centre for part in mine[number]], 0)
        for number in (asks.first, asks.second)
    )
    x, y = (a - b).tolist()
    way = {"left": -x, "right": x, "above": -y, "below": y}[asks.relation]
    across = abs(y if asks.relation in ("left", "right") else x)
    holds = way > _APART and way > across
    return Check("relation", asks.first, wanted, "so" if holds else "not so", float(holds))


def _quality(parts: Sequence[PicturePart], whole: Pixels) -> float:
    """How far a picture is whole: drawn on, and nothing cut off by its edge."""
    if not parts:
        return 0.0
    ink = float((whole.min(-1) < 240).mean())
    drawn = 1.0 if _INK[0] <= ink else 0.0
    cut = [part for part in parts if part.cut]
    if cut and ink > _INK[1] and len(cut) == 1:
        drawn = 1.0  # a coloured background
    return drawn * (1 - 0.5 * fmean(part.at_edge for part in cut) if cut else 1.0)
