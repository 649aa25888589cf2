from __future__ import annotations

import pytest

from limner.errors import UsageError
from limner.evaluation.concept_prompts import (
    check_languages,
    load_prompts,
    prompts_hash,
)
from limner.metrics.recall import plain_key

EVERYDAY = [
    "2764",
    "1F431",
    "1F408",
    "1F436",
    "1F415",
    "1F355",
    "1F3E0",
    "1F333",
    "2600",
    "1F319",
    "1F680",
    "1F34F",
    "1F34E",
    "1F34C",
    "1F697",
    "1F6B2",
    "23F0",
    "1F570",
    "1F420",
    "1F337",
    "1F33B",
    "1F339",
    "2602",
    "263A",
    "1F622",
    "26BD",
    "1F307",
    "1F353",
    "1F68C",
    "1F3B8",
]


def test_the_list_is_frozen():
    """Changing it makes every published figure incomparable: do so knowingly."""
    assert prompts_hash() == "98dcd036c790a51a"


def test_500_concepts_and_no_text_twice():
    prompts = load_prompts()
    assert len({p.key for p in prompts}) == len(prompts) == 500
    assert {"en", "zh", "es"} <= set(prompts[0].texts)
    for lang in ("en", "zh"):
        assert len({p.texts[lang].casefold() for p in prompts}) == 500
    assert all(text.strip() == text and text for p in prompts for text in p.texts.values())


def test_everyday_concepts_are_in_it():
    known = {p.key: p for p in load_prompts()}
    assert not set(EVERYDAY) - set(known)
    assert known["1F34E"].texts["en"] == "a red apple"
    assert known["2602"].texts["en"] == "an umbrella"
    assert known["1F431"].texts["zh"].startswith("猫")


def test_keys_have_one_spelling():
    assert plain_key("2764-fe0f") == plain_key(" 2764 ") == "2764"
    assert plain_key("1f3f4-200d-2620-fe0f") == "1F3F4-200D-2620"
    assert all(plain_key(p.key) == p.key for p in load_prompts())


@pytest.mark.parametrize("wanted", [["en", "tlh"], []])
def test_languages_without_prompts_are_refused(wanted):
    with pytest.raises(UsageError, match="choose from: en"):
        check_languages(wanted)
