"""Families that generate images: sampling as a batch of rows, one network evaluation at a time.

This is what all families share: checking requests, evaluating rows in tiles of a fixed shape, and
previews.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Hashable, Sequence
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor, nn

from limner.arguments import whole
from limner.errors import CapabilityError, UsageError
from limner.models.base import Batch, Model, families, families_with
from limner.models.rows import KnownPixels, Rows, SampleRequest, tiles
from limner.models.settings import Capability, Settings, capability_of, find_style
from limner.text.base import TextFeatures

_CPU_USES, _GPU_USES = 8, 8192
_LARGEST_TILE, _LARGEST_GPU_TILE = 64, 256
_TILES_AT_ONCE = 4


class ImageModel(Model):
    """Base class of families that generate images.

    A subclass implements :meth:`start_rows`, :meth:`evaluate` and :meth:`show`. These are always
    called with exactly :attr:`tile` rows whose tensors have equal shapes (:meth:`text_shapes`,
    :meth:`shapes`), and no row may depend on another one; a picture is then bit-identical in every
    batch. Callers use :meth:`begin`, :meth:`advance`, :meth:`preview` and :meth:`sample`, which
    take any number of rows.
    """

    informs: ClassVar[bool] = True
    """Whether it implements :meth:`word_information`, and its :meth:`token_maps` are attention maps
    rather than gradients."""

    @property
    def draws_training_pictures(self) -> bool:
        """Whether it reproduces single training pictures, so that two seeds may give the same one.

        A thing is then available only in the styles in which there are training pictures of it.
        """
        return False

    def drawn_styles(self, text: TextFeatures, styles: Sequence[int]) -> list[int]:
        """The style in which each of B texts is drawn, given the style asked for; -1 for any.

        They differ only if the model :attr:`draws_training_pictures` and has none in that style.
        """
        return list(styles)

    def examples(self, style: int, count: int) -> Tensor:
        """At most ``count`` training pictures of a style, ``(N, 3, S, S)`` in [-1, 1].

        None if the model does not keep them.
        """
        return torch.zeros(0, 3, self.config.size, self.config.size)

    def exemplars_of(self, text: TextFeatures, most: int) -> tuple[Tensor, list[int]]:
        """Training pictures of the caption nearest to a text, and the style of each; -1 for none.

        Args:
            text: features of one text.
            most: maximal number of pictures.

        Returns:
            ``(N, 3, S, S)`` in [-1, 1], and N indices; empty if the model keeps no pictures.
        """
        return torch.zeros(0, 3, self.config.size, self.config.size), []

    def preference_losses(
        self, better: Batch, worse: Batch, reference: Model, group: str
    ) -> dict[str, Tensor]:
        """Named, unweighted losses of B preferred pictures, each paired with a rejected one.

        By default, for families without an error per picture, these are the usual losses on the
        preferred pictures. As pictures with more votes are sampled more often, that is
        reward-weighted regression (Peters and Schaal 2007; of pictures: Lee et al. 2023,
        arXiv:2302.12192, eq. 2).

        Args:
            better: the preferred pictures.
            worse: the rejected pictures.
            reference: the frozen model before preference training.
            group: the optimizer group.
        """
        return {f"liked_{name}": loss for name, loss in self.losses(better, group).items()}

    @property
    def colourful_styles(self) -> Tensor | None:
        """The styles whose ink has more colour than black; ``(S,)`` bool, on the CPU, or None."""
        return None

    @cached_property
    def _some_weight(self) -> nn.Parameter:
        """A parameter, for device and dtype; cached, because looking one up takes time."""
        return next(self.parameters())

    @property
    def positions(self) -> int:
        """How often an evaluation uses a typical weight for one picture; see :attr:`tile`."""
        return 4096

    @property
    def tile(self) -> int:
        """Rows per call of the network during sampling, 1 or more.

        Kernels round differently for different batch shapes, so every call has this many rows,
        padded with copies of the last one. The default is the smallest power of two, at most 64,
        with which an evaluation uses each weight often enough (:attr:`positions` times per picture)
        to hide the time of reading it from memory: about 8 times on a CPU, as measured. It is not
        larger, because a single picture costs as much as a full tile. On a GPU it is 8192 times and
        at most 256, as estimated: 64 pictures of a small flow spend nearly all of their time there
        on kernel launches, whose number does not grow with the batch.
        """
        chosen = self.__dict__.get("_tile")
        if chosen is not None:
            return int(chosen)
        cpu = self._some_weight.device.type == "cpu"
        uses, largest = (_CPU_USES, _LARGEST_TILE) if cpu else (_GPU_USES, _LARGEST_GPU_TILE)
        wanted = max(1.0, uses / self.positions)
        return int(min(largest, 2 ** math.ceil(math.log2(wanted))))

    @tile.setter
    def tile(self, size: int | None) -> None:
        if size is not None and not 1 <= whole("tile", size) <= 1024:
            raise UsageError(f"tile = {size} is refused: 1 to 1024 pictures are drawn at a time")
        self.__dict__["_tile"] = size

    @property
    def most_together(self) -> int:
        """Maximal number of tiles per network evaluation, if that does not change their bits.

        Whenever a number of tiles of some shape is evaluated for the first time, they are also
        evaluated one by one; if the results differ, that number is not used again.
        """
        return 1

    def lay_out_weights(self) -> None:
        """Change the memory layout of the weights for fast inference; not to be trained afterwards.

        Pictures may differ in their last bits from those before.
        """
        # Otherwise each convolution converts its weights in every call.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def drawing_bytes(self) -> int:
        """Memory in bytes after :meth:`lay_out_weights`, without caches."""
        return self.nbytes

    def draws_alike(self, rows: Rows, threads: int) -> bool:
        """Whether a tile has the same bits with one CPU thread as with ``threads``.

        If so, tiles are evaluated in parallel, with one thread each.

        Args:
            rows: a tile.
            threads: number of threads of torch, at least 2.
        """
        return False

    # -- implemented by a family ------------------------------------------------------------------

    @abstractmethod
    def start_rows(self, request: SampleRequest) -> Rows:
        """Encode the condition and sample the noise: rows before their first evaluation."""

    @abstractmethod
    def evaluate(self, rows: Rows) -> Rows:
        """The rows after one network evaluation; called only with unfinished rows."""

    @abstractmethod
    def show(self, rows: Rows) -> Tensor:
        """The current estimate of the pictures, ``(B, 3, H, W)``; the pictures once finished."""

    def token_maps(self, request: SampleRequest, images: Tensor) -> Tensor:
        """Contribution of each text token to each place of pictures, ``(B, L, h, w)`` from 0.

        L is the length of the request's token axis; tokens that the model does not read have zeros.
        The family chooses h and w.

        Args:
            request: the condition of the pictures.
            images: the pictures, ``(B, 3, S, S)`` in [-1, 1], of any origin; ignored by families
                whose maps are gradients, which draw the request's.

        Raises:
            CapabilityError: the family has no such maps.
        """
        raise self.cannot(Capability.EXPLAIN)

    def word_information(
        self, request: SampleRequest, others: TextFeatures, images: Tensor
    ) -> Tensor:
        """How much better each place of a picture is predicted from its text than from other texts.

        Args:
            request: the condition of one picture.
            others: features of W other texts, such as the same text without one word each.
            images: the picture, ``(1, 3, S, S)`` in [-1, 1].

        Returns:
            ``(W, h, w)``, negative where the other text predicts it better. The family chooses h,
            w and the unit.

        Raises:
            CapabilityError: the family cannot evaluate a given picture.
        """
        raise self.cannot(Capability.EXPLAIN)

    def text_shapes(self, request: SampleRequest) -> list[Hashable]:
        """For each picture a key that determines the tensor shapes in :meth:`start_rows`."""
        return [None] * len(request)

    def shapes(self, rows: Rows) -> list[Hashable]:
        """For each row a key that determines the tensor shapes in :meth:`evaluate`."""
        return [None] * len(rows)

    # -- for callers -----------------------------------------------------------------

    def check(self, request: SampleRequest) -> None:
        """Check that this family supports a request, and that its values fit the model.

        Raises:
            CapabilityError: naming the option that was given and the families that take it.
            UsageError: no picture is requested, a style the model does not have, or text or picture
                features of another width.
        """
        if Capability.GENERATE not in self.capabilities:
            raise self.cannot(Capability.GENERATE)
        if not len(request):
            raise UsageError("a request for no pictures cannot be drawn; give at least one prompt")
        for settings in set(request.rows):
            self.check_settings(settings)
        if request.negative is not None:
            self._check_option("negative")
        if request.picture is not None:
            self._check_option("reference")
        if request.known is not None:
            self._check_known(request.known, changed=all(request.restyled))
        elif any(each.strength is not None for each in request.rows):
            raise UsageError(
                "strength says how much a picture is changed, and none is given; leave it out"
            )
        text_dim = self.config.text_dim
        for what, features, wanted in (
            ("text vectors", request.text, text_dim),
            ("text vectors", request.negative, text_dim),
            ("picture features", request.picture, self.config.fusion.image_dim),
        ):
            if features is not None and (width := features.pooled.shape[1]) != wanted:
                raise UsageError(
                    f"this model takes {what} of {wanted} numbers, not {width}; "
                    "use the encoder it was trained with"
                )

    def check_settings(self, settings: Settings) -> None:
        """Check that this family supports the options, and that their values fit the model.

        Raises:
            CapabilityError: naming the option that was given and the families that take it.
            UsageError: the model does not have that style.
        """
        for option in settings.given:
            self._check_option(option)
        if settings.style is not None:
            find_style(settings.style, self.config.styles)

    def _check_known(self, known: KnownPixels, *, changed: bool) -> None:
        if not changed and Capability.INPAINT not in self.capabilities:
            raise self.cannot(Capability.INPAINT)
        side = self.config.size
        if known.images.shape[1:] != (3, side, side) or known.hole.shape[2:] != (side, side):
            raise UsageError(f"this model inpaints pictures of {side} x {side} pixels")

    def _check_option(self, option: str) -> None:
        capability = capability_of(option)
        if capability is not None and capability not in self.capabilities:
            raise CapabilityError(
                f"the {self.family} family does not take '{option}'; leave it out, or use a model "
                f"of: {families_with(capability)}"
            )

    @torch.inference_mode()
    def begin(self, request: SampleRequest) -> Rows:
        """Rows before their first network evaluation; raises as :meth:`check` does."""
        self.check(request)
        return self._tiled(self.text_shapes(request), lambda part: self.start_rows(request[part]))

    @torch.inference_mode()
    def advance(self, rows: Rows) -> Rows:
        """The rows after one network evaluation of each unfinished one, in the same order."""
        active = [row for row, finished in enumerate(rows.finished.tolist()) if not finished]
        shapes = self.shapes(rows)
        if len(active) == len(rows) == self.tile and len(set(shapes)) == 1:
            return self.evaluate(rows)
        if not active:
            return rows

        def evaluated(part: list[int]) -> Rows:
            some = [active[i] for i in part]
            return self._evaluated(rows[some], shapes[some[0]])

        moved = self._tiled([shapes[row] for row in active], evaluated, self.most_together)
        ended = rows.finished.nonzero()[:, 0].tolist()
        return _in_order([rows[ended], moved], [*ended, *active]) if ended else moved

    def _evaluated(self, rows: Rows, shape: Hashable) -> Rows:
        """Evaluate tiles together if :attr:`most_together` allows it, else one by one."""
        if len(rows) == self.tile:
            return self.evaluate(rows)
        known: dict[Hashable, bool] = self.__dict__.setdefault("_together", {})
        key = len(rows), self.tile, shape, torch.get_num_threads()
        if known.get(key):
            return self.evaluate(rows)
        starts = range(0, len(rows), self.tile)
        alone = Rows.join([self.evaluate(rows[start : start + self.tile]) for start in starts])
        if key not in known:
            together = self.evaluate(rows).state
            known[key] = all(torch.equal(together[name], alone.state[name]) for name in together)
        return alone

    def _tiled(
        self, keys: Sequence[Hashable], work: Callable[[list[int]], Rows], most: int = 1
    ) -> Rows:
        """Apply ``work`` to tiles of rows with equal keys; results in the order of the keys."""
        parts: list[Rows] = []
        order: list[int] = []
        for part, own in tiles(keys, self.tile, most):
            found = work(part)
            parts.append(found if len(own) == len(found) else found[: len(own)])
            order += own
        return _in_order(parts, order)

    def predicting_evaluations(self, settings: Settings) -> int | None:
        """Number of network evaluations per picture, if each predicts the finished picture.

        None for models whose previews are no predictions of the whole: one-shot ones, and those
        that generate a picture part by part.
        """
        return None

    @torch.inference_mode()
    def preview(self, rows: Rows) -> Tensor:
        """Preview of unfinished pictures, ``(B, 3, H, W)`` float32 in [-1, 1].

        The network's current prediction; grey before the first evaluation, and the pictures
        themselves once they are finished.
        """
        parts = [
            self.show(rows[index])[: len(own)] for index, own in tiles([0] * len(rows), self.tile)
        ]
        return (parts[0] if len(parts) == 1 else torch.cat(parts)).float().clamp(-1, 1)

    @torch.inference_mode()
    def sample(self, request: SampleRequest) -> Tensor:
        """Sample B pictures, ``(B, 3, H, W)`` float32 in [-1, 1]; raises as :meth:`check` does."""
        self.check(request)
        found: dict[int, Tensor] = {}
        size = self.tile
        for first in range(0, len(request), _TILES_AT_ONCE * size):
            some = range(first, min(first + _TILES_AT_ONCE * size, len(request)))
            begun = self.begin(request[some])
            keys = list(zip(self.shapes(begun), begun.total.tolist(), strict=True))
            for index, own in tiles(keys, size):
                rows = begun[index]
                while not bool(rows.finished.all()):
                    rows = self.advance(rows)
                pictures = self.preview(rows)
                found |= {some[row]: pictures[i] for i, row in enumerate(own)}
        return torch.stack([found[i] for i in range(len(request))])


def _in_order(parts: Sequence[Rows], order: Sequence[int]) -> Rows:
    """Concatenate rows and reorder them: row i of the parts goes to place ``order[i]``."""
    rows = Rows.join(parts)
    if list(order) == list(range(len(order))):
        return rows
    place = {row: i for i, row in enumerate(order)}
    return rows[[place[i] for i in range(len(order))]]


def image_noise(
    seeds: Sequence[int],
    shape: tuple[int, ...],
    device: torch.device | str = "cpu",
    stream: int = 0,
) -> Tensor:
    """Standard normal noise that does not depend on the batch: ``(B, *shape)`` float32.

    Row i depends only on ``seeds[i]`` and ``stream``. It is generated on the CPU, so that it has
    the same bits on every device.
    """
    rows = []
    for seed in seeds:
        generator = torch.Generator().manual_seed((seed * 1_000_003 + stream) % (2**63))
        rows.append(torch.randn(shape, generator=generator))
    return torch.stack(rows).to(device)


def generators() -> dict[str, type[ImageModel]]:
    """The families that generate images, by name."""
    return {name: kind for name, kind in families().items() if issubclass(kind, ImageModel)}
