"""What ``limner evaluate`` does for each suite: measure, write, print."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from limner.evaluation.captions import CaptionReport
    from limner.evaluation.composition import CompositionReport
    from limner.evaluation.distribution import DistributionReport
    from limner.evaluation.recall import Carded
    from limner.evaluation.report import EvaluationReport
    from limner.evaluation.suite import FullReport

DISTRIBUTION_SAMPLES = 10_000
FULL_SAMPLES = 2000


class How(NamedTuple):
    """What is measured against what, where the report goes, and on what it is made."""

    model: Path | None
    data: Path
    out: Path | None
    write_card: bool
    as_json: bool
    device: str
    threads: int | None
    quiet: bool

    def command(self, path: Path, *words: str) -> str:
        """The command of this measurement, without the folders of this machine."""
        start = ["limner evaluate", shlex.quote(path.name), "--data", shlex.quote(self.data.name)]
        return " ".join([*start, *words])

    def finish(self, path: Path, report: Carded, full: dict[str, Any]) -> bool:
        """Write the report where it is wanted; whether it was printed."""
        from limner.errors import DataError
        from limner.evaluation.recall import write_card
        from limner.files import write_json

        if self.out is not None:
            write_json(self.out, full, DataError)
        if self.write_card:
            write_card(path, report)
        if self.as_json:
            print(json.dumps(full, ensure_ascii=False, indent=1))
        return self.as_json


class What(NamedTuple):
    """What several suites take."""

    languages: tuple[str, ...]
    seeds: int
    also: tuple[Path, ...]
    samples: int | None
    holdout: Path | None
    features: str

    def of_recall(self) -> list[str]:
        """Words of the command that concept recall depends on."""
        words = [f"--languages {','.join(self.languages)} --seeds {self.seeds}"]
        return words + [f"--also {shlex.quote(path.name)}" for path in self.also]

    def of_crowd(self, samples: int, spec: str) -> list[str]:
        """Words of the command that a crowd of pictures depends on."""
        words = [f"--samples {samples} --features {shlex.quote(spec)}"]
        return words + (
            [f"--holdout {shlex.quote(self.holdout.name)}"] if self.holdout is not None else []
        )


def recall(what: What, how: How, samples_dir: Path | None) -> None:
    """Concept recall among icons, and copies of new things."""
    from limner.data.store import Store
    from limner.evaluation.recall import Options, picture_count
    from limner.evaluation.recall import evaluate as measure
    from limner.generation.generator import load
    from limner.progress import progress
    from limner.shipped import find_model

    path = find_model(how.model)
    command = how.command(path, *what.of_recall())
    options = Options(what.languages, what.seeds, samples_dir, command)
    store, others = Store.open(how.data), [Store.open(each) for each in what.also]
    generator = load(path, device=how.device, threads=how.threads)
    with progress(picture_count(options), "drawing", how.quiet, unit="pictures") as bar:
        report = measure(generator, store, options, bar.advance, also=others)
    if not how.finish(path, report, report.model_dump(mode="json")):
        _show_recall(report)


def distribution(what: What, how: How) -> None:
    """FID and its kin."""
    from limner.data.store import Store
    from limner.evaluation.distribution import evaluate_distribution, taught
    from limner.generation.generator import load
    from limner.metrics.features import features_for, load_features
    from limner.metrics.reference import Reference
    from limner.progress import progress
    from limner.shipped import find_model

    path, store = find_model(how.model), Store.open(how.data)
    unseen = None if what.holdout is None else Store.open(what.holdout)
    samples = DISTRIBUTION_SAMPLES if what.samples is None else what.samples
    spec = features_for(store, what.features)
    command = how.command(path, "--suite distribution", *what.of_crowd(samples, spec))
    generator = load(path, device=how.device, threads=how.threads)
    network = load_features(spec, device=how.device)
    allowed = taught(generator.info, store)
    reference = Reference(store, network, holdout=unseen, samples=samples, selection=allowed)
    with progress(samples, "drawing", how.quiet, unit="pictures") as bar:
        report = evaluate_distribution(generator, reference, command, bar)
    if not how.finish(path, report, report.model_dump(mode="json")):
        _show_distribution(report)


def full(what: What, how: How, aligner: str | None, html: Path | None) -> None:
    """Everything that applies, and one page of it."""
    from limner.data.store import Store
    from limner.errors import DataError
    from limner.evaluation.suite import Asked, evaluate_all
    from limner.evaluation.suite_page import write_suite_page
    from limner.generation.generator import load
    from limner.metrics.features import features_for, load_features
    from limner.progress import progress
    from limner.reading.aligner import load_aligner
    from limner.shipped import find_model

    path, store = find_model(how.model), Store.open(how.data)
    unseen = None if what.holdout is None else Store.open(what.holdout)
    samples = FULL_SAMPLES if what.samples is None else what.samples
    spec = features_for(store, what.features)
    words = ["--suite full", *what.of_crowd(samples, spec), *what.of_recall()]
    words += [] if aligner is None else [f"--aligner {shlex.quote(_without_folder(aligner))}"]
    others = [Store.open(each) for each in what.also]
    asked = Asked(samples, what.languages, what.seeds, others, how.command(path, *words))
    judge = None if aligner is None else load_aligner(aligner, device=how.device)
    generator = load(path, device=how.device, threads=how.threads)
    network = load_features(spec, device=how.device)
    with progress(None, "drawing", how.quiet, unit="pictures") as bar:
        report = evaluate_all(
            generator, store, network, asked, holdout=unseen, aligner=judge, meter=bar
        )
    if html is not None:
        write_suite_page(report, html)
    if not how.finish(path, report, report.model_dump(mode="json")):
        _show_full(report)
    if report.failed:
        name, reason = next(iter(report.failed.items()))
        raise DataError(f"{len(report.failed)} of the parts failed, {name} first: {reason}")


def captions(what: What, how: How) -> None:
    """What a captioner says."""
    from limner.data.store import Store
    from limner.evaluation.captions import SAMPLES, evaluate_captions
    from limner.progress import progress
    from limner.reading.captions import load_captioner
    from limner.shipped import SHIPPED_CAPTIONER, find_model
    from limner.text import load_encoder

    path = find_model(how.model, SHIPPED_CAPTIONER)
    store = Store.open(how.data)
    samples = SAMPLES if what.samples is None else what.samples
    words = f"--suite captions --languages {','.join(what.languages)} --samples {samples}"
    captioner, reader = load_captioner(path, device=how.device), load_encoder("e5-small")
    total = samples * len(what.languages)
    with progress(total, "captioning", how.quiet, unit="pictures") as bar:
        report = evaluate_captions(
            captioner, path, store, reader, what.languages,
            samples=samples, command=how.command(path, words), advance=bar.advance,
        )  # fmt: skip
    if not how.finish(path, report, report.model_dump(mode="json")):
        _show_captions(report)


def composition(what: What, how: How, scenes: Path | None) -> None:
    """Whether things, numbers, colours and places are those asked for."""
    from limner.data.store import Store
    from limner.errors import UsageError
    from limner.evaluation.composition import measure_composition, picture_count
    from limner.evaluation.scene_prompts import check_scene_languages
    from limner.generation.generator import load
    from limner.progress import progress
    from limner.shipped import find_model

    if scenes is None:
        raise UsageError(
            "--suite composition searches among training scenes; name a store of "
            "'limner data scenes' with --scenes"
        )
    check_scene_languages(what.languages)
    path, icons, searched = find_model(how.model), Store.open(how.data), Store.open(scenes)
    words = f"--suite composition --scenes {shlex.quote(scenes.name)}"
    words += f" --languages {','.join(what.languages)}"
    generator = load(path, device=how.device, threads=how.threads)
    total = picture_count(what.languages)
    with progress(total, "drawing", how.quiet, unit="pictures") as bar:
        report = measure_composition(
            generator, icons, searched, languages=what.languages,
            command=how.command(path, words), advance=bar.advance,
        )  # fmt: skip
    if not how.finish(path, report, report.model_dump(mode="json")):
        _show_composition(report)


def _show_composition(report: CompositionReport) -> None:
    from rich.console import Console
    from rich.table import Table

    from limner.evaluation.composition import SIDES

    table = Table(title=f"composition of {report.model} ({report.model_hash})")
    for name in ("prompts", "task", *SIDES):
        table.add_column(name, justify="right" if name in SIDES else "left", no_wrap=True)
    for group in report.groups:
        for task, share in group.drawn.items():
            sides = (getattr(group, side).get(task) for side in SIDES[1:])
            table.add_row(
                group.name, task, f"{share.value:.1%} ({share.low:.0%} to {share.high:.0%})",
                *("" if side is None else f"{side.value:.1%}" for side in sides),
            )  # fmt: skip
    Console(width=100).print(table)


def _show_captions(report: CaptionReport) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"captions of {report.model} ({report.model_hash})")
    for name in ("language", "score", "model", "people", "chance"):
        table.add_column(name, justify="left" if name in ("language", "score") else "right")
    for group in report.groups:
        for key, value in group.scores.items():
            ends = (
                f"{side[key]:.3f}" if key in side else "" for side in (group.real, group.chance)
            )
            if key != "count":
                table.add_row(group.language, key, f"{value:.3f}", *ends)
    Console(width=100).print(table)


def _without_folder(spec: str) -> str:
    return spec if spec.startswith("hf:") else Path(spec).name


def _show_full(report: FullReport) -> None:
    from rich.console import Console
    from rich.table import Table

    from limner.evaluation.suite_page import shown

    console = Console(width=100)
    for finding in report.findings:
        table = Table(title=finding.title, title_justify="left", width=100)
        for name in ("", "model", "95 %", "real", "chance"):
            table.add_column(name, justify="right" if name else "left", no_wrap=True)
        for each in finding.figures:
            known = each.low is not None and each.high is not None
            between = f"{shown(each.low, each)} to {shown(each.high, each)}" if known else ""
            values = (shown(v, each) for v in (each.value, each.real, each.chance))
            value, real, chance = values
            table.add_row(each.title, value, between, real, chance)
        console.print(table)
    lines = [f"ALARM: {alarm}" for alarm in report.alarms]
    lines += [f"not measured: {name}: {why}" for name, why in report.skipped.items()]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _show_distribution(report: DistributionReport) -> None:
    from rich.console import Console
    from rich.table import Table

    from limner.evaluation.page import SCORES
    from limner.evaluation.plots import number

    table = Table(title=f"{report.model} ({report.model_hash}) by {report.protocol['features']}")
    for name in ("", "drawn", "real, unseen", "noise"):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    for column in SCORES:
        if column.key in report.scores:
            sides = (report.scores, report.floor, report.noise)
            cells = [number(s.get(column.key, float("nan")) * column.scale) for s in sides]
            table.add_row(column.title, *cells)
    Console(width=100).print(table)


def _show_recall(report: EvaluationReport) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"concept recall of {report.model} ({report.model_hash})")
    table.add_column("prompts", no_wrap=True)
    for name in ("count", "top-1", "top-5", "ceiling", "floor", "of ceiling"):
        table.add_column(name, justify="right", no_wrap=True)
    for group in report.groups:
        recall, ceiling, floor = group.recall, group.ceiling, group.floor
        table.add_row(
            f"{group.language}, {'claimed' if group.claimed else 'not claimed'}",
            str(group.prompts),
            *(
                f"{share.value:.1%} ({share.low:.0%} to {share.high:.0%})"
                for share in (recall.top1, recall.top5)
            ),
            f"{ceiling.top1.value:.1%} / {ceiling.top5.value:.1%}",
            f"{floor.top1.value:.1%} / {floor.top5.value:.1%}",
            f"{group.of_ceiling['top5']:.1%}",
        )
    console = Console(width=120)
    console.print(table)
    copies = report.copies
    console.print(
        f"copies: {copies['copy_rate']:.1%} of {copies['count']:.0f} pictures of new things; "
        f"searched among {report.searched}: {report.gallery_icons} icons of "
        f"{report.gallery_concepts} concepts; {report.seconds:.0f} s",
        markup=False,
        highlight=False,
    )
