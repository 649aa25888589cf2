"""JSON files: a list of objects, captions by picture, COCO's annotations, or one a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from limner.data.pictures import is_picture
from limner.data.readers.base import parse_json
from limner.data.readers.tables import (
    IMAGE_COLUMNS,
    TEXT_COLUMNS,
    Row,
    TableReader,
    is_metadata,
)
from limner.data.tree import FileTree, encoding_of, not_text
from limner.errors import DataError

_MOST_BYTES = 1 << 30
_ANNOTATIONS = "annotations"
_IMAGE = IMAGE_COLUMNS[0]
_TAGS = "tags"
Content = list[Any] | dict[str, Any]


class JsonReader(TableReader):
    """Files that hold one JSON value.

    * a list of objects, each with a picture and its captions, also below a single key
      (``{"data": [{"image": "a.png", "caption": "a cat"}]}``);
    * captions by the names of pictures, with or without their endings (``{"a.png": "a cat"}``,
      or an object with captions for each, as kohya's trainers write it);
    * ``images`` and ``annotations`` with captions, as of COCO, in the folder itself or in its
      folder ``annotations``;
    * ``cat.json`` beside each ``cat.png``: one object with captions.
    """

    name = "json"
    endings = (".json",)

    @classmethod
    def detects(cls, tree: FileTree) -> bool:
        """A file of one of these forms; other JSON files beside pictures are not listings."""
        return bool(_listings(tree))

    @classmethod
    def listings(cls, tree: FileTree) -> list[Path]:
        """Return the files of one of these forms, else whatever there is at the top."""
        return list(_listings(tree)) or [path for path in tree.top if _is_json(path)]

    def rows(self, listing: Path, columns: Sequence[str] | None = None) -> Iterator[Row]:
        """Yield the object of every picture that the file names.

        Raises:
            DataError: the file cannot be read, or is of none of these forms.
        """
        known = _listings(self.tree)
        if listing not in known:
            _content(listing, self.tree.encoding)
            raise DataError(
                f"{listing} names no pictures with captions: it may hold a list of objects such as "
                '{"image": "a.png", "caption": "a cat"}, captions by the names of pictures, or '
                "images and annotations as of COCO"
            )
        yield from known[listing]

    def _columns(self, listing: Path, probe: list[dict[str, Any]]) -> tuple[list[str], str]:
        """Choose the columns; a file beside its picture that has no captions stops nothing."""
        if listing not in _beside_pictures(self.tree):
            return super()._columns(listing, probe)
        self.applied.update(f"--text-column {column}" for column in self.options.text_columns)
        usual = [name for name in TEXT_COLUMNS if name in probe[0]][:1]
        return list(self.options.text_columns) or usual or [TEXT_COLUMNS[0]], _IMAGE


def _is_json(path: Path) -> bool:
    return path.suffix.lower() in JsonReader.endings


@lru_cache(maxsize=1)
def _beside_pictures(tree: FileTree) -> dict[Path, Path]:
    """The files ``cat.json`` and ``cat.png.json``, and the pictures that they lie beside."""
    by_name = {picture.with_suffix(""): picture for picture in reversed(tree.pictures)}
    by_name |= {picture: picture for picture in tree.pictures}
    beside = {path: by_name.get(path.with_suffix("")) for path in tree.files if _is_json(path)}
    return {path: picture for path, picture in beside.items() if picture is not None}


@lru_cache(maxsize=1)
def _listings(tree: FileTree) -> dict[Path, list[Row]]:
    """The rows of every file that is of one of the forms."""
    found: dict[Path, list[Row]] = {}
    beside = _beside_pictures(tree)
    for path in filter(_is_json, tree.files):
        picture, folder = beside.get(path), path.parent
        own = tree.path in (path, folder)
        of_coco = folder.name == _ANNOTATIONS and folder.parent == tree.path
        if picture is None and not (own or of_coco or is_metadata(path)):
            continue
        try:
            content = _content(path, tree.encoding)
        except DataError:
            continue
        if rows := _rows(content) if picture is None else _of_picture(content, picture.name):
            found[path] = rows
    return found


def _content(path: Path, encoding: str) -> Content:
    """Read a JSON file.

    Raises:
        DataError: it cannot be read, is larger than a gigabyte, or is no JSON list or object.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"{path} is larger than a gigabyte: write it as JSON lines (.jsonl)")
        data = path.read_bytes()
        found = parse_json(data.decode(encoding_of(data, encoding)))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeError as error:
        raise DataError(not_text(str(path), encoding)) from error
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}") from error
    if isinstance(found, list | dict):
        return found
    raise DataError(f"{path} holds neither a list nor an object")


def _of_picture(content: Content, name: str) -> list[Row]:
    """The row of a file beside a picture: its object, whatever it calls the picture itself."""
    if not isinstance(content, dict):
        return []
    return [(1, _naming(content, name))]


def _naming(facts: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An object with the picture that it is about, instead of what it calls the picture."""
    return {k: v for k, v in facts.items() if k.lower() not in IMAGE_COLUMNS} | {_IMAGE: name}


def _rows(content: Content) -> list[Row]:
    if isinstance(content, list):
        return _of_objects(content)
    images, annotations = content.get("images"), content.get(_ANNOTATIONS)
    if isinstance(images, list) and isinstance(annotations, list):
        return _of_coco(images, annotations)
    lists = [value for value in content.values() if isinstance(value, list)]
    if len(lists) == 1 and any(isinstance(item, dict) for item in lists[0]):
        return _of_objects(lists[0])
    return _by_name(content)


def _of_objects(items: Sequence[Any]) -> list[Row]:
    if not any(isinstance(item, dict) and _names_picture(item) for item in items):
        return []
    return [
        (number, item if isinstance(item, dict) else "not a JSON object")
        for number, item in enumerate(items)
    ]


def _names_picture(row: Mapping[str, Any]) -> bool:
    """Whether some value of a row is the name of a picture."""
    return any(isinstance(value, str) and is_picture(value) for value in row.values())


def _of_coco(images: Sequence[Any], annotations: Sequence[Any]) -> list[Row]:
    """One row an image, with all its captions."""
    captions: dict[Any, list[str]] = {}
    for each in annotations:
        if isinstance(each, dict) and isinstance(each.get("caption"), str):
            captions.setdefault(str(each.get("image_id")), []).append(each["caption"])
    if not captions:
        return []
    named = [image for image in images if isinstance(image, dict)]
    return [
        (number, {"image": image.get("file_name"), "caption": captions.get(str(image.get("id")))})
        for number, image in enumerate(named)
    ]


def _by_name(content: Mapping[str, Any]) -> list[Row]:
    """One row a key, if most keys are names of pictures or hold objects with captions."""
    rows: list[Row] = []
    for number, (name, value) in enumerate(content.items()):
        if isinstance(value, dict):
            rows.append((number, _naming(value, name)))
        else:
            rows.append((number, {_IMAGE: name, "text": value}))
    captioned = [
        is_picture(name)
        or (isinstance(value, dict) and not {_TAGS, *TEXT_COLUMNS}.isdisjoint(value))
        for name, value in content.items()
    ]
    return rows if 2 * sum(captioned) > len(rows) else []
