"""Chat models of transformers: a folder or id of the hub, or one GGUF file."""

from __future__ import annotations

import importlib.util
import io
import struct
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stderr
from pathlib import Path
from typing import Any

import torch

from limner.errors import DataError, MissingExtraError, first_line
from limner.hub import import_transformers, reading, without_bars

_GGUF = ".gguf"


class HubChat:
    """A causal language model that answers by greedy decoding, the same answer each time.

    Args:
        path_or_id: a folder in the hub's format, a hub id, or a ``.gguf`` file.
        device: where it runs, such as ``cpu`` or ``cuda``.

    Attributes:
        spec: ``hf:NAME``; of what is on disk the last part of its path only, because records of
            pictures hold it.

    Raises:
        DataError: it cannot be read.
        MissingExtraError: transformers, or the reader of GGUF files, is not installed.
    """

    def __init__(self, path_or_id: str, *, device: str = "cpu") -> None:
        transformers = import_transformers("a language model of the hub")
        without_bars()
        place, options = path_or_id, dict[str, Any]()
        on_disk = Path(path_or_id)
        if on_disk.suffix.lower() == _GGUF:
            if importlib.util.find_spec("gguf") is None:
                raise MissingExtraError("gguf", "hub", "a GGUF file")
            if not on_disk.is_file():
                raise DataError(f"there is no file {path_or_id}; name a .gguf file or a folder")
            place, options = str(on_disk.parent), {"gguf_file": on_disk.name}
        with reading("language model", path_or_id), _whole_gguf(path_or_id):
            # A GGUF file holds no safetensors, and no code either.
            kind = {} if options else {"use_safetensors": True}
            self._tokenizer: Any = transformers.AutoTokenizer.from_pretrained(
                place, trust_remote_code=False, **options
            )
            with _without_bars_of_gguf() if options else nullcontext():
                network: Any = transformers.AutoModelForCausalLM.from_pretrained(
                    place, trust_remote_code=False, dtype=torch.float32, **kind, **options
                )
        self.spec = f"hf:{on_disk.name if on_disk.exists() else path_or_id}"
        self._network = network.eval().requires_grad_(False).to(device)
        self._lock = threading.Lock()

    @torch.inference_mode()
    def ask(self, messages: Sequence[Mapping[str, str]], most_tokens: int, doing: str) -> str:
        """The model's answer; see :meth:`limner.endpoint.ChatEndpoint.ask`.

        A model without a chat template is asked in plain text: the messages one below the other.

        Raises:
            DataError: the model fails at the messages.
        """
        try:
            with self._lock:
                inputs = self._inputs(messages)
                out = self._network.generate(
                    **inputs, max_new_tokens=most_tokens, do_sample=False,
                    temperature=None, top_p=None, top_k=None,
                    pad_token_id=self._tokenizer.pad_token_id or self._tokenizer.eos_token_id,
                )  # fmt: skip
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            raise DataError(f"{self.spec} did not {doing}: {first_line(error)}") from error
        answer = out[0, inputs["input_ids"].shape[1] :]
        return str(self._tokenizer.decode(answer, skip_special_tokens=True))

    def _inputs(self, messages: Sequence[Mapping[str, str]]) -> dict[str, Any]:
        if getattr(self._tokenizer, "chat_template", None):
            found = self._tokenizer.apply_chat_template(
                [dict(each) for each in messages], add_generation_prompt=True,
                return_tensors="pt", return_dict=True,
            )  # fmt: skip
        else:
            lines = [f"{each['role']}: {each['content']}" for each in messages]
            found = self._tokenizer("\n".join([*lines, "assistant:"]), return_tensors="pt")
        wanted = ("input_ids", "attention_mask")
        return {name: found[name].to(self._network.device) for name in wanted if name in found}


@contextmanager
def _whole_gguf(path: str) -> Iterator[None]:
    """Make one of the errors that :func:`limner.hub.reading` knows of a damaged file's."""
    try:
        yield
    except (struct.error, IndexError, TypeError, AssertionError) as error:
        raise ValueError(f"{path} is damaged: {first_line(error)}") from error


def _without_bars_of_gguf() -> AbstractContextManager[object]:
    """Leave out the progress bar of reading GGUF, which cannot be turned off, in no terminal."""
    return nullcontext() if sys.stderr.isatty() else redirect_stderr(io.StringIO())
