"""``limner calibrate``: options of drawing chosen by measured quality and speed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from limner.cli import print_json, say
from limner.cli.options import DeviceOption, JsonOption, QuietOption, ThreadsOption, with_groups

if TYPE_CHECKING:
    from limner.data.store import Store
    from limner.generation.generator import Generator
    from limner.improve.calibration import Calibration, Measured
    from limner.vision.aligner import Aligner


@dataclass(frozen=True)
class TrialOptions:
    """What is tried, and how it is measured."""

    options: Annotated[
        str | None,
        typer.Option(help="What is tried, such as guidance,steps [default: all it takes]."),
    ] = None
    samples: Annotated[
        int, typer.Option(help="Pictures drawn of each setting, and real ones in each half.")
    ] = 256
    features: Annotated[
        str, typer.Option(help="Feature network: auto, fashion, judge, own:PATH, hf:ID.")
    ] = "auto"
    aligner: Annotated[
        str,
        typer.Option(help="Judge of agreement with the prompts: PATH, hf:ID, shipped or none."),
    ] = "shipped"

    @property
    def names(self) -> list[str] | None:
        """Of the options of drawing that are tried; None for all."""
        return None if self.options is None else [each.strip() for each in self.options.split(",")]

    def judge(self, device: str) -> Aligner | None:
        """What judges agreement with the prompts; None for nothing."""
        from limner.reading.aligner import load_aligner

        if self.aligner == "none":
            return None
        return load_aligner(None if self.aligner == "shipped" else self.aligner, device=device)


@dataclass(frozen=True)
class ResultOptions:
    """What is written of what was found."""

    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the model with the chosen defaults here."),
    ] = None
    write: Annotated[
        bool, typer.Option("--write", help="Put the chosen defaults into the model file itself.")
    ] = False
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the trade-off as a page here.")
    ] = None

    @property
    def writes_defaults(self) -> bool:
        """Whether a model file is to get the chosen defaults."""
        return self.write or self.out is not None

    def check(self, model: Path) -> None:
        """Refuse results that cannot be written.

        Raises:
            UsageError: the options do not fit together.
            DataError: a file could not be written.
        """
        from limner.errors import DataError, UsageError
        from limner.files import check_writable
        from limner.hub import is_hub

        for path in (self.html, self.out):
            check_writable(path, DataError)
        if self.write and self.out is not None:
            raise UsageError("--write changes the model file and --out writes another; give one")
        if is_hub(model):
            raise UsageError("a model of the hub has no file of limner's to hold defaults")
        if self.out is not None and self.out.suffix != ".safetensors":
            raise UsageError(f"{self.out} names no model file; give it the ending .safetensors")


def register(app: typer.Typer) -> None:
    """Add this group's command."""
    app.command()(with_groups(calibrate))


def calibrate(
    model: Annotated[Path, typer.Argument(help="Model file or run folder.")],
    *,
    data: Annotated[
        Path, typer.Option(help="Store of real pictures, which the model did not learn from.")
    ],
    trials: TrialOptions,
    results: ResultOptions,
    as_json: JsonOption = False,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
    quiet: QuietOption = False,
) -> None:
    """Find the drawing options that give a model its best pictures.

    One half of the pictures of --data chooses: guidance, temperature, top_p, truncation, variety
    and steps, as far as the model supports them, are tried one after the other. The other half
    measures the gain. The options are written only with --out or --write, and only if there is a
    gain. Pictures record the options they were drawn with, so they can still be drawn again.
    """
    from limner.data.store import Store
    from limner.generation.generator import load
    from limner.improve.calibration import Calibrator
    from limner.progress import progress
    from limner.shipped import find_model

    results.check(model)
    path = find_model(model)
    store = Store.open(data)
    generator = load(path, device=device, threads=threads)
    judge = trials.judge(device)
    with progress(None, "calibrating", quiet, unit="pictures") as meter:
        found = Calibrator(
            generator, store, samples=trials.samples, features=trials.features, aligner=judge,
            meter=meter,
        ).calibrate(trials.names)  # fmt: skip
    if results.html is not None:
        _write_page(results.html, generator, store, found)
    if found.helps and results.writes_defaults:
        _write_defaults(path, generator, found, results.out)
    if as_json:
        print_json(found.model_dump(mode="json") | {"gain": found.gain, "helps": found.helps})
    else:
        _print(found)
    if found.trained_on_store:
        say("warning", f"{found.model} learned from {found.store}: give pictures that it does not "
            "know, or memorising counts as quality")  # fmt: skip
    if not found.helps and results.writes_defaults:
        say("note", "no defaults were written: nothing that was tried is better on the other half")
    elif found.helps and not as_json and results.writes_defaults:
        print(results.out or path)


def _write_page(html: Path, generator: Generator, store: Store, found: Calibration) -> None:
    """Write the trade-off as a page, with drawings of the store's commonest captions."""
    from limner.errors import DataError
    from limner.files import write_text
    from limner.improve.calibration_page import SHOWN, calibration_page, contact_sheets

    table = store.caption_table()
    prompts = [table.texts[text] for text in table.heaviest()[: 16 * SHOWN].tolist()]
    sheets = contact_sheets(generator, found, prompts) if found.defaults else ()
    write_text(html, calibration_page(found, sheets), DataError)


def _write_defaults(path: Path, generator: Generator, found: Calibration, out: Path | None) -> None:
    """Put the chosen defaults into the model file, or into a copy at ``out``."""
    from limner.modelfile import write_info

    defaults = generator.info.defaults | found.defaults
    write_info(path, generator.info.model_copy(update={"defaults": defaults}), out)


def _print(found: Calibration) -> None:
    """What was tried, taken and gained."""
    for trial in found.trials:
        print(f"{trial.option}:")
        for number, each in enumerate(trial.tried):
            print(f"  {'*' if number == trial.chosen else ' '} {_line(each)}")
    print(f"on the other half, {found.samples:,} pictures:")
    for name, each in (("own", found.before), ("chosen", found.after)):
        print(f"  {name:<7} {_line(each)}")
    if found.defaults:
        print(f"gained: {100 * found.gain:.1f} % of the Fréchet distance")
    else:
        print("nothing that was tried is better than the model's own settings")


def _line(each: Measured) -> str:
    wins = "" if each.win_rate is None else f"  win rate {100 * each.win_rate:.1f} %"
    spread = "" if each.interval is None else " ({:.4g} to {:.4g})".format(*each.interval)
    return (
        f"{each.name:<32} Fréchet {each.frechet:.4g}{spread}  precision {each.precision:.2f}  "
        f"recall {each.recall:.2f}{wins}  {each.milliseconds:.3g} ms"
    )
