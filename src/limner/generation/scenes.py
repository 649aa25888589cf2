"""Scenes: prompts of several things are planned, drawn thing by thing, and composed.

A model that draws one thing well need not learn every combination of things. The planner
(:mod:`limner.models.planner`) finds the things in the prompt's own pieces. Each piece is drawn as
a prompt of its own, recoloured where it is asked for in a colour that it does not come in, cut out
of its white background and placed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from limner.errors import UsageError
from limner.generation.drawn_things import (
    DrawnThing,
    in_colour_or_dyed,
    plainly,
    tinted,
    tinted_or_plain,
    with_top,
)
from limner.generation.placed import Placed
from limner.generation.prompts import quoted, warn
from limner.modelfile import load_model
from limner.models.concepts import ConceptIndex
from limner.models.planner import PlannedThing, Planner, ScenePlan
from limner.models.rows import KnownPixels
from limner.scenes.backgrounds import background_rgb
from limner.scenes.colour_words import colour_said, colours_said
from limner.scenes.colours import COLOURS, WHITE, material_colour
from limner.scenes.contacts import ALIVE, WORN
from limner.scenes.cutout import Floats, paste_box, placement, to_image
from limner.scenes.framing import framed
from limner.scenes.landscape import Prop, paint, props_of, room_of, veil
from limner.scenes.layout import arrange
from limner.scenes.own_sky import has_own_sky, without_sky
from limner.scenes.places import Setting, read_place
from limner.scenes.plain import background_alone
from limner.scenes.quantities import is_label, quantities, several
from limner.scenes.sentence import Link, Sentence, colours_a_part, is_own_part, read
from limner.scenes.sizes import UNKNOWN, facts_of, is_plural, wears_a_hat
from limner.scenes.staging import Actor, Spot, apart, stage
from limner.scenes.top_colours import TopColour
from limner.shipped import SHIPPED_PLANNER, find_model
from limner.tensorfile import file_hash
from limner.text.base import TextEncoder, TextFeatures, concatenate
from limner.text.lexicon import languages_of
from limner.text.names import bare
from limner.text.rewording import coloured_apart
from limner.text.segment import pieces_of
from limner.text.spaceless import SPACELESS
from limner.text.validate import canonical_all
from limner.text.vocabulary import best_name, in_english, singular_of

_STREAM = 77
_RULES = 14
"""Raised whenever a scene may be read or arranged otherwise: older pictures say why they differ."""
_SOME = 3
"""How many are drawn of *birds*."""
_NUMBER = re.compile(r"^\d+ (?=\S)")
_TOO_MANY = "{}: {} are drawn, the most of one kind that a picture can hold"
_FLOWERS = frozenset(
    {"rose", "roses", "rosa", "rosas", "orange", "oranges", "violet", "violets", "viola", "naranja",
     "naranjas", "laranja", "laranjas"}
)  # fmt: skip
"""Flowers and fruit that colours are named after, too."""
_INDOORS = ("room", "kitchen", "wall")
"""Places that are empty without things in them."""
WHOLE = 0.9
"""A sentence is drawn in one piece from this similarity to a text that the model learned from."""


class Inpainted(NamedTuple):
    """Pictures of which some pixels are known: the features of their texts, and those pixels."""

    text: TextFeatures
    known: KnownPixels


class Numbered(NamedTuple):
    """Texts that are drawn as further parts of a picture: their features, number of the first."""

    text: TextFeatures
    first: int


PartialDrawing = Generator[TextFeatures | Inpainted | Numbered, Sequence[Image.Image], Image.Image]
"""A picture in the making: yields the features of the texts that it wants drawn, all with its own
seed and settings, is sent their pictures, and returns the finished one. So the parts of many
pictures are drawn together, and nobody who draws them knows what they are parts of."""


def one_piece(text: TextFeatures) -> PartialDrawing:
    """A picture that is drawn from one text as it stands."""
    images = yield text
    return images[0]


@dataclass(frozen=True)
class PlannedScene:
    """A prompt that is drawn in parts, or from other words than its own.

    Attributes:
        plan: what the prompt asks for.
        parts: the words that each thing is drawn from, without those for its tint.
        features: of those words.
        coloured: the same with the words for the tint, for things that cannot be recoloured.
        links: how the things stand to each other, by their numbers; beside the plan's relation.
        setting: the place, time and weather behind them.
        names: of the things in English; empty where they are not known.
        props: what else the setting shows.
        prop_features: of the names of the props.
    """

    plan: ScenePlan
    parts: tuple[str, ...]
    features: TextFeatures
    coloured: tuple[str, ...]
    links: tuple[Link, ...] = ()
    setting: Setting | None = None
    names: tuple[str, ...] = ()
    props: tuple[Prop, ...] = ()
    prop_features: TextFeatures | None = None

    @property
    def alone(self) -> bool:
        """Whether the picture is one thing as it is drawn, and nothing is arranged."""
        return self.plan.single and self.setting is None and bool(self.parts)

    def of(self, kept: Sequence[int]) -> PlannedScene:
        """The same scene of some of its things only, by their numbers."""
        things = tuple(self.plan.things[i] for i in kept)
        relation = self.plan.relation if len(things) > 1 else None
        return replace(
            self, plan=replace(self.plan, things=things, relation=relation),
            parts=tuple(self.parts[i] for i in kept), features=self.features[list(kept)],
            coloured=tuple(self.coloured[i] for i in kept), links=_kept_links(self.links, kept),
            names=tuple(self.names[i] for i in kept),
        )  # fmt: skip

    def topped(self, said: TopColour) -> PlannedScene:
        """The same scene with the top of the thing of which it is said in another colour."""
        at = [
            -2 if facts_of(part).role in WORN else said.before.rfind(part) for part in self.coloured
        ]
        whose = at.index(max(at))
        things = list(self.plan.things)
        things[whose] = replace(things[whose], top=said.colour)
        return replace(self, plan=replace(self.plan, things=tuple(things)))

    def renamed(self, names: Mapping[int, str], encoder: TextEncoder) -> PlannedScene:
        """The same scene with some of its things, by their numbers, drawn from other names."""
        rows = torch.arange(len(self.parts))
        rows[list(names)] = torch.arange(len(names)) + len(self.parts)
        both = concatenate([self.features, encoder.encode(list(names.values()))])
        return replace(
            self, features=both[rows],
            parts=tuple(names.get(i, part) for i, part in enumerate(self.parts)),
            coloured=tuple(names.get(i, said) for i, said in enumerate(self.coloured)),
        )  # fmt: skip


def one_thing(words: str, name: str, features: TextFeatures) -> PlannedScene:
    """The scene of a picture that is drawn in one piece."""
    plan = ScenePlan((PlannedThing(0),))
    return PlannedScene(plan, (words,), features, (words,), names=(name,))


class SceneArtist:
    """Plans prompts, and draws those that ask for more than one thing on white.

    Args:
        encoder: the text encoder of the model that draws, which must read in pieces.
        path: a planner's file; None for the shipped one.

    Attributes:
        hash: of the planner's file and of the rules by which things are put together.

    Raises:
        UsageError: the encoder does not read in pieces, or is not the planner's own.
        ModelFileError: the planner cannot be read.
    """

    def __init__(self, encoder: TextEncoder, path: Path | None = None) -> None:
        file = find_model(path, SHIPPED_PLANNER)
        model, info = load_model(file)
        if not isinstance(model, Planner):
            raise UsageError(f"{file} is of the {info.family} family and plans no scenes")
        if encoder.fingerprint != info.encoder_fingerprint:
            raise UsageError(
                f"scenes are planned in the pieces of the text encoder {info.encoder!r}, and this "
                f"model reads with {encoder.spec!r}; leave --scenes out"
            )
        self.planner, self.encoder = model.eval(), encoder
        self.hash = hashlib.sha256(f"{file_hash(file)} {_RULES}".encode()).hexdigest()[:16]

    def understand(
        self, words: Sequence[str], text: TextFeatures, concepts: ConceptIndex | None = None
    ) -> list[PlannedScene | None]:
        """The scene that each prompt asks for; None where the prompt is drawn as it stands.

        That is where it asks for one thing on white and has no word too many.

        Args:
            words: the prompts.
            text: their features.
            concepts: what the model that draws knows; a sentence that it knows is not cut.
        """
        known = [0.0] * len(words) if concepts is None else concepts.familiarity(words, text.pooled)
        plans = self.planner.plan(text)
        found: list[PlannedScene | None] = []
        for plan, said, cut, near in zip(
            plans, canonical_all(words), text.pieces, known, strict=True
        ):
            sentence = read(said)
            things = sentence.setting is not None and sentence.phrases  # a mermaid under water
            place = None if concepts is None or things else _place_to_paint(said, concepts)
            if place is not None:
                found.append(self._sentence(Sentence((), (), place), plan))
            elif (near >= WHOLE and (plan.single or sentence.plain)) or _is_known(said, concepts):
                found.append(self._scene(plan, said, cut, concepts))
            elif sentence.plain:
                arranged = read(said, arranged=True) if plan.single else sentence
                found.append(
                    self._sentence(arranged, plan)  # a cow jumping over the moon
                    if arranged.links
                    else self._scene(plan, said, cut, concepts)
                )
            else:
                found.append(self._sentence(sentence, plan))
        return found

    def _scene(
        self, plan: ScenePlan, text: str, cut: tuple[str, ...], concepts: ConceptIndex | None
    ) -> PlannedScene | None:
        alone, colour = background_alone(text)
        if alone:
            rgb = None if colour is None else background_rgb(colour)
            return PlannedScene(ScenePlan((), background=rgb), (), self.encoder.encode(()), ())
        plan, parts, coloured = self._parted(plan, text, cut)
        listed = _listed(text, cut)
        if listed and len(plan.things) != len(listed):
            counted = len(plan.things) < 2 and all(bare(said) != said for said in listed)
            languages = languages_of(text)
            whole = concepts is not None and is_name(text, languages, concepts)
            if not whole and (counted or _are_things(listed, languages, concepts)):
                plan, parts, coloured = self._each(listed)  # a doctor and a nurse, 月亮和星星
        kinds = [piece.kind for piece in pieces_of(text, cut)]
        if plan.single and not _otherwise(plan, kinds, parts, cut):
            return None
        features, names = self.encoder.encode(parts), _names(parts, text)
        return PlannedScene(plan, parts, features, coloured, names=names)

    def _parted(
        self, plan: ScenePlan, text: str, cut: tuple[str, ...]
    ) -> tuple[ScenePlan, tuple[str, ...], tuple[str, ...]]:
        """The plan put right, and what each thing is drawn from, without and with its tint."""
        kinds = [piece.kind for piece in pieces_of(text, cut)]
        # Words for how things stand to each other cannot be things, nor can parts of one.
        things = tuple(thing for thing in plan.things if kinds[thing.piece] != "relation")
        things = _without_own_parts(things, cut, text)
        drop, tint = ([cut[number] for number in some] for some in (plan.drop, plan.tint))
        tint = _without_flowers(tint, [cut[thing.piece] for thing in things])
        compound = any(map(_is_compound, tint)) or any(_is_of_name(each, text) for each in tint)
        if compound or in_english(text) is not None:  # a blackboard, green tea, 黑板
            things, tint = tuple(replace(thing, tint=None) for thing in things), []
        languages = languages_of(text)
        if any(colours_a_part(each, text) for _, each in colours_said(text, languages)):
            things, tint = _of_wholes(things, tint, cut, languages)
        else:
            things, tint = _as_said(things, tint, cut, languages)
        most = self.planner.config.max_count
        counted = [_counted(thing, cut[thing.piece], drop, most) for thing in things]
        plan = replace(plan, things=tuple(thing for thing, _ in counted))
        coloured = tuple(without(cut[thing.piece], words) for thing, words in counted)
        parts = tuple(
            without(said, tint) if thing.tint else said
            for said, thing in zip(coloured, plan.things, strict=True)
        )
        return plan, parts, coloured

    def _each(self, phrases: Sequence[str]) -> tuple[ScenePlan, tuple[str, ...], tuple[str, ...]]:
        """A plan of things that are planned one by one; see :meth:`_parted`."""
        features = self.encoder.encode(phrases)
        found: list[tuple[PlannedThing, str, str]] = []
        for phrase, plan, cut in zip(
            phrases, self.planner.plan(features), features.pieces, strict=True
        ):
            alone, parts, coloured = self._parted(plan, canonical_all([phrase])[0], cut)
            if len(alone.things) == 1:
                found.append((alone.things[0], parts[0], coloured[0]))
            else:
                found.append((PlannedThing(0), phrase, phrase))
        things, parts, coloured = zip(*found, strict=True)
        return ScenePlan(things), parts, coloured

    def _sentence(self, sentence: Sentence, whole: ScenePlan) -> PlannedScene:
        """A sentence whose phrases are planned one by one."""
        sentence, materials = _without_materials(sentence)
        heaps = {link.second for link in sentence.links if link.relation == "full"}
        sentence = replace(sentence, phrases=tuple(map(coloured_apart, sentence.phrases)))
        phrases, features = sentence.phrases, self.encoder.encode(sentence.phrases)
        language = languages_of(" ".join(phrases))[0]
        things: list[PlannedThing] = []
        parts: list[str] = []
        coloured: list[str] = []
        numbers: list[range] = []  # of the things of each phrase
        plans = self.planner.plan(features) if phrases else []
        for number, (phrase, plan, cut) in enumerate(
            zip(phrases, plans, features.pieces, strict=True)
        ):
            planned, said, tinted = self._parted(plan, canonical_all([phrase])[0], cut)
            if len(planned.things) < 2:
                listed = _listed(phrase, cut)
                planned, said, tinted = self._each(listed) if listed else (planned, said, tinted)
            else:
                planned, said, tinted = _completed(planned, said, tinted, phrase, cut)
            if not planned.things:
                planned, said, tinted = ScenePlan((PlannedThing(0),)), (phrase,), (phrase,)
            if number in materials:
                tint = materials[number]
                made = tuple(replace(thing, tint=thing.tint or tint) for thing in planned.things)
                planned = replace(planned, things=made)
                tinted = tuple(f"{tint} {words}" for words in tinted)
            if number not in heaps:
                named = zip(planned.things, said, strict=True)
                several = tuple(_as_many(thing, words, language) for thing, words in named)
                planned = replace(planned, things=several)
            numbers.append(range(len(things), len(things) + len(planned.things)))
            things += planned.things
            parts += said
            coloured += tinted
        setting = sentence.setting
        if setting is not None and setting.place is None and any(map(_is_afloat, parts)):
            setting = replace(setting, place="sea")  # a ship in a storm
        if setting is not None and any(map(has_own_sky, _english(parts))):
            setting = replace(setting, night=True, sunset=False, sunny=False)
        props = () if setting is None else props_of(setting, parts)
        return PlannedScene(
            ScenePlan(tuple(things), background=whole.background if phrases else None),
            tuple(parts), self.encoder.encode(parts), tuple(coloured),
            links=_expanded(sentence.links, numbers, things), setting=setting,
            names=_names(parts, " ".join(phrases)), props=props,
            prop_features=self.encoder.encode([prop.name for prop in props]) if props else None,
        )  # fmt: skip

    def draw(
        self, scene: PlannedScene, seed: int, side: int, *, transparent: bool = False,
        placed: Placed | None = None,
    ) -> PartialDrawing:  # fmt: skip
        """The picture of a scene; the same scene and seed give the same pixels.

        Args:
            scene: what to draw.
            seed: decides how things are arranged where the words leave it open.
            side: of the picture, in pixels.
            transparent: leave the background out: an RGBA picture, but of a thing alone, which is
                left on white.
            placed: is told where the things are.
        """
        placed = placed or Placed()
        if transparent and scene.plan.things:
            scene = replace(scene, setting=None, props=(), prop_features=None)
        asks = scene.plan.things or scene.props
        drawn, props = (yield from self.things(scene)) if asks else ([], [])
        placed.cuts, placed.pixels = [one.cut for one in drawn], [one.pixels for one in drawn]
        placed.words = scene.parts
        placed.on_white = scene.setting is None and scene.plan.background is None
        if drawn and scene.alone:
            return Image.fromarray(drawn[0].pixels)
        rng, cuts = scene_randomness(seed), placed.cuts
        canvas = backdrop(scene, [one.cut for one in props], side, rng, transparent=transparent)
        placed.spots = spots_of(scene, cuts, side, rng) if drawn else ()
        for spot in placed.spots:
            paste_box(canvas, cuts[spot.thing], spot.box)
        if scene.setting is not None:
            veil(canvas, scene.setting, rng)
        return to_image(canvas)

    def things(
        self, scene: PlannedScene
    ) -> Generator[TextFeatures, Sequence[Image.Image], tuple[list[DrawnThing], list[DrawnThing]]]:
        """Each thing as it is drawn, recoloured where the plan says so, and the setting's props.

        What cannot be recoloured is drawn again with its colour in the words, where the model
        learned from such, else dyed.
        """
        some = [scene.features] if scene.parts else []
        some += [] if scene.prop_features is None else [scene.prop_features]
        images = [np.asarray(image) for image in (yield concatenate(some))]
        things = scene.plan.things
        wanted = [thing.tint for thing in things] + [None] * (len(images) - len(things))
        with ThreadPoolExecutor(torch.get_num_threads()) as threads:
            cut = list(threads.map(tinted_or_plain, images, wanted))
        found, props = cut[: len(things)], cut[len(things) :]
        words = []
        for number, (said, part) in enumerate(zip(scene.coloured, scene.parts, strict=True)):
            tint = things[number].tint
            if found[number] is None and tint is not None and said == part:
                found[number] = tinted(images[number], tint, dye=True)
                if found[number] is None:
                    warn(f"what is drawn of {quoted(part)} cannot be made {tint}")
                    found[number] = plainly(images[number])
            if found[number] is None:
                words.append(said)
        again = map(np.asarray, (yield self.encoder.encode(words))) if words else iter(())
        hats, drawn = _hats(scene), list[DrawnThing]()
        for number, (one, thing) in enumerate(zip(found, things, strict=True)):
            shown = one or in_colour_or_dyed(next(again), images[number], thing.tint)
            top = thing.top or hats.get(number)
            if top is not None:
                alive = facts_of((scene.names or scene.parts)[number]).role in ALIVE
                shown = with_top(shown, top, hair=alive and thing.top is not None, face=alive)
            sky = has_own_sky((scene.names or scene.parts)[number]) and scene.setting is not None
            seen = without_sky(shown.cut) if sky else None
            drawn.append(shown if seen is None else shown._replace(cut=seen))
        return drawn, [one for one in props if one is not None]


def scene_randomness(seed: int) -> np.random.Generator:
    """What decides of a scene what the words leave open."""
    return np.random.default_rng([seed % 2**32, seed >> 32, _STREAM])


def backdrop(
    scene: PlannedScene, props: Sequence[Floats], side: int, rng: np.random.Generator, *,
    transparent: bool = False,
) -> Floats:  # fmt: skip
    """What is behind the things of a scene: ``(side, side, 3)``, or of 4 where it is transparent.

    Args:
        scene: the scene.
        props: of its setting, cut out.
        side: in pixels.
        rng: places hills and props.
        transparent: whether there is nothing where no place is painted.
    """
    if scene.setting is not None:
        pairs = list(zip(scene.props, props, strict=True))
        return paint(side, scene.setting, pairs, rng, alone=not scene.parts)
    if transparent:
        return np.zeros((side, side, 4), np.float32)
    return np.full((side, side, 3), scene.plan.background or 1.0, np.float32)


def actors_of(scene: PlannedScene, cuts: Sequence[Floats]) -> list[Actor]:
    """The kinds of things of a scene as they are drawn."""
    return [
        Actor(
            cut,
            facts_of(name),
            thing.count,
            thing.size,
            hatted=wears_a_hat(name) or wears_a_hat(part),
        )
        for cut, name, part, thing in zip(
            cuts, scene.names, scene.parts, scene.plan.things, strict=True
        )
    ]


def spots_of(
    scene: PlannedScene, cuts: Sequence[Floats], side: int, rng: np.random.Generator
) -> list[Spot]:
    """Where each thing of a scene is, in the order in which they are painted."""
    things, actors = scene.plan.things, actors_of(scene, cuts)
    simple, relation = apart(actors, scene.links)
    if scene.setting is None and simple:
        counts, sizes = [t.count for t in things], [t.size for t in things]
        boxes = arrange(counts, sizes, scene.plan.relation or relation, rng)
        kinds = [kind for kind, count in enumerate(counts) for _ in range(count)]
        found = []
        for kind, box in zip(kinds, boxes, strict=True):
            pixels = placement(cuts[kind], box.x * side, box.y * side, box.side * side, side)
            found.append(Spot(kind, *(length / side for length in pixels)))
        return found
    room = None if scene.setting is None else room_of(scene.setting)
    return framed(stage(actors, scene.links, rng), actors, room, rng)


def _is_known(text: str, concepts: ConceptIndex | None) -> bool:
    """Whether a whole text is a name, as *a goldfish in a bowl* is."""
    return concepts is not None and is_name(bare(text), languages_of(text), concepts)


def is_name(phrase: str, languages: Sequence[str], concepts: ConceptIndex) -> bool:
    """Whether a phrase is a name of a thing that a model has more than a sign of."""
    name = in_english(phrase, languages) or phrase
    known = concepts.named(name)
    return best_name(name) is not None or (
        known is not None and not known.instance and concepts.colours_of(known.concept) != 0
    )


def _are_things(
    phrases: Sequence[str], languages: Sequence[str], concepts: ConceptIndex | None
) -> bool:
    """Whether each phrase of a list is known by itself."""
    return concepts is not None and all(
        bare(phrase).casefold() not in (*COLOURS, WHITE)
        and not phrase.startswith("its ")
        and (
            in_english(_NUMBER.sub("", phrase), languages) is not None
            or is_name(phrase, languages, concepts)
            or facts_of(phrase) != UNKNOWN
        )
        for phrase in phrases
    )


def _place_to_paint(text: str, concepts: ConceptIndex) -> Setting | None:
    """The place that a text names and says no more of, where the model has no coloured drawing."""
    text = in_english(text, languages_of(text)) or text
    found = (read_place(text, language) for language in languages_of(text))
    place, known = next(filter(None, found), None), concepts.named(text)
    if place is None or place.place in _INDOORS or best_name(text) is not None:
        return None
    return place if known is None or concepts.colours_of(known.concept) == 0 else None


def _is_afloat(said: str) -> bool:
    """Whether a phrase names a boat."""
    (name,) = _english([said])
    return facts_of(name).role == "boat"


def _english(phrases: Sequence[str]) -> list[str]:
    """What phrases mean in English; as they are where that is not known."""
    return [in_english(said, languages_of(said)) or said for said in phrases]


def _as_many(thing: PlannedThing, said: str, language: str) -> PlannedThing:
    """Some of a thing that is named in the plural, without a number."""
    name = said if language == "en" else f"{singular_of(said, language) or ''}s"
    return replace(thing, count=_SOME) if thing.count == 1 and is_plural(name) else thing


def _names(parts: Sequence[str], text: str) -> tuple[str, ...]:
    """The English names among the phrases of a text; empty for others."""
    english = languages_of(text)[0] == "en"
    return tuple(part if english and facts_of(part) != UNKNOWN else "" for part in parts)


def _without_materials(sentence: Sentence) -> tuple[Sentence, dict[int, str]]:
    """The sentence without what its things are made of, and the colours that follow from that."""
    made = {link.first: link.second for link in sentence.links if link.relation == "made"}
    kept = [i for i in range(len(sentence.phrases)) if i not in made.values()]
    links = _kept_links(sentence.links, kept)
    colours = {
        kept.index(thing): colour
        for thing, of in made.items()
        if thing in kept and (colour := material_colour(sentence.phrases[of])) is not None
    }
    return Sentence(tuple(sentence.phrases[i] for i in kept), links, sentence.setting), colours


def _kept_links(links: Sequence[Link], kept: Sequence[int]) -> tuple[Link, ...]:
    """The links between things of which only some are kept, by their new numbers."""
    new = {old: number for number, old in enumerate(kept)}
    return tuple(Link(new[link.first], link.relation, new[link.second])
                 for link in links if link.first in new and link.second in new)  # fmt: skip


def _listed(phrase: str, cut: Sequence[str]) -> tuple[str, ...]:
    """The phrases of a plain list of things; empty for no list."""
    pieces = pieces_of(phrase, cut)
    said = tuple(
        piece.text for piece in pieces
        if piece.kind == "phrase" and not background_alone(piece.text)[0]
    )  # fmt: skip
    if len(said) < 2 or any(piece.kind == "relation" for piece in pieces):
        return ()
    return said


def _as_said(
    things: Sequence[PlannedThing],
    tint: Sequence[str],
    cut: Sequence[str],
    languages: Sequence[str],
) -> tuple[tuple[PlannedThing, ...], list[str]]:
    """Things with the tints that their phrases say, and the words for tints.

    Where the planner reads another; in Arabic, which it was not taught, also where it reads none.
    """
    found, words = [], [*tint]
    taught = "ar" not in languages
    for thing in things:
        said = colour_said(cut[thing.piece], languages)
        unsaid = taught and thing.tint is None and (said is None or said[0] != WHITE)
        if said is None or said[0] == thing.tint or unsaid:
            found.append(thing)
            continue
        found.append(replace(thing, tint=said[0]))
        words.append(said[1])
    return tuple(found), words


def _of_wholes(
    things: Sequence[PlannedThing],
    tint: Sequence[str],
    cut: Sequence[str],
    languages: Sequence[str],
) -> tuple[tuple[PlannedThing, ...], list[str]]:
    """Things without the tints of their small parts, and the words for tints that remain.

    *An orange cat with green eyes* is orange.
    """
    found, words = [], [*tint]
    for thing in things:
        phrase = cut[thing.piece]
        said = colours_said(phrase, languages)
        parts = [word for _, word in said if colours_a_part(word, phrase)]
        if not parts:
            found.append(thing)
            continue
        own = next((each for each in said if each[1] not in parts), None)
        found.append(replace(thing, tint=None if own is None else own[0]))
        words = [each for each in words if each not in parts]
        words += [] if own is None else [own[1]]
    return tuple(found), words


def _without_own_parts(
    things: tuple[PlannedThing, ...], cut: Sequence[str], text: str
) -> tuple[PlannedThing, ...]:
    """Things without those that are parts of others; the first has the colour of its large ones.

    A butterfly with red wings is red; a girl with pink hair is not pink.
    """
    parts = [each for each in things if is_own_part(cut[each.piece], text)]
    kept = [each for each in things if each not in parts]
    if not kept:
        return things
    for part in parts:
        large = part.tint is not None and not colours_a_part(part.tint, cut[part.piece])
        if large and kept[0].tint is None:
            kept[0] = replace(kept[0], tint=part.tint)
    return tuple(kept)


def _completed(
    plan: ScenePlan, said: tuple[str, ...], tinted: tuple[str, ...], phrase: str, cut: Sequence[str]
) -> tuple[ScenePlan, tuple[str, ...], tuple[str, ...]]:
    """The plan of a list with those of its things that the planner left out."""
    pieces = pieces_of(phrase, cut)
    missing = [
        i
        for i, piece in enumerate(pieces)
        if piece.kind == "phrase"
        and i not in (*plan.behind, *plan.drop, *plan.tint)
        and not any(cut[thing.piece] in piece.text for thing in plan.things)
    ]
    if not missing or any(piece.kind == "relation" for piece in pieces):
        return plan, said, tinted
    things = (*plan.things, *map(PlannedThing, missing))
    more = tuple(pieces[i].text for i in missing)
    return replace(plan, things=things), (*said, *more), (*tinted, *more)


def _expanded(
    links: Sequence[Link], numbers: Sequence[range], things: Sequence[PlannedThing]
) -> tuple[Link, ...]:
    """Links between phrases as links between their things.

    All things of a phrase stand so, to the first of the other; what is worn, held or filled in is
    all of the other, of who stands last: *a dragon and a knight with a sword*. Several hats are
    worn by all.
    """
    found = []
    for link in links:
        owned = link.relation in ("wearing", "holding", "eating", "full", "with", "doing")
        who, what = numbers[link.first], numbers[link.second]
        if owned and not (link.relation == "wearing" and what and things[what[0]].count > 1):
            who = who[-1:]
        found += [Link(one, link.relation, other)
                  for one in who for other in (what if owned else what[:1])]  # fmt: skip
    return tuple(found)


def _hats(scene: PlannedScene) -> dict[int, str]:
    """Colours of the hats that things wear as they are drawn, by their numbers.

    A wizard with a purple hat wears his own, in purple.
    """
    found: dict[int, str] = {}
    for link in scene.links:
        colour = scene.plan.things[link.second].tint
        hat = facts_of(scene.names[link.second]).role == "hat"
        who = scene.names[link.first], scene.parts[link.first]
        worn = link.relation in ("wearing", "with", "in") and any(map(wears_a_hat, who))
        if colour is not None and hat and worn:
            found[link.first] = colour
    return found


def _counted(
    thing: PlannedThing, phrase: str, drop: Sequence[str], most: int
) -> tuple[PlannedThing, Sequence[str]]:
    """A thing with its number put right, and the words that are not to be drawn.

    The planner takes every number for a count, and knows none beyond nine.
    """
    some = several(phrase)
    if some is not None:
        if some[0] > most:
            warn(_TOO_MANY.format(quoted(phrase), most))
        return replace(thing, count=min(some[0], most)), [*drop, some[1]]
    numbers = quantities(phrase)
    counts = [each for each in numbers if each.counts or (each.counts is None and thing.count > 1)]
    if numbers and not counts:  # "3d render of a donut": its words are drawn, and once
        named = {each.words for each in numbers}
        kept = [word for word in drop if word.lower() not in named and not is_label(word)]
        return replace(thing, count=1), kept
    begun = (each for each in counts
             if each.counts and each.value > 1 and _begins(phrase, each.words))  # fmt: skip
    first = next(begun, None)
    if thing.count == 1 and first is not None:  # "two foxes dancing", which the planner misread
        thing = replace(thing, count=min(first.value, most))
        drop = [*drop, first.words]
    if max((each.value for each in counts), default=0) <= most:
        return thing, drop
    warn(_TOO_MANY.format(quoted(phrase), most))
    return replace(thing, count=most), [*drop, *(each.words for each in counts)]


def _without_flowers(tint: Sequence[str], phrases: Sequence[str]) -> list[str]:
    """Words for tints without those that name what has the tint: *a red rose*, *una rosa blu*."""
    plain = [word for word in tint if word.casefold() not in _FLOWERS]
    return [
        word for word in tint
        if word in plain or not any(word in phrase and other in phrase
                                    for phrase in phrases for other in plain)
    ]  # fmt: skip


def _begins(phrase: str, words: str) -> bool:
    """Whether a phrase begins with some words, but for an article."""
    end = "" if SPACELESS.search(words) else r"(?!\w)"
    return re.match(rf"(?:the\s+)?{re.escape(words)}{end}", phrase, re.IGNORECASE) is not None


def _otherwise(
    plan: ScenePlan, kinds: Sequence[str], parts: Sequence[str], cut: Sequence[str]
) -> bool:
    """Whether a thing alone on white is drawn otherwise than from the whole prompt.

    What else the prompt says of it (*with tears of joy*) must not get lost, and what it says of
    the background must not be drawn.
    """
    for thing, said in zip(plan.things, parts, strict=True):
        others = {n for n, kind in enumerate(kinds) if kind == "phrase" and n != thing.piece}
        alone = said != cut[0] if thing.piece == 0 else bool(others) and others <= {*plan.behind}
        if thing.tint is not None or alone:
            return True
    return False


def _is_of_name(colour: str, text: str) -> bool:
    """Whether the word for a colour is part of a name in a text: *a cup of green tea*."""
    behind = re.search(rf"(?<!\w){re.escape(colour)} \w+", text)
    return behind is not None and best_name(behind[0]) is not None


def _is_compound(word: str) -> bool:
    """Whether a word only begins with an English colour: *blackboard*, not *reddish*."""
    text = word.casefold()
    rest = next((text.removeprefix(colour) for colour in COLOURS if text.startswith(colour)), "")
    return len(rest) > 2 and rest.isalpha() and not rest.endswith(("ish", "coloured", "colored"))


def without(phrase: str, words: Sequence[str]) -> str:
    """A phrase without some of its words, and without what they leave behind (的, の, de, spaces).

    The phrase as it was, where nothing would be left.
    """
    rest = phrase
    for word in words:
        whole = re.escape(word) + "[的の]?"
        if not SPACELESS.search(word):
            whole = rf"(?<!\w){re.escape(word)}(?!\w)"
        rest = re.sub(whole, "", rest, count=1)
    rest = re.sub(r"\s+", " ", rest).strip(" ,，、的の")
    if rest != phrase:
        rest = rest.removesuffix(" de")  # gato de color azul
        rest = re.sub(r"^an (?=[^aeiou])", "a ", rest)  # an orange cat
    return rest or phrase
