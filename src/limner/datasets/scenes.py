"""Drawing scenes: icons cut out, painted, placed, and packed with their captions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limner.data.store import Caption, Store
from limner.data.writer import StoreWriter
from limner.errors import DataError
from limner.scenes.backgrounds import BACKGROUNDS
from limner.scenes.colours import COLOURS, recolour, to_rgb
from limner.scenes.cutout import Floats, cut_out, is_recoloured, paste, resize
from limner.scenes.phrasebook import BOOKS
from limner.scenes.scene import SCENE_COLOURS, Item, Scene, Task, novelties, own_colour, plan
from limner.scenes.things import OF_LABEL, THINGS
from limner.scenes.wording import captions
from limner.text.spaceless import SPACELESS

_CONTRAST = 0.2
"""Least distance, of 1, between a thing's middle colour and a coloured background."""
_CUTS = 4096
_ROUGH = 0.25
"""Weight of a further language's captions; that of English is 1."""
_SPOKEN = 3
"""Further languages that a scene is told in at most."""
_MISSES = 500
"""Scenes that may fail to be drawn one after the other before it is given up."""


@dataclass(frozen=True)
class Drawing:
    """A scene as it was drawn.

    Attributes:
        pixels: ``(S, S, 3)`` uint8.
        style: icon set of its things.
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
        things: names of what it can draw.
        recolourable: thing -> colours it can be had in.

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
        """Thing -> its name in a language, of what its icons are called first in it.

        Things that no icon names in the language are left out.
        """
        found: dict[str, str] = {}
        for thing, styles in self._rows.items():
            rows = (row for some in styles.values() for row in some)
            captions_of = ([c for c in self.store.captions(row) if c.lang == language]
                           for row in rows)  # fmt: skip
            first = [max(some, key=lambda c: c.weight).text for some in captions_of if some]
            if first:
                found[thing] = common_name(first)
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
        painted = recolour(pixels, COLOURS[colour])
        if painted is None or own == "black":  # which stays dark in any colour
            return None
        after = cut_out(pixels, painted)
        return after if after is not None and is_recoloured(cut, after) else None

    def _fitting(self, item: Item, style: str) -> list[int]:
        """Icons of a style that can show the item: in that colour by nature, else painted."""
        rows = self._rows[item.thing].get(style, [])
        if item.colour is not None:
            own = [row for row in rows if own_colour(self._label[row]) == item.colour]
            rows = own or rows
        return [row for row in rows if self._cut(row, item.colour) is not None]

    def plan(
        self, seed: int, number: int, *, novel: bool = False, task: Task | None = None
    ) -> Scene:
        """Scene ``number`` of a seed, of what this store can show (:func:`.scenes.plan`)."""
        return plan(
            seed, number, things=self.things, recolourable=self.recolourable, novel=novel, task=task
        )

    def draw(self, scene: Scene, style: str | None = None) -> Drawing | None:
        """The picture of a scene.

        Args:
            scene: what to draw.
            style: icon set; None to let ``scene.pick`` choose.

        Returns:
            The drawing; None where no icon set has all of it, or where a thing would hardly be
            seen on the background.
        """
        fit = [name for name in self.store.styles if style in (None, name)]
        fit = [name for name in fit if all(self._fitting(item, name) for item in scene.items)]
        if not fit:
            return None
        chosen, side = fit[scene.pick % len(fit)], self.size
        background = background_shade(scene)
        canvas = np.empty((side, side, 3), np.float32)
        canvas[:] = background
        cuts = {}
        for item in scene.items:
            rows = self._fitting(item, chosen)
            cut = self._cut(rows[scene.pick // 7 % len(rows)], item.colour)
            if cut is None or (background.min() < 1 and not _stands_out(cut, background)):
                return None
            cuts[item] = cut
        boxes = []
        for item, box in scene.singles:
            height, width = cuts[item].shape[:2]
            scale = box.side * side / max(height, width)
            wide, high = max(1, round(width * scale)), max(1, round(height * scale))
            left = min(max(0, round(box.x * side - wide / 2)), side - wide)
            top = min(max(0, round(box.y * side - high / 2)), side - high)
            paste(canvas, resize(cuts[item], wide, high), left, top)
            boxes.append((left, top, left + wide, top + high))
        pixels = (canvas.clip(0, 1) * 255).round().astype(np.uint8)
        return Drawing(pixels, chosen, tuple(boxes))


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


class Speaker:
    """Says in further languages what scenes show, roughly (:mod:`limner.scenes.phrasebook`).

    Args:
        composer: knows the names of things.
        languages: those wanted.

    Raises:
        DataError: there is no phrasebook for one.
    """

    def __init__(self, composer: Composer, languages: Sequence[str]) -> None:
        unknown = [language for language in languages if language not in BOOKS]
        if unknown:
            raise DataError(
                f"scenes cannot be told in {', '.join(unknown)}; beside en and zh choose from: "
                f"{', '.join(BOOKS)}"
            )
        self._names = {language: composer.names(language) for language in languages}

    def captions(self, scene: Scene) -> list[Caption]:
        """A sentence in each of some languages that have names for all its things.

        Fewer, where they have no word for its background.
        """
        able = [language for language, names in self._names.items()
                if all(item.thing in names for item in scene.items)]  # fmt: skip
        rng = np.random.default_rng([scene.pick, 17])
        chosen = [able[i] for i in rng.permutation(len(able))[:_SPOKEN].tolist()]
        told = {name: BOOKS[name].say(scene, self._names[name], rng) for name in chosen}
        return [Caption(said, name, _ROUGH) for name, said in told.items() if said is not None]

    def facts(self, scene: Scene) -> dict[str, dict[str, list[str]]]:
        """For the metadata: ``called``, the names of one and several of each of its things."""
        if not self._names:
            return {}
        called = {
            item.thing: sorted({form for language, names in self._names.items()
                                if (name := names.get(item.thing)) is not None
                                for form in (name, BOOKS[language].several(name))})
            for item in scene.items
        }  # fmt: skip
        return {"called": called}


def common_name(names: Sequence[str]) -> str:
    """What several names of a thing share (*gato* of *cara de gato* and *gato*), else the shortest.

    That is the words in all of them, or in a script without spaces the letters.
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


