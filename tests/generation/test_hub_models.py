"""Pipelines of diffusers behind Generator: tiny ones, in the hub's layout, really loaded."""

import gc
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from limner.errors import (
    CapabilityError,
    MissingExtraError,
    ModelFileError,
    UsageError,
)
from limner.generation.backends.characters import CharacterEncoder, texts_of
from limner.generation.generator import load, open_hub_generator
from limner.generation.inpainting import MaskedPicture, box_mask
from limner.generation.records import read_record
from limner.generation.replay import redraw
from limner.generation.requests import DrawRequest
from limner.generation.source_pictures import SourcePicture
from limner.improve.refine import Refiner
from limner.models.settings import Settings
from limner.serving.model_runner import (
    DrawJob,
    JobFailed,
    ModelLoaded,
    ModelRunner,
    PictureReady,
    PreviewReady,
    StepInput,
)
from limner.serving.models import Models
from limner.vision.pixels import to_images
from runs import run_limner
from tiny_pipelines import diffusers, linked_copy, photo, pixels_of, save_pipeline, save_pipelines

COMMON = ["stable_diffusion", "stable_diffusion_xl", "stable_diffusion_3", "flux"]
SIDE, STEPS = 32, 3


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return save_pipelines(COMMON, tmp_path_factory.mktemp("hub"))


@pytest.fixture(scope="module")
def generators(folders):
    return {name: load(f"hub:{folder}?size={SIDE}") for name, folder in folders.items()}


@pytest.fixture(scope="module")
def stable(generators):
    return generators["stable_diffusion"]


def by_hand(folder, prompt, seed, steps=STEPS, **options):
    """The picture that diffusers' own documentation would have one draw."""
    pipeline = diffusers.AutoPipelineForText2Image.from_pretrained(folder, use_safetensors=True)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline(
        prompt, height=SIDE, width=SIDE, num_inference_steps=steps,
        generator=torch.Generator().manual_seed(seed), **options,
    ).images[0]  # fmt: skip


@pytest.mark.parametrize("family", COMMON)
def test_draws_what_the_pipeline_draws(generators, folders, family):
    drawn = generators[family].generate("a red cat", seed=5, steps=STEPS)[0]
    expected = by_hand(folders[family], "a red cat", 5)
    assert np.abs(pixels_of(drawn) - np.asarray(expected)).max() <= 1
    assert drawn.image.size == (SIDE, SIDE)
    assert pixels_of(drawn).std() > 1  # not a blank picture


@pytest.mark.parametrize(("family", "tile"), [("flux", 1), ("stable_diffusion", 2)])
def test_a_picture_is_the_same_alone_and_in_any_batch(folders, family, tile):
    generator = load(f"hub:{folders[family]}?size={SIDE}", tile=tile)
    requests = [
        DrawRequest("a red cat", 1, Settings(steps=2)),
        DrawRequest("a dog", 2, Settings(steps=3)),
        DrawRequest("夕阳 🍎", 3, Settings(steps=2)),
    ]
    together = list(generator.draw(requests))
    for request, picture in zip(requests, together, strict=True):
        alone = next(generator.draw([request]))
        assert np.abs(pixels_of(alone) - pixels_of(picture)).max() <= 1
    assert np.abs(pixels_of(together[0]) - pixels_of(together[2])).max() > 1


def test_options_reach_the_pipeline(stable, folders):
    folder = folders["stable_diffusion"]
    drawn = stable.generate("a cat", seed=1, steps=STEPS, guidance=3, negative="a dog")[0]
    expected = by_hand(folder, "a cat", 1, guidance_scale=3.0, negative_prompt="a dog")
    assert np.abs(pixels_of(drawn) - np.asarray(expected)).max() <= 1
    plain = stable.generate("a cat", seed=1, steps=STEPS)[0]
    assert np.abs(pixels_of(drawn) - pixels_of(plain)).max() > 1
    assert stable.generate("a cat", seed=1, steps=1, size=48)[0].image.size == (48, 48)


def test_a_negative_prompt_of_flux_takes_its_true_guidance(generators, folders):
    drawn = generators["flux"].generate("a cat", seed=1, steps=STEPS, guidance=3, negative="dog")
    expected = by_hand(folders["flux"], "a cat", 1, true_cfg_scale=3.0, negative_prompt="dog")
    assert np.abs(pixels_of(drawn[0]) - np.asarray(expected)).max() <= 1


