"""Pictures with a hole: known pixels keep their bits, whatever size, mode and family."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from limner.errors import DataError, UsageError
from limner.generation.generator import load
from limner.generation.inpainting import MaskedPicture, box_mask, mask_of, outpainted
from limner.generation.records import read_record
from limner.generation.replay import redraw
from limner.generation.requests import DrawRequest


def picture(width: int = 50, height: int = 34, bands: int = 3) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (height, width, bands), np.uint8)


def test_a_hole_is_drawn_by_every_family_and_the_rest_keeps_its_bits(generator):
    pixels = picture()
    masked = MaskedPicture(pixels, box_mask((50, 34), (20, 10, 12, 9)))
    two = generator.inpaint(masked, "a cat", n=2, seed=4)
    for each in two:
        drawn = np.asarray(each.image)
        assert drawn.shape == pixels.shape
        assert np.array_equal(drawn[~masked.mask], pixels[~masked.mask])
        assert not np.array_equal(drawn[masked.mask], pixels[masked.mask])
        assert each.inpainted == masked.digest
    again = generator.inpaint(masked, "a cat", seed=5)[0]
    assert np.array_equal(np.asarray(again.image), np.asarray(two[1].image)), "alone as beside"
    hidden = pixels.copy()
    hidden[masked.mask] = 0
    other = generator.inpaint(MaskedPicture(hidden, masked.mask), "a cat", seed=5)[0]
    assert np.array_equal(np.asarray(other.image), np.asarray(again.image)), "the hole is not seen"


def test_it_is_drawn_beside_whole_pictures_with_the_bits_of_each(generator):
    masked = MaskedPicture(picture(), box_mask((50, 34), (20, 10, 12, 9)))
    requests = [DrawRequest("a cat", 1), DrawRequest("a cat", 1, masked=masked)]
    alone = generator.generate("a cat", seed=1) + generator.inpaint(masked, "a cat", seed=1)
    for beside, one in zip(generator.draw(requests), alone, strict=True):
        assert np.array_equal(np.asarray(beside.image), np.asarray(one.image))


@pytest.mark.parametrize("box", [(0, 0, 9, 7), (41, 20, 9, 14), (0, 12, 50, 4), (20, 0, 3, 34)])
def test_holes_at_the_border_and_transparent_pictures(tiny_model, box):
    pixels = picture(bands=4)
    masked = MaskedPicture(pixels, box_mask((50, 34), box))
    drawn = np.asarray(load(tiny_model).inpaint(masked, "a cat", seed=1)[0].image)
    assert np.array_equal(drawn[~masked.mask], pixels[~masked.mask])
    assert (drawn[masked.mask][:, 3] == 255).all()


def test_what_the_model_sees_is_around_the_hole():
    pixels = np.zeros((400, 600, 3), np.uint8)
    assert MaskedPicture(pixels, box_mask((600, 400), (290, 190, 20, 10))).window == (280, 175, 40)
    assert MaskedPicture(pixels, box_mask((600, 400), (0, 0, 30, 30))).window == (0, 0, 60)
    assert MaskedPicture(pixels, box_mask((600, 400), (570, 390, 30, 10))).window == (540, 340, 60)
    assert MaskedPicture(pixels, box_mask((600, 400), (0, 0, 500, 300))).window == (0, -100, 600)


def test_what_is_known_of_a_window_is_the_picture_with_its_edges_going_on_beyond():
    """Of a wide picture the window is higher than it: rows above and below repeat the edge."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    picture = MaskedPicture(pixels, box_mask((60, 40), (0, 0, 50, 30)))
    left, top, side = picture.window
    assert (left, top, side) == (0, -10, 60)
    known = picture.known(side)
    seen = ((known.images[0].permute(1, 2, 0).numpy() + 1) * 127.5).round().astype(np.uint8)
    wanted = np.pad(pixels, ((10, 10), (0, 0), (0, 0)), "edge")
    outside = ~np.pad(box_mask((60, 40), (0, 0, 50, 30)), ((10, 10), (0, 0)), "edge")
    assert (seen[outside] == wanted[outside]).all()
    assert (known.hole[0, 0].numpy() == ~outside).all()


def test_known_pixels_of_the_model_hold_nothing_of_the_hole():
    mask = box_mask((64, 64), (17, 13, 11, 19))
    for values in (0, 255):
        pixels = np.full((64, 64, 3), 90, np.uint8)
        pixels[mask] = values
        known = MaskedPicture(pixels, mask).known(16)
        level = 90 / 127.5 - 1
        assert torch.allclose(known.images, torch.tensor(level), atol=1e-6)
    pixels = picture(64, 64)
    one, two = (MaskedPicture(each, mask).known(16) for each in (pixels, pixels.copy()))
    assert torch.equal(one.images, two.images)
    assert bool(one.hole.any()) and not bool(one.hole.all())


