"""Pipelines of diffusers: text to image, image to image and inpainting."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from limner.errors import CapabilityError, ModelFileError, first_line
from limner.generation.backends.calls import Pause, PausedCall
from limner.generation.backends.characters import texts_of
from limner.generation.backends.hub_model import HubModel, unit_range
from limner.generation.backends.source import PIPELINE_FILE, HubSource, import_diffusers
from limner.hub import without_bars
from limner.logs import only_errors
from limner.models.rows import SampleRequest
from limner.models.settings import OPTIONS, Capability, Settings, capability_of

_DEFAULT_SIDE, _DEFAULT_SCALE = 1024, 8
_TRUE_GUIDANCE = 4.0
"""Of a pipeline that has a negative prompt only with a scale of its own."""


class PipelineModel(HubModel):
    """A pipeline that ``AutoPipelineForText2Image`` loads; each tile is one call of it.

    Image to image and inpainting run on the same weights, where diffusers has a pipeline for them.

    Raises:
        ModelFileError: it is not a text-to-image pipeline, or damaged.
        MissingExtraError: a package of the extra ``hub`` is missing.
    """

    def __init__(self, source: HubSource) -> None:
        import_diffusers()
        with only_errors("transformers"), only_errors("diffusers"):  # that torchvision is missing
            from diffusers.pipelines import auto_pipeline as auto

        name = source.read_json(PIPELINE_FILE).get("_class_name")
        if not isinstance(name, str):
            raise ModelFileError(
                f"{source.folder} needs its own Python code, which limner never runs"
            )

        def find(mapping: Any) -> Any:
            return auto._get_task_class(mapping, name, throw_error_if_not_exist=False)

        kind = find(auto.AUTO_TEXT2IMAGE_PIPELINES_MAPPING)
        if kind is None:
            raise ModelFileError(
                f"{source.folder} is a {name}, which does not draw pictures from text; name a "
                "text-to-image pipeline"
            )
        names, changes = _parameters(kind), find(auto.AUTO_IMAGE2IMAGE_PIPELINES_MAPPING)
        able = {
            Capability.GENERATE: True, Capability.STEPS: "num_inference_steps" in names,
            Capability.GUIDANCE: bool(names & {"guidance_scale", "true_cfg_scale"}),
            Capability.INPAINT: find(auto.AUTO_INPAINT_PIPELINES_MAPPING) is not None,
            Capability.RESTYLE: changes is not None and "strength" in _parameters(changes),
        }  # fmt: skip
        super().__init__(source, _side(source), {each for each, can in able.items() if can})
        self._kind, self._names = kind, names
        self._pipeline: Any = None

    @cached_property
    def takes(self) -> frozenset[str]:
        """The options that the pipeline has a parameter for, and those that limner implements."""
        lacks = set() if "negative_prompt" in self._names else {"negative"}
        return frozenset(
            name for name in OPTIONS
            if name not in lacks and capability_of(name) in {None, *self.capabilities}
        )  # fmt: skip

    @property
    def pipeline(self) -> Any:
        """The pipeline, once it is loaded; it draws new pictures."""
        return self._pipeline

    @property
    def pipeline_name(self) -> str:
        """The name of its class in diffusers."""
        return str(self._kind.__name__)

    def load(self, device: str) -> None:
        """Read the weights: in half precision on a GPU; no other files than safetensors.

        Raises:
            ModelFileError: the pipeline or the LoRA cannot be loaded.
        """
        diffusers = import_diffusers()
        without_bars(diffusers)
        gpu = torch.device(device).type == "cuda"
        half = torch.bfloat16 if gpu and torch.cuda.is_bf16_supported() else torch.float16
        try:
            with only_errors("transformers"), only_errors("diffusers"):
                pipeline = self._kind.from_pretrained(
                    self.source.folder, use_safetensors=True, trust_remote_code=False,
                    local_files_only=True, dtype=half if gpu else torch.float32,
                )  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError, ImportError, RuntimeError,
                AttributeError) as error:  # fmt: skip
            raise ModelFileError(
                f"{self.source.folder} cannot be loaded as a {self._kind.__name__}: "
                f"{first_line(error)}"
            ) from error
        self._add_lora(pipeline)
        self._pipeline = self._placed(pipeline, device)
        for name, part in pipeline.components.items():
            if isinstance(part, torch.nn.Module):
                self.add_module(name, part.requires_grad_(False))

    def _add_lora(self, pipeline: Any) -> None:
        file = self.source.lora
        if file is None:
            return
        if not hasattr(pipeline, "load_lora_weights"):
            raise CapabilityError(f"{self._kind.__name__} takes no LoRA; leave it out")
        try:
            with only_errors("diffusers"):
                pipeline.load_lora_weights(
                    file.parent, weight_name=file.name, use_safetensors=True, local_files_only=True
                )
            if not pipeline.get_active_adapters():
                raise ValueError("nothing in it belongs to this pipeline")
        except (OSError, ValueError, KeyError, RuntimeError, ImportError, AttributeError) as error:
            raise ModelFileError(
                f"the LoRA {file} cannot be added to {self.source.name}: {first_line(error)}"
            ) from error

    def _placed(self, pipeline: Any, device: str) -> Any:
        """The pipeline on its device, with memory-saving options if asked for."""
        pipeline.set_progress_bar_config(disable=True)
        if self.source.low_memory:
            if hasattr(pipeline.vae, "enable_slicing"):
                pipeline.vae.enable_slicing()
            if hasattr(pipeline.vae, "enable_tiling"):
                pipeline.vae.enable_tiling()
            if torch.device(device).type == "cuda":
                pipeline.enable_model_cpu_offload(device=device)
                return pipeline
            if hasattr(pipeline, "unet"):
                pipeline.enable_attention_slicing()
        return pipeline.to(device)

    @cached_property
    def _inpainting(self) -> Any:
        """The pipeline for inpainting, on the same weights."""
        from diffusers import AutoPipelineForInpainting

        return self._on_the_same_weights(AutoPipelineForInpainting)

    @cached_property
    def _changing(self) -> Any:
        """The image-to-image pipeline, on the same weights."""
        from diffusers import AutoPipelineForImage2Image

        return self._on_the_same_weights(AutoPipelineForImage2Image)

    def _on_the_same_weights(self, kind: Any) -> Any:
        with only_errors("diffusers"):
            found = kind.from_pipe(self._pipeline)
        found.set_progress_bar_config(disable=True)
        return found

    def _pipeline_for(self, request: SampleRequest) -> Any:
        """The pipeline that draws a request; at strength 1 a changed picture is a new one."""
        strength = request.rows[0].strength
        if request.known is None or strength == 1:
            return self._pipeline
        return self._inpainting if strength is None else self._changing

    def call(self, request: SampleRequest) -> tuple[PausedCall, int]:
        """One call of a copy of the pipeline that has its own scheduler."""
        if request.known is not None and request.rows[0].strength == 0:
            whole, images = self._pipeline, request.known.images
            return PausedCall(lambda _: reconstructed(whole, images), self.source.name), 1
        original = self._pipeline_for(request)
        pipeline, arguments = copied(original), self.arguments(original, request)
        steps = _steps(original, request.rows[0])
        if request.known is not None and "strength" in arguments:
            steps = max(1, int(steps * arguments["strength"]))
        foreseen = _Foreseen(pipeline.scheduler)
        side = self.side_of(request.rows[0])

        def run(pause: Pause) -> Tensor:
            def step(latents: Tensor) -> None:
                pause((pipeline, latents if foreseen.latents is None else foreseen.latents, side))

            with only_errors("diffusers"):
                drawn = pipeline(**arguments, **_stops(pipeline, step))
            return unit_range(drawn.images)

        return PausedCall(run, self.source.name), int(steps)

    def arguments(self, pipeline: Any, request: SampleRequest) -> dict[str, Any]:
        """What the pipeline is called with."""
        settings, names = request.rows[0], _parameters(type(pipeline))
        side = self.side_of(settings)
        found: dict[str, Any] = {
            "prompt": texts_of(request.text), "height": side, "width": side, "output_type": "pt",
            "generator": [torch.Generator().manual_seed(seed) for seed in request.seeds],
            "num_inference_steps": settings.steps, "use_resolution_binning": False,
        }  # fmt: skip
        if request.negative is not None:
            found["negative_prompt"] = texts_of(request.negative)
        found |= _guidance(pipeline, settings, names, request.negative is not None)
        if request.known is not None and settings.strength is None:
            found["image"] = (request.known.filled + 1) / 2
            found["mask_image"] = request.known.hole.float()
            found["strength"] = 1.0
        elif request.known is not None and pipeline is not self._pipeline:
            found["image"] = (request.known.images + 1) / 2
            steps = _steps(pipeline, settings)
            found["strength"] = max(settings.strength or 0.0, 1 / steps)  # of one step at least
        return {k: v for k, v in found.items() if k in names and v is not None}

    def predicting_evaluations(self, settings: Settings) -> int | None:
        """Its steps, where the scheduler's kind is one whose predictions are known."""
        if self._pipeline is None or not _foresees(self._pipeline.scheduler):
            return None
        return _steps(self._pipeline, settings)

    def shown(self, call: PausedCall) -> Tensor | None:
        """The predicted finished pictures, decoded; None for unknown kinds of latents."""
        return decoded(*call.known)


