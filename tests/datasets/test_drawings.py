"""The wide store, made of tiny packages built like the real ones."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from limner.cli import build_app
from limner.datasets.draw import Joiner
from limner.datasets.drawings import (
    CLDR,
    CLDR_LANGUAGES,
    EMOJI_SETS,
    NAMED_SETS,
    RENDERS,
    SOURCES,
    pack_drawings,
)
from limner.datasets.emoji import LANGUAGES
from limner.datasets.icons import EMOJIBASE
from limner.datasets.npm import Package, tarball_name
from limner.datasets.wordnet import WORDNET, WordNet
from limner.errors import DataError
from optional_modules import needed
from samples import tarball

needed("resvg_py")

DISC = '<circle cx="8" cy="8" r="{r}" fill="{fill}"/>'
WEDGE = '<path fill="{fill}" d="M1 15L15 15L8 1z"/>'


def packed(folder: Path, package: str, version: str, files: dict[str, Any]) -> Path:
    members = {
        f"package/{name}": value if isinstance(value, bytes) else json.dumps(value).encode()
        for name, value in files.items()
    }
    return tarball(folder / tarball_name(package, version), members.items())


def icon_set(
    folder: Path, prefix: str, icons: dict[str, str], chars: dict[str, str] | None = None,
    categories: dict[str, list[str]] | None = None,
) -> None:  # fmt: skip
    version = {**EMOJI_SETS, **NAMED_SETS}[prefix]
    files = {
        "icons.json": {"prefix": prefix, "width": 16, "height": 16,
                       "icons": {name: {"body": body} for name, body in icons.items()}},
        "chars.json": chars or {},
        "info.json": {"license": {"spdx": "MIT"}, "author": {"name": "Us"}},
        "metadata.json": {"categories": categories or {}},
    }  # fmt: skip
    packed(folder, f"@iconify-json/{prefix}", version, files)


def noun_files() -> dict[str, bytes]:
    """WordNet's two files of nouns, with offsets that are true."""
    entries = [
        ("entity", ["entity"], None),
        ("animal", ["animal", "beast"], "entity"),
        ("dog", ["dog", "domestic_dog"], "animal"),
        ("knight", ["knight"], "entity"),
        ("place", ["place"], "entity"),
        ("poodle", ["poodle"], "dog"),
        ("city", ["chihuahua"], "place"),
        ("breed", ["chihuahua"], "poodle"),
    ]
    data, offsets, index = b"  1 licence\n", {}, ["  1 licence"]
    for name, words, above in entries:
        offsets[name] = len(data)
        pointer = f" 001 @ {offsets[above]:08d} n 0000" if above else " 000"
        listed = " ".join(f"{word} 0" for word in words)
        file = 15 if name in ("place", "city") else 3
        line = f"{offsets[name]:08d} {file:02d} n {len(words):02x} {listed}{pointer} | a gloss  \n"
        data += line.encode()
        symbols = " 1 @" if above else " 0"
        if name != "breed":
            index += [f"{word} n 1{symbols} 1 1 {offsets[name]:08d}" for word in words]
    index[-1] = f"chihuahua n 2 1 @ 2 1 {offsets['city']:08d} {offsets['breed']:08d}"
    return {"dict/data.noun": data, "dict/index.noun": ("\n".join(index) + "\n").encode()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "npm"
    place.mkdir()
    english = [
        {"hexcode": "1F436", "label": "dog", "tags": ["pet"], "group": 3, "subgroup": 34},
        {"hexcode": "2764", "label": "red heart", "tags": ["love"], "group": 0, "subgroup": 14},
        {"hexcode": "1F44B-1F3FB", "label": "waving", "tags": [], "group": 0, "subgroup": 14},
    ]
    data = {f"{lang}/data.json": [] for lang in LANGUAGES} | {"en/data.json": english}
    groups = {"groups": {"0": "smileys-emotion", "3": "animals-nature"},
              "subgroups": {"14": "heart", "34": "animal-mammal"}}  # fmt: skip
    packed(place, *EMOJIBASE, data | {"meta/groups.json": groups})
    names = {lang: {"🐶": {"tts": [f"dog-{lang}"], "default": []}} for lang in CLDR_LANGUAGES}
    packed(place, *CLDR, {f"annotations/{lang}/annotations.json":
                          {"annotations": {"annotations": table}}
                          for lang, table in names.items()})  # fmt: skip
    packed(place, *WORDNET, noun_files())
    icon_set(place, "noto", {"dog": DISC.format(r=7, fill="#a05010"),
                             "red-heart": WEDGE.format(fill="#e01010"),
                             "hand-skin-tone-1": DISC.format(r=2, fill="#123456")},
             {"1f436": "dog", "2764": "red-heart", "1f44b-1f3fb": "hand-skin-tone-1"})  # fmt: skip
    icon_set(place, "mdi", {"knight": WEDGE.format(fill="currentColor"),
                            "knight-outline": '<path stroke="#000" fill="none" d="M1 15h14L8 1z"/>',
                            "sir": WEDGE.format(fill="#000"),
                            "arrow-up": DISC.format(r=3, fill="#000"),
                            "acme": DISC.format(r=5, fill="#000"),
                            "dog": DISC.format(r=4, fill="#000")},
             categories={"Brand / Logo": ["acme"], "Agriculture": ["acme", "knight"]})  # fmt: skip
    webp = io.BytesIO()
    picture = Image.new("RGBA", (64, 64))
    ImageDraw.Draw(picture).rectangle((8, 24, 55, 39), fill=(200, 120, 40, 255))
    picture.save(webp, "WEBP", lossless=True)
    files = {"assets/1f436.webp": webp.getvalue(), "assets/1f44b-1f3fb.webp": webp.getvalue()}
    packed(place, *RENDERS, files)
    return place


@pytest.fixture
def art(tmp_path: Path) -> Path:
    place = tmp_path / "svg"
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg"{size}><metadata><rdf:RDF '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
        'xmlns:cc="http://web.resource.org/cc/" xmlns:dc="http://purl.org/dc/elements/1.1/">'
        "<cc:Work><dc:title>{title}</dc:title><dc:subject><rdf:Bag><rdf:li>boat</rdf:li>"
        "<rdf:li>sea</rdf:li><rdf:li>wind &amp; waves</rdf:li>"
        "<rdf:li>\u00e3\u0082\u00e2\u00ba</rdf:li></rdf:Bag></dc:subject></cc:Work></rdf:RDF></metadata>"
        '<rect x="{x}" y="0" width="100" height="{high}" fill="{fill}"/></svg>'
    )
    drawings = {
        "transportation/sail_01.svg": ("Sail Ship 2", ' width="100" height="50"', 0, 50, "#204080"),
        "transportation/odd.svg": ("Red Barge", ' width="0" height="0"', 300, 100, "#c02020"),
        "computer/icons/x.svg": ("Button", ' width="100" height="50"', 0, 50, "#00ff00"),
        "people/broken.svg": ("Broken", "<", 0, 50, "#00ff00"),
    }
    for name, (title, size, x, high, fill) in drawings.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        text = svg.format(title=title, size=size, x=x, high=high, fill=fill)
        (place / name).write_text(text)
    return place


