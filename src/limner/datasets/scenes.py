"""Scenes as pictures: icons cut out, recoloured, placed, and packed with captions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from limner.arrays import Floats
from limner.data.store import Caption, Store, heaviest
from limner.data.writer import StoreWriter, Writing
from limner.errors import DataError
from limner.scenes.backgrounds import BACKGROUNDS
from limner.scenes.colours import COLOURS, recolour, to_rgb
from limner.scenes.cutout import cut_out, is_recoloured, place, to_pixels
from limner.scenes.phrasebook import BOOKS
from limner.scenes.scene import (
    SCENE_COLOURS,
    Item,
    Scene,
    Task,
    items_of,
    novelties,
    own_colour,
    plan,
)
from limner.scenes.things import OF_LABEL, THINGS
from limner.scenes.wording import captions
from limner.text.spaceless import SPACELESS

_CONTRAST = 0.2
"""Least difference, of 1, between a thing's median colour and a coloured background."""
_CUTS = 4096
_CAPTION_WEIGHT = 0.25
"""Weight of a caption in a further language; the English ones weigh 1 in sum."""
_CAPTION_LANGUAGES = 3
"""Largest number of further languages that one scene has captions in."""
_PICKS = 11
"""Between the picks of one scene's pictures: another set and another icon of each thing."""
_MISSES = 500
"""Consecutive scenes that may fail to be drawn before an error is raised."""


@dataclass(frozen=True)
class DrawnScene:
    """The picture of a scene.

    Attributes:
        pixels: ``(S, S, 3)`` uint8.
        style: the icon set that all its things come from.
        boxes: of every single thing, item by item: left, top, right, bottom in pixels.
    """

    pixels: NDArray[np.uint8]
    style: str
    boxes: tuple[tuple[int, int, int, int], ...]


