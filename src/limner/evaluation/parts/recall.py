"""Concept recall among icons: the fixed prompts, drawn and searched for among real icons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from limner.data.store import Store
from limner.errors import DataError, UsageError
from limner.evaluation.concept_prompts import (
    ConceptPrompt,
    check_languages,
    load_prompts,
    novel_prompts,
    prompts_hash,
)
from limner.evaluation.drawing import draw_batches, store_requests
from limner.evaluation.part import Advance, EvaluationContext, InapplicableError, Part
from limner.evaluation.report import Figure, PartResult, share_figure
from limner.files import write_json
from limner.generation.files import write_image
from limner.generation.generator import Generator
from limner.generation.requests import DrawRequest
from limner.metrics.intervals import Share, share_of
from limner.metrics.memorisation import QUANTILE, Memorisation, threshold_between_styles
from limner.metrics.recall import Gallery, RecallMetric, Target, plain_key, recall_of
from limner.models.settings import Settings
from limner.progress import Meter
from limner.vision.pixels import to_images


@dataclass(frozen=True)
class ConceptRequest:
    """One picture of a concept.

    Attributes:
        text: the prompt.
        target: what it should show, and the icon set asked for.
        real_style: the icon set of its upper bound.
        seed: of the picture.
        language: of the prompt.
        claimed: whether the model's card claims the concept.
    """

    text: str
    target: Target
    real_style: str
    seed: int
    language: str = "en"
    claimed: bool = False

    def request(self) -> DrawRequest:
        """The request as a user would make it."""
        return DrawRequest(self.text, self.seed, Settings(style=self.target.style or None))


@dataclass(frozen=True)
class GroupRecall:
    """Recall of the prompts of one language, claimed or not.

    Attributes:
        name: such as ``en claimed``.
        recall: ``top1`` and ``top5`` of the drawn pictures; several seeds of one prompt count as
            one trial, because they fail together.
        upper_bound: of the real icons of the same concepts in the same sets.
        lower_bound: of the same pictures against shuffled prompts.
        ranks: ``(N,)`` int64, rank of the right concept for each picture; 0 is the nearest.
    """

    name: str
    recall: dict[str, Share]
    upper_bound: dict[str, float]
    lower_bound: dict[str, float]
    ranks: Tensor


def icon_gallery(store: Store) -> Gallery:
    """The icons of a store that show the concepts of the fixed prompts.

    Raises:
        DataError: the store has none, or does not say what its pictures show.
    """
    return Gallery(store, [prompt.key for prompt in load_prompts()])


def assign_styles(
    prompts: Sequence[ConceptPrompt], styles: Sequence[str], gallery: Gallery
) -> list[tuple[int, ConceptPrompt, Target, str]]:
    """Choose icon sets in turn.

    Prompt i is drawn in style ``i mod S``, or in the next one whose set draws the concept. A model
    without styles, or with styles that the store does not know, is searched among all sets, its
    upper bound cycling over the store's.

    Returns:
        (number, prompt, target, icon set of the upper bound) of each prompt that some real icon
        can score.
    """
    rows = []
    shared = [s for s in styles if s in gallery.styles]
    for i, prompt in enumerate(prompts):
        real = _turn(shared or gallery.styles, i, prompt.key, gallery)
        if real is not None:
            named = real if shared else (styles[i % len(styles)] if styles else "")
            rows.append((i, prompt, Target(prompt.key, named), real))
    return rows


def _turn(styles: Sequence[str], i: int, key: str, gallery: Gallery) -> str | None:
    """The first style from ``i mod S`` on that draws the concept and is not alone in it."""
    turns = (styles[(i + j) % len(styles)] for j in range(len(styles)))
    fit = (s for s in turns if gallery.has(key, s) and gallery.can_score(Target(key, s)))
    return next(fit, None)


def recall_groups(
    generator: Generator,
    gallery: Gallery,
    languages: Sequence[str] = ("en", "zh"),
    seeds: int = 1,
    *,
    samples_dir: Path | None = None,
    advance: Advance = lambda pictures: None,
) -> Iterator[GroupRecall]:
    """Draw the fixed prompts and search each picture among real icons, language by language.

    Args:
        generator: the model.
        gallery: real icons of the concepts.
        languages: of the prompts.
        seeds: pictures a prompt; prompt i of seed s is drawn with seed ``1000 s + i``.
        samples_dir: folder for the pictures and their ranks, or None.
        advance: called with the number of pictures finished.

    Raises:
        DataError: two prompts of a language are the same text.
    """
    claimed = {plain_key(key) for key in generator.info.concepts.get("keys", [])}
    plan = assign_styles(load_prompts(), generator.styles, gallery)
    for language in languages:
        for known in (True, False):
            requests = [
                ConceptRequest(p.texts[language], target, real, 1000 * seed + i, language, known)
                for seed in range(seeds)
                for i, p, target, real in plan
                if (p.key in claimed) == known
            ]
            if requests:
                yield _measure(
                    generator, gallery, requests,
                    seeds=seeds, samples_dir=samples_dir, advance=advance,
                )  # fmt: skip


def _measure(
    generator: Generator,
    gallery: Gallery,
    requests: Sequence[ConceptRequest],
    *,
    seeds: int,
    samples_dir: Path | None,
    advance: Advance,
) -> GroupRecall:
    metric = RecallMetric(gallery, {each.text: each.target for each in requests})
    if len(metric.targets) * seeds != len(requests):
        raise DataError(f"two prompts of the language {requests[0].language} are the same text")
    left = iter(requests)
    for images, drawn in draw_batches(generator, [each.request() for each in requests]):
        metric.update(images, [each.prompt for each in drawn])
        if samples_dir is not None:
            for image, request in zip(to_images(images), left, strict=False):
                write_image(image, samples_dir / _file(request), {"prompt": request.text})
        advance(len(drawn))
    ranks = metric.ranks()
    if samples_dir is not None:
        _write_ranks(samples_dir, requests, ranks)
    real = [Target(each.target.key, each.real_style) for each in requests]
    trials = len(requests) // seeds
    return GroupRecall(
        name=f"{requests[0].language} {'claimed' if requests[0].claimed else 'not claimed'}",
        recall={top: share_of(value, trials) for top, value in recall_of(ranks).items()},
        upper_bound=recall_of(gallery.ranks(gallery.icon_features(real), real)),
        lower_bound=metric.lower_bound(),
        ranks=ranks,
    )


def _file(request: ConceptRequest) -> str:
    return f"{request.language}-{request.target.key}-{request.seed}.png"


def _write_ranks(folder: Path, requests: Sequence[ConceptRequest], ranks: Tensor) -> None:
    """A list of the pictures of one language and kind of concept, with the rank of each."""
    rows = [
        {"file": _file(each), "prompt": each.text, "key": each.target.key,
         "style": each.target.style, "seed": each.seed, "claimed": each.claimed, "rank": rank + 1}
        for each, rank in zip(requests, ranks.tolist(), strict=True)
    ]  # fmt: skip
    kind = "claimed" if requests[0].claimed else "not-claimed"
    write_json(folder / f"{requests[0].language}-{kind}.json", rows, DataError)


class RecallPart(Part):
    """Whether pictures show the concept that was asked for."""

    name = "recall"
    title = "Concept recall"
    options = ("languages", "seeds", "also", "samples_dir")

    def __init__(self, evaluation: EvaluationContext) -> None:
        super().__init__(evaluation)
        options = evaluation.options
        check_languages(options.languages)
        self._seeds = 1 if options.seeds is None else options.seeds
        if not 1 <= self._seeds <= 100:
            raise UsageError(f"{self._seeds} seeds asked for; give a number from 1 to 100")
        folder = options.samples_dir
        if folder is not None and folder.exists() and not folder.is_dir():
            raise UsageError(f"samples cannot go to {folder}: it is a file")
        try:
            self._gallery = icon_gallery(evaluation.store)
        except DataError as error:
            reason = str(error).replace(str(evaluation.store.path), evaluation.store.name)
            raise InapplicableError(reason) from None

    def finish(self, meter: Meter) -> PartResult:
        """Draw the fixed prompts and things that no icon shows; search both among real icons."""
        generator, options, store = (
            self.evaluation.generator, self.evaluation.options, self.evaluation.store,
        )  # fmt: skip
        gallery = self._gallery
        groups = list(recall_groups(
            generator, gallery, options.languages, self._seeds,
            samples_dir=options.samples_dir, advance=meter.advance,
        ))  # fmt: skip
        if not groups:
            raise DataError(f"the store {store.path} has no concept that can be scored")
        figures = [figure for group in groups for figure in _figures(group)]
        figures.append(_memorised(generator, [store, *options.also], meter.advance))
        among = "icons of the other sets" if generator.styles else "icons of all sets"
        prompts = load_prompts()
        scored = assign_styles(prompts, generator.styles, gallery)
        return self.result(
            f"Fixed prompts; each picture is searched among real {among}. Upper bound: the real "
            "icon of the same concept and set. Lower bound: the same pictures against shuffled "
            "prompts.",
            figures,
            f"{groups[0].name}: top5 of upper bound",
            judge=f"judge {gallery.judge.fingerprint}",
            protocol={
                "prompts": prompts_hash(),
                "gallery_icons": gallery.count,
                "gallery_concepts": len(gallery.keys),
                "skipped_concepts": len(prompts) - len(scored),
                "searched": f"real {among}",
                "styles": list(generator.styles),
                "languages": list(options.languages),
                "seeds": self._seeds,
                "also": [each.fingerprint for each in options.also],
            },
        )


def _figures(group: GroupRecall) -> Iterator[Figure]:
    for top, share in group.recall.items():
        place = "first" if top == "top1" else "among the first five"
        yield share_figure(
            f"{group.name}: {top}", f"{group.name}: top-{top[-1]}", share,
            f"the right concept comes {place}",
            lower_bound=group.lower_bound[top], upper_bound=group.upper_bound[top],
        )  # fmt: skip
    for top, share in group.recall.items():
        bound = group.upper_bound[top]
        value, low, high = (
            end / bound if bound else 0.0 for end in (share.value, share.low, share.high)
        )
        yield share_figure(
            f"{group.name}: {top} of upper bound", f"{group.name}: top-{top[-1]} of upper bound",
            Share(value, low, high, share.count), "recall over that of the real icons",
        )  # fmt: skip


def _memorised(generator: Generator, stores: Sequence[Store], advance: Advance) -> Figure:
    """How often a picture of something that no icon shows reproduces a training picture."""
    metric = Memorisation(stores[0], threshold_between_styles(stores[0]), others=stores[1:])
    for images, drawn in draw_batches(generator, store_requests(novel_prompts(stores))):
        metric.update(images)
        advance(len(drawn))
    return share_figure(
        "memorised", "training pictures among new things", metric.verdict().memorised,
        "things in colours that no icon has; nearer to a training picture than 99 % of icons are "
        "to another set's", "lower", upper_bound=QUANTILE,
    )  # fmt: skip
