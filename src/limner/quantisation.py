"""Weights stored as a byte a number, with a scale for each row (absmax quantisation)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from limner.errors import ModelFileError

_LEAST_NUMBERS = 131_072
_STEPS = 127.0
_SCALE = ":scale"


def quantise(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Large matrices as int8, the other tensors in float16.

    A row w of a matrix becomes round(127 w / max |w|), and max |w| / 127 in float32 is stored
    under ``NAME:scale`` (Dettmers et al. 2022, arXiv:2208.07339, eq. 1 and 2, by rows).
    Convolutions are small, and what they draw shows every rounding. Tensors that are no
    floating-point numbers stay.
    """
    out: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            out[name] = tensor
        elif tensor.ndim != 2 or tensor.numel() < _LEAST_NUMBERS:
            out[name] = tensor.to(torch.float16)
        else:
            rows = tensor.float()
            scale = rows.abs().amax(1, keepdim=True).clamp_min(1e-30) / _STEPS
            out[name] = (rows / scale).round().to(torch.int8)
            out[name + _SCALE] = scale[:, 0]
    return out


def dequantise(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors that :func:`quantise` stored, those of int8 in float32 again; others stay.

    Raises:
        ModelFileError: a scale does not fit its tensor.
    """
    out = {name: tensor for name, tensor in tensors.items() if not name.endswith(_SCALE)}
    for name, scale in tensors.items():
        if not name.endswith(_SCALE):
            continue
        own = name.removesuffix(_SCALE)
        stored = out.get(own)
        if (
            stored is None
            or stored.dtype != torch.int8
            or stored.ndim != 2
            or scale.shape != stored.shape[:1]
        ):
            raise ModelFileError(f"its {name} fits no stored weights")
        out[own] = stored * scale[:, None]
    return out
