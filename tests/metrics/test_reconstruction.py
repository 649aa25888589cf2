"""The reconstruction metric against its closed forms, batch by batch."""

import pytest
import torch

from limner.errors import CapabilityError
from limner.metrics.reconstruction import Reconstruction
from limner.models.base import build
from limner.models.flow import FlowConfig
from limner.models.similarity import psnr, ssim
from limner.models.vae import VAEConfig
from tiny_configs import tiny_autoencoder, tiny_config


@pytest.fixture
def images():
    return torch.rand(70, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


def reconstruction_report(model, images):
    metric = Reconstruction(model)
    metric.update(images)
    return metric.compute()


def test_report_is_the_mean_of_the_pictures_scores(images):
    model = build("vae", tiny_config(VAEConfig))
    report = reconstruction_report(model, images)
    drawn = model.reconstruct(images)
    assert report["pictures"] == 70
    assert report["psnr"] == pytest.approx(psnr(drawn, images).mean().item(), abs=1e-3)
    assert report["ssim"] == pytest.approx(ssim(drawn, images).mean().item(), abs=1e-4)
    assert "codes" not in report
    metric = Reconstruction(model)
    for part in images.split(7):
        metric.update(part, ["x"] * 7)
    assert metric.compute() == pytest.approx(report, abs=1e-3)


def test_codes_are_counted_over_all_pictures(images):
    latents = tiny_autoencoder("fsq")
    flow = tiny_config(FlowConfig).model_dump(exclude={"patch"})
    model = build("flow", {**flow, "latents": latents})
    report = reconstruction_report(model, images)
    counts = torch.bincount(model.autoencoder.codes(images).flatten(), minlength=12).double()
    assert report["codes"] == 12
    assert report["codes_used"] == pytest.approx((counts > 0).double().mean().item())
    share = counts / counts.sum()
    perplexity = torch.exp(-(share[share > 0] * share[share > 0].log()).sum()) / 12
    assert report["code_perplexity"] == pytest.approx(perplexity.item())


def test_a_model_without_an_autoencoder_is_refused():
    with pytest.raises(CapabilityError, match="no autoencoder"):
        Reconstruction(build("flow", tiny_config(FlowConfig)))
