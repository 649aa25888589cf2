"""What is to be written on a thing: *a sign that says "OPEN"*, *ein Schild mit dem Wort „Auf“*.

The words between quotes are no things to be drawn. They are taken off, with what joins them to what
bears them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

_QUOTED = (
    '(?:"(?P<a>[^"]+)"|“(?P<b>[^”]+)”|„(?P<c>[^“”]+)[“”]|«\\s*(?P<d>[^»]+?)\\s*»|'
    "「(?P<e>[^」]+)」|(?<!\\w)['‘](?P<f>[^'’]+(?:['’]\\w[^'’]*)*)['’](?!\\w))"
)
_BEHIND = r"(?: (?:(?:written|printed|painted|engraved) )?on (?:it|them|its \w+))?"
_JOINED = {
    "en": r"(?:,? (?:that |which )?(?:says?|said|saying|reads?|reading|spelling|titled|entitled|"
          r"labell?ed|marked|inscribed(?: with)?|engraved(?: with)?)|"
          r",? (?:with|showing|bearing|carrying|displaying)(?: (?:the|an?))?"
          r"(?: (?:words?|text|inscription|title|message|name|letters?|label|slogan|caption|number|"
          r"phrase|writing|lettering))?(?: (?:that says|saying))?)",
    "es": r" (?:que (?:dice|ponga|pone)|donde pone|con (?:el texto|las palabras|la palabra|"
          r"la frase|la inscripción|el mensaje|el nombre|el letrero))",
    "fr": r" (?:qui dit|où (?:il )?est écrit|sur lequel est écrit|marqué|avec (?:le texte|les mots|"
          r"le mot|l['’]inscription|le message|la phrase|le nom))",
    "de": r"(?: mit (?:der Aufschrift|der Inschrift|dem Text|den Worten|dem Wort|dem Namen|"
          r"dem Schriftzug)|,? auf (?:dem|der))",
    "it": r" (?:che dice|con (?:su )?scritto|con (?:la scritta|il testo|le parole|la parola|"
          r"il nome))",
    "pt": r" (?:que diz|dizendo|com (?:o texto|a frase|as palavras|a palavra|escrito|os dizeres|"
          r"o nome))",
    "ru": r" (?:с надписью|со словами|с текстом|(?:где|на котор\w+) написано)",
    "zh": r"(?:上面)?写着", "ja": "", "ko": "",
}  # fmt: skip
"""What joins quoted words to what bears them, by language."""
_AFTER = {"de": "(?: steht)?", "en": _BEHIND, "zh": "的?", "ja": "と(?:書かれた|書いた|書いてある)",
          "ko": "(?:이)?라고 (?:쓰인|적힌|쓴) ?"}  # fmt: skip
"""What stands behind the words."""
_BEARERS = (
    "sign|signs|card|poster|banner|board|billboard|placard|note|letter|shirt|t-shirt|mug|cake|label|"
    "book|flag|sticker|screen|signpost|plate|plaque|button|badge|ribbon|balloon"
)
_UNQUOTED = re.compile(
    r"(?<=\w)(?<=\b)(?: (?:that|which))? (?:says|saying|reads|reading) (?P<a>[^\"“”„«»]+)$",
    re.IGNORECASE,
)
_BEARS = re.compile(rf"(?:^|[ -])(?:{_BEARERS})$", re.IGNORECASE)

_CALLED = {
    "en": "called|named|with the name|by the name of",
    "de": "namens|mit (?:dem )?Namen",
    "es": "llamad[oa]|de nombre",
    "fr": "appelée?|nommée?",
    "it": "chiamat[oa]|di nome",
    "pt": "chamad[oa]|de nome",
}
"""What joins a name to the thing that has it, by language."""
_NAMED = re.compile(
    rf"(?<=\w\w),? (?i:{'|'.join(_CALLED.values())}) "
    r"(?P<name>[A-Z][\w'’.-]*(?: (?:[A-Z&][\w'’.-]*|&|of|the|and|de|la|le|du))*)$"
)
"""What something is called, in capitals, at the end of a text in any of these languages."""
_LONGEST_NAME = 40


class Inscription(NamedTuple):
    """What is to be written.

    Attributes:
        words: as they stand in the text.
        before: what the text says before them, whose last thing bears them.
        rest: the text without them.
    """

    words: str
    before: str
    rest: str


def inscription_of(text: str, languages: Sequence[str]) -> Inscription | None:
    """What a text wants to be written on one of its things; None where it says nothing such.

    Args:
        text: canonical.
        languages: that it may be in; English words are read in any.
    """
    for language in dict.fromkeys((*languages, "en")):
        if language not in _JOINED:
            continue
        pattern = f"{_JOINED[language]}:? ?{_QUOTED}{_AFTER.get(language, '')}"
        match = re.search(pattern, text, re.IGNORECASE)
        if match is not None and (found := _found(text, match)) is not None:
            return found
    match = _UNQUOTED.search(text)
    if match is not None and _BEARS.search(text[: match.start()]):
        return _found(text, match)
    return None


def _found(text: str, match: re.Match[str]) -> Inscription | None:
    """The inscription that a pattern matched; None where nothing else is said."""
    words = next(filter(None, match.groups())).strip(" .,")
    before, behind = text[: match.start()], text[match.end() :]
    gap = " " if before and behind[:1].isalnum() and behind[:1].isascii() else ""
    rest = f"{before}{gap}{behind}".strip(" ,.")
    if not words or not rest:
        return None
    return Inscription(words, before or rest, rest)


def without_name(text: str) -> tuple[str, str]:
    """A text without what its thing is called, and that: *a bakery called Sweet Dreams*.

    Names have capitals; the text as it is, and nothing, where there is none.
    """
    match = _NAMED.search(text)
    if match is None or len(match["name"]) > _LONGEST_NAME:
        return text, ""
    return text[: match.start()], match["name"]
