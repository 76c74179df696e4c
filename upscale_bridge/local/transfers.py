"""How pixels come to a device and back while it goes on computing."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

_CHUNK = 16 << 20  # bytes of one copy into main memory; two of them are on their way


class Transfers:
    """Main memory itself, and devices whose copies nothing is known of."""

    ahead = 1
    """How many tiles are asked for before the first of them is waited for."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def upload(self, image: Tensor) -> Tensor:
        """Return an image where the model runs."""
        return image.to(self._device)

    def mark(self) -> Any:
        """Return what the other methods wait for: all that has been asked of the device."""

    def truth(self, value: Tensor, mark: Any) -> bool:
        """Return a truth value of the device."""
        return bool(value)

    def download(self, pixels: Tensor, mark: Any) -> Tensor:
        """Return pixels of any float dtype as float32 in main memory."""
        return pixels.cpu().float()

    def store(self, pixels: Tensor, mark: Any, area: Tensor, channels: Sequence[int]) -> None:
        """Put [height, width, C] into `channels` of an area of the result, in main memory."""
        put(pixels.cpu(), area, channels)


class CudaTransfers(Transfers):
    """CUDA and ROCm: pinned memory, and a stream of its own, which the next tile does not delay."""

    ahead = 2

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        *self._pinned, self._sending = (
            torch.empty(_CHUNK, dtype=torch.uint8).pin_memory() for _ in range(3)
        )
        self._sent = torch.cuda.Event()  # type: ignore[no-untyped-call]

    def upload(self, image: Tensor) -> Tensor:
        there = torch.empty(image.shape, dtype=image.dtype, device=self._device)
        step = max(1, _CHUNK // max(1, image[:1].nbytes))
        for top in range(0, image.shape[0], step):
            part = image[top : top + step]
            if part.nbytes > _CHUNK:  # a row that is longer than the memory
                there[top : top + step].copy_(part)
                continue
            # The same memory twice: what is in it has been copied before it is filled again.
            self._sent.synchronize()
            here = self._sending.view(image.dtype)[: part.numel()].view(part.shape)
            there[top : top + step].copy_(here.copy_(part), non_blocking=True)
            self._sent.record()
        return there

    def mark(self) -> Any:
        return torch.cuda.current_stream(self._device).record_event()

    def truth(self, value: Tensor, mark: Any) -> bool:
        with self._behind(mark):
            return bool(value)

    def download(self, pixels: Tensor, mark: Any) -> Tensor:
        with self._behind(mark):
            return pixels.cpu().float()

    def store(self, pixels: Tensor, mark: Any, area: Tensor, channels: Sequence[int]) -> None:
        row = pixels.shape[1] * pixels.shape[2]
        step = max(1, _CHUNK // (row * pixels.element_size()))
        coming: deque[tuple[Any, Tensor, Tensor]] = deque()
        with self._behind(mark):
            for index, top in enumerate(range(0, pixels.shape[0], step)):
                if len(coming) == len(self._pinned):
                    _arrived(*coming.popleft(), channels)
                part = pixels[top : top + step]
                memory = self._pinned[index % len(self._pinned)].view(pixels.dtype)
                if part.numel() > memory.numel():  # a row that is longer than the memory
                    put(part.cpu(), area[top : top + step], channels)
                    continue
                here = memory[: part.numel()].view(part.shape)
                here.copy_(part, non_blocking=True)
                coming.append((self._stream.record_event(), here, area[top : top + step]))
            while coming:
                _arrived(*coming.popleft(), channels)

    @contextmanager
    def _behind(self, mark: Any) -> Iterator[None]:
        """Work on the stream for copies, once what is marked is done."""
        self._stream.wait_event(mark)
        with torch.cuda.stream(self._stream):
            yield


@lru_cache(maxsize=8)
def transfers(device: torch.device) -> Transfers:
    """Return how pixels come to a device and back."""
    return CudaTransfers(device) if device.type == "cuda" else Transfers(device)


def _arrived(event: Any, pixels: Tensor, area: Tensor, channels: Sequence[int]) -> None:
    event.synchronize()
    put(pixels, area, channels)


def put(pixels: Tensor, area: Tensor, channels: Sequence[int]) -> None:
    """Fill `channels` of an area [height, width, channels]; both are in main memory."""
    if list(channels) == list(range(area.shape[-1])):
        area.copy_(pixels)
        return
    for index, channel in enumerate(channels):
        area[..., channel] = pixels[..., index]
