"""Names of things as they are compared: without what stands around them, in one spelling."""

from __future__ import annotations

import re
import unicodedata

from limner.text.lexicon import LATIN

_MEASURED = re.compile(
    r"^(?:图上有|画)?[一二两三四五六七八九十百\d]+"
    r"(?:[只条个棵颗朵头匹架把顶部枚支本辆座张台件杯碗盘瓶盒片份块根位名群双对]|"
    r"[人匹羽頭本個枚つ台輪冊足粒]の)"
)
_PLURALS = tuple((re.compile(ending), single) for ending, single in (
    (r"(?<![a-z])mice$", "mouse"), (r"(?<![a-z])geese$", "goose"), (r"(?<![a-z])oxen$", "ox"),
    (r"(?<![a-z])children$", "child"), (r"(?<![a-z])feet$", "foot"), (r"(?<![a-z])teeth$", "tooth"),
    (r"(?<![a-z])(|wo|fire|police|snow)men$", r"\1man"),
    (r"(?<![a-z])(wol|cal|hal|el|lea|loa|thie|shel|scar|dwar)ves$", r"\1f"),
    (r"(?<![a-z])(kni|wi|li)ves$", r"\1fe"),
    (r"(?<=\w\w)ies$", "y"), (r"(?<=s|x|z|h)es$", ""), (r"(?<=\w\w)(?<![su])s$", ""),
))  # fmt: skip
_ARTICLES = {article for lexicon in LATIN.values() for words in lexicon.articles
             if len(words) == 1 for article in words} | {"some", "my", "our", "du"}  # fmt: skip
_ARTICLE = re.compile(rf"(?:(?:{'|'.join(sorted(_ARTICLES))})\s|(?:l|un)['’])\s*(?=\S)", re.I)
_PRAISE = re.compile(
    r"^(?:(?:very|cute|little|pretty|lovely|nice|beautiful|adorable|cool|funny|simple) +"
    r"|(?:(?:可爱|漂亮|美丽|好看|简单|小小)的?|小))+(?=\S)"
    r"|(?<=\S)(?: (?:muy )?(?:bonit|lind|simpátic)[oa])+$",
    re.IGNORECASE,
)
"""Words around a name that hardly change what is drawn."""
_DEFINITE = re.compile(r"(?<!\S)ال(?=\w{2})")
"""The article of Arabic, which is written into its word."""
_ASCII_GAPS = {code: " " for code in range(128) if not chr(code).isalnum()}


def bare(phrase: str) -> str:
    """A phrase without what stands around a name: articles, measure words, praise, plurals.

    *a cute apple* is *apple*, *hammers* *hammer*, *la casa* *casa*, *一棵树* *树*.
    """
    name = _MEASURED.sub("", without_article(phrase)) or phrase.strip()
    name = _DEFINITE.sub("", _PRAISE.sub("", name))
    for ending, single in _PLURALS:
        if ending.search(name):
            return ending.sub(single, name)
    return name


def without_article(phrase: str) -> str:
    """A phrase without an article before it, in one of the Latin languages."""
    match = _ARTICLE.match(phrase.strip())
    return phrase.strip() if match is None else phrase.strip()[match.end() :].strip()


def has_article(phrase: str) -> bool:
    """Whether a phrase begins with an article."""
    return without_article(phrase) != phrase.strip()


def name_key(text: str) -> str:
    """The spelling by which names are compared, the same for *T-Rex* and *t. rex*.

    Compatibility forms (NFKC), upper case and punctuation make no difference.
    """
    if text.isascii():  # most names are, and there are many
        return " ".join(text.casefold().translate(_ASCII_GAPS).split())
    folded = unicodedata.normalize("NFKC", text).casefold()
    # Marks are letters too: the vowel signs of Hindi.
    kept = (sign if sign.isalnum() or unicodedata.category(sign)[0] == "M" else " "
            for sign in folded)  # fmt: skip
    return " ".join("".join(kept).split())