class Composer:
    """Draws scenes from the icons of a store.

    Args:
        store: icons with ``label`` and ``style`` in their metadata.
        size: side of the scenes, pixels; None for the store's own.

    Attributes:
        things: names of the things that it can draw.
        recolourable: thing -> colours that it can be drawn in.

    Raises:
        DataError: the store holds too few of the things.
    """

    def __init__(self, store: Store, size: int | None = None) -> None:
        self.store, self.size = store, size or store.size
        self._rows: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        self._label: dict[int, str] = {}
        for row in range(len(store)):
            facts = store.metadata(row)
            thing = OF_LABEL.get(str(facts.get("label")))
            if thing is not None and facts.get("style"):
                self._rows[thing.name][str(facts["style"])].append(row)
                self._label[row] = str(facts["label"])
        self.things = tuple(name for name in THINGS if name in self._rows)
        if len(self.things) < 4:
            raise DataError(
                f"the store {store.path} shows {len(self.things)} of the things that scenes are "
                f"made of; make one with 'limner data icons'"
            )
        self._cut: Callable[[int, str | None], Floats | None] = lru_cache(_CUTS)(self._cut_row)
        self.recolourable = {name: self._colours(name) for name in self.things}

    def names(self, language: str) -> dict[str, str]:
        """Thing -> its name in a language, from the heaviest captions of its icons.

        Things whose icons have no caption in the language are left out.
        """
        found: dict[str, str] = {}
        for thing, styles in self._rows.items():
            rows = (row for some in styles.values() for row in some)
            names = [heaviest(self.store.captions(row)).get(language) for row in rows]
            if known := [name for name in names if name is not None]:
                found[thing] = common_name(known)
        return found

    def _colours(self, thing: str) -> tuple[str, ...]:
        styles = self._rows[thing]
        return tuple(
            colour for colour in SCENE_COLOURS
            if any(self._fitting(Item(thing, colour), style) for style in styles)
        )  # fmt: skip

    def _cut_row(self, row: int, colour: str | None) -> Floats | None:
        pixels = np.asarray(self.store.images[row])
        own = own_colour(self._label[row])
        cut = cut_out(pixels)
        if colour is None or own == colour or cut is None:
            return cut
        recoloured = recolour(pixels, COLOURS[colour])
        if recoloured is None or own == "black":  # which stays dark in any colour
            return None
        after = cut_out(pixels, recoloured)
        return after if after is not None and is_recoloured(cut, after) else None

    def _fitting(self, item: Item, style: str) -> list[int]:
        """Icons of a style that can show the item: of that colour already, else recoloured."""
        rows = self._rows[item.thing].get(style, [])
        if item.colour is not None:
            own = [row for row in rows if own_colour(self._label[row]) == item.colour]
            rows = own or rows
        return [row for row in rows if self._cut(row, item.colour) is not None]

    def plan(
        self, seed: int, number: int, *, novel: bool = False, task: Task | None = None
    ) -> Scene:
        """Scene ``number`` of a seed, made of what this store holds; see :func:`.scene.plan`."""
        return plan(seed, number, self.recolourable, novel=novel, task=task)

    def draw(self, scene: Scene, style: str | None = None) -> DrawnScene | None:
        """Draw a scene.

        Args:
            scene: what to draw.
            style: icon set; None to let ``scene.pick`` choose.

        Returns:
            The picture; None if no icon set holds all its things, or if a thing has too little
            contrast with the background.
        """
        fit = [name for name in self.store.styles if style in (None, name)]
        fit = [name for name in fit if all(self._fitting(item, name) for item in scene.items)]
        if not fit:
            return None
        chosen, side = fit[scene.pick % len(fit)], self.size
        background = background_shade(scene)
        canvas = np.full((side, side, 3), background, np.float32)
        cuts = {}
        for item in scene.items:
            rows = self._fitting(item, chosen)
            cut = self._cut(rows[scene.pick // 7 % len(rows)], item.colour)
            if cut is None or (background.min() < 1 and not _stands_out(cut, background)):
                return None
            cuts[item] = cut
        boxes = tuple(
            place(canvas, cuts[item], box.x * side, box.y * side, box.side * side)
            for item, box in scene.singles
        )
        return DrawnScene(to_pixels(canvas), chosen, boxes)


def background_shade(scene: Scene) -> Floats:
    """Colour of a scene's background, ``(3,)`` in [0, 1]; it varies a little within a name."""
    if scene.background is None or BACKGROUNDS[scene.background].white:
        return np.ones(3, np.float32)
    colour = BACKGROUNDS[scene.background]
    rng = np.random.default_rng([scene.pick, 5])
    value = np.clip(colour.value + rng.uniform(-0.05, 0.05), 0, 1)
    saturation = np.clip(colour.saturation + rng.uniform(-0.08, 0.04), 0, 1)
    hue = (colour.hue + rng.uniform(-4, 4)) % 360
    return to_rgb(np.array(hue), np.array(saturation), np.array(value)).astype(np.float32)


def _stands_out(cut: Floats, background: Floats) -> bool:
    ink = cut[cut[..., 3] > 0.9]
    if not len(ink):
        return False
    far = np.abs(ink[:, :3] - background).mean(-1)
    return bool(np.median(far) > _CONTRAST)


class SceneTranslator:
    """Captions of scenes in further languages (:mod:`limner.scenes.phrasebook`).

    Args:
        composer: gives the names of things.
        languages: codes of the languages.

    Raises:
        DataError: there is no phrasebook for one.
    """

    def __init__(self, composer: Composer, languages: Sequence[str]) -> None:
        unknown = [language for language in languages if language not in BOOKS]
        if unknown:
            raise DataError(
                f"scenes have no captions in {', '.join(unknown)}; beside en and zh choose from: "
                f"{', '.join(BOOKS)}"
            )
        self._names = {language: composer.names(language) for language in languages}

    def captions(self, scene: Scene) -> list[Caption]:
        """One caption in each of up to three languages that have names for all its things.

        Languages without a word for the background give none.
        """
        able = [language for language, names in self._names.items()
                if all(item.thing in names for item in scene.items)]  # fmt: skip
        rng = np.random.default_rng([scene.pick, 17])
        chosen = [able[i] for i in rng.permutation(len(able))[:_CAPTION_LANGUAGES].tolist()]
        texts = {name: BOOKS[name].caption(scene, self._names[name], rng) for name in chosen}
        return [Caption(text, name, _CAPTION_WEIGHT) for name, text in texts.items() if text]

    def facts(self, scene: Scene) -> dict[str, dict[str, list[str]]]:
        """Metadata: ``called``, singular and plural names of each of its things."""
        if not self._names:
            return {}
        called = {
            item.thing: sorted({form for language, names in self._names.items()
                                if (name := names.get(item.thing)) is not None
                                for form in (name, BOOKS[language].plural(name))})
            for item in scene.items
        }  # fmt: skip
        return {"called": called}


def common_name(names: Sequence[str]) -> str:
    """The words that all names of a thing share (*gato* of *cara de gato* and *gato*).

    In scripts without spaces, the longest string that they share. Where they share nothing, the
    shortest name.
    """
    shortest, *others = sorted(set(names), key=lambda name: (len(name), name))
    if SPACELESS.search(shortest):
        parts = {
            shortest[i:j] for i in range(len(shortest)) for j in range(i + 2, len(shortest) + 1)
        }
        shared = [part for part in sorted(parts) if all(part in other for other in others)]
        return max(shared, key=len, default=shortest)
    words = [word for word in shortest.split() if all(word in o.split() for o in others)]
    return " ".join(words) or shortest


def held_out_in(store: Store) -> list[str]:
    """The held-out combinations that a store shows, sorted; stores for training show none."""
    found = (novelties(items_of(store.metadata(row))) for row in range(len(store)))
    return sorted({name for names in found for name in names})


def compose_store(
    icons: Store,
    out: Path,
    *,
    count: int,
    seed: int = 0,
    size: int | None = None,
    novel: bool = False,
    tasks: Sequence[Task] = (),
    languages: Sequence[str] = (),
    each: int = 1,
    **how: Unpack[Writing],
) -> Store:
    """Compose scenes and pack them.

    Args:
        icons: store of the icons they are made of.
        out: the store to make.
        count: how many pictures.
        seed: the same seed, icons and options give the same store.
        size: side in pixels; None for that of the icons.
        novel: scenes of held-out combinations, for measuring; otherwise none of them.
        tasks: taken in turn; none for the fixed mixture.
        languages: of further captions, beside English and Chinese.
        each: pictures of a scene, of the same captions, in other icons as far as there are any.
        how: see :class:`~limner.data.writer.Writing`; never resumed.

    Raises:
        DataError: the icons do not suffice, or the store cannot be written.
    """
    composer = Composer(icons, size)
    translator = SceneTranslator(composer, languages)
    settings = {"kind": "scenes", "of": icons.fingerprint, "count": count, "seed": seed,
                "novel": novel, "tasks": list(tasks), "languages": list(languages),
                **({"each": each} if each > 1 else {})}  # fmt: skip
    name, how["restart"] = f"{icons.name}-scenes{'-novel' if novel else ''}", True
    with StoreWriter(
        out, composer.size, name, licences=icons.licences, settings=settings, **how
    ) as writer:
        number = last = 0
        while writer.count < count:
            if number - last > _MISSES:
                raise DataError(
                    f"of {_MISSES} scenes in a row, none could be drawn with the icons of "
                    f"{icons.path}; take a store with more icon sets, or other tasks"
                )
            task = tasks[writer.count % len(tasks)] if tasks else None
            scene = composer.plan(seed, number, novel=novel, task=task)
            for picture in range(min(each, count - writer.count)):
                drawing = composer.draw(replace(scene, pick=scene.pick + _PICKS * picture))
                key = f"{seed}/{number}" + (f"/{picture}" if picture else "")
                if drawing is None:
                    writer.skip(key, "no icon set holds all its things, or too little contrast")
                    continue
                texts = captions(scene) + translator.captions(scene)
                facts = {
                    "id": key, "style": drawing.style, "task": scene.task,
                    "items": [asdict(item) for item in scene.items], "relation": scene.relation,
                    "background": scene.background, "boxes": [list(box) for box in drawing.boxes],
                }  # fmt: skip
                writer.add(drawing.pixels, texts, facts | translator.facts(scene))
                last = number
            number += 1
            writer.progress(writer.count, count)
        return writer.finish()
