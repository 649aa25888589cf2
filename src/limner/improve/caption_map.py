"""What captions the pictures of many known drawings have, as a map that comes with limner.

A data set of a thousand pictures has few of each thing, so that what can be learned from itself
says little of a rare one. The map was fitted to the drawings that the shipped aligner learned from
(``tools/caption_map.py``): a kernel ridge regression from the aligner's vector of a picture to the
whitened sentence vector of its caption (Rasmussen and Williams 2006, section 8.3.1; spanned by some
of the drawings, Nystroem). The aligner's own space of captions is made for what it learned, and
mixes up rare names; sentence vectors tell those apart.

Shape letters: N drawings, L landmarks among them, E numbers of the aligner's vectors, D of sentence
vectors, M of whitened ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from limner.tensorfile import read_metadata, read_prefixed, write_tensors
from limner.vision.aligner import Aligner

SHIPPED_MAP = Path(__file__).with_name("caption_map.safetensors")
_LANDMARKS, _RIDGE, _SHARPNESS = 2048, 1.0, 2.0
"""Drawings that span the map, its ridge, and the median squared distance over the kernel's width.
Chosen on drawings that are neither learned from nor measured."""
_DIMENSIONS, _FLOOR = 200, 0.02
"""Of sentence vectors after whitening; least variance over the greatest."""
_STEPS = 127.0
_TILE = 2048


@dataclass(frozen=True)
class CaptionMap:
    """Pictures and captions brought to one space, where those that match are close.

    Attributes:
        whitening: of sentence vectors.
        middle: ``(E,)`` mean vector of the drawings.
        landmarks: ``(L, E)`` of unit length, less the middle.
        sharpness: what the squared distance is multiplied by in the kernel's exponent.
        weights: ``(L, M)`` of the regression.
    """

    whitening: Whitening
    middle: Tensor
    landmarks: Tensor
    sharpness: float
    weights: Tensor

    @classmethod
    def fit(cls, vectors: Tensor, sentences: Tensor, landmarks: int = _LANDMARKS) -> Self:
        """The map of N drawings.

        Args:
            vectors: ``(N, E)`` of an aligner.
            sentences: ``(N, D)`` sentence vectors of their captions.
            landmarks: L at most.
        """
        whitening = Whitening.fit(sentences)
        said, middle = whitening(sentences).double(), vectors.mean(0)
        rng = torch.Generator().manual_seed(1)
        chosen = torch.randperm(len(vectors), generator=rng)[:landmarks].sort().values
        spanning = F.normalize(vectors[chosen] - middle, dim=1)
        apart = torch.cdist(spanning[:1000], spanning[:1000]).square().median().clamp_min(1e-6)
        empty = cls(whitening, middle, spanning, _SHARPNESS / float(apart), spanning[:, :0])
        squares = torch.zeros(len(chosen), len(chosen), dtype=torch.float64)
        products = torch.zeros(len(chosen), said.shape[1], dtype=torch.float64)
        for rows in torch.split(torch.arange(len(vectors)), _TILE):
            seen = empty.kernel(vectors[rows])
            squares += (seen.T @ seen).double()
            products += seen.double().T @ said[rows]
        norm = empty.kernel(vectors[chosen]).double()
        ridge = _RIDGE * (norm + norm.T) / 2
        ridge += 1e-6 * len(vectors) * torch.eye(len(chosen), dtype=torch.float64)
        weights = torch.linalg.solve(squares + ridge, products).float()
        return cls(whitening, middle, spanning, empty.sharpness, weights)

    def kernel(self, vectors: Tensor) -> Tensor:
        """The Gaussian kernel of ``(B, E)`` vectors of pictures with the landmarks: ``(B, L)``."""
        seen = F.normalize(vectors - self.middle, dim=1)
        return torch.exp(-self.sharpness * torch.cdist(seen, self.landmarks).square())

    def pictures(self, vectors: Tensor) -> Tensor:
        """``(B, E)`` vectors of an aligner to ``(B, M)`` of unit length."""
        return F.normalize(self.kernel(vectors) @ self.weights, dim=1)

    def captions(self, sentences: Tensor) -> Tensor:
        """``(B, D)`` sentence vectors to ``(B, M)`` of unit length."""
        return self.whitening(sentences)

    def write(self, path: Path, fingerprint: str) -> None:
        """Write the map: a byte a number for the landmarks and the weights.

        Args:
            path: of a safetensors file.
            fingerprint: of the aligner whose vectors it maps.
        """
        tensors = {"middle": self.middle, "mean": self.whitening.mean,
                   "sharpness": torch.tensor(self.sharpness),
                   "directions": self.whitening.directions.half()}  # fmt: skip
        for name, rows in (("landmarks", self.landmarks), ("weights", self.weights)):
            scale = rows.abs().amax(0 if name == "weights" else 1, keepdim=True) / _STEPS
            tensors |= {name: (rows / scale).round().to(torch.int8), f"{name}.scale": scale}
        whole = {name: each.contiguous() for name, each in tensors.items()}
        write_tensors(path, whole, {"aligner": fingerprint})

    @classmethod
    def read(cls, path: Path) -> Self:
        """The map of a file.

        Raises:
            ModelFileError: it cannot be read.
        """
        found = read_prefixed(path, "")
        landmarks, weights = (found[name].float() * found[f"{name}.scale"]
                              for name in ("landmarks", "weights"))  # fmt: skip
        whitening = Whitening(found["mean"], found["directions"].float())
        return cls(whitening, found["middle"], landmarks, float(found["sharpness"]), weights)


@dataclass(frozen=True)
class Whitening:
    """Rows in their principal directions, each over its deviation, of unit length.

    Sentence vectors crowd together; the floor keeps the directions of chance small.

    Attributes:
        mean: ``(D,)``.
        directions: ``(D, M)``, divided by the deviations.
    """

    mean: Tensor
    directions: Tensor

    @classmethod
    def fit(cls, rows: Tensor) -> Self:
        """The whitening of ``(N, D)`` rows."""
        mean = rows.mean(0)
        counted = F.normalize(rows - mean, dim=1).double()
        variances, directions = torch.linalg.eigh(counted.T @ counted / len(counted))
        variances, directions = variances[-_DIMENSIONS:], directions[:, -_DIMENSIONS:]
        scale = (variances.clamp_min(0) + _FLOOR * variances[-1]).clamp_min(1e-12).rsqrt()
        return cls(mean, (directions * scale).float())

    def __call__(self, rows: Tensor) -> Tensor:
        """``(B, D)`` to ``(B, M)``."""
        return F.normalize(F.normalize(rows - self.mean, dim=1) @ self.directions, dim=1)


@cache
def _shipped() -> tuple[CaptionMap, str]:
    return CaptionMap.read(SHIPPED_MAP), read_metadata(SHIPPED_MAP).get("aligner", "")


def map_of(aligner: Aligner) -> CaptionMap | None:
    """The map that comes with limner, where it is of the vectors of an aligner."""
    if not SHIPPED_MAP.is_file():
        return None
    found, fingerprint = _shipped()
    return found if aligner.fingerprint == fingerprint else None
