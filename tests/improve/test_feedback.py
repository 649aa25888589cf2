"""Votes are kept, exported and learned from; the walk of docs/feedback.md, by a simulated user."""

from __future__ import annotations

import io
import json
import math
import sys
from contextlib import redirect_stderr, redirect_stdout
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

import tiny_models
from limner.cli import main
from limner.errors import DataError, ModelFileError, UsageError
from limner.generation.records import read_record
from limner.generation.votes import Vote, VotedPicture, add_votes, read_votes, voted
from limner.improve.feedback import (
    _Problem,
    load_preferences,
    statistics_of,
    train_preferences,
)
from limner.improve.simulated import SimulatedUser, clutter, warmth
from limner.modelinfo import read_info
from limner.models.base import Batch, build
from limner.models.image_model import ImageModel
from limner.models.preference_loss import preference_losses
from limner.serving.gallery import Gallery
from limner.text import load_encoder
from limner.training.loop import train
from limner.training.recipe import make_recipe
from serving.gallery_writer import kept

PAGE = Path(__file__).parents[2] / "docs" / "feedback.md"
VOTED = ("a car", "a flower", "a house", "a bird", "a boat", "a bag", "a fish", "a ball", "a hat",
         "a book")  # fmt: skip
OTHERS = ("a train", "an umbrella", "a cup", "a butterfly", "a chair", "a shoe")
"""Of which some drawings are liked and some are not."""
MANY = 4


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


def limner(*words: str) -> Done:
    """Run a command in this process, as its own process would."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["limner", *words])
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
    return Done(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def walk(tmp_path_factory):
    """A folder in which the walk's first half was done: drawn, voted, exported, learned."""
    folder = tmp_path_factory.mktemp("walk")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        done = limner("generate", *VOTED, "--n", str(MANY), "--seed", "1", "--size", "64",
                        "--out", "drawn", "--quiet")  # fmt: skip
        assert done.code == 0, done.err
        files = sorted(Path("drawn").glob("*.png"))
        tastes = [SimulatedUser().taste(Image.open(file)) for file in files]
        user = SimulatedUser(float(np.median(tastes)))
        for file in files:
            thumb = "--up" if user.likes(Image.open(file)) else "--down"
            assert limner("vote", str(file), thumb, "--user", "ann").code == 0
        for first in range(0, len(files), MANY):
            own = sorted(range(first, first + MANY), key=lambda n: tastes[n])
            names = str(files[own[-1]]), str(files[own[0]])
            assert limner("vote", names[0], "--over", names[1], "--user", "ann").code == 0
        made = limner("feedback", "export", "--votes", "votes.jsonl", "--out",
                        "preferences.jsonl")  # fmt: skip
        assert made.out == f"preferences.jsonl: {len(files) + len(VOTED)} votes\n"
        done = limner("feedback", "train", "preferences.jsonl", "--out", "ann.safetensors",
                        "--json")  # fmt: skip
        assert done.code == 0, done.err
    return folder, user, json.loads(done.out)


def test_what_is_preferred_is_liked_more_often(walk, monkeypatch):
    folder, user, report = walk
    monkeypatch.chdir(folder)
    assert report["users"] == ["ann"] and report["thumbs"] == MANY * len(VOTED)
    assert 0 < report["held_out"]["votes"] < report["votes"]
    done = limner("generate", *OTHERS, "--seed", "50", "--size", "64", "--quiet", "--prefer",
                  "ann.safetensors", "--user", "ann", "--n", "6", "--candidates", "6", "--out",
                  "ranked")  # fmt: skip
    assert done.code == 0, done.err
    images = [Image.open(file) for file in sorted(Path("ranked").glob("*.png"))]
    liked = np.array([user.likes(image) for image in images]).reshape(len(OTHERS), 6)
    assert liked[:, 0].mean() >= liked.mean() + 0.15
    # all candidates are there with seeds of their own, in the order of the head
    head = load_preferences(Path("ann.safetensors"))
    for number, prompt in enumerate(OTHERS):
        places = range(6 * number, 6 * number + 6)
        scores = head.scores([images[place] for place in places], prompt, "ann")
        assert scores == sorted(scores, reverse=True)
        records = [read_record(Path("ranked") / f"{place:04d}.png") for place in places]
        assert sorted(each.seed for each in records) == list(range(50, 56))
    refused = limner("generate", "a cat", "--prefer", "ann.safetensors", "--user", "bob")
    assert refused.code == 2 and "know no user 'bob'; they know: 'ann'" in refused.err
    for wrong in (
        ["--user", "ann"],
        ["--prefer", "ann.safetensors", "--candidates", "2", "-n", "3"],
    ):
        assert limner("generate", "a cat", *wrong).code == 2


