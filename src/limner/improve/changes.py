"""What is drawn next where a picture does not show what was asked: changes of its request.

A change is of prompt, seed, settings or plan (instructions of
:mod:`limner.generation.plan_edits`), all of which a picture's record holds, so that every picture
can be drawn again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from limner.generation.generator import Generator
from limner.generation.requests import DrawRequest
from limner.improve.asked import Asked
from limner.improve.scoring import FOUND, Check, PictureScore
from limner.models.settings import MAX_SEED, Capability
from limner.scenes.sizes import is_plural, sized_names

PLAIN_VARIETY = 0.0
_MORE_GUIDANCE = (1.5, 2.5, 0.7)
"""Factors of the guidance."""
_USUAL_GUIDANCE, _USUAL_STEPS = 2.0, 20
"""Of a model whose configuration does not say."""
_MOST_STEPS = 100
_GOOD = 0.8
"""A check below this score is worth a change."""


@dataclass(frozen=True)
class Change:
    """A request that differs from another one.

    Attributes:
        request: to be drawn.
        what: is changed.
        why: the check that asks for it.
    """

    request: DrawRequest
    what: str
    why: str


def first_changes(generator: Generator, request: DrawRequest) -> Iterator[Change]:
    """What is drawn in the first round: the request, and the same as the model learned it."""
    yield Change(request, "as asked", "")
    if _varies(generator, request):
        settings = request.settings.model_copy(update={"variety": PLAIN_VARIETY})
        yield Change(
            replace(request, settings=settings), "variety 0",
            "drawings are recognised best as they were learned",
        )  # fmt: skip


def changes(
    generator: Generator,
    asked: Asked,
    first: DrawRequest,
    best: DrawRequest,
    score: PictureScore,
    *,
    style_given: bool,
) -> Iterator[Change]:
    """What may show more of what was asked than the best picture so far, the likeliest first.

    It never ends: after all that the checks suggest come other seeds.

    Args:
        generator: draws.
        asked: by the prompt.
        first: what was asked for.
        best: the request of the best picture.
        score: of that.
        style_given: whether a style was asked for, which is kept.
    """
    weak = sorted((c for c in score.checks if c.score < _GOOD), key=lambda check: check.score)
    planned = generator.model.draws_training_pictures and best.source is None
    for check in weak:
        why = f"{check.wanted}: {check.seen}"
        if planned:
            yield from _of_plan(asked, best, check, why)
        elif generator.model.capabilities & {Capability.GUIDANCE, Capability.STEPS}:
            yield from _of_sampler(generator, best, why)
    if weak and not style_given and planned:
        why = f"{weak[0].wanted}: {weak[0].seen}"
        for step in range(1, 5):
            yield Change(_seeded(best, first.seed + step), "another style", why)
    number = 0
    why = "" if not weak else f"{weak[0].wanted}: {weak[0].seen}"
    while True:
        number += 1
        other = best if number % 2 else replace(best, edits=())
        yield Change(_seeded(other, first.seed + number), "another seed", why)


def _of_plan(asked: Asked, best: DrawRequest, check: Check, why: str) -> Iterator[Change]:
    """Changes of the plan of a scene that is put together."""
    thing = asked.things[check.thing]
    several = len(asked.things) > 1
    if check.kind == "colour" and thing.colour is not None:
        name = f"{thing.colour} {thing.phrase}" if several else thing.phrase
        yield _edited(best, f"make all of {name} {thing.colour}", why)
    if check.kind in ("thing", "count") and check.score < FOUND and several:
        restated = _restated(asked)
        if restated is not None:
            yield Change(replace(best, prompt=restated, edits=()), "said as a list", why)
    if check.kind == "thing" and check.score < _GOOD:
        one = _singular(thing.phrase)
        if one is not None:
            count = "a" if thing.count == 1 else str(thing.count)
            yield _edited(best, f"replace {thing.phrase} with {count} {one}", why)
        if several and not asked.touching:  # it would hide what it is on
            yield _edited(best, f"make the {thing.phrase} bigger", why)


def _of_sampler(generator: Generator, best: DrawRequest, why: str) -> Iterator[Change]:
    """Changes of how a model samples."""
    model, given = generator.model, best.settings
    if Capability.GUIDANCE in model.capabilities:
        now = given.guidance
        if now is None:
            now = float(getattr(model.config, "guidance", _USUAL_GUIDANCE) or _USUAL_GUIDANCE)
        for factor in _MORE_GUIDANCE:
            guidance = round(min(50.0, now * factor), 3)
            settings = given.model_copy(update={"guidance": guidance})
            yield Change(replace(best, settings=settings), f"guidance {guidance}", why)
    if Capability.STEPS in model.capabilities:
        steps = given.steps or int(getattr(model.config, "steps", _USUAL_STEPS) or _USUAL_STEPS)
        if steps < _MOST_STEPS:
            steps = min(_MOST_STEPS, 2 * steps)
            settings = given.model_copy(update={"steps": steps})
            yield Change(replace(best, settings=settings), f"{steps} steps", why)


def _varies(generator: Generator, request: DrawRequest) -> bool:
    """Whether the model varies its drawings, and nobody said how much."""
    return generator.model.draws_training_pictures and request.settings.variety is None


def _edited(best: DrawRequest, instruction: str, why: str) -> Change:
    return Change(replace(best, edits=(*best.edits, instruction)), instruction, why)


def _singular(phrase: str) -> str | None:
    """A phrase with the singular of its last word, where that is the plural of a known thing."""
    if not is_plural(phrase):
        return None
    rest, _, last = phrase.rpartition(" ")
    forms = (last.removesuffix("s"), last.removesuffix("es"), last.removesuffix("ies") + "y")
    one = next((form for form in forms if form in sized_names()), None)
    return None if one is None else f"{rest} {one}".strip()


def _seeded(request: DrawRequest, seed: int) -> DrawRequest:
    return replace(request, seed=seed % (MAX_SEED + 1))


def _restated(asked: Asked) -> str | None:
    """The things of a prompt as a plain list, so that none is put onto another.

    None if that says less, or is what the prompt says.
    """
    if asked.relations or asked.placed or asked.touching:
        return None
    said = []
    for thing in asked.things:
        words = [str(thing.count) if thing.count > 1 else "a", thing.colour or "", thing.phrase]
        said.append(" ".join(filter(None, words)))
    restated = ", ".join(said)
    return None if restated == asked.prompt else restated
