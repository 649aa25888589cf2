"""The autoregressive family: likelihoods that sum to one, drawing that follows them, guidance."""

import itertools
import math

import pytest
import torch
from pydantic import ValidationError

from limner.errors import CapabilityError, UsageError
from limner.models.ar import ARConfig, ARModel, rank_captions
from limner.models.autoencoder import AutoencoderConfig
from limner.models.base import Batch, FusionConfig, build
from limner.models.rows import SampleRequest
from limner.models.samplers import choose_codes
from limner.models.settings import Capability, Settings
from limner.models.vocabulary import PatchVocabulary, neighbour_table
from limner.vision.base import ImageFeatures
from tiny_configs import tiny_autoencoder

DIM = 16


def model_of(**config):
    shape = {"size": 2, "patch": 1, "channels": 1, "levels": 3, "patch_width": 4, "dim": 16,
             "depth": 1, "heads": 2, "text_dim": DIM, "text_width": 8, "max_tokens": 3,
             "guidance": 1.0}  # fmt: skip
    torch.manual_seed(4)
    return ARModel(ARConfig.model_validate(shape | config))


def codes_of_a_tiny_autoencoder(**more):
    shape = tiny_autoencoder("fsq", size=8).model_dump() | {"levels": (2, 2)}
    return model_of(size=8, latents=AutoencoderConfig.model_validate(shape), **more)


def every_grey_picture(size, levels):
    values = torch.tensor(list(itertools.product(range(levels), repeat=size * size)))
    pictures = values.view(-1, 1, size, size) * (2 / (levels - 1)) - 1
    return pictures.expand(-1, 3, -1, -1)


# -- likelihood ---------------------------------------------------------------------------------


@pytest.mark.parametrize("patch", [1, 2])
@pytest.mark.parametrize("levels", [2, 3])
def test_the_chances_of_all_pictures_sum_to_one(patch, levels, make_features, stir):
    model = stir(model_of(patch=patch, levels=levels, styles=("ink", "oil")))
    pictures = every_grey_picture(2, levels)
    for row, style in itertools.product(range(2), (-1, 1)):
        text = make_features(2, DIM)[[row] * len(pictures)]
        found = model.log_likelihood(pictures, text, torch.full((len(pictures),), style))
        assert found.shape == (levels**4,)
        assert found.double().exp().sum().item() == pytest.approx(1, abs=1e-5)
        assert found.std() > 0.1, "a uniform distribution would sum to one as well"


def test_the_chances_of_all_code_sequences_sum_to_one(make_features, stir):
    model = stir(codes_of_a_tiny_autoencoder())
    codes = torch.tensor(list(itertools.product(range(4), repeat=4)))[..., None]  # (256, 4, 1)
    prefix = model.prefix(make_features(1, DIM), torch.tensor([-1])).expand(256, -1, -1)
    with torch.no_grad():
        chances = model.logits(prefix, codes).log_softmax(-1).gather(-1, codes[..., None])
    assert chances.sum((1, 2, 3)).double().exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_pictures_are_drawn_as_often_as_the_likelihood_says(make_features, stir):
    model = stir(model_of(levels=2, patch=2))
    text = make_features(1, DIM)
    pictures, count = every_grey_picture(2, 2), 1200
    expected = model.log_likelihood(pictures, text[[0] * 16]).double().exp() * count
    drawn = model.sample(SampleRequest(text[[0] * count], list(range(count))))
    same = (drawn[:, None, 0] == pictures[None, :, 0]).all((2, 3))  # (count, 16)
    assert same.sum() == count, "a picture that is not one of the sixteen"
    chi = ((same.sum(0) - expected).square() / expected).sum().item()
    assert chi < 37.7  # 15 degrees of freedom: one in a thousand


def test_likelihood_is_the_loss_over_all_symbols(make_batch, stir):
    model = stir(model_of(size=8, patch=2, channels=3, caption_drop=0.0, style_drop=0.0))
    batch = make_batch(model)
    found = model.log_likelihood(batch.images, batch.text, batch.styles)
    symbols = 3 * 8 * 8
    loss = model.losses(batch, "model")["nll"].item()
    assert -found.mean().item() / symbols == pytest.approx(loss, rel=1e-5)


def test_untrained_is_almost_uniform(make_batch):
    model = model_of(size=8, patch=2, channels=3, levels=16)
    assert model.losses(make_batch(model), "model")["nll"].item() == pytest.approx(
        math.log(16), rel=0.05
    )


