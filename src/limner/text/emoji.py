"""Emoji spelled out as words, for language models that lack them in their vocabulary."""

from __future__ import annotations

import re
import unicodedata

_NAMES: dict[int, str] = {
    # Signs whose Unicode name describes old print (black = filled), not what they show today.
    0x2600: "sun", 0x2601: "cloud", 0x2602: "umbrella", 0x2603: "snowman", 0x2604: "comet",
    0x260E: "telephone", 0x2605: "star", 0x2606: "star", 0x2615: "hot beverage",
    0x2639: "frowning face", 0x263A: "smiling face", 0x2660: "spade suit",
    0x2663: "club suit", 0x2665: "red heart", 0x2666: "diamond suit", 0x26AB: "black circle",
    0x26AA: "white circle", 0x26BD: "soccer ball", 0x2702: "scissors", 0x2708: "airplane",
    0x2709: "envelope", 0x270F: "pencil", 0x2712: "black nib", 0x2714: "check mark",
    0x2716: "multiplication sign", 0x2744: "snowflake", 0x2764: "red heart", 0x2B1B: "black square",
    0x2B1C: "white square", 0x2B50: "star", 0x2B55: "red circle", 0x20E3: "keycap",
    # Skin tones are called after a medical scale.
    0x1F3FB: "light skin tone", 0x1F3FC: "medium-light skin tone", 0x1F3FD: "medium skin tone",
    0x1F3FE: "medium-dark skin tone", 0x1F3FF: "dark skin tone",
    # Newer than the oldest Python supported here knows (Unicode 15 to 17): the same words on all.
    0x1F6DC: "wireless", 0x1F6D8: "landslide", 0x1FA75: "light blue heart", 0x1FA76: "grey heart",
    0x1FA77: "pink heart", 0x1FA87: "maracas", 0x1FA88: "flute", 0x1FA89: "harp",
    0x1FA8A: "trombone", 0x1FA8E: "treasure chest", 0x1FA8F: "shovel", 0x1FAAD: "folding hand fan",
    0x1FAAE: "hair pick", 0x1FAAF: "khanda", 0x1FABB: "hyacinth", 0x1FABC: "jellyfish",
    0x1FABD: "wing", 0x1FABE: "leafless tree", 0x1FABF: "goose", 0x1FAC6: "fingerprint",
    0x1FAC8: "hairy creature", 0x1FACD: "orca", 0x1FACE: "moose", 0x1FACF: "donkey",
    0x1FADA: "ginger root", 0x1FADB: "pea pod", 0x1FADC: "root vegetable", 0x1FADF: "splatter",
    0x1FAE8: "shaking face", 0x1FAE9: "face with bags under eyes", 0x1FAEA: "distorted face",
    0x1FAEF: "fight cloud", 0x1FAF7: "leftwards pushing hand", 0x1FAF8: "rightwards pushing hand",
}  # fmt: skip
_ROLES = {
    0x2695: "health worker", 0x2696: "judge", 0x2708: "pilot", 0x1F33E: "farmer",
    0x1F373: "cook", 0x1F393: "student", 0x1F3A4: "singer", 0x1F3A8: "artist", 0x1F3EB: "teacher",
    0x1F3ED: "factory worker", 0x1F4BB: "technologist", 0x1F4BC: "office worker",
    0x1F527: "mechanic", 0x1F52C: "scientist", 0x1F680: "astronaut", 0x1F692: "firefighter",
    0x2640: "woman", 0x2642: "man",
}  # fmt: skip
_FLAG_A = 0x1F1E6
EMOJI = re.compile(
    "[\u20e3\u2190-\u21ff\u2300-\u23ff\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff]"
    "[\ufe0e\ufe0f]?(?:[\U0001f3fb-\U0001f3ff])?"
    "(?:\u200d[\u2190-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff]\ufe0f?[\U0001f3fb-\U0001f3ff]?)*"
)
"""One emoji, or several that are joined; no flags."""
_VARIATION = re.compile("[\ufe0e\ufe0f]")
FLAG = re.compile("([\U0001f1e6-\U0001f1ff])([\U0001f1e6-\U0001f1ff])")
_RUNS = re.compile(r"\s*,(?:\s*,)+\s*")


def spell_out(text: str) -> str:
    """The text with every emoji replaced by its English name, set off by commas.

    Names are those of the Unicode standard, whose stability policy never changes them, but for a
    few that this module corrects (U+2764 is a red heart, not a "heavy black heart"). Joined emoji
    give the names of their parts (a woman and a rocket are a woman astronaut), flags the letters
    of their country. Private characters and symbols without a name stay as they are.

    Args:
        text: canonical text.

    Returns:
        ``"I like 🍎🚗"`` -> ``"I like, red apple, automobile"``.
    """
    if text.isascii() or not (EMOJI.search(text) or _VARIATION.search(text)):
        return text
    text = FLAG.sub(lambda m: f", flag {_letter(m[1])}{_letter(m[2])}, ", text)
    text = EMOJI.sub(lambda m: _spell(m[0]), text)
    text = _VARIATION.sub("", text)
    text = _RUNS.sub(", ", re.sub(r"\s+", " ", text))
    return re.sub(r"\s+,", ",", text).strip(", ") or "emoji"


def _spell(sequence: str) -> str:
    parts = []
    joined = False
    for char in sequence:
        if char in "\u200d\ufe0e\ufe0f":
            joined = joined or char == "\u200d"
            continue
        name = _ROLES.get(ord(char), "") if joined else ""
        name = name or _NAMES.get(ord(char)) or unicodedata.name(char, "").lower()
        parts.append(name or char)
    if "keycap" in parts:
        return " keycap, "
    return f", {' '.join(parts)}, "


def _letter(indicator: str) -> str:
    return chr(ord(indicator) - _FLAG_A + ord("A"))