def test_a_flow_learns_from_votes_and_is_published(walk, few, monkeypatch, tmp_path):
    folder, _, _ = walk
    monkeypatch.chdir(folder)
    base = tiny_models.save_tiny(tmp_path / "flow.safetensors", "flow")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"family: flow\ndata: {{store: {few.path}, size: 32, holdout: 0.2}}\n"
        "train: {batch_size: 4, steps: 3, lr: 0.0001, warmup_steps: 0, schedule: constant}\n"
        "preferences: {file: none, batch_size: 4, guard: 1.0}\n"
    )
    asked = ["train", str(recipe), "--from", str(base), "--preferences", "preferences.jsonl",
             "--quiet"]  # fmt: skip
    done = limner(*asked, "--out", str(tmp_path / "run"))
    assert done.code == 0, done.err
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    [figures] = [line for line in lines if "loss" in line]
    assert {"preference", "velocity"} == {*figures["loss"]}
    assert figures["lr"] == pytest.approx(0.15 * 0.0001)
    assert any("match" in line.get("held_out", {}) for line in lines)
    out = tmp_path / "new.safetensors"
    done = limner("publish", str(tmp_path / "run"), "--data", str(few.path), "--out", str(out))
    assert done.code == 0, done.err
    told = read_info(out).training["recipe"]["preferences"]
    assert told["file"] == "preferences.jsonl"
    text = recipe.read_text()
    for change, said in (
        (text.replace("holdout: 0.2", "flip: false"), "give data.holdout=0.1"),
        (text.replace("batch_size: 4, guard", "user: bob, guard"), "no vote of the user 'bob'"),
    ):
        recipe.write_text(change)
        done = limner(*asked, "--out", str(tmp_path / "none"))
        assert done.code == 2 and said in done.err
    assert not (tmp_path / "none").exists()


def test_the_guard_ends_a_run_with_the_weights_that_were_good(walk, few, monkeypatch, tmp_path):
    monkeypatch.chdir(walk[0])
    base = tiny_models.save_tiny(tmp_path / "flow.safetensors", "flow")
    recipe = make_recipe({
        "family": "flow", "init": str(base),
        "data": {"store": str(few.path), "size": 32, "holdout": 0.2},
        "preferences": {"file": "preferences.jsonl", "batch_size": 4, "guard": 0.0},
        "train": {"batch_size": 4, "steps": 9, "lr": 0.5, "warmup_steps": 0, "ema": 0,
                  "stop": {"metric": "loss", "patience": None, "every_steps": 1}},
    })  # fmt: skip
    out = train(recipe, tmp_path / "run", quiet=True)
    assert read_info(out).training["steps"] == 1
    before, after = load_file(base), load_file(out)
    same = [name for name in before if before[name].shape == after[name].shape]  # not the styles'
    assert len(same) > 20 and all(torch.equal(before[name], after[name]) for name in same)