def test_inpainting_keeps_known_pixels(generators):
    noise = np.random.default_rng(0).integers(0, 255, (40, 56, 3), np.uint8)
    masked = MaskedPicture(noise, box_mask((56, 40), (8, 8, 16, 12)))
    for family in ("stable_diffusion", "flux"):
        first, second = generators[family].inpaint(masked, "a hat", n=2, seed=3, steps=2)
        drawn = np.asarray(first.image)
        assert (drawn[~masked.mask] == noise[~masked.mask]).all()
        assert (drawn != np.asarray(second.image)).any()
        again = generators[family].inpaint(masked, "a hat", seed=3, steps=2)[0]
        assert (np.asarray(again.image) == drawn).all()


@pytest.mark.parametrize("family", COMMON)
def test_previews_come_nearer_to_the_picture(generators, family):
    generator = generators[family]
    job = generator.jobs([DrawRequest("a red cat", 5, Settings(steps=4))])[0]
    session = generator.session()
    session.add(job.drawing)
    seen = []
    while not session.idle:
        session.advance()
        if not session.idle:
            assert 0 < session.progress(job.drawing) < 1
            seen.append(np.asarray(session.preview(job.drawing)[0]).astype(int))
    final = np.asarray(job.drawing.image).astype(int)
    distances = [np.abs(each - final).mean() for each in seen]
    assert len(seen) == 3
    assert distances[-1] < distances[0]
    assert distances[-1] < 12


def test_refining_begins_more_pictures_than_it_finishes(stable):
    """Those that are finished have the bits that they have alone."""
    found = Refiner(stable).refine("a cat", seed=2, target=1.0, budget=8, steps=6)
    screened = found.screened[2]
    assert (screened.after, screened.evaluations) == (2, 6)
    assert screened.begun > 8 > len(found.attempts) == 1 + screened.finished
    kept = found.attempts[-1].picture
    alone = stable.generate("a cat", seed=kept.seed, steps=6)[0]
    assert (np.asarray(alone.image) == np.asarray(kept.image)).all()


def test_a_dropped_drawing_ends_its_call(stable):
    job, other = stable.jobs([DrawRequest(text, 5, Settings(steps=4)) for text in ("a cat", "b")])
    session = stable.session()
    session.add(job.drawing)
    session.add(other.drawing)
    session.advance()
    call = session._tiles[0].rows.held[0][0]._greenlet
    assert not call.dead
    session.drop(job.drawing)
    gc.collect()
    dead = call.dead
    del call
    while not session.idle:
        session.advance()
    assert other.drawing.image is not None
    assert dead


@pytest.mark.parametrize("learns", [True, False])
def test_a_call_in_its_middle_leaves_the_gradients_of_its_thread_as_they_are(learns, stable):
    with torch.set_grad_enabled(learns):
        for advances in (1, STEPS):
            session = stable.session()
            (job,) = stable.jobs([DrawRequest("a cat", 1, Settings(steps=STEPS))])
            session.add(job.drawing)
            for _ in range(advances):
                session.advance()
                assert torch.is_grad_enabled() == learns
            del session, job
            gc.collect()
            assert torch.is_grad_enabled() == learns


def test_is_drawn_again_from_its_record(stable, folders, tmp_path):
    spec = f"hub:{folders['stable_diffusion']}?size={SIDE}"
    drawn = stable.generate("a red cat, oil painting", seed=7, steps=2, guidance=2.5)[0]
    path = drawn.save(tmp_path / "cat.png")
    again = redraw(path, spec)
    assert (pixels_of(again) == pixels_of(drawn)).all()
    with pytest.raises(ModelFileError, match="was drawn by model"):
        redraw(path, f"hub:{folders['flux']}")
    with pytest.raises(ModelFileError, match="--model"):
        redraw(path)


def test_the_outline_of_a_model_checks_without_weights(folders, generators):
    outline = open_hub_generator(f"hub:{folders['flux']}", device=None)
    assert outline.model.capabilities == generators["flux"].model.capabilities
    assert outline.model.nbytes > 10_000
    with pytest.raises(CapabilityError, match="top_k"):
        outline.check_settings(Settings(top_k=3))
    outline.check_settings(Settings(steps=3, guidance=2))


def test_options_that_a_pipeline_lacks_are_refused_by_name(stable):
    with pytest.raises(CapabilityError, match="temperature"):
        stable.generate("a cat", temperature=0.5)
    with pytest.raises(CapabilityError, match="reference"):
        stable.generate("a cat", reference=Image.new("RGB", (8, 8)))
    with pytest.raises(CapabilityError, match="style"):
        stable.generate("a cat", style="nonsense-style")


