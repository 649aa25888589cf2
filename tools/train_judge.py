"""Train the judge of concept recall on concepts that are in no evaluation prompt.

    python tools/train_judge.py --store STORE --minutes 9 --out judge.safetensors

STORE is an icon store with everything in it, flags, keycaps and variants of people too:

    limner.datasets.icons.pack_icons(
        STORE, IconOptions(groups=ALL_GROUPS, variants=True, keycaps=True)
    )

Two losses over batches of P concepts in up to K icon sets each, every picture distorted at
random: a cosine classifier with one proxy per concept (NormFace, arXiv:1704.06369, eq. 6), and
the supervised contrastive loss (arXiv:2004.11362, eq. 2) that pulls the drawings of one concept
by different hands together. 120 concepts are held out of the training; on them the weights of
the three parts of the features are chosen. The evaluated concepts are only ever scored.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limner.data.store import Store
from limner.evaluation.concept_prompts import load_prompts
from limner.metrics import judge as judge_room
from limner.metrics.judge import JudgeNet, colour_layout, oriented_gradients
from limner.metrics.recall import concept_scores, plain_key
from limner.tensorfile import write_tensors
from limner.vision.pixels import to_tensor

CONCEPTS_PER_BATCH = 48
VIEWS = 3
SCALE = 16.0
TEMPERATURE = 0.1
HELD_OUT = 120
OBJECTS = (
    "smileys-emotion", "animals-nature", "food-drink", "travel-places", "activities", "objects",
)  # fmt: skip


def augment(images: Tensor, rng: torch.Generator) -> Tensor:
    """Distort as hands and generators do: shape, place, colour, sharpness, noise."""
    b = len(images)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(b, *shape, generator=rng) * (high - low) + low

    angle, sx, sy = uniform(-0.25, 0.25), uniform(0.8, 1.3), uniform(0.8, 1.3)
    flip = torch.where(torch.rand(b, generator=rng) < 0.5, -1.0, 1.0)
    theta = torch.stack(
        [
            torch.stack([angle.cos() * sx * flip, -angle.sin() * sy, uniform(-0.15, 0.15)], 1),
            torch.stack([angle.sin() * sx * flip, angle.cos() * sy, uniform(-0.15, 0.15)], 1),
        ],
        1,
    )
    grid = F.affine_grid(theta, [b, 3, 64, 64], align_corners=False)
    bend = F.interpolate(torch.randn(b, 2, 4, 4, generator=rng) * 0.06, size=64, mode="bicubic")
    grid = grid + bend.permute(0, 2, 3, 1)
    x = F.grid_sample(images - 1, grid, align_corners=False)  # white outside
    soft = F.avg_pool2d(F.avg_pool2d(x, 3, 1, 1), 3, 1, 1)
    x = torch.lerp(x, soft, uniform(-0.3, 1.2, 1, 1, 1).clamp_min(0)) + 1
    x = x * uniform(0.8, 1.0, 1, 1, 1) + uniform(-0.08, 0.08, 3, 1, 1)
    noisy = torch.randn(x.shape, generator=rng) * uniform(-0.1, 0.12, 1, 1, 1).clamp_min(0)
    return (x + noisy).clamp(-1, 1)


def contrastive(features: Tensor, labels: Tensor) -> Tensor:
    """Supervised contrastive loss over a batch of unit vectors, (B, D) and (B,)."""
    logits = features @ features.T / TEMPERATURE
    itself = torch.eye(len(labels), dtype=torch.bool)
    logits = logits.masked_fill(itself, -1e4)
    same = (labels[:, None] == labels[None]) & ~itself
    log_p = logits.log_softmax(1)
    return -(log_p * same).sum(1).div(same.sum(1).clamp_min(1)).mean()


class Icons:
    """The icons of a store: pictures, concept keys, sets and groups."""

    def __init__(self, path: Path) -> None:
        store = Store.open(path)
        rows = [store.metadata(i) for i in range(len(store))]
        self.images = torch.from_numpy(store.batch(range(len(store))))  # N 64 64 3 uint8
        self.keys = [plain_key(row["concept"]) for row in rows]
        self.styles = [str(row["style"]) for row in rows]
        self.groups = [str(row["group"]) for row in rows]
        self.licences = {k: v for k, v in store.licences.items() if k.startswith("@")}
        self.fingerprint = store.fingerprint

    def batch(self, index: Sequence[int]) -> Tensor:
        """Pictures ``(B, 3, 64, 64)`` in [-1, 1]."""
        return to_tensor(self.images[list(index)])

    def by_concept(self) -> dict[str, list[int]]:
        """Key -> its pictures, for keys drawn by at least two sets."""
        rows: dict[str, list[int]] = {}
        for i, key in enumerate(self.keys):
            rows.setdefault(key, []).append(i)
        return {k: v for k, v in rows.items() if len({self.styles[i] for i in v}) > 1}


def fit(icons: Icons, concepts: list[list[int]], minutes: float, seed: int) -> JudgeNet:
    """Train the network for a time budget; the average of its weights is returned."""
    torch.manual_seed(seed)
    rng, nprng = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    net = JudgeNet().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = JudgeNet()
    average.load_state_dict(net.state_dict())
    proxies = nn.Parameter(torch.randn(len(concepts), judge_room.EMBEDDING) * 0.1)
    optimiser = torch.optim.AdamW([*net.parameters(), proxies], lr=2e-3, weight_decay=0.05)
    start, step, order = time.monotonic(), 0, np.zeros(0, dtype=int)
    while (progress := (time.monotonic() - start) / (60 * minutes)) < 1:
        if len(order) < CONCEPTS_PER_BATCH:
            order = np.concatenate([order, nprng.permutation(len(concepts))])
        chosen, order = order[:CONCEPTS_PER_BATCH], order[CONCEPTS_PER_BATCH:]
        rows = [int(i) for c in chosen for i in _views(concepts[c], nprng)]
        labels = torch.from_numpy(np.repeat(chosen, VIEWS))
        x = augment(icons.batch(rows), rng).contiguous(memory_format=torch.channels_last)
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * min(1.0, (step + 1) / 50) * (1 - progress)
        features = net(x)
        logits = SCALE * features @ F.normalize(proxies, dim=1).T
        loss = F.cross_entropy(logits, labels, label_smoothing=0.05) + contrastive(features, labels)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        step += 1
        with torch.no_grad():
            decay = min(0.995, step / (step + 10))
            for mean, value in zip(
                average.state_dict().values(), net.state_dict().values(), strict=True
            ):
                if mean.is_floating_point():
                    mean.lerp_(value, 1 - decay)
        if step % 50 == 1:
            print(f"step {step} progress {progress:.2f} loss {loss.item():.3f}", flush=True)
    print(f"{step} steps, {step * CONCEPTS_PER_BATCH * VIEWS} pictures", flush=True)
    return average.eval()


def _views(rows: list[int], rng: np.random.Generator) -> list[int]:
    picked = rng.permutation(rows)[:VIEWS]
    return [int(picked[i % len(picked)]) for i in range(VIEWS)]


class Parts(NamedTuple):
    """Features of every icon: as it is, mirrored, and blurred as an unsure generator would."""

    plain: list[Tensor]
    mirrored: list[Tensor]
    blurred: list[Tensor]


def retrieval(
    query: Tensor, gallery: Sequence[Tensor], icons: Icons, concepts: dict[str, list[int]]
) -> tuple[float, float]:
    """Top-1 and top-5 of cross-set retrieval: every icon among the other sets' icons."""
    rows = [i for members in concepts.values() for i in members]
    label = torch.tensor([n for n, members in enumerate(concepts.values()) for _ in members])
    sets = {s: n for n, s in enumerate(sorted(set(icons.styles)))}
    style = torch.tensor([sets[icons.styles[i]] for i in rows])
    scores = concept_scores(
        query[rows], [g[rows] for g in gallery], label, style[:, None] != style[None], len(concepts)
    )
    own = scores.gather(1, label[:, None])
    rank = (scores > own).sum(1)[own[:, 0] > 0]
    return (rank < 1).float().mean().item(), (rank < 5).float().mean().item()


