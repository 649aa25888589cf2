"""Free prompts: lists are read, true pictures are found, noise and blurs are not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from icon_store import SIZE, drawing
from limner.cli import build_app
from limner.data.store import Caption, Store
from limner.data.writer import StoreWriter
from limner.errors import DataError
from limner.evaluation.free_prompts import FreePrompt, prompts_hash, read_prompts
from limner.evaluation.named_drawings import NamedDrawings
from limner.evaluation.part import EvaluationOptions
from limner.evaluation.report import read_report
from limner.evaluation.suite import evaluate
from limner.evaluation.true_pictures import TruePictures
from limner.generation.generator import load
from limner.metrics.sharpness import edge_sharpness
from limner.vision.pixels import to_tensor
from tiny_models import save_tiny


def test_our_own_list_is_what_the_measure_needs():
    prompts = read_prompts()
    languages = [prompt.language for prompt in prompts]
    assert len(prompts) >= 330 and len({prompt.text for prompt in prompts}) == len(prompts)
    assert languages.count("en") >= 180
    assert min(languages.count("zh"), languages.count("es")) >= 40
    assert sum(languages.count(language) >= 8 for language in set(languages)) >= 7
    assert {prompt.category for prompt in prompts} == {
        "noun", "wish", "scene", "style", "feeling", "person", "place", "idiom", "typo",
        "attribute", "symbol", "long",
    }  # fmt: skip
    for prompt in prompts:
        assert prompt.things and all(
            name == name.strip().lower() for t in prompt.things for name in t
        )
    first = prompts[:100]  # the sheet's are a fair sample
    assert len({prompt.category for prompt in first}) == 12
    assert len({prompt.language for prompt in first}) >= 5


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("a.tsv", "Prompt\tCategory\tChallenge\nair\tAbstract\tBasic\n",
         FreePrompt("air", (), "", "Abstract")),
        ("a.tsv", 'language\tcategory\tprompt\tthings\nen\twish\t"a" cat\tCat\n',
         FreePrompt('"a" cat', (("cat",),), "en", "wish")),
        ("a.csv", '\ufeffthings,prompt,language,category\ncat; hat / cap,"a cat, please",en,wish\n',
         FreePrompt("a cat, please", (("cat",), ("hat", "cap")), "en", "wish")),
        ("a.CSV", "prompt\nonly\n", FreePrompt("only")),
        ("a.txt", "\n  a red fox  \n\n", FreePrompt("a red fox")),
    ],
)  # fmt: skip
def test_lists_of_every_format(tmp_path: Path, name: str, text: str, found: FreePrompt):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert read_prompts(path) == (found,)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.tsv", b"text\tkind\nair\tx\n", "has no column 'prompt'"),
        ("a.csv", b"", "has no column 'prompt'"),
        ("a.csv", b"prompt,things\n,cat\n", "there is no prompt"),
        ("a.txt", b" \n", "there is no prompt"),
        ("a.txt", b"\xff\xfe", "cannot be read"),
    ],
)
def test_lists_that_are_none_are_refused(tmp_path: Path, name: str, content: bytes, says: str):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=says):
        read_prompts(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_prompts(tmp_path / "none.txt")


def test_the_hash_is_of_what_the_prompts_say():
    assert prompts_hash(read_prompts()) == prompts_hash(read_prompts())
    assert prompts_hash((FreePrompt("a", (("cat",),)),)) != prompts_hash((FreePrompt("a"),))


# -- what a store's drawings show ------------------------------------------------------------------

NAMES = (
    "cat", "cat face", "woman's hat", "fish cake with swirl", "sun behind cloud", "eagle", "tree",
    "red apple", "house", "cherries", "key", "dog face",
)  # fmt: skip
WORDS = {"eagle": ["bird"], "cat face": ["pet", "cat"], "dog face": ["pet"]}


def named_store(path: Path, hands: Sequence[int], names: Sequence[str] = NAMES) -> Store:
    """Made-up drawings of things, by some hands."""
    with StoreWriter(path, SIZE, path.name, licences={"made-up": "CC0-1.0"}) as writer:
        for number, name in ((NAMES.index(name), name) for name in names):
            for hand in hands:
                captions = [
                    Caption(name),
                    *(Caption(word, "en", 0.1) for word in WORDS.get(name, ())),
                ]
                facts = {"id": f"{number}-{hand}", "label": name, "concept": str(number)}
                writer.add(drawing(number, hand), captions, facts)
        return writer.finish()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return named_store(tmp_path_factory.mktemp("named") / "drawn", (0, 2))


def test_labels_say_what_is_shown_and_keywords_where_no_label_does(store: Store):
    drawings = NamedDrawings(store)

    def shown(*names: str) -> set[str]:
        return {NAMES[number] for number in drawings.showing(names)}

    assert drawings.count == len(NAMES) and len(drawings.label) == len(store)
    assert shown("cat") == {"cat", "cat face"} and shown("cat", "hat") == shown("cat") | shown(
        "hat"
    )
    assert shown("hat") == {"woman's hat"} and shown("apple") == {"red apple"}
    assert shown("cake") == {"fish cake with swirl"} and not shown("fish")
    assert shown("sun") == shown("cloud") == {"sun behind cloud"}
    assert shown("cherry") == {"cherries"}  # names are given in the singular
    assert shown("bird") == {"eagle"} and shown("pet") == {"cat face", "dog face"}
    assert shown("lighthouse") == set() and drawings.like(["pet"]) == drawings.showing(["pet"])
    assert {NAMES[number] for number in drawings.like(["cat"])} == shown("cat")
    assert drawings.rows_of(["cat"]).tolist() == [0, 1]  # the label that says no more


def test_true_pictures_put_the_drawings_together(store: Store):
    true = TruePictures(store, 96)
    one, two = true.draw([["cat"]], 0), true.draw([["cat"], ["tree"]], 0)
    assert one is not None and two is not None and one.shape == two.shape == (96, 96, 3)
    assert np.array_equal(one, true.draw([["cat"]], 0)) and (two[:, 44:52] > 240).mean() > 0.8
    assert true.draw([["cat"], ["lighthouse"]], 0) is None
    # What pictures are measured by is as sharp as the store's drawings, not sharper.
    large = [TruePictures(store, side).draw([["cat"]], 0) for side in (store.size, 4 * store.size)]
    own, enlarged = (float(edge_sharpness(to_tensor(each[None]))) for each in large)
    assert enlarged < own + 0.03


# -- the part --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def report(store: Store, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the command writes of a tiny model and four prompts."""
    folder = tmp_path_factory.mktemp("prompts")
    model = save_tiny(folder / "tiny.safetensors", "vae")
    unseen = named_store(folder / "unseen", (1,), ("cat", "tree", "house"))
    rows = [
        ("en", "noun", "a cat", "cat"), ("en", "scene", "a cat in a tree", "cat;tree"),
        ("es", "noun", "una casa", "house"), ("en", "noun", "a lighthouse", "lighthouse"),
    ]  # fmt: skip
    lines = ["\t".join(row) for row in [("language", "category", "prompt", "things"), *rows]]
    (folder / "list.tsv").write_text("\n".join(lines), encoding="utf-8")
    asked = [
        "evaluate", str(model), "--data", str(store.path), "--suite", "prompts", "--prompts",
        str(folder / "list.tsv"), "--holdout", str(unseen.path), "--out", str(folder / "r.json"),
        "--samples-dir", str(folder / "drawn"), "--html", str(folder / "r.html"), "-q",
    ]  # fmt: skip
    done = CliRunner().invoke(build_app(), asked)
    assert done.exit_code == 0, done.output
    written = read_report(folder / "r.json")
    return {"report": written, "folder": folder, "printed": done.output}


