"""Photographs that come with packages of Debian and PyPI, whole, for the data-set doctor.

``LIMNER_DOCTOR_PHOTOGRAPHS`` names a folder in which these lie unpacked, each in any subfolder:

    apt-get download gcompris-qt-data lomiri-wallpapers-16.04 lomiri-wallpapers-20.04 opencv-doc
    for each in *.deb; do dpkg-deb -x "$each" "${each%%_*}"; done
    pip install --no-deps --target scikit-image scikit-image

GCompris keeps its pictures in resource files of Qt; those that are not compressed (WebP) are found
by their signature. Of what it holds, these parts are photographs, of some hundred photographers:
buildings, animals, instruments, mills, dams and tools.
"""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

FOLDER = os.environ.get("LIMNER_DOCTOR_PHOTOGRAPHS")
SIDE = 128
PARTS = (
    "categorization", "erase", "explore_monuments", "explore_world_animals",
    "explore_farm_animals", "explore_world_music",
)  # fmt: skip
OF_OPENCV = (
    "aero1.jpg", "aloeL.jpg", "apple.jpg", "baboon.jpg", "basketball1.png", "board.jpg",
    "building.jpg", "butterfly.jpg", "fruits.jpg", "home.jpg", "left01.jpg", "leuvenA.jpg",
    "messi5.jpg", "orange.jpg", "rubberwhale1.png", "smarties.png", "squirrel_cls.jpg", "stuff.jpg",
    "sudoku.png",
)  # fmt: skip
OF_SKIMAGE = (
    "astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png",
    "camera.png", "brick.png", "grass.png", "gravel.png", "moon.png", "coins.png",
)  # fmt: skip
_WEBP = re.compile(rb"RIFF(.{4})WEBP", re.DOTALL)


def whole_photographs(folder: Path) -> list[tuple[NDArray[np.uint8], str, str]]:
    """Their middle squares at 128 px, each with a caption of its own, in a random order."""
    found = []
    for part in PARTS:
        held = webp_of(next(folder.rglob(f"{part}.rcc")).read_bytes())
        found += [(f"{part} {place}", data) for place, data in held]
    paths = [path for path in sorted(folder.glob("lomiri-*/usr/share/backgrounds/**/*.jpg"))
             if not path.is_symlink()]  # fmt: skip
    paths += [next(folder.rglob(f"opencv-doc/examples/data/{name}")) for name in OF_OPENCV]
    paths += [next(folder.rglob(f"skimage/data/{name}")) for name in OF_SKIMAGE]
    found += [(path.stem, path.read_bytes()) for path in paths]
    entries = []
    for name, data in found:
        image = Image.open(io.BytesIO(data)).convert("RGBA")
        if min(image.size) >= SIDE and image.getextrema()[3][0] == 255:
            square = ImageOps.fit(image.convert("RGB"), (SIDE, SIDE), Image.Resampling.LANCZOS)
            entries.append((np.asarray(square), name, name))
    order = np.random.default_rng(10).permutation(len(entries))
    return [entries[row] for row in order.tolist()]


def webp_of(data: bytes) -> list[tuple[int, bytes]]:
    """The WebP files in a file, and where each begins."""
    found = []
    for match in _WEBP.finditer(data):
        size = int.from_bytes(match.group(1), "little") + 8
        found.append((match.start(), data[match.start() : match.start() + size]))
    return found
