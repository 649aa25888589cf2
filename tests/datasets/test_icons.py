from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner.datasets.emoji import (
    Concept,
    Emojibase,
    article,
    compose,
    english_templates,
    is_toned,
    is_variant,
    normalise,
    squeeze,
)
from limner.datasets.icons import (
    EMOJIBASE,
    VERSIONS,
    IconOptions,
    IconSet,
    IconShape,
    pack_icons,
    plan,
    render,
)
from limner.datasets.npm import Package, fetch, tarball_name
from limner.errors import DataError
from optional_modules import needed
from samples import npm_tarball, tarball

needed("resvg_py")

DISC = '<circle cx="8" cy="8" r="{r}" fill="{fill}"/>'
LEFT = '<path fill="#0000ff" d="M0 0h8v16H0z"/>'


def icon_set(folder: Path, prefix: str, icons: dict[str, Any], **more: Any) -> Path:
    info = {"license": {"spdx": "MIT"}, "author": {"name": "Us"}}
    files = {
        "icons.json": {
            "prefix": prefix,
            "width": 16,
            "height": 16,
            "icons": icons,
            "aliases": more.get("aliases", {}),
        },
        "chars.json": more.get("chars", {}),
        "info.json": info,
    }
    name = tarball_name(f"@iconify-json/{prefix}", VERSIONS[prefix])
    return npm_tarball(folder / name, files)


def emoji(hexcode: str, label: str, group: int | None, subgroup: int, *tags: str) -> dict[str, Any]:
    entry = {"hexcode": hexcode, "label": label, "tags": list(tags), "subgroup": subgroup}
    return entry if group is None else entry | {"group": group}


