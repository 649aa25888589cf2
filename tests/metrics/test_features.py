from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from limner.data.selection import Selection
from limner.data.store import Caption, Store
from limner.data.writer import StoreWriter
from limner.datasets.fashion import CLASSES
from limner.errors import DataError, ModelFileError, UsageError
from limner.evaluation.reference import DistributionScore, Reference, spread_within
from limner.metrics.features import (
    SHIPPED,
    features_for,
    load_features,
)
from limner.metrics.judge import load_judge
from limner.tensorfile import read_metadata, write_tensors
from limner.vision.convnet import METADATA_KEY, ConvNet, load_conv

NAMES = [names[0] for names in CLASSES]


def pictures(n: int, side: int = 28, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def clothes(path: Path, count: int, seed: int) -> Store:
    """Grey pictures with a class each: the shade tells it, so that there is something to see."""
    rng = np.random.default_rng(seed)
    with StoreWriter(path, 28, path.name, licences={"made-up": "CC0-1.0"}) as writer:
        for i in range(count):
            label = i % 3
            grey = np.clip(60 + 80 * label + 20 * rng.standard_normal((28, 28, 1)), 0, 255)
            captions = [Caption(f"a {NAMES[label]}", "en", 2.0), Caption("clothes", "en", 1.0)]
            writer.add(
                grey.repeat(3, 2).astype(np.uint8), captions, {"id": i, "label": NAMES[label]}
            )
        return writer.finish()


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    folder = tmp_path_factory.mktemp("clothes")
    train, test = clothes(folder / "train", 90, 0), clothes(folder / "test", 60, 1)
    return Reference(train, load_features("fashion"), holdout=test, samples=45)


def test_the_shipped_network_is_small_and_says_what_it_learned_from():
    network = load_features("fashion")
    path = SHIPPED["fashion"]
    assert path.stat().st_size < 1_000_000
    assert network.classes == tuple(NAMES)
    about = json.loads(read_metadata(path)[METADATA_KEY])
    assert about["measured"]["test"]["accuracy"] > 0.9
    assert about["licences"] and about["stores"]["train"] != about["stores"]["test"]
    assert "/" not in json.dumps(about["stores"])


def test_a_picture_is_seen_the_same_alone_and_in_a_batch():
    network, x = load_features("fashion"), pictures(70)
    together = network.extract(x)
    for i in (0, 63, 64, 69):
        alone = network.extract(x[i : i + 1])
        assert torch.equal(alone.features[0], together.features[i])
        assert torch.equal(alone.log_probs[0], together.log_probs[i])
    torch.testing.assert_close(together.log_probs.exp().sum(1), torch.ones(70))
    assert network.extract(x[:0]).features.shape == (0, together.features.shape[1])


def test_other_sizes_are_resampled():
    network = load_features("fashion")
    small = pictures(4)
    large = torch.nn.functional.interpolate(small, scale_factor=4, mode="nearest")
    a, b = network.extract(small).features, network.extract(large).features
    assert torch.nn.functional.cosine_similarity(a, b).min() > 0.9
    with pytest.raises(ValueError, match="must be"):
        network.extract(small[:, :1])


def test_any_file_of_the_training_script_can_be_used(tmp_path: Path):
    path = tmp_path / "own.safetensors"
    net = ConvNet((4, 8), 6, 2, 3)
    about = {"classes": ["a", "b"], "size": 16, "widths": [4, 8], "dim": 6, "changes": 3}
    write_tensors(path, dict(net.state_dict()), {METADATA_KEY: json.dumps(about)})
    network = load_features(f"own:{path}")
    seen = network.extract(pictures(3, 16))
    assert seen.features.shape == (3, 6) and network.classes == ("a", "b")
    torch.testing.assert_close(seen.features, net.eval()(pictures(3, 16)), rtol=1e-4, atol=1e-5)
    before = network.fingerprint
    write_tensors(
        path, {k: v + 1 for k, v in load_file(path).items()}, {METADATA_KEY: json.dumps(about)}
    )
    assert load_features(f"own:{path}").fingerprint != before


def test_the_judge_is_a_feature_network_too():
    x, network = pictures(3, 64), load_features("judge")
    assert torch.equal(network.extract(x).features, load_judge().features(x))
    assert network.extract(x).log_probs is None and network.classes == ()


def test_what_is_no_network_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="no feature network 'inceptoin'"):
        load_features("inceptoin")
    bad = tmp_path / "bad.safetensors"
    write_tensors(bad, {"x": torch.zeros(1)}, {METADATA_KEY: "{}"})
    with pytest.raises(ModelFileError, match="no feature network"):
        load_conv(bad, "own")


