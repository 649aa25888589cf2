"""Folders of pictures: captioned by text files beside them, or by the folders they lie in."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path

from limner.data.pictures import is_picture
from limner.data.readers.base import Item, Reader, register
from limner.data.store import Caption
from limner.data.tree import walk

_LOOK_AT = 2000


@register("folder", "pictures with a .txt beside each; every line is a caption", rank=3)
class FolderReader(Reader):
    """``cat.png`` beside ``cat.txt`` (and ``cat.zh.txt`` for other languages)."""

    @classmethod
    def detects(cls, source: Path) -> bool:
        """A folder in which some picture has a text file of its name."""
        return source.is_dir() and any(
            is_picture(path) and path.with_suffix(".txt").is_file()
            for path in islice(walk(source), _LOOK_AT)
        )

    @cached_property
    def _files(self) -> list[Path]:
        return list(walk(self.source))

    @cached_property
    def _texts(self) -> dict[str, list[Path]]:
        """Group the caption files by the picture they belong to, its suffix left out."""
        beside: dict[str, list[Path]] = {}
        for path in self._files:
            if path.suffix.lower() == ".txt":
                stem = path.with_suffix("")
                beside.setdefault(str(stem), []).append(path)
                if len(stem.suffix) in (3, 4):
                    beside.setdefault(str(stem.with_suffix("")), []).append(path)
        return beside

    @cached_property
    def _pictures(self) -> list[Path]:
        return [path for path in self._files if is_picture(path)]

    def count(self) -> int:
        """Count the pictures."""
        return len(self._pictures)

    def __iter__(self) -> Iterator[Item]:
        for path in self._pictures:
            key = path.relative_to(self.source).as_posix()
            stem = path.with_suffix("")
            captions: list[Caption] = []
            problem = None
            for text in self._texts.get(str(stem), []):
                lang = text.with_suffix("").name.removeprefix(stem.name).lstrip(".")
                try:
                    lines = text.read_text(encoding="utf-8-sig").splitlines()
                except (OSError, UnicodeDecodeError):
                    problem = "caption file is not UTF-8 text"
                    continue
                lines = [line.strip() for line in lines if line.strip()]
                captions += [Caption(line, lang or self.options.lang) for line in lines]
            if not captions:
                yield Item(key, problem=problem or "no caption")
                continue
            yield Item(key, path, tuple(dict.fromkeys(captions)), {"id": key})


@register("imagefolder", "class folders; the folder's name becomes the caption", rank=8)
class ImageFolderReader(Reader):
    """``dog/1.png``, ``cat/2.png``: the class name goes through the template."""

    @classmethod
    def detects(cls, source: Path) -> bool:
        """A folder whose sub-folders hold pictures and whose top holds none."""
        if not source.is_dir() or any(is_picture(path) for path in source.iterdir()):
            return False
        return any(is_picture(path) for path in islice(walk(source), _LOOK_AT))

    @cached_property
    def _pictures(self) -> list[Path]:
        return [path for path in walk(self.source) if is_picture(path)]

    def count(self) -> int:
        """Count the pictures."""
        return len(self._pictures)

    def __iter__(self) -> Iterator[Item]:
        for path in self._pictures:
            inner = path.relative_to(self.source)
            if len(inner.parts) < 2:
                yield Item(inner.as_posix(), problem="not in a class folder")
                continue
            name = " ".join(inner.parts[-2].replace("_", " ").split())
            metadata = {"id": inner.as_posix(), "label": name}
            yield Item(inner.as_posix(), path, self.options.of_class(name), metadata)
