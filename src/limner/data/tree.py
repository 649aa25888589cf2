"""The files at a path: one walk over them, and one rule for which text captions which picture.

Links are followed, to files and to folders, because the snapshots of model hubs and many data
disks are made of them; a link to a folder that holds the link itself is left out. Names that begin
with a dot are hidden and not listed. Everything else that cannot be used is named with a reason.
"""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Container, Iterable, Iterator
from functools import cached_property, lru_cache
from pathlib import Path

from limner.data.pictures import is_picture
from limner.data.store import Caption
from limner.errors import DataError

TEXT_ENDINGS = (".txt", ".caption")
_MAX_TEXT = 16 * 1024 * 1024
# The two-letter codes of ISO 639-1 and the longer codes that have no two-letter one.
_CODES = """
aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de
dv dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id
ie ig ii ik io is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu
lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu
rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr
ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu
ceb chr cmn fil gsw haw hmn hsb kab nan wuu yue
"""
_LANGUAGES = frozenset(_CODES.split())
_TAG = re.compile(r"([A-Za-z]{2,3})((?:[-_][A-Za-z0-9]{2,8})*)")
LINE_END = re.compile("\r\n|\r|\n")


class FileTree:
    """The files at a path, listed once.

    The text files that caption ``cat.png`` are, in this order: ``cat.png.txt``, ``cat.txt``,
    and, for a language, ``cat.png.zh.txt`` and ``cat.zh.txt``; ``.caption`` instead of ``.txt``
    means the same. A name goes to the picture that it spells most fully: ``cat.001.txt`` belongs
    to ``cat.001.png`` and not to ``cat.png``. Of one language only the fullest name is read. Where
    no name fits exactly, upper and lower case and the forms of accented letters are not
    distinguished.

    Args:
        path: a file, or a folder that is listed with everything below it.
        encoding: of its texts, as Python calls it; empty for UTF-8 (see :func:`encoding_of`).

    Raises:
        DataError: there is no such encoding.
    """

    def __init__(self, path: Path, encoding: str = "") -> None:
        self.path, self.encoding = path, encoding
        _check_encoding(encoding)
        self._problems: dict[Path, str] = {}

    @cached_property
    def is_file(self) -> bool:
        """Whether the path is one file."""
        return self.path.is_file()

    @cached_property
    def files(self) -> list[Path]:
        """Every file that is not hidden, sorted by name in each folder.

        Raises:
            DataError: the path is no file and cannot be listed.
        """
        files: list[Path] = []
        waiting: list[tuple[Path, tuple[tuple[int, int], ...]]] = [(self.path, ())]
        while waiting:
            path, above = waiting.pop()
            try:
                facts = path.stat()
                identity = (facts.st_dev, facts.st_ino)
                if stat.S_ISREG(facts.st_mode):
                    files.append(path)
                elif not stat.S_ISDIR(facts.st_mode):
                    self._problems[path] = "not a regular file"
                elif identity in above:
                    self._problems[path] = "link to a folder that holds it"
                else:
                    names = sorted(name for name in os.listdir(path) if name[0] != ".")  # noqa: PTH208
                    waiting += [(path / name, (*above, identity)) for name in reversed(names)]
            except OSError as error:
                if path == self.path:
                    raise DataError(f"cannot list {path}: {error.strerror}") from error
                missing = isinstance(error, FileNotFoundError)
                reason = "link to nothing" if missing else f"cannot be read ({error.strerror})"
                self._problems[path] = reason
        return files

    @property
    def problems(self) -> dict[Path, str]:
        """What could not be listed, such as a folder without permission, and why."""
        return self._problems if self.files is not None else {}

    @cached_property
    def top(self) -> list[Path]:
        """The file itself, or the files right in the folder."""
        return [file for file in self.files if self.path in (file, file.parent)]

    @cached_property
    def pictures(self) -> list[Path]:
        """The files that are named like pictures."""
        return [file for file in self.files if is_picture(file)]

    @cached_property
    def _texts(self) -> dict[Path, list[tuple[Path, str]]]:
        """Group the caption files and their languages by the pictures that they belong to."""
        folders: dict[Path, list[str]] = {}
        for picture in self.pictures:
            folders.setdefault(picture.parent, []).append(picture.name)
        names = {folder: _PictureNames(found) for folder, found in folders.items()}
        ranked: dict[Path, dict[str, list[tuple[int, Path]]]] = {}
        for file in self.files:
            if is_caption_file(file) and file.parent in names:
                owners, lang, rank = names[file.parent].owners(file.name)
                for owner in owners:
                    of = ranked.setdefault(file.with_name(owner), {})
                    of.setdefault(lang, []).append((rank, file))
        return {
            picture: [(file, lang) for lang, found in of.items()
                      for rank, file in found if rank == min(found)[0]]
            for picture, of in ranked.items()
        }  # fmt: skip

    def texts(self, picture: Path) -> list[tuple[Path, str]]:
        """The files that caption a picture, each with its language, empty where not named."""
        return self._texts.get(picture, [])

    def captions(self, picture: Path, lang: str = "en") -> tuple[list[Caption], list[str]]:
        """Read the text files beside a picture; each line is a caption.

        Returns:
            The captions, each once, in ``lang`` where their file names none, and why files could
            not be read.
        """
        captions: list[Caption] = []
        problems = []
        for file, named in self.texts(picture):
            try:
                lines = lines_of(_read_text(file, self.encoding))
            except DataError as error:
                problems.append(str(error))
                continue
            found = (line.strip() for line in lines)
            captions += [Caption(line, named or lang) for line in found if line]
        return list(dict.fromkeys(captions)), problems

    def unused(self, used: Container[Path]) -> Iterator[tuple[Path, str]]:
        """Yield what is not among the files used, and why, as a report names it."""
        owned = {file for found in self._texts.values() for file, _ in found}
        for file in self.files:
            if file in used or file in owned:
                continue
            if is_picture(file):
                yield file, "picture that the source does not list"
            elif is_caption_file(file):
                yield file, "caption file without a picture of its own"
            else:
                yield file, "not named like a picture"
        yield from self.problems.items()

    def name(self, file: Path) -> str:
        """A file's path below the tree's, with slashes."""
        return file.name if file == self.path else file.relative_to(self.path).as_posix()


