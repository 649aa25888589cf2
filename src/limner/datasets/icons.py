"""Colour icon sets of npm, drawn and captioned: thousands of clean pictures with free licences."""

from __future__ import annotations

import re
from collections import ChainMap, Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from limner.data.store import Store
from limner.data.writer import StoreWriter, Writing
from limner.datasets.draw import Drawing, draw_into, rasterise
from limner.datasets.emoji import (
    LANGUAGES,
    Concept,
    Emojibase,
    compose,
    is_toned,
    is_variant,
    normalise,
    squeeze,
)
from limner.datasets.npm import Package, fetch
from limner.errors import DataError

VERSIONS = {
    "noto": "1.2.9",
    "fluent-emoji-flat": "1.2.6",
    "twemoji": "1.2.5",
    "fxemoji": "1.2.2",
    "emojione": "1.2.3",
    "openmoji": "1.2.29",
}
EMOJIBASE = ("emojibase-data", "17.0.0")
DEFAULT_SETS = ("noto", "fluent-emoji-flat", "twemoji", "fxemoji", "emojione")
GROUPS = (
    "smileys-emotion", "people-body", "animals-nature", "food-drink", "travel-places",
    "activities", "objects", "symbols",
)  # fmt: skip
ALL_GROUPS = (*GROUPS, "flags", "component")
FILL = 0.9
_PROBE = 40
_SAMPLE = 160

# Names whose meaning in a set is not the emoji label of the same letters, and names that no list
# holds. Looked up in the pictures themselves.
_OWN_NAMES_TABLE = """
cat=cat face, dog=dog face, mouse=mouse face, tiger=tiger face, pig=pig face, catside=cat,
dogside=dog, mouseside=mouse, tigerside=tiger, pigside=pig, dragonside=dragon,
leopardside=leopard, bunny=rabbit face, bunnyside=rabbit, hampster=hamster, wolfface=wolf,
heartblue=blue heart, heartgreen=green heart, heartyellow=yellow heart, heartpurple=purple heart,
heartarrow=heart with arrow, heartribbon=heart with ribbon, 2hearts=two hearts,
redapple=red apple, greenapple=green apple, sliceofpizza=pizza, lightbulb=light bulb,
hearteyes=smiling face with heart-eyes, loudlycrying=loudly crying face, crying=crying face,
sunrays=sun, alarmclock=alarm clock, evergreen=evergreen tree, racecar=racing car,
present=wrapped gift, cellphone=mobile phone, mobilephone=mobile phone, openlock=unlocked,
vulcan=vulcan salute
"""
_OWN_NAMES = {"fxemoji": dict(each.strip().split("=") for each in _OWN_NAMES_TABLE.split(","))}


@dataclass(frozen=True)
class IconOptions:
    """What to pack.

    Attributes:
        size: picture side in pixels.
        sets: icon sets, keys of ``VERSIONS``.
        languages: of the captions.
        groups: emoji groups to keep, of ``ALL_GROUPS``.
        variants: keep the gendered, haired and turned variants of people.
        keycaps: keep the keycaps.
        limit: keep at most so many concepts, in emoji order; None for all.
    """

    size: int = 64
    sets: tuple[str, ...] = DEFAULT_SETS
    languages: tuple[str, ...] = LANGUAGES
    groups: tuple[str, ...] = GROUPS
    variants: bool = False
    keycaps: bool = False
    limit: int | None = None

    def __post_init__(self) -> None:
        for name, given, known in (
            ("icon set", self.sets, tuple(VERSIONS)),
            ("group", self.groups, ALL_GROUPS),
        ):
            for value in given:
                if value not in known:
                    raise DataError(f"unknown {name} {value!r}; known are {', '.join(known)}")
        if not 8 <= self.size <= 1024:
            raise DataError(f"icons are drawn from 8 to 1024 pixels, not {self.size}")


@dataclass(frozen=True)
class IconShape:
    """An icon, resolved: its SVG body, view box and the turns of an alias."""

    body: str
    left: float
    top: float
    width: float
    height: float
    rotate: int = 0
    h_flip: bool = False
    v_flip: bool = False


