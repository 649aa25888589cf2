"""Captioners of transformers: tiny models of both kinds, saved as the hub has them, read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from limner.cli import build_app
from limner.errors import DataError, UsageError
from limner.reading.captions import load_captioner
from optional_modules import needed

transformers = needed("transformers")
tokenizers = needed("tokenizers")

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
CHAT = (
    "{% for message in messages %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endfor %}"
)
MARKS = ("<pad>", "<end>", "<start>", "<|image_pad|>", "<|video_pad|>", "<|vision_start|>",
         "<|vision_end|>")  # fmt: skip
SHAPE: dict[str, Any] = {
    "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
}  # fmt: skip


def save_tokenizer(folder: Path, processor: str | None, **extra: Any) -> Any:
    pieces = tokenizers.Tokenizer(tokenizers.models.BPE())
    pieces.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    pieces.decoder = tokenizers.decoders.ByteLevel()
    pieces.train_from_iterator(
        ["a red apple"],
        tokenizers.trainers.BpeTrainer(
            vocab_size=300, special_tokens=list(MARKS), show_progress=False,
            initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        ),
    )  # fmt: skip
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=pieces, pad_token="<pad>", eos_token="<end>", bos_token="<start>",
        processor_class=processor, **extra,
    )  # fmt: skip
    tokenizer.save_pretrained(folder)
    return tokenizer


def only_letters(head: torch.nn.Linear, tokenizer: Any) -> None:
    """Let the head say printable letters alone, so that random weights say something."""
    wanted = tokenizer.convert_tokens_to_ids([*"abcdefgh", "<end>"])
    with torch.no_grad():
        head.weight[[i for i in range(len(head.weight)) if i not in wanted]] = 0
        head.weight[wanted] = torch.randn(len(wanted), head.weight.shape[1])


def save_blip(folder: Path) -> Path:
    tokenizer = save_tokenizer(folder, "BlipProcessor")
    marks = {"bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0, "sep_token_id": 1}
    config = transformers.BlipConfig(
        text_config={**SHAPE, **marks, "vocab_size": len(tokenizer), "encoder_hidden_size": 16,
                     "max_position_embeddings": 80, "projection_dim": 16},
        vision_config={**SHAPE, "image_size": 16, "patch_size": 8},
        projection_dim=16,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.BlipForConditionalGeneration(config)
    with torch.no_grad():
        bias = model.text_decoder.cls.predictions.bias
        bias.fill_(-30)
        bias[tokenizer.convert_tokens_to_ids([*"abcdefgh", "<end>"])] = 0
    model.save_pretrained(folder)
    write_pictures(folder, "BlipImageProcessor", size={"height": 16, "width": 16})
    return folder


def save_qwen(folder: Path) -> Path:
    tokenizer = save_tokenizer(folder, "Qwen2VLProcessor", chat_template=CHAT)
    token = {mark: tokenizer.convert_tokens_to_ids(mark) for mark in MARKS}
    config = transformers.Qwen2VLConfig(
        text_config={**SHAPE, "num_key_value_heads": 2, "vocab_size": len(tokenizer),
                     "bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0,
                     "rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 2]}},
        vision_config={"depth": 1, "embed_dim": 16, "num_heads": 2, "hidden_size": 16,
                       "mlp_ratio": 1, "patch_size": 8},
        image_token_id=token["<|image_pad|>"], video_token_id=token["<|video_pad|>"],
        vision_start_token_id=token["<|vision_start|>"],
        vision_end_token_id=token["<|vision_end|>"],
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.Qwen2VLForConditionalGeneration(config)
    only_letters(model.lm_head, tokenizer)
    model.save_pretrained(folder)
    write_pictures(
        folder, "Qwen2VLImageProcessor", size={"shortest_edge": 256, "longest_edge": 4096},
        patch_size=8, merge_size=2, temporal_patch_size=2,
    )  # fmt: skip
    return folder


def save_pair(folder: Path) -> Path:
    """A vision encoder and a language decoder, which come without a processor."""
    tokenizer = save_tokenizer(folder, None)
    config = transformers.VisionEncoderDecoderConfig.from_encoder_decoder_configs(
        transformers.ViTConfig(**SHAPE, image_size=16, patch_size=8),
        transformers.GPT2Config(
            n_embd=16, n_layer=1, n_head=2, vocab_size=len(tokenizer), add_cross_attention=True,
            bos_token_id=2, eos_token_id=1, tie_word_embeddings=False,
        ),
        decoder_start_token_id=2, pad_token_id=0, tie_word_embeddings=False,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.VisionEncoderDecoderModel(config)
    only_letters(model.decoder.lm_head, tokenizer)
    model.save_pretrained(folder)
    write_pictures(folder, "ViTImageProcessor", size={"height": 16, "width": 16})
    return folder


def save_smol(folder: Path) -> Path:
    chat = CHAT.replace("<|vision_start|><|image_pad|><|vision_end|>", "<image>")
    more = ["<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>"]
    tokenizer = save_tokenizer(
        folder, "SmolVLMProcessor", chat_template=chat, extra_special_tokens={
            "image_token": "<image>", "fake_image_token": "<fake_token_around_image>",
            "global_image_token": "<global-img>", "end_of_utterance_token": "<end_of_utterance>",
        }, additional_special_tokens=more,
    )  # fmt: skip
    text = transformers.LlamaConfig(
        **SHAPE, vocab_size=len(tokenizer), num_key_value_heads=2, bos_token_id=2, eos_token_id=1,
        pad_token_id=0,
    )  # fmt: skip
    config = transformers.SmolVLMConfig(
        text_config=text.to_dict(), vision_config={**SHAPE, "image_size": 32, "patch_size": 8},
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"), scale_factor=2, pad_token_id=0,
        tie_word_embeddings=False,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.SmolVLMForConditionalGeneration(config)
    only_letters(model.lm_head, tokenizer)
    model.save_pretrained(folder)
    write_pictures(
        folder, "SmolVLMImageProcessor", size={"longest_edge": 64},
        max_image_size={"longest_edge": 32}, do_image_splitting=False,
    )  # fmt: skip
    (folder / "processor_config.json").write_text(
        json.dumps({"processor_class": "SmolVLMProcessor", "image_seq_len": 4})
    )
    return folder


def write_pictures(folder: Path, kind: str, **extra: Any) -> None:
    facts = {"image_processor_type": kind, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, **extra}
    (folder / "preprocessor_config.json").write_text(json.dumps(facts))


SAVE = {"blip": save_blip, "pair": save_pair, "qwen": save_qwen, "smol": save_smol}


@pytest.fixture(scope="module", params=list(SAVE))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return SAVE[request.param](tmp_path_factory.mktemp(request.param))


def test_a_model_of_the_hub_says_different_things_and_the_same_again(folder: Path):
    captioner = load_captioner(f"hf:{folder}")
    said = captioner.caption(PIXELS, None, 3)
    assert 1 <= len(said) <= 3 and len({each.text for each in said}) == len(said)
    assert all(each.text and each.score is not None and each.score <= 0 for each in said)
    assert [each.score for each in said] == sorted((each.score for each in said), reverse=True)
    assert load_captioner(captioner.spec).caption(PIXELS, None, 3) == said
    assert all("Caption this picture" not in each.text for each in said)


def test_one_asked_in_a_chat_is_told_the_language_and_others_cannot_be(tmp_path: Path):
    captioner = load_captioner(f"hf:{save_qwen(tmp_path / 'qwen')}")
    given = captioner._inputs(Image.fromarray(PIXELS), "zh")
    asked = captioner.processor.batch_decode(given["input_ids"])[0]
    assert "Caption this picture in Chinese" in asked
    grid = given["image_grid_thw"][0]
    assert asked.count("<|image_pad|>") == int(grid.prod()) // 4
    captioner = load_captioner(f"hf:{save_blip(tmp_path / 'blip')}")
    with pytest.raises(UsageError, match="one language it was trained on; leave"):
        captioner.caption(PIXELS, "zh")
    with pytest.raises(UsageError, match="one or more"):
        captioner.caption(PIXELS, None, 0)


def test_blips_best_caption_is_upstreams(tmp_path: Path):
    folder = save_blip(tmp_path)
    model = transformers.BlipForConditionalGeneration.from_pretrained(folder).eval()
    images = transformers.BlipImageProcessorPil.from_pretrained(folder)
    pixels = images(images=Image.fromarray(PIXELS), return_tensors="pt").pixel_values
    row = model.generate(pixel_values=pixels, num_beams=3, max_new_tokens=60, do_sample=False)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    wanted = tokenizer.decode(row[0], skip_special_tokens=True).strip()
    assert load_captioner(f"hf:{folder}").caption(PIXELS)[0].text == wanted


def test_the_command_takes_it(tmp_path: Path):
    folder = save_blip(tmp_path / "blip")
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    asked = ["caption", str(tmp_path / "a.png"), "--captioner", f"hf:{folder}", "-n", "2"]
    done = CliRunner().invoke(build_app(), asked)
    assert done.exit_code == 0 and 1 <= len(done.stdout.splitlines()) <= 2


def test_what_is_no_captioner_is_refused_in_one_sentence(tmp_path: Path):
    with pytest.raises(DataError, match=r"captioner .* cannot be loaded"):
        load_captioner(f"hf:{tmp_path / 'nothing'}")
    folder = save_blip(tmp_path)
    weights = folder / "model.safetensors"
    torch.save({"a": torch.zeros(1)}, folder / "pytorch_model.bin")
    weights.unlink()
    with pytest.raises(DataError, match="cannot be loaded"):
        load_captioner(f"hf:{folder}")
    with pytest.raises(UsageError, match="belongs to a captioner openai:MODEL"):
        load_captioner(f"hf:{folder}", base_url="http://localhost:1/v1")
