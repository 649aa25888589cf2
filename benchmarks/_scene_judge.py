"""How well a picture shows a scene, by the items that the scene detector finds in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean

import numpy as np
from PIL import Image

from limner.metrics.composition import Detection, shows
from limner.metrics.detector import Detector
from limner.scenes.scene import Scene
from limner.vision.images import on_white
from limner.vision.pixels import to_tensor

Rule = Callable[[Scene, Sequence[Detection]], float]
"""A score of detected items in [0, 1], of those that a scene has."""


def whole_scene(scene: Scene, seen: Sequence[Detection]) -> float:
    """1 where all of a scene is seen, else 0."""
    return float(shows(scene, seen))


def share_of_items(scene: Scene, seen: Sequence[Detection]) -> float:
    """The share of the items that are seen, for a model that draws few whole scenes right."""
    return fmean(
        any(each.thing == item.thing and item.colour in (None, each.colour) for each in seen)
        for item in scene.items
    )


def scene_judge(detector: Detector, scene: Scene, rule: Rule) -> Callable[[Image.Image], float]:
    """A score of pictures by what the detector finds in them, on white where they have alpha."""

    def judged(image: Image.Image) -> float:
        (seen,) = detector.detect(to_tensor(np.asarray(on_white(image))[None]))
        return rule(scene, seen)

    return judged
