"""How much alike the drawings of ``limner set`` are, beside the same names drawn without it.

Sixty things of everyday life in six styles. Spreads are of the drawings of a style (the lower the
more alike), their means over the styles; near duplicates are counted in a list of forty names, some
of which mean the same. Two sheets go to ``benchmarks/sheets/``, to be looked at.
"""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from PIL import Image

from limner.generation.evening import Evenness, evenness, read_palette
from limner.generation.generator import Generator, load
from limner.generation.sets import SetOptions
from limner.generation.sheets import grid

NAMES = (  # noqa: SIM905
    "cat dog house tree car bicycle key umbrella pizza guitar clock rocket fish mountain heart "
    "bottle apple banana book camera candle chair cheese crown cup door duck elephant envelope "
    "flower glasses hammer hat helicopter horse ice-cream kite lamp lemon lion moon mouse pencil "
    "piano pineapple rabbit ring robot sailboat scissors shoe snail spider star sun tent train "
    "trumpet turtle violin"
).split()
ALIKE = (  # noqa: SIM905
    "sofa couch car automobile cat kitty dog hound bicycle bike ship vessel mobile phone "
    "rabbit bunny plane airplane telly television bug beetle rose flower"
).split()
STYLES = ("noto", "twemoji", "fluent-emoji-flat", "streamline-ultimate-color", "solar-line", "mdi")
PALETTE = "#264653,#2a9d8f,#e9c46a,#f4a261,#e76f51,#fdf6e3"
SIZE = 128
SHEETS = Path(__file__).with_name("sheets")


def drawn(generator: Generator, style: str, **more: Any) -> tuple[list[Any], list[Any]]:
    """The pictures of a style as they are drawn, and as a set."""
    options = SetOptions(style, drawing={"size": SIZE}, **more)
    found = list(generator.draw_set(NAMES, **vars(options)))
    return [np.asarray(each.picture.image) for each in found], [
        np.asarray(each.image) for each in found
    ]


def spreads(name: str, each: list[Evenness]) -> dict[str, Any]:
    """The means of what was measured in each style."""
    lines = [one.outline for one in each if one.outline is not None]
    found = {
        f"{name}: spread of size": fmean(one.size for one in each),
        f"{name}: spread of margins": fmean(one.margin for one in each),
        f"{name}: spread of colours": fmean(one.palette for one in each),
    }
    if lines:
        found[f"{name}: spread of outline width"] = fmean(lines)
    return {key: {"value": value, "better": "lower"} for key, value in found.items()}


def run() -> dict[str, Any]:
    """Draw the names with and without a set, and measure how much alike they are."""
    generator, before, after, rows = load(), [], [], []
    for style in STYLES:
        plain, evened = drawn(generator, style)
        one, two = evenness(plain), evenness(evened)
        if one.outline is None or two.outline is None:
            one, two = (Evenness(e.size, e.margin, None, e.palette) for e in (one, two))
        before.append(one)
        after.append(two)
        rows += [*plain[:16], *evened[:16]]
    figures = spreads("without a set", before) | spreads("set", after)
    _, coloured = drawn(generator, "noto", palette=read_palette(PALETTE))
    figures["set of six colours: spread of colours"] = {
        "value": evenness(coloured).palette, "better": "lower",
    }  # fmt: skip
    rows += coloured[:16]
    names = list(dict.fromkeys(ALIKE))
    options = SetOptions("noto", avoid_duplicates=True, drawing={"size": SIZE})
    kept = list(generator.draw_set(names, **vars(options)))
    figures["names whose drawings were alike"] = {"value": sum(1 for e in kept if e.like)}
    figures["of them drawn otherwise"] = {
        "value": sum(1 for e in kept if e.like and e.differs), "better": "higher",
    }  # fmt: skip
    goal = figures["without a set: spread of size"]["value"]
    figures["set: spread of size"]["goal"] = round(goal, 4)
    SHEETS.mkdir(exist_ok=True)
    grid(rows, columns=16).quantize(256).save(SHEETS / "sets.png")
    pictures = [Image.fromarray(np.asarray(each.image)) for each in kept]
    grid(pictures, captions=names).quantize(256).save(SHEETS / "sets-alike.png")
    return {
        "headline": "set: spread of size",
        "figures": figures,
        "names": len(NAMES),
        "styles": list(STYLES),
        "notes": {each.name: each.note for each in kept if each.note},
    }
