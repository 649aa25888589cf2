"""The votes that the gallery keeps, as a file of votes has them."""

from __future__ import annotations

from pydantic import ValidationError

from limner.errors import DataError
from limner.generation.formats import PictureFormat
from limner.generation.records import Record
from limner.generation.votes import Vote, VotedPicture
from limner.serving.gallery import Gallery
from limner.serving.gallery_tables import GalleryPicture

_PIXELS = frozenset({PictureFormat.PNG, PictureFormat.WEBP, PictureFormat.JPEG})


def votes_of(gallery: Gallery, owner: str | None = None) -> tuple[list[Vote], int]:
    """The thumbs and choices of a gallery, the oldest picture's first.

    Args:
        gallery: that keeps them.
        owner: whose; None for everybody's.

    Returns:
        The votes, and how many were left out since a picture is an SVG, an animation, or gone.
    """
    known: dict[str, tuple[GalleryPicture, VotedPicture | None]] = {}
    for row in gallery.all(owner):
        known[row.id] = row, _voted(gallery, row)
    votes: list[Vote] = []
    left_out = 0
    for row, picture in reversed(known.values()):
        if not row.thumb:
            continue
        side = "better" if row.thumb > 0 else "worse"
        if picture is None:
            left_out += 1
        else:
            votes.append(Vote.model_validate(
                {"user": row.owner, "created": row.created, side: picture}
            ))  # fmt: skip
    for better, worse in gallery.choices():
        if better not in known or worse not in known:  # another user's
            continue
        (row, one), (_, other) = known[better], known[worse]
        if one is None or other is None:
            left_out += 1
        else:
            votes.append(Vote(user=row.owner, created=row.created, better=one, worse=other))
    return votes, left_out


def _voted(gallery: Gallery, row: GalleryPicture) -> VotedPicture | None:
    path = gallery.path(row)
    if row.format not in _PIXELS or not path.is_file():
        return None
    try:
        return VotedPicture(file=str(path.absolute()), record=Record.model_validate(row.record))
    except ValidationError as error:
        raise DataError(
            f"the gallery's record of the picture {row.id} is of another version; upgrade limner"
        ) from error
