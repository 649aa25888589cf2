"""Captions of scenes in English and Chinese; each describes the whole scene."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from limner.data.store import Caption
from limner.scenes.backgrounds import BACKGROUNDS
from limner.scenes.colours import COLOURS
from limner.scenes.layout import INVERSE, Relation
from limner.scenes.scene import Item, Scene
from limner.scenes.things import THINGS

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
NUMBERS_ZH = tuple("零一两三四五六七八九")
_BACKGROUND_EN = (
    "{text} on {a} {colour} background", "{text} in front of {a} {colour} background",
    "{text}, {colour} background", "{text} on {a} {colour} backdrop",
    "{text} with {a} {colour} background", "{text} against {a} {colour} background",
)  # fmt: skip
_BACKGROUND_ZH = ("{colour}背景上的{text}", "{text},{colour}背景", "{text}在{colour}的背景上")
"""The last is not used with a relation, where 在 already states the place."""
_RELATIONS_EN: dict[Relation, tuple[str, ...]] = {
    "left": ("left of", "to the left of"),
    "right": ("right of", "to the right of"),
    "above": ("above", "over"),
    "below": ("below", "under"),
}
_RELATIONS_ZH: dict[Relation, tuple[str, ...]] = {
    "left": ("在{}的左边", "在{}左侧"),
    "right": ("在{}的右边", "在{}右侧"),
    "above": ("在{}的上面", "在{}上方"),
    "below": ("在{}的下面", "在{}下方"),
}


def captions(scene: Scene) -> list[Caption]:
    """All captions of a scene; weights sum to 1 in English and to 0.8 in Chinese.

    Their order depends on ``scene.pick``, so that the heaviest differs from scene to scene.
    """
    found = []
    for lang, share, texts in (("en", 1.0, english(scene)), ("zh", 0.8, chinese(scene))):
        start = scene.pick % len(texts)
        turned = texts[start:] + texts[:start]
        total = sum(range(1, len(turned) + 1))
        found += [
            Caption(text, lang, share * (len(turned) - place) / total)
            for place, text in enumerate(turned)
        ]
    return found


def english(scene: Scene) -> list[str]:
    """Captions of a scene in English, each worded in another way."""
    name = scene.background or ""
    a = "an" if name[:1] in "aeiou" else "a"
    return _on_background(scene, _texts_en(scene), _BACKGROUND_EN, a=a, colour=name)


def chinese(scene: Scene) -> list[str]:
    """Captions of a scene in Chinese, each worded in another way."""
    name = BACKGROUNDS[scene.background].zh if scene.background else ""
    ways = _BACKGROUND_ZH[: 3 if scene.relation is None else 2]
    return _on_background(scene, _texts_zh(scene), ways, colour=name)


def _on_background(scene: Scene, texts: list[str], ways: Sequence[str], **words: str) -> list[str]:
    """Each text with the background said in another way; the texts themselves without one."""
    if scene.background is None:
        return texts
    start = zlib.crc32(repr(scene.pick).encode())
    return [ways[(start + i) % len(ways)].format(text=text, **words)
            for i, text in enumerate(texts)]  # fmt: skip


def _name_en(item: Item, *, article: bool = True) -> str:
    thing = THINGS[item.thing]
    words = [word for word in (item.size, item.colour) if word]
    words.append(thing.name if item.count == 1 else thing.plural)
    if item.count > 1:
        return " ".join([NUMBERS[item.count], *words])
    first = thing.article if len(words) == 1 else ("an" if words[0][0] in "aeiou" else "a")
    return " ".join([first, *words] if article else words)


def _texts_en(scene: Scene) -> list[str]:
    first, *others = scene.items
    if scene.relation is not None:
        return _position_en(first, others[0], scene.relation)
    if others:
        return _together_en(scene.items)
    name = _name_en(first)
    if first.count > 1:
        words = " ".join(word for word in (first.colour, THINGS[first.thing].plural) if word)
        return [name, f"a picture of {name}", f"{first.count} {words}"]
    bare = _name_en(first, article=False)
    return [name, bare, f"one {bare}", f"a picture of {name}"]


def _together_en(items: Sequence[Item]) -> list[str]:
    names = [_name_en(item) for item in items]
    if len(names) == 2:
        one, two = names
        return [f"{one} and {two}", f"{two} and {one}", f"{one} with {two}",
                f"a picture of {one} and {two}"]  # fmt: skip
    one, two, three = names
    return [f"{one}, {two} and {three}", f"{three}, {one} and {two}",
            f"{two} with {three} and {one}"]  # fmt: skip


def _position_en(one: Item, two: Item, relation: Relation) -> list[str]:
    first, second = _name_en(one), _name_en(two)
    ways = [f"{first} {words} {second}" for words in _RELATIONS_EN[relation]]
    ways += [f"{second} {words} {first}" for words in _RELATIONS_EN[INVERSE[relation]]]
    bare = [_name_en(item, article=False) for item in (one, two)]
    return [*ways, f"{bare[0]} {_RELATIONS_EN[relation][0]} {bare[1]}"]


def _name_zh(item: Item, *, counted: bool = True) -> str:
    thing = THINGS[item.thing]
    size = {"big": "很大的", "small": "很小的", None: ""}[item.size]
    colour = COLOURS[item.colour].words["zh"][0].format("") if item.colour else ""
    name = f"{size}{colour}{thing.zh}"
    return f"{NUMBERS_ZH[item.count]}{thing.measure}{name}" if counted else name


def _texts_zh(scene: Scene) -> list[str]:
    first, *others = scene.items
    if scene.relation is not None:
        return _position_zh(first, others[0], scene.relation)
    if others:
        names = [_name_zh(item) for item in scene.items]
        ways = [names, [*names[1:], names[0]]]
        if all(item.count == 1 for item in scene.items):
            ways.append([_name_zh(item, counted=False) for item in scene.items])
        return [f"{'、'.join(each[:-1])}和{each[-1]}" for each in ways]
    name, bare = _name_zh(first), _name_zh(first, counted=False)
    if first.count > 1:
        measure = THINGS[first.thing].measure
        return [name, f"{first.count}{measure}{bare}", f"图上有{name}"]
    return [name, bare, f"图上有{name}"]


def _position_zh(one: Item, two: Item, relation: Relation) -> list[str]:
    first, second = _name_zh(one), _name_zh(two)
    ways = [f"{first}{words.format(second)}" for words in _RELATIONS_ZH[relation]]
    ways += [f"{second}{words.format(first)}" for words in _RELATIONS_ZH[INVERSE[relation]]]
    bare = _RELATIONS_ZH[relation][0].format(_name_zh(two, counted=False))
    return [*ways, f"{_name_zh(one, counted=False)}{bare}"]
