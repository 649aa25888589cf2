"""What is drawn next where a picture does not show what was asked: changes of its request.

A change is of prompt, seed, settings or plan (instructions of
:mod:`limner.generation.plan_edits`), or starts from the best picture instead of from noise. A
picture's record holds all of it, so that every picture can be drawn again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import count

from limner.generation.generator import Generator
from limner.generation.picture import Picture
from limner.generation.requests import DrawRequest
from limner.generation.source_pictures import SourcePicture
from limner.improve.asked import Asked
from limner.improve.composing import composes_anew
from limner.improve.scoring import FOUND, WELL_FOUND, Check, PictureScore
from limner.improve.screening import screens
from limner.models.one_shot import OneShotModel
from limner.models.settings import MAX_SEED, Capability
from limner.scenes.sizes import is_plural, singular

PLAIN_VARIETY = 0.0
AS_A_LIST = "said as a list"
_VOWELS = frozenset("aeiou")
_GUIDANCE = (0.7, 1.5)
"""Factors of the guidance."""
_USUAL_GUIDANCE, _USUAL_STEPS = 2.0, 20
"""Of a model whose configuration does not say."""
_MOST_STEPS = 100
_STRENGTHS = (0.6, 0.5, 0.7)
"""How far the best picture is noised before it is drawn on."""
MOST_REDRAWN = 4
"""How often a picture may be redrawn of a redrawn one: its record holds those of all of them."""


@dataclass(frozen=True)
class Change:
    """A request that differs from another one.

    Attributes:
        request: to be drawn.
        what: is changed.
        why: the check that asks for it.
        made_from: the picture that it starts from; None for noise.
    """

    request: DrawRequest
    what: str
    why: str
    made_from: Picture | None = None


class Move(StrEnum):
    """A kind of change; which one is next is chosen by how much each has gained."""

    SEED = "another seed"
    COMPOSED = "the things drawn one by one"
    WHAT_THE_SCORE_SAYS = "what the score says"
    REDRAWN = "the best redrawn"


FIRST_PROMISE: Mapping[Move, float] = {
    Move.COMPOSED: 0.2, Move.WHAT_THE_SCORE_SAYS: 0.1, Move.REDRAWN: 0.06, Move.SEED: 0.05,
}  # fmt: skip
"""What each move is thought to gain before it was tried, in score."""
_SAMPLED_PROMISE = 0.02
"""The same of guidance and steps, which gained nothing for the flow that they were tried on."""
SEEDS_FIRST = 8
"""Pictures of a model that samples, of other seeds alone: of so many nothing else gained more."""


def first_changes(generator: Generator, request: DrawRequest, asked: Asked) -> Iterator[Change]:
    """What is drawn in the first round: the request, and the same as the model learned it.

    Where the words name things beside those that are drawn, these are drawn, too. Of a model whose
    other seeds are compared before they are finished, or that can compose, only the request is.
    """
    yield Change(request, "as asked", "")
    if _varies(generator, request):
        settings = request.settings.model_copy(update={"variety": PLAIN_VARIETY})
        listed = _restated(asked) if asked.beside else None
        if listed is not None:
            yield Change(
                replace(request, prompt=listed, settings=settings), AS_A_LIST,
                "the words name things that are not drawn",
            )  # fmt: skip
        yield Change(
            replace(request, settings=settings), "variety 0",
            "drawings are recognised best as they were learned",
        )  # fmt: skip
    elif not (screens(generator.model, request.settings) or composes_anew(generator, request)):
        yield Change(_seeded(request, request.seed + 1), Move.SEED, "")


def first_promise(generator: Generator, move: Move) -> float:
    """What a move is thought to gain before it was tried."""
    if move is Move.WHAT_THE_SCORE_SAYS and not generator.model.draws_training_pictures:
        return _SAMPLED_PROMISE
    return FIRST_PROMISE[move]


def moves(
    generator: Generator,
    asked: Asked,
    first: DrawRequest,
    best: DrawRequest,
    *,
    picture: Picture,
    score: PictureScore,
    style_given: bool,
    drawn: int,
) -> dict[Move | None, Iterator[Change]]:
    """The changes of each kind that may show more of what was asked than the best so far.

    A model that samples is asked for its first pictures by seeds alone, as for the best of several,
    and for scenes of single things where it draws in one piece otherwise.

    Args:
        generator: draws.
        asked: by the prompt.
        first: what was asked for.
        best: the request of the best picture.
        picture: the best.
        score: of that.
        style_given: whether a style was asked for, which is kept.
        drawn: pictures so far.
    """
    weak = sorted((c for c in score.checks if c.score < WELL_FOUND), key=lambda check: check.score)
    why = f"{weak[0].wanted}: {weak[0].seen}" if weak else ""
    unmade = replace(
        best, source=None, settings=best.settings.model_copy(update={"strength": None})
    )
    composed: dict[Move | None, Iterator[Change]] = {}
    if composes_anew(generator, first):
        composed[Move.COMPOSED] = _composed(first, why)
    keeps = generator.model.draws_training_pictures
    if not keeps and drawn < SEEDS_FIRST:
        return composed | {Move.SEED: _seeds(generator, first, first, why, style_given=style_given)}
    found: dict[Move | None, Iterator[Change]] = composed | {
        Move.WHAT_THE_SCORE_SAYS: _by_checks(generator, asked, unmade, weak),
        Move.SEED: _seeds(generator, first, unmade, why, style_given=style_given),
    }
    if _redraws(generator, first, picture):
        found[Move.REDRAWN] = _redrawn(first, best, picture, why)
    return found


def _by_checks(
    generator: Generator, asked: Asked, best: DrawRequest, weak: Sequence[Check]
) -> Iterator[Change]:
    """What the checks that are not passed suggest, the likeliest first."""
    for check in weak:
        why = f"{check.wanted}: {check.seen}"
        if generator.model.draws_training_pictures:
            yield from _of_plan(asked, best, check, why)
        elif generator.model.capabilities & {Capability.GUIDANCE, Capability.STEPS}:
            yield from _of_sampler(generator, best, why)


def _seeds(
    generator: Generator, first: DrawRequest, best: DrawRequest, why: str, *, style_given: bool
) -> Iterator[Change]:
    """Other seeds, as for the best of several; without end."""
    other_style = generator.model.draws_training_pictures and not style_given
    what = "another style" if other_style else Move.SEED
    for number in count(1):
        plain = best if number % 2 else replace(best, edits=())
        if plain.settings.thing_seeds is not None:  # of which each thing is the best
            plain = first
        yield Change(_seeded(plain, first.seed + number), what, why)


def _composed(first: DrawRequest, why: str) -> Iterator[Change]:
    """Scenes of single things, by other seeds; without end."""
    settings = first.settings.model_copy(update={"scenes": True})
    for number in count():
        request = _seeded(replace(first, settings=settings), first.seed + number)
        yield Change(request, Move.COMPOSED, why)


def _redraws(generator: Generator, first: DrawRequest, picture: Picture) -> bool:
    """Whether the best picture can be noised and drawn on from there.

    One-shot families are left out: theirs is another way to the same drawing, or a long search.
    """
    made = 0
    source = picture.made_from
    while source is not None:
        made, source = made + 1, source.made_from
    return (
        Capability.RESTYLE in generator.model.capabilities
        and not isinstance(generator.model, OneShotModel)
        and made < MOST_REDRAWN
        and first.settings.strength is None
        and not first.settings.transparent
        and picture.settings.reference is None
    )


def _redrawn(first: DrawRequest, best: DrawRequest, picture: Picture, why: str) -> Iterator[Change]:
    """The best noised in part and drawn on, by other seeds (SDEdit, Meng et al. 2022)."""
    source = SourcePicture.open(picture.image)
    for number in count():
        strength = _STRENGTHS[number % len(_STRENGTHS)]
        settings = best.settings.model_copy(
            update={"strength": strength, "transparent": None, "scenes": None, "thing_seeds": None}
        )
        request = replace(best, settings=settings, source=source, edits=())
        what = f"the best redrawn, strength {strength:g}"
        yield Change(_seeded(request, first.seed + 1 + number), what, why, picture)


def _of_plan(asked: Asked, best: DrawRequest, check: Check, why: str) -> Iterator[Change]:
    """Changes of the plan of a scene that is put together."""
    thing = asked.things[check.thing]
    called, several = asked.called(thing), len(asked.things) > 1
    if check.kind == "colour" and thing.colour is not None:
        name = f"{thing.colour} {called}" if several else called
        yield _edited(best, f"make all of {name} {thing.colour}", why)
    least = WELL_FOUND if asked.touching else FOUND  # what is held hides, or is hidden
    if check.kind in ("thing", "count") and check.score < least and several:
        restated = _restated(asked)
        if restated is not None:
            yield Change(replace(best, prompt=restated, edits=()), AS_A_LIST, why)
    if check.kind == "thing" and check.score < WELL_FOUND:
        one = singular(called)
        if one is not None:
            many = "a" if thing.count == 1 else str(thing.count)
            yield _edited(best, f"replace {called} with {many} {one}", why)
        if several and not asked.touching:  # it would hide what it is on
            yield _edited(best, f"make the {called} bigger", why)


def _of_sampler(generator: Generator, best: DrawRequest, why: str) -> Iterator[Change]:
    """Changes of how a model samples."""
    model, given = generator.model, best.settings
    if Capability.GUIDANCE in model.capabilities:
        now = given.guidance
        if now is None:
            now = float(getattr(model.config, "guidance", _USUAL_GUIDANCE) or _USUAL_GUIDANCE)
        for factor in _GUIDANCE:
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


def _seeded(request: DrawRequest, seed: int) -> DrawRequest:
    return replace(request, seed=seed % (MAX_SEED + 1))


def _restated(asked: Asked) -> str | None:
    """The things of a prompt as a plain list, so that none is put onto another.

    None if that says less, or is what the prompt says.
    """
    if not asked.loose:
        return None
    said: list[str] = []
    for thing in asked.things:
        words = " ".join(filter(None, (thing.colour, asked.called(thing))))
        one = "an" if words[0].lower() in _VOWELS else "a"
        some = str(thing.count) if thing.count > 1 else "" if is_plural(words) else one
        said.append(f"{some} {words}".strip())
    restated = ", ".join(said)
    return None if restated == asked.prompt else restated
