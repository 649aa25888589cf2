"""Low-rank adaptation: a large frozen network learns through a few small matrices.

Every linear map y = W x becomes y = W x + s B A x with A ``(r, in)`` and B ``(out, r)``, and only
A and B learn (Hu et al. 2021, arXiv:2106.09685, eq. 3; there s is alpha / r). B starts at zero, so
that nothing changes at first.

The matrices are hung onto the maps they adapt and added by a forward hook, so the network's own
names stay what they are and its pretrained weights load before or after. ``peft`` does as much and
more; these lines need no further packages, and their state is a handful of named tensors that fit
into a model file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limner.errors import UsageError

DOWN, UP = "lora_down", "lora_up"
"""Names of A and B beside the ``weight`` they adapt."""


def _every(name: str) -> bool:
    return True


def add_lora(
    network: nn.Module,
    rank: int,
    *,
    scale: float = 2.0,
    adapts: Callable[[str], bool] = _every,
) -> list[nn.Parameter]:
    """Freeze a network and hang low-rank matrices onto its linear maps.

    Adapted are ``nn.Linear`` and the ``Conv1D`` of transformers' GPT-2, which is a linear map with
    its weight turned.

    Args:
        network: changed in place; nothing in it asks for gradients afterwards but what is added.
        rank: r; a map narrower than r gets its own width.
        scale: s.
        adapts: by the map's dotted name, whether it is adapted.

    Returns:
        What learns: A and B of every map, in the network's order.

    Raises:
        UsageError: the rank is below 1, or no map is adapted.
    """
    if rank < 1:
        raise UsageError(f"the rank of a low-rank adaptation must be at least 1, not {rank}")
    network.requires_grad_(False)
    added: list[nn.Parameter] = []
    for module in [m for n, m in network.named_modules() if _is_linear(m) and adapts(n)]:
        wide, high = _shape(module)
        r = min(rank, wide, high)
        like = module.get_parameter("weight")
        down = torch.empty(r, wide, dtype=like.dtype, device=like.device)
        nn.init.kaiming_uniform_(down, a=math.sqrt(5))
        module.register_parameter(DOWN, nn.Parameter(down))
        module.register_parameter(UP, nn.Parameter(like.new_zeros(high, r)))
        module.lora_scale = scale
        module.register_forward_hook(_add)
        added += [module.get_parameter(DOWN), module.get_parameter(UP)]
    if not added:
        raise UsageError("a low-rank adaptation found no linear map to adapt in this network")
    return added


def lora_state(network: nn.Module) -> dict[str, Tensor]:
    """What was added, by name: the part of the ``state_dict`` that learns."""
    return {n: t for n, t in network.state_dict().items() if n.rpartition(".")[2] in (DOWN, UP)}


@torch.no_grad()
def merge_lora(network: nn.Module) -> nn.Module:
    """Fold s B A into W and take the matrices off again: the same function at the old price."""
    for module in network.modules():
        if DOWN not in module._parameters:
            continue
        change = _scale(module) * (module.get_parameter(UP) @ module.get_parameter(DOWN))
        weight = module.get_parameter("weight")
        weight.add_(change if isinstance(module, nn.Linear) else change.T)
        del module._parameters[DOWN], module._parameters[UP]
        for key in [k for k, hook in module._forward_hooks.items() if hook is _add]:
            del module._forward_hooks[key]
    return network


def adapted(network: nn.Module) -> Iterator[str]:
    """Dotted names of the maps that carry matrices."""
    for name, module in network.named_modules():
        if DOWN in module._parameters:
            yield name


# Needs nothing but the module it is called with, so that a deep copy of the network adapts itself.
def _add(module: nn.Module, given: tuple[Any, ...], out: Tensor) -> Tensor:
    low = F.linear(given[0], module.get_parameter(DOWN))  # (..., r)
    return out + _scale(module) * F.linear(low, module.get_parameter(UP))


def _scale(module: nn.Module) -> float:
    return float(module.lora_scale)  # type: ignore[arg-type]


def _is_linear(module: nn.Module) -> bool:
    kind = type(module)
    return isinstance(module, nn.Linear) or (
        kind.__name__ == "Conv1D" and kind.__module__.startswith("transformers.")
    )


def _shape(module: nn.Module) -> tuple[int, int]:
    """Numbers that go in, numbers that come out."""
    high, wide = module.get_parameter("weight").shape
    return (wide, high) if isinstance(module, nn.Linear) else (high, wide)
