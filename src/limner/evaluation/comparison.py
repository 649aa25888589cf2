"""``limner compare``: models trained under one budget on the same data, measured alike."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

import limner
from limner.data.store import Store
from limner.errors import DataError, LimnerError, TrainingError
from limner.evaluation.comparison_page import comparison_page
from limner.evaluation.drawing import draw_batches, store_requests
from limner.evaluation.parts.recall import icon_gallery, recall_groups
from limner.evaluation.reference import (
    SAMPLES,
    DistributionFigures,
    DistributionScore,
    Reference,
)
from limner.evaluation.report import Frozen, read_written
from limner.evaluation.runs import (
    ComparisonRun,
    TrainingBudget,
    check_same_data,
    comparison_runs,
    shared_selection,
    train_all,
    training_facts,
)
from limner.evaluation.sheets import CaptionRows
from limner.evaluation.speed import SECONDS, measure_apart
from limner.files import write_json, write_text
from limner.generation.generator import Generator, load
from limner.metrics.features import features_for, load_features
from limner.metrics.intervals import Interval, mean_interval, t_interval
from limner.modelinfo import read_info
from limner.progress import Meter
from limner.tensorfile import file_hash
from limner.training.machine import cpu_name, hardware

FORMAT = 2
_PROTOCOL = 2
"""Of how models are drawn and measured; raised where the same model could score otherwise."""
_CURVE_POINTS = 240


@dataclass(frozen=True)
class ComparisonOptions:
    """What to compare, and how.

    Attributes:
        data: store that the recipes are trained on.
        out: folder of runs, scores and report.
        budget: of each training.
        samples: N pictures drawn of each model.
        features: spec of the feature network; ``auto`` for the shipped one that fits.
        holdout: store of held-out real pictures, for the upper bound.
        speed_seconds: how long the speed at each batch size is measured; 0 for not at all.
        command: written into the report; empty for that of ``limner compare``.
    """

    data: Path
    out: Path
    budget: TrainingBudget = field(default_factory=TrainingBudget)
    samples: int = SAMPLES
    features: str = "auto"
    holdout: Path | None = None
    speed_seconds: float = SECONDS
    command: str = ""


class ModelScores(Frozen):
    """Everything measured of one model, or of one recipe over several training seeds.

    Attributes:
        name: of the model or recipe.
        family: of the model, or what a peer calls itself.
        key: of model, reference and protocol; the same key is not measured again.
        scores: figures of the drawn pictures; means over the seeds.
        intervals: figure -> 95 % interval. Of one run it covers the choice of the pictures that
            were drawn; of several seeds it is Student's over their scores, and covers the training
            too.
        seeds: scores of each training seed, where there are several.
        per_class: class -> share of its pictures that show it.
        facts: parameters, pictures, steps, minutes, CPU seconds, speed, memory.
        curves: ``{"minutes", "pictures", "loss": {…}, "weight": {…}}`` over the first training.
        notes: remarks on the model.
        sheet: PNG of drawn pictures, base64.
    """

    name: str
    family: str
    key: str
    scores: dict[str, float]
    intervals: dict[str, Interval] = Field(default_factory=dict)
    seeds: tuple[dict[str, float], ...] = ()
    per_class: dict[str, float] = Field(default_factory=dict)
    facts: dict[str, float] = Field(default_factory=dict)
    curves: list[dict[str, Any]] = Field(default_factory=list)
    notes: tuple[str, ...] = ()
    sheet: str = ""

    def value(self, key: str) -> float | None:
        """A score or a fact; None where there is none."""
        return self.scores.get(key, self.facts.get(key))


class Comparison(Frozen):
    """The whole report.

    Attributes:
        upper_bound: what held-out real pictures score.
        lower_bound: what uniform noise scores.
        warnings: figures for which there are too few pictures.
        models: in the order that they were named.
        failures: name -> why it could not be compared.
    """

    format: int = FORMAT
    limner: str = limner.__version__
    date: str
    machine: str
    command: str
    protocol: dict[str, Any]
    budget: dict[str, Any]
    upper_bound: dict[str, float]
    lower_bound: dict[str, float]
    warnings: tuple[str, ...] = ()
    real_sheet: str = ""
    sheet_captions: list[str] = Field(default_factory=list)
    models: list[ModelScores]
    failures: dict[str, str] = Field(default_factory=dict)

    def headline(self) -> str:
        """One sentence on which model has the best FID, claiming what the intervals allow."""
        scored = [each for each in self.models if "fid" in each.scores]
        if not scored:
            return ""
        best, *others = sorted(scored, key=lambda each: each.scores["fid"])
        value, bound = f"FID {_shown(best)}", self.upper_bound.get("fid", 0.0)
        if bound > 0:
            value += f", {best.scores['fid'] / bound:.3g} times what real pictures score"
        if not others:
            return f"{best.name}: {value}"
        close = ", ".join(f"{e.name} ({_shown(e)})" for e in others if _overlap(best, e))
        if close:
            return (
                f"{best.name} has the best {value}, but the intervals do not tell it apart "
                f"from {close}"
            )
        what = "over its training seeds" if best.seeds else "of one training run each"
        return f"{best.name} is closest to the real pictures, {what}: {value}"


def _shown(model: ModelScores) -> str:
    between = model.intervals.get("fid")
    ends = "" if between is None else f" ({between[0]:.3g} to {between[1]:.3g})"
    return f"{model.scores['fid']:.3g}{ends}"


def _overlap(one: ModelScores, other: ModelScores) -> bool:
    """Whether two models' intervals of FID overlap; without intervals they count as overlapping."""
    a, b = one.intervals.get("fid"), other.intervals.get("fid")
    return a is None or b is None or (a[0] <= b[1] and b[0] <= a[1])


