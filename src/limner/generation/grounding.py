"""Grounding: a phrase that a model does not know is drawn from the nearest name that it knows.

A network that is asked for something between the things it was trained on draws their average, a
blur. So a phrase is looked up in the model's :class:`~limner.models.concepts.ConceptIndex`, and
where it is no known name, the nearest known name is drawn instead of it. What was done is part of
the picture's record.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from limner.generation.drawn_from import Grounding
from limner.generation.formal_dress import with_formal_dress
from limner.generation.planned_scene import PlannedScene
from limner.generation.prompts import quoted, warn
from limner.generation.whole_animals import with_whole_animals
from limner.generation.whole_persons import as_heads, with_bodies
from limner.models.concepts import ConceptIndex, KnownConcept
from limner.scenes.colour_words import colour_said, without_colours
from limner.scenes.colours import WHITE
from limner.scenes.holders import drawn_as_holders
from limner.scenes.painted_things import painted_names
from limner.scenes.size_words import without_size, words_for_sizes
from limner.scenes.sizes import facts_of, kind_of_person, person_in
from limner.text.base import TextEncoder, TextFeatures, concatenate
from limner.text.lexicon import LATIN
from limner.text.names import bare, name_key
from limner.text.qualities import without_qualities
from limner.text.spaceless import SPACELESS
from limner.text.spelling import means_person
from limner.text.vocabulary import best_name, content_of, head_of_compound, in_english

KNOWN = 0.8
"""A phrase means a known concept from this similarity to a name of it on."""
FAMILIAR = 0.9
"""A phrase is drawn as it stands from this similarity to any text that the model learned from."""
LEAST = 0.6
"""What is less like any known name than this is left out of a scene of several things."""
NAMED_INSIDE = 0.1
"""By so much a name that stands in the phrase is preferred to others."""


_PLAIN = re.compile(
    rf"^(?:(?:{words_for_sizes('en')}|"
    r"tall|long|short|old|young|new|wooden|plastic|metal|"
    r"silver|rusty|shiny|fluffy|furry|colou?rful|(?:\w+[- ])?colou?red|retro|vintage|modern|cute|"
    r"pretty|beautiful|lovely|gro(?:ß|ss)e[mnrs]?"
    r"|kleine[mnrs]?|alte[mnrs]?|grande?s?|petite?s?|gran|vieux|vieille) )+(?=\S)",
    re.IGNORECASE,
)
"""Words before a name that make no other thing of it."""
_STATES = re.compile(
    r"^(?:(?:an? |the |my |some )?(?:(?:half )?"
    r"(?:empty|full|open|opened|closed|shut|broken|cracked|"
    r"chipped|shattered|burnt|burned|melted|melting|rotten|mou?ldy|stale|dirty|clean|muddy|dusty|"
    r"wet|dry|lit|unlit|torn|ripped|folded|crumpled|wilted|wilting|withered|dead|dying|hungry|"
    r"thirsty|injured|hurt|wounded|abandoned|flat|bent|peeled|sliced|chopped|mashed|boiled|"
    r"locked|unlocked|used|unused|ripe|unripe|raw|spilled|spilt|deflated|shy|brave|lazy|proud|"
    r"excited|curious|bored|calm|relaxed|elegant|fancy|messy|tidy|missing|lost)) )+(?=\S)",
    re.IGNORECASE,
)
"""Words for a state of a thing, which it is drawn without where no drawing shows it."""
_LIKE = KNOWN - 0.01
"""The greatest similarity of what is drawn as another of its kind."""
_PERSONS = 12
"""Concepts among which a person is looked for."""
_MISSPELT = 0.25
"""From this similarity on a word with its spelling put right means the same: *lake* no *like*."""
_MISSPELT_ELSEWHERE = 0.5
"""The same for words of other languages than the captions', of which more are alike."""
_DONE = re.compile(r"\w{2,}ing|\w{3,}ed|cut|made|seen|shown|worn|torn|full", re.IGNORECASE)
"""What may be done with the thing before: a flag *waving*, lava *pouring* down, a road *ruined*."""
_NOUN_FIRST = frozenset({"es", "fr", "it", "pt", "ro", "vi", "id"})
"""Languages whose nouns stand before what describes them."""


