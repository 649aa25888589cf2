"""The same in plainer words, where a text says what is to be seen in a roundabout way.

*A plate of spaghetti* shows spaghetti, *an old man fishing* one who holds a fishing pole, *I feel
so lonely* a pensive face, *my son's birthday party* a son with a cake, *un perro bombero* a dog in
a helmet, and *红裙子* is a skirt in red. Such words are replaced before a sentence is read; the
names of things that look like them (*红酒*, *glass of milk*) are kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache

from limner.text.actions import BEFORE_VERB, with_actions
from limner.text.costumes import in_costume
from limner.text.events import shown_event
from limner.text.first_names import with_persons
from limner.text.greetings import Greeting, greeting_of
from limner.text.lexicon import LATIN
from limner.text.materials import in_colours_of_materials
from limner.text.names import bare
from limner.text.negations import without_negated
from limner.text.number_words import in_digits
from limner.text.own_parts import without_own_parts
from limner.text.persons import animals, as_drawn, job_alone
from limner.text.picture_sides import beside_each_other
from limner.text.places_alone import place_alone
from limner.text.plain_verbs import with_endings, with_objects
from limner.text.tables import table
from limner.text.vocabulary import MEASURES, OF, in_english

_FULL = {
    "en": "full of", "es": "llena de", "fr": "plein de", "de": "voller", "it": "pieno di",
    "pt": "cheia de",
}  # fmt: skip
_HEAPED = frozenset({"basket", "box", "bucket", "chest", "sack"})
"""Vessels that are drawn with what is in them."""
_BOWLS = frozenset({"bowl"})
_FRUIT = frozenset({"fruit", "fruits", "fruta", "frutas", "obst", "frutta"})
"""What is drawn in those that are not drawn with other food, such as soup; things in the plural
are, too."""
_BEFORE = BEFORE_VERB | {"zh": "(?:正?在)?"}
"""What may stand before a word for a doing."""
_BIRDS = frozenset(
    {"bird", "canary", "nightingale", "robin", "rooster", "cock", "parrot", "sparrow", "lark"}
)
_MICROPHONES = frozenset(
    {"microphone", "micrófono", "microfono", "microfone", "Mikrofon", "микрофон", "ميكروفون"}
)
"""What who sings holds, unless it is a bird."""
_FOLLOWING = {
    code: "|".join({word for (word, *_) in table.places | table.joins}
                   - {word for (word, *_) in table.articles})
    for code, table in LATIN.items() if code in _BEFORE
} | {"ru": "в|во|на|у|под|с|со|за|возле|рядом|около|и"}  # fmt: skip
"""What may follow it."""
_COLOURS_ZH = re.compile(
    r"(?<![红蓝黄绿黑白紫粉灰橙棕深浅淡大小])[红蓝黄绿黑白紫粉灰橙棕](?![色红])"
)
_COLOURED_ZH = re.compile("([红蓝黄绿黑白紫粉灰橙棕]色)的(?=[^的，。和在]{1,5}的)")
"""A colour of what somebody has, with a sign that would end it: 拿着红色的伞的女孩."""
_COLOUR_AND_SIGN_ZH = re.compile("(?<=[红蓝黄绿黑白紫粉灰橙棕]色)(?=[^的色]$)")
_KEY_PLACES = frozenset(
    {
        "lake", "sea", "ocean", "beach", "forest", "jungle", "desert", "mountain", "mountains",
        "city", "street", "garden", "park", "farm", "field", "river", "sky", "space", "snow",
        "night", "sunset", "sunrise",
    }
)  # fmt: skip
"""Places and times in lists of keywords."""
_TWO = re.compile(r"(?<![\w-])\w+ and \w+(?![\w-])")
_FOR = {
    "en": r"for (?=(?:the|an?|my|our|his|her|their) |\w+$)", "es": "para ",
    "fr": "pour ", "de": "für ", "it": "per ", "pt": "para ", "ru": "для ",
}  # fmt: skip
"""Before whom something is meant for."""
_MADE_FOR = re.compile(
    r"\b(?:logos?|icons?|stickers?|posters?|banners?|signs?|symbols?|pictures?|drawings?|cards?|"
    r"images?|illustrations?|emojis?|avatars?|badges?|labels?|flyers?|wallpapers?|design|app|page)\b",
    re.IGNORECASE,
)
"""Pictures of what they are for."""
_SAYINGS = ("sayings.tsv",)
_TURNS = ("clauses.tsv", "concerns.tsv", "turns.tsv")
_MOST_KEYWORDS = 8
_LONGEST_NOUN = 4
_LONGEST_FEELING = 40
"""Characters of a text that may say a feeling and nothing else."""
_GLASSES = re.compile(
    r"(?<!pair of )\b(\d+|two|three|four|five|six|several|empty|full) glasses(?! of)", re.IGNORECASE
)
"""Glasses that are counted: nobody wears two."""
_FAMILY = re.compile(r"\b(?:an? |the )?(\w+) family\b", re.IGNORECASE)
_RACE = re.compile(r"\b(?:an? |the )?(\w+) race\b", re.IGNORECASE)
_WILD = frozenset({"penguin", "giraffe", "zebra", "hedgehog", "kangaroo", "crocodile", "swan",
                   "goose", "snail", "crab", "camel", "ostrich", "tortoise", "lizard"})  # fmt: skip
"""Animals that have families, beside those that have professions."""
_SEVERAL = {"wolf": "wolves", "mouse": "mice", "sheep": "sheep", "goose": "geese"}
_BALLS = {"soccer": "soccer ball", "football": "football", "tennis": "tennis racket"}
_PLAYER = re.compile(
    r"\b(soccer|football|tennis|basketball|baseball|volleyball|rugby|guitar|violin|trumpet|drum|"
    r"piano|saxophone|flute|chess|accordion|banjo) player\b"
    r"(?: (?:with|holding) (?:an? |the |his |her )(?:\w+ )?(?:racket|bat|ball|guitar|violin|"
    r"trumpet|saxophone|flute|accordion|banjo|basketball|football)\b)?",
    re.IGNORECASE,
)
_WORN_KO = re.compile(
    r"(?<!\S)(?P<what>\S*[가-힣](?<![을를은는이가의한운]))\s(?=(?:쓴|든|입은|신은|탄|먹는|치는|마시는|안은|읽는|그리는|끄는)\s)"
)
"""What somebody has, without the particle of an object: 안경 쓴 할머니."""
_IN_BOWL = re.compile(r"(?<=fish) (?:swimming )?in (?:an?|its|the|his|her) (?:\w+ )?bowl\b", re.I)
"""Where fish are that are not eaten."""
_WEB = re.compile(r"(?<!spider )(?<!spider's )\bweb\b", re.IGNORECASE)
_AND_AR = re.compile(r"(?<=\S )و(?=(\w{3,}))")
"""*And*, which Arabic writes into the next word."""
_IN_TWO = re.compile(
    r"(?:black(?: and | ?& ?|-and-)white|white(?: and | ?& ?|-and-)black|"
    r"schwarz-?\s?wei(?:ß|ss)\w*) (?=\w)|"
    r"(?<=\w) (?:blanc[oa]s? y negr[oa]s?|negr[oa]s? y blanc[oa]s?|noire?s? et blanc(?:he)?s?|"
    r"blanc(?:he)?s? et noire?s?|bianc[oaieh]+ e ner[oaie]|pret[oa]s? e branc[oa]s?)(?!\w)|"
    r"黑白(?:相间|色)?的?(?=.)|ч[её]рно-бел\w+ (?=\w)",
    re.IGNORECASE,
)
"""Two colours at once, of which neither is that of the whole."""
_HEAPS_ZH = re.compile(
    r"[一二两三四五六七八九十\d]+(?P<vessel>[篮箱盒])子?(?P<what>[^的，。 ]{1,6})$"
)
_WORN_ZH = re.compile(
    r"(?:^|(?<=[个位名只]))(?=[红蓝黄绿黑白紫粉灰橙棕]色?的?"
    r"(?:(?P<head>帽子|围巾|眼镜)|裙子|连衣裙|衬衫|外套|衣服|毛衣|裤子|鞋子)的.)"
)


def reworded(text: str, languages: Sequence[str], is_name: Callable[[str], bool]) -> str:
    """A text in plainer words; the same where it has none of the others.

    Args:
        text: canonical text.
        languages: that it may be in (:func:`limner.text.lexicon.languages_of`).
        is_name: whether a phrase is a name of something that is drawn by itself.
    """
    return reworded_greeting(text, greeting_of(text, languages, is_name), languages, is_name)


def reworded_greeting(
    text: str,
    greeting: Greeting | None,
    languages: Sequence[str],
    is_name: Callable[[str], bool],
) -> str:
    """A text in plainer words, of which the greeting that it is was looked for already.

    Args:
        text: canonical text.
        greeting: of the text; None where it is none.
        languages: that it may be in.
        is_name: whether a phrase is a name of something that is drawn by itself.
    """
    text = text if greeting is None else greeting.shown
    for language in languages:
        text = _turned(text, _rows(language, _SAYINGS))
    if languages[0] == "en":
        text = with_persons(text, is_name)
    whole = _feeling(text) or shown_event(text, languages)
    if whole is not None or greeting is not None:
        return whole or text
    text = job_alone(_IN_TWO.sub("", text), is_name)
    for language in languages:
        text = _with_whom(place_alone(text, language, is_name), language, is_name)
    if "en" in languages:
        text = _joined(_as_list(text, is_name), is_name)
    for language in languages:
        better = in_digits(without_negated(text, language), language)
        better = with_endings(better, is_name) if language == "en" else better
        better = _turned(better, _rows(language, _TURNS))
        better = with_actions(better, language, is_name)
        better = without_own_parts(beside_each_other(better, language), language)
        better = _with_tools(_without_measures(better, language, is_name), language)
        better = in_costume(better, language, is_name)
        better = as_drawn(better, language, is_name)
        if language == "en":
            better = in_colours_of_materials(better, is_name)
            better = _GLASSES.sub(r"\1 wineglasses", better)
            better = _FAMILY.sub(_of_animals, better)
            better = better if is_name(better) else _RACE.sub(_racing, better)
            better = _IN_BOWL.sub(" in a fishbowl", _PLAYER.sub(_playing, better))
            better = with_objects(better, is_name)
            better = _WEB.sub("spider web", better) if "spider" in better else better
        elif language == "ar":
            better = _AND_AR.sub(
                lambda match: "و" + " " * (is_name(match[1]) or not is_name("و" + match[1])), better
            )
        elif language == "ko":
            better = _WORN_KO.sub(_object, better)
        if language == "zh":
            better = _WORN_ZH.sub(lambda match: "戴" if match["head"] else "穿", better)
            better = coloured_apart(_COLOURED_ZH.sub(r"\1", better))
            better = _with_colours(_HEAPS_ZH.sub(r"装满\g<what>的\g<vessel>子", better), is_name)
        if better != text:
            return shown_event(better, (language,)) or better
    return text


def _joined(text: str, is_name: Callable[[str], bool]) -> str:
    """The text with names of two nouns joined, which would be cut: *a bow and arrow*."""

    def whole(match: re.Match[str]) -> str:
        return match[0].replace(" ", "-") if is_name(match[0]) else match[0]

    return _TWO.sub(whole, text) if " and " in text and not is_name(text) else text


def _with_whom(text: str, language: str, is_name: Callable[[str], bool]) -> str:
    """Something and whom it is for, *a bone and the dog*; alone where that is no known thing."""
    if language not in _FOR or is_name(text) or _MADE_FOR.search(text):
        return text
    match = re.fullmatch(rf"(?P<what>.+?) {_FOR[language]}(?P<whom>.+)", text, re.IGNORECASE)
    if match is None or not is_name(bare(match["what"])):
        return text
    known = is_name(bare(match["whom"]))
    return f"{match['what']}, {match['whom']}" if known else match["what"]


def _turned(text: str, rows: Sequence[tuple[re.Pattern[str], str]]) -> str:
    """A text with what is said instead of each pattern; never empty."""
    for words, instead in rows:
        text = words.sub(instead, text).strip() or text
    return text


@cache
def _rows(language: str, names: tuple[str, ...]) -> Sequence[tuple[re.Pattern[str], str]]:
    """Turns of phrase, and what is said instead.

    ``sayings.tsv`` has songs, tales, proverbs and pairs of opposites, ``clauses.tsv`` further
    clauses (*because she got flowers*), ``concerns.tsv`` what somebody is late for or dreams of,
    ``turns.tsv`` all others.

    Args:
        language: of the rows.
        names: of the tables.
    """
    rows = [words for name in names for code, *words in table(name)[1:] if code == language]
    return [(re.compile(words, re.IGNORECASE), instead) for words, instead in rows]


def _as_list(text: str, is_name: Callable[[str], bool]) -> str:
    """Keywords without commas as a list: *boat lake sunset*.

    A text of three names or more, of which one is of a place or a time.
    """
    words, items, at = text.split(), list[str](), 0
    if not 3 <= len(words) <= _MOST_KEYWORDS or not text.replace(" ", "").isalpha():
        return text
    if not LATIN["en"].stops.isdisjoint(text.casefold().split()) or is_name(text):
        return text
    while at < len(words):
        ends = range(min(len(words), at + 3), at, -1)
        end = next((end for end in ends if is_name(item := " ".join(words[at:end]))
                    or item.casefold() in _KEY_PLACES), None)  # fmt: skip
        if end is None:
            return text
        items.append(" ".join(words[at:end]))
        at = end
    placed = any(item.casefold() in _KEY_PLACES for item in items)
    return ", ".join(items) if len(items) > 2 and placed else text


def coloured_apart(phrase: str) -> str:
    """A Chinese phrase with its colour apart from a noun of one sign: *绿色的伞* for *绿色伞*."""
    return _COLOUR_AND_SIGN_ZH.sub("的", phrase)


def _playing(match: re.Match[str]) -> str:
    """*A person holding a guitar* for *a guitar player*."""
    played = match[1].casefold()
    thing = _BALLS.get(played, played)
    return f"person holding a{'n' if thing[0] in 'aeiou' else ''} {thing}"


def _object(match: re.Match[str]) -> str:
    """A noun of Korean with the particle of an object."""
    closed = (ord(match["what"][-1]) - 0xAC00) % 28 != 0
    return f"{match['what']}{'을' if closed else '를'} "


def _racing(match: re.Match[str]) -> str:
    """*Three snails and a chequered flag* for *a snail race*."""
    animal = match[1].casefold()
    known = animal in animals() | _WILD
    return f"three {_several(animal)} and a chequered flag" if known else match[0]


def _several(animal: str) -> str:
    """The plural of an animal."""
    return _SEVERAL.get(animal, f"{animal}{'es' if animal.endswith('x') else 's'}")


def _of_animals(match: re.Match[str]) -> str:
    """*A family of penguins* for *a penguin family*; a *human family* is left."""
    animal = match[1].casefold()
    if animal not in animals() | _WILD:
        return match[0]
    return f"a family of {_several(animal)}"


def _feeling(text: str) -> str | None:
    """The face of what somebody says to feel, in a text that says nothing else; else None."""
    if len(text) > _LONGEST_FEELING:
        return None
    faces, patterns = _feelings()
    found = (pattern.fullmatch(text) for pattern in patterns)
    return next((faces[(match.lastindex or 1) - 1] for match in found if match is not None), None)


@cache
def _feelings() -> tuple[Sequence[str], Sequence[re.Pattern[str]]]:
    """Faces, and for each language a pattern with a group for each.

    The table's first row has the words that may stand around one for a feeling.
    """
    (_, *languages), (_, *around), *rows = table("feelings.tsv")
    patterns = []
    for number, language in enumerate(languages, 1):
        gap = r"\W*" if language in ("zh", "ja") else r"\W+"
        said, words = around[number - 1], "|".join(f"({row[number]})" for row in rows)
        whole = rf"(?:(?:{said}){gap})+(?:{words})(?:{gap}(?:{said}))*\W*"
        patterns.append(re.compile(whole, re.IGNORECASE))
    return [row[0] for row in rows], patterns


def _without_measures(text: str, language: str, is_name: Callable[[str], bool]) -> str:
    """The text without plates, slices and the like, and with baskets full of things."""
    if language not in _FULL:
        return text
    of = OF[language]
    noun = "(?-i:[A-ZÄÖÜ])" if language == "de" else r"\w"
    article = "an?" if language == "en" else "(?!)"
    pattern = (
        rf"(?<![\w-])(?P<article>{article} )?(?P<vessel>\w+) (?P<of>{of})"
        rf"(?=(?P<what>{noun}\w*(?: \w+){{0,2}}))"
    )

    def plain(match: re.Match[str]) -> str:
        said, words = match["vessel"], match["what"].split()
        wholes = (f"{said} {match['of']}{' '.join(words[:end])}" for end in (3, 2, 1))
        if any(map(is_name, wholes)):
            return match[0]
        name = said.casefold() if language == "en" else in_english(said, (language,)) or ""
        names = {name, name.removesuffix("s"), name.removesuffix("es")}
        several = words[0].endswith("s") and not words[0].endswith("ss")
        article = "" if several else match["article"] or ""
        heaped = f"{match['article'] or ''}{said} {_FULL[language]} "
        if names & _BOWLS and (several or words[0].casefold() in _FRUIT):
            return heaped
        if not names.isdisjoint(MEASURES):
            return article  # a pile of gold, books: of several things none is "a"
        return match[0] if names.isdisjoint(_HEAPED) else heaped

    return re.sub(pattern, plain, text, count=3, flags=re.IGNORECASE)


def _with_tools(text: str, language: str) -> str:
    """The text with the tool in somebody's hands for what is done with it.

    And with the thing beside or below somebody for other things that are done to it.
    """
    found = ((pattern.search(text), instead) for pattern, instead in _doings(language))
    match, instead = next(((match, instead) for match, instead in found if match), (None, ""))
    if match is None or (len(match[0]) == len(text) and not match.groupdict()):
        return text
    before = text[: match.start()].split()
    if language in LATIN and before and before[-1].casefold() in LATIN[language].stops:
        return text  # a painting, a book about gardening, la pesca
    if before and instead.rpartition(" ")[2] in _MICROPHONES:
        singer = bare(before[-1]) if language == "en" else in_english(before[-1], (language,))
        if singer in _BIRDS:
            return text[: match.start()].rstrip() + text[match.end() :]
    space = " " if language in _FOLLOWING else ""
    return f"{text[: match.start()]}{space}{match.expand(instead)}{text[match.end() :]}"


@cache
def _doings(language: str) -> Sequence[tuple[re.Pattern[str], str]]:
    """Patterns of what is done, and what is said instead, in which groups may be named."""
    rows = [words for code, *words in table("doings.tsv")[1:] if code == language]
    found = []
    for words, instead in rows:
        pattern = f"{_BEFORE.get(language, '')}(?:{words})"
        if language in _FOLLOWING:  # not *painting a house*, and a fishing boat is a boat
            follow = f"(?:{_FOLLOWING[language]})"
            pattern = rf"(?<=\w)(?:,? ){pattern}(?=$|[,.;!]| {follow}(?!\w))"
        found.append((re.compile(pattern, re.IGNORECASE), instead))
    return found


def _with_colours(text: str, is_name: Callable[[str], bool]) -> str:
    """A Chinese text with *红色的* for *红* before a noun, unless both are one name."""

    def spelled(match: re.Match[str]) -> str:
        at = match.end()
        nouns = [text[at : at + length] for length in range(1, _LONGEST_NOUN + 1)]
        if any(is_name(match[0] + noun) for noun in nouns):
            return match[0]
        known = any(in_english(noun, ("zh",)) or (len(noun) > 1 and is_name(noun))
                    for noun in nouns)  # fmt: skip
        inside = "的" in text  # another one would cut the sentence elsewhere
        return f"{match[0]}色{'' if inside else '的'}" if known else match[0]

    return _COLOURS_ZH.sub(spelled, text)
