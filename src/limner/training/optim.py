"""One optimizer for each optimizer group, whose state a checkpoint stores exactly.

AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101, algorithm 2), or for matrices Muon (Jordan et
al. 2024, "Muon: an optimizer for hidden layers in neural networks"), both torch's own; gradients
are clipped by their norm (Pascanu et al. 2013, arXiv:1211.5063, algorithm 1).
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from limner.errors import ModelFileError, RecipeError
from limner.models.base import ParameterGroup
from limner.training.dynamo import never_compiled
from limner.training.recipe import TrainSection

never_compiled(
    *(
        getattr(torch.optim.Optimizer, name)
        for name in ("add_param_group", "load_state_dict", "state_dict", "zero_grad")
    )
)


class OptimizerGroups:
    """The optimizer groups of a model, of which one at a time requires gradients.

    Args:
        groups: :attr:`limner.models.base.Model.optimizer_groups`, read once before training.
    """

    def __init__(self, groups: dict[str, ParameterGroup]) -> None:
        self.groups = groups
        self._all = list({p: None for g in groups.values() for p in g.every})

    def only(self, name: str) -> None:
        """Let only one group's parameters require gradients, and clear all gradients."""
        for parameter in self._all:
            parameter.grad = None
        if len(self.groups) > 1:
            mine = set(self.groups[name].every)
            for parameter in self._all:
                parameter.requires_grad_(parameter in mine)


class GroupOptimizer:
    """Updates the parameters of one optimizer group.

    Args:
        name: of the group; prefixes its state in a checkpoint.
        group: its parameters; their order is the order of the state.
        section: learning rates, weight decay and optimizer of the recipe.

    Raises:
        RecipeError: the installed torch has no such optimizer.
    """

    def __init__(self, name: str, group: ParameterGroup, section: TrainSection) -> None:
        self.name = name
        self.parameters = group.every
        self.clip_norm = section.clip_norm
        matrices = [p for p in group.parameters if p.ndim >= 2]
        rest = [p for p in group.parameters if p.ndim < 2]
        self._parts: list[torch.optim.Optimizer] = []
        if section.optimizer == "muon":
            flat = [p for p in matrices if p.ndim == 2]
            matrices = [p for p in matrices if p.ndim != 2]
            if flat:
                self._parts.append(_muon(flat, section, group.lr_scale))
        lr, decay = section.lr * group.lr_scale, section.weight_decay
        groups = [
            {"params": matrices, "lr": lr, "weight_decay": decay},
            {"params": rest, "lr": lr, "weight_decay": 0.0},
            # Pretrained weights do not decay towards zero.
            {"params": group.apart, "lr": group.apart_lr, "weight_decay": 0.0},
        ]
        if groups := [each for each in groups if each["params"]]:
            betas = group.betas or section.betas
            self._parts.append(torch.optim.AdamW(groups, betas=betas, fused=True))
        for part in self._parts:
            for settings in part.param_groups:
                settings["full_lr"] = settings["lr"]

    def step(self, factor: float) -> Tensor:
        """Clip the gradients and update the parameters.

        Args:
            factor: of the full learning rate.

        Returns:
            The norm of the gradients before clipping, a scalar on the parameters' device.
        """
        limit = float("inf") if self.clip_norm is None else self.clip_norm
        norm = nn.utils.clip_grad_norm_(self.parameters, limit)
        for part in self._parts:
            for settings in part.param_groups:
                settings["lr"] = settings["full_lr"] * factor
            with torch.no_grad():
                inspect.unwrap(type(part).step)(part)  # what is around it imports the compiler
        return norm

    def state(self) -> dict[str, Tensor]:
        """Every tensor of the optimizer state: ``group.index.name -> tensor``."""
        tensors: dict[str, Tensor] = {}
        for index, parameter in enumerate(self.parameters):
            for part in self._parts:
                for key, value in part.state.get(parameter, {}).items():
                    if value is not None:
                        tensors[f"{self.name}.{index}.{key}"] = torch.as_tensor(value)
        return tensors

    def adopt(self, other: GroupOptimizer, twins: Mapping[nn.Parameter, nn.Parameter]) -> None:
        """Copy the state of another optimizer's parameters.

        Args:
            other: of the same group of another model.
            twins: parameter of this optimizer -> the other's parameter, of the same shape.
        """
        states = {p: s for part in other._parts for p, s in part.state.items()}
        for part in self._parts:
            for parameter in (p for group in part.param_groups for p in group["params"]):
                state = states.get(twins[parameter]) if parameter in twins else None
                if state:
                    part.state[parameter] = {
                        key: _laid_out(value, parameter) for key, value in state.items()
                    }

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Set the state that :meth:`state` returned.

        Raises:
            ModelFileError: the state belongs to other parameters.
        """
        owners = {p: part for part in self._parts for g in part.param_groups for p in g["params"]}
        for name, value in tensors.items():
            group, number, key = name.rsplit(".", 2)
            if group != self.name:
                continue
            if int(number) >= len(self.parameters):
                raise ModelFileError(f"the checkpoint's optimizer state {name} fits no parameter")
            parameter = self.parameters[int(number)]
            state: dict[str, Any] = owners[parameter].state[parameter]
            state[key] = _laid_out(value, parameter)


def _laid_out(value: Tensor, parameter: nn.Parameter) -> Tensor:
    """A copy in the parameter's own memory layout, so that every kernel rounds as it did before."""
    if value.shape == parameter.shape:
        return torch.empty_like(parameter, dtype=value.dtype).copy_(value)
    return value.to(parameter.device, copy=True)


def _muon(
    parameters: list[nn.Parameter], section: TrainSection, scale: float
) -> torch.optim.Optimizer:
    kind = getattr(torch.optim, "Muon", None)
    if kind is None:
        raise RecipeError(
            f"train.optimizer: torch {torch.__version__} has no Muon; use adamw or torch 2.9"
        )
    optimizer: torch.optim.Optimizer = kind(
        parameters, lr=section.muon_lr * scale, weight_decay=section.weight_decay
    )
    return optimizer
