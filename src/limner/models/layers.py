"""Normalisation and small conversions that several families share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from limner.errors import UsageError

_EPS = 1e-6
_VECTORS_AT_ONCE = 65_536
_COLOUR = 4 / 255
"""Difference of channels from which a picture is no longer grey."""


class _RMSNorm(torch.autograd.Function):
    """y = x / sqrt(mean(x^2) + eps) over the last axis, with a short backward pass.

    With r = 1 / sqrt(mean(x^2) + eps): dL/dx = r * (g - y * mean(g * y)). PyTorch's own backward
    on the CPU is a chain of unfused kernels, two to five times slower at our shapes.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        scale = _rms_scale(x)
        y = x * scale
        ctx.save_for_backward(y, scale)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        y, scale = ctx.saved_tensors
        along = (grad * y).mean(-1, keepdim=True)  # (..., 1)
        return torch.addcmul(grad, y, along, value=-1).mul_(scale)


def _rms_scale(x: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)  # (..., 1)
    return norm.square_().div_(x.shape[-1]).add_(_EPS).rsqrt_()


def principal_axes(vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Principal component analysis of ``(N, D)`` float vectors, in float64.

    Returns:
        Their mean ``(D,)``, on their device; and on the CPU the variances ``(D,)``, the largest
        first and none negative, with the axes ``(D, D)`` that have them as columns.
    """
    dim = vectors.shape[1]
    mean = vectors.mean(0, dtype=torch.float64)
    covariance = torch.zeros(dim, dim, dtype=torch.float64, device=vectors.device)
    for chunk in torch.split(vectors, _VECTORS_AT_ONCE):
        centred = chunk.double() - mean  # (n, D)
        covariance.addmm_(centred.T, centred)
    variances, axes = torch.linalg.eigh((covariance / len(vectors)).cpu())  # ascending
    return mean, variances.flip(0).clamp_min(0), axes.flip(1)


def rms_norm(x: Tensor) -> Tensor:
    """Divide the last axis by its root mean square (Zhang and Sennrich 2019, eq. 4, no weight).

    Args:
        x: ``(..., D)`` float.
    """
    if x.device.type == "cpu" and not torch.compiler.is_compiling():
        if not torch.is_grad_enabled():  # a function of autograd costs as much again for few rows
            return x * _rms_scale(x)
        return cast(Tensor, _RMSNorm.apply(x))  # type: ignore[no-untyped-call]
    return nn.functional.rms_norm(x, x.shape[-1:], eps=_EPS)


def grey(images: Tensor) -> Tensor:
    """The one channel, ``(B, 1, S, S)``, of ``(B, 3, S, S)`` pictures without colours.

    Raises:
        UsageError: they have colours.
    """
    if float((images.amax(1) - images.amin(1)).max()) > _COLOUR:
        raise UsageError(
            "these pictures are in colour, and the model is for grey ones; set model.channels=3"
        )
    return images.mean(1, keepdim=True)


def normal_like(like: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal noise of a tensor's shape from a generator on its device."""
    return torch.randn(like.shape, generator=generator, device=like.device)


def pinned(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU in memory that a GPU reads by itself; as it is for other devices."""
    return tensor.pin_memory() if device.type == "cuda" else tensor


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU on a device, without waiting for what the device is doing.

    A plain ``to`` of a GPU ends when all that was queued there before has been computed. The
    tensor must not be written to afterwards.
    """
    return pinned(tensor, device).to(device, non_blocking=True)


def unequal(values: Sequence[object], device: torch.device) -> Tensor:
    """``(B, B)`` bool: whether values i and j are not the same."""
    number = {value: i for i, value in enumerate(dict.fromkeys(values))}
    ids = sent(torch.tensor([number[value] for value in values]), device)
    return ids[:, None] != ids
