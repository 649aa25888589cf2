"""What a model knows in black ink alone, to be drawn in colours beside coloured things.

Things of ``scenes/painted_things.tsv`` are painted. ``scenes/usual_colours.tsv`` lists others by
what they are made of. A thing that it lacks has the colour of the listed one whose name is nearest
in the language model's space, where one is near.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, cached_property

from limner.arrays import Pixels
from limner.models.concepts import ConceptIndex
from limner.scenes.colours import in_ink, in_two_tones
from limner.scenes.painted_things import painted, painted_names
from limner.scenes.paints import RGB, of_hex
from limner.tables import read_table

_NEAR, _OTHERS = 0.6, (0.44, 0.49, 0.56)
"""Least cosine to a listed name whose colour is taken; the colour of other things, a grey."""
_SEEN_THROUGH = frozenset({"cage", "birdcage", "net", "web", "jail"})
"""Things that one sees through, whose lines enclose nothing of theirs."""


class UsualColours:
    """The colours of the things that a model knows.

    Args:
        concepts: names that the model knows.
    """

    def __init__(self, concepts: ConceptIndex) -> None:
        self._concepts = concepts

    @cached_property
    def _listed(self) -> Mapping[str, RGB]:
        """Caption of a concept -> its colour; the first of its names counts."""
        found: dict[str, RGB] = {}
        for name, colour in _table().items():
            known = self._concepts.named(name)
            if known is not None:
                found.setdefault(known.caption, colour)
        return found

    @cached_property
    def _paintings(self) -> Mapping[str, str]:
        """Caption of a concept that has no coloured drawing -> the thing that is painted for it."""
        found: dict[str, str] = {}
        for name, thing in painted_names().items():
            known = self._concepts.named(name)
            if known is None or known.instance or self._concepts.colours_of(known.concept) != 0:
                continue
            found.setdefault(known.caption, thing)
        return found

    def is_painted(self, caption: str) -> bool:
        """Whether a concept is painted."""
        return caption in self._paintings

    def painting(self, caption: str, side: int) -> Pixels | None:
        """A concept as it is painted, ``(side, side, 3)``, on white; None where it is not."""
        thing = self._paintings.get(caption)
        return None if thing is None else painted(thing, side)

    def of(self, caption: str) -> RGB | None:
        """The colour of a concept by its caption, each part in [0, 1]; None where none is near."""
        if caption in self._listed:
            return self._listed[caption]
        near = self._concepts.nearest_of(caption, list(self._listed))
        return None if near is None or near[1] < _NEAR else self._listed[near[0]]

    def shown(self, pixels: Pixels, caption: str) -> Pixels:
        """A drawing in black ink, or in black and one colour, in the colour of what it shows.

        Args:
            pixels: ``(S, S, 3)`` uint8, on white.
            caption: of the concept.

        Returns:
            ``(S, S, 3)`` uint8; the same where it has other colours.
        """
        colour = self.of(caption) or _OTHERS
        open_work = not _SEEN_THROUGH.isdisjoint(caption.split())
        found = None if open_work else in_two_tones(pixels, colour)
        if found is None:
            found = in_ink(pixels, colour, greys=True)
        return pixels if found is None else found


@cache
def _table() -> Mapping[str, RGB]:
    """Name -> colour."""
    found: dict[str, RGB] = {}
    for written, _, names in read_table("limner.scenes", "usual_colours.tsv")[1:]:
        for name in names.split("|"):
            found.setdefault(name, of_hex(written))
    return found
