"""Families that draw: a drawing is rows, advanced by one network evaluation at a time.

What every family shares of it is here: requests are checked, rows are evaluated in tiles of a fixed
shape, and what is known of the pictures is shown on the way.
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
    """A family that draws pictures, some network evaluations after another.

    A subclass gives :meth:`start_rows`, :meth:`evaluate` and :meth:`show`, which always get exactly
    :attr:`tile` rows whose tensors have equal shapes (:meth:`text_shapes`, :meth:`shapes`), and
    whose rows must not depend on each other. Then a picture has the same bits whatever is drawn
    beside it. Everybody else calls :meth:`begin`, :meth:`advance`, :meth:`preview` and
    :meth:`sample`, which take any number of rows.
    """

    informs: ClassVar[bool] = True
    """Whether it has :meth:`word_information` and its :meth:`token_maps` are of attention; else
    they are of gradients."""

    @property
    def draws_training_pictures(self) -> bool:
        """Whether it draws what single training pictures show, so that two seeds may draw the same.

        Then a thing is drawn in the styles alone that training pictures of it have.
        """
        return False

    def drawn_styles(self, text: TextFeatures, styles: Sequence[int]) -> list[int]:
        """The style that each of B texts is drawn in, asked for in some style; -1 for any.

        Another only where the model :attr:`draws_training_pictures` and has none in that style.
        """
        return list(styles)

    def examples(self, style: int, count: int) -> Tensor:
        """At most ``count`` training pictures of a style, ``(N, 3, S, S)`` in [-1, 1].

        None where the model does not keep them.
        """
        return torch.zeros(0, 3, self.config.size, self.config.size)

    def exemplars_of(self, text: TextFeatures, most: int) -> tuple[Tensor, list[int]]:
        """Training pictures of the caption nearest to a text, and the style of each; -1 for none.

        Args:
            text: features of one text.
            most: pictures at most.

        Returns:
            ``(N, 3, S, S)`` in [-1, 1], and N numbers; none where the model keeps no pictures.
        """
        return torch.zeros(0, 3, self.config.size, self.config.size), []

    def preference_losses(
        self, better: Batch, worse: Batch, reference: Model, group: str
    ) -> dict[str, Tensor]:
        """Named, unweighted losses of B pictures that are liked, and for each one that is not.

        Unless a family has an error of single pictures to compare, these are its own losses of the
        liked ones. As those come the more often the more they are liked, that is reward-weighted
        regression (Peters and Schaal 2007; of pictures: Lee et al. 2023, arXiv:2302.12192, eq. 2).

        Args:
            better: the liked ones.
            worse: the others.
            reference: this model before it learned from votes, without gradients.
            group: the optimizer group.
        """
        return {f"liked_{name}": loss for name, loss in self.losses(better, group).items()}

    @property
    def colourful_styles(self) -> Tensor | None:
        """The styles whose ink has more colour than black; ``(S,)`` bool, on the CPU, or None."""
        return None

    @cached_property
    def _some_weight(self) -> nn.Parameter:
        """One that says where the model is; looking for it takes time."""
        return next(self.parameters())

    @property
    def positions(self) -> int:
        """How often an evaluation uses a typical weight for one picture; see :attr:`tile`."""
        return 4096

    @property
    def tile(self) -> int:
        """Pictures per call of the network when drawing, 1 or more.

        Kernels round differently in batches of different shape, so every call has this many rows,
        the last repeated where there are fewer. Unless it is set, it is the power of two, at most
        64, by which an evaluation uses each weight often enough (:attr:`positions` times a picture)
        to hide the time of reading it from memory: about 8 times on a CPU, by measurement. No
        larger, as a single picture costs as much as a full tile. On a GPU it is 8192 times and at
        most 256, by estimate: what 64 pictures of a small flow take there is nearly all launches
        of kernels, which are as many for more.
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
        """Tiles in one network evaluation, at most, where each has the bits that it has alone.

        That is found out whenever so many of a shape are evaluated for the first time, by
        evaluating them alone, too; where they differ they never are again.
        """
        return 1

    def lay_out_weights(self) -> None:
        """Lay the weights out as they are read fastest: for a model whose weights change no more.

        Pictures may differ in their last bits from those of the model as it was.
        """
        # Else each convolution lays its weights out every time.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def drawing_bytes(self) -> int:
        """What it takes in memory with weights laid out, without what it remembers."""
        return self.nbytes

    def draws_alike(self, rows: Rows, threads: int) -> bool:
        """Whether one thread of the CPU gives a tile the same bits as so many do.

        Then tiles are evaluated side by side, a thread each.

        Args:
            rows: of a tile.
            threads: that torch uses, 2 or more.
        """
        return False

    # -- what a family gives ------------------------------------------------------------------

    @abstractmethod
    def start_rows(self, request: SampleRequest) -> Rows:
        """Rows before their first network evaluation; the words are read here."""

    @abstractmethod
    def evaluate(self, rows: Rows) -> Rows:
        """The rows after one network evaluation; none of them is finished before."""

    @abstractmethod
    def show(self, rows: Rows) -> Tensor:
        """What is known of the pictures, ``(B, 3, H, W)``; of finished rows the pictures."""

    def token_maps(self, request: SampleRequest, images: Tensor) -> Tensor:
        """How much each text token adds to each place of pictures, ``(B, L, h, w)`` of at least 0.

        L is the length of the request's token axis; tokens that the model does not read have zeros.
        Sizes h and w are the family's own.

        Args:
            request: what the pictures are drawn from.
            images: the pictures, ``(B, 3, S, S)`` in [-1, 1], drawn by the model or by others; a
                family whose maps are gradients takes its own instead.

        Raises:
            CapabilityError: the family has no such maps.
        """
        raise self.cannot(Capability.EXPLAIN)

    def word_information(
        self, request: SampleRequest, others: TextFeatures, images: Tensor
    ) -> Tensor:
        """How much better each place of a picture is predicted by its text than by others.

        Args:
            request: what one picture is drawn from.
            others: features of W texts, such as the same without a word each.
            images: the picture, ``(1, 3, S, S)`` in [-1, 1].

        Returns:
            ``(W, h, w)``, below 0 where the other text predicts it better. Sizes h and w and the
            unit are the family's own.

        Raises:
            CapabilityError: the family predicts no given picture.
        """
        raise self.cannot(Capability.EXPLAIN)

    def text_shapes(self, request: SampleRequest) -> list[Hashable]:
        """Of each picture what the shapes in :meth:`start_rows` depend on."""
        return [None] * len(request)

    def shapes(self, rows: Rows) -> list[Hashable]:
        """Of each row what the shapes in :meth:`evaluate` depend on."""
        return [None] * len(rows)

    # -- what everybody calls -----------------------------------------------------------------

    def check(self, request: SampleRequest) -> None:
        """Refuse what this family cannot do, and values that do not fit the model.

        Raises:
            CapabilityError: naming the option that was given and the families that take it.
            UsageError: no pictures asked for, a style the model does not have, or text or picture
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
        """Refuse options that this family does not take, and values that do not fit the model.

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
        """B pictures before their first network evaluation; :meth:`check` may refuse them."""
        self.check(request)
        return self._tiled(self.text_shapes(request), lambda part: self.start_rows(request[part]))

    @torch.inference_mode()
    def advance(self, rows: Rows) -> Rows:
        """The rows after one network evaluation of each that is not finished; order kept."""
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
        """The rows of some tiles after one network evaluation, see :attr:`most_together`."""
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
        """What ``work`` makes of tiles of rows with equal keys, in the order of the keys."""
        parts: list[Rows] = []
        order: list[int] = []
        for part, own in tiles(keys, self.tile, most):
            found = work(part)
            parts.append(found if len(own) == len(found) else found[: len(own)])
            order += own
        return _in_order(parts, order)

    def predicting_evaluations(self, settings: Settings) -> int | None:
        """How many network evaluations a picture takes, each of which predicts the finished one.

        None of a model whose previews are no such predictions: it draws at once, or part by part.
        """
        return None

    @torch.inference_mode()
    def preview(self, rows: Rows) -> Tensor:
        """What the network predicts on the way, ``(B, 3, H, W)`` float32 in [-1, 1].

        Of finished rows these are the pictures; before the first network evaluation all is grey.
        """
        parts = [
            self.show(rows[index])[: len(own)] for index, own in tiles([0] * len(rows), self.tile)
        ]
        return (parts[0] if len(parts) == 1 else torch.cat(parts)).float().clamp(-1, 1)

    @torch.inference_mode()
    def sample(self, request: SampleRequest) -> Tensor:
        """Draw B pictures, ``(B, 3, H, W)`` float32 in [-1, 1]; :meth:`check` may refuse them."""
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
    """The rows of all parts, where row i of them belongs at place ``order[i]``."""
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
    """Standard normal noise that belongs to the image: ``(B, *shape)`` float32.

    Row i depends on ``seeds[i]`` and ``stream`` alone, and is drawn on the CPU so that every
    device sees the same bits.
    """
    rows = []
    for seed in seeds:
        generator = torch.Generator().manual_seed((seed * 1_000_003 + stream) % (2**63))
        rows.append(torch.randn(shape, generator=generator))
    return torch.stack(rows).to(device)


def generators() -> dict[str, type[ImageModel]]:
    """The families that draw, by name."""
    return {name: kind for name, kind in families().items() if issubclass(kind, ImageModel)}
