"""Opening a hub model."""

from __future__ import annotations

from pathlib import Path

from limner.errors import ModelFileError
from limner.generation.backends.characters import CharacterEncoder
from limner.generation.backends.hub_model import HubModel
from limner.generation.backends.source import MODEL_FILE, HubSource
from limner.loading import LoadedModel, choose_device
from limner.modelinfo import ModelInfo

_ELSEWHERE = {
    "multi_modality": "one of transformers, such as deepseek-community/Janus-Pro-1B",
    "Emu3": "one of transformers, such as BAAI/Emu3-Gen-hf",
}
"""Kinds that transformers has too, in its own layout."""


def open_hub(spec: str | Path, *, device: str | None = "cpu") -> tuple[LoadedModel, HubSource]:
    """A hub model and its source.

    Args:
        spec: see :class:`limner.generation.backends.source.HubSource`.
        device: as for :func:`limner.loading.choose_device`; None to read no weights, and only
            check what is asked of it.

    Raises:
        ModelFileError: there is no such model, it draws no pictures of texts, or is damaged.
        UsageError: the spec or the device is wrong.
        MissingExtraError: a package of the extra ``hub`` is missing.
    """
    source = HubSource.parse(spec)
    if device is not None:
        device = choose_device(device)
    model = _model(source).eval()
    if device is not None:
        model.load(device)
    encoder = CharacterEncoder()
    info = hub_info(model, encoder)
    return LoadedModel(source.folder, model, info, encoder, device or "cpu"), source


def hub_info(model: HubModel, encoder: CharacterEncoder) -> ModelInfo:
    """The metadata that a hub model would have as a model file of limner."""
    return ModelInfo(
        family=model.family, config=model.config.model_dump(), encoder=encoder.spec,
        encoder_fingerprint=encoder.fingerprint,
    )  # fmt: skip


def _model(source: HubSource) -> HubModel:
    if source.is_pipeline:
        from limner.generation.backends.pipelines import PipelineModel

        return PipelineModel(source)
    from limner.generation.backends.language_models import KINDS, LanguageModel

    kind = source.read_json(MODEL_FILE).get("model_type")
    if kind in KINDS:
        return LanguageModel(source)
    why = "which draws no pictures; name a pipeline of diffusers, a Janus or an Emu3"
    if kind in _ELSEWHERE:
        why = f"in its authors' own layout, whose code is never run; name {_ELSEWHERE[kind]}"
    elif kind == "chameleon":
        why = "whose pictures transformers cannot draw; name a Janus or an Emu3 instead"
    raise ModelFileError(f"{source.folder} is a {kind} model, {why}")
