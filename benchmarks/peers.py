"""Small diffusion peers from PyPI on Fashion-MNIST, under the protocol of ``fashion.py``.

The peers need torchvision, so this runs in a second environment, limner in it too (both sides
see the same torch), after ``limner bench --run fashion`` was run there:

    python -m venv peers && peers/bin/pip install -e . torch torchvision \
        smalldiffusion==0.5.0 denoising-diffusion-pytorch==2.3.4 rectified-flow-pytorch==0.14.0
    export LIMNER_FASHION_SAMPLES=500 LIMNER_FASHION_FAMILIES=gan
    peers/bin/limner bench --run fashion
    LIMNER_PEER=smalldiffusion peers/bin/limner bench --run peers     # one peer a call
    peers/bin/limner bench --run peers                               # all that are left

Each peer trains its own network by its own loss for the same minutes and threads on the same
pictures (grey, as it would take them) in batches as small as ours, with as many parameters as the
best of ours within 5 %, and draws with its own sampler as many pictures as ours did, few enough to
wait for (a peer takes a second a picture and more). Of the sampler's settings listed here the one
with the best FID is taken, on 500 pictures or less. All three are class-conditional: smalldiffusion
by its label embedding, denoising-diffusion-pytorch by its classifier-free-guidance module,
rectified-flow-pytorch by a one-hot ``cond``.

What is not equal: our recipes were tuned on this very benchmark (network, rate, batch size,
schedule), while the peers run with the rate of their own examples and are tuned in nothing but the
sampler's setting. And the family of ours that is compared is the best of four, a GAN; our ``flow``,
which is of the peers' kind, is measured by ``fashion.py``. The figures say what each costs as it
comes, not which method is better.

Training is saved every minute and drawing after every batch, so a stopped run goes on. What was
measured is kept under everything it depends on. ``LIMNER_PEER_PARAMETERS`` changes the number of
parameters.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from fashion import clothes, figures_of, folder, options
from limner.errors import DataError, UsageError
from limner.evaluation.comparison import (
    Comparison,
    ModelScores,
    read_comparison,
    read_scores,
    score,
    write_comparison,
)
from limner.evaluation.reference import DistributionFigures, Reference
from limner.files import whole_file, write_json
from limner.metrics.features import load_features
from limner.tensorfile import read_metadata, write_tensors

CLASSES, SIZE, BATCH = 10, 28, 32
TOLERANCE = 0.05
TRIAL = 500
SAVE_SECONDS = 60.0
DRAWN_AT_ONCE = 250


@dataclass(frozen=True)
class Peer:
    """How a library is asked to build, learn and draw.

    Attributes:
        package: on PyPI.
        sizes: candidate widths, of which the one nearest to the wanted parameters is taken.
        build: width -> a module whose parameters are trained.
        loss: (module, pictures (B, 1, 28, 28) in [-1, 1], classes (B,)) -> scalar.
        draw: (module, classes (B,), setting) -> pictures (B, 1, 28, 28) in [-1, 1].
        settings: of the sampler, tried in turn.
        rate: of Adam; what its own example uses, or where that is meant for days, what suits
            minutes.
        decay: of the running average of its weights, per step.
    """

    package: str
    sizes: Sequence[Any]
    build: Callable[[Any], nn.Module]
    loss: Callable[[Any, Tensor, Tensor], Tensor]
    draw: Callable[[Any, Tensor, Any], Tensor]
    settings: Sequence[Any]
    rate: float
    decay: float


def _dit(size: tuple[int, int]) -> nn.Module:
    from smalldiffusion import CondEmbedderLabel, DiT

    depth, head = size
    module: nn.Module = DiT(
        in_dim=SIZE, channels=1, patch_size=2, depth=depth, head_dim=head, num_heads=6,
        cond_embed=CondEmbedderLabel(head * 6, CLASSES, 0.1),
    )  # fmt: skip
    return module


def _dit_loss(module: Any, images: Tensor, classes: Tensor) -> Tensor:
    from smalldiffusion import ScheduleDDPM, generate_train_sample

    schedule = ScheduleDDPM(beta_start=0.0001, beta_end=0.02, N=1000)
    x0, sigma, eps, cond = generate_train_sample((images, classes), schedule, conditional=True)
    loss: Tensor = module.get_loss(x0, sigma, eps, cond=cond)
    return loss


def _dit_draw(module: Any, classes: Tensor, setting: tuple[int, float]) -> Tensor:
    from smalldiffusion import ScheduleDDPM, samples

    steps, guidance = setting
    schedule = ScheduleDDPM(beta_start=0.0001, beta_end=0.02, N=1000)
    *_, last = samples(
        module, schedule.sample_sigmas(steps), gam=1.6, cfg_scale=guidance,
        batchsize=len(classes), cond=classes,
    )  # fmt: skip
    drawn: Tensor = last
    return drawn


def _ddpm(size: tuple[int, tuple[int, ...], int]) -> nn.Module:
    from denoising_diffusion_pytorch.classifier_free_guidance import GaussianDiffusion, Unet

    dim, mults, heads = size
    unet = Unet(
        dim=dim, num_classes=CLASSES, cond_drop_prob=0.1, dim_mults=mults, channels=1,
        attn_heads=heads,
    )  # fmt: skip
    module: nn.Module = GaussianDiffusion(
        unet, image_size=SIZE, timesteps=1000, sampling_timesteps=20, objective="pred_v"
    )
    return module


def _ddpm_draw(module: Any, classes: Tensor, setting: float) -> Tensor:
    drawn: Tensor = module.sample(classes, cond_scale=setting)
    return drawn * 2 - 1


def _flow(size: tuple[int, tuple[int, ...]]) -> nn.Module:
    from rectified_flow_pytorch import RectifiedFlow, Unet

    dim, mults = size
    unet = Unet(dim=dim, dim_mults=mults, channels=1, accept_cond=True, dim_cond=CLASSES)
    module: nn.Module = RectifiedFlow(unet, data_shape=(1, SIZE, SIZE))
    return module


def _one_hot(classes: Tensor) -> Tensor:
    return nn.functional.one_hot(classes, CLASSES).float()


def _flow_draw(module: Any, classes: Tensor, setting: int) -> Tensor:
    drawn: Tensor = module.sample(
        batch_size=len(classes), steps=setting, data_shape=(1, SIZE, SIZE), cond=_one_hot(classes)
    )
    return drawn


_UNETS = [(dim, mults) for mults in ((1, 2), (1, 2, 4), (1, 2, 2), (1, 1, 2), (1, 2, 3))
          for dim in range(16, 129, 4)]  # fmt: skip
PEERS = {
    "smalldiffusion": Peer(
        "smalldiffusion", [(depth, head) for depth in range(2, 9) for head in range(8, 65, 2)],
        _dit, _dit_loss, _dit_draw, ((20, 0.0), (20, 1.0)), 1e-3, 0.99,
    ),
    "denoising-diffusion-pytorch": Peer(
        "denoising-diffusion-pytorch", [(*size, heads) for heads in (4, 8, 12) for size in _UNETS],
        _ddpm,
        lambda module, images, classes: module((images + 1) / 2, classes=classes),
        _ddpm_draw, (1.01, 2.0), 5e-4, 0.995,  # its sampler fails at exactly 1
    ),
    "rectified-flow-pytorch": Peer(
        "rectified-flow-pytorch", _UNETS, _flow,
        lambda module, images, classes: module(images, cond=_one_hot(classes)),
        _flow_draw, (8, 16), 5e-4, 0.995,
    ),
}  # fmt: skip


def count(module: nn.Module) -> int:
    """Trainable numbers."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def fitting(peer: Peer, wanted: int) -> Any:
    """The size whose parameters come nearest to the wanted number.

    Raises:
        UsageError: none comes within 5 %.
    """
    near: tuple[int, Any] | None = None
    for size in peer.sizes:
        try:
            with torch.device("meta"):
                found = count(peer.build(size))
        except (AssertionError, RuntimeError, ValueError, NotImplementedError):
            try:
                found = count(peer.build(size))
            except (AssertionError, RuntimeError, ValueError):
                continue
        if near is None or abs(found - wanted) < abs(near[0] - wanted):
            near = (found, size)
    if near is None or abs(near[0] - wanted) > TOLERANCE * wanted:
        raise UsageError(f"{peer.package} cannot be built with {wanted:,} parameters, only {near}")
    return near[1]


