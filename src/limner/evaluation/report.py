"""Evaluation reports: figures with their bounds, part by part.

It is printed by :mod:`limner.evaluation.printing`, drawn by :mod:`limner.evaluation.page`, written
as JSON by :meth:`Report.write` and put into a model file by :func:`write_card`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

import limner
from limner.errors import DataError, first_line
from limner.files import write_json
from limner.generation.quality import current_quality
from limner.metrics.intervals import Share
from limner.modelfile import write_info
from limner.modelinfo import ModelInfo, read_info

FORMAT = 2
"""Of reports; format 1 had another report for each suite."""

Direction = Literal["higher", "lower", ""]


class Frozen(BaseModel):
    """Base of the parts of a report: immutable, unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Figure(Frozen):
    """One measured number with its bounds, interval and direction.

    Attributes:
        key: name, unique within its part.
        title: name for people.
        description: one sentence on what it is.
        value: of the model.
        interval: 95 % confidence interval of ``value``, where there is one.
        lower_bound: what chance scores (noise, or shuffled prompts): a model that draws nothing
            of use. It is the larger number where lower is better.
        upper_bound: what real pictures score: the best that a model can be expected to reach.
        baseline: what a simple method scores; the part names it.
        direction: whether a higher or a lower value is better; empty where neither is.
        unit: ``%`` for shares in [0, 1], else a unit for display.
        scale: factor for display.
        count: independent pictures or prompts that were measured.
    """

    key: str
    title: str
    description: str
    value: float
    interval: tuple[float, float] | None = None
    lower_bound: float | None = None
    upper_bound: float | None = None
    baseline: float | None = None
    direction: Direction = ""
    unit: str = ""
    scale: float = 1.0
    count: int

    def shown(self, value: float | None) -> str:
        """A value on this figure's scale for people; empty for None."""
        if value is None:
            return ""
        return f"{value:.1%}" if self.unit == "%" else number(value * self.scale)

    @property
    def shown_interval(self) -> str:
        """Such as ``71.2% to 76.0%``."""
        return "" if self.interval is None else " to ".join(map(self.shown, self.interval))

    def card(self) -> dict[str, Any]:
        """The values stored in a model file: without sentences, rounded to four digits."""
        kept = self.model_dump(mode="json", exclude_defaults=True, exclude={"description"})
        return {key: _rounded(value) for key, value in kept.items()}


def share_figure(
    key: str, title: str, share: Share, description: str, direction: Direction = "higher",
    **bounds: float | None,
) -> Figure:  # fmt: skip
    """A figure of a share; the bounds and the baseline by their names."""
    return Figure(
        key=key, title=title, description=description, value=share.value, interval=share.interval,
        direction=direction, unit="%", count=share.count, **bounds,
    )  # fmt: skip


class ContactSheet(Frozen):
    """Pictures for the page; they are not written as JSON.

    Attributes:
        title: above the pictures.
        png: base64.
        rows: captions of its rows, or none.
    """

    title: str
    png: str
    rows: tuple[str, ...] = ()


class PictureScore(Frozen):
    """The scores of the picture of one free prompt.

    Attributes:
        prompt: that it was drawn from.
        seed: of the picture.
        language: of the prompt; empty where it is not known.
        category: of the prompt; empty where it is not known.
        found: thing asked for -> whether it is seen.
        readable: whether it is as near to a real drawing, and as sharp, as real ones are.
        nearest: cosine of its best part to the nearest real drawing.
        sharpness: of its edges.
    """

    prompt: str
    seed: int
    language: str = ""
    category: str = ""
    found: dict[str, bool] = {}
    readable: bool
    nearest: float
    sharpness: float


class PartResult(Frozen):
    """What one part measured.

    Attributes:
        name: of the part.
        title: for people.
        description: what was done, in a sentence or two.
        figures: in the order they are shown.
        headline: key of the figure that stands for the part.
        judge: name and hash of the network that judged; empty where none did.
        baseline: name of the method behind the figures' ``baseline``; empty for none.
        warnings: sentences for the reader.
        classes: class -> share of its pictures that show it.
        protocol: what else the figures depend on.
        pictures: scores of each picture, where the part gives any.
        sheets: pictures.
    """

    name: str
    title: str
    description: str
    figures: tuple[Figure, ...]
    headline: str
    judge: str = ""
    baseline: str = ""
    warnings: tuple[str, ...] = ()
    classes: dict[str, float] = {}
    protocol: dict[str, Any] = {}
    pictures: tuple[PictureScore, ...] = ()
    sheets: tuple[ContactSheet, ...] = Field(default=(), exclude=True)

    def figure(self, key: str) -> Figure:
        """The figure of a key.

        Raises:
            KeyError: there is none.
        """
        return {each.key: each for each in self.figures}[key]