def test_what_is_drawn_is_moved_to_the_colours_at_the_seam():
    pixels = np.full((64, 64, 3), 200, np.uint8)
    masked = MaskedPicture(pixels, box_mask((64, 64), (20, 20, 24, 24)))
    side = 64
    darker = torch.full((3, side, side), 180 / 127.5 - 1)
    merged = masked.merged(darker)
    assert np.abs(merged[20, 20:44].astype(int) - 200).max() <= 6, "no seam"
    assert np.array_equal(merged[~masked.mask], pixels[~masked.mask])


def test_outpainting_adds_a_margin():
    pixels = picture(20, 10)
    wide, mask = outpainted(pixels, (5, 0, 7, 3))
    assert wide.shape == (13, 32, 3)
    assert np.array_equal(wide[:10, 5:25], pixels)
    assert (~mask).sum() == 200 and not mask[:10, 5:25].any()


def test_both_kinds_of_mask_are_read():
    white = Image.new("L", (4, 2))
    white.putpixel((1, 0), 255)
    clear = Image.new("RGBA", (4, 2), "white")
    clear.putpixel((1, 0), (255, 255, 255, 0))
    for each in (white, clear, white.convert("RGB"), white.convert("1")):
        assert np.flatnonzero(mask_of(each)).tolist() == [1]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: MaskedPicture(p, np.ones((3, 4), bool)), "the mask has 4 x 3 pixels and the"),
        (lambda p: MaskedPicture(p, np.zeros(p.shape[:2], bool)), "the mask is empty"),
        (lambda p: MaskedPicture(p, np.ones(p.shape[:2], bool)), "covers the whole picture"),
        (lambda p: box_mask((50, 34), (45, 0, 6, 2)), "is not inside the picture of 50 x 34"),
        (lambda p: box_mask((50, 34), (4, 0, 0, 2)), "is not inside the picture"),
        (lambda p: outpainted(p, (0, 0, 0, 0)), "outpainting takes the pixels to add"),
        (lambda p: outpainted(p, (0, -1, 0, 2)), "zero or more"),
    ],
)
def test_what_cannot_be_is_one_sentence(make, said):
    with pytest.raises(UsageError, match=said):
        make(picture())


def test_equal_pictures_and_holes_are_equal():
    one, two = (MaskedPicture(picture(), box_mask((50, 34), (1, 2, 3, 4))) for _ in range(2))
    other = MaskedPicture(picture(), box_mask((50, 34), (1, 2, 3, 5)))
    assert one == two and hash(one) == hash(two) and one != other
    assert one != MaskedPicture(one.pixels, one.mask, inserts=False)


def test_options_without_meaning_are_refused_and_the_file_says_what_it_is(tiny_model, tmp_path):
    generator = load(tiny_model)
    masked = MaskedPicture(picture(), box_mask((50, 34), (20, 10, 12, 9)))
    with pytest.raises(UsageError, match="inpainting takes no size"):
        generator.inpaint(masked, "a cat", size=64)
    path = generator.inpaint(masked, "a cat", seed=1)[0].save(tmp_path / "edited.png")
    assert read_record(path).inpainted == masked.digest
    with pytest.raises(DataError, match="was made from another picture"):
        redraw(path, tiny_model)


def test_the_shipped_model_continues_what_is_around_and_puts_things_there():
    generator = load()
    pixels = np.full((160, 200, 3), (120, 180, 240), np.uint8)
    pixels[80:] = (90, 170, 90)  # sky and grass
    mask = box_mask((200, 160), (60, 20, 90, 120))
    plain = MaskedPicture(pixels, mask, inserts=False)
    hole = pixels.copy()
    hole[mask] = 255
    filled = np.asarray(generator.inpaint(MaskedPicture(hole, mask, False), seed=1)[0].image)
    assert np.abs(filled.astype(int) - pixels).mean() < 3, "as if nothing had been there"
    assert plain.digest != MaskedPicture(hole, mask).digest
    with_ball = generator.inpaint(MaskedPicture(hole, mask), "a red apple", seed=1, style="noto")[0]
    drawn = np.asarray(with_ball.image).astype(int)
    red = (drawn[..., 0] > 150) & (drawn[..., 1] < 110) & (drawn[..., 2] < 110)
    assert red[mask].mean() > 0.15 and not red[~mask].any()
    assert [each.drawn for each in with_ball.drawn_from] == ["red apple"]
