"""The factors of the named losses: fixed, learned by uncertainty, or by GradNorm.

A recipe's ``weights`` are the base factors; the learned factors multiply them. The learned factors
are a few plain numbers, which the checkpoint keeps exactly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from limner.errors import RecipeError
from limner.training.logs import numbers
from limner.training.processes import ProcessGroup
from limner.training.recipe import LossWeightingSection


@dataclass
class LearnedFactor:
    """One learned number and its Adam state (Kingma and Ba 2014, arXiv:1412.6980, algorithm 1)."""

    value: float
    mean: float = 0.0
    square: float = 0.0
    steps: int = 0

    def step(self, gradient: float, rate: float) -> None:
        """One Adam step; a gradient that is not finite is left out."""
        if not math.isfinite(gradient):
            return
        self.steps += 1
        self.mean += 0.1 * (gradient - self.mean)
        self.square += 0.001 * (gradient * gradient - self.square)
        mean = self.mean / (1 - 0.9**self.steps)
        square = self.square / (1 - 0.999**self.steps)
        self.value -= rate * mean / (math.sqrt(square) + 1e-8)


@dataclass
class LossWeighting:
    """Fixed factors of the losses of one optimizer group; base class of the learned kinds.

    Attributes:
        section: the recipe's ``train.balance``.
        base: factor of each loss by name; 1 where not given.
        group_name: name of the optimizer group, for messages.
        parameters: those of the group, by their names in the model.
        knobs: what was learned of each loss.
    """

    learns: ClassVar[bool] = False
    """Whether :meth:`learn` does anything, so that the means of the losses are needed."""
    kept: ClassVar[tuple[str, ...]] = ()
    """Names of what :meth:`state` holds besides the knobs."""

    section: LossWeightingSection
    base: Mapping[str, float]
    group_name: str = "model"
    parameters: Mapping[str, nn.Parameter] = field(default_factory=dict)
    knobs: dict[str, LearnedFactor] = field(default_factory=dict)

    def factor(self, name: str) -> float:
        """The factor of a loss now: the learned one times the base factor."""
        knob = self.knobs.get(name)
        return self.base.get(name, 1.0) * (1.0 if knob is None else self._learned(knob.value))

    def _learned(self, value: float) -> float:
        """The factor that a learned number stands for."""
        return value

    def weighted(self, losses: Mapping[str, Tensor], step: int, share: float = 1.0) -> Tensor:
        """The sum of the losses, each times its factor.

        Args:
            losses: of one micro-batch.
            step: which update it belongs to.
            share: the micro-batch's share of the whole batch.
        """
        return torch.stack([self.factor(k) * v.float() for k, v in losses.items()]).sum()

    def learn(self, losses: Mapping[str, float], group: ProcessGroup) -> None:
        """Update the learned factors after a step.

        Args:
            losses: means of the losses over the whole batch.
            group: the processes that share the batch.
        """

    def state(self) -> dict[str, Any]:
        """Plain values, for the checkpoint."""
        knobs = {name: asdict(knob) for name, knob in self.knobs.items()}
        return {"knobs": knobs, **{name: getattr(self, name) for name in self.kept}}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Set the state that :meth:`state` returned."""
        self.knobs = {name: LearnedFactor(**values) for name, values in state["knobs"].items()}
        for name in self.kept:
            setattr(self, name, dict(state[name]))

    def carry_over(self, other: LossWeighting) -> None:
        """Continue from the factors of the same group in a model of another size."""
        self.knobs = other.knobs

    def _bounded(self, value: float) -> float:
        return min(max(value, 1 / self.section.limit), self.section.limit)


class Uncertainty(LossWeighting):
    """Homoscedastic uncertainty (Kendall, Gal and Cipolla 2018, arXiv:1705.07115, eq. 7).

    With s = log sigma^2 learned for each loss, the loss of the group is twice that of the paper,
    ``sum_k exp(-s_k) b_k L_k + s_k`` (b: base factors). On a constant loss s converges to
    exp(s) = b L, where every weighted loss is 1. For a loss that is not positive there is no such
    s, and its factor ends at ``limit``.
    """

    learns = True

    def _learned(self, value: float) -> float:
        return math.exp(-value)

    def learn(self, losses: Mapping[str, float], group: ProcessGroup) -> None:
        """One step of every s; d/ds = 1 - exp(-s) b L."""
        for name, value in losses.items():
            if self.base.get(name, 1.0) == 0:
                continue
            knob = self.knobs.setdefault(name, LearnedFactor(0.0))
            knob.step(1 - self.factor(name) * value, self.section.lr)
            knob.value = -math.log(self._bounded(math.exp(-knob.value)))


