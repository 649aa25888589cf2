"""Reading a sentence: the phrases of its things, how these stand to each other, and where.

A sentence is cut at the words of :mod:`limner.scenes.relations`; phrases that name a place, a time
or a weather (:mod:`limner.scenes.places`) become the setting. Every phrase that remains is a prompt
of its own, which may ask for several things (*two cats and a dog*).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain

from limner.scenes import phrasebook
from limner.scenes.backgrounds import SIGNS
from limner.scenes.places import Setting, read_place, take_scenery, take_times
from limner.scenes.plain import background_alone
from limner.scenes.relations import Contact, templates
from limner.scenes.sizes import ALIVE, WORN, facts_of
from limner.text.lexicon import languages_of
from limner.text.names import bare, has_article, name_key
from limner.text.request_words import subject
from limner.text.vocabulary import in_english

_LONGEST = 600
"""Characters of a sentence that is read; longer ones are planned as they are."""
_MOST = 8
"""Phrases of a sentence that are drawn; of a long text those that are said first."""
_LONG = 120
"""Characters of a text that is not planned as it is where it has more phrases."""
_OWNED: frozenset[Contact] = frozenset(
    {"wearing", "holding", "eating", "riding", "with", "made", "doing"}
)
"""Relations after which the sentence goes on about the first thing."""
_ACTS: frozenset[Contact] = frozenset({"wearing", "holding", "eating", "riding", "doing"})
"""What persons and animals do."""
_FLAT = frozenset({"table", "plate", "seat", "board", "ridden"})
"""Roles of things that one is on where a language says *in* and *on* alike."""
_PLACED: frozenset[Contact] = frozenset(
    {"on", "in", "under", "at", "beside", "behind", "front", "above", "with", "below", "doing"}
)
"""Relations that a place may have."""
_WITHIN: frozenset[Contact] = frozenset({"in", "at", "on"})
"""Relations in which a place is part of another."""
_BESIDE: frozenset[Contact] = frozenset({"at", "beside", "front"})
"""Relations in which a wall is behind a thing, and in which it stands on a shore."""
_WITH_ARTICLE = frozenset({"num", "numa", "no", "na", "nos", "nas"})
"""Prepositions that have an article in them."""
_INDOORS = frozenset({"room", "kitchen"})
_SHORES = {"lake": "lakeside", "sea": "beach"}
_SIGNS = tuple(sign.casefold() for sign in (*SIGNS, *phrasebook.SIGNS))
_CLAUSES = re.compile(
    r"\s*(?:[.;!?:。；！？]+(?=\s|$|[^\x00-\x7f])|,?\s+(?:while|whereas|mientras|während|"
    r"pendant que|mentre|enquanto|пока)\s)\s*"
)
_ON_STAGE = re.compile(
    r" (?:en|sur|auf|su|em|на) (?:(?:une?|la|eine[rm]|der|un|um) )?"
    r"(?:escenario|scène|bühne|palco|palcoscenico|сцене)(?!\w)| (?:sul palco|no palco)(?!\w)|"
    r"在舞台上|(?:ステージ|舞台)(?:の上)?で",
    re.IGNORECASE,
)
"""A place that is not painted."""
_JA_CLAUSES = re.compile(r"([てで])いて[、，]")
"""What joins two clauses of Japanese: *犬は寝ていて、猫は…*."""
_AND_WORD = re.compile(r",?\s(\w+)(?=\s)")
_ANDS = {
    "en": ("and",), "es": ("y", "e"), "fr": ("et",), "de": ("und",), "it": ("e", "ed"),
    "pt": ("e",), "ru": ("и", "а"),
}  # fmt: skip
"""Words that may join clauses."""
_CRYING = {
    "en": r"(?:is|are) \w+ing",
    "es": r"(?:est[áa]n? \w+ndo|(?:llora|ríe|duerme|baila|canta|corre|salta|sonríe|nada|vuela)n?)",
    "fr": r"pleure|rit|dort|danse|chante|court|saute|sourit|nage|vole",
    "de": r"weint|lacht|schläft|tanzt|singt|rennt|läuft|springt|lächelt|schwimmt|fliegt",
    "it": r"(?:sta \w+ndo|piange|ride|dorme|balla|canta|corre|salta|sorride|nuota|vola)",
    "pt": r"(?:est[áã]o? \w+ndo|chora|ri|dorme|dança|canta|corre|pula|sorri|nada|voa)",
    "ru": r"\w+(?:[её]т|[ую]т|ит|[ая]т)(?:ся)?",
}
"""What somebody does to nothing, at the end of a clause: *y el niño está llorando*."""
_STILL: frozenset[Contact] = frozenset({"with", "wearing", "left", "right", "beside"})
"""Relations that are said of things in a list, too: *a cat and a dog with hats*."""
_COMMAS = re.compile(r"\s*[,，]\s*")
_AND = re.compile(
    r"(?:,| and| y| et| und| e| и|和|と| 그리고| और| who| that| which| que| qui| che| is| are)+$",
    re.IGNORECASE,
)
_JOINED = re.compile(r"(.+?) (?:and|y|et|und|e|и) (.+)", re.IGNORECASE | re.DOTALL)
_JOINED_ALL = re.compile(r" (?:and|y|et|und|e|и) |[和与與と]", re.IGNORECASE)
_JOINED_ZH = re.compile(r"(.+?)[和与與と](.+)", re.DOTALL)
_WHO = re.compile(r"^(?:который|которая|которое|которые|who|which|that) ", re.IGNORECASE)
_HUNG = re.compile(r"^(?:and|y|et|und|e|и|和) ", re.IGNORECASE)
_COUNT_ONLY = re.compile(
    r"(?:[一两兩二三四五六七八九十\d几]*[只隻個个条條头匹位名群朵辆艘张]?)|"
    r"(?:an?|the|one|un[ae]?|eine?|el|la|le|der|die|das)"
    r"(?: (?:little|cute|small|big|red|blue|green|yellow|black|white|old|young|happy|funny|tiny))*",
    re.IGNORECASE,
)
_WITH_ITS = re.compile(r"^(?:its|his|her|their) ", re.IGNORECASE)
_WITH = re.compile(r"^with (?=\w)", re.IGNORECASE)
_MEASURED = re.compile(
    r"^(?:an? |the )?(?:piece|slice|bit|chunk|sheet)s? of |"
    r"^(?:un |una )?(?:trozo|rebanada|pedazo) de |"
    r"^(?:un |une )?(?:morceau|tranche) de |^(?:ein )?stück ",
    re.IGNORECASE,
)
_LEADING = {
    "en": "at|in|on|under|during|by|over|behind", "es": "en|bajo|sobre", "fr": "sur|dans|sous|à|au",
    "de": "auf|im|in|am|unter|bei", "it": "su|sul|sulla|in|nel|nella|sotto",
    "pt": "em|no|na|sob", "ru": "в|во|на|под",
}  # fmt: skip
"""Prepositions with which a sentence may begin, before its place."""
_PRONOUNS = re.compile(
    r"\s+(?:(?:next to|beside|around|near|with|behind|in front of|on|in|above|under) "
    r"(?:it|him|her|them|itself|each other|one another)|"
    r"a su lado|à côté|daneben|accanto|ao lado|рядом)$| on top$| (?:is|are) \w+$",
    re.IGNORECASE,
)
_PARTS = re.compile(
    r"\b(?:pigtails?|pony ?tails?|braids?|freckles|curls|dimples|"
    r"hair|beards?|mou?stache|eyes?|ears?|nose|mouth|teeth|smile|tails?|wings?|horns?|mane|fur|"
    r"legs?|arms?|hands?|feet|face|heads?|back|shoulders?|lap|neck|skin|stripes?|spots?|dots?|"
    r"petals?|leaves|border|frame|center|centre|middle|handle|straw|sprinkles|icing|frosting|glaze|screens?|scoops?|edges?|colou?rs?|haar\w*|augen|"
    r"bart|streifen|flügeln?|schwanz|gesicht)$|"
    r"^(?:l[oae]s? |il |un[ae]? |uma? )?(?:pelo|cabello|cheveux|capelli|cabelo|ojos|yeux|occhi|"
    r"olhos|cabeza|tête|testa|cabeça|barba|barbe|rayas|rayures|strisce|listras|alas|ailes|ali|asas|cola|queue|coda|rabo|visage)\b|"
    r"(?:волос|глаз|бород|полос|крыл|хвост)\w*$|"
    r"(?:头发|眼睛|胡子|翅膀|尾巴|条纹|髪|ひげ|수염|बाल)$",
    re.IGNORECASE,
)
"""What is no thing of its own but a part of one: *a woman with long hair*."""
_TAKING: frozenset[Contact] = frozenset({"doing", "holding", "eating"})
_TAKEN = re.compile(r"(?:leaves|leaf|petals?|straws?)$", re.IGNORECASE)
"""Parts that somebody takes, who then has them as things: *raking leaves*."""
_SMALL = re.compile(
    r"pigtails?|pony ?tails?|braids?|freckles|curls|"
    r"hair|beards?|mo?ustaches?|eyes?|ears?|nose|lips?|mouth|teeth|tongue|tails?|paws?|feet|legs?|"
    r"hands?|nails|cheeks|mane|horns?|beak|haare?n?|augen|nase|ohren|bart|lippen|"
    r"pelo|cabello|ojos|orejas|nariz|labios|cola|barba|cheveux|yeux|oreilles|nez|lèvres|barbe|"
    r"capelli|occhi|orecchie|naso|cabelo|olhos|orelhas|волос\w*|глаз\w*|бород\w*|شعر|عيون",
    re.IGNORECASE,
)
"""Parts whose colour is not that of the whole."""
_ROMANCE = (
    r"(?:(?:los|las|les|des|gli|i|le|os|as|un|una|une|uma|il|la|el) )?(?:pelo|cabello|ojos|orejas|"
    r"nariz|barba|cheveux|yeux|oreilles|barbe|capelli|occhi|orecchie|cabelo|olhos|orelhas) \w+"
)
"""A part with its colour behind it: *ojos verdes*."""
_PART_FIRST = re.compile(
    rf"(?:(?:[\w-]+ ){{0,3}}(?:{_SMALL.pattern})|{_ROMANCE})"
    r"(?=,| (?:\w+ing|on|in|at|by|near|under|beside|next|who|and|en|sobre|bajo|y|sur|dans|sous|"
    r"et|auf|im|am|unter|und|su|sotto|e|no|na|sob)(?!\w))",
    re.IGNORECASE,
)
"""A part, and more of the sentence behind it: *with pink hair on a beach*."""
_GROUND = re.compile(r"(?:the |a )?(?:floor|ground)", re.IGNORECASE)
"""What is cleaned or painted, and no thing."""
_NO_THING = re.compile(
    r"(?:the |an? |many |small )?(?:half|pieces|wind|love|black and white|autumn|fall|spring|"
    r"age|moment|same time|"
    r"action|motion|profile|pixel art|watercolou?rs?|colou?r|3d|"
    r"style|fashion|"
    r"background|favou?r|general|stage|it|him|her|them)(?= (?:on|in|at|with) |$)",
    re.IGNORECASE,
)
_OF = re.compile(
    r"(?:'s|’s) (?:head|shoulders?|back|hand|lap|nose|arms?)$|"
    r"^the (?:head|shoulders?|back|hand|lap|nose|arms?) of (?=\w)",
    re.IGNORECASE,
)
_PREPOSITION = {
    "en": re.compile(r"(?:in|on|at|with|under|over|near|by|to|for|into|of) ", re.IGNORECASE),
    "de": re.compile(r"(?:in|im|auf|am|an|mit|unter|über|neben|bei|vor|hinter) ", re.IGNORECASE),
}
_PRONOUN = re.compile(
    r"(?:it|him|her|them|itself|himself|herself|each other|lui|elle|eux|elles|él|ella|ellos|ellas|"
    r"ihm|ihr|ihnen|lei|loro|ele|ela|eles|elas|него|неё|нее|них|他|她|它|他们|彼|彼女)",
    re.IGNORECASE,
)
_PRONOUN_AND = re.compile(r"(?:it|him|her|them)(?: and|,) (.+)", re.IGNORECASE | re.DOTALL)
_DEFINITE = {
    "en": "the ", "de": "d(?:er|ie|as|em|en|es) ", "es": "(?:el|la|los|las) ",
    "fr": "(?:(?:le|la|les) |l')", "it": "(?:(?:il|lo|la|i|gli|le) |l')", "pt": "(?:o|a|os|as) ",
    "zh": "(?=[^一两二三四五六七八九十几\\d].)",
}  # fmt: skip
"""How a thing begins that was said before."""
_OPINION = re.compile(r"(?:is|are|was|looks?) (?:so |very )?[\w-]+", re.IGNORECASE)
_BEHIND_ALL = re.compile(
    r",? (?:in the (?:far )?(?:back|fore)ground|(?:al|en el) fondo|(?:à l'|en )arrière-plan|"
    r"im (?:hinter|vorder)grund|sullo sfondo|(?:ao|no) fundo|на (?:заднем|переднем) плане)(?!\w)",
    re.IGNORECASE,
)
"""Where far things are, which says no colour."""
_ASIDE: dict[str, dict[Contact, str]] = {
    "en": {"beside": "(?:next to|beside|near|by|with) (?:it|him|her|them)", "on": "on (?:it|top)",
           "behind": "behind (?:it|him|her|them)", "under": "(?:under|below) (?:it|him|her|them)",
           "front": "in front of (?:it|him|her|them)",
           "above": "(?:above|over) (?:it|him|her|them)"},
    "es": {"beside": "(?:a su lado|al lado|junto a (?:él|ella))", "on": "encima", "under": "debajo",
           "behind": "detrás", "front": "delante"},
    "fr": {"beside": "à côté", "on": "dessus", "under": "dessous", "behind": "derrière",
           "front": "devant"},
    "de": {"beside": "(?:daneben|neben (?:ihm|ihr|ihnen))", "on": "(?:darauf|drauf)",
           "under": "darunter", "behind": "(?:dahinter|hinter (?:ihm|ihr))", "front": "davor",
           "above": "darüber"},
}  # fmt: skip
"""How a further thing stands to the one before, where it is said first: *on it a teapot*."""
_SIDES_EN: dict[Contact, tuple[str, ...]] = {
    "under": ("under", "underneath", "below", "beneath"),
    "beside": ("next to", "beside", "near", "by", "close to"),
    "behind": ("behind",), "front": ("in front of",), "above": ("above", "over"),
    "on": ("on top of", "on"),
}  # fmt: skip
_OF_IT_EN = re.compile(
    rf"(?P<what>.+?) (?P<side>{'|'.join(word for side in _SIDES_EN.values() for word in side)}) "
    r"(?:it|him|her|them)",
    re.IGNORECASE,
)
"""What is somewhere of the thing said before: *a cat under it*."""
_THERE = (
    r"(?:there (?:is|are)|is|are|hay|está[ns]?|il y a|se trouven?t?|c'è|ci sono|há|"
    r"(?:da )?(?:steh|lieg|sitz|spiel|hüpf|flieg)(?:t|en)|gibt es|ist|sind|(?:sit|stand|lie)s?)"
)
_FIRST_WHERE = re.compile(
    rf"(?P<where>(?:on|in|under|behind|next to|beside|in front of|en|sobre|bajo|sur|dans|sous|"
    rf"auf|im|in|unter|neben|vor|hinter) .{{3,40}}?),? {_THERE} (?P<thing>.+)",
    re.IGNORECASE | re.DOTALL,
)
"""*Auf dem Tisch steht ein Glas*."""
_WHERE_ZH = re.compile(
    r"(?P<place>[^，。在有]{1,5}?(?:里|中|上|内|边))(?=[一两二三四五六七八九十几\d]|有)"
)
_SKY = {"天": "天上", "空": "天空"}
"""What the signs for a side leave of the sky."""
_VERB_BEHIND = re.compile(
    r" (?:schau|guck|blick|sitz|steh|lieg|schläf|schlaf|spiel|flieg|schwimm|renn|lauf|läuf|geh)"
    r"(?:t|en)$",
    re.IGNORECASE,
)
_HE = {
    "en": "he|she|it|they", "es": "él|ella|ellos|ellas", "fr": "il|elle|ils|elles",
    "de": "er|sie|es", "it": "lui|lei|loro", "pt": "ele|ela|eles|elas", "ru": "он|она|оно|они",
    "zh": "他们?|她们?|它们?", "ja": "(?:彼女?|それ)[はが]",
}  # fmt: skip
"""Who was said before, at the beginning of a further sentence."""
_GAP = {"zh": "", "ja": ""}
_BEARING: frozenset[str] = frozenset({"table", "plate"})
"""Roles of things of which a list says what is upon them."""
_HOLDING: frozenset[str] = frozenset({"table", "plate", "vessel", "box"})
"""Roles of things that have what is said with them, not who has them."""
_OF_IT = frozenset("的有のと의")
"""Signs of what is of a thing, after which nothing is in it."""
_DONE = re.compile(
    r" (?:corre|vuela|nada|duerme|läuft|court)$|"
    r" (?:runs|jumps|flies|sleeps|swims|walks|sits|stands|dances|sings|leaps|"
    r"is (?:running|jumping|flying|sleeping|swimming|walking|sitting|standing|dancing|singing))$|"
    r" (?:has|have|had) (?:just )?\w+$|"
    r"(?:正?在)(?:跑步?|飞|睡觉|游泳|玩|跳舞?)$"
)


@dataclass(frozen=True)
class Link:
    """How a phrase stands to another: numbers of the two, the relation of the first."""

    first: int
    relation: Contact
    second: int


@dataclass(frozen=True)
class Sentence:
    """What a sentence says.

    Attributes:
        phrases: each a prompt of its own.
        links: between them.
        setting: behind them; None where nothing is said.
        cut: whether it goes on about things that are left out.
        aloft: numbers of the phrases whose things fly over the setting.
    """

    phrases: tuple[str, ...]
    links: tuple[Link, ...] = ()
    setting: Setting | None = None
    cut: bool = False
    aloft: frozenset[int] = frozenset()

    @property
    def plain(self) -> bool:
        """Whether the sentence says nothing that a list of things would not say."""
        return self.setting is None and all(
            link.relation in ("left", "right", "above", "below") for link in self.links
        )


def is_own_part(phrase: str, text: str = "") -> bool:
    """Whether a phrase names a part of a thing said before: *its tail*, *with red wings*.

    Args:
        phrase: that may name one.
        text: that it is of.
    """
    if _PARTS.search(phrase) is None:
        return False
    return _WITH_ITS.match(phrase) is not None or bool(
        re.search(rf" with {re.escape(phrase)}(?:$|,| and )", text)
    )


def colours_a_part(colour: str, phrase: str) -> bool:
    """Whether the word for a colour in a phrase is said of a small part: *a girl with pink hair*.

    Nothing is said of the colour of the girl. What is large, the wings of a butterfly or the petals
    of a flower, does give a thing its colour.
    """
    match = re.search(rf"(?<!\w){re.escape(colour)}(?!\w)", phrase, re.IGNORECASE)
    if match is None:
        return False
    behind, before = phrase[match.end() :].split()[:2], phrase[: match.start()].split()[-1:]
    return any(_SMALL.fullmatch(word.strip(",.;")) for word in (*behind, *before))


@lru_cache(maxsize=4096)
def read(
    text: str, languages: tuple[str, ...] | None = None, *, arranged: bool = False
) -> Sentence:
    """Read a sentence; one without any relation or place is a single phrase.

    Args:
        text: canonical text (:func:`limner.text.validate.canonical`) in any language; those that
            are not taught (:data:`limner.scenes.places.LANGUAGES`) are not cut.
        languages: that it may be in; None to tell by its words.
        arranged: cut it also where it says no more than which thing is left of another or above it.
    """
    whole = Sentence((text,))
    if len(text) > _LONGEST:
        return whole
    read = (_read(text, language) for language in languages or languages_of(text))
    found = [each for each in read if not each.plain or (arranged and each.links)]
    return min(found, key=_unsure, default=whole)


def _unsure(sentence: Sentence) -> int:
    """How many of its verbs were not known in the language that the sentence was read in."""
    return sum(link.relation == "doing" for link in sentence.links)


def _read(text: str, language: str) -> Sentence:
    """Read a sentence of a language."""
    whole, reader, cut = Sentence((text,)), _Reader(language), False
    try:
        reader.sentence(text)
    except _TooMuchError:
        cut = True
    phrases = tuple(reader.phrases)
    setting = None if reader.setting is None else reader.setting.settled
    if len(phrases) > _MOST:
        cut, phrases = True, phrases[:_MOST]
        reader.links = [each for each in reader.links if max(each.first, each.second) < _MOST]
    if cut and len(text) < _LONG:
        return whole
    if not phrases and setting is not None:
        return Sentence((), (), setting) if setting.scenery or reader.scenery else whole
    if setting is None and reader.scenery and phrases:
        setting = Setting("grass")
    if not reader.links and setting is None:
        return whole
    return Sentence(phrases, tuple(reader.links), setting, cut, frozenset(reader.aloft))


def _without_background(text: str) -> str:
    """A sentence without a coloured background at its end, which the planner reads in the whole."""
    words = text.split(" ")
    for start in range(max(1, len(words) - 6), len(words)):
        if background_alone(" ".join(words[start:]))[0]:
            return re.sub(
                r",? (?:in front|against|vor|devant|delante)$", "", " ".join(words[:start])
            )
    return text


def _without_part_first(text: str) -> str:
    """What is said after a part: *a blue scarf*, of *a carrot nose and a blue scarf*."""
    part = _PART_FIRST.match(text)
    joined = None if part is None else _HUNG.match(text[part.end() :].lstrip())
    if part is None or joined is None:
        return text
    return text[part.end() :].lstrip()[joined.end() :]


def _below(place: Setting, relation: Contact) -> Setting:
    """A place; under the sea it is under water."""
    if relation == "under" and place.place in ("sea", "lake"):
        return replace(place, place="underwater")
    return place


def _noun_of(phrase: str) -> str:
    """The first noun of a phrase of a language whose adjectives stand behind."""
    return next((word for word in phrase.split(" ") if not has_article(f"{word} _")), phrase)


class _TooMuchError(Exception):
    """A sentence has more phrases than a picture can hold."""


class _Reader:
    """Collects phrases, links and the setting of one sentence."""

    def __init__(self, language: str) -> None:
        self.language = language
        self.phrases: list[str] = []
        self.links: list[Link] = []
        self.setting: Setting | None = None
        self.scenery = False
        self.aloft: set[int] = set()

    def sentence(self, text: str) -> None:
        text, self.scenery = take_scenery(text, self.language) if len(text) < 60 else (text, False)
        text, when = take_times(text, self.language)
        self._add(when)
        text = _without_background(_BEHIND_ALL.sub("", text))
        text = _ON_STAGE.sub("", text)
        text = _JA_CLAUSES.sub(r"\1いる。", text) if self.language == "ja" else text
        parts = filter(None, _CLAUSES.split(text))
        for clause in chain.from_iterable(map(self._joined_clauses, parts)):
            if not self._goes_on(clause.strip(" ,，")):
                self._clause(clause.strip(" ,，"))

    def _joined_clauses(self, text: str) -> list[str]:
        """The clauses of a text that *and* joins, each about somebody who does something."""
        for match in _AND_WORD.finditer(text):
            if match[1].casefold() not in _ANDS.get(self.language, ()):
                continue
            before, behind = text[: match.start()], text[match.end() :].strip()
            cut, first = self._cut(behind), self._cut(before)
            if first is None or (cut is not None and cut[1] in _STILL):
                continue
            bared = self.language == "ru"  # which has no articles
            if cut is None:
                alone = re.fullmatch(rf"(.+?) (?:{_CRYING[self.language]})", behind, re.IGNORECASE)
                if alone is None or first[1] not in _OWNED:
                    continue
            who = alone[1] if cut is None and alone else cut[0] if cut else ""
            who = re.sub(r" (?:está|è|ist|é|est)$", "", who)
            if self._role(who) in ALIVE and who != behind and (bared or has_article(who)):
                return [before, *self._joined_clauses(behind)]
        return [text]

    def _goes_on(self, clause: str) -> bool:
        """Whether a clause is about the first thing said before: *He wears a hat*."""
        said, space = _HE.get(self.language), _GAP.get(self.language, " ")
        match = re.match(rf"(?:{said}){space}", clause, re.IGNORECASE)
        if said is None or match is None or not self.phrases:
            return False
        cut = self._cut(f"_{space}{clause[match.end() :]}")
        if cut is not None and cut[0] == "_":
            self._relate(0, cut[1], cut[2])
        return True

    def _add(self, setting: Setting | None) -> None:
        if setting is not None:
            self.setting = setting if self.setting is None else self.setting.joined(setting)

    def _clause(self, text: str) -> None:
        text = self._leading(text)
        parts = [part for part in _COMMAS.split(text) if part]
        listed: list[str] = []  # phrases of a list, which the planner divides
        head: int | None = None
        for part in (_WHO.sub("", part) for part in parts):
            if background_alone(part)[0]:  # the planner reads it in the whole text
                continue
            place = read_place(part, self.language)
            said = self.scenery or self.setting is not None or len(parts) > 1
            if place is not None and said:
                self._add(place)
                continue
            aside = self._aside(part) if head is not None or listed else None
            if aside is not None:
                head = self._read(", ".join(listed)) if listed else head
                listed.clear()
                self._link(self._read(aside[1]), aside[0], self._stood_on(head))
                continue
            space = "" if self.language in ("zh", "ja") else " "
            cut = self._cut(f"_{space}{part}") if head is not None else None
            if cut is not None and cut[0] == "_" and head is not None:
                self._relate(head, cut[1], cut[2])
            elif cut is not None and cut[2] == "_" and head is not None:  # 旁边有一只小狗
                self._link(self._read(cut[0]), cut[1], head)
            elif (link := self._bearing(head)) is not None and self._cut(part) is None:
                for each in filter(None, _JOINED_ALL.split(_HUNG.sub("", part))):
                    self._link(head, link.relation, self._read(each))
            elif self._cut(part) is None and not _HUNG.match(part):
                listed.append(part)
            else:
                text = _HUNG.sub("", part)
                if listed:
                    text = ", ".join([*listed, part])
                    listed.clear()
                head = self._read(text)
        if listed:
            self._read(", ".join(listed))

    def _bearing(self, head: int | None) -> Link | None:
        """The last link, where it says what is upon a table, and a list may go on about that."""
        link = self.links[-1] if self.links else None
        if link is None or link.first != head or link.relation not in ("with", "full"):
            return None
        return link if self._role_of(link.first) in _BEARING else None

    def _link(self, first: int | None, relation: Contact, second: int | None) -> None:
        if first is not None and second is not None and first != second:
            self.links.append(Link(first, relation, second))

    def _aside(self, part: str) -> tuple[Contact, str] | None:
        """How the thing of a part stands to what was said, and the thing: *on it a teapot*."""
        text = _HUNG.sub("", part)
        match = _OF_IT_EN.fullmatch(text) if self.language == "en" else None
        if match is not None:
            side = match["side"].casefold()
            return next(name for name, words in _SIDES_EN.items() if side in words), match["what"]
        for relation, words in _ASIDE.get(self.language, {}).items():
            match = re.match(rf"(?:{words})(?: {_THERE})? (.+)", text, re.IGNORECASE | re.DOTALL)
            if match is not None:
                return relation, match[1]
        return None

    def _stood_on(self, head: int | None) -> int | None:
        """What *it* means after a head: what the head stands on, if that was just said."""
        last = self.links[-1] if self.links else None
        on_it = last is not None and last.first == head and last.relation == "on"
        return last.second if last is not None and on_it else head

    def _leading(self, text: str) -> str:
        """The text without a place that it begins with: *in the park a dog …*."""
        spaceless = _WHERE_ZH.match(text) if self.language == "zh" else None
        if spaceless is not None and (place := read_place(spaceless["place"], "zh")) is not None:
            self._add(place)
            return text[spaceless.end() :].removeprefix("有")
        start = re.match(f"(?:{_LEADING.get(self.language, '(?!)')}) ", text, re.IGNORECASE)
        if start is None:
            return text
        words = text[start.end() :].split()
        for count in range(min(4, len(words)), 0, -1):
            place = read_place(" ".join(words[:count]), self.language)
            under = read_place(" ".join([start[0].strip(), *words[:count]]), self.language)
            if place is not None or under is not None:
                self._add(under if under is not None and under.place == "underwater" else place)
                return subject(" ".join(words[count:]))
        turned = _FIRST_WHERE.fullmatch(text)
        if turned is not None and self.setting is None:
            return f"{turned['thing']} {turned['where']}"
        return text if self.setting is None else text[start.end() :]

    def _read(self, text: str) -> int | None:
        """Read a clause; the number of its head, None where it only names a place."""
        text = _AND.sub("", text.strip(" ,，、"))
        cut = self._cut(text)
        if cut is None:
            return self._phrase(text)
        first, relation, second = cut
        place = read_place(first, self.language)
        placed = place is not None and relation in _PLACED and relation != "doing"
        if place is not None and placed and self._cut(first) is None:  # a beach with palms
            self._add(place)
            further = read_place(second, self.language)
            if further is not None:  # a street in the city, mountains with a lake
                self._join(further)
                return None
            return self._read(second)
        return self._relate(self._read(first), relation, second)

    def _join(self, place: Setting) -> None:
        """Add a place that is in the one that was said, or around it; both are a picture."""
        both = None if self.setting is None else self.setting.with_place(place)
        if both is None:
            self._add(place)
        else:
            self.setting = both
        self.scenery = True

    def _put(self, head: int | None, relation: Contact, place: Setting) -> None:
        """Add the place that the head is at, over which it may fly."""
        self._add(_below(place, relation))
        if relation == "above" and head is not None:
            self.aloft.add(head)

    def _relate(self, head: int | None, relation: Contact, text: str) -> int | None:
        """Link the head to the first thing of a text."""
        if (further := _PRONOUN_AND.fullmatch(text)) is not None:
            self._read(further[1])
            return head
        before = len(self.links)
        text = _SKY.get(text, text)
        place = read_place(text, self.language) if relation in _PLACED else None
        if place is not None and place.place == "wall" and relation not in _BESIDE:
            place = None  # a cat sits on it
        if place is not None and place.place in _INDOORS and relation not in _WITHIN:
            place = None  # a car in front of the house
        if place is not None:
            if relation in ("beside", "front") or (relation == "at" and self.language == "de"):
                place = replace(place, place=_SHORES.get(place.place or "", place.place))
            self._put(head, relation, place)
            return head
        done = relation == "doing"
        beyond = (
            self._beyond_place(head, text, relation) if relation in _PLACED and not done else None
        )
        if beyond is not None:
            return beyond[0]
        other = self._read(text)
        if head is None or other in (None, head):
            return other if head is None else head
        worn = relation == "in" and self._role_of(other) in WORN  # a princess in a dress
        if relation in _OWNED or worn:
            self.links[before:] = [
                replace(link, first=head)
                if link.first == other and not self._its_own(link)
                else link
                for link in self.links[before:]
            ]
        elif self._role_of(head) in ALIVE and self._role_of(other) not in ALIVE:
            self.links[before:] = [  # a monkey on a tree eating a banana
                replace(link, first=head)
                if link.first == other and link.relation in _ACTS
                else link
                for link in self.links[before:]
            ]
        self.links.insert(before, Link(head, relation, other))
        return head

    def _its_own(self, link: Link) -> bool:
        """Whether a link says what is in its first thing: *who carries a tray with drinks*."""
        if link.relation != "with":
            return link.relation in ("full", "made")
        return self._role_of(link.first) in _HOLDING

    def _role_of(self, number: int) -> str:
        """The role of what a phrase names."""
        return self._role(self.phrases[number])

    def _role(self, phrase: str) -> str:
        return facts_of(in_english(phrase, (self.language,)) or bare(phrase)).role

    def _beyond_place(
        self, head: int | None, text: str, where: Contact
    ) -> tuple[int | None] | None:
        """The head after a text that begins with a place and goes on; None where it does not.

        Args:
            head: what is there.
            text: the rest of the clause.
            where: how the head is to the place.
        """
        joined = _JOINED.match(text)
        place = None if joined is None else read_place(joined[1], self.language)
        if joined is not None and place is not None:  # in the park and a dog …
            self._put(head, where, place)
            cut = self._cut(f"_ {joined[2]}")
            if cut is not None and cut[0] == "_":  # in the park and reads a book
                return (self._relate(head, cut[1], cut[2]),)
            self._read(joined[2])
            return (head,)
        cut = self._cut(text)
        if cut is None:
            return None
        first, relation, second = cut
        if (place := read_place(first, self.language)) is not None:  # on the beach with a hat
            self._put(head, where, place)
            return (self._relate(head, relation, second),)
        place = read_place(second, self.language) if text.startswith(second) else None
        if place is None:
            return None
        self._add(place)  # on a hill with a rainbow above
        self._link(self._read(first), relation, head)
        return (head,)

    def _phrase(self, text: str) -> int | None:
        text = _AND.sub("", _DONE.sub("", _PRONOUNS.sub("", text)))
        text = _VERB_BEHIND.sub("", text) if self.language == "de" else text
        text = _OF.sub("", _MEASURED.sub("", _WITH_ITS.sub("", _WITH.sub("", text))))
        text = self._without_place(text)
        if not text or any(each.fullmatch(text) for each in (_COUNT_ONLY, _PRONOUN, _OPINION)):
            return None
        if (said := self._said(text)) is not None:
            return said
        if len(self.phrases) > _MOST:
            raise _TooMuchError
        self.phrases.append(text)
        return len(self.phrases) - 1

    def _without_place(self, text: str) -> str:
        """A list without a place, which becomes the setting: *a forest and a fox*."""
        match = (_JOINED_ZH if self.language in ("zh", "ja") else _JOINED).fullmatch(text)
        if match is None:
            return text
        places = [read_place(each, self.language) for each in match.groups()]
        if places[0] is not None and places[1] is not None:  # mountains and a lake
            self._add(places[0])
            self._join(places[1])
            return ""
        if places[0] is None and places[1] is None:
            return text
        self._add(places[0] or places[1])
        return str(match[2 if places[0] is not None else 1])

    def _said(self, text: str) -> int | None:
        """The phrase that named a thing before: *a house … in front of the house*."""
        if re.match(_DEFINITE.get(self.language, "(?!)"), text, re.IGNORECASE) is None:
            return None
        name = name_key(bare(text))
        spaced = name if self.language == "zh" else f" {name}"
        found = (i for i, each in enumerate(self.phrases)
                 if f" {name_key(bare(each))}".endswith(spaced))  # fmt: skip
        return next(found, None)

    def _is_building(self, phrase: str) -> bool:
        """Whether a phrase names a building, in or at which somebody may be."""
        name = in_english(phrase, (self.language,)) or phrase
        return facts_of(name).role == "house"

    def _cut(self, text: str) -> tuple[str, Contact, str] | None:
        """The first relation of a text with what stands on its sides, the first thing first."""
        found = min(self._cuts(text), key=lambda cut: cut[0], default=None)
        return None if found is None else found[1]

    def _cuts(self, text: str) -> Iterator[tuple[tuple[int, int], tuple[str, Contact, str]]]:
        for template in templates(self.language):
            match = template.pattern.match(text)
            if match is None:
                continue
            a, b = match["a"].strip(), match["b"].strip()
            a = (match.groupdict().get("q") or "") + a
            if _COUNT_ONLY.fullmatch(a) or _COUNT_ONLY.fullmatch(b) or not (a and b):
                continue
            said = b.casefold()  # on a green background, but not no fundo do mar
            if any(sign in said for sign in _SIGNS) and read_place(b, self.language) is None:
                continue
            relation = template.relation
            if relation in ("with", "wearing"):
                b = _without_part_first(b)
            ground = relation == "doing" and _GROUND.fullmatch(b)
            part = relation != "on" and _PARTS.search(b) is not None
            taken = relation in _TAKING and _TAKEN.search(b) is not None
            if ground or _NO_THING.match(b) or (part and not taken):
                continue
            if relation in ("with", "wearing") and _PART_FIRST.match(b):
                continue
            preposition = _PREPOSITION.get(self.language)
            verb = relation in _OWNED or match["m"].casefold().endswith("ing")
            if verb and preposition is not None and preposition.match(b):
                continue  # an office building on a street
            joined = _JOINED.match(b)
            where = b if joined is None else joined[1]
            if relation == "at" and read_place(where, self.language) is None:
                if match["m"].strip()[:1] not in _OF_IT and self._is_building(b):
                    yield (match.start("m"), -len(match["m"])), (a, "in", b)
                    continue
                if self.language == "en" and match["m"].strip().endswith("at") and has_article(b):
                    yield (match.start("m"), -len(match["m"])), (a, "beside", b)
                    continue
                article = has_article(b) or match["m"].split()[-1].casefold() in _WITH_ARTICLE
                if self.language not in ("es", "fr", "it", "pt") or not article:
                    continue  # 的 and の say everything
                flat = self.language in ("es", "pt") and self._role(_noun_of(b)) in _FLAT
                relation = "on" if flat else "in"  # un gato en una caja, en una mesa
            yield (match.start("m"), -len(match["m"])), (a, relation, b)
