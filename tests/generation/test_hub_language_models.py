"""Language models of the hub that draw, behind Generator: tiny ones, as transformers saves them."""

import json

import numpy as np
import pytest
import torch

from limner.errors import (
    CapabilityError,
    ModelFileError,
    UsageError,
)
from limner.generation.generator import load
from limner.generation.replay import redraw
from limner.generation.requests import DrawRequest
from limner.generation.source_pictures import SourcePicture
from limner.models.settings import Settings
from limner.serving.models import Models
from tiny_pipelines import linked_copy, photo, pixels_of, save_language_model, transformers


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
    assert np.abs(pixels_of(drawn) - expected).max() <= 1
    free = generator.generate("a red cat", seed=1, temperature=0, guidance=1)[0]
    assert np.abs(pixels_of(drawn) - pixels_of(free)).max() > 1


@pytest.mark.parametrize(("name", "tile"), [("janus", 2), ("emu3", 2)])
def test_their_pictures_are_the_same_alone_and_in_any_batch(writing, name, tile):
    generator = load(_spec(writing, name), tile=tile)
    texts = ["a cat", "a dog", "夕阳 🍎 and more"]
    requests = [DrawRequest(text, seed, Settings(top_k=40)) for seed, text in enumerate(texts)]
    together = list(generator.draw(requests))
    for request, picture in zip(requests, together, strict=True):
        alone = next(generator.draw([request]))
        assert np.abs(pixels_of(alone) - pixels_of(picture)).max() <= 1
    assert np.abs(pixels_of(together[0]) - pixels_of(together[1])).max() > 1


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


def test_options_of_language_models_and_what_they_lack(writing, tmp_path):
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
    copy = linked_copy(writing["janus"], tmp_path / "copy")
    (copy / "model.safetensors").unlink()
    with pytest.raises(ModelFileError, match="cannot be loaded as a JanusForConditionalGen"):
        load(f"hub:{copy}")
    served = Models.read([_spec(writing, "emu3")]).served["emu3"]
    assert served.version.bytes > 10_000


def test_a_language_model_is_drawn_again_from_its_record(writing, tmp_path):
    generator = load(_spec(writing, "janus"))
    drawn = generator.generate("a cat", seed=7, top_k=10)[0]
    again = redraw(drawn.save(tmp_path / "cat.png"), _spec(writing, "janus"))
    assert (pixels_of(again) == pixels_of(drawn)).all()
