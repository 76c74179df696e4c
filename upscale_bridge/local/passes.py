"""One run of a model over one image: tiles stream into a result that is allocated once."""

from __future__ import annotations

import logging
import math
import threading
import traceback
from collections import deque
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..errors import EngineError, OutOfMemoryError, StoppedError
from ..images.channels import Layer
from ..images.resample import Span, Taps, resample, support, taps, targets
from ..monitor import Monitor
from .devices import Memory, is_out_of_memory
from .model import Model
from .tiling import Tile, TilePlan
from .transfers import transfers
from .workers import pool, worker_count

log = logging.getLogger(__name__)

SMALLEST_TILE = 32
"""Input pixels; below this nearly all work would go into the halo."""

_BLEND = 16  # input pixels; hides what a halo cannot, in models that see everything


@dataclass
class Tally:
    """What happened to the tiles of one upscale."""

    tiles: int = 0
    redone: int = 0
    """Tiles whose numbers overflowed and that were computed again in fp32."""
    smallest: int = 0
    """The tile side in input pixels to which memory forced the engine; 0 if it did not."""


@dataclass
class RunSetup:
    """How a model is run: what all tiles of one upscale share."""

    model: Model
    memory: Memory
    device: torch.device
    dtype: torch.dtype
    tile_side: int
    """Largest side of a tile's core in input pixels; shrinks when memory runs out."""
    tally: Tally = field(default_factory=Tally)

    @property
    def workers(self) -> int:
        """How many tiles are computed at the same time."""
        # A model that loses by tiling, or bears one thread only, gets all cores for one tile.
        apart = self.model.concurrent and self.model.tiling == "SUPPORTED"
        return worker_count() if self.device.type == "cpu" and apart else 1

    def plan(
        self,
        width: int,
        height: int,
        target: tuple[int, int],
        check: Callable[[], None] = lambda: None,
    ) -> TilePlan:
        """Return the plan for an image that becomes `target` = (width, height).

        The first one may measure the model, which `check` can end.
        """
        whole = TilePlan(width, height)
        if len(whole.cut(whole.whole(), self.tile_side, self.workers)) == 1:
            return whole
        ratio = max(self.model.scale * width / target[0], self.model.scale * height / target[1])
        reach = 0 if ratio == 1.0 else math.ceil(support(math.ceil(ratio), 1) / self.model.scale)
        sight = self.model.sight(self.device, self.dtype, check)
        return TilePlan(
            width,
            height,
            halo=sight.halo + reach,
            align=sight.grid,
            minimum=self.model.minimum,
            blend=0 if sight.exact else _BLEND,
        )


