"""Image encoders against the networks behind them, at tiny size and with random weights."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from limner.errors import DataError, LimnerError, MissingExtraError, ModelFileError, UsageError
from limner.image_encoders import load_image_encoder
from limner.modelfile import save_model
from limner.modelinfo import ModelInfo
from limner.models.base import build, families
from limner.vision.base import ImageEncoder, ImageFeatures
from tiny_configs import tiny_config

transformers = pytest.importorskip("transformers")

KINDS = ["resnet", "vit", "dinov2", "clip", "siglip"]
SIDE = 32
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _network(kind):
    torch.manual_seed(0)
    small = {
        "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 48, "image_size": SIDE, "patch_size": 8,
    }  # fmt: skip
    words = {k: v for k, v in small.items() if k not in {"image_size", "patch_size"}} | {
        "vocab_size": 99, "max_position_embeddings": 16,
    }  # fmt: skip
    if kind == "resnet":
        config = transformers.ResNetConfig(
            embedding_size=8, hidden_sizes=[8, 16, 16, 24], depths=[1, 1, 1, 1]
        )
        return transformers.ResNetModel(config)
    if kind == "vit":
        return transformers.ViTModel(transformers.ViTConfig(**small))
    if kind == "dinov2":
        return transformers.Dinov2Model(transformers.Dinov2Config(**small))
    if kind == "clip":
        config = transformers.CLIPConfig(text_config=words, vision_config=small)
        return transformers.CLIPModel(config)
    config = transformers.SiglipConfig(text_config=words, vision_config=small)
    return transformers.SiglipModel(config)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder in the hub's format for every kind of backbone."""
    found = {}
    for kind in KINDS:
        found[kind] = tmp_path_factory.mktemp(kind)
        network = _network(kind)
        if kind == "resnet":  # running statistics other than the fresh ones
            network.train()(torch.randn(8, 3, SIDE, SIDE))
        network.save_pretrained(found[kind])
        facts = {
            "do_center_crop": kind == "resnet", "image_mean": MEAN, "image_std": STD,
            "size": {"shortest_edge": 40} if kind == "resnet" else {"height": SIDE, "width": SIDE},
            "crop_size": {"height": SIDE, "width": SIDE},
        }  # fmt: skip
        (found[kind] / "preprocessor_config.json").write_text(json.dumps(facts))
    return found


def pictures(count, side=SIDE, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, side, side), generator=g) / 127.5 - 1


@pytest.mark.parametrize("kind", KINDS)
def test_it_equals_the_network_behind_it(folders, kind):
    encoder, images = load_image_encoder(f"hf:{folders[kind]}"), pictures(3)
    assert isinstance(encoder, ImageEncoder)
    network = transformers.AutoModel.from_pretrained(folders[kind]).eval()
    network = getattr(network, "vision_model", network)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (MEAN, STD))
    with torch.inference_mode():
        states = network(pixel_values=((images + 1) / 2 - mean) / std).last_hidden_state
    if kind == "resnet":
        expected, pooled = states.flatten(2).transpose(1, 2), states.mean((2, 3))
    elif kind == "siglip":
        expected, pooled = states, states.mean(1)
    else:
        expected, pooled = states[:, 1:], states[:, 0]
    seen = encoder.encode(images)
    assert encoder.dim == seen.pooled.shape[1] == 24
    assert seen.tokens.shape[1] == (1 if kind == "resnet" else 16)
    assert torch.allclose(seen.tokens, expected, atol=1e-5)
    assert torch.allclose(seen.pooled, pooled, atol=1e-5)
    alone = encoder.encode(images[[1]])
    assert torch.allclose(alone.tokens[0], seen.tokens[1], atol=1e-5)
    assert len(encoder.encode(images[:0])) == 0


@pytest.mark.parametrize("kind", ["resnet", "vit"])
def test_layers_and_fingerprints(folders, kind):
    place = f"hf:{folders[kind]}"
    last, first = load_image_encoder(place), load_image_encoder(f"{place}?layer=1")
    again = load_image_encoder(first.spec)
    assert again.spec == first.spec
    assert again.fingerprint == first.fingerprint != last.fingerprint
    assert first.encode(pictures(2)).tokens.shape[2] == first.dim
    assert torch.equal(again.encode(pictures(2)).tokens, first.encode(pictures(2)).tokens)
    with pytest.raises(UsageError, match="no layer 9"):
        load_image_encoder(f"{place}?layer=9")


def test_pictures_of_any_size_are_scaled_whole(folders):
    encoder = load_image_encoder(f"hf:{folders['vit']}")
    flat = torch.full((1, 3, 50, 50), 0.3)
    large, small = encoder.encode(flat), encoder.encode(flat[..., :12, :12])
    assert torch.allclose(large.pooled, small.pooled, atol=1e-4)
    framed = flat.clone()
    framed[..., :3, :] = -1
    assert not torch.allclose(encoder.encode(framed).pooled, large.pooled, atol=1e-3)


def test_torchvision_is_never_asked_for(folders, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)  # importing it fails
    for kind in KINDS:
        seen = load_image_encoder(f"hf:{folders[kind]}").encode(torch.zeros(1, 3, 20, 20))
        assert seen.pooled.isfinite().all(), kind


