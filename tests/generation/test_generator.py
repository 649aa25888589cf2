from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from PIL import Image

from limner.errors import (
    CapabilityError,
    ModelFileError,
    PromptError,
    UsageError,
)
from limner.generation.generator import Generator, load
from limner.generation.prompts import split_style
from limner.generation.requests import DrawRequest, RefusedPromptError
from limner.loading import EncoderChangedWarning
from limner.models.settings import MAX_SEED, OPTIONS, Capability, Settings, capability_of
from limner.shipped import find_model
from limner.threads import usable_cpus
from tiny_models import STYLES, save_tiny

PROMPTS = ["a red heart", "一只可爱的小狗", "a very large green apple on a small round table"]


@pytest.fixture
def side(generator) -> int:
    """The side of the model's own pictures, in pixels."""
    return generator.model.config.size


def bits(picture) -> bytes:
    return picture.image.tobytes()


def test_one_picture(generator, side):
    (picture,) = generator.generate("a red heart", seed=7)
    assert picture.image.size == (side, side)
    assert picture.image.mode == "RGB"
    assert (picture.prompt, picture.seed, picture.index) == ("a red heart", 7, 0)
    assert picture.model == generator.hash
    pixels = np.asarray(picture.image)
    inside = ((pixels > 0) & (pixels < 255)).mean()
    assert pixels.std() > 1 and inside > 0.5, "flat or clipped pixels would hide differences"


def test_order_is_by_prompt_and_seeds_count_up(generator):
    pictures = generator.generate(PROMPTS, n=2, seed=5)
    assert [(p.prompt, p.seed) for p in pictures] == [(t, s) for t in PROMPTS for s in (5, 6)]
    assert [p.index for p in pictures] == [0, 0, 1, 1, 2, 2]


def test_bits_do_not_depend_on_neighbours(generator):
    together = {(p.prompt, p.seed): bits(p) for p in generator.generate(PROMPTS, n=3, seed=5)}
    assert len(set(together.values())) == 9
    backwards = generator.generate(PROMPTS[::-1], n=3, seed=5)
    assert {(p.prompt, p.seed): bits(p) for p in backwards} == together
    for (prompt, seed), wanted in together.items():
        assert bits(generator.generate(prompt, seed=seed)[0]) == wanted


def test_bits_do_not_depend_on_threads(model_path, keep_threads):
    pictures = []
    for threads in (1, 2):
        generator = load(model_path, threads=threads)
        assert torch.get_num_threads() == min(threads, usable_cpus())
        pictures.append([bits(p) for p in generator.generate(PROMPTS[:1], seed=3)])
    assert pictures[0] == pictures[1]


def test_words_and_seed_both_matter(generator):
    heart, other_seed = generator.generate("a red heart", n=2, seed=1)
    other_words = generator.generate("a blue whale", seed=1)[0]
    assert len({bits(heart), bits(other_seed), bits(other_words)}) == 3


def test_unseeded_pictures_differ_and_can_be_drawn_again(generator):
    first, second = generator.generate(["a cat", "a cat"])
    assert first.seed != second.seed
    assert 0 <= first.seed <= MAX_SEED
    assert bits(generator.generate("a cat", seed=first.seed)[0]) == bits(first)


def test_a_largest_seed(generator):
    assert generator.generate("a cat", seed=MAX_SEED)[0].seed == MAX_SEED
    with pytest.raises(UsageError, match="too large for 2 pictures"):
        generator.generate("a cat", n=2, seed=MAX_SEED)


@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, True, "7"])
def test_bad_seeds(generator, seed):
    with pytest.raises(UsageError, match="seed"):
        generator.generate("a cat", seed=seed)


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 0},
        {"steps": 10**9},
        {"guidance": float("nan")},
        {"guidance": -1.0},
        {"size": 3},
        {"n": 0},
    ],
)
def test_options_out_of_range(generator, options):
    with pytest.raises(UsageError, match=next(iter(options))):
        generator.generate("a cat", **options)


def test_no_prompt(generator):
    with pytest.raises(UsageError, match="no prompt"):
        generator.generate([])


def test_refused_prompts_say_which(generator):
    with pytest.raises(PromptError):
        generator.generate("")
    with pytest.raises(PromptError, match="prompt 2"):
        generator.generate(["a cat", "  ", "a dog"])
    if Capability.GUIDANCE in generator.model.capabilities:
        with pytest.raises(PromptError, match="negative prompt"):
            generator.generate("a cat", negative="")
    with pytest.raises(PromptError, match="prompt 2: a int is not text"):
        generator.generate(["a cat", 7])


