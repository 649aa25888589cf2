"""How a drawing was matched to its set, as stored in its record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from limner.arrays import Floats
from limner.generation.evening import MOST_COLOURS, SetLook, evened, read_palette
from limner.generation.finishing import at_size
from limner.generation.restyle import redraw
from limner.generation.styles import Kind, StyleProfile
from limner.vision.images import on_white

if TYPE_CHECKING:
    from limner.generation.generator import Generator


class SetMember(BaseModel):
    """How a drawing was matched to its set (:func:`limner.generation.evening.evened`).

    Attributes:
        name: that the drawing stands for in the set; the prompt may be another one.
        style: of the set; the drawing itself may be of another one.
        palette: colours that all are taken from, in hex; None to leave them.
        outline: width of the outline or of lines, as a share of the side; 0 to leave them.
        outlined: whether an outline is drawn around what has none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(max_length=100_000)
    style: str = Field(max_length=200)
    palette: (
        Annotated[
            tuple[Annotated[str, Field(pattern=r"^#[0-9a-f]{6}$")], ...],
            Field(min_length=1, max_length=MOST_COLOURS),
        ]
        | None
    ) = None
    outline: float = Field(default=0.0, ge=0, le=1)
    outlined: bool = False

    def even(self, image: Image.Image, style: str | None, generator: Generator) -> Image.Image:
        """A drawing matched to its set.

        Args:
            image: as it was drawn; without a background where it is RGBA, as the result is then.
            style: that it was drawn in.
            generator: that drew it.

        Raises:
            UsageError: the model has no such style.
        """
        profile = generator.style_profile(self.style)
        pixels = np.asarray(on_white(image))
        if style != self.style and profile is not None and _redrawn(profile):
            pixels = redraw(pixels, profile)
        palette = None if self.palette is None else read_palette(",".join(self.palette))
        look = SetLook(profile, palette, self.outline, self.outlined)
        made = Image.fromarray(evened(pixels, look))
        return at_size(made, made.width, transparent=image.mode == "RGBA")


def hex_colours(palette: Floats) -> tuple[str, ...]:
    """Colours as a record holds them.

    Args:
        palette: ``(K, 3)`` RGB in [0, 1].
    """
    numbers = np.round(np.clip(palette, 0, 1) * 255).astype(int).tolist()
    return tuple("#{:02x}{:02x}{:02x}".format(*each) for each in numbers)


def _redrawn(profile: StyleProfile) -> bool:
    """Whether drawings of other styles are redrawn in a style."""
    return profile.kind is not Kind.FILLS or bool(profile.width)
