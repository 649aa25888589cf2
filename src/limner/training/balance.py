"""What each named loss weighs: fixed, by its uncertainty, or by the size of its gradient.

A recipe's ``weights`` are the base factors; what is learnt here multiplies them. All that is learnt
is a handful of plain numbers, kept exactly in the checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from limner.errors import RecipeError
from limner.training.processes import Crowd
from limner.training.recipe import BalanceSection


@dataclass
class Knob:
    """One learnt number and the state of its Adam (Kingma and Ba 2014, algorithm 1)."""

    value: float
    mean: float = 0.0
    square: float = 0.0
    steps: int = 0

    def turn(self, gradient: float, rate: float) -> None:
        """One step against the gradient; one that is no number is left out."""
        if not math.isfinite(gradient):
            return
        self.steps += 1
        self.mean += 0.1 * (gradient - self.mean)
        self.square += 0.001 * (gradient * gradient - self.square)
        mean = self.mean / (1 - 0.9**self.steps)
        square = self.square / (1 - 0.999**self.steps)
        self.value -= rate * mean / (math.sqrt(square) + 1e-8)


class Balance:
    """Fixed factors of one player's losses; the other kinds derive from it.

    Args:
        section: the recipe's ``train.balance``.
        base: factor of each loss by name; 1 where not given.
        player: whose losses, for messages.
        parameters: the player's, by name in the model.
    """

    def __init__(
        self,
        section: BalanceSection,
        base: Mapping[str, float],
        player: str = "model",
        parameters: Mapping[str, nn.Parameter] | None = None,
    ) -> None:
        self.section, self.base, self.player = section, base, player
        self.parameters = dict(parameters or {})
        self.knobs: dict[str, Knob] = {}

    def factor(self, name: str) -> float:
        """What a loss is multiplied with now."""
        return self.base.get(name, 1.0)

    def weighted(self, losses: Mapping[str, Tensor], step: int, share: float = 1.0) -> Tensor:
        """The sum of the losses, each times its factor.

        Args:
            losses: of one micro-batch.
            step: which update it belongs to.
            share: the micro-batch's share of the whole batch.
        """
        return torch.stack([self.factor(k) * v.float() for k, v in losses.items()]).sum()

    def learn(self, losses: Mapping[str, float], step: int, crowd: Crowd) -> None:
        """Take in the means of the losses over the batch of an update that is done."""

    @property
    def learns(self) -> bool:
        """Whether :meth:`learn` needs to be told anything."""
        return type(self) is not Balance

    def state(self) -> dict[str, Any]:
        """Plain values, for the checkpoint."""
        return {"knobs": {name: asdict(knob) for name, knob in self.knobs.items()}}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`state` gave."""
        self.knobs = {name: Knob(**values) for name, values in state["knobs"].items()}

    def carry_over(self, other: Balance) -> None:
        """Go on from what the same player's losses weighed in a model of another size."""
        self.knobs = other.knobs

    def _bounded(self, value: float) -> float:
        return min(max(value, 1 / self.section.limit), self.section.limit)


class Uncertainty(Balance):
    """Homoscedastic uncertainty (Kendall, Gal and Cipolla 2018, arXiv:1705.07115, eq. 7).

    With s = log sigma^2 learnt for each loss, the player's loss is, twice the paper's,
    ``sum_k exp(-s_k) b_k L_k + s_k`` (b: base factors). On a constant loss s rests where
    exp(s) = b L, so that every loss comes to weigh the same, 1. For a loss that is not positive
    there is no such place, and its factor ends at ``limit``.
    """

    def factor(self, name: str) -> float:
        """exp(-s) times the base factor."""
        knob = self.knobs.get(name)
        return self.base.get(name, 1.0) * (1.0 if knob is None else math.exp(-knob.value))

    def learn(self, losses: Mapping[str, float], step: int, crowd: Crowd) -> None:
        """One step of every s; d/ds = 1 - exp(-s) b L."""
        for name, value in losses.items():
            if self.base.get(name, 1.0) == 0:
                continue
            knob = self.knobs.setdefault(name, Knob(0.0))
            knob.turn(1 - self.factor(name) * value, self.section.lr)
            knob.value = -math.log(self._bounded(math.exp(-knob.value)))


