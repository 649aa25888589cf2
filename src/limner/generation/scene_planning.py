"""Scenes are planned: the things that a prompt asks for, how they stand, and what is behind them.

A model that draws one thing well need not learn every combination of things. The planner
(:mod:`limner.models.planner`) finds the things in the prompt's own pieces, sentences are planned
phrase by phrase, and each thing is drawn as a prompt of its own
(:mod:`limner.generation.scene_drawing`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import NamedTuple

from limner.errors import UsageError
from limner.generation.company import Company
from limner.generation.phrase_planning import PlannedPhrase, planned_phrase
from limner.generation.planned_scene import PlannedScene, kept_links
from limner.generation.prompts import quoted, warn
from limner.modelfile import load_model
from limner.models.concepts import ConceptIndex
from limner.models.planner import PlannedThing, Planner, ScenePlan
from limner.scenes.backgrounds import background_rgb
from limner.scenes.colours import COLOURS, WHITE, material_colour
from limner.scenes.landscape import props_of
from limner.scenes.places import INDOORS, read_place
from limner.scenes.plain import background_alone
from limner.scenes.sentence import Link, Sentence, read
from limner.scenes.sizes import ALIVE, UNKNOWN, facts_of, is_plural, singular
from limner.scenes.surroundings import has_own_sky
from limner.shipped import SHIPPED_PLANNER, find_model
from limner.tensorfile import file_hash
from limner.text.base import TextEncoder, TextFeatures
from limner.text.lexicon import languages_of
from limner.text.names import bare
from limner.text.rewording import coloured_apart
from limner.text.segment import pieces_of
from limner.text.validate import canonical_all
from limner.text.vocabulary import best_name, in_english, singular_of

_RULES = 19
"""Raised whenever a scene may be read or arranged otherwise: older pictures say why they differ."""
_SOME = 3
"""How many are drawn of *birds*."""
_NUMBER = re.compile(r"^\d+ (?=\S)")
_EMPTY = re.compile(r"\w (?:room|wall|kitchen)$", re.IGNORECASE)
"""Rooms that are drawn for themselves: *an empty room*."""
WHOLE = 0.9
"""A sentence is drawn in one piece from this similarity to a text that the model learned from."""
_SAME = 0.97
"""The same for one that says a place or a time, which is painted else."""
_DOER = re.compile(r"(?:.* )?(\w+) \w+ing \w+", re.IGNORECASE)


class ScenePlanner:
    """Plans prompts that ask for more than one thing on white.

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
                f"the planner of scenes needs the text encoder {info.encoder!r}, and this model "
                f"has {encoder.spec!r}; leave --scenes out"
            )
        self.planner, self.encoder = model.eval(), encoder
        self.hash = hashlib.sha256(f"{file_hash(file)} {_RULES}".encode()).hexdigest()[:16]

    def understand(
        self,
        words: Sequence[str],
        text: TextFeatures,
        concepts: ConceptIndex | None = None,
        languages: Sequence[tuple[str, ...]] | None = None,
    ) -> list[PlannedScene | None]:
        """The scene that each prompt asks for; None where the prompt is drawn as it stands.

        That is where it asks for one thing on white and has no word too many.

        Args:
            words: the prompts.
            text: their features.
            concepts: what the model that draws knows; a sentence that it knows is not cut.
            languages: that each prompt may be in; None to tell by its words.
        """
        known = [0.0] * len(words) if concepts is None else concepts.familiarity(words, text.pooled)
        said, plans = canonical_all(words), self.planner.plan(text)
        spoken = map(languages_of, said) if languages is None else languages
        prompts = map(_Prompt, said, spoken, plans, text.pieces, known, repeat(concepts))
        return [self._understood(prompt) for prompt in prompts]

    def of_single_things(self, scene: PlannedScene) -> PlannedScene:
        """A scene in whose words no thing is said in the plural.

        So *three cats* is three drawings of *cat* for a model that has no index of names: of the
        plural it may draw several.
        """
        if not any(map(is_plural, scene.parts)):
            return scene
        parts, coloured = (
            tuple(singular(words) or words for words in some)
            for some in (scene.parts, scene.coloured)
        )
        return replace(scene, parts=parts, coloured=coloured, features=self.encoder.encode(parts))

    def _understood(self, prompt: _Prompt) -> PlannedScene | None:
        """The scene of a prompt that is cut as the first of :data:`_STEPS` says that knows how."""
        ways = (step(prompt) for step in _STEPS)
        sentence = next((way for way in ways if way is not None), _ONE_PIECE)
        if sentence == _ONE_PIECE:
            return self._scene(prompt)
        return self._sentence(sentence, prompt.plan, prompt.languages)

    def _scene(self, prompt: _Prompt) -> PlannedScene | None:
        """The scene of a prompt that is planned as a whole."""
        text, languages, plan, cut, familiarity, concepts = prompt
        alone, colour = background_alone(text)
        if alone:
            rgb = None if colour is None else background_rgb(colour)
            return PlannedScene(ScenePlan((), background=rgb), (), self.encoder.encode(()), ())
        planned = self._phrase(plan, text, cut, languages)
        listed = _listed(text, cut)
        if familiarity >= WHOLE and " ".join(listed) in text:
            listed = ()  # a man riding a bicycle, which the model learned as a whole
        if listed and len(planned.plan.things) != len(listed):
            counted = len(planned.plan.things) < 2 and all(bare(said) != said for said in listed)
            whole = concepts is not None and is_name(text, languages, concepts)
            if not whole and (counted or _are_things(listed, languages, concepts)):
                planned = self._list(listed, languages)  # a doctor and a nurse, 月亮和星星
        kinds = [piece.kind for piece in pieces_of(text, cut)]
        if concepts is not None:
            planned = _several_alone(planned, text, languages[0], concepts)
        if planned.plan.single and not _otherwise(planned, kinds, cut):
            return None
        plan, parts, coloured = planned
        features, names = self.encoder.encode(parts), _names(parts, languages)
        return PlannedScene(plan, parts, features, coloured, names=names)

    def _phrase(
        self, plan: ScenePlan, text: str, cut: tuple[str, ...], languages: Sequence[str]
    ) -> PlannedPhrase:
        return planned_phrase(plan, text, cut, self.planner.config.max_count, languages)

    def _list(self, phrases: Sequence[str], languages: Sequence[str]) -> PlannedPhrase:
        """The things of a list, which are planned one by one."""
        features = self.encoder.encode(phrases)
        found: list[tuple[PlannedThing, str, str]] = []
        for phrase, plan, cut in zip(
            phrases, self.planner.plan(features), features.pieces, strict=True
        ):
            one = self._phrase(plan, canonical_all([phrase])[0], cut, languages)
            if len(one.plan.things) != 1:
                one = PlannedPhrase.of_one_thing(phrase)
            found.append((one.plan.things[0], one.parts[0], one.coloured[0]))
        things, parts, coloured = zip(*found, strict=True)
        return PlannedPhrase(ScenePlan(things), parts, coloured)

    def _phrase_of_sentence(
        self, phrase: str, plan: ScenePlan, cut: tuple[str, ...], languages: Sequence[str]
    ) -> PlannedPhrase:
        """A phrase of a sentence, with all things that it lists and at least one."""
        planned = self._phrase(plan, canonical_all([phrase])[0], cut, languages)
        if len(planned.plan.things) < 2:
            listed = _listed(phrase, cut)
            planned = self._list(listed, languages) if listed else planned
        else:
            planned = _completed(planned, phrase, cut)
        return planned if planned.plan.things else PlannedPhrase.of_one_thing(phrase)

    def _sentence(
        self, sentence: Sentence, whole: ScenePlan, languages: Sequence[str]
    ) -> PlannedScene:
        """A sentence whose phrases are planned one by one."""
        if sentence.cut:
            first = quoted(sentence.phrases[-1])
            warn(f"the things that the text goes on about after {first} are left out")
        sentence, materials = _without_materials(sentence)
        heaps = {link.second for link in sentence.links if link.relation == "full"}
        sentence = replace(sentence, phrases=tuple(map(coloured_apart, sentence.phrases)))
        phrases, features = sentence.phrases, self.encoder.encode(sentence.phrases)
        things: list[PlannedThing] = []
        parts: list[str] = []
        coloured: list[str] = []
        numbers: list[range] = []  # of the things of each phrase
        plans = self.planner.plan(features) if phrases else []
        for number, (phrase, plan, cut) in enumerate(
            zip(phrases, plans, features.pieces, strict=True)
        ):
            planned = self._phrase_of_sentence(phrase, plan, cut, languages)
            if number in materials:
                planned = _made_of(planned, materials[number])
            found = planned.plan.things
            if number not in heaps:
                named = zip(found, planned.parts, strict=True)
                found = tuple(_as_many(thing, words, languages[0]) for thing, words in named)
            numbers.append(range(len(things), len(things) + len(found)))
            things += found
            parts += planned.parts
            coloured += planned.coloured
        links = _expanded(sentence.links, numbers, things)
        setting, english = sentence.setting, tuple(_english(parts, languages))
        phrases_of = tuple(map(tuple, numbers))
        company = Company(tuple(things), tuple(parts), tuple(coloured), english, links, phrases_of)
        if setting is not None or company.eats:
            company = company.with_members()
        found, words, dyed, english, links, phrases_of = company.at_table()
        if setting is not None and setting.place is None and _any_afloat(english):
            setting = replace(setting, place="sea")  # a ship in a storm
        if setting is not None and any(map(has_own_sky, english)):
            setting = replace(setting, night=True, sunset=False, sunny=False)
        props = () if setting is None else props_of(setting, english)
        return PlannedScene(
            ScenePlan(found, background=whole.background if phrases else None),
            words, self.encoder.encode(words), dyed, links=links, setting=setting,
            names=_names(words, languages), props=props,
            prop_features=self.encoder.encode([prop.name for prop in props]) if props else None,
            aloft=frozenset(thing for number in sentence.aloft for thing in phrases_of[number]),
        )  # fmt: skip


