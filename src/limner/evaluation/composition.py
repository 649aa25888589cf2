"""How well a model composes: GenEval's six tasks in small, judged by the scene detector.

Every frozen prompt (:mod:`limner.evaluation.scene_prompts`) is drawn twice and judged by the
rules of :mod:`limner.metrics.composition`. Beside the drawn pictures stand the true ones of the
same scenes (ceiling), the drawn ones against other prompts of their task (floor), and what a search
would give: the training scene whose caption is nearest to the prompt (retrieval).
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

import limner
from limner.data.store import Store
from limner.datasets.scenes import Composer, held_out_in
from limner.errors import DataError
from limner.evaluation.report import Share
from limner.evaluation.scene_prompts import (
    PICTURES,
    SEEDS,
    ScenePrompt,
    check_scene_languages,
    first_seed,
    scene_prompts,
    scene_prompts_hash,
)
from limner.metrics.composition import Detection, shares, shows
from limner.metrics.copies import pixels
from limner.metrics.detector import SIZE, Detector, load_detector
from limner.scenes.scene import Task
from limner.text import load_encoder
from limner.text.base import TextEncoder
from limner.text.bulk import encode_table
from limner.vision.pixels import to_tensor

if TYPE_CHECKING:
    from limner.evaluation.recall import Advance
    from limner.generation.generator import Generator

FORMAT = 1
SHUFFLES = 5
SIDES = ("drawn", "ceiling", "floor", "retrieval")
"""What a group holds shares of."""
_BATCH = 64
Seen = Mapping[int, Sequence[Sequence[Detection]]]
"""Number of a prompt -> what was seen in each of its pictures."""
Shares = dict[str, Share]
"""Task, or ``overall`` -> share of right pictures."""


class GroupComposition(BaseModel):
    """The prompts of one language, those of held-out combinations apart.

    Attributes:
        language: code.
        held_out: whether no training store holds the combinations.
        prompts: how many.
        pictures: prompts times pictures a prompt.
        drawn: of the model's pictures.
        ceiling: of true pictures of the same scenes.
        floor: of the model's pictures against other prompts of the same task.
        retrieval: of the training scenes whose captions are nearest to the prompts.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    language: str
    held_out: bool
    prompts: int
    pictures: int
    drawn: Shares
    ceiling: Shares
    floor: Shares
    retrieval: Shares

    @property
    def name(self) -> str:
        """Such as ``en held out``."""
        return f"{self.language} {'held out' if self.held_out else 'trainable'}"

    @property
    def above_retrieval(self) -> list[str]:
        """Tasks in which the model is better than a search."""
        return [
            task
            for task, share in self.drawn.items()
            if task != "overall" and share.value > self.retrieval[task].value
        ]


class CompositionReport(BaseModel):
    """Everything needed to read the figures and to measure them again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = FORMAT
    limner: str
    model: str
    model_hash: str
    encoder: str
    icons_fingerprint: str
    scenes_fingerprint: str
    searched_scenes: int
    retrieval_encoder: str
    judge_hash: str
    prompts_hash: str
    pictures_per_prompt: int = PICTURES
    seeds: int = SEEDS
    groups: tuple[GroupComposition, ...]
    seconds: float
    command: str

    def group(self, language: str, held_out: bool) -> GroupComposition | None:
        """The figures of one language and kind of combination, or None where there are none."""
        found = [g for g in self.groups if (g.language, g.held_out) == (language, held_out)]
        return found[0] if found else None

    def card(self) -> dict[str, Any]:
        """The short form that goes into a model's metadata."""
        table = {
            group.name: {
                "prompts": group.prompts,
                **{side: _values(getattr(group, side)) for side in SIDES},
                **{end: _values(group.drawn, end) for end in ("low", "high")},
            }
            for group in self.groups
        }
        return {
            "composition": table,
            "composition_judge": self.judge_hash,
            "composition_prompts": self.prompts_hash,
            "composition_command": self.command,
        }


def _values(found: Shares, end: str = "value") -> dict[str, float]:
    return {task: round(getattr(share, end), 4) for task, share in found.items()}


