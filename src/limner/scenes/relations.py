"""Words for how things stand to each other, in twelve languages.

A template is a regular expression of a clause of two phrases, in either order: *a wearing b*,
*戴着b的a*. ``relations.tsv`` lists the words of each language:

* Where relations stand between the two phrases, a row is a relation and its words. ``posture``
  are verbs that may stand before the words of a row that begins with ``+`` (*sitting on*), and
  that are dropped.
* In Chinese, Japanese, Korean and Hindi a row is a kind of words and their relation: ``side``
  (*on*, *behind*), ``act`` (verbs before or after what they are done to), ``said`` (the same
  verbs at the end of a sentence), ``way`` (verbs for a way past, over or to something). The
  functions below say where each kind stands. ``doing`` are other verbs that do something to a
  thing, ``posture`` verbs before a side, ``busy`` verbs behind it, ``there`` verbs for *there is*.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Literal, NamedTuple, cast, get_args

from limner.scenes.colours import COLOURS
from limner.scenes.sizes import ALIVE, facts_of, sized_names
from limner.tables import read_table
from limner.text.lexicon import LATIN
from limner.text.vocabulary import nouns_of

Contact = Literal[
    "wearing", "holding", "eating", "riding", "on", "in", "under", "behind", "front", "beside",
    "with", "around", "full", "made", "above", "below", "left", "right", "at", "doing",
]  # fmt: skip
"""How the first thing stands to the second.

