"""``limner evaluate``: how well a model draws what it is asked for."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from limner.cli import print_json
from limner.cli.options import DeviceOption, JsonOption, QuietOption, ThreadsOption, with_groups

if TYPE_CHECKING:
    from limner.evaluation.part import EvaluationOptions, Subject
    from limner.vision.aligner import Aligner


Suite = Literal[
    "full", "distribution", "memorisation", "diversity", "consistency", "recall", "composition",
    "prompts", "robustness", "bias", "reconstruction", "captions",
]  # fmt: skip
"""What is measured: all that applies, or one part."""


class _JsonInto(TyperCommand):
    """``--json FILE.json`` writes the report there, as ``--out FILE.json`` does."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        found = list(args)
        for i, (flag, name) in enumerate(pairwise(args)):
            if flag == "--json" and name.endswith(".json"):
                found[i] = "--out"
        return super().parse_args(ctx, found)


@dataclass(frozen=True)
class PartOptions:
    """What the parts of an evaluation are asked for; each option is of some of them only."""

    languages: Annotated[
        str | None,
        typer.Option(
            help="Languages of prompts or captions (recall, composition, robustness, captions) "
            "[default: en,zh]."
        ),
    ] = None
    seeds: Annotated[
        int | None, typer.Option(help="Pictures a prompt [default: 1 for recall, 100 for bias].")
    ] = None
    also: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="STORE",
            help="More stores that the model was trained on, searched for memorised pictures "
            "(recall, "
            "memorisation).",
        ),
    ] = None
    samples: Annotated[
        int | None,
        typer.Option(
            help="Pictures of the store's captions [default: 10000 for distribution, 2000 for "
            "full, memorisation and diversity, 1000 for consistency; captions: 1000 a language]."
        ),
    ] = None
    holdout: Annotated[
        Path | None,
        typer.Option(metavar="STORE", help="Held-out real pictures."),
    ] = None
    features: Annotated[
        str | None,
        typer.Option(
            help="Feature network: auto, fashion, judge, own:PATH, hf:ID [default: auto]."
        ),
    ] = None
    aligner: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Judge of agreement with the prompts (consistency, robustness, bias): PATH, "
            "hf:ID or shipped [default: shipped].",
        ),
    ] = None
    scenes: Annotated[
        Path | None,
        typer.Option(metavar="STORE", help="Training scenes to search among (composition)."),
    ] = None
    prompts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Your own prompts: one a line, or a .tsv or .csv file with the columns prompt, "
            "things, language, category (prompts) [default: limner's].",
        ),
    ] = None
    samples_dir: Annotated[
        Path | None,
        typer.Option(help="Keep the drawn pictures here, with ranks or scores (recall, prompts)."),
    ] = None

    @property
    def given(self) -> dict[str, Any]:
        """The options that were given, by name."""
        every = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in every.items() if value not in (None, [])}

    def check(self, suite: Suite) -> None:
        """Refuse options that were given and that the suite does not depend on.

        Raises:
            UsageError: so it is.
        """
        from limner.errors import UsageError
        from limner.evaluation.parts import PARTS
        from limner.evaluation.suite import FULL, suite_parts

        known = {name for part in suite_parts(suite) for name in part.options}
        wrong = [name for name in self.given if name not in known]
        if wrong:
            takers = [FULL, *(part.name for part in PARTS if wrong[0] in part.options)]
            names = ", ".join(f"--{name.replace('_', '-')}" for name in wrong)
            only = f"only --suite {' or '.join(takers)} takes that"
            raise UsageError(f"{names}: {only}; leave it out")

    def opened(self, suite: Suite, device: str, command: str) -> EvaluationOptions:
        """The options with the stores and the aligner that they name.

        Args:
            suite: what is measured.
            device: where the judges compute.
            command: that measures the same.
        """
        from limner.data.store import Store
        from limner.evaluation.part import EvaluationOptions

        codes = [code.strip() for code in (self.languages or "en,zh").split(",")]
        return EvaluationOptions(
            samples=self.samples,
            languages=tuple(code for code in codes if code),
            seeds=self.seeds,
            also=[Store.open(each) for each in self.also or ()],
            holdout=None if self.holdout is None else Store.open(self.holdout),
            features=self.features or "auto",
            aligner=_aligner(suite, self.aligner, device),
            scenes=None if self.scenes is None else Store.open(self.scenes),
            prompts=self.prompts,
            samples_dir=self.samples_dir,
            device=device,
            command=command,
        )


def register(app: typer.Typer) -> None:
    """Add this group's command."""
    app.command(cls=_JsonInto)(with_groups(evaluate))


