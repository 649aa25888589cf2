"""Instructions that change the plan of a picture: *make the cat blue*, *add a hat*, *at night*.

A picture is drawn again from its prompt and its seed, and the instructions are carried out one
after the other on what the prompt was understood as; they stand in the picture's record, so that it
can be drawn again and changed further.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from limner.errors import PromptError
from limner.generation.drawn_from import Grounding
from limner.generation.edited_scenes import CastProp, CastThing, EditedScene, Step
from limner.generation.glossed_prompts import meaning_by
from limner.generation.grounding import LEAST, Grounder
from limner.generation.planned_scene import PlannedScene, one_thing
from limner.generation.prompt_reader import PromptReader, PromptText, ReadPrompt
from limner.generation.prompts import collected, quoted
from limner.generation.whole_persons import FACE, figure_of
from limner.models.planner import PlannedThing
from limner.models.settings import find_style
from limner.scenes.bodies import HEADS, STANDING
from limner.scenes.colours import COLOURS
from limner.scenes.instructions import LONGEST, Behind, Reading, is_pronoun, readings
from limner.scenes.landscape import props_of
from limner.scenes.places import Setting
from limner.scenes.rearranging import DIRECTIONS
from limner.scenes.sentence import Link
from limner.scenes.sizes import UNKNOWN, facts_of
from limner.text.base import TextFeatures, concatenate
from limner.text.lexicon import languages_of
from limner.text.names import bare, name_key
from limner.text.validate import canonical_all

_MOST_THINGS = 24
"""Single things of a picture."""
_BIGGER, _SMALLER = 1.4, 0.7
_MOST_OF_A_KIND = 9
_SIDES = {"left": 0.17, "right": 0.83}
_ONE = re.compile(r"(?:an?|another|un[ae]?|ein(?:e[nmrs]?)?|uma?|one|一\w)[ 只个]?(?=.)", re.I)
_NUMBER = re.compile(
    r"(?:the )?(?:one|two|three|four|five|six|\d+)|un[ae]?|dos|deux|eine?[nmrs]?|zwei|due|uma?|"
    r"dois|одного|одной|двух|[一两二三]\w?|一つ|一匹|하나|한 마리|एक",
    re.IGNORECASE,
)
"""A number without a thing: *two dogs instead of one*."""
_EXAMPLES = "'make the cat blue', 'add a hat', 'remove the dog' or 'at night'"


class EditedPlan(NamedTuple):
    """An edited scene, what all that is drawn of it is drawn from, and the features of that."""

    scene: EditedScene
    drawn_from: tuple[Grounding, ...]
    features: TextFeatures


@dataclass(frozen=True)
class _Said:
    """One thing that an instruction names."""

    thing: PlannedThing
    words: str
    features: TextFeatures
    grounding: Grounding
    name: str

    @property
    def tint(self) -> str | None:
        """The colour that is said, also where the model knows things of that colour."""
        return _colour(self.thing, self.grounding.drawn)


def _colour(thing: PlannedThing, drawn: str) -> str | None:
    first = drawn.partition(" ")[0]
    return thing.tint or (first if first in COLOURS else None)


@dataclass
class _Edit:
    """A scene while instructions change it.

    Attributes:
        base: as it was.
        cast: things that are or were there.
        counts: how many of each there are; none of those that are gone.
        setting: behind them.
        background: colour of a plain one.
        props: of the setting.
        steps: changes of places so far.
        new: features of what is to be drawn besides.
        groundings: of the things among these.
        last: number of the thing that was changed last.
    """

    base: PlannedScene
    cast: list[CastThing]
    counts: dict[int, int]
    setting: Setting | None
    background: tuple[float, float, float] | None
    props: list[CastProp]
    steps: list[Step] = field(default_factory=list)
    new: list[TextFeatures] = field(default_factory=list)
    groundings: list[tuple[Grounding, TextFeatures]] = field(default_factory=list)
    last: int | None = None

    def row(self, features: TextFeatures) -> int:
        """The number of a new drawing."""
        self.new.append(features)
        return len(self.base.parts) + len(self.base.props) + len(self.new) - 1

    @property
    def among_whole(self) -> bool:
        """Whether who is in the picture is drawn from head to foot: in a place, or beside such."""
        base = self.base
        return self.setting is not None or bool(base.whole or base.clothed or any(base.figures))

    @property
    def shown(self) -> str:
        """What is in the picture, in words."""
        things = [
            f"{count} x {self.cast[i].words}" if count > 1 else self.cast[i].words
            for i, count in self.counts.items()
        ]
        things += [each.prop.name for each in self.props if not each.hidden]
        return ", ".join(dict.fromkeys(things)) or "nothing but a background"


class PlanEditor:
    """Carries out instructions on what a prompt was understood as.

    Args:
        reader: of the model that draws.
        style: that the picture is drawn in; None for any.
        transparent: whether the picture has no background.
    """

    def __init__(self, reader: PromptReader, style: str | None, transparent: bool) -> None:
        self._reader, self._style, self._transparent = reader, style, transparent
        self._missing: str | None = None

    def edited(self, read: ReadPrompt, prompt: str, edits: Sequence[str]) -> EditedPlan:
        """The scene of a prompt after some instructions.

        Args:
            read: the prompt as it was read.
            prompt: its words that say what is drawn.
            edits: instructions, the first first.

        Raises:
            PromptError: an instruction is not understood, names nothing that is in the picture, or
                asks for what cannot be drawn.
        """
        edit = _begun(read, prompt)
        for instruction in edits:
            self._follow(edit, instruction)
        scene = EditedScene(
            edit.base, tuple(edit.cast), tuple(edit.steps),
            concatenate(edit.new) if edit.new else None,
            edit.setting, edit.background, tuple(edit.props),
        )  # fmt: skip
        found = [grounding for grounding, _ in edit.groundings]
        features = [edit.base.features, *(features for _, features in edit.groundings)]
        return EditedPlan(scene, (*read.drawn_from, *found), concatenate(features))

    def _follow(self, edit: _Edit, instruction: str) -> None:
        """Carry out one instruction."""
        text = canonical_all([instruction])[0]
        if len(text) > LONGEST:
            raise PromptError(
                f"an instruction has at most {LONGEST} characters, not {len(text)}",
                code="instruction_too_long",
            )
        self._missing = None
        for reading in readings(text, meaning_by(self._reader.concepts)):
            if isinstance(reading, Behind):
                self._put_behind(edit, reading, text)
                return
            if _CHANGES[reading.change](self, edit, reading):
                return
        if self._missing is not None:
            raise PromptError(
                f"{quoted(self._missing)} is not in the picture, which shows {edit.shown}",
                code="not_in_picture",
            )
        raise PromptError(
            f"the instruction {quoted(text)} is not understood; say it like {_EXAMPLES}",
            code="instruction_not_understood",
        )

    # -- what an instruction names ----------------------------------------------------------------

    def _read(self, words: str) -> tuple[list[_Said], tuple[Link, ...], Setting | None]:
        """The things that words name, how they stand to each other, and where they are."""
        if not words:
            return [], (), None
        grounded = self._reader.concepts is not None
        with collected():
            (read,) = self._reader.read([PromptText(words, True, grounded, self._style)])
        if isinstance(read, PromptError):
            return [], (), None
        scene = read.scene or one_thing(words, "", read.features)
        said = []
        for i, thing in enumerate(scene.plan.things):
            part = scene.parts[i]
            own = Grounding(phrase=part, drawn=part, similarity=1.0, known=True)
            grounding = read.drawn_from[i] if read.drawn_from else own
            features = scene.features[[i]]
            name = scene.names[i] or grounding.drawn
            said.append(_Said(thing, bare(grounding.phrase), features, grounding, name))
        relation = scene.plan.relation
        links = (Link(0, relation, 1),) if relation and len(said) > 1 else scene.links
        return said, links, scene.setting

    def _thing(self, edit: _Edit, words: str, *, strict: bool = False) -> int | None:
        """The thing of the picture that words name; None where there is none.

        Args:
            edit: the picture.
            words: in any language.
            strict: whether it must have the colour that the words say, or none where they say none.
        """
        if is_pronoun(words):
            if len(edit.counts) == 1:
                return next(iter(edit.counts))
            if edit.last in edit.counts:
                return edit.last
            self._missing = self._missing or words
            return None
        said, _, _ = self._read(words)
        found = self._matching(edit, said[0], words, strict) if len(said) == 1 else []
        if len(found) > 1:
            raise PromptError(
                f"{quoted(words)} may be any of {len(found)} things of the picture, which shows "
                f"{edit.shown}; say its colour, too",
                code="ambiguous_instruction",
            )
        if not found and words:
            self._missing = self._missing or words
        return found[0] if found else None

    def _matching(self, edit: _Edit, said: _Said, words: str, strict: bool = False) -> list[int]:
        """The things of the picture that may be meant."""
        keys = {name_key(each) for each in (said.grounding.drawn, bare(words), said.words)}
        keys |= {f"{key} face" for key in keys}
        alive = [i for i in edit.counts if keys & _keys(edit.cast[i])]
        head = name_key(bare(words)).rpartition(" ")[2]
        if languages_of(words)[0] == "en" and said.grounding.similarity == 1:
            heads = {i: name_key(edit.cast[i].drawn).rpartition(" ")[2] for i in edit.counts}
            alive = alive or [i for i in edit.counts if heads[i] == head]
        tint = said.tint
        if strict:
            return [i for i in alive if edit.cast[i].tint == tint]
        return [i for i in alive if edit.cast[i].tint == tint] or alive if tint else alive

    def _prop(self, edit: _Edit, words: str) -> int | None:
        """The number of what belongs to the setting and words name; None where there is none."""
        said, _, _ = self._read(words)
        if len(said) != 1:
            return None
        keys = {name_key(said[0].grounding.drawn), name_key(bare(words))}
        for number, each in enumerate(edit.props):
            name = name_key(each.prop.name)
            if not each.hidden and ({name, name.rpartition(" ")[2]} & keys):
                return number
        return None

    # -- changes ----------------------------------------------------------------------------------

    def _remove(self, edit: _Edit, reading: Reading) -> bool:
        thing = self._thing(edit, reading.thing)
        if thing is None:
            return self._change_prop(edit, reading.thing, lambda each: replace(each, hidden=True))
        del edit.counts[thing]
        edit.steps.append(Step("remove", thing))
        return True

    def _colour(self, edit: _Edit, reading: Reading) -> bool:
        colour = reading.colour
        if colour is None:
            return False
        thing = self._thing(edit, reading.thing)
        if thing is None:
            return self._change_prop(edit, reading.thing, lambda each: replace(each, tint=colour))
        whole = reading.change == "dye"
        edit.cast[thing] = replace(edit.cast[thing], tint=colour, dyed=True, whole=whole)
        edit.last = thing
        return True

    def _scale(self, edit: _Edit, reading: Reading) -> bool:
        factor = _BIGGER if reading.change == "bigger" else _SMALLER
        thing = self._thing(edit, reading.thing)
        if thing is None:
            return self._change_prop(edit, reading.thing, lambda each: replace(
                each, prop=each.prop._replace(height=each.prop.height * factor)))  # fmt: skip
        edit.steps.append(Step("scale", thing, factor=factor))
        edit.last = thing
        return True

    def _move(self, edit: _Edit, reading: Reading) -> bool:
        thing = self._thing(edit, reading.thing)
        if thing is None and reading.change in _SIDES:
            at = _SIDES[reading.change]
            return self._change_prop(edit, reading.thing, lambda each: replace(
                each, prop=each.prop._replace(at=at)), copies=1)  # fmt: skip
        if thing is None:
            return False
        direction = next(each for each in DIRECTIONS if each == reading.change)
        edit.steps.append(Step("move", thing, direction=direction))
        edit.last = thing
        return True

    def _relate(self, edit: _Edit, reading: Reading) -> bool:
        """Move a thing to where it stands to another as the words say."""
        said, links, setting = self._read(reading.other)
        if _ONE.match(reading.other) or not said:
            return False
        found = [self._matching(edit, each, each.words) for each in said]
        if len(said) == 1 and found[0] and setting is not None:  # put the cat on a beach
            self._put_behind(edit, Behind(setting), reading.other)
            return True
        if len(said) != 2 or not links or not all(len(each) == 1 for each in found):
            return False
        one, other = found[links[0].first][0], found[links[0].second][0]
        if one == other:
            return False
        edit.steps.append(Step("relate", one, link=Link(one, links[0].relation, other)))
        edit.last = one
        return True

    def _replace(self, edit: _Edit, reading: Reading) -> bool:
        if _NUMBER.fullmatch(reading.thing):
            return self._be(edit, reading)
        thing = self._thing(edit, reading.thing)
        said, _, _ = self._read(reading.other)
        if thing is None or len(said) != 1:
            return False
        one = said[0]
        if thing in self._matching(edit, one, one.words):
            return self._becomes(edit, thing, one, reading.other)
        new = self._cast(edit, one)
        only = one.thing.count > 1 or _ONE.match(reading.other) is not None
        count = one.thing.count if only else edit.counts[thing]
        edit.counts = {new if i == thing else i: n for i, n in edit.counts.items()}
        self._set_count(edit, new, count)
        edit.steps.append(Step("recast", thing, new, count))
        return True

    def _more(self, edit: _Edit, reading: Reading) -> bool:
        said, _, _ = self._read(reading.thing)
        thing = self._thing(edit, reading.thing, strict=True) if len(said) == 1 else None
        if thing is None:
            self._missing = None
            return False
        self._set_count(edit, thing, edit.counts[thing] + said[0].thing.count)
        edit.steps.append(Step("count", thing, count=edit.counts[thing]))
        return True

    def _give(self, edit: _Edit, reading: Reading) -> bool:
        """Put a new thing on or beside one of the picture."""
        said, _, _ = self._read(reading.other)
        thing = self._thing(edit, reading.thing)
        if thing is None or len(said) != 1:
            return False
        new, count = self._cast(edit, said[0]), said[0].thing.count
        self._set_count(edit, new, count)
        edit.steps.append(Step("add", new, count=count, link=Link(thing, "with", new)))
        return True

    def _add(self, edit: _Edit, reading: Reading) -> bool:
        said, links, _ = self._read(reading.other)
        if not said:
            return False
        numbers: list[int] = []
        for place, one in enumerate(said):
            there = self._matching(edit, one, one.words) if place else []
            numbers.append(there[0] if len(there) == 1 else self._cast(edit, one))
            if len(there) == 1:
                continue
            self._set_count(edit, numbers[-1], one.thing.count)
        for place, (number, one) in enumerate(zip(numbers, said, strict=True)):
            if number in [step.thing for step in edit.steps] or number < len(edit.base.parts):
                continue
            link = next((each for each in links if place in (each.first, each.second)), None)
            if link is not None:
                other = numbers[link.second if link.first == place else link.first]
                placed = other < len(edit.base.parts) or any(
                    other in (step.thing, step.other) for step in edit.steps
                )
                link = Link(numbers[link.first], link.relation, numbers[link.second])
                link = link if placed else None
            edit.steps.append(Step("add", number, count=one.thing.count, link=link))
            edit.last = number
        return True

    def _be(self, edit: _Edit, reading: Reading) -> bool:
        """A thing of the picture is said again, with another number, colour or size."""
        said, _, setting = self._read(reading.other)
        if len(said) != 1 or setting is not None:
            return False
        found = self._matching(edit, said[0], reading.other)
        return len(found) == 1 and self._becomes(edit, found[0], said[0], reading.other)

    def _becomes(self, edit: _Edit, thing: int, said: _Said, words: str) -> bool:
        changed = False
        tint, size = said.tint, said.thing.size
        if tint is not None and tint != edit.cast[thing].tint:
            edit.cast[thing] = replace(edit.cast[thing], tint=tint, dyed=True)
            changed = True
        if said.thing.count != edit.counts[thing] and (
            said.thing.count > 1 or _ONE.match(words) is not None
        ):
            self._set_count(edit, thing, said.thing.count)
            edit.steps.append(Step("count", thing, count=said.thing.count))
            changed = True
        if size is not None:
            edit.steps.append(Step("scale", thing, factor=_BIGGER if size == "big" else _SMALLER))
            changed = True
        if not changed:
            raise PromptError(
                f"the picture shows {quoted(words)} already: it shows {edit.shown}",
                code="nothing_to_change",
            )
        edit.last = thing
        return True

    def _put_behind(self, edit: _Edit, said: Behind, words: str) -> None:
        """Change what is behind the things."""
        if self._transparent:
            raise PromptError(
                f"{quoted(words)} cannot be shown: the picture's background is transparent",
                code="transparent_background",
            )
        setting = None if said.setting is None else _joined(edit.setting, said)
        if (setting, said.background) == (edit.setting, edit.background):
            raise PromptError(
                f"the picture is so already: {quoted(words)} changes nothing",
                code="nothing_to_change",
            )
        old = {each.prop.name: each for each in edit.props}
        edit.setting, edit.background, edit.props = setting, said.background, []
        edit.steps.append(Step("behind", setting=setting))
        named = [edit.cast[i].drawn for i in edit.counts]
        props = () if setting is None else props_of(setting, named)
        for prop in props:
            if prop.name in old:
                edit.props.append(replace(old[prop.name], prop=prop))
                continue
            features = self._reader.encoder.encode([prop.name])
            index = self._reader.concepts
            if index is None or Grounder(index, self._reader.encoder).knows(features)[0]:
                edit.props.append(CastProp(prop, edit.row(features)))

    def _change_prop(
        self, edit: _Edit, words: str, change: Callable[[CastProp], CastProp], copies: int = 9
    ) -> bool:
        number = self._prop(edit, words)
        if number is None or edit.props[number].prop.copies > copies:
            return False
        edit.props[number] = change(edit.props[number])
        return True

    def _cast(self, edit: _Edit, said: _Said) -> int:
        """The number of a new thing."""
        if said.grounding.similarity < LEAST:
            raise PromptError(
                f"{quoted(said.words)} is like none of the things that this model knows",
                code="unknown_thing",
            )
        row = edit.row(said.features)
        edit.groundings.append((said.grounding, said.features))
        drawn, bodied = said.grounding.drawn, edit.among_whole and not FACE.search(said.words)
        figure = self._figure(edit, drawn) if bodied and drawn in HEADS else None
        edit.cast.append(CastThing(
            row, said.name, said.words, drawn, said.tint, said.thing.tint is not None,
            said.thing.size, bodied=bodied and (drawn not in HEADS or figure is not None),
            figure=figure,
        ))  # fmt: skip
        edit.last = len(edit.cast) - 1
        return edit.last

    def _figure(self, edit: _Edit, head: str) -> int | None:
        """The number of the drawing whose body a new person gets; None where there is none."""
        concepts = self._reader.concepts
        if concepts is None:
            return None
        style = None if self._style is None else find_style(self._style, self._reader.styles)
        figure = figure_of(head, STANDING, concepts, style)
        return None if figure is None else edit.row(self._reader.encoder.encode([figure]))

    def _set_count(self, edit: _Edit, thing: int, count: int) -> None:
        if count > _MOST_OF_A_KIND:
            raise PromptError(
                f"a picture holds {_MOST_OF_A_KIND} of a kind at most, not {count}",
                code="too_many_things",
            )
        edit.counts[thing] = count
        edit.last = thing
        if sum(edit.counts.values()) > _MOST_THINGS:
            raise PromptError(
                f"a picture holds {_MOST_THINGS} things at most", code="too_many_things"
            )


_CHANGES: Mapping[str, Callable[[PlanEditor, _Edit, Reading], bool]] = {
    "remove": PlanEditor._remove, "replace": PlanEditor._replace, "colour": PlanEditor._colour,
    "dye": PlanEditor._colour,
    "bigger": PlanEditor._scale, "smaller": PlanEditor._scale, "left": PlanEditor._move,
    "right": PlanEditor._move, "up": PlanEditor._move, "down": PlanEditor._move,
    "move": PlanEditor._relate, "more": PlanEditor._more, "give": PlanEditor._give,
    "add": PlanEditor._add, "be": PlanEditor._be,
}  # fmt: skip


def _begun(read: ReadPrompt, prompt: str) -> _Edit:
    """A prompt's scene before the first instruction."""
    base = read.scene
    if base is None:
        drawn = read.drawn_from[0].drawn if read.drawn_from else prompt
        name = prompt if facts_of(prompt) != UNKNOWN else drawn
        base = one_thing(prompt, name, read.features)
    cast = []
    for i, thing in enumerate(base.plan.things):
        words = read.drawn_from[i].phrase if i < len(read.drawn_from) else base.parts[i]
        drawn = read.drawn_from[i].drawn if i < len(read.drawn_from) else base.parts[i]
        cast.append(CastThing(i, base.names[i], bare(words), drawn, _colour(thing, drawn),
                              size=thing.size))  # fmt: skip
    props = [CastProp(prop, len(base.parts) + i) for i, prop in enumerate(base.props)]
    counts = {i: thing.count for i, thing in enumerate(base.plan.things)}
    return _Edit(base, cast, counts, base.setting, base.plan.background, props)


def _keys(thing: CastThing) -> set[str]:
    """Names by which a thing is found."""
    return {name_key(each) for each in (thing.drawn, bare(thing.words), thing.name) if each}


def _joined(old: Setting | None, said: Behind) -> Setting:
    """A setting with what is said of another: a place, a time or a weather comes for the old."""
    new, old = said.setting or Setting(), old or Setting()
    if new.weather == "snowfall" and new.place is None and old.place is None:
        new = replace(new, place="snow")
    timed = new.night or new.sunset or new.sunny or said.day
    time = new if timed else old
    sunny = time.sunny or (said.day and old.place is None and new.place is None)
    weather = new.weather or (None if said.day else old.weather)
    return Setting(new.place or old.place, time.night, time.sunset, sunny, weather)
