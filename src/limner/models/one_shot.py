"""Families that draw with one network evaluation, and inpaint with many."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from limner.memory import RecentlyUsed
from limner.models import latent_search
from limner.models.image_model import ImageModel, image_noise
from limner.models.rows import KnownPixels, Rows, SampleRequest
from limner.models.settings import Capability
from limner.models.token_maps import gradient_maps
from limner.threads import side_by_side


class OneShotModel(ImageModel):
    """A family that draws with one network evaluation, and inpaints with many."""

    informs = False
    search_steps: ClassVar[int] = 100
    """Network evaluations in which a picture is inpainted, see
    :mod:`limner.models.latent_search`."""

    @abstractmethod
    def latents(self, request: SampleRequest) -> Tensor:
        """What the network draws each picture from, ``(B, ...)``: the words, style and noise."""

    @abstractmethod
    def decode(self, latents: Tensor) -> Tensor:
        """Pictures ``(B, 3, S, S)``, unbounded, of what :meth:`latents` gives."""

    def finished(self, images: Tensor) -> Tensor:
        """Decoded pictures ``(B, 3, S, S)`` as they are shown; no gradients pass.

        As they are, where a family does nothing more to them.
        """
        return images

    def render(self, latents: Tensor) -> Tensor:
        """Pictures ``(B, 3, S, S)`` as they are shown, of what :meth:`latents` gives."""
        return self.finished(self.decode(latents))

    def token_maps(self, request: SampleRequest, images: Tensor) -> Tensor:
        """Gradient times input of each token at each pixel of what the request draws."""
        request = request.to(self._device)

        def draw(tokens: Tensor) -> Tensor:
            text = replace(request.text, tokens=tokens)
            return self.decode(self.latents(replace(request, text=text))).clamp(-1, 1)

        with torch.inference_mode(False), torch.enable_grad():
            return gradient_maps(draw, request.text.tokens.clone())

    def search_start(self, request: SampleRequest) -> dict[str, Tensor]:
        """Where the search for B latents begins, ``code (B, ...)``, and what else they depend on.

        The coordinates of the code are independent, of mean 0 and variance 1, if no pixel is known.
        For a family that can inpaint.
        """
        raise self.cannot(Capability.INPAINT)

    def searched_latents(self, code: Tensor, state: dict[str, Tensor]) -> Tensor:
        """The latents of coordinates, ``(B, ...)`` each; differentiable.

        Args:
            code: coordinates.
            state: of :meth:`search_start`.
        """
        raise self.cannot(Capability.INPAINT)

    def text_shapes(self, request: SampleRequest) -> list[Hashable]:
        """Whether each is made by changing a picture."""
        return list(request.restyled)

    def shapes(self, rows: Rows) -> list[Hashable]:
        """Whether they are searched, and the side of what is known of their pictures."""
        return [("code" in rows.state, rows.state["picture"].shape[-1])] * len(rows)

    def start_rows(self, request: SampleRequest) -> Rows:
        """The latents, and grey pictures; of pictures to be inpainted the beginning of a search.

        So of pictures to be changed, where the family cannot encode them.
        """
        latents = None
        if request.known is not None:
            latents = self.changed_latents(request) if request.restyled[0] else None
            if latents is None:
                return self._start_search(request, request.known.to(self._device))
        latents = self.latents(request) if latents is None else latents
        grey = latents.new_zeros(len(request), 3, 1, 1)  # of every pixel, until there are others
        return Rows.begun(request, [1] * len(request), {"latents": latents, "picture": grey})

    def changed_latents(self, request: SampleRequest) -> Tensor | None:
        """The latents of pictures, moved by their strengths to those that the words draw.

        None where the family has to search for them.
        """
        return None

    def _start_search(self, request: SampleRequest, known: KnownPixels) -> Rows:
        state = self.search_start(request)
        noise = image_noise(request.seeds, tuple(state["code"].shape[1:]), self._device)
        changed = request.restyled[0]  # as all rows of a tile
        state |= latent_search.start(state["code"], request.to(self._device).seen)
        state |= {
            "images": known.images, "hole": known.hole & (not changed), "noise": noise,
            "strength": request.strengths.flatten().to(noise) * changed,
        }  # fmt: skip
        return Rows.begun(request, [self.search_steps] * len(request), state)

    @torch.inference_mode()
    def interpolate(
        self, first: SampleRequest, second: SampleRequest, shares: Sequence[float]
    ) -> Tensor:
        """Pictures on the straight way between the latents of one request and another.

        Args:
            first: B pictures.
            second: B others.
            shares: S numbers in [0, 1], how much of the second.

        Returns:
            ``(B, S, 3, H, W)`` in [-1, 1].

        Raises:
            UsageError: a request does not fit the model.
            CapabilityError: a request asks for what the family cannot do.
        """
        for request in (first, second):
            self.check(request)
        found = []
        for row in range(len(first)):
            ends = self.latents(first[[row]]), self.latents(second[[row]])
            found += [self.render(torch.lerp(*ends, share)) for share in shares]
        pictures = torch.cat(found).float().clamp(-1, 1)
        return pictures.view(len(first), len(shares), *pictures.shape[1:])

    def remember_pictures(self, most_bytes: int) -> None:
        """Decode latents once that come again: for a model whose weights change no more.

        It saves time where a model :attr:`draws_training_pictures`, and changes no bits; only where
        the :attr:`tile` is one.

        Args:
            most_bytes: of the pictures that are kept, ``12 S^2`` each; the last ones used stay.
        """
        self.__dict__["_pictures"] = RecentlyUsed[bytes, Tensor](most_bytes, lambda x: x.nbytes)

    def evaluate(self, rows: Rows) -> Rows:
        """The pictures, or those that a step of the search leads to."""
        if "code" in rows.state:
            return self._searched(rows)
        latents = rows.state["latents"]
        kept: RecentlyUsed[bytes, Tensor] | None = self.__dict__.get("_pictures")
        # a GPU decodes sooner than the CPU has asked which latents these are
        if kept is None or len(latents) > 1 or latents.device.type != "cpu":
            return rows.stepped(picture=self.render(latents))
        key = latents.cpu().numpy().tobytes()
        picture = kept.get(key)
        if picture is None:
            picture = self.render(latents)
            kept.put(key, picture)
        return rows.stepped(picture=picture)

    def _searched(self, rows: Rows) -> Rows:
        with torch.inference_mode(False):  # whose tensors autograd does not take
            state = {name: value.clone() for name, value in rows.state.items()}

        def decode(code: Tensor) -> Tensor:
            return self.decode(self.searched_latents(code, state))

        new = latent_search.step(state, rows.done, decode)
        last = (rows.done + 1 == rows.total).to(self._device)
        if bool(last.any()):
            found, moved = new["picture"], last & (state["strength"] > 0)
            if bool(moved.any()):  # on from the picture, to what the seed draws
                code = latent_search.towards(new["best"], state["noise"], state["strength"])
                found = torch.where(moved.view(-1, 1, 1, 1), decode(code), found)
            new["picture"] = torch.where(
                last.view(-1, 1, 1, 1), self.finished(found), new["picture"]
            )
        return rows.stepped(**new)

    @property
    def _device(self) -> torch.device:
        return self._some_weight.device

    @torch.inference_mode()
    def draws_alike(self, rows: Rows, threads: int) -> bool:
        """By a picture that is drawn twice, once for each tile size and number of threads."""
        if "code" in rows.state or rows.state["latents"].device.type != "cpu":
            return False
        known: dict[tuple[int, int], bool] = self.__dict__.setdefault("_alike", {})
        key = self.tile, threads
        if key not in known:
            some = rows.state["latents"][[0] * self.tile]
            alone = side_by_side(threads).submit(torch.inference_mode()(self.render), some)
            known[key] = torch.equal(self.render(some), alone.result())
        return known[key]

    def show(self, rows: Rows) -> Tensor:
        """The pictures ``(B, 3, S, S)``, grey where they are not drawn yet."""
        side = self.config.size
        return rows.state["picture"].expand(-1, -1, side, side)
