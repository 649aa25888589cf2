"""Families that generate a picture in one network evaluation, and inpaint in many."""

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
    """A family that generates a picture in one network evaluation, and inpaints in many."""

    informs = False
    search_steps: ClassVar[int] = 100
    """Number of network evaluations of inpainting, see
    :mod:`limner.models.latent_search`."""

    @abstractmethod
    def latents(self, request: SampleRequest) -> Tensor:
        """The latents of each picture, ``(B, ...)``, from text, style and noise."""

    @abstractmethod
    def decode(self, latents: Tensor) -> Tensor:
        """Decode latents to pictures ``(B, 3, S, S)``, which are not clamped."""

    def finished(self, images: Tensor) -> Tensor:
        """Post-process decoded pictures ``(B, 3, S, S)``; by default the identity."""
        return images

    def render(self, latents: Tensor) -> Tensor:
        """Decode latents and post-process the pictures, ``(B, 3, S, S)``."""
        return self.finished(self.decode(latents))

    def token_maps(self, request: SampleRequest, images: Tensor) -> Tensor:
        """Gradient times input of each token at each pixel of the request's pictures."""
        request = request.to(self._device)

        def draw(tokens: Tensor) -> Tensor:
            text = replace(request.text, tokens=tokens)
            return self.decode(self.latents(replace(request, text=text))).clamp(-1, 1)

        with torch.inference_mode(False), torch.enable_grad():
            return gradient_maps(draw, request.text.tokens.clone())

    def search_start(self, request: SampleRequest) -> dict[str, Tensor]:
        """Start of the search for B latents: ``code (B, ...)``, and the state they also depend on.

        A priori, the coordinates of the code are independent with mean 0 and variance 1. For
        families that can inpaint.
        """
        raise self.cannot(Capability.INPAINT)

    def searched_latents(self, code: Tensor, state: dict[str, Tensor]) -> Tensor:
        """Map a code to latents, ``(B, ...)`` each; differentiable.

        Args:
            code: the code.
            state: the state from :meth:`search_start`.
        """
        raise self.cannot(Capability.INPAINT)

    def text_shapes(self, request: SampleRequest) -> list[Hashable]:
        """Whether each picture is made by image-to-image."""
        return list(request.restyled)

    def shapes(self, rows: Rows) -> list[Hashable]:
        """Whether latents are searched for, and the side of the known pixels."""
        return [("code" in rows.state, rows.state["picture"].shape[-1])] * len(rows)

    def start_rows(self, request: SampleRequest) -> Rows:
        """The latents, and grey pictures; for inpainting, the start of a search.

        Also for image-to-image, if the family cannot encode pictures.
        """
        latents = None
        if request.known is not None:
            latents = self.changed_latents(request) if request.restyled[0] else None
            if latents is None:
                return self._start_search(request, request.known.to(self._device))
        latents = self.latents(request) if latents is None else latents
        grey = latents.new_zeros(len(request), 3, 1, 1)  # one grey pixel, broadcast
        return Rows.begun(request, [1] * len(request), {"latents": latents, "picture": grey})

    def changed_latents(self, request: SampleRequest) -> Tensor | None:
        """Latents of image-to-image: interpolated from the source's to the text's by the strength.

        None if the family cannot encode pictures, so that they must be searched for.
        """
        return None

    def _start_search(self, request: SampleRequest, known: KnownPixels) -> Rows:
        state = self.search_start(request)
        noise = image_noise(request.seeds, tuple(state["code"].shape[1:]), self._device)
        changed = request.restyled[0]  # the same for all rows of a tile
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
        """Interpolate linearly between the latents of two requests.

        Args:
            first: requests of B pictures.
            second: the same for the other end.
            shares: S weights of the second in [0, 1].

        Returns:
            ``(B, S, 3, H, W)`` in [-1, 1].

        Raises:
            UsageError: a request does not fit the model.
            CapabilityError: the family does not support an option of a request.
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
        """Cache decoded pictures by their latents; the weights must not change afterwards.

        Saves time if a model :attr:`draws_training_pictures` and its :attr:`tile` is one; has no
        effect otherwise, and none on the bits.

        Args:
            most_bytes: size of the cache, ``12 S^2`` per picture; least recently used ones go.
        """
        self.__dict__["_pictures"] = RecentlyUsed[bytes, Tensor](most_bytes, lambda x: x.nbytes)

    def evaluate(self, rows: Rows) -> Rows:
        """Decode the latents, or make a step of the search."""
        if "code" in rows.state:
            return self._searched(rows)
        latents = rows.state["latents"]
        kept: RecentlyUsed[bytes, Tensor] | None = self.__dict__.get("_pictures")
        # on a GPU decoding is faster than looking up the cache
        if kept is None or len(latents) > 1 or latents.device.type != "cpu":
            return rows.stepped(picture=self.render(latents))
        key = latents.cpu().numpy().tobytes()
        picture = kept.get(key)
        if picture is None:
            picture = self.render(latents)
            kept.put(key, picture)
        return rows.stepped(picture=picture)

    def _searched(self, rows: Rows) -> Rows:
        with torch.inference_mode(False):  # autograd needs tensors made outside of it
            state = {name: value.clone() for name, value in rows.state.items()}

        def decode(code: Tensor) -> Tensor:
            return self.decode(self.searched_latents(code, state))

        new = latent_search.step(state, rows.done, decode)
        last = (rows.done + 1 == rows.total).to(self._device)
        if bool(last.any()):
            found, moved = new["picture"], last & (state["strength"] > 0)
            if bool(moved.any()):  # from the source towards the sample of the seed
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
        """Tested by drawing a picture twice, once per tile size and number of threads."""
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
