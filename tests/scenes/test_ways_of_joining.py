"""Where each way of joining puts things, by closed forms of rectangles and ellipses."""

import numpy as np
import pytest

from limner.scenes.actors import Actor, Spot, extent
from limner.scenes.relations import Contact
from limner.scenes.sentence import Link
from limner.scenes.sizes import facts_of
from limner.scenes.staging import stage
from made_actors import actor, person, solid


def joined(
    relation: Contact, first: Actor, second: Actor, seed: int = 0
) -> tuple[list[Spot], list[Spot]]:
    """The spots of two things that a relation makes one group."""
    (group,) = stage([first, second], [Link(0, relation, 1)], np.random.default_rng(seed))
    one, other = ([spot for spot in group if spot.thing == i] for i in (0, 1))
    return one, other


def middle(spot: Spot) -> tuple[float, float]:
    return spot.left + spot.width / 2, spot.top + spot.height / 2


def test_the_middle_of_glasses_is_at_the_height_of_the_eyes():
    cut = person()
    cut[15:19, 13:17, :3] = cut[15:19, 23:27, :3] = 0
    ((who,), (glasses,)) = joined("wearing", actor("man", cut), actor("glasses", solid(40, 16)))
    x, y = middle(glasses)
    assert x == pytest.approx(who.left + 0.5 * who.width, abs=0.01 * who.width)
    assert y == pytest.approx(who.top + 0.165 * who.height, abs=0.01 * who.height)


def test_trousers_of_a_standing_figure_are_below_its_head():
    ((who,), (worn,)) = joined("wearing", actor("man", person()), actor("trousers", solid(20, 20)))
    assert worn.top >= who.top + 0.59 * who.height
    assert worn.bottom <= who.bottom
    assert middle(worn)[0] == pytest.approx(middle(who)[0])


def test_a_coat_of_a_standing_figure_begins_at_its_neck():
    ((who,), (coat,)) = joined("wearing", actor("man", person()), actor("coat", solid(20, 20)))
    assert coat.top == pytest.approx(who.top + 0.36 * who.height, abs=0.03 * who.height)
    assert coat.bottom < who.bottom


def test_what_is_around_something_is_even_around_its_middle():
    ring, (fire,) = joined("around", actor("child", count=8), actor("campfire", solid(60, 40)))
    assert len(ring) == 8
    centre = np.mean([middle(each) for each in ring], 0)
    assert centre == pytest.approx(middle(fire), abs=0.06 * fire.width)
    near = [each for each in ring if each.depth > fire.depth]
    assert len(near) == 4, "half of them are before it"
    assert min(each.bottom for each in near) > max(
        each.bottom for each in ring if each.depth < fire.depth
    )


@pytest.mark.parametrize("relation", ["behind", "front"])
def test_what_stands_farther_back_is_on_either_side_and_about_a_third_hidden(relation):
    sides = set()
    for seed in range(12):
        pair = joined(relation, actor("dog"), actor("dog"), seed)
        (far,), (near,) = pair if relation == "behind" else pair[::-1]
        assert near.depth > far.depth
        over = min(far.right, near.right) - max(far.left, near.left)
        assert over == pytest.approx(0.32 * far.width)
        assert far.bottom == pytest.approx(near.bottom - 0.14 * near.height)
        sides.add(middle(far)[0] > middle(near)[0])
    assert sides == {True, False}, "the seed decides"


def test_what_is_large_behind_something_small_is_a_sixth_of_its_width_aside():
    sides = set()
    for seed in range(12):
        (house,), (dog,) = joined("behind", actor("house"), actor("dog"), seed)
        aside = (middle(house)[0] - middle(dog)[0]) / house.width
        assert abs(aside) == pytest.approx(0.16)
        sides.add(aside > 0)
    assert sides == {True, False}


def test_a_sign_of_a_feeling_is_at_the_upper_right_of_a_head_alone():
    (head,), (sign,) = joined("with", actor("man"), actor("anger symbol"))
    assert sign.width == pytest.approx(0.34 * head.width)
    assert head.left + 0.5 * head.width < sign.left < head.right < sign.right
    assert head.top - 0.3 * head.height < sign.top < head.top < sign.bottom
    assert sign.bottom < head.top + 0.3 * head.height
    assert sign.depth > head.depth


def test_windows_are_spread_evenly_over_the_wall_and_a_door_is_at_its_foot():
    (house,), windows = joined("with", actor("house"), actor("window", count=3))
    xs = [middle(each)[0] for each in windows]
    assert np.diff(xs) == pytest.approx([0.2 * house.width] * 2)
    assert np.mean(xs) == pytest.approx(middle(house)[0])
    assert all(each.bottom == pytest.approx(house.bottom - 0.3 * house.height) for each in windows)
    (house,), (door,) = joined("with", actor("house"), actor("door", solid(20, 40)))
    assert middle(door)[0] == pytest.approx(middle(house)[0])
    assert 0 < house.bottom - door.bottom < 0.05 * house.height
    assert door.height == pytest.approx(0.4 * house.height)


