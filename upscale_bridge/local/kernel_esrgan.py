"""ESRGAN on CUDA in 16 bits, where Triton is: each convolution is one kernel with all around it.

cuDNN computes 32 outputs at a tenth of its speed, reads a dense block's stack only after copying
it, and leaves bias, activation and sums to passes of their own over memory. Of a dense block's five
convolutions four have 32 outputs, which leaves tensor cores waiting for pixels: the second and the
fourth are computed with the one before them as far as both see the same, and the rest is added.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from .fused_esrgan import LeanESRGAN, tail_pixels
from .receptive_field import probe

log = logging.getLogger(__name__)

_REACH = 2  # trunk pixels that the tail sees beyond a strip
_TOLERANCE = 8 / 255  # 16 bits differ by up to 2 steps, a wrong kernel by a hundred


def with_kernels(module: nn.Module, device: torch.device) -> None:
    """Give a lean ESRGAN kernels of its own where they can be used."""
    if isinstance(lean := module.model, LeanESRGAN) and KernelESRGAN.fits(lean):
        module.model = KernelESRGAN(lean, pairs=_reads_slowly(device))


def _reads_slowly(device: torch.device) -> bool:
    """Tell whether tensor cores are faster than the L2 cache: those of H100 and B200 are."""
    if device.type != "cuda" or torch.version.hip:
        return False
    return torch.cuda.get_device_capability(device)[0] in (9, 10)


class KernelESRGAN(nn.Module):
    """What a `LeanESRGAN` computes; that itself where the kernels cannot be used."""

    def __init__(self, lean: Any, *, pairs: bool) -> None:
        super().__init__()
        from .convolution_kernel import KernelConvolution

        kernel = partial(KernelConvolution, pairs=pairs)
        self.lean = lean
        self.dense: Any = nn.ModuleList(
            nn.ModuleList(kernel(*part) for part in _parts(block)) for block in lean.blocks
        )
        self.end = kernel(lean.trunk_end.weight, lean.trunk_end.bias)
        self.ups: Any = nn.ModuleList(
            nn.ModuleList(
                kernel(weight, up.bias[: up.outputs]) for weight in up.weight.split(up.outputs)
            )
            for up in lean.ups
        )
        self.high = kernel(lean.high.weight, lean.high.bias)
        self.last = kernel(lean.plain_last.weight, lean.plain_last.bias)
        self._works: bool | None = None

    @staticmethod
    def fits(lean: Any) -> bool:
        """Tell whether Triton is there and takes all layers."""
        try:
            from .convolution_kernel import KernelConvolution
        except (ImportError, RuntimeError) as error:
            log.debug("No kernels of our own: %s", error)
            return False
        layers = [weight for block in lean.blocks for weight, _ in _parts(block)]
        layers += [layer.weight for layer in (lean.trunk_end, lean.high, lean.plain_last)]
        return all(KernelConvolution.fits(*weight.shape[:2]) for weight in layers)

    def forward(self, pixels: Tensor) -> Tensor:
        """Map [1, C, H, W] to [1, C', H * scale, W * scale]."""
        if self._works is None:
            self._works = self._try(pixels)
        if not self._works or pixels.device.type != "cuda":
            return self.lean(pixels)  # type: ignore[no-any-return]
        return self._run(pixels)

    def _try(self, like: Tensor) -> bool:
        """Compile the kernels and compare them with what they stand for."""
        pixels = probe(like.shape[1], 40, 72).to(like.device, like.dtype)
        try:
            gap = float((self._run(pixels) - self.lean(pixels)).abs().max())
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # a compiler that is missing, a card that is too old, ...
            log.info("The kernels for ESRGAN cannot be used (%s); going on without.", error)
            return False
        if not gap <= _TOLERANCE:
            log.warning("The kernels for ESRGAN are off by %g; going on without.", gap)
            return False
        return True

    def _run(self, pixels: Tensor) -> Tensor:
        # Triton asks which one is current.
        with torch.cuda.device_of(pixels):  # type: ignore[no-untyped-call]
            return self._tail(*self._trunk(pixels))

    def _trunk(self, pixels: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Return what the tail starts from, with a border of zeros, and its size without that."""
        features = self.lean.head(pixels)[0].permute(1, 2, 0).contiguous()
        height, width, channels = features.shape
        size = height, width
        inputs = self.dense[0][-1].inputs
        stacks = [_padded(features, *size, inputs) for _ in range(3)]
        _inside(stacks[0])[:height, :width, :channels] = features
        for start in range(0, len(self.dense), 3):
            for index in range(3):
                stack, following = stacks[index], stacks[(index + 1) % 3]
                *growing, last = self.dense[start + index]
                known = channels
                for two, rest in zip(growing[::2], growing[1::2], strict=True):
                    grown = two.stored // 2
                    both = _inside(stack)[..., known : known + 2 * grown]
                    two(stack, both, size, leaky=grown)
                    seen, second = stack[..., known:], both[..., grown:]
                    rest(seen, second, size, leaky=grown, added=(second,), shares=(1.0,))
                    known += 2 * grown
                added = [_inside(stack)]
                if index == 2:  # ends the RRDB, whose input lies in the first stack
                    added.append(_inside(following))
                shares = [0.2] * len(added)
                last(stack, _inside(following), size, added=added, shares=shares)
        trunk = _padded(features, *size, channels)
        self.end(stacks[0], _inside(trunk), size, added=(features,), shares=(1.0,))
        return trunk, size

    def _tail(self, trunk: Tensor, size: tuple[int, int]) -> Tensor:
        height, width = size
        scale = 2 ** len(self.ups)
        result = trunk.new_empty(height * scale, width * scale, self.last.stored)
        step = max(4, tail_pixels(height * width) // width)
        buffers = [
            _padded(trunk, (step + 2 * _REACH) * factor, width * factor, trunk.shape[-1])
            for factor in [2**n for n in range(1, len(self.ups) + 1)] + [scale]
        ]
        for top in range(0, height, step):
            bottom = min(height, top + step)
            first, end = max(0, top - _REACH), min(height, bottom + _REACH)
            source, tall, wide = trunk[first:], end - first, width
            for up, buffer in zip([*self.ups, None], buffers, strict=True):
                if up is None:
                    _border(buffer, tall)
                    self.high(source, _inside(buffer), (tall, wide), leaky=self.high.stored)
                else:
                    _border(buffer, 2 * tall)
                    for index, phase in enumerate(up):
                        y, x = divmod(index, 2)
                        place = _inside(buffer)[y::2, x::2]
                        phase(source[y:, x:], place, (tall, wide), leaky=phase.stored)
                    tall, wide = 2 * tall, 2 * wide
                source = buffer
            rows = (bottom - top) * scale, width * scale
            self.last(source[(top - first) * scale :], result[top * scale :], rows)
        return result.permute(2, 0, 1)[None]


def _parts(block: Any) -> list[tuple[Tensor, Tensor | None]]:
    """Return weights and biases of the kernels of a dense block, whose growing convolutions come
    two by two: what both see, with the outputs of both, and what the second sees of the first."""
    *growing, last = block.convolutions
    parts: list[tuple[Tensor, Tensor | None]] = []
    for one, two in zip(growing[::2], growing[1::2], strict=True):
        known = one.in_channels
        weight = torch.cat([one.weight, two.weight[:, :known]])
        parts.append((weight, torch.cat([_bias(one), _bias(two)])))
        parts.append((two.weight[:, known:], None))
    return [*parts, (last.weight, last.bias)]


def _bias(convolution: Any) -> Tensor:
    bias: Tensor | None = convolution.bias
    return convolution.weight.new_zeros(convolution.out_channels) if bias is None else bias


def _padded(like: Tensor, height: int, width: int, channels: int) -> Tensor:
    """Return zeros [height + 2, width + 2, channels], the width of even length."""
    return like.new_zeros(height + 2, width + width % 2 + 2, channels)


def _inside(padded: Tensor) -> Tensor:
    return padded[1:, 1:]


def _border(padded: Tensor, height: int) -> None:
    """Clear the row below an image of this height, in memory where a higher one was."""
    padded[height + 1].zero_()
