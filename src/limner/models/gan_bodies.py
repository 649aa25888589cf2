"""The networks of the GAN family: norm-free blocks, two generators, one discriminator.

Blocks and initialisation are R3GAN's (Huang et al. 2024, arXiv:2501.05441, section 3 and its public
source). What is ours: the generator's blocks are modulated by the latent code, because a text holds
more information than a class, and the finest grid may be of patches instead of pixels, because half
the side is a quarter of the work.

Shape letters: B pictures, S their side, C channels, G side of a grid, W width of the latent code.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from limner.errors import UsageError
from limner.hub import import_transformers, pretrained, reading

if TYPE_CHECKING:
    from limner.models.gan import GANConfig

_SLOPE = 0.2
_GAIN = math.sqrt(2 / (1 + _SLOPE**2))
_CANVAS = 32
"""Channels of the full-sized canvas that a GPT-2's patches are painted on."""


class _Wanted:
    """Whether gradients of weights are computed; for all threads, as autograd uses its own."""

    weights = True


@contextmanager
def input_gradients_only() -> Iterator[None]:
    """Inside, gradients of convolutions are of their inputs alone, as a gradient penalty needs."""
    before, _Wanted.weights = _Wanted.weights, False
    try:
        yield
    finally:
        _Wanted.weights = before


class ConvGeometry(NamedTuple):
    """Stride, padding and groups of a convolution, the same on both axes."""

    stride: int
    pad: int
    groups: int


def _conv_backward(
    grad: Tensor, x: Tensor, weight: Tensor, shape: ConvGeometry, which: int
) -> Tensor:
    """The gradient of a convolution: of its input (0) or its weight (1)."""
    found = torch.ops.aten.convolution_backward(
        grad, x, weight, None, [shape.stride] * 2, [shape.pad] * 2, [1, 1], False, [0, 0],
        shape.groups, [which == 0, which == 1, False],
    )  # fmt: skip
    return cast(Tensor, found[which])


class _Conv(torch.autograd.Function):
    """A convolution whose gradients of second order are convolutions of first order.

    PyTorch's own second-order gradient of the weight puts the batch where the channels are, group
    by group, which its CPU kernels do half as fast (StyleGAN's ``conv2d_gradfix`` avoids the same).
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, shape: ConvGeometry
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.shape = shape
        return F.conv2d(x, weight, bias, shape.stride, shape.pad, groups=shape.groups)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_x = _InputGradient.apply(grad, weight, x, ctx.shape)  # type: ignore[no-untyped-call]
        if ctx.needs_input_grad[1] and _Wanted.weights:
            of_weight = _WeightGradient.apply(x, grad, weight, ctx.shape)  # type: ignore[no-untyped-call]
        if ctx.needs_input_grad[2] and _Wanted.weights:
            of_bias = grad.sum((0, 2, 3))
        return of_x, of_weight, of_bias, None


class _InputGradient(torch.autograd.Function):
    """The gradient of the input: linear in the gradient of the output and in the weight."""

    @staticmethod
    def forward(ctx: Any, grad: Tensor, weight: Tensor, x: Tensor, shape: ConvGeometry) -> Tensor:
        ctx.save_for_backward(grad, weight)
        ctx.shape = shape
        return _conv_backward(grad, x, weight, shape, 0)

    @staticmethod
    def backward(ctx: Any, twice: Tensor) -> tuple[Tensor | None, ...]:
        grad, weight = ctx.saved_tensors
        of_grad = of_weight = None
        if ctx.needs_input_grad[0]:
            of_grad = _Conv.apply(twice, weight, None, ctx.shape)  # type: ignore[no-untyped-call]
        if ctx.needs_input_grad[1] and _Wanted.weights:
            of_weight = _WeightGradient.apply(twice, grad, weight, ctx.shape)  # type: ignore[no-untyped-call]
        return of_grad, of_weight, None, None


class _WeightGradient(torch.autograd.Function):
    """The gradient of the weight; it has no gradient of its own."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, grad: Tensor, weight: Tensor, shape: ConvGeometry) -> Tensor:
        return _conv_backward(grad, x, weight, shape, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, twice: Tensor) -> tuple[Tensor | None, ...]:
        raise RuntimeError("the gradient of a weight's gradient is not defined here")


def conv2d(x: Tensor, weight: Tensor, bias: Tensor | None, shape: ConvGeometry) -> Tensor:
    """``(B, C, H, W)`` convolved with ``(C', C/groups, K, K)``, with quick second gradients."""
    if torch.is_autocast_enabled(x.device.type) or not torch.is_grad_enabled():
        return F.conv2d(x, weight, bias, shape.stride, shape.pad, groups=shape.groups)
    return cast(Tensor, _Conv.apply(x, weight, bias, shape))  # type: ignore[no-untyped-call]