class GradNorm(Balance):
    """Gradient normalisation (Chen et al. 2018, arXiv:1711.02257, algorithm 1).

    With G_k = |grad_W w_k b_k L_k| over some shared parameters W, and r_k the share of its first
    value that a loss still has, relative to the mean share, the factors w follow the gradient of
    sum_k |G_k - mean(G) r_k^alpha| (eq. 2, the target held constant) and are then scaled so that
    they sum to their number. A loss that does not reach W keeps its factor.
    """

    def __init__(
        self,
        section: BalanceSection,
        base: Mapping[str, float],
        player: str = "model",
        parameters: Mapping[str, nn.Parameter] | None = None,
    ) -> None:
        super().__init__(section, base, player, parameters)
        self.first: dict[str, float] = {}
        self.shared: dict[str, list[str]] = {}
        self._gradients: dict[str, Tensor] = {}

    def factor(self, name: str) -> float:
        """W times the base factor."""
        knob = self.knobs.get(name)
        return self.base.get(name, 1.0) * (1.0 if knob is None else knob.value)

    def weighted(self, losses: Mapping[str, Tensor], step: int, share: float = 1.0) -> Tensor:
        """The weighted sum; takes the gradients of each loss in passing."""
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

    def learn(self, losses: Mapping[str, float], step: int, crowd: Crowd) -> None:
        """One step of the factors of the losses whose gradients were taken."""
        if not self._gradients:
            return
        crowd.add(list(self._gradients.values()))
        norms = {
            name: float(gradient.norm()) * self.base.get(name, 1.0)
            for name, gradient in self._gradients.items()
        }
        self._gradients = {}
        self.balance({n: v for n, v in norms.items() if v > 0 and math.isfinite(v)}, losses)

    def carry_over(self, other: Balance) -> None:
        """Go on from another model's factors; where to compare gradients is chosen anew."""
        super().carry_over(other)
        if isinstance(other, GradNorm):
            self.first = other.first

    def balance(self, norms: Mapping[str, float], losses: Mapping[str, float]) -> None:
        """One step of the factors.

        Args:
            norms: |grad_W b_k L_k| of each loss, positive.
            losses: their values.
        """
        if len(norms) < 2:
            return
        knobs = {name: self.knobs.setdefault(name, Knob(1.0)) for name in norms}
        left = {name: self._left(name, losses[name]) for name in norms}
        mean_left = sum(left.values()) / len(left)
        mean = sum(knobs[name].value * norm for name, norm in norms.items()) / len(norms)
        for name, norm in norms.items():
            target = mean * (left[name] / mean_left) ** self.section.alpha
            apart = knobs[name].value * norm - target
            # Relative norms: the same direction for Adam, whatever the scale of the losses.
            knobs[name].turn(math.copysign(norm / mean, apart) if apart else 0.0, self.section.lr)
            knobs[name].value = self._bounded(knobs[name].value)
        scale = len(knobs) / sum(knob.value for knob in knobs.values())
        for knob in knobs.values():
            knob.value *= scale

    def _left(self, name: str, value: float) -> float:
        """The share of its first value that a loss still has; 1 where that means nothing."""
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
                f"train.balance.shared: {', '.join(parts)} names no weight of the player "
                f"{self.player!r}; there is: "
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
                f"train.balance: the losses of the player {self.player!r}, "
                f"{', '.join(names)}, reach no weight in common; "
                f"name the parts to compare them at with train.balance.shared"
            )
        return (matrices or common)[-1:]

    def state(self) -> dict[str, Any]:
        """Plain values, for the checkpoint."""
        return {**super().state(), "first": self.first, "shared": self.shared}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`state` gave."""
        super().restore(state)
        self.first, self.shared = dict(state["first"]), dict(state["shared"])


_KINDS: dict[str, type[Balance]] = {
    "fixed": Balance,
    "uncertainty": Uncertainty,
    "gradnorm": GradNorm,
}


def open_balance(
    section: BalanceSection,
    base: Mapping[str, float],
    player: str,
    parameters: Mapping[str, nn.Parameter],
) -> Balance:
    """The balance that a recipe names, for one player."""
    return _KINDS[section.kind](section, base, player, parameters)
