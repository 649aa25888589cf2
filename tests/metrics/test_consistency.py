from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from colour_aligner import COLOURS, ByColour
from limner.errors import DataError
from limner.metrics.consistency import Consistency


def painted(names: Sequence[str]) -> torch.Tensor:
    rows = torch.tensor([COLOURS[name] for name in names])
    return rows[:, :, None, None].expand(-1, -1, 4, 4)


def measured(shown: Sequence[str], asked: Sequence[str]) -> dict[str, float]:
    metric = Consistency(ByColour())
    metric.update(painted(shown[:2]), asked[:2])
    metric.update(painted(shown[2:]), asked[2:])
    return metric.compute()


def test_a_model_that_listens_wins_always_and_one_that_does_not_half_the_time():
    names = ["red", "green", "blue", "red"]
    good = measured(names, names)
    assert good["clip_score"] == pytest.approx(100) and good["win_rate"] == 1.0
    assert good["margin"] == pytest.approx(4 / 3)  # cosines of two of the colours: -1/3
    deaf = measured(["red"] * 6, ["red", "green", "blue"] * 2)
    # Own prompt red: better than both others. Green or blue: worse than red, level with the other.
    assert deaf["win_rate"] == pytest.approx((1 + 0.25 + 0.25) / 3)
    assert deaf["clip_score"] == pytest.approx(100 / 9) and deaf["margin"] == pytest.approx(0)


def test_wins_is_the_expectation_of_shuffles():
    generator = torch.Generator().manual_seed(0)
    names = list(COLOURS)
    asked = [names[i] for i in torch.randint(0, 3, (40,), generator=generator)]
    shown = [names[i] for i in torch.randint(0, 3, (40,), generator=generator)]
    found = measured(shown, asked)["win_rate"]
    aligner, wins = ByColour(), []
    cosine = aligner.encode_images(painted(shown)) @ aligner.encode_texts(asked).T
    for i in range(40):
        others = [j for j in range(40) if asked[j] != asked[i]]
        level = [(cosine[i, i] - cosine[i, j]).item() for j in others]
        wins.append(sum(1.0 if d > 1e-6 else 0.5 if d > -1e-6 else 0.0 for d in level) / len(level))
    assert found == pytest.approx(sum(wins) / 40, abs=1e-6)


class AsClip(torch.nn.Module):
    """The same aligner as torchmetrics wants one: its model and its processor at once."""

    config = None

    def forward(self, images=None, text=None, **_: object) -> dict[str, torch.Tensor]:
        if images is not None:
            return {"pixel_values": torch.stack(images)}
        rows = torch.tensor([list(COLOURS).index(each) for each in text])[:, None]
        return {"input_ids": rows, "attention_mask": torch.ones_like(rows)}

    def get_image_features(self, pixels: torch.Tensor) -> torch.Tensor:
        return 3 * ByColour().encode_images(pixels)

    def get_text_features(self, rows: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return 5 * ByColour().encode_texts([list(COLOURS)[row] for row in rows[:, 0]])


def test_the_score_is_torchmetrics():
    theirs = pytest.importorskip("torchmetrics.functional.multimodal.clip_score")
    asked, shown = ["red", "green", "blue", "red"], ["red", "red", "blue", "green"]
    images, clip = painted(shown) + torch.linspace(0, 0.5, 4).view(4, 1, 1, 1), AsClip()
    scores, _ = theirs._clip_score_update(list(images), asked, clip, clip)
    metric = Consistency(ByColour())
    metric.update(images, asked)
    assert metric.compute()["clip_score"] == pytest.approx(scores.mean().item(), rel=1e-5)
    against = measured(["red", "red", "red"], ["green", "blue", "green"])
    assert against["clip_score"] == 0.0  # never below zero, as there


def test_nothing_to_compare_is_refused():
    metric = Consistency(ByColour())
    with pytest.raises(DataError, match="no picture"):
        metric.compute()
    metric.update(painted(["red"]), ["red"])
    with pytest.raises(DataError, match="two different"):
        metric.compute()
    with pytest.raises(DataError, match="finite"):
        metric.update(torch.full((1, 3, 2, 2), float("nan")), ["red"])
