"""Votes as training pictures: which pairs are learned from, and how often."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import training_tiny as tiny
from limner.generation.files import write_picture
from limner.generation.votes import Vote, VotedPicture, voted, write_votes
from limner.models.base import Batch, build
from limner.text import load_encoder
from limner.training.preferences import VotedPictures
from serving.gallery_writer import drawn


@pytest.fixture
def picture(tmp_path: Path):
    def make(prompt: str, seed: int) -> VotedPicture:
        path = tmp_path / f"{seed}.png"
        if not path.exists():
            write_picture(drawn(prompt, seed, side=16), path)
        return voted(path)

    return make


@pytest.fixture
def pairs_of(recipe, words, tmp_path):
    def read(*votes: Vote, **section: object) -> VotedPictures:
        write_votes(tmp_path / "votes.jsonl", votes)
        file = {"file": str(tmp_path / "votes.jsonl"), **section}
        model = build(tiny.NAME, {"size": 16, "text_dim": 8})
        return VotedPictures.of(
            votes, model, load_encoder(f"vectors:{words}", cache=False), recipe(preferences=file)
        )

    return read


def like(count: int = 2) -> Batch:
    return Batch(
        images=torch.zeros(count, 3, 16, 16), text=None, styles=torch.full((count,), -1),
        generator=torch.Generator(),
    )  # fmt: skip


def up(picture: VotedPicture, user: str = "ann") -> Vote:
    return Vote(user=user, better=picture)


def down(picture: VotedPicture, user: str = "ann") -> Vote:
    return Vote(user=user, worse=picture)


def rivals(found: VotedPictures) -> list[list[int]]:
    return [each.tolist() for each in found.rivals]


def test_rivals_are_of_choices_else_of_the_prompt_else_of_the_user(picture, pairs_of):
    a, b = picture("a red flag", 0), picture("a red flag", 1)
    c, d = picture("a blue flag", 2), picture("a green flag", 3)
    found = pairs_of(up(a), down(b), up(c), down(d), Vote(user="ann", better=d, worse=a))
    # a: the other of its prompt that is not liked; c: all of the user's; d: what it was chosen over
    assert rivals(found) == [[1], [], [1, 3], [0]]
    assert found.liked.tolist() == [0, -1, 1, 0]


@pytest.mark.parametrize("first", ["ann", "bob"])
def test_everybody_who_likes_a_picture_has_rivals_for_it(picture, pairs_of, first):
    """Bob has voted nothing down; that is no matter for what Ann prefers the picture to."""
    a, b = picture("a red flag", 0), picture("a red flag", 1)
    users = (first, {"ann": "bob", "bob": "ann"}[first])
    found = pairs_of(*(up(a, user) for user in users), down(b, "ann"))
    assert rivals(found) == [[1], []]


def test_pictures_are_drawn_in_proportion_to_the_exponential_of_their_votes(picture, pairs_of):
    """exp(mean vote / temperature) (Peters and Schaal 2007, eq. 8), of those that have rivals."""
    a, b, c = (picture("a red flag", n) for n in range(3))
    found = pairs_of(
        up(a), up(b), down(b, "bob"), up(b, "eve"), down(c),
        batch_size=4000, temperature=0.5,
    )  # fmt: skip
    assert found.liked.tolist() == pytest.approx([1, 1 / 3, -1])
    better, worse = found.pairs(3, 0, 1, 0, like())
    images = torch.from_numpy(found.images).permute(0, 3, 1, 2) / 127.5 - 1
    shares = [better.images.eq(each).flatten(1).all(1).float().mean().item() for each in images]
    wanted = np.exp(np.array([1, 1 / 3]) / 0.5)
    assert shares == pytest.approx([*(wanted / wanted.sum()), 0], abs=0.035)
    assert torch.equal(worse.images, worse.images[:1].expand_as(worse.images)), "c in all pairs"
    assert len(better.images) == 4000 and len(found.pairs(3, 0, 4, 0, like())[0].images) == 1000


def test_pairs_are_a_function_of_seed_step_and_part(picture, pairs_of):
    voted_on = [picture("a red flag", n) for n in range(6)]
    found = pairs_of(*map(up, voted_on[:3]), *map(down, voted_on[3:]), batch_size=24)

    def drawn_at(step: int, part: int, seed: int) -> tuple[bytes, bytes]:
        pair = found.pairs(step, part, 2, seed, like())
        return tuple(batch.images.numpy().tobytes() for batch in pair)

    assert drawn_at(3, 1, 5) == drawn_at(3, 1, 5)
    assert len({drawn_at(*where) for where in ((3, 1, 5), (3, 0, 5), (4, 1, 5), (3, 1, 6))}) == 4