class Grounder:
    """Finds what phrases of a text are drawn from.

    A phrase that is a name, in any language, is drawn from the caption of its concept; a name in
    the text's own language goes before the same letters in English, and of several names for one
    thing that which is drawn best (:func:`limner.text.vocabulary.best_name`). Else the nearest name
    is looked for: of the phrase, of the noun that it is about, of the phrase without what stands
    around a name, of names that stand in it, and of the phrase with its spelling put right. A
    person is never drawn as something else.

    Args:
        index: of the model that draws.
        encoder: of that model.
        languages: that the text may be in (:func:`limner.text.lexicon.languages_of`).
        style: that is asked for, by its number; None for any.
    """

    def __init__(
        self,
        index: ConceptIndex,
        encoder: TextEncoder,
        languages: Sequence[str] = (),
        style: int | None = None,
    ) -> None:
        self.index, self.encoder, self.languages, self.style = index, encoder, languages, style

    def ground(
        self, phrases: Sequence[str], features: TextFeatures
    ) -> tuple[TextFeatures, list[Grounding]]:
        """The features that B phrases are drawn from, and what each is drawn from.

        Args:
            phrases: as they are in the prompts.
            features: of the phrases.
        """
        found = [self._ground(*each) for each in zip(phrases, features.pooled, strict=True)]
        others = [i for i, each in enumerate(found) if each.replaced]
        if not others:
            return features, found
        replaced = self.encoder.encode([found[i].drawn for i in others])
        both = concatenate([features, replaced])
        rows = torch.arange(len(features))
        rows[others] = torch.arange(len(features), len(both))
        return both[rows], found

    def knows(self, features: TextFeatures) -> list[bool]:
        """Whether each of B texts is much like a known name."""
        return [each.similarity >= KNOWN for (each,) in self.index.nearest(features.pooled)]

    def ground_scene(self, scene: PlannedScene) -> tuple[PlannedScene, list[Grounding]]:
        """The same scene of known things; see :meth:`ground`.

        Its setting shows only the props that are known, and of several things those that are like
        any known thing.

        Warns:
            PromptWarning: a thing is left out.
        """
        if scene.prop_features is not None:
            rows = [i for i, known in enumerate(self.knows(scene.prop_features)) if known]
            props = tuple(scene.props[i] for i in rows)
            scene = replace(
                scene, props=props, prop_features=scene.prop_features[rows] if rows else None
            )
        if not scene.parts:
            return scene, []
        scene, poses = as_heads(scene, self.encoder)
        scene = self._one_each(self._holders(self._white_by_name(scene)))
        features, found = self.ground(scene.parts, scene.features)
        scene = _with_said_tints(scene, found, self.languages)
        coloured = tuple(
            _in_colour(self.index, thing.tint, each, said)
            for thing, each, said in zip(scene.plan.things, found, scene.coloured, strict=True)
        )
        parts = tuple(each.drawn for each in found)
        names = tuple(map(_name_of, scene.names, parts))
        scene = replace(scene, parts=parts, features=features, coloured=coloured, names=names)
        scene, found = with_formal_dress(scene, found, self.index, self.encoder)
        kept = [i for i, each in enumerate(found) if each.similarity >= LEAST]
        kept = kept or [max(range(len(found)), key=lambda i: found[i].similarity)]
        if len(kept) == len(found):
            return self._with_bodies(scene, found, poses), found
        for i in {*range(len(found))} - {*kept}:
            warn(f"{quoted(found[i].phrase)} is like none of the {len(self.index):,} things this "
                 "model knows; it is left out")  # fmt: skip
        poses = {new: poses[old] for new, old in enumerate(kept) if old in poses}
        scene, found = scene.of(kept), [found[i] for i in kept]
        return self._with_bodies(scene, found, poses), found

    def _with_bodies(
        self, scene: PlannedScene, found: Sequence[Grounding], poses: dict[int, str]
    ) -> PlannedScene:
        scene = with_whole_animals(scene, found)
        return with_bodies(
            scene, found, poses, concepts=self.index, encoder=self.encoder, style=self.style
        )

    def _white_by_name(self, scene: PlannedScene) -> PlannedScene:
        """The scene with things that are white by name as they are: *white heart*, *white cane*."""
        names, things = dict[int, str](), list(scene.plan.things)
        for number, thing in enumerate(things):
            known = self.index.named(scene.coloured[number]) if thing.tint == WHITE else None
            if known is not None and not known.instance:
                names[number] = scene.coloured[number]
                things[number] = replace(thing, tint=None)
        if not names:
            return scene
        plan = replace(scene.plan, things=tuple(things))
        return replace(scene.renamed(names, self.encoder), plan=plan)

    def _holders(self, scene: PlannedScene) -> PlannedScene:
        """The scene with what holds its things as such: pots of plants, and boats without sails."""
        english = [
            bare(in_english(part, self.languages) or part).casefold() for part in scene.parts
        ]
        names = drawn_as_holders(english, scene.links, setting=scene.setting is not None)
        names = {i: name for i, name in names.items() if self.index.named(name) is not None}
        return scene.renamed(names, self.encoder) if names else scene

    def _one_each(self, scene: PlannedScene) -> PlannedScene:
        """The scene with the name of one thing where several of them are another: *3 books*."""
        parts = list(scene.parts)
        for number, thing in enumerate(scene.plan.things):
            several, one = self._known(parts[number]), self._known(bare(parts[number]))
            if thing.count > 1 and several and one and several.concept != one.concept:
                parts[number] = bare(parts[number])
        if parts == [*scene.parts]:
            return scene
        return replace(scene, parts=tuple(parts), features=self.encoder.encode(parts))

    def _ground(self, phrase: str, vector: Tensor) -> Grounding:
        """What one phrase with its sentence vector is drawn from."""
        index = self.index
        meaning = self._meaning(phrase)
        near = (self._named(meaning) if meaning else None) or self._named(phrase)
        if near is None and meaning is None and best_name(phrase) is None:
            meaning = in_english(phrase)
            near = None if meaning is None else self._named(meaning)
        if near is None and (content := content_of(phrase, self.languages)) is not None:
            near = self._known(content)
            near = near if near is not None and index.colours_of(near.concept) != 0 else None
        if near is None and meaning is None:
            head = head_of_compound(phrase, self.languages)
            near = None if head is None else self._known(head)
        best = self._drawn_best([meaning or phrase, near.caption if near else None], near)
        if best is not None:
            return _drawn_from(phrase, best, known=best.similarity >= KNOWN)
        said = meaning or phrase
        if near is None:
            vector = vector if said == phrase else self.encoder.encode([said]).pooled[0]
            (near,) = index.nearest(vector[None])[0]
            if index.keyword_similarity(vector[None])[0] >= max(FAMILIAR, near.similarity):
                return _drawn_from(phrase, replace(near, caption=said), known=True)
            if near.similarity < KNOWN and (right := index.speller.corrected(said)) != said:
                found = self._ground(right, self.encoder.encode([right]).pooled[0])
                if found.known:
                    return found.model_copy(update={"phrase": phrase})
            near = self._rather(said, vector, near)
            best = self._drawn_best([near.caption], near)
            near = replace(best, similarity=near.similarity) if best else near
        near = self._person(said, near)
        return _drawn_from(phrase, near, known=near.similarity >= KNOWN and not near.instance)

    def _meaning(self, phrase: str) -> str | None:
        """The English name of what a phrase says, if need be without its size, looks and colour."""
        if not self.languages:
            return None
        found = in_english(phrase, self.languages)
        if found is None and self.index.named(phrase) is None:
            plain = without_qualities(without_size(phrase, self.languages), self.languages)
            for words in (plain, without_colours(plain, self.languages)):
                if found is None and words not in ("", phrase):
                    found = in_english(words, self.languages)
        return found

    def _named(self, phrase: str) -> KnownConcept | None:
        """The concept that is called so; *tree* for *big tree*, although that is a kind of wood."""
        named = [self.index.named(text) for text in (phrase, _PLAIN.sub("", bare(phrase)))]
        found = [each for each in named if each is not None and not self._vague(each)]
        return min(found, key=lambda each: (each.instance, self._is_sign(each)), default=None)

    def _is_sign(self, found: KnownConcept) -> bool:
        """Whether a thing is known in black ink alone."""
        return self.index.colours_of(found.concept) == 0

    def _is_painted(self, found: KnownConcept) -> bool:
        """Whether a thing is painted where it has colours, and needs no other to stand for it."""
        return found.name in painted_names() and not found.instance and self._is_sign(found)

    def _vague(self, found: KnownConcept) -> bool:
        """Whether a kind of thing has but a sign: *medium* for a comic book."""
        return found.instance and self._is_sign(found)

    def _drawn_best(
        self, names: Sequence[str | None], near: KnownConcept | None
    ) -> KnownConcept | None:
        """The concept that a thing is drawn best from, by its names; None for the one found.

        That is so where it has coloured drawings, or more glyphs than what was found, and the style
        that is asked for. A coloured thing in one style alone may be somebody's own, and is not
        replaced.
        """
        index, style = self.index, self.style
        for name in filter(None, names):
            best = best_name(name) or best_name(_PLAIN.sub("", bare(name)))
            found = None if best is None else index.named(best.name)
            if best is None or found is None or found.instance:
                continue
            if near is not None:
                if self._is_painted(near):
                    continue
                colours, known_in = index.colours_of(near.concept), index.styles_of([near.caption])
                own = colours > 0 and not near.instance
                if colours < 0 or (own and (len(known_in) == 1 or not best.same)):
                    continue
                if style is not None and index.lacks(found.caption, style):
                    continue
            if (
                near is None
                or index.colours_of(found.concept) > 0
                or (best.same and len(index.styles_of([found.caption])) > len(known_in))
            ):
                return replace(found, similarity=1.0 if best.same else _LIKE)
        return None

    def _known(self, name: str) -> KnownConcept | None:
        """The concept of a name that stands in a phrase."""
        meaning = in_english(name, self.languages) if self.languages else None
        named = self._named(meaning or name)
        return self._drawn_best([meaning or name, named.caption if named else None], named) or named

    def _rather(self, phrase: str, vector: Tensor, near: KnownConcept) -> KnownConcept:
        """What a phrase is drawn from rather than from the concept nearest to it."""
        index = self.index
        plain = None if self._shows(near) else self._without_state(phrase)
        if plain is not None:
            shown = {*name_key(phrase).split()} <= {*near.name.split()}  # a *wine glass empty*
            return near if shown else plain
        if near.similarity < KNOWN:
            meant, alike = self._respelled(phrase, vector)
            trusted = alike or near.similarity < LEAST  # whose vector says nothing
            about = self._about(phrase, vector, near) or index.named(phrase)
            if meant is not None and trusted and meant.similarity == 1:
                return meant  # a name, but for its spelling
            others = [about] if about else [near, *self._otherwise(phrase, vector)]
            others += [meant] if meant is not None and alike and not about else []
            return max(others, key=lambda each: each.similarity)
        if index.colours_of(near.concept) == 0:  # a plane flying, of which there is a glyph
            about = self._about(phrase, vector, near)
            return about if about and index.colours_of(about.concept) > 0 else near
        return near

    def _shows(self, found: KnownConcept) -> bool:
        """Whether a concept is surely meant, and drawn in colours."""
        return found.similarity >= KNOWN and not self._is_sign(found)

    def _without_state(self, phrase: str) -> KnownConcept | None:
        """What a phrase names, if it says its state (*an empty glass*); None for all others."""
        plain = _STATES.sub("", phrase)
        named = plain == phrase or self.index.named(phrase) is not None
        found = None if named else self._known(plain)
        return None if found is None else replace(found, similarity=_LIKE)

    def _about(self, phrase: str, vector: Tensor, near: KnownConcept) -> KnownConcept | None:
        """The concept of the noun that a phrase is about: a friendly *car*, un *chat* assis.

        None where there is none, and where the nearest concept says it, too, and more.
        """
        index, said = self.index, name_key(phrase).split()
        for span in _heads(phrase, self.languages):
            found = self._known(span)
            if found is None:
                continue
            if found.instance and near.similarity >= LEAST and name_key(near.name) in said:
                return None  # a window *sill*, which is no kind of rock
            says_more = {name_key(span), found.name} & {*near.name.split()}
            coloured = index.colours_of(near.concept) or not index.colours_of(found.concept)
            if near.similarity >= LEAST and says_more and coloured:
                return None
            (like,) = index.similarity(vector, self.encoder.encode([span]).pooled)
            return replace(found, similarity=min(max(like, LEAST), _LIKE))
        return None

    def _person(self, phrase: str, near: KnownConcept) -> KnownConcept:
        """The nearest concept to a phrase: for a person, the nearest known person."""
        index = self.index
        who = person_in(phrase)
        if who is None and near.similarity < KNOWN and not in_english(phrase, self.languages):
            word = bare(phrase).rpartition(" ")[2]
            person = "en" in self.languages and means_person(word) and index.named(word) is None
            who = word if person else None
        if who is None or (near.similarity == 1 and name_key(bare(phrase)) != who):
            return near  # a king cobra is no king
        if person_in(near.caption) and (near.similarity >= KNOWN or who in near.caption):
            return near
        kind = kind_of_person(who)
        some = index.nearest(self.encoder.encode([who]).pooled, _PERSONS)[0]
        some = [
            each for each in some if each.similarity >= LEAST and index.colours_of(each.concept)
        ]
        named = self._named(who)
        likely = [self._drawn_best([who], named), named,
                  None if kind == "person" else index.named(kind),
                  *some, index.named("person")]  # fmt: skip
        found = next((each for each in likely if each and person_in(each.caption)), near)
        if found == near or found in likely[:2]:
            return found
        return replace(found, similarity=max(LEAST, min(found.similarity, near.similarity, _LIKE)))

    def _otherwise(self, phrase: str, vector: Tensor) -> Iterator[KnownConcept]:
        """Concepts that are near to the phrase in other words."""
        index, encoder = self.index, self.encoder
        if (plain := bare(phrase)) != phrase:
            yield index.nearest(encoder.encode([plain]).pooled)[0][0]
        named = [(span, self._known(span)) for span in _spans(phrase)]
        inside = [(span, each) for span, each in named if each is not None and not each.instance]
        if inside:
            vectors = encoder.encode([span for span, _ in inside]).pooled
            for (_, each), near in zip(inside, index.similarity(vector, vectors), strict=True):
                yield replace(each, similarity=near + NAMED_INSIDE)

    def _respelled(self, phrase: str, vector: Tensor) -> tuple[KnownConcept | None, bool]:
        """The concept of the phrase with misspelt words put right, and whether it is like it.

        None where no word is misspelt.
        """
        index, respelled = self.index, self.index.respelled(phrase)
        if respelled is None:
            return None, False
        meant = self.encoder.encode([respelled]).pooled
        least = _MISSPELT if index.in_captions(respelled) else _MISSPELT_ELSEWHERE
        found = index.named(respelled) or index.nearest(meant)[0][0]
        return found, index.similarity(vector, meant)[0] >= least


