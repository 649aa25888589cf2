"""The parts of an evaluation. A further part is one class and its place in :data:`PARTS`."""

from __future__ import annotations

from limner.evaluation.part import Part
from limner.evaluation.parts.bias import BiasPart
from limner.evaluation.parts.captions import CaptionsPart
from limner.evaluation.parts.composition import CompositionPart
from limner.evaluation.parts.consistency import ConsistencyPart
from limner.evaluation.parts.distribution import DistributionPart
from limner.evaluation.parts.diversity import DiversityPart
from limner.evaluation.parts.memorisation import MemorisationPart
from limner.evaluation.parts.prompts import PromptsPart
from limner.evaluation.parts.recall import RecallPart
from limner.evaluation.parts.reconstruction import ReconstructionPart
from limner.evaluation.parts.robustness import RobustnessPart

PARTS: tuple[type[Part], ...] = (
    DistributionPart, MemorisationPart, DiversityPart, ConsistencyPart, RecallPart,
    CompositionPart, PromptsPart, RobustnessPart, BiasPart, ReconstructionPart, CaptionsPart,
)  # fmt: skip
"""In the order of the report."""