``at`` only relates a thing to a place, and ``doing`` is any verb that the tables do not have.
"""
CONTACTS: tuple[Contact, ...] = get_args(Contact)

_ZH_ONE = "(?P<q>[一两兩二三四五六七八九十\\d]+[只隻个個条頭头匹位名群朵辆艘])?"
_HI_BEFORE = (
    "(?:एक|दो|तीन|चार|पाँच|पांच|छह|कई|कुछ|मेर[ाीे]|छोट[ाीे]|बड़[ाीे]|प्यार[ाीे]|सुंदर|खुश|बूढ़[ाीे]|"
    "काल[ाीे]|लाल|नील[ाीे]|हर[ाीे]|पील[ाीे]|सफ़?ेद|गुलाबी|भूर[ाीे]|बैंगनी|नारंगी)"
)
_HI_FIRST = f"(?P<a>(?:{_HI_BEFORE} )*(?!{_HI_BEFORE} )\\S+)"
"""The first thing of a sentence of Hindi, whose nouns follow each other without a word between."""
_HI_ENDS = (
    "(?: (?:बैठ|खड़|लेट|सो|तैर|उड़|खेल)(?:[ाीे]|त[ाीे])?)?(?: हु(?:ए|ई|आ))?(?: रह[ाीे]| रख[ाीे])?(?: हैं?)?"
)

_PAST = (
    "beat|bit|blew|bought|broke|brought|built|caught|chose|cut|dug|drew|fed|felt|fought|found|gave|"
    "got|had|heard|hid|hit|kept|knew|left|lost|made|met|paid|put|said|sang|saw|sent|set|shook|shot|"
    "sold|stole|swept|taught|threw|told|took|tore|won|wrote"
)
"""English verbs whose past has no ending, but for those of other relations."""
_SOME_EN = (
    "(?:two|three|four|five|six|seven|eight|nine|ten|some|many|several|fresh|"
    f"{'|'.join(COLOURS)}|white)"
)
"""What begins a noun in English without an article."""
_DOING: Mapping[str, str] = {
    "en": rf"(?:\w{{2,}}(?:ing|ed|(?<!s)s)|{_PAST})", "es": r"\w{3,}(?: al?)?", "fr": r"\w{3,}",
    "de": r"(?-i:[a-zäöü])\w{2,}t(?: sich)?", "it": r"\w{3,}", "pt": r"\w{3,}",
}  # fmt: skip
"""A word for what somebody does, before an article; in languages that have those."""

_VAGUE = frozenset({"人", "头", "脸", "私", "頭", "顔", "나", "저", "머리", "얼굴", "सिर", "चेहरा"})
"""Nouns for somebody that are parts of other words, and parts of bodies."""
_JA_VERB = "[^をがはに、。]{1,9}?(?:[るうくすつむぶぐただ]|ます|ました)"
_KO_PAST = "(?:다|요|까)"
_HI_DOING = r"(?!(?:खा|पी|चला|पहन|पकड़|बजा|पढ़|उठा)\S* रह)\S+ रह[ाीे](?: हैं?)?"


class Template(NamedTuple):
    """How a clause of two phrases is built: groups ``a``, ``b``, the words between them ``m``."""

    relation: Contact
    pattern: re.Pattern[str]


@cache
def templates(language: str) -> tuple[Template, ...]:
    """The templates of a language; none of one that is not taught."""
    maker = {"zh": _chinese, "ja": _japanese, "ko": _korean, "hi": _hindi}.get(language)
    found = _between(language) if maker is None else maker()
    return tuple(
        Template(name, re.compile(f"^{text}$", re.IGNORECASE | re.DOTALL)) for name, text in found
    )


_A, _B = "(?P<a>.+?)", "(?P<b>.+?)"
_LAST_A, _LAST_B = "(?P<a>.+)", "(?P<b>.+)"


@cache
def _words() -> Mapping[str, list[tuple[str, str]]]:
    """Language -> its rows of the table: relation and words."""
    found: dict[str, list[tuple[str, str]]] = {}
    for language, name, words in read_table("limner.scenes", "relations.tsv")[1:]:
        found.setdefault(language, []).append((name, words))
    return found


def _kind(language: str, kind: str) -> Mapping[Contact, str]:
    """Relation -> the words of a kind, such as ``side``, in the order of the table."""
    rows = ((name.partition(" "), words) for name, words in _words()[language])
    return {cast(Contact, name): words for (row, _, name), words in rows if row == kind and name}


def _between(language: str) -> Iterator[tuple[Contact, str]]:
    """Templates of a language whose relations stand between the two phrases."""
    if language == "en":  # which name the other thing first
        sides: Mapping[Contact, str] = {
            "on": "(?:all over|on top of|on)", "in": "(?:inside|in)", "above": "(?:over|above)",
            "under": "(?:under|underneath|beneath)", "behind": "behind",
            "beside": "(?:beside|next to|near)", "front": "in front of",
        }  # fmt: skip
        for name, side in sides.items():
            yield name, rf"{_B}\s+(?P<m>with)\s+{_A} {side} (?:it|him|her|them)"
        for name, side in (("above", "(?:above|overhead)"), ("behind", "behind"),
                           ("under", "underneath")):  # fmt: skip
            yield name, rf"{_B}\s+(?P<m>with)\s+{_A} {side}"
        yield "around", rf"{_B}\s+(?P<m>(?:is |are )?surrounded (?:by|with))\s+{_LAST_A}"
    rows = _words().get(language, [])
    posture = dict(rows).get("posture", "")
    for name in CONTACTS:
        for words in (words for row, words in rows if row == name):
            between = f"{posture}(?:{words[1:]})" if words.startswith("+") else words
            yield name, rf"{_A},?\s+(?P<m>{between})(?:\s+|(?<=['ب])){_LAST_B}"
    if language in _DOING:  # el vecino lava el coche: whatever it is that is done
        articles = "|".join(sorted(words[0] for words in LATIN[language].articles))
        verb = rf"(?!(?:{'|'.join(sorted(LATIN[language].stops))})\s){_DOING[language]}"
        follows = rf"(?:(?<= al)\s+|\s+(?=(?:{articles})\s))"  # Spanish writes *a el* so
        yield "doing", rf"{_A}\s+(?P<m>{verb}){follows}{_LAST_B}"
    if language == "en":  # watering red roses, walking two dogs
        yield "doing", rf"{_A}\s+(?P<m>(?:is |are )?\w{{3,}}ing)\s+(?={_SOME_EN}\s){_LAST_B}"
        some = rf"(?!(?:{'|'.join(sorted(LATIN['en'].stops))})\s)(?P<b>(?:\w+ )?\w{{2,}}(?<!s)s)"
        who = rf"(?P<a>(?:an?|the|my|one) (?:\w+ ){{0,2}}{_somebody('en')})"
        yield "doing", rf"{who}\s+(?P<m>\w{{3,}}(?<!s)s)\s+{some}"  # a girl picks flowers
        anyone = rf"(?P<a>(?:\w+ ){{0,3}}{_somebody('en')}s?)"
        yield "doing", rf"{anyone}\s+(?P<m>(?:is |are )?\w{{3,}}ing)\s+{some}"  # mom cutting onions
    if language == "de":  # ein Mann, der ein Pferd reitet
        verbs: Mapping[Contact, str] = {
            "wearing": "trägt", "holding": "hält", "eating": "(?:isst|frisst)", "riding": "reitet",
        }  # fmt: skip
        for name, verb in verbs.items():
            yield name, rf"{_A},? (?P<m>(?:der|die|das)) {_B} {verb}"


@cache
def _somebody(language: str) -> str:
    """A regular expression of the nouns of a language for persons and animals."""
    own = language == "en"
    known = ((name, name) for name in sized_names()) if own else nouns_of(language).items()
    nouns = [noun for noun, name in known if facts_of(name).role in ALIVE and noun not in _VAGUE]
    return f"(?:{'|'.join(map(re.escape, sorted(nouns, key=len, reverse=True)))})"


def _chinese() -> Iterator[tuple[Contact, str]]:
    words = dict(_words()["zh"])
    sides = _kind("zh", "side")
    for name, side in sides.items():
        yield name, f"{_A}(?P<m>{words['posture']}){_B}的?{side}{words['busy']}"
        yield name, f"(?:在)?{_B}(?P<m>的?{side}{words['busy']}的){_LAST_A}"
        yield name, f"(?:在)?{_B}(?P<m>的?{side}{words['there']}){_LAST_A}"
    yield "at", f"{_A}(?P<m>{words['posture']}){_LAST_B}"
    yield "at", f"(?:在)?{_B}(?P<m>(?:的|有)){_LAST_A}"
    for name, act in _kind("zh", "act").items():
        yield name, f"{_ZH_ONE}(?P<m>(?:正在|在)?{act}){_B}的{_LAST_A}"
        yield name, f"{_A}(?<!的)(?P<m>(?:头上|身上|脚上|正在|在)?{act})(?!的){_LAST_B}"
    for name, ways in _kind("zh", "way").items():
        yield name, f"{_A}(?P<m>(?:正在)?{ways}(?:了|着)?)(?!.*的){_LAST_B}"
    who = _somebody("zh")
    yield (
        "doing",
        f"(?P<a>.*{who}们?(?:[坐站躺趴蹲]?在[^，。的]{{1,6}}?)?)(?P<m>(?:正在|正|在|一起)?{words['doing']})"
        f"(?![的在])(?![^的]+的[^的]*{who}$){_LAST_B}",
    )
    yield "doing", f"{_ZH_ONE}(?P<m>(?:正在|在)?{words['doing']}){_B}的(?P<a>.*{who}们?)"
    for name in ("in", "on", "under", "beside"):  # 在厨房里做蛋糕的熊猫
        yield name, f"在{_B}(?P<m>{sides[name]})(?=[^的]+的[^的]*{who}$){_LAST_A}"
    yield "made", f"(?P<m>用?){_B}(?:做成|制成|制作|做|制)的{_LAST_A}"
    yield "with", f"{_ZH_ONE}(?P<m>带着|有着){_B}的{_LAST_A}"


def _japanese() -> Iterator[tuple[Contact, str]]:
    posed = (
        "(?:いる|ある|座る|座った|座っている|立つ|立っている|寝ている|乗った|置かれた|隠れた|"
        "隠れている|止まった|泳ぐ|飛ぶ)?"
    )
    said = (
        "(?:いる|ある|座っている|立っている|寝ている|隠れている|止まっている|います|あります|"
        "泳いでいる)"
    )
    for name, side in _kind("ja", "side").items():
        yield (
            name,
            f"{_B}(?P<m>{side}(?:に|で|の){posed})(?!(?:いる|います|ある|{said})$){_LAST_A}",
        )
        yield name, f"{_A}[がは]{_B}(?P<m>{side})[にで]{said}"
    finite = _kind("ja", "said")
    for name, act in _kind("ja", "act").items():
        yield name, f"{_B}(?P<m>{act}){_LAST_A}"
        yield name, f"{_A}(?P<m>[がは]){_B}{finite[name]}(?:います)?"
    lying = "(?:寝ている|眠っている|座っている|立っている|寝ています|座っています)"
    yield "on", f"{_A}[がは]{_B}(?P<m>[にで]){lying}"
    posed_on = "(?:座(?:る|った|っている)|(?:止|留|と)ま(?:る|った|っている))"
    yield "on", f"{_B}(?P<m>に{posed_on}|で(?:寝|眠っ)ている){_LAST_A}"
    yield (
        "at",
        f"{_B}(?P<m>(?:に|で)(?:いる|立つ|立っている|泳ぐ|泳いでいる|飛ぶ|飛んでいる|遊ぶ|浮かぶ)){_LAST_A}",
    )
    who = f"{_somebody('ja')}(?:たち|達)?"
    yield "doing", f"(?P<a>.*{who})(?P<m>[がは]){_B}を{_JA_VERB}"
    yield "doing", f"{_B}(?P<m>を{_JA_VERB})(?P<a>(?:[^をがはに、。]{{1,6}}[のいなた])?{who})"
    yield "in", f"{_B}(?P<m>に(?:入った|入っている|入れた)){_LAST_A}"
    yield "with", f"{_B}(?P<m>で(?:遊|飛)(?:ぶ|んでいる|んだ)){_LAST_A}"
    yield (
        "at",
        f"{_B}(?P<m>を(?:走|歩|飛|泳|渡|散歩)(?:[るくぶぐ]|[っんい][てで]いる|する|している)){_LAST_A}",
    )
    yield "at", f"{_B}(?P<m>で)(?!きた|きている){_LAST_A}"
    yield "at", f"{_B}(?P<m>(?:の|と)){_LAST_A}"


def _korean() -> Iterator[tuple[Contact, str]]:
    posed = "(?:있는 |앉은 |앉아 있는 |서 있는 |누워 있는 |자는 |숨은 |떠 있는 )?"
    for name, side in _kind("ko", "side").items():
        yield name, f"{_B}(?:의)? (?P<m>{side}(?:에서|에|의)?) {posed}(?!있(?:다|어요)$){_LAST_A}"
        yield (
            name,
            f"{_A}[이가은는] {_B} (?P<m>{side}에) (?:있다|앉아 있다|서 있다|있어요|누워 있다)",
        )
    for name, act in _kind("ko", "said").items():
        ends = f"[을를에] {act} 있(?:다|어요|습니다|음)"
        yield name, f"{_A}(?P<m>[이가은는]) {_B}{ends}"
    for name, act in _kind("ko", "act").items():
        yield name, f"{_B}(?P<m>{act}) {_LAST_A}"
    yield "doing", rf"(?P<a>.*{_somebody('ko')}들?)(?P<m>[이가은는]) {_B}[을를] \S.*{_KO_PAST}"
    yield "doing", rf"{_B}(?P<m>[을를] (?:\S+고 있는|\S+는)) {_LAST_A}"
    lying = "(?:자는|자고 있는|누운|누워 있는|앉은|앉아 있는)"
    yield "on", f"{_B}(?P<m>(?:에서|에) {lying}) {_LAST_A}"
    yield "at", f"{_B}(?P<m>(?:에서|에|의)) {posed}{_LAST_A}"


def _hindi() -> Iterator[tuple[Contact, str]]:
    posture = dict(_words()["hi"])["posture"]
    for kind in ("said", "side"):  # बिल्ली दूध पी रही है
        for name, end in _kind("hi", kind).items():
            yield name, f"{_HI_FIRST} {_B} (?P<m>{end}{_HI_ENDS})"
    inside = "(?P<b>\\S+(?: \\S+){0,2}? (?:में|पर) .+?)"
    for name, end in _kind("hi", "said").items():  # पांडा रसोई में केक लिए है
        yield name, f"{_HI_FIRST}(?P<m> ){inside} {end}{_HI_ENDS}"
    yield "doing", f"{_HI_FIRST}(?P<m> )(?P<b>.+?)(?<!में)(?<!पर)(?<!से)(?<!बाहर)(?: को)? {_HI_DOING}"
    for name, act in _kind("hi", "act").items():
        yield name, f"{_B} (?P<m>{act}) (?!हैं?$){_LAST_A}"
    for name, side in _kind("hi", "side").items():
        yield name, f"{_B} (?P<m>{side}) {posture}{_LAST_A}"