def test_styles(generator):
    by_option = [bits(generator.generate("a cat", seed=1, style=name)[0]) for name in STYLES]
    assert by_option[0] != by_option[1]
    for prompt in ("a cat, noto style", "a cat in NOTO style", "a cat in the noto style."):
        (picture,) = generator.generate(prompt, seed=1)
        assert bits(picture) == by_option[0]
        assert picture.prompt == prompt
        assert picture.settings.style == "noto"
    mixed = generator.generate(["a cat, noto style", "a cat"], seed=1)
    assert bits(mixed[0]) == by_option[0]
    assert bits(mixed[1]) == bits(generator.generate("a cat", seed=1)[0])
    assert mixed[1].settings.style is None
    both = generator.generate("a cat, noto style", seed=1, style=STYLES[1])[0]
    assert bits(both) == by_option[1]


def test_unknown_style_lists_those_there_are(generator):
    with pytest.raises(UsageError, match="noto, fluent-emoji-flat"):
        generator.generate("a cat", style="cubist")


@pytest.mark.parametrize(
    ("prompt", "words", "style"),
    [
        ("a cat, noto style", "a cat", "noto"),
        ("a cat, in noto style", "a cat", "noto"),
        ("一只小狗, noto style", "一只小狗", "noto"),
        ("a cat in fluent-emoji-flat style", "a cat", "fluent-emoji-flat"),
        ("a cat, cubist style", "a cat, cubist style", None),
        ("a cat with style", "a cat with style", None),
        ("a cat within noto style", "a cat within noto style", None),
        ("noto style", "noto style", None),
        (", noto style", ", noto style", None),
        ("a noto style cat", "a noto style cat", None),
    ],
)
def test_split_style(prompt, words, style):
    assert split_style(prompt, STYLES) == (words, style)


def test_what_the_family_cannot_do_is_an_error(generator):
    asked = {Capability.STEPS: {"steps": 3}, Capability.GUIDANCE: {"guidance": 2.0}}
    for capability, options in asked.items():
        if capability in generator.model.capabilities:
            assert len(generator.generate("a cat", seed=1, **options)) == 1
        else:
            with pytest.raises(CapabilityError, match=capability.value):
                generator.generate("a cat", seed=1, **options)


def test_a_size_of_ones_own(generator, side):
    own, other = generator.generate(["a cat", "a dog"], seed=1)
    large = generator.generate(["a cat", "a dog"], seed=1, size=4 * side)
    assert [each.image.size for each in large] == [(4 * side, 4 * side)] * 2
    assert bits(generator.generate("a dog", seed=1, size=4 * side)[0]) == bits(large[1])
    if side >= 16:  # the least that may be asked for
        assert bits(generator.generate("a cat", seed=1, size=side)[0]) == bits(own)
    # The means of its 4 x 4 pixels are nearer to the picture than to another.
    means = np.asarray(large[0].image.reduce(4), np.float64)
    apart = [np.abs(means - np.asarray(each.image)).mean() for each in (own, other)]
    assert apart[0] < apart[1]


def test_negative_prompt(generator):
    if Capability.GUIDANCE not in generator.model.capabilities:
        with pytest.raises(CapabilityError, match="does not take 'negative'"):
            generator.generate("a cat", negative="a dog")
        return
    plain, negated = (generator.generate("a cat", seed=1, negative=n)[0] for n in (None, "a dog"))
    assert bits(plain) != bits(negated)


def test_the_stream_is_lazy(generator):
    taken = []

    def prompts() -> Iterator[str]:
        for i in range(1_000_000):
            taken.append(i)
            yield f"cat number {i}"

    stream = generator.stream(prompts(), seed=1)
    assert not taken
    first = next(stream)
    assert first.prompt == "cat number 0"
    assert len(taken) <= 64
    assert bits(first) == bits(generator.generate("cat number 0", seed=1)[0])


def test_long_streams_are_one(generator):
    prompts = [f"cat {i % 5}" for i in range(35)]
    pictures = generator.generate(prompts, seed=1)
    assert [p.index for p in pictures] == list(range(35))
    assert len({bits(p) for p in pictures}) == 5
    assert bits(pictures[34]) == bits(pictures[4])


def test_changed_encoder_warns(tmp_path):
    path = save_tiny(tmp_path / "old.safetensors", encoder_fingerprint="0123456789abcdef")
    with pytest.warns(EncoderChangedWarning, match="has changed since old"):
        load(path)


def test_run_folder_stands_for_its_model(tmp_path):
    path = save_tiny(tmp_path / "model.safetensors")
    assert find_model(tmp_path) == path


def test_bad_models(tmp_path, model_path):
    with pytest.raises(ModelFileError, match="no model file"):
        load(tmp_path / "none.safetensors")
    raw = model_path.read_bytes()
    short = tmp_path / "short.safetensors"
    short.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(ModelFileError, match=r"short\.safetensors"):
        load(short)
    (tmp_path / "text.safetensors").write_text("not a model")
    with pytest.raises(ModelFileError, match="not a safetensors file"):
        load(tmp_path / "text.safetensors")


def test_bad_machines(model_path, keep_threads):
    for device in ("cuda:99", "abacus", "meta"):
        with pytest.raises(UsageError, match=device):
            load(model_path, device=device)
    for threads in (0, 100_000):  # the latter, given to torch, is a segmentation fault
        with pytest.raises(UsageError, match=f"threads = {threads} is refused: use 1 to 1024"):
            load(model_path, threads=threads)
    load(model_path, threads=1024)
    assert torch.get_num_threads() == usable_cpus()


