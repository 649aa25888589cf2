"""Arguments of wrong types are refused by name, with what to give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import limner
from limner.data.pack import pack
from limner.generation.inpainting import box_mask
from limner.training import train


@pytest.fixture(scope="module")
def drawing(tiny_model):
    return limner.load(tiny_model)


def sixteen():
    return np.zeros((16, 16, 3), np.uint8)


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        (lambda g: limner.load(3), "model is a int: give a model file"),
        (lambda g: limner.load(threads="two"), "threads = 'two' is refused: give a whole number"),
        (lambda g: g.generate("a cat", n="2"), "n = '2' is refused: give a whole number"),
        (lambda g: g.generate("a cat", n=1.5), "n = 1.5 is refused"),
        (lambda g: g.generate("a cat", n=True), "n = True is refused"),
        (lambda g: g.generate("a cat", seed=1, thing_seeds="4;9"), "commas between them, as in"),
        (lambda g: list(g.draw(["a cat"])), "a request is a str: give limner.DrawRequest"),
        (lambda g: list(g.draw([limner.DrawRequest("a", 1, {"size": 64})])), "settings is a dict"),
        (
            lambda g: g.inpaint(sixteen(), "a kite"),
            "masked is a ndarray: give limner.Masked",
        ),
        (lambda g: g.edit("cat.png", "make it blue"), "a str has no plan: give a picture"),
        (lambda g: box_mask((16, 16), (1, 2, 3)), "give left, top, width and height"),
        (lambda g: box_mask((16, 16), (1.5, 2, 3, 4)), "box = 1.5 is refused"),
        (lambda g: g.restyle(np.zeros((0, 9, 3), np.uint8), "a cat"), "it has no pixels"),
        (lambda g: g.draw_set(["cat"], style="noto", sizes=3), "a set has no option 'sizes'"),
        (lambda g: limner.Refiner("shipped"), "generator is a str: give what limner.load"),
        (lambda g: limner.refine("a cat", generator=g, budget="4"), "budget = '4' is refused"),
        (lambda g: pack("nowhere", "store"), "there is nothing at nowhere"),
        (lambda g: train("vae-64", "run", steps=1), "recipe is a str: give load_recipe"),
    ],
)
def test_wrong_types_are_named(drawing, call, wanted):
    with pytest.raises(limner.LimnerError) as refused:
        call(drawing)
    assert wanted in str(refused.value)
    assert not Path("store").exists() and not Path("run").exists()


def test_whole_numbers_of_numpy_are_numbers(drawing):
    plain = drawing.generate("a cat", n=2, seed=3)
    given = drawing.generate("a cat", n=np.int64(2), seed=np.int64(3))
    assert [each.seed for each in given] == [3, 4]
    assert [each.image.tobytes() for each in given] == [each.image.tobytes() for each in plain]
