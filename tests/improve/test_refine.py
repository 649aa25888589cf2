"""The closed loop: what is read, looked for and changed, and that its judge is no part of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, product

import numpy as np
import pytest
from PIL import Image

import limner
from limner.errors import DataError, PromptError, UsageError
from limner.generation.generator import Generator
from limner.generation.picture import Picture
from limner.generation.replay import redraw
from limner.generation.requests import DrawRequest
from limner.improve.asked import Asked, AskedReader, AskedRelation, AskedThing
from limner.improve.changes import SEEDS_FIRST, Change, Move, moves
from limner.improve.composing import MOST_BEGUN, Composition, composition
from limner.improve.parts import picture_parts
from limner.improve.refine import Refiner
from limner.improve.rounds import Trials
from limner.improve.scoring import Check, PictureScore, Scorer, load_scorer
from limner.improve.screening import screening
from limner.improve.trace import refinement_as_json, trace_page
from limner.models.base import build
from limner.reading.caption_space import CaptionSpace
from limner.reading.captions import OwnCaptioner
from limner.shipped import SHIPPED_CAPTIONER, find_model
from limner.vision.pixels import to_tensor


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return load_scorer()


@pytest.fixture(scope="module")
def shipped() -> Generator:
    return limner.load(threads=1)


@pytest.fixture(scope="module")
def reader(scorer: Scorer) -> AskedReader:
    return AskedReader(scorer.aligner.encoder)


def test_the_loop_imports_no_judge():
    """The networks that judge compositions and free prompts are not loaded by refining."""
    code = (
        "import sys, limner.improve.refine, limner.improve.trace, limner.improve.choosing\n"
        "judges = {'detector', 'judge', 'composition', 'sightings', 'windows', 'recall'}\n"
        "print(sorted(each for each in sys.modules if each.startswith('limner.metrics.')\n"
        "             and each.rpartition('.')[2] in judges))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("prompt", "things"),
    [
        ("three red apples on a blue plate",
         (AskedThing("apples", 3, "red"), AskedThing("plate", 1, "blue"))),
        ("a cat", (AskedThing("cat"),)),
        ("两只红色的猫", (AskedThing("猫", 2, "red"),)),
    ],
)  # fmt: skip
def test_a_prompt_asks_for_things(reader, prompt, things):
    assert reader.read(prompt).things == things


@pytest.mark.parametrize(
    ("prompt", "names", "beside"),
    [
        ("a chicken laying eggs", ["chicken", "egg"], False),
        ("a football stadium", ["stadium", "american football"], True),
        ("lobster dinner", ["lobster"], True),
        ("strong as an ox", ["ox"], True),
        ("a cat and a dog", ["cat", "dog"], False),
        ("a birthday cake", ["birthday cake"], False),
        ("a fox on a mushroom", ["fox", "mushroom"], False),
        ("a red car", ["automobile"], False),
        ("两只红色的猫", ["cat"], False),
        ("a flurble", [""], False),
    ],
)  # fmt: skip
def test_things_are_looked_for_under_known_names(scorer, prompt, names, beside):
    asked = scorer.asked(prompt)
    assert ([thing.name for thing in asked.things], asked.beside) == (names, beside)


def test_what_the_words_name_is_drawn_beside(scorer, shipped):
    """The plan of *a football stadium* has no football; a list of its nouns has."""
    found = Refiner(shipped, scorer).refine("a football stadium", seed=2, budget=2)
    alone, listed = found.attempts
    assert listed.what == "said as a list" and listed.picture.prompt == "a stadium, a football"
    assert [each.drawn for each in alone.picture.drawn_from] == ["stadium"]
    assert "soccer ball" in {each.drawn for each in listed.picture.drawn_from}
    assert found.best is listed and listed.score.total > alone.score.total + 0.05


def test_a_captioner_matches_pictures_and_names(shipped):
    """Its space tells things apart, and a picture's vector does not depend on those beside it."""
    space = CaptionSpace(OwnCaptioner(find_model(None, SHIPPED_CAPTIONER)))
    names = ["cat", "bicycle", "banana"]
    drawn = [shipped.generate(f"a {name}", seed=1, style="noto", variety=0.0)[0] for name in names]
    pictures = to_tensor(np.stack([np.asarray(each.image) for each in drawn]))
    vectors = space.encode_images(pictures)
    assert (vectors @ space.encode_texts(names).T).argmax(1).tolist() == [0, 1, 2]
    assert (space.encode_images(pictures[1:2])[0] - vectors[1]).abs().max() < 1e-5
    assert vectors.shape == (3, space.dim) and vectors.norm(dim=1).sub(1).abs().max() < 1e-5


