"""The captioner: letters, likelihoods that sum to one, beams that find the best, and learning."""

import dataclasses
import itertools
import math

import pytest
import torch
from pydantic import ValidationError

from limner.errors import UsageError
from limner.models.base import build
from limner.models.captioner import (
    END,
    VOCABULARY,
    CaptionerConfig,
    CaptionerModel,
    _Beams,
    cut,
    turned,
)
from limner.text import load_encoder
from tiny_configs import tiny_config


def tiny(**changed: object) -> CaptionerModel:
    torch.manual_seed(0)
    return build("captioner", {**tiny_config(CaptionerConfig).model_dump(), **changed})


def image(seed: int = 0) -> torch.Tensor:
    return torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@torch.inference_mode()
def likelihood(model, images, captions, language=None):
    """Log-probability in nats of a caption of each picture, letter by letter."""
    letters = model.to_bytes(captions)
    ids = model.language_ids([language] * len(images))
    logs = model.logits(model.prefix(model.encode_averaged(images), ids), letters).log_softmax(-1)
    each = logs.gather(-1, letters.clamp_min(0)[..., None])[..., 0]
    return (each * (letters >= 0)).sum(1)


def test_letters_are_bytes_and_an_end():
    model = tiny()
    spelled = model.to_bytes(["ab", "猫"])
    assert spelled.tolist() == [[97, 98, END, -1], [0xE7, 0x8C, 0xAB, END]]
    assert model.to_bytes(["x" * 50]).shape == (1, 13)


@pytest.mark.parametrize(
    ("text", "kept"), [("红色的苹果", "红色的苹"), ("a  b\nc", "a b c"), ("", "")]
)
def test_no_letter_is_cut_in_two(text, kept):
    assert cut(text, 14).decode() == kept


def test_losses_are_the_mean_over_the_letters_of_the_likelihood(make_batch):
    model = tiny(languages=(), common=0)
    captions = ["a", "bcd", "狗", "", "a cat", "ab"]
    batch = dataclasses.replace(make_batch(model, count=6), captions=captions)
    each = likelihood(model, batch.images, batch.captions)
    letters = torch.tensor([2, 4, 4, 1, 6, 3])
    loss = model.losses(batch, "model")["nll"]
    assert loss.item() == pytest.approx((-each.sum() / letters.sum()).item(), rel=1e-5)


def test_the_chances_of_all_texts_of_a_length_sum_to_one():
    model = tiny(longest=1)
    with torch.no_grad():
        prefix = model.prefix(model.encode_averaged(image()[None]), model.language_ids(["en"]))
        first = model.logits(prefix, torch.tensor([[0]])).log_softmax(-1)[0, 0]
        total = first[END].exp()
        for letter in range(256):
            second = model.logits(prefix, torch.tensor([[letter, END]])).log_softmax(-1)[0, 1]
            total = total + first[letter].exp() * second.exp().sum()
    assert total.item() == pytest.approx(1, abs=1e-4)
    said = likelihood(model, image()[None], ["b"], "en").item()
    with torch.no_grad():
        logs = model.logits(prefix, model.to_bytes(["b"])).log_softmax(-1)[0]
    assert said == pytest.approx((logs[0, ord("b")] + logs[1, END]).item(), abs=1e-5)


def test_beams_that_follow_everything_find_the_best_text():
    model = tiny(longest=2)
    with torch.no_grad():
        model.head.bias.fill_(-30)
        model.head.bias[[97, 98, 99, END]] = 0
    found = model.caption(image(), "en", count=12)
    texts = ["".join(t) for n in (1, 2) for t in itertools.product("abc", repeat=n)]
    scores = {t: likelihood(model, image()[None], [t], "en").item() for t in texts}
    best = sorted(texts, key=lambda t: -scores[t])
    assert [said.text for said in found] == best
    for said in found:
        assert said.score == pytest.approx(scores[said.text], abs=1e-4)
    assert [s.text for s in model.caption(image(), "en")] == best[:1]


def test_a_search_is_over_when_no_unfinished_text_can_be_among_the_best():
    beams = _Beams(3, torch.device("cpu"))
    logs = torch.full((3, VOCABULARY), -torch.inf)
    logs[0, ord("a")], logs[0, ord("b")], logs[0, ord("c")] = -1.0, -2.0, -3.0
    beams.step(logs)
    assert not beams.over(1), "nothing is finished"
    logs = torch.full((3, VOCABULARY), -torch.inf)
    logs[:, END], logs[:, ord("d")] = -0.5, -1.0  # a -1.5, b -2.5, c -3.5; ad -2, bd -3, cd -4
    beams.step(logs)
    assert [beams.over(count) for count in (1, 2, 3, 4)] == [True, False, False, False]
    assert [each.text for each in beams.best(2)] == ["a", "b"]


def test_cached_letters_equal_uncached_ones():
    model = tiny()
    spelled = model.to_bytes(["a cat"])
    with torch.no_grad():
        prefix = model.prefix(model.encode_averaged(image()[None]), model.language_ids(["zh"]))
        wanted = model.logits(prefix, spelled)[0]
        cache = model.body.open_cache(torch.zeros(1, *model.body.cache_shape(prefix.shape[1] + 8)))
        state = model.body(prefix, cache)[:, -1]
        for place, letter in enumerate(spelled[0].tolist()):
            torch.testing.assert_close(model.head(state)[0], wanted[place], atol=1e-4, rtol=1e-4)
            state = model.body(model.letters(torch.tensor([[letter]])), cache)[:, -1]


