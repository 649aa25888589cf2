"""Places, times of day and weathers that stand behind things, and their words.

A phrase is read as a place where its head is one of the place's words: *green grass*, *la playa*,
*森林*. Times and weathers are whole expressions: *at night*, *bajo la lluvia*, *下雨*.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

from limner.tables import read_table
from limner.text.spaceless import whole_words

LANGUAGES = ("en", "zh", "es", "fr", "de", "it", "pt", "ru", "ja", "ko", "hi", "ar")
"""The languages of ``places.tsv``, which holds regular expressions, in the order of its columns."""
INDOORS = ("room", "wall", "kitchen")
"""Places that have neither weather nor a time of day."""
BEYOND = ("space", "moon")
"""Where the sky is black and full of stars, and there is no weather."""
_TOGETHER: Mapping[tuple[str | None, str | None], str] = {
    ("mountains", "lake"): "lake", ("forest", "lake"): "lake", ("grass", "lake"): "lake",
    ("mountains", "snow"): "mountains", ("forest", "snow"): "snow", ("grass", "snow"): "snow",
    ("mountains", "forest"): "forest", ("mountains", "grass"): "mountains",
    ("beach", "sea"): "beach", ("sky", "sea"): "sea", ("sky", "grass"): "grass",
    ("sky", "mountains"): "mountains",
}  # fmt: skip
"""The place that shows two: a lake is between mountains and trees."""
_SCENERY = re.compile(
    r"landscapes?|scenery|panorama|scenic|\bview\b|风景|景色|景象|paisaje|paysage|landschaft|paesaggio|"
    r"paisagem|пейзаж|風景|景色|풍경|दृश्य",
    re.IGNORECASE,
)
_LEFT_BEHIND = re.compile(
    r"^(?:(?:an?|the|une?|uma?|una|eine?) )?(?:(?:beautiful|pretty|lovely|nice|peaceful|calm|quiet|"
    r"stunning|amazing|wonderful|wide|natural|magical|dreamy|simple) ){0,2}"
    r"(?:with|of|con|de|avec|mit|von|di|com) | (?:of|de|von|di)$",
    re.IGNORECASE,
)
"""Of *a beautiful landscape with trees*, without the landscape."""
_AROUND = {
    "en": r"(?:(?:the|a|an|some|his|her|its|their) )?"
    r"(?:(?!(?:on|in|at|by|of|with|and|near|under|over|behind|from|to|above|below|across|"
    r"along|around|beside|inside|into|onto|through|against|between|next|front|beneath) )"
    r"[\w-]+ ){0,3}",
    "es": r"(?:(?:el|la|los|las|un|una) )?", "fr": r"(?:(?:le|la|les|des|un|une) |l')?",
    "it": r"(?:(?:il|lo|la|i|gli|le|un|una) |l'|un')?", "pt": r"(?:(?:o|a|os|as|um|uma) )?",
    "de": r"(?:(?:der|die|das|dem|den|einer|einem|einen|eine|ein) )?"
    r"(?:(?!(?:in|im|auf|am|an|und|mit|unter|vor|bei) )\w+ ){0,2}",
    "ru": r"(?:(?!(?:в|во|на|под|у|и|с) )\w+ ){0,2}", "zh": r".{0,5}?", "ja": r".{0,4}?",
    "ko": r"(?:\S+ ){0,2}", "hi": r"(?:\S+ ){0,2}", "ar": "(?:ال)?",
}  # fmt: skip
"""What may stand before a place's word."""
_JOINING = {
    "es": "con|sin|y|e|ni|bajo|sobre|entre|junto|cerca|delante|detrás|frente|mientras|que|en|al",
    "fr": "avec|sans|et|ni|sous|sur|entre|près|devant|derrière|pendant|qui|dans|à|au|aux",
    "it": "con|senza|e|ed|né|sotto|sopra|tra|fra|vicino|davanti|dietro|mentre|che|in",
    "pt": "com|sem|e|nem|sob|sobre|entre|perto|junto|diante|atrás|enquanto|que|em|ao",
    "ru": "с|со|и|без|под|на|в|во|у", "ar": "مع|بدون|تحت|فوق",
}  # fmt: skip
"""Words after a place that are no part of it: *la playa con un sombrero*."""
_MORE = {language: rf"(?: (?!(?:{words})(?!\w))[\w-]+)" for language, words in _JOINING.items()}
_AFTER = {language: f"{_MORE[language]}{{0,3}}" for language in ("es", "fr", "it", "pt")} | {
    "zh": "(?:上|里|中|边)?", "ko": "(?:에서|에)?", "hi": "(?: में| पर)?",
    "ru": f"{_MORE['ru']}?", "ar": f"{_MORE['ar']}?",
}  # fmt: skip
"""What may follow it."""
_NO_PLACE = re.compile(r"\b(?:glass|cup|bottle|bowl|slice|piece|balls?|bucket|pile|drop) ", re.I)


