"""A drawn picture, with everything needed to draw it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from limner.arguments import check_type
from limner.generation.copies import TrainingDrawing
from limner.generation.drawn_from import Grounding
from limner.generation.set_members import SetMember
from limner.models.settings import Settings
from limner.text.rewrite import Rewriting
from limner.vision.images import png_bytes

if TYPE_CHECKING:
    from limner.generation.records import Record


@dataclass(frozen=True)
class Picture:
    """A drawn picture, with everything needed to draw it again.

    Attributes:
        image: RGB, or RGBA if a transparent background was asked for.
        prompt: the prompt as it was drawn, including a style at its end.
        seed: the seed of this one picture.
        model: hash of the model file.
        settings: the options asked for. ``settings.style`` is the style that the prompt or the
            caller named, None if the seed chose it; likewise ``settings.transparent``.
        index: number of the prompt, from 0.
        encoder: fingerprint of the text encoder.
        planner: hash of the planner model; empty if the picture was drawn in one piece.
        tile: pictures per network evaluation.
        threads: CPU threads; 0 if unknown. Another tile or number of threads may round some
            pixels differently.
        drawn_from: what each phrase was drawn from; empty if the model has no index of the
            concepts it knows, or grounding was off.
        sources: the training drawings used, if the model keeps them; not part of the record.
        inpainted: SHA-256 of the picture (and mask) that this one was made from; else empty.
        edits: instructions that changed its plan, in order.
        rewritten: the prompt as it was given, if it was rewritten; else None.
        member: what was done to match the other pictures of its set; None if it is in none.
        made_from: the picture this one was made from, if this model drew that too and its record
            is kept; else None.
    """

    image: Image.Image
    prompt: str
    seed: int
    model: str
    settings: Settings
    index: int = 0
    encoder: str = ""
    planner: str = ""
    tile: int = 1
    threads: int = 0
    drawn_from: tuple[Grounding, ...] = ()
    sources: tuple[TrainingDrawing, ...] = ()
    inpainted: str = ""
    edits: tuple[str, ...] = ()
    rewritten: Rewriting | None = None
    member: SetMember | None = None
    made_from: Picture | None = None

    @classmethod
    def of(cls, record: Record, image: Image.Image) -> Picture:
        """The picture of a file, from its record and pixels."""
        names = set(type(record).model_fields) - {"format", "limner", "made_from"}
        return cls(image=image, **{name: getattr(record, name) for name in names})

    def save(self, path: str | Path) -> Path:
        """Write a PNG, WebP, JPEG, SVG or ICO by the name's ending, with its own record.

        See :mod:`limner.generation.files`.
        """
        from limner.generation.files import write_picture

        check_type("path", path, (str, Path), "the name of a file, such as 'cat.png'")
        return write_picture(self, Path(path))

    def _repr_png_(self) -> bytes:
        """The picture as notebooks show it."""
        return png_bytes(self.image)

    def __repr__(self) -> str:
        width, height = self.image.size
        return f"<Picture of {self.prompt!r}, seed {self.seed}, {width} x {height}>"


def best_first(scores: Sequence[float]) -> list[int]:
    """Indices that sort scores in descending order; ties keep their order."""
    return sorted(range(len(scores)), key=lambda number: -scores[number])
