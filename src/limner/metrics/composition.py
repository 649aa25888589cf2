"""Whether a picture shows what a scene asks for, by the rules of GenEval.

GenEval (Ghosh et al. 2023, arXiv:2310.11513, section 3 and ``evaluate_images.py``) detects things
in a picture and applies six rules, one a task. The same rules are applied here to the things of
:mod:`limner.scenes.scene`; figures are never comparable with those of GenEval itself, whose things,
prompts and detector are others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from limner.metrics.intervals import Share, share_of
from limner.scenes.layout import Relation
from limner.scenes.scene import TASKS, Item, Scene, Task

_SLACK = 0.1
"""Share of both boxes' sizes that an offset has to exceed."""
_CLEAR = 0.5
"""Least part of the offset along an axis."""


@dataclass(frozen=True)
class Detection:
    """One object detected in a picture.

    Attributes:
        thing: key of :data:`limner.scenes.things.THINGS`.
        box: left, top, right, bottom in pixels.
        colour: key of ``COLOURS``; None where it is unknown.
    """

    thing: str
    box: tuple[float, float, float, float]
    colour: str | None = None


def relations(one: Detection, other: Detection) -> set[Relation]:
    """Where one object lies relative to another; empty where it is not clear.

    The offset of the centres is lessened on each axis by a tenth of both sizes and divided by its
    length; where more than 0.5 is left, the relation holds (GenEval, ``relative_position``).
    """
    a, b = (np.array(each.box, float).reshape(2, 2) for each in (one, other))
    offset = a.mean(0) - b.mean(0)
    sizes = (a[1] - a[0]) + (b[1] - b[0])
    left = np.sign(offset) * np.maximum(np.abs(offset) - _SLACK * sizes, 0)
    length = float(np.linalg.norm(offset))
    if not length or bool((np.abs(left) < 1e-3).all()):
        return set()
    x, y = (left / length).tolist()
    found: dict[Relation, bool] = {
        "left": x < -_CLEAR, "right": x > _CLEAR, "above": y < -_CLEAR, "below": y > _CLEAR,
    }  # fmt: skip
    return {name for name, holds in found.items() if holds}


def shows(scene: Scene, detections: Sequence[Detection]) -> bool:
    """Whether the objects detected in a picture are those that a scene asks for.

    Of every item at least as many as asked for, in the colour asked for; where the scene counts,
    no more of that thing; and where it relates two things, some pair of them as asked.
    """
    if not all(len(_of(item, detections)) >= item.count for item in scene.items):
        return False
    if scene.task == "counting":
        return all(len(_of(item, detections)) == item.count for item in scene.items)
    if scene.relation is None:
        return True
    first, second = (_of(item, detections) for item in scene.items)
    return any(scene.relation in relations(a, b) for a in first for b in second)


def _of(item: Item, detections: Iterable[Detection]) -> list[Detection]:
    found = [each for each in detections if each.thing == item.thing]
    return [each for each in found if item.colour is None or each.colour == item.colour]


def shares(right: Mapping[tuple[Task, int], Sequence[bool]]) -> dict[str, Share]:
    """The share of each task, and their unweighted mean as ``overall``.

    The pictures of one prompt are not independent, so a prompt counts as one trial with a fraction
    of a success. The interval of ``overall`` is that of as many prompts with its share.

    Args:
        right: (task, number of the prompt) -> whether each of its pictures is right.
    """
    means: dict[Task, list[float]] = defaultdict(list)
    for (task, _), verdicts in right.items():
        means[task].append(fmean(map(float, verdicts)))
    found: dict[str, Share] = {}
    for task in (name for name in TASKS if name in means):
        each = means[task]
        found[task] = share_of(fmean(each), len(each))
    if found:
        count, value = len(right), fmean(share.value for share in found.values())
        found["overall"] = share_of(value, count)
    return found