def facts_of(scene: Scene, drawing: Drawing, name: str) -> dict[str, Any]:
    """What the metadata of a packed scene says."""
    return {
        "id": name,
        "style": drawing.style,
        "task": scene.task,
        "items": [asdict(item) for item in scene.items],
        "relation": scene.relation,
        "background": scene.background,
        "boxes": [list(box) for box in drawing.boxes],
    }


def items_of(facts: Mapping[str, Any]) -> list[Item]:
    """The items that a packed scene's metadata tells; none of a picture that is no scene."""
    return [Item(**item) for item in facts.get("items", ())]


def held_out_in(store: Store) -> list[str]:
    """The held-out combinations that a store shows, which one for training must not; sorted."""
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
    overwrite: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> Store:
    """Compose scenes and pack them.

    Args:
        icons: what they are made of.
        out: the store to make.
        count: how many scenes.
        seed: the same seed, icons and options give the same store.
        size: side in pixels; None for that of the icons.
        novel: scenes of held-out combinations, for measuring; otherwise none of them.
        tasks: taken in turn; none for the fixed mixture.
        languages: others than English and Chinese that captions are in too, roughly.
        overwrite: replace an existing store.
        on_progress: called with (scenes done, all of them).

    Raises:
        DataError: the icons do not do, or the store cannot be written.
    """
    composer = Composer(icons, size)
    speaker = Speaker(composer, languages)
    settings = {"kind": "scenes", "of": icons.fingerprint, "count": count, "seed": seed,
                "novel": novel, "tasks": list(tasks), "languages": list(languages)}  # fmt: skip
    name = f"{icons.name}-scenes{'-novel' if novel else ''}"
    with StoreWriter(
        out, composer.size, name, licences=icons.licences, settings=settings,
        overwrite=overwrite, restart=True,
    ) as writer:  # fmt: skip
        number = last = 0
        while writer.count < count:
            if number - last > _MISSES:
                raise DataError(
                    f"of {_MISSES} scenes in a row, none could be drawn with the icons of "
                    f"{icons.path}; take a store with more icon sets, or other tasks"
                )
            task = tasks[writer.count % len(tasks)] if tasks else None
            scene = composer.plan(seed, number, novel=novel, task=task)
            drawing = composer.draw(scene)
            key = f"{seed}/{number}"
            if drawing is None:
                writer.skip(key, "no icon set shows it all, or it would hardly be seen")
            else:
                said = captions(scene) + speaker.captions(scene)
                facts = facts_of(scene, drawing, key) | speaker.facts(scene)
                writer.add(drawing.pixels, said, facts)
                last = number
            number += 1
            if on_progress is not None:
                on_progress(writer.count, count)
        return writer.finish()
