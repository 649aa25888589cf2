"""Scenes told roughly in nine more languages, and understood as they were meant."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

import numpy as np
import pytest
from typer.testing import CliRunner

from limner.cli import build_app
from limner.data.store import Caption, Store
from limner.data.writer import StoreWriter
from limner.datasets.scenes import common_name, compose_store
from limner.errors import DataError
from limner.scenes.labels import Kind, parse
from limner.scenes.phrasebook import BOOKS
from limner.scenes.scene import SCENE_COLOURS, Item, Scene, plan
from limner.text.segment import pieces

NAMES = {
    "es": ("gato", "casa", "manzana", "pez"), "fr": ("chat", "maison", "pomme", "poisson"),
    "de": ("Katze", "Haus", "Apfel", "Fisch"), "it": ("gatto", "casa", "mela", "pesce"),
    "pt": ("gato", "casa", "maçã", "peixe"), "ru": ("кошка", "дом", "яблоко", "рыба"),
    "ja": ("ネコ", "家", "リンゴ", "魚"), "ko": ("고양이", "집", "사과", "물고기"),
    "hi": ("बिल्ली", "घर", "सेब", "मछली"),
}  # fmt: skip
THINGS = ("cat", "house", "apple", "fish")


def names(language: str) -> dict[str, str]:
    return dict(zip(THINGS, NAMES[language], strict=True))


def said(language: str, scene: Scene, seed: int = 0) -> str | None:
    return BOOKS[language].caption(scene, names(language), np.random.default_rng(seed))


def facts(language: str, scene: Scene) -> dict[str, object]:
    called = {thing: [name, BOOKS[language].plural(name)]
              for thing, name in names(language).items()}  # fmt: skip
    return {"items": [asdict(item) for item in scene.items], "relation": scene.relation,
            "background": scene.background, "called": called}  # fmt: skip


@pytest.mark.parametrize(
    ("language", "scene", "ways"),
    [
        ("es", Scene("counting", (Item("cat", None, 3),)), {"tres gatos", "3 gatos"}),
        ("de", Scene("single", (Item("house", "blue"),), None, "light green"),
         {f"{number}{colour} Haus{background}" for number in ("", "ein ", "eine ", "einen ")
          for colour in ("blau", "blaue", "blauer", "blaues", "blauen")
          for background in (", hellgrüner Hintergrund", " auf hellgrünem Hintergrund",
                         " auf einem hellgrünen Hintergrund", " vor hellgrünem Hintergrund")}),
        ("ja", Scene("position", (Item("cat"), Item("house")), "left"),
         {sentence.format(a=a, b=b) for a in ("ネコ", "一つのネコ", "一匹のネコ", "一個のネコ")
          for b in ("家", "一つの家", "一匹の家", "一個の家")
          for sentence in ("{b}の左に{a}", "{a}が{b}の左にある",
                           "{a}の右に{b}", "{b}が{a}の右にある")}),
    ],
)  # fmt: skip
def test_captions_are_of_the_expected_forms(language, scene, ways):
    found = {said(language, scene, seed) for seed in range(60)}
    assert found <= ways and len(found) > 1


@pytest.mark.parametrize("language", list(BOOKS))
def test_labels_of_captions_match_the_scene(language):
    recolourable = dict.fromkeys(THINGS, SCENE_COLOURS[:6])
    told, right, marks = 0, 0, Counter()
    for number in range(200):
        scene = plan(3, number, recolourable)
        text = said(language, scene, number)
        if text is None:
            continue
        told += 1
        cut = pieces(text)
        found = parse(cut, facts(language, scene))
        if found is None:
            continue
        right += sorted(n for n in found.counts if n) == sorted(i.count for i in scene.items)
        marks.update(found.kinds)
        for piece, kind in zip(cut, found.kinds, strict=True):
            if kind is Kind.THING:
                spoken = [*names(language).values(), *map(BOOKS[language].plural, NAMES[language])]
                assert any(name in piece.text for name in spoken)
    assert told > 150 and right / told > 0.8
    assert all(marks[kind] > 3 for kind in (Kind.THING, Kind.DROP, Kind.TINT, Kind.BACKGROUND))


def test_a_background_without_a_word_has_no_caption():
    assert said("fr", Scene("single", (Item("cat"),), None, "mustard")) is None
    assert "blanc" in said("fr", Scene("single", (Item("cat"),), None, "white"))


def test_plurals():
    found = [BOOKS[language].plural(name) for language, name in (
        ("es", "ratón de campo"), ("es", "pez"), ("fr", "oiseau"), ("it", "gatto"),
        ("pt", "avião"), ("ru", "кошка"), ("ko", "집"),
    )]  # fmt: skip
    assert found == ["ratones de campo", "peces", "oiseaux", "gatti", "aviões", "кошки", "집"]


@pytest.mark.parametrize(
    ("several", "name"),
    [
        (["cara de gato", "gato", "gato negro"], "gato"),
        (["manzana roja", "manzana verde"], "manzana"),
        (["スニーカー", "紳士靴"], "紳士靴"),
        (["赤リンゴ", "青リンゴ"], "リンゴ"),
        (["зеленое яблоко", "красное яблоко"], "яблоко"),
        (["casa"], "casa"),
    ],
)
def test_common_name(several, name):
    assert common_name(several) == name


@pytest.fixture(scope="module")
def icons(tmp_path_factory: pytest.TempPathFactory) -> Store:
    labels = ("cat", "house", "red apple", "fish")
    foreign = {"es": ("gato", "casa", "manzana roja", "pez"), "fr": ("chat", "maison", "pomme")}
    with StoreWriter(tmp_path_factory.mktemp("told") / "icons", 32, "made-up") as writer:
        for place, label in enumerate(labels):
            pixels = np.full((32, 32, 3), 255, np.uint8)
            pixels[4:28, 6:26] = (200, 30 + 40 * place, 40)
            captions = [Caption(label, "en")]
            for language, words in foreign.items():
                captions += [Caption(word, language, 0.25) for word in words[place : place + 1]]
            writer.add(pixels, captions, {"id": label, "label": label, "style": "plain"})
        return writer.finish()


def test_a_store_has_captions_in_the_languages_asked_for(icons, tmp_path):
    wanted = ["data", "scenes", str(icons.path), "--count", "20", "--also", "es, fr", "-q"]
    paths = [tmp_path / "one", tmp_path / "two"]
    for path in paths:
        done = CliRunner().invoke(build_app(), [*wanted, "--out", str(path)])
        assert done.exit_code == 0, done.output
    one, two = map(Store.open, paths)
    assert one.fingerprint == two.fingerprint
    spoken = Counter(c.lang for row in range(len(one)) for c in one.captions(row))
    assert 0 < spoken["fr"] < spoken["es"] <= 20  # fish has no French name here
    for row in range(len(one)):
        facts = one.metadata(row)
        assert {item["thing"] for item in facts["items"]} == set(facts["called"])
        for caption in one.captions(row):
            if caption.lang in ("es", "fr"):
                names = [name for forms in facts["called"].values() for name in forms]
                assert any(name in caption.text for name in names)


def test_a_language_without_a_phrasebook_is_refused(icons, tmp_path):
    with pytest.raises(DataError, match=r"have no captions in xx.*es, fr, de"):
        compose_store(icons, tmp_path / "out", count=2, languages=["es", "xx"])
    assert not (tmp_path / "out").exists()
