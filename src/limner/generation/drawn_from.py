"""What the phrases of a prompt were drawn from, as pictures record it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from limner.generation.prompts import quoted, warn

UNSURE = 0.55
"""Below this similarity the nearest known name most often means something else."""


class Grounding(BaseModel):
    """What a phrase of a prompt is drawn from.

    Attributes:
        phrase: of the prompt.
        drawn: what is drawn in its place: the caption of a known concept; the phrase itself where
            the model learned from it.
        similarity: of the phrase and that name, in [-1, 1].
        known: whether the phrase means what is drawn: it is another name of it.
        redrawn_from: the style of the drawing that was redrawn in the picture's, in which the model
            has none of the thing; None where nothing was redrawn.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    phrase: str = Field(max_length=100_000)
    drawn: str = Field(max_length=100_000)
    similarity: float = Field(ge=-1, le=1)
    known: bool = False
    redrawn_from: str | None = Field(default=None, max_length=200)

    @property
    def replaced(self) -> bool:
        """Whether other words than the phrase were drawn."""
        return self.drawn != self.phrase

    def warn(self, known: int) -> None:
        """Warn if another thing is drawn in place of the phrase.

        Args:
            known: how many things the model knows.
        """
        if self.replaced and not self.known:
            how = "is like none of" if self.similarity < UNSURE else "is not among"
            warn(f"{quoted(self.phrase)} {how} the {known:,} things this model knows; "
                 f"drawn as {quoted(self.drawn)}")  # fmt: skip
