"""One contract for aligners: ours from a file, CLIP's and SigLIP's from a folder of the hub."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from limner.errors import DataError, ModelFileError, UsageError
from limner.reading.aligner import load_aligner
from tiny_models import save_tiny

TEXTS = ["a red heart", "红色的心", "cat", "two fish on a green background"]
PICTURES = torch.rand(5, 3, 20, 24, generator=torch.Generator().manual_seed(0)) * 2 - 1


def save_hub(folder: Path, kind: str) -> Path:
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    pieces = tokenizers.Tokenizer(tokenizers.models.BPE())
    pieces.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<pad>", "<end>"], show_progress=False,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    pieces.train_from_iterator(TEXTS, trainer)
    pieces.post_processor = tokenizers.processors.TemplateProcessing(
        single="$A <end>", special_tokens=[("<end>", 1)]
    )
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=pieces, pad_token="<pad>", eos_token="<end>"
    )
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
             "num_attention_heads": 2}  # fmt: skip
    config = getattr(transformers, f"{kind}Config")(
        text_config={**shape, "vocab_size": len(tokenizer), "max_position_embeddings": 24,
                     "projection_size": 16, "eos_token_id": 1, "bos_token_id": 0},
        vision_config={**shape, "image_size": 16, "patch_size": 8},
    )  # fmt: skip
    torch.manual_seed(0)
    getattr(transformers, f"{kind}Model")(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    facts = {"image_processor_type": f"{kind}ImageProcessor", "size": {"height": 16, "width": 16},
             "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(facts))
    return folder


@pytest.fixture(params=["own", "CLIP", "Siglip"])
def spec(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "own":
        return str(save_tiny(tmp_path / "aligner.safetensors", "aligner"))
    return f"hf:{save_hub(tmp_path, request.param)}"


def test_every_aligner_gives_unit_vectors_that_depend_on_nothing_else(spec: str):
    aligner = load_aligner(spec)
    seen, said = aligner.encode_images(PICTURES), aligner.encode_texts(TEXTS)
    assert seen.shape == (5, aligner.dim) and said.shape == (4, aligner.dim)
    assert seen.dtype == said.dtype == torch.float32
    torch.testing.assert_close(seen.norm(dim=1), torch.ones(5))
    torch.testing.assert_close(said.norm(dim=1), torch.ones(4))
    assert torch.equal(aligner.encode_images(PICTURES[2:3])[0], seen[2])
    assert torch.equal(aligner.encode_texts(TEXTS[1:2])[0], said[1])
    assert aligner.logits(seen, said).shape == (5, 4)
    assert aligner.encode_images(PICTURES[:0]).shape == (0, aligner.dim)
    assert aligner.encode_texts([]).shape == (0, aligner.dim)
    again = load_aligner(aligner.spec)
    assert again.fingerprint == aligner.fingerprint and torch.equal(
        again.encode_images(PICTURES), seen
    )


@pytest.mark.parametrize("kind", ["CLIP", "Siglip"])
def test_the_hubs_logits_are_upstreams(kind: str, tmp_path: Path):
    import transformers

    folder = save_hub(tmp_path, kind)
    aligner = load_aligner(f"hf:{folder}")
    square = torch.rand(3, 3, 16, 16) * 2 - 1
    theirs = getattr(transformers, f"{kind}Model").from_pretrained(folder).eval()
    tokens = transformers.AutoTokenizer.from_pretrained(folder)(
        TEXTS, padding="max_length", max_length=24, return_tensors="pt"
    )
    tokens.pop("token_type_ids", None)
    with torch.no_grad():
        wanted = theirs(pixel_values=square, **tokens).logits_per_image
    mine = aligner.logits(aligner.encode_images(square), aligner.encode_texts(TEXTS))
    torch.testing.assert_close(mine, wanted, atol=1e-4, rtol=1e-4)


def test_what_is_no_aligner_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match=r"vae family, none that maps .* aligner-64"):
        load_aligner(save_tiny(tmp_path / "vae.safetensors", "vae"))
    with pytest.raises(ModelFileError, match="no model file"):
        load_aligner(tmp_path / "none.safetensors")
    with pytest.raises(DataError, match="aligner"):
        load_aligner(f"hf:{tmp_path}/nothing")
