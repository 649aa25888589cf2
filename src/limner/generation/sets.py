"""Sets: many names drawn in one style, with one palette, one size and one width of lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from limner.arguments import check_type, number
from limner.arrays import Floats
from limner.errors import UsageError
from limner.generation.evening import as_palette, palette_of
from limner.generation.grounding import KNOWN
from limner.generation.prompts import collected
from limner.generation.set_members import SetMember, hex_colours
from limner.generation.styles import Kind
from limner.metrics.judge import load_judge
from limner.models.concepts import KnownConcept
from limner.text.names import bare
from limner.text.validate import canonical
from limner.vision.images import on_white
from limner.vision.pixels import to_tensor

if TYPE_CHECKING:
    from limner.generation.generator import Generator
    from limner.generation.picture import Picture

SAME = 0.9
"""From this cosine of the icon judge's features on two drawings are near duplicates: of pairs of
different icons of one set one in a thousand is so near."""
_OTHER_SEEDS, _SEEDS_APART = 2, 100_003
_OTHER_NAMES, _OTHER_STYLES = 6, 4
"""Nearest known names, and other styles' drawings of the thing, that are tried instead."""
WIDEST = 0.2
_EXAMPLES = 60
"""Pictures of a style whose colours are its palette."""


@dataclass(frozen=True)
class SetOptions:
    """What the drawings of a set have in common.

    Attributes:
        style: one of the model's, or in words.
        palette: ``(K, 3)`` float32 RGB in [0, 1]; None for the style's own colours. It may also be
            given as :func:`~limner.generation.evening.as_palette` takes it.
        outline: width of lines or of an outline as a share of the side; None for the style's own.
        avoid_duplicates: whether what looks like a drawing before it is drawn otherwise.
        seed: of all.
        drawing: further drawing options (:class:`~limner.models.settings.Settings`).

    Raises:
        UsageError: one of them is of another type or out of its range.
    """

    style: str
    palette: Floats | None = None
    outline: float | None = None
    avoid_duplicates: bool = False
    seed: int = 0
    drawing: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_type("style", self.style, str, "one of the model's styles, or words for one")
        check_type("drawing", self.drawing, Mapping, "a dict of drawing options")
        if self.palette is not None:
            object.__setattr__(self, "palette", as_palette(self.palette))
        if self.outline is not None and not 0 < number("outline", self.outline) <= WIDEST:
            raise UsageError(f"an outline of {self.outline} is refused: give its width as a "
                             f"share of the side, above 0 and up to {WIDEST}")  # fmt: skip

    @property
    def key(self) -> str:
        """What tells sets apart that would look different, drawing options besides."""
        colours = [] if self.palette is None else np.round(self.palette * 255).tolist()
        return repr((self.style, colours, self.outline, self.avoid_duplicates))


@dataclass(frozen=True)
class SetPicture:
    """A drawing of a set.

    Attributes:
        name: that was asked for.
        image: as evened; RGB, or RGBA where it is to have no background.
        picture: as it was drawn; its prompt is another name than ``name`` where one was taken.
        member: what was done to make it like the others.
        like: the name whose drawing was too like the first one of this name; None for none.
        differs: whether the drawing taken differs from all others.
        messages: what the model said of the name, such as that it is drawn from another.
        after: the style whose drawing of the thing was taken instead of that in the set's style.
    """

    name: str
    image: Image.Image
    picture: Picture
    member: SetMember
    like: str | None = None
    differs: bool = True
    messages: tuple[str, ...] = ()
    after: str | None = None

    @property
    def finished(self) -> Picture:
        """The drawing as evened, with all that draws it again alone."""
        return replace(self.picture, image=self.image, member=self.member)

    @property
    def note(self) -> str:
        """A sentence on what was drawn otherwise; empty where nothing was."""
        if self.like is None:
            return ""
        if not self.differs:
            return f"looks like {self.like!r}, and no other drawing of it was found"
        other = self.picture.prompt
        how = "with another seed" if other == self.name else f"as {other!r}"
        how = how if self.after is None else f"after the drawing in the style {self.after}"
        return f"would have looked like {self.like!r}; drawn {how}"


