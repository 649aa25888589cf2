"""Any transformers language model as a text encoder: states of one layer, pooled by mask."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlencode

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from limner.errors import UsageError
from limner.hub import hash_weights, import_transformers, pretrained, reading
from limner.specs import fingerprint
from limner.text.base import TextFeatures
from limner.text.validate import canonical_all

POOLS = ("mean", "last", "cls")
_MAX_SUBWORDS = 512
_ENDLESS = 1_000_000
_VERSION = 1


class HubEncoder:
    """Token states of a transformers model from a folder or a hub id.

    ``tokens`` are the hidden states of one layer, one per subword; ``pooled`` is their mean, the
    last or the first of them, over the text's own subwords. Texts are padded on the right with
    positions counted from the text's own start, so a text's features do not depend on its
    neighbours (to the rounding of the kernels). Of a longer text the first 512 subwords are read,
    or as many as the model has positions. Of encoder-decoder models (T5) the encoder is used.
    Weights are read from safetensors only, and no code from the hub is ever run.

    Args:
        path_or_id: a folder in the hub's format, or a hub id such as ``intfloat/e5-small``.
        layer: index into the hidden states: 0 the embeddings, -1 the last layer.
        pool: ``mean``, ``last`` or ``cls`` (the first).
        prefix: put before every text (``"query: "`` for the e5 family).
        device: where the model runs.

    Attributes:
        network: the transformers model, in eval mode.

    Raises:
        MissingExtraError: transformers is not installed.
        DataError: the model cannot be read.
        UsageError: there is no such pooling or layer.
    """

    def __init__(
        self,
        path_or_id: str,
        *,
        layer: int = -1,
        pool: str = "mean",
        prefix: str = "",
        device: str = "cpu",
    ) -> None:
        if pool not in POOLS:
            raise UsageError(f"there is no pooling {pool!r}; use one of: {', '.join(POOLS)}")
        self.layer, self.pool, self.prefix = layer, pool, prefix
        network, self._tokenizer = _load(path_or_id)
        self.network = network.to(torch.device(device)).eval().requires_grad_(False)
        config = self.network.config
        depth = int(config.num_hidden_layers)
        if not -(depth + 1) <= layer <= depth:
            raise UsageError(
                f"{path_or_id} has no layer {layer}; choose from {-depth - 1} to {depth}"
            )
        self.dim = int(config.hidden_size)
        self._max_subwords = _limit(self._tokenizer, config)
        facts = {"layer": (layer, -1), "pool": (pool, "mean"), "prefix": (prefix, "")}
        options = {key: value for key, (value, usual) in facts.items() if value != usual}
        query = f"?{urlencode(options, quote_via=quote)}" if options else ""
        self.spec = f"hf:{quote(path_or_id)}{query}"
        weights = _weights_hash(self.network, self._tokenizer)
        self.fingerprint = fingerprint(weights, layer, pool, prefix, _VERSION)

    def __deepcopy__(self, memo: dict[int, Any]) -> HubEncoder:
        """Itself: a network that never changes is shared by all that are tuned from it."""
        return self

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> TextFeatures:
        """Features of B texts: tokens ``(B, L, D)``, on the CPU."""
        return self.read(texts, self.network).to("cpu")

    def read(self, texts: Sequence[str], network: Any) -> TextFeatures:
        """Features of B texts by a network like this encoder's own, on its device, with gradients.

        Raises:
            PromptError: a text is refused.
        """
        device = next(network.parameters()).device
        ids = [torch.tensor(self._ids(text)) for text in canonical_all(texts)]
        if not ids:
            empty = torch.zeros(0, 1, self.dim)
            return TextFeatures(empty, torch.zeros(0, 1, dtype=torch.bool), empty[:, 0])
        padded = pad_sequence(ids, batch_first=True).to(device)
        lengths = torch.tensor([len(row) for row in ids], device=device)
        mask = torch.arange(padded.shape[1], device=device) < lengths[:, None]
        output = network(input_ids=padded, attention_mask=mask.long(), output_hidden_states=True)
        states = output.hidden_states[self.layer].float()
        tokens = states * mask[:, :, None]
        return TextFeatures(tokens, mask, self._pooled(tokens, mask))

    def _pooled(self, tokens: Tensor, mask: Tensor) -> Tensor:
        counts = mask.sum(1)
        if self.pool == "mean":
            return tokens.sum(1) / counts[:, None]
        if self.pool == "last":
            return tokens[torch.arange(len(tokens), device=tokens.device), counts - 1]
        return tokens[:, 0].clone()

    def _ids(self, text: str) -> list[int]:
        ids = self._tokenizer(self.prefix + text, truncation=True, max_length=self._max_subwords)[
            "input_ids"
        ]
        # A vocabulary without an unknown word may find nothing in a text: one id must remain.
        names = ("unk_token_id", "eos_token_id", "bos_token_id", "pad_token_id")
        known = (getattr(self._tokenizer, name, None) for name in names)
        return list(ids) or [next((int(value) for value in known if value is not None), 0)]


def _load(path_or_id: str) -> tuple[Any, Any]:
    transformers = import_transformers("a text encoder from the hub")
    with reading("language model", path_or_id):
        config = transformers.AutoConfig.from_pretrained(path_or_id, trust_remote_code=False)
        tokenizer = transformers.AutoTokenizer.from_pretrained(path_or_id, trust_remote_code=False)
        kind: Any = transformers.AutoModel
        if getattr(config, "is_encoder_decoder", False):
            kind = transformers.AutoModelForTextEncoding
        return pretrained(kind, path_or_id), tokenizer


def _limit(tokenizer: Any, config: Any) -> int:
    """Subwords read of a text: what the model has positions for, 512 at most."""
    limits = [_MAX_SUBWORDS]
    declared = int(getattr(tokenizer, "model_max_length", _ENDLESS) or _ENDLESS)
    positions = getattr(config, "max_position_embeddings", None)
    if declared < _ENDLESS:
        limits.append(declared)
    if positions:
        # RoBERTa's kin begin to count positions after the padding index.
        first = (config.pad_token_id or 0) + 1 if "roberta" in str(config.model_type) else 0
        limits.append(int(positions) - first)
    return max(min(limits), 1)


def _weights_hash(model: Any, tokenizer: Any) -> str:
    digest = hash_weights(model)
    vocabulary = sorted(tokenizer.get_vocab().items())
    digest.update(json.dumps(vocabulary).encode())
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        digest.update(str(backend.to_str()).encode())
    return digest.hexdigest()