def test_a_prompt_asks_where_things_are(reader):
    asked = reader.read("a cat left of a dog")
    assert asked.relations == (AskedRelation(0, "left", 1),) and asked.total == 2
    with pytest.raises(PromptError):
        reader.read(" ")


def made(generator: Generator, asked: Asked, first: DrawRequest, score: PictureScore, move: Move
         ) -> Iterator[Change]:  # fmt: skip
    """The changes of a move of a picture that nobody looks at."""
    picture = Picture(Image.new("RGB", (32, 32)), first.prompt, first.seed, "", first.settings)
    found = moves(
        generator,
        asked,
        first,
        first,
        picture=picture,
        score=score,
        style_given=True,
        drawn=SEEDS_FIRST,
    )
    return found[move]


def test_things_on_others_are_not_pulled_apart(reader, shipped):
    asked = reader.read("three red apples on a blue plate")
    assert asked.touching and not reader.read("a cat and a dog").touching
    assert reader.read("a pineapple with sunglasses").touching, "they are worn"
    assert not reader.read("a house with a tree").touching
    first = limner.DrawRequest(asked.prompt, 0, limner.Settings(variety=0.0))
    score = PictureScore(0.5, 0.3, 0.3, 1.0, (Check("thing", 0, "apples", "not found", 0.2),))
    some = [*made(shipped, asked, first, score, Move.WHAT_THE_SCORE_SAYS),
            *islice(made(shipped, asked, first, score, Move.SEED), 3)]  # fmt: skip
    assert len(some) > 3 and all(each.request.prompt == asked.prompt for each in some)


@pytest.mark.parametrize(
    ("prompt", "listed"),
    [
        ("an octopus playing a drum", "an octopus, a drum"),
        ("un perro y un gato comen un hueso", None),
        ("un cane con un osso", "a dog, a bone"),
        ("a cat and two dogs under a tree", None),
        ("a girl holding a balloon", None),
        ("a snowman with a hat", None),
        ("he kicked the bucket", "a man, a bucket"),
    ],
)  # fmt: skip
def test_a_list_says_what_may_stand_side_by_side(scorer, shipped, prompt, listed):
    """What is held may, and is said in English; what is under, worn or eaten may not."""
    asked = scorer.asked(prompt)
    first = limner.DrawRequest(prompt, 0, limner.Settings(variety=0.0))
    score = PictureScore(0.5, 0.3, 0.3, 1.0, (Check("thing", 1, "", "not found", 0.2),))
    some = made(shipped, asked, first, score, Move.WHAT_THE_SCORE_SAYS)
    found = [each.request.prompt for each in some if each.request.prompt != prompt]
    assert found == ([] if listed is None else [listed])


def test_what_stands_beside_its_holder_must_score_higher(scorer, shipped):
    found = Refiner(shipped, scorer).refine("a mouse stealing cheese", seed=1, budget=4)
    listed = next(each for each in found.attempts if each.what == "said as a list")
    assert listed.apart and not found.attempts[0].apart
    assert listed.value == pytest.approx(listed.score.total - 0.2)


def squares(*boxes: tuple[int, int, int], ground: str = "white") -> Image.Image:
    """Red squares of a side at places, on a ground of 256 pixels."""
    image = Image.new("RGB", (256, 256), ground)
    for x, y, side in boxes:
        image.paste((220, 30, 30), (x, y, x + side, y + side))
    return image


