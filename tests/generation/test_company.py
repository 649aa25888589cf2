"""Several by one name in a place, and several who eat or drink at a table."""

from __future__ import annotations

from limner.generation.company import Company
from limner.models.planner import PlannedThing
from limner.scenes.sentence import Link


def company(*names: str, links: tuple[Link, ...] = (), counts: tuple[int, ...] = ()) -> Company:
    counts = counts or (1,) * len(names)
    things = tuple(PlannedThing(i, count) for i, count in enumerate(counts))
    return Company(things, names, names, names, links)


def test_a_wedding_is_a_bride_and_a_groom_and_links_follow():
    found = company("a cat", "a wedding", "a tree", links=(Link(1, "beside", 2),)).with_members()
    assert found.english == ("a cat", "bride", "groom", "a tree")
    assert found.links == (Link(1, "beside", 3),)
    assert company("a cat").with_members() == company("a cat")


def test_two_who_have_tea_are_at_the_sides_of_a_table_with_two_cups():
    tea = company("a bear", "a rabbit", "tea", links=(Link(1, "eating", 2),))
    found = tea.at_table([range(2), range(2, 3)])
    assert found.parts[-1] == "table"
    assert [thing.count for thing in found.things] == [1, 1, 2, 1]
    assert set(found.links) == {Link(0, "left", 3), Link(1, "right", 3), Link(2, "on", 3)}


def test_who_eats_alone_or_from_the_hand_has_no_table():
    alone = company("a cat", "a fish", "pizza", links=(Link(0, "eating", 2),))
    assert alone.at_table([range(1), range(1, 2), range(2, 3)]) == alone
    cones = company("children", "ice cream", links=(Link(0, "eating", 1),), counts=(3, 1))
    assert cones.at_table([range(1), range(1, 2)]) == cones


def drawn(model, prompt: str) -> list[str]:
    return [each.drawn for each in model.generate(prompt, seed=1)[0].drawn_from]


def test_company_is_drawn_so(shipped):
    assert drawn(shipped, "a family having a picnic in the park")[:3] == ["man", "woman", "child"]
    assert len(drawn(shipped, "a wedding on the beach")) == 2
    assert drawn(shipped, "a bear and a rabbit having tea")[-1].endswith("table")
