"""Names of everyday things: what nouns of ten other languages mean, and which name is drawn best.

Many are spelled like an English word for something else: *chat* is French for a cat, *Hut* German
for a hat. So a word is looked up in the language of the text before it is taken for English.

And of several English names for one thing, a model may have a good drawing under one alone: there
are many coloured drawings of *grapes*, and a black glyph of a *grape*.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from limner.tables import read_table
from limner.text.names import bare, name_key, without_article

_ENGLISH_TOO = """
ago alas amigo angel ape argent arm auto ave balance bambino bank baskets beifall berg bermuda boot
bouquet boxe brief brume burro canard cane chaise chariot chat chemise cinema clef cobra cola
collar completo concha cornet costume crayon cricket dado damasco dent donna duende eu fan faro fee
fiesta filet flamenco four fraise fusil fuss gift glace grab grille hand handy heft helm herd hose
hummer hut io jean jeans jersey journal kind laden land lard latte lit lok maestro main mama mamma
manga manta mantel mar mare margarita medico medusa mesa micro mine mono monte mutter nave net nous
orage ours padre pain pale palm palmas pan pane papa papillon part pastel pata pelota peru piano
pie pierre pile pion pipa pipe plate pole pool pope portable porte pot professor prune pull rad
raisin rand rasen rat re red regal rio robe rock roller rollers rosa rose route rue sac sale savant
scale scooter see seta shopping short sierra skate skier slip sole sombrero speck stall stella
stern stier strand table tableau tasse tee teller temple toboggan tonne tor toro torte tostada tour
trank univers van vent ventilator verdure via visto volante volley wand
"""
"""Words of other languages that in an English text, or alone, mean what they mean in English."""

MEASURES = frozenset({
    "plate", "bowl", "dish", "slice", "piece", "portion", "bunch", "scoop", "pile", "heap", "stack",
    "handful", "lump", "chunk", "tray",
})  # fmt: skip
"""What is not drawn where it is said of what: *a plate of spaghetti* shows spaghetti."""
_VESSELS = frozenset({"cup", "glass", "bottle", "mug", "jar", "vase", "pot", "can"})
OF: Mapping[str, str] = {
    "en": "of ", "es": "de ", "fr": "(?:de |du |d['’])", "it": "(?:di |d['’])", "pt": "de ",
    "de": "(?:voll |von |mit )?", "ru": "",
}  # fmt: skip
"""What stands between a vessel and what is in it, by language."""


_PLURALS: Mapping[str, Sequence[tuple[str, Sequence[str]]]] = {
    "de": [("er", ("",)), ("nen", ("n",)), ("en", ("", "e")), ("n", ("",)), ("se", ("s", "")),
           ("e", ("",)), ("s", ("",)), ("", ("",))],
    "es": [("ces", ("z",)), ("iones", ("ión",)), ("ones", ("ón",)), ("anes", ("án",)),
           ("es", ("", "e")), ("s", ("",))],
    "fr": [("eaux", ("eau",)), ("aux", ("al", "ail")), ("x", ("",)), ("s", ("",))],
    "it": [("chi", ("co",)), ("ghi", ("go",)), ("che", ("ca",)), ("ghe", ("ga",)),
           ("i", ("o", "e", "io")), ("e", ("a",))],
    "pt": [("ões", ("ão",)), ("ães", ("ão",)), ("ais", ("al",)), ("éis", ("el",)), ("ns", ("m",)),
           ("res", ("r",)), ("zes", ("z",)), ("s", ("",))],
    "ja": [("たち", ("",)), ("達", ("",))],
    "ko": [("들", ("",))],
    # Before postpositions nouns of Hindi have the endings of plurals: कुत्ते के पास.
    "hi": [("ियां", ("ी", "ि")), ("ियों", ("ी", "ि")), ("यों", ("या",)), ("ुओं", ("ु", "ू")),
           ("ुएं", ("ु", "ू")), ("ाओं", ("ा",)), ("ाएं", ("ा",)), ("ओं", ("आ", "")),
           ("एं", ("",)), ("ए", ("आ",)), ("यें", ("य", "")), ("ों", ("ा", "")), ("ें", ("",)),
           ("ां", ("ा",)), ("े", ("ा",))],
    # Two of them, plurals, and whose they are: قطتان, سيارات, قطتي.
    "ar": [("تان", ("ه",)), ("تين", ("ه",)), ("ان", ("",)), ("ين", ("",)), ("ات", ("ه", "")),
           ("ون", ("",)), ("تها", ("ه",)), ("تهم", ("ه",)), ("تنا", ("ه",)), ("تي", ("ه",)),
           ("ته", ("ه",)), ("ها", ("",)), ("هم", ("",)), ("نا", ("",)), ("ي", ("",)), ("ه", ("",)),
           ("ا", ("",))],
}  # fmt: skip
"""Endings of plurals, and what is there instead in the singular, by language.

