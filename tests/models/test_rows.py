"""A drawing is a state of rows: whatever rows are joined, split or dropped, a picture is itself."""

import random

import pytest
import torch

from limner.models.base import build, families
from limner.models.image_model import ImageModel, generators, image_noise
from limner.models.rows import Rows, SampleRequest, tiles
from limner.models.settings import Settings, capability_of
from tiny_configs import tiny_config

STYLES = ("ink", "oil")
DIM = 16
COUNT = 9
every_generator = pytest.mark.parametrize(
    "family", [n for n, kind in generators().items() if kind.__module__.startswith("limner.")]
)
every_tile = pytest.mark.parametrize("tile", [1, 2, 4])


def tiny(family: str, stir) -> ImageModel:
    torch.manual_seed(0)
    model = build(family, tiny_config(families()[family].config_class, text_dim=DIM, styles=STYLES))
    assert isinstance(model, ImageModel)
    return stir(model)


def requests(model: ImageModel, make_features) -> tuple[SampleRequest, SampleRequest]:
    """Pictures that differ in all that may differ; the second few have negative prompts."""
    ways = [{}, {"style": "oil"}, {"steps": 2}, {"steps": 5, "guidance": 1.0}, {"guidance": 2.5},
            {"temperature": 0.5}, {"top_k": 2, "guidance": 1.0}, {"top_p": 0.7},
            {"truncation": 0.5}]  # fmt: skip
    fitting = [
        {k: v for k, v in way.items() if capability_of(k) in model.capabilities} for way in ways
    ]
    settings = [Settings(**fitting[i % len(ways)]) for i in range(COUNT)]
    plain = SampleRequest(make_features(COUNT, DIM), range(50, 50 + COUNT), settings)
    if capability_of("negative") not in model.capabilities:
        return plain, plain[[0, 1]]
    settings = [Settings(negative="b", guidance=g) for g in (None, 1.0, 3.0)]
    negated = SampleRequest(
        make_features(3, DIM, seed=3), [7, 8, 9], settings, make_features(3, DIM, seed=4)
    )
    return plain, negated


@every_generator
@every_tile
def test_any_interleaving_gives_each_picture_its_own_bits(family, tile, make_features, stir):
    model = tiny(family, stir)
    model.tile = tile
    wholes = requests(model, make_features)
    alone = {
        seed: model.sample(whole[[i]])[0] for whole in wholes for i, seed in enumerate(whole.seeds)
    }
    chance = random.Random(tile)
    waiting = [whole[[i]] for whole in wholes for i in range(len(whole))]
    drawings, drawn, dropped = [], {}, 0
    while waiting or drawings:
        act = chance.choice(["begin", "join", "split", "drop", "advance", "advance", "advance"])
        if waiting and (act == "begin" or not drawings):
            drawings.append(model.begin(waiting.pop(chance.randrange(len(waiting)))))
        elif act == "join" and len(drawings) > 1:
            chance.shuffle(drawings)
            drawings = [Rows.join(drawings[:2]), *drawings[2:]]
        elif act == "split" and len(drawings[0]) > 1:
            order = chance.sample(range(len(drawings[0])), len(drawings[0]))
            drawings = [drawings[0][order[:1]], drawings[0][order[1:]], *drawings[1:]]
        elif act == "drop" and len(drawings[0]) > 1 and dropped < 2:
            drawings[0] = drawings[0][1:]
            dropped += 1
        else:
            number = chance.randrange(len(drawings))
            rows = model.advance(drawings[number])
            pictures = model.preview(rows)
            over = rows.finished.tolist()
            drawn |= {rows.seeds[i]: pictures[i] for i, end in enumerate(over) if end}
            left = [i for i, end in enumerate(over) if not end]
            drawings = [d for i, d in enumerate(drawings) if i != number]
            drawings += [rows[left]] if left else []
    assert len(drawn) == len(alone) - dropped
    for seed, picture in drawn.items():
        assert torch.equal(picture, alone[seed]), seed


@every_generator
def test_the_whole_is_the_sum_of_its_pictures(family, make_features, stir):
    model = tiny(family, stir)
    for whole in requests(model, make_features):
        together = model.sample(whole)
        for i in range(len(whole)):
            assert torch.equal(model.sample(whole[[i]])[0], together[i])


@every_generator
def test_previews_converge_to_the_picture(family, make_features, stir):
    model = tiny(family, stir)
    request = SampleRequest(make_features(2, DIM), [1, 2])
    picture, rows, distances = model.sample(request), model.begin(request), []
    assert not model.preview(rows).any()  # grey
    while not rows.finished.all():
        rows = model.advance(rows)
        preview = model.preview(rows)
        assert preview.isfinite().all()
        distances.append((preview - picture).abs().mean().item())
    assert len(distances) == rows.total.max()
    assert distances[-1] == 0
    assert len(distances) == 1 or distances[-2] < distances[0]
    assert torch.equal(model.preview(model.advance(rows)), picture)  # what is finished stays


@every_generator
def test_another_tile_draws_nearly_the_same(family, make_features, stir):
    model = tiny(family, stir)
    request = SampleRequest(make_features(5, DIM), range(5))
    drawn = {}
    for tile in (1, 4):
        model.tile = tile
        drawn[tile] = model.sample(request)
    # a language model of codes may choose another where two are all but equally likely
    assert (drawn[1] - drawn[4]).abs().mean() < 1e-3


def test_tiles_hold_equal_keys_and_are_full():
    found = list(tiles(["a", "b", "a", "a", "b", "a", "a"], 2))
    assert found == [([0, 2], [0, 2]), ([3, 5], [3, 5]), ([6, 6], [6]), ([1, 4], [1, 4])]


def test_tiles_come_in_powers_of_two():
    sizes = [(len(some), len(own)) for some, own in tiles([0] * 13, 2, most=4)]
    assert sizes == [(8, 8), (4, 4), (2, 1)]
    assert [len(own) for _, own in tiles([0] * 9, 1, most=8)] == [8, 1]


def test_the_tile_follows_from_the_model_and_can_be_set(stir):
    sizes = {family: tiny(family, stir).tile for family in ("ar", "gan", "vae")}
    assert sizes == {"ar": 8, "gan": 1, "vae": 1}
    model = tiny("vae", stir)
    model.tile = 4
    assert model.tile == 4
    with pytest.raises(Exception, match="tile = 0 is refused"):
        model.tile = 0


def test_noise_is_of_its_seed_and_stream_alone():
    """No two of the seeds and streams that are used share noise, and it is standard normal."""
    streams = (0, 1, 2, *range(1000, 1040))
    rows = {
        (seed, stream): image_noise([seed], (4,), stream=stream)[0]
        for seed in (0, 1, 2, 2**31, 2**63 - 1)
        for stream in streams
    }
    assert len({tuple(row.tolist()) for row in rows.values()}) == len(rows)
    together = image_noise([2**31, 0, 1], (4,), stream=1003)
    for row, seed in zip(together, (2**31, 0, 1), strict=True):
        assert torch.equal(row, rows[seed, 1003])
    many = image_noise(range(2000), (3, 4)).double()
    assert many.mean().item() == pytest.approx(0, abs=4 / many.numel() ** 0.5)
    assert many.var().item() == pytest.approx(1, abs=4 * (2 / many.numel()) ** 0.5)
    apart = torch.corrcoef(torch.stack([many[:-1].flatten(), many[1:].flatten()]))[0, 1]
    assert abs(float(apart)) < 4 / many.numel() ** 0.5