class _Leaky(torch.autograd.Function):
    """Leaky ReLU without PyTorch's second gradient of its input, a tensor of zeros at every use."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = F.leaky_relu(x, _SLOPE)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return cast(Tensor, _Masked.apply(grad, y))  # type: ignore[no-untyped-call]


class _Masked(torch.autograd.Function):
    """The backward pass of Leaky ReLU at output y; linear in the gradient."""

    @staticmethod
    def forward(ctx: Any, grad: Tensor, y: Tensor) -> Tensor:
        ctx.save_for_backward(y)
        return cast(Tensor, torch.ops.aten.leaky_relu_backward(grad, y, _SLOPE, True))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (y,) = ctx.saved_tensors
        return _Masked.apply(grad, y), None  # type: ignore[no-untyped-call]


def leaky(x: Tensor) -> Tensor:
    """Keep x, of any shape, where it is positive; 0.2 x elsewhere."""
    if not torch.is_grad_enabled():
        return F.leaky_relu(x, _SLOPE)
    return cast(Tensor, _Leaky.apply(x))  # type: ignore[no-untyped-call]


class Conv(nn.Module):
    """A convolution with R3GAN's start: normal weights of deviation gain / sqrt(fan-in)."""

    def __init__(
        self, inside: int, outside: int, kernel: int, *, groups: int = 1, gain: float = 1.0,
        bias: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        fan = inside // groups * kernel**2
        self.shape = ConvGeometry(1, kernel // 2, groups)
        self.weight = nn.Parameter(torch.empty(outside, inside // groups, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outside)) if bias else None
        nn.init.normal_(self.weight, std=gain / math.sqrt(fan))

    def forward(self, x: Tensor) -> Tensor:
        """``(B, inside, H, W)`` to ``(B, outside, H, W)``."""
        return conv2d(x, self.weight, self.bias, self.shape)


def linear(inside: int, outside: int, gain: float = 1.0) -> nn.Linear:
    """A linear layer with normal weights of deviation gain / sqrt(inside), its bias at zero."""
    layer = nn.Linear(inside, outside)
    nn.init.normal_(layer.weight, std=gain / math.sqrt(inside))
    nn.init.zeros_(layer.bias)
    return layer


class ConvBlock(nn.Module):
    """x + 1x1(act(grouped 3x3(act(1x1(x))))), with a bias before each activation.

    Args:
        channels: C.
        expansion: of the bottleneck, E = expansion * C channels inside.
        group: channels a group of the 3x3 convolution reads (as near as divides E).
        depth: blocks of the whole network, which the start's scale depends on (Fixup).
        code: W, width of a latent code that scales and shifts the E channels; 0 for none.
    """

    def __init__(
        self, channels: int, expansion: int, group: int, depth: int, code: int = 0
    ) -> None:
        super().__init__()
        inner = channels * expansion
        gain = _GAIN * depth**-0.25
        groups = inner // math.gcd(inner, group)
        self.widen = Conv(channels, inner, 1, gain=gain, bias=True)
        self.mix = Conv(inner, inner, 3, groups=groups, gain=gain, bias=True)
        self.narrow = Conv(inner, channels, 1, gain=0.0)
        if code:
            self.modulation = linear(code, 2 * inner, 0.1)

    def forward(self, x: Tensor, code: Tensor | None = None) -> Tensor:
        """``(B, C, H, W)`` to the same; ``code (B, W)`` where there is one."""
        y = self.widen(x)
        if code is not None:
            scale, shift = self.modulation(code)[:, :, None, None].chunk(2, 1)  # (B, E, 1, 1)
            y = torch.addcmul(y + shift, y, scale)
        return x + self.narrow(leaky(self.mix(leaky(y))))  # type: ignore[no-any-return]


class Resample(nn.Module):
    """Double or half the side, by the filter [1, 3, 3, 1] = [1, 2, 1] * [1, 1] on each axis.

    The change of width is made where there are fewer pixels.
    """

    kernel: Tensor

    def __init__(self, inside: int, outside: int, *, up: bool) -> None:
        super().__init__()
        self.up, self.project = up, Conv(inside, outside, 1)
        axis = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        self.register_buffer("kernel", torch.outer(axis, axis), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, inside, G, G)`` to ``(B, outside, 2G, 2G)``, or to half."""
        if self.up:
            y = self.project(x)
            return F.interpolate(y, scale_factor=2.0, mode="bilinear", align_corners=False)
        count = x.shape[1]
        kernel = self.kernel.to(x.dtype).expand(count, 1, 4, 4)
        return self.project(conv2d(x, kernel, None, ConvGeometry(2, 1, count)))  # type: ignore[no-any-return]


class ConvGenerator(nn.Module):
    """Latent code to picture: a learned basis scaled by the code, then blocks, finer and finer.

    The last grid gives a smooth picture, and detail inside its patches that begins near zero, so
    that no pattern of the patches has to be unlearnt.
    """

    def __init__(self, config: GANConfig) -> None:
        super().__init__()
        c, widths = config, config.widths
        self.patch = c.patch
        self.basis = nn.Parameter(torch.randn(1, widths[0], c.coarsest, c.coarsest))
        self.scale = linear(c.code_dim, widths[0])
        depth = len(widths) * c.blocks
        self.levels = nn.ModuleList()
        for level, width in enumerate(widths):
            blocks = [
                ConvBlock(width, c.expansion, c.group, depth, c.code_dim) for _ in range(c.blocks)
            ]
            before = [Resample(widths[level - 1], width, up=True)] if level else []
            self.levels.append(nn.ModuleList([*before, *blocks]))
        self.out = Conv(widths[-1], 3, 3)
        self.detail = Conv(widths[-1], 3 * c.patch**2, 3, gain=0.1)

    def forward(self, code: Tensor) -> Tensor:
        """``(B, W)`` to ``(B, 3, S, S)``, unbounded."""
        x = self.basis * self.scale(code)[:, :, None, None]  # (B, C, G, G)
        x = _like_weights(x, self.out.weight)
        for level in self.levels:
            for layer in cast(nn.ModuleList, level):
                x = layer(x, code) if isinstance(layer, ConvBlock) else layer(x)
        smooth = F.interpolate(self.out(x), scale_factor=float(self.patch), mode="bilinear")
        out: Tensor = smooth + F.pixel_shuffle(self.detail(x), self.patch)
        return out


class Discriminator(nn.Module):
    """How real a picture is for a condition: features of the picture projected on the condition.

    D(x, c) = f(x) . (V c) / sqrt(width), the projection of Miyato and Koyama (2018, eq. 3) as R3GAN
    has it; the bias of V is the part that no condition decides.

    Args:
        config: its ``critic_widths``, ``blocks`` and ``critic_patch``.
        condition: width of the condition c.
    """

    def __init__(self, config: GANConfig, condition: int) -> None:
        super().__init__()
        c, widths = config, config.critic_widths
        self.patch = c.critic_patch
        self.inp = Conv(3 * self.patch**2, widths[-1], 3)
        depth = len(widths) * c.blocks
        layers: list[nn.Module] = []
        for level in reversed(range(len(widths))):
            width = widths[level]
            layers += [ConvBlock(width, c.expansion, c.group, depth) for _ in range(c.blocks)]
            if level:
                layers.append(Resample(width, widths[level - 1], up=False))
        self.layers = nn.Sequential(*layers)
        side = c.critic_coarsest
        self.basis = nn.Parameter(torch.randn(1, widths[0], side, side) / side)
        self.head = nn.Linear(widths[0], c.embed_dim, bias=False)
        nn.init.normal_(self.head.weight, std=1 / math.sqrt(widths[0]))
        self.embed = linear(condition, c.embed_dim)

    def features(self, images: Tensor) -> Tensor:
        """``(B, 3, S, S)`` to f(x), ``(B, embed_dim)``."""
        x = _like_weights(F.pixel_unshuffle(images, self.patch), self.inp.weight)
        x = self.layers(self.inp(x))  # (B, C, G, G)
        out: Tensor = self.head((x * self.basis).sum((2, 3)))
        return out

    def project(self, condition: Tensor) -> Tensor:
        """``(B, width)`` to V c / sqrt(embed_dim), ``(B, embed_dim)``."""
        out: Tensor = self.embed(condition)
        return out / math.sqrt(out.shape[1])


def _like_weights(x: Tensor, weight: Tensor) -> Tensor:
    """The features in the memory layout of the weights, which the convolutions prefer."""
    if weight.is_contiguous(memory_format=torch.channels_last) and weight.shape[-1] > 1:
        return x.contiguous(memory_format=torch.channels_last)
    return x


class GPT2Generator(nn.Module):
    """Latent code to picture by a GPT-2: a prefix made of the code, then one query a patch.

    The transformer is Hugging Face's ``GPT2Model`` without its vocabulary (Radford et al. 2019). It
    reads ``prefix`` vectors made of the code (words and noise) and after them one learned query for
    each patch, to which the code is added. Its states of the queries become, upsampled smoothly, a
    blurred picture, and patch by patch a canvas of features, on which a convolutional block
    removes the seams before it gives the detail.

    Raises:
        MissingExtraError: transformers is not installed.
    """

    def __init__(self, config: GANConfig) -> None:
        super().__init__()
        transformers = import_transformers("a generator with a GPT-2 body")
        g = config.gpt2
        self.side, self.patch, self.prefix = config.size // g.patch, g.patch, g.prefix
        count = self.side**2
        shape = transformers.GPT2Config(
            vocab_size=1, n_positions=g.prefix + count, n_embd=g.width, n_layer=g.layers,
            n_head=g.heads, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, use_cache=False,
            bos_token_id=None, eos_token_id=None,
        )  # fmt: skip
        self.transformer = transformers.GPT2Model(shape)
        self.transformer.wte = nn.Identity()  # there is no vocabulary
        self.speak = linear(config.code_dim, g.prefix * g.width, 0.5)
        self.tell = linear(config.code_dim, g.width, 0.5)
        self.queries = nn.Parameter(torch.randn(count, g.width))
        self.sketch = Conv(g.width, 3, 3)
        self.paint = linear(g.width, _CANVAS * g.patch**2)
        self.blend = ConvBlock(_CANVAS, config.expansion, config.group, 1, config.code_dim)
        self.detail = Conv(_CANVAS, 3, 3, gain=0.1)

    def forward(self, code: Tensor) -> Tensor:
        """``(B, W)`` to ``(B, 3, S, S)``, unbounded."""
        prefix = self.speak(code).unflatten(1, (self.prefix, -1))  # (B, P, E)
        asked = self.queries + self.tell(code)[:, None]  # (B, N, E)
        states = self.transformer(inputs_embeds=torch.cat((prefix, asked), 1)).last_hidden_state
        said = states[:, self.prefix :]  # (B, N, E)
        sketch = self.sketch(self._grid(said))
        smooth = F.interpolate(sketch, scale_factor=float(self.patch), mode="bilinear")
        canvas = F.pixel_shuffle(self._grid(self.paint(said)), self.patch)  # (B, C, S, S)
        out: Tensor = smooth + self.detail(self.blend(canvas, code))
        return out

    def _grid(self, tokens: Tensor) -> Tensor:
        """``(B, N, C)`` to ``(B, C, G, G)``."""
        return tokens.transpose(1, 2).reshape(len(tokens), -1, self.side, self.side)

    def start_from(self, weights: str) -> None:
        """Take the transformer's weights from a GPT-2 in Hugging Face's format.

        The first layers and positions are taken; its vocabulary is not.

        Args:
            weights: a folder with safetensors weights, or a hub id.

        Raises:
            DataError: it cannot be read.
            UsageError: it is no GPT-2, or has another shape.
        """
        transformers = import_transformers("a generator with a GPT-2 body")
        with reading("GPT-2 of model.gpt2.weights,", weights):
            found = pretrained(transformers.AutoModel, weights)
        theirs = found.state_dict()
        mine = self.transformer.state_dict()
        if "wpe.weight" in theirs:
            theirs["wpe.weight"] = theirs["wpe.weight"][: len(mine["wpe.weight"])]
        wrong = [n for n, v in mine.items() if n not in theirs or theirs[n].shape != v.shape]
        same_heads = getattr(found.config, "n_head", None) == self.transformer.config.n_head
        if wrong or not same_heads:
            c = found.config
            raise UsageError(
                f"model.gpt2.weights: {weights!r} ({c.model_type}) does not fit; set model.gpt2 to "
                f"the width, heads and layers of a GPT-2 (here: {getattr(c, 'n_embd', '?')}, "
                f"{getattr(c, 'n_head', '?')}, at most {getattr(c, 'n_layer', '?')})"
            )
        self.transformer.load_state_dict({name: theirs[name] for name in mine})


_WIDTHS = (
    (64,),
    (128, 48),
    (256, 96, 48),
    (384, 256, 96, 32),
    (384, 256, 128, 64, 32),
    (384, 384, 256, 128, 64, 32),
)


def default_widths(size: int, patch: int) -> tuple[int, ...]:
    """Channels from the coarsest grid to the finest for a picture of ``size`` pixels.

    The finest grid has a cell a patch and is halved while its side stays even, and four or more.
    28 px at patch 2 gives two grids, of 7 and 14 cells; 64 px gives four, of 4 to 32.
    """
    side, levels = max(1, size // patch), 1
    while side % 2 == 0 and side >= 8 and levels < len(_WIDTHS):
        side, levels = side // 2, levels + 1
    return _WIDTHS[levels - 1]
