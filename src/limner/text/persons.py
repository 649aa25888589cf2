"""Persons in words for what is drawn of them: *a sad girl*, *un hombre enfadado*, *ein Postbote*.

Emoji have a few feelings of persons (*woman frowning*), and none of a girl or a boy: those are
drawn as a woman and a man who feel so. A job that has no drawing is shown by what is known it by:
a postman is a man who holds an envelope (``jobs.tsv``). Words for feelings are in ``moods.tsv``,
regular expressions by language. What is drawn is written by its English name with hyphens
(*woman-frowning*), which is the same name, and which no sentence is cut at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import NamedTuple

from limner.text.lexicon import LATIN, OTHER
from limner.text.names import bare, name_key, without_article
from limner.text.spelling import means_person
from limner.text.tables import columns, table
from limner.text.vocabulary import best_name, in_english, in_language, nouns_of

_KINDS = {
    "woman": "woman", "girl": "woman", "man": "man", "boy": "man", "child": "child",
    "person": "person", "people": "person", "lady": "woman", "guy": "man", "teenager": "person",
}  # fmt: skip
"""Whose feelings and doings are drawn as whose, by their best English names."""
_SIGNS = {
    "frowning": "sweat-droplets", "pouting": "anger-symbol", "shrugging": "red-question-mark",
    "surprised": "exclamation-question-mark", "loving": "two-hearts",
}  # fmt: skip
"""What is shown beside somebody of whom there is no drawing with a feeling."""
OWN_HEADS = frozenset({"boy", "girl", "child", "old man", "old woman"})
"""Persons of whom no drawing does or feels something, but whose heads are drawn."""
FROWNING = "frowning"
_UPSET = frozenset({FROWNING, "pouting"})
"""Feelings of who frowns."""
_QUIET = re.compile(
    "lonely|tired|exhausted|weary|sick|ill$|孤独|孤单|疲|累|生病|solitari|cansad|agotad|enferm|seule|"
    "fatigu|épuis|malade|einsam|müde|erschöpft|krank|^sol|stanc|malat|sozinh|doente|одинок|уста|"
    "больн|寂し|さびし|疲れ|病気|외로|지친|피곤|아픈|अकेल|थक|बीमार|وحيد|متعب|مريض",
    re.IGNORECASE,
)
"""Feelings among those of who frowns that no sign beside somebody says."""
_ARMS = frozenset({"shield", "crossed swords"})
_OTHER_ARMS = re.compile(
    r" (?:with|holding|carrying|wielding|con|avec|mit|com|с|sosteniendo|tenant|hält|segurando) ",
    re.IGNORECASE,
)
"""What says behind somebody what he has in his hands."""
_JOINED = {"zh": "[和与跟]", "ja": "と", "ko": "(?:와|과|하고|랑) ?", "ar": " و ?"}
"""*And* in languages that write it into a word."""
_PLURALS = {"man": "men", "woman": "women", "person": "people"}
_NO_NUMBER = frozenset({"", "the", "some"})
"""What may be before a plural of English that says no number."""
_NO_PERSON = frozenset({"face", "head", "human"})
"""What is drawn as a person, and feels as a face."""
_CATS = frozenset({"cat", "cat face", "kitten"})
_WORD = r"[^\W\d_][\w'’\u0300-\u036f\u0900-\u097f-]*"
_LEADS = frozenset({
    "un", "una", "el", "la", "los", "las", "unos", "unas", "y", "con", "de", "a", "le", "les",
    "des", "et", "avec", "il", "lo", "i", "uno", "o", "e", "um", "uma", "os", "as", "com", "petit",
    "petite", "vieux", "vieille", "pequeño", "viejo", "piccolo", "vecchio", "pequeno", "velho",
})  # fmt: skip
"""Words of Romance languages after which a noun is no description of the one before."""
_UNSPACED = frozenset({"zh", "ja", "ko"})
"""Languages in which a noun stands between other words without spaces, or with a particle."""
_VERY = {
    "en": "(?:very|so|really|quite) ", "es": "(?:muy|tan|bastante) ", "fr": "(?:très|si|bien) ",
    "de": "(?:sehr|so|ganz) ", "it": "(?:molto|così|tanto) ", "pt": "(?:muito|tão|bem) ",
    "ru": "(?:очень|совсем) ", "zh": "(?:很|非常|十分|特别)", "ja": "(?:とても|すごく)",
    "ko": "(?:아주|매우|너무) ", "hi": "(?:बहुत|बड़ा) ", "ar": "",
}  # fmt: skip
_IS = {
    "en": "(?:who |that )?(?:is|are|looks?|feels?|was) ", "es": "(?:que )?(?:está|es|parece)n? ",
    "fr": "(?:qui )?(?:est|a l'air|sont) ", "de": "(?:ist|sind|sieht) ",
    "it": "(?:che )?(?:è|sono|sembra) ", "pt": "(?:que )?(?:está|é|estão|parece) ",
    "zh": "(?:看起来|显得|正在|在)?", "ja": "[がは]", "ko": "[이가은는] ", "ru": "", "hi": "",
}  # fmt: skip
"""What stands between somebody and a feeling that is said behind."""
_AGED = {
    "es": "viej[oa]", "fr": "vieille|vieux|vieil", "it": "vecchi[oa]|anzian[oa]", "pt": "velh[oa]",
    "en": "old|elderly", "de": "alte[rnsm]?", "ru": "стар\\w+|пожил\\w+",
}  # fmt: skip
"""Who is old, before the noun and a feeling behind it."""
_BETWEEN = {"en": "(?:little |young |small )?(?:(?P<old>old|elderly) )?",
            "de": "(?:kleine[rnsm]? )?(?:(?P<old>alte[rnsm]?) )?", "zh": "的",
            "ja": "(?:小さな)?", "es": "", "ru": "(?:маленьк\\w+ )?", "hi": "(?:छोट[ाीे] )?",
            "ko": "(?:어린 )?"}  # fmt: skip
"""What may stand between a feeling and whose it is."""
_FEMININE = {
    "es": "a$", "it": "(?:a|trice)$", "pt": "a$", "de": "(?:in|frau)$", "ar": "ة$",
    "fr": "(?:euse|ère|trice|enne|ine)$", "ru": "(?:ца|ка|ша)$",
}  # fmt: skip
"""Endings of words for what women do."""
_BOTH = {
    "es": ("una", "la", "unas", "las"), "it": ("una", "la", "le"), "pt": ("uma", "a", "umas", "as"),
}  # fmt: skip
"""Articles of women where a word for a job may say either."""
_EITHER = r"(?:ist|pirat|poet|atlet|astronaut|guard|camarad|guí|guid)as?$"
_SHOWN: Mapping[str, Mapping[str, str]] = {
    "en": {
        "holding": "{who} holding {what}",
        "wearing": "{who} wearing {what}",
        "beside": "{who} next to {what}",
    },
    "es": {
        "wearing": "{who} con {what}",
        "holding": "{who} sosteniendo {what}",
        "beside": "{who} junto a {what}",
    },
    "fr": {
        "wearing": "{who} avec {what}",
        "holding": "{who} tenant {what}",
        "beside": "{who} à côté de {what}",
    },
    "de": {
        "wearing": "{who} mit {what}",
        "holding": "{who} hält {what}",
        "beside": "{who} neben {what}",
    },
    "it": {
        "wearing": "{who} con {what}",
        "holding": "{who} tiene {what}",
        "beside": "{who} accanto a {what}",
    },
    "pt": {
        "wearing": "{who} com {what}",
        "holding": "{who} segurando {what}",
        "beside": "{who} ao lado de {what}",
    },
    "ru": {
        "wearing": "{who} с {what}",
        "holding": "{who} держит {what}",
        "beside": "{who} рядом с {what}",
    },
    "zh": {
        "wearing": "戴着{what}的{who}",
        "holding": "拿着{what}的{who}",
        "beside": "{what}旁边的{who}",
    },
    "ja": {
        "wearing": "{what}をかぶった{who}",
        "holding": "{what}を持った{who}",
        "beside": "{what}の隣の{who}",
    },
    "ko": {
        "wearing": "{what}를 쓴 {who}",
        "holding": "{what}를 든 {who}",
        "beside": "{what} 옆에 있는 {who}",
    },
    "hi": {
        "wearing": "{what} पहने हुए {who}",
        "holding": "{what} लिए हुए {who}",
        "beside": "{what} के पास {who}",
    },
    "ar": {
        "wearing": "{who} يرتدي {what}",
        "holding": "{who} يحمل {what}",
        "beside": "{who} بجانب {what}",
    },
}
"""How somebody with a thing is said, in words that sentences are cut at."""
_FELT = {
    "en": "{who} with {what}", "es": "{who} con {what}", "fr": "{who} avec {what}",
    "de": "{who} mit {what}", "it": "{who} con {what}", "pt": "{who} com {what}",
    "ru": "{who} с {what}",
}  # fmt: skip
"""How somebody with the sign of a feeling is said, so that the sentence goes on about him."""


class _Job(NamedTuple):
    """What a job is shown by: who, the relation to the thing, the thing, by English names."""

    who: str
    relation: str
    thing: str


def as_drawn(text: str, language: str, is_name: Callable[[str], bool]) -> str:
    """A text in which feelings and jobs of persons are said in words for what is drawn.

    Args:
        text: canonical text.
        language: that it is read in.
        is_name: whether a phrase is a name of something that is drawn by itself.
    """
    if language not in _SHOWN or is_name(without_article(text)):
        return text
    return _with_jobs(_with_moods(text, language, is_name), language, is_name)


def kind_of(word: str, language: str) -> str | None:
    """As whom somebody is drawn who feels or does something: *woman* of *niña*; None for others.

    Children of whom nothing more is said are *child*, cats *cat*.
    """
    name = best_of(word, language)
    if name is None:
        return None
    return "cat" if name in _CATS else _KINDS.get(name)


def best_of(word: str, language: str) -> str | None:
    """The English name under which somebody is drawn: *girl* of *niña*; None for no person."""
    name = _english_of(word, language)
    if name is None or name in _NO_PERSON:
        return None
    best = best_name(name)
    return name if best is None else best.name


def _lives(word: str, language: str) -> bool:
    """Whether a word names a person or an animal."""
    name = _english_of(word, language) or ""
    return name in animals() or name in _jobs() or any(map(means_person, name.split()[-1:]))


@cache
def animals() -> frozenset[str]:
    """English names of animals that are dressed up, and that feel."""
    return frozenset(table("costumes.tsv")[0][1].split("|"))


def _english_of(words: str, language: str) -> str | None:
    """The English name that words of a language may be; None for none."""
    return name_key(bare(words)) if language == "en" else in_english(words, (language,))


@cache
def who_pattern(language: str) -> str:
    """A regular expression of the words for somebody, as the group ``who``.

    A word between spaces; the nouns themselves in languages whose nouns are not between those.
    """
    if language not in _UNSPACED:
        return f"(?P<who>{_WORD})"
    known = nouns_of(language)
    nouns = sorted((noun for noun in known if kind_of(noun, language) or _lives(noun, language)),
                   key=len)  # fmt: skip
    return f"(?P<who>{'|'.join(map(re.escape, reversed(nouns)))})"


def _with_moods(text: str, language: str, is_name: Callable[[str], bool]) -> str:
    """The text with the first person or cat of whom a drawing with its feeling is known."""
    pattern, (meanings, _) = _moods(language), columns("moods.tsv")
    match = pattern.search(text)
    while match is not None:
        row = next(row for row in range(len(meanings)) if match[f"a{row}"] or match[f"b{row}"])
        mood, cat = meanings[row]
        who_said = match["who"] or match["before"]
        kind = kind_of(who_said, language)
        if kind == "cat":
            name = cat
        else:
            name = f"{'person' if kind == 'child' else kind} {mood}" if kind and mood else ""
        groups = match.groupdict()
        aged = groups.get("old") or groups.get("aged")
        own = f"old {kind}" if aged and kind in ("man", "woman") else best_of(who_said, language)
        if own in OWN_HEADS and mood in _UPSET and is_name(own):
            sad = f"{own} {FROWNING}".replace(" ", "-")
            if mood != FROWNING:
                sad = _FELT.get(language, _SHOWN[language]["beside"]).format(
                    who=sad, what=_SIGNS[mood]
                )
            return f"{text[: match.start()]}{sad}{text[match.end() :]}"
        if name and is_name(name) and not aged:
            return f"{text[: match.start()]}{name.replace(' ', '-')}{text[match.end() :]}"
        sign, who = _SIGNS.get(mood, ""), who_said
        if _QUIET.search(match[f"a{row}"] or match[f"b{row}"]):
            sign = ""
        if sign and is_name(sign) and _lives(who, language):
            who = f"{aged} {who}" if aged else who
            shown = _FELT.get(language, _SHOWN[language]["beside"]).format(who=who, what=sign)
            return f"{text[: match.start()]}{shown}{text[match.end() :]}"
        match = pattern.search(text, match.start() + 1)
    return text


@cache
def _moods(language: str) -> re.Pattern[str]:
    """Somebody with a feeling before (groups ``a0``… for the rows) or behind (``b0``…)."""
    cells = columns("moods.tsv")[1][language]
    first, last = (
        "|".join(f"(?P<{side}{row}>{words})" for row, words in enumerate(cells)) for side in "ab"
    )
    very, who = _VERY[language], who_pattern(language)
    begins, ends = ("", "") if language in ("zh", "ja") else (r"(?<!\w)", r"(?!\w)")
    space = "" if language in ("zh", "ja") else " "
    noun_first = language in ("es", "fr", "it", "pt", "ar")
    between = _BETWEEN.get(language, "")
    before = rf"{begins}(?:{very or '(?!)'})?(?:{first}){space}{between}{who}{ends}"
    joined = _IS.get(language, "(?!)")
    joined = f"(?:{joined})?" if noun_first else f"(?:{joined})"
    before_who = rf"(?:(?P<aged>{_AGED.get(language, '(?!)')}) )?" + who.replace(
        "?P<who>", "?P<before>"
    )
    gap = "" if language in _UNSPACED else " "
    behind = rf"{begins}{before_who}{gap}{joined}(?:{very or '(?!)'})?(?:{last})(?: हैं?)?{ends}"
    return re.compile(f"{behind}|{before}" if noun_first else f"{before}|{behind}", re.IGNORECASE)


def _with_jobs(text: str, language: str, is_name: Callable[[str], bool]) -> str:
    """The text with the first job that is shown by a thing in words for that."""
    for start, end, word, name in _jobs_in(text, language):
        job = _jobs()[name]
        if is_name(name) or not (is_name(job.thing) or job.relation == "wearing"):
            continue
        armed = job.relation == "wearing" or job.thing in _ARMS
        if armed and _describes(text, start, end, language):
            continue  # a pirate ship, a warrior princess
        who = job.who
        if who in ("person", "man") and _is_feminine(word, text[:start], language):
            who = "woman"
        shown = _shown(job._replace(who=who), language)
        said = job.thing in _ARMS and _OTHER_ARMS.match(text[end:]) is not None
        if said or _says(text[:start] + text[end:], job.thing, language):
            shown = _noun(who, language)
        several = language == "en" and bare(word) != word
        shown = _several(shown, text[:start]) if several else shown
        return f"{text[:start]}{shown}{_apart(text[end:], language)}"
    return text


def _several(shown: str, before: str) -> str:
    """Several persons of a job in English: *3 men holding shield* for *man holding shield*.

    What they wear is worn by all.
    """
    who, space, rest = shown.partition(" ")
    counted = before.strip().casefold() not in _NO_NUMBER
    rest = f"{rest}s" if rest.startswith("wearing ") else rest
    return f"{'' if counted else '3 '}{_PLURALS.get(who, f'{who}s')}{space}{rest}"


def _apart(after: str, language: str) -> str:
    """What follows somebody who holds a thing, so that what is joined to him is not held, too."""
    if language in _JOINED:
        return re.sub(rf"^{_JOINED[language]}(?=\w)", "、" if language == "ja" else ", ", after)
    joins = LATIN[language].joins if language in LATIN else OTHER.joins
    words = "|".join(sorted(" ".join(join) for join in joins))
    return re.sub(rf"^ (?:{words}) (?=\w)", ", ", after)


def _is_feminine(word: str, before: str, language: str) -> bool:
    """Whether a word for a job says a woman: *enfermera*, *una pirata*, but not *un pirata*."""
    ending = _FEMININE.get(language)
    if ending is None or re.search(ending, word.casefold()) is None:
        return False
    if language not in _BOTH or re.search(_EITHER, word.casefold()) is None:
        return True
    return (before.casefold().split() or [""])[-1] in _BOTH[language]


def _describes(text: str, start: int, end: int, language: str) -> bool:
    """Whether a word for somebody in a text describes a thing: *pirate ship*, *barco pirata*."""
    before, after = text[:start].split(), text[end:]
    if language in _UNSPACED:
        return re.match(r"[船旗帽服宝刀島岛]|선| (?:배|깃발|모자)", after) is not None
    if language in ("es", "fr", "it", "pt", "ar"):
        return bool(before) and language != "ar" and before[-1].casefold() not in _LEADS
    if language != "en":
        return False
    return re.match(r"['’]|-| (?!(?:with|on|in|at|and|or|who|that|is|next|under|behind)\b)"
                    r"(?!\w+(?:ing|[^s]s)\b)", after) is not None  # fmt: skip


def _shown(job: _Job, language: str) -> str:
    """What a job is shown by, in words of a language."""
    who, what = _noun(job.who, language), _noun(job.thing, language)
    return _SHOWN[language][job.relation].format(who=who, what=what)


def _noun(name: str, language: str) -> str:
    """The noun of a language for a name; else the name, which no sentence is cut at."""
    noun = in_language(name, language)
    if noun == name or (language in LATIN and noun in LATIN[language].stops):  # un sobre
        return name.replace(" ", "-")
    return noun.capitalize() if language == "de" else noun


def _says(text: str, thing: str, language: str) -> bool:
    """Whether a text names a thing itself: *a shepherd with sheep*."""
    if language in _UNSPACED:
        said = {name for noun, name in nouns_of(language).items() if noun in text}
    else:
        words = (match[0] for match in re.finditer(_WORD, text))
        said = {name for word in words if (name := _english_of(word, language)) is not None}
    best = map(best_name, said)
    return thing in said or thing in {each.name for each in best if each}


def _jobs_in(text: str, language: str) -> Iterator[tuple[int, int, str, str]]:
    """Where in a text jobs are said: begin, end, the word, the English name."""
    if language in _UNSPACED:
        for match in _job_nouns(language).finditer(text):
            yield match.start(), match.end(), match[0], nouns_of(language)[match[0]]
        return
    words = list(re.finditer(_WORD, text))
    for count in (3, 2, 1):
        for first, last in zip(words, words[count - 1 :], strict=False):
            said = text[first.start() : last.end()]
            if name_key(without_article(said)) != name_key(said):
                continue
            name = _english_of(said, language)
            if name is not None and name in _jobs():
                yield first.start(), last.end(), said, name


def job_alone(text: str, is_name: Callable[[str], bool]) -> str:
    """A text of one word for a job, in English: *郵便配達員* does not tell its language.

    Others are returned as they are.
    """
    name = in_english(without_article(text))
    job = None if name is None else _jobs().get(name)
    if job is None or is_name(name or ""):
        return text
    if not is_name(job.thing) and job.relation != "wearing":
        return text
    return _shown(job, "en")


@cache
def _job_nouns(language: str) -> re.Pattern[str]:
    nouns = (noun for noun, name in nouns_of(language).items() if name in _jobs())
    return re.compile("|".join(map(re.escape, sorted(nouns, key=len, reverse=True))))


@cache
def _jobs() -> Mapping[str, _Job]:
    """English name of a job -> what it is shown by."""
    return {
        name: _Job(who, relation, thing)
        for who, relation, thing, names in table("jobs.tsv")[1:]
        for name in names.split("|")
    }
