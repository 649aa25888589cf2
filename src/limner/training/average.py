"""The mean of several models' weights: model soups (Wortsman et al. 2022, arXiv:2203.05482)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from limner.errors import UsageError
from limner.modelfile import load_model, save_model
from limner.modelinfo import ModelInfo


def average(paths: Sequence[Path], out: Path) -> ModelInfo:
    """Write the mean of some models; its configuration and card are the last one's.

    Args:
        paths: two or more files that ``limner train`` left, of one family and one shape.
        out: ends in ``.safetensors``; replaced whole.

    Returns:
        The card that was written; ``training["averaged"]`` names the files.

    Raises:
        ModelFileError: a file cannot be read or written.
        UsageError: there are fewer than two models, or they do not go together.
    """
    if len(paths) < 2:
        raise UsageError("a mean is of two models or more; name them one after the other")
    last = paths[-1]
    network, info = load_model(last)
    state = network.state_dict()
    total = {name: value.double() for name, value in state.items()}
    for path in paths[:-1]:
        other, card = load_model(path)
        _check_cards(path, card, last, info)
        _check_shapes(path, other.state_dict(), last, state)
        for name, value in other.state_dict().items():
            total[name] += value.double()
    network.load_state_dict(
        {name: (value / len(paths)).to(state[name].dtype) for name, value in total.items()}
    )
    names = [path.parent.name if path.name == "model.safetensors" else path.name for path in paths]
    training = {**info.training, "averaged": names}
    result = info.model_copy(
        update={"training": training, "quality": {}, "concepts": {}, "defaults": {}}
    )
    save_model(out, network, result)
    return result


def _check_cards(path: Path, card: ModelInfo, last: Path, info: ModelInfo) -> None:
    """Refuse models of different families or text encoders."""
    if card.tuning or info.tuning:
        raise UsageError(
            f"{path if card.tuning else last} has a tuned text encoder, and text encoders are "
            f"not averaged"
        )
    for what, mine, other in (
        ("family", card.family, info.family),
        ("text encoder", card.encoder_fingerprint, info.encoder_fingerprint),
    ):
        if mine != other:
            raise UsageError(f"{path} and {last} are of another {what} ({mine}, {other})")


def _check_shapes(
    path: Path, mine: Mapping[str, Tensor], last: Path, other: Mapping[str, Tensor]
) -> None:
    """Refuse weights that have no mean: of other shapes, or counters that differ."""
    for name in sorted(mine.keys() | other.keys()):
        if name not in mine or name not in other or mine[name].shape != other[name].shape:
            raise UsageError(f"{path} and {last} are of other shapes: {name} does not fit")
        if not mine[name].is_floating_point() and not torch.equal(mine[name], other[name]):
            raise UsageError(f"{path} and {last} count differently: {name} has no mean")
