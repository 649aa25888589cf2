"""Inpainting by every family: what is known stays, and a picture has the bits it has alone."""

from __future__ import annotations

import math

import pytest
import torch

from limner.errors import CapabilityError, UsageError
from limner.modelfile import load_model
from limner.models import latent_search
from limner.models.image_model import ImageModel, generators
from limner.models.rows import KnownPixels, SampleRequest
from limner.models.samplers import euler, heun, noised, resampled
from limner.models.settings import Capability, Settings
from limner.models.transform_code import TransformCode
from tiny_models import save_tiny
from training_tiny import Tiny

FAMILIES = sorted(n for n, kind in generators().items() if Capability.INPAINT in kind.capabilities)


@pytest.fixture(scope="module", params=FAMILIES)
def model(request, tmp_path_factory) -> ImageModel:
    path = save_tiny(tmp_path_factory.mktemp("inpaint") / "tiny.safetensors", request.param)
    return load_model(path)[0].eval()


def masked(model: ImageModel, count: int = 3) -> KnownPixels:
    """Random pictures with a hole in the middle of each."""
    side, random = model.config.size, torch.Generator().manual_seed(5)
    images = torch.rand(count, 3, side, side, generator=random) * 2 - 1
    hole = torch.zeros(count, 1, side, side, dtype=torch.bool)
    hole[:, :, side // 4 : side // 2, side // 4 : -2] = True
    return KnownPixels(images, hole)


def test_every_generator_inpaints():
    assert FAMILIES == ["ar", "flow", "gan", "vae"]


def test_the_bits_are_the_same_alone_and_do_not_depend_on_the_hole(model, make_features):
    known = masked(model)
    text = make_features(3, model.config.text_dim, length=4)
    request = SampleRequest(text, [1, 2, 3], Settings(), known=known)
    drawn = model.sample(request)
    for row in range(3):
        assert torch.equal(model.sample(request[[row]])[0], drawn[row])
    hidden = torch.where(known.hole, torch.zeros(()), known.images)
    again = model.sample(
        SampleRequest(text, [1, 2, 3], Settings(), known=KnownPixels(hidden, known.hole))
    )
    assert torch.equal(again, drawn), "what is in the hole is not looked at"
    assert bool(torch.isfinite(drawn).all())


def test_what_is_known_comes_back_as_near_as_the_family_can(model, make_features):
    known = masked(model)
    text = make_features(3, model.config.text_dim, length=4)
    drawn = model.sample(SampleRequest(text, [1, 2, 3], Settings(), known=known))
    free = model.sample(SampleRequest(text, [1, 2, 3], Settings()))
    error, before = (((x - known.images).abs() * ~known.hole).flatten(1).amax(1)
                     for x in (drawn, free))  # fmt: skip
    if model.family == "flow":
        assert float(error.max()) < 1e-5
    elif model.family == "ar":  # rounded to its levels
        assert float(error.max()) <= 1 / (model.config.levels - 1) + 1e-6
    else:
        mean = [((x - known.images).square() * ~known.hole).mean() for x in (drawn, free)]
        assert mean[0] < mean[1]
    assert float(before.max()) > 0.5


def test_holes_are_filled_with_the_mean_of_what_is_known_and_reach_the_cells_they_touch():
    images = torch.zeros(2, 3, 8, 8)
    images[0, 0, :, :4], images[0, 1] = 1.0, -0.5
    hole = torch.zeros(2, 1, 8, 8, dtype=torch.bool)
    hole[0, :, 2:4, 2:6] = True  # 4 of the 32 pixels of each half
    hole[1] = True
    known = KnownPixels(images, hole)
    filled = known.filled
    assert filled[0, :, 3, 5].tolist() == pytest.approx([28 / 56, -0.5, 0.0])
    assert torch.equal(filled[0][:, ~hole[0, 0]], images[0][:, ~hole[0, 0]])
    assert filled[1].abs().max() == 0, "nothing is known"
    cells = known.cells(4)[0, 0].int().tolist()
    assert cells == [[0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert known.cells(4, reach=1)[0, 0].int().tolist() == [[1, 1, 1, 1]] * 3 + [[0] * 4]
    assert bool(known.cells(4)[1].all())


def test_pictures_of_another_size_and_families_that_cannot_are_refused(model, make_features):
    text = make_features(1, model.config.text_dim, length=4)
    small = KnownPixels(torch.zeros(1, 3, 4, 4), torch.ones(1, 1, 4, 4, dtype=torch.bool))
    side = model.config.size
    with pytest.raises(UsageError, match=f"inpaints pictures of {side} x {side} pixels"):
        model.sample(SampleRequest(text, [1], known=small))
    tiny = Tiny(Tiny.config_class(size=8, text_dim=model.config.text_dim))
    with pytest.raises(CapabilityError, match="cannot do 'inpaint'"):
        tiny.sample(SampleRequest(text, [1], known=small))


def test_steps_are_taken_again_but_for_the_first_and_the_last():
    again = resampled(euler(4), 2)
    assert [stage.time for stage in again] == [0, 0.25, 0.25, 0.25, 0.5, 0.5, 0.5, 0.75]
    assert [stage.noised_from for stage in again] == [
        None, None, 0.5, 0.5, None, 0.75, 0.75, None,
    ]  # fmt: skip
    assert len(resampled(heun(4), 1)) == len(heun(4)) + 2 * 2
    assert resampled(heun(4), 0) == heun(4)


def test_more_noise_leads_to_the_law_of_the_earlier_time():
    """z_t = t x + (1 - t) n, for one x: mean t x and deviation 1 - t."""
    random = torch.Generator().manual_seed(0)
    late, early, x = 0.6, 0.25, 3.0
    first, second = torch.randn(2, 200_000, generator=random)
    found = noised(late * x + (1 - late) * first, second, late, early)
    assert float(found.mean()) == pytest.approx(early * x, abs=0.01)
    assert float(found.std()) == pytest.approx(1 - early, abs=0.01)


def test_a_search_ends_at_the_solution_of_ridge_regression():
    """For a linear decoder the minimum is w = (A'A / s^2 + I)^-1 A'x / s^2."""
    random = torch.Generator().manual_seed(1)
    weights = torch.randn(12, 4, generator=random)
    images = torch.randn(1, 3, 2, 2, generator=random)
    hole = torch.tensor([[[[True, False], [False, False]]]])
    rows = (~hole).expand(1, 3, 2, 2).flatten()
    a, x = weights[rows].double(), images.flatten()[rows].double()
    scale = latent_search.DEVIATION**2
    wanted = torch.linalg.solve(a.T @ a / scale + torch.eye(4), a.T @ x / scale)
    state = latent_search.start(torch.zeros(1, 4), images) | {"images": images, "hole": hole}
    for done in range(600):
        state |= latent_search.step(
            state, torch.tensor([done]), lambda code: (code @ weights.T).view(-1, 3, 2, 2)
        )
    torch.testing.assert_close(state["code"][0].double(), wanted, atol=0.02, rtol=0)


def test_a_search_shows_the_best_that_it_has_found():
    """With a decoder whose picture gets worse and better, for one row by its first code alone."""
    images, hole = torch.zeros(2, 3, 2, 2), torch.zeros(2, 1, 2, 2, dtype=torch.bool)
    state = latent_search.start(torch.zeros(2, 4), images - 1) | {"images": images, "hole": hole}
    errors = [[3.0, 1.0], [2.0, 5.0], [4.0, 2.0], [1.0, 0.5], [6.0, 7.0]]
    for done, error in enumerate(errors):
        shown = torch.tensor(error).view(2, 1, 1, 1)
        state |= latent_search.step(
            state, torch.tensor([done, done]),
            lambda code, shown=shown: shown + 0 * code.sum() + torch.zeros(2, 3, 2, 2),
        )  # fmt: skip
        least = torch.tensor(errors[: done + 1]).amin(0)
        assert state["picture"][:, 0, 0, 0].tolist() == least.tolist()
        scale = latent_search.DEVIATION**2
        torch.testing.assert_close(state["least"], 12 * least.square() / (2 * scale))
    assert state["best"].abs().max() == 0, "the codes have not moved"


def test_likeliest_coordinates_are_the_conditional_mean():
    random = torch.Generator().manual_seed(2)
    mixing = torch.randn(6, 6, generator=random)
    vectors = torch.randn(4000, 6, generator=random) @ mixing
    code = TransformCode(4000, 6, 6)
    code.fit(vectors)
    known = torch.tensor([True, True, False, True, False, True])
    given = vectors[7]
    mean, covariance = vectors.mean(0), torch.cov(vectors.T)
    noise = 0.09 * float(covariance.trace()) / 6
    inverse = torch.linalg.inv(covariance[known][:, known] + noise * torch.eye(4))
    wanted = mean[~known] + covariance[~known][:, known] @ inverse @ (given - mean)[known]
    found = code.vectors(code.likeliest(given, known)[None])[0]
    torch.testing.assert_close(found[~known], wanted, atol=0.02 * float(vectors.std()), rtol=0)
    again = code.vectors(code.coordinates(vectors[:3]))
    torch.testing.assert_close(again, vectors[:3], atol=1e-3, rtol=0)
    assert math.isclose(float(code.coordinates(vectors).var(0).mean()), 1, rel_tol=0.05)
