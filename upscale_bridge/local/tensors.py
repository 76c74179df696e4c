"""What a caller may hand in as images or masks; the rest is refused before anything is computed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..errors import InvalidInputError

_IMAGES = "images must be a tensor [batch, height, width, 1 to 4 channels] without empty sides"
_MASK = "mask must be a tensor [batch, height, width] without empty sides"

# Numbers a little outside 0..1 come out of decoders, single large ones out of other nodes: both
# are clamped. A picture in another range has many of them, or nothing but whole numbers.
_HIGHEST = 2.0
_MANY = 0.05


def take_images(images: object) -> Tensor:
    """Return images [batch, height, width, 1 to 4 channels] as a plain tensor of their dtype.

    Floats of any width and layout of memory are taken, with gradients or without; NaN, infinity
    and a little overshoot are left to `clean`. Raises `InvalidInputError` for everything else,
    integers and other ranges than 0..1 above all.
    """
    found = _plain(images, "images", _IMAGES)
    shape = list(found.shape)
    if len(shape) != 4 or not 1 <= shape[-1] <= 4 or 0 in shape:
        advice = ""
        if len(shape) in (3, 4) and 1 <= shape[-3] <= 4 < shape[-1]:
            advice = "; movedim(-3, -1) puts the channels last"
        elif len(shape) == 3 and 1 <= shape[-1] <= 4:
            advice = "; images[None] makes a batch of one"
        raise _refused("images", _IMAGES, f"{shape}{advice}")
    _check_range(found, "images")
    return found


def take_masks(mask: object) -> Tensor:
    """Return masks as plain one-channel images [batch, height, width, 1]; see `take_images`.

    Taken are [height, width], [batch, height, width], [batch, 1, height, width] and
    [batch, height, width, 1].
    """
    found = _plain(mask, "mask", _MASK)
    shape = list(found.shape)
    if found.dim() == 2:
        found = found[None]
    if found.dim() == 3:
        found = found[..., None]
    elif found.dim() == 4 and found.shape[1] == 1:
        found = found.movedim(1, -1)
    if found.dim() != 4 or found.shape[-1] != 1 or 0 in found.shape:
        raise _refused("mask", _MASK, str(shape))
    _check_range(found, "mask")
    return found


def _plain(value: object, name: str, wanted: str) -> Tensor:
    """Return a tensor of floats without gradient, class and negation of its own."""
    if not isinstance(value, Tensor):
        raise _refused(name, wanted, kind_of(value) + _advice(value))
    if what := _unusual(value):
        raise _refused(name, wanted, what)
    found = value.detach().as_subclass(Tensor).resolve_neg()
    if not found.is_floating_point():
        raise InvalidInputError(name, _whole_numbers(found, name))
    return found


def kind_of(value: object) -> str:
    """Return what a value is, for a sentence that refuses it."""
    kind = type(value)
    return (
        "None" if value is None else f"{kind.__module__}.{kind.__name__}".removeprefix("builtins.")
    )


def _advice(value: object) -> str:
    kind = type(value).__module__.partition(".")[0]
    if kind == "numpy":
        return "; torch.from_numpy makes a tensor of it"
    if kind == "PIL":
        return "; torch.from_numpy(numpy.asarray(image) / 255)[None] makes a tensor of it"
    if isinstance(value, (list, tuple)):
        return "; torch.stack makes one tensor of several"
    return ""


def _unusual(value: Tensor) -> str:
    """Say why the values of a tensor cannot be read as they are; empty when they can."""
    kind: Any = type(value)
    if value.is_nested:
        return "a nested one; give each size to a call of its own"
    if value.is_meta or kind.__torch_dispatch__ is not Tensor.__torch_dispatch__:
        return f"one without values of its own ({kind.__name__}, {value.device})"
    if value.layout != torch.strided:
        return f"a sparse one ({value.layout}); to_dense() makes a plain one"
    if value.is_quantized:
        return "a quantized one; dequantize() makes a plain one"
    if value.is_complex():
        return f"one of complex numbers ({value.dtype})"
    return ""


def _whole_numbers(found: Tensor, name: str) -> str:
    """Say what is wrong with integers and truth values."""
    dtype = str(found.dtype).removeprefix("torch.")
    if found.dtype == torch.bool:
        return f"{name} must hold floats in 0..1; got truth values, of which float() makes those."
    if not found.numel():
        return f"{name} must hold floats in 0..1; got {dtype}."
    low, high = int(found.min()), int(found.max())
    return (
        f"{name} must hold floats in 0..1; got whole numbers ({dtype}) from {low} to {high}: "
        f"{_cure(low, high)}."
    )


def _check_range(found: Tensor, name: str) -> None:
    """Refuse what is clearly in another range than 0..1."""
    for one in found:
        one = one.float()
        values = one.numpy() if one.device.type == "cpu" else one  # numpy is ten times as fast
        low, high = values.min(), values.max()  # both are NaN if one pixel is
        if low >= 0 and high <= 1:
            continue
        finite = one[one.isfinite()]
        if finite.numel() and _is_another_range(finite):
            ends = [float(end) for end in finite.aminmax()]
            raise InvalidInputError(
                name,
                f"{name} must hold numbers in 0..1; got {ends[0]:.4g} to {ends[1]:.4g}: "
                f"{_cure(*ends)}.",
            )


def _is_another_range(values: Tensor) -> bool:
    high = float(values.max())
    if high >= _HIGHEST and bool((values == values.round()).all()):
        return True
    signed = high <= 1.2 and float((values < -0.5).float().mean()) > _MANY  # as in -1..1
    return signed or float((values.abs() > _HIGHEST).float().mean()) > _MANY


def _cure(low: float, high: float) -> str:
    """Say how a range is brought to 0..1."""
    if low >= -0.5:
        for most in (1, 255, 65535):
            if high <= 1.02 * most:
                return f"divide them by {most}" if most > 1 else "make floats of them"
    if low >= -1.2 and high <= 1.2:
        return "add 1 and divide by 2"
    return "bring them to that range"


def _refused(name: str, wanted: str, found: str) -> InvalidInputError:
    return InvalidInputError(name, f"{wanted}; got {found}.")