@dataclass(frozen=True)
class Setting:
    """What is behind the things of a scene.

    Attributes:
        place: one of :func:`place_names`; None where only a time or a weather is said.
        night: whether it is night.
        sunset: whether the sun rises or sets.
        sunny: whether the sun is seen.
        weather: ``rain``, ``snowfall``, ``fog``, ``cloudy`` or None.
    """

    place: str | None = None
    night: bool = False
    sunset: bool = False
    sunny: bool = False
    weather: str | None = None

    def joined(self, other: Setting | None) -> Setting:
        """This setting with what the other says besides; the first place counts."""
        if other is None:
            return self
        return Setting(
            self.place or other.place, self.night or other.night, self.sunset or other.sunset,
            self.sunny or other.sunny, self.weather or other.weather,
        )  # fmt: skip

    def with_place(self, other: Setting) -> Setting | None:
        """This place with the other in it, *mountains with a lake*; None where none shows both."""
        both = _TOGETHER.get((self.place, other.place)) or _TOGETHER.get((other.place, self.place))
        return None if both is None else replace(self, place=both).joined(other)

    @property
    def settled(self) -> Setting:
        """The same, where it snows in snow."""
        if self.weather == "snowfall" and self.place is None:
            return replace(self, place="snow")
        return self

    @property
    def words(self) -> list[str]:
        """All that it says, in words."""
        said = [name for name in ("night", "sunset", "sunny") if getattr(self, name)]
        return [each for each in (self.place, *said, self.weather) if each is not None]

    @property
    def scenery(self) -> bool:
        """Whether it says more than a place: by itself it is a picture."""
        return self.place is not None and self != Setting(self.place)


def place_names() -> tuple[str, ...]:
    """All places."""
    return tuple(_table("place"))


def read_place(phrase: str, language: str) -> Setting | None:
    """The place that a phrase names, with its weather (*a snowy forest*); None for a thing."""
    text = " ".join(phrase.casefold().strip(" ,.，。、").split())
    if language not in LANGUAGES or not text or _NO_PLACE.search(text):
        return None
    rest, when = take_times(text, language)
    text = _tidy(rest, language) or text
    for name, pattern in _places(language).items():
        if pattern.fullmatch(text):
            found = Setting(name, night=text.startswith(("dark ", "a dark ", "the dark ")))
            return found.joined(when)
    return when.settled if when is not None and not rest else None


def take_times(text: str, language: str) -> tuple[str, Setting | None]:
    """A text without its expressions of time and weather, and what they say; None for nothing."""
    found, rest = Setting(), text
    for name, pattern in _times(language).items():
        if pattern.search(text):
            rest = _tidy(pattern.sub(" ", rest), language)
            said = {"night": Setting(night=True), "sunset": Setting(sunset=True),
                    "day": Setting(sunny=True)}  # fmt: skip
            found = found.joined(said.get(name, Setting(weather=name)))
    return rest, None if found == Setting() else found


def take_scenery(text: str, language: str) -> tuple[str, bool]:
    """A text without words for a landscape as such, and whether there were any."""
    rest, times = _SCENERY.subn(" ", text)
    return (_tidy(rest, language), True) if times else (text, False)


def _tidy(text: str, language: str) -> str:
    """A text of which words were taken, without what they leave behind."""
    if language in ("zh", "ja"):
        return re.sub(r"\s+", "", text).strip(",，、的の")
    return _LEFT_BEHIND.sub("", " ".join(text.split()).strip(" ,"))


@cache
def _table(kind: str) -> Mapping[str, tuple[str, ...]]:
    """Words in each language of the places, or of the times and weathers."""
    rows = read_table("limner.scenes", "places.tsv")[1:]
    return {name: tuple(words) for of, name, *words in rows if of == kind}


@cache
def _places(language: str) -> Mapping[str, re.Pattern[str]]:
    column = LANGUAGES.index(language)
    before, after = _AROUND[language], _AFTER.get(language, "")
    found = {
        name: re.compile(f"{before}(?:{words[column]}){after}", re.IGNORECASE)
        for name, words in _table("place").items()
    }
    return {name: found[name] for name in ("underwater", *found)}  # "under the sea" is not the sea


@cache
def _times(language: str) -> Mapping[str, re.Pattern[str]]:
    if language not in LANGUAGES:
        return {}
    column = LANGUAGES.index(language)
    return {name: whole_words(words[column]) for name, words in _table("time").items()}