def test_the_network_that_fits_a_store_is_found(reference: Reference, few: Store, tmp_path: Path):
    assert features_for(reference.store) == "fashion"
    assert features_for(few) == "judge"
    with StoreWriter(tmp_path / "other", 8, "other") as writer:
        writer.add(np.zeros((8, 8, 3), np.uint8), [Caption("x")], {"id": "x"})
        store = writer.finish()
    assert features_for(store) == "judge"


def test_the_score_is_a_metric_and_knows_real_pictures(reference: Reference):
    from limner.metrics.memorisation import pixels

    prompts = reference.prompts(45)
    assert set(prompts) <= {f"a {name}" for name in NAMES[:3]}
    classes = reference.classes_of(prompts)
    assert classes == {text: NAMES.index(text.removeprefix("a ")) for text in classes}
    metric = DistributionScore(reference, prompts)
    order = np.random.default_rng([1, 77]).permutation(90)[:45]  # those the prompts were of
    metric.update(pixels(reference.store, order[:20]), prompts[:20])
    metric.update(pixels(reference.store, order[20:]), prompts[20:])
    found = metric.compute()
    assert found["count"] == 45
    assert found["nearest"] == 0.0 and found["memorised"] == 1.0  # they are the training pictures
    assert found["fid"] < 0.2 * reference.lower_bound["fid"]
    assert found["coverage"] > 0.8 and found["precision"] > 0.6
    assert found["diversity"] == pytest.approx(1.0, abs=0.2)
    shares = metric.per_class()
    assert set(shares) == set(NAMES[:3])
    mean = sum(shares[n] * prompts.count(f"a {n}") for n in shares) / 45
    assert found["accuracy"] == pytest.approx(mean)


def test_real_pictures_score_better_than_noise_and_the_protocol_is_complete(reference: Reference):
    upper, noise = reference.upper_bound, reference.lower_bound
    assert upper["fid"] < noise["fid"] and upper["kid"] < noise["kid"]
    assert noise["coverage"] == 0.0 and noise["nearest"] > 1.5
    told = reference.protocol()
    assert told["features_hash"] == reference.network.fingerprint
    assert (told["real"], told["upper_bound_samples"], told["samples"]) == (90, 45, 45)


def test_without_a_holdout_the_store_is_split(reference: Reference):
    alone = Reference(reference.store, reference.network, samples=30)
    assert (alone.count, alone.protocol()["upper_bound_samples"]) == (60, 30)
    assert alone.upper_bound["fid"] < alone.lower_bound["fid"]
    assert alone.key != reference.key


def test_a_part_of_the_store_is_all_that_counts(reference: Reference):
    bags = Selection({"label": [NAMES[0]]})
    part = Reference(
        reference.store, reference.network, holdout=reference.holdout, samples=20, selection=bags
    )
    assert (part.count, part.upper_bound["count"]) == (30, 20)
    assert set(part.prompts(100)) == {f"a {NAMES[0]}"}
    assert part.protocol()["filters"] == {"label": [NAMES[0]]}
    whole = Reference(reference.store, reference.network, holdout=reference.holdout, samples=20)
    assert part.key != whole.key and part.upper_bound["fid"] != whole.upper_bound["fid"]
    with pytest.raises(DataError, match="0 pictures"):
        Reference(reference.store, reference.network, selection=Selection({"label": ["hat"]}))


def test_real_features_come_from_the_cache_the_second_time(reference: Reference):
    class Blind:
        spec, fingerprint, classes = (getattr(reference.network, name) for name in
                                      ("spec", "fingerprint", "classes"))  # fmt: skip

        def extract(self, images: torch.Tensor):
            raise AssertionError("looked again")

    again = Reference(reference.store, Blind(), holdout=reference.holdout, samples=45)
    assert again.upper_bound == reference.upper_bound and again.key == reference.key


