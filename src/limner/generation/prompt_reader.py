"""Reading prompts: what a text asks for, the scene it describes, what each thing is drawn from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from limner.errors import CapabilityError, PromptError
from limner.generation.drawn_from import Grounding
from limner.generation.faces import with_faces
from limner.generation.glossed_prompts import glossed
from limner.generation.grounding import Grounder
from limner.generation.looks import find_look, split_look
from limner.generation.other_wordings import OtherWordings
from limner.generation.planned_scene import PlannedScene, one_thing
from limner.generation.prompts import collected, quoted, split_style, warn
from limner.generation.scene_planning import WHOLE, ScenePlanner, is_name
from limner.memory import RecentlyUsed
from limner.models.concepts import ConceptIndex
from limner.models.settings import Settings, find_style
from limner.scenes.bodies import head_and_pose
from limner.scenes.colour_words import colour_said, with_one_colour
from limner.scenes.lettering import can_be_written
from limner.scenes.other_colours import with_english_colours
from limner.scenes.sizes import ALIVE, facts_of
from limner.scenes.top_colours import TopColour, top_colour
from limner.text.base import TextEncoder, TextFeatures
from limner.text.events import shown_event
from limner.text.greetings import Greeting, greeting_of
from limner.text.inscriptions import Inscription, inscription_of, without_name
from limner.text.lexicon import languages_of
from limner.text.names import bare
from limner.text.request_words import what_is_asked
from limner.text.rewording import reworded_greeting
from limner.text.signs import sign_of
from limner.text.spelling import is_english, without_slips
from limner.text.vocabulary import in_english

_REMEMBERED = 256


class PromptText(NamedTuple):
    """The words of a prompt that say what is drawn, and how they are read.

    Attributes:
        text: without a style, and without how the picture is asked for.
        planned: whether it may be a scene of several things.
        grounded: whether unknown words are drawn from known names.
        style: of the model that is asked for.
        heading: what the thing is called; empty where nobody says.
    """

    text: str
    planned: bool
    grounded: bool
    style: str | None = None
    heading: str = ""


class _EncodedText(NamedTuple):
    """A text, the languages that it may be in, and its features."""

    ask: PromptText
    languages: tuple[str, ...]
    features: TextFeatures


class ReadPrompt(NamedTuple):
    """A text as it was read.

    Attributes:
        features: of the words that are drawn, where it is no scene.
        scene: that it asks for; None where it is drawn in one piece.
        drawn_from: what each of its phrases is drawn from.
    """

    features: TextFeatures
    scene: PlannedScene | None
    drawn_from: tuple[Grounding, ...] = ()


def _is_occasion(text: str, concepts: ConceptIndex) -> bool:
    """Whether an English text is a greeting, or names an event that things show."""
    said = greeting_of(text, ("en",), lambda each: is_name(each, ("en",), concepts))
    return said is not None or shown_event(text, ("en",)) is not None


def _is_noun(text: str, languages: tuple[str, ...]) -> bool:
    """Whether a word of a text that may be English is a noun of another language that it may be in.

    *A* is an article of English and of Portuguese.
    """
    return any(in_english(word, languages[1:]) is not None for word in text.split()[1:])


def _inscription(text: str, concepts: ConceptIndex | None) -> Inscription | None:
    """What is to be written on a thing; None for what somebody says or reads.

    A text of the words of a sign, such as *wet floor*, is that sign unless a drawing has its name.

    Warns:
        PromptWarning: there are no letters for it.
    """
    languages = languages_of(text)
    if concepts is not None and not concepts.named(text):
        sign = sign_of(text, languages)
        if sign is not None:
            return sign
    found = inscription_of(text, languages)
    if found is None:
        return None
    last = found.before.split()[-1]
    if facts_of(in_english(last, languages) or last).role in ALIVE:
        return None
    if not can_be_written(found.words):
        warn(f"{quoted(found.words)} is not written: there are letters of the Latin script alone")
        return found._replace(words="")
    return found


def _in_english_colours(ask: PromptText, concepts: ConceptIndex | None) -> PromptText:
    """A text with the words for colours that are read, but for a name that is known as it is."""
    if not ask.planned or (concepts is not None and concepts.named(ask.text) is not None):
        return ask
    return ask._replace(text=with_english_colours(ask.text))


def _greeting(encoded: _EncodedText, concepts: ConceptIndex) -> Greeting | None:
    """The greeting that a text is, with nothing to be written where there are no letters for it."""
    languages = encoded.languages
    found = greeting_of(
        encoded.ask.text, languages, lambda each: is_name(each, languages, concepts)
    )
    if found is None or can_be_written(found.heading):
        return found
    return found._replace(heading="")


def _said_of_one(
    scene: PlannedScene | None, top: TopColour | None, written: Inscription | None
) -> PlannedScene | None:
    """A scene with what is said of the top of one of its things, and written on one."""
    if scene is None or not scene.parts:
        return scene
    scene = scene if top is None else scene.topped(top)
    return scene if written is None or not written.words else scene.inscribed(written)


_HYPHENATED = re.compile(r"[a-z]-[a-z]")


class PromptReader:
    """Reads prompts for one model; the last texts that were read are remembered.

    Args:
        encoder: of the model.
        concepts: names that the model knows; None where it has no index of them.
        styles: of the model.
        name: of the model in messages.
        scenes: whether texts are planned as scenes where the settings do not say.

    Attributes:
        planner: plans scenes; None before the first text that may be one.
    """

    def __init__(
        self,
        encoder: TextEncoder,
        concepts: ConceptIndex | None,
        styles: Sequence[str],
        name: str,
        *,
        scenes: bool,
    ) -> None:
        self.encoder, self.concepts, self.styles = encoder, concepts, styles
        self.planner: ScenePlanner | None = None
        self._name, self._scenes = name, scenes
        self._others = None if concepts is None else OtherWordings(concepts)
        self._read = RecentlyUsed[PromptText, tuple[ReadPrompt, tuple[str, ...]]](_REMEMBERED)

    def asked(self, prompt: str, settings: Settings) -> tuple[PromptText, str | None, bool]:
        """What a prompt is to show, the style that it names, and whether on nothing.

        A prompt is read as it stands where it is a known name, and where nothing is read into it.

        Raises:
            CapabilityError: grounding is asked for, and the model has no index of names.
        """
        grounded = self._grounds(settings)
        planned = self._scenes if settings.scenes is None else settings.scenes
        words, style = split_style(prompt, self.styles)
        known = grounded and self.concepts is not None and self.concepts.named(words) is not None
        if planned and grounded and not known and style is None:
            words = prompt = glossed(prompt, self.concepts)
        said, name = without_name(prompt)
        asked = what_is_asked(said)
        if known or not (grounded or planned):
            return PromptText(words, planned, grounded), style, asked.transparent
        plain, look = split_look(without_name(words)[0]) if style is None else (words, None)
        if look is not None and find_look(look, self.styles) is not None:
            asked, style = what_is_asked(plain), look
        words, named = split_style(asked.subject, self.styles)
        heading = name if can_be_written(name) else ""
        read = PromptText(words, planned, grounded, heading=heading)
        return read, named or style, asked.transparent

    def _grounds(self, settings: Settings) -> bool:
        if settings.grounding and self.concepts is None:
            raise CapabilityError(
                f"{self._name} has no index of the concepts it knows; leave the grounding out"
            )
        return settings.grounding is not False and self.concepts is not None

    def read(self, asked: Sequence[PromptText]) -> list[ReadPrompt | PromptError]:
        """Each text as it was read, or why it is refused.

        Warns:
            PromptWarning: of what is drawn otherwise than it is written.
        """
        new = list(dict.fromkeys(each for each in asked if self._read.get(each) is None))
        if len(new) > 1:
            with suppress(PromptError):  # an encoder with a cache reads them all at once
                self.encoder.encode([each.text for each in new])
        found: list[ReadPrompt | PromptError] = []
        for each in asked:
            read = self._read.get(each)
            if read is None:
                try:
                    with collected() as messages:
                        result = self._read_one(each)
                except PromptError as error:
                    found.append(error)
                    continue
                read = result, tuple(messages)
                self._read.put(each, read)
            for message in read[1]:
                warn(message)
            found.append(read[0])
        return found

    def _read_one(self, ask: PromptText) -> ReadPrompt:
        concepts, scene = self.concepts if ask.grounded else None, None
        written = _inscription(ask.text, concepts) if ask.planned else None
        ask = ask._replace(text=without_slips(ask.text if written is None else written.rest))
        ask = _in_english_colours(ask, concepts)
        languages = languages_of(ask.text)
        top = top_colour(ask.text, languages) if ask.planned else None
        if top is not None:
            ask = ask._replace(text=top.rest)
        if ask.planned:
            ask = ask._replace(text=with_one_colour(ask.text, languages))
        features = self.encoder.encode([ask.text])
        if ask.planned:
            if self.planner is None:
                self.planner = ScenePlanner(self.encoder)
            heading = ""
            if concepts is not None:
                right = self._corrected(_EncodedText(ask, languages, features), concepts)
                greeting = _greeting(right, concepts)
                said = "" if greeting is None else greeting.heading
                heading = "" if written else ask.heading or said
                ask, languages, features = self._plainly(right, greeting, concepts)
            (scene,) = self.planner.understand([ask.text], features, self.concepts, [languages])
            colour = colour_said(ask.text, languages)
            of_one = top is not None or written is not None or bool(heading)
            if of_one or (scene is None and colour is not None):
                scene = scene or one_thing(ask.text, "", features)
            scene = _said_of_one(scene, top, written)
            if scene is not None and heading:
                scene = replace(scene, heading=heading)
        if concepts is None:
            return ReadPrompt(features, self._of_single_things(scene))
        style = None if ask.style is None else find_style(ask.style, self.styles)
        grounder = Grounder(concepts, self.encoder, languages, style)
        posed = scene is None and ask.planned and head_and_pose(bare(ask.text)) is not None
        if posed and concepts.named(ask.text) is None:
            scene = one_thing(ask.text, "", features)
        if scene is None:
            features, found = grounder.ground([ask.text], features)
        else:
            scene, found = grounder.ground_scene(scene)
            scene, found = with_faces(scene, found, concepts, self.encoder)
            scene = scene.lit_by_fireworks()
        for each in found:
            each.warn(len(concepts))
        return ReadPrompt(features, scene, tuple(found))

    def _of_single_things(self, scene: PlannedScene | None) -> PlannedScene | None:
        """A scene whose things a model without names draws from the singular."""
        if scene is None or self.planner is None or self.concepts is not None:
            return scene
        return self.planner.of_single_things(scene)

    def _corrected(self, encoded: _EncodedText, concepts: ConceptIndex) -> _EncodedText:
        """A text without misspelt words, its languages and features.

        Warns:
            PromptWarning: a sentence of English has some.
        """
        ask, languages, _ = encoded
        english = languages == ("en",) or (
            languages[0] == "en" and not _is_noun(ask.text, languages)
        )
        if english and self._others is not None and (name := self._others.of(ask.text)) is not None:
            warn(f"{quoted(ask.text)} is read as {quoted(name)}")
            return _EncodedText(ask._replace(text=name), ("en",), self.encoder.encode([name]))
        if english and not concepts.named(ask.text):
            right = concepts.speller.corrected(ask.text)
            apart = " " in right and " " not in ask.text  # *catonaroof*
            english = apart or is_english(ask.text.split()) or concepts.draws(right)
            english = english or _is_occasion(right, concepts)  # *hapy brithday*
            if right != ask.text and english:
                warn(f"{quoted(ask.text)} is read as {quoted(right)}")
                return encoded._replace(
                    ask=ask._replace(text=right), features=self.encoder.encode([right])
                )
        return encoded

    def _plainly(
        self, encoded: _EncodedText, greeting: Greeting | None, concepts: ConceptIndex
    ) -> _EncodedText:
        """A text in plainer words, its languages and features.

        As it is where the model learned from such.
        """
        ask, languages, features = encoded
        plain = reworded_greeting(
            ask.text, greeting, languages, lambda each: is_name(each, languages, concepts)
        )
        known = concepts.named(ask.text) or concepts.nearest(features.pooled)[0][0]
        kind = known.instance or concepts.colours_of(known.concept) <= 1
        familiar = not kind and concepts.familiarity([ask.text], features.pooled)[0] >= WHOLE
        is_known = concepts.named(ask.text) is not None or concepts.named(plain) is None
        if plain == ask.text or (familiar and is_known):
            return encoded
        mixed = " " in plain and _HYPHENATED.search(plain)  # English names among other words
        spoken = languages if mixed else languages_of(plain)
        return _EncodedText(ask._replace(text=plain), spoken, self.encoder.encode([plain]))

    def in_style(self, ask: PromptText, read: ReadPrompt, style: str | None) -> ReadPrompt:
        """What was read, read for the style that the seed chose, as when it is asked for."""
        if self.concepts is None or style in (None, ask.style):
            return read
        number = find_style(style, self.styles)
        if not any(self.concepts.lacks(each.drawn, number) for each in read.drawn_from):
            return read
        again = self.read([ask._replace(style=style)])[0]
        return read if isinstance(again, PromptError) else again
