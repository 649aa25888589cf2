"""Low-rank adaptation: a large frozen network learns through a few small matrices.

Every linear map y = W x becomes y = W x + s B A x with A ``(r, in)`` and B ``(out, r)``, and only
A and B learn (Hu et al. 2021, arXiv:2106.09685, eq. 3; there s is alpha / r). B starts at zero, so
that nothing changes at first. A forward hook adds the matrices, so the network's own names stay
what they are and its pretrained weights load before or after.
"""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from limner.errors import UsageError

DOWN, UP = "lora_down", "lora_up"
"""Names of A and B beside the ``weight`` they adapt."""
SCALE = 2.0
"""s, the factor of the change."""


def add_lora(network: nn.Module, rank: int) -> list[nn.Parameter]:
    """Freeze a network and hang low-rank matrices onto its linear maps.

    Adapted are ``nn.Linear`` and the ``Conv1D`` of transformers' GPT-2, which is a linear map with
    its weight turned.

    Args:
        network: changed in place; nothing in it asks for gradients afterwards but what is added.
        rank: r; a map narrower than r gets its own width.

    Returns:
        What learns: A and B of every map, in the network's order.

    Raises:
        UsageError: the rank is below 1, or there is no linear map.
    """
    if rank < 1:
        raise UsageError(f"the rank of a low-rank adaptation must be at least 1, not {rank}")
    network.requires_grad_(False)
    added: list[nn.Parameter] = []
    for module in [m for m in network.modules() if _is_linear(m)]:
        like = module.get_parameter("weight")
        high, wide = like.shape if isinstance(module, nn.Linear) else reversed(like.shape)
        down = like.new_empty(min(rank, wide, high), wide)
        nn.init.kaiming_uniform_(down, a=math.sqrt(5))
        pair = nn.Parameter(down), nn.Parameter(like.new_zeros(high, len(down)))
        for name, parameter in zip((DOWN, UP), pair, strict=True):
            module.register_parameter(name, parameter)
        module.register_forward_hook(_add)
        added += pair
    if not added:
        raise UsageError("a low-rank adaptation found no linear map to adapt in this network")
    return added


# Needs nothing but the module it is called with, so that a deep copy of the network adapts itself.
def _add(module: nn.Module, given: tuple[Any, ...], out: Tensor) -> Tensor:
    low = F.linear(given[0], module.get_parameter(DOWN))  # (..., r)
    return out + SCALE * F.linear(low, module.get_parameter(UP))


def _is_linear(module: nn.Module) -> bool:
    kind = type(module)
    return isinstance(module, nn.Linear) or (
        kind.__name__ == "Conv1D" and kind.__module__.startswith("transformers.")
    )
