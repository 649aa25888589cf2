"""What a text says is not to be seen: *a cat without a hat*, *a beach with no people*, 没有人的.

A model that reads the words for it would draw it all the same, so they are left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from limner.text.lexicon import LATIN

_WITHOUT: Mapping[str, str] = {
    "en": r"(?:without|with no|and no|but no|with neither|minus|free of|that has no|who has no|"
    r"(?:which|that|who) (?:isn't|is not|aren't|are not) (?:wearing|holding|carrying))",
    "es": r"(?:sin|y ning[uú]na?|que no (?:tiene|lleva)n?)",
    "fr": r"(?:sans|et aucune?|qui n'(?:a|ont) pas d[e'])",
    "de": r"(?:ohne|und keine?n?|mit keine[mnr]?)",
    "it": r"(?:senza|e nessun[oa]?)",
    "pt": r"(?:sem|e nenhuma?|que não te[mn])",
    "ru": r"(?:без)",
    "ar": r"(?:بدون|بلا|من دون|دون)",
}
_NOUN: Mapping[str, str] = {
    code: rf"(?:(?:{'|'.join(sorted(word for (word, *more) in LATIN[code].articles if not more))}"
    rf"|any|no|ning[uú]na?|aucune?) )?(?:[\w-]+(?: |(?=$|\W))){{1,3}}?"
    for code in LATIN if code in _WITHOUT
}  # fmt: skip
_LEFT: Mapping[str, str] = {
    "zh": r"(?:身上)?(?:没有|[没不](?:带|戴|穿|拿)着?)(?:任何)?[^的，。、和在有]{1,5}?的(?=.)|"
    r"[，,]?(?:但是?|而且)?没有(?:任何)?[^的，。、和在有]{1,5}$",
    "ja": r"[^、。のにでと]{1,6}?"
    r"(?:を(?:かぶって|着て|持って|つけて|履いて)いない|[のがは]い?ない|なしの)"
    r"(?=.)",
    "ko": r"\S+(?:[을를] (?:쓰|입|들|신|갖)지 않은|[이가]? 없는| 없이) ?(?=\S)",
    "hi": r"बिना (?:किसी )?\S+ (?:के|की|का|वाले|वाली|वाला) ?(?=\S)|\S+ के बिना ?(?=\S)",
}
"""What is left out before what the text is about, where no word stands before what is missing."""

_INSTEAD: Mapping[str, str] = {
    "en": r"(?:^|(?<=[,;] ))not (?:an? |the |any )?[^,.;]{1,30}?,? but (?:rather |just |only )?"
    r"|^(?:neither|no) [^,.;]{1,40}?(?:,? (?:but )?(?:only|just)|,? but) ",
    "es": r"^no (?:es )?(?:una? )?[^,.;]{1,30}?,? sino (?:que )?",
    "fr": r"^(?:ce n'est )?pas (?:une? |de )?[^,.;]{1,30}?,? mais ",
    "de": r"^keine?n? [^.;]{1,30}?,? sondern |^nicht [^.;]{1,30}?,? sondern ",
    "it": r"^non (?:è )?[^.;]{1,30}?,? (?:ma|bensì) ",
    "pt": r"^não (?:é )?[^.;]{1,30}?,? mas (?:sim )?",
    "ru": r"^не [^.;]{1,30}?,? а ",
    "zh": r"^不是[^。]{1,12}?[，,]?而?是",
    "ja": r"^[^。]{1,12}?(?:では|じゃ)なく(?:て)?、?",
    "ko": r"^.{1,14}?[이가] 아니(?:라|고),? ",
    "hi": r"^.{1,24}? नहीं,? (?:बल्कि )?",
    "ar": r"^(?:ليست?|لا) [^.;]{1,24}?،? بل ",
}
"""What is named only to say that something else is meant."""
_NOT_SO = re.compile(
    r" (?:that|which|who) (?:is|are|was) (?:not|never) (?:an? )?[\w-]+(?: or [\w-]+)?"
    r"(?=$|[,.;])"
    r"| with (?:nothing|nobody|no one|no-one) (?:on|in|at|around|inside|near|under) "
    r"(?:it|top|them|him|her)\b"
    r"| and (?:nothing|nobody) (?:else|more)\b",
    re.IGNORECASE,
)
"""What English says that something is not, or that nothing is there."""

_EMPTY_SKY = re.compile(
    r"(?:\bclear )?\bsky (?:without|with no) (?:any |a single )?clouds?|"
    r"\bcloudless (?:blue )?sky|\bno clouds in (?:the|a) sky|"
    r"^(?:un )?cielo (?:sin nubes|despejado)$|^(?:un )?ciel sans nuages?$|"
    r"^(?:ein )?(?:wolkenloser himmel|himmel ohne wolken)$|"
    r"^(?:万里无云|无云|没有云)的(?:蓝天|天空)$",
    re.IGNORECASE,
)
_EMPTY_ROOM = re.compile(
    r"\b(?:empty )?room (?:without|with no) (?:any )?windows?|\bwindowless room", re.IGNORECASE
)
"""What is drawn with clouds or a window, where it is said to have none."""


def without_negated(text: str, language: str) -> str:
    """A text without what it says is missing; the same where that is all that it says.

    Args:
        text: canonical text.
        language: that it is read in.
    """
    text = _EMPTY_SKY.sub("sunny sky", text)
    text = _EMPTY_ROOM.sub("empty wall", text)
    if language in _INSTEAD:
        text = re.sub(_INSTEAD[language], "", text, flags=re.IGNORECASE).strip() or text
    if language == "en":
        text = _NOT_SO.sub("", text) or text
    pattern = _pattern(language)
    if pattern is None:
        return text
    left = " ".join(pattern.sub(" " if language not in ("zh", "ja") else "", text).split())
    return left.strip(" ,，、") or text


@cache
def _pattern(language: str) -> re.Pattern[str] | None:
    if language in _LEFT:
        return re.compile(_LEFT[language])
    if language not in _WITHOUT:
        return None
    if language in LATIN:
        words = {word for (word, *_) in LATIN[language].places | LATIN[language].joins}
        follow = rf"(?:$|[,.;!?]|(?:{'|'.join(sorted(words))}|is|are|est|ist|está)(?!\w))"
    noun = _NOUN.get(language, r"\w+")
    if language not in LATIN:
        follow = r"(?!\w)"
    more = rf"(?:(?:or|nor|ni|oder|né|nem|или|أو) {noun})?"
    return re.compile(rf",? (?:{_WITHOUT[language]}) {noun}{more}(?={follow})", re.IGNORECASE)
