"""LoRAs of pipelines of diffusers: losses, training, files that diffusers reads."""

import copy
import json

import numpy as np
import pytest
import torch

import training_tiny
from limner.data.store import Store
from limner.errors import (
    CapabilityError,
    RecipeError,
    TrainingError,
)
from limner.generation.backends.pipelines import PipelineModel, copied, decoded, reconstructed
from limner.generation.backends.source import HubSource
from limner.generation.generator import load
from limner.generation.source_pictures import SourcePicture
from limner.training.data import hold_out, open_pictures
from limner.training.hub_lora import train_lora
from limner.training.hub_recipe import lora_recipe
from limner.training.pipeline_losses import PipelineLoss
from limner.training.recipe import DataSection, HoldoutSection
from limner.vision.pixels import to_tensor
from runs import run_limner
from tiny_pipelines import (
    diffusers,
    photo,
    pixels_of,
    save_pipeline,
    save_pipelines,
)

TRAINED = ["stable_diffusion", "stable_diffusion_xl", "stable_diffusion_3", "flux", "sana"]
SIDE = 32


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return save_pipelines(TRAINED, tmp_path_factory.mktemp("hub"))


@pytest.fixture(scope="module")
def flags(tmp_path_factory):
    """A store of pictures of 16 px."""
    return training_tiny.make_store(tmp_path_factory.mktemp("flags") / "store").path


def _lora(spec, store, out, *keys, resume=False):
    given = [f"data.store={store}", "train.device=cpu", "train.batch_size=2", "prompts=[]", *keys]
    return train_lora(lora_recipe(spec, given), out, resume=resume, quiet=True)


@pytest.fixture(scope="module")
def losses(folders):
    """The losses of one pipeline of each family that is trained."""
    found = {}
    for name, folder in folders.items():
        model = PipelineModel(HubSource.parse(f"hub:{folder}?size={SIDE}"))
        model.load("cpu")
        found[name] = PipelineLoss(model)
    return found


