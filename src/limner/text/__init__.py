"""Words in: text encoders, their cache and segmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote

from limner.errors import UsageError

if TYPE_CHECKING:
    from limner.text.base import TextEncoder

DEFAULT_ENCODER = "e5-small"

__all__ = ["DEFAULT_ENCODER", "load_encoder"]


def load_encoder(
    spec: str = DEFAULT_ENCODER,
    *,
    cache: bool = True,
    device: str = "cpu",
    threads: int | None = None,
) -> TextEncoder:
    """The text encoder a spec names.

    Args:
        spec: one of
            ``e5-small[?tokens=12]`` (multilingual-e5-small, inside the install);
            ``hf:PATH_OR_ID[?layer=-1&pool=mean|last|cls&prefix=query%3A%20]`` (any transformers
            model; extra ``hub``);
            ``vectors:PATH[?tokens=12]`` (Word2Vec or GloVe, text or binary).
        cache: keep what was encoded, in memory and on disk.
        device: where a transformers model runs; the other encoders run on the CPU.
        threads: of the CPU encoders; None for their own choice.

    Raises:
        UsageError: the spec is not one of these, or has an unknown option.
        MissingExtraError: the encoder needs a package that is not installed.
        DataError: the file or model behind the spec cannot be read.
    """
    encoder = _build(spec, device, threads)
    if not cache:
        return encoder
    from limner.text.cache import CachedEncoder

    return CachedEncoder(encoder)


def _build(spec: str, device: str, threads: int | None) -> TextEncoder:
    name, _, query = spec.partition("?")
    try:
        options = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    except ValueError:
        raise UsageError(
            f"text encoder {spec!r}: what follows '?' must read key=value&key=value"
        ) from None
    kind, _, place = name.partition(":")
    if name == DEFAULT_ENCODER:
        _only(spec, options, "tokens")
        from limner.text.e5 import E5Encoder

        return E5Encoder(_integer(spec, options, "tokens", 12), threads)
    if kind == "hf" and place:
        _only(spec, options, "layer", "pool", "prefix")
        from limner.text.hub import HubEncoder

        return HubEncoder(
            unquote(place),
            layer=_integer(spec, options, "layer", -1),
            pool=options.get("pool", "mean"),
            prefix=options.get("prefix", ""),
            device=device,
        )
    if kind == "vectors" and place:
        _only(spec, options, "tokens")
        from limner.text.vectors import VectorsEncoder

        return VectorsEncoder(unquote(place), max_tokens=_integer(spec, options, "tokens", 12))
    raise UsageError(
        f"there is no text encoder {spec!r}; use {DEFAULT_ENCODER}, hf:PATH_OR_ID or vectors:PATH"
    )


def _only(spec: str, options: dict[str, str], *known: str) -> None:
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise UsageError(
            f"text encoder {spec!r} has no option {unknown[0]!r}; it knows: {', '.join(known)}"
        )


def _integer(spec: str, options: dict[str, str], key: str, default: int) -> int:
    value = options.get(key, str(default))
    try:
        return int(value)
    except ValueError:
        raise UsageError(
            f"text encoder {spec!r}: {key} must be a whole number, not {value!r}"
        ) from None