def test_the_spread_within_classes_leaves_out_that_between_them():
    x = torch.tensor([[0.0], [2.0], [100.0], [102.0]])
    asked = torch.tensor([0, 0, 1, 1])
    spread, squares = spread_within(x, asked)
    assert spread == pytest.approx(2**0.5) == squares.mean().sqrt().item()
    assert spread_within(x, torch.zeros(4, dtype=torch.long))[0] > 50


def test_broken_pictures_and_small_numbers_are_refused(reference: Reference, tmp_path: Path):
    metric = DistributionScore(reference, ["a bag"])
    with pytest.raises(DataError, match="finite"):
        metric.update(torch.full((1, 3, 28, 28), float("nan")), ["a bag"])
    with pytest.raises(DataError, match="no picture"):
        metric.compute()
    with pytest.raises(UsageError, match="at least 10"):
        Reference(reference.store, reference.network, samples=3)


def test_evaluate_prints_the_distribution_and_puts_it_into_the_card(
    few: Store, few_model: Path, tmp_path: Path
):
    from typer.testing import CliRunner

    from limner.cli import build_app
    from limner.modelinfo import read_info

    model = tmp_path / "model.safetensors"
    model.write_bytes(few_model.read_bytes())
    arguments = ["evaluate", str(model), "--data", str(few.path), "--suite", "distribution"]
    arguments += ["--samples", "10", "--write-card", "--json", "--quiet"]
    done = CliRunner().invoke(build_app(), [*arguments, "--out", str(tmp_path / "report.json")])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report == json.loads((tmp_path / "report.json").read_text("utf-8"))
    fid = report["parts"][0]["figures"][0]
    assert fid["key"] == "fid" and fid["value"] > fid["upper_bound"] >= 0
    assert fid["interval"][0] < fid["value"] < fid["interval"][1]
    assert report["parts"][0]["protocol"]["features"] == "judge" and "/" not in report["command"]
    kept = read_info(model).quality["distribution"]["figures"][0]
    assert kept["key"] == "fid" and kept["value"] == pytest.approx(fid["value"], rel=0.01)
    shown = CliRunner().invoke(build_app(), [*arguments[:-3], "--quiet"])
    assert shown.exit_code == 0 and "upper bound" in shown.stdout and "too few" in shown.stdout
    for option in (["--samples-dir", str(tmp_path)], ["--languages", "en"], ["--seeds", "2"]):
        wrong = CliRunner().invoke(build_app(), [*arguments, *option])
        assert wrong.exit_code == 2 and option[0] in wrong.stderr
    recall = [a if a != "distribution" else "recall" for a in arguments]
    wrong = CliRunner().invoke(build_app(), recall)
    assert wrong.exit_code == 2 and "--samples" in wrong.stderr


def test_figures_of_too_few_pictures_and_those_that_noise_passes_are_warned_of(
    reference: Reference,
):
    said = reference.warnings()
    assert any(each.startswith("FID: 45 drawn and 90 real pictures are too few") for each in said)
    assert any("coverage" in each and "at least 500" in each for each in said)
    assert not any("concept" in each or "Inception" in each for each in said)
    reference.__dict__["lower_bound"] = {**reference.lower_bound, "precision": 1.0}
    try:
        assert any("precision does not tell pictures from noise" in w for w in reference.warnings())
    finally:
        del reference.__dict__["lower_bound"]


def test_each_picture_has_scores_of_its_own(reference: Reference):
    prompts = reference.prompts(45)
    metric = DistributionScore(reference, prompts)
    metric.update(pictures(45), prompts)
    each, found = metric.per_picture(), metric.scores()
    assert {key: len(value) for key, value in each.items()} == dict.fromkeys(
        ("precision", "density", "nearest", "accuracy"), 45
    )
    for key in ("precision", "density", "accuracy"):
        assert each[key].mean().item() == pytest.approx(found.values[key])
    assert found.intervals.keys() == found.values.keys() - {"count"}
    for key, (low, high) in found.intervals.items():
        assert low <= found.values[key] + 1e-6 and found.values[key] <= high + 1e-6, key
