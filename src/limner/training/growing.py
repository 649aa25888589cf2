"""Progressive growing: small pictures first, in one run (Karras et al. 2018, section 2)."""

from __future__ import annotations

import numpy as np
import torch
from pydantic import ValidationError

from limner.errors import LimnerError
from limner.models.base import Model
from limner.training.explain import explain
from limner.training.optim import GroupOptimizer
from limner.training.recipe import Recipe

_STREAM = 11  # of the seeds from which fresh weights are drawn


class ProgressiveGrowing:
    """The picture sizes of a run, phase by phase.

    Args:
        recipe: its ``train.grow`` gives the smaller sizes.
        full: size of the last phase, pixels.
        stored: size of the pictures in the store.

    Raises:
        RecipeError: a size is not smaller than ``full``, or does not divide ``stored``.
    """

    def __init__(self, recipe: Recipe, full: int, stored: int) -> None:
        self.recipe = recipe
        phases = recipe.train.grow
        for number, phase in enumerate(phases):
            if phase.size >= full or stored % phase.size:
                raise recipe.error(
                    f"train.grow.{number}.size",
                    f"{phase.size} is not a smaller size that divides the pictures' {stored}; "
                    f"the run ends at {full}",
                )
        self.sizes = [*(phase.size for phase in phases), full]
        self.ends = [phase.until for phase in phases]

    def due(self, progress: float) -> int:
        """The phase that a share of the budget lies in."""
        return sum(end <= progress for end in self.ends)

    def at(self, model: Model, phase: int) -> Model:
        """A fresh model of the full size, grown phase by phase as a run grows it."""
        for number in range(phase + 1):
            if model.config.size != self.sizes[number]:
                model = self.grow(model, number)
        return model

    def grow(self, model: Model, phase: int) -> Model:
        """The model of a phase, made from that of the phase before.

        Weights that do not fit are drawn anew; they depend on the seed and the phase alone.

        Raises:
            RecipeError: the family has no model of that size.
        """
        seeds = [self.recipe.train.seed, _STREAM, phase]
        words = np.random.SeedSequence(seeds).generate_state(1, np.uint64)
        torch.manual_seed(int(words[0] >> np.uint64(1)))
        size = self.sizes[phase]
        try:
            return model.grown(size)
        except ValidationError as error:
            reason = explain(error, type(model.config), "model.")
        except (ValueError, LimnerError) as error:
            reason = str(error)
        raise self.recipe.error("train.grow", f"no model of {size} pixels: {reason}")


def carry_over(
    before: Model,
    after: Model,
    old: dict[str, GroupOptimizer],
    new: dict[str, GroupOptimizer],
) -> None:
    """Give the optimizers of a grown model the state of the parameters that were kept."""
    known = dict(before.named_parameters())
    twins = {
        parameter: known[name]
        for name, parameter in after.named_parameters()
        if name in known and known[name].shape == parameter.shape
    }
    for name in new.keys() & old.keys():
        new[name].adopt(old[name], twins)
