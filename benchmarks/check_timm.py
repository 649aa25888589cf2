"""Check timm's VGG and ResNet behind our image encoder contract, where a torchvision works.

Run in an environment with the registry's full torch build, torchvision and timm:

    python benchmarks/check_timm.py [NAME ...]

The networks get random weights, saved to a file and read back by ``timm:NAME?file=PATH``, so that
nothing is fetched. Prints one line per network and fails where one breaks the contract.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file

from limner.image_encoders import load_image_encoder
from limner.vision.base import ImageEncoder

NAMES = ("vgg11", "vgg16", "resnet18", "resnet50", "vit_tiny_patch16_224")


def check(name: str, folder: Path) -> str:
    """One line on one network.

    Raises:
        AssertionError: the contract is broken.
    """
    torch.manual_seed(0)
    file = folder / f"{name}.safetensors"
    network = timm.create_model(name, pretrained=False, num_classes=0).eval()
    save_file(network.state_dict(), file)
    encoder = load_image_encoder(f"timm:{name}?file={file}")
    assert isinstance(encoder, ImageEncoder)
    assert load_image_encoder(encoder.spec).fingerprint == encoder.fingerprint
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    seen, alone = encoder.encode(images), encoder.encode(images[1:])
    assert seen.pooled.shape == (2, encoder.dim)
    assert torch.allclose(alone.pooled[0], seen.pooled[1], atol=1e-4)
    with torch.inference_mode():
        states = network.forward_features(encoder.prepare(images))  # type: ignore[attr-defined]
    if states.ndim == 4:
        assert torch.allclose(seen.tokens, states.flatten(2).transpose(1, 2), atol=1e-4)
    return f"{name}: {seen.tokens.shape[1]} tokens of {encoder.dim}, {encoder.fingerprint}"


if __name__ == "__main__":
    print(f"timm {timm.__version__}, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as place:
        for each in sys.argv[1:] or NAMES:
            print(check(each, Path(place)))
