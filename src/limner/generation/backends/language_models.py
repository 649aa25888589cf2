"""Language models of transformers that draw: a picture is a row of tokens, written one by one."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from limner.errors import CapabilityError, ModelFileError, UsageError, first_line
from limner.generation.backends.calls import Pause, PausedCall
from limner.generation.backends.characters import texts_of
from limner.generation.backends.hub_model import HubModel, unit_range
from limner.generation.backends.source import MODEL_FILE, HubSource
from limner.hub import import_transformers, without_bars
from limner.logs import only_errors
from limner.models.rows import SampleRequest
from limner.models.samplers import choose_codes, guided
from limner.models.settings import OPTIONS, Capability, Settings, capability_of

_ABLE = {
    Capability.GENERATE, Capability.GUIDANCE, Capability.TEMPERATURE, Capability.TOP_K,
    Capability.TOP_P,
}  # fmt: skip
_ERRORS = (
    OSError, ValueError, KeyError, TypeError, ImportError, RuntimeError, AttributeError
)  # fmt: skip


class _Writer(ABC):
    """How a kind of language model writes a picture.

    Args:
        config: of the model.
        size: side of the pictures in pixels that is asked for; None for its own.

    Attributes:
        rows: of the picture's grid of tokens.
        columns: of the same.
        scale: pixels a token is wide.
        network: the model, once it is loaded.
        processor: makes tokens of texts, once it is loaded.
    """

    class_name: str
    guidance: float
    takes_negative: bool
    rows: int
    columns: int
    scale: int

    def __init__(self, config: Any, size: int | None) -> None:
        self.config, self.network, self.processor = config, None, None
        self.lay_out(size)

    network: Any
    processor: Any

    @property
    def steps(self) -> int:
        """Tokens of a picture."""
        return self.rows * self.columns

    @abstractmethod
    def lay_out(self, size: int | None) -> None:
        """Set the grid of codes for the size asked for.

        Raises:
            UsageError: the model draws no pictures of that size.
        """

    @abstractmethod
    def ids(self, text: str) -> list[int]:
        """The tokens of a prompt, up to the first one of its picture."""

    @abstractmethod
    def free(self, ids: Sequence[int], negative: str | None) -> list[int]:
        """The tokens of the unconditional or negative prompt."""

    @property
    @abstractmethod
    def body(self) -> Any:
        """The network that maps embeddings to hidden states."""

    @abstractmethod
    def logits(self, hidden: Tensor) -> Tensor:
        """Logits ``(B, V)`` over codes for the next token, from hidden states ``(B, D)``."""

    @abstractmethod
    def embeddings(self, codes: Tensor) -> Tensor:
        """Of codes ``(B,)``, as the model reads them, ``(B, D)``."""

    def between(self, step: int) -> Tensor | None:
        """The embedding ``(1, D)`` of a token that follows this one by rule, if one does."""
        return None

    @abstractmethod
    def pictures(self, codes: Tensor) -> Tensor:
        """Of codes ``(B, rows, columns)``, ``(B, 3, H, W)`` in [0, 1]."""

    def _unnormalised(self, images: Tensor) -> Tensor:
        """Pictures ``(B, 3, H, W)`` in [0, 1] of what was normalised as the processor does it."""
        reads = self.processor.image_processor
        mean, std = (
            torch.as_tensor(each, dtype=torch.float32).expand(3).view(3, 1, 1)
            for each in (reads.image_mean, reads.image_std)
        )
        return (images.float().cpu() * std + mean).clamp(0, 1)


class _Janus(_Writer):
    """Janus and Janus-Pro: a head and embeddings of their own for the codes of pictures.

    As ``JanusForConditionalGeneration.generate(generation_mode="image")`` does it: guided away from
    the prompt with its words padded.
    """

    class_name = "JanusForConditionalGeneration"
    guidance, takes_negative = 5.0, False

    def lay_out(self, size: int | None) -> None:
        side = self.config.vq_config.num_patches
        self.rows = self.columns = side
        self.scale = 2 ** (len(self.config.vq_config.channel_multiplier) - 1)
        if size not in (None, side * self.scale):
            raise UsageError(
                f"a Janus model draws pictures of {side * self.scale} pixels, not {size}: leave "
                "the size out of its spec; --size resizes what it draws"
            )

    def ids(self, text: str) -> list[int]:
        words = [{"role": "user", "content": [{"type": "text", "text": text}]}]
        if getattr(self.processor, "chat_template", None):
            text = self.processor.apply_chat_template(words, add_generation_prompt=True)
        found = self.processor(text=[text], generation_mode="image", return_tensors="pt")
        return list(map(int, found["input_ids"][0]))

    def free(self, ids: Sequence[int], negative: str | None) -> list[int]:
        tokens, own = self.processor.tokenizer, self.network.generation_config
        pad = tokens.pad_token_id if own.pad_token_id is None else own.pad_token_id
        kept = {tokens.bos_token_id, tokens.convert_tokens_to_ids(self.processor.image_start_token)}
        return [each if each in kept else pad for each in ids]

    @property
    def body(self) -> Any:
        return self.network.model.language_model

    def logits(self, hidden: Tensor) -> Tensor:
        found: Tensor = self.network.model.generation_head(hidden)
        return found

    def embeddings(self, codes: Tensor) -> Tensor:
        found: Tensor = self.network.prepare_embeddings_for_image_generation(codes)
        return found

    def pictures(self, codes: Tensor) -> Tensor:
        place = next(self.network.model.vqmodel.parameters()).device
        images = self.network.decode_image_tokens(codes.flatten(1).to(place))  # (B, H, W, 3)
        return self._unnormalised(images.permute(0, 3, 1, 2))


class _Emu3(_Writer):
    """Emu3: codes of pictures are words of its vocabulary, and so is what ends a line of them.

    As its model card has it: the prompt names the size in tokens, and it is guided away from a
    negative prompt that does so too.
    """

    class_name = "Emu3ForConditionalGeneration"
    guidance, takes_negative = 3.0, True
    _side = 720

    def lay_out(self, size: int | None) -> None:
        self.scale = 2 ** (len(self.config.vq_config.channel_multiplier) - 1)
        self.rows = self.columns = max(1, round((size or self._side) / self.scale))

    def ids(self, text: str) -> list[int]:
        factor = self.processor.downsample_ratio
        found = self.processor(
            text=[text], return_for_image_generation=True, ratio="1:1",
            image_area=self.rows * self.columns * factor**2, return_tensors="pt",
        )  # fmt: skip
        return list(map(int, found["input_ids"][0]))

    def free(self, ids: Sequence[int], negative: str | None) -> list[int]:
        return self.ids(negative or "")

    @property
    def body(self) -> Any:
        return self.network.model.text_model

    @cached_property
    def _words(self) -> Tensor:
        """The word of each code, ``(V,)``."""
        words = self.network.vocabulary_mapping.img2bpe
        return torch.tensor([words[code] for code in sorted(words)])

    def logits(self, hidden: Tensor) -> Tensor:
        found: Tensor = self.network.lm_head(hidden)[:, self._words.to(hidden.device)]
        return found

    def _read(self, words: Tensor) -> Tensor:
        place = self.network.get_input_embeddings()
        found: Tensor = place(words.to(place.weight.device))
        return found

    def embeddings(self, codes: Tensor) -> Tensor:
        return self._read(self._words[codes.cpu()])

    def between(self, step: int) -> Tensor | None:
        if (step + 1) % self.columns:
            return None
        return self._read(torch.tensor([self.network.vocabulary_mapping.eol_token_id]))

    def pictures(self, codes: Tensor) -> Tensor:
        decoder = self.network.model.vqmodel
        return self._unnormalised(decoder.decode(codes.to(next(decoder.parameters()).device)))


KINDS: dict[str, type[_Writer]] = {"janus": _Janus, "emu3": _Emu3}
"""What ``model_type`` in a configuration says, and how it draws."""


class LanguageModel(HubModel):
    """A language model that draws; each tile is one row of calls of it with a cache.

    A tile has prompts of one length in tokens, so that none is padded for another; every picture's
    tokens are drawn with a random generator of its own.

    Raises:
        ModelFileError: its configuration cannot be read.
        CapabilityError: it is to take a LoRA.
        MissingExtraError: a package of the extra ``hub`` is missing.
    """

    def __init__(self, source: HubSource) -> None:
        transformers = import_transformers("a model of the hub")
        try:
            with only_errors("transformers"):
                config = transformers.AutoConfig.from_pretrained(
                    source.folder, trust_remote_code=False, local_files_only=True
                )
        except _ERRORS as error:
            raise ModelFileError(
                f"{source.folder / MODEL_FILE} cannot be read: {first_line(error)}"
            ) from error
        if source.lora is not None:
            raise CapabilityError(f"{source.name} takes no LoRA; leave it out")
        self.__dict__["_writer"] = KINDS[config.model_type](config, source.size)
        super().__init__(source, self._writer.rows * self._writer.scale, _ABLE)

    @property
    def _writer(self) -> _Writer:
        found: _Writer = self.__dict__["_writer"]
        return found

    @cached_property
    def takes(self) -> frozenset[str]:
        """The options of models that choose tokens, and those of limner's own."""
        lacks = set() if self._writer.takes_negative else {"negative"}
        return frozenset(
            name for name in OPTIONS
            if name not in lacks and capability_of(name) in {None, *self.capabilities}
        )  # fmt: skip

    def load(self, device: str) -> None:
        """Read the weights: in half precision on a GPU; no other files than safetensors.

        Raises:
            ModelFileError: they cannot be loaded.
        """
        transformers, writer = import_transformers("a model"), self._writer
        folder = self.source.folder
        without_bars()
        gpu = torch.device(device).type == "cuda"
        half = torch.bfloat16 if gpu and torch.cuda.is_bf16_supported() else torch.float16
        spread = {"device_map": "auto"} if gpu and self.source.low_memory else {}
        common = {"trust_remote_code": False, "local_files_only": True}
        try:
            with only_errors("transformers"):
                writer.processor = transformers.AutoProcessor.from_pretrained(folder, **common)
                network = getattr(transformers, writer.class_name).from_pretrained(
                    folder, use_safetensors=True, dtype=half if gpu else torch.float32,
                    **common, **spread,
                )  # fmt: skip
        except _ERRORS as error:
            raise ModelFileError(
                f"{folder} cannot be loaded as a {writer.class_name}: {first_line(error)}"
            ) from error
        writer.network = network.eval().requires_grad_(False)
        if not spread:
            writer.network.to(device)
        self.add_module("network", writer.network)

    def side_of(self, settings: Settings) -> int:
        """Its own side in pixels; the picture is resized afterwards."""
        return self.config.size

    def text_shapes(self, request: SampleRequest) -> list[Hashable]:
        """The settings and the lengths of the prompt and of what it is guided away from."""
        return [
            (settings, *map(len, self._prompts(request[[row]])[0]))
            for row, settings in enumerate(request.rows)
        ]

    def _prompts(self, request: SampleRequest) -> list[tuple[list[int], list[int]]]:
        """Each row's prompt tokens and its negative prompt tokens."""
        negative: Sequence[str | None] = [None] * len(request)
        if request.negative is not None:
            negative = texts_of(request.negative)
        found = []
        for text, other in zip(texts_of(request.text), negative, strict=True):
            ids = self._writer.ids(text)
            found.append((ids, self._writer.free(ids, other)))
        return found

    def call(self, request: SampleRequest) -> tuple[PausedCall, int]:
        """A call that writes pictures token by token, for rows with prompts of equal lengths."""
        writer, settings = self._writer, request.rows[0]
        prompts, seeds = self._prompts(request), list(request.seeds)

        def run(pause: Pause) -> Tensor:
            codes = _written(writer, prompts, seeds, settings, pause)
            return unit_range(writer.pictures(codes))

        return PausedCall(run, self.source.name), writer.steps

    def shown(self, call: PausedCall) -> Tensor | None:
        """The lines written so far, and grey below; the rest of a line repeats its last token."""
        writer, codes = self._writer, call.known
        rest = codes[:, -1:].expand(-1, writer.steps - codes.shape[1])
        grid = torch.cat([codes, rest], 1).view(-1, writer.rows, writer.columns)
        images = unit_range(writer.pictures(grid))
        known = math.ceil(codes.shape[1] / writer.columns) * writer.scale
        images[:, :, known:] = 0
        return images


