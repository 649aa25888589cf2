"""Expected failures, each with one sentence that says what, where and what to do."""

from __future__ import annotations


def first_line(error: BaseException) -> str:
    """The first line of another library's message, or the name of its error."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]


class LimnerError(Exception):
    """Base of every expected failure; the command line prints it in one line and exits 2.

    Attributes:
        code: a short name of the mistake, for programs that tell it apart from others of its class
            (the image server answers with it); None where the class says enough.
    """

    def __init__(self, message: str = "", *, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[object, ...]:
        """As it comes from another process, whatever its class is made from."""
        return _again, (type(self), self.args, vars(self))


def _again(
    kind: type[LimnerError], args: tuple[object, ...], facts: dict[str, object]
) -> LimnerError:
    error = kind.__new__(kind, *args)
    vars(error).update(facts)
    return error


class UsageError(LimnerError):
    """An option, argument or request that is not valid."""


class PromptError(LimnerError):
    """A prompt that cannot be turned into features."""


class DataError(LimnerError):
    """A picture, caption file or store that cannot be read or written."""


class RecipeError(LimnerError):
    """A training recipe with an unknown key, a wrong type or an impossible value."""


class ModelFileError(LimnerError):
    """A model file or checkpoint that is missing, damaged, too new or not of limner."""


class CapabilityError(LimnerError):
    """A request for something that a model's family does not support."""


class MissingExtraError(LimnerError):
    """An optional dependency that is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed; "
            f"run: pip install 'limner[{extra}]'"
        )


class EndpointError(LimnerError):
    """A network service that cannot be reached, refuses a request, or gives an invalid answer."""


class TrainingError(LimnerError):
    """A training run that cannot go on: it diverged, or its folder is not what was expected."""