@pytest.mark.parametrize("family", TRAINED)
def test_what_learns_is_called_as_its_pipeline_calls_it(losses, family):
    loss = losses[family]
    pipeline, seen, steps = copied(loss.pipeline), [], []
    hook = loss.denoiser.register_forward_hook(lambda _, __, found: seen.append(found[0]))
    own = pipeline.scheduler.step

    def step(output, time, sample, *rest, **named):
        steps.append(
            (
                pipeline.scheduler.scale_model_input(sample, time)
                if hasattr(pipeline.scheduler, "scale_model_input")
                else sample,
                time,
            )
        )
        return own(output, time, sample, *rest, **named)

    pipeline.scheduler.step = step
    size = {"use_resolution_binning": False} if family == "sana" else {}
    pipeline(["a cat", "a dog"], height=SIDE, width=SIDE, num_inference_steps=2,
             guidance_scale=1.0, output_type="latent", **size)  # fmt: skip
    hook.remove()
    for (noisy, time), expected in zip(steps, seen, strict=True):
        with torch.no_grad():
            found = loss.predicted(noisy, time.expand(2), ["a cat", "a dog"])
        torch.testing.assert_close(found, expected[:, : found.shape[1]], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("family", TRAINED)
def test_latents_of_pictures_decode_to_what_the_autoencoder_has(losses, family):
    loss, images = losses[family], SourcePicture(photo()).known(SIDE).images
    latents = loss.latents(images)
    with torch.no_grad():
        again = decoded(loss.pipeline, latents, SIDE)
        expected = reconstructed(loss.pipeline, images)
    torch.testing.assert_close(again, expected, atol=1e-4, rtol=1e-3)


def test_noise_is_added_as_the_schedulers_add_it(losses):
    clean = torch.randn(3, 4, 16, 16)
    noisy, time, noise = losses["stable_diffusion"].noised(clean, torch.Generator().manual_seed(1))
    scheduler = losses["stable_diffusion"].pipeline.scheduler
    torch.testing.assert_close(noisy, scheduler.add_noise(clean, noise, time))
    velocity = copy.copy(losses["stable_diffusion"])
    velocity.kind = "v_prediction"
    _, _, target = velocity.noised(clean, torch.Generator().manual_seed(1))
    torch.testing.assert_close(target, scheduler.get_velocity(clean, noise, time))
    noisy, time, target = losses["sana"].noised(clean, torch.Generator().manual_seed(1))
    share = (time / 1000).view(-1, 1, 1, 1)
    torch.testing.assert_close(noisy - share * target, clean)  # the straight way back
    torch.testing.assert_close(noisy + (1 - share) * target, clean + target)
    many = losses["sana"].noised(torch.zeros(4000, 1), torch.Generator().manual_seed(1))[1] / 1000
    assert abs(float(many.median()) - 7 * 0.5 / (1 + 6 * 0.5)) < 0.02  # of the shift 7


@pytest.mark.parametrize("family", ["stable_diffusion_xl", "flux", "sana"])
def test_a_lora_learns_changes_the_picture_and_diffusers_reads_it(family, losses, flags, tmp_path):
    spec = losses[family].model.source.spec
    run = _lora(spec, flags, tmp_path / "run", "train.steps=2", "train.lr=0.03", "lora=4")
    assert run.finished and run.path.name == "pytorch_lora_weights.safetensors"
    place, options = spec.removeprefix("hub:").partition("?")[0], {"size": SIDE, "steps": 2}
    plain, changed = (load(f"{spec}{more}").generate("a flag", seed=1, **options)[0]
                      for more in ("", f"&lora={run.path}"))  # fmt: skip
    assert np.abs(pixels_of(plain) - pixels_of(changed)).max() > 1
    pipeline = diffusers.AutoPipelineForText2Image.from_pretrained(place, use_safetensors=True)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.load_lora_weights(run.path.parent)
    size = {"use_resolution_binning": False} if family == "sana" else {}
    drawn = pipeline(
        "a flag", height=SIDE, width=SIDE, num_inference_steps=2,
        generator=torch.Generator().manual_seed(1), **size,
    ).images[0]  # fmt: skip
    assert np.abs(pixels_of(changed) - np.asarray(drawn)).max() <= 1


def test_the_loss_of_a_fixed_batch_falls(folders, flags, tmp_path):
    spec = f"hub:{folders['stable_diffusion']}?size={SIDE}"
    keys = ["train.lr=0.01", "lora.targets=[conv1, conv2, conv_out]", "train.log_every=10"]
    images = SourcePicture(Store.open(flags).batch(np.arange(1))[0]).known(SIDE).images

    def loss_with(more):
        model = PipelineModel(HubSource.parse(spec + more))
        model.load("cpu")
        loss = PipelineLoss(model)
        latents = loss.latents(images).expand(8, -1, -1, -1)
        with torch.no_grad():
            return float(loss.loss(latents, ["a red flag"] * 8, torch.Generator().manual_seed(0)))

    run = _lora(spec, flags, tmp_path / "run", "train.steps=20", *keys)
    assert loss_with(f"&lora={run.path}") < 0.9 * loss_with("")
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    lines = [each for each in log if "loss" in each]
    assert [each["step"] for each in lines] == [10, 20]
    assert lines[0]["total"] == lines[0]["loss"]["mse"] and lines[0]["lr"] == 0.01
    assert lines[1]["progress"] == pytest.approx(0.95) and lines[1]["norm"]["lora"] > 0


def test_a_resumed_run_is_the_uninterrupted_one(folders, flags, tmp_path):
    spec = f"hub:{folders['stable_diffusion']}?size={SIDE}"
    whole = _lora(spec, flags, tmp_path / "whole", "train.steps=4")
    _lora(spec, flags, tmp_path / "parts", "train.steps=2")
    parts = _lora(spec, flags, tmp_path / "parts", "train.steps=4", resume=True)
    assert parts.path.read_bytes() == whole.path.read_bytes()
    with pytest.raises(RecipeError, match=r"train\.lr is not what the run"):
        _lora(spec, flags, tmp_path / "parts", "train.steps=5", "train.lr=1", resume=True)
    with pytest.raises(TrainingError, match="already holds a run"):
        _lora(spec, flags, tmp_path / "parts", "train.steps=4")


def test_held_out_pictures_are_measured_and_samples_drawn_also_by_a_resumed_run(
    folders, flags, tmp_path
):
    spec = f"hub:{folders['stable_diffusion']}?size={SIDE}"
    keys = ["data.holdout=0.3", "train.stop.every_steps=2", "train.lr=0.3", "train.log_every=1",
            "train.sample_every=2", "train.sample_steps=1", 'prompts=["a red flag"]']  # fmt: skip
    whole = _lora(spec, flags, tmp_path / "whole", "train.steps=4", *keys)
    _lora(spec, flags, tmp_path / "parts", "train.steps=2", *keys)
    _lora(spec, flags, tmp_path / "parts", "train.steps=4", *keys, resume=True)
    both = tmp_path / "whole", tmp_path / "parts"
    samples = [f"samples/{step:06d}.png" for step in (2, 4)]
    for name in ("pytorch_lora_weights.safetensors", "best_lora_weights.safetensors", *samples):
        one, other = ((folder / name).read_bytes() for folder in both)
        assert one == other, name
    assert len({(both[0] / name).read_bytes() for name in samples}) == 2
    logs = [[json.loads(line) for line in (each / "log.jsonl").read_text().splitlines()]
            for each in both]  # fmt: skip
    whole_log, parts_log = ([{k: v for k, v in line.items() if k not in ("clock", "progress")}
                             for line in log if line.get("event") not in ("start", "resume")]
                            for log in logs)  # fmt: skip
    assert whole_log == parts_log
    measured = [line["held_out"]["loss"] for line in whole_log if "held_out" in line]
    assert len(measured) == 2
    model = PipelineModel(
        HubSource.parse(f"{spec}&lora={both[0] / 'best_lora_weights.safetensors'}")
    )
    model.load("cpu")
    loss, store = PipelineLoss(model), open_pictures(DataSection(store=str(flags)), "test")
    seen, held = hold_out(store, HoldoutSection(share=0.3), "test")
    assert len(seen) + len(held) == len(store) and len(held)
    table = held.captions
    texts = [table.texts[number] for number in table.heaviest().tolist()]
    images = torch.nn.functional.interpolate(
        to_tensor(held.batch(np.arange(len(held)))), (SIDE, SIDE), mode="bicubic", antialias=True
    )
    latents, losses = loss.latents(images.clamp(-1, 1)), []
    rounds = -(-64 // len(held))
    for number in range(rounds * -(-len(held) // 2)):
        start = 2 * (number % -(-len(held) // 2))
        generator = torch.Generator().manual_seed(1_000_003 + number)
        with torch.no_grad():
            found = loss.loss(latents[start : start + 2], texts[start : start + 2], generator)
        losses += [float(found)] * len(texts[start : start + 2])
    assert np.mean(losses) == pytest.approx(min(measured), rel=1e-3)
    assert whole.finished


def test_the_command_trains_and_says_what_is_wrong(folders, flags, tmp_path, capsys):
    spec, out = f"hub:{folders['stable_diffusion']}?size={SIDE}", tmp_path / "run"
    keys = (f"data.store={flags}", "train.device=cpu", "train.sample_steps=1", "--out", out)
    run_limner("train", spec, *keys, "--steps", "1")
    assert capsys.readouterr().out.strip() == str(out / "pytorch_lora_weights.safetensors")
    for words, error, said in (
        (["train.stepz=3"], RecipeError, "did you mean 'train.steps'"),
        ([], RecipeError, "say how long"),
        (["train.steps=1", "data.flip=true"], RecipeError, "encoded once"),
        (["train.steps=1", "train.stop.every_steps=1"], RecipeError, "give data.holdout"),
        (["train.steps=1", "lora.targets=[nothing]"], RecipeError, "no map of these names"),
    ):
        with pytest.raises(error, match=said):
            _lora(spec, flags, tmp_path / "other", *words)
    pixart = save_pipeline("pixart_sigma", tmp_path / "pixart")
    with pytest.raises(CapabilityError, match="for which no LoRA is trained here; use one of"):
        _lora(f"hub:{pixart}", flags, tmp_path / "other", "train.steps=1")
