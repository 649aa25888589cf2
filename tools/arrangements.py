"""Pictures of arrangements whose truth is known, for the detector that judges composition.

Pictures are composed as they are needed: one to six of the 110 things in their own and in all ten
colours (recoloured, or dyed where they have no colour of their own), in the pose of their drawing
and in others (:func:`limner.generation.variation.varied`); alone and large, scattered, or side by
side and in rows, on white and coloured backgrounds, sometimes beside something that is none of the
110; then degraded as by a generator: blurred, warped, noised, tinted, or two drawings of a thing
blended. Arrangements and pictures differ from those of the prompts that the detector judges
(``evaluation/scene_prompts.json``): only the icons are shared.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from limner.arrays import Floats
from limner.data.store import Store
from limner.datasets.scenes import Composer, DrawnScene
from limner.generation.variation import varied
from limner.metrics.detector import SIZE, DetectorNet, overlap, read
from limner.scenes.colours import COLOURS, dyed, to_rgb
from limner.scenes.cutout import cut_out, paste, resize
from limner.scenes.layout import Box
from limner.scenes.matte import matte_of
from limner.scenes.scene import SCENE_COLOURS, Item, Scene
from limner.scenes.things import OF_LABEL, THINGS
from limner.vision.pixels import to_images, to_tensor

BATCH = 64
MOST = 8
"""Largest number of things in a picture; unused entries are empty."""
OTHER = len(THINGS)
NAMES = tuple(THINGS)
STYLES = (
    "emojione", "fluent-emoji", "fluent-emoji-3d", "fluent-emoji-flat", "fxemoji", "noto",
    "noto-v1", "openclipart", "streamline-emojis", "twemoji",
)  # fmt: skip
"""Sets of coloured drawings."""
VARIETY = (0.3, 0.8)
POSES = 4
"""Other poses of every drawing."""
UNKNOWN = ("objects", "food-drink", "activities", "travel-places")


@dataclass(frozen=True)
class Cut:
    """A thing cut out: its number or ``OTHER``, its colour's or -1, ``(H, W, 4)`` uint8 pixels."""

    kind: int
    colour: int
    pixels: np.ndarray


class _Composer(Composer):
    """Does not look beforehand which colours each thing can be drawn in."""

    def _colours(self, thing: str) -> tuple[str, ...]:
        return ()


class Library:
    """Every thing in every colour and set, cut out once."""

    def __init__(self, store: Store, sets: Sequence[str] = STYLES) -> None:
        composer = _Composer(store, SIZE)
        self.licences, self.fingerprint = store.licences, store.fingerprint
        self.cuts: dict[tuple[int, int, str], list[Cut]] = defaultdict(list)
        styles = [style for style in store.styles if style in sets]
        for thing in composer.things:
            for colour in (None, *SCENE_COLOURS):
                for style in styles:
                    self._add(composer, thing, colour, style)
        self.keys = list(self.cuts)
        self.of_kind: dict[int, list[tuple[int, int, str]]] = defaultdict(list)
        for key in self.keys:
            self.of_kind[key[0]].append(key)
        self.others = list(_others(store))

    def _add(self, composer: Composer, thing: str, colour: str | None, style: str) -> None:
        """Draw it alone, by every icon that fits, and cut it out again."""
        number = -1 if colour is None else SCENE_COLOURS.index(colour)
        kind, seen = NAMES.index(thing), set()
        for pick in range(0, 28, 7):  # the composer takes icon pick // 7
            drawing = _alone(composer, Item(thing, colour), style, pick)
            if drawing is not None:
                pixels = drawing.pixels
            elif colour is not None and (plain := _alone(composer, Item(thing), style, pick)):
                inside = matte_of(plain.pixels).inside(plain.pixels.shape)
                pixels = dyed(plain.pixels, inside, COLOURS[colour])
            else:
                return
            if (same := pixels.tobytes()) in seen:
                return  # all of them were seen
            seen.add(same)
            name = " ".join(filter(None, (colour, thing)))
            for way in range(1 + POSES):
                shown = pixels
                if way:
                    variety = float(np.random.default_rng([kind, pick, way]).uniform(*VARIETY))
                    moved = varied(to_tensor([pixels])[0], name, pick, way, variety)
                    shown = np.asarray(to_images(moved[None])[0])
                cut = cut_out(shown)
                if cut is not None:
                    ink = (cut * 255).round().astype(np.uint8)
                    self.cuts[kind, number, style].append(Cut(kind, number, ink))

    def of(self, rng: np.random.Generator, kind: int, colour: int, style: str) -> Cut | None:
        """Some drawing of a thing; of its own colour where ``colour`` is -1."""
        found = self.cuts.get((kind, colour, style))
        return found[int(rng.integers(len(found)))] if found else None