@pytest.mark.parametrize("ground", ["white", "#339944"])
def test_parts_stand_apart_on_a_plain_ground(ground):
    parts = picture_parts(squares((20, 30, 64), (150, 120, 80), ground=ground))
    boxes = sorted(part.box for part in parts)
    expected = [(20, 30, 84, 94), (150, 120, 230, 200)]
    assert np.allclose(np.array(boxes) * 256, expected, atol=2.1)
    assert all(part.cut and not part.at_edge for part in parts)
    assert (parts[0].pixels[32, 32] == (220, 30, 30)).all() and (parts[0].pixels[0, 0] == 255).all()


def test_small_pieces_belong_to_the_nearest_thing():
    (part,) = picture_parts(squares((60, 60, 100), (170, 60, 10)))
    assert part.box[2] * 256 == pytest.approx(180, abs=2.1)
    assert picture_parts(squares()) == []
    boxes = (60, 60, 100), (170, 60, 20), (170, 120, 20)
    assert [len(picture_parts(squares(*boxes), things=count)) for count in (1, 2, 3)] == [1, 2, 3]


def test_without_a_plain_ground_there_are_windows():
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    parts = picture_parts(Image.fromarray(noise))
    assert len(parts) == 1 + 4 + 9 and not any(part.cut for part in parts)


def test_things_are_counted_and_their_colours_measured(scorer):
    (score,) = scorer.score("three red squares", [squares((10, 10, 60), (100, 100, 60))])
    checks = {check.kind: check for check in score.checks}
    assert checks["count"].seen == "2 counted"
    assert checks["count"].score == pytest.approx(2 / 3)
    assert checks["colour"].seen == "100% of it is red" and checks["colour"].score == 1
    (blue,) = scorer.score("three blue squares", [squares((10, 10, 60), (100, 100, 60))])
    assert next(c for c in blue.checks if c.kind == "colour").score == 0
    assert blue.total < score.total


def test_a_score_knows_left_from_right_and_cats_from_dogs(scorer, shipped):
    (right,) = shipped.generate("a cat left of a dog", seed=1, style="noto", variety=0.0)
    mirrored = right.image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    one, other = scorer.score("a cat left of a dog", [right.image, mirrored])
    assert [c.score for c in one.checks if c.kind == "relation"] == [1]
    assert [c.score for c in other.checks if c.kind == "relation"] == [0]
    alone = scorer.score("a cat left of a dog", [right.image])[0]
    assert alone.total == pytest.approx(one.total, abs=1e-5)  # the others do not matter
    assert scorer.totals("a bicycle", [right.image])[0] < one.total


def test_a_refinement_reaches_its_target_or_its_budget(scorer, shipped, tmp_path):
    refiner = Refiner(shipped, scorer)
    easy = refiner.refine("a cat", seed=1, target=0.5, budget=6)
    assert easy.reached and len(easy.attempts) == 2 and easy.attempts[0].what == "as asked"
    hard = refiner.refine("two houses", seed=1, target=1.0, budget=5, style="fluent-emoji-flat")
    assert len(hard.attempts) == 5 and len({a.round for a in hard.attempts}) == 3
    drawn = {(a.picture.seed, a.picture.edits, a.picture.settings) for a in hard.attempts}
    assert len(drawn) == 5
    assert hard.best.value == max(each.value for each in hard.attempts)
    again = refiner.refine("two houses", seed=1, target=1.0, budget=5, style="fluent-emoji-flat")
    assert [a.score.total for a in again.attempts] == [a.score.total for a in hard.attempts]
    path = hard.picture.save(tmp_path / "houses.png")
    same = redraw(path, threads=1)
    assert np.array_equal(np.asarray(same.image), np.asarray(hard.picture.image))
    page = trace_page(hard)
    assert page.count("<figure") == 5 and page.count("class=best") == 1
    assert "Round 3" in page and "houses" in page
    facts = refinement_as_json(hard)
    assert len(facts["attempts"]) == 5 and facts["score"] == round(hard.best.score.total, 4)


