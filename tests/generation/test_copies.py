"""Which training drawings a picture is drawn from, and whether it copies them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from limner.generation.copies import COPY_DISTANCE, compared
from limner.generation.files import picture_bytes
from limner.generation.formats import PictureFormat
from limner.generation.generator import Generator, load
from limner.modelinfo import read_info
from limner.shipped import find_model


@pytest.fixture(scope="module")
def generator(own_cache: None) -> Generator:
    return load()


def test_what_is_not_varied_is_a_copy_and_its_set_and_licence_are_known(generator):
    (picture,) = generator.generate("a cat", seed=1, style="noto", variety=0)
    (source,) = picture.sources
    assert (source.drawn, source.set, source.licence) == ("cat", "noto", "Apache-2.0 (Google Inc)")
    assert source.copied and source.distance < 0.005
    assert b"copied" not in picture_bytes(picture, PictureFormat.PNG)


def test_what_is_varied_far_is_none(generator):
    pictures = generator.generate("a cat", n=6, seed=1, style="noto", variety=1)
    distances = [picture.sources[0].distance for picture in pictures]
    assert min(distances) > 0 and max(distances) > COPY_DISTANCE
    assert [picture.sources[0].copied for picture in pictures] == [
        distance < COPY_DISTANCE for distance in distances
    ]


def test_every_thing_of_a_scene_has_its_own(generator):
    (picture,) = generator.generate("a cat and a dog", seed=1, variety=0)
    assert {source.drawn for source in picture.sources} == {"cat", "dog"}
    assert all(source.copied and source.licence for source in picture.sources)


def test_what_is_redrawn_names_the_set_it_comes_from(generator):
    (picture,) = generator.generate("a lighthouse", seed=1, style="meteocons", variety=0)
    (source,) = picture.sources
    assert source.set == picture.drawn_from[0].redrawn_from != "meteocons"


def test_the_distance_is_that_of_mean_colours():
    kept = torch.ones(3, 256, 256)
    shown = np.full((256, 256, 3), 255, np.uint8)
    shown[:128] = 0
    found = compared("half", None, kept, shown)
    assert found.distance == pytest.approx(2 / 2**0.5, abs=1e-4) and not found.copied


def test_all_styles_of_the_shipped_model_have_a_licence_and_all_sources_a_line():
    info = read_info(find_model())
    assert all(info.licence_of(style) for style in info.config["styles"])
    assert info.licence_of("mdi-outline") == info.licences["@iconify-json/mdi"]
    assert info.licence_of("noto-v1") == info.licences["@iconify-json/noto-v1"]
    assert info.licence_of("md") is None
    assert "@iconify-json/twemoji by Twitter, CC-BY-4.0" in info.attributions
    assert "emojibase-data (captions), MIT" in info.attributions
    assert len(info.attributions) == len(info.licences)
