"""A drawn picture, and all it takes to draw it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

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
    """One drawn picture and all it takes to draw it again.

    Attributes:
        image: RGB, or RGBA where a transparent background was asked for.
        prompt: as it was drawn, a style at its end included.
        seed: of this very picture.
        model: hash of the model file.
        settings: what was asked besides; ``settings.style`` is the style the prompt or the
            caller named, None where the seed chose; so with a transparent background.
        index: which of the prompts, from 0.
        encoder: fingerprint of the text encoder.
        planner: hash of the planner that laid it out; empty where it was drawn in one piece.
        tile: pictures per network evaluation.
        threads: of the CPU; 0 where nobody knows. Another tile or number of threads may round
            some pixels otherwise.
        drawn_from: what each phrase was drawn from; empty where the model has no index of the
            concepts it knows, or was not to use it.
        sources: the training drawings that its parts were drawn from, where the model keeps them;
            they are not in its record.
        inpainted: SHA-256 of the picture that it was made from, with its mask if it has one; empty
            for none.
        edits: instructions that changed its plan, the first first.
        rewritten: the prompt as it was given, where another was made of it; else None.
        member: what was done to make it like the others of its set; None where it is of none.
        made_from: the picture that it was made from, where this model drew that as well and its
            record is kept; else None.
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
        """The picture of a file that was drawn from words, by its record and its pixels."""
        names = set(type(record).model_fields) - {"format", "limner", "made_from"}
        return cls(image=image, **{name: getattr(record, name) for name in names})

    def save(self, path: str | Path) -> Path:
        """Write a PNG, WebP, JPEG, SVG or ICO by the name's ending, with its own record.

        See :mod:`limner.generation.files`.
        """
        from limner.generation.files import write_picture

        return write_picture(self, Path(path))

    def _repr_png_(self) -> bytes:
        """The picture as notebooks show it."""
        return png_bytes(self.image)

    def __repr__(self) -> str:
        width, height = self.image.size
        return f"<Picture of {self.prompt!r}, seed {self.seed}, {width} x {height}>"


def best_first(scores: Sequence[float]) -> list[int]:
    """The numbers of pictures by their scores, the highest first; of equal ones the earlier."""
    return sorted(range(len(scores)), key=lambda number: -scores[number])
