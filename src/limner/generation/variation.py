"""Variations: the same thing in the same style, drawn differently for every seed.

A model that keeps its training drawings draws a thing the same way for every seed. So a drawing's
pose, proportions and colours are varied by the seed, within what its words allow: what is handed
(letters, flags, clocks) is not mirrored, a named colour stays, and only things that come in any
colour (cars, shirts, balloons) change theirs freely.
"""

from __future__ import annotations

import math
import re

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from limner.scenes.colours import COLOURS, material_colour
from limner.scenes.sizes import UNKNOWN, facts_of

DEFAULT_VARIETY = 0.4
"""Of a model that keeps its training drawings; others vary what they draw themselves."""

_STREAM = 1013
_INK = 0.94
"""A pixel whose darkest channel is below this, of 1, is drawn on."""
_ANY_COLOUR = frozenset({
    "airplane", "airship", "armchair", "automobile", "backpack", "ball", "balloon", "beanie",
    "bicycle", "bike", "bikini", "boat", "book", "books", "boot", "boots", "bow", "bowtie", "box",
    "briefcase", "bucket", "butterfly", "camera", "canoe", "cap", "cape", "car", "chair",
    "clock", "coat", "couch", "cup", "curtain", "cushion", "dress", "flower", "gift", "glasses",
    "glove", "gloves", "goggles", "hairband", "handbag", "hat", "helicopter", "helmet", "hoodie",
    "jacket", "jeep", "kayak", "kimono", "kite", "lamp", "luggage", "minibus", "mitten", "mittens",
    "motorcycle", "mug", "necktie", "package", "pajamas", "parachute", "parasol", "pen", "pencil",
    "pillow", "present", "pullover", "purse", "ribbon", "robe", "rocket", "sailboat", "sandal",
    "sandals", "sari", "scarf", "scooter", "ship", "shirt", "shoe", "shoes", "shorts",
    "skateboard", "skirt", "slippers", "sneaker", "sneakers", "snowboard", "socks", "sofa",
    "speedboat", "stool", "suitcase", "sunglasses", "surfboard", "sweater", "swimsuit", "t-shirt",
    "teapot", "telephone", "tent", "tie", "tulip", "umbrella", "van", "vase", "vest", "yacht",
})  # fmt: skip
"""Things that come in any colour, by the last word of their English name."""
_OWN_COLOUR = re.compile(
    r"\b(?:fire|police|ambulance|taxi|school|santa|christmas|pirate|nurse|doctor|chef)\b",
    re.IGNORECASE,
)
"""Words that give them one."""
_HANDED = re.compile(
    r"\b(?:letters?|numbers?|digits?|signs?|symbols?|logos?|flags?|clocks?|watch|maps?|globe|notes?"
    r"|marks?|arrows?|left|right|alphabet|text|words?|keyboard|keypad|calendar|newspaper|book"
    r"|teacher|professor|school|blackboard|sticker|button|dollar|euro|pound|yen|percent"
    r"|police|ambulance|taxi|bus|truck|engine)\b",
    re.IGNORECASE,
)
"""Words of things that a mirror makes wrong, or that have writing on them."""
_LARGEST_TURN, _LARGEST_SHIFT = 180.0, 14.0
"""Degrees of hue at full variety: of things in any colour, of others."""
_BAND, _CORE, _BINS = math.cos(math.radians(40)), math.cos(math.radians(30)), 72
"""Parts of a thing are recoloured from within 40 degrees of its own hue on, from 30 on wholly; bins
in which that hue is looked for."""
_WATER = (175.0, 265.0)
"""Hues of water, in degrees."""
_SHRINK, _MOST_SHRINKS = 0.96, 8