def test_a_model_that_does_not_say_how_it_wants_pictures_is_refused(folders, tmp_path):
    _network("vit").save_pretrained(tmp_path)
    with pytest.raises(DataError, match="preprocessor_config"):
        load_image_encoder(f"hf:{tmp_path}")
    facts = {"image_mean": MEAN, "image_std": (1.0, 0.0, 1.0), "size": SIDE}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(facts))
    with pytest.raises(DataError, match="does not state its size and normalisation"):
        load_image_encoder(f"hf:{tmp_path}")
    with pytest.raises(DataError, match="cannot be loaded"):
        load_image_encoder(f"hf:{tmp_path / 'nothing'}")


def test_random_features_belong_to_the_picture():
    encoder, images = load_image_encoder("random:7?tokens=3&seed=5"), pictures(40)
    assert isinstance(encoder, ImageEncoder)
    seen = encoder.encode(images)
    assert seen.tokens.shape == (40, 3, 7)
    assert torch.equal(encoder.encode(images[[8, 3]]).tokens, seen.tokens[[8, 3]])
    nearly = images[[8]].clone()
    nearly[0, 0, 0, 0] += 2 / 255
    assert not torch.allclose(encoder.encode(nearly).pooled, seen.pooled[[8]], atol=0.1)
    other = load_image_encoder("random:7?tokens=3")
    assert not torch.allclose(other.encode(images).pooled, seen.pooled, atol=0.1)
    assert other.fingerprint != encoder.fingerprint
    assert load_image_encoder(encoder.spec).fingerprint == encoder.fingerprint
    numbers = torch.cat((seen.tokens.flatten(), seen.pooled.flatten()))
    assert numbers.mean().abs() < 4 / len(numbers) ** 0.5
    assert numbers.std() == pytest.approx(1, abs=0.06)


def test_the_latents_of_a_model_of_ours(tmp_path):
    torch.manual_seed(0)
    vae = build("vae", tiny_config(families()["vae"].config_class)).eval()
    info = ModelInfo(
        family="vae", config=vae.config.model_dump(mode="json"), encoder="e5-small",
        encoder_fingerprint="0" * 16,
    )  # fmt: skip
    save_model(tmp_path / "vae.safetensors", vae, info)
    encoder, images = load_image_encoder(f"own:{tmp_path}/vae.safetensors"), pictures(3, 16)
    assert isinstance(encoder, ImageEncoder)
    with torch.inference_mode():
        latents = vae.autoencoder.encode(images)
    seen = encoder.encode(images)
    assert torch.equal(seen.tokens, latents.flatten(2).transpose(1, 2))
    assert encoder.dim == seen.pooled.shape[1] == vae.config.latent_channels
    assert load_image_encoder(encoder.spec).fingerprint == encoder.fingerprint
    flow = build("flow", tiny_config(families()["flow"].config_class))
    facts = {"family": "flow", "config": flow.config.model_dump(mode="json")}
    save_model(tmp_path / "flow.safetensors", flow, info.model_copy(update=facts))
    with pytest.raises(UsageError, match="no autoencoder"):
        load_image_encoder(f"own:{tmp_path}/flow.safetensors")
    with pytest.raises(ModelFileError):
        load_image_encoder(f"own:{tmp_path}/missing.safetensors")


def test_timm_where_it_is_not(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingExtraError, match=r"timm.*limner\[timm\]"):
        load_image_encoder("timm:resnet18")


@pytest.mark.parametrize(
    "spec",
    ["", "random", "random:", "random:x", "random:0", "random:4?tokens=0", "random:4?seed=x",
     "random:4?size=3", "random:4?seed", "hf:", "vit", "own:", "hf:x?pool=mean"],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_one_sentence(spec):
    with pytest.raises(LimnerError) as caught:
        load_image_encoder(spec)
    assert isinstance(caught.value, UsageError)
    assert "\n" not in str(caught.value)


def test_the_feature_network_of_our_own(tmp_path):
    from limner.metrics.features import SHIPPED

    path = SHIPPED["fashion"]
    if not Path(path).exists():
        pytest.skip("this copy ships no feature network")
    encoder = load_image_encoder(f"own:{path}")
    seen = encoder.encode(pictures(2, 28))
    assert seen.tokens.shape == (2, 1, encoder.dim)
    assert np.isfinite(seen.pooled.numpy()).all()


def test_tokens_are_averaged_over_blocks_of_the_grid_or_runs():
    tokens, pooled = torch.randn(2, 16, 3), torch.randn(2, 3)
    features = ImageFeatures(tokens, pooled)
    assert features.at_most(16) is features
    grid = tokens.view(2, 4, 4, 3)
    blocks = grid.view(2, 2, 2, 2, 2, 3).mean((2, 4)).view(2, 4, 3)
    torch.testing.assert_close(features.at_most(4).tokens, blocks)
    torch.testing.assert_close(features.at_most(8).tokens, blocks)  # the largest square within 8
    runs = ImageFeatures(tokens[:, :6], pooled).at_most(3)  # six are no square
    torch.testing.assert_close(runs.tokens, tokens[:, :6].view(2, 3, 2, 3).mean(2))
    assert runs.pooled is pooled


@pytest.mark.parametrize(("tokens", "pooled"), [((2, 4), (2, 4)), ((2, 4, 3), (2, 4)),
                                                ((2, 4, 3), (3, 3))])  # fmt: skip
def test_features_that_disagree_are_refused(tokens, pooled):
    with pytest.raises(ValueError, match="disagree"):
        ImageFeatures(torch.zeros(tokens), torch.zeros(pooled))
