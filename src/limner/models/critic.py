"""A small discriminator of patches, which the VAE is optionally trained against."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class PatchCritic(nn.Module):
    """Whether each patch of a picture is real (Isola et al. 2017, section 3.2.2).

    Three convolutions of stride 2 have receptive fields of 22 pixels. There is no normalisation, so
    that a picture's score does not depend on its batch. ``width`` channels are doubled twice.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Conv2d(before, after, 4, stride=2, padding=1)
            for before, after in ((3, width), (width, 2 * width), (2 * width, 4 * width))
        )
        self.out = nn.Conv2d(4 * width, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Pictures ``(B, 3, S, S)`` to scores ``(B, 1, S/8, S/8)``; above zero is real."""
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
        out: Tensor = self.out(x)
        return out


def hinge(real: Tensor, drawn: Tensor) -> Tensor:
    """The critic's loss of scores of any shape (Lim and Ye 2017): real above 1, drawn below -1."""
    return F.relu(1 - real).mean() + F.relu(1 + drawn).mean()