class Training:
    """One peer learning, saved every minute.

    Args:
        name: of the peer.
        wanted: parameters.
        path: of the saved state.
    """

    def __init__(self, name: str, wanted: int, path: Path) -> None:
        self.peer, self.path = PEERS[name], path
        torch.manual_seed(0)
        self.size = fitting(self.peer, wanted)
        self.module = self.peer.build(self.size)
        self.average = self.peer.build(self.size)
        self.average.load_state_dict(self.module.state_dict())
        self.parameters = [p for p in self.module.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(self.parameters, lr=self.peer.rate, betas=(0.9, 0.99))
        self.step, self.elapsed = 0, 0.0
        if path.is_file():
            self._restore()

    def _restore(self) -> None:
        facts, tensors = read_metadata(self.path), load_file(self.path)
        if facts.get("size") != repr(self.size):
            raise DataError(f"{self.path} is of another size; remove it to start anew")
        self.step, self.elapsed = int(facts["step"]), float(facts["elapsed"])
        for module, prefix in ((self.module, "now."), (self.average, "mean.")):
            module.load_state_dict(
                {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
            )
        for i, parameter in enumerate(self.parameters):
            if f"first.{i}" in tensors:
                self.optimizer.state[parameter] = {
                    "step": torch.tensor(float(self.step)),
                    "exp_avg": tensors[f"first.{i}"],
                    "exp_avg_sq": tensors[f"second.{i}"],
                }

    def save(self) -> None:
        """Write everything needed to go on."""
        tensors = {f"now.{k}": v for k, v in self.module.state_dict().items()}
        tensors |= {f"mean.{k}": v for k, v in self.average.state_dict().items()}
        for i, parameter in enumerate(self.parameters):
            state = self.optimizer.state.get(parameter)
            if state:
                tensors[f"first.{i}"] = state["exp_avg"]
                tensors[f"second.{i}"] = state["exp_avg_sq"]
        tensors = {k: v.detach().clone().contiguous() for k, v in tensors.items()}
        facts = {"step": str(self.step), "elapsed": str(self.elapsed), "size": repr(self.size)}
        write_tensors(self.path, tensors, facts)

    def go(self, images: Tensor, classes: Tensor, seconds: float) -> None:
        """Learn until so many seconds of this process's own time are spent, over all calls.

        Ours are trained by the clock on the wall: where the machine is busy, this favours the peer.
        """
        before, began = self.elapsed, time.process_time()
        saved = before
        self.module.train()
        while self.elapsed < seconds:
            rng = torch.Generator().manual_seed(self.step)
            rows = torch.randint(len(images), (BATCH,), generator=rng)
            x = images[rows].float().div(127.5).sub(1)
            loss = self.peer.loss(self.module, x, classes[rows])
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(self.parameters, 1.0)
            self.optimizer.step()
            self.step += 1
            self._follow()
            self.elapsed = before + time.process_time() - began
            if self.elapsed - saved > SAVE_SECONDS:
                self.save()
                saved = self.elapsed
        self.save()

    @torch.no_grad()
    def _follow(self) -> None:
        decay = min(self.peer.decay, (1 + self.step) / (10 + self.step))
        pairs = zip(
            self.average.state_dict().values(), self.module.state_dict().values(), strict=True
        )
        for mean, value in pairs:
            if mean.is_floating_point():
                mean.lerp_(value, 1 - decay)


def drawn(training: Training, classes: Tensor, setting: Any, cache: Path) -> Iterator[Tensor]:
    """Pictures ``(B, 3, 28, 28)`` rounded to 8 bits, from the folder where they are there."""
    training.average.eval()
    for start in range(0, len(classes), DRAWN_AT_ONCE):
        path = cache / f"{start:06d}.npy"
        if not path.is_file():
            torch.manual_seed(start)
            with torch.no_grad():
                wanted = classes[start : start + DRAWN_AT_ONCE]
                images = training.peer.draw(training.average, wanted, setting)
            pixels = images.clamp(-1, 1).add(1).mul(127.5).round().byte().numpy()
            with whole_file(path, DataError) as part, part.open("wb") as file:
                np.save(file, pixels, allow_pickle=False)
        pixels = np.load(path, allow_pickle=False)
        yield torch.from_numpy(pixels).float().div(127.5).sub(1).expand(-1, 3, -1, -1)


def parameters(ours: Comparison) -> int:
    """How many a peer gets: as many as the best of ours, unless the environment says otherwise."""
    best = min(ours.models, key=lambda each: each.scores["fid"])
    return int(os.environ.get("LIMNER_PEER_PARAMETERS", "0")) or int(best.facts["parameters"])


def peer_key(name: str, wanted: int, reference: Reference, ours: Comparison) -> str:
    """Changes whenever the peer could score otherwise."""
    peer = PEERS[name]
    facts = (peer.package, version(peer.package), wanted, peer.settings, peer.rate, peer.decay,
             BATCH, ours.budget["minutes"], reference.key)  # fmt: skip
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def measure(name: str, reference: Reference, ours: Comparison, out: Path) -> ModelScores:
    """Train, choose the sampler's setting, draw and score one peer."""
    target = parameters(ours)
    training = Training(name, target, out / name / "state.safetensors")
    store = reference.store
    images = torch.from_numpy(store.batch(range(len(store))))[..., 0][:, None]  # N 1 28 28
    labels = [reference.network.classes.index(str(label)) for label in store.column("label")]
    training.go(images, torch.tensor(labels), 60 * float(ours.budget["minutes"]))
    prompts = reference.prompts(reference.samples)
    known = reference.classes_of(list(dict.fromkeys(prompts)))
    classes = torch.tensor([known[text] for text in prompts])

    def scored(number: int, n: int) -> tuple[DistributionFigures, dict[str, float], str]:
        cache = out / name / f"drawn-{reference.key}-{training.step}-{number}"
        setting, texts = training.peer.settings[number], prompts[:n]
        parts = drawn(training, classes[:n], setting, cache)
        stream = ((x, texts[i * DRAWN_AT_ONCE :][: len(x)]) for i, x in enumerate(parts))
        return score(reference, stream, texts)

    trial = min(TRIAL, reference.samples)
    trials = [scored(i, trial)[0].values["fid"] for i in range(len(training.peer.settings))]
    best = trials.index(min(trials))
    scores, per_class, sheet = scored(best, reference.samples)
    return ModelScores(
        name=name,
        family=f"{training.peer.package} {version(training.peer.package)}",
        key=peer_key(name, target, reference, ours),
        scores=scores.values,
        intervals=scores.intervals,
        per_class=per_class,
        facts={
            "parameters": float(count(training.module)),
            "minutes": training.elapsed / 60,
            "cpu_seconds": training.elapsed,
            "steps": float(training.step),
            "pictures": float(training.step * BATCH),
            "pictures_per_second": training.step * BATCH / training.elapsed,
            **speed(training, best),
        },
        notes=(
            f"size {training.size}, sampler setting {training.peer.settings[best]}, the best of "
            f"{training.peer.settings} by FID of {trial} pictures; not tuned otherwise, "
            f"while ours was tuned on this benchmark",
        ),
        sheet=sheet,
    )


def speed(training: Training, number: int) -> dict[str, float]:
    """Milliseconds a picture at batch 1 and 64, the median of three."""
    found, setting = {}, training.peer.settings[number]
    for batch in (1, 64):
        classes, times = torch.zeros(batch, dtype=torch.long), []
        for _ in range(4):
            start = time.perf_counter()
            with torch.no_grad():
                training.peer.draw(training.average, classes, setting)
            times.append(time.perf_counter() - start)
        found[f"ms_{batch}"] = 1000 * float(np.median(times[1:])) / batch
    return found


def run() -> dict[str, Any]:
    """Measure the peer that ``LIMNER_PEER`` names, or all that are left, and merge the results."""
    ours = read_comparison(folder() / "report.json")
    asked = options(clothes("train"), clothes("test"))
    torch.set_num_threads(asked.budget.threads or 1)
    reference = Reference(
        clothes("train"), load_features("fashion"), holdout=clothes("test"), samples=asked.samples
    )
    if reference.protocol() != ours.protocol:
        raise UsageError("the report of 'limner bench --run fashion' has another protocol")
    out = folder() / "peers"
    named = os.environ.get("LIMNER_PEER")
    if named and named not in PEERS:
        raise UsageError(f"there is no peer {named!r}; choose one of: {', '.join(PEERS)}")
    for name in [named] if named else PEERS:
        path = out / f"{name}.json"
        known = read_scores(path)
        if known is None or known.key != peer_key(name, parameters(ours), reference, ours):
            entry = measure(name, reference, ours, out)
            write_json(path, entry.model_dump(mode="json"), DataError)
    found = [each for name in PEERS if (each := read_scores(out / f"{name}.json")) is not None]
    both = ours.model_copy(
        update={"models": [*ours.models, *found], "command": "limner bench --run peers"}
    )
    write_comparison(both, out)
    mine = min(entry.scores["fid"] for entry in ours.models)
    theirs = min(entry.scores["fid"] for entry in found)
    figures: dict[str, Any] = {
        "our best FID over theirs": {"value": mine / theirs, "goal": 1.0, "unit": "x"}
    }
    for entry in both.models:
        figures |= {k: {**v, "goal": None} for k, v in figures_of(entry, both).items()}
    return {
        "figures": figures,
        "headline": "our best FID over theirs",
        "protocol": ours.protocol,
        "budget": ours.budget,
        "notes_of_peers": {each.name: each.notes for each in found},
    }