@torch.inference_mode()
def all_features(icons: Icons, net: nn.Module) -> Parts:
    """Network, colour and gradient features of every icon in three guises."""
    guises: list[list[list[Tensor]]] = [[[], [], []] for _ in Parts._fields]
    for i in range(0, len(icons.keys), 256):
        x = icons.batch(range(i, min(i + 256, len(icons.keys))))
        soft = F.avg_pool2d(x, 5, 1, 2, count_include_pad=False)
        for guise, y in zip(guises, (x, x.flip(3), soft), strict=True):
            values = (net(y), colour_layout(y), oriented_gradients(y))
            for part, value in zip(guise, values, strict=True):
                part.append(value)
    return Parts(*([torch.cat(part) for part in guise] for guise in guises))


def combine(parts: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Concatenation whose dot product is the weighted mean of the parts' cosines."""
    return torch.cat([p * w**0.5 for p, w in zip(parts, weights, strict=True)], 1)


def weighed(
    parts: Parts, weights: Sequence[float], icons: Icons, concepts: dict[str, list[int]]
) -> dict[str, tuple[float, float]]:
    """Retrieval with given weights, of sharp and of blurred queries."""
    gallery = [combine(parts.plain, weights), combine(parts.mirrored, weights)]
    return {
        "sharp": retrieval(gallery[0], gallery, icons, concepts),
        "blurred": retrieval(combine(parts.blurred, weights), gallery, icons, concepts),
    }


def best_weights(
    parts: Parts, icons: Icons, held: dict[str, list[int]]
) -> tuple[float, float, float]:
    """The weights, in tenths, of the best top-1 and top-5 of sharp and blurred queries."""
    grid = [
        (a / 10, b / 10, (10 - a - b) / 10)
        for a, b in itertools.product(range(11), repeat=2)
        if a + b <= 10
    ]
    return max(grid, key=lambda w: sum(map(sum, weighed(parts, w, icons, held).values())))


def report(
    icons: Icons, parts: Parts, weights: Sequence[float], concepts: dict[str, list[int]]
) -> dict[str, dict[str, tuple[float, float]]]:
    """Retrieval of the judge and of plain baselines on some concepts."""
    mixes = {
        "judge": weights,
        "network alone": (1.0, 0.0, 0.0),
        "colour layout": (0.0, 1.0, 0.0),
        "oriented gradients": (0.0, 0.0, 1.0),
        "colour + gradients": (0.0, 0.5, 0.5),
    }
    figures = {name: weighed(parts, mix, icons, concepts) for name, mix in mixes.items()}
    torch.manual_seed(0)
    random_parts = all_features(icons, JudgeNet().eval())
    figures["random network"] = weighed(random_parts, (1.0, 0.0, 0.0), icons, concepts)
    pixels = F.normalize(icons.images.float().flatten(1) - 255, dim=1)
    figures["pixels"] = {"sharp": retrieval(pixels, [pixels], icons, concepts)}
    return figures


def split(icons: Icons) -> tuple[dict[str, list[int]], dict[str, list[int]], dict[str, list[int]]]:
    """Concepts for training, held out for choosing weights, and evaluated."""
    concepts = icons.by_concept()
    evaluated = {p.key for p in load_prompts()}
    groups = dict(zip(icons.keys, icons.groups, strict=True))
    free = sorted(k for k in concepts if k not in evaluated)
    likely = [k for k in free if groups[k] in OBJECTS and len(concepts[k]) > 2]
    held = set(np.random.default_rng(7).permutation(likely)[:HELD_OUT].tolist())
    return (
        {k: concepts[k] for k in free if k not in held},
        {k: concepts[k] for k in sorted(held)},
        {k: concepts[k] for k in sorted(evaluated) if k in concepts},
    )


def main() -> None:
    """Train, choose weights, report, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    icons = Icons(arguments.store)
    training, held, evaluated = split(icons)
    print(f"{len(training)} concepts to train, {len(held)} held out, {len(evaluated)} evaluated")
    net = fit(icons, list(training.values()), arguments.minutes, arguments.seed)
    parts = all_features(icons, net)
    weights = best_weights(parts, icons, held)
    figures = {
        "held_out": report(icons, parts, weights, held),
        "evaluated": report(icons, parts, weights, evaluated),
    }
    print(json.dumps({"weights": weights, **figures}, indent=1))
    about = {
        "weights": weights,
        "licences": icons.licences,
        "store": icons.fingerprint,
        "trained_on": sorted(training),
        "held_out": sorted(held),
        "minutes": arguments.minutes,
        "seed": arguments.seed,
        "retrieval_top1_top5": figures,
    }
    tensors = {
        k: (v.half() if v.is_floating_point() else v).contiguous()
        for k, v in net.state_dict().items()
    }
    write_tensors(arguments.out, tensors, {"judge": json.dumps(about)})


if __name__ == "__main__":
    main()
