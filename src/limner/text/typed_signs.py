"""Signs that people type around and between words: emoji, hashtags, quotes, laughter.

*a 🍕 on a 🪑* asks for a pizza on a chair, *🐱🌧️☂️* for three things, *my dog 🐶 lol* for a dog, and
*#sunset #beach* is a list.
"""

from __future__ import annotations

import re
from itertools import groupby

from limner.text.emoji import EMOJI, spell_out
from limner.text.lexicon import LATIN
from limner.text.names import name_key
from limner.text.vocabulary import in_english

_RUN = re.compile(rf"(?:{EMOJI.pattern}\s*)+")
_QUOTED = re.compile(
    r"^(?:\"(.+)\"|“(.+)”|„(.+)[“”]|«(.+)»|「(.+)」|『(.+)』|'([^']+)'|‘([^’]+)’)$", re.DOTALL
)
"""A text that stands between quotes as a whole."""
_LAUGHTER = re.compile(
    r"(?<=\w)[\s,]*(?:\s(?:lol|lmao|rofl|haha+|hehe+|jaja+|xd|omg|thx|ty|mdr|kkk+|www+|ㅋㅋ+|ㅎㅎ+)"
    r"(?!\w)|\s?[:;]-?[)(DP](?!\w)|\s?<3|\s?\^\^|\s?!+|\s?~+)+\s*$",
    re.IGNORECASE,
)
_CUT = re.compile(r" (?:with|and|of|in|on) ")
"""Words in names at which a sentence would be cut."""
_HASHTAG = re.compile(r"#(?=[^\W\d_])")
_WORDS = re.compile(r"[^\W\d_]+")
_DECORATIONS = frozenset("✨🙏😂😍🥰😊😁🤣👍💕💖💗💜💙💛💚🖤❤😅😆😄😃😀🙂😉😎🤩👀👌🙌💯🔥‼⭐🌟🥺😭")
"""Emoji that are said with a text, behind it, and show nothing of what it asks for."""
_BEFORE_NOUNS = frozenset[str]().union(*(lexicon.stops for lexicon in LATIN.values())) | {
    "two", "three", "four", "five", "my", "love", "wearing", "eating", "riding", "holding", "red",
    "blue", "green", "yellow", "black", "white", "pink", "purple", "orange", "brown", "big",
    "small", "little", "cute", "of", "мой", "моя", "dos", "tres", "deux", "trois", "zwei", "drei",
}  # fmt: skip


def plain_signs(text: str) -> str:
    """A text without signs that are no words, and with words for those that are.

    Args:
        text: canonical text; one of nothing but signs, of which nothing would be left, is returned
            as it is.
    """
    left = text.strip()
    if (quoted := _QUOTED.match(left)) is not None:
        left = next(filter(None, quoted.groups()))
    left = _LAUGHTER.sub("", left)
    if "#" in left:
        left = _without_hashtags(left)
    if not left.isascii() and EMOJI.search(left) is not None:
        left = _in_words(left)
    return left.strip() or text


def _without_hashtags(text: str) -> str:
    """Hashtags as a list; those behind a text are left out."""
    words = text.split()
    tags = [word for word in words if _HASHTAG.match(word)]
    if tags and len(tags) == len(words):
        spaced = (re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", tag[1:]).lower() for tag in tags)
        return ", ".join(spaced)
    while len(words) > 1 and _HASHTAG.match(words[-1]) and not _HASHTAG.match(words[0]):
        words.pop()
    return _HASHTAG.sub("", " ".join(words))


def _in_words(text: str) -> str:
    """A text with its emoji in words, where they stand for some."""
    rest = _WORDS.findall(EMOJI.sub(" ", text))
    if not rest:
        names = _named(text)
        return ", ".join(names) if len(names) > 1 else text
    said = {name_key(word) for word in rest} | {in_english(word) for word in rest}

    def worded(match: re.Match[str]) -> str:
        before = _WORDS.findall(text[: match.start()])[-1:]
        spaced = match[0] if match[0][-1:].isspace() else ""
        gap = " " if spaced and match.end() < len(text) else ""
        if before and before[0].casefold() in _BEFORE_NOUNS:
            return f" {' and '.join(_named(match[0]))}{gap}"
        shown = [each for each in EMOJI.findall(match[0])
                 if each.strip("\ufe0f") not in _DECORATIONS
                 and said.isdisjoint(_name(each).split())]  # fmt: skip
        return f" {''.join(shown)}{gap}" if shown else gap

    return " ".join(_RUN.sub(worded, text).split())


def _named(run: str) -> list[str]:
    """The names of the emoji of a text, with numbers where one stands several times in a row."""
    found = []
    for each, same in groupby(EMOJI.findall(run)):
        count = len(list(same))
        found.append(_name(each) if count == 1 else f"{count} {_name(each)}")
    return found


def _name(emoji: str) -> str:
    name = spell_out(emoji).strip(", ")
    return name.replace(" ", "-") if _CUT.search(name) else name
