"""Things are found in true pictures, and neither in empty, noisy, blurred nor other ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from icon_store import drawing
from limner.errors import DataError
from limner.metrics.judge import load_judge
from limner.metrics.sharpness import edge_sharpness, fine_detail
from limner.metrics.sightings import DrawingGallery, Thing, ThingSearch
from limner.metrics.windows import parts_of
from limner.vision.pixels import to_tensor

CONCEPTS = 60


def squares(*places: tuple[int, int, int], background: float = 1.0) -> torch.Tensor:
    """A picture of dark squares, each of a top, a left and a side."""
    image = torch.full((1, 3, 64, 64), background)
    for top, left, side in places:
        image[..., top : top + side, left : left + side] = -0.5
    return image


def test_each_thing_on_the_background_is_a_part_of_its_own():
    parts = parts_of(squares((4, 4, 20), (36, 30, 24)))
    assert parts.kind[0] == 0 and torch.equal(parts.images[0], squares((4, 4, 20), (36, 30, 24))[0])
    alone = parts.images[parts.kind == 1]
    assert len(alone) == 3  # both together, and each
    for one in alone[1:]:  # as large as an icon, on white
        dark = (one[0] < 0.2).nonzero()
        assert one[:, 0, 0].tolist() == [1, 1, 1]
        assert abs(int((dark.max(0).values - dark.min(0).values).max()) - 58) <= 2
    assert set(parts.owner.tolist()) == {0} and (parts.kind == 2).sum() >= 4


def test_a_background_of_any_colour_is_taken_off_and_an_empty_picture_is_one_part():
    parts = parts_of(torch.cat([squares((20, 20, 24), background=0.4), squares()]))
    alone = parts.images[(parts.kind == 1) & (parts.owner == 0)]
    assert len(alone) == 1 and alone[0, :, 0, 0].tolist() == [1, 1, 1]
    assert parts.kind[parts.owner == 1].tolist() == [0]


def test_sharpness_is_one_for_steps_a_quarter_for_slopes_and_falls_with_blur():
    steps = squares((16, 16, 32))
    slope = torch.linspace(-1, 1, 64).expand(1, 3, 64, 64)
    assert edge_sharpness(steps).item() == pytest.approx(1)
    assert edge_sharpness(slope).item() == pytest.approx(0.25, abs=0.02)
    assert edge_sharpness(squares()).item() == 0
    edged = F.pad(steps, (4, 4, 4, 4), value=1.0)
    blurs = [F.avg_pool2d(edged, side, 1)[..., :60, :60] for side in (3, 5, 9)]
    soft = [edge_sharpness(blurred).item() for blurred in blurs]
    assert 0.6 > soft[0] > soft[1] > soft[2]


def test_fine_detail_is_one_for_noise_and_a_quarter_for_what_is_smooth_at_any_contrast():
    noise = torch.randn(1, 1, 128, 128, generator=torch.Generator().manual_seed(0))
    place = torch.linspace(-1, 1, 128)
    saddle = (place[:, None] * place).expand(1, 1, 128, 128)  # its mixed difference is k^2
    rounding = 0.3 / 127.5
    step = (2 / 127) ** 2
    assert fine_detail(noise).item() == pytest.approx(1, abs=0.03)
    assert fine_detail(noise / 4).item() == pytest.approx(1, abs=0.03)
    assert fine_detail(saddle).item() == pytest.approx(4 * step / (16 * step + rounding), rel=1e-3)
    assert fine_detail(1000 * saddle).item() == pytest.approx(0.25, abs=0.001)
    assert fine_detail(squares()).item() == 0


@pytest.fixture(scope="module")
def search() -> ThingSearch:
    """Drawings of two hands; a third hand's are the true pictures. Thing i is concept i."""
    judge = load_judge()
    images = to_tensor([drawing(n, hand) for n in range(CONCEPTS) for hand in (0, 1)])
    views = (judge.features(images), judge.features(images.flip(3)))
    gallery = DrawingGallery(views, torch.arange(CONCEPTS).repeat_interleave(2), CONCEPTS)
    return ThingSearch(gallery, judge, [Thing([n], [n]) for n in range(CONCEPTS)])


def test_true_pictures_are_nearest_to_their_concepts_and_noise_to_none(search: ThingSearch):
    true = to_tensor([drawing(n, 2) for n in range(8)])
    seen = search.look(true)
    assert seen.seen[range(8), range(8)].all() and bool((seen.nearest > 0.9).all())
    noise = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    nothing = search.look(torch.cat([noise, torch.ones(2, 3, 64, 64)]))
    assert bool((nothing.nearest < seen.nearest.min()).all())
    assert nothing.sharpness[2:].tolist() == [0, 0] and not nothing.seen[2:].any()
    assert nothing.seen.float().mean() < 0.1


def test_two_things_are_both_seen_and_a_picture_counts_for_itself(search: ThingSearch):
    both = np.full((128, 128, 3), 255, np.uint8)
    both[32:96, :64], both[32:96, 64:] = drawing(3, 2), drawing(9, 2)
    images = torch.cat([to_tensor([both]), F.interpolate(to_tensor([drawing(5, 2)]), size=128)])
    together = search.look(images)
    assert together.seen[0, [3, 9]].all() and together.seen[1, 5]
    alone = search.look(images[1:])
    assert torch.equal(together.seen[1], alone.seen[0])
    assert torch.allclose(together.nearest[1], alone.nearest[0], atol=1e-6)


def test_concepts_that_are_alike_do_not_stand_in_the_way(search: ThingSearch):
    image = to_tensor([drawing(2, 2)])
    things = [Thing([40], [40]), Thing([40], [*range(CONCEPTS)])]
    rivals = ThingSearch(search.gallery, search.judge, things)
    assert rivals.look(image).seen.shape == (1, 2)
    with pytest.raises(DataError, match="not finite"):
        search.look(torch.full((1, 3, 64, 64), float("nan")))


def test_windows_are_spread_evenly_over_the_picture():
    """Three by three at each scale, from corner to corner; told by a ramp of colours."""
    ramp = torch.linspace(-1, 1, 64)
    picture = torch.stack([ramp.expand(64, 64), ramp[:, None].expand(64, 64), torch.zeros(64, 64)])
    parts = parts_of(picture[None])
    windows = parts.images[parts.kind == 2].mean((2, 3))  # the colours of their middles
    step = 2 / 63
    middles = [torch.tensor([first, 0, -first]) for first in (-8 * step, -16 * step)]
    wanted = [(x, y) for each in middles for y in each.tolist() for x in each.tolist()]
    assert len(windows) == 18
    torch.testing.assert_close(windows[:, :2], torch.tensor(wanted), atol=1e-3, rtol=0)


def test_a_cut_out_thing_is_in_the_middle_of_a_white_picture():
    picture = torch.full((1, 3, 64, 64), -0.5)
    picture[..., 10:30, 40:60] = 0.8
    parts = parts_of(picture)
    (thing,) = parts.images[parts.kind == 1]
    inside = thing[0] < 0.99
    rows, columns = inside.any(1).nonzero().flatten(), inside.any(0).nonzero().flatten()
    assert rows[0] + rows[-1] == 63 and columns[0] + columns[-1] == 63
    assert len(rows) == len(columns) == pytest.approx(0.9 * 64, abs=3)
    assert thing[:, 32, 32].tolist() == pytest.approx([0.8] * 3, abs=1e-3)
    assert bool((thing[:, 0] == 1).all())
