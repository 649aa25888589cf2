"""What a thing is made of, said before it: *a golden apple* is yellow, *an ice castle* blue.

No drawing shows the material, but its colour does. What is a name of its own (*a gold medal*, *an
ice cream*) is left.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from limner.text.lexicon import LATIN
from limner.text.names import bare, name_key

_COLOURS = {
    "yellow": "gold|golden|gilded|brass|amber",
    "grey": "silver|platinum|pewter|chrome|stainless steel",
    "brown": "bronze|copper|wooden|chocolate|gingerbread|leather|cardboard|rusty|clay",
    "white": "marble|ivory|porcelain|pearl",
    "turquoise": "crystal|glass|diamond",
    "blue": "ice|icy|frozen|sapphire",
    "red": "ruby", "green": "emerald|jade",
}  # fmt: skip
"""Colour -> what has it."""
_NOT_MADE = re.compile(
    r"(?:gold|golden|silver|bronze|copper) (?:retrievers?|labs?|hour|age|gate|eagle|hamster|rule|"
    r"ratio|rush|mine|surfer|lining|years?|anniversary|birthday|jubilee|award|prize|fish|card|"
    r"stars?|coins?|medal\w*|bars?|crown|trophy|cup)|"
    r"(?:glass|crystal) (?:of|full|ball|case|cleaner|bowl|jar|vase|bottle|door|window)s?|"
    r"ice (?:creams?|cubes?|cold|skat\w+|hockey|rink|age|bergs?|floe|bag|pack|bucket|pops?|tea|"
    r"lolly|axe|fishing|world|princess|queen|king)|icy (?:road|street|wind|weather|day|water)|"
    r"frozen (?:lake|river|pond|sea|yogh?urt|food|vegetables|pizza|peas|north|land|waterfall)|"
    r"(?:chocolate|gingerbread) (?:bars?|chips?|milk|ice|cakes?|man|men|cookies?|cupcakes?|"
    r"donuts?|doughnuts?|muffins?|brownies?|croissants?|fountain|factory|box|sauce|syrup|eggs?)|"
    r"chocolate(?:-| )\w+ (?:ice|cake|cookie)|cardboard box(?:es)?|leather bag|"
    r"wooden (?:table|spoon|stool|door|box|crate|fence|boat|floor|bridge|log|desk|shelf)s?|"
    r"clay pots?|pearl (?:necklace|earrings?)|diamond rings?",
    re.IGNORECASE,
)
"""What is known as it is, or is no thing in that colour."""
_COLOUR_OF = {word: colour for colour, words in _COLOURS.items() for word in words.split("|")}
_MADE = re.compile(
    rf"(?<![\w-])(?P<of>{'|'.join(sorted(_COLOUR_OF, key=len, reverse=True))}) "
    rf"(?P<what>(?!(?:{'|'.join(sorted(LATIN['en'].stops))})\b)(?:[\w-]+ )?[\w-]+)",
    re.IGNORECASE,
)
_BEFORE = re.compile(r"\b(?:made (?:out )?of|of|a piece of|pure) $", re.IGNORECASE)
_AN = re.compile(r"\ban (?=(?:yellow|brown|grey|white|turquoise|blue|red|green) )", re.IGNORECASE)


def in_colours_of_materials(text: str, is_name: Callable[[str], bool]) -> str:
    """An English text with colours for what things are said to be made of.

    Args:
        text: canonical text.
        is_name: whether a phrase is a name of something that is drawn by itself.
    """

    def coloured(match: re.Match[str]) -> str:
        of, what = match["of"], match["what"]
        first = what.split()[0]
        kept = _NOT_MADE.match(match[0]) or _BEFORE.search(text[: match.start()])
        ends = {what, first}
        if kept or any(is_name(f"{of} {name_key(bare(end))}") for end in ends):
            return match[0]
        if not any(is_name(bare(end)) for end in ends):
            return match[0]
        return f"{_COLOUR_OF[of.casefold()]} {what}"

    better = _MADE.sub(coloured, text)
    return text if better == text else _AN.sub("a ", better)