def picture_count(languages: Sequence[str]) -> int:
    """How many pictures an evaluation draws."""
    return len(scene_prompts()) * PICTURES * len(languages)


def measure_composition(
    generator: Generator,
    icons: Store,
    scenes: Store,
    *,
    languages: Sequence[str] = ("en", "zh"),
    command: str = "",
    advance: Advance | None = None,
    prompts: Sequence[ScenePrompt] | None = None,
    encoder: TextEncoder | None = None,
    detector: Detector | None = None,
) -> CompositionReport:
    """Draw every frozen prompt, judge it, and set it beside ceiling, floor and retrieval.

    Args:
        generator: what draws.
        icons: that true pictures are made of.
        scenes: training scenes among which the retrieval baseline searches.
        languages: of the prompts.
        command: written into the report.
        advance: called with the number of pictures drawn.
        prompts: None for the frozen ones; figures of others are no composition of anything.
        encoder: compares captions with prompts; None for the default text encoder.
        detector: None for the shipped one.

    Raises:
        DataError: the scenes hold what is held out, the icons lack the things, or a picture holds
            numbers that are not finite.
        UsageError: there are no prompts in a language.
    """
    check_scene_languages(languages)
    start = time.monotonic()
    prompts, judge = prompts or scene_prompts(), detector or load_detector()
    search = Retrieval(scenes, encoder or load_encoder())
    true = _true(judge, prompts, icons)
    groups: list[GroupComposition] = []
    for language in languages:
        drawn = drawn_things(judge, generator, prompts, language, advance)
        found = search.things(judge, prompts, language)
        for held_out in sorted({prompt.held_out for prompt in prompts}):
            groups.append(_group(prompts, language, held_out, drawn=drawn, true=true, found=found))
    return CompositionReport(
        limner=limner.__version__,
        model=generator.name,
        model_hash=generator.hash,
        encoder=generator.encoder.fingerprint,
        icons_fingerprint=icons.fingerprint,
        scenes_fingerprint=scenes.fingerprint,
        searched_scenes=len(scenes),
        retrieval_encoder=search.encoder.fingerprint,
        judge_hash=judge.fingerprint,
        prompts_hash=scene_prompts_hash(prompts),
        groups=tuple(groups),
        seconds=round(time.monotonic() - start, 1),
        command=command,
    )


def _group(
    prompts: Sequence[ScenePrompt],
    language: str,
    held_out: bool,
    *,
    drawn: Seen,
    true: Seen,
    found: Seen,
) -> GroupComposition:
    among = [i for i, prompt in enumerate(prompts) if prompt.held_out == held_out]
    return GroupComposition(
        language=language,
        held_out=held_out,
        prompts=len(among),
        pictures=len(among) * PICTURES,
        drawn=_shares(verdicts(prompts, among, drawn)),
        ceiling=_shares(verdicts(prompts, among, true)),
        floor=_shares(shuffled_verdicts(prompts, among, drawn)),
        retrieval=_shares(verdicts(prompts, among, found)),
    )


def drawn_things(
    judge: Detector,
    generator: Generator,
    prompts: Sequence[ScenePrompt],
    language: str,
    advance: Advance | None = None,
) -> Seen:
    """What is seen in the pictures that a model draws of prompts, ``PICTURES`` of each."""
    found: dict[int, Sequence[Sequence[Detection]]] = {}
    for turn in range(min(SEEDS, len(prompts))):
        numbers = range(turn, len(prompts), SEEDS)
        texts = [prompts[number].texts[language] for number in numbers]
        drawn = generator.generate(texts, n=PICTURES, seed=first_seed(turn))
        seen = judge.detect(to_tensor([np.asarray(picture.image) for picture in drawn]))
        for place, number in enumerate(numbers):
            found[number] = seen[PICTURES * place : PICTURES * (place + 1)]
        if advance is not None:
            advance(len(drawn))
    return found


