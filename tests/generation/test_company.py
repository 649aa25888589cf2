"""Several by one name in a place, and several who eat or drink at a table."""

from __future__ import annotations

from limner.generation.company import Company
from limner.generation.prompt_reader import PromptReader
from limner.models.planner import PlannedThing
from limner.models.settings import Settings
from limner.scenes.sentence import Link


def company(
    *names: str, links: tuple[Link, ...] = (), counts: tuple[int, ...] = (),
    phrases: tuple[tuple[int, ...], ...] = (),
) -> Company:  # fmt: skip
    counts = counts or (1,) * len(names)
    things = tuple(PlannedThing(i, count) for i, count in enumerate(counts))
    phrases = phrases or tuple((i,) for i in range(len(names)))
    return Company(things, names, names, names, links, phrases)


def test_a_wedding_is_a_bride_and_a_groom_and_links_follow():
    found = company("a cat", "a wedding", "a tree", links=(Link(1, "beside", 2),)).with_members()
    assert found.english == ("a cat", "bride", "groom", "a tree")
    assert found.links == (Link(1, "beside", 3),)
    assert company("a cat").with_members() == company("a cat")


def test_members_of_one_phrase_eat_together():
    pizza = company("a family", "pizza", links=(Link(0, "eating", 1),))
    found = pizza.with_members().at_table()
    assert found.english == ("man", "woman", "child", "pizza", "table")
    assert [link.first for link in found.links if link.second == 4] == [3, 0, 1, 2]


def test_two_who_have_tea_are_at_the_sides_of_a_table_with_two_cups():
    tea = company("a bear", "a rabbit", "tea", links=(Link(1, "eating", 2),),
                  phrases=((0, 1), (2,)))  # fmt: skip
    found = tea.at_table()
    assert found.parts[-1] == "table"
    assert [thing.count for thing in found.things] == [1, 1, 2, 1]
    assert set(found.links) == {Link(0, "left", 3), Link(1, "right", 3), Link(2, "on", 3)}


def test_who_eats_alone_or_from_the_hand_has_no_table():
    alone = company("a cat", "a fish", "pizza", links=(Link(0, "eating", 2),))
    assert alone.at_table() == alone
    cones = company("children", "ice cream", links=(Link(0, "eating", 1),), counts=(3, 1))
    assert cones.at_table() == cones


def drawn(model, prompt: str) -> list[str]:
    return [each.drawn for each in model.generate(prompt, seed=1)[0].drawn_from]


def test_company_is_drawn_so(shipped):
    assert drawn(shipped, "a family having a picnic in the park")[:3] == ["man", "woman", "child"]
    assert len(drawn(shipped, "a wedding on the beach")) == 2
    friends = drawn(shipped, "two friends drinking coffee in a cafe")
    assert friends == ["man", "woman", "hot beverage", "small square table"]
    assert drawn(shipped, "a bear and a rabbit having tea")[-1].endswith("table")


def test_who_flies_is_counted_behind_the_members_of_a_family(shipped):
    """The pig is in the sky, and nobody of the family."""
    reader = PromptReader(shipped.encoder, shipped.concepts, shipped.styles, "it", scenes=True)
    asked = reader.asked("a family is watching a pig flying over the farm", Settings())[0]
    (read,) = reader.read([asked])
    assert read.scene is not None
    assert [each.drawn for each in read.drawn_from] == ["man", "woman", "child", "pig"]
    assert read.scene.aloft == {3}
