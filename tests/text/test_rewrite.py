"""Prompts rewritten by rules, by a language model of transformers, and behind an endpoint."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from chat_endpoint import Endpoint, running_endpoint
from limner.cli import build_app
from limner.errors import DataError, EndpointError, PromptError, UsageError
from limner.evaluation.free_prompts import read_prompts
from limner.generation.generator import load
from limner.generation.prompts import PromptWarning
from limner.generation.records import read_record
from limner.generation.replay import redraw, same_pixels
from limner.text.rewrite import (
    LONGEST_ANSWER,
    LONGEST_ASKED,
    load_rewriter,
    messages_for,
    prompt_of,
)
from optional_modules import needed
from tiny_language_model import save_language_model

needed("openai")
transformers = needed("transformers")


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    with running_endpoint() as server:
        yield server


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("please draw me a picture of a cat", "a cat"), ("gato", "cat"), ("帮我画一只狗", "dog"),
        ("a slice of cake", "a cake"), ("a red apple", "a red apple"),
    ],
)  # fmt: skip
def test_rules(given: str, made: str):
    assert load_rewriter("rules").rewrite(given) == (made, "")


@pytest.mark.parametrize(
    ("answer", "prompt"),
    [
        ("a dog in a hat\nHere is why: …", "a dog in a hat"), ('1. "a dog."', "a dog"),
        ("<think>dogs? no {cats}</think>\n\nPrompt: a  cat", "a cat"), ("一只狗。", "一只狗。"),
        ("Image prompt: a cat, 2 dogs", "a cat, 2 dogs"), ("a cat's hat", "a cat's hat"),
    ],
)  # fmt: skip
def test_the_prompt_in_an_answer(answer: str, prompt: str):
    assert prompt_of(answer) == prompt


@pytest.mark.parametrize(
    "answer",
    [
        "", " \n", "...", "I'm sorry, but I can't help with that", "I cannot draw", "I don’t know",
        "As an AI, nothing", "Sure! a cat", "see https://example.org", "<script>alert(1)</script>",
        "```a cat```", '{"prompt": "a cat"}', "a cat\x1b[31m", "a" * (LONGEST_ANSWER + 1),
        "<think>a cat", "You are welcome",
    ],
)  # fmt: skip
def test_an_answer_that_is_no_prompt_is_refused(answer: str):
    with pytest.raises(PromptError):
        prompt_of(answer)


def test_the_examples_for_the_model_are_not_among_the_prompts_that_are_measured():
    measured = {prompt.text.casefold() for prompt in read_prompts()}
    said = {message["content"].casefold() for message in messages_for("a cat")}
    assert not measured & said


def test_a_model_of_transformers_answers_by_its_own_likeliest_tokens(tmp_path: Path):
    folder = save_language_model(tmp_path, "gpt2")
    config = transformers.GPT2Config.from_pretrained(folder, n_positions=2048)
    torch.manual_seed(1)
    network = transformers.GPT2LMHeadModel(config).eval()
    network.save_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    from limner.text.hub_chat import HubChat

    chat = HubChat(str(folder))
    said = [{"role": "user", "content": "a cat"}]
    ids = tokenizer("user: a cat\nassistant:", return_tensors="pt")["input_ids"]
    for _ in range(5):
        with torch.inference_mode():
            likeliest = network(ids).logits[0, -1].argmax()
        ids = torch.cat([ids, likeliest[None, None]], 1)
    assert chat.ask(said, 5, "answer") == tokenizer.decode(ids[0, -5:], skip_special_tokens=True)
    assert chat.spec == f"hf:{tmp_path.name}"


def test_what_cannot_be_a_rewriter_is_one_sentence(tmp_path: Path):
    with pytest.raises(UsageError, match="choose rules, openai:MODEL or hf:PATH_OR_ID"):
        load_rewriter("clever")
    with pytest.raises(UsageError, match="belongs to a rewriter openai:MODEL"):
        load_rewriter("rules", base_url="http://127.0.0.1:9/v1")
    with pytest.raises(DataError, match=r"there is no file .*none\.gguf"):
        load_rewriter(f"hf:{tmp_path}/none.gguf")
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF nothing")
    with pytest.raises(DataError, match="cannot be loaded"):
        load_rewriter(f"hf:{broken}")


def test_an_endpoint_is_asked_once_for_equal_prompts(endpoint: Endpoint):
    endpoint.answer = "a red apple"
    rewriter = load_rewriter("openai:small", base_url=endpoint.url)
    assert rewriter.rewrite("una manzana\nroja").prompt == "a red apple"
    assert rewriter.rewrite("una manzana\nroja").prompt == "a red apple"
    ((_, body),) = endpoint.asked
    assert body["model"] == "small"
    messages = body["messages"]
    assert isinstance(messages, list)
    assert messages[0]["role"] == "system"
    assert messages[-1] == {"role": "user", "content": "una manzana roja"}
    long = "a" * (LONGEST_ASKED + 1)
    assert rewriter.rewrite(long).prompt == long and len(endpoint.asked) == 1
    endpoint.failures = [(500, {"retry-after-ms": "5"})] * 5
    with pytest.raises(EndpointError, match="did not rewrite the prompt"):
        rewriter.rewrite("something else")


def test_the_picture_records_both_prompts_and_is_drawn_again(
    endpoint: Endpoint, tiny_model: Path, tmp_path: Path
):
    endpoint.answer = "a red apple"
    generator = load(tiny_model)
    rewriter = load_rewriter("openai:small", base_url=endpoint.url)
    (plain,) = generator.generate("a red apple, noto style", seed=3)
    (found,) = generator.generate("una manzana, noto style", seed=3, rewrite=rewriter)
    assert found.prompt == plain.prompt and found.settings == plain.settings
    assert found.image.tobytes() == plain.image.tobytes() and plain.rewritten is None
    path = found.save(tmp_path / "apple.png")
    record = read_record(path)
    assert record.prompt == "a red apple, noto style"
    assert record.rewritten is not None
    assert record.rewritten.model_dump() == {
        "given": "una manzana, noto style", "by": "openai:small",
    }  # fmt: skip
    endpoint.failures = [(500, {})] * 9  # nobody is asked again
    again = redraw(path, tiny_model)
    assert same_pixels(path, again.image) and again.rewritten == record.rewritten
    endpoint.failures, endpoint.answer = [], "I'm sorry"
    with pytest.warns(PromptWarning, match="is drawn as it is: openai:small answered"):
        (kept,) = generator.generate("un perro", seed=3, rewrite=rewriter)
    assert kept.prompt == "un perro" and kept.rewritten is None


def test_the_command_says_what_is_drawn(endpoint: Endpoint, tiny_model: Path, tmp_path: Path):
    endpoint.answer = "a dog in a hat"
    asked = ["generate", "un perro", "--model", str(tiny_model), "--seed", "1", "--json",
             "--out", str(tmp_path / "dog.png")]  # fmt: skip
    rewrite = ["--rewrite", "openai:small", "--base-url", endpoint.url]
    done = CliRunner().invoke(build_app(), [*asked, *rewrite])
    assert done.exit_code == 0, done.output
    (entry,) = json.loads(done.stdout)
    assert entry["prompt"] == "a dog in a hat" and entry["rewritten"]["given"] == "un perro"
    note = "note: 'un perro' is drawn as 'a dog in a hat', rewritten by openai:small"
    assert note in done.stderr and "sk-secret" not in done.output
    lost = CliRunner().invoke(build_app(), [*asked, "--base-url", endpoint.url])
    assert lost.exit_code == 2 and "give both" in lost.stderr
