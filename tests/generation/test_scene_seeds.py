"""Scenes drawn again: beside others, from their records, by the seeds of their things."""

from typing import Any

import numpy as np
import pytest

from limner.errors import ModelFileError, UsageError
from limner.generation.generator import load
from limner.generation.prompts import PromptWarning
from limner.generation.records import read_record
from limner.generation.replay import redraw, same_pixels
from limner.generation.requests import DrawRequest
from limner.models.settings import Settings
from limner.text import load_encoder
from tiny_models import save_tiny


def test_a_scene_is_the_same_alone_and_beside_others(shipped):
    prompts = ["a cat", "three red apples", "a dog and a tree", "a sun"]
    together = shipped.generate(prompts, n=2, seed=9)
    for picture in together:
        alone = shipped.generate(picture.prompt, seed=picture.seed)[0]
        assert alone.image.tobytes() == picture.image.tobytes()
        assert alone.planner == picture.planner
    assert [bool(p.planner) for p in together] == [
        False,
        False,
        True,
        True,
        True,
        True,
        False,
        False,
    ]


def test_a_scene_is_drawn_again_from_its_record(shipped, tmp_path):
    for asked in (None, False):
        picture = shipped.generate("a cat and a dog", seed=2, scenes=asked)[0]
        path = picture.save(tmp_path / f"{asked}.png")
        assert bool(read_record(path).planner) == (asked is None)
        again = redraw(path)
        assert same_pixels(path, again.image)
        assert again.planner == picture.planner


def test_a_scene_of_another_planner_is_not_drawn_again(shipped, tmp_path):
    picture = shipped.generate("a cat and a dog", seed=2)[0]
    object.__setattr__(picture, "planner", "0" * 16)
    with pytest.raises(ModelFileError, match="planner 0000"):
        redraw(picture.save(tmp_path / "a.png"))


def test_a_model_composes_when_it_is_told_to(tmp_path):
    tiny = load(save_tiny(tmp_path / "tiny.safetensors", "vae"))
    assert tiny.generate("two cats", seed=1)[0].planner == ""
    assert tiny.generate("two cats", seed=1, scenes=True)[0].planner != ""


def test_each_thing_of_a_scene_has_a_seed_of_its_own(tmp_path):
    """Drawn by it, a thing has the bits that it has alone; the others have the picture's."""
    tiny = load(save_tiny(tmp_path / "tiny.safetensors", "flow"), threads=1)

    def things(**options: Any) -> list[Any]:
        (job,) = tiny.jobs([DrawRequest("a cat and two dogs", 4, Settings(scenes=True, **options))])
        assert job.composed_of == ("a cat", "dog")
        session = tiny.session()
        session.add(job.drawing)
        while not session.idle:
            session.advance()
        return [*job.placed.pixels]

    def alone(words: str, seed: int) -> Any:
        return np.asarray(tiny.generate(words, seed=seed, scenes=False)[0].image)

    cat, dog = things(thing_seeds="9,7")
    assert np.array_equal(cat, alone("a cat", 9)) and np.array_equal(dog, alone("dog", 7))
    first, second = things(thing_seeds="9")
    assert np.array_equal(first, cat) and np.array_equal(second, alone("dog", 4))
    assert all(map(np.array_equal, things(), things(thing_seeds="4,4")))

    picture = tiny.generate("a cat and two dogs", seed=4, scenes=True, thing_seeds="9,7")[0]
    saved = picture.save(tmp_path / "a.png")
    assert same_pixels(saved, redraw(saved, tmp_path / "tiny.safetensors", threads=1).image)
    assert read_record(saved).settings.thing_seeds == "9,7"


def test_seeds_of_things_are_checked(shipped):
    for wrong in ("", "a", "1,,2", "-1", "1" * 19):
        with pytest.raises(UsageError, match="thing_seeds"):
            shipped.generate("a cat and a dog", thing_seeds=wrong)
    with pytest.warns(PromptWarning, match=r"has 2 things: the last of the 3"):
        shipped.generate("a cat and a dog", seed=1, thing_seeds="1,2,3")


def test_a_thing_alone_is_drawn_by_its_seed(shipped):
    one = shipped.generate("a cat", seed=1, style="noto", thing_seeds="5")[0]
    other = shipped.generate("a cat", seed=5, style="noto")[0]
    assert np.array_equal(np.asarray(one.image), np.asarray(other.image))


def test_a_model_that_reads_otherwise_cannot(tmp_path):
    short = load_encoder("e5-small?tokens=6")
    path = save_tiny(
        tmp_path / "tiny.safetensors", "vae",
        encoder=short.spec, encoder_fingerprint=short.fingerprint,
    )  # fmt: skip
    with pytest.raises(UsageError, match="--scenes"):
        load(path).generate("two cats", seed=1, scenes=True)


def test_a_sentence_with_a_place_is_drawn_again_from_its_record(shipped, tmp_path):
    picture = shipped.generate("a cat wearing a hat on the beach in the rain", seed=2)[0]
    path = picture.save(tmp_path / "a.png")
    assert same_pixels(path, redraw(path).image)
