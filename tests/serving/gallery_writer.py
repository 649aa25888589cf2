"""Processes that write pictures into a gallery as fast as they can.

The pictures cost nothing to draw, so that most of the time is spent in writing.
"""

from __future__ import annotations

import multiprocessing
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path

from PIL import Image

from limner.generation.files import picture_bytes
from limner.generation.formats import PictureFormat
from limner.generation.picture import Picture
from limner.models.settings import Settings
from limner.serving.gallery import Gallery
from limner.serving.wire import OutputFormat


def drawn(prompt: str, seed: int = 0, side: int = 8, **facts: object) -> Picture:
    """A picture as the generator gives it, of one colour that its seed says."""
    colour = tuple(50 + seed * step % 200 for step in (3, 5, 7))
    image = Image.new("RGB", (side, side), colour)
    return Picture(image, prompt, seed, "0" * 16, Settings(), **facts)


def kept(gallery: Gallery, prompt: str, seed: int = 0, owner: str = "ann", **facts: object):
    """A picture of :func:`drawn` in a gallery."""
    picture = drawn(prompt, seed, **facts)
    data = picture_bytes(picture, PictureFormat.PNG)
    return gallery.add(picture, data, OutputFormat.PNG, owner, size=picture.image.size)


def start_writer(
    folder: Path, database: str | None, most: int = 10**9
) -> tuple[BaseProcess, Event]:
    """A process of its own that writes into a gallery, and whether two pictures are in it."""
    # Forked from a clean process that has imported everything, which takes seconds.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["limner.generation.generator", "limner.serving.gallery"])
    writes = context.Event()
    process = context.Process(target=_write, args=(folder, database, most, writes))
    process.start()
    return process, writes


def _write(folder: Path, database: str | None, most: int, writes: Event) -> None:
    gallery = Gallery(folder, database)
    for seed in range(most):
        kept(gallery, "a cat", seed, side=64)
        if seed == 1:
            writes.set()