class _Foreseen:
    """The prediction of the finished latents, taken from a scheduler's steps.

    Args:
        scheduler: whose steps are observed from now on.

    Attributes:
        latents: the last prediction; None where the scheduler is of an unknown kind.
    """

    def __init__(self, scheduler: Any) -> None:
        self.latents: Tensor | None = None
        own = scheduler.step

        def step(output: Tensor, timestep: Any, sample: Tensor, *rest: Any, **named: Any) -> Any:
            before = getattr(scheduler, "step_index", None)
            found = own(output, timestep, sample, *rest, **named)
            if before is None:  # it is known once the first step is made
                before = (getattr(scheduler, "step_index", None) or 1) - 1
            self.latents = _finished(scheduler, found, output, sample, (timestep, before))
            return found

        scheduler.step = step


def _foresees(scheduler: Any) -> bool:
    """Whether :func:`_finished` knows what a scheduler's steps predict."""
    return "FlowMatch" in type(scheduler).__name__ or hasattr(scheduler, "alphas_cumprod")


def _finished(
    scheduler: Any, found: Any, output: Tensor, sample: Tensor, at: tuple[Any, int]
) -> Tensor | None:
    """The finished latents that a step predicts; None for unknown kinds of scheduler.

    Args:
        scheduler: made the step.
        found: what it gives.
        output: of the network, the guided one.
        sample: the latents before the step.
        at: timestep and number of the step.
    """
    timestep, before = at
    said: Any = getattr(found, "pred_original_sample", None)
    if said is None and isinstance(found, tuple) and len(found) > 1:
        said = found[1]
    if isinstance(said, Tensor):
        return said
    if "FlowMatch" in type(scheduler).__name__:
        sigma: Tensor = scheduler.sigmas[before].to(sample)
        return sample - sigma * output.to(sample)
    if hasattr(scheduler, "alphas_cumprod") and output.shape == sample.shape:
        alpha: Tensor = scheduler.alphas_cumprod[int(timestep)].to(sample)
        kind = scheduler.config.get("prediction_type", "epsilon")
        if kind == "epsilon":
            return (sample - (1 - alpha).sqrt() * output) / alpha.sqrt()
        if kind == "v_prediction":
            return alpha.sqrt() * sample - (1 - alpha).sqrt() * output
    return None