def test_a_mushroom_over_an_animal_stands_on_the_ground_before_which_it_is():
    ((frog,), (shade,)) = joined("under", actor("elephant"), actor("mushroom"))
    assert shade.height == pytest.approx(1.4 * frog.height)
    assert shade.bottom == pytest.approx(frog.bottom - 0.06 * frog.height)
    assert middle(shade)[0] == pytest.approx(middle(frog)[0])
    assert shade.depth < frog.depth


@pytest.mark.parametrize(("relation", "count", "seen"), [("with", 3, 3), ("full", 1, 6)])
def test_fruits_hang_in_the_crown_of_a_tree_and_not_beside_its_trunk(relation, count, seen):
    cut = solid(40, 60)
    cut[36:, :16] = cut[36:, 24:] = 0  # only the trunk is there
    fruit = actor("apple", count=count)
    ((tree,), fruits) = joined(relation, actor("tree", cut), fruit)
    assert len(fruits) == seen
    for x, y in map(middle, fruits):
        assert tree.left < x < tree.right
        assert tree.top < y < tree.top + 0.6 * tree.height
    assert all(each.depth > tree.depth and each.width < 0.3 * tree.width for each in fruits)


def test_what_is_eaten_is_at_the_head():
    ((who,), (apple,)) = joined("eating", actor("man", person()), actor("apple"))
    x, y = middle(apple)
    assert middle(who)[0] < x
    assert apple.left < who.left + 0.75 * who.width < apple.right, "the edge of the head is in it"
    assert who.top < y < who.top + 0.36 * who.height


def test_what_tops_something_is_spread_evenly_over_its_middle_half():
    (cake,), berries = joined("with", actor("cake"), actor("strawberry"))
    xs = [middle(each)[0] for each in berries]
    assert xs == pytest.approx([cake.left + share * cake.width for share in (0.25, 0.5, 0.75)])
    for each in berries:
        assert each.bottom - cake.top == pytest.approx(0.3 * each.height), "most of it is seen"


def test_flowers_in_a_vase_lean_to_both_sides_alike():
    (vase,), flowers = joined("with", actor("vase", solid(20, 40)), actor("flower", count=5))
    xs = [middle(each)[0] - middle(vase)[0] for each in flowers]
    assert xs == pytest.approx([-each for each in xs[::-1]])
    assert np.diff(xs) == pytest.approx([0.55 * flowers[0].width] * 4)
    highest = min(flowers, key=lambda each: each.top)
    assert middle(highest)[0] == pytest.approx(middle(vase)[0])
    assert all(each.depth < vase.depth and each.bottom > vase.top for each in flowers)


def test_what_is_held_by_a_string_is_above_what_is_held_in_a_hand():
    ((one,), (balloon,)) = joined("holding", actor("man", person()), actor("balloon"))
    ((other,), (apple,)) = joined("holding", actor("man", person()), actor("apple"))
    assert balloon.bottom == pytest.approx(one.top + 0.55 * one.height)
    assert middle(apple)[1] > other.top + 0.6 * other.height


def test_hands_are_used_in_turn():
    actors = [actor("man", person()), actor("apple"), actor("book"), actor("cup")]
    links = [Link(0, "holding", i) for i in (1, 2, 3)]
    (group,) = stage(actors, links, np.random.default_rng(0))
    who, *held = (next(spot for spot in group if spot.thing == i) for i in range(4))
    assert [middle(each)[0] > middle(who)[0] for each in held] == [True, False, True]


@pytest.mark.parametrize(
    ("relation", "x", "y"), [("left", -1, 0), ("right", 1, 0), ("above", 0, -1), ("below", 0, 1)]
)
def test_plain_relations_keep_a_gap_of_six_parts_in_a_hundred(relation, x, y):
    (one,), (other,) = joined(relation, actor("dog"), actor("dog"))
    gap = 0.06 * (one.width + other.width)
    apart = middle(one)[0] - middle(other)[0], middle(one)[1] - middle(other)[1]
    assert apart == pytest.approx((x * (one.width + gap), y * (one.height + gap)))


def test_five_of_a_kind_stand_in_two_rows_of_which_the_far_one_is_higher():
    (group,) = stage([actor("dog", count=5)], [], np.random.default_rng(0))
    near = [each for each in group if each.depth == 0]
    far = [each for each in group if each.depth < 0]
    assert (len(near), len(far)) == (3, 2)
    assert {each.bottom for each in near} == {0.0}
    assert far[0].bottom == far[1].bottom == pytest.approx(-0.75 * far[0].height)
    assert extent(far).left > extent(near).left, "they stand in the gaps"