def _written(
    writer: _Writer,
    prompts: Sequence[tuple[Sequence[int], Sequence[int]]],
    seeds: Sequence[int],
    settings: Settings,
    pause: Pause,
) -> Tensor:
    """The codes of pictures, ``(B, rows, columns)`` int64.

    Args:
        writer: of the model.
        prompts: B of equal lengths, and as many that they are guided away from.
        seeds: B integers.
        settings: of all.
        pause: called with the codes so far, ``(B, n)``, after each.
    """
    from transformers import DynamicCache

    own = writer.network.generation_config
    scale = settings.guidance
    if scale is None:
        scale = own.guidance_scale or writer.guidance
    asked = Settings(temperature=own.temperature, top_k=own.top_k, top_p=own.top_p).model_copy(
        update=settings.given
    )
    heat = 1.0 if asked.temperature is None else asked.temperature
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    lines = [ids for ids, _ in prompts] + ([] if scale == 1 else [free for _, free in prompts])
    device, cache = writer.network.device, DynamicCache(config=writer.body.config)
    longest = max(map(len, lines))
    ids = torch.tensor([[0] * (longest - len(line)) + list(line) for line in lines], device=device)
    mask = torch.tensor(
        [[0] * (longest - len(line)) + [1] * len(line) for line in lines], device=device
    )
    read = writer.network.get_input_embeddings()(ids)  # (B or 2B, L, D)
    codes: list[Tensor] = []
    for step in range(writer.steps):
        places = (mask.cumsum(1) - 1).clamp_min(0)[:, -read.shape[1] :]
        hidden = writer.body(
            inputs_embeds=read, attention_mask=mask, position_ids=places, past_key_values=cache,
            use_cache=True,
        ).last_hidden_state[:, -1]  # fmt: skip
        logits = writer.logits(hidden).float().cpu()
        if scale != 1:
            given, free = logits.chunk(2)
            logits = guided(given, free, [scale] * len(prompts))
        uniform = torch.cat([torch.rand(1, dtype=torch.float64, generator=g) for g in generators])
        code = choose_codes(logits, uniform, heat, asked.top_k or 0, asked.top_p or 1.0)
        codes.append(code)
        pause(torch.stack(codes, 1))
        read = writer.embeddings(code.to(device))[:, None].repeat(len(lines) // len(code), 1, 1)
        more = writer.between(step)
        if more is not None:
            read = torch.cat([read, more.expand(len(lines), 1, -1)], 1)
        mask = torch.cat([mask, mask.new_ones(len(lines), read.shape[1])], 1)
    return torch.stack(codes, 1).view(-1, writer.rows, writer.columns)
