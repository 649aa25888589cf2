"""Train the detector that judges composition.

    python tools/train_detector.py --icons STORE --minutes 20 --out scene-detector.safetensors

STORE is a store of ``limner data icons`` or ``limner data drawings``, of which the emoji sets and
the clip art are taken; ``tools/arrangements.py`` composes the pictures. The detector must recognise
held-out combinations, so none is left out.

On one thread; minutes of CPU time are counted, so that a busy machine gives the same network.
Every ``--save`` minutes a checkpoint is written beside OUT, from which the same command goes on.
``--start FILE`` begins with the weights of an earlier detector. ``limner bench --run detector``
measures what ships, also on a set that it has not seen.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from arrangements import BATCH, NAMES, Library, Truth, batch, score, worn
from limner.data.store import Store
from limner.metrics.detector import (
    CELL,
    GRID,
    METADATA_KEY,
    SIZE,
    DetectorNet,
    Maps,
    load_detector,
)  # fmt: skip
from limner.scenes.scene import SCENE_COLOURS
from limner.tensorfile import read_metadata, write_tensors

RATE = 2e-3
DECAY = 0.02

# -- learning ---------------------------------------------------------------------------------


def loss_of(maps: Maps, truth: Truth) -> tuple[Tensor, dict[str, float]]:
    """CenterNet's focal loss of centres, cross-entropies of things and colours, L1 of boxes."""
    there = truth.kinds >= 0
    centre = (truth.boxes[..., :2] + truth.boxes[..., 2:]) / 2 / CELL  # in cells
    size = (truth.boxes[..., 2:] - truth.boxes[..., :2]).clamp_min(1) / SIZE
    axis = torch.arange(GRID) + 0.5
    dx, dy = (axis - centre[..., k, None] for k in (0, 1))  # B M G
    spread = (size.amax(-1) * GRID / 6).clamp(0.5, 1.6)[..., None, None]
    near = dy.square()[..., :, None] + dx.square()[..., None, :]  # B M G G
    heat = torch.exp(-near / (2 * spread.square())) * there[..., None, None]
    owner = near.masked_fill(~there[..., None, None], 1e9).argmin(1)  # B G G
    cell = (dy.abs()[..., :, None] <= 0.5) & (dx.abs()[..., None, :] <= 0.5)
    peak = (cell & there[..., None, None]).any(1)  # B G G
    target = torch.where(peak, 1.0, heat.amax(1))
    p = maps.there.sigmoid().clamp(1e-4, 1 - 1e-4)
    centres = -torch.where(
        peak, (1 - p).square() * p.log(), (1 - target) ** 4 * p.square() * (1 - p).log()
    ).sum() / peak.sum().clamp_min(1)

    weight = torch.where(target > 0.6, target, 0)
    weight = weight / weight.sum().clamp_min(1)

    def mine(values: Tensor) -> Tensor:
        """Of every cell, what is true of the thing it is nearest to, ``(B, G, G)``."""
        return values.gather(1, owner.flatten(1)).view_as(owner)

    kinds = F.cross_entropy(maps.things, mine(truth.kinds).clamp_min(0), reduction="none",
                            label_smoothing=0.02)  # fmt: skip
    colour = mine(truth.colours)
    tints = F.cross_entropy(maps.colours, colour.clamp_min(0), reduction="none")
    known = weight * (colour >= 0)
    wanted = torch.stack(
        [mine(centre[..., 0]) - axis, mine(centre[..., 1]) - axis[:, None],
         *(mine(size[..., k].log()) for k in (0, 1))], 1,
    )  # fmt: skip
    sides = (maps.boxes - wanted).abs() * torch.tensor([1.0, 1.0, 4.0, 4.0]).view(1, 4, 1, 1)
    parts = {
        "centres": centres,
        "things": (kinds * weight).sum(),
        "colours": (tints * known).sum() / known.sum().clamp_min(1e-6),
        "boxes": (sides.sum(1) * weight).sum(),
    }
    total = centres + parts["things"] + 0.5 * parts["colours"] + 0.25 * parts["boxes"]
    return total, {name: part.item() for name, part in parts.items()}