class SetArtist:
    """Draws the pictures of one set, one after the other.

    Args:
        generator: the model.
        options: of the set.

    Raises:
        UsageError: the style cannot be had.
        CapabilityError: the model does not take an option.
    """

    def __init__(self, generator: Generator, options: SetOptions) -> None:
        self._generator, self._options = generator, options
        profile = generator.style_profile(options.style)
        palette = options.palette
        own = profile is not None and profile.kind is not Kind.PIXELS
        if palette is None and own:
            palette = self._own_palette(generator, options.style)
        lines = profile is not None and profile.kind is Kind.LINES
        width = profile.width if profile is not None and lines else 0.0
        self.member = SetMember(
            name="", style=options.style, palette=None if palette is None else hex_colours(palette),
            outline=options.outline or float(width),
            outlined=options.outline is not None and not lines,
        )  # fmt: skip
        self._seen: list[Tensor] = []
        self._names: list[str] = []
        self._first: SetPicture | None = None
        self._sources: dict[tuple[str, ...], str] = {}

    @staticmethod
    def _own_palette(generator: Generator, style: str) -> Floats | None:
        """The colours of a style of the model's; None for a style in words."""
        examples = generator.style_examples(style, _EXAMPLES)
        return palette_of([np.asarray(each) for each in examples])

    def draw(self, name: str) -> SetPicture:
        """The drawing of a name, which is remembered for those after it.

        Raises:
            PromptError: the text encoder refuses the name.
        """
        found: SetPicture | None = None
        like: str | None = None
        self._first = None
        for prompt, seed, style in self._ways(name):
            drawn = self._once(name, prompt, seed, style)
            near = self._like(drawn)
            if self._first is None:
                self._first, like = drawn, near
            if near is None:
                found = drawn
                break
        first = self._first
        assert first is not None
        kept = replace(found or first, like=like, differs=found is not None)
        names = [each.drawn for each in kept.picture.drawn_from]
        self.remember(name, kept.image, names, kept.after)
        return kept

    def remember(
        self, name: str, image: Image.Image, drawn: Sequence[str], after: str | None = None
    ) -> None:
        """Take in a drawing of the set that is there already.

        Args:
            name: that it is of.
            image: as evened.
            drawn: the names that its things were drawn from, where they are known.
            after: the style whose drawing it was made of, where that is not the set's.
        """
        if self._options.avoid_duplicates:
            self._names.append(name)
            self._seen.append(_features(image))
            if self._keeps and drawn:
                self._sources.setdefault((*drawn, after or ""), name)

    @property
    def _keeps(self) -> bool:
        """Whether the model draws a name from its one training drawing in the style."""
        return self._generator.model.draws_training_pictures

    def _ways(self, name: str) -> Iterator[tuple[str, int, str]]:
        """Prompts, seeds and styles that a name may be drawn from, the wanted ones first."""
        seed, style = self._options.seed, self._options.style
        yield name, seed, style
        if not self._options.avoid_duplicates:
            return
        if not self._keeps:
            yield from ((name, seed + i * _SEEDS_APART, style) for i in range(1, _OTHER_SEEDS + 1))
        concepts, known = self._generator.concepts, self._known(name)
        if concepts is None or known is None:
            return
        own = self._generator.styles
        others = [own[i] for i in concepts.styles_of([known.caption]) if own[i] != style]
        yield from ((name, seed, other) for other in others[: _OTHER_STYLES if self._keeps else 0])
        vector = self._generator.encoder.encode([bare(name)]).pooled
        for each in concepts.nearest(vector, _OTHER_NAMES)[0]:
            if each.similarity >= KNOWN and each.caption != known.caption:
                yield each.caption, seed, style

    def _known(self, name: str) -> KnownConcept | None:
        """The concept that a name is drawn from."""
        concepts, read = self._generator.concepts, self._first
        drawn = read.picture.drawn_from if read is not None else ()
        return None if concepts is None or not drawn else concepts.named(drawn[0].drawn)

    def _once(self, name: str, prompt: str, seed: int, style: str) -> SetPicture:
        options = {**self._options.drawing, "style": style}
        with collected() as messages:
            (picture,) = self._generator.generate(prompt, seed=seed, **options)
        member = self.member.model_copy(update={"name": name})
        return SetPicture(
            name, member.even(picture.image, style, self._generator), picture, member,
            messages=tuple(dict.fromkeys(messages)),
            after=None if style == self._options.style else style,
        )  # fmt: skip

    def _like(self, drawn: SetPicture) -> str | None:
        """The name of a drawing before it that a picture is a near duplicate of."""
        if not self._options.avoid_duplicates or not self._seen:
            return None
        source = (*(each.drawn for each in drawn.picture.drawn_from), drawn.after or "")
        if source in self._sources:  # the same drawing, varied by the seed
            return self._sources[source]
        seen = torch.cat(self._seen)
        mirrored = drawn.image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        both = torch.cat([_features(drawn.image), _features(mirrored)])
        cosine = (seen @ both.T).amax(1)
        best = int(cosine.argmax())
        return self._names[best] if float(cosine[best]) >= SAME else None


def draw_set(
    generator: Generator, names: Sequence[str], options: SetOptions
) -> Iterator[SetPicture]:
    """The drawings of names as one set, as they are drawn; see :class:`SetArtist`.

    Raises:
        UsageError: there is no name, or two are the same.
        PromptError: a name is no text, or empty.
    """
    if isinstance(names, str | bytes) or not isinstance(names, Iterable):
        raise UsageError(f"names is a {type(names).__name__}: give a list of names, one a picture")
    given = list[str]()
    for name in names:
        canonical(name, "name")
        given.append(name.strip())
    if not given:
        raise UsageError("a set needs at least one name")
    twice = next((name for name in given if given.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"{twice!r} stands twice among the names of the set; leave one out")
    artist = SetArtist(generator, options)
    return (artist.draw(name) for name in given)


def _features(image: Image.Image) -> Tensor:
    """The icon judge's features of a drawing on white, ``(1, D)`` of unit length."""
    return load_judge().features(to_tensor(np.asarray(on_white(image))[None]))
