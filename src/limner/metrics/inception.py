"""The Inception Score, by whatever classifier is handed in."""

from __future__ import annotations

import torch
from torch import Tensor

from limner.errors import DataError

SPLITS = 10


def inception_score(log_probs: Tensor, splits: int = SPLITS, seed: int = 0) -> tuple[float, float]:
    """``exp(E_x KL(p(y|x) | p(y)))`` of parts of N pictures: mean and standard deviation.

    Salimans et al., Improved Techniques for Training GANs, NeurIPS 2016, section 4. Between 1
    (every picture has the same class probabilities) and K (every picture is certainly of one
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
