"""Changes of pictures against closed forms."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from limner.training.augment import DRAWS, augment, needed, outlined
from limner.training.recipe import AugmentSection, DataSection

TURN, STRETCH, OUTLINED, DARKNESS, GREY = 7, 8, 9, 10, 11
WARP, KNOTS = 12, 25
MOST = 1 - 1e-9


def drawn(count: int = 1, **numbers: float) -> Tensor:
    """Draws that change nothing, but for those named by their place."""
    names = {"turn": TURN, "stretch": STRETCH, "outlined": OUTLINED, "darkness": DARKNESS,
             "grey": GREY}  # fmt: skip
    table = torch.full((count, DRAWS), 0.5, dtype=torch.float64)
    for name, value in numbers.items():
        table[:, names[name]] = value
    return table


def section(**wanted: float) -> DataSection:
    return DataSection(store="none", augment=AugmentSection(**wanted))


def noise(count: int = 2) -> Tensor:
    return torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


def blob(side: int = 64) -> Tensor:
    """A round hill in the middle, on black: ``(1, 3, side, side)``."""
    place = torch.arange(side) - (side - 1) / 2
    hill = torch.exp(-(place[:, None] ** 2 + place**2) / (2 * 6.0**2))
    return (2 * hill - 1).expand(1, 3, side, side).contiguous()


def spread(images: Tensor) -> tuple[float, float]:
    """Deviations of the ink along x and y, pixels."""
    ink = (images[0, 0] + 1).double()
    place = torch.arange(ink.shape[0], dtype=torch.float64) - (ink.shape[0] - 1) / 2
    share = ink / ink.sum()
    across, down = share.sum(0), share.sum(1)
    return tuple(((line * place**2).sum()).sqrt().item() for line in (across, down))  # type: ignore[return-value]


def test_a_quarter_turn_is_one():
    found = augment(noise(), drawn(2, turn=MOST), section(turn=90))
    quarters = [torch.rot90(noise(), k, (2, 3)) for k in (1, 3)]
    assert any(torch.allclose(found, wanted, atol=1e-4) for wanted in quarters)
    back = augment(found, drawn(2, turn=0.0), section(turn=90))
    torch.testing.assert_close(back, noise(), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("number", "ratio"), [(MOST, 1.4), (0.0, 0.6), (0.5, 1.0)])
def test_stretching_changes_width_over_height_and_keeps_the_area(number, ratio):
    wide, high = spread(augment(blob(), drawn(stretch=number), section(stretch=0.4)))
    before = spread(blob())
    assert wide / high == pytest.approx(ratio, rel=0.01)
    assert wide * high == pytest.approx(before[0] * before[1], rel=0.01)


@pytest.mark.parametrize("angle", [30, 90])
def test_a_turn_does_not_change_what_is_stretched(angle):
    """A round thing is turned and then stretched, so the turn is not seen."""
    wanted = section(stretch=0.4, turn=angle)
    wide, high = spread(augment(blob(), drawn(stretch=MOST, turn=MOST), wanted))
    before = spread(blob())
    assert wide / high == pytest.approx(1.4, rel=0.01)
    assert wide * high == pytest.approx(before[0] * before[1], rel=0.01)


def test_a_warp_whose_knots_all_go_one_way_is_a_shift():
    draws = drawn(2)
    draws[:, WARP : WARP + KNOTS] = 1.0
    found = augment(noise(), draws, section(warp=1 / 16))  # one pixel of sixteen
    torch.testing.assert_close(found[..., :-1], noise()[..., 1:], atol=1e-4, rtol=0)
    assert torch.equal(
        augment(noise(), drawn(2), section(warp=0.1)), augment(noise(), drawn(2), section(turn=9))
    )


def test_a_warp_moves_the_middle_and_leaves_the_corners():
    draws = drawn(1)
    draws[:, WARP + KNOTS + KNOTS // 2] = 1.0  # the middle, along y
    found = augment(blob(), draws, section(warp=0.05))
    ink = found[0, 0].double() + 1
    place = torch.arange(64, dtype=torch.float64)
    across, down = ((ink.sum(axis) * place).sum() / ink.sum() for axis in (0, 1))
    assert across == pytest.approx(31.5, abs=0.05) and 28.0 < down < 30.5
    ramp = torch.linspace(-1, 1, 64).expand(1, 3, 64, 64)
    sideways = drawn(1)
    sideways[:, WARP + KNOTS // 2] = 1.0
    moved = augment(ramp, sideways, section(warp=0.05)) - ramp
    assert moved[0, 0, 32, 32] == pytest.approx(2 * 0.05 * 64 / 63, abs=0.01)
    assert moved[..., [0, 0, -1, -1], [0, -1, 0, -1]].abs().max() < 1e-5


def test_numbers_of_a_warp_are_needed_for_a_warp_only():
    plain = section(turn=20, grey=0.5)
    assert needed(plain.augment) == WARP and needed(section(warp=0.01).augment) == DRAWS
    numbers = torch.rand(2, DRAWS, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert torch.equal(augment(noise(), numbers[:, :WARP], plain), augment(noise(), numbers, plain))


def test_an_outline_runs_along_both_sides_of_an_edge_and_nowhere_else():
    picture = torch.ones(1, 3, 8, 8)
    picture[:, 1:, :, 4:] = -0.5  # white, then red
    found = outlined(picture, torch.tensor([1.0]))
    assert (found[..., 3:5] == -1).all()
    assert torch.equal(found[..., :3], picture[..., :3])
    assert torch.equal(found[..., 5:], picture[..., 5:])
    half = outlined(picture, torch.tensor([0.5]))
    torch.testing.assert_close(half[..., 3], torch.zeros(1, 3, 8))
    assert torch.equal(outlined(picture, torch.tensor([0.0])), picture)


def test_a_share_of_the_pictures_is_outlined():
    draws = drawn(2)
    draws[:, OUTLINED] = torch.tensor([0.29, 0.31])
    found = augment(noise(), draws, section(outline=0.3))
    assert torch.equal(found[1], noise()[1])
    torch.testing.assert_close(found[:1], outlined(noise()[:1], torch.tensor([0.75])))


def test_grey_keeps_the_luma():
    draws = drawn(2)
    draws[:, GREY] = torch.tensor([0.0, 0.9])
    found = augment(noise(), draws, section(grey=0.5))
    luma = (noise() * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1, keepdim=True)
    torch.testing.assert_close(found[:1], luma[:1].expand(-1, 3, -1, -1), atol=1e-3, rtol=0)
    torch.testing.assert_close(found[1], noise()[1], atol=1e-3, rtol=0)


def test_all_at_once_stays_in_range_and_each_picture_is_its_own():
    everything = section(
        shift_px=2, scale=0.2, hue=30, saturation=0.5, brightness=0.3, turn=20, stretch=0.2,
        warp=0.04, outline=0.5, grey=0.5,
    )  # fmt: skip
    draws = torch.rand(4, DRAWS, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = augment(noise(4), draws, everything)
    assert found.abs().max() <= 1 and not torch.equal(found, noise(4))
    torch.testing.assert_close(augment(noise(4)[2:3], draws[2:3], everything), found[2:3])