def _machine(models: Iterable[Path]) -> str:
    """The machine that draws and measures, and those of other names that trained the models."""
    here = hardware(torch.device("cpu"))
    trained = (str(read_info(path).training.get("hardware", "")) for path in models)
    elsewhere = {name for name in trained if name and not name.startswith(cpu_name())}
    return here if not elsewhere else f"{here}; trained on {', '.join(sorted(elsewhere))}"


def compare(
    given: Sequence[Path], options: ComparisonOptions, meter: Meter | None = None
) -> Comparison:
    """Train the recipes, draw, measure, and write ``report.json`` and ``index.html``.

    Nothing that is done is done again, so that an interrupted comparison goes on where it was;
    what was trained or measured from other content is not reused.

    Args:
        given: recipes (paths or names of shipped ones), model files or run folders.
        options: see there.
        meter: shows seconds of training and pictures drawn.

    Raises:
        LimnerError: an option cannot be honoured; or, once the report is written, a model failed
            (the report says why).
    """
    meter = meter or Meter()
    store = Store.open(options.data)
    holdout = None if options.holdout is None else Store.open(options.holdout)
    runs = comparison_runs(given, options.out, options.budget)
    check_same_data(runs, store, options.budget)
    network = load_features(features_for(store, options.features))
    failures = train_all(
        runs, store, options.out, options.budget, advance=meter.advance, note=meter.note
    )
    meter.note(f"features of the real pictures by {network.spec} ({network.fingerprint})")
    reference = Reference(
        store, network, holdout=holdout, samples=options.samples,
        selection=shared_selection(runs, store, options.budget),
    )  # fmt: skip
    _bounds(reference, options.out)
    groups: dict[str, list[ModelScores]] = {}
    for run in runs:
        if run.name in failures:
            continue
        try:
            groups.setdefault(run.group, []).append(_scored(run, reference, options, meter))
        except LimnerError as error:
            failures[run.name] = " ".join(str(error).split())
    rows = CaptionRows(reference.prompts(options.samples))
    rows.add_real(reference)
    result = Comparison(
        date=datetime.now(UTC).date().isoformat(),
        machine=_machine([run.model for run in runs if run.name not in failures]),
        command=options.command or command_of(given, options),
        protocol=reference.protocol(),
        budget=asdict(options.budget) | {"changes": list(options.budget.changes)},
        upper_bound=reference.upper_bound,
        lower_bound=reference.lower_bound,
        warnings=reference.warnings(),
        real_sheet=rows.sheet("real").png,
        sheet_captions=rows.captions,
        models=[over_seeds(name, each) for name, each in groups.items()],
        failures=failures,
    )
    write_comparison(result, options.out)
    if failures:
        name, reason = next(iter(failures.items()))
        raise TrainingError(
            f"{len(failures)} of {len(runs)} could not be compared, {name} first ({reason}); "
            f"the others are in {options.out / 'index.html'}"
        )
    return result


