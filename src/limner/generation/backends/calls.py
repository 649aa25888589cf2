"""A call of another library's drawing function that stops after every step until it is continued.

The call runs in a greenlet of the thread that advances it, so that it can be left in the middle of
its own loop: other pictures go on, a preview is made, or it is dropped, which ends it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from limner.errors import DataError, LimnerError, first_line

Pause = Callable[[Any], None]
"""Given to a call, which calls it after each of its steps with what is known then."""


class PausedCall:
    """One call that draws pictures.

    Args:
        run: draws; it calls the function that it is given after every step, and returns
            ``(B, 3, H, W)`` in [-1, 1]. It must not refer to this object.
        name: of what draws, for messages.

    Attributes:
        known: what was known after the last step.
        images: when they are finished.
    """

    def __init__(self, run: Callable[[Pause], Tensor], name: str) -> None:
        self._run, self._name = run, name
        self._greenlet: Any = None
        self.known: Any = None
        self.images: Tensor | None = None

    def advance(self) -> bool:
        """Run to the end of the next step; returns whether the pictures are finished.

        Raises:
            LimnerError: they cannot be drawn.
        """
        from greenlet import getcurrent, greenlet

        if self._greenlet is None:
            self._greenlet = greenlet(self._run)
        call = self._greenlet
        call.parent = getcurrent()

        def pause(known: Any) -> None:
            learns = torch.is_grad_enabled()
            getcurrent().parent.switch(known)
            torch.set_grad_enabled(learns)

        learns = torch.is_grad_enabled()  # of the thread: a call in its middle has changed it
        try:
            found = call.switch(pause)
        except torch.OutOfMemoryError as error:
            raise LimnerError(
                f"{self._name} needs more memory than the device has; try --low-memory, or a "
                "smaller size"
            ) from error
        except (ValueError, TypeError, LookupError, RuntimeError) as error:
            raise DataError(f"{self._name} cannot draw this: {first_line(error)}") from error
        finally:
            torch.set_grad_enabled(learns)
        if call.dead:
            self.images = found
        else:
            self.known = found
        return bool(call.dead)

    def __del__(self) -> None:
        """End a call that is dropped; what it does to end changes nothing of the thread."""
        if self._greenlet is None or self._greenlet.dead:
            return
        from greenlet import error, getcurrent

        learns = torch.is_grad_enabled()
        with suppress(error):  # the thread that began it is gone, and the call with it
            self._greenlet.parent = getcurrent()
            self._greenlet.throw()
        torch.set_grad_enabled(learns)