class IconSet:
    """One ``@iconify-json`` package."""

    def __init__(self, package: Package) -> None:
        parts = package.read("icons.json", "chars.json", "info.json", "metadata.json")
        if "icons.json" not in parts or "info.json" not in parts:
            raise DataError(f"{package.tarball} is not an icon set of @iconify-json")
        self.data: dict[str, Any] = parts["icons.json"]
        self.chars: dict[str, str] = parts.get("chars.json") or {}
        self.prefix: str = self.data["prefix"]
        categories = (parts.get("metadata.json") or {}).get("categories", {})
        self.categories: dict[str, list[str]] = defaultdict(list)
        for name, icons in categories.items():
            for icon in icons:
                self.categories[icon].append(name)
        licence = parts["info.json"].get("license", {})
        author = parts["info.json"].get("author", {}).get("name", "")
        spdx = licence.get("spdx") or licence.get("title") or "unknown"
        self.licence = f"{spdx} ({author})" if author else spdx

    def names(self) -> Iterator[tuple[str, str | None]]:
        """Yield ``(icon, hexcode)``; the hexcode is None in sets that list none."""
        if self.chars:
            for code, icon in self.chars.items():
                yield icon, normalise(code)
        else:
            for icon in self.data["icons"]:
                yield icon, None

    def aliases(self, icon: str) -> list[str]:
        """Return the other names of exactly the same picture."""
        table = self.data.get("aliases", {})
        return [name for name, value in table.items() if value == {"parent": icon}]

    def shape(self, icon: str) -> IconShape:
        """Resolve an icon or alias (iconify's rules: turns add up, flips cancel out).

        Raises:
            DataError: the set has no such icon.
        """
        name, chain = icon, list[dict[str, Any]]()
        while len(chain) < 8:
            entry = self.data["icons"].get(name) or self.data.get("aliases", {}).get(name)
            if entry is None:
                break
            chain.append(entry)
            if "body" in entry:
                value = ChainMap(*chain, self.data)  # what an alias states comes first
                left, top = float(value.get("left", 0)), float(value.get("top", 0))
                width, height = float(value.get("width", 16)), float(value.get("height", 16))
                rotate = sum(each.get("rotate", 0) for each in chain) % 4
                h_flip, v_flip = (
                    sum(each.get(flip, False) for each in chain) % 2 == 1
                    for flip in ("hFlip", "vFlip")
                )
                return IconShape(entry["body"], left, top, width, height, rotate, h_flip, v_flip)
            name = entry.get("parent", "")
        raise DataError(f"the icon set {self.prefix} has no icon {icon!r}")

    @cached_property
    def zoom(self) -> float:
        """The scale that makes the set's large icons fill ``FILL`` of the picture.

        Sets leave margins from none to a tenth; one factor a set evens them out and keeps small
        things small within it.
        """
        names = list(self.data["icons"])
        step = max(1, len(names) // _SAMPLE)
        extents = [content_extent(self.shape(name)) for name in names[::step]]
        return FILL / max(0.2, float(np.percentile(extents, 85)))

    def draw(self, icon: str, size: int) -> NDArray[np.uint8]:
        """Draw an icon at the set's scale; see :func:`render`."""
        return render(self.shape(icon), size, self.zoom)

    def drawing(self, icon: str, style: str, concept: Concept, own_name: str) -> Drawing:
        """An icon as a picture to draw."""
        return Drawing(
            f"{self.prefix}:{icon}", style, f"@iconify-json/{self.prefix}", self.licence, concept,
            own_name, partial(self.draw, icon),
        )  # fmt: skip


def _raster(shape: IconShape, size: int, zoom: float, background: str | None = None) -> Image.Image:
    side = max(shape.width, shape.height) / zoom
    left = shape.left + (shape.width - side) / 2
    top = shape.top + (shape.height - side) / 2
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{left:.4f} {top:.4f} {side:.4f} {side:.4f}">{shape.body}</svg>'
    )
    return rasterise(svg, size, background)


def content_extent(shape: IconShape) -> float:
    """Return how much of the square its ink reaches, measured from the centre, in [0, 1]."""
    alpha = np.asarray(_raster(shape, _PROBE, 1.0))[..., 3] > 32
    rows, columns = np.nonzero(alpha)
    if not len(rows):
        return 0.0
    reach = max(
        _PROBE / 2 - min(rows.min(), columns.min()), max(rows.max(), columns.max()) + 1 - _PROBE / 2
    )
    return float(reach) / (_PROBE / 2)


def render(shape: IconShape, size: int, zoom: float = 1.0) -> NDArray[np.uint8]:
    """Draw an icon on white, centred, its proportions kept.

    Args:
        shape: the icon.
        size: side in pixels.
        zoom: scale around the centre; lowered where the icon would leave the picture.

    Returns:
        ``(size, size, 3)`` uint8.

    Raises:
        DataError: the SVG cannot be drawn or shows nothing.
        MissingExtraError: resvg-py is not installed.
    """
    if zoom > 1 and (extent := content_extent(shape)) * zoom > 1:
        zoom = max(1.0, 1.0 / extent)
    pixels = np.asarray(_raster(shape, size, zoom, "#ffffff").convert("RGB"))
    if shape.h_flip:
        pixels = pixels[:, ::-1]
    if shape.v_flip:
        pixels = pixels[::-1]
    pixels = np.rot90(pixels, -shape.rotate)
    if pixels.min() > 247:
        raise DataError("an icon shows nothing but white")
    return np.ascontiguousarray(pixels)


