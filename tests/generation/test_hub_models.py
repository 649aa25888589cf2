"""Pipelines of diffusers behind Generator: tiny ones, in the hub's layout, really loaded."""

import copy
import gc
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import training_tiny
from limner.cli import main
from limner.data.store import Store
from limner.errors import (
    CapabilityError,
    MissingExtraError,
    ModelFileError,
    RecipeError,
    TrainingError,
    UsageError,
)
from limner.generation.backends.characters import CharacterEncoder, texts_of
from limner.generation.backends.pipelines import PipelineModel, copied, decoded, reconstructed
from limner.generation.backends.source import HubSource
from limner.generation.generator import load, open_hub_generator
from limner.generation.inpainting import MaskedPicture, box_mask
from limner.generation.records import read_record
from limner.generation.replay import redraw
from limner.generation.requests import DrawRequest
from limner.generation.source_pictures import SourcePicture
from limner.models.settings import Settings
from limner.serving.drawing import Draw, Drawer, Drawn, Loaded, Refused, Shown, Work
from limner.serving.models import Models
from limner.training.data import hold_out, open_pictures
from limner.training.hub_lora import train_lora
from limner.training.hub_recipe import lora_recipe
from limner.training.pipeline_losses import PipelineLoss
from limner.training.recipe import DataSection, HoldoutSection
from limner.vision.pixels import to_images, to_tensor
from tiny_pipelines import diffusers, save_language_model, save_pipeline, transformers

COMMON = ["stable_diffusion", "stable_diffusion_xl", "stable_diffusion_3", "flux"]
SIDE, STEPS = 32, 3


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    base = tmp_path_factory.mktemp("hub")
    return {name: save_pipeline(name, base / name) for name in COMMON}


@pytest.fixture(scope="module")
def generators(folders):
    return {name: load(f"hub:{folder}?size={SIDE}") for name, folder in folders.items()}


@pytest.fixture(scope="module")
def stable(generators):
    return generators["stable_diffusion"]


def _pixels(picture):
    return np.asarray(picture.image).astype(int)


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
    assert np.abs(_pixels(drawn) - np.asarray(expected)).max() <= 1
    assert drawn.image.size == (SIDE, SIDE)
    assert _pixels(drawn).std() > 1  # not a blank picture


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
        assert np.abs(_pixels(alone) - _pixels(picture)).max() <= 1
    assert np.abs(_pixels(together[0]) - _pixels(together[2])).max() > 1


def test_options_reach_the_pipeline(stable, folders):
    folder = folders["stable_diffusion"]
    drawn = stable.generate("a cat", seed=1, steps=STEPS, guidance=3, negative="a dog")[0]
    expected = by_hand(folder, "a cat", 1, guidance_scale=3.0, negative_prompt="a dog")
    assert np.abs(_pixels(drawn) - np.asarray(expected)).max() <= 1
    plain = stable.generate("a cat", seed=1, steps=STEPS)[0]
    assert np.abs(_pixels(drawn) - _pixels(plain)).max() > 1
    assert stable.generate("a cat", seed=1, steps=1, size=48)[0].image.size == (48, 48)


def test_a_negative_prompt_of_flux_takes_its_true_guidance(generators, folders):
    drawn = generators["flux"].generate("a cat", seed=1, steps=STEPS, guidance=3, negative="dog")
    expected = by_hand(folders["flux"], "a cat", 1, true_cfg_scale=3.0, negative_prompt="dog")
    assert np.abs(_pixels(drawn[0]) - np.asarray(expected)).max() <= 1


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
    assert (_pixels(again) == _pixels(drawn)).all()
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
    assert np.abs(_pixels(drawn[0]) - _pixels(drawn[1])).max() > 1
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
    assert np.abs(_pixels(drawn[0]) - _pixels(drawn[1])).max() <= 2


def test_what_cannot_be_loaded_is_one_sentence(folders, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelFileError, match="no folder"):
        load("hub:./missing folder")
    with pytest.raises(ModelFileError, match="has neither model_index"):
        load(f"hub:{tmp_path}")
    with pytest.raises(UsageError, match="no option 'colour'"):
        load(f"hub:{tmp_path}?colour=red")
    (tmp_path / "model_index.json").write_text('{"_class_name": "StableAudioPipeline"}')
    with pytest.raises(ModelFileError, match="draws no pictures of texts"):
        load(f"hub:{tmp_path}")
    (tmp_path / "model_index.json").write_text("{")
    with pytest.raises(ModelFileError, match="cannot be read"):
        load(f"hub:{tmp_path}")
    (tmp_path / "model_index.json").unlink()
    (tmp_path / "config.json").write_text('{"model_type": "chameleon"}')
    with pytest.raises(ModelFileError, match="transformers cannot draw"):
        load(f"hub:{tmp_path}")