def command_of(given: Sequence[Path], options: ComparisonOptions) -> str:
    """The command that repeats the comparison, without folders of this machine."""
    budget = options.budget
    words = ["limner", "compare", *(path.name for path in given)]
    words += ["--data", options.data.name, "--out", "report"]
    if options.holdout is not None:
        words += ["--holdout", options.holdout.name]
    numbers = {"minutes": budget.minutes, "steps": budget.steps, "threads": budget.threads}
    for name, value in numbers.items():
        words += [f"--{name}", f"{value:g}"] if value is not None else []
    words += ["--seeds", str(budget.seeds)] if budget.seeds > 1 else []
    words += ["--samples", str(options.samples), "--features", options.features]
    words += ["--at-once", str(budget.at_once)] if budget.at_once > 1 else []
    return shlex.join([*words, *(word for each in budget.changes for word in ("--set", each))])


def write_comparison(result: Comparison, out: Path) -> Path:
    """Write ``report.json`` and the page that shows it; the page's path.

    Raises:
        DataError: a file cannot be written.
    """
    write_json(out / "report.json", result.model_dump(mode="json"), DataError)
    return write_text(out / "index.html", comparison_page(result), DataError)


def read_comparison(path: Path) -> Comparison:
    """A ``report.json`` of :func:`compare`.

    Raises:
        DataError: it cannot be read, is none, or is of another format.
    """
    return read_written(Comparison, path, "report of a comparison")


def score(
    reference: Reference,
    stream: Iterable[tuple[Tensor, Sequence[str]]],
    prompts: Sequence[str],
    meter: Meter | None = None,
) -> tuple[DistributionFigures, dict[str, float], str]:
    """Measure one lazy stream of pictures.

    Args:
        reference: real pictures.
        stream: pictures ``(B, 3, H, W)`` in [-1, 1] with their captions.
        prompts: all captions.
        meter: shows how many pictures were drawn.

    Returns:
        DistributionFigures, shares by class, and a contact sheet as base64 PNG.
    """
    metric, rows = DistributionScore(reference, prompts), CaptionRows(prompts)
    for images, captions in stream:
        metric.update(images, captions)
        rows.add(images, captions)
        if meter is not None:
            meter.advance(len(images))
    return metric.scores(), metric.per_class(), rows.sheet("drawn").png


def over_seeds(name: str, runs: Sequence[ModelScores]) -> ModelScores:
    """The scores of one recipe's runs as one: means, with intervals over the training seeds."""
    first = runs[0]
    if len(runs) == 1:
        return first.model_copy(update={"name": name})
    scores = _columns([each.scores for each in runs])
    return first.model_copy(update={
        "name": name,
        "key": "+".join(each.key for each in runs),
        "scores": {key: fmean(values) for key, values in scores.items()},
        "intervals": {key: t_interval(scores[key]) for key in scores if key in first.intervals},
        "seeds": tuple({key: scores[key][i] for key in scores} for i in range(len(runs))),
        "per_class": {k: fmean(v) for k, v in _columns([e.per_class for e in runs]).items()},
        "facts": {key: fmean(v) for key, v in _columns([each.facts for each in runs]).items()},
        "notes": tuple(dict.fromkeys(note for each in runs for note in each.notes)),
    })  # fmt: skip


