"""Any causal language model from the hub as the body of a network: vectors in, vectors out.

A model of transformers goes on as a generator of pictures by growing its vocabulary: codes are new
words. Text arrives as limner's own features and only codes are drawn, so of the old vocabulary
:class:`HubBody` keeps only where it lay, from which the new rows are drawn (mean and covariance,
Hewitt 2021, "Initializing new word embeddings for pretrained language models"). Weights come from
safetensors only, and no code of the hub is ever run.
"""

from __future__ import annotations

import json
import math
from typing import Any

import torch
from torch import Tensor, nn

from limner.errors import UsageError
from limner.hub import import_transformers, pretrained, reading
from limner.models.lora import add_lora

_PROBE = 3
_PURPOSE = "a language model as a body"
_LOST = frozenset({"_name_or_path", "transformers_version", "torch_dtype", "dtype"})


def read_config(path_or_id: str) -> dict[str, Any]:
    """The configuration of a causal language model as plain JSON values.

    Raises:
        MissingExtraError: transformers is not installed.
        DataError: the folder or hub id holds no such configuration.
    """
    transformers = import_transformers(_PURPOSE)
    with reading("language model", path_or_id):
        config = transformers.AutoConfig.from_pretrained(path_or_id, trust_remote_code=False)
    values: dict[str, Any] = json.loads(config.to_json_string(use_diff=False))
    return {name: value for name, value in values.items() if name not in _LOST}


class HubBody(nn.Module):
    """The network of a causal language model, without its vocabulary.

    Args:
        config: of the hub's format, with its ``model_type``.
        start: folder or hub id whose weights it begins with; random ones when None.
        lora: rank of the low-rank matrices that learn in its place; 0 to train all of it.

    Raises:
        MissingExtraError: transformers is not installed.
        DataError: ``start`` cannot be read.
        UsageError: the configuration is not that of a causal language model.
    """

    def __init__(self, config: dict[str, Any], start: str | None = None, lora: int = 0) -> None:
        super().__init__()
        parsed = _parse(config)
        self._limit = getattr(parsed, "max_position_embeddings", None)
        if start is None:
            self.network = _build(parsed)
            spread = float(getattr(parsed, "initializer_range", 0.02))
            self._words = self._heads = (torch.zeros(1), torch.full((1, 1), spread))
        else:
            model = _read(start, parsed)
            self.network = model.base_model
            self._words = _moments(model.get_input_embeddings().weight)
            self._heads = _moments(model.get_output_embeddings().weight)
        self.dim = int(parsed.hidden_size)
        self.network.set_input_embeddings(nn.Identity())  # type: ignore[operator]
        _rest_dropout(self.network)
        _check_causal(self.network, self.dim)
        if lora:
            add_lora(self.network, lora)

    @property
    def embedding_scale(self) -> float:
        """Root mean square of the old words' embeddings, from their own mean."""
        factor = self._words[1]
        return math.sqrt(float(factor.square().sum()) / len(factor))

    def check_length(self, length: int) -> None:
        """Refuse sequences that the model has no positions for, by a ``UsageError``."""
        if self._limit is not None and length > int(self._limit):
            raise UsageError(
                f"a picture and its text are {length} positions, and the language model has "
                f"{self._limit}; take larger patches, fewer text tokens or another model"
            )

    def new_rows(self, count: int) -> tuple[Tensor, Tensor]:
        """Embeddings and head rows of ``count`` new words, ``(count, D)`` each.

        Drawn from where the old ones lie; where the model has one table for both, they are equal.
        """
        noise = torch.randn(count, self.dim)
        return _from_moments(self._words, noise), _from_moments(self._heads, noise)

    def cache_shape(self, length: int) -> tuple[int, ...]:
        """Shape of the keys and values of one sequence: ``(layers, 2, K, length, E)``."""
        config: Any = self.network.config
        heads = config.num_attention_heads
        groups = getattr(config, "num_key_value_heads", None) or heads
        width = getattr(config, "head_dim", None) or self.dim // heads
        return config.num_hidden_layers, 2, groups, length, width

    def open_cache(self, store: Tensor, filled: int) -> object:
        """A static cache of transformers; as :meth:`limner.models.decoder.Decoder.open_cache`."""
        cache = import_transformers(_PURPOSE).StaticCache(
            config=self.network.config, max_cache_len=store.shape[4]
        )
        for number, layer in enumerate(cache.layers):
            keys, values = store[:, number, 0], store[:, number, 1]
            layer.lazy_initialization(keys[:0], values[:0])  # allocates nothing
            layer.keys, layer.values, layer.batch_size = keys, values, len(store)
            layer.cumulative_length.fill_(filled)
        return cache

    def forward(self, x: Tensor, cache: object | None = None) -> Tensor:
        """As :meth:`limner.models.decoder.Decoder.forward`: ``(B, T, D)`` to the last states."""
        out = self.network(inputs_embeds=x, past_key_values=cache, use_cache=cache is not None)
        return out.last_hidden_state  # type: ignore[no-any-return]