def test_it_learns_to_say_what_it_sees_in_the_language_asked_for(make_batch):
    model = tiny(dim=32)
    colours = {"red": "红", "green": "绿", "blue": "蓝"}
    pictures = torch.full((6, 3, 16, 16), -1.0)
    captions, languages = [], []
    for row, (colour, lang) in enumerate(itertools.product(colours, ("en", "zh"))):
        pictures[row, list(colours).index(colour)] = 1
        captions.append(colour if lang == "en" else colours[colour])
        languages.append(lang)
    batch = dataclasses.replace(
        make_batch(model, count=6), images=pictures, captions=captions, languages=languages
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    for step in range(200):
        batch.generator.manual_seed(step)
        optimizer.zero_grad()
        model.losses(batch, "model")["nll"].backward()
        optimizer.step()
    model.eval()
    assert model.figures(batch)["right"] == 1
    for picture, text, lang in zip(pictures, captions, languages, strict=True):
        said = model.caption(picture, lang, count=2)
        assert said[0].text == text and said[0].score > -0.8
        assert all(a.score >= b.score for a, b in itertools.pairwise(said))
    assert math.isfinite(likelihood(model, pictures, captions).sum())


def test_a_meaning_is_learned_first_and_comes_from_the_words(make_batch):
    model = tiny(common_first=0.5)
    batch = make_batch(model, count=4)
    model.prepare(batch.text)
    assert set(model.losses(dataclasses.replace(batch, progress=0.4), "model")) == {"meaning"}
    both = model.losses(dataclasses.replace(batch, progress=0.5), "model")
    assert set(both) == {"meaning", "nll", "retold"}
    same = model.losses(dataclasses.replace(batch, captions=["a"] * 4), "model")["meaning"]
    assert same.item() == pytest.approx(0, abs=1e-6)  # no caption is another picture's alone
    swapped = dataclasses.replace(batch, text=batch.text[[1, 2, 3, 0]])
    assert model.losses(swapped, "model")["meaning"] != both["meaning"]
    assert set(tiny(common=0).losses(batch, "model")) == {"nll"}
    with pytest.raises(ValidationError, match="'common' needs 'told'"):
        tiny(told=0)


def test_captions_that_are_read_again_are_ranked_by_what_they_mean_as_well():
    encoder = load_encoder("random:16")
    model = tiny(longest=2, text_dim=encoder.dim)
    with torch.no_grad():
        model.head.bias.fill_(-30)
        model.head.bias[[97, 98, END]] = 0
        likely = {said.text: said.score for said in model.caption(image(), "en", count=6)}
        again = model.caption(image(), "en", count=6, encoder=encoder)
        seen, scale = model.encode_averaged(image()[None])[0], model.meaning.scale.exp()
        for said in again:
            agreement = scale * (
                model.meaning.encode_texts(encoder.encode([said.text]).pooled)[0] @ seen
            )
            assert said.score == pytest.approx(likely[said.text] + agreement.item(), abs=1e-4)
    assert {said.text for said in again} == set(likely) and len(likely) == 6
    assert [said.text for said in again] != list(likely)
    assert all(a.score >= b.score for a, b in itertools.pairwise(again))
    assert model.caption(image(), "en", encoder=encoder)[0] == again[0]
    bare = tiny(common=0, longest=2, text_dim=encoder.dim)
    assert bare.caption(image(), "en", encoder=encoder) == bare.caption(image(), "en")


def test_telling_a_meaning_asks_nothing_of_the_eye(make_batch):
    model = tiny()
    batch = make_batch(model, count=4)
    model.prepare(batch.text)
    model.losses(batch, "model")["retold"].backward()
    assert all(part.grad is None for part in model.eye.parameters())
    assert model.meaning.said.weight.grad.abs().sum() > 0
    assert model.head.weight.grad.abs().sum() > 0


def test_a_longer_look_is_the_mean_of_three():
    model, picture = tiny(), image()[None]
    with torch.no_grad():
        a, b, c = (model.encode(turned(picture, angle)) for angle in (0, 10, -10))
        torch.testing.assert_close(
            model.encode_averaged(picture), torch.nn.functional.normalize(a + b + c, dim=1)
        )
        bare = tiny(common=0)
        assert torch.equal(bare.encode_averaged(picture), bare.encode(picture))
    quarter = turned(picture, 90)
    torch.testing.assert_close(quarter, picture.rot90(1, (2, 3)), atol=1e-4, rtol=0)


def test_blur_is_a_turn_by_the_angle_it_says():
    meaning = tiny(common=4096, blur=1.0).meaning
    told = torch.nn.functional.normalize(torch.ones(8, 4096), dim=1)
    blurred = meaning.blurred(told, torch.Generator().manual_seed(0))
    torch.testing.assert_close(blurred.norm(dim=1), torch.ones(8))
    cosine = (told * blurred).sum(1)
    torch.testing.assert_close(cosine, torch.full((8,), 0.5**0.5), atol=0.03, rtol=0)


def test_what_cannot_be_said_is_refused():
    model = tiny()
    with pytest.raises(UsageError, match="does not write 'fr'; it writes: en, zh"):
        model.caption(image(), "fr")
    with pytest.raises(UsageError, match="one or more"):
        model.caption(image(), "en", count=0)
    with pytest.raises(ValidationError, match="even multiple of heads"):
        tiny(heads=3)
    with pytest.raises(ValidationError, match="halved 2 times"):
        tiny(size=18)
    assert VOCABULARY == END + 1
