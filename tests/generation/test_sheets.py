from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageFont

from limner.errors import UsageError
from limner.generation.prompts import PromptWarning
from limner.generation.sheets import _draws, _font, grid
from limner.vision.pixels import to_images

COLOURS = ["red", "lime", "blue", "black", "white"]
RGB = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0), (255, 255, 255)]


def squares() -> list[Image.Image]:
    return [Image.new("RGB", (16, 16), colour) for colour in COLOURS]


def test_pixels_of_a_tensor():
    batch = torch.tensor([-1.0, 0.0, 1.0, -7.0, 7.0]).view(5, 1, 1, 1).expand(5, 3, 2, 4)
    images = to_images(batch)
    assert [i.size for i in images] == [(4, 2)] * 5
    assert [i.getpixel((3, 1))[0] for i in images] == [0, 128, 255, 0, 255]


def test_rows_fill_left_to_right():
    sheet = grid(squares(), columns=2)
    assert sheet.size == (2 * 20 + 4, 3 * 20 + 4)
    centres = [(12 + 20 * (i % 2), 12 + 20 * (i // 2)) for i in range(5)]
    assert [sheet.getpixel(c) for c in centres] == RGB


def test_the_same_sheet_from_arrays():
    arrays = [np.asarray(s) for s in squares()]
    assert grid(arrays, columns=3).tobytes() == grid(squares(), columns=3).tobytes()


def test_about_as_wide_as_high():
    assert grid(squares()).size == (64, 44)
    assert grid(squares()[:1]).size == (24, 24)
    assert grid(squares()[:2], columns=9).size == (44, 24)


def test_signs_that_no_font_has_are_said():
    with pytest.warns(PromptWarning, match="no font of this machine has all signs of"):
        grid(squares(), captions=["a dog", "b", "c", "d", "\U00014400"])
    bundled = ImageFont.load_default(11)
    assert [_draws(bundled, sign) for sign in ("g", "é", "小")] == [True, False, False]
    assert all(_draws(_font("plain words", 11), sign) for sign in "plain")


@pytest.mark.filterwarnings("ignore::limner.generation.prompts.PromptWarning")
def test_captions_are_drawn_below_and_stay_in_their_cells():
    images = [Image.new("RGB", (64, 64), "white")] * 2
    plain = grid(images, columns=1, captions=["", ""])
    words = "a very long caption that can never fit below so small a picture " * 3
    drawn = grid(images, columns=1, captions=[words, "小狗"])
    assert drawn.size == plain.size
    difference = np.any(np.asarray(plain) != np.asarray(drawn), axis=2)
    assert difference[68:96, 4:68].any()
    assert difference[164:, 4:68].any()
    assert not difference[:68].any()
    assert not difference[:, 69:].any()


def test_refused_sheets():
    with pytest.raises(UsageError, match="at least one picture"):
        grid([])
    with pytest.raises(UsageError, match="2 captions for 5"):
        grid(squares(), captions=["a", "b"])
    with pytest.raises(UsageError, match="column"):
        grid(squares(), columns=0)
    with pytest.raises(UsageError, match="ask for fewer"):
        grid(squares()[:1] * 4000, columns=4000)
