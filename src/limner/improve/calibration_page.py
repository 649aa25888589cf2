"""A calibration as a page of HTML: the trade-off, each option's values, what was gained."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from html import escape
from io import BytesIO

from PIL import Image

from limner.evaluation.page import document, figure_of, framed, how_measured, section, table
from limner.evaluation.plots import Point, scatter
from limner.evaluation.report import ContactSheet, number
from limner.generation.generator import Generator
from limner.generation.requests import DrawRequest
from limner.generation.sheets import grid
from limner.improve.calibration import Calibration, Measured, Trial
from limner.models.settings import Settings, make_settings
from limner.vision.images import on_white

SHOWN = 8
"""Prompts on the contact sheets."""


def calibration_page(found: Calibration, sheets: tuple[ContactSheet, ...] = ()) -> str:
    """The page.

    Args:
        found: what was measured.
        sheets: pictures of the same prompts and seeds before and after.
    """
    said = ", ".join(f"{name} {value:g}" for name, value in found.defaults.items())
    summary = (
        f"Chosen: {said}. On the other half of the pictures the Fréchet distance is "
        f"{found.after.frechet:.4g} instead of {found.before.frechet:.4g}, a picture takes "
        f"{found.after.milliseconds:.3g} ms instead of {found.before.milliseconds:.3g}."
        + (
            ""
            if found.helps
            else " That half shows no gain, or pictures that agree less with their prompts, "
            "so that these are not made the model's defaults."
        )
        if found.defaults
        else "Nothing that was tried is better than the model's own settings."
    )
    parts = [
        f"<h1>Calibration of {escape(found.model)}</h1><p>{escape(summary)}</p>",
        section(
            "Before and after", f"On {found.samples:,} pictures that chose nothing.",
            _table([("the model's own", found.before), ("chosen", found.after)]),
        ),
        *(figure_of(sheet) for sheet in sheets),
        section(
            "Quality and speed", "Every setting that was tried, on the half that chooses. "
            "Lower is better, and so is further left.",
            framed("Fréchet distance against time", _trade_off(found)),
        ),
        *(_trial(trial) for trial in found.trials),
        how_measured(
            "where the pictures, their number and the judge are the same.",
            [
                ("model", f"{found.model} {found.model_hash}"),
                ("real pictures", f"{found.store} {found.store_fingerprint}"),
                ("learned from them", "yes" if found.trained_on_store else "no"),
                ("pictures of each half", found.samples), ("judge", found.judge),
                ("aligner", found.aligner or "none"),
            ], "limner calibrate",
        ),
    ]  # fmt: skip
    return document(f"Calibration of {found.model}", parts)


def contact_sheets(
    generator: Generator, found: Calibration, prompts: list[str]
) -> tuple[ContactSheet, ...]:
    """Pictures of some prompts by the model's own settings and by the chosen ones.

    Args:
        generator: draws.
        found: the calibration.
        prompts: of which the first :data:`SHOWN` different ones are drawn.
    """
    asked = list(dict.fromkeys(prompts))[:SHOWN]
    steps = {"steps": int(found.defaults["steps"])} if "steps" in found.defaults else {}
    chosen = make_settings(**found.defaults | steps)
    return tuple(
        _sheet(generator, title, asked, settings)
        for title, settings in (("the model's own", Settings()), ("chosen", chosen))
    )


def _sheet(
    generator: Generator, title: str, prompts: list[str], settings: Settings
) -> ContactSheet:
    requests = [DrawRequest(prompt, seed, settings) for seed, prompt in enumerate(prompts)]
    images = [on_white(picture.image) for picture in generator.draw(requests)]
    buffer = BytesIO()
    side = max(64, images[0].width)
    shown = [each.resize((side, side), Image.Resampling.LANCZOS) for each in images]
    grid(shown, columns=SHOWN).save(buffer, "PNG")
    return ContactSheet(title=title, png=base64.b64encode(buffer.getvalue()).decode())


def _all(found: Calibration) -> Iterator[tuple[int, Measured]]:
    """Everything that was tried on the choosing half, once, with the number of its trial."""
    seen = set[str]()
    for number_of, trial in enumerate(found.trials):
        for each in trial.tried:
            if each.name not in seen:
                seen.add(each.name)
                yield number_of, each


def _trade_off(found: Calibration) -> str:
    every = list(_all(found))
    chosen = next((each.name for _, each in every if each.settings == found.defaults), "")
    named = {chosen, "the model's own"}
    points = [
        Point(each.name if each.name in named else "", each.milliseconds, each.frechet, colour)
        for colour, each in every
    ]
    return scatter(points, "ms a picture", "Fréchet distance", x_log=True)


def _trial(trial: Trial) -> str:
    rows = [(each.name, each) for each in trial.tried]
    known = [
        Point("", each.settings[trial.option], each.frechet, 0)
        for each in trial.tried
        if trial.option in each.settings
    ]
    plot = ""
    if len(known) > 1:
        log = trial.option == "steps"
        marks = scatter(known, trial.option, "Fréchet distance", x_log=log)
        plot = framed(f"Fréchet distance by {trial.option}", marks)
    taken = trial.tried[trial.chosen].name
    return section(trial.option.replace("_", " "), f"Taken: {taken}.", plot, _table(rows))


def _table(rows: list[tuple[str, Measured]]) -> str:
    head = ["settings", "Fréchet ↓", "precision ↑", "recall ↑", "win rate ↑", "ms a picture ↓"]
    return table((f"<th>{escape(name)}</th>" for name in head), (_row(*row) for row in rows))


def _row(name: str, each: Measured) -> str:
    near = number(each.frechet)
    if each.interval is not None:
        near += f" ({number(each.interval[0])} to {number(each.interval[1])})"
    wins = "–" if each.win_rate is None else f"{100 * each.win_rate:.1f} %"
    cells = [
        name, near, f"{100 * each.precision:.1f} %", f"{100 * each.recall:.1f} %", wins,
        number(each.milliseconds),
    ]  # fmt: skip
    return f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