def _linked(folder, copy):
    """A copy of a pipeline's folder, whose files are links but for what is changed then."""
    for path in folder.rglob("*"):
        if path.is_file():
            other = copy / path.relative_to(folder)
            other.parent.mkdir(parents=True, exist_ok=True)
            other.symlink_to(path)
    return copy


def test_missing_and_pickled_weights_are_refused(folders, tmp_path):
    copy = _linked(folders["stable_diffusion"], tmp_path / "pickled")
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    weights.unlink()
    with pytest.raises(ModelFileError, match="cannot be loaded as a StableDiffusionPipeline"):
        load(f"hub:{copy}")
    torch.save({}, weights.with_suffix(".bin"))
    with pytest.raises(ModelFileError, match="cannot be loaded as a StableDiffusionPipeline"):
        load(f"hub:{copy}")


def test_code_of_a_model_is_never_run(folders, tmp_path):
    copy = _linked(folders["stable_diffusion"], tmp_path / "evil")
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
    drawer = Drawer()
    request = DrawRequest("a red cat", 5, Settings(steps=4))
    draws = [Draw(1, served.version.number, request, partial_images=2)]
    news = drawer.step(Work(loads=[served.version.file]))
    while not any(isinstance(each, Loaded) for each in news):
        news = drawer.step(Work())
    news = drawer.step(Work(draws=draws))
    while not isinstance(news[-1], Drawn | Refused):
        news += drawer.step(Work())
    drawer.close()
    assert [each.index for each in news if isinstance(each, Shown)] == [0, 1]
    expected = by_hand(folders["stable_diffusion"], "a red cat", 5, steps=4)
    assert np.abs(_pixels(news[-1].picture) - np.asarray(expected)).max() <= 1


def photo():
    """A smooth picture, wider than high."""
    y, x = np.mgrid[:20, :32]
    bands = (128 + 100 * np.sin(x / 9), 90 + 3 * y, 255 - 4 * x)
    return np.stack(bands, -1).clip(0, 255).astype(np.uint8)


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
    assert np.abs(_pixels(first) - np.asarray(source.cropped(expected, 32)).astype(int)).max() <= 1
    assert np.abs(_pixels(first) - _pixels(second)).max() > 1


def test_a_strength_goes_from_the_reconstruction_to_a_new_drawing(generators, stable):
    source = SourcePicture(photo())
    for family in ("stable_diffusion", "flux"):
        generator = generators[family]
        vae, known = generator.model._pipeline.vae, source.known(SIDE).images
        with torch.inference_mode():
            again = vae.decode(vae.encode(known).latent_dist.mode()).sample
        (kept,) = generator.restyle(source, "a cat", strength=0, seed=4, steps=4, size=32)
        expected = source.cropped(to_images(again.clamp(-1, 1))[0], 32)
        assert np.abs(_pixels(kept) - np.asarray(expected).astype(int)).max() <= 1
    square = SourcePicture(np.ascontiguousarray(photo()[:, :20]))
    (new,) = stable.restyle(square, "a cat", strength=1, seed=4, steps=4, size=32)
    assert (_pixels(new) == _pixels(stable.generate("a cat", seed=4, steps=4)[0])).all()
    (touched,) = stable.restyle(square, "a cat", strength=0.01, seed=4, steps=4)  # of one step
    assert touched.image.size == (SIDE, SIDE)