@dataclass
class GradNorm(LossWeighting):
    """Gradient normalisation (Chen et al. 2018, arXiv:1711.02257, algorithm 1).

    With G_k = |grad_W w_k b_k L_k| over some shared parameters W, and r_k the current value of loss
    k over its first value, relative to the mean of these ratios, the factors w follow the gradient
    of sum_k |G_k - mean(G) r_k^alpha| (eq. 2, the target held constant) and are then scaled so
    that they sum to their number. A loss that does not depend on W keeps its factor.
    """

    learns = True
    kept = ("first", "shared")

    first: dict[str, float] = field(default_factory=dict)
    shared: dict[str, list[str]] = field(default_factory=dict)
    _gradients: dict[str, Tensor] = field(default_factory=dict)

    def weighted(self, losses: Mapping[str, Tensor], step: int, share: float = 1.0) -> Tensor:
        """The weighted sum; also computes the gradients of each loss at the shared parameters."""
        names = [n for n, v in losses.items() if v.requires_grad and self.base.get(n, 1.0) != 0]
        if step % self.section.every == 0 and len(names) > 1:
            shared = [self.parameters[name] for name in self._shared(losses, names)]
            for name in names:
                found = torch.autograd.grad(
                    losses[name], shared, retain_graph=True, allow_unused=True
                )
                flat = torch.cat([
                    (torch.zeros_like(p) if g is None else g).detach().double().flatten()
                    for g, p in zip(found, shared, strict=True)
                ])  # fmt: skip
                before = self._gradients.get(name)
                self._gradients[name] = share * flat if before is None else before + share * flat
        return super().weighted(losses, step, share)

    def learn(self, losses: Mapping[str, float], group: ProcessGroup) -> None:
        """One step of the factors of the losses whose gradients were computed."""
        if not self._gradients:
            return
        group.all_reduce(list(self._gradients.values()))
        found = numbers([gradient.norm() for gradient in self._gradients.values()])
        pairs = zip(self._gradients, found, strict=True)
        norms = {name: norm * self.base.get(name, 1.0) for name, norm in pairs}
        self._gradients = {}
        self.step_factors({n: v for n, v in norms.items() if v > 0 and math.isfinite(v)}, losses)

    def carry_over(self, other: LossWeighting) -> None:
        """Continue from another model's factors; the shared parameters are chosen again."""
        super().carry_over(other)
        if isinstance(other, GradNorm):
            self.first = other.first

    def step_factors(self, norms: Mapping[str, float], losses: Mapping[str, float]) -> None:
        """One step of the factors.

        Args:
            norms: |grad_W b_k L_k| of each loss, positive.
            losses: their values.
        """
        if len(norms) < 2:
            return
        knobs = {name: self.knobs.setdefault(name, LearnedFactor(1.0)) for name in norms}
        left = {name: self._left(name, losses[name]) for name in norms}
        mean_left = sum(left.values()) / len(left)
        mean = sum(knobs[name].value * norm for name, norm in norms.items()) / len(norms)
        for name, norm in norms.items():
            target = mean * (left[name] / mean_left) ** self.section.alpha
            apart = knobs[name].value * norm - target
            # Relative norms: the same direction for Adam, whatever the scale of the losses.
            knobs[name].step(math.copysign(norm / mean, apart) if apart else 0.0, self.section.lr)
            knobs[name].value = self._bounded(knobs[name].value)
        scale = len(knobs) / sum(knob.value for knob in knobs.values())
        for knob in knobs.values():
            knob.value *= scale

    def _left(self, name: str, value: float) -> float:
        """A loss over its first value; 1 where that ratio is not positive and finite."""
        first = self.first.setdefault(name, value)
        if not (first > 0 and value > 0 and math.isfinite(value / first)):
            return 1.0
        return value / first

    def _shared(self, losses: Mapping[str, Tensor], names: Sequence[str]) -> list[str]:
        """Names of the parameters W, chosen once for each set of losses."""
        key = " ".join(sorted(names))
        if key not in self.shared:
            wanted = self.section.shared
            self.shared[key] = self._named(wanted) if wanted else self._last(losses, names)
        return self.shared[key]

    def _named(self, parts: Sequence[str]) -> list[str]:
        found = [
            name
            for name in self.parameters
            if any(name == part or name.startswith(f"{part}.") for part in parts)
        ]
        if not found:
            raise RecipeError(
                f"train.balance.shared: {', '.join(parts)} names no weight of the optimizer "
                f"group {self.group_name!r}; there is: "
                + ", ".join(dict.fromkeys(name.partition(".")[0] for name in self.parameters))
            )
        return found

    def _last(self, losses: Mapping[str, Tensor], names: Sequence[str]) -> list[str]:
        known = list(self.parameters)
        reached = set(known)
        for name in names:
            found = torch.autograd.grad(
                losses[name], [self.parameters[n] for n in known],
                retain_graph=True, allow_unused=True,
            )  # fmt: skip
            reached &= {n for n, g in zip(known, found, strict=True) if g is not None}
        common = [n for n in known if n in reached]
        matrices = [n for n in common if self.parameters[n].ndim >= 2]
        if not common:
            raise RecipeError(
                f"train.balance: the losses of the optimizer group {self.group_name!r}, "
                f"{', '.join(names)}, reach no weight in common; "
                f"name the parts to compare them at with train.balance.shared"
            )
        return (matrices or common)[-1:]


KINDS: dict[str, type[LossWeighting]] = {
    "fixed": LossWeighting,
    "uncertainty": Uncertainty,
    "gradnorm": GradNorm,
}
"""By ``train.balance.kind``."""