def test_the_report_has_every_group_with_its_bounds_and_every_picture(report: dict[str, Any]):
    part = report["report"].part("prompts")
    figures = {figure.key: figure for figure in part.figures}
    assert part.headline == "en: things found"
    assert {"en: things found", "es: things found", "noun: things found", "scene: readable",
            "all: readable", "all: readable of upper bound"} <= set(figures)  # fmt: skip
    assert figures["all: things found"].count == 3  # nobody draws lighthouses
    assert figures["all: readable"].count == 4
    assert figures["all: things found"].upper_bound == 1.0
    # of the few true pictures of three things one misses the similarity, one the sharpness
    assert figures["all: readable"].upper_bound == pytest.approx(0.875)
    for figure in part.figures:
        assert figure.interval[0] <= figure.value + 1e-9 <= figure.interval[1] + 2e-9
    assert part.protocol["unknown_things"] == 1
    scores = part.pictures
    assert [score.prompt for score in scores] == [
        "a cat", "a cat in a tree", "una casa", "a lighthouse",
    ]  # fmt: skip
    assert set(scores[1].found) == {"cat", "tree"} and scores[3].found == {}
    assert all(not score.readable for score in scores)  # random weights draw noise or grey


def test_the_pictures_are_kept_and_shown(report: dict[str, Any]):
    folder = report["folder"]
    assert len(list((folder / "drawn").glob("*.png"))) == 4
    assert (
        json.loads((folder / "drawn" / "prompts.json").read_text("utf-8"))[0]["prompt"] == "a cat"
    )
    assert "Free prompts" in (folder / "r.html").read_text("utf-8")
    assert "en: things found" in report["printed"]


def test_without_drawings_of_another_style_or_of_the_things_it_says_what_is_missing(
    store: Store, report: dict[str, Any], tmp_path: Path
):
    generator = load(report["folder"] / "tiny.safetensors")
    with pytest.raises(DataError, match="limner data icons --sets openmoji' and name them"):
        evaluate(generator, store, "prompts")
    path = tmp_path / "list.csv"
    path.write_text("prompt,things\na lighthouse,lighthouse\n", encoding="utf-8")
    unseen = Store.open(report["folder"] / "unseen")
    with pytest.raises(DataError, match="shows 0 of the 1 things that are asked for"):
        evaluate(generator, store, "prompts", EvaluationOptions(holdout=unseen, prompts=path))
