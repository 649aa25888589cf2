"""Models of the hub: tiny pipelines of eleven families with random weights, drawn through limner.

Each is written in the hub's layout and really loaded, and so are a Janus and an Emu3. Measured are
how far the pictures are from those of the model called by hand, what drawing through ``Generator``
costs beside that call, in pairs of runs in turn, and how many pipelines change pictures and learn.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from limner.generation.generator import Generator, load
from limner.models.settings import Capability
from limner.training.pipeline_losses import DENOISERS

TESTS = Path(__file__).parents[1] / "tests"
sys.path += [str(TESTS), str(TESTS / "generation")]
SIDE, STEPS, PAIRS, TIMED = 32, 8, 12, "stable_diffusion"
WRITING = {"vocab_size": 2048, "hidden_size": 256, "intermediate_size": 688,
           "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 4}  # fmt: skip
WRITING_PAIRS = 2


def by_hand(pipeline: Any, seed: int) -> Image.Image:
    """A picture of the pipeline, as its documentation has it."""
    more = {"use_resolution_binning": False} if type(pipeline).__name__ in _BINNED else {}
    return pipeline(
        prompt="a red cat", height=SIDE, width=SIDE, num_inference_steps=STEPS,
        generator=torch.Generator().manual_seed(seed), **more,
    ).images[0]  # fmt: skip


_BINNED = {"SanaPipeline", "PixArtSigmaPipeline"}


def through_limner(generator: Generator, seed: int) -> Image.Image:
    """The same picture."""
    return generator.generate("a red cat", seed=seed, steps=STEPS)[0].image


def seconds(draw: Callable[[], object]) -> float:
    """Of one call."""
    start = time.perf_counter()
    draw()
    return time.perf_counter() - start


def run() -> dict[str, Any]:
    """Draw with each family, and time one of them."""
    from diffusers import AutoPipelineForText2Image

    from tiny_pipelines import FAMILIES, save_pipeline

    figures: dict[str, Any] = {}
    furthest, drawn, previews, changing, learning = 0, 0, 0, 0, 0
    with tempfile.TemporaryDirectory() as place:
        for family in FAMILIES:
            folder = save_pipeline(family, Path(place) / family)
            pipeline = AutoPipelineForText2Image.from_pretrained(folder, use_safetensors=True)
            pipeline.set_progress_bar_config(disable=True)
            generator = load(f"hub:{folder}?size={SIDE}")
            expected = np.asarray(by_hand(pipeline, 5).resize((SIDE, SIDE)), int)
            found = np.asarray(through_limner(generator, 5), int)
            if family != "lumina_2":  # draws at another size, which limner resizes its own way
                furthest = max(furthest, int(np.abs(found - expected).max()))
            drawn += 1
            previews += _has_previews(generator)
            changing += Capability.RESTYLE in generator.model.capabilities
            learning += type(pipeline).__name__ in DENOISERS and _learns(folder, Path(place))
            if family == TIMED:
                ratios = []
                for pair in range(PAIRS + 1):
                    hand = seconds(lambda pipeline=pipeline, pair=pair: by_hand(pipeline, pair))
                    ours = seconds(
                        lambda generator=generator, pair=pair: through_limner(generator, pair)
                    )
                    ratios.append(ours / hand)
                cost = 100 * (statistics.median(ratios[1:]) - 1)
                figures["cost"] = {"value": round(cost, 1), "unit": "%", "goal": 5,
                                   "better": "lower"}  # fmt: skip
    figures["changing"] = {"value": changing, "unit": "families", "better": "higher"}
    figures["learning"] = {"value": learning, "unit": "families", "better": "higher"}
    figures |= _language_models()
    figures["families"] = {"value": drawn, "unit": "", "goal": 11, "better": "higher"}
    figures["previews"] = {"value": previews, "unit": "families", "better": "higher"}
    figures["difference"] = {"value": furthest, "unit": "/255", "goal": 1, "better": "lower"}
    return {"figures": figures}


def _learns(folder: Path, place: Path) -> bool:
    """Whether two steps of training give a LoRA that changes a picture."""
    from limner.training.hub_lora import train_lora
    from limner.training.hub_recipe import lora_recipe
    from training_tiny import make_store

    store = place / "store"
    if not store.exists():
        make_store(store)
    spec = f"hub:{folder}?size={SIDE}"
    keys = [f"data.store={store}", "train.device=cpu", "train.lr=0.03"]
    run = train_lora(lora_recipe(spec, keys, steps=2), place / f"run-{folder.name}", quiet=True)
    pictures = [
        np.asarray(load(each).generate("a flag", seed=1, steps=2)[0].image, int)
        for each in (spec, f"{spec}&lora={run.path}")
    ]
    return bool(np.abs(pictures[0] - pictures[1]).max() > 1)


def _language_models() -> dict[str, Any]:
    """Figures of tiny models, and of a Janus of 4 million parameters, beside transformers' calls.

    Compared are the likeliest pictures with guidance. Timed are pictures of 576 drawn tokens, with
    a cache and guidance on both sides.
    """
    from test_hub_models import emu3_by_hand, janus_by_hand

    from tiny_pipelines import save_language_model, transformers

    furthest = 0
    with tempfile.TemporaryDirectory() as place:
        for name, by_hand in (("janus", janus_by_hand), ("emu3", emu3_by_hand)):
            folder = save_language_model(name, Path(place) / name)
            generator = load(f"hub:{folder}" + ("?size=40" if name == "emu3" else ""))
            drawn = generator.generate("a red cat", seed=1, temperature=0, guidance=3)[0]
            expected = np.asarray(by_hand(folder, "a red cat", 3.0)).astype(int)
            furthest = max(furthest, int(np.abs(np.asarray(drawn.image, int) - expected).max()))
        folder = save_language_model("janus", Path(place) / "large", text=WRITING, side=24)
        generator, prompt = load(f"hub:{folder}"), "a red cat"
        network = transformers.JanusForConditionalGeneration.from_pretrained(folder)
        processor = transformers.AutoProcessor.from_pretrained(folder)
        network.generation_config.generation_kwargs = {
            "boi_token_id": processor.tokenizer.boi_token_id
        }
        inputs = processor(text=prompt, generation_mode="image", return_tensors="pt")

        def by_hand() -> object:
            codes = network.generate(
                **inputs, generation_mode="image", do_sample=True, guidance_scale=5
            )
            return network.decode_image_tokens(codes)

        ratios, fastest = [], 1e9
        for pair in range(WRITING_PAIRS + 1):
            hand = seconds(by_hand)
            ours = seconds(lambda pair=pair: generator.generate(prompt, seed=pair))
            ratios.append(ours / hand)
            fastest = min(fastest, ours)
    return {
        "language_difference": {"value": furthest, "unit": "/255", "goal": 1, "better": "lower"},
        "language_time": {
            "value": round(statistics.median(ratios[1:]), 2), "unit": "of transformers'",
            "goal": 1.05, "better": "lower",
        },
        "language_speed": {"value": round(576 / fastest), "unit": "tokens/s", "better": "higher"},
    }  # fmt: skip


def _has_previews(generator: Generator) -> bool:
    """Whether a preview after the first of two steps shows anything."""
    from limner.generation.request_reader import Job
    from limner.generation.requests import DrawRequest
    from limner.models.settings import Settings

    job = generator.jobs([DrawRequest("a red cat", 5, Settings(steps=2))])[0]
    assert isinstance(job, Job)
    session = generator.session()
    session.add(job.drawing)
    session.advance()
    found = np.asarray(session.preview(job.drawing)[0], float)
    return bool(found.std() > 1)