def test_an_unknown_option_lists_those_there_are(generator):
    with pytest.raises(UsageError, match=f"no option 'stepz'.*{', '.join(OPTIONS)}"):
        generator.generate("a cat", stepz=3)


def test_options_of_chance_reach_the_family_or_are_refused(generator):
    plain = generator.generate("cat", seed=1)[0].image
    wanted = {
        Capability.TEMPERATURE: {"temperature": 0.0},
        Capability.TOP_K: {"top_k": 1},
        Capability.TOP_P: {"top_p": 1e-6},
        Capability.TRUNCATION: {"truncation": 0.05},
    }
    for capability, option in wanted.items():
        if capability in generator.model.capabilities:
            drawn = generator.generate("cat", seed=1, **option)[0]
            assert drawn.image.tobytes() != plain.tobytes(), capability
            assert drawn.settings.model_dump(exclude_none=True) == option
        else:
            with pytest.raises(CapabilityError, match=capability.value):
                generator.generate("cat", seed=1, **option)


@pytest.mark.parametrize(
    "option",
    [{"temperature": -1}, {"temperature": float("nan")}, {"top_k": -1}, {"top_p": 0},
     {"top_p": 1.1}, {"truncation": 0}, {"stepz": 3}],
)  # fmt: skip
def test_options_out_of_range_are_refused_by_name(generator, option):
    with pytest.raises(UsageError, match=next(iter(option))):
        generator.generate("cat", **option)


def test_representations_are_short(generator, side):
    (picture,) = generator.generate("a red heart", seed=7)
    assert repr(picture) == f"<Picture of 'a red heart', seed 7, {side} x {side}>"
    assert repr(generator).startswith("<Generator tiny.safetensors: ") and len(repr(generator)) < 80
    shown = Image.open(io.BytesIO(picture._repr_png_()))
    assert shown.convert("RGB").tobytes() == bits(picture)


def test_requests_have_their_own_prompt_seed_and_settings(generator):
    chance = capability_of("temperature") in generator.model.capabilities
    cold = Settings(temperature=0.5) if chance else Settings()
    asked = [
        DrawRequest("a cat", 3), DrawRequest("a dog", 9, Settings(style="noto")),
        DrawRequest("a cat, noto style", 4), DrawRequest("a cat", 3, cold),
    ]  # fmt: skip
    drawn = list(generator.draw(iter(asked)))
    assert [(p.prompt, p.seed, p.index) for p in drawn] == [
        (a.prompt, a.seed, i) for i, a in enumerate(asked)
    ]
    assert [p.settings.style for p in drawn] == [None, "noto", "noto", None]
    for picture, request in zip(drawn, asked, strict=True):
        (alone,) = generator.draw([request])
        assert bits(alone) == bits(picture)
    assert list(generator.draw([])) == []


def test_refused_prompts_are_reported_and_the_others_drawn(generator):
    asked, refused = ["a cat", "  ", "a dog", 7, ""], []
    drawn = list(generator.stream(asked, n=2, seed=1, on_refused=refused.append))
    assert [p.index for p in drawn] == [0, 0, 2, 2]
    assert [error.index for error in refused] == [1, 3, 4]
    assert "a int is not text" in str(refused[1])
    again = generator.draw([DrawRequest(p, 1) for p in asked], on_refused=refused.append)
    assert [bits(p) for p in again] == [bits(p) for p in drawn if p.seed == 1]
    with pytest.raises(RefusedPromptError, match="prompt 2"):
        list(generator.draw([DrawRequest(p, 1) for p in asked]))


def test_a_model_in_memory_draws_what_its_file_draws(generator):
    memory = Generator(generator.model, generator.info, generator.encoder)
    assert (memory.hash, memory.path) == ("", None)
    one, other = (g.generate("a cat", seed=5)[0] for g in (memory, generator))
    assert bits(one) == bits(other) and one.model == ""


def test_weights_that_are_no_numbers_are_an_error_naming_the_model(tmp_path):
    damaged = load(save_tiny(tmp_path / "damaged.safetensors", "vae"))
    with torch.no_grad():
        for parameter in damaged.model.parameters():
            parameter.fill_(float("nan"))
    with pytest.raises(ModelFileError, match=r"damaged\.safetensors gives numbers .* not finite"):
        damaged.generate("a cat", seed=1)


def test_the_tile_can_be_chosen_when_loading(model_path, generator):
    assert load(model_path, tile=4).model.tile == 4
    assert load(model_path).model.tile == generator.model.tile
    with pytest.raises(UsageError, match="tile = 0"):
        load(model_path, tile=0)


def test_the_device_may_be_left_to_the_machine(model_path):
    assert load(model_path, device="auto").device in ("cpu", "cuda")
