"""The loss of pictures that are liked against those that are not, for families with an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from limner.models.base import Batch, Model

_M = TypeVar("_M", bound=Model)
REACH = 0.05
"""How much further than the reference the better picture's error is to fall than the worse one's,
as a share of both; beyond it a pair teaches nothing."""


def preference_losses(
    model: _M, reference: _M, better: Batch, worse: Batch, errors: Callable[[_M, Batch], Tensor]
) -> dict[str, Tensor]:
    """A DPO loss with linear utility, and the plain error of the better pictures as its guard.

    With z the gain of Diffusion-DPO (Wallace et al. 2023, arXiv:2311.12908, eq. 14),
    (e_ref - e)(better) - (e_ref - e)(worse), over the sum of both reference errors, the loss is the
    mean of max(0, REACH - z): linear in z instead of log sigmoid, and bounded, since the error of
    the worse picture could grow without end. The reference is a moving average of the model.

    Args:
        model: learns.
        reference: its moving average.
        better: B pictures that are liked, with the seeds they were drawn from.
        worse: for each one that is not.
        errors: of each picture under a model, ``(B,)``, at least 0; its randomness comes from the
            batch's generator, which is set alike for both models and both pictures.

    Returns:
        ``preference``, and ``liked``: the mean error of the better pictures.
    """
    seed = better.generator.get_state()

    def of(who: _M, batch: Batch) -> Tensor:
        batch.generator.set_state(seed)
        return errors(who, batch)

    with torch.no_grad():
        then = of(reference, better), of(reference, worse)
    now = of(model, better), of(model, worse)
    gain = ((then[0] - now[0]) - (then[1] - now[1])) / (then[0] + then[1]).clamp_min(1e-6)
    return {"preference": (REACH - gain).clamp_min(0).mean(), "liked": now[0].mean()}