Those of Arabic and Hindi are in the spelling of :func:`_plain`.
"""
_SEVERAL_AR = ("ان", "ين", "ون", "ات")
_SPELLINGS: Mapping[str, Sequence[tuple[str, str]]] = {
    "ar": [(r"[\u064b-\u0652\u0670\u0640]", ""), ("[أإآٱ]", "ا"), ("ة", "ه"), ("ى", "ي"),
           ("ؤ", "و"), ("ئ", "ي")],
    "hi": [("[\u093c\u200c\u200d]", ""), ("ँ", "ं"), ("न्(?=[क-घच-झट-ढत-ध])", "ं"),
           ("म्(?=[प-भ])", "ं")],
    "ru": [("ё", "е")],
    "de": [("ä", "ae"), ("ö", "oe"), ("ü", "ue")],
    "es": [("á", "a"), ("é", "e"), ("í", "i"), ("ó", "o"), ("[úü]", "u")],
    "fr": [("[àâ]", "a"), ("[éèêë]", "e"), ("[îï]", "i"), ("ô", "o"), ("[ùûü]", "u"), ("ç", "c"),
           ("œ", "oe")],
    "it": [("à", "a"), ("[èé]", "e"), ("ì", "i"), ("ò", "o"), ("ù", "u")],
    "pt": [("[áâãà]", "a"), ("[éê]", "e"), ("í", "i"), ("[óôõ]", "o"), ("ú", "u"), ("ç", "c")],
}  # fmt: skip
"""Letters and marks of a language that many leave out or type as others, and what stands for them.

