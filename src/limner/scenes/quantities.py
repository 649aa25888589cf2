"""Numbers in a phrase: which of them count things, and which are part of a name or a measure.

The planner (:mod:`limner.models.planner`) has learned from captions in which every number counts
something, from one to nine. These rules keep it from counting the rest: *3d render*, *number 5*,
*7 up*, *24 hour clock*, *5 star hotel*. And they find the counts beyond nine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from limner.scenes import phrasebook
from limner.scenes.things import THINGS
from limner.scenes.wording import NUMBERS
from limner.text.lexicon import LATIN
from limner.text.number_words import TEENS
from limner.text.vocabulary import in_english

_ENGLISH = {
    "ten": 10, "eleven": 11, "twelve": 12, "dozen": 12, "thirteen": 13, "fourteen": 14,
    "fifteen": 15, "sixteen": 16, "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20,
    "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80,
    "ninety": 90, "hundred": 100, "thousand": 1000,
}  # fmt: skip
# Not here, because they are words of English too: German "elf", Spanish "once", French "cent".
_ELSEWHERE = {
    10: "diez dix zehn dieci dez десять दस", 11: "onze undici одиннадцать",
    12: "doce douze zwölf dodici doze двенадцать बारह", 13: "trece treize dreizehn tredici treze",
    14: "catorce quatorze vierzehn", 15: "quince quinze fünfzehn quindici",
    16: "dieciséis seize sechzehn sedici", 20: "veinte vingt zwanzig venti vinte двадцать बीस",
    30: "treinta trente dreißig", 50: "cincuenta cinquante fünfzig", 100: "cien hundert сто",
}  # fmt: skip

_ENGLISH_TOO = frozenset({"once", "elf"})

_LABELS_TABLE = """
number numbers no nr num digit numeral figure route room page chapter part version level type model
size age aged top season episode day year grade class formula windows ps playstation xbox iphone
keycap key channel gate platform line area apollo boeing
nummer zahl ziffer número numéro numero chiffre cifra номер цифра число 번호 숫자 संख्या
"""
_LABELS = frozenset(_LABELS_TABLE.split())
"""Words before a number that is a name: *number 5*, *route 66*."""

_UNITS_TABLE = """
year years yr yrs hour hours minute minutes second seconds day days week weeks month months
inch inches foot meter meters metre metres cm mm km kg mile miles degree degrees percent
dollar dollars cent cents euro euros pound pounds bit pixel pixels px point am pm o'clock th
jahre jahr uhr ans años anos anni лет года up
"""
_UNITS = frozenset(_UNITS_TABLE.split())
"""Words after a number that measures something, or that is the name of a drink."""

_COMPOUNDS_TABLE = """
star leaf wheel door story storey floor petal pointed headed legged sided eyed wheeled way piece
ply speed string player person seat tier layer panel page cylinder blade
"""
_COMPOUNDS = frozenset(_COMPOUNDS_TABLE.split())
"""Words after a number that describes a thing, where one more word follows: *5 star hotel*."""

_MEASURES = (
    "".join({thing.measure for thing in THINGS.values()}) + "只個个条頭头匹棵辆輛台颗顆张張位名"
)
_COUNTERS = f"[{_MEASURES}羽本枚人つ]|마리|개|명|송이|그루|대|권"
_HAN = "零一二两兩三四五六七八九十百"
_WORD = re.compile(r"[^\s,;:!?()\"“”、，。]+")
_COUNTED_HERE = re.compile(rf"(\d+|[{_HAN}]+)\s?({_COUNTERS})")
_IRREGULAR = frozenset(thing.plural for thing in THINGS.values()) | {
    "people", "men", "women", "children", "geese", "feet", "teeth", "sheep", "cattle", "dice"
}  # fmt: skip


_MANY_EN = r"(?:\w+ )?(?:\w+(?<!s)s|mice|geese|sheep|fish|deer|wolves|people|children)\b"
"""How an English plural begins, with at most one word before."""
_SEVERAL = {
    12: r"una docena de|une douzaine d[e']|ein dutzend|una dozzina di|uma dúzia de|дюжина|一打",
    6: r"(?:very )?many|(?:a )?lots? of|plenty of|dozens of|hundreds of|(?:an? )?(?:\w+ )?(?:bunch|"
       r"bouquet|group|flock|herd|crowd|pile|heap|school|swarm|colony|pride|gaggle) of"
       rf"(?= {_MANY_EN})|(?:a )?pack of(?= (?:wolves|dogs|hounds|hyenas|wild dogs|coyotes))|"
       r"(?:una )?(?:manada|bandada|rebaño|enjambre) de|(?:un )?(?:troupeau|banc|essaim) d[e']|"
       r"(?:eine )?(?:herde|schar)|(?:ein )?(?:rudel|schwarm)|muchos?|muchas?|montones de|"
       r"beaucoup d[e']|plein d[e']|viele|molt[ie]|tanti|muit[oa]s|много|множество|"
       r"(?:许多|很多|好多|一群|一堆|大量)的?|たくさんの|多くの|많은|여러|बहुत (?:सारे|सारी|से)|कई",
    4: rf"several|some(?= {_MANY_EN})|(?:a )?(?:\w+ )?(?:family|litter) of(?= {_MANY_EN})|"
       r"(?:una )?familia de(?= \w+s\b)|(?:une )?famille d[e'](?= \w+s\b)|"
       r"(?:eine )?familie von(?= [A-ZÄÖÜ])|"
       r"vari[oa]s|plusieurs|einige|mehrere|divers[ie]|vários|várias|"
       r"несколько|几[只个条朵棵辆]|一些|いくつかの|몇 (?:개|마리)의?|कुछ",
    3: r"a few|unos cuantos|unas cuantas|quelques|ein paar(?= \w)|alcun[ie]|alguns|algumas",
    2: r"a couple of|a pair of|both|un par de|une paire d[e']|un paio di|um par de|пара|一对|一双|"
       r"一副|二匹の|한 쌍의",
}  # fmt: skip
"""How many are drawn of what is counted by words that are no numbers."""
_SINGLE_PAIRS = re.compile(
    r"glasses|goggles|scissors|trousers|pants|jeans|shorts|headphones|shoes|boots|socks|gafas|"
    r"lunettes|brille|occhiali|óculos|очк|眼镜|墨镜|鞋|tijeras|ciseaux",
    re.IGNORECASE,
)
"""What is one thing although it is called a pair."""


def several(phrase: str) -> tuple[int, str] | None:
    """How many of a thing a phrase asks for without a number, and the words that say so.

    *many birds* are six, *a pair of birds* two, *a pair of glasses* one. None where none say it.
    """
    for count, pattern in _several().items():
        match = pattern.match(phrase)
        if match is not None and phrase[match.end() :].strip():
            single = count == 2 and _SINGLE_PAIRS.search(phrase) is not None
            return (1 if single else count), match[0].strip()
    return None


@cache
def _several() -> dict[int, re.Pattern[str]]:
    end = r"(?:(?<=')|(?<=[\u3000-\uffff])|\s+)"
    return {count: re.compile(f"(?:the )?(?:{words}){end}", re.IGNORECASE)
            for count, words in _SEVERAL.items()}  # fmt: skip


@dataclass(frozen=True)
class Quantity:
    """A number in a phrase.

    Attributes:
        words: as it stands there, with the measure word that Chinese, Japanese and Korean add.
        value: what it says.
        counts: whether it says how many things there are; None where these rules cannot know.
    """

    words: str
    value: int
    counts: bool | None


def quantities(phrase: str) -> list[Quantity]:
    """The numbers of a phrase, in its order; *one* and its like are articles, not numbers.

    Args:
        phrase: a piece of a prompt (:mod:`limner.text.segment`).
    """
    counted = [
        Quantity(match[0], _value(match[1]), True) for match in _COUNTED_HERE.finditer(phrase)
    ]
    rest = _COUNTED_HERE.sub(" ", phrase)
    words = [match[0].strip(".'’") for match in _WORD.finditer(rest.lower())]
    return counted + list(_among(words))


def is_label(word: str) -> bool:
    """Whether a word says that the number after it is a name."""
    return word.lower() in _LABELS


def _among(words: Sequence[str]) -> Iterator[Quantity]:
    for place, word in enumerate(words):
        value = _number_words().get(word)
        if value is None and word.isdecimal():
            value = int(word) if len(word) < 10 else 10**9
        if value is not None and value != 1:
            before = words[place - 1] if place else ""
            after = words[place + 1 :]
            names = before in _LABELS or not after or _is_no_thing(after)
            several = any(is_plural(w) or w in _IRREGULAR or not w.isascii() for w in after)
            sure = value <= 9 or word in _others() or several or (value <= 20 and _is_noun(after))
            # Neither sure: "2024 calendar", "10 katzen".
            said = f"{before} {word}" if before == "a" else word  # a dozen
            yield Quantity(said, value, False if names else (sure or None))
        elif any(char.isdigit() for char in word) and not word.isdecimal():
            digits = re.sub(r"\D", "", word)[:9]
            yield Quantity(word, int(digits or 0), False)  # 3d, 4k, 2nd, 3x3, 50%, $5, №5


def _is_noun(after: Sequence[str]) -> bool:
    """Whether one of the two words after a number is a noun of a language taught, but English."""
    codes = ("es", "fr", "de", "it", "pt")
    return any(in_english(word, (code,)) for word in after[:2] for code in codes)


def _is_no_thing(after: Sequence[str]) -> bool:
    """Whether what follows a number is no thing that it counts."""
    if after[0] in _UNITS or after[0] in LATIN["en"].stops:  # page 3 of a book, 9 to 5
        return True
    return after[0] in _COMPOUNDS and len(after) > 1


def is_plural(phrase: str) -> bool:
    """Guess from its ending whether an English phrase is a plural."""
    last = phrase.rpartition(" ")[2].lower()
    return last.endswith("s") and not last.endswith(("ss", "us", "is"))


def _value(text: str) -> int:
    """A number in digits, or in Chinese numerals up to 999."""
    if text.isdecimal():
        return int(text[:9])
    total = digit = 0
    for char in text:
        if char in "十百":
            total += (digit or 1) * (10 if char == "十" else 100)
            digit = 0
        else:
            digit = "零一二三四五六七八九".index(char) if char not in "两兩" else 2
    return total + digit


@cache
def _others() -> dict[str, int]:
    """Words for numbers in other languages than English."""
    found = {word: value for value, words in _ELSEWHERE.items() for word in words.split()}
    for words in TEENS.values():
        found |= {word: value for value, word in enumerate(words.split(), 11)
                  if word not in _ENGLISH_TOO}  # fmt: skip
    for book in phrasebook.BOOKS.values():
        for value, forms in enumerate(book.numbers.split(";"), start=1):
            found |= {form: value for each in forms.split("/") if " " not in (form := each.strip())}
    return found


@cache
def _number_words() -> dict[str, int]:
    return _others() | _ENGLISH | {word: value for value, word in enumerate(NUMBERS) if value}
