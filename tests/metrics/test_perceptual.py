from __future__ import annotations

import pytest
import torch

from limner.metrics.features import load_features
from limner.metrics.perceptual import Layered, mse, perceptual_distance
from limner.metrics.reconstruction import Reconstruction
from limner.models.base import build
from limner.models.similarity import psnr, ssim
from limner.models.vae import VAEConfig
from tiny_configs import tiny_config


def pictures(n: int, side: int = 16, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


class Pyramid(torch.nn.Module):
    """Two random layers, one half as large as the other."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two = torch.nn.Conv2d(3, 5, 3), torch.nn.Conv2d(5, 7, 3, stride=2)

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        first = self.one(images).relu()
        return [first, self.two(first).relu()]


def test_squared_error_is_what_psnr_is_made_of():
    a, b = pictures(4), pictures(4, seed=1)
    torch.testing.assert_close(psnr(a, b), 10 * torch.log10(4 / mse(a, b)))
    theirs = pytest.importorskip("torchmetrics.functional").mean_squared_error(a, b)
    assert mse(a, b).mean().item() == pytest.approx(theirs.item(), rel=1e-6)


def test_structure_and_signal_are_those_of_torchmetrics():
    image = pytest.importorskip("torchmetrics.functional.image")
    a, b = pictures(5, 24), (pictures(5, 24) + 0.4 * pictures(5, 24, seed=1)).clamp(-1, 1)
    # Theirs mirrors the border and counts it; ours counts windows that lie wholly inside.
    _, everywhere = image.structural_similarity_index_measure(
        a + 1, b + 1, data_range=2.0, reduction="none", return_full_image=True
    )
    wanted = everywhere[..., 5:-5, 5:-5].mean((1, 2, 3))
    torch.testing.assert_close(ssim(a, b), wanted, rtol=1e-4, atol=1e-5)
    signal = image.peak_signal_noise_ratio(a, b, data_range=2.0, reduction="none", dim=(1, 2, 3))
    torch.testing.assert_close(psnr(a, b), signal, rtol=1e-5, atol=1e-4)


def test_pictures_that_are_their_own_layer_are_apart_by_their_angle():
    a, b = pictures(3), pictures(3, seed=1)
    angle = torch.nn.functional.cosine_similarity(a, b, dim=1)  # B H W
    found = perceptual_distance(a, b, lambda images: [images])
    torch.testing.assert_close(found, (2 - 2 * angle).mean((1, 2)), rtol=1e-5, atol=1e-6)
    assert perceptual_distance(a, a, lambda images: [images]).tolist() == [0.0] * 3
    # Lengths do not count, only directions.
    torch.testing.assert_close(
        perceptual_distance(a, 0.5 * b, lambda images: [images]), found, rtol=1e-5, atol=1e-6
    )


def test_the_same_as_torchmetrics_own_lpips_on_the_same_layers_and_weights():
    lpips = pytest.importorskip("torchmetrics.functional.image.lpips")
    net, rng = Pyramid().eval(), torch.Generator().manual_seed(3)
    weights = [torch.rand(5, generator=rng), torch.rand(7, generator=rng)]
    theirs = lpips._LPIPS.__new__(lpips._LPIPS)  # its constructor wants torchvision's networks
    torch.nn.Module.__init__(theirs)
    theirs.net, theirs.L, theirs.spatial, theirs.resize = net, 2, False, None
    theirs.scaling_layer = torch.nn.Identity()
    theirs.lins = torch.nn.ModuleList(lpips.NetLinLayer(len(w)) for w in weights)
    for layer, weight in zip(theirs.lins, weights, strict=True):
        layer.model[0].weight.data = weight[None, :, None, None]
    a, b = pictures(6), pictures(6, seed=1)
    with torch.no_grad():
        wanted = theirs(a, b)[:, 0, 0, 0]
        found = perceptual_distance(a, b, net, weights)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("spec", ["fashion", "judge"])
def test_shipped_networks_tell_a_blur_from_a_shift_of_colour(spec: str):
    network = load_features(spec)
    assert isinstance(network, Layered)
    x = pictures(4, 32)
    little, much = x + 0.02, torch.nn.functional.avg_pool2d(x, 5, 1, 2)
    near = perceptual_distance(x, little, network.layers)
    far = perceptual_distance(x, much, network.layers)
    assert (near > 0).all() and (near < far).all()
    own, other = network.layers(x)[-1], network.layers(x[:1])[-1]
    torch.testing.assert_close(own[:1], other, rtol=1e-4, atol=1e-5)


def test_weights_must_fit_the_layers():
    with pytest.raises(ValueError, match="1 weights for 2 layers"):
        perceptual_distance(pictures(1), pictures(1), Pyramid(), [torch.ones(5)])


def test_reconstruction_reports_both():
    model, images = build("vae", tiny_config(VAEConfig)), pictures(70)
    metric = Reconstruction(model, load_features("judge").layers)
    for part in images.split(30):
        metric.update(part)
    drawn, found = model.reconstruct(images), metric.compute()
    assert found["mse"] == pytest.approx(mse(drawn, images).mean().item(), rel=1e-4)
    wanted = perceptual_distance(drawn, images, load_features("judge").layers).mean().item()
    assert found["perceptual"] == pytest.approx(wanted, rel=1e-3)
    assert "perceptual" not in Reconstruction(model)._scores
