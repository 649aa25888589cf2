"""Captions of pictures: the contract of captioners, and captions of whole folders."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from limner.data.pictures import whole
from limner.data.tree import FileTree, sidecar_path
from limner.endpoint import OPENAI
from limner.errors import DataError, UsageError
from limner.files import json_text, locked, make_folder, whole_file
from limner.loading import load_capable
from limner.models.captioner import CaptionerModel, ScoredCaption
from limner.models.settings import Capability
from limner.reading.sources import file_stamp
from limner.shipped import SHIPPED_CAPTIONER, find_model, spec_of
from limner.specs import parse_spec
from limner.tensorfile import file_hash
from limner.vision.pixels import to_tensor

READ_SIDE = 512
"""Pixels that pictures are scaled to before a captioner reads them."""
_ENGLISH = "en"
_LINE_START = b'{"picture": '
_REQUEST = ("stamp", "captioner", "language", "count")


class Captioner(Protocol):
    """Writes captions of a picture."""

    @property
    def spec(self) -> str:
        """The string that :func:`load_captioner` builds it from."""

    @property
    def fingerprint(self) -> str:
        """Changes when the captioner does, as far as that can be known."""

    def caption(
        self, pixels: NDArray[np.uint8], language: str | None = None, count: int = 1
    ) -> list[ScoredCaption]:
        """The most probable captions of an ``(H, W, 3)`` uint8 picture, best first."""


def load_captioner(
    spec: str | Path | None = None, *, device: str = "cpu", base_url: str | None = None
) -> Captioner:
    """The captioner that a spec names.

    Args:
        spec: a model file, a run folder or the name of a shipped model (see
            :func:`limner.shipped.find_model`); ``hf:PATH_OR_ID``, an image-to-text model of
            transformers (extra ``hub``); ``openai:MODEL``, a model that reads pictures behind an
            OpenAI-compatible endpoint (extra ``endpoint``); ``shipped`` or None for the shipped
            captioner.
        device: as for :func:`limner.loading.choose_device`; an endpoint has none.
        base_url: of the endpoint.

    Raises:
        ModelFileError: the file is missing or damaged.
        UsageError: the model does not caption pictures, or an option does not belong to it.
        DataError: the hub's model cannot be read.
        MissingExtraError: transformers, or the client of the endpoint, is not installed.
    """
    if isinstance(spec, str) and spec.startswith(OPENAI):
        from limner.reading.endpoint import EndpointCaptioner

        return EndpointCaptioner(spec.removeprefix(OPENAI), base_url=base_url)
    if base_url is not None:
        raise UsageError("--base-url belongs to a captioner openai:MODEL; leave it out")
    if isinstance(spec, str) and spec.startswith("hf:"):
        from limner.reading.hub_captions import HubCaptioner

        parsed = parse_spec(spec, "captioner")
        parsed.only()
        return HubCaptioner(parsed.place, device=device)
    return OwnCaptioner(find_model(spec, SHIPPED_CAPTIONER), device=device)


class OwnCaptioner:
    """A model of the captioner family.

    Args:
        path: the model file.
        device: as for :func:`limner.loading.choose_device`.

    Attributes:
        info: what the file says of the model.
        hash: of the file.
        spec: ``shipped``, or the absolute path of the model file.
        fingerprint: of the model file and its text encoder.
    """

    def __init__(self, path: Path, *, device: str = "cpu") -> None:
        found = load_capable(path, Capability.CAPTION, "captions pictures", device=device)
        self.model, self.encoder = cast(CaptionerModel, found.model), found.encoder
        self.device, self.info, self.hash = found.device, found.info, file_hash(path)
        self.spec = spec_of(path, SHIPPED_CAPTIONER)
        self.fingerprint = f"{self.hash}-{self.encoder.fingerprint}"

    def caption(
        self, pixels: NDArray[np.uint8], language: str | None = None, count: int = 1
    ) -> list[ScoredCaption]:
        """The best captions by beam search, as :class:`CaptionerModel` ranks them.

        Args:
            pixels: ``(H, W, 3)`` uint8, scaled uncropped to the model's side, on white.
            language: its code; None for English, or any where the model does not write English.
                Texts of several languages cannot be ranked: Chinese ones are shorter, so they
                have a higher probability.
            count: how many different captions.

        Raises:
            UsageError: the model does not write the language.
        """
        square = whole(pixels, self.model.config.size)
        image = to_tensor(square[None])[0]
        languages = self.model.config.languages
        language = _ENGLISH if language is None and _ENGLISH in languages else language
        return self.model.caption(image.to(self.device), language, count, self.encoder)


# -- many pictures ----------------------------------------------------------------------------


@dataclass(frozen=True)
class CaptionedPicture:
    """One picture, its captions, and how they were made.

    Attributes:
        picture: path as it was given.
        captions: best first; empty where there is a ``problem``.
        problem: why the picture has no caption.
        stamp: changes when the file does; empty where it cannot be read.
        captioner: fingerprint of the captioner.
        language: that was asked for; None for the captioner's choice.
        count: captions that were asked for.
    """

    picture: str
    captions: tuple[ScoredCaption, ...] = ()
    problem: str = ""
    stamp: str = ""
    captioner: str = ""
    language: str | None = None
    count: int = 1

    def to_json(self) -> str:
        """One line of JSON."""
        return json_text(asdict(self))


class FoundPictures(NamedTuple):
    """The pictures that some paths name.

    Attributes:
        pictures: files, each once.
        captioned: those with a text file of the language beside them.
        named: those that were named themselves, not by a folder.
        problems: what could not be listed, and why.
    """

    pictures: list[Path]
    captioned: set[Path]
    named: set[Path]
    problems: dict[Path, str]


def find_pictures(
    paths: Sequence[Path], language: str | None = None, *, sidecars: bool = False
) -> FoundPictures:
    """The pictures that some paths name: files themselves, and all below folders.

    Args:
        paths: files and folders.
        language: of the text files that count as captions; None for those that name none.
        sidecars: find out which pictures have such a text file.

    Raises:
        DataError: a path does not exist, a folder cannot be listed, or there is no picture at all.
    """
    found = FoundPictures([], set(), set(), {})
    for path in paths:
        if path.is_dir():
            tree = FileTree(path)
            found.pictures.extend(tree.pictures)
            found.problems.update(tree.problems)
            found.captioned.update(
                picture
                for picture in (tree.pictures if sidecars else ())
                if any(named == (language or "") for _, named in tree.texts(picture))
            )
        elif path.is_file():
            found.pictures.append(path)
            found.named.add(path)
            if sidecars and _sidecar(path, language).exists():
                found.captioned.add(path)
        else:
            raise DataError(f"there is no picture or folder {path}")
    if not found.pictures:
        raise DataError(f"there is no picture in {paths[0]}")
    return found._replace(pictures=list(dict.fromkeys(found.pictures)))


def caption_picture(
    captioner: Captioner, picture: Path, language: str | None = None, count: int = 1
) -> CaptionedPicture:
    """Caption a picture file; where that fails, ``problem`` says why.

    Args:
        captioner: makes the captions.
        picture: file.
        language: code; None lets the captioner choose.
        count: captions.

    Raises:
        UsageError: the captioner does not write the language.
        EndpointError: the captioner's service cannot be reached, or refuses.
    """
    stamp, captions, problem = "", [], ""
    try:
        stamp = file_stamp(picture)
        captions = captioner.caption(whole(picture, READ_SIDE), language, count)
    except OSError as error:
        problem = f"unreadable file ({error.strerror})"
    except DataError as error:
        problem = str(error)
    if not captions and not problem:
        problem = "the captioner gives no caption"
    return CaptionedPicture(
        str(picture), tuple(captions), problem, stamp, captioner.fingerprint, language, count
    )


def request_of(
    captioner: Captioner, picture: Path, language: str | None, count: int
) -> tuple[object, ...]:
    """What :func:`caption_picture` would record besides captions; see :class:`CaptionFile`."""
    try:
        stamp = file_stamp(picture)
    except OSError:
        stamp = ""
    return stamp, captioner.fingerprint, language, count


def write_sidecar(found: CaptionedPicture) -> str:
    """Write the captions of a picture beside it, one a line, unless that file is there already.

    The file is ``cat.txt``, or ``cat.zh.txt`` where a language was asked for; ``cat.png.txt``
    where another picture has the same name up to its ending.

    Returns:
        Why there is no such file: its name would be too long. Empty where there is one.

    Raises:
        DataError: it cannot be written.
    """
    path = _sidecar(Path(found.picture), found.language)
    try:
        with whole_file(path, DataError, exclusive=True) as part:
            part.write_text("".join(f"{caption.text}\n" for caption in found.captions), "utf-8")
    except FileExistsError:
        pass  # written meanwhile by another process; never replaced
    except DataError as error:
        if getattr(error.__cause__, "errno", None) != errno.ENAMETOOLONG:
            raise
        return f"the name of its text file would be too long ({path.name})"
    return ""


def _sidecar(picture: Path, language: str | None) -> Path:
    try:
        return sidecar_path(picture, language or "")
    except OSError as error:
        raise DataError(f"cannot list {picture.parent}: {error.strerror}") from error


class CaptionFile:
    """A JSONL file of captions that is added to; use as a context manager.

    Args:
        path: the file; made, with its folder, where it is missing. A last line that was cut short
            is removed.

    Raises:
        DataError: it cannot be read or written, holds something else, or another process adds to
            it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._done: dict[str, set[tuple[object, ...] | None]] = {}
        self._stack = ExitStack()
        try:
            if path.is_file():
                self._read()
            self._size = path.stat().st_size if path.exists() else 0
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror or error}") from error

    def _read(self) -> None:
        lines = self.path.read_bytes().split(b"\n")
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                name = str(row["picture"])
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                if number < len(lines) or not line.startswith(_LINE_START):
                    raise DataError(
                        f"{self.path}, line {number}: no caption that limner wrote; name another "
                        f"file"
                    ) from error
                with self.path.open("r+b") as file:
                    file.truncate(sum(map(len, lines[:-1])) + len(lines) - 1)
                return
            known = "captioner" in row  # older lines do not say how they were made
            request = tuple(row.get(key) for key in _REQUEST) if known else None
            self._done.setdefault(name, set()).add(request)
        if lines[-1]:
            with self.path.open("ab") as file:
                file.write(b"\n")

    def __contains__(self, key: tuple[Path, tuple[object, ...]]) -> bool:
        """Whether a picture has a line for a request."""
        requests = self._done.get(str(key[0]), set())
        return None in requests or key[1] in requests

    def __enter__(self) -> CaptionFile:
        make_folder(self.path.parent, DataError)
        with ExitStack() as stack, self._writing():
            if self.path.is_file() or not self.path.exists():
                lock = self.path.parent / f".{self.path.stem}.lock"
                stack.enter_context(locked(lock, DataError, f"the file {self.path}"))
            if self.path.exists() and self.path.stat().st_size != self._size:
                raise DataError(f"another process has added to {self.path}; run the same again")
            self._file = stack.enter_context(self.path.open("ab"))
            self._stack = stack.pop_all()
        return self

    def add(self, found: CaptionedPicture) -> None:
        """Add a line.

        Raises:
            DataError: it cannot be written.
        """
        with self._writing():
            self._file.write(found.to_json().encode() + b"\n")
            self._file.flush()

    def __exit__(self, *raised: Any) -> None:
        with self._writing():
            self._stack.__exit__(*raised)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DataError(f"cannot write {self.path}: {error.strerror or error}") from error
