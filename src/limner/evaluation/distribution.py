"""``limner evaluate --suite distribution``: how one model's pictures lie among the real ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

import limner
from limner.data.selection import Selection
from limner.data.store import Store
from limner.evaluation.comparison import Meter, draw, score
from limner.modelfile import ModelInfo

if TYPE_CHECKING:
    from limner.generation.generator import Generator
    from limner.metrics.reference import Reference


class DistributionReport(BaseModel):
    """Figures of one model with everything needed to measure them again.

    Attributes:
        limner: version that measured.
        model: name of the file.
        model_hash: of the file.
        protocol: feature network, its hash, stores, numbers of pictures.
        scores: of the drawn pictures.
        per_class: class -> share of its pictures that show it.
        floor: what unseen real pictures score.
        noise: what uniform noise scores.
        command: that measured.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    limner: str
    model: str
    model_hash: str
    protocol: dict[str, Any]
    scores: dict[str, float]
    per_class: dict[str, float]
    floor: dict[str, float]
    noise: dict[str, float]
    command: str

    def card(self) -> dict[str, Any]:
        """What goes into the model file: the scores, the fixed points and the protocol."""
        ends = {"floor": self.floor["fid"], "noise": self.noise["fid"]}
        return {
            "distribution": self.scores,
            "distribution_fid": ends,
            "distribution_protocol": {**self.protocol, "command": self.command},
        }


def taught(info: ModelInfo, store: Store) -> Selection:
    """What of a store a model was allowed to learn from, as its file tells; all where it does not.

    Only what a model has learned to draw can be asked of it fairly.
    """
    data = info.training.get("recipe", {}).get("data", {})
    found = Selection(data.get("filters", {}), data.get("languages", []))
    return found if found and len(found.rows(store)) else Selection()


def evaluate_distribution(
    generator: Generator, reference: Reference, command: str, meter: Meter | None = None
) -> DistributionReport:
    """Draw ``reference.samples`` pictures and measure them against the real ones.

    Args:
        generator: the model and its encoder.
        reference: real pictures.
        command: written into the report.
        meter: is told how many pictures were drawn.

    Raises:
        DataError: the pictures cannot be measured.
    """
    prompts = reference.prompts(reference.samples)
    scores, per_class, _ = score(reference, draw(generator, prompts), prompts, meter)
    return DistributionReport(
        limner=limner.__version__,
        model=generator.name,
        model_hash=generator.hash,
        protocol=reference.protocol(),
        scores=scores,
        per_class=per_class,
        floor=reference.floor(),
        noise=reference.noise(),
        command=command,
    )