class _PictureNames:
    """The pictures of one folder, by the names that their caption files can have."""

    def __init__(self, names: Iterable[str]) -> None:
        self._tables: list[dict[str, list[str]]] = [{}, {}, {}, {}]
        for name in names:
            stem = name.rpartition(".")[0]
            keys = (name, stem, _folded(name), _folded(stem))
            for table, key in zip(self._tables, keys, strict=True):
                table.setdefault(key, []).append(name)

    def owners(self, text: str) -> tuple[list[str], str, int]:
        """Return the pictures that a caption file belongs to, its language, how loosely it fits."""
        base = text.rpartition(".")[0]
        rest, _, tag = base.rpartition(".")
        lang = _language(tag) if rest else ""
        for spelled, named in ((base, ""), (rest, lang)):
            if named or spelled is base:
                keys = (spelled, spelled, _folded(spelled), _folded(spelled))
                for rank, (table, key) in enumerate(zip(self._tables, keys, strict=True)):
                    if key in table:
                        return table[key], named, rank
        return [], "", 0


def sidecar_path(picture: Path, lang: str = "") -> Path:
    """Where to write the captions of a picture so that :class:`FileTree` finds them for it alone.

    Args:
        picture: a picture file. The names in its folder are listed once a process.
        lang: language code; empty for none.

    Returns:
        ``cat.txt``, or ``cat.zh.txt`` for a language; ``cat.png.txt`` where another picture has a
        claim to that name.
    """
    names = _names_in(picture.parent)
    ending = f".{lang}.txt" if lang else ".txt"
    short = f"{picture.stem}{ending}"
    owners = names.owners(short)[0]
    return picture.with_name(short if owners == [picture.name] else f"{picture.name}{ending}")


@lru_cache(maxsize=32)
def _names_in(folder: Path) -> _PictureNames:
    return _PictureNames(sorted(file.name for file in folder.iterdir() if is_picture(file)))


def is_caption_file(path: Path) -> bool:
    """Say whether a file is named like captions: ``.txt`` or ``.caption``, in any case."""
    return path.suffix.lower() in TEXT_ENDINGS


def lines_of(text: str) -> list[str]:
    """Split a text at its line ends: LF, CR LF or CR, not at the separators of Unicode."""
    return LINE_END.split(text)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _language(tag: str) -> str:
    """Return the language code that a part of a file name is, or nothing."""
    match = _TAG.fullmatch(tag)
    if match is None or match[1].lower() not in _LANGUAGES:
        return ""
    return match[1].lower() + match[2].replace("_", "-")


def encoding_of(start: bytes, named: str = "") -> str:
    """The encoding of a text: what is named, else UTF-16 or UTF-8, by the byte order mark.

    Args:
        start: at least the first two bytes of the text.
        named: an encoding; empty for none.
    """
    if named:
        return named
    return "utf-16" if start.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig"


def _check_encoding(named: str) -> None:
    try:
        "a".encode(named or "utf-8")
    except LookupError as error:
        raise DataError(
            f"there is no encoding {named!r} of texts; others are utf-8, utf-16-le, cp1252, gbk, "
            "shift_jis, koi8-r"
        ) from error


def _read_text(path: Path, encoding: str) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_TEXT + 1)
    except OSError as error:
        raise DataError(f"caption file cannot be read ({error.strerror})") from error
    if len(data) > _MAX_TEXT:
        raise DataError("caption file is too large")
    try:
        return data.decode(encoding_of(data, encoding))
    except UnicodeDecodeError as error:
        raise DataError(not_text("caption file", encoding)) from error


def not_text(what: str, encoding: str) -> str:
    """What is said of bytes that an encoding does not have, and what to do."""
    if encoding:
        return f"{what} is not {encoding} text"
    return f"{what} is not UTF-8 text (name its encoding, as in --encoding cp1252)"