def decoded(pipeline: Any, latents: Tensor, side: int) -> Tensor | None:
    """Pictures ``(B, 3, H, W)`` in [-1, 1] of a pipeline's latents on the way.

    Args:
        pipeline: of diffusers.
        latents: as its scheduler has them, ``(B, C, H, W)``, or packed into tokens.
        side: of the pictures.

    Returns:
        None where the pipeline packs its latents in a way that is not known here.
    """
    vae = pipeline.vae
    if latents.ndim == 3:
        unpack = getattr(pipeline, "_unpack_latents", None)
        if unpack is None:
            return None
        scale = {"vae_scale_factor": pipeline.vae_scale_factor}
        wanted = inspect.signature(unpack).parameters
        latents = unpack(latents, side, side, **{k: v for k, v in scale.items() if k in wanted})
    latents = latents.to(vae.dtype)
    config = vae.config
    if getattr(config, "latents_mean", None) and getattr(config, "latents_std", None):
        shape = (1, -1, *[1] * (latents.ndim - 2))
        mean, std = (
            torch.tensor(v).view(shape).to(latents)
            for v in (config.latents_mean, config.latents_std)
        )
        latents = latents * std + mean
    else:
        latents = latents / (getattr(config, "scaling_factor", None) or 1.0)
        latents = latents + (getattr(config, "shift_factor", None) or 0.0)
    images: Tensor = vae.decode(latents, return_dict=False)[0]
    return (images[:, :, 0] if images.ndim == 5 else images).float().clamp(-1, 1)


