"""Bodies from the hub against what transformers itself computes with a grown vocabulary."""

import json

import pytest
import torch

from limner.errors import DataError, UsageError
from limner.modelfile import load_model, save_model
from limner.modelinfo import ModelInfo
from limner.models.ar import ARConfig, ARModel
from limner.models.base import build
from limner.models.lm import HubBody, read_config
from limner.models.lora import UP
from limner.models.rows import SampleRequest

transformers = pytest.importorskip("transformers")
DIM, WORDS = 24, 50


def tiny_hub_config(kind):
    if kind == "gpt2":
        return transformers.GPT2Config(
            vocab_size=WORDS, n_embd=DIM, n_layer=2, n_head=2, n_positions=64,
            bos_token_id=0, eos_token_id=0,
        )  # fmt: skip
    shape = {
        "vocab_size": WORDS, "hidden_size": DIM, "intermediate_size": 40, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64,
    }  # fmt: skip
    kinds = {"llama": transformers.LlamaConfig, "qwen2": transformers.Qwen2Config}
    return kinds[kind](**shape, tie_word_embeddings=kind == "qwen2")


@pytest.fixture(params=["gpt2", "llama", "qwen2"])
def hub(request, tmp_path):
    """A folder in the hub's own format, and the model that was saved there."""
    torch.manual_seed(2)
    model = transformers.AutoModelForCausalLM.from_config(tiny_hub_config(request.param)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    model.save_pretrained(tmp_path / request.param)
    return tmp_path / request.param, model


def config_from(path, **more):
    values = {
        "size": 8, "patch": 2, "channels": 1, "levels": 4, "patch_width": 4, "text_dim": 16,
        "text_width": 8, "max_tokens": 3, "caption_drop": 0.5, "body_path": str(path), **more,
    }  # fmt: skip
    return ARConfig.model_validate(values)


def test_logits_of_new_words_are_those_of_transformers_with_a_grown_vocabulary(hub):
    path, theirs = hub
    # one grey pixel a cell: its nine values are words of the language
    model = ARModel(config_from(path, size=4, patch=1, levels=9)).eval()
    with torch.no_grad():
        model.place.zero_()
    theirs.resize_token_embeddings(WORDS + 9, mean_resizing=False)
    with torch.no_grad():
        theirs.get_input_embeddings().weight[WORDS:] = model.vocabulary.table.weight
        theirs.get_output_embeddings().weight[WORDS:] = model.vocabulary.head.weight
    prefix = torch.randn(3, 4, DIM)
    codes = torch.randint(9, (3, 16, 1))
    words = theirs.get_input_embeddings()(WORDS + codes[:, :-1, 0])
    x = torch.cat((prefix, model.start.expand(3, 1, -1), words), 1)
    if theirs.config.tie_word_embeddings:
        assert torch.equal(model.vocabulary.table.weight, model.vocabulary.head.weight)
    with torch.no_grad():
        expected = theirs(inputs_embeds=x).logits[:, 4:, WORDS:]
        got = model.logits(prefix, codes)[:, :, 0]
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-4)


def test_new_words_begin_where_the_old_ones_lie(hub):
    path, theirs = hub
    body = HubBody(read_config(str(path)), start=str(path))
    words, heads = body.new_rows(20_000)
    for rows, table in (
        (words, theirs.get_input_embeddings().weight),
        (heads, theirs.get_output_embeddings().weight),
    ):
        old = table.detach()
        torch.testing.assert_close(rows.mean(0), old.mean(0), atol=0.02, rtol=0)
        torch.testing.assert_close(rows.T.cov(), old.T.cov(correction=0), atol=0.02, rtol=0)
    spread = (theirs.get_input_embeddings().weight.var(0, correction=0).mean()) ** 0.5
    assert body.embedding_scale == pytest.approx(spread.item(), rel=1e-4)


def test_cached_decoding_equals_decoding_without(hub):
    body = HubBody(read_config(str(hub[0])), start=str(hub[0])).eval()
    x = torch.randn(2, 10, DIM)
    store, parts, filled = torch.zeros(2, *body.cache_shape(10)), [], 0
    with torch.no_grad():
        for piece in x.split([4, 1, 1, 1, 1, 1, 1], 1):
            parts.append(body(piece, body.open_cache(store, filled)))
            filled += piece.shape[1]
        parts = torch.cat(parts, 1)
        torch.testing.assert_close(parts, body(x), atol=1e-5, rtol=1e-4)


