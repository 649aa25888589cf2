from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from limner.errors import ModelFileError
from limner.models.concepts import ConceptIndex, _descending

DIM = 12
CAPTIONS = ("cat", "dog", "boat")
NAMES = ("cat", "猫", "kitty", "dog", "hound", "boat", "ship")
CONCEPTS = (0, 0, 0, 1, 1, 2, 2)


def keywords() -> torch.Tensor:
    return torch.randn(4, DIM, generator=torch.Generator().manual_seed(9)) + 4.0


@pytest.fixture(scope="module")
def vectors() -> torch.Tensor:
    return torch.randn(len(NAMES), DIM, generator=torch.Generator().manual_seed(3)) + 4.0


@pytest.fixture(scope="module")
def index(vectors) -> ConceptIndex:
    return ConceptIndex.fit(
        captions=CAPTIONS, names=NAMES, concepts=CONCEPTS, vectors=vectors, rank=5,
        keywords=keywords(),
    )  # fmt: skip


def expected(index: ConceptIndex, vectors: torch.Tensor, query: torch.Tensor) -> np.ndarray:
    """Cosines by the definition, without a byte a number."""
    white = (vectors.double() - index.whitening.mean) @ index.whitening.matrix.double()
    mine = (query.double() - index.whitening.mean) @ index.whitening.matrix.double()
    return (white @ mine / white.norm(dim=1) / mine.norm()).numpy()


def test_the_nearest_names_are_those_of_the_largest_cosine(index, vectors):
    queries = torch.randn(20, DIM, generator=torch.Generator().manual_seed(5)) + 4.0
    for query, found in zip(queries, index.nearest(queries, count=3), strict=True):
        cosines = expected(index, vectors, query)
        best = [max(cosines[row] for row in range(7) if CONCEPTS[row] == c) for c in range(3)]
        assert [near.concept for near in found] == list(np.argsort(best)[::-1])
        for near in found:
            assert near.similarity == pytest.approx(best[near.concept], abs=0.01)
            assert near.caption == CAPTIONS[near.concept]
            assert CONCEPTS[NAMES.index(near.name)] == near.concept


def test_a_known_name_is_found_whatever_is_asked_beside_it(index, vectors):
    together = index.nearest(vectors)
    for row, (near,) in enumerate(together):
        assert (near.concept, near.name) == (CONCEPTS[row], NAMES[row])
        assert near.similarity > 0.99
        assert index.nearest(vectors[[row]]) == [[near]]


def test_words_of_captions_are_told_from_those_of_other_names(index):
    assert index.in_captions("Boat!") and index.in_captions("cat, dog")
    assert not index.in_captions("kitty") and not index.in_captions("cat kitty")


def test_keywords_are_compared_apart_from_names(index, vectors):
    assert min(index.keyword_similarity(keywords())) > 0.99
    queries = torch.randn(20, DIM, generator=torch.Generator().manual_seed(5)) + 4.0
    for query, found in zip(queries, index.keyword_similarity(queries), strict=True):
        best = max(expected(index, keywords(), query))
        assert found == pytest.approx(best, abs=0.01)
    assert all(near.name in NAMES for (near,) in index.nearest(keywords()))
    none = ConceptIndex.fit(captions=CAPTIONS, names=NAMES, concepts=CONCEPTS, vectors=vectors)
    assert none.keyword_similarity(keywords()) == [-1.0] * 4


def test_familiar_is_what_is_a_name_or_near_to_one_or_to_a_keyword(index, vectors):
    texts = ["nothing"] * len(vectors)
    assert min(index.familiarity(texts, vectors)) > 0.99
    assert min(index.familiarity(texts[:4], keywords())) > 0.99
    far = torch.randn(2, DIM, generator=torch.Generator().manual_seed(5)) + 4.0
    assert index.familiarity(["a Hound!", "nothing"], far)[0] == 1.0
    assert index.familiarity(["a Hound!", "nothing"], far)[1] < 0.9