Arabic without hamza and vowel signs; Hindi without the dot below, and the nasals in one spelling.
"""
_ATTACHED = re.compile(r"^(?:[وف]?(?:[بك]?ال|لل)|و[بل]?|[بفكل])(?=\w{3})")
"""And, with, to, like, the article: words of Arabic that are written into the next one."""
_UMLAUTS = str.maketrans("äöü", "aou")
_ENDINGS = re.compile(
    r"(?<=\w\w)(?:ами|ями|ого|его|ому|ему|ыми|ими|ый|ий|ая|яя|ое|ее|ые|ие|ых|их|ым|им|ую|юю"
    r"|ов|ев|ом|ем|ём|ой|ей|ах|ях|ам|ям|ию|ья|ью|[аяуюеиыоьй])\b"
)


class BestName(NamedTuple):
    """The name under which a thing is drawn best.

    Attributes:
        name: in English.
        same: whether it is another name of the thing; else that of another of its kind.
    """

    name: str
    same: bool


def in_english(phrase: str, languages: Sequence[str] = ()) -> str | None:
    """The English name of a noun in another language; None where it is not in the table.

    Args:
        phrase: the noun, with or without an article or a measure word.
        languages: that it may be in (:func:`limner.text.lexicon.languages_of`); empty for any. In
            English texts, which texts of one word are taken for, words that are none of English
            are of any.
    """
    keys = _keys(phrase)
    if "en" in languages:
        if not _english_too().isdisjoint(keys):
            return None
        languages = ()
    for language in languages or _nouns():
        if (name := _noun(keys, language, plurals=bool(languages))) is not None:
            return name
        vessel = _vessel(phrase, language)
        if vessel is not None:
            name, content = vessel[0], _noun([name_key(vessel[1])], language)
            if content is not None:
                return content if name in MEASURES else f"{name} of {content}"
    return None


def _noun(keys: Sequence[str], language: str, *, plurals: bool = True) -> str | None:
    """The English name of the first of some keys that is a noun of a language, in any case.

    Where the language is not sure, a word that may be a plural of one is none: *glasses*.
    """
    tables = [(_nouns().get(language, {}), keys)]
    if plurals and language in _SPELLINGS:
        tables.append((_plain_nouns(language), _plain_keys(keys, language)))
    for nouns, words in tables:
        found = next((nouns[word] for word in words if word in nouns), None)
        if found is None and plurals and language in _PLURALS:
            found = next((nouns[one] for word in words for one in _singulars(word, language)
                          if one in nouns), None)  # fmt: skip
        if found is not None:
            return found
    if language == "ru":
        return next((_stems()[stem] for key in keys if (stem := _stem(key)) in _stems()), None)
    return None


def _singulars(key: str, language: str) -> Iterator[str]:
    """What a word of a language may be the plural of."""
    shortest = 1 if language in ("ja", "ko") else 2
    for ending, singles in _PLURALS[language]:
        if key.endswith(ending) and len(key) >= len(ending) + shortest:
            start = key.removesuffix(ending)
            yield from (start + single for single in singles)
            if language == "de":  # Äpfel, Häuser, Kühe
                plain = start.replace("äu", "au").translate(_UMLAUTS)
                yield from (plain + single for single in singles)


def singular_of(phrase: str, language: str) -> str | None:
    """The English name of the noun whose plural a phrase of another language begins with.

    *balloon* of *globos rojos*. None for a singular, for what has no singular (*gafas*), and in
    languages whose plurals have no endings of their own.
    """
    if language not in _PLURALS:
        return None
    words = without_article(phrase).split()
    noun = words[0] if words else ""
    if language == "de":  # nouns are what is capitalised; an article says too little
        noun = next((word for word in words if word[0].isupper()), "")
        noun = noun if len(words) == len(phrase.split()) else ""
    key, nouns = name_key(noun), _nouns()[language]
    if language == "ar" and not key.endswith(_SEVERAL_AR):
        return None  # whose it is, or the accusative
    singulars = (one for one in _singulars(key, language) if one in nouns and one != key)
    found = next(singulars, None)
    if found is None or nouns.get(key, nouns[found]) not in (nouns[found], "child", "children"):
        return None
    return nouns[found]


def singular_of_dual(word: str) -> str | None:
    """The noun of Arabic of which a word names two: قطتان; None for other words."""
    nouns, keys = _plain_nouns("ar"), _plain_keys([name_key(word)], "ar")
    if any(key in nouns for key in keys):
        return None  # a horse, حصان
    duals = (("تان", "ه"), ("تين", "ه"), ("ان", ""), ("ين", ""))
    ones = (key.removesuffix(ending) + single for key in keys for ending, single in duals
            if key.endswith(ending))  # fmt: skip
    found = next((one for one in ones if one in nouns), None)
    return next((noun for noun in _nouns()["ar"] if _plain(noun, "ar") == found), None)


def _plain(key: str, language: str) -> str:
    """The spelling of a key in which nouns of a language are compared where no other is equal."""
    for letters, plain in _spellings(language):
        key = letters.sub(plain, key)
    return key


def _plain_keys(keys: Sequence[str], language: str) -> list[str]:
    """Keys in plain spelling; in Arabic then also without what is written into them."""
    plain = [_plain(key, language) for key in keys]
    if language == "ar":
        plain += [rest for key in plain if (rest := _ATTACHED.sub("", key)) != key]
    return plain


@cache
def _spellings(language: str) -> Sequence[tuple[re.Pattern[str], str]]:
    return [(re.compile(letters), plain) for letters, plain in _SPELLINGS[language]]


@cache
def _plain_nouns(language: str) -> Mapping[str, str]:
    """Nouns of a language in plain spelling; the first of equal ones counts."""
    found: dict[str, str] = {}
    for noun, name in _nouns().get(language, {}).items():
        found.setdefault(_plain(noun, language), name)
    return found


def _stem(key: str) -> str:
    """Russian words without their endings, which say the case."""
    return _ENDINGS.sub("", _plain(key, "ru"))


@cache
def _stems() -> Mapping[str, str]:
    nouns = _nouns()["ru"].items()
    return {stem: name for noun, name in nouns if len(stem := _stem(noun)) > 2}


def nouns_of(language: str) -> Mapping[str, str]:
    """The nouns of a language, as keys, with their English names; none where it has no column."""
    return _nouns().get(language, {})


def in_language(name: str, language: str) -> str:
    """The noun of another language for an English name; that name where the table has none."""
    found = (noun for noun, meaning in _nouns().get(language, {}).items() if meaning == name)
    return next(found, name)


def head_of_compound(phrase: str, languages: Sequence[str]) -> str | None:
    """The English name of the noun that a German compound ends in: *Apfelbaum* is a tree."""
    word = name_key(phrase).rpartition(" ")[2]
    if "de" not in languages:
        return None
    endings = (word[at:] for at in range(3, len(word) - 3))
    return next((_nouns()["de"][end] for end in endings if end in _nouns()["de"]), None)


def content_of(phrase: str, languages: Sequence[str]) -> str | None:
    """What is in the vessel that a phrase names: *chocolat chaud* in *tasse de chocolat chaud*."""
    found = (_vessel(phrase, language) for language in languages)
    return next((vessel[1] for vessel in found if vessel is not None), None)


def _vessel(phrase: str, language: str) -> tuple[str, str] | None:
    """The English name of a vessel, and the words for what is in it; None for other phrases."""
    word, _, rest = without_article(phrase).partition(" ")
    key = name_key(word)
    name = key if language == "en" else _nouns().get(language, {}).get(key)
    start = re.match(OF[language], rest, re.IGNORECASE) if language in OF else None
    if start is None or name is None or name not in MEASURES | _VESSELS:
        return None
    return (name, rest[start.end() :]) if rest[start.end() :] else None


def best_name(phrase: str) -> BestName | None:
    """Under which name the thing that an English phrase names is drawn best; None if not known."""
    return next((_best()[key] for key in _keys(phrase) if key in _best()), None)


def other_names() -> Collection[str]:
    """The English names that :func:`best_name` knows, all lower case."""
    return _best().keys()


def _keys(phrase: str) -> list[str]:
    return [name_key(form) for form in (phrase, without_article(phrase), bare(phrase))]


@cache
def _english_too() -> frozenset[str]:
    return frozenset(_ENGLISH_TOO.split())


@cache
def _nouns() -> Mapping[str, Mapping[str, str]]:
    """Language -> key of a noun -> its English name; the first of equal nouns counts.

    The table holds keys (:func:`limner.text.names.name_key`): there are thousands.
    """
    header, *rows = read_table("limner.text", "vocabulary.tsv")
    codes = header[1:]
    found: dict[str, dict[str, str]] = {code: {} for code in codes}
    for english, *columns in rows:
        for code, words in zip(codes, columns, strict=True):
            for word in filter(None, words.split("|")):
                found[code].setdefault(word, english)
    return found


@cache
def _best() -> Mapping[str, BestName]:
    """Key of a name -> the best one; those of other things of a kind begin with ``~``."""
    _, *rows = read_table("limner.text", "synonyms.tsv")
    return {
        name_key(other): BestName(name.removeprefix("~"), not name.startswith("~"))
        for name, others in rows
        for other in others.split("|")
    }
