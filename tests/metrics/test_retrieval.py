from __future__ import annotations

import pytest
import torch

from limner.metrics.retrieval import ranks, recall_at


def test_ranks_count_the_wrong_answers_before_the_first_right_one():
    scores = torch.tensor([[0.9, 0.5, 0.7, 0.1], [0.2, 0.3, 0.1, 0.0]])
    found = ranks(scores, ["cat", "dog"], ["sun", "cat", "moon", "dog"])
    assert found.tolist() == [2, 3]
    assert [recall_at(found, k) for k in (1, 2, 3, 4)] == [0, 0, 0.5, 1]


def test_several_answers_may_be_right():
    scores = torch.tensor([[0.9, 0.5, 0.7, 0.8]])
    assert ranks(scores, ["cat"], ["cat", "dog", "cat", "dog"]).item() == 0
    assert ranks(scores, ["cat"], ["dog", "cat", "cat", "dog"]).item() == 2


def test_equal_scores_are_no_better_than_chance():
    found = ranks(torch.zeros(10, 10), range(10), range(10))
    assert recall_at(found, 1) == 0 and recall_at(found, 5) == 0 and recall_at(found, 6) == 1


def test_a_permutation_of_the_answers_changes_nothing():
    g = torch.Generator().manual_seed(0)
    scores, keys = torch.rand(20, 30, generator=g), [i % 12 for i in range(30)]
    order = torch.randperm(30, generator=g)
    asked = [i % 12 for i in range(20)]
    turned = ranks(scores[:, order], asked, [keys[i] for i in order])
    assert torch.equal(ranks(scores, asked, keys), turned)


def test_questions_without_an_answer_are_refused():
    with pytest.raises(ValueError, match="right answer to 'dog'"):
        ranks(torch.zeros(1, 1), ["dog"], ["cat"])
    with pytest.raises(ValueError, match="1 by 2"):
        ranks(torch.zeros(1, 1), ["dog"], ["cat", "dog"])
