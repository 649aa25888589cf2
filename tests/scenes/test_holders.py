"""What is drawn of pots with plants in them, of boats with somebody in them and of bridges."""

from __future__ import annotations

import pytest

from limner.scenes.holders import drawn_as_holders
from limner.scenes.sentence import Link


@pytest.mark.parametrize(
    ("names", "relation", "drawn"),
    [
        (["cactus", "pot"], "in", {1: "bucket"}),
        (["soup", "pot"], "in", {}),
        (["cactus", "pot"], "beside", {}),
        (["cat", "boat"], "in", {1: "canoe"}),
        (["cat", "sailboat"], "in", {}),
        (["sail", "boat"], "in", {}),
        (["man", "bridge"], "on", {1: "stone bridge"}),
    ],
)
def test_a_holder_is_drawn_from_the_name_that_fits_what_it_holds(names, relation, drawn):
    assert drawn_as_holders(names, [Link(0, relation, 1)], setting=False) == drawn


def test_a_bridge_alone_keeps_its_sky_where_there_is_no_setting():
    assert drawn_as_holders(["bridge"], [], setting=False) == {}
    assert drawn_as_holders(["bridge"], [], setting=True) == {0: "stone bridge"}