def test_a_wrong_colour_is_dyed(shipped, reader):
    """All of a thing takes the colour, where the plan alone recolours its main one."""
    first = limner.DrawRequest("a black castle", 0, limner.Settings(style="emojione", variety=0.0))
    check = Check("colour", 0, "black castle", "40% of it is black", 0.4)
    score = PictureScore(0.5, 0.3, 0.3, 1.0, (check,))
    asked = reader.read("a black castle")
    change = next(made(shipped, asked, first, score, Move.WHAT_THE_SCORE_SAYS))
    assert change.request.edits == ("make all of castle black",)
    assert change.why == "black castle: 40% of it is black"
    before, after = shipped.draw([first, change.request])
    colourful = [np.ptp(np.asarray(p.image).astype(int), -1) > 80 for p in (before, after)]
    assert colourful[0].mean() > 0.02 > colourful[1].mean()


def test_things_are_drawn_from_other_words(shipped, reader):
    first = limner.DrawRequest("two houses", 0, limner.Settings(style="fluent-emoji-flat"))
    check = Check("thing", 0, "houses", "not found", 0.2)
    score = PictureScore(0.5, 0.3, 0.3, 1.0, (check,))
    asked = reader.read("two houses")
    change = next(made(shipped, asked, first, score, Move.WHAT_THE_SCORE_SAYS))
    assert change.request.edits == ("replace houses with 2 house",)
    (picture,) = shipped.draw([change.request])
    assert len(picture_parts(picture.image)) == 2


def test_a_flow_is_refined_from_the_best_picture(scorer, tmp_path):
    """First by seeds as the best of several, then from the best, which its record can repeat."""
    from tiny_models import save_tiny

    path = save_tiny(tmp_path / "flow.safetensors", "flow")
    flow = limner.load(path, threads=1)
    found = Refiner(flow, scorer).refine("a cat", seed=3, target=1.0, budget=14)
    said = [each.what for each in found.attempts]
    assert said[0] == "as asked" and found.attempts[0].picture.seed == 3
    first = [each for each in found.attempts if each.round == 2]
    assert {each.what for each in first} == {"another seed"}
    assert {each.picture.seed for each in first} <= {*range(4, 4 + found.screened[2].begun)}
    redrawn = [each for each in found.attempts if each.picture.made_from is not None]
    assert redrawn and all(each.what.startswith("the best redrawn") for each in redrawn)
    one = redrawn[-1].picture
    assert one.made_from in [each.picture for each in found.attempts]
    saved = one.save(tmp_path / "cat.png")
    again = redraw(saved, path, threads=1)
    assert np.array_equal(np.asarray(again.image), np.asarray(one.image))
    assert again.made_from is not None and again.made_from.seed == one.made_from.seed
    without = replace(one, made_from=None).save(tmp_path / "without.png")
    with pytest.raises(DataError, match="made from another picture"):
        redraw(without, path, threads=1)
    guided = made(flow, found.asked, limner.DrawRequest("a cat", 0), found.best.score,
                  Move.WHAT_THE_SCORE_SAYS)  # fmt: skip
    assert next(guided).what.startswith("guidance")