def taught(make_features, steps=70):
    """A model that has seen black under one caption and white under another."""
    model = model_of(size=4, patch=2, levels=3, caption_drop=0.2)
    text = make_features(2, DIM)
    images = torch.stack([torch.full((3, 4, 4), v) for v in (-1.0, 1.0)]).repeat(8, 1, 1, 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for step in range(steps):
        g = torch.Generator().manual_seed(step)
        batch = Batch(images, text[[0, 1] * 8], torch.full((16,), -1), g)
        optimizer.zero_grad()
        model.losses(batch, "model")["nll"].backward()
        optimizer.step()
    return model.eval(), text, images[:2]


def test_learns_what_captions_mean_and_ranks_them(make_features):
    model, text, images = taught(make_features)
    drawn = model.sample(SampleRequest(text, [5, 6], Settings(guidance=2.0)))
    assert torch.equal(drawn, images)
    assert (model.log_likelihood(images, text) > math.log(0.9)).all()
    ranks = rank_captions(model, images, text)
    assert torch.allclose(ranks.exp().sum(1), torch.ones(2))
    assert ranks.argmax(1).tolist() == [0, 1]
    by_hand = torch.stack([model.log_likelihood(images, text[[k, k]]) for k in (0, 1)], 1)
    torch.testing.assert_close(ranks, by_hand - by_hand.logsumexp(1, keepdim=True))


def test_ranking_needs_a_likelihood(make_features):
    gan_or_flow = build("flow", {"size": 16, "text_dim": DIM, "preset": "3m", "text_width": 8})
    with pytest.raises(CapabilityError, match="likelihood"):
        rank_captions(gan_or_flow, torch.zeros(1, 3, 16, 16), make_features(2, DIM))


# -- order and cache ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pixels", "patches", "codes"])
@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_cached_drawing_takes_what_the_uncached_logits_say(kind, scale, make_features, stir):
    if kind == "codes":
        model = codes_of_a_tiny_autoencoder()
    else:
        model = model_of(size=4, patch=1 if kind == "pixels" else 2)
    stir(model)
    text, unknown = make_features(3, DIM), torch.full((3,), -1)
    prefix = model.prefix(text, unknown)
    null = model.prefix(text, unknown, drop=unknown < 0)
    settings = Settings(temperature=0.0, guidance=scale)
    rows = model.begin(SampleRequest(text, [1, 2, 3], settings))
    while not rows.finished.all():
        rows = model.advance(rows)
    codes = rows.state["codes"][:, :-1]
    with torch.no_grad():
        given, free = model.logits(prefix, codes), model.logits(null, codes)
    assert torch.equal(torch.lerp(free, given, scale).argmax(-1), codes)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_symbol_depends_on_those_before_it_alone(channels, make_features, stir):
    model = stir(model_of(size=6, patch=2, channels=channels, levels=4))
    prefix = model.prefix(make_features(1, DIM), torch.tensor([-1]))
    symbols = 4 * channels
    codes = torch.randint(4, (1, 9, symbols))
    with torch.no_grad():
        before = model.logits(prefix, codes).flatten(1, 2)  # (1, 9 * M, V)
        for cell, symbol in ((0, 0), (4, 1), (4, symbols - 1), (8, 2)):
            changed = codes.clone()
            changed[0, cell, symbol] = (codes[0, cell, symbol] + 1) % 4
            after = model.logits(prefix, changed).flatten(1, 2)
            moved = (before != after).any(-1)[0].nonzero().flatten()
            index = cell * symbols + symbol
            assert moved.numel() == 0 or moved.min() > index
            if symbol < symbols - 1:
                assert moved.min() == index + 1, "the next symbol should know"


def test_the_neighbours_of_a_patch_come_before_it_and_touch_it():
    table = neighbour_table(4)
    for cell, row in enumerate(table.tolist()):
        there = [n for n in row if n < 16]
        assert len(there) == len(set(there))
        assert all(n < cell for n in there)
        assert all(max(abs(n // 4 - cell // 4), abs(n % 4 - cell % 4)) == 1 for n in there)
        assert len(there) == sum(
            (cell // 4 - up >= 0) and 0 <= cell % 4 + right < 4
            for up, right in ((0, -1), (1, -1), (1, 0), (1, 1))
        )


def test_patches_know_their_neighbours_pixels():
    torch.manual_seed(0)
    vocabulary = PatchVocabulary(4, 5, 16, 3)
    states, around = torch.randn(1, 2, 16), torch.randint(5, (1, 2, 4, 4))
    other, outside = around.clone(), around.clone()
    other[0, 1, 2, 3] = (other[0, 1, 2, 3] + 1) % 5
    outside[:] = -1
    seen = vocabulary.context(states, around)
    assert torch.equal(seen[:, 0], vocabulary.context(states, other)[:, 0])
    assert not torch.equal(seen[:, 1], vocabulary.context(states, other)[:, 1])
    torch.testing.assert_close(vocabulary.context(states, outside), vocabulary.state_in(states))


# -- choosing -----------------------------------------------------------------------------------


def test_codes_are_chosen_as_often_as_their_chance():
    logits = torch.tensor([0.0, 1.0, -1.0, 2.0])
    uniform = (torch.arange(10_000) + 0.5) / 10_000
    chosen = choose_codes(logits.expand(10_000, -1), uniform, temperature=2.0)
    share = chosen.bincount(minlength=4) / 10_000
    torch.testing.assert_close(share, (logits / 2).softmax(0), atol=2e-4, rtol=0)


@pytest.mark.parametrize(("top_k", "top_p"), [(3, 1.0), (0, 0.7), (5, 0.6), (1, 1.0), (0, 1e-6)])
def test_the_likeliest_are_those_of_transformers(top_k, top_p):
    transformers = pytest.importorskip("transformers")
    logits = torch.randn(6, 9)
    scores = logits / 0.8
    if top_k:
        scores = transformers.TopKLogitsWarper(top_k)(None, scores)
    if top_p < 1:
        scores = transformers.TopPLogitsWarper(top_p)(None, scores)
    uniform = (torch.arange(4000) + 0.5) / 4000
    for row in range(6):
        chosen = choose_codes(logits[row].expand(4000, -1), uniform, 0.8, top_k, top_p)
        share = chosen.bincount(minlength=9) / 4000
        torch.testing.assert_close(share, scores[row].softmax(-1), atol=1e-3, rtol=0)


def test_a_mass_that_top_p_reaches_exactly_leaves_the_others_out():
    alike = torch.zeros(1, 4)  # of 0.25 each: the first two have the mass of 0.5
    assert choose_codes(alike, torch.tensor([0.9]), top_p=0.5).item() == 1
    assert choose_codes(alike, torch.tensor([0.9]), top_p=0.51).item() == 2


def test_the_ends_of_chance_choose_codes_that_can_be():
    logits = torch.tensor([[-math.inf, 0.0, 0.0, -math.inf]])
    assert choose_codes(logits, torch.tensor([0.0])).item() == 1
    assert choose_codes(logits, torch.tensor([1.0])).item() == 2
    assert choose_codes(torch.tensor([[0.0, 3.0, 1.0]]), torch.tensor([0.99]), 0.0).item() == 1


def test_options_of_the_request_count(make_features, stir):
    model = stir(model_of(size=8, patch=2, levels=8, guidance=1.5))
    text = make_features(4, DIM)

    def sample(negative=None, **options):
        return model.sample(SampleRequest(text, [1, 2, 3, 4], Settings(**options), negative))

    greedy = sample(temperature=0.0)
    assert torch.equal(greedy, sample(top_k=1))
    assert torch.equal(greedy, sample(top_p=1e-9))
    assert not torch.equal(greedy, sample())
    assert torch.equal(sample(), sample(temperature=1.0, top_k=0, top_p=1.0, guidance=1.5))
    plain = sample(guidance=1.0)
    assert not torch.equal(plain, sample())
    assert not torch.equal(sample(negative=text[[1, 0, 3, 2]]), sample())
    # guided by its own text a prompt is as without guidance
    torch.testing.assert_close(sample(guidance=3.0, negative=text), plain)


# -- pictures and codes -------------------------------------------------------------------------


@pytest.mark.parametrize(("channels", "patch"), [(1, 1), (1, 4), (3, 2)])
def test_pixels_survive_their_codes(channels, patch):
    model = model_of(size=8, patch=patch, channels=channels, levels=5)
    images = torch.randint(5, (3, channels, 8, 8)).expand(-1, 3, -1, -1) / 2.0 - 1
    assert torch.equal(model.reconstruct(images), images)
    fine = (torch.rand(3, channels, 8, 8) * 2 - 1).expand(-1, 3, -1, -1)
    assert (model.reconstruct(fine) - fine).abs().max() <= 0.25 + 1e-6  # half a level
    assert model.encode(images).shape == (3, (8 // patch) ** 2, channels * patch**2)


def test_a_grey_model_refuses_colours(make_batch):
    model = model_of(size=8, patch=2)
    with pytest.raises(UsageError, match=r"model\.channels=3"):
        model.losses(make_batch(model), "model")


def test_codes_are_those_of_the_autoencoder_which_rests(make_batch):
    model = codes_of_a_tiny_autoencoder()
    batch = make_batch(model)
    codes = model.encode(batch.images)
    assert torch.equal(codes[..., 0], model.autoencoder.codes(batch.images))
    drawn = model.autoencoder.decode(model.autoencoder.from_codes(codes[..., 0])).clamp(-1, 1)
    assert torch.equal(model.reconstruct(batch.images), drawn)
    model.train()
    assert not model.autoencoder.training
    owned = {p for group in model.optimizer_groups.values() for p in group.parameters}
    assert owned.isdisjoint(model.autoencoder.parameters())
    model.losses(batch, "model")["nll"].backward()
    assert all(p.grad is None for p in model.autoencoder.parameters())


def test_remembered_codes_change_nothing(make_batch):
    model = codes_of_a_tiny_autoencoder()
    plain = make_batch(model, count=4)
    known = Batch(plain.images, plain.text, plain.styles, torch.Generator().manual_seed(1),
                  indices=torch.tensor([3, 9, 3, 1]))  # fmt: skip
    rows = Batch(plain.images[[0, 1, 0, 3]], plain.text, plain.styles,
                 torch.Generator().manual_seed(1))  # fmt: skip
    same = Batch(rows.images, plain.text, plain.styles, torch.Generator().manual_seed(1),
                 indices=known.indices)  # fmt: skip
    first = model.losses(same, "model")["nll"].item()
    model.encode = None  # from here on only memory is left
    again = Batch(rows.images, plain.text, plain.styles, torch.Generator().manual_seed(1),
                  indices=known.indices)  # fmt: skip
    assert model.losses(again, "model")["nll"].item() == first
    fresh = codes_of_a_tiny_autoencoder()
    assert fresh.losses(rows, "model")["nll"].item() == pytest.approx(first, rel=1e-5)


# -- conditions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["concat", "cross", "joint"])
def test_reference_pictures_are_taken(kind, make_batch, make_features, stir):
    fusion = FusionConfig(kind=kind, image_dim=6, max_tokens=2, depth=1, heads=2, drop=0.5)
    model = stir(model_of(size=8, patch=2, channels=3, fusion=fusion))
    batch = make_batch(model)
    pictures = ImageFeatures(torch.randn(8, 4, 6), torch.randn(8, 6))
    model.train()
    reached = set()
    for seed in range(4):
        seen = Batch(batch.images, batch.text, batch.styles,
                     torch.Generator().manual_seed(seed), picture=pictures)  # fmt: skip
        model.zero_grad()
        model.losses(seen, "model")["nll"].backward()
        reached |= {n for n, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert reached == {name for name, _ in model.named_parameters()}
    text = make_features(8, DIM)
    whole = model.sample(SampleRequest(text, list(range(8)), picture=pictures))
    assert not torch.equal(whole, model.sample(SampleRequest(text, list(range(8)))))
    alone = model.sample(SampleRequest(text[[5]], [5], picture=pictures[[5]]))
    assert torch.equal(alone[0], whole[5])


def test_length_of_the_padding_changes_nothing(make_features, stir):
    model = stir(model_of(size=4, patch=2))
    text = make_features(2, DIM, length=2)
    images = torch.rand(2, 1, 4, 4).expand(-1, 3, -1, -1)
    found = model.log_likelihood(images, text)
    assert torch.equal(found, model.log_likelihood(images, text.padded(9)))


def test_grows_with_the_pictures(make_features, stir):
    model = stir(model_of(size=8, patch=2))
    with torch.no_grad():  # rows and columns as numbers, which interpolation keeps straight
        rows, columns = torch.meshgrid(torch.arange(4.0), torch.arange(4.0), indexing="ij")
        model.place[:, 0], model.place[:, 1] = rows.flatten(), columns.flatten()
    other = model.grown(16)
    assert other.config.size == 16
    for name, value in model.named_parameters():
        if name != "place":
            assert torch.equal(dict(other.named_parameters())[name], value), name
    place = other.place.detach().view(8, 8, -1)
    expected = torch.tensor([0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3])
    torch.testing.assert_close(place[:, 5, 0], expected)
    torch.testing.assert_close(place[2, :, 1], expected)
    assert other.sample(SampleRequest(make_features(1, DIM), [0])).shape == (1, 3, 16, 16)


def test_says_what_it_can_do():
    assert {Capability.LIKELIHOOD, Capability.RECONSTRUCT, Capability.TOP_P} <= ARModel.capabilities


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"size": 9, "patch": 2}, "patch 2 does not divide size 9"),
        ({"latents": tiny_autoencoder("kl", size=8), "size": 8}, "bottleneck=fsq"),
        ({"latents": tiny_autoencoder("fsq", size=16), "size": 8}, "of 16 px, not of 8"),
        ({"lora": 4}, "for a body from the hub"),
        ({"dim": 16, "heads": 3}, "heads"),
        ({"levels": 1}, "levels"),
        ({"channels": 2}, "channels"),
    ],
)
def test_configurations_that_do_not_fit_are_refused(config, message):
    with pytest.raises(ValidationError, match=message):
        ARConfig.model_validate(config)
