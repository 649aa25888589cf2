"""Cutting Chinese, Japanese and the scripts of South-East Asia, which write no spaces."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

_HAN = "\u3005\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_HIRAGANA = "\u3041-\u309f"
_KATAKANA = "\u30a0-\u30ff\uff66-\uff9f"
_THAI = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"

SPACELESS = re.compile(f"[{_HAN}{_HIRAGANA}{_KATAKANA}{_THAI}]")
_KANA = re.compile(f"[{_HIRAGANA}{_KATAKANA}]")
_THAI_RUN = re.compile(f"[{_THAI}]")

# Words in which a cutting character does not cut.
_PROTECTED = re.compile(
    "和平|和服|和尚|和谐|和諧|和睦|和解|和風|和食|共和|温和|溫和|柔和|饱和|飽和|总和|高跟|埃及|"
    "涉及|普及|参与|參與|中间人|上海|下雨|下雪|红绿灯|紅綠燈|目的|的确|的確|的士|存在|自在|现在|現在"
)
_ZH_JOIN = re.compile("以及|还有|還有|[和与與及跟、]")
_PLACE_ENDS = "[边邊侧側面方]"
_ZH_PLACE = re.compile(
    f"(?:[左右上下前后後里裡外旁]{_PLACE_ENDS}|中间|中間|之间|之間|之上|之下|对面|對面|顶上|頂上)"
)
_ZH_COUNT = re.compile(
    "(?:[一二两兩三四五六七八九十几幾半0-9０-９]+)"
    "[只隻个個颗顆朵条條张張辆輛棵匹位件杯碗瓶块塊座栋棟间間枝架艘台串束双雙对對群堆根粒幅盏盞把頭头]"
)
_ZH_COLOUR = re.compile("^([深浅淺]?[红紅绿綠蓝藍黄黃黑白紫橙粉灰棕]色?|[金银銀]色)(..+)$")
_ZH_VERB = re.compile("(?<=..)([骑騎吃喝拿戴穿抱玩坐])(?=.)")
_JA_JOIN = re.compile(
    f"(?<=[^{_HIRAGANA}])(?:と|や|および|及び)(?=.)|(?<=.)(?:と|や)(?=[^{_HIRAGANA}])|、"
)
_JA_PLACE = re.compile(
    "の(上|下|左側|右側|左|右|横|隣|となり|前|後ろ|中|そば|間)(?:に|で|の|を|へ)?(?=.)"
)
_JA_WORD = re.compile(
    f"[{_KATAKANA}]+|[{_HAN}]+(?:[いきなしくたるむぶぐつす](?![{_HIRAGANA}])|しい|るい|きい|さい|かい|たい)?"
    f"|[{_HIRAGANA}]+|[^{_HAN}{_HIRAGANA}{_KATAKANA}]+"
)
_JA_PARTICLE = frozenset("のはがをにでともへや") | {
    "から", "まで", "より", "です", "ます", "いる", "ある", "にいる", "がいる", "がある",
    "している", "した",
}  # fmt: skip
_TH_JOIN = re.compile("และ|หรือ|(?<=..)กับ(?=..)")
_TH_PLACE = re.compile(
    "ด้านซ้ายของ|ด้านขวาของ|ทางซ้ายของ|ทางขวาของ|ข้างหน้า|ข้างหลัง|ข้าง|ใต้|(?<=..)บน(?=..)|(?<=..)ใน(?=..)"
)
_LONGEST_WORD = 6
_CHUNK = 4


@cache
def whole_words(words: str, *, joined: bool = False) -> re.Pattern[str]:
    """A pattern of words in any case, apart from other letters; anywhere in scripts without spaces.

    Args:
        words: alternatives, a regular expression.
        joined: anywhere, too: they are of a language that joins other words to them, or whose
            vowel signs count as no letters.
    """
    whole = words if joined or SPACELESS.search(words) else rf"(?<!\w)(?:{words})(?!\w)"
    return re.compile(whole, re.IGNORECASE)


def cut_spaceless(text: str) -> Iterator[tuple[str, str]]:
    """``(kind, text)`` of the phrases and relations of a run without spaces or punctuation."""
    if _THAI_RUN.search(text):
        yield from _cut(text, _TH_JOIN, _TH_PLACE)
    elif _KANA.search(text):
        yield from _cut(text, _JA_JOIN, _JA_PLACE)
    else:
        yield from _cut_chinese(text)


def words_of_spaceless(phrase: str) -> list[str]:
    """The content words of one phrase: short runs between particles, counts and colours."""
    if _THAI_RUN.search(phrase):
        return [phrase]
    if _KANA.search(phrase):
        return [word for word in _JA_WORD.findall(phrase) if word not in _JA_PARTICLE]
    words: list[str] = []
    for part in _split(phrase, re.compile("[的地之]")):
        words.extend(_chinese_words(part))
    return words


def _cut(text: str, join: re.Pattern[str], place: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    for part in _split(text, join):
        start = 0
        for match in place.finditer(part):
            if part[start : match.start()].strip():
                yield "phrase", part[start : match.start()].strip()
            yield "relation", match[match.lastindex or 0]
            start = match.end()
        if part[start:].strip():
            yield "phrase", part[start:].strip()


def _cut_chinese(text: str) -> Iterator[tuple[str, str]]:
    for kind, part in _cut(text, _ZH_JOIN, _ZH_PLACE):
        if kind == "relation":
            yield kind, part
            continue
        starts = [m.start() for m in _ZH_COUNT.finditer(part) if m.start() > 0]
        for begin, end in zip([0, *starts], [*starts, len(part)], strict=True):
            for phrase in _split(part[begin:end], re.compile("在|有(?=.)|是")):
                trimmed = phrase.strip().removeprefix("的").removesuffix("的")
                if trimmed:
                    yield "phrase", trimmed


def _chinese_words(part: str) -> list[str]:
    words: list[str] = []
    counted = _ZH_COUNT.match(part)
    if counted:
        if not counted[0].startswith("一"):
            words.append(counted[0])
        part = part[counted.end() :]
    colour = None if _PROTECTED.match(part) else _ZH_COLOUR.match(part)
    if colour:
        words.append(colour[1])
        part = colour[2]
    runs = _ZH_VERB.split(part) if len(part) > _CHUNK else [part]
    for run in filter(None, runs):
        if len(run) <= _LONGEST_WORD:
            words.append(run)
        else:
            words.extend(run[i : i + _CHUNK] for i in range(0, len(run), _CHUNK))
    return words


def _split(text: str, pattern: re.Pattern[str]) -> list[str]:
    """Split where ``pattern`` matches outside protected words; empty parts are left out."""
    protected = [m.span() for m in _PROTECTED.finditer(text)]
    parts, start = [], 0
    for match in pattern.finditer(text):
        if any(a <= match.start() < b for a, b in protected):
            continue
        parts.append(text[start : match.start()])
        start = match.end()
    parts.append(text[start:])
    return [part for part in parts if part]
