"""``limner compare``: families on equal footing, the same data, minutes, machine and scorer."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shlex
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

import limner
from limner.data.store import Store
from limner.errors import DataError, LimnerError, TrainingError
from limner.evaluation.contest import (
    Budget,
    Contestant,
    check_same_data,
    contestants,
    failure,
    finished,
    shared_selection,
    train_all,
    training_facts,
)
from limner.evaluation.speed import SECONDS, measure_apart
from limner.files import write_json
from limner.generation.generator import Generator, load
from limner.metrics.copies import pixels
from limner.metrics.features import features_for, load_features
from limner.metrics.reference import SAMPLES, DistributionScore, Reference
from limner.models.base import SampleRequest
from limner.tensorfile import file_hash
from limner.training.machine import hardware
from limner.vision.pixels import quantized, to_images

REPORT_FORMAT = 1
GRID_ROWS = 10
GRID_COLUMNS = 8
_BATCH = 64
_CURVE_POINTS = 240


class Meter(Protocol):
    """What shows progress to a person."""

    def advance(self, n: float = 1, **fields: object) -> None:
        """Count ``n`` more."""
        ...

    def note(self, text: str) -> None:
        """Print one line."""
        ...


class Silent:
    """Shows nothing."""

    def advance(self, n: float = 1, **fields: object) -> None:
        """Nothing is shown."""

    def note(self, text: str) -> None:
        """Nothing is printed."""


@dataclass(frozen=True)
class Options:
    """What to compare, and how.

    Attributes:
        data: store the recipes learn from.
        out: folder of runs, scores and report.
        budget: of each training.
        samples: N pictures drawn of each model.
        features: spec of the feature network; ``auto`` for the shipped one that fits.
        holdout: store of pictures that nobody learns from, for the floor.
        speed_seconds: how long the speed at each batch size is measured; 0 for not at all.
        command: written into the report; empty for that of ``limner compare``.
    """

    data: Path
    out: Path
    budget: Budget = field(default_factory=Budget)
    samples: int = SAMPLES
    features: str = "auto"
    holdout: Path | None = None
    speed_seconds: float = SECONDS
    command: str = ""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Entry(_Part):
    """Everything measured of one model.

    Attributes:
        name: of the contestant.
        family: of the model, or what a peer calls itself.
        key: of model, reference and protocol; the same key is not measured again.
        scores: figures of the drawn pictures.
        per_class: class -> share of its pictures that show it.
        facts: parameters, pictures seen, steps, minutes, speed, memory.
        curves: ``{"minutes", "pictures", "loss": {…}, "weight": {…}}`` over the training.
        notes: sentences on what a reader should know.
        sheet: PNG of drawn pictures, base64.
    """

    name: str
    family: str
    key: str
    scores: dict[str, float]
    per_class: dict[str, float] = {}
    facts: dict[str, float] = {}
    curves: list[dict[str, Any]] = []
    notes: list[str] = []
    sheet: str = ""


class Comparison(_Part):
    """The whole report."""

    format: int = REPORT_FORMAT
    limner: str = limner.__version__
    date: str
    machine: str
    command: str
    protocol: dict[str, Any]
    budget: dict[str, Any]
    floor: dict[str, float]
    noise: dict[str, float]
    real_sheet: str = ""
    sheet_captions: list[str] = []
    entries: list[Entry]
    failures: dict[str, str] = {}

    def entry(self, name: str) -> Entry:
        """The entry of a contestant.

        Raises:
            KeyError: there is none.
        """
        found = next((each for each in self.entries if each.name == name), None)
        if found is None:
            raise KeyError(name)
        return found


def compare(given: Sequence[Path], options: Options, meter: Meter | None = None) -> Comparison:
    """Train what is a recipe, draw, measure, and write ``report.json`` and ``index.html``.

    Nothing that is done is done again: a killed comparison goes on where it was.

    Args:
        given: recipes (paths or names of shipped ones), model files or run folders.
        options: see there.
        meter: is told of seconds of training and pictures drawn.

    Raises:
        LimnerError: an option cannot be honoured; or, once the report is written, a contestant
            failed (the report says why).
    """
    meter = meter or Silent()
    store = Store.open(options.data)
    holdout = None if options.holdout is None else Store.open(options.holdout)
    rivals = contestants(given, options.out)
    check_same_data(rivals, store, options.budget)
    for each in rivals:
        finished(each, options.budget)  # refuses a run that is older than its budget, early
    spec = features_for(store, options.features)
    network = load_features(spec)
    failures = train_all(rivals, store, options.out, options.budget, meter.advance)
    meter.note(f"looking at the real pictures with {spec} ({network.fingerprint})")
    selection = shared_selection(rivals, store, options.budget)
    reference = Reference(
        store, network, holdout=holdout, samples=options.samples, selection=selection
    )
    floor, noise = _cached_ends(reference, options.out)
    entries = []
    for each in rivals:
        if each.name in failures:
            continue
        try:
            entries.append(_entry(each, reference, options, meter))
        except LimnerError as error:
            failures[each.name] = failure(error)
    sheet = Sheet(reference.prompts(options.samples))
    result = Comparison(
        date=datetime.now(UTC).date().isoformat(),
        machine=hardware(torch.device("cpu")),
        command=options.command or command_of(given, options),
        protocol=reference.protocol(),
        budget=asdict(options.budget) | {"changes": list(options.budget.changes)},
        floor=floor,
        noise=noise,
        real_sheet=as_png(sheet.real(reference)),
        sheet_captions=sheet.captions,
        entries=entries,
        failures=failures,
    )
    write_report(result, options.out)
    if failures:
        name, reason = next(iter(failures.items()))
        raise TrainingError(
            f"{len(failures)} of {len(rivals)} could not be compared, {name} first ({reason}); "
            f"the others are in {options.out / 'index.html'}"
        )
    return result


def command_of(given: Sequence[Path], options: Options) -> str:
    """The command that does the same, without the folders of the machine it ran on."""
    budget = options.budget
    words = ["limner compare", *(shlex.quote(path.name) for path in given)]
    words.append(f"--data {shlex.quote(options.data.name)} --out report")
    if options.holdout is not None:
        words.append(f"--holdout {shlex.quote(options.holdout.name)}")
    numbers = {"minutes": budget.minutes, "steps": budget.steps, "threads": budget.threads}
    words += [f"--{name} {value:g}" for name, value in numbers.items() if value is not None]
    words.append(f"--samples {options.samples} --features {shlex.quote(options.features)}")
    words += [f"--at-once {budget.at_once}"] if budget.at_once > 1 else []
    words += [f"--set {shlex.quote(each)}" for each in budget.changes]
    return " ".join(words)


def write_report(result: Comparison, out: Path) -> Path:
    """Write ``report.json`` and the page that shows it; the page's path.

    Raises:
        DataError: a file cannot be written.
    """
    from limner.evaluation.page import write_page

    write_json(out / "report.json", result.model_dump(mode="json"), DataError)
    return write_page(result, out / "index.html")


def read_report(path: Path) -> Comparison:
    """A ``report.json``.

    Raises:
        DataError: it cannot be read, or is none.
    """
    try:
        return Comparison.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        first = str(error).splitlines()[0]
        raise DataError(f"{path} is no report of a comparison: {first}") from error


# -- one model ----------------------------------------------------------------------------------


class Sheet:
    """The same captions of every model, side by side: one row each.

    Args:
        prompts: of all pictures that will be drawn.
    """

    def __init__(self, prompts: Sequence[str]) -> None:
        counts: dict[str, int] = {}
        for prompt in prompts:
            counts[prompt] = counts.get(prompt, 0) + 1
        common = sorted(counts, key=lambda text: (-min(counts[text], GRID_COLUMNS), text))
        self.captions = sorted(common[:GRID_ROWS])
        self._found: dict[str, list[Tensor]] = {text: [] for text in self.captions}

    def add(self, images: Tensor, captions: Sequence[str]) -> None:
        """Keep the first few pictures of each caption."""
        for image, text in zip(images, captions, strict=True):
            mine = self._found.get(text)
            if mine is not None and len(mine) < GRID_COLUMNS:
                mine.append(image.clone())

    def image(self) -> Image.Image:
        """One row a caption; a missing picture is white."""
        shape = next(row[0] for row in self._found.values() if row).shape
        blank = torch.ones(shape)
        rows = [(row + [blank] * GRID_COLUMNS)[:GRID_COLUMNS] for row in self._found.values()]
        return tiled(torch.stack([image for row in rows for image in row]))

    def real(self, reference: Reference) -> Image.Image:
        """The same of the real pictures: the first that carry each caption."""
        import numpy as np

        store, table = reference.store, reference.store.caption_table()
        number = {text: i for i, text in enumerate(table.texts)}
        owner = np.repeat(np.arange(len(store)), np.diff(table.offsets))
        known = np.isin(owner, reference.selection.rows(store))
        for text in self.captions:
            rows = owner[known & (table.text_index == number[text])][:GRID_COLUMNS]
            self.add(pixels(store, rows.astype(np.int64)), [text] * len(rows))
        return self.image()


def tiled(images: Tensor, gap: int = 2) -> Image.Image:
    """A plain grid without captions, gaps transparent on any ground."""
    cells = to_images(images)
    side = cells[0].width
    rows = -(-len(cells) // GRID_COLUMNS)
    step = side + gap
    sheet = Image.new("RGBA", (GRID_COLUMNS * step - gap, rows * step - gap), (0, 0, 0, 0))
    for i, cell in enumerate(cells):
        sheet.paste(cell, (i % GRID_COLUMNS * step, i // GRID_COLUMNS * step))
    return sheet


def as_png(image: Image.Image) -> str:
    """A PNG as base64."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def draw(generator: Generator, prompts: Sequence[str]) -> Iterator[tuple[Tensor, list[str]]]:
    """Picture i of prompt i and seed i, a few at a time, rounded to 8 bits as saved."""
    for start in range(0, len(prompts), _BATCH):
        seeds = range(start, min(start + _BATCH, len(prompts)))
        yield draw_some(generator, prompts, seeds), [prompts[i] for i in seeds]


