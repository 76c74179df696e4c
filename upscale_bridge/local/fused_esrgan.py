"""The same ESRGAN network, computed with less work and less memory.

Nothing is approximated; against the plain module only the order of additions differs.

- The dense block keeps its growing stack of channels in one buffer instead of concatenating
  four times, adds its result in place, and convolves a few rows at a time: no temporary leaves
  the caches, and the allocator never hands memory back to the system in between.
- Nearest-neighbour x2 followed by a 3x3 convolution is one 2x2 convolution with four times the
  outputs, interleaved: 16 instead of 36 multiplications.
- The last convolution (to 3 channels) computes 2x2 pixels at once, which fills vector units.
- Everything after the trunk runs in strips, so that no tensor at the final resolution exists
  with more than the image's own channels.
"""

from __future__ import annotations

import logging
import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

log = logging.getLogger(__name__)

_SLOPE = 0.2  # of every leaky ReLU in ESRGAN
_REACH = 2  # trunk pixels that the tail sees beyond a strip: 1 + 1/2 + 1/4 + 1/4
_STRIP = {"cpu": 5_000}  # trunk pixels at once; a CPU works best on what its caches hold
_STRIP_ELSEWHERE = 500_000
_TOLERANCE = 1e-4


def slim(module: nn.Module) -> bool:
    """Replace the inside of a spandrel `RRDBNet` by `LeanESRGAN` if it computes the same.

    Returns whether it did; any other module is left as it is.
    """
    plain = getattr(module, "model", None)
    if type(module).__name__ != "RRDBNet" or not isinstance(plain, nn.Sequential):
        return False
    if not LeanESRGAN.fits(plain):
        return False
    lean = LeanESRGAN(plain)
    first = next(layer for layer in plain if isinstance(layer, nn.Conv2d))
    probe = torch.rand(1, first.in_channels, 12, 10, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        error = float((lean(probe) - plain(probe)).abs().max())
    if not error < _TOLERANCE:
        log.warning("The lean ESRGAN differs by %g from the plain one; using the plain one.", error)
        return False
    module.model = lean
    return True


class LeanESRGAN(nn.Module):
    """What `RRDBNet.model` computes: [1, C, H, W] -> [1, C', H * scale, W * scale]."""

    def __init__(self, plain: nn.Sequential) -> None:
        super().__init__()
        layers = list(plain)
        *rrdbs, self.trunk_end = _trunk_parts(layers)
        self.head = layers[0]
        self.blocks = nn.ModuleList(_Dense(part) for rrdb in rrdbs for part in _dense_parts(rrdb))
        *ups, high, last = [layer for layer in layers[2:] if isinstance(layer, nn.Conv2d)]
        self.ups = nn.ModuleList(_Doubling(conv) for conv in ups)
        self.high = high
        self.plain_last = last
        self.last = _Paired(last) if ups else last

    @staticmethod
    def fits(plain: nn.Sequential) -> bool:
        """Tell whether `plain` has the layers that this class knows."""
        layers = list(plain)
        if len(layers) < 5 or not hasattr(layers[1], "sub"):
            return False
        ups = (len(layers) - 5) // 3
        wanted = ["Conv2d", "ShortcutBlock", *["Upsample", "Conv2d", "LeakyReLU"] * ups]
        upsamples = [layer for layer in layers if isinstance(layer, nn.Upsample)]
        rrdbs = _trunk_parts(layers)[:-1]
        return (
            [type(layer).__name__ for layer in layers] == [*wanted, "Conv2d", "LeakyReLU", "Conv2d"]
            and all(up.scale_factor == 2 and up.mode == "nearest" for up in upsamples)
            and all(hasattr(rrdb, "RDB1") for rrdb in rrdbs)
            and all(part.conv1x1 is None for rrdb in rrdbs for part in _dense_parts(rrdb))
        )

    def forward(self, pixels: Tensor) -> Tensor:
        """Run the trunk on the whole input, then the tail strip by strip."""
        features = self._trunk(self.head(pixels))
        height, width = features.shape[2:]
        scale = 2 ** len(self.ups)
        result: Tensor | None = None
        for top, bottom in _strips(features, tail_pixels(height * width)):
            first, last = max(0, top - _REACH), min(height, bottom + _REACH)
            strip = self._tail(features[:, :, first:last])
            if result is None:
                result = _empty(strip, strip.shape[1], height * scale, width * scale)
            rows = slice((top - first) * scale, (bottom - first) * scale)
            result[:, :, top * scale : bottom * scale] = strip[:, :, rows]
        assert result is not None  # an image has at least one row
        return result

    def _trunk(self, features: Tensor) -> Tensor:
        dense = self.blocks[0]
        assert isinstance(dense, _Dense)
        channels, height, width = features.shape[1:]
        # One row of zeros above and below stands in for the convolutions' padding.
        stack = _empty(features, dense.channels, height + 2, width)
        stack[:, :, 0].zero_()
        stack[:, :, -1].zero_()
        state = stack[:, :channels, 1:-1]
        state.copy_(features)
        before, change = (_empty(features, channels, height, width) for _ in range(2))
        for start in range(0, len(self.blocks), 3):
            before.copy_(state)
            for dense in self.blocks[start : start + 3]:
                dense(stack, change)
                state.add_(change, alpha=0.2)
            state.mul_(0.2).add_(before)
        return self.trunk_end(state).add_(features)  # type: ignore[no-any-return]

    def _tail(self, features: Tensor) -> Tensor:
        for up in self.ups:
            features = F.leaky_relu_(up(features), _SLOPE)
        features = F.leaky_relu_(self.high(features), _SLOPE)
        return self.last(features)  # type: ignore[no-any-return]


class _Dense(nn.Module):
    """One dense block, in place on the stack of all its channels."""

    def __init__(self, plain: nn.Module) -> None:
        super().__init__()
        named = [getattr(plain, f"conv{i}") for i in range(1, 6)]
        self.convolutions = nn.ModuleList(
            conv[0] if isinstance(conv, nn.Sequential) else conv for conv in named
        )
        last: Any = self.convolutions[-1]
        self.channels = last.in_channels

    def forward(self, stack: Tensor, change: Tensor) -> None:
        """Fill `stack` [1, channels, H + 2, W] and put what the block adds into `change`."""
        convolutions: list[Any] = list(self.convolutions)
        *growing, last = convolutions
        for conv in growing:
            known, grown = conv.in_channels, conv.out_channels
            for top, bottom in _strips(change, _STRIP_ELSEWHERE):
                rows = F.leaky_relu_(_convolve(conv, stack[:, :known, top : bottom + 2]), _SLOPE)
                stack[:, known : known + grown, top + 1 : bottom + 1] = rows
        for top, bottom in _strips(change, _STRIP_ELSEWHERE):
            change[:, :, top:bottom] = _convolve(last, stack[:, :, top : bottom + 2])


class _Doubling(nn.Module):
    """Nearest-neighbour x2 and a 3x3 convolution, as one 2x2 convolution."""

    def __init__(self, plain: nn.Conv2d) -> None:
        super().__init__()
        self.outputs = plain.out_channels
        # An even output pixel sees its left neighbour once and itself twice; an odd one itself
        # twice and its right neighbour once.
        fold = plain.weight.new_tensor([[[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]])
        folded = torch.einsum("ayj,bxk,oijk->aboiyx", fold, fold, plain.weight)
        self.weight = nn.Parameter(
            folded.reshape(4 * self.outputs, plain.in_channels, 2, 2), requires_grad=False
        )
        bias = plain.weight.new_zeros(self.outputs) if plain.bias is None else plain.bias
        self.bias = nn.Parameter(bias.repeat(4), requires_grad=False)

    def forward(self, pixels: Tensor) -> Tensor:
        _, _, height, width = pixels.shape
        phases = F.conv2d(pixels, self.weight, self.bias, padding=1)
        result = pixels.new_empty(1, 2 * height, 2 * width, self.outputs).permute(0, 3, 1, 2)
        for index in range(4):
            y, x = divmod(index, 2)
            phase = phases[:, index * self.outputs : (index + 1) * self.outputs]
            result[:, :, y::2, x::2] = phase[:, :, y : y + height, x : x + width]
        return result


class _Paired(nn.Module):
    """A 3x3 convolution of an image with even sides, 2x2 pixels at once."""

    def __init__(self, plain: nn.Conv2d) -> None:
        super().__init__()
        outputs, inputs = plain.weight.shape[:2]
        weight = plain.weight.new_zeros(outputs, 2, 2, inputs, 4, 4)
        for y in range(2):
            for x in range(2):
                weight[:, y, x, :, y : y + 3, x : x + 3] = plain.weight
        self.weight = nn.Parameter(weight.reshape(outputs * 4, inputs, 4, 4), requires_grad=False)
        bias = plain.weight.new_zeros(outputs) if plain.bias is None else plain.bias
        self.bias = nn.Parameter(bias.repeat_interleave(4), requires_grad=False)

    def forward(self, pixels: Tensor) -> Tensor:
        return F.pixel_shuffle(F.conv2d(pixels, self.weight, self.bias, stride=2, padding=1), 2)


def _convolve(conv: nn.Conv2d, rows: Tensor) -> Tensor:
    """Apply a 3x3 convolution to rows that bring their neighbours above and below along."""
    return F.conv2d(rows, conv.weight, conv.bias, padding=(0, 1))


def tail_pixels(trunk: int) -> int:
    """Return how many of the trunk's pixels the tail takes at once on a GPU.

    It needs eight times the trunk's memory for each; together it shall need no more than that.
    """
    return min(_STRIP_ELSEWHERE // 4, max(8_192, trunk // 8))


def _strips(features: Tensor, elsewhere: int) -> list[tuple[int, int]]:
    """Return the (first, last + 1) rows of even strips of [1, C, H, W].

    They have about `elsewhere` pixels unless the device has a number of its own.
    """
    height, width = features.shape[2:]
    pixels = _STRIP.get(features.device.type, elsewhere)
    count = math.ceil(height / max(4, pixels // width))
    return [(height * i // count, height * (i + 1) // count) for i in range(count)]


def _empty(like: Tensor, channels: int, height: int, width: int) -> Tensor:
    """Return uninitialised [1, channels, height, width], channels last, of the kind of `like`."""
    if like.device.type == "cpu" and like.dtype == torch.float32:
        # numpy's memory comes in huge pages, which are much faster to touch first.
        pixels = torch.from_numpy(np.empty((1, height, width, channels), dtype=np.float32))
    else:
        pixels = like.new_empty(1, height, width, channels)
    return pixels.permute(0, 3, 1, 2)


def _trunk_parts(layers: list[Any]) -> list[Any]:
    """Return the RRDB blocks and the convolution behind them."""
    return list(layers[1].sub)


def _dense_parts(rrdb: Any) -> list[Any]:
    return [rrdb.RDB1, rrdb.RDB2, rrdb.RDB3]
