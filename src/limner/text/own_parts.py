"""Parts of a thing's own body: what is done with them, and what is on or in them.

*A hippo brushing its teeth* is a hippo and not a tooth beside it; *a turtle with a house on its
back* has the house on it, and *a dog with a bone in its mouth* holds a bone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple


class _Words(NamedTuple):
    """Words of a language, as regular expressions.

    Attributes:
        own: what makes a part somebody's own, with a space behind it.
        carried: parts that things are carried on.
        held: parts that things are held with.
        others: further parts.
        having: before what is carried or held.
        on: before such a part.
        holding: is said instead of what is held with a part.
        upon: is said before what is carried.
        top: says that something is on another, without the part.
        worn: things that are worn wherever they are, so that the part need not be said.
        doing: a verb, with which a part alone is something done.
    """

    own: str
    carried: str
    held: str
    others: str
    having: str
    on: str
    holding: str
    upon: str
    top: str
    worn: str
    doing: str


_ANY_OF_EN = r"(?:(?:left|right|own|little|big|long|front|back|white|sharp) )?"
_LANGUAGES: Mapping[str, _Words] = {
    "en": _Words(
        own=rf"(?:its|his|her|their|my|your) {_ANY_OF_EN}",
        carried="back|heads?|shoulders?|nose|lap|belly|tummy|palm|knees?|horns?|antlers?",
        held="mouth|beak|hands?|arms?|paws?|trunk|claws?|teeth|fingers?|jaws?",
        others="hair|fur|eyes?|ears?|face|tail|tongue|feathers?|wings?|whiskers?|feet|legs?|toes|"
        "neck|nails|muscles|beard",
        having=r"with|carrying|holding|balancing|balances|has|having|who has|that has",
        on="on top of|on|upon|over|in|between|inside|around",
        holding="holding",
        upon="on it",
        top="on top",
        worn="hat|cap|crown|helmet|glasses|sunglasses|scarf|mask|bow|tie|backpack|headphones",
        doing=r"(?:(?:who|that|which) )?(?:is |are )?\w+(?:ing|es|s)(?: (?:up|out|off))?",
    ),
    "es": _Words(
        own=r"(?:la |el |los |las |su |sus )",
        carried="espalda|lomo|cabeza|hombros?|nariz|regazo",
        held="boca|hocico|pico|manos?|brazos?|patas?|trompa|dientes",
        others="pelo|ojos|orejas|cara|cola|lengua|alas",
        having="con|que lleva",
        on="sobre|encima de|entre|en",
        holding="sosteniendo",
        upon="encima",
        top="encima",
        worn="sombrero|gorr[oa]|corona|casco|gafas|bufanda|máscara|mochila",
        doing=r"(?:cepillándose|lavándose|peinándose|lamiéndose|moviendo)",
    ),
    "fr": _Words(
        own=r"(?:la |le |les |l['’]|son |sa |ses )",
        carried="dos|têtes?|épaules?|nez|genoux",
        held="gueule|bouche|bec|mains?|bras|pattes?",
        others="cheveux|yeux|oreilles|visage|queue|langue|ailes|dents",
        having="avec|qui a",
        on="sur|dans|entre",
        holding="tenant",
        upon="dessus",
        top="(?:au-)?dessus",
        worn="chapeau|bonnet|casquette|couronne|casque|lunettes|écharpe|masque",
        doing=r"(?:qui )?se (?:brosse|brossant|lave|lavant|peigne)",
    ),
    "de": _Words(
        own=r"(?:de[mnr] |sein\w* |ihr\w* )",
        carried="rücken|kopf|schultern?|nase|schoß",
        held="maul|mund|schnabel|hand|händen|armen|pfoten?|rüssel|zähnen",
        others="haaren?|haar|bart|augen|ohren|gesicht|schwanz|zunge|flügel|zähne|fell",
        having="mit|der|die",
        on="auf|im|in|zwischen",
        holding="hält",
        upon="darauf",
        top="(?:obendrauf|obenauf)",
        worn="hut|mütze|kappe|krone|helm|brille|sonnenbrille|schal|maske|rucksack",
        doing=r"(?:putzt|bürstet|kämmt|wäscht|leckt)(?: sich)?",
    ),
}
_ZH = re.compile(
    r"(?:嘴|口|手|怀|爪子?)[里中上](?=[叼拿抱含捧衔咬握])|(?:头|脖子|身)上(?=[戴穿围系])"
)
_POSED_EN = re.compile(
    r"(?<=\w) (?:(?:standing|balancing|walking|sitting|hopping|up) )*(?:on|onto) "
    r"(?:(?:one|two|both|its|his|her|their|all) )?(?:(?:hind|back|front|left|right) )?"
    r"(?:legs?|foot|feet|paws?|knees|tiptoes?|fours)(?!\w)",
    re.IGNORECASE,
)
"""How somebody stands: *a flamingo standing on one leg*."""
_THING = r"(?P<thing>\w[^,.;]{2,40}?)"


def without_own_parts(text: str, language: str) -> str:
    """A text in which nothing is said of what is part of a thing.

    Args:
        text: canonical text.
        language: that it may be in; the same text comes back for those that are not known.
    """
    if language == "zh":
        return _ZH.sub("", text)
    if language == "en":
        text = _POSED_EN.sub("", text)
    if language not in _LANGUAGES:
        return text
    words, (held, carried, done, worn, listed) = _LANGUAGES[language], _patterns(language)
    text = held.sub(rf" {words.holding} \g<thing>", text)

    def upon(match: re.Match[str]) -> str:
        if worn.search(match["thing"]):
            return f" {match['having']} {match['thing']}"
        return f", {words.upon} {match['thing']}"

    return listed.sub(r"\g<having> ", done.sub("", carried.sub(upon, text)))


@cache
def _patterns(language: str) -> tuple[re.Pattern[str], ...]:
    """What is held, what is carried, what is done, what is worn, and parts before other things."""
    w = _LANGUAGES[language]
    having, end = rf"(?<=\w),? (?P<having>{w.having}) {_THING}", r"(?!\w)"
    own = w.own if language != "de" else f"(?:{w.own})?"
    return tuple(
        re.compile(pattern, re.IGNORECASE)
        for pattern in (
            rf"{having} (?:{w.on}) {own}(?:{w.held}){end}",
            rf"{having} (?:(?:{w.on}) {own}(?:{w.carried})|{w.top}){end}",
            rf"(?<=\w),? {w.doing} {w.own}(?:{w.carried}|{w.held}|{w.others}){end}"
            rf"|(?<=\w) (?:{w.on}) {own}(?:{w.carried}|{w.held}){end}",
            rf"\b(?:{w.worn})s?$",
            rf"(?<=\w )(?P<having>{w.having}) (?:[\w-]+ ){{0,2}}(?:{w.others})(?: [\w-]+)?"
            r"(?:,| and| y| et| und) (?=\w)",
        )
    )
