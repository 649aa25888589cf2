from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from limner.errors import DataError, PromptError, UsageError
from limner.text import load_encoder


def test_random_vectors_belong_to_the_text_alone():
    encoder = load_encoder("random:64", cache=False)
    both = encoder.encode(["a cat", "a dog"])
    alone = load_encoder("random:64", cache=False).encode([" a  dog "])
    assert torch.equal(both.pooled[1], alone.pooled[0])
    assert both.tokens.shape == (2, 1, 64)
    torch.testing.assert_close(both.pooled.norm(dim=1), torch.ones(2))
    assert abs((both.pooled[0] @ both.pooled[1]).item()) < 0.5
    other = load_encoder("random:64?seed=1", cache=False)
    assert other.fingerprint != encoder.fingerprint
    assert not torch.equal(other.encode(["a cat"]).pooled[0], both.pooled[0])
    assert load_encoder(other.spec, cache=False).fingerprint == other.fingerprint


def test_classes_are_orthogonal_and_other_texts_random(tmp_path: Path):
    path = tmp_path / "texts.json"
    path.write_text(json.dumps({"a cat": "cat", "kitty": "cat", "a dog": "dog"}))
    encoder = load_encoder(f"class:{path}?dim=16", cache=False)
    cat, kitty, dog, new = encoder.encode(["a cat", "kitty", "a dog", "a fox"]).pooled
    assert torch.equal(cat, kitty)
    assert abs((cat @ dog).item()) < 1e-6
    assert abs((cat @ new).item()) > 1e-6
    assert torch.equal(new, load_encoder("random:16", cache=False).encode(["a fox"]).pooled[0])
    before = encoder.fingerprint
    assert load_encoder(encoder.spec, cache=False).fingerprint == before
    path.write_text(json.dumps({"a cat": "cat"}))
    assert load_encoder(encoder.spec, cache=False).fingerprint != before


def test_what_cannot_be_is_refused(tmp_path: Path):
    path = tmp_path / "texts.json"
    path.write_text("[]")
    with pytest.raises(DataError, match="JSON object"):
        load_encoder(f"class:{path}")
    path.write_text(json.dumps({"a": "1", "b": "2", "c": "3"}))
    with pytest.raises(DataError, match="3 concepts, more than fit in 2"):
        load_encoder(f"class:{path}?dim=2")
    with pytest.raises(UsageError, match="no option 'dim'"):
        load_encoder("random:8?dim=3")
    with pytest.raises(UsageError, match="1 to 65536"):
        load_encoder("random:0")
    with pytest.raises(PromptError):
        load_encoder("random:8", cache=False).encode([" "])
