"""A convolution with all that follows it, as one kernel for CUDA; needs Triton.

Triton comes with PyTorch for CUDA on Linux. It compiles a kernel at its first call and keeps it in
the user's cache.
"""

# Triton's language is not typed; its functions are no Python, and their constants are in capitals.
# mypy: disable-error-code="no-untyped-def,no-untyped-call,misc,import-not-found,untyped-decorator"
# ruff: noqa: ANN001, ANN202, N803, N806
from __future__ import annotations

from collections.abc import Sequence

import triton
import triton.language as tl
from torch import Tensor, nn

_ROWS, _COLUMNS = 8, 16  # of one block; with its stages it fits the 99 KB of GeForce cards


@triton.jit(do_not_specialize=["height", "width"])  # or it compiles anew for other sizes
def _kernel(
    x,
    w,
    b,
    y,
    z,
    u,
    height,
    width,
    x_row,
    x_px,
    y_row,
    y_px,
    z_row,
    z_px,
    u_row,
    u_px,
    share,
    other,
    INPUTS: tl.constexpr,
    OUTPUTS: tl.constexpr,
    STORED: tl.constexpr,
    TALL: tl.constexpr,
    WIDE: tl.constexpr,
    PAIR: tl.constexpr,
    BK: tl.constexpr,
    BH: tl.constexpr,
    BW: tl.constexpr,
    LEAKY: tl.constexpr,
    ADDED: tl.constexpr,
):
    BN: tl.constexpr = OUTPUTS * PAIR
    m = tl.arange(0, BH * BW)
    n = tl.arange(0, BN)
    k = tl.arange(0, BK)
    row = tl.program_id(1) * BH + m // BW
    column = (tl.program_id(0) * BW + m % BW) * PAIR
    # What lies beyond the image is computed from its last pixel and not stored.
    near_row = tl.minimum(row, height - 1).to(tl.int64)
    near_column = tl.minimum(column, (width - 1) // PAIR * PAIR)
    seen = x + (near_row * x_row + near_column * x_px)[:, None] + k[None, :]
    weights = w + k[:, None] * BN + n[None, :]
    total = tl.zeros((BH * BW, BN), dtype=tl.float32)
    for step in range(TALL * WIDE * (INPUTS // BK)):
        tap = step % (TALL * WIDE)
        channel = (step // (TALL * WIDE)) * BK
        a = tl.load(seen + ((tap // WIDE) * x_row + (tap % WIDE) * x_px + channel))
        total = tl.dot(a, tl.load(weights + step * (BK * BN)), total)
    total += tl.load(b + n % OUTPUTS).to(tl.float32)[None, :]
    inside = (row < height)[:, None]
    if PAIR > 1:
        inside = inside & (column[:, None] + (n // OUTPUTS)[None, :] < width)
    else:
        inside = inside & (column < width)[:, None] & (n < STORED)[None, :]
    if ADDED >= 1:
        across = (n // OUTPUTS) * z_px + n % OUTPUTS
        there = z + (near_row * z_row + near_column * z_px)[:, None] + across[None, :]
        total = total * share + tl.load(there, mask=inside, other=0.0).to(tl.float32)
    if ADDED >= 2:
        across = (n // OUTPUTS) * u_px + n % OUTPUTS
        there = u + (near_row * u_row + near_column * u_px)[:, None] + across[None, :]
        total = total * other + tl.load(there, mask=inside, other=0.0).to(tl.float32)
    if LEAKY > 0:
        kept = (total > 0) | (n % OUTPUTS >= LEAKY)[None, :]
        total = tl.where(kept, total, total * 0.2)
    across = (n // OUTPUTS) * y_px + n % OUTPUTS
    place = y + (near_row * y_row + near_column * y_px)[:, None] + across[None, :]
    tl.store(place, total.to(y.dtype.element_ty), mask=inside)


class KernelConvolution(nn.Module):
    """A convolution of stride 1 on [rows, columns, channels] in fp16 or bf16.

    Its source has all pixels that it sees, also those of the border. With `pairs` two pixels are
    computed together where that makes no more than 128 outputs, by a kernel that is a pixel
    wider: a third more products, for which a third fewer pixels are read.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, *, pairs: bool) -> None:
        super().__init__()
        self.stored, self.inputs, self.tall, wide = weight.shape
        self.outputs = max(16, self.stored)  # the fewest that a matrix product takes
        self.pair = 2 if pairs and self.outputs in (32, 64) else 1
        self.wide = wide + self.pair - 1
        self.depth = 64 if self.inputs % 64 == 0 else 32
        spread = weight.new_zeros(self.pair, self.outputs, self.inputs, self.tall, self.wide)
        for index in range(self.pair):
            spread[index, : self.stored, ..., index : index + wide] = weight
        # In the order in which the kernel takes them: [inputs, tall, wide, pixels, outputs], the
        # inputs in blocks, within which a place is finished before the next one.
        parts = spread.permute(2, 3, 4, 0, 1).reshape(
            self.inputs // self.depth, self.depth, self.tall * self.wide, -1
        )
        self.weight = nn.Parameter(
            parts.transpose(1, 2).reshape(-1, self.pair * self.outputs), requires_grad=False
        )
        full = weight.new_zeros(self.outputs)
        if bias is not None:
            full[: self.stored] = bias
        self.bias = nn.Parameter(full, requires_grad=False)

    @staticmethod
    def fits(outputs: int, inputs: int) -> bool:
        """Tell whether the kernel takes so many channels."""
        return inputs % 32 == 0 and (outputs < 16 or outputs in (16, 32, 64, 128))

    def forward(
        self,
        source: Tensor,
        target: Tensor,
        size: tuple[int, int],
        *,
        leaky: int = 0,
        added: Sequence[Tensor] = (),
        shares: Sequence[float] = (),
    ) -> None:
        """Fill the first `size` (height, width) of `target` from `source`.

        The outcome is multiplied by the first of `shares`, has the first of `added` added, and so
        on with the second; then its first `leaky` channels go through a leaky ReLU. What is added
        may lie where the outcome goes. All of it is on the current device.
        """
        height, width = size
        first = added[0] if added else target
        second = added[1] if len(added) > 1 else target
        share, other = (*shares, 1.0, 1.0)[:2]
        grid = (triton.cdiv(width, _COLUMNS * self.pair), triton.cdiv(height, _ROWS))
        large = self.pair * self.outputs > 64 and self.inputs > 128
        _kernel[grid](
            source,
            self.weight,
            self.bias,
            target,
            first,
            second,
            height,
            width,
            *source.stride()[:2],
            *target.stride()[:2],
            *first.stride()[:2],
            *second.stride()[:2],
            share,
            other,
            INPUTS=self.inputs,
            OUTPUTS=self.outputs,
            STORED=self.stored,
            TALL=self.tall,
            WIDE=self.wide,
            PAIR=self.pair,
            BK=self.depth,
            BH=_ROWS,
            BW=_COLUMNS,
            LEAKY=leaky,
            ADDED=len(added),
            num_warps=8 if large else 4,
            num_stages=3 if self.depth == 64 else 4,
        )
