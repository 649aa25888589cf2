"""Words that say that a thing is large or small beside the others: *un ratón diminuto*."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from limner.text.spaceless import whole_words

_BIG: Mapping[str, str] = {
    "en": r"big|large|huge|giant|gigantic|enormous|massive|oversized|colossal",
    "es": r"grandes?|enormes?|gigantes?|gigantesc[oa]s?",
    "fr": r"gros(?:se)?s?|grande?s?(?![- ](?:mère|père|parent))|énormes?|géante?s?|immenses?|"
    r"gigantesques?",
    "de": r"gro(?:ß|ss)e[mnrs]?|riesige?[mnrs]?|gigantische?[mnrs]?|riesengro(?:ß|ss)e?[mnrs]?",
    "it": r"gross[oaie]|grand[ei]|enorm[ei]|gigante?[ei]?|gigantesc\w+",
    "pt": r"grandes?|enormes?|gigantes?|gigantesc[oa]s?",
    "ru": r"больш(?:ой|ая|ое|ие|ого|ую|им)|огромн\w+|гигантск\w+",
    "zh": r"巨大的?|很大的|硕大的?|大大的",
    "ja": r"巨大な|大きな|大きい|でっかい",
    "ko": r"거대한|커다란|아주 큰|큰",
    "ar": r"ضخمة?|كبيرة?|عملاقة?",
    "hi": r"बड़[ाीे]|विशाल",
}
_SMALL: Mapping[str, str] = {
    "en": r"small|tiny|miniature|teeny|minuscule",
    "es": r"pequeñ(?:[oa]|it[oa])s?|diminut[oa]s?|minúscul[oa]s?",
    "fr": r"petite?s?|minuscules?",
    "de": r"kleine?[mnrs]?|winzige?[mnrs]?",
    "it": r"piccol[oaie]|minuscol[oaie]|piccolissim[oaie]",
    "pt": r"pequen(?:[oa]|inh[oa])s?|minúscul[oa]s?",
    "ru": r"маленьк\w+|крошечн\w+",
    "zh": r"很小的|小小的|微小的?|迷你",
    "ja": r"小さな|小さい|ちっちゃな",
    "ko": r"아주 작은|작은|조그만",
    "ar": r"صغيرة?",
    "hi": r"छोट[ाीे]|नन्ह[ाीे]",
}


def size_said(phrase: str, languages: Sequence[str]) -> str | None:
    """``big`` or ``small``, where a phrase says so of its thing; None where it does not.

    Args:
        phrase: of one thing.
        languages: that it may be in (:func:`limner.text.lexicon.languages_of`).
    """
    for language in languages:
        for size, words in (("big", _BIG), ("small", _SMALL)):
            if language in words and whole_words(words[language]).search(phrase):
                return size
    return None


def without_size(phrase: str, languages: Sequence[str]) -> str:
    """A phrase without the words for sizes of its languages: *le chat* of *le petit chat*."""
    for language in languages:
        for words in (_BIG, _SMALL):
            if language in words:
                phrase = " ".join(whole_words(words[language]).sub(" ", phrase).split())
    return phrase


def words_for_sizes(language: str) -> str:
    """A regular expression of the words of a language for large and for small, in no group.

    Args:
        language: code, such as ``en``.

    Raises:
        KeyError: the language is none of those taught.
    """
    return f"{_BIG[language]}|{_SMALL[language]}"
