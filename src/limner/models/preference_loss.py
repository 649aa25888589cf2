"""The loss of pictures that are liked against others, for families with an error of a picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from limner.models.base import Batch, Model

_M = TypeVar("_M", bound=Model)


def preference_losses(
    model: _M,
    reference: _M,
    better: Batch,
    worse: Batch,
    *,
    errors: Callable[[_M, Batch], Tensor],
    scale: Tensor,
    reach: float,
) -> dict[str, Tensor]:
    """A DPO loss with linear utility.

    With z the gain of Diffusion-DPO (Wallace et al. 2023, arXiv:2311.12908, eq. 14),
    (e_ref - e)(better) - (e_ref - e)(worse), and s the sum of both reference errors, the loss is
    the mean of max(0, reach s - z) / scale: linear in z instead of log sigmoid, and bounded, since
    the error of the worse picture could grow without end.

    Args:
        model: learns.
        reference: the model before it learned from votes.
        better: B pictures that are liked.
        worse: for each one that is not.
        errors: of each picture under a model, ``(B,)``, at least 0; its randomness comes from the
            batch's generator, which is set alike for both models and both pictures.
        scale: ``(B,)``, positive.
        reach: how much further than the reference the better picture's error is to fall than the
            worse one's, as a share of both; beyond it a pair teaches nothing.
    """
    seed = better.generator.get_state()

    def of(who: _M, batch: Batch) -> Tensor:
        batch.generator.set_state(seed)
        return errors(who, batch)

    with torch.no_grad():
        then = of(reference, better), of(reference, worse)
    now = of(model, better), of(model, worse)
    gain = (then[0] - now[0]) - (then[1] - now[1])
    missing = (reach * (then[0] + then[1]) - gain).clamp_min(0)
    return {"preference": (missing / scale).mean()}