def test_a_resumed_run_compares_with_the_model_that_it_started_from(
    walk, few, monkeypatch, tmp_path
):
    monkeypatch.chdir(walk[0])
    base = tiny_models.save_tiny(tmp_path / "flow.safetensors", "flow")
    recipe = make_recipe({
        "family": "flow", "init": str(base),
        "data": {"store": str(few.path), "size": 32, "holdout": 0.2},
        "preferences": {"file": "preferences.jsonl", "batch_size": 16, "guard": 1.0, "rate": 1},
        "train": {"batch_size": 4, "lr": 0.03, "warmup_steps": 0, "schedule": "constant",
                  "stop": {"metric": "loss", "patience": None, "every": 1, "pictures": 4}},
    })  # fmt: skip
    at_once = train(recipe, tmp_path / "a", steps=12, quiet=True)
    train(recipe, tmp_path / "b", steps=6, quiet=True)
    in_two = train(recipe, tmp_path / "b", steps=12, resume=True, quiet=True)
    one, two = load_file(at_once), load_file(in_two)
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_pair_teaches_until_the_better_error_has_fallen_far_enough():
    """The loss by its formula, of errors that are given as weights."""
    model, reference = nn.Linear(2, 1, bias=False), nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        reference.weight.copy_(torch.tensor([[1.0, 3.0]]))
    better, worse = (
        Batch(torch.zeros(1, 3, 1, 1), cast(Any, None), torch.tensor([n]), torch.Generator())
        for n in (0, 1)
    )

    def losses(*errors: float):
        with torch.no_grad():
            model.weight.copy_(torch.tensor([errors]))
        return preference_losses(
            cast(Any, model), cast(Any, reference), better, worse,
            errors=lambda who, batch: cast(Any, who).weight[:, batch.styles[0]],
            scale=torch.tensor([2.0]), reach=0.05,
        )  # fmt: skip

    # A reach of 0.05 is 0.2 of the reference errors' sum, and errors are divided by 2.
    assert losses(0.9, 3.0)["preference"].item() == pytest.approx((0.2 - 0.1) / 2)
    assert losses(0.7, 3.0)["preference"].item() == 0
    assert losses(1.0, 3.3)["preference"].item() == 0  # the other's error has grown
    found = losses(1.2, 3.0)["preference"]  # the better picture's error has
    assert found.item() == pytest.approx((0.2 + 0.2) / 2)
    found.backward()
    assert model.weight.grad.tolist() == [[pytest.approx(0.5), pytest.approx(-0.5)]]


@pytest.mark.parametrize("family", ["ar", "flow", "gan", "vae"])
def test_every_family_that_draws_has_losses_of_votes(family):
    """A picture that is compared with itself teaches nothing: both have the same noise and time."""
    torch.manual_seed(0)
    config = {"text_dim": 384, "styles": tiny_models.STYLES, "size": tiny_models.SIZE}
    model = cast(ImageModel, build(family, config | tiny_models.TINY[family]))
    side = model.config.size
    text = load_encoder("e5-small").encode(["a cat", "a dog"])
    batch = Batch(
        torch.rand(2, 3, side, side) * 2 - 1, text, torch.tensor([0, 1]), torch.Generator(),
        captions=["a cat", "a dog"],
    )  # fmt: skip
    group = list(model.optimizer_groups)[-1]
    with torch.no_grad():  # so that nothing starts at zero
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    reference = deepcopy(model)

    def most(worse: Batch) -> float:
        """The largest gradient."""
        model.zero_grad()
        found = model.preference_losses(batch, worse, reference, group)
        assert all(name == "preference" or name.startswith("liked_") for name in found)
        torch.stack(list(found.values())).sum().backward()
        return max(float(p.grad.abs().max()) for p in model.parameters() if p.grad is not None)

    least = most(replace(batch, images=-batch.images))
    assert least > 1e-4
    if family in {"ar", "flow"}:
        assert most(batch) < 1e-4 * least


def test_the_page_has_the_walk():
    page = PAGE.read_text(encoding="utf-8")
    for step in ("limner generate", "limner vote", "--over", "limner feedback export",
                 "limner feedback train", "--prefer", "--preferences", "limner compare",
                 "limner publish"):  # fmt: skip
        assert step in page


