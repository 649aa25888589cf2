"""The model inside the package, where this copy of limner has one."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from limner.generation.icon_sets import IconSetFacts, facts_of_set, known_sets
from limner.generation.replay import redraw, same_pixels
from limner.generation.requests import DrawRequest
from limner.modelinfo import read_info
from limner.shipped import find_model, shipped_models

pytestmark = pytest.mark.skipif(not shipped_models(), reason="no model is shipped in this tree")


def test_it_fits_in_the_package(shipped):
    weights = find_model(None).parent.glob("*.safetensors")
    assert sum(path.stat().st_size for path in weights) <= 60_000_000
    info = read_info(shipped.path)
    assert info.licences and info.training and info.concepts
    assert shipped.encoder.fingerprint == info.encoder_fingerprint


def test_a_red_heart_is_red(shipped):
    for prompt in ("a red heart", "corazón rojo"):
        pixels = np.asarray(shipped.generate(prompt, seed=1)[0].image, dtype=float)
        quarter = len(pixels) // 4
        middle = pixels[quarter:-quarter, quarter:-quarter]
        red, green, blue = middle.reshape(-1, 3).mean(axis=0)
        assert red > 1.5 * green and red > 1.5 * blue


def test_replay_finds_it_by_its_hash(shipped, tmp_path):
    path = shipped.generate("夕阳", seed=11)[0].save(tmp_path / "a.png")
    assert same_pixels(path, redraw(path).image)


def test_things_drawn_side_by_side_have_the_bits_they_have_alone(shipped, keep_threads):
    torch.set_num_threads(2)
    requests = [DrawRequest(f"a {thing}", 5) for thing in ("castle", "snail", "violin")]
    alone = [next(shipped.draw([each])).image.tobytes() for each in requests]
    shipped.model.remember_pictures(0)
    session, jobs, drawn_by = shipped.session(), shipped.jobs(requests), set()
    for job in jobs:

        def finish(*part, finish=job.drawing.finish):
            drawn_by.add(threading.current_thread().name.partition("_")[0])
            return finish(*part)

        job.drawing.finish = finish
        session.add(job.drawing)
    while not session.idle:
        session.advance()
    assert [shipped.finished(job).image.tobytes() for job in jobs] == alone
    alike = shipped.model.__dict__["_alike"][1, 2]
    assert drawn_by == {"limner-drawing" if alike else "MainThread"}


def test_icon_sets_of_which_something_is_known_are_styles_of_the_model(shipped):
    assert set(known_sets()) <= set(shipped.styles)
    twemoji = facts_of_set("twemoji")
    assert twemoji.plain_hair
    assert twemoji.signs == {"family"}
    assert {"deer", "gorilla"} <= twemoji.heads
    for facts in known_sets().values():
        assert all(shipped.concepts.named(name) for name in facts.heads)
    assert facts_of_set("my own drawings") == IconSetFacts()
