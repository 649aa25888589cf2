"""Words for emoji: labels and keywords in many languages, composed into weighted captions."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from limner.data.store import Caption
from limner.datasets.npm import Package
from limner.errors import DataError
from limner.scenes.quantities import is_plural

LANGUAGES = ("en", "zh", "es", "fr", "de", "ja", "ru", "pt", "it", "ko", "hi")
LABEL_WEIGHT = {"en": 1.0, "zh": 1.0}
OTHER_LABEL_WEIGHT = 0.25
TEMPLATE_SHARE = {"en": 0.6, "zh": 0.6}
TAG_SHARE = 0.3
_GENDER = {"2640", "2642"}
_HAIR = {"1f9b0", "1f9b1", "1f9b2", "1f9b3"}
_TONES = {"1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff"}
_VOWEL = re.compile(r"^(?:[aeio]|u(?!n[aiu]|s[ae]|k|fo|top)|hour|honest|heir)", re.IGNORECASE)
_COLOURS = "red|orange|yellow|green|blue|purple|brown|black|white|pink|grey|light blue"
_COLOURED = re.compile(rf"^({_COLOURS}) ([\w -]+)$")


@dataclass(frozen=True)
class Concept:
    """One emoji.

    Attributes:
        key: its hexcode, lower case, without variation selectors, such as ``1f431``.
        label: English name.
        group: such as ``animals-nature``; empty for regional indicators.
        subgroup: such as ``animal-mammal``.
        labels: ``language -> name``.
        tags: ``language -> keywords``.
        names: every English name it is known by, the label first.
    """

    key: str
    label: str
    group: str
    subgroup: str
    labels: dict[str, str]
    tags: dict[str, tuple[str, ...]]
    names: tuple[str, ...] = ()


@dataclass
class Emojibase:
    """All emoji, by key and by name."""

    concepts: dict[str, Concept]
    frequency: dict[str, Counter[str]] = field(default_factory=dict)

    @classmethod
    def load(cls, package: Package, languages: Sequence[str]) -> Emojibase:
        """Read labels and tags of ``languages`` (English always among them).

        Raises:
            DataError: the package has no such language or is damaged.
        """
        wanted = list(dict.fromkeys(["en", *languages]))
        codes = ("cldr", "emojibase", "github", "iamcal", "joypixels")
        shortcodes = [f"en/shortcodes/{name}.json" for name in codes]
        members = [f"{lang}/data.json" for lang in wanted]
        extra = ["meta/groups.json", "meta/unicode-names.json", *shortcodes]
        found = package.read(*members, *extra)
        for lang, member in zip(wanted, members, strict=True):
            if member not in found:
                raise DataError(f"emojibase-data has no language {lang!r}; known are {LANGUAGES}")
        try:
            names = _names([found.get(name, {}) for name in extra[1:]])
            concepts = _concepts(found, dict(zip(wanted, members, strict=True)), names)
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{package.tarball} is not what emojibase-data looks like") from error
        base = cls(concepts)
        for lang in wanted:
            tags = (tag for item in concepts.values() for tag in item.tags.get(lang, ()))
            base.frequency[lang] = Counter(tags)
        return base

    def index(self) -> dict[str, str]:
        """Map squeezed names (letters and digits only) to keys; a better kind of name wins."""
        ranked: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
        for concept in self.concepts.values():
            for rank, name in enumerate(concept.names):
                ranked[squeeze(name)][min(rank, 2)].add(concept.key)
        best = {name: kinds[min(kinds)] for name, kinds in ranked.items() if name}
        return {name: next(iter(keys)) for name, keys in best.items() if len(keys) == 1}


def normalise(hexcode: str) -> str:
    """Bring a hexcode to lower case and drop its variation selectors (FE0E, FE0F)."""
    return "-".join(part for part in hexcode.lower().split("-") if part not in {"fe0f", "fe0e"})


def squeeze(name: str) -> str:
    """Reduce a name to its lower-case ASCII letters and digits."""
    plain = unicodedata.normalize("NFKD", name.replace("&", " and "))
    return "".join(c for c in plain.lower() if c.isascii() and c.isalnum())


def is_toned(key: str) -> bool:
    """Say whether the emoji has a skin tone."""
    return bool(_TONES & set(key.split("-")))


def is_variant(key: str) -> bool:
    """Say whether it is the woman's, man's, haired or turned variant of a plainer emoji."""
    parts = key.split("-")
    if "200d" not in parts:
        return False
    people = {"1f468", "1f469"} & set(parts)
    turned = parts[-1] in {"27a1"}
    return bool(people or turned or (_GENDER | _HAIR) & set(parts[1:]))


def _names(sources: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Collect each key's other names: the Unicode one first, then shortcodes."""
    names: dict[str, list[str]] = defaultdict(list)
    for source in sources:
        for hexcode, value in source.items():
            names[normalise(hexcode)] += [value] if isinstance(value, str) else value
    return names


