"""Faces of images, restored: what that needs, and what became of each of them."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ...contract.plan import Faces
from ...errors import EngineError, UnsupportedModelError
from ...monitor import Monitor, Part
from ..catalogue import ModelSpec, find_spec, has_extra_architectures
from .opencv import missing_opencv

if TYPE_CHECKING:
    from torch import Tensor

    from ..devices import Memory
    from ..library import Library
    from .detector import Detector
    from .model import FaceModel
    from .run import FaceReport, HostRestorer

DETECTOR = "YuNet"
"""The catalogue's name of what finds faces."""

_EXTRA = "spandrel_extra_arches"


class FaceRestorer:
    """Restores faces with the models of one library, or a host's own; thread-safe."""

    def __init__(
        self,
        library: Library,
        memory: Callable[[], Memory],
        hosts: Callable[[], Mapping[str, HostRestorer]] = dict,
    ) -> None:
        """`hosts` tells which models a host program runs itself, by the catalogue's names."""
        self._library, self._memory, self._hosts = library, memory, hosts
        self._lock = threading.Lock()
        self._told: set[str] = set()

    def obstacle(self, wanted: Sequence[Faces]) -> str:
        """Return which package is missing and how it is installed, one sentence; empty if none."""
        own = self._own(wanted)
        if not own:
            return ""
        spec = find_spec("CodeFormer")
        if spec is not None and spec.name in own and not has_extra_architectures():
            return (
                f"CodeFormer needs the package {_EXTRA}, which forbids commercial use as its "
                f"weights do ({spec.licence}); if that suits you, install it with "
                f"`pip install --no-deps {_EXTRA}`."
            )
        return missing_opencv()

    def files(self, wanted: Sequence[Faces]) -> tuple[str, ...]:
        """Return the catalogue's names of the weights that are needed, each once."""
        own = self._own(wanted)
        return (DETECTOR, *own) if own else ()

    def absent(self, wanted: Sequence[Faces]) -> list[str]:
        """Return the names of those that are not on this machine."""
        return [name for name in self.files(wanted) if self._library.find(name) is None]

    def prepare(
        self, wanted: Sequence[Faces], monitor: Monitor, *, may_download: bool = False
    ) -> None:
        """Fetch and load what is needed; raise an `EngineError` that says what is missing."""
        self._detector(wanted, monitor, may_download=may_download)
        self._models(wanted, monitor, may_download=may_download)

    def restore(
        self,
        images: Tensor,
        wanted: Sequence[Faces],
        monitor: Monitor,
        *,
        may_download: bool = False,
    ) -> FaceReport:
        """Restore the faces of `images` [batch, height, width, 1 to 4 channels] in place.

        They are float32 in 0..1 on the CPU; alpha stays as it is, and gray ones stay gray. Each of
        `wanted` begins with what the one before has left. A face that cannot be restored is left
        as it is and told. Raises an `EngineError`, or what `monitor` raises.
        """
        from .run import FaceRun

        detector = self._detector(wanted, monitor, may_download=may_download)
        models = self._models(wanted, monitor, may_download=may_download)
        hosts = self._hosts()
        while not self._lock.acquire(timeout=0.1):
            monitor.check()
        try:
            run = FaceRun(detector, models, hosts, self._memory(), len(images))
            count = len(images)
            for index, image in enumerate(images):
                head = f"image {index + 1} of {count}, " if count > 1 else ""
                run.restore(index, image, wanted, Part(monitor, head, index, count))
        finally:
            self._lock.release()
        return run.report(wanted)

    def _own(self, wanted: Sequence[Faces]) -> list[str]:
        """Return the names of the models that no host runs, each once."""
        hosts = self._hosts()
        return [*dict.fromkeys(one.model for one in wanted if one.model not in hosts)]

    def _detector(
        self, wanted: Sequence[Faces], monitor: Monitor, *, may_download: bool
    ) -> Detector | None:
        if not self._own(wanted):
            return None
        if text := self.obstacle(wanted):
            raise EngineError(text)
        from .detector import Detector

        spec = self._library.known(DETECTOR)
        path = self._library.path(DETECTOR, monitor, may_download=may_download)
        return Detector(_checked(path.read_bytes(), path.name, spec))

    def _models(
        self, wanted: Sequence[Faces], monitor: Monitor, *, may_download: bool
    ) -> dict[str, FaceModel]:
        found = {}
        for name in self._own(wanted):
            found[name] = self._library.load_faces(name, monitor, may_download=may_download)
            spec = find_spec(name)
            if spec is not None and not spec.commercial_use and name not in self._told:
                self._told.add(name)
                monitor.notice(f"{name} has the licence {spec.licence}: no commercial use.")
        return found


def _checked(data: bytes, name: str, spec: ModelSpec) -> bytes:
    """Return a file that another program's reader may see, or raise `UnsupportedModelError`."""
    digest = hashlib.sha256(data).hexdigest()
    if digest != spec.sha256:
        raise UnsupportedModelError(
            f"{name} is not the known file (its SHA-256 is {digest}, not {spec.sha256}); it was "
            f"not read. Remove it and run `upscale-bridge models download {spec.name}`."
        )
    return data