def test_lora_changes_the_picture_and_the_hash(folders, stable, tmp_path):
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict
    from safetensors.torch import save_file

    unet = diffusers.UNet2DConditionModel.from_pretrained(folders["stable_diffusion"] / "unet")
    unet.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False))
    folder, file = tmp_path / "lora", tmp_path / "lora" / "style.safetensors"
    diffusers.StableDiffusionPipeline.save_lora_weights(
        folder, unet_lora_layers=get_peft_model_state_dict(unet), weight_name=file.name
    )
    changed = load(f"hub:{folders['stable_diffusion']}?size={SIDE}&lora={file}")
    drawn = [each.generate("a cat", seed=1, steps=2)[0] for each in (stable, changed)]
    assert np.abs(pixels_of(drawn[0]) - pixels_of(drawn[1])).max() > 1
    assert changed.hash != stable.hash
    other = tmp_path / "other.safetensors"
    save_file({"nothing": torch.zeros(1)}, other)
    with pytest.raises(ModelFileError, match="LoRA"):
        load(f"hub:{folders['stable_diffusion']}?lora={other}")
    with pytest.raises(UsageError, match="no LoRA file"):
        load(f"hub:{folders['stable_diffusion']}?lora={tmp_path / 'missing.safetensors'}")


def test_low_memory_draws_the_same(folders, stable):
    small = load(f"hub:{folders['stable_diffusion']}?size={SIDE}&low_memory=1")
    drawn = [each.generate("a cat", seed=1, steps=2)[0] for each in (stable, small)]
    assert np.abs(pixels_of(drawn[0]) - pixels_of(drawn[1])).max() <= 2


def test_what_cannot_be_loaded_is_one_sentence(folders, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelFileError, match="no folder"):
        load("hub:./missing folder")
    with pytest.raises(ModelFileError, match="has neither model_index"):
        load(f"hub:{tmp_path}")
    with pytest.raises(UsageError, match="no option 'colour'"):
        load(f"hub:{tmp_path}?colour=red")
    (tmp_path / "model_index.json").write_text('{"_class_name": "StableAudioPipeline"}')
    with pytest.raises(ModelFileError, match="does not draw pictures from text"):
        load(f"hub:{tmp_path}")
    (tmp_path / "model_index.json").write_text("{")
    with pytest.raises(ModelFileError, match="cannot be read"):
        load(f"hub:{tmp_path}")
    (tmp_path / "model_index.json").unlink()
    (tmp_path / "config.json").write_text('{"model_type": "chameleon"}')
    with pytest.raises(ModelFileError, match="transformers cannot draw"):
        load(f"hub:{tmp_path}")


def test_missing_and_pickled_weights_are_refused(folders, tmp_path):
    copy = linked_copy(folders["stable_diffusion"], tmp_path / "pickled")
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    weights.unlink()
    with pytest.raises(ModelFileError, match="cannot be loaded as a StableDiffusionPipeline"):
        load(f"hub:{copy}")
    torch.save({}, weights.with_suffix(".bin"))
    with pytest.raises(ModelFileError, match="cannot be loaded as a StableDiffusionPipeline"):
        load(f"hub:{copy}")


def test_code_of_a_model_is_never_run(folders, tmp_path):
    copy = linked_copy(folders["stable_diffusion"], tmp_path / "evil")
    index = copy / "model_index.json"
    text = index.read_text().replace('"diffusers",\n    "UNet2DConditionModel"',
                                     '"evil",\n    "Evil"')  # fmt: skip
    assert "evil" in text
    index.unlink()
    index.write_text(text)
    mark = tmp_path / "mark"
    code = f"open({str(mark)!r}, 'w').close()\nclass Evil: pass\n"
    for folder in (copy, copy / "unet"):
        (folder / "evil.py").write_text(code)
    with pytest.raises(ModelFileError, match="cannot be loaded"):
        load(f"hub:{copy}")
    assert not mark.exists()


def test_characters_are_their_own_features():
    texts = ["a cat", "夕阳 🍎", "x"]
    assert texts_of(CharacterEncoder().encode(texts)) == texts


def test_a_broken_torchvision_is_got_out_of_the_way_and_diffusers_is_not_imported(tmp_path):
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text("raise RuntimeError('operator nms')")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import limner; limner.load; print('diffusers' in sys.modules)\n"
        "from limner.hub import import_transformers\n"
        "found = import_transformers('this')\n"
        "from transformers.utils import is_torchvision_available\n"
        "print(is_torchvision_available(), 'torchvision' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "False", "True"]


def test_a_missing_package_names_the_extra(monkeypatch, folders):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(MissingExtraError, match=r"limner\[hub\]"):
        load(f"hub:{folders['flux']}")


