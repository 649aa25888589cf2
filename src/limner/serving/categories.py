"""What prompts and pictures are moderated for, and what is done about it."""

from __future__ import annotations

from enum import StrEnum


class Category(StrEnum):
    """What a prompt or a picture is flagged for; but for the last, names of OpenAI's moderation."""

    SEXUAL = "sexual"
    MINORS = "sexual/minors"
    HATE = "hate"
    VIOLENCE = "violence"
    SELF_HARM = "self-harm"
    PROFANITY = "profanity"


class Mode(StrEnum):
    """What is done about what is unsafe."""

    OFF = "off"
    FLAG = "flag"
    REFUSE = "refuse"


class Stage(StrEnum):
    """Where it was found: in what a client sent, or in what was drawn."""

    INPUT = "input"
    OUTPUT = "output"
