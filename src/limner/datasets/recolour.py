"""A store of things in colours they do not come in, which separates colours from things.

Each picture is recoloured (:func:`limner.scenes.colours.recolour`) and its captions say so (``a
purple banana``), so that a model learns that *purple* is not the grape. Some combinations are held
out of every store made here (:func:`limner.scenes.colours.held_out`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Unpack

from limner.data.store import Caption, Store, heaviest
from limner.data.writer import StoreWriter, Writing
from limner.errors import DataError
from limner.scenes.colours import COLOURS, Colour, held_out, recolour

_LEFT_ALONE = ("sky-weather", "time", "face-", "emotion")
"""Subgroups whose colours carry their meaning."""
_GROUPS_LEFT_ALONE = {"people-body", "symbols", "flags", "component"}
_NAME_LANGUAGES = ("en", "zh", "es")


def recolour_store(
    store: Store, out: Path, *, per_picture: int = 2, **how: Unpack[Writing]
) -> Store:
    """Make a store of the same things in other colours, with captions that say so.

    Each picture is recoloured ``per_picture`` times. The colours follow from its name, so that the
    styles of one thing get different ones. Left out are pictures without a dominant colour or a
    concept, of people, faces and signs, and of things with a colour in their name.

    Args:
        store: icons with ``concept`` and ``label`` in their metadata and captions by language.
        out: the store to make.
        per_picture: 1..11.
        how: see :class:`~limner.data.writer.Writing`; never resumed.

    Raises:
        DataError: nothing can be recoloured, or the store cannot be written.
    """
    if not 1 <= per_picture <= len(COLOURS):
        raise DataError(f"the colours of a picture must be 1 to {len(COLOURS)}, not {per_picture}")
    settings = {"kind": "recolour", "of": store.fingerprint, "per_picture": per_picture}
    name, how["restart"] = f"{store.name}-colours", True
    with StoreWriter(
        out, store.size, name, licences=store.licences, settings=settings, **how
    ) as writer:
        for row in range(len(store)):
            _add_recoloured(writer, store, row, per_picture)
            writer.progress(row + 1, len(store))
        return writer.finish()


def _add_recoloured(writer: StoreWriter, store: Store, row: int, per_picture: int) -> None:
    facts, found = store.metadata(row), heaviest(store.captions(row))
    names = {lang: found[lang] for lang in _NAME_LANGUAGES if lang in found}
    thing, name = str(facts.get("label", "")), str(facts.get("id", row))
    reason = _refusal(facts, names)
    if reason:
        writer.skip(name, reason)
        return
    offset = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=4).digest())
    colours = list(COLOURS)
    order = [colours[(offset + 4 * i) % len(colours)] for i in range(len(colours))]
    allowed = [colour for colour in order if not held_out(thing, colour)]
    for key in allowed[:per_picture]:
        recoloured = recolour(store.images[row], COLOURS[key])
        if recoloured is None:  # whatever the colour
            writer.skip(name, "no colour dominates")
            return
        own = {"id": f"{name}/{key}", "concept": f"{facts['concept']}/{key}",
               "label": f"{key} {thing}", "colour": key}  # fmt: skip
        writer.add(recoloured, _captions(COLOURS[key], names), facts | own)


def _refusal(facts: Mapping[str, object], names: Mapping[str, str]) -> str | None:
    if not facts.get("concept") or not names:
        return "no concept or no name"
    if str(facts.get("group")) in _GROUPS_LEFT_ALONE:
        return f"group {facts['group']}"
    if str(facts.get("subgroup", "")).startswith(_LEFT_ALONE):
        return "a face, a feeling or the sky"
    words = set(str(facts.get("label", "")).lower().replace("-", " ").split())
    if words & {*COLOURS, "white", "golden", "gray", "light", "dark", "rainbow"}:
        return "its name has a colour already"
    return None


def _captions(colour: Colour, names: Mapping[str, str]) -> list[Caption]:
    weights = {"en": 1.0, "zh": 0.8, "es": 0.4}
    return [
        Caption(template.format(name), lang, weights[lang] / len(colour.words[lang]))
        for lang, name in names.items()
        for template in colour.words[lang]
    ]
