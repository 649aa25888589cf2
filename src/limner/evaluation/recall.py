"""``limner evaluate``: draw the fixed prompts, measure them, report."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

import limner
from limner.data.store import Store
from limner.errors import DataError, ModelFileError, UsageError
from limner.evaluation.report import EvaluationReport, GroupRecall, Recall
from limner.files import write_json
from limner.metrics.copies import NOVEL_PROMPTS, CopyRate, novel_prompts
from limner.metrics.prompts import Prompt, check_languages, load_prompts, plain_key, prompts_hash
from limner.metrics.recall import Gallery, RecallMetric, Target, recall_of
from limner.modelfile import ModelInfo, read_info
from limner.models.base import SampleRequest
from limner.tensorfile import read_metadata, write_tensors
from limner.vision.pixels import quantized, to_images, to_tensor

if TYPE_CHECKING:
    from limner.generation.generator import Generator

_BATCH = 32


class Advance(Protocol):
    """What counts finished pictures: a progress bar's ``advance``."""

    def __call__(self, n: float = 1, /) -> None:
        """Count ``n`` more."""
        ...


@dataclass(frozen=True)
class Options:
    """What to measure.

    Attributes:
        languages: of the prompts.
        seeds: pictures per prompt; prompt i of seed s is drawn with seed ``1000 s + i``.
        samples: folder for the drawn pictures and their manifest, or None.
        command: written into the report.
    """

    languages: Sequence[str] = ("en", "zh")
    seeds: int = 1
    samples: Path | None = None
    command: str = ""

    def __post_init__(self) -> None:
        check_languages(list(self.languages))
        if not 1 <= self.seeds <= 100:
            raise UsageError(f"{self.seeds} seeds asked for; give a number from 1 to 100")
        if self.samples is not None and self.samples.exists() and not self.samples.is_dir():
            raise UsageError(f"samples cannot go to {self.samples}: it is a file")


@dataclass(frozen=True)
class Job:
    """One picture to draw.

    Attributes:
        text: the prompt.
        target: what it should show, and the icon set asked for.
        real_style: the icon set of its ceiling.
        seed: of the picture.
        language: of the prompt.
        claimed: whether the card claims the concept.
    """

    text: str
    target: Target
    real_style: str
    seed: int
    language: str
    claimed: bool


def picture_count(options: Options) -> int:
    """How many pictures an evaluation draws at most."""
    return options.seeds * (len(load_prompts()) * len(options.languages)) + len(NOVEL_PROMPTS)


def evaluate(
    generator: Generator,
    store: Store,
    options: Options,
    advance: Advance | None = None,
    *,
    also: Sequence[Store] = (),
) -> EvaluationReport:
    """Measure a model: concept recall with ceiling and floor, and the copy rate.

    Args:
        generator: the model and its encoder.
        store: real icons with ``concept`` and ``style`` metadata.
        options: what to measure.
        advance: called with the number of pictures finished.
        also: further stores that the model was trained on, where copies are looked for too.

    Raises:
        DataError: the store lacks the metadata, or no prompt can be scored with it.
        UsageError: an option is out of range.
    """
    start = time.monotonic()
    gallery = Gallery(store)
    claimed = {plain_key(key) for key in generator.info.concepts.get("keys", [])}
    plan, skipped = assign_styles(load_prompts(), generator.styles, gallery)
    groups = []
    for language in options.languages:
        for known in (True, False):
            members = [row for row in plan if (row[1].key in claimed) == known]
            if members:
                jobs = _jobs(members, language, known, options.seeds)
                groups.append(_measure(generator, gallery, jobs, options, advance))
    if not groups:
        raise DataError(f"the store {store.path} has no concept that can be scored")
    copies = _copy_rate(generator, CopyRate(store, others=also), advance)
    return EvaluationReport(
        limner=limner.__version__,
        model=generator.name,
        model_hash=generator.hash,
        encoder=generator.encoder.fingerprint,
        store=store.name,
        store_fingerprint=store.fingerprint,
        trained_on_store=store.fingerprint in _fingerprints(generator.info),
        judge_hash=gallery.judge.fingerprint,
        prompts_hash=prompts_hash(),
        gallery_icons=gallery.count,
        gallery_concepts=len(gallery.keys),
        searched="real icons of the other sets" if generator.styles else "real icons of all sets",
        styles=generator.styles,
        seeds=tuple(range(options.seeds)),
        skipped_concepts=skipped,
        groups=tuple(groups),
        copies=copies,
        seconds=round(time.monotonic() - start, 1),
        command=options.command,
    )


def _fingerprints(info: ModelInfo) -> set[str]:
    """Every string among the card's facts of its data; one of them is the store's fingerprint."""
    return {value for value in info.data.values() if isinstance(value, str)}


def assign_styles(
    prompts: Sequence[Prompt], styles: Sequence[str], gallery: Gallery
) -> tuple[list[tuple[int, Prompt, Target, str]], int]:
    """Which icon set each prompt is drawn in, and which one's icon is its ceiling.

    Prompt i is drawn in style ``i mod S``, or in the next one whose set draws the concept. A
    model without styles, or with styles that the store does not know, is searched among all
    sets, its ceiling cycling over the store's.

    Returns:
        Rows of (number, prompt, target, set of the ceiling), and how many prompts no real icon
        could score.
    """
    rows, skipped = [], 0
    shared = [s for s in styles if s in gallery.styles]
    for i, prompt in enumerate(prompts):
        real = _turn(shared or gallery.styles, i, prompt.key, gallery)
        if real is None:
            skipped += 1
            continue
        named = real if shared else (styles[i % len(styles)] if styles else "")
        rows.append((i, prompt, Target(prompt.key, named), real))
    return rows, skipped


