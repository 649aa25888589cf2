"""Saying what pictures show: one contract for captioners, and whole folders of pictures."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from limner.data.pictures import PictureError, is_picture, whole
from limner.data.tree import walk
from limner.errors import DataError, UsageError
from limner.files import whole_file
from limner.loading import load_capable
from limner.models.base import Capability
from limner.models.captioner import Captioner as CaptionerModel
from limner.models.captioner import Said
from limner.shipped import SHIPPED_CAPTIONER, find_model, spec_of
from limner.specs import parse_spec
from limner.tensorfile import file_hash
from limner.vision.pixels import to_tensor

_SIDE = 512
_ENGLISH = "en"


class Captioner(Protocol):
    """Says what a picture shows."""

    @property
    def spec(self) -> str:
        """The string that :func:`load_captioner` builds it from."""
        ...

    def caption(
        self, pixels: NDArray[np.uint8], language: str | None = None, count: int = 1
    ) -> list[Said]:
        """The likeliest captions of an ``(H, W, 3)`` picture, best first."""
        ...


def load_captioner(
    spec: str | Path | None = None, *, device: str = "cpu", base_url: str | None = None
) -> Captioner:
    """The captioner that a spec names.

    Args:
        spec: a model file or run folder of ours; ``hf:PATH_OR_ID``, a model of transformers that
            turns pictures into text (extra ``hub``); ``openai:MODEL``, a model with eyes behind an
            OpenAI-compatible endpoint (extra ``endpoint``); ``shipped`` or None for the one inside
            the package.
        device: where the model runs, unless it is behind an endpoint.
        base_url: of the endpoint.

    Raises:
        ModelFileError: the file is missing or damaged.
        UsageError: the model says nothing of pictures, or an option does not belong to it.
        DataError: the hub's model cannot be read.
        MissingExtraError: transformers, or the client of the endpoint, is not installed.
    """
    if isinstance(spec, str) and spec.startswith("openai:"):
        from limner.reading.endpoint import EndpointCaptioner

        return EndpointCaptioner(spec.removeprefix("openai:"), base_url=base_url)
    if base_url is not None:
        raise UsageError("--base-url belongs to a captioner openai:MODEL; leave it out")
    if isinstance(spec, str) and spec.startswith("hf:"):
        from limner.reading.hub_captions import HubCaptioner

        asked = parse_spec(spec, "captioner")
        asked.only()
        return HubCaptioner(asked.place, device=device)
    return OwnCaptioner(find_model(spec, SHIPPED_CAPTIONER), device=device)


class OwnCaptioner:
    """A model of the captioner family.

    Args:
        path: the model file.
        device: as for :func:`limner.loading.choose_device`.

    Attributes:
        info: what the file says of the model.
        hash: of the file.
    """

    def __init__(self, path: Path, *, device: str = "cpu") -> None:
        found = load_capable(path, Capability.CAPTION, "captions pictures", device=device)
        self.model, self.encoder = cast(CaptionerModel, found.model), found.encoder
        self.path, self.device = path, found.device
        self.info, self.hash = found.info, file_hash(path)

    @property
    def spec(self) -> str:
        """``shipped``, or the absolute path of the model file."""
        return spec_of(self.path, SHIPPED_CAPTIONER)

    def caption(
        self, pixels: NDArray[np.uint8], language: str | None = None, count: int = 1
    ) -> list[Said]:
        """The best captions, by beam search, where the model can after a second look.

        Args:
            pixels: ``(H, W, 3)`` uint8, scaled whole to the model's side, on white.
            language: its code; None for English, or any where the model speaks none. Texts of
                several languages cannot be ranked: Chinese ones are short, and so likelier.
            count: how many different ones.

        Raises:
            UsageError: the model does not speak the language.
        """
        square = whole(pixels, self.model.config.size)
        image = to_tensor(square[None])[0]
        spoken = self.model.config.languages
        language = _ENGLISH if language is None and _ENGLISH in spoken else language
        return self.model.caption(image.to(self.device), language, count, self.encoder)


# -- many pictures ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Captioned:
    """One picture and what was said of it.

    Attributes:
        picture: as it was named.
        captions: best first; none where the picture could not be read.
        problem: why it could not.
    """

    picture: str
    captions: tuple[Said, ...] = ()
    problem: str = ""

    def line(self) -> str:
        """As JSON, in one line."""
        return json.dumps(asdict(self), ensure_ascii=False)


def pictures_of(paths: Sequence[Path]) -> list[Path]:
    """The pictures that some paths name: files themselves, and all below folders.

    Raises:
        DataError: a path does not exist, or there is no picture at all.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += [file for file in walk(path) if is_picture(file)]
        elif path.is_file():
            found.append(path)
        else:
            raise DataError(f"there is no picture or folder {path}")
    if not found:
        raise DataError(f"there is no picture in {paths[0]}")
    return list(dict.fromkeys(found))


def caption_all(
    captioner: Captioner,
    pictures: Iterable[Path],
    language: str | None = None,
    count: int = 1,
) -> Iterator[Captioned]:
    """Caption pictures one after the other; one that cannot be read is named and left out.

    Args:
        captioner: who speaks.
        pictures: files.
        language: code; None lets the captioner choose.
        count: captions of each.

    Raises:
        UsageError: the captioner does not speak the language.
    """
    for picture in pictures:
        try:
            pixels = whole(picture, _SIDE)
        except PictureError as error:
            yield Captioned(str(picture), problem=str(error))
            continue
        yield Captioned(str(picture), tuple(captioner.caption(pixels, language, count)))


def sidecar(picture: Path, language: str | None) -> Path:
    """The text file beside a picture: ``cat.txt``, or ``cat.zh.txt`` where a language is asked."""
    return picture.with_suffix(f".{language}.txt" if language else ".txt")


def write_sidecar(found: Captioned, language: str | None) -> None:
    """Write the captions of a picture beside it, one a line.

    Raises:
        DataError: it cannot be written.
    """
    path = sidecar(Path(found.picture), language)
    with whole_file(path, DataError) as part:
        part.write_text("".join(f"{said.text}\n" for said in found.captions), encoding="utf-8")


def already(out: Path) -> set[str]:
    """The pictures that a JSONL file of captions holds; a torn last line is cut off.

    Raises:
        DataError: it cannot be read, or holds something else.
    """
    if not out.is_file():
        return set()
    try:
        lines = out.read_bytes().splitlines(keepends=True)
        whole = [line for line in lines if line.endswith(b"\n")]
        names = {str(json.loads(line)["picture"]) for line in whole}
        if len(whole) < len(lines):
            with whole_file(out, DataError) as part:
                part.write_bytes(b"".join(whole))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{out} holds no captions that can be gone on with: {error}") from error
    return names
