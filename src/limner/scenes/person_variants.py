"""Variants of a person by name: *woman scientist* and *man scientist* of *scientist*.

Sets of drawings name the gender and the skin tone of a person in words, as Unicode's emoji do
(*woman scientist: medium skin tone*); a name without either is of a person of whom it is not said.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_WOMAN, _MAN = "woman", "man"
_GENDER = {
    "woman": _WOMAN, "women": _WOMAN, "female": _WOMAN, "lady": _WOMAN, "girl": _WOMAN,
    "man": _MAN, "men": _MAN, "male": _MAN, "gentleman": _MAN, "boy": _MAN,
}  # fmt: skip
_CHILDREN = frozenset({"girl", "boy"})
_MORE = {
    _WOMAN: "she her mother mum mom mama aunt grandmother grandma sister daughter niece wife "
    "widow bride queen princess actress waitress stewardess hostess policewoman firewoman "
    "businesswoman saleswoman cowgirl nun ms mrs 女 她 妈 姐 妹 婆",
    _MAN: "he his him father dad papa uncle grandfather grandpa brother son nephew husband "
    "widower groom king prince actor waiter steward policeman fireman businessman salesman "
    "cowboy monk mr 男 他 爸 哥 弟 叔 爷",
}
"""Words that say the gender of a person and are no part of the names of variants."""
_TONE = re.compile(r"[:,]?\s*\b((?:(?:medium-)?(?:light|dark)|medium) skin tone)\b")
_WORD = re.compile(r"[\w'-]+")


class Variant(NamedTuple):
    """What a name says of a person.

    Attributes:
        gender: ``woman`` or ``man``; empty where it says neither.
        tone: such as ``medium skin tone``; empty where it says none.
    """

    gender: str = ""
    tone: str = ""


def variant_of(name: str) -> tuple[str, Variant]:
    """A name without the words for gender and skin tone, and what these say.

    What is left of *woman* and of *person* is ``person``, of *girl* ``child``: *woman health
    worker* is a variant of *health worker*, *woman running* and *person running* of *running*. A
    name of both a woman and a man is one of its own.
    """
    text = name.casefold().strip()
    tone = _TONE.search(text)
    text = _TONE.sub("", text)
    words = _WORD.findall(text)
    genders = {_GENDER[word] for word in words if word in _GENDER}
    if len(genders) > 1:
        return text, Variant("", tone[1] if tone else "")
    who = "child" if _CHILDREN & {*words} else "person"
    rest = [word for word in words if word not in _GENDER and word != "person"]
    plain = " ".join(rest) or who
    return plain, Variant(next(iter(genders), ""), tone[1] if tone else "")


def says_gender(text: str) -> bool:
    """Whether an English or Chinese text says that a person is a woman or a man."""
    words = {*_WORD.findall(text.casefold())}
    more = [word for said in _MORE.values() for word in said.split()]
    latin = {word for word in more if word.isascii()}
    return bool(words & ({*_GENDER} | latin)) or any(
        word in text for word in more if not word.isascii()
    )
