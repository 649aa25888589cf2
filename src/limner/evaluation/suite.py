"""``limner evaluate --suite full``: everything that can be measured of a model, in one report.

Every part is one class in :mod:`limner.evaluation.parts`. Parts that look at a crowd of pictures
see the same lazy stream, drawn once; a part that draws for itself does so when it is asked to
finish. A part that has nothing to measure says why, and the report carries that too.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

import limner
from limner.data.store import Store
from limner.errors import DataError, LimnerError
from limner.evaluation.comparison import Meter, Silent, draw
from limner.evaluation.distribution import taught
from limner.files import write_json
from limner.metrics.features import FeatureNetwork, LooksOnce
from limner.metrics.reference import Reference
from limner.training.machine import hardware

if TYPE_CHECKING:
    from limner.generation.generator import Generator
    from limner.vision.aligner import Aligner

REPORT_FORMAT = 1


class _Open(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Figure(_Open):
    """One number with what it means.

    Attributes:
        key: name in the report, unique within its part.
        title: for people.
        told: one sentence on what it is.
        value: of the model.
        real: what real pictures score, where that can be measured: the end of the scale.
        chance: what noise, or shuffled prompts, score: its other end.
        low: of the 95 % interval, where there is one.
        high: of the same.
        better: ``high``, ``low`` or nothing.
        percent: whether it is a share.
    """

    key: str
    title: str
    told: str
    value: float
    real: float | None = None
    chance: float | None = None
    low: float | None = None
    high: float | None = None
    better: str = ""
    percent: bool = False


class Sheet(_Open):
    """Pictures for the page; they are not in the JSON.

    Attributes:
        title: above it.
        rows: words beside its rows, or none.
        png: base64.
    """

    title: str
    png: str
    rows: tuple[str, ...] = ()


class Finding(_Open):
    """What one part found.

    Attributes:
        name: of the part.
        title: for people.
        told: what was done, in a sentence or two.
        figures: in the order they are shown.
        alarms: sentences that somebody should read.
        shares: name -> share in [0, 1], such as accuracy class by class.
        protocol: what it was measured with.
        sheets: pictures.
        card: what goes into the model file.
    """

    name: str
    title: str
    told: str
    figures: tuple[Figure, ...]
    alarms: tuple[str, ...] = ()
    shares: dict[str, float] = {}
    protocol: dict[str, Any] = {}
    sheets: tuple[Sheet, ...] = Field(default=(), exclude=True)
    card: dict[str, Any] = Field(default={}, exclude=True)

    def figure(self, key: str) -> Figure:
        """The figure of a name.

        Raises:
            KeyError: there is none.
        """
        found = next((each for each in self.figures if each.key == key), None)
        if found is None:
            raise KeyError(key)
        return found


class FullReport(_Open):
    """All findings, with everything needed to measure them again.

    Attributes:
        model: name of the file.
        alarms: of all parts.
        findings: of the parts that applied.
        skipped: part -> why it did not apply.
        failed: part -> why it came to nothing.
        seconds: the whole evaluation took.
        command: that measured.
    """

    format: int = REPORT_FORMAT
    limner: str = limner.__version__
    date: str
    machine: str
    model: str
    model_hash: str
    family: str
    store: str
    store_fingerprint: str
    samples: int
    alarms: tuple[str, ...]
    findings: tuple[Finding, ...]
    skipped: dict[str, str]
    failed: dict[str, str]
    seconds: float
    command: str

    def finding(self, name: str) -> Finding:
        """What a part found.

        Raises:
            KeyError: it did not apply, or failed.
        """
        found = next((each for each in self.findings if each.name == name), None)
        if found is None:
            raise KeyError(name)
        return found

    def card(self) -> dict[str, Any]:
        """What goes into the model file: the cards of all parts."""
        return {key: value for each in self.findings for key, value in each.card.items()}

    def write(self, path: Path) -> Path:
        """Write the report as JSON, whole or not at all.

        Raises:
            DataError: the file cannot be written.
        """
        return write_json(path, self.model_dump(mode="json"), DataError)


@dataclass(frozen=True)
class Asked:
    """What to measure.

    Attributes:
        samples: pictures of the crowd.
        languages: of the prompts of concept recall.
        seeds: pictures a prompt of concept recall.
        also: further stores that the model learned from, where copies are looked for too.
        command: written into the report.
    """

    samples: int
    languages: Sequence[str] = ("en", "zh")
    seeds: int = 1
    also: Sequence[Store] = ()
    command: str = ""


@dataclass(frozen=True)
class Setting:
    """What all parts share.

    Attributes:
        generator: the model and its encoder.
        reference: the real pictures; its network looks at a batch once, whoever asks.
        network: the same without that memory.
        prompts: of the crowd; picture i is drawn from prompt i with seed i.
        rows: ``reference.store``'s pictures that the prompts are captions of.
        aligner: judges whether words and pictures agree; None for none.
        asked: what to measure.
    """

    generator: Generator
    reference: Reference
    network: FeatureNetwork
    prompts: Sequence[str]
    rows: Sequence[int]
    aligner: Aligner | None
    asked: Asked


class InapplicableError(Exception):
    """A part has nothing to measure here; its message says why."""


class Part(ABC):
    """One thing that is measured.

    Its constructor takes the :class:`Setting` and raises :class:`InapplicableError` where there is
    nothing to measure. ``update`` is given the crowd, picture by picture in the order of the
    prompts; then ``finish`` is called once.
    """

    name: str
    title: str

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    @property
    def own_pictures(self) -> int:
        """How many pictures it draws for itself, for the progress bar."""
        return 0

    def update(self, images: Tensor, captions: Sequence[str]) -> None:
        """Take in B pictures of the crowd, ``(B, 3, H, W)`` in [-1, 1], and their captions."""
        return

    @abstractmethod
    def finish(self, meter: Meter) -> Finding:
        """What was found.

        Raises:
            LimnerError: it could not be measured.
        """


def evaluate_all(
    generator: Generator,
    store: Store,
    network: FeatureNetwork,
    asked: Asked,
    *,
    holdout: Store | None = None,
    aligner: Aligner | None = None,
    meter: Meter | None = None,
) -> FullReport:
    """Measure everything that applies to a model and a store.

    Args:
        generator: the model and its encoder.
        store: real pictures.
        network: looks at pictures.
        asked: what to measure.
        holdout: real pictures of the same kind that the model did not learn from.
        aligner: judges whether words and pictures agree.
        meter: is told how many pictures were drawn.

    Raises:
        LimnerError: the crowd cannot be drawn or looked at. A part that fails afterwards is
            named in ``failed``.
    """
    from limner.evaluation.parts import PARTS

    start, meter = time.monotonic(), meter or Silent()
    meter.note(f"looking at the real pictures with {network.spec} ({network.fingerprint})")
    reference = Reference(
        store,
        LooksOnce(network),
        holdout=holdout,
        samples=asked.samples,
        selection=taught(generator.info, store),
    )
    rows, prompts = reference.asked(asked.samples)
    setting = Setting(generator, reference, network, prompts, rows, aligner, asked)
    parts: list[Part] = []
    skipped: dict[str, str] = {}
    for kind in PARTS:
        try:
            parts.append(kind(setting))
        except InapplicableError as reason:
            skipped[kind.name] = str(reason)
    for images, captions in draw(generator, prompts):
        for part in parts:
            part.update(images, captions)
        meter.advance(len(images))
    findings, failed = _finished(parts, meter)
    return FullReport(
        date=datetime.now(UTC).date().isoformat(),
        machine=hardware(torch.device("cpu")),
        model=generator.name,
        model_hash=generator.hash,
        family=generator.info.family,
        store=store.name,
        store_fingerprint=store.fingerprint,
        samples=len(prompts),
        alarms=tuple(alarm for each in findings for alarm in each.alarms),
        findings=tuple(findings),
        skipped=skipped,
        failed=failed,
        seconds=round(time.monotonic() - start, 1),
        command=asked.command,
    )


def _finished(parts: Sequence[Part], meter: Meter) -> tuple[list[Finding], dict[str, str]]:
    """What the parts found, and why others came to nothing: hours of drawing must not be lost."""
    findings: list[Finding] = []
    failed: dict[str, str] = {}
    for part in parts:
        meter.note(f"measuring: {part.title}")
        try:
            findings.append(part.finish(meter))
        except LimnerError as error:
            failed[part.name] = str(error)
    return findings, failed
