"""A small classifier of pictures, trained in seconds: judges drawings, and measures a data set.

Three blocks of convolution, batch normalisation and pooling, then the mean over the picture: the
plain network that Fashion-MNIST's table of benchmarks begins with.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTHS = (16, 32, 64)
_BATCH, _RATE, _DECAY = 32, 3e-3, 1e-3
_AT_ONCE = 512

Change = Callable[[Tensor, torch.Generator], Tensor]
"""Changes ``(B, 3, H, W)`` pictures in [-1, 1] at random, with the generator's numbers alone."""


class SmallClassifier(nn.Module):
    """``(B, 3, H, W)`` pictures in [-1, 1] to ``(B, K)`` logits.

    Args:
        classes: K.
        grey: whether colours say nothing, as in grey pictures; then one channel is read.
    """

    def __init__(self, classes: int, grey: bool) -> None:
        super().__init__()
        self.grey = grey
        layers: list[nn.Module] = []
        before = 1 if grey else 3
        for width in WIDTHS:
            layers += [
                nn.Conv2d(before, width, 3, padding=1, bias=False), nn.BatchNorm2d(width),
                nn.ReLU(), nn.MaxPool2d(2),
            ]  # fmt: skip
            before = width
        self.body, self.head = nn.Sequential(*layers), nn.Linear(before, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of B pictures."""
        seen = self.body(images[:, :1] if self.grey else images)
        found: Tensor = self.head(F.dropout(seen.mean((2, 3)), 0.2, self.training))
        return found

    @torch.inference_mode()
    def chances(self, images: Tensor) -> Tensor:
        """Probability of each class, ``(B, K)``."""
        self.eval()
        return torch.cat([self(part).softmax(1) for part in torch.split(images, _AT_ONCE)])


def train_classifier(
    images: Tensor,
    labels: Tensor,
    classes: int,
    *,
    steps: int,
    seed: int = 0,
    change: Change | None = None,
    weights: Tensor | None = None,
) -> SmallClassifier:
    """Train a classifier by AdamW with a one-cycle rate.

    The same arguments give the same weights on one machine.

    Args:
        images: ``(N, 3, H, W)`` float32 in [-1, 1].
        labels: ``(N,)`` int64 below ``classes``.
        classes: K.
        steps: of 32 pictures.
        seed: of weights, order and changes.
        change: augmentation of each batch; None for none.
        weights: ``(N,)`` how often each picture is drawn, relative to others; None for equally.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        grey = bool((images == images[:, :1]).all())
        net = SmallClassifier(classes, grey).train()
        rng = torch.Generator().manual_seed(seed)
        optimizer = torch.optim.AdamW(net.parameters(), lr=_RATE, weight_decay=_DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=steps)
        chance = torch.ones(len(images)) if weights is None else weights
        for _ in range(steps):
            rows = torch.multinomial(chance, _BATCH, replacement=True, generator=rng)
            batch = images[rows]
            if change is not None:
                batch = change(batch, rng)
            loss = F.cross_entropy(net(batch), labels[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return net.eval()