def test_a_thumb_replaces_the_users_own_thumb_and_a_folder_can_move(walk, tmp_path):
    picture = voted(walk[0] / "drawn" / "0000.png")
    moved = tmp_path / "a"
    moved.mkdir()
    (moved / "one.png").write_bytes(Path(picture.file).read_bytes())
    own, path = voted(moved / "one.png"), moved / "votes.jsonl"
    assert add_votes(path, [Vote(user="ann", better=own)]) == 1
    assert add_votes(path, [Vote(user="bob", better=own)]) == 2
    assert add_votes(path, [Vote(user="ann", worse=own)]) == 2
    assert [(each.user, each.better is None) for each in read_votes(path)] == [
        ("bob", False), ("ann", True),
    ]  # fmt: skip
    moved.rename(tmp_path / "b")
    [found, _] = read_votes(tmp_path / "b" / "votes.jsonl")
    assert found.better is not None and found.better.path == tmp_path / "b" / "one.png"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{}", "it names no picture"),
        ("[]", "line 1 of "),
        ('{"format": 2, "better": RECORD}', "is of format 2, this limner reads up to 1"),
        ('{"better": {"file": "a.png"}}', "better.record: Field required"),
        ('{"better": RECORD, "worse": RECORD}', "not better than itself"),
        ('{"better": RECORD, "colour": 1}', "colour: Extra inputs are not permitted"),
    ],
)
def test_a_line_that_is_no_vote_is_named(line, said, walk, tmp_path):
    record = voted(walk[0] / "drawn" / "0000.png").model_dump_json(exclude_none=True)
    path = tmp_path / "votes.jsonl"
    path.write_text(line.replace("RECORD", record))
    with pytest.raises(DataError, match="line 1 of ") as error:
        read_votes(path)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_votes_of_the_gallery_are_exported(tmp_path):
    gallery = Gallery(tmp_path / "gallery")
    rows = [kept(gallery, "a cat", seed, side=64) for seed in range(3)]
    where = ["--gallery", str(tmp_path / "gallery")]
    assert limner("vote", rows[0].id, "--up", *where).code == 0
    assert limner("vote", rows[1].id, "--over", rows[2].id, *where).code == 0
    assert limner("vote", rows[1].id, "--over", "cat.png", *where).code == 2
    out = tmp_path / "preferences.jsonl"
    assert limner("feedback", "export", "--out", str(out), *where).code == 0
    thumb, choice = read_votes(out)
    assert thumb.worse is None and thumb.better is not None and choice.worse is not None
    assert thumb.better.path == gallery.path(rows[0])
    assert (choice.worse.record.seed, choice.user) == (rows[2].seed, rows[2].owner)


class ColourAligner:
    """Vectors that are a picture's mean colours; texts are all alike."""

    spec, fingerprint, dim = "colours", "0" * 16, 3

    def encode_images(self, images):
        return images.mean((2, 3))

    def encode_texts(self, texts):
        return torch.zeros(len(texts), 3)


def painted(folder: Path, record, colours, name: str) -> list[VotedPicture]:
    """A plain picture of each colour."""
    found = []
    for number, colour in enumerate(colours):
        path = folder / f"{name}{number}.png"
        Image.new("RGB", (16, 16), tuple(int(each) for each in colour)).save(path)
        found.append(VotedPicture(file=str(path), record=record(number)))
    return found