def evaluate(
    model: Annotated[
        Path | None, typer.Argument(help="Model file or run folder [default: the shipped model].")
    ] = None,
    *,
    data: Annotated[
        Path, typer.Option(help="Store of real pictures, such as 'limner data icons' makes.")
    ],
    suite: Annotated[
        Suite, typer.Option(help="One part, or 'full' for all that apply.")
    ] = "recall",
    asked: PartOptions,
    html: Annotated[
        Path | None, typer.Option(help="Write one page with figures and pictures here.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the report here (JSON); so does --json FILE.json.")
    ] = None,
    write_card: Annotated[
        bool, typer.Option("--write-card", help="Put the figures into the model file.")
    ] = False,
    as_json: JsonOption = False,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
    quiet: QuietOption = False,
) -> None:
    """Measure how pictures match their prompts and real pictures.

    Every figure comes with its 95 % interval, an upper bound (what real pictures score) and a lower
    bound (what noise or shuffled prompts score).

    --suite recall draws 500 fixed prompts per language. A picture counts if the most similar real
    icons show its concept; concepts that the model's card claims are counted separately.

    --suite distribution draws the captions of the store: FID, KID, precision, recall, density and
    coverage. --suite memorisation, diversity and consistency measure the same pictures: reproduced
    training pictures, duplicates, agreement with the prompts.

    --suite composition draws 480 fixed prompts of scenes per language, half of them combinations
    that no training store holds, and counts how often things, numbers, colours and places are
    right. It needs a store of icons (--data) and one of training scenes (--scenes).

    --suite prompts draws prompts as people type them, or those of --prompts, and looks for the
    things that each asks for anywhere in its picture. It needs icons (--data) and real drawings in
    a style that the model was not trained on (--holdout).

    --suite robustness misspells and rephrases prompts, and measures how much picture and score
    change. --suite bias counts who is drawn for prompts such as 'a doctor' over a hundred seeds.

    --suite reconstruction measures an autoencoder, --suite captions a captioner (BLEU, CIDEr-D,
    retrieval). --suite full measures all that apply.
    """
    from limner.data.store import Store
    from limner.errors import DataError
    from limner.evaluation.page import report_page
    from limner.evaluation.printing import print_report
    from limner.evaluation.report import write_card as put_into
    from limner.evaluation.suite import evaluate as measure
    from limner.files import check_writable, write_text
    from limner.progress import progress

    asked.check(suite)
    for path in (html, out):
        check_writable(path, DataError)
    store = Store.open(data)
    subject = _subject(model, suite, device, threads)
    options = asked.opened(suite, device, _command(subject.path, data, suite, asked.given))
    with progress(None, "drawing", quiet, unit="pictures") as bar:
        report = measure(subject, store, suite, options, bar)
    if as_json:
        print_json(report.model_dump(mode="json"))
    else:
        print_report(report)
    # Afterwards: what was measured for hours is seen even where it cannot be written.
    if html is not None:
        write_text(html, report_page(report), DataError)
    if out is not None:
        report.write(out)
    if write_card:
        put_into(subject.path, report)
    if report.failed:
        name, reason = next(iter(report.failed.items()))
        raise DataError(f"{len(report.failed)} of the parts failed, {name} first: {reason}")


def _subject(model: Path | None, suite: Suite, device: str, threads: int | None) -> Subject:
    """The model that is measured: a generator, or a captioner."""
    from limner.evaluation.part import Subject
    from limner.generation.generator import load
    from limner.hub import is_hub
    from limner.modelinfo import read_info
    from limner.models.base import families
    from limner.models.settings import Capability
    from limner.reading.captions import load_captioner
    from limner.shipped import SHIPPED_CAPTIONER, SHIPPED_MODEL, find_model
    from limner.tensorfile import file_hash

    if is_hub(model):
        return Subject.of(load(model, device=device, threads=threads))
    path = find_model(model, SHIPPED_CAPTIONER if suite == "captions" else SHIPPED_MODEL)
    info = read_info(path)
    if Capability.CAPTION in families()[info.family].capabilities:
        captioner = load_captioner(path, device=device)
        return Subject(path, file_hash(path), info, captioner=captioner)
    return Subject.of(load(path, device=device, threads=threads))


def _aligner(suite: Suite, spec: str | None, device: str) -> Aligner | None:
    """The aligner that was named, or the shipped one where the suite can use one."""
    from limner.errors import ModelFileError
    from limner.reading.aligner import load_aligner

    if suite not in ("full", "consistency", "robustness", "bias"):
        return None
    try:
        return load_aligner(spec, device=device)
    except ModelFileError:
        if spec is None:
            return None  # this copy of limner ships none
        raise


def _command(path: Path, data: Path, suite: Suite, given: dict[str, Any]) -> str:
    """The command that measures the same, without the folders of this machine."""
    words = ["limner evaluate", shlex.quote(path.name), "--data", shlex.quote(data.name)]
    words.append(f"--suite {suite}")
    for name, value in given.items():
        if name == "samples_dir":
            continue
        for each in value if isinstance(value, list) else [value]:
            plain = str(each)
            if isinstance(each, Path) or (name == "aligner" and not plain.startswith("hf:")):
                plain = Path(plain).name
            words.append(f"--{name.replace('_', '-')} {shlex.quote(plain)}")
    return " ".join(words)