def _alone(composer: Composer, item: Item, style: str, pick: int) -> DrawnScene | None:
    return composer.draw(Scene("single", (item,), boxes=(Box(0.5, 0.5, 0.96),), pick=pick), style)


def _others(store: Store) -> list[Cut]:
    """Icons of things that share no word with the 110."""
    words = {word for label in (*OF_LABEL, *NAMES) for word in label.split()}
    for row in range(len(store)):
        facts = store.metadata(row)
        label = str(facts.get("label", "")).lower().replace("-", " ")
        known = facts.get("style") not in STYLES or words & set(label.split())
        if facts.get("group") in UNKNOWN and not known and row % 4 == 0:
            cut = cut_out(np.asarray(store.images[row]))
            if cut is not None:
                yield Cut(OTHER, -1, (cut * 255).round().astype(np.uint8))


# -- pictures ---------------------------------------------------------------------------------


def arrangement(rng: np.random.Generator) -> list[Box]:
    """Places for one to six things: alone and large, side by side and in rows, or scattered."""
    way = rng.random()
    if way < 0.15:
        side = float(rng.uniform(0.55, 0.97))
        play = (1 - side) / 2
        return [Box(*(0.5 + rng.uniform(-play, play, 2)).tolist(), side)]
    count = int(rng.choice([1, 2, 3, 4, 5, 6], p=[0.08, 0.36, 0.26, 0.22, 0.05, 0.03]))
    if way < 0.55 and 1 < count < 5:
        return _regular(rng, count)
    high = {1: 0.9, 2: 0.56, 3: 0.46, 4: 0.42, 5: 0.34, 6: 0.31}[count]
    return _scattered(rng, count, high)


def _regular(rng: np.random.Generator, count: int) -> list[Box]:
    ways = {
        2: [[(0.27, 0.5), (0.73, 0.5)], [(0.5, 0.27), (0.5, 0.73)], [(0.28, 0.28), (0.72, 0.72)],
            [(0.72, 0.28), (0.28, 0.72)]],
        3: [[(0.5, 0.27), (0.27, 0.73), (0.73, 0.73)], [(0.27, 0.27), (0.73, 0.27), (0.5, 0.73)],
            [(0.18, 0.5), (0.5, 0.5), (0.82, 0.5)], [(0.5, 0.18), (0.5, 0.5), (0.5, 0.82)]],
        4: [[(0.27, 0.27), (0.73, 0.27), (0.27, 0.73), (0.73, 0.73)],
            [(0.5, 0.2), (0.2, 0.5), (0.8, 0.5), (0.5, 0.8)]],
    }[count]  # fmt: skip
    turn = int(rng.integers(len(ways) + (count == 4)))
    centres = ways[min(turn, len(ways) - 1)]
    nearest = min(max(abs(a[0] - b[0]), abs(a[1] - b[1]))
                  for a in centres for b in centres if a != b)  # fmt: skip
    common = float(rng.uniform(0.72, 1.1)) * nearest
    moved = rng.uniform(-0.035, 0.035, (count, 2))
    return [_inside(x + dx, y + dy, common * float(rng.uniform(0.92, 1.08)))
            for (x, y), (dx, dy) in zip(centres, moved.tolist(), strict=True)]  # fmt: skip


def _inside(x: float, y: float, side: float) -> Box:
    low = side / 2
    return Box(min(max(x, low), 1 - low), min(max(y, low), 1 - low), side)