def test_the_weights_are_those_of_logistic_regression(walk, tmp_path):
    """Two users of opposite taste: one likes red, the other blue.

    At the optimum the gradient of the penalised likelihood is zero, by a formula of our own.
    """
    base = read_record(walk[0] / "drawn" / "0000.png")
    rng = np.random.default_rng(3)
    colours = rng.integers(0, 230, (60, 3))

    def record(number):
        return base.model_copy(update={"prompt": f"thing {number % 12}"})

    pictures = painted(tmp_path, record, colours, "c")
    votes = []
    for user, channel in (("ann", 0), ("bob", 2)):
        for picture, colour in zip(pictures, colours, strict=True):
            side = "better" if colour[channel] > 115 else "worse"
            votes.append(Vote.model_validate({"user": user, side: picture}))
    aligner = ColourAligner()
    head, report = train_preferences(votes, aligner=aligner, statistics=False)
    assert report.held_out is not None and report.held_out.value > 0.8
    red, blue = Image.new("RGB", (8, 8), (220, 20, 20)), Image.new("RGB", (8, 8), (20, 20, 220))
    assert np.diff(head.utilities([blue, red], "ann"))[0] > 2
    assert np.diff(head.utilities([red, blue], "bob"))[0] > 2
    means = torch.from_numpy(colours / 127.5 - 1)
    x = (means - means.mean(0)) / means.std(0) / 3**0.5
    own = torch.cat([x @ head.own["ann"] + x @ head.shared, x @ head.own["bob"] + x @ head.shared])
    signs = torch.tensor([1.0 if vote.better else -1.0 for vote in votes]).double()
    # The bias is not in the file: it is where the derivative by it (and its own weak prior) is 0.
    low, high = -20.0, 20.0
    for _ in range(80):
        bias = (low + high) / 2
        slope = (-signs * torch.sigmoid(-signs * (own + bias))).sum() + 2e-3 * bias
        low, high = (low, bias) if slope > 0 else (bias, high)
    pull = signs * torch.sigmoid(-signs * (own + bias))
    gradient = (pull[:, None] * torch.cat([x, x])).sum(0)
    assert torch.allclose(gradient, report.strength * head.shared, atol=1e-3)
    again, _ = train_preferences(votes, aligner=aligner, statistics=False)
    assert torch.equal(again.shared, head.shared)
    path = head.save(tmp_path / "head.safetensors")
    assert load_preferences(path, aligner=aligner).utilities([red], "bob") == head.utilities(
        [red], "bob"
    )
    with pytest.raises(DataError, match="7 votes are too few"):
        train_preferences(votes[:7], aligner=aligner)
    liked = [vote for vote in votes if vote.better]
    with pytest.raises(DataError, match="votes are alike"):
        train_preferences(liked, aligner=aligner)
    with pytest.raises(UsageError, match="know no user 'eve'"):
        head.utilities([red], "eve")
    other = ColourAligner()
    other.fingerprint = "1" * 16
    with pytest.raises(ModelFileError, match="another version of the aligner"):
        load_preferences(path, aligner=other)
    save_file(load_file(path), tmp_path / "foreign.safetensors")
    with pytest.raises(ModelFileError, match="holds no preferences"):
        load_preferences(tmp_path / "foreign.safetensors")


@pytest.mark.parametrize("strength", [0.03, 10.0])
def test_how_much_users_like_everything_is_no_matter_of_the_prior(strength):
    """Of nine thumbs up and one down on pictures that are alike the log of the odds is ln 9."""
    rows = torch.zeros(10, 6, dtype=torch.float64)
    rows[:, -1] = torch.tensor([1.0] * 9 + [-1.0])
    problem = _Problem(rows, ["a"] * 10, ("ann",), torch.zeros(1), torch.ones(1))
    found = problem.fit(np.ones(10, bool), strength)
    assert found[:-1].abs().max() == 0
    assert found[-1].item() == pytest.approx(math.log(9), rel=0.01)


def test_statistics_of_a_picture_that_is_half_red():
    image = torch.ones(1, 3, 8, 8)
    image[:, 1:, :, :4] = -1  # the left half is red, the right half white
    found = statistics_of(image)[0]
    assert found[:6].tolist() == [1, 0, 0, 0, 0, 0]
    assert found[6] == 0.5
    # of 7 x 8 vertical and 8 x 7 horizontal differences 8 are 2/3
    assert found[7] == pytest.approx(8 * 2 / 3 / 112)


def test_the_simulated_user_sees_warmth_and_clutter():
    plain = np.full((64, 64, 3), 255, np.uint8)
    assert (warmth(plain), clutter(plain) < 0.02) == (0, True)
    red, blue = plain.copy(), plain.copy()
    red[20:40, 20:40], blue[20:40, 20:40] = (220, 60, 30), (30, 60, 220)
    assert (warmth(red), warmth(blue)) == (1, 0)
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    assert clutter(noise) > 0.5
