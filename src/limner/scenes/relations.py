"""Words for how things stand to each other, in twelve languages.

A template is a regular expression of a clause of two phrases, in either order: *a wearing b*,
*戴着b的a*. Of languages whose relations stand between the two phrases, ``relations.tsv`` lists the
words: ``posture`` are verbs that may stand before the words of a row that begins with ``+``
(*sitting on*), and that are dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Literal, NamedTuple, get_args

from limner.scenes.colours import COLOURS
from limner.scenes.sizes import facts_of
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
_ZH_POSED = "(?:正)?(?:坐|站|躺|趴|停|落|睡|走|游|飞|漂|飘|放|挂|跑|蹲|睡觉)?(?:着)?在"
_ZH_DONE = (
    "(?:休息|讲课|上课|学习|工作|唱歌|跳舞|看书|写字|画画|做饭|钓鱼"
    "|睡觉|玩耍|玩|飞翔|飞|游泳|游|散步|奔跑|跑步|跑)?"
)
_ZH_THERE = "(?:有着|有|放着|坐着|站着|停着|躺着|飞着|挂着|摆着|下着|是)"
_ZH_SIDES: Mapping[Contact, str] = {
    "on": "(?:顶上|头上|上)", "in": "(?:里面|里|中间|中|内|之中)",
    "under": "(?:下面|底下|之下|下)",
    "behind": "(?:后面|後面|背后|身后|后)", "front": "(?:前面|面前|前)",
    "beside": "(?:旁边|旁邊|边上|身边|附近|旁)", "around": "(?:周围|四周)",
    "above": "(?:上面|上方|上空|之上)", "below": "(?:下方)",
}  # fmt: skip
_ZH_ACTS: Mapping[Contact, str] = {
    "wearing": "(?:戴|穿(?!山甲|过|越)|披(?!萨|薩)|系(?!列|统)|围(?!巾|裙|棋|墙|栏))(?:着|了|上)?",
    "holding": "(?:(?:手)?(?:拿|捧|抱)(?:着|了)?|(?:举|提|背|牵|叼|握|拉|读|玩)着|"
    "弹(?:着|奏)?(?=钢琴|吉他|琴)|堆(?:着)?(?=沙堡|雪人|沙子)|(?:看|读)(?:着)?(?=书|报)|踢(?:着)?(?=足?球)|放(?:着)?(?=风筝)|"
    "吹(?:着)?(?=气球|泡泡|笛|号|小号|喇叭)|打(?:着)?(?=鼓|篮球|伞))",
    "eating": "(?:吃|喝|啃|咬)(?:着|了)?",
    "riding": "(?:骑(?!士|兵|手)|开(?=车|汽车|飞机|船)|驾驶)(?:着|了)?",
    "front": "(?:靠|倚)(?:着|在)",
    "beside": "(?:追赶?着?|亲吻|拥抱|看着|追逐|(?<!干)洗(?!衣机|手间|发|碗)"
    "|(?<![维装])修(?!女|理|正)|喂|遛|摸|摘|(?<![外小])卖(?!部|场))(?:着|了)?",
    "full": "(?:里)?(?:装满|盛满|堆满|满是)(?:了|着)?",
}  # fmt: skip
_ZH_WAYS: Mapping[Contact, str] = {
    "in": "(?:穿过|穿越|驶过|驶入|开过|开进|走过|游过|跑过|路过|经过)",
    "above": "(?:飞过|飞越|跳过|掠过|跨过|越过)",
    "beside": "(?<!过)(?:去|前往|走向|飞向|跑向|开往|驶向)(?!年|世|掉|除|了$)",
}  # fmt: skip
"""Verbs of Chinese for a way past, over or to something."""
_JA_SIDES: Mapping[Contact, str] = {
    "on": "の上", "in": "の中", "under": "の下", "behind": "の後ろ", "front": "の前",
    "beside": "の(?:隣|横|そば|となり)", "around": "の(?:周り|まわり)",
}  # fmt: skip
_JA_ACTS: Mapping[Contact, tuple[str, str]] = {
    "wearing": ("を(?:かぶった|かぶっている|かぶる|被った|着た|着ている|かけた|かけている|つけた|"
                "つけている|履いた|はいた|巻いた)",
                "を(?:かぶ|被|着|かけ|つけ|履|は|巻)[っいてるたり]+"),
    "holding": ("を(?:持った|持っている|持つ|抱いた|抱えた|抱いている|弾く|弾いている|読む|"
                "読んでいる|くわえた|さした|さしている|差した|差している|振る|振っている|蹴る|演奏する|吹く|吹いている)",
                "を(?:持|抱|弾|読|蹴)[っいえくむんでてるた]+"),
    "eating": ("を(?:食べる|食べている|食べた|飲む|飲んでいる|かじる)",
               "を(?:食べ|飲|かじ)[むんでてっいるた]+"),
    "riding": ("に(?:乗る|乗った|乗っている|またがった|またがる)", "に(?:乗|またが)[っているた]+"),
    "full": ("(?:で|が)(?:いっぱいの|満たされた|入った|詰まった)", "で(?:いっぱい|満たされている)"),
    "made": ("(?:で|から)(?:できた|作った|作られた|できている)", "でできている"),
}  # fmt: skip
_KO_SIDES: Mapping[Contact, str] = {
    "on": "위", "in": "(?:안|속)", "under": "(?:아래|밑)", "behind": "뒤", "front": "앞",
    "beside": "(?:옆|곁)", "around": "주위",
}  # fmt: skip
_KO_ACTS: Mapping[Contact, str] = {
    "wearing": "[을를] (?:쓴|쓰고 있는|입은|입고 있는|낀|끼고 있는|신은|착용한|두른)",
    "holding": "[을를] (?:든|들고 있는|안은|안고 있는|연주하는|읽는|읽고 있는|치는|가진)",
    "eating": "[을를] (?:먹는|먹고 있는|마시는|마시고 있는)",
    "riding": "[을를에] (?:탄|타는|타고 있는)", "full": "(?:[이가]|으?로) (?:가득한|가득 찬|담긴)",
    "made": "으?로 (?:만든|만들어진)",
}  # fmt: skip
_KO_SAID: Mapping[Contact, str] = {
    "wearing": "(?:쓰|입|끼|신)고", "holding": "(?:들|안|연주하|읽|치)고",
    "eating": "(?:먹|마시)고", "riding": "타고",
}  # fmt: skip
_HI_SIDES: Mapping[Contact, str] = {
    "on": "(?:के ऊपर|पर)", "in": "(?:के अंदर|में)", "under": "के नीचे", "behind": "के पीछे",
    "front": "के सामने", "beside": "(?:के पास|के बगल में|के साथ)", "around": "के चारों ओर",
}  # fmt: skip
_HI_ACTS: Mapping[Contact, str] = {
    "wearing": "(?:पहने हुए|पहने|पहनी हुई|पहनी|पहना हुआ)",
    "holding": "(?:पकड़े हुए|पकड़े|लिए हुए|लिए|(?:बजात|पढ़त|उठाए)\\S*(?: हु\\S+)?)",
    "eating": "(?:खात|पीत)\\S*(?: हु\\S+)?", "riding": "(?:पर सवार|की सवारी करत\\S*(?: हु\\S+)?)",
    "full": "से भर\\S+(?: हु\\S+)?", "made": "से बन\\S+(?: हु\\S+)?",
}  # fmt: skip
_HI_BEFORE = (
    "(?:एक|दो|तीन|चार|पाँच|पांच|छह|कई|कुछ|मेर[ाीे]|छोट[ाीे]|बड़[ाीे]|प्यार[ाीे]|सुंदर|खुश|बूढ़[ाीे]|"
    "काल[ाीे]|लाल|नील[ाीे]|हर[ाीे]|पील[ाीे]|सफ़?ेद|गुलाबी|भूर[ाीे]|बैंगनी|नारंगी)"
)
_HI_FIRST = f"(?P<a>(?:{_HI_BEFORE} )*(?!{_HI_BEFORE} )\\S+)"
"""The first thing of a sentence of Hindi, whose nouns follow each other without a word between."""
_HI_SAID: Mapping[Contact, str] = {
    "wearing": "पहन(?:े|ी|ा|त[ाीे])?",
    "holding": "(?:पकड़(?:े|त[ाीे])?|लिए|उठा(?:ए|त[ाीे])?|बजा(?:त[ाीे])?|पढ़(?:त[ाीे])?)",
    "eating": "(?:खा|पी)(?:त[ाीे])?",
    "riding": "(?:चला(?:त[ाीे])?|(?:की|पर) सवार(?:ी कर(?:त[ाीे])?)?)",
}  # fmt: skip
_HI_ENDS = (
    "(?: (?:बैठ|खड़|लेट|सो|तैर|उड़|खेल)(?:[ाीे]|त[ाीे])?)?(?: हु(?:ए|ई|आ))?(?: रह[ाीे]| रख[ाीे])?(?: हैं?)?"
)
_HI_POSED = "(?:(?:बैठ|खड़|लेट|तैरत|उड़त|सोत)\\S*(?: हु\\S+)? )?"

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
    "de": r"(?-i:[a-zäöü])\w{2,}t", "it": r"\w{3,}", "pt": r"\w{3,}",
}  # fmt: skip
"""A word for what somebody does, before an article; in languages that have those."""

_ALIVE = ("person", "being", "ridden", "bird", "swimmer")
_VAGUE = frozenset({"人", "头", "脸", "私", "頭", "顔", "나", "저", "머리", "얼굴", "सिर", "चेहरा"})
"""Nouns for somebody that are parts of other words, and parts of bodies."""
_ZH_DOES = (
    "(?:制作|烘焙|烘烤|购买|打开|打扫|清洗|清洁|收拾|搬运|装饰|布置|修理|修补|建造|搭建|参观|整理|"
    "做(?!梦|客|爱)|烤(?!鸭|箱|炉|肉)|煮|炒|煎(?!饼)|炸|揉|买(?!家)|切(?!片)|剪(?!刀|纸)|"
    "写(?!字|作|生)|画(?!像|框|家|室|板|面|册|笔|画)|搬|扛|递|端|缝|挖|挑|拆|拼|搭|折|扔|丢|捡|"
    "推|拉(?!面|链)|擦|扫(?!帚|把|地)|拖(?!地|鞋|把)|建|盖(?!子)|造|装|种(?!类|花)|采(?!访)|送|"
    "敲|望着|看(?!书|报|电视|见|起来)|包(?=饺子|粽子|汤圆|礼物)|浇(?!花))(?:着|了|到|好)?"
)
"""Verbs of Chinese that do something to a thing, before it."""
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
    if language == "de":  # ein Mann, der ein Pferd reitet
        verbs: Mapping[Contact, str] = {
            "wearing": "trägt", "holding": "hält", "eating": "(?:isst|frisst)", "riding": "reitet",
        }  # fmt: skip
        for name, verb in verbs.items():
            yield name, rf"{_A},? (?P<m>(?:der|die|das)) {_B} {verb}"


@cache
def _somebody(language: str) -> str:
    """A regular expression of the nouns of a language for persons and animals."""
    known = nouns_of(language).items()
    nouns = [noun for noun, name in known if facts_of(name).role in _ALIVE and noun not in _VAGUE]
    return f"(?:{'|'.join(map(re.escape, sorted(nouns, key=len, reverse=True)))})"


def _chinese() -> Iterator[tuple[Contact, str]]:
    for name, side in _ZH_SIDES.items():
        yield name, f"{_A}(?P<m>{_ZH_POSED}){_B}的?{side}{_ZH_DONE}"
        yield name, f"(?:在)?{_B}(?P<m>的?{side}的){_LAST_A}"
        yield name, f"(?:在)?{_B}(?P<m>的?{side}{_ZH_THERE}){_LAST_A}"
    yield "at", f"{_A}(?P<m>{_ZH_POSED}){_LAST_B}"
    yield "at", f"(?:在)?{_B}(?P<m>(?:的|有)){_LAST_A}"
    for name, act in _ZH_ACTS.items():
        yield name, f"{_ZH_ONE}(?P<m>(?:正在|在)?{act}){_B}的{_LAST_A}"
        yield name, f"{_A}(?<!的)(?P<m>(?:头上|身上|脚上|正在|在)?{act})(?!的){_LAST_B}"
    for name, ways in _ZH_WAYS.items():
        yield name, f"{_A}(?P<m>(?:正在)?{ways}(?:了|着)?)(?!.*的){_LAST_B}"
    who = _somebody("zh")
    yield (
        "doing",
        f"(?P<a>.*{who}们?(?:[坐站躺趴蹲]?在[^，。的]{{1,6}}?)?)(?P<m>(?:正在|正|在|一起)?{_ZH_DOES})"
        f"(?![的在])(?![^的]+的[^的]*{who}$){_LAST_B}",
    )
    yield "doing", f"{_ZH_ONE}(?P<m>(?:正在|在)?{_ZH_DOES}){_B}的(?P<a>.*{who}们?)"
    for name in ("in", "on", "under", "beside"):  # 在厨房里做蛋糕的熊猫
        yield name, f"在{_B}(?P<m>{_ZH_SIDES[name]})(?=[^的]+的[^的]*{who}$){_LAST_A}"
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
    for name, side in _JA_SIDES.items():
        yield (
            name,
            f"{_B}(?P<m>{side}(?:に|で|の){posed})(?!(?:いる|います|ある|{said})$){_LAST_A}",
        )
        yield name, f"{_A}[がは]{_B}(?P<m>{side})[にで]{said}"
    for name, (before, after) in _JA_ACTS.items():
        yield name, f"{_B}(?P<m>{before}){_LAST_A}"
        yield name, f"{_A}(?P<m>[がは]){_B}{after}(?:います)?"
    lying = "(?:寝ている|眠っている|座っている|立っている|寝ています|座っています)"
    yield "on", f"{_A}[がは]{_B}(?P<m>[にで]){lying}"
    yield "on", f"{_B}(?P<m>に(?:座った|座る|座っている)){_LAST_A}"
    yield (
        "at",
        f"{_B}(?P<m>(?:に|で)(?:いる|立つ|立っている|泳ぐ|泳いでいる|飛ぶ|飛んでいる|遊ぶ|浮かぶ)){_LAST_A}",
    )
    who = f"{_somebody('ja')}(?:たち|達)?"
    yield "doing", f"(?P<a>.*{who})(?P<m>[がは]){_B}を{_JA_VERB}"
    yield "doing", f"{_B}(?P<m>を{_JA_VERB})(?P<a>{who})"
    yield "at", f"{_B}(?P<m>で)(?!きた|きている){_LAST_A}"
    yield "at", f"{_B}(?P<m>(?:の|と)){_LAST_A}"


def _korean() -> Iterator[tuple[Contact, str]]:
    posed = "(?:있는 |앉은 |앉아 있는 |서 있는 |누워 있는 |자는 |숨은 |떠 있는 )?"
    for name, side in _KO_SIDES.items():
        yield name, f"{_B}(?:의)? (?P<m>{side}(?:에서|에|의)?) {posed}(?!있(?:다|어요)$){_LAST_A}"
        yield (
            name,
            f"{_A}[이가은는] {_B} (?P<m>{side}에) (?:있다|앉아 있다|서 있다|있어요|누워 있다)",
        )
    for name, act in _KO_SAID.items():
        ends = f"[을를에] {act} 있(?:다|어요|습니다|음)"
        yield name, f"{_A}(?P<m>[이가은는]) {_B}{ends}"
    for name, act in _KO_ACTS.items():
        yield name, f"{_B}(?P<m>{act}) {_LAST_A}"
    yield "doing", rf"(?P<a>.*{_somebody('ko')}들?)(?P<m>[이가은는]) {_B}[을를] \S.*{_KO_PAST}"
    yield "doing", rf"{_B}(?P<m>[을를] (?:\S+고 있는|\S+는)) {_LAST_A}"
    yield "at", f"{_B}(?P<m>(?:에서|에|의)) {posed}{_LAST_A}"


def _hindi() -> Iterator[tuple[Contact, str]]:
    for ends in (_HI_SAID, _HI_SIDES):  # बिल्ली दूध पी रही है
        for name, end in ends.items():
            yield name, f"{_HI_FIRST} {_B} (?P<m>{end}{_HI_ENDS})"
    inside = "(?P<b>\\S+(?: \\S+){0,2}? (?:में|पर) .+?)"
    for name, end in _HI_SAID.items():  # पांडा रसोई में केक लिए है
        yield name, f"{_HI_FIRST}(?P<m> ){inside} {end}{_HI_ENDS}"
    yield "doing", f"{_HI_FIRST}(?P<m> )(?P<b>.+?)(?<!में)(?<!पर)(?<!से)(?: को)? {_HI_DOING}"
    for name, act in _HI_ACTS.items():
        yield name, f"{_B} (?P<m>{act}) (?!हैं?$){_LAST_A}"
    for name, side in _HI_SIDES.items():
        yield name, f"{_B} (?P<m>{side}) {_HI_POSED}{_LAST_A}"