def _concepts(
    found: dict[str, Any], members: dict[str, str], names: dict[str, list[str]]
) -> dict[str, Concept]:
    groups = found["meta/groups.json"]
    words: dict[str, dict[str, Any]] = {
        lang: {normalise(item["hexcode"]): item for item in found[member]}
        for lang, member in members.items()
    }
    concepts = {}
    for key, item in words["en"].items():
        entries = {lang: table[key] for lang, table in words.items() if key in table}
        concepts[key] = Concept(
            key,
            item["label"],
            groups["groups"].get(str(item.get("group")), ""),
            groups["subgroups"].get(str(item.get("subgroup")), ""),
            {
                # Hindi labels list several names, separated by commas.
                lang: entry["label"].split(",")[0] if lang == "hi" else entry["label"]
                for lang, entry in entries.items()
                if entry.get("label")
            },
            {lang: tuple(entry.get("tags", ())) for lang, entry in entries.items()},
            tuple(dict.fromkeys([item["label"], *names.get(key, [])])),
        )
    return concepts


def article(phrase: str) -> str:
    """Put "a" or "an" before an English phrase, or nothing before a plural or a sentence."""
    if is_plural(phrase) or not phrase[:1].isalpha() or ":" in phrase or "!" in phrase:
        return phrase
    return f"{'an' if _VOWEL.match(phrase) else 'a'} {phrase}"


def english_templates(label: str, animal: bool) -> list[str]:
    """Return everyday English ways of asking for a picture of ``label``."""
    thing = article(label)
    texts = [thing, f"{label} icon", f"a picture of {thing}", f"a drawing of {thing}"]
    if match := _COLOURED.match(label):
        texts.append(f"{match[2]} in {match[1]}")
    if animal:
        texts.append(article(f"cute {label}"))
    return texts


def chinese_templates(label: str, animal: bool) -> list[str]:
    """Return everyday Chinese ways of asking for a picture of ``label``."""
    texts = [
        f"{'一只' if animal else '一个'}{label}",
        f"{label}的图片",
        f"画{label}",
        f"{label}图标",
    ]
    return [*texts, f"一只可爱的{label}"] if animal else texts


def compose(concept: Concept, base: Emojibase, own_name: str = "") -> list[Caption]:
    """Compose the weighted captions of an emoji's picture.

    Labels weigh 1 in English and Chinese and less elsewhere; templates share
    ``TEMPLATE_SHARE`` a language; keywords together get ``TAG_SHARE`` of the whole, more for
    those found in the label and for rare ones: what hundreds of emoji share says little.

    Args:
        concept: the emoji.
        base: where it comes from, for the frequency of keywords.
        own_name: what the icon set calls it, in English.

    Returns:
        Captions with unique (language, text), heaviest first.
    """
    weights: dict[tuple[str, str], float] = defaultdict(float)
    animal = concept.subgroup.startswith("animal-")
    for lang, label in concept.labels.items():
        weights[lang, label] += LABEL_WEIGHT.get(lang, OTHER_LABEL_WEIGHT)
        if animal and (plain := _without_face(label)):
            weights[lang, plain] += 0.6 * LABEL_WEIGHT.get(lang, OTHER_LABEL_WEIGHT)
    for lang, make in (("en", english_templates), ("zh", chinese_templates)):
        if lang in concept.labels:
            texts = make(concept.labels[lang], animal)
            for text in texts:
                weights[lang, text] += TEMPLATE_SHARE[lang] / len(texts)
    if own_name:
        weights["en", own_name] += 0.3
    budget = sum(weights.values()) * TAG_SHARE / (1 - TAG_SHARE)
    tagged = {lang: concept.tags.get(lang, ()) for lang in concept.labels}
    shares = {
        lang: LABEL_WEIGHT.get(lang, OTHER_LABEL_WEIGHT) for lang, tags in tagged.items() if tags
    }
    for lang, share in shares.items():
        words = set(concept.labels[lang].lower().replace("’", " ").split())
        rarity = {
            tag: (3.0 if tag.lower() in words else 1.0) / base.frequency[lang][tag] ** 0.5
            for tag in tagged[lang]
        }
        scale = budget * share / sum(shares.values()) / sum(rarity.values())
        for tag, value in rarity.items():
            weights[lang, tag] += scale * value
    return ranked(weights)


def _without_face(label: str) -> str:
    """Return what people call an animal of which only the face is drawn: *dog face* is a dog."""
    for ending in (" face", "脸", "头"):
        if label.endswith(ending) and len(label) > len(ending):
            return label.removesuffix(ending)
    return ""


def ranked(weights: dict[tuple[str, str], float]) -> list[Caption]:
    """Turn ``(language, text) -> weight`` into captions, heaviest first."""
    order = sorted(weights.items(), key=lambda item: -item[1])
    return [Caption(text, lang, round(weight, 5)) for (lang, text), weight in order if text.strip()]