def draw_some(generator: Generator, prompts: Sequence[str], seeds: Sequence[int]) -> Tensor:
    """The pictures i of :func:`draw` for some i, ``(B, 3, H, W)``, the same whatever is beside."""
    request = SampleRequest(
        text=generator.encoder.encode([prompts[i] for i in seeds]).to(generator.device),
        seeds=list(seeds),
    )
    images = generator.model.sample(request).cpu()
    return quantized(images)


def score(
    reference: Reference,
    stream: Iterable[tuple[Tensor, Sequence[str]]],
    prompts: Sequence[str],
    meter: Meter | None = None,
) -> tuple[dict[str, float], dict[str, float], str]:
    """Measure one lazy stream of pictures, whoever draws them.

    Args:
        reference: real pictures.
        stream: pictures ``(B, 3, H, W)`` in [-1, 1] with their captions, in the order of prompts.
        prompts: all captions.
        meter: is told how many pictures were drawn.

    Returns:
        Scores, shares by class, and a sheet as base64 PNG.
    """
    metric, sheet = DistributionScore(reference, prompts), Sheet(prompts)
    for images, captions in stream:
        metric.update(images, captions)
        sheet.add(images, captions)
        if meter is not None:
            meter.advance(len(images))
    return metric.compute(), metric.per_class(), as_png(sheet.image())


