"""A device beside the CPU on any machine, whose tensors may not meet those of the CPU.

It computes by the CPU's kernels, so that what it computes has the CPU's bits, and refuses what a
GPU refuses: operations on tensors of two devices, and NumPy's arrays of its tensors. Call
:func:`register` once in a process; afterwards ``torch.device("second")`` is a device.
:func:`waits` says where a GPU would have been waited for.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch.utils._pytree import tree_map
from torch.utils.backend_registration import (
    _DummyBackendModule,
    _setup_privateuseone_for_python_backend,
)

NAME = "second"
_MEET = {"aten::copy_", "aten::_copy_from", "aten::_copy_from_and_resize", "aten::_to_copy"}
"""Operations of tensors of two devices."""
_INDEXED = {"aten::index", "aten::_unsafe_index", "aten::index_put", "aten::index_put_",
            "aten::_index_put_impl_"}  # fmt: skip
"""Operations whose indices may be on the CPU."""
_EXPLICIT = {
    "index.Tensor": torch.ops.aten.index,
    "convolution_overrideable": torch.ops.aten.convolution.default,
    **{name: getattr(torch.ops.aten, name.split(".")[0]) for name in (
        "slice.Tensor", "select.int", "expand", "permute", "transpose.int", "unsqueeze", "squeeze",
        "squeeze.dim", "squeeze.dims", "t", "diagonal", "split.Tensor", "split_with_sizes",
        "unbind.int", "unfold",
    )},
}  # fmt: skip
"""Operations for which torch would not call the fallback, and what computes them. Views are among
them, as torch would compute them from the strides of a contiguous tensor."""
_SHAPES_IN_PLACE = ("squeeze_", "squeeze_.dim", "unsqueeze_", "t_", "transpose_", "as_strided_")
_TENSOR = torch._C.TensorType
_ASKED = {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::_unique2",
          "aten::is_nonzero", "aten::equal"}  # fmt: skip
"""Operations whose result decides what the CPU does next."""
_library: list[torch.library.Library] = []
_waits: list[list[str]] = []
"""A list for each :func:`waits` that is open."""
_numbers: dict[int, torch.Tensor] = {}
"""Storage of a tensor of the device (which a parameter shares) -> its numbers, on the CPU."""


def register() -> None:
    """Make the device known to torch; again does nothing."""
    if _library:
        return
    _setup_privateuseone_for_python_backend(NAME, backend_module=_Module())
    library = torch.library.Library("_", "IMPL")
    library.fallback(_compute, "PrivateUse1")
    _library.append(library)
    shapes = torch.library.Library("aten", "IMPL")
    for name in _SHAPES_IN_PLACE:
        shapes.impl(
            name, partial(_reshape, getattr(torch.ops.aten, name.partition(".")[0])), "PrivateUse1"
        )
    for name, op in _EXPLICIT.items():
        kind = name.partition(".")[2] or "default"
        found = op if isinstance(op, torch._ops.OpOverload) else getattr(op, kind)
        shapes.impl(name, partial(_compute, found), "PrivateUse1")
    for name in ("view", "_unsafe_view"):
        shapes.impl(name, partial(_compute, torch.ops.aten.reshape.default), "PrivateUse1")
    shapes.impl("view_as_complex", _as_complex, "PrivateUse1")
    shapes.impl("convolution_backward_overrideable", _convolution_backward, "PrivateUse1")
    _library.append(shapes)


class _Module(_DummyBackendModule):
    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]

    def get_rng_state(self, device: object = None) -> torch.Tensor:
        """Of the CPU's generator, whose numbers it uses; ``torch.random.fork_rng`` asks."""
        return torch.get_rng_state()

    def set_rng_state(self, state: torch.Tensor, device: object = None) -> None:
        torch.set_rng_state(state)


class Generator(torch.Generator):
    """Random numbers of the CPU's generator that the device may use: torch has none for it."""

    def __new__(cls, device: torch.device | str = "cpu") -> Generator:
        return super().__new__(cls)

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self._device = torch.device(device)

    @property
    def device(self) -> torch.device:
        return self._device


@contextmanager
def waits() -> Iterator[list[str]]:
    """Operations inside that would have waited for a GPU: ``operation at file:line``, in order.

    Numbers that are asked for (``item``, ``tolist``, ``nonzero``, boolean indices), tensors that
    are copied to the CPU, and those that are copied from it with ``non_blocking`` left out.
    """
    found: list[str] = []
    _waits.append(found)
    try:
        yield found
    finally:
        _waits.remove(found)