class Run:
    """The network, the running mean of its weights, the optimiser, and where they stand."""

    def __init__(self, seed: int) -> None:
        torch.manual_seed(seed)
        self.net = DetectorNet().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.mean = DetectorNet()
        self.mean.load_state_dict(self.net.state_dict())
        plain = [p for p in self.net.parameters() if p.ndim < 2]
        heavy = [p for p in self.net.parameters() if p.ndim > 1]
        self.optimiser = torch.optim.AdamW(
            [{"params": heavy, "weight_decay": DECAY}, {"params": plain, "weight_decay": 0.0}],
            lr=RATE,
        )
        self.step, self.seconds = 0, 0.0

    def follow(self) -> None:
        """Move the mean towards the weights."""
        decay = min(0.999, self.step / (self.step + 10))
        with torch.no_grad():
            pairs = zip(
                self.mean.state_dict().values(), self.net.state_dict().values(), strict=True
            )
            for mean, value in pairs:
                if mean.is_floating_point():
                    mean.lerp_(value, 1 - decay)

    def save(self, path: Path) -> None:
        """Write all of it."""
        tensors = {f"net.{k}": v for k, v in self.net.state_dict().items()}
        tensors |= {f"mean.{k}": v for k, v in self.mean.state_dict().items()}
        for number, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{number}.{k}": v for k, v in state.items()}
        tensors = {k: v.detach().clone().contiguous() for k, v in tensors.items()}
        where = json.dumps({"step": self.step, "seconds": self.seconds})
        write_tensors(path, tensors, {"run": where})

    def load(self, path: Path) -> None:
        """Go on from a checkpoint."""
        where, tensors = json.loads(read_metadata(path)["run"]), load_file(path)
        for name, module in (("net", self.net), ("mean", self.mean)):
            state = {k.removeprefix(f"{name}."): v for k, v in tensors.items()
                     if k.startswith(f"{name}.")}  # fmt: skip
            module.load_state_dict(state)
        moments: dict[int, dict[str, Tensor]] = defaultdict(dict)
        for key, value in tensors.items():
            if key.startswith("optimiser."):
                _, number, part = key.split(".")
                moments[int(number)][part] = value
        state = self.optimiser.state_dict()
        self.optimiser.load_state_dict({**state, "state": dict(moments)})
        self.step, self.seconds = int(where["step"]), float(where["seconds"])


def fit(library: Library, run: Run, args: argparse.Namespace, kept: Path) -> DetectorNet:
    """Train for the minutes that are left; the mean of the weights is returned."""
    rng, trng = np.random.default_rng([args.seed, run.step, 1]), torch.Generator()
    trng.manual_seed(args.seed + run.step)
    clean, truth = batch(library, np.random.default_rng([args.seed, 2]), 256)
    before, saved = run.seconds, run.seconds
    start = time.process_time()
    while (progress := run.seconds / (60 * args.minutes)) < 1:
        images, shown = batch(library, rng)
        for group in run.optimiser.param_groups:
            group["lr"] = args.rate * min(1.0, (run.step + 1) / 200, 2 * (1 - progress))
        x = worn(images, trng).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            maps = run.net(x)
        loss, parts = loss_of(maps, shown)
        run.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(run.net.parameters(), 5.0)
        run.optimiser.step()
        run.step += 1
        run.follow()
        run.seconds = before + time.process_time() - start
        if run.step % 100 == 0:
            told = "  ".join(f"{name} {value:.3f}" for name, value in parts.items())
            print(f"{run.step:6d}  {run.seconds:6.0f} s  {told}", flush=True)
        if run.seconds - saved > 60 * args.save:
            saved = run.seconds
            run.save(kept)
            figures = score(run.mean.eval(), clean, truth)
            print(json.dumps({k: round(v, 4) for k, v in figures.items()}), flush=True)
    return run.mean.eval()


def main() -> None:
    """Compose, train, score, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--icons", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--save", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=77)
    parser.add_argument("--start", type=Path)
    parser.add_argument("--rate", type=float, default=RATE)
    args = parser.parse_args()
    torch.set_num_threads(1)
    start = time.process_time()
    library = Library(Store.open(args.icons))
    count = sum(map(len, library.cuts.values()))
    print(f"{count} drawings, {len(library.others)} of other things, "
          f"{time.process_time() - start:.0f} s", flush=True)  # fmt: skip
    run, kept = Run(args.seed), args.out.with_suffix(".run.safetensors")
    if args.start is not None:
        for net in (run.net, run.mean):
            net.load_state_dict(load_detector(args.start).net.state_dict())
    if kept.is_file():
        run.load(kept)
        print(f"going on from step {run.step}, {run.seconds:.0f} s", flush=True)
    net = fit(library, run, args, kept)
    images, truth = batch(library, np.random.default_rng([args.seed, 3]), 2048)
    tired = worn(images, torch.Generator().manual_seed(args.seed))
    figures = {"clean": score(net, images, truth), "worn": score(net, tired, truth)}
    print(json.dumps(figures, indent=1))
    about = {
        "things": list(NAMES), "colours": list(SCENE_COLOURS), "licences": library.licences,
        "icons": library.fingerprint, "minutes": args.minutes, "seed": args.seed,
        "pictures": run.step * BATCH, "scores": figures,
    }  # fmt: skip
    tensors = {k: (v.half() if v.is_floating_point() else v).contiguous()
               for k, v in net.state_dict().items()}  # fmt: skip
    write_tensors(args.out, tensors, {METADATA_KEY: json.dumps(about)})
    kept.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
