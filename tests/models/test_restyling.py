"""Pictures changed by every family: how far, by which bits, and what is refused."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from limner.errors import CapabilityError, UsageError
from limner.metrics.structure import structure_agreement
from limner.modelfile import load_model
from limner.models.image_model import ImageModel, generators
from limner.models.latent_search import towards
from limner.models.one_shot import OneShotModel
from limner.models.rows import KnownPixels, SampleRequest
from limner.models.samplers import euler, heun, late
from limner.models.settings import Capability, Settings
from tiny_models import save_tiny
from training_tiny import Tiny

FAMILIES = sorted(n for n, kind in generators().items() if Capability.RESTYLE in kind.capabilities)
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
COUNT = 4


@pytest.fixture(scope="module", params=FAMILIES)
def model(request, tmp_path_factory) -> ImageModel:
    path = save_tiny(tmp_path_factory.mktemp("restyle") / "tiny.safetensors", request.param)
    model = load_model(path)[0].eval()
    if isinstance(model, OneShotModel):
        model.search_steps = 15  # of a GAN
    return model


@pytest.fixture(scope="module")
def pictures(model) -> torch.Tensor:
    """Of a few smooth areas."""
    random = torch.Generator().manual_seed(3)
    side, grid = model.config.size, 4
    blocks = torch.rand(COUNT, 3, grid, grid, generator=random).mul(2).sub(1)
    return torch.nn.functional.interpolate(blocks, side, mode="bicubic").clamp(-1, 1)


def changed(model, pictures, text, strengths) -> torch.Tensor:
    known = KnownPixels.whole(pictures)
    settings = [Settings(strength=each) for each in strengths]
    return model.sample(SampleRequest(text, range(len(pictures)), settings, known=known))


def test_every_generator_changes_pictures():
    assert FAMILIES == ["ar", "flow", "gan", "vae"]


def test_from_the_picture_as_the_model_has_it_to_a_new_drawing(model, pictures, make_features):
    text = make_features(COUNT, model.config.text_dim, length=4)
    ways = [changed(model, pictures, text, [each] * COUNT) for each in STRENGTHS]
    new = model.sample(SampleRequest(text, range(COUNT)))
    torch.testing.assert_close(ways[-1], new, atol=1e-5, rtol=0)
    if Capability.RECONSTRUCT in model.capabilities:
        torch.testing.assert_close(ways[0], model.reconstruct(pictures), atol=1e-5, rtol=0)
    elif model.family == "flow":
        torch.testing.assert_close(ways[0], pictures, atol=1e-5, rtol=0)
    else:  # a search among latents
        error, before = ((each - pictures).square().mean() for each in (ways[0], new))
        assert error < before
    kept = [float(structure_agreement(each, ways[0]).mean()) for each in ways]
    slack = 0.02 if model.family == "flow" else 0.0  # its denoiser is of random weights
    assert all(more >= less - slack for more, less in pairwise(kept)), kept
    assert kept[0] > 0.999 and kept[-1] < 0.95


def test_the_bits_are_the_same_alone_and_beside_others(model, pictures, make_features):
    text = make_features(COUNT, model.config.text_dim, length=4)
    strengths = [0.3, 0.9, 0.0, 1.0]
    together = changed(model, pictures, text, strengths)
    for row in (0, 2):
        request = SampleRequest(
            text[[row]], [row], Settings(strength=strengths[row]),
            known=KnownPixels.whole(pictures[[row]]),
        )  # fmt: skip
        assert torch.equal(model.sample(request)[0], together[row])


def test_a_strength_without_a_picture_and_families_that_cannot_are_refused(model, make_features):
    text = make_features(1, model.config.text_dim, length=4)
    with pytest.raises(UsageError, match="how much a picture is changed, and none is given"):
        model.sample(SampleRequest(text, [1], Settings(strength=0.5)))
    tiny = Tiny(Tiny.config_class(size=8, text_dim=model.config.text_dim))
    with pytest.raises(CapabilityError, match="does not take 'strength'"):
        tiny.sample(SampleRequest(text, [1], Settings(strength=0.5)))


def test_the_last_share_of_a_solver_ends_where_the_whole_does():
    for solver in (euler, heun):
        assert late(solver(4), 1.0) == solver(4)
        some = late(solver(4), 0.25)
        assert some[0].time == 0.75
        assert sum(stage.width for stage in some if not stage.corrects) == pytest.approx(0.25)


def test_codes_on_the_way_keep_their_length():
    random = torch.Generator().manual_seed(1)
    one, two = torch.randn(2, 3, 16, generator=random)
    ends = [towards(one, two, torch.full((3,), share)) for share in (0.0, 1.0)]
    assert torch.equal(ends[0], one) and torch.equal(ends[1], two)
    middle = towards(one, two, torch.full((3,), 0.5))
    lengths = (one.norm(dim=1) + two.norm(dim=1)) / 2
    torch.testing.assert_close(middle.norm(dim=1), lengths)
    torch.testing.assert_close(towards(one, one, torch.full((3,), 0.4)), one)
