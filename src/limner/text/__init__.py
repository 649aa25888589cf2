"""Text encoders, their cache, and how texts are cut into pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from limner.errors import UsageError
from limner.specs import parse_spec

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
    """The text encoder that a spec names.

    Args:
        spec: one of
            ``e5-small[?tokens=12]`` (multilingual-e5-small, inside the install);
            ``hf:PATH_OR_ID[?layer=-1&pool=mean|last|cls&prefix=query%3A%20]`` (any transformers
            model; extra ``hub``);
            ``vectors:PATH[?tokens=12]`` (Word2Vec or GloVe, text or binary);
            ``random:DIM[?seed=0]`` and ``class:PATH?dim=DIM[&seed=0]`` (vectors without meaning,
            for ablations: :mod:`limner.text.ablation`).
        cache: keep encoded vectors in memory and on disk.
        device: where a transformers model runs; the other encoders run on the CPU.
        threads: of the CPU encoders; None for one a CPU core.

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


def _build(text: str, device: str, threads: int | None) -> TextEncoder:
    spec = parse_spec(text, "text encoder")
    if spec.name == DEFAULT_ENCODER:
        spec.only("tokens")
        from limner.text.e5 import E5Encoder

        return E5Encoder(spec.integer("tokens", 12), threads)
    if spec.kind == "hf" and spec.place:
        spec.only("layer", "pool", "prefix")
        from limner.text.hub import HubEncoder

        return HubEncoder(
            spec.place,
            layer=spec.integer("layer", -1),
            pool=spec.options.get("pool", "mean"),
            prefix=spec.options.get("prefix", ""),
            device=device,
        )
    if spec.kind == "vectors" and spec.place:
        spec.only("tokens")
        from limner.text.vectors import VectorsEncoder

        return VectorsEncoder(spec.place, max_tokens=spec.integer("tokens", 12))
    if spec.kind == "random" and spec.place.isdecimal():
        spec.only("seed")
        from limner.text.ablation import RandomTextEncoder

        return RandomTextEncoder(int(spec.place), spec.integer("seed", 0))
    if spec.kind == "class" and spec.place:
        spec.only("dim", "seed")
        from limner.text.ablation import ClassEncoder

        return ClassEncoder(spec.place, spec.integer("dim", 384), spec.integer("seed", 0))
    raise UsageError(
        f"there is no text encoder {text!r}; use {DEFAULT_ENCODER}, hf:PATH_OR_ID or vectors:PATH"
    )
