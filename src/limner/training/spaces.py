"""What a search may change: spaces of recipe keys, read from ``key=space`` texts."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from limner.errors import UsageError
from limner.training.overrides import read_value

if TYPE_CHECKING:
    import optuna

_RANGE = re.compile(r"^(log:)?\s*([^\s.]\S*?)\s*\.\.\s*(\S+)$")


@dataclass(frozen=True)
class Space:
    """The values that one key may take.

    Attributes:
        key: dotted, as in an override.
        text: as it was written.
        choices: of a list; empty for a range.
        low: least value of a range.
        high: largest.
        log: whether a range is searched by its logarithm.
        whole: whether its values are integers.
    """

    key: str
    text: str
    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False

    def suggest(self, trial: optuna.Trial) -> Any:
        """The value of a trial."""
        if self.choices:
            # By number: optuna keeps plain values only, and a choice may be a list.
            number = trial.suggest_categorical(self.key, list(range(len(self.choices))))
            return self.choices[number]
        if self.whole:
            return trial.suggest_int(self.key, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(self.key, self.low, self.high, log=self.log)


def read_space(text: str) -> Space:
    """Read ``key=1e-4..1e-2``, ``key=log:1e-4..1e-2``, ``key=16..64`` or ``key=[64, 128]``.

    A range between two integers holds integers alone; ``log:`` searches orders of magnitude.

    Raises:
        UsageError: it is none of these.
    """
    key, equals, values = text.partition("=")
    key, values = key.strip(), values.strip()
    if not equals or not key or not all(key.split(".")):
        raise UsageError(f"--space {text!r}: write key=low..high, key=log:low..high or key=[a, b]")
    found = _RANGE.match(values)
    if found:
        return _range(key, text, found)
    choices = read_value(values, f"--space {text!r}")
    if not isinstance(choices, list) or len(choices) < 2:
        raise UsageError(f"--space {text!r}: give low..high, log:low..high or a list of values")
    return Space(key, text, tuple(choices))


def _range(key: str, text: str, found: re.Match[str]) -> Space:
    low, high = (read_value(found[n], f"--space {text!r}") for n in (2, 3))
    log = found[1] is not None
    for value in (low, high):
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
        ):
            raise UsageError(f"--space {text!r}: {value!r} is no number to search up to")
    if low >= high or (log and low <= 0):
        raise UsageError(
            f"--space {text!r}: the range must rise" + (" from above 0 for log:" if log else "")
        )
    whole = isinstance(low, int) and isinstance(high, int)
    return Space(key, text, (), float(low), float(high), log, whole)


def read_spaces(texts: Sequence[str]) -> list[Space]:
    """Read several, each of another key.

    Raises:
        UsageError: one cannot be read, a key comes twice, or there is none.
    """
    spaces = [read_space(text) for text in texts]
    if not spaces:
        raise UsageError("say what to search: --space train.lr=log:1e-4..1e-2")
    keys = [space.key for space in spaces]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice:
        raise UsageError(f"--space: {twice} is given twice")
    return spaces


def overridden(tree: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    """A recipe's tree with one dotted key changed; sections on the way are copied."""
    first, _, rest = key.partition(".")
    if not rest:
        return {**tree, first: value}
    inner = tree.get(first)
    return {**tree, first: overridden(inner if isinstance(inner, Mapping) else {}, rest, value)}
