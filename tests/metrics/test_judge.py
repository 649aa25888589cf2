from __future__ import annotations

import hashlib
import json
import math

import pytest
import torch

from icon_store import drawing
from limner.errors import ModelFileError
from limner.evaluation.concept_prompts import load_prompts
from limner.metrics.judge import JUDGE_PATH, colour_layout, load_judge, oriented_gradients
from limner.tensorfile import read_metadata, write_tensors


def pictures(count: int) -> torch.Tensor:
    rows = [torch.from_numpy(drawing(n, 0)) for n in range(count)]
    return torch.stack(rows).permute(0, 3, 1, 2).float().div(127.5).sub(1)


def test_the_judge_is_frozen_small_and_free():
    """Another judge makes every published figure incomparable: change it knowingly."""
    raw = JUDGE_PATH.read_bytes()
    assert hashlib.sha256(raw).hexdigest()[:16] == "5b78643bb786f404" == load_judge().fingerprint
    assert len(raw) < 3_000_000
    licences = load_judge().licences
    assert licences
    assert not any("openmoji" in k or "-SA" in v.upper() for k, v in licences.items())


def test_it_never_saw_the_concepts_it_judges():
    about = json.loads(read_metadata(JUDGE_PATH)["judge"])
    evaluated = {p.key for p in load_prompts()}
    assert len(about["trained_on"]) > 1000
    assert not evaluated & set(about["trained_on"])
    assert not evaluated & set(about["held_out"])


def test_features_have_unit_length_and_belong_to_the_picture():
    judge, x = load_judge(), pictures(70)
    together = judge.features(x)
    assert together.dtype == torch.float32
    assert torch.allclose(together.norm(dim=1), torch.ones(70), atol=1e-5)
    for i in (0, 63, 64, 69):
        assert torch.equal(judge.features(x[i : i + 1])[0], together[i])


def test_other_sizes_are_resampled():
    judge, x = load_judge(), pictures(4)
    large = torch.nn.functional.interpolate(x, scale_factor=3, mode="nearest")
    cosine = (judge.features(x) * judge.features(large)).sum(1)
    assert bool((cosine > 0.97).all())
    with pytest.raises(ValueError, match=r"\(B, 3, H, W\)"):
        judge.features(x[:, :1])


def test_gradients_know_directions():
    """Closed form: stripes have all gradients across them, in the one bin of that angle."""
    ramp = torch.sin(torch.arange(64) * 0.5).expand(1, 3, 64, 64).contiguous()
    for image, bin_ in ((ramp, 0), (ramp.transpose(2, 3), 4)):
        cells = oriented_gradients(image).square().view(9, 8, 8).sum((1, 2))
        # 90 degrees lie half way between bins 4 and 5 of nine.
        mine = cells[bin_] + (cells[5] if bin_ == 4 else 0)
        assert mine / cells.sum() > 0.999


def test_colour_layout_ignores_white_ground():
    white = torch.ones(1, 3, 64, 64)
    assert torch.equal(colour_layout(white), torch.zeros(1, 192))
    spot = white.clone()
    spot[:, 1:, :8, :8] = -1
    layout = colour_layout(spot).view(3, 8, 8)
    assert layout[1, 0, 0] == layout[2, 0, 0] == pytest.approx(-(0.5**0.5))
    assert layout.count_nonzero() == 2


def test_foreign_and_missing_files_are_refused(tmp_path):
    with pytest.raises(ModelFileError, match="cannot read"):
        load_judge(tmp_path / "none.safetensors")
    other = tmp_path / "other.safetensors"
    write_tensors(other, {"x": torch.zeros(1)}, {"judge": "{}"})
    with pytest.raises(ModelFileError, match="no judge"):
        load_judge(other)


def test_gradients_have_no_sign_and_directions_have_no_end():
    """A ramp of direction a fills the bins next to a / 180 * 9, of which the ninth is the first."""
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    for degrees in (0, 10, 50, 90, 165, 175):
        angle = math.radians(degrees)
        ramp = ((math.cos(angle) * x + math.sin(angle) * y) / 100).expand(1, 3, 64, 64)
        inner = oriented_gradients(ramp)[0].view(9, 8, 8)[:, 2, 2]
        place = degrees / 20
        below, above = int(place) % 9, (int(place) + 1) % 9
        wanted = torch.zeros(9)
        wanted[below], wanted[above] = 1 - place % 1, place % 1
        found = inner.square() / inner.square().sum()  # whose roots are taken
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-3)
        again = oriented_gradients(-ramp)
        torch.testing.assert_close(again, oriented_gradients(ramp), rtol=0, atol=1e-3)