def _completed(planned: PlannedPhrase, phrase: str, cut: Sequence[str]) -> PlannedPhrase:
    """A list with those of its things that the planner left out."""
    plan, pieces = planned.plan, pieces_of(phrase, cut)
    missing = [
        i
        for i, piece in enumerate(pieces)
        if piece.kind == "phrase"
        and i not in (*plan.behind, *plan.drop, *plan.tint)
        and not any(cut[thing.piece] in piece.text for thing in plan.things)
    ]
    if not missing or any(piece.kind == "relation" for piece in pieces):
        return planned
    things = (*plan.things, *map(PlannedThing, missing))
    more = tuple(pieces[i].text for i in missing)
    return PlannedPhrase(
        replace(plan, things=things), (*planned.parts, *more), (*planned.coloured, *more)
    )


def _made_of(planned: PlannedPhrase, tint: str) -> PlannedPhrase:
    """Things in the colour of what they are made of, where they are said to have no other."""
    things = tuple(replace(thing, tint=thing.tint or tint) for thing in planned.plan.things)
    return planned._replace(
        plan=replace(planned.plan, things=things),
        coloured=tuple(f"{tint} {words}" for words in planned.coloured),
    )


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


def _are_things(
    phrases: Sequence[str], languages: Sequence[str], concepts: ConceptIndex | None
) -> bool:
    """Whether each phrase of a list is known by itself, if of one word also as a sign."""
    words = all(" " not in bare(phrase) for phrase in phrases)
    return concepts is not None and all(
        bare(phrase).casefold() not in (*COLOURS, WHITE)
        and not phrase.startswith("its ")
        and (
            in_english(_NUMBER.sub("", phrase), languages) is not None
            or is_name(phrase, languages, concepts)
            or (words and concepts.named(phrase) is not None)
            or facts_of(phrase) != UNKNOWN
            or facts_of(phrase.rpartition(" ")[2]) != UNKNOWN  # a plane ticket
        )
        for phrase in phrases
    )