def _columns(tables: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """The values common to all tables."""
    shared = [key for key in tables[0] if all(key in table for table in tables)]
    return {key: [table[key] for table in tables] for key in shared}


def _scored(
    run: ComparisonRun, reference: Reference, options: ComparisonOptions, meter: Meter
) -> ModelScores:
    threads, trained = options.budget.threads, training_facts(run)
    timed = options.speed_seconds > 0
    key = f"{file_hash(run.model)}-{reference.key}-{threads or 'all'}-{_PROTOCOL}-{timed}"
    path = options.out / "scores" / f"{run.name}.json"
    done = read_scores(path)
    if done is not None and done.key == key:
        return done
    meter.note(f"drawing {options.samples:,} pictures of {run.name}")
    generator = load(run.model, threads=threads)
    prompts = reference.prompts(options.samples)
    start = time.monotonic()
    batches = draw_batches(generator, store_requests(prompts))
    stream = ((images, [each.prompt for each in drawn]) for images, drawn in batches)
    scores, per_class, sheet = score(reference, stream, prompts, meter)
    concepts = _concepts(generator, reference)
    training = generator.info.training
    minutes, pictures = training.get("minutes", 0.0), training.get("pictures", 0)
    measured = {
        "parameters": float(sum(p.numel() for p in generator.model.parameters())),
        "minutes": float(minutes),
        "steps": float(training.get("steps", 0)),
        "pictures": float(pictures),
        "pictures_per_second": pictures / (60 * minutes) if minutes else 0.0,
        "seconds_to_score": round(time.monotonic() - start, 1),
        **{key: value for key, value in trained.items() if key != "key"},
    }
    if timed:
        seconds = options.speed_seconds
        measured |= measure_apart(run.model, prompts[0], threads=threads, seconds=seconds)
    found = ModelScores(
        name=run.name,
        family=generator.info.family,
        key=key,
        scores={**scores.values, **concepts.values},
        intervals={**scores.intervals, **concepts.intervals},
        per_class=per_class,
        facts=measured,
        curves=read_curves(run.log),
        notes=tuple(_notes(generator, reference)),
        sheet=sheet,
    )
    write_json(path, found.model_dump(mode="json"), DataError)
    return found


def _concepts(generator: Generator, reference: Reference) -> DistributionFigures:
    """Concept recall over its upper bound, where the icon judge is the feature network."""
    if reference.network.spec != "judge":
        return DistributionFigures({}, {})
    try:
        gallery = icon_gallery(reference.store)
    except DataError:
        return DistributionFigures({}, {})  # not a store of icons
    groups = list(recall_groups(generator, gallery, ("en",)))
    found = DistributionFigures({}, {})
    for top, place in (("top1", 1), ("top5", 5)):
        bounded = [group for group in groups if group.upper_bound[top]]
        if bounded:
            hits = torch.cat([(g.ranks < place).double() / g.upper_bound[top] for g in bounded])
            found.values[f"concept_{top}"] = hits.mean().item()
            found.intervals[f"concept_{top}"] = mean_interval(hits)
    return found


def _notes(generator: Generator, reference: Reference) -> list[str]:
    notes, store = [], reference.store
    if not generator.info.trained_on(store.fingerprint, store.name, store.licences):
        notes.append("was not trained on this store")
    if not generator.info.training.get("finished", False):
        notes.append("its training was not finished")
    return notes


def read_scores(path: Path) -> ModelScores | None:
    """The scores in a file; None where there is none, or of another format."""
    try:
        return ModelScores.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _bounds(reference: Reference, out: Path) -> None:
    """The reference's bounds, computed or read from the folder of scores."""
    path = out / "scores" / f"real-{reference.key}.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        bounds = {name: dict(found[name]) for name in ("upper_bound", "lower_bound")}
    except (OSError, ValueError, KeyError, TypeError):
        bounds = {"upper_bound": reference.upper_bound, "lower_bound": reference.lower_bound}
        write_json(path, bounds, DataError)
    reference.__dict__.update(bounds)  # cached properties


def read_curves(log: Path) -> list[dict[str, Any]]:
    """Losses and their weights from a training's log, thinned to 240 points."""
    try:
        lines = log.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    rows = []
    for line in lines:
        with suppress(ValueError):
            row = json.loads(line)
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
