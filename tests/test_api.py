"""What ``import limner`` offers: lazy, listed, typed, and helpful about names it has not."""

from __future__ import annotations

import logging
import subprocess
import sys
from importlib import resources
from io import BytesIO

import pytest
from PIL import Image

import limner


def output(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_is_light():
    heavy = "{'torch', 'numpy', 'PIL', 'pydantic', 'typer'}"
    assert output(f"import sys, limner; print({heavy} & set(sys.modules))") == "set()\n"


@pytest.mark.parametrize("name", limner.__all__)
def test_every_public_name_is_there_listed_and_documented(name):
    assert name in dir(limner)
    value = getattr(limner, name)
    assert value is getattr(limner, name)
    assert name.startswith("__") or value.__doc__


def test_help_shows_the_api():
    text = output("import limner; help(limner)")
    for name in limner.__all__:
        assert name.strip("_").upper() in text or name in text


def test_a_star_import_brings_the_public_names():
    assert output("from limner import *; print(load, Generator, LimnerError, families)")


def test_an_unknown_name_is_answered_with_those_there_are():
    with pytest.raises(AttributeError, match="did you mean 'Generator'"):
        limner.Generater  # noqa: B018
    with pytest.raises(AttributeError, match=r"it has: .*Generator.*families.*load"):
        limner.zzz  # noqa: B018


def test_submodules_are_found_as_ever():
    import limner.text.base

    assert limner.text.base.TextFeatures


def test_the_package_is_typed():
    assert resources.files("limner").joinpath("py.typed").is_file()


def test_the_logger_is_silent_unless_asked():
    assert any(isinstance(h, logging.NullHandler) for h in logging.getLogger("limner").handlers)
    said = output(
        "import sys, limner, logging; sys.stderr = sys.stdout;"
        "logging.getLogger('limner.text.disk').warning('hm')"
    )
    assert said == ""


def test_pictures_show_themselves(tiny_model):
    picture = limner.load(tiny_model).generate("a red cat", seed=7)[0]
    side = picture.image.width
    assert repr(picture) == f"<Picture of 'a red cat', seed 7, {side} x {side}>"
    with Image.open(BytesIO(picture._repr_png_())) as shown:
        assert shown.format == "PNG"
        assert shown.tobytes() == picture.image.tobytes()


def test_settings_show_what_is_set_alone():
    asked = limner.DrawRequest("a cat", 1, limner.Settings(style="noto"))
    assert "settings=Settings(style='noto')," in repr(asked)