def is_name(phrase: str, languages: Sequence[str], concepts: ConceptIndex) -> bool:
    """Whether a phrase is a name of a thing that a model has more than a sign of."""
    for name in dict.fromkeys((in_english(phrase, languages) or phrase, phrase)):
        known = concepts.named(name)
        if best_name(name) is not None or (
            known is not None and not known.instance and concepts.colours_of(known.concept) != 0
        ):
            return True
    return False


class _Prompt(NamedTuple):
    """A prompt that is understood.

    Attributes:
        text: canonical.
        languages: that it may be in.
        plan: of the whole.
        cut: its pieces.
        familiarity: of the model with the whole.
        concepts: what the model knows; None where that is not known.
    """

    text: str
    languages: tuple[str, ...]
    plan: ScenePlan
    cut: tuple[str, ...]
    familiarity: float
    concepts: ConceptIndex | None

    @property
    def sentence(self) -> Sentence:
        """The prompt as a sentence."""
        return read(self.text, self.languages)


_ONE_PIECE = Sentence(())
"""Stands for a prompt that is not cut."""


def _as_place(prompt: _Prompt) -> Sentence | None:
    """A place to be painted, of which the model has no drawing in colours: *a forest*."""
    sentence, text = prompt.sentence, prompt.text
    if prompt.concepts is None or (sentence.setting is not None and sentence.phrases):
        return None  # a mermaid under water
    meant = in_english(text, prompt.languages)
    languages = prompt.languages  # of a sentence that is no English nothing is read as that
    if meant is not None or " " not in text:
        text, languages = meant or text, (*languages, "en")
    found = (read_place(text, language) for language in languages)
    place, known = next(filter(None, found), None), prompt.concepts.named(text)
    indoors = place is not None and place.place in INDOORS and not _EMPTY.search(text)
    if place is None or indoors or best_name(text) is not None:
        return None
    doer = _DOER.fullmatch(text)
    if doer is not None and facts_of(doer[1]).role in ALIVE:
        return None  # an elephant spraying water
    if place.place in INDOORS and known is not None:
        return None
    signs = known is None or prompt.concepts.colours_of(known.concept) == 0
    return Sentence((), (), place) if signs else None


