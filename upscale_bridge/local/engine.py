"""The engine: runs a model over images under a memory policy.

How a scale factor is reached, for a model of scale `s` and a factor `f`:

- f < 1: no model, one anti-aliased Lanczos resize.
- 1 <= f <= s: one pass; its output is resized down to the exact size while the tiles stream.
- f > s: ceil(log f / log s) passes. Each earlier pass is resized to what the next one needs, so
  that the last ends at (or a few pixels above) the exact size and no pass is larger than needed.
- A model of scale 1 runs once; Lanczos does the rest.

Of an image that is stretched, `f` is that of the side that grows most. What is to be cropped is
cropped before the first pass.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from ..errors import OutOfMemoryError
from ..images.channels import alpha_channel, fill_transparent, layers
from ..images.resample import allocate, clean, middle, resize
from ..images.sizes import Size
from ..monitor import Monitor, Part
from .devices import PRECISIONS, Memory, is_out_of_memory
from .model import Model
from .operation import LocalUpscale
from .passes import SMALLEST_TILE, LayerRun, RunSetup
from .receptive_field import LARGEST_HALO
from .rolled import Rolled
from .tensors import take_images
from .torch_state import lasting, own_state, quick_products, usual_numbers
from .whole import WholeRun
from .workers import worker_count

_CPU = torch.device("cpu")
_CPU_TILE = 192  # activations of larger tiles leave the caches; smaller ones waste on the halo
_CPU_TILE_LARGE = 512  # for ESRGAN, which works in strips, and models that lose by tiling
_UNKNOWN_TILE = 512  # devices that do not tell their free memory; shrinks when it is too much
_INDEX_LIMIT = 2**31 - 1  # elements of one tensor that GPU convolutions can address
_SHARE = 0.8  # of the free memory; the rest is fragmentation and other programs


@dataclass(frozen=True)
class Report:
    """What an upscale did, for the user."""

    model: str
    architecture: str
    device: str
    precision: str
    passes: int
    tiles: int
    redone_tiles: int
    """Tiles computed again in fp32 because their numbers overflowed."""
    shrunk_to: int
    """Tile side in pixels after running out of memory; 0 when memory sufficed."""
    seconds: float
    input_size: tuple[int, int]
    size: tuple[int, int]
    model_version: str
    """What the model's file says of it, or empty: results change with it."""

    def as_dict(self) -> dict[str, object]:
        """Return plain data for JSON."""
        return asdict(self)

    @property
    def summary(self) -> str:
        """One line about it for the user."""
        (width, height), (new_width, new_height) = self.input_size, self.size
        tiles = f", {self.tiles} tiles" if self.tiles > 1 else ""
        return (
            f"{width} x {height} -> {new_width} x {new_height} with {self.model}, "
            f"{self.device} {self.precision}{tiles}, {self.seconds:.1f} s"
        )


