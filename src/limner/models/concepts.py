"""What a model knows: the names of the things it was trained on, searched by meaning.

A text that names none of them falls between several: a network that draws from its vector draws
their average, a blur. So the nearest known name is looked up, by the cosine between whitened
sentence vectors (:class:`limner.models.conditioning.TextWhitening`): raw vectors of a language
model lie too close together to compare. The value of the cosine says how sure that is.

A model also learned from keywords (*apple* of a red and of a green apple), which no concept has for
its name. They are known texts, but no text is replaced by one.

Shape letters: N names, K keywords, D numbers of a sentence vector, R whitened.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from limner.errors import ModelFileError
from limner.models.conditioning import TextWhitening

RANK = 128
_STEPS = 127.0


@dataclass(frozen=True)
class KnownConcept:
    """A concept near to a text.

    Attributes:
        concept: its number.
        caption: its name in the first language that was given, which it is drawn from.
        name: the name that is nearest to the text.
        similarity: cosine of the two, in [-1, 1].
    """

    concept: int
    caption: str
    name: str
    similarity: float


class ConceptIndex:
    """Names of concepts with their whitened sentence vectors, in a byte a number.

    Args:
        captions: of every concept, what it is drawn from.
        names: N names in any language.
        concepts: ``(N,)`` int64, the concept of each name.
        codes: ``(N, R)`` int8, unit vectors times 127.
        keywords: ``(K, R)`` int8, those of other texts that the model learned from.
        whitening: from sentence vectors to R numbers.
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
    ) -> None:
        self.captions, self.names = tuple(captions), tuple(names)
        self.concepts, self.codes, self.keywords = concepts, codes, keywords
        self.whitening = whitening
        self._known = F.normalize(torch.cat([codes, keywords]).float(), dim=1)  # (N + K, R)
        self._vectors = self._known[: len(codes)]  # (N, R)

    @classmethod
    def fit(
        cls,
        *,
        captions: Sequence[str],
        names: Sequence[str],
        concepts: Sequence[int],
        vectors: Tensor,
        keywords: Tensor | None = None,
        rank: int = RANK,
    ) -> Self:
        """The index of N names.

        Args:
            captions: of every concept, what it is drawn from.
            names: in any language.
            concepts: the concept of each name.
            vectors: ``(N, D)`` float32, the text encoder's sentence vectors of the names.
            keywords: ``(K, D)`` float32, those of other texts that the model learned from.
            rank: R at most.
        """
        whitening = TextWhitening(vectors.shape[1], min(rank, vectors.shape[1]))
        whitening.fit(vectors)

        def encoded(rows: Tensor) -> Tensor:
            units = F.normalize(whitening(rows), dim=1)
            return (units * _STEPS).round().to(torch.int8)

        others = vectors[:0] if keywords is None else keywords
        return cls(
            captions=captions, names=names, concepts=torch.tensor(concepts),
            codes=encoded(vectors), keywords=encoded(others), whitening=whitening,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.captions)

    @torch.inference_mode()
    def nearest(self, vectors: Tensor, count: int = 1) -> list[list[KnownConcept]]:
        """The nearest concepts to each of B texts, the nearest first.

        Args:
            vectors: ``(B, D)`` float32 sentence vectors; a row's result depends on it alone.
            count: concepts for each text, at most as many as there are.
        """
        found = []
        for vector in vectors:
            query = F.normalize(self.whitening(vector), dim=0)  # (R,)
            cosines = self._vectors @ query  # (N,)
            best: dict[int, KnownConcept] = {}
            for row in cosines.argsort(descending=True, stable=True).tolist():
                concept = int(self.concepts[row])
                if concept not in best:
                    near = float(cosines[row])
                    best[concept] = KnownConcept(
                        concept, self.captions[concept], self.names[row], near
                    )
                if len(best) >= min(count, len(self)):
                    break
            found.append(list(best.values()))
        return found

    @torch.inference_mode()
    def familiarity(self, vectors: Tensor) -> list[float]:
        """The greatest cosine of each of B texts with any that the model learned from.

        Args:
            vectors: ``(B, D)`` float32 sentence vectors; a row's result depends on it alone.
        """
        queries = (F.normalize(self.whitening(vector), dim=0) for vector in vectors)
        return [float((self._known @ query).max()) for query in queries]

    def tensors(self) -> dict[str, Tensor]:
        """All of it as tensors, to be stored in a model file."""
        words = json.dumps([self.captions, self.names], ensure_ascii=False).encode()
        return {
            "words": torch.frombuffer(bytearray(words), dtype=torch.uint8),
            "concepts": self.concepts.to(torch.int32),
            "codes": self.codes,
            "keywords": self.keywords,
            "mean": self.whitening.mean,
            "matrix": self.whitening.matrix,
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        """The index that :meth:`tensors` described.

        Raises:
            ModelFileError: they do not fit together.
        """
        try:
            captions, names = json.loads(bytes(tensors["words"].numpy()))
            concepts, codes = tensors["concepts"].long(), tensors["codes"]
            keywords = tensors["keywords"]
            whitening = TextWhitening(*tensors["matrix"].shape)
            whitening.load_state_dict({k: tensors[k].float() for k in ("mean", "matrix")})
            fits = len(names) == len(codes) == len(concepts)
            inside = bool(((concepts >= 0) & (concepts < len(captions))).all())
            rank = whitening.matrix.shape[1]
            coded = all(x.dtype == torch.int8 and x.shape[1] == rank for x in (codes, keywords))
            if not (fits and inside and coded):
                raise ValueError("sizes differ")
            if not all(isinstance(text, str) for text in (*captions, *names)):
                raise ValueError("a name is no text")
        except (KeyError, ValueError, TypeError, IndexError, RuntimeError) as error:
            raise ModelFileError(f"the index of known concepts is damaged: {error}") from error
        return cls(
            captions=captions, names=names, concepts=concepts, codes=codes, keywords=keywords,
            whitening=whitening,
        )  # fmt: skip