@dataclass
class LayerRun:
    """One layer of one image on its way through the model.

    `result` [H', W', C] may have any size: the model's output is resampled to it tile by tile.
    """

    setting: RunSetup
    layer: Layer
    image: Tensor
    """[H, W, C], any float dtype; not modified."""
    result: Tensor
    """float32 [H', W', C]; the layer's channels of it are filled."""
    monitor: Monitor
    advance: Callable[[float], None]
    """Called with the number of input pixels that each finished tile stands for."""

    def __post_init__(self) -> None:
        self._size = (self.image.shape[1], self.image.shape[0])
        self._target = (self.result.shape[1], self.result.shape[0])
        self._plan = self.setting.plan(*self._size, self._target, self.monitor.check)
        self._stopped = threading.Event()
        self._transfers = transfers(self.setting.device)
        self._there = self._transfers.upload(self.image)

    def run(self) -> None:
        """Run all tiles; one that does not fit into memory is cut into smaller ones."""
        setting, plan = self.setting, self._plan
        waiting = deque(plan.cut(plan.whole(), setting.tile_side, setting.workers))
        # Blended tiles must be stored in reading order; several workers finish in any order.
        workers = setting.workers if len(waiting) > 1 and not plan.blend else 1
        # A device works on a tile while the one before it is stored.
        ahead = workers if workers > 1 else self._transfers.ahead
        running: dict[Future[_Outcome], tuple[TilePlan, Tile]] = {}
        done = 0
        try:
            while waiting or running:
                self.monitor.check()
                while waiting and len(running) < ahead:
                    tile = self._take(waiting)
                    check = self.monitor.check if workers == 1 else self._check_stopped
                    future = _start(partial(self._compute, self._plan, tile, check), workers)
                    running[future] = (self._plan, tile)
                if workers > 1:
                    finished, _ = wait(running, timeout=0.1, return_when=FIRST_COMPLETED)
                else:
                    finished = {next(iter(running))}
                while finished:
                    plan, tile = running.pop(future := finished.pop())
                    if (error := self._conclude(future, plan, tile)) is None:
                        done += 1
                        count = done + len(waiting) + len(running)
                        self.monitor.status(f"tile {done} of {count}")
                        continue
                    if not is_out_of_memory(error):
                        raise error
                    waiting.appendleft(tile)
                    # Its frames hold the tensors that did not fit, and the future that holds it.
                    traceback.clear_frames(error.__traceback__)
                    del error, future
                    if plan is self._plan:  # not yet shrunk since this tile was started
                        self._shrink(tile)
        finally:
            self._stopped.set()
            wait(running)

    def _conclude(
        self, future: Future[_Outcome], plan: TilePlan, tile: Tile
    ) -> BaseException | None:
        """Store what a tile has come to; return what went wrong instead."""
        if (error := future.exception()) is not None:
            return error
        outcome = future.result()
        try:
            if not self._transfers.truth(outcome.finite, outcome.mark):
                outcome = self._again(plan, tile)
            self._store(plan, tile, outcome)
        except RuntimeError as failure:  # out of memory shows late on devices
            return failure
        return None

    def _take(self, waiting: deque[Tile]) -> Tile:
        """Return the next tile, cut first if tiles have shrunk since it was put there."""
        first, *others = self._plan.cut(waiting.popleft(), self.setting.tile_side)
        waiting.extendleft(reversed(others))
        return first

    def _check_stopped(self) -> None:
        """What workers check: the monitor belongs to the thread that called the core."""
        if self._stopped.is_set():
            raise StoppedError

    def _store(self, plan: TilePlan, tile: Tile, outcome: _Outcome) -> None:
        part = plan.faded(tile)
        x = targets(part.x, self._size[0], self._target[0])
        y = targets(part.y, self._size[1], self._target[1])
        area = self.result[y.start : y.stop, x.start : x.stop]
        pixels = outcome.pixels
        if plan.blend:
            pixels = self._transfers.download(pixels, outcome.mark)
            fade_x = targets(tile.x, self._size[0], self._target[0]).start - x.start
            fade_y = targets(tile.y, self._size[1], self._target[1]).start - y.start
            weight = _ramp(fade_y, y.length)[:, None, None] * _ramp(fade_x, x.length)[:, None]
            pixels = torch.where(weight < 1, area[..., self.layer.targets], pixels).lerp(
                pixels, weight
            )
        self._transfers.store(pixels, outcome.mark, area, self.layer.targets)
        self.setting.tally.tiles += 1
        self.advance(tile.area)
        whole = self.layer.targets == list(range(area.shape[-1]))
        self.monitor.preview(area if whole else area[..., self.layer.targets])

    def _shrink(self, tile: Tile) -> None:
        setting = self.setting
        setting.memory.empty_cache(setting.device)
        failed = min(tile.side, setting.tile_side)
        if failed <= SMALLEST_TILE:
            raise OutOfMemoryError(
                f"{setting.device} is out of memory even at the smallest tile "
                f"({tile.x.length} x {tile.y.length} px); close other programs or models that "
                "use it, choose a smaller model, or run on the CPU."
            )
        side = max(SMALLEST_TILE, math.ceil(failed / 2))
        log.info("%s is out of memory; going on with tiles of %d px.", setting.device, side)
        setting.tile_side = setting.tally.smallest = side
        # Smaller tiles need a halo.
        self._plan = setting.plan(*self._size, self._target, self.monitor.check)

    @torch.inference_mode()
    def _compute(self, plan: TilePlan, tile: Tile, check: Callable[[], None]) -> _Outcome:
        """Ask for a tile in the number format of the upscale."""
        return self._run_model(plan, tile, self.setting.dtype, check)

    @torch.inference_mode()
    def _again(self, plan: TilePlan, tile: Tile) -> _Outcome:
        """Compute a tile whose numbers overflowed once more in fp32."""
        setting = self.setting
        if setting.dtype != torch.float32:
            setting.tally.redone += 1
            module = setting.model.replica(setting.device, torch.float32).module
            setting.memory.place(module, setting.device)
            outcome = self._run_model(plan, tile, torch.float32, self.monitor.check)
            if self._transfers.truth(outcome.finite, outcome.mark):
                return outcome
        raise EngineError(
            f"{setting.model.name} computed NaN or infinity even in fp32; "
            "its weights are damaged, choose another model."
        )

    def _run_model(
        self, plan: TilePlan, tile: Tile, dtype: torch.dtype, check: Callable[[], None]
    ) -> _Outcome:
        part = plan.faded(tile)
        window = plan.window(part)
        pixels = self._there[window.y.start : window.y.stop, window.x.start : window.x.stop]
        pixels = self.layer.gather(pixels.float()).nan_to_num(nan=0.0).clamp(0.0, 1.0)
        replica = self.setting.model.replica(self.setting.device, dtype)
        output, finite = replica(pixels.permute(2, 0, 1)[None].to(dtype), check)
        scale = self.setting.model.scale
        x = axis(window.x, part.x, plan.width, self._target[0], scale)
        y = axis(window.y, part.y, plan.height, self._target[1], scale)
        pixels = self.layer.scatter(output[0].permute(1, 2, 0))
        if isinstance(x, slice) and isinstance(y, slice):
            pixels = pixels[y, x]
        else:
            pixels = resample(pixels.float(), y, x).clamp_(0.0, 1.0)
        return _Outcome(pixels, finite, self._transfers.mark())


@dataclass(frozen=True)
class _Outcome:
    """What a tile has come to, perhaps still on its way through the device."""

    pixels: Tensor
    """[height, width, channels that come out] of the target, in any float dtype."""
    finite: Tensor
    """Whether the model's numbers were."""
    mark: Any
    """Tells `Transfers` when they are there."""


def _start(compute: Callable[[], _Outcome], workers: int) -> Future[_Outcome]:
    """Compute a tile on the pool, or here and now when tiles go one by one."""
    if workers > 1:
        return pool(workers).submit(compute)
    done: Future[_Outcome] = Future()
    try:
        done.set_result(compute())
    except Exception as error:  # handed to the caller, as the pool does
        done.set_exception(error)
    return done


def _ramp(fade: int, length: int) -> Tensor:
    """Return `length` weights that rise over the first `fade` and are 1 from there on."""
    return ((torch.arange(length) + 1) / (fade + 1)).clamp_(max=1.0)


def axis(window: Span, core: Span, length: int, target: int, scale: int) -> slice | Taps:
    """Return what takes one axis of a window's output to the target pixels of its core."""
    if target == length * scale:
        return slice((core.start - window.start) * scale, (core.stop - window.start) * scale)
    scaled = Span(window.start * scale, window.stop * scale)
    return taps(scaled, targets(core, length, target), length * scale, target)
