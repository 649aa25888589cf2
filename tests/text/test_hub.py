import pytest
import torch

from limner.errors import DataError, PromptError, UsageError
from limner.text import load_encoder
from limner.text.base import TextEncoder
from optional_modules import needed

transformers = needed("transformers")
tokenizers = needed("tokenizers")

TEXTS = ["red heart", "a red apple and a green pear on the table", "kitty", "夕阳 🍎"]
KINDS = ["gpt2", "bert", "t5", "llama"]


def _tokenizer(kind):
    """A byte-level tokenizer trained on the spot; GPT-2's and Llama's have no padding."""
    model = tokenizers.Tokenizer(tokenizers.models.BPE())
    model.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = tokenizers.decoders.ByteLevel()
    special = {
        "gpt2": ["<|endoftext|>"],
        "bert": ["[PAD]", "[UNK]", "[CLS]", "[SEP]"],
        "t5": ["<pad>", "</s>", "<unk>"],
        "llama": ["<unk>", "<s>", "</s>"],
    }[kind]
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=320, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    model.train_from_iterator(TEXTS, trainer)
    names = {
        "gpt2": {"eos_token": "<|endoftext|>", "bos_token": "<|endoftext|>"},
        "bert": {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"},
        "t5": {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"},
        "llama": {"bos_token": "<s>", "eos_token": "</s>", "padding_side": "left"},
    }[kind]
    frame = {"bert": ("[CLS]", "[SEP]"), "t5": (None, "</s>"), "llama": ("<s>", None)}.get(kind)
    if frame:
        single = " ".join(part for part in (frame[0], "$A", frame[1]) if part)
        ids = [(part, model.token_to_id(part)) for part in frame if part]
        model.post_processor = tokenizers.processors.TemplateProcessing(
            single=single, special_tokens=ids
        )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=model, model_max_length=64, **names
    )


def _model(kind, vocabulary):
    torch.manual_seed(0)
    small = {"vocab_size": vocabulary}
    if kind == "gpt2":
        config = transformers.GPT2Config(n_embd=32, n_layer=2, n_head=2, n_positions=64, **small)
        return transformers.GPT2LMHeadModel(config)
    if kind == "bert":
        config = transformers.BertConfig(
            hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48,
            max_position_embeddings=64, **small,
        )  # fmt: skip
        return transformers.BertModel(config)
    if kind == "t5":
        config = transformers.T5Config(
            d_model=32, d_kv=16, d_ff=48, num_layers=2, num_heads=2, decoder_start_token_id=0,
            **small,
        )  # fmt: skip
        return transformers.T5ForConditionalGeneration(config)
    config = transformers.LlamaConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
        intermediate_size=48, max_position_embeddings=64, **small,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = {}
    for kind in KINDS:
        folder = tmp_path_factory.mktemp(kind)
        tokenizer = _tokenizer(kind)
        tokenizer.save_pretrained(folder)
        _model(kind, len(tokenizer)).save_pretrained(folder)
        assert (folder / "model.safetensors").is_file()
        made[kind] = folder
    return made


def _direct(kind, folder, text, layer):
    """What a plain transformers forward of one text gives, with no padding anywhere."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    classes = {"t5": transformers.T5EncoderModel}
    model = classes.get(kind, transformers.AutoModel).from_pretrained(folder).eval()
    ids = torch.tensor([tokenizer(text)["input_ids"]])
    with torch.inference_mode():
        return model(input_ids=ids, output_hidden_states=True).hidden_states[layer][0]


@pytest.mark.parametrize("kind", KINDS)
def test_it_equals_a_direct_forward_and_ignores_its_neighbours(folders, kind):
    encoder = load_encoder(f"hf:{folders[kind]}", cache=False)
    assert isinstance(encoder, TextEncoder)
    together = encoder.encode(TEXTS)
    assert together.tokens.shape[2] == encoder.dim == 32
    for index, text in enumerate(TEXTS):
        states = _direct(kind, folders[kind], text, -1)
        alone = encoder.encode([text])
        own = together.tokens[index][together.mask[index]]
        assert torch.allclose(alone.tokens[0], states, atol=1e-6)
        assert torch.allclose(own, states, atol=1e-5)
        assert torch.allclose(together.pooled[index], states.mean(0), atol=1e-5)
        assert (together.tokens[index][~together.mask[index]] == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_layer_pool_and_prefix(folders, kind):
    place = f"hf:{folders[kind]}"
    states = _direct(kind, folders[kind], "query: kitty", 1)
    last = load_encoder(f"{place}?layer=1&pool=last&prefix=query%3A%20", cache=False)
    first = load_encoder(f"{place}?layer=1&pool=cls&prefix=query%3A%20", cache=False)
    assert torch.allclose(last.encode([*TEXTS[1:3], "kitty"]).pooled[2], states[-1], atol=1e-5)
    assert torch.allclose(first.encode(["kitty", TEXTS[1]]).pooled[0], states[0], atol=1e-5)
    again = load_encoder(last.spec, cache=False)
    assert again.spec == last.spec
    assert again.fingerprint == last.fingerprint
    plain = load_encoder(place, cache=False)
    assert len({plain.fingerprint, last.fingerprint, first.fingerprint}) == 3


def test_other_weights_have_another_fingerprint(folders, tmp_path):
    model = transformers.AutoModel.from_pretrained(folders["bert"])
    with torch.no_grad():
        next(model.parameters())[0, 0] += 1
    model.save_pretrained(tmp_path)
    transformers.AutoTokenizer.from_pretrained(folders["bert"]).save_pretrained(tmp_path)
    a, b = (load_encoder(f"hf:{p}", cache=False) for p in (folders["bert"], tmp_path))
    assert a.fingerprint != b.fingerprint


def test_through_the_cache(folders, tmp_path, monkeypatch):
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path))
    fresh = load_encoder(f"hf:{folders['llama']}")
    first = fresh.encode(TEXTS)
    again = load_encoder(f"hf:{folders['llama']}").encode(TEXTS)
    assert torch.equal(first.tokens, again.tokens)
    assert torch.equal(first.pooled, again.pooled)


@pytest.mark.parametrize("kind", KINDS)
def test_long_texts_are_cut_to_what_the_model_reads(folders, kind):
    features = load_encoder(f"hf:{folders[kind]}", cache=False).encode(["apple " * 500, "cat"])
    assert features.tokens.shape[1] <= 64
    assert torch.isfinite(features.tokens).all()


def test_pickled_weights_are_not_read(folders, tmp_path):
    transformers.AutoTokenizer.from_pretrained(folders["bert"]).save_pretrained(tmp_path)
    model = transformers.AutoModel.from_pretrained(folders["bert"])
    model.config.save_pretrained(tmp_path)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(DataError, match="safetensors"):
        load_encoder(f"hf:{tmp_path}", cache=False)


def test_what_cannot_be_is_refused(folders, tmp_path):
    with pytest.raises(DataError, match="cannot be loaded"):
        load_encoder(f"hf:{tmp_path / 'nothing'}", cache=False)
    with pytest.raises(UsageError, match="no layer 7"):
        load_encoder(f"hf:{folders['gpt2']}?layer=7", cache=False)
    with pytest.raises(UsageError, match="no pooling 'max'"):
        load_encoder(f"hf:{folders['gpt2']}?pool=max", cache=False)
    with pytest.raises(PromptError):
        load_encoder(f"hf:{folders['gpt2']}", cache=False).encode([""])
    assert len(load_encoder(f"hf:{folders['gpt2']}", cache=False).encode([])) == 0
