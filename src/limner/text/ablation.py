"""Text encoders without meaning: the controls of what a generator learns from a language model.

See ``benchmarks/ablation.py``: a random vector for every caption, and a random orthogonal vector
for every concept, which is an ideal class embedding.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np
import torch

from limner.errors import DataError, UsageError
from limner.specs import fingerprint
from limner.text.base import TextFeatures
from limner.text.validate import canonical_all

_VERSION = 1


class RandomTextEncoder:
    """Gives every text a pseudo-random unit vector of its own, from the text's hash; one token.

    Raises:
        UsageError: a number out of range.
    """

    def __init__(self, dim: int, seed: int = 0) -> None:
        if not 1 <= dim <= 65_536 or seed < 0:
            raise UsageError(f"random text vectors need 1 to 65536 numbers, not {dim}")
        self.dim, self.seed = dim, seed
        self.spec = f"random:{dim}" + (f"?seed={seed}" if seed else "")
        self.fingerprint = fingerprint("random", dim, seed, _VERSION)

    def vector(self, text: str) -> np.ndarray:
        """The ``(D,)`` float32 unit vector of one canonical text."""
        digest = hashlib.blake2b(f"{self.seed}/{text}".encode(), digest_size=8).digest()
        generator = np.random.Generator(np.random.Philox(int.from_bytes(digest, "little")))
        values = generator.standard_normal(self.dim)
        return np.asarray(values / np.linalg.norm(values), np.float32)

    def encode(self, texts: Sequence[str]) -> TextFeatures:
        """Features of B texts: tokens ``(B, L, D)``."""
        legal = canonical_all(texts)
        rows = np.array([self.vector(text) for text in legal], np.float32).reshape(-1, self.dim)
        pooled = torch.from_numpy(rows)
        one = torch.ones(len(legal), 1, dtype=torch.bool)
        return TextFeatures(pooled[:, None].clone(), one, pooled)


class ClassEncoder(RandomTextEncoder):
    """Gives every concept a vector orthogonal to all others, and texts without concept random ones.

    Args:
        path: a JSON object, text -> name of its concept.
        dim: D, at least the number of concepts.
        seed: another seed gives other vectors.

    Raises:
        DataError: the file cannot be read or is no such object.
    """

    def __init__(self, path: str | Path, dim: int, seed: int = 0) -> None:
        super().__init__(dim, seed)
        try:
            raw = Path(path).read_bytes()
            given = json.loads(raw)
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"cannot read the concepts of texts from {path}: {error}") from error
        if not isinstance(given, dict) or not given:
            raise DataError(f"{path} is not a JSON object of texts and their concepts")
        texts = canonical_all([str(text) for text in given])
        concepts = {name: i for i, name in enumerate(sorted({str(v) for v in given.values()}))}
        if len(concepts) > dim:
            raise DataError(f"{path} names {len(concepts)} concepts, more than fit in {dim}")
        self._row = {t: concepts[str(name)] for t, name in zip(texts, given.values(), strict=True)}
        noise = np.random.default_rng([seed, 5]).standard_normal((dim, len(concepts)))
        self._vectors = np.linalg.qr(noise)[0].T.astype(np.float32)  # K D, orthonormal
        self.spec = f"class:{quote(str(path))}?dim={dim}" + (f"&seed={seed}" if seed else "")
        digest = hashlib.sha256(raw).hexdigest()[:16]
        self.fingerprint = fingerprint("class", digest, dim, seed, _VERSION)

    def vector(self, text: str) -> np.ndarray:
        """The vector of the text's concept, or a random one where it has none."""
        row = self._row.get(text)
        return super().vector(text) if row is None else self._vectors[row]