ALL = ("noto", "mdi", "fluent-emoji-3d", "openclipart")


def facts(store: Any) -> dict[str, dict[str, Any]]:
    return {store.metadata(row)["id"]: store.metadata(row) for row in range(len(store))}


def texts(store: Any, key: str) -> dict[str, set[str]]:
    row = [store.metadata(row)["id"] for row in range(len(store))].index(key)
    found: dict[str, set[str]] = {}
    for caption in store.captions(row):
        found.setdefault(caption.lang, set()).add(caption.text)
    return found


def test_every_source_gives_its_pictures_with_styles_concepts_and_licences(folder, art, tmp_path):
    store = pack_drawings(tmp_path / "s", size=32, sources=ALL, folder=folder, clip_art_folder=art)
    found = facts(store)
    assert {key: (value["style"], value["concept"]) for key, value in found.items()} == {
        "noto:dog": ("noto", "1f436"),
        "noto:red-heart": ("noto", "2764"),
        "mdi:knight": ("mdi", "name:knight"),
        "mdi:knight-outline": ("mdi-outline", "name:knight"),
        "mdi:dog": ("mdi", "1f436"),
        "fluent-emoji-3d:1f436": ("fluent-emoji-3d", "1f436"),
        "openclipart:transportation/odd.svg": ("openclipart", "name:redbarge"),
        "openclipart:transportation/sail_01.svg": ("openclipart", "name:sailship"),
    }
    assert found["mdi:knight"]["joined"] == ["mdi:sir"]
    assert store.licences["openclipart"].startswith("public domain")
    assert store.licences["@iconify-json/mdi"] == "MIT (Us)"
    assert all(value["licence"] for value in found.values())
    report = store.header.report
    assert report["interface sign or brand"] == 2
    assert report["sign, card, pattern or interface icon"] == 1
    assert report["SVG cannot be drawn"] == 1
    assert report["looks the same as another"] == 1


def test_the_same_packages_give_the_same_store(folder, art, tmp_path):
    made = [pack_drawings(tmp_path / name, size=32, sources=ALL, folder=folder,
                          clip_art_folder=art).fingerprint for name in ("a", "b")]  # fmt: skip
    assert made[0] == made[1]


def test_drawings_resume_after_an_interruption(folder, art, tmp_path):
    def stop(done: int, _: int | None) -> None:
        if done in (4, 7):
            raise KeyboardInterrupt

    options = {"size": 32, "sources": ALL, "folder": folder, "clip_art_folder": art}
    whole = pack_drawings(tmp_path / "whole", **options)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            pack_drawings(tmp_path / "s", **options, on_progress=stop)
    resumed = pack_drawings(tmp_path / "s", **options)
    assert resumed.fingerprint == whole.fingerprint
    assert resumed.header.report == whole.header.report
    assert facts(resumed) == facts(whole)


