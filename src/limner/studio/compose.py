"""Scenes: what is to be drawn is planned, each thing drawn for itself, and all put together.

A model that draws one thing well need not learn every combination of things. The planner
(:mod:`limner.models.planner`) finds the things in the prompt's own pieces; each piece is drawn as
a prompt of its own, cut out of its white ground and placed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from PIL import Image

from limner.data.arrange import arrange
from limner.data.cutout import Floats, cut_out_drawn, paste, resize
from limner.errors import UsageError
from limner.modelfile import load_model, model_hash
from limner.models.planner import Plan, Planner
from limner.text.base import TextEncoder, TextFeatures
from limner.text.cache import reads_in_pieces
from limner.text.pieces import PieceEncoder
from limner.text.validate import canonical_all

PLANNER = "limner-planner.safetensors"
_STREAM = 77
Sampler = Callable[[TextFeatures], Sequence[Image.Image]]
"""Draws each of some texts, all with the seed and the style of the picture they are parts of."""


@dataclass(frozen=True)
class Scene:
    """A prompt of several things, understood.

    Attributes:
        plan: what is asked for.
        parts: of each thing the words that it is drawn from.
        features: of those words.
    """

    plan: Plan
    parts: tuple[str, ...]
    features: TextFeatures


class SceneArtist:
    """Plans prompts, and draws those that ask for more than one thing on white.

    Args:
        encoder: the text encoder of the model that draws, which must read in pieces.
        path: a planner's file; None for the shipped one.

    Attributes:
        hash: of the planner's file.

    Raises:
        UsageError: the encoder does not read in pieces, or is not the planner's own.
        ModelFileError: the planner cannot be read.
    """

    def __init__(self, encoder: TextEncoder, path: Path | None = None) -> None:
        file = path or Path(str(resources.files("limner.weights"))) / PLANNER
        model, info = load_model(file)
        if not isinstance(model, Planner):
            raise UsageError(f"{file} is of the {info.family} family and plans no scenes")
        pieces = reads_in_pieces(encoder)
        if pieces is None or encoder.fingerprint != info.encoder_fingerprint:
            raise UsageError(
                f"scenes are planned in the pieces of the text encoder {info.encoder!r}, and this "
                f"model reads with {encoder.spec!r}; leave --scenes out"
            )
        self.planner, self.encoder, self.hash = model.eval(), encoder, model_hash(file)
        self._pieces: PieceEncoder = pieces

    def understand(self, words: Sequence[str], text: TextFeatures) -> list[Scene | None]:
        """Of each prompt the scene it asks for; None where it asks for one thing on white.

        Args:
            words: the prompts.
            text: their features.
        """
        plans = self.planner.plan(text)
        return [
            None if plan.plain else self._scene(plan, self._pieces.pieces(said))
            for plan, said in zip(plans, canonical_all(words), strict=True)
        ]

    def _scene(self, plan: Plan, pieces: Sequence[str]) -> Scene:
        drop = [pieces[number] for number in plan.drop]
        parts = tuple(without(pieces[thing.piece], drop) for thing in plan.things)
        return Scene(plan, parts, self.encoder.encode(parts))

    def draw(self, scene: Scene, seed: int, sample: Sampler) -> Image.Image:
        """The picture of a scene; the same scene and seed give the same pixels.

        Args:
            scene: what to draw.
            seed: decides how things are arranged where the words leave it open.
            sample: draws the things themselves.
        """
        drawn = [np.asarray(image) for image in sample(scene.features)]
        side = len(drawn[0])
        canvas = np.empty((side, side, 3), np.float32)
        canvas[:] = scene.plan.ground or (1.0, 1.0, 1.0)
        cuts = [cut_out_drawn(pixels) for pixels in drawn]
        things = scene.plan.things
        rng = np.random.default_rng([seed % 2**32, seed >> 32, _STREAM])
        boxes = arrange(
            [t.count for t in things], [t.size for t in things], scene.plan.relation, rng
        )
        singles = [cut for cut, thing in zip(cuts, things, strict=True) for _ in range(thing.count)]
        for cut, box in zip(singles, boxes, strict=True):
            _place(canvas, cut, box.x * side, box.y * side, box.side * side)
        return Image.fromarray((canvas.clip(0, 1) * 255).round().astype(np.uint8))


def _place(canvas: Floats, cut: Floats, x: float, y: float, longest: float) -> None:
    """Paste a cut-out with its middle at (x, y), its longer side as given, all in pixels."""
    side, (height, width) = len(canvas), cut.shape[:2]
    scale = longest / max(height, width)
    wide, high = max(1, round(width * scale)), max(1, round(height * scale))
    left = min(max(0, round(x - wide / 2)), side - wide)
    top = min(max(0, round(y - high / 2)), side - high)
    paste(canvas, resize(cut, wide, high), left, top)


def without(phrase: str, words: Sequence[str]) -> str:
    """A phrase without some of its words, and without what they leave behind (的, spaces).

    The phrase as it was, where nothing would be left.
    """
    rest = phrase
    for word in words:
        edge = r"\b" if word.isascii() else ""
        rest = re.sub(rf"{edge}{re.escape(word)}{edge}的?", "", rest, count=1)
    rest = re.sub(r"\s+", " ", rest).strip(" ,，、的")
    return rest or phrase