def plan(
    sets: Sequence[IconSet], base: Emojibase, options: IconOptions
) -> tuple[list[Drawing], Counter[str]]:
    """Join icon sets with emojibase.

    Returns:
        The pictures to draw, concept by concept in emoji order, and how many icons were left out
        for which reason.
    """
    index = base.index()
    for name in names_by_sets(sets):
        index.setdefault(*name)
    skipped: Counter[str] = Counter()
    plans: dict[str, list[Drawing]] = {key: [] for key in base.concepts}
    for icons in sets:
        named = icons.chars or icons.prefix != "fxemoji"
        for icon, concept in emoji_icons(icons, base, index, options, skipped):
            own_name = icon.replace("-", " ") if named else ""
            plans[concept.key].append(icons.drawing(icon, icons.prefix, concept, own_name))
    kept = [pictures for pictures in plans.values() if pictures]
    if options.limit is not None:
        skipped["beyond --limit"] = sum(len(pictures) for pictures in kept[options.limit :])
        kept = kept[: options.limit]
    return [picture for pictures in kept for picture in pictures], +skipped


def emoji_icons(
    icons: IconSet, base: Emojibase, index: dict[str, str], options: IconOptions,
    skipped: Counter[str],
) -> Iterator[tuple[str, Concept]]:  # fmt: skip
    """Yield the icons of a set that show emoji which the options keep; count the others by reason.

    ``index`` has the keys of emoji by their squeezed names, for icons without a code.
    """
    seen: set[str] = set()
    for icon, code in icons.names():
        key = code or match(icons, icon, index)
        concept = base.concepts.get(key or "")
        reason = _refusal(concept, icon, key, options)
        if reason is None and icon in seen:
            reason = "a second code for the same icon"
        if concept is None or reason is not None:
            skipped[reason or ""] += 1
        else:
            seen.add(icon)
            yield icon, concept


def names_by_sets(sets: Sequence[IconSet]) -> Iterator[tuple[str, str]]:
    """Yield the names that sets with codes give, for the sets that have none."""
    for icon_set in sets:
        for code, icon in icon_set.chars.items():
            for name in (icon, *icon_set.aliases(icon)):
                yield squeeze(name), normalise(code)


def match(icon_set: IconSet, icon: str, index: dict[str, str]) -> str | None:
    """The emoji that an icon without a code shows: by its name, or by another name it goes by."""
    own = _OWN_NAMES.get(icon_set.prefix, {})
    for name in (own.get(icon, icon), *icon_set.aliases(icon), re.sub(r"-\d+$", "", icon)):
        if key := index.get(squeeze(name)):
            return key
    return None


def _refusal(
    concept: Concept | None, icon: str, key: str | None, options: IconOptions
) -> str | None:
    reason = None
    if "skin-tone" in icon or (key is not None and is_toned(key)):
        reason = "skin tone"
    elif concept is None:
        reason = "no emoji of that code" if key else "name matches no emoji"
    elif not concept.group:
        reason = "regional indicator"
    elif concept.group not in options.groups:
        reason = f"group {concept.group}"
    elif concept.subgroup == "keycap" and not options.keycaps:
        reason = "keycap"
    elif is_variant(concept.key) and not options.variants:
        reason = "variant of a person"
    return reason


def pack_icons(
    out: Path,
    options: IconOptions | None = None,
    *,
    folder: Path | None = None,
    **how: Unpack[Writing],
) -> Store:
    """Fetch, draw, caption and pack icon sets.

    Args:
        out: the store to make.
        options: what to pack.
        folder: with tarballs already downloaded; None to use npm.
        how: see :class:`~limner.data.writer.Writing`.

    Raises:
        DataError: a package cannot be had or read, or the store not be written.
    """
    options = options or IconOptions()
    sets = [
        IconSet(Package(fetch(f"@iconify-json/{name}", VERSIONS[name], folder)))
        for name in options.sets
    ]
    base = Emojibase.load(Package(fetch(*EMOJIBASE, folder)), options.languages)
    plans, skipped = plan(sets, base, options)
    settings = {"kind": "icons", "options": repr(options), "versions": VERSIONS}
    licences = {f"@iconify-json/{icons.prefix}": icons.licence for icons in sets}
    licences["emojibase-data (captions)"] = "MIT"
    name = f"icons-{options.size}"
    with StoreWriter(
        out, options.size, name, licences=licences, settings=settings, **how
    ) as writer:
        draw_into(writer, plans, lambda one: compose(one.concept, base, one.own_name))
        writer.skipped.update(skipped)
        return writer.finish()
