"""Prompts rewritten before they are drawn: by plain rules, or by a language model.

A rewriter is asked for, never used by itself. What it makes of a prompt is untrusted text: it is
checked, shown, and kept in the picture's record beside the prompt as it was given.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, Field

from limner.endpoint import OPENAI, ChatEndpoint
from limner.errors import PromptError, UsageError
from limner.memory import RecentlyUsed
from limner.specs import parse_spec
from limner.text.lexicon import languages_of
from limner.text.request_words import subject
from limner.text.rewording import reworded
from limner.text.validate import canonical
from limner.text.vocabulary import best_name, in_english

RULES = "rules"
LONGEST_ASKED, LONGEST_ANSWER = 2_000, 300
"""Characters of a prompt that is rewritten, and of what it may become."""
_MOST_TOKENS = 96
_SECONDS, _RETRIES = 20.0, 1
_REMEMBERED = 1024
_INSTRUCTION = (
    "You rewrite what people ask a drawing program for. Answer in English with one short phrase "
    "that names the things to be seen and how they look, and with nothing else. Keep every thing, "
    "number and colour that is asked for."
)
_EXAMPLES = (
    ("can you paint me a nice picture of a parrot on a branch, hd", "a parrot on a branch"),
    ("una tortuga con gafas", "a turtle with glasses"),
    ("we won the match!!", "a trophy and a football"),
    ("星空下的帐篷", "a tent under the stars"),
    ("three yellow ducks", "three yellow ducks"),
)
"""Requests and answers that show the model what is wanted; none is among the prompts measured."""
_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
_MARK = re.compile(
    r"^\s*(?:[-*•]|\d+[.)])\s+|^\s*(?:\w+ )?(?:prompt|answer|picture)\s*:\s*", re.IGNORECASE
)
_TALK = re.compile(
    r"(?:i['’]m |i am )?(?:so )?sorry\b|i (?:can|could|will|am|do|won)(?:n?['’]t|not| not)\b"
    r"|(?:i|you|it|that|this)(?:['’](?:m|re|s|ve|d|ll)| am| are| is) "
    r"|as an? (?:ai|language|large)\b|unfortunately\b|(?:sure|certainly|of course)[,!. ]",
    re.IGNORECASE,
)
_NO_PROMPT = re.compile(r"https?:|www\.|[<>{}\[\]`|\\]|^\W*$")
"""Addresses, markup and code: nothing that says what a picture shows."""


class Rewriting(BaseModel):
    """Whence a prompt comes that was rewritten, as pictures record it.

    Attributes:
        given: the prompt as it was asked for.
        by: spec of the rewriter.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    given: str = Field(max_length=100_000)
    by: str = Field(max_length=300)


class Rewritten(NamedTuple):
    """What a rewriter made of a prompt.

    Attributes:
        prompt: to be drawn: the given one where nothing usable was found.
        problem: why the given one is kept; empty where it is not, or needs no change.
    """

    prompt: str
    problem: str = ""


class Rewriter(Protocol):
    """Makes other words of a prompt; called from several threads."""

    @property
    def spec(self) -> str:
        """What it is called in records."""
        ...

    def rewrite(self, prompt: str) -> Rewritten:
        """The prompt in other words.

        Raises:
            EndpointError: it is behind an endpoint that cannot be reached, or refuses.
            DataError: the language model fails.
        """
        ...


class Chat(Protocol):
    """A language model that answers messages."""

    @property
    def spec(self) -> str:
        """What it is called in records."""
        ...

    def ask(self, messages: Sequence[Mapping[str, str]], most_tokens: int, doing: str) -> str:
        """Its answer; see :meth:`limner.endpoint.ChatEndpoint.ask`."""
        ...


class RuleRewriter:
    """Takes off how a picture is asked for, says it in plainer words, and nouns in English.

    Those are the rules by which limner's own models read prompts; a model of the hub does not.
    """

    spec = RULES

    def rewrite(self, prompt: str) -> Rewritten:
        """The prompt by the rules; they know words of eleven languages."""
        if len(prompt) > LONGEST_ASKED:
            return Rewritten(prompt, _too_long(prompt))
        text = subject(canonical(prompt))
        languages = languages_of(text)

        def is_name(phrase: str) -> bool:
            return bool(best_name(phrase) or in_english(phrase, languages))

        text = reworded(text, languages, is_name)
        return Rewritten(in_english(text, languages) or text)