def test_things_look_as_large_as_a_power_of_their_lengths():
    """The longest begins at its length to the power of 0.38; the least looks a third of that."""
    actors = [actor("house"), actor("chair"), actor("apple")]
    house, chair, apple = (group[0] for group in stage(actors, [], np.random.default_rng(0)))
    ratio = facts_of("house").length / facts_of("chair").length
    assert house.width == pytest.approx(facts_of("house").length ** 0.38)
    assert house.width / chair.width == pytest.approx(ratio**0.38)
    assert apple.width / house.width == pytest.approx(0.34)


def longest(spot: Spot) -> float:
    return max(spot.width, spot.height)


def test_the_far_row_of_many_upon_something_is_half_of_their_height_above_the_near_one():
    many, _ = joined("on", actor("cat", count=5), actor("table", solid(120, 40)))
    bottoms = sorted({round(each.bottom, 9) for each in many})
    assert len(bottoms) == 2, "the near row, and the far one above it"
    assert bottoms[1] - bottoms[0] == pytest.approx(0.48 * many[0].height)
    far = [each for each in many if each.bottom < bottoms[1] - 1e-6]
    assert len(far) == 2 and far[0].depth < many[-1].depth


def test_what_is_on_a_table_stands_on_its_surface_which_is_seen_from_above():
    """A top of 30 rows that is narrow at its far edge, on a leg."""
    cut = np.zeros((100, 100, 4), np.float32)
    for row in range(30):
        cut[row, 30 - row : 70 + row] = 1
    cut[30:, 45:55] = 1
    (lamp,), (table,) = joined("on", actor("lamp", solid(20, 40)), actor("table", cut))
    foot = (lamp.bottom - table.top) / table.height
    assert 0.1 < foot < 0.3, "not on the far edge, and not before the near one"
    assert lamp.depth > table.depth


@pytest.mark.parametrize(("relation", "first", "second", "shares"), [
    ("riding", actor("man", person()), actor("skateboard", solid(60, 12)), (0.6, 1.1)),
    ("riding", actor("man", person()), actor("horse", solid(60, 50)), (0.6, 0.85)),
    ("riding", actor("man"), actor("horse", solid(60, 50)), (0.45, 0.62)),
    ("on", actor("man", person()), actor("chair", solid(40, 60)), (0.5, 0.8)),
    ("on", actor("apple"), actor("plate", solid(60, 20)), (0.45, 0.62)),
    ("in", actor("bird"), actor("birdcage", solid(40, 60)), (0.4, 0.5)),
    ("in", actor("cat"), actor("window", solid(60, 60)), (0.45, 0.65)),
    ("in", actor("man"), actor("boat", solid(80, 30)), (0.6, 0.85)),
    ("under", actor("cat"), actor("tree", solid(40, 60)), (0.42, 0.6)),
])  # fmt: skip
def test_what_rests_on_something_is_within_shares_of_its_size(relation, first, second, shares):
    (one,), (other,) = joined(relation, first, second)
    low, high = shares
    assert low - 1e-9 <= longest(one) / longest(other) <= high + 1e-9


def test_who_is_longer_than_the_board_stays_so():
    (man,), (board,) = joined("riding", actor("man", person()), actor("skateboard", solid(60, 12)))
    assert longest(man) == pytest.approx(1.1 * longest(board))


def test_a_coat_leaves_a_large_head_with_low_eyes_free():
    cut = np.zeros((100, 50, 4), np.float32)
    cut[:60, 10:40] = cut[60:] = (0.9, 0.6, 0.2, 1)
    cut[30:34, 15:19, :3] = cut[30:34, 31:35, :3] = 0
    ((who,), (coat,)) = joined("wearing", actor("man", cut), actor("coat", solid(20, 20)))
    eyes = who.top + 0.32 * who.height
    assert coat.top > eyes + 0.1 * who.height


def test_headphones_are_a_little_below_the_middle_of_a_face():
    ((face,), (phones,)) = joined("wearing", actor("man"), actor("headphones", solid(40, 20)))
    assert middle(phones)[0] == pytest.approx(middle(face)[0])
    assert phones.width == pytest.approx(0.9 * face.width)
    assert phones.bottom == pytest.approx(middle(face)[1] + 0.3 * phones.height)


def test_a_coat_is_before_the_lower_part_of_a_body_and_below_a_face():
    ((dog,), (coat,)) = joined(
        "wearing", actor("dog", np.pad(person(), ((0, 0), (20, 20), (0, 0)), "edge")), actor("coat")
    )
    assert dog.top + 0.25 * dog.height < coat.top
    assert coat.bottom == pytest.approx(dog.bottom - 0.04 * dog.height)
    assert coat.depth > dog.depth
    ((face,), (coat,)) = joined("wearing", actor("dog"), actor("coat"))
    assert coat.top < face.bottom < coat.bottom and coat.depth < face.depth