def _heads(phrase: str, languages: Sequence[str]) -> Iterator[str]:
    """What a phrase may be about, the longest first: its last words; in Romance ones its first."""
    language = next(iter(languages), "")
    if SPACELESS.search(phrase):
        yield from (phrase[at:] for at in range(1, len(phrase) - 1))
        return
    lexicon = LATIN.get(language)
    words = _PLAIN.sub("", bare(phrase)).split()
    if lexicon is not None:
        first = (i for i, word in enumerate(words) if word.lower() not in lexicon.stops)
        words = words[next(first, 0) :]  # *on* the moon
        behind = (i for i in range(1, len(words)) if words[i].lower() in lexicon.stops)
        words = words[: next(behind, len(words))]
    if language in _NOUN_FIRST:
        yield from (" ".join(words[:end]) for end in range(len(words), 0, -1))
        return
    for at in range(1, len(words)) if language == "en" else ():
        if _DONE.fullmatch(words[at]):
            if at + 1 < len(words):
                yield " ".join(words[at:])  # leather *running shoes*, but a *cat* running home
            yield from (" ".join(words[start:at]) for start in range(at))
    yield from (" ".join(words[at:]) for at in range(len(words)))


def _spans(phrase: str) -> Iterator[str]:
    """Parts that may be names: up to four words, or six signs of a script without spaces."""
    spaceless = SPACELESS.search(phrase) is not None
    units, joint, most = (list(phrase), "", 6) if spaceless else (phrase.split(), " ", 4)
    for length in range(min(most, len(units) - 1), 0, -1):
        for start in range(len(units) - length + 1):
            span = joint.join(units[start : start + length])
            if spaceless or len(span) > 2:
                yield span


