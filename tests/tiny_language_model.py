"""A tiny random language model in the hub's format."""

from __future__ import annotations

import torch

from optional_modules import needed

transformers = needed("transformers")
tokenizers = needed("tokenizers")


def save_language_model(folder, kind):
    """A random network of 16 numbers and a tokenizer of single bytes, as the hub keeps them."""
    torch.manual_seed(0)
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {c: i for i, c in enumerate(["<pad>", "<unk>", *alphabet])}
    model = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocabulary, merges=[]))
    model.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=model, pad_token="<pad>", unk_token="<unk>", model_max_length=32
    ).save_pretrained(folder)
    size = len(vocabulary)
    if kind == "gpt2":
        config = transformers.GPT2Config(
            n_embd=16, n_layer=2, n_head=2, n_positions=32, vocab_size=size
        )
        transformers.GPT2Model(config).save_pretrained(folder)
    else:
        config = transformers.BertConfig(
            hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
            max_position_embeddings=32, vocab_size=size,
        )  # fmt: skip
        transformers.BertModel(config).save_pretrained(folder)
    return folder
