"""The conversion between 8-bit pictures and the tensors of networks.

Inside, pictures are float32 ``(B, 3, H, W)`` in [-1, 1]; at the edges they are uint8
``(B, H, W, 3)`` or PIL images. Value v of 0 … 255 is v / 127.5 - 1, exactly invertible.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor


def to_tensor(pixels: NDArray[np.uint8] | Sequence[NDArray[np.uint8]] | Tensor) -> Tensor:
    """Convert 8-bit pictures to a tensor.

    Args:
        pixels: ``(B, H, W, 3)`` uint8, as an array, a tensor, or B arrays ``(H, W, 3)``.

    Returns:
        ``(B, 3, H, W)`` float32 in [-1, 1] in new memory, on the device of ``pixels``, laid out
        channels last.
    """
    if not isinstance(pixels, Tensor):
        pixels = torch.from_numpy(np.require(pixels, np.uint8, ["C", "W"]))
    return pixels.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def to_uint8(images: Tensor) -> Tensor:
    """Convert a tensor to 8-bit pictures.

    Args:
        images: ``(B, 3, H, W)`` in [-1, 1]; values beyond are clipped.

    Returns:
        ``(B, H, W, 3)`` uint8, contiguous, on the same device.
    """
    scaled = (images.detach().float() + 1).mul_(127.5).round_().clamp_(0, 255)
    return scaled.byte().permute(0, 2, 3, 1).contiguous()


def to_images(images: Tensor) -> list[Image.Image]:
    """RGB pictures of a batch ``(B, 3, H, W)`` in [-1, 1]; values beyond are clipped."""
    return [Image.fromarray(array) for array in to_uint8(images).cpu().numpy()]