def _parse(config: dict[str, Any]) -> Any:
    transformers = import_transformers(_PURPOSE)
    values = {name: value for name, value in config.items() if name not in _LOST}
    kind = str(values.pop("model_type", ""))
    try:
        parsed = transformers.AutoConfig.for_model(kind, **values)
        known = type(parsed) in transformers.AutoModelForCausalLM._model_mapping
    except Exception as error:  # whatever a foreign configuration class may raise
        first = str(error).strip().partition("\n")[0]
        raise UsageError(f"'body' is no configuration of a language model: {first}") from error
    if not known:
        raise UsageError(f"'body' is of type {kind!r}, which is not a causal language model")
    parsed.tie_word_embeddings = bool(parsed.tie_word_embeddings)
    return parsed


def _build(parsed: Any) -> nn.Module:
    """The network with random weights; its vocabulary, which goes at once, is a token one."""
    small = type(parsed).from_dict({**parsed.to_dict(), "vocab_size": 2, "pad_token_id": None})
    network: nn.Module = import_transformers(_PURPOSE).AutoModel.from_config(
        small, dtype=torch.float32
    )
    return network


def _read(start: str, parsed: Any) -> Any:
    with reading("language model", start):
        kind = import_transformers(_PURPOSE).AutoModelForCausalLM
        return pretrained(kind, start, config=parsed)


def _moments(table: Tensor) -> tuple[Tensor, Tensor]:
    """Mean ``(D,)`` of a table's rows and a factor A ``(D, D)`` of their covariance A A^T."""
    rows = table.detach().double()
    mean = rows.mean(0)
    values, basis = torch.linalg.eigh((rows - mean).T @ (rows - mean) / len(rows))
    return mean.float(), (basis * values.clamp_min(0).sqrt()).float()


def _from_moments(moments: tuple[Tensor, Tensor], noise: Tensor) -> Tensor:
    mean, factor = moments
    return mean + (noise * factor if factor.numel() == 1 else noise @ factor.T)


def _rest_dropout(network: nn.Module) -> None:
    """No dropout: it would draw from torch's own generator, and a loss has only the batch's."""
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = 0.0  # type: ignore[assignment]


@torch.no_grad()
def _check_causal(network: nn.Module, dim: int) -> None:
    probe = torch.linspace(-1, 1, _PROBE * dim).view(1, _PROBE, dim)
    changed = probe.clone()
    changed[:, -1] = probe[:, 0].flip(-1)
    network.eval()
    before, after = (network(inputs_embeds=x).last_hidden_state[:, :-1] for x in (probe, changed))
    network.train()
    if not torch.allclose(before, after, atol=1e-5):
        raise UsageError(
            "this language model is not causal, so it cannot draw a picture token by token; take "
            "one such as GPT-2, Llama or Qwen"
        )