def varied(image: Tensor, name: str, seed: int, part: int, variety: float) -> Tensor:
    """A variation of a drawing; the same arguments give the same bits.

    Its shape changes by a smooth map of the plane: turned, leant, stretched, bent, tapered, its
    middle raised or lowered, widened or narrowed, mirrored. A drawing that fills the picture to its
    edges keeps its shape.

    Args:
        image: ``(3, S, S)`` float32 in [-1, 1], on white.
        name: the words that it was drawn from.
        seed: of the picture.
        part: which of the picture's drawings it is.
        variety: how much it varies, in [0, 1]; 0 leaves it as it is.
    """
    if variety <= 0:
        return image
    rng = np.random.default_rng([seed % 2**32, seed >> 32, part, _STREAM])
    # Drawn whatever is used of them, so that a seed's choices do not depend on the words.
    mirrored, amounts, turn = rng.random() < 0.5, rng.uniform(-1, 1, 8), rng.uniform(-1, 1, 3)
    ink = (image.amin(0) + 1) / 2 < _INK
    if not bool(ink.any()):
        return image
    if mirrored and _may_be_mirrored(name):
        image, ink = image.flip(2), ink.flip(1)
    most = _hue_range(name) * variety
    afloat = facts_of(name).role == "boat"  # and drawn on water, which stays blue
    turns = most, min(most, _LARGEST_SHIFT * variety) if afloat else most
    image = _coloured(image, ink, turns, variety, turn)
    return image if _fills(ink) else _shaped(image, ink, variety * amounts)


def _may_be_mirrored(name: str) -> bool:
    """Whether a thing may be mirrored: it is of a known kind and has no writing on it."""
    return facts_of(name) != UNKNOWN and not _HANDED.search(name)


def _hue_range(name: str) -> float:
    """Degrees by which the hue of a thing may change at full variety."""
    words = re.findall(r"[\w-]+", name.casefold())
    if any(word in COLOURS for word in words) or material_colour(name) is not None:
        return 0.0
    free = words and words[-1] in _ANY_COLOUR and not _OWN_COLOUR.search(name)
    return _LARGEST_TURN if free else _LARGEST_SHIFT


def _fills(ink: Tensor) -> bool:
    """Whether a drawing reaches the edges of its picture: ``(S, S)`` bool."""
    sides = (ink[0], ink[-1], ink[:, 0], ink[:, -1])
    return sum(float(side.float().mean()) > 0.1 for side in sides) >= 2


