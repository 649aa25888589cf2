"""Numbers that are said otherwise than by a numeral, in digits: *elf Vögel*, *media docena*, قطتان.

The planner has learned the numerals from one to nine of its languages, and digits. Larger numbers,
dozens, handfuls and the duals of Arabic are written in digits before a text is planned.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, partial

from limner.text.names import has_article
from limner.text.vocabulary import singular_of_dual

_HANDFUL = 5
TEENS: Mapping[str, str] = {
    "es": "once doce trece catorce quince dieciséis diecisiete dieciocho diecinueve veinte",
    "fr": "onze douze treize quatorze quinze seize dix-sept dix-huit dix-neuf vingt",
    "de": "elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn achtzehn neunzehn zwanzig",
    "it": "undici dodici tredici quattordici quindici sedici diciassette diciotto diciannove venti",
    "pt": "onze doze treze quatorze quinze dezesseis dezessete dezoito dezenove vinte",
    "ru": "одиннадцать двенадцать тринадцать четырнадцать пятнадцать шестнадцать семнадцать "
    "восемнадцать девятнадцать двадцать",
    "hi": "ग्यारह बारह तेरह चौदह पंद्रह सोलह सत्रह अठारह उन्नीस बीस",
    "ko": "열한 열두 열세 열네 열다섯 열여섯 열일곱 열여덟 열아홉 스무",
}
"""Numerals from eleven to twenty."""
_TEN_AR = r"\s+عشرة?"
_TEENS_AR = tuple(
    (value, re.compile(rf"(?<!\w)(?:{words})\s+(?=\w)")) for value, words in (
        (11, f"[إا]حد[ىي]?{_TEN_AR}"), (12, f"[إا]ثن(?:[اي]|ت[اي]){_TEN_AR}"),
        (13, f"ثلاثة?{_TEN_AR}"),
        (14, f"[أا]ربعة?{_TEN_AR}"), (15, f"خمسة?{_TEN_AR}"), (16, f"ستة?{_TEN_AR}"),
        (17, f"سبعة?{_TEN_AR}"), (18, f"ثماني?ة?{_TEN_AR}"), (19, f"تسعة?{_TEN_AR}"),
        (20, "عشر(?:ون|ين)"),
    )
)  # fmt: skip
_NUMERALS: Mapping[str, Mapping[int, str]] = {
    code: dict(zip((2, 3, 4, 5, 6, 10, 12), words.split(), strict=True))
    for code, words in {
        "en": "two three four five six ten twelve", "es": "dos tres cuatro cinco seis diez doce",
        "fr": "deux trois quatre cinq six dix douze", "de": "zwei drei vier fünf sechs zehn zwölf",
        "it": "due tre quattro cinque sei dieci dodici",
        "pt": "dois três quatro cinco seis dez doze",
    }.items()
}  # fmt: skip
"""Numerals of languages that are known by them."""
_ENGLISH_TOO = {"es": (11, "once"), "de": (11, "elf")}
"""Numerals that are words of English for something else."""
_GROUPS: Mapping[str, Mapping[int, str]] = {
    "en": {
        6: "half a dozen|a half[- ]dozen", 3: "an? (?:trio|threesome|triplet) of",
        4: "an? (?:quartet|foursome) of", 5: "an? quintet of",
        2: "an? (?:duo|couple) of|a brace of",
        _HANDFUL: "an? handful of(?= (?:[\\w-]+ ){0,2}\\w+s\\b)",
    },
    "es": {
        6: "media docena de", 2: "una? (?:par|pareja) de",
        3: "un tr[ií]o de", _HANDFUL: "un puñado de",
    },
    "fr": {
        6: "une demi-douzaine d(?:e |['’])", 12: "une douzaine d(?:e |['’])",
        10: "une dizaine d(?:e |['’])",
        2: "une paire d(?:e |['’])|un couple d(?:e |['’])", 3: "un trio d(?:e |['’])",
        _HANDFUL: "une poignée d(?:e |['’])",
    },
    "de": {
        6: "(?:ein )?halbes dutzend", 12: "(?:ein )?dutzend", 2: "(?-i:ein Paar)",
        3: "ein trio|(?-i:ein paar)", _HANDFUL: "(?:eine )?handvoll",
    },
    "it": {
        6: "(?:una )?mezza dozzina di", 12: "una dozzina di", 10: "una decina di",
        2: "un paio di|una coppia di", 3: "un trio di", _HANDFUL: "una manciata di",
    },
    "pt": {
        6: "(?:uma )?meia dúzia de", 2: "um (?:par|casal) de",
        3: "um trio de", _HANDFUL: "um punhado de",
    },
    "ru": {
        6: "полдюжины", 12: "дюжина", 10: "десяток", 2: "пара|парочка|двое",
        3: "трио|трое", 4: "четверо", _HANDFUL: "горсть|пятеро",
    },
    "zh": {6: "半打", 12: "一打"},
    "hi": {
        6: "आधा दर्जन", 12: "(?:एक )?दर्जन", 2: "(?:एक )?जोड\u093c?[ीा]", _HANDFUL: "मुट्ठी भर",
    },
    "ar": {
        6: "نصف دزينة من", 12: "دزينة من", 2: "زوج من|زوجان من", 4: "عدة|بضعة", _HANDFUL: "حفنة من",
    },
    "ko": {},
}  # fmt: skip
"""Words that count without being numerals, by what they say."""
_PAIRS_OF_ONE = re.compile(
    r"gafas|lentes|pantal|tijeras|lunettes|ciseaux|brille|hosen|schere|occhiali|pantaloni|forbici|"
    r"[oó]culos|calças|tesoura|очк|брюк|ножниц|штанов|نظار|سراويل|चश्म|"
    r"schuh|zapat|calcet|botas|chauss|bottes|stiefel|socken|scarpe|calz|stivali|sapat|meias|туф|ботин|"
    r"сапог|носк|حذ|जूत|मोज",
    re.IGNORECASE,
)
"""What is drawn as one although it is called a pair."""
_COUNTERS_KO = "마리|개|명|송이|그루|대|권|자루|장|켤레|채|필|척"
_DOG_KO = re.compile(
    r"(?<!\S)개(?=\s+\S+\s?마리)|(?<=[은는한란간운의얀]\s)개(?=$|[가는를와의]?(?:\s|$))"
)
_CUPS_KO = re.compile(
    r"(?P<what>\S+)\s(?:한|1)\s?(?:잔|컵|그릇|접시|병|조각|개)(?P<and>[과와])?(?=\s|$)"
)
"""One of what is measured in vessels: 커피 한 잔."""
_NOUN_FIRST_JA = re.compile(
    r"(?P<noun>[^、。,とや0-9０-９一二三四五六七八九十]+?)[をが]?"
    r"(?P<count>(?:[0-9０-９]+|[一二三四五六七八九十]+)(?:匹|頭|羽|人|本|個|枚|つ|台|輪|冊|足))"
    r"(?=$|[、。,とや])"
)
"""A noun and its number behind it: 猫を三匹."""
_DUAL_COLOURS = re.compile(
    r"(حمر|زرق|خضر|صفر|سود|بيض)او(?:ان|ين)|([أا](?:حمر|زرق|خضر|صفر|سود|بيض))(?:ان|ين)"
)
_DUAL_VERB = re.compile(r"(?<!\w)([يت]\w{2,4})ان(?!\w)")
_WORD_AR = re.compile(r"(?<!\w)(?P<and>و ?)?(?P<word>\w{2,}(?:ان|ين))(?!\w)")


def in_digits(text: str, language: str) -> str:
    """A text with its numbers that are no numerals up to ten in digits; the same without any.

    Args:
        text: canonical text.
        language: that it is read in.
    """
    for value, pattern in _patterns(language):
        text = pattern.sub(partial(_said, value=value, language=language), text)
    if language == "ko":  # a dog, not a counter of things
        text = _CUPS_KO.sub(_cups, _DOG_KO.sub("강아지", text))
    elif language == "ja":
        text = text.replace("半ダース", "六個").replace("一ダース", "十二個")
        text = _NOUN_FIRST_JA.sub(r"\g<count>の\g<noun>", text)
    elif language == "ar":
        text = _WORD_AR.sub(_dual, _DUAL_COLOURS.sub(_of_one, text))
        text = _DUAL_VERB.sub(r"\1", text) if re.search(r"(?<!\w)2 ", text) else text
    return text


def _said(match: re.Match[str], *, value: int, language: str) -> str:
    rest = match.string[match.end() :].strip()
    if value == 2 and _PAIRS_OF_ONE.match(rest):
        article = match[0].split()[0]
        return f"{article} " if has_article(f"{article} _") else ""
    space = "" if language == "ko" else " "
    return f"{_NUMERALS.get(language, {}).get(value, value)}{space}"


@cache
def _patterns(language: str) -> list[tuple[int, re.Pattern[str]]]:
    """Each number, and what says it before what it counts."""
    spaced = language not in ("zh", "ja")
    found = [
        (value, rf"(?<!\w)(?:{words})(?:(?<=['’\s])|\s+)(?=\S)" if spaced else f"(?:{words})(?=.)")
        for value, words in _GROUPS.get(language, {}).items()
    ]
    if language in _ENGLISH_TOO:
        noun = r"(?-i:(?:[a-zäöüß]+ )?[A-ZÄÖÜ])" if language == "de" else r"\w+s\b"
        value, word = _ENGLISH_TOO[language]
        single = "(?<!ein )(?<!der )(?<!den )(?<!dem )(?<!nen )"
        found.append((value, rf"(?<![\w-]){single}{word} (?={noun})"))
    elif language == "ko":
        found += [(value, rf"(?<!\S){word}\s*(?={_COUNTERS_KO})")
                  for value, word in enumerate(TEENS["ko"].split(), 11)]  # fmt: skip
    compiled = [(value, re.compile(pattern, re.IGNORECASE)) for value, pattern in found]
    return [*compiled, *(_TEENS_AR if language == "ar" else ())]


def _cups(match: re.Match[str]) -> str:
    """What is in a vessel, with the *and* that fits its ending."""
    if match["and"] is None:
        return match["what"]
    closed = (ord(match["what"][-1]) - 0xAC00) % 28 != 0
    return f"{match['what']}{'과' if closed else '와'}"


def _of_one(match: re.Match[str]) -> str:
    return f"{match[1]}اء" if match[1] else match[2]


def _dual(match: re.Match[str]) -> str:
    """Two of a noun of Arabic that says so by its ending; other words are left."""
    single = singular_of_dual(match["word"])
    return match[0] if single is None else f"{'و ' if match['and'] else ''}2 {single}"