class Report(Frozen):
    """The results of some parts, with everything needed to measure them again.

    Attributes:
        suite: that was asked for.
        trained_on_store: whether the model was trained on the store it was measured with.
        warnings: of the evaluation and of all parts.
        parts: results of those that applied.
        skipped: part -> why it did not apply.
        failed: part -> why it failed.
        seconds: the whole evaluation took.
        command: that measured.
    """

    format: int = FORMAT
    limner: str = limner.__version__
    suite: str
    date: str
    machine: str
    model: str
    model_hash: str
    family: str
    encoder: str
    store: str
    store_fingerprint: str
    trained_on_store: bool
    warnings: tuple[str, ...] = ()
    parts: tuple[PartResult, ...]
    skipped: dict[str, str] = {}
    failed: dict[str, str] = {}
    seconds: float
    command: str

    def part(self, name: str) -> PartResult:
        """The result of a part.

        Raises:
            KeyError: it did not apply, or failed.
        """
        return {each.name: each for each in self.parts}[name]

    def card(self) -> dict[str, Any]:
        """The ``quality`` entry of a model file: part -> figures and their origin."""
        origin = {"store": self.store_fingerprint, "command": self.command}
        return {
            each.name: {
                "title": each.title,
                "judge": each.judge,
                "baseline": each.baseline,
                **origin,
                "figures": [figure.card() for figure in each.figures],
            }
            for each in self.parts
        }

    def write(self, path: Path) -> Path:
        """Write the report as JSON, whole or not at all.

        Raises:
            DataError: the file cannot be written.
        """
        return write_json(path, self.model_dump(mode="json"), DataError)


Written = TypeVar("Written", bound=BaseModel)


def read_report(path: Path) -> Report:
    """A report that :meth:`Report.write` wrote.

    Raises:
        DataError: it cannot be read, is no report, or is of another format.
    """
    return read_written(Report, path, "report of an evaluation")


def read_written(kind: type[Written], path: Path, what: str) -> Written:
    """Read JSON that was written of a model with a ``format``.

    Args:
        kind: of the model, whose format is the one that is read.
        path: of the file.
        what: it should be, for the message.

    Raises:
        DataError: it cannot be read, is something else, or of another format; the message says what
            to do.
    """
    wanted = kind.model_fields["format"].default
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        written = found.get("format", 1) if isinstance(found, dict) else 1
        if written == wanted:
            return kind.model_validate(found)
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is no {what}: {first_line(error)}") from error
    older = "an older" if written < wanted else "a newer"
    raise DataError(
        f"{path} is a report of {older} format ({written}, this limner reads {wanted}); "
        f"measure again with its 'command'"
    )


def write_card(path: Path, report: Report) -> ModelInfo:
    """Write the figures into the model file's metadata; its weights keep their bits.

    Raises:
        ModelFileError: the file cannot be read or written; it is then what it was.
    """
    info = read_info(path)
    quality = {**current_quality(info.quality), **report.card()}
    info = info.model_copy(update={"quality": quality})
    write_info(path, info)
    return info


def table_rows(part: PartResult) -> tuple[list[str], Iterator[list[str]]]:
    """The table of a part for people: its header, and a row for each figure.

    Columns that are empty for every figure are left out.
    """
    names = ["", "value", "95 %", "lower bound", "upper bound", part.baseline or "baseline", "n"]
    signs = {"higher": " ↑", "lower": " ↓", "": ""}
    rows = [
        [
            f.title + signs[f.direction], f.shown(f.value), f.shown_interval,
            f.shown(f.lower_bound), f.shown(f.upper_bound), f.shown(f.baseline), f"{f.count:,}",
        ]
        for f in part.figures
    ]  # fmt: skip
    kept = [i for i in range(len(names)) if i < 2 or any(row[i] for row in rows)]
    return [names[i] for i in kept], ([row[i] for i in kept] for row in rows)


def number(value: float) -> str:
    """A value in few characters: ``0.012``, ``3.4``, ``12,000``; a dash where it is not finite."""
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    if size >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}" if size >= 0.001 else f"{value:.0e}"


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4) if abs(value) >= 0.01 else float(f"{value:.3g}")
    return [_rounded(each) for each in value] if isinstance(value, list) else value
