from __future__ import annotations

import torch

from limner.vision.patches import filled


def stripes(side: int = 64, width: int = 8) -> torch.Tensor:
    """Horizontal stripes of two colours, ``(3, S, S)``."""
    dark = (torch.arange(side) // width % 2 == 0).float()[None, :, None]
    return torch.cat([dark, 1 - dark, 0.5 * dark]).expand(3, side, side).clone()


def test_stripes_go_on_through_a_hole():
    picture = stripes()
    hole = torch.zeros(64, 64, dtype=torch.bool)
    hole[20:44, 24:40] = True
    guess = torch.where(hole, picture.mean((1, 2))[:, None, None], picture)
    found = filled(guess, hole)
    assert torch.equal(found[:, ~hole], picture[:, ~hole]), "what is known stays"
    assert float((found - picture).abs().mean()) < 0.02
    assert float((guess - picture).abs().mean()) > 0.03


def test_it_is_as_crisp_on_larger_pictures():
    picture = stripes(128, 16)
    hole = torch.zeros(128, 128, dtype=torch.bool)
    hole[40:80, 50:90] = True
    guess = torch.where(hole, torch.tensor(0.5), picture)
    found = filled(guess, hole)
    colours = found[:, hole][0]
    assert float(((colours < 0.1) | (colours > 0.9)).float().mean()) > 0.9
    assert torch.equal(filled(guess, hole), found)


def test_stripes_go_on_to_the_border():
    picture = stripes(128, 16)
    hole = torch.zeros(128, 128, dtype=torch.bool)
    hole[:, :30] = True
    hole[:, 110:] = True
    guess = torch.where(hole, torch.tensor(0.5), picture)
    assert float((filled(guess, hole) - picture).abs().amax()) < 0.05


def test_where_no_patch_is_known_the_guess_stays():
    guess = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
    hole = torch.zeros(32, 32, dtype=torch.bool)
    hole[4:28, 4:28] = True
    assert torch.equal(filled(guess, hole), guess)
