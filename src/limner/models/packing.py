"""Linear maps whose weights lie as the CPU's kernels read them, for models that learn no more.

A batch of few rows spends its time in reading weights. oneDNN reads them faster where they are laid
out in blocks once, and the sums of a row then have the same order whatever other rows there are,
which those of the kernels for weights as they are have not.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PackedLinear(nn.Linear):
    """A linear map with a second, packed copy of its weights, used where there are no gradients.

    Args:
        linear: whose weights it has, float32 on the CPU; they must not change any more.
    """

    def __init__(self, linear: nn.Linear) -> None:
        has_bias = linear.bias is not None
        super().__init__(linear.in_features, linear.out_features, bias=has_bias, device="meta")
        self.weight, self.bias = linear.weight, linear.bias
        self._packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), None)

    def forward(self, x: Tensor) -> Tensor:
        """``(..., in_features)`` float32 to ``(..., out_features)``."""
        if torch.is_grad_enabled():
            return F.linear(x, self.weight, self.bias)
        packed = torch.ops.mkldnn._linear_pointwise(x, self._packed, self.bias, "none", [], "")
        return cast(Tensor, packed)


def can_pack() -> bool:
    """Whether this build of PyTorch has oneDNN with packed weights."""
    there = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    names = ("_reorder_linear_weight", "_linear_pointwise")
    return bool(there) and all(hasattr(torch.ops.mkldnn, name) for name in names)


def pack_linear(network: nn.Module) -> None:
    """Pack the weights of all linear maps in a network, where that is possible."""
    if not can_pack():
        return
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Linear and _fits(child.weight):
                setattr(parent, name, PackedLinear(child).eval())


def packed_bytes(network: nn.Module) -> int:
    """What :func:`pack_linear` adds to a network in memory, which may have no numbers yet."""
    linear = (each for each in network.modules() if isinstance(each, nn.Linear))
    return sum(each.weight.nbytes for each in linear) if can_pack() else 0


def _fits(weight: Tensor) -> bool:
    return weight.device.type == "cpu" and weight.dtype == torch.float32
