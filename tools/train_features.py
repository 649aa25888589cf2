"""Train the feature network that scores Fashion-MNIST models.

    python tools/train_features.py --store TRAIN --test TEST --minutes 8 --out FILE

on one thread; the minutes are the processor's, so that a busy machine gives the same network.
TRAIN and TEST are made by ``limner data fashion --split train`` and ``--split test``. One network,
two tasks: tell the class of a picture, and tell what was done to it (blurred, noised, tinted),
so that the features see soft, grainy and coloured pictures for what they are; a classifier
alone learns to overlook just that. The test pictures are only ever measured.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from limner.data.store import Store
from limner.datasets.fashion import CLASSES
from limner.tensorfile import write_tensors
from limner.vision.convnet import METADATA_KEY, ConvNet
from limner.vision.pixels import to_tensor

WIDTHS = (32, 64, 128)
DIM = 128
BATCH = 128
RATE = 3e-3
NAMES = tuple(names[0] for names in CLASSES)
CHANGES = ("blur", "noise", "red", "green", "blue")


def load(path: Path) -> tuple[Tensor, Tensor, Store]:
    """Pictures ``(N, S, S, 3)`` uint8, labels ``(N,)`` int64, and the store."""
    store = Store.open(path)
    labels = torch.tensor([NAMES.index(str(name)) for name in store.column("label")])
    return torch.from_numpy(store.batch(range(len(store)))), labels, store


def shown(images: Tensor, rng: torch.Generator) -> Tensor:
    """Mirrored by chance and shifted by up to two pixels, as float in [-1, 1]."""
    b, side = images.shape[:2]
    x = F.pad(to_tensor(images), (2, 2, 2, 2), value=-1.0)
    flip = torch.rand(b, generator=rng) < 0.5
    x[flip] = x[flip].flip(3)
    dx, dy = torch.randint(0, 5, (2,), generator=rng).tolist()
    return x[:, :, dy : dy + side, dx : dx + side]


def changed(x: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Half of the pictures blurred, noised and tinted, and by how much: ``(B, 5)`` near [0, 1]."""
    b = len(x)
    how = torch.rand(b, 5, generator=rng) * (torch.rand(b, 1, generator=rng) < 0.5)
    how = how * (torch.rand(b, 5, generator=rng) < 0.6)
    blur, noise, tint = how[:, 0], how[:, 1], how[:, 2:]
    soft = F.avg_pool2d(F.avg_pool2d(x, 3, 1, 1), 3, 1, 1)
    y = torch.lerp(x, soft, blur.view(-1, 1, 1, 1))
    y = y + 0.4 * tint.view(b, 3, 1, 1)
    y = y + 0.4 * noise.view(-1, 1, 1, 1) * torch.randn(y.shape, generator=rng)
    return y.clamp(-1, 1), how


def fit(
    images: Tensor, labels: Tensor, minutes: float, wall: float, seed: int
) -> tuple[ConvNet, int]:
    """Train for a time budget; the average of the weights, and the number of steps."""
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    net = ConvNet(WIDTHS, DIM, len(NAMES), len(CHANGES))
    net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = ConvNet(WIDTHS, DIM, len(NAMES), len(CHANGES))
    average.load_state_dict(net.state_dict())
    optimiser = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=0.05)
    step, order = 0, torch.zeros(0, dtype=torch.long)
    cpu, clock = time.process_time(), time.monotonic()
    while True:
        spent = (time.process_time() - cpu) / minutes, (time.monotonic() - clock) / wall
        progress = max(spent) / 60
        if progress >= 1:
            break
        if len(order) < BATCH:
            order = torch.cat([order, torch.randperm(len(images), generator=rng)])
        rows, order = order[:BATCH], order[BATCH:]
        x, how = changed(shown(images[rows], rng), rng)
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 100) * (1 - progress)
        features = net(x.contiguous(memory_format=torch.channels_last))
        told = F.cross_entropy(net.classify(features), labels[rows], label_smoothing=0.05)
        loss = told + 2.0 * F.mse_loss(net.changes(features), how)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        step += 1
        with torch.no_grad():
            decay = min(0.995, step / (step + 10))
            pairs = zip(average.state_dict().values(), net.state_dict().values(), strict=True)
            for mean, value in pairs:
                if mean.is_floating_point():
                    mean.lerp_(value, 1 - decay)
        if step % 100 == 1:
            print(
                f"step {step} progress {progress:.2f} loss {loss.item():.3f}",
                flush=True,
            )
    return average.eval(), step


@torch.inference_mode()
def measure(net: ConvNet, images: Tensor, labels: Tensor) -> dict[str, float]:
    """Accuracy on pictures as they are, and how well the changes are read off the features."""
    rng = torch.Generator().manual_seed(1)
    right, error, spread = 0, 0.0, 0.0
    for part in torch.arange(len(images)).split(500):
        x = to_tensor(images[part])
        right += int((net.classify(net(x)).argmax(1) == labels[part]).sum())
        y, how = changed(x, rng)
        error += F.mse_loss(net.changes(net(y)), how, reduction="sum").item()
        spread += (how - how.mean(0)).square().sum().item()
    return {"accuracy": right / len(images), "changes_explained": 1 - error / spread}


def main() -> None:
    """Train, measure, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=8.0, help="of the processor")
    parser.add_argument("--wall", type=float, default=60.0, help="minutes by the clock, at most")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    images, labels, store = load(arguments.store)
    net, steps = fit(images, labels, arguments.minutes, arguments.wall, arguments.seed)
    # What is saved is measured: half precision, as it will be read.
    tensors = {
        k: (v.half() if v.is_floating_point() else v).contiguous()
        for k, v in net.state_dict().items()
    }
    net.load_state_dict({k: v.float() for k, v in tensors.items()})
    test_images, test_labels, test = load(arguments.test)
    figures = {"test": measure(net, test_images, test_labels)}
    figures["train"] = measure(net, images[:10_000], labels[:10_000])
    about = {
        "classes": NAMES,
        "size": store.size,
        "widths": WIDTHS,
        "dim": DIM,
        "changes": len(CHANGES),
        "changes_named": CHANGES,
        "licences": store.licences,
        "stores": {"train": store.fingerprint, "test": test.fingerprint},
        "minutes": arguments.minutes,
        "steps": steps,
        "pictures": steps * BATCH,
        "seed": arguments.seed,
        "measured": figures,
    }
    print(json.dumps(about, indent=1))
    write_tensors(arguments.out, tensors, {METADATA_KEY: json.dumps(about)})


if __name__ == "__main__":
    main()
