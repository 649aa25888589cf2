"""The Inception Score, by whatever classifier is handed in."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from limner.errors import DataError, UsageError
from limner.metrics.features import FeatureNetwork

SPLITS = 10


def inception_score(log_probs: Tensor, splits: int = SPLITS, seed: int = 0) -> tuple[float, float]:
    """``exp(E_x KL(p(y|x) | p(y)))`` of parts of N pictures: mean and standard deviation.

    Salimans et al., Improved Techniques for Training GANs, NeurIPS 2016, section 4. Between 1
    (every picture looks like the same mixture of classes) and K (every picture is surely of one
    class, and all classes come equally often).

    Args:
        log_probs: ``(N, K)`` log-probabilities of the classes.
        splits: parts; each needs a picture.
        seed: of the order in which the pictures are split.

    Raises:
        DataError: fewer pictures than parts.
    """
    if len(log_probs) < splits:
        raise DataError(f"{len(log_probs)} pictures cannot be split into {splits} parts")
    order = torch.randperm(len(log_probs), generator=torch.Generator().manual_seed(seed))
    scores = []
    for part in log_probs.double()[order].chunk(splits):
        marginal = part.exp().mean(0, keepdim=True)
        # 0 log 0 = 0: a class that is out of the question adds nothing.
        gain = torch.special.xlogy(part.exp(), part.exp()) - torch.special.xlogy(
            part.exp(), marginal
        )
        scores.append(gain.sum(1).mean().exp())
    found = torch.stack(scores)
    return found.mean().item(), found.std().item() if len(found) > 1 else 0.0


class InceptionScore:
    """The score over a stream of pictures.

    Args:
        network: a classifier.
        splits: parts.

    Raises:
        UsageError: the network knows no classes.
    """

    def __init__(self, network: FeatureNetwork, splits: int = SPLITS) -> None:
        if not network.classes:
            raise UsageError(
                f"the feature network {network.spec!r} knows no classes, so there is no Inception "
                f"Score by it; choose a classifier, such as 'fashion' or own:PATH"
            )
        self.network, self.splits = network, splits
        self._rows: list[Tensor] = []

    def update(self, images: Tensor, captions: Sequence[str] = ()) -> None:
        """Take in ``(B, 3, H, W)`` pictures in [-1, 1]; the captions do not matter."""
        found = self.network.extract(images)
        if found.log_probs is None:
            raise UsageError(f"the feature network {self.network.spec!r} names no class")
        self._rows.append(found.log_probs)

    def compute(self) -> dict[str, float]:
        """``inception`` and ``inception_std`` over the parts, ``count``.

        Raises:
            DataError: fewer pictures than parts.
        """
        rows = torch.cat(self._rows) if self._rows else torch.zeros(0, 1)
        mean, spread = inception_score(rows, self.splits)
        return {"inception": mean, "inception_std": spread, "count": float(len(rows))}