def _note(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Write down what would have waited, where anybody asks."""
    what = name in _ASKED and _is_here(args[0])
    if name.startswith("aten::_copy_from"):
        free = kwargs.get("non_blocking", args[2] if len(args) > 2 else False)
        what = not (_is_here(args[0]) and _is_here(args[1])) and not (free and _is_here(args[1]))
    if name in _INDEXED:
        inside = [each for each in args[1] if isinstance(each, torch.Tensor)]
        what = any(each.dtype == torch.bool or not _is_here(each) for each in inside)
    if what:
        own = [each for each in traceback.extract_stack() if "/limner/" in each.filename]
        place = f"{own[-1].filename.partition('/limner/')[2]}:{own[-1].lineno}" if own else "here"
        for found in _waits:
            found.append(f"{name.removeprefix('aten::')} at {place}")


def _as_complex(value: torch.Tensor) -> torch.Tensor:
    """Pairs as complex numbers; torch sees every tensor here as contiguous, and asks for none."""
    return _wrapped(torch.view_as_complex(_held(value).contiguous()))


def _convolution_backward(grad: Any, images: Any, weight: Any, *rest: Any) -> Any:
    """Gradients of input, weight and bias; the CPU's kernel is told how long a bias is."""
    transposed, groups = rest[3], rest[5]
    count = weight.shape[1] * groups if transposed else weight.shape[0]
    kernel = torch.ops.aten.convolution_backward.default
    return _compute(kernel, grad, images, weight, [count], *rest)


def _reshape(op: Any, value: torch.Tensor, *args: Any) -> torch.Tensor:
    """An operation that changes the shape of its tensor alone."""
    held = _held(value).view_as(_held(value))
    value.data = _wrapped(op(held, *args))
    return value


def _is_here(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.device.type == NAME


def _wrapped(value: Any) -> Any:
    """A tensor of the device for one of the CPU."""
    if not isinstance(value, torch.Tensor) or _is_here(value):
        return value
    with torch.inference_mode(False):
        found = torch._C._acc.create_empty_tensor(tuple(value.shape), value.dtype)
    _numbers[found.untyped_storage()._cdata] = value
    return found


def _held(value: Any) -> Any:
    if _is_here(value):
        found = _numbers[value.untyped_storage()._cdata]
        shared = found.numel() == value.numel()  # by a view that torch made itself
        same = found.shape == value.shape
        return found if same or not shared else found.reshape(value.shape)
    if isinstance(value, torch.device) and value.type == NAME:
        return torch.device("cpu")
    return value


def _compute(op: Any, *args: Any, **kwargs: Any) -> Any:
    """Any operation, by the CPU's kernel of it."""
    name, tensors = op._schema.name, list[torch.Tensor]()
    if _waits:
        _note(name, args, kwargs)

    def collect(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            tensors.append(value)
        return value

    tree_map(collect, (args[:1] if name in _INDEXED else args, kwargs))
    strangers = [each for each in tensors if not _is_here(each) and each.ndim]
    if strangers and any(map(_is_here, tensors)) and name not in _MEET:
        raise RuntimeError(
            f"{name}: Expected all tensors to be on the same device, but found at least two "
            f"devices, {NAME} and {strangers[0].device}!"
        )
    if name.startswith("aten::_copy_from"):
        source, target = args[:2]
        _held(target).copy_(_held(source))
        return target
    wanted = kwargs.get("device")
    here = wanted is None or torch.device(wanted).type == NAME
    numbers = [
        torch.tensor(value) if isinstance(value, (int, float)) and isinstance(a.type, _TENSOR)
        else value for value, a in zip(args, op._schema.arguments, strict=False)
    ]  # fmt: skip
    found = op(*tree_map(_held, numbers), **tree_map(_held, kwargs))
    if not here:
        return found
    written = [
        value for value, argument in zip(args, op._schema.arguments, strict=False)
        if argument.alias_info is not None and argument.alias_info.is_write and _is_here(value)
    ]  # fmt: skip
    written += [kwargs[a.name] for a in op._schema.arguments
                if a.alias_info is not None and a.alias_info.is_write
                and _is_here(kwargs.get(a.name))]  # fmt: skip
    for value in written:
        whole = _numbers[value.untyped_storage()._cdata]
        if value.shape != whole.shape and value.numel() != whole.numel():  # an output, resized
            value.data = _wrapped(whole)
    if written:  # in place: the same tensors come back
        return written[0] if len(written) == 1 else tuple(written)
    return tree_map(_wrapped, found)
