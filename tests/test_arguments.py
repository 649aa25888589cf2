"""Arguments of wrong types are refused by name, with what to give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import limner
from limner.data.pack import pack
from limner.generation.inpainting import box_mask
from limner.generation.sets import SetOptions
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


def test_settings_refuse_by_name_wherever_they_are_made():
    with pytest.raises(limner.LimnerError, match=r"size = 5000 is refused: .* 1024"):
        limner.Settings(size=5000)
    with pytest.raises(limner.LimnerError, match="no option 'colour'; there are: steps,"):
        limner.Settings(colour="red")


@pytest.mark.parametrize(
    ("palette", "wanted"),
    [
        (["#ff0000", "#333"], [[1, 0, 0], [0.2, 0.2, 0.2]]),
        ("#ff0000,#333", [[1, 0, 0], [0.2, 0.2, 0.2]]),
        ([(1, 0, 0), (0, 0.5, 0)], [[1, 0, 0], [0, 0.5, 0]]),
    ],
)
def test_a_palette_is_given_in_hex_or_as_numbers(palette, wanted):
    assert np.allclose(SetOptions("noto", palette).palette, wanted)


ODD = [3, -1, 1e9, float("nan"), True, "x", b"x", ["a cat"], {}, object(), Path("x")]


def odd_calls(generator):
    """Functions of the API, with arguments that they take."""
    picture = generator.generate("a cat", seed=1)[0]
    masked = limner.MaskedPicture.open(picture, box=(1, 1, 4, 4))
    settings = limner.Settings()

    def draw(**request):
        return list(generator.draw([limner.DrawRequest(**request)]))

    def draw_set(names, **options):
        return generator.draw_set(names, **options)

    def score(prompt, images):
        return [0.0] * len(images)

    return {
        limner.load: {"model": None, "device": "cpu", "threads": None, "tile": None},
        limner.Settings: {"size": 64, "style": None, "thing_seeds": None, "scenes": None},
        generator.generate: {"prompts": "a cat", "n": 1, "seed": 1, "reference": None,
                             "rewrite": None, "on_progress": None, "style": None},
        generator.best_of: {"prompt": "a cat", "n": 1, "score": score, "seed": 1},
        generator.draw: {"requests": []},
        draw: {"prompt": "a cat", "seed": 1, "settings": settings, "masked": None,
               "source": None, "edits": ()},
        draw_set: {"names": ["cat"], "style": "noto", "palette": None, "outline": None,
                   "drawing": {}},
        limner.MaskedPicture.open: {"picture": picture, "box": (1, 1, 4, 4)},
        generator.inpaint: {"masked": masked, "prompt": "a kite", "n": 1, "seed": 1},
        generator.restyle: {"picture": picture, "prompt": "a dog", "strength": 0.5, "n": 1},
        generator.explain: {"prompt": "a cat", "seed": 1, "aligner": None, "store": None,
                            "maps": None},
        limner.refine: {"prompt": "a cat", "generator": generator, "budget": 1, "target": 0.9},
        limner.best_of: {"prompt": "a cat", "n": 1, "generator": generator, "scorer": None},
        limner.restore: {"picture": picture, "task": "denoise", "scale": None, "prompt": None},
        limner.Restorer: {"model": None, "device": "cpu", "threads": None},
        picture.save: {"path": "drawn.png"},
    }  # fmt: skip


def test_no_argument_raises_from_inside(drawing, tmp_path, monkeypatch):
    """Whatever is given for an argument is taken, or refused in one sentence that names it."""
    monkeypatch.chdir(tmp_path)
    raised = []
    for function, taken in odd_calls(drawing).items():
        for name in taken:
            for odd in ODD:
                try:
                    function(**taken | {name: odd})
                except limner.LimnerError as error:
                    assert "\n" not in str(error)
                except Exception as error:
                    raised.append(f"{function.__qualname__}({name}={odd!r}): {error!r}")
    assert not raised