def _scattered(rng: np.random.Generator, count: int, high: float) -> list[Box]:
    """Boxes that hardly overlap; as many as find room."""
    common, found = float(rng.uniform(0.24, high)), list[Box]()
    for _ in range(200):
        side = common * float(rng.uniform(0.8, 1.15)) if rng.random() < 0.5 else common
        side = min(side, 0.97)
        x, y = rng.uniform(side / 2, 1 - side / 2, 2).tolist()
        gaps = [max(abs(x - o.x), abs(y - o.y)) - (side + o.side) / 2 for o in found]
        if all(gap > -0.04 for gap in gaps):
            found.append(Box(x, y, side))
        if len(found) == count:
            break
    return found


@dataclass(frozen=True)
class Truth:
    """What pictures show; rows of a picture after its last thing hold -1 as kind.

    Attributes:
        kinds: ``(B, MOST)`` int64.
        colours: ``(B, MOST)`` int64, -1 where it is of its own.
        boxes: ``(B, MOST, 4)`` float32, pixels.
    """

    kinds: Tensor
    colours: Tensor
    boxes: Tensor


def chosen(library: Library, rng: np.random.Generator, count: int) -> list[Cut]:
    """Things for a picture: the same several times, or several, mostly of one set."""
    same, cuts = rng.random() < 0.45, list[Cut]()
    style = ""
    for place in range(count):
        if library.others and rng.random() < 0.05:
            cuts.append(library.others[int(rng.integers(len(library.others)))])
            continue
        first = next((cut for cut in cuts if cut.kind != OTHER), None)
        if same and first is not None:
            cuts.append(first)
            continue
        kind = int(rng.choice(list(library.of_kind)))
        keys = library.of_kind[kind]
        alike = [key for key in keys if key[2] == style] if place and rng.random() < 0.85 else keys
        own = rng.random() < 0.4
        keys = [key for key in alike if (key[1] < 0) == own] or alike or keys
        key = keys[int(rng.integers(len(keys)))]
        style = key[2]
        cut = library.of(rng, *key)
        if cut is not None:
            cuts.append(cut)
    return cuts


def compose(library: Library, rng: np.random.Generator) -> tuple[np.ndarray, list, list]:
    """A picture ``(64, 64, 3)`` uint8, its things as (kind, colour), and their boxes in pixels."""
    boxes = arrangement(rng)
    cuts = chosen(library, rng, len(boxes))
    canvas = np.empty((SIZE, SIZE, 3), np.float32)
    canvas[:] = background(rng, cuts)
    named, found = [], []
    for cut, box in zip(cuts, boxes, strict=False):
        ink = cut.pixels
        height, width = ink.shape[:2]
        scale = box.side * SIZE / max(height, width)
        wide, high = (min(SIZE, max(2, round(side * scale))) for side in (width, height))
        left = min(max(0, round(box.x * SIZE - wide / 2)), SIZE - wide)
        top = min(max(0, round(box.y * SIZE - high / 2)), SIZE - high)
        image = resize(ink.astype(np.float32) / 255, wide, high)
        if rng.random() < 0.15:  # an unsure generator draws two at once
            image = mixed(library, rng, cut, image)
        paste(canvas, image[:, ::-1] if rng.random() < 0.15 else image, left, top)
        named.append((cut.kind, cut.colour))
        found.append((left, top, left + wide, top + high))
    return (canvas.clip(0, 1) * 255).round().astype(np.uint8), named, found


def mixed(library: Library, rng: np.random.Generator, cut: Cut, image: Floats) -> Floats:
    """The drawing blended with another set's of the same thing and colour."""
    others = [key for key in library.of_kind.get(cut.kind, ()) if key[1] == cut.colour]
    if not others:
        return image
    second = library.of(rng, *others[int(rng.integers(len(others)))])
    if second is None:
        return image
    blend = resize(second.pixels.astype(np.float32) / 255, image.shape[1], image.shape[0])
    share = np.float32(rng.uniform(0.1, 0.5))
    return image + share * (blend - image)


def background(rng: np.random.Generator, cuts: Sequence[Cut]) -> Floats:
    """White, or a colour that every thing stands out from."""
    if rng.random() < 0.35:
        colour = COLOURS[SCENE_COLOURS[int(rng.integers(len(SCENE_COLOURS)))]]
        value = np.clip(colour.value + rng.uniform(-0.1, 0.08), 0, 1)
        saturation = np.clip(colour.saturation + rng.uniform(-0.12, 0.06), 0, 1)
        rgb = to_rgb(np.array((colour.hue + rng.uniform(-6, 6)) % 360), saturation, value)
        if all(_stands_out(cut, rgb) for cut in cuts):
            return rgb.astype(np.float32)
    return np.full(3, 1 - max(0.0, float(rng.uniform(-0.1, 0.06))), np.float32)