@pytest.fixture
def command(monkeypatch):
    """Run a command line in this process."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["limner", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 0

    return run


def test_variations_are_written_by_the_commands(folders, tmp_path, command):
    path = tmp_path / "photo.png"
    Image.fromarray(photo()).save(path)
    to = ["--model", f"hub:{folders['stable_diffusion']}?size={SIDE}", "--seed", "3"]
    cat, varied = tmp_path / "cat.png", tmp_path / "varied"
    command("restyle", path, "--prompt", "a cat", "--style", "line drawing", "--steps", "2",
            "--out", cat, *to)  # fmt: skip
    with Image.open(cat) as image:  # redrawn in lines, black on white
        assert image.size == (SIDE, 20)
        assert np.ptp(np.asarray(image).astype(int), -1).max() <= 2
    command("vary", cat, "-n", "2", "--steps", "4", "--strength", "0.5", "--out", varied, *to)
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
    with pytest.raises(CapabilityError, match="cannot change pictures: it has no pipeline"):
        generator.restyle(SourcePicture(photo()), "a cat")


@pytest.fixture(scope="module")
def writing(tmp_path_factory):
    """Folders of language models that draw."""
    base = tmp_path_factory.mktemp("writing")
    return {name: save_language_model(name, base / name) for name in ("janus", "emu3")}


def _spec(folders, name):
    return f"hub:{folders[name]}" + ("?size=40" if name == "emu3" else "")


def janus_by_hand(folder, prompt, scale):
    """The likeliest picture, as the documentation of transformers has it."""
    network = transformers.JanusForConditionalGeneration.from_pretrained(folder)
    processor = transformers.AutoProcessor.from_pretrained(folder)
    network.generation_config.generation_kwargs = {"boi_token_id": processor.tokenizer.boi_token_id}
    words = [{"role": "user", "content": [{"type": "text", "text": prompt}]}]
    text = processor.apply_chat_template(words, add_generation_prompt=True)
    inputs = processor(text=text, generation_mode="image", return_tensors="pt")
    codes = network.generate(
        **inputs, generation_mode="image", do_sample=False, guidance_scale=scale
    )
    (image,) = network.decode_image_tokens(codes)
    own = processor.image_processor
    pixels = image.detach() * torch.tensor(own.image_std) + torch.tensor(own.image_mean)
    return (255 * pixels.clamp(0, 1)).numpy()


def emu3_by_hand(folder, prompt, scale):
    """The same of Emu3, guided away from no words."""
    network = transformers.Emu3ForConditionalGeneration.from_pretrained(folder)
    processor = transformers.AutoProcessor.from_pretrained(folder)
    asked = {"return_for_image_generation": True, "image_area": 40 * 40, "return_tensors": "pt"}
    inputs, free = processor(text=[prompt], **asked), processor(text=[""], **asked)
    (height, width), start = inputs.pop("image_sizes")[0], inputs["input_ids"].shape[1]
    mapping, tokens = network.vocabulary_mapping, processor.tokenizer

    def allowed(_, ids):
        place = len(ids) - start
        last = (tokens.eof_token_id, tokens.eoi_token_id, tokens.eos_token_id)
        if place >= height * (width + 1):
            return [last[min(2, place - height * (width + 1))]]
        return [mapping.eol_token_id] if place % (width + 1) == width else mapping.image_tokens

    found = network.generate(
        **inputs, max_new_tokens=height * (width + 1) + 3, do_sample=False, guidance_scale=scale,
        prefix_allowed_tokens_fn=allowed, negative_prompt_ids=free["input_ids"],
        negative_prompt_attention_mask=free["attention_mask"],
    )  # fmt: skip
    images = network.decode_image_tokens(image_tokens=found[:, start:], height=height, width=width)
    return processor.postprocess(list(images), return_tensors="PIL.Image.Image")["pixel_values"][0]


@pytest.mark.parametrize(("name", "by_hand"), [("janus", janus_by_hand), ("emu3", emu3_by_hand)])
def test_language_models_draw_what_transformers_draws(writing, name, by_hand):
    generator = load(_spec(writing, name))
    drawn = generator.generate("a red cat", seed=1, temperature=0, guidance=3)[0]
    expected = np.asarray(by_hand(writing[name], "a red cat", 3.0)).astype(int)
    assert np.abs(_pixels(drawn) - expected).max() <= 1
    free = generator.generate("a red cat", seed=1, temperature=0, guidance=1)[0]
    assert np.abs(_pixels(drawn) - _pixels(free)).max() > 1


@pytest.mark.parametrize(("name", "tile"), [("janus", 2), ("emu3", 2)])
def test_their_pictures_are_the_same_alone_and_in_any_batch(writing, name, tile):
    generator = load(_spec(writing, name), tile=tile)
    texts = ["a cat", "a dog", "夕阳 🍎 and more"]
    requests = [DrawRequest(text, seed, Settings(top_k=40)) for seed, text in enumerate(texts)]
    together = list(generator.draw(requests))
    for request, picture in zip(requests, together, strict=True):
        alone = next(generator.draw([request]))
        assert np.abs(_pixels(alone) - _pixels(picture)).max() <= 1
    assert np.abs(_pixels(together[0]) - _pixels(together[1])).max() > 1


def test_a_picture_is_written_from_above_and_its_progress_is_told(writing):
    generator = load(_spec(writing, "janus"))
    (job,) = generator.jobs([DrawRequest("a cat", 5)])
    session, seen = generator.session(), []
    session.add(job.drawing)
    while not session.idle:
        session.advance()
        seen.append((session.progress(job.drawing), session.preview(job.drawing)))
    assert [progress for progress, _ in seen[:-1]] == [step / 16 for step in range(1, 16)]
    half = np.asarray(seen[7][1][0]).astype(int)
    assert (np.abs(half[16:] - 128) <= 1).all() and half[:16].std() > 1


def test_options_of_language_models_and_what_they_lack(writing, tmp_path, folders):
    janus, emu3 = (load(_spec(writing, name)) for name in ("janus", "emu3"))
    emu3.generate("a cat", seed=1, negative="blurry", top_p=0.9)
    for generator, options in ((janus, {"negative": "blurry"}), (emu3, {"steps": 4})):
        with pytest.raises(CapabilityError, match=f"does not take '{next(iter(options))}'"):
            generator.generate("a cat", **options)
    with pytest.raises(CapabilityError, match="cannot change pictures"):
        janus.restyle(SourcePicture(photo()), "a cat")
    with pytest.raises(UsageError, match="a Janus model draws pictures of 32 pixels, not 48"):
        load(f"hub:{writing['janus']}?size=48")
    for kind, said in (("llama", "draws no pictures; name"), ("multi_modality", "own layout")):
        (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
        with pytest.raises(ModelFileError, match=said):
            load(f"hub:{tmp_path}")
    copy = _linked(writing["janus"], tmp_path / "copy")
    (copy / "model.safetensors").unlink()
    with pytest.raises(ModelFileError, match="cannot be loaded as a JanusForConditionalGen"):
        load(f"hub:{copy}")
    served = Models.read([_spec(writing, "emu3")]).served["emu3"]
    assert served.version.bytes > 10_000


def test_a_language_model_is_drawn_again_from_its_record(writing, tmp_path):
    generator = load(_spec(writing, "janus"))
    drawn = generator.generate("a cat", seed=7, top_k=10)[0]
    again = redraw(drawn.save(tmp_path / "cat.png"), _spec(writing, "janus"))
    assert (_pixels(again) == _pixels(drawn)).all()


@pytest.fixture(scope="module")
def flags(tmp_path_factory):
    """A store of pictures of 16 px."""
    return training_tiny.make_store(tmp_path_factory.mktemp("flags") / "store").path


def _lora(spec, store, out, *keys, resume=False):
    given = [f"data.store={store}", "train.device=cpu", "train.batch_size=2", "prompts=[]", *keys]
    return train_lora(lora_recipe(spec, given), out, resume=resume, quiet=True)


TRAINED = ["stable_diffusion", "stable_diffusion_xl", "stable_diffusion_3", "flux", "sana"]


@pytest.fixture(scope="module")
def losses(folders, tmp_path_factory):
    """The losses of one pipeline of each family that is trained."""
    found = {}
    for name in TRAINED:
        folder = folders.get(name) or save_pipeline(name, tmp_path_factory.mktemp("hub") / name)
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
    assert np.abs(_pixels(plain) - _pixels(changed)).max() > 1
    pipeline = diffusers.AutoPipelineForText2Image.from_pretrained(place, use_safetensors=True)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.load_lora_weights(run.path.parent)
    size = {"use_resolution_binning": False} if family == "sana" else {}
    drawn = pipeline(
        "a flag", height=SIDE, width=SIDE, num_inference_steps=2,
        generator=torch.Generator().manual_seed(1), **size,
    ).images[0]  # fmt: skip
    assert np.abs(_pixels(changed) - np.asarray(drawn)).max() <= 1


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


def test_the_command_trains_and_says_what_is_wrong(folders, flags, tmp_path, command, capsys):
    spec, out = f"hub:{folders['stable_diffusion']}?size={SIDE}", tmp_path / "run"
    keys = (f"data.store={flags}", "train.device=cpu", "train.sample_steps=1", "--out", out)
    command("train", spec, *keys, "--steps", "1")
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
