"""What an evaluation says: one validated object, one JSON file, one small table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from limner.errors import DataError
from limner.files import write_json
from limner.metrics.intervals import wilson

REPORT_FORMAT = 1


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Share(_Part):
    """A measured share with its 95 % Wilson interval, all in [0, 1]."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, trials: int) -> Share:
        """The share ``value`` measured on ``trials`` prompts."""
        low, high = wilson(value * trials, trials)
        return cls(value=value, low=low, high=high)


class Recall(_Part):
    """Shares of pictures whose concept came first, and among the first five."""

    top1: Share
    top5: Share

    @classmethod
    def of(cls, figures: dict[str, float], trials: int) -> Recall:
        """From ``{"top1": …, "top5": …}``; several seeds of a prompt count as one trial."""
        return cls(top1=Share.of(figures["top1"], trials), top5=Share.of(figures["top5"], trials))


class GroupRecall(_Part):
    """Recall of the prompts of one language, claimed or not.

    Attributes:
        language: code.
        claimed: whether the model's card claims the concepts.
        prompts: how many.
        pictures: prompts times seeds.
        recall: of the drawn pictures.
        ceiling: of the real icons of the same concepts in the same sets.
        floor: of the same pictures against shuffled prompts.
        of_ceiling: recall over ceiling, ``top1`` and ``top5``; 0 where the ceiling is 0.
    """

    language: str
    claimed: bool
    prompts: int
    pictures: int
    recall: Recall
    ceiling: Recall
    floor: Recall
    of_ceiling: dict[str, float]


class EvaluationReport(_Part):
    """Everything needed to read the figures and to measure them again."""

    format: int = REPORT_FORMAT
    limner: str
    model: str
    model_hash: str
    encoder: str
    store: str
    store_fingerprint: str
    trained_on_store: bool
    judge_hash: str
    prompts_hash: str
    gallery_icons: int
    gallery_concepts: int
    searched: str = Field(description="which icons a picture was searched among")
    styles: tuple[str, ...]
    seeds: tuple[int, ...]
    skipped_concepts: int
    groups: tuple[GroupRecall, ...]
    copies: dict[str, float]
    seconds: float
    command: str

    def group(self, language: str, claimed: bool) -> GroupRecall | None:
        """The figures of one language and kind of concept, or None where there is none."""
        found = [g for g in self.groups if (g.language, g.claimed) == (language, claimed)]
        return found[0] if found else None

    def card(self) -> dict[str, Any]:
        """The short form that goes into a model's metadata."""
        table = {
            f"{g.language} {'claimed' if g.claimed else 'not claimed'}": {
                "concepts": g.prompts,
                "top1": round(g.recall.top1.value, 4),
                "top5": round(g.recall.top5.value, 4),
                "ceiling_top1": round(g.ceiling.top1.value, 4),
                "ceiling_top5": round(g.ceiling.top5.value, 4),
                "floor_top5": round(g.floor.top5.value, 4),
                "top1_of_ceiling": round(g.of_ceiling["top1"], 4),
                "top5_of_ceiling": round(g.of_ceiling["top5"], 4),
            }
            for g in self.groups
        }
        return {
            "concept_recall": table,
            "copy_rate": round(self.copies["copy_rate"], 4),
            "judge": self.judge_hash,
            "prompts": self.prompts_hash,
            "store": self.store_fingerprint,
            "seeds": list(self.seeds),
            "command": self.command,
        }

    def write(self, path: Path) -> Path:
        """Write the report as JSON, whole or not at all.

        Raises:
            DataError: the file cannot be written.
        """
        return write_json(path, self.model_dump(mode="json"), DataError)