def test_the_file_needs_no_hub(hub, tmp_path, make_features, stir):
    path, _ = hub
    model = stir(ARModel(config_from(path)))
    assert model.config.body_path is None
    assert model.config.body["model_type"] == path.name
    info = ModelInfo(
        family="ar", config=model.config.model_dump(mode="json"), encoder="e5-small",
        encoder_fingerprint="0" * 16,
    )  # fmt: skip
    save_model(tmp_path / "m.safetensors", model, info)
    for file in path.iterdir():
        file.unlink()
    loaded, _ = load_model(tmp_path / "m.safetensors")
    request = SampleRequest(make_features(2, 16), [1, 2])
    assert torch.equal(loaded.sample(request), model.sample(request))


def test_every_weight_but_the_vocabulary_is_the_language_models(hub):
    path, theirs = hub
    network = ARModel(config_from(path)).body.network
    expected = {
        name: value
        for name, value in theirs.base_model.state_dict().items()
        if not name.startswith(("wte.", "embed_tokens."))
    }
    mine = network.state_dict()
    assert mine.keys() == expected.keys()
    assert all(torch.equal(mine[name], value) for name, value in expected.items())


@pytest.mark.parametrize("lora", [0, 2])
def test_learns_fully_or_through_low_ranks(hub, lora, make_batch):
    path, _ = hub
    model = ARModel(config_from(path, lora=lora, channels=3))
    before = {name: value.clone() for name, value in model.body.named_parameters()}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    batch = make_batch(model)
    first = model.losses(batch, "model")["nll"].item()
    for _ in range(12):
        optimizer.zero_grad()
        loss = model.losses(make_batch(model), "model")["nll"]
        loss.backward()
        optimizer.step()
    assert loss.item() < first
    moved = {n for n, p in model.body.named_parameters() if not torch.equal(p, before[n])}
    if lora:
        assert moved == {n for n in before if "lora_" in n}
        linear = 4 if path.name == "gpt2" else 7
        assert sum(name.endswith(UP) for name in model.body.state_dict()) == 2 * linear
    else:
        assert moved == set(before)


def test_losses_depend_on_nothing_but_the_batch(hub, make_batch):
    # GPT-2's configuration asks for dropout, which would draw from torch's own generator
    model = ARModel(config_from(hub[0], channels=3)).train()
    one, two = (model.losses(make_batch(model, seed=3), "model")["nll"] for _ in range(2))
    assert one.item() == two.item()


def test_a_picture_is_the_same_alone_and_among_others(hub, make_features, stir):
    model = stir(ARModel(config_from(hub[0])))
    text = make_features(11, 16)
    whole = model.sample(SampleRequest(text, list(range(11))))
    alone = model.sample(SampleRequest(text[[9]], [9]))
    assert torch.equal(alone[0], whole[9])


def test_a_random_body_needs_a_configuration_alone(make_features):
    body = {"model_type": "gpt2", "n_embd": 16, "n_layer": 1, "n_head": 2}
    model = build("ar", {**config_from_defaults(), "body": body})
    assert sum(p.numel() for p in model.body.parameters()) < 50_000  # no 50,257 words
    assert model.sample(SampleRequest(make_features(1, 16), [0])).shape == (1, 3, 8, 8)


def config_from_defaults():
    return {"size": 8, "patch": 4, "text_dim": 16, "text_width": 8, "patch_width": 2, "levels": 3}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"model_type": "no-such"}, "no configuration of a language model"),
        ({"model_type": "vit"}, "not a causal language model"),
        (
            {"model_type": "bert", "hidden_size": 16, "num_hidden_layers": 1,
             "num_attention_heads": 2, "intermediate_size": 16},
            "is not causal",
        ),
        ({"model_type": "gpt2", "n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 8},
         "the language model has 8"),
    ],
)  # fmt: skip
def test_bodies_that_cannot_draw_are_refused_in_one_sentence(body, message):
    with pytest.raises(UsageError, match=message) as caught:
        build("ar", {**config_from_defaults(), "body": body})
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be loaded"):
        read_config(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps(tiny_hub_config("gpt2").to_dict()))
    with pytest.raises(DataError, match="cannot be loaded"):
        HubBody(read_config(str(tmp_path)), start=str(tmp_path))