def reconstructed(pipeline: Any, images: Tensor) -> Tensor:
    """Pictures encoded and decoded by a pipeline's autoencoder.

    Args:
        pipeline: of diffusers; its autoencoder is one of pictures, or of clips, as which each
            picture has one frame.
        images: ``(B, 3, S, S)`` in [-1, 1].
    """
    vae = pipeline.vae
    moving = any(isinstance(each, torch.nn.Conv3d) for each in vae.modules())
    pixels = images.to(pipeline._execution_device, vae.dtype)
    found = vae.encode(pixels[:, :, None] if moving else pixels)
    latents = found.latent_dist.mode() if hasattr(found, "latent_dist") else found.latent
    drawn: Tensor = vae.decode(latents, return_dict=False)[0]
    return (drawn[:, :, 0] if moving else drawn).float().clamp(-1, 1)


def copied(pipeline: Any) -> Any:
    """The pipeline with a scheduler and a state of its own, on the same weights."""
    found = copy.copy(pipeline)
    object.__setattr__(found, "scheduler", copy.deepcopy(pipeline.scheduler))
    return found


def _stops(pipeline: Any, step: Callable[[Tensor], None]) -> dict[str, Any]:
    """The arguments by which a pipeline calls ``step`` with its latents after each step."""

    def end(_: Any, __: int, ___: Any, known: dict[str, Any]) -> dict[str, Any]:
        step(known["latents"])
        return {}

    names = _parameters(type(pipeline))
    if "callback_on_step_end" in names:
        return {"callback_on_step_end": end}
    if "callback" in names:
        return {"callback": lambda _, __, latents: step(latents), "callback_steps": 1}
    return {}


def _guidance(
    pipeline: Any, settings: Settings, names: frozenset[str], negative: bool
) -> dict[str, Any]:
    """The guidance scale, under the pipeline's own parameter name.

    Some pipelines have two: that of models that were distilled to take one, and one that takes
    two evaluations a step and a negative prompt.
    """
    if "true_cfg_scale" not in names:
        return {"guidance_scale": settings.guidance}
    distilled = getattr(getattr(pipeline, "transformer", None), "config", {}).get("guidance_embeds")
    if distilled and not negative:
        return {"guidance_scale": settings.guidance}
    found: dict[str, Any] = {"true_cfg_scale": settings.guidance}
    if negative:
        found["true_cfg_scale"] = settings.guidance or _TRUE_GUIDANCE
    elif settings.guidance is not None:
        found["negative_prompt"] = " "
    return found


def _parameters(kind: Any) -> frozenset[str]:
    """Names of the parameters of a class's ``__call__``."""
    return frozenset(inspect.signature(kind.__call__).parameters)


def _steps(pipeline: Any, settings: Settings) -> int:
    """Sampling steps: those asked for, else the default of the pipeline's call."""
    found = inspect.signature(type(pipeline).__call__).parameters.get("num_inference_steps")
    default = 1 if found is None or not isinstance(found.default, int) else found.default
    return settings.steps or default


def _side(source: HubSource) -> int:
    """The side of a pipeline's pictures by its configurations, in pixels."""
    network = source.read_json("unet/config.json") or source.read_json("transformer/config.json")
    blocks = source.read_json("vae/config.json").get("block_out_channels")
    scale = 2 ** (len(blocks) - 1) if isinstance(blocks, list) and blocks else _DEFAULT_SCALE
    sample = network.get("sample_size")
    if not isinstance(sample, int):
        return _DEFAULT_SIDE
    return max(16, min(_DEFAULT_SIDE, sample * scale))