def test_more_seeds_are_begun_than_finished(scorer, tmp_path):
    """The best of the previews go on, cost what was given, and have the bits of their seeds."""
    from tiny_models import save_tiny

    flow = limner.load(save_tiny(tmp_path / "flow.safetensors", "flow"), threads=1)
    done: list[float] = []
    found = Refiner(flow, scorer).refine(
        "a cat and a dog", seed=5, target=1.0, budget=8, steps=9, scenes=False,
        on_progress=done.append,
    )  # fmt: skip
    (screened,) = found.screened.values()
    after, evaluations = screened.after, screened.evaluations
    assert (after, evaluations) == (6, 17)  # Heun's, of nine steps
    assert screened.begun > 8 > len(found.attempts) == 1 + screened.finished
    assert found.begun == 1 + screened.begun
    assert done == sorted(done) and done[-1] == pytest.approx(1 + screened.cost)
    assert 7 < done[-1] <= 8

    seeds = range(6, 6 + screened.begun)
    session, jobs = flow.session(), flow.jobs(
        [limner.DrawRequest("a cat and a dog", seed, limner.Settings(steps=9, scenes=False))
         for seed in seeds]
    )  # fmt: skip
    for job in jobs:
        session.add(job.drawing)
    for _ in range(after):
        session.advance()
    previews = [session.preview(job.drawing)[0] for job in jobs]
    ranks = scorer.totals("a cat and a dog", previews)
    best = sorted(range(len(ranks)), key=lambda number: -ranks[number])[: screened.finished]
    kept = [each.picture for each in found.attempts[1:]]
    assert sorted(each.seed for each in kept) == sorted(seeds[number] for number in best)
    alone = flow.generate("a cat and a dog", seed=kept[0].seed, steps=9, scenes=False)[0]
    assert np.array_equal(np.asarray(alone.image), np.asarray(kept[0].image))
    assert f"{screened.begun} were begun" in trace_page(found)
    assert refinement_as_json(found)["screened"] == [
        {"round": 2, "begun": screened.begun, "finished": screened.finished,
         "after": after, "evaluations": evaluations}
    ]  # fmt: skip


@pytest.mark.parametrize("steps", [1, 2, 3, 6, 20, 50])
def test_screening_costs_no_more_than_finishing(steps):
    from tiny_models import STYLES, TINY

    model = build("flow", {"size": 32, "text_dim": 384, "styles": STYLES, **TINY["flow"]})
    for pictures in range(1, 40):
        screened = screening(pictures, model, limner.Settings(steps=steps))
        if screened is None:
            assert pictures < 3 or steps < 3
        else:
            assert pictures - 1 < screened.cost <= pictures < screened.begun
            assert 1 <= screened.finished < pictures


@pytest.mark.parametrize("family", ["flow", "vae"])
def test_a_scene_is_put_together_of_the_best_drawing_of_each_thing(scorer, tmp_path, family):
    """They are compared by previews where there are some, and cost what was given."""
    from tiny_models import save_tiny

    model = limner.load(save_tiny(tmp_path / "model.safetensors", family), threads=1)
    whiten(model)
    done: list[float] = []
    options = {"steps": 9} if family == "flow" else {}
    found = Refiner(model, scorer).refine(
        "a cat and a dog", seed=5, target=1.0, budget=8, on_progress=done.append, **options
    )
    composed = found.composed[2]
    assert composed.drawings == 2 and composed.begun > 1 and composed.cost <= 7
    assert done == sorted(done) and 1 + composed.cost <= done[-1] <= 8
    attempt = found.attempts[1]
    assert attempt.what == Move.COMPOSED and attempt.round == 2
    assert found.begun > len(found.attempts)

    settings = limner.Settings(scenes=True, **options)
    seeds = range(5, 5 + composed.begun)
    session, jobs = model.session(), model.jobs(
        [limner.DrawRequest("a cat and a dog", seed, settings) for seed in seeds]
    )  # fmt: skip
    for job in jobs:
        session.add(job.drawing)
    drawn = []
    while not session.idle:
        session.advance()
        if family == "flow" and not drawn and session.progress(jobs[0].drawing) > 1 / 3:
            drawn = [session.preview(job.drawing) for job in jobs]
    drawn = drawn or [[Image.fromarray(each) for each in job.placed.pixels] for job in jobs]
    best = [
        seeds[int(np.argmax(scorer.totals(words, [things[number] for things in drawn])))]
        for number, words in enumerate(["a cat", "a dog"])
    ]
    assert attempt.picture.settings.thing_seeds == ",".join(map(str, best))
    assert f"Each thing was begun {composed.begun} times" in trace_page(found)
    assert refinement_as_json(found)["composed"][0]["begun"] == composed.begun
    kept = Refiner(model, scorer).refine("a cat and a dog", seed=5, budget=3, scenes=False)
    assert not kept.composed and not any(each.picture.planner for each in kept.attempts)