class Engine:
    """Runs models on one device; thread-safe, one upscale at a time."""

    def __init__(self, memory: Memory | None = None) -> None:
        self.memory = memory or Memory()
        self._lock = threading.Lock()
        self._working: dict[tuple[str, str, torch.dtype], int] = {}
        self._costs: dict[tuple[str, str, torch.dtype], float] = {}

    @own_state()
    @usual_numbers()
    def upscale(
        self,
        model: Model,
        images: Tensor,
        operation: LocalUpscale,
        monitor: Monitor,
        size: Size | None = None,
    ) -> tuple[Tensor, Report]:
        """Upscale `images` [batch, height, width, channels], any float dtype, 1 to 4 channels.

        Returns float32 [batch, height', width', channels] in 0..1 on the CPU, of the size that is
        the operation's target, and a report; `size` (width, height) takes its place, for hosts
        that round it. The input is not modified; values a little outside 0..1 are clamped, NaN
        becomes 0, and what `take_images` refuses is refused. Autocast, inference mode, gradients
        and defaults of the caller reach neither the work nor the result.
        Raises `InvalidInputError`, `EngineError` or whatever `monitor.check` raises.
        """
        images = take_images(images)
        started = time.monotonic()
        count, height, width, channels = images.shape
        target = size or operation.target(width, height)
        window, factor = operation.window(width, height), operation.factor(width, height)
        images = middle(images, *window)
        sizes = pass_sizes(window, target, factor, model.scale)
        result = _allocate_result(count, sizes[-1], channels)
        while not self._lock.acquire(timeout=0.1):
            monitor.check()
        try:
            setting = self._prepare(model, operation, largest=max(sizes[:-1]))
            progress = _Progress(monitor, count * sum(w * h for w, h in sizes[:-1]))
            for index, (image, place) in enumerate(zip(images, result, strict=True)):
                if count > 1:
                    progress.shown = Part(monitor, f"image {index + 1} of {count}, ")
                try:
                    by = None if factor < 1 else setting
                    _upscale_image(by, image.cpu(), place, sizes, operation.alpha, progress)
                finally:
                    self._learn(setting)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise OutOfMemoryError(
                f"There is not enough memory to begin with {model.name} ({error}); close other "
                "programs or models, choose a smaller model, or run on the CPU."
            ) from error
        finally:
            self._lock.release()
        seconds = time.monotonic() - started
        return result, _report(setting, (width, height), sizes, seconds)

    def _prepare(self, model: Model, operation: LocalUpscale, *, largest: Size) -> RunSetup:
        """Choose device, number format and tile size, and bring the model to the device."""
        device = self.memory.device()
        dtype = self.memory.dtype(
            operation.precision, device, half=model.supports_half, bfloat=model.supports_bfloat16
        )
        setting = RunSetup(model, self.memory, device, dtype, tile_side=max(largest))
        module = model.replica(device, dtype).module
        self.memory.place(module, device)
        setting.tile_side = self._tile_side(setting, operation.tile_size, *largest)
        learned = self._working.get(_key(setting), setting.tile_side)
        setting.tile_side = min(setting.tile_side, learned)
        self.memory.place(module, device)  # making room may have moved it away
        return setting

    def _tile_side(self, setting: RunSetup, wanted: int, width: int, height: int) -> int:
        """Return the `wanted` tile side, or for 0 the largest good one for `width` x `height`."""
        model, device = setting.model, setting.device
        if (rolled := model.replica(device, setting.dtype).rolled) is not None:
            return self._whole_side(rolled, wanted, width, height)
        if wanted:
            wanted = max(SMALLEST_TILE, wanted)
        elif model.tiling == "INTERNAL":
            wanted = max(width, height)
        if device.type == "cpu":
            large = model.replica(device, setting.dtype).lean or model.tiling == "DISCOURAGED"
            return wanted or (_CPU_TILE_LARGE if large else _CPU_TILE)
        if device.type != "cuda":
            return wanted or _UNKNOWN_TILE
        cost = self._costs.get(_key(setting)) or bytes_per_pixel(setting)
        self._costs[_key(setting)] = cost
        pixels = min(width * height, (wanted + 2 * LARGEST_HALO) ** 2 if wanted else math.inf)
        self.memory.make_room(math.ceil(cost * pixels / _SHARE), device)
        free = self.memory.free_bytes(device) or 0
        area = min(_SHARE * free / cost, _INDEX_LIMIT / (model.widest * model.scale**2))
        if wanted or width * height <= area:
            return wanted or max(width, height)
        return max(SMALLEST_TILE, math.isqrt(int(area)) - 2 * LARGEST_HALO)

    def _whole_side(self, rolled: Rolled, wanted: int, width: int, height: int) -> int:
        """Return the longer side where the whole image fits into memory, else that of a tile."""
        free = self.memory.free_bytes(_CPU)
        workers = worker_count()
        if free is None or rolled.memory(height, width, workers) <= _SHARE * free:
            return max(width, height)
        side = wanted or _CPU_TILE_LARGE
        while side > SMALLEST_TILE:
            around = side + 2 * rolled.halo
            if rolled.memory(around, around, workers) <= _SHARE * free:
                break
            side //= 2
        return max(SMALLEST_TILE, side)

    def _learn(self, setting: RunSetup) -> None:
        """Remember a tile side to which memory forced the engine, for this process."""
        if setting.tally.smallest:
            self._working[_key(setting)] = setting.tally.smallest


def pass_sizes(size: Size, target: Size, factor: float, scale: int) -> list[Size]:
    """Return the input's size and the size after each pass, the last being the `target`.

    The number of passes follows from the `factor` and the model's `scale`; below 1 it is one, which
    Lanczos does.
    """
    count = 1
    while scale > 1 and scale**count < factor - 1e-9:
        count += 1
    rest = [scale ** (count - done) for done in range(1, count + 1)]
    # Of a side that is stretched less than the other nothing is lost on the way.
    least = [min(pair) for pair in zip(size, target, strict=True)]
    steps = [
        tuple(max(math.ceil(side / r), low) for side, low in zip(target, least, strict=True))
        for r in rest
    ]
    return [size, *((width, height) for width, height in steps)]