def _entry(rival: Contestant, reference: Reference, options: Options, meter: Meter) -> Entry:
    threads = options.budget.threads
    key = f"{file_hash(rival.model)}-{reference.key}-{threads or 'all'}"
    path = options.out / "scores" / f"{rival.name}.json"
    done = _read_entry(path)
    if done is not None and done.key == key:
        return done
    meter.note(f"drawing {options.samples:,} pictures of {rival.name}")
    generator = load(rival.model, threads=threads)
    prompts = reference.prompts(options.samples)
    start = time.monotonic()
    scores, per_class, sheet = score(reference, draw(generator, prompts), prompts, meter)
    drawing = time.monotonic() - start
    training = generator.info.training
    minutes, pictures = training.get("minutes", 0.0), training.get("pictures", 0)
    facts = {
        "parameters": float(sum(p.numel() for p in generator.model.parameters())),
        "minutes": float(minutes),
        "steps": float(training.get("steps", 0)),
        "pictures": float(pictures),
        "pictures_per_second": pictures / (60 * minutes) if minutes else 0.0,
        "seconds_to_score": round(drawing, 1),
        **training_facts(rival),
    }
    if options.speed_seconds > 0:
        facts |= measure_apart(
            rival.model, prompts[0], threads=threads, seconds=options.speed_seconds
        )
    entry = Entry(
        name=rival.name,
        family=generator.info.family,
        key=key,
        scores=scores | _concepts(generator, reference),
        per_class=per_class,
        facts=facts,
        curves=read_curves(rival.log),
        notes=_notes(generator, reference),
        sheet=sheet,
    )
    write_json(path, entry.model_dump(mode="json"), DataError)
    return entry


def _concepts(generator: Generator, reference: Reference) -> dict[str, float]:
    """Concept recall as a share of its ceiling, where the icon judge is the scorer."""
    if reference.network.spec != "judge":
        return {}
    from limner.evaluation.recall import Options as Asked
    from limner.evaluation.recall import evaluate

    try:
        groups = evaluate(generator, reference.store, Asked(("en",))).groups
    except DataError:
        return {}  # too few icon sets to search among
    pictures = sum(group.pictures for group in groups)
    return {
        f"concept_{top}": sum(g.of_ceiling[top] * g.pictures for g in groups) / pictures
        for top in ("top1", "top5")
    }


def _notes(generator: Generator, reference: Reference) -> list[str]:
    notes = []
    if reference.store.fingerprint not in json.dumps(generator.info.data):
        notes.append("was not trained on this store")
    if not generator.info.training.get("finished", False):
        notes.append("its training was not finished")
    return notes


def _read_entry(path: Path) -> Entry | None:
    try:
        return Entry.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError):
        return None


def _cached_ends(reference: Reference, out: Path) -> tuple[dict[str, float], dict[str, float]]:
    path = out / "scores" / f"real-{hashlib.sha256(reference.key.encode()).hexdigest()[:12]}.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return dict(found["floor"]), dict(found["noise"])
    except (OSError, ValueError, KeyError, TypeError):
        ends = {"floor": reference.floor(), "noise": reference.noise()}
        write_json(path, ends, DataError)
        return ends["floor"], ends["noise"]


def read_curves(log: Path) -> list[dict[str, Any]]:
    """What a training's log tells of losses and their weights, thinned to 240 points."""
    try:
        lines = log.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    rows = []
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get("loss"), dict):
            rows.append(row)
    step = max(1, len(rows) // _CURVE_POINTS)
    kept = rows[::step] + (rows[-1:] if rows and (len(rows) - 1) % step else [])
    return [
        {
            "minutes": round(row.get("clock", {}).get("seconds", 0.0) / 60, 4),
            "pictures": row.get("pictures", 0),
            "loss": row["loss"],
            "weight": row.get("weight", {}),
        }
        for row in kept
    ]