def _shaped(image: Tensor, ink: Tensor, amounts: np.ndarray) -> Tensor:
    """The drawing moved by a smooth map of the plane, whole within the picture."""
    side = image.shape[1]
    rows, columns = ink.any(1).nonzero()[:, 0], ink.any(0).nonzero()[:, 0]
    box = torch.stack([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]).float()
    left, top, right, bottom = (2 * box / side - 1).tolist()
    middle = ((left + right) / 2, (top + bottom) / 2)
    axis = (torch.arange(side, dtype=torch.float32) + 0.5) * (2 / side) - 1
    scale = 1.0
    for _ in range(_MOST_SHRINKS):
        where = _source(axis / scale, middle, amounts)
        x, y = torch.cat([where[[0, -1]].flatten(0, 1), where[:, [0, -1]].flatten(0, 1)]).T
        if not bool(((x > left) & (x < right) & (y > top) & (y < bottom)).any()):
            break
        scale *= _SHRINK
    # Outside of the picture is white, which is 0 of what is sampled. Halves are sampled side by
    # side: this operation is parallel over pictures alone.
    halves = where.view(2, side // 2, side, 2) if side % 2 == 0 else where[None]
    inked = (1 - image).expand(len(halves), -1, -1, -1)
    found = F.grid_sample(inked, halves, mode="bicubic", align_corners=False)
    return (1 - found.transpose(0, 1).reshape(3, side, side)).clamp(-1, 1)


def _source(axis: Tensor, middle: tuple[float, float], amounts: np.ndarray) -> Tensor:
    """Where each point of the varied drawing comes from, ``(S, S, 2)``, in [-1, 1] where inside.

    All but the turn depends on the row alone: a row is widened, moved and taken from another row.

    Args:
        axis: ``(S,)``, the rows and columns in [-1, 1].
        middle: of the drawing, which stays where it is.
        amounts: of each change, in [-1, 1].
    """
    turn, lean, stretch, raised, widened, taper, bend, size = amounts.tolist()
    x, y = axis - middle[0], axis - middle[1]
    inside = (1 - y * y).clamp_min(0)
    larger = math.exp(-0.08 * max(0.0, -size))
    wide = math.exp(-0.16 * stretch) / larger * (1 + 0.16 * widened * inside)
    wide = wide * (1 + 0.14 * taper * y.clamp(-1, 1))
    aside = 0.14 * lean * y + 0.12 * bend * (y * y - 0.3)
    row = y * math.exp(0.16 * stretch) / larger + 0.16 * raised * inside
    cos, sin = math.cos(math.radians(9) * turn), math.sin(math.radians(9) * turn)
    found = torch.empty(len(axis), len(axis), 2)
    for number, (along, across) in enumerate([(cos, -sin), (sin, cos)]):
        start = along * aside + across * row + middle[number]
        found[..., number] = torch.addcmul(start[:, None], (along * wide)[:, None], x[None])
    return found


def _coloured(
    image: Tensor, ink: Tensor, most: tuple[float, float], variety: float, turn: np.ndarray
) -> Tensor:
    """The drawing recoloured: its main hue rotated, its saturation and lightness changed.

    The hue is the angle of a colour's difference from grey in the plane across the grey axis, which
    a turn leaves as grey as it was.

    Args:
        image: ``(3, S, S)``.
        ink: ``(S, S)`` bool, where it is drawn on.
        most: degrees by which the hue turns at most, and by which one that water may have does.
        variety: how much the rest changes.
        turn: of the hue, the vividness and the lightness, each in [-1, 1].
    """
    degrees, vivid, light = (float(each) for each in turn)
    grey = image.mean(0, keepdim=True)
    across = image - grey  # (3, S, S)
    a = across[0] - (across[1] + across[2]) / 2
    b = (across[1] - across[2]) * (math.sqrt(3) / 2)
    chroma = (a * a + b * b).sqrt()
    weight = torch.where(ink, chroma, 0.0)
    if float(weight.sum()) < 0.02 * float(ink.sum()):  # black and white
        return image
    own = _main_hue(a[::2, ::2], b[::2, ::2], weight[::2, ::2])
    near = (a * math.cos(own) + b * math.sin(own)) / chroma.clamp_min(1e-6)
    share = ((near - _BAND) / (_CORE - _BAND)).clamp(0, 1)
    of_water = _WATER[0] < math.degrees(own) % 360 < _WATER[1]
    richness, angle = 1 + 0.35 * variety * vivid, math.radians(most[of_water] * degrees)
    cos, sin = richness * math.cos(angle) - 1, richness * math.sin(angle)
    a, b = a + share * (a * cos - b * sin), b + share * (a * sin + b * cos)
    lighter = grey[0] + 0.12 * variety * light * share * (chroma * 2).clamp_max(1)
    apart = b / math.sqrt(3)
    third = lighter - a / 3
    return torch.stack([lighter + a * (2 / 3), third + apart, third - apart]).clamp_(-1, 1)


def _main_hue(a: Tensor, b: Tensor, weight: Tensor) -> float:
    """The angle in radians around which most of a weight lies, of points of a plane."""
    bins = ((torch.atan2(b, a) + math.pi) * (_BINS / (2 * math.pi))).long().clamp(0, _BINS - 1)
    counts = torch.bincount(bins.flatten(), weight.flatten(), _BINS)
    around = torch.stack([counts.roll(shift) for shift in range(-3, 4)]).sum(0)
    return (int(around.argmax()) + 0.5) * (2 * math.pi / _BINS) - math.pi
