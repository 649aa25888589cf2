"""Where in a picture a network uses each text token: projected attention outputs, and gradients.

Attention weights alone say little where values differ in size. What a token adds to a position is
the weight times the value, projected by the layer's output matrix, and its norm is what counts
(Kobayashi et al. 2020, "Attention is not only a weight", eq. 5 to 7); these are summed over layers
and times as in DAAM (Tang et al. 2022, section 3).

Shape letters: B pictures, N positions of the picture, L text tokens, H heads, E width of a head,
D width of the network, T sequence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.functional import jvp
from torch.nn.attention import SDPBackend, sdpa_kernel

Contributions = Callable[..., Tensor]


def projected(weights: Tensor, values: Tensor, out: nn.Linear) -> Tensor:
    """Norms of what tokens add to positions: ``(B, N, L)``.

    Args:
        weights: of the attention, ``(B, H, N, L)``.
        values: ``(B, H, L, E)``.
        out: the layer's output matrix, of H * E columns.
    """
    columns = out.weight.view(len(out.weight), values.shape[1], -1)  # (D, H, E)
    sent = torch.einsum("bhle,dhe->bhld", values.float(), columns.float())
    found: Tensor = torch.einsum("bhnl,bhld->bnld", weights.float(), sent).norm(dim=-1)
    return found


@contextmanager
def recorded(layers: Iterable[nn.Module], found: list[Tensor], of: Contributions) -> Iterator[None]:
    """Add to ``found`` what ``of(layer, *inputs)`` gives whenever one of the layers is called."""

    def hook(layer: nn.Module, inputs: tuple[Any, ...], _: Any) -> None:
        found.append(of(layer, *inputs))

    handles = [layer.register_forward_hook(hook) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def gradient_maps(draw: Callable[[Tensor], Tensor], tokens: Tensor) -> Tensor:
    """Gradient times input of each token at each pixel, ``(B, L, S, S)``.

    Of token l it is |d draw(tokens) / d a| at a = 1, where the token is scaled by a, summed over
    the channels (Shrikumar et al. 2017, section 3.1): a product of the Jacobian with a vector.

    Args:
        draw: tokens ``(B, L, D)`` to pictures ``(B, 3, S, S)``; differentiable twice.
        tokens: ``(B, L, D)``.
    """
    found = []
    for number in range(tokens.shape[1]):
        along = torch.zeros_like(tokens)
        along[:, number] = tokens[:, number]
        with sdpa_kernel(SDPBackend.MATH):  # others have no second derivative
            change: Tensor = jvp(draw, tokens, along)[1]  # type: ignore[no-untyped-call]
        found.append(change.abs().sum(1))
    return torch.stack(found, 1).detach()