def _turn(styles: Sequence[str], i: int, key: str, gallery: Gallery) -> str | None:
    """The first style from ``i mod S`` on that draws the concept and is not alone in it."""
    for j in range(len(styles)):
        style = styles[(i + j) % len(styles)]
        if gallery.has(key, style) and gallery.can_score(Target(key, style)):
            return style
    return None


def _jobs(
    members: Sequence[tuple[int, Prompt, Target, str]], language: str, claimed: bool, seeds: int
) -> list[Job]:
    return [
        Job(prompt.texts[language], target, real, 1000 * seed + i, language, claimed)
        for seed in range(seeds)
        for i, prompt, target, real in members
    ]


def draw(generator: Generator, jobs: Sequence[Job]) -> Iterator[tuple[Tensor, Sequence[Job]]]:
    """A lazy stream of drawn pictures, ``(B, 3, H, W)`` in [-1, 1], rounded to 8 bits as saved.

    Whoever composes is measured by what it composes.
    """
    names = generator.styles
    for start in range(0, len(jobs), _BATCH):
        batch = jobs[start : start + _BATCH]
        if generator.info.scenes:
            pixels = np.stack([_composed(generator, job) for job in batch])
            yield to_tensor(pixels), batch
            continue
        wanted = [names.index(j.target.style) if j.target.style else -1 for j in batch]
        request = SampleRequest(
            text=generator.encoder.encode([job.text for job in batch]).to(generator.device),
            seeds=[job.seed for job in batch],
            styles=torch.tensor(wanted).to(generator.device) if names else None,
        )
        images = generator.model.sample(request).cpu()
        yield quantized(images), batch


def _composed(generator: Generator, job: Job) -> NDArray[np.uint8]:
    style = job.target.style or None
    return np.asarray(generator.generate(job.text, seed=job.seed, style=style)[0].image)


def _measure(
    generator: Generator,
    gallery: Gallery,
    jobs: Sequence[Job],
    options: Options,
    advance: Advance | None,
) -> GroupRecall:
    metric = RecallMetric(gallery, {job.text: job.target for job in jobs})
    if len(metric.targets) * options.seeds != len(jobs):
        raise DataError(f"two prompts of the language {jobs[0].language} are the same text")
    samples = None if options.samples is None else _Samples(options.samples)
    for images, batch in draw(generator, jobs):
        metric.update(images, [job.text for job in batch])
        if samples is not None:
            samples.add(images, batch)
        if advance is not None:
            advance(len(batch))
    ranks = metric.ranks()
    if samples is not None:
        samples.finish(ranks)
    drawn = recall_of(ranks)
    real = [Target(job.target.key, job.real_style) for job in jobs]
    ceiling = recall_of(gallery.ranks(gallery.icon_features(real), real))
    trials = len(jobs) // options.seeds
    return GroupRecall(
        language=jobs[0].language,
        claimed=jobs[0].claimed,
        prompts=trials,
        pictures=len(jobs),
        recall=Recall.of(drawn, trials),
        ceiling=Recall.of(ceiling, trials),
        floor=Recall.of(metric.floor(), trials),
        of_ceiling={k: v / ceiling[k] if ceiling[k] else 0.0 for k, v in drawn.items()},
    )


class _Samples:
    """PNG files of the drawn pictures with a manifest that says how each was ranked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[dict[str, str | int | bool]] = []

    def add(self, images: Tensor, batch: Sequence[Job]) -> None:
        """Write a few pictures."""
        from limner.generation.files import write_png

        for image, job in zip(to_images(images), batch, strict=True):
            name = f"{job.language}-{job.target.key}-{job.seed}.png"
            write_png(image, self.folder / name, {"prompt": job.text})
            self.rows.append(
                {
                    "file": name,
                    "prompt": job.text,
                    "key": job.target.key,
                    "style": job.target.style,
                    "seed": job.seed,
                    "claimed": job.claimed,
                }
            )

    def finish(self, ranks: Tensor) -> None:
        """Write the manifest of this language and kind of concept."""
        rows = [
            row | {"rank": rank + 1} for row, rank in zip(self.rows, ranks.tolist(), strict=True)
        ]
        kind = "claimed" if rows[0]["claimed"] else "not-claimed"
        language = str(rows[0]["file"]).split("-", 1)[0]
        write_json(self.folder / f"{language}-{kind}.json", rows, DataError)


def _copy_rate(generator: Generator, metric: CopyRate, advance: Advance | None) -> dict[str, float]:
    prompts = novel_prompts([metric.store, *metric.others])
    jobs = [Job(text, Target(""), "", i, "en", False) for i, text in enumerate(prompts)]
    for images, batch in draw(generator, jobs):
        metric.update(images, [job.text for job in batch])
        if advance is not None:
            advance(len(batch))
    return metric.compute()


class Carded(Protocol):
    """A report of figures that a model file can carry."""

    def card(self) -> dict[str, Any]:
        """Entries of the file's ``quality``."""
        ...


def write_card(path: Path, report: Carded) -> ModelInfo:
    """Put the figures into the model file's own metadata; its weights stay bit for bit.

    Raises:
        ModelFileError: the file cannot be read or written; it is then what it was.
    """
    info = read_info(path)
    info = info.model_copy(update={"quality": {**info.quality, **report.card()}})
    try:
        tensors = load_file(path, device="cpu")
    except (OSError, SafetensorError) as error:
        raise ModelFileError(f"cannot read the weights of {path}: {error}") from error
    write_tensors(path, tensors, {**read_metadata(path), "limner": info.model_dump_json()})
    return info
