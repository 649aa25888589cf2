"""Pictures that are changed: by every family, in style, and by the shipped model."""

from __future__ import annotations

import warnings
from functools import partial

import numpy as np
import pytest
from PIL import Image

from limner.errors import DataError, PromptError, UsageError
from limner.generation.inpainting import MaskedPicture
from limner.generation.looks import LOOKS
from limner.generation.records import read_record
from limner.generation.replay import redraw as replayed
from limner.generation.requests import DrawRequest
from limner.generation.restyle import redraw, restyled
from limner.generation.source_pictures import SourcePicture
from limner.metrics.structure import structure_agreement
from limner.vision.pixels import to_tensor


def photo(width: int = 48, height: int = 30) -> np.ndarray:
    """A smooth picture that fills its edges."""
    y, x = np.mgrid[:height, :width]
    bands = (128 + 100 * np.sin(x / 9), 90 + 3 * y, 255 - 4 * x)
    return np.stack(bands, -1).clip(0, 255).astype(np.uint8)


def kept(one, other) -> float:
    pair = (to_tensor(np.asarray(each.convert("RGB"))[None]) for each in (one, other))
    return float(structure_agreement(*pair))


def test_what_a_model_sees_is_the_whole_picture_and_is_cut_out_again():
    source = SourcePicture(photo())
    known = source.known(32)
    assert known.images.shape == (1, 3, 32, 32) and bool(known.hole.all())
    assert bool((known.images[0, :, :6] == 1).all() and (known.images[0, :, -6:] == 1).all())
    canvas = Image.fromarray(((known.images[0].permute(1, 2, 0).numpy() + 1) * 127.5).astype("u1"))
    again = source.cropped(canvas, 32)
    assert again.size == (32, 20)
    assert np.abs(np.asarray(again).astype(int) - source.resized(32)).max() <= 1


def test_every_family_changes_pictures_with_the_bits_of_each_alone(generator, monkeypatch):
    monkeypatch.setattr(generator.model, "search_steps", 10, raising=False)  # of a GAN
    source = SourcePicture(photo())
    found = generator.restyle(source, "a cat", strength=0.4, n=2, seed=4, size=60)
    for each in found:
        assert each.image.size == (60, 38) and each.inpainted == source.digest
        assert each.settings.strength == 0.4
    alone = generator.restyle(source, "a cat", strength=0.4, seed=5, size=60)[0]
    assert np.array_equal(np.asarray(alone.image), np.asarray(found[1].image))
    with pytest.raises(UsageError, match="how much a picture is changed, and none is given"):
        generator.generate("a cat", strength=0.4)


def test_the_shipped_model_moves_to_a_new_drawing(shipped):
    apple = shipped.generate("apple", seed=1, style="noto", size=96)[0]
    ways = [
        shipped.restyle(apple.image, "car", strength=each, seed=2, style="noto", size=96)[0]
        if each else apple for each in (0, 0.3, 0.6, 1)
    ]  # fmt: skip
    car = shipped.generate("car", seed=2, style="noto", size=96)[0]
    assert np.array_equal(np.asarray(ways[-1].image), np.asarray(car.image))
    agreement = [kept(apple.image, each.image) for each in ways]
    assert agreement == sorted(agreement, reverse=True) and agreement[-1] < 0.9


def test_a_style_alone_keeps_the_structure(shipped, tmp_path):
    source = SourcePicture(photo(96, 60), draws=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = shipped.restyle(source, style="line drawing", strength=1.0, seed=1, size=96)[0]
    values = np.asarray(drawn.image).astype(int)
    assert values.shape == (60, 96, 3) and np.ptp(values, axis=2).max() < 12, "black and white"
    untouched = shipped.restyle(source, style="line drawing", strength=0.0, seed=1, size=96)[0]
    assert np.array_equal(np.asarray(untouched.image), source.pixels)
    path = drawn.save(tmp_path / "drawn.png")
    assert read_record(path).settings.style == "ph-line"
    with pytest.raises(DataError, match="was made from another picture"):
        replayed(path)
    with pytest.raises(UsageError, match="say what to change"):
        shipped.restyle(source)
    with pytest.raises(UsageError, match="leave transparent out"):
        shipped.restyle(source, "a cat", transparent=True)


def test_pictures_are_given_in_any_way(shipped, tmp_path):
    drawn = shipped.generate("a red heart", seed=1, size=64)[0]
    path = drawn.save(tmp_path / "drawn.png")
    ways = [drawn, drawn.image, path, str(path), path.read_bytes(), np.asarray(drawn.image)]
    sources = [SourcePicture.open(each) for each in ways]
    assert all(each == sources[0] for each in sources)
    holes = [MaskedPicture.open(each, box=(4, 4, 9, 9)) for each in ways]
    assert all(np.array_equal(each.pixels, holes[0].pixels) for each in holes)
    seen = {shipped.look(each).digest for each in ways}
    assert len(seen) == 1
    for wrong in (3, None, np.zeros((3, 3), float), np.zeros((3, 3, 7), np.uint8)):
        for opened in (SourcePicture.open, shipped.look, partial(MaskedPicture.open, box=(0,) * 4)):
            with pytest.raises(UsageError, match="no picture"):
                opened(wrong)
    for prompts in (5, b"a cat"):
        with pytest.raises(PromptError, match="is not text; give a prompt"):
            shipped.generate(prompts)
    alone = shipped.generate(DrawRequest("a red heart", 1), size=64)[0]
    assert alone.image.tobytes() == drawn.image.tobytes()


def test_strength_blends_a_style():
    image = np.full((64, 64, 3), 255, np.uint8)
    image[16:48, 16:48] = (200, 60, 60)
    for name in ("line drawing", "silhouette"):
        profile = LOOKS[name].profile
        whole = redraw(image, profile)
        assert np.array_equal(restyled(image, profile, 1.0), whole)
        far = [np.abs(restyled(image, profile, each).astype(int) - whole).mean()
               for each in (0.0, 0.3, 0.7, 1.0)]  # fmt: skip
        assert far == sorted(far, reverse=True) and far[-1] == 0
    coarse = [len(np.unique(restyled(photo(64, 64), LOOKS["pixel art"].profile, each)[0], axis=0))
              for each in (0.2, 1.0)]  # fmt: skip
    assert coarse[0] >= coarse[1]


def test_requests_are_equal_by_their_pixels():
    one, two = SourcePicture(photo()), SourcePicture(photo())
    assert one == two and len({one, two}) == 1
    assert one != SourcePicture(photo(), draws=False)
    assert DrawRequest("a cat", 1, source=one) == DrawRequest("a cat", 1, source=two)
