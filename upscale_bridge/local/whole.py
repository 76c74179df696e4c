"""One run of a network over a whole image without tiles, for networks that need none."""

from __future__ import annotations

import logging
import math
import threading
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import EngineError, OutOfMemoryError
from ..images.channels import Layer
from ..images.resample import Span, resample, support, targets
from ..monitor import Monitor
from .devices import is_out_of_memory
from .passes import SMALLEST_TILE, RunSetup, axis
from .rolled import Rolled
from .tiling import Tile, TilePlan
from .transfers import put
from .workers import Team, worker_count

log = logging.getLogger(__name__)


@dataclass
class WholeRun:
    """One layer of one image on its way through a `Rolled` network; otherwise as `LayerRun`.

    An image that does not fit into memory is cut into tiles with as much around them as the
    network sees.
    """

    setting: RunSetup
    network: Rolled
    layer: Layer
    image: Tensor
    result: Tensor
    monitor: Monitor
    advance: Callable[[float], None]

    def __post_init__(self) -> None:
        height, width = self.image.shape[:2]
        self._target = (self.result.shape[1], self.result.shape[0])
        scale = self.setting.model.scale
        ratio = max(scale * width / self._target[0], scale * height / self._target[1])
        exact = (width * scale, height * scale) == self._target
        self._margin = 0 if exact else math.ceil(support(math.ceil(ratio), 1) / scale)
        self._plan = TilePlan(width, height, halo=self.network.halo + self._margin)
        self._lock = threading.Lock()
        self._stored: list[Tensor] = []

    def run(self) -> None:
        """Run the image, or its tiles one after the other."""
        setting, plan = self.setting, self._plan
        waiting, done = deque([plan.whole()]), 0
        while waiting:
            tile, *others = plan.cut(waiting.popleft(), setting.tile_side)
            waiting.extendleft(reversed(others))
            count = done + 1 + len(waiting)
            try:
                self._tile(tile, f"tile {done + 1} of {count}, " if count > 1 else "")
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                traceback.clear_frames(error.__traceback__)  # they hold what did not fit
                self._shrink(tile)
                waiting.appendleft(tile)
            else:
                done += 1
                setting.tally.tiles += 1

    @torch.inference_mode()
    def _tile(self, tile: Tile, head: str) -> None:
        window = self._plan.window(tile) if tile != self._plan.whole() else tile
        pixels = self.image[window.y.start : window.y.stop, window.x.start : window.x.stop]
        pixels = self.layer.gather(pixels.float()).nan_to_num(nan=0.0).clamp(0.0, 1.0)
        wanted = _moved(tile, -window.x.start, -window.y.start)

        def store(core: Tile, seen: Tile, output: Tensor) -> None:
            at = window.x.start, window.y.start
            self._store(_moved(core, *at), _moved(seen, *at), output)

        done = 0.0

        def poll() -> None:
            nonlocal done
            self.monitor.check()
            if (share := team.take_progress()) > 0:
                done += share
                self.monitor.status(f"{head}{100 * min(done, 1.0):.0f} %")
                self.advance(share * tile.area)
            for area in self._take_stored():
                self.monitor.preview(area)

        team = Team(worker_count(), poll)
        self.network.run(pixels.permute(2, 0, 1)[None], wanted, self._margin, team, store)
        poll()

    def _store(self, core: Tile, window: Tile, output: Tensor) -> None:
        """Put the network's output for a window, [height, width, channels], into the result."""
        if not bool(output.isfinite().all()):
            name = self.setting.model.name
            raise EngineError(
                f"{name} computed NaN or infinity even in fp32; "
                "its weights are damaged, choose another model."
            )
        output = self.layer.scatter(output.clamp_(0.0, 1.0))
        width, height = self._plan.width, self._plan.height
        scale = self.setting.model.scale
        x = axis(window.x, core.x, width, self._target[0], scale)
        y = axis(window.y, core.y, height, self._target[1], scale)
        pixels = resample(output, y, x)
        if not (isinstance(x, slice) and isinstance(y, slice)):
            pixels.clamp_(0.0, 1.0)
        across = targets(core.x, width, self._target[0])
        down = targets(core.y, height, self._target[1])
        area = self.result[down.start : down.stop, across.start : across.stop]
        put(pixels, area, self.layer.targets)
        if self.layer.targets != list(range(area.shape[-1])):
            area = area[..., self.layer.targets]
        with self._lock:
            self._stored.append(area)

    def _take_stored(self) -> list[Tensor]:
        with self._lock:
            stored, self._stored = self._stored, []
        return stored

    def _shrink(self, tile: Tile) -> None:
        if tile.side <= SMALLEST_TILE:
            raise OutOfMemoryError(
                "cpu is out of memory even at the smallest tile "
                f"({tile.x.length} x {tile.y.length} px); close other programs or models that "
                "use it, or choose a smaller model."
            )
        side = max(SMALLEST_TILE, math.ceil(min(tile.side, self.setting.tile_side) / 2))
        log.info("Out of memory; going on with tiles of %d px.", side)
        self.setting.tile_side = self.setting.tally.smallest = side


def _moved(tile: Tile, x: int, y: int) -> Tile:
    return Tile(
        Span(tile.x.start + x, tile.x.stop + x),
        Span(tile.y.start + y, tile.y.stop + y),
    )