def test_is_served_with_previews(folders):
    spec = f"hub:{folders['stable_diffusion']}?size={SIDE}"
    served = Models.read([spec]).served["stable_diffusion"]
    assert served.described["family"] == "hub"
    assert served.version.bytes > 10_000
    runner = ModelRunner()
    request = DrawRequest("a red cat", 5, Settings(steps=4))
    draws = [DrawJob(1, served.version.number, request, partial_images=2)]
    news = runner.step(StepInput(loads=[served.version.file]))
    while not any(isinstance(each, ModelLoaded) for each in news):
        news = runner.step(StepInput())
    news = runner.step(StepInput(draws=draws))
    while not isinstance(news[-1], PictureReady | JobFailed):
        news += runner.step(StepInput())
    runner.close()
    assert [each.index for each in news if isinstance(each, PreviewReady)] == [0, 1]
    expected = by_hand(folders["stable_diffusion"], "a red cat", 5, steps=4)
    assert np.abs(pixels_of(news[-1].picture) - np.asarray(expected)).max() <= 1


@pytest.mark.parametrize("family", COMMON)
def test_pictures_are_changed_by_the_image_to_image_pipeline(generators, folders, family):
    source = SourcePicture(photo())
    first, second = generators[family].restyle(
        source, "a cat", strength=0.5, n=2, seed=4, steps=4, size=32
    )
    pipeline = diffusers.AutoPipelineForImage2Image.from_pretrained(
        folders[family], use_safetensors=True
    )
    pipeline.set_progress_bar_config(disable=True)
    expected = pipeline(
        "a cat", image=(source.known(SIDE).images + 1) / 2, strength=0.5, num_inference_steps=4,
        generator=torch.Generator().manual_seed(4),
        **({} if "diffusion_xl" in family or family == "stable_diffusion"
           else {"height": SIDE, "width": SIDE}),
    ).images[0]  # fmt: skip
    assert first.image.size == (32, 20) and first.inpainted == source.digest
    assert (
        np.abs(pixels_of(first) - np.asarray(source.cropped(expected, 32)).astype(int)).max() <= 1
    )
    assert np.abs(pixels_of(first) - pixels_of(second)).max() > 1


def test_a_strength_goes_from_the_reconstruction_to_a_new_drawing(generators, stable):
    source = SourcePicture(photo())
    for family in ("stable_diffusion", "flux"):
        generator = generators[family]
        vae, known = generator.model._pipeline.vae, source.known(SIDE).images
        with torch.inference_mode():
            again = vae.decode(vae.encode(known).latent_dist.mode()).sample
        (kept,) = generator.restyle(source, "a cat", strength=0, seed=4, steps=4, size=32)
        expected = source.cropped(to_images(again.clamp(-1, 1))[0], 32)
        assert np.abs(pixels_of(kept) - np.asarray(expected).astype(int)).max() <= 1
    square = SourcePicture(np.ascontiguousarray(photo()[:, :20]))
    (new,) = stable.restyle(square, "a cat", strength=1, seed=4, steps=4, size=32)
    assert (pixels_of(new) == pixels_of(stable.generate("a cat", seed=4, steps=4)[0])).all()
    (touched,) = stable.restyle(square, "a cat", strength=0.01, seed=4, steps=4)  # of one step
    assert touched.image.size == (SIDE, SIDE)


def test_variations_are_written_by_the_commands(folders, tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(photo()).save(path)
    to = ["--model", f"hub:{folders['stable_diffusion']}?size={SIDE}", "--seed", "3"]
    cat, varied = tmp_path / "cat.png", tmp_path / "varied"
    run_limner("restyle", path, "--prompt", "a cat", "--style", "line drawing", "--steps", "2",
            "--out", cat, *to)  # fmt: skip
    with Image.open(cat) as image:  # redrawn in lines, black on white
        assert image.size == (SIDE, 20)
        assert np.ptp(np.asarray(image).astype(int), -1).max() <= 2
    run_limner("vary", cat, "-n", "2", "--steps", "4", "--strength", "0.5", "--out", varied, *to)
    records = [read_record(each) for each in sorted(varied.glob("*.png"))]
    assert [(each.prompt, each.seed) for each in records] == [("a cat", 3), ("a cat", 4)]


def test_progress_goes_on_with_every_step(stable):
    seen = []
    stable.generate("a cat", n=2, seed=1, steps=4, on_progress=seen.append)
    assert seen == sorted(seen) and seen[-1] == 2
    assert {0.25, 0.5, 0.75} <= {each % 1 for each in seen} | {each / 2 for each in seen}
    seen.clear()
    stable.restyle(SourcePicture(photo()), "a", strength=0.5, steps=8, on_progress=seen.append)
    assert seen == [0.25, 0.5, 0.75, 1]


def test_what_has_no_image_to_image_pipeline_is_one_sentence(tmp_path):
    generator = open_hub_generator(f"hub:{save_pipeline('pixart_sigma', tmp_path)}", device=None)
    with pytest.raises(CapabilityError, match="cannot change pictures: it has no image-to-image"):
        generator.restyle(SourcePicture(photo()), "a cat")