def _stands_out(cut: Cut, rgb: np.ndarray) -> bool:
    ink = cut.pixels[cut.pixels[..., 3] > 230][:, :3].astype(np.float32) / 255
    return bool(len(ink) and np.median(np.abs(ink - rgb).mean(-1)) > 0.2)


def batch(library: Library, rng: np.random.Generator, size: int = BATCH) -> tuple[Tensor, Truth]:
    """Pictures ``(B, 3, 64, 64)`` in [-1, 1] as they were composed, and what they show."""
    images = torch.empty(size, SIZE, SIZE, 3, dtype=torch.uint8)
    kinds, colours = torch.full((2, size, MOST), -1)
    boxes = torch.zeros(size, MOST, 4)
    for i in range(size):
        pixels, named, found = compose(library, rng)
        images[i] = torch.from_numpy(pixels)
        for j, ((kind, colour), box) in enumerate(zip(named, found, strict=True)):
            kinds[i, j], colours[i, j], boxes[i, j] = kind, colour, torch.tensor(box)
    return to_tensor(images), Truth(kinds, colours, boxes)


def bent(x: Tensor, rng: torch.Generator) -> Tensor:
    """Moved by a smooth field, up to a few pixels."""
    b = len(x)
    grid = F.affine_grid(torch.eye(2, 3).expand(b, 2, 3), list(x.shape), align_corners=False)
    bend = F.interpolate(torch.randn(b, 2, 5, 5, generator=rng), size=SIZE, mode="bicubic")
    strength = torch.rand(b, 1, 1, 1, generator=rng) * 0.035
    grid = grid + (bend * strength).permute(0, 2, 3, 1)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


def worn(x: Tensor, rng: torch.Generator) -> Tensor:
    """Bent, blurred, dulled, tinted and noised, each a little and by chance."""
    b = len(x)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(b, *shape, generator=rng) * (high - low) + low

    x = torch.cat([bent(x[: b // 2], rng), x[b // 2 :]])  # of a batch in no order
    soft = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
    softer = F.avg_pool2d(F.pad(soft, (2, 2, 2, 2), mode="replicate"), 5, 1)
    blurred = torch.where(uniform(0, 1, 1, 1, 1) < 0.35, softer, soft)
    x = torch.lerp(x, blurred, uniform(-0.6, 1.0, 1, 1, 1).clamp_min(0))
    x = (x - 1) * uniform(0.85, 1.0, 1, 1, 1) + 1 + uniform(-0.05, 0.05, 3, 1, 1)
    noisy = torch.randn(x.shape, generator=rng) * uniform(-0.06, 0.08, 1, 1, 1).clamp_min(0)
    return (x + noisy).clamp(-1, 1)


@torch.inference_mode()
def score(net: DetectorNet, pictures: Tensor, truth: Truth) -> dict[str, float]:
    """Precision and recall of things (boxes half overlapping), and colours right among those."""
    hits = wanted = made = right = told = whole = 0
    for start in range(0, len(pictures), BATCH):
        for i, seen in enumerate(read(net(pictures[start : start + BATCH])), start):
            mine = [j for j in range(MOST) if 0 <= int(truth.kinds[i, j]) < OTHER]
            wanted, made, before = wanted + len(mine), made + len(seen), hits
            for j in mine:
                name, box = NAMES[int(truth.kinds[i, j])], truth.boxes[i, j].tolist()
                same = [s for s in seen if s.thing == name and overlap(s.box, box) > 0.5]
                hits += bool(same)
                if same and int(truth.colours[i, j]) >= 0:
                    told += 1
                    right += same[0].colour == SCENE_COLOURS[int(truth.colours[i, j])]
            whole += hits - before == len(mine) == len(seen)
    return {"recall": hits / max(1, wanted), "precision": hits / max(1, made),
            "colours": right / max(1, told), "whole pictures": whole / len(pictures)}  # fmt: skip