def _name_of(name: str, part: str) -> str:
    """A thing's English name; what it is drawn from where that is somebody and the name no other.

    *Children holding hands* are children, and no hands.
    """
    said = any(facts_of(word).role == "person" for word in name.split())
    somebody = said and person_in(part) is not None and facts_of(name).role != "person"
    return part if somebody or not name else name


def _drawn_from(phrase: str, near: KnownConcept, known: bool) -> Grounding:
    similarity = min(1.0, max(-1.0, round(near.similarity, 4)))
    return Grounding(phrase=phrase, drawn=near.caption, similarity=similarity, known=known)


def _with_said_tints(
    scene: PlannedScene, found: Sequence[Grounding], languages: Sequence[str]
) -> PlannedScene:
    """The scene with the colours that its phrases say where neither plan nor drawing has them."""
    things = []
    for thing, each in zip(scene.plan.things, found, strict=True):
        said = None if thing.tint else colour_said(each.phrase, languages)
        has = said is None or said[0] in each.drawn.split()
        named = has or in_english(each.phrase, languages) is not None
        things.append(thing if named or said is None else replace(thing, tint=said[0]))
    return replace(scene, plan=replace(scene.plan, things=tuple(things)))


def _in_colour(index: ConceptIndex, tint: str | None, each: Grounding, said: str) -> str:
    """The words for a thing with its colour, or without where the model learned no such words."""
    words = " ".join(filter(None, (tint, each.drawn))) if each.replaced else said
    named = index.named(words)
    learned = named is not None and not named.instance  # a white fox is an arctic one
    return words if tint is None or len(index.keywords) > 0 or learned else each.drawn
