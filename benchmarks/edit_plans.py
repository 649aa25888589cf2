"""Editing plans: 200 instructions, judged by the judge of composition and by pixels.

Each picture shows two of the judge's 110 things, and one instruction of seven kinds changes it. A
change is seen where the judge finds what was asked for in the new picture; a background is judged
by the pixels at the border. All else is unchanged where the judge finds the other thing as before,
and where its pixels, apart from the first thing's by an empty strip, kept their bits (under another
background: those well within things). Beside the model stands what the judge finds in true
compositions of the things that are asked for. ``LIMNER_ICONS`` names a packed store of icons; one
is made where none is named.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from evaluate import icons
from limner.arrays import Mask
from limner.datasets.scenes import Composer
from limner.errors import PromptError
from limner.generation.generator import Generator, load
from limner.generation.picture import Picture
from limner.generation.sheets import grid
from limner.metrics.composition import Detection
from limner.metrics.detector import SIZE, Detector, load_detector
from limner.metrics.intervals import share_of
from limner.scenes.colours import COLOURS
from limner.scenes.layout import scatter
from limner.scenes.scene import Item, Scene, is_own
from limner.scenes.things import THINGS
from limner.scenes.wording import NUMBERS
from limner.vision.masks import largest
from limner.vision.pixels import to_tensor

COUNT, SEED, GOALS = 200, 20261127, {"change seen": 0.85, "all else unchanged": 0.95}
KINDS = ("colour", "add", "remove", "replace", "count", "move", "background")
SHEET = Path(__file__).with_name("sheets") / "edit-plans.png"
SHOWN = 4
"""Pictures of each kind on the sheet, each before and after."""
_INK, _PURE, _WITHIN = 245, 150, 3
"""Least channel of the background and of mixtures with it; pixels beside these that may be some."""
_BACKGROUNDS = ("at night", "on a blue background", "on a yellow background", "on a beach")

Seen = Callable[[Sequence[Detection], Sequence[Detection]], bool]


@dataclass(frozen=True)
class PlanEdit:
    """A picture, an instruction, and what is to be seen.

    Attributes:
        kind: one of ``KINDS``.
        prompt: of the picture.
        said: the instruction.
        other: the thing that stays.
        first: whether it is that on the left or above.
        seen: tells from what the judge finds before and after.
        asked: things that true pictures show; empty where a judge of things cannot tell.
    """

    kind: str
    prompt: str
    said: str
    other: str
    first: bool
    seen: Seen
    asked: tuple[Item, ...] = ()


def _of(found: Sequence[Detection], thing: str, colour: str | None = None) -> list[Detection]:
    return [d for d in found if d.thing == thing and colour in (None, d.colour)]


def _moved(thing: str, axis: int, sign: int) -> Seen:
    """Whether the middle of a thing is elsewhere by a tenth of the picture."""

    def seen(before: Sequence[Detection], after: Sequence[Detection]) -> bool:
        ends = [[d.box[axis] + d.box[axis + 2] for d in _of(found, thing)]
                for found in (before, after)]  # fmt: skip
        if not all(ends):
            return False
        old, new = (statistics.mean(each) / 2 for each in ends)
        return sign * (new - old) > SIZE / 10

    return seen


def plan_edits(recolourable: Mapping[str, Sequence[str]]) -> list[PlanEdit]:
    """The fixed list: the kinds in turn, all things drawn from those that icons show."""
    rng = np.random.default_rng(SEED)
    names, found = [*recolourable], list[PlanEdit]()
    for kind, _ in zip(cycle(KINDS), range(COUNT), strict=False):
        a, b, new = (str(each) for each in rng.choice(names, 3, replace=False))
        said_a, said_b, said_new = (f"{THINGS[n].article} {THINGS[n].name}" for n in (a, b, new))
        prompt, asked = f"{said_a} left of {said_b}", (Item(a), Item(b))
        other, first, kept = b, False, Item(b)
        if kind == "colour":
            colours = [c for c in recolourable[a] if not is_own(a, c)]
            a = a if colours else str(rng.choice([n for n in names if recolourable[n] and n != b]))
            colour = str(rng.choice(colours or [*recolourable[a]]))
            prompt = f"{THINGS[a].article} {a} left of {said_b}"
            said, asked = f"make the {a} {colour}", (Item(a, colour), kept)
            seen: Seen = lambda _, after, a=a, c=colour: bool(_of(after, a, c))  # noqa: E731
        elif kind == "add":
            said, asked = f"add {said_new}", (Item(a), kept, Item(new))
            seen = lambda _, after, n=new: bool(_of(after, n))  # noqa: E731
        elif kind == "remove":
            said, asked = f"remove the {a}", (kept,)
            seen = lambda _, after, a=a: not _of(after, a)  # noqa: E731
        elif kind == "replace":
            said, asked = f"{said_new} instead of the {a}", (Item(new), kept)
            seen = lambda _, after, a=a, n=new: bool(_of(after, n)) and not _of(after, a)  # noqa: E731
        elif kind == "count":
            count = int(rng.integers(2, 4))
            said, asked = f"{NUMBERS[count]} {THINGS[a].plural}", (Item(a, None, count), kept)
            seen = lambda _, after, a=a, c=count: len(_of(after, a)) == c  # noqa: E731
        elif kind == "move":
            place, axis, sign = [("up", 1, -1), ("down", 1, 1), ("to the left", 0, -1),
                                 ("to the right", 0, 1)][len(found) // len(KINDS) % 4]  # fmt: skip
            moved = a
            if axis == 0:
                prompt, moved, other, first = f"{said_b} above a small {a}", a, b, True
            said, asked = f"move the {moved} {place}", ()
            seen = _moved(moved, axis, sign)
        else:
            said = [*_BACKGROUNDS][len(found) // len(KINDS) % len(_BACKGROUNDS)]
            asked, seen = (), lambda _, __: True
        found.append(PlanEdit(kind, prompt, said, other, first, seen, asked))
    return found


def halves(picture: Picture, axis: int) -> tuple[Mask, Mask]:
    """Where something is drawn of the first and of the second thing of a picture on white.

    They are parted in the middle of the widest empty strip.
    """
    ink = np.asarray(picture.image).min(-1) < _INK
    along = np.flatnonzero(ink.any(axis))
    gaps = np.diff(along)
    at = int(along[gaps.argmax()] + gaps.max() // 2) if len(gaps) else ink.shape[0] // 2
    index = np.arange(ink.shape[0])[:, None] if axis else np.arange(ink.shape[1])[None]
    return ink & (index < at), ink & (index >= at)


def is_kept(before: Picture, after: Picture, edit: PlanEdit) -> bool:
    """Whether the pixels of what was not named kept their bits."""
    old, new = (np.asarray(each.image) for each in (before, after))
    parts = halves(before, int(" above " in edit.prompt))
    kept = parts[0] | parts[1] if edit.kind == "background" else parts[0 if edit.first else 1]
    if edit.kind == "background":
        outside = largest((old.min(-1) >= _PURE).astype(np.uint8), _WITHIN) > 0
        kept = kept & ~outside
    return bool((old == new).all(-1)[kept].all())


def is_behind(after: Picture, said: str) -> bool:
    """Whether the upper edge of a picture has the colour that was asked for."""
    top = np.asarray(after.image)[:4].reshape(-1, 3).mean(0)
    strongest = {"blue": 2, "beach": 2, "night": 2}
    word = said.rpartition(" ")[2] if "background" not in said else said.split()[2]
    if word == "yellow":
        return bool(min(top[:2]) > top[2] + 60)
    dark = bool(top.mean() < 100)
    return int(top.argmax()) == strongest[word] and dark == (word == "night")


def found_in(judge: Detector, pictures: Sequence[Picture]) -> list[list[Detection]]:
    """What the judge finds in pictures."""
    return judge.detect(to_tensor(np.stack([np.asarray(each.image) for each in pictures])))


def upper_bound(judge: Detector, composer: Composer, edits: Sequence[PlanEdit]) -> float:
    """The share of true compositions in which the judge finds the change that was asked for."""
    rng, images, seen = np.random.default_rng(SEED), [], list[Seen]()
    for edit in edits:
        if not edit.asked:
            continue
        boxes = scatter([i.count for i in edit.asked], [None] * len(edit.asked), None, rng)
        drawing = composer.draw(Scene("two", edit.asked, boxes=boxes, pick=int(rng.integers(999))))
        if drawing is not None:
            images.append(drawing.pixels)
            seen.append(edit.seen)
    found = judge.detect(to_tensor(np.stack(images)))
    return statistics.mean(each([], after) for each, after in zip(seen, found, strict=True))


def run() -> dict[str, Any]:
    """Measure the shipped model."""
    store, generator, judge = icons(), load(), load_detector()
    composer = Composer(store, SIZE)
    edits = plan_edits({n: [c for c in composer.recolourable[n] if c in COLOURS]
                        for n in composer.things})  # fmt: skip
    styles = [style for style in generator.styles if style in store.styles] or [None]
    asked = enumerate(zip(edits, cycle(styles), strict=False))
    before = [generator.generate(edit.prompt, seed=number, style=style)[0]
              for number, (edit, style) in asked]  # fmt: skip
    after, refused = edited(generator, edits, before)
    old, new = found_in(judge, before), found_in(judge, after)
    seen, judged, kept = [], [], []
    for number, edit in enumerate(edits):
        there = edit.seen(old[number], new[number]) and number not in refused
        if edit.kind == "background":
            there = number not in refused and is_behind(after[number], edit.said)
        seen.append(there)
        same = [len(_of(found[number], edit.other)) for found in (old, new)]
        judged.append(same[0] == same[1])
        kept.append(is_kept(before[number], after[number], edit))
    unchanged = [a and b for a, b in zip(judged, kept, strict=True)]
    shown = [n for kind in KINDS
             for n in [i for i, e in enumerate(edits) if e.kind == kind][:SHOWN]]  # fmt: skip
    grid([each.image.reduce(2) for n in shown for each in (before[n], after[n])],
         columns=2 * SHOWN).save(SHEET)  # fmt: skip
    figures: dict[str, Any] = {}
    for name, verdicts in (("change seen", seen), ("all else unchanged", unchanged),
                           ("by the judge", judged), ("by pixels", kept)):  # fmt: skip
        share = share_of(statistics.mean(verdicts), len(verdicts))
        figures[name] = {"value": share.value, "low": share.low, "high": share.high,
                         "goal": GOALS.get(name), "better": "higher"}  # fmt: skip
    for kind in KINDS:
        mine = [n for n, edit in enumerate(edits) if edit.kind == kind]
        figures[f"{kind}: change seen"] = {"value": statistics.mean(seen[n] for n in mine)}
        figures[f"{kind}: all else unchanged"] = {
            "value": statistics.mean(unchanged[n] for n in mine)
        }
    true = upper_bound(judge, composer, edits)
    figures["change seen, upper bound"] = {"value": true, "better": "higher"}
    figures["instructions refused"] = {"value": len(refused), "better": "lower"}
    return {
        "figures": figures, "headline": "change seen", "model_hash": generator.hash,
        "judge": f"scene detector {judge.fingerprint}", "store": store.fingerprint,
    }  # fmt: skip


def edited(
    generator: Generator, edits: Sequence[PlanEdit], before: Sequence[Picture]
) -> tuple[list[Picture], set[int]]:
    """The pictures after their instructions, and the numbers of those that were refused."""
    after, refused = [], set[int]()
    for number, (edit, picture) in enumerate(zip(edits, before, strict=True)):
        try:
            after.append(generator.edit(picture, edit.said))
        except PromptError:
            after.append(picture)
            refused.add(number)
    return after, refused
