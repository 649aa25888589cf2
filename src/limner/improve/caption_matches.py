"""Which captions describe another picture, where most pictures have a caption of their own.

Three judges say how well a caption fits a picture: an aligner as it is; a kernel regression of the
data set itself, from pictures (the aligner's vectors, oriented gradients, colours) to captions,
fitted to nine tenths for the last tenth, in turn; and, with the shipped aligner, a map that was
fitted to many known drawings (``caption_map``). None of them knows every picture and every caption.
So what a bad fit says is learned from captions swapped on purpose (``swapped_captions``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from limner.arrays import Floats, Indices
from limner.improve.caption_map import Whitening, map_of
from limner.improve.class_chances import colour_fields, gradients
from limner.improve.swapped_captions import NEAREST, PairFacts, worse_than_swapped
from limner.reading.aligner import caption_vectors
from limner.vision.aligner import Aligner

OTHERS, SWAPS, _SWAPPED = 512, 4, 20_000
"""Other captions that each picture's own is compared with, those of them swapped for it, and
pictures whose captions are swapped at most."""
_FOLDS, _RIDGE, _LANDMARKS = 10, 0.3, 1024
"""Parts that are judged in turn; ridge of the kernel regression, and pictures it is spanned by."""
_ALIKE = 0.5
"""Cosine of whitened sentence vectors from which two captions may mean the same."""
_SEEN = 1024
"""Pictures from which it is known how common a caption is, and how well it fits at best."""
_TILE = 1024

Vectors = Callable[[Indices], Tensor]
"""``(B, E)`` of some of R pictures, by their numbers."""
Thumbs = Callable[[Indices], NDArray[np.uint8]]
"""``(B, 32, 32, 3)`` of some of R pictures, by their numbers."""


def better_captions(
    vectors: Vectors, thumbs: Thumbs, texts: Sequence[str], own: Indices, aligner: Aligner
) -> Floats:
    """The share of captions swapped on purpose that fit their pictures better than each one's own.

    Args:
        vectors: of some of the R pictures.
        thumbs: the same pictures, small.
        texts: the different captions; ten at least.
        own: ``(R,)`` which of them each picture has.
        aligner: made the vectors, and encodes the captions.

    Returns:
        ``(R,)`` float32: 0 where the own caption fits better than any that was swapped; about
        uniform in [0, 1] where it is of another picture.
    """
    needed, place = np.unique(own, return_inverse=True)
    words, sentences = caption_vectors(aligner, [texts[each] for each in needed.tolist()])
    place = place.astype(np.int64)
    words = _centred(words, place)
    kinds = sentences if sentences.shape[1] else words
    meaning = Whitening.fit(kinds[torch.from_numpy(place)])(kinds)
    both = F.normalize(torch.cat([words, meaning], 1), dim=1)
    mapped = _mapped(_kernel(vectors, thumbs, len(own)), both, place)
    fits = [_Fit(vectors, words, place), _Fit(mapped, both, place)]
    if sentences.shape[1] and (known := map_of(aligner)) is not None:
        pictures = known.pictures
        fits.append(_Fit(lambda part: pictures(vectors(part)), known.captions(sentences), place))
    judges = _Judges(fits, meaning, place)
    return worse_than_swapped(*judges.facts())


class _Judges:
    """What the judges say together, and how well they know a picture and a caption.

    Args:
        fits: of each judge.
        meaning: ``(T, D)`` of unit length; captions that mean the same are not swapped.
        own: ``(R,)`` which of the T captions each picture has.
    """

    def __init__(self, fits: Sequence[_Fit], meaning: Tensor, own: Indices) -> None:
        rng = np.random.default_rng(0)
        captions = int(own.max()) + 1
        self.fits, self.meaning, self.own = fits, meaning, torch.from_numpy(own)
        self.others = torch.from_numpy(rng.permutation(captions)[:OTHERS])
        self.seen = np.sort(rng.permutation(len(own))[:_SEEN])
        look = self._look(self.seen)
        parts = torch.split(torch.arange(captions), _TILE)
        known = [self._of_captions(look, part) for part in parts]
        self.nearest = torch.cat(known)

    def _look(self, part: Indices) -> Callable[[Tensor], Tensor]:
        """Of captions, how well they fit some pictures, in deviations over those of others."""
        seen = [fit.vectors(part) for fit in self.fits]
        others = [fit.of(each, self.others) for fit, each in zip(self.fits, seen, strict=True)]
        means = [each.mean(1, keepdim=True) for each in others]
        spreads = [each.std(1, keepdim=True).clamp_min(1e-6) for each in others]

        def fits(captions: Tensor) -> Tensor:
            said = zip(self.fits, seen, means, spreads, strict=True)
            found = [(fit.of(each, captions) - mean) / over for fit, each, mean, over in said]
            return torch.stack(found).mean(0)

        return fits

    def _of_captions(self, fits: Callable[[Tensor], Tensor], captions: Tensor) -> Tensor:
        """``(C, 2)`` of captions: how well they fit the ten pictures they fit best, and the best.

        In deviations over the pictures that are seen; those whose own they are do not count.
        """
        found = fits(captions)
        found = found.masked_fill(self.own[self.seen][:, None] == captions, torch.nan)
        mean = found.nanmean(0)
        spread = (found - mean).square().nanmean(0).sqrt().clamp_min(1e-6)
        best = found.nan_to_num(nan=-torch.inf).topk(min(NEAREST, len(found)), 0).values
        best = torch.maximum(best, mean)
        return torch.stack([best.mean(0) - mean, best[0] - mean], 1) / spread[:, None]

    def facts(self) -> tuple[PairFacts, PairFacts, Indices]:
        """Of own captions ``(R, 5)``, of swapped ones ``(P, 5)``, and the pictures of these."""
        rng = torch.Generator().manual_seed(0)
        mine, swapped, pictures = [], [], []
        learned = np.zeros(len(self.own), bool)
        learned[np.random.default_rng(2).permutation(len(self.own))[:_SWAPPED]] = True
        for part in _parts(len(self.own)):
            own, look = self.own[part][:, None], self._look(part)
            rest = self.others == own
            fits = look(self.others).masked_fill(rest, -torch.inf)
            best = fits.topk(min(NEAREST + 1, fits.shape[1] - 2), 1)
            wanted, place = torch.unique(own, return_inverse=True)
            fit = look(wanted).gather(1, place)
            mine.append(self._pairs(fit, own, best.values[:, None]))
            alike = self.meaning[own[:, 0]] @ self.meaning[self.others].T > _ALIKE
            spared = rest | alike | ~torch.from_numpy(learned[part])[:, None]
            drawn = torch.rand(fits.shape, generator=rng).masked_fill(spared, -1)
            allowed, places = drawn.topk(SWAPS, 1)
            # The caption that is swapped in is not one of the others that it is compared with.
            same = best.indices[:, None] == places[:, :, None]
            values = best.values[:, None].masked_fill(same, -torch.inf)
            values = values.sort(2, descending=True).values
            captions = self.others[places]
            pairs = self._pairs(fits.gather(1, places), captions, values)
            kept = allowed >= 0
            swapped.append(pairs[kept])
            pictures.append(part[kept.nonzero()[:, 0].numpy()])
        facts = (torch.cat(mine)[:, 0].numpy(), torch.cat(swapped).numpy())
        return *facts, np.concatenate(pictures)

    def _pairs(self, fits: Tensor, captions: Tensor, best: Tensor) -> Tensor:
        """``(B, K, 5)`` what is known of K captions of each picture; ``best`` is of others."""
        ten = best[..., : min(NEAREST, best.shape[-1] - 1)]
        picture = torch.stack([ten.mean(-1), ten[..., 0]], -1)
        return torch.cat([
            fits[..., None], picture.expand(*fits.shape, 2), self.nearest[captions],
        ], -1)  # fmt: skip


class _Fit:
    """How well captions fit pictures, by vectors of both.

    Twice their cosine less the caption's mean cosine with the pictures nearest to it (CSLS, Conneau
    et al. 2018, arXiv:1710.04087, eq. 2): captions that fit everything fit nothing.

    Args:
        vectors: ``(B, E)`` of some of R pictures.
        words: ``(T, E)`` of the captions.
        own: ``(R,)`` which of them each picture has.
    """

    def __init__(self, vectors: Vectors, words: Tensor, own: Indices) -> None:
        rng = np.random.default_rng(0)
        self.vectors, self.words = vectors, words
        seen = vectors(np.sort(rng.permutation(len(own))[:_SEEN]))
        nearest = min(NEAREST, len(seen))
        self.common = torch.cat([
            (part @ seen.T).topk(nearest, 1).values.mean(1) for part in torch.split(words, _TILE)
        ])  # fmt: skip

    def of(self, images: Tensor, captions: Tensor) -> Tensor:
        """``(B, C)`` of vectors ``(B, E)`` of pictures, and captions by their numbers."""
        return 2 * images @ self.words[captions].T - self.common[captions]


def _centred(rows: Tensor, own: Indices) -> Tensor:
    """Rows less their mean over the pictures, of unit length."""
    return F.normalize(rows - rows[torch.from_numpy(own)].mean(0), dim=1)


def _kernel(vectors: Vectors, thumbs: Thumbs, count: int) -> Vectors:
    """Pictures by their Gaussian kernel with some of them, which span a regression (Nystroem).

    The squared distance is the mean of those of the vectors, the gradients and the colours, each
    over its median.
    """
    landmarks = np.sort(np.random.default_rng(1).permutation(count)[:_LANDMARKS])

    def views(part: Indices) -> list[Tensor]:
        small = thumbs(part)
        seen = (gradients(small), colour_fields(small))
        return [vectors(part), *(torch.from_numpy(each) for each in seen)]

    known = views(landmarks)
    means = [known[0].mean(0), known[1].mean(0), known[2].mean(0)]

    def scaled(view: list[Tensor]) -> list[Tensor]:
        # The vectors are of unit length as they are.
        rest = zip(view[1:], means[1:], strict=True)
        return [view[0], *(F.normalize(each - mean, dim=1) for each, mean in rest)]

    kept = scaled(known)
    medians = [torch.cdist(each, each).square().median().clamp_min(1e-6) for each in kept]

    def kernel(part: Indices) -> Tensor:
        sides = zip(scaled(views(part)), kept, medians, strict=True)
        apart = [torch.cdist(one, other).square() / median for one, other, median in sides]
        return torch.exp(-torch.stack(apart).mean(0))

    return kernel


def _mapped(kernel: Vectors, words: Tensor, own: Indices) -> Vectors:
    """Pictures mapped to captions by kernel ridge regressions that were not fitted to them.

    Of the functions that the landmarks span, that with the least squared errors plus the ridge
    times its squared norm (Rasmussen and Williams 2006, section 8.3.1).

    Args:
        kernel: ``(B, L)`` of some of R pictures with L landmarks.
        words: ``(T, F)`` of the captions.
        own: ``(R,)`` which of them each picture has.

    Returns:
        ``(B, F)`` of unit length of some pictures.
    """
    count = len(own)
    fold = np.random.default_rng(0).permutation(count) % _FOLDS
    landmarks = np.sort(np.random.default_rng(1).permutation(count)[:_LANDMARKS])
    norm = kernel(landmarks).double()
    answers = words.double()
    answers = answers - answers[torch.from_numpy(own)].mean(0)
    size = len(landmarks)
    squares = torch.zeros(_FOLDS, size, size, dtype=torch.float64)
    products = torch.zeros(_FOLDS, size, words.shape[1], dtype=torch.float64)
    for part in _parts(count):
        seen, said = kernel(part).double(), answers[torch.from_numpy(own[part])]
        for turn in range(_FOLDS):
            these = torch.from_numpy(fold[part] == turn)
            squares[turn] += seen[these].T @ seen[these]
            products[turn] += seen[these].T @ said[these]
    total, both = squares.sum(0), products.sum(0)
    ridge = _RIDGE * (norm + norm.T) / 2 + 1e-6 * size * torch.eye(size, dtype=torch.float64)
    factors = torch.linalg.cholesky(total - squares + ridge)
    maps = torch.cholesky_solve(both - products, factors).float()

    def mapped(part: Indices) -> Tensor:
        seen = kernel(part)
        found = torch.empty(len(part), words.shape[1])
        for turn in range(_FOLDS):
            these = torch.from_numpy(fold[part] == turn)
            found[these] = seen[these] @ maps[turn]
        return F.normalize(found, dim=1)

    return mapped


def _parts(count: int) -> list[Indices]:
    """The numbers below a count, in parts."""
    return [np.arange(start, min(start + _TILE, count)) for start in range(0, count, _TILE)]