def test_captions_have_names_keywords_synonyms_kinds_and_thirty_languages(folder, art, tmp_path):
    store = pack_drawings(tmp_path / "s", size=32, sources=ALL, folder=folder, clip_art_folder=art)
    dog = texts(store, "mdi:dog")
    assert {"dog", "a dog", "pet", "domestic dog", "animal"} <= dog["en"]
    assert "entity" not in dog["en"]
    assert all(dog[lang] == {f"dog-{lang}"} for lang in CLDR_LANGUAGES)
    assert len(set(LANGUAGES) | set(CLDR_LANGUAGES)) >= 30
    assert {"knight", "sir", "agriculture"} <= texts(store, "mdi:knight")["en"]
    ship = texts(store, "openclipart:transportation/sail_01.svg")
    assert {"sail ship", "a sail ship", "boat", "sea", "transportation"} <= ship["en"]
    assert "wind & waves" in ship["en"]
    assert all(text.isprintable() for text in ship["en"])


def test_clip_art_is_centred_whatever_size_its_file_states(folder, art, tmp_path):
    store = pack_drawings(
        tmp_path / "s", size=64, sources=["openclipart"], folder=folder, clip_art_folder=art
    )
    rows = {store.metadata(row)["label"]: store.images[row] for row in range(len(store))}
    for name, shape in {"sail ship": (58, 29), "red barge": (58, 58)}.items():
        ink = rows[name].min(-1) < 200
        high, wide = ink.any(1).nonzero()[0], ink.any(0).nonzero()[0]
        size = (wide[-1] - wide[0] + 1, high[-1] - high[0] + 1)
        assert np.abs(np.subtract(size, shape)).max() <= 2, name
        assert abs(wide[0] - (63 - wide[-1])) <= 2
        assert abs(high[0] - (63 - high[-1])) <= 2


def test_lookalikes_are_found_and_others_kept_apart():
    joiner = Joiner(6)
    first = np.full((32, 32, 3), 255, np.uint8)
    first[8:24, 8:24] = 0
    noisy = first.copy()
    noisy[8, 8] = 40
    moved = np.roll(first, 6, axis=1)
    thin = np.full((32, 32, 3), 255, np.uint8)
    thin[16, 4:28] = 0
    thinner = np.full((32, 32, 3), 255, np.uint8)
    thinner[20, 4:28] = 0
    results = [joiner.find(each) for each in (first, noisy, moved, thin, thinner, first)]
    assert results == [None, 0, None, None, None, 0]


def test_wordnet_synonyms_and_kinds(tmp_path):
    net = WordNet(Package(packed(tmp_path, *WORDNET, noun_files())))
    assert net.synonyms("dog") == ("domestic dog",)
    assert net.kinds("domestic dog") == ("animal",)
    assert net.kinds("Dog", depth=1) == ("animal",)
    assert (net.synonyms("spoon"), net.kinds("spoon")) == ((), ())
    # The dog is meant, though the city is the more frequent sense and has a known kind too.
    below = net.instances(["animal", "dog", "place", "spoon"])
    assert below == {"dog": ["chihuahua", "poodle"]}
    assert net.instances(["entity"])["entity"] == [
        "animal",
        "beast",
        "chihuahua",
        "dog",
        "domestic dog",
        "knight",
        "place",
        "poodle",
    ]
    assert "dog" in net
    assert "spoon" not in net
    with pytest.raises(DataError, match=r"index\.noun"):
        WordNet(Package(packed(tmp_path, "other", "1", {"a.json": {}})))


def test_mistakes_are_named(folder, tmp_path):
    with pytest.raises(DataError, match="unknown source 'nto'; known are noto"):
        pack_drawings(tmp_path / "s", sources=["nto"], folder=folder)
    with pytest.raises(DataError, match="multiples of 16"):
        pack_drawings(tmp_path / "s", size=50, folder=folder)
    with pytest.raises(DataError, match="apt-get install openclipart-svg"):
        pack_drawings(tmp_path / "s", sources=["openclipart"], folder=folder,
                      clip_art_folder=tmp_path / "none")  # fmt: skip
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="there is no SVG file in"):
        pack_drawings(tmp_path / "s", sources=["openclipart"], folder=folder,
                      clip_art_folder=tmp_path / "empty")  # fmt: skip
    assert not (tmp_path / "s").exists()


def test_unseen_and_share_alike_sets_are_no_sources():
    assert not {"openmoji", "flat-color-icons", "emojione-v1", "cbi"} & set(SOURCES)


def test_the_command(folder, tmp_path):
    out = tmp_path / "s"
    done = CliRunner().invoke(build_app(), [
        "data", "drawings", "--out", str(out), "--size", "32", "--sources", "noto,mdi",
        "--from", str(folder), "-q",
    ])  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "5 pictures of 32x32" in done.output
