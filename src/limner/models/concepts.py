"""What a model knows: the names of the things it was trained on, searched by meaning.

A text that names none of them falls between several: a network that draws from its vector draws
their average, a blur. So the nearest known name is looked up, by the cosine between whitened
sentence vectors (:class:`limner.models.conditioning.TextWhitening`): raw vectors of a language
model lie too close together to compare. The value of the cosine says how sure that is.

Before that a text is looked up letter by letter among more names, which need no vectors: those in
other languages, and those of things that a known one may stand for (*labrador* of a dog). A word
that is no name is compared with the names' spelling.

A model also learned from keywords (*apple* of a red and of a green apple), which no concept has for
its name. They are known texts, but no text is replaced by one.

Shape letters: C concepts, N names with vectors, K keywords, S styles, D numbers of a sentence
vector, R whitened.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import torch
from rapidfuzz import process
from rapidfuzz.distance import OSA
from torch import Tensor
from torch.nn import functional as F

from limner.errors import ModelFileError
from limner.memory import RecentlyUsed
from limner.models.conditioning import TextWhitening
from limner.text.names import bare, name_key
from limner.text.spelling import Speller
from limner.text.vocabulary import best_name

RANK = 256
_STEPS = 127.0
_FEW = 256
"""Names that are sorted by nearness before all are: the concepts wanted are among them."""
_ENOUGH_NAMES, _PAIRS, _STEPS_OF_TRAINING, _RATE, _TEMPERATURE = 1000, 512, 1500, 0.01, 0.1
_FOUND = 4096
"""Texts whose nearest concepts are remembered."""
_LEAST_LETTERS, _MANY_LETTERS = 4, 8
_MOST_BYTES = 100_000_000
"""Of the names in a file, unpacked."""


@dataclass(frozen=True)
class KnownConcept:
    """A concept near to a text.

    Attributes:
        concept: its number.
        caption: its name in the first language that was given, which it is drawn from.
        name: the name that is nearest to the text.
        similarity: cosine of the two, in [-1, 1].
        instance: whether the name is that of another thing, which the concept may stand for.
    """

    concept: int
    caption: str
    name: str
    similarity: float
    instance: bool = False


class ConceptIndex:
    """Names of concepts, with whitened sentence vectors of a byte a number.

    Args:
        captions: of every concept, what it is drawn from.
        names: in any language; the first N have vectors.
        concepts: int64, the concept of each name.
        codes: ``(N, R)`` int8, unit vectors times 127.
        keywords: ``(K, R)`` int8, those of other texts that the model learned from.
        whitening: from sentence vectors to R numbers.
        instances: how many of the last names are of things that the concept stands for.
        styles: ``(C, S)`` bool, the styles that each concept has pictures in; None if not known.
        coloured: ``(S,)`` bool, the styles that are preferred where none is asked for.
    """

    def __init__(
        self,
        *,
        captions: Sequence[str],
        names: Sequence[str],
        concepts: Tensor,
        codes: Tensor,
        keywords: Tensor,
        whitening: TextWhitening,
        instances: int = 0,
        styles: Tensor | None = None,
        coloured: Tensor | None = None,
    ) -> None:
        self.captions, self.names = tuple(captions), tuple(names)
        self.concepts, self.codes, self.keywords = concepts, codes, keywords
        self.whitening, self.instances, self.styles = whitening, instances, styles
        self.coloured = coloured
        self._vectors = F.normalize(codes.float(), dim=1)  # (N, R)
        self._keywords = F.normalize(keywords.float(), dim=1)  # (K, R)
        self._found = RecentlyUsed[tuple[bytes, int], list[KnownConcept]](_FOUND)

    @classmethod
    def fit(
        cls,
        *,
        captions: Sequence[str],
        names: Sequence[str],
        concepts: Sequence[int],
        vectors: Tensor,
        keywords: Tensor | None = None,
        spelled: Sequence[tuple[str, int]] = (),
        instances: Sequence[tuple[str, int]] = (),
        styles: Tensor | None = None,
        coloured: Tensor | None = None,
        rank: int = RANK,
    ) -> Self:
        """The index of N names with vectors, and of others.

        From a thousand names on the whitening is trained further, to bring names of one concept
        together: the cross-entropy of the cosines, over a temperature of 0.1, of a name with its
        concept's first name and with those of other concepts (InfoNCE, van den Oord et al. 2018,
        arXiv:1807.03748, eq. 4).

        Args:
            captions: of every concept, what it is drawn from.
            names: in any language; the first of a concept stands for it.
            concepts: the concept of each name.
            vectors: ``(N, D)`` float32, the text encoder's sentence vectors of the names.
            keywords: ``(K, D)`` float32, those of other texts that the model learned from.
            spelled: more names, each with its concept, that are found by their spelling alone.
            instances: the same for things that a concept stands for.
            styles: ``(C, S)`` bool, the styles that each concept has pictures in.
            coloured: ``(S,)`` bool, the styles that are preferred where none is asked for.
            rank: R at most.
        """
        whitening = fitted_whitening(vectors, rank)
        if len(names) >= _ENOUGH_NAMES:
            _bring_together(whitening, vectors, torch.tensor(concepts))

        more = [*spelled, *instances]
        return cls(
            captions=captions, names=[*names, *(name_key(name) for name, _ in more)],
            concepts=torch.tensor([*concepts, *(concept for _, concept in more)]),
            codes=_encoded(whitening, vectors),
            keywords=_encoded(whitening, vectors[:0] if keywords is None else keywords),
            whitening=whitening, instances=len(instances), styles=styles, coloured=coloured,
        )  # fmt: skip

    def extended(
        self,
        *,
        captions: Sequence[str],
        names: Sequence[str],
        concepts: Sequence[int],
        vectors: Tensor,
        spelled: Sequence[tuple[str, int]] = (),
        instances: Sequence[tuple[str, int]] = (),
        styles: Tensor | None = None,
        coloured: Tensor | None = None,
    ) -> Self:
        """The index with more concepts, which come first: their names go before equal ones.

        Args are those of :meth:`fit`, but the whitening stays; ``styles`` and ``coloured`` are over
        all styles, of which those of this index are the first.
        """
        count, spoken = len(captions), len(self.codes)
        others = len(self.names) - self.instances
        old = (self.concepts + count).tolist()
        parts = [
            zip(names, concepts, strict=True),
            zip(self.names[:spoken], old[:spoken], strict=True),
            ((name_key(name), concept) for name, concept in spelled),
            zip(self.names[spoken:others], old[spoken:others], strict=True),
            ((name_key(name), concept) for name, concept in instances),
            zip(self.names[others:], old[others:], strict=True),
        ]
        every = [pair for part in parts for pair in part]
        have, preferred = self.styles, self.coloured
        if styles is not None and have is not None:
            more = styles.shape[1] - have.shape[1]
            have = torch.cat([styles, F.pad(have, (0, more))])
            if preferred is not None and coloured is not None:
                preferred = torch.cat([preferred, coloured[len(preferred) :]])
        return type(self)(
            captions=[*captions, *self.captions], names=[name for name, _ in every],
            concepts=torch.tensor([concept for _, concept in every]),
            codes=torch.cat([_encoded(self.whitening, vectors), self.codes]),
            keywords=self.keywords, whitening=self.whitening,
            instances=len(instances) + self.instances, styles=have, coloured=preferred,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.captions)

    @cached_property
    def _spellings(self) -> dict[str, int]:
        """Key of a name -> its number; the first of equal names counts."""
        spoken = len(self.codes)
        keys = [*map(name_key, self.names[:spoken]), *self.names[spoken:]]  # those are keys already
        return dict(zip(reversed(keys), range(len(keys) - 1, -1, -1), strict=True))

    def named(self, text: str) -> KnownConcept | None:
        """The concept that has a text for a name, or for the name of an instance of it.

        Articles, plurals and measure words do not count (:func:`limner.text.names.bare`), but a
        name with them goes before one without, unless the latter alone has coloured pictures
        (*balloons*, of which there is a sketch).
        """
        keys = dict.fromkeys((name_key(text), name_key(bare(text))))
        found = [self._of(self._spellings[key], 1.0) for key in keys if key in self._spellings]
        return max(found, key=self._has_colours, default=None)

    def _has_colours(self, concept: KnownConcept) -> bool:
        if self.styles is None or self.coloured is None or concept.instance:
            return False
        return bool((self.styles[concept.concept] & self.coloured).any())

    def _of(self, number: int, similarity: float) -> KnownConcept:
        concept = int(self.concepts[number])
        stands_for = number >= len(self.names) - self.instances
        return KnownConcept(
            concept, self.captions[concept], self.names[number], similarity, stands_for
        )

    def colours_of(self, concept: int) -> int:
        """In how many coloured styles a concept has pictures; -1 where nothing is known of them."""
        if self.styles is None or self.coloured is None:
            return -1
        return int((self.styles[concept] & self.coloured).sum())

    def styles_of(self, captions: Sequence[str], mostly: Tensor | None = None) -> list[int]:
        """The styles that concepts are drawn in where none is asked for.

        A concept that has pictures in coloured styles is drawn in those.

        Args:
            captions: of the concepts; others are ignored.
            mostly: ``(S,)`` bool, styles with more colour than black, whose pictures go before
                black ones where there are none in a coloured style.

        Returns:
            The styles that all of them have, else those that any has, of coloured ones if there
            are any, in which signs are shown in colours; empty if none is known.
        """
        rows = [self._numbers[caption][0] for caption in captions if caption in self._numbers]
        if self.styles is None or not rows:
            return []
        have = self.styles[rows]  # (B, S)
        for better in (mostly, self.coloured):
            if better is not None:
                preferred = have & better
                have = torch.where(preferred.any(1, keepdim=True), preferred, have)
        shared = have.all(0)
        if not bool(shared.any()):
            shared = have.any(0)
            if mostly is not None and bool((shared & mostly).any()):
                shared = shared & mostly
        found: list[int] = shared.nonzero()[:, 0].tolist()
        return found

    def lacks(self, caption: str, style: int) -> bool:
        """Whether the concepts of a caption are known to have no picture in a style."""
        rows = self._numbers.get(caption, [])
        return self.styles is not None and bool(rows) and not bool(self.styles[rows, style].any())

    @cached_property
    def _numbers(self) -> dict[str, list[int]]:
        """Caption -> the concepts that have it."""
        table: dict[str, list[int]] = {}
        for number, caption in enumerate(self.captions):
            table.setdefault(caption, []).append(number)
        return table

    @torch.inference_mode()
    def nearest(self, vectors: Tensor, count: int = 1) -> list[list[KnownConcept]]:
        """The nearest concepts to each of B texts, the nearest first.

        Args:
            vectors: ``(B, D)`` float32 sentence vectors; a row's result depends on it alone.
            count: concepts for each text, at most as many as there are.
        """
        found = []
        for vector in vectors:
            key = vector.cpu().numpy().tobytes(), count
            best = self._found.get(key)
            if best is None:
                best = self._nearest(vector, count)
                self._found.put(key, best)
            found.append(list(best))
        return found

    def _nearest(self, vector: Tensor, count: int) -> list[KnownConcept]:
        """The concepts nearest to one vector; see :meth:`nearest`."""
        query = F.normalize(self.whitening(vector), dim=0)  # (R,)
        cosines = self._vectors @ query  # (N,)
        best: dict[int, KnownConcept] = {}
        for row in _descending(cosines):
            concept = int(self.concepts[row])
            if concept not in best:
                best[concept] = self._of(row, float(cosines[row]))
            if len(best) >= min(count, len(self)):
                break
        return list(best.values())

    @torch.inference_mode()
    def similarity(self, vector: Tensor, vectors: Tensor) -> list[float]:
        """Cosines of one whitened sentence vector ``(D,)`` with each of ``(B, D)``."""
        query = F.normalize(self.whitening(vector), dim=0)  # (R,)
        return [float(F.normalize(self.whitening(each), dim=0) @ query) for each in vectors]

    def nearest_of(self, caption: str, others: Sequence[str]) -> tuple[str, float] | None:
        """Which of some concepts is nearest to another by their names, and the cosine.

        Args:
            caption: of the concept.
            others: captions of those that it may be; what is none is ignored.

        Returns:
            None where the caption is of no concept, or no other is.
        """
        rows, have = self._caption_rows, [each for each in others if each in self._caption_rows]
        if caption not in rows or not have:
            return None
        cosines = self._vectors[[rows[each] for each in have]] @ self._vectors[rows[caption]]
        best = int(cosines.argmax())
        return have[best], float(cosines[best])

    @cached_property
    def _caption_rows(self) -> dict[str, int]:
        """Caption -> the number of the first name with a vector that its concept has."""
        firsts: dict[int, int] = {}
        for row, concept in enumerate(self.concepts[: len(self.codes)].tolist()):
            firsts.setdefault(concept, row)
        return {self.captions[concept]: row for concept, row in reversed(firsts.items())}

    def respelled(self, text: str) -> str | None:
        """The text with words put right that are misspelt names; None where there are none.

        English words are put right by :class:`~limner.text.spelling.Speller`; else a word of four
        letters or more that is in no name is replaced by the nearest word of a name in any language
        that begins with the same letter, if it is one edit away (two from eight letters on; an edit
        inserts, deletes or replaces a letter or swaps neighbours: Damerau 1964). Of equally near
        ones that of the earlier concept counts.
        """
        if (english := self.speller.corrected(text)) != text:
            return english
        words = text.split()
        better = [self._put_right(word) for word in words]
        return " ".join(better) if better != words else None

    @cached_property
    def speller(self) -> Speller:
        """Puts misspelt words of English texts right."""
        captions: Sequence[str] = self.captions
        if self.styles is not None and self.coloured is not None:
            shown = (self.styles & self.coloured).any(1).tolist()
            captions = [each for each, some in zip(captions, shown, strict=True) if some]
        spoken = self.names[: len(self.names) - self.instances]
        return Speller(captions, spoken, self.draws, lambda text: self.named(text) is not None)

    def draws(self, text: str) -> bool:
        """Whether a text is a name of a thing that has more than signs."""
        if best_name(text) is not None:
            return True
        found = self.named(text)
        return found is not None and not found.instance and self.colours_of(found.concept) != 0

    def _put_right(self, word: str) -> str:
        key = name_key(word)
        alike = self._words.get(key[:1], [])
        if self.speller.knows(key) or not key.isalpha():
            return word
        if len(key) < _LEAST_LETTERS or not {key, bare(key)}.isdisjoint(alike):
            return word
        most = 1 if len(key) < _MANY_LETTERS else 2
        near = process.extractOne(key, alike, scorer=OSA.distance, score_cutoff=most)
        return word if near is None else str(near[0])

    def in_captions(self, words: str) -> bool:
        """Whether all words of a text stand in captions, which are in one language."""
        return self._of_captions.issuperset(name_key(words).split())

    @cached_property
    def _of_captions(self) -> frozenset[str]:
        return frozenset(word for caption in self.captions for word in name_key(caption).split())

    @cached_property
    def _words(self) -> dict[str, list[str]]:
        """First letter -> the words of all names that begin with it."""
        names = self.names[: len(self.names) - self.instances]
        words = dict.fromkeys(word for name in names for word in name_key(name).split())
        table: dict[str, list[str]] = {}
        for word in words:
            if len(word) >= _LEAST_LETTERS:
                table.setdefault(word[0], []).append(word)
        return table

    @torch.inference_mode()
    def keyword_similarity(self, vectors: Tensor) -> list[float]:
        """The greatest cosine of each of B texts with a keyword; -1 where there are none.

        Args:
            vectors: ``(B, D)`` float32 sentence vectors; a row's result depends on it alone.
        """
        if not len(self._keywords):
            return [-1.0] * len(vectors)
        queries = (F.normalize(self.whitening(vector), dim=0) for vector in vectors)
        return [float((self._keywords @ query).max()) for query in queries]

    def familiarity(self, texts: Sequence[str], vectors: Tensor) -> list[float]:
        """How near each of B texts is to any that the model learned from; 1 where it is a name.

        Args:
            texts: to be looked up by their spelling.
            vectors: ``(B, D)`` float32, their sentence vectors.
        """
        found = [1.0 if self.named(text) else -1.0 for text in texts]
        rows = [row for row, near in enumerate(found) if near < 0]
        near = zip(self.nearest(vectors[rows]), self.keyword_similarity(vectors[rows]), strict=True)
        for row, ((name,), keyword) in zip(rows, near, strict=True):
            found[row] = max(name.similarity, keyword)
        return found

    def tensors(self) -> dict[str, Tensor]:
        """All of it as tensors, to be stored in a model file."""
        words = json.dumps([self.captions, self.names], ensure_ascii=False).encode()
        styles = self.styles if self.styles is not None else torch.zeros(0, 0, dtype=torch.bool)
        none = torch.zeros(styles.shape[1], dtype=torch.bool)
        return {
            "words": torch.frombuffer(bytearray(zlib.compress(words, 9)), dtype=torch.uint8),
            "concepts": self.concepts.to(torch.int32),
            "codes": self.codes,
            "keywords": self.keywords,
            "mean": self.whitening.mean,
            "matrix": self.whitening.matrix,
            "counts": torch.tensor([len(self.codes), self.instances]),
            "styles": styles,
            "coloured": none if self.coloured is None else self.coloured,
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        """The index that :meth:`tensors` described.

        Raises:
            ModelFileError: they do not fit together.
        """
        try:
            captions, names = json.loads(_unpacked(tensors["words"]))
            concepts, codes = tensors["concepts"].long(), tensors["codes"]
            keywords = tensors["keywords"]
            whitening = TextWhitening(*tensors["matrix"].shape)
            whitening.load_state_dict({k: tensors[k].float() for k in ("mean", "matrix")})
            counts = tensors.get("counts", torch.tensor([len(names), 0]))
            spoken, instances = map(int, counts)
            styles = tensors.get("styles")
            fits = len(codes) == spoken and len(names) == len(concepts)
            fits = fits and 0 <= instances <= len(names) - spoken
            inside = bool(((concepts >= 0) & (concepts < len(captions))).all())
            rank = whitening.matrix.shape[1]
            coded = all(x.dtype == torch.int8 and x.shape[1] == rank for x in (codes, keywords))
            if styles is not None and not styles.numel():
                styles = None
            coloured = None if styles is None else tensors.get("coloured")
            styled = styles is None or (styles.dtype == torch.bool and len(styles) == len(captions))
            if styles is not None and coloured is not None:
                styled &= coloured.dtype == torch.bool and coloured.shape == styles.shape[1:]
            if not (fits and inside and coded and styled):
                raise ValueError("sizes differ")
            if not all(isinstance(text, str) for text in (*captions, *names)):
                raise ValueError("a name is no text")
        except (KeyError, ValueError, TypeError, IndexError, RuntimeError, zlib.error) as error:
            raise ModelFileError(f"the index of known concepts is damaged: {error}") from error
        return cls(
            captions=captions, names=names, concepts=concepts, codes=codes, keywords=keywords,
            whitening=whitening, instances=instances, styles=styles, coloured=coloured,
        )  # fmt: skip


def _encoded(whitening: TextWhitening, vectors: Tensor) -> Tensor:
    """Whitened sentence vectors ``(N, D)`` of length one, as ``(N, R)`` int8."""
    return (F.normalize(whitening(vectors), dim=1) * _STEPS).round().to(torch.int8)


def _descending(values: Tensor) -> Iterator[int]:
    """Places of values, the largest first, of equal ones the first; few are sorted at a time."""
    least = float(values.topk(min(_FEW, len(values))).values[-1]) if len(values) else 0.0
    few = (values >= least).nonzero()[:, 0]
    yield from few[values[few].argsort(descending=True, stable=True)].tolist()
    yield from values.argsort(descending=True, stable=True)[len(few) :].tolist()


def fitted_whitening(vectors: Tensor, rank: int) -> TextWhitening:
    """The whitening of ``(N, D)`` sentence vectors; of fewer than a thousand they are centred."""
    whitening = TextWhitening(vectors.shape[1], min(rank, vectors.shape[1]))
    whitening.fit(vectors, 0.01 if len(vectors) >= _ENOUGH_NAMES else 1.0)
    return whitening


def _bring_together(whitening: TextWhitening, vectors: Tensor, concepts: Tensor) -> None:
    """Train a whitening on pairs of a name and the first name of its concept.

    By InfoNCE over the pairs of a batch (van den Oord et al. 2018, arXiv:1807.03748, eq. 4), where
    other names of the same concept are no negatives.
    """
    first = torch.full((int(concepts.max()) + 1,), len(concepts))
    first.scatter_reduce_(0, concepts, torch.arange(len(concepts)), "amin")
    mean, matrix = whitening.mean.clone(), whitening.matrix.clone()
    learned = [mean.requires_grad_(), matrix.requires_grad_()]
    optimizer = torch.optim.Adam(learned, lr=_RATE)
    generator = torch.Generator().manual_seed(0)
    for step in range(_STEPS_OF_TRAINING):
        for group in optimizer.param_groups:
            group["lr"] = _RATE * min(1.0, 2 * (1 - step / _STEPS_OF_TRAINING))
        rows = torch.randint(len(vectors), (_PAIRS,), generator=generator)
        mine = concepts[rows]
        pair = vectors[torch.cat([rows, first[mine]])]
        names, anchors = F.normalize((pair - mean) @ matrix, dim=1).chunk(2)
        logits = names @ anchors.T / _TEMPERATURE  # (P, P)
        same = (mine[:, None] == mine) & ~torch.eye(_PAIRS, dtype=torch.bool)
        loss = F.cross_entropy(logits.masked_fill(same, -math.inf), torch.arange(_PAIRS))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    whitening.mean.copy_(mean.detach())
    whitening.matrix.copy_(matrix.detach())


def _unpacked(words: Tensor) -> bytes:
    """The bytes of the names; a file of limner 0.0 holds them as they are."""
    raw = bytes(words.numpy())
    if raw.startswith(b"["):
        return raw
    unpacker = zlib.decompressobj()
    text = unpacker.decompress(raw, _MOST_BYTES)
    if not unpacker.eof:
        raise ValueError("the names are cut short, or are more than fits in memory")
    return text
