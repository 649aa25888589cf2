"""limner: train, run and evaluate text-to-image generators.

The Python API (docs/api.md has examples)::

    import limner

    generator = limner.load()                       # the model inside the package
    picture = generator.generate("a red cat", seed=1)[0]
    picture.image.save("cat.png")                   # a PIL image

* :func:`load` loads a model with its text encoder and returns a :class:`Generator`.
* :class:`Generator` generates pictures (``generate``, ``stream``, ``draw``), edits them (``edit``,
  ``inpaint``, ``restyle``) and explains them (``explain``).
* :class:`Picture` is a generated picture with the prompt, seed and settings that reproduce it.
* :class:`DrawRequest` is one picture to draw, with a prompt, a seed and settings of its own.
* :class:`MaskedPicture` is a picture with a hole to inpaint.
* :class:`Settings` holds every drawing option with its bounds.
* :func:`refine` draws until a picture shows its prompt, :func:`best_of` puts the best of several
  first.
* :func:`restore` removes noise, blur, JPEG artefacts and more from a picture; :class:`Restorer`
  does so for many.
* :func:`families` lists the model families.
* :class:`LimnerError` is the base class of all expected errors.

Warnings that the caller can act on are issued with :mod:`warnings` (:class:`EncoderChangedWarning`,
:class:`PromptWarning`), others go to the logger ``limner``. Heavy packages are imported on first
use.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from limner.errors import LimnerError
from limner.threads import sleep_while_waiting

if TYPE_CHECKING:
    from limner.generation.generator import Generator, load
    from limner.generation.inpainting import MaskedPicture
    from limner.generation.picture import Picture
    from limner.generation.prompts import PromptWarning
    from limner.generation.requests import DrawRequest
    from limner.generation.restoring import Restorer, restore
    from limner.improve.refine import Refiner, best_of, refine
    from limner.improve.refinement import Refinement
    from limner.loading import EncoderChangedWarning
    from limner.models.base import families
    from limner.models.settings import Settings

__version__ = "0.1.0"
__all__ = [
    "DrawRequest",
    "EncoderChangedWarning",
    "Generator",
    "LimnerError",
    "MaskedPicture",
    "Picture",
    "PromptWarning",
    "Refinement",
    "Refiner",
    "Restorer",
    "Settings",
    "__version__",
    "best_of",
    "families",
    "load",
    "refine",
    "restore",
]

_LAZY = {
    "DrawRequest": "limner.generation.requests",
    "EncoderChangedWarning": "limner.loading",
    "Generator": "limner.generation.generator",
    "MaskedPicture": "limner.generation.inpainting",
    "Picture": "limner.generation.picture",
    "PromptWarning": "limner.generation.prompts",
    "Refinement": "limner.improve.refinement",
    "Refiner": "limner.improve.refine",
    "Restorer": "limner.generation.restoring",
    "Settings": "limner.models.settings",
    "best_of": "limner.improve.refine",
    "families": "limner.models.base",
    "load": "limner.generation.generator",
    "refine": "limner.improve.refine",
    "restore": "limner.generation.restoring",
}

logging.getLogger(__name__).addHandler(logging.NullHandler())
sleep_while_waiting()


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    from importlib import import_module

    if name in _LAZY:
        value = globals()[name] = getattr(import_module(_LAZY[name]), name)
        return value
    from difflib import get_close_matches

    close = get_close_matches(name, __all__, cutoff=0.5)
    hint = f"did you mean {close[0]!r}?" if close else f"it has: {', '.join(sorted(_LAZY))}"
    raise AttributeError(f"module 'limner' has no attribute {name!r}; {hint}")


def __dir__() -> list[str]:
    """The public names, those not yet imported included."""
    return sorted({*globals(), *__all__})
