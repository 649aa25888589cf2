"""The loss of a pipeline's denoiser: what its scheduler has it predict, for a caption.

What a denoiser is called with besides noisy latents and a time (embeddings of the words, sizes,
places of tokens) is taken from the first call that the pipeline itself makes for a prompt, so that
no family's preparation is repeated here.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from limner.errors import CapabilityError, DataError, first_line
from limner.generation.backends.characters import CharacterEncoder
from limner.generation.backends.pipelines import PipelineModel, copied
from limner.logs import only_errors
from limner.memory import RecentlyUsed
from limner.models.rows import SampleRequest
from limner.models.settings import Settings

DENOISERS = {
    "StableDiffusionPipeline": "unet", "StableDiffusionXLPipeline": "unet",
    "StableDiffusion3Pipeline": "transformer", "FluxPipeline": "transformer",
    "SanaPipeline": "transformer",
}  # fmt: skip
"""Pipelines whose LoRA is trained, and the name of the part that learns."""
_SHARED = frozenset({"img_ids", "txt_ids"})
"""Arguments of denoisers that have no batch."""
_REMEMBERED_BYTES = 2 * 2**30
"""Of the conditions of captions."""
Condition = dict[str, Any]
"""Arguments of a denoiser for one caption, by name; tensors, also inside of dictionaries."""


class _CalledError(Exception):
    """Ends a pipeline's call at the first one of its denoiser.

    Attributes:
        arguments: that one's, by name.
    """

    def __init__(self, arguments: dict[str, Any]) -> None:
        super().__init__()
        self.arguments = arguments


class PipelineLoss:
    """Loss of the denoiser of a pipeline.

    Args:
        model: with its weights.

    Attributes:
        denoiser: the part that learns.
        part: its name in the pipeline.
        flow: whether it predicts a velocity from pictures to noise (flow matching).

    Raises:
        CapabilityError: it is of a family that is not trained here, or its scheduler has it predict
            something unknown.
    """

    def __init__(self, model: PipelineModel) -> None:
        check_trainable(model)
        self.model, self.pipeline = model, model.pipeline
        name = type(self.pipeline).__name__
        self.part = DENOISERS[name]
        self.denoiser: Any = getattr(self.pipeline, self.part)
        scheduler = self.pipeline.scheduler
        config = scheduler.config
        self.kind = config.get("prediction_type", "epsilon")
        self.flow = (
            "FlowMatch" in type(scheduler).__name__
            or bool(config.get("use_flow_sigmas"))
            or self.kind == "flow_prediction"
        )
        known = hasattr(scheduler, "alphas_cumprod") and self.kind in _TARGETS
        if not self.flow and not known:
            raise CapabilityError(
                f"the scheduler of {model.source.name} is a {type(scheduler).__name__} for "
                f"{self.kind!r}, whose loss is not known; use a pipeline with another scheduler"
            )
        self._shift = 1.0
        if self.flow and not config.get("use_dynamic_shifting"):
            self._shift = float(config.get("shift") or config.get("flow_shift") or 1.0)
        self.times = int(config.num_train_timesteps)
        self._input = next(iter(inspect.signature(self.denoiser.forward).parameters))
        self._conditions = RecentlyUsed[str, tuple[Condition, float]](_REMEMBERED_BYTES, _bytes)
        self._like: Tensor | None = None

    def condition(self, caption: str) -> tuple[Condition, float]:
        """What the denoiser is called with for a caption, and its unit of time over a step's.

        Raises:
            DataError: the pipeline cannot read the caption.
        """
        found = self._conditions.get(caption)
        if found is None:
            found = self._read(caption)
            self._conditions.put(caption, found)
        return found

    def _read(self, caption: str) -> tuple[Condition, float]:
        text, pipeline = CharacterEncoder().encode([caption]), copied(self.pipeline)
        request = SampleRequest(text, [0], Settings(steps=2, guidance=1.0))
        signature = inspect.signature(self.denoiser.forward)

        def stop(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
            raise _CalledError(dict(signature.bind(*given, **named).arguments))

        hook = self.denoiser.register_forward_pre_hook(stop, with_kwargs=True)
        try:
            with only_errors("diffusers"), torch.no_grad():
                pipeline(**self.model.arguments(pipeline, request))
        except _CalledError as call:
            found = call.arguments
        except (ValueError, TypeError, LookupError, RuntimeError) as error:
            raise DataError(
                f"{self.model.source.name} cannot read {caption!r}: {first_line(error)}"
            ) from error
        finally:
            hook.remove()
        self._like = found.pop(self._input)
        time = found.pop("timestep").float().flatten()[0]
        first = pipeline.scheduler.timesteps[0].float().to(time.device)
        kept = {name: value for name, value in found.items() if name != "return_dict"}
        return _together([kept], torch.device("cpu")), float(time / first)

    def latents(self, images: Tensor) -> Tensor:
        """Pictures ``(B, 3, S, S)`` in [-1, 1] as the denoiser sees them where there is no noise.

        The mean of what the autoencoder encodes, scaled as the pipeline has it, and packed into
        tokens where that is done.
        """
        vae, pipeline = self.pipeline.vae, self.pipeline
        with torch.no_grad():
            encoded = vae.encode(images.to(vae.device, vae.dtype))
        drawn = hasattr(encoded, "latent_dist")
        found: Tensor = encoded.latent_dist.mode() if drawn else encoded.latent
        config = vae.config
        found = found - (getattr(config, "shift_factor", None) or 0.0)
        found = found * (getattr(config, "scaling_factor", None) or 1.0)
        if self._like is None:
            self.condition("a picture")
        assert self._like is not None
        if self._like.ndim == 3:
            found = pipeline._pack_latents(found, *found.shape)
        return found

    def noised(self, latents: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Latents with noise, the times they are of, and what is to be predicted of them.

        Flow matching: z = (1 - s) x + s e, predicted is e - x; s is logit-normal, shifted as the
        scheduler shifts it (Esser et al. 2024, arXiv:2403.03206, eq. 13, 19 and 23). Diffusion:
        z = sqrt(a) x + sqrt(1 - a) e; predicted is e, x, or v = sqrt(a) e - sqrt(1 - a) x (Salimans
        and Ho 2022, arXiv:2202.00512, appendix D), at times that are equally likely.

        Args:
            latents: ``(B, ...)`` float32, x.
            generator: of all that is random, on the CPU.

        Returns:
            ``(B, ...)``, ``(B,)`` in the scheduler's units, ``(B, ...)``.
        """
        count, shape = len(latents), (-1, *[1] * (latents.ndim - 1))
        noise = torch.randn(latents.shape, generator=generator).to(latents)
        if self.flow:
            share = torch.randn(count, generator=generator).sigmoid()
            share = self._shift * share / (1 + (self._shift - 1) * share)
            wide = share.view(shape).to(latents)
            time = share * self.times
            return torch.lerp(latents, noise, wide), time.to(latents), noise - latents
        time = torch.randint(self.times, (count,), generator=generator)
        kept = self.pipeline.scheduler.alphas_cumprod.cpu()[time].view(shape).to(latents)
        root, rest = kept.sqrt(), (1 - kept).sqrt()
        target = noise if self.kind == "epsilon" else latents
        if self.kind == "v_prediction":
            target = root * noise - rest * latents
        return root * latents + rest * noise, time.to(latents.device), target

    def predicted(self, noisy: Tensor, time: Tensor, captions: list[str]) -> Tensor:
        """What the denoiser predicts.

        Args:
            noisy: ``(B, ...)`` latents.
            time: ``(B,)`` in the scheduler's units.
            captions: B.
        """
        found = [self.condition(caption) for caption in captions]
        common = _together([each for each, _ in found], noisy.device)
        unit = found[0][1]
        own = next(self.denoiser.parameters()).dtype
        out: Tensor = self.denoiser(
            **{self._input: noisy.to(own)}, timestep=time * unit if unit != 1 else time,
            **common, return_dict=False,
        )[0]  # fmt: skip
        if out.shape != noisy.shape:  # with variances, which are not learned
            out = out.chunk(2, 1)[0]
        return out

    def loss(self, latents: Tensor, captions: list[str], generator: torch.Generator) -> Tensor:
        """Mean squared error of what is predicted of latents with noise, a scalar."""
        noisy, time, target = self.noised(latents, generator)
        return F.mse_loss(self.predicted(noisy, time, captions).float(), target.float())


_TARGETS = frozenset({"epsilon", "sample", "v_prediction"})


def check_trainable(model: PipelineModel) -> None:
    """Refuse families that are not trained here.

    Raises:
        CapabilityError: saying which are.
    """
    if model.pipeline_name not in DENOISERS:
        raise CapabilityError(
            f"{model.source.name} is a {model.pipeline_name}, for which no LoRA is trained here; "
            f"use one of: {', '.join(DENOISERS)}"
        )


def _together(conditions: list[Condition], device: torch.device) -> Condition:
    """The conditions of several captions as those of a batch."""
    found: Condition = {}
    for name, first in conditions[0].items():
        values = [each[name] for each in conditions]
        if isinstance(first, dict):
            found[name] = _together(values, device)
        elif isinstance(first, Tensor):
            one = first if name in _SHARED or not first.ndim else torch.cat(values)
            found[name] = one.to(device)
        else:
            found[name] = first
    return found


def _bytes(value: Any) -> int:
    """Of the tensors in a condition."""
    if isinstance(value, Tensor):
        return value.nbytes
    if isinstance(value, dict):
        return sum(map(_bytes, value.values()))
    return sum(map(_bytes, value)) if isinstance(value, tuple) else 0
