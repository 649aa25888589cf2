"""Data sets made larger by a generator that is trained on them.

Pictures of each class are drawn from the class's caption. One is kept where it is recognised as of
its class, and is no near copy of a training picture, of a held-out picture or of another that was
drawn. The store that is written says of every picture whether it is real or generated; its report
counts why others were refused.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limner.data.store import Caption, Store
from limner.data.writer import StoreWriter, Writing
from limner.errors import DataError, UsageError
from limner.evaluation.drawing import draw_batches
from limner.generation.generator import Generator, load
from limner.generation.requests import DrawRequest
from limner.improve.classifier import train_classifier
from limner.metrics.memorisation import calibrate, mosaic, mosaics_of, pixels
from limner.models.settings import Settings
from limner.progress import Meter
from limner.training.loop import train
from limner.training.recipe import load_recipe
from limner.training.shipped import find_recipe
from limner.vision.pixels import to_uint8

if TYPE_CHECKING:
    from limner.vision.aligner import Aligner

REAL, GENERATED = "real", "generated"
_HELD_OUT = frozenset({"test", "t10k", "val", "valid", "validation", "dev"})
"""Values of ``split`` in the metadata of pictures that no model may learn from."""
_CLASS_KEYS = ("label", "class", "concept")
_SMALL = 32
"""Up to this side, in pixels, the recipe for small pictures is used."""
_CALIBRATION, _MOST_COMPARED = 500, 20_000
_JUDGE_STEPS = 400
_BATCH = 64
_NOT_RECOGNISED = "not recognised as its class"
_OF_TRAINING = "near copy of a training picture"
_OF_HELD_OUT = "near copy of a held-out picture"
_OF_DRAWN = "near copy of another drawn picture"

Judge = Callable[[Tensor], Tensor]
"""``(B, 3, H, W)`` pictures in [-1, 1] to the chance of each class, ``(B, K)``."""


@dataclass(frozen=True)
class AugmentOptions:
    """How a data set is made larger.

    Attributes:
        per_class: pictures to add to each class.
        model: draws them; None to train one on the store.
        recipe: that it is trained by; None for ``vae-fashion`` up to 32 pixels, else ``vae-64``.
        minutes: of its training; None for ``steps``.
        steps: of its training; with both, whichever ends first.
        changes: ``key=value`` overrides of the recipe.
        holdout: pictures that nothing may be a near copy of, besides those of the store whose
            metadata say ``split: test`` or the like, which are left out.
        label: metadata key of the classes; None for label, class or concept, whichever there is,
            else the heaviest caption.
        aligner: judges whether a picture shows its class; None for a classifier trained on the
            store's pictures.
        confidence: least chance of the class asked for, which must be the likeliest too.
        tries: pictures drawn at most for each that is wanted.
        seed: of the first picture.
    """

    per_class: int = 500
    model: Path | None = None
    recipe: Path | None = None
    minutes: float | None = 3.0
    steps: int | None = None
    changes: Sequence[str] = ()
    holdout: Store | None = None
    label: str | None = None
    aligner: Aligner | None = None
    confidence: float = 0.5
    tries: int = 4
    seed: int = 0


@dataclass
class AugmentReport:
    """What came of it.

    Attributes:
        store: that was written.
        real: real pictures in it.
        kept: class -> generated pictures that were kept.
        drawn: class -> pictures that were drawn.
        refused: reason -> pictures that were not kept.
        threshold: distance below which a picture is a near copy, as of memorisation.
    """

    store: Path
    real: int = 0
    kept: Counter[str] = field(default_factory=Counter)
    drawn: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    threshold: float = 0.0


@dataclass(frozen=True)
class LabelledStore:
    """The pictures of a store that a model may learn from, with their classes.

    Attributes:
        store: the store.
        rows: ``(N,)`` int64, its pictures that are not held out.
        labels: ``(N,)`` int64, the class of each.
        names: of the K classes, sorted.
        held: ``(M,)`` int64, held-out pictures of the store.
    """

    store: Store
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    names: tuple[str, ...]
    held: NDArray[np.int64]

    @classmethod
    def of(cls, store: Store, label: str | None = None) -> LabelledStore:
        """Read the classes of a store.

        Raises:
            DataError: it has fewer than two classes, or pictures without one.
        """
        facts = [store.metadata(row) for row in range(len(store))]
        held = np.array([f.get("split") in _HELD_OUT for f in facts], bool)
        rows = np.flatnonzero(~held)
        key = label or next((k for k in _CLASS_KEYS if all(facts[r].get(k) for r in rows)), None)
        if key is None:
            found = [max(store.captions(int(r)), key=lambda c: c.weight).text for r in rows]
        else:
            missing = next((r for r in rows if not facts[r].get(key)), None)
            if missing is not None:
                raise DataError(
                    f"picture {missing} of the store {store.path} has no {key!r} in its metadata; "
                    "name the key of its class with --label"
                )
            found = [str(facts[r][key]) for r in rows]
        names = tuple(sorted(set(found)))
        if len(names) < 2:
            raise DataError(
                f"the store {store.path} has {len(names)} classes by its "
                f"{key or 'captions'}; two are needed, so that one can be told from another"
            )
        if len(rows) < 2 * len(names):
            raise DataError(
                f"the store {store.path} has {len(rows)} pictures of {len(names)} classes by its "
                f"{key or 'captions'}; name the key of its classes with --label"
            )
        number = {name: i for i, name in enumerate(names)}
        return cls(store, rows, np.array([number[each] for each in found]), names,
                   np.flatnonzero(held))  # fmt: skip

    def captions(self, which: int) -> tuple[Caption, ...]:
        """The captions of a class: those of its first picture."""
        return self.store.captions(int(self.rows[int(np.argmax(self.labels == which))]))

    def prompt(self, which: int) -> str:
        """What a class is drawn from: its heaviest caption."""
        return max(self.captions(which), key=lambda each: each.weight).text


def augment_store(
    store: Store,
    out: Path,
    options: AugmentOptions | None = None,
    *,
    meter: Meter | None = None,
    **how: Unpack[Writing],
) -> AugmentReport:
    """Write a store of a store's pictures and of generated ones.

    A generator that is trained here is in the folder ``OUT.run`` and is kept: the same call goes on
    with its training, or draws with it.

    Args:
        store: with classes in its metadata, or captions that stand for them.
        out: the store to make.
        options: how; None for the defaults.
        meter: shows how many pictures were kept.
        how: see :class:`~limner.data.writer.Writing`.

    Raises:
        UsageError: a number out of range.
        DataError: the store has no classes, ``out`` is there already, or nothing was recognised.
        LimnerError: the model cannot be trained or draw.
    """
    options, meter = options or AugmentOptions(), meter or Meter()
    if not 1 <= options.per_class <= 100_000:
        raise UsageError(f"{options.per_class} pictures a class asked for; give 1 to 100000")
    if not 0 <= options.confidence < 1 or options.tries < 1:
        raise UsageError("the confidence is a share below 1, and tries are at least 1")
    if out.exists() and not how.get("overwrite"):
        raise DataError(f"{out} is there already; name another store, or add --overwrite")
    data = LabelledStore.of(store, options.label)
    generator = load(options.model) if options.model else load(_trained(data, out, options))
    checks = _Checks(data, options)
    report = AugmentReport(out, threshold=checks.threshold)
    settings = {"kind": "augment", "of": store.fingerprint, "model": generator.hash,
                "per_class": options.per_class}  # fmt: skip
    licences = {**store.licences, GENERATED: f"drawn by {generator.name} ({generator.hash})"}
    how["restart"] = True
    with StoreWriter(
        out, store.size, f"{store.name}-augmented", licences=licences, settings=settings, **how
    ) as writer:
        for row in data.rows.tolist():
            facts = store.metadata(row) | {"provenance": REAL}
            writer.add(store.images[row], store.captions(row), facts)
            report.real += 1
        for row in data.held.tolist():
            writer.skip(str(store.metadata(row).get("id", row)), "held out")
        for which in range(len(data.names)):
            _add_class(
                writer, data, which, generator=generator, checks=checks, options=options,
                report=report, meter=meter,
            )  # fmt: skip
        if not report.kept:
            reasons = ", ".join(f"{many} {why}" for why, many in report.refused.most_common())
            raise DataError(
                f"none of {report.drawn.total():,} pictures was kept ({reasons}); train the model "
                "longer, or lower the confidence"
            )
        writer.finish()
    return report


def _trained(data: LabelledStore, out: Path, options: AugmentOptions) -> Path:
    """A generator trained on what is not held out; one that is finished is used again."""
    run = out.with_name(f"{out.name}.run")
    name = options.recipe or Path("vae-fashion" if data.store.size <= _SMALL else "vae-64")
    changes = [f"data.store={data.store.path.absolute().as_posix()}", "prompts=[]"]
    if len(data.held):
        splits = sorted({str(data.store.metadata(int(row)).get("split")) for row in data.rows})
        changes.append(f"data.filters={{split: [{', '.join(splits)}]}}")
    recipe = load_recipe(find_recipe(name), [*changes, *options.changes])
    begun = (run / "checkpoint.safetensors").exists()
    return train(
        recipe, run, minutes=options.minutes, steps=options.steps, resume=begun, quiet=True
    )


class _Checks:
    """Whether drawn pictures are of their class, and near copies of none."""

    def __init__(self, data: LabelledStore, options: AugmentOptions) -> None:
        store, rows = data.store, data.rows
        self._confidence = options.confidence
        self._judge = _judge(data, options)
        some = rows[:: max(1, len(rows) // _CALIBRATION)]
        known = rows[:: -(-len(rows) // _MOST_COMPARED)]
        self.threshold = calibrate(store, mosaics_of(store, some), own=some).distance
        self._training = mosaics_of(store, known)
        held = [mosaics_of(store, data.held)] if len(data.held) else []
        if options.holdout is not None:
            held.append(mosaics_of(options.holdout, np.arange(len(options.holdout))))
        self._held = torch.cat(held) if held else torch.zeros(0, self._training.shape[1])
        self._drawn = torch.zeros(0, self._training.shape[1])

    def reasons(self, images: Tensor, which: int) -> Iterator[str | None]:
        """Why each of B pictures of a class is refused; None where it is kept."""
        chances = self._judge(images)
        right = (chances.argmax(1) == which) & (chances[:, which] >= self._confidence)
        seen = mosaic(images)
        of_training, of_held = (self._near(seen, known) for known in (self._training, self._held))
        for i in range(len(images)):
            if not bool(right[i]):
                yield _NOT_RECOGNISED
            elif bool(of_training[i]):
                yield _OF_TRAINING
            elif bool(of_held[i]):
                yield _OF_HELD_OUT
            elif bool(self._near(seen[i : i + 1], self._drawn)[0]):
                yield _OF_DRAWN
            else:
                self._drawn = torch.cat([self._drawn, seen[i : i + 1]])
                yield None

    def _near(self, seen: Tensor, known: Tensor) -> Tensor:
        if not len(known):
            return torch.zeros(len(seen), dtype=torch.bool)
        least = torch.cdist(seen, known).amin(1) / math.sqrt(seen.shape[1])
        return least < self.threshold


def _judge(data: LabelledStore, options: AugmentOptions) -> Judge:
    """What says how likely each class is: an aligner, or a classifier of the training pictures."""
    aligner = options.aligner
    if aligner is not None:
        said = aligner.encode_texts([data.prompt(which) for which in range(len(data.names))])
        return lambda images: aligner.logits(aligner.encode_images(images), said).softmax(1)
    images = torch.cat([
        pixels(data.store, data.rows[start : start + _BATCH])
        for start in range(0, len(data.rows), _BATCH)
    ])  # fmt: skip
    return train_classifier(
        images, torch.from_numpy(data.labels), len(data.names), steps=_JUDGE_STEPS,
        seed=options.seed,
    ).chances  # fmt: skip


def _add_class(
    writer: StoreWriter,
    data: LabelledStore,
    which: int,
    *,
    generator: Generator,
    checks: _Checks,
    options: AugmentOptions,
    report: AugmentReport,
    meter: Meter,
) -> None:
    """Draw a class until there are enough pictures of it, or as many were drawn as are tried."""
    name, prompt, captions = data.names[which], data.prompt(which), data.captions(which)
    common = _shared_facts(data, which)
    most = options.per_class * options.tries
    first = options.seed + which * most
    requests = [DrawRequest(prompt, first + i, Settings(scenes=False)) for i in range(most)]
    for start in range(0, most, _BATCH):
        for images, asked in draw_batches(generator, requests[start : start + _BATCH]):
            side = data.store.size
            if images.shape[-1] != side:
                images = torch.nn.functional.interpolate(  # noqa: PLW2901
                    images, (side, side), mode="area"
                )
            arrays = to_uint8(images).numpy()
            found = zip(arrays, asked, checks.reasons(images, which), strict=True)
            for array, request, reason in found:
                report.drawn[name] += 1
                key = f"{GENERATED}/{name}/{request.seed}"
                if reason is not None:
                    report.refused[reason] += 1
                    writer.skip(key, reason)
                    continue
                own = {"id": key, "provenance": GENERATED, "prompt": prompt, "seed": request.seed,
                       "model": generator.hash}  # fmt: skip
                writer.add(array, captions, common | own)
                report.kept[name] += 1
                meter.advance(1)
                if report.kept[name] == options.per_class:
                    return


def _shared_facts(data: LabelledStore, which: int) -> dict[str, Any]:
    """What the metadata of all pictures of a class have in common."""
    rows = data.rows[data.labels == which].tolist()
    shared = dict(data.store.metadata(rows[0]))
    for row in rows[1:]:
        facts = data.store.metadata(row)
        shared = {key: value for key, value in shared.items() if facts.get(key) == value}
    shared.pop("id", None)
    return shared
