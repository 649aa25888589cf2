"""Whole persons: a drawn head on the body of a figure that stands, sits or kneels.

Sets of drawings show most persons as heads (*boy*, *grandmother*), and whole figures, small heads
on long bodies, of grown-ups alone (*man standing*). Who does something is drawn with the head of
the one and the body of the other, the head large, as figures for children are drawn: its age, hair
and face are those that were asked for.
"""

from __future__ import annotations

import numpy as np

from limner.arrays import Floats, Pixels
from limner.scenes.cutout import cut_out_drawn, paste_box, to_pixels
from limner.scenes.outlines import without_shadow
from limner.scenes.shapes import shape_of

_WOMAN, _MAN, _PERSON = "woman", "man", "person"
HEADS = {
    "boy": _MAN, "girl": _WOMAN, "child": _PERSON, "man": _MAN, "woman": _WOMAN,
    "person": _PERSON, "old man": _MAN, "old woman": _WOMAN, "older person": _PERSON,
    "man: beard": _MAN, "man: bald": _MAN, "man: curly hair": _MAN, "woman: curly hair": _WOMAN,
    "man: blond hair": _MAN, "woman: blond hair": _WOMAN, "man: red hair": _MAN,
    "woman: red hair": _WOMAN, "man: white hair": _MAN, "woman: white hair": _WOMAN,
    "person: blond hair": _PERSON, "person: red hair": _PERSON, "person: curly hair": _PERSON,
    "robot": _PERSON, "alien": _PERSON,
}  # fmt: skip
"""Who is drawn as a head, and whose figures have such bodies."""
BODY_COLOURS = {"robot": "grey", "alien": "green"}
"""Colours of the bodies of those who have no skin of persons."""
YOUNG = frozenset({"boy", "girl", "child"})
_FROWNING = YOUNG | {"old man", "old woman"}
"""Of whom no drawing frowns."""
STANDING = "standing"
FROWNING = "frowning"
POSES = (STANDING, "walking", "running", "kneeling", "in lotus position")
"""In which figures are drawn whose heads and bodies can be told apart."""

_NECK = (0.15, 0.42)
"""Heights between which the neck of a figure is, in shares of its height."""
_HEAD, _YOUNG = 0.58, 1.3
"""Height of a head, of what is below the neck of who stands; how much larger a child's is."""
_SITTING = 0.72
"""The same of who sits or kneels."""
_WIDE = 0.62
"""Least width of a figure that sits, of its height."""
_CHIN = 0.07
"""Share of the head that is before the neck."""
_MARGIN = 0.03
"""White around the whole, of the side."""


def on_body(head: Pixels, figure: Pixels, *, young: bool) -> Pixels:
    """A person with one drawing's head and another's body.

    Args:
        head: ``(S, S, 3)``, a head on white.
        figure: ``(S, S, 3)``, somebody from head to foot on white.
        young: whether the head is a child's, which is larger.

    Returns:
        ``(S, S, 3)``, on white.
    """
    face, whole = (without_shadow(cut_out_drawn(each)) for each in (head, figure))
    neck = _neck_of(whole)
    body = whole[neck:]
    row = np.flatnonzero(whole[neck, :, 3] > 0.5)
    middle = (row[0] + row[-1]) / 2
    share = _SITTING if whole.shape[1] > _WIDE * whole.shape[0] else _HEAD
    high = share * len(body) * (_YOUNG if young else 1.0)
    wide = high * face.shape[1] / face.shape[0]
    left, right = min(0.0, middle - wide / 2), max(body.shape[1], middle + wide / 2)
    above = (1 - _CHIN) * high
    scale = (1 - 2 * _MARGIN) / max(right - left, above + len(body))
    x = 0.5 - scale * (left + right) / 2
    y = 1 - _MARGIN - scale * len(body)
    canvas = np.ones((*head.shape[:2], 3), np.float32)
    paste_box(canvas, body, (x, y, scale * body.shape[1], scale * len(body)))
    paste_box(canvas, face, (x + scale * (middle - wide / 2), y - scale * above,
                             scale * wide, scale * high))  # fmt: skip
    return to_pixels(canvas)


def figures_of(head: str, pose: str) -> tuple[str, ...]:
    """Names of figures whose body somebody may have, the most like first."""
    kinds = dict.fromkeys((HEADS[head], _PERSON, _MAN))
    return tuple(f"{kind} {pose}" for kind in kinds)


def head_and_pose(name: str) -> tuple[str, str] | None:
    """The head and the pose of who is named by both: *girl running*; None for others.

    A grown-up who frowns is drawn so, and of others the head alone is told.
    """
    words = name.casefold().replace("-", " ")
    head = words.removesuffix(f" {FROWNING}")
    if head != words:
        return (head, FROWNING) if head in _FROWNING else None
    for pose in POSES:
        head = words.removesuffix(f" {pose}")
        if head != words:
            return (head, pose) if head in HEADS else None
    return None


def _neck_of(figure: Floats) -> int:
    """The row of the neck of a cut-out figure: the narrowest below its head."""
    high = len(figure)
    neck = shape_of(figure).neck
    if neck is not None and _NECK[0] < neck < _NECK[1]:
        return round(neck * high)
    first, last = (round(share * high) for share in _NECK)
    widths = (figure[first:last, :, 3] > 0.5).sum(1)
    return first + int(widths.argmin())
