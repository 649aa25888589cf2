"""Degradations against closed forms."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from limner.data.degrade import (
    FIELDS,
    Degradation,
    blurred,
    compressed,
    degrade,
    enlarged,
    faded,
    from_levels,
    luma,
    random_degradation,
    rounded,
    scratched,
)
from limner.data.textures import dead_leaves, fractal_noise
from limner.errors import UsageError

RNG = np.random.default_rng(0)
PICTURE = rounded(RNG.random((3, 40, 48), np.float32))
MIDDLE = np.full((3, 128, 128), 0.5, np.float32)


def test_nothing_changes_nothing():
    assert degrade(PICTURE, Degradation(), 1) is PICTURE
    assert not Degradation().levels.any()
    assert not Degradation().given


@pytest.mark.parametrize("sigma", [0.7, 1.5, 2.5])
def test_a_blurred_point_is_a_gaussian(sigma):
    point = np.zeros((3, 41, 41), np.float32)
    point[:, 20, 20] = 1
    found = blurred(point, sigma)
    at = np.arange(-20, 21)
    rows = found[0].sum(1)
    assert found.sum() == pytest.approx(3, rel=1e-5)
    assert (rows * at**2).sum() == pytest.approx(sigma**2, rel=0.05)
    inside = abs(at) <= np.ceil(3 * sigma)
    wanted = np.exp(-(at**2) / (2 * sigma**2)) * inside
    np.testing.assert_allclose(rows, wanted / wanted.sum(), atol=1e-6)
    np.testing.assert_allclose(blurred(MIDDLE, sigma), MIDDLE, atol=1e-6)


def test_noise_has_its_deviation_and_no_mean():
    found = degrade(MIDDLE, Degradation(noise=0.1), 3)
    assert found.std() == pytest.approx(0.1, rel=0.02)
    assert found.mean() == pytest.approx(0.5, abs=2e-3)
    channels = found.reshape(3, -1)
    assert abs(np.corrcoef(channels)[np.triu_indices(3, 1)]).max() < 0.03


@pytest.mark.parametrize("amount", [0.2, 0.7])
def test_fading_is_linear_and_can_be_undone(amount):
    found = faded(PICTURE, amount)
    paper = np.array([0.93, 0.87, 0.76], np.float32)[:, None, None]
    pale = (found - amount / 2 * paper) / (1 - amount / 2)
    bright = luma(pale)
    np.testing.assert_allclose(bright + (pale - bright) / (1 - amount), PICTURE, atol=1e-5)
    grey = np.broadcast_to(luma(PICTURE), PICTURE.shape)
    np.testing.assert_allclose(faded(PICTURE, 1.0), grey / 2 + paper / 2, atol=1e-5)


@pytest.mark.parametrize(("strength", "quality"), [(0.0, 100), (0.4, 62), (1.0, 5)])
def test_jpeg_is_that_of_pillow(strength, quality):
    buffer = io.BytesIO()
    image = Image.fromarray((PICTURE.transpose(1, 2, 0) * 255).round().astype(np.uint8))
    image.save(buffer, "JPEG", quality=quality)
    wanted = np.asarray(Image.open(buffer)).transpose(2, 0, 1)
    np.testing.assert_array_equal((compressed(PICTURE, strength) * 255).round(), wanted)


@pytest.mark.parametrize("scale", [2, 4])
def test_made_smaller_and_larger_a_ramp_stays_one(scale):
    ramp = np.broadcast_to(np.linspace(0.1, 0.9, 64, dtype=np.float32), (3, 32, 64))
    for seed in range(4):  # the seeds choose among the filters
        small = degrade(ramp, Degradation(scale=scale), seed)
        assert small.shape == (3, 32 // scale, 64 // scale)
        large = enlarged(small, 64, 32)
        np.testing.assert_allclose(large[:, :, 8:-8], ramp[:, :, 8:-8], atol=0.01)
    assert degrade(PICTURE[:, :39, :45], Degradation(scale=4), 0).shape == (3, 10, 12)


def test_grey_is_the_brightness():
    found = degrade(PICTURE, Degradation(grey=True), 0)
    wanted = 0.299 * PICTURE[0] + 0.587 * PICTURE[1] + 0.114 * PICTURE[2]
    np.testing.assert_allclose(found, np.stack([wanted] * 3), atol=0.5 / 255 + 1e-6)


def test_scratches_cover_what_they_say_and_leave_the_rest():
    wide = np.full((3, 512, 512), 0.5, np.float32)
    few, many = (scratched(wide, density, np.random.default_rng(1)) for density in (0.3, 1.2))
    shares = [(each != wide).any(0).mean() for each in (few, many)]
    assert 0.001 < shares[0] < shares[1] < 0.1
    assert shares[1] / shares[0] == pytest.approx(4, rel=0.6)
    assert few.min() >= 0
    assert few.max() <= 1


def test_they_follow_each_other():
    both = degrade(PICTURE, Degradation(blur=1.0, jpeg=0.5, fade=0.4), 0)
    np.testing.assert_array_equal(both, compressed(rounded(blurred(faded(PICTURE, 0.4), 1.0)), 0.5))


def test_a_seed_decides_and_each_thing_has_its_own_randomness():
    every = Degradation(noise=0.1, scratches=1.0)
    np.testing.assert_array_equal(degrade(PICTURE, every, 5), degrade(PICTURE, every, 5))
    assert not np.array_equal(degrade(PICTURE, every, 5), degrade(PICTURE, every, 6))
    noisy = degrade(MIDDLE, every.only("noise"), 5)
    changed = (degrade(MIDDLE, every, 5) != noisy).any(0).mean()
    assert 0 < changed < 0.1  # where the scratches are; elsewhere the noise is the same


def test_scales_are_two_and_four():
    with pytest.raises(UsageError, match="2 or 4 times smaller, not 3"):
        degrade(PICTURE, Degradation(scale=3), 0)


def test_levels_go_there_and_back():
    rng = np.random.default_rng(2)
    for _ in range(50):
        one = random_degradation(rng)
        again = from_levels(one.levels)
        assert vars(again) == pytest.approx(vars(one))
        assert (one.levels >= 0).all() and (one.levels <= 1).all()
    assert len(FIELDS) == len(Degradation().levels)
    assert from_levels(np.full(7, -3, np.float32)) == Degradation()


def test_what_is_learned_from_has_everything_alone_and_together():
    rng = np.random.default_rng(3)
    found = [frozenset(random_degradation(rng).given) for _ in range(2000)]
    alone = {name for each in found if len(each) == 1 for name in each}
    assert alone == set(FIELDS)
    assert 0.04 < sum(not each for each in found) / len(found) < 0.12
    assert sum(len(each) > 1 for each in found) / len(found) > 0.2


def test_fractal_noise_has_its_spectrum():
    power = 1.2
    noise = np.stack([fractal_noise(128, power, np.random.default_rng(n)) for n in range(8)])
    spectrum = np.square(abs(np.fft.fft2(noise))).mean((0, 1))
    frequency = np.hypot(np.fft.fftfreq(128), np.fft.fftfreq(128)[:, None])
    some = (frequency > 0.02) & (frequency < 0.4)
    slope = np.polyfit(np.log(frequency[some]), np.log(spectrum[some]), 1)[0]
    assert slope == pytest.approx(-2 * power, abs=0.1)
    assert noise.std((2, 3)) == pytest.approx(np.ones((8, 3)), rel=1e-3)


def test_dead_leaves_are_pictures_of_edges_and_areas():
    one, again, other = (dead_leaves(64, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
    assert one.shape == (3, 64, 64) and one.dtype == np.float32
    assert one.min() >= 0 and one.max() <= 1
    many = np.stack([dead_leaves(64, np.random.default_rng(seed)) for seed in range(12)])
    steps = abs(np.diff(many, axis=3)).ravel()
    # Most neighbours are alike, and some are far apart: heavy tails, as in photographs.
    assert np.median(steps) < 0.05
    assert np.mean(steps**4) / np.mean(steps**2) ** 2 > 8
