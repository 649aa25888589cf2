"""Composition: GenEval's six tasks, judged by the scene detector.

Every frozen prompt (:mod:`limner.evaluation.scene_prompts`) is drawn once and judged by the rules
of :mod:`limner.metrics.composition`.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle

import numpy as np

from limner.data.store import Store
from limner.datasets.scenes import Composer, held_out_in
from limner.errors import DataError
from limner.evaluation.concept_prompts import check_languages
from limner.evaluation.drawing import draw_batches
from limner.evaluation.part import Advance, EvaluationContext, InapplicableError, Part
from limner.evaluation.report import Figure, PartResult, share_figure
from limner.evaluation.scene_prompts import (
    SEEDS,
    ScenePrompt,
    scene_prompts,
    scene_prompts_hash,
)
from limner.generation.generator import Generator
from limner.generation.requests import DrawRequest
from limner.metrics.composition import Detection, shares, shows
from limner.metrics.detector import SIZE, Detector, load_detector
from limner.metrics.memorisation import pixels
from limner.models.settings import Settings
from limner.progress import Meter
from limner.scenes.scene import Task
from limner.vision.pixels import to_tensor

SHUFFLES = 5
Detections = Mapping[int, Sequence[Sequence[Detection]]]
"""Number of a prompt -> the objects detected in each of its pictures."""


class CompositionPart(Part):
    """Whether pictures show the things, numbers, colours and places that were asked for."""

    name = "composition"
    title = "Composition"
    options = ("languages", "scenes")

    def __init__(self, evaluation: EvaluationContext) -> None:
        super().__init__(evaluation)
        options = evaluation.options
        if options.scenes is None:
            raise InapplicableError(
                "its baseline searches training scenes; name a store of 'limner data scenes' with "
                "--scenes"
            )
        check_languages(options.languages, scene_prompts()[0].texts, "prompts of scenes")
        self._scenes = options.scenes
        self._prompts = options.scene_prompts or scene_prompts()
        self._search = SceneSearch(self._scenes)
        self._judge = load_detector()

    def finish(self, meter: Meter) -> PartResult:
        """Draw every prompt, judge it, and set it beside bounds and baseline."""
        evaluation, prompts, judge = self.evaluation, self._prompts, self._judge
        languages, generator = evaluation.options.languages, evaluation.generator
        sets = [style for style in generator.styles if style in evaluation.store.styles]
        true = true_detections(judge, prompts, evaluation.store)
        found = self._search.detections(judge, prompts)
        figures: list[Figure] = []
        for language in languages:
            requests = [
                DrawRequest(prompt.texts[language], number % SEEDS, Settings(style=style))
                for number, (prompt, style) in enumerate(
                    zip(prompts, cycle(sets or [None]), strict=False)
                )
            ]
            drawn = drawn_detections(judge, generator, requests, meter.advance)
            for held_out in sorted({prompt.held_out for prompt in prompts}):
                among = [i for i, prompt in enumerate(prompts) if prompt.held_out == held_out]
                kind = "held out" if held_out else "trainable"
                name = f"{language} {kind}"
                figures += _figures(name, prompts, among, drawn=drawn, true=true, found=found)
        overall = (each.key for each in figures if each.key.endswith("held out: overall"))
        return self.result(
            "A picture of each fixed prompt, in turn in the styles of the icon sets, which the "
            "judge knows; held-out combinations are in no training store. "
            "Upper bound: true pictures of the scenes. Lower bound: other prompts of the same "
            "task. Baseline: the training scene whose caption shares most with the English prompt.",
            figures,
            next(overall, figures[-1].key),
            judge=f"scene detector {judge.fingerprint}",
            baseline="retrieval",
            protocol={
                "prompts": scene_prompts_hash(prompts),
                "icons": evaluation.store.fingerprint,
                "scenes": self._scenes.fingerprint,
                "searched_scenes": len(self._scenes),
                "searched_by": "words, tf-idf",
                "languages": list(languages),
                "styles": sets,
            },
        )


def _figures(
    name: str,
    prompts: Sequence[ScenePrompt],
    among: Sequence[int],
    *,
    drawn: Detections,
    true: Detections,
    found: Detections,
) -> Iterator[Figure]:
    bounds = {
        "upper_bound": shares(verdicts(prompts, among, true)),
        "lower_bound": shares(shuffled_verdicts(prompts, among, drawn)),
        "baseline": shares(verdicts(prompts, among, found)),
    }
    for task, share in shares(verdicts(prompts, among, drawn)).items():
        yield share_figure(
            f"{name}: {task}", f"{name}: {task}", share,
            "mean of the tasks" if task == "overall" else "share of right pictures", "higher",
            **{side: tasks[task].value for side, tasks in bounds.items() if task in tasks},
        )  # fmt: skip


def drawn_detections(
    judge: Detector, generator: Generator, requests: Sequence[DrawRequest], advance: Advance
) -> Detections:
    """The objects in the pictures that a model draws, by the numbers of their requests."""
    found: list[list[Detection]] = []
    for images, drawn in draw_batches(generator, requests):
        found += judge.detect(images)
        advance(len(drawn))
    return {number: [each] for number, each in enumerate(found)}


def true_detections(judge: Detector, prompts: Sequence[ScenePrompt], icons: Store) -> Detections:
    """The objects in true pictures of the prompts, one of each that the icons can show."""
    composer = Composer(icons, SIZE)
    drawings = {i: composer.draw(prompt.scene) for i, prompt in enumerate(prompts)}
    images = {i: drawing.pixels for i, drawing in drawings.items() if drawing is not None}
    if not images:
        raise DataError(f"the store {icons.path} has icons for none of the scenes; pack all sets")
    found = judge.detect(to_tensor(list(images.values())))
    return {number: [each] for number, each in zip(images, found, strict=True)}


class SceneSearch:
    """Searches training scenes by words: the picture whose caption is nearest.

    Each scene is found by its heaviest English caption; which wording that is differs from scene to
    scene. Captions and prompts are compared by the cosine of their words' tf-idf weights (Salton
    and Buckley 1988).

    Args:
        scenes: what is searched.

    Raises:
        DataError: the store has no English captions, or holds combinations that are held out, so
            that finding one proves nothing.
    """

    def __init__(self, scenes: Store) -> None:
        held_out = held_out_in(scenes)
        if held_out:
            raise DataError(
                f"the store {scenes.path} holds {len(held_out)} held-out combinations, such as "
                f"{held_out[0]!r}; make one for training, without --novel"
            )
        self.scenes = scenes
        captions = {
            row: max(mine, key=lambda caption: caption.weight).text
            for row in range(len(scenes))
            if (mine := [each for each in scenes.captions(row) if each.lang == "en"])
        }
        if not captions:
            raise DataError(f"the store {scenes.path} has no captions in en")
        self._rows = list(captions)
        counts = [Counter(_words(text)) for text in captions.values()]
        within = Counter(word for each in counts for word in each)
        self._rarity = {word: math.log(len(counts) / many) for word, many in within.items()}
        entries: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for place, each in enumerate(counts):
            weights = {word: count * self._rarity[word] for word, count in each.items()}
            length = math.hypot(*weights.values()) or 1.0
            for word, weight in weights.items():
                entries[word].append((place, weight / length))
        self._entries = {word: np.array(found).T for word, found in entries.items()}

    def nearest(self, texts: Sequence[str]) -> list[int]:
        """Row of the scene that each English text finds."""
        found = []
        for text in texts:
            score = np.zeros(len(self._rows))
            for word, count in Counter(_words(text)).items():
                if word in self._entries:
                    places, weights = self._entries[word]
                    score[places.astype(np.int64)] += count * self._rarity[word] * weights
            found.append(self._rows[int(score.argmax())])
        return found

    def detections(self, judge: Detector, prompts: Sequence[ScenePrompt]) -> Detections:
        """The objects in the pictures that the prompts find, one of each."""
        rows = np.array(self.nearest([prompt.texts["en"] for prompt in prompts]))
        return {i: [each] for i, each in enumerate(judge.detect(pixels(self.scenes, rows)))}


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def verdicts(
    prompts: Sequence[ScenePrompt], among: Sequence[int], found: Detections
) -> dict[tuple[Task, int], list[bool]]:
    """Whether each picture shows its prompt, of those prompts that have pictures."""
    return {
        (prompts[i].task, i): [shows(prompts[i].scene, picture) for picture in found[i]]
        for i in among
        if i in found
    }


def shuffled_verdicts(
    prompts: Sequence[ScenePrompt], among: Sequence[int], detections: Detections
) -> dict[tuple[Task, int], list[bool]]:
    """Whether each picture shows another prompt of its task, for a few shuffles."""
    found: dict[tuple[Task, int], list[bool]] = defaultdict(list)
    by_task: dict[Task, list[int]] = defaultdict(list)
    for i in among:
        by_task[prompts[i].task].append(i)
    for task, members in by_task.items():
        for seed in range(SHUFFLES):
            order = np.random.default_rng([seed, 3]).permutation(members)
            for here, there in zip(order.tolist(), np.roll(order, -1).tolist(), strict=True):
                scene = prompts[there].scene
                found[task, here] += [shows(scene, picture) for picture in detections[here]]
    return found
