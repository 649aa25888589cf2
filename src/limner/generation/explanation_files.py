"""Explanations as files and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from limner.errors import DataError
from limner.files import make_folder, whole_file, write_json
from limner.generation.explaining import ExplainedWord, Explanation
from limner.generation.heat_maps import heat_map
from limner.generation.picture_folder import slug
from limner.vision.images import png_bytes

Pictures = dict[str, Image.Image]
RECORD = "explanation.json"


def named_pictures(explanation: Explanation) -> Pictures:
    """Every picture of an explanation under the name of its PNG file."""
    found = {"picture.png": explanation.picture.image}
    for number, word in enumerate(explanation.words, 1):
        found[map_name(number, word)] = heat_map(explanation.picture.image, word.map)
        if word.without is not None and not word.changes_nothing:
            found[without_name(number, word)] = word.without.image
    for number, near in enumerate(explanation.pictures, 1):
        found[near_name(number)] = near.image
    return found


def map_name(number: int, word: ExplainedWord) -> str:
    """Of the file with the map of a word."""
    return f"{number:02}-{slug(word.text)}.png"


def without_name(number: int, word: ExplainedWord) -> str:
    """Of the file with the picture without a word."""
    return f"{number:02}-without-{slug(word.text)}.png"


def near_name(number: int) -> str:
    """Of the file with a training picture."""
    return f"near-{number:02}.png"


def explanation_as_json(explanation: Explanation) -> dict[str, Any]:
    """An explanation without its pictures, whose files it names."""
    picture = explanation.picture
    return {
        "prompt": picture.prompt, "seed": picture.seed, "model": picture.model,
        "style": picture.settings.style, "maps": str(explanation.source),
        "score": _rounded(explanation.score), "picture": "picture.png",
        "words": list(_words(explanation)),
        "drawn_from": [each.model_dump(exclude_none=True) for each in picture.drawn_from],
        "captions": [each._asdict() for each in explanation.captions],
        "pictures": [
            {"file": near_name(number), "shows": each.shows, "style": each.style,
             "licence": each.licence, "distance": each.distance, "copied": each.copied}
            for number, each in enumerate(explanation.pictures, 1)
        ],
    }  # fmt: skip


def _words(explanation: Explanation) -> Iterator[dict[str, Any]]:
    for number, word in enumerate(explanation.words, 1):
        other = word.without
        yield {
            "text": word.text, "start": word.start, "end": word.end,
            "map": map_name(number, word), "mean": _rounded(float(word.map.mean())),
            "without": None if other is None else {
                "prompt": other.prompt, "changes_nothing": word.changes_nothing,
                "file": "picture.png" if word.changes_nothing else without_name(number, word),
                "change": _rounded(word.change), "score_change": _rounded(word.score_change),
            },
            "drawn_from": word.drawn and word.drawn.drawn,
        }  # fmt: skip


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def write_explanation(explanation: Explanation, folder: Path, page: str) -> list[Path]:
    """Write the pictures of an explanation, its JSON and its page; the page last.

    Args:
        explanation: to be written.
        folder: of the files; made where there is none.
        page: HTML.

    Returns:
        The files, the page first.

    Raises:
        DataError: a file cannot be written.
    """
    make_folder(folder, DataError)
    written = []
    files = {name: png_bytes(image) for name, image in named_pictures(explanation).items()}
    for name, data in files.items():
        if name == "picture.png":
            written.append(explanation.picture.save(folder / name))
            continue
        with whole_file(folder / name, DataError) as part:
            part.write_bytes(data)
        written.append(folder / name)
    written.append(write_json(folder / RECORD, explanation_as_json(explanation), DataError))
    with whole_file(folder / "index.html", DataError) as part:
        part.write_text(page, encoding="utf-8")
    return [folder / "index.html", *written]