def test_styles_are_those_that_all_of_some_things_have_else_any(vectors):
    have = torch.tensor([[1, 1, 0, 0], [0, 1, 1, 0], [1, 0, 0, 0]]).bool()
    index = ConceptIndex.fit(
        captions=CAPTIONS, names=NAMES, concepts=CONCEPTS, vectors=vectors, styles=have
    )
    index = ConceptIndex.from_tensors(index.tensors())
    assert index.styles_of(["cat"]) == [0, 1]
    assert index.styles_of(["cat", "dog", "nothing"]) == [1]
    assert index.styles_of(["dog", "boat"]) == [0, 1, 2]
    assert index.styles_of(["nothing"]) == []
    assert index.lacks("boat", 1) and not index.lacks("boat", 0) and not index.lacks("nothing", 0)


def test_coloured_styles_are_preferred(vectors):
    have = torch.tensor([[1, 1, 0], [0, 1, 1], [1, 0, 0]]).bool()
    index = ConceptIndex.fit(
        captions=CAPTIONS, names=NAMES, concepts=CONCEPTS, vectors=vectors, styles=have,
        coloured=torch.tensor([False, True, False]),
    )  # fmt: skip
    index = ConceptIndex.from_tensors(index.tensors())
    assert [index.styles_of([name]) for name in ("cat", "dog", "boat")] == [[1], [1], [0]]
    assert index.styles_of(["cat", "boat"]) == [0, 1]
    assert [index.colours_of(concept) for concept in range(3)] == [1, 1, 0]
    mostly = torch.tensor([False, False, True])
    assert [index.styles_of([name], mostly) for name in ("cat", "dog", "boat")] == [[1], [2], [0]]
    both = ConceptIndex.fit(
        captions=["balloons", "balloon"], names=["balloons", "balloon"], concepts=[0, 1],
        vectors=vectors[:2], styles=torch.eye(2).bool(), coloured=torch.tensor([False, True]),
    )  # fmt: skip
    assert both.named("balloons").caption == both.named("balloon").caption == "balloon"


def test_stored_and_read_it_finds_the_same(index, vectors):
    again = ConceptIndex.from_tensors(index.tensors())
    assert (again.captions, again.names, len(again)) == (CAPTIONS, NAMES, 3)
    assert again.nearest(vectors + 0.3, count=2) == index.nearest(vectors + 0.3, count=2)
    assert again.keyword_similarity(vectors) == index.keyword_similarity(vectors)


@pytest.mark.parametrize(
    "damage",
    [
        lambda t: t.pop("codes"),
        lambda t: t.update(codes=t["codes"][:-1]),
        lambda t: t.update(codes=t["codes"].float()),
        lambda t: t.update(keywords=t["keywords"][:, :-1]),
        lambda t: t.update(concepts=t["concepts"] + 1),
        lambda t: t.update(words=t["words"][:-3]),
        lambda t: t.update(matrix=t["matrix"][:, :-1]),
        lambda t: t.update(words=torch.tensor(list(json.dumps([[1], [2]]).encode())).byte()),
    ],
)
def test_a_damaged_index_is_refused(index, damage):
    tensors = index.tensors()
    damage(tensors)
    with pytest.raises(ModelFileError, match="index of known concepts is damaged"):
        ConceptIndex.from_tensors(tensors)


@pytest.mark.parametrize("count", [0, 3, 256, 1000])
def test_few_are_sorted_as_all_are(count):
    values = torch.randint(50, (count,), generator=torch.Generator().manual_seed(0)).float()
    assert list(_descending(values)) == values.argsort(descending=True, stable=True).tolist()


def test_the_nearest_of_some_is_that_of_the_largest_cosine(index, vectors):
    cosines = expected(index, vectors, vectors[0])  # of the first names: cat, dog, boat
    want = max((1, 2), key=lambda concept: cosines[CONCEPTS.index(concept)])
    found = index.nearest_of("cat", ["dog", "boat", "unknown"])
    assert found is not None
    assert found[0] == CAPTIONS[want]
    assert found[1] == pytest.approx(cosines[CONCEPTS.index(want)], abs=0.01)
    assert index.nearest_of("unknown", ["dog"]) is None
    assert index.nearest_of("cat", ["unknown"]) is None