def bytes_per_pixel(setting: RunSetup) -> float:
    """Measure how much device memory a forward takes for each input pixel, on CUDA and ROCm."""
    device, model = setting.device, setting.model
    side = math.ceil(max(128, model.minimum) / model.multiple) * model.multiple
    pixels = torch.zeros(1, model.channels, side, side, device=device, dtype=setting.dtype)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    model.replica(device, setting.dtype)(pixels)
    return max(1.0, (torch.cuda.max_memory_allocated(device) - before) / side**2)


class _Progress:
    """Input pixels finished so far, passed on to the monitor."""

    def __init__(self, monitor: Monitor, total: int) -> None:
        self.monitor = monitor
        self.shown = monitor
        """What is told of the image that is at work."""
        self._total = total
        self._done = 0.0

    def advance(self, pixels: float) -> None:
        """Count `pixels` more."""
        self._done += pixels
        self.monitor.progress(min(self._done, self._total), self._total)

    def share(self, runs: int) -> Callable[[float], None]:
        """Return an `advance` for pixels that `runs` runs go over."""
        return lambda pixels: self.advance(pixels / runs)


def _upscale_image(
    setting: RunSetup | None,
    image: Tensor,
    result: Tensor,
    sizes: list[Size],
    alpha_mode: str,
    progress: _Progress,
) -> None:
    """Fill `result` [height', width', channels] from `image` [height, width, channels].

    `setting` None: no model runs.
    """
    if setting is None:
        progress.monitor.check()
        result.copy_(resize(image, *sizes[-1]))
        progress.advance(image.shape[0] * image.shape[1])
        return
    if alpha_channel(image.shape[-1]) is not None:
        image = fill_transparent(clean(image))
    for width, height in sizes[1:-1]:
        step = allocate(height, width, image.shape[-1])
        _run_pass(setting, image, step, alpha_mode, progress)
        image = step
    _run_pass(setting, image, result, alpha_mode, progress)


def _run_pass(
    setting: RunSetup, image: Tensor, result: Tensor, alpha_mode: str, progress: _Progress
) -> None:
    """Run the model once over all channels of `image`, into `result` of any size."""
    alpha = alpha_channel(image.shape[-1])
    opaque = alpha is not None and bool((image[..., alpha] == image[0, 0, alpha]).all())
    by_model = alpha_mode == "model" and not opaque
    runs = layers(image.shape[-1], setting.model.channels, with_alpha=by_model)
    rolled = setting.model.replica(setting.device, setting.dtype).rolled
    for layer in runs:
        rest = layer, image, result, progress.shown, progress.share(len(runs))
        if rolled is not None:
            with quick_products():
                WholeRun(setting, rolled, *rest).run()
        else:
            LayerRun(setting, *rest).run()
    if alpha is not None and opaque:
        result[..., alpha] = image[0, 0, alpha]
    elif alpha is not None and not by_model:
        size = (result.shape[1], result.shape[0])
        result[..., alpha] = resize(image[..., alpha:], *size)[..., 0]


def _allocate_result(count: int, size: Size, channels: int) -> Tensor:
    try:
        with lasting():
            return allocate(count, size[1], size[0], channels)
    except MemoryError as error:
        need = count * size[0] * size[1] * channels * 4 / 2**30
        raise OutOfMemoryError(
            f"The result, {count} x {size[0]} x {size[1]} px, needs {need:.1f} GiB of main memory, "
            "which is not there; choose a smaller scale factor or fewer images at a time."
        ) from error


def _key(setting: RunSetup) -> tuple[str, str, torch.dtype]:
    return (setting.model.name, str(setting.device), setting.dtype)


def _report(setting: RunSetup, size: Size, sizes: list[Size], seconds: float) -> Report:
    return Report(
        model=setting.model.name,
        architecture=setting.model.architecture,
        device=str(setting.device),
        precision=PRECISIONS[setting.dtype],
        passes=len(sizes) - 1 if setting.tally.tiles else 0,
        tiles=setting.tally.tiles,
        redone_tiles=setting.tally.redone,
        shrunk_to=setting.tally.smallest,
        seconds=round(seconds, 3),
        input_size=size,
        size=sizes[-1],
        model_version=setting.model.version,
    )