ENGLISH = [
    emoji("2764", "red heart", 0, 14, "heart", "love", "red"),
    emoji("1F436", "dog face", 3, 34, "animal", "puppy"),
    emoji("1F431", "cat face", 3, 34, "animal", "kitty"),
    emoji("1F468-200D-1F373", "man cook", 1, 25, "man"),
    emoji("1F1E6", "regional indicator A", None, 0),
    emoji("1F1E8-1F1F3", "flag: China", 9, 98, "flag"),
    emoji("31-FE0F-20E3", "keycap: 1", 8, 94),
]
CHINESE = [emoji("2764", "红心", 0, 14, "爱"), emoji("1F436", "狗脸", 3, 34, "动物", "小狗")]
GROUPS = {
    "groups": {
        "0": "smileys-emotion",
        "1": "people-body",
        "3": "animals-nature",
        "8": "symbols",
        "9": "flags",
    },
    "subgroups": {
        "14": "heart",
        "25": "person-role",
        "34": "animal-mammal",
        "94": "keycap",
        "98": "country-flag",
    },
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Tarballs built like the real ones, with a handful of icons."""
    files = {
        "en/data.json": ENGLISH,
        "zh/data.json": CHINESE,
        "meta/groups.json": GROUPS,
        "meta/unicode-names.json": {"2764": "HEAVY BLACK HEART"},
        "en/shortcodes/github.json": {"2764": "heart", "1F436": ["dog", "doggo"]},
    }
    npm_tarball(tmp_path / tarball_name(*EMOJIBASE), files)
    names = {
        "red-heart": "2764-FE0F",
        "dog-face": "1F436",
        "cat": "1F431",
        "cook": "1F468-200D-1F373",
        "toned": "1F44B-1F3FB",
        "letter": "1F1E6",
        "china": "1F1E8-1F1F3",
        "one": "31-20E3",
        "unknown": "1FFFF",
    }
    body = {name: {"body": DISC.format(r=4, fill="#ff0000")} for name in names}
    body["cat"] = {"body": LEFT}
    icon_set(tmp_path, "noto", body, chars={code.lower(): name for name, code in names.items()})
    icon_set(
        tmp_path,
        "fxemoji",
        {
            "heavyblackheart": {"body": DISC.format(r=8, fill="#00ff00")},
            "doggo": {"body": '<g fill="none"/>'},
            "nonsense": {"body": LEFT},
        },
    )
    return tmp_path


def test_pack_icons(folder: Path, tmp_path: Path) -> None:
    options = IconOptions(size=32, sets=("noto", "fxemoji"), languages=("zh",))
    seen: list[tuple[int, int]] = []
    store = pack_icons(
        tmp_path / "s", options, folder=folder, on_progress=lambda *now: seen.append(now)
    )
    assert store.styles == ("fxemoji", "noto")
    assert store.column("id") == [
        "noto:red-heart",
        "fxemoji:heavyblackheart",
        "noto:dog-face",
        "noto:cat",
    ]
    assert store.column("concept") == ["2764", "2764", "1f436", "1f431"]
    assert store.licences["@iconify-json/noto"] == "MIT (Us)"
    assert "emojibase-data (captions)" in store.licences
    assert store.header.report == {
        "skin tone": 1,
        "no emoji of that code": 1,
        "regional indicator": 1,
        "group flags": 1,
        "keycap": 1,
        "variant of a person": 1,
        "name matches no emoji": 1,
        "an icon shows nothing but white": 1,
    }
    assert seen[-1] == (5, 5)
    assert {caption.lang for caption in store.captions(0)} == {"en", "zh"}
    texts = [caption.text for caption in store.captions(2)]
    assert {"dog face", "dog", "狗脸", "狗", "一只狗脸", "小狗", "puppy"} <= set(texts)
    # Both sets fill the picture alike, though their circles were drawn at half the size.
    for picture in (0, 1):
        ink = (store.images[picture] < 200).any(-1).any(0).mean()
        assert ink == pytest.approx(0.9, abs=0.08)
        assert (store.images[picture][0, 0] == 255).all()
    np.testing.assert_array_equal(store.images[1][16, 16], [0, 255, 0])


def test_variants_flags_keycaps_and_limit(folder: Path, tmp_path: Path) -> None:
    options = IconOptions(
        size=16,
        sets=("noto",),
        languages=("en",),
        groups=("people-body", "flags", "symbols"),
        variants=True,
        keycaps=True,
    )
    store = pack_icons(tmp_path / "a", options, folder=folder)
    assert store.column("label") == ["man cook", "flag: China", "keycap: 1"]
    few = pack_icons(
        tmp_path / "b", IconOptions(size=16, sets=("noto",), languages=("en",), limit=1),
        folder=folder,
    )  # fmt: skip
    assert few.column("label") == ["red heart"]
    assert few.header.report["beyond --limit"] == 2


def test_icons_resume_after_an_interruption(folder: Path, tmp_path: Path) -> None:
    options = IconOptions(size=16, sets=("noto", "fxemoji"), languages=("zh",))

    def stop(done: int, _: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack_icons(tmp_path / "s", options, folder=folder, on_progress=stop)
    resumed = pack_icons(tmp_path / "s", options, folder=folder)
    whole = pack_icons(tmp_path / "t", options, folder=folder)
    assert resumed.fingerprint == whole.fingerprint
    assert resumed.header.report == whole.header.report


def test_render_keeps_proportions_turns_and_never_crops() -> None:
    wide = IconShape('<path d="M0 0h16v8H0z"/>', 0, 0, 16, 8)
    ink = render(wide, 32)[..., 0] < 128
    assert ink[8:24].all()
    assert not ink[:8].any()
    assert not ink[24:].any()
    left = IconShape(LEFT, 0, 0, 16, 16)
    blue = np.array([0, 0, 255])
    assert (render(left, 16)[:, :8] == blue).all()
    assert (render(IconShape(LEFT, 0, 0, 16, 16, h_flip=True), 16)[:, 8:] == blue).all()
    assert (render(IconShape(LEFT, 0, 0, 16, 16, rotate=1), 16)[:8] == blue).all()
    full = IconShape(DISC.format(r=8, fill="#000"), 0, 0, 16, 16)
    np.testing.assert_array_equal(render(full, 32, zoom=3.0), render(full, 32))
    with pytest.raises(DataError, match="cannot be drawn"):
        render(IconShape("<path", 0, 0, 16, 16), 16)


def test_aliases_inherit_and_add_up(tmp_path: Path) -> None:
    path = icon_set(
        tmp_path,
        "noto",
        {"a": {"body": LEFT, "width": 20}},
        aliases={
            "b": {"parent": "a", "hFlip": True, "rotate": 1},
            "c": {"parent": "b", "hFlip": True, "rotate": 3},
            "loop": {"parent": "loop"},
            "same": {"parent": "a"},
        },
    )
    icons = IconSet(Package(path))
    assert icons.shape("b") == IconShape(LEFT, 0, 0, 20, 16, 1, True)
    assert icons.shape("c") == IconShape(LEFT, 0, 0, 20, 16)
    assert icons.aliases("a") == ["same"]
    for name in ("loop", "none"):
        with pytest.raises(DataError, match="no icon"):
            icons.shape(name)


def test_plan_finds_names_through_other_sets(folder: Path) -> None:
    icon_set(folder, "emojione", {"cook": {"body": LEFT}})
    sets = [
        IconSet(Package(fetch(f"@iconify-json/{name}", VERSIONS[name], folder)))
        for name in ("noto", "emojione")
    ]
    base = Emojibase.load(Package(fetch(*EMOJIBASE, folder)), ["en"])
    plans, _ = plan(sets, base, IconOptions(variants=True))
    assert [p.key for p in plans if p.source == "@iconify-json/emojione"] == ["emojione:cook"]


def concept(label: str, tags: tuple[str, ...] = (), subgroup: str = "", **labels: str) -> Concept:
    return Concept("x", label, "g", subgroup, {"en": label, **labels}, {"en": tags})


def test_caption_weights() -> None:
    tags = {"rare": 1, "common": 400, "apple": 400}
    base = Emojibase({}, {"en": Counter(tags)})
    captions = compose(concept("red apple", tuple(tags), zh="红苹果", fr="pomme rouge"), base)
    weights = {(c.lang, c.text): c.weight for c in captions}
    assert weights["en", "red apple"] == weights["zh", "红苹果"] == 1.0
    assert weights["fr", "pomme rouge"] == 0.25
    assert weights["en", "rare"] > weights["en", "apple"] > weights["en", "common"]
    tagged = sum(weights["en", tag] for tag in tags)
    assert tagged / sum(weights.values()) == pytest.approx(0.3, abs=0.001)
    assert [c.weight for c in captions] == sorted(weights.values(), reverse=True)
    assert ("en", "apple in red") in weights


@pytest.mark.parametrize(
    ("phrase", "wanted"),
    [
        ("cat", "a cat"),
        ("ankle boot", "an ankle boot"),
        ("hourglass", "an hourglass"),
        ("umbrella", "an umbrella"),
        ("unicorn", "a unicorn"),
        ("ukulele", "a ukulele"),
        ("UFO", "a UFO"),
        ("house", "a house"),
        ("T-shirt", "a T-shirt"),
        ("glasses", "glasses"),
        ("cactus", "a cactus"),
        ("dress", "a dress"),
        ("2 hearts", "2 hearts"),
    ],
)
def test_articles(phrase: str, wanted: str) -> None:
    assert article(phrase) == wanted


def test_templates_invent_no_colour() -> None:
    assert not any("red" in text for text in english_templates("dog", animal=True))
    assert "cute dog" in " ".join(english_templates("dog", animal=True))


def test_codes_and_names() -> None:
    assert normalise("2764-FE0F") == "2764"
    assert is_toned("1f44b-1f3fd")
    assert not is_toned("1f44b")
    for variant in ("1f468-200d-1f373", "1f9d1-200d-1f9b0", "1f6b6-200d-27a1", "1f3c3-200d-2640"):
        assert is_variant(variant)
    for plain in ("1f468", "1f9d1-200d-1f373", "1f441-200d-1f5e8"):
        assert not is_variant(plain)
    assert squeeze("Piñata & Co.’s") == "pinataandcos"


def test_broken_packages(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="npm pack @iconify-json/noto@"):
        fetch("@iconify-json/noto", VERSIONS["noto"], tmp_path)
    torn = tmp_path / "torn.tgz"
    torn.write_bytes(b"\x1f\x8b no tar")
    with pytest.raises(DataError, match="damaged"):
        Package(torn).read("icons.json")
    evil = tarball(tmp_path / "evil.tgz", [("package/../../x", b"1"), ("/etc/x", b"1")])
    with pytest.raises(DataError, match="not an icon set"):
        IconSet(Package(evil))
    with pytest.raises(DataError, match="unknown icon set 'nope'"):
        IconOptions(sets=("nope",))
    with pytest.raises(DataError, match="unknown group"):
        IconOptions(groups=("nope",))


def test_npm_missing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path / "cache"))
    with pytest.raises(DataError, match="Node"):
        fetch("emojibase-data", "17.0.0")