def _true(judge: Detector, prompts: Sequence[ScenePrompt], icons: Store) -> Seen:
    """What is seen in true pictures of the prompts, one of each that the icons can show."""
    composer = Composer(icons, SIZE)
    drawings = {i: composer.draw(prompt.scene) for i, prompt in enumerate(prompts)}
    images = {i: drawing.pixels for i, drawing in drawings.items() if drawing is not None}
    if not images:
        raise DataError(f"the store {icons.path} has icons for none of the scenes; pack all sets")
    seen = judge.detect(to_tensor(list(images.values())))
    return {number: [each] for number, each in zip(images, seen, strict=True)}


class Retrieval:
    """Searches training scenes by words: the nearest caption's picture.

    Each scene is found by its heaviest caption of a language; which wording that is differs from
    scene to scene. Captions and prompts are compared by the cosine of their pooled vectors.

    Args:
        scenes: what is searched.
        encoder: turns texts into vectors.

    Raises:
        DataError: the store holds combinations that are held out, so that finding one proves
            nothing.
    """

    def __init__(self, scenes: Store, encoder: TextEncoder) -> None:
        held_out = held_out_in(scenes)
        if held_out:
            raise DataError(
                f"the store {scenes.path} holds {len(held_out)} held-out combinations, such as "
                f"{held_out[0]!r}; make one for training, without --novel"
            )
        self.scenes, self.encoder = scenes, encoder

    def nearest(self, texts: Sequence[str], language: str) -> list[int]:
        """Row of the scene that each text finds.

        Raises:
            DataError: no scene has a caption in the language.
        """
        rows, said = _heaviest(self.scenes, language)
        if not rows:
            raise DataError(f"the store {self.scenes.path} has no captions in {language}")
        captions = self._vectors(said)  # N D
        asked = self._vectors(texts)  # B D
        return [rows[place] for place in (asked @ captions.T).argmax(1).tolist()]

    def things(self, judge: Detector, prompts: Sequence[ScenePrompt], language: str) -> Seen:
        """What is seen in the pictures that the prompts find, one of each."""
        rows = np.array(self.nearest([prompt.texts[language] for prompt in prompts], language))
        return {i: [seen] for i, seen in enumerate(judge.detect(pixels(self.scenes, rows)))}

    def _vectors(self, texts: Sequence[str]) -> Tensor:
        table = encode_table(self.encoder, texts, max_tokens=1)
        vectors = [table[slice(at, at + _BATCH)].pooled for at in range(0, len(texts), _BATCH)]
        return torch.nn.functional.normalize(torch.cat(vectors), dim=1)


def _heaviest(store: Store, language: str) -> tuple[list[int], list[str]]:
    """Rows with a caption in a language, and the heaviest one of each."""
    rows, texts = [], []
    for row in range(len(store)):
        mine = [caption for caption in store.captions(row) if caption.lang == language]
        if mine:
            rows.append(row)
            texts.append(max(mine, key=lambda caption: caption.weight).text)
    return rows, texts


def verdicts(
    prompts: Sequence[ScenePrompt], among: Sequence[int], seen: Seen
) -> dict[tuple[Task, int], list[bool]]:
    """Whether each picture shows its prompt, of those prompts that have pictures."""
    return {
        (prompts[i].task, i): [shows(prompts[i].scene, picture) for picture in seen[i]]
        for i in among
        if i in seen
    }


def shuffled_verdicts(
    prompts: Sequence[ScenePrompt], among: Sequence[int], seen: Seen, shuffles: int = SHUFFLES
) -> dict[tuple[Task, int], list[bool]]:
    """Whether each picture shows another prompt of its task, for a few shuffles."""
    found: dict[tuple[Task, int], list[bool]] = defaultdict(list)
    by_task: dict[Task, list[int]] = defaultdict(list)
    for i in among:
        by_task[prompts[i].task].append(i)
    for task, members in by_task.items():
        for seed in range(shuffles):
            order = np.random.default_rng([seed, 3]).permutation(members)
            for here, there in zip(order.tolist(), np.roll(order, -1).tolist(), strict=True):
                scene = prompts[there].scene
                found[task, here] += [shows(scene, picture) for picture in seen[here]]
    return found


def _shares(right: Mapping[tuple[Task, int], Sequence[bool]]) -> Shares:
    return {
        task: Share(value=share.value, low=share.low, high=share.high)
        for task, share in shares(right).items()
    }