def whiten(generator: Generator) -> None:
    """Make a tiny model draw on white, as far as its family has an easy way to."""
    weights = generator.model.state_dict()
    name = next(each for each in weights if each.endswith(("seam_out.bias", "decoder.7.bias")))
    weights[name].fill_(4.0)


def test_things_without_a_white_background_are_not_put_together(scorer, tmp_path):
    """They could not be cut out; the budget that is left is spent on whole pictures."""
    from tiny_models import save_tiny

    flow = limner.load(save_tiny(tmp_path / "flow.safetensors", "flow"), threads=1)
    found = Refiner(flow, scorer).refine("a cat and a dog", seed=5, target=1.0, budget=16)
    assert found.composed and not any(each.what == Move.COMPOSED for each in found.attempts)
    assert any(each.what == "another seed" for each in found.attempts)
    assert trace_page(found).count("could not be cut out") == len(found.composed)


@pytest.mark.parametrize("steps", [1, 2, 3, 6, 20])
def test_a_composition_costs_no_more_than_what_is_given(steps):
    from tiny_models import STYLES, TINY

    model = build("flow", {"size": 32, "text_dim": 384, "styles": STYLES, **TINY["flow"]})
    for pictures, rows in product(range(1, 17), range(1, 7)):
        found = composition(rows, pictures, model, limner.Settings(steps=steps))
        if found is None:
            assert pictures < rows
        else:
            assert rows <= found.cost < pictures + 1e-9 and 1 <= found.begun <= MOST_BEGUN


def test_the_cost_of_a_composition_is_that_of_all_its_evaluations():
    """Of two things four drawings each are begun for 3 of 11 evaluations, and one is finished."""
    assert Composition(2, 4, 3, 11).cost == pytest.approx((2 * 4 * 3 + 2 * 11) / 11)
    assert Composition(3, 1, 3, 11).cost == 3, "nothing is compared"


def test_a_move_is_tried_as_often_as_it_pays(shipped):
    trials = Trials(shipped)
    seed, says = Move.SEED, Move.WHAT_THE_SCORE_SAYS
    assert trials.promise(says) > trials.promise(seed)
    for _ in range(2):
        trials.tried(says)
        trials.gained(says, -0.2)
    assert trials.promise(says) == pytest.approx(0.1 / 3) and trials.promise(says) < 0.05
    trials.tried(seed)
    trials.gained(seed, 0.15)
    assert trials.promise(seed) == pytest.approx((0.05 + 0.15) / 2)


def test_a_fault_lowers_the_score(scorer, shipped):
    """A thing missing, another thing, another colour and another number, each against the truth."""
    said, style = "a red apple and two cats", {"style": "noto", "variety": 0.0, "seed": 2}
    drawn = [shipped.generate(prompt, **style)[0].image for prompt in (
        said, "two cats", "a red apple and two houses", "a blue apple and two cats",
        "a red apple and four cats",
    )]  # fmt: skip
    true, *faulty = scorer.totals(said, drawn)
    assert all(true > each + 0.02 for each in faulty)


def test_the_best_of_several_comes_first(scorer, shipped):
    found = limner.best_of("a cat and a dog", 3, generator=shipped, scorer=scorer, seed=5)
    scores = [score for _, score in found]
    assert scores == sorted(scores, reverse=True)
    assert {picture.seed for picture, _ in found} == {5, 6, 7}
    for picture, score in found:
        own = scorer.totals("a cat and a dog", [picture.image])[0]
        assert own == pytest.approx(score, abs=1e-5)


@pytest.mark.parametrize(
    ("options", "said"),
    [({"budget": 0}, "budget of 0"), ({"target": 1.5}, "target of 1.5"),
     ({"prompt": None}, "nothing to refine"), ({"colour": 1}, "no option 'colour'")],
)  # fmt: skip
def test_what_cannot_be_refined_is_said(scorer, shipped, options, said):
    with pytest.raises(UsageError, match=said):
        Refiner(shipped, scorer).refine(**({"prompt": "a cat"} | options))
