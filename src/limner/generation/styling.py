"""Choosing the style of a picture, and drawing its parts in it.

A model that draws training pictures draws a thing in the styles alone that it has pictures of it
in. A seed chooses among these; asked for another, what is drawn in the nearest style is redrawn.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from PIL import Image
from torch import Tensor

from limner.arrays import Pixels
from limner.generation.copies import compared
from limner.generation.drawn_from import Grounding
from limner.generation.icon_sets import facts_of_set
from limner.generation.looks import LOOKS, find_look
from limner.generation.prompt_reader import ReadPrompt
from limner.generation.prompts import quoted, warn
from limner.generation.restyle import redraw
from limner.generation.session import Part
from limner.generation.styles import StyleProfile, measure
from limner.generation.usual_colours import UsualColours
from limner.generation.variation import varied
from limner.models.concepts import ConceptIndex
from limner.models.conditioning import choose_by_seed
from limner.models.image_model import ImageModel
from limner.models.settings import Settings, find_style
from limner.scenes.colours import in_named_colour
from limner.scenes.sizes import person_in
from limner.text.base import TextFeatures
from limner.vision.pixels import to_images, to_tensor, to_uint8

_WITH_A_FACE = "woman"
_EXAMPLES = 12
"""Pictures that a style is measured by."""


class Styled(NamedTuple):
    """A request with the style that it is drawn in.

    Attributes:
        settings: of the request, with the style.
        sampled: as the model knows them; its parts are sampled with these.
        look: that the parts are redrawn in; None to leave them.
        lacking: whether drawings of its style may be missing, so that others are redrawn.
        drawn_from: what each phrase is drawn from.
    """

    settings: Settings
    sampled: Settings
    look: StyleProfile | None
    lacking: bool
    drawn_from: tuple[Grounding, ...]


class Styler:
    """Chooses styles for one model.

    Args:
        model: draws.
        concepts: names that the model knows, and in which styles; None where it has no index.
    """

    def __init__(self, model: ImageModel, concepts: ConceptIndex | None) -> None:
        self._model, self._concepts = model, concepts
        self._styles = model.config.styles
        self._facts = [facts_of_set(style) for style in self._styles]
        self._profiles: dict[int, StyleProfile | None] = {}
        self._usual = None if concepts is None else UsualColours(concepts)

    @cached_property
    def _colourful(self) -> Tensor | None:
        """Read when something is drawn: the image server's outline of a model has no weights."""
        return self._model.colourful_styles

    def named(self, name: str) -> str:
        """A style of the model or the name of a look, by its name or in other words.

        Raises:
            UsageError: there is none of that name.
        """
        found = find_look(name, self._styles)
        others = [each for each in LOOKS if find_look(each, self._styles)]
        return found or self._styles[find_style(name, (*self._styles, *others))]

    def has_colour(self, thing: Grounding) -> bool:
        """Whether a thing that is known in black ink alone has colours of its own."""
        concepts, usual = self._concepts, self._usual
        known = None if concepts is None else concepts.named(thing.drawn)
        if concepts is None or usual is None or known is None:
            return False
        if concepts.colours_of(known.concept) != 0:
            return False
        return self._is_painted(thing) or usual.of(known.caption) is not None

    def _is_painted(self, thing: Grounding) -> bool:
        """Whether a thing is painted, in any style that has colours."""
        known = None if self._concepts is None else self._concepts.named(thing.drawn)
        if known is None or self._usual is None or self._colourful is None:
            return False
        return self._usual.is_painted(known.caption)

    def chosen(
        self,
        seed: int,
        drawn_from: Sequence[Grounding],
        props: Sequence[str],
        *,
        coloured: bool,
        hair: bool = False,
        whole: Collection[str] = (),
    ) -> str | None:
        """A style that things are known in, and props of their place if there is one, by a seed.

        Args:
            seed: of the picture.
            drawn_from: the things.
            props: names of what else is in the picture.
            coloured: whether it has colours even if its things are known in black ink alone.
            hair: whether the top of a thing is to have a colour of its own.
            whole: names of animals that are not to be heads.
        """
        if self._concepts is None:
            return None
        mostly = self._colourful
        drawn_from = [each for each in drawn_from if not (coloured and self._is_painted(each))]
        known = self._concepts.styles_of([each.drawn for each in drawn_from], mostly)
        if any(person_in(each.drawn) for each in drawn_from):
            # Where a style draws no woman, its persons are signs without faces.
            faces = self._concepts.styles_of([_WITH_A_FACE])
            known = [style for style in known if style in faces] or known
            for each in drawn_from:
                own = self._concepts.styles_of([each.drawn]) if person_in(each.drawn) else known
                known = [style for style in known if style in own] or known
        for each in drawn_from:
            name = each.drawn.split(":")[0]
            known = [style for style in known if name not in self._facts[style].signs] or known
        for name in whole:
            known = [style for style in known if name not in self._facts[style].heads] or known
        if hair:
            known = [style for style in known if not self._facts[style].plain_hair] or known
        named = filter(None, map(self._concepts.named, props))
        around = self._concepts.styles_of([each.caption for each in named], mostly)
        if coloured and self._colourful is not None:  # signs are drawn for other styles there
            known = [style for style in known if self._colourful[style]]
            around = around or self._concepts.styles_of([_WITH_A_FACE], mostly)
        known = [style for style in known if style in around] or known or around
        if not known:
            return None
        return self._styles[known[int(choose_by_seed([seed], len(known)))]]

    def styled(
        self,
        settings: Settings,
        read: ReadPrompt,
        props: Sequence[str],
        style: str | None,
        look: StyleProfile | None,
    ) -> Styled:
        """What was read, as it is drawn in a style of the model's.

        Where a thing has no pictures in the style, and the model draws no others, one of the
        nearest style is redrawn or, where that cannot be, drawn as it is.

        Args:
            settings: of the request.
            read: what is drawn.
            props: names of what else is in the picture.
            style: of the model; None for any.
            look: of a reference picture.

        Warns:
            PromptWarning: a thing is redrawn that was asked for in the style.
        """
        asked, drawn_from = settings.style, read.drawn_from
        sampled = settings.model_copy(update={"style": style})
        if asked is None:
            settings = sampled
        elif asked in LOOKS:
            look = look or LOOKS[asked].profile
        lacking = False
        if style is not None and self._concepts is not None and self._model.draws_training_pictures:
            number = find_style(style, self._styles)
            named = [each.caption for each in map(self._concepts.named, props) if each is not None]
            names = [*(each.drawn for each in drawn_from), *named]
            lacking = look is None and any(self._concepts.lacks(name, number) for name in names)
            if lacking:
                drawn_from = self._redrawn(read, number, asked is not None)
        return Styled(settings, sampled, look, lacking, drawn_from)

    def _redrawn(self, read: ReadPrompt, style: int, asked: bool) -> tuple[Grounding, ...]:
        """What things are drawn from, with the style that each is redrawn from in another.

        Args:
            read: what is drawn.
            style: of the picture.
            asked: whether it was asked for, so that others are said.
        """
        text = read.features if read.scene is None else read.scene.features
        drawn = self._model.drawn_styles(text, [style] * len(text))
        able, name = self._profile(style) is not None, self._styles[style]
        found = []
        for each, other in zip(read.drawn_from, drawn, strict=False):  # none without grounding
            source = None if other in (-1, style) else self._styles[other]
            if source is not None and asked:
                how = f"redrawn from {source}" if able else "drawn in the style nearest to it"
                warn(f"{quoted(each.drawn)} is not known in the style {name}; {how}")
            found.append(each.model_copy(update={"redrawn_from": source if able else None}))
        return tuple(found)

    def profile(self, name: str | None) -> StyleProfile | None:
        """What pictures are redrawn by in a style of the model's or in words; None for none."""
        if name is None or name in LOOKS:
            return None if name is None else LOOKS[name].profile
        return self._profile(find_style(name, self._styles))

    def examples(self, name: str, count: int) -> list[Image.Image]:
        """At most so many pictures of a style of the model's; none of a style in words."""
        return [] if name in LOOKS else self._seen(find_style(name, self._styles), count)

    def _seen(self, style: int, count: int) -> list[Image.Image]:
        return to_images(self._model.examples(style, count))

    def _profile(self, style: int) -> StyleProfile | None:
        """The profile of a style, measured when first asked for; see :func:`measure`."""
        if style not in self._profiles:
            self._profiles[style] = measure([np.asarray(e) for e in self._seen(style, _EXAMPLES)])
        return self._profiles[style]

    def part(
        self, styled: Styled, pixels: Tensor, text: TextFeatures, part: int, seed: int
    ) -> Part:
        """A drawing of a text as a seed varies it, in the look and the colour asked for.

        With it the training drawing it was drawn from, where the model draws those.

        Args:
            styled: the request that it is of.
            pixels: ``(3, S, S)`` in [-1, 1], as the model drew it, on the CPU.
            text: features of the words that it was drawn from.
            part: which of the picture's drawings it is.
            seed: that it was drawn by.
        """
        name = text.pieces[0][0] if text.pieces and text.pieces[0] else ""
        look, kept, own, style = styled.look, pixels, -1, None
        if styled.sampled.style is not None:
            style = find_style(styled.sampled.style, self._styles)
            (own,) = self._model.drawn_styles(text, [style])
            if styled.lacking and own != style:
                look = self._profile(style)
        painting = self._painting(style, name, pixels.shape[-1])
        pixels = pixels if painting is None else painting
        pixels = varied(pixels, name, seed, part, styled.sampled.variety or 0)
        plain = to_uint8(pixels[None])[0].numpy()
        if painting is None:
            plain = self._with_colour(plain, own, style, name)
        drawn = in_named_colour(plain if look is None else redraw(plain, look), name)
        if not self._model.draws_training_pictures:
            return Image.fromarray(drawn), None
        source = None if own < 0 else self._styles[own]
        return Image.fromarray(drawn), compared(name, source, kept, drawn)

    def _painting(self, style: int | None, name: str, side: int) -> Tensor | None:
        """A thing that is known in signs alone as it is painted for a style that has colours.

        Args:
            style: that it is drawn for; None for any.
            name: the words that it was drawn from.
            side: S, in pixels.

        Returns:
            ``(3, S, S)`` in [-1, 1]; None of others.
        """
        colourful = self._colourful
        if style is None or colourful is None or self._concepts is None or self._usual is None:
            return None
        known = self._concepts.named(name)
        if known is None or not colourful[style]:
            return None
        painting = self._usual.painting(known.caption, side)
        return None if painting is None else to_tensor(painting[None])[0]

    def _with_colour(self, pixels: Pixels, own: int, style: int | None, name: str) -> Pixels:
        """A sign in the colour of its thing, where it is drawn for a style that has colours.

        Args:
            pixels: as it is drawn.
            own: the style that the sign is of; -1 where that is not known.
            style: that it is drawn for; None for any.
            name: the words that it was drawn from.
        """
        colourful = self._colourful
        if style is None or own < 0 or colourful is None or self._concepts is None:
            return pixels
        known = self._concepts.named(name)
        if known is None or self._usual is None or colourful[own] or not colourful[style]:
            return pixels
        return self._usual.shown(pixels, known.caption)
