"""Lines around things, and the shadows that are drawn below them."""

from __future__ import annotations

import numpy as np
import pytest

from limner.scenes.outlines import outline_of, without_shadow

SIDE = 120
FUR, INK, SHADOW = (0.9, 0.7, 0.4), (0.1, 0.1, 0.1), (0.88, 0.88, 0.88)
Y, X = np.mgrid[:SIDE, :SIDE]


def thing(*, line: int, low: int | None = None) -> np.ndarray:
    """A disc with a line of a width around it, and a shadow that begins in a row."""
    cut = np.zeros((SIDE, SIDE, 4), np.float32)
    away = np.hypot(X - 60, Y - 50)
    for radius, colour in ((50, INK if line else FUR), (50 - line, FUR)):
        cut[away < radius] = (*colour, 1)
    if low is not None:
        cut[low : low + 8, 30:90][cut[low : low + 8, 30:90, 3] == 0] = (*SHADOW, 1)
    return cut


def test_a_line_is_told_with_its_colour_and_width():
    found = outline_of(thing(line=5))
    assert found.colour == pytest.approx(np.array(INK))
    assert 4 <= found.width <= 6
    assert found.inside.mean(0) == pytest.approx(np.array(FUR), abs=1e-3)
    assert outline_of(thing(line=0)).colour is None


@pytest.mark.parametrize(("line", "low"), [(5, 97), (5, 108), (0, 108)])
def test_a_pale_shadow_is_left_out(line, low):
    found = without_shadow(thing(line=line, low=low))
    assert 98 <= len(found) <= 103
    assert found.shape[1] <= 103


def test_what_has_no_shadow_stays_as_it_is():
    for line in (0, 5):
        cut = thing(line=line)[:101]
        assert without_shadow(cut).shape == cut.shape
    drops = thing(line=0)
    drops[110:118, 50:70] = (0.1, 0.3, 0.9, 1)  # of rain below a cloud
    assert without_shadow(drops).shape == drops.shape