def _as_name(prompt: _Prompt) -> Sentence | None:
    """What the model knows as a whole: *a goldfish in a bowl*."""
    familiar = prompt.familiarity >= WHOLE and (prompt.plan.single or prompt.sentence.plain)
    familiar &= prompt.familiarity >= _SAME or not _says_more(prompt)
    named = prompt.concepts is not None and is_name(
        bare(prompt.text), prompt.languages, prompt.concepts
    )
    return _ONE_PIECE if familiar or named else None


def _says_more(prompt: _Prompt) -> bool:
    """Whether there is more than one thing: *a boat at sunset*, *an elephant at the circus*."""
    sentence, concepts = prompt.sentence, prompt.concepts
    if sentence.setting is not None:
        return True
    apart = bool(sentence.links) and all(link.relation == "beside" for link in sentence.links)
    return concepts is not None and apart and all(
        is_name(bare(phrase), prompt.languages, concepts) for phrase in sentence.phrases
    )  # fmt: skip


def _as_sentence(prompt: _Prompt) -> Sentence | None:
    """Things that do something to each other, or that are somewhere."""
    return None if prompt.sentence.plain else prompt.sentence


def _as_arranged(prompt: _Prompt) -> Sentence | None:
    """Things of which the planner sees but one: *a cow jumping over the moon*."""
    if not prompt.plan.single:
        return None
    arranged = read(prompt.text, prompt.languages, arranged=True)
    return arranged if arranged.links else None


_STEPS: tuple[Callable[[_Prompt], Sentence | None], ...] = (
    _as_place, _as_name, _as_sentence, _as_arranged,
)  # fmt: skip
"""How a prompt is cut: the first that knows says it; a prompt of which none does is one piece."""


def _any_afloat(names: Sequence[str]) -> bool:
    """Whether any of some things is a boat."""
    return any(facts_of(name).role == "boat" for name in names)


def _english(phrases: Sequence[str], languages: Sequence[str]) -> list[str]:
    """What phrases mean in English; as they are where that is not known."""
    return [in_english(said, languages) or said for said in phrases]


def _as_many(thing: PlannedThing, said: str, language: str) -> PlannedThing:
    """Some of a thing that is named in the plural, without a number."""
    name = said if language == "en" else f"{singular_of(said, language) or ''}s"
    return replace(thing, count=_SOME) if thing.count == 1 and is_plural(name) else thing


def _several_alone(
    planned: PlannedPhrase, text: str, language: str, concepts: ConceptIndex
) -> PlannedPhrase:
    """Some of the thing that is all a text names, in the plural: *penguins*.

    One drawing of what is called so in the plural, such as *houses*, shows several.
    """
    known = concepts.named(text)
    if len(planned.plan.things) != 1 or known is None or is_plural(known.caption):
        return planned
    things = (_as_many(planned.plan.things[0], planned.parts[0], language),)
    return planned._replace(plan=replace(planned.plan, things=things))


def _names(parts: Sequence[str], languages: Sequence[str]) -> tuple[str, ...]:
    """The English names among the phrases of a text; empty for others."""
    english = languages[0] == "en"
    return tuple(part if english and facts_of(part) != UNKNOWN else "" for part in parts)


def _without_materials(sentence: Sentence) -> tuple[Sentence, dict[int, str]]:
    """The sentence without what its things are made of, and the colours that follow from that."""
    made = {link.first: link.second for link in sentence.links if link.relation == "made"}
    kept = [i for i in range(len(sentence.phrases)) if i not in made.values()]
    links = kept_links(sentence.links, kept)
    colours = {
        kept.index(thing): colour
        for thing, of in made.items()
        if thing in kept and (colour := material_colour(sentence.phrases[of])) is not None
    }
    aloft = frozenset(new for new, old in enumerate(kept) if old in sentence.aloft)
    phrases = tuple(sentence.phrases[i] for i in kept)
    return replace(sentence, phrases=phrases, links=links, aloft=aloft), colours


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


def _otherwise(planned: PlannedPhrase, kinds: Sequence[str], cut: Sequence[str]) -> bool:
    """Whether a thing alone on white is drawn otherwise than from the whole prompt.

    What else the prompt says of it (*with tears of joy*) must not get lost, and what it says of
    the background must not be drawn.
    """
    for thing, said in zip(planned.plan.things, planned.parts, strict=True):
        others = {n for n, kind in enumerate(kinds) if kind == "phrase" and n != thing.piece}
        behind = bool(others) and others <= {*planned.plan.behind}
        alone = said != cut[0] if thing.piece == 0 else behind
        if thing.tint is not None or alone:
            return True
    return False