class ChatRewriter:
    """Asks a language model; the last answers are remembered.

    Args:
        chat: the model.

    Attributes:
        spec: the model's.
    """

    def __init__(self, chat: Chat) -> None:
        self._chat, self.spec = chat, chat.spec
        self._answers = RecentlyUsed[str, Rewritten](_REMEMBERED)

    def rewrite(self, prompt: str) -> Rewritten:
        """The model's answer, if it is a prompt; see :func:`prompt_of`."""
        if len(prompt) > LONGEST_ASKED:
            return Rewritten(prompt, _too_long(prompt))
        known = self._answers.get(prompt)
        if known is None:
            known = self._asked(prompt)
            self._answers.put(prompt, known)
        return known

    def _asked(self, prompt: str) -> Rewritten:
        answer = self._chat.ask(messages_for(prompt), _MOST_TOKENS, "rewrite the prompt")
        try:
            return Rewritten(prompt_of(answer))
        except PromptError as error:
            return Rewritten(prompt, f"{self.spec} {error}")


def messages_for(prompt: str) -> list[dict[str, str]]:
    """What a chat model is sent: the instruction, some examples, the prompt on one line."""
    found = [{"role": "system", "content": _INSTRUCTION}]
    for asked, answer in (*_EXAMPLES, (" ".join(prompt.split()), None)):
        found.append({"role": "user", "content": asked})
        if answer is not None:
            found.append({"role": "assistant", "content": answer})
    return found


def prompt_of(answer: str) -> str:
    """The prompt in a model's answer: its first line, without list marks, quotes and full stop.

    Raises:
        PromptError: it is none: nothing, a refusal, markup, an address, control characters, or
            more than :data:`LONGEST_ANSWER` characters.
    """
    lines = (line.strip() for line in _THOUGHT.sub("", answer).splitlines())
    line = next(filter(None, lines), "")
    line = _MARK.sub("", line).strip(" \"'“”«»「」*_").removesuffix(".").strip(" \"'“”")
    if not line:
        raise PromptError("gave no answer")
    if len(line) > LONGEST_ANSWER:
        raise PromptError(f"gave {len(line)} characters, more than {LONGEST_ANSWER}")
    if _TALK.match(line) or _NO_PROMPT.search(line):
        raise PromptError("answered with something that is no prompt")
    try:
        return canonical(line)
    except PromptError as error:
        raise PromptError("answered with something that is no prompt") from error


def load_rewriter(spec: str, *, base_url: str | None = None, device: str = "cpu") -> Rewriter:
    """The rewriter that a spec names.

    Args:
        spec: ``rules``; ``openai:MODEL``, a chat model behind an OpenAI-compatible endpoint (extra
            ``endpoint``); ``hf:PATH_OR_ID``, one of transformers: a folder, a hub id or a
            ``.gguf`` file (extra ``hub``).
        base_url: of the endpoint.
        device: where a model of transformers runs.

    Raises:
        UsageError: there is no such rewriter, or the address does not belong to it.
        DataError: the model cannot be read.
        MissingExtraError: a package is not installed.
    """
    if spec.startswith(OPENAI) and spec != OPENAI:
        return ChatRewriter(ChatEndpoint(
            spec.removeprefix(OPENAI), "a rewriter behind a URL", base_url=base_url,
            seconds=_SECONDS, retries=_RETRIES,
        ))  # fmt: skip
    if base_url is not None:
        raise UsageError("an endpoint's address belongs to a rewriter openai:MODEL; leave it out")
    if spec == RULES:
        return RuleRewriter()
    if spec.startswith("hf:"):
        from limner.text.hub_chat import HubChat

        parsed = parse_spec(spec, "rewriter")
        parsed.only()
        return ChatRewriter(HubChat(parsed.place, device=device))
    raise UsageError(f"there is no rewriter {spec!r}; choose rules, openai:MODEL or hf:PATH_OR_ID")


def _too_long(prompt: str) -> str:
    return f"a prompt of {len(prompt):,} characters is not rewritten, at most {LONGEST_ASKED:,}"
