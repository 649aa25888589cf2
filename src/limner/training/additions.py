"""What a run that added pictures to a model has learned of them, and what the model kept."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from limner.data.selection import Selection
from limner.data.store import Caption, Store
from limner.generation.generator import Generator, load
from limner.generation.prompts import PromptWarning
from limner.generation.requests import DrawRequest
from limner.metrics.judge import load_judge
from limner.modelfile import load_model
from limner.models.exemplars import ExemplarPrior
from limner.models.settings import Settings
from limner.models.similarity import psnr
from limner.models.vae import VAE
from limner.shipped import find_model
from limner.training.recipe import Recipe
from limner.vision.pixels import to_tensor

_LOOKED_AT = 32
"""Pictures of each kind that are drawn."""


def report_additions(path: Path, recipe: Recipe) -> list[str]:
    """What was learned and what was kept, a line each; none where no pictures were added.

    Of up to 32 of the added pictures each is drawn from its caption, in its style. It is recognised
    if, of all these pictures, that with the caption is nearest to the drawing by the judge's
    features. As many drawings of the model before are drawn again and recognised among themselves.

    Args:
        path: the model after the run.
        recipe: of the run, whose ``init`` is the model before.
    """
    if recipe.init is None:
        return []
    before, _ = load_model(find_model(recipe.init))
    if not isinstance(before, VAE):  # it may be of a family that does not draw
        return []
    after = load(path)
    assert isinstance(after.model, VAE)
    prior = after.model.prior
    if not isinstance(prior, ExemplarPrior) or not int(prior.first):
        return []
    true, captions, found = _own(after, recipe)
    own = _recognised(found, true, captions)
    rows = _spread(int(prior.first))
    with torch.inference_mode():
        latents = [prior.latents(row[None]) for row in rows]
        now, then = (
            torch.cat([model.decode(each) for each in latents]).clamp(-1, 1)
            for model in (after.model, before)
        )
    kept, same = _recognised(now, then, rows.tolist()), float(psnr(now, then).mean())
    return [
        f"learned: {own} of {len(found)} added pictures are recognised in what is drawn of their "
        "captions",
        f"kept: {kept} of {len(now)} earlier drawings are recognised; "
        + ("none has changed" if math.isinf(same) else f"they differ by {same:.1f} dB (PSNR)"),
    ]


def _own(after: Generator, recipe: Recipe) -> tuple[Tensor, list[str], Tensor]:
    """Added pictures ``(B, 3, S, S)``, their captions, and what is drawn of these."""
    names = [recipe.data.store] if isinstance(recipe.data.store, str) else recipe.data.store
    true, captions, requests = [], [], []
    for store in map(Store.open, names):
        rows = Selection(recipe.data.filters or {}).rows(store)
        for row in rows[_spread(len(rows), -(-_LOOKED_AT // len(names))).numpy()].tolist():
            caption = _english(store.captions(row))
            style = store.metadata(row).get("style") or store.name
            if caption and style in after.styles:
                true.append(to_tensor(store.batch([row])))
                captions.append(caption)
                requests.append(DrawRequest(caption, 0, Settings(style=style, variety=0)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PromptWarning)
        drawn = [to_tensor([np.asarray(each.image)]) for each in after.draw(requests)]
    none = [torch.zeros(0, 3, 1, 1)]
    return torch.cat(true or none), captions, torch.cat(drawn or none)


def _english(captions: Sequence[Caption]) -> str:
    """The heaviest English caption, or the heaviest of all."""
    best = max(captions, key=lambda each: (each.lang == "en", each.weight), default=None)
    return "" if best is None else best.text


def _recognised(drawn: Tensor, true: Tensor, names: Sequence[object]) -> int:
    """How many of B drawings are nearest to a true picture of the same name."""
    if not len(true):
        return 0
    judge = load_judge()
    nearest = (judge.features(drawn) @ judge.features(true).T).argmax(1).tolist()
    return sum(names[one] == name for one, name in zip(nearest, names, strict=True))


def _spread(count: int, wanted: int = _LOOKED_AT) -> Tensor:
    """Numbers below ``count``, evenly apart, at most as many as wanted."""
    return torch.linspace(0, count - 1, min(count, wanted)).long()
